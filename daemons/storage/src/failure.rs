//! Errors of the store as envelope codes and HTTP statuses.

use bcs_httpd::Failure;
use bcs_store::{Class, SelectorError, StoreError};
use http::StatusCode;

/// The service's codes (they are part of the interface).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Decode = 1_405_080,
    Put = 1_405_082,
    Get = 1_405_083,
    Delete = 1_405_084,
    List = 1_405_085,
    Extra = 1_405_086,
    Missing = 1_405_087,
}

/// A refusal of a request that can never succeed.
pub(crate) fn bad_request(code: Code, message: impl Into<String>) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, code as i64, message)
}

pub(crate) fn missing(what: &str) -> Failure {
    let message = format!("resource does not exist: {what}");
    Failure::new(StatusCode::NOT_FOUND, Code::Missing as i64, message)
}

pub(crate) fn not_implemented(what: &str) -> Failure {
    let message = format!("not implemented in this version: {what}");
    Failure::new(StatusCode::NOT_IMPLEMENTED, 0, message)
}

pub(crate) fn refused(message: impl Into<String>) -> Failure {
    Failure::new(StatusCode::FORBIDDEN, 0, message)
}

/// A store's error during an operation.
pub(crate) fn store(code: Code, error: &StoreError) -> Failure {
    let status = match error.class() {
        Class::Invalid => StatusCode::BAD_REQUEST,
        Class::Conflict => StatusCode::CONFLICT,
        Class::Gone => StatusCode::GONE,
        Class::Transient => StatusCode::SERVICE_UNAVAILABLE,
        Class::Fatal => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if status.is_server_error() {
        tracing::warn!(error = %error, "the store failed");
    }
    Failure::new(status, code as i64, error.to_string())
}

pub(crate) fn selector(error: &SelectorError) -> Failure {
    bad_request(Code::List, error.to_string())
}
