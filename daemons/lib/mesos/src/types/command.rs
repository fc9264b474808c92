//! Commands, executors, environment, checks.
//!
//! Field numbers and names are those of the public v1 protocol. Members which nobody here reads are left
//! out: both codecs skip what they do not know.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    ContainerInfo, DiscoveryInfo, DurationInfo, ExecutorId, FrameworkId, Labels,
    NetworkInfoProtocol, Resource,
};
use crate::json::{Base64, Base64Option, NamedOption};

/// `mesos.v1.Secret`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Secret {
    #[prost(enumeration = "SecretType", optional, tag = "1")]
    #[serde(
        with = "NamedOption::<SecretType>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<SecretValue>,
}

/// `mesos.v1.Secret.Value`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretValue {
    #[prost(bytes = "bytes", required, tag = "1")]
    #[serde(with = "Base64")]
    pub data: Bytes,
}

/// `mesos.v1.ExecutorInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecutorInfo {
    #[prost(enumeration = "ExecutorInfoType", optional, tag = "15")]
    #[serde(
        with = "NamedOption::<ExecutorInfoType>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(message, required, tag = "1")]
    pub executor_id: ExecutorId,
    #[prost(message, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framework_id: Option<FrameworkId>,
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandInfo>,
    #[prost(message, optional, tag = "11")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerInfo>,
    #[prost(message, repeated, tag = "5")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
    #[prost(string, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "10")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    #[serde(with = "Base64Option", skip_serializing_if = "Option::is_none")]
    pub data: Option<Bytes>,
    #[prost(message, optional, tag = "12")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<DiscoveryInfo>,
    #[prost(message, optional, tag = "13")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown_grace_period: Option<DurationInfo>,
    #[prost(message, optional, tag = "14")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
}

/// `mesos.v1.CommandInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct CommandInfo {
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uris: Vec<Uri>,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    #[prost(bool, optional, tag = "6", default = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<bool>,
    #[prost(string, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[prost(string, repeated, tag = "7")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    #[prost(string, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// `mesos.v1.CommandInfo.URI`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Uri {
    #[prost(string, required, tag = "1")]
    pub value: String,
    #[prost(bool, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executable: Option<bool>,
    #[prost(bool, optional, tag = "3", default = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extract: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<bool>,
    #[prost(string, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_file: Option<String>,
}

/// `mesos.v1.Environment`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
}

/// `mesos.v1.Environment.Variable`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Variable {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(enumeration = "VariableType", optional, tag = "3", default = "Value")]
    #[serde(
        with = "NamedOption::<VariableType>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(string, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
}

/// `mesos.v1.HealthCheck`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    #[prost(double, optional, tag = "2", default = "15.0")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<f64>,
    #[prost(double, optional, tag = "3", default = "10.0")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<f64>,
    #[prost(double, optional, tag = "4", default = "20.0")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<f64>,
    #[prost(uint32, optional, tag = "5", default = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_failures: Option<u32>,
    #[prost(double, optional, tag = "6", default = "10.0")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period_seconds: Option<f64>,
    #[prost(enumeration = "HealthCheckType", optional, tag = "8")]
    #[serde(
        with = "NamedOption::<HealthCheckType>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandInfo>,
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    #[prost(message, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpCheck>,
}

/// `mesos.v1.HealthCheck.HTTPCheckInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpCheck {
    #[prost(
        enumeration = "NetworkInfoProtocol",
        optional,
        tag = "5",
        default = "Ipv4"
    )]
    #[serde(
        with = "NamedOption::<NetworkInfoProtocol>",
        skip_serializing_if = "Option::is_none"
    )]
    pub protocol: Option<i32>,
    #[prost(string, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    #[prost(uint32, required, tag = "1")]
    pub port: u32,
    #[prost(string, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[prost(uint32, repeated, packed = "false", tag = "4")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<u32>,
}

/// `mesos.v1.HealthCheck.TCPCheckInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct TcpCheck {
    #[prost(
        enumeration = "NetworkInfoProtocol",
        optional,
        tag = "2",
        default = "Ipv4"
    )]
    #[serde(
        with = "NamedOption::<NetworkInfoProtocol>",
        skip_serializing_if = "Option::is_none"
    )]
    pub protocol: Option<i32>,
    #[prost(uint32, required, tag = "1")]
    pub port: u32,
}

/// `mesos.v1.CheckInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckInfo {
    #[prost(enumeration = "CheckInfoType", optional, tag = "1")]
    #[serde(
        with = "NamedOption::<CheckInfoType>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<CheckInfoCommand>,
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<CheckInfoHttp>,
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<CheckInfoTcp>,
    #[prost(double, optional, tag = "4", default = "15.0")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<f64>,
    #[prost(double, optional, tag = "5", default = "10.0")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<f64>,
    #[prost(double, optional, tag = "6", default = "20.0")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<f64>,
}

/// `mesos.v1.CheckInfo.Command`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckInfoCommand {
    #[prost(message, required, tag = "1")]
    pub command: CommandInfo,
}

/// `mesos.v1.CheckInfo.Http`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckInfoHttp {
    #[prost(uint32, required, tag = "1")]
    pub port: u32,
    #[prost(string, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// `mesos.v1.CheckInfo.Tcp`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckInfoTcp {
    #[prost(uint32, required, tag = "1")]
    pub port: u32,
}

/// `mesos.v1.KillPolicy`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct KillPolicy {
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period: Option<DurationInfo>,
}

/// `mesos.v1.CheckStatusInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckStatusInfo {
    #[prost(enumeration = "CheckInfoType", optional, tag = "1")]
    #[serde(
        with = "NamedOption::<CheckInfoType>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<CheckStatusInfoCommand>,
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<CheckStatusInfoHttp>,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<CheckStatusInfoTcp>,
}

/// `mesos.v1.CheckStatusInfo.Command`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckStatusInfoCommand {
    #[prost(int32, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

/// `mesos.v1.CheckStatusInfo.Http`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckStatusInfoHttp {
    #[prost(uint32, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u32>,
}

/// `mesos.v1.CheckStatusInfo.Tcp`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckStatusInfoTcp {
    #[prost(bool, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<bool>,
}

wire_enum! {
    /// `mesos.v1.Secret.Type`.
    pub enum SecretType {
        Unknown = 0 => "UNKNOWN",
        Reference = 1 => "REFERENCE",
        Value = 2 => "VALUE",
    }
}

wire_enum! {
    /// `mesos.v1.ExecutorInfo.Type`.
    pub enum ExecutorInfoType {
        Unknown = 0 => "UNKNOWN",
        Default = 1 => "DEFAULT",
        Custom = 2 => "CUSTOM",
    }
}

wire_enum! {
    /// `mesos.v1.Environment.Variable.Type`.
    pub enum VariableType {
        Unknown = 0 => "UNKNOWN",
        Value = 1 => "VALUE",
        Secret = 2 => "SECRET",
    }
}

wire_enum! {
    /// `mesos.v1.HealthCheck.Type`.
    pub enum HealthCheckType {
        Unknown = 0 => "UNKNOWN",
        Command = 1 => "COMMAND",
        Http = 2 => "HTTP",
        Tcp = 3 => "TCP",
    }
}

wire_enum! {
    /// `mesos.v1.CheckInfo.Type`.
    pub enum CheckInfoType {
        Unknown = 0 => "UNKNOWN",
        Command = 1 => "COMMAND",
        Http = 2 => "HTTP",
        Tcp = 3 => "TCP",
    }
}
