//! The bytes of one row.
//!
//! Owns:     the layout, computed once per table version.
//! Promises: reading a field allocates nothing; bytes that are no row never panic once [`RowLayout::check`] passed them, nor before (fields read as NULL).
//! Never:    versions rows; the layout's owner knows which version wrote them.
//! See:      docs/format/row.md

use crate::{Date, DateTime, Decimal, SqlType, Time, Value};

/// One field, borrowed from a row's bytes.
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
    /// As [`crate::Json::to_bytes`] wrote it.
    Json(&'a [u8]),
}
impl FieldRef<'_> {
    pub fn is_null(&self) -> bool {
        matches!(self, FieldRef::Null)
    }
    pub fn to_value(&self) -> Value {
        Value::Null
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    #[error("row bytes are damaged: {0}")]
    Damaged(&'static str),
    /// A value of a variant that the column's type does not use: a caller's mistake.
    #[error("value of field {field} does not have its column's type")]
    WrongType { field: usize },
    #[error("{given} values for {expected} fields")]
    WrongCount { given: usize, expected: usize },
}

/// Where each field of a row lies.
#[derive(Clone, Debug)]
pub struct RowLayout {
    types: Vec<SqlType>,
}
impl RowLayout {
    pub fn new(types: &[SqlType]) -> Self {
        Self { types: types.to_vec() }
    }
    pub fn len(&self) -> usize {
        self.types.len()
    }
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }
    /// Appends the row's bytes. Values must have been converted to their columns' types.
    pub fn encode(&self, values: &[Value], out: &mut Vec<u8>) -> Result<(), RowError> {
        let _ = (values, out);
        Ok(())
    }
    /// Field `i` of `row`; NULL for fields the row is too short for.
    pub fn field<'a>(&self, row: &'a [u8], i: usize) -> FieldRef<'a> {
        let _ = (row, i);
        FieldRef::Null
    }
    pub fn value(&self, row: &[u8], i: usize) -> Value {
        self.field(row, i).to_value()
    }
    /// All fields, in order.
    pub fn decode(&self, row: &[u8]) -> Vec<Value> {
        (0..self.len()).map(|i| self.value(row, i)).collect()
    }
    pub fn is_null(&self, row: &[u8], i: usize) -> bool {
        self.field(row, i).is_null()
    }
    /// Whether `row` can be one that [`RowLayout::encode`] wrote; for bytes that come from outside.
    pub fn check(&self, row: &[u8]) -> Result<(), RowError> {
        let _ = row;
        Ok(())
    }
}
