//! The settings of each role in a standalone system.

use std::collections::BTreeMap;
use std::sync::Arc;

use bcs_httpd::{Endpoint, Listen};
use bcs_kit::RunError;
use bcs_user_manager::Users;

use super::layout::Layout;
use crate::roles::{Role, Settings};

/// The command of the executor that the agent hands to the resident one.
const PROCESS_EXECUTOR: &str = "bcs-process-executor";
/// What a taskgroup is charged for its part of the resident executor.
const RESIDENT_CPUS: f64 = 0.001;
const RESIDENT_MEGABYTES: f64 = 1.0;

/// Settings for every role, in an order in which few have to wait for another.
pub(super) fn all(layout: &Layout, users: Arc<Users>) -> Result<Vec<Settings>, RunError> {
    Ok(vec![
        Settings::Storage(storage(layout)),
        Settings::Master(master(layout)),
        Settings::Scheduler(scheduler(layout)?),
        Settings::ProcessExecutor(process_executor(layout)),
        Settings::Agent(agent(layout)?),
        Settings::Driver(driver(layout)?),
        Settings::MesosWatch(mesos_watch(layout)?),
        Settings::Gateway(gateway(layout, users)?),
    ])
}

fn storage(layout: &Layout) -> bcs_storage::Settings {
    bcs_storage::Settings {
        listen: layout.storage.listen(),
        tls: Some(layout.storage.tls.clone()),
        ..bcs_storage::Settings::new(layout.folder(Role::Storage))
    }
}

fn master(layout: &Layout) -> bcs_master::Settings {
    bcs_master::Settings {
        // The resident executor costs next to nothing for each taskgroup; a small host shall hold many.
        allocation: bcs_master::AllocationSettings {
            executor_cpus: RESIDENT_CPUS,
            executor_mem: RESIDENT_MEGABYTES,
            ..bcs_master::AllocationSettings::default()
        },
        cluster: layout.cluster.clone(),
        tls: Some(layout.master.tls.clone()),
        ..bcs_master::Settings::new(layout.master.listen(), layout.folder(Role::Master))
    }
}

fn scheduler(layout: &Layout) -> Result<bcs_scheduler::Settings, RunError> {
    Ok(bcs_scheduler::Settings {
        cluster: layout.cluster.clone(),
        listen: layout.scheduler.listen(),
        tls: Some(layout.scheduler.tls.clone()),
        data_dir: layout.folder(Role::Scheduler),
        masters: vec![layout.master.endpoint()?],
        process_executor: bcs_scheduler::Executor {
            command: PROCESS_EXECUTOR.to_owned(),
            cpus: RESIDENT_CPUS,
            mem: RESIDENT_MEGABYTES,
            disk: 1.0,
            ..bcs_scheduler::Executor::default()
        },
        ..bcs_scheduler::Settings::default()
    })
}

fn process_executor(layout: &Layout) -> bcs_process_executor::Settings {
    bcs_process_executor::Settings {
        listen: Listen::Unix(layout.executor_socket()),
        data_dir: layout.folder(Role::ProcessExecutor),
        keeper: Some(layout.keeper.clone()),
        ..bcs_process_executor::Settings::default()
    }
}

fn agent(layout: &Layout) -> Result<bcs_agent::Settings, RunError> {
    Ok(bcs_agent::Settings {
        cluster: layout.cluster.clone(),
        hostname: Some(layout.host.clone()),
        tls: Some(layout.agent.tls.clone()),
        resources: bcs_agent::ResourceSettings {
            ports: Some(layout.ports.clone()),
            ..bcs_agent::ResourceSettings::default()
        },
        resident_executors: vec![bcs_agent::Resident {
            command: PROCESS_EXECUTOR.to_owned(),
            endpoint: Endpoint::Unix(layout.executor_socket()),
        }],
        ..bcs_agent::Settings::new(
            layout.agent.listen(),
            layout.master.endpoint()?,
            layout.folder(Role::Agent),
        )
    })
}

fn driver(layout: &Layout) -> Result<bcs_driver::Settings, RunError> {
    Ok(bcs_driver::Settings {
        cluster: layout.cluster.clone(),
        listen: layout.driver.listen(),
        tls: Some(layout.driver.tls.clone()),
        scheduler: layout.scheduler.endpoint()?,
        ..bcs_driver::Settings::default()
    })
}

fn mesos_watch(layout: &Layout) -> Result<bcs_mesos_watch::Settings, RunError> {
    Ok(bcs_mesos_watch::Settings {
        cluster: layout.cluster.clone(),
        tls: Some(layout.mesos_watch.clone()),
        ..bcs_mesos_watch::Settings::new(layout.scheduler.endpoint()?, layout.storage.endpoint()?)
    })
}

fn gateway(layout: &Layout, users: Arc<Users>) -> Result<bcs_gateway::Settings, RunError> {
    Ok(bcs_gateway::Settings {
        listen: layout.gateway.listen(),
        tls: Some(layout.gateway.tls.clone()),
        storage: Some(layout.storage.endpoint()?),
        drivers: BTreeMap::from([(layout.cluster.clone(), layout.driver.endpoint()?)]),
        users: Some(users),
        ..bcs_gateway::Settings::new(layout.folder(Role::Gateway))
    })
}
