//! The token that continues a paged list.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::{DocumentKey, Revision, StoreError};

/// Where a page ended, and the revision of the first page. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContinueToken {
    /// Key of the last document handed out.
    pub key: DocumentKey,
    /// Revision that the first page showed.
    pub revision: Revision,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u8,
    r: Revision,
    k: [String; 4],
}

impl ContinueToken {
    /// The text for the client.
    pub fn encode(&self) -> String {
        let DocumentKey {
            cluster,
            namespace,
            name,
            kind,
        } = self.key.clone();
        let wire = Wire {
            v: 1,
            r: self.revision,
            k: [cluster, namespace, name, kind],
        };
        // Strings and numbers always serialise.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).unwrap_or_default())
    }

    /// Reads a client's text.
    pub fn decode(text: &str) -> Result<Self, StoreError> {
        let refused =
            || StoreError::invalid("continue", text, "the token of the former page, unchanged");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let wire: Wire = serde_json::from_slice(&bytes).map_err(|_| refused())?;
        if wire.v != 1 {
            return Err(refused());
        }
        let [cluster, namespace, name, kind] = wire.k;
        Ok(Self {
            key: DocumentKey {
                cluster,
                namespace,
                name,
                kind,
            },
            revision: wire.r,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_trip_and_garbage_is_refused() {
        let token = ContinueToken {
            key: DocumentKey::new("c", "n", "k", "é.x"),
            revision: 7,
        };
        assert_eq!(ContinueToken::decode(&token.encode()).unwrap(), token);
        for bad in ["", "!!", "e30", "AAAA"] {
            assert!(ContinueToken::decode(bad).is_err(), "{bad}");
        }
    }
}
