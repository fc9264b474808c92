//! Names of resource types: spellings that mean the same, and the process that is an application.

use bcs_httpd::Failure;
use bcs_store::{Field, Filter, Scalar, Test};

use crate::failure::{Code, bad_request};

/// A resource type of a request: the type it is stored as, and what tells it apart there.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) stored: String,
    pub(crate) filter: Option<Filter>,
}

/// Resolves the type in a path. `env` is `mesos`, `k8s`, or empty where the path has none.
pub(crate) fn resolve(env: &str, kind: &str) -> Result<Kind, Failure> {
    if !matches!(env, "mesos" | "k8s" | "") {
        let message = format!("environment {env:?} is neither \"mesos\" nor \"k8s\"");
        return Err(bad_request(Code::List, message));
    }
    let plain = |stored: &str| Kind {
        stored: stored.to_owned(),
        filter: None,
    };
    if env == "k8s" {
        return Ok(match kind {
            "EndPoints" | "endpoints" => plain("Endpoints"),
            other => plain(other),
        });
    }
    let process = || vec![Scalar::Text("process".to_owned())];
    let field = Field::data(["kind"]);
    Ok(match kind.to_ascii_lowercase().as_str() {
        "process" | "processes" => Kind {
            stored: "application".to_owned(),
            filter: Some(Filter {
                field,
                test: Test::In(process()),
            }),
        },
        "application" | "applications" => Kind {
            stored: "application".to_owned(),
            filter: Some(Filter {
                field,
                test: Test::NotIn(process()),
            }),
        },
        "taskgroup" | "taskgroups" => plain("taskgroup"),
        "configmap" | "configmaps" if env == "mesos" => plain("configmap"),
        "secret" | "secrets" if env == "mesos" => plain("secret"),
        "deployment" | "deployments" if env == "mesos" => plain("deployment"),
        "daemonset" | "daemonsets" if env == "mesos" => plain("daemonset"),
        "service" | "services" if env == "mesos" => plain("service"),
        "endpoint" | "endpoints" if env == "mesos" => plain("endpoint"),
        "exportservice" | "exportservices" => plain("exportservice"),
        _ => plain(kind),
    })
}

/// Whether documents of this type hold secrets.
pub(crate) fn is_secret(stored: &str) -> bool {
    stored.eq_ignore_ascii_case("secret")
}
