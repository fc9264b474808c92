use std::collections::BTreeSet;

use bcs_mesos::link::{Batch, ExecutorExited, Message, Register, Update, VERSION};
use bcs_mesos::scheduler::{Call, call, event};
use bcs_mesos::types::*;
use proptest::prelude::*;

use super::*;

fn rules() -> Rules {
    Rules {
        agent_timeout: 75_000,
        heartbeat: 15_000,
        offer_timeout: 5_000,
        completed_tasks: 10,
        executor_minimum: (10, 32_000),
    }
}

fn at(milliseconds: u64) -> Now {
    Now {
        monotonic: milliseconds,
        wall: i64::try_from(milliseconds).unwrap() * 1_000_000,
    }
}

fn core(registry: Registry) -> Core {
    let info = MasterInfo {
        id: "m".into(),
        ..MasterInfo::default()
    };
    Core::new(rules(), info, registry, at(0))
}

fn info(id: Option<&str>, aware: bool) -> FrameworkInfo {
    let mut capabilities = Vec::new();
    if aware {
        let r#type = Some(FrameworkCapabilityType::PartitionAware.number());
        capabilities.push(FrameworkCapability { r#type });
    }
    FrameworkInfo {
        user: "u".into(),
        name: "n".into(),
        id: id.map(FrameworkId::from),
        failover_timeout: Some(100.0),
        capabilities,
        ..FrameworkInfo::default()
    }
}

fn subscribe(
    core: &mut Core,
    id: Option<&str>,
    aware: bool,
    stream: &str,
    now: Now,
) -> (Reply, Vec<Effect>) {
    let framework_info = info(id, aware);
    let input = Input::Subscribe {
        framework_id: framework_info.id.clone(),
        subscribe: Box::new(call::Subscribe {
            framework_info,
            suppressed_roles: Vec::new(),
        }),
        stream: stream.into(),
        principal: None,
    };
    core.step(input, now)
}

fn register(
    core: &mut Core,
    id: Option<&str>,
    session: &str,
    tasks: Vec<Task>,
    now: Now,
) -> (Reply, Vec<Effect>) {
    let resources = Resources::new()
        .with_scalar("cpus", 4.0)
        .with_scalar("mem", 1000.0)
        .with_scalar("disk", 1000.0);
    let executors = tasks
        .iter()
        .map(|task| ExecutorInfo {
            framework_id: Some(task.framework_id.clone()),
            ..executor(&task.executor_id.clone().unwrap().value)
        })
        .collect();
    let register = Register {
        version: VERSION,
        agent: AgentInfo {
            hostname: "h".into(),
            resources: resources.to_wire(None),
            id: id.map(AgentId::from),
            ..AgentInfo::default()
        },
        executors,
        tasks,
        ..Register::default()
    };
    core.step(
        Input::Register {
            register: Box::new(register),
            session: session.into(),
            host: "h".into(),
        },
        now,
    )
}

fn executor(id: &str) -> ExecutorInfo {
    let resources = Resources::new()
        .with_scalar("cpus", 0.01)
        .with_scalar("mem", 32.0)
        .with_scalar("disk", 1.0);
    ExecutorInfo {
        r#type: Some(ExecutorInfoType::Custom.number()),
        executor_id: id.into(),
        command: Some(CommandInfo {
            value: Some("x".into()),
            ..CommandInfo::default()
        }),
        resources: resources.to_wire(None),
        ..ExecutorInfo::default()
    }
}

fn events(effects: &[Effect]) -> Vec<&bcs_mesos::scheduler::Event> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Event { event, .. } => Some(event.as_ref()),
            _ => None,
        })
        .collect()
}

fn offers(effects: &[Effect]) -> Vec<Offer> {
    events(effects)
        .into_iter()
        .filter_map(|event| event.offers.clone())
        .flat_map(|offers| offers.offers)
        .collect()
}

fn states(effects: &[Effect]) -> Vec<(String, TaskState)> {
    events(effects)
        .into_iter()
        .filter_map(|event| event.update.as_ref())
        .map(|update| (update.status.task_id.value.clone(), update.status.state()))
        .collect()
}

fn call(
    core: &mut Core,
    framework: &FrameworkId,
    stream: &str,
    call: Call,
    now: Now,
) -> (Reply, Vec<Effect>) {
    let call = Call {
        framework_id: Some(framework.clone()),
        ..call
    };
    core.step(
        Input::Call {
            call: Box::new(call),
            stream: Some(stream.into()),
        },
        now,
    )
}

fn accept(offer: &Offer, task: &str, executor_id: &str, cpus: f64, refuse_seconds: f64) -> Call {
    let info = TaskInfo {
        name: task.into(),
        task_id: task.into(),
        agent_id: offer.agent_id.clone(),
        resources: Resources::new()
            .with_scalar("cpus", cpus)
            .with_scalar("mem", 1.0)
            .to_wire(None),
        ..TaskInfo::default()
    };
    let group = LaunchGroup {
        executor: executor(executor_id),
        task_group: TaskGroupInfo { tasks: vec![info] },
    };
    Call {
        r#type: Some(call::Type::Accept.number()),
        accept: Some(call::Accept {
            offer_ids: vec![offer.id.clone()],
            operations: vec![Operation {
                r#type: Some(OperationType::LaunchGroup.number()),
                launch_group: Some(group),
                ..Operation::default()
            }],
            filters: Some(Filters {
                refuse_seconds: Some(refuse_seconds),
            }),
        }),
        ..Call::default()
    }
}

fn decline(offer: &Offer, seconds: f64) -> Call {
    Call {
        r#type: Some(call::Type::Decline.number()),
        decline: Some(call::Decline {
            offer_ids: vec![offer.id.clone()],
            filters: Some(Filters {
                refuse_seconds: Some(seconds),
            }),
        }),
        ..Call::default()
    }
}

/// The books balance: what is used is what live tasks and executors have, and nothing is given out twice.
fn check(core: &Core) -> Result<(), TestCaseError> {
    for (id, agent) in &core.agents {
        if agent.session().is_none() {
            continue;
        }
        let mut used = Resources::new();
        for framework in core.frameworks.values() {
            for record in framework
                .tasks
                .values()
                .filter(|record| record.holds && record.task.agent_id == *id)
            {
                used.add(&record.resources);
            }
            for ((at, _), executor) in &framework.executors {
                if at == id {
                    used.add(&executor.resources);
                }
            }
        }
        prop_assert_eq!(&used, &agent.used, "used at {}", id);
        let mut offered = Resources::new();
        for offer in core.offers.values().filter(|offer| offer.agent == *id) {
            offered.add(&offer.resources);
        }
        prop_assert_eq!(&offered, &agent.offered, "offered at {}", id);
        let mut all = used;
        all.add(&offered);
        prop_assert!(
            agent.total.contains(&all),
            "given out twice at {}: {} of {}",
            id,
            all,
            agent.total
        );
    }
    for offer in core.offers.values() {
        prop_assert!(
            core.frameworks
                .get(&offer.framework)
                .is_some_and(|framework| framework.stream.is_some())
        );
        prop_assert!(
            core.agents
                .get(&offer.agent)
                .is_some_and(|agent| agent.session().is_some())
        );
    }
    Ok(())
}

#[test]
fn an_offer_is_made_by_the_step_that_frees_resources() {
    let mut core = core(Registry::default());
    let (_, effects) = subscribe(&mut core, None, true, "s", at(1));
    assert_eq!(
        effects.first(),
        Some(&Effect::Persist),
        "the framework id is stored before it is told"
    );
    let framework = core.frameworks.keys().next().unwrap().clone();
    let (_, effects) = register(&mut core, None, "a", Vec::new(), at(2));
    let offer = offers(&effects).remove(0);
    let (_, effects) = call(
        &mut core,
        &framework,
        "s",
        accept(&offer, "t", "e", 1.0, 3600.0),
        at(3),
    );
    assert!(offers(&effects).is_empty());
    let update = Update {
        framework_id: framework.clone(),
        task_id: "t".into(),
        latest: TaskState::Finished.number(),
        status: None,
    };
    let message = Message {
        update: Some(update),
        ..Message::default()
    };
    let batch = Batch {
        session: "a".into(),
        messages: vec![message],
    };
    let (_, effects) = core.step(Input::Batch { batch }, at(4));
    let freed = Resources::from_wire(&offers(&effects).remove(0).resources).unwrap();
    assert!((freed.scalar("cpus") - 3.99).abs() < 1e-9, "{freed}");
}

#[test]
fn a_filter_ends_by_time_and_refuse_seconds_zero_sets_none() {
    let mut core = core(Registry::default());
    subscribe(&mut core, None, true, "s", at(1));
    let framework = core.frameworks.keys().next().unwrap().clone();
    let (_, effects) = register(&mut core, None, "a", Vec::new(), at(2));
    let offer = offers(&effects).remove(0);
    let (_, effects) = call(&mut core, &framework, "s", decline(&offer, 0.0), at(3));
    let offer = offers(&effects).remove(0);
    let (_, effects) = call(&mut core, &framework, "s", decline(&offer, 2.0), at(10));
    assert!(offers(&effects).is_empty());
    assert_eq!(core.next_deadline(), Some(2010));
    assert!(offers(&core.step(Input::Tick, at(2009)).1).is_empty());
    assert_eq!(offers(&core.step(Input::Tick, at(2010)).1).len(), 1);
}

#[test]
fn two_frameworks_take_turns_and_one_that_hoards_is_asked_back() {
    let mut core = core(Registry::default());
    subscribe(&mut core, None, true, "s1", at(1));
    let (_, effects) = register(&mut core, None, "a1", Vec::new(), at(2));
    assert_eq!(offers(&effects).len(), 1);
    subscribe(&mut core, None, true, "s2", at(3));
    let (_, effects) = register(&mut core, None, "a2", Vec::new(), at(4));
    let first = offers(&effects).remove(0).framework_id;
    let hoarder = core.by_stream["s1"].clone();
    assert_ne!(first, hoarder, "the one without any comes first");
    core.step(
        Input::SchedulerGone {
            stream: "s2".into(),
        },
        at(5),
    );
    subscribe(&mut core, Some(&first.value), true, "s3", at(6));
    // Now the first framework holds all: after the time the second one gets something.
    let held: BTreeSet<_> = core
        .offers
        .values()
        .map(|offer| offer.framework.clone())
        .collect();
    assert!(held.contains(&hoarder));
    let (_, effects) = core.step(Input::Tick, at(6_000));
    if held.len() == 1 {
        assert!(events(&effects).iter().any(|event| event.rescind.is_some()));
        assert!(
            offers(&effects)
                .iter()
                .any(|offer| offer.framework_id == first)
        );
    }
    check(&core).unwrap();
}

#[test]
fn a_new_master_knows_all_again_when_agents_and_frameworks_have_come() {
    let mut old = core(Registry::default());
    subscribe(&mut old, None, true, "s", at(1));
    let framework = old.frameworks.keys().next().unwrap().clone();
    let (_, effects) = register(&mut old, None, "a", Vec::new(), at(2));
    let offer = offers(&effects).remove(0);
    call(
        &mut old,
        &framework,
        "s",
        accept(&offer, "t", "e", 1.0, 0.0),
        at(3),
    );
    let text = serde_json::to_string(&old.registry()).unwrap();
    let mut new = core(serde_json::from_str(&text).unwrap());
    let (reply, _) = subscribe(&mut new, Some(&framework.value), true, "s2", at(10));
    assert_eq!(reply, Reply::Accepted);
    // Nothing is said about the task while its agent may yet come.
    let reconcile = |agent: Option<&AgentId>| Call {
        r#type: Some(call::Type::Reconcile.number()),
        reconcile: Some(call::Reconcile {
            tasks: vec![call::ReconcileTask {
                task_id: "t".into(),
                agent_id: agent.cloned(),
            }],
        }),
        ..Call::default()
    };
    for agent in [None, Some(&offer.agent_id)] {
        let (_, effects) = call(&mut new, &framework, "s2", reconcile(agent), at(11));
        assert_eq!(states(&effects), vec![]);
    }
    let task = Task {
        framework_id: framework.clone(),
        task_id: "t".into(),
        executor_id: Some("e".into()),
        agent_id: offer.agent_id.clone(),
        state: TaskState::Running.number(),
        resources: Resources::new().with_scalar("cpus", 1.0).to_wire(None),
        ..Task::default()
    };
    let (_, effects) = register(
        &mut new,
        Some(&offer.agent_id.value),
        "a2",
        vec![task],
        at(12),
    );
    assert_eq!(states(&effects), vec![("t".to_owned(), TaskState::Running)]);
    let rest = Resources::from_wire(&offers(&effects).remove(0).resources).unwrap();
    assert!((rest.scalar("cpus") - 2.99).abs() < 1e-9, "{rest}");
    check(&new).unwrap();
}

#[test]
fn a_launch_that_got_lost_is_dropped_and_a_running_task_that_vanished_is_gone() {
    for (reported, told) in [
        (None, TaskState::Dropped),
        (Some(TaskState::Running), TaskState::Gone),
    ] {
        let mut core = core(Registry::default());
        subscribe(&mut core, None, true, "s", at(1));
        let framework = core.frameworks.keys().next().unwrap().clone();
        let (_, effects) = register(&mut core, None, "a", Vec::new(), at(2));
        let offer = offers(&effects).remove(0);
        call(
            &mut core,
            &framework,
            "s",
            accept(&offer, "t", "e", 1.0, 0.0),
            at(3),
        );
        if let Some(state) = reported {
            let update = Update {
                framework_id: framework.clone(),
                task_id: "t".into(),
                latest: state.number(),
                status: None,
            };
            let message = Message {
                update: Some(update),
                ..Message::default()
            };
            core.step(
                Input::Batch {
                    batch: Batch {
                        session: "a".into(),
                        messages: vec![message],
                    },
                },
                at(4),
            );
        }
        core.step(
            Input::AgentGone {
                session: "a".into(),
            },
            at(5),
        );
        let (_, effects) = register(
            &mut core,
            Some(&offer.agent_id.value),
            "b",
            Vec::new(),
            at(6),
        );
        assert_eq!(states(&effects), vec![("t".to_owned(), told)]);
        let all = Resources::from_wire(&offers(&effects).remove(0).resources).unwrap();
        assert!((all.scalar("cpus") - 4.0).abs() < 1e-9);
    }
}

#[test]
fn a_framework_is_removed_for_ever_when_its_time_is_over() {
    let mut core = core(Registry::default());
    subscribe(&mut core, None, true, "s", at(1));
    let framework = core.frameworks.keys().next().unwrap().clone();
    register(&mut core, None, "a", Vec::new(), at(2));
    core.step(Input::SchedulerGone { stream: "s".into() }, at(3));
    assert!(core.offers.is_empty());
    for time in [50_000, 100_000] {
        core.step(
            Input::Batch {
                batch: Batch {
                    session: "a".into(),
                    messages: Vec::new(),
                },
            },
            at(time),
        );
    }
    core.step(Input::Tick, at(100_002));
    assert!(core.frameworks.contains_key(&framework));
    let (_, effects) = core.step(Input::Tick, at(100_003));
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Command { command, .. }
        if command.remove_framework.as_ref() == Some(&framework)))
    );
    let mut again = self::core(core.registry());
    let (_, effects) = subscribe(&mut again, Some(&framework.value), true, "s2", at(4));
    assert_eq!(
        events(&effects)[0].error.as_ref().unwrap().message,
        "Framework has been removed"
    );
    assert!(matches!(effects.last(), Some(Effect::CloseStream { .. })));
}

#[test]
fn an_agent_given_up_may_not_come_back_under_its_id() {
    let mut core = core(Registry::default());
    subscribe(&mut core, None, false, "s", at(1));
    let framework = core.frameworks.keys().next().unwrap().clone();
    let (_, effects) = register(&mut core, None, "a", Vec::new(), at(2));
    let offer = offers(&effects).remove(0);
    call(
        &mut core,
        &framework,
        "s",
        accept(&offer, "t", "e", 1.0, 0.0),
        at(3),
    );
    let operator = operator::Call {
        r#type: Some(operator::call::Type::MarkAgentGone.number()),
        mark_agent_gone: Some(operator::call::MarkAgentGone {
            agent_id: offer.agent_id.clone(),
        }),
        ..operator::Call::default()
    };
    let (reply, effects) = core.step(Input::Operator { call: operator }, at(4));
    assert_eq!(reply, Reply::Done);
    // This framework does not know partitions.
    assert_eq!(states(&effects), vec![("t".to_owned(), TaskState::Lost)]);
    let (_, effects) = register(
        &mut core,
        Some(&offer.agent_id.value),
        "b",
        Vec::new(),
        at(5),
    );
    assert!(matches!(&effects[0], Effect::Command { command, .. } if command.gone));
    assert!(core.agents.is_empty());
}

/// One random thing that happens.
#[derive(Debug, Clone)]
enum Happening {
    Subscribe(u8),
    Leave(u8),
    Register(u8),
    AgentGone(u8),
    Accept(u8, u8),
    Decline(u8),
    Report(u8, bool),
    Exit(u8),
    Kill(u8),
    Wait(u32),
    Restart,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => (0u8..3).prop_map(Happening::Subscribe),
        1 => (0u8..3).prop_map(Happening::Leave),
        2 => (0u8..3).prop_map(Happening::Register),
        1 => (0u8..3).prop_map(Happening::AgentGone),
        6 => (any::<u8>(), 1u8..30).prop_map(|(offer, tenths)| Happening::Accept(offer, tenths)),
        2 => any::<u8>().prop_map(Happening::Decline),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(task, ends)| Happening::Report(task, ends)),
        2 => any::<u8>().prop_map(Happening::Exit),
        1 => any::<u8>().prop_map(Happening::Kill),
        3 => (1u32..40_000).prop_map(Happening::Wait),
        1 => Just(Happening::Restart),
    ]
}

/// The world around the core: which agents have which tasks, as they would say it.
#[derive(Default)]
struct World {
    time: u64,
    next: u32,
    agents: BTreeMap<u8, AgentId>,
    sessions: BTreeMap<u8, String>,
    tasks: BTreeMap<u8, Vec<Task>>,
    frameworks: BTreeMap<u8, FrameworkId>,
}

impl World {
    fn absorb(&mut self, core: &Core, effects: &[Effect]) {
        for effect in effects {
            let Effect::Command { session, command } = effect else {
                continue;
            };
            let Some((number, _)) = self.sessions.iter().find(|(_, known)| *known == session)
            else {
                continue;
            };
            let number = *number;
            if let Some(launch) = &command.launch {
                let framework = launch.framework.id.clone().unwrap();
                for task in &launch.tasks {
                    let task = Task {
                        framework_id: framework.clone(),
                        task_id: task.task_id.clone(),
                        executor_id: Some(launch.executor.executor_id.clone()),
                        agent_id: task.agent_id.clone(),
                        state: TaskState::Running.number(),
                        resources: task.resources.clone(),
                        ..Task::default()
                    };
                    self.tasks.entry(number).or_default().push(task);
                }
            }
            if let Some(registered) = &command.registered {
                self.agents.insert(number, registered.agent_id.clone());
            }
            if let Some(framework) = &command.remove_framework {
                self.tasks
                    .entry(number)
                    .or_default()
                    .retain(|task| task.framework_id != *framework);
            }
            if command.gone {
                self.agents.remove(&number);
                self.tasks.remove(&number);
            }
        }
        self.sessions
            .retain(|_, session| core.by_session.contains_key(session));
    }

    fn act(&mut self, core: &mut Core, happening: Happening) -> Vec<Effect> {
        self.time += 1;
        let now = at(self.time);
        self.next += 1;
        let unique = self.next;
        match happening {
            Happening::Subscribe(number) => {
                let id = self.frameworks.get(&number).map(|id| id.value.clone());
                let aware = number % 2 == 0;
                let stream = format!("s{unique}");
                let (_, effects) = subscribe(core, id.as_deref(), aware, &stream, now);
                match core.by_stream.get(&stream) {
                    Some(id) => drop(self.frameworks.insert(number, id.clone())),
                    None => drop(self.frameworks.remove(&number)),
                }
                effects
            }
            Happening::Leave(number) => {
                let stream = self
                    .frameworks
                    .get(&number)
                    .and_then(|id| core.frameworks.get(id))
                    .and_then(|framework| framework.stream.clone());
                stream
                    .map(|stream| core.step(Input::SchedulerGone { stream }, now).1)
                    .unwrap_or_default()
            }
            Happening::Register(number) => {
                let id = self.agents.get(&number).map(|id| id.value.clone());
                let session = format!("a{unique}");
                self.sessions.insert(number, session.clone());
                let tasks = self.tasks.get(&number).cloned().unwrap_or_default();
                register(core, id.as_deref(), &session, tasks, now).1
            }
            Happening::AgentGone(number) => match self.sessions.remove(&number) {
                Some(session) => core.step(Input::AgentGone { session }, now).1,
                None => Vec::new(),
            },
            Happening::Accept(pick, tenths) => {
                let Some((id, offer)) = pick_from(&core.offers, pick) else {
                    return Vec::new();
                };
                let framework = offer.framework.clone();
                let Some(stream) = core.frameworks[&framework].stream.clone() else {
                    return Vec::new();
                };
                let offer = Offer {
                    id: id.clone(),
                    agent_id: offer.agent.clone(),
                    ..Offer::default()
                };
                let name = format!("t{unique}");
                let call_ = accept(
                    &offer,
                    &name,
                    &format!("e{unique}"),
                    f64::from(tenths) / 10.0,
                    1.0,
                );
                call(core, &framework, &stream, call_, now).1
            }
            Happening::Decline(pick) => {
                let Some((id, offer)) = pick_from(&core.offers, pick) else {
                    return Vec::new();
                };
                let framework = offer.framework.clone();
                let Some(stream) = core.frameworks[&framework].stream.clone() else {
                    return Vec::new();
                };
                let offer = Offer {
                    id: id.clone(),
                    ..Offer::default()
                };
                call(core, &framework, &stream, decline(&offer, 3.0), now).1
            }
            Happening::Report(pick, ends) => {
                let Some((session, task)) = self.pick_task(pick) else {
                    return Vec::new();
                };
                let state = if ends {
                    TaskState::Finished
                } else {
                    TaskState::Running
                };
                if ends {
                    self.forget(&task);
                }
                let update = Update {
                    framework_id: task.framework_id,
                    task_id: task.task_id.clone(),
                    latest: state.number(),
                    status: Some(TaskStatus {
                        task_id: task.task_id,
                        state: state.number(),
                        agent_id: Some(task.agent_id),
                        ..TaskStatus::default()
                    }),
                };
                let message = Message {
                    update: Some(update),
                    ..Message::default()
                };
                core.step(
                    Input::Batch {
                        batch: Batch {
                            session,
                            messages: vec![message],
                        },
                    },
                    now,
                )
                .1
            }
            Happening::Exit(pick) => {
                let Some((session, task)) = self.pick_task(pick) else {
                    return Vec::new();
                };
                self.forget(&task);
                let update = Update {
                    framework_id: task.framework_id.clone(),
                    task_id: task.task_id,
                    latest: TaskState::Failed.number(),
                    status: None,
                };
                let exited = ExecutorExited {
                    framework_id: task.framework_id,
                    executor_id: task.executor_id.unwrap_or_default(),
                    status: None,
                };
                let messages = vec![
                    Message {
                        update: Some(update),
                        ..Message::default()
                    },
                    Message {
                        executor_exited: Some(exited),
                        ..Message::default()
                    },
                ];
                core.step(
                    Input::Batch {
                        batch: Batch { session, messages },
                    },
                    now,
                )
                .1
            }
            Happening::Kill(pick) => {
                let Some((_, task)) = self.pick_task(pick) else {
                    return Vec::new();
                };
                let stream = core
                    .frameworks
                    .get(&task.framework_id)
                    .and_then(|f| f.stream.clone());
                let Some(stream) = stream else {
                    return Vec::new();
                };
                let kill = Call {
                    r#type: Some(call::Type::Kill.number()),
                    kill: Some(call::Kill {
                        task_id: task.task_id,
                        agent_id: None,
                        kill_policy: None,
                    }),
                    ..Call::default()
                };
                call(core, &task.framework_id, &stream, kill, now).1
            }
            Happening::Wait(milliseconds) => {
                self.time += u64::from(milliseconds);
                core.step(Input::Tick, at(self.time)).1
            }
            Happening::Restart => {
                let text = serde_json::to_string(&core.registry()).unwrap();
                let run = format!("m{unique}");
                let info = MasterInfo {
                    id: run,
                    ..MasterInfo::default()
                };
                *core = Core::new(rules(), info, serde_json::from_str(&text).unwrap(), now);
                self.sessions.clear();
                Vec::new()
            }
        }
    }

    fn pick_task(&self, pick: u8) -> Option<(String, Task)> {
        let all: Vec<(String, Task)> = self
            .tasks
            .iter()
            .filter_map(|(number, tasks)| Some((self.sessions.get(number)?.clone(), tasks)))
            .flat_map(|(session, tasks)| {
                tasks
                    .iter()
                    .map(move |task| (session.clone(), task.clone()))
            })
            .collect();
        all.get(usize::from(pick) % all.len().max(1)).cloned()
    }

    fn forget(&mut self, ended: &Task) {
        for tasks in self.tasks.values_mut() {
            tasks.retain(|task| {
                task.task_id != ended.task_id || task.framework_id != ended.framework_id
            });
        }
    }
}

fn pick_from<K: Clone, V>(map: &BTreeMap<K, V>, pick: u8) -> Option<(K, &V)> {
    let position = usize::from(pick) % map.len().max(1);
    map.iter()
        .nth(position)
        .map(|(key, value)| (key.clone(), value))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_books_balance_whatever_happens(happenings in prop::collection::vec(happening(), 1..80)) {
        let mut core = core(Registry::default());
        let mut world = World::default();
        for happening in happenings {
            let effects = world.act(&mut core, happening);
            world.absorb(&core, &effects);
            check(&core)?;
            // Every scheduler event goes to a stream that is there, or is being told goodbye.
            for event in events(&effects) {
                prop_assert!(event.r#type() != event::Type::Unknown);
            }
        }
        // In the end every agent that is there can be emptied.
        for number in 0..3 {
            let effects = world.act(&mut core, Happening::Register(number));
            world.absorb(&core, &effects);
        }
        while let Some((_, task)) = world.pick_task(0) {
            let effects = world.act(&mut core, Happening::Exit(0));
            world.absorb(&core, &effects);
            world.forget(&task);
        }
        check(&core)?;
    }
}
