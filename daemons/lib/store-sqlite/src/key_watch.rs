//! Watching the coordination store: woken by commits, fed from the table of changes.

use async_trait::async_trait;
use bcs_store::{KeyChange, KeyChanges, KeyWatch, Revision, StoreError};
use rusqlite::Connection;
use tokio::sync::watch;

use crate::database::{Database, Sequence, classify};

pub(crate) fn compacted(requested: Revision, sequence: Sequence) -> StoreError {
    StoreError::Compacted {
        requested,
        oldest: sequence.compacted,
        newest: sequence.revision,
    }
}

/// Changes read per step; a transaction is never cut in two whatever its size.
const WATCH_STEP: usize = 512;

pub(crate) struct SqliteKeyWatch {
    pub(crate) database: Database,
    pub(crate) committed: watch::Receiver<Sequence>,
    pub(crate) prefix: String,
    pub(crate) cursor: Revision,
}

#[async_trait]
impl KeyWatch for SqliteKeyWatch {
    async fn next(&mut self) -> Result<KeyChanges, StoreError> {
        loop {
            let cursor = self.cursor;
            let sequence = self
                .committed
                .wait_for(|sequence| sequence.revision > cursor)
                .await
                .map(|sequence| *sequence)
                .map_err(|_| StoreError::Unavailable {
                    operation: "watch",
                    reason: "the store is closed".into(),
                })?;
            let prefix = self.prefix.clone();
            let batch = self
                .database
                .read(move |connection| read_changes(connection, &prefix, cursor))
                .await?;
            let Some(batch) = batch else {
                return Err(compacted(cursor, sequence));
            };
            if batch.revision == cursor {
                continue;
            }
            self.cursor = batch.revision;
            return Ok(batch);
        }
    }
}

/// `None` when the feed no longer holds what follows `after`.
fn read_changes(
    connection: &Connection,
    prefix: &str,
    after: Revision,
) -> Result<Option<KeyChanges>, StoreError> {
    let failed = |error: rusqlite::Error| classify("watch", &error);
    let meta = |name: &str| -> rusqlite::Result<u64> {
        connection
            .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
    };
    if meta("compacted").map_err(failed)? > after {
        return Ok(None);
    }
    let newest = meta("revision").map_err(failed)?;
    let mut statement = connection
        .prepare_cached(
            "SELECT key, value, revision FROM changes WHERE revision > ?1
             ORDER BY revision, position",
        )
        .map_err(failed)?;
    let mut rows = statement.query([after]).map_err(failed)?;
    let mut seen = 0;
    let mut batch = KeyChanges {
        changes: Vec::new(),
        revision: after,
    };
    while let Some(row) = rows.next().map_err(failed)? {
        let revision: Revision = row.get(2).map_err(failed)?;
        if revision != batch.revision && seen >= WATCH_STEP {
            return Ok(Some(batch));
        }
        seen += 1;
        batch.revision = revision;
        let key = row
            .get_ref(0)
            .and_then(|value| Ok(value.as_str()?))
            .map_err(failed)?;
        if key.starts_with(prefix) {
            let value = row.get(1).map_err(failed)?;
            batch.changes.push(KeyChange {
                key: key.to_owned(),
                value,
                revision,
            });
        }
    }
    batch.revision = newest;
    Ok(Some(batch))
}
