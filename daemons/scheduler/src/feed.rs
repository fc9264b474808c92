//! The watch feed: a bounded ring of lines, one per change, for readers that resume.
//!
//! Revisions are those of the store. All lines of one commit but the last carry the revision before
//! it, so a reader that is cut in the middle of a commit resumes before it and loses nothing; it
//! sees some lines twice, which PUT and DELETE forgive.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::watch;

use crate::core::output::Change;

/// Bytes that the ring holds at most, whatever the number of lines.
const MOST_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug)]
struct Ring {
    /// Sequence number of the first line in `lines`.
    first: u64,
    /// Sequence number and line; the revision is that of the commit.
    lines: VecDeque<(u64, Bytes)>,
    bytes: usize,
    /// Everything after this revision is in `lines`.
    oldest: u64,
    /// The last commit.
    revision: u64,
}

/// The ring and the bell that wakes its readers.
#[derive(Debug)]
pub(crate) struct Feed {
    ring: Mutex<Ring>,
    bell: watch::Sender<u64>,
    capacity: usize,
}

/// Where a reader is: the sequence number of the next line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position(u64);

/// The place asked for is no longer, or not yet, in the ring.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooOld {
    pub(crate) oldest: u64,
    pub(crate) revision: u64,
}

impl Feed {
    pub(crate) fn new(revision: u64, capacity: usize) -> Self {
        let ring = Ring {
            first: 0,
            lines: VecDeque::new(),
            bytes: 0,
            oldest: revision,
            revision,
        };
        Self {
            ring: Mutex::new(ring),
            bell: watch::Sender::new(0),
            capacity: capacity.max(16),
        }
    }

    /// Adds the changes of one commit.
    pub(crate) fn publish(&self, revision: u64, changes: &[Change]) {
        let next = {
            let mut ring = self.ring();
            let before = ring.revision;
            ring.revision = revision;
            let count = changes.len();
            for (position, change) in changes.iter().enumerate() {
                let told = if position + 1 == count {
                    revision
                } else {
                    before
                };
                let line = line(told, change);
                ring.bytes += line.len();
                ring.lines.push_back((revision, line));
            }
            while ring.lines.len() > self.capacity || ring.bytes > MOST_BYTES {
                let Some((revision, line)) = ring.lines.pop_front() else {
                    break;
                };
                ring.bytes -= line.len();
                ring.first += 1;
                ring.oldest = revision;
            }
            ring.first + u64::try_from(ring.lines.len()).unwrap_or(u64::MAX)
        };
        self.bell.send_replace(next);
    }

    /// Where to begin for what came after a revision.
    pub(crate) fn after(&self, revision: u64) -> Result<Position, TooOld> {
        let ring = self.ring();
        if revision < ring.oldest || revision > ring.revision {
            return Err(TooOld {
                oldest: ring.oldest,
                revision: ring.revision,
            });
        }
        let skip = ring.lines.partition_point(|(of, _)| *of <= revision);
        Ok(Position(
            ring.first + u64::try_from(skip).unwrap_or(u64::MAX),
        ))
    }

    /// The lines at a position, at most `limit`, with the position after them and the revision of
    /// the ring as it was; `None` when the reader was too slow.
    pub(crate) fn read(
        &self,
        position: Position,
        limit: usize,
    ) -> Option<(Vec<Bytes>, Position, u64)> {
        let ring = self.ring();
        let skip = usize::try_from(position.0.checked_sub(ring.first)?).ok()?;
        let lines: Vec<Bytes> = ring
            .lines
            .iter()
            .skip(skip)
            .take(limit)
            .map(|(_, line)| line.clone())
            .collect();
        let next = position.0 + u64::try_from(lines.len()).unwrap_or(0);
        Some((lines, Position(next), ring.revision))
    }

    pub(crate) fn revision(&self) -> u64 {
        self.ring().revision
    }

    /// Rings whenever something was published.
    pub(crate) fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(revision: u64, change: &Change) -> Bytes {
    let kind = if change.object.is_some() {
        "PUT"
    } else {
        "DELETE"
    };
    let mut record = json!({
        "revision": revision, "type": kind, "kind": change.kind,
        "namespace": change.namespace, "name": change.name,
    });
    if let (Some(object), Some(map)) = (&change.object, record.as_object_mut()) {
        map.insert("object".to_owned(), object.clone());
    }
    end(&record)
}

/// One record as a line.
pub(crate) fn end(record: &serde_json::Value) -> Bytes {
    let mut text = record.to_string();
    text.push('\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str) -> Change {
        Change {
            kind: "application",
            namespace: "n".into(),
            name: name.into(),
            object: None,
        }
    }

    fn names(lines: &[Bytes]) -> Vec<(u64, String)> {
        lines
            .iter()
            .map(|line| {
                let value: serde_json::Value = serde_json::from_slice(line).unwrap();
                let name = value["name"].as_str().unwrap().to_owned();
                (value["revision"].as_u64().unwrap(), name)
            })
            .collect()
    }

    #[test]
    fn a_reader_cut_inside_a_commit_resumes_before_it() {
        let feed = Feed::new(10, 100);
        feed.publish(11, &[change("a"), change("b")]);
        feed.publish(12, &[change("c")]);
        let start = feed.after(10).unwrap();
        let (lines, _, _) = feed.read(start, 100).unwrap();
        let wanted = [(10, "a"), (11, "b"), (12, "c")];
        assert_eq!(
            names(&lines),
            wanted.map(|(revision, name)| (revision, name.to_owned()))
        );
        let (lines, next, _) = feed.read(feed.after(11).unwrap(), 100).unwrap();
        assert_eq!(names(&lines), [(12, "c".to_owned())]);
        assert!(feed.read(next, 100).unwrap().0.is_empty());
    }

    #[test]
    fn positions_out_of_the_ring_are_refused() {
        let feed = Feed::new(5, 16);
        assert!(feed.after(4).is_err() && feed.after(6).is_err() && feed.after(5).is_ok());
        let slow = feed.after(5).unwrap();
        for revision in 6..40 {
            feed.publish(revision, &[change("x")]);
        }
        assert!(feed.read(slow, 1).is_none());
        assert_eq!(
            feed.after(5),
            Err(TooOld {
                oldest: 23,
                revision: 39
            })
        );
        assert_eq!(feed.read(feed.after(23).unwrap(), 100).unwrap().0.len(), 16);
    }
}
