//! The reader: follows the scheduler, keeps a map of what storage should hold, and fills the outbox.
//!
//! ```text
//!  start, 410, drift ──> resync: wait until nothing is on its way; digests of storage;
//!        ^               snapshot of the scheduler; put what differs, delete what is gone
//!        |                                   |
//!        +────── drift found ──── follow <───+──── stream broken: again from the last revision
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bcs_httpd::Client;
use bcs_kit::{Backoff, Ready, Shutdown};
use bcs_model::storage::to_storage;
use bcs_store::content_digest;
use tokio::time::Instant;

use crate::Gauges;
use crate::outbox::{Key, MAX_OBJECT_BYTES, Outbox};
use crate::scheduler::{self, Record, Records, SchedulerError, Verb};
use crate::storage::{Storage, StorageError};

/// The kinds of which storage must hold what the scheduler has, and nothing else.
pub const KINDS: &[&str] = &[
    "application",
    "taskgroup",
    "configmap",
    "secret",
    "deployment",
    "daemonset",
    "service",
    "endpoint",
];

#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("storage has drifted from the scheduler in {objects} objects")]
    Drift { objects: usize },
}

pub(crate) struct Mirror {
    pub(crate) scheduler: Client,
    pub(crate) storage: Storage,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) ready: Ready,
    pub(crate) gauges: Gauges,
    pub(crate) check_period: Duration,
    /// What storage holds when the outbox is empty.
    pub(crate) digests: BTreeMap<Key, String>,
    /// The last revision that was read; 0 asks for a resync.
    pub(crate) revision: u64,
}

impl Mirror {
    /// Runs until `shutdown`; every failure is retried.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        while !shutdown.is_cancelled() {
            let before = self.revision;
            let Some(ended) = shutdown.run_until(self.follow()).await else {
                return;
            };
            if self.revision != before {
                backoff.reset();
            }
            match &ended {
                Interruption::Scheduler(SchedulerError::Expired { .. })
                | Interruption::Drift { .. } => {
                    tracing::info!(reason = %ended, "comparing storage with the scheduler anew");
                    self.revision = 0;
                }
                Interruption::Scheduler(_) | Interruption::Storage(_) => {
                    self.ready.say(format!("{ended}; retrying"));
                    if backoff.worth_logging() {
                        tracing::warn!(error = %ended, "the stream of records is interrupted");
                    }
                }
            }
            if !backoff.wait(&shutdown).await {
                return;
            }
        }
    }

    async fn follow(&mut self) -> Interruption {
        let records = if self.revision == 0 {
            self.resync().await
        } else {
            scheduler::open(&self.scheduler, self.revision)
                .await
                .map_err(Into::into)
        };
        let followed = match records {
            Ok(mut records) => self.follow_records(&mut records).await,
            Err(interruption) => Err(interruption),
        };
        match followed {
            Ok(never) => match never {},
            Err(interruption) => interruption,
        }
    }

    async fn resync(&mut self) -> Result<Records, Interruption> {
        self.outbox.reset().await;
        let mut stored = BTreeMap::new();
        for kind in KINDS {
            stored.extend(self.storage.digests(kind).await?);
        }
        let mut records = scheduler::open(&self.scheduler, 0).await?;
        self.digests.clear();
        let (mut seen, mut changed) = (0_u64, 0_u64);
        loop {
            let record = records.next().await?;
            match record.verb {
                Verb::Put => {
                    seen += 1;
                    let Some((key, text)) = convert(&record) else {
                        continue;
                    };
                    let digest = content_digest(&text);
                    let same = stored.remove(&key).is_some_and(|stored| stored == digest);
                    self.digests.insert(key.clone(), digest);
                    if !same {
                        changed += 1;
                        self.outbox.push(key, Some(text)).await;
                    }
                }
                Verb::Delete | Verb::Bookmark => {}
                Verb::Synced => {
                    let gone = stored.len();
                    for key in stored.into_keys() {
                        self.outbox.push(key, None).await;
                    }
                    self.revision = record.revision;
                    tracing::info!(
                        seen,
                        changed,
                        gone,
                        "storage was compared with the scheduler"
                    );
                    return Ok(records);
                }
            }
        }
    }

    async fn follow_records(
        &mut self,
        records: &mut Records,
    ) -> Result<std::convert::Infallible, Interruption> {
        self.ready.say("following the scheduler");
        let mut next_check = Instant::now() + self.check_period;
        loop {
            tokio::select! {
                record = records.next() => self.apply(record?).await,
                () = tokio::time::sleep_until(next_check) => {
                    next_check = Instant::now() + self.check_period;
                    // While something is on its way there is nothing to compare with; next time.
                    if self.outbox.is_idle() {
                        self.check().await?;
                    }
                }
            }
        }
    }

    async fn apply(&mut self, record: Record) {
        match record.verb {
            Verb::Put => {
                if let Some((key, text)) = convert(&record) {
                    let digest = content_digest(&text);
                    if self.digests.get(&key) != Some(&digest) {
                        self.digests.insert(key.clone(), digest);
                        self.outbox.push(key, Some(text)).await;
                    }
                }
            }
            Verb::Delete if KINDS.contains(&record.kind.as_str()) => {
                let key = (record.kind, record.namespace, record.name);
                self.digests.remove(&key);
                self.outbox.push(key, None).await;
            }
            Verb::Delete => {}
            Verb::Synced | Verb::Bookmark => {}
        }
        self.revision = self.revision.max(record.revision);
        self.gauges
            .revision
            .set(i64::try_from(self.revision).unwrap_or(i64::MAX));
        self.gauges
            .waiting
            .set(i64::try_from(self.outbox.len()).unwrap_or(i64::MAX));
    }

    /// Compares storage with what it should hold.
    async fn check(&mut self) -> Result<(), Interruption> {
        let mut stored = BTreeMap::new();
        for kind in KINDS {
            stored.extend(self.storage.digests(kind).await?);
        }
        if stored == self.digests {
            return Ok(());
        }
        let objects = self
            .digests
            .iter()
            .filter(|(key, digest)| stored.get(*key) != Some(*digest))
            .count()
            + stored
                .keys()
                .filter(|key| !self.digests.contains_key(*key))
                .count();
        self.gauges.drifts.inc();
        Err(Interruption::Drift { objects })
    }
}

/// The key and the text to store. A record that cannot be read is logged and left out; there is
/// nothing that a retry would change.
fn convert(record: &Record) -> Option<(Key, String)> {
    if !KINDS.contains(&record.kind.as_str()) {
        return None;
    }
    let (kind, namespace, name) = (&record.kind, &record.namespace, &record.name);
    match to_storage(kind, &record.object) {
        Ok(text) if text.len() > MAX_OBJECT_BYTES => {
            let bytes = text.len();
            tracing::error!(%kind, %namespace, %name, bytes, "the object is too large for storage");
            None
        }
        Ok(text) => Some(((kind.clone(), namespace.clone(), name.clone()), text)),
        Err(error) => {
            tracing::error!(error = %error, %kind, %namespace, %name, "unreadable record");
            None
        }
    }
}
