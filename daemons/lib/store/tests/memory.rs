//! The in-memory stores pass the suites that every back end must pass.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use bcs_store::memory::{MemoryCoordination, MemoryDocuments};
use bcs_store::{Retention, conformance};

#[tokio::test]
async fn coordination_conforms() {
    conformance::coordination(|keep| Arc::new(MemoryCoordination::keeping(keep))).await;
}

#[tokio::test]
async fn documents_conform() {
    conformance::documents(|changes| {
        let age = Duration::from_secs(3600);
        Arc::new(MemoryDocuments::keeping(Retention { changes, age }))
    })
    .await;
}
