//! How a command ends: one readable line and an exit code that scripts can rely on.

use std::io::ErrorKind;
use std::process::ExitCode;

use bcs_api::ClientError;

/// The end of a verb.
pub(super) type Done = Result<(), Failure>;

/// Why a verb did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The system refused, or could not be asked.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// Nothing has that name.
    #[error("{0}")]
    NotFound(String),
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// It did not happen in time.
    #[error("{0}")]
    TimedOut(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
    /// Standard output was closed or is full.
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
    /// Each part was reported where it failed; this is only the exit code.
    #[error("")]
    Reported(u8),
}

impl Failure {
    /// The documented exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Client(error) if error.is_not_found() => 3,
            Self::Client(ClientError::Kind { .. } | ClientError::Document(_)) | Self::Usage(_) => 2,
            Self::Client(ClientError::TimedOut { .. }) | Self::TimedOut(_) => 4,
            Self::NotFound(_) => 3,
            Self::Output(error) if error.kind() == ErrorKind::BrokenPipe => 0,
            Self::Reported(code) => *code,
            Self::Client(_) | Self::Failed(_) | Self::Output(_) => 1,
        }
    }

    /// One line on standard error, unless there is nothing to say.
    pub(super) fn report(&self) -> ExitCode {
        let quiet = match self {
            Self::Reported(_) => true,
            Self::Output(error) => error.kind() == ErrorKind::BrokenPipe,
            _ => false,
        };
        if !quiet {
            super::note(&format!("bcs: {}", one_line(&self.to_string())));
        }
        ExitCode::from(self.code())
    }
}

/// Messages of services may hold anything.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().filter(|letter| !letter.is_control()));
    }
    line
}
