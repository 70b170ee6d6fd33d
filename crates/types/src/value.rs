//! One SQL value, as expressions compute with it.
//!
//! Owns:     its bytes.
//! Promises: a value carries no type beyond its variant; unsignedness, collation, scale and members stand in [`SqlType`](crate::SqlType).
//! Never:    compares by itself where a collation is needed: see `expr::compare`.

use crate::{Date, DateTime, Decimal, Json, Time};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One SQL value. Which variant a type uses:
///
/// - integers (signed), YEAR: `Int`; unsigned integers, BIT, stored ENUM (1-based index, 0 = '') and SET (bit mask): `UInt`
/// - DECIMAL: `Decimal`; FLOAT and DOUBLE: `Double` (a FLOAT holds an `f32`'s value)
/// - CHAR, VARCHAR, TEXT, and ENUM/SET once read by an expression: `Str` (always UTF-8)
/// - BINARY, VARBINARY, BLOB: `Bytes`
/// - DATE, TIME: `Date`, `Time`; DATETIME and TIMESTAMP: `DateTime` (a TIMESTAMP is stored in UTC and becomes session time when an expression reads it)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    Null,
    Int(i64),
    UInt(u64),
    Decimal(Decimal),
    Double(f64),
    Str(CompactString),
    Bytes(#[serde(with = "crate::carried::bytes")] Box<[u8]>),
    Date(Date),
    Time(Time),
    DateTime(DateTime),
    Json(Arc<Json>),
}

impl Value {
    pub const TRUE: Value = Value::Int(1);
    pub const FALSE: Value = Value::Int(0);

    pub fn str(s: impl AsRef<str>) -> Self {
        Value::Str(CompactString::new(s))
    }
    pub fn bytes(b: impl Into<Box<[u8]>>) -> Self {
        Value::Bytes(b.into())
    }
    /// SQL's truth values: 1, 0 and NULL.
    pub fn bool(b: Option<bool>) -> Self {
        b.map_or(Value::Null, |b| Value::Int(b as i64))
    }
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
    /// Bytes it takes, its own and what it points to: for memory limits.
    pub fn size_bytes(&self) -> usize {
        let heap = match self {
            Value::Str(s) if s.is_heap_allocated() => s.capacity(),
            Value::Bytes(b) => b.len(),
            Value::Json(j) => j.size_bytes(),
            _ => 0,
        };
        std::mem::size_of::<Self>() + heap
    }
}

impl From<i64> for Value {
    fn from(v: i64) -> Self {
        Value::Int(v)
    }
}
impl From<u64> for Value {
    fn from(v: u64) -> Self {
        Value::UInt(v)
    }
}
impl From<f64> for Value {
    fn from(v: f64) -> Self {
        Value::Double(v)
    }
}
impl From<&str> for Value {
    fn from(v: &str) -> Self {
        Value::str(v)
    }
}
impl From<Decimal> for Value {
    fn from(v: Decimal) -> Self {
        Value::Decimal(v)
    }
}
