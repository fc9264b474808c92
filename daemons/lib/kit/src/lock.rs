//! One daemon for each data directory.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// Held as long as the daemon lives; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: Flock<File>,
}

/// Why the directory is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("{} is in use by another bcs (its lock file {} is held); stop that one or choose another directory", directory.display(), file.display())]
    Held {
        /// The directory.
        directory: PathBuf,
        /// The lock file.
        file: PathBuf,
    },
    /// The lock file cannot be opened.
    #[error("cannot open the lock file {}: {source}", file.display())]
    Open {
        /// The lock file.
        file: PathBuf,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
}

impl DirectoryLock {
    /// Takes the lock of `directory` (which must exist) without waiting.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process has it.
    pub fn acquire(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| LockError::Open {
                file: path.clone(),
                source,
            })?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map(|file| Self { _file: file })
            .map_err(|_| LockError::Held {
                directory: directory.to_owned(),
                file: path,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_holder() {
        let folder = tempfile::tempdir().unwrap();
        let first = DirectoryLock::acquire(folder.path()).unwrap();
        let error = DirectoryLock::acquire(folder.path()).unwrap_err();
        assert!(error.to_string().contains("in use by another bcs"));
        drop(first);
        DirectoryLock::acquire(folder.path()).unwrap();
    }
}
