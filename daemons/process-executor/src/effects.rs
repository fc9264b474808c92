//! Carries out what the state machine orders.

use std::sync::Arc;
use std::time::Duration;

use bcs_keeper::protocol::{Call, Scope, Signal, Spawn, Task};
use bcs_mesos::WireName as _;

use crate::commands::{self, Command};
use crate::group::{Group, Inbox, Incoming, Slot};
use crate::host::Host;
use crate::keeper::Sink;
use crate::pid_file;
use crate::plan::Plan;
use crate::prepare::{self, Prepared};
use crate::records::Record;
use crate::report;
use crate::step::{Effect, Event, Phase, Process};
use crate::users::Account;

/// How long cleaning up waits for the last process; the end is reported then in any case.
const EMPTY_TIME: Duration = Duration::from_secs(10);

impl Group {
    /// One effect. False: what follows must not happen.
    pub(crate) fn effect(&mut self, id: &str, effect: Effect) -> bool {
        match effect {
            Effect::Record => return self.record(id),
            Effect::Prepare => self.prepare(id),
            Effect::CancelPrepare => {
                if let Some(slot) = self.slots.get(id) {
                    slot.cancel.cancel();
                }
            }
            Effect::Spawn => self.spawn(id),
            Effect::AwaitPid(millis) => self.await_pid(id, Duration::from_millis(millis)),
            Effect::Terminate => self.terminate(id),
            Effect::RestartCommand => self.restart_command(id),
            Effect::KillAll => self.kill_all(id),
            Effect::CleanUp => self.clean_up(id),
            Effect::StartChecks => self.start_checks(id),
            Effect::StopChecks => {
                if let Some(slot) = self.slots.get_mut(id) {
                    slot.probe_at = None;
                    slot.health = crate::group::Health {
                        healthy: true,
                        ..Default::default()
                    };
                }
            }
            Effect::Report(kind) => {
                let outcome = self.slots.get(id).and_then(|slot| slot.state.outcome);
                self.report(id, report::task_state(kind, outcome));
            }
        }
        true
    }

    fn record(&mut self, id: &str) -> bool {
        let Some(slot) = self.slots.get(id) else {
            return false;
        };
        let state = slot.state.clone();
        let starting = state.phase == Phase::Starting;
        let executor = self.environment.executor_id.clone();
        let record = Record::State {
            executor,
            task: id.to_owned(),
            state: Box::new(state),
        };
        let Err(error) = self.host.records.append(record) else {
            return true;
        };
        tracing::warn!(task = id, %error, "a state is not recorded");
        if !starting {
            // An end is told even when it cannot be written down.
            return true;
        }
        let why = format!("the start cannot be recorded, so nothing is started: {error}");
        self.apply(id, Event::Spawned(Err(why)));
        false
    }

    fn prepare(&mut self, id: &str) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let (plan, cancel) = (slot.plan.clone(), slot.cancel.clone());
        let (group, guard) = (slot.cgroup.clone(), slot.preparing.clone());
        let (host, sender, task) = (self.host.clone(), self.sender.clone(), id.to_owned());
        self.host.tasks.spawn("prepare", async move {
            let guard = guard.lock().await;
            let result = tokio::select! {
                biased;
                () = cancel.cancelled() => Err("given up".to_owned()),
                result = prepare::prepare(&host, &plan, &group, &cancel) => result,
            };
            drop(guard);
            drop(plan);
            drop(sender.send(Incoming::Prepared { task, result }).await);
        });
    }

    pub(crate) fn prepared(&mut self, id: &str, result: Result<Prepared, String>) {
        let Some(slot) = self.slots.get_mut(id) else {
            return;
        };
        let event = match result {
            Err(why) => Event::Prepared(Err(why)),
            Ok(prepared) => {
                slot.account = Some(Arc::new(prepared.account));
                slot.warnings = prepared.warnings;
                slot.complaint = prepared.complaint;
                let plan = Arc::make_mut(&mut slot.plan);
                plan.env.extend(prepared.variables);
                // Done with; files hold whole configurations.
                plan.files = Vec::new();
                plan.uris = Vec::new();
                Event::Prepared(Ok(()))
            }
        };
        self.apply(id, event);
    }

    pub(crate) fn step_later(&self, id: &str) -> Option<Later> {
        let slot = self.slots.get(id)?;
        Some(Later {
            sender: self.sender.clone(),
            task: id.to_owned(),
            run: slot.state.run,
        })
    }

    pub(crate) fn spawn(&mut self, id: &str) {
        let Some(later) = self.step_later(id) else {
            return;
        };
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let (start_id, main_id) = (slot.start_id(), slot.main_id());
        let (plan, account) = (slot.plan.clone(), slot.account.clone());
        let cgroups = procs(slot);
        let (host, exits) = (self.host.clone(), self.exit_sender.clone());
        for stream in ["stdout", "stderr"] {
            self.host.logs.watch(&slot.plan.log(stream));
        }
        self.host.tasks.spawn("start", async move {
            let account = match account_of(&host, &plan, account).await {
                Ok(account) => account,
                Err(why) => return later.send(Event::Spawned(Err(why))).await,
            };
            let log = |stream: &str| Some(plan.log(stream).display().to_string());
            let spawn = Spawn {
                stdout: log("stdout"),
                stderr: log("stderr"),
                ..commands::spawn(
                    &host.settings,
                    &plan,
                    &account,
                    &plan.argv,
                    &start_id,
                    cgroups,
                )
            };
            host.keeper.watch(&start_id, Sink::Inbox(exits), false);
            match host.keeper.spawn(spawn).await {
                Ok((task, warnings)) => {
                    if !warnings.is_empty() {
                        let warn = Incoming::Warn {
                            task: plan.id.clone(),
                            warnings,
                        };
                        drop(later.sender.send(warn).await);
                    }
                    later.send(Event::Spawned(Ok(identity(&task)))).await;
                }
                Err(failure) => {
                    host.keeper.unwatch(&start_id);
                    tracing::debug!(main_id, %failure, "not started");
                    let why = format!("the start command could not be run: {failure}");
                    later.send(Event::Spawned(Err(why))).await;
                }
            }
        });
    }

    pub(crate) fn await_pid(&mut self, id: &str, limit: Duration) {
        let Some(later) = self.step_later(id) else {
            return;
        };
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let (plan, main_id, host) = (slot.plan.clone(), slot.main_id(), self.host.clone());
        let start_id = slot.start_id();
        let (exits, cancel) = (self.exit_sender.clone(), slot.cancel.clone());
        self.host.tasks.spawn("pid file", async move {
            let Some(path) = plan.pid_file.clone() else {
                return;
            };
            let found = tokio::select! {
                () = cancel.cancelled() => Err("given up".to_owned()),
                found = pid_file::wait(&path, &plan.proc_name, limit) => found,
            };
            let found = match found {
                Err(why) => Err(why),
                Ok(process) => {
                    host.keeper.watch(&main_id, Sink::Inbox(exits), false);
                    let Process { pid, start_time } = process;
                    let adopted = host.keeper.adopt(main_id.clone(), pid, start_time).await;
                    if adopted.is_err() {
                        host.keeper.unwatch(&main_id);
                    }
                    adopted.map(|task| identity(&task)).map_err(|failure| {
                        format!("process {pid} of {}: {failure}", path.display())
                    })
                }
            };
            // Only now: until the program is adopted, this record is what tells a restarted daemon
            // not to start it again.
            if found.is_ok() {
                forget(&host, vec![start_id]).await;
            }
            later.send(Event::Found(found)).await;
        });
    }

    /// Sends a signal to the task's program, or to its start command while that runs.
    pub(crate) fn signal(&self, id: &str, signal: i32, scope: Scope) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let ids = match slot.state.process {
            Some(_) => vec![slot.main_id()],
            None => vec![slot.start_id()],
        };
        let host = self.host.clone();
        self.host.tasks.spawn("signal", async move {
            for id in ids {
                let call = Call::Signal(Signal {
                    id: id.clone(),
                    signal,
                    scope,
                });
                if let Err(failure) = host.keeper.call(call).await {
                    tracing::debug!(id, signal, %failure, "signal not sent");
                }
            }
        });
    }

    pub(crate) fn terminate(&mut self, id: &str) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        // What is not started yet is told once it is.
        match (&slot.plan.stop, slot.state.process) {
            (Some(stop), Some(_)) => {
                let command = self.command(id, stop.clone(), "stop");
                let (host, signal) = (self.host.clone(), slot.main_id());
                self.host.tasks.spawn("stop command", async move {
                    let Some(command) = command else { return };
                    let output = commands::run(&host, command).await;
                    if let Err(why) = output.success() {
                        tracing::warn!(signal, why, "the stop command failed; sending SIGTERM");
                        let call = Call::Signal(Signal {
                            id: signal,
                            signal: nix::libc::SIGTERM,
                            scope: Scope::Group,
                        });
                        // It may have ended meanwhile.
                        drop(host.keeper.call(call).await);
                    }
                });
            }
            _ => self.signal(id, nix::libc::SIGTERM, Scope::Group),
        }
    }

    /// A command of the task, as its account, in its directory and group.
    pub(crate) fn command(&self, id: &str, argv: Vec<String>, name: &str) -> Option<Command> {
        let slot = self.slots.get(id)?;
        Some(Command {
            id: format!(
                "{}/{name}-{}",
                slot.main_id(),
                uuid::Uuid::new_v4().simple()
            ),
            plan: slot.plan.clone(),
            account: slot.account.clone(),
            argv,
            env: Vec::new(),
            cwd: None,
            user: None,
            cgroups: procs(slot),
            time: self.host.settings.command_time(),
            output: self.host.settings.command_output_bytes,
        })
    }

    fn restart_command(&mut self, id: &str) {
        let Some(later) = self.step_later(id) else {
            return;
        };
        let argv = self
            .slots
            .get(id)
            .and_then(|slot| slot.plan.restart.clone());
        let Some(command) = argv.and_then(|argv| self.command(id, argv, "restart")) else {
            return;
        };
        let host = self.host.clone();
        self.host.tasks.spawn("restart command", async move {
            let output = commands::run(&host, command).await;
            later
                .send(Event::RestartCommandEnded(output.success()))
                .await;
        });
    }

    fn kill_all(&mut self, id: &str) {
        let Some(slot) = self.slots.get_mut(id) else {
            return;
        };
        // With a grace of zero there is no patience for a command either.
        let patient = !slot.kill_tried
            && slot
                .state
                .stop
                .is_some_and(|stop| stop.deadline > crate::host::boot_millis());
        slot.kill_tried = true;
        if patient
            && let Some(argv) = slot.plan.kill.clone()
            && let Some(command) = self.command(id, argv, "kill")
        {
            // The kernel's way follows at the next deadline, whatever comes of this.
            let host = self.host.clone();
            self.host.tasks.spawn("kill command", async move {
                let output = commands::run(&host, command).await;
                if let Err(why) = output.success() {
                    tracing::warn!(why, "the kill command failed");
                }
            });
            return;
        }
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        if let Err(error) = slot.cgroup.kill_all() {
            tracing::warn!(task = id, %error, "the group was not killed");
        }
        if slot.cgroup.directories().is_empty() {
            self.signal(id, nix::libc::SIGKILL, Scope::Session);
        }
        // Also when it is not, or not yet, in its group.
        self.signal(id, nix::libc::SIGKILL, Scope::Process);
    }

    pub(crate) fn clean_up(&mut self, id: &str) {
        let Some(later) = self.step_later(id) else {
            return;
        };
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let (group, guard) = (slot.cgroup.clone(), slot.preparing.clone());
        let (main_id, start_id, host) = (slot.main_id(), slot.start_id(), self.host.clone());
        slot.cancel.cancel();
        for stream in ["stdout", "stderr"] {
            self.host.logs.unwatch(&slot.plan.log(stream));
        }
        self.host.tasks.spawn("clean up", async move {
            // Whoever still prepares sees the cancellation and lets go.
            let preparing = guard.lock().await;
            let deadline = tokio::time::Instant::now() + EMPTY_TIME;
            let mut pause = Duration::from_millis(1);
            if group.directories().is_empty() {
                for id in [&main_id, &start_id] {
                    let (signal, scope) = (nix::libc::SIGKILL, Scope::Session);
                    let call = Call::Signal(Signal {
                        id: id.clone(),
                        signal,
                        scope,
                    });
                    drop(host.keeper.call(call).await);
                }
            }
            while group.populated() == Some(true) {
                if let Err(error) = group.kill_all() {
                    tracing::warn!(%error, "the group was not killed");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(50));
                if tokio::time::Instant::now() > deadline {
                    tracing::error!(main_id, "processes survive SIGKILL; the end is reported");
                    break;
                }
            }
            drop(preparing);
            later.send(Event::Cleaned).await;
            let ids = if start_id == main_id {
                vec![main_id]
            } else {
                vec![main_id, start_id]
            };
            forget(&host, ids).await;
            for _ in 0..20 {
                if group.remove().is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }

    /// Has the keeper drop records of what is over and reported.
    pub(crate) fn forget(&self, ids: Vec<String>) {
        let host = self.host.clone();
        self.host
            .tasks
            .spawn("forget", async move { forget(&host, ids).await });
    }
}

async fn forget(host: &Host, ids: Vec<String>) {
    for id in ids {
        host.keeper.unwatch(&id);
        // One that is not ended yet is forgotten when it ends: nobody watches it any more.
        drop(host.keeper.call(Call::Forget { id }).await);
    }
}

/// Sends an event of one run of one task.
pub(crate) struct Later {
    sender: Inbox,
    task: String,
    run: u32,
}

impl Later {
    pub(crate) async fn send(&self, event: Event) {
        let (task, run) = (self.task.clone(), self.run);
        // The executor may be over; then nobody is interested.
        drop(self.sender.send(Incoming::Step { task, run, event }).await);
    }
}

fn procs(slot: &Slot) -> Vec<String> {
    slot.cgroup
        .procs_files()
        .iter()
        .map(|file| file.display().to_string())
        .collect()
}

fn identity(task: &Task) -> Process {
    Process {
        pid: task.pid,
        start_time: task.start_time,
    }
}

/// The account of a task; looked up when the daemon was restarted since it was prepared.
pub(crate) async fn account_of(
    host: &Arc<Host>,
    plan: &Arc<Plan>,
    known: Option<Arc<Account>>,
) -> Result<Arc<Account>, String> {
    if let Some(account) = known {
        return Ok(account);
    }
    let (host, plan) = (host.clone(), plan.clone());
    let look = move || crate::users::resolve(&plan.user, &host.settings.allow_users);
    match tokio::task::spawn_blocking(look).await {
        Ok(Ok(account)) => Ok(Arc::new(account)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Names a Mesos state number, for logs.
pub fn state_name(state: i32) -> &'static str {
    bcs_mesos::TaskState::try_from(state).map_or("?", |state| state.wire_name())
}
