//! The client file: where the gateway is, which authority to trust, who we are, which cluster.

use crate::ClientError;
use serde::{Deserialize, Serialize};
use std::env;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// `client.yaml`. The authority may be inline (`ca`) or in a file beside it (`ca_file`).
#[derive(Clone, PartialEq, Eq)]
pub struct ClientFile {
    /// `https://host:port` of the gateway.
    pub address: String,
    /// PEM of the authority that signed its certificate.
    pub ca: String,
    /// The person's token.
    pub token: String,
    /// The cluster that commands are for.
    pub cluster: String,
}

impl fmt::Debug for ClientFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientFile")
            .field("address", &self.address)
            .field("token", &"***")
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

/// The file's own shape.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    address: String,
    #[serde(default = "default_cluster")]
    cluster: String,
    token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
}

fn default_cluster() -> String {
    "BCS-MESOS-10000".to_owned()
}

impl ClientFile {
    /// The file that `explicit` or `BCS_CONFIG` names, else the one of a standalone system of this
    /// user on this host.
    pub fn path(explicit: Option<&Path>) -> PathBuf {
        explicit
            .map(Path::to_path_buf)
            .or_else(|| {
                env::var_os("BCS_CONFIG")
                    .filter(|value| !value.is_empty())
                    .map(Into::into)
            })
            .unwrap_or_else(|| default_data_dir().join("client.yaml"))
    }

    /// Reads a client file.
    ///
    /// # Errors
    /// [`ClientError::NoFile`] when it is not there, [`ClientError::File`] when it is wrong.
    pub fn read(path: &Path) -> Result<Self, ClientError> {
        let refused = |detail: String| ClientError::File {
            path: path.to_owned(),
            detail,
        };
        let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => ClientError::NoFile {
                path: path.to_owned(),
            },
            ErrorKind::PermissionDenied => {
                refused("belongs to another user; run as that user, or copy it".to_owned())
            }
            _ => refused(error.to_string()),
        })?;
        let raw: Raw = serde_saphyr::from_str(&text).map_err(|error| {
            let words = error.to_string();
            let first = words
                .lines()
                .find(|line| !line.trim().is_empty())
                .unwrap_or_default();
            refused(format!(
                "{first}; it needs address, ca or ca_file, token and cluster"
            ))
        })?;
        let ca = match (raw.ca, raw.ca_file) {
            (Some(pem), _) => pem,
            (None, Some(file)) => {
                let file = path
                    .parent()
                    .map_or_else(|| file.clone(), |folder| folder.join(&file));
                std::fs::read_to_string(&file)
                    .map_err(|error| refused(format!("ca_file {}: {error}", file.display())))?
            }
            (None, None) if raw.address.starts_with("https:") => {
                return Err(refused(
                    "names no authority; add ca (PEM) or ca_file".to_owned(),
                ));
            }
            (None, None) => String::new(),
        };
        Ok(Self {
            address: raw.address,
            ca,
            token: raw.token,
            cluster: raw.cluster,
        })
    }

    /// Writes the file so that only its owner reads it, all of it or nothing.
    ///
    /// # Errors
    /// [`ClientError::File`].
    pub fn write(&self, path: &Path) -> Result<(), ClientError> {
        let refused = |detail: String| ClientError::File {
            path: path.to_owned(),
            detail,
        };
        let raw = Raw {
            address: self.address.clone(),
            cluster: self.cluster.clone(),
            token: self.token.clone(),
            ca: Some(self.ca.clone()),
            ca_file: None,
        };
        let text = serde_saphyr::to_string(&raw).map_err(|error| refused(error.to_string()))?;
        bcs_kit::atomic_write(path, text.as_bytes(), 0o600)
            .map_err(|error| refused(error.to_string()))
    }
}

/// Where `bcs standalone` keeps everything unless it is told otherwise: `/var/lib/bcs-standalone`
/// for root, else `$XDG_DATA_HOME/bcs`, else `~/.local/share/bcs`.
pub fn default_data_dir() -> PathBuf {
    if is_root() {
        return PathBuf::from("/var/lib/bcs-standalone");
    }
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    if let Some(data) = absolute("XDG_DATA_HOME") {
        return data.join("bcs");
    }
    absolute("HOME")
        .unwrap_or_else(|| PathBuf::from("/"))
        .join(".local/share/bcs")
}

/// The owner of our own entry in /proc is the effective user, without a system call by hand.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::ClientFile;
    use crate::ClientError;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_survives_writing_and_reading_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.yaml");
        let file = ClientFile {
            address: "https://127.0.0.1:8443".into(),
            ca: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
            token: "bcs_: # tricky\"token".into(),
            cluster: "BCS-MESOS-10000".into(),
        };
        file.write(&path).unwrap();
        assert_eq!(ClientFile::read(&path).unwrap(), file);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(!format!("{file:?}").contains("tricky"));
    }

    #[test]
    fn an_authority_beside_the_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.yaml");
        std::fs::write(folder.path().join("ca.pem"), "PEM").unwrap();
        std::fs::write(&path, "address: https://h:1\ntoken: t\nca_file: ca.pem\n").unwrap();
        let file = ClientFile::read(&path).unwrap();
        assert_eq!(
            (file.ca.as_str(), file.cluster.as_str()),
            ("PEM", "BCS-MESOS-10000")
        );
    }

    #[test]
    fn errors_say_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.yaml");
        let error = ClientFile::read(&path).unwrap_err();
        assert!(matches!(error, ClientError::NoFile { .. }));
        assert!(error.to_string().contains("bcs standalone"), "{error}");
        std::fs::write(&path, "address: https://h:1\ntoken: t\n").unwrap();
        assert!(
            ClientFile::read(&path)
                .unwrap_err()
                .to_string()
                .contains("ca_file")
        );
        std::fs::write(&path, "adress: x\n").unwrap();
        let error = ClientFile::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("needs address") && !error.contains('\n'),
            "{error}"
        );
    }
}
