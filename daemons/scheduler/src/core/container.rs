//! The container half of a launch. LAUNCH_GROUP refuses containers of type DOCKER, so the type is MESOS
//! and the Docker block beside it is for our executor.

use bcs_mesos::{
    ContainerInfo, ContainerInfoDockerInfo, ContainerInfoDockerInfoNetwork,
    ContainerInfoDockerInfoPortMapping, ContainerInfoMesosInfo, ContainerInfoType, Image,
    ImageDocker, ImageType, Parameter, Volume, VolumeMode, WireName as _,
};
use bcs_model::version::{Container, PortMapping};

pub(crate) fn container_info(
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
        _ => (
            ContainerInfoDockerInfoNetwork::User,
            Some(docker.network.clone()),
        ),
    };
    let parameters = docker
        .parameters
        .iter()
        .map(|pair| Parameter {
            key: pair.key.clone(),
            value: pair.value.clone(),
        })
        .chain(net.map(|value| Parameter {
            key: "net".to_owned(),
            value,
        }))
        .collect();
    let port = |number: i32| u32::try_from(number).unwrap_or(0);
    ContainerInfo {
        r#type: ContainerInfoType::Mesos.number(),
        hostname: (!docker.hostname.is_empty() && network != "HOST").then(|| {
            format!(
                "{}-{index}",
                if docker.hostname.is_empty() {
                    pod
                } else {
                    &docker.hostname
                }
            )
        }),
        volumes: container
            .volumes
            .iter()
            .map(|volume| Volume {
                mode: if volume.mode.eq_ignore_ascii_case("RO") {
                    VolumeMode::Ro
                } else {
                    VolumeMode::Rw
                }
                .number(),
                container_path: volume.container_path.clone(),
                host_path: Some(volume.host_path.clone()),
                ..Volume::default()
            })
            .collect(),
        mesos: Some(ContainerInfoMesosInfo {
            image: Some(Image {
                r#type: ImageType::Docker.number(),
                docker: Some(ImageDocker {
                    name: docker.image.clone(),
                    ..ImageDocker::default()
                }),
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
