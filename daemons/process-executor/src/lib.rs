#![doc = include_str!("../README.md")]

pub mod agent;
pub mod api;
pub mod checks;
pub mod commands;
pub mod disk;
pub mod effects;
pub mod environment;
pub mod executors;
pub mod files;
pub mod group;
pub mod host;
pub mod keeper;
pub mod logs;
pub mod messages;
pub mod metrics;
pub mod notify;
pub mod packages;
pub mod pid_file;
pub mod plan;
pub mod prepare;
pub mod records;
pub mod report;
pub mod resume;
pub mod settings;
pub mod step;
pub mod users;
pub mod words;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bcs_httpd::{ClientAuth, Limits, Listener};
use bcs_kit::files::{passable_folder, private_folder};
use bcs_kit::lock::DirectoryLock;
use bcs_kit::{Context, RunError};

pub use environment::Variables;
pub use settings::Settings;

use environment::Environment;
use executors::Executors;
use group::Group;
use host::{Host, Parts};
use records::{Record, Records, Saved};

/// Serves all executors of this host, until shutdown. Programs run on.
///
/// # Errors
/// When the settings, the directories or the socket are unusable.
pub async fn run(settings: Settings, context: Context) -> Result<(), RunError> {
    settings.check()?;
    let listener = Listener::bind(&settings.listen).await?;
    let tls = match &settings.tls {
        Some(files) => Some(
            files
                .server(ClientAuth::Required)
                .map_err(|error| RunError::failed("tls", error))?,
        ),
        None => None,
    };
    let (host, saved, _lock) = open(settings, &context, "tasks")?;
    let Some(list) = context
        .shutdown
        .run_until(host.keeper.first_list())
        .await
        .flatten()
    else {
        return Ok(());
    };
    let known: Vec<String> = saved
        .values()
        .flat_map(|saved| {
            saved
                .tasks
                .iter()
                .map(|task| task.info.task_id.value.clone())
        })
        .collect();
    let executors = Executors::new(host.clone());
    executors.restore(saved, &list);
    executors::sweep(&host, &list, &known).await;
    drop(list);
    let router = api::router(executors).merge(bcs_httpd::ops_router(&context));
    context.ready.set();
    bcs_httpd::serve(
        listener,
        router,
        tls,
        Limits::default(),
        context.shutdown.clone(),
    )
    .await;
    Ok(())
}

/// Serves the one executor that an agent started as a process of its own, as Apache Mesos does;
/// returns when that executor is over.
///
/// # Errors
/// When the environment, the settings or the directories are unusable.
pub async fn run_single(
    variables: Variables,
    settings: Settings,
    context: Context,
) -> Result<(), RunError> {
    settings.check()?;
    let environment = Environment::read(&variables, false)
        .map_err(|error| RunError::failed("environment", error))?;
    let id = environment.executor_id.clone();
    // Its own records: several such executors share the data directory, the keeper and the cache.
    let (host, mut saved, _lock) = open(settings, &context, &format!("single/{id}"))?;
    let Some(list) = context
        .shutdown
        .run_until(host.keeper.first_list())
        .await
        .flatten()
    else {
        return Ok(());
    };
    let mut group = Group::new(host.clone(), environment, true)
        .map_err(|error| RunError::failed("agent", error))?;
    match saved.remove(&id) {
        Some(saved) => group.restore(saved, &list),
        None => {
            let record = Record::Executor {
                executor: id,
                environment: variables,
            };
            host.records
                .append(record)
                .map_err(|error| RunError::state(&host.settings.data_dir, error))?;
        }
    }
    context.ready.set();
    group.run().await;
    Ok(())
}

type Opened = (Arc<Host>, BTreeMap<String, Saved>, DirectoryLock);

/// Opens everything that is on disk and starts the line to the keeper.
fn open(settings: Settings, context: &Context, records: &str) -> Result<Opened, RunError> {
    let state = |path: &Path, error: std::io::Error| RunError::state(path, error);
    let dir = settings.data_dir.join(records);
    // Programs of other accounts live in the workspace below it.
    passable_folder(&settings.data_dir).map_err(|error| state(&settings.data_dir, error))?;
    for path in [&dir, &settings.data_dir.join("run")] {
        private_folder(path).map_err(|error| state(path, error))?;
    }
    let lock = DirectoryLock::acquire(&dir).map_err(|error| RunError::state(&dir, error))?;
    let journal = dir.join("journal");
    let (records, saved) = Records::open(&journal).map_err(|error| state(&journal, error))?;
    let metrics = metrics::Metrics::default();
    metrics.register(&context.metrics);
    let packages = packages::Packages::open(&settings, &metrics)
        .map_err(|error| state(&settings.data_dir.join("packages"), error))?;
    let (program, keeper_dir) = (settings.keeper_program(), settings.keeper_dir());
    private_folder(&keeper_dir).map_err(|error| state(&keeper_dir, error))?;
    let (keeper, link) = keeper::line(program, keeper_dir, context.ready.clone());
    let (logs, watcher) = logs::watcher(settings.log_max_bytes, settings.log_keep, metrics.clone());
    context
        .tasks
        .spawn("keeper line", link.run(context.shutdown.clone()));
    context
        .tasks
        .spawn("logs", watcher.run(context.shutdown.clone()));
    let host = Host::new(Parts {
        settings,
        keeper,
        records,
        packages,
        logs,
        tasks: context.tasks.clone(),
        shutdown: context.shutdown.clone(),
        metrics,
    });
    let host = host.map_err(|error| RunError::failed("http client", error))?;
    Ok((Arc::new(host), saved, lock))
}
