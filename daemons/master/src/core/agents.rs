//! Agents: registering with all they have, being lost, coming back, being given up.

use std::collections::BTreeSet;

use bcs_mesos::link::{
    Batch, Command, KillCommand, Register, Registered, ShutdownCommand, VERSION,
};
use bcs_mesos::types::{AgentId, FrameworkId, Reason, Task, TaskId, TaskState, TimeInfo};
use bcs_mesos::{Resources, WireName as _, operator, scheduler};
use scheduler::event::{Failure, Type};

use super::{Agent, Core, Effect, ExecutorRecord, Framework, Now, Presence, Reply, TaskRecord};

/// Unreachable and given-up agents are remembered up to this count; the oldest are forgotten.
const REMEMBERED: usize = 5000;

impl Core {
    pub(super) fn register(
        &mut self,
        register: Register,
        session: String,
        host: String,
        now: Now,
    ) -> Reply {
        if register.version != VERSION {
            let text = format!(
                "this agent speaks version {} of the agent protocol, this master version {VERSION}: install the same bcs",
                register.version
            );
            return Reply::Refused(400, text);
        }
        let total = match Resources::from_wire(&register.agent.resources) {
            Ok(total) => total,
            Err(error) => return Reply::Refused(400, format!("agent.resources: {error}")),
        };
        if let Some(id) = &register.agent.id {
            if let Err(error) = bcs_mesos::ids::validate("agent.id", &id.value) {
                return Reply::Refused(400, error.to_string());
            }
            if self.gone.contains(id) {
                let command = Command {
                    gone: true,
                    ..Command::default()
                };
                self.out.push(Effect::Command {
                    session: session.clone(),
                    command: Box::new(command),
                });
                self.out.push(Effect::CloseSession { session });
                return Reply::Accepted;
            }
            if let Some(known) = self.agents.get(id)
                && known.host != host
            {
                let text = format!(
                    "agent {id} belongs to host {:?}, and the caller is host {host:?}",
                    known.host
                );
                return Reply::Refused(403, text);
            }
        }
        let id = match &register.agent.id {
            Some(id) => id.clone(),
            None => AgentId::new(self.identifier("S")),
        };
        self.end_session(&id);
        self.withdraw_offers(|offer| offer.agent == id, true);
        let Register {
            agent: mut info,
            software,
            frameworks,
            executors,
            tasks,
            ..
        } = register;
        info.id = Some(id.clone());
        let old = self.agents.remove(&id);
        let changed = old.as_ref().is_none_or(|old| {
            old.info != info
                || matches!(old.presence, Presence::Unreachable { .. })
                || old.host != host
        });
        let agent = Agent {
            info,
            host,
            presence: Presence::Connected {
                session: session.clone(),
                heard: now.monotonic,
            },
            deactivated: old.as_ref().is_some_and(|old| old.deactivated),
            software,
            total,
            used: Resources::new(),
            offered: Resources::new(),
            registered: old.as_ref().map_or(now.wall, |old| old.registered),
            reregistered: old.is_some().then_some(now.wall),
        };
        self.agents.insert(id.clone(), agent);
        self.by_session.insert(session.clone(), id.clone());
        let registered = Registered {
            agent_id: id.clone(),
            session,
            heartbeat_milliseconds: self.rules.heartbeat,
        };
        self.command(
            &id,
            Command {
                registered: Some(registered),
                ..Command::default()
            },
        );
        self.adopt_frameworks(&id, frameworks, now);
        self.adopt_tasks(&id, tasks, now);
        self.adopt_executors(&id, executors);
        self.recount(&id);
        if changed {
            self.persist();
        }
        self.notice(|core| core.agent_notice(&id));
        self.dirty.insert(id);
        Reply::Accepted
    }

    fn adopt_frameworks(
        &mut self,
        agent: &AgentId,
        frameworks: Vec<bcs_mesos::FrameworkInfo>,
        now: Now,
    ) {
        for info in frameworks {
            let Some(id) = info.id.clone() else { continue };
            if self.removed.contains(&id) {
                self.command(
                    agent,
                    Command {
                        remove_framework: Some(id),
                        ..Command::default()
                    },
                );
                continue;
            }
            if let Some(known) = self.frameworks.get(&id) {
                // The agent may have missed a change.
                if known.stream.is_some() {
                    let info = known.info.clone();
                    self.command(
                        agent,
                        Command {
                            framework: Some(info),
                            ..Command::default()
                        },
                    );
                }
                continue;
            }
            let mut framework = Framework::recovered(info, now.wall);
            let timeout = framework
                .failover_milliseconds()
                .max(self.rules.agent_timeout);
            framework.deadline = Some(now.monotonic.saturating_add(timeout));
            self.frameworks.insert(id, framework);
            self.persist();
        }
    }

    /// Takes over what the agent has, and says what became of what it does not have.
    fn adopt_tasks(&mut self, agent: &AgentId, tasks: Vec<Task>, now: Now) {
        let here: BTreeSet<(FrameworkId, TaskId)> = tasks
            .iter()
            .map(|task| (task.framework_id.clone(), task.task_id.clone()))
            .collect();
        let missing: Vec<(FrameworkId, TaskId, TaskState)> = self
            .frameworks
            .iter()
            .flat_map(|(id, framework)| framework.tasks.values().map(move |record| (id, record)))
            .filter(|(_, record)| record.task.agent_id == *agent)
            .map(|(id, record)| (id.clone(), record.task.task_id.clone(), record.state()))
            .filter(|(id, task, _)| !here.contains(&(id.clone(), task.clone())))
            .collect();
        for (framework, task, state) in missing {
            self.forget_task(&framework, &task);
            if !state.is_terminal() {
                let told = if state == TaskState::Staging {
                    TaskState::Dropped
                } else {
                    TaskState::Gone
                };
                let text = "the agent registered again and does not have the task";
                let status = self.own_status(
                    &task,
                    Some(agent),
                    told,
                    Reason::AgentReregistered,
                    text,
                    now,
                );
                self.send_status(&framework, status);
            }
        }
        let mut back = Vec::new();
        let mut kills = Vec::new();
        for task in tasks {
            let Some(framework) = self.frameworks.get_mut(&task.framework_id) else {
                continue;
            };
            let old = framework.tasks.remove(&task.task_id);
            let known = old
                .as_ref()
                .is_some_and(|old| old.state() != TaskState::Unreachable);
            let kill = old.and_then(|old| old.kill);
            let ended = task.state().is_terminal();
            if !known && !ended {
                back.push((
                    task.framework_id.clone(),
                    task.task_id.clone(),
                    task.state(),
                    task.executor_id.clone(),
                ));
            }
            if let (Some(policy), false) = (&kill, ended) {
                kills.push(KillCommand {
                    framework_id: task.framework_id.clone(),
                    task_id: task.task_id.clone(),
                    policy: policy.clone(),
                });
            }
            let resources = Resources::from_wire(&task.resources).unwrap_or_default();
            let record = TaskRecord {
                resources,
                holds: !ended,
                kill,
                task: Task {
                    agent_id: agent.clone(),
                    ..task
                },
            };
            framework.tasks.insert(record.task.task_id.clone(), record);
        }
        for (framework, task, state, executor) in back {
            let text = "the agent registered again with the task";
            let mut status = self.own_status(
                &task,
                Some(agent),
                state,
                Reason::AgentReregistered,
                text,
                now,
            );
            status.executor_id = executor;
            self.send_status(&framework, status);
        }
        for kill in kills {
            self.command(
                agent,
                Command {
                    kill: Some(kill),
                    ..Command::default()
                },
            );
        }
    }

    fn adopt_executors(&mut self, agent: &AgentId, executors: Vec<bcs_mesos::ExecutorInfo>) {
        let mut ordered = BTreeSet::new();
        let mut before = BTreeSet::new();
        for (id, framework) in &mut self.frameworks {
            framework.executors.retain(|(at, executor), record| {
                if at != agent {
                    return true;
                }
                before.insert((id.clone(), executor.clone()));
                if record.shutdown {
                    ordered.insert((id.clone(), executor.clone()));
                }
                false
            });
        }
        for info in executors {
            let Some(id) = info.framework_id.clone() else {
                continue;
            };
            let Some(framework) = self.frameworks.get_mut(&id) else {
                continue;
            };
            let executor_id = info.executor_id.clone();
            let resources = Resources::from_wire(&info.resources).unwrap_or_default();
            let shutdown = ordered.contains(&(id.clone(), executor_id.clone()));
            framework.executors.insert(
                (agent.clone(), executor_id.clone()),
                ExecutorRecord {
                    info,
                    resources,
                    shutdown,
                },
            );
            before.remove(&(id.clone(), executor_id.clone()));
            if shutdown {
                let shutdown = ShutdownCommand {
                    framework_id: id,
                    executor_id,
                };
                self.command(
                    agent,
                    Command {
                        shutdown: Some(shutdown),
                        ..Command::default()
                    },
                );
            }
        }
        for (framework, executor) in before {
            let failure = Failure {
                agent_id: Some(agent.clone()),
                executor_id: Some(executor),
                status: Some(-1),
            };
            self.send(&framework, failure_event(failure));
        }
    }

    fn recount(&mut self, id: &AgentId) {
        let mut used = Resources::new();
        for framework in self.frameworks.values() {
            for record in framework
                .tasks
                .values()
                .filter(|record| record.holds && record.task.agent_id == *id)
            {
                used.add(&record.resources);
            }
            for ((at, _), executor) in &framework.executors {
                if at == id {
                    used.add(&executor.resources);
                }
            }
        }
        if let Some(agent) = self.agents.get_mut(id) {
            agent.used = used;
        }
    }

    fn end_session(&mut self, id: &AgentId) {
        if let Some(session) = self
            .agents
            .get(id)
            .and_then(Agent::session)
            .map(str::to_owned)
        {
            self.by_session.remove(&session);
            self.out.push(Effect::CloseSession { session });
        }
    }

    pub(super) fn agent_gone(&mut self, session: &str, now: Now) -> Reply {
        let Some(id) = self.by_session.remove(session) else {
            return Reply::Accepted;
        };
        self.withdraw_offers(|offer| offer.agent == id, true);
        if let Some(agent) = self.agents.get_mut(&id) {
            agent.presence = Presence::Disconnected {
                deadline: now.monotonic.saturating_add(self.rules.agent_timeout),
            };
        }
        Reply::Accepted
    }

    pub(super) fn batch(&mut self, batch: Batch, now: Now) -> Reply {
        let Some(id) = self.by_session.get(&batch.session).cloned() else {
            return Reply::Refused(410, "this session is over; register again".to_owned());
        };
        if let Some(Agent {
            presence: Presence::Connected { heard, .. },
            ..
        }) = self.agents.get_mut(&id)
        {
            *heard = now.monotonic;
        }
        for message in batch.messages {
            if let Some(update) = message.update {
                self.agent_update(&id, update);
            }
            if let Some(message) = message.executor_message {
                let event = scheduler::Event {
                    r#type: Some(Type::Message.number()),
                    message: Some(scheduler::event::Message {
                        agent_id: id.clone(),
                        executor_id: message.executor_id,
                        data: message.data,
                    }),
                    ..scheduler::Event::default()
                };
                self.send(&message.framework_id, event);
            }
            if let Some(exited) = message.executor_exited {
                self.executor_exited(&id, exited);
            }
        }
        Reply::Accepted
    }

    pub(super) fn expire_agents(&mut self, now: Now) {
        let timeout = self.rules.agent_timeout;
        let due: Vec<AgentId> = self
            .agents
            .iter()
            .filter(|(_, agent)| match &agent.presence {
                Presence::Recovered { deadline } | Presence::Disconnected { deadline } => {
                    *deadline <= now.monotonic
                }
                Presence::Connected { heard, .. } => heard.saturating_add(timeout) <= now.monotonic,
                Presence::Unreachable { .. } => false,
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.lose_agent(&id, now);
        }
    }

    fn lose_agent(&mut self, id: &AgentId, now: Now) {
        self.end_session(id);
        self.withdraw_offers(|offer| offer.agent == *id, true);
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        agent.presence = Presence::Unreachable { since: now.wall };
        let host = agent.info.hostname.clone();
        tracing::warn!(agent = %id, host, "agent is unreachable");
        let text = format!("agent {host} is unreachable");
        for (framework, task) in self.live_tasks(id) {
            let mut status = self.own_status(
                &task,
                Some(id),
                TaskState::Unreachable,
                Reason::AgentRemoved,
                &text,
                now,
            );
            status.unreachable_time = Some(TimeInfo {
                nanoseconds: now.wall,
            });
            if let Some(record) = self
                .frameworks
                .get_mut(&framework)
                .and_then(|f| f.tasks.get_mut(&task))
            {
                record.task.state = TaskState::Unreachable.number();
                record.holds = false;
                record.task.statuses = vec![status.clone()];
                status.executor_id.clone_from(&record.task.executor_id);
            }
            if self
                .frameworks
                .get(&framework)
                .is_some_and(|framework| !framework.partition_aware())
            {
                self.forget_task(&framework, &task);
            }
            self.send_status(&framework, status);
        }
        self.tell_all_of_loss(id);
        self.persist();
        self.forget_oldest();
    }

    fn tell_all_of_loss(&mut self, id: &AgentId) {
        let frameworks: Vec<FrameworkId> = self.frameworks.keys().cloned().collect();
        for framework in frameworks {
            let failure = Failure {
                agent_id: Some(id.clone()),
                executor_id: None,
                status: None,
            };
            self.send(&framework, failure_event(failure));
        }
        let agent_id = id.clone();
        self.notice(|_| operator::Event {
            r#type: Some(operator::event::Type::AgentRemoved.number()),
            agent_removed: Some(operator::event::AgentRemoved { agent_id }),
            ..operator::Event::default()
        });
    }

    fn forget_oldest(&mut self) {
        let mut lost: Vec<(i64, AgentId)> = self
            .agents
            .iter()
            .filter_map(|(id, agent)| match agent.presence {
                Presence::Unreachable { since } => Some((since, id.clone())),
                _ => None,
            })
            .collect();
        lost.sort();
        let excess = lost.len().saturating_sub(REMEMBERED);
        for (_, id) in lost.into_iter().take(excess) {
            self.agents.remove(&id);
        }
        while self.gone.len() > REMEMBERED {
            self.gone.pop_front();
        }
    }

    fn live_tasks(&self, agent: &AgentId) -> Vec<(FrameworkId, TaskId)> {
        self.frameworks
            .iter()
            .flat_map(|(id, framework)| framework.tasks.values().map(move |record| (id, record)))
            .filter(|(_, record)| record.task.agent_id == *agent && !record.state().is_terminal())
            .map(|(id, record)| (id.clone(), record.task.task_id.clone()))
            .collect()
    }

    /// An operator gave the agent up: its tasks are over, and it may not come back under this id.
    pub(super) fn mark_gone(&mut self, id: &AgentId, now: Now) -> Result<(), String> {
        if !self.agents.contains_key(id) {
            return Err(format!("agent {id} is not known"));
        }
        self.withdraw_offers(|offer| offer.agent == *id, true);
        let text = "the agent was marked gone by an operator";
        for (framework, task) in self.live_tasks(id) {
            let reason = Reason::AgentRemovedByOperator;
            let status = self.own_status(
                &task,
                Some(id),
                TaskState::GoneByOperator,
                reason,
                text,
                now,
            );
            self.forget_task(&framework, &task);
            self.send_status(&framework, status);
        }
        for framework in self.frameworks.values_mut() {
            framework.executors.retain(|(at, _), _| at != id);
            framework
                .tasks
                .retain(|_, record| record.task.agent_id != *id);
            framework.filters.remove(id);
        }
        self.command(
            id,
            Command {
                gone: true,
                ..Command::default()
            },
        );
        self.end_session(id);
        self.agents.remove(id);
        self.gone.push_back(id.clone());
        self.forget_oldest();
        self.tell_all_of_loss(id);
        self.persist();
        Ok(())
    }

    pub(super) fn set_deactivated(
        &mut self,
        id: &AgentId,
        deactivated: bool,
    ) -> Result<(), String> {
        let agent = self
            .agents
            .get_mut(id)
            .ok_or_else(|| format!("agent {id} is not known"))?;
        agent.deactivated = deactivated;
        if deactivated {
            self.withdraw_offers(|offer| offer.agent == *id, true);
        }
        self.dirty.insert(id.clone());
        self.persist();
        Ok(())
    }
}

fn failure_event(failure: Failure) -> scheduler::Event {
    scheduler::Event {
        r#type: Some(Type::Failure.number()),
        failure: Some(failure),
        ..scheduler::Event::default()
    }
}
