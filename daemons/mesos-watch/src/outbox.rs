//! What is still to be written to storage: the latest state of each object, in order of arrival.
//!
//! A newer state of an object that still waits replaces the older one in its place, so the box
//! holds at most one entry for each object however long storage is away. When it is full the
//! reader waits, and with it the scheduler's stream.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Identity of an object: kind, namespace, name.
pub(crate) type Key = (String, String, String);

/// What to do with an object; `None` removes it.
pub(crate) type Operation = (Key, Option<String>);

/// Objects that may wait. More than any cluster has; a bound all the same.
const MAX_WAITING: usize = 200_000;
/// Largest object; storage takes bodies of 8 MiB.
pub(crate) const MAX_OBJECT_BYTES: usize = 7 * 1024 * 1024;
/// One batch, unless a single object is larger.
const BATCH_OPERATIONS: usize = 2000;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Default)]
struct State {
    order: VecDeque<Key>,
    waiting: BTreeMap<Key, Option<String>>,
    /// A batch was taken and is not known to be written yet.
    sending: bool,
}

/// Shared by the reader, which fills it, and the sender, which drains it.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
}

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an operation; waits while the box is full.
    pub(crate) async fn push(&self, key: Key, content: Option<String>) {
        loop {
            let room = self.drained.notified();
            {
                let mut state = self.state();
                if state.waiting.len() < MAX_WAITING || state.waiting.contains_key(&key) {
                    if state.waiting.insert(key.clone(), content).is_none() {
                        state.order.push_back(key);
                    }
                    break;
                }
            }
            room.await;
        }
        self.filled.notify_one();
    }

    /// The next batch; waits for one. It counts as being sent until [`Outbox::sent`].
    pub(crate) async fn take(&self) -> Vec<Operation> {
        loop {
            let news = self.filled.notified();
            let batch = self.take_now();
            if !batch.is_empty() {
                return batch;
            }
            news.await;
        }
    }

    fn take_now(&self) -> Vec<Operation> {
        let mut state = self.state();
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH_OPERATIONS {
            let Some(key) = state.order.front().cloned() else {
                break;
            };
            let size = match state.waiting.get(&key) {
                Some(content) => content.as_ref().map_or(0, String::len) + 512,
                None => 0,
            };
            if bytes + size > BATCH_BYTES && !batch.is_empty() {
                break;
            }
            bytes += size;
            state.order.pop_front();
            if let Some(content) = state.waiting.remove(&key) {
                batch.push((key, content));
            }
        }
        state.sending = !batch.is_empty();
        batch
    }

    /// The batch that was taken is written.
    pub(crate) fn sent(&self) {
        self.state().sending = false;
        self.drained.notify_waiters();
    }

    /// Objects that wait.
    pub(crate) fn len(&self) -> usize {
        self.state().waiting.len()
    }

    /// Nothing waits and nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state();
        state.waiting.is_empty() && !state.sending
    }

    /// Forgets what waits, then waits until nothing is on its way.
    pub(crate) async fn reset(&self) {
        loop {
            let done = self.drained.notified();
            {
                let mut state = self.state();
                state.waiting.clear();
                state.order.clear();
                if !state.sending {
                    return;
                }
            }
            done.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        ("taskgroup".into(), "n".into(), name.into())
    }

    #[tokio::test]
    async fn the_latest_state_wins_in_the_place_of_the_first() {
        let outbox = Outbox::default();
        outbox.push(key("a"), Some("1".into())).await;
        outbox.push(key("b"), Some("1".into())).await;
        outbox.push(key("a"), None).await;
        assert_eq!(
            outbox.take().await,
            [(key("a"), None), (key("b"), Some("1".into()))]
        );
        assert!(!outbox.is_idle());
        outbox.push(key("a"), Some("2".into())).await;
        outbox.sent();
        assert_eq!(outbox.take().await, [(key("a"), Some("2".into()))]);
        outbox.sent();
        assert!(outbox.is_idle());
    }

    #[tokio::test]
    async fn batches_are_bounded() {
        let outbox = Outbox::default();
        for index in 0..3 {
            outbox
                .push(key(&index.to_string()), Some("x".repeat(3 * 1024 * 1024)))
                .await;
        }
        for _ in 0..3 {
            assert_eq!(outbox.take().await.len(), 1);
        }
        for index in 0..2500 {
            outbox.push(key(&index.to_string()), None).await;
        }
        assert_eq!(outbox.take().await.len(), 2000);
        assert_eq!(outbox.take().await.len(), 500);
    }

    #[tokio::test]
    async fn a_reset_waits_for_what_is_on_its_way() {
        let outbox = Outbox::default();
        outbox.push(key("a"), None).await;
        let batch = outbox.take().await;
        outbox.push(key("b"), None).await;
        let mut reset = std::pin::pin!(outbox.reset());
        assert!(futures_util::poll!(reset.as_mut()).is_pending());
        assert_eq!(batch.len(), 1);
        outbox.sent();
        reset.await;
        assert_eq!(outbox.len(), 0);
    }
}
