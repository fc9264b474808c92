//! Rotation of the tasks' log files by size, beside writers that never reopen them.
//!
//! A task writes to its file with `O_APPEND`. When the file is too large its first part is copied to
//! `stdout.1` (older ones move up) and cut off the front: with `FALLOC_FL_COLLAPSE_RANGE` where the
//! file system can, which loses nothing that is written meanwhile; elsewhere by truncation, which may
//! lose the few lines written between copy and cut.
//!
//! Growth is noticed by inotify, one event at a time: after an event the file is looked at once, a
//! second later, and only then is the watch armed again. Quiet files cost nothing, busy ones a
//! `stat` a second.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bcs_kit::Shutdown;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::inotify::{AddWatchFlags, WatchDescriptor};
use tokio::sync::mpsc;
use tokio_util::time::DelayQueue;

use crate::metrics::Metrics;
use crate::notify::Notify;

/// Orders that wait; an order that finds no room is dropped with a warning, which costs only the
/// rotation of one file.
const QUEUE: usize = 4096;
/// Between an event and the look at the file.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a file is looked at where events cannot be had.
const BLIND: Duration = Duration::from_secs(15);

#[derive(Debug)]
enum Order {
    Watch(PathBuf),
    Unwatch(PathBuf),
}

/// A handle; clones share the watcher.
#[derive(Debug, Clone)]
pub struct Logs(mpsc::Sender<Order>);

/// The watcher, to be run.
#[derive(Debug)]
pub struct Watcher {
    orders: mpsc::Receiver<Order>,
    limit: u64,
    keep: u32,
    metrics: Metrics,
}

/// A watcher that rotates files above `limit` bytes and keeps `keep` old ones.
pub fn watcher(limit: u64, keep: u32, metrics: Metrics) -> (Logs, Watcher) {
    let (sender, orders) = mpsc::channel(QUEUE);
    (
        Logs(sender),
        Watcher {
            orders,
            limit,
            keep,
            metrics,
        },
    )
}

impl Logs {
    /// Looks after a file from now on; it need not exist yet.
    pub fn watch(&self, path: &Path) {
        self.send(Order::Watch(path.to_owned()));
    }

    /// No longer.
    pub fn unwatch(&self, path: &Path) {
        self.send(Order::Unwatch(path.to_owned()));
    }

    fn send(&self, order: Order) {
        if let Err(error) = self.0.try_send(order) {
            tracing::warn!(%error, "a log file is not looked after");
        }
    }
}

impl Watcher {
    /// Runs until shutdown.
    pub async fn run(mut self, shutdown: Shutdown) {
        let notify = Notify::new().inspect_err(|error| {
            tracing::warn!(%error, "no inotify; log files are looked at from time to time");
        });
        let notify = notify.ok();
        let mut watched: HashMap<WatchDescriptor, PathBuf> = HashMap::new();
        let mut known: HashMap<PathBuf, ()> = HashMap::new();
        let mut due: DelayQueue<PathBuf> = DelayQueue::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                order = self.orders.recv() => match order {
                    None => return,
                    Some(Order::Watch(path)) => {
                        if known.insert(path.clone(), ()).is_none() {
                            due.insert(path, PAUSE);
                        }
                    }
                    Some(Order::Unwatch(path)) => {
                        known.remove(&path);
                    }
                },
                events = events(notify.as_ref()) => {
                    for event in events {
                        if let Some(path) = watched.remove(&event.wd)
                            && known.contains_key(&path)
                        {
                            due.insert(path, PAUSE);
                        }
                    }
                }
                Some(path) = next(&mut due) => {
                    if !known.contains_key(&path) {
                        continue;
                    }
                    self.look(&path).await;
                    let flags = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_ONESHOT;
                    match notify.as_ref().map(|notify| notify.add(&path, flags)) {
                        Some(Ok(watch)) => {
                            watched.insert(watch, path);
                        }
                        // It does not exist yet, or there are too many watches.
                        Some(Err(_)) | None => {
                            due.insert(path, BLIND);
                        }
                    }
                }
            }
        }
    }

    async fn look(&self, path: &Path) {
        if !fs::metadata(path).is_ok_and(|data| data.len() > self.limit) {
            return;
        }
        let (path, keep) = (path.to_owned(), self.keep);
        let shown = path.display().to_string();
        let rotated = tokio::task::spawn_blocking(move || rotate(&path, keep)).await;
        match rotated {
            Ok(Ok(())) => {
                self.metrics.rotations.inc();
            }
            Ok(Err(error)) => tracing::warn!(path = shown, %error, "log not rotated"),
            Err(error) => tracing::warn!(path = shown, %error, "log not rotated"),
        }
    }
}

async fn next(due: &mut DelayQueue<PathBuf>) -> Option<PathBuf> {
    std::future::poll_fn(|context| due.poll_expired(context))
        .await
        .map(|entry| entry.into_inner())
}

async fn events(notify: Option<&Notify>) -> Vec<nix::sys::inotify::InotifyEvent> {
    match notify {
        Some(notify) => match notify.events().await {
            Ok(events) => events,
            Err(error) => {
                tracing::warn!(%error, "inotify");
                std::future::pending().await
            }
        },
        None => std::future::pending().await,
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{number}"));
    path.with_file_name(name)
}

/// Moves what is in the file to `<file>.1`.
///
/// # Errors
/// When the file system refuses; the log is then as it was, or only longer than wished.
pub fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    let flags = nix::libc::O_NOFOLLOW;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(path)?;
    let data = file.metadata()?;
    if !data.is_file() {
        return Ok(());
    }
    // Only whole blocks can be taken out of a file, and at least one byte must stay.
    let block = data.blksize().max(4096);
    let whole = data.len().saturating_sub(1) / block * block;
    if keep > 0 {
        copy_out(&file, path, keep, whole)?;
    }
    let collapse = FallocateFlags::FALLOC_FL_COLLAPSE_RANGE;
    let length = i64::try_from(whole).map_err(io::Error::other)?;
    if whole > 0 && fallocate(&file, collapse, 0, length).is_ok() {
        return Ok(());
    }
    if keep > 0 {
        // The rest goes along, as it is about to be cut off too.
        let mut rest = OpenOptions::new().append(true).open(numbered(path, 1))?;
        copy_range(&file, &mut rest, whole, u64::MAX)?;
    }
    file.set_len(0)
}

fn copy_out(file: &File, path: &Path, keep: u32, length: u64) -> io::Result<()> {
    let fresh = numbered(path, 0);
    drop(fs::remove_file(&fresh));
    let mut copy = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(&fresh)?;
    if let Err(error) = copy_range(file, &mut copy, 0, length) {
        drop(fs::remove_file(&fresh));
        // A full disk is no reason to grow further: the old logs go first.
        drop(fs::remove_file(numbered(path, keep)));
        return Err(error);
    }
    for number in (1..keep).rev() {
        match fs::rename(numbered(path, number), numbered(path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    fs::rename(&fresh, numbered(path, 1))
}

fn copy_range(from: &File, to: &mut File, start: u64, length: u64) -> io::Result<()> {
    let mut from = from;
    from.seek(SeekFrom::Start(start))?;
    let mut part = Read::take(from, length);
    io::copy(&mut part, to)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(paths: &[PathBuf]) -> Vec<u64> {
        let mut all = Vec::new();
        for path in paths {
            let text = fs::read_to_string(path).unwrap_or_default();
            all.extend(text.lines().map(|line| line.trim().parse::<u64>().unwrap()));
        }
        all
    }

    #[test]
    fn nothing_is_lost_while_a_writer_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout");
        let writer = {
            let path = path.clone();
            std::thread::spawn(move || {
                let mut file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(&path)
                    .unwrap();
                for number in 0..40_000_u64 {
                    writeln!(file, "{number:>15}").unwrap();
                }
            })
        };
        while !writer.is_finished() {
            if fs::metadata(&path).is_ok_and(|data| data.len() > 64 << 10) {
                rotate(&path, 100).unwrap();
            }
        }
        writer.join().unwrap();
        let mut paths: Vec<PathBuf> = (1..=100).rev().map(|n| numbered(&path, n)).collect();
        paths.push(path.clone());
        let got = lines(&paths);
        if collapses(dir.path()) {
            assert_eq!(got, (0..40_000).collect::<Vec<_>>());
        } else {
            assert!(
                got.len() > 30_000,
                "copy and truncate loses little: {}",
                got.len()
            );
        }
    }

    fn collapses(dir: &Path) -> bool {
        let path = dir.join("probe");
        fs::write(&path, vec![0; 16384]).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        fallocate(&file, FallocateFlags::FALLOC_FL_COLLAPSE_RANGE, 0, 4096).is_ok()
    }

    #[test]
    fn only_so_many_old_files_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stderr");
        for round in 0..6_u8 {
            let mut file = OpenOptions::new()
                .append(true)
                .create(true)
                .open(&path)
                .unwrap();
            file.write_all(&vec![b'0' + round; 9000]).unwrap();
            rotate(&path, 3).unwrap();
        }
        let names = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 4, "the log and three old ones");
        assert!(fs::metadata(&path).unwrap().len() < 9000);
        // Without old files the content is simply dropped.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&[b'x'; 9000]).unwrap();
        rotate(&path, 0).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 9000);
    }
}
