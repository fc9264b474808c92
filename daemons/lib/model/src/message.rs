//! `BcsMessage`: what scheduler and executor say to each other outside of Mesos' own calls.

use serde::{Deserialize, Serialize};

/// The kind of a message; a number on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "i32", into = "i32")]
pub enum MessageType {
    /// Not one of those below.
    #[default]
    Unknown,
    /// Write a file whose content is here.
    LocalFile,
    /// Send a signal.
    Signal,
    /// Set a variable.
    Env,
    /// Write a file whose content is at an address.
    Remote,
    /// A secret, as variable or file.
    Secret,
    /// Report now.
    TaskStatusQuery,
    /// Set a variable whose value is at an address.
    EnvRemote,
    /// Change limits of running tasks.
    UpdateResources,
    /// Commit an image.
    CommitTask,
    /// Run the reload command.
    ReloadTask,
    /// Run the restart command.
    RestartTask,
    /// Run a command beside the task.
    RequestCommand,
    /// Its result.
    ResponseCommand,
    /// A cheap, unacknowledged status.
    TaskStatus,
}

impl From<i32> for MessageType {
    fn from(number: i32) -> Self {
        match number {
            1 => Self::LocalFile,
            2 => Self::Signal,
            3 => Self::Env,
            4 => Self::Remote,
            5 => Self::Secret,
            6 => Self::TaskStatusQuery,
            7 => Self::EnvRemote,
            8 => Self::UpdateResources,
            9 => Self::CommitTask,
            10 => Self::ReloadTask,
            11 => Self::RestartTask,
            12 => Self::RequestCommand,
            13 => Self::ResponseCommand,
            14 => Self::TaskStatus,
            _ => Self::Unknown,
        }
    }
}

impl From<MessageType> for i32 {
    fn from(kind: MessageType) -> Self {
        match kind {
            MessageType::Unknown => 0,
            MessageType::LocalFile => 1,
            MessageType::Signal => 2,
            MessageType::Env => 3,
            MessageType::Remote => 4,
            MessageType::Secret => 5,
            MessageType::TaskStatusQuery => 6,
            MessageType::EnvRemote => 7,
            MessageType::UpdateResources => 8,
            MessageType::CommitTask => 9,
            MessageType::ReloadTask => 10,
            MessageType::RestartTask => 11,
            MessageType::RequestCommand => 12,
            MessageType::ResponseCommand => 13,
            MessageType::TaskStatus => 14,
        }
    }
}

/// How far a message got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageStatus {
    /// Not yet done.
    #[default]
    #[serde(alias = "")]
    Staging,
    /// Done.
    Success,
    /// Refused or failed; the message says why.
    Failed,
}

/// The task that a message is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageTaskId {
    /// Task id.
    pub value: String,
}

/// A file whose content is inside the message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct LocalFile {
    /// Target path.
    pub to: String,
    /// `r` or `rw`.
    pub right: String,
    /// Owner.
    pub user: String,
    /// Content.
    pub base64: String,
}

/// A signal to the process of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SignalMessage {
    /// Number.
    pub signal: i32,
    /// Name of the process; empty is the task's own.
    pub process_name: String,
}

/// A variable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct EnvMessage {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// A variable whose value is at an address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct EnvRemoteMessage {
    /// Name.
    pub name: String,
    /// Address.
    pub from: String,
    /// Scheme.
    #[serde(rename = "Type")]
    pub source_type: String,
    /// User of basic authentication.
    pub remote_user: String,
    /// Its password.
    pub remote_passwd: String,
}

/// A file whose content is at an address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RemoteFile {
    /// Target path.
    pub to: String,
    /// `r` or `rw`.
    pub right: String,
    /// Owner.
    pub user: String,
    /// Address.
    pub from: String,
    /// Scheme.
    #[serde(rename = "Type")]
    pub source_type: String,
    /// User of basic authentication.
    pub remote_user: String,
    /// Its password.
    pub remote_passwd: String,
}

/// Where a secret goes; a number on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "i32", into = "i32")]
pub enum SecretKind {
    /// Not one of those below.
    #[default]
    Unknown,
    /// A variable.
    Env,
    /// A file.
    File,
}

impl From<i32> for SecretKind {
    fn from(number: i32) -> Self {
        match number {
            1 => Self::Env,
            2 => Self::File,
            _ => Self::Unknown,
        }
    }
}

impl From<SecretKind> for i32 {
    fn from(kind: SecretKind) -> Self {
        match kind {
            SecretKind::Unknown => 0,
            SecretKind::Env => 1,
            SecretKind::File => 2,
        }
    }
}

/// A secret: `name` is the variable or the path, `value` is base64.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SecretMessage {
    /// Variable or path.
    pub name: String,
    /// Content in base64.
    pub value: String,
    /// Variable or file.
    #[serde(rename = "Type")]
    pub kind: SecretKind,
    /// Owner of the file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
}

impl std::fmt::Debug for SecretMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretMessage")
            .field("name", &self.name)
            .field("value", &"***")
            .field("kind", &self.kind)
            .finish()
    }
}

/// New limits of one task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct TaskResources {
    /// Task id.
    pub task_id: String,
    /// Cores.
    pub cpu: f64,
    /// Memory in MB.
    pub mem: f64,
}

/// New limits of running tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UpdateResources {
    /// One entry per task.
    pub resources: Vec<TaskResources>,
}

/// One image to commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CommitImage {
    /// Task id.
    pub task_id: String,
    /// Target reference.
    pub image: String,
}

/// Images to commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CommitTask {
    /// One entry per task.
    pub tasks: Vec<CommitImage>,
}

/// A command to run beside a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CommandRequest {
    /// Id of the command.
    #[serde(rename = "ID")]
    pub id: String,
    /// Task id.
    pub task_id: String,
    /// Container id.
    pub container_id: String,
    /// `K=V` pairs.
    pub env: Vec<String>,
    /// Words of the command.
    pub cmd: Vec<String>,
    /// Account.
    pub user: String,
    /// Directory.
    pub working_dir: String,
    /// With all rights.
    pub privileged: bool,
}

/// What a command left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CommandInspect {
    /// Exit code.
    pub exit_code: i64,
    /// Output.
    pub stdout: String,
    /// Error output.
    pub stderr: String,
}

/// The result of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CommandResponse {
    /// Id of the command.
    #[serde(rename = "ID")]
    pub id: String,
    /// Task id.
    pub task_id: String,
    /// Container id.
    pub container_id: String,
    /// `staging`, `running`, `finish` or `failed`.
    pub status: String,
    /// Words for people.
    pub message: String,
    /// Output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm_inspect: Option<CommandInspect>,
}

/// Nothing: the message type says it all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Empty {}

/// One message, in either direction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct BcsMessage {
    /// Unique: nanoseconds of the sender.
    pub id: i64,
    /// Kind.
    #[serde(rename = "Type")]
    pub kind: MessageType,
    /// Taskgroup that it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_group_id: Option<MessageTaskId>,
    /// Task that it is for; absent is all of the taskgroup.
    #[serde(rename = "TaskID", skip_serializing_if = "Option::is_none")]
    pub task_id: Option<MessageTaskId>,
    /// Type 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalFile>,
    /// Type 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sig: Option<SignalMessage>,
    /// Type 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<EnvMessage>,
    /// Type 7.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_remote: Option<EnvRemoteMessage>,
    /// Type 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteFile>,
    /// Type 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretMessage>,
    /// Type 6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_status_query: Option<Empty>,
    /// Type 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_task_resources: Option<UpdateResources>,
    /// Type 9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_task: Option<CommitTask>,
    /// Type 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload_task: Option<Empty>,
    /// Type 11.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_task: Option<Empty>,
    /// Type 12.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_command_task: Option<CommandRequest>,
    /// Type 13.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_command_task: Option<CommandResponse>,
    /// Type 14: base64 of the JSON of a `ContainerInfo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_status: Option<String>,
    /// How far it got.
    pub status: MessageStatus,
    /// Words for people.
    pub message: String,
    /// Unix seconds.
    pub complete_time: i64,
    /// Unix seconds.
    pub create_time: i64,
}
