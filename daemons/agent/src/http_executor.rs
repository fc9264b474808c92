//! `POST /api/v1/executor`, on the unix socket and, with tokens, on TCP.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bcs_httpd::{Peer, require_role};
use bcs_mesos::executor::{Call, call::Type};
use bcs_mesos::{ContentType, ids};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::sync::{mpsc, oneshot};

use crate::App;
use crate::core::{Input, Reply};
use crate::driver::{Attach, channel};
use crate::records::ExecutorKey;

/// How an executor proves itself on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The kernel says who it is.
    Local,
    /// By the token that it was started with.
    Token,
    /// Not at all: by configuration, on loopback only.
    None,
}

fn refuse(status: StatusCode, text: impl Into<String>) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        text.into(),
    )
        .into_response()
}

pub(crate) fn answer(reply: Reply) -> Response {
    match reply {
        Reply::Refused(status, text) => refuse(
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            text,
        ),
        _ => StatusCode::ACCEPTED.into_response(),
    }
}

pub(crate) async fn executor(
    State((app, proof)): State<(App, Proof)>,
    peer: Peer,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match handle(&app, proof, &peer, &headers, &body).await {
        Ok(response) => response,
        Err(response) => *response,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

async fn handle(
    app: &App,
    proof: Proof,
    peer: &Peer,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Box<Response>> {
    let no = |status, text: String| Box::new(refuse(status, text));
    let token =
        text(headers, &header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    match proof {
        Proof::Local => {
            if let Err(failure) = require_role(peer, &["local"]) {
                return Err(Box::new(failure.into_response()));
            }
        }
        Proof::Token if token.is_none() => {
            let text = "the token of MESOS_EXECUTOR_AUTHENTICATION_TOKEN is needed here".to_owned();
            return Err(no(StatusCode::UNAUTHORIZED, text));
        }
        Proof::Token | Proof::None => {}
    }
    let token = token.map(str::to_owned);
    let Some(given) = text(headers, &header::CONTENT_TYPE) else {
        return Err(no(
            StatusCode::BAD_REQUEST,
            "the header Content-Type is missing".to_owned(),
        ));
    };
    let Some(encoding) = ContentType::parse(given) else {
        let text =
            format!("Content-Type {given:?} is not application/json or application/x-protobuf");
        return Err(no(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    };
    let Some(accepted) = ContentType::negotiate(text(headers, &header::ACCEPT)) else {
        let text = "Accept allows neither application/json nor application/x-protobuf".to_owned();
        return Err(no(StatusCode::NOT_ACCEPTABLE, text));
    };
    let call: Call = bcs_mesos::decode(body, encoding)
        .map_err(|error| no(StatusCode::BAD_REQUEST, error.to_string()))?;
    for (field, value) in [
        ("executor_id", &call.executor_id.value),
        ("framework_id", &call.framework_id.value),
    ] {
        ids::validate(field, value)
            .map_err(|error| no(StatusCode::BAD_REQUEST, error.to_string()))?;
    }
    let kind = call.r#type();
    let key = ExecutorKey {
        framework: call.framework_id,
        executor: call.executor_id,
    };
    let missing = |member: &str| {
        no(
            StatusCode::BAD_REQUEST,
            format!("the member {member:?} is missing"),
        )
    };
    let input = match kind {
        Type::Subscribe => {
            let subscribe = call.subscribe.unwrap_or_default();
            return Ok(subscribed(app, key, subscribe, token, accepted).await);
        }
        Type::Update => {
            let status = Box::new(call.update.ok_or_else(|| missing("update"))?.status);
            Input::Update { key, status, token }
        }
        Type::Message => {
            let data = call.message.ok_or_else(|| missing("message"))?.data;
            Input::Message { key, data, token }
        }
        Type::Heartbeat => Input::Heartbeat { key, token },
        Type::Unknown => {
            return Err(no(
                StatusCode::BAD_REQUEST,
                "type is missing or not known".to_owned(),
            ));
        }
    };
    Ok(answer(app.handle.ask(input, Attach::Nothing).await))
}

struct Reader {
    records: mpsc::Receiver<Bytes>,
    /// Dropped with the body, however it ends.
    _guard: oneshot::Sender<()>,
}

async fn subscribed(
    app: &App,
    key: ExecutorKey,
    subscribe: bcs_mesos::executor::call::Subscribe,
    token: Option<String>,
    encoding: ContentType,
) -> Response {
    let stream = uuid::Uuid::new_v4().to_string();
    let (outbox, records) = channel(encoding);
    let input = Input::Subscribe {
        key: key.clone(),
        subscribe,
        stream: stream.clone(),
        token,
    };
    let reply = app
        .handle
        .ask(input, Attach::Executor(stream.clone(), outbox))
        .await;
    if reply != Reply::Accepted {
        return answer(reply);
    }
    let (guard, dropped) = oneshot::channel();
    let (handle, shutdown) = (app.handle.clone(), app.context.shutdown.clone());
    app.context
        .tasks
        .spawn("executor stream watch", async move {
            // It is only ever dropped, never sent.
            if shutdown.run_until(dropped).await.is_none() {
                return;
            }
            let gone = Input::StreamGone { key, stream };
            drop(tokio::time::timeout(Duration::from_secs(60), handle.tell(gone)).await);
        });
    let reader = Reader {
        records,
        _guard: guard,
    };
    let body = futures_util::stream::unfold(reader, |mut reader| async move {
        let record = reader.records.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(record), reader))
    });
    let mut response = Response::new(Body::from_stream(body));
    let kind = HeaderValue::from_static(encoding.media_type());
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
