//! The table of routes (spec central-services 1.3), and honest answers for those still to come.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bcs_httpd::Failure;
use http::{StatusCode, Uri};

use crate::failure::not_implemented;
use crate::service::Service;
use crate::{batch, dynamic, typed, watch};

pub(crate) fn router(service: Service) -> Router {
    let object = || get(dynamic::get).put(dynamic::put).delete(dynamic::delete);
    let list = || get(dynamic::list).delete(dynamic::delete_matching);
    let v1 = Router::new()
        .route(
            "/{env}/dynamic/namespace_resources/clusters/{cluster}/namespaces/{namespace}/{kind}/{name}",
            object(),
        )
        .route(
            "/{env}/dynamic/namespace_resources/clusters/{cluster}/namespaces/{namespace}/{kind}",
            list(),
        )
        .route("/{env}/dynamic/cluster_resources/clusters/{cluster}/{kind}/{name}", object())
        .route("/{env}/dynamic/cluster_resources/clusters/{cluster}/{kind}", list())
        .route("/{env}/dynamic/all_resources/clusters/{cluster}/{kind}", list())
        .route(
            "/dynamic/customresources/{kind}",
            get(dynamic::custom).put(later).delete(later),
        )
        .route("/dynamic/customresources/{kind}/index/{index}", any(later))
        .route("/query/{env}/dynamic/clusters/{cluster}/{kind}", get(typed::query).post(typed::query))
        .route("/dynamic/watch/{cluster}/{kind}", post(watch::legacy))
        .route("/metric/{*rest}", any(later))
        .route("/events", any(later))
        .route("/events/watch", any(later))
        .route("/alarms", any(later))
        .route("/{env}/watch/{*rest}", any(later))
        .route("/host/{*rest}", any(later))
        .route("/cluster_config/{*rest}", any(later));
    let v2 = Router::new()
        .route("/batch", post(batch::write))
        .route("/digests/clusters/{cluster}/{kind}", get(batch::digests));
    Router::new()
        .nest("/bcsstorage/v1", v1)
        .nest("/bcsstorage/v2", v2)
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(service)
}

async fn later(uri: Uri) -> Failure {
    not_implemented(uri.path())
}

async fn unknown(uri: Uri) -> Response {
    let message = format!("storage has no route {}", uri.path());
    Failure::new(StatusCode::NOT_FOUND, 0, message).into_response()
}

async fn wrong_method(uri: Uri) -> Failure {
    let message = format!("{} does not take this method", uri.path());
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, 0, message)
}
