//! [`Documents`] over one SQLite file.

use std::path::Path;

use async_trait::async_trait;
use bcs_store::{
    DigestEntry, Document, DocumentKey, DocumentWatch, Documents, Outcome, Page, Query, Retention,
    Revision, StoreError, Write, content_digest, instant,
};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension};

use crate::compile::compile;
use crate::database::{Database, classify};
use crate::feed::{SqliteWatch, compacted};
use crate::put::{Prepared, apply, trim};
use crate::reading::{Plan, read_digests, read_namespaces, read_page, to_document};

const APPLICATION: i32 = 0x6263_7364;

const SCHEMA: &[&str] = &["
CREATE TABLE documents (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  cluster TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  revision INTEGER NOT NULL,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  digest TEXT NOT NULL,
  body TEXT NOT NULL,
  UNIQUE (kind, cluster, namespace, name)
) STRICT;
CREATE INDEX documents_by_cluster ON documents (cluster, namespace, name, kind);
CREATE TABLE changes (
  revision INTEGER PRIMARY KEY,
  change INTEGER NOT NULL,
  kind TEXT NOT NULL,
  cluster TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
"];

/// The embedded document store.
pub struct SqliteDocuments {
    database: Database,
    retention: Retention,
}

impl std::fmt::Debug for SqliteDocuments {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SqliteDocuments")
            .finish_non_exhaustive()
    }
}

impl SqliteDocuments {
    /// Opens or creates the file. Fails when another process has it open.
    pub fn open(path: &Path, retention: Retention, readers: usize) -> Result<Self, StoreError> {
        let database = Database::open(path, APPLICATION, SCHEMA, readers, register_functions)?;
        Ok(Self {
            database,
            retention,
        })
    }
}

/// `bcs_instant(x)`: milliseconds since 1970 of a text or number; `bcs_integer(x)`: the integer that
/// a label's text is. Defined here so that SQL and the query's own meaning cannot differ.
fn register_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("bcs_integer", 1, flags, |context| {
        Ok(context
            .get_raw(0)
            .as_str()
            .ok()
            .and_then(bcs_store::label_integer))
    })?;
    connection.create_scalar_function("bcs_instant", 1, flags, |context| {
        Ok(match context.get_raw(0) {
            #[allow(clippy::cast_precision_loss, reason = "as JSON numbers are compared")]
            ValueRef::Integer(number) => instant::from_seconds(number as f64),
            ValueRef::Real(number) => instant::from_seconds(number),
            text @ ValueRef::Text(_) => text.as_str().ok().and_then(instant::parse),
            ValueRef::Null | ValueRef::Blob(_) => None,
        })
    })
}

#[async_trait]
impl Documents for SqliteDocuments {
    async fn write(&self, batch: Vec<Write>) -> Result<Vec<Outcome>, StoreError> {
        let mut prepared = Vec::with_capacity(batch.len());
        for write in batch {
            write.validate()?;
            prepared.push(match write {
                Write::Put { key, data, expect } => {
                    let digest = content_digest(data.get());
                    Prepared::Put {
                        key,
                        data,
                        digest,
                        expect,
                    }
                }
                Write::Delete { key, expect } => Prepared::Delete { key, expect },
                Write::DeleteMatching { query } => Prepared::DeleteMatching(compile(&query)),
            });
        }
        let retention = self.retention;
        self.database
            .write(move |connection, sequence| {
                let now = instant::now();
                let mut outcomes = Vec::with_capacity(prepared.len());
                for write in prepared {
                    outcomes.push(apply(connection, sequence, write, now)?);
                }
                // In steps of a sixteenth, so that most writes pay nothing.
                let kept = sequence.revision - sequence.compacted;
                if kept > retention.changes + retention.changes / 16 {
                    trim(connection, sequence, &retention, now)?;
                }
                Ok(outcomes)
            })
            .await
    }

    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>, StoreError> {
        let key = key.clone();
        self.database
            .read(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT cluster, namespace, kind, name, revision, created, updated, body
                         FROM documents
                         WHERE kind = ?1 AND cluster = ?2 AND namespace = ?3 AND name = ?4",
                    )
                    .and_then(|mut statement| {
                        statement
                            .query_row(
                                (&key.kind, &key.cluster, &key.namespace, &key.name),
                                to_document,
                            )
                            .optional()
                    })
                    .map_err(|error| classify("get", &error))
            })
            .await
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        let plan = Plan {
            compiled: compile(query),
            limit: query.limit,
            offset: query.offset,
            one_index: query.scope.kind.is_some() && query.scope.cluster.is_some(),
            after: query.after.clone(),
        };
        if let Some(token) = &plan.after
            && !query.scope.contains(&token.key)
        {
            let rule = "a token of the same list";
            return Err(StoreError::invalid(
                "continue",
                &token.key.to_string(),
                rule,
            ));
        }
        self.database
            .read(move |connection| {
                read_page(connection, plan).map_err(|error| classify("list", &error))
            })
            .await
    }

    async fn namespaces(&self, cluster: &str, kinds: &[&str]) -> Result<Vec<String>, StoreError> {
        let cluster = cluster.to_owned();
        let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        self.database
            .read(move |connection| {
                read_namespaces(connection, &cluster, &kinds)
                    .map_err(|error| classify("namespaces", &error))
            })
            .await
    }

    async fn digests(
        &self,
        cluster: &str,
        kind: &str,
    ) -> Result<(Vec<DigestEntry>, Revision), StoreError> {
        let (cluster, kind) = (cluster.to_owned(), kind.to_owned());
        self.database
            .read(move |connection| {
                read_digests(connection, &cluster, &kind)
                    .map_err(|error| classify("digests", &error))
            })
            .await
    }

    async fn watch(
        &self,
        query: &Query,
        after: Revision,
    ) -> Result<Box<dyn DocumentWatch>, StoreError> {
        let committed = self.database.committed();
        let sequence = *committed.borrow();
        if after < sequence.compacted || after > sequence.revision {
            return Err(compacted(after, sequence));
        }
        let (database, query) = (self.database.clone(), query.clone());
        Ok(Box::new(SqliteWatch {
            database,
            committed,
            query,
            cursor: after,
        }))
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.database.committed().borrow().revision)
    }

    async fn compact(&self) -> Result<u64, StoreError> {
        let retention = self.retention;
        self.database
            .write(move |connection, sequence| {
                trim(connection, sequence, &retention, instant::now())
            })
            .await
    }
}
