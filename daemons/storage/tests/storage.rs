//! The storage role as its peers see it: over mutual TLS on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bcs_httpd::pki::Authority;
use bcs_httpd::{Client, Endpoint, Listen, TlsFiles};
use bcs_kit::{Context, Shutdown};
use bcs_storage::Settings;
use http::Method;
use serde_json::{Value, json};

const CLUSTER: &str = "BCS-MESOS-10000";
const LIST: &str = "/bcsstorage/v1/mesos/dynamic/all_resources/clusters/BCS-MESOS-10000/taskgroup";

struct Site {
    folder: tempfile::TempDir,
    authority: Authority,
}

struct Running {
    context: Context,
    endpoint: Endpoint,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(&folder.path().join("ca"), "test").unwrap();
        Self { folder, authority }
    }

    fn files(&self, role: &str, host: &str) -> TlsFiles {
        let folder = self.folder.path().join(format!("tls-{role}-{host}"));
        self.authority
            .issue(&folder, role, host, &["127.0.0.1".to_owned()])
            .unwrap()
    }

    async fn start(&self) -> Running {
        self.start_with(|_| {}).await
    }

    async fn start_with(&self, change: impl FnOnce(&mut Settings)) -> Running {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let mut settings = Settings::new(self.folder.path().join("data"));
        settings.listen = Listen::Bound(Arc::new(socket));
        settings.tls = Some(self.files("storage", "127.0.0.1"));
        change(&mut settings);
        let context = Context::new(Shutdown::new());
        let own = context.clone();
        context
            .tasks
            .spawn_essential("storage", bcs_storage::run(settings, own));
        tokio::time::timeout(Duration::from_secs(20), context.ready.wait())
            .await
            .unwrap();
        Running {
            context,
            endpoint: format!("https://{address}").parse().unwrap(),
        }
    }

    fn client(&self, running: &Running, role: &str) -> Client {
        Client::new(&running.endpoint, Some(&self.files(role, "h1"))).unwrap()
    }
}

impl Running {
    async fn stop(self) {
        self.context.shutdown.cancel();
        assert!(
            self.context
                .tasks
                .drain(Duration::from_secs(20))
                .await
                .is_empty()
        );
        assert_eq!(self.context.tasks.failure(), None);
    }
}

async fn call(client: &Client, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let mut request = client.request(method, path);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

async fn get(client: &Client, path: &str) -> (u16, Value) {
    call(client, Method::GET, path, None).await
}

fn operation(kind: &str, namespace: &str, name: &str, data: Value) -> Value {
    let mut operation = json!({
        "op": if data.is_null() { "delete" } else { "put" },
        "clusterId": CLUSTER, "namespace": namespace,
        "resourceType": kind, "resourceName": name,
    });
    if !data.is_null() {
        operation["data"] = data;
    }
    operation
}

async fn batch(client: &Client, operations: Vec<Value>) -> (u16, Value) {
    let body = json!({ "operations": operations });
    call(client, Method::POST, "/bcsstorage/v2/batch", Some(body)).await
}

async fn put(client: &Client, name: &str, data: Value) {
    let (status, answer) = batch(client, vec![operation("taskgroup", "n", name, data)]).await;
    assert_eq!(
        (status, &answer["data"][0]["ok"]),
        (200, &json!(true)),
        "{answer}"
    );
}

fn names(answer: &Value) -> Vec<String> {
    let name = |item: &Value| item["resourceName"].as_str().unwrap().to_owned();
    answer["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(name)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_written_by_watchers_and_read_through_the_gateway() {
    let site = Site::new();
    let storage = site.start().await;
    let (watcher, gateway) = (
        site.client(&storage, "mesos-watch"),
        site.client(&storage, "gateway"),
    );
    let (status, answer) = batch(
        &watcher,
        vec![
            operation("taskgroup", "n", "a", json!({"status": "Running"})),
            operation("taskgroup", "n", "", json!({})),
            operation("taskgroup", "n", "b", json!("text")),
            operation("application", "n", "web", json!({"kind": "application"})),
            operation("application", "n", "proc", json!({"kind": "process"})),
            operation("taskgroup", "n", "gone", Value::Null),
        ],
    )
    .await;
    assert_eq!(status, 200);
    let ok: Vec<bool> = answer["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["ok"].as_bool().unwrap())
        .collect();
    assert_eq!(ok, [true, false, false, true, true, true]);

    let one =
        "/bcsstorage/v1/mesos/dynamic/namespace_resources/clusters/BCS-MESOS-10000/namespaces/n";
    let (status, answer) = get(&gateway, &format!("{one}/taskgroup/a")).await;
    assert_eq!(status, 200);
    assert_eq!(answer["result"], true);
    let document = &answer["data"];
    assert_eq!(document["data"], json!({"status": "Running"}));
    assert_eq!(document["clusterId"], CLUSTER);
    assert!(document["createTime"].as_str().unwrap().ends_with('Z'));
    assert_eq!(get(&gateway, &format!("{one}/taskgroup/b")).await.0, 404);
    let (_, answer) = get(&gateway, &format!("{one}/process")).await;
    assert_eq!(names(&answer), ["proc"]);
    let (_, answer) = get(&gateway, &format!("{one}/application")).await;
    assert_eq!(names(&answer), ["web"]);
    assert_eq!(
        get(&gateway, &format!("{one}/application/proc")).await.0,
        404
    );
    assert_eq!(get(&gateway, &format!("{one}/process/proc")).await.0, 200);

    // The same routes as a watcher of the original uses them.
    let path = format!("{one}/configmap/cfg");
    let body = Some(json!({"data": {"datas": {}}}));
    assert_eq!(
        call(&watcher, Method::PUT, &path, body.clone()).await.0,
        200
    );
    assert_eq!(get(&gateway, &path).await.0, 200);
    assert_eq!(call(&gateway, Method::PUT, &path, body).await.0, 403);
    assert_eq!(call(&watcher, Method::DELETE, &path, None).await.0, 200);
    assert_eq!(call(&watcher, Method::DELETE, &path, None).await.0, 200);
    assert_eq!(get(&gateway, &path).await.0, 404);
    let all = "/bcsstorage/v1/mesos/dynamic/all_resources/clusters/BCS-MESOS-10000/taskgroup";
    let broken = watcher
        .request(Method::DELETE, all)
        .body("{")
        .send()
        .await
        .unwrap();
    assert_eq!(broken.status(), 400);
    let bounds = Some(json!({"updateTimeBegin": 0, "updateTimeEnd": 1}));
    assert_eq!(call(&watcher, Method::DELETE, all, bounds).await.0, 200);
    assert_eq!(get(&gateway, LIST).await.1["total"], 1);
    storage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_and_other_roles_get_nothing() {
    let site = Site::new();
    let storage = site
        .start_with(|settings| {
            settings
                .writers
                .insert(CLUSTER.to_owned(), vec!["h2".to_owned()]);
        })
        .await;
    let agent = site.client(&storage, "agent");
    assert_eq!(get(&agent, LIST).await.0, 403);
    assert_eq!(batch(&agent, vec![]).await.0, 403);
    let wrong_host = site.client(&storage, "mesos-watch");
    let (status, answer) = batch(
        &wrong_host,
        vec![operation("taskgroup", "n", "a", json!({}))],
    )
    .await;
    assert_eq!(status, 200);
    assert_eq!(answer["data"][0]["ok"], false);
    assert!(answer["data"][0]["error"].as_str().unwrap().contains("h1"));
    let ca = site.authority.certificate().as_bytes();
    let stranger = Client::trusting(&storage.endpoint, ca).unwrap();
    assert!(stranger.request(Method::GET, LIST).send().await.is_err());
    let gateway = site.client(&storage, "gateway");
    let seen = |clusters: &'static str| {
        let request = gateway
            .request(Method::GET, LIST)
            .header("x-bcs-clusters", clusters);
        async { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(seen("BCS-MESOS-10001").await, 403);
    assert_eq!(seen("BCS-MESOS-10001,BCS-MESOS-10000").await, 200);
    storage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_select_page_and_project() {
    let site = Site::new();
    let storage = site.start().await;
    let (watcher, gateway) = (
        site.client(&storage, "mesos-watch"),
        site.client(&storage, "gateway"),
    );
    let objects = (0..5000).map(|index| {
        let labels = json!({"app.kubernetes.io/name": format!("app{}", index % 10)});
        let data = json!({"metadata": {"labels": labels}, "hostIP": "10.0.0.1", "n": index});
        operation("taskgroup", "n", &format!("t{index:04}"), data)
    });
    assert_eq!(batch(&watcher, objects.collect()).await.0, 200);
    let (_, all) = get(&gateway, LIST).await;
    assert_eq!(all["data"].as_array().unwrap().len(), 5000);
    assert_eq!(all["total"], 5000);
    assert!(all.get("continue").is_none());

    let mut paged = Vec::new();
    let mut token = String::new();
    loop {
        let (_, page) = get(&gateway, &format!("{LIST}?limit=999&continue={token}")).await;
        assert_eq!(
            (&page["total"], &page["resourceVersion"]),
            (&json!(5000), &all["resourceVersion"])
        );
        paged.extend(names(&page));
        match page.get("continue") {
            Some(next) => token = next.as_str().unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!(paged, names(&all));

    for (parameter, count) in [
        ("labelSelector=app.kubernetes.io%2Fname%3Dapp3", 500),
        (
            "labelSelector=app.kubernetes.io%2Fname%2Bin%2B(app3,app4)",
            1000,
        ),
        ("labelSelector=app.kubernetes.io/name+notin+(app3)", 4500),
        ("resourceName=t0001,t0002,none", 2),
        ("namespace=other", 0),
        // {"clusterId":"BCS-MESOS-10001"} and {"data.n":7}
        ("extra=eyJjbHVzdGVySWQiOiJCQ1MtTUVTT1MtMTAwMDEifQ==", 0),
        ("extra=eyJkYXRhLm4iOjd9", 1),
    ] {
        let (status, answer) = get(&gateway, &format!("{LIST}?{parameter}")).await;
        assert_eq!(
            (status, &answer["total"]),
            (200, &json!(count)),
            "{parameter}"
        );
    }
    for bad in [
        "labelSelector=a%20in%20b",
        "limit=x",
        "updateTimeBefore=soon",
        "nme=x",
    ] {
        let (status, answer) = get(&gateway, &format!("{LIST}?{bad}")).await;
        assert_eq!((status, &answer["result"]), (400, &json!(false)), "{bad}");
    }
    let (_, fields) = get(
        &gateway,
        &format!("{LIST}?field=resourceName,data.n&limit=1"),
    )
    .await;
    assert_eq!(
        fields["data"],
        json!([{"resourceName": "t0000", "data": {"n": 0}}])
    );

    let path = format!("{LIST}?field=resourceVersion,resourceName&resourceName=t0000");
    let (_, fields) = get(&gateway, &path).await;
    assert!(fields["data"][0]["resourceVersion"].is_string());
    assert!(fields["data"][0].get("data").is_none());
    let path = format!("{LIST}?field=data.n&watch=true&resourceName=t0000");
    let event = Lines::open(&gateway, &path).await.next().await.unwrap();
    assert!(event["object"]["resourceVersion"].is_string() && event["object"]["data"]["n"] == 0);

    let query = "/bcsstorage/v1/query/mesos/dynamic/clusters/BCS-MESOS-10000";
    let (_, typed) = get(
        &gateway,
        &format!("{query}/taskgroup?hostIp=10.0.0.1&name=t0007"),
    )
    .await;
    assert_eq!(names(&typed), ["t0007"]);
    let body = Some(json!({"name": "t0007,t0008", "limit": "1"}));
    let (_, typed) = call(&gateway, Method::POST, &format!("{query}/taskgroup"), body).await;
    assert_eq!(
        (&typed["total"], names(&typed)),
        (&json!(2), vec!["t0007".to_owned()])
    );
    assert_eq!(
        get(&gateway, &format!("{query}/namespace")).await.1["data"],
        json!(["n"])
    );
    assert_eq!(
        get(&gateway, &format!("{query}/taskgroup?nosuch=1"))
            .await
            .0,
        400
    );
    let custom = "/bcsstorage/v1/dynamic/customresources/taskgroup?resourceName=t0009&limit=5";
    let (_, custom) = get(&gateway, custom).await;
    assert_eq!(
        (&custom["pageSize"], &custom["total"]),
        (&json!(5), &json!(1))
    );
    assert_eq!(get(&gateway, "/bcsstorage/v1/events").await.0, 501);
    assert_eq!(get(&gateway, "/bcsstorage/v1/nosuch").await.0, 404);
    storage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_masked_unless_shown_by_right() {
    let site = Site::new();
    let storage = site.start().await;
    let (watcher, gateway) = (
        site.client(&storage, "mesos-watch"),
        site.client(&storage, "gateway"),
    );
    let secret = json!({"metadata": {"name": "db"}, "datas": {"dsn": {"content": "aHVzaA=="}}});
    batch(&watcher, vec![operation("secret", "n", "db", secret)]).await;
    let one = "/bcsstorage/v1/mesos/dynamic/namespace_resources/clusters/BCS-MESOS-10000/namespaces/n/secret";
    for path in [
        format!("{one}/db"),
        one.to_owned(),
        format!("{one}?field=data.datas"),
        "/bcsstorage/v1/dynamic/customresources/secret".to_owned(),
        "/bcsstorage/v1/query/mesos/dynamic/clusters/BCS-MESOS-10000/secret".to_owned(),
    ] {
        let (status, answer) = get(&gateway, &path).await;
        assert_eq!(status, 200);
        let text = answer.to_string();
        assert!(
            text.contains("***") && !text.contains("aHVzaA"),
            "{path}: {text}"
        );
    }
    let probe = format!("{one}?data.datas.dsn.content=aHVzaA%3D%3D");
    assert_eq!(get(&gateway, &probe).await.0, 403);
    let shown = gateway
        .request(Method::GET, &format!("{one}/db"))
        .header("x-bcs-secrets", "show")
        .send()
        .await
        .unwrap();
    assert!(shown.text().await.unwrap().contains("aHVzaA=="));
    storage.stop().await;
}

/// A watch, line by line.
struct Lines {
    response: reqwest::Response,
    buffer: Vec<u8>,
}

impl Lines {
    async fn open(client: &Client, path: &str) -> Self {
        let response = client
            .stream_request(Method::GET, path)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        Self {
            response,
            buffer: Vec::new(),
        }
    }

    /// The next event; `None` is the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.response.chunk());
            match chunk.await.expect("an event in time").unwrap() {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => return None,
            }
        }
    }

    /// The next event that is no bookmark, as (type, name, n).
    async fn change(&mut self) -> (String, String, Value) {
        loop {
            let event = self.next().await.expect("a change");
            let kind = event["type"].as_str().unwrap().to_owned();
            if kind != "BOOKMARK" {
                let name = event["object"]["resourceName"].as_str().unwrap_or_default();
                return (kind, name.to_owned(), event["object"]["data"]["n"].clone());
            }
        }
    }
}

fn change(kind: &str, name: &str, n: u64) -> (String, String, Value) {
    (kind.to_owned(), name.to_owned(), json!(n))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_resumes_after_a_restart_with_exactly_what_it_missed() {
    let site = Site::new();
    let storage = site.start().await;
    let (watcher, gateway) = (
        site.client(&storage, "mesos-watch"),
        site.client(&storage, "gateway"),
    );
    put(&watcher, "a", json!({"n": 1})).await;
    let mut watch = Lines::open(&gateway, &format!("{LIST}?watch=true")).await;
    assert_eq!(watch.change().await, change("ADDED", "a", 1));
    let bookmark = watch.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    let seen: u64 = bookmark["object"]["resourceVersion"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    put(&watcher, "b", json!({"n": 2})).await;
    assert_eq!(watch.change().await, change("ADDED", "b", 2));
    put(&watcher, "a", json!({"n": 3})).await;
    put(&watcher, "a", json!({"n": 3})).await;
    batch(
        &watcher,
        vec![operation("taskgroup", "n", "b", Value::Null)],
    )
    .await;
    assert_eq!(watch.change().await, change("MODIFIED", "a", 3));
    storage.stop().await;
    // The stream ends in order, with a position.
    let mut last = None;
    while let Some(event) = watch.next().await {
        last = Some(event);
    }
    assert_eq!(last.unwrap()["type"], "BOOKMARK");

    let storage = site.start().await;
    let (watcher, gateway) = (
        site.client(&storage, "mesos-watch"),
        site.client(&storage, "gateway"),
    );
    let path = format!("{LIST}?watch=true&resourceVersion={seen}");
    let mut watch = Lines::open(&gateway, &path).await;
    put(&watcher, "c", json!({"n": 4})).await;
    for expected in [
        change("ADDED", "b", 2),
        change("MODIFIED", "a", 3),
        change("DELETED", "b", 2),
        change("ADDED", "c", 4),
    ] {
        assert_eq!(watch.change().await, expected);
    }
    assert_eq!(
        get(
            &gateway,
            &format!("{LIST}?watch=true&resourceVersion=999999")
        )
        .await
        .0,
        410
    );
    storage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_told_to_list_again_and_blocks_nobody() {
    let site = Site::new();
    let storage = site
        .start_with(|settings| settings.watch_backlog = 50)
        .await;
    let (watcher, gateway) = (
        site.client(&storage, "mesos-watch"),
        site.client(&storage, "gateway"),
    );
    put(&watcher, "a", json!({"n": 0})).await;
    let mut watch = Lines::open(&gateway, &format!("{LIST}?watch=true")).await;
    // Much more than all buffers between the two hold, while nobody reads.
    let padding = "x".repeat(100_000);
    let started = std::time::Instant::now();
    for index in 1..200 {
        put(&watcher, "a", json!({"n": index, "padding": padding})).await;
    }
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "writers must not wait for readers"
    );
    let mut last = Value::Null;
    while let Some(event) = watch.next().await {
        last = event;
    }
    assert_eq!(
        (&last["type"], &last["object"]["code"]),
        (&json!("ERROR"), &json!(410)),
        "{last}"
    );
    storage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_position_is_gone_and_quiet_watches_carry_bookmarks() {
    let site = Site::new();
    let storage = site
        .start_with(|settings| {
            settings.keep_changes = 10;
            settings.bookmark_seconds = 1;
        })
        .await;
    let (watcher, gateway) = (
        site.client(&storage, "mesos-watch"),
        site.client(&storage, "gateway"),
    );
    for index in 0..100 {
        put(&watcher, "a", json!({"n": index})).await;
    }
    let (status, answer) = get(&gateway, &format!("{LIST}?watch=true&resourceVersion=1")).await;
    assert_eq!((status, &answer["result"]), (410, &json!(false)));
    let mut watch = Lines::open(&gateway, &format!("{LIST}?watch=true&resourceVersion=100")).await;
    assert_eq!(
        watch.next().await.unwrap(),
        json!({"type": "BOOKMARK", "object": {"resourceVersion": "100"}})
    );
    storage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_legacy_watch_counts_and_compares() {
    let site = Site::new();
    let storage = site.start().await;
    let (watcher, gateway) = (
        site.client(&storage, "mesos-watch"),
        site.client(&storage, "gateway"),
    );
    put(&watcher, "old", json!({"status": "Running"})).await;
    let path = "/bcsstorage/v1/dynamic/watch/BCS-MESOS-10000/taskgroup";
    let options = json!({"maxEvents": 3, "mustDiff": "status"});
    let response = gateway
        .stream_request(Method::POST, path)
        .json(&options)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    put(&watcher, "a", json!({"status": "Staging", "n": 1})).await;
    put(&watcher, "a", json!({"status": "Staging", "n": 2})).await;
    put(&watcher, "a", json!({"status": "Running", "n": 3})).await;
    batch(
        &watcher,
        vec![operation("taskgroup", "n", "a", Value::Null)],
    )
    .await;
    let text = tokio::time::timeout(Duration::from_secs(20), response.text())
        .await
        .unwrap()
        .unwrap();
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let types: Vec<i64> = events
        .iter()
        .map(|event| event["type"].as_i64().unwrap())
        .collect();
    assert_eq!(types, [1, 3, 2, -1]);
    assert_eq!(events[1]["value"]["data"]["n"], 3);
    storage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digests_tell_content_and_bodies_are_bounded() {
    let site = Site::new();
    let storage = site.start().await;
    let watcher = site.client(&storage, "mesos-watch");
    put(&watcher, "a", json!({"n": 1})).await;
    let path = format!("/bcsstorage/v2/digests/clusters/{CLUSTER}/taskgroup");
    let (_, answer) = get(&watcher, &path).await;
    let expected = bcs_store::content_digest(r#"{"n":1}"#);
    assert_eq!(
        answer["data"]["items"],
        json!([{"namespace": "n", "name": "a", "digest": expected}])
    );
    let large = json!({"x": "y".repeat(9 << 20)});
    let body = json!({"operations": [operation("taskgroup", "n", "big", large)]});
    let refused = watcher
        .request(Method::POST, "/bcsstorage/v2/batch")
        .json(&body)
        .send()
        .await;
    assert!(refused.is_err() || refused.unwrap().status() == 413);
    // The refusal may have cost the connection.
    let watcher = site.client(&storage, "mesos-watch");
    let (status, answer) = call(
        &watcher,
        Method::POST,
        "/bcsstorage/v2/batch",
        Some(json!({"ops": []})),
    )
    .await;
    assert_eq!((status, &answer["code"]), (400, &json!(1_405_080)));
    storage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_storage_on_the_same_files_is_refused() {
    let site = Site::new();
    let storage = site.start().await;
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = Settings::new(site.folder.path().join("data"));
    settings.listen = Listen::Bound(Arc::new(socket));
    let error = bcs_storage::run(settings, Context::new(Shutdown::new()))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    assert!(Path::new(&site.folder.path().join("data/storage.db")).exists());
    storage.stop().await;
}
