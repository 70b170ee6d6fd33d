//! CAST and CONVERT, and the casts the binder puts in.
//!
//! Owns:     nothing.
//! Promises: the result has the type's form; what does not fit is cut or clamped with a warning, as MySQL's CAST does.
//! Never:    stores: assignment to a column has its own rules, in `store`.

use crate::{EvalContext, coerce, time_zone};
use std::sync::Arc;
use weald_types::{Decimal, Fault, Json, SqlType, TypeKind, Value, WarningLevel};

pub fn cast(v: Value, from: &SqlType, to: &SqlType, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if v.is_null() { return Ok(Value::Null); }
    Ok(match &to.kind {
        TypeKind::Null => v,
        TypeKind::Int { unsigned: false, .. } => match v {
            Value::Int(_) => v,
            Value::UInt(n) => Value::Int(n as i64),
            v => coerce::wide_int(&v, ctx).map_or(Value::Null, |n| {
                // CAST('18446744073709551615' AS SIGNED) keeps the bits.
                if n > i64::MAX as i128 && n <= u64::MAX as i128 && matches!(v, Value::Str(_)) { return Value::Int(n as u64 as i64); }
                Value::Int(n.clamp(i64::MIN as i128, i64::MAX as i128) as i64)
            }),
        },
        TypeKind::Int { unsigned: true, .. } | TypeKind::Bit { .. } | TypeKind::Set(_) => match v {
            Value::UInt(_) => v,
            Value::Int(n) => Value::UInt(n as u64),
            v => coerce::uint(&v, ctx).map_or(Value::Null, Value::UInt),
        },
        TypeKind::Year => {
            let n = coerce::int(&v, ctx).unwrap_or(0);
            match year(n, matches!(v, Value::Str(_))) {
                Some(y) => Value::Int(y),
                None => { coerce::warn_truncated(ctx, "YEAR", &n.to_string()); Value::Null }
            }
        }
        TypeKind::Decimal { precision, scale, .. } => match coerce::decimal(&v, ctx) {
            None => Value::Null,
            Some(d) => Value::Decimal(fit(d, *precision, *scale, ctx)),
        },
        TypeKind::Float { .. } => coerce::double(&v, ctx).map_or(Value::Null, |d| Value::Double(d as f32 as f64)),
        TypeKind::Double { .. } => coerce::double(&v, ctx).map_or(Value::Null, Value::Double),
        TypeKind::Char { chars } | TypeKind::VarChar { chars } => {
            // A binary string that is to become text must be text.
            let text = match &v {
                Value::Bytes(b) => match std::str::from_utf8(b) {
                    Ok(s) => s.to_string(),
                    Err(_) => {
                        ctx.statement.warn(WarningLevel::Warning, Fault::mysql(1300, "HY000", format!("Invalid {} character string: '{}'", to.collation.charset(), hex_start(b))));
                        return Ok(Value::Null);
                    }
                },
                v => match coerce::text(v, from) { Some(t) => t.into_owned(), None => return Ok(Value::Null) },
            };
            match text.char_indices().nth(*chars as usize) {
                Some((cut, _)) => {
                    coerce::warn_truncated(ctx, "CHAR(n)", &text);
                    Value::str(&text[..cut])
                }
                None => Value::str(text),
            }
        }
        TypeKind::Text(_) | TypeKind::Enum(_) => match v {
            Value::Str(_) => v,
            Value::Bytes(b) => match String::from_utf8(b.into_vec()) { Ok(s) => Value::str(s), Err(_) => Value::Null },
            v => coerce::text(&v, from).map_or(Value::Null, Value::str),
        },
        TypeKind::Binary { bytes } => {
            let mut b = coerce::bytes(&v, from).map(|b| b.into_owned()).unwrap_or_default();
            if b.len() > *bytes as usize { coerce::warn_truncated(ctx, "BINARY(n)", &String::from_utf8_lossy(&b)); }
            b.resize(*bytes as usize, 0);
            Value::bytes(b)
        }
        TypeKind::VarBinary { bytes } => {
            let mut b = coerce::bytes(&v, from).map(|b| b.into_owned()).unwrap_or_default();
            if b.len() > *bytes as usize {
                coerce::warn_truncated(ctx, "BINARY(n)", &String::from_utf8_lossy(&b));
                b.truncate(*bytes as usize);
            }
            Value::bytes(b)
        }
        TypeKind::Blob(_) => coerce::bytes(&v, from).map_or(Value::Null, |b| Value::bytes(b.into_owned())),
        TypeKind::Date => coerce::date(&v, ctx).map_or(Value::Null, Value::Date),
        TypeKind::Time { fsp } => coerce::time(&v, ctx).map_or(Value::Null, |t| Value::Time(t.with_fsp(*fsp, ctx.statement.sql_mode))),
        TypeKind::DateTime { fsp } => coerce::datetime(&v, ctx).and_then(|d| d.with_fsp(*fsp, ctx.statement.sql_mode)).map_or(Value::Null, Value::DateTime),
        // A key for a TIMESTAMP column: as it is stored, in UTC.
        TypeKind::Timestamp { fsp } => coerce::datetime(&v, ctx).and_then(|d| d.with_fsp(*fsp, ctx.statement.sql_mode))
            .and_then(|d| time_zone::to_utc(d, &ctx.statement.time_zone)).map_or(Value::Null, Value::DateTime),
        TypeKind::Json => match v {
            Value::Json(_) => v,
            Value::Str(s) => match Json::parse(&s) {
                Ok(j) => Value::Json(Arc::new(j)),
                Err(e) => return Err(invalid_json(&e.to_string(), e.offset)),
            },
            v => coerce::json(&v, from).map_or(Value::Null, |j| Value::Json(Arc::new(j))),
        },
    })
}

pub fn invalid_json(reason: &str, position: usize) -> Fault {
    Fault::mysql(3141, "22032", format!("Invalid JSON text in argument 1 to function cast_as_json: \"{reason}\" at position {position}."))
}

fn hex_start(b: &[u8]) -> String { b.iter().take(6).map(|x| format!("\\x{x:02X}")).collect() }

/// `d` in DECIMAL(p, s): rounded, or the nearest bound with a warning.
pub fn fit(d: Decimal, precision: u8, scale: u8, ctx: &EvalContext<'_>) -> Decimal {
    let rounded = if d.scale() == scale { Some(d.clone()) } else { d.rescale(scale) };
    match rounded {
        Some(r) if r.fits(precision, scale) => r,
        _ => {
            ctx.statement.warn(WarningLevel::Warning, Fault::OutOfRange { column: String::new(), row: 1 });
            let m = Decimal::max_value(precision, scale);
            if d.is_negative() { m.neg() } else { m }
        }
    }
}

/// A YEAR: 1901 to 2155, or 0; two digits as 1970 to 2069 (the number 0 is the year 0000, the text '0' is 2000).
pub fn year(n: i64, text: bool) -> Option<i64> {
    match n {
        0 if text => Some(2000),
        0 => Some(0),
        1..=69 => Some(2000 + n),
        70..=99 => Some(1900 + n),
        1901..=2155 => Some(n),
        _ => None,
    }
}
