//! Who is calling: a token, or a certificate of a person.

use bcs_httpd::{Failure, Peer};
use bcs_user_manager::{Caller, UserKind, Users};
use http::{HeaderMap, StatusCode, header};

/// The role in the certificates of people; the host part is the user's name.
pub const PERSON_ROLE: &str = "user";

/// The name of the caller on a unix socket; no user of the directory.
pub(crate) const LOCAL: &str = "local";

fn refuse(message: impl Into<String>) -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, 1_405_059, message)
}

/// Verifies the caller. A token that is there and wrong is refused, whatever else would identify.
pub(crate) fn caller(users: &Users, headers: &HeaderMap, peer: &Peer) -> Result<Caller, Failure> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    if let Some(value) = given.next() {
        if given.next().is_some() {
            return Err(refuse(
                "there is more than one Authorization header; send one",
            ));
        }
        let token = value
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| refuse("the header must read `Authorization: Bearer TOKEN`"))?;
        return users
            .authenticate(token)
            .map_err(|error| refuse(error.to_string()));
    }
    match &peer.identity {
        Some(identity) if identity.role == PERSON_ROLE => {
            users.caller(&identity.host).ok_or_else(|| {
                refuse(format!(
                    "the certificate names user {:?}, who does not exist",
                    identity.host
                ))
            })
        }
        // The same user of this machine over the unix socket could read the store's files as well.
        Some(identity) if identity.role == "local" => Ok(Caller {
            name: LOCAL.to_owned(),
            kind: UserKind::Admin,
            token: None,
        }),
        Some(identity) => Err(refuse(format!(
            "a certificate of role {:?} is not a person's; send `Authorization: Bearer TOKEN`",
            identity.role
        ))),
        None => Err(refuse(
            "send `Authorization: Bearer TOKEN`; an administrator makes tokens",
        )),
    }
}
