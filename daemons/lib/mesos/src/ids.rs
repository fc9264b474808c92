//! Which identifiers the protocol allows, and short ways to make and read them.

use crate::types::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};

/// Why an identifier is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {value:?} is not allowed: {rule}")]
pub struct IdError {
    /// Which member it is.
    pub field: &'static str,
    /// What was given (shortened).
    pub value: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

/// The longest identifier.
pub const MAXIMUM_LENGTH: usize = 255;

/// Identifiers become file names at the agent, so the protocol forbids what a path would take apart.
///
/// # Errors
/// Names the member, its value and the broken rule.
pub fn validate(field: &'static str, value: &str) -> Result<(), IdError> {
    let rule = if value.is_empty() {
        "it must not be empty"
    } else if value.len() > MAXIMUM_LENGTH {
        "it must have at most 255 bytes"
    } else if value == "." || value == ".." {
        "it must not be '.' or '..'"
    } else if value
        .chars()
        .any(|character| character == '/' || character == '\\' || character.is_control())
    {
        "it must not contain '/', '\\' or control characters"
    } else {
        return Ok(());
    };
    Err(IdError {
        field,
        value: value.chars().take(64).collect(),
        rule,
    })
}

macro_rules! identifier {
    ($($name:ident),*) => {$(
        impl $name {
            /// Makes the identifier message.
            pub fn new(value: impl Into<String>) -> Self {
                Self { value: value.into() }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.value)
            }
        }
        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                Self::new(value)
            }
        }
        impl From<String> for $name {
            fn from(value: String) -> Self {
                Self { value }
            }
        }
        impl Eq for $name {}
        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.value.hash(state);
            }
        }
        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.value.cmp(&other.value)
            }
        }
        // A map keyed by the message can be asked with a plain string.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.value
            }
        }
    )*};
}

identifier!(AgentId, ExecutorId, FrameworkId, OfferId, TaskId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_that_would_leave_a_directory_are_refused() {
        for good in [
            "a",
            "0.web.ns.BCS-1.17",
            "...",
            "a b",
            "ü",
            &"x".repeat(255),
        ] {
            assert!(validate("task_id", good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a\\b",
            "a\nb",
            "a\u{7f}",
            &"x".repeat(256),
        ] {
            let error = validate("task_id", bad).unwrap_err();
            assert!(error.to_string().starts_with("task_id"), "{error}");
        }
    }
}
