//! What all executors of this daemon share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bcs_cgroup::Layout;
use bcs_httpd::{Client, Endpoint};
use bcs_kit::{Shutdown, Tasks};
use tokio::sync::Semaphore;

use crate::keeper::Keeper;
use crate::logs::Logs;
use crate::packages::Packages;
use crate::records::Records;
use crate::settings::Settings;

/// Preparations at once: they are file work, more at once only fight for the disk.
const PREPARATIONS: usize = 4;

/// Shared parts.
pub struct Host {
    /// Settings.
    pub settings: Settings,
    /// The line to the keeper.
    pub keeper: Keeper,
    /// Records on disk.
    pub records: Records,
    /// Where control groups are.
    pub layout: Layout,
    /// Downloads and cache.
    pub packages: Packages,
    /// Rotation.
    pub logs: Logs,
    /// Where futures run.
    pub tasks: Tasks,
    /// When to leave.
    pub shutdown: Shutdown,
    /// File work.
    pub preparations: Arc<Semaphore>,
    /// For health checks.
    pub prober: reqwest::Client,
    /// Numbers for people who watch.
    pub metrics: crate::metrics::Metrics,
    clients: Mutex<HashMap<Endpoint, Client>>,
}

/// The parts that a host is made of.
pub struct Parts {
    /// See [`Host`].
    pub settings: Settings,
    /// See [`Host`].
    pub keeper: Keeper,
    /// See [`Host`].
    pub records: Records,
    /// See [`Host`].
    pub packages: Packages,
    /// See [`Host`].
    pub logs: Logs,
    /// See [`Host`].
    pub tasks: Tasks,
    /// See [`Host`].
    pub shutdown: Shutdown,
    /// See [`Host`].
    pub metrics: crate::metrics::Metrics,
}

impl Host {
    /// Puts the parts together and looks for control groups.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(parts: Parts) -> Result<Self, reqwest::Error> {
        let layout = match parts.settings.cgroups {
            true => Layout::detect(&parts.settings.cgroup_parent),
            false => Layout::disabled("switched off in the settings (cgroups = false)"),
        };
        tracing::info!(cgroups = layout.describe(), "control groups");
        let prober = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            // A health check asks whether the program answers, not who it is.
            .tls_danger_accept_invalid_certs(true)
            .connect_timeout(Duration::from_secs(20))
            .build()?;
        let Parts {
            settings,
            keeper,
            records,
            packages,
            logs,
            tasks,
            shutdown,
            metrics,
        } = parts;
        Ok(Self {
            settings,
            keeper,
            records,
            layout,
            packages,
            logs,
            tasks,
            shutdown,
            preparations: Arc::new(Semaphore::new(PREPARATIONS)),
            prober,
            metrics,
            clients: Mutex::default(),
        })
    }

    /// A client for an agent; all executors of one agent share its connection.
    ///
    /// # Errors
    /// When the certificates are unusable.
    pub fn client(&self, endpoint: &Endpoint) -> Result<Client, bcs_httpd::client::ClientError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(endpoint) {
            return Ok(client.clone());
        }
        let client = Client::new(endpoint, self.settings.tls.as_ref())?;
        clients.insert(endpoint.clone(), client.clone());
        Ok(client)
    }
}

/// Milliseconds of the boot clock: no clock step moves it, and a restarted daemon shares it.
pub fn boot_millis() -> u64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
    time.map_or(0, |time| {
        let millis = std::time::Duration::from(time).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX)
    })
}

/// When a process started, in unix nanoseconds, from its start time in ticks since boot. The kernel
/// shows a hundred ticks a second to programs, whatever it uses itself.
pub fn started_at(ticks: u64) -> i64 {
    let age = boot_millis().saturating_sub(ticks.saturating_mul(10));
    bcs_kit::clock::unix_nanos()
        - i64::try_from(age)
            .unwrap_or_default()
            .saturating_mul(1_000_000)
}
