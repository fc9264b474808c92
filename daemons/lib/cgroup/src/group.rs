//! One group: a directory in every hierarchy that has something to offer.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::detect::{Controller, Home, Layout};
use crate::files::{self, Error};

/// Period of processor quotas, in microseconds.
const PERIOD: u64 = 100_000;

/// What to limit; `None` leaves the kernel's default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Processor time at most, in cores.
    pub cpu_cores: Option<f64>,
    /// Share of a busy processor, in cores asked for (1.0 is the weight of a default group).
    pub cpu_share: Option<f64>,
    /// Memory at most, in bytes; no swap beyond it.
    pub memory_bytes: Option<u64>,
    /// Processes and threads at most.
    pub pids: Option<u64>,
}

/// What became of one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// The kernel has it.
    InForce,
    /// It is not in force, for this reason.
    NotInForce(String),
}

/// What became of the limits; entries exist for what was asked only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report(pub Vec<(Controller, Applied)>);

impl Report {
    /// The parts that are not in force, as a sentence; `None` when all are.
    pub fn complaint(&self) -> Option<String> {
        let parts: Vec<String> = self
            .0
            .iter()
            .filter_map(|(controller, applied)| match applied {
                Applied::InForce => None,
                Applied::NotInForce(reason) => Some(format!(
                    "{} limit is not in force: {reason}",
                    controller.name()
                )),
            })
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// What a group has used; `None` where no controller counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, in microseconds.
    pub cpu_micros: Option<u64>,
    /// Memory now, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processes and threads now.
    pub pids: Option<u64>,
    /// Processes that the kernel killed for want of memory.
    pub oom_kills: Option<u64>,
}

/// The directories of one group.
#[derive(Debug, Clone)]
pub struct Group {
    pub(crate) unified: Option<PathBuf>,
    homes: Vec<(Controller, Home)>,
}

impl Group {
    pub(crate) fn new(layout: &Layout, name: &str) -> Self {
        let homes = Controller::ALL.map(|controller| {
            let home = match layout.home(controller) {
                Home::Unified(dir) => Home::Unified(dir.join(name)),
                Home::Legacy(dir) => Home::Legacy(dir.join(name)),
                Home::None(reason) => Home::None(reason),
            };
            (controller, home)
        });
        Self {
            unified: layout.unified.as_ref().ok().map(|dir| dir.join(name)),
            homes: homes.into(),
        }
    }

    fn home(&self, wanted: Controller) -> Option<&Home> {
        self.homes
            .iter()
            .find(|(controller, _)| *controller == wanted)
            .map(|(_, home)| home)
    }

    fn file(&self, controller: Controller, unified: &str, legacy: &str) -> Option<PathBuf> {
        match self.home(controller)? {
            Home::Unified(dir) => Some(dir.join(unified)),
            Home::Legacy(dir) => Some(dir.join(legacy)),
            Home::None(_) => None,
        }
    }

    /// Every directory of the group, each once.
    pub fn directories(&self) -> Vec<&Path> {
        let mut list: Vec<&Path> = self.unified.iter().map(PathBuf::as_path).collect();
        for (_, home) in &self.homes {
            if let Home::Unified(dir) | Home::Legacy(dir) = home
                && !list.contains(&dir.as_path())
            {
                list.push(dir);
            }
        }
        list
    }

    /// Makes the group; an existing one is fine.
    ///
    /// # Errors
    /// When a directory cannot be made.
    pub fn create(&self) -> Result<(), Error> {
        self.directories().into_iter().try_for_each(files::make_dir)
    }

    /// The files that a process writes `0` into to become a member.
    pub fn procs_files(&self) -> Vec<PathBuf> {
        let join = |dir: &Path| dir.join("cgroup.procs");
        self.directories().into_iter().map(join).collect()
    }

    /// Sets limits, now or on a running group.
    pub fn apply(&self, limits: &Limits) -> Report {
        let mut report = Report::default();
        let mut note = |controller: Controller, result: Result<(), Error>| {
            let applied = match (self.home(controller), result) {
                (Some(Home::None(reason)), _) => Applied::NotInForce(reason.clone()),
                (_, Ok(())) => Applied::InForce,
                (_, Err(error)) => Applied::NotInForce(error.to_string()),
            };
            match report.0.iter_mut().find(|(known, _)| *known == controller) {
                Some((_, Applied::NotInForce(_))) => {}
                Some(entry) => entry.1 = applied,
                None => report.0.push((controller, applied)),
            }
        };
        if limits.cpu_cores.is_some() || limits.cpu_share.is_some() {
            note(Controller::Cpu, self.apply_cpu(limits));
        }
        if let Some(bytes) = limits.memory_bytes {
            note(Controller::Memory, self.apply_memory(bytes));
        }
        if let Some(pids) = limits.pids {
            let result = self
                .file(Controller::Pids, "pids.max", "pids.max")
                .map_or(Ok(()), |file| files::write(&file, &pids.to_string()));
            note(Controller::Pids, result);
        }
        report
    }

    fn apply_cpu(&self, limits: &Limits) -> Result<(), Error> {
        let Some(home) = self.home(Controller::Cpu) else {
            return Ok(());
        };
        if let Some(share) = limits.cpu_share.filter(|share| *share > 0.0) {
            match home {
                // 100 is the default weight, 1024 the default share: both mean "one core asked".
                Home::Unified(dir) => {
                    let weight = clamp(share * 100.0, 1, 10_000);
                    files::write(&dir.join("cpu.weight"), &weight.to_string())?;
                }
                Home::Legacy(dir) => {
                    let shares = clamp(share * 1024.0, 2, 262_144);
                    files::write(&dir.join("cpu.shares"), &shares.to_string())?;
                }
                Home::None(_) => {}
            }
        }
        if let Some(cores) = limits.cpu_cores.filter(|cores| *cores > 0.0) {
            // The kernel takes no quota below a millisecond.
            let quota = clamp(cores * PERIOD as f64, 1_000, u64::MAX / 4);
            match home {
                Home::Unified(dir) => {
                    files::write(&dir.join("cpu.max"), &format!("{quota} {PERIOD}"))?;
                }
                Home::Legacy(dir) => {
                    files::write(&dir.join("cpu.cfs_period_us"), &PERIOD.to_string())?;
                    files::write(&dir.join("cpu.cfs_quota_us"), &quota.to_string())?;
                }
                Home::None(_) => {}
            }
        }
        Ok(())
    }

    fn apply_memory(&self, bytes: u64) -> Result<(), Error> {
        match self.home(Controller::Memory) {
            Some(Home::Unified(dir)) => {
                let swap = dir.join("memory.swap.max");
                if swap.exists() {
                    files::write(&swap, "0")?;
                }
                files::write(&dir.join("memory.max"), &bytes.to_string())
            }
            Some(Home::Legacy(dir)) => {
                let memory = dir.join("memory.limit_in_bytes");
                let both = dir.join("memory.memsw.limit_in_bytes");
                let value = bytes.to_string();
                if !both.exists() {
                    return files::write(&memory, &value);
                }
                // Memory may never exceed memory plus swap: the order depends on the direction.
                if files::number(&both).is_some_and(|now| now < bytes) {
                    files::write(&both, &value)?;
                    files::write(&memory, &value)
                } else {
                    files::write(&memory, &value)?;
                    files::write(&both, &value)
                }
            }
            Some(Home::None(_)) | None => Ok(()),
        }
    }

    /// What the group has used.
    pub fn usage(&self) -> Usage {
        let memory = self.file(
            Controller::Memory,
            "memory.current",
            "memory.usage_in_bytes",
        );
        let events = self.file(Controller::Memory, "memory.events", "memory.oom_control");
        Usage {
            cpu_micros: match self.home(Controller::Cpuacct) {
                Some(Home::Unified(dir)) => files::keyed(&dir.join("cpu.stat"), "usage_usec"),
                Some(Home::Legacy(dir)) => {
                    files::number(&dir.join("cpuacct.usage")).map(|nanos| nanos / 1000)
                }
                Some(Home::None(_)) | None => None,
            },
            memory_bytes: memory.and_then(|file| files::number(&file)),
            pids: self
                .file(Controller::Pids, "pids.current", "pids.current")
                .and_then(|file| files::number(&file)),
            oom_kills: events.and_then(|file| files::keyed(&file, "oom_kill")),
        }
    }

    /// The members, as far as any hierarchy tells.
    pub fn processes(&self) -> Vec<i32> {
        let Some(dir) = self.directories().into_iter().next() else {
            return Vec::new();
        };
        let text = files::read(&dir.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// File whose change tells that the group became empty (`populated 0`), where there is one.
    pub fn events_file(&self) -> Option<PathBuf> {
        self.unified.as_ref().map(|dir| dir.join("cgroup.events"))
    }

    /// Whether anybody is in the group or below; `None` where no hierarchy tells.
    pub fn populated(&self) -> Option<bool> {
        match self.events_file() {
            Some(file) => files::keyed(&file, "populated").map(|value| value != 0),
            None if self.directories().is_empty() => None,
            None => Some(!self.processes().is_empty()),
        }
    }

    /// Stops or resumes every member.
    ///
    /// # Errors
    /// When no hierarchy can freeze, or the kernel refuses.
    pub fn freeze(&self, frozen: bool) -> Result<(), Error> {
        match self.home(Controller::Freezer) {
            Some(Home::Unified(dir)) => {
                files::write(&dir.join("cgroup.freeze"), if frozen { "1" } else { "0" })
            }
            Some(Home::Legacy(dir)) => {
                let word = if frozen { "FROZEN" } else { "THAWED" };
                files::write(&dir.join("freezer.state"), word)
            }
            Some(Home::None(reason)) => {
                let source = io::Error::new(io::ErrorKind::Unsupported, reason.clone());
                Err(files::error("freeze", Path::new("freezer"), source))
            }
            None => Ok(()),
        }
    }

    /// Removes an empty group with what members made below it; an absent one is fine.
    ///
    /// # Errors
    /// When somebody is still in it.
    pub fn remove(&self) -> Result<(), Error> {
        self.directories().into_iter().try_for_each(remove_tree)
    }
}

fn clamp(value: f64, low: u64, high: u64) -> u64 {
    if value.is_finite() && value > 0.0 {
        // `as` saturates, which is what is wanted here.
        (value.round() as u64).clamp(low, high)
    } else {
        low
    }
}

/// Control groups are removed by removing their directories, innermost first; their files go along.
fn remove_tree(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir(dir) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => {}
    }
    if let Ok(entries) = fs::read_dir(dir) {
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove_tree(&entry.path())?;
            }
        }
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(files::error("remove", dir, source)),
        Ok(()) => Ok(()),
    }
}
