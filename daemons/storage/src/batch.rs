//! Version 2: many writes in one transaction, and the digests from which a watcher finds drift.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use bcs_httpd::{Envelope, Failure};
use bcs_store::{DigestEntry, DocumentKey, Outcome, Write};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::access::Writer;
use crate::dynamic::check_object;
use crate::failure::{Code, bad_request, store};
use crate::service::Service;

/// Operations of one batch.
pub const MAX_OPERATIONS: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    operations: Vec<Operation<'a>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verb {
    Put,
    Delete,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Operation<'a> {
    op: Verb,
    cluster_id: String,
    #[serde(default)]
    namespace: String,
    resource_type: String,
    resource_name: String,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

/// What became of one operation.
#[derive(Debug, Serialize)]
struct Item {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// `POST /batch`. What can be written is written in one transaction, in order; the answer says for
/// each operation what became of it. When the transaction fails, nothing was written.
pub(crate) async fn write(
    State(service): State<Service>,
    writer: Writer,
    body: Bytes,
) -> Result<Response, Failure> {
    let batch: Batch<'_> = serde_json::from_slice(&body).map_err(|error| {
        bad_request(
            Code::Decode,
            format!("the body is not {{\"operations\":[…]}}: {error}"),
        )
    })?;
    if batch.operations.len() > MAX_OPERATIONS {
        let message = format!(
            "{} operations; send at most {MAX_OPERATIONS} in a batch",
            batch.operations.len()
        );
        return Err(Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            Code::Decode as i64,
            message,
        ));
    }
    let mut writes = Vec::with_capacity(batch.operations.len());
    let mut refusals = Vec::with_capacity(batch.operations.len());
    for operation in batch.operations {
        match prepare(&service, &writer, operation) {
            Ok(write) => {
                writes.push(write);
                refusals.push(None);
            }
            Err(message) => refusals.push(Some(message)),
        }
    }
    let count = writes.len();
    let outcomes = service
        .store
        .write(writes)
        .await
        .map_err(|error| store(Code::Put, &error))?;
    service.writes.inc_by(count as u64);
    let mut outcomes = outcomes.into_iter();
    let items: Vec<Item> = refusals
        .into_iter()
        .map(|refusal| match refusal {
            Some(error) => Item {
                ok: false,
                revision: None,
                error: Some(error),
            },
            None => {
                let revision = outcomes.next().and_then(Outcome::revision);
                Item {
                    ok: true,
                    revision,
                    error: None,
                }
            }
        })
        .collect();
    Ok(axum::response::IntoResponse::into_response(Envelope::ok(
        items,
    )))
}

fn prepare(service: &Service, writer: &Writer, operation: Operation<'_>) -> Result<Write, String> {
    let text = |failure: Failure| failure.message;
    writer
        .may_write(&service.writers, &operation.cluster_id)
        .map_err(text)?;
    let key = DocumentKey::new(
        operation.cluster_id,
        operation.namespace,
        operation.resource_type,
        operation.resource_name,
    );
    let write = match (operation.op, operation.data) {
        (Verb::Put, Some(data)) => {
            check_object(data).map_err(text)?;
            Write::put(key, data.to_owned())
        }
        (Verb::Put, None) => return Err("a put has data".to_owned()),
        (Verb::Delete, None) => Write::delete(key),
        (Verb::Delete, Some(_)) => return Err("a delete has no data".to_owned()),
    };
    write.validate().map_err(|error| error.to_string())?;
    Ok(write)
}

#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    cluster: String,
    kind: String,
}

#[derive(Debug, Serialize)]
struct Digests {
    items: Vec<Digest>,
    revision: u64,
}

#[derive(Debug, Serialize)]
struct Digest {
    namespace: String,
    name: String,
    digest: String,
}

/// `GET /digests/clusters/{id}/{type}`: name and content hash of every document of a stored type.
pub(crate) async fn digests(
    State(service): State<Service>,
    Path(place): Path<Place>,
    writer: Writer,
) -> Result<Envelope<impl Serialize>, Failure> {
    writer.may_write(&service.writers, &place.cluster)?;
    let (entries, revision) = service
        .store
        .digests(&place.cluster, &place.kind)
        .await
        .map_err(|error| store(Code::List, &error))?;
    let items = entries
        .into_iter()
        .map(
            |DigestEntry {
                 namespace,
                 name,
                 digest,
             }| Digest {
                namespace,
                name,
                digest,
            },
        )
        .collect();
    Ok(Envelope::ok(Digests { items, revision }))
}
