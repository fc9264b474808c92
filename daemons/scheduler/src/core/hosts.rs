//! Agents and the offers of their resources.
//!
//! Offers are kept until they are used, rescinded or too old; all offers of one agent in one role
//! form a *lane*, which one ACCEPT takes whole. Offers never survive a lost connection.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bcs_mesos::operator::response::GetAgentsAgent;
use bcs_mesos::{Attribute, Offer, Resources};
use bcs_model::dataclass::Resource;

use super::records::Name;

/// The attribute that holds an agent's address.
const INNER_IP: &str = "InnerIP";

/// What is known of an agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agent {
    pub(crate) hostname: String,
    /// Address: attribute `InnerIP`, else the address it registered with.
    pub(crate) ip: String,
    /// `host:port` of its API.
    pub(crate) address: String,
    pub(crate) attributes: Vec<Attribute>,
    /// All its resources, once the master told.
    pub(crate) total: Option<Resources>,
    /// The most cores and memory that one offer of it had, for want of its total.
    pub(crate) most: (f64, f64),
    pub(crate) active: bool,
    pub(crate) registered_nanos: i64,
    pub(crate) reregistered_nanos: i64,
    pub(crate) allocated: Option<Resources>,
    /// The last random port drawn here.
    pub(crate) port_cursor: u64,
}

/// The offers of one agent in one role.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lane {
    pub(crate) offers: BTreeMap<String, Offer>,
    /// Sum of the offers.
    pub(crate) free: Resources,
}

/// Agent id and role.
pub(crate) type LaneId = (String, String);

/// All agents and offers.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    pub(crate) agents: BTreeMap<String, Agent>,
    pub(crate) lanes: BTreeMap<LaneId, Lane>,
    by_offer: HashMap<String, LaneId>,
    /// Taskgroups by agent.
    groups: BTreeMap<String, BTreeSet<(Name, u64)>>,
    /// What updates in place took beyond the launch, by agent: Mesos does not know of it.
    growth: BTreeMap<String, Resource>,
}

impl Hosts {
    /// Takes offers in. True when an agent is new, so that its details should be fetched.
    pub(crate) fn offers(&mut self, offers: Vec<Offer>) -> bool {
        let mut unknown = false;
        for offer in offers {
            let Ok(resources) = Resources::from_wire(&offer.resources) else {
                // An offer that cannot be read cannot be used either; the master keeps it until
                // the connection ends, which is what a broken peer gets.
                tracing::warn!(
                    offer = offer.id.value,
                    "offer with unreadable resources ignored"
                );
                continue;
            };
            let agent_id = offer.agent_id.value.clone();
            let agent = self.agents.entry(agent_id.clone()).or_default();
            unknown |= agent.total.is_none();
            agent.active = true;
            agent.most.0 = agent.most.0.max(resources.scalar("cpus"));
            agent.most.1 = agent.most.1.max(resources.scalar("mem"));
            agent.hostname.clone_from(&offer.hostname);
            agent.attributes.clone_from(&offer.attributes);
            if let Some(url) = &offer.url {
                let ip = url
                    .address
                    .ip
                    .clone()
                    .or_else(|| url.address.hostname.clone());
                if let Some(ip) = ip {
                    agent.address = format!("{ip}:{}", url.address.port);
                }
            }
            agent.settle_ip();
            let role = offer
                .allocation_info
                .as_ref()
                .and_then(|info| info.role.clone())
                .unwrap_or_else(|| "*".to_owned());
            let lane_id = (agent_id, role);
            let lane = self.lanes.entry(lane_id.clone()).or_default();
            lane.free.add(&resources);
            self.by_offer.insert(offer.id.value.clone(), lane_id);
            lane.offers.insert(offer.id.value.clone(), offer);
        }
        unknown
    }

    /// Forgets an offer; true when it was there.
    pub(crate) fn rescind(&mut self, offer_id: &str) -> bool {
        let Some(lane_id) = self.by_offer.remove(offer_id) else {
            return false;
        };
        if let Some(lane) = self.lanes.get_mut(&lane_id) {
            lane.offers.remove(offer_id);
            lane.free = Resources::new();
            for offer in lane.offers.values() {
                if let Ok(resources) = Resources::from_wire(&offer.resources) {
                    lane.free.add(&resources);
                }
            }
            if lane.offers.is_empty() {
                self.lanes.remove(&lane_id);
            }
        }
        true
    }

    /// Takes a whole lane out of the pool.
    pub(crate) fn take(&mut self, lane_id: &LaneId) -> Option<Lane> {
        let lane = self.lanes.remove(lane_id)?;
        for offer in lane.offers.keys() {
            self.by_offer.remove(offer);
        }
        Some(lane)
    }

    /// Forgets all offers.
    pub(crate) fn clear_offers(&mut self) {
        self.lanes.clear();
        self.by_offer.clear();
    }

    /// Replaces what is known of agents by the master's list.
    pub(crate) fn list(&mut self, agents: Vec<GetAgentsAgent>) {
        let mut seen = BTreeSet::new();
        for entry in agents {
            let info = entry.agent_info;
            let Some(id) = info.id else { continue };
            seen.insert(id.value.clone());
            let agent = self.agents.entry(id.value).or_default();
            agent.hostname = info.hostname;
            agent.attributes = info.attributes;
            agent.active = entry.active;
            // "slave(1)@ip:port"
            if let Some((_, address)) = entry.pid.as_deref().and_then(|pid| pid.split_once('@')) {
                agent.address = address.to_owned();
            } else if agent.address.is_empty() {
                agent.address = format!("{}:{}", agent.hostname, info.port.unwrap_or(5051));
            }
            let total = if entry.total_resources.is_empty() {
                info.resources
            } else {
                entry.total_resources
            };
            agent.total = Resources::from_wire(&total).ok();
            agent.allocated = Resources::from_wire(&entry.allocated_resources).ok();
            agent.registered_nanos = entry.registered_time.map_or(0, |time| time.nanoseconds);
            agent.reregistered_nanos = entry.reregistered_time.map_or(0, |time| time.nanoseconds);
            agent.settle_ip();
        }
        let (lanes, groups) = (&self.lanes, &self.groups);
        self.agents.retain(|id, _| {
            seen.contains(id)
                || groups.get(id).is_some_and(|groups| !groups.is_empty())
                || lanes.keys().any(|(agent, _)| agent == id)
        });
        for (id, agent) in &mut self.agents {
            agent.active &= seen.contains(id);
        }
    }

    /// A taskgroup is on this agent from now on.
    pub(crate) fn add_group(&mut self, agent_id: &str, app: &Name, index: u64, growth: Resource) {
        self.groups
            .entry(agent_id.to_owned())
            .or_default()
            .insert((app.clone(), index));
        self.grow(agent_id, growth, 1.0);
    }

    /// It no longer is.
    pub(crate) fn remove_group(
        &mut self,
        agent_id: &str,
        app: &Name,
        index: u64,
        growth: Resource,
    ) {
        if let Some(groups) = self.groups.get_mut(agent_id) {
            groups.remove(&(app.clone(), index));
            if groups.is_empty() {
                self.groups.remove(agent_id);
            }
        }
        self.grow(agent_id, growth, -1.0);
    }

    /// Changes what updates in place took.
    pub(crate) fn grow(&mut self, agent_id: &str, by: Resource, sign: f64) {
        if by == Resource::default() {
            return;
        }
        let growth = self.growth.entry(agent_id.to_owned()).or_default();
        growth.cpus = (growth.cpus + sign * by.cpus).max(0.0);
        growth.mem = (growth.mem + sign * by.mem).max(0.0);
    }

    pub(crate) fn growth(&self, agent_id: &str) -> Resource {
        self.growth.get(agent_id).copied().unwrap_or_default()
    }

    /// Taskgroups on an agent.
    pub(crate) fn groups(&self, agent_id: &str) -> impl Iterator<Item = &(Name, u64)> {
        self.groups.get(agent_id).into_iter().flatten()
    }

    pub(crate) fn agent_by_ip(&self, ip: &str) -> Option<(&String, &Agent)> {
        self.agents.iter().find(|(_, agent)| agent.ip == ip)
    }
}

impl Agent {
    fn settle_ip(&mut self) {
        let inner = self
            .attributes
            .iter()
            .find(|attribute| attribute.name == INNER_IP)
            .and_then(|attribute| attribute.text.as_ref())
            .map(|text| text.value.clone());
        self.ip = inner.unwrap_or_else(|| {
            let host = self.address.rsplit_once(':').map_or("", |(host, _)| host);
            if host.is_empty() {
                self.hostname.clone()
            } else {
                host.to_owned()
            }
        });
    }
}
