//! Watches: the changes of a list as they happen, one JSON object a line.
//!
//! A reader pulls from the store's change feed at its own pace, so a slow one costs no memory and
//! blocks nobody. One that falls too far behind gets ERROR 410 as its last event and must list
//! again. A quiet stream carries a BOOKMARK from time to time: the revision to resume from.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bcs_httpd::Failure;
use bcs_store::{Field, Revision, Scope};
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use tokio::time::Instant;

use crate::access::Reader;
use crate::failure::{Code, bad_request, store};
use crate::follower::{Follower, Format, bookmark, event};
use crate::kinds;
use crate::query_string::{self, Request};
use crate::render::Rendering;
use crate::service::Service;

/// One chunk of the answer holds about this much.
const CHUNK_BYTES: usize = 256 * 1024;

/// `GET …?watch=true[&resourceVersion=R]`. Without a version (or with 0) the stream begins with
/// the present objects as ADDED and a BOOKMARK.
pub(crate) async fn stream(
    service: &Service,
    mut request: Request,
    secrets: bool,
) -> Result<Response, Failure> {
    request.query.limit = 0;
    request.query.offset = 0;
    request.query.after = None;
    let rendering = Rendering {
        show_secrets: secrets,
        fields: request.fields.clone(),
        // A watcher resumes from what it saw.
        versions: true,
    };
    let mut pending = VecDeque::new();
    let from = match request.resource_version {
        Some(version) if version > 0 => version,
        _ => present(service, &request, &rendering, &mut pending).await?,
    };
    let watch = service
        .store
        .watch(&request.query, from)
        .await
        .map_err(|error| store(Code::List, &error))?;
    let format = Format::Events;
    Ok(respond(Follower::new(
        service, watch, rendering, format, from, pending,
    )))
}

async fn present(
    service: &Service,
    request: &Request,
    rendering: &Rendering,
    pending: &mut VecDeque<Bytes>,
) -> Result<Revision, Failure> {
    let mut query = request.query.clone();
    let mut chunk = String::new();
    loop {
        let page = service
            .store
            .list(&query)
            .await
            .map_err(|error| store(Code::List, &error))?;
        for document in &page.documents {
            let text = rendering
                .document(document)
                .map_err(|error| crate::service::encode(&error))?;
            event(&mut chunk, "ADDED", &text);
            if chunk.len() >= CHUNK_BYTES {
                pending.push_back(Bytes::from(std::mem::take(&mut chunk)));
            }
        }
        match page.next {
            Some(token) => query.after = Some(token),
            None => {
                bookmark(&mut chunk, page.revision);
                pending.push_back(Bytes::from(chunk));
                return Ok(page.revision);
            }
        }
    }
}

/// What a watcher of route 14 asks for. `selfOnly` has never had an effect.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct LegacyOptions {
    self_only: bool,
    max_events: u64,
    /// Nanoseconds; 0 is for ever.
    timeout: u64,
    must_diff: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    cluster: String,
    kind: String,
}

/// Route 14: changes from now on, with numbers as types.
pub(crate) async fn legacy(
    State(service): State<Service>,
    Path(place): Path<Place>,
    reader: Reader,
    body: Bytes,
) -> Result<Response, Failure> {
    let options: LegacyOptions = if body.is_empty() {
        LegacyOptions::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| {
            bad_request(
                Code::Decode,
                format!("the body is not a set of watch options: {error}"),
            )
        })?
    };
    tracing::debug!(self_only = options.self_only, "legacy watch");
    let must_diff = match options.must_diff.as_str() {
        "" => None,
        path => {
            let path = if path.starts_with("data") {
                path.to_owned()
            } else {
                format!("data.{path}")
            };
            Some(Field::parse(&path).map_err(|error| store(Code::Decode, &error))?)
        }
    };
    let scope = Scope {
        cluster: Some(place.cluster),
        ..Scope::default()
    };
    let kind = kinds::resolve("mesos", &place.kind)?;
    let request = query_string::parse(scope, kind, &[], &reader)?;
    let from = service
        .store
        .revision()
        .await
        .map_err(|error| store(Code::List, &error))?;
    let watch = service
        .store
        .watch(&request.query, from)
        .await
        .map_err(|error| store(Code::List, &error))?;
    let rendering = Rendering {
        show_secrets: reader.secrets,
        fields: Vec::new(),
        versions: true,
    };
    let format = Format::Legacy {
        left: (options.max_events > 0).then_some(options.max_events),
        must_diff,
        seen: BTreeMap::new(),
    };
    let mut follower = Follower::new(&service, watch, rendering, format, from, VecDeque::new());
    if options.timeout > 0 {
        follower.deadline =
            Instant::now().checked_add(std::time::Duration::from_nanos(options.timeout));
    }
    Ok(respond(follower))
}

fn respond(follower: Follower) -> Response {
    let chunks = stream::unfold(follower, |mut follower| async move {
        let chunk = follower.next().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), follower))
    });
    let kind = HeaderValue::from_static("application/json; stream=watch");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::OK, headers, Body::from_stream(chunks)).into_response()
}
