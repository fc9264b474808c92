//! The open routes: liveness, readiness, version, and the state of what is behind.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bcs_httpd::{Client, Envelope, Failure};
use bcs_user_manager::{Caller, UserKind};
use http::{Method, StatusCode, header};
use serde::Serialize;

use crate::service::Gateway;

const PROBE_TIME: Duration = Duration::from_secs(2);
/// Anyone may ask, so upstreams are asked at most this often.
const FRESH: Duration = Duration::from_secs(1);

/// The state of one upstream.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct UpstreamState {
    service: String,
    healthy: bool,
    /// Its own words, or why it does not answer. Without addresses: this page is open.
    message: String,
}

/// The last probes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probes(Arc<Mutex<Option<Probed>>>);

type Probed = (Instant, Vec<UpstreamState>);

pub(crate) async fn live() -> &'static str {
    "ok\n"
}

pub(crate) async fn ready(State(gateway): State<Gateway>) -> (StatusCode, String) {
    let state = gateway.context.ready.state();
    let status = if state.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, format!("{}\n", state.text))
}

pub(crate) async fn version() -> Envelope<serde_json::Value> {
    Envelope::ok(serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }))
}

pub(crate) async fn upstreams(State(gateway): State<Gateway>) -> Response {
    let states = gateway.probes.states(&gateway).await;
    let healthy = states.iter().all(|state| state.healthy);
    let body = Envelope::ok(serde_json::json!({ "healthy": healthy, "upstreams": states }));
    let mut response = body.into_response();
    if !healthy {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

/// Metrics tell who does what how often; for administrators.
pub(crate) fn metrics(gateway: &Gateway, caller: &Caller) -> Result<Response, Failure> {
    if caller.kind != UserKind::Admin {
        let message = "metrics are for administrators";
        return Err(Failure::new(StatusCode::FORBIDDEN, 0, message));
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = gateway.context.metrics.encode();
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

impl Probes {
    async fn states(&self, gateway: &Gateway) -> Vec<UpstreamState> {
        let fresh = {
            let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            last.as_ref()
                .filter(|(at, _)| at.elapsed() < FRESH)
                .map(|(_, states)| states.clone())
        };
        if let Some(states) = fresh {
            return states;
        }
        let storage = gateway
            .upstreams
            .storage
            .iter()
            .map(|client| ("storage".to_owned(), client));
        let drivers = gateway
            .upstreams
            .drivers
            .iter()
            .map(|(cluster, client)| (format!("driver of {cluster}"), client));
        let probes = storage
            .chain(drivers)
            .map(|(service, client)| probe(service, client));
        let states = futures_util::future::join_all(probes).await;
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((Instant::now(), states.clone()));
        states
    }
}

async fn probe(service: String, client: &Client) -> UpstreamState {
    let asked = client
        .request(Method::GET, "/healthz")
        .timeout(PROBE_TIME)
        .send();
    let unhealthy = |service, message: &str| UpstreamState {
        service,
        healthy: false,
        message: message.to_owned(),
    };
    match asked.await {
        Ok(answer) => {
            let healthy = answer.status().is_success();
            let text = answer.text().await.unwrap_or_default();
            let message = text.trim().chars().take(300).collect();
            UpstreamState {
                service,
                healthy,
                message,
            }
        }
        Err(error) if error.is_connect() => unhealthy(service, "cannot be reached; is it started?"),
        Err(error) if error.is_timeout() => unhealthy(service, "does not answer in time"),
        Err(_) => unhealthy(service, "broke off"),
    }
}
