//! Images, volumes, networks, discovery.
//!
//! Field numbers and names are those of the public v1 protocol. Members which nobody here reads are left
//! out: both codecs skip what they do not know.

use serde::{Deserialize, Serialize};

use super::{Labels, Parameters, Secret};
use crate::json::{Named, NamedOption};

/// `mesos.v1.Volume`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    #[prost(enumeration = "VolumeMode", required, tag = "3")]
    #[serde(with = "Named::<VolumeMode>")]
    pub mode: i32,
    #[prost(string, required, tag = "1")]
    pub container_path: String,
    #[prost(string, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_path: Option<String>,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<VolumeSource>,
}

/// `mesos.v1.Image`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Image {
    #[prost(enumeration = "ImageType", required, tag = "1")]
    #[serde(with = "Named::<ImageType>")]
    pub r#type: i32,
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker: Option<ImageDocker>,
    #[prost(bool, optional, tag = "4", default = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached: Option<bool>,
}

/// `mesos.v1.Image.Docker`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageDocker {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Secret>,
}

/// `mesos.v1.Credential`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Credential {
    #[prost(string, required, tag = "1")]
    pub principal: String,
    #[prost(string, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// `mesos.v1.Volume.Source`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeSource {
    #[prost(enumeration = "VolumeSourceType", optional, tag = "1")]
    #[serde(
        with = "NamedOption::<VolumeSourceType>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_volume: Option<VolumeSourceDockerVolume>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_path: Option<VolumeSourceHostPath>,
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox_path: Option<VolumeSourceSandboxPath>,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
}

/// `mesos.v1.Volume.Source.DockerVolume`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeSourceDockerVolume {
    #[prost(string, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    #[prost(string, required, tag = "2")]
    pub name: String,
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_options: Option<Parameters>,
}

/// `mesos.v1.Volume.Source.HostPath`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeSourceHostPath {
    #[prost(string, required, tag = "1")]
    pub path: String,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_propagation: Option<MountPropagation>,
}

/// `mesos.v1.MountPropagation`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct MountPropagation {
    #[prost(enumeration = "MountPropagationMode", optional, tag = "1")]
    #[serde(
        with = "NamedOption::<MountPropagationMode>",
        skip_serializing_if = "Option::is_none"
    )]
    pub mode: Option<i32>,
}

/// `mesos.v1.Volume.Source.SandboxPath`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeSourceSandboxPath {
    #[prost(enumeration = "VolumeSourceSandboxPathType", optional, tag = "1")]
    #[serde(
        with = "NamedOption::<VolumeSourceSandboxPathType>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(string, required, tag = "2")]
    pub path: String,
}

/// `mesos.v1.NetworkInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkInfo {
    #[prost(message, repeated, tag = "5")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip_addresses: Vec<IpAddress>,
    #[prost(string, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[prost(string, repeated, tag = "3")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    #[prost(message, repeated, tag = "7")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub port_mappings: Vec<NetworkInfoPortMapping>,
}

/// `mesos.v1.NetworkInfo.IPAddress`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct IpAddress {
    #[prost(
        enumeration = "NetworkInfoProtocol",
        optional,
        tag = "1",
        default = "Ipv4"
    )]
    #[serde(
        with = "NamedOption::<NetworkInfoProtocol>",
        skip_serializing_if = "Option::is_none"
    )]
    pub protocol: Option<i32>,
    #[prost(string, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
}

/// `mesos.v1.NetworkInfo.PortMapping`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkInfoPortMapping {
    #[prost(uint32, required, tag = "1")]
    pub host_port: u32,
    #[prost(uint32, required, tag = "2")]
    pub container_port: u32,
    #[prost(string, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// `mesos.v1.DiscoveryInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct DiscoveryInfo {
    #[prost(enumeration = "DiscoveryInfoVisibility", required, tag = "1")]
    #[serde(with = "Named::<DiscoveryInfoVisibility>")]
    pub visibility: i32,
    #[prost(string, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    #[prost(string, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[prost(string, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Ports>,
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
}

/// `mesos.v1.Ports`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Ports {
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}

/// `mesos.v1.Port`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Port {
    #[prost(uint32, required, tag = "1")]
    pub number: u32,
    #[prost(string, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[prost(enumeration = "DiscoveryInfoVisibility", optional, tag = "4")]
    #[serde(
        with = "NamedOption::<DiscoveryInfoVisibility>",
        skip_serializing_if = "Option::is_none"
    )]
    pub visibility: Option<i32>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
}

wire_enum! {
    /// `mesos.v1.Volume.Mode`.
    pub enum VolumeMode {
        Rw = 1 => "RW",
        Ro = 2 => "RO",
    }
}

wire_enum! {
    /// `mesos.v1.Image.Type`.
    pub enum ImageType {
        Appc = 1 => "APPC",
        Docker = 2 => "DOCKER",
    }
}

wire_enum! {
    /// `mesos.v1.Volume.Source.Type`.
    pub enum VolumeSourceType {
        Unknown = 0 => "UNKNOWN",
        DockerVolume = 1 => "DOCKER_VOLUME",
        HostPath = 4 => "HOST_PATH",
        SandboxPath = 2 => "SANDBOX_PATH",
        Secret = 3 => "SECRET",
        CsiVolume = 5 => "CSI_VOLUME",
    }
}

wire_enum! {
    /// `mesos.v1.MountPropagation.Mode`.
    pub enum MountPropagationMode {
        Unknown = 0 => "UNKNOWN",
        HostToContainer = 1 => "HOST_TO_CONTAINER",
        Bidirectional = 2 => "BIDIRECTIONAL",
    }
}

wire_enum! {
    /// `mesos.v1.Volume.Source.SandboxPath.Type`.
    pub enum VolumeSourceSandboxPathType {
        Unknown = 0 => "UNKNOWN",
        OwnPath = 1 => "SELF",
        Parent = 2 => "PARENT",
    }
}

wire_enum! {
    /// `mesos.v1.NetworkInfo.Protocol`.
    pub enum NetworkInfoProtocol {
        Ipv4 = 1 => "IPv4",
        Ipv6 = 2 => "IPv6",
    }
}

wire_enum! {
    /// `mesos.v1.DiscoveryInfo.Visibility`.
    pub enum DiscoveryInfoVisibility {
        Framework = 0 => "FRAMEWORK",
        Cluster = 1 => "CLUSTER",
        External = 2 => "EXTERNAL",
    }
}
