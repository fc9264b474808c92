//! The core: the whole state of the cluster and the pure rules that change it.
//!
//! Owns every decision. It does no I/O and reads no clock: events and the time come in, records to
//! commit and effects to run go out, and the engine (`crate::engine`) commits before it runs.

pub(crate) mod apps;
pub(crate) mod build;
pub(crate) mod command;
pub(crate) mod container;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod hosts;
pub(crate) mod intent;
pub(crate) mod need;
pub(crate) mod objects;
pub(crate) mod operation;
pub(crate) mod output;
pub(crate) mod parts;
pub(crate) mod place;
pub(crate) mod policy;
pub(crate) mod ports;
pub(crate) mod query;
pub(crate) mod reconcile;
pub(crate) mod records;
pub(crate) mod resize;
pub(crate) mod resolve;
pub(crate) mod state;
pub(crate) mod step;
pub(crate) mod update;

pub(crate) use events::{Effect, Event, Now};
pub(crate) use output::Batch;
pub(crate) use records::{Key, Name};
pub(crate) use state::{Cluster, Rules};
