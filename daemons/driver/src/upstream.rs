//! The scheduler as the driver sees it: one pooled client, bounded answers, and one way to say that
//! it is not there.

use bcs_httpd::client::ClientError;
use bcs_httpd::{Client, Endpoint, Failure, TlsFiles};
use bcs_kit::{Context, Ready};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{Method, StatusCode, header};
use serde::Serialize;
use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex};

use crate::Settings;
use crate::answer::Answer;

/// "Request to the scheduler failed".
pub(crate) const UNREACHABLE: i64 = 1_405_009;
/// The largest answer that is taken over; a list of 10,000 instances has some 40 MB.
const MOST_ANSWER_BYTES: usize = 256 << 20;
/// Clients of agents, for logs, that are kept.
const MOST_AGENTS: usize = 1024;

/// Shared by all requests.
#[derive(Clone, Debug)]
pub(crate) struct Driver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cluster: String,
    scheduler: Client,
    tls: Option<TlsFiles>,
    agents: Mutex<HashMap<Endpoint, Client>>,
    ready: Ready,
}

impl Driver {
    pub(crate) fn new(settings: &Settings, context: &Context) -> Result<Self, ClientError> {
        Ok(Self(Arc::new(Inner {
            cluster: settings.cluster.clone(),
            scheduler: Client::new(&settings.scheduler, settings.tls.as_ref())?,
            tls: settings.tls.clone(),
            agents: Mutex::default(),
            ready: context.ready.clone(),
        })))
    }

    pub(crate) fn cluster(&self) -> &str {
        &self.0.cluster
    }

    /// A call without a body.
    pub(crate) async fn call(&self, method: Method, path: &str) -> Result<Answer, Failure> {
        self.send(self.0.scheduler.request(method, path)).await
    }

    /// A call with a JSON body.
    pub(crate) async fn call_with(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, Failure> {
        self.send(self.0.scheduler.request(method, path).json(body))
            .await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, Failure> {
        let response = request.send().await.map_err(|error| self.absent(&error))?;
        let status = response.status();
        let json = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/json"));
        let body = read(response)
            .await
            .map_err(|detail| self.broken(&detail))?;
        if !json || body.first() != Some(&b'{') {
            let what = format!("it answered {status} without an envelope");
            return Err(self.broken(&what));
        }
        self.0
            .ready
            .say(format!("ready; scheduler {}", self.0.scheduler.endpoint()));
        Ok(Answer { status, body })
    }

    /// A client of an agent, made once.
    pub(crate) fn agent(&self, endpoint: &Endpoint) -> Result<Client, Failure> {
        let refuse = |error: ClientError| {
            Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                UNREACHABLE,
                error.to_string(),
            )
        };
        let Ok(mut agents) = self.0.agents.lock() else {
            return Client::new(endpoint, self.0.tls.as_ref()).map_err(refuse);
        };
        if let Some(client) = agents.get(endpoint) {
            return Ok(client.clone());
        }
        let client = Client::new(endpoint, self.0.tls.as_ref()).map_err(refuse)?;
        if agents.len() >= MOST_AGENTS {
            agents.clear();
        }
        agents.insert(endpoint.clone(), client.clone());
        Ok(client)
    }

    fn absent(&self, error: &reqwest::Error) -> Failure {
        let what = if error.is_timeout() {
            "it did not answer in time".to_owned()
        } else {
            root(error)
        };
        self.broken(&what)
    }

    fn broken(&self, what: &str) -> Failure {
        let endpoint = self.0.scheduler.endpoint();
        self.0
            .ready
            .say(format!("scheduler {endpoint} failed: {what}"));
        Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            UNREACHABLE,
            format!(
                "scheduler not exist: the scheduler at {endpoint} cannot be used, {what}; check \
                 that it runs, then try again"
            ),
        )
    }
}

async fn read(response: reqwest::Response) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| format!("its answer broke off: {}", root(&error)))?;
        if body.len() + chunk.len() > MOST_ANSWER_BYTES {
            return Err(format!(
                "its answer has more than {MOST_ANSWER_BYTES} bytes"
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The innermost cause, which is what people can act on ("connection refused").
pub(crate) fn root(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
