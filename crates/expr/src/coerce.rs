//! MySQL's silent conversions of one value into another kind.
//!
//! Owns:     nothing.
//! Promises: NULL stays NULL (`None`); what a conversion loses is warned of once per value, 1292.
//! Never:    fails: strictness belongs to `store`.

use crate::context::TimeZone;
use crate::format;
use crate::EvalContext;
use std::borrow::Cow;
use weald_types::{Date, DateTime, Decimal, Fault, Json, SqlMode, SqlType, Time, Value, WarningLevel};

pub(crate) fn warn_truncated(ctx: &EvalContext<'_>, kind: &'static str, value: &str) {
    ctx.statement.warn(WarningLevel::Warning, Fault::TruncatedWrongValue { kind, value: value.to_string() });
}

/// The value as text, as CAST(… AS CHAR) shows it. `ty` is the value's type: FLOAT, fractional seconds, ZEROFILL and YEAR show by it.
pub fn text<'a>(v: &'a Value, ty: &SqlType) -> Option<Cow<'a, str>> {
    match v {
        Value::Null => None,
        Value::Str(s) => Some(Cow::Borrowed(s)),
        Value::Bytes(b) => Some(String::from_utf8_lossy(b)),
        _ => {
            let mut out = Vec::with_capacity(24);
            format::write_text(v, ty, &mut out);
            Some(Cow::Owned(String::from_utf8(out).unwrap_or_default()))
        }
    }
}

/// The value as bytes: binary strings as they are, everything else as its text.
pub fn bytes<'a>(v: &'a Value, ty: &SqlType) -> Option<Cow<'a, [u8]>> {
    match v {
        Value::Bytes(b) => Some(Cow::Borrowed(b)),
        Value::Str(s) => Some(Cow::Borrowed(s.as_bytes())),
        _ => text(v, ty).map(|t| Cow::Owned(t.into_owned().into_bytes())),
    }
}

/// The longest prefix of `s` that is a number, and whether anything but spaces follows (or nothing was a number).
pub fn double_prefix(s: &str) -> (f64, bool) {
    let t = s.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let b = t.as_bytes();
    let mut i = 0;
    if i < b.len() && (b[i] == b'+' || b[i] == b'-') { i += 1; }
    let digits = |mut i: usize| { let from = i; while i < b.len() && b[i].is_ascii_digit() { i += 1; } (i, i > from) };
    let (after, whole) = digits(i);
    i = after;
    let mut any = whole;
    if i < b.len() && b[i] == b'.' {
        let (after, fraction) = digits(i + 1);
        if whole || fraction { i = after; any = true; }
    }
    if !any { return (0.0, true); }
    if i < b.len() && (b[i] | 32) == b'e' {
        let mut j = i + 1;
        if j < b.len() && (b[j] == b'+' || b[j] == b'-') { j += 1; }
        let (after, exponent) = digits(j);
        if exponent { i = after; }
    }
    let value: f64 = t[..i].parse().unwrap_or(0.0);
    let value = if value.is_infinite() { f64::MAX.copysign(value) } else { value };
    (value, !t[i..].trim_end_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']).is_empty())
}

pub fn double(v: &Value, ctx: &EvalContext<'_>) -> Option<f64> {
    Some(match v {
        Value::Null => return None,
        Value::Int(n) => *n as f64,
        Value::UInt(n) => *n as f64,
        Value::Decimal(d) => d.to_f64(),
        Value::Double(d) => *d,
        Value::Str(s) => {
            let (d, bad) = double_prefix(s);
            if bad { warn_truncated(ctx, "DOUBLE", s); }
            d
        }
        Value::Bytes(b) => {
            let s = String::from_utf8_lossy(b);
            let (d, bad) = double_prefix(&s);
            if bad { warn_truncated(ctx, "DOUBLE", &s); }
            d
        }
        Value::Date(d) => d.to_number() as f64,
        Value::Time(t) => t.to_number() as f64 + (t.micros() % 1_000_000) as f64 / 1e6,
        Value::DateTime(d) => d.to_number() as f64 + d.microsecond() as f64 / 1e6,
        Value::Json(j) => json_number(j, ctx),
    })
}

fn json_number(j: &Json, ctx: &EvalContext<'_>) -> f64 {
    match j {
        Json::Bool(b) => *b as i64 as f64,
        Json::Int(n) => *n as f64,
        Json::UInt(n) => *n as f64,
        Json::Double(d) => *d,
        Json::Decimal(d) => d.to_f64(),
        Json::String(s) => double(&Value::str(s), ctx).unwrap_or(0.0),
        _ => {
            ctx.statement.warn(WarningLevel::Warning, Fault::mysql(3156, "22018", "Invalid JSON value for CAST to DOUBLE from column json at row 1"));
            0.0
        }
    }
}

pub fn decimal(v: &Value, ctx: &EvalContext<'_>) -> Option<Decimal> {
    Some(match v {
        Value::Null => return None,
        Value::Int(n) => Decimal::from_i64(*n),
        Value::UInt(n) => Decimal::from_u64(*n),
        Value::Decimal(d) => d.clone(),
        Value::Double(d) => Decimal::from_f64(*d).unwrap_or_else(|| { let m = Decimal::max_value(65, 0); if *d < 0.0 { m.neg() } else { m } }),
        Value::Str(_) | Value::Bytes(_) => {
            let s = text(v, &SqlType::null())?;
            let p = Decimal::parse_prefix(s.as_bytes());
            if !is_whole(&p, &s) { warn_truncated(ctx, "DECIMAL", &s); }
            p.value
        }
        Value::Date(d) => Decimal::from_i64(d.to_number()),
        Value::Time(t) => with_micros(t.to_number(), t.micros() % 1_000_000),
        Value::DateTime(d) => with_micros(d.to_number(), d.microsecond() as i64),
        Value::Json(j) => match &**j {
            Json::Decimal(d) => d.clone(),
            Json::Int(n) => Decimal::from_i64(*n),
            Json::UInt(n) => Decimal::from_u64(*n),
            j => Decimal::from_f64(json_number(j, ctx)).unwrap_or_else(|| Decimal::from_i64(0)),
        },
    })
}

fn with_micros(n: i64, micros: i64) -> Decimal { if micros == 0 { Decimal::from_i64(n) } else { Decimal::new(n as i128 * 1_000_000 + micros as i128, 6) } }

/// A number, and nothing but spaces after it.
pub fn is_whole(p: &weald_types::decimal::DecimalPrefix, s: &str) -> bool { p.consumed > 0 && s.as_bytes()[p.consumed..].iter().all(u8::is_ascii_whitespace) }

/// As a signed integer, rounding half away from zero; out of range: the nearest bound.
pub fn int(v: &Value, ctx: &EvalContext<'_>) -> Option<i64> { wide_int(v, ctx).map(|n| n.clamp(i64::MIN as i128, i64::MAX as i128) as i64) }
/// As an unsigned integer: a negative number wraps, as CAST(-1 AS UNSIGNED) does.
pub fn uint(v: &Value, ctx: &EvalContext<'_>) -> Option<u64> {
    wide_int(v, ctx).map(|n| if n < 0 { n.max(i64::MIN as i128) as i64 as u64 } else { n.min(u64::MAX as i128) as u64 })
}

/// As an integer wide enough for both.
pub fn wide_int(v: &Value, ctx: &EvalContext<'_>) -> Option<i128> {
    Some(match v {
        Value::Null => return None,
        Value::Int(n) => *n as i128,
        Value::UInt(n) => *n as i128,
        Value::Decimal(d) => d.to_i128().unwrap_or(if d.is_negative() { i128::MIN } else { i128::MAX }),
        Value::Double(d) => d.round_ties_even() as i128,
        Value::Str(_) | Value::Bytes(_) => {
            let s = text(v, &SqlType::null())?;
            let (n, bad) = integer_prefix(&s);
            if bad { warn_truncated(ctx, "INTEGER", &s); }
            n
        }
        Value::Date(d) => d.to_number() as i128,
        Value::Time(t) => t.rounded(0).to_number() as i128,
        Value::DateTime(d) => d.rounded(0).unwrap_or(*d).to_number() as i128,
        Value::Json(j) => match &**j {
            Json::Int(n) => *n as i128,
            Json::UInt(n) => *n as i128,
            j => json_number(j, ctx).round_ties_even() as i128,
        },
    })
}

/// The integer a text starts with, for CAST … AS SIGNED: no fraction, no exponent.
pub fn integer_prefix(s: &str) -> (i128, bool) {
    let t = s.trim_start();
    let b = t.as_bytes();
    let negative = b.first() == Some(&b'-');
    let start = usize::from(matches!(b.first(), Some(b'-' | b'+')));
    let end = start + b[start..].iter().take_while(|c| c.is_ascii_digit()).count();
    if end == start { return (0, true); }
    let mut n: i128 = 0;
    for c in &b[start..end] { n = (n * 10 + (c - b'0') as i128).min(1 << 100); }
    (if negative { -n } else { n }, !t[end..].trim_end().is_empty())
}

/// Truth: not zero. NULL is not true.
pub fn is_true(v: &Value) -> bool {
    match v {
        Value::Null => false,
        Value::Int(n) => *n != 0,
        Value::UInt(n) => *n != 0,
        Value::Double(d) => *d != 0.0,
        Value::Decimal(d) => !d.is_zero(),
        Value::Str(s) => double_prefix(s).0 != 0.0,
        Value::Bytes(b) => double_prefix(&String::from_utf8_lossy(b)).0 != 0.0,
        Value::Date(d) => !d.is_zero(),
        Value::Time(t) => t.micros() != 0,
        Value::DateTime(d) => !d.is_zero(),
        Value::Json(j) => match &**j {
            Json::Int(0) | Json::UInt(0) => false,
            Json::Double(d) => *d != 0.0,
            Json::Decimal(d) => !d.is_zero(),
            // A JSON true, and every other JSON value but zero, compares as not equal to 0.
            Json::Bool(b) => *b,
            _ => true,
        },
    }
}

/// Truth with NULL as `None`; a text that is no number warns.
pub fn truth(v: &Value, ctx: &EvalContext<'_>) -> Option<bool> {
    match v {
        Value::Null => None,
        Value::Str(_) | Value::Bytes(_) => double(v, ctx).map(|d| d != 0.0),
        v => Some(is_true(v)),
    }
}

/// Dates inside expressions: zero parts are values like others, whatever the mode.
pub(crate) fn lenient(mode: SqlMode) -> SqlMode { SqlMode(mode.0 & !(SqlMode::NO_ZERO_DATE | SqlMode::NO_ZERO_IN_DATE)) }

/// As a date and time; `None` for NULL and, with a warning, for what is none.
pub fn datetime(v: &Value, ctx: &EvalContext<'_>) -> Option<DateTime> { datetime_in(v, lenient(ctx.statement.sql_mode), ctx) }

pub fn datetime_in(v: &Value, mode: SqlMode, ctx: &EvalContext<'_>) -> Option<DateTime> {
    let bad = |shown: &str| { ctx.statement.warn(WarningLevel::Warning, Fault::TruncatedWrongValue { kind: "datetime", value: shown.to_string() }); };
    match v {
        Value::Null => None,
        Value::DateTime(d) => Some(*d),
        Value::Date(d) => Some(d.at_midnight()),
        Value::Time(t) => today(ctx).at_midnight().add_micros(t.micros()),
        Value::Str(_) | Value::Bytes(_) => {
            let s = text(v, &SqlType::null())?;
            let (parsed, offset) = DateTime::parse_with_offset(&s, 6, mode);
            if !parsed.is_ok() { bad(&s); }
            let d = parsed.value()?;
            match offset {
                Some(seconds) => crate::time_zone::to_session(d.add_micros(-(seconds as i64) * 1_000_000)?, &ctx.statement.time_zone),
                None => Some(d),
            }
        }
        Value::Json(j) => match &**j {
            Json::DateTime(d) => Some(*d),
            Json::Date(d) => Some(d.at_midnight()),
            Json::String(s) => datetime_in(&Value::str(s), mode, ctx),
            _ => { bad(&j.to_string()); None }
        },
        Value::Int(_) | Value::UInt(_) | Value::Decimal(_) | Value::Double(_) => {
            let d = decimal(v, ctx)?;
            let whole = d.truncate(0).to_i64();
            let micros = d.sub(&d.truncate(0)).and_then(|f| f.rescale(6)).and_then(|f| f.unscaled_i128()).unwrap_or(0);
            let parsed = whole.map(|n| DateTime::from_number(n, micros as u32, mode));
            match parsed {
                Some(p) if p.is_ok() => p.value(),
                _ => { bad(&d.to_string()); parsed.and_then(|p| p.value()) }
            }
        }
    }
}

pub fn date(v: &Value, ctx: &EvalContext<'_>) -> Option<Date> {
    match v {
        Value::Date(d) => Some(*d),
        v => datetime(v, ctx).map(DateTime::date),
    }
}

/// As a time of day or duration.
pub fn time(v: &Value, ctx: &EvalContext<'_>) -> Option<Time> {
    let bad = |shown: &str| { ctx.statement.warn(WarningLevel::Warning, Fault::TruncatedWrongValue { kind: "time", value: shown.to_string() }); };
    match v {
        Value::Null => None,
        Value::Time(t) => Some(*t),
        Value::DateTime(d) => Some(d.time()),
        Value::Date(_) => Some(Time::from_micros(0)),
        Value::Str(_) | Value::Bytes(_) => {
            let s = text(v, &SqlType::null())?;
            let parsed = Time::parse(&s, 6, ctx.statement.sql_mode);
            if !parsed.is_ok() { bad(&s); }
            parsed.value()
        }
        Value::Json(j) => match &**j {
            Json::Time(t) => Some(*t),
            Json::DateTime(d) => Some(d.time()),
            Json::String(s) => time(&Value::str(s), ctx),
            _ => { bad(&j.to_string()); None }
        },
        Value::Int(_) | Value::UInt(_) | Value::Decimal(_) | Value::Double(_) => {
            let d = decimal(v, ctx)?;
            let micros = d.sub(&d.truncate(0)).and_then(|f| f.rescale(6)).and_then(|f| f.unscaled_i128()).unwrap_or(0);
            let parsed = Time::from_number(d.truncate(0).to_i64()?, micros.unsigned_abs() as u32, ctx.statement.sql_mode);
            if !parsed.is_ok() { bad(&d.to_string()); }
            parsed.value()
        }
    }
}

/// NOW() in the session's time zone.
pub fn now(ctx: &EvalContext<'_>) -> DateTime {
    let utc = DateTime::from_unix_micros(ctx.statement.now_micros).unwrap_or_default();
    crate::time_zone::to_session(utc, &ctx.statement.time_zone).unwrap_or(utc)
}
pub fn today(ctx: &EvalContext<'_>) -> Date { now(ctx).date() }

/// As JSON: a text becomes a JSON string, not parsed.
pub fn json(v: &Value, ty: &SqlType) -> Option<Json> {
    use weald_types::TypeKind;
    Some(match v {
        Value::Null => return None,
        Value::Json(j) => Json::clone(j),
        Value::Int(n) => Json::Int(*n),
        Value::UInt(n) => Json::UInt(*n),
        Value::Double(d) => Json::Double(*d),
        Value::Decimal(d) => Json::Decimal(d.clone()),
        Value::Str(s) => Json::String(s.as_str().into()),
        Value::Bytes(b) if matches!(ty.kind, TypeKind::Null) => Json::String(String::from_utf8_lossy(b).into_owned().into()),
        Value::Bytes(b) => Json::Opaque(b.clone()),
        Value::Date(d) => Json::Date(*d),
        Value::Time(t) => Json::Time(*t),
        Value::DateTime(d) => Json::DateTime(*d),
    })
}

/// UTC and session time are the same for a fixed offset of nothing.
pub(crate) fn is_utc(zone: &TimeZone) -> bool { matches!(zone, TimeZone::Fixed(0)) }
