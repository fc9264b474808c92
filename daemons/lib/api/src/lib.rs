//! The typed client of API v4, as people reach it behind the gateway, and the client file that
//! tells where that is.
//!
//! Writes go to the scheduler's prefix (through the gateway to the driver), reads to the storage's.
//! Every call has a time limit, trusts only the authority of the client file, and fails with an
//! error that says what to do. It prints nothing and keeps no state but its connections.

mod apply;
mod client_file;
mod error;
mod kind;
mod logs;
mod paths;
mod read;
mod watch;
mod write;

#[cfg(test)]
mod tests;

pub use apply::Applied;
pub use client_file::{ClientFile, default_data_dir};
pub use error::{ClientError, Refusal};
pub use kind::{IntoKind, Kind};
pub use logs::{LogRequest, Logs};
pub use read::{Listing, Scope};
pub use watch::{Change, ChangeKind, Watch};

use bcs_httpd::Endpoint;
use http::Method;
use serde::Serialize;
use serde_json::Value;

/// A client of one gateway and one cluster; clones share the connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: bcs_httpd::Client,
    authorization: bcs_kit::Redacted<String>,
    cluster: String,
}

impl Client {
    /// A client as the file says.
    ///
    /// # Errors
    /// [`ClientError::File`] when the address or the authority cannot be used.
    pub fn new(file: &ClientFile) -> Result<Self, ClientError> {
        let unusable = |field: &'static str, detail: String| ClientError::Field { field, detail };
        let endpoint: Endpoint =
            file.address
                .parse()
                .map_err(|error: bcs_httpd::endpoint::AddressError| {
                    unusable("address", error.to_string())
                })?;
        let http = if file.address.starts_with("https:") {
            bcs_httpd::Client::trusting(&endpoint, file.ca.as_bytes())
        } else {
            bcs_httpd::Client::new(&endpoint, None)
        };
        Ok(Self {
            http: http.map_err(|error| unusable("ca", error.to_string()))?,
            authorization: bcs_kit::Redacted::new(format!("Bearer {}", file.token)),
            cluster: file.cluster.clone(),
        })
    }

    /// The cluster that every call is for.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The address of the gateway.
    pub fn address(&self) -> String {
        self.http.endpoint().to_string()
    }

    /// Any other call: the payload of the envelope.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn call(&self, method: Method, path: &str) -> Result<Value, ClientError> {
        self.send(self.http.request(method, path)).await
    }

    /// Any other call with a JSON body.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn call_with(
        &self,
        method: Method,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<Value, ClientError> {
        self.send(self.http.request(method, path).json(body)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, ClientError> {
        Ok(self.envelope(request).await?.data)
    }

    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request
            .header(http::header::AUTHORIZATION, self.authorization.expose())
            .header("BCS-ClusterID", &self.cluster)
    }

    async fn envelope(&self, request: reqwest::RequestBuilder) -> Result<Parsed, ClientError> {
        let response = self
            .authorized(request)
            .send()
            .await
            .map_err(|error| self.failed(&error))?;
        let status = response.status();
        let revision = response
            .headers()
            .get("bcs-revision")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.parse().ok());
        let body = response
            .bytes()
            .await
            .map_err(|error| self.failed(&error))?;
        let mut parsed = error::parse(status, &body)?;
        if parsed.revision.is_none() {
            parsed.revision = revision;
        }
        Ok(parsed)
    }

    /// A call whose answer is no envelope but a stream; refusals are envelopes still.
    async fn stream(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, ClientError> {
        let response = self
            .authorized(request)
            .send()
            .await
            .map_err(|error| self.failed(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response
            .bytes()
            .await
            .map_err(|error| self.failed(&error))?;
        error::parse(status, &body)?;
        Err(ClientError::Odd {
            what: format!("the gateway answered {status}"),
            detail: "with an envelope that says success".to_owned(),
        })
    }

    fn failed(&self, error: &reqwest::Error) -> ClientError {
        let address = self.address();
        if error.is_timeout() {
            return ClientError::TimedOut { address };
        }
        ClientError::Unreachable {
            address,
            cause: error::root(error),
        }
    }
}

/// A successful envelope.
#[derive(Debug, Default)]
struct Parsed {
    data: Value,
    revision: Option<u64>,
    next: Option<String>,
}
