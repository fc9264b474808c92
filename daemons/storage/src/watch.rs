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
use bcs_store::{Change, ChangeKind, Changes, DocumentWatch, Field, Revision, Scope, StoreError};
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::access::Reader;
use crate::failure::{Code, bad_request, store};
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

fn event(chunk: &mut String, kind: &str, object: &str) {
    chunk.push_str(&format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"));
}

fn bookmark(chunk: &mut String, revision: Revision) {
    event(
        chunk,
        "BOOKMARK",
        &format!("{{\"resourceVersion\":\"{revision}\"}}"),
    );
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

/// Objects whose watched field is remembered; beyond it changes are passed on unchecked.
const MAX_SEEN: usize = 50_000;

enum Format {
    Events,
    Legacy {
        left: Option<u64>,
        must_diff: Option<Field>,
        /// The last value of the watched field of each object.
        seen: BTreeMap<bcs_store::DocumentKey, Value>,
    },
}

struct Follower {
    service: Service,
    watch: Box<dyn DocumentWatch>,
    rendering: Rendering,
    format: Format,
    position: Revision,
    pending: VecDeque<Bytes>,
    next_bookmark: Instant,
    deadline: Option<Instant>,
    ended: bool,
}

enum Step {
    News(Result<Changes, StoreError>),
    Quiet,
    Leave,
}

impl Follower {
    fn new(
        service: &Service,
        watch: Box<dyn DocumentWatch>,
        rendering: Rendering,
        format: Format,
        position: Revision,
        pending: VecDeque<Bytes>,
    ) -> Self {
        let next_bookmark = Instant::now() + service.watch.bookmark;
        Self {
            service: service.clone(),
            watch,
            rendering,
            format,
            position,
            pending,
            next_bookmark,
            deadline: None,
            ended: false,
        }
    }

    /// The next bytes; `None` is the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.pending.pop_front() {
                return Some(chunk);
            }
            if self.ended {
                return None;
            }
            let mut chunk = String::new();
            match self.step().await {
                Step::News(Ok(changes)) => self.write_changes(changes, &mut chunk),
                Step::News(Err(error)) => self.fail(&error, &mut chunk),
                Step::Quiet => self.write_bookmark(&mut chunk),
                Step::Leave => self.end(&mut chunk),
            }
            if !chunk.is_empty() {
                self.next_bookmark = Instant::now() + self.service.watch.bookmark;
                self.pending.push_back(Bytes::from(chunk));
            }
        }
    }

    async fn step(&mut self) -> Step {
        let far = Instant::now() + std::time::Duration::from_secs(86_400);
        let deadline = self.deadline.unwrap_or(far);
        // A reader that was away for long is told at once, instead of being fed history.
        match self.service.store.revision().await {
            Ok(newest) if newest.saturating_sub(self.position) > self.service.watch.backlog => {
                return Step::News(Err(StoreError::Compacted {
                    requested: self.position,
                    oldest: newest - self.service.watch.backlog,
                    newest,
                }));
            }
            Ok(_) => {}
            Err(error) => return Step::News(Err(error)),
        }
        tokio::select! {
            biased;
            () = self.service.shutdown.cancelled() => Step::Leave,
            news = self.watch.next() => Step::News(news),
            () = tokio::time::sleep_until(deadline) => Step::Leave,
            () = tokio::time::sleep_until(self.next_bookmark) => Step::Quiet,
        }
    }

    fn write_changes(&mut self, changes: Changes, chunk: &mut String) {
        self.position = changes.revision;
        for change in changes.changes {
            let text = match self.rendering.document(&change.document) {
                Ok(text) => text,
                Err(error) => {
                    tracing::warn!(error = %error, key = %change.document.key, "unreadable document");
                    continue;
                }
            };
            if !self.write_change(&change, &text, chunk) {
                return;
            }
        }
    }

    /// `false` when the stream has ended.
    fn write_change(&mut self, change: &Change, text: &str, chunk: &mut String) -> bool {
        match &mut self.format {
            Format::Events => {
                let kind = match change.kind {
                    ChangeKind::Added => "ADDED",
                    ChangeKind::Modified => "MODIFIED",
                    ChangeKind::Deleted => "DELETED",
                };
                event(chunk, kind, text);
                true
            }
            Format::Legacy {
                left,
                must_diff,
                seen,
            } => {
                if let Some(field) = must_diff
                    && !differs(field, change, seen)
                {
                    return true;
                }
                let number = match change.kind {
                    ChangeKind::Added => 1,
                    ChangeKind::Deleted => 2,
                    ChangeKind::Modified => 3,
                };
                chunk.push_str(&format!("{{\"type\":{number},\"value\":{text}}}\n"));
                if let Some(left) = left {
                    *left -= 1;
                    if *left == 0 {
                        self.end(chunk);
                        return false;
                    }
                }
                true
            }
        }
    }

    fn write_bookmark(&mut self, chunk: &mut String) {
        self.next_bookmark = Instant::now() + self.service.watch.bookmark;
        match self.format {
            Format::Events => bookmark(chunk, self.position),
            // Type 0 means nothing; it keeps the connection.
            Format::Legacy { .. } => chunk.push_str("{\"type\":0,\"value\":null}\n"),
        }
    }

    fn fail(&mut self, error: &StoreError, chunk: &mut String) {
        let failure = store(Code::List, error);
        match self.format {
            Format::Events => {
                let object = serde_json::json!({
                    "code": failure.status.as_u16(),
                    "message": failure.message,
                    "resourceVersion": self.position.to_string(),
                });
                event(chunk, "ERROR", &object.to_string());
                self.ended = true;
            }
            Format::Legacy { .. } => self.end(chunk),
        }
    }

    fn end(&mut self, chunk: &mut String) {
        self.ended = true;
        match self.format {
            Format::Events => bookmark(chunk, self.position),
            Format::Legacy { .. } => chunk.push_str("{\"type\":-1,\"value\":null}\n"),
        }
    }
}

/// Whether the watched field is another than the last one seen of this object.
fn differs(
    field: &Field,
    change: &Change,
    seen: &mut BTreeMap<bcs_store::DocumentKey, Value>,
) -> bool {
    let key = &change.document.key;
    if change.kind == ChangeKind::Deleted {
        seen.remove(key);
        return true;
    }
    let data: Value = serde_json::from_str(change.document.data.get()).unwrap_or_default();
    let found = bcs_store::project(
        &serde_json::json!({ "data": data }),
        std::slice::from_ref(field),
    );
    if seen.get(key) == Some(&found) {
        return false;
    }
    if seen.len() < MAX_SEEN || seen.contains_key(key) {
        seen.insert(key.clone(), found);
    }
    true
}
