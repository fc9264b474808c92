//! What travels between scheduler and executor inside Mesos' opaque fields: `TaskInfo.data`
//! (`DataClass`) and `TaskStatus.data` (`ContainerInfo`), both as JSON.

use serde::{Deserialize, Serialize};

use crate::message::BcsMessage;
use crate::version::{ExtendedResource, NetLimit};

/// Amounts of a host: cores, megabytes, megabytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Resource {
    /// Cores.
    pub cpus: f64,
    /// Memory in MB.
    pub mem: f64,
    /// Disk in MB.
    pub disk: f64,
}

impl Resource {
    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpus: self.cpus + other.cpus,
            mem: self.mem + other.mem,
            disk: self.disk + other.disk,
        }
    }
}

/// A package of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Uri {
    /// `http`, `https` or `file` address.
    pub value: String,
    /// User of basic authentication.
    pub user: String,
    /// Password of basic authentication.
    pub pwd: String,
    /// Directory that the content appears in.
    pub output_dir: String,
    /// `algorithm:hex` that the file must have; empty is not checked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub checksum: String,
    /// Size limit of the file in bytes; 0 is the executor's own.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_bytes: u64,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// What a process executor starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProcInfo {
    /// Base name of the running executable.
    pub proc_name: String,
    /// Working directory.
    pub work_path: String,
    /// File with the pid; empty for a program in the foreground.
    pub pid_file: String,
    /// Starts the program.
    pub start_cmd: String,
    /// Tells whether it runs.
    pub check_cmd: String,
    /// Stops it.
    pub stop_cmd: String,
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
    /// Packages.
    pub uris: Vec<Uri>,
    /// Seconds between the start and the first look.
    pub start_grace_period: i64,
    /// Account that it runs as; empty is the executor's own choice.
    pub user: String,
    /// Arguments of the start command.
    pub argv: Vec<String>,
}

/// The payload of a task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DataClass {
    /// Requests.
    pub resources: Resource,
    /// Limits.
    pub limit_resources: Resource,
    /// Devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extended_resources: Vec<ExtendedResource>,
    /// Files and variables from configmaps and secrets, resolved.
    pub msgs: Vec<BcsMessage>,
    /// Network limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_limit: Option<NetLimit>,
    /// The process, when the task is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proc_info: Option<ProcInfo>,
}

/// A port in a report; numbers are texts there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReportPort {
    /// Name.
    pub name: String,
    /// Port inside.
    pub container_port: String,
    /// Port of the host.
    pub host_port: String,
    /// Protocol.
    pub protocol: String,
    /// Address of the host.
    #[serde(rename = "hostIP")]
    pub host_ip: String,
}

/// `BcsContainerInfo`: the state of one container or process, as its executor sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainerInfo {
    /// Id of the container, or of the process' group of control.
    #[serde(rename = "ID")]
    pub id: String,
    /// Name.
    pub name: String,
    /// Process id on the host.
    pub pid: i64,
    /// Start, RFC 3339.
    pub start_at: String,
    /// End, RFC 3339.
    pub finish_at: String,
    /// `created`, `running`, `paused`, `restarting`, `exited` or `dead`.
    pub status: String,
    /// The last check passed, or there is none.
    pub healthy: bool,
    /// A check has run.
    pub is_checked: bool,
    /// Failures in a row.
    pub consecutive_failure_times: i64,
    /// Exit code; 128 + n after signal n.
    pub exit_code: i64,
    /// Host name inside.
    pub hostname: String,
    /// Network mode.
    pub network_mode: String,
    /// Address of the pod.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    /// Address of the host.
    pub node_address: String,
    /// Ports.
    pub ports: Vec<ReportPort>,
    /// Words for people.
    pub message: String,
    /// Limits in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<Resource>,
    /// Result of the last message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bcs_message: Option<Box<BcsMessage>>,
    /// Ended for want of memory.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
}
