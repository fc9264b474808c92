//! ConfigMaps, secrets, agent settings and messages.

use super::fields::{is_account, is_data_key};
use super::{MOST_CONTENT_BYTES, Problems};
use crate::v4::{AgentSetting, ConfigMap, Kind, MessageRequest, MessageType, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Judges a configmap for the route it came by.
pub fn config_map(document: &ConfigMap, namespace: &str) -> Result<(), Problems> {
    let mut problems = Problems::default();
    problems.head(&document.api_version, &document.kind, Kind::ConfigMap);
    problems.name("metadata.name", &document.metadata.name);
    problems.route_namespace(&document.metadata.namespace, namespace);
    problems.metadata("metadata", &document.metadata);
    let mut total = 0;
    for (key, item) in &document.datas {
        let at = format!("datas.{key}");
        problems.data_key(key);
        total += item.content.len();
        match item.item_type.as_str() {
            "file" | "" => problems.content(format!("{at}.content"), &item.content),
            "http" | "https" => {
                problems.web_address(format!("{at}.content"), &item.content);
                if item.remote_user.is_empty() && !item.remote_passwd.is_empty() {
                    problems.missing(format!("{at}.RemoteUser"), "a password needs a user");
                }
            }
            "ftp" | "ftps" => problems.add(
                format!("{at}.type"),
                &item.item_type,
                "is not implemented; put the content behind http or https, or inline it as file",
            ),
            other => problems.word(format!("{at}.type"), other, &["file", "http", "https"]),
        }
    }
    problems.total(total);
    problems.into_result()
}

/// Judges a secret for the route it came by. Contents are never repeated.
pub fn secret(document: &Secret, namespace: &str) -> Result<(), Problems> {
    let mut problems = Problems::default();
    problems.head(&document.api_version, &document.kind, Kind::Secret);
    problems.name("metadata.name", &document.metadata.name);
    problems.route_namespace(&document.metadata.namespace, namespace);
    problems.metadata("metadata", &document.metadata);
    let mut total = 0;
    for (key, item) in &document.datas {
        problems.data_key(key);
        total += item.content.len();
        problems.content(format!("datas.{key}.content"), &item.content);
    }
    problems.total(total);
    problems.into_result()
}

/// Judges a list of agent settings.
pub fn agent_settings(settings: &[AgentSetting]) -> Result<(), Problems> {
    let mut problems = Problems::default();
    if settings.is_empty() {
        problems.missing("[]", "write at least one setting");
    }
    let mut seen = BTreeSet::new();
    for (index, setting) in settings.iter().enumerate() {
        let at = format!("[{index}]");
        if setting.inner_ip.parse::<IpAddr>().is_err() {
            problems.add(
                format!("{at}.innerIP"),
                &setting.inner_ip,
                "is not an IP address",
            );
        }
        if !seen.insert(setting.inner_ip.as_str()) {
            let rule = "is set by an earlier entry; keep one of them";
            problems.add(format!("{at}.innerIP"), &setting.inner_ip, rule);
        }
        for key in setting.strings.keys().chain(setting.scalars.keys()) {
            if key.is_empty() || key.len() > 253 || key.chars().any(char::is_control) {
                problems.add(at.clone(), key, "is not the name of an attribute");
            }
        }
        for (key, scalar) in &setting.scalars {
            if !scalar.value.is_finite() {
                problems.add(
                    format!("{at}.scalars.{key}"),
                    scalar.value,
                    "must be a number",
                );
            }
        }
    }
    problems.into_result()
}

/// Judges the body of a message. An unknown type is the caller's to refuse, it has its own code.
pub fn message(request: &MessageRequest) -> Result<(), Problems> {
    let mut problems = Problems::default();
    let data = &request.msgdata;
    match MessageType::parse(&request.msgtype) {
        None => {}
        Some(MessageType::Signal) => match data.signal {
            None => problems.missing("msgdata.signal", "write the number of the signal, 1 to 64"),
            Some(signal) if !(1..=64).contains(&signal) => {
                problems.add("msgdata.signal", signal, "must be 1 to 64");
            }
            Some(_) => {}
        },
        Some(MessageType::Environment) => {
            problems.variable("msgdata.env-key".into(), &data.env_key);
        }
        Some(file @ (MessageType::LocalFile | MessageType::RemoteFile)) => {
            if data.to.is_empty() {
                problems.missing("msgdata.to", "write the path of the file");
            }
            problems.host_path("msgdata.to".into(), &data.to);
            if !data.right.is_empty() {
                problems.word("msgdata.right".into(), &data.right, &["r", "rw"]);
            }
            if !data.user.is_empty() && !is_account(&data.user) {
                problems.add("msgdata.user", &data.user, "is not the name of an account");
            }
            if file == MessageType::LocalFile {
                problems.content("msgdata.ctx".into(), &data.ctx);
                problems.total(data.ctx.len());
            } else {
                problems.web_address("msgdata.remote".into(), &data.remote);
            }
        }
    }
    problems.into_result()
}

impl Problems {
    fn data_key(&mut self, key: &str) {
        if !is_data_key(key) {
            let rule = "is not a key: use 1 to 253 letters, digits, '-', '_' and '.'";
            self.add("datas", key, rule);
        }
    }

    fn content(&mut self, path: String, content: &str) {
        if STANDARD.decode(content).is_err() {
            let value = format!("a text of {} bytes", content.len());
            self.add(
                path,
                value,
                "is not base64; encode it, for example with `base64 -w0 FILE`",
            );
        }
    }

    fn total(&mut self, total: usize) {
        if total > MOST_CONTENT_BYTES {
            let rule = format!("must be at most {MOST_CONTENT_BYTES} in all; serve it over http");
            self.add("datas", format!("{total} bytes"), rule);
        }
    }
}
