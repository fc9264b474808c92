//! Starting executors: forked here, or ordered from a daemon of the host.

use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bcs_httpd::{Client, Endpoint};
use bcs_kit::{Backoff, Context};
use bcs_mesos::types::CommandInfo;
use http::{Method, StatusCode};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::core::{Input, Start};
use crate::driver::Handle;

/// Executors that are being started at the same time.
const AT_ONCE: usize = 16;

/// What executors are told of their agent.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Where the executor API is on TCP: `ip:port`.
    pub(crate) endpoint: String,
    pub(crate) domain_socket: std::path::PathBuf,
    pub(crate) recovery_timeout: Duration,
    pub(crate) shutdown_grace: Duration,
    pub(crate) residents: Vec<(String, Client)>,
    pub(crate) switch_user: bool,
    pub(crate) path: String,
}

/// Why an executor could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error("sandbox {directory}: {source}")]
    Sandbox {
        directory: String,
        source: std::io::Error,
    },
    #[error("uri {uri:?}: {reason}")]
    Uri { uri: String, reason: String },
    #[error("user {user:?} does not exist on this host")]
    User { user: String },
    #[error("cannot start {command:?}: {source}")]
    Spawn {
        command: String,
        source: std::io::Error,
    },
    #[error("the executor has no command")]
    NoCommand,
}

/// Starts executors as they are ordered.
pub(crate) async fn run(
    mut starts: mpsc::Receiver<Start>,
    surroundings: Surroundings,
    handle: Handle,
    context: Context,
) {
    let surroundings = Arc::new(surroundings);
    let places = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    while let Some(Some(start)) = context.shutdown.run_until(starts.recv()).await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let (surroundings, handle, shutdown) = (
            Arc::clone(&surroundings),
            handle.clone(),
            context.shutdown.clone(),
        );
        context.tasks.spawn("executor start", async move {
            if start.task.is_some() {
                drop(place);
                crate::command_task::run(&start, &surroundings, &handle, &shutdown).await;
            } else if start.resident.is_some() {
                order(&start, &surroundings, &handle, &shutdown, place).await;
            } else {
                fork(&start, &surroundings, &handle, &shutdown, place).await;
            }
        });
    }
}

/// Orders a resident executor until its daemon takes it; registration has its own time limit.
async fn order(
    start: &Start,
    surroundings: &Surroundings,
    handle: &Handle,
    shutdown: &bcs_kit::Shutdown,
    place: tokio::sync::OwnedSemaphorePermit,
) {
    let name = start.resident.as_deref().unwrap_or_default();
    let Some((_, client)) = surroundings
        .residents
        .iter()
        .find(|(command, _)| command == name)
    else {
        return;
    };
    if let Err(error) = sandbox(start, surroundings) {
        fail(start, handle, &error.to_string()).await;
        return;
    }
    let environment: serde_json::Map<String, serde_json::Value> = environment(start, surroundings)
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    let body = serde_json::json!({ "environment": environment });
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
    // A daemon that is away must not keep others from being started.
    let mut place = Some(place);
    loop {
        let sent = client
            .request(Method::POST, "/v1/executors")
            .json(&body)
            .send();
        let problem = match shutdown.run_until(sent).await {
            None => return,
            Some(Ok(response)) if response.status().is_success() => return,
            Some(Ok(response)) => {
                let status = response.status();
                let text: String = response
                    .text()
                    .await
                    .unwrap_or_default()
                    .chars()
                    .take(500)
                    .collect();
                if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
                    fail(
                        start,
                        handle,
                        &format!("{name} refused the executor ({status}): {text}"),
                    )
                    .await;
                    return;
                }
                format!("{status}: {text}")
            }
            Some(Err(error)) => error.to_string(),
        };
        place.take();
        if backoff.worth_logging() {
            tracing::warn!(executor = %start.key.executor, resident = name, problem, "resident does not take the executor, trying again");
        }
        if !backoff.wait(shutdown).await || !still_wanted(start, handle).await {
            return;
        }
    }
}

/// Whether the executor is still waited for, in the same run.
async fn still_wanted(start: &Start, handle: &Handle) -> bool {
    let input = Input::Locate {
        key: start.key.clone(),
        task: None,
    };
    match handle.ask(input, crate::driver::Attach::Nothing).await {
        crate::core::Reply::Place { directory, ended } => {
            !ended && directory.as_deref() == Some(start.directory.as_path())
        }
        _ => false,
    }
}

pub(crate) async fn fail(start: &Start, handle: &Handle, text: &str) {
    tracing::warn!(executor = %start.key.executor, reason = text, "executor could not be started");
    let input = Input::LaunchFailed {
        key: start.key.clone(),
        run: start.run.clone(),
        text: text.to_owned(),
    };
    handle.tell(input).await;
}

async fn fork(
    start: &Start,
    surroundings: &Surroundings,
    handle: &Handle,
    shutdown: &bcs_kit::Shutdown,
    place: tokio::sync::OwnedSemaphorePermit,
) {
    let mut child = match spawn(start, surroundings) {
        Ok(child) => child,
        Err(error) => {
            fail(start, handle, &error.to_string()).await;
            return;
        }
    };
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .unwrap_or(0);
    let start_time = start_time(pid).unwrap_or(0);
    handle
        .tell(Input::Started {
            key: start.key.clone(),
            run: start.run.clone(),
            pid,
            start_time,
        })
        .await;
    drop(place);
    // On shutdown the executor is left running, and found again by its pid.
    if let Some(Ok(status)) = shutdown.run_until(child.wait()).await {
        let status = Some(status.into_raw());
        handle
            .tell(Input::Exited {
                key: start.key.clone(),
                run: start.run.clone(),
                status,
            })
            .await;
    }
}

fn spawn(start: &Start, surroundings: &Surroundings) -> Result<tokio::process::Child, LaunchError> {
    let info = start.info.command.as_ref().ok_or(LaunchError::NoCommand)?;
    sandbox(start, surroundings)?;
    spawn_command(start, surroundings, info, &start.directory)
}

/// Starts a command in the sandbox, its output in files of `logs`.
pub(crate) fn spawn_command(
    start: &Start,
    surroundings: &Surroundings,
    info: &CommandInfo,
    logs: &Path,
) -> Result<tokio::process::Child, LaunchError> {
    fetch(info, &start.directory)?;
    let directory = start.directory.display().to_string();
    let log = |name: &str| {
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o644)
            .open(logs.join(name))
            .map_err(|source| LaunchError::Sandbox {
                directory: directory.clone(),
                source,
            })
    };
    let value = info.value.clone().unwrap_or_default();
    let mut command = if info.shell() {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(&value);
        command
    } else {
        let mut command = Command::new(&value);
        // As Mesos has it: the arguments begin with the program's own name.
        if let Some((name, rest)) = info.arguments.split_first() {
            command.arg0(name).args(rest);
        }
        command
    };
    command
        .current_dir(&start.directory)
        .env_clear()
        .envs(environment(start, surroundings))
        .envs(variables_of(info))
        .stdin(Stdio::null())
        .stdout(Stdio::from(log("stdout")?))
        .stderr(Stdio::from(log("stderr")?))
        .kill_on_drop(false);
    if let Some((uid, gid)) = owner(start, surroundings)? {
        command.uid(uid).gid(gid);
    }
    own_session(&mut command);
    command.spawn().map_err(|source| LaunchError::Spawn {
        command: value,
        source,
    })
}

/// A session of its own: signals for the agent's terminal or group do not reach it, and its group can be killed.
#[allow(
    unsafe_code,
    reason = "pre_exec is the only place where setsid can be called for a child"
)]
fn own_session(command: &mut Command) {
    // SAFETY: between fork and exec only setsid(2) is called, which is async-signal-safe and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()
                .map(drop)
                .map_err(std::io::Error::from)
        });
    }
}

/// The user that the executor runs as, when it is another one than the agent's own.
fn owner(start: &Start, surroundings: &Surroundings) -> Result<Option<(u32, u32)>, LaunchError> {
    if !surroundings.switch_user || !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    let user = start
        .info
        .command
        .as_ref()
        .and_then(|command| command.user.clone())
        .unwrap_or_else(|| start.framework.user.clone());
    match nix::unistd::User::from_name(&user) {
        Ok(Some(found)) if found.uid.is_root() => Ok(None),
        Ok(Some(found)) => Ok(Some((found.uid.as_raw(), found.gid.as_raw()))),
        _ => Err(LaunchError::User { user }),
    }
}

pub(crate) fn sandbox(start: &Start, surroundings: &Surroundings) -> Result<(), LaunchError> {
    let failed = |source: std::io::Error| LaunchError::Sandbox {
        directory: start.directory.display().to_string(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&start.directory)
        .map_err(failed)?;
    // A resident executor is root's own business: it sets up what its tasks may see.
    if start.resident.is_none()
        && let Some((uid, gid)) = owner(start, surroundings)?
    {
        std::os::unix::fs::chown(&start.directory, Some(uid), Some(gid)).map_err(failed)?;
    }
    Ok(())
}

/// Copies `file://` uris into the sandbox.
fn fetch(command: &CommandInfo, directory: &Path) -> Result<(), LaunchError> {
    for uri in &command.uris {
        let refuse = |reason: String| LaunchError::Uri {
            uri: uri.value.clone(),
            reason,
        };
        let path = uri.value.strip_prefix("file://").unwrap_or(&uri.value);
        if !path.starts_with('/') {
            let reason =
                "executors are fetched from file:// only; install the executor on the host";
            return Err(refuse(reason.to_owned()));
        }
        let name = match &uri.output_file {
            Some(name) => Path::new(name)
                .file_name()
                .filter(|own| *own == name.as_str()),
            None => Path::new(path).file_name(),
        };
        let Some(name) = name else {
            return Err(refuse("it has no usable file name".to_owned()));
        };
        let target = directory.join(name);
        std::fs::copy(path, &target).map_err(|error| refuse(error.to_string()))?;
        let mode = if uri.executable() { 0o755 } else { 0o644 };
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode))
            .map_err(|error| refuse(error.to_string()))?;
    }
    Ok(())
}

fn environment(start: &Start, surroundings: &Surroundings) -> Vec<(String, String)> {
    let directory = start.directory.display().to_string();
    let grace = start
        .info
        .shutdown_grace_period
        .as_ref()
        .map_or(surroundings.shutdown_grace, |g| g.to_duration());
    let checkpoint = start.framework.checkpoint();
    let ip = surroundings
        .endpoint
        .rsplit_once(':')
        .map_or("127.0.0.1", |(ip, _)| ip);
    let mut variables: Vec<(String, String)> = [
        ("PATH", surroundings.path.clone()),
        ("MESOS_FRAMEWORK_ID", start.key.framework.value.clone()),
        ("MESOS_EXECUTOR_ID", start.key.executor.value.clone()),
        ("MESOS_SLAVE_ID", start.agent_id.clone()),
        (
            "MESOS_SLAVE_PID",
            format!("slave(1)@{}", surroundings.endpoint),
        ),
        ("MESOS_AGENT_ENDPOINT", surroundings.endpoint.clone()),
        (
            "MESOS_DOMAIN_SOCKET",
            surroundings.domain_socket.display().to_string(),
        ),
        ("MESOS_DIRECTORY", directory.clone()),
        ("MESOS_SANDBOX", directory),
        (
            "MESOS_CHECKPOINT",
            if checkpoint { "1" } else { "0" }.to_owned(),
        ),
        (
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
            bcs_mesos::duration::format(grace),
        ),
        ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", start.token.clone()),
        ("MESOS_HTTP_COMMAND_EXECUTOR", "0".to_owned()),
        ("LIBPROCESS_IP", ip.to_owned()),
        ("LIBPROCESS_PORT", "0".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if checkpoint {
        let recovery = bcs_mesos::duration::format(surroundings.recovery_timeout);
        variables.push(("MESOS_RECOVERY_TIMEOUT".to_owned(), recovery));
        variables.push((
            "MESOS_SUBSCRIPTION_BACKOFF_MAX".to_owned(),
            "2secs".to_owned(),
        ));
    }
    variables.extend(start.info.command.iter().flat_map(variables_of));
    variables
}

fn variables_of(command: &CommandInfo) -> Vec<(String, String)> {
    let list = command
        .environment
        .iter()
        .flat_map(|environment| &environment.variables);
    list.filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?)))
        .collect()
}

/// When a process was started, in clock ticks since boot. `None`: there is no such process.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may contain anything, also parentheses: fields are counted from the last one.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    if matches!(fields.next(), Some("Z" | "X")) {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Whether the process is still the one that was recorded.
pub(crate) fn is_alive(pid: i32, recorded: u64) -> bool {
    pid > 1 && start_time(pid) == Some(recorded)
}

/// Kills a forked executor with its whole group, if it is still the one that was recorded.
pub(crate) fn kill(pid: i32, recorded: u64) {
    if !is_alive(pid, recorded) {
        return;
    }
    if let Err(error) = killpg(Pid::from_raw(pid), Signal::SIGKILL) {
        tracing::warn!(pid, %error, "executor could not be killed");
    }
}

/// A wait status in words.
pub(crate) fn describe(status: i32) -> String {
    let status = std::process::ExitStatus::from_raw(status);
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => format!("status {status}"),
    }
}

/// The clients of the resident executors' daemons.
pub(crate) fn clients(
    residents: &[crate::settings::Resident],
) -> Result<Vec<(String, Client)>, bcs_httpd::client::ClientError> {
    residents
        .iter()
        .map(|resident| {
            let endpoint: &Endpoint = &resident.endpoint;
            Ok((resident.command.clone(), Client::new(endpoint, None)?))
        })
        .collect()
}
