//! Applications: their operations and their status.
//!
//! ```text
//!  create ---> Operating(launch) --all built--> Deploying --all up--> Running
//!                  |                                ^  |               |   ^
//!                  | deadline                       |  v failed, lost  |   | operation done
//!                  v                                Abnormal <---------+   |
//!              Abnormal, says why; goes on               |                 |
//!                                                        +--scale, update--+--> Operating
//!  delete (any) ---> Operating(delete) --no taskgroup left--> gone
//! ```
//!
//! An operation is done when the taskgroups are as it wants them, and that is all that decides:
//! after a crash the same look at the same records goes on where it was.

use std::collections::BTreeSet;
use std::sync::Arc;

use bcs_model::status::{AppStatus, application_status};
use bcs_model::version::Version;

use super::events::Now;
use super::records::{Key, Name, Operation, OperationKind};
use super::state::{App, Cluster, Timer};

impl Operation {
    pub(crate) fn new(kind: OperationKind, created: i64, limit: i64) -> Self {
        Self {
            kind,
            created,
            deadline: created.saturating_add(limit),
            indexes: BTreeSet::new(),
            version: String::new(),
            sent: std::collections::BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    /// Whether the taskgroups are as this wants them.
    fn is_done(&self, app: &App) -> bool {
        match self.kind {
            // One that waits to be started again was built once, which is all this is about.
            OperationKind::Launch | OperationKind::ScaleUp => app.waiting.iter().all(|index| {
                app.slots
                    .get(index)
                    .is_some_and(|slot| slot.group.is_some())
            }),
            OperationKind::ScaleDown => app.slots.range(app.wanted()..).next().is_none(),
            OperationKind::Update | OperationKind::UpdateResource => self.indexes.is_empty(),
            OperationKind::Delete => app.slots.is_empty(),
        }
    }
}

impl Cluster {
    /// Begins an operation; the application shows Operating from now on.
    pub(crate) fn begin(&mut self, name: &Name, operation: Operation, now: Now) {
        let seconds = u64::try_from(operation.deadline.saturating_sub(now.unix())).unwrap_or(0);
        self.timer(now.millis + seconds * 1000, Timer::Operation(name.clone()));
        if let Some(app) = self.apps.get_mut(name) {
            app.record.operation = Some(operation);
            self.out.mark(Key::App(name.clone()));
        }
    }

    /// An update no longer waits for an index whose new taskgroup was built.
    pub(crate) fn note_built(&mut self, name: &Name, index: u64) {
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        if let Some(operation) = &mut app.record.operation
            && operation.kind == OperationKind::Update
        {
            operation.indexes.remove(&index);
        }
    }

    /// The deadline of an operation has passed. Its intents stay in the taskgroups and wishes; only
    /// the application no longer says Operating, and may be operated on again.
    pub(crate) fn operation_due(&mut self, name: &Name, now: Now) {
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        let Some(operation) = &app.record.operation else {
            return;
        };
        if operation.deadline > now.unix() {
            let seconds = u64::try_from(operation.deadline - now.unix())
                .unwrap_or(0)
                .max(1);
            self.timer(now.millis + seconds * 1000, Timer::Operation(name.clone()));
            return;
        }
        // A delete goes on for as long as it takes: nothing else is wanted of it any more.
        if operation.kind == OperationKind::Delete {
            return;
        }
        tracing::warn!(app = %name, operation = ?operation.kind, "operation has passed its deadline");
        app.record.operation = None;
        self.out.mark(Key::App(name.clone()));
    }

    /// Recomputes an application that something of changed; removes it when its delete is done.
    pub(crate) fn refresh(&mut self, name: &Name, now: Now) {
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        let done = app
            .record
            .operation
            .as_ref()
            .filter(|operation| operation.is_done(app));
        if let Some(kind) = done.map(|operation| operation.kind) {
            app.record.operation = None;
            if kind == OperationKind::Delete {
                for version in app.versions.keys() {
                    self.out.mark(Key::Version(name.clone(), version.clone()));
                }
                self.wishing.remove(name);
                self.apps.remove(name);
                return;
            }
            self.trim_versions(name);
        }
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        let (mut status, mut message) = application_status(&app.counts, app.wanted());
        if let Some(operation) = &app.record.operation {
            status = AppStatus::Operating;
            operation.kind.words().clone_into(&mut message);
            if let Some(failure) = operation.failures.last() {
                message = format!("{message}: {failure}");
            }
        }
        if let Some(why) = &app.why {
            let (waiting, wanted) = (app.waiting.len(), app.wanted());
            message = format!("{message}: {waiting} of {wanted} taskgroups wait for a host: {why}");
        }
        let application = &mut app.record.application;
        if application.status != status {
            application.last_status = application.status;
            application.status = status;
            application.update_time = now.unix();
        }
        application.message = message;
        application.instances = app.counts.total();
        application.running_instances = app.counts.running;
        application.last_update_time = now.unix();
    }

    /// Makes a version current.
    pub(crate) fn add_version(&mut self, name: &Name, mut version: Version, now: Now) -> String {
        let stamp = self.stamp(now).to_string();
        version.name.clone_from(&stamp);
        if let Some(app) = self.apps.get_mut(name) {
            app.versions.insert(stamp.clone(), Arc::new(version));
            app.record.version.clone_from(&stamp);
            self.out.mark(Key::Version(name.clone(), stamp.clone()));
            self.out.mark(Key::App(name.clone()));
        }
        stamp
    }

    /// Forgets the oldest versions beyond the history, save those that something still uses.
    fn trim_versions(&mut self, name: &Name) {
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        let mut used: BTreeSet<String> = app
            .groups()
            .map(|group| group.group.version_name.clone())
            .collect();
        used.insert(app.record.version.clone());
        for slot in app.slots.values() {
            used.extend(slot.wish.as_ref().map(|wish| wish.version.clone()));
        }
        let idle: Vec<String> = app
            .versions
            .keys()
            .filter(|version| !used.contains(*version))
            .cloned()
            .collect();
        // Names are time stamps of equal length, so their order is that of time.
        let spare = idle.len().saturating_sub(self.rules.version_history);
        for version in idle.into_iter().take(spare) {
            app.versions.remove(&version);
            self.out.mark(Key::Version(name.clone(), version));
        }
    }
}
