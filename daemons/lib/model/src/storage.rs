//! The shapes that mesos-watch pushes to storage (spec mesos-side 1.11), and how the scheduler's
//! own records become them.
//!
//! The same record always gives the same text, so that a content hash tells whether storage is up
//! to date; nothing here reads the clock. `reportTime` is therefore the time of the record's last
//! change. An application of kind `process` is stored as resource type `application`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::application::{Application, PodRef};
use crate::dataclass::{ContainerInfo, Resource};
use crate::meta::{ObjectMeta, ZERO_TIME};
use crate::status::{AppStatus, Status};
use crate::taskgroup::{HealthCheckStatus, Task, TaskGroup};
use crate::version::{AppKind, KillPolicy, RestartPolicy};

/// Resource type `application`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StoredApplication {
    /// `application` or `process`.
    pub kind: AppKind,
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// Instances wanted.
    pub instance: u64,
    /// Instances built so far.
    #[serde(rename = "buildedInstance")]
    pub built_instance: u64,
    /// Instances that run.
    pub running_instance: u64,
    /// RFC 3339.
    pub create_time: String,
    /// RFC 3339; the last change of status.
    pub last_update_time: String,
    /// RFC 3339; the last change of the record.
    pub report_time: String,
    /// Status.
    pub status: AppStatus,
    /// Status before.
    pub last_status: AppStatus,
    /// Words for people.
    pub message: String,
    /// Its taskgroups.
    pub pods: Vec<PodRef>,
}

impl From<&Application> for StoredApplication {
    fn from(application: &Application) -> Self {
        let mut metadata = application.object_meta.clone();
        fill(
            &mut metadata,
            &application.name,
            &application.run_as,
            &application.cluster_id,
        );
        if metadata.creation_timestamp == ZERO_TIME {
            metadata.creation_timestamp = rfc3339(application.created);
        }
        Self {
            kind: application.kind,
            metadata,
            instance: application.define_instances,
            built_instance: application.instances,
            running_instance: application.running_instances,
            create_time: rfc3339(application.created),
            last_update_time: rfc3339(application.last_update_time),
            report_time: rfc3339(application.update_time.max(application.last_update_time)),
            status: application.status,
            last_status: application.last_status,
            message: application.message.clone(),
            pods: application.pods.clone(),
        }
    }
}

/// Resource type `taskgroup`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StoredTaskGroup {
    /// `application` or `process`.
    pub kind: AppKind,
    /// Name is the taskgroup's id; labels are those of its last task.
    pub metadata: ObjectMeta,
    /// The application.
    #[serde(rename = "rcname")]
    pub rc_name: String,
    /// Status.
    pub status: Status,
    /// Status before.
    pub last_status: Status,
    /// Address of the host.
    #[serde(rename = "hostIP")]
    pub host_ip: String,
    /// Name of the host.
    pub host_name: String,
    /// Address of the pod; the host's when it has none of its own.
    #[serde(rename = "podIP")]
    pub pod_ip: String,
    /// Words for people.
    pub message: String,
    /// RFC 3339.
    pub start_time: String,
    /// RFC 3339; the last change of status.
    pub last_update_time: String,
    /// RFC 3339; the last change of the record.
    pub report_time: String,
    /// How it is stopped.
    pub kill_policy: KillPolicy,
    /// When it is started again.
    pub restart_policy: RestartPolicy,
    /// Its containers or processes.
    pub container_statuses: Vec<ContainerStatus>,
    /// The last message and its result as a JSON text; empty without one.
    pub bcs_message: String,
}

/// One container or process of a taskgroup.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// Name.
    pub name: String,
    /// Id of the container, or of the process.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// Process id on the host; 0 when nothing runs.
    pub pid: i64,
    /// How often the taskgroup was scheduled anew.
    pub restart_count: i64,
    /// Status.
    pub status: Status,
    /// Status before.
    pub last_status: Status,
    /// Exit code of what ended; 128 + n after signal n; 0 while it runs.
    #[serde(rename = "exitcode")]
    pub exit_code: i64,
    /// Ended for want of memory.
    #[serde(rename = "oomKilled")]
    pub oom_killed: bool,
    /// Whether the last health check passed.
    pub healthy: bool,
    /// Image.
    pub image: String,
    /// Words for people.
    pub message: String,
    /// RFC 3339.
    pub start_time: String,
    /// RFC 3339.
    pub last_update_time: String,
    /// RFC 3339; the year 1 while it runs.
    pub finish_time: String,
    /// Results of the checks (the field's name has always been spelt so).
    #[serde(rename = "healCheckStatus")]
    pub health_check_status: Vec<HealthCheckStatus>,
    /// Ports.
    pub container_port: Vec<ContainerPort>,
    /// Command.
    pub command: String,
    /// Arguments.
    pub args: Vec<String>,
    /// Volumes.
    pub volumes: Vec<StoredVolume>,
    /// Network mode.
    pub network_mode: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Limits in force.
    pub resources: StoredResources,
    /// Variables of the definition.
    pub env: BTreeMap<String, String>,
}

/// A port of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerPort {
    /// Name.
    pub name: String,
    /// Port inside.
    pub container_port: i32,
    /// Port of the host; 0 when there is none.
    pub host_port: i32,
    /// Protocol.
    pub protocol: String,
}

/// A volume of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StoredVolume {
    /// Path inside.
    pub container_path: String,
    /// Path of the host.
    pub host_path: String,
    /// `RW` or `RO`.
    pub mode: String,
}

/// `resources` of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoredResources {
    /// Limits in force.
    pub limits: StoredLimits,
}

/// Quantities as texts: cores, MB, MB.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoredLimits {
    /// Cores.
    pub cpu: String,
    /// Memory.
    pub memory: String,
    /// Disk.
    pub storage: String,
}

impl From<&TaskGroup> for StoredTaskGroup {
    fn from(group: &TaskGroup) -> Self {
        let reports: Vec<Option<ContainerInfo>> = group.taskgroup.iter().map(report).collect();
        let mut metadata = group.object_meta.clone();
        metadata.name.clone_from(&group.id);
        if metadata.namespace.is_empty() {
            metadata.namespace.clone_from(&group.run_as);
        }
        if let Some(last) = group.taskgroup.last() {
            metadata.labels.clone_from(&last.labels);
        }
        if metadata.creation_timestamp == ZERO_TIME {
            metadata.creation_timestamp = rfc3339(group.start_time);
        }
        let found = |pick: fn(&ContainerInfo) -> &String| {
            reports
                .iter()
                .flatten()
                .map(pick)
                .find(|text| !text.is_empty())
                .cloned()
        };
        let host_ip = attribute(group, "InnerIP")
            .or_else(|| {
                let addresses = group.taskgroup.iter().map(|task| &task.agent_ip_address);
                addresses
                    .into_iter()
                    .find(|address| !address.is_empty())
                    .cloned()
            })
            .or_else(|| found(|report| &report.node_address))
            .unwrap_or_default();
        let message = group.bcs_event_message.as_ref();
        Self {
            kind: group.kind,
            metadata,
            rc_name: application_of(group),
            status: group.status,
            last_status: group.last_status,
            pod_ip: found(|report| &report.ip_address).unwrap_or_else(|| host_ip.clone()),
            host_ip,
            host_name: group.host_name.clone(),
            message: group.message.clone(),
            start_time: rfc3339(group.start_time),
            last_update_time: rfc3339(group.last_update_time),
            report_time: rfc3339(group.update_time.max(group.last_update_time)),
            kill_policy: group.kill_policy.clone(),
            restart_policy: group.restart_policy.clone(),
            container_statuses: group
                .taskgroup
                .iter()
                .zip(&reports)
                .map(|(task, report)| container_status(group, task, report.as_ref()))
                .collect(),
            bcs_message: message
                .and_then(|m| serde_json::to_string(m).ok())
                .unwrap_or_default(),
        }
    }
}

/// The executor's last report about a task, if it can be read.
fn report(task: &Task) -> Option<ContainerInfo> {
    serde_json::from_str(&task.status_data).ok()
}

fn container_status(
    group: &TaskGroup,
    task: &Task,
    report: Option<&ContainerInfo>,
) -> ContainerStatus {
    let ended = task.status.is_end();
    let time = |text: Option<&String>| match text {
        Some(text) if !text.is_empty() => text.clone(),
        _ => ZERO_TIME.to_owned(),
    };
    let limits = report
        .and_then(|report| report.resource)
        .filter(|resource| *resource != Resource::default())
        .unwrap_or(if task.data_class.limit_resources == Resource::default() {
            task.data_class.resources
        } else {
            task.data_class.limit_resources
        });
    ContainerStatus {
        name: if task.name.is_empty() {
            task.id.clone()
        } else {
            task.name.clone()
        },
        container_id: report.map(|report| report.id.clone()).unwrap_or_default(),
        pid: report.filter(|_| !ended).map_or(0, |report| report.pid),
        restart_count: group.rescheduled_times,
        status: task.status,
        last_status: task.last_status,
        exit_code: report
            .filter(|_| ended)
            .map_or(0, |report| report.exit_code),
        oom_killed: report.is_some_and(|report| report.oom_killed),
        healthy: task.healthy,
        image: task.image.clone(),
        message: task.message.clone(),
        start_time: time(report.map(|report| &report.start_at)),
        last_update_time: rfc3339(task.last_update_time),
        finish_time: time(report.map(|report| &report.finish_at)),
        health_check_status: task.health_check_status.clone(),
        container_port: ports(task, report),
        command: task.command.clone(),
        args: task.arguments.clone(),
        volumes: task
            .volumes
            .iter()
            .map(|volume| StoredVolume {
                container_path: volume.container_path.clone(),
                host_path: volume.host_path.clone(),
                mode: volume.mode.clone(),
            })
            .collect(),
        network_mode: task.network.clone(),
        labels: task.labels.clone(),
        resources: StoredResources {
            limits: StoredLimits {
                cpu: limits.cpus.to_string(),
                memory: limits.mem.to_string(),
                storage: limits.disk.to_string(),
            },
        },
        env: task.env.clone(),
    }
}

fn ports(task: &Task, report: Option<&ContainerInfo>) -> Vec<ContainerPort> {
    if !task.port_mappings.is_empty() {
        let ports = task.port_mappings.iter().map(|port| ContainerPort {
            name: port.name.clone(),
            container_port: port.container_port,
            host_port: port.host_port,
            protocol: port.protocol.clone(),
        });
        return ports.collect();
    }
    let reported = report
        .map(|report| report.ports.as_slice())
        .unwrap_or_default();
    reported
        .iter()
        .map(|port| ContainerPort {
            name: port.name.clone(),
            container_port: port.container_port.parse().unwrap_or(0),
            host_port: port.host_port.parse().unwrap_or(0),
            protocol: port.protocol.clone(),
        })
        .collect()
}

fn attribute(group: &TaskGroup, name: &str) -> Option<String> {
    let attribute = group
        .attributes
        .iter()
        .find(|attribute| attribute.name == name)?;
    let text = attribute.text.as_ref().map(|text| text.value.clone())?;
    (!text.is_empty()).then_some(text)
}

/// `AppID` may be the bare name; the id's second part is the name for certain.
fn application_of(group: &TaskGroup) -> String {
    let mut parts = group.id.split('.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(name), Some(_)) => name.to_owned(),
        _ => group.app_id.clone(),
    }
}

fn fill(metadata: &mut ObjectMeta, name: &str, namespace: &str, cluster: &str) {
    for (field, value) in [
        (&mut metadata.name, name),
        (&mut metadata.namespace, namespace),
        (&mut metadata.cluster_name, cluster),
    ] {
        if field.is_empty() {
            value.clone_into(field);
        }
    }
}

/// A record of the scheduler that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{kind} record cannot be read: {source}")]
pub struct ConversionError {
    /// Resource type.
    pub kind: String,
    /// What is wrong.
    #[source]
    pub source: serde_json::Error,
}

/// The text to store for a record of the scheduler. Kinds without a shape of their own here
/// (configmap, secret, deployment, service, endpoint) are stored as they are.
///
/// # Errors
/// [`ConversionError`] when an application or taskgroup is not what its kind says.
pub fn to_storage(kind: &str, object: &serde_json::Value) -> Result<String, ConversionError> {
    let convert = || match kind {
        "application" => {
            let application = Application::deserialize(object)?;
            serde_json::to_string(&StoredApplication::from(&application))
        }
        "taskgroup" => {
            let group = TaskGroup::deserialize(object)?;
            serde_json::to_string(&StoredTaskGroup::from(&group))
        }
        _ => serde_json::to_string(object),
    };
    convert().map_err(|source| ConversionError {
        kind: kind.to_owned(),
        source,
    })
}

/// Unix seconds as RFC 3339 in UTC; 0 is the year 1, as everywhere in API v4.
pub fn rfc3339(seconds: i64) -> String {
    if seconds <= 0 {
        return ZERO_TIME.to_owned();
    }
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 1970 to a date of the Gregorian calendar, with years that begin in March.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest % 3600 / 60,
        rest % 60
    )
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
