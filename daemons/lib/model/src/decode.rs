//! Reading JSON as the wire format wants it: keys match without regard to case, `null` means
//! absent, unknown keys are ignored, and every error names the path where it happened.
//!
//! Only struct fields are matched that way: the keys of maps belong to the user (labels,
//! annotations, data keys) and keep their spelling. Types are strict: a quantity is a string, a port
//! is a number, and the error says what to write instead. Types decoded here must not use
//! `#[serde(flatten)]`, because serde then hides the field names.

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde_json::{Map, Value};
use std::fmt;

/// Why a document could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    path: Vec<Segment>,
    message: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
}

impl DecodeError {
    /// The place in the document, such as `spec.template.spec.processes[0].ports[1].hostPort`;
    /// empty for the document itself.
    pub fn path(&self) -> String {
        let mut text = String::new();
        for segment in self.path.iter().rev() {
            match segment {
                Segment::Key(key) if text.is_empty() => text.push_str(key),
                Segment::Key(key) => {
                    text.push('.');
                    text.push_str(key);
                }
                Segment::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }

    /// What is wrong there.
    pub fn message(&self) -> &str {
        &self.message
    }

    fn within(mut self, segment: Segment) -> Self {
        self.path.push(segment);
        self
    }

    fn syntax(error: &serde_json::Error) -> Self {
        DecodeError {
            path: Vec::new(),
            message: format!("not valid JSON: {error}"),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            formatter.write_str(&self.message)
        } else {
            write!(formatter, "{}: {}", self.path(), self.message)
        }
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        DecodeError {
            path: Vec::new(),
            message: message.to_string(),
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let wanted = expected.to_string();
        let hint = match &found {
            Unexpected::Unsigned(number) if wanted.contains("string") => {
                format!("; put it in quotes: \"{number}\"")
            }
            Unexpected::Signed(number) if wanted.contains("string") => {
                format!("; put it in quotes: \"{number}\"")
            }
            Unexpected::Float(number) if wanted.contains("string") => {
                format!("; put it in quotes: \"{number}\"")
            }
            Unexpected::Bool(value) if wanted.contains("string") => {
                format!("; put it in quotes: \"{value}\"")
            }
            Unexpected::Str(text) if text.parse::<f64>().is_ok() && is_number(&wanted) => {
                "; write it without quotes".to_owned()
            }
            _ => String::new(),
        };
        Self::custom(format_args!("found {found}, expected {wanted}{hint}"))
    }
}

/// Whether serde's words for a wanted type mean a number ("i32", "u16", "f64").
fn is_number(wanted: &str) -> bool {
    let mut letters = wanted.chars();
    matches!(letters.next(), Some('i' | 'u' | 'f'))
        && letters.next().is_some_and(|letter| letter.is_ascii_digit())
}

/// Reads a JSON document.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| DecodeError::syntax(&error))?;
    decode_value(value)
}

/// Reads an already parsed document, for example one that came as YAML.
pub fn decode_value<T: DeserializeOwned>(value: Value) -> Result<T, DecodeError> {
    T::deserialize(Node(value))
}

/// A value of the document under the rules of this module.
struct Node(Value);

impl Node {
    fn unexpected(&self) -> Unexpected<'_> {
        match &self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => number
                .as_u64()
                .map(Unexpected::Unsigned)
                .or_else(|| number.as_i64().map(Unexpected::Signed))
                .unwrap_or_else(|| Unexpected::Float(number.as_f64().unwrap_or(f64::NAN))),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }

    fn scalar<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Bool(value) => visitor.visit_bool(value),
            Value::String(text) => visitor.visit_string(text),
            Value::Number(ref number) => {
                if let Some(number) = number.as_u64() {
                    visitor.visit_u64(number)
                } else if let Some(number) = number.as_i64() {
                    visitor.visit_i64(number)
                } else {
                    visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
                }
            }
            Value::Null | Value::Array(_) | Value::Object(_) => {
                Err(de::Error::invalid_type(self.unexpected(), &visitor))
            }
        }
    }
}

macro_rules! scalars {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            self.scalar(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Node {
    type Error = DecodeError;

    scalars! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_identifier
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Array(items) => visitor.visit_seq(Items::new(items)),
            Value::Object(entries) => visitor.visit_map(Entries::all(entries)),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => self.scalar(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            _ => Err(de::Error::invalid_type(self.unexpected(), &visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(Items::new(items)),
            Value::Null => visitor.visit_seq(Items::new(Vec::new())),
            _ => Err(de::Error::invalid_type(self.unexpected(), &visitor)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Object(entries) => visitor.visit_map(Entries::present(entries)),
            Value::Null => visitor.visit_map(Entries::present(Map::new())),
            _ => Err(de::Error::invalid_type(self.unexpected(), &visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Object(entries) => visitor.visit_map(Entries::fields(entries, fields)),
            Value::Null => visitor.visit_map(Entries::present(Map::new())),
            _ => Err(de::Error::invalid_type(self.unexpected(), &visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.0
            .deserialize_enum(name, variants, visitor)
            .map_err(|error| DecodeError {
                path: Vec::new(),
                message: error.to_string(),
            })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }
}

impl<'de> IntoDeserializer<'de, DecodeError> for Node {
    type Deserializer = Node;

    fn into_deserializer(self) -> Node {
        self
    }
}

struct Items {
    items: std::vec::IntoIter<Value>,
    index: usize,
}

impl Items {
    fn new(items: Vec<Value>) -> Self {
        Items {
            items: items.into_iter(),
            index: 0,
        }
    }
}

impl<'de> SeqAccess<'de> for Items {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let Some(value) = self.items.next() else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Node(value))
            .map(Some)
            .map_err(|error| error.within(Segment::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries {
    entries: std::vec::IntoIter<(String, Value)>,
    current: Option<(String, Value)>,
}

impl Entries {
    /// Every entry as it is, for values of free shape.
    fn all(entries: Map<String, Value>) -> Self {
        Self::new(entries.into_iter().collect())
    }

    /// The entries that are not null.
    fn present(entries: Map<String, Value>) -> Self {
        Self::new(
            entries
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .collect(),
        )
    }

    /// The entries of a struct: spelled as the fields are, each field once. The exact spelling wins
    /// over any other.
    fn fields(entries: Map<String, Value>, fields: &'static [&'static str]) -> Self {
        let mut exact: Vec<&'static str> = Vec::new();
        for field in fields {
            if entries.get(*field).is_some_and(|value| !value.is_null()) {
                exact.push(field);
            }
        }
        let mut kept: Vec<(String, Value)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            if value.is_null() {
                continue;
            }
            if fields.contains(&key.as_str()) {
                kept.push((key, value));
                continue;
            }
            // Unknown keys are dropped here, so that their content is never even visited.
            let Some(field) = fields.iter().find(|field| field.eq_ignore_ascii_case(&key)) else {
                continue;
            };
            let taken = exact.contains(field) || kept.iter().any(|(name, _)| name == field);
            if !taken {
                kept.push(((*field).to_owned(), value));
            }
        }
        Self::new(kept)
    }

    fn new(entries: Vec<(String, Value)>) -> Self {
        Entries {
            entries: entries.into_iter(),
            current: None,
        }
    }
}

impl<'de> MapAccess<'de> for Entries {
    type Error = DecodeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        let name: StringDeserializer<DecodeError> = key.clone().into_deserializer();
        let read = seed
            .deserialize(name)
            .map_err(|error| error.within(Segment::Key(key.clone())))?;
        self.current = Some((key, value));
        Ok(Some(read))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        let (key, value) = self.current.take().unwrap_or_default();
        seed.deserialize(Node(value))
            .map_err(|error| error.within(Segment::Key(key)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, decode_value};
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Inner {
        host_port: i32,
        #[serde(rename = "RemoteUser")]
        remote_user: String,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Outer {
        api_version: String,
        labels: BTreeMap<String, String>,
        ports: Vec<Inner>,
        only: Option<Inner>,
        by_name: BTreeMap<String, Inner>,
        free: Value,
    }

    #[test]
    fn keys_match_in_any_case_at_every_depth() {
        let read: Outer = decode(
            br#"{"APIVERSION":"v4","Labels":{"App":"a","app":"b"},"PORTS":[{"hostport":1,"remoteuser":"u"}],
                "Only":{"HostPort":2},"byname":{"Key":{"HOSTPORT":3}},"free":{"KeepCase":null},"other":[1]}"#,
        )
        .unwrap();
        assert_eq!(read.api_version, "v4");
        assert_eq!(read.labels.len(), 2, "labels keep their case");
        assert_eq!(
            read.ports[0],
            Inner {
                host_port: 1,
                remote_user: "u".into()
            }
        );
        assert_eq!(read.only.unwrap().host_port, 2);
        assert_eq!(read.by_name["Key"].host_port, 3);
        assert_eq!(read.free, json!({"KeepCase": null}));
    }

    #[test]
    fn null_is_absent() {
        let read: Outer = decode(
            br#"{"apiVersion":null,"labels":null,"ports":[null],"only":null,"byName":{"a":null}}"#,
        )
        .unwrap();
        assert_eq!(
            read,
            Outer {
                ports: vec![Inner::default()],
                ..Outer::default()
            }
        );
    }

    #[test]
    fn exact_spelling_wins_over_another() {
        let read: Outer =
            decode(br#"{"APIVERSION":"x","apiVersion":"v4","apiversion":"y"}"#).unwrap();
        assert_eq!(read.api_version, "v4");
        let read: Outer = decode(br#"{"apiVersion":null,"apiversion":"y"}"#).unwrap();
        assert_eq!(read.api_version, "y");
    }

    #[test]
    fn errors_carry_the_path_and_a_hint() {
        let error = decode::<Outer>(br#"{"ports":[{},{"hostPort":"80"}]}"#).unwrap_err();
        assert_eq!(error.path(), "ports[1].hostPort");
        assert!(error.to_string().contains("without quotes"), "{error}");
        let error = decode::<Outer>(br#"{"labels":{"a":5}}"#).unwrap_err();
        assert_eq!(error.path(), "labels.a");
        assert!(
            error.to_string().contains("put it in quotes: \"5\""),
            "{error}"
        );
        let error = decode::<Outer>(b"{").unwrap_err();
        assert!(error.to_string().contains("not valid JSON"), "{error}");
        let error = decode::<Outer>(b"[]").unwrap_err();
        assert!(error.path().is_empty());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            drop(decode::<Outer>(&bytes));
        }

        #[test]
        fn any_spelling_of_a_key_is_read(upper in proptest::collection::vec(any::<bool>(), 10)) {
            let key: String = "apiversion".chars().zip(upper)
                .map(|(letter, up)| if up { letter.to_ascii_uppercase() } else { letter }).collect();
            let read: Outer = decode_value(json!({ key: "v4" })).unwrap();
            prop_assert_eq!(read.api_version, "v4");
        }
    }
}
