//! What a taskgroup needs of a host.

use bcs_model::dataclass::Resource;
use bcs_model::units;
use bcs_model::version::{AppKind, Container, ResourceRequirements, ResourceTexts, Version};

use super::state::Cluster;

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
        self.tasks
            .iter()
            .fold(self.executor, |sum, task| sum.plus(*task))
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
            parse(text)
                .map(Some)
                .map_err(|error| format!("resources.{of}.{field}: {error}"))
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
        Some(cpus) => Resource {
            cpus,
            mem: mem.unwrap_or(limits.mem),
            disk: disk.unwrap_or(limits.disk),
        },
    };
    Ok((requests, limits))
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
                let tasks = version
                    .container
                    .iter()
                    .map(|container| container.resources)
                    .collect();
                let ports = version.container.iter().flat_map(wanted_ports).collect();
                (&self.rules.container_executor, ports, tasks)
            }
        };
        Ok(Need {
            tasks,
            executor: Resource {
                cpus: executor.cpus,
                mem: executor.mem,
                disk: executor.disk,
            },
            random_ports: ports.iter().filter(|port| **port == 0).count(),
            fixed_ports: ports
                .iter()
                .filter_map(|port| u64::try_from(*port).ok())
                .filter(|port| *port > 0)
                .collect(),
        })
    }
}

/// Per port of a container: 0 draws one, above 0 is fixed, below 0 needs none.
pub(crate) fn wanted_ports(container: &Container) -> Vec<i32> {
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
