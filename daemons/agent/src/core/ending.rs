//! Executors that end: by themselves, by order, or because their time is over.

use bcs_mesos::link::{ExecutorExited, Message};
use bcs_mesos::types::{FrameworkId, Reason, TaskId, TaskState};

use super::{Core, Effect, Now, Phase, Reply};
use crate::records::{Entry, ExecutorKey};

impl Core {
    /// Every task that has not ended ends now: as killed where that was ordered.
    pub(super) fn end_tasks(
        &mut self,
        key: &ExecutorKey,
        state: TaskState,
        reason: Reason,
        text: &str,
        now: Now,
    ) {
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        executor.queued.clear();
        let ordered = executor.shutdown.is_some();
        let tasks: Vec<(TaskId, bool)> = executor
            .tasks
            .iter()
            .map(|(id, record)| (id.clone(), ordered || record.kill.is_some()))
            .collect();
        for (task, killed) in tasks {
            let state = if killed { TaskState::Killed } else { state };
            self.own_update(key, &task, state, reason, text, now);
        }
    }

    /// The executor is over; its resources are free.
    pub(super) fn end_executor(&mut self, key: &ExecutorKey, status: Option<i32>) {
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        executor.phase = Phase::Exited;
        executor.process = None;
        executor.queued.clear();
        if let Some(stream) = executor.stream.take() {
            self.out.push(Effect::CloseStream { stream });
        }
        self.journal.push(Entry {
            executor_exited: Some(key.clone()),
            ..Entry::default()
        });
        if self
            .frameworks
            .get(&key.framework)
            .is_some_and(|framework| !framework.removed)
        {
            let exited = ExecutorExited {
                framework_id: key.framework.clone(),
                executor_id: key.executor.clone(),
                status,
            };
            self.say(Message {
                executor_exited: Some(exited),
                ..Message::default()
            });
        }
        self.out.push(Effect::Ended);
        self.forget_if_done(key);
    }

    /// An ended executor is forgotten when nothing of its tasks waits for acknowledgement.
    pub(super) fn forget_if_done(&mut self, key: &ExecutorKey) {
        let Some(framework) = self.frameworks.get_mut(&key.framework) else {
            return;
        };
        let done = framework
            .executors
            .get(&key.executor)
            .is_some_and(|executor| executor.phase == Phase::Exited && executor.tasks.is_empty());
        if !done {
            return;
        }
        if let Some(executor) = framework.executors.remove(&key.executor) {
            self.out.push(Effect::Retire {
                directory: executor.directory,
            });
        }
        self.journal.push(Entry {
            executor_removed: Some(key.clone()),
            ..Entry::default()
        });
        self.forget_framework_if_done(&key.framework);
    }

    pub(super) fn forget_framework_if_done(&mut self, id: &FrameworkId) {
        if self
            .frameworks
            .get(id)
            .is_some_and(|framework| framework.executors.is_empty())
        {
            self.frameworks.remove(id);
            self.journal.push(Entry {
                framework_removed: Some(id.clone()),
                ..Entry::default()
            });
        }
    }

    /// Asks an executor to end; what was not delivered never starts.
    pub(super) fn shut_down(&mut self, key: &ExecutorKey, now: Now) {
        let default = self.rules.shutdown_grace;
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        if executor.shutdown.is_none() {
            let grace = executor
                .info
                .shutdown_grace_period
                .as_ref()
                .and_then(|grace| u64::try_from(grace.to_duration().as_millis()).ok())
                .unwrap_or(default);
            executor.shutdown = Some(now.monotonic.saturating_add(grace));
            self.journal.push(Entry {
                shutdown: Some(key.clone()),
                ..Entry::default()
            });
        }
        let Some(executor) = self.executor(key) else {
            return;
        };
        let undelivered: Vec<TaskId> = executor
            .queued
            .iter()
            .flat_map(|launch| launch.tasks.iter().cloned())
            .collect();
        let (phase, resident, process) = (executor.phase, executor.resident, executor.process);
        for task in undelivered {
            let text = "its executor was shut down before the task was delivered";
            self.own_update(
                key,
                &task,
                TaskState::Killed,
                Reason::TaskKilledDuringLaunch,
                text,
                now,
            );
        }
        if let Some(executor) = self.executor_mut(key) {
            executor.queued.clear();
        }
        match (phase, process) {
            (Phase::Starting { .. }, Some((pid, start_time))) => {
                self.out.push(Effect::Kill { pid, start_time });
            }
            // A resident that never heard of it, or will be told that it is not known any more.
            (Phase::Starting { .. }, None) if resident => self.end_executor(key, None),
            _ => self.send_shutdown(key),
        }
    }

    pub(super) fn tick(&mut self, now: Now) -> Reply {
        self.resend_due(now);
        let keys: Vec<ExecutorKey> = self
            .frameworks
            .iter()
            .flat_map(|(framework, state)| {
                state.executors.keys().map(|executor| ExecutorKey {
                    framework: framework.clone(),
                    executor: executor.clone(),
                })
            })
            .collect();
        for key in keys {
            self.tick_executor(&key, now);
        }
        Reply::Accepted
    }

    fn tick_executor(&mut self, key: &ExecutorKey, now: Now) {
        let Some(executor) = self.executor(key) else {
            return;
        };
        let process = executor.process;
        match executor.phase {
            Phase::Exited => return,
            Phase::Starting { deadline } if deadline <= now.monotonic => {
                let text = "the executor did not subscribe in time";
                self.expire(
                    key,
                    process,
                    TaskState::Failed,
                    Reason::ExecutorRegistrationTimeout,
                    text,
                    now,
                );
                return;
            }
            Phase::Waiting { deadline } if deadline <= now.monotonic => {
                let text = "the executor did not come back in time";
                self.expire(
                    key,
                    process,
                    TaskState::Gone,
                    Reason::ExecutorReregistrationTimeout,
                    text,
                    now,
                );
                return;
            }
            _ => {}
        }
        if executor.shutdown.is_some_and(|at| at <= now.monotonic) {
            if let Some((pid, start_time)) = process {
                // Its exit is noticed as any other; should the signal get lost, it is sent again.
                self.out.push(Effect::Kill { pid, start_time });
            } else {
                self.send_shutdown(key);
            }
            let again = now
                .monotonic
                .saturating_add(self.rules.shutdown_grace.max(1000));
            if let Some(executor) = self.executor_mut(key) {
                executor.shutdown = Some(again);
            }
        }
    }

    fn expire(
        &mut self,
        key: &ExecutorKey,
        process: Option<(i32, u64)>,
        state: TaskState,
        reason: Reason,
        text: &str,
        now: Now,
    ) {
        if let Some((pid, start_time)) = process {
            self.out.push(Effect::Kill { pid, start_time });
        }
        self.end_tasks(key, state, reason, text, now);
        self.end_executor(key, None);
    }
}
