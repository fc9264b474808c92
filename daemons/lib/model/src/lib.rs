//! The vocabulary of API v4: wire objects, the scheduler's internal objects, statuses,
//! identifiers, validation, units and value templates.
//!
//! Owns names and shapes only. It does no I/O, reads no clock and knows no store, so that fuzzers
//! and every role can use it.

pub mod application;
pub mod dataclass;
pub mod decode;
pub mod ids;
pub mod message;
pub mod meta;
pub mod status;
pub mod storage;
pub mod taskgroup;
pub mod template;
pub mod units;
pub mod v4;
pub mod validate;
pub mod version;
