//! A simulated cluster around the core: a store that survives crashes, a master, agents whose tasks
//! start, fail and are lost. Everything is deterministic; time stands still unless it is moved.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bcs_httpd::Failure;
use bcs_mesos::scheduler::Call;
use bcs_mesos::scheduler::call::Type as CallType;
use bcs_mesos::{
    AgentId, AllocationInfo, ExecutorId, Offer, OfferId, Reason, Resources, TaskId, TaskState,
    TaskStatus, WireName as _,
};
use bcs_model::ids::TaskGroupId;
use serde_json::Value;

use crate::core::command::Command;
use crate::core::{Batch, Cluster, Effect, Event, Now};
use crate::restore::load;
use crate::run::rules;
use crate::seal::Sealer;
use crate::settings::Settings;

/// One executor with its only task, as its agent has it.
#[derive(Debug, Clone)]
pub(crate) struct SimTask {
    pub(crate) executor: String,
    pub(crate) agent: String,
    pub(crate) state: TaskState,
    pub(crate) resources: Resources,
    /// Not yet acknowledged: uuid and state, oldest first.
    updates: VecDeque<(Vec<u8>, TaskState)>,
    /// SHUTDOWN came.
    pub(crate) stopping: bool,
    pub(crate) info: bcs_mesos::TaskInfo,
}

#[derive(Debug, Clone)]
pub(crate) struct SimAgent {
    pub(crate) reachable: bool,
    pub(crate) total: Resources,
    offered: BTreeMap<String, Resources>,
}

/// Where a crash hits a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    BeforeCommit,
    /// After the commit and this many effects.
    AfterEffects(usize),
}

pub(crate) struct Sim {
    pub(crate) cluster: Cluster,
    pub(crate) store: BTreeMap<String, Vec<u8>>,
    pub(crate) tasks: BTreeMap<String, SimTask>,
    pub(crate) agents: BTreeMap<String, SimAgent>,
    pub(crate) queue: VecDeque<Event>,
    pub(crate) now: Now,
    pub(crate) answers: BTreeMap<u64, Result<Value, Failure>>,
    pub(crate) acknowledged: Vec<Vec<u8>>,
    pub(crate) calls: Vec<Call>,
    pub(crate) changes: Vec<crate::core::output::Change>,
    /// Tasks start by themselves.
    pub(crate) automatic: bool,
    session: u64,
    next: u64,
    sealer: Sealer,
    _directory: tempfile::TempDir,
}

pub(crate) fn settings() -> Settings {
    Settings {
        lost_grace: Duration::from_secs(5),
        version_history: 3,
        ..Settings::default()
    }
}

impl Sim {
    /// A connected scheduler over `agents` agents of 4 cores, 4 GB and 100 ports.
    pub(crate) fn new(agents: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut sim = Self {
            cluster: Cluster::new(rules(&settings())),
            store: BTreeMap::new(),
            tasks: BTreeMap::new(),
            agents: BTreeMap::new(),
            queue: VecDeque::new(),
            now: Now {
                millis: 1,
                unix_millis: 1_700_000_000_000,
            },
            answers: BTreeMap::new(),
            acknowledged: Vec::new(),
            calls: Vec::new(),
            changes: Vec::new(),
            automatic: true,
            session: 0,
            next: 0,
            sealer: Sealer::load(directory.path()).unwrap(),
            _directory: directory,
        };
        for number in 0..agents {
            let total = Resources::new()
                .with_scalar("cpus", 4.0)
                .with_scalar("mem", 4096.0)
                .with_scalar("disk", 4096.0)
                .with_ranges("ports", &[(31_000, 31_099)]);
            let agent = SimAgent {
                reachable: true,
                total,
                offered: BTreeMap::new(),
            };
            sim.agents.insert(format!("agent-{number}"), agent);
        }
        sim.subscribe();
        sim.settle();
        sim
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A new connection: unacknowledged updates and offers come again.
    pub(crate) fn subscribe(&mut self) {
        self.session += 1;
        self.queue.clear();
        self.queue.push_back(Event::Subscribed {
            framework_id: "F".to_owned(),
            session: self.session,
        });
        for agent in self.agents.values_mut() {
            agent.offered.clear();
        }
        let ids: Vec<String> = self.tasks.keys().cloned().collect();
        for id in ids {
            self.deliver_update(&id);
        }
        self.offer();
    }

    /// Offers what is free, and not on offer already, on reachable agents.
    pub(crate) fn offer(&mut self) {
        let names: Vec<String> = self.agents.keys().cloned().collect();
        for name in names {
            let used = self.used(&name);
            let agent = &self.agents[&name];
            if !agent.reachable {
                continue;
            }
            let mut free = agent.total.clone();
            free.subtract(&used);
            for offered in agent.offered.values() {
                free.subtract(offered);
            }
            if free.scalar("cpus") < 0.02 {
                continue;
            }
            let id = format!("offer-{}", self.fresh());
            self.agents
                .get_mut(&name)
                .unwrap()
                .offered
                .insert(id.clone(), free.clone());
            let offer = Offer {
                id: OfferId { value: id },
                agent_id: AgentId {
                    value: name.clone(),
                },
                hostname: format!("host-{name}"),
                resources: free.to_wire(Some("*")),
                allocation_info: Some(AllocationInfo {
                    role: Some("*".to_owned()),
                }),
                ..Offer::default()
            };
            self.queue.push_back(Event::Offers(vec![offer]));
        }
    }

    /// Takes an agent's offer back.
    pub(crate) fn rescind(&mut self, agent: &str) {
        let offered = std::mem::take(&mut self.agents.get_mut(agent).unwrap().offered);
        self.queue.extend(offered.into_keys().map(Event::Rescind));
    }

    fn used(&self, agent: &str) -> Resources {
        let mut used = Resources::new();
        for task in self.tasks.values().filter(|task| task.agent == agent) {
            if !task.state.is_terminal() {
                used.add(&task.resources);
            }
        }
        used
    }

    /// One event through step, commit and effects.
    pub(crate) fn step(&mut self, event: Event) {
        self.cluster.step(event, self.now);
        let batch = self.cluster.finish(self.now);
        self.commit(&batch);
        for effect in batch.effects {
            self.effect(effect);
        }
    }

    /// One event, and a crash in the middle of what it causes; then a new scheduler.
    pub(crate) fn step_and_crash(&mut self, event: Event, crash: Crash) {
        self.cluster.step(event, self.now);
        let batch = self.cluster.finish(self.now);
        if let Crash::AfterEffects(count) = crash {
            self.commit(&batch);
            for effect in batch.effects.into_iter().take(count) {
                self.effect(effect);
            }
        }
        self.restart();
    }

    fn commit(&mut self, batch: &Batch) {
        for (key, value) in &batch.puts {
            let path = key.path();
            let value = if path.starts_with("secret/") {
                self.sealer.seal(&path, value).unwrap()
            } else {
                value.clone()
            };
            self.store.insert(path, value);
        }
        for key in &batch.deletes {
            self.store.remove(&key.path());
        }
        self.changes.extend(batch.changes.iter().cloned());
    }

    /// Forgets everything that is not in the store, and connects anew.
    pub(crate) fn restart(&mut self) {
        let mut cluster = Cluster::new(rules(&settings()));
        let entries = self
            .store
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()));
        load(entries, &self.sealer, &mut cluster, self.now).unwrap();
        self.cluster = cluster;
        let batch = self.cluster.finish(self.now);
        self.commit(&batch);
        self.subscribe();
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Reply { ticket, result } => {
                self.answers.insert(ticket, result);
            }
            Effect::FetchAgents => {}
            Effect::Acknowledge { call, .. } => {
                let acknowledge = call.acknowledge.unwrap();
                let uuid = acknowledge.uuid.to_vec();
                if let Some(task) = self.tasks.get_mut(&acknowledge.task_id.value)
                    && task
                        .updates
                        .front()
                        .is_some_and(|(front, _)| *front == uuid)
                {
                    task.updates.pop_front();
                    self.deliver_update(&acknowledge.task_id.value);
                }
                self.acknowledged.push(uuid);
            }
            Effect::Call { call, session } => {
                if session == self.session {
                    self.call(&call);
                }
                self.calls.push(*call);
            }
            Effect::Accept {
                call,
                taskgroups,
                session,
            } => {
                if session == self.session {
                    self.accept(&call);
                } else {
                    let reason = "old connection".to_owned();
                    self.queue.push_back(Event::AcceptFailed {
                        taskgroups,
                        certain: true,
                        reason,
                    });
                }
                self.calls.push(*call);
            }
        }
    }

    fn accept(&mut self, call: &Call) {
        let accept = call.accept.as_ref().unwrap();
        let offered: Vec<&str> = accept
            .offer_ids
            .iter()
            .map(|id| id.value.as_str())
            .collect();
        let agent = self
            .agents
            .iter()
            .find(|(_, agent)| {
                agent.reachable && offered.iter().all(|id| agent.offered.contains_key(*id))
            })
            .map(|(name, _)| name.clone());
        for operation in &accept.operations {
            let launch = operation.launch_group.as_ref().unwrap();
            assert_eq!(
                launch.task_group.tasks.len(),
                1,
                "one task per group in this simulation"
            );
            for info in &launch.task_group.tasks {
                let mut resources = Resources::from_wire(&info.resources).unwrap();
                resources.add(&Resources::from_wire(&launch.executor.resources).unwrap());
                let Some(agent) = &agent else {
                    let status = TaskStatus {
                        task_id: info.task_id.clone(),
                        state: TaskState::Dropped.number(),
                        reason: Some(Reason::InvalidOffers.number()),
                        agent_id: Some(info.agent_id.clone()),
                        ..TaskStatus::default()
                    };
                    self.queue.push_back(Event::Update(Box::new(status)));
                    continue;
                };
                let mut total = self.agents[agent].total.clone();
                total.subtract(&self.used(agent));
                assert!(
                    total.contains(&resources),
                    "{agent} has {total}, launch wants {resources}"
                );
                let task = SimTask {
                    executor: launch.executor.executor_id.value.clone(),
                    agent: agent.clone(),
                    state: TaskState::Staging,
                    resources,
                    updates: VecDeque::new(),
                    stopping: false,
                    info: info.clone(),
                };
                let id = info.task_id.value.clone();
                assert!(
                    self.tasks.insert(id.clone(), task).is_none(),
                    "{id} launched twice"
                );
                if self.automatic {
                    self.progress(&id, TaskState::Running);
                }
            }
        }
        if let Some(agent) = agent {
            let agent = self.agents.get_mut(&agent).unwrap();
            agent
                .offered
                .retain(|id, _| !offered.contains(&id.as_str()));
        }
        self.offer();
    }

    fn call(&mut self, call: &Call) {
        match CallType::try_from(call.r#type.unwrap()).unwrap() {
            CallType::Shutdown => {
                let shutdown = call.shutdown.as_ref().unwrap();
                let executor = &shutdown.executor_id.value;
                let ids: Vec<String> = self
                    .tasks
                    .iter()
                    .filter(|(_, task)| task.executor == *executor && !task.state.is_terminal())
                    .filter(|(_, task)| self.agents[&task.agent].reachable)
                    .map(|(id, _)| id.clone())
                    .collect();
                for id in ids {
                    self.tasks.get_mut(&id).unwrap().stopping = true;
                    if self.automatic {
                        self.progress(&id, TaskState::Killed);
                    }
                }
            }
            CallType::Reconcile => {
                let tasks = &call.reconcile.as_ref().unwrap().tasks;
                let ids: Vec<(String, String)> = if tasks.is_empty() {
                    let live = self
                        .tasks
                        .iter()
                        .filter(|(_, task)| !task.state.is_terminal());
                    live.map(|(id, task)| (id.clone(), task.agent.clone()))
                        .collect()
                } else {
                    let agent = |task: &bcs_mesos::scheduler::call::ReconcileTask| {
                        task.agent_id.clone().unwrap_or_default().value
                    };
                    tasks
                        .iter()
                        .map(|task| (task.task_id.value.clone(), agent(task)))
                        .collect()
                };
                for (id, agent) in ids {
                    let reachable = self.agents.get(&agent).is_some_and(|agent| agent.reachable);
                    let state = match self.tasks.get(&id) {
                        Some(_) if !reachable => TaskState::Unreachable,
                        // A terminal task stays known until its last update is acknowledged.
                        Some(task) if !task.state.is_terminal() || !task.updates.is_empty() => {
                            task.updates.front().map_or(task.state, |(_, state)| *state)
                        }
                        _ if !reachable => TaskState::Unreachable,
                        _ => TaskState::Gone,
                    };
                    let status = TaskStatus {
                        task_id: TaskId { value: id.clone() },
                        state: state.number(),
                        reason: Some(Reason::Reconciliation.number()),
                        agent_id: Some(AgentId { value: agent }),
                        executor_id: self.tasks.get(&id).map(|task| ExecutorId {
                            value: task.executor.clone(),
                        }),
                        ..TaskStatus::default()
                    };
                    self.queue.push_back(Event::Update(Box::new(status)));
                }
            }
            CallType::Decline => {
                for id in &call.decline.as_ref().unwrap().offer_ids {
                    for agent in self.agents.values_mut() {
                        agent.offered.remove(&id.value);
                    }
                }
            }
            _ => {}
        }
    }

    /// A task changes its state; the update is delivered when its turn has come.
    pub(crate) fn progress(&mut self, id: &str, state: TaskState) {
        let uuid = self.fresh().to_be_bytes().repeat(2);
        let task = self.tasks.get_mut(id).unwrap();
        if task.state.is_terminal() {
            return;
        }
        task.state = state;
        task.updates.push_back((uuid, state));
        if task.updates.len() == 1 {
            self.deliver_update(id);
        }
        if state.is_terminal() {
            self.offer();
        }
    }

    /// The agent (re)sends the oldest unacknowledged update.
    pub(crate) fn deliver_update(&mut self, id: &str) {
        let task = &self.tasks[id];
        let Some((uuid, state)) = task.updates.front() else {
            return;
        };
        if !self.agents[&task.agent].reachable {
            return;
        }
        let status = TaskStatus {
            task_id: TaskId {
                value: id.to_owned(),
            },
            state: state.number(),
            agent_id: Some(AgentId {
                value: task.agent.clone(),
            }),
            executor_id: Some(ExecutorId {
                value: task.executor.clone(),
            }),
            uuid: Some(uuid.clone().into()),
            ..TaskStatus::default()
        };
        self.queue.push_back(Event::Update(Box::new(status)));
    }

    /// An agent leaves the master's sight.
    pub(crate) fn lose(&mut self, agent: &str) {
        self.rescind(agent);
        self.agents.get_mut(agent).unwrap().reachable = false;
        self.tell_all(agent, TaskState::Unreachable);
    }

    /// And is back, with what it ran.
    pub(crate) fn regain(&mut self, agent: &str) {
        self.agents.get_mut(agent).unwrap().reachable = true;
        let ids: Vec<String> = self.on(agent);
        for id in &ids {
            self.deliver_update(id);
        }
        // The master tells of tasks on an agent that registers again.
        for id in ids {
            let task = &self.tasks[&id];
            if task.updates.is_empty() && !task.state.is_terminal() {
                let state = task.state;
                self.tell(&id, state);
            }
        }
        self.offer();
    }

    fn on(&self, agent: &str) -> Vec<String> {
        let here = self.tasks.iter().filter(|(_, task)| task.agent == agent);
        here.map(|(id, _)| id.clone()).collect()
    }

    fn tell_all(&mut self, agent: &str, state: TaskState) {
        for id in self.on(agent) {
            if !self.tasks[&id].state.is_terminal() {
                self.tell(&id, state);
            }
        }
    }

    /// The master says something of its own.
    pub(crate) fn tell(&mut self, id: &str, state: TaskState) {
        let task = &self.tasks[id];
        let status = TaskStatus {
            task_id: TaskId {
                value: id.to_owned(),
            },
            state: state.number(),
            agent_id: Some(AgentId {
                value: task.agent.clone(),
            }),
            executor_id: Some(ExecutorId {
                value: task.executor.clone(),
            }),
            ..TaskStatus::default()
        };
        self.queue.push_back(Event::Update(Box::new(status)));
    }

    /// Delivers one event of the master.
    pub(crate) fn deliver(&mut self) -> bool {
        let Some(event) = self.queue.pop_front() else {
            return false;
        };
        self.step(event);
        true
    }

    /// Delivers until nothing comes any more.
    pub(crate) fn settle(&mut self) {
        for _ in 0..20_000 {
            if !self.deliver() {
                return;
            }
        }
        panic!("events without end: {:?}", self.queue);
    }

    /// Lets time pass, with what it brings.
    pub(crate) fn pass(&mut self, millis: u64) {
        self.now.millis += millis;
        self.now.unix_millis += i64::try_from(millis).unwrap();
        self.step(Event::Tick);
    }

    /// Gives an order, and the answer to it.
    pub(crate) fn order(&mut self, command: Command) -> Result<Value, Failure> {
        let ticket = 1_000_000 + self.fresh();
        self.step(Event::Command {
            ticket,
            command: Box::new(command),
        });
        self.answers.remove(&ticket).expect("an answer")
    }

    /// The states of the tasks that are alive, by taskgroup index.
    pub(crate) fn live(&self, app: &str) -> BTreeMap<u64, Vec<String>> {
        let mut live: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for (id, task) in self
            .tasks
            .iter()
            .filter(|(_, task)| !task.state.is_terminal())
        {
            let group: TaskGroupId = task.executor.parse().unwrap();
            if group.app == app {
                live.entry(group.index).or_default().push(id.clone());
            }
        }
        live
    }

    /// Every index of an application that runs, once.
    pub(crate) fn indexes(&self, app: &str) -> Vec<u64> {
        let live = self.live(app);
        for (index, tasks) in &live {
            assert_eq!(
                tasks.len(),
                1,
                "index {index} of {app} runs more than once: {tasks:?}"
            );
        }
        live.into_keys().collect()
    }

    /// The only live task of an index.
    pub(crate) fn task(&self, app: &str, index: u64) -> String {
        let live = self.live(app);
        let tasks = live
            .get(&index)
            .unwrap_or_else(|| panic!("index {index} of {app} does not run"));
        assert_eq!(tasks.len(), 1);
        tasks[0].clone()
    }

    pub(crate) fn application(&self, app: &str) -> &bcs_model::application::Application {
        &self.cluster.apps[&super::versions::name(app)]
            .record
            .application
    }

    /// The set of everything that runs.
    pub(crate) fn running(&self) -> BTreeSet<String> {
        let live = self
            .tasks
            .iter()
            .filter(|(_, task)| !task.state.is_terminal());
        live.map(|(id, _)| id.clone()).collect()
    }
}
