//! The scheduler's answer on its way back.

use axum::response::{IntoResponse, Response};
use bcs_httpd::envelope::Enveloped;
use bcs_httpd::{Envelope, Failure};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

/// Status and body, handed on byte for byte.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The payload of a success; a refusal keeps its status, code and words.
    pub(crate) fn data(self) -> Result<Value, Failure> {
        match serde_json::from_slice::<Envelope<Value>>(&self.body) {
            Ok(envelope) if envelope.result => Ok(envelope.data.unwrap_or_default()),
            Ok(envelope) => Err(Failure::new(self.status, envelope.code, envelope.message)),
            Err(error) => Err(Failure::new(
                StatusCode::BAD_GATEWAY,
                1_405_010,
                format!("the scheduler's answer is no envelope: {error}; are the versions equal?"),
            )),
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static("application/json");
        let mut response = (self.status, [(header::CONTENT_TYPE, kind)], self.body).into_response();
        response.extensions_mut().insert(Enveloped);
        response
    }
}
