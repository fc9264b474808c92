//! Calls to the master. Those whose order matters go through one lane, one after the other;
//! acknowledgements go side by side.
//!
//! A call that is lost is driven again by the core (reconciliation, the kill timer, the agents' own
//! retransmission), so a full lane drops instead of holding up the core. A lost ACCEPT is told.

use std::sync::Arc;

use bcs_kit::{Context, Shutdown};
use bcs_mesos::scheduler::{Call, call};
use bcs_mesos::{ContentType, Filters, WireName as _};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{Method, StatusCode, header};
use tokio::sync::{Notify, mpsc, watch};

use super::master::{MasterError, Session, agents, error_text};
use crate::core::Event;
use crate::inbox::Inbox;

/// Calls that wait in order.
const LANE: usize = 8192;
/// Acknowledgements that wait, and those under way.
const ACKNOWLEDGEMENTS: usize = 8192;
const ACKNOWLEDGE_AT_ONCE: usize = 32;

struct Ordered {
    call: Box<Call>,
    session: u64,
    /// Of an ACCEPT.
    taskgroups: Vec<String>,
}

/// Takes calls; cheap and never waits.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    ordered: mpsc::Sender<Ordered>,
    acknowledgements: mpsc::Sender<(Box<Call>, u64)>,
    agents: Arc<Notify>,
    inbox: Inbox,
}

type Current = watch::Receiver<Option<Arc<Session>>>;

impl Caller {
    /// Starts the lanes.
    pub(crate) fn start(
        context: &Context,
        inbox: Inbox,
        sessions: &Current,
        encoding: ContentType,
    ) -> Self {
        let (ordered, ordered_receiver) = mpsc::channel(LANE);
        let (acknowledgements, acknowledgement_receiver) = mpsc::channel(ACKNOWLEDGEMENTS);
        let notify = Arc::new(Notify::new());
        let shutdown = &context.shutdown;
        context.tasks.spawn(
            "scheduler-calls",
            order(
                ordered_receiver,
                inbox.clone(),
                sessions.clone(),
                encoding,
                shutdown.clone(),
            ),
        );
        context.tasks.spawn(
            "scheduler-acknowledgements",
            acknowledge(
                acknowledgement_receiver,
                sessions.clone(),
                encoding,
                shutdown.clone(),
            ),
        );
        context.tasks.spawn(
            "scheduler-agents",
            list_agents(
                Arc::clone(&notify),
                inbox.clone(),
                sessions.clone(),
                shutdown.clone(),
            ),
        );
        Self {
            ordered,
            acknowledgements,
            agents: notify,
            inbox,
        }
    }

    /// A call in order; `taskgroups` are those that an ACCEPT launches.
    pub(crate) fn call(&self, call: Box<Call>, session: u64, taskgroups: Vec<String>) {
        if let Err(error) = self.ordered.try_send(Ordered {
            call,
            session,
            taskgroups,
        }) {
            let lost = match error {
                mpsc::error::TrySendError::Full(lost) | mpsc::error::TrySendError::Closed(lost) => {
                    lost
                }
            };
            tracing::warn!("the lane to the master is full, a call is dropped");
            if !lost.taskgroups.is_empty() {
                // The core itself calls here, so it must not wait for its own inbox.
                let event = Event::AcceptFailed {
                    taskgroups: lost.taskgroups,
                    certain: true,
                    reason: "too many calls wait for the master".to_owned(),
                };
                let inbox = self.inbox.clone();
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a single send that ends with the inbox"
                )]
                drop(tokio::spawn(async move { inbox.send(event).await }));
            }
        }
    }

    pub(crate) fn acknowledge(&self, call: Box<Call>, session: u64) {
        // A dropped acknowledgement is asked for again by the agent.
        drop(self.acknowledgements.try_send((call, session)));
    }

    /// Asks for the list of agents soon.
    pub(crate) fn fetch_agents(&self) {
        self.agents.notify_one();
    }
}

/// The session a call is for, if it is still the current one.
fn current(sessions: &Current, number: u64) -> Option<Arc<Session>> {
    sessions
        .borrow()
        .clone()
        .filter(|session| session.number == number)
}

/// What became of a call.
enum Outcome {
    Accepted,
    /// The master cannot have acted on it.
    Refused(String),
    /// Nobody knows.
    Doubtful(String),
}

async fn post(session: &Session, call: &Call, encoding: ContentType) -> Outcome {
    let endpoint = session.client.endpoint().to_string();
    let body = match bcs_mesos::encode(call, encoding) {
        Ok(body) => body,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let sent = session
        .client
        .request(Method::POST, "/api/v1/scheduler")
        .header(header::CONTENT_TYPE, encoding.media_type())
        .header("Mesos-Stream-Id", &session.stream_id)
        .body(body)
        .send()
        .await;
    match sent {
        Ok(response) if response.status() == StatusCode::ACCEPTED => Outcome::Accepted,
        Ok(response) => {
            let status = response.status();
            let text = error_text(response).await;
            Outcome::Refused(
                MasterError::Status {
                    endpoint,
                    status,
                    text,
                }
                .to_string(),
            )
        }
        Err(source) if source.is_connect() => {
            Outcome::Refused(MasterError::Transport { endpoint, source }.to_string())
        }
        Err(source) => Outcome::Doubtful(MasterError::Transport { endpoint, source }.to_string()),
    }
}

async fn order(
    mut calls: mpsc::Receiver<Ordered>,
    inbox: Inbox,
    sessions: Current,
    encoding: ContentType,
    shutdown: Shutdown,
) {
    while let Some(Some(next)) = shutdown.run_until(calls.recv()).await {
        let outcome = match current(&sessions, next.session) {
            Some(session) => post(&session, &next.call, encoding).await,
            None => Outcome::Refused("the connection to the master was lost".to_owned()),
        };
        let (certain, reason) = match outcome {
            Outcome::Accepted => continue,
            Outcome::Refused(reason) => (true, reason),
            Outcome::Doubtful(reason) => (false, reason),
        };
        tracing::warn!(%reason, "call to the master failed");
        if !next.taskgroups.is_empty() {
            if certain && let Some(session) = current(&sessions, next.session) {
                // The master still holds these offers for us, and nobody here does.
                post(&session, &give_back(&next.call), encoding).await;
            }
            let taskgroups = next.taskgroups;
            inbox
                .send(Event::AcceptFailed {
                    taskgroups,
                    certain,
                    reason,
                })
                .await;
        }
    }
}

/// The DECLINE of what an ACCEPT did not take.
fn give_back(accept: &Call) -> Call {
    let offer_ids = accept
        .accept
        .as_ref()
        .map(|accept| accept.offer_ids.clone());
    Call {
        r#type: Some(call::Type::Decline.number()),
        framework_id: accept.framework_id.clone(),
        decline: Some(call::Decline {
            offer_ids: offer_ids.unwrap_or_default(),
            filters: Some(Filters {
                refuse_seconds: Some(1.0),
            }),
        }),
        ..Call::default()
    }
}

async fn acknowledge(
    mut calls: mpsc::Receiver<(Box<Call>, u64)>,
    sessions: Current,
    encoding: ContentType,
    shutdown: Shutdown,
) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
            next = calls.recv(), if under_way.len() < ACKNOWLEDGE_AT_ONCE => {
                let Some((call, number)) = next else { return };
                let Some(session) = current(&sessions, number) else { continue };
                under_way.push(async move {
                    if let Outcome::Refused(reason) | Outcome::Doubtful(reason) =
                        post(&session, &call, encoding).await
                    {
                        tracing::debug!(%reason, "acknowledgement failed; the agent will ask again");
                    }
                });
            }
        }
    }
}

async fn list_agents(wanted: Arc<Notify>, inbox: Inbox, sessions: Current, shutdown: Shutdown) {
    while shutdown.run_until(wanted.notified()).await.is_some() {
        let Some(session) = sessions.borrow().clone() else {
            continue;
        };
        match agents(&session.client).await {
            Ok(list) => {
                inbox.send(Event::Agents(list)).await;
            }
            Err(error) => tracing::warn!(%error, "cannot list the agents"),
        }
    }
}
