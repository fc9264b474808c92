//! The promises of both stores as executable checks, generic over the implementation.
//!
//! A back end calls [`coordination`] and [`documents`] from its tests with a function that opens an
//! empty store keeping a given number of revisions. Compiled with the feature `conformance` only.

mod coordination;
mod documents;

pub use coordination::coordination;
pub use documents::documents;
