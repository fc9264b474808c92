//! One host of a Mesos cluster: its resources and attributes, the v1 executor API, checkpoints and recovery.
//!
//! It owns what runs here by order of the master: executors, their tasks, and the statuses that schedulers have not
//! acknowledged. All of it is in a journal before it is acted upon or confirmed, so the agent can be killed at any
//! instant. It supervises no task itself: executors do, forked here or run by a daemon of the host. Leaving never
//! ends an executor.

mod command_task;
mod core;
mod driver;
mod http_executor;
mod http_operator;
mod inventory;
mod journal;
mod launch;
mod link;
mod logs;
mod orphans;
mod records;
mod sandboxes;
mod settings;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::{get, post};
use bcs_httpd::{Client, ClientAuth, Limits, Listen, Listener};
use bcs_kit::{Context, RunError};
use bcs_mesos::types::AgentInfo;

pub use settings::{Resident, ResourceSettings, SandboxSettings, Settings};

use crate::core::{Core, Now, Rules};
use crate::driver::Handle;
use crate::http_executor::Proof;
use crate::journal::Journal;
use crate::launch::Surroundings;
use crate::records::Entry;

/// Where programs of executors are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// A subscription carries all unacknowledged tasks and updates.
const BODY_BYTES: usize = 64 << 20;

/// Shared by all routes.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) handle: Handle,
    pub(crate) context: Context,
    pub(crate) sandboxes: PathBuf,
    /// Roles are checked; without TLS (loopback only) they cannot be.
    pub(crate) secured: bool,
}

/// Runs the agent until shutdown.
///
/// # Errors
/// Settings that cannot work, a socket that cannot be had, state that cannot be read or written.
pub async fn run(settings: Settings, context: Context) -> Result<(), RunError> {
    settings.check()?;
    let data_dir = prepare(&settings)?;
    let _lock = bcs_kit::lock::DirectoryLock::acquire(&data_dir)
        .map_err(|error| RunError::state(&data_dir, error))?;
    let sandboxes = data_dir.join("sandboxes");
    let listener = Listener::bind(&settings.listen).await?;
    let executors_tcp = match &settings.executor_listen {
        Some(listen) => Some(Listener::bind(listen).await?),
        None => None,
    };
    let tls = match &settings.tls {
        Some(files) => Some(
            files
                .server(ClientAuth::Required)
                .map_err(|error| RunError::failed("TLS", error))?,
        ),
        None => None,
    };
    let master = Client::new(&settings.master, settings.tls.as_ref())
        .map_err(|error| RunError::failed("client of the master", error))?;
    let residents = launch::clients(&settings.resident_executors)
        .map_err(|error| RunError::failed("client of a resident executor", error))?;

    let info = agent_info(&settings, &listener, &data_dir).await?;
    let started = Instant::now();
    let (core, journal, recovered) =
        recover(&settings, info.clone(), &data_dir, sandboxes.clone())?;
    let orphans = core.processes();
    let (workers, inboxes) = driver::workers();
    let handle = driver::start(
        core,
        journal,
        recovered,
        started,
        workers,
        settings.executor_heartbeat,
        &context,
    );
    orphans::watch(orphans, &handle, &context);

    let socket = data_dir.join("run").join("agent.sock");
    let surroundings = Surroundings {
        endpoint: endpoint(&info, &listener, executors_tcp.as_ref()),
        domain_socket: socket.clone(),
        recovery_timeout: settings.recovery_timeout,
        shutdown_grace: settings.executor_shutdown_grace_period,
        residents,
        switch_user: settings.switch_user,
        path: PATH.to_owned(),
    };
    let tasks = &context.tasks;
    tasks.spawn(
        "executor starts",
        launch::run(
            inboxes.starts,
            surroundings,
            handle.clone(),
            context.clone(),
        ),
    );
    let sweeping = sandboxes::run(
        sandboxes.clone(),
        settings.sandboxes.clone(),
        inboxes.retired,
        context.clone(),
    );
    tasks.spawn("sandboxes", sweeping);

    let app = App {
        handle: handle.clone(),
        context: context.clone(),
        sandboxes,
        secured: tls.is_some(),
    };
    let limits = Limits {
        body_bytes: BODY_BYTES,
        ..Limits::default()
    };
    let local = Listener::bind(&Listen::Unix(socket)).await?;
    let router = executor_router(app.clone(), Proof::Local);
    tasks.spawn(
        "executors socket",
        bcs_httpd::serve(
            local,
            router,
            None,
            limits.clone(),
            context.shutdown.clone(),
        ),
    );
    if let Some(listener) = executors_tcp {
        let proof = if settings.authenticate_executors {
            Proof::Token
        } else {
            Proof::None
        };
        let router = executor_router(app.clone(), proof);
        let serving = bcs_httpd::serve(
            listener,
            router,
            None,
            limits.clone(),
            context.shutdown.clone(),
        );
        tasks.spawn("executors listener", serving);
    }
    tasks.spawn(
        "master link",
        link::run(master, handle, settings.heartbeat, context.clone()),
    );
    let router = Router::new()
        .route("/v1/logs", get(logs::logs))
        .route("/api/v1", post(http_operator::operator))
        .with_state(app)
        .merge(bcs_httpd::ops_router(&context));
    context.ready.set();
    bcs_httpd::serve(listener, router, tls, limits, context.shutdown.clone()).await;
    Ok(())
}

fn executor_router(app: App, proof: Proof) -> Router {
    Router::new()
        .route("/api/v1/executor", post(http_executor::executor))
        .route("/slave(1)/api/v1/executor", post(http_executor::executor))
        .with_state((app, proof))
}

fn prepare(settings: &Settings) -> Result<PathBuf, RunError> {
    let failed = |error| RunError::state(&settings.data_dir, error);
    bcs_kit::files::private_folder(&settings.data_dir).map_err(failed)?;
    let data_dir = settings.data_dir.canonicalize().map_err(failed)?;
    for folder in ["meta", "run"] {
        bcs_kit::files::private_folder(&data_dir.join(folder)).map_err(failed)?;
    }
    // Executors of other users must be able to reach their own sandbox, but not to list those of others.
    let sandboxes = data_dir.join("sandboxes");
    std::fs::create_dir_all(&sandboxes).map_err(failed)?;
    for folder in [&data_dir, &sandboxes] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(folder, mode).map_err(failed)?;
    }
    Ok(data_dir)
}

async fn agent_info(
    settings: &Settings,
    listener: &Listener,
    data_dir: &std::path::Path,
) -> Result<AgentInfo, RunError> {
    let bound = listener.local_address();
    let hostname = inventory::hostname(settings);
    let ip = inventory::address(settings, bound.map(|address| address.ip()));
    let resources = inventory::resources(&settings.resources, data_dir)?;
    Ok(AgentInfo {
        hostname: hostname.clone(),
        port: bound.map(|address| i32::from(address.port())),
        resources: resources.to_wire(None),
        attributes: inventory::attributes(settings, &ip, &hostname).await,
        ..AgentInfo::default()
    })
}

/// `ip:port` of the executor API on TCP; of the agent itself where there is none.
fn endpoint(info: &AgentInfo, listener: &Listener, executors: Option<&Listener>) -> String {
    executors
        .or(Some(listener))
        .and_then(Listener::local_address)
        .map_or_else(
            || format!("{}:{}", info.hostname, info.port()),
            |address| address.to_string(),
        )
}

fn recover(
    settings: &Settings,
    info: AgentInfo,
    data_dir: &std::path::Path,
    sandboxes: PathBuf,
) -> Result<(Core, Journal, core::Outcome), RunError> {
    let rules = Rules {
        registration_timeout: milliseconds(settings.executor_registration_timeout),
        reregistration_timeout: milliseconds(settings.executor_reregistration_timeout),
        recovery_timeout: milliseconds(settings.recovery_timeout),
        resident_timeout: milliseconds(settings.resident_executor_timeout),
        shutdown_grace: milliseconds(settings.executor_shutdown_grace_period),
        resend_first: milliseconds(settings.status_resend),
        resend_last: milliseconds(settings.status_resend_max),
        sandboxes,
        residents: settings
            .resident_executors
            .iter()
            .map(|resident| resident.command.clone())
            .collect(),
        heartbeat: milliseconds(settings.heartbeat),
        software: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let path = data_dir.join("meta").join("journal");
    let (mut journal, entries) =
        Journal::open(&path).map_err(|error| RunError::state(&path, error))?;
    let mut core = Core::new(rules, info, uuid::Uuid::new_v4().as_u128());
    for entry in entries {
        core.replay(entry);
    }
    let now = Now {
        monotonic: 0,
        wall: bcs_kit::clock::unix_nanos(),
    };
    let outcome = core.recover(&bcs_kit::clock::boot_id(), launch::is_alive, now);
    // One short journal instead of a long one, and what recovery found is in it.
    let snapshot: Vec<Entry> = core.snapshot();
    journal
        .rewrite(&snapshot)
        .map_err(|error| RunError::state(&path, error))?;
    Ok((
        core,
        journal,
        core::Outcome {
            journal: Vec::new(),
            ..outcome
        },
    ))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
