//! The route table of API v4, and what every request passes first: who calls, for which cluster.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, delete, get, post, put};
use bcs_httpd::{Failure, Peer, always_ok, ops_router, require_role};
use bcs_kit::Context;
use bcs_model::v4::Kind;
use http::StatusCode;
use std::sync::Arc;

use crate::upstream::Driver;
use crate::workloads::Family;
use crate::{Settings, cluster, configuration, logs, messages, workloads};

const PREFIX: &str = "/mesosdriver/v4";
/// Families that another stage of the project brings.
const LATER: [&str; 17] = [
    "/namespaces/{ns}/services",
    "/namespaces/{ns}/services/{name}",
    "/namespaces/{ns}/deployments",
    "/namespaces/{ns}/deployments/{*rest}",
    "/namespaces/{ns}/daemonset",
    "/namespaces/{ns}/daemonset/{*rest}",
    "/namespaces/{ns}/admissionwebhook",
    "/namespaces/{ns}/admissionwebhook/{*rest}",
    "/admissionwebhooks",
    "/crr/{*rest}",
    "/crd/{*rest}",
    "/image/commit/{*rest}",
    "/command/{*rest}",
    "/webconsole/{*rest}",
    "/customresourcedefinitions",
    "/customresourcedefinitions/{*rest}",
    "/customresources/{*rest}",
];

pub(crate) fn router(driver: Driver, settings: &Settings, context: &Context) -> Router {
    let guard = Guard {
        cluster: settings.cluster.clone().into(),
        callers: settings
            .tls
            .is_some()
            .then(|| settings.callers.clone().into()),
    };
    let mut api = Router::new()
        .merge(family(Family(Kind::Application)))
        .merge(family(Family(Kind::Process)))
        .route(
            "/namespaces/{ns}/configmaps",
            post(configuration::put_config_map)
                .put(configuration::put_config_map)
                .get(configuration::list_config_maps),
        )
        .route(
            "/namespaces/{ns}/configmaps/{name}",
            get(configuration::get_config_map).delete(configuration::delete_config_map),
        )
        .route(
            "/namespaces/{ns}/secrets",
            post(configuration::put_secret).put(configuration::put_secret),
        )
        .route(
            "/namespaces/{ns}/secrets/{name}",
            delete(configuration::delete_secret),
        )
        .route(
            "/namespaces/{ns}/taskgroups/{taskgroup}/logs",
            get(logs::read),
        )
        .route("/cluster/resources", get(cluster::resources))
        .route("/cluster/endpoints", get(cluster::endpoints))
        .route("/cluster/current/offers", get(cluster::offers))
        .route(
            "/agentsettings",
            get(cluster::settings)
                .post(cluster::set)
                .delete(cluster::unset),
        )
        .route("/agentsettings/enable", post(cluster::enable))
        .route("/agentsettings/disable", post(cluster::disable))
        .route("/agentsettings/taint", put(cluster::taint))
        .route(
            "/agentsettings/extendedresource",
            put(cluster::extended_resource),
        )
        .route("/definition/{kind}/{ns}/{name}", get(workloads::definition));
    for path in LATER {
        api = api.route(path, any(not_implemented));
    }
    let api = api
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(driver)
        .layer(middleware::from_fn_with_state(guard, Guard::check));
    Router::new()
        .nest(PREFIX, api)
        .fallback(unknown)
        .layer(middleware::from_fn_with_state(
            settings.always_200,
            always_ok::layer,
        ))
        .merge(ops_router(context))
}

fn family(family: Family) -> Router<Driver> {
    let root = format!("/namespaces/{{ns}}/{}", family.0.plural());
    let one = format!("{root}/{{name}}");
    let group = format!("{one}/taskgroups/{{taskgroup}}");
    Router::new()
        .route(
            &root,
            post(move |state, path, document| family.create(state, path, document))
                .put(move |state, path, query, document| {
                    family.update(state, path, query, document)
                })
                .get(move |state, path| family.list(state, path)),
        )
        .route(
            &format!("{root}/rollback"),
            put(move |state, path, document| family.rollback(state, path, document)),
        )
        .route(
            &one,
            get(move |state, path| family.get(state, path))
                .delete(move |state, path, query| family.delete(state, path, query)),
        )
        .route(
            &format!("{one}/rollback"),
            put(move |state, path, query| family.rollback_to(state, path, query)),
        )
        .route(
            &format!("{one}/scale/{{instances}}"),
            put(move |state, path| family.scale(state, path)),
        )
        .route(&format!("{one}/message"), post(messages::broadcast))
        .route(&format!("{group}/message"), post(messages::one))
        .route(&format!("{one}/taskgroups"), get(workloads::taskgroups))
        .route(&format!("{one}/tasks"), get(workloads::tasks))
        .route(&format!("{group}/rescheduler"), put(workloads::reschedule))
        .route(&format!("{group}/restart"), post(workloads::restart))
        .route(&format!("{group}/reload"), post(workloads::reload))
        .route(&format!("{one}/versions"), get(workloads::versions))
        .route(
            &format!("{one}/versions/{{version}}"),
            get(workloads::one_version),
        )
}

/// What every request of the API must satisfy.
#[derive(Clone, Debug)]
struct Guard {
    cluster: Arc<str>,
    /// Absent without certificates.
    callers: Option<Arc<[String]>>,
}

impl Guard {
    async fn check(
        State(guard): State<Guard>,
        peer: Peer,
        request: Request,
        next: Next,
    ) -> Result<Response, Failure> {
        if let Some(callers) = &guard.callers {
            let roles: Vec<&str> = callers.iter().map(String::as_str).collect();
            require_role(&peer, &roles)?;
        }
        if let Some(value) = request.headers().get("BCS-ClusterID")
            && value.as_bytes() != guard.cluster.as_bytes()
        {
            let text = format!(
                "BCS-ClusterID: {value:?} is not the cluster of this driver, {}; leave the header \
                 out or correct it",
                guard.cluster
            );
            return Err(Failure::new(StatusCode::BAD_REQUEST, 1_405_234, text));
        }
        Ok(next.run(request).await)
    }
}

/// For the families of [`LATER`].
pub(crate) async fn not_implemented() -> Failure {
    let text = "not implemented: this driver serves applications, processes, configmaps, secrets, \
                agentsettings, definitions and the cluster routes";
    Failure::new(StatusCode::NOT_IMPLEMENTED, 1_405_230, text)
}

async fn unknown(request: Request) -> Failure {
    let path: String = request.uri().path().chars().take(120).collect();
    let text = format!("{} {path:?} is no route of API v4", request.method());
    Failure::new(StatusCode::NOT_FOUND, 1_405_230, text)
}

async fn wrong_method(request: Request) -> Failure {
    let path: String = request.uri().path().chars().take(120).collect();
    let text = format!("{} is not allowed for {path:?}", request.method());
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, 1_405_230, text)
}
