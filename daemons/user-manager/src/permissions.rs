//! Grants: who may do what on which resource, and the question that the original's gateway asked.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use bcs_httpd::{Envelope, Failure};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::records::{Action, Resource, Role, UserKind};
use crate::routes::{Manager, audit};
use crate::users::Caller;
use crate::{Code, UserError};

/// Permissions in one document.
const MAX_PERMISSIONS: usize = 1000;

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

pub(crate) async fn grant(
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

pub(crate) async fn withdraw(
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
pub(crate) struct Wanted {
    user_name: String,
    resource_type: String,
}

/// The question comes as a body on GET, as it always has, or as parameters.
pub(crate) async fn list(
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
pub(crate) struct Question {
    user_token: String,
    resource_type: String,
    #[serde(default)]
    resource: String,
    action: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    allowed: bool,
    message: String,
}

pub(crate) async fn verify(
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
