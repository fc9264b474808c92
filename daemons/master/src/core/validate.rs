//! What a launch must satisfy before it goes to an agent, each refusal in words.

use std::collections::BTreeSet;

use bcs_mesos::types::{
    AgentId, ContainerInfoType, ExecutorInfo, ExecutorInfoType, FrameworkId, HealthCheckType,
    LaunchGroup, TaskId, TaskInfo,
};
use bcs_mesos::{Resources, WireName as _, ids};

/// What one launch would take.
#[derive(Debug, Default)]
pub(super) struct Cost {
    /// For each task, in order.
    pub(super) tasks: Vec<Resources>,
    /// Of the executor, when it is new on that agent.
    pub(super) executor: Resources,
}

impl Cost {
    pub(super) fn total(&self) -> Resources {
        let mut total = self.executor.clone();
        for task in &self.tasks {
            total.add(task);
        }
        total
    }
}

/// What is known around a launch.
pub(super) struct Site<'a> {
    pub(super) framework: &'a FrameworkId,
    pub(super) agent: &'a AgentId,
    /// What is left of the offers.
    pub(super) left: &'a Resources,
    /// The least cpus and mem, in thousandths, that the executor of a group must have.
    pub(super) minimum: (i64, i64),
    /// The executor of that id which already runs on the agent.
    pub(super) running: Option<&'a ExecutorInfo>,
    /// Whether a task id is taken.
    pub(super) taken: &'a dyn Fn(&TaskId) -> bool,
}

/// A copy that compares equal whatever the master added or the framework left out.
pub(super) fn comparable(info: &ExecutorInfo) -> ExecutorInfo {
    let mut info = info.clone();
    info.framework_id = None;
    if info.r#type.is_none() && info.command.is_some() {
        info.r#type = Some(ExecutorInfoType::Custom.number());
    }
    for resource in &mut info.resources {
        resource.allocation_info = None;
        resource.role = None;
    }
    info
}

fn resources(what: &str, list: &[bcs_mesos::types::Resource]) -> Result<Resources, String> {
    Resources::from_wire(list).map_err(|error| format!("{what}: {error}"))
}

fn check_executor(executor: &ExecutorInfo, site: &Site<'_>) -> Result<(), String> {
    ids::validate("executor_id", &executor.executor_id.value).map_err(|error| error.to_string())?;
    if let Some(framework) = &executor.framework_id
        && framework != site.framework
    {
        return Err(format!(
            "executor.framework_id {framework} is not the framework {}",
            site.framework
        ));
    }
    if let Some(running) = site.running
        && comparable(running) != comparable(executor)
    {
        return Err(format!(
            "executor {} already runs on agent {} with another ExecutorInfo",
            executor.executor_id, site.agent
        ));
    }
    if let Some(grace) = &executor.shutdown_grace_period
        && grace.nanoseconds < 0
    {
        return Err("executor.shutdown_grace_period must not be negative".into());
    }
    Ok(())
}

fn check_task(task: &TaskInfo, site: &Site<'_>) -> Result<(), String> {
    ids::validate("task_id", &task.task_id.value).map_err(|error| error.to_string())?;
    if (site.taken)(&task.task_id) {
        return Err(format!(
            "task_id {} is taken by another task of this framework",
            task.task_id
        ));
    }
    if task.agent_id != *site.agent {
        return Err(format!(
            "task.agent_id {} is not the agent {} of the offer",
            task.agent_id, site.agent
        ));
    }
    if task.resources.is_empty() {
        return Err("task.resources is empty: a task needs at least some cpus or mem".into());
    }
    if let Some(grace) = task
        .kill_policy
        .as_ref()
        .and_then(|policy| policy.grace_period.as_ref())
        && grace.nanoseconds < 0
    {
        return Err("kill_policy.grace_period must not be negative".into());
    }
    if let Some(check) = &task.health_check {
        for (field, value) in [
            ("delay_seconds", check.delay_seconds()),
            ("interval_seconds", check.interval_seconds()),
            ("timeout_seconds", check.timeout_seconds()),
            ("grace_period_seconds", check.grace_period_seconds()),
        ] {
            if !value.is_finite() || value < 0.0 {
                return Err(format!("health_check.{field} {value} must not be negative"));
            }
        }
        let complete = match check.r#type() {
            HealthCheckType::Command => check.command.is_some(),
            HealthCheckType::Http => check.http.is_some(),
            HealthCheckType::Tcp => check.tcp.is_some(),
            HealthCheckType::Unknown => check.r#type.is_none(),
        };
        if !complete {
            return Err("health_check has no member for its type".into());
        }
    }
    Ok(())
}

/// One task of a LAUNCH.
pub(super) fn launch(task: &TaskInfo, site: &Site<'_>) -> Result<Cost, String> {
    check_task(task, site)?;
    let mut cost = Cost {
        tasks: vec![resources("task.resources", &task.resources)?],
        ..Cost::default()
    };
    match (&task.executor, &task.command) {
        (Some(_), Some(_)) => {
            return Err("a task has either an executor or a command, not both".into());
        }
        (None, None) => return Err("a task needs an executor or a command".into()),
        (None, Some(_)) => {}
        (Some(executor), None) => {
            if executor.r#type() == ExecutorInfoType::Default {
                return Err(
                    "an executor of type DEFAULT runs task groups only; use LAUNCH_GROUP".into(),
                );
            }
            if executor.command.is_none() {
                return Err("executor.command must be set".into());
            }
            check_executor(executor, site)?;
            if site.running.is_none() {
                cost.executor = resources("executor.resources", &executor.resources)?;
            }
        }
    }
    fits(&cost, site)?;
    Ok(cost)
}

/// A whole group.
pub(super) fn launch_group(group: &LaunchGroup, site: &Site<'_>) -> Result<Cost, String> {
    let executor = &group.executor;
    match executor.r#type() {
        ExecutorInfoType::Unknown => {
            return Err("executor.type must be set for a task group".into());
        }
        ExecutorInfoType::Custom if executor.command.is_none() => {
            return Err("executor.command must be set for an executor of type CUSTOM".into());
        }
        ExecutorInfoType::Default => {
            return Err(
                "this agent has no built-in executor: executor.type must be CUSTOM, with a command"
                    .into(),
            );
        }
        ExecutorInfoType::Custom => {}
    }
    check_executor(executor, site)?;
    if executor
        .container
        .as_ref()
        .is_some_and(|c| c.r#type == ContainerInfoType::Docker.number())
    {
        return Err("executor.container of type DOCKER is not possible with a task group".into());
    }
    let own = resources("executor.resources", &executor.resources)?;
    for (name, minimum, unit) in [
        ("cpus", site.minimum.0, ""),
        ("mem", site.minimum.1, " (MB)"),
    ] {
        if own.thousandths(name) < minimum {
            let (has, least) = (own.scalar(name), minimum as f64 / 1000.0);
            return Err(format!(
                "executor.resources {name} {has} is below {least}{unit}"
            ));
        }
    }
    if own.thousandths("disk") <= 0 {
        return Err("executor.resources must have some disk".into());
    }
    let tasks = &group.task_group.tasks;
    if tasks.is_empty() {
        return Err("task_group.tasks is empty".into());
    }
    let mut cost = Cost::default();
    let mut seen = BTreeSet::new();
    let mut exclusive = own.clone();
    for task in tasks {
        check_task(task, site)?;
        check_grouped(task, executor)?;
        if !seen.insert(&task.task_id) {
            return Err(format!("task_id {} is there twice", task.task_id));
        }
        let wanted = resources("task.resources", &task.resources)?;
        if let Some(both) = exclusive.overlap(&wanted) {
            return Err(format!(
                "task {} takes {both}, which another part of the group takes",
                task.task_id
            ));
        }
        exclusive.add(&wanted);
        cost.tasks.push(wanted);
    }
    if site.running.is_none() {
        cost.executor = own;
    }
    fits(&cost, site)?;
    Ok(cost)
}

fn check_grouped(task: &TaskInfo, executor: &ExecutorInfo) -> Result<(), String> {
    if let Some(other) = &task.executor
        && comparable(other) != comparable(executor)
    {
        return Err(format!(
            "task {} names another executor than the group",
            task.task_id
        ));
    }
    let Some(container) = &task.container else {
        return Ok(());
    };
    if container.r#type == ContainerInfoType::Docker.number() {
        return Err(format!(
            "task {}: a container of type DOCKER is not possible in a task group",
            task.task_id
        ));
    }
    let probes_network = task.health_check.as_ref().is_some_and(|check| {
        matches!(check.r#type(), HealthCheckType::Http | HealthCheckType::Tcp)
    });
    if probes_network && !container.network_infos.is_empty() {
        return Err(format!(
            "task {}: HTTP and TCP health checks are not possible with network_infos of its own",
            task.task_id
        ));
    }
    Ok(())
}

fn fits(cost: &Cost, site: &Site<'_>) -> Result<(), String> {
    let wanted = cost.total();
    if site.left.contains(&wanted) {
        Ok(())
    } else {
        Err(format!(
            "it needs {wanted}, and the offer has {} left",
            site.left
        ))
    }
}
