//! Configmaps and secrets into the messages that an executor materialises.
//!
//! Nothing that is missing is skipped: a taskgroup that would start without a file it names is not
//! started, and the reason names the object and the key.

use base64::Engine as _;
use bcs_model::message::{
    BcsMessage, EnvMessage, EnvRemoteMessage, LocalFile, MessageType, RemoteFile, SecretKind,
    SecretMessage,
};
use bcs_model::version::{ConfigMapRef, DataItem, SecretRef};

use super::records::Name;
use super::state::Cluster;

impl Cluster {
    /// The messages for one container or process. `target` renders the name of a variable or the
    /// path of a file.
    pub(crate) fn messages(
        &self,
        namespace: &str,
        configmaps: &[ConfigMapRef],
        secrets: &[SecretRef],
        target: &dyn Fn(&str) -> String,
    ) -> Result<Vec<BcsMessage>, String> {
        let mut messages = Vec::new();
        for reference in configmaps {
            let object = self
                .configmaps
                .get(&Name::new(namespace, &reference.name))
                .ok_or_else(|| missing("configmap", &reference.name, namespace))?;
            for item in &reference.items {
                let value = object.datas.get(&item.data_key).ok_or_else(|| {
                    format!(
                        "configmap {:?} has no key {:?}",
                        reference.name, item.data_key
                    )
                })?;
                let to = target(&item.key_or_path);
                let local = matches!(value.item_type.as_str(), "file" | "");
                messages.push(
                    match (is_file(item, "configmap", &reference.name)?, local) {
                        (true, true) => BcsMessage {
                            kind: MessageType::LocalFile,
                            local: Some(LocalFile {
                                to,
                                right: right(item),
                                user: item.user.clone(),
                                base64: value.content.clone(),
                            }),
                            ..BcsMessage::default()
                        },
                        (true, false) => BcsMessage {
                            kind: MessageType::Remote,
                            remote: Some(RemoteFile {
                                to,
                                right: right(item),
                                user: item.user.clone(),
                                from: value.content.clone(),
                                source_type: value.item_type.clone(),
                                remote_user: value.remote_user.clone(),
                                remote_passwd: value.remote_passwd.clone(),
                            }),
                            ..BcsMessage::default()
                        },
                        (false, true) => BcsMessage {
                            kind: MessageType::Env,
                            env: Some(EnvMessage {
                                name: to,
                                value: text(&value.content).map_err(|why| {
                                    format!(
                                        "configmap {:?} key {:?} {why}",
                                        reference.name, item.data_key
                                    )
                                })?,
                            }),
                            ..BcsMessage::default()
                        },
                        (false, false) => BcsMessage {
                            kind: MessageType::EnvRemote,
                            env_remote: Some(EnvRemoteMessage {
                                name: to,
                                from: value.content.clone(),
                                source_type: value.item_type.clone(),
                                remote_user: value.remote_user.clone(),
                                remote_passwd: value.remote_passwd.clone(),
                            }),
                            ..BcsMessage::default()
                        },
                    },
                );
            }
        }
        for reference in secrets {
            let object = self
                .secrets
                .get(&Name::new(namespace, &reference.secret_name))
                .ok_or_else(|| missing("secret", &reference.secret_name, namespace))?;
            for item in &reference.items {
                let value = object.datas.get(&item.data_key).ok_or_else(|| {
                    format!(
                        "secret {:?} has no key {:?}",
                        reference.secret_name, item.data_key
                    )
                })?;
                let file = is_file(item, "secret", &reference.secret_name)?;
                messages.push(BcsMessage {
                    kind: MessageType::Secret,
                    secret: Some(SecretMessage {
                        name: target(&item.key_or_path),
                        value: value.content.clone(),
                        kind: if file {
                            SecretKind::File
                        } else {
                            SecretKind::Env
                        },
                        user: item.user.clone(),
                    }),
                    ..BcsMessage::default()
                });
            }
        }
        Ok(messages)
    }
}

fn missing(kind: &str, name: &str, namespace: &str) -> String {
    format!("{kind} {name:?} does not exist in namespace {namespace:?}; create it")
}

fn is_file(item: &DataItem, kind: &str, name: &str) -> Result<bool, String> {
    match item.item_type.as_str() {
        "file" => Ok(true),
        "env" => Ok(false),
        other => Err(format!(
            "{kind} {name:?}: item type {other:?} is neither env nor file"
        )),
    }
}

fn right(item: &DataItem) -> String {
    if item.read_only { "r" } else { "rw" }.to_owned()
}

fn text(content: &str) -> Result<String, &'static str> {
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(content.trim())
        .map_err(|_| "is not base64")?;
    String::from_utf8(bytes).map_err(|_| "is not text, so it cannot be a variable")
}
