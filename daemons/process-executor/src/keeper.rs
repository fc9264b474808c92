//! The line to the keeper: one connection for all tasks, restored for ever, the keeper started
//! when nobody answers.
//!
//! Calls that were on their way when a connection broke are sent again: the keeper's calls may be
//! repeated (`spawn` and `adopt` are idempotent by id). Exits go to whoever watches the id; an exit
//! that nobody watches is forgotten.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bcs_keeper::protocol::{
    Adopt, Call, Exit, Failure, Line, MAX_REPLY, PROTOCOL, Reply, Request, Status, Task,
};
use bcs_kit::{Backoff, Ready, Shutdown};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};

/// Calls that wait for the line; more wait in their callers.
const QUEUE: usize = 1024;

/// Where an exit goes.
#[derive(Debug)]
pub enum Sink {
    /// To an executor's inbox, with the id.
    Inbox(mpsc::Sender<(String, Exit)>),
    /// To one who waits for this alone.
    Once(oneshot::Sender<Exit>),
}

#[derive(Debug)]
struct Route {
    sink: Sink,
    /// The keeper has said that it knows the id.
    known: bool,
}

struct Ask {
    call: Call,
    answer: oneshot::Sender<Result<Reply, Failure>>,
}

/// A handle; clones share the line.
#[derive(Clone)]
pub struct Keeper {
    asks: mpsc::Sender<Ask>,
    routes: Arc<Mutex<HashMap<String, Route>>>,
    listed: watch::Receiver<Option<Arc<BTreeMap<String, Task>>>>,
}

/// The other end, to be run.
pub struct Link {
    asks: mpsc::Receiver<Ask>,
    routes: Arc<Mutex<HashMap<String, Route>>>,
    listed: watch::Sender<Option<Arc<BTreeMap<String, Task>>>>,
    program: PathBuf,
    dir: PathBuf,
    ready: Ready,
    pending: BTreeMap<u64, Pending>,
    seq: u64,
}

struct Pending {
    line: Vec<u8>,
    /// The id that a good answer confirms.
    confirms: Option<String>,
    answer: oneshot::Sender<Result<Reply, Failure>>,
}

/// A line to the keeper of `dir`, started from `program`.
pub fn line(program: PathBuf, dir: PathBuf, ready: Ready) -> (Keeper, Link) {
    let (asks, receiver) = mpsc::channel(QUEUE);
    let (listed, list) = watch::channel(None);
    let routes = Arc::<Mutex<HashMap<String, Route>>>::default();
    let keeper = Keeper {
        asks,
        routes: routes.clone(),
        listed: list,
    };
    let pending = BTreeMap::new();
    let link = Link {
        asks: receiver,
        routes,
        listed,
        program,
        dir,
        ready,
        pending,
        seq: 0,
    };
    (keeper, link)
}

fn gone() -> Failure {
    Failure::new("system", "the process executor is leaving")
}

impl Keeper {
    /// Asks and waits for the answer, for as long as it takes to reach a keeper.
    ///
    /// # Errors
    /// What the keeper refused.
    pub async fn call(&self, call: Call) -> Result<Reply, Failure> {
        let (answer, result) = oneshot::channel();
        self.asks
            .send(Ask { call, answer })
            .await
            .map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }

    /// Starts or finds a process.
    ///
    /// # Errors
    /// What the keeper refused.
    pub async fn spawn(
        &self,
        spawn: bcs_keeper::protocol::Spawn,
    ) -> Result<(Task, Vec<String>), Failure> {
        match self.call(Call::Spawn(Box::new(spawn))).await? {
            Reply::Task { task, warnings, .. } => Ok((task, warnings)),
            _ => Err(Failure::new("system", "the keeper answered something else")),
        }
    }

    /// Puts a process under watch.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn adopt(&self, id: String, pid: i32, start_time: u64) -> Result<Task, Failure> {
        match self
            .call(Call::Adopt(Adopt {
                id,
                pid,
                start_time,
            }))
            .await?
        {
            Reply::Task { task, .. } => Ok(task),
            _ => Err(Failure::new("system", "the keeper answered something else")),
        }
    }

    /// Sends exits of `id` to `sink`; to be called before the id is spawned.
    pub fn watch(&self, id: &str, sink: Sink, known: bool) {
        self.routes().insert(id.to_owned(), Route { sink, known });
    }

    /// No longer.
    pub fn unwatch(&self, id: &str) {
        self.routes().remove(id);
    }

    fn routes(&self) -> std::sync::MutexGuard<'_, HashMap<String, Route>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the keeper knew when it was first reached.
    pub async fn first_list(&self) -> Option<Arc<BTreeMap<String, Task>>> {
        let mut listed = self.listed.clone();
        let list = listed.wait_for(Option::is_some).await.ok()?;
        list.clone()
    }
}

impl Link {
    /// Keeps the line up until shutdown.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(2));
        while !shutdown.is_cancelled() {
            let socket = self.dir.join("keeper.sock");
            let ended = match UnixStream::connect(&socket).await {
                Ok(stream) => match self.talk(stream, &shutdown, &mut backoff).await {
                    Ok(()) => return,
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if shutdown.is_cancelled() {
                return;
            }
            if backoff.worth_logging() {
                if ended.kind() == std::io::ErrorKind::NotFound {
                    tracing::info!("starting the keeper");
                } else {
                    tracing::warn!(error = %ended, "the keeper does not answer; starting one");
                }
            }
            if let Err(error) = self.start_keeper(&shutdown).await {
                self.ready.say(format!("no keeper: {error}"));
                tracing::error!(error, program = %self.program.display(), "keeper not started");
            }
            if !backoff.wait(&shutdown).await {
                return;
            }
        }
    }

    async fn start_keeper(&self, shutdown: &Shutdown) -> Result<(), String> {
        let mut command = std::process::Command::new(&self.program);
        command
            .arg("--state-dir")
            .arg(&self.dir)
            .env_clear()
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped());
        // It goes into the background by itself and ends when it is ready.
        let run = tokio::task::spawn_blocking(move || command.output());
        let output = match shutdown.run_until(run).await {
            None => return Ok(()),
            Some(Err(error)) => return Err(error.to_string()),
            Some(Ok(output)) => output.map_err(|error| error.to_string())?,
        };
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    async fn talk(
        &mut self,
        stream: UnixStream,
        shutdown: &Shutdown,
        backoff: &mut Backoff,
    ) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        self.greet(&mut reader, &mut writer).await?;
        backoff.reset();
        self.ready.say("ready");
        for pending in self.pending.values() {
            writer.write_all(&pending.line).await?;
        }
        let mut buffer = Vec::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                ask = self.asks.recv() => {
                    let Some(ask) = ask else { return Ok(()) };
                    let mut lines = self.enqueue(ask);
                    while let Ok(ask) = self.asks.try_recv() {
                        lines.extend_from_slice(&self.enqueue(ask));
                    }
                    writer.write_all(&lines).await?;
                }
                read = read_line(&mut reader, &mut buffer) => {
                    let line = read?;
                    buffer = Vec::new();
                    self.dispatch(line, &mut writer).await?;
                }
            }
        }
    }

    /// Says hello: version, then the list, from which the exits missed meanwhile are told.
    async fn greet(
        &mut self,
        reader: &mut BufReader<OwnedReadHalf>,
        writer: &mut OwnedWriteHalf,
    ) -> std::io::Result<()> {
        let hello = [Call::Version, Call::Subscribe].map(|call| encode(0, call));
        writer.write_all(&hello.concat()).await?;
        let mut buffer = Vec::new();
        let limit = Duration::from_secs(10);
        let timed = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
        let mut early = Vec::new();
        let tasks = loop {
            let read = read_line(reader, &mut buffer);
            let line = tokio::time::timeout(limit, read).await.map_err(timed)??;
            buffer = Vec::new();
            match line.reply {
                Some(Reply::Version {
                    protocol, version, ..
                }) if protocol != PROTOCOL => {
                    let text =
                        format!("keeper {version} speaks protocol {protocol}, not {PROTOCOL}");
                    return Err(std::io::Error::other(text));
                }
                Some(Reply::Tasks(tasks)) => break tasks,
                _ => early.extend(line.event),
            }
        };
        let tasks: BTreeMap<String, Task> = tasks
            .into_iter()
            .map(|task| (task.id.clone(), task))
            .collect();
        if self.listed.borrow().is_none() {
            self.listed.send_replace(Some(Arc::new(tasks)));
            return Ok(());
        }
        let waiting: Vec<String> = {
            let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
            routes
                .iter()
                .filter(|(_, route)| route.known)
                .map(|(id, _)| id.clone())
                .collect()
        };
        for id in waiting {
            let exit = match tasks.get(&id) {
                Some(task) => task.exit.clone(),
                None => Some(Exit {
                    status: Status::Unknown("the keeper has lost its record".to_owned()),
                    time: u64::try_from(bcs_kit::clock::unix_nanos()).unwrap_or_default(),
                }),
            };
            if let Some(exit) = exit {
                self.exited(id, exit).await;
            }
        }
        for task in early {
            if let Some(exit) = task.exit {
                self.exited(task.id, exit).await;
            }
        }
        Ok(())
    }

    fn enqueue(&mut self, ask: Ask) -> Vec<u8> {
        self.seq += 1;
        let confirms = match &ask.call {
            Call::Spawn(spawn) => Some(spawn.id.clone()),
            Call::Adopt(adopt) => Some(adopt.id.clone()),
            Call::Signal(_)
            | Call::List
            | Call::Forget { .. }
            | Call::Subscribe
            | Call::Version => None,
        };
        let line = encode(self.seq, ask.call);
        let pending = Pending {
            line: line.clone(),
            confirms,
            answer: ask.answer,
        };
        self.pending.insert(self.seq, pending);
        line
    }

    async fn dispatch(&mut self, line: Line, writer: &mut OwnedWriteHalf) -> std::io::Result<()> {
        if let Some(Task {
            id,
            exit: Some(exit),
            ..
        }) = line.event
            && !self.exited(id.clone(), exit).await
        {
            writer.write_all(&encode(0, Call::Forget { id })).await?;
        }
        let (Some(seq), Some(reply)) = (line.seq, line.reply) else {
            return Ok(());
        };
        let Some(pending) = self.pending.remove(&seq) else {
            return Ok(());
        };
        let mut ended = None;
        if let (Some(id), Reply::Task { task, .. }) = (pending.confirms, &reply) {
            let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(route) = routes.get_mut(&id) {
                route.known = true;
            }
            ended = task.exit.clone().map(|exit| (id, exit));
        }
        let result = match reply {
            Reply::Error(failure) => Err(failure),
            reply => Ok(reply),
        };
        // The caller may have given up.
        drop(pending.answer.send(result));
        // A repeated spawn or a late adoption may find the task already ended.
        if let Some((id, exit)) = ended {
            self.exited(id, exit).await;
        }
        Ok(())
    }

    /// Tells whoever watches; false when nobody does.
    async fn exited(&self, id: String, exit: Exit) -> bool {
        let inbox = {
            let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
            match routes.remove(&id) {
                None => return false,
                Some(Route {
                    sink: Sink::Once(sink),
                    ..
                }) => {
                    drop(sink.send(exit));
                    return true;
                }
                Some(Route {
                    sink: Sink::Inbox(inbox),
                    ..
                }) => inbox,
            }
        };
        // An executor empties its inbox all the time; waiting here is short and loses nothing.
        inbox.send((id, exit)).await.is_ok()
    }
}

fn encode(seq: u64, call: Call) -> Vec<u8> {
    let mut line = serde_json::to_vec(&Request { seq, call }).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Reads one line; what was read stays in `buffer` when the future is dropped.
async fn read_line(
    reader: &mut BufReader<OwnedReadHalf>,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Line> {
    reader.read_until(b'\n', buffer).await?;
    if !buffer.ends_with(b"\n") {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    if buffer.len() > MAX_REPLY {
        return Err(std::io::Error::other("the keeper sent an endless line"));
    }
    serde_json::from_slice(buffer).map_err(std::io::Error::other)
}

/// A keeper's exit in the words of the state machine.
pub fn translate(exit: &Exit, oom: bool) -> crate::step::Exit {
    let (code, mut text) = match &exit.status {
        Status::Code(0) => (0, "exited with code 0".to_owned()),
        Status::Code(code) => (*code, format!("exited with code {code}")),
        Status::Signal(signal) => {
            let name = nix::sys::signal::Signal::try_from(*signal)
                .map_or_else(|_| signal.to_string(), |signal| signal.as_str().to_owned());
            (128 + signal, format!("ended by signal {name}"))
        }
        Status::Unknown(why) => (-1, format!("ended, exit code unknown: {why}")),
    };
    if oom {
        text.push_str("; the kernel killed it for want of memory (memory limit of the task)");
    }
    crate::step::Exit { code, text, oom }
}
