//! A judged document becomes the scheduler's version: quantities become numbers, references to
//! resources become values, and the document itself is kept for `definition`.

use bcs_model::dataclass::{DataClass, Resource};
use bcs_model::units::{UnitError, cpus, memory_megabytes, storage_megabytes};
use bcs_model::v4::{self, Kind, ReplicaController};
use bcs_model::version::{
    AppKind, Container, Docker, EnvVar, PortMapping, ResourceRequirements, ResourceTexts,
    RestartPolicy, RestartRule, Version, Volume,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The version of `document`, which must have been judged and have its defaults filled in.
///
/// # Errors
/// A quantity that is none: only when the document was not judged before.
pub fn version(
    document: ReplicaController,
    kind: Kind,
    definition: Value,
) -> Result<Version, UnitError> {
    let template = document.spec.template.unwrap_or_default();
    let pod = template.spec;
    let mut containers = Vec::with_capacity(pod.containers.len());
    for container in pod.containers {
        containers.push(self::container(
            container,
            &pod.network_mode,
            &pod.network_type,
            pod.net_limit.as_ref(),
        )?);
    }
    let mut processes = pod.processes;
    for process in &mut processes {
        resolve(&mut process.env, &process.resources)?;
    }
    Ok(Version {
        id: document.metadata.name.clone(),
        name: String::new(),
        run_as: document.metadata.namespace.clone(),
        labels: template.metadata.labels.clone(),
        object_meta: document.metadata,
        pod_object_meta: template.metadata,
        instances: document.spec.instance,
        container: containers,
        process: processes,
        kill_policy: document.kill_policy,
        restart_policy: restart(&document.restart_policy),
        constraints: document.constraint,
        uris: Vec::new(),
        ip: Vec::new(),
        mode: String::new(),
        kind: if kind == Kind::Process {
            AppKind::Process
        } else {
            AppKind::Application
        },
        raw_json: definition,
    })
}

fn restart(policy: &v4::RestartPolicy) -> RestartPolicy {
    RestartPolicy {
        policy: match policy.policy.as_str() {
            "Never" => RestartRule::Never,
            "Always" => RestartRule::Always,
            _ => RestartRule::OnFailure,
        },
        interval: policy.interval,
        backoff: policy.backoff,
        max_times: policy.maxtimes,
        host_retain_time: policy.host_retain_time,
    }
}

fn container(
    mut container: v4::Container,
    network: &str,
    network_type: &str,
    net_limit: Option<&bcs_model::version::NetLimit>,
) -> Result<Container, UnitError> {
    resolve(&mut container.env, &container.resources)?;
    let requests = quantities(&container.resources.requests)?;
    let limits = quantities(&container.resources.limits)?;
    let env: BTreeMap<String, String> = container
        .env
        .into_iter()
        .map(|variable| (variable.name, variable.value))
        .collect();
    Ok(Container {
        container_type: container.container_type,
        docker: Docker {
            hostname: container.hostname,
            force_pull_image: container.image_pull_policy == "Always",
            image: container.image,
            image_pull_user: container.image_pull_user,
            image_pull_passwd: container.image_pull_passwd,
            network: network.to_owned(),
            network_type: network_type.to_owned(),
            command: container.command,
            arguments: container.args,
            parameters: container.parameters,
            port_mappings: container
                .ports
                .into_iter()
                .map(|port| PortMapping {
                    container_port: port.container_port,
                    host_port: port.host_port,
                    name: port.name,
                    protocol: port.protocol,
                })
                .collect(),
            env,
            privileged: container.privileged,
        },
        volumes: container
            .volumes
            .into_iter()
            .map(|volume| Volume {
                container_path: volume.volume.mount_path,
                host_path: volume.volume.host_path,
                mode: if volume.volume.read_only { "RO" } else { "RW" }.to_owned(),
            })
            .collect(),
        resources: requests,
        limit_resources: limits,
        data_class: DataClass {
            resources: requests,
            limit_resources: limits,
            extended_resources: container.resources.extended_resources,
            net_limit: net_limit.cloned(),
            ..DataClass::default()
        },
        config_maps: container.configmaps,
        secrets: container.secrets,
        health_checks: container.health_checks,
        net_limit: net_limit.cloned().unwrap_or_default(),
    })
}

fn quantities(texts: &ResourceTexts) -> Result<Resource, UnitError> {
    let or_none = |text: &str, parse: fn(&str) -> Result<f64, UnitError>| {
        if text.is_empty() {
            Ok(0.0)
        } else {
            parse(text)
        }
    };
    Ok(Resource {
        cpus: or_none(&texts.cpu, cpus)?,
        mem: or_none(&texts.memory, memory_megabytes)?,
        disk: or_none(&texts.storage, storage_megabytes)?,
    })
}

/// `valueFrom` becomes a value: cpus in thousandths, memory in megabytes, with six decimals.
fn resolve(env: &mut [EnvVar], resources: &ResourceRequirements) -> Result<(), UnitError> {
    for variable in env {
        let Some(source) = variable
            .value_from
            .take()
            .and_then(|from| from.resource_field_ref)
        else {
            continue;
        };
        let half = if source.resource.starts_with("requests.") {
            quantities(&resources.requests)?
        } else {
            quantities(&resources.limits)?
        };
        let number = if source.resource.ends_with(".cpu") {
            half.cpus * 1000.0
        } else {
            half.mem
        };
        variable.value = format!("{number:.6}");
    }
    Ok(())
}
