//! One reader of a watch: pulls changes from the store and writes them in the reader's format.

use std::collections::{BTreeMap, VecDeque};

use axum::body::Bytes;
use bcs_store::{
    Change, ChangeKind, Changes, DocumentKey, DocumentWatch, Field, Revision, StoreError,
};
use serde_json::Value;
use tokio::time::Instant;

use crate::failure::{Code, store};
use crate::render::Rendering;
use crate::service::Service;

pub(crate) fn event(chunk: &mut String, kind: &str, object: &str) {
    chunk.push_str(&format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"));
}

pub(crate) fn bookmark(chunk: &mut String, revision: Revision) {
    event(
        chunk,
        "BOOKMARK",
        &format!("{{\"resourceVersion\":\"{revision}\"}}"),
    );
}

/// Objects whose watched field is remembered; beyond it changes are passed on unchecked.
const MAX_SEEN: usize = 50_000;

pub(crate) enum Format {
    Events,
    Legacy {
        left: Option<u64>,
        must_diff: Option<Field>,
        /// The last value of the watched field of each object.
        seen: BTreeMap<DocumentKey, Value>,
    },
}

pub(crate) struct Follower {
    service: Service,
    watch: Box<dyn DocumentWatch>,
    rendering: Rendering,
    format: Format,
    position: Revision,
    pending: VecDeque<Bytes>,
    next_bookmark: Instant,
    pub(crate) deadline: Option<Instant>,
    /// It was close to the present once: from then on it must keep up. One that resumes from far
    /// back is given the time to catch up.
    caught_up: bool,
    ended: bool,
}

enum Step {
    News(Result<Changes, StoreError>),
    Quiet,
    Leave,
}

impl Follower {
    pub(crate) fn new(
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
            caught_up: false,
            ended: false,
        }
    }

    /// The next bytes; `None` is the end.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
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
        let backlog = self.service.watch.backlog;
        match self.service.store.revision().await {
            Ok(newest) if newest.saturating_sub(self.position) <= backlog => self.caught_up = true,
            Ok(newest) if self.caught_up => {
                return Step::News(Err(StoreError::Compacted {
                    requested: self.position,
                    oldest: newest - backlog,
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
fn differs(field: &Field, change: &Change, seen: &mut BTreeMap<DocumentKey, Value>) -> bool {
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
