//! What an agent tells an executor through `MESOS_*` variables.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bcs_httpd::Endpoint;
use bcs_kit::Redacted;
use serde::{Deserialize, Serialize};

/// The raw variables, as posted and as recorded.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Variables(pub BTreeMap<String, String>);

impl std::fmt::Debug for Variables {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // One of them is a token.
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// Variables that no executor can do without, or that make no sense.
#[derive(Debug, thiserror::Error)]
#[error("{name} = {value:?}: {reason}")]
pub struct EnvironmentError {
    name: &'static str,
    value: String,
    reason: String,
}

/// The variables, read.
#[derive(Debug, Clone)]
pub struct Environment {
    /// `MESOS_FRAMEWORK_ID`
    pub framework_id: String,
    /// `MESOS_EXECUTOR_ID`
    pub executor_id: String,
    /// `MESOS_SLAVE_ID`
    pub agent_id: String,
    /// Where the executor API is.
    pub agent: Endpoint,
    /// `MESOS_SANDBOX`, or `MESOS_DIRECTORY`
    pub sandbox: PathBuf,
    /// `MESOS_CHECKPOINT`
    pub checkpoint: bool,
    /// `MESOS_RECOVERY_TIMEOUT`
    pub recovery_timeout: Duration,
    /// `MESOS_SUBSCRIPTION_BACKOFF_MAX`
    pub backoff_max: Duration,
    /// `MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD`
    pub shutdown_grace: Option<Duration>,
    /// `MESOS_EXECUTOR_AUTHENTICATION_TOKEN`
    pub token: Option<Redacted<String>>,
    /// `LIBPROCESS_IP`, else the host part of `MESOS_AGENT_ENDPOINT`
    pub host: String,
}

impl Environment {
    /// Reads the variables. `unix` allows the domain socket: our own agent speaks HTTP/2 there,
    /// Apache Mesos speaks HTTP/1.1, for which its TCP address is used instead.
    ///
    /// # Errors
    /// Names the variable that is missing or unusable.
    pub fn read(variables: &Variables, unix: bool) -> Result<Self, EnvironmentError> {
        let refuse = |name: &'static str, reason: &str| EnvironmentError {
            name,
            value: variables.0.get(name).cloned().unwrap_or_default(),
            reason: reason.to_owned(),
        };
        let get = |name: &str| variables.0.get(name).filter(|value| !value.is_empty());
        let id = |name: &'static str| match get(name) {
            Some(value) if value.len() > 255 => Err(refuse(name, "longer than 255 characters")),
            Some(value) if value == "." || value == ".." => Err(refuse(name, "not an id")),
            Some(value) if value.contains(['/', '\\']) || value.contains(char::is_control) => Err(
                refuse(name, "an id has no slashes and no control characters"),
            ),
            Some(value) => Ok(value.clone()),
            None => Err(refuse(name, "must be set")),
        };
        let duration = |name: &'static str, default: Duration| match get(name) {
            None => Ok(default),
            Some(value) => {
                bcs_mesos::duration::parse(value).map_err(|error| refuse(name, &error.to_string()))
            }
        };
        let sandbox = get("MESOS_SANDBOX").or_else(|| get("MESOS_DIRECTORY"));
        let sandbox = sandbox.ok_or_else(|| refuse("MESOS_SANDBOX", "must be set"))?;
        if !sandbox.starts_with('/') {
            return Err(refuse("MESOS_SANDBOX", "must be an absolute path"));
        }
        let address = get("MESOS_AGENT_ENDPOINT").cloned().unwrap_or_default();
        let agent = match get("MESOS_DOMAIN_SOCKET").filter(|_| unix) {
            Some(path) => format!("unix:{path}"),
            None if address.contains("://") => address.clone(),
            None => {
                let tls = get("SSL_ENABLED").is_some_and(|value| value == "1" || value == "true");
                format!("{}://{address}", if tls { "https" } else { "http" })
            }
        };
        let agent = agent
            .parse()
            .map_err(|error| refuse("MESOS_AGENT_ENDPOINT", &format!("{agent:?}: {error}")))?;
        let bare = address
            .rsplit_once("://")
            .map_or(address.as_str(), |(_, rest)| rest);
        let host = bare
            .rsplit_once(':')
            .map_or(bare, |(host, _)| host)
            .to_owned();
        let recovery = Duration::from_secs(15 * 60);
        let grace = Duration::ZERO;
        Ok(Self {
            framework_id: id("MESOS_FRAMEWORK_ID")?,
            executor_id: id("MESOS_EXECUTOR_ID")?,
            agent_id: get("MESOS_SLAVE_ID").cloned().unwrap_or_default(),
            agent,
            sandbox: sandbox.into(),
            checkpoint: get("MESOS_CHECKPOINT")
                .is_some_and(|value| value == "1" || value == "true"),
            recovery_timeout: duration("MESOS_RECOVERY_TIMEOUT", recovery)?,
            backoff_max: duration("MESOS_SUBSCRIPTION_BACKOFF_MAX", Duration::from_secs(2))?
                .clamp(Duration::from_millis(50), Duration::from_secs(60)),
            shutdown_grace: Some(duration("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", grace)?)
                .filter(|grace| !grace.is_zero()),
            token: get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN")
                .cloned()
                .map(Redacted::new),
            host: get("LIBPROCESS_IP").cloned().unwrap_or(host),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(list: &[(&str, &str)]) -> Variables {
        let base = [
            ("MESOS_FRAMEWORK_ID", "F"),
            ("MESOS_EXECUTOR_ID", "E"),
            ("MESOS_SANDBOX", "/sandbox"),
            ("MESOS_AGENT_ENDPOINT", "10.0.0.7:5051"),
        ];
        let all = base.iter().chain(list);
        Variables(
            all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn mesos_durations_and_both_addresses_are_understood() {
        let text = variables(&[
            ("MESOS_RECOVERY_TIMEOUT", "15mins"),
            ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs"),
            ("MESOS_DOMAIN_SOCKET", "/run/agent.sock"),
            ("MESOS_CHECKPOINT", "1"),
        ]);
        let read = Environment::read(&text, true).unwrap();
        assert_eq!(read.agent.to_string(), "unix:/run/agent.sock");
        assert_eq!(read.recovery_timeout, Duration::from_secs(900));
        assert!(read.checkpoint);
        let read = Environment::read(&text, false).unwrap();
        assert_eq!(read.agent.to_string(), "http://10.0.0.7:5051");
        assert_eq!(read.host, "10.0.0.7");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (name, value) in [
            ("MESOS_EXECUTOR_ID", ""),
            ("MESOS_EXECUTOR_ID", "a/b"),
            ("MESOS_EXECUTOR_ID", ".."),
            ("MESOS_SANDBOX", "relative"),
            ("MESOS_RECOVERY_TIMEOUT", "soon"),
            ("MESOS_AGENT_ENDPOINT", "::::"),
        ] {
            let error = Environment::read(&variables(&[(name, value)]), true).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
