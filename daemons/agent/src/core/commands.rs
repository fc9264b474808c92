//! What the master orders, and the whole state for a new link to it.

use bcs_mesos::link::{
    Command, ExecutorExited, LaunchCommand, Message, Register, ShutdownCommand, VERSION,
};
use bcs_mesos::types::{AgentId, FrameworkId, FrameworkInfo, Task, TaskId, TaskState};
use bcs_mesos::{WireName as _, executor};

use super::{Core, Effect, Executor, Framework, Launch, Now, Phase, Reply, TaskRecord};
use crate::records::{Entry, ExecutorEntry, ExecutorKey, LaunchEntry};

impl Core {
    /// Begins a link: the state as it is now; what changes from here on follows as messages.
    pub(super) fn compose(&mut self, now: Now) -> Reply {
        self.link += 1;
        self.linked = true;
        let reply = Reply::State {
            link: self.link,
            register: Box::new(self.registration()),
        };
        self.resend_all(None, now);
        reply
    }

    pub(super) fn registration(&self) -> Register {
        let mut register = Register {
            version: VERSION,
            agent: self.info.clone(),
            software: self.rules.software.clone(),
            heartbeat_milliseconds: self.rules.heartbeat,
            ..Register::default()
        };
        for (id, framework) in self
            .frameworks
            .iter()
            .filter(|(_, framework)| !framework.removed)
        {
            register.frameworks.push(framework.info.clone());
            for executor in framework.executors.values() {
                if executor.phase != Phase::Exited {
                    register.executors.push(executor.info.clone());
                }
                for record in executor.tasks.values() {
                    register.tasks.push(self.task_view(id, executor, record));
                }
            }
        }
        register
    }

    fn task_view(&self, framework: &FrameworkId, executor: &Executor, record: &TaskRecord) -> Task {
        let info = &record.info;
        let head = record.updates.front();
        Task {
            name: info.name.clone(),
            task_id: info.task_id.clone(),
            framework_id: framework.clone(),
            executor_id: Some(executor.info.executor_id.clone()),
            agent_id: self.info.id.clone().unwrap_or_default(),
            state: record.latest.number(),
            resources: info.resources.clone(),
            status_update_state: head.map(|status| status.state),
            status_update_uuid: head.and_then(|status| status.uuid.clone()),
            labels: info.labels.clone(),
            discovery: info.discovery.clone(),
            kill_policy: info.kill_policy.clone(),
            ..Task::default()
        }
    }

    pub(super) fn command(&mut self, command: Command, now: Now) {
        if let Some(registered) = command.registered {
            self.registered(registered.agent_id);
        }
        if let Some(launch) = command.launch {
            self.launch(launch, now);
        }
        if let Some(kill) = command.kill {
            self.kill(&kill, now);
        }
        if let Some(shutdown) = command.shutdown {
            self.shutdown_command(shutdown, now);
        }
        if let Some(acknowledge) = command.acknowledge {
            self.acknowledged(&acknowledge, now);
        }
        if let Some(message) = command.message {
            let key = ExecutorKey {
                framework: message.framework_id,
                executor: message.executor_id,
            };
            // Best effort, as the protocol has it: an executor that is away misses it.
            self.event(
                &key,
                executor::Event {
                    r#type: Some(executor::event::Type::Message.number()),
                    message: Some(executor::event::Message { data: message.data }),
                    ..executor::Event::default()
                },
            );
        }
        if let Some(framework) = command.framework {
            self.framework_changed(framework, now);
        }
        if let Some(framework) = command.remove_framework {
            self.remove_framework(&framework, now);
        }
        if command.gone {
            self.give_up(now);
        }
    }

    fn registered(&mut self, id: AgentId) {
        if self.info.id.as_ref() != Some(&id) {
            self.journal.push(Entry {
                agent_id: Some(id.value.clone()),
                ..Entry::default()
            });
            self.info.id = Some(id);
        }
    }

    fn framework_changed(&mut self, info: FrameworkInfo, now: Now) {
        let Some(id) = info.id.clone() else { return };
        let Some(framework) = self.frameworks.get_mut(&id) else {
            return;
        };
        if framework.info != info {
            framework.info = info.clone();
            self.journal.push(Entry {
                framework: Some(info),
                ..Entry::default()
            });
        }
        self.resend_all(Some(&id), now);
    }

    fn launch(&mut self, launch: LaunchCommand, now: Now) {
        let Some(id) = launch.framework.id.clone() else {
            return;
        };
        let key = ExecutorKey {
            framework: id.clone(),
            executor: launch.executor.executor_id.clone(),
        };
        let known = self.frameworks.get(&id);
        if known.is_some_and(|framework| framework.removed) {
            return;
        }
        if known.is_none_or(|framework| framework.info != launch.framework) {
            self.journal.push(Entry {
                framework: Some(launch.framework.clone()),
                ..Entry::default()
            });
        }
        let framework = self.frameworks.entry(id).or_insert_with(|| Framework {
            info: launch.framework.clone(),
            removed: false,
            executors: Default::default(),
        });
        framework.info = launch.framework.clone();
        let over = framework
            .executors
            .get(&key.executor)
            .is_some_and(|executor| executor.phase == Phase::Exited || executor.shutdown.is_some());
        let is_new = !framework.executors.contains_key(&key.executor);
        if is_new {
            self.new_executor(&key, &launch, now);
        }
        let ids: Vec<TaskId> = launch
            .tasks
            .iter()
            .map(|task| task.task_id.clone())
            .collect();
        let entry = LaunchEntry {
            key: key.clone(),
            tasks: launch.tasks,
            group: launch.group,
        };
        self.add_tasks(&entry);
        self.journal.push(Entry {
            launch: Some(entry),
            ..Entry::default()
        });
        if over {
            for task in ids {
                let text = "the executor was ending when the task came";
                self.own_update(
                    &key,
                    &task,
                    TaskState::Dropped,
                    bcs_mesos::types::Reason::ExecutorTerminated,
                    text,
                    now,
                );
            }
            return;
        }
        let queued = Launch {
            tasks: ids,
            group: launch.group,
        };
        if let Some(executor) = self.executor_mut(&key) {
            executor.queued.push_back(queued);
        }
        if is_new {
            self.start(&key);
        } else {
            self.deliver(&key);
        }
    }

    fn new_executor(&mut self, key: &ExecutorKey, launch: &LaunchCommand, now: Now) {
        let run = format!("{:020}-{}", now.wall.max(0), self.fresh().simple());
        let token = format!("{}{}", self.fresh().simple(), self.fresh().simple());
        let directory = self
            .rules
            .sandboxes
            .join(&key.framework.value)
            .join(&key.executor.value)
            .join(&run);
        let entry = ExecutorEntry {
            framework: key.framework.clone(),
            info: launch.executor.clone(),
            run,
            directory: directory.to_string_lossy().into_owned(),
            token,
            resident: self.resident(&launch.executor).is_some(),
        };
        self.add_executor(
            &entry,
            Phase::Starting {
                deadline: now
                    .monotonic
                    .saturating_add(self.rules.registration_timeout),
            },
        );
        self.journal.push(Entry {
            executor: Some(entry),
            ..Entry::default()
        });
    }

    fn shutdown_command(&mut self, shutdown: ShutdownCommand, now: Now) {
        let key = ExecutorKey {
            framework: shutdown.framework_id,
            executor: shutdown.executor_id,
        };
        match self.executor(&key).map(|executor| executor.phase) {
            None => {
                let exited = ExecutorExited {
                    framework_id: key.framework,
                    executor_id: key.executor,
                    status: None,
                };
                self.say(Message {
                    executor_exited: Some(exited),
                    ..Message::default()
                });
            }
            Some(Phase::Exited) => {}
            Some(_) => self.shut_down(&key, now),
        }
    }

    /// A framework is no more: its executors end, and nothing of it is reported.
    pub(super) fn remove_framework(&mut self, id: &FrameworkId, now: Now) {
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        framework.removed = true;
        let keys: Vec<ExecutorKey> = framework
            .executors
            .keys()
            .map(|executor| ExecutorKey {
                framework: id.clone(),
                executor: executor.clone(),
            })
            .collect();
        self.journal.push(Entry {
            framework_removed: Some(id.clone()),
            ..Entry::default()
        });
        for key in keys {
            if let Some(executor) = self.executor_mut(&key) {
                executor.tasks.clear();
                executor.queued.clear();
            }
            if self
                .executor(&key)
                .is_some_and(|executor| executor.phase == Phase::Exited)
            {
                self.forget_if_done(&key);
            } else {
                self.shut_down(&key, now);
            }
        }
        self.forget_framework_if_done(id);
    }

    /// An operator gave this agent up: everything ends, and it comes back as a new one.
    fn give_up(&mut self, now: Now) {
        let frameworks: Vec<FrameworkId> = self.frameworks.keys().cloned().collect();
        for id in frameworks {
            self.remove_framework(&id, now);
        }
        self.info.id = None;
        self.journal.push(Entry {
            agent_id: Some(String::new()),
            ..Entry::default()
        });
        self.out.push(Effect::Relink);
    }
}
