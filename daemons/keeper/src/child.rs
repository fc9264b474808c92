//! What happens between fork and exec.
//!
//! Everything that can be prepared is prepared by the parent ([`Plan::new`]). The child then walks
//! through the steps in an order that matters: log files, groups and limits while it still has
//! the keeper's rights; the journal record last of all, just before exec. A failing step is told
//! through the status pipe (which exec closes) as `E <step> <errno>`; a step whose failure the task
//! survives, as `W <step> <errno>`: an unwritable log is replaced by /dev/null, because the task
//! matters more than its output, and the warning travels with the answer.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{self, Gid, Uid};

use crate::journal::{framed, start_line};
use crate::protocol::{Failure, Spawn, check_id};
use crate::{kernel, proc};

/// How often and how long exec waits while the file is still open for writing somewhere.
const BUSY_TRIES: u32 = 40;
const BUSY_PAUSE: std::time::Duration = std::time::Duration::from_millis(5);

/// A start, ready to be carried out.
#[derive(Debug)]
pub struct Plan {
    id: String,
    program: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
    cwd: CString,
    user: Option<(Uid, Gid, Vec<Gid>)>,
    umask: Mode,
    stdout: Option<CString>,
    stderr: Option<CString>,
    cgroups: Vec<CString>,
    rlimits: Vec<(Resource, u64, u64)>,
    nice: Option<i32>,
    oom_score_adj: Option<i32>,
}

fn text(what: &str, value: &str) -> Result<CString, Failure> {
    CString::new(value)
        .map_err(|_| Failure::new("invalid", format!("{what} holds a zero byte: {value:?}")))
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::RLIMIT_AS,
        "core" => Resource::RLIMIT_CORE,
        "cpu" => Resource::RLIMIT_CPU,
        "data" => Resource::RLIMIT_DATA,
        "fsize" => Resource::RLIMIT_FSIZE,
        "memlock" => Resource::RLIMIT_MEMLOCK,
        "nofile" => Resource::RLIMIT_NOFILE,
        "nproc" => Resource::RLIMIT_NPROC,
        "stack" => Resource::RLIMIT_STACK,
        _ => return None,
    })
}

impl Plan {
    /// Checks a request and converts it to what the system calls take.
    ///
    /// # Errors
    /// Names the field that cannot be used.
    pub fn new(spawn: &Spawn) -> Result<Self, Failure> {
        check_id(&spawn.id)?;
        let Some(program) = spawn.argv.first().filter(|program| !program.is_empty()) else {
            return Err(Failure::new("invalid", "argv is empty; nothing to execute"));
        };
        if spawn.cwd.is_empty() {
            return Err(Failure::new(
                "invalid",
                "cwd is empty; give an absolute directory",
            ));
        }
        let user = match (spawn.uid, spawn.gid) {
            (None, None) => None,
            (Some(uid), Some(gid)) => Some((
                Uid::from_raw(uid),
                Gid::from_raw(gid),
                spawn.groups.iter().copied().map(Gid::from_raw).collect(),
            )),
            (Some(_), None) | (None, Some(_)) => {
                return Err(Failure::new(
                    "invalid",
                    "uid and gid must be given together",
                ));
            }
        };
        let mut rlimits = Vec::new();
        for limit in &spawn.rlimits {
            let Some(which) = resource(&limit.name) else {
                let message = format!("rlimit {:?} is not known", limit.name);
                return Err(Failure::new("invalid", message));
            };
            rlimits.push((which, limit.soft, limit.hard));
        }
        let mut env = Vec::with_capacity(spawn.env.len() + 1);
        for (name, value) in spawn.env.iter().filter(|(name, _)| *name != "BCS_TASK_ID") {
            if name.is_empty() || name.contains('=') {
                return Err(Failure::new(
                    "invalid",
                    format!("env name {name:?} is not usable"),
                ));
            }
            // The value may be secret: it must not get into an error text.
            env.push(
                CString::new(format!("{name}={value}")).map_err(|_| {
                    Failure::new("invalid", format!("env {name} holds a zero byte"))
                })?,
            );
        }
        env.push(text("id", &format!("BCS_TASK_ID={}", spawn.id))?);
        let path = |what: &str, value: &Option<String>| -> Result<Option<CString>, Failure> {
            value.as_deref().map(|value| text(what, value)).transpose()
        };
        Ok(Self {
            id: spawn.id.clone(),
            program: text("argv", program)?,
            argv: spawn
                .argv
                .iter()
                .map(|word| text("argv", word))
                .collect::<Result<_, _>>()?,
            env,
            cwd: text("cwd", &spawn.cwd)?,
            user,
            umask: Mode::from_bits_truncate(spawn.umask.unwrap_or(0o022) & 0o777),
            stdout: path("stdout", &spawn.stdout)?,
            stderr: path("stderr", &spawn.stderr)?,
            cgroups: spawn
                .cgroups
                .iter()
                .map(|file| text("cgroups", file))
                .collect::<Result<_, _>>()?,
            rlimits,
            nice: spawn.nice,
            oom_score_adj: spawn.oom_score_adj,
        })
    }

    /// The child's life up to exec. Returns only on failure, with the code to leave with.
    pub fn execute(&self, journal: &File, status: &OwnedFd) -> i32 {
        let (step, errno) = match self.steps(journal, status) {
            Ok(never) => match never {},
            Err(failure) => failure,
        };
        // Both may fail (a full disk, a dead keeper); the exit code is then all that is told.
        let pid = unistd::getpid();
        let mut file: &File = journal;
        drop(file.write(framed(&format!("N {} {pid}", self.id)).as_bytes()));
        tell(status, 'E', step, errno);
        127
    }

    fn steps(
        &self,
        mut journal: &File,
        status: &OwnedFd,
    ) -> Result<std::convert::Infallible, (&'static str, Errno)> {
        let at = |step: &'static str| move |errno: Errno| (step, errno);
        let system = |step: &'static str| {
            move |error: std::io::Error| (step, Errno::from_raw(error.raw_os_error().unwrap_or(0)))
        };
        unistd::setsid().map_err(at("session"))?;
        kernel::reset_signals();
        kernel::close_on_exec();
        SigSet::empty().thread_set_mask().map_err(at("signals"))?;
        umask(self.umask);

        let null = open(
            c"/dev/null",
            OFlag::O_RDWR | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .map_err(at("stdio"))?;
        let stdout = self.log("stdout", self.stdout.as_deref(), status);
        let stderr = self.log("stderr", self.stderr.as_deref(), status);
        unistd::dup2_stdin(&null).map_err(at("stdio"))?;
        unistd::dup2_stdout(stdout.as_ref().unwrap_or(&null)).map_err(at("stdio"))?;
        unistd::dup2_stderr(stderr.as_ref().unwrap_or(&null)).map_err(at("stdio"))?;

        for file in &self.cgroups {
            let group = open(
                file.as_c_str(),
                OFlag::O_WRONLY | OFlag::O_CLOEXEC,
                Mode::empty(),
            )
            .map_err(at("cgroup"))?;
            unistd::write(&group, b"0").map_err(at("cgroup"))?;
        }
        for (which, soft, hard) in &self.rlimits {
            setrlimit(*which, *soft, *hard).map_err(at("rlimit"))?;
        }
        if let Some(nice) = self.nice {
            kernel::set_nice(nice).map_err(system("nice"))?;
        }
        if let Some(adjust) = self.oom_score_adj {
            fs::write("/proc/self/oom_score_adj", adjust.to_string())
                .map_err(system("oom_score_adj"))?;
        }
        if let Some((uid, gid, groups)) = &self.user {
            // An ordinary user may ask for itself; it cannot and need not set groups.
            if unistd::geteuid().is_root() || *uid != unistd::geteuid() {
                unistd::setgroups(groups).map_err(at("user"))?;
                unistd::setgid(*gid).map_err(at("user"))?;
                unistd::setuid(*uid).map_err(at("user"))?;
            }
        }
        unistd::chdir(self.cwd.as_c_str()).map_err(at("cwd"))?;

        // Record before effect: from here on a keeper that starts anew knows this process.
        let pid = unistd::getpid().as_raw();
        let start_time = proc::start_time(pid).ok_or(("journal", Errno::ESRCH))?;
        let line = framed(&start_line(&self.id, pid, start_time));
        let written = journal.write(line.as_bytes()).map_err(system("journal"))?;
        if written != line.len() {
            return Err(("journal", Errno::ENOSPC));
        }
        let mut tries = 0;
        loop {
            match unistd::execve(&self.program, &self.argv, &self.env) {
                Ok(never) => return Ok(never),
                Err(Errno::ETXTBSY) if tries < BUSY_TRIES => {
                    tries += 1;
                    std::thread::sleep(BUSY_PAUSE);
                }
                Err(errno) => return Err(("exec", errno)),
            }
        }
    }

    fn log(&self, step: &'static str, path: Option<&CStr>, status: &OwnedFd) -> Option<OwnedFd> {
        // NONBLOCK while opening only: a FIFO without a reader must not hang the child.
        let flags = OFlag::O_WRONLY
            | OFlag::O_APPEND
            | OFlag::O_CREAT
            | OFlag::O_NOFOLLOW
            | OFlag::O_NOCTTY
            | OFlag::O_NONBLOCK
            | OFlag::O_CLOEXEC;
        match open(path?, flags, Mode::from_bits_truncate(0o640)) {
            Ok(file) => {
                // Harmless when it fails: only a FIFO would notice.
                let _ = fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND));
                Some(file)
            }
            Err(errno) => {
                tell(status, 'W', step, errno);
                None
            }
        }
    }
}

fn tell(status: &OwnedFd, kind: char, step: &str, errno: Errno) {
    let _ = unistd::write(
        status,
        format!("{kind} {step} {}\n", errno as i32).as_bytes(),
    );
}

/// What a child told through its status pipe.
#[derive(Debug, Default)]
pub struct Told {
    /// The failure, when it did not get to exec.
    pub failure: Option<Failure>,
    /// Steps that failed without harm.
    pub warnings: Vec<String>,
}

/// Reads the status pipe's whole content.
pub fn told(spawn: &str, bytes: &[u8]) -> Told {
    let mut told = Told::default();
    for line in String::from_utf8_lossy(bytes).lines() {
        let mut words = line.split(' ');
        let (Some(kind), Some(step), Some(errno)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let errno = Errno::from_raw(errno.parse().unwrap_or(0));
        if kind == "W" {
            let why = errno.desc();
            told.warnings.push(format!(
                "{step} cannot be written ({why}); it goes to /dev/null"
            ));
        } else {
            told.failure = Some(Failure {
                code: "exec".to_owned(),
                step: Some(step.to_owned()),
                errno: Some(errno as i32),
                message: format!("{spawn}: step {step} failed: {} ({errno:?})", errno.desc()),
            });
        }
    }
    told
}
