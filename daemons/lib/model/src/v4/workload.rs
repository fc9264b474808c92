//! Applications (containers) and processes: one shape, told apart by `kind`. The parts that a
//! rendered version keeps as they are live in [`crate::version`].

use crate::meta::{KeyToValue, ObjectMeta};
use crate::version::{
    ConfigMapRef, Constraint, ContainerPort, EnvVar, HealthCheck, KillPolicy, NetLimit, Process,
    ResourceRequirements, SecretRef, UpdatePolicy,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An application or a process set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReplicaController {
    /// Always "v4".
    pub api_version: String,
    /// "application" or "process".
    pub kind: String,
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// When an ended instance is started again.
    pub restart_policy: RestartPolicy,
    /// How an instance is stopped.
    pub kill_policy: KillPolicy,
    /// Carried; updates are driven by the `instances` of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_policy: Option<UpdatePolicy>,
    /// Where instances may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Constraint>,
    /// How many of what.
    pub spec: ReplicaSpec,
}

/// When an ended instance is started again. Times in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RestartPolicy {
    /// "Never", "Always" or "OnFailure" (default).
    pub policy: String,
    /// Base delay.
    pub interval: i64,
    /// Extra delay for each earlier restart.
    pub backoff: i64,
    /// Stop after that many, 0 = never stop.
    pub maxtimes: i64,
    /// How long only the old host is acceptable.
    pub host_retain_time: i64,
}

/// How many of what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReplicaSpec {
    /// Wanted instances.
    pub instance: i64,
    /// Not used for applications.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    /// What one instance is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<PodTemplate>,
}

/// What one instance is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels and annotations of the instances; name and namespace are taken from outside.
    pub metadata: ObjectMeta,
    /// The content.
    pub spec: PodSpec,
}

/// Either containers or processes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec {
    /// Ignored here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// For kind application.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Container>,
    /// For kind process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<Process>,
    /// NONE, HOST, BRIDGE, USER or the name of a network.
    pub network_mode: String,
    /// "cni", "cnm" or empty.
    #[serde(rename = "networktype")]
    pub network_type: String,
    /// For CNI networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_limit: Option<NetLimit>,
}

/// A container of an application.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container {
    /// Shown to people.
    pub name: String,
    /// "MESOS" or "DOCKER", informational.
    #[serde(rename = "type")]
    pub container_type: String,
    /// The image.
    pub image: String,
    /// Plain, or `secret::NAME||KEY`.
    pub image_pull_user: String,
    /// Plain, or `secret::NAME||KEY`.
    pub image_pull_passwd: String,
    /// Always, IfNotPresent or Never.
    pub image_pull_policy: String,
    /// Host name prefix.
    pub hostname: String,
    /// Replaces the image's CMD.
    pub command: String,
    /// Arguments.
    pub args: Vec<String>,
    /// Allowed docker options.
    pub parameters: Vec<KeyToValue>,
    /// Full rights on the host.
    pub privileged: bool,
    /// Environment.
    pub env: Vec<EnvVar>,
    /// Working directory in the container.
    pub working_dir: String,
    /// Ports.
    pub ports: Vec<ContainerPort>,
    /// Requests and limits.
    pub resources: ResourceRequirements,
    /// Directories.
    pub volumes: Vec<Volume>,
    /// Values and files from configmaps.
    pub configmaps: Vec<ConfigMapRef>,
    /// Values and files from secrets.
    pub secrets: Vec<SecretRef>,
    /// Checks.
    pub health_checks: Vec<HealthCheck>,
}

/// A directory in a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Volume {
    /// Name.
    pub name: String,
    /// From where to where.
    pub volume: VolumeSource,
}

/// From where to where.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeSource {
    /// Empty = a directory of the instance.
    pub host_path: String,
    /// In the container.
    pub mount_path: String,
    /// Below the host path.
    pub sub_path: String,
    /// Not writable.
    pub read_only: bool,
}
