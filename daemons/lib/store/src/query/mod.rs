//! What a list, a watch or a batch delete selects.
//!
//! A query is a path scope AND filters AND a label selector. The scope comes from the URL and can
//! only be narrowed. `matches` is the meaning; a back end may compile a query into its own language
//! but must select exactly the same documents.

mod field;
mod selector;
mod token;

pub use field::{Field, project};
pub use selector::{Operator, Requirement, Selector, SelectorError, label_integer};
pub use token::ContinueToken;

use serde_json::Value;

use crate::{Document, DocumentKey, instant};

/// A single JSON value that a filter compares with. Types are not mixed: text "1" is not number 1.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// JSON null.
    Null,
    /// JSON true or false.
    Bool(bool),
    /// A number; integers and fractions compare by value.
    Number(f64),
    /// Text.
    Text(String),
}

impl Scalar {
    fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::Number(a), Value::Number(b)) => b.as_f64() == Some(*a),
            (Self::Text(a), Value::String(b)) => a == b,
            _ => false,
        }
    }
}

/// What is asked of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Equals one of these.
    In(Vec<Scalar>),
    /// Equals none of these, or is not there.
    NotIn(Vec<Scalar>),
    /// Is text that starts so.
    Prefix(String),
    /// Is text that contains this.
    Contains(String),
    /// Is there (also as null), or is not.
    Exists(bool),
    /// Is an instant strictly before, in milliseconds since 1970.
    Before(i64),
    /// Is an instant strictly after, in milliseconds since 1970.
    After(i64),
}

/// A test of one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// Where to look.
    pub field: Field,
    /// What must hold there.
    pub test: Test,
}

impl Filter {
    /// `field IN (texts)`.
    pub fn any_text<I: IntoIterator<Item = S>, S: Into<String>>(field: Field, texts: I) -> Self {
        let values = texts
            .into_iter()
            .map(|text| Scalar::Text(text.into()))
            .collect();
        Self {
            field,
            test: Test::In(values),
        }
    }

    fn matches(&self, document: &Document, data: &Value) -> bool {
        let time;
        let text;
        let value = match self.field.locate(document, data) {
            field::Located::Absent => {
                return matches!(self.test, Test::Exists(false) | Test::NotIn(_));
            }
            field::Located::Value(value) => value,
            field::Located::Text(found) => {
                text = Value::String(found.to_owned());
                &text
            }
            field::Located::Instant(milliseconds) => {
                time = Value::String(instant::format(milliseconds));
                &time
            }
        };
        match &self.test {
            Test::In(values) => values.iter().any(|scalar| scalar.equals(value)),
            Test::NotIn(values) => !values.iter().any(|scalar| scalar.equals(value)),
            Test::Prefix(prefix) => value.as_str().is_some_and(|text| text.starts_with(prefix)),
            Test::Contains(part) => value.as_str().is_some_and(|text| text.contains(part)),
            Test::Exists(wanted) => *wanted,
            Test::Before(bound) => instant::of_value(value).is_some_and(|found| found < *bound),
            Test::After(bound) => instant::of_value(value).is_some_and(|found| found > *bound),
        }
    }
}

/// The part of the key space that the URL names; `None` means any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Cluster id.
    pub cluster: Option<String>,
    /// Namespace; `Some("")` selects cluster-scoped documents.
    pub namespace: Option<String>,
    /// Resource type.
    pub kind: Option<String>,
    /// Object name.
    pub name: Option<String>,
}

impl Scope {
    /// Whether a key lies inside.
    pub fn contains(&self, key: &DocumentKey) -> bool {
        let inside = |wanted: &Option<String>, found: &String| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        inside(&self.cluster, &key.cluster)
            && inside(&self.namespace, &key.namespace)
            && inside(&self.kind, &key.kind)
            && inside(&self.name, &key.name)
    }
}

/// A complete query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// From the path.
    pub scope: Scope,
    /// All must hold.
    pub filters: Vec<Filter>,
    /// On `data.metadata.labels`.
    pub selector: Selector,
    /// Most documents in a page; 0 leaves it to the back end's bound on bytes.
    pub limit: usize,
    /// Documents to skip; not together with `after`.
    pub offset: usize,
    /// Where the former page ended.
    pub after: Option<ContinueToken>,
}

impl Query {
    /// Everything of a kind in a cluster.
    pub fn of_kind(cluster: &str, kind: &str) -> Self {
        let scope = Scope {
            cluster: Some(cluster.to_owned()),
            kind: Some(kind.to_owned()),
            ..Scope::default()
        };
        Self {
            scope,
            ..Self::default()
        }
    }

    /// Adds a filter.
    #[must_use]
    pub fn filter(mut self, field: Field, test: Test) -> Self {
        self.filters.push(Filter { field, test });
        self
    }

    /// Whether a document is selected. Paging plays no part.
    pub fn matches(&self, document: &Document) -> bool {
        if !self.scope.contains(&document.key) {
            return false;
        }
        if self.filters.is_empty() && self.selector.is_everything() {
            return true;
        }
        let Ok(data) = serde_json::from_str::<Value>(document.data.get()) else {
            return false;
        };
        self.filters
            .iter()
            .all(|filter| filter.matches(document, &data))
            && self.selector.matches(|key| {
                data.pointer("/metadata/labels")?
                    .as_object()?
                    .get(key)?
                    .as_str()
            })
    }
}
