//! Passing a request on and its answer back, as streams: nothing is collected in memory, so a watch
//! or a followed log flows at the pace of its reader. What a client says about its own identity
//! never reaches an upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bcs_httpd::{Failure, always_ok};
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::route::Target;

/// Says who the caller is.
pub const USER_HEADER: &str = "x-bcs-user";
/// Sent both ways.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

/// What is added to a request on its way.
#[derive(Debug)]
pub(crate) struct Additions {
    pub(crate) user: String,
    pub(crate) request_id: String,
    pub(crate) clusters: String,
    pub(crate) show_secrets: bool,
    pub(crate) always_200: bool,
}

/// Bounds of one exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) body_bytes: u64,
    /// Until the head of the answer.
    pub(crate) answer_time: Duration,
}

/// Headers between two neighbours only.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What only the gateway may say, and what is for the gateway alone.
fn is_identity(name: &str) -> bool {
    matches!(
        name,
        "authorization" | "cookie" | "host" | "forwarded" | "expect"
    ) || ["x-remote-", "impersonate-", "x-bcs-", "x-forwarded-"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || name == REQUEST_ID_HEADER
}

fn without_hop_by_hop(headers: &HeaderMap) -> HeaderMap {
    // `Connection` may name further headers that end here.
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    headers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            !HOP_BY_HOP.contains(&name) && !named.iter().any(|other| other == name)
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn request_headers(headers: &HeaderMap, additions: &Additions) -> HeaderMap {
    let mut kept: HeaderMap = without_hop_by_hop(headers)
        .into_iter()
        .filter_map(|(name, value)| name.map(|name| (name, value)))
        .filter(|(name, _)| !is_identity(name.as_str()))
        .collect();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            kept.insert(HeaderName::from_static(name), value);
        }
    };
    set(USER_HEADER, &additions.user);
    set(REQUEST_ID_HEADER, &additions.request_id);
    set("x-bcs-clusters", &additions.clusters);
    if additions.show_secrets {
        set("x-bcs-secrets", "show");
    }
    if additions.always_200 {
        set(always_ok::HEADER, "1");
    }
    kept
}

/// Sends `request` to `target` and answers with what comes back, until `until` is done.
pub(crate) async fn pass(
    target: &Target,
    request: Request,
    additions: &Additions,
    bounds: Bounds,
    until: impl Future<Output = ()> + Send + 'static,
) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let length = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > bounds.body_bytes) {
        let message = format!("the body is larger than {} bytes", bounds.body_bytes);
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, 0, message));
    }
    let path = match parts.uri.query() {
        Some(query) => format!("{}?{query}", target.path),
        None => target.path.clone(),
    };
    let mut outgoing = target
        .client
        .stream_request(parts.method, &path)
        .headers(request_headers(&parts.headers, additions));
    // The cause of a broken body is lost on its way through HTTP/2, so it is kept beside it.
    let too_large = Arc::new(AtomicBool::new(false));
    if !axum::body::HttpBody::is_end_stream(&body) {
        let body = capped(body, bounds.body_bytes, too_large.clone());
        outgoing = outgoing.body(reqwest::Body::wrap_stream(body));
    }
    let answer = tokio::time::timeout(bounds.answer_time, outgoing.send())
        .await
        .map_err(|_| {
            let message = format!(
                "{} at {} has not answered in {} s; it may be overloaded: try again, and look at its log",
                target.service,
                target.client.endpoint(),
                bounds.answer_time.as_secs()
            );
            Failure::new(StatusCode::GATEWAY_TIMEOUT, 0, message)
        })?
        .map_err(|error| match too_large.load(Ordering::Acquire) {
            true => {
                let message = format!("the body is larger than {} bytes", bounds.body_bytes);
                Failure::new(StatusCode::PAYLOAD_TOO_LARGE, 0, message)
            }
            false => explain(target, &error),
        })?;
    Ok(response(answer, until))
}

/// Ends with an error once more than the cap has passed.
fn capped(
    body: Body,
    cap: u64,
    too_large: Arc<AtomicBool>,
) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let mut passed = 0_u64;
    body.into_data_stream().map(move |chunk| {
        let chunk = chunk.map_err(std::io::Error::other)?;
        passed += chunk.len() as u64;
        if passed > cap {
            too_large.store(true, Ordering::Release);
            return Err(std::io::Error::new(
                std::io::ErrorKind::FileTooLarge,
                TOO_LARGE,
            ));
        }
        Ok(chunk)
    })
}

const TOO_LARGE: &str = "the body is larger than the gateway lets pass";

fn explain(target: &Target, error: &reqwest::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let cause = cause.to_string();
    let (service, endpoint) = (&target.service, target.client.endpoint());
    if error.is_connect() {
        let message = format!(
            "{service} at {endpoint} cannot be reached: {cause}; start it, or correct its address in the gateway's settings"
        );
        return Failure::new(StatusCode::SERVICE_UNAVAILABLE, 0, message);
    }
    if error.is_timeout() {
        let message = format!("{service} at {endpoint} took too long: {cause}; try again");
        return Failure::new(StatusCode::GATEWAY_TIMEOUT, 0, message);
    }
    let message =
        format!("{service} at {endpoint} broke off: {cause}; try again, and look at its log");
    Failure::new(StatusCode::BAD_GATEWAY, 0, message)
}

fn response(
    answer: reqwest::Response,
    until: impl Future<Output = ()> + Send + 'static,
) -> Response {
    let status = answer.status();
    let mut headers = without_hop_by_hop(answer.headers());
    headers.remove(REQUEST_ID_HEADER);
    let body = Body::from_stream(answer.bytes_stream().take_until(Box::pin(until)));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_say_who_it_is() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer x"),
            ("x-bcs-user", "root"),
            ("x-bcs-clusters", "*"),
            ("x-bcs-secrets", "show"),
            ("x-remote-user", "root"),
            ("impersonate-user", "root"),
            ("impersonate-extra-scopes", "all"),
            ("x-forwarded-for", "127.0.0.1"),
            ("cookie", "a=b"),
            ("connection", "close, x-private"),
            ("x-private", "1"),
            ("transfer-encoding", "chunked"),
            ("content-type", "application/json"),
            ("bcs-clusterid", "c1"),
        ] {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        let additions = Additions {
            user: "ann".into(),
            request_id: "r1".into(),
            clusters: "c1".into(),
            show_secrets: false,
            always_200: false,
        };
        let sent = request_headers(&headers, &additions);
        let mut names: Vec<&str> = sent.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "bcs-clusterid",
                "content-type",
                "x-bcs-clusters",
                "x-bcs-user",
                "x-request-id"
            ]
        );
        assert_eq!(sent.get("x-bcs-user").unwrap(), "ann");
        assert_eq!(sent.get("x-bcs-clusters").unwrap(), "c1");
    }
}
