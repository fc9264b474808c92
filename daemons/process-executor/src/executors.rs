//! The executors of this daemon.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bcs_keeper::protocol::{Call, Task};

use crate::api::Shown;
use crate::environment::{Environment, Variables};
use crate::group::{Group, Inbox};
use crate::host::Host;
use crate::records::{Record, Saved};

/// More executors than this are refused: the bound of what one host can reasonably hold.
const MAX_EXECUTORS: usize = 8192;

/// Why an executor was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot be recorded.
    #[error("the executor cannot be recorded: {0}")]
    Record(#[from] std::io::Error),
    /// Its agent cannot be called.
    #[error(transparent)]
    Client(#[from] bcs_httpd::client::ClientError),
    /// Too many.
    #[error("{MAX_EXECUTORS} executors are served already")]
    Full,
}

struct Entry {
    sender: Inbox,
    framework: String,
    agent: String,
}

/// All of them.
pub struct Executors {
    host: Arc<Host>,
    entries: Mutex<BTreeMap<String, Entry>>,
}

impl Executors {
    /// None yet.
    pub fn new(host: Arc<Host>) -> Arc<Self> {
        Arc::new(Self {
            host,
            entries: Mutex::default(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For people.
    pub fn list(&self) -> BTreeMap<String, Shown> {
        let show = |(id, entry): (&String, &Entry)| {
            let (framework, agent) = (entry.framework.clone(), entry.agent.clone());
            (id.clone(), Shown { framework, agent })
        };
        self.lock().iter().map(show).collect()
    }

    /// Starts an executor; one that is here already only reconnects at once.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        self: &Arc<Self>,
        environment: Environment,
        variables: Variables,
    ) -> Result<(), StartError> {
        let id = environment.executor_id.clone();
        if let Some(entry) = self.lock().get(&id) {
            entry.sender.nudge();
            return Ok(());
        }
        if self.lock().len() >= MAX_EXECUTORS {
            return Err(StartError::Full);
        }
        self.host.records.append(Record::Executor {
            executor: id,
            environment: variables,
        })?;
        let group = Group::new(self.host.clone(), environment, false)?;
        self.serve(group);
        Ok(())
    }

    fn serve(self: &Arc<Self>, group: Group) {
        let id = group.environment.executor_id.clone();
        let entry = Entry {
            sender: group.sender(),
            framework: group.environment.framework_id.clone(),
            agent: group.environment.agent.to_string(),
        };
        self.lock().insert(id.clone(), entry);
        self.count();
        let executors = self.clone();
        let serve = async move {
            if group.run().await {
                executors.lock().remove(&id);
                executors.count();
            }
        };
        self.host.tasks.spawn("executor", Box::pin(serve));
    }

    fn count(&self) {
        let count = i64::try_from(self.lock().len()).unwrap_or_default();
        self.host.metrics.executors.set(count);
    }

    /// Takes over what an earlier daemon recorded.
    pub fn restore(
        self: &Arc<Self>,
        saved: BTreeMap<String, Saved>,
        list: &BTreeMap<String, Task>,
    ) {
        for (id, saved) in saved {
            let environment = match Environment::read(&saved.environment, true) {
                Ok(environment) => environment,
                Err(error) => {
                    tracing::error!(executor = id, %error, "a recorded executor cannot be served");
                    continue;
                }
            };
            match Group::new(self.host.clone(), environment, false) {
                Ok(mut group) => {
                    group.restore(saved, list);
                    self.serve(group);
                }
                Err(error) => {
                    tracing::error!(executor = id, %error, "a recorded executor cannot be served");
                }
            }
        }
    }
}

/// Drops what the keeper still knows of commands and tasks that no record names.
pub async fn sweep(host: &Host, list: &BTreeMap<String, Task>, known: &[String]) {
    for task in list.values() {
        let owner = task
            .id
            .rsplit_once('@')
            .map_or(task.id.as_str(), |(owner, _)| owner);
        let command = task.id.rsplit_once('@').is_some_and(|(_, rest)| {
            rest.split_once('/')
                .is_some_and(|(_, part)| part != "start")
        });
        if known.iter().any(|id| id == owner) && !command {
            continue;
        }
        if task.exit.is_some() {
            drop(
                host.keeper
                    .call(Call::Forget {
                        id: task.id.clone(),
                    })
                    .await,
            );
        } else if !command {
            tracing::warn!(
                task = task.id,
                pid = task.pid,
                "a program runs that no record names"
            );
        }
    }
}
