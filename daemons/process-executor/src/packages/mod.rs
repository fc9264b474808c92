//! Packages: fetched once however many tasks wait, checked, kept in a bounded cache by content,
//! unpacked once, and put into each task's directory as its own copy.
//!
//! A copy rather than a link to shared files: a program may change what it was given, and six
//! instances must not change each other's. Where the file system can, the copy shares blocks. A
//! directory that already holds exactly these packages is left alone; otherwise every file is
//! replaced by rename, so that a program that runs from there keeps what it has open.

pub mod archive;
pub mod cache;
pub mod fetch;
pub mod place;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bcs_model::dataclass::Uri;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::settings::Settings;
use cache::{Cache, Pin};

/// Why a package is not there.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The address.
    #[error("package {url:?}: {reason}")]
    Address {
        /// As given.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The server or the way to it.
    #[error("package {url}: {reason}")]
    Download {
        /// Without password.
        url: String,
        /// What happened.
        reason: String,
    },
    /// It is not what it should be.
    #[error(
        "package {url}: {algorithm} is {found}, expected {expected}; the server has another file, or it was damaged"
    )]
    Checksum {
        /// Without password.
        url: String,
        /// sha256 or md5.
        algorithm: &'static str,
        /// Of the file received.
        found: String,
        /// As demanded.
        expected: String,
    },
    /// The content is refused.
    #[error("package {name}: {reason}")]
    Content {
        /// File name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// This host's file system.
    #[error("package {name}: {path}: {source}")]
    File {
        /// File name.
        name: String,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The task was stopped meanwhile.
    #[error("given up because the task was stopped")]
    Cancelled,
}

/// Bounds of what is taken from a package.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Unpacked bytes.
    pub bytes: u64,
    /// Files, directories and links.
    pub files: u64,
}

struct Shared {
    cache: Cache,
    bounds: Bounds,
    /// One at a time for each download, unpacking and target.
    locks: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

/// Fetches and keeps packages; clones share the cache.
#[derive(Clone)]
pub struct Packages {
    shared: Arc<Shared>,
    fetcher: Arc<fetch::Fetcher>,
}

/// A package in the cache; stays there as long as this lives.
#[derive(Clone)]
pub struct Package {
    shared: Arc<Shared>,
    /// sha256 of the file, hexadecimal.
    pub digest: String,
    /// File name.
    pub name: String,
    file: PathBuf,
    /// Held, not read.
    _pin: Arc<Pin>,
}

impl Packages {
    /// Opens the cache below `data_dir`.
    ///
    /// # Errors
    /// When the cache cannot be made, or no HTTP client.
    pub fn open(settings: &Settings, metrics: &Metrics) -> io::Result<Self> {
        let dir = settings.data_dir.join("packages");
        let cache = Cache::open(&dir, settings.cache_bytes)?;
        let bounds = Bounds {
            bytes: settings.unpacked_max_bytes,
            files: settings.package_max_files,
        };
        let fetcher = fetch::Fetcher::new(settings, metrics).map_err(io::Error::other)?;
        let shared = Shared {
            cache,
            bounds,
            locks: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            fetcher: Arc::new(fetcher),
        })
    }

    /// Gets a package into the cache.
    ///
    /// # Errors
    /// See [`PackageError`].
    pub async fn fetch(
        &self,
        uri: &Uri,
        cancel: &CancellationToken,
    ) -> Result<Package, PackageError> {
        let (digest, name) = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(PackageError::Cancelled),
            fetched = self.fetcher.fetch(uri, &self.shared.cache) => fetched?,
        };
        let file = self.shared.cache.file(&digest);
        let pin = Arc::new(self.shared.cache.pin(&digest));
        Ok(Package {
            shared: self.shared.clone(),
            digest,
            name,
            file,
            _pin: pin,
        })
    }

    /// Gets the content of a configuration file.
    ///
    /// # Errors
    /// See [`PackageError`].
    pub async fn fetch_small(
        &self,
        url: &str,
        user: &str,
        password: &str,
        limit: u64,
        cancel: &CancellationToken,
    ) -> Result<Vec<u8>, PackageError> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(PackageError::Cancelled),
            content = self.fetcher.content(url, user, password, limit) => content,
        }
    }
}

impl Shared {
    fn lock(&self, key: &str) -> Arc<Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        locks.entry(key.to_owned()).or_default().clone()
    }
}

impl Package {
    fn refuse(&self, reason: impl Into<String>) -> PackageError {
        PackageError::Content {
            name: self.name.clone(),
            reason: reason.into(),
        }
    }

    fn io(&self, path: &std::path::Path, source: io::Error) -> PackageError {
        PackageError::File {
            name: self.name.clone(),
            path: path.to_owned(),
            source,
        }
    }

    /// The unpacked content, made on first use; `None` for a file that is no archive.
    fn unpacked(&self, cancel: &CancellationToken) -> Result<Option<PathBuf>, PackageError> {
        let kind = match archive::kind(&self.name, &self.file) {
            Ok(Some(kind)) => kind,
            Ok(None) => return Ok(None),
            Err(error) => return Err(self.io(&self.file, error)),
        };
        let target = self.shared.cache.unpacked(&self.digest);
        let lock = self.shared.lock(&self.digest);
        let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if target.is_dir() {
            return Ok(Some(target));
        }
        let fresh = target.with_extension("new");
        drop(std::fs::remove_dir_all(&fresh));
        std::fs::create_dir_all(&fresh).map_err(|error| self.io(&fresh, error))?;
        let bounds = self.shared.bounds;
        let bytes = match archive::unpack(kind, &self.file, &fresh, bounds, cancel) {
            Ok(bytes) => bytes,
            Err(error) => {
                drop(std::fs::remove_dir_all(&fresh));
                return Err(match error {
                    archive::Error::Cancelled => PackageError::Cancelled,
                    other => self.refuse(other.to_string()),
                });
            }
        };
        std::fs::rename(&fresh, &target).map_err(|error| self.io(&target, error))?;
        self.shared.cache.grown(&self.digest, bytes);
        Ok(Some(target))
    }
}

#[cfg(test)]
mod tests;
