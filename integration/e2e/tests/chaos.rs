//! Random kill points: in the middle of launch, scale, update and delete a part is killed with
//! SIGKILL and started again. Afterwards every program that should run does, once; every one that
//! should not is gone; and an operation that was acknowledged was carried out.
//!
//! The seed is printed; `BCS_CHAOS_SEED=N` repeats a run, `BCS_CHAOS_KILLS=N` changes its length.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken host should fail loudly"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use bcs_e2e::objects::{process, with};
use bcs_e2e::{Mode, System, alive, pid_of, wait};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

/// Kills in each layout: 200 and more in all.
const KILLS: u32 = 105;
/// Operations are interrupted this long after they began, at most.
const LATEST_KILL: Duration = Duration::from_millis(120);

/// What should be there: application to instances and release.
type Wanted = BTreeMap<u32, (u32, u32)>;

/// The marker in the command line that tells whose program it is: an odd number of seconds.
fn marker(application: u32) -> String {
    format!("10{application:04}77")
}

fn name(application: u32) -> String {
    format!("app{application}")
}

fn object(application: u32, (instances, release): (u32, u32)) -> serde_json::Value {
    let start = format!("/bin/sleep {}", marker(application));
    let object = process(&name(application), instances, "sleep", &start, &[]);
    with(
        object,
        "env",
        json!([{"name": "RELEASE", "value": release.to_string()}]),
    )
}

/// Live programs of an application, counted from outside.
fn programs(system: &System, application: u32) -> Vec<(u32, String)> {
    bcs_e2e::processes_naming(system.folder())
        .into_iter()
        .filter_map(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let ours =
                line.contains("sleep\0") && line.contains(&marker(application)) && alive(pid);
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let environment = String::from_utf8_lossy(&environment).into_owned();
            let release = environment
                .split('\0')
                .find_map(|entry| entry.strip_prefix("RELEASE="))
                .unwrap_or("?");
            ours.then(|| (pid, release.to_owned()))
        })
        .collect()
}

/// One change of what is wanted, and the commands that ask for it.
fn change(random: &mut StdRng, wanted: &mut Wanted, next: &mut u32) -> Vec<Vec<String>> {
    let words = |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let known: Vec<u32> = wanted.keys().copied().collect();
    let choice = if known.len() < 2 {
        0
    } else {
        random.random_range(0..10)
    };
    match (
        choice,
        known.get(random.random_range(0..known.len().max(1))),
    ) {
        (3..=5, Some(&application)) => {
            let instances = random.random_range(1..=6);
            wanted
                .entry(application)
                .and_modify(|entry| entry.0 = instances);
            vec![words(format!(
                "scale process {} -n test --instances {instances}",
                name(application)
            ))]
        }
        (6..=7, Some(&application)) => {
            wanted.entry(application).and_modify(|entry| entry.1 += 1);
            vec![words(format!("apply {application}"))]
        }
        (8..=9, Some(&application)) => {
            wanted.remove(&application);
            vec![words(format!(
                "delete process {} -n test",
                name(application)
            ))]
        }
        _ => {
            *next += 1;
            wanted.insert(*next, (random.random_range(1..=4), 1));
            vec![words(format!("apply {next}"))]
        }
    }
}

/// Runs a command; repeats it while the answer is lost in a crash, as a person would.
fn insist(system: &System, wanted: &Wanted, words: &[String]) -> Result<(), String> {
    let answer = if words[0] == "apply" {
        let application: u32 = words[1].parse().unwrap();
        system.bcs_with(
            &["apply", "-f", "-"],
            Some(&object(application, wanted[&application]).to_string()),
        )
    } else {
        system.bcs(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let gone_already = words[0] == "delete" && answer.code == 3;
    if answer.code == 0 || gone_already {
        Ok(())
    } else {
        Err(format!("{words:?}: {answer:?}"))
    }
}

#[track_caller]
fn converged(system: &System, wanted: &Wanted, seen: u32) {
    for (&application, &(instances, release)) in wanted {
        wait::until(
            &format!("{} has {instances} of release {release}", name(application)),
            Duration::from_secs(60),
            || {
                let programs = programs(system, application);
                let right = programs
                    .iter()
                    .filter(|(_, has)| *has == release.to_string())
                    .count();
                if right == instances as usize && programs.len() == right {
                    Ok(())
                } else {
                    Err(format!(
                        "{programs:?} {}",
                        system.bcs(&["get", "taskgroup", "-n", "test"]).out
                    ))
                }
            },
        );
        let listed = system.running("test", &name(application), instances as usize);
        let mut pids: Vec<u32> = listed.iter().filter_map(pid_of).collect();
        let mut real: Vec<u32> = programs(system, application)
            .into_iter()
            .map(|(pid, _)| pid)
            .collect();
        pids.sort_unstable();
        real.sort_unstable();
        assert_eq!(pids, real, "what is listed is what runs");
    }
    for application in (1..=seen).filter(|application| !wanted.contains_key(application)) {
        wait::until(
            &format!("{} is gone", name(application)),
            Duration::from_secs(60),
            || {
                let programs = programs(system, application);
                let listed = system.bcs(&["get", "process", &name(application), "-n", "test"]);
                if programs.is_empty() && listed.code == 3 {
                    Ok(())
                } else {
                    Err(format!("{programs:?} {listed:?}"))
                }
            },
        );
    }
}

fn kill_at_random_points(mode: Mode) {
    let seed = std::env::var("BCS_CHAOS_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    let kills = std::env::var("BCS_CHAOS_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(KILLS);
    println!("seed {seed}: BCS_CHAOS_SEED={seed} repeats this");
    let mut random = StdRng::seed_from_u64(seed);
    let mut system = System::start(mode);
    let (mut wanted, mut next) = (Wanted::new(), 0);
    for round in 1..=kills {
        let commands = change(&mut random, &mut wanted, &mut next);
        let part = system.parts()[random.random_range(0..system.parts().len())];
        let delay = LATEST_KILL.mul_f64(random.random());
        println!("round {round}: {commands:?}, {part} dies after {delay:?}");
        let acknowledged = std::thread::scope(|scope| {
            let running = scope.spawn(|| {
                commands
                    .iter()
                    .map(|words| insist(&system, &wanted, words))
                    .collect::<Vec<_>>()
            });
            std::thread::sleep(delay);
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(i32::try_from(system.pid(part)).unwrap()),
                nix::sys::signal::Signal::SIGKILL,
            )
            .unwrap();
            running.join().unwrap()
        });
        system.kill(part);
        system.start_all();
        for (words, outcome) in commands.iter().zip(acknowledged) {
            if outcome.is_err() {
                wait::until("the operation is accepted", Duration::from_secs(60), || {
                    insist(&system, &wanted, words)
                });
            }
        }
        converged(&system, &wanted, next);
    }
}

#[test]
fn kills_of_standalone_lose_and_double_nothing() {
    kill_at_random_points(Mode::Standalone);
}

#[test]
fn kills_of_single_roles_lose_and_double_nothing() {
    kill_at_random_points(Mode::Roles);
}
