//! The mesos-watch role: keeps storage equal to the state of one Mesos cluster.
//!
//! It follows the scheduler's stream of records, converts them to the shapes of storage and writes
//! the latest state of each object in batches. It owns no state: at its start, and whenever it lost
//! its place, it compares storage with the scheduler by content hashes and repairs what differs.
//! Either peer may be absent for any time. It writes nothing of another cluster and reads no disk.

mod mirror;
mod outbox;
mod scheduler;
mod storage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bcs_httpd::{
    Client, ClientAuth, Endpoint, Limits, Listen, Listener, TlsFiles, ops_router, serve,
};
use bcs_kit::{Backoff, Context, Ready, RunError, Shutdown};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use serde::Deserialize;

pub use mirror::KINDS;

use mirror::Mirror;
use outbox::Outbox;
use storage::Storage;

/// What mesos-watch is told at start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The cluster.
    #[serde(default = "default_cluster")]
    pub cluster: String,
    /// The cluster's scheduler.
    pub scheduler: Endpoint,
    /// Storage.
    pub storage: Endpoint,
    /// Certificate of role `mesos-watch`.
    #[serde(default)]
    pub tls: Option<TlsFiles>,
    /// Where to serve health and metrics; nowhere by default.
    #[serde(default)]
    pub listen: Option<Listen>,
    /// Seconds between comparisons of content hashes.
    #[serde(default = "default_check")]
    pub check_seconds: u64,
}

fn default_cluster() -> String {
    "BCS-MESOS-10000".to_owned()
}
fn default_check() -> u64 {
    300
}

impl Settings {
    /// The defaults with both peers.
    pub fn new(scheduler: Endpoint, storage: Endpoint) -> Self {
        Self {
            cluster: default_cluster(),
            scheduler,
            storage,
            tls: None,
            listen: None,
            check_seconds: default_check(),
        }
    }
}

/// The role's metrics.
#[derive(Clone, Debug, Default)]
struct Gauges {
    revision: Gauge,
    waiting: Gauge,
    drifts: Counter,
    written: Counter,
    refused: Counter,
    lag_milliseconds: Gauge,
}

impl Gauges {
    fn register(context: &Context) -> Self {
        let gauges = Self::default();
        let metrics = &context.metrics;
        let role = "mesos-watch";
        metrics.register(
            role,
            "revision",
            "Scheduler revision read",
            gauges.revision.clone(),
        );
        metrics.register(
            role,
            "waiting",
            "Objects waiting for storage",
            gauges.waiting.clone(),
        );
        metrics.register(
            role,
            "drifts",
            "Comparisons that found a drift",
            gauges.drifts.clone(),
        );
        metrics.register(
            role,
            "written",
            "Operations written",
            gauges.written.clone(),
        );
        metrics.register(
            role,
            "refused",
            "Operations that storage refused",
            gauges.refused.clone(),
        );
        metrics.register(
            role,
            "lag_milliseconds",
            "How long the last batch took from its taking to its writing, with retries",
            gauges.lag_milliseconds.clone(),
        );
        gauges
    }
}

/// Mirrors until the context's shutdown.
///
/// # Errors
/// [`RunError`] when the settings or the certificate files are wrong, or the address is taken.
pub async fn run(settings: Settings, context: Context) -> Result<(), RunError> {
    if settings.check_seconds == 0 {
        return Err(RunError::Settings {
            field: "check_seconds",
            value: "0".into(),
            reason: "must be at least 1".into(),
        });
    }
    let client = |name: &str, endpoint: &Endpoint| {
        Client::new(endpoint, settings.tls.as_ref())
            .map_err(|error| RunError::failed(format!("client of {name}"), error))
    };
    let storage = Storage::new(
        client("storage", &settings.storage)?,
        settings.cluster.clone(),
    );
    let gauges = Gauges::register(&context);
    let outbox = Arc::new(Outbox::default());
    let mirror = Mirror {
        scheduler: client("scheduler", &settings.scheduler)?,
        storage: storage.clone(),
        outbox: Arc::clone(&outbox),
        ready: context.ready.clone(),
        gauges: gauges.clone(),
        check_period: Duration::from_secs(settings.check_seconds),
        digests: BTreeMap::new(),
        revision: 0,
    };
    if let Some(listen) = &settings.listen {
        let tls = match &settings.tls {
            Some(files) => Some(
                files
                    .server(ClientAuth::Required)
                    .map_err(|error| RunError::failed("TLS of mesos-watch", error))?,
            ),
            None => None,
        };
        let listener = Listener::bind(listen).await?;
        let (router, shutdown) = (ops_router(&context), context.shutdown.clone());
        context.tasks.spawn("mesos-watch-ops", async move {
            serve(listener, router, tls, Limits::default(), shutdown).await;
        });
    }
    // Ready to do its work; whether the peers are there is in the text.
    context.ready.set();
    context.ready.say("waiting for the scheduler and storage");
    let shutdown = context.shutdown.clone();
    let ready = context.ready.clone();
    context.tasks.spawn(
        "mesos-watch-send",
        send(storage, outbox, gauges, ready, shutdown),
    );
    mirror.run(context.shutdown.clone()).await;
    Ok(())
}

/// Drains the outbox; a batch is tried until it is written or until leaving.
async fn send(
    storage: Storage,
    outbox: Arc<Outbox>,
    gauges: Gauges,
    ready: Ready,
    shutdown: Shutdown,
) {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
    while let Some(batch) = shutdown.run_until(outbox.take()).await {
        let started = std::time::Instant::now();
        loop {
            let Some(outcome) = shutdown.run_until(storage.write(&batch)).await else {
                return;
            };
            match outcome {
                Ok(items) => {
                    report(&batch, &items, &gauges);
                    if backoff.attempt() > 0 {
                        ready.say("following the scheduler");
                        tracing::info!("storage takes writes again");
                    }
                    backoff.reset();
                    break;
                }
                Err(error) => {
                    ready.say(format!("{error}; retrying"));
                    if !backoff.wait(&shutdown).await {
                        return;
                    }
                    if backoff.worth_logging() {
                        tracing::warn!(error = %error, "a batch was not written; retrying");
                    }
                }
            }
        }
        let taken = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
        gauges.lag_milliseconds.set(taken);
        outbox.sent();
    }
}

/// Storage refuses single operations only for what they are; a retry would change nothing, and the
/// next comparison will find them again.
fn report(batch: &[outbox::Operation], items: &[storage::Item], gauges: &Gauges) {
    for ((key, _), item) in batch.iter().zip(items) {
        if item.ok {
            gauges.written.inc();
        } else {
            gauges.refused.inc();
            let reason = item.error.as_deref().unwrap_or("no reason given");
            tracing::error!(kind = %key.0, namespace = %key.1, name = %key.2, reason, "storage refused");
        }
    }
}
