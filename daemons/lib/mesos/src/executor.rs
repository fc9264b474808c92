//! The executor API: calls to the agent and the events of its stream.
//!
//! Field numbers and names are those of the public v1 protocol. Members which nobody here reads are left
//! out: both codecs skip what they do not know.

use serde::{Deserialize, Serialize};

use crate::json::NamedOption;
use crate::types::{ExecutorId, FrameworkId};

/// `mesos.v1.executor.Call`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Call {
    #[prost(message, required, tag = "1")]
    pub executor_id: ExecutorId,
    #[prost(message, required, tag = "2")]
    pub framework_id: FrameworkId,
    #[prost(enumeration = "call::Type", optional, tag = "3")]
    #[serde(
        with = "NamedOption::<call::Type>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<call::Subscribe>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<call::Update>,
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<call::Message>,
}

/// `mesos.v1.executor.Event`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    #[prost(enumeration = "event::Type", optional, tag = "1")]
    #[serde(
        with = "NamedOption::<event::Type>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribed: Option<event::Subscribed>,
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<event::Acknowledged>,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch: Option<event::Launch>,
    #[prost(message, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_group: Option<event::LaunchGroup>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill: Option<event::Kill>,
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<event::Message>,
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<event::Error>,
}

/// What a call carries.
pub mod call {
    use bytes::Bytes;
    use serde::{Deserialize, Serialize};

    use crate::json::Base64;
    use crate::types::{TaskInfo, TaskStatus};

    /// `mesos.v1.executor.Call.Subscribe`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Subscribe {
        #[prost(message, repeated, tag = "1")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub unacknowledged_tasks: Vec<TaskInfo>,
        #[prost(message, repeated, tag = "2")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub unacknowledged_updates: Vec<Update>,
    }

    /// `mesos.v1.executor.Call.Update`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Update {
        #[prost(message, required, tag = "1")]
        pub status: TaskStatus,
    }

    /// `mesos.v1.executor.Call.Message`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Message {
        #[prost(bytes = "bytes", required, tag = "2")]
        #[serde(with = "Base64")]
        pub data: Bytes,
    }

    wire_enum! {
        /// `mesos.v1.executor.Call.Type`.
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            Subscribe = 1 => "SUBSCRIBE",
            Update = 2 => "UPDATE",
            Message = 3 => "MESSAGE",
            Heartbeat = 4 => "HEARTBEAT",
        }
    }
}

/// What an event carries.
pub mod event {
    use bytes::Bytes;
    use serde::{Deserialize, Serialize};

    use crate::json::Base64;
    use crate::types::{
        AgentInfo, ContainerId, ExecutorInfo, FrameworkInfo, KillPolicy, TaskGroupInfo, TaskId,
        TaskInfo,
    };

    /// `mesos.v1.executor.Event.Subscribed`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Subscribed {
        #[prost(message, required, tag = "1")]
        pub executor_info: ExecutorInfo,
        #[prost(message, required, tag = "2")]
        pub framework_info: FrameworkInfo,
        #[prost(message, required, tag = "3")]
        pub agent_info: AgentInfo,
        #[prost(message, optional, tag = "4")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub container_id: Option<ContainerId>,
    }

    /// `mesos.v1.executor.Event.Acknowledged`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Acknowledged {
        #[prost(message, required, tag = "1")]
        pub task_id: TaskId,
        #[prost(bytes = "bytes", required, tag = "2")]
        #[serde(with = "Base64")]
        pub uuid: Bytes,
    }

    /// `mesos.v1.executor.Event.Launch`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Launch {
        #[prost(message, required, tag = "1")]
        pub task: TaskInfo,
    }

    /// `mesos.v1.executor.Event.LaunchGroup`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct LaunchGroup {
        #[prost(message, required, tag = "1")]
        pub task_group: TaskGroupInfo,
    }

    /// `mesos.v1.executor.Event.Kill`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Kill {
        #[prost(message, required, tag = "1")]
        pub task_id: TaskId,
        #[prost(message, optional, tag = "2")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub kill_policy: Option<KillPolicy>,
    }

    /// `mesos.v1.executor.Event.Message`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Message {
        #[prost(bytes = "bytes", required, tag = "1")]
        #[serde(with = "Base64")]
        pub data: Bytes,
    }

    /// `mesos.v1.executor.Event.Error`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Error {
        #[prost(string, required, tag = "1")]
        pub message: String,
    }

    wire_enum! {
        /// `mesos.v1.executor.Event.Type`.
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            Subscribed = 1 => "SUBSCRIBED",
            Launch = 2 => "LAUNCH",
            LaunchGroup = 8 => "LAUNCH_GROUP",
            Kill = 3 => "KILL",
            Acknowledged = 4 => "ACKNOWLEDGED",
            Message = 5 => "MESSAGE",
            Error = 6 => "ERROR",
            Shutdown = 7 => "SHUTDOWN",
            Heartbeat = 9 => "HEARTBEAT",
        }
    }
}
