//! Settings of the driver.

use bcs_httpd::{Endpoint, Listen, TlsFiles};
use serde::Deserialize;

/// What the driver is told at start.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The cluster that this driver speaks for; requests for another one are refused.
    pub cluster: String,
    /// Where it listens.
    pub listen: Listen,
    /// Its certificate. Without one it serves plain HTTP and knows nobody: for tests only.
    pub tls: Option<TlsFiles>,
    /// The scheduler.
    pub scheduler: Endpoint,
    /// Answers 200 to everything, as the original did; the envelope tells success from failure.
    #[serde(rename = "always-200", alias = "always_200")]
    pub always_200: bool,
    /// Roles whose certificates may call, when there is a certificate.
    pub callers: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster: "BCS-MESOS-10000".to_owned(),
            listen: Listen::Tcp("127.0.0.1:31005".to_owned()),
            tls: None,
            scheduler: Endpoint::Url("https://127.0.0.1:31004".to_owned()),
            always_200: false,
            callers: vec!["gateway".to_owned()],
        }
    }
}
