//! Fields of a document: the key's parts, the times, and dotted paths into the data.

use serde_json::{Map, Value};

use crate::{Document, StoreError};

/// Written in a path for a dot that belongs to a key (U+FF0E).
const DOT_IN_KEY: char = '\u{FF0E}';
const MAX_SEGMENTS: usize = 32;

/// Where a filter or a projection looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// `clusterId`
    Cluster,
    /// `namespace`
    Namespace,
    /// `resourceType`
    Kind,
    /// `resourceName`
    Name,
    /// `createTime`
    Created,
    /// `updateTime`
    Updated,
    /// `data` (no segment) or `data.a.b`
    Data(Vec<String>),
}

pub(super) enum Located<'a> {
    Absent,
    Text(&'a str),
    Instant(i64),
    Value(&'a Value),
}

impl Field {
    /// Reads a dotted path. An unknown first word is an error, not a condition that never holds.
    pub fn parse(path: &str) -> Result<Self, StoreError> {
        let mut segments = path.split('.');
        let field = match segments.next().unwrap_or_default() {
            "clusterId" => Self::Cluster,
            "namespace" => Self::Namespace,
            "resourceType" => Self::Kind,
            "resourceName" => Self::Name,
            "createTime" => Self::Created,
            "updateTime" => Self::Updated,
            "data" => {
                let segments: Vec<String> = segments
                    .by_ref()
                    .map(|segment| segment.replace(DOT_IN_KEY, "."))
                    .collect();
                let bad = |segment: &String| {
                    segment.is_empty()
                        || segment
                            .chars()
                            .any(|c| c.is_control() || c == '"' || c == '\\')
                };
                if segments.len() > MAX_SEGMENTS || segments.iter().any(bad) {
                    let rule = format!(
                        "at most {MAX_SEGMENTS} non-empty names joined by dots, without quotes, backslashes and control characters"
                    );
                    return Err(StoreError::invalid("field", path, rule));
                }
                Self::Data(segments)
            }
            _ => {
                return Err(StoreError::invalid(
                    "field",
                    path,
                    "begins with one of clusterId, namespace, resourceType, resourceName, createTime, updateTime, data",
                ));
            }
        };
        if segments.next().is_some() {
            return Err(StoreError::invalid(
                "field",
                path,
                "only data has fields inside",
            ));
        }
        Ok(field)
    }

    /// A path below `data`.
    pub fn data<const N: usize>(segments: [&str; N]) -> Self {
        Self::Data(
            segments
                .iter()
                .map(|segment| (*segment).to_owned())
                .collect(),
        )
    }

    pub(super) fn locate<'a>(&self, document: &'a Document, data: &'a Value) -> Located<'a> {
        match self {
            Self::Cluster => Located::Text(&document.key.cluster),
            Self::Namespace => Located::Text(&document.key.namespace),
            Self::Kind => Located::Text(&document.key.kind),
            Self::Name => Located::Text(&document.key.name),
            Self::Created => Located::Instant(document.created),
            Self::Updated => Located::Instant(document.updated),
            Self::Data(segments) => {
                let mut value = data;
                for segment in segments {
                    match value.as_object().and_then(|object| object.get(segment)) {
                        Some(inner) => value = inner,
                        None => return Located::Absent,
                    }
                }
                Located::Value(value)
            }
        }
    }

    fn segments(&self) -> Vec<&str> {
        match self {
            Self::Cluster => vec!["clusterId"],
            Self::Namespace => vec!["namespace"],
            Self::Kind => vec!["resourceType"],
            Self::Name => vec!["resourceName"],
            Self::Created => vec!["createTime"],
            Self::Updated => vec!["updateTime"],
            Self::Data(segments) => std::iter::once("data")
                .chain(segments.iter().map(String::as_str))
                .collect(),
        }
    }
}

/// Keeps only the named fields of a rendered document (the shape of the wire, with `data` inside).
pub fn project(document: &Value, fields: &[Field]) -> Value {
    let mut kept = Value::Object(Map::new());
    for field in fields {
        let segments = field.segments();
        let pointed = segments
            .iter()
            .try_fold(document, |value, segment| value.get(segment));
        if let Some(found) = pointed {
            place(&mut kept, &segments, found);
        }
    }
    kept
}

fn place(target: &mut Value, segments: &[&str], found: &Value) {
    let Some((first, rest)) = segments.split_first() else {
        *target = found.clone();
        return;
    };
    // A wider field may have put something else here already; it contains this one.
    if let Value::Object(object) = target {
        let inner = object
            .entry((*first).to_owned())
            .or_insert_with(|| Value::Object(Map::new()));
        place(inner, rest, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_roots_and_odd_segments_are_refused() {
        assert_eq!(
            Field::parse("data.a\u{FF0E}b.c").unwrap(),
            Field::data(["a.b", "c"])
        );
        for bad in ["", "foo", "data..a", "data.a\"b", "clusterId.x", "data."] {
            assert!(Field::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn projection_keeps_the_shape() {
        let document = json!({"clusterId": "c", "data": {"a": {"b": 1, "c": 2}, "d": [1]}});
        let fields: Vec<Field> = ["data.a.b", "clusterId", "data.none.x"]
            .iter()
            .map(|path| Field::parse(path).unwrap())
            .collect();
        assert_eq!(
            project(&document, &fields),
            json!({"clusterId": "c", "data": {"a": {"b": 1}}})
        );
        let whole = [Field::Data(vec![]), Field::data(["d"])];
        assert_eq!(
            project(&document, &whole),
            json!({"data": document["data"]})
        );
    }
}
