//! One field, borrowed from a row's bytes.
//!
//! Owns:     nothing.
//! Promises: cheap to make; strings and JSON are the row's own bytes.
//! Never:    trusts that text is UTF-8: it is checked where it becomes a [`Value`].

use super::Json;
use crate::{Date, DateTime, Decimal, Time, Value};
use compact_str::CompactString;
use std::sync::Arc;

/// One field of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldRef<'a> {
    Null,
    Int(i64),
    UInt(u64),
    Double(f64),
    Decimal(Decimal),
    /// UTF-8, not checked again.
    Str(&'a [u8]),
    Bytes(&'a [u8]),
    Date(Date),
    Time(Time),
    DateTime(DateTime),
    /// As [`Json::to_bytes`] wrote it.
    Json(&'a [u8]),
}

impl FieldRef<'_> {
    pub fn is_null(&self) -> bool {
        matches!(self, FieldRef::Null)
    }

    /// A value of its own. Damaged text loses its bad bytes; damaged JSON is JSON null.
    pub fn to_value(&self) -> Value {
        match self {
            FieldRef::Null => Value::Null,
            FieldRef::Int(v) => Value::Int(*v),
            FieldRef::UInt(v) => Value::UInt(*v),
            FieldRef::Double(v) => Value::Double(*v),
            FieldRef::Decimal(v) => Value::Decimal(v.clone()),
            FieldRef::Str(v) => Value::Str(match std::str::from_utf8(v) {
                Ok(text) => CompactString::new(text),
                Err(_) => CompactString::from_utf8_lossy(v),
            }),
            FieldRef::Bytes(v) => Value::Bytes((*v).into()),
            FieldRef::Date(v) => Value::Date(*v),
            FieldRef::Time(v) => Value::Time(*v),
            FieldRef::DateTime(v) => Value::DateTime(*v),
            FieldRef::Json(v) => Value::Json(Arc::new(Json::from_bytes(v).unwrap_or(Json::Null))),
        }
    }
}
