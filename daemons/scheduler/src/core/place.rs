//! Placement: which host a wished taskgroup goes to, or why none fits.
//!
//! Runs when an offer came, when something freed a wish, or when a setting or an object changed;
//! never by the clock. All taskgroups that fit one agent's offers leave in one ACCEPT.

use std::collections::BTreeMap;

use bcs_mesos::scheduler::{Call, call};
use bcs_mesos::{Filters, OfferId, Operation, Resources, WireName as _};
use bcs_model::taskgroup::Attribute;
use bcs_model::v4::AgentSetting;
use bcs_model::version::{ValueRange, ValueScalar, ValueSet, ValueText, Version};

use super::build::{Identity, Place};
use super::events::{Effect, Now};
use super::hosts::{Agent, Lane, LaneId};
use super::need::Need;
use super::ports;
use super::records::Name;
use super::state::{Cluster, Timer, Wish};

/// Hosts that a reason names.
const NAMED_HOSTS: usize = 8;
/// Payload of one ACCEPT; masters refuse bodies of several megabytes, and payloads grow by a third
/// in JSON.
const ACCEPT_BYTES: usize = 2 * 1024 * 1024;
/// Characters of a reason.
const REASON_LENGTH: usize = 1000;

/// The launches on one lane, collected during a pass.
#[derive(Debug, Default)]
struct Launches {
    operations: Vec<Operation>,
    taskgroups: Vec<String>,
    bytes: usize,
}

impl Cluster {
    /// Tries all wishes that are due. One that fits nowhere stands for its like: the same version
    /// of the same application needs the same.
    pub(crate) fn place_wishes(&mut self, now: Now) {
        if !std::mem::take(&mut self.place) || self.wishing.is_empty() {
            return;
        }
        let mut launches: BTreeMap<LaneId, Launches> = BTreeMap::new();
        let names: Vec<Name> = self.wishing.iter().cloned().collect();
        for name in names {
            let Some(app) = self.apps.get(&name) else {
                continue;
            };
            let due: Vec<(u64, Wish)> = app
                .waiting
                .iter()
                .filter_map(|index| Some((*index, app.slots.get(index)?.wish.clone()?)))
                .filter(|(_, wish)| wish.due <= now.millis)
                .collect();
            let mut failed: Vec<(String, Option<String>)> = Vec::new();
            let mut why = None;
            for (index, wish) in due {
                let retain = wish
                    .retain
                    .as_ref()
                    .filter(|(_, until)| *until > now.millis);
                let like = (wish.version.clone(), retain.map(|(host, _)| host.clone()));
                if failed.contains(&like) {
                    continue;
                }
                if let Err(reason) =
                    self.place_one(&name, index, &wish, like.1.as_deref(), &mut launches, now)
                {
                    failed.push(like);
                    why.get_or_insert(reason);
                }
            }
            if let Some(app) = self.apps.get_mut(&name)
                && app.why != why
            {
                app.why = why;
                self.out.mark(super::records::Key::App(name));
            }
        }
        for (lane_id, launches) in launches {
            self.accept(&lane_id, launches);
        }
    }

    fn accept(&mut self, lane_id: &LaneId, launches: Launches) {
        let Some(lane) = self.hosts.take(lane_id) else {
            return;
        };
        let call = Call {
            r#type: Some(call::Type::Accept.number()),
            framework_id: self.framework(),
            accept: Some(call::Accept {
                offer_ids: lane
                    .offers
                    .into_keys()
                    .map(|value| OfferId { value })
                    .collect(),
                operations: launches.operations,
                filters: Some(Filters {
                    refuse_seconds: Some(self.rules.refuse_seconds),
                }),
            }),
            ..Call::default()
        };
        self.out.effects.push(Effect::Accept {
            call: Box::new(call),
            taskgroups: launches.taskgroups,
            session: self.out.session,
        });
    }

    fn place_one(
        &mut self,
        name: &Name,
        index: u64,
        wish: &Wish,
        retain: Option<&str>,
        launches: &mut BTreeMap<LaneId, Launches>,
        now: Now,
    ) -> Result<(), String> {
        let app = self.apps.get(name).ok_or("the application is gone")?;
        let version = app
            .versions
            .get(&wish.version)
            .or_else(|| app.current())
            .cloned()
            .ok_or_else(|| format!("version {:?} is gone", wish.version))?;
        let need = self.need(&version)?;
        if !self.out.connected {
            return Err("no connection to a master".to_owned());
        }
        let Some(lane_id) = self.choose(&need, &version, retain, launches) else {
            // What the version itself lacks is said before what the hosts lack.
            return Err(self.explain(&need, &version, retain));
        };
        let stamp = self.stamp(now);
        let (lane, agent) = match (
            self.hosts.lanes.get(&lane_id),
            self.hosts.agents.get(&lane_id.0),
        ) {
            (Some(lane), Some(agent)) => (lane, agent),
            _ => return Err("the offer is gone".to_owned()),
        };
        let mut free = lane.free.clone();
        let mut cursor = agent.port_cursor;
        let offered_fixed: Vec<u64> = need
            .fixed_ports
            .iter()
            .copied()
            .filter(|port| ports::has(&free, *port))
            .collect();
        ports::take(&mut free, &offered_fixed);
        let drawn = ports::draw(&mut free, need.random_ports, &mut cursor)
            .ok_or("the host's ports are used up")?;
        let sum = need.sum();
        free.subtract(
            &Resources::new()
                .with_scalar("cpus", sum.cpus)
                .with_scalar("mem", sum.mem)
                .with_scalar("disk", sum.disk),
        );
        let old = self.group(name, index);
        let rescheduled = old.is_some() && wish.times > 0;
        let place = Place {
            agent_id: &lane_id.0,
            hostname: &agent.hostname,
            ip: &agent.ip,
            role: &lane_id.1,
            offer_id: lane.offers.keys().next().map_or("", String::as_str),
            attributes: attributes(agent, self.settings.get(&agent.ip)),
            ports: drawn,
            offered_fixed,
        };
        let last = old.map_or(0, |old| old.group.last_reschedule_time);
        let identity = Identity {
            app: name,
            index,
            stamp,
            rescheduled_times: wish.times,
            last_reschedule: if rescheduled { now.unix() } else { last },
            stumbles: wish.stumbles,
        };
        let (group, operation) = self.build(&version, &need, &place, &identity, now)?;
        let batch = launches.entry(lane_id.clone()).or_default();
        batch.bytes += payload(&operation);
        batch.operations.push(operation);
        batch.taskgroups.push(group.group.id.clone());
        if let Some(lane) = self.hosts.lanes.get_mut(&lane_id) {
            lane.free = free;
        }
        if let Some(agent) = self.hosts.agents.get_mut(&lane_id.0) {
            agent.port_cursor = cursor;
        }
        self.put_group(name, index, group);
        self.unwish(name, index);
        self.note_built(name, index);
        Ok(())
    }

    /// The lane with the most room of those that fit.
    fn choose(
        &self,
        need: &Need,
        version: &Version,
        retain: Option<&str>,
        launches: &BTreeMap<LaneId, Launches>,
    ) -> Option<LaneId> {
        let mut best: Option<(f64, &LaneId)> = None;
        for (lane_id, lane) in &self.hosts.lanes {
            // What is left of a full ACCEPT is offered again at once.
            if launches
                .get(lane_id)
                .is_some_and(|batch| batch.bytes >= ACCEPT_BYTES)
            {
                continue;
            }
            let Some(agent) = self.hosts.agents.get(&lane_id.0) else {
                continue;
            };
            if self
                .misfit(need, version, retain, &lane_id.0, agent, Some(lane))
                .is_some()
            {
                continue;
            }
            let share = |name: &str, most: f64| {
                let total = agent
                    .total
                    .as_ref()
                    .map_or(most, |total| total.scalar(name));
                if total > 0.0 {
                    lane.free.scalar(name) / total
                } else {
                    0.0
                }
            };
            let score = share("cpus", agent.most.0) + share("mem", agent.most.1);
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, lane_id));
            }
        }
        best.map(|(_, lane_id)| lane_id.clone())
    }

    /// Why an agent cannot take it; `None` when it can.
    fn misfit(
        &self,
        need: &Need,
        version: &Version,
        retain: Option<&str>,
        agent_id: &str,
        agent: &Agent,
        lane: Option<&Lane>,
    ) -> Option<String> {
        if let Some(host) = retain
            && host != agent.hostname
        {
            return Some(format!("held for the old host {host}"));
        }
        if let Some(setting) = self.settings.get(&agent.ip) {
            if setting.disabled {
                return Some("disabled".to_owned());
            }
            if let Some(taint) = untolerated(setting, version) {
                return Some(format!("taint {taint} is not tolerated"));
            }
        }
        let Some(lane) = lane else {
            return Some(
                if agent.active {
                    "offers nothing now"
                } else {
                    "not connected"
                }
                .to_owned(),
            );
        };
        let grown = self.hosts.growth(agent_id);
        let sum = need.sum();
        for (name, wanted, taken) in [
            ("cpus", sum.cpus, grown.cpus),
            ("mem", sum.mem, grown.mem),
            ("disk", sum.disk, 0.0),
        ] {
            let has = lane.free.scalar(name) - taken;
            // Half a thousandth, the grain of Mesos' scalars.
            if has + 0.0005 < wanted {
                return Some(format!(
                    "needs {name} {}, has {}",
                    short(wanted),
                    short(has.max(0.0))
                ));
            }
        }
        for port in &need.fixed_ports {
            if !ports::has(&lane.free, *port)
                && (agent
                    .total
                    .as_ref()
                    .is_some_and(|total| ports::has(total, *port))
                    || self.port_in_use(agent_id, *port))
            {
                return Some(format!("port {port} is in use"));
            }
        }
        let offered: u64 = lane
            .free
            .ranges("ports")
            .iter()
            .map(|(begin, end)| end - begin + 1)
            .sum();
        let fixed = need
            .fixed_ports
            .iter()
            .filter(|port| ports::has(&lane.free, **port))
            .count();
        let wanted = need.random_ports + fixed;
        if u64::try_from(wanted).unwrap_or(u64::MAX) > offered {
            return Some(format!("needs {wanted} ports, has {offered}"));
        }
        None
    }

    fn port_in_use(&self, agent_id: &str, port: u64) -> bool {
        self.hosts.groups(agent_id).any(|(name, index)| {
            self.group(name, *index)
                .is_some_and(|group| group.is_live() && group.extra_ports.contains(&port))
        })
    }

    /// In words, host by host, why nothing fits.
    fn explain(&self, need: &Need, version: &Version, retain: Option<&str>) -> String {
        if self.hosts.agents.is_empty() {
            return "no host has joined the cluster".to_owned();
        }
        let mut reasons: Vec<String> = self
            .hosts
            .agents
            .iter()
            .map(|(id, agent)| {
                let lane = self
                    .hosts
                    .lanes
                    .range((id.clone(), String::new())..)
                    .take_while(|((agent, _), _)| agent == id)
                    .map(|(_, lane)| lane)
                    .next();
                let why = self
                    .misfit(need, version, retain, id, agent, lane)
                    .unwrap_or_else(|| "fits, next in line".to_owned());
                let host = if agent.ip.is_empty() { id } else { &agent.ip };
                format!("{host}: {why}")
            })
            .collect();
        reasons.sort();
        let more = reasons.len().saturating_sub(NAMED_HOSTS);
        reasons.truncate(NAMED_HOSTS);
        let mut text = reasons.join("; ");
        if more > 0 {
            text.push_str(&format!("; and {more} more hosts"));
        }
        if text.chars().count() > REASON_LENGTH {
            text = text.chars().take(REASON_LENGTH).collect::<String>() + " …";
        }
        text
    }

    /// Gives an offer back that nobody needed.
    pub(crate) fn offer_due(&mut self, offer_id: &str) {
        if !self.hosts.rescind(offer_id) {
            return;
        }
        let call = Call {
            r#type: Some(call::Type::Decline.number()),
            framework_id: self.framework(),
            decline: Some(call::Decline {
                offer_ids: vec![OfferId {
                    value: offer_id.to_owned(),
                }],
                filters: Some(Filters {
                    refuse_seconds: Some(1.0),
                }),
            }),
            ..Call::default()
        };
        self.out.call(call);
    }

    /// New offers.
    pub(crate) fn on_offers(&mut self, offers: Vec<bcs_mesos::Offer>, now: Now) {
        if self.rules.offer_life_millis > 0 {
            for offer in &offers {
                let at = now.millis + self.rules.offer_life_millis;
                self.timer(at, Timer::Offer(offer.id.value.clone()));
            }
        }
        if self.hosts.offers(offers) {
            self.out.effects.push(Effect::FetchAgents);
        }
        self.place = true;
    }
}

/// Bytes of what a launch carries for its executor.
fn payload(operation: &Operation) -> usize {
    let tasks = operation
        .launch_group
        .iter()
        .flat_map(|launch| &launch.task_group.tasks);
    tasks
        .map(|task| task.data.as_ref().map_or(0, bytes::Bytes::len))
        .sum()
}

/// The first taint of a host that a version does not tolerate. Each must be tolerated by itself.
fn untolerated(setting: &AgentSetting, version: &Version) -> Option<String> {
    let tolerated = |key: &str, value: &str| {
        version
            .constraints
            .iter()
            .flat_map(|all| &all.intersection_item)
            .any(|item| {
                item.union_data.iter().any(|datum| {
                    datum.operate.eq_ignore_ascii_case("TOLERATION")
                        && datum.name == key
                        && datum.text.as_ref().is_some_and(|text| text.value == value)
                })
            })
    };
    setting
        .no_schedule
        .iter()
        .find(|(key, value)| !tolerated(key, value))
        .map(|(key, value)| format!("{key}={value}"))
}

/// The attributes of a host: its own first, then those of its setting.
pub(crate) fn attributes(agent: &Agent, setting: Option<&AgentSetting>) -> Vec<Attribute> {
    let mut list: Vec<Attribute> = agent
        .attributes
        .iter()
        .map(|attribute| Attribute {
            name: attribute.name.clone(),
            value_type: match attribute.r#type {
                0 => 101,
                1 => 102,
                2 => 104,
                _ => 103,
            },
            scalar: attribute.scalar.as_ref().map(|scalar| ValueScalar {
                value: scalar.value,
            }),
            ranges: attribute
                .ranges
                .iter()
                .flat_map(|ranges| &ranges.range)
                .map(|range| ValueRange {
                    begin: range.begin,
                    end: range.end,
                })
                .collect(),
            set: attribute.set.as_ref().map(|set| ValueSet {
                item: set.item.clone(),
            }),
            text: attribute.text.as_ref().map(|text| ValueText {
                value: text.value.clone(),
            }),
        })
        .collect();
    let text = |name: &str, value: &str| Attribute {
        name: name.to_owned(),
        value_type: 103,
        text: Some(ValueText {
            value: value.to_owned(),
        }),
        ..Attribute::default()
    };
    if !list.iter().any(|attribute| attribute.name == "hostname") {
        list.push(text("hostname", &agent.hostname));
    }
    let Some(setting) = setting else { return list };
    for (name, value) in &setting.strings {
        list.push(text(name, &value.value));
    }
    for (name, value) in &setting.scalars {
        list.push(Attribute {
            name: name.clone(),
            value_type: 101,
            scalar: Some(ValueScalar { value: value.value }),
            ..Attribute::default()
        });
    }
    if !setting.no_schedule.is_empty() {
        list.push(Attribute {
            name: "NoSchedule".to_owned(),
            value_type: 104,
            set: Some(ValueSet {
                item: setting
                    .no_schedule
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect(),
            }),
            ..Attribute::default()
        });
    }
    list
}

/// Up to three decimals, without the zeros that say nothing.
fn short(number: f64) -> String {
    let text = format!("{number:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}
