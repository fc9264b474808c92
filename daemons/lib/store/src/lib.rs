//! The two stores behind every daemon: traits, the query language, an in-memory implementation and
//! the conformance suite that every back end must pass.
//!
//! - [`Coordination`]: ordered keys with revisions, compare-and-swap, fencing terms, watch. The
//!   scheduler keeps its state there.
//! - [`Documents`]: the objects of all clusters with queries, paging and a change feed.
//!
//! This crate knows no SQL and no network. It refuses nothing silently: a query that cannot be
//! understood is an error, a list that was cut says how to go on, a watch that is too old says so.

#[cfg(feature = "conformance")]
pub mod conformance;
mod coordination;
mod document;
mod error;
pub mod instant;
pub mod memory;
mod query;

pub use coordination::{
    Coordination, Entry, Expect, KeyChange, KeyChanges, KeyWatch, MAX_KEY_BYTES, MAX_VALUE_BYTES,
    Range, Term, Transaction, prefix_end,
};
pub use document::{
    Change, ChangeKind, Changes, DigestEntry, Document, DocumentKey, DocumentWatch, Documents,
    MAX_DOCUMENT_BYTES, MAX_NAME_BYTES, Outcome, Page, Retention, Write, content_digest,
};
pub use error::{Class, StoreError};
pub use query::{
    ContinueToken, Field, Filter, Operator, Query, Requirement, Scalar, Scope, Selector,
    SelectorError, Test, label_integer, project,
};

/// A position in a store's history; grows with every change, never repeats.
pub type Revision = u64;
