//! What bcs's own master and agent say to each other. Not part of Mesos; nobody else speaks it.
//!
//! ```text
//!   agent  POST /master/v1/agents/stream    Register  ->  200, RecordIO of Command (first: Registered)
//!   agent  POST /master/v1/agents/messages  Batch     ->  202 | 410: the session is over, register again
//! ```
//! Both bodies and records are protobuf. A session is one stream; a new Register of the same agent ends the old
//! session, and what was on its way in it is void: Register carries the agent's whole state, which is the truth.

use bytes::Bytes;

use crate::types::{
    AgentId, AgentInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, KillPolicy, Task,
    TaskId, TaskInfo, TaskStatus,
};

/// The version of this protocol; a master refuses another one.
pub const VERSION: u32 = 1;
/// The route of the stream.
pub const STREAM_PATH: &str = "/master/v1/agents/stream";
/// The route of the messages.
pub const MESSAGES_PATH: &str = "/master/v1/agents/messages";

/// An agent begins a session.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Register {
    /// [`VERSION`].
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// With the id when the agent has one.
    #[prost(message, required, tag = "2")]
    pub agent: AgentInfo,
    /// The version of bcs.
    #[prost(string, tag = "3")]
    pub software: String,
    /// All frameworks which have something here.
    #[prost(message, repeated, tag = "4")]
    pub frameworks: Vec<FrameworkInfo>,
    /// All executors that hold resources.
    #[prost(message, repeated, tag = "5")]
    pub executors: Vec<ExecutorInfo>,
    /// All tasks whose end is not acknowledged.
    #[prost(message, repeated, tag = "6")]
    pub tasks: Vec<Task>,
    /// How often the agent promises to send something.
    #[prost(uint64, tag = "7")]
    pub heartbeat_milliseconds: u64,
}

/// What an agent has to say.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Batch {
    /// From [`Registered`].
    #[prost(string, tag = "1")]
    pub session: String,
    /// In order. Empty is a sign of life.
    #[prost(message, repeated, tag = "2")]
    pub messages: Vec<Message>,
}

/// One message of an agent; exactly one member is set.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    /// The oldest unacknowledged status of a task.
    #[prost(message, optional, tag = "1")]
    pub update: Option<Update>,
    /// From an executor to its scheduler.
    #[prost(message, optional, tag = "2")]
    pub executor_message: Option<ExecutorMessage>,
    /// An executor has ended.
    #[prost(message, optional, tag = "3")]
    pub executor_exited: Option<ExecutorExited>,
}

/// A status, and the newest state that the agent knows.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Update {
    /// Whose task.
    #[prost(message, required, tag = "1")]
    pub framework_id: FrameworkId,
    /// The status to forward. Without uuid when it is not to be acknowledged.
    #[prost(message, optional, tag = "2")]
    pub status: Option<TaskStatus>,
    /// Which task, when there is no status to forward.
    #[prost(message, required, tag = "3")]
    pub task_id: TaskId,
    /// May be ahead of `status`: a terminal state frees the task's resources at once.
    #[prost(enumeration = "crate::types::TaskState", tag = "4")]
    pub latest: i32,
}

/// Bytes between an executor and its scheduler, either way.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecutorMessage {
    /// Whose.
    #[prost(message, required, tag = "1")]
    pub framework_id: FrameworkId,
    /// Which.
    #[prost(message, required, tag = "2")]
    pub executor_id: ExecutorId,
    /// What.
    #[prost(bytes = "bytes", tag = "3")]
    pub data: Bytes,
}

/// An executor has ended; its resources are free.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecutorExited {
    /// Whose.
    #[prost(message, required, tag = "1")]
    pub framework_id: FrameworkId,
    /// Which.
    #[prost(message, required, tag = "2")]
    pub executor_id: ExecutorId,
    /// As `wait` reports it, when known.
    #[prost(int32, optional, tag = "3")]
    pub status: Option<i32>,
}

/// One record from the master; at most one member is set, none is a sign of life.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Command {
    /// First of every stream.
    #[prost(message, optional, tag = "1")]
    pub registered: Option<Registered>,
    /// Launch tasks.
    #[prost(message, optional, tag = "2")]
    pub launch: Option<LaunchCommand>,
    /// Kill a task.
    #[prost(message, optional, tag = "3")]
    pub kill: Option<KillCommand>,
    /// Shut an executor down.
    #[prost(message, optional, tag = "4")]
    pub shutdown: Option<ShutdownCommand>,
    /// The scheduler has stored a status.
    #[prost(message, optional, tag = "5")]
    pub acknowledge: Option<AcknowledgeCommand>,
    /// From a scheduler to its executor.
    #[prost(message, optional, tag = "6")]
    pub message: Option<ExecutorMessage>,
    /// A scheduler has (re)subscribed, or changed what it is: send what waits for it again, now.
    #[prost(message, optional, tag = "7")]
    pub framework: Option<FrameworkInfo>,
    /// A framework was removed: end everything of it.
    #[prost(message, optional, tag = "8")]
    pub remove_framework: Option<FrameworkId>,
    /// This agent id was given up by an operator: end everything, forget the id.
    #[prost(bool, tag = "9")]
    pub gone: bool,
}

/// The session is open.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Registered {
    /// The agent's id from now on.
    #[prost(message, required, tag = "1")]
    pub agent_id: AgentId,
    /// Sent back with every batch.
    #[prost(string, tag = "2")]
    pub session: String,
    /// How often the master promises to send something.
    #[prost(uint64, tag = "3")]
    pub heartbeat_milliseconds: u64,
}

/// Tasks for one executor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LaunchCommand {
    /// Whose.
    #[prost(message, required, tag = "1")]
    pub framework: FrameworkInfo,
    /// Started first when it does not run.
    #[prost(message, required, tag = "2")]
    pub executor: ExecutorInfo,
    /// One task, or a group.
    #[prost(message, repeated, tag = "3")]
    pub tasks: Vec<TaskInfo>,
    /// Deliver as one LAUNCH_GROUP.
    #[prost(bool, tag = "4")]
    pub group: bool,
}

/// A task is to end.
#[derive(Clone, PartialEq, prost::Message)]
pub struct KillCommand {
    /// Whose.
    #[prost(message, required, tag = "1")]
    pub framework_id: FrameworkId,
    /// Which.
    #[prost(message, required, tag = "2")]
    pub task_id: TaskId,
    /// How, when not as the task says.
    #[prost(message, optional, tag = "3")]
    pub policy: Option<KillPolicy>,
}

/// An executor is to end.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShutdownCommand {
    /// Whose.
    #[prost(message, required, tag = "1")]
    pub framework_id: FrameworkId,
    /// Which.
    #[prost(message, required, tag = "2")]
    pub executor_id: ExecutorId,
}

/// A status was stored.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AcknowledgeCommand {
    /// Whose.
    #[prost(message, required, tag = "1")]
    pub framework_id: FrameworkId,
    /// Of which task.
    #[prost(message, required, tag = "2")]
    pub task_id: TaskId,
    /// Which status.
    #[prost(bytes = "bytes", tag = "3")]
    pub uuid: Bytes,
}
