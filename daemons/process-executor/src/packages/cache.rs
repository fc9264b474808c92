//! The cache on disk: files and unpacked trees by sha256, the least recently used go first.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone)]
struct Entry {
    bytes: u64,
    used: SystemTime,
    pins: usize,
}

type Index = Arc<Mutex<HashMap<String, Entry>>>;

/// What is known of an address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// sha256 of what it gave.
    pub digest: String,
    /// md5 of the same.
    pub md5: String,
    /// Validator.
    pub etag: Option<String>,
    /// Validator.
    pub last_modified: Option<String>,
}

/// The cache.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    bound: u64,
    index: Index,
}

/// Keeps an entry from being removed.
#[derive(Debug)]
pub struct Pin {
    index: Index,
    digest: String,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = index.get_mut(&self.digest) {
            entry.pins = entry.pins.saturating_sub(1);
        }
    }
}

fn tree_bytes(dir: &Path) -> u64 {
    crate::disk::usage(&[dir.to_owned()])
}

impl Cache {
    /// Opens a cache and counts what is in it.
    ///
    /// # Errors
    /// When the directories cannot be made.
    pub fn open(dir: &Path, bound: u64) -> io::Result<Self> {
        for part in ["files", "unpacked", "known", "partial"] {
            bcs_kit::files::private_folder(&dir.join(part))?;
        }
        let mut index = HashMap::new();
        for entry in fs::read_dir(dir.join("files"))?.flatten() {
            let data = entry.metadata()?;
            let digest = entry.file_name().to_string_lossy().into_owned();
            let unpacked = tree_bytes(&dir.join("unpacked").join(&digest));
            let used = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            index.insert(
                digest,
                Entry {
                    bytes: data.len() + unpacked,
                    used,
                    pins: 0,
                },
            );
        }
        for entry in fs::read_dir(dir.join("unpacked"))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Left by a crash in the middle of unpacking, or of removing.
            if !index.contains_key(&name) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let cache = Self {
            dir: dir.to_owned(),
            bound,
            index: Arc::new(Mutex::new(index)),
        };
        cache.trim();
        Ok(cache)
    }

    /// Where the file of a digest is.
    pub fn file(&self, digest: &str) -> PathBuf {
        self.dir.join("files").join(digest)
    }

    /// Where its unpacked tree is.
    pub fn unpacked(&self, digest: &str) -> PathBuf {
        self.dir.join("unpacked").join(digest)
    }

    /// Where a download under way is kept.
    pub fn partial(&self, key: &str) -> PathBuf {
        self.dir.join("partial").join(key)
    }

    /// Whether a digest is there.
    pub fn has(&self, digest: &str) -> bool {
        !digest.is_empty() && self.file(digest).is_file()
    }

    /// What is known of an address.
    pub fn known(&self, key: &str) -> Known {
        let text = fs::read(self.dir.join("known").join(key)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Remembers what an address gave.
    pub fn remember(&self, key: &str, known: &Known) {
        let text = serde_json::to_vec(known).unwrap_or_default();
        let path = self.dir.join("known").join(key);
        if let Err(error) = bcs_kit::atomic_write(&path, &text, 0o600) {
            // It will be downloaded once more.
            tracing::warn!(%error, path = %path.display(), "not remembered");
        }
    }

    /// Moves a complete file in.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn insert(&self, digest: &str, file: &Path) -> io::Result<()> {
        let bytes = fs::metadata(file)?.len();
        fs::rename(file, self.file(digest))?;
        let entry = Entry {
            bytes,
            used: SystemTime::now(),
            pins: 0,
        };
        self.lock().entry(digest.to_owned()).or_insert(entry);
        Ok(())
    }

    /// Marks a digest as used now, and keeps it until the pin is dropped.
    pub fn pin(&self, digest: &str) -> Pin {
        let now = SystemTime::now();
        let fresh = Entry {
            bytes: 0,
            used: now,
            pins: 0,
        };
        {
            let mut index = self.lock();
            let entry = index.entry(digest.to_owned()).or_insert(fresh);
            entry.pins += 1;
            entry.used = now;
        }
        if let Ok(file) = fs::File::options().append(true).open(self.file(digest)) {
            // Only for the order of removal after a restart.
            drop(file.set_modified(now));
        }
        self.trim();
        Pin {
            index: self.index.clone(),
            digest: digest.to_owned(),
        }
    }

    /// Notes that an entry takes more room.
    pub fn grown(&self, digest: &str, bytes: u64) {
        if let Some(entry) = self.lock().get_mut(digest) {
            entry.bytes += bytes;
        }
        self.trim();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what was not used for longest until the rest fits.
    fn trim(&self) {
        let mut index = self.lock();
        let mut total: u64 = index.values().map(|entry| entry.bytes).sum();
        while total > self.bound {
            let oldest = index
                .iter()
                .filter(|(_, entry)| entry.pins == 0)
                .min_by_key(|(_, entry)| entry.used)
                .map(|(digest, entry)| (digest.clone(), entry.bytes));
            let Some((digest, bytes)) = oldest else {
                return;
            };
            index.remove(&digest);
            total -= bytes;
            // The tree first: without the file it would be an orphan, removed at the next start.
            drop(fs::remove_dir_all(self.unpacked(&digest)));
            drop(fs::remove_file(self.file(&digest)));
            tracing::info!(digest, bytes, "package removed from the cache");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first_and_pinned_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 250).unwrap();
        let add = |name: &str| {
            let file = dir.path().join("new");
            fs::write(&file, vec![0; 100]).unwrap();
            cache.insert(name, &file).unwrap();
            cache.pin(name)
        };
        let a = add("a");
        drop(add("b"));
        drop(add("c"));
        assert!(
            cache.has("a") && !cache.has("b") && cache.has("c"),
            "a is in use"
        );
        drop(a);
        drop(cache.pin("a"));
        drop(add("d"));
        assert!(cache.has("a") && !cache.has("c") && cache.has("d"));
        let cache = Cache::open(dir.path(), 100).unwrap();
        assert!(
            !cache.has("a") && cache.has("d"),
            "order survives a restart"
        );
    }
}
