//! The body of the message routes: `{"msgtype": …, "msgdata": {…}}`.

use serde::{Deserialize, Serialize};

/// A message to one instance or to all of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageRequest {
    /// local, remote, signal or env-key.
    pub msgtype: String,
    /// Depends on the type.
    pub msgdata: MessageData,
}

/// All fields that a message may have.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageData {
    /// Path of the file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// Owner of the file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// "r" or "rw".
    #[serde(skip_serializing_if = "String::is_empty")]
    pub right: String,
    /// Content in base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ctx: String,
    /// Address of the content.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remote: String,
    /// Number of a signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i64>,
    /// Which process gets it; empty = all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub processname: String,
    /// Name of a variable.
    #[serde(rename = "env-key", skip_serializing_if = "String::is_empty")]
    pub env_key: String,
    /// Value of a variable.
    #[serde(rename = "env-value", skip_serializing_if = "String::is_empty")]
    pub env_value: String,
}

/// The known types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageType {
    /// A file with the content given.
    LocalFile,
    /// A file fetched from an address.
    RemoteFile,
    /// A signal.
    Signal,
    /// A variable.
    Environment,
}

impl MessageType {
    /// By its name on the wire.
    pub fn parse(text: &str) -> Option<MessageType> {
        match text {
            "local" => Some(MessageType::LocalFile),
            "remote" => Some(MessageType::RemoteFile),
            "signal" => Some(MessageType::Signal),
            "env-key" => Some(MessageType::Environment),
            _ => None,
        }
    }
}
