//! Putting packages into a task's directory.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;
use std::sync::PoisonError;

use tokio_util::sync::CancellationToken;

use super::{Package, PackageError};

/// Names what a directory holds: the digests of its packages, in order.
const MARK: &str = ".bcs-packages";

/// Puts `packages`, in order, into an existing directory. One that holds exactly these is left alone.
///
/// # Errors
/// See [`PackageError`].
pub fn place(
    packages: &[Package],
    target: &Path,
    uid: u32,
    gid: u32,
    cancel: &CancellationToken,
) -> Result<(), PackageError> {
    let Some(first) = packages.first() else {
        return Ok(());
    };
    let lock = first.shared.lock(&target.display().to_string());
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let digests: Vec<&str> = packages
        .iter()
        .map(|package| package.digest.as_str())
        .collect();
    let wanted = digests.join("\n");
    let mark = target.join(MARK);
    let plain = fs::symlink_metadata(&mark).is_ok_and(|data| data.is_file() && data.len() < 8192);
    if plain && fs::read_to_string(&mark).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    for package in packages {
        let own = Owner {
            uid,
            gid,
            root: nix::unistd::geteuid().is_root(),
            cancel,
        };
        let result = match package.unpacked(cancel)? {
            Some(tree) => own.tree(&tree, target),
            None => own.file(&package.file, &target.join(&package.name), Some(0o755)),
        };
        result.map_err(|Failed { path, source }| match cancel.is_cancelled() {
            true => PackageError::Cancelled,
            false => package.io(Path::new(&path), source),
        })?;
    }
    // Only the owner may change it: it is what keeps a restart from replacing changed files.
    let written = bcs_kit::atomic_write(&mark, wanted.as_bytes(), 0o644);
    written.map_err(|source| first.io(&mark, source))
}

struct Owner<'a> {
    uid: u32,
    gid: u32,
    root: bool,
    cancel: &'a CancellationToken,
}

struct Failed {
    path: String,
    source: io::Error,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Failed {
    let path = path.display().to_string();
    move |source| Failed { path, source }
}

impl Owner<'_> {
    fn own(&self, path: &Path) -> Result<(), Failed> {
        if self.root {
            lchown(path, Some(self.uid), Some(self.gid)).map_err(at(path))?;
        }
        Ok(())
    }

    fn tree(&self, from: &Path, to: &Path) -> Result<(), Failed> {
        for entry in fs::read_dir(from).map_err(at(from))? {
            let entry = entry.map_err(at(from))?;
            let kind = entry.file_type().map_err(at(from))?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            if self.cancel.is_cancelled() {
                return Err(at(&target)(io::ErrorKind::Interrupted.into()));
            }
            if kind.is_dir() {
                self.directory(&target)?;
                self.tree(&source, &target)?;
            } else if kind.is_symlink() {
                let link = fs::read_link(&source).map_err(at(&source))?;
                self.swap(&target, |fresh| symlink(&link, fresh))?;
            } else {
                self.file(&source, &target, None)?;
            }
        }
        Ok(())
    }

    /// A link where a directory is expected was put there by the task: it is not followed.
    fn directory(&self, path: &Path) -> Result<(), Failed> {
        match fs::symlink_metadata(path) {
            Ok(data) if data.is_dir() => return Ok(()),
            Ok(_) => fs::remove_file(path).map_err(at(path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(path)(error)),
        }
        fs::create_dir(path).map_err(at(path))?;
        self.own(path)
    }

    fn file(&self, from: &Path, to: &Path, mode: Option<u32>) -> Result<(), Failed> {
        self.swap(to, |fresh| {
            // Shares blocks where the file system can; takes the permission bits along.
            fs::copy(from, fresh)?;
            match mode {
                Some(mode) => fs::set_permissions(fresh, fs::Permissions::from_mode(mode)),
                None => Ok(()),
            }
        })
    }

    /// Makes something new beside its place, then puts it there in one step.
    fn swap(&self, path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), Failed> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let fresh = path.with_file_name(format!(".{name}.bcs-new"));
        drop(fs::remove_file(&fresh));
        let swapped = make(&fresh).map_err(at(&fresh)).and_then(|()| {
            self.own(&fresh)?;
            match fs::rename(&fresh, path) {
                // A directory of the task stands in its way.
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                    fs::remove_dir_all(path).map_err(at(path))?;
                    fs::rename(&fresh, path).map_err(at(path))
                }
                other => other.map_err(at(path)),
            }
        });
        if swapped.is_err() {
            drop(fs::remove_file(&fresh));
        }
        swapped
    }
}
