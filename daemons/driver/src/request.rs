//! Reading requests: bodies within bounds, decoded in any case of keys, and path parts that cannot
//! change the scheduler's path.

use axum::extract::{FromRequest, Request};
use bcs_httpd::Failure;
use bcs_model::decode::{DecodeError, decode_value};
use bcs_model::ids;
use bcs_model::validate::Problems;
use bytes::Bytes;
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The largest document; the contents of a configmap are at most a megabyte.
pub(crate) const MOST_BODY_BYTES: usize = 4 << 20;

/// "HTTP parameter invalid".
pub(crate) const BAD_PARAMETER: i64 = 1_405_007;
/// "JSON decode failed".
const BAD_JSON: i64 = 1_405_010;
/// "Cannot read request body".
const BAD_BODY: i64 = 1_405_012;

/// A JSON document as it was written.
#[derive(Debug)]
pub(crate) struct Document(pub(crate) Value);

impl<S: Send + Sync> FromRequest<S> for Document {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let body = Bytes::from_request(request, state).await.map_err(|error| {
            let status = error.status();
            let text = if status == StatusCode::PAYLOAD_TOO_LARGE {
                format!("the body has more than {MOST_BODY_BYTES} bytes; send less at once")
            } else {
                format!("cannot read the body: {error}")
            };
            Failure::new(status, BAD_BODY, text)
        })?;
        if body.is_empty() {
            let text = "the body is empty; send a JSON document";
            return Err(Failure::new(StatusCode::BAD_REQUEST, BAD_BODY, text));
        }
        serde_json::from_slice(&body)
            .map(Document)
            .map_err(|error| {
                let text = format!("the body is not valid JSON: {error}");
                Failure::new(StatusCode::BAD_REQUEST, BAD_JSON, text)
            })
    }
}

impl Document {
    /// Read as a wire type.
    pub(crate) fn decode<T: DeserializeOwned>(self) -> Result<T, Failure> {
        decode_value(self.0).map_err(|error| undecodable(&error))
    }
}

pub(crate) fn undecodable(error: &DecodeError) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, BAD_JSON, error.to_string())
}

/// A refusal with all problems of a document.
pub(crate) fn invalid(problems: &Problems) -> Failure {
    Failure::new(
        StatusCode::BAD_REQUEST,
        problems.code(),
        problems.to_string(),
    )
}

/// A refusal of one parameter of the path or the query.
pub(crate) fn parameter(name: &str, value: &str, rule: &str) -> Failure {
    let shown: String = value
        .chars()
        .take(80)
        .flat_map(char::escape_debug)
        .collect();
    let text = format!("{name}: \"{shown}\" {rule}");
    Failure::new(StatusCode::BAD_REQUEST, BAD_PARAMETER, text)
}

/// A name of the path; being a label, it needs no encoding.
pub(crate) fn name(value: &str) -> Result<&str, Failure> {
    ids::check_label("name", value)
        .map(|()| value)
        .map_err(|error| Failure::new(StatusCode::BAD_REQUEST, BAD_PARAMETER, error.to_string()))
}

/// A namespace of the path.
pub(crate) fn namespace(value: &str) -> Result<&str, Failure> {
    ids::check_namespace("namespace", value)
        .map(|()| value)
        .map_err(|error| Failure::new(StatusCode::BAD_REQUEST, BAD_PARAMETER, error.to_string()))
}

/// A taskgroup id of the path, which must belong to the namespace of the path: rights are given by
/// namespace, and the id alone would reach every other.
pub(crate) fn taskgroup(
    namespace: &str,
    application: Option<&str>,
    value: &str,
) -> Result<ids::TaskGroupId, Failure> {
    let id: ids::TaskGroupId = value
        .parse()
        .map_err(|error: ids::IdError| parameter("taskgroup", value, &error.to_string()))?;
    if id.namespace != namespace {
        let rule = format!("is not in namespace {namespace} but in {}", id.namespace);
        return Err(parameter("taskgroup", value, &rule));
    }
    if let Some(application) = application
        && id.app != application
    {
        let rule = format!("does not belong to {application} but to {}", id.app);
        return Err(parameter("taskgroup", value, &rule));
    }
    Ok(id)
}

/// A number of the path or query.
pub(crate) fn number(name: &str, value: &str, least: i64, most: i64) -> Result<i64, Failure> {
    value
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            parameter(
                name,
                value,
                &format!("must be a number from {least} to {most}"),
            )
        })
}

/// A list of host addresses, `ips=a,b`; each is checked, so that it needs no encoding.
pub(crate) fn addresses(ips: Option<&str>) -> Result<Vec<String>, Failure> {
    let mut checked = Vec::new();
    for part in ips
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let address: std::net::IpAddr = part.parse().map_err(|_| {
            parameter(
                "ips",
                part,
                "is not an IP address; write ips=10.0.0.1,10.0.0.2",
            )
        })?;
        checked.push(address.to_string());
    }
    Ok(checked)
}
