//! The subscription: connects, reads events, and connects again for ever.
//!
//! ```text
//!   away --SUBSCRIBE 200--> subscribed --EOF, ERROR, 5 heartbeats missed, odd data--> away
//!     ^                                                                                |
//!     +---- pause, doubling to 15 s; the next master of the list; a redirect at once --+
//! ```

use std::sync::Arc;
use std::time::Duration;

use bcs_httpd::{Client, TlsFiles};
use bcs_kit::{Backoff, Context};
use bcs_mesos::recordio::{Decoder, MAXIMUM_RECORD};
use bcs_mesos::scheduler::event::Type as EventType;
use bcs_mesos::scheduler::{Call, Event as Incoming, call};
use bcs_mesos::{
    ContentType, FrameworkCapability, FrameworkCapabilityType, FrameworkId, FrameworkInfo,
    WireName as _,
};
use http::{Method, StatusCode, header};

use super::master::{MasterError, Session, Sessions, error_text, redirected};
use crate::core::Event;
use crate::inbox::Inbox;
use crate::settings::Settings;

/// Until the master says how often it beats.
const FIRST_SILENCE: Duration = Duration::from_secs(75);
/// Beats that may be missed.
const MISSED_BEATS: f64 = 5.0;
const ANSWER_TIME: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const MOST_REDIRECTS: usize = 5;

/// Everything a subscription needs.
pub(crate) struct Subscriber {
    pub(crate) settings: Settings,
    pub(crate) encoding: ContentType,
    pub(crate) inbox: Inbox,
    pub(crate) sessions: Sessions,
    pub(crate) context: Context,
    /// The id from the store, then the one from the master.
    pub(crate) framework_id: Option<String>,
}

impl Subscriber {
    /// Subscribes for ever; returns at shutdown.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(self.settings.reconnect, LONGEST_PAUSE);
        let mut number = 0;
        let shutdown = self.context.shutdown.clone();
        loop {
            for master in self.settings.masters.clone() {
                number += 1;
                let ended = shutdown
                    .run_until(self.session(&master, number, &mut backoff))
                    .await;
                self.sessions.send_replace(None);
                let Some(Err(error)) = ended else { return };
                if !self
                    .inbox
                    .send(Event::Disconnected { session: number })
                    .await
                {
                    return;
                }
                self.context.ready.say(format!("{error}; trying again"));
                let going_on = backoff.wait(&shutdown).await;
                if backoff.worth_logging() {
                    tracing::warn!(%error, "no subscription to a master");
                }
                if !going_on {
                    return;
                }
            }
        }
    }

    async fn session(
        &mut self,
        master: &bcs_httpd::Endpoint,
        number: u64,
        backoff: &mut Backoff,
    ) -> Result<std::convert::Infallible, MasterError> {
        let tls = self.settings.tls.clone();
        let mut client =
            Client::new(master, tls.as_ref()).map_err(|source| MasterError::Client {
                endpoint: master.to_string(),
                source,
            })?;
        for _ in 0..MOST_REDIRECTS {
            match self.subscribe(&client, tls.as_ref()).await? {
                Answer::Redirect(other) => client = *other,
                Answer::Stream(response) => {
                    return self.read(client, *response, number, backoff).await;
                }
            }
        }
        Err(MasterError::Circle {
            endpoint: client.endpoint().to_string(),
        })
    }

    async fn subscribe(
        &self,
        client: &Client,
        tls: Option<&TlsFiles>,
    ) -> Result<Answer, MasterError> {
        let endpoint = client.endpoint().to_string();
        let call = self.call();
        let body =
            bcs_mesos::encode(&call, self.encoding).map_err(|error| MasterError::Protocol {
                endpoint: endpoint.clone(),
                text: error.to_string(),
            })?;
        let media = self.encoding.media_type();
        let request = client
            .stream_request(Method::POST, "/api/v1/scheduler")
            .header(header::CONTENT_TYPE, media)
            .header(header::ACCEPT, media)
            .body(body)
            .send();
        let response = tokio::time::timeout(ANSWER_TIME, request)
            .await
            .map_err(|_| MasterError::Silent {
                endpoint: endpoint.clone(),
                limit: ANSWER_TIME,
            })?
            .map_err(|source| MasterError::Transport {
                endpoint: endpoint.clone(),
                source,
            })?;
        match response.status() {
            StatusCode::OK => Ok(Answer::Stream(Box::new(response))),
            StatusCode::TEMPORARY_REDIRECT => {
                let location = response.headers().get(header::LOCATION);
                let location = location
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default();
                redirected(client.endpoint(), location, tls)
                    .map(Box::new)
                    .map(Answer::Redirect)
            }
            status => Err(MasterError::Status {
                endpoint,
                status,
                text: error_text(response).await,
            }),
        }
    }

    fn call(&self) -> Call {
        let framework = &self.settings.framework;
        let id = self.framework_id.clone().map(|value| FrameworkId { value });
        let capabilities = [
            FrameworkCapabilityType::PartitionAware,
            FrameworkCapabilityType::TaskKillingState,
            FrameworkCapabilityType::MultiRole,
        ];
        let info = FrameworkInfo {
            user: framework.user.clone(),
            name: framework.name.clone(),
            id: id.clone(),
            failover_timeout: Some(framework.failover_timeout.as_secs_f64()),
            checkpoint: Some(true),
            roles: framework.roles.clone(),
            principal: framework.principal.clone(),
            capabilities: capabilities
                .into_iter()
                .map(|capability| FrameworkCapability {
                    r#type: Some(capability.number()),
                })
                .collect(),
            ..FrameworkInfo::default()
        };
        Call {
            r#type: Some(call::Type::Subscribe.number()),
            framework_id: id,
            subscribe: Some(call::Subscribe {
                framework_info: info,
                suppressed_roles: Vec::new(),
            }),
            ..Call::default()
        }
    }

    async fn read(
        &mut self,
        client: Client,
        mut response: reqwest::Response,
        number: u64,
        backoff: &mut Backoff,
    ) -> Result<std::convert::Infallible, MasterError> {
        let endpoint = client.endpoint().to_string();
        let protocol = |text: String| MasterError::Protocol {
            endpoint: endpoint.clone(),
            text,
        };
        let stream_id = response
            .headers()
            .get("Mesos-Stream-Id")
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| protocol("no Mesos-Stream-Id".to_owned()))?
            .to_owned();
        let session = Arc::new(Session {
            number,
            client,
            stream_id,
        });
        let mut decoder = Decoder::new(MAXIMUM_RECORD);
        let mut silence = FIRST_SILENCE;
        loop {
            let chunk = tokio::time::timeout(silence, response.chunk())
                .await
                .map_err(|_| MasterError::Silent {
                    endpoint: endpoint.clone(),
                    limit: silence,
                })?
                .map_err(|source| MasterError::Transport {
                    endpoint: endpoint.clone(),
                    source,
                })?;
            let Some(chunk) = chunk else {
                let text = "the end was reached".to_owned();
                return Err(MasterError::Ended { endpoint, text });
            };
            decoder.push(&chunk);
            while let Some(record) = decoder
                .next_record()
                .map_err(|error| protocol(error.to_string()))?
            {
                let event: Incoming = bcs_mesos::decode(&record, self.encoding)
                    .map_err(|error| protocol(error.to_string()))?;
                if let Some(subscribed) = &event.subscribed {
                    if let Some(seconds) = subscribed.heartbeat_interval_seconds {
                        silence = Duration::try_from_secs_f64(seconds * MISSED_BEATS)
                            .unwrap_or(FIRST_SILENCE)
                            .clamp(Duration::from_secs(1), Duration::from_secs(600));
                    }
                    self.framework_id = Some(subscribed.framework_id.value.clone());
                    self.sessions.send_replace(Some(Arc::clone(&session)));
                    backoff.reset();
                    self.context
                        .ready
                        .say(format!("subscribed to master {endpoint}"));
                    tracing::info!(master = %endpoint, "subscribed");
                }
                if let Some(error) = event.error {
                    return Err(MasterError::Ended {
                        endpoint,
                        text: error.message,
                    });
                }
                if let Some(event) = translate(event, number)
                    && !self.inbox.send(event).await
                {
                    return Err(MasterError::Away);
                }
            }
        }
    }
}

enum Answer {
    Stream(Box<reqwest::Response>),
    Redirect(Box<Client>),
}

/// The core's form of an event; `None` for those without meaning for it.
fn translate(event: Incoming, session: u64) -> Option<Event> {
    let kind = EventType::try_from(event.r#type.unwrap_or_default()).ok()?;
    match kind {
        EventType::Subscribed => Some(Event::Subscribed {
            framework_id: event.subscribed?.framework_id.value,
            session,
        }),
        EventType::Offers => Some(Event::Offers(event.offers?.offers)),
        EventType::Rescind => Some(Event::Rescind(event.rescind?.offer_id.value)),
        EventType::Update => Some(Event::Update(Box::new(event.update?.status))),
        EventType::Message => {
            let message = event.message?;
            Some(Event::Message {
                executor_id: message.executor_id.value,
                data: message.data,
            })
        }
        EventType::Failure => {
            let failure = event.failure?;
            Some(Event::Failure {
                agent_id: failure.agent_id.map(|id| id.value),
                executor_id: failure.executor_id.map(|id| id.value),
            })
        }
        EventType::Unknown
        | EventType::InverseOffers
        | EventType::RescindInverseOffer
        | EventType::UpdateOperationStatus
        | EventType::Error
        | EventType::Heartbeat => None,
    }
}
