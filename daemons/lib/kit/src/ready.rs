//! Readiness: a role says when its listeners are up and its state is restored, and in one line
//! what it is waiting for otherwise.

use std::sync::Arc;

use tokio::sync::watch;

/// The state of one role as health pages show it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct State {
    /// Listeners up and state restored.
    pub ready: bool,
    /// One line for people: what it does or what it waits for.
    pub text: String,
}

/// Set by the role, watched by health pages, by systemd's notification and by standalone.
#[derive(Clone, Debug)]
pub struct Ready(Arc<watch::Sender<State>>);

impl Default for Ready {
    fn default() -> Self {
        let text = "starting".to_owned();
        Self(Arc::new(watch::Sender::new(State { ready: false, text })))
    }
}

impl Ready {
    /// Ready from now on.
    pub fn set(&self) {
        self.0.send_if_modified(|state| {
            let changed = !state.ready;
            state.ready = true;
            if changed && state.text == "starting" {
                state.text = "ready".to_owned();
            }
            changed
        });
    }

    /// Replaces the line for people ("scheduler not reachable, retrying since 12 s").
    pub fn say(&self, text: impl Into<String>) {
        let text = text.into();
        self.0.send_if_modified(|state| {
            let changed = state.text != text;
            state.text = text;
            changed
        });
    }

    /// What it is now.
    pub fn state(&self) -> State {
        self.0.borrow().clone()
    }

    /// Waits until ready.
    pub async fn wait(&self) {
        let mut receiver = self.0.subscribe();
        // The sender lives in `self`, so this cannot fail.
        if receiver.wait_for(|state| state.ready).await.is_err() {
            tracing::debug!("readiness went away");
        }
    }
}
