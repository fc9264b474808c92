//! The operator API of the master: the calls, answers and events which bcs serves and uses.
//!
//! Field numbers and names are those of the public v1 protocol. Members which nobody here reads are left
//! out: both codecs skip what they do not know.

use serde::{Deserialize, Serialize};

use crate::json::NamedOption;

/// `mesos.v1.master.Call`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Call {
    #[prost(enumeration = "call::Type", optional, tag = "1")]
    #[serde(
        with = "NamedOption::<call::Type>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get_metrics: Option<call::GetMetrics>,
    #[prost(message, optional, tag = "21")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_agent: Option<call::DrainAgent>,
    #[prost(message, optional, tag = "22")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deactivate_agent: Option<call::DeactivateAgent>,
    #[prost(message, optional, tag = "23")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reactivate_agent: Option<call::ReactivateAgent>,
    #[prost(message, optional, tag = "16")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teardown: Option<call::Teardown>,
    #[prost(message, optional, tag = "17")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark_agent_gone: Option<call::MarkAgentGone>,
}

/// `mesos.v1.master.Response`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Response {
    #[prost(enumeration = "response::Type", optional, tag = "1")]
    #[serde(
        with = "NamedOption::<response::Type>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get_health: Option<response::GetHealth>,
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get_flags: Option<response::GetFlags>,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get_version: Option<response::GetVersion>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get_metrics: Option<response::GetMetrics>,
    #[prost(message, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get_state: Option<response::GetState>,
    #[prost(message, optional, tag = "10")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get_agents: Option<response::GetAgents>,
    #[prost(message, optional, tag = "11")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get_frameworks: Option<response::GetFrameworks>,
    #[prost(message, optional, tag = "12")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get_executors: Option<response::GetExecutors>,
    #[prost(message, optional, tag = "13")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get_tasks: Option<response::GetTasks>,
    #[prost(message, optional, tag = "14")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get_roles: Option<response::GetRoles>,
    #[prost(message, optional, tag = "16")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get_master: Option<response::GetMaster>,
}

/// `mesos.v1.master.Event`.
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
    pub task_added: Option<event::TaskAdded>,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_updated: Option<event::TaskUpdated>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_added: Option<event::AgentAdded>,
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_removed: Option<event::AgentRemoved>,
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framework_added: Option<event::FrameworkAdded>,
    #[prost(message, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framework_updated: Option<event::FrameworkUpdated>,
    #[prost(message, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framework_removed: Option<event::FrameworkRemoved>,
}

/// What a call carries.
pub mod call {
    use serde::{Deserialize, Serialize};

    use crate::types::{AgentId, DurationInfo, FrameworkId};

    /// `mesos.v1.master.Call.GetMetrics`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct GetMetrics {
        #[prost(message, optional, tag = "1")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub timeout: Option<DurationInfo>,
    }

    /// `mesos.v1.master.Call.DrainAgent`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct DrainAgent {
        #[prost(message, required, tag = "1")]
        pub agent_id: AgentId,
        #[prost(bool, optional, tag = "3")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub mark_gone: Option<bool>,
    }

    /// `mesos.v1.master.Call.DeactivateAgent`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct DeactivateAgent {
        #[prost(message, required, tag = "1")]
        pub agent_id: AgentId,
    }

    /// `mesos.v1.master.Call.ReactivateAgent`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct ReactivateAgent {
        #[prost(message, required, tag = "1")]
        pub agent_id: AgentId,
    }

    /// `mesos.v1.master.Call.Teardown`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Teardown {
        #[prost(message, required, tag = "1")]
        pub framework_id: FrameworkId,
    }

    /// `mesos.v1.master.Call.MarkAgentGone`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct MarkAgentGone {
        #[prost(message, required, tag = "1")]
        pub agent_id: AgentId,
    }

    wire_enum! {
        /// `mesos.v1.master.Call.Type`.
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            GetHealth = 1 => "GET_HEALTH",
            GetFlags = 2 => "GET_FLAGS",
            GetVersion = 3 => "GET_VERSION",
            GetMetrics = 4 => "GET_METRICS",
            GetLoggingLevel = 5 => "GET_LOGGING_LEVEL",
            SetLoggingLevel = 6 => "SET_LOGGING_LEVEL",
            ListFiles = 7 => "LIST_FILES",
            ReadFile = 8 => "READ_FILE",
            GetState = 9 => "GET_STATE",
            GetAgents = 10 => "GET_AGENTS",
            GetFrameworks = 11 => "GET_FRAMEWORKS",
            GetExecutors = 12 => "GET_EXECUTORS",
            GetOperations = 33 => "GET_OPERATIONS",
            GetTasks = 13 => "GET_TASKS",
            GetRoles = 14 => "GET_ROLES",
            GetWeights = 15 => "GET_WEIGHTS",
            UpdateWeights = 16 => "UPDATE_WEIGHTS",
            GetMaster = 17 => "GET_MASTER",
            Subscribe = 18 => "SUBSCRIBE",
            ReserveResources = 19 => "RESERVE_RESOURCES",
            UnreserveResources = 20 => "UNRESERVE_RESOURCES",
            CreateVolumes = 21 => "CREATE_VOLUMES",
            DestroyVolumes = 22 => "DESTROY_VOLUMES",
            GrowVolume = 34 => "GROW_VOLUME",
            ShrinkVolume = 35 => "SHRINK_VOLUME",
            GetMaintenanceStatus = 23 => "GET_MAINTENANCE_STATUS",
            GetMaintenanceSchedule = 24 => "GET_MAINTENANCE_SCHEDULE",
            UpdateMaintenanceSchedule = 25 => "UPDATE_MAINTENANCE_SCHEDULE",
            StartMaintenance = 26 => "START_MAINTENANCE",
            StopMaintenance = 27 => "STOP_MAINTENANCE",
            DrainAgent = 37 => "DRAIN_AGENT",
            DeactivateAgent = 38 => "DEACTIVATE_AGENT",
            ReactivateAgent = 39 => "REACTIVATE_AGENT",
            GetQuota = 28 => "GET_QUOTA",
            UpdateQuota = 36 => "UPDATE_QUOTA",
            SetQuota = 29 => "SET_QUOTA",
            RemoveQuota = 30 => "REMOVE_QUOTA",
            Teardown = 31 => "TEARDOWN",
            MarkAgentGone = 32 => "MARK_AGENT_GONE",
        }
    }
}

/// What an answer carries.
pub mod response {
    use serde::{Deserialize, Serialize};

    use crate::types::{
        AgentCapability, AgentId, AgentInfo, DrainInfo, ExecutorInfo, Flag, FrameworkInfo,
        MasterInfo, Metric, Offer, Resource, Role, Task, TimeInfo, VersionInfo,
    };

    /// `mesos.v1.master.Response.GetHealth`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct GetHealth {
        #[prost(bool, required, tag = "1")]
        pub healthy: bool,
    }

    /// `mesos.v1.master.Response.GetFlags`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct GetFlags {
        #[prost(message, repeated, tag = "1")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub flags: Vec<Flag>,
    }

    /// `mesos.v1.master.Response.GetVersion`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct GetVersion {
        #[prost(message, required, tag = "1")]
        pub version_info: VersionInfo,
    }

    /// `mesos.v1.master.Response.GetMetrics`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct GetMetrics {
        #[prost(message, repeated, tag = "1")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub metrics: Vec<Metric>,
    }

    /// `mesos.v1.master.Response.GetState`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct GetState {
        #[prost(message, optional, tag = "1")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub get_tasks: Option<GetTasks>,
        #[prost(message, optional, tag = "2")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub get_executors: Option<GetExecutors>,
        #[prost(message, optional, tag = "3")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub get_frameworks: Option<GetFrameworks>,
        #[prost(message, optional, tag = "4")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub get_agents: Option<GetAgents>,
    }

    /// `mesos.v1.master.Response.GetTasks`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct GetTasks {
        #[prost(message, repeated, tag = "1")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub pending_tasks: Vec<Task>,
        #[prost(message, repeated, tag = "2")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub tasks: Vec<Task>,
        #[prost(message, repeated, tag = "5")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub unreachable_tasks: Vec<Task>,
        #[prost(message, repeated, tag = "3")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub completed_tasks: Vec<Task>,
        #[prost(message, repeated, tag = "4")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub orphan_tasks: Vec<Task>,
    }

    /// `mesos.v1.master.Response.GetExecutors`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct GetExecutors {
        #[prost(message, repeated, tag = "1")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub executors: Vec<GetExecutorsExecutor>,
        #[prost(message, repeated, tag = "2")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub orphan_executors: Vec<GetExecutorsExecutor>,
    }

    /// `mesos.v1.master.Response.GetExecutors.Executor`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct GetExecutorsExecutor {
        #[prost(message, required, tag = "1")]
        pub executor_info: ExecutorInfo,
        #[prost(message, required, tag = "2")]
        pub agent_id: AgentId,
    }

    /// `mesos.v1.master.Response.GetFrameworks`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct GetFrameworks {
        #[prost(message, repeated, tag = "1")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub frameworks: Vec<GetFrameworksFramework>,
        #[prost(message, repeated, tag = "2")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub completed_frameworks: Vec<GetFrameworksFramework>,
        #[prost(message, repeated, tag = "3")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub recovered_frameworks: Vec<FrameworkInfo>,
    }

    /// `mesos.v1.master.Response.GetFrameworks.Framework`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct GetFrameworksFramework {
        #[prost(message, required, tag = "1")]
        pub framework_info: FrameworkInfo,
        #[prost(bool, required, tag = "2")]
        pub active: bool,
        #[prost(bool, required, tag = "3")]
        pub connected: bool,
        #[prost(bool, required, tag = "11")]
        pub recovered: bool,
        #[prost(message, optional, tag = "4")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub registered_time: Option<TimeInfo>,
        #[prost(message, optional, tag = "5")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub reregistered_time: Option<TimeInfo>,
        #[prost(message, optional, tag = "6")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub unregistered_time: Option<TimeInfo>,
        #[prost(message, repeated, tag = "7")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub offers: Vec<Offer>,
        #[prost(message, repeated, tag = "9")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub allocated_resources: Vec<Resource>,
        #[prost(message, repeated, tag = "10")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub offered_resources: Vec<Resource>,
    }

    /// `mesos.v1.master.Response.GetAgents`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct GetAgents {
        #[prost(message, repeated, tag = "1")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub agents: Vec<GetAgentsAgent>,
        #[prost(message, repeated, tag = "2")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub recovered_agents: Vec<AgentInfo>,
    }

    /// `mesos.v1.master.Response.GetAgents.Agent`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct GetAgentsAgent {
        #[prost(message, required, tag = "1")]
        pub agent_info: AgentInfo,
        #[prost(bool, required, tag = "2")]
        pub active: bool,
        #[prost(bool, optional, tag = "12")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub deactivated: Option<bool>,
        #[prost(string, required, tag = "3")]
        pub version: String,
        #[prost(string, optional, tag = "4")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub pid: Option<String>,
        #[prost(message, optional, tag = "5")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub registered_time: Option<TimeInfo>,
        #[prost(message, optional, tag = "6")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub reregistered_time: Option<TimeInfo>,
        #[prost(message, repeated, tag = "7")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub total_resources: Vec<Resource>,
        #[prost(message, repeated, tag = "8")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub allocated_resources: Vec<Resource>,
        #[prost(message, repeated, tag = "9")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub offered_resources: Vec<Resource>,
        #[prost(message, repeated, tag = "10")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub capabilities: Vec<AgentCapability>,
        #[prost(message, optional, tag = "13")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub drain_info: Option<DrainInfo>,
        #[prost(message, optional, tag = "14")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub estimated_drain_start_time: Option<TimeInfo>,
    }

    /// `mesos.v1.master.Response.GetRoles`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct GetRoles {
        #[prost(message, repeated, tag = "1")]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub roles: Vec<Role>,
    }

    /// `mesos.v1.master.Response.GetMaster`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct GetMaster {
        #[prost(message, optional, tag = "1")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub master_info: Option<MasterInfo>,
        #[prost(double, optional, tag = "2")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub start_time: Option<f64>,
        #[prost(double, optional, tag = "3")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub elected_time: Option<f64>,
    }

    wire_enum! {
        /// `mesos.v1.master.Response.Type`.
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            GetHealth = 1 => "GET_HEALTH",
            GetFlags = 2 => "GET_FLAGS",
            GetVersion = 3 => "GET_VERSION",
            GetMetrics = 4 => "GET_METRICS",
            GetLoggingLevel = 5 => "GET_LOGGING_LEVEL",
            ListFiles = 6 => "LIST_FILES",
            ReadFile = 7 => "READ_FILE",
            GetState = 8 => "GET_STATE",
            GetAgents = 9 => "GET_AGENTS",
            GetFrameworks = 10 => "GET_FRAMEWORKS",
            GetExecutors = 11 => "GET_EXECUTORS",
            GetOperations = 19 => "GET_OPERATIONS",
            GetTasks = 12 => "GET_TASKS",
            GetRoles = 13 => "GET_ROLES",
            GetWeights = 14 => "GET_WEIGHTS",
            GetMaster = 15 => "GET_MASTER",
            GetMaintenanceStatus = 16 => "GET_MAINTENANCE_STATUS",
            GetMaintenanceSchedule = 17 => "GET_MAINTENANCE_SCHEDULE",
            GetQuota = 18 => "GET_QUOTA",
        }
    }
}

/// What an event carries.
pub mod event {
    use serde::{Deserialize, Serialize};

    use crate::json::Named;
    use crate::types::{AgentId, FrameworkId, FrameworkInfo, Task, TaskState, TaskStatus};

    /// `mesos.v1.master.Event.Subscribed`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Subscribed {
        #[prost(message, optional, tag = "1")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub get_state: Option<crate::operator::response::GetState>,
        #[prost(double, optional, tag = "2")]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub heartbeat_interval_seconds: Option<f64>,
    }

    /// `mesos.v1.master.Event.TaskAdded`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct TaskAdded {
        #[prost(message, required, tag = "1")]
        pub task: Task,
    }

    /// `mesos.v1.master.Event.TaskUpdated`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct TaskUpdated {
        #[prost(message, required, tag = "1")]
        pub framework_id: FrameworkId,
        #[prost(message, required, tag = "2")]
        pub status: TaskStatus,
        #[prost(enumeration = "TaskState", required, tag = "3")]
        #[serde(with = "Named::<TaskState>")]
        pub state: i32,
    }

    /// `mesos.v1.master.Event.AgentAdded`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct AgentAdded {
        #[prost(message, required, tag = "1")]
        pub agent: crate::operator::response::GetAgentsAgent,
    }

    /// `mesos.v1.master.Event.AgentRemoved`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct AgentRemoved {
        #[prost(message, required, tag = "1")]
        pub agent_id: AgentId,
    }

    /// `mesos.v1.master.Event.FrameworkAdded`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct FrameworkAdded {
        #[prost(message, required, tag = "1")]
        pub framework: crate::operator::response::GetFrameworksFramework,
    }

    /// `mesos.v1.master.Event.FrameworkUpdated`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct FrameworkUpdated {
        #[prost(message, required, tag = "1")]
        pub framework: crate::operator::response::GetFrameworksFramework,
    }

    /// `mesos.v1.master.Event.FrameworkRemoved`.
    #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
    #[serde(default)]
    pub struct FrameworkRemoved {
        #[prost(message, required, tag = "1")]
        pub framework_info: FrameworkInfo,
    }

    wire_enum! {
        /// `mesos.v1.master.Event.Type`.
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            Subscribed = 1 => "SUBSCRIBED",
            TaskAdded = 2 => "TASK_ADDED",
            TaskUpdated = 3 => "TASK_UPDATED",
            AgentAdded = 4 => "AGENT_ADDED",
            AgentRemoved = 5 => "AGENT_REMOVED",
            FrameworkAdded = 6 => "FRAMEWORK_ADDED",
            FrameworkUpdated = 7 => "FRAMEWORK_UPDATED",
            FrameworkRemoved = 8 => "FRAMEWORK_REMOVED",
            Heartbeat = 9 => "HEARTBEAT",
        }
    }
}
