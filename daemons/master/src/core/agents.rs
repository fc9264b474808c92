//! Agents: registering with all they have, being lost, coming back, being given up.

use bcs_mesos::link::{Batch, Command, Register, Registered, VERSION};
use bcs_mesos::types::{AgentId, FrameworkId, Reason, TaskId, TaskState, TimeInfo};
use bcs_mesos::{Resources, WireName as _, operator, scheduler};
use scheduler::event::{Failure, Type};

use super::{Agent, Core, Effect, Now, Presence, Reply};

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

pub(super) fn failure_event(failure: Failure) -> scheduler::Event {
    scheduler::Event {
        r#type: Some(Type::Failure.number()),
        failure: Some(failure),
        ..scheduler::Event::default()
    }
}
