//! Keys as bytes that sort as SQL sorts.
//!
//! Owns:     nothing.
//! Promises: memcmp of two keys is the SQL order of the two tuples: NULL first, collations obeyed, DESC parts reversed; equal values give equal bytes.
//!           Every part ends itself: no value's bytes are a proper prefix of another's, so parts simply follow each other, and the bytes of leading
//!           parts are a prefix of exactly the keys that begin with those values.
//! Never:    is decoded: rows hold the values.
//! See:      docs/format/key.md

mod hash;
#[cfg(test)]
mod tests;

pub use hash::shard_hash;

use crate::row::{FieldRef, RowLayout, decimal_bytes, integer_bytes};
use crate::{Collation, Decimal, SqlType, TypeKind, Value};
use std::cmp::Ordering;

/// One column of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPart {
    pub ty: SqlType,
    pub descending: bool,
    /// Only the first so many characters (bytes for binary).
    pub prefix: Option<u32>,
}

impl KeyPart {
    pub fn ascending(ty: SqlType) -> Self {
        Self { ty, descending: false, prefix: None }
    }
}

/// Encodes tuples of one index.
#[derive(Clone, Debug)]
pub struct KeyEncoder {
    parts: Vec<KeyPart>,
}

impl KeyEncoder {
    pub fn new(parts: Vec<KeyPart>) -> Self {
        Self { parts }
    }
    pub fn parts(&self) -> &[KeyPart] {
        &self.parts
    }

    /// Appends the key of `values`: all parts, or a leading few (for a range's bound).
    pub fn encode(&self, values: &[Value], out: &mut Vec<u8>) {
        for (part, value) in self.parts.iter().zip(values) {
            encode_part(value, &part.ty, part.descending, part.prefix, out);
        }
    }

    /// Appends the key of a stored row; `fields[i]` is the row's field for part i. True if any part is NULL (such a key is never a duplicate).
    pub fn encode_row(&self, layout: &RowLayout, row: &[u8], fields: &[usize], out: &mut Vec<u8>) -> bool {
        let mut null = false;
        for (part, field) in self.parts.iter().zip(fields) {
            let field = layout.field(row, *field);
            null |= field.is_null();
            encode_field(&field, &part.ty, part.descending, part.prefix, out);
        }
        null
    }
}

/// Before a part of a nullable type. A type that is NOT NULL has no such byte.
const NULL: u8 = 0;
const PRESENT: u8 = 1;

/// Appends one part. `value` must have the variant of `ty` (see [`Value`]) and lie within it (see [`within`]); `Int` and `UInt` stand in for each other.
/// A value of another variant is encoded as NULL would be.
pub fn encode_part(value: &Value, ty: &SqlType, descending: bool, prefix: Option<u32>, out: &mut Vec<u8>) {
    let field = match value {
        Value::Null => FieldRef::Null,
        Value::Int(v) => FieldRef::Int(*v),
        Value::UInt(v) => FieldRef::UInt(*v),
        Value::Double(v) => FieldRef::Double(*v),
        Value::Decimal(v) => FieldRef::Decimal(v.clone()),
        Value::Str(v) => FieldRef::Str(v.as_bytes()),
        Value::Bytes(v) => FieldRef::Bytes(v),
        Value::Date(v) => FieldRef::Date(*v),
        Value::Time(v) => FieldRef::Time(*v),
        Value::DateTime(v) => FieldRef::DateTime(*v),
        Value::Json(v) => {
            return wrapped(ty.nullable, descending, out, |out| {
                v.sort_key(out);
                true
            });
        }
    };
    encode_field(&field, ty, descending, prefix, out);
}

/// The first eight of the bytes that [`encode_part`] appends for a text of a nullable type, if a glance at its first letters tells them.
pub fn text_head(value: &str, collation: Collation, descending: bool) -> Option<u64> {
    let letters: [u8; 7] = collation.sort_key_head(value.as_bytes())?;
    let mut head = [PRESENT; 8];
    head[1..].copy_from_slice(&letters);
    let head = u64::from_be_bytes(head);
    Some(if descending { !head } else { head })
}

/// The same from a row's field.
pub fn encode_field(field: &FieldRef<'_>, ty: &SqlType, descending: bool, prefix: Option<u32>, out: &mut Vec<u8>) {
    if field.is_null() {
        if ty.nullable {
            out.push(if descending { !NULL } else { NULL });
        }
        return;
    }
    wrapped(ty.nullable, descending, out, |out| append(field, ty, prefix, out));
}

fn wrapped(nullable: bool, descending: bool, out: &mut Vec<u8>, append: impl FnOnce(&mut Vec<u8>) -> bool) {
    let start = out.len();
    if nullable {
        out.push(PRESENT);
    }
    if !append(out) {
        out.truncate(start);
        if nullable {
            out.push(NULL);
        }
    }
    if descending {
        for b in &mut out[start..] {
            *b = !*b;
        }
    }
}

/// False for a value of another variant than the type's; `out` may then have grown.
fn append(field: &FieldRef<'_>, ty: &SqlType, prefix: Option<u32>, out: &mut Vec<u8>) -> bool {
    if let Some((width, signed)) = integer_bytes(&ty.kind) {
        let raw = match field {
            FieldRef::Int(v) => *v as u64,
            FieldRef::UInt(v) => *v,
            _ => return false,
        };
        put_integer(raw, width, signed, out);
        return true;
    }
    match (&ty.kind, field) {
        (TypeKind::Float { .. } | TypeKind::Double { .. }, FieldRef::Double(v)) => out.extend_from_slice(&double_bits(*v).to_be_bytes()),
        (TypeKind::Decimal { precision, scale, .. }, FieldRef::Decimal(v)) => put_decimal(v, *precision, *scale, out),
        (TypeKind::Date, FieldRef::Date(v)) => out.extend_from_slice(&v.packed().to_be_bytes()[1..]),
        (TypeKind::Time { .. }, FieldRef::Time(v)) => put_integer(v.micros() as u64, 6, true, out),
        (TypeKind::DateTime { .. } | TypeKind::Timestamp { .. }, FieldRef::DateTime(v)) => out.extend_from_slice(&v.packed().to_be_bytes()),
        (TypeKind::Json, FieldRef::Json(bytes)) => match crate::Json::from_bytes(bytes) {
            Some(json) => json.sort_key(out),
            None => return false,
        },
        (kind, FieldRef::Str(v) | FieldRef::Bytes(v)) if kind.is_text() || kind.is_binary() => {
            let collation = if kind.is_binary() { Collation::BINARY } else { ty.collation };
            match prefix {
                Some(length) => collation.sort_key_prefix(v, length, out),
                None => collation.sort_key(v, out),
            }
        }
        _ => return false,
    }
    true
}

/// The lowest `width` bytes, most significant first; the sign bit is turned over, so that negative numbers come first.
#[inline]
fn put_integer(raw: u64, width: u8, signed: bool, out: &mut Vec<u8>) {
    let bits = width as u32 * 8;
    let raw = if signed { raw ^ 1 << (bits - 1) } else { raw };
    match width {
        8 => out.extend_from_slice(&raw.to_be_bytes()),
        4 => out.extend_from_slice(&(raw as u32).to_be_bytes()),
        _ => out.extend_from_slice(&raw.to_be_bytes()[8 - width as usize..]),
    }
}

/// IEEE bits in numeric order: positive numbers get their sign bit set, negative ones are turned over. -0 is 0.
fn double_bits(v: f64) -> u64 {
    let bits = (v + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

/// The unscaled number in as many bytes as rows use, sign bit turned over. A number of other scale or beyond the precision is brought to the nearest within.
fn put_decimal(v: &Decimal, precision: u8, scale: u8, out: &mut Vec<u8>) {
    let width = decimal_bytes(precision);
    if v.scale() == scale
        && width <= 16
        && v.precision() <= precision
        && let Some(unscaled) = v.unscaled_i128()
    {
        let raw = unscaled ^ 1 << (width as u32 * 8 - 1);
        out.extend_from_slice(&raw.to_be_bytes()[16 - width as usize..]);
        return;
    }
    let greatest = Decimal::max_value(precision, scale);
    let v = v.rescale(scale).filter(|v| v.abs() <= greatest).unwrap_or(if v.is_negative() { greatest.neg() } else { greatest });
    let mut bytes = v.unscaled().to_be_bytes();
    let bytes = &mut bytes[32 - width as usize..];
    bytes[0] ^= 0x80;
    out.extend_from_slice(bytes);
}

/// The value of `ty` nearest to `value`, and where `value` itself lies from it: `Less` if it is less than the nearest. For the bounds of a range:
/// `id < 1000` on a TINYINT is "up to 127", `Greater`, so 127 is inside. Only numbers can lie between or beyond; others come back as they are.
pub fn within(value: &Value, ty: &SqlType) -> (Value, Ordering) {
    if let Some((least, greatest)) = ty.kind.integer_range() {
        // The usual case, for which a DECIMAL would be long.
        match value {
            Value::Int(v) if (least..=greatest).contains(&(*v as i128)) => return (whole_of(*v as i128, ty), Ordering::Equal),
            Value::UInt(v) if (least..=greatest).contains(&(*v as i128)) => return (whole_of(*v as i128, ty), Ordering::Equal),
            _ => (),
        }
        let exact = match value {
            Value::Int(v) => Some(Decimal::from_i64(*v)),
            Value::UInt(v) => Some(Decimal::from_u64(*v)),
            Value::Decimal(v) => Some(v.clone()),
            Value::Double(v) if !v.is_nan() => Some(Decimal::from_f64(v.clamp(-1e38, 1e38)).unwrap_or(Decimal::ZERO)),
            _ => None,
        };
        let Some(exact) = exact else { return (value.clone(), Ordering::Equal) };
        let nearest =
            exact.round(0).and_then(|r| r.to_i128()).unwrap_or(if exact.is_negative() { i128::MIN } else { i128::MAX }).clamp(least, greatest);
        let order = exact.cmp(&Decimal::from_i128(nearest));
        return (whole_of(nearest, ty), order);
    }
    match (&ty.kind, value) {
        (TypeKind::Decimal { precision, scale, .. }, Value::Decimal(v)) => {
            let greatest = Decimal::max_value(*precision, *scale);
            let nearest = v.rescale(*scale).filter(|r| r.abs() <= greatest).unwrap_or(if v.is_negative() { greatest.neg() } else { greatest });
            let order = v.cmp(&nearest);
            (Value::Decimal(nearest), order)
        }
        _ => (value.clone(), Ordering::Equal),
    }
}

/// A number within the range of an integer type.
fn whole_of(v: i128, ty: &SqlType) -> Value {
    if ty.kind.is_unsigned() && ty.kind != TypeKind::Year { Value::UInt(v as u64) } else { Value::Int(v as i64) }
}

/// Appends the bytes with which the key part of every string begins that starts with `prefix` (under the collation): the lower bound of
/// `LIKE 'prefix%'`, whose upper bound is [`upper_bound`] of it. Keys of a few other strings may begin so, too: check them. Ascending parts only.
pub fn encode_like_prefix(prefix: &str, ty: &SqlType, out: &mut Vec<u8>) {
    if ty.nullable {
        out.push(PRESENT);
    }
    let collation = if ty.kind.is_binary() { Collation::BINARY } else { ty.collation };
    collation.sort_key_start(prefix.as_bytes(), out);
}

/// The least bytes greater than every key that begins with `prefix`; `None`: there is no such bound.
pub fn upper_bound(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|b| *b != 0xFF)?;
    let mut bound = prefix[..=last].to_vec();
    bound[last] += 1;
    Some(bound)
}

/// Appends one column of a shard key: the bytes that are hashed to find a row's partition. Other than in an index, the declared width of a number
/// does not show: 1 in an INT and 1 in a BIGINT NULL go to the same partition, so that tables can be joined where they lie.
pub fn encode_shard_part(value: &Value, ty: &SqlType, out: &mut Vec<u8>) {
    match value {
        Value::Int(v) => {
            out.push(PRESENT);
            out.push(u8::from(*v >= 0));
            out.extend_from_slice(&v.to_be_bytes());
        }
        Value::UInt(v) => {
            out.push(PRESENT);
            // Above i64 there is no signed number to be equal to: any third mark will do.
            out.push(if *v > i64::MAX as u64 { 2 } else { 1 });
            out.extend_from_slice(&v.to_be_bytes());
        }
        _ if value.is_null() => out.push(NULL),
        _ => {
            let nullable = ty.clone().with_nullable(true);
            encode_part(value, &nullable, false, None, out);
        }
    }
}
