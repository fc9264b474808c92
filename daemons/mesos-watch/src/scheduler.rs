//! The scheduler's stream of records (`GET /v1/watch`, one JSON object a line).

use std::time::Duration;

use bcs_httpd::Client;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::{Method, StatusCode};
use serde::Deserialize;

use crate::storage::root_cause;

/// Longest line.
const MAX_LINE_BYTES: usize = 32 * 1024 * 1024;
/// Bookmarks come every 10 s; after this silence the connection counts as dead.
const SILENCE: Duration = Duration::from_secs(35);
/// For the head of the answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Verb {
    Put,
    Delete,
    /// The snapshot is complete.
    Synced,
    /// Nothing changed up to this revision.
    Bookmark,
}

/// One line.
#[derive(Debug, Deserialize)]
pub(crate) struct Record {
    #[serde(default)]
    pub(crate) revision: u64,
    #[serde(rename = "type")]
    pub(crate) verb: Verb,
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) namespace: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) object: serde_json::Value,
}

/// Why the stream ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchedulerError {
    /// The position is too old.
    #[error("the scheduler no longer keeps what follows revision {from}")]
    Expired { from: u64 },
    #[error("scheduler at {endpoint} does not answer: {cause}")]
    Unreachable { endpoint: String, cause: String },
    #[error("scheduler at {endpoint} refused ({status}): {message}")]
    Refused {
        endpoint: String,
        status: StatusCode,
        message: String,
    },
    #[error("scheduler at {endpoint} sent what cannot be read: {cause}")]
    Odd { endpoint: String, cause: String },
    #[error("scheduler at {endpoint} ended the stream")]
    Ended { endpoint: String },
}

/// An open stream.
pub(crate) struct Records {
    endpoint: String,
    chunks: BoxStream<'static, Result<Bytes, reqwest::Error>>,
    buffer: BytesMut,
    scanned: usize,
}

/// Opens the stream after `from`; 0 begins with a snapshot.
pub(crate) async fn open(client: &Client, from: u64) -> Result<Records, SchedulerError> {
    let endpoint = client.endpoint().to_string();
    let unreachable = |cause: String| SchedulerError::Unreachable {
        endpoint: client.endpoint().to_string(),
        cause,
    };
    let path = format!("/v1/watch?from={from}");
    let sending = client.stream_request(Method::GET, &path).send();
    let response = tokio::time::timeout(ANSWER_TIME, sending)
        .await
        .map_err(|_| unreachable(format!("no answer in {} s", ANSWER_TIME.as_secs())))?
        .map_err(|error| unreachable(root_cause(&error)))?;
    let status = response.status();
    if status == StatusCode::GONE {
        return Err(SchedulerError::Expired { from });
    }
    if !status.is_success() {
        let body = tokio::time::timeout(ANSWER_TIME, response.text()).await;
        let text = body.ok().and_then(Result::ok).unwrap_or_default();
        let message = text.chars().take(300).collect();
        return Err(SchedulerError::Refused {
            endpoint,
            status,
            message,
        });
    }
    let chunks = response.bytes_stream().boxed();
    Ok(Records {
        endpoint,
        chunks,
        buffer: BytesMut::new(),
        scanned: 0,
    })
}

impl Records {
    /// The next record. Cancel-safe: what has arrived stays in the buffer.
    pub(crate) async fn next(&mut self) -> Result<Record, SchedulerError> {
        loop {
            if let Some(line) = self.line() {
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return serde_json::from_slice(&line).map_err(|error| self.odd(error.to_string()));
            }
            if self.buffer.len() > MAX_LINE_BYTES {
                return Err(self.odd(format!("a line of more than {MAX_LINE_BYTES} bytes")));
            }
            match tokio::time::timeout(SILENCE, self.chunks.next()).await {
                Ok(Some(Ok(chunk))) => self.buffer.extend_from_slice(&chunk),
                Ok(Some(Err(error))) => {
                    return Err(SchedulerError::Unreachable {
                        endpoint: self.endpoint.clone(),
                        cause: root_cause(&error),
                    });
                }
                Ok(None) => {
                    return Err(SchedulerError::Ended {
                        endpoint: self.endpoint.clone(),
                    });
                }
                Err(_) => {
                    return Err(SchedulerError::Unreachable {
                        endpoint: self.endpoint.clone(),
                        cause: format!("silent for {} s", SILENCE.as_secs()),
                    });
                }
            }
        }
    }

    fn line(&mut self) -> Option<BytesMut> {
        let fresh = self.buffer.get(self.scanned..)?;
        match fresh.iter().position(|byte| *byte == b'\n') {
            Some(found) => {
                let line = self.buffer.split_to(self.scanned + found + 1);
                self.scanned = 0;
                Some(line)
            }
            None => {
                self.scanned = self.buffer.len();
                None
            }
        }
    }

    fn odd(&self, cause: String) -> SchedulerError {
        SchedulerError::Odd {
            endpoint: self.endpoint.clone(),
            cause,
        }
    }
}
