//! The file of a database: its lock, its settings, its schema.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bcs_store::StoreError;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::database::{Sequence, classify};

/// Page cache of each connection.
const CACHE_KIB: i64 = 512;

pub(crate) fn take_lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let unavailable = |reason: String| StoreError::Unavailable {
        operation: "open",
        reason,
    };
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        std::fs::create_dir_all(parent)
            .map_err(|error| unavailable(format!("{}: {error}", parent.display())))?;
    }
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let lock = options
        .open(&lock_path)
        .map_err(|error| unavailable(format!("{}: {error}", lock_path.display())))?;
    wait_for_lock(&lock).map_err(|error| {
        unavailable(format!(
            "{} is in use by another process: {error}",
            path.display()
        ))
    })?;
    // SQLite creates its files with the mode of the main file; secrets may be inside.
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map_err(|error| unavailable(format!("{}: {error}", path.display())))?;
    Ok(lock)
}

/// A predecessor in this process, or one that is just ending, may need a moment to let go.
fn wait_for_lock(lock: &File) -> Result<(), std::fs::TryLockError> {
    let patience = Instant::now() + Duration::from_secs(3);
    loop {
        match lock.try_lock() {
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() < patience => {
                std::thread::sleep(Duration::from_millis(20));
            }
            outcome => return outcome,
        }
    }
}

pub(crate) fn connect(
    path: &Path,
    prepare: fn(&Connection) -> rusqlite::Result<()>,
) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "journal_size_limit", 4 * 1024 * 1024)?;
        connection.set_prepared_statement_cache_capacity(32);
        prepare(&connection)?;
        Ok(connection)
    };
    open().map_err(|error| classify("open", &error))
}

pub(crate) fn migrate(
    connection: &mut Connection,
    application: i32,
    schema: &'static [&'static str],
) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| classify("migrate", &error);
    let version: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed)?;
    let owner: i32 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(failed)?;
    let corrupt = |reason: String| StoreError::Corrupt {
        operation: "open",
        reason,
    };
    if version != 0 && owner != application {
        return Err(corrupt(format!(
            "application id {owner:#x}, expected {application:#x}"
        )));
    }
    let applied = usize::try_from(version).map_err(|_| corrupt(format!("version {version}")))?;
    if applied > schema.len() {
        return Err(corrupt(format!(
            "schema version {version} is newer than this program's {}",
            schema.len()
        )));
    }
    for (index, script) in schema.iter().enumerate().skip(applied) {
        let step = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        step.execute_batch(script).map_err(failed)?;
        if index == 0 {
            step.execute_batch(
                "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
                 INSERT INTO meta VALUES ('revision', 0), ('compacted', 0);",
            )
            .map_err(failed)?;
        }
        step.pragma_update(None, "application_id", application)
            .map_err(failed)?;
        step.pragma_update(None, "user_version", index + 1)
            .map_err(failed)?;
        step.commit().map_err(failed)?;
    }
    Ok(())
}

pub(crate) fn read_sequence(connection: &Connection) -> Result<Sequence, StoreError> {
    let value = |name: &str| -> rusqlite::Result<u64> {
        connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| {
            row.get(0)
        })
    };
    let read = || {
        Ok(Sequence {
            revision: value("revision")?,
            compacted: value("compacted")?,
        })
    };
    read().map_err(|error| classify("open", &error))
}
