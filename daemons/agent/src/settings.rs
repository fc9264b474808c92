//! The settings of the agent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bcs_httpd::{Endpoint, Listen, TlsFiles};
use bcs_kit::RunError;
use bcs_kit::config::duration;
use serde::Deserialize;

/// How the agent is configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The cluster's id; only shown.
    #[serde(default = "cluster")]
    pub cluster: String,
    /// Where it listens for logs and operators.
    pub listen: Listen,
    /// Its certificate, for listening and for calling the master.
    #[serde(default)]
    pub tls: Option<TlsFiles>,
    /// The master.
    pub master: Endpoint,
    /// Checkpoints, sandboxes, the executors' socket.
    pub data_dir: PathBuf,
    /// The host's name; by default what the kernel says.
    #[serde(default)]
    pub hostname: Option<String>,
    /// The host's address as others reach it (attribute `InnerIP`); by default that of `listen`, else the one that
    /// leads to the master.
    #[serde(default)]
    pub ip: Option<String>,
    /// Plain HTTP for executors that cannot use the unix socket; loopback only, every call with its token.
    #[serde(default)]
    pub executor_listen: Option<Listen>,
    /// Whether calls on `executor_listen` need the token; off only for executors that do not know tokens, on hosts
    /// where every local user may be trusted.
    #[serde(default = "yes")]
    pub authenticate_executors: bool,
    /// What is offered; by default what the host has, less a reserve for the system.
    #[serde(default)]
    pub resources: ResourceSettings,
    /// Attributes of the host, as text.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// A directory of programs, each of which prints attributes as `name=value` lines.
    #[serde(default)]
    pub attributes_dir: Option<PathBuf>,
    /// For each of these programs.
    #[serde(default = "seconds5", with = "duration")]
    pub attribute_timeout: Duration,
    /// Executors that a daemon of the host runs.
    #[serde(default)]
    pub resident_executors: Vec<Resident>,
    /// Forked executors run as the user that the framework wants (only as root).
    #[serde(default = "yes")]
    pub switch_user: bool,
    /// How long a started executor may take to subscribe.
    #[serde(default = "minute", with = "duration")]
    pub executor_registration_timeout: Duration,
    /// How long a forked executor may take to come back after the agent was restarted.
    #[serde(default = "seconds15", with = "duration")]
    pub executor_reregistration_timeout: Duration,
    /// How long a forked executor may be without a stream otherwise.
    #[serde(default = "minutes15", with = "duration")]
    pub recovery_timeout: Duration,
    /// How long a resident executor may be away before its tasks count as gone.
    #[serde(default = "minutes10", with = "duration")]
    pub resident_executor_timeout: Duration,
    /// Between SHUTDOWN and kill, where the executor says nothing else.
    #[serde(default = "seconds5", with = "duration")]
    pub executor_shutdown_grace_period: Duration,
    /// The first pause before an unacknowledged status is sent again; it doubles.
    #[serde(default = "seconds10", with = "duration")]
    pub status_resend: Duration,
    /// The longest such pause.
    #[serde(default = "minutes10", with = "duration")]
    pub status_resend_max: Duration,
    /// Signs of life to the master.
    #[serde(default = "seconds10", with = "duration")]
    pub heartbeat: Duration,
    /// Signs of life to executors.
    #[serde(default = "minutes30", with = "duration")]
    pub executor_heartbeat: Duration,
    /// Sandboxes of ended executors.
    #[serde(default)]
    pub sandboxes: SandboxSettings,
}

/// What the agent offers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResourceSettings {
    /// Cores; by default all.
    pub cpus: Option<f64>,
    /// Megabytes; by default all but 1024, or half where there is less than 2048.
    pub mem: Option<f64>,
    /// Megabytes in `data_dir`'s file system; by default all but 5120, or half where there is less than 10240.
    pub disk: Option<f64>,
    /// Such as `[31000-32000]` or `[31000-31999, 33000-33999]`, which is also the form of the default.
    pub ports: Option<String>,
    /// Whole GPUs.
    pub gpus: Option<f64>,
    /// Anything else that is counted.
    pub extended: BTreeMap<String, f64>,
}

/// An executor that is not forked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resident {
    /// The base name of the executor's command.
    pub command: String,
    /// Where its daemon is.
    pub endpoint: Endpoint,
}

/// How long sandboxes of ended executors are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxSettings {
    /// After the end of the executor.
    #[serde(with = "duration")]
    pub keep: Duration,
    /// All of them together; the oldest go first.
    pub keep_bytes: u64,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(24 * 3600),
            keep_bytes: 4 << 30,
        }
    }
}

fn cluster() -> String {
    "BCS-MESOS-10000".to_owned()
}

fn yes() -> bool {
    true
}

fn seconds5() -> Duration {
    Duration::from_secs(5)
}

fn seconds10() -> Duration {
    Duration::from_secs(10)
}

fn seconds15() -> Duration {
    Duration::from_secs(15)
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

fn minutes10() -> Duration {
    Duration::from_secs(600)
}

fn minutes15() -> Duration {
    Duration::from_secs(900)
}

fn minutes30() -> Duration {
    Duration::from_secs(1800)
}

impl Settings {
    /// The settings with all defaults.
    pub fn new(listen: Listen, master: Endpoint, data_dir: PathBuf) -> Self {
        Self {
            cluster: cluster(),
            listen,
            tls: None,
            master,
            data_dir,
            hostname: None,
            ip: None,
            executor_listen: None,
            authenticate_executors: true,
            resources: ResourceSettings::default(),
            attributes: BTreeMap::new(),
            attributes_dir: None,
            attribute_timeout: seconds5(),
            resident_executors: Vec::new(),
            switch_user: true,
            executor_registration_timeout: minute(),
            executor_reregistration_timeout: seconds15(),
            recovery_timeout: minutes15(),
            resident_executor_timeout: minutes10(),
            executor_shutdown_grace_period: seconds5(),
            status_resend: seconds10(),
            status_resend_max: minutes10(),
            heartbeat: seconds10(),
            executor_heartbeat: minutes30(),
            sandboxes: SandboxSettings::default(),
        }
    }

    /// The unix socket of the executor API.
    pub fn executor_socket(&self) -> PathBuf {
        self.data_dir.join("run").join("agent.sock")
    }

    pub(crate) fn check(&self) -> Result<(), RunError> {
        let refuse = |field, value: String, reason: &str| {
            Err(RunError::Settings {
                field,
                value,
                reason: reason.to_owned(),
            })
        };
        if self.tls.is_none() && !is_loopback(&self.listen) {
            let reason = "without tls the agent listens on a loopback address only; set tls";
            return refuse("listen", self.listen.to_string(), reason);
        }
        if let Some(listen) = self
            .executor_listen
            .as_ref()
            .filter(|listen| !is_loopback(listen))
        {
            let reason = "executors run on this host: it must be a loopback address";
            return refuse("executor_listen", listen.to_string(), reason);
        }
        for (name, amount) in [
            ("resources.cpus", self.resources.cpus),
            ("resources.mem", self.resources.mem),
            ("resources.disk", self.resources.disk),
            ("resources.gpus", self.resources.gpus),
        ] {
            if amount.is_some_and(|amount| bcs_mesos::resources::to_thousandths(amount).is_none()) {
                return refuse(
                    name,
                    format!("{amount:?}"),
                    "it must be a number that is not negative",
                );
            }
        }
        if self.status_resend.is_zero() || self.heartbeat < Duration::from_millis(10) {
            let reason = "status_resend and heartbeat must be above 10ms";
            return refuse("heartbeat", format!("{:?}", self.heartbeat), reason);
        }
        Ok(())
    }
}

fn is_loopback(listen: &Listen) -> bool {
    match listen {
        Listen::Unix(_) => true,
        Listen::Bound(socket) => socket
            .local_addr()
            .is_ok_and(|address| address.ip().is_loopback()),
        Listen::Tcp(address) => {
            let host = address
                .rsplit_once(':')
                .map_or(address.as_str(), |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost"
                || host
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback())
        }
    }
}
