//! The way into the core: one bounded queue for events and orders.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bcs_httpd::Failure;
use http::StatusCode;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::core::Event;
use crate::core::command::Command;
use crate::core::events::Ticket;

/// Events that wait at most; then senders wait, and with them the stream from the master.
pub(crate) const CAPACITY: usize = 4096;

type Answer = Result<Value, Failure>;

/// A handle on the queue.
#[derive(Debug, Clone)]
pub(crate) struct Inbox {
    sender: mpsc::Sender<Event>,
    callers: Arc<Mutex<HashMap<Ticket, oneshot::Sender<Answer>>>>,
    next: Arc<AtomicU64>,
    /// Why nothing can be stored at present.
    outage: Arc<Mutex<Option<String>>>,
}

impl Inbox {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        let inbox = Self {
            sender,
            callers: Arc::default(),
            next: Arc::default(),
            outage: Arc::default(),
        };
        (inbox, receiver)
    }

    /// Puts an event in; false when the core has left.
    pub(crate) async fn send(&self, event: Event) -> bool {
        self.sender.send(event).await.is_ok()
    }

    /// Gives an order or asks a question; the answer comes after the commit.
    pub(crate) async fn ask(&self, command: Command) -> Answer {
        let leaving = || {
            let text = "the scheduler is leaving; try again";
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, 1_405_009, text)
        };
        if let Some(cause) = &*self.outage() {
            let text = format!("refused, because the scheduler cannot store anything now: {cause}");
            return Err(Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                1_405_002,
                text,
            ));
        }
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.callers().insert(ticket, sender);
        let event = Event::Command {
            ticket,
            command: Box::new(command),
        };
        if !self.send(event).await {
            self.callers().remove(&ticket);
            return Err(leaving());
        }
        receiver.await.unwrap_or_else(|_| Err(leaving()))
    }

    /// Delivers an answer; the caller may have gone.
    pub(crate) fn answer(&self, ticket: Ticket, answer: Answer) {
        if let Some(caller) = self.callers().remove(&ticket) {
            drop(caller.send(answer));
        }
    }

    /// Nothing can be stored: whoever waits is told so now, and whoever comes is refused until
    /// [`Inbox::stores_again`].
    pub(crate) fn cannot_store(&self, cause: &str) {
        *self.outage() = Some(cause.to_owned());
        let text = format!(
            "the scheduler cannot store anything now: {cause}; what you asked for may yet happen when it can, so look before you ask again"
        );
        let failure = Failure::new(StatusCode::SERVICE_UNAVAILABLE, 1_405_002, text);
        for (_, caller) in self.callers().drain() {
            drop(caller.send(Err(failure.clone())));
        }
    }

    /// The outage is over.
    pub(crate) fn stores_again(&self) {
        *self.outage() = None;
    }

    fn outage(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of everybody who still waits: no answer will come.
    pub(crate) fn close(&self) {
        self.callers().clear();
    }

    fn callers(&self) -> std::sync::MutexGuard<'_, HashMap<Ticket, oneshot::Sender<Answer>>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
