//! The life of one task, as a pure function: state and event in, state and effects out.
//!
//! ```text
//!             Prepared ok            Spawned / Found            Kill, Restart
//!  [Staging] ------------> [Starting] --------------> [Running] -------------> [Stopping]
//!      |  ^ Launch             |  ^                       |                       |    |
//!      |                       |  |        restarted      |                       |    |
//!      |                       |  +-----------------------+-----------------------+    |
//!      | Prepared err, Kill    | Spawned err, StartEnded err, Found err | Exited       | Exited
//!      v                       v                                        v              v
//!  [Stopped] <--------------------------------------------------------------------------
//!      |
//!      +-- CleanUp (kill what is left, wait) -- Cleaned --> terminal report
//! ```
//!
//! Invariants: an effect that reaches outside comes after `Record`; a terminal report comes once,
//! after everything the task left behind is gone; nothing leaves `Stopped`; whatever arrives late
//! or twice is ignored. Time is the boot clock in milliseconds, which no clock step moves and which
//! a restarted daemon shares.

use serde::{Deserialize, Serialize};

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Packages, files and group are being made ready.
    Staging,
    /// The start command was ordered.
    Starting,
    /// The program runs.
    Running,
    /// It was told to stop.
    Stopping,
    /// It is over.
    Stopped,
}

/// A process, for ever distinguishable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code; 128 + n after signal n; -1 when nobody knows.
    pub code: i32,
    /// In words.
    pub text: String,
    /// The kernel killed something in its group for want of memory.
    pub oom: bool,
}

/// How the task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The program returned 0.
    Finished,
    /// It did not, or never ran.
    Failed,
    /// It was told to stop.
    Killed,
    /// Its definition makes no sense; trying again would not help.
    Error,
}

/// Why and how it is being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Start it again afterwards.
    pub restart: bool,
    /// A restart command does the work.
    pub by_command: bool,
    /// The program is gone already (while the restart command still runs).
    pub gone: bool,
    /// When patience ends.
    pub deadline: u64,
}

/// The state of one task; this is what is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Where it is.
    pub phase: Phase,
    /// Counts starts in place; part of the name under which the keeper knows the program.
    pub run: u32,
    /// The program, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// While stopping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// Once stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// How the program ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// A restart command has run and the new program is looked for: nothing is to be started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaiting: bool,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Start of the program, unix nanoseconds; the driver fills it in.
    #[serde(default)]
    pub started_at: i64,
    /// End of the program, unix nanoseconds.
    #[serde(default)]
    pub finished_at: i64,
    /// The terminal report was made.
    #[serde(default)]
    pub reported: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            phase: Phase::Staging,
            run: 0,
            process: None,
            stop: None,
            outcome: None,
            exit: None,
            awaiting: false,
            message: String::new(),
            started_at: 0,
            finished_at: 0,
            reported: false,
        }
    }
}

/// What never changes in the life of a task but decides its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// The start command ends and leaves a program behind whose pid is in a file.
    pub pid_file: bool,
    /// How long the pid file may take, in milliseconds.
    pub start_grace: u64,
    /// There is a command that restarts the program.
    pub restart_command: bool,
}

/// What happens to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was launched, or the daemon came back before it was ready.
    Launch,
    /// Everything is ready, or cannot be.
    Prepared(Result<(), String>),
    /// The keeper started the start command (without a pid file: the program), or could not.
    Spawned(Result<Process, String>),
    /// With a pid file: the start command ended.
    StartEnded(Exit),
    /// With a pid file: the program was found and adopted, or not.
    Found(Result<Process, String>),
    /// The program ended.
    Exited(Exit),
    /// Stop it, within so many milliseconds.
    Kill {
        /// Time between asking and killing.
        grace: u64,
        /// Why, for people.
        reason: String,
    },
    /// Restart it in place.
    Restart {
        /// Time between asking and killing.
        grace: u64,
    },
    /// The restart command ended.
    RestartCommandEnded(Result<(), String>),
    /// The deadline passed.
    Deadline,
    /// Nothing of the task is left on the host.
    Cleaned,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Put the state on disk.
    Record,
    /// Fetch packages, write files, make the group.
    Prepare,
    /// Give up preparing.
    CancelPrepare,
    /// Have the keeper run the start command.
    Spawn,
    /// Wait for the pid file, at most so many milliseconds.
    AwaitPid(u64),
    /// Run the stop command, or send SIGTERM where there is none.
    Terminate,
    /// Run the restart command.
    RestartCommand,
    /// SIGKILL to everything of the task.
    KillAll,
    /// Kill what is left and tell when it is gone.
    CleanUp,
    /// Begin health checks.
    StartChecks,
    /// End them.
    StopChecks,
    /// Tell the scheduler.
    Report(Report),
}

/// What the scheduler is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// `TASK_STARTING`
    Starting,
    /// `TASK_RUNNING`
    Running,
    /// `TASK_KILLING`
    Killing,
    /// The outcome.
    Ended,
}

/// How often the kill is repeated while something survives, in milliseconds.
const KILL_AGAIN: u64 = 2_000;
/// How long a start command with a pid file may take beyond its grace, in milliseconds.
const START_LIMIT: u64 = 300_000;

/// One step.
pub fn step(mut state: State, event: Event, now: u64, facts: Facts) -> (State, Vec<Effect>) {
    let effects = match state.phase {
        Phase::Staging => staging(&mut state, event),
        Phase::Starting => starting(&mut state, event, now, facts),
        Phase::Running => running(&mut state, event, now, facts),
        Phase::Stopping => stopping(&mut state, event, now, facts),
        Phase::Stopped => stopped(&mut state, &event),
    };
    (state, effects)
}

/// The end: clean up first, report later.
fn end(state: &mut State, outcome: Outcome, message: String) -> Vec<Effect> {
    state.phase = Phase::Stopped;
    state.outcome = Some(outcome);
    state.message = message;
    state.stop = None;
    vec![Effect::Record, Effect::StopChecks, Effect::CleanUp]
}

fn exited(state: &mut State, exit: Exit, ordered: bool) -> Vec<Effect> {
    let (outcome, message) = match (ordered, exit.code) {
        (true, _) => (
            Outcome::Killed,
            format!("stopped as ordered; {}", exit.text),
        ),
        (false, 0) => (Outcome::Finished, exit.text.clone()),
        (false, _) => (Outcome::Failed, exit.text.clone()),
    };
    state.exit = Some(exit);
    end(state, outcome, message)
}

fn staging(state: &mut State, event: Event) -> Vec<Effect> {
    match event {
        Event::Launch => vec![Effect::Record, Effect::Prepare],
        Event::Prepared(Ok(())) => {
            state.phase = Phase::Starting;
            vec![
                Effect::Record,
                Effect::Report(Report::Starting),
                Effect::Spawn,
            ]
        }
        Event::Prepared(Err(why)) => end(state, Outcome::Failed, why),
        Event::Kill { reason, .. } => {
            let mut effects = vec![Effect::CancelPrepare];
            effects.extend(end(
                state,
                Outcome::Killed,
                format!("{reason} before it was started"),
            ));
            effects
        }
        _ => Vec::new(),
    }
}

fn starting(state: &mut State, event: Event, now: u64, facts: Facts) -> Vec<Effect> {
    match event {
        Event::Spawned(Ok(process)) if !facts.pid_file => {
            let early = state.exit.take();
            let mut effects = runs(state, process);
            if let Some(exit) = early {
                effects.extend(exited(state, exit, false));
            }
            effects
        }
        Event::Spawned(Ok(_)) => {
            let deadline = now + facts.start_grace + START_LIMIT;
            state.stop = Some(Stop {
                restart: false,
                by_command: false,
                gone: false,
                deadline,
            });
            Vec::new()
        }
        Event::Spawned(Err(why)) => end(state, Outcome::Failed, why),
        Event::StartEnded(exit) if exit.code == 0 => {
            state.stop = None;
            vec![Effect::AwaitPid(facts.start_grace)]
        }
        Event::StartEnded(exit) => {
            let message = format!("the start command failed: {}", exit.text);
            state.exit = Some(exit);
            end(state, Outcome::Failed, message)
        }
        Event::Found(Ok(process)) => runs(state, process),
        Event::Found(Err(why)) => end(state, Outcome::Failed, why),
        // Exits and answers come by different ways; the answer to the start follows at once.
        Event::Exited(exit) if !facts.pid_file => {
            state.exit = Some(exit);
            Vec::new()
        }
        Event::Exited(exit) => exited(state, exit, false),
        Event::Deadline if state.stop.is_some() => {
            let message = "the start command did not end in time".to_owned();
            end(state, Outcome::Failed, message)
        }
        Event::Kill { grace, .. } => stop(state, now, grace, false),
        _ => Vec::new(),
    }
}

fn runs(state: &mut State, process: Process) -> Vec<Effect> {
    state.phase = Phase::Running;
    state.process = Some(process);
    state.stop = None;
    state.awaiting = false;
    vec![
        Effect::Record,
        Effect::Report(Report::Running),
        Effect::StartChecks,
    ]
}

/// Begins to stop the program.
fn stop(state: &mut State, now: u64, grace: u64, restart: bool) -> Vec<Effect> {
    state.phase = Phase::Stopping;
    let deadline = now + grace;
    state.stop = Some(Stop {
        restart,
        by_command: false,
        gone: false,
        deadline,
    });
    let mut effects = vec![Effect::Record, Effect::StopChecks];
    if !restart {
        effects.push(Effect::Report(Report::Killing));
    }
    effects.push(if grace == 0 {
        Effect::KillAll
    } else {
        Effect::Terminate
    });
    effects
}

fn running(state: &mut State, event: Event, now: u64, facts: Facts) -> Vec<Effect> {
    match event {
        Event::Exited(exit) => exited(state, exit, false),
        Event::Kill { grace, .. } => stop(state, now, grace, false),
        Event::Restart { grace } if facts.restart_command && facts.pid_file => {
            state.phase = Phase::Stopping;
            let deadline = now + grace + START_LIMIT;
            state.stop = Some(Stop {
                restart: true,
                by_command: true,
                gone: false,
                deadline,
            });
            vec![Effect::Record, Effect::StopChecks, Effect::RestartCommand]
        }
        Event::Restart { grace } => stop(state, now, grace, true),
        _ => Vec::new(),
    }
}

fn stopping(state: &mut State, event: Event, now: u64, facts: Facts) -> Vec<Effect> {
    let Some(order) = state.stop.as_mut() else {
        return end(state, Outcome::Killed, "stopped".to_owned());
    };
    match event {
        Event::Exited(_) if order.by_command => {
            order.gone = true;
            vec![Effect::Record]
        }
        Event::Exited(_) if order.restart => again(state, Effect::Spawn),
        Event::Exited(exit) => exited(state, exit, true),
        Event::RestartCommandEnded(Ok(())) if order.by_command => {
            again(state, Effect::AwaitPid(facts.start_grace))
        }
        Event::RestartCommandEnded(Err(why)) if order.by_command => {
            if order.gone {
                return end(
                    state,
                    Outcome::Failed,
                    format!("the restart command failed: {why}"),
                );
            }
            // The program still runs: the restart failed, the task did not.
            state.phase = Phase::Running;
            state.stop = None;
            state.message = format!("the restart command failed: {why}");
            vec![
                Effect::Record,
                Effect::Report(Report::Running),
                Effect::StartChecks,
            ]
        }
        // It was told to stop while it was being started.
        Event::Spawned(Ok(process)) | Event::Found(Ok(process)) => {
            if !facts.pid_file {
                state.process = Some(process);
            }
            let patient = order.deadline > now;
            vec![
                Effect::Record,
                if patient {
                    Effect::Terminate
                } else {
                    Effect::KillAll
                },
            ]
        }
        Event::Spawned(Err(why)) | Event::Found(Err(why)) => end(state, Outcome::Killed, why),
        Event::StartEnded(exit) if state.process.is_none() => {
            state.exit = Some(exit);
            let message = "stopped as ordered while it was starting".to_owned();
            end(state, Outcome::Killed, message)
        }
        Event::Kill { grace, .. } => {
            let deadline = if order.restart {
                now + grace
            } else {
                order.deadline.min(now + grace)
            };
            let began = order.restart;
            let gone = order.gone;
            *order = Stop {
                restart: false,
                by_command: false,
                gone,
                deadline,
            };
            if gone {
                return end(state, Outcome::Killed, "stopped as ordered".to_owned());
            }
            let mut effects = vec![Effect::Record];
            if began {
                effects.push(Effect::Report(Report::Killing));
                effects.push(Effect::Terminate);
            }
            if deadline <= now {
                effects.push(Effect::KillAll);
            }
            effects
        }
        Event::Deadline if now >= order.deadline => {
            order.deadline = now + KILL_AGAIN;
            vec![Effect::KillAll]
        }
        _ => Vec::new(),
    }
}

/// The next run in place.
fn again(state: &mut State, effect: Effect) -> Vec<Effect> {
    state.phase = Phase::Starting;
    state.run += 1;
    state.process = None;
    state.awaiting = matches!(effect, Effect::AwaitPid(_));
    state.stop = None;
    state.exit = None;
    vec![Effect::Record, effect]
}

fn stopped(state: &mut State, event: &Event) -> Vec<Effect> {
    match event {
        Event::Cleaned if !state.reported => {
            state.reported = true;
            vec![Effect::Report(Report::Ended), Effect::Record]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
