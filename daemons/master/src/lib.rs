//! The master of a Mesos cluster: agents, offers, the Mesos v1 scheduler API and the operator API.
//!
//! It owns which agents and frameworks there are, and hands resources of agents to frameworks as offers. Tasks and
//! executors belong to the agents, which bring them along when they register, so a master that was killed knows
//! everything again when they have. It starts and stops no process.
//!
//! Frameworks of others can be let in on a plain listener of their own (`mesos_listen`), by principal and secret.

mod core;
mod credentials;
mod driver;
mod http_agents;
mod http_operator;
mod http_scheduler;
mod settings;
mod streams;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use bcs_httpd::{ClientAuth, Limits, Listen, Listener};
use bcs_kit::{Context, RunError, Shutdown};
use bcs_mesos::types::{Address, MasterInfo};

pub use settings::{AllocationSettings, Settings};

use crate::core::{Core, Now, PROTOCOL_VERSION, Rules};
use crate::credentials::Credentials;
use crate::driver::App;

/// A registration carries all tasks of a host.
const BODY_BYTES: usize = 64 << 20;

/// Who is let in, by listener.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    /// Mutual TLS: roles decide.
    Certificates,
    /// No TLS configured, loopback only: for tests and first steps.
    Open,
    /// The plain listener for frameworks of others.
    Credentials(Arc<Credentials>),
}

/// What does not change while the master runs.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) info: MasterInfo,
    pub(crate) cluster: String,
}

impl Facts {
    fn address(&self) -> String {
        let host = self.info.hostname.as_deref().unwrap_or("localhost");
        format!("{host}:{}", self.info.port)
    }
}

/// Runs the master until shutdown.
///
/// # Errors
/// Settings that cannot work, a socket that cannot be had, state that cannot be read or written.
pub async fn run(settings: Settings, context: Context) -> Result<(), RunError> {
    settings.check()?;
    bcs_kit::files::private_folder(&settings.data_dir)
        .map_err(|error| RunError::state(&settings.data_dir, error))?;
    let _lock = bcs_kit::lock::DirectoryLock::acquire(&settings.data_dir)
        .map_err(|error| RunError::state(&settings.data_dir, error))?;
    let registry_file = settings.data_dir.join("registry.json");
    let registry = driver::load_registry(&registry_file)?;
    let listener = Listener::bind(&settings.listen).await?;
    let tls = match &settings.tls {
        Some(files) => Some(
            files
                .server(ClientAuth::Required)
                .map_err(|error| RunError::failed("TLS", error))?,
        ),
        None => None,
    };
    let info = master_info(&settings, &listener);
    let rules = Rules {
        agent_timeout: milliseconds(settings.agent_timeout),
        heartbeat: milliseconds(settings.heartbeat),
        offer_timeout: milliseconds(settings.allocation.offer_timeout),
        completed_tasks: settings.allocation.completed_tasks,
        executor_minimum: (
            thousandths(settings.allocation.executor_cpus),
            thousandths(settings.allocation.executor_mem),
        ),
    };
    let now = Now {
        monotonic: 0,
        wall: bcs_kit::clock::unix_nanos(),
    };
    let core = Core::new(rules, info.clone(), registry, now);
    let handle = driver::start(core, registry_file, settings.heartbeat, &context);
    let facts = Arc::new(Facts {
        info,
        cluster: settings.cluster.clone(),
    });
    let app = App {
        handle,
        context: context.clone(),
        facts,
    };
    let limits = Limits {
        body_bytes: BODY_BYTES,
        ..Limits::default()
    };
    if let Some(listen) = &settings.mesos_listen {
        let credentials = settings
            .credentials
            .as_deref()
            .map(Credentials::load)
            .transpose()?
            .unwrap_or_default();
        let plain = Listener::bind(listen).await?;
        if let Some(address) = plain.local_address() {
            tracing::info!(%address, "listening for frameworks of others");
        }
        let router = frameworks_router(app.clone(), Door::Credentials(Arc::new(credentials)));
        let (limits, shutdown) = (limits.clone(), context.shutdown.clone());
        context.tasks.spawn(
            "frameworks listener",
            bcs_httpd::serve(plain, router, None, limits, shutdown),
        );
    }
    let door = if tls.is_some() {
        Door::Certificates
    } else {
        Door::Open
    };
    let router = frameworks_router(app.clone(), door.clone())
        .merge(agents_router(app, door))
        .merge(bcs_httpd::ops_router(&context));
    context.ready.set();
    let shutdown: Shutdown = context.shutdown.clone();
    bcs_httpd::serve(listener, router, tls, limits, shutdown).await;
    Ok(())
}

fn frameworks_router(app: App, door: Door) -> Router {
    Router::new()
        .route("/api/v1/scheduler", post(http_scheduler::scheduler))
        .route("/master/api/v1/scheduler", post(http_scheduler::scheduler))
        .route("/api/v1", post(http_operator::operator))
        .route("/version", get(http_operator::version))
        .route("/state", get(http_operator::state))
        .route("/master/state", get(http_operator::state))
        .route("/redirect", get(http_operator::redirect))
        .route("/master/redirect", get(http_operator::redirect))
        .with_state((app, door))
}

fn agents_router(app: App, door: Door) -> Router {
    Router::new()
        .route(bcs_mesos::link::STREAM_PATH, post(http_agents::stream))
        .route(bcs_mesos::link::MESSAGES_PATH, post(http_agents::messages))
        .with_state((app, door))
}

fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn master_info(settings: &Settings, listener: &Listener) -> MasterInfo {
    let address = listener.local_address();
    let port = address.map_or(0, |address| u32::from(address.port()));
    let ip = address
        .map(|address| address.ip())
        .filter(|ip| !ip.is_unspecified());
    let hostname = settings
        .hostname
        .clone()
        .or_else(|| ip.map(|ip| ip.to_string()))
        .unwrap_or_else(|| "localhost".to_owned());
    let little_endian = match ip {
        Some(std::net::IpAddr::V4(ip)) => u32::from_le_bytes(ip.octets()),
        _ => 0,
    };
    let ip = ip.map(|ip| ip.to_string());
    MasterInfo {
        id: uuid::Uuid::new_v4().to_string(),
        ip: little_endian,
        port,
        pid: Some(format!(
            "master@{}:{port}",
            ip.as_deref().unwrap_or(&hostname)
        )),
        hostname: Some(hostname.clone()),
        version: Some(PROTOCOL_VERSION.to_owned()),
        address: Some(Address {
            hostname: Some(hostname),
            ip,
            port: i32::try_from(port).unwrap_or(0),
        }),
        ..MasterInfo::default()
    }
}

/// A listener on which nobody proves who they are must not be reachable from elsewhere.
pub(crate) fn is_loopback(listen: &Listen) -> bool {
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

/// Mesos counts scalars in thousandths; the settings are checked to be small and not negative.
#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be at most a million"
)]
fn thousandths(value: f64) -> i64 {
    (value * 1000.0).round() as i64
}
