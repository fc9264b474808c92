//! Which upstream a path goes to, what it is about, and what it does: decided in one place from one
//! reading of the path, so that what is authorised is what is routed.

use std::collections::BTreeMap;

use bcs_httpd::{Client, Failure};
use bcs_user_manager::Action;
use http::{HeaderMap, Method, StatusCode};

use crate::path::segment_text;

/// Selects the cluster on driver routes.
pub const CLUSTER_HEADER: &str = "bcs-clusterid";

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// One cluster.
    Cluster(String),
    /// Whatever clusters the caller may read.
    AnyCluster,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// For people: `storage`, or `driver of BCS-MESOS-10000`.
    pub(crate) service: String,
    pub(crate) client: Client,
    /// Path at the upstream, without the query.
    pub(crate) path: String,
    pub(crate) subject: Subject,
    pub(crate) action: Action,
}

/// The upstreams.
#[derive(Clone, Debug)]
pub(crate) struct Upstreams {
    pub(crate) storage: Option<Client>,
    pub(crate) drivers: BTreeMap<String, Client>,
}

const DRIVER_PREFIXES: &[&str] = &["/bcsapi/v4/scheduler/mesos/", "/bcsapi/v1/"];
const STORAGE_V2: &str = "/bcsapi/v4/storage/v2/";
const STORAGE: &str = "/bcsapi/v4/storage/";

fn refuse(status: StatusCode, message: impl Into<String>) -> Failure {
    Failure::new(status, 0, message)
}

impl Upstreams {
    /// Routes a path that was checked already.
    pub(crate) fn route(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Target, Failure> {
        for prefix in DRIVER_PREFIXES {
            if let Some(rest) = path.strip_prefix(prefix) {
                return self.to_driver(method, rest, headers);
            }
        }
        if path.starts_with(STORAGE_V2) {
            let message = "storage's version 2 is for the watchers of clusters, not for people";
            return Err(refuse(StatusCode::FORBIDDEN, message));
        }
        if let Some(rest) = path.strip_prefix(STORAGE) {
            return self.to_storage(method, rest);
        }
        let message = format!(
            "nothing is served under {path}; there are /bcsapi/v4/scheduler/mesos, /bcsapi/v4/storage, /bcsapi/v4/usermanager, /bcsapi/v4/healthz"
        );
        Err(refuse(StatusCode::NOT_FOUND, message))
    }

    fn to_driver(
        &self,
        method: &Method,
        rest: &str,
        headers: &HeaderMap,
    ) -> Result<Target, Failure> {
        let known = || self.drivers.keys().cloned().collect::<Vec<_>>().join(", ");
        let cluster = match headers.get(CLUSTER_HEADER) {
            Some(value) => value.to_str().map(str::to_ascii_uppercase).map_err(|_| {
                refuse(
                    StatusCode::BAD_REQUEST,
                    "header BCS-ClusterID is not plain text",
                )
            })?,
            None => match self.drivers.keys().next() {
                Some(only) if self.drivers.len() == 1 => only.clone(),
                _ => {
                    let message = format!("header BCS-ClusterID must name one of {}", known());
                    return Err(refuse(StatusCode::BAD_REQUEST, message));
                }
            },
        };
        let found = self
            .drivers
            .iter()
            .find(|(id, _)| id.eq_ignore_ascii_case(&cluster));
        let Some((id, client)) = found else {
            let message = format!("cluster {cluster:?} has no driver here; known: {}", known());
            return Err(refuse(StatusCode::NOT_FOUND, message));
        };
        Ok(Target {
            service: format!("driver of {id}"),
            client: client.clone(),
            path: format!("/mesosdriver/v4/{rest}"),
            subject: Subject::Cluster(id.clone()),
            action: action(method)?,
        })
    }

    fn to_storage(&self, method: &Method, rest: &str) -> Result<Target, Failure> {
        let Some(client) = &self.storage else {
            let message = "no storage is configured; set `storage` in the gateway's settings";
            return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, message));
        };
        let segments: Vec<&str> = rest.split('/').collect();
        let question = matches!(
            segments.as_slice(),
            ["query", ..] | ["dynamic", "watch", _, _]
        );
        let action = if question && *method == Method::POST {
            Action::Read
        } else {
            action(method)?
        };
        if action == Action::Write {
            let message = "storage is written by the watchers of clusters only; change objects through /bcsapi/v4/scheduler/mesos";
            return Err(refuse(StatusCode::FORBIDDEN, message));
        }
        let cluster = match segments.as_slice() {
            ["dynamic", "watch", cluster, _] => Some(*cluster),
            [_, "dynamic", _, "clusters", cluster, ..]
            | ["query", _, "dynamic", "clusters", cluster, ..]
            | [_, "watch", "clusters", cluster, ..]
            | ["metric" | "host", "clusters", cluster, ..]
            | ["cluster_config", "clusters", cluster, ..] => Some(*cluster),
            _ => None,
        };
        let subject = match cluster {
            Some(cluster) => Subject::Cluster(segment_text(cluster).ok_or_else(|| {
                refuse(
                    StatusCode::BAD_REQUEST,
                    "the cluster id in the path is not plain text",
                )
            })?),
            None => Subject::AnyCluster,
        };
        Ok(Target {
            service: "storage".to_owned(),
            client: client.clone(),
            path: format!("/bcsstorage/v1/{rest}"),
            subject,
            action,
        })
    }
}

fn action(method: &Method) -> Result<Action, Failure> {
    Action::of_method(method.as_str())
        .map_err(|error| refuse(StatusCode::METHOD_NOT_ALLOWED, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstreams(clusters: &[&str]) -> Upstreams {
        let client = |port: u16| {
            Client::new(&format!("http://127.0.0.1:{port}").parse().unwrap(), None).unwrap()
        };
        Upstreams {
            storage: Some(client(1)),
            drivers: clusters
                .iter()
                .map(|id| ((*id).to_owned(), client(2)))
                .collect(),
        }
    }

    fn route(clusters: &[&str], method: Method, path: &str, header: &str) -> Result<Target, u16> {
        let mut headers = HeaderMap::new();
        if !header.is_empty() {
            headers.insert(CLUSTER_HEADER, header.parse().unwrap());
        }
        upstreams(clusters)
            .route(&method, path, &headers)
            .map_err(|f| f.status.as_u16())
    }

    #[test]
    fn prefixes_go_to_their_upstreams() {
        let one = &["BCS-MESOS-10000"][..];
        let path = "/bcsapi/v4/scheduler/mesos/namespaces/n/applications";
        let target = route(one, Method::POST, path, "").unwrap();
        assert_eq!(target.path, "/mesosdriver/v4/namespaces/n/applications");
        assert_eq!(target.subject, Subject::Cluster("BCS-MESOS-10000".into()));
        assert_eq!(target.action, Action::Write);
        let path = "/bcsapi/v4/storage/query/mesos/dynamic/clusters/c1/taskgroup";
        let target = route(one, Method::POST, path, "").unwrap();
        assert_eq!(
            target.path,
            "/bcsstorage/v1/query/mesos/dynamic/clusters/c1/taskgroup"
        );
        assert_eq!(
            (target.subject, target.action),
            (Subject::Cluster("c1".into()), Action::Read)
        );
        let path = "/bcsapi/v4/storage/dynamic/customresources/x";
        assert_eq!(
            route(one, Method::GET, path, "").unwrap().subject,
            Subject::AnyCluster
        );
    }

    #[test]
    fn the_header_selects_the_driver() {
        let two = &["BCS-MESOS-10000", "BCS-MESOS-10001"][..];
        let path = "/bcsapi/v4/scheduler/mesos/definition";
        assert_eq!(route(two, Method::GET, path, "").unwrap_err(), 400);
        assert_eq!(
            route(two, Method::GET, path, "BCS-MESOS-9").unwrap_err(),
            404
        );
        let target = route(two, Method::GET, path, "bcs-mesos-10001").unwrap();
        assert_eq!(target.subject, Subject::Cluster("BCS-MESOS-10001".into()));
    }

    #[test]
    fn storage_is_read_only_for_people() {
        let one = &["c"][..];
        for (method, path) in [
            (
                Method::PUT,
                "/bcsapi/v4/storage/mesos/dynamic/cluster_resources/clusters/c/k/n",
            ),
            (
                Method::DELETE,
                "/bcsapi/v4/storage/mesos/dynamic/all_resources/clusters/c/k",
            ),
            (Method::POST, "/bcsapi/v4/storage/v2/batch"),
            (Method::GET, "/bcsapi/v4/storage/v2/digests/clusters/c/k"),
        ] {
            assert_eq!(route(one, method, path, "").unwrap_err(), 403, "{path}");
        }
        assert_eq!(
            route(one, Method::GET, "/bcsapi/v4/other/x", "").unwrap_err(),
            404
        );
    }
}
