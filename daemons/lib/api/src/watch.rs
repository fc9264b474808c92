//! Watching storage: every change after a revision, as it comes, without asking again.

use crate::paths::part;
use crate::read::{belongs, object_of};
use crate::{Client, ClientError, IntoKind, Kind, Scope};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::Method;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// The longest line, which is one object.
const MOST_LINE_BYTES: usize = 32 << 20;
/// Bookmarks come at least every 30 s; silence for this long means that the connection is dead.
const SILENCE: Duration = Duration::from_secs(90);

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is different.
    Modified,
    /// It is gone; the object is its last state.
    Deleted,
}

/// One change.
#[derive(Debug, Clone)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The object in the storage's shape.
    pub object: Value,
}

/// A running watch.
pub struct Watch {
    kind: Kind,
    address: String,
    chunks: BoxStream<'static, Result<Bytes, reqwest::Error>>,
    buffer: BytesMut,
    ready: VecDeque<Change>,
    revision: u64,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Watch")
            .field("kind", &self.kind)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// The changes of a kind after `revision`, which comes from a [`Client::listing`].
    ///
    /// # Errors
    /// [`ClientError::Expired`] when the revision is too old: list again.
    pub async fn watch(
        &self,
        kind: impl IntoKind,
        scope: Scope<'_>,
        selector: Option<&str>,
        revision: u64,
    ) -> Result<Watch, ClientError> {
        let kind = kind.into_kind()?;
        let mut path = format!(
            "{}?watch=true&resourceVersion={revision}",
            self.storage_collection(kind, scope)
        );
        if let Some(selector) = selector {
            path.push_str(&format!("&labelSelector={}", part(selector)));
        }
        let response = self
            .stream(self.http.stream_request(Method::GET, &path))
            .await
            .map_err(|error| match error {
                ClientError::Refused(refusal) if refusal.status == http::StatusCode::GONE => {
                    ClientError::Expired
                }
                other => other,
            })?;
        Ok(Watch {
            kind,
            address: self.address(),
            chunks: response.bytes_stream().boxed(),
            buffer: BytesMut::new(),
            ready: VecDeque::new(),
            revision,
        })
    }
}

impl Watch {
    /// The next change. `None` when the server ended the stream: watch again from
    /// [`Watch::revision`]. May be dropped and called again without losing anything.
    ///
    /// # Errors
    /// [`ClientError::Expired`] when it fell too far behind, or that the connection broke.
    pub async fn next(&mut self) -> Result<Option<Change>, ClientError> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return Ok(Some(change));
            }
            match tokio::time::timeout(SILENCE, self.chunks.next()).await {
                Err(_) => {
                    return Err(ClientError::TimedOut {
                        address: self.address.clone(),
                    });
                }
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => {
                    return Err(ClientError::Unreachable {
                        address: self.address.clone(),
                        cause: crate::error::root(&error),
                    });
                }
                Ok(Some(Ok(chunk))) => self.take(&chunk)?,
            }
        }
    }

    /// Everything up to here was seen.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), ClientError> {
        self.buffer.extend_from_slice(chunk);
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line = self.buffer.split_to(end + 1);
            self.line(&line)?;
        }
        if self.buffer.len() > MOST_LINE_BYTES {
            return Err(odd("an event of the watch", "is too long"));
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), ClientError> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let mut event: Value = serde_json::from_slice(line)
            .map_err(|error| odd("an event of the watch", &format!("is not JSON: {error}")))?;
        let word = event
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let code = event
            .pointer("/object/code")
            .or_else(|| event.get("code"))
            .and_then(Value::as_i64)
            .unwrap_or_default();
        let document = ["object", "value", "document"]
            .into_iter()
            .find_map(|key| event.get_mut(key).map(Value::take))
            .unwrap_or_default();
        let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let revision = ["revision", "resourceVersion"].into_iter().find_map(|key| {
            event
                .get(key)
                .or_else(|| document.get(key))
                .and_then(number)
        });
        if let Some(revision) = revision {
            self.revision = self.revision.max(revision);
        }
        let kind = match word.as_str() {
            "ADDED" => ChangeKind::Added,
            "MODIFIED" => ChangeKind::Modified,
            "DELETED" => ChangeKind::Deleted,
            "ERROR" if code == 410 || code == 0 => return Err(ClientError::Expired),
            "ERROR" => return Err(odd("the watch", &format!("ended with code {code}"))),
            // Bookmarks and whatever comes later.
            _ => return Ok(()),
        };
        let object = object_of(document);
        if belongs(self.kind, &object) {
            self.ready.push_back(Change { kind, object });
        }
        Ok(())
    }
}

fn odd(what: &str, detail: &str) -> ClientError {
    ClientError::Odd {
        what: what.to_owned(),
        detail: detail.to_owned(),
    }
}
