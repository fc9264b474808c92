//! Where the agent orders executors, and people look.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use bcs_httpd::{Failure, Peer, require_role};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::environment::{Environment, Variables};
use crate::executors::Executors;

/// Body of `POST /v1/executors`.
#[derive(Debug, Deserialize)]
pub struct Order {
    /// The `MESOS_*` variables.
    pub environment: Variables,
}

/// One executor, for people.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Framework id.
    pub framework: String,
    /// Agent's address.
    pub agent: String,
}

/// The routes.
pub fn router(executors: Arc<Executors>) -> Router {
    Router::new()
        .route("/v1/executors", post(order).get(list))
        .with_state(executors)
}

async fn order(
    State(executors): State<Arc<Executors>>,
    peer: Peer,
    Json(order): Json<Order>,
) -> Result<StatusCode, Failure> {
    require_role(&peer, &["agent"])?;
    let environment = Environment::read(&order.environment, true)
        .map_err(|error| Failure::new(StatusCode::BAD_REQUEST, 0, error.to_string()))?;
    match executors.start(environment, order.environment) {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(error) => Err(Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            0,
            error.to_string(),
        )),
    }
}

async fn list(
    State(executors): State<Arc<Executors>>,
    peer: Peer,
) -> Result<Json<BTreeMap<String, Shown>>, Failure> {
    require_role(&peer, &["agent"])?;
    Ok(Json(executors.list()))
}
