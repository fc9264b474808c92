//! Users, roles and grants as they are stored, and the rules for their names.

use serde::{Deserialize, Serialize};

use crate::UserError;

/// What sort of user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserKind {
    /// May do everything.
    Admin,
    /// A service: what it is granted, and it may make plain users.
    Saas,
    /// A person: what they are granted.
    Plain,
}

const DAY: i64 = 86_400;

impl UserKind {
    /// The word in paths.
    pub fn parse(text: &str) -> Result<Self, UserError> {
        match text {
            "admin" => Ok(Self::Admin),
            "saas" => Ok(Self::Saas),
            "plain" => Ok(Self::Plain),
            _ => Err(UserError::invalid(
                "user type",
                text,
                "one of admin, saas, plain",
            )),
        }
    }

    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::Admin => 1,
            Self::Saas => 2,
            Self::Plain => 3,
        }
    }

    /// Seconds that a new token is valid.
    pub fn validity(self) -> i64 {
        match self {
            Self::Admin | Self::Saas => 3650 * DAY,
            Self::Plain => DAY,
        }
    }
}

/// A stored user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// Unique over all kinds.
    pub name: String,
    /// What sort.
    pub kind: UserKind,
    /// Unix seconds.
    pub created: i64,
}

/// What a grant allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Everything.
    Manager,
}

impl Role {
    /// The word on the wire.
    pub fn parse(text: &str) -> Result<Self, UserError> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "manager" => Ok(Self::Manager),
            _ => Err(UserError::invalid("role", text, "one of manager, viewer")),
        }
    }

    /// Whether this role allows the action.
    pub fn allows(self, action: Action) -> bool {
        self == Self::Manager || action == Action::Read
    }
}

/// What a request does, told from its method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// GET, HEAD, OPTIONS.
    Read,
    /// POST, PUT, PATCH, DELETE.
    Write,
}

impl Action {
    /// Reads an HTTP method's name.
    pub fn of_method(method: &str) -> Result<Self, UserError> {
        match method {
            "GET" | "HEAD" | "OPTIONS" => Ok(Self::Read),
            "POST" | "PUT" | "PATCH" | "DELETE" => Ok(Self::Write),
            _ => Err(UserError::invalid(
                "action",
                method,
                "an HTTP method in capitals",
            )),
        }
    }
}

/// What a grant is about. A resource of `*` is every resource of the type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// `cluster`, `storage`, `secret`, ...
    pub resource_type: String,
    /// A cluster id, or `*`.
    pub resource: String,
}

/// A stored grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRecord {
    /// To whom.
    pub user: String,
    /// About what.
    #[serde(flatten)]
    pub resource: Resource,
    /// How much.
    pub role: Role,
    /// Who granted it.
    pub by: String,
    /// Unix seconds.
    pub created: i64,
}

/// Names of users: they appear in paths, keys and headers.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), UserError> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    // "local" is whoever calls over the unix socket.
    let sound = name != "local"
        && (1..=64).contains(&name.len())
        && name.bytes().all(inner)
        && name
            .as_bytes()
            .first()
            .is_some_and(u8::is_ascii_alphanumeric);
    if sound {
        return Ok(());
    }
    Err(UserError::invalid(
        field,
        name,
        "1 to 64 letters, digits, '.', '_', '-', '@'; a letter or digit first",
    ))
}

/// Resources are ids, or `*` alone. An empty one is never "any".
pub(crate) fn check_resource(resource: &Resource) -> Result<(), UserError> {
    check_name("resource_type", &resource.resource_type)?;
    if resource.resource == "*" {
        return Ok(());
    }
    check_name("resource", &resource.resource)
}
