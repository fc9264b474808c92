//! The roles by name: which settings each reads and which function runs it.

use std::path::Path;

use bcs_kit::config::{ConfigError, load};
use bcs_kit::{Context, RunError};
use clap::ValueEnum;

/// Every role that `bcs run` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// TLS, authentication, routes, users
    Gateway,
    /// Every object of every cluster
    Storage,
    /// API v4 of a Mesos cluster
    Driver,
    /// Applications and taskgroups of a Mesos cluster
    Scheduler,
    /// Cluster state into storage
    MesosWatch,
    /// Agents and offers
    Master,
    /// One host's resources and executors
    Agent,
    /// Packages and processes of one host
    ProcessExecutor,
}

/// Settings of one role, read and checked.
#[derive(Debug)]
pub(crate) enum Settings {
    Gateway(bcs_gateway::Settings),
    Storage(bcs_storage::Settings),
    Driver(bcs_driver::Settings),
    Scheduler(bcs_scheduler::Settings),
    MesosWatch(bcs_mesos_watch::Settings),
    Master(bcs_master::Settings),
    Agent(bcs_agent::Settings),
    ProcessExecutor(bcs_process_executor::Settings),
}

impl Role {
    /// The name as it is typed, logged and put into certificates.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Storage => "storage",
            Self::Driver => "driver",
            Self::Scheduler => "scheduler",
            Self::MesosWatch => "mesos-watch",
            Self::Master => "master",
            Self::Agent => "agent",
            Self::ProcessExecutor => "process-executor",
        }
    }

    /// Reads the role's configuration file.
    pub(crate) fn load(self, file: &Path) -> Result<Settings, ConfigError> {
        Ok(match self {
            Self::Gateway => Settings::Gateway(load(file)?),
            Self::Storage => Settings::Storage(load(file)?),
            Self::Driver => Settings::Driver(load(file)?),
            Self::Scheduler => Settings::Scheduler(load(file)?),
            Self::MesosWatch => Settings::MesosWatch(load(file)?),
            Self::Master => Settings::Master(load(file)?),
            Self::Agent => Settings::Agent(load(file)?),
            Self::ProcessExecutor => Settings::ProcessExecutor(load(file)?),
        })
    }
}

impl Settings {
    /// Which role they are for.
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Gateway(_) => Role::Gateway,
            Self::Storage(_) => Role::Storage,
            Self::Driver(_) => Role::Driver,
            Self::Scheduler(_) => Role::Scheduler,
            Self::MesosWatch(_) => Role::MesosWatch,
            Self::Master(_) => Role::Master,
            Self::Agent(_) => Role::Agent,
            Self::ProcessExecutor(_) => Role::ProcessExecutor,
        }
    }

    /// Runs the role until shutdown.
    pub(crate) async fn run(self, context: Context) -> Result<(), RunError> {
        match self {
            Self::Gateway(settings) => Box::pin(bcs_gateway::run(settings, context)).await,
            Self::Storage(settings) => Box::pin(bcs_storage::run(settings, context)).await,
            Self::Driver(settings) => Box::pin(bcs_driver::run(settings, context)).await,
            Self::Scheduler(settings) => Box::pin(bcs_scheduler::run(settings, context)).await,
            Self::MesosWatch(settings) => Box::pin(bcs_mesos_watch::run(settings, context)).await,
            Self::Master(settings) => Box::pin(bcs_master::run(settings, context)).await,
            Self::Agent(settings) => Box::pin(bcs_agent::run(settings, context)).await,
            Self::ProcessExecutor(settings) => {
                Box::pin(bcs_process_executor::run(settings, context)).await
            }
        }
    }
}
