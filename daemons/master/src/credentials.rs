//! Principals and secrets of frameworks that come without a certificate (HTTP basic authentication).

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use bcs_kit::{Redacted, RunError};
use serde::Deserialize;

/// Who may use the plain listener.
#[derive(Debug, Default)]
pub(crate) struct Credentials(HashMap<String, Redacted<String>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    credentials: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    principal: String,
    secret: Redacted<String>,
}

impl Credentials {
    /// Reads the file: `{"credentials":[{"principal":"…","secret":"…"}]}`, as Apache Mesos has it.
    pub(crate) fn load(path: &Path) -> Result<Self, RunError> {
        let text = std::fs::read(path).map_err(|error| RunError::state(path, error))?;
        let file: File =
            serde_json::from_slice(&text).map_err(|error| RunError::state(path, error))?;
        if file.credentials.is_empty() {
            return Err(RunError::state(
                path,
                "it has no credentials; add a principal and a secret",
            ));
        }
        Ok(Self(
            file.credentials
                .into_iter()
                .map(|entry| (entry.principal, entry.secret))
                .collect(),
        ))
    }

    /// The principal of an `Authorization` header, when its secret is right.
    pub(crate) fn principal(&self, header: Option<&str>) -> Option<String> {
        let encoded = header?.strip_prefix("Basic ")?;
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(encoded.trim())
            .ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (principal, secret) = text.split_once(':')?;
        let wanted = self.0.get(principal)?;
        same(wanted.expose().as_bytes(), secret.as_bytes()).then(|| principal.to_owned())
    }
}

/// Takes the same time wherever the two differ.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |acc, (a, b)| acc | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_secret_proves_a_principal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.json");
        std::fs::write(
            &path,
            r#"{"credentials":[{"principal":"p","secret":"s:x"}]}"#,
        )
        .unwrap();
        let credentials = Credentials::load(&path).unwrap();
        let header = |text: &str| {
            format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(text)
            )
        };
        assert_eq!(
            credentials.principal(Some(&header("p:s:x"))).as_deref(),
            Some("p")
        );
        for bad in ["p:s", "p", "q:s:x", ":", "p:s:y"] {
            assert_eq!(credentials.principal(Some(&header(bad))), None, "{bad}");
        }
        for bad in [None, Some("Bearer x"), Some("Basic !!!")] {
            assert_eq!(credentials.principal(bad), None);
        }
        std::fs::write(&path, r#"{"credentials":[]}"#).unwrap();
        assert!(Credentials::load(&path).is_err());
    }
}
