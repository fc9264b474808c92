//! The scheduler of one Mesos cluster: applications and their taskgroups, the offer pool, launches,
//! updates and restarts.
//!
//! It speaks the public Mesos v1 scheduler API and nothing else to the engine, so it runs on our
//! master and on Apache Mesos alike. It never kills workloads by leaving: what runs goes on, and the
//! next start takes it up from the store.
//!
//! ```text
//!  API callers --+                                  +--> replies
//!                |    +--------+   +-----------+    |
//!  master -------+--> | inbox  |-->| core      |    +--> calls to the master, in order
//!  (one stream)  |    | bounded|   | step each |    |
//!  deadlines ----+    +--------+   | finish    |    +--> acknowledgements
//!                                  +-----+-----+    |
//!                                        |          +--> watch feed
//!                                 one transaction --^
//!                                 (fenced, durable)
//! ```
//!
//! One task owns the state. It drains the inbox, steps every event through pure rules, commits what
//! changed in one transaction and only then lets anything out: an update is acknowledged after it is
//! stored, a launch is stored before its ACCEPT, and a 2xx answer survives a crash.

mod api;
mod core;
mod engine;
mod feed;
mod inbox;
mod mesos;
mod meters;
mod restore;
mod run;
mod seal;
mod settings;

pub use run::run;
pub use settings::{Encoding, Executor, Framework, Settings};

#[cfg(test)]
mod tests;
