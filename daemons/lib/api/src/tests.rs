//! The client against a scripted gateway over loopback.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{Applied, ChangeKind, Client, ClientError, ClientFile, Kind, LogRequest, Scope};

/// One expected request and its answer; the body is a list of chunks.
type Step = (&'static str, String, u16, Vec<String>);

#[derive(Clone, Default)]
struct Gateway {
    script: Arc<Mutex<VecDeque<Step>>>,
    faults: Arc<Mutex<Vec<String>>>,
    bodies: Arc<Mutex<Vec<Value>>>,
}

const C: &str = "BCS-MESOS-10000";
const TG: &str = "0.web.games.BCS-MESOS-10000.1700000000000000000";

async fn answer(State(gateway): State<Gateway>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 24).await.unwrap();
    gateway
        .bodies
        .lock()
        .unwrap()
        .push(serde_json::from_slice(&body).unwrap_or_default());
    let asked = format!("{} {}", parts.method, parts.uri.path_and_query().unwrap());
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    };
    let mut faults = gateway.faults.lock().unwrap();
    if header("authorization") != "Bearer secret-token" || header("bcs-clusterid") != C {
        faults.push(format!("{asked}: wrong headers"));
    }
    let Some((method, path, status, chunks)) = gateway.script.lock().unwrap().pop_front() else {
        faults.push(format!("{asked}: not expected"));
        return StatusCode::IM_A_TEAPOT.into_response();
    };
    if asked != format!("{method} {path}") {
        faults.push(format!("asked {asked}, expected {method} {path}"));
    }
    let chunks = chunks.into_iter().map(Ok::<_, std::io::Error>);
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

impl Gateway {
    fn expect(&self, method: &'static str, path: impl Into<String>, status: u16, body: &Value) {
        self.expect_chunks(method, path, status, vec![body.to_string()]);
    }

    fn expect_chunks(
        &self,
        method: &'static str,
        path: impl Into<String>,
        status: u16,
        chunks: Vec<String>,
    ) {
        self.script
            .lock()
            .unwrap()
            .push_back((method, path.into(), status, chunks));
    }

    fn done(&self) {
        assert_eq!(*self.faults.lock().unwrap(), Vec::<String>::new());
        assert!(
            self.script.lock().unwrap().is_empty(),
            "not everything was asked"
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own server")]
async fn rig() -> (Client, Gateway) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let gateway = Gateway::default();
    let router = axum::Router::new()
        .fallback(answer)
        .with_state(gateway.clone());
    drop(tokio::spawn(
        async move { axum::serve(listener, router).await },
    ));
    let file = ClientFile {
        address,
        ca: String::new(),
        token: "secret-token".into(),
        cluster: C.into(),
    };
    (Client::new(&file).unwrap(), gateway)
}

fn ok(data: Value) -> Value {
    json!({"result": true, "code": 0, "message": "success", "data": data})
}

fn no(code: i64, message: &str) -> Value {
    json!({"result": false, "code": code, "message": message, "data": null})
}

fn document(instances: u64, command: &str) -> Value {
    json!({"apiVersion": "v4", "kind": "Process", "metadata": {"name": "web", "namespace": "games"},
        "spec": {"instance": instances, "template": {"spec": {"processes": [{"procName": "a", "startCmd": command}]}}}})
}

const APPS: &str = "/bcsapi/v4/scheduler/mesos/namespaces/games/processes";
const DEFINITION: &str = "/bcsapi/v4/scheduler/mesos/definition/process/games/web";
const STORAGE: &str = "/bcsapi/v4/storage/mesos/dynamic/namespace_resources/clusters/BCS-MESOS-10000/namespaces/games";

#[tokio::test]
async fn apply_creates_updates_scales_or_leaves_alone() {
    let (client, gateway) = rig().await;
    let exists = no(1_405_201, "(web):resource already exists");
    let live = ok(json!({"DefineInstances": 3, "Status": "Running"}));
    // New: created, with the kind as the API spells it.
    gateway.expect("POST", APPS, 200, &ok(Value::Null));
    assert_eq!(
        client.apply(&document(3, "a")).await.unwrap(),
        Applied::Created
    );
    assert_eq!(
        gateway.bodies.lock().unwrap().last().unwrap()["kind"],
        "process"
    );
    // The same again: nothing.
    gateway.expect("POST", APPS, 409, &exists);
    gateway.expect("GET", format!("{APPS}/web"), 200, &live);
    gateway.expect("GET", DEFINITION, 200, &ok(document(1, "a")));
    assert_eq!(
        client.apply(&document(3, "a")).await.unwrap(),
        Applied::Unchanged
    );
    // Another number: scaled.
    gateway.expect("POST", APPS, 200, &exists);
    gateway.expect("GET", format!("{APPS}/web"), 200, &live);
    gateway.expect("GET", DEFINITION, 200, &ok(document(1, "a")));
    gateway.expect(
        "GET",
        format!("{STORAGE}/process?limit=1000"),
        200,
        &ok(json!([])),
    );
    gateway.expect("PUT", format!("{APPS}/web/scale/5"), 200, &ok(Value::Null));
    assert_eq!(
        client.apply(&document(5, "a")).await.unwrap(),
        Applied::Scaled
    );
    // Another content: recreated.
    gateway.expect("POST", APPS, 409, &exists);
    gateway.expect("GET", format!("{APPS}/web"), 200, &live);
    gateway.expect("GET", DEFINITION, 200, &ok(document(3, "a")));
    gateway.expect("PUT", format!("{APPS}?instances=0"), 200, &ok(Value::Null));
    assert_eq!(
        client.apply(&document(3, "b")).await.unwrap(),
        Applied::Updated
    );
    gateway.done();
}

#[tokio::test]
async fn an_equal_configmap_is_left_alone() {
    let (client, gateway) = rig().await;
    let maps = "/bcsapi/v4/scheduler/mesos/namespaces/games/configmaps";
    let map = |content: &str| {
        json!({"apiVersion": "v4", "kind": "configmap", "metadata": {"name": "c", "namespace": "games"},
            "datas": {"a": {"type": "file", "content": content}}})
    };
    let exists = no(1_405_201, "exists");
    gateway.expect("POST", maps, 409, &exists);
    gateway.expect("GET", format!("{maps}/c"), 200, &ok(map("aGk=")));
    assert_eq!(
        client.apply(&map("aGk=")).await.unwrap(),
        Applied::Unchanged
    );
    gateway.expect("POST", maps, 409, &exists);
    gateway.expect("GET", format!("{maps}/c"), 200, &ok(map("aGk=")));
    gateway.expect("PUT", maps, 200, &ok(Value::Null));
    assert_eq!(client.apply(&map("aG8=")).await.unwrap(), Applied::Updated);
    gateway.done();
}

#[tokio::test]
async fn a_scale_after_an_update_waits_for_its_turn() {
    let (client, gateway) = rig().await;
    let busy = no(
        1_405_200,
        "(web):Operation Not Allowed, the status of the app is Operating",
    );
    let mut page = ok(json!([]));
    page["resourceVersion"] = json!("7");
    gateway.expect("POST", APPS, 409, &no(1_405_201, "exists"));
    gateway.expect(
        "GET",
        format!("{APPS}/web"),
        200,
        &ok(json!({"DefineInstances": 3})),
    );
    gateway.expect("GET", DEFINITION, 200, &ok(document(3, "a")));
    gateway.expect("PUT", format!("{APPS}?instances=0"), 200, &ok(Value::Null));
    gateway.expect("GET", format!("{STORAGE}/process?limit=1000"), 200, &page);
    gateway.expect("PUT", format!("{APPS}/web/scale/4"), 409, &busy);
    let event = json!({"type": "MODIFIED", "object": {"resourceVersion": "8", "data": {"kind": "process"}}});
    gateway.expect_chunks(
        "GET",
        format!("{STORAGE}/process?watch=true&resourceVersion=7"),
        200,
        vec![format!("{event}\n")],
    );
    gateway.expect("PUT", format!("{APPS}/web/scale/4"), 200, &ok(Value::Null));
    assert_eq!(
        client.apply(&document(4, "b")).await.unwrap(),
        Applied::Updated
    );
    gateway.done();
}

#[tokio::test]
async fn lists_follow_pages_and_unwrap_documents() {
    let (client, gateway) = rig().await;
    let path = format!("{STORAGE}/process?limit=1000&labelSelector=app%3Dweb%2Ctier%21%3Dtest");
    let wrapped = |name: &str, kind: &str| json!({"resourceName": name, "data": {"kind": kind, "metadata": {"name": name}}});
    let mut first = ok(json!([
        wrapped("a", "process"),
        wrapped("x", "application")
    ]));
    first["resourceVersion"] = json!("41");
    first["continue"] = json!("tok/en");
    gateway.expect("GET", path.clone(), 200, &first);
    let mut second = ok(json!([wrapped("b", "process")]));
    second["resourceVersion"] = json!("44");
    gateway.expect("GET", format!("{path}&continue=tok%2Fen"), 200, &second);
    let listing = client
        .listing(
            "proc",
            Scope::Namespace("games"),
            Some("app=web,tier!=test"),
        )
        .await
        .unwrap();
    let names: Vec<&str> = listing
        .items
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!((names, listing.revision), (vec!["a", "b"], Some(41)));
    let all = "/bcsapi/v4/storage/mesos/dynamic/all_resources/clusters/BCS-MESOS-10000/taskgroup?limit=1000";
    gateway.expect("GET", all, 200, &ok(json!([])));
    assert!(client.list(Kind::TaskGroup, None).await.unwrap().is_empty());
    gateway.done();
}

#[tokio::test]
async fn a_watch_survives_split_lines_and_tells_when_it_is_too_old() {
    let (client, gateway) = rig().await;
    let event = |kind: &str, revision: u64, name: &str| {
        json!({"type": kind, "object": {"resourceVersion": revision.to_string(),
            "data": {"kind": "process", "metadata": {"name": name}}}})
        .to_string()
    };
    let text = format!(
        "{}\n\n{}\n{}\n{}\n",
        event("ADDED", 8, "a"),
        json!({"type": "BOOKMARK", "object": {"resourceVersion": "9"}}),
        event("DELETED", 10, "a"),
        json!({"type": "ERROR", "object": {"code": 410, "message": "too old"}}),
    );
    // Cut in the middle of words.
    let chunks = text
        .as_bytes()
        .chunks(17)
        .map(|chunk| String::from_utf8_lossy(chunk).into_owned())
        .collect();
    let path = format!("{STORAGE}/process?watch=true&resourceVersion=7");
    gateway.expect_chunks("GET", path.clone(), 200, chunks);
    let scope = Scope::Namespace("games");
    let mut watch = client.watch(Kind::Process, scope, None, 7).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().kind, ChangeKind::Added);
    assert_eq!(
        watch.next().await.unwrap().unwrap().kind,
        ChangeKind::Deleted
    );
    assert_eq!(watch.revision(), 10);
    assert!(matches!(watch.next().await, Err(ClientError::Expired)));
    gateway.expect("GET", path, 410, &no(1_405_085, "too old"));
    let expired = client.watch(Kind::Process, scope, None, 7).await;
    assert!(matches!(expired, Err(ClientError::Expired)));
    gateway.done();
}

#[tokio::test]
async fn errors_are_typed() {
    let (client, gateway) = rig().await;
    gateway.expect(
        "GET",
        format!("{STORAGE}/process/web"),
        404,
        &no(1_405_087, "no such object"),
    );
    assert!(
        client
            .get("process", "games", "web")
            .await
            .unwrap_err()
            .is_not_found()
    );
    gateway.expect(
        "DELETE",
        format!("{APPS}/web?enforce=1"),
        403,
        &no(1_405_403, "may not"),
    );
    let error = client
        .delete("process", "games", "web", true)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("administrator"), "{error}");
    gateway.expect(
        "GET",
        format!("{APPS}/web"),
        503,
        &no(1_405_009, "scheduler not exist"),
    );
    assert!(
        client
            .live("process", "games", "web")
            .await
            .unwrap_err()
            .is_transient()
    );
    gateway.expect_chunks("GET", format!("{APPS}/web"), 200, vec!["<html>".into()]);
    let odd = client.live("process", "games", "web").await.unwrap_err();
    assert!(matches!(odd, ClientError::Odd { .. }), "{odd}");
    assert!(
        client
            .create(&json!({"kind": "process"}))
            .await
            .unwrap_err()
            .to_string()
            .contains("metadata")
    );
    assert!(
        client
            .create(&json!({"kind": "tg", "metadata": {"name": "x"}}))
            .await
            .is_err()
    );
    gateway.done();
    let closed = ClientFile {
        address: "http://127.0.0.1:9".into(),
        ca: String::new(),
        token: "t".into(),
        cluster: C.into(),
    };
    let error = Client::new(&closed).unwrap().resources().await.unwrap_err();
    assert!(
        error.is_absent() && error.to_string().contains("bcs doctor"),
        "{error}"
    );
}

#[tokio::test]
async fn output_of_tasks_is_streamed() {
    let (client, gateway) = rig().await;
    let path = format!(
        "/bcsapi/v4/scheduler/mesos/namespaces/games/taskgroups/{TG}/logs?stream=stderr&follow=true&container=a%20b&tail=5"
    );
    gateway.expect_chunks("GET", path, 200, vec!["one\n".into(), "two\n".into()]);
    let id = TG.parse().unwrap();
    let request = LogRequest {
        taskgroup: &id,
        container: Some("a b"),
        stderr: true,
        tail: Some(5),
        follow: true,
    };
    let mut logs = client.logs(&request).await.unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = logs.next().await.unwrap() {
        text.extend_from_slice(&chunk);
    }
    assert_eq!(text, b"one\ntwo\n");
    gateway.done();
}
