//! Questions: answered from the state as the batch leaves it, told after its commit.

use bcs_httpd::Failure;
use bcs_mesos::{Attribute, Offer, Resources, ValueType, WireName as _};
use bcs_model::v4::{AgentSetting, ClusterAgent, ClusterResources};
use http::StatusCode;
use serde_json::{Value, json};

use super::command::{NOT_FOUND, no_taskgroup, not_found};
use super::hosts::Agent;
use super::records::Name;
use super::state::Cluster;
use super::step::{application_value, masked, taskgroup_value};

/// A question.
#[derive(Debug)]
pub(crate) enum Query {
    Application {
        name: Name,
        kind: Option<String>,
    },
    /// All of a namespace, or of all of them.
    Applications {
        namespace: Option<String>,
    },
    TaskGroups(Name),
    TaskGroup(String),
    /// Where the executor of a taskgroup is; `scheme` is that of the agents.
    Location {
        id: String,
        scheme: &'static str,
    },
    Versions(Name),
    Version {
        name: Name,
        version: String,
    },
    Definition(Name),
    Settings {
        ips: Vec<String>,
    },
    Offers,
    Resources,
    ConfigMaps {
        namespace: Option<String>,
    },
    ConfigMap(Name),
    Secrets {
        namespace: Option<String>,
    },
    Secret(Name),
    /// Every object, as lines of the watch feed without revision.
    Snapshot,
}

impl Cluster {
    pub(crate) fn query(&self, query: Query) -> Result<Value, Failure> {
        match query {
            Query::Application { name, kind } => {
                let app = self.apps.get(&name).filter(|app| {
                    kind.as_ref()
                        .is_none_or(|kind| app.record.application.kind.as_str() == kind)
                });
                let value = app.and_then(application_value);
                value.ok_or_else(|| not_found(kind.as_deref().unwrap_or("application"), &name))
            }
            Query::Applications { namespace } => Ok(self
                .apps
                .iter()
                .filter(|(name, _)| {
                    namespace
                        .as_ref()
                        .is_none_or(|only| name.namespace == *only)
                })
                .filter_map(|(_, app)| application_value(app))
                .collect()),
            Query::TaskGroups(name) => {
                let app = self
                    .apps
                    .get(&name)
                    .ok_or_else(|| not_found("application", &name))?;
                Ok(app
                    .groups()
                    .filter_map(|group| taskgroup_value(&group.group))
                    .collect())
            }
            Query::TaskGroup(id) => self
                .find(&id)
                .and_then(|(name, index)| taskgroup_value(&self.group(&name, index)?.group))
                .ok_or_else(|| no_taskgroup(&id)),
            Query::Location { id, scheme } => self.location(&id, scheme),
            Query::Versions(name) => {
                let app = self
                    .apps
                    .get(&name)
                    .ok_or_else(|| not_found("application", &name))?;
                Ok(app
                    .versions
                    .keys()
                    .map(|version| Value::from(version.as_str()))
                    .collect())
            }
            Query::Version { name, version } => {
                let app = self
                    .apps
                    .get(&name)
                    .ok_or_else(|| not_found("application", &name))?;
                let found = app.versions.get(&version).ok_or_else(|| {
                    let text = format!("({}): version {version:?} not found", name.name);
                    Failure::new(StatusCode::NOT_FOUND, NOT_FOUND, text)
                })?;
                encode(found.as_ref())
            }
            Query::Definition(name) => {
                let app = self
                    .apps
                    .get(&name)
                    .ok_or_else(|| not_found("application", &name))?;
                Ok(app
                    .current()
                    .map_or(Value::Null, |version| version.raw_json.clone()))
            }
            Query::Settings { ips } => Ok(self.list_settings(&ips)),
            Query::Offers => Ok(self
                .hosts
                .lanes
                .values()
                .flat_map(|lane| lane.offers.values())
                .filter_map(|offer| serde_json::to_value(self.enriched(offer)).ok())
                .collect()),
            Query::Resources => encode(&self.cluster_resources()),
            Query::ConfigMaps { namespace } => Ok(self
                .configmaps
                .iter()
                .filter(|(name, _)| {
                    namespace
                        .as_ref()
                        .is_none_or(|only| name.namespace == *only)
                })
                .filter_map(|(_, object)| serde_json::to_value(object).ok())
                .collect()),
            Query::ConfigMap(name) => match self.configmaps.get(&name) {
                Some(object) => encode(object),
                None => Err(not_found("configmap", &name)),
            },
            Query::Secrets { namespace } => Ok(self
                .secrets
                .iter()
                .filter(|(name, _)| {
                    namespace
                        .as_ref()
                        .is_none_or(|only| name.namespace == *only)
                })
                .filter_map(|(_, object)| masked(object))
                .collect()),
            Query::Secret(name) => self
                .secrets
                .get(&name)
                .and_then(masked)
                .ok_or_else(|| not_found("secret", &name)),
            Query::Snapshot => Ok(self
                .snapshot()
                .into_iter()
                .map(|change| {
                    json!({"kind": change.kind, "namespace": change.namespace,
                           "name": change.name, "object": change.object})
                })
                .collect()),
        }
    }

    fn location(&self, id: &str, scheme: &str) -> Result<Value, Failure> {
        let (name, index) = self.find(id).ok_or_else(|| no_taskgroup(id))?;
        let group = self.group(&name, index).ok_or_else(|| no_taskgroup(id))?;
        let agent = self.hosts.agents.get(&group.group.agent_id);
        let address = agent
            .map(|agent| agent.address.as_str())
            .filter(|text| !text.is_empty());
        let Some(address) = address else {
            let host = &group.group.host_name;
            return Err(Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                1_405_009,
                format!("the agent of host {host:?} is not known now; try again when it is back"),
            ));
        };
        let tasks: Vec<Value> = group
            .group
            .taskgroup
            .iter()
            .map(|task| json!({"name": task.name, "taskId": task.id}))
            .collect();
        Ok(json!({
            "agent": {"endpoint": format!("{scheme}://{address}"), "id": group.group.agent_id,
                      "hostname": group.group.host_name},
            "frameworkId": self.framework_id,
            "executorId": group.group.executor_id,
            "tasks": tasks,
        }))
    }

    /// The setting of a host, with its taskgroups; a host without one has an empty one.
    fn setting_view(&self, ip: &str) -> AgentSetting {
        let mut setting = self.settings.get(ip).cloned().unwrap_or_default();
        ip.clone_into(&mut setting.inner_ip);
        setting.pods = self
            .hosts
            .agent_by_ip(ip)
            .into_iter()
            .flat_map(|(id, _)| self.hosts.groups(id))
            .filter_map(|(name, index)| Some(self.group(name, *index)?.group.id.clone()))
            .collect();
        setting
    }

    fn list_settings(&self, ips: &[String]) -> Value {
        let mut all: std::collections::BTreeSet<&str> =
            self.settings.keys().map(String::as_str).collect();
        all.extend(self.hosts.agents.values().map(|agent| agent.ip.as_str()));
        all.into_iter()
            .filter(|ip| ips.is_empty() || ips.iter().any(|wanted| wanted == ip))
            .filter_map(|ip| serde_json::to_value(self.setting_view(ip)).ok())
            .collect()
    }

    /// An offer with the attributes of its host's setting.
    fn enriched(&self, offer: &Offer) -> Offer {
        let mut offer = offer.clone();
        let Some(agent) = self.hosts.agents.get(&offer.agent_id.value) else {
            return offer;
        };
        let Some(setting) = self.settings.get(&agent.ip) else {
            return offer;
        };
        for (name, text) in &setting.strings {
            offer.attributes.push(Attribute {
                name: name.clone(),
                r#type: ValueType::Text.number(),
                text: Some(bcs_mesos::Text {
                    value: text.value.clone(),
                }),
                ..Attribute::default()
            });
        }
        for (name, scalar) in &setting.scalars {
            offer.attributes.push(Attribute {
                name: name.clone(),
                r#type: ValueType::Scalar.number(),
                scalar: Some(bcs_mesos::Scalar {
                    value: scalar.value,
                }),
                ..Attribute::default()
            });
        }
        if !setting.no_schedule.is_empty() {
            let item = setting
                .no_schedule
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            offer.attributes.push(Attribute {
                name: "NoSchedule".to_owned(),
                r#type: ValueType::Set.number(),
                set: Some(bcs_mesos::Set { item }),
                ..Attribute::default()
            });
        }
        offer
    }

    fn cluster_resources(&self) -> ClusterResources {
        let mut all = ClusterResources::default();
        for (_, agent) in self.hosts.agents.iter().filter(|(_, agent)| agent.active) {
            let entry = self.agent_resources(agent);
            all.cputotal += entry.cputotal;
            all.memtotal += entry.memtotal;
            all.disktotal += entry.disktotal;
            all.cpuused += entry.cpuused;
            all.memused += entry.memused;
            all.diskused += entry.diskused;
            all.agents.push(entry);
        }
        all
    }

    fn agent_resources(&self, agent: &Agent) -> ClusterAgent {
        let amount = |of: Option<&Resources>, name: &str| of.map_or(0.0, |all| all.scalar(name));
        let setting = self.settings.get(&agent.ip);
        let (total, used) = (agent.total.as_ref(), agent.allocated.as_ref());
        ClusterAgent {
            hostname: agent.hostname.clone(),
            ip: agent.ip.clone(),
            cputotal: amount(total, "cpus"),
            memtotal: amount(total, "mem"),
            disktotal: amount(total, "disk"),
            cpuused: amount(used, "cpus"),
            memused: amount(used, "mem"),
            diskused: amount(used, "disk"),
            disabled: setting.is_some_and(|setting| setting.disabled),
            host_attributes: super::place::attributes(agent, None),
            attributes: super::place::attributes(agent, setting),
            registered_time: agent.registered_nanos,
            reregistered_time: agent.reregistered_nanos,
        }
    }
}

fn encode(object: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(object).map_err(|error| {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            1_405_011,
            format!("cannot encode: {error}"),
        )
    })
}
