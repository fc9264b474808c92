//! The switch for clients of the original, which answered 200 to everything: the envelope alone
//! then tells success from failure.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, StatusCode};

use crate::envelope::Enveloped;

/// Sent by a client, or by the gateway toward an upstream, to get 200 for every envelope.
pub const HEADER: &str = "bcs-always-200";

/// Whether the request asks for it.
pub fn wanted(headers: &http::HeaderMap) -> bool {
    headers
        .get(HEADER)
        .is_some_and(|value| value == "1" || value == "true")
}

/// Middleware: `axum::middleware::from_fn_with_state(always: bool, always_ok::layer)`.
pub async fn layer(
    axum::extract::State(always): axum::extract::State<bool>,
    request: Request,
    next: Next,
) -> Response {
    let wanted = always || wanted(request.headers());
    let mut response = next.run(request).await;
    if wanted && response.extensions().get::<Enveloped>().is_some() {
        let status = response.status();
        if status != StatusCode::OK
            && let Ok(value) = HeaderValue::from_str(status.as_str())
        {
            response.headers_mut().insert("bcs-status", value);
            *response.status_mut() = StatusCode::OK;
        }
    }
    response
}
