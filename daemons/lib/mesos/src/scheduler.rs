//! The scheduler API: calls to the master and the events of its stream.
//!
//! Field numbers and names are those of the public v1 protocol. Members which nobody here reads are left
//! out: both codecs skip what they do not know.

use serde::{Deserialize, Serialize};

use crate::json::NamedOption;
use crate::types::FrameworkId;

/// `mesos.v1.scheduler.Call`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Call {
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framework_id: Option<FrameworkId>,
    #[prost(enumeration = "call::Type", optional, tag = "2")]
    #[serde(
        with = "NamedOption::<call::Type>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<call::Subscribe>,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<call::Accept>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decline: Option<call::Decline>,
    #[prost(message, optional, tag = "15")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revive: Option<call::Revive>,
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill: Option<call::Kill>,
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown: Option<call::Shutdown>,
    #[prost(message, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<call::Acknowledge>,
    #[prost(message, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconcile: Option<call::Reconcile>,
    #[prost(message, optional, tag = "10")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<call::Message>,
    #[prost(message, optional, tag = "16")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppress: Option<call::Suppress>,
    #[prost(message, optional, tag = "19")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_framework: Option<call::UpdateFramework>,
}

/// `mesos.v1.scheduler.Event`.
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
    pub offers: Option<event::Offers>,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescind: Option<event::Rescind>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<event::Update>,
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<event::Message>,
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<event::Failure>,
    #[prost(message, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<event::Error>,
}

/// What a call carries.
pub mod call {
    use bytes::Bytes;
    use serde::{Deserialize, Serialize};

    use crate::json::Base64;
    use crate::types::{
        AgentId, ExecutorId, Filters, FrameworkInfo, KillPolicy, OfferId, Operation, TaskId,
    };

    /// `mesos.v1.scheduler.Call.Subscribe`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Subscribe {
        #[prost(message, required, tag = "1")]
        pub framework_info: FrameworkInfo,
        #[prost(string, repeated, tag = "2")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub suppressed_roles: Vec<String>,
    }

    /// `mesos.v1.scheduler.Call.Accept`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Accept {
        #[prost(message, repeated, tag = "1")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub offer_ids: Vec<OfferId>,
        #[prost(message, repeated, tag = "2")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub operations: Vec<Operation>,
        #[prost(message, optional, tag = "3")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub filters: Option<Filters>,
    }

    /// `mesos.v1.scheduler.Call.Decline`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Decline {
        #[prost(message, repeated, tag = "1")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub offer_ids: Vec<OfferId>,
        #[prost(message, optional, tag = "2")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub filters: Option<Filters>,
    }

    /// `mesos.v1.scheduler.Call.Revive`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Revive {
        #[prost(string, repeated, tag = "1")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub roles: Vec<String>,
    }

    /// `mesos.v1.scheduler.Call.Kill`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Kill {
        #[prost(message, required, tag = "1")]
        pub task_id: TaskId,
        #[prost(message, optional, tag = "2")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub agent_id: Option<AgentId>,
        #[prost(message, optional, tag = "3")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub kill_policy: Option<KillPolicy>,
    }

    /// `mesos.v1.scheduler.Call.Shutdown`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Shutdown {
        #[prost(message, required, tag = "1")]
        pub executor_id: ExecutorId,
        #[prost(message, required, tag = "2")]
        pub agent_id: AgentId,
    }

    /// `mesos.v1.scheduler.Call.Acknowledge`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Acknowledge {
        #[prost(message, required, tag = "1")]
        pub agent_id: AgentId,
        #[prost(message, required, tag = "2")]
        pub task_id: TaskId,
        #[prost(bytes = "bytes", required, tag = "3")]
        #[serde(with = "Base64")]
        pub uuid: Bytes,
    }

    /// `mesos.v1.scheduler.Call.Reconcile`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Reconcile {
        #[prost(message, repeated, tag = "1")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub tasks: Vec<ReconcileTask>,
    }

    /// `mesos.v1.scheduler.Call.Reconcile.Task`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct ReconcileTask {
        #[prost(message, required, tag = "1")]
        pub task_id: TaskId,
        #[prost(message, optional, tag = "2")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub agent_id: Option<AgentId>,
    }

    /// `mesos.v1.scheduler.Call.Message`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Message {
        #[prost(message, required, tag = "1")]
        pub agent_id: AgentId,
        #[prost(message, required, tag = "2")]
        pub executor_id: ExecutorId,
        #[prost(bytes = "bytes", required, tag = "3")]
        #[serde(with = "Base64")]
        pub data: Bytes,
    }

    /// `mesos.v1.scheduler.Call.Suppress`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Suppress {
        #[prost(string, repeated, tag = "1")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub roles: Vec<String>,
    }

    /// `mesos.v1.scheduler.Call.UpdateFramework`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct UpdateFramework {
        #[prost(message, required, tag = "1")]
        pub framework_info: FrameworkInfo,
        #[prost(string, repeated, tag = "2")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub suppressed_roles: Vec<String>,
    }

    wire_enum! {
        /// `mesos.v1.scheduler.Call.Type`.
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            Subscribe = 1 => "SUBSCRIBE",
            Teardown = 2 => "TEARDOWN",
            Accept = 3 => "ACCEPT",
            Decline = 4 => "DECLINE",
            AcceptInverseOffers = 13 => "ACCEPT_INVERSE_OFFERS",
            DeclineInverseOffers = 14 => "DECLINE_INVERSE_OFFERS",
            Revive = 5 => "REVIVE",
            Kill = 6 => "KILL",
            Shutdown = 7 => "SHUTDOWN",
            Acknowledge = 8 => "ACKNOWLEDGE",
            AcknowledgeOperationStatus = 15 => "ACKNOWLEDGE_OPERATION_STATUS",
            Reconcile = 9 => "RECONCILE",
            ReconcileOperations = 16 => "RECONCILE_OPERATIONS",
            Message = 10 => "MESSAGE",
            Request = 11 => "REQUEST",
            Suppress = 12 => "SUPPRESS",
            UpdateFramework = 17 => "UPDATE_FRAMEWORK",
        }
    }
}

/// What an event carries.
pub mod event {
    use bytes::Bytes;
    use serde::{Deserialize, Serialize};

    use crate::json::Base64;
    use crate::types::{AgentId, ExecutorId, FrameworkId, MasterInfo, Offer, OfferId, TaskStatus};

    /// `mesos.v1.scheduler.Event.Subscribed`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Subscribed {
        #[prost(message, required, tag = "1")]
        pub framework_id: FrameworkId,
        #[prost(double, optional, tag = "2")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub heartbeat_interval_seconds: Option<f64>,
        #[prost(message, optional, tag = "3")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub master_info: Option<MasterInfo>,
    }

    /// `mesos.v1.scheduler.Event.Offers`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Offers {
        #[prost(message, repeated, tag = "1")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub offers: Vec<Offer>,
    }

    /// `mesos.v1.scheduler.Event.Rescind`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Rescind {
        #[prost(message, required, tag = "1")]
        pub offer_id: OfferId,
    }

    /// `mesos.v1.scheduler.Event.Update`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Update {
        #[prost(message, required, tag = "1")]
        pub status: TaskStatus,
    }

    /// `mesos.v1.scheduler.Event.Message`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Message {
        #[prost(message, required, tag = "1")]
        pub agent_id: AgentId,
        #[prost(message, required, tag = "2")]
        pub executor_id: ExecutorId,
        #[prost(bytes = "bytes", required, tag = "3")]
        #[serde(with = "Base64")]
        pub data: Bytes,
    }

    /// `mesos.v1.scheduler.Event.Failure`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Failure {
        #[prost(message, optional, tag = "1")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub agent_id: Option<AgentId>,
        #[prost(message, optional, tag = "2")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub executor_id: Option<ExecutorId>,
        #[prost(int32, optional, tag = "3")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub status: Option<i32>,
    }

    /// `mesos.v1.scheduler.Event.Error`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Error {
        #[prost(string, required, tag = "1")]
        pub message: String,
    }

    wire_enum! {
        /// `mesos.v1.scheduler.Event.Type`.
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            Subscribed = 1 => "SUBSCRIBED",
            Offers = 2 => "OFFERS",
            InverseOffers = 9 => "INVERSE_OFFERS",
            Rescind = 3 => "RESCIND",
            RescindInverseOffer = 10 => "RESCIND_INVERSE_OFFER",
            Update = 4 => "UPDATE",
            UpdateOperationStatus = 11 => "UPDATE_OPERATION_STATUS",
            Message = 5 => "MESSAGE",
            Failure = 6 => "FAILURE",
            Error = 7 => "ERROR",
            Heartbeat = 8 => "HEARTBEAT",
        }
    }
}
