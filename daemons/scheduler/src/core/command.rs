//! What callers of the API may order, and how a refusal is said.

use bcs_httpd::Failure;
use bcs_model::message::{BcsMessage, MessageType};
use bcs_model::v4::{AgentSetting, ConfigMap, Secret, Taint};
use bcs_model::version::{ExtendedResource, Version};
use http::StatusCode;
use serde_json::Value;

use super::events::{Now, Ticket};
use super::query::Query;
use super::records::{Key, Name};
use super::state::Cluster;

pub(crate) const GENERIC: i64 = 1_405_200;
pub(crate) const EXISTS: i64 = 1_405_201;
pub(crate) const NOT_FOUND: i64 = 1_405_202;
pub(crate) const INVALID: i64 = 1_405_008;
pub(crate) const PARAMETER: i64 = 1_405_007;

/// An order, or a question.
#[derive(Debug)]
pub(crate) enum Command {
    Create(Box<Version>),
    Update {
        name: Name,
        version: Box<Version>,
        instances: u64,
        resources_only: bool,
    },
    /// To a version by name, or to the one before the current.
    Rollback {
        name: Name,
        to: Option<String>,
    },
    Scale {
        name: Name,
        instances: u64,
        kind: Option<String>,
    },
    Delete {
        name: Name,
        enforce: bool,
        kind: Option<String>,
    },
    Reschedule {
        taskgroup: String,
        retain_seconds: i64,
    },
    /// To one taskgroup, or to all of the application that run.
    Send {
        name: Name,
        taskgroup: Option<String>,
        message: Box<BcsMessage>,
    },
    /// Run the restart or reload command of a process.
    Signal {
        taskgroup: String,
        kind: MessageType,
    },
    PutConfigMap {
        object: Box<ConfigMap>,
        create: bool,
    },
    DeleteConfigMap(Name),
    PutSecret {
        object: Box<Secret>,
        create: bool,
    },
    DeleteSecret(Name),
    PutSettings(Vec<AgentSetting>),
    DeleteSettings {
        ips: Vec<String>,
    },
    Enable {
        ips: Vec<String>,
        enabled: bool,
    },
    Taint(Vec<Taint>),
    ExtendedResource(ExtendedResource),
    /// The result of a remote health check.
    Health {
        task: String,
        check_type: String,
        result: bool,
        message: String,
    },
    Query(Query),
}

pub(crate) fn not_found(kind: &str, name: &Name) -> Failure {
    let text = format!("({}): {kind} {name} not found", name.name);
    Failure::new(StatusCode::NOT_FOUND, NOT_FOUND, text)
}

pub(crate) fn exists(kind: &str, name: &Name) -> Failure {
    let text = format!("({}): {kind} {name} already exists", name.name);
    Failure::new(StatusCode::CONFLICT, EXISTS, text)
}

pub(crate) fn invalid(name: &str, text: impl std::fmt::Display) -> Failure {
    Failure::new(
        StatusCode::BAD_REQUEST,
        INVALID,
        format!("({name}): {text}"),
    )
}

pub(crate) fn refused(name: &str, text: impl std::fmt::Display) -> Failure {
    Failure::new(StatusCode::CONFLICT, GENERIC, format!("({name}): {text}"))
}

pub(crate) fn no_taskgroup(id: &str) -> Failure {
    let id: String = id.chars().take(260).collect();
    Failure::new(
        StatusCode::NOT_FOUND,
        NOT_FOUND,
        format!("taskgroup {id:?} not found"),
    )
}

impl Cluster {
    pub(crate) fn command(&mut self, ticket: Ticket, command: Command, now: Now) {
        let done = match command {
            Command::Query(query) => {
                self.out.queries.push((ticket, query));
                return;
            }
            Command::Create(version) => self.create(*version, now),
            Command::Update {
                name,
                version,
                instances,
                resources_only,
            } => self.update(&name, *version, instances, resources_only, now),
            Command::Rollback { name, to } => self.rollback(&name, to.as_deref(), now),
            Command::Scale {
                name,
                instances,
                kind,
            } => self.scale(&name, instances, kind.as_deref(), now),
            Command::Delete {
                name,
                enforce,
                kind,
            } => self.delete(&name, enforce, kind.as_deref(), now),
            Command::Reschedule {
                taskgroup,
                retain_seconds,
            } => self.reschedule(&taskgroup, retain_seconds, now),
            Command::Send {
                name,
                taskgroup,
                message,
            } => self.send(&name, taskgroup.as_deref(), &message, now),
            Command::Signal { taskgroup, kind } => self.signal(&taskgroup, kind, now),
            Command::PutConfigMap { object, create } => self.put_configmap(*object, create),
            Command::DeleteConfigMap(name) => {
                let found = self.configmaps.remove(&name).is_some();
                self.out.mark(Key::ConfigMap(name.clone()));
                if found {
                    Ok(Value::Null)
                } else {
                    Err(not_found("configmap", &name))
                }
            }
            Command::PutSecret { object, create } => self.put_secret(*object, create),
            Command::DeleteSecret(name) => {
                let found = self.secrets.remove(&name).is_some();
                self.out.mark(Key::Secret(name.clone()));
                if found {
                    Ok(Value::Null)
                } else {
                    Err(not_found("secret", &name))
                }
            }
            Command::PutSettings(settings) => self.put_settings(settings),
            Command::DeleteSettings { ips } => {
                for ip in ips {
                    self.settings.remove(&ip);
                    self.out.mark(Key::Setting(ip));
                }
                self.place = true;
                Ok(Value::Null)
            }
            Command::Enable { ips, enabled } => self.enable(&ips, enabled),
            Command::Taint(taints) => {
                for taint in taints {
                    self.setting(&taint.inner_ip).no_schedule = taint.no_schedule;
                }
                Ok(Value::Null)
            }
            Command::ExtendedResource(resource) => {
                let ip = resource.inner_ip.clone();
                self.setting(&ip)
                    .extended_resources
                    .insert(resource.name.clone(), resource);
                Ok(Value::Null)
            }
            Command::Health {
                task,
                check_type,
                result,
                message,
            } => self.remote_health(&task, &check_type, result, &message),
        };
        self.out.reply(ticket, done);
    }
}
