//! The client of the Mesos v1 scheduler API: one stream of events in, calls out.

pub(crate) mod calls;
pub(crate) mod master;
pub(crate) mod subscribe;
