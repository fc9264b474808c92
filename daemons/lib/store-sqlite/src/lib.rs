//! The embedded back end of both stores: one SQLite file each, durable at every answer.
//!
//! Owns files, threads, schema and migrations. Refuses a file that another process has open, a file
//! of another application and a schema newer than it knows. A full disk is a transient error and
//! leaves nothing half done. All SQL of the project is here.

mod compile;
mod coordination;
mod database;
mod documents;
mod feed;
mod file;
mod key_watch;
mod put;
mod reading;

pub use coordination::{CoordinationOptions, SqliteCoordination};
pub use documents::SqliteDocuments;
