//! A resident executor daemon: takes orders on its socket, and runs one scripted executor for each over the agent's
//! socket. Tasks only exist as records here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use bcs_httpd::{Client, Endpoint, Limits, Listen, Listener};
use bcs_kit::{Shutdown, Tasks};
use bcs_mesos::executor::{Call, Event, call, event};
use bcs_mesos::recordio::Decoder;
use bcs_mesos::types::*;
use bcs_mesos::{ContentType, WireName as _};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Method, StatusCode};

/// What the daemon remembers, as a real one would on disk.
#[derive(Default)]
pub(crate) struct Memory {
    /// By executor: its framework, its sandbox, its unacknowledged tasks and updates, its live tasks.
    pub(crate) executors: BTreeMap<String, Record>,
}

#[derive(Clone, Default)]
pub(crate) struct Record {
    pub(crate) framework: String,
    pub(crate) sandbox: PathBuf,
    pub(crate) unacknowledged_tasks: Vec<TaskInfo>,
    pub(crate) unacknowledged_updates: Vec<TaskStatus>,
    pub(crate) live: Vec<String>,
    pub(crate) launched: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Resident {
    pub(crate) memory: Arc<Mutex<Memory>>,
    encoding: ContentType,
    socket: PathBuf,
    agent: PathBuf,
    shutdown: Shutdown,
    tasks: Tasks,
}

impl Resident {
    pub(crate) async fn start(socket: PathBuf, agent: PathBuf, encoding: ContentType) -> Self {
        Self::resume(socket, agent, encoding, Arc::default()).await
    }

    async fn resume(
        socket: PathBuf,
        agent: PathBuf,
        encoding: ContentType,
        memory: Arc<Mutex<Memory>>,
    ) -> Self {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        let resident = Self {
            memory,
            encoding,
            socket,
            agent,
            shutdown: shutdown.clone(),
            tasks,
        };
        let listener = Listener::bind(&Listen::Unix(resident.socket.clone()))
            .await
            .unwrap();
        let router = Router::new()
            .route("/v1/executors", post(order))
            .with_state(resident.clone());
        let serving = bcs_httpd::serve(listener, router, None, Limits::default(), shutdown);
        resident.tasks.spawn("resident", serving);
        let known: Vec<String> = resident
            .memory
            .lock()
            .unwrap()
            .executors
            .keys()
            .cloned()
            .collect();
        for executor in known {
            resident.run(executor);
        }
        resident
    }

    /// Stops the daemon; its memory stays.
    pub(crate) async fn stop(&self) {
        self.shutdown.cancel();
        assert!(self.tasks.drain(Duration::from_secs(10)).await.is_empty());
    }

    pub(crate) async fn restart(self) -> Self {
        self.stop().await;
        Self::resume(self.socket, self.agent, self.encoding, self.memory).await
    }

    pub(crate) fn record(&self, executor: &str) -> Option<Record> {
        self.memory.lock().unwrap().executors.get(executor).cloned()
    }

    fn run(&self, executor: String) {
        let this = self.clone();
        self.tasks.spawn("executor", async move {
            let client = Client::new(&Endpoint::Unix(this.agent.clone()), None).unwrap();
            let shutdown = this.shutdown.clone();
            let mut backoff =
                bcs_kit::Backoff::new(Duration::from_millis(20), Duration::from_millis(200));
            while this.record(&executor).is_some() {
                let conversation = this.converse(&client, &executor);
                if shutdown.run_until(conversation).await.is_none()
                    || !backoff.wait(&shutdown).await
                {
                    return;
                }
            }
        });
    }

    fn call(&self, executor: &str, record: &Record, kind: call::Type) -> Call {
        Call {
            executor_id: executor.into(),
            framework_id: record.framework.as_str().into(),
            r#type: Some(kind.number()),
            ..Call::default()
        }
    }

    async fn converse(&self, client: &Client, executor: &str) {
        let Some(record) = self.record(executor) else {
            return;
        };
        let mut call = self.call(executor, &record, call::Type::Subscribe);
        call.subscribe = Some(call::Subscribe {
            unacknowledged_tasks: record.unacknowledged_tasks.clone(),
            unacknowledged_updates: record
                .unacknowledged_updates
                .iter()
                .map(|status| call::Update {
                    status: status.clone(),
                })
                .collect(),
        });
        let sent = client
            .stream_request(Method::POST, "/api/v1/executor")
            .header("content-type", self.encoding.media_type())
            .header("accept", self.encoding.media_type())
            .body(bcs_mesos::encode(&call, self.encoding).unwrap())
            .send()
            .await;
        let Ok(response) = sent else { return };
        if response.status() == StatusCode::BAD_REQUEST {
            // Not known any more: nothing to run for.
            self.memory.lock().unwrap().executors.remove(executor);
            return;
        }
        if !response.status().is_success() {
            return;
        }
        let mut body = response.bytes_stream();
        let mut decoder = Decoder::default();
        while let Some(Ok(chunk)) = body.next().await {
            decoder.push(&chunk);
            while let Some(record) = decoder.next_record().unwrap() {
                let event: Event = bcs_mesos::decode(&record, self.encoding).unwrap();
                self.handle(client, executor, event).await;
                if self.finished(executor) {
                    return;
                }
            }
        }
    }

    /// All tasks ended and were acknowledged: the executor ends.
    fn finished(&self, executor: &str) -> bool {
        let mut memory = self.memory.lock().unwrap();
        let done = memory.executors.get(executor).is_some_and(|record| {
            !record.launched.is_empty()
                && record.live.is_empty()
                && record.unacknowledged_updates.is_empty()
        });
        if done {
            memory.executors.remove(executor);
        }
        done
    }

    async fn handle(&self, client: &Client, executor: &str, event: Event) {
        let tasks = event
            .launch_group
            .map(|group| group.task_group.tasks)
            .or_else(|| event.launch.map(|launch| vec![launch.task]));
        if let Some(tasks) = tasks {
            for task in &tasks {
                let id = task.task_id.value.clone();
                let mut memory = self.memory.lock().unwrap();
                let record = memory.executors.get_mut(executor).unwrap();
                assert!(!record.launched.contains(&id), "{id} is launched twice");
                record.unacknowledged_tasks.push(task.clone());
                record.launched.push(id.clone());
                record.live.push(id);
            }
            for task in tasks {
                self.update(client, executor, &task.task_id.value, TaskState::Starting)
                    .await;
                self.update(client, executor, &task.task_id.value, TaskState::Running)
                    .await;
            }
        }
        if let Some(kill) = event.kill {
            self.end(client, executor, &kill.task_id.value, TaskState::Killed)
                .await;
        }
        if let Some(acknowledged) = event.acknowledged {
            let mut memory = self.memory.lock().unwrap();
            if let Some(record) = memory.executors.get_mut(executor) {
                record
                    .unacknowledged_tasks
                    .retain(|task| task.task_id != acknowledged.task_id);
                record
                    .unacknowledged_updates
                    .retain(|status| status.uuid.as_ref() != Some(&acknowledged.uuid));
            }
        }
        if let Some(message) = event.message {
            let record = self.record(executor).unwrap();
            let mut call = self.call(executor, &record, call::Type::Message);
            call.message = Some(call::Message { data: message.data });
            self.post(client, &call).await;
        }
        if event.r#type == Some(event::Type::Shutdown.number()) {
            for task in self.record(executor).unwrap().live {
                self.end(client, executor, &task, TaskState::Killed).await;
            }
        }
    }

    pub(crate) async fn end(&self, client: &Client, executor: &str, task: &str, state: TaskState) {
        {
            let mut memory = self.memory.lock().unwrap();
            let Some(record) = memory.executors.get_mut(executor) else {
                return;
            };
            if !record.live.iter().any(|live| live == task) {
                return;
            }
            record.live.retain(|live| live != task);
        }
        self.update(client, executor, task, state).await;
    }

    /// Ends a task from outside, as if its process had.
    pub(crate) async fn exit(&self, executor: &str, task: &str, state: TaskState) {
        let client = Client::new(&Endpoint::Unix(self.agent.clone()), None).unwrap();
        self.end(&client, executor, task, state).await;
    }

    async fn update(&self, client: &Client, executor: &str, task: &str, state: TaskState) {
        let status = TaskStatus {
            task_id: task.into(),
            state: state.number(),
            source: Some(StatusSource::Executor.number()),
            executor_id: Some(executor.into()),
            uuid: Some(Bytes::copy_from_slice(uuid::Uuid::new_v4().as_bytes())),
            data: Some(Bytes::from_static(b"{\"Status\":\"x\"}")),
            ..TaskStatus::default()
        };
        let record = {
            let mut memory = self.memory.lock().unwrap();
            let Some(record) = memory.executors.get_mut(executor) else {
                return;
            };
            record.unacknowledged_updates.push(status.clone());
            record.clone()
        };
        let mut call = self.call(executor, &record, call::Type::Update);
        call.update = Some(call::Update { status });
        self.post(client, &call).await;
    }

    async fn post(&self, client: &Client, call: &Call) {
        // What fails is said again with the next subscription.
        drop(
            client
                .request(Method::POST, "/api/v1/executor")
                .header("content-type", self.encoding.media_type())
                .body(bcs_mesos::encode(call, self.encoding).unwrap())
                .send()
                .await,
        );
    }
}

#[derive(serde::Deserialize)]
struct Order {
    environment: BTreeMap<String, String>,
}

async fn order(State(resident): State<Resident>, Json(order): Json<Order>) -> StatusCode {
    let get = |name: &str| order.environment.get(name).cloned().unwrap();
    assert_eq!(
        get("MESOS_DOMAIN_SOCKET"),
        resident.agent.display().to_string()
    );
    assert_eq!(get("MESOS_CHECKPOINT"), "1");
    let executor = get("MESOS_EXECUTOR_ID");
    let is_new = {
        let mut memory = resident.memory.lock().unwrap();
        let is_new = !memory.executors.contains_key(&executor);
        memory
            .executors
            .entry(executor.clone())
            .or_insert_with(|| Record {
                framework: get("MESOS_FRAMEWORK_ID"),
                sandbox: get("MESOS_SANDBOX").into(),
                ..Record::default()
            });
        is_new
    };
    if is_new {
        resident.run(executor);
    }
    StatusCode::ACCEPTED
}
