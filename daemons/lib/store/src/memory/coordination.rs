//! [`Coordination`] over a sorted map.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    Coordination, Entry, Expect, KeyChange, KeyChanges, KeyWatch, Range, Revision, StoreError,
    Term, Transaction,
};

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<String, Entry>,
    changes: Vec<KeyChange>,
    terms: BTreeMap<String, u64>,
    revision: Revision,
    compacted: Revision,
}

/// The in-memory coordination store; clones share the data.
#[derive(Clone, Debug)]
pub struct MemoryCoordination {
    state: Arc<Mutex<State>>,
    committed: watch::Sender<Revision>,
    keep_revisions: u64,
}

impl Default for MemoryCoordination {
    fn default() -> Self {
        Self::keeping(u64::MAX)
    }
}

impl MemoryCoordination {
    /// A store that keeps the changes of that many revisions.
    pub fn keeping(keep_revisions: u64) -> Self {
        let (committed, _) = watch::channel(0);
        Self {
            state: Arc::default(),
            committed,
            keep_revisions,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Coordination for MemoryCoordination {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        Ok(self.state().entries.get(key).cloned())
    }

    async fn range(
        &self,
        prefix: &str,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Range, StoreError> {
        let state = self.state();
        let mut matching = state
            .entries
            .range(prefix.to_owned()..)
            .map(|(_, entry)| entry)
            .take_while(|entry| entry.key.starts_with(prefix))
            .filter(|entry| after.is_none_or(|after| entry.key.as_str() > after));
        let limit = if limit == 0 { usize::MAX } else { limit };
        let entries: Vec<Entry> = matching.by_ref().take(limit).cloned().collect();
        let more = matching.next().is_some();
        Ok(Range {
            entries,
            revision: state.revision,
            more,
        })
    }

    async fn transact(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        transaction.validate()?;
        let mut state = self.state();
        check(&state, &transaction)?;
        let revision = state.revision + 1;
        let before = state.changes.len();
        for key in transaction.deletes {
            if state.entries.remove(&key).is_some() {
                state.changes.push(KeyChange {
                    key,
                    value: None,
                    revision,
                });
            }
        }
        for (key, value) in transaction.puts {
            let entry = Entry {
                key: key.clone(),
                value: value.clone(),
                revision,
            };
            state.entries.insert(key.clone(), entry);
            state.changes.push(KeyChange {
                key,
                value: Some(value),
                revision,
            });
        }
        if state.changes.len() > before {
            state.revision = revision;
            if revision - state.compacted > self.keep_revisions {
                let compacted = revision - self.keep_revisions;
                state.compacted = compacted;
                state.changes.retain(|change| change.revision > compacted);
            }
            self.committed.send_replace(revision);
        }
        Ok(state.revision)
    }

    async fn acquire_term(&self, role: &str, _holder: &str) -> Result<Term, StoreError> {
        let mut state = self.state();
        let number = state.terms.entry(role.to_owned()).or_insert(0);
        *number += 1;
        Ok(Term {
            role: role.to_owned(),
            number: *number,
        })
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.state().revision)
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn KeyWatch>, StoreError> {
        let state = self.state();
        if after < state.compacted || after > state.revision {
            return Err(compacted(after, &state));
        }
        Ok(Box::new(MemoryKeyWatch {
            store: self.clone(),
            committed: self.committed.subscribe(),
            prefix: prefix.to_owned(),
            cursor: after,
        }))
    }
}

fn compacted(requested: Revision, state: &State) -> StoreError {
    StoreError::Compacted {
        requested,
        oldest: state.compacted,
        newest: state.revision,
    }
}

fn check(state: &State, transaction: &Transaction) -> Result<(), StoreError> {
    if let Some(term) = &transaction.fence {
        let current = state.terms.get(&term.role).copied().unwrap_or(0);
        if current != term.number {
            return Err(StoreError::Fenced {
                role: term.role.clone(),
                term: term.number,
                current,
            });
        }
    }
    for (key, expect) in &transaction.conditions {
        let found = state.entries.get(key).map(|entry| entry.revision);
        let expected = match expect {
            Expect::Absent => None,
            Expect::Revision(revision) => Some(*revision),
        };
        if found != expected {
            let describe = |revision: Option<Revision>| {
                revision.map_or("absent".to_owned(), |revision| {
                    format!("revision {revision}")
                })
            };
            return Err(StoreError::Conflict {
                key: key.clone(),
                expected: describe(expected),
                found: describe(found),
            });
        }
    }
    Ok(())
}

struct MemoryKeyWatch {
    store: MemoryCoordination,
    committed: watch::Receiver<Revision>,
    prefix: String,
    cursor: Revision,
}

#[async_trait]
impl KeyWatch for MemoryKeyWatch {
    async fn next(&mut self) -> Result<KeyChanges, StoreError> {
        let cursor = self.cursor;
        // The sender lives in `store`, so this cannot fail.
        drop(self.committed.wait_for(|revision| *revision > cursor).await);
        let state = self.store.state();
        if state.compacted > cursor {
            return Err(compacted(cursor, &state));
        }
        self.cursor = state.revision;
        let changes = state
            .changes
            .iter()
            .filter(|change| change.revision > cursor && change.key.starts_with(&self.prefix))
            .cloned()
            .collect();
        Ok(KeyChanges {
            changes,
            revision: state.revision,
        })
    }
}
