//! What can go wrong between a person and the system, with the way out.

use crate::Parsed;
use http::StatusCode;
use serde_json::Value;
use std::error::Error;
use std::path::PathBuf;

/// A refusal by the gateway or a service behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status; 200 when the service runs in always-200 mode.
    pub status: StatusCode,
    /// The v4 code.
    pub code: i64,
    /// The service's words.
    pub message: String,
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no client file at any of the usual places.
    #[error(
        "no client file at {}; start a system with `bcs standalone`, or name its client.yaml with \
         --config FILE or BCS_CONFIG", path.display()
    )]
    NoFile {
        /// Where it was looked for last.
        path: PathBuf,
    },
    /// The client file cannot be read or written.
    #[error("client file {}: {detail}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what it must be.
        detail: String,
    },
    /// A value of the client file cannot be used.
    #[error("client file: {field}: {detail}")]
    Field {
        /// Which key.
        field: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// A word that is no kind.
    #[error("kind {value:?} is unknown; use application, process, taskgroup, configmap or secret")]
    Kind {
        /// What was written.
        value: String,
    },
    /// A document that cannot be sent, because it does not even say what it is.
    #[error("{0}")]
    Document(String),
    /// The gateway cannot be reached.
    #[error("cannot reach {address}: {cause}; check that the system runs (`bcs doctor` helps)")]
    Unreachable {
        /// The gateway.
        address: String,
        /// The innermost cause.
        cause: String,
    },
    /// The answer did not come in time.
    #[error("{address} did not answer in time; try again, or see `bcs doctor`")]
    TimedOut {
        /// The gateway.
        address: String,
    },
    /// The answer came and says no.
    #[error("{}", refusal(.0))]
    Refused(Refusal),
    /// A watch cannot go on from its revision; list again.
    #[error("the watch is too old; list again")]
    Expired,
    /// Something answered that is not the API.
    #[error("{what} {detail}; is the address in the client file that of a gateway?")]
    Odd {
        /// Which answer.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl ClientError {
    /// Whether the thing asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        match self {
            // Not by status: an unknown cluster or route is 404 too, and another mistake.
            Self::Refused(refusal) => matches!(refusal.code, 1_405_202 | 1_405_087),
            _ => false,
        }
    }

    /// Whether it exists already.
    pub fn is_exists(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == 1_405_201)
    }

    /// Whether the system could not be asked at all.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. })
    }

    /// Whether asking again later may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Refused(refusal) => {
                matches!(refusal.status.as_u16(), 429 | 502 | 503 | 504)
                    || refusal.code == 1_405_009
            }
            _ => false,
        }
    }
}

fn refusal(refusal: &Refusal) -> String {
    let hint = match (refusal.code, refusal.status) {
        (1_405_201, _) => "; `bcs apply` changes what exists",
        (_, StatusCode::UNAUTHORIZED) => "; check the token in the client file",
        (_, StatusCode::FORBIDDEN) => "; ask an administrator for the right to do this",
        _ => "",
    };
    format!(
        "{} (code {}){hint}",
        refusal.message.trim_end_matches('.'),
        refusal.code
    )
}

/// Reads an envelope; a refusal becomes an error, whatever its HTTP status.
pub(crate) fn parse(status: StatusCode, body: &[u8]) -> Result<Parsed, ClientError> {
    let odd = |detail: String| ClientError::Odd {
        what: format!("the answer ({status})"),
        detail,
    };
    let value: Value =
        serde_json::from_slice(body).map_err(|error| odd(format!("is not JSON: {error}")))?;
    let Value::Object(mut envelope) = value else {
        return Err(odd("is JSON, but no envelope".to_owned()));
    };
    let code = envelope.get("code").and_then(Value::as_i64);
    let result = envelope.get("result").and_then(Value::as_bool);
    if result.is_none() && code.is_none() {
        return Err(odd("has neither result nor code".to_owned()));
    }
    if result == Some(true) && code.unwrap_or_default() == 0 && status.is_success() {
        let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let revision = ["revision", "resourceVersion"]
            .iter()
            .find_map(|key| envelope.get(*key).and_then(number));
        let next = envelope
            .get("continue")
            .and_then(Value::as_str)
            .filter(|token| !token.is_empty())
            .map(str::to_owned);
        let data = envelope.remove("data").unwrap_or_default();
        return Ok(Parsed {
            data,
            revision,
            next,
        });
    }
    let message = envelope
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or("refused")
        .to_owned();
    Err(ClientError::Refused(Refusal {
        status,
        code: code.unwrap_or_default(),
        message,
    }))
}

/// The innermost cause, which is what people can act on.
pub(crate) fn root(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    // rustls explains at length what a process that ended did not send.
    if text.contains("close_notify") {
        "the connection broke".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientError, parse};
    use http::StatusCode;

    #[test]
    fn refusals_are_found_whatever_the_status() {
        let body = br#"{"result":false,"code":1405202,"message":"(web): not found","data":null}"#;
        for status in [StatusCode::OK, StatusCode::NOT_FOUND] {
            let error = parse(status, body).unwrap_err();
            assert!(error.is_not_found(), "{error}");
            assert!(error.to_string().contains("1405202"));
        }
    }

    #[test]
    fn siblings_of_a_list_are_read() {
        let body = br#"{"result":true,"code":0,"message":"success","data":[],"revision":"7","continue":"abc"}"#;
        let parsed = parse(StatusCode::OK, body).unwrap();
        assert_eq!(
            (parsed.revision, parsed.next.as_deref()),
            (Some(7), Some("abc"))
        );
    }

    #[test]
    fn what_is_no_envelope_is_odd() {
        for body in [&b"<html>"[..], b"[]", b"{}", b""] {
            assert!(matches!(
                parse(StatusCode::OK, body),
                Err(ClientError::Odd { .. })
            ));
        }
    }
}
