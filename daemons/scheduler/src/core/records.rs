//! The persisted form: one document per key, each with the number of its format.
//!
//! ```text
//! framework                                the id that the master gave us
//! stamp                                    the highest time stamp in any id
//! app/<namespace>/<app>                    application, current version, operation under way
//! version/<namespace>/<app>/<version>      template
//! group/<namespace>/<app>/<taskgroup id>   taskgroup with its intents
//! configmap/<namespace>/<name>  secret/<namespace>/<name>  setting/<host>
//! ```
//!
//! Intents are persisted, not steps: what a restarted scheduler must do follows from the records
//! alone, so there is no half-done operation that only memory knew.

use std::collections::{BTreeMap, BTreeSet};

use bcs_model::application::Application;
use bcs_model::dataclass::Resource;
use bcs_model::status::Status;
use bcs_model::taskgroup::TaskGroup;
use serde::{Deserialize, Serialize};

/// The format that this code writes.
pub(crate) const FORMAT: u32 = 1;

/// Namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Name {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The part of a key behind its kind.
    pub(crate) fn from_key(rest: &str) -> Option<Self> {
        let (namespace, name) = rest.split_once('/')?;
        Some(Self::new(namespace, name))
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OperationKind {
    Launch,
    ScaleUp,
    ScaleDown,
    Update,
    UpdateResource,
    Delete,
}

impl OperationKind {
    /// The message of an application while this goes on.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Launch => "application in launching",
            Self::ScaleUp => "application in scaling up",
            Self::ScaleDown => "application in scaling down",
            Self::Update => "application in updating",
            Self::UpdateResource => "application in updating resources",
            Self::Delete => "application in deleting",
        }
    }
}

/// An operation under way; when it is done follows from the taskgroups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Operation {
    pub(crate) kind: OperationKind,
    /// Unix seconds.
    pub(crate) created: i64,
    /// Unix seconds; afterwards the application no longer shows Operating.
    pub(crate) deadline: i64,
    /// Indexes that an update replaces or resizes, and has not yet.
    #[serde(default)]
    pub(crate) indexes: BTreeSet<u64>,
    /// The version that it leads to.
    #[serde(default)]
    pub(crate) version: String,
    /// Taskgroups whose new limits were sent: index and message id.
    #[serde(default)]
    pub(crate) sent: BTreeMap<u64, i64>,
    /// What went wrong on the way.
    #[serde(default)]
    pub(crate) failures: Vec<String>,
}

/// An application as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AppRecord {
    pub(crate) format: u32,
    pub(crate) application: Application,
    /// Name of the current version.
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) operation: Option<Operation>,
}

/// Why a taskgroup is to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cause {
    /// It ended and its restart policy says so.
    Ended,
    /// Its host is out of sight; withdrawn when it comes back in time.
    Lost,
    /// The launch never reached the host.
    Dropped,
    /// A person asked for it.
    Manual,
    /// Its application was updated.
    Update,
}

/// The replacement of a taskgroup by a new one with the same index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Replacement {
    pub(crate) cause: Cause,
    /// Version of the new one.
    pub(crate) version: String,
    /// Unix milliseconds: not before.
    pub(crate) not_before: i64,
    /// Only on the old host until then (Unix milliseconds); 0 is anywhere.
    #[serde(default)]
    pub(crate) retain_until: i64,
    /// Reschedules that the new one counts.
    #[serde(default)]
    pub(crate) times: i64,
    /// Launches in a row that came to nothing at once.
    #[serde(default)]
    pub(crate) stumbles: u32,
}

/// What happens to a taskgroup when it is gone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum After {
    /// Its restart policy decides.
    #[default]
    Keep,
    /// Its record is removed.
    Remove,
    /// A new one takes its index.
    Replace(Replacement),
}

/// A taskgroup as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) format: u32,
    pub(crate) group: TaskGroup,
    /// Per task: a terminal state was reported.
    pub(crate) ended: Vec<bool>,
    /// The agent or the executor was heard of it.
    #[serde(default)]
    pub(crate) heard: bool,
    /// SHUTDOWN is ordered, since when (Unix seconds).
    #[serde(default)]
    pub(crate) kill_since: Option<i64>,
    #[serde(default)]
    pub(crate) after: After,
    /// Per task: the last update that counted.
    #[serde(default)]
    pub(crate) uuids: Vec<String>,
    /// Answers UNKNOWN in a row to reconciliations.
    #[serde(default)]
    pub(crate) unknown_answers: u32,
    /// When it was built (Unix milliseconds).
    #[serde(default)]
    pub(crate) launched: i64,
    /// Launches in a row before it that came to nothing at once.
    #[serde(default)]
    pub(crate) stumbles: u32,
    /// Host ports of its tasks that no offer covered.
    #[serde(default)]
    pub(crate) extra_ports: Vec<u64>,
}

impl Group {
    /// Nothing of it runs any more, as far as anybody can know.
    pub(crate) fn is_gone(&self) -> bool {
        self.ended.iter().all(|ended| *ended) || self.group.status == Status::Lost
    }

    /// Something of it may run.
    pub(crate) fn is_live(&self) -> bool {
        !self.ended.iter().all(|ended| *ended)
    }

    /// What it holds beyond its launch, after updates in place.
    pub(crate) fn growth(&self) -> Resource {
        match (self.group.launch_resource, self.group.curr_resource) {
            (Some(launch), Some(now)) => Resource {
                cpus: (now.cpus - launch.cpus).max(0.0),
                mem: (now.mem - launch.mem).max(0.0),
                disk: 0.0,
            },
            _ => Resource::default(),
        }
    }
}

/// The framework's own record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FrameworkRecord {
    pub(crate) format: u32,
    pub(crate) id: String,
}

/// The highest stamp given out, so that no id comes twice however the clock and a crash fall.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StampRecord {
    pub(crate) format: u32,
    pub(crate) last: u64,
}

/// Any other stored object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored<T> {
    pub(crate) format: u32,
    pub(crate) object: T,
}

/// A key of the store. Ordered, so that a batch writes each once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Framework,
    Stamp,
    App(Name),
    Version(Name, String),
    Group(Name, u64, String),
    ConfigMap(Name),
    Secret(Name),
    Setting(String),
}

impl Key {
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Framework => "framework".to_owned(),
            Self::Stamp => "stamp".to_owned(),
            Self::App(name) => format!("app/{name}"),
            Self::Version(app, version) => format!("version/{app}/{version}"),
            Self::Group(app, _, id) => format!("group/{app}/{id}"),
            Self::ConfigMap(name) => format!("configmap/{name}"),
            Self::Secret(name) => format!("secret/{name}"),
            Self::Setting(host) => format!("setting/{host}"),
        }
    }
}
