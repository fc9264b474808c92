//! Both stores in memory: for tests, for fakes and as the model that the others are compared with.
//! Nothing here survives the process.

mod coordination;
mod documents;

pub use coordination::MemoryCoordination;
pub use documents::MemoryDocuments;
