//! Route 13: queries by kind with named filters, as GET parameters or as a flat JSON body.

use axum::body::Bytes;
use axum::extract::{Path, Query as Parameters, State};
use axum::response::Response;
use bcs_httpd::Failure;
use bcs_store::{Field, Filter, Scalar, Scope, Test, instant};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::access::Reader;
use crate::dynamic::{Pairs, answer};
use crate::failure::{Code, bad_request, store};
use crate::kinds;
use crate::query_string::{self, time_error};
use crate::service::{Service, success};

/// How a named filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Number,
    Bool,
    /// `<name>Begin` and `<name>End` in unix seconds.
    Time,
}

use Form::{Bool, Number, Text, Time};

type Row = (&'static str, &'static str, Form);

const TASKGROUP: &[Row] = &[
    ("rcName", "data.rcname", Text),
    ("status", "data.status", Text),
    ("lastStatus", "data.lastStatus", Text),
    ("hostIp", "data.hostIP", Text),
    ("hostName", "data.hostName", Text),
    ("podIp", "data.podIP", Text),
    ("createTime", "data.metadata.creationTimestamp", Time),
    ("startTime", "data.startTime", Time),
    ("lastUpdateTime", "data.lastUpdateTime", Time),
];
const APPLICATION: &[Row] = &[
    ("instance", "data.instance", Number),
    ("buildedInstance", "data.buildedInstance", Number),
    ("runningInstance", "data.runningInstance", Number),
    ("status", "data.status", Text),
    ("lastStatus", "data.lastStatus", Text),
    ("podIp", "data.podIP", Text),
    ("createTime", "data.createTime", Time),
    ("lastUpdateTime", "data.lastUpdateTime", Time),
];
const DEPLOYMENT: &[Row] = &[
    ("checkTime", "data.checkTime", Number),
    ("status", "data.status", Text),
    ("applicationName", "data.application.name", Text),
    ("applicationExtName", "data.application_ext.name", Text),
    ("currRollingOperation", "data.currRollingOperation", Text),
    ("isInRolling", "data.isInRolling", Bool),
    ("lastRollingTime", "data.lastRollingTime", Time),
];
const VERSIONED: &[Row] = &[("apiVersion", "data.apiVersion", Text)];
const EXPORT_SERVICE: &[Row] = &[
    ("serviceName", "data.serviceName", Text),
    ("sslCert", "data.sslcert", Bool),
    ("balance", "data.balance", Text),
];
const POD: &[Row] = &[
    ("hostIp", "data.status.hostIP", Text),
    ("podIp", "data.status.podIP", Text),
    ("status", "data.status.phase", Text),
    ("startTime", "data.status.startTime", Time),
];
const CREATED: &[Row] = &[("createTime", "data.metadata.creationTimestamp", Time)];

/// The stored type and the filters of a kind in a query path.
fn table(env: &str, kind: &str) -> Option<(String, &'static [Row])> {
    let rows = match (env, kind) {
        ("mesos", "taskgroup") => TASKGROUP,
        ("mesos", "application" | "process") => APPLICATION,
        ("mesos", "deployment") => DEPLOYMENT,
        ("mesos", "service" | "configmap" | "secret" | "endpoints" | "endpoint") => VERSIONED,
        ("mesos", "exportservice") => EXPORT_SERVICE,
        ("k8s", "pod") => POD,
        (
            "k8s",
            "replicaset" | "deployment" | "service" | "configmap" | "secret" | "ingress" | "node"
            | "daemonset" | "job" | "statefulset",
        ) => CREATED,
        ("k8s", "endpoints") | ("mesos" | "k8s", "ippoolstatic" | "ippoolstaticdetail") => &[],
        _ => return None,
    };
    let stored = match (env, kind) {
        (_, "ippoolstatic") => "IPPoolStatic",
        (_, "ippoolstaticdetail") => "IPPoolStaticDetail",
        ("k8s", "pod") => "Pod",
        ("k8s", "replicaset") => "ReplicaSet",
        ("k8s", "deployment") => "Deployment",
        ("k8s", "service") => "Service",
        ("k8s", "configmap") => "ConfigMap",
        ("k8s", "secret") => "Secret",
        ("k8s", "ingress") => "Ingress",
        ("k8s", "node") => "Node",
        ("k8s", "daemonset") => "DaemonSet",
        ("k8s", "job") => "Job",
        ("k8s", "statefulset") => "StatefulSet",
        ("k8s", "endpoints") => "Endpoints",
        _ => kind,
    };
    Some((stored.to_owned(), rows))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    env: String,
    cluster: String,
    kind: String,
}

/// GET and POST.
pub(crate) async fn query(
    State(service): State<Service>,
    Path(place): Path<Place>,
    method: Method,
    Parameters(mut parameters): Pairs,
    reader: Reader,
    body: Bytes,
) -> Result<Response, Failure> {
    reader.may_see(&place.cluster)?;
    if method == Method::POST {
        parameters.extend(flat(&body)?);
    }
    if place.kind == "namespace" {
        return namespaces(&service, &place).await;
    }
    let Some((stored, rows)) = table(&place.env, &place.kind) else {
        let message = format!(
            "there are no queries for kind {:?} of {:?}",
            place.kind, place.env
        );
        return Err(bad_request(Code::List, message));
    };
    let scope = Scope {
        cluster: Some(place.cluster),
        ..Scope::default()
    };
    let mut request = query_string::start(scope, kinds::resolve(&place.env, &stored)?);
    for (name, value) in query_string::bounded(&parameters)? {
        if !query_string::common(&mut request, name, value)? {
            request
                .query
                .filters
                .push(named(&place.kind, rows, name, value)?);
        }
    }
    query_string::restrict(&mut request, &reader)?;
    answer(&service, request, &reader, false).await
}

/// A flat JSON object as parameters.
fn flat(body: &[u8]) -> Result<Vec<(String, String)>, Failure> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let refused = |what: String| bad_request(Code::Decode, what);
    let object: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| refused(format!("the body is not a flat JSON object: {error}")))?;
    let texts = object.into_iter().map(|(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Bool(_) | Value::Number(_) => Ok((name, value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(refused(format!(
            "{name:?} in the body is neither a text, a number nor a boolean"
        ))),
    });
    texts.collect()
}

fn named(kind: &str, rows: &[Row], name: &str, value: &str) -> Result<Filter, Failure> {
    match name {
        "name" => return query_string::texts_filter(Field::Name, value),
        "namespace" => return query_string::texts_filter(Field::Namespace, value),
        _ => {}
    }
    let field = |path: &str| Field::parse(path).map_err(|error| store(Code::List, &error));
    for (known, path, form) in rows {
        let bound = |suffix: &str| *form == Time && name.strip_suffix(suffix) == Some(known);
        if bound("Begin") || bound("End") {
            let instant = instant::parse(value).ok_or_else(|| time_error(name, value))?;
            let test = if bound("Begin") {
                Test::After(instant)
            } else {
                Test::Before(instant)
            };
            return Ok(Filter {
                field: field(path)?,
                test,
            });
        }
        if name != *known || *form == Time {
            continue;
        }
        if *form == Text {
            return query_string::texts_filter(field(path)?, value);
        }
        let read = |text: &str| match form {
            Number => text.parse().ok().map(Scalar::Number),
            Bool => text.parse().ok().map(Scalar::Bool),
            Text | Time => None,
        };
        let values = value
            .split(',')
            .map(read)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| {
                let wanted = if *form == Number {
                    "a list of numbers"
                } else {
                    "true or false"
                };
                bad_request(Code::List, format!("{name}={value:?} is not {wanted}"))
            })?;
        return Ok(Filter {
            field: field(path)?,
            test: Test::In(values),
        });
    }
    let known: Vec<String> = rows
        .iter()
        .map(|(name, _, form)| match form {
            Time => format!("{name}Begin, {name}End"),
            Text | Number | Bool => (*name).to_owned(),
        })
        .collect();
    let message = format!(
        "{name:?} is no filter of {kind}; there are name, namespace, field, offset, limit, continue, extra, labelSelector{}{}",
        if known.is_empty() { "" } else { ", " },
        known.join(", ")
    );
    Err(bad_request(Code::List, message))
}

const MESOS_NAMESPACED: &[&str] = &[
    "application",
    "deployment",
    "service",
    "configmap",
    "secret",
    "taskgroup",
];
const K8S_NAMESPACED: &[&str] = &[
    "ReplicaSet",
    "Deployment",
    "Service",
    "ConfigMap",
    "Secret",
    "Ingress",
    "DaemonSet",
    "Job",
    "StatefulSet",
];

async fn namespaces(service: &Service, place: &Place) -> Result<Response, Failure> {
    let kinds = match place.env.as_str() {
        "mesos" => MESOS_NAMESPACED,
        "k8s" => K8S_NAMESPACED,
        other => {
            let message = format!("environment {other:?} is neither \"mesos\" nor \"k8s\"");
            return Err(bad_request(Code::List, message));
        }
    };
    let found = service
        .store
        .namespaces(&place.cluster, kinds)
        .await
        .map_err(|error| store(Code::List, &error))?;
    let text = serde_json::to_string(&found).map_err(|error| crate::service::encode(&error))?;
    Ok(success(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_have_their_types() {
        let read = |name: &str, value: &str| named("application", APPLICATION, name, value);
        assert_eq!(
            read("instance", "3,4").unwrap().test,
            Test::In(vec![Scalar::Number(3.0), Scalar::Number(4.0)])
        );
        assert!(matches!(
            read("createTimeBegin", "1620267542").unwrap().test,
            Test::After(_)
        ));
        assert!(matches!(
            read("createTimeEnd", "1620267542").unwrap().test,
            Test::Before(_)
        ));
        assert_eq!(read("name", "a").unwrap().field, Field::Name);
        for (name, value) in [
            ("instance", "three"),
            ("createTime", "1"),
            ("stattus", "x"),
            ("createTimeEnd", "x"),
        ] {
            assert_eq!(read(name, value).unwrap_err().status, 400, "{name}");
        }
        let refused = read("stattus", "x").unwrap_err().message;
        assert!(refused.contains("runningInstance") && refused.contains("createTimeBegin"));
    }

    #[test]
    fn bodies_are_flat() {
        let body = br#"{"status":"Running","instance":3}"#;
        assert_eq!(flat(body).unwrap().len(), 2);
        assert!(flat(b"[]").is_err());
        assert!(flat(br#"{"a":{}}"#).is_err());
        assert!(flat(b"").unwrap().is_empty());
    }
}
