//! [`Documents`] over a sorted map.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::{
    Change, ChangeKind, Changes, ContinueToken, DigestEntry, Document, DocumentKey, DocumentWatch,
    Documents, Expect, Outcome, Page, Query, Retention, Revision, StoreError, Write,
    content_digest, instant,
};

#[derive(Clone, Debug, Default)]
struct State {
    documents: BTreeMap<DocumentKey, Document>,
    feed: Vec<Change>,
    revision: Revision,
    compacted: Revision,
}

/// The in-memory document store; clones share the data.
#[derive(Clone, Debug)]
pub struct MemoryDocuments {
    state: Arc<Mutex<State>>,
    committed: watch::Sender<Revision>,
    retention: Retention,
}

impl Default for MemoryDocuments {
    fn default() -> Self {
        Self::keeping(Retention::default())
    }
}

impl MemoryDocuments {
    /// A store with that retention of its feed.
    pub fn keeping(retention: Retention) -> Self {
        let (committed, _) = watch::channel(0);
        Self {
            state: Arc::default(),
            committed,
            retention,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&self, key: &DocumentKey, expect: Option<Expect>) -> Result<(), StoreError> {
        let Some(expect) = expect else { return Ok(()) };
        let found = self.documents.get(key).map(|document| document.revision);
        let expected = match expect {
            Expect::Absent => None,
            Expect::Revision(revision) => Some(revision),
        };
        if found == expected {
            return Ok(());
        }
        let describe = |revision: Option<Revision>| {
            revision.map_or("absent".to_owned(), |revision| {
                format!("revision {revision}")
            })
        };
        Err(StoreError::Conflict {
            key: key.to_string(),
            expected: describe(expected),
            found: describe(found),
        })
    }

    fn put(&mut self, key: DocumentKey, data: Box<RawValue>) -> Outcome {
        let now = instant::now();
        let former = self.documents.get_mut(&key);
        let (kind, created) = match former {
            Some(former) if former.data.get() == data.get() => {
                former.updated = now;
                return Outcome::Unchanged(former.revision);
            }
            Some(former) => (ChangeKind::Modified, former.created),
            None => (ChangeKind::Added, now),
        };
        self.revision += 1;
        let revision = self.revision;
        let document = Document {
            key: key.clone(),
            data,
            created,
            updated: now,
            revision,
        };
        self.feed.push(Change {
            kind,
            document: document.clone(),
        });
        self.documents.insert(key, document);
        match kind {
            ChangeKind::Added => Outcome::Created(revision),
            ChangeKind::Modified | ChangeKind::Deleted => Outcome::Changed(revision),
        }
    }

    fn remove(&mut self, key: &DocumentKey) -> Outcome {
        let Some(mut document) = self.documents.remove(key) else {
            return Outcome::Absent;
        };
        self.revision += 1;
        document.revision = self.revision;
        document.updated = instant::now();
        self.feed.push(Change {
            kind: ChangeKind::Deleted,
            document,
        });
        Outcome::Deleted(1, self.revision)
    }

    fn apply(&mut self, write: Write) -> Result<Outcome, StoreError> {
        match write {
            Write::Put { key, data, expect } => {
                self.check(&key, expect)?;
                Ok(self.put(key, data))
            }
            Write::Delete { key, expect } => {
                self.check(&key, expect)?;
                Ok(self.remove(&key))
            }
            Write::DeleteMatching { query } => {
                let keys: Vec<DocumentKey> = self
                    .documents
                    .values()
                    .filter(|document| query.matches(document))
                    .map(|document| document.key.clone())
                    .collect();
                for key in &keys {
                    self.remove(key);
                }
                match keys.len() {
                    0 => Ok(Outcome::Absent),
                    count => Ok(Outcome::Deleted(count as u64, self.revision)),
                }
            }
        }
    }

    fn trim(&mut self, retention: &Retention) -> u64 {
        let age = i64::try_from(retention.age.as_millis()).unwrap_or(i64::MAX);
        let oldest = instant::now().saturating_sub(age);
        let by_count = self.revision.saturating_sub(retention.changes);
        let by_age = self
            .feed
            .iter()
            .take_while(|change| change.document.updated < oldest)
            .last()
            .map_or(0, |change| change.document.revision);
        let compacted = by_count.max(by_age).max(self.compacted);
        let before = self.feed.len();
        self.feed
            .retain(|change| change.document.revision > compacted);
        self.compacted = compacted;
        (before - self.feed.len()) as u64
    }
}

#[async_trait]
impl Documents for MemoryDocuments {
    async fn write(&self, batch: Vec<Write>) -> Result<Vec<Outcome>, StoreError> {
        for write in &batch {
            write.validate()?;
        }
        let mut state = self.state();
        let mut next = state.clone();
        let outcomes = batch
            .into_iter()
            .map(|write| next.apply(write))
            .collect::<Result<Vec<_>, _>>()?;
        if next.revision - next.compacted > self.retention.changes {
            next.trim(&self.retention);
        }
        *state = next;
        self.committed.send_replace(state.revision);
        Ok(outcomes)
    }

    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>, StoreError> {
        Ok(self.state().documents.get(key).cloned())
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        if let Some(token) = &query.after
            && !query.scope.contains(&token.key)
        {
            let rule = "a token of the same list";
            return Err(StoreError::invalid(
                "continue",
                &token.key.to_string(),
                rule,
            ));
        }
        let state = self.state();
        let matching: Vec<&Document> = state
            .documents
            .values()
            .filter(|document| query.matches(document))
            .collect();
        let total = matching.len() as u64;
        let revision = query
            .after
            .as_ref()
            .map_or(state.revision, |token| token.revision);
        let limit = if query.limit == 0 {
            usize::MAX
        } else {
            query.limit
        };
        let mut rest = matching
            .into_iter()
            .filter(|document| {
                query
                    .after
                    .as_ref()
                    .is_none_or(|token| document.key > token.key)
            })
            .skip(query.offset);
        let documents: Vec<Document> = rest.by_ref().take(limit).cloned().collect();
        let next = match (rest.next(), documents.last()) {
            (Some(_), Some(last)) => Some(ContinueToken {
                key: last.key.clone(),
                revision,
            }),
            _ => None,
        };
        Ok(Page {
            documents,
            total,
            next,
            revision,
        })
    }

    async fn namespaces(&self, cluster: &str, kinds: &[&str]) -> Result<Vec<String>, StoreError> {
        let state = self.state();
        let found: BTreeSet<&String> = state
            .documents
            .keys()
            .filter(|key| key.cluster == cluster && kinds.contains(&key.kind.as_str()))
            .map(|key| &key.namespace)
            .filter(|namespace| !namespace.is_empty())
            .collect();
        Ok(found.into_iter().cloned().collect())
    }

    async fn digests(
        &self,
        cluster: &str,
        kind: &str,
    ) -> Result<(Vec<DigestEntry>, Revision), StoreError> {
        let state = self.state();
        let entries = state
            .documents
            .values()
            .filter(|document| document.key.cluster == cluster && document.key.kind == kind)
            .map(|document| DigestEntry {
                namespace: document.key.namespace.clone(),
                name: document.key.name.clone(),
                digest: content_digest(document.data.get()),
            })
            .collect();
        Ok((entries, state.revision))
    }

    async fn watch(
        &self,
        query: &Query,
        after: Revision,
    ) -> Result<Box<dyn DocumentWatch>, StoreError> {
        let state = self.state();
        if after < state.compacted || after > state.revision {
            return Err(compacted(after, &state));
        }
        Ok(Box::new(MemoryWatch {
            store: self.clone(),
            committed: self.committed.subscribe(),
            query: query.clone(),
            cursor: after,
        }))
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.state().revision)
    }

    async fn compact(&self) -> Result<u64, StoreError> {
        Ok(self.state().trim(&self.retention))
    }
}

fn compacted(requested: Revision, state: &State) -> StoreError {
    StoreError::Compacted {
        requested,
        oldest: state.compacted,
        newest: state.revision,
    }
}

struct MemoryWatch {
    store: MemoryDocuments,
    committed: watch::Receiver<Revision>,
    query: Query,
    cursor: Revision,
}

#[async_trait]
impl DocumentWatch for MemoryWatch {
    async fn next(&mut self) -> Result<Changes, StoreError> {
        let cursor = self.cursor;
        // The sender lives in `store`, so this cannot fail.
        drop(self.committed.wait_for(|revision| *revision > cursor).await);
        let state = self.store.state();
        if state.compacted > cursor {
            return Err(compacted(cursor, &state));
        }
        self.cursor = state.revision;
        let changes = state
            .feed
            .iter()
            .filter(|change| change.document.revision > cursor)
            .filter_map(|change| change.clone().seen_by(&self.query))
            .collect();
        Ok(Changes {
            changes,
            revision: state.revision,
        })
    }
}
