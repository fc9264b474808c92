//! The agent's state and what changes it: one pure step for each input.
//!
//! ```text
//!   executor:  Starting --subscribe--> Subscribed --stream lost--> Waiting --subscribe--> Subscribed
//!                 |  registration          |                          |  window over
//!                 |  timeout               | process exits, or        v
//!                 +-------------------->  Exited  <-------------------+      (then removed, once its tasks'
//!                                          ^  resident, nothing left          statuses are acknowledged)
//!   task:      queued --> delivered --> statuses, in order, each until acknowledged --> terminal acknowledged: gone
//! ```
//! A step returns journal entries and effects; the driver makes the entries durable before it carries the effects
//! out and answers. So the agent never acts on, and never confirms, what it would not know after a crash.

mod commands;
mod ending;
mod executors;
mod recovery;
mod tasks;
mod updates;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use bcs_mesos::link::{Command, Message, Register};
use bcs_mesos::types::{
    AgentInfo, ExecutorId, ExecutorInfo, FrameworkCapabilityType, FrameworkId, FrameworkInfo,
    KillPolicy, TaskId, TaskInfo, TaskState, TaskStatus,
};
use bcs_mesos::{WireName as _, executor};
use bytes::Bytes;

use crate::records::{Entry, ExecutorKey};

/// Monotonic and wall time of a step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    /// Milliseconds since the agent started.
    pub(crate) monotonic: u64,
    /// Nanoseconds since 1970.
    pub(crate) wall: i64,
}

/// Times (milliseconds) and places that the core uses.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) registration_timeout: u64,
    pub(crate) reregistration_timeout: u64,
    pub(crate) recovery_timeout: u64,
    pub(crate) resident_timeout: u64,
    pub(crate) shutdown_grace: u64,
    pub(crate) resend_first: u64,
    pub(crate) resend_last: u64,
    pub(crate) sandboxes: PathBuf,
    /// Commands (base names) whose executors are run by a daemon of the host.
    pub(crate) residents: Vec<String>,
    pub(crate) heartbeat: u64,
    pub(crate) software: String,
}

/// What happens to the agent.
#[derive(Debug)]
pub(crate) enum Input {
    /// The link to the master wants the whole state; messages after this follow it.
    Compose,
    /// From the master.
    Command { link: u64, command: Box<Command> },
    /// The link to the master broke.
    Unlinked { link: u64 },
    /// An executor opened its stream.
    Subscribe {
        key: ExecutorKey,
        subscribe: executor::call::Subscribe,
        stream: String,
        token: Option<String>,
    },
    /// An executor's stream broke.
    StreamGone { key: ExecutorKey, stream: String },
    /// An executor reports.
    Update {
        key: ExecutorKey,
        status: Box<TaskStatus>,
        token: Option<String>,
    },
    /// An executor speaks to its scheduler.
    Message {
        key: ExecutorKey,
        data: Bytes,
        token: Option<String>,
    },
    /// An executor shows that it lives.
    Heartbeat {
        key: ExecutorKey,
        token: Option<String>,
    },
    /// A forked executor runs.
    Started {
        key: ExecutorKey,
        run: String,
        pid: i32,
        start_time: u64,
    },
    /// An executor could not be started.
    LaunchFailed {
        key: ExecutorKey,
        run: String,
        text: String,
    },
    /// A forked executor ended.
    Exited {
        key: ExecutorKey,
        run: String,
        status: Option<i32>,
    },
    /// Where is the sandbox of this executor, and is the task over?
    Locate {
        key: ExecutorKey,
        task: Option<TaskId>,
    },
    /// The operator's view.
    View,
    /// Time has passed.
    Tick,
}

/// The synchronous part of an answer.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    /// 202, or the stream begins.
    Accepted,
    /// Refused: status and a sentence.
    Refused(u16, String),
    /// For the link.
    State { link: u64, register: Box<Register> },
    /// For logs.
    Place {
        directory: Option<PathBuf>,
        ended: bool,
    },
    /// For operators.
    View(Box<View>),
}

/// What an operator sees.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct View {
    pub(crate) info: AgentInfo,
    pub(crate) register: Register,
}

/// What the driver is to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Say to the master.
    Master(Box<Message>),
    /// Break the link; it is made anew.
    Relink,
    /// Say to an executor.
    Event {
        stream: String,
        event: Box<executor::Event>,
    },
    /// End an executor's stream, after what was sent.
    CloseStream { stream: String },
    /// Start an executor.
    Start(Box<Start>),
    /// Kill what was forked.
    Kill { pid: i32, start_time: u64 },
    /// A task or executor ended: those who follow logs look again.
    Ended,
    /// The sandbox is no longer used.
    Retire { directory: PathBuf },
}

/// How an executor is started.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Start {
    pub(crate) key: ExecutorKey,
    pub(crate) run: String,
    pub(crate) info: ExecutorInfo,
    pub(crate) framework: FrameworkInfo,
    pub(crate) agent_id: String,
    pub(crate) directory: PathBuf,
    pub(crate) token: String,
    /// The base name of a resident executor's command.
    pub(crate) resident: Option<String>,
    /// For an executor without a command: the task that it is for.
    pub(crate) task: Option<TaskInfo>,
}

/// One framework that has something here.
#[derive(Debug)]
pub(crate) struct Framework {
    pub(crate) info: FrameworkInfo,
    /// Its executors are only waited for; nothing is reported any more.
    pub(crate) removed: bool,
    pub(crate) executors: BTreeMap<ExecutorId, Executor>,
}

/// Where an executor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Started, not heard of yet.
    Starting { deadline: u64 },
    /// Its stream is open.
    Subscribed,
    /// It was there, and is expected back.
    Waiting { deadline: u64 },
    /// Over; kept for its tasks' statuses.
    Exited,
}

/// One executor.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) info: ExecutorInfo,
    pub(crate) run: String,
    pub(crate) directory: PathBuf,
    pub(crate) token: String,
    pub(crate) resident: bool,
    pub(crate) phase: Phase,
    pub(crate) stream: Option<String>,
    pub(crate) process: Option<(i32, u64)>,
    /// A shutdown was ordered; when it is enforced.
    pub(crate) shutdown: Option<u64>,
    pub(crate) tasks: BTreeMap<TaskId, TaskRecord>,
    /// Launches that were not delivered, in order.
    pub(crate) queued: VecDeque<Launch>,
}

/// A launch that is delivered as one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Launch {
    pub(crate) tasks: Vec<TaskId>,
    pub(crate) group: bool,
}

/// One task.
#[derive(Debug)]
pub(crate) struct TaskRecord {
    /// Cut down to what is reported once the executor surely has it.
    pub(crate) info: TaskInfo,
    /// The tasks it was launched with, when in a group.
    pub(crate) group: Option<Vec<TaskId>>,
    pub(crate) latest: TaskState,
    /// Unacknowledged statuses, oldest first; the first is with the master.
    pub(crate) updates: VecDeque<TaskStatus>,
    /// When the first is sent again, and the pause after that.
    pub(crate) resend: u64,
    pub(crate) pause: u64,
    /// Acknowledged lately, for an executor that missed it.
    pub(crate) acknowledged: VecDeque<Bytes>,
    pub(crate) kill: Option<Option<KillPolicy>>,
}

/// The whole state.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) rules: Rules,
    pub(crate) info: AgentInfo,
    pub(crate) boot: String,
    pub(crate) frameworks: BTreeMap<FrameworkId, Framework>,
    /// Counts links; 0 before the first.
    link: u64,
    linked: bool,
    /// Random once; identifiers are made from it and a counter.
    seed: u128,
    counter: u128,
    journal: Vec<Entry>,
    out: Vec<Effect>,
}

/// What one step asks for.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) reply: Reply,
    /// To be durable before the effects.
    pub(crate) journal: Vec<Entry>,
    pub(crate) effects: Vec<Effect>,
}

impl Framework {
    pub(crate) fn partition_aware(&self) -> bool {
        let wanted = Some(FrameworkCapabilityType::PartitionAware.number());
        self.info
            .capabilities
            .iter()
            .any(|capability| capability.r#type == wanted)
    }
}

impl Core {
    /// Takes one input.
    pub(crate) fn step(&mut self, input: Input, now: Now) -> Outcome {
        let reply = match input {
            Input::Compose => self.compose(now),
            Input::Command { link, command } => {
                if link == self.link {
                    self.command(*command, now);
                }
                Reply::Accepted
            }
            Input::Unlinked { link } => {
                if link == self.link {
                    self.linked = false;
                }
                Reply::Accepted
            }
            Input::Subscribe {
                key,
                subscribe,
                stream,
                token,
            } => self.subscribe(&key, subscribe, stream, token.as_deref(), now),
            Input::StreamGone { key, stream } => self.stream_gone(&key, &stream, now),
            Input::Update { key, status, token } => {
                self.executor_update(&key, *status, token.as_deref(), now)
            }
            Input::Message { key, data, token } => {
                self.executor_message(&key, data, token.as_deref())
            }
            Input::Heartbeat { key, token } => match self.known(&key, token.as_deref()) {
                Ok(()) => Reply::Accepted,
                Err(refused) => refused,
            },
            Input::Started {
                key,
                run,
                pid,
                start_time,
            } => self.started(&key, &run, pid, start_time),
            Input::LaunchFailed { key, run, text } => self.launch_failed(&key, &run, &text, now),
            Input::Exited { key, run, status } => self.exited(&key, &run, status, now),
            Input::Locate { key, task } => self.locate(&key, task.as_ref()),
            Input::View => Reply::View(Box::new(View {
                info: self.info.clone(),
                register: self.registration(),
            })),
            Input::Tick => self.tick(now),
        };
        self.take(reply)
    }

    fn take(&mut self, reply: Reply) -> Outcome {
        Outcome {
            reply,
            journal: std::mem::take(&mut self.journal),
            effects: std::mem::take(&mut self.out),
        }
    }

    /// When [`Input::Tick`] has something to do, if ever.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let executors = self
            .frameworks
            .values()
            .flat_map(|framework| framework.executors.values());
        let mut earliest: Option<u64> = None;
        let mut consider = |at: u64| earliest = Some(earliest.map_or(at, |known| known.min(at)));
        for executor in executors {
            match executor.phase {
                Phase::Starting { deadline } | Phase::Waiting { deadline } => consider(deadline),
                Phase::Subscribed | Phase::Exited => {}
            }
            if let (Some(shutdown), true) = (executor.shutdown, executor.phase != Phase::Exited) {
                consider(shutdown);
            }
            if self.linked {
                for task in executor
                    .tasks
                    .values()
                    .filter(|task| !task.updates.is_empty())
                {
                    consider(task.resend);
                }
            }
        }
        earliest
    }

    fn executor_mut(&mut self, key: &ExecutorKey) -> Option<&mut Executor> {
        self.frameworks
            .get_mut(&key.framework)?
            .executors
            .get_mut(&key.executor)
    }

    fn executor(&self, key: &ExecutorKey) -> Option<&Executor> {
        self.frameworks
            .get(&key.framework)?
            .executors
            .get(&key.executor)
    }

    fn say(&mut self, message: Message) {
        if self.linked {
            self.out.push(Effect::Master(Box::new(message)));
        }
    }

    fn event(&mut self, key: &ExecutorKey, event: executor::Event) -> bool {
        let Some(stream) = self
            .executor(key)
            .and_then(|executor| executor.stream.clone())
        else {
            return false;
        };
        self.out.push(Effect::Event {
            stream,
            event: Box::new(event),
        });
        true
    }

    /// An identifier that nobody else makes.
    fn fresh(&mut self) -> uuid::Uuid {
        self.counter = self.counter.wrapping_add(1);
        // Odd multiplication keeps counters apart and spreads them over all bits.
        let mixed = self.seed
            ^ self
                .counter
                .wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        uuid::Builder::from_random_bytes(mixed.to_be_bytes()).into_uuid()
    }

    fn locate(&self, key: &ExecutorKey, task: Option<&TaskId>) -> Reply {
        match self.executor(key) {
            Some(executor) => {
                let over = executor.phase == Phase::Exited;
                let ended = task.map_or(over, |task| {
                    over || executor
                        .tasks
                        .get(task)
                        .is_none_or(|record| record.latest.is_terminal())
                });
                Reply::Place {
                    directory: Some(executor.directory.clone()),
                    ended,
                }
            }
            None => Reply::Place {
                directory: None,
                ended: true,
            },
        }
    }
}

#[cfg(test)]
mod tests;
