//! The bytes of one row.
//!
//! Owns:     the layout, computed once per table version.
//! Promises: reading a field finds it in constant time and allocates nothing (but for a DECIMAL beyond 38 digits).
//!           Bytes that are no row never panic: their fields read as something, or as NULL; [`RowLayout::check`] finds them out.
//! Never:    versions rows: whoever holds a row knows which layout wrote it.
//! See:      docs/format/row.md

mod build;
mod check;
mod field;
#[cfg(test)]
mod tests;

pub use build::RowBuilder;
pub use field::FieldRef;

use crate::json::Json;
use crate::sql_type::IntWidth;
use crate::{Decimal, SqlType, TypeKind, Value};
use ethnum::I256;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    #[error("row bytes are damaged: {0}")]
    Damaged(&'static str),
    /// A value of a variant that the column's type does not use, beyond its range, or NULL where there is none: a caller's mistake.
    #[error("value of field {field} does not have its column's type")]
    WrongType { field: usize },
    #[error("{given} values for {expected} fields")]
    WrongCount { given: usize, expected: usize },
    /// The variable part would pass 4 GiB.
    #[error("row is too long")]
    TooLong,
}

/// The first byte of a row; all other bits are 0.
const WIDE: u8 = 1;

/// Where and how one field is kept. `at` counts from the row's first byte; `var` counts variable fields.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slot {
    /// TypeKind::Null: nothing is kept.
    Nothing,
    Int {
        at: u32,
        width: u8,
    },
    UInt {
        at: u32,
        width: u8,
    },
    Float {
        at: u32,
    },
    Double {
        at: u32,
    },
    Decimal {
        at: u32,
        width: u8,
        scale: u8,
    },
    Date {
        at: u32,
    },
    Time {
        at: u32,
    },
    DateTime {
        at: u32,
    },
    /// `trim`: trailing spaces are not kept (CHAR).
    Str {
        var: u32,
        trim: bool,
    },
    Bytes {
        var: u32,
    },
    Json {
        var: u32,
    },
}

#[derive(Clone, Copy, Debug)]
struct Field {
    slot: Slot,
    /// Its bit in the bitmap; `NOT_NULL` for none.
    null_bit: u32,
}
const NOT_NULL: u32 = u32::MAX;

/// Where each field of a row lies.
#[derive(Clone, Debug)]
pub struct RowLayout {
    fields: Box<[Field]>,
    null_bits: u32,
    /// Where the ends of the variable fields begin.
    fixed_end: u32,
    variable: u32,
}

/// Bytes of an unsigned number below `values`.
fn bytes_for(values: u64) -> u8 {
    match values {
        0..=0xFF => 1,
        0x100..=0xFFFF => 2,
        _ => 4,
    }
}
/// Bytes of a SET with so many members, as in MySQL.
fn set_bytes(members: usize) -> u8 {
    match members {
        0..=8 => 1,
        9..=16 => 2,
        17..=24 => 3,
        25..=32 => 4,
        _ => 8,
    }
}
/// Bytes of a two's complement number of `precision` digits.
pub(crate) fn decimal_bytes(precision: u8) -> u8 {
    // log2(10) is a little below 3.3220; one more bit is the sign.
    let bits = (precision.clamp(1, Decimal::MAX_PRECISION) as u32 * 33_220).div_ceil(10_000) + 1;
    bits.div_ceil(8) as u8
}

/// How many bytes an integer-like type is kept in, and whether it is signed.
pub(crate) fn integer_bytes(kind: &TypeKind) -> Option<(u8, bool)> {
    Some(match kind {
        TypeKind::Int { width, unsigned, .. } => {
            let bytes = match width {
                IntWidth::Tiny => 1,
                IntWidth::Small => 2,
                IntWidth::Medium => 3,
                IntWidth::Int => 4,
                IntWidth::Big => 8,
            };
            (bytes, !unsigned)
        }
        TypeKind::Year => (2, true),
        TypeKind::Bit { bits } => (bits.clamp(&1, &64).div_ceil(8), false),
        TypeKind::Enum(members) => (bytes_for(members.len() as u64), false),
        TypeKind::Set(members) => (set_bytes(members.len()), false),
        _ => return None,
    })
}

impl RowLayout {
    pub fn new(types: &[SqlType]) -> Self {
        let null_bits = types.iter().filter(|t| t.nullable && t.kind != TypeKind::Null).count() as u32;
        let mut at = 1 + null_bits.div_ceil(8);
        let (mut bit, mut var) = (0, 0);
        let mut fixed = |width: u8| {
            let start = at;
            at += width as u32;
            start
        };
        let mut variable = || {
            var += 1;
            var - 1
        };
        let mut fields = Vec::with_capacity(types.len());
        for ty in types {
            let slot = match &ty.kind {
                TypeKind::Null => Slot::Nothing,
                kind @ (TypeKind::Int { .. } | TypeKind::Year | TypeKind::Bit { .. } | TypeKind::Enum(_) | TypeKind::Set(_)) => {
                    let (width, signed) = integer_bytes(kind).expect("the integer kinds were just matched");
                    let at = fixed(width);
                    if signed { Slot::Int { at, width } } else { Slot::UInt { at, width } }
                }
                TypeKind::Float { .. } => Slot::Float { at: fixed(4) },
                TypeKind::Double { .. } => Slot::Double { at: fixed(8) },
                TypeKind::Decimal { precision, scale, .. } => {
                    let width = decimal_bytes(*precision);
                    Slot::Decimal { at: fixed(width), width, scale: *scale }
                }
                TypeKind::Date => Slot::Date { at: fixed(3) },
                TypeKind::Time { .. } => Slot::Time { at: fixed(6) },
                TypeKind::DateTime { .. } | TypeKind::Timestamp { .. } => Slot::DateTime { at: fixed(8) },
                TypeKind::Char { .. } => Slot::Str { var: variable(), trim: true },
                TypeKind::VarChar { .. } | TypeKind::Text(_) => Slot::Str { var: variable(), trim: false },
                TypeKind::Binary { .. } | TypeKind::VarBinary { .. } | TypeKind::Blob(_) => Slot::Bytes { var: variable() },
                TypeKind::Json => Slot::Json { var: variable() },
            };
            let null_bit = if ty.nullable && slot != Slot::Nothing {
                bit += 1;
                bit - 1
            } else {
                NOT_NULL
            };
            fields.push(Field { slot, null_bit });
        }
        Self { fields: fields.into(), null_bits, fixed_end: at, variable: var }
    }

    pub fn len(&self) -> usize {
        self.fields.len()
    }
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Appends the row's bytes; on an error `out` is as before. Values must have been converted to their columns' types: a DECIMAL within its
    /// precision, an integer within its width. `Int` stands in for `UInt` and the other way round where the number allows.
    pub fn encode(&self, values: &[Value], out: &mut Vec<u8>) -> Result<(), RowError> {
        if values.len() != self.fields.len() {
            return Err(RowError::WrongCount { given: values.len(), expected: self.fields.len() });
        }
        let mut row = self.build(out);
        values.iter().try_for_each(|v| row.value(v))?;
        row.finish()
    }
    /// Appends a row, field after field.
    pub fn build<'a>(&'a self, out: &'a mut Vec<u8>) -> RowBuilder<'a> {
        RowBuilder::new(self, out)
    }

    /// Field `i` of `row`; NULL for bytes that are too short to have it.
    #[inline]
    pub fn field<'a>(&self, row: &'a [u8], i: usize) -> FieldRef<'a> {
        let Some(field) = self.fields.get(i) else { return FieldRef::Null };
        if self.has_null_bit(row, field) {
            return FieldRef::Null;
        }
        self.read(row, field.slot).unwrap_or(FieldRef::Null)
    }

    fn read<'a>(&self, row: &'a [u8], slot: Slot) -> Option<FieldRef<'a>> {
        Some(match slot {
            Slot::Nothing => FieldRef::Null,
            Slot::Int { at, width } => FieldRef::Int(read_int(row, at, width)?),
            Slot::UInt { at, width } => FieldRef::UInt(read_uint(row, at, width)?),
            Slot::Float { at } => FieldRef::Double(f32::from_le_bytes(array(row, at)?) as f64),
            Slot::Double { at } => FieldRef::Double(f64::from_le_bytes(array(row, at)?)),
            Slot::Decimal { at, width, scale } => FieldRef::Decimal(read_decimal(row, at, width, scale)?),
            Slot::Date { at } => FieldRef::Date(crate::Date::from_packed(read_uint(row, at, 3)? as u32)),
            Slot::Time { at } => FieldRef::Time(crate::Time::from_micros(read_int(row, at, 6)?)),
            Slot::DateTime { at } => FieldRef::DateTime(crate::DateTime::from_packed(u64::from_le_bytes(array(row, at)?))),
            Slot::Str { var, .. } => FieldRef::Str(self.read_variable(row, var)?),
            Slot::Bytes { var } => FieldRef::Bytes(self.read_variable(row, var)?),
            Slot::Json { var } => FieldRef::Json(self.read_variable(row, var)?),
        })
    }

    #[inline]
    fn has_null_bit(&self, row: &[u8], field: &Field) -> bool {
        field.null_bit != NOT_NULL && row.get(1 + field.null_bit as usize / 8).is_none_or(|b| b >> (field.null_bit % 8) & 1 == 1)
    }

    #[inline]
    fn read_variable<'a>(&self, row: &'a [u8], var: u32) -> Option<&'a [u8]> {
        let table = self.fixed_end as usize;
        let (var, count) = (var as usize, self.variable as usize);
        let (heap, from, to) = if row.first()? & WIDE == 0 {
            let end = |i: usize| Some(u16::from_le_bytes(array(row, (table + i * 2) as u32)?) as usize);
            (table + count * 2, if var == 0 { 0 } else { end(var - 1)? }, end(var)?)
        } else {
            let end = |i: usize| Some(u32::from_le_bytes(array(row, (table + i * 4) as u32)?) as usize);
            (table + count * 4, if var == 0 { 0 } else { end(var - 1)? }, end(var)?)
        };
        row.get(heap + from..heap + to)
    }

    /// Field `i` as a value of its own.
    pub fn value(&self, row: &[u8], i: usize) -> Value {
        self.field(row, i).to_value()
    }
    /// All fields, in order.
    pub fn decode(&self, row: &[u8]) -> Vec<Value> {
        (0..self.len()).map(|i| self.value(row, i)).collect()
    }
    pub fn is_null(&self, row: &[u8], i: usize) -> bool {
        self.fields.get(i).is_none_or(|f| f.slot == Slot::Nothing || self.has_null_bit(row, f))
    }
}

#[inline]
fn array<const N: usize>(row: &[u8], at: u32) -> Option<[u8; N]> {
    row.get(at as usize..at as usize + N)?.try_into().ok()
}

#[inline]
fn read_uint(row: &[u8], at: u32, width: u8) -> Option<u64> {
    Some(match width {
        1 => *row.get(at as usize)? as u64,
        2 => u16::from_le_bytes(array(row, at)?) as u64,
        4 => u32::from_le_bytes(array(row, at)?) as u64,
        8 => u64::from_le_bytes(array(row, at)?),
        _ => row.get(at as usize..at as usize + width as usize)?.iter().rev().fold(0, |n, b| n << 8 | *b as u64),
    })
}

#[inline]
fn read_int(row: &[u8], at: u32, width: u8) -> Option<i64> {
    let unused = 64 - width as u32 * 8;
    Some((read_uint(row, at, width)? << unused) as i64 >> unused)
}

fn read_decimal(row: &[u8], at: u32, width: u8, scale: u8) -> Option<Decimal> {
    let bytes = row.get(at as usize..at as usize + width as usize)?;
    let sign = if bytes.last()? >> 7 == 1 { 0xFF } else { 0 };
    if width <= 16 {
        let mut all = [sign; 16];
        all[..bytes.len()].copy_from_slice(bytes);
        return Some(Decimal::new(i128::from_le_bytes(all), scale));
    }
    let mut all = [sign; 32];
    all[..bytes.len()].copy_from_slice(bytes);
    Decimal::from_i256(I256::from_le_bytes(all), scale)
}
