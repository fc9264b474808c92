//! Who is at the other end: a role on a host, from the certificate's URI name.

use std::net::SocketAddr;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;

use crate::Failure;

/// `spiffe://bcs/ROLE/HOST` of a verified certificate, or `local` for a trusted unix peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The role's name: `agent`, `scheduler`, …, `local`.
    pub role: String,
    /// The host the certificate was issued for.
    pub host: String,
}

/// The trust domain of the names in our certificates.
pub const TRUST_DOMAIN: &str = "spiffe://bcs/";

impl Identity {
    /// The identity that a process of this user, or root, has on a unix socket.
    pub fn local() -> Self {
        Self {
            role: "local".to_owned(),
            host: "localhost".to_owned(),
        }
    }

    /// The URI of the certificate.
    pub fn uri(&self) -> String {
        format!("{TRUST_DOMAIN}{}/{}", self.role, self.host)
    }

    /// Reads a URI of a certificate; `None` for other people's names.
    pub fn from_uri(uri: &str) -> Option<Self> {
        let (role, host) = uri.strip_prefix(TRUST_DOMAIN)?.split_once('/')?;
        let sound = !role.is_empty() && !host.is_empty() && !host.contains('/');
        sound.then(|| Self {
            role: role.to_owned(),
            host: host.to_owned(),
        })
    }

    /// Reads the first of our URI names in a DER certificate that was verified already.
    pub fn from_certificate(der: &[u8]) -> Option<Self> {
        use x509_parser::extensions::GeneralName;
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let names = certificate.subject_alternative_name().ok()??;
        names
            .value
            .general_names
            .iter()
            .find_map(|name| match name {
                GeneralName::URI(uri) => Self::from_uri(uri),
                _ => None,
            })
    }
}

/// Put into every request by the server, and an axum extractor.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Absent for plain HTTP and for TLS without a client certificate.
    pub identity: Option<Identity>,
    /// Absent on unix sockets.
    pub address: Option<SocketAddr>,
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Failure::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                0,
                "the listener gave no peer",
            )
        })
    }
}

/// Lets the given roles, and trusted unix peers, pass.
///
/// # Errors
/// 401 without an identity, 403 with another role; the text names the roles that may.
pub fn require_role<'a>(peer: &'a Peer, roles: &[&str]) -> Result<&'a Identity, Failure> {
    let Some(identity) = &peer.identity else {
        return Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            0,
            format!(
                "a client certificate of role {} is needed here",
                roles.join(" or ")
            ),
        ));
    };
    if identity.role == "local" || roles.contains(&identity.role.as_str()) {
        return Ok(identity);
    }
    Err(Failure::new(
        StatusCode::FORBIDDEN,
        0,
        format!(
            "role {:?} may not do this; it takes {}",
            identity.role,
            roles.join(" or ")
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_ours_or_nobodys() {
        let agent = Identity {
            role: "agent".into(),
            host: "10.0.0.7".into(),
        };
        assert_eq!(Identity::from_uri(&agent.uri()), Some(agent));
        for uri in [
            "spiffe://else/agent/h",
            "spiffe://bcs/agent",
            "spiffe://bcs//h",
            "spiffe://bcs/a/b/c",
        ] {
            assert_eq!(Identity::from_uri(uri), None, "{uri}");
        }
    }

    #[test]
    fn a_wrong_role_is_told_which_may() {
        let identity = Some(Identity {
            role: "agent".into(),
            host: "h".into(),
        });
        let peer = Peer {
            identity,
            address: None,
        };
        assert!(require_role(&peer, &["agent"]).is_ok());
        let refused = require_role(&peer, &["driver"]).unwrap_err();
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert!(refused.message.contains("driver"));
        let nobody = Peer {
            identity: None,
            address: None,
        };
        assert_eq!(
            require_role(&nobody, &["x"]).unwrap_err().status,
            StatusCode::UNAUTHORIZED
        );
    }
}
