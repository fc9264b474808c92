//! From a version and a place to a taskgroup and its Mesos launch.

use std::collections::BTreeMap;

use bcs_mesos::{
    AgentId, CommandInfo, DurationInfo, Environment, ExecutorId, ExecutorInfo, ExecutorInfoType,
    KillPolicy, Label, Labels, LaunchGroup, Operation, OperationType, Resources, TaskGroupInfo,
    TaskId, TaskInfo, Uri, Variable, VariableType, WireName as _,
};
use bcs_model::dataclass::{DataClass, Resource};
use bcs_model::ids::TaskGroupId;
use bcs_model::status::Status;
use bcs_model::taskgroup::{Task, TaskGroup};
use bcs_model::template::Values;
use bcs_model::version::{AppKind, Version};

use super::events::Now;
use super::health::health_check;
use super::need::Need;
use super::records::{FORMAT, Group, Name};
use super::state::Cluster;

/// What is added to the grace of a taskgroup before the agent may force its executor.
const SHUTDOWN_MARGIN_SECONDS: i64 = 5;

/// A host that was chosen, with its drawn ports.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) agent_id: &'a str,
    pub(crate) hostname: &'a str,
    pub(crate) ip: &'a str,
    pub(crate) role: &'a str,
    pub(crate) offer_id: &'a str,
    pub(crate) attributes: Vec<bcs_model::taskgroup::Attribute>,
    pub(crate) ports: Vec<u64>,
    /// Fixed ports that are part of the offer.
    pub(crate) offered_fixed: Vec<u64>,
}

/// What only the slot knows.
#[derive(Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) app: &'a Name,
    pub(crate) index: u64,
    pub(crate) stamp: u64,
    pub(crate) rescheduled_times: i64,
    pub(crate) last_reschedule: i64,
    pub(crate) stumbles: u32,
}

impl Cluster {
    /// Builds the taskgroup and the operation that launches it.
    pub(crate) fn build(
        &self,
        version: &Version,
        need: &Need,
        place: &Place<'_>,
        identity: &Identity<'_>,
        now: Now,
    ) -> Result<(Group, Operation), String> {
        let id = TaskGroupId {
            index: identity.index,
            app: identity.app.name.clone(),
            namespace: identity.app.namespace.clone(),
            cluster: self.rules.cluster.clone(),
            nanos: identity.stamp,
        };
        let mut labels = version.object_meta.labels.clone();
        labels.extend(version.labels.clone());
        labels.extend(version.pod_object_meta.labels.clone());
        let mut drawn = place.ports.iter().copied();
        let values = Values {
            app: id.app.clone(),
            namespace: id.namespace.clone(),
            instance: id.index,
            host_ip: place.ip.to_owned(),
            taskgroup_id: id.to_string(),
            taskgroup_name: id.pod_name(),
            ..Values::default()
        };
        let mut parts = Vec::new();
        match version.kind {
            AppKind::Process => {
                for process in &version.process {
                    parts.push(self.process(process, &values, &mut drawn)?);
                }
            }
            AppKind::Application => {
                for container in &version.container {
                    parts.push(self.container(container, &values, &mut drawn)?);
                }
            }
        }
        let grace = version.kill_policy.grace_period.clamp(1, 86_400);
        let mut tasks = Vec::new();
        let mut infos = Vec::new();
        for ((position, part), request) in (0u64..).zip(parts).zip(&need.tasks) {
            let mut task = part.task;
            let task_id = id.task(position).to_string();
            let mut labels = labels.clone();
            labels.insert("namespace".to_owned(), id.namespace.clone());
            labels.insert("pod_name".to_owned(), id.pod_name());
            let ports: Vec<(u64, u64)> = part
                .ports
                .iter()
                .filter(|port| place.offered_fixed.contains(port) || place.ports.contains(port))
                .map(|port| (*port, *port))
                .collect();
            let resources = Resources::new()
                .with_scalar("cpus", request.cpus)
                .with_scalar("mem", request.mem)
                .with_scalar("disk", request.disk)
                .with_ranges("ports", &ports);
            let data = serde_json::to_vec(&part.data).map_err(|error| error.to_string())?;
            infos.push(TaskInfo {
                name: format!("{}-{task_id}", identity.stamp),
                task_id: TaskId {
                    value: task_id.clone(),
                },
                agent_id: AgentId {
                    value: place.agent_id.to_owned(),
                },
                resources: resources.to_wire(Some(place.role)),
                command: Some(command(&task)),
                container: part.container,
                health_check: task
                    .health_checks
                    .iter()
                    .find_map(|check| health_check(check, &task)),
                kill_policy: Some(KillPolicy {
                    grace_period: Some(seconds(grace)),
                }),
                labels: Some(wire_labels(&labels)),
                data: Some(data.into()),
                ..TaskInfo::default()
            });
            task.id = task_id;
            task.labels = labels;
            task.healthy = true;
            task.kind = version.kind;
            place.offer_id.clone_into(&mut task.offer_id);
            place.agent_id.clone_into(&mut task.agent_id);
            place.hostname.clone_into(&mut task.agent_hostname);
            place.ip.clone_into(&mut task.agent_ip_address);
            task.app_id.clone_from(&id.app);
            task.run_as.clone_from(&id.namespace);
            task.kill_policy = version.kill_policy.clone();
            task.update_time = now.unix();
            task.last_update_time = now.unix();
            task.data_class = DataClass {
                msgs: Vec::new(),
                ..part.data
            };
            tasks.push(task);
        }
        let executor = self.executor_info(version.kind, &id, place.role, grace, need.executor);
        let operation = Operation {
            r#type: Some(OperationType::LaunchGroup.number()),
            launch_group: Some(LaunchGroup {
                executor,
                task_group: TaskGroupInfo { tasks: infos },
            }),
            ..Operation::default()
        };
        let extra_ports = need
            .fixed_ports
            .iter()
            .copied()
            .filter(|port| !place.offered_fixed.contains(port))
            .collect();
        let sum = need
            .tasks
            .iter()
            .fold(Resource::default(), |sum, task| sum.plus(*task));
        let mut meta = version.pod_object_meta.clone();
        meta.name = id.pod_name();
        meta.namespace.clone_from(&id.namespace);
        meta.labels = labels;
        let group = TaskGroup {
            kind: version.kind,
            id: id.to_string(),
            name: id.pod_name(),
            app_id: id.app.clone(),
            run_as: id.namespace.clone(),
            object_meta: meta,
            agent_id: place.agent_id.to_owned(),
            executor_id: id.to_string(),
            status: Status::Staging,
            instance_id: id.index,
            kill_policy: version.kill_policy.clone(),
            restart_policy: version.restart_policy.clone(),
            version_name: version.name.clone(),
            last_update_time: now.unix(),
            attributes: place.attributes.clone(),
            start_time: now.unix(),
            update_time: now.unix(),
            rescheduled_times: identity.rescheduled_times,
            last_reschedule_time: identity.last_reschedule,
            host_name: place.hostname.to_owned(),
            launch_resource: Some(sum),
            curr_resource: Some(sum),
            taskgroup: tasks,
            ..TaskGroup::default()
        };
        let count = group.taskgroup.len();
        let record = Group {
            format: FORMAT,
            group,
            ended: vec![false; count],
            heard: false,
            kill_since: None,
            after: super::records::After::Keep,
            uuids: vec![String::new(); count],
            unknown_answers: 0,
            launched: now.unix_millis,
            stumbles: identity.stumbles,
            extra_ports,
        };
        Ok((record, operation))
    }

    fn executor_info(
        &self,
        kind: AppKind,
        id: &TaskGroupId,
        role: &str,
        grace: i64,
        own: Resource,
    ) -> ExecutorInfo {
        let executor = match kind {
            AppKind::Process => &self.rules.process_executor,
            AppKind::Application => &self.rules.container_executor,
        };
        let uris = executor.uri.iter().map(|uri| Uri {
            value: uri.clone(),
            executable: Some(true),
            extract: Some(false),
            ..Uri::default()
        });
        let resources = Resources::new()
            .with_scalar("cpus", own.cpus)
            .with_scalar("mem", own.mem)
            .with_scalar("disk", own.disk);
        ExecutorInfo {
            r#type: Some(ExecutorInfoType::Custom.number()),
            executor_id: ExecutorId {
                value: id.to_string(),
            },
            framework_id: self.framework(),
            command: Some(CommandInfo {
                uris: uris.collect(),
                value: Some(executor.command.clone()),
                ..CommandInfo::default()
            }),
            resources: resources.to_wire(Some(role)),
            name: Some("BcsExec".to_owned()),
            source: Some("bcs".to_owned()),
            // Longer than the stop of the tasks, or the agent would force the executor first.
            shutdown_grace_period: Some(seconds(grace + SHUTDOWN_MARGIN_SECONDS)),
            ..ExecutorInfo::default()
        }
    }
}

fn command(task: &Task) -> CommandInfo {
    let variables = task
        .env
        .iter()
        .map(|(name, value)| Variable {
            name: name.clone(),
            r#type: Some(VariableType::Value.number()),
            value: Some(value.clone()),
            ..Variable::default()
        })
        .collect();
    CommandInfo {
        shell: Some(false),
        value: Some(task.command.clone()),
        arguments: task.arguments.clone(),
        environment: Some(Environment { variables }),
        ..CommandInfo::default()
    }
}

fn seconds(seconds: i64) -> DurationInfo {
    DurationInfo {
        nanoseconds: seconds.saturating_mul(1_000_000_000),
    }
}

fn wire_labels(labels: &BTreeMap<String, String>) -> Labels {
    let labels = labels
        .iter()
        .map(|(key, value)| Label {
            key: key.clone(),
            value: Some(value.clone()),
        })
        .collect();
    Labels { labels }
}
