//! How MySQL's types travel in Arrow arrays.
//!
//! Owns:     nothing.
//! Promises: for ordered carriers (all but text) Arrow's order is MySQL's order; temporal values keep zero dates, which Arrow's own temporal types cannot hold.
//! Never:    loses a value: a type without a faithful carrier is refused, and the query goes to the row executor.
//!
//! | MySQL | Arrow |
//! | --- | --- |
//! | signed integers, YEAR | Int64 |
//! | unsigned integers, BIT, ENUM (its number), SET (its bits) | UInt64 |
//! | DECIMAL up to 38 digits | Decimal128 |
//! | FLOAT, DOUBLE | Float64 |
//! | character strings | LargeUtf8 |
//! | binary strings, JSON (its binary form) | LargeBinary |
//! | DATE | UInt32, packed |
//! | TIME | Int64, microseconds |
//! | DATETIME, TIMESTAMP (UTC) | UInt64, packed |
//!
//! Strings have offsets, not views: an array of views keeps every buffer that one of its strings came from, joined arrays keep those of both sides, and after
//! a few joins a batch has more buffers than rows. And offsets of 64 bits, because nobody promises that a column of a join's side has less than 2 GiB.

use arrow::array::*;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use std::sync::Arc;
use weald_partition::{StoredRow, TableSchema};
use weald_types::row::FieldRef;
use weald_types::{Date, DateTime, Decimal, Json, SqlType, Time, TypeKind, Value};

/// The Arrow type that carries `ty`; `None`: there is none.
pub fn data_type(ty: &SqlType) -> Option<DataType> {
    Some(match &ty.kind {
        TypeKind::Int { unsigned: false, .. } | TypeKind::Year | TypeKind::Time { .. } | TypeKind::Null => DataType::Int64,
        TypeKind::Int { unsigned: true, .. }
        | TypeKind::Bit { .. }
        | TypeKind::Enum(_)
        | TypeKind::Set(_)
        | TypeKind::DateTime { .. }
        | TypeKind::Timestamp { .. } => DataType::UInt64,
        TypeKind::Decimal { precision, scale, .. } => decimal(*precision, *scale),
        TypeKind::Float { .. } | TypeKind::Double { .. } => DataType::Float64,
        TypeKind::Char { .. } | TypeKind::VarChar { .. } | TypeKind::Text(_) => DataType::LargeUtf8,
        TypeKind::Binary { .. } | TypeKind::VarBinary { .. } | TypeKind::Blob(_) | TypeKind::Json => DataType::LargeBinary,
        TypeKind::Date => DataType::UInt32,
    })
}

/// Results of up to 65 digits are carried in 38: the lowering proves that what is summed fits (see `lower_aggregate`).
pub fn decimal(precision: u8, scale: u8) -> DataType {
    DataType::Decimal128(precision.clamp(1, 38).max(scale.min(38)), scale.min(38) as i8)
}

pub fn scalar(value: &Value, ty: &SqlType) -> Option<ScalarValue> {
    let to = data_type(ty)?;
    if value.is_null() {
        return ScalarValue::try_from(&to).ok();
    }
    Some(match (value, &to) {
        (Value::Int(n), DataType::Int64) => ScalarValue::Int64(Some(*n)),
        (Value::UInt(n), DataType::Int64) => ScalarValue::Int64(Some(i64::try_from(*n).ok()?)),
        (Value::UInt(n), DataType::UInt64) => ScalarValue::UInt64(Some(*n)),
        (Value::Int(n), DataType::UInt64) => ScalarValue::UInt64(Some(u64::try_from(*n).ok()?)),
        (Value::Decimal(d), DataType::Decimal128(p, s)) => ScalarValue::Decimal128(Some(unscaled(d, *s as u8)?), *p, *s),
        (Value::Int(n), DataType::Decimal128(p, s)) => ScalarValue::Decimal128(Some(unscaled(&Decimal::from_i64(*n), *s as u8)?), *p, *s),
        (Value::UInt(n), DataType::Decimal128(p, s)) => ScalarValue::Decimal128(Some(unscaled(&Decimal::from_u64(*n), *s as u8)?), *p, *s),
        (Value::Double(d), DataType::Float64) => ScalarValue::Float64(Some(*d)),
        (Value::Str(s), DataType::LargeUtf8) => ScalarValue::LargeUtf8(Some(s.to_string())),
        (Value::Bytes(b), DataType::LargeBinary) => ScalarValue::LargeBinary(Some(b.to_vec())),
        (Value::Json(j), DataType::LargeBinary) => ScalarValue::LargeBinary(Some(json_bytes(j))),
        (Value::Date(d), DataType::UInt32) => ScalarValue::UInt32(Some(d.packed())),
        (Value::Time(t), DataType::Int64) => ScalarValue::Int64(Some(t.micros())),
        (Value::DateTime(d), DataType::UInt64) => ScalarValue::UInt64(Some(d.packed())),
        _ => return None,
    })
}

fn json_bytes(j: &Json) -> Vec<u8> {
    let mut out = Vec::new();
    j.to_bytes(&mut out);
    out
}

/// The digits of `d` at `scale`, rounded half away from zero.
pub fn unscaled(d: &Decimal, scale: u8) -> Option<i128> {
    if d.scale() == scale { d.unscaled_i128() } else { d.rescale(scale)?.unscaled_i128() }
}

/// An array's element as a value of `ty`.
pub fn value(array: &dyn Array, i: usize, ty: &SqlType) -> Value {
    if array.is_null(i) {
        return Value::Null;
    }
    let any = array.as_any();
    match (&ty.kind, array.data_type()) {
        (TypeKind::Time { .. }, DataType::Int64) => Value::Time(Time::from_micros(array.as_primitive::<arrow::datatypes::Int64Type>().value(i))),
        (_, DataType::Int64) => Value::Int(array.as_primitive::<arrow::datatypes::Int64Type>().value(i)),
        (TypeKind::DateTime { .. } | TypeKind::Timestamp { .. }, DataType::UInt64) => {
            Value::DateTime(DateTime::from_packed(array.as_primitive::<arrow::datatypes::UInt64Type>().value(i)))
        }
        (_, DataType::UInt64) => Value::UInt(array.as_primitive::<arrow::datatypes::UInt64Type>().value(i)),
        (_, DataType::Decimal128(_, scale)) => {
            Value::Decimal(Decimal::new(array.as_primitive::<arrow::datatypes::Decimal128Type>().value(i), *scale as u8))
        }
        (_, DataType::Float64) => Value::Double(array.as_primitive::<arrow::datatypes::Float64Type>().value(i)),
        (_, DataType::UInt32) => Value::Date(Date::from_packed(array.as_primitive::<arrow::datatypes::UInt32Type>().value(i))),
        (_, DataType::LargeUtf8) => any.downcast_ref::<LargeStringArray>().map_or(Value::Null, |a| Value::str(a.value(i))),
        (TypeKind::Json, DataType::LargeBinary) => {
            any.downcast_ref::<LargeBinaryArray>().and_then(|a| Json::from_bytes(a.value(i))).map_or(Value::Null, |j| Value::Json(Arc::new(j)))
        }
        (_, DataType::LargeBinary) => any.downcast_ref::<LargeBinaryArray>().map_or(Value::Null, |a| Value::bytes(a.value(i))),
        (_, DataType::Boolean) => Value::Int(array.as_boolean().value(i) as i64),
        _ => Value::Null,
    }
}

/// Collects one column.
pub enum Builder {
    Int(Int64Builder),
    UInt(UInt64Builder),
    Decimal(Decimal128Builder, u8),
    Double(Float64Builder),
    Text(LargeStringBuilder),
    Bytes(LargeBinaryBuilder),
    Date(UInt32Builder),
}

impl Builder {
    pub fn new(to: &DataType, rows: usize) -> Option<Self> {
        Some(match to {
            DataType::Int64 => Builder::Int(Int64Builder::with_capacity(rows)),
            DataType::UInt64 => Builder::UInt(UInt64Builder::with_capacity(rows)),
            DataType::Decimal128(p, s) => Builder::Decimal(Decimal128Builder::with_capacity(rows).with_precision_and_scale(*p, *s).ok()?, *s as u8),
            DataType::Float64 => Builder::Double(Float64Builder::with_capacity(rows)),
            DataType::LargeUtf8 => Builder::Text(LargeStringBuilder::with_capacity(rows, rows * 8)),
            DataType::LargeBinary => Builder::Bytes(LargeBinaryBuilder::with_capacity(rows, rows * 8)),
            DataType::UInt32 => Builder::Date(UInt32Builder::with_capacity(rows)),
            _ => return None,
        })
    }

    /// Column `ordinal` of stored rows. False if a value does not fit the carrier.
    #[must_use]
    pub fn push_rows<'r, 'b: 'r>(&mut self, schema: &TableSchema, ordinal: usize, rows: impl Iterator<Item = &'r StoredRow<'b>>) -> bool {
        let mut fits = true;
        let fields = rows.map(|r| schema.field(r.version, r.bytes, ordinal));
        // The kind of column is decided once, not for every row.
        match self {
            Builder::Int(b) => fields.for_each(|f| match f {
                FieldRef::Int(n) => b.append_value(n),
                FieldRef::UInt(n) => b.append_value(n as i64),
                FieldRef::Time(t) => b.append_value(t.micros()),
                _ => b.append_null(),
            }),
            Builder::UInt(b) => fields.for_each(|f| match f {
                FieldRef::UInt(n) => b.append_value(n),
                FieldRef::Int(n) => b.append_value(n as u64),
                FieldRef::DateTime(d) => b.append_value(d.packed()),
                _ => b.append_null(),
            }),
            Builder::Decimal(b, scale) => fields.for_each(|f| match f {
                FieldRef::Decimal(d) => {
                    let digits = unscaled(&d, *scale);
                    fits &= digits.is_some();
                    b.append_option(digits);
                }
                _ => b.append_null(),
            }),
            Builder::Double(b) => fields.for_each(|f| match f {
                FieldRef::Double(d) => b.append_value(d),
                _ => b.append_null(),
            }),
            // Stored text is UTF-8 by the row codec's promise; bytes that are not (damage) read as NULL rather than as undefined behaviour.
            Builder::Text(b) => fields.for_each(|f| match f {
                FieldRef::Str(s) => match std::str::from_utf8(s) {
                    Ok(s) => b.append_value(s),
                    Err(_) => b.append_null(),
                },
                _ => b.append_null(),
            }),
            Builder::Bytes(b) => fields.for_each(|f| match f {
                FieldRef::Bytes(s) | FieldRef::Json(s) => b.append_value(s),
                _ => b.append_null(),
            }),
            Builder::Date(b) => fields.for_each(|f| match f {
                FieldRef::Date(d) => b.append_value(d.packed()),
                _ => b.append_null(),
            }),
        }
        fits
    }

    /// A computed value; one that does not fit the carrier is an error, not a NULL.
    pub fn push(&mut self, value: &Value) -> bool {
        match (self, value) {
            (Builder::Int(b), Value::Null) => b.append_null(),
            (Builder::Int(b), Value::Int(n)) => b.append_value(*n),
            (Builder::Int(b), Value::UInt(n)) if i64::try_from(*n).is_ok() => b.append_value(*n as i64),
            (Builder::Int(b), Value::Time(t)) => b.append_value(t.micros()),
            (Builder::UInt(b), Value::Null) => b.append_null(),
            (Builder::UInt(b), Value::UInt(n)) => b.append_value(*n),
            (Builder::UInt(b), Value::Int(n)) if *n >= 0 => b.append_value(*n as u64),
            (Builder::UInt(b), Value::DateTime(d)) => b.append_value(d.packed()),
            (Builder::Decimal(b, _), Value::Null) => b.append_null(),
            (Builder::Decimal(b, scale), Value::Decimal(d)) => match unscaled(d, *scale) {
                Some(n) => b.append_value(n),
                None => return false,
            },
            (Builder::Decimal(b, scale), Value::Int(n)) => match unscaled(&Decimal::from_i64(*n), *scale) {
                Some(n) => b.append_value(n),
                None => return false,
            },
            (Builder::Double(b), Value::Null) => b.append_null(),
            (Builder::Double(b), Value::Double(d)) => b.append_value(*d),
            (Builder::Text(b), Value::Null) => b.append_null(),
            (Builder::Text(b), Value::Str(s)) => b.append_value(s),
            (Builder::Bytes(b), Value::Null) => b.append_null(),
            (Builder::Bytes(b), Value::Bytes(s)) => b.append_value(s),
            (Builder::Bytes(b), Value::Json(j)) => b.append_value(json_bytes(j)),
            (Builder::Date(b), Value::Null) => b.append_null(),
            (Builder::Date(b), Value::Date(d)) => b.append_value(d.packed()),
            _ => return false,
        }
        true
    }

    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Int(b) => Arc::new(b.finish()),
            Builder::UInt(b) => Arc::new(b.finish()),
            Builder::Decimal(b, _) => Arc::new(b.finish()),
            Builder::Double(b) => Arc::new(b.finish()),
            Builder::Text(b) => Arc::new(b.finish()),
            Builder::Bytes(b) => Arc::new(b.finish()),
            Builder::Date(b) => Arc::new(b.finish()),
        }
    }
}
