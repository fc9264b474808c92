//! The one task that owns the core: takes inputs, stores the registry, sends what the step ordered.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bcs_kit::{Backoff, Context, RunError, Shutdown};
use bcs_mesos::{ContentType, WireName as _, operator, scheduler};
use bytes::Bytes;
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};

use crate::core::{Core, Effect, Input, Now, Registry, Reply};

/// Inputs that may wait; when full, HTTP handlers wait, and so do their clients.
const INBOX: usize = 1024;
/// Records that may wait for a slow reader; when full, its stream is cut, and it must subscribe again.
pub(crate) const OUTBOX: usize = 16_384;
/// Inputs that are taken before the registry is stored once for all of them.
const BATCH: usize = 256;

/// The sending end of a stream of records.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    pub(crate) records: mpsc::Sender<Bytes>,
    pub(crate) encoding: ContentType,
}

/// Where an opened stream is to be hung.
#[derive(Debug)]
pub(crate) enum Attach {
    Nothing,
    Scheduler(String, Outbox),
    Agent(String, Outbox),
    Watcher(Outbox),
}

struct Envelope {
    input: Input,
    attach: Attach,
    reply: oneshot::Sender<Reply>,
}

/// Gives inputs to the core.
#[derive(Clone, Debug)]
pub(crate) struct Handle(mpsc::Sender<Envelope>);

impl std::fmt::Debug for Envelope {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Envelope")
            .field("input", &self.input)
            .finish_non_exhaustive()
    }
}

impl Handle {
    pub(crate) async fn ask(&self, input: Input, attach: Attach) -> Reply {
        let (reply, answer) = oneshot::channel();
        let gone = || Reply::Refused(503, "the master is leaving".to_owned());
        if self
            .0
            .send(Envelope {
                input,
                attach,
                reply,
            })
            .await
            .is_err()
        {
            return gone();
        }
        answer.await.unwrap_or_else(|_| gone())
    }

    pub(crate) async fn tell(&self, input: Input) {
        // Without a core there is nobody to tell.
        drop(self.ask(input, Attach::Nothing).await);
    }
}

/// Starts the core; it runs until shutdown.
pub(crate) fn start(
    core: Core,
    registry_file: PathBuf,
    heartbeat: Duration,
    context: &Context,
) -> Handle {
    let (sender, inbox) = mpsc::channel(INBOX);
    let driver = Driver {
        core,
        registry_file,
        heartbeat,
        started: Instant::now(),
        schedulers: HashMap::new(),
        agents: HashMap::new(),
        watchers: Vec::new(),
        context: context.clone(),
    };
    let shutdown = context.shutdown.clone();
    context
        .tasks
        .spawn_essential("master core", driver.run(inbox, shutdown));
    Handle(sender)
}

struct Driver {
    core: Core,
    registry_file: PathBuf,
    heartbeat: Duration,
    started: Instant,
    schedulers: HashMap<String, Outbox>,
    agents: HashMap<String, Outbox>,
    watchers: Vec<Outbox>,
    context: Context,
}

impl Driver {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Envelope>,
        shutdown: Shutdown,
    ) -> Result<(), RunError> {
        let mut beat = tokio::time::interval(self.heartbeat);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let deadline = self
                .core
                .next_deadline()
                .map(|at| self.started + Duration::from_millis(at));
            let wake = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                count = inbox.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return Ok(());
                    }
                    self.take(&mut batch).await?;
                }
                _ = beat.tick() => self.send_heartbeats(),
                () = wake => {
                    let now = self.now();
                    let (_, effects) = self.core.step(Input::Tick, now);
                    self.carry_out(effects).await?;
                }
            }
        }
    }

    fn now(&self) -> Now {
        let monotonic = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now {
            monotonic,
            wall: bcs_kit::clock::unix_nanos(),
        }
    }

    async fn take(&mut self, batch: &mut Vec<Envelope>) -> Result<(), RunError> {
        let now = self.now();
        let mut effects = Vec::new();
        let mut replies = Vec::with_capacity(batch.len());
        for envelope in batch.drain(..) {
            let watching = matches!(envelope.attach, Attach::Watcher(_));
            let opened = self.attach(envelope.attach);
            let (reply, mut more) = self.core.step(envelope.input, now);
            if let (true, Reply::Answer(response)) = (watching, &reply) {
                self.greet_watcher(response);
            }
            if let (Some(stream), Reply::Refused(..)) = (opened, &reply) {
                self.schedulers.remove(&stream);
                self.agents.remove(&stream);
            }
            effects.append(&mut more);
            replies.push((envelope.reply, reply));
        }
        self.carry_out(effects).await?;
        for (sender, reply) in replies {
            // A caller that hung up does not want the answer; its stream, if any, is found closed.
            drop(sender.send(reply));
        }
        Ok(())
    }

    fn attach(&mut self, attach: Attach) -> Option<String> {
        match attach {
            Attach::Nothing => None,
            Attach::Scheduler(stream, outbox) => {
                self.schedulers.insert(stream.clone(), outbox);
                Some(stream)
            }
            Attach::Agent(session, outbox) => {
                self.agents.insert(session.clone(), outbox);
                Some(session)
            }
            Attach::Watcher(outbox) => {
                self.watchers.push(outbox);
                self.core.watched = true;
                None
            }
        }
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), RunError> {
        if effects.contains(&Effect::Persist) {
            self.store().await?;
        }
        for effect in effects {
            match effect {
                Effect::Persist => {}
                Effect::Event { stream, event } => {
                    if let Some(outbox) = self.schedulers.get(&stream)
                        && !send(outbox, event.as_ref())
                    {
                        tracing::warn!(
                            stream,
                            "scheduler does not read its events; its stream is cut"
                        );
                        self.schedulers.remove(&stream);
                    }
                }
                Effect::CloseStream { stream } => {
                    self.schedulers.remove(&stream);
                }
                Effect::Command { session, command } => {
                    if let Some(outbox) = self.agents.get(&session)
                        && !push(outbox, &command.encode_to_vec())
                    {
                        tracing::warn!(
                            session,
                            "agent does not read its commands; its stream is cut"
                        );
                        self.agents.remove(&session);
                    }
                }
                Effect::CloseSession { session } => {
                    self.agents.remove(&session);
                }
                Effect::Notice(event) => {
                    self.watchers.retain(|outbox| send(outbox, event.as_ref()));
                    self.core.watched = !self.watchers.is_empty();
                }
            }
        }
        Ok(())
    }

    fn send_heartbeats(&mut self) {
        let event = scheduler::Event {
            r#type: Some(scheduler::event::Type::Heartbeat.number()),
            ..scheduler::Event::default()
        };
        for outbox in self.schedulers.values() {
            // A full or closed outbox is noticed by its stream's own task.
            let _sent = send(outbox, &event);
        }
        for outbox in self.agents.values() {
            // An empty record is not allowed on the wire: an explicit "not gone" is one byte pair of nothing.
            let _sent = push(outbox, HEARTBEAT_COMMAND);
        }
        let notice = operator::Event {
            r#type: Some(operator::event::Type::Heartbeat.number()),
            ..operator::Event::default()
        };
        self.watchers.retain(|outbox| send(outbox, &notice));
        self.core.watched = !self.watchers.is_empty();
    }

    fn greet_watcher(&self, response: &operator::Response) {
        let subscribed = operator::event::Subscribed {
            get_state: response.get_state.clone(),
            heartbeat_interval_seconds: Some(self.heartbeat.as_secs_f64()),
        };
        let event = operator::Event {
            r#type: Some(operator::event::Type::Subscribed.number()),
            subscribed: Some(subscribed),
            ..operator::Event::default()
        };
        if let Some(outbox) = self.watchers.last() {
            let _sent = send(outbox, &event);
        }
    }

    /// Stores the registry. While the disk refuses it, nothing is sent and nobody is answered.
    async fn store(&self) -> Result<(), RunError> {
        let registry = Arc::new(self.core.registry());
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            let (file, registry) = (self.registry_file.clone(), Arc::clone(&registry));
            let stored = tokio::task::spawn_blocking(move || store_registry(&file, &registry))
                .await
                .map_err(|error| RunError::failed("storing the registry", error))?;
            let Err(error) = stored else { return Ok(()) };
            self.context.ready.say(format!(
                "the registry cannot be written: {error}; make room on the disk"
            ));
            if backoff.worth_logging() {
                tracing::error!(%error, "the registry cannot be written; nothing is done until it can");
            }
            if !backoff.wait(&self.context.shutdown).await {
                return Err(RunError::state(&self.registry_file, error));
            }
        }
    }
}

/// `gone = false`, written out: a record of no bytes does not exist in RecordIO.
const HEARTBEAT_COMMAND: &[u8] = &[0x48, 0x00];

fn send<T: prost::Message + serde::Serialize>(outbox: &Outbox, event: &T) -> bool {
    match bcs_mesos::encode(event, outbox.encoding) {
        Ok(record) => push(outbox, &record),
        Err(error) => {
            tracing::error!(%error, "event cannot be encoded");
            true
        }
    }
}

fn push(outbox: &Outbox, record: &[u8]) -> bool {
    outbox
        .records
        .try_send(bcs_mesos::recordio::encode(record))
        .is_ok()
}

fn store_registry(file: &Path, registry: &Registry) -> std::io::Result<()> {
    let text = serde_json::to_vec(registry)?;
    bcs_kit::atomic_write(file, &text, 0o600)
}

/// Reads the registry; absent is empty.
pub(crate) fn load_registry(file: &Path) -> Result<Registry, RunError> {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Registry::default());
        }
        Err(error) => return Err(RunError::state(file, error)),
    };
    let registry: Registry =
        serde_json::from_slice(&text).map_err(|error| RunError::state(file, error))?;
    if registry.version > crate::core::REGISTRY_VERSION {
        let text = format!(
            "version {} was written by a newer bcs; install that one",
            registry.version
        );
        return Err(RunError::state(file, text));
    }
    Ok(registry)
}

/// Shared by all routes.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) handle: Handle,
    pub(crate) context: Context,
    pub(crate) facts: Arc<crate::Facts>,
}
