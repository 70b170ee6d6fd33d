//! How values go from node to node: what a decoder lets in.
//!
//! Owns:     nothing.
//! Promises: what is decoded is a value that could have been made here: bounds, members and nesting are looked at, and an error says what is wrong. The
//!           bytes are short: numbers take the bytes they need, a decimal is its number and not its text.
//! Never:    panics, whatever the bytes. Is a format that outlives a release: nodes of one cluster are of one version, and what is on disk has formats of its
//!           own (docs/format/).
//!
//! Most types derive both ways beside their definition. Here stand the ways in that must check.

use crate::json::Json;
use crate::sql_mode::SqlMode;
use crate::temporal::{Date, DateTime, Time};
use crate::{Collation, Decimal, SqlType, TypeKind};
use ethnum::I256;
use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

macro_rules! checked {
    ($name:ident, $raw:ty, $check:expr, $otherwise:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let check: fn($raw) -> Option<$name> = $check;
                check(<$raw>::deserialize(d)?).ok_or_else(|| D::Error::custom($otherwise))
            }
        }
    };
}

checked!(Date, u32, Date::checked, "no date");
checked!(Time, i64, Time::checked, "no time");
checked!(DateTime, u64, DateTime::checked, "no date and time");
checked!(Collation, u16, Collation::by_id, "no collation");
checked!(SqlMode, u32, SqlMode::checked, "no sql_mode");

// ---------------------------------------------------------------- bytes

/// `#[serde(with = "weald_types::carried::bytes")]`, on a `Vec<u8>`, `Box<[u8]>` or `Cow<[u8]>`: a byte string as one piece, where serde would take it byte by
/// byte. On the wire it is the same. A `Cow` borrows what it is read from.
pub mod bytes {
    use super::*;

    pub fn serialize<S: Serializer>(bytes: &(impl AsRef<[u8]> + ?Sized), s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(bytes.as_ref())
    }
    pub fn deserialize<'de, D: Deserializer<'de>, T: From<&'de [u8]>>(d: D) -> Result<T, D::Error> {
        <&'de [u8]>::deserialize(d).map(T::from)
    }
}

/// What a function makes of a byte string; `None` is an error.
struct Bytes<T>(fn(&[u8]) -> Option<T>, &'static str);

impl<'de, T> Visitor<'de> for Bytes<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }
    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<T, E> {
        (self.0)(bytes).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Bytes(bytes), &self))
    }
}

/// The bytes that it has in a row: docs/format/row.md.
impl Serialize for Json {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        self.to_bytes(&mut bytes);
        s.serialize_bytes(&bytes)
    }
}
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_bytes(Bytes(Json::from_bytes, "JSON"))
    }
}

// ---------------------------------------------------------------- decimals

/// Added to the scale of a number that does not fit 128 bits.
const LARGE: u8 = 0x80;

/// The scale, then the number without its point. As text where people read it.
impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            return s.collect_str(self);
        }
        match self.unscaled_i128() {
            Some(small) => {
                let mut parts = s.serialize_tuple(2)?;
                parts.serialize_element(&self.scale())?;
                parts.serialize_element(&small)?;
                parts.end()
            }
            None => {
                let (high, low) = self.unscaled().into_words();
                let mut parts = s.serialize_tuple(3)?;
                parts.serialize_element(&(self.scale() | LARGE))?;
                parts.serialize_element(&high)?;
                parts.serialize_element(&(low as u128))?;
                parts.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            let text = <Cow<'de, str>>::deserialize(d)?;
            return Decimal::parse(&text).ok_or_else(|| D::Error::custom(NO_DECIMAL));
        }
        // Of the three the last is only there for large numbers; postcard reads no further than it is asked.
        d.deserialize_tuple(3, Parts)
    }
}

const NO_DECIMAL: &str = "no decimal";

struct Parts;

impl<'de> Visitor<'de> for Parts {
    type Value = Decimal;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal's scale and number")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Decimal, A::Error> {
        let missing = || A::Error::custom(NO_DECIMAL);
        let scale: u8 = parts.next_element()?.ok_or_else(missing)?;
        let first: i128 = parts.next_element()?.ok_or_else(missing)?;
        let number = if scale & LARGE == 0 {
            I256::from(first)
        } else {
            let low: u128 = parts.next_element()?.ok_or_else(missing)?;
            I256::from_words(first, low as i128)
        };
        Decimal::checked(number, scale & !LARGE).ok_or_else(missing)
    }
}

// ---------------------------------------------------------------- types

impl<'de> Deserialize<'de> for SqlType {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "SqlType")]
        struct Unchecked {
            kind: TypeKind,
            nullable: bool,
            collation: Collation,
        }
        let Unchecked { kind, nullable, collation } = Unchecked::deserialize(d)?;
        if kind.is_within_bounds() { Ok(SqlType { kind, nullable, collation }) } else { Err(D::Error::custom("no type")) }
    }
}

/// SQLSTATE: five letters or digits, as the protocol has room for.
pub(crate) fn sql_state<'de, D: Deserializer<'de>>(d: D) -> Result<Cow<'static, str>, D::Error> {
    let state = String::deserialize(d)?;
    let sound = state.len() == 5 && state.bytes().all(|b| b.is_ascii_alphanumeric());
    if sound { Ok(Cow::Owned(state)) } else { Err(D::Error::custom("no SQLSTATE")) }
}

#[cfg(test)]
mod tests;
