//! Tokens of people: `bcs_<id>_<secret>`. The id finds the record; the secret is 32 random bytes of
//! which only a salted hash is kept. A secret of that size needs no slow hash: it cannot be guessed.

use std::hint::black_box;

use bcs_kit::Redacted;
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const PREFIX: &str = "bcs_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Public part.
    pub id: String,
    /// Whose it is.
    pub user: String,
    salt: String,
    hash: String,
    /// The end of the secret, so that people can tell their tokens apart.
    pub last4: String,
    /// Unix seconds.
    pub created: i64,
    /// Unix seconds; not valid from then on.
    pub expires: i64,
}

/// The system gave no random bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes: {0}")]
pub struct NoRandomness(String);

fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| NoRandomness(error.to_string()))?;
    Ok(bytes)
}

fn hash(salt: &str, secret: &str) -> String {
    hex::encode(
        Sha256::new()
            .chain_update(salt)
            .chain_update(":")
            .chain_update(secret)
            .finalize(),
    )
}

impl TokenRecord {
    /// A new token and the only copy of its text.
    pub fn issue(
        user: &str,
        created: i64,
        expires: i64,
    ) -> Result<(Self, Redacted<String>), NoRandomness> {
        let id = hex::encode(random::<ID_BYTES>()?);
        let secret = hex::encode(random::<SECRET_BYTES>()?);
        let salt = hex::encode(random::<16>()?);
        let record = Self {
            hash: hash(&salt, &secret),
            last4: secret.chars().skip(2 * SECRET_BYTES - 4).collect(),
            user: user.to_owned(),
            id: id.clone(),
            salt,
            created,
            expires,
        };
        Ok((record, Redacted::new(format!("{PREFIX}{id}_{secret}"))))
    }

    /// Whether `secret` is this token's; takes the same time whatever it is.
    pub(crate) fn accepts(&self, secret: &str) -> bool {
        let given = hash(&self.salt, secret);
        let different = given
            .bytes()
            .zip(self.hash.bytes())
            .fold(0_u8, |sum, (a, b)| black_box(sum | (a ^ b)));
        given.len() == self.hash.len() && black_box(different) == 0
    }
}

/// Splits a text into id and secret; `None` when it cannot be one of our tokens.
pub(crate) fn split(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let is_hex = |part: &str, bytes: usize| {
        part.len() == 2 * bytes && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    (is_hex(id, ID_BYTES) && is_hex(secret, SECRET_BYTES)).then_some((id, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_is_accepted() {
        let (record, text) = TokenRecord::issue("ann", 1, 2).unwrap();
        let text = text.expose().clone();
        let (id, secret) = split(&text).unwrap();
        assert_eq!(id, record.id);
        assert!(record.accepts(secret));
        let (other, _) = TokenRecord::issue("ann", 1, 2).unwrap();
        assert!(!other.accepts(secret));
        assert!(!record.accepts(""));
        assert!(secret.ends_with(&record.last4));
        let kept = serde_json::to_string(&record).unwrap();
        assert!(
            !kept.contains(secret),
            "the record must not hold the secret"
        );
    }

    #[test]
    fn odd_texts_are_no_tokens() {
        for bad in [
            "",
            "bcs_",
            "bcs__",
            "bcs_00_11",
            "ghp_0011223344556677_x",
            "é",
        ] {
            assert!(split(bad).is_none(), "{bad}");
        }
    }
}
