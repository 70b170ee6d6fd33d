//! Assignment: a value becomes what a column stores.
//!
//! Owns:     nothing.
//! Promises: the result is in the column's stored form (ENUM and SET as numbers, TIMESTAMP in UTC, text within its length); what does not fit is an error in
//!           strict mode and a warned-of nearest value otherwise, with MySQL's numbers.
//! Never:    checks NOT NULL of a default, uniqueness, or constraints: the writer does.

use crate::{EvalContext, cast, coerce, time_zone};
use std::borrow::Cow;
use std::sync::Arc;
use weald_types::temporal::Moment;
use weald_types::{Charset, DateTime, Decimal, Fault, Json, SqlMode, SqlType, TypeKind, Value, WarningLevel};

/// The column a value goes to, for messages.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub column: &'a str,
    pub ty: &'a SqlType,
    /** from 1 */
    pub row: u64,
}

/// `from` is the value's type, for how it shows as text.
pub fn store(v: Value, from: &SqlType, t: Target<'_>, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if v.is_null() {
        return null(t, ctx);
    }
    match (&t.ty.kind, v) {
        // Values already of the right form, first.
        (TypeKind::Int { .. }, v @ (Value::Int(_) | Value::UInt(_))) => integer(wide(&v), t, ctx),
        (TypeKind::Char { chars } | TypeKind::VarChar { chars }, Value::Str(s))
            if s.len() <= *chars as usize && (s.is_ascii() || t.ty.collation.max_len() == 4) =>
        {
            Ok(Value::Str(if matches!(t.ty.kind, TypeKind::Char { .. }) { trim_end(s) } else { s }))
        }
        (TypeKind::Double { scale: None, unsigned: false, .. }, Value::Double(d)) => Ok(Value::Double(d)),
        (TypeKind::Null, v) => Ok(v),
        (TypeKind::Int { .. }, v) => {
            let n = match &v {
                Value::Double(d) => {
                    if d.abs() < 1e30 {
                        d.round_ties_even() as i128
                    } else if *d < 0.0 {
                        i128::MIN
                    } else {
                        i128::MAX
                    }
                }
                Value::Decimal(d) => d.to_i128().unwrap_or(if d.is_negative() { i128::MIN } else { i128::MAX }),
                Value::Str(_) | Value::Bytes(_) => text_integer(&v, from, t, ctx)?,
                v => coerce::wide_int(v, ctx).unwrap_or(0),
            };
            integer(n, t, ctx)
        }
        (TypeKind::Bit { bits }, v) => {
            let n = match &v {
                Value::Int(n) if *n < 0 => u64::MAX,
                Value::Int(n) => *n as u64,
                Value::UInt(n) => *n,
                Value::Str(_) | Value::Bytes(_) => {
                    let b = coerce::bytes(&v, from).unwrap_or_default();
                    let b: &[u8] = &b;
                    let b = &b[b.iter().take_while(|x| **x == 0).count()..];
                    if b.len() > 8 { u64::MAX } else { b.iter().fold(0, |n, x| n << 8 | *x as u64) }
                }
                v => coerce::uint(v, ctx).unwrap_or(0),
            };
            let most = if *bits >= 64 { u64::MAX } else { (1u64 << bits) - 1 };
            if n > most {
                refuse(Fault::DataTooLong { column: t.column.into(), row: t.row }, ctx)?;
                return Ok(Value::UInt(most));
            }
            Ok(Value::UInt(n))
        }
        (TypeKind::Year, v) => {
            let text = matches!(v, Value::Str(_));
            let n = match &v {
                Value::Str(_) | Value::Bytes(_) => text_integer(&v, from, t, ctx)?,
                v => coerce::wide_int(v, ctx).unwrap_or(0),
            };
            let short = matches!(&v, Value::Str(s) if s.trim() != "0000");
            match i64::try_from(n).ok().and_then(|n| cast::year(n, text && short)) {
                Some(y) => Ok(Value::Int(y)),
                None => {
                    refuse(Fault::OutOfRange { column: t.column.into(), row: t.row }, ctx)?;
                    Ok(Value::Int(0))
                }
            }
        }
        (TypeKind::Decimal { precision, scale, unsigned }, v) => {
            let d = match &v {
                Value::Str(_) | Value::Bytes(_) => {
                    let s = coerce::text(&v, from).unwrap_or_default();
                    let p = Decimal::parse_prefix(s.as_bytes());
                    if !coerce::is_whole(&p, &s) {
                        wrong_number("decimal", &s, p.consumed > 0, t, ctx)?;
                    }
                    p.value
                }
                v => coerce::decimal(v, ctx).unwrap_or_else(|| Decimal::from_i64(0)),
            };
            if *unsigned && d.is_negative() {
                refuse(Fault::OutOfRange { column: t.column.into(), row: t.row }, ctx)?;
                return Ok(Value::Decimal(Decimal::new(0, *scale)));
            }
            match d.rescale(*scale) {
                Some(r) if r.fits(*precision, *scale) => {
                    // Digits lost after the point are a note, never an error.
                    if d.scale() > *scale && r != d {
                        ctx.statement.warn(WarningLevel::Note, Fault::DataTruncated { column: t.column.into(), row: t.row });
                    }
                    Ok(Value::Decimal(r))
                }
                _ => {
                    refuse(Fault::OutOfRange { column: t.column.into(), row: t.row }, ctx)?;
                    let m = Decimal::max_value(*precision, *scale);
                    Ok(Value::Decimal(if d.is_negative() { m.neg() } else { m }))
                }
            }
        }
        (TypeKind::Float { unsigned, .. } | TypeKind::Double { unsigned, .. }, v) => {
            let d = match &v {
                Value::Str(_) | Value::Bytes(_) => {
                    let s = coerce::text(&v, from).unwrap_or_default();
                    let (d, bad) = coerce::double_prefix(&s);
                    if bad || s.trim_start().is_empty() {
                        wrong_number("double", &s, s.trim_start().starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.'), t, ctx)?;
                    }
                    d
                }
                v => coerce::double(v, ctx).unwrap_or(0.0),
            };
            let single = matches!(t.ty.kind, TypeKind::Float { .. });
            let (d, most) = match t.ty.kind.real_digits() {
                // FLOAT(M,D): D decimals, and M digits in all.
                Some((digits, scale)) => {
                    let p = 10f64.powi(scale as i32);
                    let rounded = d.floor() + ((d - d.floor()) * p).round_ties_even() / p;
                    (if rounded.is_finite() { rounded } else { d }, 10f64.powi((digits - scale) as i32) - 1.0 / p)
                }
                None if single => (d, f32::MAX as f64),
                None => (d, f64::MAX),
            };
            let (low, high) = (if *unsigned { 0.0 } else { -most }, most);
            if d < low || d > high {
                refuse(Fault::OutOfRange { column: t.column.into(), row: t.row }, ctx)?;
                return Ok(Value::Double(d.clamp(low, high)));
            }
            Ok(Value::Double(if single { d as f32 as f64 } else { d }))
        }
        (TypeKind::Char { .. } | TypeKind::VarChar { .. } | TypeKind::Text(_), v) => text(v, from, t, ctx),
        (TypeKind::Binary { .. } | TypeKind::VarBinary { .. } | TypeKind::Blob(_), v) => binary(v, from, t, ctx),
        (TypeKind::Date, v) => {
            let d = temporal(&v, from, t, ctx, "date")?;
            let date = d.date();
            if d.micros_of_day() != 0 && ctx.statement.modifies_data {
                ctx.statement.warn(WarningLevel::Note, Fault::DataTruncated { column: t.column.into(), row: t.row });
            }
            Ok(Value::Date(date))
        }
        (TypeKind::DateTime { fsp }, v) => {
            let d = temporal(&v, from, t, ctx, "datetime")?;
            Ok(Value::DateTime(d.with_fsp(*fsp, ctx.statement.sql_mode).unwrap_or(d)))
        }
        (TypeKind::Timestamp { fsp }, v) => {
            let d = temporal(&v, from, t, ctx, "datetime")?;
            if d.is_zero() {
                return Ok(Value::DateTime(d));
            }
            let d = d.with_fsp(*fsp, ctx.statement.sql_mode).unwrap_or(d);
            match time_zone::to_timestamp(d, &ctx.statement.time_zone) {
                Some(u) => Ok(Value::DateTime(u)),
                None => {
                    let shown = coerce::text(&v, from).unwrap_or_default().into_owned();
                    refuse(Fault::IncorrectValue { kind: "datetime".into(), value: shown, column: t.column.into(), row: t.row }, ctx)?;
                    Ok(Value::DateTime(DateTime::default()))
                }
            }
        }
        (TypeKind::Time { fsp }, v) => {
            let before = ctx.statement.warnings.lock().total;
            let parsed = match &v {
                Value::Str(s) => weald_types::Time::parse(s, 6, ctx.statement.sql_mode).value(),
                v => coerce::time(v, ctx),
            };
            let clean = match &v {
                Value::Str(s) => weald_types::Time::parse(s, 6, ctx.statement.sql_mode).is_ok(),
                _ => ctx.statement.warnings.lock().total == before,
            };
            if !clean {
                let shown = coerce::text(&v, from).unwrap_or_default().into_owned();
                refuse(Fault::IncorrectValue { kind: "time".into(), value: shown, column: t.column.into(), row: t.row }, ctx)?;
            }
            // The day is lost.
            if let Some(coerce::Reading::Clean(Moment::DateTime(d))) = coerce::read_moment(&v, ctx)
                && !d.date().is_zero()
            {
                ctx.statement.warn(WarningLevel::Note, Fault::DataTruncated { column: t.column.into(), row: t.row });
            }
            Ok(Value::Time(parsed.unwrap_or_default().with_fsp(*fsp, ctx.statement.sql_mode)))
        }
        (TypeKind::Json, v) => match v {
            Value::Json(_) => Ok(v),
            Value::Str(s) => match Json::parse(&s) {
                Ok(j) => Ok(Value::Json(Arc::new(j))),
                Err(e) if e.too_deep => Err(crate::function::json_too_deep()),
                Err(e) => Err(Fault::mysql(
                    3140,
                    "22032",
                    format!("Invalid JSON text: \"{}\" at position {} in value for column '{}'.", e.message, e.offset, t.column),
                )),
            },
            Value::Bytes(_) => Err(Fault::mysql(3144, "22032", "Cannot create a JSON value from a string with CHARACTER SET 'binary'.")),
            v => Ok(coerce::json(&v, from).map_or(Value::Null, |j| Value::Json(Arc::new(j)))),
        },
        (TypeKind::Enum(members), v) => enumeration(v, from, members, t, ctx),
        (TypeKind::Set(members), v) => set(v, from, members, t, ctx),
    }
}

/// Whether values of errors are errors here: strict mode, not IGNORE.
pub fn is_strict(ctx: &EvalContext<'_>) -> bool {
    ctx.statement.sql_mode.is_strict() && !ctx.statement.ignore_errors
}

/// An error in strict mode, else a warning.
pub fn refuse(fault: Fault, ctx: &EvalContext<'_>) -> Result<(), Fault> {
    if is_strict(ctx) {
        return Err(fault);
    }
    // Outside strict mode text that is cut is 1265, not 1406.
    let fault = match fault {
        Fault::DataTooLong { column, row } => Fault::DataTruncated { column, row },
        f => f,
    };
    ctx.statement.warn(WarningLevel::Warning, fault);
    Ok(())
}

fn null(t: Target<'_>, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if t.ty.nullable {
        return Ok(Value::Null);
    }
    let fault = Fault::NullNotAllowed { column: t.column.into() };
    if !ctx.statement.ignore_errors && (ctx.statement.single_row || ctx.statement.sql_mode.is_strict()) {
        return Err(fault);
    }
    ctx.statement.warn(WarningLevel::Warning, fault);
    Ok(zero(t.ty))
}

/// The value a NOT NULL column falls back to: 0, '', the zero date, the first ENUM member.
pub fn zero(ty: &SqlType) -> Value {
    match &ty.kind {
        TypeKind::Null => Value::Null,
        TypeKind::Int { unsigned: false, .. } | TypeKind::Year => Value::Int(0),
        TypeKind::Int { unsigned: true, .. } | TypeKind::Bit { .. } | TypeKind::Set(_) => Value::UInt(0),
        TypeKind::Enum(_) => Value::UInt(1),
        TypeKind::Decimal { scale, .. } => Value::Decimal(Decimal::new(0, *scale)),
        TypeKind::Float { .. } | TypeKind::Double { .. } => Value::Double(0.0),
        TypeKind::Char { .. } | TypeKind::VarChar { .. } | TypeKind::Text(_) => Value::str(""),
        TypeKind::Binary { bytes } => Value::bytes(vec![0; *bytes as usize]),
        TypeKind::VarBinary { .. } | TypeKind::Blob(_) => Value::bytes(Vec::new()),
        TypeKind::Date => Value::Date(Default::default()),
        TypeKind::Time { .. } => Value::Time(Default::default()),
        TypeKind::DateTime { .. } | TypeKind::Timestamp { .. } => Value::DateTime(Default::default()),
        TypeKind::Json => Value::Json(Arc::new(Json::Null)),
    }
}

fn wide(v: &Value) -> i128 {
    match v {
        Value::Int(n) => *n as i128,
        Value::UInt(n) => *n as i128,
        _ => 0,
    }
}

fn integer(n: i128, t: Target<'_>, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (low, high) = t.ty.kind.integer_range().unwrap_or((i64::MIN as i128, i64::MAX as i128));
    let fitted = n.clamp(low, high);
    if fitted != n {
        refuse(Fault::OutOfRange { column: t.column.into(), row: t.row }, ctx)?;
    }
    Ok(if t.ty.kind.is_unsigned() { Value::UInt(fitted as u64) } else { Value::Int(fitted as i64) })
}

/// A text as a whole number, rounded; 1366 where it is none, 1265 where more follows.
fn text_integer(v: &Value, from: &SqlType, t: Target<'_>, ctx: &EvalContext<'_>) -> Result<i128, Fault> {
    let s = coerce::text(v, from).unwrap_or_default();
    if let Ok(n) = s.parse::<i64>() {
        return Ok(n as i128);
    }
    let p = Decimal::parse_prefix(s.as_bytes());
    if !coerce::is_whole(&p, &s) {
        wrong_number("integer", &s, p.consumed > 0, t, ctx)?;
    }
    Ok(p.value.to_i128().unwrap_or(if p.value.is_negative() { i128::MIN } else { i128::MAX }))
}

fn wrong_number(kind: &'static str, s: &str, starts_well: bool, t: Target<'_>, ctx: &EvalContext<'_>) -> Result<(), Fault> {
    if starts_well {
        return refuse(Fault::DataTruncated { column: t.column.into(), row: t.row }, ctx);
    }
    refuse(Fault::IncorrectValue { kind: kind.into(), value: s.to_string(), column: t.column.into(), row: t.row }, ctx)
}

fn trim_end(s: compact_str::CompactString) -> compact_str::CompactString {
    if s.ends_with(' ') { s.trim_end_matches(' ').into() } else { s }
}

fn text(v: Value, from: &SqlType, t: Target<'_>, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let s: Cow<'_, str> = match &v {
        Value::Bytes(b) => match Charset::of(t.ty.collation).decode(b) {
            Ok(s) => s,
            Err(good) => {
                let bad = &b[good..];
                let shown: String = bad.iter().take(5).map(|x| format!("\\x{x:02X}")).collect();
                refuse(Fault::IncorrectValue { kind: "string".into(), value: shown, column: t.column.into(), row: t.row }, ctx)?;
                Cow::Owned(String::from_utf8_lossy(&b[..good]).into_owned())
            }
        },
        v => coerce::text(v, from).unwrap_or_default(),
    };
    // Characters that the column's set does not have.
    let charset = Charset::of(t.ty.collation);
    let s = if t.ty.collation.max_len() < 4 && s.chars().any(|c| !charset.has(c)) {
        let bad: String =
            s.chars().filter(|c| !charset.has(*c)).take(1).flat_map(|c| c.to_string().into_bytes()).map(|x| format!("\\x{x:02X}")).collect();
        refuse(Fault::IncorrectValue { kind: "string".into(), value: bad, column: t.column.into(), row: t.row }, ctx)?;
        Cow::Owned(s.chars().map(|c| if charset.has(c) { c } else { '?' }).collect())
    } else {
        s
    };
    let cut = match &t.ty.kind {
        TypeKind::Char { chars } | TypeKind::VarChar { chars } => s.char_indices().nth(*chars as usize).map(|c| c.0),
        TypeKind::Text(size) => {
            let most = size.max_bytes() as usize;
            if s.len() <= most { None } else { Some((0..=most).rev().find(|i| s.is_char_boundary(*i)).unwrap_or(0)) }
        }
        _ => None,
    };
    let kept = match cut {
        None => s,
        Some(at) => {
            // Only spaces lost: a note for VARCHAR, nothing for CHAR.
            let only_spaces = s[at..].bytes().all(|b| b == b' ');
            if only_spaces {
                if !matches!(t.ty.kind, TypeKind::Char { .. }) {
                    ctx.statement.warn(WarningLevel::Note, Fault::DataTruncated { column: t.column.into(), row: t.row });
                }
            } else {
                refuse(Fault::DataTooLong { column: t.column.into(), row: t.row }, ctx)?;
            }
            Cow::Owned(s[..at].to_string())
        }
    };
    let kept: compact_str::CompactString = kept.as_ref().into();
    Ok(Value::Str(if matches!(t.ty.kind, TypeKind::Char { .. }) { trim_end(kept) } else { kept }))
}

fn binary(v: Value, from: &SqlType, t: Target<'_>, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let mut b = match v {
        Value::Bytes(b) => b.into_vec(),
        v => coerce::own_bytes(&v, from).unwrap_or_default().into_owned(),
    };
    let most = match &t.ty.kind {
        TypeKind::Binary { bytes } | TypeKind::VarBinary { bytes } => *bytes as usize,
        TypeKind::Blob(size) => size.max_bytes() as usize,
        _ => usize::MAX,
    };
    if b.len() > most {
        refuse(Fault::DataTooLong { column: t.column.into(), row: t.row }, ctx)?;
        b.truncate(most);
    }
    if let TypeKind::Binary { bytes } = t.ty.kind {
        b.resize(bytes as usize, 0);
    }
    Ok(Value::bytes(b))
}

fn temporal(v: &Value, from: &SqlType, t: Target<'_>, ctx: &EvalContext<'_>, kind: &'static str) -> Result<DateTime, Fault> {
    let mode = ctx.statement.sql_mode;
    let incorrect = || {
        let shown = coerce::text(v, from).unwrap_or_default().into_owned();
        Fault::IncorrectValue { kind: kind.into(), value: shown, column: t.column.into(), row: t.row }
    };
    let wrong = |ctx: &EvalContext<'_>, lesser: Fault| {
        if is_strict(ctx) {
            return Err(incorrect());
        }
        ctx.statement.warn(WarningLevel::Warning, lesser);
        Ok(())
    };
    let cut = || Fault::DataTruncated { column: t.column.into(), row: t.row };
    let beyond = || Fault::OutOfRange { column: t.column.into(), row: t.row };
    let (parsed, clean) = match v {
        Value::DateTime(d) => (Some(*d), true),
        Value::Date(d) => (Some(d.at_midnight()), true),
        Value::Str(s) => {
            let (p, offset) = DateTime::parse_with_offset(s, 6, mode);
            let d = match (p.value(), offset) {
                (Some(d), Some(seconds)) => {
                    d.add_micros(-(seconds as i64) * 1_000_000).and_then(|u| time_zone::to_session(u, &ctx.statement.time_zone))
                }
                (d, _) => d,
            };
            // A DATE column cuts a good time of day; a DATETIME column takes a bare date.
            (d, p.is_ok())
        }
        v => {
            let before = ctx.statement.warnings.lock().total;
            let d = coerce::datetime_in(v, mode, ctx);
            let mut w = ctx.statement.warnings.lock();
            let clean = w.total == before;
            if !clean {
                w.total = before;
                w.kept.truncate(before as usize);
            }
            (d, clean)
        }
    };
    let Some(d) = parsed else {
        // Outside strict mode MySQL tells what has the form of a date from what has not.
        let text = matches!(v, Value::Str(_) | Value::Bytes(_));
        let none = coerce::read_datetime(v, mode, ctx) == Some(coerce::Reading::Nonsense);
        wrong(ctx, if text && !none { beyond() } else { cut() })?;
        return Ok(DateTime::default());
    };
    let date = d.date();
    let zero_refused =
        (date.is_zero() && mode.has(SqlMode::NO_ZERO_DATE)) || (!date.is_zero() && date.has_zero_part() && mode.has(SqlMode::NO_ZERO_IN_DATE));
    if zero_refused {
        wrong(ctx, beyond())?;
        return Ok(DateTime::default());
    }
    if !clean {
        wrong(ctx, cut())?;
    }
    Ok(d)
}

fn enumeration(v: Value, from: &SqlType, members: &[Box<str>], t: Target<'_>, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let bad = |ctx: &EvalContext<'_>| -> Result<Value, Fault> {
        refuse(Fault::DataTruncated { column: t.column.into(), row: t.row }, ctx)?;
        Ok(Value::UInt(0))
    };
    let index = match &v {
        Value::Int(n) => usize::try_from(*n).ok(),
        Value::UInt(n) => usize::try_from(*n).ok(),
        Value::Double(_) | Value::Decimal(_) => coerce::uint(&v, ctx).map(|n| n as usize),
        v => {
            let s = coerce::text(v, from).unwrap_or_default();
            let s = s.trim_end_matches(' ');
            let found = members.iter().position(|m| t.ty.collation.equal(m.as_bytes(), s.as_bytes())).map(|i| i + 1);
            // A text that is a number, and no member, is an index.
            found.or_else(|| s.parse().ok())
        }
    };
    match index {
        Some(n) if (1..=members.len()).contains(&n) => Ok(Value::UInt(n as u64)),
        _ => bad(ctx),
    }
}

fn set(v: Value, from: &SqlType, members: &[Box<str>], t: Target<'_>, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let all = if members.len() >= 64 { u64::MAX } else { (1u64 << members.len()) - 1 };
    let bits = match &v {
        Value::Int(n) => *n as u64,
        Value::UInt(n) => *n,
        Value::Double(_) | Value::Decimal(_) => coerce::uint(&v, ctx).unwrap_or(0),
        v => {
            let s = coerce::text(v, from).unwrap_or_default();
            let mut bits = 0;
            let mut lost = false;
            for part in s.split(',').filter(|p| !p.is_empty()) {
                match members.iter().position(|m| t.ty.collation.equal(m.as_bytes(), part.trim_end_matches(' ').as_bytes())) {
                    Some(i) => bits |= 1u64 << i,
                    None => lost = true,
                }
            }
            if lost {
                match s.parse::<u64>() {
                    Ok(n) if n <= all => bits = n,
                    _ => refuse(Fault::DataTruncated { column: t.column.into(), row: t.row }, ctx)?,
                }
            }
            bits
        }
    };
    if bits & !all != 0 {
        refuse(Fault::DataTruncated { column: t.column.into(), row: t.row }, ctx)?;
    }
    Ok(Value::UInt(bits & all))
}
