//! What the journal holds: one entry for each change of what must survive the agent.

use bcs_mesos::types::{
    ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, TaskId, TaskInfo, TaskStatus,
};
use bytes::Bytes;

/// One change; exactly one member is set.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Entry {
    /// The id that the master gave; empty: forget it, and everything else.
    #[prost(string, optional, tag = "1")]
    pub(crate) agent_id: Option<String>,
    /// The boot that the following entries belong to.
    #[prost(string, optional, tag = "2")]
    pub(crate) boot: Option<String>,
    #[prost(message, optional, tag = "3")]
    pub(crate) framework: Option<FrameworkInfo>,
    #[prost(message, optional, tag = "4")]
    pub(crate) executor: Option<ExecutorEntry>,
    #[prost(message, optional, tag = "5")]
    pub(crate) process: Option<ProcessEntry>,
    #[prost(message, optional, tag = "6")]
    pub(crate) launch: Option<LaunchEntry>,
    #[prost(message, optional, tag = "7")]
    pub(crate) update: Option<UpdateEntry>,
    #[prost(message, optional, tag = "8")]
    pub(crate) acknowledged: Option<AcknowledgedEntry>,
    #[prost(message, optional, tag = "9")]
    pub(crate) shutdown: Option<ExecutorKey>,
    #[prost(message, optional, tag = "10")]
    pub(crate) executor_exited: Option<ExecutorKey>,
    #[prost(message, optional, tag = "11")]
    pub(crate) executor_removed: Option<ExecutorKey>,
    #[prost(message, optional, tag = "12")]
    pub(crate) framework_removed: Option<FrameworkId>,
}

/// Which executor.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, prost::Message)]
pub(crate) struct ExecutorKey {
    #[prost(message, required, tag = "1")]
    pub(crate) framework: FrameworkId,
    #[prost(message, required, tag = "2")]
    pub(crate) executor: ExecutorId,
}

/// An executor was accepted.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExecutorEntry {
    #[prost(message, required, tag = "1")]
    pub(crate) framework: FrameworkId,
    #[prost(message, required, tag = "2")]
    pub(crate) info: ExecutorInfo,
    /// Tells runs of one executor id apart; names the sandbox.
    #[prost(string, tag = "3")]
    pub(crate) run: String,
    #[prost(string, tag = "4")]
    pub(crate) directory: String,
    /// Proves the executor on TCP.
    #[prost(string, tag = "5")]
    pub(crate) token: String,
    /// Run by a daemon of the host rather than forked.
    #[prost(bool, tag = "6")]
    pub(crate) resident: bool,
}

/// An executor was forked.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProcessEntry {
    #[prost(message, required, tag = "1")]
    pub(crate) key: ExecutorKey,
    #[prost(int32, tag = "2")]
    pub(crate) pid: i32,
    /// In clock ticks since boot: tells it from a later process of the same pid.
    #[prost(uint64, tag = "3")]
    pub(crate) start_time: u64,
}

/// Tasks were accepted.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LaunchEntry {
    #[prost(message, required, tag = "1")]
    pub(crate) key: ExecutorKey,
    #[prost(message, repeated, tag = "2")]
    pub(crate) tasks: Vec<TaskInfo>,
    #[prost(bool, tag = "3")]
    pub(crate) group: bool,
}

/// A status was accepted.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UpdateEntry {
    #[prost(message, required, tag = "1")]
    pub(crate) key: ExecutorKey,
    #[prost(message, required, tag = "2")]
    pub(crate) status: TaskStatus,
}

/// A status was acknowledged by the scheduler.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AcknowledgedEntry {
    #[prost(message, required, tag = "1")]
    pub(crate) key: ExecutorKey,
    #[prost(message, required, tag = "2")]
    pub(crate) task: TaskId,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) uuid: Bytes,
    /// In a rewritten journal, where the status itself is gone: the state that it led to.
    #[prost(int32, optional, tag = "4")]
    pub(crate) latest: Option<i32>,
}
