//! Task states: which of them end a task, and how they read from and as text.

use crate::json::WireName;
use crate::types::{TaskState, TaskStatus};

impl TaskState {
    /// The task has ended for good. `LOST` counts: that is how frameworks which do not know partitions hear of an
    /// end. `UNREACHABLE`, `GONE_BY_OPERATOR` and `UNKNOWN` may still come back.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Finished
                | Self::Failed
                | Self::Killed
                | Self::Error
                | Self::Lost
                | Self::Dropped
                | Self::Gone
        )
    }

    /// The state with the protocol's name, such as `TASK_RUNNING`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::from_wire_name(name)
    }

    /// The protocol's name.
    pub fn name(self) -> &'static str {
        self.wire_name()
    }

    /// What a framework that does not know partitions is told in place of the finer states.
    pub fn without_partitions(self) -> Self {
        match self {
            Self::Unreachable
            | Self::Gone
            | Self::GoneByOperator
            | Self::Dropped
            | Self::Unknown => Self::Lost,
            other => other,
        }
    }
}

impl TaskStatus {
    /// Only statuses with a uuid are acknowledged.
    pub fn wants_acknowledgement(&self) -> bool {
        self.uuid.as_ref().is_some_and(|uuid| !uuid.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ends_of_states() {
        for number in 0..=13 {
            let state = TaskState::try_from(number).unwrap();
            assert_eq!(TaskState::from_name(state.name()), Some(state));
            assert!(state.name().starts_with("TASK_"));
        }
        assert!(TaskState::Killed.is_terminal() && !TaskState::Killing.is_terminal());
        assert!(!TaskState::Unreachable.is_terminal());
        assert_eq!(TaskState::Unreachable.without_partitions(), TaskState::Lost);
    }
}
