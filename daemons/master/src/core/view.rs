//! What operators see, and what they may order.

use bcs_mesos::operator::response::{
    GetAgents, GetAgentsAgent, GetExecutors, GetExecutorsExecutor, GetFrameworks,
    GetFrameworksFramework, GetHealth, GetMaster, GetState, GetTasks, GetVersion, Type as Answer,
};
use bcs_mesos::operator::{Call, Event, Response, call, event};
use bcs_mesos::types::{AgentId, FrameworkId, Offer, Task, TaskState, TimeInfo, VersionInfo};
use bcs_mesos::{Resources, WireName as _};

use super::{Agent, Core, Framework, Now, Presence, Reply};

/// What the master calls itself; frameworks compare it with the versions of Mesos.
pub(crate) const PROTOCOL_VERSION: &str = "1.11.0";

fn time(nanoseconds: i64) -> TimeInfo {
    TimeInfo { nanoseconds }
}

fn answer(kind: Answer) -> Response {
    Response {
        r#type: Some(kind.number()),
        ..Response::default()
    }
}

impl Core {
    pub(super) fn operator(&mut self, call: &Call, now: Now) -> Reply {
        use call::Type;
        let response = match call.r#type() {
            Type::GetHealth => Response {
                get_health: Some(GetHealth { healthy: true }),
                ..answer(Answer::GetHealth)
            },
            Type::GetVersion => {
                let version_info = VersionInfo {
                    version: PROTOCOL_VERSION.to_owned(),
                    ..VersionInfo::default()
                };
                Response {
                    get_version: Some(GetVersion { version_info }),
                    ..answer(Answer::GetVersion)
                }
            }
            Type::GetAgents => Response {
                get_agents: Some(self.get_agents()),
                ..answer(Answer::GetAgents)
            },
            Type::GetFrameworks => Response {
                get_frameworks: Some(self.get_frameworks()),
                ..answer(Answer::GetFrameworks)
            },
            Type::GetExecutors => Response {
                get_executors: Some(self.get_executors()),
                ..answer(Answer::GetExecutors)
            },
            Type::GetTasks => Response {
                get_tasks: Some(self.get_tasks()),
                ..answer(Answer::GetTasks)
            },
            Type::GetState => self.state_response(),
            Type::GetMaster => {
                #[allow(
                    clippy::cast_precision_loss,
                    reason = "the protocol has seconds as a double"
                )]
                let start = self.started as f64 / 1e9;
                let master = GetMaster {
                    master_info: Some(self.info.clone()),
                    start_time: Some(start),
                    elected_time: Some(start),
                };
                Response {
                    get_master: Some(master),
                    ..answer(Answer::GetMaster)
                }
            }
            Type::DeactivateAgent => {
                return ordered(call.deactivate_agent.as_ref(), |call| {
                    self.set_deactivated(&call.agent_id, true)
                });
            }
            Type::ReactivateAgent => {
                return ordered(call.reactivate_agent.as_ref(), |call| {
                    self.set_deactivated(&call.agent_id, false)
                });
            }
            Type::MarkAgentGone => {
                return ordered(call.mark_agent_gone.as_ref(), |call| {
                    self.mark_gone(&call.agent_id, now)
                });
            }
            Type::Teardown => {
                return ordered(call.teardown.as_ref(), |call| {
                    if !self.frameworks.contains_key(&call.framework_id) {
                        return Err(format!("framework {} is not known", call.framework_id));
                    }
                    self.remove_framework(&call.framework_id);
                    Ok(())
                });
            }
            Type::Unknown => return Reply::Refused(400, "type is missing or not known".to_owned()),
            other => {
                return Reply::Refused(
                    501,
                    format!("call {other} is not supported by this master"),
                );
            }
        };
        Reply::Answer(Box::new(response))
    }

    pub(super) fn state_response(&self) -> Response {
        let state = GetState {
            get_tasks: Some(self.get_tasks()),
            get_executors: Some(self.get_executors()),
            get_frameworks: Some(self.get_frameworks()),
            get_agents: Some(self.get_agents()),
        };
        Response {
            get_state: Some(state),
            ..answer(Answer::GetState)
        }
    }

    fn get_agents(&self) -> GetAgents {
        let here = |agent: &&Agent| {
            matches!(
                agent.presence,
                Presence::Connected { .. } | Presence::Disconnected { .. }
            )
        };
        GetAgents {
            agents: self
                .agents
                .values()
                .filter(here)
                .map(|agent| self.agent_view(agent))
                .collect(),
            recovered_agents: self
                .agents
                .values()
                .filter(|agent| matches!(agent.presence, Presence::Recovered { .. }))
                .map(|agent| agent.info.clone())
                .collect(),
        }
    }

    fn agent_view(&self, agent: &Agent) -> GetAgentsAgent {
        GetAgentsAgent {
            agent_info: agent.info.clone(),
            active: agent.session().is_some() && !agent.deactivated,
            deactivated: Some(agent.deactivated),
            version: agent.software.clone(),
            pid: Some(format!(
                "slave(1)@{}:{}",
                address_of(agent),
                agent.info.port()
            )),
            registered_time: Some(time(agent.registered)),
            reregistered_time: agent.reregistered.map(time),
            total_resources: agent.total.to_wire(None),
            allocated_resources: agent.used.to_wire(Some("*")),
            offered_resources: agent.offered.to_wire(Some("*")),
            ..GetAgentsAgent::default()
        }
    }

    fn get_frameworks(&self) -> GetFrameworks {
        GetFrameworks {
            frameworks: self
                .frameworks
                .iter()
                .map(|(id, framework)| self.framework_view(id, framework))
                .collect(),
            ..GetFrameworks::default()
        }
    }

    fn framework_view(&self, id: &FrameworkId, framework: &Framework) -> GetFrameworksFramework {
        let mut used = Resources::new();
        for record in framework.tasks.values().filter(|record| record.holds) {
            used.add(&record.resources);
        }
        for executor in framework.executors.values() {
            used.add(&executor.resources);
        }
        let mut offered = Resources::new();
        let mut offers = Vec::new();
        for (offer_id, offer) in self
            .offers
            .iter()
            .filter(|(_, offer)| offer.framework == *id)
        {
            offered.add(&offer.resources);
            offers.push(Offer {
                id: offer_id.clone(),
                framework_id: id.clone(),
                agent_id: offer.agent.clone(),
                resources: offer.resources.to_wire(Some(&offer.role)),
                ..Offer::default()
            });
        }
        GetFrameworksFramework {
            framework_info: framework.info.clone(),
            active: framework.stream.is_some(),
            connected: framework.stream.is_some(),
            recovered: framework.recovered,
            registered_time: Some(time(framework.registered)),
            reregistered_time: framework.reregistered.map(time),
            unregistered_time: None,
            offers,
            allocated_resources: used.to_wire(Some("*")),
            offered_resources: offered.to_wire(Some("*")),
        }
    }

    fn get_executors(&self) -> GetExecutors {
        let executors = self
            .frameworks
            .values()
            .flat_map(|framework| &framework.executors)
            .map(|((agent, _), record)| GetExecutorsExecutor {
                executor_info: record.info.clone(),
                agent_id: agent.clone(),
            })
            .collect();
        GetExecutors {
            executors,
            ..GetExecutors::default()
        }
    }

    fn get_tasks(&self) -> GetTasks {
        let mut view = GetTasks::default();
        for framework in self.frameworks.values() {
            for record in framework.tasks.values() {
                let list: &mut Vec<Task> = match record.state() {
                    TaskState::Unreachable => &mut view.unreachable_tasks,
                    state if state.is_terminal() => &mut view.completed_tasks,
                    _ => &mut view.tasks,
                };
                list.push(record.task.clone());
            }
            view.completed_tasks
                .extend(framework.completed.iter().cloned());
        }
        view
    }

    pub(super) fn framework_notice(&self, id: &FrameworkId, added: bool) -> Event {
        let Some(framework) = self.frameworks.get(id) else {
            return Event::default();
        };
        let framework = self.framework_view(id, framework);
        if added {
            Event {
                r#type: Some(event::Type::FrameworkAdded.number()),
                framework_added: Some(event::FrameworkAdded { framework }),
                ..Event::default()
            }
        } else {
            Event {
                r#type: Some(event::Type::FrameworkUpdated.number()),
                framework_updated: Some(event::FrameworkUpdated { framework }),
                ..Event::default()
            }
        }
    }

    pub(super) fn agent_notice(&self, id: &AgentId) -> Event {
        let Some(agent) = self.agents.get(id) else {
            return Event::default();
        };
        Event {
            r#type: Some(event::Type::AgentAdded.number()),
            agent_added: Some(event::AgentAdded {
                agent: self.agent_view(agent),
            }),
            ..Event::default()
        }
    }
}

/// The address that the agent says of itself, else its name.
/// Where others reach the agent: its `InnerIP`, else its name.
pub(super) fn address_of(agent: &Agent) -> &str {
    agent
        .info
        .attributes
        .iter()
        .find(|attribute| attribute.name == "InnerIP")
        .and_then(|attribute| attribute.text.as_ref())
        .map_or(agent.info.hostname.as_str(), |text| text.value.as_str())
}

fn ordered<T>(call: Option<&T>, order: impl FnOnce(&T) -> Result<(), String>) -> Reply {
    match call.map(order) {
        Some(Ok(())) => Reply::Done,
        Some(Err(text)) => Reply::Refused(404, text),
        None => Reply::Refused(400, "the member of this call is missing".to_owned()),
    }
}
