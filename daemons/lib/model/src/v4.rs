//! The wire objects of API v4, as people write them and as the cluster routes answer them.
//!
//! Names are encoded exactly as the published API spells them, slips included (`networktype`,
//! `RemoteUser`, `InnerIP`). Decode with [`crate::decode`], which matches keys in any case. Nothing
//! here judges a value: that is [`crate::validate`]. No type uses `#[serde(flatten)]`.

pub mod cluster;
pub mod configuration;
mod defaults;
pub mod message;
pub mod workload;

pub use cluster::{AgentSetting, ClusterAgent, ClusterResources, Taint};
pub use configuration::{ConfigMap, ConfigMapItem, Secret, SecretItem};
pub use defaults::{DEFAULT_NAMESPACE, Timers};
pub use message::{MessageData, MessageRequest, MessageType};
pub use workload::{
    Container, PodSpec, PodTemplate, ReplicaController, ReplicaSpec, RestartPolicy, Volume,
    VolumeSource,
};

use crate::meta::ObjectMeta;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The kinds that the API serves now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Containers, in several instances.
    Application,
    /// Host processes, in several instances.
    Process,
    /// Named files and values.
    ConfigMap,
    /// Named values that are never shown.
    Secret,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [
        Kind::Application,
        Kind::Process,
        Kind::ConfigMap,
        Kind::Secret,
    ];

    /// The `kind` of a document.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Application => "application",
            Kind::Process => "process",
            Kind::ConfigMap => "configmap",
            Kind::Secret => "secret",
        }
    }

    /// The collection in a path of the API.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Application => "applications",
            Kind::Process => "processes",
            Kind::ConfigMap => "configmaps",
            Kind::Secret => "secrets",
        }
    }

    /// The kind of a document, in any case of letters.
    pub fn parse(text: &str) -> Option<Kind> {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What every document has: enough to know where it belongs before it is read as its kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Head {
    /// Always "v4".
    pub api_version: String,
    /// The kind, in lower case.
    pub kind: String,
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
}
