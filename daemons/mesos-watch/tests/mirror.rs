//! mesos-watch between a scheduler that the test plays and the real storage, over mutual TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use bcs_httpd::pki::Authority;
use bcs_httpd::{Client, ClientAuth, Limits, Listen, Listener, TlsFiles, serve};
use bcs_kit::{Context, Shutdown};
use futures_util::stream;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

const CLUSTER: &str = "BCS-MESOS-10000";

/// The scheduler's side of the stream: current objects, a log of changes, a revision.
#[derive(Default)]
struct Records {
    objects: BTreeMap<(String, String), Value>,
    log: Vec<(u64, String)>,
    oldest: u64,
    revision: u64,
}

#[derive(Clone)]
struct FakeScheduler {
    records: Arc<Mutex<Records>>,
    changed: watch::Sender<u64>,
    /// Streams end when it changes.
    cut: watch::Sender<u64>,
}

fn line(revision: u64, verb: &str, kind: &str, name: &str, object: &Value) -> String {
    let record = json!({
        "revision": revision, "type": verb, "kind": kind, "namespace": "n", "name": name,
        "object": object,
    });
    format!("{record}\n")
}

impl FakeScheduler {
    fn new() -> Self {
        let (changed, _) = watch::channel(0);
        let (cut, _) = watch::channel(0);
        Self {
            records: Arc::default(),
            changed,
            cut,
        }
    }

    fn put(&self, kind: &str, name: &str, object: Value) {
        self.record("PUT", kind, name, object);
    }

    fn delete(&self, kind: &str, name: &str) {
        self.record("DELETE", kind, name, Value::Null);
    }

    fn record(&self, verb: &str, kind: &str, name: &str, object: Value) {
        let mut records = self.records.lock().unwrap();
        records.revision += 1;
        let revision = records.revision;
        let text = line(revision, verb, kind, name, &object);
        records.log.push((revision, text));
        let key = (kind.to_owned(), name.to_owned());
        if verb == "PUT" {
            records.objects.insert(key, object);
        } else {
            records.objects.remove(&key);
        }
        self.changed.send_replace(revision);
    }

    /// Forgets the log, as a compaction or a restore does, and ends the streams.
    fn compact(&self) {
        let mut records = self.records.lock().unwrap();
        records.log.clear();
        records.revision += 10;
        records.oldest = records.revision;
        self.cut.send_modify(|cut| *cut += 1);
    }

    fn cut(&self) {
        self.cut.send_modify(|cut| *cut += 1);
    }
}

async fn watch_route(
    State(scheduler): State<FakeScheduler>,
    Query(parameters): Query<BTreeMap<String, u64>>,
) -> Response {
    let from = parameters.get("from").copied().unwrap_or(0);
    let (head, position) = {
        let records = scheduler.records.lock().unwrap();
        if from > 0 && (from < records.oldest || from > records.revision) {
            return StatusCode::GONE.into_response();
        }
        let mut head = String::new();
        if from == 0 {
            for ((kind, name), object) in &records.objects {
                head.push_str(&line(records.revision, "PUT", kind, name, object));
            }
            head.push_str(&line(records.revision, "SYNCED", "", "", &Value::Null));
        }
        (head, if from == 0 { records.revision } else { from })
    };
    let (changed, mut cut) = (scheduler.changed.subscribe(), scheduler.cut.subscribe());
    cut.mark_unchanged();
    let state = (scheduler, changed, cut, position, head);
    let lines = stream::unfold(
        state,
        |(scheduler, mut changed, mut cut, position, head)| async move {
            if !head.is_empty() {
                let next = (scheduler, changed, cut, position, String::new());
                return Some((Ok::<_, Infallible>(head), next));
            }
            tokio::select! {
                _ = cut.changed() => return None,
                _ = changed.wait_for(|revision| *revision > position) => {}
            }
            let (text, position) = {
                let records = scheduler.records.lock().unwrap();
                let fresh: Vec<String> = records
                    .log
                    .iter()
                    .filter(|(revision, _)| *revision > position)
                    .map(|(_, text)| text.clone())
                    .collect();
                (fresh.concat(), records.revision)
            };
            Some((Ok(text), (scheduler, changed, cut, position, String::new())))
        },
    );
    Body::from_stream(lines).into_response()
}

struct Site {
    folder: tempfile::TempDir,
    authority: Authority,
    scheduler: FakeScheduler,
    scheduler_socket: Arc<std::net::TcpListener>,
    storage_socket: Arc<std::net::TcpListener>,
    context: Context,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(&folder.path().join("ca"), "test").unwrap();
        let socket = || Arc::new(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let site = Self {
            folder,
            authority,
            scheduler: FakeScheduler::new(),
            scheduler_socket: socket(),
            storage_socket: socket(),
            context: Context::new(Shutdown::new()),
        };
        let router = axum::Router::new()
            .route("/v1/watch", axum::routing::get(watch_route))
            .with_state(site.scheduler.clone());
        let tls = site
            .files("scheduler")
            .server(ClientAuth::Required)
            .unwrap();
        let listener = Listener::bind(&Listen::Bound(site.scheduler_socket.clone()))
            .await
            .unwrap();
        let shutdown = site.context.shutdown.clone();
        site.context.tasks.spawn("scheduler", async move {
            serve(listener, router, Some(tls), Limits::default(), shutdown).await;
        });
        site
    }

    fn files(&self, role: &str) -> TlsFiles {
        let folder = self.folder.path().join("tls");
        self.authority
            .issue(&folder, role, "h1", &["127.0.0.1".to_owned()])
            .unwrap()
    }

    async fn start_storage(&self) -> Context {
        let mut settings = bcs_storage::Settings::new(self.folder.path().join("data"));
        settings.listen = Listen::Bound(self.storage_socket.clone());
        settings.tls = Some(self.files("storage"));
        let context = Context::new(Shutdown::new());
        let own = context.clone();
        context
            .tasks
            .spawn_essential("storage", bcs_storage::run(settings, own));
        tokio::time::timeout(Duration::from_secs(20), context.ready.wait())
            .await
            .unwrap();
        context
    }

    fn start_watch(&self, check_seconds: u64) -> Context {
        let endpoint = |socket: &std::net::TcpListener| {
            format!("https://{}", socket.local_addr().unwrap())
                .parse()
                .unwrap()
        };
        let mut settings = bcs_mesos_watch::Settings::new(
            endpoint(&self.scheduler_socket),
            endpoint(&self.storage_socket),
        );
        settings.tls = Some(self.files("mesos-watch"));
        settings.check_seconds = check_seconds;
        let context = Context::new(self.context.shutdown.child());
        let own = context.clone();
        context
            .tasks
            .spawn_essential("mesos-watch", bcs_mesos_watch::run(settings, own));
        context
    }

    fn storage_client(&self, role: &str) -> Client {
        let address = self.storage_socket.local_addr().unwrap();
        let endpoint = format!("https://{address}").parse().unwrap();
        Client::new(&endpoint, Some(&self.files(role))).unwrap()
    }

    async fn stored(&self, client: &Client, kind: &str) -> BTreeMap<String, Value> {
        let path = format!("/bcsstorage/v1/mesos/dynamic/all_resources/clusters/{CLUSTER}/{kind}");
        let Ok(response) = client.request(Method::GET, &path).send().await else {
            return BTreeMap::new();
        };
        let answer: Value = response.json().await.unwrap();
        let item = |item: &Value| {
            (
                item["resourceName"].as_str().unwrap().to_owned(),
                item["data"].clone(),
            )
        };
        answer["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(item)
            .collect()
    }

    /// Waits until storage holds exactly these configmaps; returns how long it took.
    async fn settles(&self, expected: &[(&str, u64)]) -> Duration {
        let client = self.storage_client("gateway");
        let expected: BTreeMap<String, Value> = expected
            .iter()
            .map(|(name, n)| ((*name).to_owned(), json!({"n": n})))
            .collect();
        let started = Instant::now();
        loop {
            let found = self.stored(&client, "configmap").await;
            if found == expected {
                return started.elapsed();
            }
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "found {found:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn stop(context: Context) {
    context.shutdown.cancel();
    assert!(
        context
            .tasks
            .drain(Duration::from_secs(20))
            .await
            .is_empty()
    );
    assert_eq!(context.tasks.failure(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_appear_within_a_second_in_the_storage_shape() {
    let site = Site::new().await;
    site.scheduler.put("configmap", "a", json!({"n": 1}));
    let storage = site.start_storage().await;
    let watch = site.start_watch(300);
    site.settles(&[("a", 1)]).await;
    let group = json!({
        "ID": "0.web.n.BCS-MESOS-10000.1", "RunAs": "n", "Kind": "process", "Status": "Running",
        "ReschededTimes": 1,
        "Taskgroup": [{"Name": "p", "Status": "Running", "StatusData": "{\"Pid\":77}"}],
    });
    site.scheduler
        .put("taskgroup", "0.web.n.BCS-MESOS-10000.1", group);
    site.scheduler.put("configmap", "b", json!({"n": 2}));
    let taken = site.settles(&[("a", 1), ("b", 2)]).await;
    assert!(taken < Duration::from_secs(1), "{taken:?}");
    let client = site.storage_client("gateway");
    let groups = site.stored(&client, "taskgroup").await;
    let status = &groups["0.web.n.BCS-MESOS-10000.1"]["containerStatuses"][0];
    assert_eq!(
        (&status["pid"], &status["restartCount"]),
        (&json!(77), &json!(1))
    );
    site.scheduler.delete("configmap", "a");
    site.settles(&[("b", 2)]).await;
    stop(watch).await;
    stop(storage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_from_before_the_start_is_repaired() {
    let site = Site::new().await;
    let storage = site.start_storage().await;
    let operation = |name: &str, n: u64| {
        json!({"op": "put", "clusterId": CLUSTER, "namespace": "n", "resourceType": "configmap",
               "resourceName": name, "data": {"n": n}})
    };
    let body =
        json!({"operations": [operation("same", 1), operation("stale", 1), operation("gone", 1)]});
    let client = site.storage_client("mesos-watch");
    client
        .request(Method::POST, "/bcsstorage/v2/batch")
        .json(&body)
        .send()
        .await
        .unwrap();
    for (name, n) in [("same", 1), ("stale", 2), ("new", 3)] {
        site.scheduler.put("configmap", name, json!({"n": n}));
    }
    let watch = site.start_watch(300);
    site.settles(&[("same", 1), ("stale", 2), ("new", 3)]).await;
    stop(watch).await;
    stop(storage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_peer_may_go_and_come_back() {
    let site = Site::new().await;
    site.scheduler.put("configmap", "a", json!({"n": 1}));
    // Storage is not there yet.
    let watch = site.start_watch(300);
    let storage = site.start_storage().await;
    site.settles(&[("a", 1)]).await;
    stop(storage).await;
    for n in 2..50 {
        site.scheduler.put("configmap", "a", json!({"n": n}));
        site.scheduler
            .put("configmap", &format!("x{n}"), json!({"n": n}));
        site.scheduler.delete("configmap", &format!("x{n}"));
    }
    let storage = site.start_storage().await;
    site.settles(&[("a", 49)]).await;
    // The stream breaks, and goes on from where it was.
    site.scheduler.cut();
    site.scheduler.put("configmap", "b", json!({"n": 1}));
    site.settles(&[("a", 49), ("b", 1)]).await;
    // The position is too old: everything is compared anew.
    site.scheduler.delete("configmap", "a");
    site.scheduler.compact();
    site.settles(&[("b", 1)]).await;
    site.scheduler.put("configmap", "c", json!({"n": 5}));
    site.settles(&[("b", 1), ("c", 5)]).await;
    stop(watch).await;
    stop(storage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_while_running_is_found_and_repaired() {
    let site = Site::new().await;
    site.scheduler.put("configmap", "a", json!({"n": 1}));
    let storage = site.start_storage().await;
    let watch = site.start_watch(1);
    site.settles(&[("a", 1)]).await;
    let body = json!({"operations": [
        {"op": "delete", "clusterId": CLUSTER, "namespace": "n", "resourceType": "configmap", "resourceName": "a"},
        {"op": "put", "clusterId": CLUSTER, "namespace": "n", "resourceType": "configmap", "resourceName": "z", "data": {"n": 9}},
    ]});
    let client = site.storage_client("mesos-watch");
    client
        .request(Method::POST, "/bcsstorage/v2/batch")
        .json(&body)
        .send()
        .await
        .unwrap();
    site.settles(&[("a", 1)]).await;
    stop(watch).await;
    stop(storage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_and_a_trickle_arrive_in_time_and_in_order() {
    let site = Site::new().await;
    let storage = site.start_storage().await;
    let watch = site.start_watch(300);
    site.scheduler.put("configmap", "n0000", json!({"n": 0}));
    site.settles(&[("n0000", 0)]).await;
    let client = site.storage_client("gateway");
    let path = format!(
        "/bcsstorage/v1/mesos/dynamic/all_resources/clusters/{CLUSTER}/configmap?watch=true"
    );
    let mut response = client
        .stream_request(Method::GET, &path)
        .send()
        .await
        .unwrap();
    let mut buffer = Vec::new();
    let mut seen = 0;
    let mut taken = Vec::new();
    for n in 1..=300_u64 {
        let started = Instant::now();
        site.scheduler.put("configmap", "n0000", json!({"n": n}));
        // Until the change comes out at the other end.
        while seen != n {
            let chunk = tokio::time::timeout(Duration::from_secs(20), response.chunk());
            buffer.extend_from_slice(&chunk.await.unwrap().unwrap().unwrap());
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line).unwrap();
                if let Some(n) = event["object"]["data"]["n"].as_u64() {
                    assert!(n >= seen, "order is kept");
                    seen = n;
                }
            }
        }
        taken.push(started.elapsed());
    }
    taken.sort_unstable();
    eprintln!(
        "commit to visible: p50 {:?}, p99 {:?}",
        taken[150], taken[297]
    );
    assert!(taken[297] < Duration::from_secs(1), "{:?}", taken[297]);

    let started = Instant::now();
    for n in 1..=2000_u64 {
        site.scheduler
            .put("configmap", &format!("n{n:04}"), json!({"n": n}));
    }
    let names: Vec<String> = (0..=2000).map(|n| format!("n{n:04}")).collect();
    let mut expected: Vec<(&str, u64)> = names
        .iter()
        .zip(0..)
        .map(|(name, n)| (name.as_str(), n))
        .collect();
    expected[0].1 = 300;
    site.settles(&expected).await;
    eprintln!("2000 objects settled in {:?}", started.elapsed());
    drop(response);
    stop(watch).await;
    stop(storage).await;
}
