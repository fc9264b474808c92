//! The HTTP API of the scheduler, prefix `/v1` (spec mesos-side 4.1).

mod apps;
mod cluster;
mod objects;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post, put};
use bcs_httpd::{Envelope, Failure, Peer, require_role};
use bcs_kit::Shutdown;
use bytes::Bytes;
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::core::command::{Command, GENERIC};
use crate::core::query::Query;
use crate::feed::Feed;
use crate::inbox::Inbox;
use crate::mesos::master::Session;

/// Who may call, beside trusted peers on a unix socket.
const ROLES: [&str; 4] = ["driver", "mesos-watch", "gateway", "admin"];

/// What the routes share.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) inbox: Inbox,
    pub(crate) feed: Arc<Feed>,
    pub(crate) sessions: tokio::sync::watch::Receiver<Option<Arc<Session>>>,
    /// Without TLS nobody can show who he is; `run` allows that on loopback only.
    pub(crate) open: bool,
    pub(crate) cluster: String,
    pub(crate) address: Option<std::net::SocketAddr>,
    pub(crate) shutdown: Shutdown,
}

type Answer = Result<Envelope<Value>, Failure>;

impl Api {
    async fn order(&self, command: Command) -> Answer {
        let data = self.inbox.ask(command).await?;
        Ok(Envelope {
            data: (!data.is_null()).then_some(data),
            ..Envelope::ok(Value::Null)
        })
    }

    async fn question(&self, query: Query) -> Answer {
        Ok(Envelope::ok(self.inbox.ask(Command::Query(query)).await?))
    }

    /// How agents are reached: as this daemon is.
    fn agent_scheme(&self) -> &'static str {
        if self.open { "http" } else { "https" }
    }
}

/// All routes.
pub(crate) fn router(api: Api) -> Router {
    let v1 = Router::new()
        .route("/apps", post(apps::create).get(apps::list_all))
        .route("/{namespace}/apps", get(apps::list))
        .route(
            "/apps/{namespace}/{app}",
            get(apps::get).delete(apps::delete),
        )
        .route("/apps/{namespace}/{app}/update", post(apps::update))
        .route(
            "/apps/{namespace}/{app}/rollback",
            post(apps::rollback).put(apps::rollback),
        )
        .route("/apps/{namespace}/{app}/scale", post(apps::scale))
        .route("/apps/{namespace}/{app}/taskgroups", get(apps::taskgroups))
        .route("/apps/{namespace}/{app}/tasks", get(apps::taskgroups))
        .route("/apps/{namespace}/{app}/versions", get(apps::versions))
        .route(
            "/apps/{namespace}/{app}/versions/{version}",
            get(apps::version),
        )
        .route("/apps/{namespace}/{app}/message", post(apps::message))
        .route(
            "/apps/{namespace}/{app}/message/{taskgroup}",
            post(apps::message_one),
        )
        .route(
            "/definition/application/{namespace}/{app}",
            get(apps::definition),
        )
        .route(
            "/definition/process/{namespace}/{app}",
            get(apps::definition),
        )
        .route("/taskgroups/{id}", get(apps::taskgroup))
        .route("/taskgroups/{id}/location", get(apps::location))
        .route("/taskgroup/{id}/rescheduler", put(apps::reschedule))
        .route("/taskgroup/{id}/restart", post(apps::restart))
        .route("/taskgroup/{id}/reload", post(apps::reload))
        .route(
            "/configmap",
            post(objects::create_configmap).put(objects::replace_configmap),
        )
        .route(
            "/configmap/{namespace}/{name}",
            delete(objects::delete_configmap).get(objects::configmap),
        )
        .route("/configmaps", get(objects::configmaps))
        .route(
            "/secret",
            post(objects::create_secret).put(objects::replace_secret),
        )
        .route(
            "/secret/{namespace}/{name}",
            delete(objects::delete_secret).get(objects::secret),
        )
        .route("/secrets", get(objects::secrets))
        .route(
            "/agentsetting/{ip}",
            get(cluster::setting).delete(cluster::delete_setting),
        )
        .route("/agentsetting/{ip}/enable", post(cluster::enable_one))
        .route("/agentsetting/{ip}/disable", post(cluster::disable_one))
        .route(
            "/agentsettings",
            get(cluster::settings)
                .post(cluster::put_settings)
                .delete(cluster::delete_settings),
        )
        .route("/agentsettings/enable", post(cluster::enable))
        .route("/agentsettings/disable", post(cluster::disable))
        .route("/agentsettings/taint", put(cluster::taint))
        .route(
            "/agentsettings/extendedresource",
            put(cluster::extended_resource),
        )
        .route("/cluster/resources", get(cluster::resources))
        .route("/cluster/endpoints", get(cluster::endpoints))
        .route("/cluster/current/offers", get(cluster::offers))
        .route("/healthcheck", post(cluster::health))
        .route("/watch", get(watch::watch));
    let later = [
        "/service",
        "/service/{*rest}",
        "/deployment",
        "/deployment/{*rest}",
        "/daemonsets",
        "/daemonsets/{*rest}",
        "/definition/deployment/{*rest}",
        "/crr/{*rest}",
        "/crd/{*rest}",
        "/image/{*rest}",
        "/command/{*rest}",
        "/admissionwebhook",
        "/admissionwebhook/{*rest}",
        "/admissionwebhooks",
    ];
    let v1 = later
        .into_iter()
        .fold(v1, |v1, path| v1.route(path, any(not_implemented)));
    let open = api.open;
    Router::new()
        .nest("/v1", v1)
        .with_state(api)
        .layer(middleware::from_fn_with_state(open, admit))
        .layer(middleware::from_fn_with_state(
            false,
            bcs_httpd::always_ok::layer,
        ))
        .fallback(unknown)
}

async fn admit(State(open): State<bool>, request: Request, next: Next) -> Response {
    if !open {
        let allowed = match request.extensions().get::<Peer>() {
            Some(peer) => require_role(peer, &ROLES).map(drop),
            None => Err(Failure::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                0,
                "the listener gave no peer",
            )),
        };
        if let Err(failure) = allowed {
            return failure.into_response();
        }
    }
    next.run(request).await
}

async fn not_implemented(request: Request) -> Failure {
    let path = request.uri().path().to_owned();
    Failure::new(
        StatusCode::NOT_IMPLEMENTED,
        GENERIC,
        format!("not implemented: {path}"),
    )
}

async fn unknown(request: Request) -> Failure {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    Failure::new(
        StatusCode::NOT_FOUND,
        0,
        format!("no route {method} {path}"),
    )
}

/// Reads a body, keys in any case.
fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Failure> {
    bcs_model::decode::decode(bytes).map_err(|error| {
        let path = error.path();
        let place = if path.is_empty() {
            String::new()
        } else {
            format!("{path}: ")
        };
        Failure::new(
            StatusCode::BAD_REQUEST,
            1_405_010,
            format!("{place}{}", error.message()),
        )
    })
}

/// A comma-separated list.
fn list(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

fn parameter(name: &str, value: &str, rule: &str) -> Failure {
    let value: String = value.chars().take(80).collect();
    Failure::new(
        StatusCode::BAD_REQUEST,
        crate::core::command::PARAMETER,
        format!("{name} {value:?} is invalid: {rule}"),
    )
}
