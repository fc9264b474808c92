//! One event in, and one batch out.

use bcs_model::application::PodRef;
use bcs_model::taskgroup::TaskGroup;
use serde::Serialize;
use serde_json::Value;

use super::events::{Event, Now};
use super::output::{Batch, Change};
use super::records::{FORMAT, FrameworkRecord, Key, Name, Stored};
use super::state::{App, Cluster, Timer, Wish};

impl Cluster {
    /// Steps one event. Nothing of it is true for others before the batch is committed.
    pub(crate) fn step(&mut self, event: Event, now: Now) {
        match event {
            Event::Command { ticket, command } => self.command(ticket, *command, now),
            Event::Subscribed {
                framework_id,
                session,
            } => {
                self.subscribed(framework_id, session, now);
            }
            Event::Disconnected { session } => {
                if session == self.out.session {
                    self.out.connected = false;
                    self.hosts.clear_offers();
                }
            }
            Event::Offers(offers) => self.on_offers(offers, now),
            Event::Rescind(offer) => {
                self.hosts.rescind(&offer);
            }
            Event::Update(status) => self.on_update(&status, now),
            Event::Message { executor_id, data } => self.on_message(&executor_id, &data, now),
            Event::Failure {
                agent_id,
                executor_id,
            } => {
                self.on_failure(agent_id.as_deref(), executor_id.as_deref(), now);
            }
            Event::Agents(agents) => {
                self.hosts.list(agents);
                self.place = true;
            }
            Event::AcceptFailed {
                taskgroups,
                certain,
                reason,
            } => {
                for id in taskgroups {
                    let Some((name, index)) = self.find(&id) else {
                        continue;
                    };
                    if certain {
                        self.dropped(&name, index, &reason, now);
                    } else {
                        self.reconcile_group(&name, index, now);
                    }
                }
            }
            Event::Tick => self.tick(now),
        }
    }

    fn subscribed(&mut self, framework_id: String, session: u64, now: Now) {
        self.out.session = session;
        self.out.connected = true;
        self.hosts.clear_offers();
        if self.framework_id.as_ref() != Some(&framework_id) {
            self.framework_id = Some(framework_id);
            self.out.mark(Key::Framework);
        }
        self.reconcile_everything(now);
        // And everything, to find what was let go of while nobody could be told to stop it.
        self.timers
            .retain(|(_, timer)| *timer != Timer::ReconcileAll);
        self.reconcile_implicitly(now);
        let stopping: Vec<(Name, u64)> = self
            .apps
            .iter()
            .flat_map(|(name, app)| {
                app.slots.iter().filter_map(move |(index, slot)| {
                    let group = slot.group.as_ref()?;
                    (group.kill_since.is_some() && group.is_live()).then(|| (name.clone(), *index))
                })
            })
            .collect();
        for (name, index) in stopping {
            self.send_shutdown(&name, index, 0, now);
        }
        self.resend_limits();
        self.out.effects.push(super::events::Effect::FetchAgents);
        self.place = true;
    }

    fn on_failure(&mut self, agent_id: Option<&str>, executor_id: Option<&str>, now: Now) {
        if let Some(executor) = executor_id {
            if let Some((name, index)) = self.find(executor) {
                self.reconcile_group(&name, index, now);
            }
        } else if let Some(agent) = agent_id {
            let groups: Vec<(Name, u64)> = self.hosts.groups(agent).cloned().collect();
            for (name, index) in groups {
                self.reconcile_group(&name, index, now);
            }
            self.out.effects.push(super::events::Effect::FetchAgents);
        }
    }

    fn tick(&mut self, now: Now) {
        while let Some((at, _)) = self.timers.first()
            && *at <= now.millis
        {
            let Some((_, timer)) = self.timers.pop_first() else {
                return;
            };
            match timer {
                Timer::Wish(_) => self.place = true,
                Timer::Kill(name, index, attempt) => self.kill_due(&name, index, attempt, now),
                Timer::Operation(name) => self.operation_due(&name, now),
                Timer::Reconcile => self.reconcile_due(now),
                Timer::ReconcileAll => self.reconcile_implicitly(now),
                Timer::Offer(offer) => self.offer_due(&offer),
            }
        }
    }

    /// Makes records whole again after they were loaded: wishes follow from them.
    pub(crate) fn resume(&mut self, now: Now) {
        let names: Vec<Name> = self.apps.keys().cloned().collect();
        for name in names {
            let Some(app) = self.apps.get(&name) else {
                continue;
            };
            let deleting =
                app.record.operation.as_ref().is_some_and(|operation| {
                    operation.kind == super::records::OperationKind::Delete
                });
            let wanted = if deleting { 0 } else { app.wanted() };
            let version = app.record.version.clone();
            let held: Vec<u64> = app.slots.keys().copied().collect();
            if app.record.operation.is_some() {
                self.timer(now.millis, Timer::Operation(name.clone()));
            }
            for index in (0..wanted).filter(|index| held.binary_search(index).is_err()) {
                let wish = Wish::now(&version, now);
                self.wish(&name, index, wish, now);
            }
            for index in held {
                self.settle(&name, index, now);
            }
        }
    }

    /// Ends a batch: places, recomputes, encodes.
    pub(crate) fn finish(&mut self, now: Now) -> Batch {
        if self.place {
            let resizing: Vec<Name> = self
                .apps
                .iter()
                .filter(|(_, app)| {
                    app.record.operation.as_ref().is_some_and(|operation| {
                        operation.kind == super::records::OperationKind::UpdateResource
                    })
                })
                .map(|(name, _)| name.clone())
                .collect();
            for name in resizing {
                self.resize(&name, now);
            }
        }
        self.place_wishes(now);
        let apps: Vec<Name> = self
            .out
            .dirty
            .iter()
            .filter_map(|key| match key {
                Key::App(name) => Some(name.clone()),
                _ => None,
            })
            .collect();
        for name in apps {
            self.refresh(&name, now);
        }
        let mut batch = Batch::default();
        for key in std::mem::take(&mut self.out.dirty) {
            match self.encode(&key) {
                Some(bytes) => batch.puts.push((key.clone(), bytes)),
                None => batch.deletes.push(key.clone()),
            }
            batch.changes.extend(self.change(&key));
        }
        let queries = std::mem::take(&mut self.out.queries);
        for (ticket, query) in queries {
            let result = self.query(query);
            self.out.reply(ticket, result);
        }
        batch.effects = std::mem::take(&mut self.out.effects);
        batch.effects.append(&mut self.out.replies);
        batch
    }

    /// The record of a key, or `None` when it no longer has one.
    pub(crate) fn encode(&self, key: &Key) -> Option<Vec<u8>> {
        match key {
            Key::Framework => {
                let id = self.framework_id.clone()?;
                json(&FrameworkRecord { format: FORMAT, id })
            }
            Key::Stamp => json(&super::records::StampRecord {
                format: FORMAT,
                last: self.last_stamp(),
            }),
            Key::App(name) => json(&self.apps.get(name)?.record),
            Key::Version(app, version) => {
                let object = self.apps.get(app)?.versions.get(version)?.as_ref();
                json(&Stored {
                    format: FORMAT,
                    object,
                })
            }
            Key::Group(app, index, id) => json(
                self.group(app, *index)
                    .filter(|group| group.group.id == *id)?,
            ),
            Key::ConfigMap(name) => json(&Stored {
                format: FORMAT,
                object: self.configmaps.get(name)?,
            }),
            Key::Secret(name) => json(&Stored {
                format: FORMAT,
                object: self.secrets.get(name)?,
            }),
            Key::Setting(host) => json(&Stored {
                format: FORMAT,
                object: self.settings.get(host)?,
            }),
        }
    }

    /// What the watch feed says about a key.
    pub(crate) fn change(&self, key: &Key) -> Option<Change> {
        let (kind, namespace, name, object) = match key {
            Key::Framework | Key::Stamp | Key::Version(..) => return None,
            Key::App(name) => {
                let app = self.apps.get(name);
                let kind = "application";
                (
                    kind,
                    name.namespace.as_str(),
                    name.name.as_str(),
                    app.and_then(application_value),
                )
            }
            Key::Group(app, index, id) => {
                let group = self
                    .group(app, *index)
                    .filter(|group| group.group.id == *id);
                let object = group.and_then(|group| taskgroup_value(&group.group));
                ("taskgroup", app.namespace.as_str(), id.as_str(), object)
            }
            Key::ConfigMap(name) => {
                let object = self.configmaps.get(name).and_then(value);
                (
                    "configmap",
                    name.namespace.as_str(),
                    name.name.as_str(),
                    object,
                )
            }
            Key::Secret(name) => {
                let object = self.secrets.get(name).and_then(masked);
                (
                    "secret",
                    name.namespace.as_str(),
                    name.name.as_str(),
                    object,
                )
            }
            Key::Setting(host) => (
                "agentsetting",
                "",
                host.as_str(),
                self.settings.get(host).and_then(value),
            ),
        };
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Some(Change {
            kind,
            namespace,
            name,
            object,
        })
    }

    /// Every object, as the feed would say it.
    pub(crate) fn snapshot(&self) -> Vec<Change> {
        let apps = self.apps.keys().map(|name| Key::App(name.clone()));
        let groups = self.apps.iter().flat_map(|(name, app)| {
            app.slots.iter().filter_map(|(index, slot)| {
                Some(Key::Group(
                    name.clone(),
                    *index,
                    slot.group.as_ref()?.group.id.clone(),
                ))
            })
        });
        let configmaps = self
            .configmaps
            .keys()
            .map(|name| Key::ConfigMap(name.clone()));
        let secrets = self.secrets.keys().map(|name| Key::Secret(name.clone()));
        let settings = self.settings.keys().map(|host| Key::Setting(host.clone()));
        apps.chain(groups)
            .chain(configmaps)
            .chain(secrets)
            .chain(settings)
            .filter_map(|key| self.change(&key))
            .collect()
    }

    /// Whether a replacement of this cause is on its way, for tests and questions.
    #[cfg(test)]
    pub(crate) fn replacing(&self, name: &Name, index: u64) -> Option<super::records::Cause> {
        match &self.group(name, index)?.after {
            super::records::After::Replace(replacement) => Some(replacement.cause),
            super::records::After::Keep | super::records::After::Remove => None,
        }
    }
}

fn json(record: &impl Serialize) -> Option<Vec<u8>> {
    // These types have text keys and finite numbers only, which always encode.
    serde_json::to_vec(record).ok()
}

fn value(object: &impl Serialize) -> Option<Value> {
    serde_json::to_value(object).ok()
}

pub(crate) fn application_value(app: &App) -> Option<Value> {
    let mut application = app.record.application.clone();
    // Not part of the record, which is written often: it follows from the taskgroups.
    application.pods = app
        .groups()
        .map(|group| PodRef {
            name: group.group.id.clone(),
        })
        .collect();
    value(&application)
}

pub(crate) fn taskgroup_value(group: &TaskGroup) -> Option<Value> {
    value(group)
}

/// A secret without its contents: names are no secret, values are.
pub(crate) fn masked(secret: &bcs_model::v4::Secret) -> Option<Value> {
    let mut secret = secret.clone();
    for item in secret.datas.values_mut() {
        "***".clone_into(&mut item.content);
    }
    value(&secret)
}
