//! Reads of the document store; each runs on a snapshot.

use bcs_store::{ContinueToken, DigestEntry, Document, DocumentKey, Page, Revision};
use rusqlite::{Connection, Row, params_from_iter};
use serde_json::value::RawValue;

use crate::compile::Compiled;

/// A page is closed when it holds this much text, whatever its limit.
const PAGE_BYTES: usize = 32 * 1024 * 1024;

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

pub(crate) fn meta(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
}

pub(crate) struct Plan {
    pub(crate) compiled: Compiled,
    pub(crate) limit: usize,
    pub(crate) offset: usize,
    /// Kind and cluster are fixed, so that the unique index gives the order.
    pub(crate) one_index: bool,
    pub(crate) after: Option<ContinueToken>,
}

pub(crate) fn read_page(connection: &Connection, plan: Plan) -> rusqlite::Result<Page> {
    let Plan {
        compiled,
        limit,
        offset,
        one_index,
        after,
    } = plan;
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
        let DocumentKey {
            cluster,
            namespace,
            name,
            kind,
        } = token.key.clone();
        if one_index {
            text.push_str(" AND (namespace, name) > (?, ?)");
            rest.extend([namespace, name].map(rusqlite::types::Value::Text));
        } else {
            text.push_str(" AND (cluster, namespace, name, kind) > (?, ?, ?, ?)");
            rest.extend([cluster, namespace, name, kind].map(rusqlite::types::Value::Text));
        }
    }
    text.push_str(if one_index {
        " ORDER BY namespace, name LIMIT -1 OFFSET ?"
    } else {
        " ORDER BY cluster, namespace, name, kind LIMIT -1 OFFSET ?"
    });
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

pub(crate) fn read_namespaces(
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

pub(crate) fn read_digests(
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
