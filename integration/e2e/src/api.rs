//! The HTTP interface as any client sees it: TLS with the authority of `client.yaml`, a token,
//! JSON. Independent of the product's own client.

use std::time::Duration;

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::Value;

use crate::System;

/// The driver's prefix behind the gateway.
pub const WORKLOADS: &str = "/bcsapi/v4/scheduler/mesos";
/// Storage's prefix behind the gateway.
pub const STORAGE: &str = "/bcsapi/v4/storage";
/// The cluster of every system here.
pub const CLUSTER: &str = "BCS-MESOS-10000";

#[derive(Clone, Debug, Deserialize)]
struct ClientFile {
    address: String,
    token: String,
    ca: Option<String>,
    ca_file: Option<std::path::PathBuf>,
}

/// A client of the gateway.
#[derive(Debug)]
pub struct Api {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: reqwest::header::HeaderMap,
    /// The body.
    pub text: String,
}

impl Reply {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The code of the envelope, which must be one.
    ///
    /// # Panics
    /// Otherwise.
    #[track_caller]
    pub fn code(&self) -> i64 {
        let envelope = self.json();
        for key in ["result", "code", "message"] {
            assert!(envelope.get(key).is_some(), "no envelope: {self:?}");
        }
        envelope["code"].as_i64().unwrap()
    }

    /// The message of the envelope.
    #[track_caller]
    pub fn message(&self) -> String {
        self.json()["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// This answer, which must be a success.
    ///
    /// # Panics
    /// Otherwise.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.code(), 0, "{self:?}");
        self
    }
}

impl Api {
    /// With the token of the client file.
    pub fn of(system: &System) -> Self {
        // An error only says that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let path = system.client_file();
        let text = std::fs::read_to_string(&path).unwrap();
        let file: ClientFile = serde_saphyr::from_str(&text).unwrap();
        let pem = file.ca.unwrap_or_else(|| {
            let name = file.ca_file.expect("client.yaml names an authority");
            std::fs::read_to_string(path.parent().unwrap().join(name)).unwrap()
        });
        let authorities = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only(authorities)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
            http,
            base: file.address,
            token: Some(file.token),
        }
    }

    /// The token of the client file.
    pub fn token_of(system: &System) -> String {
        Self::of(system).token.unwrap()
    }

    /// With another token, or none.
    pub fn with_token(system: &System, token: Option<&str>) -> Self {
        Self {
            token: token.map(str::to_owned),
            ..Self::of(system)
        }
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> reqwest::RequestBuilder {
        let mut request = self
            .http
            .request(method.parse().unwrap(), format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request
    }

    /// A call with header fields and a body.
    #[track_caller]
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Reply {
        let body: Vec<u8> = body.into();
        let request = self
            .request(method, path, headers)
            .timeout(Duration::from_secs(30))
            .body(body);
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            Reply {
                status: response.status().as_u16(),
                headers: response.headers().clone(),
                text: response.text().await.unwrap(),
            }
        })
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "")
    }

    /// A call with a JSON body.
    #[track_caller]
    pub fn json(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.send(
            method,
            path,
            &[("content-type", "application/json")],
            body.to_string(),
        )
    }

    /// A stream of lines.
    #[track_caller]
    pub fn stream(&self, path: &str) -> Stream<'_> {
        let response = self
            .runtime
            .block_on(self.request("GET", path, &[]).send())
            .unwrap();
        Stream {
            status: response.status().as_u16(),
            api: self,
            chunks: response.bytes_stream().boxed(),
            buffer: Vec::new(),
        }
    }
}

/// Lines as they come.
pub struct Stream<'a> {
    /// HTTP status.
    pub status: u16,
    api: &'a Api,
    chunks: futures_util::stream::BoxStream<'static, Result<bytes::Bytes, reqwest::Error>>,
    buffer: Vec<u8>,
}

impl Stream<'_> {
    /// The next line as JSON; `None` when the stream has ended or nothing came in time.
    pub fn next(&mut self, limit: Duration) -> Option<Value> {
        let deadline = std::time::Instant::now() + limit;
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let chunk = self
                .api
                .runtime
                .block_on(async { tokio::time::timeout(left, self.chunks.next()).await });
            match chunk {
                Ok(Some(Ok(chunk))) => self.buffer.extend_from_slice(&chunk),
                // The last line of an answer that is no stream has no end.
                Ok(None) if !self.buffer.is_empty() => self.buffer.push(b'\n'),
                Ok(Some(Err(_)) | None) | Err(_) => return None,
            }
        }
    }
}
