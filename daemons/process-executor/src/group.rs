//! One executor: the single writer of its tasks' states.
//!
//! Everything that happens comes through two inboxes (exits from the keeper, and [`Incoming`]);
//! everything slow runs as a future of its own and answers through the inbox. A report is recorded,
//! queued, sent until the agent takes it, and kept until the agent acknowledges it. The executor is over when
//! every task has ended and every report is acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bcs_keeper::protocol::Exit as KeeperExit;
use bcs_kit::Backoff;
use bcs_mesos::executor::{Event, event};
use bcs_mesos::{TaskInfo, TaskStatus};
use bcs_model::message::BcsMessage;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::agent::{Line, Lost, Sent};
use crate::environment::Environment;
use crate::host::{Host, boot_millis};
use crate::plan::{Plan, grace_of};
use crate::records::{Record, Saved};
use crate::report;
use crate::step::{self, Outcome, Phase, State};
use crate::users::Account;

mod queue;

/// Bound of the inbox. Senders wait; nobody who is waited for sends more than a few.
const INBOX: usize = 32;

/// What reaches an executor besides exits.
#[derive(Debug)]
pub enum Incoming {
    /// From the stream.
    Agent(Box<Event>),
    /// The stream ended.
    LinkLost(Lost),
    /// An UPDATE was sent, or not.
    Posted {
        /// Its id.
        uuid: bytes::Bytes,
        /// What became of it.
        sent: Sent,
    },
    /// Something slow is done; of no interest if the task has another run by now.
    Step {
        /// Task id.
        task: String,
        /// Run that it belongs to.
        run: u32,
        /// What happened.
        event: step::Event,
    },
    /// Preparation is done.
    Prepared {
        /// Task id.
        task: String,
        /// What came of it.
        result: Result<crate::prepare::Prepared, String>,
    },
    /// A start went through although not all was as asked.
    Warn {
        /// Task id.
        task: String,
        /// What was not.
        warnings: Vec<String>,
    },
    /// A health check ended.
    Probe {
        /// Task id.
        task: String,
        /// Run that it belongs to.
        run: u32,
        /// Health, or why not.
        result: Result<(), String>,
    },
    /// A message of the scheduler was dealt with.
    Answer {
        /// Task id.
        task: String,
        /// The message, with its result.
        message: Box<BcsMessage>,
    },
    /// Disk use was measured.
    Disk {
        /// Task id.
        task: String,
        /// What is wrong with it.
        complaint: Option<String>,
    },
    /// The agent has asked for this executor again: do not wait to reconnect.
    Nudge,
}

/// The way into an executor. Events are boxed on their way: a queue keeps room for many.
#[derive(Debug, Clone)]
pub struct Inbox(mpsc::Sender<Box<Incoming>>);

/// The executor is over.
#[derive(Debug, thiserror::Error)]
#[error("the executor is over")]
pub struct Over;

impl Inbox {
    /// Returns when the executor is over.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }

    /// Puts something in, waiting for room.
    ///
    /// # Errors
    /// When the executor is over.
    pub async fn send(&self, incoming: Incoming) -> Result<(), Over> {
        self.0.send(Box::new(incoming)).await.map_err(|_| Over)
    }

    /// Wakes the executor, if it is not busy anyway.
    pub fn nudge(&self) {
        drop(self.0.try_send(Box::new(Incoming::Nudge)));
    }
}

/// What is known of a task's health.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// A check has run.
    pub checked: bool,
    /// It passed.
    pub healthy: bool,
    /// Failures in a row.
    pub failures: i64,
    /// Of the last failure.
    pub message: String,
}

/// A task and what only lives in memory.
pub struct Slot {
    /// What is to be done.
    pub plan: Arc<Plan>,
    /// Where it is.
    pub state: State,
    /// Until the agent knows that we have it.
    pub(crate) info: Option<Box<TaskInfo>>,
    /// Whom it runs as, once looked up.
    pub(crate) account: Option<Arc<Account>>,
    /// Its control group.
    pub(crate) cgroup: bcs_cgroup::Group,
    /// Health.
    pub health: Health,
    /// What was not as asked.
    pub warnings: Vec<String>,
    /// Limits that are not in force.
    pub complaint: Option<String>,
    /// Disk use above what was asked for.
    pub disk_complaint: Option<String>,
    /// Result of the last message.
    pub answer: Option<BcsMessage>,
    /// Address in reports.
    pub address: String,
    pub(crate) cancel: CancellationToken,
    /// Held while preparing; cleaning up waits for it.
    pub(crate) preparing: Arc<Mutex<()>>,
    pub(crate) kill_tried: bool,
    pub(crate) probe_at: Option<Instant>,
    pub(crate) refresh_at: Instant,
    pub(crate) exit_time: Option<i64>,
    /// A restart that the scheduler asked for and waits for.
    pub(crate) restarting: Option<Box<BcsMessage>>,
}

impl Slot {
    /// Healthy, as far as anybody knows.
    pub fn healthy(&self) -> bool {
        match (&self.plan.check, self.health.checked) {
            (Some(_), true) => self.health.healthy,
            _ => self.state.phase == Phase::Running || self.state.phase == Phase::Starting,
        }
    }

    /// The keeper's name of the program.
    pub(crate) fn main_id(&self) -> String {
        format!("{}@{}", self.plan.id, self.state.run)
    }

    /// The keeper's name of the start command.
    pub(crate) fn start_id(&self) -> String {
        match self.plan.facts.pid_file {
            true => format!("{}@{}/start", self.plan.id, self.state.run),
            false => self.main_id(),
        }
    }
}

struct Queued {
    status: TaskStatus,
    posted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    Down,
    Connecting,
    Up,
}

/// One executor.
pub struct Group {
    pub(crate) host: Arc<Host>,
    pub(crate) environment: Environment,
    pub(crate) line: Line,
    /// Boxed: a tree node has room for many.
    pub(crate) slots: BTreeMap<String, Box<Slot>>,
    queue: VecDeque<Queued>,
    link: LinkState,
    backoff: Backoff,
    post_backoff: Backoff,
    retry_at: Option<Instant>,
    connect_at: Option<Instant>,
    posting: bool,
    inbox: mpsc::Receiver<Box<Incoming>>,
    pub(crate) sender: Inbox,
    exits: mpsc::Receiver<(String, KeeperExit)>,
    pub(crate) exit_sender: mpsc::Sender<(String, KeeperExit)>,
    hostname: String,
    address: String,
    ordered_down: bool,
    over: bool,
    lost_since: Option<Instant>,
    /// Under Apache Mesos: the agent's recovery time-out is obeyed.
    single: bool,
}

impl Group {
    /// A new executor, or one from the records.
    ///
    /// # Errors
    /// When no client can be made for its agent.
    pub fn new(
        host: Arc<Host>,
        environment: Environment,
        single: bool,
    ) -> Result<Self, bcs_httpd::client::ClientError> {
        let line = Line::new(host.client(&environment.agent)?, &environment);
        let (sender, inbox) = mpsc::channel(INBOX);
        let (exit_sender, exits) = mpsc::channel(INBOX);
        let backoff = Backoff::new(Duration::from_millis(20), environment.backoff_max);
        let address = environment.host.clone();
        Ok(Self {
            host,
            line,
            slots: BTreeMap::new(),
            queue: VecDeque::new(),
            link: LinkState::Down,
            backoff,
            post_backoff: Backoff::new(Duration::from_millis(20), Duration::from_secs(5)),
            retry_at: None,
            connect_at: None,
            posting: false,
            inbox,
            sender: Inbox(sender),
            exits,
            exit_sender,
            hostname: environment.host.clone(),
            address,
            ordered_down: false,
            over: false,
            lost_since: None,
            single,
            environment,
        })
    }

    /// Where others reach it.
    pub fn sender(&self) -> Inbox {
        self.sender.clone()
    }

    /// Takes over what an earlier daemon recorded. The keeper's list says what became of it.
    pub fn restore(&mut self, saved: Saved, list: &BTreeMap<String, bcs_keeper::protocol::Task>) {
        for status in saved.updates {
            if let Some(task) = saved
                .tasks
                .iter()
                .find(|task| task.info.task_id == status.task_id)
                && report::terminal(status.state)
            {
                tracing::debug!(
                    task = task.info.task_id.value,
                    "its end was reported already"
                );
            }
            self.queue.push_back(Queued {
                status,
                posted: false,
            });
        }
        for task in saved.tasks {
            let id = task.info.task_id.value.clone();
            let ended = |queued: &Queued| {
                queued.status.task_id.value == id && report::terminal(queued.status.state)
            };
            let mut state = task.state;
            state.reported |= self.queue.iter().any(ended);
            let info = task.info;
            if let Err(error) = self.add(&info, state) {
                tracing::error!(task = id, %error, "a recorded task cannot be understood any more");
                continue;
            }
            if let Some(slot) = self.slots.get_mut(&id)
                && !task.acknowledged
            {
                slot.info = Some(Box::new(info));
            }
            self.resume(&id, list, task.told_running);
        }
    }

    fn add(&mut self, info: &TaskInfo, state: State) -> Result<(), crate::plan::PlanError> {
        let plan = Plan::new(info, &self.environment.sandbox, &self.host.settings)?;
        let cgroup = self.host.layout.group(&plan.id);
        let slot = Slot {
            cgroup,
            plan: Arc::new(plan),
            state,
            info: None,
            account: None,
            health: Health {
                healthy: true,
                ..Health::default()
            },
            warnings: Vec::new(),
            complaint: None,
            disk_complaint: None,
            answer: None,
            address: self.address.clone(),
            cancel: CancellationToken::new(),
            preparing: Arc::default(),
            kill_tried: false,
            probe_at: None,
            refresh_at: self.next_refresh(),
            exit_time: None,
            restarting: None,
        };
        self.slots
            .insert(info.task_id.value.clone(), Box::new(slot));
        Ok(())
    }

    fn next_refresh(&self) -> Instant {
        let period = Duration::from_secs(self.host.settings.refresh_seconds);
        // Spread, so that a host full of tasks does not speak all at once.
        Instant::now() + period.mul_f64(rand::Rng::random_range(&mut rand::rng(), 0.8..=1.0))
    }

    /// Serves until the executor is over (true) or the daemon leaves (false).
    pub async fn run(mut self) -> bool {
        self.connect();
        let shutdown = self.host.shutdown.clone();
        loop {
            if self.is_over() {
                self.finish();
                return true;
            }
            let wake = self.next_wake();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return false,
                Some((id, exit)) = self.exits.recv() => self.keeper_exit(&id, &exit),
                Some(incoming) = self.inbox.recv() => self.handle(*incoming),
                () = tokio::time::sleep_until(wake) => self.timers(),
            }
        }
    }

    fn is_over(&self) -> bool {
        let ended = self.slots.values().all(|slot| slot.state.reported);
        self.over && ended
            || ended && self.queue.is_empty() && (self.ordered_down || !self.slots.is_empty())
    }

    fn finish(&mut self) {
        let executor = self.environment.executor_id.clone();
        tracing::info!(executor, "executor is over");
        if let Err(error) = self.host.records.append(Record::Gone { executor }) {
            tracing::warn!(%error, "the end of an executor is not recorded");
        }
    }

    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let boot = boot_millis();
        let far = now + Duration::from_secs(3600);
        let slots = self.slots.values().flat_map(|slot| {
            let stop = slot
                .state
                .stop
                .filter(|_| slot.state.phase != Phase::Stopped);
            let deadline =
                stop.map(|stop| now + Duration::from_millis(stop.deadline.saturating_sub(boot)));
            let refresh = (slot.state.phase == Phase::Running).then_some(slot.refresh_at);
            [deadline, slot.probe_at, refresh]
        });
        let lost = self.recovery_deadline();
        slots
            .chain([self.retry_at, self.connect_at, lost])
            .flatten()
            .fold(far, Instant::min)
    }

    fn recovery_deadline(&self) -> Option<Instant> {
        let since = self
            .lost_since
            .filter(|_| self.single && !self.ordered_down)?;
        let patience = match self.environment.checkpoint {
            true => self.environment.recovery_timeout,
            false => Duration::ZERO,
        };
        Some(since + patience)
    }

    fn timers(&mut self) {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.pump();
        }
        if self.connect_at.is_some_and(|at| at <= now) {
            self.connect_at = None;
            self.connect();
        }
        if self.recovery_deadline().is_some_and(|at| at <= now) {
            tracing::warn!("the agent did not come back in its recovery time; stopping the tasks");
            self.over = true;
            self.shut_down("the agent was lost");
        }
        let boot = boot_millis();
        for id in self.ids() {
            let Some(slot) = self.slots.get_mut(&id) else {
                continue;
            };
            if slot.probe_at.is_some_and(|at| at <= now) {
                slot.probe_at = None;
                self.probe(&id);
            }
            let Some(slot) = self.slots.get_mut(&id) else {
                continue;
            };
            if slot.state.phase == Phase::Running && slot.refresh_at <= now {
                self.refresh(&id);
                self.measure_disk(&id);
            }
            let Some(slot) = self.slots.get_mut(&id) else {
                continue;
            };
            let stop = slot
                .state
                .stop
                .filter(|_| slot.state.phase != Phase::Stopped);
            if stop.is_some_and(|stop| stop.deadline <= boot) {
                self.apply(&id, step::Event::Deadline);
            }
        }
    }

    fn ids(&self) -> Vec<String> {
        self.slots.keys().cloned().collect()
    }

    fn handle(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Agent(event) => self.agent_event(*event),
            Incoming::LinkLost(lost) => self.link_lost(&lost),
            Incoming::Posted { uuid, sent } => self.posted(&uuid, sent),
            Incoming::Step { task, run, event } => {
                if self
                    .slots
                    .get(&task)
                    .is_some_and(|slot| slot.state.run == run)
                {
                    self.apply(&task, event);
                }
            }
            Incoming::Prepared { task, result } => self.prepared(&task, result),
            Incoming::Warn { task, warnings } => {
                if let Some(slot) = self.slots.get_mut(&task) {
                    slot.warnings = warnings;
                }
            }
            Incoming::Probe { task, run, result } => self.probed(&task, run, result),
            Incoming::Answer { task, message } => self.answer(&task, *message),
            Incoming::Disk { task, complaint } => {
                if let Some(slot) = self.slots.get_mut(&task)
                    && slot.disk_complaint != complaint
                {
                    let change = i64::from(complaint.is_some());
                    self.host.metrics.over_disk.inc_by(change * 2 - 1);
                    slot.disk_complaint = complaint;
                    self.refresh(&task);
                }
            }
            Incoming::Nudge => {
                if self.link == LinkState::Down {
                    self.backoff.reset();
                    self.connect_at = None;
                    self.connect();
                }
            }
        }
    }

    fn agent_event(&mut self, event: Event) {
        let kind = event
            .r#type
            .and_then(|kind| event::Type::try_from(kind).ok());
        match kind {
            Some(event::Type::Subscribed) => {
                if let Some(subscribed) = event.subscribed {
                    self.subscribed(&subscribed);
                }
            }
            Some(event::Type::Launch) => {
                self.launch(event.launch.map(|launch| launch.task).into_iter().collect());
            }
            Some(event::Type::LaunchGroup) => {
                let group = event.launch_group.unwrap_or_default().task_group;
                self.launch(group.tasks);
            }
            Some(event::Type::Kill) => {
                let kill = event.kill.unwrap_or_default();
                let id = kill.task_id.value;
                let Some(slot) = self.slots.get(&id) else {
                    tracing::warn!(task = id, "told to kill a task that is not here");
                    return;
                };
                let grace = grace_of(kill.kill_policy.as_ref()).unwrap_or(slot.plan.grace);
                self.apply(
                    &id,
                    step::Event::Kill {
                        grace,
                        reason: "killed as ordered".into(),
                    },
                );
            }
            Some(event::Type::Shutdown) => self.shut_down("executor shut down as ordered"),
            Some(event::Type::Acknowledged) => {
                let acknowledged = event.acknowledged.unwrap_or_default();
                self.acknowledged(&acknowledged.task_id.value, &acknowledged.uuid);
            }
            Some(event::Type::Message) => {
                self.message(&event.message.unwrap_or_default().data);
            }
            Some(event::Type::Error) => {
                let message = event.error.unwrap_or_default().message;
                tracing::warn!(
                    executor = self.environment.executor_id,
                    message,
                    "agent error"
                );
            }
            Some(event::Type::Heartbeat | event::Type::Unknown) | None => {}
        }
    }

    fn subscribed(&mut self, subscribed: &event::Subscribed) {
        self.link = LinkState::Up;
        self.lost_since = None;
        self.backoff.reset();
        self.post_backoff.reset();
        let agent = &subscribed.agent_info;
        if !agent.hostname.is_empty() {
            self.hostname.clone_from(&agent.hostname);
        }
        let inner = agent
            .attributes
            .iter()
            .find(|attribute| attribute.name == "InnerIP");
        if let Some(text) = inner.and_then(|attribute| attribute.text.as_ref()) {
            self.address.clone_from(&text.value);
            for slot in self.slots.values_mut() {
                slot.address.clone_from(&text.value);
            }
        }
        tracing::info!(executor = self.environment.executor_id, "subscribed");
        self.pump();
    }

    fn launch(&mut self, tasks: Vec<TaskInfo>) {
        let mut ids = Vec::new();
        for info in tasks {
            let id = info.task_id.value.clone();
            if self.slots.contains_key(&id) {
                continue; // The agent repeats a launch that it could not see arrive.
            }
            let executor = self.environment.executor_id.clone();
            let recorded = self.host.records.append(Record::Task {
                executor,
                info: Box::new(info.clone()),
            });
            if let Err(error) = self.add(&info, State::default()) {
                self.refuse(&info, Outcome::Error, error.to_string());
                continue;
            }
            if let Err(error) = recorded {
                let text = format!("the task cannot be recorded, so it is not started: {error}");
                self.refuse(&info, Outcome::Failed, text);
                continue;
            }
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.info = Some(Box::new(info));
            }
            ids.push(id);
        }
        for id in ids {
            self.apply(&id, step::Event::Launch);
        }
    }

    /// Ends a task that cannot even begin.
    fn refuse(&mut self, info: &TaskInfo, outcome: Outcome, message: String) {
        let id = info.task_id.value.clone();
        if !self.slots.contains_key(&id) {
            let mut bare = TaskInfo {
                task_id: info.task_id.clone(),
                ..TaskInfo::default()
            };
            bare.name.clone_from(&info.name);
            bare.command = Some(bcs_mesos::CommandInfo {
                shell: Some(false),
                value: Some("/bin/false".to_owned()),
                ..bcs_mesos::CommandInfo::default()
            });
            if self.add(&bare, State::default()).is_err() {
                return;
            }
        }
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.info = Some(Box::new(info.clone()));
            slot.state.phase = Phase::Stopped;
            slot.state.outcome = Some(outcome);
            slot.state.message = message;
        }
        self.apply(&id, step::Event::Cleaned);
        self.others_follow(&id);
    }

    fn shut_down(&mut self, reason: &str) {
        self.ordered_down = true;
        let limit = self.environment.shutdown_grace;
        for id in self.ids() {
            let Some(slot) = self.slots.get(&id) else {
                continue;
            };
            // The agent kills what is left when its own grace is over: be done a little earlier.
            let limit = limit.map_or(u64::MAX, |limit| {
                u64::try_from(limit.as_millis())
                    .unwrap_or(u64::MAX)
                    .saturating_mul(4)
                    / 5
            });
            let grace = slot.plan.grace.min(limit);
            self.apply(
                &id,
                step::Event::Kill {
                    grace,
                    reason: reason.to_owned(),
                },
            );
        }
    }

    /// Feeds the state machine and carries out what it orders.
    pub(crate) fn apply(&mut self, id: &str, event: step::Event) {
        let Some(slot) = self.slots.get_mut(id) else {
            return;
        };
        let before = slot.state.phase;
        let (mut state, effects) =
            step::step(slot.state.clone(), event, boot_millis(), slot.plan.facts);
        let now = bcs_kit::clock::unix_nanos();
        if slot.state.process.is_none() && state.process.is_some() {
            state.started_at = state
                .process
                .map_or(now, |process| crate::host::started_at(process.start_time));
            self.host.metrics.starts.inc();
        }
        let ended = state.phase == Phase::Stopped && before != Phase::Stopped;
        if ended {
            state.finished_at = slot.exit_time.take().unwrap_or(now).max(state.started_at);
            self.host.metrics.ends.inc();
        }
        if state.phase != before {
            tracing::info!(task = id, from = ?before, to = ?state.phase, message = state.message, "task");
        }
        let failed = matches!(state.outcome, Some(Outcome::Failed | Outcome::Error));
        slot.state = state;
        self.settle_restart(id, before);
        for effect in effects {
            if !self.effect(id, effect) {
                break;
            }
        }
        if ended && failed {
            self.others_follow(id);
        }
    }

    /// A group stands and falls together: when one task fails, the others are stopped.
    fn others_follow(&mut self, failed: &str) {
        for id in self.ids().into_iter().filter(|id| id != failed) {
            let Some(slot) = self.slots.get(&id) else {
                continue;
            };
            if slot.state.phase != Phase::Stopped {
                let grace = slot.plan.grace;
                let reason = format!("stopped because task {failed} of its group failed");
                self.apply(&id, step::Event::Kill { grace, reason });
            }
        }
    }

    pub(crate) fn keeper_exit(&mut self, id: &str, exit: &KeeperExit) {
        let Some((task, rest)) = id.rsplit_once('@') else {
            return;
        };
        let (run, part) = rest.split_once('/').unwrap_or((rest, ""));
        let Some(slot) = self.slots.get_mut(task) else {
            return;
        };
        if run.parse() != Ok(slot.state.run) {
            return;
        }
        let oom = slot.cgroup.usage().oom_kills.is_some_and(|kills| kills > 0);
        let mut told = crate::keeper::translate(exit, oom);
        if part.is_empty() {
            slot.exit_time = i64::try_from(exit.time).ok();
            self.apply(task, step::Event::Exited(told));
        } else if part == "start" {
            if told.code != 0 {
                let tail = crate::commands::tail(&slot.plan.log("stderr"), 1024);
                if !tail.is_empty() {
                    told.text = format!("{}: {tail}", told.text);
                }
            }
            self.apply(task, step::Event::StartEnded(told));
        }
    }
}
