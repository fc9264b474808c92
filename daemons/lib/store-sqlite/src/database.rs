//! One SQLite file: a writer thread with group commit, a few reader threads, a lock file.
//!
//! ```text
//!  write(work) --bounded queue--> writer: BEGIN; SAVEPOINT work RELEASE ...; COMMIT (one fsync); reply
//!  read(work)  --bounded queue--> reader: BEGIN DEFERRED; work; COMMIT (a snapshot)
//! ```
//!
//! A request that fails is rolled back alone; the others of its group commit. When the commit itself
//! fails, the whole group is rolled back and every request learns it: nothing is half done. Queues
//! are bounded: a caller waits when they are full.

use std::path::Path;
use std::sync::{Arc, Mutex};

use bcs_store::{Revision, StoreError};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use crate::file::{connect, migrate, read_sequence, take_lock};

/// Requests that may wait for a thread; more callers wait in their own task.
const QUEUE_REQUESTS: usize = 1024;
/// Requests that share one commit.
const GROUP_REQUESTS: usize = 256;

/// The counters that every write may advance; undone with the write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sequence {
    pub(crate) revision: Revision,
    /// The newest revision that the feed no longer holds.
    pub(crate) compacted: Revision,
}

trait WriteJob: Send {
    fn run(&mut self, connection: &Connection, sequence: &mut Sequence) -> Result<(), ()>;
    fn finish(self: Box<Self>, commit: Result<(), StoreError>);
}

struct Write<F, T> {
    work: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> WriteJob for Write<F, T>
where
    F: FnOnce(&Connection, &mut Sequence) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection, sequence: &mut Sequence) -> Result<(), ()> {
        let Some(work) = self.work.take() else {
            return Err(());
        };
        let outcome = work(connection, sequence);
        let result = outcome.as_ref().map(|_| ()).map_err(|_| ());
        self.outcome = Some(outcome);
        result
    }

    fn finish(self: Box<Self>, commit: Result<(), StoreError>) {
        let this = *self;
        let answer = match (commit, this.outcome) {
            // A refusal stands whatever became of the commit.
            (_, Some(Err(error))) => Err(error),
            (Err(error), _) => Err(error),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Ok(()), None) => Err(closed()),
        };
        // The caller may have gone away; the write stands all the same.
        drop(this.reply.send(answer));
    }
}

type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// A handle to an open file; clones share it. Threads end when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Database {
    writes: mpsc::Sender<Box<dyn WriteJob>>,
    reads: mpsc::Sender<ReadJob>,
    committed: watch::Receiver<Sequence>,
}

impl Database {
    /// Opens or creates the file, takes its lock, migrates it and starts its threads.
    ///
    /// `schema` holds one script per version; the file's `user_version` says how many were applied.
    pub(crate) fn open(
        path: &Path,
        application: i32,
        schema: &'static [&'static str],
        readers: usize,
        prepare: fn(&Connection) -> rusqlite::Result<()>,
    ) -> Result<Self, StoreError> {
        let lock = take_lock(path)?;
        let mut writer = connect(path, prepare)?;
        migrate(&mut writer, application, schema)?;
        let sequence = read_sequence(&writer)?;
        let (committed_sender, committed) = watch::channel(sequence);
        let (writes, write_queue) = mpsc::channel(QUEUE_REQUESTS);
        let (reads, read_queue) = mpsc::channel::<ReadJob>(QUEUE_REQUESTS);
        let read_queue = Arc::new(Mutex::new(read_queue));
        for index in 0..readers.max(1) {
            let connection = connect(path, prepare)?;
            let queue = Arc::clone(&read_queue);
            spawn(format!("sqlite-read-{index}"), move || {
                read_loop(&connection, &queue);
            })?;
        }
        spawn("sqlite-write".into(), move || {
            write_loop(&mut writer, write_queue, sequence, &committed_sender);
            drop(lock);
        })?;
        Ok(Self {
            writes,
            reads,
            committed,
        })
    }

    /// Runs `work` in the writer; returns when it is durable.
    pub(crate) async fn write<F, T>(&self, work: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection, &mut Sequence) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Write {
            work: Some(work),
            outcome: None,
            reply,
        });
        self.writes.send(job).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Runs `work` on a snapshot in a reader.
    pub(crate) async fn read<F, T>(&self, work: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: ReadJob = Box::new(move |connection| {
            let outcome = snapshot(connection, work);
            drop(reply.send(outcome));
        });
        self.reads.send(job).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Changes with every commit; also says what is committed.
    pub(crate) fn committed(&self) -> watch::Receiver<Sequence> {
        self.committed.clone()
    }
}

fn snapshot<F, T>(connection: &Connection, work: F) -> Result<T, StoreError>
where
    F: FnOnce(&Connection) -> Result<T, StoreError>,
{
    let transaction = connection
        .unchecked_transaction()
        .map_err(|error| classify("read", &error))?;
    work(&transaction)
}

fn closed() -> StoreError {
    StoreError::Unavailable {
        operation: "store",
        reason: "it is closed".into(),
    }
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    std::thread::Builder::new()
        .name(name)
        .stack_size(512 * 1024)
        .spawn(body)
        .map(drop)
        .map_err(|error| StoreError::Unavailable {
            operation: "open",
            reason: error.to_string(),
        })
}

fn read_loop(connection: &Connection, queue: &Mutex<mpsc::Receiver<ReadJob>>) {
    loop {
        let job = match queue.lock() {
            Ok(mut queue) => queue.blocking_recv(),
            Err(_) => None,
        };
        match job {
            Some(job) => job(connection),
            None => return,
        }
    }
}

fn write_loop(
    connection: &mut Connection,
    mut queue: mpsc::Receiver<Box<dyn WriteJob>>,
    mut sequence: Sequence,
    committed: &watch::Sender<Sequence>,
) {
    let mut group: Vec<Box<dyn WriteJob>> = Vec::new();
    while let Some(first) = queue.blocking_recv() {
        group.push(first);
        while group.len() < GROUP_REQUESTS {
            match queue.try_recv() {
                Ok(next) => group.push(next),
                Err(_) => break,
            }
        }
        let before = sequence;
        let outcome = run_group(connection, &mut group, &mut sequence);
        if outcome.is_err() {
            sequence = before;
        } else if sequence != before {
            committed.send_replace(sequence);
        }
        for job in group.drain(..) {
            job.finish(outcome.clone());
        }
        // A large burst must not pin its memory for ever.
        group.shrink_to(GROUP_REQUESTS);
    }
    if let Err(error) = connection.execute_batch("PRAGMA optimize;") {
        tracing::debug!(error = %error, "optimize at close failed");
    }
}

fn run_group(
    connection: &mut Connection,
    group: &mut [Box<dyn WriteJob>],
    sequence: &mut Sequence,
) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| classify("write", &error);
    let start = *sequence;
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    for job in group.iter_mut() {
        let before = *sequence;
        transaction
            .execute_batch("SAVEPOINT request")
            .map_err(failed)?;
        if job.run(&transaction, sequence).is_err() {
            *sequence = before;
            // A full disk may have ended the whole transaction already.
            if transaction.is_autocommit() {
                return Err(StoreError::Full { operation: "write" });
            }
            transaction
                .execute_batch("ROLLBACK TO request")
                .map_err(failed)?;
        }
        transaction
            .execute_batch("RELEASE request")
            .map_err(failed)?;
    }
    if *sequence != start {
        let mut update = transaction
            .prepare_cached("UPDATE meta SET value = ?2 WHERE name = ?1")
            .map_err(failed)?;
        update
            .execute(("revision", sequence.revision))
            .map_err(failed)?;
        if sequence.compacted != start.compacted {
            update
                .execute(("compacted", sequence.compacted))
                .map_err(failed)?;
        }
    }
    transaction.commit().map_err(failed)
}

/// Turns SQLite's codes into ours.
pub(crate) fn classify(operation: &'static str, error: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode;
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { operation },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch) => {
            StoreError::Corrupt { operation, reason }
        }
        Some(ErrorCode::TooBig) => StoreError::Invalid {
            field: operation.into(),
            value: String::new(),
            rule: "smaller than the back end's limit".into(),
        },
        Some(_) => StoreError::Unavailable { operation, reason },
        None => StoreError::Corrupt { operation, reason },
    }
}
