//! Tasks between the master's launch and their executor.

use std::collections::VecDeque;

use bcs_mesos::link::{KillCommand, Message, Update};
use bcs_mesos::types::{
    KillPolicy, Reason, StatusSource, TaskGroupInfo, TaskId, TaskInfo, TaskState, TaskStatus,
};
use bcs_mesos::{WireName as _, executor};
use executor::event::{Kill, Launch as LaunchEvent, LaunchGroup, Type};

use super::{Core, Now, Phase, TaskRecord};
use crate::records::{ExecutorKey, LaunchEntry};

impl Core {
    pub(super) fn add_tasks(&mut self, entry: &LaunchEntry) {
        let group: Option<Vec<TaskId>> = entry.group.then(|| {
            entry
                .tasks
                .iter()
                .map(|task| task.task_id.clone())
                .collect()
        });
        let Some(executor) = self.executor_mut(&entry.key) else {
            return;
        };
        for task in &entry.tasks {
            let record = TaskRecord {
                info: task.clone(),
                group: group.clone(),
                latest: TaskState::Staging,
                updates: VecDeque::new(),
                resend: 0,
                pause: 0,
                acknowledged: VecDeque::new(),
                kill: None,
            };
            executor.tasks.insert(task.task_id.clone(), record);
        }
    }

    /// Sends queued launches to a subscribed executor.
    pub(super) fn deliver(&mut self, key: &ExecutorKey) {
        loop {
            let Some(executor) = self.executor_mut(key) else {
                return;
            };
            if executor.phase != Phase::Subscribed || executor.stream.is_none() {
                return;
            }
            let Some(launch) = executor.queued.pop_front() else {
                return;
            };
            let tasks: Vec<TaskInfo> = launch
                .tasks
                .iter()
                .filter_map(|id| executor.tasks.get(id))
                .map(|record| record.info.clone())
                .collect();
            if launch.group {
                let event = executor::Event {
                    r#type: Some(Type::LaunchGroup.number()),
                    launch_group: Some(LaunchGroup {
                        task_group: TaskGroupInfo { tasks },
                    }),
                    ..executor::Event::default()
                };
                self.event(key, event);
            } else {
                for task in tasks {
                    let event = executor::Event {
                        r#type: Some(Type::Launch.number()),
                        launch: Some(LaunchEvent { task }),
                        ..executor::Event::default()
                    };
                    self.event(key, event);
                }
            }
        }
    }

    pub(super) fn kill(&mut self, kill: &KillCommand, now: Now) {
        let found = self
            .frameworks
            .get(&kill.framework_id)
            .and_then(|framework| {
                framework
                    .executors
                    .values()
                    .find(|executor| executor.tasks.contains_key(&kill.task_id))
            });
        let Some(executor) = found else {
            self.report_unknown(kill, now);
            return;
        };
        let key = ExecutorKey {
            framework: kill.framework_id.clone(),
            executor: executor.info.executor_id.clone(),
        };
        let queued = executor
            .queued
            .iter()
            .position(|launch| launch.tasks.contains(&kill.task_id));
        if let Some(position) = queued {
            // Not delivered: nothing of it ever runs. A group goes as one.
            let launch = self
                .executor_mut(&key)
                .and_then(|executor| executor.queued.remove(position));
            for task in launch.map(|launch| launch.tasks).unwrap_or_default() {
                let text = "killed before it was delivered to its executor";
                self.own_update(
                    &key,
                    &task,
                    TaskState::Killed,
                    Reason::TaskKilledDuringLaunch,
                    text,
                    now,
                );
            }
            let idle = self.executor(&key).is_some_and(|executor| {
                executor
                    .tasks
                    .values()
                    .all(|task| task.latest.is_terminal())
            });
            if idle
                && self
                    .executor(&key)
                    .is_some_and(|e| matches!(e.phase, Phase::Starting { .. }))
            {
                self.shut_down(&key, now);
            }
            return;
        }
        if let Some(record) = self
            .executor_mut(&key)
            .and_then(|executor| executor.tasks.get_mut(&kill.task_id))
        {
            record.kill = Some(kill.policy.clone());
        }
        self.send_kill(&key, &kill.task_id, kill.policy.clone());
    }

    pub(super) fn send_kill(
        &mut self,
        key: &ExecutorKey,
        task: &TaskId,
        kill_policy: Option<KillPolicy>,
    ) {
        let event = executor::Event {
            r#type: Some(Type::Kill.number()),
            kill: Some(Kill {
                task_id: task.clone(),
                kill_policy,
            }),
            ..executor::Event::default()
        };
        self.event(key, event);
    }

    fn report_unknown(&mut self, kill: &KillCommand, now: Now) {
        let status = TaskStatus {
            task_id: kill.task_id.clone(),
            state: TaskState::Gone.number(),
            message: Some("the agent does not have this task".to_owned()),
            source: Some(StatusSource::Agent.number()),
            reason: Some(Reason::TaskUnknown.number()),
            agent_id: self.info.id.clone(),
            timestamp: Some(super::updates::seconds(now)),
            ..TaskStatus::default()
        };
        let update = Update {
            framework_id: kill.framework_id.clone(),
            task_id: kill.task_id.clone(),
            latest: status.state,
            status: Some(status),
        };
        self.say(Message {
            update: Some(update),
            ..Message::default()
        });
    }
}
