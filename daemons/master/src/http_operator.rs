//! `POST /api/v1`, and the older routes that frameworks still ask: `/version`, `/state`, `/redirect`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bcs_httpd::Peer;
use bcs_mesos::operator::{Call, call::Type};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::core::{Input, PROTOCOL_VERSION, Reply};
use crate::driver::{App, Attach};
use crate::http_scheduler::{encodings, enter, plain, refuse};
use crate::{Door, streams};

/// Who may look.
const READERS: [&str; 6] = [
    "driver",
    "scheduler",
    "gateway",
    "mesos-watch",
    "mesos-framework",
    "operator",
];
/// Who may order.
const WRITERS: [&str; 2] = ["driver", "operator"];

pub(crate) async fn operator(
    State((app, door)): State<(App, Door)>,
    peer: Peer,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match handle(&app, &door, &peer, &headers, &body).await {
        Ok(response) => response,
        Err(response) => *response,
    }
}

async fn handle(
    app: &App,
    door: &Door,
    peer: &Peer,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Box<Response>> {
    enter(door, peer, headers, &READERS)?;
    let (encoding, answer) = encodings(headers)?;
    let call: Call = bcs_mesos::decode(body, encoding)
        .map_err(|error| Box::new(refuse(StatusCode::BAD_REQUEST, error.to_string())))?;
    let kind = HeaderValue::from_static(answer.media_type());
    match call.r#type() {
        Type::Subscribe => {
            let (outbox, opened) = streams::open(answer);
            return Ok(
                match app.handle.ask(Input::Watch, Attach::Watcher(outbox)).await {
                    Reply::Answer(_) => {
                        let mut response =
                            Response::new(opened.into_body(&app.context, app.handle.clone(), None));
                        response.headers_mut().insert(header::CONTENT_TYPE, kind);
                        response
                    }
                    other => plain(other),
                },
            );
        }
        Type::DeactivateAgent | Type::ReactivateAgent | Type::MarkAgentGone | Type::Teardown => {
            if matches!(door, Door::Credentials(_)) {
                let text = "orders are taken on the TLS listener only";
                return Ok(refuse(StatusCode::FORBIDDEN, text));
            }
            enter(door, peer, headers, &WRITERS)?;
        }
        _ => {}
    }
    Ok(
        match app
            .handle
            .ask(Input::Operator { call }, Attach::Nothing)
            .await
        {
            Reply::Answer(response) => match bcs_mesos::encode(response.as_ref(), answer) {
                Ok(body) => ([(header::CONTENT_TYPE, kind)], body).into_response(),
                Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            },
            other => plain(other),
        },
    )
}

pub(crate) async fn version() -> Response {
    Json(json!({"version": PROTOCOL_VERSION, "build_date": "", "build_user": "bcs", "build_time": 0.0}))
        .into_response()
}

pub(crate) async fn redirect(State((app, _)): State<(App, Door)>) -> Response {
    let location = format!("//{}", app.facts.address());
    (
        StatusCode::TEMPORARY_REDIRECT,
        [(header::LOCATION, location)],
    )
        .into_response()
}

/// The few members of the older state page which tools read; tasks are in the operator API.
pub(crate) async fn state(
    State((app, door)): State<(App, Door)>,
    peer: Peer,
    headers: HeaderMap,
) -> Response {
    if let Err(response) = enter(&door, &peer, &headers, &READERS) {
        return *response;
    }
    let reply = app.handle.ask(Input::Watch, Attach::Nothing).await;
    let Reply::Answer(response) = reply else {
        return plain(reply);
    };
    let state = response.get_state.unwrap_or_default();
    let agents = state.get_agents.unwrap_or_default().agents;
    let frameworks = state.get_frameworks.unwrap_or_default().frameworks;
    let info = &app.facts.info;
    Json(json!({
        "version": PROTOCOL_VERSION,
        "id": info.id,
        "pid": info.pid,
        "hostname": info.hostname,
        "leader": info.pid,
        "leader_info": info,
        "cluster": app.facts.cluster,
        "activated_slaves": agents.iter().filter(|agent| agent.active).count(),
        "deactivated_slaves": agents.iter().filter(|agent| !agent.active).count(),
        "slaves": agents.iter().map(|agent| json!({
            "id": agent.agent_info.id.as_ref().map(|id| &id.value),
            "hostname": agent.agent_info.hostname,
            "port": agent.agent_info.port(),
            "pid": agent.pid,
            "active": agent.active,
            "version": agent.version,
        })).collect::<Vec<_>>(),
        "frameworks": frameworks.iter().map(|framework| json!({
            "id": framework.framework_info.id.as_ref().map(|id| &id.value),
            "name": framework.framework_info.name,
            "user": framework.framework_info.user,
            "active": framework.active,
            "connected": framework.connected,
        })).collect::<Vec<_>>(),
    }))
    .into_response()
}
