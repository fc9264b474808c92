//! Calling another daemon: one pooled client for each endpoint, with bounds in time.

use std::time::Duration;

use http::Method;

use crate::endpoint::Endpoint;
use crate::tls::{TlsError, TlsFiles};

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The certificate files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP library.
    #[error("HTTP client for {endpoint}: {source}")]
    Build {
        /// Whom it was for.
        endpoint: String,
        /// What is wrong.
        #[source]
        source: reqwest::Error,
    },
}

/// How long an ordinary call may take, all in all.
pub const CALL_TIME: Duration = Duration::from_secs(30);
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// HTTP/1.1 connections are given up before a server of ours does so, which waits ten seconds for
/// the next request; HTTP/2 ones are kept alive by pings.
const PLAIN_IDLE_TIME: Duration = Duration::from_secs(5);
const IDLE_TIME: Duration = Duration::from_secs(60);
/// What one stream may send ahead of its reader, and all streams of a connection together: slow
/// readers of some streams must not stop the others.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// A client of one endpoint; clones share the connections.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    endpoint: Endpoint,
    http: reqwest::Client,
}

impl Client {
    /// A client that shows `tls` to https endpoints. Unix sockets speak HTTP/2 from the first byte,
    /// so that many streams share one connection.
    ///
    /// # Errors
    /// [`ClientError`] when the certificate files are unusable.
    pub fn new(endpoint: &Endpoint, tls: Option<&TlsFiles>) -> Result<Self, ClientError> {
        let config = match (endpoint, tls) {
            (Endpoint::Url(url), Some(tls)) if url.starts_with("https:") => Some(tls.client()?),
            _ => None,
        };
        Self::build(endpoint, config)
    }

    /// A client for people: trusts the authority `ca` (PEM) and shows no certificate.
    ///
    /// # Errors
    /// [`ClientError`] when `ca` holds no certificate.
    pub fn trusting(endpoint: &Endpoint, ca: &[u8]) -> Result<Self, ClientError> {
        Self::build(endpoint, Some(crate::tls::client_trusting(ca)?))
    }

    fn build(endpoint: &Endpoint, tls: Option<rustls::ClientConfig>) -> Result<Self, ClientError> {
        crate::tls::install_provider();
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIME)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .tcp_keepalive(Duration::from_secs(15))
            .http2_keep_alive_interval(Duration::from_secs(15))
            .http2_keep_alive_timeout(Duration::from_secs(15));
        if let Some(tls) = tls {
            builder = builder.tls_backend_preconfigured(tls);
        } else {
            // Nothing but the endpoint's own scheme is ever spoken, so no authority is needed.
            builder = builder.tls_certs_only(std::iter::empty());
        }
        let base = match endpoint {
            Endpoint::Url(url) => {
                let plain = url.starts_with("http:");
                builder =
                    builder.pool_idle_timeout(if plain { PLAIN_IDLE_TIME } else { IDLE_TIME });
                url.clone()
            }
            Endpoint::Unix(path) => {
                builder = builder.unix_socket(path.clone()).http2_prior_knowledge();
                "http://localhost".to_owned()
            }
        };
        let http = builder.build().map_err(|source| ClientError::Build {
            endpoint: endpoint.to_string(),
            source,
        })?;
        Ok(Self {
            base,
            endpoint: endpoint.clone(),
            http,
        })
    }

    /// Whom this client calls.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A call that must end within [`CALL_TIME`]; `path` begins with a slash and may hold a query.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.stream_request(method, path).timeout(CALL_TIME)
    }

    /// A call whose answer may stream for ever; only connecting is bounded.
    pub fn stream_request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }
}
