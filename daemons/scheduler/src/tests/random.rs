//! Random histories: orders, faults and crashes in any order. At no time do two tasks of one index
//! run, unless one of them is out of sight or was disowned by force; at the end, when everything is
//! reachable again, what runs is what is wanted, and no operation is left over.

use std::collections::BTreeSet;

use bcs_mesos::TaskState;
use bcs_model::status::AppStatus;
use proptest::prelude::*;

use super::sim::{Crash, Sim};
use super::versions::{name, process};
use crate::core::Event;
use crate::core::command::Command;

#[derive(Debug, Clone)]
enum Happening {
    Create(u8, u8),
    Scale(u8, u8),
    Update(u8, u8),
    Delete(u8, bool),
    Reschedule(u8, u8),
    Deliver(u8),
    Fail(u8),
    Finish(u8),
    /// The update is lost on its way and sent again later.
    Repeat(u8),
    Lose(u8),
    Regain(u8),
    Rescind(u8),
    Pass(u16),
    Crash(u8),
    Reconnect,
    Sluggish(bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::{
        Crash, Create, Delete, Deliver, Fail, Finish, Lose, Pass, Reconnect, Regain, Repeat,
        Reschedule, Rescind, Scale, Sluggish, Update,
    };
    prop_oneof![
        3 => (0..2u8, 1..6u8).prop_map(|(app, count)| Create(app, count)),
        3 => (0..2u8, 1..8u8).prop_map(|(app, count)| Scale(app, count)),
        2 => (0..2u8, 0..6u8).prop_map(|(app, count)| Update(app, count)),
        1 => (0..2u8, any::<bool>()).prop_map(|(app, force)| Delete(app, force)),
        1 => (0..2u8, 0..6u8).prop_map(|(app, index)| Reschedule(app, index)),
        12 => (1..20u8).prop_map(Deliver),
        3 => any::<u8>().prop_map(Fail),
        1 => any::<u8>().prop_map(Finish),
        1 => any::<u8>().prop_map(Repeat),
        1 => (0..3u8).prop_map(Lose),
        2 => (0..3u8).prop_map(Regain),
        1 => (0..3u8).prop_map(Rescind),
        3 => (1..30_000u16).prop_map(Pass),
        2 => (0..8u8).prop_map(Crash),
        1 => Just(Reconnect),
        1 => any::<bool>().prop_map(Sluggish),
    ]
}

const APPS: [&str; 2] = ["one", "two"];

fn pick(of: &BTreeSet<String>, which: u8) -> Option<String> {
    of.iter().nth(usize::from(which) % of.len().max(1)).cloned()
}

/// Tasks that may have a double: unreachable, or disowned by a forced delete.
fn check(sim: &Sim, disowned: &BTreeSet<String>) {
    for app in APPS {
        for (index, tasks) in sim.live(app) {
            let here: Vec<&String> = tasks
                .iter()
                .filter(|id| !disowned.contains(*id))
                .filter(|id| {
                    let task = &sim.tasks[*id];
                    let known = sim.cluster.find(&task.executor).is_some();
                    // A host that is back brings ended business along, until it is told to stop it.
                    known || !task.stopping
                })
                .filter(|id| sim.agents[&sim.tasks[*id].agent].reachable)
                .collect();
            let known = here
                .iter()
                .filter(|id| sim.cluster.find(&sim.tasks[**id].executor).is_some());
            assert!(known.count() <= 1, "{app} index {index}: {here:?}");
        }
        let Some(app) = sim.cluster.apps.get(&name(app)) else {
            continue;
        };
        let counts: bcs_model::status::StatusCounts =
            app.groups().map(|group| group.group.status).collect();
        assert_eq!(app.counts, counts);
        let waiting: BTreeSet<u64> = app
            .slots
            .iter()
            .filter(|(_, slot)| slot.wish.is_some())
            .map(|(index, _)| *index)
            .collect();
        assert_eq!(app.waiting, waiting);
    }
    // A double that nobody was out of sight for.
    let mut seen = BTreeSet::new();
    for (id, task) in &sim.tasks {
        if !task.state.is_terminal() && !disowned.contains(id) {
            let group: bcs_model::ids::TaskGroupId = task.executor.parse().unwrap();
            let fresh = seen.insert((group.app, group.index));
            assert!(fresh, "two tasks of one index run: {id}");
        }
    }
}

fn run(happenings: Vec<Happening>) {
    let mut sim = Sim::new(3);
    let mut disowned: BTreeSet<String> = BTreeSet::new();
    for (ticket, happening) in (1..).zip(happenings) {
        let order = |sim: &mut Sim, command| {
            sim.step(Event::Command {
                ticket,
                command: Box::new(command),
            });
        };
        match happening {
            Happening::Create(app, count) => {
                let version = process(APPS[usize::from(app)], i64::from(count));
                order(&mut sim, Command::Create(Box::new(version)));
            }
            Happening::Scale(app, count) => {
                let name = name(APPS[usize::from(app)]);
                order(
                    &mut sim,
                    Command::Scale {
                        name,
                        instances: count.into(),
                        kind: None,
                    },
                );
            }
            Happening::Update(app, count) => {
                let app = APPS[usize::from(app)];
                let command = Command::Update {
                    name: name(app),
                    version: Box::new(process(app, 1)),
                    instances: count.into(),
                    resources_only: false,
                };
                order(&mut sim, command);
            }
            Happening::Delete(app, enforce) => {
                let app = APPS[usize::from(app)];
                if enforce {
                    disowned.extend(sim.live(app).into_values().flatten());
                }
                // What is out of sight is let go of, too, and shut down when it comes back.
                let away = sim.live(app).into_values().flatten();
                let away = away.filter(|id| !sim.agents[&sim.tasks[id].agent].reachable);
                disowned.extend(away);
                order(
                    &mut sim,
                    Command::Delete {
                        name: name(app),
                        enforce,
                        kind: None,
                    },
                );
            }
            Happening::Reschedule(app, index) => {
                let group = sim
                    .cluster
                    .group(&name(APPS[usize::from(app)]), index.into());
                if let Some(id) = group.map(|group| group.group.id.clone()) {
                    order(
                        &mut sim,
                        Command::Reschedule {
                            taskgroup: id,
                            retain_seconds: 0,
                        },
                    );
                }
            }
            Happening::Deliver(count) => {
                for _ in 0..count {
                    sim.deliver();
                }
            }
            Happening::Fail(which) => {
                if let Some(id) = pick(&sim.running(), which) {
                    sim.progress(&id, TaskState::Failed);
                }
            }
            Happening::Finish(which) => {
                if let Some(id) = pick(&sim.running(), which) {
                    sim.progress(&id, TaskState::Finished);
                }
            }
            Happening::Repeat(which) => {
                let all: BTreeSet<String> = sim.tasks.keys().cloned().collect();
                if let Some(id) = pick(&all, which) {
                    sim.deliver_update(&id);
                }
            }
            Happening::Lose(agent) => {
                let agent = format!("agent-{agent}");
                // Whatever runs there may be replaced from now on.
                let there = sim.tasks.iter().filter(|(_, task)| task.agent == agent);
                disowned.extend(there.map(|(id, _)| id.clone()));
                sim.lose(&agent);
            }
            Happening::Regain(agent) => sim.regain(&format!("agent-{agent}")),
            Happening::Rescind(agent) => {
                sim.rescind(&format!("agent-{agent}"));
                sim.offer();
            }
            Happening::Pass(millis) => sim.pass(millis.into()),
            Happening::Crash(at) => {
                let event = sim.queue.pop_front().unwrap_or(Event::Tick);
                let crash = match at {
                    0 => Crash::BeforeCommit,
                    at => Crash::AfterEffects(usize::from(at) - 1),
                };
                sim.step_and_crash(event, crash);
            }
            Happening::Reconnect => sim.subscribe(),
            Happening::Sluggish(sluggish) => sim.automatic = !sluggish,
        }
        check(&sim, &disowned);
    }
    heal(&mut sim);
}

/// Everything is reachable and quick again: the cluster must come to rest as it is wanted.
fn heal(sim: &mut Sim) {
    sim.automatic = true;
    for number in 0..3 {
        sim.regain(&format!("agent-{number}"));
    }
    for _ in 0..3 {
        sim.settle();
        let late: Vec<(String, bool)> = sim
            .running()
            .into_iter()
            .map(|id| (id.clone(), sim.tasks[&id].stopping))
            .collect();
        for (id, stopping) in late {
            sim.progress(
                &id,
                if stopping {
                    TaskState::Killed
                } else {
                    TaskState::Running
                },
            );
        }
        sim.settle();
        sim.pass(400_000);
        sim.settle();
        sim.pass(1_000_000);
        sim.settle();
    }
    // Operations that could not be done in time have been let go of by now.
    sim.pass(2_000_000);
    sim.settle();
    let mut known = 0;
    for app in APPS {
        let Some(record) = sim.cluster.apps.get(&name(app)) else {
            assert!(sim.live(app).is_empty(), "{app} is gone, but runs");
            continue;
        };
        let wanted = record.record.application.define_instances;
        assert_eq!(sim.indexes(app), (0..wanted).collect::<Vec<_>>());
        assert_eq!(record.record.operation, None);
        let application = &record.record.application;
        assert_eq!(
            application.status,
            AppStatus::Running,
            "{}",
            application.message
        );
        assert_eq!(application.running_instances, wanted);
        known += wanted;
    }
    let running = u64::try_from(sim.running().len()).unwrap();
    assert_eq!(running, known, "nothing else runs");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_history_comes_to_rest_as_wanted(happenings in prop::collection::vec(happening(), 1..60)) {
        run(happenings);
    }
}
