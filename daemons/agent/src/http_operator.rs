//! `POST /api/v1` of the agent: what it is and what it has.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bcs_httpd::{Peer, require_role};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::App;
use crate::core::{Input, Reply};
use crate::driver::Attach;

/// Who may look.
const READERS: [&str; 5] = ["driver", "scheduler", "master", "gateway", "operator"];

#[derive(Deserialize)]
pub(crate) struct Call {
    #[serde(rename = "type")]
    kind: String,
}

pub(crate) async fn operator(
    State(app): State<App>,
    peer: Peer,
    Json(call): Json<Call>,
) -> Response {
    if app.secured
        && let Err(failure) = require_role(&peer, &READERS)
    {
        return failure.into_response();
    }
    let Reply::View(view) = app.handle.ask(Input::View, Attach::Nothing).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the agent is leaving\n").into_response();
    };
    let executors = || {
        let list: Vec<_> = view
            .register
            .executors
            .iter()
            .map(|info| json!({ "executor_info": info }))
            .collect();
        json!({ "executors": list })
    };
    let tasks = || json!({ "launched_tasks": view.register.tasks });
    let frameworks = || {
        let list: Vec<_> = view
            .register
            .frameworks
            .iter()
            .map(|info| json!({ "framework_info": info }))
            .collect();
        json!({ "frameworks": list })
    };
    let answer = match call.kind.as_str() {
        "GET_HEALTH" => json!({ "type": "GET_HEALTH", "get_health": { "healthy": true } }),
        "GET_VERSION" => {
            json!({ "type": "GET_VERSION", "get_version": { "version_info": { "version": env!("CARGO_PKG_VERSION") } } })
        }
        "GET_AGENT" => json!({ "type": "GET_AGENT", "get_agent": { "agent_info": view.info } }),
        "GET_TASKS" => json!({ "type": "GET_TASKS", "get_tasks": tasks() }),
        "GET_EXECUTORS" => json!({ "type": "GET_EXECUTORS", "get_executors": executors() }),
        "GET_FRAMEWORKS" => json!({ "type": "GET_FRAMEWORKS", "get_frameworks": frameworks() }),
        "GET_STATE" => json!({ "type": "GET_STATE", "get_state": {
            "get_tasks": tasks(), "get_executors": executors(), "get_frameworks": frameworks() } }),
        other => {
            let text = format!("call {other:?} is not supported by this agent\n");
            return (StatusCode::NOT_IMPLEMENTED, text).into_response();
        }
    };
    Json(answer).into_response()
}
