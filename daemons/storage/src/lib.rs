//! The storage role: every object of every cluster, with revisions, queries and watches.
//!
//! Owns the routes under `/bcsstorage/v1` and `/bcsstorage/v2` and the document store behind them.
//! It authorises daemons by their certificates (writes: the watcher of the cluster; reads: the
//! gateway, which has authorised a person). It refuses queries that it does not understand, never
//! cuts a list silently, and never lets a slow reader hold up a writer. Events, alarms, metrics and
//! the configuration stores are not here yet and answer so.

mod access;
mod batch;
mod dynamic;
mod failure;
mod follower;
mod kinds;
mod query_string;
mod render;
mod routes;
mod service;
mod typed;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bcs_httpd::{ClientAuth, Limits, Listen, Listener, TlsFiles, always_ok, ops_router, serve};
use bcs_kit::{Context, RunError};
use bcs_store::{Documents, Retention};
use bcs_store_sqlite::SqliteDocuments;
use serde::Deserialize;

pub use access::{CLUSTERS_HEADER, SECRETS_HEADER, WriterHosts};
pub use batch::MAX_OPERATIONS;

use service::{Service, WatchBounds};

/// What storage is told at start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where to listen.
    #[serde(default = "default_listen")]
    pub listen: Listen,
    /// Certificate and authority; without it plain HTTP, where only a local unix socket is trusted.
    #[serde(default)]
    pub tls: Option<TlsFiles>,
    /// Holds `storage.db`.
    pub data_dir: PathBuf,
    /// Cluster id -> hosts whose watcher may write it; a cluster that is absent takes any watcher.
    #[serde(default)]
    pub writers: WriterHosts,
    /// Changes kept for watchers that come back.
    #[serde(default = "default_changes")]
    pub keep_changes: u64,
    /// Seconds that a change is kept.
    #[serde(default = "default_age")]
    pub keep_seconds: u64,
    /// Changes that a watcher may lag behind before it is told to list again.
    #[serde(default = "default_backlog")]
    pub watch_backlog: u64,
    /// Seconds between bookmarks on a quiet watch.
    #[serde(default = "default_bookmark")]
    pub bookmark_seconds: u64,
    /// Answer 200 to everything, as the original did.
    #[serde(default)]
    pub always_200: bool,
}

fn default_listen() -> Listen {
    Listen::Tcp("127.0.0.1:50024".to_owned())
}
fn default_changes() -> u64 {
    20_000
}
fn default_age() -> u64 {
    3600
}
fn default_backlog() -> u64 {
    10_000
}
fn default_bookmark() -> u64 {
    10
}

impl Settings {
    /// The defaults with a data directory.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            listen: default_listen(),
            tls: None,
            data_dir,
            writers: WriterHosts::new(),
            keep_changes: default_changes(),
            keep_seconds: default_age(),
            watch_backlog: default_backlog(),
            bookmark_seconds: default_bookmark(),
            always_200: false,
        }
    }

    fn check(&self) -> Result<(), RunError> {
        for (field, value) in [
            ("keep_changes", self.keep_changes),
            ("keep_seconds", self.keep_seconds),
            ("watch_backlog", self.watch_backlog),
            ("bookmark_seconds", self.bookmark_seconds),
        ] {
            if value == 0 {
                return Err(RunError::Settings {
                    field,
                    value: "0".into(),
                    reason: "must be at least 1".into(),
                });
            }
        }
        Ok(())
    }
}

/// Serves until the context's shutdown.
///
/// # Errors
/// [`RunError`] when the settings are wrong, the address is taken or the file cannot be opened.
pub async fn run(settings: Settings, context: Context) -> Result<(), RunError> {
    settings.check()?;
    let path = settings.data_dir.join("storage.db");
    let retention = Retention {
        changes: settings.keep_changes,
        age: Duration::from_secs(settings.keep_seconds),
    };
    let opened = path.clone();
    // Opening may wait for a lock or replay a log: not on a worker of the runtime.
    let store = tokio::task::spawn_blocking(move || SqliteDocuments::open(&opened, retention, 2))
        .await
        .map_err(|error| RunError::state(&path, error))?
        .map_err(|error| RunError::state(&path, error))?;
    let store: Arc<dyn Documents> = Arc::new(store);
    let tls = match &settings.tls {
        Some(files) => Some(
            files
                .server(ClientAuth::Required)
                .map_err(|error| RunError::failed("TLS of storage", error))?,
        ),
        None => None,
    };
    let listener = Listener::bind(&settings.listen).await?;
    let writes = prometheus_client::metrics::counter::Counter::default();
    context
        .metrics
        .register("storage", "writes", "Documents written", writes.clone());
    let service = Service {
        store: Arc::clone(&store),
        writers: Arc::new(settings.writers),
        shutdown: context.shutdown.clone(),
        watch: WatchBounds {
            bookmark: Duration::from_secs(settings.bookmark_seconds),
            backlog: settings.watch_backlog,
        },
        writes,
    };
    let layer = axum::middleware::from_fn_with_state(settings.always_200, always_ok::layer);
    let router = routes::router(service)
        .layer(layer)
        .merge(ops_router(&context));
    let (shutdown, period) = (context.shutdown.clone(), settings.keep_seconds.clamp(1, 60));
    context.tasks.spawn("storage-compaction", async move {
        let period = Duration::from_secs(period);
        while shutdown
            .run_until(tokio::time::sleep(period))
            .await
            .is_some()
        {
            if let Err(error) = store.compact().await {
                tracing::warn!(error = %error, "the change feed was not trimmed");
            }
        }
    });
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
