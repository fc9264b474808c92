//! The pieces that every object of API v4 carries: type, name, labels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The API version that every object names.
pub const API_VERSION: &str = "v4";

/// The creation time of an object that was never stored.
pub const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// `apiVersion` and `kind`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeMeta {
    /// Always `v4`.
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// Lower-case kind, for example `process`.
    pub kind: String,
}

impl Default for TypeMeta {
    fn default() -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: String::new(),
        }
    }
}

impl TypeMeta {
    /// The type of an object of API v4 of this kind.
    #[must_use]
    pub fn of(kind: &str) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: kind.to_owned(),
        }
    }
}

/// Name, namespace, labels and annotations of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectMeta {
    /// Name, a label of RFC 1123.
    pub name: String,
    /// Namespace, a label of RFC 1123; `runAs` inside the scheduler.
    pub namespace: String,
    /// RFC 3339; the year 1 when unset.
    pub creation_timestamp: String,
    /// Labels that selectors match.
    pub labels: BTreeMap<String, String>,
    /// Free text for tools.
    pub annotations: BTreeMap<String, String>,
    /// Cluster of the object, filled by the storage side.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_name: String,
}

impl Default for ObjectMeta {
    fn default() -> Self {
        Self {
            name: String::new(),
            namespace: String::new(),
            creation_timestamp: ZERO_TIME.to_owned(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            cluster_name: String::new(),
        }
    }
}

/// A `key`, `value` pair of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyToValue {
    /// Key.
    pub key: String,
    /// Value.
    pub value: String,
}
