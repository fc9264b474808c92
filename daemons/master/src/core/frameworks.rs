//! Frameworks: subscribing, failing over, leaving, being removed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bcs_mesos::link::Command;
use bcs_mesos::types::{FrameworkCapabilityType, FrameworkId, FrameworkInfo};
use bcs_mesos::{WireName as _, operator, scheduler};
use scheduler::event::{Error, Subscribed, Type};

use super::{Core, Effect, Framework, Now, Reply};

/// Removed ids are remembered so that a late scheduler learns of it; the oldest are forgotten above this count.
const REMOVED_KEPT: usize = 1000;

impl Framework {
    pub(super) fn recovered(info: FrameworkInfo, registered: i64) -> Self {
        Self {
            info,
            stream: None,
            deadline: None,
            recovered: true,
            principal: None,
            suppressed: BTreeSet::new(),
            filters: BTreeMap::new(),
            tasks: BTreeMap::new(),
            completed: VecDeque::new(),
            executors: BTreeMap::new(),
            registered,
            reregistered: None,
            last_offer: 0,
        }
    }
}

fn refused(text: impl Into<String>) -> Reply {
    Reply::Refused(400, text.into())
}

fn check_info(info: &FrameworkInfo, suppressed: &[String]) -> Result<(), String> {
    if info.user.is_empty() {
        return Err("framework_info.user must be set: the user that executors run as".into());
    }
    if !info.failover_timeout().is_finite() || info.failover_timeout() < 0.0 {
        return Err(format!(
            "framework_info.failover_timeout {} must not be negative",
            info.failover_timeout()
        ));
    }
    if let Some(id) = &info.id {
        bcs_mesos::ids::validate("framework_info.id", &id.value)
            .map_err(|error| error.to_string())?;
    }
    let multi_role = info
        .capabilities
        .iter()
        .any(|capability| capability.r#type == Some(FrameworkCapabilityType::MultiRole.number()));
    if multi_role && info.role.is_some() {
        return Err(
            "framework_info.role must not be set with the capability MULTI_ROLE; use roles".into(),
        );
    }
    if !multi_role && !info.roles.is_empty() {
        return Err(
            "framework_info.roles needs the capability MULTI_ROLE; without it use role".into(),
        );
    }
    let mut seen = BTreeSet::new();
    for role in info.roles.iter().chain(&info.role) {
        let bad = role.is_empty()
            || role == "."
            || role == ".."
            || role.starts_with(['-', '/'])
            || role.ends_with('/')
            || role
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || c == '\\');
        if bad || !seen.insert(role) {
            return Err(format!(
                "role {role:?} is not a role name, or is given twice"
            ));
        }
    }
    let own: BTreeSet<&str> = if multi_role {
        info.roles.iter().map(String::as_str).collect()
    } else {
        BTreeSet::from([info.role()])
    };
    match suppressed.iter().find(|role| !own.contains(role.as_str())) {
        Some(role) => Err(format!(
            "suppressed role {role:?} is not a role of the framework"
        )),
        None => Ok(()),
    }
}

fn check_unchanged(old: &FrameworkInfo, new: &FrameworkInfo) -> Result<(), String> {
    for (field, before, after) in [
        ("user", Some(&old.user), Some(&new.user)),
        ("principal", old.principal.as_ref(), new.principal.as_ref()),
    ] {
        if before != after {
            return Err(format!(
                "framework_info.{field} cannot be changed from {before:?} to {after:?}"
            ));
        }
    }
    if old.checkpoint() != new.checkpoint() {
        return Err("framework_info.checkpoint cannot be changed".into());
    }
    Ok(())
}

impl Core {
    pub(super) fn subscribe(
        &mut self,
        framework_id: Option<FrameworkId>,
        subscribe: scheduler::call::Subscribe,
        stream: String,
        principal: Option<String>,
        now: Now,
    ) -> Reply {
        let mut info = subscribe.framework_info;
        if framework_id != info.id {
            return refused(
                "framework_id and subscribe.framework_info.id must be equal, or both absent",
            );
        }
        if let Err(text) = check_info(&info, &subscribe.suppressed_roles) {
            return refused(text);
        }
        if let (Some(proven), Some(claimed)) = (&principal, &info.principal)
            && proven != claimed
        {
            let text = format!(
                "framework_info.principal {claimed:?} is not the authenticated principal {proven:?}"
            );
            return Reply::Refused(403, text);
        }
        let id = match &info.id {
            Some(id) => id.clone(),
            None => {
                let id = FrameworkId::new(self.identifier("F"));
                info.id = Some(id.clone());
                id
            }
        };
        if self.removed.contains(&id) {
            let message = "Framework has been removed".to_owned();
            let event = scheduler::Event {
                r#type: Some(Type::Error.number()),
                error: Some(Error { message }),
                ..scheduler::Event::default()
            };
            self.out.push(Effect::Event {
                stream: stream.clone(),
                event: Box::new(event),
            });
            self.out.push(Effect::CloseStream { stream });
            return Reply::Accepted;
        }
        if let Some(known) = self.frameworks.get(&id) {
            if known.principal.is_some() && known.principal != principal {
                return Reply::Refused(403, format!("framework {id} belongs to another principal"));
            }
            if let Err(text) = check_unchanged(&known.info, &info) {
                return refused(text);
            }
            self.fail_over(&id);
        }
        let is_new = !self.frameworks.contains_key(&id);
        let framework = self
            .frameworks
            .entry(id.clone())
            .or_insert_with(|| Framework {
                recovered: false,
                ..Framework::recovered(info.clone(), now.wall)
            });
        let changed = is_new || framework.info != info || framework.principal != principal;
        framework.info = info.clone();
        framework.principal = principal;
        framework.stream = Some(stream.clone());
        framework.deadline = None;
        framework.recovered = false;
        framework.filters.clear();
        framework.suppressed = subscribe.suppressed_roles.into_iter().collect();
        if !is_new {
            framework.reregistered = Some(now.wall);
        }
        self.by_stream.insert(stream, id.clone());
        if changed {
            self.persist();
        }
        #[allow(clippy::cast_precision_loss, reason = "seconds between heartbeats")]
        let interval = self.rules.heartbeat as f64 / 1000.0;
        let subscribed = Subscribed {
            framework_id: id.clone(),
            heartbeat_interval_seconds: Some(interval),
            master_info: Some(self.info.clone()),
        };
        self.send(
            &id,
            scheduler::Event {
                r#type: Some(Type::Subscribed.number()),
                subscribed: Some(subscribed),
                ..scheduler::Event::default()
            },
        );
        // The agents send again what waits for this scheduler, instead of at their next turn.
        self.tell_agents_of(&id, &info);
        self.notice(|core| core.framework_notice(&id, is_new));
        self.dirty.extend(self.agents.keys().cloned());
        Reply::Accepted
    }

    fn tell_agents_of(&mut self, id: &FrameworkId, info: &FrameworkInfo) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        let agents: BTreeSet<_> = framework
            .tasks
            .values()
            .map(|record| record.task.agent_id.clone())
            .chain(framework.executors.keys().map(|(agent, _)| agent.clone()))
            .collect();
        for agent in agents {
            self.command(
                &agent,
                Command {
                    framework: Some(info.clone()),
                    ..Command::default()
                },
            );
        }
    }

    /// The older scheduler, if any, is told and cut off; offers do not outlive a subscription.
    fn fail_over(&mut self, id: &FrameworkId) {
        if let Some(old) = self
            .frameworks
            .get_mut(id)
            .and_then(|framework| framework.stream.take())
        {
            let event = scheduler::Event {
                r#type: Some(Type::Error.number()),
                error: Some(Error {
                    message: "Framework failed over".to_owned(),
                }),
                ..scheduler::Event::default()
            };
            self.out.push(Effect::Event {
                stream: old.clone(),
                event: Box::new(event),
            });
            self.out.push(Effect::CloseStream {
                stream: old.clone(),
            });
            self.by_stream.remove(&old);
        }
        self.withdraw_offers(|offer| offer.framework == *id, false);
    }

    pub(super) fn scheduler_gone(&mut self, stream: &str, now: Now) -> Reply {
        let Some(id) = self.by_stream.remove(stream) else {
            return Reply::Accepted;
        };
        if let Some(framework) = self.frameworks.get_mut(&id) {
            framework.stream = None;
            framework.filters.clear();
            framework.deadline = Some(
                now.monotonic
                    .saturating_add(framework.failover_milliseconds()),
            );
        }
        self.withdraw_offers(|offer| offer.framework == id, false);
        self.notice(|core| core.framework_notice(&id, false));
        self.expire_frameworks(now);
        Reply::Accepted
    }

    pub(super) fn expire_frameworks(&mut self, now: Now) {
        let due: Vec<FrameworkId> = self
            .frameworks
            .iter()
            .filter(|(_, framework)| {
                framework
                    .deadline
                    .is_some_and(|deadline| deadline <= now.monotonic)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.remove_framework(&id);
        }
    }

    /// Everything of it is killed; the id is never accepted again.
    pub(super) fn remove_framework(&mut self, id: &FrameworkId) {
        self.withdraw_offers(|offer| offer.framework == *id, false);
        let Some(framework) = self.frameworks.remove(id) else {
            return;
        };
        if let Some(stream) = framework.stream {
            self.by_stream.remove(&stream);
            self.out.push(Effect::CloseStream { stream });
        }
        for record in framework.tasks.values().filter(|record| record.holds) {
            self.release(&record.task.agent_id, &record.resources);
        }
        for ((agent, _), executor) in &framework.executors {
            self.release(agent, &executor.resources);
        }
        let connected: Vec<_> = self.agents.keys().cloned().collect();
        for agent in connected {
            self.command(
                &agent,
                Command {
                    remove_framework: Some(id.clone()),
                    ..Command::default()
                },
            );
        }
        self.removed.push_back(id.clone());
        while self.removed.len() > REMOVED_KEPT {
            self.removed.pop_front();
        }
        self.persist();
        self.notice(|_| operator::Event {
            r#type: Some(operator::event::Type::FrameworkRemoved.number()),
            framework_removed: Some(operator::event::FrameworkRemoved {
                framework_info: framework.info,
            }),
            ..operator::Event::default()
        });
    }

    pub(super) fn update_framework(
        &mut self,
        id: &FrameworkId,
        update: scheduler::call::UpdateFramework,
        now: Now,
    ) -> Reply {
        let info = update.framework_info;
        if info.id.as_ref() != Some(id) {
            return refused("update_framework.framework_info.id must be the framework's id");
        }
        if let Err(text) = check_info(&info, &update.suppressed_roles) {
            return refused(text);
        }
        let Some(framework) = self.frameworks.get_mut(id) else {
            return refused("no such framework");
        };
        if let Err(text) = check_unchanged(&framework.info, &info) {
            return refused(text);
        }
        framework.info = info.clone();
        framework.suppressed = update.suppressed_roles.into_iter().collect();
        framework.reregistered = Some(now.wall);
        let roles = framework.roles();
        let id = id.clone();
        self.withdraw_offers(
            |offer| offer.framework == id && !roles.contains(&offer.role),
            true,
        );
        self.tell_agents_of(&id, &info);
        self.persist();
        self.notice(|core| core.framework_notice(&id, false));
        self.dirty.extend(self.agents.keys().cloned());
        Reply::Done
    }
}
