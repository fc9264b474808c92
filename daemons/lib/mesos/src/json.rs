//! How protobuf members look in JSON: enums by name, bytes in base64, 64-bit integers as numbers or strings.
//!
//! The types here are never made; their functions are what `#[serde(with = "…")]` of the wire structs calls.

use std::marker::PhantomData;
use std::{fmt, str::FromStr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserializer, Serializer};

/// An enum that travels as an integer in protobuf and by name in JSON.
pub trait WireName: Copy + TryFrom<i32> {
    /// The protocol's name of this value, such as `TASK_RUNNING`.
    fn wire_name(self) -> &'static str;
    /// The value with that protocol name.
    fn from_wire_name(name: &str) -> Option<Self>;
    /// The protocol's number.
    fn number(self) -> i32;
}

/// Declares an enum of the protocol: prost's enumeration, and its names for JSON.
macro_rules! wire_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($variant:ident = $number:literal => $wire:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
        #[repr(i32)]
        pub enum $name {
            $(#[doc = concat!("`", $wire, "`")] $variant = $number,)*
        }

        impl $crate::json::WireName for $name {
            fn wire_name(self) -> &'static str {
                match self { $(Self::$variant => $wire,)* }
            }
            fn from_wire_name(name: &str) -> Option<Self> {
                match name { $($wire => Some(Self::$variant),)* _ => None }
            }
            fn number(self) -> i32 {
                self as i32
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str($crate::json::WireName::wire_name(*self))
            }
        }
    };
}

/// An enum value as read: known, or a name or number that this version does not know.
enum Read {
    Known(i32),
    Unknown(String),
}

struct EnumVisitor<E>(PhantomData<E>);

impl<'de, E: WireName> Visitor<'de> for EnumVisitor<E> {
    type Value = Option<Read>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an enum value by name")
    }
    fn visit_str<X: serde::de::Error>(self, name: &str) -> Result<Self::Value, X> {
        Ok(Some(match E::from_wire_name(name) {
            Some(value) => Read::Known(value.number()),
            None => Read::Unknown(name.to_owned()),
        }))
    }
    fn visit_u64<X: serde::de::Error>(self, number: u64) -> Result<Self::Value, X> {
        let known = i32::try_from(number)
            .ok()
            .filter(|number| E::try_from(*number).is_ok());
        Ok(Some(known.map_or_else(
            || Read::Unknown(number.to_string()),
            Read::Known,
        )))
    }
    fn visit_i64<X: serde::de::Error>(self, number: i64) -> Result<Self::Value, X> {
        Ok(Some(Read::Unknown(number.to_string())))
    }
    fn visit_unit<X: serde::de::Error>(self) -> Result<Self::Value, X> {
        Ok(None)
    }
}

fn name_of<E: WireName>(number: i32) -> Option<&'static str> {
    E::try_from(number).ok().map(E::wire_name)
}

/// A required enum: an unknown value is an error.
pub(crate) struct Named<E>(PhantomData<E>);

impl<E: WireName> Named<E> {
    pub(crate) fn serialize<S: Serializer>(number: &i32, to: S) -> Result<S::Ok, S::Error> {
        match name_of::<E>(*number) {
            Some(name) => to.serialize_str(name),
            None => to.serialize_i32(*number),
        }
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
        match from.deserialize_any(EnumVisitor::<E>(PhantomData))? {
            Some(Read::Known(number)) => Ok(number),
            Some(Read::Unknown(text)) => Err(D::Error::custom(format!("unknown value {text:?}"))),
            None => Err(D::Error::custom("value is missing")),
        }
    }
}

/// An optional enum: a value of a newer protocol reads as absent.
pub(crate) struct NamedOption<E>(PhantomData<E>);

impl<E: WireName> NamedOption<E> {
    pub(crate) fn serialize<S: Serializer>(number: &Option<i32>, to: S) -> Result<S::Ok, S::Error> {
        match number {
            Some(number) => Named::<E>::serialize(number, to),
            None => to.serialize_none(),
        }
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i32>, D::Error> {
        Ok(match from.deserialize_any(EnumVisitor::<E>(PhantomData))? {
            Some(Read::Known(number)) => Some(number),
            _ => None,
        })
    }
}

/// Repeated enums: unknown values are skipped.
pub(crate) struct NamedList<E>(PhantomData<E>);

impl<E: WireName> NamedList<E> {
    pub(crate) fn serialize<S: Serializer>(numbers: &[i32], to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(numbers.len()))?;
        for number in numbers {
            match name_of::<E>(*number) {
                Some(name) => list.serialize_element(name)?,
                None => list.serialize_element(number)?,
            }
        }
        list.end()
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<i32>, D::Error> {
        struct List<E>(PhantomData<E>);
        impl<'de, E: WireName> Visitor<'de> for List<E> {
            type Value = Vec<i32>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of enum values by name")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<i32>, A::Error> {
                let mut numbers = Vec::new();
                while let Some(name) = items.next_element::<String>()? {
                    numbers.extend(E::from_wire_name(&name).map(E::number));
                }
                Ok(numbers)
            }
        }
        from.deserialize_seq(List::<E>(PhantomData))
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Option<Bytes>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("bytes in base64")
    }
    fn visit_str<X: serde::de::Error>(self, text: &str) -> Result<Self::Value, X> {
        let bytes = STANDARD.decode(text).map_err(X::custom)?;
        Ok(Some(Bytes::from(bytes)))
    }
    fn visit_unit<X: serde::de::Error>(self) -> Result<Self::Value, X> {
        Ok(None)
    }
}

/// Required bytes.
pub(crate) struct Base64;

impl Base64 {
    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        Ok(from.deserialize_any(BytesVisitor)?.unwrap_or_default())
    }
}

/// Optional bytes.
pub(crate) struct Base64Option;

impl Base64Option {
    pub(crate) fn serialize<S: Serializer>(
        bytes: &Option<Bytes>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => Base64::serialize(bytes, to),
            None => to.serialize_none(),
        }
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Bytes>, D::Error> {
        from.deserialize_any(BytesVisitor)
    }
}

struct LongVisitor<N>(PhantomData<N>);

impl<'de, N: FromStr + TryFrom<i64> + TryFrom<u64>> Visitor<'de> for LongVisitor<N> {
    type Value = Option<N>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a 64-bit integer as a number or a string")
    }
    fn visit_u64<X: serde::de::Error>(self, number: u64) -> Result<Self::Value, X> {
        let value =
            N::try_from(number).map_err(|_| X::custom(format!("{number} is out of range")))?;
        Ok(Some(value))
    }
    fn visit_i64<X: serde::de::Error>(self, number: i64) -> Result<Self::Value, X> {
        let value =
            N::try_from(number).map_err(|_| X::custom(format!("{number} is out of range")))?;
        Ok(Some(value))
    }
    fn visit_f64<X: serde::de::Error>(self, number: f64) -> Result<Self::Value, X> {
        // Some writers print whole numbers as 1e9 or 31000.0.
        let text = format!("{number:.0}");
        if number.fract() != 0.0 {
            return Err(X::custom(format!("{number} is not a whole number")));
        }
        self.visit_str(&text)
    }
    fn visit_str<X: serde::de::Error>(self, text: &str) -> Result<Self::Value, X> {
        let value = text
            .parse()
            .map_err(|_| X::custom(format!("{text:?} is not an integer")))?;
        Ok(Some(value))
    }
    fn visit_unit<X: serde::de::Error>(self) -> Result<Self::Value, X> {
        Ok(None)
    }
}

/// A required 64-bit integer.
pub(crate) struct Long<N>(PhantomData<N>);

impl<N> Long<N>
where
    N: FromStr + TryFrom<i64> + TryFrom<u64> + serde::Serialize + Default,
{
    pub(crate) fn serialize<S: Serializer>(number: &N, to: S) -> Result<S::Ok, S::Error> {
        number.serialize(to)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<N, D::Error> {
        Ok(from
            .deserialize_any(LongVisitor::<N>(PhantomData))?
            .unwrap_or_default())
    }
}

/// An optional 64-bit integer.
pub(crate) struct LongOption<N>(PhantomData<N>);

impl<N: FromStr + TryFrom<i64> + TryFrom<u64> + serde::Serialize> LongOption<N> {
    pub(crate) fn serialize<S: Serializer>(number: &Option<N>, to: S) -> Result<S::Ok, S::Error> {
        match number {
            Some(number) => number.serialize(to),
            None => to.serialize_none(),
        }
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<N>, D::Error> {
        from.deserialize_any(LongVisitor::<N>(PhantomData))
    }
}
