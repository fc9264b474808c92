//! The life of a task as a table, and as random walks that must not break its promises.

use proptest::prelude::*;

use super::*;

const PROCESS: Process = Process {
    pid: 7,
    start_time: 70,
};

fn exit(code: i32) -> Exit {
    Exit {
        code,
        text: format!("exited with code {code}"),
        oom: false,
    }
}

fn kill(grace: u64) -> Event {
    Event::Kill {
        grace,
        reason: "killed as ordered".to_owned(),
    }
}

fn facts(pid_file: bool) -> Facts {
    Facts {
        pid_file,
        start_grace: 500,
        restart_command: false,
    }
}

/// Runs events through and gives the effects of each.
fn walk(facts: Facts, events: &[(u64, Event)]) -> (State, Vec<Vec<Effect>>) {
    let mut state = State::default();
    let mut all = Vec::new();
    for (now, event) in events {
        let (next, effects) = step(state, event.clone(), *now, facts);
        state = next;
        all.push(effects);
    }
    (state, all)
}

fn last(facts: Facts, events: &[(u64, Event)]) -> (State, Vec<Effect>) {
    let (state, mut effects) = walk(facts, events);
    (state, effects.pop().unwrap())
}

const LAUNCH: (u64, Event) = (0, Event::Launch);
const READY: (u64, Event) = (1, Event::Prepared(Ok(())));
const STARTED: (u64, Event) = (2, Event::Spawned(Ok(PROCESS)));

#[test]
fn a_foreground_program_lives_and_ends() {
    let events = [
        LAUNCH,
        READY,
        STARTED,
        (9, Event::Exited(exit(0))),
        (10, Event::Cleaned),
    ];
    let (state, effects) = walk(facts(false), &events);
    assert_eq!(effects[0], [Effect::Record, Effect::Prepare]);
    assert_eq!(
        effects[1],
        [
            Effect::Record,
            Effect::Report(Report::Starting),
            Effect::Spawn
        ]
    );
    assert_eq!(
        effects[2],
        [
            Effect::Record,
            Effect::Report(Report::Running),
            Effect::StartChecks
        ]
    );
    assert_eq!(
        effects[3],
        [Effect::Record, Effect::StopChecks, Effect::CleanUp]
    );
    assert_eq!(effects[4], [Effect::Report(Report::Ended), Effect::Record]);
    assert_eq!(
        (state.phase, state.outcome),
        (Phase::Stopped, Some(Outcome::Finished))
    );
}

#[test]
fn an_exit_that_overtakes_the_answer_to_the_start_is_not_lost() {
    let events = [LAUNCH, READY, (2, Event::Exited(exit(3))), STARTED];
    let (state, effects) = walk(facts(false), &events);
    assert!(effects[2].is_empty());
    assert!(effects[3].contains(&Effect::Report(Report::Running)));
    assert!(effects[3].contains(&Effect::CleanUp));
    assert_eq!(
        (state.outcome, state.exit),
        (Some(Outcome::Failed), Some(exit(3)))
    );
}

#[test]
fn a_program_with_a_pid_file_runs_once_it_is_found() {
    let events = [LAUNCH, READY, STARTED, (5, Event::StartEnded(exit(0)))];
    let (state, effects) = last(facts(true), &events);
    assert_eq!(
        (state.phase, effects),
        (Phase::Starting, vec![Effect::AwaitPid(500)])
    );
    let (state, effects) = step(state, Event::Found(Ok(PROCESS)), 6, facts(true));
    assert_eq!(
        (state.phase, state.process),
        (Phase::Running, Some(PROCESS))
    );
    assert!(effects.contains(&Effect::Report(Report::Running)));
    let events = [LAUNCH, READY, STARTED, (5, Event::StartEnded(exit(2)))];
    let (state, _) = last(facts(true), &events);
    assert_eq!(state.outcome, Some(Outcome::Failed));
    assert!(state.message.starts_with("the start command failed"));
    let late = START_LIMIT + 600;
    let events = [LAUNCH, READY, STARTED, (late, Event::Deadline)];
    assert_eq!(last(facts(true), &events).0.outcome, Some(Outcome::Failed));
}

#[test]
fn a_kill_while_staging_cancels_and_starts_nothing() {
    let events = [
        LAUNCH,
        (1, kill(5)),
        (2, Event::Prepared(Ok(()))),
        (3, Event::Cleaned),
    ];
    let (state, effects) = walk(facts(false), &events);
    assert_eq!(effects[1][0], Effect::CancelPrepare);
    assert!(
        effects[2].is_empty(),
        "a preparation that comes late starts nothing"
    );
    assert_eq!(state.outcome, Some(Outcome::Killed));
    assert!(
        !effects
            .iter()
            .flatten()
            .any(|effect| *effect == Effect::Spawn)
    );
}

#[test]
fn a_kill_while_starting_reaches_the_program_when_it_is_there() {
    let events = [
        LAUNCH,
        READY,
        (2, kill(100)),
        (3, Event::Spawned(Ok(PROCESS))),
    ];
    let (state, effects) = last(facts(false), &events);
    assert_eq!(effects, [Effect::Record, Effect::Terminate]);
    assert_eq!(state.phase, Phase::Stopping);
    let (_, effects) = step(state, Event::Deadline, 102, facts(false));
    assert_eq!(effects, [Effect::KillAll]);
    let events = [
        LAUNCH,
        READY,
        (2, kill(100)),
        (3, Event::Spawned(Err("no".into()))),
    ];
    assert_eq!(last(facts(false), &events).0.outcome, Some(Outcome::Killed));
}

#[test]
fn stop_asks_then_kills_and_kills_again() {
    let (state, effects) = last(facts(false), &[LAUNCH, READY, STARTED, (10, kill(1000))]);
    assert_eq!(
        effects,
        [
            Effect::Record,
            Effect::StopChecks,
            Effect::Report(Report::Killing),
            Effect::Terminate
        ]
    );
    let (state, effects) = step(state, Event::Deadline, 900, facts(false));
    assert!(effects.is_empty(), "too early");
    let (state, effects) = step(state, Event::Deadline, 1010, facts(false));
    assert_eq!(effects, [Effect::KillAll]);
    let (state, effects) = step(state, Event::Deadline, 1010 + KILL_AGAIN, facts(false));
    assert_eq!(effects, [Effect::KillAll]);
    let (state, _) = step(state, Event::Exited(exit(137)), 4000, facts(false));
    assert_eq!(state.outcome, Some(Outcome::Killed));
    let (_, effects) = last(facts(false), &[LAUNCH, READY, STARTED, (10, kill(0))]);
    assert!(effects.contains(&Effect::KillAll), "grace 0 is immediate");
    assert!(!effects.contains(&Effect::Terminate));
}

#[test]
fn a_shorter_grace_shortens_and_a_longer_one_does_not_lengthen() {
    let (state, _) = last(facts(false), &[LAUNCH, READY, STARTED, (10, kill(1000))]);
    let (state, _) = step(state, kill(10_000), 20, facts(false));
    assert_eq!(state.stop.unwrap().deadline, 1010);
    let (state, effects) = step(state, kill(0), 30, facts(false));
    assert_eq!(state.stop.unwrap().deadline, 30);
    assert_eq!(effects, [Effect::Record, Effect::KillAll]);
}

#[test]
fn a_restart_in_place_stops_and_starts_with_a_new_run() {
    let restart = Event::Restart { grace: 100 };
    let (state, effects) = last(facts(false), &[LAUNCH, READY, STARTED, (10, restart)]);
    assert_eq!(
        effects,
        [Effect::Record, Effect::StopChecks, Effect::Terminate]
    );
    let (state, effects) = step(state, Event::Exited(exit(143)), 20, facts(false));
    assert_eq!(effects, [Effect::Record, Effect::Spawn]);
    assert_eq!(
        (state.phase, state.run, state.exit.clone()),
        (Phase::Starting, 1, None)
    );
    let (state, _) = step(state, Event::Spawned(Ok(PROCESS)), 21, facts(false));
    assert_eq!(state.phase, Phase::Running);
}

#[test]
fn a_restart_command_may_fail_without_harm_if_the_program_lives() {
    let facts = Facts {
        restart_command: true,
        ..facts(true)
    };
    let restart = Event::Restart { grace: 100 };
    let found = (4, Event::Found(Ok(PROCESS)));
    let running = [
        LAUNCH,
        READY,
        STARTED,
        (3, Event::StartEnded(exit(0))),
        found,
        (10, restart),
    ];
    let (state, effects) = last(facts, &running);
    assert!(effects.contains(&Effect::RestartCommand));
    let failed = Event::RestartCommandEnded(Err("no".into()));
    let (alive, _) = step(state.clone(), failed.clone(), 11, facts);
    assert_eq!(alive.phase, Phase::Running);
    let (gone, _) = step(state, Event::Exited(exit(0)), 11, facts);
    assert_eq!(
        gone.phase,
        Phase::Stopping,
        "the restart command may have ended it"
    );
    let (dead, _) = step(gone.clone(), failed, 12, facts);
    assert_eq!(dead.outcome, Some(Outcome::Failed));
    let (again, effects) = step(gone, Event::RestartCommandEnded(Ok(())), 12, facts);
    assert_eq!(effects, [Effect::Record, Effect::AwaitPid(500)]);
    assert!(again.awaiting && again.run == 1);
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Launch),
        Just(Event::Prepared(Ok(()))),
        Just(Event::Prepared(Err("no".into()))),
        Just(Event::Spawned(Ok(PROCESS))),
        Just(Event::Spawned(Err("no".into()))),
        (0..3).prop_map(|code| Event::StartEnded(exit(code))),
        Just(Event::Found(Ok(PROCESS))),
        Just(Event::Found(Err("no".into()))),
        (0..3).prop_map(|code| Event::Exited(exit(code))),
        (0_u64..2000).prop_map(kill),
        (0_u64..2000).prop_map(|grace| Event::Restart { grace }),
        Just(Event::RestartCommandEnded(Ok(()))),
        Just(Event::RestartCommandEnded(Err("no".into()))),
        Just(Event::Deadline),
        Just(Event::Cleaned),
    ]
}

proptest! {
    #[test]
    fn promises_hold_on_every_way(
        pid_file: bool,
        restart_command: bool,
        list in proptest::collection::vec((1_u64..500, events()), 1..40),
    ) {
        let facts = Facts { pid_file, start_grace: 100, restart_command };
        let (mut state, mut now, mut ends, mut spawned) = (State::default(), 0, 0, Vec::new());
        for (pause, event) in list {
            now += pause;
            let before = state.clone();
            let (next, effects) = step(state, event, now, facts);
            // What reaches outside comes after the record.
            if let Some(at) = effects.iter().position(|effect| matches!(effect, Effect::Spawn | Effect::RestartCommand)) {
                prop_assert!(effects[..at].contains(&Effect::Record));
                spawned.push(next.run);
            }
            if before.phase == Phase::Stopped {
                prop_assert_eq!(next.phase, Phase::Stopped);
                prop_assert_eq!(before.outcome, next.outcome);
            }
            if next.phase == Phase::Stopped && before.phase != Phase::Stopped {
                prop_assert!(effects.contains(&Effect::CleanUp));
                prop_assert!(effects.contains(&Effect::Record));
                prop_assert!(next.outcome.is_some());
            }
            if next.phase == Phase::Stopping {
                prop_assert!(next.stop.is_some(), "there is always a deadline");
            }
            ends += effects.iter().filter(|effect| **effect == Effect::Report(Report::Ended)).count();
            prop_assert!(next.run >= before.run);
            let text = serde_json::to_string(&next).unwrap();
            prop_assert_eq!(&serde_json::from_str::<State>(&text).unwrap(), &next);
            state = next;
        }
        prop_assert!(ends <= 1, "the end is reported once");
        let count = spawned.len();
        spawned.dedup();
        prop_assert!(count <= spawned.len() + usize::from(restart_command) * count, "one start a run");
        // Whatever happened: an order to stop and time bring every task to its end.
        for _ in 0..4 {
            now += 5000;
            for event in [kill(0), Event::Deadline, Event::Spawned(Err("no".into())), Event::Exited(exit(1)), Event::Cleaned] {
                state = step(state, event, now, facts).0;
            }
        }
        prop_assert_eq!(state.phase, Phase::Stopped);
        prop_assert!(state.reported);
    }
}
