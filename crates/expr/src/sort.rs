//! Values as bytes that order, or that tell equal from different.
//!
//! Owns:     nothing.
//! Promises: NULL first (last when descending); text by its collation; values of one type only are compared with each other.
//! Never:    encodes index keys: `types::key` does, and its bytes are kept on disk.

use weald_types::key::{encode_part, text_head};
use weald_types::{SqlType, TypeKind, Value};

/// Appends bytes that sort as `v` does.
pub fn sort_key(v: &Value, ty: &SqlType, descending: bool, out: &mut Vec<u8>) {
    encode_part(v, &form_of(v, ty), descending, None, out)
}

/// The first eight of the bytes that [`sort_key`] appends, as a number, if they are known at a glance.
pub fn sort_key_head(v: &Value, ty: &SqlType, descending: bool) -> Option<u64> {
    match v {
        Value::Str(text) => text_head(text, ty.collation, descending),
        _ => None,
    }
}

/// Appends bytes that are equal exactly for values that GROUP BY, DISTINCT and joins take for equal.
pub fn group_key(v: &Value, ty: &SqlType, out: &mut Vec<u8>) {
    encode_part(v, &form_of(v, ty), false, None, out)
}

/// The type by which a value is encoded. An evaluated ENUM is text, an expression may give another variant than its type says (a text in a numeric context):
/// what counts is the value, so that equal values of an INT NOT NULL and a BIGINT column meet.
fn form_of(v: &Value, ty: &SqlType) -> SqlType {
    let kind = match (v, &ty.kind) {
        (Value::Str(_), _) => return SqlType::varchar(u32::MAX, true, ty.collation),
        (Value::Int(_), _) => return SqlType::bigint(true),
        (Value::UInt(_), _) => return SqlType::bigint_unsigned(true),
        (Value::Decimal(d), _) => TypeKind::Decimal {
            precision: 65,
            scale: match ty.kind {
                TypeKind::Decimal { scale, .. } => scale.max(d.scale()),
                _ => d.scale(),
            },
            unsigned: false,
        },
        (Value::Double(_), _) => TypeKind::real(None),
        (Value::Bytes(_), _) => TypeKind::VarBinary { bytes: u32::MAX },
        (Value::Date(_), _) => TypeKind::Date,
        (Value::Time(_), _) => TypeKind::Time { fsp: 6 },
        (Value::DateTime(_), _) => TypeKind::DateTime { fsp: 6 },
        (Value::Json(_), _) => return SqlType::string(TypeKind::Json, true, ty.collation),
        (Value::Null, _) => return SqlType::bigint(true),
    };
    SqlType::new(kind, true)
}
