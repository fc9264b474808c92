//! One request from its arrival to its answer: check the path, find out who calls, route, authorise,
//! pass on, record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bcs_httpd::{Failure, Peer};
use bcs_kit::{Context, Shutdown, clock};
use bcs_user_manager::{Action, Caller, Resource, UserKind, Users};
use http::{HeaderMap, HeaderValue, StatusCode};
use prometheus_client::metrics::counter::Counter;
use tower::ServiceExt;

use crate::authenticate::LOCAL;
use crate::proxy::{self, Additions, Bounds, REQUEST_ID_HEADER};
use crate::route::{Subject, Target, Upstreams};
use crate::{authenticate, health, path};

/// Asks for the contents of secrets; granted only with the right to them.
pub const SHOW_SECRETS_HEADER: &str = "x-bcs-show-secrets";

const USER_MANAGER: &str = "/bcsapi/v4/usermanager";

#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) users: Arc<Users>,
    pub(crate) user_routes: axum::Router,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) bounds: Bounds,
    pub(crate) always_200: bool,
    pub(crate) shutdown: Shutdown,
    pub(crate) context: Context,
    pub(crate) probes: health::Probes,
    pub(crate) requests: Counter,
    pub(crate) refusals: Counter,
}

/// What is known of a request when it is recorded.
#[derive(Default)]
struct Known {
    user: String,
    service: String,
    write: bool,
}

/// Every path that is not one of the gateway's own open ones.
pub(crate) async fn handle(State(gateway): State<Gateway>, request: Request) -> Response {
    let started = Instant::now();
    let request_id = request_id(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut known = Known::default();
    let mut response = match serve(&gateway, request, &request_id, &mut known).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    };
    gateway.requests.inc();
    let status = response.status();
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
        gateway.refusals.inc();
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID_HEADER, value);
    }
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = status.as_u16();
    let Known {
        user,
        service,
        write,
    } = known;
    // The query may hold what people search for; tokens are in headers only.
    if write || status >= 400 {
        tracing::info!(target: "audit", %user, %method, path, service, status, milliseconds, %request_id);
    } else {
        tracing::debug!(target: "audit", %user, %method, path, service, status, milliseconds, %request_id);
    }
    response
}

/// The client's own id when it is a plain short word, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers
        .get(REQUEST_ID_HEADER)
        .and_then(|value| value.to_str().ok());
    let plain = |id: &&str| {
        (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match given.filter(plain) {
        Some(id) => id.to_owned(),
        None => uuid::Uuid::now_v7().to_string(),
    }
}

async fn serve(
    gateway: &Gateway,
    mut request: Request,
    request_id: &str,
    known: &mut Known,
) -> Result<Response, Failure> {
    known.write = !matches!(request.method().as_str(), "GET" | "HEAD" | "OPTIONS");
    path::check(request.uri().path())
        .map_err(|error| Failure::new(StatusCode::BAD_REQUEST, 0, error.to_string()))?;
    let peer = request.extensions().get::<Peer>().cloned().ok_or_else(|| {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            0,
            "the listener gave no peer",
        )
    })?;
    let caller = authenticate::caller(&gateway.users, request.headers(), &peer)?;
    known.user.clone_from(&caller.name);
    let path = request.uri().path().to_owned();
    if path == "/metrics" {
        return health::metrics(gateway, &caller);
    }
    if let Some(rest) = path
        .strip_prefix(USER_MANAGER)
        .filter(|rest| rest.starts_with('/'))
    {
        known.service = "user-manager".to_owned();
        let uri = match request.uri().query() {
            Some(query) => format!("{rest}?{query}"),
            None => rest.to_owned(),
        };
        *request.uri_mut() = uri
            .parse()
            .map_err(|_| Failure::new(StatusCode::BAD_REQUEST, 0, "the path cannot be read"))?;
        request.extensions_mut().insert(caller);
        let answering = gateway.user_routes.clone().oneshot(request);
        return match tokio::time::timeout(gateway.bounds.answer_time, answering).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(impossible)) => match impossible {},
            Err(_) => {
                let message = "the body did not arrive in time; send it again";
                Err(Failure::new(StatusCode::REQUEST_TIMEOUT, 0, message))
            }
        };
    }
    let target = gateway
        .upstreams
        .route(request.method(), &path, request.headers())?;
    known.service.clone_from(&target.service);
    known.write = target.action == Action::Write;
    let clusters = authorise(&gateway.users, &caller, &target)?;
    let until = end_of_right(gateway, caller.clone(), target.clone());
    let additions = Additions {
        show_secrets: secrets(&gateway.users, &caller, &target, request.headers())?,
        user: caller.name,
        request_id: request_id.to_owned(),
        clusters,
        always_200: gateway.always_200,
    };
    proxy::pass(&target, request, &additions, gateway.bounds, until).await
}

/// Done when a long answer must end: this process leaves, the token ends or is revoked, or the grant
/// is withdrawn.
fn end_of_right(
    gateway: &Gateway,
    caller: Caller,
    target: Target,
) -> impl Future<Output = ()> + Send + 'static {
    let (users, shutdown) = (Arc::clone(&gateway.users), gateway.shutdown.clone());
    let mut changes = users.changes();
    let left = caller
        .token
        .as_ref()
        .map_or(i64::MAX, |(_, end)| end - clock::unix_seconds());
    // The clock may be stepped and tokens refreshed: look again after a day at the latest.
    let left = Duration::from_secs(u64::try_from(left.clamp(1, 86_400)).unwrap_or(1));
    async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(left) => {}
            }
            let stands = caller.name == LOCAL && caller.token.is_none() || users.stands(&caller);
            if !stands || authorise(&users, &caller, &target).is_err() {
                return;
            }
        }
    }
}

fn resource(resource_type: &str, resource: &str) -> Resource {
    Resource {
        resource_type: resource_type.to_owned(),
        resource: resource.to_owned(),
    }
}

/// The clusters that the upstream may show, when the caller may do this at all.
fn authorise(users: &Users, caller: &Caller, target: &Target) -> Result<String, Failure> {
    match &target.subject {
        Subject::Cluster(cluster) => {
            let by_cluster = users.allows(caller, &resource("cluster", cluster), target.action);
            let by_storage = target.service == "storage"
                && users.allows(caller, &resource("storage", cluster), target.action);
            if by_cluster || by_storage {
                return Ok(cluster.clone());
            }
            let needed = if target.action == Action::Read {
                "viewer"
            } else {
                "manager"
            };
            let message = format!(
                "user {:?} may not do this on cluster {cluster:?}; ask an administrator for role {needed} on it",
                caller.name
            );
            Err(Failure::new(StatusCode::FORBIDDEN, 0, message))
        }
        Subject::AnyCluster => {
            let lists = (
                users.readable(caller, "cluster"),
                users.readable(caller, "storage"),
            );
            let (Some(mut clusters), Some(more)) = lists else {
                return Ok("*".to_owned());
            };
            clusters.extend(more);
            if clusters.is_empty() {
                let message = format!("user {:?} may read no cluster", caller.name);
                return Err(Failure::new(StatusCode::FORBIDDEN, 0, message));
            }
            Ok(clusters.join(","))
        }
    }
}

/// Whether secrets are shown: only when asked for, and by right.
fn secrets(
    users: &Users,
    caller: &Caller,
    target: &Target,
    headers: &HeaderMap,
) -> Result<bool, Failure> {
    if headers
        .get(SHOW_SECRETS_HEADER)
        .is_none_or(|value| value != "true")
    {
        return Ok(false);
    }
    let covered = match &target.subject {
        Subject::Cluster(cluster) => resource("secret", cluster),
        Subject::AnyCluster => resource("secret", "*"),
    };
    if caller.kind == UserKind::Admin || users.allows(caller, &covered, Action::Read) {
        return Ok(true);
    }
    let message = format!("user {:?} may not see the contents of secrets", caller.name);
    Err(Failure::new(StatusCode::FORBIDDEN, 0, message))
}
