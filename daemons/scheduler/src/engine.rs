//! The single writer: drains the inbox, steps, commits, and only then lets effects out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bcs_kit::{Backoff, RunError, Shutdown};
use bcs_store::{Class, Coordination, StoreError, Term, Transaction};
use tokio::sync::mpsc;

use crate::core::{Batch, Cluster, Effect, Event, Key, Now};
use crate::feed::Feed;
use crate::inbox::Inbox;
use crate::mesos::calls::Caller;
use crate::meters::Meters;
use crate::seal::Sealer;

/// Events of one batch, so that the first of a flood is not kept waiting for the last.
const BATCH_EVENTS: usize = 1024;

/// Failed commits before callers are told: about half a second.
const PATIENCE: u32 = 4;

/// The core with what it needs to act.
pub(crate) struct Engine {
    pub(crate) cluster: Cluster,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) inbox: Inbox,
    pub(crate) store: Arc<dyn Coordination>,
    pub(crate) term: Term,
    pub(crate) sealer: Sealer,
    pub(crate) feed: Arc<Feed>,
    pub(crate) caller: Caller,
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
    pub(crate) meters: Meters,
}

/// The time of events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Now {
        Now {
            // From 1 on, so that "since the beginning" is told from "never".
            millis: u64::try_from(self.0.elapsed().as_millis())
                .unwrap_or(u64::MAX)
                .saturating_add(1),
            unix_millis: bcs_kit::clock::unix_millis(),
        }
    }

    fn until(self, millis: u64) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.0 + Duration::from_millis(millis.saturating_sub(1)))
    }
}

impl Engine {
    /// Runs until shutdown, or until another scheduler has taken over.
    pub(crate) async fn run(mut self) -> Result<(), RunError> {
        let result = self.work().await;
        self.events.close();
        self.inbox.close();
        result
    }

    async fn work(&mut self) -> Result<(), RunError> {
        // What loading left to do comes first.
        self.end_batch().await?;
        loop {
            let deadline = self
                .cluster
                .next_deadline()
                .map(|millis| self.clock.until(millis));
            let first = tokio::select! {
                () = self.shutdown.cancelled() => return Ok(()),
                event = self.events.recv() => match event {
                    Some(event) => event,
                    None => return Ok(()),
                },
                () = sleep_until(deadline) => Event::Tick,
            };
            let now = self.clock.now();
            self.cluster.step(first, now);
            for _ in 1..BATCH_EVENTS {
                let Ok(event) = self.events.try_recv() else {
                    break;
                };
                self.cluster.step(event, now);
            }
            self.end_batch().await?;
        }
    }

    async fn end_batch(&mut self) -> Result<(), RunError> {
        let batch = self.cluster.finish(self.clock.now());
        if !batch.is_clean() {
            let started = Instant::now();
            let Some(revision) = self.commit(&batch).await? else {
                return Ok(());
            };
            self.meters.committed(started.elapsed());
            self.feed.publish(revision, &batch.changes);
        }
        for effect in batch.effects {
            self.let_out(effect).await;
        }
        Ok(())
    }

    /// Commits, for as long as it takes; `None` when leaving came first.
    async fn commit(&self, batch: &Batch) -> Result<Option<u64>, RunError> {
        let mut transaction = Transaction::new().fenced(&self.term);
        for (key, value) in &batch.puts {
            let path = key.path();
            let value = if matches!(key, Key::Secret(_)) {
                self.sealer
                    .seal(&path, value)
                    .map_err(|error| RunError::failed("sealing", error))?
            } else {
                value.clone()
            };
            transaction.puts.push((path, value));
        }
        transaction
            .deletes
            .extend(batch.deletes.iter().map(Key::path));
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(250));
        loop {
            match self.store.transact(transaction.clone()).await {
                Ok(revision) => {
                    if backoff.attempt() > 0 {
                        tracing::info!("storing works again");
                        self.inbox.stores_again();
                    }
                    return Ok(Some(revision));
                }
                Err(error @ StoreError::Fenced { .. }) => {
                    return Err(RunError::failed("another scheduler has taken over", error));
                }
                Err(error) if error.class() == Class::Transient => {
                    // A busy moment is waited out; a full disk is not kept from people.
                    if backoff.attempt() == PATIENCE {
                        self.inbox.cannot_store(&error.to_string());
                    }
                    if !backoff.wait(&self.shutdown).await {
                        return Ok(None);
                    }
                    if backoff.worth_logging() {
                        tracing::error!(%error, "cannot store; nothing is let out until it works");
                    }
                }
                Err(error) => return Err(RunError::failed("storing", error)),
            }
        }
    }

    async fn let_out(&mut self, effect: Effect) {
        match effect {
            Effect::Reply { ticket, result } => {
                self.meters.answered();
                self.inbox.answer(ticket, result);
            }
            Effect::FetchAgents => self.caller.fetch_agents(),
            Effect::Acknowledge { call, session } => {
                self.meters.acknowledged();
                self.caller.acknowledge(call, session);
            }
            Effect::Call { call, session } => self.caller.call(call, session, Vec::new()),
            Effect::Accept {
                call,
                taskgroups,
                session,
            } => {
                self.meters.launched(taskgroups.len());
                self.caller.call(call, session, taskgroups);
            }
        }
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
