//! The whole role over HTTP against a scripted master on loopback.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bcs_httpd::{Client, Endpoint, Limits, Listen, Listener, serve};
use bcs_kit::{Context, Shutdown};
use bcs_mesos::recordio::encode as frame;
use bcs_mesos::scheduler::call::Type as CallType;
use bcs_mesos::scheduler::{Call, Event, event};
use bcs_mesos::{
    AgentId, AllocationInfo, ContentType, ExecutorId, FrameworkId, Offer, OfferId, Resources,
    TaskId, TaskState, TaskStatus, WireName as _,
};
use bcs_store::Coordination;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::versions::process;
use crate::settings::{Encoding, Settings};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Script {
    stream: Option<mpsc::Sender<Bytes>>,
    encoding: ContentType,
    calls: Vec<(Call, Instant)>,
    subscriptions: u32,
    redirect: Option<String>,
    /// Task id to executor id of what runs.
    running: BTreeMap<String, String>,
    next: u64,
    /// Offers are made by the test, not by themselves.
    quiet: bool,
}

/// A master whose only agent has plenty and starts everything at once.
#[derive(Clone)]
struct Master {
    script: Arc<Mutex<Script>>,
    endpoint: Endpoint,
    _context: Context,
    changed: Arc<tokio::sync::watch::Sender<u64>>,
}

impl Master {
    async fn start() -> Self {
        let context = Context::new(Shutdown::new());
        let listener = Listener::bind(&Listen::Tcp("127.0.0.1:0".to_owned()))
            .await
            .unwrap();
        let address = listener.local_address().unwrap();
        let master = Self {
            script: Arc::default(),
            endpoint: Endpoint::Url(format!("http://{address}")),
            _context: context.clone(),
            changed: Arc::new(tokio::sync::watch::Sender::new(0)),
        };
        let router = Router::new()
            .route("/api/v1/scheduler", post(scheduler_api))
            .route("/api/v1", post(operator_api))
            .with_state(master.clone());
        let served = serve(
            listener,
            router,
            None,
            Limits::default(),
            context.shutdown.clone(),
        );
        context.tasks.spawn("master", served);
        master
    }

    fn with<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        let result = change(&mut self.script.lock().unwrap());
        self.changed.send_modify(|count| *count += 1);
        result
    }

    fn send(&self, event: &Event) {
        self.with(|script| {
            let record = bcs_mesos::encode(event, script.encoding).unwrap();
            if let Some(stream) = &script.stream {
                stream.try_send(frame(&record)).unwrap();
            }
        });
    }

    fn offer(&self) {
        let id = self.with(|script| {
            script.next += 1;
            format!("offer-{}", script.next)
        });
        let resources = Resources::new()
            .with_scalar("cpus", 400.0)
            .with_scalar("mem", 400_000.0)
            .with_scalar("disk", 400_000.0)
            .with_ranges("ports", &[(31_000, 32_000)]);
        let offer = Offer {
            id: OfferId { value: id },
            framework_id: FrameworkId {
                value: "F-1".to_owned(),
            },
            agent_id: AgentId {
                value: "agent-1".to_owned(),
            },
            hostname: "host-1".to_owned(),
            resources: resources.to_wire(Some("*")),
            allocation_info: Some(AllocationInfo {
                role: Some("*".to_owned()),
            }),
            ..Offer::default()
        };
        self.send(&Event {
            r#type: Some(event::Type::Offers.number()),
            offers: Some(event::Offers {
                offers: vec![offer],
            }),
            ..Event::default()
        });
    }

    fn update(&self, task: &str, state: TaskState, uuid: Option<u64>) {
        let executor = task_executor(task);
        let status = TaskStatus {
            task_id: TaskId {
                value: task.to_owned(),
            },
            state: state.number(),
            agent_id: Some(AgentId {
                value: "agent-1".to_owned(),
            }),
            executor_id: Some(ExecutorId { value: executor }),
            uuid: uuid.map(|uuid| uuid.to_be_bytes().repeat(2).into()),
            ..TaskStatus::default()
        };
        self.send(&Event {
            r#type: Some(event::Type::Update.number()),
            update: Some(event::Update { status }),
            ..Event::default()
        });
    }

    fn fresh(&self) -> u64 {
        self.with(|script| {
            script.next += 1;
            script.next
        })
    }

    /// Ends the stream, as a master that dies does.
    fn cut(&self) {
        self.with(|script| script.stream = None);
    }

    /// Waits until the script looks as wanted.
    async fn until<T>(&self, what: &str, mut look: impl FnMut(&Script) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        let waiting = async {
            loop {
                changed.borrow_and_update();
                let found = look(&self.script.lock().unwrap());
                if let Some(found) = found {
                    return found;
                }
                changed.changed().await.unwrap();
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("in vain: {what}"))
    }

    fn calls(&self, kind: CallType) -> Vec<Call> {
        let script = self.script.lock().unwrap();
        script
            .calls
            .iter()
            .filter(|(call, _)| call.r#type == Some(kind.number()))
            .map(|(call, _)| call.clone())
            .collect()
    }

    /// Handles a call other than SUBSCRIBE.
    fn handle(&self, call: &Call) {
        self.with(|script| script.calls.push((call.clone(), Instant::now())));
        match CallType::try_from(call.r#type.unwrap()).unwrap() {
            CallType::Accept => {
                for operation in &call.accept.as_ref().unwrap().operations {
                    let launch = operation.launch_group.as_ref().unwrap();
                    for task in &launch.task_group.tasks {
                        let (id, executor) = (
                            task.task_id.value.clone(),
                            launch.executor.executor_id.value.clone(),
                        );
                        self.with(|script| script.running.insert(id.clone(), executor));
                        let uuid = self.fresh();
                        self.update(&id, TaskState::Running, Some(uuid));
                    }
                }
                if !self.with(|script| script.quiet) {
                    self.offer();
                }
            }
            CallType::Shutdown => {
                let executor = &call.shutdown.as_ref().unwrap().executor_id.value;
                let task = self.with(|script| {
                    let task = script.running.iter().find(|(_, of)| *of == executor);
                    let task = task.map(|(task, _)| task.clone());
                    task.inspect(|task| drop(script.running.remove(task)))
                });
                if let Some(task) = task {
                    let uuid = self.fresh();
                    self.update(&task, TaskState::Killed, Some(uuid));
                }
            }
            CallType::Reconcile => {
                for task in &call.reconcile.as_ref().unwrap().tasks {
                    let id = &task.task_id.value;
                    let runs = self.with(|script| script.running.contains_key(id));
                    self.update(
                        id,
                        if runs {
                            TaskState::Running
                        } else {
                            TaskState::Gone
                        },
                        None,
                    );
                }
            }
            _ => {}
        }
    }
}

fn task_executor(task: &str) -> String {
    task.parse::<bcs_model::ids::TaskId>()
        .unwrap()
        .group
        .to_string()
}

async fn scheduler_api(State(master): State<Master>, headers: HeaderMap, body: Bytes) -> Response {
    let encoding = ContentType::parse(headers["content-type"].to_str().unwrap()).unwrap();
    let call: Call = bcs_mesos::decode(&body, encoding).unwrap();
    if let Some(location) = master.with(|script| script.redirect.clone()) {
        return (StatusCode::TEMPORARY_REDIRECT, [("Location", location)]).into_response();
    }
    if call.r#type != Some(CallType::Subscribe.number()) {
        let number = master.with(|script| script.subscriptions);
        if headers
            .get("mesos-stream-id")
            .and_then(|id| id.to_str().ok())
            != Some(&format!("stream-{number}"))
        {
            return (StatusCode::BAD_REQUEST, "stale stream").into_response();
        }
        master.handle(&call);
        return StatusCode::ACCEPTED.into_response();
    }
    assert!(!headers.contains_key("mesos-stream-id"));
    let (sender, receiver) = mpsc::channel(10_000);
    let number = master.with(|script| {
        script.stream = Some(sender);
        script.encoding = encoding;
        script.subscriptions += 1;
        script.calls.push((call, Instant::now()));
        script.subscriptions
    });
    master.send(&Event {
        r#type: Some(event::Type::Subscribed.number()),
        subscribed: Some(event::Subscribed {
            framework_id: FrameworkId {
                value: "F-1".to_owned(),
            },
            heartbeat_interval_seconds: Some(15.0),
            master_info: None,
        }),
        ..Event::default()
    });
    if !master.with(|script| script.quiet) {
        master.offer();
    }
    let lines = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let line = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(line), receiver))
    });
    let id = [("Mesos-Stream-Id", format!("stream-{number}"))];
    (id, Body::from_stream(lines)).into_response()
}

async fn operator_api() -> axum::Json<Value> {
    axum::Json(json!({"type": "GET_AGENTS", "get_agents": {"agents": [{
        "agent_info": {"id": {"value": "agent-1"}, "hostname": "host-1", "port": 5051},
        "active": true, "pid": "slave(1)@127.0.0.1:5051",
        "total_resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 400.0}},
                            {"name": "mem", "type": "SCALAR", "scalar": {"value": 400000.0}}]}]}}))
}

/// A running scheduler.
struct Role {
    api: Client,
    shutdown: Shutdown,
    ended: tokio::sync::oneshot::Receiver<Result<(), bcs_kit::RunError>>,
}

fn settings(master: &Master, directory: &Path, encoding: Encoding) -> Settings {
    Settings {
        masters: vec![master.endpoint.clone()],
        data_dir: directory.to_owned(),
        encoding,
        reconnect: Duration::from_millis(5),
        ..Settings::default()
    }
}

async fn start(mut settings: Settings, store: Option<Arc<dyn Coordination>>) -> Role {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint::Url(format!("http://{}", socket.local_addr().unwrap()));
    settings.listen = Listen::Bound(Arc::new(socket));
    let shutdown = Shutdown::new();
    let context = Context::new(shutdown.clone());
    let (sender, ended) = tokio::sync::oneshot::channel();
    let (role, ready) = (context.clone(), context.ready.clone());
    // Outside of the role's own tasks: a role that fails is what some tests want to see.
    let outer = bcs_kit::Tasks::new(Shutdown::new());
    outer.spawn("role", async move {
        let result = match store {
            Some(store) => crate::run::run_on(settings, role, store).await,
            None => crate::run(settings, role).await,
        };
        drop(sender.send(result));
    });
    tokio::time::timeout(PATIENCE, ready.wait())
        .await
        .expect("ready");
    Role {
        api: Client::new(&endpoint, None).unwrap(),
        shutdown,
        ended,
    }
}

impl Role {
    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.ended)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.api.request(method, &format!("/v1{path}"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap())
    }

    async fn create(&self, app: &str, instances: i64) {
        let version = serde_json::to_value(process(app, instances)).unwrap();
        let (status, answer) = self.call(Method::POST, "/apps", Some(version)).await;
        assert_eq!((status, &answer["result"]), (200, &json!(true)), "{answer}");
    }

    /// Follows the feed until `look` is content with everything seen so far.
    async fn watch<T>(&self, from: u64, mut look: impl FnMut(&Value) -> Option<T>) -> T {
        let request = self
            .api
            .stream_request(Method::GET, &format!("/v1/watch?from={from}"));
        let mut stream = request.send().await.unwrap().bytes_stream();
        let mut text = Vec::new();
        let reading = async {
            loop {
                text.extend_from_slice(&stream.next().await.expect("the stream goes on").unwrap());
                while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = text.drain(..=end).collect();
                    if let Some(found) = look(&serde_json::from_slice(&line).unwrap()) {
                        return found;
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("seen in the feed")
    }

    async fn wait_running(&self, app: &str) -> Value {
        self.watch(0, |record| {
            let is = record["kind"] == "application"
                && record["name"] == app
                && record["object"]["Status"] == "Running";
            is.then(|| record["object"].clone())
        })
        .await
    }
}

async fn launch_break_and_heal(encoding: Encoding) {
    let master = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let role = start(settings(&master, directory.path(), encoding), None).await;
    role.create("web", 3).await;
    let app = role.wait_running("web").await;
    assert_eq!(app["RunningInstances"], 3);
    let subscribe = &master.calls(CallType::Subscribe)[0];
    let info = &subscribe.subscribe.as_ref().unwrap().framework_info;
    assert_eq!((info.checkpoint, info.id.clone()), (Some(true), None));
    assert_eq!(info.capabilities.len(), 3);
    let victim = master.with(|script| script.running.keys().next().cloned().unwrap());
    master.with(|script| script.running.remove(&victim));
    master.update(&victim, TaskState::Failed, Some(77));
    let uuid: Bytes = 77u64.to_be_bytes().repeat(2).into();
    master
        .until("the relaunch", |script| {
            (script.running.len() == 3).then_some(())
        })
        .await;
    master
        .until("the acknowledgement", |script| {
            script
                .calls
                .iter()
                .any(|(call, _)| {
                    call.acknowledge
                        .as_ref()
                        .is_some_and(|ack| ack.uuid == uuid)
                })
                .then_some(())
        })
        .await;
    let id = role
        .watch(0, |record| {
            let again = record["kind"] == "taskgroup" && record["object"]["ReschededTimes"] == 1;
            again.then(|| record["name"].as_str().unwrap().to_owned())
        })
        .await;
    let (_, answer) = role
        .call(Method::GET, &format!("/taskgroups/{id}/location"), None)
        .await;
    assert_eq!(answer["data"]["agent"]["endpoint"], "http://127.0.0.1:5051");
    assert_eq!(answer["data"]["executorId"], id.as_str());
    assert_eq!(answer["data"]["tasks"][0]["name"], "svc");
    let (status, _) = role
        .call(Method::DELETE, "/apps/arcade/web?kind=application", None)
        .await;
    assert_eq!(status, 404, "it is a process");
    let (status, _) = role
        .call(Method::DELETE, "/apps/arcade/web?kind=process", None)
        .await;
    assert_eq!(status, 200);
    master
        .until("the end of all", |script| {
            script.running.is_empty().then_some(())
        })
        .await;
    role.stop().await;
}

#[tokio::test]
async fn launch_break_and_heal_in_json() {
    launch_break_and_heal(Encoding::Json).await;
}

#[tokio::test]
async fn launch_break_and_heal_in_protobuf() {
    launch_break_and_heal(Encoding::Protobuf).await;
}

#[tokio::test]
async fn a_restarted_scheduler_keeps_its_framework_and_asks_for_its_tasks() {
    let master = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&master, directory.path(), Encoding::Json);
    let role = start(settings.clone(), None).await;
    role.create("web", 2).await;
    role.wait_running("web").await;
    let before = master.with(|script| script.running.clone());
    role.stop().await;
    // While nobody looks, one task ends and something else appears.
    let gone = before.keys().next().cloned().unwrap();
    master.with(|script| script.running.remove(&gone));
    let ghost = "9.0.0.ghost.arcade.BCS-MESOS-10000".to_owned();
    master.with(|script| script.running.insert(ghost.clone(), task_executor(&ghost)));
    let role = start(settings, None).await;
    let again = master
        .until("the second subscription", |script| {
            let mut subscribes = script
                .calls
                .iter()
                .filter(|(call, _)| call.subscribe.is_some());
            subscribes.nth(1).map(|(call, _)| call.clone())
        })
        .await;
    let id = Some(FrameworkId {
        value: "F-1".to_owned(),
    });
    assert_eq!(again.framework_id, id);
    assert_eq!(again.subscribe.unwrap().framework_info.id, id);
    master
        .until("the replacement", |script| {
            let known = script.running.keys().filter(|task| **task != ghost).count();
            (known == 2).then_some(())
        })
        .await;
    let after = master.with(|script| script.running.clone());
    let kept = before
        .keys()
        .filter(|task| after.contains_key(*task))
        .count();
    assert_eq!(kept, 1, "the survivor was not touched");
    master.update(&ghost, TaskState::Running, None);
    master
        .until("the end of the ghost", |script| {
            (!script.running.contains_key(&ghost)).then_some(())
        })
        .await;
    role.stop().await;
}

#[tokio::test]
async fn a_lost_stream_is_taken_up_at_once_and_redirects_are_followed() {
    let leader = Master::start().await;
    let follower = Master::start().await;
    let location = leader.endpoint.to_string().replace("http:", "") + "/api/v1/scheduler";
    follower.with(|script| script.redirect = Some(location));
    let directory = tempfile::tempdir().unwrap();
    let role = start(settings(&follower, directory.path(), Encoding::Json), None).await;
    role.create("web", 1).await;
    role.wait_running("web").await;
    let started = Instant::now();
    leader.cut();
    leader
        .until("a new subscription", |script| {
            (script.subscriptions == 2).then_some(())
        })
        .await;
    assert!(started.elapsed() < Duration::from_secs(2));
    let (status, _) = role
        .call(Method::POST, "/apps/arcade/web/scale?instances=3", None)
        .await;
    assert_eq!(status, 200);
    leader
        .until("three tasks", |script| {
            (script.running.len() == 3).then_some(())
        })
        .await;
    // A framework that the master gave up is said, and tried for ever.
    leader.send(&Event {
        r#type: Some(event::Type::Error.number()),
        error: Some(event::Error {
            message: "Framework has been removed".to_owned(),
        }),
        ..Event::default()
    });
    leader
        .until("one more subscription", |script| {
            (script.subscriptions == 3).then_some(())
        })
        .await;
    role.stop().await;
}

#[tokio::test]
async fn a_second_scheduler_fences_the_first() {
    let master = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shared.db");
    let store = bcs_store_sqlite::SqliteCoordination::open(&path, Default::default()).unwrap();
    let store: Arc<dyn Coordination> = Arc::new(store);
    let settings = settings(&master, directory.path(), Encoding::Json);
    let first = start(settings.clone(), Some(Arc::clone(&store))).await;
    first.create("web", 1).await;
    first.wait_running("web").await;
    let second = start(settings, Some(store)).await;
    // Its next write is refused, and it leaves without an answer that would be a lie.
    let refused = first
        .api
        .request(Method::POST, "/v1/configmap")
        .json(&json!({
        "kind": "configmap", "metadata": {"name": "c", "namespace": "arcade"}, "datas": {}}));
    let answer = refused.send().await;
    assert!(answer.map_or(true, |answer| !answer.status().is_success()));
    let end = tokio::time::timeout(PATIENCE, first.ended)
        .await
        .unwrap()
        .unwrap();
    assert!(end.unwrap_err().to_string().contains("taken over"));
    first.shutdown.cancel();
    second.stop().await;
}

#[tokio::test]
async fn secrets_are_sealed_in_the_store_and_masked_in_every_answer() {
    let master = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&master, directory.path(), Encoding::Json);
    let role = start(settings.clone(), None).await;
    let content = "dmVyeS1zZWNyZXQtd29yZA==";
    let secret = json!({"apiVersion": "v4", "KIND": "secret",
        "metadata": {"name": "db", "namespace": "arcade"}, "datas": {"dsn": {"content": content}}});
    let (status, _) = role
        .call(Method::POST, "/secret", Some(secret.clone()))
        .await;
    assert_eq!(status, 200);
    let (status, answer) = role.call(Method::POST, "/secret", Some(secret)).await;
    assert_eq!((status, &answer["code"]), (409, &json!(1_405_201)));
    let (_, answer) = role.call(Method::GET, "/secret/arcade/db", None).await;
    assert_eq!(answer["data"]["datas"]["dsn"]["content"], "***");
    role.watch(0, |record| {
        (record["kind"] == "secret").then(|| assert!(!record.to_string().contains(content)))
    })
    .await;
    let mut version = process("web", 1);
    version.process[0].secrets = vec![bcs_model::version::SecretRef {
        secret_name: "db".to_owned(),
        items: vec![bcs_model::version::DataItem {
            item_type: "env".to_owned(),
            data_key: "dsn".to_owned(),
            key_or_path: "DB_DSN".to_owned(),
            ..Default::default()
        }],
    }];
    role.stop().await;
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        // The store may still be closing, which removes its log beside the database.
        let bytes = match std::fs::read(entry.unwrap().path()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            read => read.unwrap(),
        };
        assert!(
            !bytes
                .windows(content.len())
                .any(|window| window == content.as_bytes())
        );
    }
    let role = start(settings, None).await;
    let version = serde_json::to_value(version).unwrap();
    assert_eq!(role.call(Method::POST, "/apps", Some(version)).await.0, 200);
    role.wait_running("web").await;
    let accept = &master.calls(CallType::Accept)[0];
    let launch = accept.accept.as_ref().unwrap().operations[0]
        .launch_group
        .as_ref()
        .unwrap();
    let data = launch.task_group.tasks[0].data.as_ref().unwrap();
    let data: bcs_model::dataclass::DataClass = serde_json::from_slice(data).unwrap();
    assert_eq!(data.msgs[0].secret.as_ref().unwrap().value, content);
    let (_, groups) = role
        .call(Method::GET, "/apps/arcade/web/taskgroups", None)
        .await;
    assert!(!groups.to_string().contains(content));
    role.stop().await;
}

#[tokio::test]
async fn bad_requests_get_an_envelope_with_a_true_status() {
    let master = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let role = start(settings(&master, directory.path(), Encoding::Json), None).await;
    let garbage = role
        .api
        .request(Method::POST, "/v1/apps")
        .body("{\"Instances\": [}");
    let response = garbage.send().await.unwrap();
    assert_eq!(response.status(), 400);
    let cases = [
        (Method::GET, "/apps/arcade/none", 404, 1_405_202),
        (
            Method::POST,
            "/apps/arcade/none/scale?instances=x",
            400,
            1_405_007,
        ),
        (Method::DELETE, "/configmap/arcade/none", 404, 1_405_202),
        (Method::PUT, "/taskgroup/1.2/rescheduler", 404, 1_405_202),
        (Method::POST, "/deployment/arcade/web", 501, 1_405_200),
        (Method::GET, "/crd/autoscaler", 501, 1_405_200),
        (Method::GET, "/nothing", 404, 1_405_404),
        (Method::GET, "/watch?from=99999999", 410, 1_405_410),
    ];
    for (method, path, status, code) in cases {
        let (got, answer) = role.call(method, path, None).await;
        assert_eq!(
            (got, answer["code"].as_i64().unwrap()),
            (status, code),
            "{path}: {answer}"
        );
        assert_eq!(answer["result"], false);
        assert!(answer["message"].as_str().unwrap().len() > 5);
    }
    role.stop().await;
}

#[tokio::test]
async fn a_reader_resumes_where_it_was_and_hears_of_deletes() {
    let master = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let role = start(settings(&master, directory.path(), Encoding::Json), None).await;
    let config =
        |name: &str| json!({"metadata": {"name": name, "namespace": "arcade"}, "datas": {}});
    role.call(Method::POST, "/configmap", Some(config("a")))
        .await;
    let revision = role
        .watch(0, |record| {
            (record["type"] == "SYNCED").then(|| record["revision"].as_u64().unwrap())
        })
        .await;
    role.call(Method::POST, "/configmap", Some(config("b")))
        .await;
    role.call(Method::DELETE, "/configmap/arcade/a", None).await;
    let mut seen = Vec::new();
    role.watch(revision, |record| {
        seen.push(format!(
            "{} {}",
            record["type"].as_str().unwrap(),
            record["name"].as_str().unwrap()
        ));
        (seen.len() == 2).then_some(())
    })
    .await;
    assert_eq!(seen, ["PUT b", "DELETE a"]);
    role.stop().await;
}

#[tokio::test]
async fn two_hundred_taskgroups_leave_in_one_accept() {
    let master = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let role = start(settings(&master, directory.path(), Encoding::Json), None).await;
    // The offer must be there before the clock starts.
    role.create("first", 1).await;
    role.wait_running("first").await;
    let started = Instant::now();
    role.create("web", 200).await;
    let accepted = master
        .until("all accepted", |script| {
            let operations = |call: &Call| {
                call.accept
                    .as_ref()
                    .map_or(0, |accept| accept.operations.len())
            };
            let all: usize = script.calls.iter().map(|(call, _)| operations(call)).sum();
            (all >= 201).then(|| {
                script
                    .calls
                    .iter()
                    .rev()
                    .find(|(call, _)| call.accept.is_some())
                    .unwrap()
                    .1
            })
        })
        .await;
    println!(
        "200 taskgroups accepted after {:?}",
        accepted.duration_since(started)
    );
    assert!(accepted.duration_since(started) < Duration::from_secs(3));
    assert_eq!(master.calls(CallType::Accept).len(), 2);
    role.wait_running("web").await;
    println!("200 taskgroups running after {:?}", started.elapsed());
    // From the failure of a task to the launch of its successor, within this role.
    let mut times = Vec::new();
    for _ in 0..20 {
        let victim = master.with(|script| {
            let victim = script.running.keys().next().cloned().unwrap();
            script.running.remove(&victim);
            victim
        });
        let started = Instant::now();
        let uuid = master.fresh();
        master.update(&victim, TaskState::Failed, Some(uuid));
        master
            .until("the relaunch", |script| {
                (script.running.len() == 201).then_some(())
            })
            .await;
        times.push(started.elapsed());
    }
    times.sort();
    println!("relaunch p50 {:?}, worst {:?}", times[10], times[19]);
    role.stop().await;
}
