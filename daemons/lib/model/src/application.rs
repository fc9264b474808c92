//! `Application`: the scheduler's record of a set of equal taskgroups.

use serde::{Deserialize, Serialize};

use crate::meta::ObjectMeta;
use crate::status::{AppStatus, AppSubStatus};
use crate::version::AppKind;

/// A reference to a taskgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodRef {
    /// Taskgroup id.
    pub name: String,
}

/// An application as lists and watches show it; times in Unix seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Application {
    /// What its taskgroups run.
    pub kind: AppKind,
    /// Equal to the name.
    #[serde(rename = "ID")]
    pub id: String,
    /// Name.
    pub name: String,
    /// Metadata of the template.
    pub object_meta: ObjectMeta,
    /// Wanted.
    pub define_instances: u64,
    /// Built so far.
    pub instances: u64,
    /// Running now.
    pub running_instances: u64,
    /// Namespace.
    pub run_as: String,
    /// Cluster.
    pub cluster_id: String,
    /// Status.
    pub status: AppStatus,
    /// Half of a rolling update.
    pub sub_status: AppSubStatus,
    /// Status before this one.
    pub last_status: AppStatus,
    /// When it was created.
    pub created: i64,
    /// When its status last changed.
    pub update_time: i64,
    /// Carried.
    pub mode: String,
    /// When anything of it last changed.
    pub last_update_time: i64,
    /// Words for people: why it is as it is.
    pub message: String,
    /// Its taskgroups.
    pub pods: Vec<PodRef>,
}
