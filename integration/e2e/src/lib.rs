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

mod api;
mod authority;
mod clock;
mod command;
mod host;
mod listeners;
mod look;
pub mod objects;
mod package_server;
mod raw;
mod roles;
mod system;
pub mod wait;

pub use api::{Api, CLUSTER, Reply, STORAGE, Stream, WORKLOADS};
pub use authority::{Authority, Certificate};

pub use clock::Clock;
pub use command::{Answer, free_port, http_get};
pub use host::{alive, files_below, processes_naming, resident_bytes, start_time};
pub use listeners::{Address, Listening, listeners};
pub use look::{base64, environment_of, name_of, script, shell, words_of};
pub use package_server::{Behaviour, PackageServer};
pub use raw::{Connection, Tls};
pub use system::{Mode, System, executable, pid_of};

/// Makes two tests of every scenario: in one process, and with a process for each role.
#[macro_export]
macro_rules! in_both_layouts {
    ($($scenario:ident),* $(,)?) => {
        mod standalone { $( #[test] fn $scenario() { super::$scenario($crate::System::start($crate::Mode::Standalone)); } )* }
        mod roles { $( #[test] fn $scenario() { super::$scenario($crate::System::start($crate::Mode::Roles)); } )* }
    };
}
