//! The v4 envelope: `{"result":bool,"code":int,"message":string,"data":any}` (spec mesos-side 0).

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

/// Marks a response as an envelope, so that the always-200 switch can find it.
#[derive(Clone, Copy, Debug)]
pub struct Enveloped;

/// An envelope with its payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Whether it went well.
    pub result: bool,
    /// 0, or one of the 14050xx codes.
    pub code: i64,
    /// `success`, or a sentence for people.
    pub message: String,
    /// The payload; `null` where there is none.
    #[serde(default = "Option::default")]
    pub data: Option<T>,
}

impl<T> Envelope<T> {
    /// Success with a payload.
    pub fn ok(data: T) -> Self {
        Self {
            result: true,
            code: 0,
            message: "success".to_owned(),
            data: Some(data),
        }
    }
}

impl Envelope<()> {
    /// Success without a payload.
    pub fn done() -> Self {
        Self {
            result: true,
            code: 0,
            message: "success".to_owned(),
            data: None,
        }
    }
}

impl<T: Serialize> IntoResponse for Envelope<T> {
    fn into_response(self) -> Response {
        respond(StatusCode::OK, &self)
    }
}

/// A refusal: HTTP status, code of the v4 table (0 where it has none) and a sentence with the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The HTTP status, unless the client asked for always-200.
    pub status: StatusCode,
    /// 1405xxx.
    pub code: i64,
    /// For people.
    pub message: String,
}

impl Failure {
    /// A refusal. A code of 0 becomes 1405000 plus the HTTP status, so that `code` is never 0.
    pub fn new(status: StatusCode, code: i64, message: impl Into<String>) -> Self {
        let code = if code == 0 {
            1_405_000 + i64::from(status.as_u16())
        } else {
            code
        };
        Self {
            status,
            code,
            message: message.into(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let envelope = Envelope::<serde_json::Value> {
            result: false,
            code: self.code,
            message: self.message,
            data: None,
        };
        let mut response = respond(self.status, &envelope);
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"bcs\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

fn respond(status: StatusCode, envelope: &impl Serialize) -> Response {
    let mut response = match serde_json::to_vec(envelope) {
        Ok(body) => {
            let kind = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, kind)], body).into_response()
        }
        Err(error) => {
            let text = format!(
                r#"{{"result":false,"code":1405011,"message":"cannot encode the answer: {}","data":null}}"#,
                error.to_string().replace(['"', '\\'], "'")
            );
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    };
    response.extensions_mut().insert(Enveloped);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_without_payload_has_null_data() {
        let text = serde_json::to_string(&Envelope::done()).unwrap();
        assert_eq!(
            text,
            r#"{"result":true,"code":0,"message":"success","data":null}"#
        );
    }

    #[test]
    fn a_refusal_has_its_status_and_never_code_zero() {
        let response = Failure::new(StatusCode::NOT_FOUND, 0, "no").into_response();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(Failure::new(StatusCode::NOT_FOUND, 0, "no").code, 1_405_404);
        assert_eq!(
            Failure::new(StatusCode::NOT_FOUND, 1_405_202, "no").code,
            1_405_202
        );
    }
}
