//! A scripted agent, the real daemon and the real keeper.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bcs_httpd::{Client, Endpoint, Limits, Listen, Listener};
use bcs_keeper::proc;
use bcs_kit::Shutdown;
use bcs_mesos::executor::{Call, Event, call, event};
use bcs_mesos::{
    CommandInfo, ContentType, DurationInfo, KillPolicy, TaskInfo, TaskState, TaskStatus,
    WireName as _, recordio,
};
use bcs_model::dataclass::{ContainerInfo, DataClass, ProcInfo};
use bcs_model::message::BcsMessage;
use http::StatusCode;
use tokio::sync::{mpsc, watch};

#[derive(Default)]
pub struct Book {
    streams: HashMap<String, mpsc::Sender<Bytes>>,
    pub subscribes: Vec<call::Subscribe>,
    pub updates: Vec<TaskStatus>,
    pub messages: Vec<BcsMessage>,
    launched: HashMap<String, Vec<TaskInfo>>,
    /// Do not acknowledge.
    pub silent: bool,
    /// Answer UPDATE with this instead.
    pub refuse_updates: Option<StatusCode>,
}

#[derive(Clone)]
pub struct Agent {
    pub book: Arc<Mutex<Book>>,
    changed: watch::Sender<u64>,
}

impl Agent {
    fn new() -> Self {
        Self {
            book: Arc::default(),
            changed: watch::Sender::new(0),
        }
    }

    fn touch(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    pub async fn until<T>(&self, what: &str, probe: impl FnMut(&mut Book) -> Option<T>) -> T {
        self.until_within(what, Duration::from_secs(20), probe)
            .await
    }

    pub async fn until_within<T>(
        &self,
        what: &str,
        limit: Duration,
        mut probe: impl FnMut(&mut Book) -> Option<T>,
    ) -> T {
        let mut changed = self.changed.subscribe();
        let wait = async {
            loop {
                if let Some(value) = probe(&mut self.book.lock().unwrap()) {
                    return value;
                }
                changed.changed().await.unwrap();
            }
        };
        let result = tokio::time::timeout(limit, wait).await;
        result.unwrap_or_else(|_| {
            let book = self.book.lock().unwrap();
            let seen: Vec<String> = book.updates.iter().map(show).collect();
            panic!("waited too long for {what}; updates: {seen:#?}")
        })
    }

    pub async fn push(&self, executor: &str, event: Event) {
        let text = bcs_mesos::encode(&event, ContentType::Json).unwrap();
        let stream = self
            .until("a stream", |book| {
                book.streams
                    .get(executor)
                    .filter(|stream| !stream.is_closed())
                    .cloned()
            })
            .await;
        stream.send(recordio::encode(&text)).await.unwrap();
    }

    pub async fn launch(&self, executor: &str, tasks: Vec<TaskInfo>) {
        let event = launch_event(tasks.clone());
        self.book
            .lock()
            .unwrap()
            .launched
            .entry(executor.to_owned())
            .or_default()
            .extend(tasks);
        self.push(executor, event).await;
    }

    pub async fn kill(&self, executor: &str, task: &str, grace: Option<Duration>) {
        let mut event = kind(event::Type::Kill);
        let mut kill = event::Kill {
            kill_policy: grace.map(policy),
            ..event::Kill::default()
        };
        kill.task_id.value = task.to_owned();
        event.kill = Some(kill);
        self.push(executor, event).await;
    }

    pub async fn shutdown(&self, executor: &str) {
        self.push(executor, kind(event::Type::Shutdown)).await;
    }

    pub async fn message(&self, executor: &str, message: &BcsMessage) {
        let mut event = kind(event::Type::Message);
        event.message = Some(event::Message {
            data: serde_json::to_vec(message).unwrap().into(),
        });
        self.push(executor, event).await;
    }

    pub async fn update(&self, task: &str, state: TaskState) -> TaskStatus {
        let what = format!("{state} of {task}");
        self.until(&what, |book| {
            let wanted = |status: &&TaskStatus| {
                status.task_id.value == task && status.state == state.number()
            };
            book.updates.iter().find(wanted).cloned()
        })
        .await
    }

    /// Waits for the end of a task, whatever it is.
    pub async fn end(&self, task: &str) -> TaskStatus {
        self.until(&format!("the end of {task}"), |book| {
            let ended = |status: &&TaskStatus| {
                status.task_id.value == task && bcs_process_executor::report::terminal(status.state)
            };
            book.updates.iter().find(ended).cloned()
        })
        .await
    }

    /// Sends bytes that are no record.
    pub async fn push_raw(&self, executor: &str, text: &str) {
        let stream = self
            .until("a stream", |book| book.streams.get(executor).cloned())
            .await;
        let _ = stream.send(Bytes::copy_from_slice(text.as_bytes())).await;
    }

    /// Serves the same API on TCP with HTTP/1.1, as Apache Mesos does; returns the address.
    pub async fn serve_tcp(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = axum::Router::new()
            .route("/api/v1/executor", axum::routing::post(executor_api))
            .with_state(self.clone());
        let (listen, limits) = (Listener::Tcp(listener), Limits::default());
        let served = bcs_httpd::serve(listen, router, None, limits, Shutdown::new());
        #[allow(clippy::disallowed_methods, reason = "a test's own server")]
        drop(tokio::spawn(served));
        address
    }

    /// Cuts every stream.
    pub fn cut(&self) {
        self.book.lock().unwrap().streams.clear();
    }
}

pub fn show(status: &TaskStatus) -> String {
    format!(
        "{} {} {}",
        status.task_id.value,
        bcs_process_executor::effects::state_name(status.state),
        status.message.as_deref().unwrap_or_default()
    )
}

pub fn info(status: &TaskStatus) -> ContainerInfo {
    serde_json::from_slice(status.data.as_ref().unwrap()).unwrap()
}

fn launch_event(tasks: Vec<TaskInfo>) -> Event {
    let mut event = kind(event::Type::LaunchGroup);
    let mut group = event::LaunchGroup::default();
    group.task_group.tasks = tasks;
    event.launch_group = Some(group);
    event
}

fn kind(kind: event::Type) -> Event {
    Event {
        r#type: Some(kind.number()),
        ..Event::default()
    }
}

pub fn policy(grace: Duration) -> KillPolicy {
    let nanoseconds = i64::try_from(grace.as_nanos()).unwrap();
    KillPolicy {
        grace_period: Some(DurationInfo { nanoseconds }),
    }
}

async fn executor_api(State(agent): State<Agent>, body: Bytes) -> Response {
    let call: Call = match bcs_mesos::decode(&body, ContentType::Json) {
        Ok(call) => call,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let id = call.executor_id.value.clone();
    if let Some(subscribe) = call.subscribe {
        let (sender, receiver) = mpsc::channel(64);
        let mut subscribed = kind(event::Type::Subscribed);
        let mut content = event::Subscribed::default();
        content.agent_info.hostname = "host-1".to_owned();
        subscribed.subscribed = Some(content);
        let text = bcs_mesos::encode(&subscribed, ContentType::Json).unwrap();
        sender.try_send(recordio::encode(&text)).unwrap();
        let mut book = agent.book.lock().unwrap();
        for update in &subscribe.unacknowledged_updates {
            take(&mut book, &update.status, &sender);
        }
        // As an agent does: what the executor does not know of is launched again.
        let missing: Vec<TaskInfo> = book
            .launched
            .get(&id)
            .into_iter()
            .flatten()
            .filter(|task| {
                let known = |known: &TaskInfo| known.task_id == task.task_id;
                !subscribe.unacknowledged_tasks.iter().any(known)
                    && !book
                        .updates
                        .iter()
                        .any(|status| status.task_id == task.task_id)
            })
            .cloned()
            .collect();
        if !missing.is_empty() {
            let text = bcs_mesos::encode(&launch_event(missing), ContentType::Json).unwrap();
            sender.try_send(recordio::encode(&text)).unwrap();
        }
        book.subscribes.push(subscribe);
        book.streams.insert(id, sender);
        drop(book);
        agent.touch();
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
            let bytes = receiver.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(bytes), receiver))
        });
        return Body::from_stream(stream).into_response();
    }
    let mut book = agent.book.lock().unwrap();
    if let Some(update) = call.update {
        if let Some(status) = book.refuse_updates {
            return status.into_response();
        }
        let uuid = update.status.uuid.as_ref().map_or(0, bytes::Bytes::len);
        if uuid != 16 || update.status.state == TaskState::Staging.number() {
            return (StatusCode::BAD_REQUEST, "bad update").into_response();
        }
        if let Some(stream) = book.streams.get(&id).cloned() {
            take(&mut book, &update.status, &stream);
        }
    }
    if let Some(message) = call.message {
        book.messages
            .push(serde_json::from_slice(&message.data).unwrap());
    }
    drop(book);
    agent.touch();
    StatusCode::ACCEPTED.into_response()
}

fn take(book: &mut Book, status: &TaskStatus, stream: &mpsc::Sender<Bytes>) {
    if !book.updates.iter().any(|known| known.uuid == status.uuid) {
        book.updates.push(status.clone());
    }
    if !book.silent {
        let mut event = kind(event::Type::Acknowledged);
        event.acknowledged = Some(event::Acknowledged {
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone().unwrap_or_default(),
        });
        let text = bcs_mesos::encode(&event, ContentType::Json).unwrap();
        let _ = stream.try_send(recordio::encode(&text));
    }
}

/// A host: agent, daemon, keeper, in a directory of its own.
pub struct Bed {
    pub dir: tempfile::TempDir,
    pub agent: Agent,
    pub settings: serde_json::Value,
    pub parent: String,
    daemon: Option<Child>,
    shutdown: Shutdown,
}

fn beside(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let dir = own.parent().unwrap().parent().unwrap();
    let path = dir.join("examples").join(name);
    assert!(
        path.exists(),
        "{} is missing: run the tests with their examples",
        path.display()
    );
    path
}

impl Bed {
    pub async fn new() -> Self {
        Self::with(serde_json::json!({})).await
    }

    pub async fn with(extra: serde_json::Value) -> Self {
        let mut bed = Self::idle(extra).await;
        bed.start();
        bed
    }

    pub async fn idle(extra: serde_json::Value) -> Self {
        bcs_httpd::tls::install_provider();
        let dir = tempfile::tempdir().unwrap();
        // Tasks of other users must be able to get through.
        let open = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).unwrap();
        let agent = Agent::new();
        let router = axum::Router::new()
            .route("/api/v1/executor", axum::routing::post(executor_api))
            .with_state(agent.clone());
        let listen = Listen::Unix(dir.path().join("agent.sock"));
        let listener = Listener::bind(&listen).await.unwrap();
        let shutdown = Shutdown::new();
        let served = bcs_httpd::serve(listener, router, None, Limits::default(), shutdown.clone());
        #[allow(clippy::disallowed_methods, reason = "a test's own server")]
        drop(tokio::spawn(served));
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let parent = format!("bcs-test-{unique}");
        let mut settings = serde_json::json!({
            "listen": format!("unix:{}", dir.path().join("executor.sock").display()),
            "data_dir": dir.path().join("data"),
            "work_dir": dir.path().join("workspace"),
            "keeper": beside("keeper"),
            "cgroup_parent": parent,
        });
        for (name, value) in extra.as_object().unwrap() {
            settings[name] = value.clone();
        }
        Self {
            dir,
            agent,
            settings,
            parent,
            daemon: None,
            shutdown,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn start(&mut self) {
        let file = self.path("settings.json");
        std::fs::write(&file, self.settings.to_string()).unwrap();
        let child = Command::new(beside("daemon"))
            .arg(file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.daemon = Some(child);
    }

    /// As an agent of Apache Mesos would start it.
    pub fn start_single(&mut self, environment: &BTreeMap<String, String>) {
        let file = self.path("settings.json");
        std::fs::write(&file, self.settings.to_string()).unwrap();
        let mut command = Command::new(beside("daemon"));
        let child = command
            .arg(file)
            .envs(environment)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.daemon = Some(child);
    }

    pub fn ended(&mut self) -> bool {
        self.daemon
            .as_mut()
            .unwrap()
            .try_wait()
            .unwrap()
            .is_some_and(|status| status.success())
    }

    pub fn daemon_pid(&self) -> i32 {
        i32::try_from(self.daemon.as_ref().unwrap().id()).unwrap()
    }

    /// kill -9
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    pub fn environment(&self, executor: &str) -> BTreeMap<String, String> {
        let path = |name: &str| self.path(name).display().to_string();
        [
            ("MESOS_FRAMEWORK_ID", "F".to_owned()),
            ("MESOS_EXECUTOR_ID", executor.to_owned()),
            ("MESOS_SLAVE_ID", "A".to_owned()),
            ("MESOS_AGENT_ENDPOINT", "127.0.0.1:5051".to_owned()),
            ("MESOS_DOMAIN_SOCKET", path("agent.sock")),
            ("MESOS_SANDBOX", path(&format!("sandbox/{executor}"))),
            ("MESOS_CHECKPOINT", "1".to_owned()),
            ("MESOS_RECOVERY_TIMEOUT", "15mins".to_owned()),
            ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "500ms".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    pub fn client(&self) -> Client {
        Client::new(&Endpoint::Unix(self.path("executor.sock")), None).unwrap()
    }

    /// Orders an executor, as the agent does: until it is taken.
    pub async fn order(&self, executor: &str) {
        let body = serde_json::json!({"environment": self.environment(executor)}).to_string();
        let since = Instant::now();
        let client = self.client();
        loop {
            let request = client.request(http::Method::POST, "/v1/executors");
            let request = request
                .header("content-type", "application/json")
                .body(body.clone());
            match request.send().await {
                Ok(answer) if answer.status() == StatusCode::ACCEPTED => return,
                other => assert!(since.elapsed() < Duration::from_secs(20), "{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn sandbox(&self, executor: &str, task: &str) -> PathBuf {
        self.path("sandbox").join(executor).join(task)
    }

    pub fn keeper_pid(&self) -> Option<i32> {
        use std::io::{BufRead, BufReader, Write};
        let socket = self.path("data/keeper/keeper.sock");
        let mut stream = std::os::unix::net::UnixStream::connect(socket).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        stream
            .write_all(b"{\"seq\":1,\"call\":\"version\"}\n")
            .ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        let value: serde_json::Value = serde_json::from_str(&line).ok()?;
        i32::try_from(value["reply"]["version"]["pid"].as_i64()?).ok()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if std::env::var_os("KEEP").is_some() {
            eprintln!("kept: {}", self.dir.path().display());
            std::mem::forget(std::mem::replace(
                &mut self.dir,
                tempfile::tempdir().unwrap(),
            ));
        }
        self.shutdown.cancel();
        self.kill();
        let kill = |pid: i32| {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGKILL,
            );
        };
        if let Some(pid) = self.keeper_pid() {
            kill(pid);
        }
        let journal = std::fs::read_to_string(self.path("data/keeper/journal")).unwrap_or_default();
        for line in journal.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            if let ["S" | "A", _, pid, start] = fields.as_slice()
                && let (Ok(pid), Ok(start)) = (pid.parse::<i32>(), start.parse::<u64>())
                && proc::start_time(pid) == Some(start)
            {
                proc::session_members(pid, 0).into_iter().for_each(kill);
                kill(pid);
            }
        }
        remove_groups(&self.parent);
    }
}

fn remove_groups(parent: &str) {
    let Ok(mounts) = std::fs::read_dir("/sys/fs/cgroup") else {
        return;
    };
    let mut roots: Vec<PathBuf> = mounts.flatten().map(|entry| entry.path()).collect();
    roots.push("/sys/fs/cgroup".into());
    for root in roots {
        let dir = root.join(parent);
        let since = Instant::now();
        while dir.exists() && since.elapsed() < Duration::from_secs(3) {
            let _ = std::fs::write(dir.join("cgroup.kill"), "1");
            for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
                let _ = std::fs::remove_dir(entry.path());
            }
            let _ = std::fs::remove_dir(&dir);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A process task of our scheduler.
pub fn process(id: &str, proc: ProcInfo) -> TaskInfo {
    task(
        id,
        DataClass {
            proc_info: Some(proc),
            ..DataClass::default()
        },
    )
}

pub fn task(id: &str, data: DataClass) -> TaskInfo {
    let mut task = TaskInfo {
        name: format!("name-{id}"),
        ..TaskInfo::default()
    };
    task.task_id.value = id.to_owned();
    let start = data.proc_info.as_ref().map(|proc| proc.start_cmd.clone());
    task.command = Some(CommandInfo {
        shell: Some(false),
        value: start,
        ..CommandInfo::default()
    });
    task.kill_policy = Some(policy(Duration::from_secs(5)));
    task.data = Some(serde_json::to_vec(&data).unwrap().into());
    task
}

/// `sh -c`
pub fn sh(script: &str) -> ProcInfo {
    ProcInfo {
        start_cmd: "/bin/sh -c".to_owned(),
        argv: vec![script.to_owned()],
        ..ProcInfo::default()
    }
}

pub async fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "waited too long for {what}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path)
        .ok()
        .filter(|text| text.ends_with('\n'))
}

pub fn pid(status: &TaskStatus) -> i32 {
    i32::try_from(info(status).pid).unwrap()
}
