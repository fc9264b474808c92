//! What the handlers share.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bcs_httpd::Failure;
use bcs_httpd::envelope::Enveloped;
use bcs_kit::Shutdown;
use bcs_store::{Documents, Query};
use http::{HeaderValue, StatusCode, header};

use crate::access::WriterHosts;
use crate::failure::{Code, store};
use crate::query_string::Request;
use crate::render::{ListAnswer, Rendering};

/// The service behind the routes; clones share everything.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) store: Arc<dyn Documents>,
    pub(crate) writers: Arc<WriterHosts>,
    pub(crate) shutdown: Shutdown,
    pub(crate) watch: WatchBounds,
    pub(crate) writes: prometheus_client::metrics::counter::Counter,
}

/// Bounds of watch streams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WatchBounds {
    pub(crate) bookmark: std::time::Duration,
    /// A reader that is this many changes behind is told to list again.
    pub(crate) backlog: u64,
}

impl Service {
    /// Answers a list request; `paged` adds the size of the page, as route 9 has it.
    pub(crate) async fn list(
        &self,
        request: Request,
        secrets: bool,
        paged: bool,
    ) -> Result<Response, Failure> {
        let Query { limit, offset, .. } = request.query;
        let page = self
            .store
            .list(&request.query)
            .await
            .map_err(|error| store(Code::List, &error))?;
        let rendering = Rendering {
            show_secrets: secrets,
            fields: request.fields,
            versions: request.versions,
        };
        let items = page
            .documents
            .iter()
            .map(|document| rendering.document(document))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| encode(&error))?;
        let size = if limit == 0 { items.len() } else { limit };
        let answer = ListAnswer {
            items,
            total: page.total,
            next: page.next.map(|token| token.encode()),
            revision: page.revision,
            page: paged.then_some((size, offset)),
        };
        Ok(enveloped(answer.into_json()))
    }
}

pub(crate) fn encode(error: &serde_json::Error) -> Failure {
    let message = format!("a stored document cannot be shown: {error}");
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, 1_405_081, message)
}

/// A success whose envelope is written already.
pub(crate) fn enveloped(json: String) -> Response {
    let kind = HeaderValue::from_static("application/json");
    let mut response = ([(header::CONTENT_TYPE, kind)], json).into_response();
    response.extensions_mut().insert(Enveloped);
    response
}

/// A success with one JSON text as its data.
pub(crate) fn success(data: &str) -> Response {
    enveloped(format!(
        r#"{{"result":true,"code":0,"message":"success","data":{data}}}"#
    ))
}
