//! Status updates of tasks: from Mesos' states to ours, and what follows from a change.
//!
//! ```text
//! STAGING, STARTING, RUNNING, KILLING    the status of that name
//! FINISHED                               Finish
//! KILLED                                 Killed when a stop was ordered, else Failed
//! FAILED                                 Failed
//! ERROR                                  Error
//! UNREACHABLE, LOST, GONE_BY_OPERATOR    Lost (it may come back)
//! DROPPED, GONE before it was heard of   never started: built again at once
//! GONE                                   Failed
//! UNKNOWN                                asked again; the second time like GONE or UNREACHABLE
//! ```

use base64::Engine as _;
use bcs_mesos::scheduler::{Call, call};
use bcs_mesos::{Reason, TaskState, TaskStatus, WireName as _};
use bcs_model::dataclass::ContainerInfo;
use bcs_model::ids::TaskId;
use bcs_model::message::{BcsMessage, MessageType};
use bcs_model::status::{Status, aggregate};
use bcs_model::taskgroup::Task;
use bytes::Bytes;

use super::events::Now;
use super::intent::set_status;
use super::policy::{Decision, QUICK_END_MILLIS, decide, stumble_pause_millis};
use super::records::{After, Cause, Group, Name, Replacement};
use super::state::Cluster;

/// The longest report that is kept.
const MAX_REPORT_BYTES: usize = 256 * 1024;

/// What a state of Mesos means for one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Status(Status),
    Ended(Status),
    /// It never started.
    Dropped,
    /// The master knows neither it nor its agent.
    Unknown,
    Nothing,
}

fn meaning(status: &TaskStatus, group: &Group) -> Meaning {
    let started = group.heard || !matches!(group.group.status, Status::Staging | Status::Killing);
    let bad_offer = status.reason == Some(Reason::InvalidOffers.number());
    let Ok(state) = TaskState::try_from(status.state) else {
        return Meaning::Nothing;
    };
    match state {
        TaskState::Staging => Meaning::Nothing,
        TaskState::Starting => Meaning::Status(Status::Starting),
        TaskState::Running => Meaning::Status(Status::Running),
        TaskState::Killing => Meaning::Status(Status::Killing),
        TaskState::Finished => Meaning::Ended(Status::Finish),
        TaskState::Killed if group.kill_since.is_some() => Meaning::Ended(Status::Killed),
        TaskState::Killed | TaskState::Failed => Meaning::Ended(Status::Failed),
        TaskState::Error => Meaning::Ended(Status::Error),
        TaskState::Dropped => Meaning::Dropped,
        TaskState::Gone | TaskState::Lost if !started || bad_offer => Meaning::Dropped,
        TaskState::Gone => Meaning::Ended(Status::Failed),
        TaskState::Lost => Meaning::Ended(Status::Lost),
        TaskState::Unreachable | TaskState::GoneByOperator => Meaning::Status(Status::Lost),
        TaskState::Unknown => Meaning::Unknown,
    }
}

impl Cluster {
    /// An update came. It is acknowledged after the commit, also when it is not new.
    pub(crate) fn on_update(&mut self, status: &TaskStatus, now: Now) {
        self.reconciler_answer(status);
        self.apply_update(status, now);
        let (Some(uuid), Some(agent_id)) = (&status.uuid, &status.agent_id) else {
            return;
        };
        if uuid.is_empty() {
            return;
        }
        let call = Call {
            r#type: Some(call::Type::Acknowledge.number()),
            framework_id: self.framework(),
            acknowledge: Some(call::Acknowledge {
                agent_id: agent_id.clone(),
                task_id: status.task_id.clone(),
                uuid: uuid.clone(),
            }),
            ..Call::default()
        };
        self.out.acknowledge(call);
    }

    fn reconciler_answer(&mut self, status: &TaskStatus) {
        // UNKNOWN is an answer only the second time: `unknown` asks again.
        if status.state != TaskState::Unknown.number() {
            self.reconciler.answered(&status.task_id.value);
        }
    }

    fn apply_update(&mut self, status: &TaskStatus, now: Now) {
        let Ok(task_id) = status.task_id.value.parse::<TaskId>() else {
            tracing::warn!(
                task = status.task_id.value,
                "update for a task that is not ours"
            );
            return;
        };
        let group_id = task_id.group.to_string();
        let Some((name, index)) = self.find(&group_id) else {
            self.orphan(&group_id, status);
            return;
        };
        let position = usize::try_from(task_id.task_index).unwrap_or(usize::MAX);
        let Some(group) = self.group(&name, index) else {
            return;
        };
        if position >= group.group.taskgroup.len() {
            return;
        }
        let uuid = status.uuid.as_ref().map(hex).unwrap_or_default();
        if !uuid.is_empty() && group.uuids.get(position) == Some(&uuid) {
            return;
        }
        let what = meaning(status, group);
        // Most answers to a reconciliation say what is known.
        let known = match (what, group.group.taskgroup.get(position)) {
            (Meaning::Status(to), Some(task)) => task.status == to,
            (Meaning::Nothing, _) => true,
            _ => false,
        };
        if known && uuid.is_empty() && group.unknown_answers == 0 {
            return;
        }
        match what {
            Meaning::Dropped => self.dropped(&name, index, status.message(), now),
            Meaning::Unknown => self.unknown(&name, index, now),
            what => {
                self.report(&name, index, position, status, &uuid, what, now);
            }
        }
    }

    /// Something runs that nobody here knows: it must not.
    fn orphan(&mut self, group_id: &str, status: &TaskStatus) {
        let runs = TaskState::try_from(status.state).is_ok_and(|state| {
            matches!(
                state,
                TaskState::Staging | TaskState::Starting | TaskState::Running | TaskState::Killing
            )
        });
        let Some(agent_id) = status.agent_id.as_ref().filter(|_| runs) else {
            return;
        };
        let executor = status
            .executor_id
            .as_ref()
            .map_or(group_id, |executor| executor.value.as_str());
        tracing::info!(
            taskgroup = group_id,
            "taskgroup without a record is shut down"
        );
        let (executor, agent) = (executor.to_owned(), agent_id.value.clone());
        self.shutdown_executor(&executor, &agent);
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one report, taken apart once by its only caller"
    )]
    fn report(
        &mut self,
        name: &Name,
        index: u64,
        position: usize,
        status: &TaskStatus,
        uuid: &str,
        what: Meaning,
        now: Now,
    ) {
        let info = status.data.as_ref().and_then(parse_info);
        let from_executor = !uuid.is_empty();
        let changed = self.change_group(name, index, |group| {
            group.unknown_answers = 0;
            group.heard |= from_executor;
            if !uuid.is_empty()
                && let Some(slot) = group.uuids.get_mut(position)
            {
                uuid.clone_into(slot);
            }
            if let Some(task) = group.group.taskgroup.get_mut(position) {
                task.last_update_time = now.unix();
                if let Some(healthy) = status.healthy {
                    task.healthy = healthy;
                }
                if let Some((info, text)) = &info {
                    take_info(task, info, text);
                }
                if let Some(message) = status.message.as_ref().filter(|text| !text.is_empty()) {
                    message.clone_into(&mut task.message);
                }
                match what {
                    Meaning::Status(to) | Meaning::Ended(to) => task_status(task, to, now),
                    Meaning::Dropped | Meaning::Unknown | Meaning::Nothing => {}
                }
            }
            if matches!(what, Meaning::Ended(_))
                && let Some(ended) = group.ended.get_mut(position)
            {
                *ended = true;
            }
            group_status(group, now)
        });
        if let Some((
            ContainerInfo {
                bcs_message: Some(message),
                ..
            },
            _,
        )) = info
        {
            self.message_result(name, index, &message, now);
        }
        if let Some((before, after)) = changed {
            self.follow(name, index, before, after, now);
        }
        self.check_health(name, index, position, now);
    }

    /// Does what a change of a taskgroup's status asks for.
    pub(crate) fn follow(
        &mut self,
        name: &Name,
        index: u64,
        before: Status,
        after: Status,
        now: Now,
    ) {
        if before == Status::Lost && !after.is_end() && after != Status::Lost {
            self.came_back(name, index);
            if self
                .group(name, index)
                .is_some_and(|group| group.kill_since.is_some())
            {
                self.send_shutdown(name, index, 0, now);
            }
        }
        if before != after {
            self.restart_if_wanted(name, index, now);
            let rest = self.group(name, index).is_some_and(|group| {
                group.group.status == Status::Failed
                    && group.is_live()
                    && group.kill_since.is_none()
            });
            if rest {
                // A part of it failed: the rest must not run on.
                let after = self.group(name, index).map(|group| group.after.clone());
                self.stop(name, index, after.unwrap_or_default(), now);
            }
        }
        self.settle(name, index, now);
    }

    /// Asks the restart policy about a taskgroup that has just changed.
    fn restart_if_wanted(&mut self, name: &Name, index: u64, now: Now) {
        let Some(group) = self.group(name, index) else {
            return;
        };
        let may_decide = match &group.after {
            After::Keep => group.kill_since.is_none(),
            // It was Lost, and ended instead of coming back: its end decides anew.
            After::Replace(replacement) => {
                replacement.cause == Cause::Lost && group.group.status != Status::Lost
            }
            After::Remove => false,
        };
        if !may_decide {
            return;
        }
        let (policy, status) = (&group.group.restart_policy, group.group.status);
        let (times, last) = (
            group.group.rescheduled_times,
            group.group.last_reschedule_time,
        );
        match decide(policy, status, times, last, now.unix()) {
            Decision::Leave => {}
            Decision::Exhausted => {
                let text = format!(
                    "not started again: it was restarted {times} times, as often as maxtimes allows"
                );
                self.change_group(name, index, |group| {
                    group.group.message = format!("{}; {text}", group.group.message);
                });
            }
            Decision::Replace {
                delay_seconds,
                times,
            } => {
                let cause = if status == Status::Lost {
                    Cause::Lost
                } else {
                    Cause::Ended
                };
                let mut delay = delay_seconds.saturating_mul(1000);
                if cause == Cause::Lost {
                    delay =
                        delay.max(i64::try_from(self.rules.lost_grace_millis).unwrap_or(i64::MAX));
                }
                let quick = cause == Cause::Ended
                    && now.unix_millis.saturating_sub(group.launched) < QUICK_END_MILLIS;
                let stumbles = if quick {
                    group.stumbles.saturating_add(1)
                } else {
                    0
                };
                delay = delay.max(stumble_pause_millis(stumbles));
                let retain = policy.host_retain_time.max(0).saturating_mul(1000);
                let version = self.version_for(name, index);
                let not_before = now.unix_millis.saturating_add(delay);
                let retain_until = if retain > 0 && cause == Cause::Ended {
                    now.unix_millis.saturating_add(retain)
                } else {
                    0
                };
                let replacement = Replacement {
                    cause,
                    version,
                    not_before,
                    retain_until,
                    times,
                    stumbles,
                };
                self.change_group(name, index, |group| {
                    group.after = After::Replace(replacement);
                });
            }
        }
    }

    /// The version that an index is started with again: its own while it is kept.
    pub(crate) fn version_for(&self, name: &Name, index: u64) -> String {
        let Some(app) = self.apps.get(name) else {
            return String::new();
        };
        let own = self
            .group(name, index)
            .map(|group| group.group.version_name.as_str());
        match own.filter(|version| app.versions.contains_key(*version)) {
            Some(version) => version.to_owned(),
            None => app.record.version.clone(),
        }
    }

    /// A launch never reached its host: whatever the policy says, it was never started, so it is
    /// built again at once.
    pub(crate) fn dropped(&mut self, name: &Name, index: u64, message: &str, now: Now) {
        let version = self.version_for(name, index);
        let text = format!("launch did not reach the host: {message}");
        self.change_group(name, index, |group| {
            for (task, ended) in group.group.taskgroup.iter_mut().zip(&mut group.ended) {
                *ended = true;
                task_status(task, Status::Failed, now);
                text.clone_into(&mut task.message);
            }
            let ordered = group.kill_since.is_some();
            if !ordered && group.after == After::Keep {
                let times = group.group.rescheduled_times;
                let stumbles = group.stumbles.saturating_add(1);
                group.after = After::Replace(Replacement {
                    cause: Cause::Dropped,
                    version,
                    not_before: now
                        .unix_millis
                        .saturating_add(stumble_pause_millis(stumbles)),
                    retain_until: 0,
                    times,
                    stumbles,
                });
            }
            set_status(&mut group.group, Status::Failed, now);
            group.group.message = text;
        });
        self.settle(name, index, now);
    }

    /// The master knows nothing of it. The first time may be its own restart.
    fn unknown(&mut self, name: &Name, index: u64, now: Now) {
        let answers = self.change_group(name, index, |group| {
            group.unknown_answers += 1;
            (group.unknown_answers, group.heard, group.group.status)
        });
        let Some((answers, heard, before)) = answers else {
            return;
        };
        if answers < 2 {
            self.reconcile_later(name, index, now);
            return;
        }
        if !heard && matches!(before, Status::Staging | Status::Killing) {
            self.dropped(name, index, "the master does not know it", now);
            return;
        }
        let tasks = self.change_group(name, index, |group| {
            for task in &mut group.group.taskgroup {
                task_status(task, Status::Lost, now);
            }
            let (_, after) = group_status(group, now);
            "the master does not know its host".clone_into(&mut group.group.message);
            (
                after,
                group
                    .group
                    .taskgroup
                    .iter()
                    .map(|task| task.id.clone())
                    .collect::<Vec<_>>(),
            )
        });
        if let Some((after, tasks)) = tasks {
            for task in tasks {
                self.reconciler.answered(&task);
            }
            self.follow(name, index, before, after, now);
        }
    }

    /// A cheap report of an executor, or its answer to a message.
    pub(crate) fn on_message(&mut self, executor_id: &str, data: &Bytes, now: Now) {
        let Ok(message) = serde_json::from_slice::<BcsMessage>(data) else {
            tracing::debug!(
                executor = executor_id,
                "message that cannot be read ignored"
            );
            return;
        };
        let Some((name, index)) = self.find(executor_id) else {
            return;
        };
        if message.kind != MessageType::TaskStatus {
            self.message_result(&name, index, &message, now);
            return;
        }
        let engine = &base64::engine::general_purpose::STANDARD;
        let data = message
            .task_status
            .as_ref()
            .and_then(|text| engine.decode(text).ok());
        let Some((info, text)) = data.and_then(|data| parse_info(&data.into())) else {
            return;
        };
        let Some(task_id) = message.task_id.map(|id| id.value) else {
            return;
        };
        let position = self.group(&name, index).and_then(|group| {
            group
                .group
                .taskgroup
                .iter()
                .position(|task| task.id == task_id)
        });
        let Some(position) = position else { return };
        let same = self
            .group(&name, index)
            .and_then(|group| group.group.taskgroup.get(position))
            .is_none_or(|task| task.status_data == text || task.status.is_end());
        if !same {
            self.change_group(&name, index, |group| {
                group.group.last_update_time = now.unix();
                if let Some(task) = group.group.taskgroup.get_mut(position) {
                    task.last_update_time = now.unix();
                    take_info(task, &info, &text);
                }
            });
        }
        if let Some(result) = &info.bcs_message {
            self.message_result(&name, index, result, now);
        }
        self.check_health(&name, index, position, now);
    }

    /// Ends a task whose own check has failed too often (spec 2.7).
    fn check_health(&mut self, name: &Name, index: u64, position: usize, now: Now) {
        let Some(group) = self.group(name, index) else {
            return;
        };
        let Some(task) = group.group.taskgroup.get(position) else {
            return;
        };
        let limit = task.local_max_consecutive_failures;
        let sick = limit > 0
            && !task.healthy
            && task.is_checked
            && task.consecutive_failure_times > limit
            && !task.status.is_end()
            && group.kill_since.is_none();
        if !sick {
            return;
        }
        let failures = task.consecutive_failure_times;
        let changed = self.change_group(name, index, |group| {
            if let Some(task) = group.group.taskgroup.get_mut(position) {
                task_status(task, Status::Failed, now);
                task.message =
                    format!("health check failed {failures} times in a row, more than {limit}");
            }
            group_status(group, now)
        });
        if let Some((before, after)) = changed {
            self.follow(name, index, before, after, now);
        }
    }
}

/// Gives a task its status; an end stays.
fn task_status(task: &mut Task, to: Status, now: Now) {
    if task.status.is_end() || task.status == to {
        return;
    }
    // A late STARTING does not undo RUNNING.
    if to == Status::Starting && matches!(task.status, Status::Running | Status::Killing) {
        return;
    }
    task.last_status = task.status;
    task.status = to;
    task.update_time = now.unix();
}

/// Derives the status of a taskgroup from its tasks; returns the one before and the one after.
fn group_status(group: &mut Group, now: Now) -> (Status, Status) {
    let before = group.group.status;
    let tasks: Vec<Status> = group
        .group
        .taskgroup
        .iter()
        .map(|task| task.status)
        .collect();
    let mut to = aggregate(&tasks);
    if group.kill_since.is_some() && !to.is_end() && to != Status::Lost {
        to = Status::Killing;
    }
    if before.is_end() {
        to = before;
    }
    set_status(&mut group.group, to, now);
    let told = group
        .group
        .taskgroup
        .iter()
        .find(|task| task.status == to || task.status.is_end())
        .or(group.group.taskgroup.first());
    if let Some(task) = told
        && !before.is_end()
        && !task.message.is_empty()
    {
        group.group.message.clone_from(&task.message);
    }
    (before, to)
}

fn take_info(task: &mut Task, info: &ContainerInfo, text: &str) {
    text.clone_into(&mut task.status_data);
    task.is_checked = info.is_checked;
    task.consecutive_failure_times = info.consecutive_failure_times;
    if info.is_checked {
        task.healthy = info.healthy;
        if let Some(local) = task
            .health_check_status
            .iter_mut()
            .find(|check| !check.check_type.starts_with("REMOTE"))
        {
            local.result = info.healthy;
            local.message = if info.healthy {
                "health check passed".to_owned()
            } else {
                format!(
                    "health check failed {} times",
                    info.consecutive_failure_times
                )
            };
        }
    }
    if !info.message.is_empty() {
        info.message.clone_into(&mut task.message);
    }
}

fn parse_info(data: &Bytes) -> Option<(ContainerInfo, String)> {
    if data.len() > MAX_REPORT_BYTES {
        return None;
    }
    let info: ContainerInfo = serde_json::from_slice(data).ok()?;
    Some((info, String::from_utf8(data.to_vec()).ok()?))
}

fn hex(bytes: &Bytes) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a text cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}
