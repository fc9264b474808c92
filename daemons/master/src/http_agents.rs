//! The agents' own routes: a stream of commands, and batches of messages.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bcs_httpd::{Peer, require_role};
use bcs_mesos::ContentType;
use bcs_mesos::link::{Batch, Register};
use bytes::Bytes;
use http::StatusCode;
use prost::Message as _;

use crate::core::{Input, Reply};
use crate::driver::{App, Attach};
use crate::http_scheduler::{plain, refuse};
use crate::{Door, streams};

/// The host that the caller's certificate is for.
fn host(door: &Door, peer: &Peer) -> Result<String, Box<Response>> {
    match door {
        Door::Certificates => match require_role(peer, &["agent"]) {
            Ok(identity) => Ok(identity.host.clone()),
            Err(failure) => Err(Box::new(failure.into_response())),
        },
        Door::Open => Ok("localhost".to_owned()),
        Door::Credentials(_) => Err(Box::new(refuse(
            StatusCode::FORBIDDEN,
            "agents need a certificate",
        ))),
    }
}

pub(crate) async fn stream(
    State((app, door)): State<(App, Door)>,
    peer: Peer,
    body: Bytes,
) -> Response {
    let host = match host(&door, &peer) {
        Ok(host) => host,
        Err(response) => return *response,
    };
    let register = match Register::decode(body.as_ref()) {
        Ok(register) => register,
        Err(error) => {
            return refuse(
                StatusCode::BAD_REQUEST,
                format!("not a registration: {error}"),
            );
        }
    };
    let session = uuid::Uuid::new_v4().to_string();
    let (outbox, opened) = streams::open(ContentType::Protobuf);
    let input = Input::Register {
        register: Box::new(register),
        session: session.clone(),
        host,
    };
    match app
        .handle
        .ask(input, Attach::Agent(session.clone(), outbox))
        .await
    {
        Reply::Accepted => {
            let gone = Input::AgentGone { session };
            Response::new(opened.into_body(&app.context, app.handle.clone(), Some(gone)))
        }
        other => plain(other),
    }
}

pub(crate) async fn messages(
    State((app, door)): State<(App, Door)>,
    peer: Peer,
    body: Bytes,
) -> Response {
    if let Err(response) = host(&door, &peer) {
        return *response;
    }
    // The session is a secret between one agent and the master, so it is proof enough of which agent this is.
    match Batch::decode(body.as_ref()) {
        Ok(batch) => plain(
            app.handle
                .ask(Input::Batch { batch }, Attach::Nothing)
                .await,
        ),
        Err(error) => refuse(StatusCode::BAD_REQUEST, format!("not a batch: {error}")),
    }
}
