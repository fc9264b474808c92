//! `Version`: the immutable, rendered template of an application, and the policies, ports,
//! checks and references that templates and versions share.
//!
//! Names are those of the wire: Go-cased where the reference has no JSON tags, lower camel case
//! elsewhere. Everything absent is its default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dataclass::{DataClass, Resource, Uri};
use crate::meta::{KeyToValue, ObjectMeta};

/// What an application's taskgroups run.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum AppKind {
    /// Containers.
    #[default]
    #[serde(alias = "")]
    Application,
    /// Processes of the host.
    Process,
}

impl AppKind {
    /// The lower-case name of the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Process => "process",
        }
    }
}

impl std::fmt::Display for AppKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for AppKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "application" => Ok(Self::Application),
            "process" => Ok(Self::Process),
            other => Err(format!("kind {other:?} is neither application nor process")),
        }
    }
}

/// When an ended taskgroup is started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartRule {
    /// Never.
    Never,
    /// After Failed and Lost and Finish.
    Always,
    /// After Failed.
    #[default]
    #[serde(alias = "")]
    OnFailure,
}

/// `restartPolicy` of a template; times in seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RestartPolicy {
    /// The rule.
    pub policy: RestartRule,
    /// Delay before a reschedule.
    pub interval: i64,
    /// Additional delay per previous reschedule.
    pub backoff: i64,
    /// Reschedules allowed; 0 is without limit.
    #[serde(rename = "maxtimes")]
    pub max_times: i64,
    /// While this long, a reschedule takes offers of the old host only.
    pub host_retain_time: i64,
}

/// `killPolicy` of a template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KillPolicy {
    /// Seconds between the polite stop and the kill.
    pub grace_period: i64,
}

/// `updatePolicy` of a template: carried, as in the reference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct UpdatePolicy {
    /// Seconds between steps.
    pub update_delay: i64,
    /// Retries of a step.
    pub max_retries: i64,
    /// Failures tolerated.
    pub max_failovers: i64,
    /// What to do then.
    pub action: String,
}

/// `constraint`: every item must fit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Constraint {
    /// ANDed items.
    pub intersection_item: Vec<ConstraintItem>,
}

/// One item: any datum must fit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConstraintItem {
    /// ORed data.
    pub union_data: Vec<ConstraintData>,
}

/// One comparison with an attribute of the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConstraintData {
    /// Name of the attribute.
    pub name: String,
    /// Operator, for example `UNIQUE`.
    pub operate: String,
    /// 1 scalar, 2 ranges, 3 text, 4 set.
    #[serde(rename = "type")]
    pub value_type: i32,
    /// Value when the type is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<ValueSet>,
    /// Value when the type is scalar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scalar: Option<ValueScalar>,
    /// Value when the type is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<ValueText>,
    /// Value when the type is ranges.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<ValueRange>,
}

/// A set of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ValueSet {
    /// Members.
    pub item: Vec<String>,
}

/// A number.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ValueScalar {
    /// Value.
    pub value: f64,
}

/// A text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ValueText {
    /// Value.
    pub value: String,
}

/// A closed range.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ValueRange {
    /// First.
    pub begin: u64,
    /// Last.
    pub end: u64,
}

/// One entry of `healthChecks`; times in seconds, not positive means the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HealthCheck {
    /// `HTTP`, `TCP`, `COMMAND`, `REMOTE_HTTP` or `REMOTE_TCP`.
    #[serde(rename = "type")]
    pub check_type: String,
    /// Wait before the first probe (10).
    pub delay_seconds: i64,
    /// Failures in this time after the start do not count (300).
    pub grace_period_seconds: i64,
    /// Time between probes (60).
    pub interval_seconds: i64,
    /// Time limit of a probe (20).
    pub timeout_seconds: i64,
    /// Failures in a row that end the task; 0 never ends it.
    pub consecutive_failures: i64,
    /// Of type `COMMAND`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandCheck>,
    /// Of the HTTP types.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    /// Of the TCP types.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpCheck>,
}

/// A command whose exit code 0 is health.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CommandCheck {
    /// Command line.
    pub value: String,
}

/// A GET whose status 200 to 399 is health.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpCheck {
    /// Port, when no name is given.
    pub port: i64,
    /// Name of a port of the same item.
    pub port_name: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Path.
    pub path: String,
    /// Request headers.
    pub headers: BTreeMap<String, String>,
}

/// A connect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TcpCheck {
    /// Port, when no name is given.
    pub port: i64,
    /// Name of a port of the same item.
    pub port_name: String,
}

/// A port of a container or process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerPort {
    /// Name that services, checks and templates use.
    pub name: String,
    /// Port of the host; 0 or less draws one from the offer.
    pub host_port: i32,
    /// Port inside.
    pub container_port: i32,
    /// Address of the host.
    #[serde(rename = "hostIP")]
    pub host_ip: String,
    /// `tcp`, `udp`, `http`, …
    pub protocol: String,
}

/// One environment variable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvVar {
    /// Name.
    pub name: String,
    /// Value, may hold templates.
    pub value: String,
    /// Value from a resource of the same item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// `valueFrom`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvVarSource {
    /// Reference to a resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_field_ref: Option<ResourceFieldRef>,
}

/// `requests.cpu`, `requests.memory`, `limits.cpu` or `limits.memory`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceFieldRef {
    /// The reference.
    pub resource: String,
}

/// Quantities as texts: cores, megabytes, megabytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceTexts {
    /// Cores.
    pub cpu: String,
    /// Memory in MB.
    pub memory: String,
    /// Disk in MB.
    pub storage: String,
}

/// `resources` of a container or process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ResourceRequirements {
    /// What the taskgroup reserves.
    pub requests: ResourceTexts,
    /// What it may use.
    pub limits: ResourceTexts,
    /// Devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extended_resources: Vec<ExtendedResource>,
}

/// A device-like resource of a host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ExtendedResource {
    /// Host.
    #[serde(rename = "InnerIP")]
    pub inner_ip: String,
    /// Name.
    pub name: String,
    /// Amount wanted.
    pub value: f64,
    /// Amount of the host.
    pub capacity: f64,
    /// Socket of the device plugin.
    pub socket: String,
}

/// `configmaps[]` of a container or process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigMapRef {
    /// Name of the object in the same namespace.
    pub name: String,
    /// What is taken from it.
    pub items: Vec<DataItem>,
}

/// `secrets[]` of a container or process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the object in the same namespace.
    pub secret_name: String,
    /// What is taken from it.
    pub items: Vec<DataItem>,
}

/// One key of a configmap or secret, as a file or an environment variable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DataItem {
    /// `env` or `file`.
    #[serde(rename = "type")]
    pub item_type: String,
    /// Key inside the object.
    pub data_key: String,
    /// Kubernetes side only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data_key_alias: String,
    /// Name of the variable or path of the file.
    pub key_or_path: String,
    /// Path below the volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub_path: String,
    /// Without the right to write.
    pub read_only: bool,
    /// Owner of the file.
    pub user: String,
}

/// `netLimit` of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NetLimit {
    /// Mbit/s outwards; 0 is without limit.
    pub egress_limit: i64,
}

/// A volume of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Volume {
    /// Path inside.
    pub container_path: String,
    /// Path of the host; empty is a directory of the pod.
    pub host_path: String,
    /// `RW` or `RO`.
    pub mode: String,
}

/// A port mapping of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PortMapping {
    /// Port inside.
    pub container_port: i32,
    /// Port of the host.
    pub host_port: i32,
    /// Name.
    pub name: String,
    /// Protocol.
    pub protocol: String,
}

/// The Docker half of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Docker {
    /// Host name inside.
    pub hostname: String,
    /// Pull even when present.
    pub force_pull_image: bool,
    /// Image reference.
    pub image: String,
    /// Registry user, or `secret::name||key`.
    pub image_pull_user: String,
    /// Registry password, or `secret::name||key`.
    pub image_pull_passwd: String,
    /// Network mode.
    pub network: String,
    /// `cni`, `cnm` or empty.
    pub network_type: String,
    /// First word of the command.
    pub command: String,
    /// The rest of it.
    pub arguments: Vec<String>,
    /// Options for the engine.
    pub parameters: Vec<KeyToValue>,
    /// Ports.
    pub port_mappings: Vec<PortMapping>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// With all rights.
    pub privileged: bool,
}

/// A container of a version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Container {
    /// Informational.
    #[serde(rename = "Type")]
    pub container_type: String,
    /// Docker half.
    pub docker: Docker,
    /// Volumes.
    pub volumes: Vec<Volume>,
    /// Requests.
    pub resources: Resource,
    /// Limits (the name is misspelt on the wire).
    #[serde(rename = "LimitResoures")]
    pub limit_resources: Resource,
    /// Prepared payload.
    pub data_class: DataClass,
    /// References to configmaps.
    pub config_maps: Vec<ConfigMapRef>,
    /// References to secrets.
    pub secrets: Vec<SecretRef>,
    /// Checks.
    pub health_checks: Vec<HealthCheck>,
    /// Network limit.
    pub net_limit: NetLimit,
}

/// A process of a version; the same shape as `template.spec.processes[]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Process {
    /// Base name of the running executable.
    pub proc_name: String,
    /// Working directory on the host.
    pub work_path: String,
    /// Packages to fetch.
    pub uris: Vec<Uri>,
    /// File into which the program writes its pid; empty for a program in the foreground.
    pub pid_file: String,
    /// Starts the program.
    pub start_cmd: String,
    /// Stops it.
    pub stop_cmd: String,
    /// Tells whether it runs.
    pub check_cmd: String,
    /// Restarts it in place.
    pub restart_cmd: String,
    /// Makes it read its configuration again.
    pub reload_cmd: String,
    /// Ends it when stop did not.
    pub kill_cmd: String,
    /// Path of its log.
    pub log_path: String,
    /// Path of its configuration.
    pub cfg_path: String,
    /// Group of processes.
    pub proc_group: String,
    /// Account that it runs as.
    pub user: String,
    /// Arguments of the start command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// Seconds between the start and the first look.
    pub start_grace_period: i64,
    /// Environment.
    pub env: Vec<EnvVar>,
    /// Checks.
    pub health_checks: Vec<HealthCheck>,
    /// Requests and limits.
    pub resources: ResourceRequirements,
    /// References to configmaps.
    pub configmaps: Vec<ConfigMapRef>,
    /// References to secrets.
    pub secrets: Vec<SecretRef>,
    /// Ports; always those of the host.
    pub ports: Vec<ContainerPort>,
}

/// The immutable template of an application at one time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Version {
    /// Application that it belongs to.
    #[serde(rename = "ID")]
    pub id: String,
    /// Time stamp in nanoseconds, given by the scheduler.
    pub name: String,
    /// Metadata of the application.
    pub object_meta: ObjectMeta,
    /// Metadata of its pods.
    pub pod_object_meta: ObjectMeta,
    /// Instances wanted.
    pub instances: i64,
    /// Namespace.
    pub run_as: String,
    /// Containers, when the kind is application.
    pub container: Vec<Container>,
    /// Processes, when the kind is process.
    pub process: Vec<Process>,
    /// Labels of the pods.
    pub labels: BTreeMap<String, String>,
    /// How they are stopped.
    pub kill_policy: KillPolicy,
    /// When they are started again.
    pub restart_policy: RestartPolicy,
    /// Where they may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraints: Option<Constraint>,
    /// Carried.
    pub uris: Vec<String>,
    /// Carried.
    pub ip: Vec<String>,
    /// Carried.
    pub mode: String,
    /// What the pods run.
    pub kind: AppKind,
    /// The template as the user wrote it, for `definition`.
    #[serde(
        rename = "raw_json",
        skip_serializing_if = "serde_json::Value::is_null"
    )]
    pub raw_json: serde_json::Value,
}
