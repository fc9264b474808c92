//! Putting the role together.

use std::sync::Arc;

use bcs_httpd::{ClientAuth, Limits, Listen, Listener, serve};
use bcs_kit::{Context, RunError};
use bcs_mesos::ContentType;
use bcs_store::Coordination;
use bcs_store_sqlite::{CoordinationOptions, SqliteCoordination};
use tokio::sync::watch;

use crate::api::{Api, router};
use crate::core::{Cluster, Rules};
use crate::engine::{Clock, Engine};
use crate::feed::Feed;
use crate::inbox::Inbox;
use crate::mesos::calls::Caller;
use crate::mesos::subscribe::Subscriber;
use crate::meters::Meters;
use crate::restore::restore;
use crate::seal::Sealer;
use crate::settings::{Encoding, Settings};

/// The leader role in the store.
const ROLE: &str = "scheduler";

/// Runs the scheduler until `context.shutdown`.
///
/// # Errors
/// [`RunError`] when the settings, the state or the listener cannot be used, and when another
/// scheduler has taken over.
pub async fn run(settings: Settings, context: Context) -> Result<(), RunError> {
    check(&settings)?;
    let directory = settings.data_dir.clone();
    bcs_kit::files::private_folder(&directory)
        .map_err(|error| RunError::state(&directory, error))?;
    let path = directory.join("scheduler.db");
    let store = SqliteCoordination::open(
        &path,
        CoordinationOptions {
            keep_revisions: 0,
            ..CoordinationOptions::default()
        },
    )
    .map_err(|error| RunError::state(&path, error))?;
    run_on(settings, context, Arc::new(store)).await
}

/// The same over any store.
pub(crate) async fn run_on(
    settings: Settings,
    context: Context,
    store: Arc<dyn Coordination>,
) -> Result<(), RunError> {
    let directory = settings.data_dir.clone();
    let sealer = Sealer::load(&directory)?;
    let holder = format!("{} pid {}", settings.cluster, std::process::id());
    let term = store
        .acquire_term(ROLE, &holder)
        .await
        .map_err(|error| RunError::state(&directory, error))?;
    let clock = Clock::start();
    let mut cluster = Cluster::new(rules(&settings));
    let revision = restore(store.as_ref(), &sealer, &mut cluster, clock.now())
        .await
        .map_err(|error| RunError::state(&directory, error))?;
    let server_tls = match &settings.tls {
        Some(tls) => Some(
            tls.server(ClientAuth::Required)
                .map_err(|error| RunError::failed("reading the certificate", error))?,
        ),
        None => None,
    };
    let listener = Listener::bind(&settings.listen).await?;
    let local = listener
        .local_address()
        .is_none_or(|address| address.ip().is_loopback());
    if settings.tls.is_none() && !local {
        return Err(RunError::Settings {
            field: "tls",
            value: String::new(),
            reason: "needed to listen on anything but loopback or a unix socket".to_owned(),
        });
    }
    let feed = Arc::new(Feed::new(revision, settings.watch_history));
    let (inbox, events) = Inbox::new();
    let sessions = watch::Sender::new(None);
    let encoding = match settings.encoding {
        Encoding::Json => ContentType::Json,
        Encoding::Protobuf => ContentType::Protobuf,
    };
    let caller = Caller::start(&context, inbox.clone(), &sessions.subscribe(), encoding);
    let api = Api {
        inbox: inbox.clone(),
        feed: Arc::clone(&feed),
        sessions: sessions.subscribe(),
        open: settings.tls.is_none(),
        cluster: settings.cluster.clone(),
        address: listener.local_address(),
        shutdown: context.shutdown.clone(),
    };
    let subscriber = Subscriber {
        framework_id: cluster.framework_id.clone(),
        settings,
        encoding,
        inbox: inbox.clone(),
        sessions,
        context: context.clone(),
    };
    context
        .tasks
        .spawn("scheduler-subscription", subscriber.run());
    let router = router(api).merge(bcs_httpd::ops_router(&context));
    let served = serve(
        listener,
        router,
        server_tls,
        Limits::default(),
        context.shutdown.clone(),
    );
    context.tasks.spawn("scheduler-api", served);
    context.ready.set();
    let shutdown = context.shutdown.clone();
    let meters = Meters::register(&context.metrics);
    let engine = Engine {
        cluster,
        events,
        inbox,
        store,
        term,
        sealer,
        feed,
        caller,
        clock,
        shutdown,
        meters,
    };
    engine.run().await
}

fn check(settings: &Settings) -> Result<(), RunError> {
    let refused = |field: &'static str, value: &str, reason: &str| RunError::Settings {
        field,
        value: value.to_owned(),
        reason: reason.to_owned(),
    };
    if settings.masters.is_empty() {
        return Err(refused(
            "masters",
            "[]",
            "name at least one, such as https://10.0.0.1:5050",
        ));
    }
    let cluster = &settings.cluster;
    if !bcs_model::ids::is_label(&cluster.to_ascii_lowercase()) {
        return Err(refused(
            "cluster",
            cluster,
            "use letters, digits and '-', such as BCS-MESOS-10000",
        ));
    }
    if matches!(&settings.listen, Listen::Tcp(address) if address.is_empty()) {
        return Err(refused(
            "listen",
            "",
            "name an address, such as 127.0.0.1:31004",
        ));
    }
    Ok(())
}

pub(crate) fn rules(settings: &Settings) -> Rules {
    let millis =
        |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let seconds =
        |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Rules {
        cluster: settings.cluster.clone(),
        process_executor: settings.process_executor.clone(),
        container_executor: settings.container_executor.clone(),
        version_history: settings.version_history,
        reconcile_millis: millis(settings.reconcile_interval).max(1000),
        lost_grace_millis: millis(settings.lost_grace),
        offer_life_millis: millis(settings.offer_life),
        refuse_seconds: settings.refuse.as_secs_f64(),
        launch_deadline_seconds: seconds(settings.launch_deadline),
        operation_deadline_seconds: seconds(settings.operation_deadline),
    }
}
