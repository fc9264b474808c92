//! Identifiers, time, addresses, labels and other small messages.
//!
//! Field numbers and names are those of the public v1 protocol. Members which nobody here reads are left
//! out: both codecs skip what they do not know.

use serde::{Deserialize, Serialize};

use super::Resource;
use crate::json::Long;

/// `mesos.v1.FrameworkID`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct FrameworkId {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

/// `mesos.v1.Labels`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Labels {
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
}

/// `mesos.v1.Label`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Label {
    #[prost(string, required, tag = "1")]
    pub key: String,
    #[prost(string, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// `mesos.v1.OfferID`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct OfferId {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

/// `mesos.v1.OperationID`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct OperationId {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

/// `mesos.v1.TaskID`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskId {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

/// `mesos.v1.AgentID`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentId {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

/// `mesos.v1.ResourceProviderID`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceProviderId {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

/// `mesos.v1.Parameters`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Parameters {
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameter: Vec<Parameter>,
}

/// `mesos.v1.Parameter`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Parameter {
    #[prost(string, required, tag = "1")]
    pub key: String,
    #[prost(string, required, tag = "2")]
    pub value: String,
}

/// `mesos.v1.ExecutorID`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecutorId {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

/// `mesos.v1.DurationInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct DurationInfo {
    #[prost(int64, required, tag = "1")]
    #[serde(with = "Long::<i64>")]
    pub nanoseconds: i64,
}

/// `mesos.v1.Address`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Address {
    #[prost(string, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[prost(string, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    #[prost(int32, required, tag = "3")]
    pub port: i32,
}

/// `mesos.v1.DomainInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct DomainInfo {
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault_domain: Option<FaultDomain>,
}

/// `mesos.v1.DomainInfo.FaultDomain`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct FaultDomain {
    #[prost(message, required, tag = "1")]
    pub region: RegionInfo,
    #[prost(message, required, tag = "2")]
    pub zone: ZoneInfo,
}

/// `mesos.v1.DomainInfo.FaultDomain.RegionInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct RegionInfo {
    #[prost(string, required, tag = "1")]
    pub name: String,
}

/// `mesos.v1.DomainInfo.FaultDomain.ZoneInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ZoneInfo {
    #[prost(string, required, tag = "1")]
    pub name: String,
}

/// `mesos.v1.URL`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Url {
    #[prost(string, required, tag = "1")]
    pub scheme: String,
    #[prost(message, required, tag = "2")]
    pub address: Address,
    #[prost(string, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[prost(message, repeated, tag = "4")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<Parameter>,
    #[prost(string, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fragment: Option<String>,
}

/// `mesos.v1.Unavailability`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Unavailability {
    #[prost(message, required, tag = "1")]
    pub start: TimeInfo,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<DurationInfo>,
}

/// `mesos.v1.TimeInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct TimeInfo {
    #[prost(int64, required, tag = "1")]
    #[serde(with = "Long::<i64>")]
    pub nanoseconds: i64,
}

/// `mesos.v1.ContainerID`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerId {
    #[prost(string, required, tag = "1")]
    pub value: String,
    #[prost(message, optional, boxed, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<ContainerId>>,
}

/// `mesos.v1.Flag`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Flag {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(string, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// `mesos.v1.VersionInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct VersionInfo {
    #[prost(string, required, tag = "1")]
    pub version: String,
    #[prost(string, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_date: Option<String>,
    #[prost(double, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_time: Option<f64>,
    #[prost(string, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_user: Option<String>,
    #[prost(string, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_sha: Option<String>,
    #[prost(string, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_branch: Option<String>,
    #[prost(string, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_tag: Option<String>,
}

/// `mesos.v1.Metric`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Metric {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(double, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// `mesos.v1.Role`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Role {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(double, required, tag = "2")]
    pub weight: f64,
    #[prost(message, repeated, tag = "3")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frameworks: Vec<FrameworkId>,
    #[prost(message, repeated, tag = "4")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
}
