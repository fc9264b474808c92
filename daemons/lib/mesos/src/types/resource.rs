//! Values, attributes and resources as they are on the wire; the arithmetic is in [`crate::resources`].
//!
//! Field numbers and names are those of the public v1 protocol. Members which nobody here reads are left
//! out: both codecs skip what they do not know.

use serde::{Deserialize, Serialize};

use super::{Labels, ResourceProviderId, Volume};
use crate::json::{Long, Named, NamedOption};

/// `mesos.v1.Resource`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Resource {
    #[prost(message, optional, tag = "12")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<ResourceProviderId>,
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(enumeration = "ValueType", required, tag = "2")]
    #[serde(with = "Named::<ValueType>")]
    pub r#type: i32,
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scalar: Option<Scalar>,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Ranges>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<Set>,
    #[prost(string, optional, tag = "6", default = "*")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[prost(message, optional, tag = "11")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation_info: Option<AllocationInfo>,
    #[prost(message, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation: Option<ReservationInfo>,
    #[prost(message, repeated, tag = "13")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reservations: Vec<ReservationInfo>,
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskInfo>,
    #[prost(message, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocable: Option<RevocableInfo>,
    #[prost(message, optional, tag = "10")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedInfo>,
}

/// `mesos.v1.Value.Scalar`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Scalar {
    #[prost(double, required, tag = "1")]
    pub value: f64,
}

/// `mesos.v1.Value.Ranges`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Ranges {
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub range: Vec<Range>,
}

/// `mesos.v1.Value.Range`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Range {
    #[prost(uint64, required, tag = "1")]
    #[serde(with = "Long::<u64>")]
    pub begin: u64,
    #[prost(uint64, required, tag = "2")]
    #[serde(with = "Long::<u64>")]
    pub end: u64,
}

/// `mesos.v1.Value.Set`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Set {
    #[prost(string, repeated, tag = "1")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub item: Vec<String>,
}

/// `mesos.v1.Resource.AllocationInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct AllocationInfo {
    #[prost(string, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// `mesos.v1.Resource.ReservationInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ReservationInfo {
    #[prost(enumeration = "ReservationType", optional, tag = "4")]
    #[serde(
        with = "NamedOption::<ReservationType>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(string, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[prost(string, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
}

/// `mesos.v1.Resource.DiskInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct DiskInfo {
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<Volume>,
}

/// `mesos.v1.Resource.DiskInfo.Persistence`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Persistence {
    #[prost(string, required, tag = "1")]
    pub id: String,
    #[prost(string, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
}

/// `mesos.v1.Resource.RevocableInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct RevocableInfo {}

/// `mesos.v1.Resource.SharedInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct SharedInfo {}

/// `mesos.v1.Attribute`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Attribute {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(enumeration = "ValueType", required, tag = "2")]
    #[serde(with = "Named::<ValueType>")]
    pub r#type: i32,
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scalar: Option<Scalar>,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Ranges>,
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<Set>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
}

/// `mesos.v1.Value.Text`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Text {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

wire_enum! {
    /// `mesos.v1.Value.Type`.
    pub enum ValueType {
        Scalar = 0 => "SCALAR",
        Ranges = 1 => "RANGES",
        Set = 2 => "SET",
        Text = 3 => "TEXT",
    }
}

wire_enum! {
    /// `mesos.v1.Resource.ReservationInfo.Type`.
    pub enum ReservationType {
        Unknown = 0 => "UNKNOWN",
        Static = 1 => "STATIC",
        Dynamic = 2 => "DYNAMIC",
    }
}
