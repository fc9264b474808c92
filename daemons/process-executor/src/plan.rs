//! From a task's definition to what has to be done: all of it decided here, once, without I/O.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use bcs_mesos::{HealthCheckType, TaskInfo};
use bcs_model::dataclass::{DataClass, ProcInfo, ReportPort, Resource, Uri};
use bcs_model::message::{BcsMessage, MessageType, SecretKind};

use crate::files::{Content, FileItem, Source};
use crate::settings::Settings;
use crate::step::Facts;
use crate::words;

/// A definition that cannot be carried out; the task ends as an error, with this text.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The payload is not what it should be.
    #[error("task data is not a DataClass: {0}")]
    Data(#[from] serde_json::Error),
    /// A command line.
    #[error(transparent)]
    Words(#[from] words::WordError),
    /// Something is missing or out of range.
    #[error("{field} {value:?}: {rule}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it is.
        value: String,
        /// What it must be.
        rule: &'static str,
    },
}

/// A health check that the executor runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What is probed.
    pub probe: Probe,
    /// Before the first probe, in milliseconds.
    pub delay: u64,
    /// Failures within this time after the start do not count, in milliseconds.
    pub grace: u64,
    /// Between probes, in milliseconds.
    pub interval: u64,
    /// For one probe, in milliseconds.
    pub timeout: u64,
}

/// What a health check does.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// GET; healthy from 200 to 399.
    Http {
        /// `http` or `https`
        scheme: String,
        /// Port on this host.
        port: u16,
        /// Path and query.
        path: String,
    },
    /// Connect.
    Tcp {
        /// Port on this host.
        port: u16,
    },
    /// Run; healthy with exit code 0.
    Command(Vec<String>),
}

/// Everything about a task that the daemon acts on. No `Debug`: the environment holds secrets.
#[derive(Clone)]
pub struct Plan {
    /// Task id.
    pub id: String,
    /// For people.
    pub name: String,
    /// The start command.
    pub argv: Vec<String>,
    /// Its environment without the account's part.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub work_path: PathBuf,
    /// Whom it runs as; empty is our own account.
    pub user: String,
    /// For the state machine.
    pub facts: Facts,
    /// The file a daemonising program writes.
    pub pid_file: Option<PathBuf>,
    /// Base name of the running executable; empty is not checked.
    pub proc_name: String,
    /// Commands, split.
    pub stop: Option<Vec<String>>,
    /// See [`Self::stop`].
    pub kill: Option<Vec<String>>,
    /// See [`Self::stop`].
    pub restart: Option<Vec<String>>,
    /// See [`Self::stop`].
    pub reload: Option<Vec<String>>,
    /// Between asking and killing, in milliseconds.
    pub grace: u64,
    /// Packages, in order.
    pub uris: Vec<Uri>,
    /// Files of configmaps and secrets.
    pub files: Vec<FileItem>,
    /// Requests.
    pub request: Resource,
    /// Limits.
    pub limit: Resource,
    /// Health check.
    pub check: Option<Check>,
    /// Ports.
    pub ports: Vec<ReportPort>,
    /// `$MESOS_SANDBOX/<task id>`
    pub sandbox: PathBuf,
}

/// Replaces what only this host knows.
#[derive(Debug, Clone)]
pub struct Places {
    work: String,
    run: String,
}

impl Places {
    /// The directories of this daemon.
    pub fn new(settings: &Settings) -> Self {
        let dir = |name: &str| settings.workspace().join(name).display().to_string();
        Self {
            work: dir("work_dir"),
            run: dir("run_dir"),
        }
    }

    /// Fills in `${work_base_dir}` and `${run_base_dir}`.
    pub fn fill(&self, text: &str) -> String {
        if !text.contains("${") {
            return text.to_owned();
        }
        text.replace("${work_base_dir}", &self.work)
            .replace("${run_base_dir}", &self.run)
    }
}

fn field(field: &'static str, value: impl Into<String>, rule: &'static str) -> PlanError {
    PlanError::Field {
        field,
        value: value.into(),
        rule,
    }
}

fn millis(seconds: f64) -> u64 {
    // `as` saturates; negative and not-a-number become 0.
    (seconds * 1000.0) as u64
}

fn absolute(name: &'static str, path: &str) -> Result<PathBuf, PlanError> {
    let path = Path::new(path);
    let plain = !path
        .components()
        .any(|part| part == std::path::Component::ParentDir);
    if path.is_absolute() && plain {
        return Ok(path.to_owned());
    }
    Err(field(
        name,
        path.display().to_string(),
        "must be an absolute path without '..'",
    ))
}

impl Plan {
    /// Reads a definition.
    ///
    /// # Errors
    /// Says what cannot be carried out.
    pub fn new(info: &TaskInfo, sandbox: &Path, settings: &Settings) -> Result<Self, PlanError> {
        let places = Places::new(settings);
        let data = match info.data.as_deref() {
            Some(data) if !data.is_empty() => read_data(data)?,
            _ => DataClass::default(),
        };
        let sandbox = sandbox.join(&info.task_id.value);
        let proc = data.proc_info.clone().map(|proc| filled(proc, &places));
        let command = info.command.clone().unwrap_or_default();
        let shell = command.shell.unwrap_or(true);
        let value = places.fill(command.value.as_deref().unwrap_or_default());
        let argv = match &proc {
            Some(proc) => {
                let line = if proc.start_cmd.is_empty() {
                    &value
                } else {
                    &proc.start_cmd
                };
                let mut argv = words::split(line)?;
                let extra = if proc.argv.is_empty() {
                    &command.arguments
                } else {
                    &proc.argv
                };
                argv.extend(extra.iter().map(|word| places.fill(word)));
                argv
            }
            // A plain Mesos task, as any framework may launch it.
            None if shell => ["/bin/sh".into(), "-c".into(), value].to_vec(),
            None if command.arguments.is_empty() => [value].to_vec(),
            None => command.arguments.clone(),
        };
        let proc = proc.unwrap_or_default();
        if argv.first().is_none_or(String::is_empty) {
            return Err(field("startCmd", "", "must name a program"));
        }
        let work_path = match proc.work_path.as_str() {
            // The sandbox itself is ours; what the task may write to is below it.
            "" => sandbox.join("work"),
            path => absolute("workPath", path)?,
        };
        let mut env = BTreeMap::new();
        for variable in command.environment.iter().flat_map(|list| &list.variables) {
            let value = match (&variable.value, &variable.secret) {
                (Some(value), _) => places.fill(value),
                (None, Some(secret)) => match &secret.value {
                    Some(value) => String::from_utf8_lossy(&value.data).into_owned(),
                    None => continue,
                },
                (None, None) => continue,
            };
            env.insert(places.fill(&variable.name), value);
        }
        let mut files = Vec::new();
        for message in &data.msgs {
            item(message, &places, &mut env, &mut files)?;
        }
        let optional = |line: &str| -> Result<Option<Vec<String>>, PlanError> {
            let words = words::split(line)?;
            Ok((!words.is_empty()).then_some(words))
        };
        let pid_file = match proc.pid_file.as_str() {
            "" => None,
            path if path.starts_with('/') => Some(absolute("pidFile", path)?),
            path => Some(work_path.join(path)),
        };
        let restart = optional(&proc.restart_cmd)?;
        let default_grace = settings.stop_grace_seconds * 1000;
        let start_grace = match u64::try_from(proc.start_grace_period).unwrap_or_default() {
            0 => settings.start_grace_seconds * 1000,
            seconds => seconds.min(86_400) * 1000,
        };
        let facts = Facts {
            pid_file: pid_file.is_some(),
            start_grace,
            restart_command: restart.is_some(),
        };
        let mut uris = proc.uris;
        for uri in info.command.iter().flat_map(|command| &command.uris) {
            if proc.start_cmd.is_empty() {
                uris.push(Uri {
                    value: uri.value.clone(),
                    ..Uri::default()
                });
            }
        }
        let user = match proc.user.is_empty() {
            true => command
                .user
                .unwrap_or_else(|| settings.default_user.clone()),
            false => proc.user,
        };
        let amounts = bcs_mesos::Resources::from_wire(&info.resources).unwrap_or_default();
        let request = match data.resources == Resource::default() {
            true => Resource {
                cpus: amounts.scalar("cpus"),
                mem: amounts.scalar("mem"),
                disk: amounts.scalar("disk"),
            },
            false => data.resources,
        };
        Ok(Self {
            id: info.task_id.value.clone(),
            name: info.name.clone(),
            argv,
            env,
            user,
            facts,
            pid_file,
            proc_name: proc.proc_name,
            stop: optional(&proc.stop_cmd)?,
            kill: optional(&proc.kill_cmd)?,
            restart,
            reload: optional(&proc.reload_cmd)?,
            grace: grace_of(info.kill_policy.as_ref()).unwrap_or(default_grace),
            uris,
            files,
            request,
            limit: data.limit_resources,
            check: check(info)?,
            ports: ports(info, &amounts),
            sandbox,
            work_path,
        })
    }

    /// A file of the sandbox.
    pub fn log(&self, stream: &str) -> PathBuf {
        self.sandbox.join(stream)
    }
}

/// The grace of a kill policy, in milliseconds.
pub fn grace_of(policy: Option<&bcs_mesos::KillPolicy>) -> Option<u64> {
    let nanos = policy?.grace_period.as_ref()?.nanoseconds;
    Some(u64::try_from(nanos).unwrap_or_default() / 1_000_000)
}

/// Our scheduler sends JSON; the reference's sends it in base64 once more.
fn read_data(data: &[u8]) -> Result<DataClass, serde_json::Error> {
    match serde_json::from_slice(data) {
        Ok(class) => Ok(class),
        Err(error) => match base64::engine::general_purpose::STANDARD.decode(data) {
            Ok(inner) => serde_json::from_slice(&inner),
            Err(_) => Err(error),
        },
    }
}

fn filled(mut proc: ProcInfo, places: &Places) -> ProcInfo {
    for text in [
        &mut proc.work_path,
        &mut proc.pid_file,
        &mut proc.start_cmd,
        &mut proc.check_cmd,
        &mut proc.stop_cmd,
        &mut proc.restart_cmd,
        &mut proc.reload_cmd,
        &mut proc.kill_cmd,
        &mut proc.log_path,
        &mut proc.cfg_path,
    ] {
        *text = places.fill(text);
    }
    for uri in &mut proc.uris {
        uri.output_dir = places.fill(&uri.output_dir);
        uri.value = places.fill(&uri.value);
    }
    proc
}

/// One configmap or secret item.
fn item(
    message: &BcsMessage,
    places: &Places,
    env: &mut BTreeMap<String, String>,
    files: &mut Vec<FileItem>,
) -> Result<(), PlanError> {
    match message.kind {
        MessageType::LocalFile | MessageType::Remote => {
            files.extend(FileItem::from_message(message, places)?);
        }
        MessageType::Secret => {
            if let Some(secret) = &message.secret
                && secret.kind == SecretKind::Env
            {
                env.insert(
                    places.fill(&secret.name),
                    decoded("secret", &secret.name, &secret.value)?,
                );
            }
            files.extend(FileItem::from_message(message, places)?);
        }
        MessageType::Env => {
            if let Some(item) = &message.env {
                let value = decoded("configmap", &item.name, &item.value)
                    .unwrap_or_else(|_| item.value.clone());
                env.insert(places.fill(&item.name), value);
            }
        }
        MessageType::EnvRemote => {
            if let Some(item) = &message.env_remote {
                files.push(FileItem {
                    to: PathBuf::new(),
                    variable: Some(places.fill(&item.name)),
                    owner: String::new(),
                    mode: 0o600,
                    content: Content::Remote(Source {
                        url: item.from.clone(),
                        user: item.remote_user.clone(),
                        password: item.remote_passwd.clone().into(),
                    }),
                });
            }
        }
        _ => {}
    }
    Ok(())
}

fn decoded(what: &'static str, name: &str, value: &str) -> Result<String, PlanError> {
    base64::engine::general_purpose::STANDARD
        .decode(value.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            field(
                what,
                name,
                "content of a variable must be base64 of UTF-8 text",
            )
        })
}

fn check(info: &TaskInfo) -> Result<Option<Check>, PlanError> {
    let Some(check) = &info.health_check else {
        return Ok(None);
    };
    let port = |port: u32| {
        let port = u16::try_from(port).ok().filter(|port| *port > 0);
        port.ok_or_else(|| field("healthCheck.port", "", "must be between 1 and 65535"))
    };
    let kind = check
        .r#type
        .and_then(|kind| HealthCheckType::try_from(kind).ok());
    let probe = match (kind, &check.http, &check.tcp, &check.command) {
        (Some(HealthCheckType::Http), Some(http), _, _) => {
            let scheme = http.scheme.clone().unwrap_or_else(|| "http".to_owned());
            if scheme != "http" && scheme != "https" {
                return Err(field("healthCheck.scheme", scheme, "must be http or https"));
            }
            let path = http.path.clone().unwrap_or_default();
            let path = if path.starts_with('/') {
                path
            } else {
                format!("/{path}")
            };
            Probe::Http {
                scheme,
                port: port(http.port)?,
                path,
            }
        }
        (Some(HealthCheckType::Tcp), _, Some(tcp), _) => Probe::Tcp {
            port: port(tcp.port)?,
        },
        (Some(HealthCheckType::Command), _, _, Some(command)) => {
            let value = command.value.as_deref().unwrap_or_default();
            let argv = match command.shell {
                Some(true) => ["/bin/sh".into(), "-c".into(), value.to_owned()].to_vec(),
                _ => {
                    let mut argv = words::split(value)?;
                    argv.extend(command.arguments.iter().cloned());
                    argv
                }
            };
            if argv.is_empty() {
                return Err(field("healthCheck.command", "", "must not be empty"));
            }
            Probe::Command(argv)
        }
        _ => return Ok(None),
    };
    let interval = millis(check.interval_seconds.unwrap_or(10.0)).max(100);
    Ok(Some(Check {
        probe,
        delay: millis(check.delay_seconds.unwrap_or(15.0)),
        grace: millis(check.grace_period_seconds.unwrap_or(10.0)),
        interval,
        // A probe must not outlast the time until the next one.
        timeout: millis(check.timeout_seconds.unwrap_or(20.0)).clamp(50, interval),
    }))
}

fn ports(info: &TaskInfo, amounts: &bcs_mesos::Resources) -> Vec<ReportPort> {
    let named = info
        .discovery
        .as_ref()
        .and_then(|discovery| discovery.ports.as_ref());
    if let Some(list) = named {
        return list
            .ports
            .iter()
            .map(|port| ReportPort {
                name: port.name.clone().unwrap_or_default(),
                container_port: port.number.to_string(),
                host_port: port.number.to_string(),
                protocol: port.protocol.clone().unwrap_or_default(),
                host_ip: String::new(),
            })
            .collect();
    }
    let port = |number: u64| ReportPort {
        container_port: number.to_string(),
        host_port: number.to_string(),
        ..ReportPort::default()
    };
    let ranges = amounts.ranges("ports").iter();
    ranges
        .flat_map(|(begin, end)| *begin..=*end)
        .take(256)
        .map(port)
        .collect()
}
