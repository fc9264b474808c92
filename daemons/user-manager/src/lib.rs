//! Users, their tokens, roles and permissions. Runs inside the gateway's process.
//!
//! Owns the directory (over a coordination store of its own) and the routes under
//! `/usermanager/v1`. It keeps no token, only salted hashes, shows a token once, and never lets an
//! empty resource mean "any". It does not listen and does not verify requests: the gateway puts
//! the verified [`Caller`] into each request before it reaches these routes.

mod changes;
mod permissions;
mod records;
mod routes;
mod token;
mod users;

use bcs_httpd::Failure;
use bcs_store::{Class, StoreError};
use http::StatusCode;

pub use changes::ensure_admin;
pub use records::{Action, GrantRecord, Resource, Role, UserKind, UserRecord};
pub use routes::router;
pub use token::{NoRandomness, TokenRecord};
pub use users::{Caller, TokenError, Users};

/// The service's codes (they are part of the interface).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Unauthorized = 1_405_059,
    BadRequest = 1_405_061,
    Database = 1_405_062,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// The name is taken.
    #[error("user {name:?} exists already; refresh their token or issue another one")]
    Exists {
        /// The name.
        name: String,
    },
    /// There is no such thing.
    #[error("there is no {what} {name:?}")]
    Missing {
        /// What was looked for.
        what: String,
        /// Its name.
        name: String,
    },
    /// A value breaks a rule.
    #[error("{field}: {value:?} is not valid: {rule}")]
    Invalid {
        /// Which field.
        field: String,
        /// Its value.
        value: String,
        /// The rule.
        rule: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No token can be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl UserError {
    pub(crate) fn invalid(field: &str, value: &str, rule: impl Into<String>) -> Self {
        let value = value.chars().take(80).collect();
        Self::Invalid {
            field: field.to_owned(),
            value,
            rule: rule.into(),
        }
    }

    pub(crate) fn missing(what: &str, name: &str) -> Self {
        Self::Missing {
            what: what.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl From<UserError> for Failure {
    fn from(error: UserError) -> Self {
        let (status, code) = match &error {
            UserError::Exists { .. } => (StatusCode::CONFLICT, Code::BadRequest),
            UserError::Missing { .. } => (StatusCode::NOT_FOUND, Code::BadRequest),
            UserError::Invalid { .. } => (StatusCode::BAD_REQUEST, Code::BadRequest),
            UserError::Store(store) if store.class() == Class::Transient => {
                (StatusCode::SERVICE_UNAVAILABLE, Code::Database)
            }
            UserError::Store(store) if store.class() == Class::Conflict => {
                (StatusCode::CONFLICT, Code::Database)
            }
            UserError::Store(_) | UserError::NoRandomness(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, Code::Database)
            }
        };
        Self::new(status, code as i64, error.to_string())
    }
}
