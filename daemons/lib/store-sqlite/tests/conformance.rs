//! The embedded stores pass the suites that every back end must pass.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bcs_store::{Retention, conformance};
use bcs_store_sqlite::{CoordinationOptions, SqliteCoordination, SqliteDocuments};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coordination_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let count = AtomicU32::new(0);
    conformance::coordination(|keep_revisions| {
        let path = folder
            .path()
            .join(format!("{}.db", count.fetch_add(1, Ordering::Relaxed)));
        let options = CoordinationOptions {
            keep_revisions,
            ..CoordinationOptions::default()
        };
        Arc::new(SqliteCoordination::open(&path, options).unwrap())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_conform() {
    let folder = tempfile::tempdir().unwrap();
    let count = AtomicU32::new(0);
    conformance::documents(|changes| {
        let path = folder
            .path()
            .join(format!("{}.db", count.fetch_add(1, Ordering::Relaxed)));
        let retention = Retention {
            changes,
            age: Duration::from_secs(3600),
        };
        Arc::new(SqliteDocuments::open(&path, retention, 2).unwrap())
    })
    .await;
}
