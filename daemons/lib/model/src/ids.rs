//! Identifiers: taskgroup and task ids are parts joined by dots, hence the strict names.

use std::fmt;
use std::str::FromStr;

/// Longest id that Mesos takes.
pub const MAX_ID_LENGTH: usize = 255;

/// Longest label of RFC 1123.
pub const MAX_LABEL_LENGTH: usize = 63;

/// A name or id that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a label of RFC 1123.
    #[error(
        "{field} {value:?} is invalid: use 1 to 63 lower-case letters, digits or '-', \
         beginning and ending with a letter or digit"
    )]
    Label {
        /// Which field.
        field: String,
        /// Its value.
        value: String,
    },
    /// An id with missing or odd parts.
    #[error("{what} id {value:?} is invalid: expected {expected}")]
    Malformed {
        /// Which id.
        what: &'static str,
        /// Its value.
        value: String,
        /// Its shape.
        expected: &'static str,
    },
    /// An id that Mesos would refuse.
    #[error("id {value:?} has {length} characters, Mesos takes at most 255: shorten the names")]
    TooLong {
        /// The id.
        value: String,
        /// Its length.
        length: usize,
    },
}

/// Checks that a text is a label of RFC 1123: at most 63 of `a-z 0-9 -`, no dash at an end.
///
/// # Errors
///
/// [`IdError::Label`] names the field and the rule.
pub fn check_label(field: &str, value: &str) -> Result<(), IdError> {
    if is_label(value) {
        Ok(())
    } else {
        Err(IdError::Label {
            field: field.to_owned(),
            value: shorten(value),
        })
    }
}

/// Whether a text is a label of RFC 1123.
#[must_use]
pub fn is_label(value: &str) -> bool {
    let bytes = value.as_bytes();
    let edge = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    bytes.len() <= MAX_LABEL_LENGTH
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

/// Namespaces of the reference use capitals (`defaultGroup`), so they are allowed here: the rule
/// is otherwise that of [`check_label`].
///
/// # Errors
///
/// [`IdError::Label`] names the field and the rule.
pub fn check_namespace(field: &str, value: &str) -> Result<(), IdError> {
    if is_label(&value.to_ascii_lowercase()) {
        Ok(())
    } else {
        Err(IdError::Label {
            field: field.to_owned(),
            value: shorten(value),
        })
    }
}

fn shorten(value: &str) -> String {
    value.chars().take(80).collect()
}

/// `<index>.<app>.<namespace>.<cluster>.<nanos>`; the id of a taskgroup and of its executor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskGroupId {
    /// Index in the application.
    pub index: u64,
    /// Application.
    pub app: String,
    /// Namespace.
    pub namespace: String,
    /// Cluster.
    pub cluster: String,
    /// Time of the build in nanoseconds.
    pub nanos: u64,
}

impl TaskGroupId {
    /// The display name `<app>-<index>`.
    #[must_use]
    pub fn pod_name(&self) -> String {
        format!("{}-{}", self.app, self.index)
    }

    /// The id of the task at this place in the taskgroup.
    #[must_use]
    pub fn task(&self, task_index: u64) -> TaskId {
        TaskId {
            task_index,
            group: self.clone(),
        }
    }

    /// Checks that this id and its task ids fit into Mesos' limit.
    ///
    /// # Errors
    ///
    /// [`IdError::TooLong`].
    pub fn check_length(&self, tasks: u64) -> Result<(), IdError> {
        let longest = self.task(tasks).to_string();
        // A Mesos task name is "<nanos>-<task id>".
        let length = longest.len() + 21;
        if length > MAX_ID_LENGTH {
            return Err(IdError::TooLong {
                value: longest,
                length,
            });
        }
        Ok(())
    }
}

impl fmt::Display for TaskGroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}.{}.{}",
            self.index, self.app, self.namespace, self.cluster, self.nanos
        )
    }
}

impl FromStr for TaskGroupId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let malformed = || IdError::Malformed {
            what: "taskgroup",
            value: shorten(text),
            expected: "<index>.<app>.<namespace>.<cluster>.<nanoseconds>",
        };
        let parts: Vec<&str> = text.split('.').collect();
        let [index, app, namespace, cluster, nanos] = parts.as_slice() else {
            return Err(malformed());
        };
        if [app, namespace, cluster].iter().any(|part| part.is_empty()) {
            return Err(malformed());
        }
        Ok(Self {
            index: index.parse().map_err(|_| malformed())?,
            app: (*app).to_owned(),
            namespace: (*namespace).to_owned(),
            cluster: (*cluster).to_owned(),
            nanos: nanos.parse().map_err(|_| malformed())?,
        })
    }
}

/// `<nanos>.<task index>.<index>.<app>.<namespace>.<cluster>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// Place in the taskgroup.
    pub task_index: u64,
    /// Its taskgroup.
    pub group: TaskGroupId,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = &self.group;
        write!(
            f,
            "{}.{}.{}.{}.{}.{}",
            group.nanos, self.task_index, group.index, group.app, group.namespace, group.cluster
        )
    }
}

impl FromStr for TaskId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let malformed = || IdError::Malformed {
            what: "task",
            value: shorten(text),
            expected: "<nanoseconds>.<task index>.<index>.<app>.<namespace>.<cluster>",
        };
        let parts: Vec<&str> = text.split('.').collect();
        let [nanos, task_index, index, app, namespace, cluster] = parts.as_slice() else {
            return Err(malformed());
        };
        if [app, namespace, cluster].iter().any(|part| part.is_empty()) {
            return Err(malformed());
        }
        Ok(Self {
            task_index: task_index.parse().map_err(|_| malformed())?,
            group: TaskGroupId {
                index: index.parse().map_err(|_| malformed())?,
                app: (*app).to_owned(),
                namespace: (*namespace).to_owned(),
                cluster: (*cluster).to_owned(),
                nanos: nanos.parse().map_err(|_| malformed())?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_follow_rfc_1123() {
        for good in ["a", "web-1", "0", "a--b", &"x".repeat(63)] {
            assert!(is_label(good), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "a.b",
            "A",
            "a_b",
            "é",
            "a/b",
            &"x".repeat(64),
        ] {
            assert!(!is_label(bad), "{bad}");
        }
        let error = check_label("metadata.name", "a.b").unwrap_err().to_string();
        assert!(
            error.contains("metadata.name") && error.contains("a.b"),
            "{error}"
        );
        check_namespace("metadata.namespace", "defaultGroup").unwrap();
    }

    proptest! {
        #[test]
        fn ids_survive_a_round_trip(
            index in 0u64..10_000, task in 0u64..20, nanos in any::<u64>(),
            app in "[a-z][a-z0-9-]{0,20}", namespace in "[a-zA-Z][a-zA-Z0-9-]{0,20}",
        ) {
            let group = TaskGroupId {
                index, app, namespace, cluster: "BCS-MESOS-10000".to_owned(), nanos,
            };
            prop_assert_eq!(group.to_string().parse::<TaskGroupId>().unwrap(), group.clone());
            let id = group.task(task);
            prop_assert_eq!(id.to_string().parse::<TaskId>().unwrap(), id);
        }

        #[test]
        fn garbage_is_refused_without_a_panic(text in ".{0,80}") {
            let _ = text.parse::<TaskGroupId>();
            let _ = text.parse::<TaskId>();
        }
    }
}
