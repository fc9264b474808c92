//! The words on the keeper's socket: one JSON object per line, both ways.
//!
//! A client numbers its requests; the reply carries the number. Lines with `event` are pushed to
//! connections that subscribed. A line longer than [`MAX_LINE`] ends the connection: the peer is
//! either broken or hostile, and the client re-reads everything with `list` after it reconnects.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Protocol version, answered to `version`. A client refuses a keeper of another major.
pub const PROTOCOL: u32 = 1;
/// Longest line either side accepts, in bytes (an environment may be large).
pub const MAX_LINE: usize = 2 * 1024 * 1024;
/// Longest line a client has to expect (a list of many tasks).
pub const MAX_REPLY: usize = 16 * 1024 * 1024;
/// Longest task id.
pub const MAX_ID: usize = 300;

/// A request with its number.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// Echoed in the reply.
    pub seq: u64,
    /// What is asked.
    pub call: Call,
}

/// What a client may ask.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Start a process. Idempotent by id: a known id answers what is known of it.
    Spawn(Box<Spawn>),
    /// Send a signal to a task.
    Signal(Signal),
    /// Watch a process that the keeper did not start itself (a daemonised program).
    Adopt(Adopt),
    /// Every task known: running, and ended but not forgotten.
    List,
    /// Drop the record of an ended task. Forgetting an unknown task succeeds.
    Forget {
        /// The task.
        id: String,
    },
    /// As `list`, and from then on every exit is pushed. No exit is missed in between.
    Subscribe,
    /// Who is there.
    Version,
}

/// How to start a process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Spawn {
    /// Unique name of the task; printable ASCII without blanks.
    pub id: String,
    /// `argv[0]` is the file to execute, absolute or relative to `cwd`.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited, `BCS_TASK_ID` is added.
    pub env: BTreeMap<String, String>,
    /// Working directory; must exist.
    pub cwd: String,
    /// User to become, with `gid` and `groups`; absent = the keeper's own.
    pub uid: Option<u32>,
    /// Primary group.
    pub gid: Option<u32>,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// File mode mask; default 0o022.
    pub umask: Option<u32>,
    /// File that standard output is appended to; absent = /dev/null.
    pub stdout: Option<String>,
    /// File that standard error is appended to; absent = /dev/null.
    pub stderr: Option<String>,
    /// `cgroup.procs` files that the process joins before it runs.
    pub cgroups: Vec<String>,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// Scheduling niceness.
    pub nice: Option<i32>,
    /// `/proc/self/oom_score_adj`.
    pub oom_score_adj: Option<i32>,
}

/// One resource limit, named as in `prlimit` (`nofile`, `core`, ...).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rlimit {
    /// Which.
    pub name: String,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// Who gets a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The task's process alone.
    Process,
    /// The task's process group; the process alone when it leads none.
    Group,
    /// Every process of the task's session, in whatever group, also after the first one ended.
    /// Costs a walk through `/proc`.
    Session,
}

/// A signal for a task.
#[derive(Debug, Serialize, Deserialize)]
pub struct Signal {
    /// The task.
    pub id: String,
    /// Signal number.
    pub signal: i32,
    /// Whom.
    pub scope: Scope,
}

/// A process to watch.
#[derive(Debug, Serialize, Deserialize)]
pub struct Adopt {
    /// The name it gets.
    pub id: String,
    /// The process.
    pub pid: i32,
    /// Its start time (field 22 of `/proc/pid/stat`): a pid alone may have been reused.
    pub start_time: u64,
}

/// Any line from the keeper.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Line {
    /// Number of the request this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// A pushed exit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Task>,
}

/// Answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Done, nothing to tell.
    Done,
    /// To `spawn` and `adopt`.
    Task {
        /// What is known of the task now.
        task: Task,
        /// True when the id was known before this call.
        known: bool,
        /// What could not be done as asked, without stopping the start.
        warnings: Vec<String>,
    },
    /// To `list` and `subscribe`.
    Tasks(Vec<Task>),
    /// To `version`.
    Version {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Package version.
        version: String,
        /// The keeper's own pid.
        pid: i32,
        /// Boot the records belong to.
        boot_id: String,
    },
    /// The call failed.
    Error(Failure),
}

/// Why a call failed.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Machine readable: `invalid`, `not_found`, `exec`, `running`, `full`, `system`.
    pub code: String,
    /// For `exec`: the step that failed (`cwd`, `user`, `cgroup`, `exec`, ...).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The system's error number, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
    /// For people.
    pub message: String,
}

impl Failure {
    /// A failure without a system error.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            step: None,
            errno: None,
            message: message.into(),
        }
    }
}

/// What the keeper knows of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// Its process.
    pub pid: i32,
    /// Start time of the process, in clock ticks since boot.
    pub start_time: u64,
    /// How it ended; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
}

/// The end of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// How.
    pub status: Status,
    /// When it was noticed, nanoseconds since 1970.
    pub time: u64,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It is gone and nobody was told how; the text says why that is not known.
    Unknown(String),
}

impl Status {
    /// Decodes a wait status as `waitpid` gives it.
    pub fn from_wait(raw: i32) -> Self {
        let signal = raw & 0x7f;
        if signal == 0 {
            Self::Code((raw >> 8) & 0xff)
        } else {
            Self::Signal(signal)
        }
    }
}

/// Rejects an id that the journal could not hold.
///
/// # Errors
/// When it is empty, too long, or has blanks or control characters.
pub fn check_id(id: &str) -> Result<(), Failure> {
    if id.is_empty() || id.len() > MAX_ID {
        return Err(Failure::new(
            "invalid",
            format!("id has {} bytes; allowed are 1 to {MAX_ID}", id.len()),
        ));
    }
    if id.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(Failure::new(
            "invalid",
            format!("id {id:?} must be printable ASCII without blanks"),
        ));
    }
    Ok(())
}
