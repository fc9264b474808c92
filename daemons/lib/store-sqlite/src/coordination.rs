//! [`Coordination`] over one SQLite file.

use std::path::Path;

use async_trait::async_trait;
use bcs_store::{
    Coordination, Entry, Expect, KeyWatch, Range, Revision, StoreError, Term, Transaction,
    prefix_end,
};
use rusqlite::{Connection, OptionalExtension};

use crate::database::{Database, Sequence, classify};
use crate::key_watch::{SqliteKeyWatch, compacted};

const APPLICATION: i32 = 0x6263_7363;

const SCHEMA: &[&str] = &["
CREATE TABLE entries (
  key TEXT PRIMARY KEY,
  revision INTEGER NOT NULL,
  value BLOB NOT NULL
) STRICT;
CREATE TABLE changes (
  revision INTEGER NOT NULL,
  position INTEGER NOT NULL,
  key TEXT NOT NULL,
  value BLOB,
  PRIMARY KEY (revision, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE terms (
  role TEXT PRIMARY KEY,
  number INTEGER NOT NULL,
  holder TEXT NOT NULL
) STRICT;
"];

/// How much history the change feed keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoordinationOptions {
    /// Transactions kept for watchers; older ones are compacted. 0 keeps none and writes each value
    /// once only: for owners that never watch.
    pub keep_revisions: u64,
    /// Reader threads.
    pub readers: usize,
}

impl Default for CoordinationOptions {
    fn default() -> Self {
        Self {
            keep_revisions: 2000,
            readers: 1,
        }
    }
}

/// The embedded coordination store.
pub struct SqliteCoordination {
    database: Database,
    options: CoordinationOptions,
}

impl std::fmt::Debug for SqliteCoordination {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SqliteCoordination")
            .finish_non_exhaustive()
    }
}

impl SqliteCoordination {
    /// Opens or creates the file. Fails when another process has it open.
    pub fn open(path: &Path, options: CoordinationOptions) -> Result<Self, StoreError> {
        let database = Database::open(path, APPLICATION, SCHEMA, options.readers, |_| Ok(()))?;
        Ok(Self { database, options })
    }
}

#[async_trait]
impl Coordination for SqliteCoordination {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let key = key.to_owned();
        self.database
            .read(move |connection| {
                read_entry(connection, &key).map_err(|error| classify("get", &error))
            })
            .await
    }

    async fn range(
        &self,
        prefix: &str,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Range, StoreError> {
        let prefix = prefix.to_owned();
        let after = after.map(str::to_owned);
        self.database
            .read(move |connection| {
                read_range(connection, &prefix, limit, after.as_deref())
                    .map_err(|error| classify("range", &error))
            })
            .await
    }

    async fn transact(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        transaction.validate()?;
        let keep = self.options.keep_revisions;
        self.database
            .write(move |connection, sequence| apply(connection, sequence, &transaction, keep))
            .await
    }

    async fn acquire_term(&self, role: &str, holder: &str) -> Result<Term, StoreError> {
        let (role, holder) = (role.to_owned(), holder.to_owned());
        self.database
            .write(move |connection, _| {
                let number = connection
                    .query_row(
                        "INSERT INTO terms (role, number, holder) VALUES (?1, 1, ?2)
                         ON CONFLICT (role) DO UPDATE SET number = number + 1, holder = ?2
                         RETURNING number",
                        (&role, &holder),
                        |row| row.get(0),
                    )
                    .map_err(|error| classify("acquire term", &error))?;
                Ok(Term { role, number })
            })
            .await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.database.committed().borrow().revision)
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn KeyWatch>, StoreError> {
        let committed = self.database.committed();
        let sequence = *committed.borrow();
        if after < sequence.compacted || after > sequence.revision {
            return Err(compacted(after, sequence));
        }
        Ok(Box::new(SqliteKeyWatch {
            database: self.database.clone(),
            committed,
            prefix: prefix.to_owned(),
            cursor: after,
        }))
    }
}

fn read_entry(connection: &Connection, key: &str) -> rusqlite::Result<Option<Entry>> {
    connection
        .prepare_cached("SELECT key, value, revision FROM entries WHERE key = ?1")?
        .query_row([key], to_entry)
        .optional()
}

fn to_entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        key: row.get(0)?,
        value: row.get(1)?,
        revision: row.get(2)?,
    })
}

fn read_range(
    connection: &Connection,
    prefix: &str,
    limit: usize,
    after: Option<&str>,
) -> rusqlite::Result<Range> {
    let revision = connection
        .prepare_cached("SELECT value FROM meta WHERE name = 'revision'")?
        .query_row([], |row| row.get(0))?;
    // One more than asked tells whether keys follow; -1 means all.
    let fetch = if limit == 0 {
        -1
    } else {
        i64::try_from(limit).map_or(-1, |limit| limit + 1)
    };
    let mut statement = connection.prepare_cached(
        "SELECT key, value, revision FROM entries
         WHERE key >= ?1 AND (?2 IS NULL OR key < ?2) AND (?3 IS NULL OR key > ?3)
         ORDER BY key LIMIT ?4",
    )?;
    let rows = statement.query_map((prefix, prefix_end(prefix), after, fetch), to_entry)?;
    let mut entries = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let more = limit != 0 && entries.len() > limit;
    if more {
        entries.truncate(limit);
    }
    Ok(Range {
        entries,
        revision,
        more,
    })
}

fn apply(
    connection: &Connection,
    sequence: &mut Sequence,
    transaction: &Transaction,
    keep: u64,
) -> Result<Revision, StoreError> {
    let failed = |error: rusqlite::Error| classify("transact", &error);
    if let Some(term) = &transaction.fence {
        check_fence(connection, term)?;
    }
    for (key, expect) in &transaction.conditions {
        check_condition(connection, key, *expect)?;
    }
    let revision = sequence.revision + 1;
    let mut position: i64 = 0;
    let mut put = connection
        .prepare_cached(
            "INSERT INTO entries (key, revision, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET revision = ?2, value = ?3",
        )
        .map_err(failed)?;
    let mut record = connection
        .prepare_cached(
            "INSERT INTO changes (revision, position, key, value) VALUES (?1, ?2, ?3, ?4)",
        )
        .map_err(failed)?;
    let mut remove = connection
        .prepare_cached("DELETE FROM entries WHERE key = ?1")
        .map_err(failed)?;
    let mut changed = |key: &str, value: Option<&[u8]>| -> Result<(), StoreError> {
        if keep > 0 {
            record
                .execute((revision, position, key, value))
                .map_err(failed)?;
        }
        position += 1;
        Ok(())
    };
    for key in &transaction.deletes {
        if remove.execute([key]).map_err(failed)? > 0 {
            changed(key, None)?;
        }
    }
    for (key, value) in &transaction.puts {
        put.execute((key, revision, value)).map_err(failed)?;
        changed(key, Some(value))?;
    }
    if position > 0 {
        sequence.revision = revision;
        trim(connection, sequence, keep).map_err(failed)?;
    }
    Ok(sequence.revision)
}

/// Trims in steps of a sixteenth, so that most transactions pay nothing.
fn trim(connection: &Connection, sequence: &mut Sequence, keep: u64) -> rusqlite::Result<()> {
    if keep == 0 {
        let recorded_before = sequence.compacted + 1 < sequence.revision;
        sequence.compacted = sequence.revision;
        if !recorded_before {
            return Ok(());
        }
        // The first write since the option was changed.
        return connection.execute("DELETE FROM changes", []).map(drop);
    }
    let kept = sequence.revision - sequence.compacted;
    if kept <= keep + keep / 16 {
        return Ok(());
    }
    let compacted = sequence.revision - keep;
    connection
        .prepare_cached("DELETE FROM changes WHERE revision <= ?1")?
        .execute([compacted])?;
    sequence.compacted = compacted;
    Ok(())
}

fn check_fence(connection: &Connection, term: &Term) -> Result<(), StoreError> {
    let current: Option<u64> = connection
        .prepare_cached("SELECT number FROM terms WHERE role = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([&term.role], |row| row.get(0))
                .optional()
        })
        .map_err(|error| classify("transact", &error))?;
    match current {
        Some(current) if current == term.number => Ok(()),
        other => Err(StoreError::Fenced {
            role: term.role.clone(),
            term: term.number,
            current: other.unwrap_or(0),
        }),
    }
}

fn check_condition(connection: &Connection, key: &str, expect: Expect) -> Result<(), StoreError> {
    let found: Option<Revision> = connection
        .prepare_cached("SELECT revision FROM entries WHERE key = ?1")
        .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional())
        .map_err(|error| classify("transact", &error))?;
    let holds = match expect {
        Expect::Absent => found.is_none(),
        Expect::Revision(revision) => found == Some(revision),
    };
    if holds {
        return Ok(());
    }
    let describe = |revision: Option<Revision>| match revision {
        None => "absent".to_owned(),
        Some(revision) => format!("revision {revision}"),
    };
    let expected = match expect {
        Expect::Absent => None,
        Expect::Revision(revision) => Some(revision),
    };
    Err(StoreError::Conflict {
        key: key.to_owned(),
        expected: describe(expected),
        found: describe(found),
    })
}
