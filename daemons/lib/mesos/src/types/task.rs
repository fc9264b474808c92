//! Tasks, task groups, states and statuses.
//!
//! Field numbers and names are those of the public v1 protocol. Members which nobody here reads are left
//! out: both codecs skip what they do not know.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    AgentId, CheckInfo, CheckStatusInfo, CommandInfo, ContainerInfo, ContainerStatus,
    DiscoveryInfo, DurationInfo, ExecutorId, ExecutorInfo, FrameworkId, HealthCheck, KillPolicy,
    Labels, Resource, Scalar, TaskId, TimeInfo,
};
use crate::json::{Base64Option, Named, NamedOption};

/// `mesos.v1.TaskInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskInfo {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(message, required, tag = "2")]
    pub task_id: TaskId,
    #[prost(message, required, tag = "3")]
    pub agent_id: AgentId,
    #[prost(message, repeated, tag = "4")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<ExecutorInfo>,
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandInfo>,
    #[prost(message, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerInfo>,
    #[prost(message, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    #[prost(message, optional, tag = "13")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckInfo>,
    #[prost(message, optional, tag = "12")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_policy: Option<KillPolicy>,
    #[prost(bytes = "bytes", optional, tag = "6")]
    #[serde(with = "Base64Option", skip_serializing_if = "Option::is_none")]
    pub data: Option<Bytes>,
    #[prost(message, optional, tag = "10")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    #[prost(message, optional, tag = "11")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<DiscoveryInfo>,
    #[prost(message, optional, tag = "14")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_completion_time: Option<DurationInfo>,
    #[prost(btree_map = "string, message", tag = "15")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Scalar>,
}

/// `mesos.v1.TaskGroupInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskGroupInfo {
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskInfo>,
}

/// `mesos.v1.TaskStatus`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskStatus {
    #[prost(message, required, tag = "1")]
    pub task_id: TaskId,
    #[prost(enumeration = "TaskState", required, tag = "2")]
    #[serde(with = "Named::<TaskState>")]
    pub state: i32,
    #[prost(string, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[prost(enumeration = "StatusSource", optional, tag = "9")]
    #[serde(
        with = "NamedOption::<StatusSource>",
        skip_serializing_if = "Option::is_none"
    )]
    pub source: Option<i32>,
    #[prost(enumeration = "Reason", optional, tag = "10")]
    #[serde(
        with = "NamedOption::<Reason>",
        skip_serializing_if = "Option::is_none"
    )]
    pub reason: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    #[serde(with = "Base64Option", skip_serializing_if = "Option::is_none")]
    pub data: Option<Bytes>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor_id: Option<ExecutorId>,
    #[prost(double, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<f64>,
    #[prost(bytes = "bytes", optional, tag = "11")]
    #[serde(with = "Base64Option", skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Bytes>,
    #[prost(bool, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    #[prost(message, optional, tag = "15")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_status: Option<CheckStatusInfo>,
    #[prost(message, optional, tag = "12")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    #[prost(message, optional, tag = "13")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_status: Option<ContainerStatus>,
    #[prost(message, optional, tag = "14")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable_time: Option<TimeInfo>,
    #[prost(message, optional, tag = "16")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limitation: Option<TaskResourceLimitation>,
}

/// `mesos.v1.TaskResourceLimitation`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskResourceLimitation {
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
}

/// `mesos.v1.Task`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Task {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(message, required, tag = "2")]
    pub task_id: TaskId,
    #[prost(message, required, tag = "3")]
    pub framework_id: FrameworkId,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor_id: Option<ExecutorId>,
    #[prost(message, required, tag = "5")]
    pub agent_id: AgentId,
    #[prost(enumeration = "TaskState", required, tag = "6")]
    #[serde(with = "Named::<TaskState>")]
    pub state: i32,
    #[prost(message, repeated, tag = "7")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
    #[prost(message, repeated, tag = "8")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<TaskStatus>,
    #[prost(enumeration = "TaskState", optional, tag = "9")]
    #[serde(
        with = "NamedOption::<TaskState>",
        skip_serializing_if = "Option::is_none"
    )]
    pub status_update_state: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "10")]
    #[serde(with = "Base64Option", skip_serializing_if = "Option::is_none")]
    pub status_update_uuid: Option<Bytes>,
    #[prost(message, optional, tag = "11")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    #[prost(message, optional, tag = "12")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<DiscoveryInfo>,
    #[prost(message, optional, tag = "13")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerInfo>,
    #[prost(message, optional, tag = "15")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    #[prost(message, optional, tag = "16")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_policy: Option<KillPolicy>,
    #[prost(string, optional, tag = "14")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[prost(btree_map = "string, message", tag = "17")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Scalar>,
}

wire_enum! {
    /// `mesos.v1.TaskState`.
    pub enum TaskState {
        Staging = 6 => "TASK_STAGING",
        Starting = 0 => "TASK_STARTING",
        Running = 1 => "TASK_RUNNING",
        Killing = 8 => "TASK_KILLING",
        Finished = 2 => "TASK_FINISHED",
        Failed = 3 => "TASK_FAILED",
        Killed = 4 => "TASK_KILLED",
        Error = 7 => "TASK_ERROR",
        Lost = 5 => "TASK_LOST",
        Dropped = 9 => "TASK_DROPPED",
        Unreachable = 10 => "TASK_UNREACHABLE",
        Gone = 11 => "TASK_GONE",
        GoneByOperator = 12 => "TASK_GONE_BY_OPERATOR",
        Unknown = 13 => "TASK_UNKNOWN",
    }
}

wire_enum! {
    /// `mesos.v1.TaskStatus.Source`.
    pub enum StatusSource {
        Master = 0 => "SOURCE_MASTER",
        Agent = 1 => "SOURCE_AGENT",
        Executor = 2 => "SOURCE_EXECUTOR",
    }
}

wire_enum! {
    /// `mesos.v1.TaskStatus.Reason`.
    pub enum Reason {
        CommandExecutorFailed = 0 => "REASON_COMMAND_EXECUTOR_FAILED",
        ContainerLaunchFailed = 21 => "REASON_CONTAINER_LAUNCH_FAILED",
        ContainerLimitation = 19 => "REASON_CONTAINER_LIMITATION",
        ContainerLimitationDisk = 20 => "REASON_CONTAINER_LIMITATION_DISK",
        ContainerLimitationMemory = 8 => "REASON_CONTAINER_LIMITATION_MEMORY",
        ContainerPreempted = 17 => "REASON_CONTAINER_PREEMPTED",
        ContainerUpdateFailed = 22 => "REASON_CONTAINER_UPDATE_FAILED",
        MaxCompletionTimeReached = 33 => "REASON_MAX_COMPLETION_TIME_REACHED",
        ExecutorRegistrationTimeout = 23 => "REASON_EXECUTOR_REGISTRATION_TIMEOUT",
        ExecutorReregistrationTimeout = 24 => "REASON_EXECUTOR_REREGISTRATION_TIMEOUT",
        ExecutorTerminated = 1 => "REASON_EXECUTOR_TERMINATED",
        ExecutorUnregistered = 2 => "REASON_EXECUTOR_UNREGISTERED",
        FrameworkRemoved = 3 => "REASON_FRAMEWORK_REMOVED",
        GcError = 4 => "REASON_GC_ERROR",
        InvalidFrameworkid = 5 => "REASON_INVALID_FRAMEWORKID",
        InvalidOffers = 6 => "REASON_INVALID_OFFERS",
        IoSwitchboardExited = 27 => "REASON_IO_SWITCHBOARD_EXITED",
        MasterDisconnected = 7 => "REASON_MASTER_DISCONNECTED",
        Reconciliation = 9 => "REASON_RECONCILIATION",
        ResourcesUnknown = 18 => "REASON_RESOURCES_UNKNOWN",
        AgentDisconnected = 10 => "REASON_AGENT_DISCONNECTED",
        AgentDraining = 34 => "REASON_AGENT_DRAINING",
        AgentRemoved = 11 => "REASON_AGENT_REMOVED",
        AgentRemovedByOperator = 31 => "REASON_AGENT_REMOVED_BY_OPERATOR",
        AgentReregistered = 32 => "REASON_AGENT_REREGISTERED",
        AgentRestarted = 12 => "REASON_AGENT_RESTARTED",
        AgentUnknown = 13 => "REASON_AGENT_UNKNOWN",
        TaskKilledDuringLaunch = 30 => "REASON_TASK_KILLED_DURING_LAUNCH",
        TaskCheckStatusUpdated = 28 => "REASON_TASK_CHECK_STATUS_UPDATED",
        TaskHealthCheckStatusUpdated = 29 => "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED",
        TaskGroupInvalid = 25 => "REASON_TASK_GROUP_INVALID",
        TaskGroupUnauthorized = 26 => "REASON_TASK_GROUP_UNAUTHORIZED",
        TaskInvalid = 14 => "REASON_TASK_INVALID",
        TaskUnauthorized = 15 => "REASON_TASK_UNAUTHORIZED",
        TaskUnknown = 16 => "REASON_TASK_UNKNOWN",
    }
}
