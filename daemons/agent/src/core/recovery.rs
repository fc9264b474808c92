//! From journal entries to state and back, and what a restart means for executors.

use std::collections::BTreeMap;

use bcs_mesos::WireName as _;
use bcs_mesos::types::{AgentId, AgentInfo, Reason, TaskState};

use super::{Core, Effect, Framework, Now, Outcome, Phase, Reply, Rules};
use crate::records::{
    AcknowledgedEntry, Entry, ExecutorEntry, ExecutorKey, LaunchEntry, ProcessEntry, UpdateEntry,
};

impl Core {
    /// An agent that knows nothing yet.
    pub(crate) fn new(rules: Rules, info: AgentInfo, seed: u128) -> Self {
        Self {
            rules,
            info,
            boot: String::new(),
            frameworks: BTreeMap::new(),
            link: 0,
            linked: false,
            seed,
            counter: 0,
            journal: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Applies one entry of the journal.
    pub(crate) fn replay(&mut self, entry: Entry) {
        if let Some(id) = entry.agent_id {
            self.info.id = (!id.is_empty()).then(|| AgentId::new(id));
        }
        if let Some(boot) = entry.boot {
            self.boot = boot;
        }
        if let Some(info) = entry.framework
            && let Some(id) = info.id.clone()
        {
            self.frameworks
                .entry(id)
                .and_modify(|framework| framework.info = info.clone())
                .or_insert_with(|| Framework {
                    info,
                    removed: false,
                    executors: BTreeMap::new(),
                });
        }
        if let Some(entry) = entry.executor {
            self.add_executor(&entry, Phase::Waiting { deadline: 0 });
        }
        if let Some(entry) = entry.process
            && let Some(executor) = self.executor_mut(&entry.key)
        {
            executor.process = Some((entry.pid, entry.start_time));
        }
        if let Some(entry) = entry.launch {
            self.add_tasks(&entry);
        }
        if let Some(UpdateEntry { key, status }) = entry.update
            && let Some(record) = self
                .executor_mut(&key)
                .and_then(|executor| executor.tasks.get_mut(&status.task_id))
        {
            record.latest = status.state();
            record.updates.push_back(status);
        }
        if let Some(AcknowledgedEntry {
            key,
            task,
            uuid,
            latest,
        }) = entry.acknowledged
            && let Some(executor) = self.executor_mut(&key)
            && let Some(record) = executor.tasks.get_mut(&task)
        {
            if record
                .updates
                .front()
                .is_some_and(|head| head.uuid.as_ref() == Some(&uuid))
            {
                record.acknowledge_head();
            } else {
                // After a rewrite the acknowledged status itself is no longer there.
                record.acknowledged.push_back(uuid);
                record.latest = latest
                    .and_then(|state| state.try_into().ok())
                    .unwrap_or(record.latest);
            }
            if record.updates.is_empty() && record.latest.is_terminal() {
                executor.tasks.remove(&task);
            }
        }
        if let Some(key) = entry.shutdown
            && let Some(executor) = self.executor_mut(&key)
        {
            executor.shutdown = Some(0);
        }
        if let Some(key) = entry.executor_exited
            && let Some(executor) = self.executor_mut(&key)
        {
            executor.phase = Phase::Exited;
            executor.process = None;
        }
        if let Some(key) = entry.executor_removed
            && let Some(framework) = self.frameworks.get_mut(&key.framework)
        {
            framework.executors.remove(&key.executor);
        }
        if let Some(id) = entry.framework_removed {
            let done = self.frameworks.get_mut(&id).is_some_and(|framework| {
                framework.removed = true;
                for executor in framework.executors.values_mut() {
                    executor.tasks.clear();
                }
                framework.executors.is_empty()
            });
            if done {
                self.frameworks.remove(&id);
            }
        }
    }

    /// Forked executors that run, to be watched.
    pub(crate) fn processes(&self) -> Vec<crate::orphans::Orphan> {
        let mut orphans = Vec::new();
        for (framework, state) in &self.frameworks {
            for (executor, record) in &state.executors {
                if let Some((pid, start_time)) = record.process {
                    let key = ExecutorKey {
                        framework: framework.clone(),
                        executor: executor.clone(),
                    };
                    orphans.push(crate::orphans::Orphan {
                        key,
                        run: record.run.clone(),
                        pid,
                        start_time,
                    });
                }
            }
        }
        orphans
    }

    /// The shortest journal that leads to this state.
    pub(crate) fn snapshot(&self) -> Vec<Entry> {
        let mut entries = vec![
            Entry {
                agent_id: Some(self.info.id.clone().unwrap_or_default().value),
                ..Entry::default()
            },
            Entry {
                boot: Some(self.boot.clone()),
                ..Entry::default()
            },
        ];
        for (id, framework) in &self.frameworks {
            entries.push(Entry {
                framework: Some(framework.info.clone()),
                ..Entry::default()
            });
            for (executor_id, executor) in &framework.executors {
                let key = ExecutorKey {
                    framework: id.clone(),
                    executor: executor_id.clone(),
                };
                let entry = ExecutorEntry {
                    framework: id.clone(),
                    info: executor.info.clone(),
                    run: executor.run.clone(),
                    directory: executor.directory.to_string_lossy().into_owned(),
                    token: executor.token.clone(),
                    resident: executor.resident,
                };
                entries.push(Entry {
                    executor: Some(entry),
                    ..Entry::default()
                });
                if let Some((pid, start_time)) = executor.process {
                    let entry = ProcessEntry {
                        key: key.clone(),
                        pid,
                        start_time,
                    };
                    entries.push(Entry {
                        process: Some(entry),
                        ..Entry::default()
                    });
                }
                if executor.shutdown.is_some() {
                    entries.push(Entry {
                        shutdown: Some(key.clone()),
                        ..Entry::default()
                    });
                }
                snapshot_tasks(&key, executor, &mut entries);
                if executor.phase == Phase::Exited {
                    entries.push(Entry {
                        executor_exited: Some(key),
                        ..Entry::default()
                    });
                }
            }
            if framework.removed {
                entries.push(Entry {
                    framework_removed: Some(id.clone()),
                    ..Entry::default()
                });
            }
        }
        entries
    }

    /// The journal is read: what has become of what it tells of?
    ///
    /// `alive` says whether a forked executor still runs.
    pub(crate) fn recover(
        &mut self,
        boot: &str,
        alive: impl Fn(i32, u64) -> bool,
        now: Now,
    ) -> Outcome {
        let rebooted = self.boot != boot;
        boot.clone_into(&mut self.boot);
        let keys: Vec<ExecutorKey> = self
            .frameworks
            .iter()
            .flat_map(|(id, framework)| {
                framework.executors.keys().map(|executor| ExecutorKey {
                    framework: id.clone(),
                    executor: executor.clone(),
                })
            })
            .collect();
        for key in keys {
            self.recover_executor(&key, rebooted, &alive, now);
        }
        self.take(Reply::Accepted)
    }

    fn recover_executor(
        &mut self,
        key: &ExecutorKey,
        rebooted: bool,
        alive: &impl Fn(i32, u64) -> bool,
        now: Now,
    ) {
        let checkpoint = self
            .frameworks
            .get(&key.framework)
            .is_some_and(|framework| framework.info.checkpoint());
        let rules = self.rules.clone();
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        if executor.phase == Phase::Exited {
            self.forget_if_done(key);
            return;
        }
        if executor.shutdown.is_some() {
            executor.shutdown = Some(now.monotonic.saturating_add(rules.shutdown_grace));
        }
        let (resident, process) = (executor.resident, executor.process);
        if rebooted {
            let text = "the host was restarted";
            self.end_tasks(key, TaskState::Gone, Reason::AgentRestarted, text, now);
            self.end_executor(key, None);
        } else if resident {
            let untouched = executor.tasks.values().all(|record| {
                record.latest == TaskState::Staging && record.acknowledged.is_empty()
            });
            let wait = if untouched {
                rules.registration_timeout
            } else {
                rules.resident_timeout
            };
            let deadline = now.monotonic.saturating_add(wait);
            // The order to start may have been lost with the agent; giving it again does no harm.
            executor.phase = if untouched {
                Phase::Starting { deadline }
            } else {
                Phase::Waiting { deadline }
            };
            if untouched {
                self.start(key);
            }
        } else if let Some((pid, start_time)) = process {
            if !alive(pid, start_time) {
                let text = "the executor ended while the agent was away";
                self.end_tasks(
                    key,
                    TaskState::Failed,
                    Reason::ExecutorTerminated,
                    text,
                    now,
                );
                self.end_executor(key, None);
            } else if checkpoint {
                let deadline = now.monotonic.saturating_add(rules.reregistration_timeout);
                executor.phase = Phase::Waiting { deadline };
            } else {
                self.out.push(Effect::Kill { pid, start_time });
                let text = "the agent was restarted, and the framework keeps no checkpoints";
                self.end_tasks(key, TaskState::Gone, Reason::AgentRestarted, text, now);
                self.end_executor(key, None);
            }
        } else {
            // Between the order and the record of its process; if it runs, it subscribes.
            executor.phase = Phase::Waiting {
                deadline: now.monotonic.saturating_add(rules.reregistration_timeout),
            };
        }
    }
}

/// The state before the statuses that wait: not terminal, as the task would be gone.
fn acknowledged_state(record: &super::TaskRecord) -> TaskState {
    if record.updates.is_empty() {
        record.latest
    } else {
        TaskState::Running
    }
}

fn snapshot_tasks(key: &ExecutorKey, executor: &super::Executor, entries: &mut Vec<Entry>) {
    let mut launched = std::collections::BTreeSet::new();
    for (id, record) in &executor.tasks {
        if launched.contains(id) {
            continue;
        }
        let ids = record.group.clone().unwrap_or_else(|| vec![id.clone()]);
        // Of a group, those that are still there.
        let tasks: Vec<_> = ids
            .iter()
            .filter_map(|id| executor.tasks.get(id))
            .map(|record| record.info.clone())
            .collect();
        launched.extend(ids);
        let entry = LaunchEntry {
            key: key.clone(),
            tasks,
            group: record.group.is_some(),
        };
        entries.push(Entry {
            launch: Some(entry),
            ..Entry::default()
        });
    }
    for (id, record) in &executor.tasks {
        for uuid in &record.acknowledged {
            let entry = AcknowledgedEntry {
                key: key.clone(),
                task: id.clone(),
                uuid: uuid.clone(),
                latest: Some(acknowledged_state(record).number()),
            };
            entries.push(Entry {
                acknowledged: Some(entry),
                ..Entry::default()
            });
        }
        for status in &record.updates {
            let entry = UpdateEntry {
                key: key.clone(),
                status: status.clone(),
            };
            entries.push(Entry {
                update: Some(entry),
                ..Entry::default()
            });
        }
    }
}
