//! What goes wrong between scheduler, store, master and agents, one fault at a time.

use bcs_mesos::{AgentId, ExecutorId, TaskId, TaskState, TaskStatus, WireName as _};
use bcs_model::status::{AppStatus, Status};

use super::sim::{Crash, Sim};
use super::versions::{name, process};
use crate::core::command::Command;
use crate::core::{Effect, Event};

fn create(instances: i64) -> Command {
    Command::Create(Box::new(process("web", instances)))
}

#[test]
fn nothing_is_acknowledged_or_accepted_before_it_is_committed() {
    let mut sim = Sim::new(1);
    sim.cluster.step(
        Event::Command {
            ticket: 1,
            command: Box::new(create(2)),
        },
        sim.now,
    );
    // Everything that leaves is in the batch, behind what must be committed first.
    let batch = sim.cluster.finish(sim.now);
    let kept: Vec<String> = batch.puts.iter().map(|(key, _)| key.path()).collect();
    assert_eq!(
        kept.iter().filter(|key| key.starts_with("group/")).count(),
        2
    );
    assert!(
        matches!(batch.effects.first(), Some(Effect::Accept { taskgroups, .. }) if taskgroups.len() == 2)
    );
    assert!(matches!(
        batch.effects.last(),
        Some(Effect::Reply {
            ticket: 1,
            result: Ok(_)
        })
    ));
}

#[test]
fn an_offer_rescinded_before_the_accept_arrives_is_only_a_delay() {
    let mut sim = Sim::new(1);
    // The master took the offer back; the news is on its way while the ACCEPT leaves.
    sim.rescind("agent-0");
    sim.step(Event::Command {
        ticket: 1,
        command: Box::new(create(2)),
    });
    assert!(sim.running().is_empty());
    sim.offer();
    sim.settle();
    assert_eq!(sim.indexes("web"), [0, 1]);
    assert_eq!(sim.application("web").status, AppStatus::Running);
}

#[test]
fn a_dropped_launch_is_built_again_whatever_the_policy_says() {
    let mut sim = Sim::new(1);
    sim.automatic = false;
    let mut version = process("web", 1);
    version.restart_policy.policy = bcs_model::version::RestartRule::Never;
    sim.order(Command::Create(Box::new(version))).unwrap();
    let task = sim.task("web", 0);
    sim.tasks.remove(&task);
    let status = TaskStatus {
        task_id: TaskId {
            value: task.clone(),
        },
        state: TaskState::Dropped.number(),
        ..TaskStatus::default()
    };
    sim.queue.push_back(Event::Update(Box::new(status)));
    sim.settle();
    assert_ne!(sim.task("web", 0), task);
    assert_eq!(
        sim.cluster
            .group(&name("web"), 0)
            .unwrap()
            .group
            .rescheduled_times,
        0
    );
}

#[test]
fn a_repeated_update_changes_nothing_and_is_acknowledged_again() {
    let mut sim = Sim::new(1);
    sim.order(create(1)).unwrap();
    sim.automatic = false;
    sim.settle();
    let task = sim.task("web", 0);
    let status = TaskStatus {
        task_id: TaskId { value: task },
        state: TaskState::Failed.number(),
        agent_id: Some(AgentId {
            value: "agent-0".to_owned(),
        }),
        uuid: Some(vec![7; 16].into()),
        ..TaskStatus::default()
    };
    let times = |sim: &Sim| {
        sim.acknowledged
            .iter()
            .filter(|uuid| **uuid == [7; 16])
            .count()
    };
    sim.step(Event::Update(Box::new(status.clone())));
    assert_eq!(times(&sim), 1);
    let store = sim.store.clone();
    sim.step(Event::Update(Box::new(status.clone())));
    assert_eq!(times(&sim), 2);
    assert_eq!(sim.store, store, "one transition");
    let told = TaskStatus {
        uuid: None,
        ..status
    };
    let before = sim.acknowledged.len();
    sim.step(Event::Update(Box::new(told)));
    assert_eq!(
        sim.acknowledged.len(),
        before,
        "no uuid, no acknowledgement"
    );
}

#[test]
fn what_runs_without_a_record_is_shut_down() {
    let mut sim = Sim::new(1);
    let status = TaskStatus {
        task_id: TaskId {
            value: "5.0.0.ghost.arcade.BCS-MESOS-10000".to_owned(),
        },
        state: TaskState::Running.number(),
        agent_id: Some(AgentId {
            value: "agent-0".to_owned(),
        }),
        executor_id: Some(ExecutorId {
            value: "0.ghost.arcade.BCS-MESOS-10000.5".to_owned(),
        }),
        uuid: Some(vec![1; 16].into()),
        ..TaskStatus::default()
    };
    sim.step(Event::Update(Box::new(status.clone())));
    let shutdown = sim
        .calls
        .iter()
        .rev()
        .find_map(|call| call.shutdown.as_ref())
        .unwrap();
    assert_eq!(
        shutdown.executor_id.value,
        "0.ghost.arcade.BCS-MESOS-10000.5"
    );
    assert_eq!(sim.acknowledged.len(), 1);
    let calls = sim.calls.len();
    let ended = TaskStatus {
        state: TaskState::Failed.number(),
        ..status
    };
    sim.step(Event::Update(Box::new(ended)));
    assert_eq!(sim.calls.len(), calls, "what ended needs no stop");
}

#[test]
fn an_accept_in_doubt_is_asked_about_and_a_refused_one_is_repeated() {
    let mut sim = Sim::new(1);
    sim.order(create(1)).unwrap();
    sim.settle();
    let task = sim.task("web", 0);
    let taskgroups = vec![sim.tasks[&task].executor.clone()];
    let doubt = |certain| Event::AcceptFailed {
        taskgroups: taskgroups.clone(),
        certain,
        reason: "time out".to_owned(),
    };
    sim.step(doubt(false));
    sim.settle();
    assert_eq!(sim.task("web", 0), task, "it did get through");
    let mut sim = Sim::new(1);
    sim.automatic = false;
    sim.order(create(1)).unwrap();
    let task = sim.task("web", 0);
    let taskgroups = vec![sim.tasks.remove(&task).unwrap().executor];
    let event = Event::AcceptFailed {
        taskgroups,
        certain: true,
        reason: "refused".to_owned(),
    };
    sim.step(event);
    sim.offer();
    sim.settle();
    assert_ne!(sim.task("web", 0), task);
}

#[test]
fn unknown_is_believed_the_second_time() {
    let mut sim = Sim::new(2);
    sim.order(create(1)).unwrap();
    sim.settle();
    let task = sim.task("web", 0);
    sim.tell(&task, TaskState::Unknown);
    sim.settle();
    assert_eq!(
        sim.cluster.group(&name("web"), 0).unwrap().group.status,
        Status::Running
    );
    sim.tell(&task, TaskState::Unknown);
    sim.settle();
    assert_eq!(
        sim.cluster.group(&name("web"), 0).unwrap().group.status,
        Status::Lost
    );
}

#[test]
fn the_master_is_asked_until_it_has_answered_for_every_task() {
    let mut sim = Sim::new(1);
    sim.order(create(2)).unwrap();
    sim.settle();
    sim.restart();
    let count = |sim: &Sim| {
        let named = |call: &&bcs_mesos::scheduler::Call| {
            call.reconcile
                .as_ref()
                .is_some_and(|all| !all.tasks.is_empty())
        };
        sim.calls.iter().filter(named).count()
    };
    let before = count(&sim);
    // Subscribed, but the answers are lost.
    let subscribed = sim.queue.pop_front().unwrap();
    sim.queue.clear();
    sim.step(subscribed);
    sim.queue.clear();
    assert_eq!(count(&sim), before + 1);
    sim.pass(1_100);
    sim.queue.clear();
    assert_eq!(count(&sim), before + 2);
    sim.pass(1_000);
    assert_eq!(count(&sim), before + 2, "the pauses grow");
    sim.pass(1_100);
    assert_eq!(count(&sim), before + 3);
    sim.settle();
    sim.pass(500_000);
    assert_eq!(count(&sim), before + 3, "all answered");
    sim.pass(500_000);
    let last = sim
        .calls
        .iter()
        .rev()
        .find_map(|call| call.reconcile.as_ref())
        .unwrap();
    assert!(last.tasks.is_empty(), "now and then, everything");
}

/// Every operation, killed before its commit and after each of its effects: after the restart it
/// is as if nothing had happened, or it goes on; nothing is doubled, nothing is lost.
#[test]
fn a_crash_at_each_step_of_each_operation_neither_loses_nor_doubles() {
    let update = || {
        let mut version = process("web", 3);
        version.process[0].start_cmd = "/new".to_owned();
        Command::Update {
            name: name("web"),
            version: Box::new(version),
            instances: 0,
            resources_only: false,
        }
    };
    /// Name, order, instances before it, indexes before and after it.
    type Order<'a> = (&'a str, Box<dyn Fn() -> Command>, i64, &'a [u64], &'a [u64]);
    let orders: [Order<'_>; 5] = [
        ("launch", Box::new(|| create(3)), 0, &[], &[0, 1, 2]),
        (
            "scale up",
            Box::new(|| Command::Scale {
                name: name("web"),
                instances: 5,
                kind: None,
            }),
            3,
            &[0, 1, 2],
            &[0, 1, 2, 3, 4],
        ),
        (
            "scale down",
            Box::new(|| Command::Scale {
                name: name("web"),
                instances: 1,
                kind: None,
            }),
            3,
            &[0, 1, 2],
            &[0],
        ),
        ("update", Box::new(update), 3, &[0, 1, 2], &[0, 1, 2]),
        (
            "delete",
            Box::new(|| Command::Delete {
                name: name("web"),
                enforce: false,
                kind: None,
            }),
            3,
            &[0, 1, 2],
            &[],
        ),
    ];
    for (what, order, instances, before, after) in &orders {
        // The n-th event after the order is the one that is cut.
        for event in 0..8 {
            for effects in 0..6 {
                for early in [true, false] {
                    let crash = if early {
                        Crash::BeforeCommit
                    } else {
                        Crash::AfterEffects(effects)
                    };
                    let mut sim = Sim::new(2);
                    if *instances > 0 {
                        sim.order(create(*instances)).unwrap();
                        sim.settle();
                    }
                    let order = Event::Command {
                        ticket: 7,
                        command: Box::new(order()),
                    };
                    let mut cut = Some(order);
                    for _ in 0..event {
                        sim.step(cut.take().unwrap_or(Event::Tick));
                        cut = sim.queue.pop_front();
                    }
                    let said_yes = event > 0 || (!early && effects > 4);
                    sim.step_and_crash(cut.unwrap_or(Event::Tick), crash);
                    sim.settle();
                    for _ in 0..4 {
                        sim.pass(20_000);
                        sim.settle();
                    }
                    let at = format!("{what}, event {event}, {crash:?}");
                    let runs = sim.indexes("web");
                    if said_yes || event > 0 {
                        assert_eq!(runs, *after, "{at}");
                    } else {
                        assert!(runs == *before || runs == *after, "{at}: {runs:?}");
                    }
                    for app in sim.cluster.apps.values() {
                        assert_eq!(app.record.operation, None, "{at}: forgotten operation");
                        assert_eq!(app.record.application.status, AppStatus::Running, "{at}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_a_forced_delete_could_not_stop_is_found_after_the_next_subscription() {
    let mut sim = Sim::new(1);
    sim.order(create(2)).unwrap();
    sim.settle();
    // Nobody hears the SHUTDOWN: the connection is gone, the scheduler dies.
    let delete = Command::Delete {
        name: name("web"),
        enforce: true,
        kind: None,
    };
    let order = Event::Command {
        ticket: 9,
        command: Box::new(delete),
    };
    sim.cluster.out.connected = false;
    sim.step_and_crash(order, Crash::AfterEffects(9));
    assert_eq!(sim.running().len(), 2);
    sim.settle();
    assert!(sim.running().is_empty());
}
