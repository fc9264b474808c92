//! Tasks that are a command and name no executor: the agent is their executor.
//!
//! It subscribes to its own core as any executor would, so that statuses, kills and shutdowns take the same way.
//! Such a task is a child of the agent: when the agent is restarted its end could not be told, so it is over then
//! (`TASK_GONE`, after the time in which executors may come back).

use std::time::Duration;

use bcs_mesos::executor::{Event, call, event};
use bcs_mesos::recordio::Decoder;
use bcs_mesos::types::{KillPolicy, StatusSource, TaskInfo, TaskState, TaskStatus};
use bcs_mesos::{ContentType, WireName as _};
use bytes::Bytes;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::sync::mpsc;

use crate::core::{Input, Reply, Start};
use crate::driver::{Attach, Handle, channel};
use crate::launch::{self, Surroundings};

/// Between SIGTERM and SIGKILL where the task says nothing else.
const GRACE: Duration = Duration::from_secs(3);

/// One running task.
struct CommandTask<'a> {
    start: &'a Start,
    surroundings: &'a Surroundings,
    handle: &'a Handle,
    child: Option<Child>,
    pid: i32,
    kill_ordered: bool,
    /// When SIGKILL follows SIGTERM.
    kill_at: Option<tokio::time::Instant>,
    last_uuid: Option<Bytes>,
}

/// Runs until the task has ended and its end was acknowledged.
pub(crate) async fn run(
    start: &Start,
    surroundings: &Surroundings,
    handle: &Handle,
    shutdown: &bcs_kit::Shutdown,
) {
    let stream = uuid::Uuid::new_v4().to_string();
    let (outbox, events) = channel(ContentType::Protobuf);
    let input = Input::Subscribe {
        key: start.key.clone(),
        subscribe: call::Subscribe::default(),
        stream: stream.clone(),
        token: None,
    };
    if handle.ask(input, Attach::Executor(stream, outbox)).await != Reply::Accepted {
        return;
    }
    let mut task = CommandTask {
        start,
        surroundings,
        handle,
        child: None,
        pid: 0,
        kill_ordered: false,
        kill_at: None,
        last_uuid: None,
    };
    if shutdown.run_until(task.serve(events)).await.is_some() {
        let status = Some(0);
        handle
            .tell(Input::Exited {
                key: start.key.clone(),
                run: start.run.clone(),
                status,
            })
            .await;
    }
}

impl CommandTask<'_> {
    async fn serve(&mut self, mut events: mpsc::Receiver<Bytes>) {
        let mut decoder = Decoder::default();
        loop {
            let kill_at = self.kill_at;
            let forced = async {
                match kill_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let exit = async {
                match &mut self.child {
                    Some(child) => child.wait().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                record = events.recv() => {
                    let Some(record) = record else { return };
                    decoder.push(&record);
                    while let Ok(Some(record)) = decoder.next_record() {
                        let Ok(event) = bcs_mesos::decode::<Event>(&record, ContentType::Protobuf) else { return };
                        if self.take(event).await {
                            return;
                        }
                    }
                }
                status = exit => {
                    self.child = None;
                    self.kill_at = None;
                    self.ended(status).await;
                }
                () = forced => {
                    self.kill_at = None;
                    self.signal(Signal::SIGKILL);
                }
            }
        }
    }

    /// True when nothing is left to do.
    async fn take(&mut self, event: Event) -> bool {
        match event.r#type() {
            event::Type::Launch => {
                if let Some(launch) = event.launch {
                    self.launch(&launch.task).await;
                }
            }
            event::Type::Kill => {
                let policy = event.kill.and_then(|kill| kill.kill_policy);
                self.kill(policy.as_ref());
            }
            event::Type::Shutdown => self.kill(None),
            event::Type::Acknowledged => {
                let uuid = event.acknowledged.map(|acknowledged| acknowledged.uuid);
                return self.child.is_none() && uuid.is_some() && uuid == self.last_uuid;
            }
            _ => {}
        }
        false
    }

    async fn launch(&mut self, task: &TaskInfo) {
        match self.spawn(task) {
            Ok(child) => {
                self.pid = child
                    .id()
                    .and_then(|pid| i32::try_from(pid).ok())
                    .unwrap_or(0);
                self.child = Some(child);
                let (key, run) = (self.start.key.clone(), self.start.run.clone());
                let start_time = launch::start_time(self.pid).unwrap_or(0);
                self.handle
                    .tell(Input::Started {
                        key,
                        run,
                        pid: self.pid,
                        start_time,
                    })
                    .await;
                self.report(TaskState::Running, String::new()).await;
            }
            Err(error) => self.report(TaskState::Failed, error.to_string()).await,
        }
    }

    fn spawn(&self, task: &TaskInfo) -> Result<Child, launch::LaunchError> {
        let command = task
            .command
            .as_ref()
            .ok_or(launch::LaunchError::NoCommand)?;
        launch::sandbox(self.start, self.surroundings)?;
        let logs = self.start.directory.join(&task.task_id.value);
        std::fs::create_dir_all(&logs).map_err(|source| launch::LaunchError::Sandbox {
            directory: logs.display().to_string(),
            source,
        })?;
        launch::spawn_command(self.start, self.surroundings, command, &logs)
    }

    fn kill(&mut self, policy: Option<&KillPolicy>) {
        let own = self
            .start
            .task
            .as_ref()
            .and_then(|task| task.kill_policy.as_ref());
        let grace = policy
            .or(own)
            .and_then(|policy| policy.grace_period.as_ref())
            .map_or(GRACE, |grace| grace.to_duration());
        self.kill_ordered = true;
        self.kill_at = Some(tokio::time::Instant::now() + grace);
        self.signal(Signal::SIGTERM);
    }

    fn signal(&self, signal: Signal) {
        // While it was not waited for, its pid is its own.
        if self.child.is_some()
            && self.pid > 1
            && let Err(error) = killpg(Pid::from_raw(self.pid), signal)
        {
            tracing::debug!(pid = self.pid, %error, "signal not sent");
        }
    }

    async fn ended(&mut self, status: std::io::Result<std::process::ExitStatus>) {
        use std::os::unix::process::ExitStatusExt as _;
        let (state, text) = match status {
            Ok(status) => {
                let text = format!("the command ended: {}", launch::describe(status.into_raw()));
                match (self.kill_ordered, status.success()) {
                    (true, _) => (TaskState::Killed, text),
                    (false, true) => (TaskState::Finished, text),
                    (false, false) => (TaskState::Failed, text),
                }
            }
            Err(error) => (
                TaskState::Failed,
                format!("the command could not be waited for: {error}"),
            ),
        };
        self.report(state, text).await;
    }

    async fn report(&mut self, state: TaskState, text: String) {
        let uuid = Bytes::copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        self.last_uuid = state.is_terminal().then(|| uuid.clone());
        let status = TaskStatus {
            task_id: self
                .start
                .task
                .as_ref()
                .map(|task| task.task_id.clone())
                .unwrap_or_default(),
            state: state.number(),
            message: (!text.is_empty()).then_some(text),
            source: Some(StatusSource::Executor.number()),
            executor_id: Some(self.start.key.executor.clone()),
            uuid: Some(uuid),
            ..TaskStatus::default()
        };
        let input = Input::Update {
            key: self.start.key.clone(),
            status: Box::new(status),
            token: None,
        };
        if let Reply::Refused(_, reason) = self.handle.ask(input, Attach::Nothing).await {
            tracing::warn!(executor = %self.start.key.executor, reason, "status refused");
        }
    }
}
