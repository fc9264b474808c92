//! The gateway role: the one address. TLS ends here, people are authenticated and authorised here,
//! and requests go on to the driver of a cluster, to storage, or to the user-manager inside.
//!
//! Owns the routes under `/bcsapi`, the audit of changes and the database of users. It keeps no
//! state of clusters, collects no bodies, trusts no header about identity, and refuses any path
//! that two parsers could read differently. Upstreams may be absent at any time.

mod authenticate;
mod health;
mod path;
mod proxy;
mod route;
mod service;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bcs_httpd::{
    Client, ClientAuth, Endpoint, Limits, Listen, Listener, TlsFiles, always_ok, serve,
};
use bcs_kit::{Context, RunError};
use bcs_store_sqlite::{CoordinationOptions, SqliteCoordination};
use bcs_user_manager::{UserKind, Users, ensure_admin};
use prometheus_client::metrics::counter::Counter;
use serde::Deserialize;

pub use authenticate::PERSON_ROLE;
pub use proxy::{REQUEST_ID_HEADER, USER_HEADER};
pub use route::CLUSTER_HEADER;
pub use service::SHOW_SECRETS_HEADER;

use proxy::Bounds;
use route::Upstreams;
use service::Gateway;

/// What the gateway is told at start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where people connect.
    #[serde(default = "default_listen")]
    pub listen: Listen,
    /// Certificate and authority; also the identity (role `gateway`) toward upstreams.
    #[serde(default)]
    pub tls: Option<TlsFiles>,
    /// Holds `users.db`.
    pub data_dir: PathBuf,
    /// Storage.
    #[serde(default)]
    pub storage: Option<Endpoint>,
    /// Cluster id -> its driver.
    #[serde(default)]
    pub drivers: BTreeMap<String, Endpoint>,
    /// Largest request body.
    #[serde(default = "default_body")]
    pub body_bytes: u64,
    /// Seconds that an upstream has until the head of its answer.
    #[serde(default = "default_answer")]
    pub answer_seconds: u64,
    /// Answer 200 to everything with an envelope, as the original did.
    #[serde(default)]
    pub always_200: bool,
    /// Makes the first administrator when there is none.
    #[serde(default)]
    pub first_admin: Option<FirstAdmin>,
    /// A directory of users that is open already (standalone).
    #[serde(skip)]
    pub users: Option<Arc<Users>>,
}

/// How the first administrator comes into being.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstAdmin {
    /// The user's name.
    pub name: String,
    /// Where the token goes, with mode 0600. While the file exists nothing is made.
    pub token_file: PathBuf,
}

fn default_listen() -> Listen {
    Listen::Tcp("127.0.0.1:8443".to_owned())
}
fn default_body() -> u64 {
    8 << 20
}
fn default_answer() -> u64 {
    60
}

impl Settings {
    /// The defaults with a data directory.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            listen: default_listen(),
            tls: None,
            data_dir,
            storage: None,
            drivers: BTreeMap::new(),
            body_bytes: default_body(),
            answer_seconds: default_answer(),
            always_200: false,
            first_admin: None,
            users: None,
        }
    }

    fn check(&self) -> Result<(), RunError> {
        for (field, value) in [
            ("body_bytes", self.body_bytes),
            ("answer_seconds", self.answer_seconds),
        ] {
            if value == 0 {
                let reason = "must be at least 1".to_owned();
                return Err(RunError::Settings {
                    field,
                    value: "0".to_owned(),
                    reason,
                });
            }
        }
        Ok(())
    }
}

/// Opens the directory of users in `data_dir/users.db`.
///
/// # Errors
/// [`RunError::State`] when the file cannot be opened or read.
pub async fn open_users(data_dir: &Path) -> Result<Arc<Users>, RunError> {
    let path = data_dir.join("users.db");
    let opened = path.clone();
    let options = CoordinationOptions {
        keep_revisions: 100,
        readers: 1,
    };
    // Opening may wait for a lock or replay a log: not on a worker of the runtime.
    let store = tokio::task::spawn_blocking(move || SqliteCoordination::open(&opened, options))
        .await
        .map_err(|error| RunError::state(&path, error))?
        .map_err(|error| RunError::state(&path, error))?;
    let users = Users::open(Arc::new(store))
        .await
        .map_err(|error| RunError::state(&path, error))?;
    Ok(Arc::new(users))
}

/// Serves until the context's shutdown.
///
/// # Errors
/// [`RunError`] when the settings or certificate files are wrong, the address is taken, or the
/// users cannot be read.
pub async fn run(settings: Settings, context: Context) -> Result<(), RunError> {
    settings.check()?;
    let users = match &settings.users {
        Some(users) => Arc::clone(users),
        None => open_users(&settings.data_dir).await?,
    };
    if let Some(first) = &settings.first_admin {
        make_first_admin(&users, first).await?;
    }
    let client = |name: &str, endpoint: &Endpoint| {
        Client::new(endpoint, settings.tls.as_ref())
            .map_err(|error| RunError::failed(format!("client of {name}"), error))
    };
    let storage = settings
        .storage
        .as_ref()
        .map(|endpoint| client("storage", endpoint))
        .transpose()?;
    let drivers = settings
        .drivers
        .iter()
        .map(|(cluster, endpoint)| Ok((cluster.clone(), client("driver", endpoint)?)))
        .collect::<Result<_, RunError>>()?;
    let tls = match &settings.tls {
        Some(files) => Some(
            files
                .server(ClientAuth::Optional)
                .map_err(|error| RunError::failed("TLS of gateway", error))?,
        ),
        None => None,
    };
    let listener = Listener::bind(&settings.listen).await?;
    let (requests, refusals) = (Counter::default(), Counter::default());
    context
        .metrics
        .register("gateway", "requests", "Requests answered", requests.clone());
    context.metrics.register(
        "gateway",
        "refusals",
        "Answers 401 and 403",
        refusals.clone(),
    );
    let gateway = Gateway {
        user_routes: bcs_user_manager::router(Arc::clone(&users)),
        users,
        upstreams: Arc::new(Upstreams { storage, drivers }),
        bounds: Bounds {
            body_bytes: settings.body_bytes,
            answer_time: Duration::from_secs(settings.answer_seconds),
        },
        always_200: settings.always_200,
        shutdown: context.shutdown.clone(),
        context: context.clone(),
        probes: health::Probes::default(),
        requests,
        refusals,
    };
    let layer = axum::middleware::from_fn_with_state(settings.always_200, always_ok::layer);
    let router = Router::new()
        .route("/livez", get(health::live))
        .route("/healthz", get(health::ready))
        .route("/readyz", get(health::ready))
        .route("/version", get(health::version))
        .route("/bcsapi/v4/healthz", get(health::upstreams))
        .fallback(service::handle)
        .with_state(gateway)
        .layer(layer);
    context.ready.set();
    serve(
        listener,
        router,
        tls,
        Limits::default(),
        context.shutdown.clone(),
    )
    .await;
    Ok(())
}

/// The token's file is the proof that the first start came to its end: without it a crash may have
/// come between the making and the writing, and another token is made.
async fn make_first_admin(users: &Users, first: &FirstAdmin) -> Result<(), RunError> {
    if first.token_file.exists() {
        return Ok(());
    }
    let failed = |error| RunError::failed("the first administrator", error);
    let token = match ensure_admin(users, &first.name).await.map_err(failed)? {
        Some(token) => token,
        None => {
            let seconds = UserKind::Admin.validity();
            users
                .issue_token(&first.name, seconds)
                .await
                .map_err(failed)?
                .1
        }
    };
    let text = format!("{}\n", token.expose());
    bcs_kit::atomic_write(&first.token_file, text.as_bytes(), 0o600)
        .map_err(|error| RunError::state(&first.token_file, error))?;
    tracing::info!(user = %first.name, file = %first.token_file.display(), "made a token for the first administrator");
    Ok(())
}
