//! Secrets at rest: sealed with a key of this data directory, bound to the record they belong to.
//!
//! The key file is made at the first start, mode 0600. Whoever copies the store without it has names
//! of secrets and nothing more.

use std::path::Path;

use bcs_kit::RunError;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

/// Begins every sealed record; a later scheme gets another.
const MARK: &[u8] = b"sealed1:";
const KEY_BYTES: usize = 32;

/// Why a record could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error("the system gives no random bytes")]
    Random,
    #[error("key of {expected} bytes expected, the file has {found}; restore it from a backup")]
    KeyLength { expected: usize, found: usize },
    #[error("{record} cannot be opened with this key; restore secrets.key from a backup")]
    Opening { record: String },
    #[error("{record} cannot be sealed")]
    Sealing { record: String },
}

/// Seals and opens.
pub(crate) struct Sealer {
    key: LessSafeKey,
    random: SystemRandom,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(***)")
    }
}

impl Sealer {
    /// Reads the key of a data directory, or makes it.
    pub(crate) fn load(directory: &Path) -> Result<Self, RunError> {
        let path = directory.join("secrets.key");
        let random = SystemRandom::new();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut bytes = vec![0; KEY_BYTES];
                random
                    .fill(&mut bytes)
                    .map_err(|_| RunError::state(&path, SealError::Random))?;
                bcs_kit::atomic_write(&path, &bytes, 0o600)
                    .map_err(|error| RunError::state(&path, error))?;
                bytes
            }
            Err(error) => return Err(RunError::state(&path, error)),
        };
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| {
            let error = SealError::KeyLength {
                expected: KEY_BYTES,
                found: bytes.len(),
            };
            RunError::state(&path, error)
        })?;
        Ok(Self {
            key: LessSafeKey::new(key),
            random,
        })
    }

    pub(crate) fn seal(&self, record: &str, content: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        self.random
            .fill(&mut nonce)
            .map_err(|_| SealError::Random)?;
        let mut sealed = content.to_vec();
        let aad = Aad::from(record.as_bytes());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| SealError::Sealing {
                record: record.to_owned(),
            })?;
        Ok([MARK, &nonce, &sealed].concat())
    }

    pub(crate) fn open(&self, record: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let refused = || SealError::Opening {
            record: record.to_owned(),
        };
        let rest = sealed.strip_prefix(MARK).ok_or_else(refused)?;
        let (nonce, content) = rest.split_at_checked(NONCE_LEN).ok_or_else(refused)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
        let mut content = content.to_vec();
        let aad = Aad::from(record.as_bytes());
        let open = self
            .key
            .open_in_place(nonce, aad, &mut content)
            .map_err(|_| refused())?;
        Ok(open.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_record_opens_under_its_own_name_and_key_only() {
        let directory = tempfile::tempdir().unwrap();
        let sealer = Sealer::load(directory.path()).unwrap();
        let sealed = sealer.seal("secret/a/b", b"very secret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        let again = Sealer::load(directory.path()).unwrap();
        assert_eq!(again.open("secret/a/b", &sealed).unwrap(), b"very secret");
        assert!(again.open("secret/a/c", &sealed).is_err());
        let other = Sealer::load(tempfile::tempdir().unwrap().path()).unwrap();
        assert!(other.open("secret/a/b", &sealed).is_err());
        let mode = std::fs::metadata(directory.path().join("secrets.key"))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }
}
