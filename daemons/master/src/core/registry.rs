//! What outlives the master: which frameworks and agents there are, and which were removed for good.
//!
//! Tasks and executors are not here: the agents have them, and bring them when they register.

use bcs_mesos::types::{AgentId, AgentInfo, FrameworkId, FrameworkInfo};
use serde::{Deserialize, Serialize};

use super::{Agent, Core, Framework, Now, Presence};
use bcs_mesos::Resources;

/// The stored form.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Registry {
    /// The version of this form.
    pub(crate) version: u32,
    #[serde(default)]
    pub(crate) frameworks: Vec<KnownFramework>,
    #[serde(default)]
    pub(crate) agents: Vec<KnownAgent>,
    #[serde(default)]
    pub(crate) removed_frameworks: Vec<FrameworkId>,
    #[serde(default)]
    pub(crate) gone_agents: Vec<AgentId>,
}

/// A framework that was not removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KnownFramework {
    pub(crate) info: FrameworkInfo,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) principal: Option<String>,
    pub(crate) registered: i64,
}

/// An agent that was not given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KnownAgent {
    pub(crate) info: AgentInfo,
    pub(crate) host: String,
    #[serde(default)]
    pub(crate) deactivated: bool,
    /// Set when it was unreachable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unreachable: Option<i64>,
    pub(crate) registered: i64,
}

/// The version that is written.
pub(crate) const VERSION: u32 = 1;

impl Core {
    /// The part of the state that is stored.
    pub(crate) fn registry(&self) -> Registry {
        Registry {
            version: VERSION,
            frameworks: self
                .frameworks
                .values()
                .map(|framework| KnownFramework {
                    info: framework.info.clone(),
                    principal: framework.principal.clone(),
                    registered: framework.registered,
                })
                .collect(),
            agents: self
                .agents
                .values()
                .map(|agent| KnownAgent {
                    info: agent.info.clone(),
                    host: agent.host.clone(),
                    deactivated: agent.deactivated,
                    unreachable: match agent.presence {
                        Presence::Unreachable { since } => Some(since),
                        _ => None,
                    },
                    registered: agent.registered,
                })
                .collect(),
            removed_frameworks: self.removed.iter().cloned().collect(),
            gone_agents: self.gone.iter().cloned().collect(),
        }
    }

    pub(super) fn restore(&mut self, registry: Registry, now: Now) {
        self.removed = registry.removed_frameworks.into();
        self.gone = registry.gone_agents.into();
        for known in registry.frameworks {
            let Some(id) = known.info.id.clone() else {
                continue;
            };
            let mut framework = Framework::recovered(known.info, known.registered);
            framework.principal = known.principal;
            let timeout = framework
                .failover_milliseconds()
                .max(self.rules.agent_timeout);
            framework.deadline = Some(now.monotonic.saturating_add(timeout));
            self.frameworks.insert(id, framework);
        }
        for known in registry.agents {
            let Some(id) = known.info.id.clone() else {
                continue;
            };
            let deadline = now.monotonic.saturating_add(self.rules.agent_timeout);
            let total = Resources::from_wire(&known.info.resources).unwrap_or_default();
            let agent = Agent {
                info: known.info,
                host: known.host,
                presence: match known.unreachable {
                    Some(since) => Presence::Unreachable { since },
                    None => Presence::Recovered { deadline },
                },
                deactivated: known.deactivated,
                software: String::new(),
                total,
                used: Resources::new(),
                offered: Resources::new(),
                registered: known.registered,
                reregistered: None,
            };
            self.agents.insert(id, agent);
        }
    }
}
