//! Executors: starting, subscribing, being away, ending.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use bcs_mesos::link::{ExecutorMessage, Message};
use bcs_mesos::types::{ContainerId, ExecutorInfo, Reason, TaskId, TaskState};
use bcs_mesos::{WireName as _, executor};
use bytes::Bytes;
use executor::event::{Subscribed, Type};

use super::{Core, Effect, Executor, Launch, Now, Phase, Reply, Start};
use crate::records::{Entry, ExecutorEntry, ExecutorKey, ProcessEntry};

impl Core {
    /// The base name under which a daemon of the host runs this executor, if one does.
    pub(super) fn resident(&self, info: &ExecutorInfo) -> Option<String> {
        let command = info.command.as_ref()?.value.as_deref()?;
        let word = command.split_whitespace().next()?;
        let name = Path::new(word).file_name()?.to_str()?;
        self.rules
            .residents
            .iter()
            .find(|resident| *resident == name)
            .cloned()
    }

    pub(super) fn add_executor(&mut self, entry: &ExecutorEntry, phase: Phase) {
        let Some(framework) = self.frameworks.get_mut(&entry.framework) else {
            return;
        };
        let executor = Executor {
            info: entry.info.clone(),
            run: entry.run.clone(),
            directory: PathBuf::from(&entry.directory),
            token: entry.token.clone(),
            resident: entry.resident,
            phase,
            stream: None,
            process: None,
            shutdown: None,
            tasks: BTreeMap::new(),
            queued: VecDeque::new(),
        };
        framework
            .executors
            .insert(entry.info.executor_id.clone(), executor);
    }

    pub(super) fn start(&mut self, key: &ExecutorKey) {
        let Some(framework) = self.frameworks.get(&key.framework) else {
            return;
        };
        let Some(executor) = framework.executors.get(&key.executor) else {
            return;
        };
        let task = match executor.info.command {
            Some(_) => None,
            None => executor
                .tasks
                .values()
                .next()
                .map(|record| record.info.clone()),
        };
        let start = Start {
            key: key.clone(),
            run: executor.run.clone(),
            info: executor.info.clone(),
            framework: framework.info.clone(),
            agent_id: self
                .info
                .id
                .as_ref()
                .map(|id| id.value.clone())
                .unwrap_or_default(),
            directory: executor.directory.clone(),
            token: executor.token.clone(),
            resident: if executor.resident {
                self.resident(&executor.info)
            } else {
                None
            },
            task,
        };
        self.out.push(Effect::Start(Box::new(start)));
    }

    /// Lets an executor speak: it is known, and on TCP it shows the token that it was started with.
    pub(super) fn known(&self, key: &ExecutorKey, token: Option<&str>) -> Result<(), Reply> {
        let Some(executor) = self
            .executor(key)
            .filter(|executor| executor.phase != Phase::Exited)
        else {
            let text = format!(
                "executor {} of framework {} is not known here",
                key.executor, key.framework
            );
            return Err(Reply::Refused(400, text));
        };
        match token {
            Some(token) if token != executor.token => Err(Reply::Refused(
                403,
                "the token is not that of this executor".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn subscribe(
        &mut self,
        key: &ExecutorKey,
        subscribe: executor::call::Subscribe,
        stream: String,
        token: Option<&str>,
        now: Now,
    ) -> Reply {
        if let Err(refused) = self.known(key, token) {
            return refused;
        }
        let Some(framework) = self.frameworks.get_mut(&key.framework) else {
            return Reply::Refused(
                400,
                format!("framework {} is not known here", key.framework),
            );
        };
        let framework_info = framework.info.clone();
        let Some(executor) = framework.executors.get_mut(&key.executor) else {
            return Reply::Refused(400, format!("executor {} is not known here", key.executor));
        };
        let old = executor.stream.replace(stream);
        executor.phase = Phase::Subscribed;
        let container_id = ContainerId {
            value: executor.run.clone(),
            ..ContainerId::default()
        };
        let executor_info = executor.info.clone();
        if let Some(stream) = old {
            self.out.push(Effect::CloseStream { stream });
        }
        let subscribed = Subscribed {
            executor_info,
            framework_info,
            agent_info: self.info.clone(),
            container_id: Some(container_id),
        };
        self.event(
            key,
            executor::Event {
                r#type: Some(Type::Subscribed.number()),
                subscribed: Some(subscribed),
                ..executor::Event::default()
            },
        );
        for update in subscribe.unacknowledged_updates {
            let task = update.status.task_id.clone();
            if let Reply::Refused(_, text) = self.accept_update(key, update.status, now) {
                tracing::warn!(executor = %key.executor, task = %task, reason = text, "unacknowledged update refused");
            }
        }
        let has: BTreeSet<TaskId> = subscribe
            .unacknowledged_tasks
            .into_iter()
            .map(|task| task.task_id)
            .collect();
        self.queue_again(key, &has);
        self.deliver(key);
        self.say_orders_again(key);
        Reply::Accepted
    }

    /// What the executor does not have was lost on its way, or with it: it gets it (again).
    fn queue_again(&mut self, key: &ExecutorKey, has: &BTreeSet<TaskId>) {
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        let queued: BTreeSet<TaskId> = executor
            .queued
            .iter()
            .flat_map(|launch| launch.tasks.iter().cloned())
            .collect();
        let mut again: Vec<Launch> = Vec::new();
        for (id, record) in &executor.tasks {
            let lost = record.latest == TaskState::Staging
                && record.acknowledged.is_empty()
                && !has.contains(id)
                && !queued.contains(id);
            if !lost || again.iter().any(|launch| launch.tasks.contains(id)) {
                continue;
            }
            again.push(match &record.group {
                Some(group) => Launch {
                    tasks: group.clone(),
                    group: true,
                },
                None => Launch {
                    tasks: vec![id.clone()],
                    group: false,
                },
            });
        }
        for launch in again.into_iter().rev() {
            executor.queued.push_front(launch);
        }
    }

    fn say_orders_again(&mut self, key: &ExecutorKey) {
        let Some(executor) = self.executor(key) else {
            return;
        };
        let shutdown = executor.shutdown.is_some();
        let kills: Vec<_> = executor
            .tasks
            .values()
            .filter(|record| !record.latest.is_terminal())
            .filter_map(|record| Some((record.info.task_id.clone(), record.kill.clone()?)))
            .collect();
        for (task, policy) in kills {
            self.send_kill(key, &task, policy);
        }
        if shutdown {
            self.send_shutdown(key);
        }
    }

    pub(super) fn send_shutdown(&mut self, key: &ExecutorKey) {
        let event = executor::Event {
            r#type: Some(Type::Shutdown.number()),
            ..executor::Event::default()
        };
        self.event(key, event);
    }

    pub(super) fn stream_gone(&mut self, key: &ExecutorKey, stream: &str, now: Now) -> Reply {
        let checkpoint = self
            .frameworks
            .get(&key.framework)
            .is_some_and(|framework| framework.info.checkpoint());
        let (resident_timeout, recovery_timeout) =
            (self.rules.resident_timeout, self.rules.recovery_timeout);
        let Some(executor) = self.executor_mut(key) else {
            return Reply::Accepted;
        };
        if executor.stream.as_deref() != Some(stream) {
            return Reply::Accepted;
        }
        executor.stream = None;
        if executor.phase == Phase::Exited {
            return Reply::Accepted;
        }
        let wait = if executor.resident {
            resident_timeout
        } else {
            recovery_timeout
        };
        executor.phase = Phase::Waiting {
            deadline: now.monotonic.saturating_add(wait),
        };
        let (resident, process) = (executor.resident, executor.process);
        if resident {
            self.finish_if_left(key);
        } else if !checkpoint && let Some((pid, start_time)) = process {
            // Without checkpoints an executor may not outlive its connection.
            self.out.push(Effect::Kill { pid, start_time });
        }
        Reply::Accepted
    }

    pub(super) fn executor_message(
        &mut self,
        key: &ExecutorKey,
        data: Bytes,
        token: Option<&str>,
    ) -> Reply {
        if let Err(refused) = self.known(key, token) {
            return refused;
        }
        let message = ExecutorMessage {
            framework_id: key.framework.clone(),
            executor_id: key.executor.clone(),
            data,
        };
        self.say(Message {
            executor_message: Some(message),
            ..Message::default()
        });
        Reply::Accepted
    }

    pub(super) fn started(
        &mut self,
        key: &ExecutorKey,
        run: &str,
        pid: i32,
        start_time: u64,
    ) -> Reply {
        let Some(executor) = self
            .executor_mut(key)
            .filter(|executor| executor.run == run)
        else {
            // Forgotten while it was being started.
            self.out.push(Effect::Kill { pid, start_time });
            return Reply::Accepted;
        };
        executor.process = Some((pid, start_time));
        let unwanted = executor.phase == Phase::Exited
            || (executor.shutdown.is_some() && matches!(executor.phase, Phase::Starting { .. }));
        let entry = ProcessEntry {
            key: key.clone(),
            pid,
            start_time,
        };
        self.journal.push(Entry {
            process: Some(entry),
            ..Entry::default()
        });
        if unwanted {
            self.out.push(Effect::Kill { pid, start_time });
        }
        Reply::Accepted
    }

    pub(super) fn launch_failed(
        &mut self,
        key: &ExecutorKey,
        run: &str,
        text: &str,
        now: Now,
    ) -> Reply {
        if self
            .executor(key)
            .is_some_and(|executor| executor.run == run && executor.phase != Phase::Exited)
        {
            self.end_tasks(
                key,
                TaskState::Failed,
                Reason::ContainerLaunchFailed,
                text,
                now,
            );
            self.end_executor(key, None);
        }
        Reply::Accepted
    }

    pub(super) fn exited(
        &mut self,
        key: &ExecutorKey,
        run: &str,
        status: Option<i32>,
        now: Now,
    ) -> Reply {
        let Some(executor) = self.executor(key).filter(|executor| executor.run == run) else {
            return Reply::Accepted;
        };
        if executor.phase == Phase::Exited {
            return Reply::Accepted;
        }
        let text = match status {
            Some(status) => format!("the executor ended: {}", crate::launch::describe(status)),
            None => "the executor ended".to_owned(),
        };
        self.end_tasks(
            key,
            TaskState::Failed,
            Reason::ExecutorTerminated,
            &text,
            now,
        );
        self.end_executor(key, status);
        Reply::Accepted
    }
}
