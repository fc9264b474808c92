//! Frameworks, masters, agents, offers and the operations that accept them.
//!
//! Field numbers and names are those of the public v1 protocol. Members which nobody here reads are left
//! out: both codecs skip what they do not know.

use serde::{Deserialize, Serialize};

use super::{
    Address, AgentId, AllocationInfo, Attribute, DomainInfo, DurationInfo, ExecutorId,
    ExecutorInfo, FrameworkId, Labels, OfferId, OperationId, Resource, TaskGroupInfo, TaskInfo,
    Unavailability, Url,
};
use crate::json::{Named, NamedOption};

/// `mesos.v1.FrameworkInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct FrameworkInfo {
    #[prost(string, required, tag = "1")]
    pub user: String,
    #[prost(string, required, tag = "2")]
    pub name: String,
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<FrameworkId>,
    #[prost(double, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover_timeout: Option<f64>,
    #[prost(bool, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<bool>,
    #[prost(string, optional, tag = "6", default = "*")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[prost(string, repeated, tag = "12")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    #[prost(string, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[prost(string, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    #[prost(string, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webui_url: Option<String>,
    #[prost(message, repeated, tag = "10")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<FrameworkCapability>,
    #[prost(message, optional, tag = "11")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
}

/// `mesos.v1.FrameworkInfo.Capability`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct FrameworkCapability {
    #[prost(enumeration = "FrameworkCapabilityType", optional, tag = "1")]
    #[serde(
        with = "NamedOption::<FrameworkCapabilityType>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
}

/// `mesos.v1.Offer.Operation`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Operation {
    #[prost(enumeration = "OperationType", optional, tag = "1")]
    #[serde(
        with = "NamedOption::<OperationType>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "12")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<OperationId>,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch: Option<Launch>,
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_group: Option<LaunchGroup>,
}

/// `mesos.v1.Offer.Operation.Launch`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Launch {
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub task_infos: Vec<TaskInfo>,
}

/// `mesos.v1.Offer.Operation.LaunchGroup`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct LaunchGroup {
    #[prost(message, required, tag = "1")]
    pub executor: ExecutorInfo,
    #[prost(message, required, tag = "2")]
    pub task_group: TaskGroupInfo,
}

/// `mesos.v1.Filters`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Filters {
    #[prost(double, optional, tag = "1", default = "5.0")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse_seconds: Option<f64>,
}

/// `mesos.v1.MasterInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct MasterInfo {
    #[prost(string, required, tag = "1")]
    pub id: String,
    #[prost(uint32, required, tag = "2")]
    pub ip: u32,
    #[prost(uint32, required, tag = "3", default = "5050")]
    pub port: u32,
    #[prost(string, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    #[prost(string, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[prost(string, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    #[prost(message, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainInfo>,
    #[prost(message, repeated, tag = "9")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<MasterCapability>,
}

/// `mesos.v1.MasterInfo.Capability`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct MasterCapability {
    #[prost(enumeration = "MasterCapabilityType", optional, tag = "1")]
    #[serde(
        with = "NamedOption::<MasterCapabilityType>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
}

/// `mesos.v1.Offer`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Offer {
    #[prost(message, required, tag = "1")]
    pub id: OfferId,
    #[prost(message, required, tag = "2")]
    pub framework_id: FrameworkId,
    #[prost(message, required, tag = "3")]
    pub agent_id: AgentId,
    #[prost(string, required, tag = "4")]
    pub hostname: String,
    #[prost(message, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    #[prost(message, optional, tag = "11")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainInfo>,
    #[prost(message, repeated, tag = "5")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
    #[prost(message, repeated, tag = "7")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Attribute>,
    #[prost(message, repeated, tag = "6")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub executor_ids: Vec<ExecutorId>,
    #[prost(message, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailability: Option<Unavailability>,
    #[prost(message, optional, tag = "10")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation_info: Option<AllocationInfo>,
}

/// `mesos.v1.AgentInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentInfo {
    #[prost(string, required, tag = "1")]
    pub hostname: String,
    #[prost(int32, optional, tag = "8", default = "5051")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    #[prost(message, repeated, tag = "3")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
    #[prost(message, repeated, tag = "5")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Attribute>,
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<AgentId>,
    #[prost(message, optional, tag = "10")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainInfo>,
}

/// `mesos.v1.AgentInfo.Capability`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentCapability {
    #[prost(enumeration = "AgentCapabilityType", optional, tag = "1")]
    #[serde(
        with = "NamedOption::<AgentCapabilityType>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
}

/// `mesos.v1.DrainInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct DrainInfo {
    #[prost(enumeration = "DrainState", required, tag = "1")]
    #[serde(with = "Named::<DrainState>")]
    pub state: i32,
    #[prost(message, required, tag = "2")]
    pub config: DrainConfig,
}

/// `mesos.v1.DrainConfig`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct DrainConfig {
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_grace_period: Option<DurationInfo>,
    #[prost(bool, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark_gone: Option<bool>,
}

wire_enum! {
    /// `mesos.v1.FrameworkInfo.Capability.Type`.
    pub enum FrameworkCapabilityType {
        Unknown = 0 => "UNKNOWN",
        RevocableResources = 1 => "REVOCABLE_RESOURCES",
        TaskKillingState = 2 => "TASK_KILLING_STATE",
        GpuResources = 3 => "GPU_RESOURCES",
        SharedResources = 4 => "SHARED_RESOURCES",
        PartitionAware = 5 => "PARTITION_AWARE",
        MultiRole = 6 => "MULTI_ROLE",
        ReservationRefinement = 7 => "RESERVATION_REFINEMENT",
        RegionAware = 8 => "REGION_AWARE",
    }
}

wire_enum! {
    /// `mesos.v1.Offer.Operation.Type`.
    pub enum OperationType {
        Unknown = 0 => "UNKNOWN",
        Launch = 1 => "LAUNCH",
        LaunchGroup = 6 => "LAUNCH_GROUP",
        Reserve = 2 => "RESERVE",
        Unreserve = 3 => "UNRESERVE",
        Create = 4 => "CREATE",
        Destroy = 5 => "DESTROY",
        GrowVolume = 11 => "GROW_VOLUME",
        ShrinkVolume = 12 => "SHRINK_VOLUME",
        CreateDisk = 13 => "CREATE_DISK",
        DestroyDisk = 14 => "DESTROY_DISK",
    }
}

wire_enum! {
    /// `mesos.v1.MasterInfo.Capability.Type`.
    pub enum MasterCapabilityType {
        Unknown = 0 => "UNKNOWN",
        AgentUpdate = 1 => "AGENT_UPDATE",
        AgentDraining = 2 => "AGENT_DRAINING",
        QuotaV2 = 3 => "QUOTA_V2",
    }
}

wire_enum! {
    /// `mesos.v1.AgentInfo.Capability.Type`.
    pub enum AgentCapabilityType {
        Unknown = 0 => "UNKNOWN",
        MultiRole = 1 => "MULTI_ROLE",
        HierarchicalRole = 2 => "HIERARCHICAL_ROLE",
        ReservationRefinement = 3 => "RESERVATION_REFINEMENT",
        ResourceProvider = 4 => "RESOURCE_PROVIDER",
        ResizeVolume = 5 => "RESIZE_VOLUME",
        AgentOperationFeedback = 6 => "AGENT_OPERATION_FEEDBACK",
        AgentDraining = 7 => "AGENT_DRAINING",
        TaskResourceLimits = 8 => "TASK_RESOURCE_LIMITS",
    }
}

wire_enum! {
    /// `mesos.v1.DrainState`.
    pub enum DrainState {
        Unknown = 0 => "UNKNOWN",
        Draining = 1 => "DRAINING",
        Drained = 2 => "DRAINED",
    }
}
