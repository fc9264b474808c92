//! What the scheduler can be told.

use std::path::PathBuf;
use std::time::Duration;

use bcs_httpd::{Endpoint, Listen, TlsFiles};
use serde::Deserialize;

/// Encoding of the calls and events between scheduler and master.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// JSON.
    #[default]
    Json,
    /// Protobuf.
    Protobuf,
}

/// Who the scheduler is to the master. `user` and `checkpoint` cannot be changed later.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Framework {
    /// Account that executors run as unless told otherwise.
    pub user: String,
    /// Name in the master's lists.
    pub name: String,
    /// Roles whose resources it takes.
    pub roles: Vec<String>,
    /// Principal, where the master authenticates.
    pub principal: Option<String>,
    /// How long tasks outlive a scheduler that is away.
    #[serde(with = "bcs_kit::config::duration")]
    pub failover_timeout: Duration,
}

impl Default for Framework {
    fn default() -> Self {
        Self {
            user: "root".to_owned(),
            name: "bcs".to_owned(),
            roles: vec!["*".to_owned()],
            principal: None,
            failover_timeout: Duration::from_secs(604_800),
        }
    }
}

/// What starts one kind of taskgroup, and what that start costs on the host.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Executor {
    /// Command line; its first word decides whether an agent hands it to a resident executor.
    pub command: String,
    /// Package that the agent fetches first, for Apache Mesos.
    pub uri: Option<String>,
    /// Cores of the executor itself; Mesos refuses less than 0.01.
    pub cpus: f64,
    /// Its memory in MB; Mesos refuses less than 32.
    pub mem: f64,
    /// Its disk in MB.
    pub disk: f64,
}

impl Default for Executor {
    fn default() -> Self {
        Self {
            command: String::new(),
            uri: None,
            cpus: 0.01,
            mem: 32.0,
            disk: 32.0,
        }
    }
}

impl Executor {
    fn named(command: &str) -> Self {
        Self {
            command: command.to_owned(),
            ..Self::default()
        }
    }
}

/// Settings of the role.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Cluster id; part of every taskgroup id.
    pub cluster: String,
    /// Where the API listens.
    pub listen: Listen,
    /// Certificate of this daemon, for serving and calling.
    pub tls: Option<TlsFiles>,
    /// Holds `scheduler.db` and the key that secrets are sealed with.
    pub data_dir: PathBuf,
    /// Masters; the one that does not lead redirects.
    pub masters: Vec<Endpoint>,
    /// Identity toward the master.
    pub framework: Framework,
    /// Encoding toward the master.
    pub encoding: Encoding,
    /// Executor of processes.
    pub process_executor: Executor,
    /// Executor of containers.
    pub container_executor: Executor,
    /// Versions kept per application beside those in use.
    pub version_history: usize,
    /// Time between implicit reconciliations.
    #[serde(with = "bcs_kit::config::duration")]
    pub reconcile_interval: Duration,
    /// How long a Lost taskgroup may come back before its restart policy acts.
    #[serde(with = "bcs_kit::config::duration")]
    pub lost_grace: Duration,
    /// Unused offers go back after this long; zero keeps them, which makes launches immediate but
    /// starves other frameworks of a shared Apache Mesos.
    #[serde(with = "bcs_kit::config::duration")]
    pub offer_life: Duration,
    /// Filter on the rest of an accepted offer.
    #[serde(with = "bcs_kit::config::duration")]
    pub refuse: Duration,
    /// First delay before a lost master connection is tried again; grows to 15 s.
    #[serde(with = "bcs_kit::config::duration")]
    pub reconnect: Duration,
    /// An operation that takes longer turns its application Abnormal; the work goes on.
    #[serde(with = "bcs_kit::config::duration")]
    pub launch_deadline: Duration,
    /// The same for scale, update and delete.
    #[serde(with = "bcs_kit::config::duration")]
    pub operation_deadline: Duration,
    /// Records that the watch feed keeps for readers that come back.
    pub watch_history: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster: "BCS-MESOS-10000".to_owned(),
            listen: Listen::Tcp("127.0.0.1:31004".to_owned()),
            tls: None,
            data_dir: PathBuf::from("/var/lib/bcs/scheduler"),
            masters: vec![Endpoint::Url("https://127.0.0.1:5050".to_owned())],
            framework: Framework::default(),
            encoding: Encoding::Json,
            process_executor: Executor::named("bcs-process-executor"),
            container_executor: Executor::named("bcs-container-executor"),
            version_history: 10,
            reconcile_interval: Duration::from_secs(900),
            lost_grace: Duration::from_secs(10),
            offer_life: Duration::ZERO,
            refuse: Duration::ZERO,
            reconnect: Duration::from_millis(50),
            launch_deadline: Duration::from_secs(1800),
            operation_deadline: Duration::from_secs(480),
            watch_history: 16_384,
        }
    }
}
