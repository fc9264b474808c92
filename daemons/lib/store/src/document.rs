//! The document store: objects of every cluster by (cluster, namespace, kind, name), with a change feed.
//!
//! Each change of a document advances the store's revision by one and is recorded in the feed in the
//! same transaction, so a watch that resumes from a revision sees every change after it, once and in
//! order, also across restarts. A put of the very same content is no change. Removed documents live
//! on in the feed only, until retention trims it; then a watcher from before is told to list again.

use async_trait::async_trait;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{Expect, Query, Revision, StoreError};

/// Largest document in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 8 * 1024 * 1024;
/// Longest part of a key in bytes.
pub const MAX_NAME_BYTES: usize = 512;

/// Identity of a document. Cluster-scoped documents have an empty namespace.
///
/// The order of the fields is the default order of lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentKey {
    /// Cluster id.
    pub cluster: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Object name.
    pub name: String,
    /// Resource type, for example `taskgroup` or `Pod`.
    pub kind: String,
}

impl DocumentKey {
    /// A key from its parts, in the order of the storage paths.
    pub fn new(
        cluster: impl Into<String>,
        namespace: impl Into<String>,
        kind: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self {
            cluster: cluster.into(),
            namespace: namespace.into(),
            name: name.into(),
            kind: kind.into(),
        }
    }

    /// Checks the length and the characters of each part.
    pub fn validate(&self) -> Result<(), StoreError> {
        let parts = [
            ("clusterId", &self.cluster, false),
            ("namespace", &self.namespace, true),
            ("resourceType", &self.kind, false),
            ("resourceName", &self.name, false),
        ];
        for (field, value, may_be_empty) in parts {
            let fits = value.len() <= MAX_NAME_BYTES && (may_be_empty || !value.is_empty());
            if !fits
                || value
                    .chars()
                    .any(|character| character.is_control() || character == '/')
            {
                let rule =
                    format!("1 to {MAX_NAME_BYTES} bytes without '/' and control characters");
                return Err(StoreError::invalid(field, value, rule));
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for DocumentKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{}/{}/{}/{}",
            self.cluster, self.namespace, self.kind, self.name
        )
    }
}

/// A stored object.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its identity.
    pub key: DocumentKey,
    /// The object exactly as written.
    pub data: Box<RawValue>,
    /// Milliseconds since 1970 of the first put.
    pub created: i64,
    /// Milliseconds since 1970 of the last put.
    pub updated: i64,
    /// Revision of the last change.
    pub revision: Revision,
}

/// One request of a batch.
#[derive(Clone, Debug)]
pub enum Write {
    /// Creates or replaces.
    Put {
        /// Which document.
        key: DocumentKey,
        /// The whole object.
        data: Box<RawValue>,
        /// What must hold, else the whole batch is refused.
        expect: Option<Expect>,
    },
    /// Removes; an absent document is no error.
    Delete {
        /// Which document.
        key: DocumentKey,
        /// What must hold, else the whole batch is refused.
        expect: Option<Expect>,
    },
    /// Removes everything that matches (limit and offset are ignored).
    DeleteMatching {
        /// Which documents.
        query: Box<Query>,
    },
}

impl Write {
    /// An unconditional put.
    pub fn put(key: DocumentKey, data: Box<RawValue>) -> Self {
        Self::Put {
            key,
            data,
            expect: None,
        }
    }

    /// An unconditional delete.
    pub fn delete(key: DocumentKey) -> Self {
        Self::Delete { key, expect: None }
    }

    /// Checks keys and sizes. Back ends call it before queueing.
    pub fn validate(&self) -> Result<(), StoreError> {
        match self {
            Self::Put { key, data, .. } => {
                key.validate()?;
                let length = data.get().len();
                if length > MAX_DOCUMENT_BYTES {
                    return Err(StoreError::invalid(
                        "data",
                        &format!("{length} bytes"),
                        format!("at most {MAX_DOCUMENT_BYTES} bytes"),
                    ));
                }
                Ok(())
            }
            Self::Delete { key, .. } => key.validate(),
            Self::DeleteMatching { .. } => Ok(()),
        }
    }
}

/// What became of one request of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The document is new.
    Created(Revision),
    /// The document has new content.
    Changed(Revision),
    /// The content was the same; only the time of update moved.
    Unchanged(Revision),
    /// That many documents were removed; the revision of the last removal.
    Deleted(u64, Revision),
    /// There was nothing to remove.
    Absent,
}

impl Outcome {
    /// The revision that this request made or found.
    pub fn revision(self) -> Option<Revision> {
        match self {
            Self::Created(revision)
            | Self::Changed(revision)
            | Self::Unchanged(revision)
            | Self::Deleted(_, revision) => Some(revision),
            Self::Absent => None,
        }
    }
}

/// Answer to a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// The documents, ordered by cluster, namespace, name, kind.
    pub documents: Vec<Document>,
    /// How many match in all, whatever limit and offset.
    pub total: u64,
    /// Token for what follows, if anything does.
    pub next: Option<crate::ContinueToken>,
    /// A watch from here misses nothing of the whole paged list.
    pub revision: Revision,
}

/// What happened to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It came into being.
    Added,
    /// Its content changed.
    Modified,
    /// It was removed; the document is its last state.
    Deleted,
}

/// One entry of the feed. `document.revision` is the revision of the change.
#[derive(Clone, Debug)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The new state, or the last state of a removed document.
    pub document: Document,
}

/// Matching changes, in order.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// May be empty when only other documents changed.
    pub changes: Vec<Change>,
    /// Everything up to here was looked at; resume from here.
    pub revision: Revision,
}

/// Name and content hash of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestEntry {
    /// Namespace, or empty.
    pub namespace: String,
    /// Object name.
    pub name: String,
    /// [`content_digest`] of the data.
    pub digest: String,
}

/// A running watch; `next` is cancel-safe and never polls.
#[async_trait]
pub trait DocumentWatch: Send {
    /// The next changes. `StoreError::Compacted` when this reader fell behind what is kept.
    async fn next(&mut self) -> Result<Changes, StoreError>;
}

/// The document store. See the module's words for its promises.
#[async_trait]
pub trait Documents: Send + Sync + 'static {
    /// Applies all requests in order in one durable transaction, or none.
    async fn write(&self, batch: Vec<Write>) -> Result<Vec<Outcome>, StoreError>;

    /// One document.
    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>, StoreError>;

    /// The documents that match.
    async fn list(&self, query: &Query) -> Result<Page, StoreError>;

    /// The distinct non-empty namespaces of a cluster over some kinds, sorted.
    async fn namespaces(&self, cluster: &str, kinds: &[&str]) -> Result<Vec<String>, StoreError>;

    /// Content hashes of all documents of a kind in a cluster, and the revision they show.
    async fn digests(
        &self,
        cluster: &str,
        kind: &str,
    ) -> Result<(Vec<DigestEntry>, Revision), StoreError>;

    /// Changes of documents that match `query` after a revision, then those to come. A document
    /// that stops matching is reported as deleted.
    async fn watch(
        &self,
        query: &Query,
        after: Revision,
    ) -> Result<Box<dyn DocumentWatch>, StoreError>;

    /// The latest committed revision.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// Trims the feed by the store's retention as of now; returns how many changes went.
    async fn compact(&self) -> Result<u64, StoreError>;
}

/// How much of the feed is kept: whichever bound is reached first trims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Number of changes.
    pub changes: u64,
    /// Age of a change.
    pub age: std::time::Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            changes: 20_000,
            age: std::time::Duration::from_secs(3600),
        }
    }
}

/// Half of a SHA-256 over the text as it is stored, in hex. Equal digests mean equal content.
pub fn content_digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    hex::encode(digest.get(..16).unwrap_or_default())
}

impl Change {
    /// This change as a watcher of `query` sees it: one that no longer matches is gone for them.
    pub fn seen_by(mut self, query: &Query) -> Option<Self> {
        if !query.scope.contains(&self.document.key) {
            return None;
        }
        if query.matches(&self.document) {
            return Some(self);
        }
        match self.kind {
            // It may have matched before; whoever never saw it ignores this.
            ChangeKind::Modified => {
                self.kind = ChangeKind::Deleted;
                Some(self)
            }
            // An object that never matched can end without a word to this watcher; one that did
            // was matched above by its last state or reported gone when it stopped matching.
            ChangeKind::Added | ChangeKind::Deleted => None,
        }
    }
}
