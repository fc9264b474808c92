//! Reconciliation: what the master and we know is made equal.
//!
//! After each subscription, and whenever something is in doubt, the tasks are asked for by name
//! until the master answered for each, with growing pauses. A call without names, now and then,
//! finds what runs and nobody here knows.

use std::collections::BTreeMap;

use bcs_mesos::scheduler::{Call, call};
use bcs_mesos::{AgentId, TaskId, WireName as _};

use super::events::Now;
use super::records::Name;
use super::state::{Cluster, Timer};

const FIRST_PAUSE_MILLIS: u64 = 1000;
const LONGEST_PAUSE_MILLIS: u64 = 60_000;
/// Tasks in one call.
const CALL_TASKS: usize = 1000;

/// The tasks without an answer.
#[derive(Debug, Default)]
pub(crate) struct Reconciler {
    /// Task id and agent id.
    pending: BTreeMap<String, String>,
    attempt: u32,
    armed: bool,
}

impl Reconciler {
    /// An update for this task came.
    pub(crate) fn answered(&mut self, task_id: &str) {
        self.pending.remove(task_id);
        if self.pending.is_empty() {
            self.attempt = 0;
        }
    }
}

impl Cluster {
    /// Asks for the tasks of one taskgroup that have not ended.
    pub(crate) fn reconcile_group(&mut self, name: &Name, index: u64, now: Now) {
        let tasks = self.open_tasks(name, index);
        self.ask(&tasks);
        self.reconciler.pending.extend(tasks);
        self.arm(now);
    }

    fn open_tasks(&self, name: &Name, index: u64) -> Vec<(String, String)> {
        let Some(group) = self.group(name, index) else {
            return Vec::new();
        };
        let agent = &group.group.agent_id;
        let open = group
            .group
            .taskgroup
            .iter()
            .zip(&group.ended)
            .filter(|(_, ended)| !**ended);
        open.map(|(task, _)| (task.id.clone(), agent.clone()))
            .collect()
    }

    /// Asks for them after the next pause, and not at once.
    pub(crate) fn reconcile_later(&mut self, name: &Name, index: u64, now: Now) {
        let tasks = self.open_tasks(name, index);
        self.reconciler.pending.extend(tasks);
        self.arm(now);
    }

    /// Asks for every task that has not ended.
    pub(crate) fn reconcile_everything(&mut self, now: Now) {
        self.reconciler = Reconciler::default();
        let all: Vec<(String, String)> = self
            .apps
            .values()
            .flat_map(super::state::App::groups)
            .flat_map(|group| {
                group
                    .group
                    .taskgroup
                    .iter()
                    .zip(&group.ended)
                    .filter(|(_, ended)| !**ended)
                    .map(|(task, _)| (task.id.clone(), group.group.agent_id.clone()))
            })
            .collect();
        self.ask(&all);
        self.reconciler.pending.extend(all);
        self.arm(now);
    }

    /// Asks for whatever the master has of us.
    pub(crate) fn reconcile_implicitly(&mut self, now: Now) {
        let call = Call {
            r#type: Some(call::Type::Reconcile.number()),
            framework_id: self.framework(),
            reconcile: Some(call::Reconcile::default()),
            ..Call::default()
        };
        self.out.call(call);
        self.timer(
            now.millis + self.rules.reconcile_millis,
            Timer::ReconcileAll,
        );
    }

    /// The pause is over: asks again.
    pub(crate) fn reconcile_due(&mut self, now: Now) {
        self.reconciler.armed = false;
        if self.reconciler.pending.is_empty() {
            self.reconciler.attempt = 0;
            return;
        }
        let tasks: Vec<(String, String)> = self
            .reconciler
            .pending
            .iter()
            .map(|(task, agent)| (task.clone(), agent.clone()))
            .collect();
        self.reconciler.attempt = self.reconciler.attempt.saturating_add(1);
        self.ask(&tasks);
        self.arm(now);
    }

    fn arm(&mut self, now: Now) {
        if self.reconciler.pending.is_empty() || self.reconciler.armed {
            return;
        }
        self.reconciler.armed = true;
        let pause = FIRST_PAUSE_MILLIS << self.reconciler.attempt.min(6);
        self.timer(
            now.millis + pause.min(LONGEST_PAUSE_MILLIS),
            Timer::Reconcile,
        );
    }

    fn ask(&mut self, tasks: &[(String, String)]) {
        for chunk in tasks.chunks(CALL_TASKS) {
            let tasks = chunk
                .iter()
                .map(|(task, agent)| call::ReconcileTask {
                    task_id: TaskId {
                        value: task.clone(),
                    },
                    agent_id: Some(AgentId {
                        value: agent.clone(),
                    }),
                })
                .collect();
            let call = Call {
                r#type: Some(call::Type::Reconcile.number()),
                framework_id: self.framework(),
                reconcile: Some(call::Reconcile { tasks }),
                ..Call::default()
            };
            self.out.call(call);
        }
    }
}
