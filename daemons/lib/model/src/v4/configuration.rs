//! ConfigMap and Secret.

use crate::meta::ObjectMeta;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Named files and values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConfigMap {
    /// Always "v4".
    pub api_version: String,
    /// "configmap".
    pub kind: String,
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// By key.
    pub datas: BTreeMap<String, ConfigMapItem>,
}

/// One value of a configmap.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConfigMapItem {
    /// "file" (content is base64), "http", "https" (content is an address).
    #[serde(rename = "type")]
    pub item_type: String,
    /// Base64, or an address.
    pub content: String,
    /// User at that address. The capital R is the published name.
    #[serde(rename = "RemoteUser", skip_serializing_if = "String::is_empty")]
    pub remote_user: String,
    /// Password at that address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remote_passwd: String,
}

impl fmt::Debug for ConfigMapItem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConfigMapItem")
            .field("item_type", &self.item_type)
            .field("content", &format_args!("{} bytes", self.content.len()))
            .finish_non_exhaustive()
    }
}

/// Named values that are never shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Secret {
    /// Always "v4".
    pub api_version: String,
    /// "secret".
    pub kind: String,
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// Used on Kubernetes only.
    #[serde(rename = "type")]
    pub secret_type: String,
    /// By key.
    pub datas: BTreeMap<String, SecretItem>,
}

/// One value of a secret. Its debug form is masked.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecretItem {
    /// Base64.
    pub content: String,
}

impl fmt::Debug for SecretItem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretItem(***)")
    }
}
