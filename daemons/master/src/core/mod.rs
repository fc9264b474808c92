//! The master's state and what changes it: one pure step for each input.
//!
//! ```text
//!   agent:      (registry) Recovered --register--> Connected --stream lost--> Disconnected
//!                   |                     ^  ^                                     |
//!                   +---- timeout ----+   |  +------------- register -------------+ timeout
//!                                     v   |                                        |
//!                                   Unreachable <----------------------------------+        Gone (by operator)
//!   framework:  Recovered --subscribe--> Connected --stream lost--> Disconnected --failover timeout--> Removed
//! ```
//! Nothing here reads a clock, draws a random number or does I/O: identifiers and times come with the input, and
//! what is to be sent is returned as [`Effect`]s. Effects of one step are carried out in order, after the registry
//! was stored when [`Effect::Persist`] is among them.
//!
//! Invariant, checked by a property test: for each agent, what is used by live tasks and executors, and what is
//! offered, never exceeds what it has.

mod accept;
mod adopt;
mod agents;
mod calls;
mod frameworks;
mod offers;
mod reconcile;
mod registry;
mod status;
mod validate;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bcs_mesos::link::Command;
use bcs_mesos::types::{
    AgentId, AgentInfo, ExecutorId, ExecutorInfo, FrameworkCapabilityType, FrameworkId,
    FrameworkInfo, KillPolicy, MasterInfo, OfferId, Task, TaskId, TaskState,
};
use bcs_mesos::{Resources, WireName as _, operator, scheduler};

pub(crate) use registry::{Registry, VERSION as REGISTRY_VERSION};
pub(crate) use view::PROTOCOL_VERSION;

/// Monotonic and wall time of a step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    /// Milliseconds since the master started.
    pub(crate) monotonic: u64,
    /// Nanoseconds since 1970.
    pub(crate) wall: i64,
}

/// Times and bounds that the core uses.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) agent_timeout: u64,
    pub(crate) heartbeat: u64,
    pub(crate) offer_timeout: u64,
    pub(crate) completed_tasks: usize,
    /// The least cpus and mem, in thousandths, that the executor of a group must have.
    pub(crate) executor_minimum: (i64, i64),
}

/// What happens to the master.
#[derive(Debug)]
pub(crate) enum Input {
    /// A scheduler opened a stream.
    Subscribe {
        framework_id: Option<FrameworkId>,
        subscribe: Box<scheduler::call::Subscribe>,
        stream: String,
        /// Set when the caller proved a principal.
        principal: Option<String>,
    },
    /// A scheduler's stream broke.
    SchedulerGone { stream: String },
    /// Any other call of a scheduler.
    Call {
        call: Box<scheduler::Call>,
        stream: Option<String>,
    },
    /// An agent opened a session.
    Register {
        register: Box<bcs_mesos::link::Register>,
        session: String,
        host: String,
    },
    /// An agent's stream broke.
    AgentGone { session: String },
    /// An agent has something to say.
    Batch { batch: bcs_mesos::link::Batch },
    /// An operator asks or orders.
    Operator { call: operator::Call },
    /// An operator wants the events; the answer is the state at this instant.
    Watch,
    /// Time has passed.
    Tick,
}

/// The synchronous part of an answer.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    /// 202, or the stream begins.
    Accepted,
    /// 200 without a body.
    Done,
    /// 200 with a body.
    Answer(Box<operator::Response>),
    /// Refused: status and a sentence.
    Refused(u16, String),
}

/// What the driver is to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Store the registry before any later effect, and before the reply.
    Persist,
    /// Send an event to a scheduler.
    Event {
        stream: String,
        event: Box<scheduler::Event>,
    },
    /// End a scheduler's stream, after what was sent.
    CloseStream { stream: String },
    /// Send a command to an agent.
    Command {
        session: String,
        command: Box<Command>,
    },
    /// End an agent's stream, after what was sent.
    CloseSession { session: String },
    /// Tell those who watch.
    Notice(Box<operator::Event>),
}

/// The whole state.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) rules: Rules,
    pub(crate) info: MasterInfo,
    pub(crate) started: i64,
    pub(crate) frameworks: BTreeMap<FrameworkId, Framework>,
    pub(crate) agents: BTreeMap<AgentId, Agent>,
    pub(crate) offers: BTreeMap<OfferId, OfferRecord>,
    pub(crate) removed: VecDeque<FrameworkId>,
    pub(crate) gone: VecDeque<AgentId>,
    /// Whether notices are wanted at all.
    pub(crate) watched: bool,
    by_stream: BTreeMap<String, FrameworkId>,
    by_session: BTreeMap<String, AgentId>,
    counter: u64,
    /// Agents whose free resources changed in this step.
    dirty: BTreeSet<AgentId>,
    out: Vec<Effect>,
}

/// One framework.
#[derive(Debug)]
pub(crate) struct Framework {
    pub(crate) info: FrameworkInfo,
    pub(crate) stream: Option<String>,
    /// When it is removed, while no scheduler is connected.
    pub(crate) deadline: Option<u64>,
    pub(crate) recovered: bool,
    pub(crate) principal: Option<String>,
    pub(crate) suppressed: BTreeSet<String>,
    pub(crate) filters: BTreeMap<AgentId, Filter>,
    pub(crate) tasks: BTreeMap<TaskId, TaskRecord>,
    pub(crate) completed: VecDeque<Task>,
    pub(crate) executors: BTreeMap<(AgentId, ExecutorId), ExecutorRecord>,
    pub(crate) registered: i64,
    pub(crate) reregistered: Option<i64>,
    /// For turns between equals: the step at which it last got an offer.
    pub(crate) last_offer: u64,
}

/// Resources of an agent that a framework does not want for a while.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) until: u64,
    pub(crate) refused: Resources,
}

/// A task as the master knows it.
#[derive(Debug)]
pub(crate) struct TaskRecord {
    pub(crate) task: Task,
    pub(crate) resources: Resources,
    /// Its resources are counted as used.
    pub(crate) holds: bool,
    /// A kill was ordered; said again to an agent that comes back.
    pub(crate) kill: Option<Option<KillPolicy>>,
}

/// An executor as the master knows it.
#[derive(Debug)]
pub(crate) struct ExecutorRecord {
    pub(crate) info: ExecutorInfo,
    pub(crate) resources: Resources,
    /// A shutdown was ordered; said again to an agent that comes back.
    pub(crate) shutdown: bool,
}

/// Where an agent stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Known from the registry; expected to register before the deadline.
    Recovered {
        deadline: u64,
    },
    Connected {
        session: String,
        heard: u64,
    },
    Disconnected {
        deadline: u64,
    },
    Unreachable {
        since: i64,
    },
}

/// One agent.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) info: AgentInfo,
    /// The host of the certificate that speaks for it.
    pub(crate) host: String,
    pub(crate) presence: Presence,
    pub(crate) deactivated: bool,
    pub(crate) software: String,
    pub(crate) total: Resources,
    pub(crate) used: Resources,
    pub(crate) offered: Resources,
    pub(crate) registered: i64,
    pub(crate) reregistered: Option<i64>,
}

/// An offer that a framework holds.
#[derive(Debug)]
pub(crate) struct OfferRecord {
    pub(crate) framework: FrameworkId,
    pub(crate) agent: AgentId,
    pub(crate) role: String,
    pub(crate) resources: Resources,
    pub(crate) made: u64,
}

impl Framework {
    pub(crate) fn has(&self, capability: FrameworkCapabilityType) -> bool {
        self.info
            .capabilities
            .iter()
            .any(|have| have.r#type == Some(capability.number()))
    }

    pub(crate) fn partition_aware(&self) -> bool {
        self.has(FrameworkCapabilityType::PartitionAware)
    }

    /// The roles it may be offered for.
    pub(crate) fn roles(&self) -> Vec<String> {
        if self.has(FrameworkCapabilityType::MultiRole) {
            self.info.roles.clone()
        } else {
            vec![self.info.role().to_owned()]
        }
    }

    pub(crate) fn failover_milliseconds(&self) -> u64 {
        milliseconds(self.info.failover_timeout())
    }
}

impl Agent {
    pub(crate) fn session(&self) -> Option<&str> {
        match &self.presence {
            Presence::Connected { session, .. } => Some(session),
            _ => None,
        }
    }

    /// Neither used nor offered.
    pub(crate) fn free(&self) -> Resources {
        let mut free = self.total.clone();
        free.subtract(&self.used);
        free.subtract(&self.offered);
        free
    }
}

impl TaskRecord {
    pub(crate) fn state(&self) -> TaskState {
        self.task.state()
    }
}

/// Seconds of the wire as milliseconds; what is not a number is nothing, and a year is the end of time.
pub(crate) fn milliseconds(seconds: f64) -> u64 {
    const YEAR: f64 = 365.0 * 86_400.0;
    if !seconds.is_finite() || seconds <= 0.0 {
        return 0;
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded above and below"
    )]
    let bounded = (seconds.min(YEAR) * 1000.0) as u64;
    bounded
}

impl Core {
    /// A master that knows what the registry says.
    pub(crate) fn new(rules: Rules, info: MasterInfo, registry: Registry, now: Now) -> Self {
        let mut core = Self {
            rules,
            info,
            started: now.wall,
            frameworks: BTreeMap::new(),
            agents: BTreeMap::new(),
            offers: BTreeMap::new(),
            removed: VecDeque::new(),
            gone: VecDeque::new(),
            watched: false,
            by_stream: BTreeMap::new(),
            by_session: BTreeMap::new(),
            counter: 0,
            dirty: BTreeSet::new(),
            out: Vec::new(),
        };
        core.restore(registry, now);
        core
    }

    /// Takes one input; gives the answer and what is to be done.
    pub(crate) fn step(&mut self, input: Input, now: Now) -> (Reply, Vec<Effect>) {
        let reply = match input {
            Input::Subscribe {
                framework_id,
                subscribe,
                stream,
                principal,
            } => self.subscribe(framework_id, *subscribe, stream, principal, now),
            Input::SchedulerGone { stream } => self.scheduler_gone(&stream, now),
            Input::Call { call, stream } => self.call(*call, stream.as_deref(), now),
            Input::Register {
                register,
                session,
                host,
            } => self.register(*register, session, host, now),
            Input::AgentGone { session } => self.agent_gone(&session, now),
            Input::Batch { batch } => self.batch(batch, now),
            Input::Operator { call } => self.operator(&call, now),
            Input::Watch => Reply::Answer(Box::new(self.state_response())),
            Input::Tick => self.tick(now),
        };
        self.allocate(now);
        (reply, std::mem::take(&mut self.out))
    }

    /// When [`Input::Tick`] has something to do, if ever.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let frameworks = self
            .frameworks
            .values()
            .filter_map(|framework| framework.deadline);
        let filters = self
            .frameworks
            .values()
            .flat_map(|framework| framework.filters.values().map(|f| f.until));
        let agents = self
            .agents
            .values()
            .filter_map(|agent| match &agent.presence {
                Presence::Recovered { deadline } | Presence::Disconnected { deadline } => {
                    Some(*deadline)
                }
                Presence::Connected { heard, .. } => {
                    Some(heard.saturating_add(self.rules.agent_timeout))
                }
                Presence::Unreachable { .. } => None,
            });
        let offers = self.offer_deadline();
        frameworks.chain(filters).chain(agents).chain(offers).min()
    }

    fn tick(&mut self, now: Now) -> Reply {
        self.expire_frameworks(now);
        self.expire_agents(now);
        self.expire_filters(now);
        self.expire_offers(now);
        Reply::Accepted
    }

    fn identifier(&mut self, kind: &str) -> String {
        self.counter += 1;
        format!("{}-{kind}{}", self.info.id, self.counter)
    }

    fn persist(&mut self) {
        if !self.out.contains(&Effect::Persist) {
            // First of all, so that nothing which rests on it is sent before it is stored.
            self.out.insert(0, Effect::Persist);
        }
    }

    fn send(&mut self, framework: &FrameworkId, event: scheduler::Event) {
        if let Some(stream) = self
            .frameworks
            .get(framework)
            .and_then(|framework| framework.stream.clone())
        {
            self.out.push(Effect::Event {
                stream,
                event: Box::new(event),
            });
        }
    }

    fn command(&mut self, agent: &AgentId, command: Command) -> bool {
        let Some(session) = self.agents.get(agent).and_then(Agent::session) else {
            return false;
        };
        let session = session.to_owned();
        self.out.push(Effect::Command {
            session,
            command: Box::new(command),
        });
        true
    }

    fn notice(&mut self, event: impl FnOnce(&Self) -> operator::Event) {
        if self.watched {
            let event = event(self);
            self.out.push(Effect::Notice(Box::new(event)));
        }
    }
}

#[cfg(test)]
mod tests;
