//! `GET /v1/watch?from=REVISION`: the feed as NDJSON.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query as Parameters, State};
use axum::response::{IntoResponse, Response};
use bcs_httpd::Failure;
use bytes::Bytes;
use futures_util::stream;
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use crate::core::command::Command;
use crate::core::query::Query;
use crate::feed::{Position, end};

/// Between signs of life.
const BOOKMARK_EVERY: Duration = Duration::from_secs(10);
/// Lines taken out of the ring at a time.
const LINES: usize = 256;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Options {
    from: Option<u64>,
}

struct Reader {
    api: Api,
    bell: tokio::sync::watch::Receiver<u64>,
    position: Position,
    ready: VecDeque<Bytes>,
}

pub(super) async fn watch(
    State(api): State<Api>,
    Parameters(options): Parameters<Options>,
) -> Result<Response, Failure> {
    let bell = api.feed.bell();
    let too_old = |error: crate::feed::TooOld| {
        let text = format!(
            "revision out of the kept range {}..={}; watch again without from",
            error.oldest, error.revision
        );
        Failure::new(StatusCode::GONE, 0, text)
    };
    let (position, ready) = match options.from.filter(|from| *from > 0) {
        Some(from) => (api.feed.after(from).map_err(too_old)?, VecDeque::new()),
        None => {
            // Taken before the snapshot: what happens between is told twice, never not at all.
            let revision = api.feed.revision();
            let position = api.feed.after(revision).map_err(too_old)?;
            let objects = api.inbox.ask(Command::Query(Query::Snapshot)).await?;
            (position, snapshot(objects, revision))
        }
    };
    let reader = Reader {
        api,
        bell,
        position,
        ready,
    };
    let lines = stream::unfold(reader, |mut reader| async move {
        let line = reader.next().await?;
        Some((Ok::<_, std::convert::Infallible>(line), reader))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

fn snapshot(objects: Value, revision: u64) -> VecDeque<Bytes> {
    let Value::Array(objects) = objects else {
        return VecDeque::new();
    };
    let mut lines: VecDeque<Bytes> = objects
        .into_iter()
        .map(|mut object| {
            if let Some(map) = object.as_object_mut() {
                // Not yet the revision: a reader cut here must begin anew.
                map.insert("revision".to_owned(), Value::from(0));
                map.insert("type".to_owned(), Value::from("PUT"));
            }
            end(&object)
        })
        .collect();
    lines.push_back(end(&json!({"revision": revision, "type": "SYNCED"})));
    lines
}

impl Reader {
    /// The next line; `None` ends the stream, and the reader comes again.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            self.bell.borrow_and_update();
            // A reader that fell out of the ring is cut; its next `from` is answered with 410.
            let (lines, position, revision) = self.api.feed.read(self.position, LINES)?;
            self.position = position;
            self.ready.extend(lines);
            if !self.ready.is_empty() {
                continue;
            }
            tokio::select! {
                () = self.api.shutdown.cancelled() => return None,
                rung = self.bell.changed() => rung.ok()?,
                () = tokio::time::sleep(BOOKMARK_EVERY) => {
                    // As of the read that found nothing: later lines are still to come.
                    return Some(end(&json!({"revision": revision, "type": "BOOKMARK"})));
                }
            }
        }
    }
}
