//! Messages to instances: files, signals, variables.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bcs_httpd::Failure;
use bcs_model::message::{
    BcsMessage, EnvMessage, LocalFile, MessageType as Number, RemoteFile, SignalMessage,
};
use bcs_model::v4::{MessageRequest, MessageType};
use bcs_model::validate;
use http::{Method, StatusCode};

use crate::request::{self, Document};
use crate::upstream::Driver;

/// To every running instance.
pub(crate) async fn broadcast(
    State(driver): State<Driver>,
    Path((namespace, name)): Path<(String, String)>,
    document: Document,
) -> Result<Response, Failure> {
    let message = message(document)?;
    let path = format!(
        "/v1/apps/{}/{}/message",
        request::namespace(&namespace)?,
        request::name(&name)?
    );
    Ok(driver
        .call_with(Method::POST, &path, &message)
        .await?
        .into_response())
}

/// To one instance.
pub(crate) async fn one(
    State(driver): State<Driver>,
    Path((namespace, name, taskgroup)): Path<(String, String, String)>,
    document: Document,
) -> Result<Response, Failure> {
    let message = message(document)?;
    let id = request::taskgroup(&namespace, Some(&name), &taskgroup)?;
    let path = format!("/v1/apps/{namespace}/{name}/message/{id}");
    Ok(driver
        .call_with(Method::POST, &path, &message)
        .await?
        .into_response())
}

fn message(document: Document) -> Result<BcsMessage, Failure> {
    let request: MessageRequest = document.decode()?;
    let Some(kind) = MessageType::parse(&request.msgtype) else {
        let text = format!(
            "msgtype: {:?} is unknown; use local, remote, signal or env-key",
            request.msgtype
        );
        return Err(Failure::new(StatusCode::BAD_REQUEST, 1_405_233, text));
    };
    validate::message(&request).map_err(|problems| request::invalid(&problems))?;
    let data = request.msgdata;
    let right = if data.right.is_empty() {
        "r".to_owned()
    } else {
        data.right
    };
    Ok(match kind {
        MessageType::LocalFile => BcsMessage {
            kind: Number::LocalFile,
            local: Some(LocalFile {
                to: data.to,
                right,
                user: data.user,
                base64: data.ctx,
            }),
            ..BcsMessage::default()
        },
        MessageType::RemoteFile => BcsMessage {
            kind: Number::Remote,
            remote: Some(RemoteFile {
                to: data.to,
                right,
                user: data.user,
                source_type: data.remote.split(':').next().unwrap_or_default().to_owned(),
                from: data.remote,
                ..RemoteFile::default()
            }),
            ..BcsMessage::default()
        },
        MessageType::Signal => BcsMessage {
            kind: Number::Signal,
            sig: Some(SignalMessage {
                signal: data
                    .signal
                    .and_then(|signal| i32::try_from(signal).ok())
                    .unwrap_or_default(),
                process_name: data.processname,
            }),
            ..BcsMessage::default()
        },
        MessageType::Environment => BcsMessage {
            kind: Number::Env,
            env: Some(EnvMessage {
                name: data.env_key,
                value: data.env_value,
            }),
            ..BcsMessage::default()
        },
    })
}
