//! Offers: who gets what is free, when it is taken back.
//!
//! All that is free at an agent goes as one offer to one framework: the one with the smallest dominant share, and
//! among equals the one whose last offer is oldest. Nothing waits for a round: whatever frees resources marks the
//! agent, and the step that marked it makes the offer.

use bcs_mesos::types::{
    Address, AgentId, AllocationInfo, Filters, FrameworkId, Offer, OfferId, Url,
};
use bcs_mesos::{Resources, WireName as _, scheduler};
use scheduler::event::{Offers, Rescind, Type};

use super::view::address_of;
use super::{Core, Filter, Framework, Now, OfferRecord, milliseconds};

/// Less than this of everything is not worth an offer (thousandths of a core, thousandths of a MB).
const SMALLEST_CPUS: i64 = 10;
const SMALLEST_MEM: i64 = 32_000;

impl Core {
    /// Offers what is free at the agents that changed.
    pub(super) fn allocate(&mut self, now: Now) {
        if self.dirty.is_empty() {
            return;
        }
        let dirty = std::mem::take(&mut self.dirty);
        if !self
            .frameworks
            .values()
            .any(|framework| framework.stream.is_some())
        {
            return;
        }
        let mut cluster = Resources::new();
        for agent in self
            .agents
            .values()
            .filter(|agent| agent.session().is_some())
        {
            cluster.add(&agent.total);
        }
        for agent in dirty {
            self.allocate_agent(&agent, &cluster, now);
        }
    }

    fn allocate_agent(&mut self, agent_id: &AgentId, cluster: &Resources, now: Now) {
        let Some(agent) = self.agents.get(agent_id) else {
            return;
        };
        if agent.session().is_none() || agent.deactivated {
            return;
        }
        let free = agent.free();
        if free.thousandths("cpus") < SMALLEST_CPUS && free.thousandths("mem") < SMALLEST_MEM {
            return;
        }
        let choice = self
            .frameworks
            .iter()
            .filter(|(_, framework)| framework.stream.is_some())
            .filter(|(id, framework)| !self.refuses(id, framework, agent_id, &free, now))
            .filter_map(|(id, framework)| {
                let role = framework
                    .roles()
                    .into_iter()
                    .find(|role| !framework.suppressed.contains(role))?;
                Some((
                    self.dominant_share(id, framework, cluster),
                    framework.last_offer,
                    id.clone(),
                    role,
                ))
            })
            .min_by(|left, right| {
                left.0
                    .total_cmp(&right.0)
                    .then(left.1.cmp(&right.1))
                    .then(left.2.cmp(&right.2))
            });
        if let Some((_, _, framework, role)) = choice {
            self.make_offer(framework, agent_id.clone(), role, free, now);
        }
    }

    /// Whether it refused, lately, all that it could now have of this agent: what is free, and what it holds offers
    /// for. Anything that came free since then makes the sum larger than what was refused.
    fn refuses(
        &self,
        id: &FrameworkId,
        framework: &Framework,
        agent: &AgentId,
        free: &Resources,
        now: Now,
    ) -> bool {
        let Some(filter) = framework
            .filters
            .get(agent)
            .filter(|filter| filter.until > now.monotonic)
        else {
            return false;
        };
        let mut available = free.clone();
        for offer in self
            .offers
            .values()
            .filter(|offer| offer.agent == *agent && offer.framework == *id)
        {
            available.add(&offer.resources);
        }
        filter.refused.contains(&available)
    }

    /// The largest part of any scalar of the cluster that the framework uses or was offered.
    #[allow(clippy::cast_precision_loss, reason = "a share, not an amount")]
    fn dominant_share(&self, id: &FrameworkId, framework: &Framework, cluster: &Resources) -> f64 {
        if self.frameworks.len() < 2 {
            return 0.0;
        }
        let mut held = Resources::new();
        for record in framework.tasks.values().filter(|record| record.holds) {
            held.add(&record.resources);
        }
        for executor in framework.executors.values() {
            held.add(&executor.resources);
        }
        for offer in self.offers.values().filter(|offer| offer.framework == *id) {
            held.add(&offer.resources);
        }
        ["cpus", "mem", "disk", "gpus"]
            .iter()
            .filter(|name| cluster.thousandths(name) > 0)
            .map(|name| held.thousandths(name) as f64 / cluster.thousandths(name) as f64)
            .fold(0.0, f64::max)
    }

    fn make_offer(
        &mut self,
        framework: FrameworkId,
        agent_id: AgentId,
        role: String,
        free: Resources,
        now: Now,
    ) {
        let id = OfferId::new(self.identifier("O"));
        self.counter += 1;
        let turn = self.counter;
        let Some(agent) = self.agents.get_mut(&agent_id) else {
            return;
        };
        let Some(receiver) = self.frameworks.get_mut(&framework) else {
            return;
        };
        agent.offered.add(&free);
        receiver.last_offer = turn;
        let hostname = agent.info.hostname.clone();
        let ip = Some(address_of(agent))
            .filter(|address| address.parse::<std::net::IpAddr>().is_ok())
            .map(str::to_owned);
        let offer = Offer {
            id: id.clone(),
            framework_id: framework.clone(),
            agent_id: agent_id.clone(),
            hostname: hostname.clone(),
            url: Some(Url {
                scheme: "https".to_owned(),
                address: Address {
                    hostname: Some(hostname),
                    ip,
                    port: agent.info.port(),
                },
                path: Some("/slave(1)".to_owned()),
                ..Url::default()
            }),
            domain: agent.info.domain.clone(),
            resources: free.to_wire(Some(&role)),
            attributes: agent.info.attributes.clone(),
            executor_ids: receiver
                .executors
                .keys()
                .filter(|(at, _)| *at == agent_id)
                .map(|(_, executor)| executor.clone())
                .collect(),
            unavailability: None,
            allocation_info: Some(AllocationInfo {
                role: Some(role.clone()),
            }),
        };
        let record = OfferRecord {
            framework: framework.clone(),
            agent: agent_id,
            role,
            resources: free,
            made: now.monotonic,
        };
        self.offers.insert(id, record);
        self.send(
            &framework,
            scheduler::Event {
                r#type: Some(Type::Offers.number()),
                offers: Some(Offers {
                    offers: vec![offer],
                }),
                ..scheduler::Event::default()
            },
        );
    }

    /// Takes offers back. `tell`: the framework hears RESCIND (not when it cannot hear, or gave them back itself).
    pub(super) fn withdraw_offers(&mut self, which: impl Fn(&OfferRecord) -> bool, tell: bool) {
        let ids: Vec<OfferId> = self
            .offers
            .iter()
            .filter(|(_, offer)| which(offer))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            let Some(offer) = self.take_offer(&id) else {
                continue;
            };
            if tell {
                let event = scheduler::Event {
                    r#type: Some(Type::Rescind.number()),
                    rescind: Some(Rescind { offer_id: id }),
                    ..scheduler::Event::default()
                };
                self.send(&offer.framework, event);
            }
        }
    }

    /// Ends an offer; its resources are free again.
    pub(super) fn take_offer(&mut self, id: &OfferId) -> Option<OfferRecord> {
        let offer = self.offers.remove(id)?;
        if let Some(agent) = self.agents.get_mut(&offer.agent) {
            agent.offered.subtract(&offer.resources);
        }
        self.dirty.insert(offer.agent.clone());
        Some(offer)
    }

    /// Remembers that the framework does not want these resources for a while. 0 seconds: no filter.
    pub(super) fn filter(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        refused: &Resources,
        filters: Option<&Filters>,
        now: Now,
    ) {
        let seconds = filters.map_or_else(
            || Filters::default().refuse_seconds(),
            Filters::refuse_seconds,
        );
        let duration = milliseconds(seconds);
        if duration == 0 || refused.is_empty() {
            return;
        }
        let until = now.monotonic.saturating_add(duration);
        let Some(framework) = self.frameworks.get_mut(framework) else {
            return;
        };
        match framework.filters.get_mut(agent) {
            // Two parts of one agent refused one after the other: the whole is refused, for the shorter time.
            Some(filter) if filter.until > now.monotonic && !refused.contains(&filter.refused) => {
                filter.refused.add(refused);
                filter.until = filter.until.min(until);
            }
            _ => {
                framework.filters.insert(
                    agent.clone(),
                    Filter {
                        until,
                        refused: refused.clone(),
                    },
                );
            }
        }
    }

    pub(super) fn expire_filters(&mut self, now: Now) {
        for framework in self.frameworks.values_mut() {
            let dirty = &mut self.dirty;
            framework.filters.retain(|agent, filter| {
                let keep = filter.until > now.monotonic;
                if !keep {
                    dirty.insert(agent.clone());
                }
                keep
            });
        }
    }

    /// Whether another framework than the holder waits for offers.
    fn contended(&self, holder: &FrameworkId) -> bool {
        self.frameworks.iter().any(|(id, framework)| {
            id != holder
                && framework.stream.is_some()
                && framework
                    .roles()
                    .iter()
                    .any(|role| !framework.suppressed.contains(role))
                && !self.offers.values().any(|offer| offer.framework == *id)
        })
    }

    pub(super) fn offer_deadline(&self) -> Option<u64> {
        if self.frameworks.len() < 2 {
            return None;
        }
        self.offers
            .values()
            .filter(|offer| self.contended(&offer.framework))
            .map(|offer| offer.made.saturating_add(self.rules.offer_timeout))
            .min()
    }

    /// A framework that sits on offers while another one has none gives them up.
    pub(super) fn expire_offers(&mut self, now: Now) {
        if self.frameworks.len() < 2 {
            return;
        }
        let timeout = self.rules.offer_timeout;
        let due: Vec<OfferId> = self
            .offers
            .iter()
            .filter(|(_, offer)| offer.made.saturating_add(timeout) <= now.monotonic)
            .filter(|(_, offer)| self.contended(&offer.framework))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            let Some(offer) = self.take_offer(&id) else {
                continue;
            };
            let filters = Filters {
                refuse_seconds: None,
            };
            self.filter(
                &offer.framework,
                &offer.agent,
                &offer.resources,
                Some(&filters),
                now,
            );
            let event = scheduler::Event {
                r#type: Some(Type::Rescind.number()),
                rescind: Some(Rescind { offer_id: id }),
                ..scheduler::Event::default()
            };
            self.send(&offer.framework, event);
        }
    }
}
