//! What scenarios ask a system about its taskgroups.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::{System, wait};

impl System {
    /// The taskgroups of one application.
    #[track_caller]
    pub fn taskgroups_of(&self, namespace: &str, application: &str) -> Vec<Value> {
        let mut list = self.taskgroups(namespace);
        list.retain(|item| item["rcname"] == application);
        list
    }

    /// Waits until the application has exactly one taskgroup and `condition` holds for it; the taskgroup.
    #[track_caller]
    pub fn taskgroup_where(
        &self,
        application: &str,
        what: &str,
        limit: Duration,
        condition: impl Fn(&Value) -> bool,
    ) -> Value {
        wait::until(&format!("{application}: {what}"), limit, || {
            let list = self.taskgroups_of("test", application);
            match &list[..] {
                [one] if condition(one) => Ok(one.clone()),
                _ => Err(format!("{list:#?}")),
            }
        })
    }

    /// Waits until the one taskgroup of an application has this status.
    #[track_caller]
    pub fn ended(&self, application: &str, status: &str) -> Value {
        self.taskgroup_where(application, status, Duration::from_secs(40), |item| {
            item["status"] == status
        })
    }
}

/// The name (the id) of a taskgroup.
#[track_caller]
pub fn name_of(taskgroup: &Value) -> String {
    taskgroup["metadata"]["name"].as_str().unwrap().to_owned()
}

/// Everything that a taskgroup says in words: its own message and those of its tasks.
pub fn words_of(taskgroup: &Value) -> String {
    let mut words = taskgroup["message"].as_str().unwrap_or_default().to_owned();
    for task in taskgroup["containerStatuses"]
        .as_array()
        .into_iter()
        .flatten()
    {
        words.push('\n');
        words.push_str(task["message"].as_str().unwrap_or_default());
    }
    words
}

/// An executable script below a folder.
pub fn script(folder: &Path, name: &str, body: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The base name of the executable that runs scripts.
pub fn shell() -> String {
    let path = std::fs::canonicalize("/bin/sh").unwrap();
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The environment of a running process.
pub fn environment_of(pid: u32) -> std::collections::BTreeMap<String, String> {
    let text = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .split('\0')
        .filter_map(|entry| entry.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Base64, as configmaps and secrets are written.
pub fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}
