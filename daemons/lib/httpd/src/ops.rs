//! The routes that every daemon has: `/healthz`, `/livez`, `/readyz`, `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use bcs_kit::Context;
use http::{StatusCode, header};

/// Routes over the readiness and the metrics of `context`.
pub fn ops_router(context: &Context) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/healthz", get(ready))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(context.clone())
}

async fn ready(State(context): State<Context>) -> (StatusCode, String) {
    let state = context.ready.state();
    let status = if state.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, format!("{}\n", state.text))
}

async fn metrics(State(context): State<Context>) -> impl axum::response::IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], context.metrics.encode())
}
