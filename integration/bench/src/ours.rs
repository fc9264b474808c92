//! Our side: standalone with as many programs, applied through the gateway.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bcs_e2e::objects::process;
use bcs_e2e::{Mode, System, alive, pid_of};
use serde_json::Value;

use crate::{figures, peer};

const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Fleet {
    system: System,
    programs: usize,
    keeper: u32,
    /// Seconds from the start of `bcs apply` to all programs running.
    pub(crate) applied_in: f64,
}

fn taskgroups(system: &System) -> Result<Vec<Value>> {
    let list: Value = serde_json::from_str(
        &system
            .bcs(&["get", "taskgroup", "-n", "test", "-o", "json"])
            .out,
    )?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// The keeper of a system: the process called bcs-keeper that names its folder.
fn keeper_of(system: &System) -> Option<u32> {
    bcs_e2e::processes_naming(system.folder())
        .into_iter()
        .find(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| name.trim() == "bcs-keeper")
        })
}

impl Fleet {
    pub(crate) fn start(programs: usize) -> Result<Self> {
        Self::start_in(System::start(Mode::Standalone), programs)
    }

    fn start_in(system: System, programs: usize) -> Result<Self> {
        let object = process(
            "sleeper",
            u32::try_from(programs)?,
            "sleep",
            "/bin/sleep 100000",
            &[],
        );
        let started = Instant::now();
        system.apply(&object);
        let mut keeper = None;
        loop {
            keeper = keeper.or_else(|| keeper_of(&system));
            if keeper.is_some_and(|keeper| figures::children(keeper).len() == programs) {
                break;
            }
            if started.elapsed() > LIMIT {
                bail!(
                    "not all programs started: {:?}",
                    system.bcs(&["get", "process", "-A", "-o", "wide"])
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let applied_in = started.elapsed().as_secs_f64();
        while taskgroups(&system)?
            .iter()
            .filter(|taskgroup| taskgroup["status"] == "Running")
            .count()
            < programs
        {
            if started.elapsed() > LIMIT {
                bail!("not all programs are reported as running");
            }
        }
        println!(
            "(all {programs} visible as Running through the gateway after {:.2} s)",
            started.elapsed().as_secs_f64()
        );
        let keeper = keeper.context("no keeper")?;
        Ok(Self {
            system,
            programs,
            keeper,
            applied_in,
        })
    }

    pub(crate) fn restarts(&self, count: usize) -> Result<Vec<f64>> {
        peer::restarts(self.keeper, self.programs, count)
    }

    /// Milliseconds from SIGKILL until the gateway lists the replacement as Running.
    pub(crate) fn status_changes(&self, count: usize) -> Result<Vec<f64>> {
        let mut times = Vec::new();
        for round in 0..count.min(20) {
            let before = taskgroups(&self.system)?;
            let Some(victim) = before.get(round * 7 % before.len().max(1)).and_then(pid_of) else {
                bail!("no programs")
            };
            let started = Instant::now();
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(i32::try_from(victim)?),
                nix::sys::signal::Signal::SIGKILL,
            )?;
            loop {
                let now = taskgroups(&self.system)?;
                let running = now
                    .iter()
                    .filter(|taskgroup| taskgroup["status"] == "Running")
                    .count();
                if running == self.programs
                    && now
                        .iter()
                        .all(|taskgroup| pid_of(taskgroup) != Some(victim))
                {
                    break;
                }
                if started.elapsed() > LIMIT {
                    bail!("no replacement visible for {victim}");
                }
            }
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times)
    }

    /// MiB of standalone and keeper, idle and with the programs.
    pub(crate) fn memory(programs: usize) -> Result<(f64, f64)> {
        let system = System::start(Mode::Standalone);
        let idle = figures::memory_mib(system.pid("standalone"));
        let fleet = Self::start_in(system, programs)?;
        let busy =
            figures::memory_mib(fleet.system.pid("standalone")) + figures::memory_mib(fleet.keeper);
        Ok((idle, busy))
    }

    pub(crate) fn cpu_percent(&self) -> Result<f64> {
        Ok(peer::cpu_percent(&[
            self.system.pid("standalone"),
            self.keeper,
        ]))
    }

    /// Programs kept over SIGKILL, and milliseconds from the new start to all reported as running.
    pub(crate) fn readopt(mut self) -> Result<(usize, f64)> {
        let before: Vec<u32> = taskgroups(&self.system)?
            .iter()
            .filter_map(pid_of)
            .collect();
        self.system.kill("standalone");
        let started = Instant::now();
        self.system.start_part("standalone");
        loop {
            let now = taskgroups(&self.system)?;
            if now
                .iter()
                .filter(|taskgroup| taskgroup["status"] == "Running")
                .count()
                == self.programs
            {
                break;
            }
            if started.elapsed() > LIMIT {
                bail!("not all programs came back");
            }
        }
        let milliseconds = started.elapsed().as_secs_f64() * 1e3;
        let after: Vec<u32> = taskgroups(&self.system)?
            .iter()
            .filter_map(pid_of)
            .collect();
        let kept = before
            .iter()
            .filter(|pid| after.contains(pid) && alive(**pid))
            .count();
        Ok((kept, milliseconds))
    }
}
