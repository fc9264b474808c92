//! Reports on their way to the agent: recorded, queued, sent in order until taken, kept until
//! acknowledged; and the stream that everything from the agent comes through.

use std::collections::VecDeque;

use bcs_mesos::TaskState;
use bcs_mesos::executor::call;
use tokio::time::Instant;

use super::{Group, Incoming, LinkState, Queued};
use crate::agent::{Lost, Sent};
use crate::records::Record;
use crate::report;

/// Non-terminal reports of a task that wait for the agent; older ones are superseded.
const MAX_WAITING: usize = 16;

impl Group {
    pub(super) fn connect(&mut self) {
        if self.link != LinkState::Down {
            return;
        }
        self.link = LinkState::Connecting;
        let unacknowledged_tasks = self
            .slots
            .values()
            .filter_map(|slot| slot.info.as_deref().cloned())
            .collect();
        let unacknowledged_updates = self
            .queue
            .iter()
            .map(|queued| call::Update {
                status: queued.status.clone(),
            })
            .collect();
        for queued in &mut self.queue {
            // They travel with SUBSCRIBE; those made later are sent on their own.
            queued.posted = true;
        }
        let subscribe = Box::new(call::Subscribe {
            unacknowledged_tasks,
            unacknowledged_updates,
        });
        let shutdown = self.host.shutdown.clone();
        let follow = self
            .line
            .clone()
            .follow(subscribe, self.sender.clone(), shutdown);
        self.host.tasks.spawn("agent stream", Box::pin(follow));
    }

    pub(super) fn link_lost(&mut self, lost: &Lost) {
        let was_up = self.link == LinkState::Up;
        self.link = LinkState::Down;
        self.lost_since.get_or_insert_with(Instant::now);
        let executor = &self.environment.executor_id;
        if was_up || self.backoff.worth_logging() {
            tracing::info!(executor, reason = lost.reason, "no stream from the agent");
        }
        if was_up {
            self.host.metrics.reconnects.inc();
        }
        let idle = self.slots.values().all(|slot| slot.state.reported);
        if lost.unknown
            && idle
            && (self.backoff.attempt() > 5 || !self.queue.is_empty() && self.backoff.attempt() > 2)
        {
            // Nothing of it is left here and nobody there wants to hear about it.
            self.over = true;
            return;
        }
        self.connect_at = Some(Instant::now() + self.backoff.next_delay());
    }

    /// Reports a state: recorded first, then queued, then sent.
    pub(crate) fn report(&mut self, id: &str, state: TaskState) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let status = report::status(slot, state, &self.environment, &self.hostname);
        let executor = self.environment.executor_id.clone();
        let record = Record::Update {
            executor,
            status: Box::new(status.clone()),
        };
        if let Err(error) = self.host.records.append(record) {
            // Better told than lost: a daemon that dies now makes the report anew from the state.
            tracing::warn!(task = id, %error, "a report is not recorded");
        }
        let waiting = |queued: &Queued| {
            queued.status.task_id.value == id
                && !queued.posted
                && !report::terminal(queued.status.state)
        };
        if self.queue.iter().filter(|queued| waiting(queued)).count() >= MAX_WAITING
            && let Some(at) = self.queue.iter().position(waiting)
            && let Some(old) = self.queue.remove(at)
        {
            self.record_ack(id, &old.status.uuid.unwrap_or_default(), false);
        }
        self.queue.push_back(Queued {
            status,
            posted: false,
        });
        self.pump();
    }

    /// Sends the next report, in order, one at a time.
    pub(super) fn pump(&mut self) {
        if self.posting || self.link != LinkState::Up || self.retry_at.is_some() {
            return;
        }
        let Some(next) = self.queue.iter().find(|queued| !queued.posted) else {
            return;
        };
        self.posting = true;
        let status = next.status.clone();
        let uuid = status.uuid.clone().unwrap_or_default();
        let (line, sender) = (self.line.clone(), self.sender.clone());
        self.host.tasks.spawn("update", async move {
            let sent = line.update(call::Update { status }).await;
            drop(sender.send(Incoming::Posted { uuid, sent }).await);
        });
    }

    pub(super) fn posted(&mut self, uuid: &bytes::Bytes, sent: Sent) {
        self.posting = false;
        let own = |queued: &Queued| queued.status.uuid.as_ref() == Some(uuid);
        match sent {
            Sent::Accepted => {
                self.post_backoff.reset();
                self.host.metrics.updates.inc();
                if let Some(queued) = self.queue.iter_mut().find(|queued| own(queued)) {
                    queued.posted = true;
                }
            }
            Sent::Refused(reason) => {
                tracing::error!(reason, "the agent refuses a report for good; it is dropped");
                if let Some(at) = self.queue.iter().position(own)
                    && let Some(queued) = self.queue.remove(at)
                {
                    self.record_ack(&queued.status.task_id.value, uuid, false);
                }
            }
            Sent::Failed(reason) => {
                tracing::debug!(reason, "report not sent; trying again");
                self.retry_at = Some(Instant::now() + self.post_backoff.next_delay());
            }
        }
        self.pump();
    }

    pub(super) fn acknowledged(&mut self, id: &str, uuid: &bytes::Bytes) {
        let own = |queued: &Queued| queued.status.uuid.as_ref() == Some(uuid);
        let running = self
            .queue
            .iter()
            .any(|queued| own(queued) && queued.status.state() == TaskState::Running);
        self.queue.retain(|queued| !own(queued));
        if self.queue.is_empty() {
            // A program runs for days; its reports are over in a moment.
            self.queue = VecDeque::new();
        }
        if let Some(slot) = self.slots.get_mut(id) {
            slot.info = None;
        }
        self.record_ack(id, uuid, running);
        self.pump();
    }

    pub(super) fn record_ack(&self, id: &str, uuid: &bytes::Bytes, running: bool) {
        let executor = self.environment.executor_id.clone();
        let record = Record::Ack {
            executor,
            task: id.to_owned(),
            uuid: hex::encode(uuid),
            running,
        };
        if let Err(error) = self.host.records.append(record) {
            // The report will be sent once more after a restart; the agent knows it by its id.
            tracing::debug!(%error, "an acknowledgement is not recorded");
        }
    }

    /// Repeats an unchanged state, cheaply and unreliably.
    pub(crate) fn refresh(&mut self, id: &str) {
        let next = self.next_refresh();
        let Some(slot) = self.slots.get_mut(id) else {
            return;
        };
        slot.refresh_at = next;
        let data = report::refresh(slot, &self.hostname);
        self.send_message(data);
    }

    /// Sends a MESSAGE, once.
    pub(crate) fn send_message(&self, data: Vec<u8>) {
        if self.link != LinkState::Up {
            return;
        }
        let line = self.line.clone();
        self.host.tasks.spawn("message", async move {
            if let Sent::Refused(reason) | Sent::Failed(reason) = line.message(data).await {
                tracing::debug!(reason, "message not sent");
            }
        });
    }
}
