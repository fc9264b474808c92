//! What every daemon shares: supervised tasks, orderly shutdown, configuration, logging, metrics,
//! readiness, atomic files, back-off and the clock.
//!
//! It knows nothing of HTTP, of stores or of any role. A role gets a [`Context`] and returns when
//! its shutdown token is cancelled or when it cannot go on.

pub mod backoff;
pub mod clock;
pub mod config;
pub mod context;
pub mod exit;
pub mod files;
pub mod host;
pub mod lock;
pub mod logging;
pub mod notify;
pub mod ready;
pub mod redacted;
pub mod shutdown;
pub mod tasks;

pub use backoff::Backoff;
pub use context::{Context, Metrics};
pub use files::{append_sync, atomic_write};
pub use ready::Ready;
pub use redacted::Redacted;
pub use shutdown::Shutdown;
pub use tasks::Tasks;

/// Why a role's `run` ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The settings are wrong; starting again will not help (exit code 78).
    #[error("configuration: {field} = {value:?}: {reason}")]
    Settings {
        /// The key as the file has it.
        field: &'static str,
        /// What was there.
        value: String,
        /// The rule, and what to write instead.
        reason: String,
    },
    /// A socket could not be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address or path.
        address: String,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// State on disk cannot be read or written.
    #[error("state in {path}: {source}")]
    State {
        /// The file or folder.
        path: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Anything else that ends the role.
    #[error("{what}: {source}")]
    Failed {
        /// The step that failed.
        what: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RunError {
    /// A [`RunError::State`] for `path`.
    pub fn state(
        path: impl AsRef<std::path::Path>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::State {
            path: path.as_ref().display().to_string(),
            source: source.into(),
        }
    }

    /// A [`RunError::Failed`] in step `what`.
    pub fn failed(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Failed {
            what: what.into(),
            source: source.into(),
        }
    }
}
