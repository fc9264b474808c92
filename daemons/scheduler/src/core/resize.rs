//! Updates in place: new limits for running taskgroups, without a restart.
//!
//! Per taskgroup: wait until its host has room for the growth, send the new limits, wait for the
//! executor's answer. What is open is in the operation's record, so it goes on after a crash;
//! sending the same limits twice does no harm.

use bcs_mesos::scheduler::{Call, call};
use bcs_mesos::{AgentId, ExecutorId, WireName as _};
use bcs_model::dataclass::Resource;
use bcs_model::message::{BcsMessage, MessageStatus, MessageType, TaskResources, UpdateResources};
use bcs_model::status::Status;
use bcs_model::version::{AppKind, Version};

use super::events::Now;
use super::need::quantities;
use super::records::{Group, Key, Name, OperationKind};
use super::state::Cluster;

/// The new requests and limits of one task.
struct NewAmounts {
    request: Resource,
    limit: Resource,
}

impl Cluster {
    /// Sends new limits where they fit and were not sent yet.
    pub(crate) fn resize(&mut self, name: &Name, now: Now) {
        let Some(app) = self.apps.get(name) else {
            return;
        };
        let Some(operation) = &app.record.operation else {
            return;
        };
        if operation.kind != OperationKind::UpdateResource {
            return;
        }
        let Some(version) = app.versions.get(&operation.version).cloned() else {
            return;
        };
        let open: Vec<u64> = operation
            .indexes
            .iter()
            .copied()
            .filter(|index| !operation.sent.contains_key(index))
            .collect();
        let mut why = None;
        for index in open {
            match self.resize_one(name, index, &version, now) {
                Ok(Some(message)) => {
                    if let Some(operation) = self.operation_mut(name) {
                        operation.sent.insert(index, message);
                    }
                }
                Ok(None) => {
                    if let Some(operation) = self.operation_mut(name) {
                        operation.indexes.remove(&index);
                    }
                }
                Err(reason) => why = Some(reason),
            }
        }
        if let Some(app) = self.apps.get_mut(name)
            && app.why != why
        {
            app.why = why;
            self.out.mark(Key::App(name.clone()));
        }
    }

    fn operation_mut(&mut self, name: &Name) -> Option<&mut super::records::Operation> {
        self.out.mark(Key::App(name.clone()));
        self.apps.get_mut(name)?.record.operation.as_mut()
    }

    /// `Ok(None)` when there is nothing to do, `Err` when it must wait.
    fn resize_one(
        &mut self,
        name: &Name,
        index: u64,
        version: &Version,
        now: Now,
    ) -> Result<Option<i64>, String> {
        let Some(group) = self.group(name, index) else {
            return Ok(None);
        };
        if group.kill_since.is_some() || group.group.status != Status::Running {
            // What starts later starts with the current version anyway.
            return Ok(None);
        }
        let amounts = new_amounts(group, version)?;
        let sum = amounts
            .iter()
            .fold(Resource::default(), |sum, new| sum.plus(new.request));
        let now_has = group.group.curr_resource.unwrap_or_default();
        let agent = group.group.agent_id.clone();
        let grown = self.hosts.growth(&agent);
        let free = |what: &str| {
            self.hosts
                .lanes
                .iter()
                .filter(|((lane_agent, _), _)| *lane_agent == agent)
                .map(|(_, lane)| lane.free.scalar(what))
                .sum::<f64>()
        };
        for (what, more, has) in [
            ("cpus", sum.cpus - now_has.cpus, free("cpus") - grown.cpus),
            ("mem", sum.mem - now_has.mem, free("mem") - grown.mem),
        ] {
            if more > 0.0 && more > has + 0.0005 {
                let host = &group.group.host_name;
                return Err(format!(
                    "{host}: needs {more:.3} more {what}, has {:.3}",
                    has.max(0.0)
                ));
            }
        }
        let resources = group
            .group
            .taskgroup
            .iter()
            .zip(&amounts)
            .map(|(task, new)| TaskResources {
                task_id: task.id.clone(),
                cpu: new.limit.cpus,
                mem: new.limit.mem,
            })
            .collect();
        let message = BcsMessage {
            kind: MessageType::UpdateResources,
            update_task_resources: Some(UpdateResources { resources }),
            ..BcsMessage::default()
        };
        Ok(self
            .send_message(name, index, message, now)
            .map(|message| message.id))
    }

    /// Sends a message to an executor and remembers it as the taskgroup's last.
    pub(crate) fn send_message(
        &mut self,
        name: &Name,
        index: u64,
        mut message: BcsMessage,
        now: Now,
    ) -> Option<BcsMessage> {
        message.id = i64::try_from(self.stamp(now)).unwrap_or(i64::MAX);
        message.create_time = now.unix();
        message.status = MessageStatus::Staging;
        let group = self.group(name, index)?;
        message.task_group_id = Some(bcs_model::message::MessageTaskId {
            value: group.group.id.clone(),
        });
        self.post_message(
            &group.group.agent_id.clone(),
            &group.group.executor_id.clone(),
            &message,
        );
        let mut kept = message.clone();
        // Contents may be secret and large; the record needs the outcome only.
        if let Some(local) = &mut kept.local {
            local.base64.clear();
        }
        kept.secret = None;
        self.change_group(name, index, |group| {
            group.group.bcs_event_message = Some(kept);
        });
        Some(message)
    }

    fn post_message(&mut self, agent_id: &str, executor_id: &str, message: &BcsMessage) {
        let Ok(data) = serde_json::to_vec(message) else {
            return;
        };
        let call = Call {
            r#type: Some(call::Type::Message.number()),
            framework_id: self.framework(),
            message: Some(call::Message {
                agent_id: AgentId {
                    value: agent_id.to_owned(),
                },
                executor_id: ExecutorId {
                    value: executor_id.to_owned(),
                },
                data: data.into(),
            }),
            ..Call::default()
        };
        self.out.call(call);
    }

    /// After a new subscription: limits that nobody answered for are sent again.
    pub(crate) fn resend_limits(&mut self) {
        let names: Vec<Name> = self.apps.keys().cloned().collect();
        for name in names {
            let Some(operation) = self
                .apps
                .get_mut(&name)
                .and_then(|app| app.record.operation.as_mut())
            else {
                continue;
            };
            if operation.kind == OperationKind::UpdateResource {
                operation.sent.clear();
                self.place = true;
            }
        }
    }

    /// An executor says what became of a message.
    pub(crate) fn message_result(
        &mut self,
        name: &Name,
        index: u64,
        result: &BcsMessage,
        now: Now,
    ) {
        if result.status == MessageStatus::Staging {
            return;
        }
        let known = self.group(name, index).is_some_and(|group| {
            group
                .group
                .bcs_event_message
                .as_ref()
                .is_some_and(|message| {
                    message.id == result.id && message.status == MessageStatus::Staging
                })
        });
        if !known {
            return;
        }
        self.change_group(name, index, |group| {
            if let Some(message) = &mut group.group.bcs_event_message {
                message.status = result.status;
                message.message.clone_from(&result.message);
                message.complete_time = now.unix();
            }
        });
        let waited = self.apps.get(name).and_then(|app| {
            let operation = app.record.operation.as_ref()?;
            (operation.sent.get(&index) == Some(&result.id)).then(|| operation.version.clone())
        });
        let Some(version_name) = waited else { return };
        let version = self
            .apps
            .get(name)
            .and_then(|app| app.versions.get(&version_name))
            .cloned();
        if let Some(version) = version
            && result.status == MessageStatus::Success
        {
            self.change_group(name, index, |group| resized(group, &version));
        }
        let failed = result.status == MessageStatus::Failed;
        if let Some(operation) = self.operation_mut(name) {
            operation.indexes.remove(&index);
            operation.sent.remove(&index);
            if failed {
                operation
                    .failures
                    .push(format!("taskgroup {index}: {}", result.message));
            }
        }
        if failed {
            let text = format!("resources not updated: {}", result.message);
            self.change_group(name, index, |group| group.group.message = text);
        }
        self.place = true;
    }
}

fn resized(group: &mut Group, version: &Version) {
    let Ok(amounts) = new_amounts(group, version) else {
        return;
    };
    let sum = amounts
        .iter()
        .fold(Resource::default(), |sum, new| sum.plus(new.request));
    for (task, new) in group.group.taskgroup.iter_mut().zip(&amounts) {
        task.data_class.resources = new.request;
        task.data_class.limit_resources = new.limit;
    }
    group.group.curr_resource = Some(sum);
    group.group.version_name.clone_from(&version.name);
}

/// The new amounts of each task: processes are matched by name, containers by image.
fn new_amounts(group: &Group, version: &Version) -> Result<Vec<NewAmounts>, String> {
    group
        .group
        .taskgroup
        .iter()
        .map(|task| match version.kind {
            AppKind::Process => {
                let process = version
                    .process
                    .iter()
                    .find(|process| process.proc_name == task.name)
                    .ok_or_else(|| format!("the new version has no process {:?}", task.name))?;
                let (request, limit) = quantities(&process.resources)?;
                Ok(NewAmounts { request, limit })
            }
            AppKind::Application => {
                let container = version
                    .container
                    .iter()
                    .find(|container| container.docker.image == task.image)
                    .ok_or_else(|| format!("the new version has no image {:?}", task.image))?;
                Ok(NewAmounts {
                    request: container.resources,
                    limit: container.limit_resources,
                })
            }
        })
        .collect()
}
