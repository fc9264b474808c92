//! Who may do what. Reading is for the gateway, which has authorised a person and says for which
//! clusters and whether secrets may be shown; writing is for the watcher of a cluster, and only
//! for that cluster. Nobody is trusted by address.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use bcs_httpd::{Failure, Identity, Peer, require_role};
use http::HeaderMap;
use http::request::Parts;

use crate::failure::refused;

/// Set by the gateway: `*`, or the clusters that the person may see, comma separated.
pub const CLUSTERS_HEADER: &str = "x-bcs-clusters";
/// Set by the gateway: `show` when the person may see the contents of secrets.
pub const SECRETS_HEADER: &str = "x-bcs-secrets";

const READERS: &[&str] = &["gateway", "mesos-watch"];
const WRITERS: &[&str] = &["mesos-watch"];

/// Cluster id -> hosts whose watcher may write it. A cluster that is not listed may be written by
/// every watcher, so list each cluster of an installation that has more than one.
pub type WriterHosts = BTreeMap<String, Vec<String>>;

/// What a reader may see.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    /// `None` is every cluster.
    pub(crate) clusters: Option<Vec<String>>,
    pub(crate) secrets: bool,
}

impl Reader {
    fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let clusters = match text(CLUSTERS_HEADER) {
            None | Some("*") => None,
            Some(list) => Some(list.split(',').map(|id| id.trim().to_owned()).collect()),
        };
        Self {
            clusters,
            secrets: text(SECRETS_HEADER) == Some("show"),
        }
    }

    /// Refuses a cluster that this person may not see.
    pub(crate) fn may_see(&self, cluster: &str) -> Result<(), Failure> {
        match &self.clusters {
            Some(clusters) if !clusters.iter().any(|seen| seen == cluster) => Err(refused(
                format!("you may not read cluster {cluster:?}; ask for a grant on it"),
            )),
            _ => Ok(()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Reader {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let peer = Peer::from_request_parts(parts, state).await?;
        require_role(&peer, READERS)?;
        Ok(Self::from_headers(&parts.headers))
    }
}

/// A daemon that writes.
#[derive(Clone, Debug)]
pub(crate) struct Writer(Identity);

impl Writer {
    /// Refuses a cluster that is another host's to write.
    pub(crate) fn may_write(&self, rules: &WriterHosts, cluster: &str) -> Result<(), Failure> {
        if self.0.role == "local" {
            return Ok(());
        }
        match rules.get(cluster) {
            Some(hosts) if !hosts.contains(&self.0.host) => Err(refused(format!(
                "host {:?} may not write cluster {cluster:?}; add it under `writers` in storage's settings",
                self.0.host
            ))),
            _ => Ok(()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Writer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let peer = Peer::from_request_parts(parts, state).await?;
        require_role(&peer, WRITERS).cloned().map(Self)
    }
}
