//! Hosts of a cluster: settings, taints, devices, and the sums of the resources.

use crate::taskgroup::Attribute;
use crate::version::{ExtendedResource, ValueScalar, ValueText};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is set for one host, by its inner address.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentSetting {
    /// The address that its offers carry as attribute `InnerIP`.
    #[serde(rename = "innerIP")]
    pub inner_ip: String,
    /// Takes no new instances.
    pub disabled: bool,
    /// Attributes of type text.
    pub strings: BTreeMap<String, ValueText>,
    /// Attributes of type number.
    pub scalars: BTreeMap<String, ValueScalar>,
    /// Taints.
    pub no_schedule: BTreeMap<String, String>,
    /// Taskgroups on it.
    pub pods: Vec<String>,
    /// Devices by name.
    #[serde(rename = "ExtendedResources")]
    pub extended_resources: BTreeMap<String, ExtendedResource>,
}

/// Taints to set on one host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Taint {
    /// The host.
    #[serde(rename = "innerIP")]
    pub inner_ip: String,
    /// All its taints from now on.
    pub no_schedule: BTreeMap<String, String>,
}

/// The sums of a cluster and each of its hosts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterResources {
    /// Megabytes.
    pub disktotal: f64,
    /// Megabytes.
    pub memtotal: f64,
    /// Cores.
    pub cputotal: f64,
    /// Megabytes.
    pub diskused: f64,
    /// Megabytes.
    pub memused: f64,
    /// Cores.
    pub cpuused: f64,
    /// Hosts.
    pub agents: Vec<ClusterAgent>,
}

/// A host of a cluster. Times in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterAgent {
    /// Host name.
    pub hostname: String,
    /// Inner address.
    pub ip: String,
    /// Megabytes.
    pub disktotal: f64,
    /// Megabytes.
    pub memtotal: f64,
    /// Cores.
    pub cputotal: f64,
    /// Megabytes.
    pub diskused: f64,
    /// Megabytes.
    pub memused: f64,
    /// Cores.
    pub cpuused: f64,
    /// Takes no new instances.
    pub disabled: bool,
    /// What the host itself says.
    pub host_attributes: Vec<Attribute>,
    /// With the settings on top.
    pub attributes: Vec<Attribute>,
    /// First registration.
    pub registered_time: i64,
    /// Last registration.
    pub reregistered_time: i64,
}
