//! Reading and writing the small files of a control group; errors carry path and content.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A control file or directory refused.
#[derive(Debug, thiserror::Error)]
#[error("{action} {path}{data}: {source}")]
pub struct Error {
    /// `create`, `read`, `write` or `remove`.
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// ` <- value` for writes.
    pub data: String,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

pub(crate) fn error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error {
        action,
        path: path.to_owned(),
        data: String::new(),
        source,
    }
}

/// Writes a value with one system call, as the kernel wants it; never creates the file.
pub(crate) fn write(path: &Path, value: &str) -> Result<(), Error> {
    let result = fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| file.write_all(value.as_bytes()));
    result.map_err(|source| Error {
        data: format!(" <- {value:?}"),
        ..error("write", path, source)
    })
}

pub(crate) fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| error("read", path, source))
}

pub(crate) fn number(path: &Path) -> Option<u64> {
    read(path).ok()?.trim().parse().ok()
}

/// The value behind `key` in a file of `key value` lines.
pub(crate) fn keyed(path: &Path, key: &str) -> Option<u64> {
    read(path).ok()?.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    })
}

/// Creates a directory; an existing one is fine.
pub(crate) fn make_dir(path: &Path) -> Result<(), Error> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(error("create", path, source)),
        Ok(()) => Ok(()),
    }
}
