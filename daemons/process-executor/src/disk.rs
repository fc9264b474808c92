//! How much disk a task uses, against what it asked for: measured rarely, never enforced.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::group::{Group, Incoming};

/// More entries than this are not counted; the answer is then "at least".
const MAX_ENTRIES: usize = 200_000;

/// Bytes below some directories, hard links and shared directories counted once, links not followed,
/// other file systems not entered.
pub fn usage(dirs: &[PathBuf]) -> u64 {
    let mut seen = HashSet::new();
    let mut total = 0;
    let mut left = MAX_ENTRIES;
    for dir in dirs {
        if let Ok(data) = fs::symlink_metadata(dir) {
            walk(dir, data.dev(), &mut seen, &mut total, &mut left);
        }
    }
    total
}

fn walk(dir: &Path, device: u64, seen: &mut HashSet<u64>, total: &mut u64, left: &mut usize) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let Ok(data) = entry.metadata() else { continue };
        let shared = data.nlink() > 1 || data.is_dir();
        if data.dev() != device || shared && !seen.insert(data.ino()) {
            continue;
        }
        *total += data.blocks() * 512;
        if data.is_dir() {
            walk(&entry.path(), device, seen, total, left);
        }
    }
}

impl Group {
    /// Measures one task, in the background, with the periodic refresh.
    pub(crate) fn measure_disk(&self, id: &str) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let limit = slot.plan.limit.disk.max(slot.plan.request.disk);
        if limit <= 0.0 {
            return;
        }
        let dirs = vec![slot.plan.work_path.clone(), slot.plan.sandbox.clone()];
        let permits = self.host.preparations.clone();
        let (sender, task) = (self.sender.clone(), id.to_owned());
        self.host.tasks.spawn("disk use", async move {
            let permit = permits.acquire_owned().await;
            let Ok(bytes) = tokio::task::spawn_blocking(move || usage(&dirs)).await else {
                return;
            };
            drop(permit);
            let used = bytes as f64 / 1_048_576.0;
            let complaint = (used > limit)
                .then(|| format!("uses {used:.0} MB of disk, more than its {limit:.0} MB"));
            drop(sender.send(Incoming::Disk { task, complaint }).await);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_count_once_and_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/file"), vec![1; 100_000]).unwrap();
        let before = usage(&[dir.path().to_owned()]);
        assert!((100_000..140_000).contains(&before), "{before}");
        fs::hard_link(dir.path().join("a/file"), dir.path().join("b")).unwrap();
        std::os::unix::fs::symlink("/usr", dir.path().join("c")).unwrap();
        assert_eq!(
            usage(&[dir.path().to_owned(), dir.path().join("a")]),
            before
        );
    }
}
