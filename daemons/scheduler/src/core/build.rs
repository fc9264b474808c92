//! From a version to a taskgroup and its Mesos launch.
//!
//! Ports are drawn first, then everything is rendered, so `${ports.x}` is always the true port.
//! Contents of configmaps and secrets go to the executor and not into the record.

use std::collections::BTreeMap;

use bcs_mesos::{
    AgentId, CommandInfo, ContainerInfo, ContainerInfoDockerInfo, ContainerInfoDockerInfoNetwork,
    ContainerInfoDockerInfoPortMapping, ContainerInfoMesosInfo, ContainerInfoType, DurationInfo,
    Environment, ExecutorId, ExecutorInfo, ExecutorInfoType, HealthCheck, HealthCheckType, HttpCheck,
    Image, ImageDocker, ImageType, KillPolicy, Label, Labels, LaunchGroup, Operation, OperationType,
    Parameter, Resources, TaskGroupInfo, TaskId, TaskInfo, TcpCheck, Uri, Variable, VariableType,
    Volume, VolumeMode, WireName as _,
};
use bcs_model::dataclass::{DataClass, ProcInfo, Resource};
use bcs_model::ids::TaskGroupId;
use bcs_model::status::Status;
use bcs_model::taskgroup::{HealthCheckStatus, Task, TaskGroup};
use bcs_model::template::{Values, render};
use bcs_model::units;
use bcs_model::version::{
    AppKind, Container, ContainerPort, EnvVar, HealthCheck as Check, PortMapping, Process,
    ResourceRequirements, ResourceTexts, Version,
};

use super::events::Now;
use super::records::{FORMAT, Group, Name};
use super::state::Cluster;

/// What is added to the grace of a taskgroup before the agent may force its executor.
const SHUTDOWN_MARGIN_SECONDS: i64 = 5;

/// What a taskgroup of a version needs of a host.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Need {
    pub(crate) tasks: Vec<Resource>,
    pub(crate) executor: Resource,
    /// Ports to draw.
    pub(crate) random_ports: usize,
    pub(crate) fixed_ports: Vec<u64>,
}

impl Need {
    pub(crate) fn sum(&self) -> Resource {
        self.tasks.iter().fold(self.executor, |sum, task| sum.plus(*task))
    }
}

/// Requests and limits of a process in numbers.
///
/// # Errors
/// Names the field that is no quantity.
pub(crate) fn quantities(wanted: &ResourceRequirements) -> Result<(Resource, Resource), String> {
    let texts = |texts: &ResourceTexts, of: &str| {
        let number = |text: &str, field: &str, parse: fn(&str) -> Result<f64, units::UnitError>| {
            if text.trim().is_empty() {
                return Ok(None);
            }
            parse(text).map(Some).map_err(|error| format!("resources.{of}.{field}: {error}"))
        };
        Ok::<_, String>((
            number(&texts.cpu, "cpu", units::cpus)?,
            number(&texts.memory, "memory", units::memory_megabytes)?,
            number(&texts.storage, "storage", units::storage_megabytes)?,
        ))
    };
    let (cpu, mem, disk) = texts(&wanted.limits, "limits")?;
    let limits = Resource {
        cpus: cpu.unwrap_or(1.0),
        mem: mem.unwrap_or(64.0),
        disk: disk.unwrap_or(64.0),
    };
    let (cpu, mem, disk) = texts(&wanted.requests, "requests")?;
    let requests = match cpu {
        None => limits,
        Some(cpus) => Resource { cpus, mem: mem.unwrap_or(limits.mem), disk: disk.unwrap_or(limits.disk) },
    };
    Ok((requests, limits))
}

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
}

impl Cluster {
    /// What a taskgroup of this version needs.
    pub(crate) fn need(&self, version: &Version) -> Result<Need, String> {
        let (executor, ports, tasks) = match version.kind {
            AppKind::Process => {
                let tasks = version
                    .process
                    .iter()
                    .map(|process| Ok(quantities(&process.resources)?.0))
                    .collect::<Result<Vec<_>, String>>()?;
                let ports: Vec<i32> = version
                    .process
                    .iter()
                    .flat_map(|process| process.ports.iter().map(|port| port.host_port.max(0)))
                    .collect();
                (&self.rules.process_executor, ports, tasks)
            }
            AppKind::Application => {
                let tasks = version.container.iter().map(|container| container.resources).collect();
                let ports =
                    version.container.iter().flat_map(|container| wanted_ports(container)).collect();
                (&self.rules.container_executor, ports, tasks)
            }
        };
        Ok(Need {
            tasks,
            executor: Resource { cpus: executor.cpus, mem: executor.mem, disk: executor.disk },
            random_ports: ports.iter().filter(|port| **port == 0).count(),
            fixed_ports: ports.iter().filter_map(|port| u64::try_from(*port).ok()).filter(|port| *port > 0).collect(),
        })
    }

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
                task_id: TaskId { value: task_id.clone() },
                agent_id: AgentId { value: place.agent_id.to_owned() },
                resources: resources.to_wire(Some(place.role)),
                command: Some(command(&task)),
                container: part.container,
                health_check: task.health_checks.iter().find_map(|check| health_check(check, &task)),
                kill_policy: Some(KillPolicy { grace_period: Some(seconds(grace)) }),
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
            task.data_class = DataClass { msgs: Vec::new(), ..part.data };
            tasks.push(task);
        }
        let executor = self.executor_info(version.kind, &id, place.role, grace, need.executor);
        let operation = Operation {
            r#type: Some(OperationType::LaunchGroup.number()),
            launch_group: Some(LaunchGroup { executor, task_group: TaskGroupInfo { tasks: infos } }),
            ..Operation::default()
        };
        let extra_ports = need
            .fixed_ports
            .iter()
            .copied()
            .filter(|port| !place.offered_fixed.contains(port))
            .collect();
        let sum = need.tasks.iter().fold(Resource::default(), |sum, task| sum.plus(*task));
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
            executor_id: ExecutorId { value: id.to_string() },
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

    fn process(
        &self,
        process: &Process,
        values: &Values,
        drawn: &mut impl Iterator<Item = u64>,
    ) -> Result<Part, String> {
        let mappings = map_ports(&process.ports, drawn)?;
        let mut values = values.clone();
        values.process_name.clone_from(&process.proc_name);
        values.ports = named(&mappings);
        let text = |text: &str, values: &Values| render(text, |name| values.process(name)).into_owned();
        values.work_path = text(&process.work_path, &values);
        values.pid_file = text(&process.pid_file, &values);
        let values = &values;
        let of = |field: &str| text(field, values);
        let (request, limit) = quantities(&process.resources)?;
        let uris: Vec<_> = process
            .uris
            .iter()
            .map(|uri| {
                let mut uri = uri.clone();
                uri.value = of(&uri.value);
                uri.output_dir = of(&uri.output_dir);
                uri
            })
            .collect();
        let argv: Vec<String> = process.argv.iter().map(|word| of(word)).collect();
        let info = ProcInfo {
            proc_name: of(&process.proc_name),
            work_path: values.work_path.clone(),
            pid_file: values.pid_file.clone(),
            start_cmd: of(&process.start_cmd),
            check_cmd: of(&process.check_cmd),
            stop_cmd: of(&process.stop_cmd),
            restart_cmd: of(&process.restart_cmd),
            reload_cmd: of(&process.reload_cmd),
            kill_cmd: of(&process.kill_cmd),
            log_path: of(&process.log_path),
            cfg_path: of(&process.cfg_path),
            uris: uris.clone(),
            start_grace_period: process.start_grace_period,
            user: process.user.clone(),
            argv: argv.clone(),
        };
        let msgs =
            self.messages(&values.namespace, &process.configmaps, &process.secrets, &|path| of(path))?;
        let env = environment(&process.env, &mappings, request, limit, &of);
        let task = Task {
            name: process.proc_name.clone(),
            command: info.start_cmd.clone(),
            arguments: argv,
            network: "HOST".to_owned(),
            env,
            health_check_status: check_status(&process.health_checks),
            local_max_consecutive_failures: local_limit(&process.health_checks),
            health_checks: process.health_checks.clone(),
            uris,
            port_mappings: mappings,
            ..Task::default()
        };
        let data = DataClass {
            resources: request,
            limit_resources: limit,
            extended_resources: process.resources.extended_resources.clone(),
            msgs,
            net_limit: None,
            proc_info: Some(info),
        };
        Ok(Part::new(task, data, None))
    }

    fn container(
        &self,
        container: &Container,
        values: &Values,
        drawn: &mut impl Iterator<Item = u64>,
    ) -> Result<Part, String> {
        let docker = &container.docker;
        let mut mappings = docker.port_mappings.clone();
        for (mapping, wanted) in mappings.iter_mut().zip(wanted_ports(container)) {
            if wanted == 0 {
                mapping.host_port = next_port(drawn)?;
            } else {
                mapping.host_port = wanted.max(0);
            }
            if docker.network.eq_ignore_ascii_case("HOST") {
                mapping.container_port = mapping.host_port;
            }
        }
        let mut values = values.clone();
        values.ports = named(&mappings);
        let of = |text: &str| render(text, |name| values.container(name)).into_owned();
        let msgs =
            self.messages(&values.namespace, &container.config_maps, &container.secrets, &|path| of(path))?;
        let env: BTreeMap<String, String> = docker
            .env
            .iter()
            .map(|(name, value)| (of(name), of(value)))
            .chain(mappings.iter().filter(|mapping| !mapping.name.is_empty()).map(|mapping| {
                let inside = !docker.network.eq_ignore_ascii_case("BRIDGE");
                let port = if inside { mapping.container_port } else { mapping.host_port };
                (format!("PORT_{}", mapping.name), port.to_string())
            }))
            .collect();
        let info = container_info(container, &mappings, &values.taskgroup_name, values.instance);
        let task = Task {
            name: format!("{}-{}", values.taskgroup_name, docker.image),
            hostname: docker.hostname.clone(),
            command: docker.command.clone(),
            arguments: docker.arguments.clone(),
            image: docker.image.clone(),
            image_pull_user: docker.image_pull_user.clone(),
            image_pull_passwd: docker.image_pull_passwd.clone(),
            network: docker.network.clone(),
            network_type: docker.network_type.clone(),
            privileged: docker.privileged,
            parameters: docker.parameters.clone(),
            force_pull_image: docker.force_pull_image,
            volumes: container.volumes.clone(),
            env,
            health_check_status: check_status(&container.health_checks),
            local_max_consecutive_failures: local_limit(&container.health_checks),
            health_checks: container.health_checks.clone(),
            port_mappings: mappings,
            net_limit: Some(container.net_limit.clone()),
            ..Task::default()
        };
        let mut data = container.data_class.clone();
        data.resources = container.resources;
        data.limit_resources = container.limit_resources;
        data.msgs = msgs;
        data.net_limit = Some(container.net_limit.clone());
        Ok(Part::new(task, data, Some(info)))
    }
}

/// One task before it has an id.
struct Part {
    task: Task,
    data: DataClass,
    container: Option<ContainerInfo>,
    ports: Vec<u64>,
}

impl Part {
    fn new(task: Task, data: DataClass, container: Option<ContainerInfo>) -> Self {
        let ports =
            task.port_mappings.iter().filter_map(|mapping| u64::try_from(mapping.host_port).ok()).collect();
        Self { task, data, container, ports }
    }
}

fn next_port(drawn: &mut impl Iterator<Item = u64>) -> Result<i32, String> {
    drawn
        .next()
        .and_then(|port| i32::try_from(port).ok())
        .ok_or_else(|| "the host's ports are used up".to_owned())
}

fn map_ports(
    ports: &[ContainerPort],
    drawn: &mut impl Iterator<Item = u64>,
) -> Result<Vec<PortMapping>, String> {
    ports
        .iter()
        .map(|port| {
            let host_port = if port.host_port > 0 { port.host_port } else { next_port(drawn)? };
            Ok(PortMapping {
                container_port: host_port,
                host_port,
                name: port.name.clone(),
                protocol: port.protocol.clone(),
            })
        })
        .collect()
}

/// Per port of a container: 0 draws one, above 0 is fixed, below 0 needs none.
fn wanted_ports(container: &Container) -> Vec<i32> {
    let network = container.docker.network.to_ascii_uppercase();
    let managed = container.docker.network_type.eq_ignore_ascii_case("cnm");
    container
        .docker
        .port_mappings
        .iter()
        .map(|mapping| match network.as_str() {
            "HOST" => mapping.container_port.max(0),
            "BRIDGE" => mapping.host_port,
            "" | "NONE" | "USER" => -1,
            _ if managed => mapping.host_port,
            _ => -1,
        })
        .collect()
}

fn named(mappings: &[PortMapping]) -> BTreeMap<String, i32> {
    mappings.iter().map(|mapping| (mapping.name.clone(), mapping.host_port)).collect()
}

fn environment(
    list: &[EnvVar],
    mappings: &[PortMapping],
    request: Resource,
    limit: Resource,
    of: &dyn Fn(&str) -> String,
) -> BTreeMap<String, String> {
    let ports = mappings
        .iter()
        .filter(|mapping| !mapping.name.is_empty())
        .map(|mapping| (format!("PORT_{}", mapping.name), mapping.host_port.to_string()));
    let own = list.iter().map(|variable| {
        let reference = variable
            .value_from
            .as_ref()
            .and_then(|source| source.resource_field_ref.as_ref())
            .map(|field| field.resource.as_str());
        let value = match reference {
            Some("requests.cpu") => format!("{:.6}", request.cpus * 1000.0),
            Some("requests.memory") => format!("{:.6}", request.mem),
            Some("limits.cpu") => format!("{:.6}", limit.cpus * 1000.0),
            Some("limits.memory") => format!("{:.6}", limit.mem),
            Some(_) | None => of(&variable.value),
        };
        (of(&variable.name), value)
    });
    ports.chain(own).collect()
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

fn container_info(
    container: &Container,
    mappings: &[PortMapping],
    pod: &str,
    index: u64,
) -> ContainerInfo {
    let docker = &container.docker;
    let network = docker.network.to_ascii_uppercase();
    let (kind, net) = match network.as_str() {
        "" | "NONE" => (ContainerInfoDockerInfoNetwork::None, None),
        "HOST" => (ContainerInfoDockerInfoNetwork::Host, None),
        "BRIDGE" => (ContainerInfoDockerInfoNetwork::Bridge, None),
        _ => (ContainerInfoDockerInfoNetwork::User, Some(docker.network.clone())),
    };
    let parameters = docker
        .parameters
        .iter()
        .map(|pair| Parameter { key: pair.key.clone(), value: pair.value.clone() })
        .chain(net.map(|value| Parameter { key: "net".to_owned(), value }))
        .collect();
    let port = |number: i32| u32::try_from(number).unwrap_or(0);
    ContainerInfo {
        r#type: ContainerInfoType::Mesos.number(),
        hostname: (!docker.hostname.is_empty() && network != "HOST").then(|| {
            format!("{}-{index}", if docker.hostname.is_empty() { pod } else { &docker.hostname })
        }),
        volumes: container
            .volumes
            .iter()
            .map(|volume| Volume {
                mode: if volume.mode.eq_ignore_ascii_case("RO") { VolumeMode::Ro } else { VolumeMode::Rw }.number(),
                container_path: volume.container_path.clone(),
                host_path: Some(volume.host_path.clone()),
                ..Volume::default()
            })
            .collect(),
        mesos: Some(ContainerInfoMesosInfo {
            image: Some(Image {
                r#type: ImageType::Docker.number(),
                docker: Some(ImageDocker { name: docker.image.clone(), ..ImageDocker::default() }),
                cached: Some(!docker.force_pull_image),
            }),
        }),
        docker: Some(ContainerInfoDockerInfo {
            image: docker.image.clone(),
            network: Some(kind.number()),
            port_mappings: mappings
                .iter()
                .map(|mapping| ContainerInfoDockerInfoPortMapping {
                    host_port: port(mapping.host_port),
                    container_port: port(mapping.container_port),
                    protocol: Some(mapping.protocol.clone()),
                })
                .collect(),
            privileged: Some(docker.privileged),
            parameters,
            force_pull_image: Some(docker.force_pull_image),
            volume_driver: None,
        }),
        ..ContainerInfo::default()
    }
}

fn is_local(check: &Check) -> bool {
    matches!(check.check_type.as_str(), "HTTP" | "TCP" | "COMMAND")
}

fn local_limit(checks: &[Check]) -> i64 {
    checks.iter().find(|check| is_local(check)).map_or(0, |check| check.consecutive_failures.max(0))
}

fn check_status(checks: &[Check]) -> Vec<HealthCheckStatus> {
    checks
        .iter()
        .map(|check| HealthCheckStatus {
            check_type: check.check_type.clone(),
            result: true,
            message: "not checked yet".to_owned(),
        })
        .collect()
}

/// The check that the executor runs; absent for remote ones.
fn health_check(check: &Check, task: &Task) -> Option<HealthCheck> {
    if !is_local(check) {
        return None;
    }
    let or = |value: i64, default: i32| {
        let value = i32::try_from(value).unwrap_or(i32::MAX);
        Some(f64::from(if value > 0 { value } else { default }))
    };
    let port = |name: &str, number: i64| {
        let mapped = task.port_mappings.iter().find(|mapping| !name.is_empty() && mapping.name == name);
        let number = mapped.map_or(number, |mapping| i64::from(mapping.container_port));
        u32::try_from(number).unwrap_or(0)
    };
    let mut wire = HealthCheck {
        delay_seconds: or(check.delay_seconds, 10),
        grace_period_seconds: or(check.grace_period_seconds, 300),
        interval_seconds: or(check.interval_seconds, 60),
        timeout_seconds: or(check.timeout_seconds, 20),
        consecutive_failures: Some(u32::try_from(check.consecutive_failures).unwrap_or(0)),
        ..HealthCheck::default()
    };
    if let Some(http) = check.http.as_ref().filter(|_| check.check_type == "HTTP") {
        wire.r#type = Some(HealthCheckType::Http.number());
        wire.http = Some(HttpCheck {
            scheme: Some(if http.scheme.is_empty() { "http".to_owned() } else { http.scheme.to_lowercase() }),
            port: port(&http.port_name, http.port),
            path: Some(if http.path.is_empty() { "/".to_owned() } else { http.path.clone() }),
            ..HttpCheck::default()
        });
    } else if let Some(tcp) = check.tcp.as_ref().filter(|_| check.check_type == "TCP") {
        wire.r#type = Some(HealthCheckType::Tcp.number());
        wire.tcp = Some(TcpCheck { port: port(&tcp.port_name, tcp.port), ..TcpCheck::default() });
    } else if let Some(command) = check.command.as_ref().filter(|_| check.check_type == "COMMAND") {
        wire.r#type = Some(HealthCheckType::Command.number());
        wire.command = Some(CommandInfo {
            shell: Some(true),
            value: Some(command.value.clone()),
            ..CommandInfo::default()
        });
    } else {
        return None;
    }
    Some(wire)
}

fn seconds(seconds: i64) -> DurationInfo {
    DurationInfo { nanoseconds: seconds.saturating_mul(1_000_000_000) }
}

fn wire_labels(labels: &BTreeMap<String, String>) -> Labels {
    let labels = labels
        .iter()
        .map(|(key, value)| Label { key: key.clone(), value: Some(value.clone()) })
        .collect();
    Labels { labels }
}
