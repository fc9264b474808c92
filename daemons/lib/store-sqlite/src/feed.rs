//! Watching the document store: woken by commits, fed from the table of changes.

use async_trait::async_trait;
use bcs_store::{Change, ChangeKind, Changes, DocumentWatch, Query, Revision, StoreError};
use rusqlite::Connection;
use tokio::sync::watch;

use crate::database::{Database, Sequence, classify};
use crate::reading::{meta, to_document};

/// What one step of a watch reads at most.
const WATCH_CHANGES: i64 = 512;
const WATCH_BYTES: usize = 4 * 1024 * 1024;

pub(crate) fn compacted(requested: Revision, sequence: Sequence) -> StoreError {
    StoreError::Compacted {
        requested,
        oldest: sequence.compacted,
        newest: sequence.revision,
    }
}

pub(crate) struct SqliteWatch {
    pub(crate) database: Database,
    pub(crate) committed: watch::Receiver<Sequence>,
    pub(crate) query: Query,
    pub(crate) cursor: Revision,
}

#[async_trait]
impl DocumentWatch for SqliteWatch {
    async fn next(&mut self) -> Result<Changes, StoreError> {
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
        let query = self.query.clone();
        let read = self
            .database
            .read(move |connection| {
                read_changes(connection, &query, cursor).map_err(|error| classify("watch", &error))
            })
            .await?;
        let Some(changes) = read else {
            return Err(compacted(cursor, sequence));
        };
        self.cursor = changes.revision;
        Ok(changes)
    }
}

/// `None` when the feed no longer holds what follows `after`.
fn read_changes(
    connection: &Connection,
    query: &Query,
    after: Revision,
) -> rusqlite::Result<Option<Changes>> {
    if meta(connection, "compacted")? > after {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached(
        "SELECT cluster, namespace, kind, name, revision, created, updated, body, change
         FROM changes WHERE revision > ?1
         ORDER BY revision LIMIT ?2",
    )?;
    let mut rows = statement.query((after, WATCH_CHANGES))?;
    let mut batch = Changes {
        changes: Vec::new(),
        revision: after,
    };
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        if bytes > WATCH_BYTES {
            break;
        }
        batch.revision = row.get(4)?;
        // Other kinds are most of the feed: look at the kind before the body is copied.
        if let Some(kind) = &query.scope.kind
            && row.get_ref(2)?.as_str()? != kind
        {
            continue;
        }
        let kind = match row.get::<_, i64>(8)? {
            0 => ChangeKind::Added,
            1 => ChangeKind::Modified,
            _ => ChangeKind::Deleted,
        };
        let document = to_document(row)?;
        bytes += document.data.get().len();
        batch
            .changes
            .extend(Change { kind, document }.seen_by(query));
    }
    Ok(Some(batch))
}
