//! The tasks and what may be done with them; no sockets here.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpid};

use crate::child::{Plan, told};
use crate::journal::{Journal, exit_line, start_line};
use crate::protocol::{Adopt, Exit, Failure, Reply, Scope, Signal, Spawn, Status, Task};
use crate::{kernel, proc};

/// Epoll data of a child's status pipe and of a pidfd; the low bits are a serial number.
pub const PIPE: u64 = 1 << 62;
/// See [`PIPE`].
pub const PIDFD: u64 = 1 << 61;
/// More tasks than this are refused.
const MAX_TASKS: usize = 16 * 1024;
/// Ends of processes nobody has claimed yet: a daemon may end before it is adopted.
const MAX_ORPHANS: usize = 1024;
/// How long the exit status of a process that somebody else reaps is waited for.
const REAP_PATIENCE: Duration = Duration::from_secs(2);

/// Someone who waits for a start: connection and request number.
pub type Waiter = (u64, u64);

#[derive(Debug)]
struct Starting {
    pipe: File,
    bytes: Vec<u8>,
    waiters: Vec<Waiter>,
    label: String,
}

#[derive(Debug)]
struct Entry {
    task: Task,
    session: i32,
    starting: Option<Starting>,
    pidfd: Option<(u64, OwnedFd)>,
}

/// Every task of this keeper.
#[derive(Debug)]
pub struct Tasks {
    entries: BTreeMap<String, Entry>,
    tokens: BTreeMap<u64, String>,
    serial: u64,
    orphans: VecDeque<Task>,
    late: Vec<(Instant, u64)>,
    journal: Journal,
    boot_id: String,
}

/// What came out of an event, to be sent.
#[derive(Debug)]
pub enum Output {
    /// Answer to a waiter.
    Reply(Waiter, Reply),
    /// For every subscriber.
    Exit(Task),
}

fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn system(what: &str, error: &std::io::Error) -> Failure {
    Failure {
        code: "system".to_owned(),
        step: None,
        errno: error.raw_os_error(),
        message: format!("{what}: {error}"),
    }
}

impl Tasks {
    /// Takes over what an earlier keeper left.
    pub fn restore(journal: Journal, loaded: crate::journal::Loaded, epoll: &Epoll) -> Self {
        let boot_id = proc::boot_id();
        let mut tasks = Self {
            entries: BTreeMap::new(),
            tokens: BTreeMap::new(),
            serial: 0,
            orphans: VecDeque::new(),
            late: Vec::new(),
            journal,
            boot_id,
        };
        let rebooted = loaded.boot_id != tasks.boot_id;
        for (id, task) in loaded.tasks {
            let ended = task.exit.is_some();
            let session = proc::stat(task.pid)
                .filter(|stat| stat.start_time == task.start_time)
                .map_or(task.pid, |stat| stat.session);
            let entry = Entry {
                task,
                session,
                starting: None,
                pidfd: None,
            };
            tasks.entries.insert(id.clone(), entry);
            if ended {
                continue;
            }
            if rebooted {
                tasks.ended(&id, Status::Unknown("the machine was rebooted".to_owned()));
            } else if tasks.watch(&id, epoll).is_err() {
                let why = "it ended while no keeper ran".to_owned();
                tasks.ended(&id, Status::Unknown(why));
            }
        }
        tasks
    }

    /// Everything known, without those that are about to exec.
    pub fn list(&self) -> Vec<Task> {
        self.entries
            .values()
            .filter(|entry| entry.starting.is_none())
            .map(|entry| entry.task.clone())
            .collect()
    }

    /// The boot the tasks belong to.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Starts a task. `None` when the answer comes later, through its pipe.
    ///
    /// # Errors
    /// When the request is unusable or the system refuses a process.
    pub fn spawn(
        &mut self,
        spawn: &Spawn,
        waiter: Waiter,
        epoll: &Epoll,
    ) -> Result<Option<Reply>, Failure> {
        if let Some(entry) = self.entries.get_mut(&spawn.id) {
            if let Some(starting) = &mut entry.starting {
                starting.waiters.push(waiter);
                return Ok(None);
            }
            let task = entry.task.clone();
            return Ok(Some(Reply::Task {
                task,
                known: true,
                warnings: Vec::new(),
            }));
        }
        self.room()?;
        let plan = Plan::new(spawn)?;
        if !self.journal.settle() {
            let message = "the journal cannot be written (is the disk full?); nothing was started";
            return Err(Failure {
                step: Some("journal".to_owned()),
                ..Failure::new("full", message)
            });
        }
        let (reader, writer) = std::io::pipe().map_err(|error| system("pipe", &error))?;
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        let file = self.journal.file();
        let pid = kernel::fork_child(|| plan.execute(file, &writer))
            .map_err(|error| system("fork", &error))?
            .as_raw();
        drop(writer);
        // The child exists until it is reaped, so its stat line does too.
        let start_time = proc::stat(pid).map_or(0, |stat| stat.start_time);
        self.serial += 1;
        let token = PIPE | self.serial;
        epoll
            .add(&reader, EpollEvent::new(EpollFlags::EPOLLIN, token))
            .map_err(|errno| system("epoll", &errno.into()))?;
        self.tokens.insert(token, spawn.id.clone());
        let label = spawn.argv.first().cloned().unwrap_or_default();
        let starting = Starting {
            pipe: File::from(reader),
            bytes: Vec::new(),
            waiters: vec![waiter],
            label,
        };
        let task = Task {
            id: spawn.id.clone(),
            pid,
            start_time,
            exit: None,
        };
        let entry = Entry {
            task,
            session: pid,
            starting: Some(starting),
            pidfd: None,
        };
        self.entries.insert(spawn.id.clone(), entry);
        Ok(None)
    }

    fn room(&self) -> Result<(), Failure> {
        if self.entries.len() < MAX_TASKS {
            return Ok(());
        }
        let message = format!("{MAX_TASKS} tasks are kept already; forget ended ones");
        Err(Failure::new("full", message))
    }

    /// A status pipe has something, or was closed by exec or death.
    pub fn pipe_ready(&mut self, token: u64, out: &mut Vec<Output>) {
        let Some(id) = self.tokens.get(&token).cloned() else {
            return;
        };
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let Some(starting) = &mut entry.starting else {
            return;
        };
        let mut chunk = [0; 512];
        match starting.pipe.read(&mut chunk) {
            Ok(0) => {}
            Ok(count) => {
                starting
                    .bytes
                    .extend_from_slice(chunk.get(..count).unwrap_or_default());
                return;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return,
            Err(_) => {}
        }
        self.tokens.remove(&token);
        self.started(&id, out);
    }

    /// The child has execed or failed: answer everyone who waits.
    fn started(&mut self, id: &str, out: &mut Vec<Output>) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        let Some(starting) = entry.starting.take() else {
            return;
        };
        // Closing the pipe takes it out of the epoll set.
        drop(starting.pipe);
        let told = told(&starting.label, &starting.bytes);
        let task = entry.task.clone();
        if told.failure.is_some() {
            self.entries.remove(id);
        }
        for waiter in starting.waiters {
            let reply = match &told.failure {
                Some(failure) => Reply::Error(failure.clone()),
                None => {
                    let warnings = told.warnings.clone();
                    Reply::Task {
                        task: task.clone(),
                        known: false,
                        warnings,
                    }
                }
            };
            out.push(Output::Reply(waiter, reply));
        }
    }

    /// SIGCHLD: note how children ended, and only then reap them.
    pub fn children_ended(&mut self, out: &mut Vec<Output>) {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            let (pid, status) = match waitid(Id::All, flags) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, Status::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Status::Signal(signal as i32)),
                Ok(_) | Err(_) => return,
            };
            let start_time = proc::stat(pid.as_raw()).map_or(0, |stat| stat.start_time);
            self.child_ended(pid.as_raw(), start_time, status, out);
            if waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_err() {
                return;
            }
        }
    }

    fn child_ended(&mut self, pid: i32, start_time: u64, status: Status, out: &mut Vec<Output>) {
        let mine = |entry: &&Entry| {
            entry.task.pid == pid
                && entry.task.start_time == start_time
                && entry.task.exit.is_none()
        };
        let Some(id) = self
            .entries
            .values()
            .find(mine)
            .map(|entry| entry.task.id.clone())
        else {
            if self.orphans.len() == MAX_ORPHANS {
                self.orphans.pop_front();
            }
            let exit = Some(Exit {
                status,
                time: now(),
            });
            self.orphans.push_back(Task {
                id: String::new(),
                pid,
                start_time,
                exit,
            });
            return;
        };
        // A child that ended has told all it had to tell.
        if let Some(starting) = self
            .entries
            .get_mut(&id)
            .and_then(|entry| entry.starting.as_mut())
        {
            let mut bytes = Vec::new();
            drop((&starting.pipe).take(4096).read_to_end(&mut bytes));
            starting.bytes.extend_from_slice(&bytes);
            self.tokens
                .retain(|token, owner| token & PIPE == 0 || *owner != id);
            self.started(&id, out);
        }
        if let Some(task) = self.ended(&id, status) {
            out.push(Output::Exit(task));
        }
    }

    /// Notes an exit, once.
    fn ended(&mut self, id: &str, status: Status) -> Option<Task> {
        let entry = self.entries.get_mut(id)?;
        if entry.task.exit.is_some() {
            return None;
        }
        let exit = Exit {
            status,
            time: now(),
        };
        self.journal.append(exit_line(&entry.task, &exit));
        entry.task.exit = Some(exit);
        if let Some((token, _)) = entry.pidfd.take() {
            self.tokens.remove(&token);
        }
        Some(entry.task.clone())
    }

    /// Watches a process that is not (yet) our child.
    fn watch(&mut self, id: &str, epoll: &Epoll) -> std::io::Result<()> {
        let Some(entry) = self.entries.get_mut(id) else {
            return Ok(());
        };
        let pidfd = kernel::pidfd_open(entry.task.pid)?;
        // After the descriptor is ours the number cannot be reused any more: look who it is.
        let stat = proc::stat(entry.task.pid);
        if stat.is_none_or(|stat| stat.start_time != entry.task.start_time) {
            return Err(std::io::Error::from_raw_os_error(libc::ESRCH));
        }
        self.serial += 1;
        let token = PIDFD | self.serial;
        // Edge triggered: once when it ends, once more when it is reaped.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLET;
        epoll.add(pidfd.as_fd(), EpollEvent::new(flags, token))?;
        self.tokens.insert(token, id.to_owned());
        entry.pidfd = Some((token, pidfd));
        Ok(())
    }

    /// A watched process ended, or was reaped, or its status is overdue.
    pub fn pidfd_ready(&mut self, token: u64, overdue: bool, out: &mut Vec<Output>) {
        let Some(id) = self.tokens.get(&token).cloned() else {
            return;
        };
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        let Some((_, pidfd)) = &entry.pidfd else {
            return;
        };
        let status = kernel::pidfd_exit(pidfd).or_else(|| zombie_status(&entry.task));
        let status = match status {
            Some(status) => status,
            None if overdue => Status::Unknown("the kernel tells it only to the parent".to_owned()),
            None => {
                self.late.push((Instant::now() + REAP_PATIENCE, token));
                return;
            }
        };
        if let Some(task) = self.ended(&id, status) {
            out.push(Output::Exit(task));
        }
    }

    /// Takes a process under watch.
    ///
    /// # Errors
    /// When it does not exist (any more) and its end was not seen either.
    pub fn adopt(&mut self, adopt: &Adopt, epoll: &Epoll) -> Result<Reply, Failure> {
        crate::protocol::check_id(&adopt.id)?;
        if let Some(entry) = self.entries.get(&adopt.id) {
            let task = entry.task.clone();
            return Ok(Reply::Task {
                task,
                known: true,
                warnings: Vec::new(),
            });
        }
        self.room()?;
        let Adopt {
            id,
            pid,
            start_time,
        } = adopt;
        let mut task = Task {
            id: id.clone(),
            pid: *pid,
            start_time: *start_time,
            exit: None,
        };
        let same = |orphan: &Task| orphan.pid == *pid && orphan.start_time == *start_time;
        let seen = self
            .orphans
            .iter()
            .position(same)
            .and_then(|at| self.orphans.remove(at));
        let stat = proc::stat(*pid).filter(|stat| stat.start_time == *start_time);
        self.journal
            .append(start_line(id, *pid, *start_time).replacen('S', "A", 1));
        let session = stat.map_or(*pid, |stat| stat.session);
        let entry = Entry {
            task: task.clone(),
            session,
            starting: None,
            pidfd: None,
        };
        self.entries.insert(id.clone(), entry);
        if let Some(exit) = seen.and_then(|orphan| orphan.exit) {
            if let Some(ended) = self.ended(id, exit.status) {
                task = ended;
            }
        } else if stat.is_none() || self.watch(id, epoll).is_err() {
            self.entries.remove(id);
            self.journal.append(format!("F {id}"));
            let message = format!("no process {pid} with start time {start_time}");
            return Err(Failure::new("not_found", message));
        }
        Ok(Reply::Task {
            task,
            known: false,
            warnings: Vec::new(),
        })
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the task is unknown, has ended, or the signal may not be sent.
    pub fn signal(&self, call: &Signal) -> Result<Reply, Failure> {
        let Some(entry) = self.entries.get(&call.id) else {
            return Err(Failure::new("not_found", format!("no task {}", call.id)));
        };
        let task = &entry.task;
        let failed = |error: &std::io::Error| system(&format!("signal {}", call.signal), error);
        if call.scope == Scope::Session {
            if entry.session != nix::unistd::getsid(None).map_or(0, Pid::as_raw) {
                for pid in proc::session_members(entry.session, task.start_time) {
                    if let Ok(pidfd) = kernel::pidfd_open(pid)
                        && proc::stat(pid).is_some_and(|stat| stat.session == entry.session)
                    {
                        drop(kernel::pidfd_signal(&pidfd, call.signal));
                    }
                }
            }
            return Ok(Reply::Done);
        }
        if task.exit.is_some() {
            return Err(Failure::new(
                "not_found",
                format!("task {} has ended", task.id),
            ));
        }
        let pidfd = kernel::pidfd_open(task.pid).map_err(|error| failed(&error))?;
        if proc::stat(task.pid).is_none_or(|stat| stat.start_time != task.start_time) {
            return Err(Failure::new(
                "not_found",
                format!("task {} has ended", task.id),
            ));
        }
        if call.scope == Scope::Group && entry.session == task.pid {
            let signal = nix::sys::signal::Signal::try_from(call.signal)
                .map_err(|errno| failed(&errno.into()))?;
            nix::sys::signal::killpg(Pid::from_raw(task.pid), signal)
                .map_err(|errno| failed(&errno.into()))?;
        } else {
            kernel::pidfd_signal(&pidfd, call.signal).map_err(|error| failed(&error))?;
        }
        Ok(Reply::Done)
    }

    /// Drops the record of an ended task.
    ///
    /// # Errors
    /// When it still runs.
    pub fn forget(&mut self, id: &str) -> Result<Reply, Failure> {
        match self.entries.get(id) {
            None => {}
            Some(entry) if entry.task.exit.is_none() => {
                let message = format!("task {id} runs as process {}", entry.task.pid);
                return Err(Failure::new("running", message));
            }
            Some(_) => {
                self.entries.remove(id);
                self.journal.append(format!("F {id}"));
            }
        }
        Ok(Reply::Done)
    }

    /// Work for quiet moments: overdue exits, what the disk refused, compaction.
    pub fn housekeep(&mut self, out: &mut Vec<Output>) {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.late = later;
        let due: Vec<(Instant, u64)> = due;
        for (_, token) in due {
            self.pidfd_ready(token, true, out);
        }
        self.journal.settle();
        let starting = self.entries.values().any(|entry| entry.starting.is_some());
        if !starting && self.journal.wants_compaction(self.entries.len()) {
            let tasks = self.entries.values().map(|entry| &entry.task);
            self.journal.compact(&self.boot_id, tasks);
        }
    }

    /// Whether [`Self::housekeep`] has something to wait for.
    pub fn restless(&mut self) -> bool {
        !self.late.is_empty() || !self.journal.settle()
    }
}

/// The status of a dead process nobody has reaped yet, if the kernel shows it to us. It shows
/// zero to those who may not look, so the right to look is checked first: reading the `exe` link of a
/// zombie fails with "no such file" for those who may, with "permission denied" for others.
fn zombie_status(task: &Task) -> Option<Status> {
    let stat = proc::stat(task.pid)?;
    if stat.start_time != task.start_time || stat.alive() {
        return None;
    }
    match std::fs::read_link(format!("/proc/{}/exe", task.pid)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some(Status::from_wait(stat.exit_code))
        }
        Ok(_) | Err(_) => None,
    }
}

/// The keeper's own pid.
pub fn own_pid() -> i32 {
    getpid().as_raw()
}
