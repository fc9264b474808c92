//! Statuses: one ordered stream for each task, each status sent until the scheduler acknowledges it.

use bcs_mesos::link::{AcknowledgeCommand, Message, Update};
use bcs_mesos::types::{FrameworkId, Reason, StatusSource, TaskId, TaskState, TaskStatus};
use bcs_mesos::{WireName as _, executor};
use bytes::Bytes;

use super::{Core, Effect, Now, Phase, Reply};
use crate::records::{AcknowledgedEntry, Entry, ExecutorKey, UpdateEntry};

/// Acknowledgements remembered for each task, for an executor that missed them.
const ACKNOWLEDGED_KEPT: usize = 4;
/// Statuses of one task that may wait for acknowledgement; an executor that reports more is refused.
const WAITING: usize = 256;

#[allow(
    clippy::cast_precision_loss,
    reason = "the protocol has seconds as a double"
)]
pub(super) fn seconds(now: Now) -> f64 {
    now.wall as f64 / 1e9
}

fn check(key: &ExecutorKey, status: &TaskStatus) -> Result<(), String> {
    bcs_mesos::ids::validate("task_id", &status.task_id.value)
        .map_err(|error| error.to_string())?;
    match &status.uuid {
        Some(uuid) if uuid.len() == 16 => {}
        Some(uuid) => {
            return Err(format!(
                "status.uuid has {} bytes, and must have 16",
                uuid.len()
            ));
        }
        None => return Err("status.uuid is missing".to_owned()),
    }
    if status.source != Some(StatusSource::Executor.number()) {
        return Err("status.source must be SOURCE_EXECUTOR".to_owned());
    }
    if status
        .executor_id
        .as_ref()
        .is_some_and(|executor| *executor != key.executor)
    {
        return Err("status.executor_id is not the executor that reports".to_owned());
    }
    if status.state() == TaskState::Staging {
        return Err("status.state must not be TASK_STAGING".to_owned());
    }
    Ok(())
}

impl Core {
    pub(super) fn executor_update(
        &mut self,
        key: &ExecutorKey,
        status: TaskStatus,
        token: Option<&str>,
        now: Now,
    ) -> Reply {
        if let Err(refused) = self.known(key, token) {
            return refused;
        }
        if self
            .executor(key)
            .is_some_and(|executor| executor.stream.is_none())
        {
            return Reply::Refused(403, format!("executor {} is not subscribed", key.executor));
        }
        self.accept_update(key, status, now)
    }

    /// Takes a status of an executor, new or said again.
    pub(super) fn accept_update(
        &mut self,
        key: &ExecutorKey,
        mut status: TaskStatus,
        now: Now,
    ) -> Reply {
        if let Err(text) = check(key, &status) {
            return Reply::Refused(400, text);
        }
        let uuid = status.uuid.clone().unwrap_or_default();
        let Some(record) = self
            .executor(key)
            .and_then(|executor| executor.tasks.get(&status.task_id))
        else {
            // Its end was acknowledged, and the executor missed that.
            self.confirm(key, &status.task_id, uuid);
            return Reply::Accepted;
        };
        if record.acknowledged.contains(&uuid) {
            self.confirm(key, &status.task_id, uuid);
            return Reply::Accepted;
        }
        if record
            .updates
            .iter()
            .any(|known| known.uuid.as_ref() == Some(&uuid))
        {
            return Reply::Accepted;
        }
        if record.latest.is_terminal() {
            // Nothing comes after the end.
            self.confirm(key, &status.task_id, uuid);
            return Reply::Accepted;
        }
        if record.updates.len() >= WAITING && !status.state().is_terminal() {
            let text = format!(
                "{WAITING} statuses of task {} wait for acknowledgement",
                status.task_id
            );
            return Reply::Refused(503, text);
        }
        status.agent_id.clone_from(&self.info.id);
        status.executor_id = Some(key.executor.clone());
        status.timestamp.get_or_insert_with(|| seconds(now));
        self.enqueue(key, status, now);
        Reply::Accepted
    }

    /// A status that the agent makes for a task which has not ended.
    pub(super) fn own_update(
        &mut self,
        key: &ExecutorKey,
        task: &TaskId,
        state: TaskState,
        reason: Reason,
        text: &str,
        now: Now,
    ) {
        let ended = self
            .executor(key)
            .and_then(|executor| executor.tasks.get(task))
            .is_none_or(|record| record.latest.is_terminal());
        if ended {
            return;
        }
        let aware = self
            .frameworks
            .get(&key.framework)
            .is_some_and(super::Framework::partition_aware);
        let uuid = Bytes::copy_from_slice(self.fresh().as_bytes());
        let status = TaskStatus {
            task_id: task.clone(),
            state: if aware {
                state
            } else {
                state.without_partitions()
            }
            .number(),
            message: Some(text.to_owned()),
            source: Some(StatusSource::Agent.number()),
            reason: Some(reason.number()),
            agent_id: self.info.id.clone(),
            executor_id: Some(key.executor.clone()),
            timestamp: Some(seconds(now)),
            uuid: Some(uuid),
            ..TaskStatus::default()
        };
        self.enqueue(key, status, now);
    }

    fn enqueue(&mut self, key: &ExecutorKey, status: TaskStatus, now: Now) {
        let first = self.rules.resend_first;
        let task = status.task_id.clone();
        self.journal.push(Entry {
            update: Some(UpdateEntry {
                key: key.clone(),
                status: status.clone(),
            }),
            ..Entry::default()
        });
        let Some(record) = self
            .executor_mut(key)
            .and_then(|executor| executor.tasks.get_mut(&task))
        else {
            return;
        };
        record.latest = status.state();
        record.updates.push_back(status);
        let is_head = record.updates.len() == 1;
        let latest = record.latest;
        if is_head {
            record.pause = first;
            record.resend = now.monotonic.saturating_add(first);
            self.send_head(key, &task);
        } else {
            // The master learns of the newest state at once: an end frees resources.
            let update = Update {
                framework_id: key.framework.clone(),
                status: None,
                task_id: task,
                latest: latest.number(),
            };
            self.say(Message {
                update: Some(update),
                ..Message::default()
            });
        }
        if latest.is_terminal() {
            self.out.push(Effect::Ended);
        }
    }

    fn send_head(&mut self, key: &ExecutorKey, task: &TaskId) {
        let Some(record) = self
            .executor(key)
            .and_then(|executor| executor.tasks.get(task))
        else {
            return;
        };
        let Some(head) = record.updates.front() else {
            return;
        };
        let mut status = head.clone();
        // The agent's id may have come after the status.
        status.agent_id.clone_from(&self.info.id);
        let update = Update {
            framework_id: key.framework.clone(),
            status: Some(status),
            task_id: task.clone(),
            latest: record.latest.number(),
        };
        self.say(Message {
            update: Some(update),
            ..Message::default()
        });
    }

    /// Sends what waits, of one framework or of all, now.
    pub(super) fn resend_all(&mut self, only: Option<&FrameworkId>, now: Now) {
        let first = self.rules.resend_first;
        let mut due = Vec::new();
        for (id, framework) in &mut self.frameworks {
            if only.is_some_and(|only| only != id) || framework.removed {
                continue;
            }
            for (executor_id, executor) in &mut framework.executors {
                for (task, record) in executor
                    .tasks
                    .iter_mut()
                    .filter(|(_, record)| !record.updates.is_empty())
                {
                    record.pause = first;
                    record.resend = now.monotonic.saturating_add(first);
                    let key = ExecutorKey {
                        framework: id.clone(),
                        executor: executor_id.clone(),
                    };
                    due.push((key, task.clone()));
                }
            }
        }
        for (key, task) in due {
            self.send_head(&key, &task);
        }
    }

    pub(super) fn resend_due(&mut self, now: Now) {
        if !self.linked {
            return;
        }
        let last = self.rules.resend_last;
        let mut due = Vec::new();
        for (id, framework) in &mut self.frameworks {
            for (executor_id, executor) in &mut framework.executors {
                for (task, record) in &mut executor.tasks {
                    if record.updates.is_empty() || record.resend > now.monotonic {
                        continue;
                    }
                    record.pause = record.pause.saturating_mul(2).min(last);
                    record.resend = now.monotonic.saturating_add(record.pause);
                    let key = ExecutorKey {
                        framework: id.clone(),
                        executor: executor_id.clone(),
                    };
                    due.push((key, task.clone()));
                }
            }
        }
        for (key, task) in due {
            self.send_head(&key, &task);
        }
    }

    /// The scheduler has stored the head of a task's statuses: the next one may go.
    pub(super) fn acknowledged(&mut self, acknowledge: &AcknowledgeCommand, now: Now) {
        let found = self
            .frameworks
            .get(&acknowledge.framework_id)
            .and_then(|framework| {
                framework
                    .executors
                    .iter()
                    .find(|(_, executor)| executor.tasks.contains_key(&acknowledge.task_id))
            });
        let Some((executor_id, _)) = found else {
            return;
        };
        let key = ExecutorKey {
            framework: acknowledge.framework_id.clone(),
            executor: executor_id.clone(),
        };
        let task = acknowledge.task_id.clone();
        let first = self.rules.resend_first;
        let Some(record) = self
            .executor_mut(&key)
            .and_then(|executor| executor.tasks.get_mut(&task))
        else {
            return;
        };
        if record.updates.front().and_then(|head| head.uuid.as_ref()) != Some(&acknowledge.uuid) {
            return;
        }
        let Some(head) = record.acknowledge_head() else {
            return;
        };
        record.pause = first;
        record.resend = now.monotonic.saturating_add(first);
        let over = record.updates.is_empty() && record.latest.is_terminal();
        let entry = AcknowledgedEntry {
            key: key.clone(),
            task: task.clone(),
            uuid: acknowledge.uuid.clone(),
            latest: None,
        };
        self.journal.push(Entry {
            acknowledged: Some(entry),
            ..Entry::default()
        });
        if head.source == Some(StatusSource::Executor.number()) {
            self.confirm(&key, &task, acknowledge.uuid.clone());
        }
        if over {
            if let Some(executor) = self.executor_mut(&key) {
                executor.tasks.remove(&task);
            }
            self.finish_if_left(&key);
        } else {
            self.send_head(&key, &task);
        }
    }

    /// Tells an executor that a status need not be kept.
    fn confirm(&mut self, key: &ExecutorKey, task: &TaskId, uuid: Bytes) {
        let event = executor::Event {
            r#type: Some(executor::event::Type::Acknowledged.number()),
            acknowledged: Some(executor::event::Acknowledged {
                task_id: task.clone(),
                uuid,
            }),
            ..executor::Event::default()
        };
        self.event(key, event);
    }

    /// A resident executor that closed its stream has ended once nothing of its tasks is left.
    pub(super) fn finish_if_left(&mut self, key: &ExecutorKey) {
        let Some(executor) = self.executor(key) else {
            return;
        };
        if executor.phase == Phase::Exited {
            self.forget_if_done(key);
        } else if executor.resident && executor.stream.is_none() && executor.tasks.is_empty() {
            self.end_executor(key, Some(0));
        }
    }
}

impl super::TaskRecord {
    /// Takes the acknowledged head off; what the executor surely has by now is cut from the record.
    pub(super) fn acknowledge_head(&mut self) -> Option<TaskStatus> {
        let head = self.updates.pop_front()?;
        if let Some(uuid) = &head.uuid {
            self.acknowledged.push_back(uuid.clone());
            while self.acknowledged.len() > ACKNOWLEDGED_KEPT {
                self.acknowledged.pop_front();
            }
        }
        let info = &mut self.info;
        info.data = None;
        info.command = None;
        info.container = None;
        info.executor = None;
        info.health_check = None;
        info.check = None;
        Some(head)
    }
}
