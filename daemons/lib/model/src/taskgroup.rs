//! `TaskGroup` (a pod: one executor) and `Task` (one container or process in it).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dataclass::{DataClass, Resource, Uri};
use crate::message::BcsMessage;
use crate::meta::{KeyToValue, ObjectMeta};
use crate::status::Status;
use crate::version::{
    AppKind, HealthCheck, KillPolicy, NetLimit, PortMapping, RestartPolicy, ValueRange,
    ValueScalar, ValueSet, ValueText, Volume,
};

/// An attribute of a host, in the reference's shape.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attribute {
    /// Name.
    pub name: String,
    /// 101 scalar, 102 ranges, 103 text, 104 set.
    #[serde(rename = "type")]
    pub value_type: i32,
    /// Of type scalar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scalar: Option<ValueScalar>,
    /// Of type ranges.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<ValueRange>,
    /// Of type set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<ValueSet>,
    /// Of type text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<ValueText>,
}

/// The last result of one check of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheckStatus {
    /// Type of the check.
    #[serde(rename = "type")]
    pub check_type: String,
    /// Passed.
    pub result: bool,
    /// Words for people.
    pub message: String,
}

/// One container or process of a taskgroup; times in Unix seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Task {
    /// What it is.
    pub kind: AppKind,
    /// Task id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Name: of the container or process.
    pub name: String,
    /// Host name inside (the name is misspelt on the wire).
    #[serde(rename = "Hostame")]
    pub hostname: String,
    /// Command.
    pub command: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Image.
    pub image: String,
    /// Registry user.
    pub image_pull_user: String,
    /// Registry password.
    pub image_pull_passwd: String,
    /// Network mode.
    pub network: String,
    /// `cni`, `cnm` or empty.
    pub network_type: String,
    /// Ports.
    pub port_mappings: Vec<PortMapping>,
    /// With all rights.
    pub privileged: bool,
    /// Options for the engine.
    pub parameters: Vec<KeyToValue>,
    /// Pull even when present.
    pub force_pull_image: bool,
    /// Volumes.
    pub volumes: Vec<Volume>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Payload.
    pub data_class: DataClass,
    /// Bound to cores.
    pub cpuset: bool,
    /// Checks.
    pub health_checks: Vec<HealthCheck>,
    /// Their last results.
    pub health_check_status: Vec<HealthCheckStatus>,
    /// The last local check passed, or there is none.
    pub healthy: bool,
    /// A local check has run.
    pub is_checked: bool,
    /// Failures in a row.
    pub consecutive_failure_times: i64,
    /// Failures in a row that end the task; 0 never.
    pub local_max_consecutive_failures: i64,
    /// Offer that it was launched on.
    pub offer_id: String,
    /// Agent that it was launched on.
    pub agent_id: String,
    /// Its host name.
    pub agent_hostname: String,
    /// Its address.
    #[serde(rename = "AgentIPAddress")]
    pub agent_ip_address: String,
    /// Status.
    pub status: Status,
    /// Status before this one.
    pub last_status: Status,
    /// When the status last changed.
    pub update_time: i64,
    /// JSON of the last `ContainerInfo`.
    pub status_data: String,
    /// Application.
    pub app_id: String,
    /// Namespace.
    pub run_as: String,
    /// How it is stopped.
    pub kill_policy: KillPolicy,
    /// Packages.
    pub uris: Vec<Uri>,
    /// When it was last heard of.
    pub last_update_time: i64,
    /// Words for people.
    pub message: String,
    /// Network limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_limit: Option<NetLimit>,
}

/// A pod; times in Unix seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct TaskGroup {
    /// What its tasks are.
    pub kind: AppKind,
    /// Taskgroup id.
    #[serde(rename = "ID")]
    pub id: String,
    /// `<app>-<index>`.
    pub name: String,
    /// Application.
    #[serde(rename = "AppID")]
    pub app_id: String,
    /// Namespace.
    pub run_as: String,
    /// Metadata of the pod template.
    pub object_meta: ObjectMeta,
    /// Agent.
    #[serde(rename = "AgentID")]
    pub agent_id: String,
    /// Executor: equal to the id.
    #[serde(rename = "ExecutorID")]
    pub executor_id: String,
    /// Status.
    pub status: Status,
    /// Status before this one.
    pub last_status: Status,
    /// Index in the application.
    #[serde(rename = "InstanceID")]
    pub instance_id: u64,
    /// Tasks.
    pub taskgroup: Vec<Task>,
    /// How it is stopped.
    pub kill_policy: KillPolicy,
    /// When it is started again.
    pub restart_policy: RestartPolicy,
    /// Version that it was built from.
    pub version_name: String,
    /// When it was last heard of.
    pub last_update_time: i64,
    /// Attributes of the host.
    pub attributes: Vec<Attribute>,
    /// When it was launched.
    pub start_time: i64,
    /// When the status last changed.
    pub update_time: i64,
    /// Reschedules so far.
    #[serde(rename = "ReschededTimes")]
    pub rescheduled_times: i64,
    /// When it was last rescheduled.
    #[serde(rename = "LastReschedTime")]
    pub last_reschedule_time: i64,
    /// Host.
    pub host_name: String,
    /// Words for people.
    pub message: String,
    /// What it was launched with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_resource: Option<Resource>,
    /// What it has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curr_resource: Option<Resource>,
    /// The last message and its result.
    #[serde(rename = "BcsEventMsg", skip_serializing_if = "Option::is_none")]
    pub bcs_event_message: Option<BcsMessage>,
}
