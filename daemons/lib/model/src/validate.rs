//! Judges documents of API v4 before anything is done with them.
//!
//! Every problem of a document is found in one pass and reported together: the path of the field,
//! its value, the rule, and what to write instead. Nothing is corrected silently and no text ever
//! turns into zero. Values are judged, never changed; defaults are `v4::defaults`' business.

mod checks;
mod fields;
mod objects;
mod parts;
mod task;
mod workload;

pub use objects::{agent_settings, config_map, message, secret};
pub use workload::replica_controller;

use std::fmt;

/// The most instances that one application may have.
pub const MOST_INSTANCES: i64 = 10_000;
/// The most containers or processes in one instance.
pub const MOST_TASKS: usize = 64;
/// The largest total of the contents of a configmap or secret, in bytes.
pub const MOST_CONTENT_BYTES: usize = 1 << 20;

/// A day, the longest time that a document may name, in seconds.
const DAY: i64 = 86_400;

/// What the v4 error codes tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 1405008: the request does not fit the route or its kind.
    Request,
    /// 1405231: a parameter of the document is wrong.
    Parameter,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Such as `spec.template.spec.processes[0].ports[1].hostPort`.
    pub path: String,
    /// What is written there, shortened; secrets are never repeated.
    pub value: String,
    /// What must hold, and the way out.
    pub rule: String,
    /// Which code it has.
    pub class: Class,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} {}", self.path, self.value, self.rule)
    }
}

/// Everything that is wrong with one document; never empty as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the document is fine.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The v4 code: that of the first problem.
    pub fn code(&self) -> i64 {
        match self.0.first().map(|problem| problem.class) {
            Some(Class::Request) => 1_405_008,
            Some(Class::Parameter) | None => 1_405_231,
        }
    }

    /// `Err` with all problems when there are any.
    pub fn into_result(self) -> Result<(), Problems> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    fn add(&mut self, path: impl Into<String>, value: impl fmt::Display, rule: impl Into<String>) {
        self.push(
            Class::Parameter,
            path.into(),
            shown(&value.to_string()),
            rule.into(),
        );
    }

    fn refuse(
        &mut self,
        path: impl Into<String>,
        value: impl fmt::Display,
        rule: impl Into<String>,
    ) {
        self.push(
            Class::Request,
            path.into(),
            shown(&value.to_string()),
            rule.into(),
        );
    }

    /// A field that has no value to show.
    fn missing(&mut self, path: impl Into<String>, rule: impl Into<String>) {
        self.push(
            Class::Parameter,
            path.into(),
            "is missing;".to_owned(),
            rule.into(),
        );
    }

    fn push(&mut self, class: Class, path: String, value: String, rule: String) {
        // One broken document must not make an answer of megabytes.
        if self.0.len() < 100 {
            self.0.push(Problem {
                path,
                value,
                rule,
                class,
            });
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() > 1 {
            write!(formatter, "{} problems: ", self.0.len())?;
        }
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("; ")?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A value as an error shows it: quoted, without control characters, short.
fn shown(value: &str) -> String {
    let mut text: String = value
        .chars()
        .take(80)
        .flat_map(char::escape_debug)
        .collect();
    if value.chars().nth(80).is_some() {
        text.push('…');
    }
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests;
