//! A whole system for one test: the real executable, as one process or as a process for each
//! role, in a folder of its own, with everything that it started ended at the end.
//!
//! Scenarios take a [`System`] and do not know which of the two it is, so that both are proven
//! by the same assertions. Nothing here knows the product's crates: only its commands, its HTTP
//! interface and its files that users see.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken host should fail loudly"
)]

mod command;
mod host;
pub mod objects;
mod roles;
mod system;
pub mod wait;

pub use command::{Answer, free_port, http_get};
pub use host::{alive, processes_naming, start_time};
pub use system::{Mode, System, executable, pid_of};
