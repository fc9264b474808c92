//! An append-only file of checksummed entries, rewritten when most of it is history.
//!
//! ```text
//!   file  = magic entry*        entry = length u32 LE, checksum u64 LE (FNV-1a of the bytes), bytes
//! ```
//! One write and one `fdatasync` for each batch of entries. A torn end, which a crash leaves, is cut off when the
//! file is opened: what it held was never acted upon, because effects follow the sync.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use prost::Message as _;

use crate::records::Entry;

const MAGIC: &[u8; 8] = b"bcsagt1\n";
/// An entry above this is a broken length, not an entry.
const LARGEST: usize = 256 << 20;
/// Below this size the file is not rewritten.
const COMPACT_ABOVE: u64 = 1 << 20;

/// The open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    /// The length right after the last rewrite.
    base: u64,
}

fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn frame(buffer: &mut Vec<u8>, entry: &Entry) {
    let bytes = entry.encode_to_vec();
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&checksum(&bytes).to_le_bytes());
    buffer.extend_from_slice(&bytes);
}

/// The entry at the head of `bytes`, and how many bytes it takes. `None`: torn or broken.
fn parse(bytes: &[u8]) -> Option<(Entry, usize)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= LARGEST)?;
    let sum = u64::from_le_bytes(bytes.get(4..12)?.try_into().ok()?);
    let body = bytes.get(12..12 + length)?;
    if checksum(body) != sum {
        return None;
    }
    Some((Entry::decode(body).ok()?, 12 + length))
}

impl Journal {
    /// Opens the journal and reads what it holds.
    ///
    /// # Errors
    /// What the file system says, or that the file is no journal.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Vec<Entry>)> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut entries = Vec::new();
        let mut at = MAGIC.len();
        if bytes.len() < MAGIC.len() {
            // Never finished writing the first bytes: empty.
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(MAGIC)?;
            file.sync_all()?;
        } else if !bytes.starts_with(MAGIC) {
            let text = "it is not a journal of this version of the agent";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        while let Some((entry, taken)) = bytes.get(at..).and_then(parse) {
            entries.push(entry);
            at += taken;
        }
        if at < bytes.len() {
            tracing::warn!(path = %path.display(), torn = bytes.len() - at, "journal has a torn end, cut off");
            file.set_len(at as u64)?;
        }
        file.seek(SeekFrom::End(0))?;
        let length = at as u64;
        Ok((
            Self {
                path: path.to_owned(),
                file,
                length,
                base: 0,
            },
            entries,
        ))
    }

    /// Appends entries, durable when it returns.
    ///
    /// # Errors
    /// What the file system says. The file is cut back to what it was, so that a later append is not lost behind
    /// a torn entry.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let mut buffer = Vec::new();
        for entry in entries {
            frame(&mut buffer, entry);
        }
        let written = self
            .file
            .write_all(&buffer)
            .and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.length += buffer.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.file.set_len(self.length)?;
                self.file.seek(SeekFrom::End(0))?;
                Err(error)
            }
        }
    }

    /// Most of the file is history.
    pub(crate) fn wants_compaction(&self) -> bool {
        self.length > COMPACT_ABOVE && self.length > self.base.saturating_mul(4)
    }

    /// Replaces the file by these entries, whole or not at all.
    ///
    /// # Errors
    /// What the file system says; the old file is then still in use.
    pub(crate) fn rewrite(&mut self, entries: &[Entry]) -> io::Result<()> {
        let mut buffer = MAGIC.to_vec();
        for entry in entries {
            frame(&mut buffer, entry);
        }
        bcs_kit::atomic_write(&self.path, &buffer, 0o600)?;
        let mut file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        file.seek(SeekFrom::End(0))?;
        self.file = file;
        self.length = buffer.len() as u64;
        self.base = self.length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        Entry {
            agent_id: Some(text.to_owned()),
            ..Entry::default()
        }
    }

    #[test]
    fn a_journal_cut_at_any_byte_reads_its_whole_entries() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let all: Vec<Entry> = (0..5)
            .map(|number| entry(&"x".repeat(number * 7)))
            .collect();
        journal.append(&all[..2]).unwrap();
        journal.append(&all[2..]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for cut in 0..=bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let (mut journal, entries) = Journal::open(&path).unwrap();
            assert_eq!(entries, all[..entries.len()], "cut at {cut}");
            journal.append(&[entry("after")]).unwrap();
            let (_, again) = Journal::open(&path).unwrap();
            assert_eq!(again.len(), entries.len() + 1, "cut at {cut}");
            assert_eq!(again.last(), Some(&entry("after")));
        }
    }

    #[test]
    fn a_flipped_bit_ends_the_readable_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&[entry("first"), entry("second")]).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let (_, entries) = Journal::open(&path).unwrap();
        assert_eq!(entries, vec![entry("first")]);
    }

    #[test]
    fn a_rewritten_journal_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&[entry("a"), entry("b")]).unwrap();
        journal.rewrite(&[entry("b")]).unwrap();
        journal.append(&[entry("c")]).unwrap();
        let (_, entries) = Journal::open(&path).unwrap();
        assert_eq!(entries, vec![entry("b"), entry("c")]);
        std::fs::write(&path, b"something else entirely").unwrap();
        assert!(Journal::open(&path).is_err());
    }
}
