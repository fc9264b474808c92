use std::collections::BTreeSet;

use bcs_mesos::link::{
    AcknowledgeCommand, Command, KillCommand, LaunchCommand, Registered, ShutdownCommand,
};
use bcs_mesos::types::*;
use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn rules() -> Rules {
    Rules {
        registration_timeout: 60_000,
        reregistration_timeout: 15_000,
        recovery_timeout: 900_000,
        resident_timeout: 600_000,
        shutdown_grace: 5_000,
        resend_first: 10_000,
        resend_last: 600_000,
        sandboxes: "/sandboxes".into(),
        residents: vec!["resident".into()],
        heartbeat: 10_000,
        software: "0".into(),
    }
}

fn at(milliseconds: u64) -> Now {
    Now {
        monotonic: milliseconds,
        wall: i64::try_from(milliseconds).unwrap() * 1_000_000,
    }
}

/// A core with the journal that it wrote.
struct Agent {
    core: Core,
    journal: Vec<Entry>,
    link: u64,
    time: u64,
}

impl Agent {
    fn new() -> Self {
        let core = Core::new(rules(), AgentInfo::default(), 7);
        let mut agent = Self {
            core,
            journal: Vec::new(),
            link: 0,
            time: 0,
        };
        agent.restart("boot-1", &|_, _| true);
        agent.connect();
        agent.command(Command {
            registered: Some(Registered {
                agent_id: "a".into(),
                session: "x".into(),
                heartbeat_milliseconds: 1,
            }),
            ..Command::default()
        });
        agent
    }

    fn connect(&mut self) -> Vec<Effect> {
        let (reply, effects) = self.step(Input::Compose);
        let Reply::State { link, .. } = reply else {
            panic!("{reply:?}")
        };
        self.link = link;
        effects
    }

    fn step(&mut self, input: Input) -> (Reply, Vec<Effect>) {
        self.time += 1;
        let outcome = self.core.step(input, at(self.time));
        self.journal.extend(outcome.journal);
        (outcome.reply, outcome.effects)
    }

    fn command(&mut self, command: Command) -> Vec<Effect> {
        self.step(Input::Command {
            link: self.link,
            command: Box::new(command),
        })
        .1
    }

    /// As after kill -9: only the journal is left.
    fn restart(&mut self, boot: &str, alive: &dyn Fn(i32, u64) -> bool) -> Vec<Effect> {
        self.time += 1;
        let mut core = Core::new(rules(), AgentInfo::default(), u128::from(self.time));
        for entry in self.journal.drain(..) {
            core.replay(entry);
        }
        let outcome = core.recover(boot, alive, at(self.time));
        self.core = core;
        self.journal = self.core.snapshot();
        outcome.effects
    }

    fn launch(
        &mut self,
        executor: &str,
        command: &str,
        tasks: &[&str],
        group: bool,
    ) -> Vec<Effect> {
        let framework = FrameworkInfo {
            id: Some("f".into()),
            checkpoint: Some(true),
            capabilities: vec![FrameworkCapability {
                r#type: Some(FrameworkCapabilityType::PartitionAware.number()),
            }],
            ..FrameworkInfo::default()
        };
        let executor = ExecutorInfo {
            executor_id: executor.into(),
            framework_id: Some("f".into()),
            command: Some(CommandInfo {
                value: Some(command.into()),
                ..CommandInfo::default()
            }),
            ..ExecutorInfo::default()
        };
        let tasks = tasks
            .iter()
            .map(|task| TaskInfo {
                task_id: (*task).into(),
                name: (*task).into(),
                ..TaskInfo::default()
            })
            .collect();
        let launch = LaunchCommand {
            framework,
            executor,
            tasks,
            group,
        };
        self.command(Command {
            launch: Some(launch),
            ..Command::default()
        })
    }

    fn subscribe(&mut self, executor: &str, has: &[&str]) -> (Reply, Vec<Effect>) {
        let stream = format!("s{}", self.time);
        let unacknowledged_tasks = has
            .iter()
            .map(|task| TaskInfo {
                task_id: (*task).into(),
                ..TaskInfo::default()
            })
            .collect();
        let subscribe = executor::call::Subscribe {
            unacknowledged_tasks,
            unacknowledged_updates: Vec::new(),
        };
        self.step(Input::Subscribe {
            key: key(executor),
            subscribe,
            stream,
            token: None,
        })
    }

    fn update(
        &mut self,
        executor: &str,
        task: &str,
        state: TaskState,
        uuid: u8,
    ) -> (Reply, Vec<Effect>) {
        let status = Box::new(status(task, state, uuid));
        self.step(Input::Update {
            key: key(executor),
            status,
            token: None,
        })
    }

    fn acknowledge(&mut self, task: &str, uuid: Bytes) -> Vec<Effect> {
        let acknowledge = AcknowledgeCommand {
            framework_id: "f".into(),
            task_id: task.into(),
            uuid,
        };
        self.command(Command {
            acknowledge: Some(acknowledge),
            ..Command::default()
        })
    }
}

fn key(executor: &str) -> ExecutorKey {
    ExecutorKey {
        framework: "f".into(),
        executor: executor.into(),
    }
}

fn status(task: &str, state: TaskState, uuid: u8) -> TaskStatus {
    TaskStatus {
        task_id: task.into(),
        state: state.number(),
        source: Some(StatusSource::Executor.number()),
        uuid: Some(Bytes::copy_from_slice(&[uuid; 16])),
        ..TaskStatus::default()
    }
}

/// Statuses that go to the master.
fn sent(effects: &[Effect]) -> Vec<(String, TaskState)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Master(message) => message.update.as_ref()?.status.as_ref(),
            _ => None,
        })
        .map(|status| (status.task_id.value.clone(), status.state()))
        .collect()
}

fn events(effects: &[Effect]) -> Vec<executor::event::Type> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Event { event, .. } => Some(event.r#type()),
            _ => None,
        })
        .collect()
}

fn exits(effects: &[Effect]) -> usize {
    effects
        .iter()
        .filter(
            |effect| matches!(effect, Effect::Master(message) if message.executor_exited.is_some()),
        )
        .count()
}

use executor::event::Type as Event;

#[test]
fn statuses_go_one_by_one_and_again_until_they_are_acknowledged() {
    let mut agent = Agent::new();
    let effects = agent.launch("e", "/opt/resident --x", &["t"], true);
    assert!(
        matches!(&effects[..], [Effect::Start(start)] if start.resident.as_deref() == Some("resident"))
    );
    let (_, effects) = agent.subscribe("e", &[]);
    assert_eq!(
        events(&effects),
        vec![Event::Subscribed, Event::LaunchGroup]
    );
    let (reply, effects) = agent.update("e", "t", TaskState::Running, 1);
    assert_eq!(
        (reply, sent(&effects)),
        (Reply::Accepted, vec![("t".into(), TaskState::Running)])
    );
    let (_, effects) = agent.update("e", "t", TaskState::Finished, 2);
    // The status waits, but its news frees resources at the master now.
    assert_eq!(sent(&effects), vec![]);
    assert!(matches!(&effects[0], Effect::Master(message)
        if message.update.as_ref().unwrap().latest == TaskState::Finished.number()));
    // Said twice by the executor: once to the master.
    assert_eq!(
        sent(&agent.update("e", "t", TaskState::Running, 1).1),
        vec![]
    );
    // Sent again at its time, and after twice that.
    let due = agent.core.next_deadline().unwrap();
    agent.time = due;
    assert_eq!(
        sent(&agent.step(Input::Tick).1),
        vec![("t".into(), TaskState::Running)]
    );
    assert_eq!(agent.core.next_deadline().unwrap(), agent.time + 20_000);
    // A wrong acknowledgement changes nothing.
    assert_eq!(agent.acknowledge("t", Bytes::from_static(&[9; 16])), vec![]);
    let effects = agent.acknowledge("t", Bytes::from_static(&[1; 16]));
    assert_eq!(
        (sent(&effects), events(&effects)),
        (
            vec![("t".into(), TaskState::Finished)],
            vec![Event::Acknowledged]
        )
    );
    let effects = agent.acknowledge("t", Bytes::from_static(&[2; 16]));
    assert_eq!(events(&effects), vec![Event::Acknowledged]);
    // A resident executor that has nothing left and closes its stream has ended.
    let stream = agent
        .core
        .executor(&key("e"))
        .unwrap()
        .stream
        .clone()
        .unwrap();
    let (_, effects) = agent.step(Input::StreamGone {
        key: key("e"),
        stream,
    });
    assert_eq!(exits(&effects), 1);
    assert!(agent.core.frameworks.is_empty());
    assert!(matches!(
        agent.subscribe("e", &[]).0,
        Reply::Refused(400, _)
    ));
}

#[test]
fn bad_reports_are_refused() {
    let mut agent = Agent::new();
    agent.launch("e", "x", &["t"], false);
    assert!(matches!(
        agent.update("e", "t", TaskState::Running, 1).0,
        Reply::Refused(403, _)
    ));
    agent.subscribe("e", &[]);
    let mut cases = vec![status("t", TaskState::Staging, 1)];
    cases.push(TaskStatus {
        uuid: None,
        ..status("t", TaskState::Running, 1)
    });
    cases.push(TaskStatus {
        uuid: Some(Bytes::from_static(b"short")),
        ..status("t", TaskState::Running, 1)
    });
    cases.push(TaskStatus {
        source: Some(StatusSource::Agent.number()),
        ..status("t", TaskState::Running, 1)
    });
    cases.push(TaskStatus {
        executor_id: Some("other".into()),
        ..status("t", TaskState::Running, 1)
    });
    for status in cases {
        let status = Box::new(status);
        let (reply, effects) = agent.step(Input::Update {
            key: key("e"),
            status,
            token: None,
        });
        assert!(
            matches!(reply, Reply::Refused(400, _)) && effects.is_empty(),
            "{reply:?}"
        );
    }
    let token = Some("wrong".to_owned());
    let status = Box::new(status("t", TaskState::Running, 1));
    let (reply, _) = agent.step(Input::Update {
        key: key("e"),
        status,
        token,
    });
    assert!(matches!(reply, Reply::Refused(403, _)));
}

#[test]
fn after_a_kill_of_the_agent_executors_come_back_and_get_what_they_miss() {
    let mut agent = Agent::new();
    agent.launch("e", "resident", &["t1", "t2"], true);
    agent.subscribe("e", &[]);
    agent.update("e", "t1", TaskState::Running, 1);
    agent.launch("e", "resident", &["t3"], true);
    let effects = agent.restart("boot-1", &|_, _| false);
    assert_eq!(effects, vec![]);
    assert_eq!(
        sent(&agent.connect()),
        vec![("t1".into(), TaskState::Running)]
    );
    // It has t1 and t2 on record, and never got t3.
    let (_, effects) = agent.subscribe("e", &["t1", "t2"]);
    assert_eq!(
        events(&effects),
        vec![Event::Subscribed, Event::LaunchGroup]
    );
    let delivered: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Event { event, .. } => event.launch_group.as_ref(),
            _ => None,
        })
        .flat_map(|group| &group.task_group.tasks)
        .map(|task| task.task_id.value.as_str())
        .collect();
    assert_eq!(delivered, vec!["t3"]);
    // An executor that does not come back: its tasks are gone.
    agent.restart("boot-1", &|_, _| false);
    agent.connect();
    agent.time += 700_000;
    let (_, effects) = agent.step(Input::Tick);
    let told: BTreeSet<_> = sent(&effects)
        .into_iter()
        .filter(|(task, _)| task != "t1")
        .collect();
    assert_eq!(
        told,
        [
            ("t2".into(), TaskState::Gone),
            ("t3".into(), TaskState::Gone)
        ]
        .into()
    );
    assert_eq!(exits(&effects), 1);
}

#[test]
fn a_reboot_ends_every_former_task_once() {
    let mut agent = Agent::new();
    agent.launch("e", "resident", &["t1"], true);
    agent.launch("g", "forked", &["t2"], true);
    agent.subscribe("e", &[]);
    agent.update("e", "t1", TaskState::Running, 1);
    agent.restart("boot-2", &|_, _| {
        panic!("pids of another boot mean nothing")
    });
    let effects = agent.connect();
    assert_eq!(
        sent(&effects),
        vec![
            ("t1".into(), TaskState::Running),
            ("t2".into(), TaskState::Gone)
        ]
    );
    let effects = agent.acknowledge("t1", Bytes::from_static(&[1; 16]));
    assert_eq!(sent(&effects), vec![("t1".into(), TaskState::Gone)]);
    assert!(matches!(
        agent.subscribe("e", &["t1"]).0,
        Reply::Refused(400, _)
    ));
    // And not again with the next restart.
    agent.restart("boot-2", &|_, _| true);
    assert_eq!(sent(&agent.connect()).len(), 2);
    assert_eq!(agent.core.info.id, Some("a".into()));
}

#[test]
fn a_forked_executor_that_ended_meanwhile_fails_its_tasks() {
    let mut agent = Agent::new();
    let effects = agent.launch("e", "forked", &["t"], false);
    let [Effect::Start(start)] = &effects[..] else {
        panic!("{effects:?}")
    };
    let run = start.run.clone();
    agent.step(Input::Started {
        key: key("e"),
        run,
        pid: 100,
        start_time: 5,
    });
    agent.restart("boot-1", &|pid, start_time| {
        !(pid == 100 && start_time == 5)
    });
    assert_eq!(
        sent(&agent.connect()),
        vec![("t".into(), TaskState::Failed)]
    );
}

#[test]
fn a_shutdown_is_enforced_after_its_grace() {
    let mut agent = Agent::new();
    let effects = agent.launch("e", "forked", &["t"], false);
    let [Effect::Start(start)] = &effects[..] else {
        panic!("{effects:?}")
    };
    let run = start.run.clone();
    agent.step(Input::Started {
        key: key("e"),
        run: run.clone(),
        pid: 100,
        start_time: 5,
    });
    agent.subscribe("e", &[]);
    let shutdown = ShutdownCommand {
        framework_id: "f".into(),
        executor_id: "e".into(),
    };
    let effects = agent.command(Command {
        shutdown: Some(shutdown),
        ..Command::default()
    });
    assert_eq!(events(&effects), vec![Event::Shutdown]);
    agent.time = agent.core.next_deadline().unwrap();
    let (_, effects) = agent.step(Input::Tick);
    assert_eq!(
        effects,
        vec![Effect::Kill {
            pid: 100,
            start_time: 5
        }]
    );
    let (_, effects) = agent.step(Input::Exited {
        key: key("e"),
        run,
        status: Some(9),
    });
    assert_eq!(sent(&effects), vec![("t".into(), TaskState::Killed)]);
}

#[test]
fn a_removed_framework_ends_without_a_word() {
    let mut agent = Agent::new();
    agent.launch("e", "resident", &["t"], true);
    agent.subscribe("e", &[]);
    let effects = agent.command(Command {
        remove_framework: Some("f".into()),
        ..Command::default()
    });
    assert_eq!(events(&effects), vec![Event::Shutdown]);
    let (reply, effects) = agent.update("e", "t", TaskState::Killed, 1);
    assert_eq!(
        (reply, sent(&effects), events(&effects)),
        (Reply::Accepted, vec![], vec![Event::Acknowledged])
    );
    agent.restart("boot-1", &|_, _| false);
    assert!(agent.core.registration().frameworks.is_empty());
    let (_, effects) = agent.subscribe("e", &[]);
    assert_eq!(events(&effects), vec![Event::Subscribed, Event::Shutdown]);
    let stream = agent
        .core
        .executor(&key("e"))
        .unwrap()
        .stream
        .clone()
        .unwrap();
    agent.step(Input::StreamGone {
        key: key("e"),
        stream,
    });
    assert!(agent.core.frameworks.is_empty());
}

#[derive(Debug, Clone)]
enum Happening {
    Launch(u8, bool),
    Subscribe(u8),
    StreamGone(u8),
    Update(u8, u8),
    Acknowledge(u8),
    Kill(u8),
    Shutdown(u8),
    Exit(u8),
    Wait(u32),
    Restart(bool),
    Reboot,
    RemoveFramework,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        5 => (0u8..4, any::<bool>()).prop_map(|(executor, resident)| Happening::Launch(executor, resident)),
        5 => (0u8..4).prop_map(Happening::Subscribe),
        2 => (0u8..4).prop_map(Happening::StreamGone),
        8 => (any::<u8>(), 0u8..4).prop_map(|(task, state)| Happening::Update(task, state)),
        8 => any::<u8>().prop_map(Happening::Acknowledge),
        1 => any::<u8>().prop_map(Happening::Kill),
        1 => (0u8..4).prop_map(Happening::Shutdown),
        1 => (0u8..4).prop_map(Happening::Exit),
        2 => (1u32..1_000_000).prop_map(Happening::Wait),
        3 => any::<bool>().prop_map(Happening::Restart),
        1 => Just(Happening::Reboot),
        1 => Just(Happening::RemoveFramework),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever happens, the journal leads to the same state; every launched task gets exactly one end, or is still
    /// known, unless its framework was removed; and no task starts again after its end.
    #[test]
    fn the_journal_is_the_state_and_every_task_ends_once(
        happenings in prop::collection::vec(happening(), 1..100),
    ) {
        let mut agent = Agent::new();
        let mut launched: BTreeSet<String> = BTreeSet::new();
        let mut ended: BTreeSet<String> = BTreeSet::new();
        let mut boot = 1;
        for (number, happening) in happenings.into_iter().enumerate() {
            let executors = ["e0", "e1", "e2", "e3"];
            let pick_task = |agent: &Agent, pick: u8| {
                let all: Vec<(String, String)> = agent
                    .core
                    .frameworks
                    .values()
                    .flat_map(|framework| framework.executors.values())
                    .flat_map(|executor| {
                        executor.tasks.keys().map(|task| (executor.info.executor_id.value.clone(), task.value.clone()))
                    })
                    .collect();
                all.get(usize::from(pick) % all.len().max(1)).cloned()
            };
            match happening {
                Happening::Launch(executor, resident) => {
                    let (one, two) = (format!("t{number}a"), format!("t{number}b"));
                    let command = if resident { "resident" } else { "forked" };
                    let gone = agent.core.frameworks.values().any(|framework| framework.removed);
                    agent.launch(executors[usize::from(executor)], command, &[&one, &two], number % 2 == 0);
                    if !gone {
                        launched.extend([one, two]);
                    }
                }
                Happening::Subscribe(executor) => {
                    agent.subscribe(executors[usize::from(executor)], &[]);
                }
                Happening::StreamGone(executor) => {
                    let key = key(executors[usize::from(executor)]);
                    if let Some(stream) = agent.core.executor(&key).and_then(|executor| executor.stream.clone()) {
                        agent.step(Input::StreamGone { key, stream });
                    }
                }
                Happening::Update(pick, state) => {
                    if let Some((executor, task)) = pick_task(&agent, pick) {
                        let states =
                            [TaskState::Starting, TaskState::Running, TaskState::Finished, TaskState::Failed];
                        let uuid = u8::try_from(number).unwrap();
                        agent.update(&executor, &task, states[usize::from(state)], uuid);
                    }
                }
                Happening::Acknowledge(pick) => {
                    if let Some((executor, task)) = pick_task(&agent, pick) {
                        let head = agent.core.executor(&key(&executor)).unwrap().tasks[task.as_str()].updates.front().cloned();
                        if let Some(head) = head {
                            if head.state().is_terminal() {
                                prop_assert!(ended.insert(task.clone()), "{} ended twice", task);
                            }
                            agent.acknowledge(&task, head.uuid.unwrap());
                        }
                    }
                }
                Happening::Kill(pick) => {
                    if let Some((_, task)) = pick_task(&agent, pick) {
                        let kill =
                            KillCommand { framework_id: "f".into(), task_id: task.into(), policy: None };
                        agent.command(Command { kill: Some(kill), ..Command::default() });
                    }
                }
                Happening::Shutdown(executor) => {
                    let executor_id = executors[usize::from(executor)].into();
                    let shutdown = ShutdownCommand { framework_id: "f".into(), executor_id };
                    agent.command(Command { shutdown: Some(shutdown), ..Command::default() });
                }
                Happening::Exit(executor) => {
                    let key = key(executors[usize::from(executor)]);
                    if let Some(run) = agent.core.executor(&key).map(|executor| executor.run.clone()) {
                        agent.step(Input::Exited { key, run, status: Some(0) });
                    }
                }
                Happening::Wait(milliseconds) => {
                    agent.time += u64::from(milliseconds);
                    agent.step(Input::Tick);
                }
                Happening::Restart(alive) => {
                    agent.restart(&format!("boot-{boot}"), &|_, _| alive);
                    agent.connect();
                }
                Happening::Reboot => {
                    boot += 1;
                    agent.restart(&format!("boot-{boot}"), &|_, _| true);
                    agent.connect();
                }
                Happening::RemoveFramework => {
                    agent.command(Command { remove_framework: Some("f".into()), ..Command::default() });
                    launched.clear();
                    ended.clear();
                }
            }
            let mut replayed = Core::new(rules(), AgentInfo::default(), 0);
            for entry in agent.journal.iter().cloned() {
                replayed.replay(entry);
            }
            prop_assert_eq!(replayed.snapshot(), agent.core.snapshot());
            let mut again = Core::new(rules(), AgentInfo::default(), 0);
            for entry in agent.core.snapshot() {
                again.replay(entry);
            }
            prop_assert_eq!(again.snapshot(), agent.core.snapshot());
            let known: BTreeSet<String> = agent
                .core
                .registration()
                .tasks
                .into_iter()
                .map(|task| task.task_id.value)
                .collect();
            let all: BTreeSet<String> = known.union(&ended).cloned().collect();
            prop_assert_eq!(&all, &launched);
            prop_assert!(known.is_disjoint(&ended));
        }
    }
}
