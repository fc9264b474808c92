//! Ordered keys with revisions, compare-and-swap, fencing terms and a resumable watch.
//!
//! The store has one revision that grows by one with each transaction that changes something. Every
//! key carries the revision of its last change. A transaction is all or nothing and durable when
//! `transact` returns; concurrent transactions share one disk flush. A watch delivers *whole*
//! transactions in order, never a part of one, so a revision taken from it is always a safe place
//! to resume.
//!
//! All calls are cancel-safe: a dropped `transact` future has either committed entirely or not at all.

use async_trait::async_trait;

use crate::{Revision, StoreError};

/// Longest key in bytes.
pub const MAX_KEY_BYTES: usize = 1024;
/// Largest value in bytes.
pub const MAX_VALUE_BYTES: usize = 8 * 1024 * 1024;

/// A key with its value and the revision that last changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// Revision of the last change of this key.
    pub revision: Revision,
}

/// One page of a range read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Entries in key order.
    pub entries: Vec<Entry>,
    /// The store's revision that this page shows. To list then watch, keep the *first* page's.
    pub revision: Revision,
    /// Whether keys follow; pass the last key as `after` to go on.
    pub more: bool,
}

/// The right to write as a leader: the number grows with each acquisition of the role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The leader role, for example `scheduler`.
    pub role: String,
    /// Which leadership of the role this is; the first is 1.
    pub number: u64,
}

/// What a transaction requires of a key before it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist.
    Absent,
    /// The key exists with exactly this revision.
    Revision(Revision),
}

/// A batch that is applied entirely or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// All must hold.
    pub conditions: Vec<(String, Expect)>,
    /// Keys to write. A key may be written or deleted once per transaction.
    pub puts: Vec<(String, Vec<u8>)>,
    /// Keys to remove; an absent key is no error and no change.
    pub deletes: Vec<String>,
    /// The leadership under which this is written.
    pub fence: Option<Term>,
}

impl Transaction {
    /// An empty transaction.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires that `key` does not exist.
    #[must_use]
    pub fn require_absent(mut self, key: impl Into<String>) -> Self {
        self.conditions.push((key.into(), Expect::Absent));
        self
    }

    /// Requires that `key` was last changed at `revision`.
    #[must_use]
    pub fn require_revision(mut self, key: impl Into<String>, revision: Revision) -> Self {
        self.conditions
            .push((key.into(), Expect::Revision(revision)));
        self
    }

    /// Writes `key`.
    #[must_use]
    pub fn put(mut self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.puts.push((key.into(), value.into()));
        self
    }

    /// Removes `key`.
    #[must_use]
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.deletes.push(key.into());
        self
    }

    /// Writes as the leader of `term`; refused once a newer term exists.
    #[must_use]
    pub fn fenced(mut self, term: &Term) -> Self {
        self.fence = Some(term.clone());
        self
    }

    /// Checks sizes and that no key is touched twice. Back ends call it before queueing.
    pub fn validate(&self) -> Result<(), StoreError> {
        let mut touched: Vec<&str> = Vec::with_capacity(self.puts.len() + self.deletes.len());
        for (key, value) in &self.puts {
            check_key(key)?;
            if value.len() > MAX_VALUE_BYTES {
                return Err(StoreError::invalid(
                    "value",
                    &format!("{} bytes for {key}", value.len()),
                    format!("at most {MAX_VALUE_BYTES} bytes"),
                ));
            }
            touched.push(key);
        }
        for key in &self.deletes {
            check_key(key)?;
            touched.push(key);
        }
        for (key, _) in &self.conditions {
            check_key(key)?;
        }
        touched.sort_unstable();
        if let Some(pair) = touched.windows(2).find(|pair| pair.first() == pair.last()) {
            let key = pair.first().copied().unwrap_or_default();
            return Err(StoreError::invalid("key", key, "once in a transaction"));
        }
        Ok(())
    }
}

fn check_key(key: &str) -> Result<(), StoreError> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES || key.contains('\0') {
        return Err(StoreError::invalid(
            "key",
            key,
            format!("1 to {MAX_KEY_BYTES} bytes without NUL"),
        ));
    }
    Ok(())
}

/// One changed key. `value` is `None` when the key was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key.
    pub key: String,
    /// The new value, or `None` for a removal.
    pub value: Option<Vec<u8>>,
    /// The revision of the transaction.
    pub revision: Revision,
}

/// What a watch hands out: whole transactions, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyChanges {
    /// Changes in order; may be empty when only keys outside the prefix changed.
    pub changes: Vec<KeyChange>,
    /// Everything up to this revision has been delivered; resume from here.
    pub revision: Revision,
}

/// A running watch. `next` waits for news and is cancel-safe: nothing is lost when it is dropped.
#[async_trait]
pub trait KeyWatch: Send {
    /// The next batch of changes. `StoreError::Compacted` when this reader fell behind what is kept.
    async fn next(&mut self) -> Result<KeyChanges, StoreError>;
}

/// The coordination store. See the module's words for its promises.
#[async_trait]
pub trait Coordination: Send + Sync + 'static {
    /// One key.
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;

    /// Keys that start with `prefix` and come strictly after `after`, in key order (bytes). `limit` 0 = all.
    async fn range(
        &self,
        prefix: &str,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Range, StoreError>;

    /// Applies a transaction durably and returns the store's revision after it. A transaction that
    /// changes nothing (only conditions, or removals of absent keys) does not advance the revision.
    async fn transact(&self, transaction: Transaction) -> Result<Revision, StoreError>;

    /// Becomes the leader of `role`: durable before it returns; all older terms are refused from then on.
    async fn acquire_term(&self, role: &str, holder: &str) -> Result<Term, StoreError>;

    /// The latest committed revision.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// Changes of keys under `prefix` with a revision greater than `after`, then those to come.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn KeyWatch>, StoreError>;
}

/// The smallest string greater than every string that starts with `prefix`; `None` when there is none.
pub fn prefix_end(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // Skips the surrogate gap; code-point order equals byte order in UTF-8.
        let next = match u32::from(last) {
            0xD7FF => Some('\u{E000}'),
            code => char::from_u32(code + 1),
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_end_is_the_next_sibling() {
        assert_eq!(prefix_end("a/"), Some("a0".into()));
        assert_eq!(prefix_end("a\u{10FFFF}"), Some("b".into()));
        assert_eq!(prefix_end("\u{D7FF}"), Some("\u{E000}".into()));
        assert_eq!(prefix_end(""), None);
    }

    #[test]
    fn a_key_may_be_touched_once() {
        let twice = Transaction::new().put("a", "1").delete("a");
        assert!(matches!(twice.validate(), Err(StoreError::Invalid { .. })));
        assert!(
            Transaction::new()
                .put("a", "1")
                .delete("b")
                .validate()
                .is_ok()
        );
        assert!(Transaction::new().put("", "1").validate().is_err());
    }
}
