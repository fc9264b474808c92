//! Supervised tasks: a panic or an error of a long-lived task is an event that stops the daemon,
//! never a silence.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::Shutdown;

/// The tasks of one daemon (or of one role in a shared process).
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    shutdown: Shutdown,
    running: Arc<Mutex<std::collections::BTreeMap<u64, &'static str>>>,
    failure: Arc<Mutex<Option<String>>>,
    next: Arc<std::sync::atomic::AtomicU64>,
}

/// Takes a task off the list of the running ones, however it ends.
struct Running<'a>(&'a Tasks, u64, &'static str, bool);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Ok(mut running) = self.0.running.lock() {
            running.remove(&self.1);
        }
        // Reached with `false` only when the future unwound or was dropped by the runtime.
        if !self.3 && std::thread::panicking() {
            self.0.fail(format!("task {} panicked", self.2));
        }
    }
}

impl Tasks {
    /// No tasks yet; `shutdown` is cancelled when one of them fails.
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            tracker: TaskTracker::new(),
            shutdown,
            running: Arc::default(),
            failure: Arc::default(),
            next: Arc::default(),
        }
    }

    /// Runs a long-lived task under `name`. A panic stops the daemon; a normal end is fine.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the supervised spawn itself"
    )]
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let id = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if let Ok(mut running) = self.running.lock() {
            running.insert(id, name);
        }
        let tasks = self.clone();
        let guarded = async move {
            let mut guard = Running(&tasks, id, name, false);
            future.await;
            guard.3 = true;
        };
        drop(tokio::spawn(self.tracker.track_future(guarded)));
    }

    /// Runs a task that must go on until shutdown: an early end, or an error, stops the daemon.
    pub fn spawn_essential<F, E>(&self, name: &'static str, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        let tasks = self.clone();
        self.spawn(name, async move {
            match future.await {
                Ok(()) if tasks.shutdown.is_cancelled() => {}
                Ok(()) => tasks.fail(format!("task {name} ended early")),
                Err(error) => tasks.fail(format!("task {name}: {error}")),
            }
        });
    }

    fn fail(&self, what: String) {
        tracing::error!(failure = %what, "a task failed; stopping");
        if let Ok(mut failure) = self.failure.lock() {
            failure.get_or_insert(what);
        }
        self.shutdown.cancel();
    }

    /// The first failure, if a task failed.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().ok().and_then(|failure| failure.clone())
    }

    /// Waits until all tasks have ended, at most `grace`; returns the names of those still there.
    pub async fn drain(&self, grace: Duration) -> Vec<&'static str> {
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_ok()
        {
            return Vec::new();
        }
        self.running
            .lock()
            .map(|running| running.values().copied().collect())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_stops_the_daemon_and_names_the_task() {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        tasks.spawn("fragile", async { panic!("on purpose") });
        shutdown.cancelled().await;
        assert!(tasks.failure().expect("a failure").contains("fragile"));
        assert!(tasks.drain(Duration::from_secs(5)).await.is_empty());
    }

    #[tokio::test]
    async fn an_essential_task_may_end_only_after_shutdown() {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        tasks.spawn_essential("short", async { Ok::<(), std::io::Error>(()) });
        shutdown.cancelled().await;
        assert!(tasks.failure().expect("a failure").contains("ended early"));
    }

    #[tokio::test]
    async fn drain_names_what_still_runs() {
        let tasks = Tasks::new(Shutdown::new());
        tasks.spawn("stuck", std::future::pending());
        assert_eq!(tasks.drain(Duration::from_millis(10)).await, vec!["stuck"]);
    }
}
