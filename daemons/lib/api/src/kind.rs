//! The kinds that people name on a command line.

use crate::ClientError;
use std::fmt;
use std::str::FromStr;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Containers in several instances.
    Application,
    /// Processes in several instances.
    Process,
    /// One instance of either.
    TaskGroup,
    /// Named files and values.
    ConfigMap,
    /// The same, never shown.
    Secret,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] = [
        Kind::Application,
        Kind::Process,
        Kind::TaskGroup,
        Kind::ConfigMap,
        Kind::Secret,
    ];

    /// The name in documents and outputs.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Application => "application",
            Kind::Process => "process",
            Kind::TaskGroup => "taskgroup",
            Kind::ConfigMap => "configmap",
            Kind::Secret => "secret",
        }
    }

    /// The collection in the driver's paths.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Application => "applications",
            Kind::Process => "processes",
            Kind::TaskGroup => "taskgroups",
            Kind::ConfigMap => "configmaps",
            Kind::Secret => "secrets",
        }
    }

    /// Other words for it.
    pub fn aliases(self) -> &'static [&'static str] {
        match self {
            Kind::Application => &["app", "apps"],
            Kind::Process => &["proc", "procs"],
            Kind::TaskGroup => &["tg", "tgs", "pod", "pods"],
            Kind::ConfigMap => &["cm"],
            Kind::Secret => &["sec"],
        }
    }

    /// Whether it runs instances.
    pub fn is_workload(self) -> bool {
        matches!(self, Kind::Application | Kind::Process)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let word = text.to_ascii_lowercase();
        Kind::ALL
            .into_iter()
            .find(|kind| {
                kind.name() == word
                    || kind.plural() == word
                    || kind.aliases().contains(&word.as_str())
            })
            .ok_or_else(|| ClientError::Kind {
                value: text.to_owned(),
            })
    }
}

/// A kind, or its name.
pub trait IntoKind {
    /// The kind.
    ///
    /// # Errors
    /// [`ClientError::Kind`] when the name is unknown.
    fn into_kind(self) -> Result<Kind, ClientError>;
}

impl IntoKind for Kind {
    fn into_kind(self) -> Result<Kind, ClientError> {
        Ok(self)
    }
}

impl IntoKind for &str {
    fn into_kind(self) -> Result<Kind, ClientError> {
        self.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn aliases_lead_to_their_kind() {
        for (word, kind) in [
            ("app", Kind::Application),
            ("Applications", Kind::Application),
            ("proc", Kind::Process),
            ("processes", Kind::Process),
            ("tg", Kind::TaskGroup),
            ("pod", Kind::TaskGroup),
            ("cm", Kind::ConfigMap),
            ("secrets", Kind::Secret),
        ] {
            assert_eq!(word.parse::<Kind>().unwrap(), kind, "{word}");
        }
        assert!("deployment".parse::<Kind>().is_err());
    }
}
