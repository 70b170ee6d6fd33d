//! CAST and CONVERT, and the casts the binder puts in.
//!
//! Owns:     nothing.
//! Promises: the result has the type's form; what does not fit is cut or clamped with a warning, as MySQL's CAST does.
//! Never:    stores: assignment to a column has its own rules, in `store`.

use crate::{EvalContext, coerce, time_zone};
use std::borrow::Cow;
use std::sync::Arc;
use weald_types::{Charset, Collation, DateTime, Decimal, Fault, Json, SqlType, TypeKind, Value, WarningLevel};

fn warn(ctx: &EvalContext<'_>, number: u16, state: &'static str, message: String) {
    ctx.statement.warn(WarningLevel::Warning, Fault::mysql(number, state, message));
}

pub fn cast(v: Value, from: &SqlType, to: &SqlType, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if v.is_null() {
        return Ok(Value::Null);
    }
    Ok(match &to.kind {
        TypeKind::Null => v,
        TypeKind::Int { unsigned: false, .. } => signed(v, ctx),
        TypeKind::Int { unsigned: true, .. } | TypeKind::Bit { .. } | TypeKind::Set(_) => unsigned(v, ctx),
        TypeKind::Year => {
            let n = coerce::int(&v, ctx).unwrap_or(0);
            match year(n, matches!(v, Value::Str(_))) {
                Some(y) => Value::Int(y),
                None => {
                    coerce::warn_truncated(ctx, "YEAR", &n.to_string());
                    Value::Null
                }
            }
        }
        TypeKind::Decimal { precision, scale, unsigned } => match coerce::decimal(&v, ctx) {
            None => Value::Null,
            Some(d) if *unsigned && d.is_negative() => {
                warn_out_of_range(&v, from, to, ctx);
                Value::Decimal(Decimal::new(0, *scale))
            }
            Some(d) => match d.rescale(*scale) {
                Some(r) if r.fits(*precision, *scale) => Value::Decimal(r),
                _ => {
                    warn_out_of_range(&v, from, to, ctx);
                    let m = Decimal::max_value(*precision, *scale);
                    Value::Decimal(if d.is_negative() { m.neg() } else { m })
                }
            },
        },
        TypeKind::Float { .. } => match coerce::double(&v, ctx) {
            None => Value::Null,
            Some(d) if d.abs() > f32::MAX as f64 => {
                let shown = coerce::text(&v, from).unwrap_or_default();
                return Err(Fault::NumericOutOfRange { kind: "FLOAT".into(), expression: format!("cast({shown} as float)") });
            }
            Some(d) => Value::Double(d as f32 as f64),
        },
        TypeKind::Double { .. } => coerce::double(&v, ctx).map_or(Value::Null, Value::Double),
        TypeKind::Char { chars } | TypeKind::VarChar { chars } => text(v, from, Some(*chars), to.collation, ctx),
        TypeKind::Text(_) | TypeKind::Enum(_) => text(v, from, None, to.collation, ctx),
        TypeKind::Binary { bytes } => binary(v, from, *bytes as usize, true, ctx),
        TypeKind::VarBinary { bytes } => binary(v, from, *bytes as usize, false, ctx),
        TypeKind::Blob(_) => binary(v, from, usize::MAX, false, ctx),
        TypeKind::Date => datetime(&v, ctx).map_or(Value::Null, |d| Value::Date(d.date())),
        TypeKind::Time { fsp } => coerce::time(&v, ctx).map_or(Value::Null, |t| Value::Time(t.with_fsp(*fsp, ctx.statement.sql_mode))),
        TypeKind::DateTime { fsp } => datetime(&v, ctx).and_then(|d| d.with_fsp(*fsp, ctx.statement.sql_mode)).map_or(Value::Null, Value::DateTime),
        // A key for a TIMESTAMP column: as it is stored, in UTC.
        TypeKind::Timestamp { fsp } => datetime(&v, ctx)
            .and_then(|d| d.with_fsp(*fsp, ctx.statement.sql_mode))
            .and_then(|d| time_zone::to_utc(d, &ctx.statement.time_zone))
            .map_or(Value::Null, Value::DateTime),
        TypeKind::Json => match v {
            Value::Json(_) => v,
            Value::Str(s) => match Json::parse(&s) {
                Ok(j) => Value::Json(Arc::new(j)),
                Err(e) => return Err(crate::function::invalid_json(&e, "cast_as_json")),
            },
            v => coerce::json(&v, from).map_or(Value::Null, |j| Value::Json(Arc::new(j))),
        },
    })
}

/// A value in the type it shares with others (CASE, COALESCE, UNION …): as [`cast`], but texts keep their length, and zero dates are values.
pub fn convert(v: Value, from: &SqlType, to: &SqlType, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    Ok(match &to.kind {
        _ if v.is_null() => Value::Null,
        TypeKind::Char { .. } | TypeKind::VarChar { .. } => text(v, from, None, to.collation, ctx),
        TypeKind::Binary { .. } | TypeKind::VarBinary { .. } => binary(v, from, usize::MAX, false, ctx),
        TypeKind::Date => coerce::date(&v, ctx).map_or(Value::Null, Value::Date),
        TypeKind::DateTime { .. } => coerce::datetime(&v, ctx).map_or(Value::Null, Value::DateTime),
        // A text among JSON values is a JSON string.
        TypeKind::Json => coerce::json(&v, from).map_or(Value::Null, |j| Value::Json(Arc::new(j))),
        _ => return cast(v, from, to, ctx),
    })
}

/// What the mode forbids (zero dates, zero parts) is NULL when it comes from a text or a number.
fn datetime(v: &Value, ctx: &EvalContext<'_>) -> Option<DateTime> {
    coerce::datetime_in(v, ctx.statement.sql_mode, ctx)
}

fn warn_out_of_range(v: &Value, from: &SqlType, to: &SqlType, ctx: &EvalContext<'_>) {
    let shown = coerce::text(v, from).unwrap_or_default();
    ctx.statement.warn(WarningLevel::Warning, Fault::OutOfRange { column: format!("cast({shown} as {to})"), row: 1 });
}

/// CAST to an integer, other than a comparison, minds spaces after the number.
fn warn_trailing_spaces(v: &Value, ctx: &EvalContext<'_>) {
    let text = match v {
        Value::Str(s) => Cow::Borrowed(s.as_str()),
        Value::Bytes(b) => String::from_utf8_lossy(b),
        _ => return,
    };
    if text.ends_with(|c: char| c.is_ascii_whitespace()) && !coerce::integer_prefix(&text).1 {
        coerce::warn_truncated(ctx, "INTEGER", &text);
    }
}

fn signed(v: Value, ctx: &EvalContext<'_>) -> Value {
    warn_trailing_spaces(&v, ctx);
    match &v {
        Value::Int(_) => v,
        Value::UInt(n) => Value::Int(*n as i64),
        Value::Double(d) => Value::Int(d.round_ties_even() as i64),
        Value::Str(_) | Value::Bytes(_) => {
            let n = coerce::wide_int(&v, ctx).unwrap_or(0);
            if n > i64::MAX as i128 && n <= u64::MAX as i128 {
                warn(ctx, 1105, "HY000", "Cast to signed converted positive out-of-range integer to it's negative complement".into());
            }
            // The bits of the greatest unsigned number: that is what a text beyond 64 bits is read as.
            Value::Int(if n < i64::MIN as i128 { i64::MIN } else { n.min(u64::MAX as i128) as u64 as i64 })
        }
        _ => {
            let n = coerce::wide_int(&v, ctx).unwrap_or(0);
            let fitted = n.clamp(i64::MIN as i128, i64::MAX as i128);
            if fitted != n {
                warn_decimal(&v, ctx);
            }
            Value::Int(fitted as i64)
        }
    }
}

fn unsigned(v: Value, ctx: &EvalContext<'_>) -> Value {
    warn_trailing_spaces(&v, ctx);
    match &v {
        Value::UInt(_) => v,
        Value::Int(n) => Value::UInt(*n as u64),
        Value::Str(_) | Value::Bytes(_) => {
            let n = coerce::wide_int(&v, ctx).unwrap_or(0);
            if n < 0 {
                warn(ctx, 1105, "HY000", "Cast to unsigned converted negative integer to it's positive complement".into());
            }
            Value::UInt(if n < 0 { n.max(i64::MIN as i128) as i64 as u64 } else { n.min(u64::MAX as i128) as u64 })
        }
        Value::Decimal(d) => {
            let n = coerce::wide_of_decimal(d);
            if n > u64::MAX as i128 || n < i64::MIN as i128 {
                warn_decimal(&v, ctx);
            }
            Value::UInt(if n < 0 { n.max(i64::MIN as i128) as i64 as u64 } else { n.min(u64::MAX as i128) as u64 })
        }
        _ => coerce::uint(&v, ctx).map_or(Value::Null, Value::UInt),
    }
}

fn warn_decimal(v: &Value, ctx: &EvalContext<'_>) {
    coerce::warn_truncated(ctx, "DECIMAL", &coerce::text(v, &SqlType::null()).unwrap_or_default());
}

fn text(v: Value, from: &SqlType, chars: Option<u32>, collation: Collation, ctx: &EvalContext<'_>) -> Value {
    let text = match v {
        Value::Str(s) => s,
        Value::Bytes(b) => match Charset::of(collation).decode(&b) {
            Ok(s) => s.as_ref().into(),
            // A binary string that is to become text must be text.
            Err(good) => {
                let bad: String = b[good..].iter().take(3).map(|x| format!("{x:02X}")).collect();
                warn(ctx, 1300, "HY000", format!("Invalid {} character string: '{bad}'", collation.charset()));
                return Value::Null;
            }
        },
        v => match coerce::text(&v, from) {
            Some(t) => t.as_ref().into(),
            None => return Value::Null,
        },
    };
    let charset = Charset::of(collation);
    let text = if collation.max_len() < 4 && text.chars().any(|c| !charset.has(c)) {
        text.chars().map(|c| if charset.has(c) { c } else { '?' }).collect()
    } else {
        text
    };
    // A text of no more bytes than characters are allowed is short enough.
    match chars {
        Some(n) if text.len() > n as usize => match text.char_indices().nth(n as usize) {
            Some((cut, _)) => {
                warn(ctx, 1292, "22007", format!("Truncated incorrect CHAR({n}) value: '{text}'"));
                Value::str(&text[..cut])
            }
            None => Value::Str(text),
        },
        _ => Value::Str(text),
    }
}

fn binary(v: Value, from: &SqlType, most: usize, pad: bool, ctx: &EvalContext<'_>) -> Value {
    let mut b = match v {
        Value::Bytes(b) if b.len() <= most && !pad => return Value::Bytes(b),
        Value::Bytes(b) => b.into_vec(),
        v => coerce::own_bytes(&v, from).unwrap_or_default().into_owned(),
    };
    if b.len() > most {
        warn(ctx, 1292, "22007", format!("Truncated incorrect BINARY({most}) value: '{}'", String::from_utf8_lossy(&b)));
        b.truncate(most);
    }
    if pad {
        b.resize(most, 0);
    }
    Value::bytes(b)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{decimal, statement, take_warnings, unlimited};
    use weald_types::sql_type::BlobSize;
    use weald_types::{Date, Time};

    fn decimal_type(precision: u8, scale: u8, unsigned: bool) -> SqlType {
        SqlType::new(TypeKind::Decimal { precision, scale, unsigned }, true)
    }
    fn char_type(chars: u32) -> SqlType {
        SqlType::varchar(chars, true, Collation::UTF8MB4_GENERAL_CI)
    }

    #[test]
    fn casts_cut_and_clamp_as_mysqls_do() {
        let s = unlimited();
        let ctx = statement(&s);
        let from = SqlType::null();
        let check = |v: Value, to: SqlType, expected: Value, warnings: usize| {
            assert_eq!(cast(v.clone(), &from, &to, &ctx), Ok(expected), "{v:?} as {to}");
            assert_eq!(take_warnings(&s).len(), warnings, "{v:?} as {to}");
        };
        let (signed, unsigned) = (SqlType::bigint(true), SqlType::bigint_unsigned(true));
        check(Value::str("18446744073709551615"), signed.clone(), Value::Int(-1), 1);
        check(Value::str("99999999999999999999"), signed.clone(), Value::Int(-1), 1);
        check(Value::str("-99999999999999999999"), signed.clone(), Value::Int(i64::MIN), 1);
        check(Value::str("2.5"), signed.clone(), Value::Int(2), 1);
        check(Value::str("1e3"), signed.clone(), Value::Int(1), 1);
        check(decimal("2.5"), signed.clone(), Value::Int(3), 0);
        check(decimal("99999999999999999999"), signed.clone(), Value::Int(i64::MAX), 1);
        check(Value::Double(2.5), signed.clone(), Value::Int(2), 0);
        check(Value::Double(1e20), signed.clone(), Value::Int(i64::MAX), 0);
        check(Value::UInt(u64::MAX), signed, Value::Int(-1), 0);
        check(Value::str("-1"), unsigned.clone(), Value::UInt(u64::MAX), 1);
        check(Value::Int(-1), unsigned.clone(), Value::UInt(u64::MAX), 0);
        check(decimal("-1.5"), unsigned.clone(), Value::UInt(-2i64 as u64), 0);
        check(Value::Double(1e20), unsigned, Value::UInt(i64::MAX as u64), 0);
        check(Value::Int(1000), decimal_type(3, 1, false), decimal("99.9"), 1);
        check(Value::Int(-1000), decimal_type(3, 1, false), decimal("-99.9"), 1);
        check(Value::Int(-1), decimal_type(3, 1, true), decimal("0.0"), 1);
        check(Value::str("12.345abc"), decimal_type(5, 2, false), decimal("12.35"), 1);
        check(Value::str("abc"), decimal_type(5, 2, false), decimal("0.00"), 1);
        check(Value::str("abcdef"), char_type(3), Value::str("abc"), 1);
        check(Value::str("äöü"), char_type(3), Value::str("äöü"), 0);
        check(Value::str("äöü"), SqlType::varchar(9, true, Collation::ASCII_GENERAL_CI), Value::str("???"), 0);
        check(Value::bytes([0x61, 0xFF]), char_type(3), Value::Null, 1);
        check(Value::str("abc"), SqlType::new(TypeKind::Binary { bytes: 5 }, true), Value::bytes(*b"abc\0\0"), 0);
        check(Value::str("abc"), SqlType::new(TypeKind::VarBinary { bytes: 2 }, true), Value::bytes(*b"ab"), 1);
        check(Value::str("abc"), SqlType::new(TypeKind::Blob(BlobSize::Long), true), Value::bytes(*b"abc"), 0);
        let date = SqlType::new(TypeKind::Date, true);
        check(Value::str("2020-02-03 10:00"), date.clone(), Value::Date(Date::new(2020, 2, 3).unwrap()), 0);
        check(Value::str("2020-02-30"), date.clone(), Value::Null, 1);
        check(Value::str("0000-00-00"), date.clone(), Value::Null, 1);
        check(Value::str("2020-01-00"), date.clone(), Value::Null, 1);
        check(Value::str(""), date, Value::Null, 1);
        let seconds = SqlType::new(TypeKind::Time { fsp: 0 }, true);
        check(Value::str("10:11:12.6"), seconds.clone(), Value::Time(Time::new(false, 10, 11, 13, 0).unwrap()), 0);
        check(Value::Int(125960), seconds.clone(), Value::Null, 1);
        check(Value::str("900:00:00"), seconds, Value::Time(Time::MAX), 1);
        check(Value::Int(99), SqlType::new(TypeKind::Year, true), Value::Int(1999), 0);
        check(Value::Int(1800), SqlType::new(TypeKind::Year, true), Value::Null, 1);
    }

    #[test]
    fn what_is_no_json_is_3141() {
        let s = unlimited();
        let to = SqlType::string(TypeKind::Json, true, Collation::UTF8MB4_BIN);
        let got = cast(Value::str("{"), &SqlType::null(), &to, &statement(&s));
        assert!(matches!(got, Err(Fault::MySql { number: 3141, .. })), "{got:?}");
        let number = cast(Value::Int(1), &SqlType::bigint(false), &to, &statement(&s)).unwrap();
        assert!(matches!(number, Value::Json(j) if matches!(*j, Json::Int(1))));
    }
}
