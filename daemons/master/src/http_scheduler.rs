//! `POST /api/v1/scheduler`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bcs_httpd::{Peer, require_role};
use bcs_mesos::ContentType;
use bcs_mesos::scheduler::{Call, call::Type};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::core::{Input, Reply};
use crate::driver::{App, Attach};
use crate::{Door, streams};

/// Of every call but SUBSCRIBE.
const STREAM_ID: &str = "mesos-stream-id";
/// Longest stream id that is read.
const STREAM_ID_LENGTH: usize = 128;
/// Who may use the scheduler API on the TLS listener.
const ROLES: [&str; 2] = ["scheduler", "mesos-framework"];

pub(crate) fn refuse(status: StatusCode, text: impl Into<String>) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        text.into(),
    )
        .into_response()
}

pub(crate) fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The encoding of the body, and that of the answer.
pub(crate) fn encodings(headers: &HeaderMap) -> Result<(ContentType, ContentType), Box<Response>> {
    let Some(given) = text_header(headers, header::CONTENT_TYPE.as_str()) else {
        let text = "the header Content-Type is missing: application/json or application/x-protobuf";
        return Err(Box::new(refuse(StatusCode::BAD_REQUEST, text)));
    };
    let Some(body) = ContentType::parse(given) else {
        let text =
            format!("Content-Type {given:?} is not application/json or application/x-protobuf");
        return Err(Box::new(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)));
    };
    let accept = text_header(headers, header::ACCEPT.as_str());
    let Some(answer) = ContentType::negotiate(accept) else {
        let text = "Accept allows neither application/json nor application/x-protobuf";
        return Err(Box::new(refuse(StatusCode::NOT_ACCEPTABLE, text)));
    };
    Ok((body, answer))
}

/// Lets a caller in: by certificate, or on the plain listener by principal and secret.
pub(crate) fn enter(
    door: &Door,
    peer: &Peer,
    headers: &HeaderMap,
    roles: &[&str],
) -> Result<Option<String>, Box<Response>> {
    match door {
        Door::Certificates => match require_role(peer, roles) {
            Ok(_) => Ok(None),
            Err(failure) => Err(Box::new(failure.into_response())),
        },
        Door::Open => Ok(None),
        Door::Credentials(credentials) => {
            match credentials.principal(text_header(headers, header::AUTHORIZATION.as_str())) {
                Some(principal) => Ok(Some(principal)),
                None => {
                    let mut response = refuse(
                        StatusCode::UNAUTHORIZED,
                        "principal and secret are needed here",
                    );
                    let realm = HeaderValue::from_static("Basic realm=\"mesos-master\"");
                    response
                        .headers_mut()
                        .insert(header::WWW_AUTHENTICATE, realm);
                    Err(Box::new(response))
                }
            }
        }
    }
}

pub(crate) async fn scheduler(
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
    let principal = enter(door, peer, headers, &ROLES)?;
    let (encoding, answer) = encodings(headers)?;
    let bad = |text: String| Box::new(refuse(StatusCode::BAD_REQUEST, text));
    let call: Call = bcs_mesos::decode(body, encoding).map_err(|error| bad(error.to_string()))?;
    let stream = text_header(headers, STREAM_ID);
    if stream.is_some_and(|stream| stream.len() > STREAM_ID_LENGTH) {
        return Err(bad("Mesos-Stream-Id is longer than 128 bytes".to_owned()));
    }
    if call.r#type() != Type::Subscribe {
        let input = Input::Call {
            call: Box::new(call),
            stream: stream.map(str::to_owned),
        };
        return Ok(plain(app.handle.ask(input, Attach::Nothing).await));
    }
    if stream.is_some() {
        return Err(bad(
            "SUBSCRIBE must not carry the header Mesos-Stream-Id".to_owned()
        ));
    }
    let Some(subscribe) = call.subscribe else {
        return Err(bad("the member \"subscribe\" is missing".to_owned()));
    };
    let stream = uuid::Uuid::new_v4().to_string();
    let (outbox, opened) = streams::open(answer);
    let input = Input::Subscribe {
        framework_id: call.framework_id,
        subscribe: Box::new(subscribe),
        stream: stream.clone(),
        principal,
    };
    let attach = Attach::Scheduler(stream.clone(), outbox);
    match app.handle.ask(input, attach).await {
        Reply::Accepted => {
            let gone = Input::SchedulerGone {
                stream: stream.clone(),
            };
            let body = opened.into_body(&app.context, app.handle.clone(), Some(gone));
            let mut response = Response::new(body);
            let kind = HeaderValue::from_static(answer.media_type());
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            if let Ok(stream) = HeaderValue::from_str(&stream) {
                response.headers_mut().insert("Mesos-Stream-Id", stream);
            }
            Ok(response)
        }
        other => Ok(plain(other)),
    }
}

/// Answers without a stream.
pub(crate) fn plain(reply: Reply) -> Response {
    match reply {
        Reply::Accepted => StatusCode::ACCEPTED.into_response(),
        Reply::Done | Reply::Answer(_) => StatusCode::OK.into_response(),
        Reply::Refused(status, text) => refuse(
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            text,
        ),
    }
}
