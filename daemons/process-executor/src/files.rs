//! Files of configmaps and secrets: owner and mode as asked, whole or not at all, never writable
//! for everybody, secrets readable by their owner alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Component, Path, PathBuf};

use base64::Engine as _;
use bcs_kit::Redacted;
use bcs_model::message::{BcsMessage, MessageType, SecretKind};

use crate::plan::{Places, PlanError};
use crate::users::{Account, UserError, owner};

/// Where remote content comes from.
#[derive(Debug, Clone)]
pub struct Source {
    /// `http` or `https` address.
    pub url: String,
    /// User of basic authentication.
    pub user: String,
    /// Its password.
    pub password: Password,
}

/// A password that does not show itself.
pub type Password = Wrapped;

/// See [`Password`].
#[derive(Debug, Clone)]
pub struct Wrapped(Redacted<String>);

impl From<String> for Wrapped {
    fn from(text: String) -> Self {
        Self(Redacted::new(text))
    }
}

impl Wrapped {
    /// The password itself.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// What a file holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// This.
    Inline(Redacted<Vec<u8>>),
    /// What is there.
    Remote(Source),
}

/// One file (or, from a remote source, one variable).
#[derive(Debug, Clone)]
pub struct FileItem {
    /// Target path.
    pub to: PathBuf,
    /// A variable gets the content instead.
    pub variable: Option<String>,
    /// `user` or `user:group`; empty is the task's account.
    pub owner: String,
    /// Permission bits.
    pub mode: u32,
    /// Content.
    pub content: Content,
}

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file system refused.
    #[error("file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The owner does not exist.
    #[error("file {path}: {source}")]
    Owner {
        /// The file.
        path: PathBuf,
        /// Why.
        source: UserError,
    },
}

impl FileItem {
    /// The file of a message of type 1, 4 or 5; `None` when the message is not about a file.
    ///
    /// # Errors
    /// When the path or the content is unusable.
    pub fn from_message(message: &BcsMessage, places: &Places) -> Result<Option<Self>, PlanError> {
        let refuse = |field: &'static str, value: &str, rule: &'static str| PlanError::Field {
            field,
            value: value.to_owned(),
            rule,
        };
        let path = |to: &str| {
            let path = PathBuf::from(places.fill(to));
            let dots = path.components().any(|part| part == Component::ParentDir);
            if path.is_absolute() && !dots && path.file_name().is_some() {
                return Ok(path);
            }
            Err(refuse(
                "file path",
                to,
                "must be an absolute path of a file, without '..'",
            ))
        };
        let inline = |to: &str, text: &str| {
            base64::engine::general_purpose::STANDARD
                .decode(text.trim())
                .map(|bytes| Content::Inline(Redacted::new(bytes)))
                .map_err(|_| refuse("content of file", to, "must be base64"))
        };
        let mode = |right: &str| if right.contains('w') { 0o644 } else { 0o444 };
        Ok(Some(match message.kind {
            MessageType::LocalFile => {
                let Some(file) = &message.local else {
                    return Ok(None);
                };
                Self {
                    to: path(&file.to)?,
                    variable: None,
                    owner: file.user.clone(),
                    mode: mode(&file.right),
                    content: inline(&file.to, &file.base64)?,
                }
            }
            MessageType::Remote => {
                let Some(file) = &message.remote else {
                    return Ok(None);
                };
                Self {
                    to: path(&file.to)?,
                    variable: None,
                    owner: file.user.clone(),
                    mode: mode(&file.right),
                    content: Content::Remote(Source {
                        url: file.from.clone(),
                        user: file.remote_user.clone(),
                        password: file.remote_passwd.clone().into(),
                    }),
                }
            }
            MessageType::Secret => match &message.secret {
                Some(secret) if secret.kind == SecretKind::File => Self {
                    to: path(&secret.name)?,
                    variable: None,
                    owner: secret.user.clone(),
                    mode: 0o400,
                    content: inline(&secret.name, &secret.value)?,
                },
                _ => return Ok(None),
            },
            _ => return Ok(None),
        }))
    }

    /// Writes the file: a new one beside it first, then renamed over it.
    ///
    /// # Errors
    /// When the file system refuses or the owner does not exist.
    pub fn write(&self, content: &[u8], account: &Account) -> Result<(), FileError> {
        let at = |source| FileError::Io {
            path: self.to.clone(),
            source,
        };
        let (uid, gid) = match self.owner.as_str() {
            "" => (account.uid, account.gid),
            text => owner(text).map_err(|source| FileError::Owner {
                path: self.to.clone(),
                source,
            })?,
        };
        let parent = self.to.parent().unwrap_or(Path::new("/"));
        make_dirs(parent, account.uid, account.gid).map_err(at)?;
        let name = self.to.file_name().unwrap_or_default().to_string_lossy();
        let fresh = parent.join(format!(".{name}.bcs-new"));
        drop(fs::remove_file(&fresh));
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .custom_flags(nix::libc::O_NOFOLLOW)
                .open(&fresh)?;
            file.write_all(content)?;
            if nix::unistd::geteuid().is_root() {
                fchown(&file, Some(uid), Some(gid))?;
            }
            file.set_permissions(fs::Permissions::from_mode(self.mode & 0o755))?;
            fs::rename(&fresh, &self.to)
        };
        write().map_err(|error| {
            drop(fs::remove_file(&fresh));
            at(error)
        })
    }
}

/// Makes a directory and what is missing above it; what was made belongs to `uid`.
///
/// # Errors
/// When the file system refuses.
pub fn make_dirs(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(data) if data.is_dir() => return Ok(()),
        Ok(_) => return Err(io::Error::from(io::ErrorKind::NotADirectory)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    if let Some(parent) = path.parent() {
        make_dirs(parent, uid, gid)?;
    }
    match fs::create_dir(path) {
        // Another task of the same application may be making it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other?,
    }
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bcs_model::message::{LocalFile, SecretMessage};

    fn account() -> Account {
        crate::users::resolve("", &[]).unwrap()
    }

    fn places() -> Places {
        Places::new(&crate::Settings::default())
    }

    #[test]
    fn files_get_mode_and_owner_and_are_never_open_to_all() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("a/b/file");
        for (right, mode) in [("rw", 0o644), ("r", 0o444), ("rwx", 0o644)] {
            let message = BcsMessage {
                kind: MessageType::LocalFile,
                local: Some(LocalFile {
                    to: to.display().to_string(),
                    right: right.to_owned(),
                    user: String::new(),
                    base64: "aGVsbG8=".to_owned(),
                }),
                ..BcsMessage::default()
            };
            let item = FileItem::from_message(&message, &places())
                .unwrap()
                .unwrap();
            assert!(!format!("{item:?}").contains("hello"));
            item.write(b"hello", &account()).unwrap();
            let data = fs::metadata(&to).unwrap();
            assert_eq!(data.permissions().mode() & 0o777, mode);
            assert_eq!(fs::read(&to).unwrap(), b"hello");
        }
        let secret = BcsMessage {
            kind: MessageType::Secret,
            secret: Some(SecretMessage {
                name: to.display().to_string(),
                value: "c2VjcmV0".to_owned(),
                kind: SecretKind::File,
                user: String::new(),
            }),
            ..BcsMessage::default()
        };
        let item = FileItem::from_message(&secret, &places()).unwrap().unwrap();
        item.write(b"secret", &account()).unwrap();
        assert_eq!(
            fs::metadata(&to).unwrap().permissions().mode() & 0o777,
            0o400
        );
    }

    #[test]
    fn bad_paths_and_content_are_refused() {
        for (to, content) in [("relative", ""), ("/a/../b", ""), ("/", ""), ("/ok", "%%%")] {
            let message = BcsMessage {
                kind: MessageType::LocalFile,
                local: Some(LocalFile {
                    to: to.to_owned(),
                    base64: content.to_owned(),
                    ..LocalFile::default()
                }),
                ..BcsMessage::default()
            };
            assert!(FileItem::from_message(&message, &places()).is_err(), "{to}");
        }
    }
}
