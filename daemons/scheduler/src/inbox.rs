//! The way into the core: one bounded queue for events and orders.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bcs_httpd::Failure;
use http::StatusCode;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::core::Event;
use crate::core::command::Command;
use crate::core::events::Ticket;

/// Events that wait at most; then senders wait, and with them the stream from the master.
pub(crate) const CAPACITY: usize = 4096;

/// How long a caller is kept waiting while nothing can be stored.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(1);

type Answer = Result<Value, Failure>;

/// A handle on the queue.
#[derive(Debug, Clone)]
pub(crate) struct Inbox {
    sender: mpsc::Sender<Event>,
    callers: Arc<Mutex<HashMap<Ticket, oneshot::Sender<Answer>>>>,
    next: Arc<AtomicU64>,
    /// Why nothing can be stored at present.
    outage: Arc<watch::Sender<Option<String>>>,
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
        self.storing().await?;
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

    /// Waits a moment for an outage to end.
    async fn storing(&self) -> Result<(), Failure> {
        let mut outage = self.outage.subscribe();
        let over = tokio::time::timeout(OUTAGE_PATIENCE, outage.wait_for(Option::is_none)).await;
        if over.is_ok() {
            return Ok(());
        }
        let cause = self.outage.borrow().clone().unwrap_or_default();
        let text = format!("refused, because the scheduler cannot store anything now: {cause}");
        Err(Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            1_405_002,
            text,
        ))
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
        self.outage.send_replace(Some(cause.to_owned()));
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
        self.outage.send_replace(None);
    }

    /// Lets go of everybody who still waits: no answer will come.
    pub(crate) fn close(&self) {
        self.callers().clear();
    }

    fn callers(&self) -> std::sync::MutexGuard<'_, HashMap<Ticket, oneshot::Sender<Answer>>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
