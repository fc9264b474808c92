//! One process or container of a version, rendered for one host: ports first, then every text.
//!
//! Contents of configmaps and secrets go to the executor and not into the record.

use std::collections::BTreeMap;

use bcs_mesos::ContainerInfo;
use bcs_model::dataclass::{DataClass, ProcInfo, Resource};
use bcs_model::taskgroup::Task;
use bcs_model::template::{Values, render};
use bcs_model::version::{Container, ContainerPort, EnvVar, PortMapping, Process};

use super::container::container_info;
use super::health::{check_status, local_limit};
use super::need::{quantities, wanted_ports};
use super::state::Cluster;

/// One task before it has an id.
pub(crate) struct Part {
    pub(crate) task: Task,
    pub(crate) data: DataClass,
    pub(crate) container: Option<ContainerInfo>,
    pub(crate) ports: Vec<u64>,
}

impl Part {
    fn new(task: Task, data: DataClass, container: Option<ContainerInfo>) -> Self {
        let ports = task
            .port_mappings
            .iter()
            .filter_map(|mapping| u64::try_from(mapping.host_port).ok())
            .collect();
        Self {
            task,
            data,
            container,
            ports,
        }
    }
}

impl Cluster {
    pub(crate) fn process(
        &self,
        process: &Process,
        values: &Values,
        drawn: &mut impl Iterator<Item = u64>,
    ) -> Result<Part, String> {
        let mappings = map_ports(&process.ports, drawn)?;
        let mut values = values.clone();
        values.process_name.clone_from(&process.proc_name);
        values.ports = named(&mappings);
        let text =
            |text: &str, values: &Values| render(text, |name| values.process(name)).into_owned();
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
        let msgs = self.messages(
            &values.namespace,
            &process.configmaps,
            &process.secrets,
            &|path| of(path),
        )?;
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

    pub(crate) fn container(
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
        let msgs = self.messages(
            &values.namespace,
            &container.config_maps,
            &container.secrets,
            &|path| of(path),
        )?;
        let env: BTreeMap<String, String> = docker
            .env
            .iter()
            .map(|(name, value)| (of(name), of(value)))
            .chain(
                mappings
                    .iter()
                    .filter(|mapping| !mapping.name.is_empty())
                    .map(|mapping| {
                        let inside = !docker.network.eq_ignore_ascii_case("BRIDGE");
                        let port = if inside {
                            mapping.container_port
                        } else {
                            mapping.host_port
                        };
                        (format!("PORT_{}", mapping.name), port.to_string())
                    }),
            )
            .collect();
        let info = container_info(
            container,
            &mappings,
            &values.taskgroup_name,
            values.instance,
        );
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
            let host_port = if port.host_port > 0 {
                port.host_port
            } else {
                next_port(drawn)?
            };
            Ok(PortMapping {
                container_port: host_port,
                host_port,
                name: port.name.clone(),
                protocol: port.protocol.clone(),
            })
        })
        .collect()
}

fn named(mappings: &[PortMapping]) -> BTreeMap<String, i32> {
    mappings
        .iter()
        .map(|mapping| (mapping.name.clone(), mapping.host_port))
        .collect()
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
        .map(|mapping| {
            (
                format!("PORT_{}", mapping.name),
                mapping.host_port.to_string(),
            )
        });
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
