//! Calls to storage: batches and digests.

use std::collections::BTreeMap;

use bcs_httpd::Client;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::outbox::{Key, Operation};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    #[error("storage at {endpoint} does not answer: {cause}")]
    Unreachable { endpoint: String, cause: String },
    #[error("storage at {endpoint} refused ({status}): {message}")]
    Refused {
        endpoint: String,
        status: StatusCode,
        message: String,
    },
    #[error("storage at {endpoint} answered what cannot be read: {cause}")]
    Odd { endpoint: String, cause: String },
}

/// Storage as this cluster's watcher sees it.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    client: Client,
    cluster: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    op: &'static str,
    cluster_id: &'a str,
    namespace: &'a str,
    resource_type: &'a str,
    resource_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Batch<'a> {
    operations: Vec<Wire<'a>>,
}

/// What became of one operation.
#[derive(Debug, Deserialize)]
pub(crate) struct Item {
    pub(crate) ok: bool,
    #[serde(default)]
    pub(crate) error: Option<String>,
}

#[derive(Deserialize)]
struct Digests {
    items: Vec<Digest>,
}

#[derive(Deserialize)]
struct Digest {
    namespace: String,
    name: String,
    digest: String,
}

#[derive(Deserialize)]
struct Answer<T> {
    #[serde(default = "Option::default")]
    data: Option<T>,
    #[serde(default)]
    message: String,
}

impl Storage {
    pub(crate) fn new(client: Client, cluster: String) -> Self {
        Self { client, cluster }
    }

    /// Writes a batch in one transaction.
    pub(crate) async fn write(&self, batch: &[Operation]) -> Result<Vec<Item>, StorageError> {
        let mut operations = Vec::with_capacity(batch.len());
        for ((kind, namespace, name), content) in batch {
            let data = match content {
                Some(text) => Some(serde_json::from_str::<&RawValue>(text).map_err(|error| {
                    StorageError::Odd {
                        endpoint: self.endpoint(),
                        cause: error.to_string(),
                    }
                })?),
                None => None,
            };
            operations.push(Wire {
                op: if data.is_some() { "put" } else { "delete" },
                cluster_id: &self.cluster,
                namespace,
                resource_type: kind,
                resource_name: name,
                data,
            });
        }
        let request = self
            .client
            .request(Method::POST, "/bcsstorage/v2/batch")
            .json(&Batch { operations });
        self.call(request).await
    }

    /// Content hashes of everything of a kind.
    pub(crate) async fn digests(&self, kind: &str) -> Result<BTreeMap<Key, String>, StorageError> {
        let path = format!("/bcsstorage/v2/digests/clusters/{}/{kind}", self.cluster);
        let digests: Digests = self.call(self.client.request(Method::GET, &path)).await?;
        let keyed = digests.items.into_iter().map(|digest| {
            (
                (kind.to_owned(), digest.namespace, digest.name),
                digest.digest,
            )
        });
        Ok(keyed.collect())
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, StorageError> {
        let endpoint = || self.endpoint();
        let unreachable = |error: reqwest::Error| StorageError::Unreachable {
            endpoint: endpoint(),
            cause: root_cause(&error),
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        let answer: Result<Answer<T>, _> = serde_json::from_slice(&body);
        match answer {
            Ok(Answer {
                data: Some(data), ..
            }) if status.is_success() => Ok(data),
            Ok(answer) if !status.is_success() => Err(StorageError::Refused {
                endpoint: endpoint(),
                status,
                message: answer.message,
            }),
            Ok(_) => Err(StorageError::Odd {
                endpoint: endpoint(),
                cause: "no data".into(),
            }),
            Err(_) if !status.is_success() => {
                let message = status.canonical_reason().unwrap_or_default().to_owned();
                Err(StorageError::Refused {
                    endpoint: endpoint(),
                    status,
                    message,
                })
            }
            Err(error) => Err(StorageError::Odd {
                endpoint: endpoint(),
                cause: error.to_string(),
            }),
        }
    }

    fn endpoint(&self) -> String {
        self.client.endpoint().to_string()
    }
}

/// The innermost cause: "connection refused" says more than "error sending request".
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
