//! The one task that owns the core: makes entries durable, then acts and answers.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bcs_kit::{Backoff, Context, RunError, Shutdown};
use bcs_mesos::link::Message;
use bcs_mesos::{ContentType, WireName as _, executor};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use crate::core::{Core, Effect, Input, Now, Outcome, Reply, Start};
use crate::journal::Journal;
use crate::records::Entry;

/// Inputs that may wait; when full, HTTP handlers wait, and so do their clients.
const INBOX: usize = 2048;
/// Events that may wait for one executor; when full, its stream is cut, and it subscribes again.
const EVENTS: usize = 4096;
/// Messages that may wait for the master; when full, the link is made anew with the whole state.
const MESSAGES: usize = 65_536;
/// Inputs that are made durable together.
const BATCH: usize = 512;
/// Executors being started at once wait here.
const STARTS: usize = 4096;

/// The sending end of a stream of events.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    pub(crate) records: mpsc::Sender<Bytes>,
    pub(crate) encoding: ContentType,
}

/// Both ends of a new stream of events.
pub(crate) fn channel(encoding: ContentType) -> (Outbox, mpsc::Receiver<Bytes>) {
    let (records, receiver) = mpsc::channel(EVENTS);
    (Outbox { records, encoding }, receiver)
}

/// What comes with an input.
#[derive(Debug)]
pub(crate) enum Attach {
    Nothing,
    /// The stream of an executor.
    Executor(String, Outbox),
    /// The link wants the messages that follow its state.
    Link(oneshot::Sender<mpsc::Receiver<Message>>),
}

struct Envelope {
    input: Input,
    attach: Attach,
    reply: oneshot::Sender<Reply>,
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Envelope")
            .field("input", &self.input)
            .finish_non_exhaustive()
    }
}

/// Gives inputs to the core.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    inbox: mpsc::Sender<Envelope>,
    /// Counts ended tasks: those who follow a log look again.
    pub(crate) ended: watch::Receiver<u64>,
}

impl Handle {
    pub(crate) async fn ask(&self, input: Input, attach: Attach) -> Reply {
        let (reply, answer) = oneshot::channel();
        let gone = || Reply::Refused(503, "the agent is leaving".to_owned());
        if self
            .inbox
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

    /// Without waiting for the step.
    pub(crate) async fn tell(&self, input: Input) {
        let (reply, _) = oneshot::channel();
        // Without a core there is nobody to tell.
        drop(
            self.inbox
                .send(Envelope {
                    input,
                    attach: Attach::Nothing,
                    reply,
                })
                .await,
        );
    }
}

/// What the core's effects need from outside.
#[derive(Debug)]
pub(crate) struct Workers {
    pub(crate) starts: mpsc::Sender<Start>,
    pub(crate) retired: mpsc::Sender<PathBuf>,
}

/// The receiving ends of [`Workers`].
#[derive(Debug)]
pub(crate) struct WorkerInboxes {
    pub(crate) starts: mpsc::Receiver<Start>,
    pub(crate) retired: mpsc::Receiver<PathBuf>,
}

pub(crate) fn workers() -> (Workers, WorkerInboxes) {
    let (starts, start_inbox) = mpsc::channel(STARTS);
    let (retired, retired_inbox) = mpsc::channel(STARTS);
    (
        Workers { starts, retired },
        WorkerInboxes {
            starts: start_inbox,
            retired: retired_inbox,
        },
    )
}

/// Starts the core with what recovery asks for; it runs until shutdown.
pub(crate) fn start(
    core: Core,
    journal: Journal,
    recovered: Outcome,
    started: Instant,
    workers: Workers,
    heartbeat: Duration,
    context: &Context,
) -> Handle {
    let (sender, inbox) = mpsc::channel(INBOX);
    let (ended, followers) = watch::channel(0);
    let driver = Driver {
        core,
        journal: Some(journal),
        started,
        executors: HashMap::new(),
        link: None,
        workers,
        ended,
        heartbeat,
        context: context.clone(),
    };
    let shutdown = context.shutdown.clone();
    context
        .tasks
        .spawn_essential("agent core", driver.run(recovered, inbox, shutdown));
    Handle {
        inbox: sender,
        ended: followers,
    }
}

struct Driver {
    core: Core,
    /// Away while it is being written to.
    journal: Option<Journal>,
    started: Instant,
    executors: HashMap<String, Outbox>,
    link: Option<mpsc::Sender<Message>>,
    workers: Workers,
    ended: watch::Sender<u64>,
    heartbeat: Duration,
    context: Context,
}

impl Driver {
    async fn run(
        mut self,
        recovered: Outcome,
        mut inbox: mpsc::Receiver<Envelope>,
        shutdown: Shutdown,
    ) -> Result<(), RunError> {
        self.store(recovered.journal).await?;
        self.carry_out(recovered.effects);
        let mut beat = tokio::time::interval(self.heartbeat);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        beat.reset();
        let mut batch = Vec::new();
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
                    self.take(std::mem::take(&mut batch)).await?;
                }
                () = wake => {
                    let now = self.now();
                    let outcome = self.core.step(Input::Tick, now);
                    self.store(outcome.journal).await?;
                    self.carry_out(outcome.effects);
                }
                _ = beat.tick() => self.send_heartbeats(),
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

    async fn take(&mut self, batch: Vec<Envelope>) -> Result<(), RunError> {
        let now = self.now();
        let mut entries = Vec::new();
        let mut effects = Vec::new();
        let mut replies = Vec::with_capacity(batch.len());
        for envelope in batch {
            let opened = match envelope.attach {
                Attach::Nothing => None,
                Attach::Executor(stream, outbox) => {
                    self.executors.insert(stream.clone(), outbox);
                    Some(stream)
                }
                Attach::Link(sender) => {
                    // What earlier steps of this batch say is part of the state that is composed now.
                    effects.retain(|effect| !matches!(effect, Effect::Master(_)));
                    let (messages, receiver) = mpsc::channel(MESSAGES);
                    self.link = Some(messages);
                    // A link that gave up meanwhile composes again.
                    drop(sender.send(receiver));
                    None
                }
            };
            let mut outcome = self.core.step(envelope.input, now);
            if let (Some(stream), Reply::Refused(..)) = (opened, &outcome.reply) {
                self.executors.remove(&stream);
            }
            entries.append(&mut outcome.journal);
            effects.append(&mut outcome.effects);
            replies.push((envelope.reply, outcome.reply));
        }
        self.store(entries).await?;
        self.carry_out(effects);
        for (sender, reply) in replies {
            // A caller that hung up does not want the answer.
            drop(sender.send(reply));
        }
        Ok(())
    }

    /// Makes entries durable. While the disk refuses them, nothing is acted upon and nobody is answered: going on
    /// would break what was promised, and stopping would not make room. Callers have their own time limits.
    async fn store(&mut self, entries: Vec<Entry>) -> Result<(), RunError> {
        if entries.is_empty() {
            return Ok(());
        }
        let entries = Arc::new(entries);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            let Some(mut journal) = self.journal.take() else {
                return Ok(());
            };
            let snapshot = journal.wants_compaction().then(|| self.core.snapshot());
            let batch = Arc::clone(&entries);
            let written = tokio::task::spawn_blocking(move || {
                let result = match snapshot {
                    // The state includes the entries. Without room for a new file, the old one goes on.
                    Some(snapshot) => journal
                        .rewrite(&snapshot)
                        .or_else(|_| journal.append(&batch)),
                    None => journal.append(&batch),
                };
                (journal, result)
            })
            .await;
            let (journal, result) =
                written.map_err(|error| RunError::failed("writing the agent's journal", error))?;
            self.journal = Some(journal);
            let Err(error) = result else { return Ok(()) };
            self.context.ready.say(format!(
                "the journal cannot be written: {error}; make room on the disk"
            ));
            if backoff.worth_logging() {
                tracing::error!(%error, "the journal cannot be written; nothing is done until it can");
            }
            if !backoff.wait(&self.context.shutdown).await {
                return Err(RunError::state("the agent's journal", error));
            }
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Master(message) => {
                    let full = self
                        .link
                        .as_ref()
                        .is_some_and(|link| link.try_send(*message).is_err());
                    if full {
                        self.link = None;
                    }
                }
                Effect::Relink => self.link = None,
                Effect::Event { stream, event } => {
                    if let Some(outbox) = self.executors.get(&stream)
                        && !send(outbox, event.as_ref())
                    {
                        tracing::warn!(
                            stream,
                            "executor does not read its events; its stream is cut"
                        );
                        self.executors.remove(&stream);
                    }
                }
                Effect::CloseStream { stream } => {
                    self.executors.remove(&stream);
                }
                Effect::Start(start) => {
                    if let Err(mpsc::error::TrySendError::Full(start)) =
                        self.workers.starts.try_send(*start)
                    {
                        // The launcher may be waiting for this very task to take its news.
                        let starts = self.workers.starts.clone();
                        self.context.tasks.spawn("executor start", async move {
                            drop(starts.send(start).await);
                        });
                    }
                }
                Effect::Kill { pid, start_time } => crate::launch::kill(pid, start_time),
                Effect::Ended => self.ended.send_modify(|count| *count += 1),
                Effect::Retire { directory } => {
                    // A full queue only means that the sweep finds this sandbox by itself later.
                    drop(self.workers.retired.try_send(directory));
                }
            }
        }
    }

    fn send_heartbeats(&mut self) {
        let event = executor::Event {
            r#type: Some(executor::event::Type::Heartbeat.number()),
            ..executor::Event::default()
        };
        self.executors
            .retain(|_, outbox| send(outbox, &event) || !outbox.records.is_closed());
    }
}

fn send(outbox: &Outbox, event: &executor::Event) -> bool {
    match bcs_mesos::encode(event, outbox.encoding) {
        Ok(record) => outbox
            .records
            .try_send(bcs_mesos::recordio::encode(&record))
            .is_ok(),
        Err(error) => {
            tracing::error!(%error, "event cannot be encoded");
            true
        }
    }
}
