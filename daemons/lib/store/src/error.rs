//! The one error type of both stores, and the class from which retries and HTTP codes derive.

use crate::Revision;

/// What a caller may do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing was written; the same call may succeed later.
    Transient,
    /// Somebody else was first: read again and decide anew.
    Conflict,
    /// The request itself is wrong and will never succeed.
    Invalid,
    /// The position asked for is no longer kept: list again.
    Gone,
    /// The data cannot be trusted; a person must act.
    Fatal,
}

/// Every failure of a store. A failed write has written nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A condition of a transaction does not hold.
    #[error("conflict on {key:?}: expected {expected}, found {found}; read it again and retry")]
    Conflict {
        /// The key whose condition failed.
        key: String,
        /// What the caller required.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The writer is no longer (or never was) the leader of the role.
    #[error(
        "write of {role:?} with term {term} refused: the current term is {current}; stop writing"
    )]
    Fenced {
        /// The leader role.
        role: String,
        /// The term of the refused write.
        term: u64,
        /// The term that is in force.
        current: u64,
    },
    /// The change feed no longer reaches back that far, or not yet that far.
    #[error("revision {requested} is out of the kept range {oldest}..={newest}; list again")]
    Compacted {
        /// The revision asked for.
        requested: Revision,
        /// A watch may start after this revision.
        oldest: Revision,
        /// The latest revision.
        newest: Revision,
    },
    /// A field of the request breaks a rule.
    #[error("{field}: {value:?} is not valid: {rule}")]
    Invalid {
        /// Which part of the request.
        field: String,
        /// The offending value (shortened).
        value: String,
        /// The rule it breaks.
        rule: String,
    },
    /// No space left; nothing was written.
    #[error("{operation}: no space left for the database; free some and the call will succeed")]
    Full {
        /// What was tried.
        operation: &'static str,
    },
    /// The back end cannot serve just now.
    #[error("{operation}: the store is not available: {reason}")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// The back end's words.
        reason: String,
    },
    /// The back end's data is damaged or of another version.
    #[error("{operation}: the store is damaged or foreign: {reason}; restore it from a backup")]
    Corrupt {
        /// What was tried.
        operation: &'static str,
        /// The back end's words.
        reason: String,
    },
}

impl StoreError {
    /// The class of this error.
    pub fn class(&self) -> Class {
        match self {
            Self::Conflict { .. } | Self::Fenced { .. } => Class::Conflict,
            Self::Compacted { .. } => Class::Gone,
            Self::Invalid { .. } => Class::Invalid,
            Self::Full { .. } | Self::Unavailable { .. } => Class::Transient,
            Self::Corrupt { .. } => Class::Fatal,
        }
    }

    /// Shorthand for [`StoreError::Invalid`]; long values are cut.
    pub fn invalid(field: &str, value: &str, rule: impl Into<String>) -> Self {
        let value = if value.chars().count() > 80 {
            let mut short: String = value.chars().take(80).collect();
            short.push('…');
            short
        } else {
            value.to_owned()
        };
        Self::Invalid {
            field: field.to_owned(),
            value,
            rule: rule.into(),
        }
    }
}
