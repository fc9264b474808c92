//! Unpacking: tar, tar.gz, tar.zst and zip, into a directory that nobody else can touch.
//!
//! Nothing leaves the directory: absolute names, `..`, names that lead through a link, links that
//! point outside, and hard links to anything but an unpacked file are refused, and so are devices,
//! sockets and pipes. Set-id bits are dropped. Bytes and entries are bounded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use tar::EntryType;
use tokio_util::sync::CancellationToken;

use super::Bounds;

/// A known format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// tar
    Tar,
    /// tar, gzip
    TarGz,
    /// tar, Zstandard
    TarZst,
    /// zip
    Zip,
}

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An entry would escape or is of a kind that no package needs.
    #[error("entry {entry:?} is refused: {reason}")]
    Entry {
        /// Its name.
        entry: String,
        /// Why.
        reason: &'static str,
    },
    /// Too large.
    #[error("unpacks to more than {bound} {unit}; raise unpacked_max_bytes or package_max_files")]
    Bound {
        /// The bound.
        bound: u64,
        /// Bytes or entries.
        unit: &'static str,
    },
    /// Damaged, cut off, or the disk refused.
    #[error("cannot be unpacked (damaged or cut off?): {0}")]
    Io(#[from] io::Error),
    /// zip's own complaints.
    #[error("cannot be unpacked (damaged or cut off?): {0}")]
    Zip(#[from] zip::result::ZipError),
    /// The task was stopped.
    #[error("given up")]
    Cancelled,
}

/// The format, by name; by content where the name has no extension at all.
///
/// # Errors
/// When the file cannot be read.
pub fn kind(name: &str, file: &Path) -> io::Result<Option<Kind>> {
    let lower = name.to_ascii_lowercase();
    let suffixes = [
        (".tar.gz", Kind::TarGz),
        (".tgz", Kind::TarGz),
        (".tar.zst", Kind::TarZst),
        (".tzst", Kind::TarZst),
        (".tar", Kind::Tar),
        (".zip", Kind::Zip),
    ];
    if let Some((_, kind)) = suffixes.iter().find(|(suffix, _)| lower.ends_with(suffix)) {
        return Ok(Some(*kind));
    }
    if lower.contains('.') {
        return Ok(None);
    }
    let mut head = Vec::new();
    File::open(file)?.take(512).read_to_end(&mut head)?;
    Ok(match head.as_slice() {
        [0x1f, 0x8b, ..] => Some(Kind::TarGz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Kind::TarZst),
        [b'P', b'K', 3, 4, ..] => Some(Kind::Zip),
        other if other.get(257..262) == Some(b"ustar") => Some(Kind::Tar),
        _ => None,
    })
}

/// Unpacks a file into an existing, private, empty directory; returns the bytes written.
///
/// # Errors
/// See [`Error`]; the directory is then to be removed.
pub fn unpack(
    kind: Kind,
    file: &Path,
    target: &Path,
    bounds: Bounds,
    cancel: &CancellationToken,
) -> Result<u64, Error> {
    let mut room = Room {
        target,
        bounds,
        bytes: 0,
        files: 0,
        cancel,
    };
    let input = File::open(file)?;
    match kind {
        Kind::Tar => tar_entries(io::BufReader::new(input), &mut room)?,
        Kind::TarGz => tar_entries(flate2::read::MultiGzDecoder::new(input), &mut room)?,
        Kind::TarZst => tar_entries(zstd::Decoder::new(input)?, &mut room)?,
        Kind::Zip => zip_entries(input, &mut room)?,
    }
    Ok(room.bytes)
}

fn tar_entries(reader: impl Read, room: &mut Room<'_>) -> Result<(), Error> {
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = entry.path()?.into_owned();
        let mode = entry.header().mode()?;
        let link = entry.link_name()?.map(|link| link.into_owned());
        let kind = entry.header().entry_type();
        match (kind, link) {
            (EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse, _) => {
                room.file(&name, &path, mode, &mut entry)?;
            }
            (EntryType::Directory, _) => room.directory(&name, &path)?,
            (EntryType::Symlink, Some(to)) => room.symlink(&name, &path, &to)?,
            (EntryType::Link, Some(to)) => room.hard_link(&name, &path, &to)?,
            (EntryType::XGlobalHeader | EntryType::XHeader, _) => {}
            _ => {
                return Err(refuse(
                    &name,
                    "only files, directories and links are unpacked",
                ));
            }
        }
    }
    // What follows the end mark is read too: a cut-off stream shows here.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(())
}

fn zip_entries(file: File, room: &mut Room<'_>) -> Result<(), Error> {
    const KIND: u32 = 0o170_000;
    let mut archive = zip::ZipArchive::new(file)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        let path = PathBuf::from(&name);
        let mode = entry.unix_mode().unwrap_or(0o644);
        match mode & KIND {
            _ if entry.is_dir() => room.directory(&name, &path)?,
            0o120_000 => {
                let mut to = String::new();
                (&mut entry).take(4096).read_to_string(&mut to)?;
                room.symlink(&name, &path, Path::new(&to))?;
            }
            0 | 0o100_000 => room.file(&name, &path, mode, &mut entry)?,
            _ => {
                return Err(refuse(
                    &name,
                    "only files, directories and links are unpacked",
                ));
            }
        }
    }
    Ok(())
}

fn refuse(entry: &str, reason: &'static str) -> Error {
    Error::Entry {
        entry: entry.chars().take(200).collect(),
        reason,
    }
}

struct Room<'a> {
    target: &'a Path,
    bounds: Bounds,
    bytes: u64,
    files: u64,
    cancel: &'a CancellationToken,
}

/// The plain parts of a name; `None` when it is absolute or climbs.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts)
}

impl Room<'_> {
    /// Counts an entry and makes its parent. `None` for the root itself.
    fn enter(&mut self, name: &str, path: &Path) -> Result<Option<PathBuf>, Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        self.files += 1;
        if self.files > self.bounds.files {
            return Err(Error::Bound {
                bound: self.bounds.files,
                unit: "entries",
            });
        }
        let parts = plain(path)
            .ok_or_else(|| refuse(name, "absolute names and '..' lead out of the package"))?;
        if parts.as_os_str().is_empty() {
            return Ok(None);
        }
        if let Some(parent) = parts.parent() {
            self.make_dirs(name, parent)?;
        }
        Ok(Some(parts))
    }

    fn make_dirs(&self, name: &str, dirs: &Path) -> Result<(), Error> {
        let mut path = self.target.to_owned();
        for part in dirs.components() {
            path.push(part);
            match fs::symlink_metadata(&path) {
                Ok(data) if data.is_dir() => {}
                Ok(_) => return Err(refuse(name, "its name leads through a link or a file")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(&path)?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn clear(&self, name: &str, path: &Path) -> Result<(), Error> {
        match fs::symlink_metadata(path) {
            Ok(data) if data.is_dir() => Err(refuse(name, "it would replace a directory")),
            Ok(_) => Ok(fs::remove_file(path)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn directory(&mut self, name: &str, path: &Path) -> Result<(), Error> {
        match self.enter(name, path)? {
            Some(parts) => self.make_dirs(name, &parts),
            None => Ok(()),
        }
    }

    fn file(
        &mut self,
        name: &str,
        path: &Path,
        mode: u32,
        content: &mut impl Read,
    ) -> Result<(), Error> {
        let Some(parts) = self.enter(name, path)? else {
            return Err(refuse(name, "a file needs a name"));
        };
        let path = self.target.join(parts);
        self.clear(name, &path)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(&path)?;
        let left = self.bounds.bytes - self.bytes;
        let written = io::copy(&mut content.take(left.saturating_add(1)), &mut file)?;
        if written > left {
            return Err(Error::Bound {
                bound: self.bounds.bytes,
                unit: "bytes",
            });
        }
        self.bytes += written;
        // Readable for its owner in any case; never set-id, never writable for all.
        file.set_permissions(fs::Permissions::from_mode(mode & 0o775 | 0o600))?;
        Ok(())
    }

    fn symlink(&mut self, name: &str, path: &Path, to: &Path) -> Result<(), Error> {
        let Some(parts) = self.enter(name, path)? else {
            return Err(refuse(name, "a link needs a name"));
        };
        // It may climb first, as far as it is deep, and go down after that, never up again: a
        // name on the way down may itself be a link, from where up leads elsewhere.
        let mut depth = parts
            .parent()
            .map_or(0, |parent| parent.components().count());
        let mut down = false;
        for part in to.components() {
            match part {
                Component::ParentDir if !down && depth > 0 => depth -= 1,
                Component::Normal(_) => down = true,
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(refuse(name, "the link points out of the package"));
                }
            }
        }
        let path = self.target.join(parts);
        self.clear(name, &path)?;
        Ok(symlink(to, path)?)
    }

    fn hard_link(&mut self, name: &str, path: &Path, to: &Path) -> Result<(), Error> {
        let Some(parts) = self.enter(name, path)? else {
            return Err(refuse(name, "a link needs a name"));
        };
        let to = plain(to).ok_or_else(|| refuse(name, "the link points out of the package"))?;
        let mut source = self.target.to_owned();
        for part in to.components() {
            if fs::symlink_metadata(&source).is_ok_and(|data| !data.is_dir()) {
                return Err(refuse(name, "the link leads through a link or a file"));
            }
            source.push(part);
        }
        if !fs::symlink_metadata(&source).is_ok_and(|data| data.is_file()) {
            return Err(refuse(name, "the link does not point to an unpacked file"));
        }
        let path = self.target.join(parts);
        if path == source {
            return Ok(());
        }
        self.clear(name, &path)?;
        Ok(fs::hard_link(source, path)?)
    }
}
