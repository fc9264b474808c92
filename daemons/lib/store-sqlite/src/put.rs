//! The write path of the document store; runs inside the writer's transaction.

use bcs_store::{
    ChangeKind, Document, DocumentKey, Expect, Outcome, Retention, Revision, StoreError,
};
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use serde_json::value::RawValue;

use crate::compile::Compiled;
use crate::database::{Sequence, classify};
use crate::reading::to_document;

/// A request with everything computed that needs no database.
pub(crate) enum Prepared {
    Put {
        key: DocumentKey,
        data: Box<RawValue>,
        digest: String,
        expect: Option<Expect>,
    },
    Delete {
        key: DocumentKey,
        expect: Option<Expect>,
    },
    DeleteMatching(Compiled),
}

pub(crate) fn apply(
    connection: &Connection,
    sequence: &mut Sequence,
    write: Prepared,
    now: i64,
) -> Result<Outcome, StoreError> {
    let failed = |error: rusqlite::Error| classify("write", &error);
    match write {
        Prepared::Put {
            key,
            data,
            digest,
            expect,
        } => {
            let former = former(connection, &key, data.get()).map_err(failed)?;
            check(&key, expect, former.as_ref().map(|former| former.revision))?;
            put(connection, sequence, key, data, &digest, former, now).map_err(failed)
        }
        Prepared::Delete { key, expect } => {
            let document = connection
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
                .map_err(failed)?;
            check(
                &key,
                expect,
                document.as_ref().map(|document| document.revision),
            )?;
            let Some(document) = document else {
                return Ok(Outcome::Absent);
            };
            remove(connection, sequence, document, now).map_err(failed)?;
            Ok(Outcome::Deleted(1, sequence.revision))
        }
        Prepared::DeleteMatching(compiled) => {
            delete_matching(connection, sequence, compiled, now).map_err(failed)
        }
    }
}

struct Former {
    id: i64,
    revision: Revision,
    created: i64,
    same: bool,
}

fn former(
    connection: &Connection,
    key: &DocumentKey,
    body: &str,
) -> rusqlite::Result<Option<Former>> {
    connection
        .prepare_cached(
            "SELECT id, revision, created, body = ?5 FROM documents
             WHERE kind = ?1 AND cluster = ?2 AND namespace = ?3 AND name = ?4",
        )?
        .query_row(
            (&key.kind, &key.cluster, &key.namespace, &key.name, body),
            |row| {
                Ok(Former {
                    id: row.get(0)?,
                    revision: row.get(1)?,
                    created: row.get(2)?,
                    same: row.get(3)?,
                })
            },
        )
        .optional()
}

fn check(
    key: &DocumentKey,
    expect: Option<Expect>,
    found: Option<Revision>,
) -> Result<(), StoreError> {
    let Some(expect) = expect else { return Ok(()) };
    let expected = match expect {
        Expect::Absent => None,
        Expect::Revision(revision) => Some(revision),
    };
    if expected == found {
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

fn put(
    connection: &Connection,
    sequence: &mut Sequence,
    key: DocumentKey,
    data: Box<RawValue>,
    digest: &str,
    former: Option<Former>,
    now: i64,
) -> rusqlite::Result<Outcome> {
    let revision = sequence.revision + 1;
    let (kind, created, outcome) = match former {
        Some(former) if former.same => {
            connection
                .prepare_cached("UPDATE documents SET updated = ?2 WHERE id = ?1")?
                .execute((former.id, now))?;
            return Ok(Outcome::Unchanged(former.revision));
        }
        Some(former) => {
            connection
                .prepare_cached(
                    "UPDATE documents SET revision = ?2, updated = ?3, digest = ?4, body = ?5
                     WHERE id = ?1",
                )?
                .execute((former.id, revision, now, digest, data.get()))?;
            (
                ChangeKind::Modified,
                former.created,
                Outcome::Changed(revision),
            )
        }
        None => {
            connection
                .prepare_cached(
                    "INSERT INTO documents
                     (kind, cluster, namespace, name, revision, created, updated, digest, body)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8)",
                )?
                .execute((
                    &key.kind,
                    &key.cluster,
                    &key.namespace,
                    &key.name,
                    revision,
                    now,
                    digest,
                    data.get(),
                ))?;
            (ChangeKind::Added, now, Outcome::Created(revision))
        }
    };
    sequence.revision = revision;
    record(
        connection,
        kind,
        &Document {
            key,
            data,
            created,
            updated: now,
            revision,
        },
    )?;
    Ok(outcome)
}

fn remove(
    connection: &Connection,
    sequence: &mut Sequence,
    mut document: Document,
    now: i64,
) -> rusqlite::Result<()> {
    let key = &document.key;
    connection
        .prepare_cached(
            "DELETE FROM documents
             WHERE kind = ?1 AND cluster = ?2 AND namespace = ?3 AND name = ?4",
        )?
        .execute((&key.kind, &key.cluster, &key.namespace, &key.name))?;
    sequence.revision += 1;
    document.revision = sequence.revision;
    document.updated = now;
    record(connection, ChangeKind::Deleted, &document)
}

fn delete_matching(
    connection: &Connection,
    sequence: &mut Sequence,
    compiled: Compiled,
    now: i64,
) -> rusqlite::Result<Outcome> {
    let Compiled {
        condition,
        parameters,
    } = compiled;
    // Identities first: the bodies of a whole cluster need not be in memory at once.
    let mut statement = connection.prepare(&format!(
        "SELECT id FROM documents WHERE {condition} ORDER BY cluster, namespace, name, kind"
    ))?;
    let identities = statement
        .query_map(params_from_iter(parameters), |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut read = connection.prepare_cached(
        "SELECT cluster, namespace, kind, name, revision, created, updated, body
         FROM documents WHERE id = ?1",
    )?;
    for identity in &identities {
        let document = read.query_row([identity], to_document)?;
        remove(connection, sequence, document, now)?;
    }
    match identities.len() {
        0 => Ok(Outcome::Absent),
        count => Ok(Outcome::Deleted(count as u64, sequence.revision)),
    }
}

fn record(connection: &Connection, kind: ChangeKind, document: &Document) -> rusqlite::Result<()> {
    let change = match kind {
        ChangeKind::Added => 0,
        ChangeKind::Modified => 1,
        ChangeKind::Deleted => 2,
    };
    let key = &document.key;
    connection
        .prepare_cached(
            "INSERT INTO changes
             (revision, change, kind, cluster, namespace, name, created, updated, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute((
            document.revision,
            change,
            &key.kind,
            &key.cluster,
            &key.namespace,
            &key.name,
            document.created,
            document.updated,
            document.data.get(),
        ))
        .map(drop)
}

/// Drops changes beyond the retention; returns how many.
pub(crate) fn trim(
    connection: &Connection,
    sequence: &mut Sequence,
    retention: &Retention,
    now: i64,
) -> Result<u64, StoreError> {
    let age = i64::try_from(retention.age.as_millis()).unwrap_or(i64::MAX);
    let mut run = || -> rusqlite::Result<u64> {
        // The clock may step: only the unbroken old beginning of the feed goes by age.
        let young: Option<Revision> = connection
            .prepare_cached(
                "SELECT revision FROM changes WHERE updated >= ?1 ORDER BY revision LIMIT 1",
            )?
            .query_row([now.saturating_sub(age)], |row| row.get(0))
            .optional()?;
        let by_age = young.map_or(sequence.revision, |revision| revision - 1);
        let by_count = sequence.revision.saturating_sub(retention.changes);
        let compacted = by_age.max(by_count).max(sequence.compacted);
        let gone = connection
            .prepare_cached("DELETE FROM changes WHERE revision <= ?1")?
            .execute([compacted])?;
        sequence.compacted = compacted;
        Ok(gone as u64)
    };
    run().map_err(|error| classify("compact", &error))
}
