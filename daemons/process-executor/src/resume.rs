//! After a restart of the daemon: records say what was meant, the keeper says what became of it.

use std::collections::BTreeMap;

use bcs_keeper::protocol::Task;

use crate::group::Group;
use crate::keeper::Sink;
use crate::step::{Effect, Event, Exit, Phase, Process, Report};

impl Group {
    /// Picks one task up where it was.
    pub(crate) fn resume(&mut self, id: &str, list: &BTreeMap<String, Task>, told_running: bool) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let phase = slot.state.phase;
        let awaiting = slot.state.awaiting;
        if phase != Phase::Stopped && phase != Phase::Staging {
            for stream in ["stdout", "stderr"] {
                self.host.logs.watch(&slot.plan.log(stream));
            }
        }
        match (phase, slot.state.process) {
            (Phase::Staging, _) => self.apply(id, Event::Launch),
            (Phase::Stopped, _) if slot.state.reported => {
                self.forget(vec![slot.main_id(), slot.start_id()]);
            }
            (Phase::Stopped, _) => self.clean_up(id),
            (Phase::Starting | Phase::Stopping, None) if awaiting => {
                let grace = slot.plan.facts.start_grace;
                self.effect(id, Effect::AwaitPid(grace));
            }
            (Phase::Starting | Phase::Stopping | Phase::Running, None) => {
                self.resume_start(id, list);
            }
            (Phase::Starting | Phase::Running | Phase::Stopping, Some(process)) => {
                self.resume_program(id, process, list);
                if !told_running {
                    self.tell_again(id);
                }
            }
        }
    }

    /// The start was ordered: did it happen?
    fn resume_start(&mut self, id: &str, list: &BTreeMap<String, Task>) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let (main_id, start_id) = (slot.main_id(), slot.start_id());
        let stopping = slot.state.phase == Phase::Stopping;
        let pid_file = slot.plan.facts.pid_file;
        let process = |task: &Task| {
            Ok(Process {
                pid: task.pid,
                start_time: task.start_time,
            })
        };
        let known = match (list.get(&main_id), list.get(&start_id)) {
            (Some(task), _) if pid_file => Some((task, Event::Found(process(task)))),
            (Some(task), _) | (None, Some(task)) => Some((task, Event::Spawned(process(task)))),
            (None, None) => None,
        };
        match known {
            Some((task, event)) => {
                self.watch(task);
                self.apply(id, event);
                if let Some(exit) = &task.exit {
                    self.keeper_exit(&task.id, exit);
                }
            }
            None if stopping => {
                let why = "stopped as ordered before it was started".to_owned();
                self.apply(id, Event::Spawned(Err(why)));
            }
            None => self.spawn(id),
        }
    }

    /// The program ran: does it still?
    fn resume_program(&mut self, id: &str, process: Process, list: &BTreeMap<String, Task>) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let main_id = slot.main_id();
        let stop = slot
            .state
            .stop
            .filter(|_| slot.state.phase == Phase::Stopping);
        match list.get(&main_id) {
            Some(task) => {
                if let Some(exit) = &task.exit {
                    self.keeper_exit(&main_id, exit);
                    return;
                }
                self.watch(task);
                self.host.metrics.adopted.inc();
            }
            // The keeper's records are gone. The program may still run all the same.
            None => self.adopt_again(id, process),
        }
        match stop {
            None => self.start_checks(id),
            Some(stop) if stop.by_command => {
                // Nobody knows how far the restart command got; the pid file will tell.
                self.apply(id, Event::RestartCommandEnded(Ok(())));
            }
            // Asked once more, in case the daemon died before it asked; the deadline stands.
            Some(_) => self.terminate(id),
        }
    }

    /// A state is recorded before its report is: a daemon that died in between has told nobody.
    fn tell_again(&mut self, id: &str) {
        if self
            .slots
            .get(id)
            .is_some_and(|slot| slot.state.phase == Phase::Running)
        {
            self.effect(id, Effect::Report(Report::Running));
        }
    }

    fn watch(&self, task: &Task) {
        if task.exit.is_none() {
            let sink = Sink::Inbox(self.exit_sender.clone());
            self.host.keeper.watch(&task.id, sink, true);
        }
    }

    fn adopt_again(&self, id: &str, process: Process) {
        let (Some(later), Some(slot)) = (self.step_later(id), self.slots.get(id)) else {
            return;
        };
        let (host, main_id, exits) = (self.host.clone(), slot.main_id(), self.exit_sender.clone());
        self.host.tasks.spawn("adopt", async move {
            host.keeper.watch(&main_id, Sink::Inbox(exits), false);
            let Process { pid, start_time } = process;
            if let Err(failure) = host.keeper.adopt(main_id.clone(), pid, start_time).await {
                host.keeper.unwatch(&main_id);
                let text = format!("it is gone and nobody saw how it ended ({failure})");
                later
                    .send(Event::Exited(Exit {
                        code: -1,
                        text,
                        oom: false,
                    }))
                    .await;
            }
        });
    }
}
