//! Task states: what agents report, what the master says itself, acknowledgements.

use bcs_mesos::link::{AcknowledgeCommand, Command, ExecutorExited, Update};
use bcs_mesos::types::{AgentId, FrameworkId, Reason, StatusSource, TaskId, TaskState, TaskStatus};
use bcs_mesos::{Resources, WireName as _, operator, scheduler};
use scheduler::event::{Failure, Type};

use super::{Core, Now};

impl Core {
    /// A status that the master makes: no uuid, not to be acknowledged.
    pub(super) fn own_status(
        &self,
        task: &TaskId,
        agent: Option<&AgentId>,
        state: TaskState,
        reason: Reason,
        text: &str,
        now: Now,
    ) -> TaskStatus {
        TaskStatus {
            task_id: task.clone(),
            state: state.number(),
            message: (!text.is_empty()).then(|| text.to_owned()),
            source: Some(StatusSource::Master.number()),
            reason: Some(reason.number()),
            agent_id: agent.cloned(),
            timestamp: Some(seconds(now)),
            ..TaskStatus::default()
        }
    }

    /// Sends a status, in the states that the framework knows.
    pub(super) fn send_status(&mut self, id: &FrameworkId, mut status: TaskStatus) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        if !framework.partition_aware() {
            status.state = status.state().without_partitions().number();
        }
        let event = scheduler::Event {
            r#type: Some(Type::Update.number()),
            update: Some(scheduler::event::Update { status }),
            ..scheduler::Event::default()
        };
        self.send(id, event);
    }

    /// Gives resources back to an agent's pool.
    pub(super) fn release(&mut self, agent: &AgentId, resources: &Resources) {
        if resources.is_empty() {
            return;
        }
        if let Some(record) = self.agents.get_mut(agent) {
            record.used.subtract(resources);
            self.dirty.insert(agent.clone());
        }
    }

    pub(super) fn agent_update(&mut self, agent_id: &AgentId, update: Update) {
        let Ok(latest) = TaskState::try_from(update.latest) else {
            return;
        };
        let Some(framework) = self.frameworks.get_mut(&update.framework_id) else {
            return;
        };
        let mut freed = None;
        let mut changed = false;
        if let Some(record) = framework.tasks.get_mut(&update.task_id)
            && record.task.agent_id == *agent_id
        {
            changed = record.task.state != latest.number();
            record.task.state = latest.number();
            if let Some(status) = &update.status {
                record.task.status_update_state = Some(status.state);
                record.task.status_update_uuid.clone_from(&status.uuid);
                let mut kept = status.clone();
                // The data of a status may be large, and nobody reads it here.
                kept.data = None;
                record.task.statuses = vec![kept];
            }
            if latest.is_terminal() && record.holds {
                record.holds = false;
                freed = Some(record.resources.clone());
            }
        }
        if let Some(resources) = freed {
            self.release(agent_id, &resources);
        }
        let Some(status) = update.status else { return };
        if changed && self.watched {
            let (framework_id, noted) = (update.framework_id.clone(), status.clone());
            self.notice(|_| operator::Event {
                r#type: Some(operator::event::Type::TaskUpdated.number()),
                task_updated: Some(operator::event::TaskUpdated {
                    framework_id,
                    status: noted,
                    state: latest.number(),
                }),
                ..operator::Event::default()
            });
        }
        if status.state().is_terminal() && !status.wants_acknowledgement() {
            // Nothing more will come of this task.
            self.forget_task(&update.framework_id, &update.task_id);
        }
        self.send_status(&update.framework_id, status);
    }

    pub(super) fn executor_exited(&mut self, agent_id: &AgentId, exited: ExecutorExited) {
        let Some(framework) = self.frameworks.get_mut(&exited.framework_id) else {
            return;
        };
        let key = (agent_id.clone(), exited.executor_id.clone());
        let Some(executor) = framework.executors.remove(&key) else {
            return;
        };
        self.release(agent_id, &executor.resources);
        let failure = Failure {
            agent_id: Some(agent_id.clone()),
            executor_id: Some(exited.executor_id),
            // Clients count on it being there; -1 is how Mesos says that it is not known.
            status: Some(exited.status.unwrap_or(-1)),
        };
        let event = scheduler::Event {
            r#type: Some(Type::Failure.number()),
            failure: Some(failure),
            ..scheduler::Event::default()
        };
        self.send(&exited.framework_id, event);
    }

    pub(super) fn acknowledge(
        &mut self,
        framework: &FrameworkId,
        call: scheduler::call::Acknowledge,
    ) {
        let ended = self
            .frameworks
            .get(framework)
            .and_then(|framework| framework.tasks.get(&call.task_id))
            .is_some_and(|record| {
                record.task.status_update_uuid.as_ref() == Some(&call.uuid)
                    && record.task.status_update_state().is_terminal()
                    && record.task.status_update_state.is_some()
            });
        if ended {
            self.forget_task(framework, &call.task_id);
        }
        let acknowledge = AcknowledgeCommand {
            framework_id: framework.clone(),
            task_id: call.task_id,
            uuid: call.uuid,
        };
        self.command(
            &call.agent_id,
            Command {
                acknowledge: Some(acknowledge),
                ..Command::default()
            },
        );
    }

    /// A task ended and everybody knows: it becomes history, of bounded length.
    pub(super) fn forget_task(&mut self, framework: &FrameworkId, task: &TaskId) {
        let kept = self.rules.completed_tasks;
        let Some(framework) = self.frameworks.get_mut(framework) else {
            return;
        };
        let Some(record) = framework.tasks.remove(task) else {
            return;
        };
        let agent = record.task.agent_id.clone();
        framework.completed.push_back(record.task);
        while framework.completed.len() > kept {
            framework.completed.pop_front();
        }
        if record.holds {
            self.release(&agent, &record.resources);
        }
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "the protocol has seconds as a double"
)]
pub(super) fn seconds(now: Now) -> f64 {
    now.wall as f64 / 1e9
}
