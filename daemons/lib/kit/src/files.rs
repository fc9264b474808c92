//! Files that survive a crash at any instant.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces `path` by `content`, whole or not at all, with permission bits `mode`; durable when it returns.
///
/// # Errors
/// Whatever the file system says; the old content is then still there.
pub fn atomic_write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path has no file name"))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = folder.join(temporary);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        // The mode of `open` is cut by the umask, and an old leftover keeps its own.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        // Nothing more can be done about a leftover that cannot be removed.
        drop(std::fs::remove_file(&temporary));
    }
    written
}

/// Appends `content` to `file` and makes it durable.
///
/// # Errors
/// Whatever the file system says; a partial line may then be at the end, readers must skip it.
pub fn append_sync(file: &mut File, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.sync_data()
}

/// Makes `path` and its parents, private to this user (0700) where they did not exist.
///
/// # Errors
/// Whatever the file system says.
pub fn private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Makes `path` and its parents so that others may pass through it but not list it (0711): programs
/// of other accounts live in folders below it, everything else there is private by itself.
///
/// # Errors
/// Whatever the file system says.
pub fn passable_folder(path: &Path) -> io::Result<()> {
    private_folder(path)?;
    let mode = std::fs::metadata(path)?.permissions();
    if std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777 != 0o711 {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_new_content_replaces_the_old_with_the_wanted_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        atomic_write(&path, b"one", 0o644).unwrap();
        atomic_write(&path, b"two", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("state.json");
        assert!(atomic_write(&path, b"x", 0o600).is_err());
    }
}
