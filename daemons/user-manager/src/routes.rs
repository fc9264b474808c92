//! Routes under `/usermanager/v1` (spec central-services 6.2). The gateway has put the verified
//! [`Caller`] into the request; without one nothing is answered.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::routing::{any, delete, get, post, put};
use axum::{Json, Router};
use bcs_httpd::{Envelope, Failure};
use http::StatusCode;
use http::request::Parts;
use serde::{Deserialize, Serialize};

use crate::records::{Action, Resource, Role, UserKind, UserRecord};
use crate::token::TokenRecord;
use crate::users::{Caller, Users};
use crate::{Code, UserError};

/// Permissions in one document.
const MAX_PERMISSIONS: usize = 1000;
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
    fn must_be(&self, kinds: &[UserKind]) -> Result<(), Failure> {
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
            post(grant).delete(withdraw).get(permissions),
        )
        .route("/v1/permissions/verify", get(verify).post(verify))
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

type Manager = State<Arc<Users>>;

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

fn audit(caller: &Caller, what: &str, whom: &str) {
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

#[derive(Debug, Deserialize)]
struct Permission {
    user_name: String,
    resource_type: String,
    resource: String,
    #[serde(default)]
    role: String,
}

#[derive(Debug, Deserialize)]
struct Spec {
    permissions: Vec<Permission>,
}

/// `{"apiVersion":"v1","kind":"permission","metadata":{…},"spec":{"permissions":[…]}}`
#[derive(Debug, Deserialize)]
struct Document {
    spec: Spec,
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("the body cannot be read: {error}");
        Failure::new(StatusCode::BAD_REQUEST, Code::BadRequest as i64, message)
    })
}

fn document(caller: &Caller, body: &[u8]) -> Result<Vec<Permission>, Failure> {
    caller.must_be(&[UserKind::Admin])?;
    let document: Document = read(body)?;
    let count = document.spec.permissions.len();
    if count == 0 || count > MAX_PERMISSIONS {
        let rule = format!("1 to {MAX_PERMISSIONS} permissions");
        return Err(UserError::invalid("spec.permissions", &count.to_string(), rule).into());
    }
    Ok(document.spec.permissions)
}

async fn grant(
    caller: Caller,
    State(users): Manager,
    body: Bytes,
) -> Result<Envelope<()>, Failure> {
    let mut grants = Vec::new();
    let mut told = Vec::new();
    for Permission {
        user_name,
        resource_type,
        resource,
        role,
    } in document(&caller, &body)?
    {
        let role = Role::parse(&role)?;
        told.push(format!(
            "{user_name}: {role:?} of {resource_type} {resource}"
        ));
        grants.push((
            user_name,
            Resource {
                resource_type,
                resource,
            },
            role,
        ));
    }
    users.grant(&caller.name, grants).await?;
    told.iter().for_each(|grant| audit(&caller, "grant", grant));
    Ok(Envelope::done())
}

async fn withdraw(
    caller: Caller,
    State(users): Manager,
    body: Bytes,
) -> Result<Envelope<()>, Failure> {
    let mut grants = Vec::new();
    let mut told = Vec::new();
    for Permission {
        user_name,
        resource_type,
        resource,
        ..
    } in document(&caller, &body)?
    {
        told.push(format!("{user_name}: {resource_type} {resource}"));
        grants.push((
            user_name,
            Resource {
                resource_type,
                resource,
            },
        ));
    }
    users.withdraw(grants).await?;
    told.iter()
        .for_each(|grant| audit(&caller, "withdraw", grant));
    Ok(Envelope::done())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    user_name: String,
    resource_type: String,
}

/// The question comes as a body on GET, as it always has, or as parameters.
async fn permissions(
    caller: Caller,
    State(users): Manager,
    Query(parameters): Query<Wanted>,
    body: Bytes,
) -> Result<Envelope<Vec<serde_json::Value>>, Failure> {
    let mut wanted = if body.is_empty() {
        parameters
    } else {
        read(&body)?
    };
    if wanted.user_name.is_empty() {
        wanted.user_name.clone_from(&caller.name);
    }
    if wanted.user_name != caller.name {
        caller.must_be(&[UserKind::Admin])?;
    }
    let found = users
        .grants(&wanted.user_name)
        .into_iter()
        .filter(|grant| {
            wanted.resource_type.is_empty() || grant.resource.resource_type == wanted.resource_type
        })
        .map(|grant| {
            serde_json::json!({
                "resource_type": grant.resource.resource_type,
                "resource": grant.resource.resource,
                "role": grant.role,
            })
        });
    Ok(Envelope::ok(found.collect()))
}

#[derive(Deserialize)]
struct Question {
    user_token: String,
    resource_type: String,
    #[serde(default)]
    resource: String,
    action: String,
}

#[derive(Debug, Serialize)]
struct Verdict {
    allowed: bool,
    message: String,
}

async fn verify(
    caller: Caller,
    State(users): Manager,
    Json(question): Json<Question>,
) -> Result<Envelope<Verdict>, Failure> {
    caller.must_be(&[UserKind::Admin])?;
    let action = Action::of_method(&question.action)?;
    let verdict = match users.authenticate(&question.user_token) {
        Err(error) => Verdict {
            allowed: false,
            message: error.to_string(),
        },
        Ok(subject) => {
            let Question {
                resource_type,
                resource,
                ..
            } = question;
            let resource = Resource {
                resource_type,
                resource,
            };
            if users.allows(&subject, &resource, action) {
                Verdict {
                    allowed: true,
                    message: String::new(),
                }
            } else {
                let message = format!("user {:?} has no grant for this", subject.name);
                Verdict {
                    allowed: false,
                    message,
                }
            }
        }
    };
    Ok(Envelope::ok(verdict))
}
