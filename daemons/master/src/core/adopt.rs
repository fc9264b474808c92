//! Taking over what an agent brings when it registers: it knows its tasks and executors, the master may not.

use std::collections::BTreeSet;

use bcs_mesos::Resources;
use bcs_mesos::link::{Command, KillCommand, ShutdownCommand};
use bcs_mesos::scheduler::event::Failure;
use bcs_mesos::types::{AgentId, FrameworkId, Reason, Task, TaskId, TaskState};

use super::agents::failure_event;
use super::{Core, ExecutorRecord, Framework, Now, TaskRecord};

impl Core {
    pub(super) fn adopt_frameworks(
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
    pub(super) fn adopt_tasks(&mut self, agent: &AgentId, tasks: Vec<Task>, now: Now) {
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

    pub(super) fn adopt_executors(
        &mut self,
        agent: &AgentId,
        executors: Vec<bcs_mesos::ExecutorInfo>,
    ) {
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

    pub(super) fn recount(&mut self, id: &AgentId) {
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
}
