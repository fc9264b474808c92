//! Messages to systemd; silently nothing where there is no notification socket.

use sd_notify::NotifyState;

/// Started: listeners are up and state is restored.
pub fn ready(text: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(text)]);
}

/// One line of counts for `systemctl status`.
pub fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

/// Leaving.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// Alive, after a self check.
pub fn watchdog() {
    send(&[NotifyState::Watchdog]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "cannot notify the service manager");
    }
}
