//! Messages of the scheduler to a running task (`BcsMessage`), and their results.

use std::sync::Arc;

use bcs_keeper::protocol::{Call, Failure, Scope, Signal};
use bcs_mesos::TaskState;
use bcs_model::message::{BcsMessage, CommandInspect, CommandResponse, MessageStatus, MessageType};

use crate::commands;
use crate::files::{Content, FileItem};
use crate::group::{Group, Incoming};
use crate::plan::Places;
use crate::step::{Event, Phase};

impl Group {
    /// A message arrived: for one task, or for all.
    pub(crate) fn message(&mut self, data: &[u8]) {
        let message = match read(data) {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(error, "a message of the scheduler is not understood");
                return;
            }
        };
        let resources = message
            .update_task_resources
            .iter()
            .flat_map(|update| &update.resources);
        let named: Vec<String> = match (&message.task_id, &message.request_command_task) {
            (Some(id), _) if !id.value.is_empty() => vec![id.value.clone()],
            (_, Some(request)) if !request.task_id.is_empty() => vec![request.task_id.clone()],
            _ if message.kind == MessageType::UpdateResources => {
                resources.map(|resource| resource.task_id.clone()).collect()
            }
            _ => self.slots.keys().cloned().collect(),
        };
        for id in named {
            if self.slots.contains_key(&id) {
                self.task_message(&id, message.clone());
            } else {
                tracing::warn!(task = id, "a message for a task that is not here");
            }
        }
    }

    fn task_message(&mut self, id: &str, message: BcsMessage) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let running = slot.state.phase == Phase::Running;
        let needs_program = matches!(
            message.kind,
            MessageType::Signal
                | MessageType::ReloadTask
                | MessageType::RestartTask
                | MessageType::RequestCommand
        );
        if needs_program && !running {
            let phase = slot.state.phase;
            return self.conclude(
                id,
                message,
                Err(format!("the task does not run ({phase:?})")),
            );
        }
        match message.kind {
            MessageType::LocalFile | MessageType::Remote | MessageType::Secret => {
                self.write_file(id, message);
            }
            MessageType::Signal => self.send_signal(id, message),
            MessageType::TaskStatusQuery => self.report_now(id),
            MessageType::UpdateResources => self.update_resources(id, message),
            MessageType::ReloadTask => self.reload(id, message),
            MessageType::RestartTask => {
                let grace = slot.plan.grace;
                if let Some(slot) = self.slots.get_mut(id) {
                    slot.restarting = Some(Box::new(message));
                }
                self.apply(id, Event::Restart { grace });
            }
            MessageType::RequestCommand => self.request_command(id, message),
            kind => {
                let why = format!("{kind:?} is not possible for a process that runs");
                self.conclude(id, message, Err(why));
            }
        }
    }

    fn report_now(&mut self, id: &str) {
        self.refresh(id);
    }

    fn write_file(&mut self, id: &str, message: BcsMessage) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let (plan, account) = (slot.plan.clone(), slot.account.clone());
        let (host, cancel) = (self.host.clone(), slot.cancel.clone());
        let copy = message.clone();
        self.later(id, message, async move {
            let places = Places::new(&host.settings);
            let item = FileItem::from_message(&copy, &places).map_err(|error| error.to_string())?;
            let item = item
                .ok_or("the message has no file; variables cannot change in a process that runs")?;
            let account = crate::effects::account_of(&host, &plan, account).await?;
            let content = match &item.content {
                Content::Inline(content) => content.expose().clone(),
                Content::Remote(source) => {
                    let (url, user) = (&source.url, &source.user);
                    let password = source.password.expose();
                    let limit = 64 << 20;
                    let fetch = host
                        .packages
                        .fetch_small(url, user, password, limit, &cancel);
                    fetch.await.map_err(|error| error.to_string())?
                }
            };
            let write = move || {
                item.write(&content, &account)
                    .map_err(|error| error.to_string())
            };
            tokio::task::spawn_blocking(write)
                .await
                .map_err(|error| error.to_string())?
        });
    }

    fn send_signal(&mut self, id: &str, message: BcsMessage) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let Some(order) = message.sig.clone() else {
            return self.conclude(id, message, Err("the message has no signal".to_owned()));
        };
        let (host, main_id) = (self.host.clone(), slot.main_id());
        let members =
            match order.process_name.is_empty() || order.process_name == slot.plan.proc_name {
                true => None,
                false => Some(slot.cgroup.processes()),
            };
        self.later(id, message, async move {
            let valid = nix::sys::signal::Signal::try_from(order.signal)
                .map_err(|_| format!("signal {} does not exist", order.signal))?;
            let Some(members) = members else {
                let scope = Scope::Process;
                let call = Call::Signal(Signal {
                    id: main_id,
                    signal: order.signal,
                    scope,
                });
                return host
                    .keeper
                    .call(call)
                    .await
                    .map(drop)
                    .map_err(|failure: Failure| failure.message);
            };
            let named = members.into_iter().filter(|pid| {
                let comm = std::fs::read_to_string(format!("/proc/{pid}/comm"));
                comm.is_ok_and(|comm| comm.trim_end() == order.process_name)
            });
            let mut count = 0;
            for pid in named {
                let pid = nix::unistd::Pid::from_raw(pid);
                nix::sys::signal::kill(pid, valid).map_err(|error| error.to_string())?;
                count += 1;
            }
            let name = &order.process_name;
            if count == 0 {
                Err(format!("no process {name:?} in the task"))
            } else {
                Ok(())
            }
        });
    }

    fn update_resources(&mut self, id: &str, message: BcsMessage) {
        let update = message.update_task_resources.clone().unwrap_or_default();
        let Some(wanted) = update.resources.into_iter().find(|one| one.task_id == id) else {
            return self.conclude(id, message, Err("no resources for this task".to_owned()));
        };
        let pids = self.host.settings.task_pids;
        let Some(slot) = self.slots.get_mut(id) else {
            return;
        };
        let plan = Arc::make_mut(&mut slot.plan);
        let before = (plan.limit, plan.request);
        for amounts in [&mut plan.limit, &mut plan.request] {
            if wanted.cpu > 0.0 {
                amounts.cpus = wanted.cpu;
            }
            if wanted.mem > 0.0 {
                amounts.mem = wanted.mem;
            }
        }
        let result = match slot
            .cgroup
            .apply(&crate::prepare::limits(plan, pids))
            .complaint()
        {
            None => Ok(()),
            Some(complaint) => {
                // Memory cannot shrink below what is in use: what is in force stays as it was.
                let plan = Arc::make_mut(&mut slot.plan);
                (plan.limit, plan.request) = before;
                slot.cgroup.apply(&crate::prepare::limits(plan, pids));
                Err(complaint)
            }
        };
        self.conclude(id, message, result);
    }

    fn reload(&mut self, id: &str, message: BcsMessage) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let Some(argv) = slot.plan.reload.clone() else {
            let why = "the process has no reloadCmd".to_owned();
            return self.conclude(id, message, Err(why));
        };
        let Some(command) = self.command(id, argv, "reload") else {
            return;
        };
        let host = self.host.clone();
        self.later(id, message, async move {
            commands::run(&host, command).await.success()
        });
    }

    fn request_command(&mut self, id: &str, message: BcsMessage) {
        let request = message.request_command_task.clone().unwrap_or_default();
        let Some(mut command) = self.command(id, request.cmd.clone(), "command") else {
            return;
        };
        let pair = |text: &String| {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        command.env = request.env.iter().filter_map(pair).collect();
        command.cwd = Some(request.working_dir.clone()).filter(|dir| !dir.is_empty());
        command.user = Some(request.user.clone()).filter(|user| !user.is_empty());
        let (host, sender, task) = (self.host.clone(), self.sender.clone(), id.to_owned());
        self.host.tasks.spawn("command", async move {
            let empty = command.argv.is_empty();
            let output = match empty {
                true => commands::Output {
                    code: Err("the command has no words".to_owned()),
                    stdout: String::new(),
                    stderr: String::new(),
                },
                false => commands::run(&host, command).await,
            };
            let (status, text, exit_code) = match output.code {
                Ok(code) => ("finish", String::new(), i64::from(code)),
                Err(why) => ("failed", why, -1),
            };
            let response = CommandResponse {
                id: request.id,
                task_id: task.clone(),
                container_id: request.container_id,
                status: status.to_owned(),
                message: text,
                comm_inspect: Some(CommandInspect {
                    exit_code,
                    stdout: output.stdout,
                    stderr: output.stderr,
                }),
            };
            let message = Box::new(BcsMessage {
                id: message.id,
                kind: MessageType::ResponseCommand,
                task_group_id: message.task_group_id,
                task_id: message.task_id,
                response_command_task: Some(response),
                status: MessageStatus::Success,
                complete_time: bcs_kit::clock::unix_seconds(),
                create_time: message.create_time,
                ..BcsMessage::default()
            });
            drop(sender.send(Incoming::Answer { task, message }).await);
        });
    }

    /// Deals with a message in a future of its own and answers through the inbox.
    fn later<F>(&self, id: &str, mut message: BcsMessage, work: F)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let (sender, task) = (self.sender.clone(), id.to_owned());
        self.host.tasks.spawn("scheduler message", async move {
            let result = work.await;
            finish(&mut message, result);
            let message = Box::new(message);
            drop(sender.send(Incoming::Answer { task, message }).await);
        });
    }

    pub(crate) fn conclude(
        &mut self,
        id: &str,
        mut message: BcsMessage,
        result: Result<(), String>,
    ) {
        finish(&mut message, result);
        self.answer(id, message);
    }

    /// The result goes back: of a command as a message of type 13, of all else in the state.
    pub(crate) fn answer(&mut self, id: &str, message: BcsMessage) {
        if message.kind == MessageType::ResponseCommand {
            self.send_message(serde_json::to_vec(&message).unwrap_or_default());
            return;
        }
        let Some(slot) = self.slots.get_mut(id) else {
            return;
        };
        tracing::info!(task = id, kind = ?message.kind, status = ?message.status, why = message.message, "message");
        slot.answer = Some(message);
        if slot.state.phase == Phase::Running {
            // Reliably: the scheduler waits for it.
            self.report(id, TaskState::Running);
        } else if slot.state.phase != Phase::Stopped {
            self.refresh(id);
        }
    }

    /// A restart that was asked for has come to an end, one way or the other.
    pub(crate) fn settle_restart(&mut self, id: &str, before: Phase) {
        let Some(slot) = self.slots.get_mut(id) else {
            return;
        };
        let (phase, text) = (slot.state.phase, slot.state.message.clone());
        if before == phase || !matches!(phase, Phase::Running | Phase::Stopped) {
            return;
        }
        let Some(mut message) = slot.restarting.take() else {
            return;
        };
        let result = match phase == Phase::Running && text.is_empty() {
            true => Ok(()),
            false if phase == Phase::Running => Err(text),
            false => Err(format!("the task ended: {text}")),
        };
        finish(&mut message, result);
        // The report of the new state, which follows at once, carries it.
        slot.answer = Some(*message);
    }
}

fn finish(message: &mut BcsMessage, result: Result<(), String>) {
    message.complete_time = bcs_kit::clock::unix_seconds();
    match result {
        Ok(()) => message.status = MessageStatus::Success,
        Err(why) => {
            message.status = MessageStatus::Failed;
            message.message = why;
        }
    }
    // The answer needs no content, least of all a secret one.
    message.local = None;
    message.secret = None;
    message.remote = None;
    message.env = None;
    message.env_remote = None;
}

/// Our scheduler sends JSON; the reference's sends it in base64 once more.
fn read(data: &[u8]) -> Result<BcsMessage, String> {
    use base64::Engine as _;
    serde_json::from_slice(data).or_else(|error| {
        let inner = base64::engine::general_purpose::STANDARD.decode(data);
        let inner = inner.map_err(|_| error.to_string())?;
        serde_json::from_slice(&inner).map_err(|error| error.to_string())
    })
}
