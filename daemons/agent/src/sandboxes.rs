//! Sandboxes of ended executors: kept for a while and up to a size, then removed, oldest first.
//!
//! ```text
//!   sandboxes / FRAMEWORK / EXECUTOR / RUN     RUN begins with the time of its start, so names sort by age
//! ```
//! A sandbox that ended gets the file `.ended`; its time is when it ended. Only such are ever removed.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bcs_kit::Context;
use tokio::sync::mpsc;

use crate::settings::SandboxSettings;

const MARK: &str = ".ended";
const SWEEP: Duration = Duration::from_secs(600);

/// Marks what ended, and sweeps now and then.
pub(crate) async fn run(
    root: PathBuf,
    rules: SandboxSettings,
    mut retired: mpsc::Receiver<PathBuf>,
    context: Context,
) {
    let mut timer = tokio::time::interval(SWEEP);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = context.shutdown.cancelled() => return,
            directory = retired.recv() => {
                let Some(directory) = directory else { return };
                if let Err(error) = std::fs::write(directory.join(MARK), b"") {
                    tracing::debug!(directory = %directory.display(), %error, "sandbox cannot be marked as ended");
                }
            }
            _ = timer.tick() => {
                let (root, rules) = (root.clone(), rules.clone());
                let swept = tokio::task::spawn_blocking(move || sweep(&root, &rules, SystemTime::now())).await;
                if let Ok(count @ 1..) = swept {
                    tracing::info!(count, "old sandboxes removed");
                }
            }
        }
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Bytes below a directory; links are not followed.
fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Removes what is too old, and then the oldest while all are too large. Returns how many were removed.
fn sweep(root: &Path, rules: &SandboxSettings, now: SystemTime) -> usize {
    let mut ended: Vec<(SystemTime, PathBuf, u64)> = folders(root)
        .iter()
        .flat_map(|framework| folders(framework))
        .flat_map(|executor| folders(&executor))
        .filter_map(|run| {
            Some((
                std::fs::symlink_metadata(run.join(MARK))
                    .ok()?
                    .modified()
                    .ok()?,
                run,
            ))
        })
        .map(|(at, run)| {
            let bytes = size(&run);
            (at, run, bytes)
        })
        .collect();
    ended.sort();
    let mut total: u64 = ended.iter().map(|(_, _, bytes)| bytes).sum();
    let mut removed = 0;
    for (at, run, bytes) in ended {
        let old = now.duration_since(at).is_ok_and(|age| age > rules.keep);
        if !old && total <= rules.keep_bytes {
            continue;
        }
        total = total.saturating_sub(bytes);
        match std::fs::remove_dir_all(&run) {
            Ok(()) => removed += 1,
            Err(error) => {
                tracing::warn!(sandbox = %run.display(), %error, "sandbox cannot be removed");
            }
        }
        for parent in run.ancestors().skip(1).take(2) {
            // Only works when it is empty, which is what is wanted.
            drop(std::fs::remove_dir(parent));
        }
    }
    removed
}

/// The sandbox of the last run of an executor.
pub(crate) fn latest(root: &Path, framework: &str, executor: &str) -> Option<PathBuf> {
    folders(&root.join(framework).join(executor))
        .into_iter()
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ended_sandboxes_go_and_the_oldest_first() {
        let root = tempfile::tempdir().unwrap();
        let make = |name: &str, ended: bool, bytes: usize| {
            let run = root.path().join("f").join(name).join("0001-a");
            std::fs::create_dir_all(&run).unwrap();
            std::fs::write(run.join("stdout"), vec![0; bytes]).unwrap();
            if ended {
                std::fs::write(run.join(MARK), b"").unwrap();
                // Times on disk may be coarse.
                std::thread::sleep(Duration::from_millis(20));
            }
            run
        };
        let (old, young, live) = (
            make("old", true, 100),
            make("young", true, 100),
            make("live", false, 1000),
        );
        let rules = SandboxSettings {
            keep: Duration::from_secs(3600),
            keep_bytes: 150,
        };
        assert_eq!(sweep(root.path(), &rules, SystemTime::now()), 1);
        assert!(
            !old.exists() && !old.parent().unwrap().exists() && young.exists() && live.exists()
        );
        let later = SystemTime::now() + Duration::from_secs(7200);
        assert_eq!(sweep(root.path(), &rules, later), 1);
        assert!(!young.exists() && live.exists());
        assert_eq!(latest(root.path(), "f", "live"), Some(live));
    }
}
