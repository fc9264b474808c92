//! The public Mesos v1 HTTP APIs: the messages of the scheduler, executor and operator APIs in JSON and protobuf,
//! RecordIO framing, resource arithmetic, identifier rules, durations and task states.
//!
//! It owns what is true of the protocol for every speaker of it. It opens no socket and keeps no state.
//!
//! Required members of a message are plain fields: absent on the wire they read as empty, and validation
//! ([`ids::validate`]) refuses an empty identifier.

#[macro_use]
pub mod json;

pub mod codec;
pub mod duration;
pub mod executor;
pub mod ids;
pub mod link;
pub mod operator;
pub mod recordio;
pub mod resources;
pub mod scheduler;
pub mod state;
pub mod types;

pub use codec::{CodecError, ContentType, decode, encode};
pub use json::WireName;
pub use resources::Resources;
pub use types::*;

#[cfg(test)]
mod json_tests;
