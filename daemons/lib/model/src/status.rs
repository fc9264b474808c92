//! Statuses of tasks, taskgroups and applications, and the pure rules between them.
//!
//! ```text
//! task and taskgroup
//!            +-----------------------------------------------+
//!            |                                               v
//!  Staging --+--> Starting --> Running <--> Restarting    Failed / Error / Finish / Killed   (ends)
//!     |              |          |  ^                         ^
//!     |              |          v  |                         |
//!     +--------------+-------> Lost (may come back) ---------+
//!     +--------------+-------> Killing ----------------------+
//! ```
//!
//! The ends are sticky: what is reported later is not believed.

use serde::{Deserialize, Serialize};

/// Status of a task and of a taskgroup.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Status {
    /// Launch ordered.
    #[default]
    Staging,
    /// The executor works on it.
    Starting,
    /// Up.
    Running,
    /// Ended by itself and well, or stopped as ordered.
    Finish,
    /// Refused: it can never start in this form.
    Error,
    /// Stop ordered.
    Killing,
    /// Stopped by order.
    Killed,
    /// Ended badly.
    Failed,
    /// Its host is out of sight.
    Lost,
    /// Restarting in place.
    Restarting,
    /// Nothing is known.
    #[serde(other)]
    Unknown,
}

impl Status {
    /// Every status, for tables and tests.
    pub const ALL: [Self; 11] = [
        Self::Staging,
        Self::Starting,
        Self::Running,
        Self::Finish,
        Self::Error,
        Self::Killing,
        Self::Killed,
        Self::Failed,
        Self::Lost,
        Self::Restarting,
        Self::Unknown,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Staging => "Staging",
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Finish => "Finish",
            Self::Error => "Error",
            Self::Killing => "Killing",
            Self::Killed => "Killed",
            Self::Failed => "Failed",
            Self::Lost => "Lost",
            Self::Restarting => "Restarting",
            Self::Unknown => "Unknown",
        }
    }

    /// An end: nothing runs any more and later reports do not count.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(
            self,
            Self::Finish | Self::Error | Self::Killed | Self::Failed
        )
    }

    /// Counts as running for the application.
    #[must_use]
    pub fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::Restarting)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The status of a taskgroup from those of its tasks: the first rule that matches.
#[must_use]
pub fn aggregate(tasks: &[Status]) -> Status {
    let any = |wanted: Status| tasks.contains(&wanted);
    let all = |wanted: Status| !tasks.is_empty() && tasks.iter().all(|status| *status == wanted);
    if any(Status::Failed) {
        Status::Failed
    } else if any(Status::Killing) {
        Status::Killing
    } else if any(Status::Error) {
        Status::Error
    } else if all(Status::Finish) {
        Status::Finish
    } else if all(Status::Killed) {
        Status::Killed
    } else if !tasks.is_empty() && tasks.iter().all(|status| status.is_end()) {
        // Some finished by themselves before the others were stopped.
        Status::Killed
    } else if any(Status::Lost) {
        Status::Lost
    } else if all(Status::Staging) {
        Status::Staging
    } else if any(Status::Starting) {
        Status::Starting
    } else if any(Status::Restarting) {
        Status::Restarting
    } else if any(Status::Running) {
        Status::Running
    } else if any(Status::Staging) {
        Status::Starting
    } else {
        Status::Unknown
    }
}

/// Status of an application.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum AppStatus {
    /// Accepted, nothing done yet.
    #[default]
    Staging,
    /// Everything launched, not everything up.
    Deploying,
    /// As wanted.
    Running,
    /// All taskgroups finished.
    Finish,
    /// A taskgroup was refused.
    Error,
    /// An operation is under way.
    Operating,
    /// Its deployment replaces it.
    RollingUpdate,
    /// Not as wanted; the message says why.
    Abnormal,
    /// Nothing is known.
    #[serde(other)]
    Unknown,
}

impl AppStatus {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Staging => "Staging",
            Self::Deploying => "Deploying",
            Self::Running => "Running",
            Self::Finish => "Finish",
            Self::Error => "Error",
            Self::Operating => "Operating",
            Self::RollingUpdate => "RollingUpdate",
            Self::Abnormal => "Abnormal",
            Self::Unknown => "Unknown",
        }
    }
}

impl std::fmt::Display for AppStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which half of a rolling update an application is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AppSubStatus {
    /// The old one.
    RollingUpdateDown,
    /// The new one.
    RollingUpdateUp,
    /// None.
    #[default]
    #[serde(other)]
    Unknown,
}

/// How many taskgroups of an application are in each status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusCounts {
    /// Error.
    pub error: u64,
    /// Failed.
    pub failed: u64,
    /// Lost.
    pub lost: u64,
    /// Finish, and Killed, which is how a stop that was ordered ends.
    pub finished: u64,
    /// Staging and Starting.
    pub starting: u64,
    /// Running and Restarting.
    pub running: u64,
    /// Killing and Unknown.
    pub other: u64,
}

impl StatusCounts {
    /// Counts one more.
    pub fn add(&mut self, status: Status) {
        *self.slot(status) += 1;
    }

    /// Counts one less.
    pub fn remove(&mut self, status: Status) {
        let slot = self.slot(status);
        *slot = slot.saturating_sub(1);
    }

    /// All taskgroups.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.error
            + self.failed
            + self.lost
            + self.finished
            + self.starting
            + self.running
            + self.other
    }

    fn slot(&mut self, status: Status) -> &mut u64 {
        match status {
            Status::Error => &mut self.error,
            Status::Failed => &mut self.failed,
            Status::Lost => &mut self.lost,
            Status::Finish | Status::Killed => &mut self.finished,
            Status::Staging | Status::Starting => &mut self.starting,
            Status::Running | Status::Restarting => &mut self.running,
            Status::Killing | Status::Unknown => &mut self.other,
        }
    }
}

impl FromIterator<Status> for StatusCounts {
    fn from_iter<I: IntoIterator<Item = Status>>(statuses: I) -> Self {
        let mut counts = Self::default();
        for status in statuses {
            counts.add(status);
        }
        counts
    }
}

/// The status of an application outside of operations, and the words for it.
#[must_use]
pub fn application_status(counts: &StatusCounts, defined: u64) -> (AppStatus, String) {
    let built = counts.total();
    if counts.error > 0 {
        (
            AppStatus::Error,
            format!("{} of {built} taskgroups in error", counts.error),
        )
    } else if counts.failed > 0 {
        (
            AppStatus::Abnormal,
            format!("{} of {built} taskgroups failed", counts.failed),
        )
    } else if counts.lost > 0 {
        (
            AppStatus::Abnormal,
            format!("{} of {built} taskgroups lost", counts.lost),
        )
    } else if built < defined {
        (
            AppStatus::Abnormal,
            "have not enough resources to launch application".to_owned(),
        )
    } else if counts.finished == built && built > 0 {
        (AppStatus::Finish, "application is finished".to_owned())
    } else if counts.starting > 0 {
        (AppStatus::Deploying, "application in deploying".to_owned())
    } else if counts.running == defined {
        (AppStatus::Running, "application is running".to_owned())
    } else {
        (
            AppStatus::Abnormal,
            format!("{} of {defined} taskgroups running", counts.running),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taskgroup_status_is_the_first_rule_that_matches() {
        use Status::{
            Error, Failed, Finish, Killed, Killing, Lost, Restarting, Running, Staging, Starting,
        };
        let table: &[(&[Status], Status)] = &[
            (&[Running, Failed], Failed),
            (&[Failed, Killing], Failed),
            (&[Running, Killing], Killing),
            (&[Error, Running], Error),
            (&[Finish, Finish], Finish),
            (&[Finish, Running], Running),
            (&[Killed, Killed], Killed),
            (&[Killed, Finish], Killed),
            (&[Lost, Running], Lost),
            (&[Staging, Staging], Staging),
            (&[Staging, Running], Running),
            (&[Starting, Running], Starting),
            (&[Restarting, Running], Restarting),
            (&[Running], Running),
            (&[Staging, Finish], Starting),
            (&[], Status::Unknown),
        ];
        for (tasks, wanted) in table {
            assert_eq!(aggregate(tasks), *wanted, "{tasks:?}");
        }
    }

    #[test]
    fn application_status_is_the_first_rule_that_matches() {
        use Status::{
            Error, Failed, Finish, Killing, Lost, Restarting, Running, Staging, Starting,
        };
        let table: &[(&[Status], u64, AppStatus)] = &[
            (&[Error, Failed], 2, AppStatus::Error),
            (&[Running, Failed], 2, AppStatus::Abnormal),
            (&[Running, Lost], 2, AppStatus::Abnormal),
            (&[Running], 2, AppStatus::Abnormal),
            (&[Finish, Finish], 2, AppStatus::Finish),
            (&[Running, Starting], 2, AppStatus::Deploying),
            (&[Running, Staging], 2, AppStatus::Deploying),
            (&[Running, Restarting], 2, AppStatus::Running),
            (&[Running, Killing], 2, AppStatus::Abnormal),
            (&[Running, Finish], 2, AppStatus::Abnormal),
            (&[], 1, AppStatus::Abnormal),
            (&[], 0, AppStatus::Running),
        ];
        for (groups, defined, wanted) in table {
            let counts: StatusCounts = groups.iter().copied().collect();
            assert_eq!(
                application_status(&counts, *defined).0,
                *wanted,
                "{groups:?} of {defined}"
            );
        }
    }

    #[test]
    fn unknown_words_decode_as_unknown() {
        let status: Status = serde_json::from_str("\"Odd\"").unwrap();
        assert_eq!(status, Status::Unknown);
        assert_eq!(
            serde_json::to_string(&Status::Finish).unwrap(),
            "\"Finish\""
        );
    }
}
