//! ACCEPT: launching on what was offered.

use bcs_mesos::link::{Command, LaunchCommand};
use bcs_mesos::types::{
    AgentId, AllocationInfo, ExecutorId, ExecutorInfo, ExecutorInfoType, FrameworkId, LaunchGroup,
    OperationType, Reason, Resource, Task, TaskId, TaskInfo, TaskState,
};
use bcs_mesos::{Resources, WireName as _, operator, scheduler};

use super::validate::{self, Cost, Site};
use super::{Core, ExecutorRecord, Now, TaskRecord};

/// What the operations of one ACCEPT share.
struct Ground {
    framework: FrameworkId,
    agent: AgentId,
    role: String,
    left: Resources,
}

impl Core {
    pub(super) fn accept(
        &mut self,
        framework: &FrameworkId,
        accept: scheduler::call::Accept,
        now: Now,
    ) {
        let mut ground: Option<Ground> = None;
        let mut problem: Option<(Reason, String)> = None;
        for id in &accept.offer_ids {
            let held = self
                .offers
                .get(id)
                .is_some_and(|offer| offer.framework == *framework);
            let offer = if held { self.take_offer(id) } else { None };
            let Some(offer) = offer else {
                problem = Some((
                    Reason::InvalidOffers,
                    format!("offer {id} is no longer valid"),
                ));
                continue;
            };
            match &mut ground {
                None => {
                    ground = Some(Ground {
                        framework: framework.clone(),
                        agent: offer.agent,
                        role: offer.role,
                        left: offer.resources,
                    });
                }
                Some(ground) if ground.agent == offer.agent && ground.role == offer.role => {
                    ground.left.add(&offer.resources);
                }
                Some(_) => {
                    let text =
                        "the offers of one ACCEPT must be of one agent and one role".to_owned();
                    problem = Some((Reason::InvalidOffers, text));
                }
            }
        }
        if accept.offer_ids.is_empty() {
            problem = Some((Reason::InvalidOffers, "no offer is named".to_owned()));
        }
        if let (None, Some(ground)) = (&problem, &ground)
            && self
                .agents
                .get(&ground.agent)
                .is_none_or(|agent| agent.session().is_none())
        {
            problem = Some((
                Reason::AgentDisconnected,
                format!("agent {} is disconnected", ground.agent),
            ));
        }
        let (Some(mut ground), None) = (ground, &problem) else {
            let (reason, text) =
                problem.unwrap_or_else(|| (Reason::InvalidOffers, "no offer is valid".to_owned()));
            self.drop_launches(framework, &accept, reason, &text, now);
            return;
        };
        for operation in accept.operations {
            match (operation.r#type(), operation.launch, operation.launch_group) {
                (OperationType::Launch, Some(launch), _) => {
                    for task in launch.task_infos {
                        self.launch(&mut ground, task, now);
                    }
                }
                (OperationType::LaunchGroup, _, Some(group)) => {
                    self.launch_group(&mut ground, group, now);
                }
                (other, ..) => {
                    tracing::warn!(framework = %framework, operation = %other, "operation is not supported, ignored");
                }
            }
        }
        let (agent, left) = (ground.agent, ground.left);
        self.filter(framework, &agent, &left, accept.filters.as_ref(), now);
        self.dirty.insert(agent);
    }

    /// Every launch of an ACCEPT that cannot be is reported; nothing is silently lost.
    fn drop_launches(
        &mut self,
        framework: &FrameworkId,
        accept: &scheduler::call::Accept,
        reason: Reason,
        text: &str,
        now: Now,
    ) {
        for operation in &accept.operations {
            let single = operation
                .launch
                .iter()
                .flat_map(|launch| &launch.task_infos);
            let grouped = operation
                .launch_group
                .iter()
                .flat_map(|group| &group.task_group.tasks);
            for task in single.chain(grouped) {
                let status = self.own_status(
                    &task.task_id,
                    Some(&task.agent_id),
                    TaskState::Dropped,
                    reason,
                    text,
                    now,
                );
                self.send_status(framework, status);
            }
        }
    }

    fn launch(&mut self, ground: &mut Ground, mut task: TaskInfo, now: Now) {
        let executor_id = task
            .executor
            .as_ref()
            .map(|executor| executor.executor_id.clone());
        let checked = self.with_site(ground, executor_id.as_ref(), |site| {
            validate::launch(&task, site)
        });
        let cost = match checked {
            Ok(cost) => cost,
            Err(text) => {
                let id = task.task_id.clone();
                self.refuse(ground, &id, Reason::TaskInvalid, &text, now);
                return;
            }
        };
        // A task with a command only has an executor of its own, which the agent provides.
        let executor = task.executor.clone().unwrap_or_else(|| ExecutorInfo {
            executor_id: ExecutorId::new(task.task_id.value.clone()),
            name: Some(format!("Command executor of task {}", task.task_id)),
            source: Some(task.task_id.value.clone()),
            ..ExecutorInfo::default()
        });
        allocate_to(&mut task.resources, &ground.role);
        if let Some(executor) = &mut task.executor {
            allocate_to(&mut executor.resources, &ground.role);
        }
        self.start(ground, executor, vec![task], cost, false);
    }

    fn launch_group(&mut self, ground: &mut Ground, group: LaunchGroup, now: Now) {
        let executor_id = group.executor.executor_id.clone();
        let checked = self.with_site(ground, Some(&executor_id), |site| {
            validate::launch_group(&group, site)
        });
        let LaunchGroup {
            executor,
            task_group,
        } = group;
        match checked {
            Err(text) => {
                for task in &task_group.tasks {
                    self.refuse(ground, &task.task_id, Reason::TaskGroupInvalid, &text, now);
                }
            }
            Ok(cost) => {
                let mut tasks = task_group.tasks;
                for task in &mut tasks {
                    allocate_to(&mut task.resources, &ground.role);
                }
                self.start(ground, executor, tasks, cost, true);
            }
        }
    }

    fn with_site<R>(
        &self,
        ground: &Ground,
        executor: Option<&ExecutorId>,
        check: impl FnOnce(&Site<'_>) -> Result<R, String>,
    ) -> Result<R, String> {
        let framework = self
            .frameworks
            .get(&ground.framework)
            .ok_or("the framework is gone")?;
        let running = executor
            .and_then(|executor| {
                framework
                    .executors
                    .get(&(ground.agent.clone(), executor.clone()))
            })
            .map(|record| &record.info);
        check(&Site {
            framework: &ground.framework,
            agent: &ground.agent,
            left: &ground.left,
            minimum: self.rules.executor_minimum,
            running,
            taken: &|id| framework.tasks.contains_key(id),
        })
    }

    fn refuse(&mut self, ground: &Ground, task: &TaskId, reason: Reason, text: &str, now: Now) {
        let status = self.own_status(
            task,
            Some(&ground.agent),
            TaskState::Error,
            reason,
            text,
            now,
        );
        self.send_status(&ground.framework, status);
    }

    fn start(
        &mut self,
        ground: &mut Ground,
        mut executor: ExecutorInfo,
        tasks: Vec<TaskInfo>,
        cost: Cost,
        group: bool,
    ) {
        executor.framework_id = Some(ground.framework.clone());
        if executor.r#type.is_none() && executor.command.is_some() {
            executor.r#type = Some(ExecutorInfoType::Custom.number());
        }
        allocate_to(&mut executor.resources, &ground.role);
        let total = cost.total();
        ground.left.subtract(&total);
        if let Some(agent) = self.agents.get_mut(&ground.agent) {
            agent.used.add(&total);
        }
        let Some(framework) = self.frameworks.get_mut(&ground.framework) else {
            return;
        };
        let key = (ground.agent.clone(), executor.executor_id.clone());
        framework
            .executors
            .entry(key)
            .or_insert_with(|| ExecutorRecord {
                info: executor.clone(),
                resources: cost.executor,
                shutdown: false,
            });
        let info = framework.info.clone();
        let mut added = Vec::new();
        for (task, resources) in tasks.iter().zip(cost.tasks) {
            let record = task_record(&ground.framework, &executor.executor_id, task, resources);
            added.push(record.task.clone());
            framework.tasks.insert(task.task_id.clone(), record);
        }
        for task in added {
            self.notice(|_| operator::Event {
                r#type: Some(operator::event::Type::TaskAdded.number()),
                task_added: Some(operator::event::TaskAdded { task }),
                ..operator::Event::default()
            });
        }
        let launch = LaunchCommand {
            framework: info,
            executor,
            tasks,
            group,
        };
        self.command(
            &ground.agent,
            Command {
                launch: Some(launch),
                ..Command::default()
            },
        );
    }
}

fn allocate_to(resources: &mut [Resource], role: &str) {
    for resource in resources {
        resource
            .allocation_info
            .get_or_insert_with(|| AllocationInfo {
                role: Some(role.to_owned()),
            });
    }
}

fn task_record(
    framework: &FrameworkId,
    executor: &ExecutorId,
    task: &TaskInfo,
    resources: Resources,
) -> TaskRecord {
    let task = Task {
        name: task.name.clone(),
        task_id: task.task_id.clone(),
        framework_id: framework.clone(),
        executor_id: Some(executor.clone()),
        agent_id: task.agent_id.clone(),
        state: TaskState::Staging.number(),
        resources: task.resources.clone(),
        labels: task.labels.clone(),
        discovery: task.discovery.clone(),
        container: task.container.clone(),
        health_check: task.health_check.clone(),
        kill_policy: task.kill_policy.clone(),
        ..Task::default()
    };
    TaskRecord {
        task,
        resources,
        holds: true,
        kill: None,
    }
}
