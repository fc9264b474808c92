//! Routes under `/usermanager/v1` (spec central-services 6.2). The gateway has put the verified
//! [`Caller`] into the request; without one nothing is answered.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path, State};
use axum::routing::{any, delete, get, post, put};
use bcs_httpd::{Envelope, Failure};
use http::StatusCode;
use http::request::Parts;
use serde::{Deserialize, Serialize};

use crate::permissions;
use crate::records::{UserKind, UserRecord};
use crate::token::TokenRecord;
use crate::users::{Caller, Users};
use crate::{Code, UserError};

const DAY: i64 = 86_400;

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Failure::new(
                StatusCode::UNAUTHORIZED,
                Code::Unauthorized as i64,
                "a token is needed",
            )
        })
    }
}

impl Caller {
    pub(crate) fn must_be(&self, kinds: &[UserKind]) -> Result<(), Failure> {
        if kinds.contains(&self.kind) {
            return Ok(());
        }
        let message = format!(
            "user {:?} may not manage users; ask an administrator",
            self.name
        );
        Err(Failure::new(
            StatusCode::FORBIDDEN,
            Code::Unauthorized as i64,
            message,
        ))
    }
}

/// The routes, to be nested where the gateway wants them.
pub fn router(users: Arc<Users>) -> Router {
    let user = post(create).get(show).delete(remove);
    Router::new()
        .route("/v1/whoami", get(who_am_i))
        .route("/v1/users", get(list))
        .route("/v1/users/{kind}/{name}", user)
        .route("/v1/users/{kind}/{name}/refresh", put(refresh))
        .route("/v1/users/{kind}/{name}/refresh/{days}", put(refresh_days))
        .route("/v1/users/{kind}/{name}/tokens", get(tokens).post(issue))
        .route("/v1/users/{kind}/{name}/tokens/{id}", delete(revoke))
        .route(
            "/v1/permissions",
            post(permissions::grant)
                .delete(permissions::withdraw)
                .get(permissions::list),
        )
        .route(
            "/v1/permissions/verify",
            get(permissions::verify).post(permissions::verify),
        )
        .route("/v1/clusters", any(later))
        .route("/v1/clusters/{*rest}", any(later))
        .route("/v1/tke/{*rest}", any(later))
        .fallback(unknown)
        .with_state(users)
}

async fn later() -> Failure {
    let message = "not implemented in this version: registration of clusters";
    Failure::new(StatusCode::NOT_IMPLEMENTED, 0, message)
}

async fn unknown(uri: http::Uri) -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        0,
        format!("user-manager has no route {}", uri.path()),
    )
}

/// A user as clients see one. `user_token` is the token itself only when it was just made.
#[derive(Debug, Serialize)]
struct UserView {
    name: String,
    user_type: u8,
    user_token: String,
    token_id: Option<String>,
    created_at: i64,
    updated_at: Option<i64>,
    expires_at: Option<i64>,
}

fn view(user: UserRecord, token: Option<TokenRecord>, text: Option<&str>) -> UserView {
    let masked = token
        .as_ref()
        .map(|token| format!("bcs_{}_****{}", token.id, token.last4));
    UserView {
        name: user.name,
        user_type: user.kind.number(),
        user_token: text.map(str::to_owned).or(masked).unwrap_or_default(),
        token_id: token.as_ref().map(|token| token.id.clone()),
        created_at: user.created,
        updated_at: token.as_ref().map(|token| token.created),
        expires_at: token.map(|token| token.expires),
    }
}

#[derive(Debug, Deserialize)]
struct Place {
    kind: String,
    name: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    days: String,
}

pub(crate) type Manager = State<Arc<Users>>;

impl Place {
    /// Who may manage this user, and that the user is of the kind that the path says.
    fn managed(&self, caller: &Caller, users: &Users) -> Result<UserKind, Failure> {
        let kind = UserKind::parse(&self.kind)?;
        match kind {
            UserKind::Plain => caller.must_be(&[UserKind::Admin, UserKind::Saas])?,
            UserKind::Admin | UserKind::Saas => caller.must_be(&[UserKind::Admin])?,
        }
        // A service must not reach an administrator by naming another kind in the path.
        match users.user(&self.name) {
            Some((user, _)) if user.kind != kind => {
                Err(UserError::missing(&format!("{} user", self.kind), &self.name).into())
            }
            _ => Ok(kind),
        }
    }
}

pub(crate) fn audit(caller: &Caller, what: &str, whom: &str) {
    tracing::info!(target: "audit", user = %caller.name, action = what, subject = whom);
}

async fn who_am_i(caller: Caller, State(users): Manager) -> Envelope<serde_json::Value> {
    let grants = users.grants(&caller.name);
    Envelope::ok(serde_json::json!({
        "name": caller.name,
        "user_type": caller.kind.number(),
        "permissions": grants.iter().map(|grant| serde_json::json!({
            "resource_type": grant.resource.resource_type,
            "resource": grant.resource.resource,
            "role": grant.role,
        })).collect::<Vec<_>>(),
    }))
}

async fn list(caller: Caller, State(users): Manager) -> Result<Envelope<Vec<UserView>>, Failure> {
    caller.must_be(&[UserKind::Admin])?;
    let views = users.users().into_iter().map(|user| {
        let token = users.user(&user.name).and_then(|(_, token)| token);
        view(user, token, None)
    });
    Ok(Envelope::ok(views.collect()))
}

async fn create(
    caller: Caller,
    State(users): Manager,
    Path(place): Path<Place>,
) -> Result<Envelope<UserView>, Failure> {
    let kind = place.managed(&caller, &users)?;
    let (user, token, text) = users.create(kind, &place.name).await?;
    audit(&caller, "create user", &place.name);
    Ok(Envelope::ok(view(user, Some(token), Some(text.expose()))))
}

async fn show(
    caller: Caller,
    State(users): Manager,
    Path(place): Path<Place>,
) -> Result<Envelope<UserView>, Failure> {
    place.managed(&caller, &users)?;
    let (user, token) = users
        .user(&place.name)
        .ok_or_else(|| UserError::missing("user", &place.name))?;
    Ok(Envelope::ok(view(user, token, None)))
}

async fn remove(
    caller: Caller,
    State(users): Manager,
    Path(place): Path<Place>,
) -> Result<Envelope<()>, Failure> {
    place.managed(&caller, &users)?;
    users.remove(&place.name).await?;
    audit(&caller, "remove user", &place.name);
    Ok(Envelope::done())
}

async fn refresh(
    caller: Caller,
    state: Manager,
    Path(place): Path<Place>,
) -> Result<Envelope<UserView>, Failure> {
    let kind = place.managed(&caller, &state)?;
    refresh_for(&caller, &state, &place, kind.validity()).await
}

async fn refresh_days(
    caller: Caller,
    state: Manager,
    Path(place): Path<Place>,
) -> Result<Envelope<UserView>, Failure> {
    place.managed(&caller, &state)?;
    let days: i64 = place
        .days
        .parse()
        .ok()
        .filter(|days| (1..=3650).contains(days))
        .ok_or_else(|| UserError::invalid("days", &place.days, "1 to 3650"))?;
    refresh_for(&caller, &state, &place, days * DAY).await
}

async fn refresh_for(
    caller: &Caller,
    users: &Users,
    place: &Place,
    seconds: i64,
) -> Result<Envelope<UserView>, Failure> {
    let (token, text) = users.refresh(&place.name, seconds).await?;
    audit(caller, "refresh token", &place.name);
    let (user, _) = users
        .user(&place.name)
        .ok_or_else(|| UserError::missing("user", &place.name))?;
    let text = text.as_ref().map(|text| text.expose().as_str());
    Ok(Envelope::ok(view(user, Some(token), text)))
}

async fn tokens(
    caller: Caller,
    State(users): Manager,
    Path(place): Path<Place>,
) -> Result<Envelope<Vec<serde_json::Value>>, Failure> {
    place.managed(&caller, &users)?;
    let views = users.tokens(&place.name).into_iter().map(|token| {
        serde_json::json!({
            "id": token.id, "last4": token.last4,
            "created_at": token.created, "expires_at": token.expires,
        })
    });
    Ok(Envelope::ok(views.collect()))
}

async fn issue(
    caller: Caller,
    State(users): Manager,
    Path(place): Path<Place>,
) -> Result<Envelope<UserView>, Failure> {
    let kind = place.managed(&caller, &users)?;
    let (token, text) = users.issue_token(&place.name, kind.validity()).await?;
    audit(&caller, "issue token", &place.name);
    let (user, _) = users
        .user(&place.name)
        .ok_or_else(|| UserError::missing("user", &place.name))?;
    Ok(Envelope::ok(view(user, Some(token), Some(text.expose()))))
}

async fn revoke(
    caller: Caller,
    State(users): Manager,
    Path(place): Path<Place>,
) -> Result<Envelope<()>, Failure> {
    place.managed(&caller, &users)?;
    users.revoke(&place.name, &place.id).await?;
    audit(&caller, "revoke token", &place.name);
    Ok(Envelope::done())
}
