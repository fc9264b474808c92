//! Orders about applications and taskgroups, and the checks before them.

use bcs_httpd::Failure;
use bcs_model::application::Application;
use bcs_model::ids::{TaskGroupId, check_label, check_namespace};
use bcs_model::message::{BcsMessage, Empty, MessageType};
use bcs_model::meta::ZERO_TIME;
use bcs_model::status::{AppStatus, Status};
use bcs_model::version::{AppKind, Version};
use http::StatusCode;
use serde_json::{Value, json};

use super::command::{GENERIC, NOT_FOUND, exists, invalid, no_taskgroup, not_found, refused};
use super::events::Now;
use super::need::quantities;
use super::records::{
    After, AppRecord, Cause, FORMAT, Key, Name, Operation, OperationKind, Replacement,
};
use super::state::{App, Cluster, Wish};

/// The most instances of one application.
const MOST_INSTANCES: u64 = 10_000;

impl Cluster {
    pub(super) fn check(&self, version: &Version) -> Result<Name, Failure> {
        let name = Name::new(&version.run_as, &version.id);
        let said = name.name.clone();
        check_label("metadata.name", &name.name).map_err(|error| invalid(&said, error))?;
        check_namespace("metadata.namespace", &name.namespace)
            .map_err(|error| invalid(&said, error))?;
        let count = match (version.kind, version.process.len(), version.container.len()) {
            (AppKind::Process, count @ 1.., 0) | (AppKind::Application, 0, count @ 1..) => count,
            (_, 0, 0) => return Err(invalid(&said, "no containers and processes")),
            (_, 1.., 1..) => return Err(invalid(&said, "containers and processes cannot coexist")),
            (kind, _, _) => {
                return Err(invalid(
                    &said,
                    format!("Kind {kind} is invalid for this template"),
                ));
            }
        };
        for (position, process) in version.process.iter().enumerate() {
            quantities(&process.resources).map_err(|error| {
                invalid(
                    &said,
                    format!("spec.template.spec.processes[{position}].{error}"),
                )
            })?;
        }
        let id = TaskGroupId {
            index: MOST_INSTANCES,
            app: name.name.clone(),
            namespace: name.namespace.clone(),
            cluster: self.rules.cluster.clone(),
            nanos: u64::MAX,
        };
        id.check_length(u64::try_from(count).unwrap_or(u64::MAX))
            .map_err(|error| invalid(&said, error))?;
        let constrained = version
            .constraints
            .iter()
            .flat_map(|all| &all.intersection_item)
            .any(|item| {
                item.union_data
                    .iter()
                    .any(|datum| datum.operate != "TOLERATION")
            });
        if constrained {
            return Err(Failure::new(
                StatusCode::NOT_IMPLEMENTED,
                GENERIC,
                format!(
                    "({said}): constraints other than TOLERATION are not implemented; remove \
                     constraint.intersectionItem"
                ),
            ));
        }
        Ok(name)
    }

    pub(super) fn create(&mut self, mut version: Version, now: Now) -> Result<Value, Failure> {
        let name = self.check(&version)?;
        let instances = u64::try_from(version.instances).unwrap_or(0);
        check_instances(&name.name, instances)?;
        if self.apps.contains_key(&name) {
            return Err(exists(version.kind.as_str(), &name));
        }
        if version.object_meta.creation_timestamp == ZERO_TIME {
            version.object_meta.creation_timestamp = rfc3339(now.unix());
        }
        let application = Application {
            kind: version.kind,
            id: name.name.clone(),
            name: name.name.clone(),
            object_meta: version.object_meta.clone(),
            define_instances: instances,
            run_as: name.namespace.clone(),
            cluster_id: self.rules.cluster.clone(),
            created: now.unix(),
            update_time: now.unix(),
            mode: version.mode.clone(),
            last_status: AppStatus::Staging,
            ..Application::default()
        };
        let record = AppRecord {
            format: FORMAT,
            application,
            version: String::new(),
            operation: None,
        };
        self.apps.insert(name.clone(), App::new(record));
        let version = self.add_version(&name, version, now);
        let limit = self.rules.launch_deadline_seconds;
        self.begin(
            &name,
            Operation::new(OperationKind::Launch, now.unix(), limit),
            now,
        );
        for index in 0..instances {
            let wish = Wish::now(&version, now);
            self.wish(&name, index, wish, now);
        }
        Ok(Value::Null)
    }

    /// The application, when an operation may begin on it. One that only waits for room may be
    /// operated on: else nobody could make it smaller.
    pub(super) fn operable(&self, name: &Name, kind: Option<&str>) -> Result<&App, Failure> {
        let app = self.app_of_kind(name, kind)?;
        let status = app.record.application.status;
        let stuck = app.why.is_some()
            && app
                .record
                .operation
                .as_ref()
                .is_some_and(|operation| operation.kind != OperationKind::Delete);
        let busy = app.record.operation.is_some() || status == AppStatus::RollingUpdate;
        if busy && !stuck {
            let status = if app.record.operation.is_some() {
                AppStatus::Operating
            } else {
                status
            };
            return Err(refused(
                &name.name,
                format!("Operation Not Allowed, the status of the app is {status}"),
            ));
        }
        Ok(app)
    }

    pub(super) fn app_of_kind(&self, name: &Name, kind: Option<&str>) -> Result<&App, Failure> {
        self.apps
            .get(name)
            .filter(|app| kind.is_none_or(|kind| app.record.application.kind.as_str() == kind))
            .ok_or_else(|| not_found(kind.unwrap_or("application"), name))
    }

    pub(super) fn update(
        &mut self,
        name: &Name,
        mut version: Version,
        instances: u64,
        resources_only: bool,
        now: Now,
    ) -> Result<Value, Failure> {
        let app = self.operable(name, None)?;
        let wanted = app.wanted();
        if version.kind != app.record.application.kind {
            let kind = app.record.application.kind;
            return Err(invalid(
                &name.name,
                format!("kind cannot change from {kind}"),
            ));
        }
        if instances > wanted {
            let text = format!("instances {instances} is more than the {wanted} it has");
            return Err(invalid(&name.name, text));
        }
        version.instances = i64::try_from(wanted).unwrap_or(i64::MAX);
        version.run_as.clone_from(&name.namespace);
        version.id.clone_from(&name.name);
        self.check(&version)?;
        version.object_meta.creation_timestamp = app
            .record
            .application
            .object_meta
            .creation_timestamp
            .clone();
        let meta = version.object_meta.clone();
        let count = if instances == 0 { wanted } else { instances };
        let version = self.add_version(name, version, now);
        if let Some(app) = self.apps.get_mut(name) {
            app.record.application.object_meta = meta;
        }
        if resources_only {
            self.begin_resize(name, version, now);
        } else {
            self.recreate(name, version, count, now);
        }
        Ok(Value::Null)
    }

    pub(super) fn begin_resize(&mut self, name: &Name, version: String, now: Now) {
        let limit = self.rules.operation_deadline_seconds;
        let mut operation = Operation::new(OperationKind::UpdateResource, now.unix(), limit);
        operation.version = version;
        if let Some(app) = self.apps.get(name) {
            operation.indexes = app.groups().map(|group| group.group.instance_id).collect();
        }
        self.begin(name, operation, now);
        self.place = true;
    }

    /// Replaces the first `count` indexes by taskgroups of a version.
    pub(super) fn recreate(&mut self, name: &Name, version: String, count: u64, now: Now) {
        let limit = self.rules.operation_deadline_seconds;
        let mut operation = Operation::new(OperationKind::Update, now.unix(), limit);
        operation.indexes = (0..count).collect();
        operation.version.clone_from(&version);
        self.begin(name, operation, now);
        for index in 0..count {
            if self.group(name, index).is_none() {
                let wish = Wish::now(&version, now);
                self.wish(name, index, wish, now);
                continue;
            }
            self.unwish(name, index);
            let replacement = Replacement {
                cause: Cause::Update,
                version: version.clone(),
                not_before: now.unix_millis,
                retain_until: 0,
                times: 0,
                stumbles: 0,
            };
            self.stop(name, index, After::Replace(replacement), now);
        }
    }

    pub(super) fn rollback(
        &mut self,
        name: &Name,
        to: Option<&str>,
        now: Now,
    ) -> Result<Value, Failure> {
        let app = self.operable(name, None)?;
        let target = match to {
            Some(version) => app.versions.get(version),
            None => app
                .versions
                .range(..app.record.version.clone())
                .next_back()
                .map(|(_, v)| v),
        };
        let Some(target) = target else {
            let text = to.map_or_else(
                || "there is no version before the current one".to_owned(),
                |version| {
                    format!("version {version:?} not found; list the versions for their names")
                },
            );
            return Err(Failure::new(
                StatusCode::NOT_FOUND,
                NOT_FOUND,
                format!("({}): {text}", name.name),
            ));
        };
        let version = target.as_ref().clone();
        self.update(name, version, 0, false, now)
    }

    pub(super) fn scale(
        &mut self,
        name: &Name,
        instances: u64,
        kind: Option<&str>,
        now: Now,
    ) -> Result<Value, Failure> {
        check_instances(&name.name, instances)?;
        let app = self.operable(name, kind)?;
        let (before, version) = (app.wanted(), app.record.version.clone());
        let last = app.slots.last_key_value().map_or(0, |(index, _)| index + 1);
        if let Some(app) = self.apps.get_mut(name) {
            app.record.application.define_instances = instances;
            self.out.mark(Key::App(name.clone()));
        }
        let kind = if instances > before {
            OperationKind::ScaleUp
        } else {
            OperationKind::ScaleDown
        };
        let limit = self.rules.operation_deadline_seconds;
        self.begin(name, Operation::new(kind, now.unix(), limit), now);
        for index in instances..before.max(last) {
            self.unwish(name, index);
            self.stop(name, index, After::Remove, now);
        }
        for index in before..instances {
            let wish = Wish::now(&version, now);
            let leaving = self.group(name, index).is_some();
            if leaving {
                let replacement = Replacement {
                    cause: Cause::Update,
                    version: version.clone(),
                    not_before: now.unix_millis,
                    retain_until: 0,
                    times: 0,
                    stumbles: 0,
                };
                self.stop(name, index, After::Replace(replacement), now);
            } else {
                self.wish(name, index, wish, now);
            }
        }
        Ok(Value::Null)
    }

    pub(super) fn delete(
        &mut self,
        name: &Name,
        enforce: bool,
        kind: Option<&str>,
        now: Now,
    ) -> Result<Value, Failure> {
        let app = self.app_of_kind(name, kind)?;
        let under_way = app
            .record
            .operation
            .as_ref()
            .map(|operation| operation.kind);
        if under_way == Some(OperationKind::Delete) && !enforce {
            return Ok(Value::Null);
        }
        if under_way.is_some() && !enforce {
            self.operable(name, kind).map_err(|mut failure| {
                failure.message.push_str("; wait, or delete with enforce=1");
                failure
            })?;
        }
        let indexes: Vec<u64> = self
            .apps
            .get(name)
            .map(|app| app.slots.keys().copied().collect())
            .unwrap_or_default();
        self.begin(
            name,
            Operation::new(OperationKind::Delete, now.unix(), i64::from(u32::MAX)),
            now,
        );
        for index in indexes {
            self.unwish(name, index);
            self.stop(name, index, After::Remove, now);
            if enforce {
                self.drop_group(name, index);
            }
        }
        Ok(Value::Null)
    }

    pub(super) fn reschedule(
        &mut self,
        id: &str,
        retain_seconds: i64,
        now: Now,
    ) -> Result<Value, Failure> {
        let (name, index) = self.find(id).ok_or_else(|| no_taskgroup(id))?;
        let Some(group) = self.group(&name, index) else {
            return Err(no_taskgroup(id));
        };
        let taken = match &group.after {
            After::Remove => Some("is being removed"),
            After::Replace(replacement) if replacement.cause == Cause::Update => {
                Some("is being updated")
            }
            After::Keep | After::Replace(_) => None,
        };
        if let Some(why) = taken {
            return Err(refused(&name.name, format!("taskgroup {id:?} {why}")));
        }
        let retain = retain_seconds.clamp(0, 86_400).saturating_mul(1000);
        let replacement = Replacement {
            cause: Cause::Manual,
            version: self.version_for(&name, index),
            not_before: now.unix_millis,
            retain_until: if retain > 0 {
                now.unix_millis.saturating_add(retain)
            } else {
                0
            },
            times: group.group.rescheduled_times + 1,
            stumbles: 0,
        };
        self.unwish(&name, index);
        self.stop(&name, index, After::Replace(replacement), now);
        Ok(Value::Null)
    }

    pub(super) fn send(
        &mut self,
        name: &Name,
        taskgroup: Option<&str>,
        message: &BcsMessage,
        now: Now,
    ) -> Result<Value, Failure> {
        let app = self
            .apps
            .get(name)
            .ok_or_else(|| not_found("application", name))?;
        let targets: Vec<(u64, String, Status)> = app
            .groups()
            .filter(|group| taskgroup.is_none_or(|id| group.group.id == id))
            .map(|group| {
                (
                    group.group.instance_id,
                    group.group.id.clone(),
                    group.group.status,
                )
            })
            .collect();
        if let Some(id) = taskgroup
            && targets.is_empty()
        {
            return Err(no_taskgroup(id));
        }
        let mut failures = Vec::new();
        for (index, id, status) in targets {
            if status == Status::Running && self.out.connected {
                self.send_message(name, index, message.clone(), now);
            } else {
                let why = if status == Status::Running {
                    "no connection to a master".to_owned()
                } else {
                    "taskgroup is not Running".to_owned()
                };
                failures.push(json!({"ID": id, "Status": status.as_str(), "Err": why}));
            }
        }
        Ok(if failures.is_empty() {
            Value::Null
        } else {
            Value::Array(failures)
        })
    }

    pub(super) fn signal(
        &mut self,
        id: &str,
        kind: MessageType,
        now: Now,
    ) -> Result<Value, Failure> {
        let (name, index) = self.find(id).ok_or_else(|| no_taskgroup(id))?;
        let app = self.operable(&name, None)?;
        if app.record.application.kind != AppKind::Process {
            return Err(invalid(
                &name.name,
                "only processes can be restarted or reloaded in place",
            ));
        }
        let status = self.group(&name, index).map(|group| group.group.status);
        if status != Some(Status::Running) {
            return Err(refused(
                &name.name,
                format!("taskgroup {id:?} is not Running"),
            ));
        }
        if kind == MessageType::ReloadTask {
            let version = self
                .group(&name, index)
                .map(|group| group.group.version_name.clone());
            let version = version.and_then(|version| self.apps.get(&name)?.versions.get(&version));
            let deaf = version.and_then(|version| {
                version
                    .process
                    .iter()
                    .find(|process| process.reload_cmd.is_empty())
            });
            if let Some(process) = deaf {
                return Err(invalid(
                    &name.name,
                    format!(
                        "process {:?} has no reloadCmd; set one in the template, or restart it",
                        process.proc_name
                    ),
                ));
            }
        }
        let message = BcsMessage {
            kind,
            reload_task: (kind == MessageType::ReloadTask).then(Empty::default),
            restart_task: (kind == MessageType::RestartTask).then(Empty::default),
            ..BcsMessage::default()
        };
        let sent = self.send_message(&name, index, message, now);
        serde_json::to_value(sent).map_err(|error| refused(&name.name, error))
    }
}

fn check_instances(name: &str, instances: u64) -> Result<(), Failure> {
    if instances == 0 || instances > MOST_INSTANCES {
        let text = format!("instances {instances} is out of range: 1 to {MOST_INSTANCES}");
        return Err(invalid(name, text));
    }
    Ok(())
}

/// Seconds since 1970 in the form of RFC 3339, UTC.
fn rfc3339(unix: i64) -> String {
    let days = unix.div_euclid(86_400);
    let second = unix.rem_euclid(86_400);
    // Days since 0000-03-01; a year that begins in March ends with its leap day.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 {
        month_shifted + 3
    } else {
        month_shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    #[test]
    pub(super) fn times_read_as_people_write_them() {
        assert_eq!(super::rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(super::rfc3339(1_709_210_096), "2024-02-29T12:34:56Z");
        assert_eq!(super::rfc3339(4_102_444_799), "2099-12-31T23:59:59Z");
    }
}
