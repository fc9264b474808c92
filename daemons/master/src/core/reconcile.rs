//! RECONCILE: what the master knows of tasks, one status for each, never acknowledged.

use bcs_mesos::scheduler;
use bcs_mesos::types::{AgentId, FrameworkId, Reason, TaskId, TaskState};

use super::{Core, Now, Presence};

impl Core {
    pub(super) fn reconcile(
        &mut self,
        id: &FrameworkId,
        call: &scheduler::call::Reconcile,
        now: Now,
    ) {
        if call.tasks.is_empty() {
            let Some(framework) = self.frameworks.get(id) else {
                return;
            };
            let known: Vec<TaskId> = framework.tasks.keys().cloned().collect();
            for task in known {
                self.reconcile_task(id, &task, None, now);
            }
            return;
        }
        for task in &call.tasks {
            self.reconcile_task(id, &task.task_id, task.agent_id.as_ref(), now);
        }
    }

    /// Answers for one task; silent while the answer depends on an agent that may yet come.
    pub(super) fn reconcile_task(
        &mut self,
        id: &FrameworkId,
        task: &TaskId,
        agent: Option<&AgentId>,
        now: Now,
    ) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        if let Some(record) = framework.tasks.get(task) {
            let state = record.state();
            let mut status = self.own_status(
                task,
                Some(&record.task.agent_id),
                state,
                Reason::Reconciliation,
                "",
                now,
            );
            status.message = Some("reconciliation: latest known state".to_owned());
            status.executor_id.clone_from(&record.task.executor_id);
            if let Some(latest) = record.task.statuses.last() {
                status.healthy = latest.healthy;
                status.container_status.clone_from(&latest.container_status);
                status.unreachable_time.clone_from(&latest.unreachable_time);
            }
            self.send_status(id, status);
            return;
        }
        let waits = |presence: &Presence| matches!(presence, Presence::Recovered { .. });
        let (state, text) = match agent {
            Some(agent) if self.gone.contains(agent) => (
                TaskState::GoneByOperator,
                "reconciliation: the agent was marked gone",
            ),
            Some(agent) => match self.agents.get(agent).map(|agent| &agent.presence) {
                Some(Presence::Recovered { .. } | Presence::Disconnected { .. }) => return,
                Some(Presence::Connected { .. }) => (
                    TaskState::Gone,
                    "reconciliation: the agent is registered and does not have the task",
                ),
                Some(Presence::Unreachable { .. }) => (
                    TaskState::Unreachable,
                    "reconciliation: the agent is unreachable",
                ),
                None => (
                    TaskState::Unknown,
                    "reconciliation: neither the task nor the agent is known",
                ),
            },
            None if self.agents.values().any(|agent| waits(&agent.presence)) => return,
            None => (TaskState::Unknown, "reconciliation: the task is not known"),
        };
        let mut status = self.own_status(task, agent, state, Reason::Reconciliation, text, now);
        if state == TaskState::Unreachable
            && let Some(Presence::Unreachable { since }) = agent
                .and_then(|agent| self.agents.get(agent))
                .map(|agent| &agent.presence)
        {
            status.unreachable_time = Some(bcs_mesos::types::TimeInfo {
                nanoseconds: *since,
            });
        }
        self.send_status(id, status);
    }

    /// A kill of a task that nobody has is answered as a reconciliation.
    pub(super) fn kill(&mut self, id: &FrameworkId, kill: scheduler::call::Kill, now: Now) {
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        let Some(record) = framework.tasks.get_mut(&kill.task_id) else {
            self.reconcile_task(id, &kill.task_id, kill.agent_id.as_ref(), now);
            return;
        };
        record.kill = Some(kill.kill_policy.clone());
        let agent = record.task.agent_id.clone();
        let command = bcs_mesos::link::KillCommand {
            framework_id: id.clone(),
            task_id: kill.task_id.clone(),
            policy: kill.kill_policy,
        };
        if record.state() == TaskState::Unreachable {
            let status = self.own_status(
                &kill.task_id,
                Some(&agent),
                TaskState::Unreachable,
                Reason::Reconciliation,
                "the agent is unreachable; the kill is kept for its return",
                now,
            );
            self.send_status(id, status);
            return;
        }
        self.command(
            &agent,
            bcs_mesos::link::Command {
                kill: Some(command),
                ..Default::default()
            },
        );
    }
}
