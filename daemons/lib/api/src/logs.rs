//! Output of tasks, as it comes.

use crate::paths::{SCHEDULER, part};
use crate::{Client, ClientError};
use bcs_model::ids::TaskGroupId;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::Method;

/// Which output is wanted.
#[derive(Debug, Clone, Copy)]
pub struct LogRequest<'a> {
    /// Of which taskgroup.
    pub taskgroup: &'a TaskGroupId,
    /// Of which task; may be left out when there is one.
    pub container: Option<&'a str>,
    /// Error output instead of output.
    pub stderr: bool,
    /// Lines from the end.
    pub tail: Option<u64>,
    /// Go on with what comes.
    pub follow: bool,
}

/// Output as it comes.
pub struct Logs {
    address: String,
    chunks: BoxStream<'static, Result<Bytes, reqwest::Error>>,
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Logs")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Logs {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// That the connection broke.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        match self.chunks.next().await {
            None => Ok(None),
            Some(Ok(chunk)) => Ok(Some(chunk)),
            Some(Err(error)) => Err(ClientError::Unreachable {
                address: self.address.clone(),
                cause: crate::error::root(&error),
            }),
        }
    }
}

impl Client {
    /// The output of a task.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn logs(&self, request: &LogRequest<'_>) -> Result<Logs, ClientError> {
        let id = request.taskgroup;
        let mut path = format!(
            "{SCHEDULER}/namespaces/{}/taskgroups/{}/logs?stream={}&follow={}",
            part(&id.namespace),
            part(&id.to_string()),
            if request.stderr { "stderr" } else { "stdout" },
            request.follow
        );
        if let Some(container) = request.container {
            path.push_str(&format!("&container={}", part(container)));
        }
        if let Some(tail) = request.tail {
            path.push_str(&format!("&tail={tail}"));
        }
        let response = self
            .stream(self.http.stream_request(Method::GET, &path))
            .await?;
        Ok(Logs {
            address: self.address(),
            chunks: response.bytes_stream().boxed(),
        })
    }
}
