//! How many bytes a document takes in MySQL's binary form.
//!
//! Owns:     nothing.
//! Promises: the number JSON_STORAGE_SIZE gives in MySQL, of whose binary form the sizes are all that is needed here.
//! Never:    says what a document takes in a row of ours: see `binary`.
//! Source:   MySQL's documentation of sql-common/json_binary.h: a type byte, then for arrays and objects a header, key and value entries, keys and values;
//!           offsets have two bytes where 64 KiB are enough, else four.

use super::Json;

/// The largest array or object whose offsets have two bytes.
const SMALL: usize = 65_535;

impl Json {
    /// JSON_STORAGE_SIZE.
    pub fn storage_size(&self) -> usize {
        1 + value_size(self)
    }
}

fn value_size(value: &Json) -> usize {
    match value {
        Json::Null | Json::Bool(_) => 1,
        Json::Int(n) if i16::try_from(*n).is_ok() => 2,
        Json::Int(n) if i32::try_from(*n).is_ok() => 4,
        Json::UInt(n) if u16::try_from(*n).is_ok() => 2,
        Json::UInt(n) if u32::try_from(*n).is_ok() => 4,
        Json::Int(_) | Json::UInt(_) | Json::Double(_) => 8,
        Json::String(text) => length_size(text.len()) + text.len(),
        // Opaque values: the field's type, a length, and the bytes.
        Json::Opaque(bytes) => 1 + length_size(bytes.len()) + bytes.len(),
        Json::Date(_) | Json::Time(_) | Json::DateTime(_) => 1 + 1 + 8,
        Json::Decimal(d) => {
            let digits = |n: usize| n / 9 * 4 + [0, 1, 1, 2, 2, 3, 3, 4, 4][n % 9];
            // Precision and scale come first.
            1 + 1 + 2 + digits((d.precision() - d.scale().min(d.precision())) as usize) + digits(d.scale() as usize)
        }
        Json::Array(items) => container_size(items.iter(), items.len(), None),
        Json::Object(members) => container_size(members.values(), members.len(), Some(members.iter().map(|(key, _)| key.len()).sum())),
    }
}

/// Bytes of a length: seven bits in each.
fn length_size(n: usize) -> usize {
    (1..).find(|bytes| n >> (7 * bytes).min(63) == 0).unwrap_or(1)
}

/// `keys`: the bytes of an object's keys.
fn container_size<'a>(values: impl Iterator<Item = &'a Json>, count: usize, keys: Option<usize>) -> usize {
    let (mut small, mut large) = (0, 0);
    for value in values {
        let size = value_size(value);
        // What is no longer than its offset stands in its place.
        let inlined_in = match value {
            Json::Null | Json::Bool(_) => 2,
            Json::Int(_) | Json::UInt(_) => size,
            _ => usize::MAX,
        };
        small += 3 + if inlined_in <= 2 { 0 } else { size };
        large += 5 + if inlined_in <= 4 { 0 } else { size };
    }
    if let Some(bytes) = keys {
        small += 4 * count + bytes;
        large += 6 * count + bytes;
    }
    if small + 4 <= SMALL && count <= SMALL { small + 4 } else { large + 8 }
}
