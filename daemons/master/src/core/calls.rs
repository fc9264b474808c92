//! Calls of schedulers other than SUBSCRIBE: who may, and to what they lead.

use bcs_mesos::link::{Command, ExecutorMessage, ShutdownCommand};
use bcs_mesos::scheduler;
use bcs_mesos::types::FrameworkId;
use scheduler::call::Type;

use super::{Core, Now, Reply};

fn missing(member: &str) -> Reply {
    Reply::Refused(400, format!("the member {member:?} is missing"))
}

impl Core {
    pub(super) fn call(&mut self, call: scheduler::Call, stream: Option<&str>, now: Now) -> Reply {
        let kind = call.r#type();
        if kind == Type::Unknown {
            return Reply::Refused(400, "type is missing or not known".to_owned());
        }
        let Some(id) = call.framework_id.clone() else {
            return missing("framework_id");
        };
        let Some(framework) = self.frameworks.get(&id) else {
            return Reply::Refused(400, format!("framework {id} cannot be found"));
        };
        let Some(current) = framework.stream.as_deref() else {
            return Reply::Refused(403, format!("framework {id} is not subscribed"));
        };
        let Some(stream) = stream else {
            return Reply::Refused(
                400,
                "all calls but SUBSCRIBE need the header Mesos-Stream-Id".to_owned(),
            );
        };
        if stream != current {
            return Reply::Refused(
                400,
                format!("stream id {stream} is not that of the subscribed scheduler"),
            );
        }
        self.dispatch(kind, &id, call, now)
    }

    fn dispatch(&mut self, kind: Type, id: &FrameworkId, call: scheduler::Call, now: Now) -> Reply {
        match kind {
            Type::Accept => match call.accept {
                Some(accept) => self.accept(id, accept, now),
                None => return missing("accept"),
            },
            Type::Decline => match call.decline {
                Some(decline) => self.decline(id, &decline, now),
                None => return missing("decline"),
            },
            Type::Revive => self.revive(id, &call.revive.unwrap_or_default().roles),
            Type::Suppress => self.suppress(id, &call.suppress.unwrap_or_default().roles),
            Type::Kill => match call.kill {
                Some(kill) => self.kill(id, kill, now),
                None => return missing("kill"),
            },
            Type::Shutdown => match call.shutdown {
                Some(shutdown) => self.shutdown(id, shutdown),
                None => return missing("shutdown"),
            },
            Type::Acknowledge => match call.acknowledge {
                Some(acknowledge) if acknowledge.uuid.len() == 16 => {
                    self.acknowledge(id, acknowledge);
                }
                Some(_) => {
                    return Reply::Refused(400, "acknowledge.uuid must have 16 bytes".to_owned());
                }
                None => return missing("acknowledge"),
            },
            Type::Reconcile => self.reconcile(id, &call.reconcile.unwrap_or_default(), now),
            Type::Message => match call.message {
                Some(message) => {
                    let command = ExecutorMessage {
                        framework_id: id.clone(),
                        executor_id: message.executor_id,
                        data: message.data,
                    };
                    self.command(
                        &message.agent_id,
                        Command {
                            message: Some(command),
                            ..Command::default()
                        },
                    );
                }
                None => return missing("message"),
            },
            Type::Teardown => self.remove_framework(id),
            Type::UpdateFramework => {
                return match call.update_framework {
                    Some(update) => self.update_framework(id, update, now),
                    None => missing("update_framework"),
                };
            }
            // Nothing of these exists here: no offers are reserved, and none are asked back.
            Type::Request | Type::AcceptInverseOffers | Type::DeclineInverseOffers => {}
            Type::AcknowledgeOperationStatus
            | Type::ReconcileOperations
            | Type::Unknown
            | Type::Subscribe => {
                return Reply::Refused(501, format!("call {kind} is not supported by this master"));
            }
        }
        Reply::Accepted
    }

    fn decline(&mut self, id: &FrameworkId, decline: &scheduler::call::Decline, now: Now) {
        for offer_id in &decline.offer_ids {
            let held = self
                .offers
                .get(offer_id)
                .is_some_and(|offer| offer.framework == *id);
            // Declining an offer that was rescinded meanwhile is no fault.
            let offer = if held {
                self.take_offer(offer_id)
            } else {
                None
            };
            if let Some(offer) = offer {
                self.filter(
                    id,
                    &offer.agent,
                    &offer.resources,
                    decline.filters.as_ref(),
                    now,
                );
            }
        }
    }

    fn revive(&mut self, id: &FrameworkId, roles: &[String]) {
        if let Some(framework) = self.frameworks.get_mut(id) {
            framework.filters.clear();
            if roles.is_empty() {
                framework.suppressed.clear();
            } else {
                framework.suppressed.retain(|role| !roles.contains(role));
            }
        }
        self.dirty.extend(self.agents.keys().cloned());
    }

    fn suppress(&mut self, id: &FrameworkId, roles: &[String]) {
        if let Some(framework) = self.frameworks.get_mut(id) {
            let own = framework.roles();
            framework.suppressed.extend(
                own.into_iter()
                    .filter(|role| roles.is_empty() || roles.contains(role)),
            );
        }
    }

    fn shutdown(&mut self, id: &FrameworkId, shutdown: scheduler::call::Shutdown) {
        let key = (shutdown.agent_id.clone(), shutdown.executor_id.clone());
        if let Some(executor) = self
            .frameworks
            .get_mut(id)
            .and_then(|framework| framework.executors.get_mut(&key))
        {
            executor.shutdown = true;
        }
        // Sent even when it is not known here: the agent may have what this master has not heard of.
        let command = ShutdownCommand {
            framework_id: id.clone(),
            executor_id: shutdown.executor_id,
        };
        self.command(
            &shutdown.agent_id,
            Command {
                shutdown: Some(command),
                ..Command::default()
            },
        );
    }
}
