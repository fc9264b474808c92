//! The peer: supervisord from PyPI, with as many programs.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::figures;

/// For everything here that a healthy peer does in seconds.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Supervisor {
    process: Child,
    programs: usize,
    /// Seconds from start to all programs running.
    pub(crate) started_in: f64,
    _folder: TempDir,
}

impl Supervisor {
    pub(crate) fn start(programs: usize) -> Result<Self> {
        let tools = std::env::var_os("BCS_TOOLS").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/bcs-tools"),
            PathBuf::from,
        );
        let executable = tools.join("supervisor/bin/supervisord");
        if !executable.exists() {
            bail!("no supervisord: run integration/install supervisor");
        }
        let folder = tempfile::tempdir()?;
        let home = folder.path().display();
        let config = folder.path().join("supervisord.conf");
        std::fs::write(
            &config,
            format!(
                "[supervisord]\nnodaemon=true\nlogfile={home}/log\npidfile={home}/pid\nchildlogdir={home}\nminfds=4096\n\
                 [program:sleeper]\ncommand=/bin/sleep 100000\nnumprocs={programs}\nprocess_name=%(program_name)s_%(process_num)d\n\
                 autorestart=true\nstartsecs=0\nredirect_stderr=true\n"
            ),
        )?;
        let started = Instant::now();
        let process = Command::new(executable)
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("supervisord")?;
        let mut this = Self {
            process,
            programs,
            started_in: 0.0,
            _folder: folder,
        };
        while figures::children(this.process.id()).len() < programs {
            if started.elapsed() > LIMIT {
                bail!("supervisord did not start {programs} programs");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        this.started_in = started.elapsed().as_secs_f64();
        Ok(this)
    }

    /// Milliseconds from SIGKILL to the replacement, one program after the other.
    pub(crate) fn restarts(&self, count: usize) -> Result<Vec<f64>> {
        restarts(self.process.id(), self.programs, count)
    }

    pub(crate) fn resident_mib(&self) -> Result<f64> {
        Ok(figures::memory_mib(self.process.id()))
    }

    pub(crate) fn cpu_percent(&self) -> Result<f64> {
        Ok(cpu_percent(&[self.process.id()]))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let children = figures::children(self.process.id());
        // SIGKILL leaves the programs; they are ours too and end by pid.
        drop(self.process.kill());
        drop(self.process.wait());
        for child in children {
            let _ = kill(pid(child), Signal::SIGKILL);
        }
    }
}

/// CPU of some processes over ten quiet seconds, in percent of one core.
pub(crate) fn cpu_percent(pids: &[u32]) -> f64 {
    let settle = Duration::from_secs(3);
    let window = Duration::from_secs(10);
    std::thread::sleep(settle);
    let used = || {
        pids.iter()
            .map(|pid| figures::cpu_seconds(*pid))
            .sum::<f64>()
    };
    let before = used();
    std::thread::sleep(window);
    (used() - before) / window.as_secs_f64() * 100.0
}

/// Kills children of `parent` one by one and measures until it has as many live ones again.
pub(crate) fn restarts(parent: u32, programs: usize, count: usize) -> Result<Vec<f64>> {
    let mut times = Vec::with_capacity(count);
    for round in 0..count {
        let before = figures::children(parent);
        let Some(victim) = before.get(round * 7 % before.len().max(1)) else {
            bail!("no programs are left")
        };
        let started = Instant::now();
        kill(pid(*victim), Signal::SIGKILL)?;
        loop {
            let now = figures::children(parent);
            let replaced = now.len() == programs
                && !now.contains(victim)
                && now.iter().any(|pid| !before.contains(pid));
            if replaced {
                break;
            }
            if started.elapsed() > LIMIT {
                bail!("no replacement for {victim}");
            }
            std::thread::sleep(Duration::from_micros(300));
        }
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

fn pid(number: u32) -> Pid {
    // Pids are far below 2^31.
    Pid::from_raw(i32::try_from(number).unwrap_or(i32::MAX))
}
