//! The executor's side of the v1 executor API: one stream in, single calls out.

use std::time::Duration;

use bcs_httpd::Client;
use bcs_kit::Shutdown;
use bcs_mesos::executor::{Call, Event, call};
use bcs_mesos::recordio::Decoder;
use bcs_mesos::{ContentType, ExecutorId, FrameworkId, WireName as _};

use crate::environment::Environment;
use crate::group::{Inbox, Incoming};

const PATH: &str = "/api/v1/executor";
/// Longest event: a task group with its inlined files.
const MAX_EVENT: usize = 16 << 20;
/// How long the answer to SUBSCRIBE may take.
const SUBSCRIBE_TIME: Duration = Duration::from_secs(15);

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// 202.
    Accepted,
    /// The agent will never take it: 400, 413.
    Refused(String),
    /// Worth another try.
    Failed(String),
}

/// How to reach the agent of one executor.
#[derive(Debug, Clone)]
pub struct Line {
    client: Client,
    executor_id: String,
    framework_id: String,
    token: Option<bcs_kit::Redacted<String>>,
}

impl Line {
    /// The line of an executor.
    pub fn new(client: Client, environment: &Environment) -> Self {
        Self {
            client,
            executor_id: environment.executor_id.clone(),
            framework_id: environment.framework_id.clone(),
            token: environment.token.clone(),
        }
    }

    fn call(&self, kind: call::Type) -> Call {
        Call {
            executor_id: ExecutorId {
                value: self.executor_id.clone(),
            },
            framework_id: FrameworkId {
                value: self.framework_id.clone(),
            },
            r#type: Some(kind.number()),
            ..Call::default()
        }
    }

    fn request(&self, call: &Call, stream: bool) -> Result<reqwest::RequestBuilder, String> {
        let body = bcs_mesos::encode(call, ContentType::Json).map_err(|error| error.to_string())?;
        let request = match stream {
            true => self.client.stream_request(http::Method::POST, PATH),
            false => self.client.request(http::Method::POST, PATH),
        };
        let request = request
            .header(http::header::CONTENT_TYPE, ContentType::Json.media_type())
            .header(http::header::ACCEPT, ContentType::Json.media_type())
            .body(body);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        })
    }

    /// Sends an UPDATE.
    pub async fn update(&self, update: call::Update) -> Sent {
        let mut call = self.call(call::Type::Update);
        call.update = Some(update);
        self.send(call).await
    }

    /// Sends a MESSAGE.
    pub async fn message(&self, data: Vec<u8>) -> Sent {
        let mut call = self.call(call::Type::Message);
        call.message = Some(call::Message { data: data.into() });
        self.send(call).await
    }

    async fn send(&self, call: Call) -> Sent {
        let request = match self.request(&call, false) {
            Ok(request) => request,
            Err(error) => return Sent::Refused(error),
        };
        match request.send().await {
            Err(error) => Sent::Failed(chain(&error)),
            Ok(answer) if answer.status().is_success() => Sent::Accepted,
            Ok(answer) => {
                let status = answer.status();
                let text = format!("{status}: {}", brief(answer).await);
                match status.as_u16() {
                    400 | 413 | 415 | 406 => Sent::Refused(text),
                    _ => Sent::Failed(text),
                }
            }
        }
    }

    /// Subscribes and hands every event to `inbox`, until the stream ends; then says why.
    ///
    /// One of these waits for each executor, for days: what only the beginning needs is boxed,
    /// so that it is gone afterwards.
    pub async fn follow(self, subscribe: Box<call::Subscribe>, inbox: Inbox, shutdown: Shutdown) {
        let ended = match Box::pin(self.subscribe(subscribe, &shutdown)).await {
            Ok(answer) => self.stream(answer, &inbox, &shutdown).await,
            Err(lost) => lost,
        };
        if !shutdown.is_cancelled() {
            // The inbox is gone when the executor is over.
            drop(inbox.send(Incoming::LinkLost(ended)).await);
        }
    }

    async fn subscribe(
        &self,
        subscribe: Box<call::Subscribe>,
        shutdown: &Shutdown,
    ) -> Result<reqwest::Response, Lost> {
        let lost = |reason: String| Lost {
            reason,
            unknown: false,
        };
        let mut call = self.call(call::Type::Subscribe);
        call.subscribe = Some(*subscribe);
        let request = self.request(&call, true).map_err(lost)?;
        drop(call);
        let send = tokio::time::timeout(SUBSCRIBE_TIME, request.send());
        let answer = match shutdown.run_until(send).await {
            None => return Err(lost("leaving".to_owned())),
            Some(Err(_)) => return Err(lost("the agent does not answer SUBSCRIBE".to_owned())),
            Some(Ok(Err(error))) => return Err(lost(chain(&error))),
            Some(Ok(Ok(answer))) => answer,
        };
        if answer.status().is_success() {
            return Ok(answer);
        }
        let unknown = matches!(answer.status().as_u16(), 400 | 403 | 404 | 410);
        let status = answer.status();
        let reason = format!("SUBSCRIBE refused with {status}: {}", brief(answer).await);
        Err(Lost { reason, unknown })
    }

    async fn stream(
        &self,
        mut answer: reqwest::Response,
        inbox: &Inbox,
        shutdown: &Shutdown,
    ) -> Lost {
        let lost = |reason: String| Lost {
            reason,
            unknown: false,
        };
        let mut decoder = Decoder::new(MAX_EVENT);
        loop {
            // The agent frees the executor's resources when its stream ends, so the end of the
            // executor must end the stream at once, not with the next event.
            let chunk = tokio::select! {
                chunk = shutdown.run_until(answer.chunk()) => chunk,
                () = inbox.closed() => return lost("the executor is over".to_owned()),
            };
            match chunk {
                None => return lost("leaving".to_owned()),
                Some(Ok(Some(chunk))) => decoder.push(&chunk),
                Some(Ok(None)) => return lost("the agent ended the stream".to_owned()),
                Some(Err(error)) => return lost(chain(&error)),
            }
            loop {
                let record = match decoder.next_record() {
                    Ok(Some(record)) => record,
                    Ok(None) => break,
                    Err(error) => return lost(error.to_string()),
                };
                let event = match bcs_mesos::decode::<Event>(&record, ContentType::Json) {
                    Ok(event) => Box::new(event),
                    Err(error) => {
                        tracing::warn!(%error, executor = self.executor_id, "event not understood");
                        continue;
                    }
                };
                if inbox.send(Incoming::Agent(event)).await.is_err() {
                    return lost("the executor is over".to_owned());
                }
            }
        }
    }
}

/// Why a stream ended.
#[derive(Debug)]
pub struct Lost {
    /// In words.
    pub reason: String,
    /// The agent says that it has no such executor.
    pub unknown: bool,
}

async fn brief(answer: reqwest::Response) -> String {
    let text = answer.text().await.unwrap_or_default();
    text.chars().take(300).collect()
}

/// An error with its causes: reqwest's own text leaves them out.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
