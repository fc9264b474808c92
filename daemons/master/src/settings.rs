//! The settings of the master.

use std::path::PathBuf;
use std::time::Duration;

use bcs_httpd::{Listen, TlsFiles};
use bcs_kit::RunError;
use bcs_kit::config::duration;
use serde::Deserialize;

/// How the master is configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The cluster's id.
    #[serde(default = "cluster")]
    pub cluster: String,
    /// Where it listens: schedulers, operators and agents.
    pub listen: Listen,
    /// Its certificate. Without one it listens on loopback only, and believes everybody.
    #[serde(default)]
    pub tls: Option<TlsFiles>,
    /// Where its registry is.
    pub data_dir: PathBuf,
    /// The name under which frameworks find it; by default its address.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Plain HTTP for frameworks that are not part of bcs; needs `credentials`.
    #[serde(default)]
    pub mesos_listen: Option<Listen>,
    /// Who may use `mesos_listen`: a JSON file of principals and secrets, as Apache Mesos has it.
    #[serde(default)]
    pub credentials: Option<PathBuf>,
    /// How long an agent may be silent before its tasks count as unreachable.
    #[serde(default = "agent_timeout", with = "duration")]
    pub agent_timeout: Duration,
    /// Between heartbeats on every stream.
    #[serde(default = "heartbeat", with = "duration")]
    pub heartbeat: Duration,
    /// Offers and history.
    #[serde(default)]
    pub allocation: AllocationSettings,
}

/// Offers and history.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AllocationSettings {
    /// How long a framework may hold an offer while another one waits without any.
    #[serde(with = "duration")]
    pub offer_timeout: Duration,
    /// How many ended tasks of each framework are remembered.
    pub completed_tasks: usize,
    /// The least cores that the executor of a task group must have; Apache Mesos has 0.01. Resident executors cost
    /// nothing for each group, so that a small host may want less.
    pub executor_cpus: f64,
    /// The same in megabytes of memory; Apache Mesos has 32.
    pub executor_mem: f64,
}

impl Default for AllocationSettings {
    fn default() -> Self {
        Self {
            offer_timeout: Duration::from_secs(5),
            completed_tasks: 100,
            executor_cpus: 0.01,
            executor_mem: 32.0,
        }
    }
}

fn cluster() -> String {
    "BCS-MESOS-10000".to_owned()
}

fn agent_timeout() -> Duration {
    Duration::from_secs(75)
}

fn heartbeat() -> Duration {
    Duration::from_secs(15)
}

impl Settings {
    /// The settings with all defaults.
    pub fn new(listen: Listen, data_dir: PathBuf) -> Self {
        Self {
            cluster: cluster(),
            listen,
            tls: None,
            data_dir,
            hostname: None,
            mesos_listen: None,
            credentials: None,
            agent_timeout: agent_timeout(),
            heartbeat: heartbeat(),
            allocation: AllocationSettings::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), RunError> {
        let refuse = |field, value: String, reason: &str| {
            Err(RunError::Settings {
                field,
                value,
                reason: reason.to_owned(),
            })
        };
        if self.tls.is_none() && !crate::is_loopback(&self.listen) {
            let reason = "without tls the master listens on a loopback address only; set tls";
            return refuse("listen", self.listen.to_string(), reason);
        }
        if let (Some(listen), None) = (&self.mesos_listen, &self.credentials) {
            let reason = "it needs credentials: the path of a file with principals and secrets";
            return refuse("mesos_listen", listen.to_string(), reason);
        }
        if self.heartbeat < Duration::from_millis(10) || self.heartbeat > Duration::from_secs(3600)
        {
            let reason = "it must be between 10ms and 1h";
            return refuse("heartbeat", format!("{:?}", self.heartbeat), reason);
        }
        for (field, value) in [
            ("allocation.executor_cpus", self.allocation.executor_cpus),
            ("allocation.executor_mem", self.allocation.executor_mem),
        ] {
            if !(0.0..=1e6).contains(&value) {
                return refuse(field, value.to_string(), "it must be between 0 and 1000000");
            }
        }
        if self.agent_timeout < Duration::from_millis(100) {
            let reason = "it must be at least 100ms";
            return refuse("agent_timeout", format!("{:?}", self.agent_timeout), reason);
        }
        Ok(())
    }
}
