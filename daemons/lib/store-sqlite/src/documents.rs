//! [`Documents`] over one SQLite file.

use std::path::Path;

use async_trait::async_trait;
use bcs_store::{
    Change, ChangeKind, Changes, ContinueToken, DigestEntry, Document, DocumentKey, DocumentWatch,
    Documents, Outcome, Page, Query, Retention, Revision, StoreError, Write, content_digest,
    instant,
};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::compile::{Compiled, compile};
use crate::database::{Database, Sequence, classify};
use crate::put::{Prepared, apply, trim};

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

/// A page is closed when it holds this much text, whatever its limit.
const PAGE_BYTES: usize = 32 * 1024 * 1024;
/// What one step of a watch reads at most.
const WATCH_CHANGES: i64 = 512;
const WATCH_BYTES: usize = 4 * 1024 * 1024;

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
        let compiled = compile(query);
        let (limit, offset, after) = (query.limit, query.offset, query.after.clone());
        self.database
            .read(move |connection| {
                read_page(connection, compiled, limit, offset, after)
                    .map_err(|error| classify("list", &error))
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

/// Columns: cluster, namespace, kind, name, revision, created, updated, body.
pub(crate) fn to_document(row: &Row<'_>) -> rusqlite::Result<Document> {
    let key = DocumentKey {
        cluster: row.get(0)?,
        namespace: row.get(1)?,
        kind: row.get(2)?,
        name: row.get(3)?,
    };
    let data = RawValue::from_string(row.get(7)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(7, rusqlite::types::Type::Text, Box::new(error))
    })?;
    Ok(Document {
        key,
        data,
        revision: row.get(4)?,
        created: row.get(5)?,
        updated: row.get(6)?,
    })
}

fn meta(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
}

fn read_page(
    connection: &Connection,
    compiled: Compiled,
    limit: usize,
    offset: usize,
    after: Option<ContinueToken>,
) -> rusqlite::Result<Page> {
    let revision = match &after {
        Some(token) => token.revision,
        None => meta(connection, "revision")?,
    };
    let Compiled {
        condition,
        parameters,
    } = compiled;
    let mut rest = parameters.clone();
    let mut text = format!(
        "SELECT cluster, namespace, kind, name, revision, created, updated, body
         FROM documents WHERE {condition}"
    );
    if let Some(token) = &after {
        text.push_str(" AND (cluster, namespace, name, kind) > (?, ?, ?, ?)");
        let DocumentKey {
            cluster,
            namespace,
            name,
            kind,
        } = token.key.clone();
        rest.extend([cluster, namespace, name, kind].map(rusqlite::types::Value::Text));
    }
    text.push_str(" ORDER BY cluster, namespace, name, kind LIMIT -1 OFFSET ?");
    rest.push(rusqlite::types::Value::Integer(
        i64::try_from(offset).unwrap_or(i64::MAX),
    ));
    let mut documents: Vec<Document> = Vec::new();
    let mut bytes = 0;
    let mut more = false;
    let mut statement = connection.prepare_cached(&text)?;
    let mut rows = statement.query(params_from_iter(rest))?;
    while let Some(row) = rows.next()? {
        if (limit > 0 && documents.len() >= limit) || bytes > PAGE_BYTES {
            more = true;
            break;
        }
        let document = to_document(row)?;
        bytes += document.data.get().len();
        documents.push(document);
    }
    let total = if more || after.is_some() || offset > 0 {
        connection
            .prepare_cached(&format!("SELECT count(*) FROM documents WHERE {condition}"))?
            .query_row(params_from_iter(parameters), |row| row.get(0))?
    } else {
        documents.len() as u64
    };
    let next = match documents.last() {
        Some(last) if more => Some(ContinueToken {
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

fn read_namespaces(
    connection: &Connection,
    cluster: &str,
    kinds: &[String],
) -> rusqlite::Result<Vec<String>> {
    let mut found = std::collections::BTreeSet::new();
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT namespace FROM documents
         WHERE kind = ?1 AND cluster = ?2 AND namespace <> ''",
    )?;
    for kind in kinds {
        for namespace in statement.query_map((kind, cluster), |row| row.get(0))? {
            found.insert(namespace?);
        }
    }
    Ok(found.into_iter().collect())
}

fn read_digests(
    connection: &Connection,
    cluster: &str,
    kind: &str,
) -> rusqlite::Result<(Vec<DigestEntry>, Revision)> {
    let mut statement = connection.prepare_cached(
        "SELECT namespace, name, digest FROM documents WHERE kind = ?1 AND cluster = ?2
         ORDER BY namespace, name",
    )?;
    let entries = statement
        .query_map((kind, cluster), |row| {
            Ok(DigestEntry {
                namespace: row.get(0)?,
                name: row.get(1)?,
                digest: row.get(2)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok((entries, meta(connection, "revision")?))
}

fn compacted(requested: Revision, sequence: Sequence) -> StoreError {
    StoreError::Compacted {
        requested,
        oldest: sequence.compacted,
        newest: sequence.revision,
    }
}

struct SqliteWatch {
    database: Database,
    committed: watch::Receiver<Sequence>,
    query: Query,
    cursor: Revision,
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
