//! The state of the cluster, and the few primitive changes that everything else is made of.
//!
//! A *slot* is one index of an application. It holds at most one taskgroup, and at most one *wish*:
//! the taskgroup that should be built there as soon as a host fits. Status counts, the taskgroups
//! of each agent and the set of waiting applications are kept up to date by the primitives here, so
//! that no event costs a walk over everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bcs_model::ids::TaskGroupId;
use bcs_model::status::StatusCounts;
use bcs_model::v4::{AgentSetting, ConfigMap, Secret};
use bcs_model::version::Version;

use super::events::Now;
use super::hosts::Hosts;
use super::output::Output;
use super::reconcile::Reconciler;
use super::records::{AppRecord, Group, Key, Name};

/// The settings that decisions depend on.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) cluster: String,
    pub(crate) process_executor: crate::settings::Executor,
    pub(crate) container_executor: crate::settings::Executor,
    pub(crate) version_history: usize,
    pub(crate) reconcile_millis: u64,
    pub(crate) lost_grace_millis: u64,
    pub(crate) offer_life_millis: u64,
    pub(crate) refuse_seconds: f64,
    pub(crate) launch_deadline_seconds: i64,
    pub(crate) operation_deadline_seconds: i64,
}

/// The taskgroup that should be built at an index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wish {
    pub(crate) version: String,
    /// Monotonic milliseconds: not before.
    pub(crate) due: u64,
    /// Only on this host until then (monotonic milliseconds).
    pub(crate) retain: Option<(String, u64)>,
    /// Reschedules that the new one counts.
    pub(crate) times: i64,
    /// Launches in a row that came to nothing at once.
    pub(crate) stumbles: u32,
}

impl Wish {
    /// A first launch, as soon as there is room.
    pub(crate) fn now(version: &str, now: Now) -> Self {
        let version = version.to_owned();
        Self {
            version,
            due: now.millis,
            retain: None,
            times: 0,
            stumbles: 0,
        }
    }
}

/// One index of an application.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot {
    pub(crate) group: Option<Group>,
    pub(crate) wish: Option<Wish>,
}

/// An application with everything that belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) record: AppRecord,
    pub(crate) versions: BTreeMap<String, Arc<Version>>,
    pub(crate) slots: BTreeMap<u64, Slot>,
    pub(crate) counts: StatusCounts,
    /// Indexes with a wish.
    pub(crate) waiting: BTreeSet<u64>,
    /// Why the first of them fits nowhere.
    pub(crate) why: Option<String>,
}

impl App {
    pub(crate) fn new(record: AppRecord) -> Self {
        Self {
            record,
            versions: BTreeMap::new(),
            slots: BTreeMap::new(),
            counts: StatusCounts::default(),
            waiting: BTreeSet::new(),
            why: None,
        }
    }

    pub(crate) fn wanted(&self) -> u64 {
        self.record.application.define_instances
    }

    pub(crate) fn current(&self) -> Option<&Arc<Version>> {
        self.versions.get(&self.record.version)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.slots.values().filter_map(|slot| slot.group.as_ref())
    }
}

/// What a deadline is for. A timer that fires looks at the state again; one that is no longer
/// meant is ignored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A wish is due, or its hold on a host ends.
    Wish(Name),
    /// A taskgroup should have ended by now.
    Kill(Name, u64, u32),
    /// An operation has taken too long.
    Operation(Name),
    /// Ask again about tasks that the master did not answer for.
    Reconcile,
    /// Ask for all tasks.
    ReconcileAll,
    /// An offer is too old.
    Offer(String),
}

/// The whole state.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) rules: Rules,
    pub(crate) framework_id: Option<String>,
    pub(crate) apps: BTreeMap<Name, App>,
    pub(crate) configmaps: BTreeMap<Name, ConfigMap>,
    pub(crate) secrets: BTreeMap<Name, Secret>,
    pub(crate) settings: BTreeMap<String, AgentSetting>,
    pub(crate) hosts: Hosts,
    /// Applications with wishes.
    pub(crate) wishing: BTreeSet<Name>,
    /// Something changed that may let a wish come true.
    pub(crate) place: bool,
    pub(crate) timers: BTreeSet<(u64, Timer)>,
    pub(crate) reconciler: Reconciler,
    pub(crate) out: Output,
    last_nanos: u64,
}

impl Cluster {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            framework_id: None,
            apps: BTreeMap::new(),
            configmaps: BTreeMap::new(),
            secrets: BTreeMap::new(),
            settings: BTreeMap::new(),
            hosts: Hosts::default(),
            wishing: BTreeSet::new(),
            place: false,
            timers: BTreeSet::new(),
            reconciler: Reconciler::default(),
            out: Output::default(),
            last_nanos: 0,
        }
    }

    /// A stamp in nanoseconds that no id has yet, whatever the clock does.
    pub(crate) fn stamp(&mut self, now: Now) -> u64 {
        let clock = u64::try_from(now.unix_millis)
            .unwrap_or(0)
            .saturating_mul(1_000_000);
        self.last_nanos = clock.max(self.last_nanos + 1);
        self.out.mark(Key::Stamp);
        self.last_nanos
    }

    pub(crate) fn last_stamp(&self) -> u64 {
        self.last_nanos
    }

    /// No id may be given out that is not above this one.
    pub(crate) fn seen_stamp(&mut self, stamp: u64) {
        self.last_nanos = self.last_nanos.max(stamp);
    }

    pub(crate) fn timer(&mut self, at: u64, timer: Timer) {
        self.timers.insert((at, timer));
    }

    /// When the core wants to be woken, in monotonic milliseconds.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The slot that a taskgroup id names, when it is the taskgroup that is there.
    pub(crate) fn find(&self, id: &str) -> Option<(Name, u64)> {
        let parsed: TaskGroupId = id.parse().ok()?;
        let name = Name::new(&parsed.namespace, &parsed.app);
        let group = self
            .apps
            .get(&name)?
            .slots
            .get(&parsed.index)?
            .group
            .as_ref()?;
        (group.group.id == id).then_some((name, parsed.index))
    }

    pub(crate) fn group(&self, app: &Name, index: u64) -> Option<&Group> {
        self.apps.get(app)?.slots.get(&index)?.group.as_ref()
    }

    /// Changes a taskgroup and keeps the counts true.
    pub(crate) fn change_group<T>(
        &mut self,
        name: &Name,
        index: u64,
        change: impl FnOnce(&mut Group) -> T,
    ) -> Option<T> {
        let app = self.apps.get_mut(name)?;
        let group = app.slots.get_mut(&index)?.group.as_mut()?;
        let (status, growth) = (group.group.status, group.growth());
        let result = change(group);
        if group.group.status != status {
            app.counts.remove(status);
            app.counts.add(group.group.status);
            self.out.mark(Key::App(name.clone()));
        }
        let grown = group.growth();
        if grown != growth {
            let agent = group.group.agent_id.clone();
            self.hosts.grow(&agent, growth, -1.0);
            self.hosts.grow(&agent, grown, 1.0);
        }
        self.out
            .mark(Key::Group(name.clone(), index, group.group.id.clone()));
        Some(result)
    }

    /// Puts a taskgroup into its slot, in place of the one that is there.
    pub(crate) fn put_group(&mut self, name: &Name, index: u64, group: Group) {
        self.drop_group(name, index);
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        app.counts.add(group.group.status);
        self.hosts
            .add_group(&group.group.agent_id, name, index, group.growth());
        self.out
            .mark(Key::Group(name.clone(), index, group.group.id.clone()));
        self.out.mark(Key::App(name.clone()));
        app.slots.entry(index).or_default().group = Some(group);
    }

    /// Removes a taskgroup's record. Whatever still runs of it is an orphan from now on.
    pub(crate) fn drop_group(&mut self, name: &Name, index: u64) {
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        let Some(slot) = app.slots.get_mut(&index) else {
            return;
        };
        let Some(group) = slot.group.take() else {
            return;
        };
        if slot.wish.is_none() {
            app.slots.remove(&index);
        }
        app.counts.remove(group.group.status);
        for task in &group.group.taskgroup {
            self.reconciler.answered(&task.id);
        }
        self.hosts
            .remove_group(&group.group.agent_id, name, index, group.growth());
        self.out
            .mark(Key::Group(name.clone(), index, group.group.id));
        self.out.mark(Key::App(name.clone()));
    }

    /// Wishes for a taskgroup at an index.
    pub(crate) fn wish(&mut self, name: &Name, index: u64, wish: Wish, now: Now) {
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        let times = [
            Some(wish.due),
            wish.retain.as_ref().map(|(_, until)| *until),
        ];
        app.slots.entry(index).or_default().wish = Some(wish);
        app.waiting.insert(index);
        self.wishing.insert(name.clone());
        self.place = true;
        self.out.mark(Key::App(name.clone()));
        for at in times.into_iter().flatten().filter(|at| *at > now.millis) {
            self.timer(at, Timer::Wish(name.clone()));
        }
    }

    /// Withdraws a wish; true when there was one.
    pub(crate) fn unwish(&mut self, name: &Name, index: u64) -> bool {
        let Some(app) = self.apps.get_mut(name) else {
            return false;
        };
        if !app.waiting.remove(&index) {
            return false;
        }
        if app.waiting.is_empty() {
            app.why = None;
            self.wishing.remove(name);
        }
        if let Some(slot) = app.slots.get_mut(&index) {
            slot.wish = None;
            if slot.group.is_none() {
                app.slots.remove(&index);
            }
        }
        self.out.mark(Key::App(name.clone()));
        true
    }
}
