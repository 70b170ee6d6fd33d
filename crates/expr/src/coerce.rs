//! MySQL's silent conversions of one value into another kind.
//!
//! Owns:     nothing.
//! Promises: NULL stays NULL (`None`); what a conversion loses is warned of once per value, 1292.
//! Never:    fails: strictness belongs to `store`.

use crate::EvalContext;
use crate::context::TimeZone;
use crate::format;
use std::borrow::Cow;
use weald_types::temporal::Moment;
use weald_types::{Charset, Date, DateTime, Decimal, Fault, Json, SqlMode, SqlType, Time, Value, WarningLevel};

pub(crate) fn warn_truncated(ctx: &EvalContext<'_>, kind: &'static str, value: &str) {
    ctx.statement.warn(WarningLevel::Warning, Fault::TruncatedWrongValue { kind: kind.into(), value: value.to_string() });
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
            Some(Cow::Owned(match String::from_utf8(out) {
                Ok(s) => s,
                // The bytes of a BIT.
                Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
            }))
        }
    }
}

/// The value as bytes: binary strings as they are, everything else as its text.
pub fn bytes<'a>(v: &'a Value, ty: &SqlType) -> Option<Cow<'a, [u8]>> {
    match v {
        Value::Null => None,
        Value::Bytes(b) => Some(Cow::Borrowed(b)),
        Value::Str(s) => Some(Cow::Borrowed(s.as_bytes())),
        _ => {
            let mut out = Vec::with_capacity(24);
            format::write_text(v, ty, &mut out);
            Some(Cow::Owned(out))
        }
    }
}

/// The same, text in the bytes of its own character set: those of latin1 are not UTF-8's.
pub fn own_bytes<'a>(v: &'a Value, ty: &SqlType) -> Option<Cow<'a, [u8]>> {
    match v {
        Value::Str(s) if ty.kind.is_text() && ty.collation.max_len() == 1 => Some(Charset::of(ty.collation).encode(s)),
        v => bytes(v, ty),
    }
}

const SPACES: [char; 6] = [' ', '\t', '\n', '\r', '\x0b', '\x0c'];

/// The longest prefix of `s` that is a number, and whether anything but spaces follows (or what is there is no number, or too great a one).
pub fn double_prefix(s: &str) -> (f64, bool) {
    let t = s.trim_start_matches(SPACES);
    let b = t.as_bytes();
    let digits = |from: usize| from + b[from.min(b.len())..].iter().take_while(|c| c.is_ascii_digit()).count();
    let start = usize::from(matches!(b.first(), Some(b'+' | b'-')));
    let mut end = digits(start);
    let whole = end > start;
    // Up to 15 digits are exact.
    if whole && end == b.len() && end - start <= 15 {
        let n = b[start..].iter().fold(0i64, |n, c| n * 10 + (c - b'0') as i64) as f64;
        return (if b[0] == b'-' { -n } else { n }, false);
    }
    let mut any = whole;
    if b.get(end) == Some(&b'.') {
        let after = digits(end + 1);
        if whole || after > end + 1 {
            any = true;
            end = after;
        }
    }
    if !any {
        // MySQL does not mind spaces, nor nothing at all.
        return (0.0, !t.is_empty());
    }
    if matches!(b.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(b.get(end + 1), Some(b'+' | b'-')));
        let after = digits(end + 1 + sign);
        if after > end + 1 + sign {
            end = after;
        }
    }
    let value: f64 = t[..end].parse().unwrap_or(0.0);
    if value.is_infinite() {
        return (f64::MAX.copysign(value), true);
    }
    (value, !t[end..].trim_end_matches(SPACES).is_empty())
}

pub fn double(v: &Value, ctx: &EvalContext<'_>) -> Option<f64> {
    Some(match v {
        Value::Null => return None,
        Value::Int(n) => *n as f64,
        Value::UInt(n) => *n as f64,
        Value::Decimal(d) => d.to_f64(),
        Value::Double(d) => *d,
        Value::Str(s) => double_of_text(s, ctx),
        Value::Bytes(b) => double_of_text(&String::from_utf8_lossy(b), ctx),
        Value::Date(d) => d.to_number() as f64,
        Value::Time(t) => t.to_number() as f64 + (t.micros() % 1_000_000) as f64 / 1e6,
        Value::DateTime(d) => d.to_number() as f64 + d.microsecond() as f64 / 1e6,
        Value::Json(j) => json_number(j, "DOUBLE", ctx),
    })
}

fn double_of_text(s: &str, ctx: &EvalContext<'_>) -> f64 {
    let (d, bad) = double_prefix(s);
    if bad {
        warn_truncated(ctx, "DOUBLE", s);
    }
    d
}

fn warn_json(kind: &str, ctx: &EvalContext<'_>) {
    let message = format!("Invalid JSON value for CAST to {kind} from column json at row 1");
    ctx.statement.warn(WarningLevel::Warning, Fault::mysql(3156, "22018", message));
}

fn json_number(j: &Json, kind: &str, ctx: &EvalContext<'_>) -> f64 {
    match j {
        Json::Bool(b) => *b as i64 as f64,
        Json::Int(n) => *n as f64,
        Json::UInt(n) => *n as f64,
        Json::Double(d) => *d,
        Json::Decimal(d) => d.to_f64(),
        Json::String(s) => {
            let (d, bad) = double_prefix(s);
            if bad {
                warn_json(kind, ctx);
            }
            d
        }
        Json::Date(d) => d.to_number() as f64,
        Json::Time(t) => t.to_number() as f64,
        Json::DateTime(d) => d.to_number() as f64,
        Json::Null | Json::Array(_) | Json::Object(_) | Json::Opaque(_) => {
            warn_json(kind, ctx);
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
        Value::Double(d) => decimal_of_double(*d),
        Value::Str(s) => decimal_of_text(s, ctx),
        Value::Bytes(b) => decimal_of_text(&String::from_utf8_lossy(b), ctx),
        Value::Date(d) => Decimal::from_i64(d.to_number()),
        Value::Time(t) => with_micros(t.to_number(), t.micros() % 1_000_000),
        Value::DateTime(d) => with_micros(d.to_number(), d.microsecond() as i64),
        Value::Json(j) => match &**j {
            Json::Decimal(d) => d.clone(),
            Json::Int(n) => Decimal::from_i64(*n),
            Json::UInt(n) => Decimal::from_u64(*n),
            Json::String(s) => {
                let p = Decimal::parse_prefix(s.as_bytes());
                if !is_whole(&p, s) {
                    warn_json("DECIMAL", ctx);
                }
                p.value
            }
            j => decimal_of_double(json_number(j, "DECIMAL", ctx)),
        },
    })
}

/// The nearest decimal, or the greatest where there is none.
fn decimal_of_double(d: f64) -> Decimal {
    Decimal::from_f64(d).unwrap_or_else(|| {
        let greatest = Decimal::max_value(Decimal::MAX_PRECISION, 0);
        if d < 0.0 { greatest.neg() } else { greatest }
    })
}

fn decimal_of_text(s: &str, ctx: &EvalContext<'_>) -> Decimal {
    let p = Decimal::parse_prefix(s.as_bytes());
    if !is_whole(&p, s) || p.overflow {
        warn_truncated(ctx, "DECIMAL", s);
    }
    p.value
}

fn with_micros(n: i64, micros: i64) -> Decimal {
    if micros == 0 { Decimal::from_i64(n) } else { Decimal::new(n as i128 * 1_000_000 + micros as i128, 6) }
}

/// A number, and nothing but spaces after it.
pub fn is_whole(p: &weald_types::decimal::DecimalPrefix, s: &str) -> bool {
    p.consumed > 0 && s[p.consumed..].trim_end_matches(SPACES).is_empty()
}

/// As a signed integer, rounded; out of range: the nearest bound.
pub fn int(v: &Value, ctx: &EvalContext<'_>) -> Option<i64> {
    match v {
        Value::Int(n) => Some(*n),
        v => wide_int(v, ctx).map(|n| n.clamp(i64::MIN as i128, i64::MAX as i128) as i64),
    }
}

/// As an unsigned integer: a negative number wraps, as CAST(-1 AS UNSIGNED) does.
pub fn uint(v: &Value, ctx: &EvalContext<'_>) -> Option<u64> {
    match v {
        Value::UInt(n) => Some(*n),
        Value::Int(n) => Some(*n as u64),
        // MySQL goes by way of a signed number here: what is beyond it is its greatest.
        Value::Double(d) => Some(d.round_ties_even() as i64 as u64),
        v => wide_int(v, ctx).map(|n| if n < 0 { n.max(i64::MIN as i128) as i64 as u64 } else { n.min(u64::MAX as i128) as u64 }),
    }
}

/// As an integer wide enough for both. A decimal rounds half away from zero, a double half to even; a text is its leading digits (1292 for the rest).
pub fn wide_int(v: &Value, ctx: &EvalContext<'_>) -> Option<i128> {
    Some(match v {
        Value::Null => return None,
        Value::Int(n) => *n as i128,
        Value::UInt(n) => *n as i128,
        Value::Decimal(d) => wide_of_decimal(d),
        Value::Double(d) => d.round_ties_even() as i128,
        Value::Str(s) => wide_of_text(s, ctx),
        Value::Bytes(b) => wide_of_text(&String::from_utf8_lossy(b), ctx),
        Value::Date(d) => d.to_number() as i128,
        Value::Time(t) => t.rounded(0).to_number() as i128,
        Value::DateTime(d) => d.rounded(0).unwrap_or(*d).to_number() as i128,
        Value::Json(j) => match &**j {
            Json::Int(n) => *n as i128,
            Json::UInt(n) => *n as i128,
            Json::Decimal(d) => wide_of_decimal(d),
            Json::String(s) => {
                let (n, bad) = integer_prefix(s);
                if bad {
                    warn_json("INTEGER", ctx);
                }
                n
            }
            j => json_number(j, "INTEGER", ctx).round_ties_even() as i128,
        },
    })
}

pub(crate) fn wide_of_decimal(d: &Decimal) -> i128 {
    d.to_i128().unwrap_or(if d.is_negative() { i128::MIN } else { i128::MAX })
}

fn wide_of_text(s: &str, ctx: &EvalContext<'_>) -> i128 {
    let (n, bad) = integer_prefix(s);
    if bad {
        warn_truncated(ctx, "INTEGER", s);
    }
    n
}

/// The integer a text starts with: no fraction, no exponent; and whether more follows, or none was there, or 64 bits do not hold it.
pub fn integer_prefix(s: &str) -> (i128, bool) {
    let t = s.trim_start_matches(SPACES);
    let b = t.as_bytes();
    let negative = b.first() == Some(&b'-');
    let start = usize::from(matches!(b.first(), Some(b'-' | b'+')));
    let digits = b[start..].iter().take_while(|c| c.is_ascii_digit()).count();
    if digits == 0 {
        return (0, true);
    }
    let end = start + digits;
    // Beyond 64 bits only that it is beyond matters.
    let n = b[start..end].iter().fold(0i128, |n, c| (n * 10 + (c - b'0') as i128).min(1 << 100));
    let n = if negative { -n } else { n };
    let fits = (i64::MIN as i128..=u64::MAX as i128).contains(&n);
    (n, !fits || !t[end..].trim_end_matches(SPACES).is_empty())
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
        // A JSON value is true where it is not equal to 0; false is taken for 0.
        Value::Json(j) => match &**j {
            Json::Int(0) | Json::UInt(0) => false,
            Json::Double(d) => *d != 0.0,
            Json::Decimal(d) => !d.is_zero(),
            Json::Bool(b) => *b,
            _ => true,
        },
    }
}

/// Truth with NULL as `None`; a text that is no number warns.
#[inline]
pub fn truth(v: &Value, ctx: &EvalContext<'_>) -> Option<bool> {
    match v {
        Value::Int(n) => Some(*n != 0),
        Value::Null => None,
        Value::Str(_) | Value::Bytes(_) => double(v, ctx).map(|d| d != 0.0),
        v => Some(is_true(v)),
    }
}

/// Dates inside expressions: zero parts are values like others, whatever the mode.
pub(crate) fn lenient(mode: SqlMode) -> SqlMode {
    SqlMode(mode.0 & !(SqlMode::NO_ZERO_DATE | SqlMode::NO_ZERO_IN_DATE))
}

/// As a date and time; `None` for NULL and, with a warning, for what is none.
pub fn datetime(v: &Value, ctx: &EvalContext<'_>) -> Option<DateTime> {
    datetime_in(v, lenient(ctx.statement.sql_mode), ctx)
}

/// How a value reads as a date and time: what it is, and whether that was all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    Clean(T),
    /// With something after it, or beyond the type's range and cut.
    Cut(T),
    /// Shaped like a value, but there is no such date or time (or the mode forbids it).
    NoSuch,
    Nonsense,
}

impl<T> Reading<T> {
    fn map<U>(self, f: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Reading::Clean(v) => Reading::Clean(f(v)),
            Reading::Cut(v) => Reading::Cut(f(v)),
            Reading::NoSuch => Reading::NoSuch,
            Reading::Nonsense => Reading::Nonsense,
        }
    }
}

/// Reads without warning; `None` for NULL. Zero dates and parts are as `mode` says.
pub fn read_datetime(v: &Value, mode: SqlMode, ctx: &EvalContext<'_>) -> Option<Reading<DateTime>> {
    use weald_types::temporal::Parsed;
    Some(match v {
        Value::Null => return None,
        Value::DateTime(d) => Reading::Clean(*d),
        Value::Date(d) => Reading::Clean(d.at_midnight()),
        Value::Time(t) => today(ctx).at_midnight().add_micros(t.micros()).map_or(Reading::NoSuch, Reading::Clean),
        Value::Str(s) => read_datetime_text(s, mode, ctx),
        Value::Bytes(b) => read_datetime_text(&String::from_utf8_lossy(b), mode, ctx),
        Value::Json(j) => match &**j {
            Json::DateTime(d) => Reading::Clean(*d),
            Json::Date(d) => Reading::Clean(d.at_midnight()),
            Json::Time(t) => return read_datetime(&Value::Time(*t), mode, ctx),
            Json::String(s) => read_datetime_text(s, mode, ctx),
            _ => Reading::Nonsense,
        },
        Value::Int(_) | Value::UInt(_) | Value::Decimal(_) | Value::Double(_) => {
            let (whole, micros) = split(&decimal(v, ctx)?);
            match whole.filter(|n| *n >= 0).map(|n| DateTime::from_number(n, 0, mode)) {
                // Zero and part-zero dates are no days to add to, yet may be allowed.
                Some(Parsed::Ok(d)) if micros == 0 => Reading::Clean(d),
                Some(Parsed::Ok(d)) => d.add_micros(micros).map_or(Reading::NoSuch, Reading::Clean),
                _ => Reading::NoSuch,
            }
        }
    })
}

fn read_datetime_text(s: &str, mode: SqlMode, ctx: &EvalContext<'_>) -> Reading<DateTime> {
    use weald_types::temporal::Parsed;
    let (parsed, offset) = DateTime::parse_with_offset(s, 6, mode);
    let moved = |d: DateTime| match offset {
        Some(seconds) => d.add_micros(-(seconds as i64) * 1_000_000).and_then(|utc| crate::time_zone::to_session(utc, &ctx.statement.time_zone)),
        None => Some(d),
    };
    match parsed {
        Parsed::Ok(d) => moved(d).map_or(Reading::NoSuch, Reading::Clean),
        Parsed::Truncated(d) | Parsed::OutOfRange(d) => moved(d).map_or(Reading::NoSuch, Reading::Cut),
        Parsed::Invalid if looks_like_date(s) => Reading::NoSuch,
        Parsed::Invalid => Reading::Nonsense,
    }
}

/// Three numbers with punctuation between, or enough digits: a date, though perhaps of the 30th of February.
fn looks_like_date(s: &str) -> bool {
    let t = s.trim_start_matches(SPACES);
    if !t.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let numbers = t.split(|c: char| !c.is_ascii_digit()).take(3).filter(|p| !p.is_empty()).count();
    numbers == 3 || t.bytes().take_while(u8::is_ascii_digit).count() >= 5
}

/// The whole number and its microseconds, rounded, of the same sign.
fn split(d: &Decimal) -> (Option<i64>, i64) {
    let whole = d.truncate(0);
    let micros = d.sub(&whole).and_then(|f| f.rescale(6)).and_then(|f| f.unscaled_i128()).unwrap_or(0);
    (whole.to_i64(), micros as i64)
}

/// The same with MySQL's warning; `mode` says what is a date.
pub fn datetime_in(v: &Value, mode: SqlMode, ctx: &EvalContext<'_>) -> Option<DateTime> {
    let reading = read_datetime(v, mode, ctx)?;
    let shown = || text(v, &SqlType::null()).unwrap_or_default().into_owned();
    match reading {
        Reading::Clean(d) => Some(d),
        Reading::Cut(d) => {
            let shown = shown();
            let kind = if d.micros_of_day() == 0 && !shown.contains(':') { "date" } else { "datetime" };
            ctx.statement.warn(WarningLevel::Warning, truncated_temporal(kind, &shown));
            Some(d)
        }
        Reading::NoSuch | Reading::Nonsense => {
            ctx.statement.warn(WarningLevel::Warning, Fault::TruncatedWrongValue { kind: "datetime".into(), value: shown() });
            None
        }
    }
}

/// 1292 for a temporal value with something after it: "Truncated incorrect datetime value", other than for what is none.
pub(crate) fn truncated_temporal(kind: &str, value: &str) -> Fault {
    Fault::mysql(1292, "22007", format!("Truncated incorrect {kind} value: '{value}'"))
}

pub fn date(v: &Value, ctx: &EvalContext<'_>) -> Option<Date> {
    match v {
        Value::Date(d) => Some(*d),
        v => datetime(v, ctx).map(DateTime::date),
    }
}

/// As a time of day or duration, without warning; `None` for NULL.
pub fn read_time(v: &Value, ctx: &EvalContext<'_>) -> Option<Reading<Time>> {
    Some(read_moment(v, ctx)?.map(Moment::time))
}

/// The same, where a value that holds a date as well keeps it.
pub fn read_moment(v: &Value, ctx: &EvalContext<'_>) -> Option<Reading<Moment>> {
    use weald_types::temporal::Parsed;
    let of = |p: Parsed<Moment>| match p {
        Parsed::Ok(t) => Reading::Clean(t),
        Parsed::Truncated(t) | Parsed::OutOfRange(t) => Reading::Cut(t),
        Parsed::Invalid => Reading::Nonsense,
    };
    let mode = ctx.statement.sql_mode;
    Some(match v {
        Value::Null => return None,
        Value::Time(t) => Reading::Clean(Moment::Time(*t)),
        Value::DateTime(d) => Reading::Clean(Moment::DateTime(*d)),
        Value::Date(d) => Reading::Clean(Moment::DateTime(d.at_midnight())),
        Value::Str(s) => of(Moment::parse(s, 6, mode)),
        Value::Bytes(b) => of(Moment::parse(&String::from_utf8_lossy(b), 6, mode)),
        Value::Json(j) => match &**j {
            Json::Time(t) => Reading::Clean(Moment::Time(*t)),
            Json::DateTime(d) => Reading::Clean(Moment::DateTime(*d)),
            Json::Date(d) => Reading::Clean(Moment::DateTime(d.at_midnight())),
            Json::String(s) => of(Moment::parse(s, 6, mode)),
            _ => Reading::Nonsense,
        },
        Value::Int(_) | Value::UInt(_) | Value::Decimal(_) | Value::Double(_) => {
            let d = decimal(v, ctx)?;
            let (whole, micros) = split(&d);
            match whole {
                Some(n) => of(Moment::from_number(n, micros.unsigned_abs() as u32, mode)),
                None => Reading::Cut(Moment::Time(if d.is_negative() { Time::MIN } else { Time::MAX })),
            }
        }
    })
}

/// As a time of day or duration; `None` for NULL and, with a warning, for what is none.
pub fn time(v: &Value, ctx: &EvalContext<'_>) -> Option<Time> {
    moment(v, ctx).map(Moment::time)
}

/// The same, where a value that holds a date as well keeps it.
pub fn moment(v: &Value, ctx: &EvalContext<'_>) -> Option<Moment> {
    let reading = read_moment(v, ctx)?;
    let value = match reading {
        Reading::Clean(t) => return Some(t),
        Reading::Cut(t) => Some(t),
        Reading::NoSuch | Reading::Nonsense => None,
    };
    let shown = text(v, &SqlType::null()).unwrap_or_default();
    ctx.statement.warn(WarningLevel::Warning, truncated_temporal("time", &shown));
    value
}

/// NOW() in the session's time zone.
pub fn now(ctx: &EvalContext<'_>) -> DateTime {
    let utc = DateTime::from_unix_micros(ctx.statement.now_micros).unwrap_or_default();
    crate::time_zone::to_session(utc, &ctx.statement.time_zone).unwrap_or(utc)
}
pub fn today(ctx: &EvalContext<'_>) -> Date {
    now(ctx).date()
}

/// As JSON: a text becomes a JSON string, not parsed.
pub fn json(v: &Value, ty: &SqlType) -> Option<Json> {
    use weald_types::TypeKind;
    Some(match v {
        Value::Null => return None,
        Value::Json(j) => Json::clone(j),
        Value::Int(n) if ty.kind.is_truth() => Json::Bool(*n != 0),
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
pub(crate) fn is_utc(zone: &TimeZone) -> bool {
    matches!(zone, TimeZone::Fixed(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{statement, take_warnings, unlimited};

    #[test]
    fn texts_read_as_numbers_as_far_as_they_go() {
        for (text, number, bad) in [
            ("5", 5.0, false),
            ("  -7  ", -7.0, false),
            ("5x", 5.0, true),
            ("", 0.0, false),
            (" ", 0.0, false),
            ("abc", 0.0, true),
            (".5", 0.5, false),
            ("5.", 5.0, false),
            (".", 0.0, true),
            ("1e2", 100.0, false),
            ("1e", 1.0, true),
            ("1e+", 1.0, true),
            ("1.5E-1", 0.15, false),
            ("1e999", f64::MAX, true),
            ("12345678901234567890", 12345678901234567890.0, false),
            ("-", 0.0, true),
            ("+3", 3.0, false),
            ("0x1A", 0.0, true),
            ("\u{e9}", 0.0, true),
        ] {
            assert_eq!(double_prefix(text), (number, bad), "{text:?}");
        }
    }

    #[test]
    fn texts_read_as_integers_without_fraction() {
        for (text, number, bad) in [
            ("42", 42, false),
            (" 42 ", 42, false),
            ("2.5", 2, true),
            ("1e3", 1, true),
            ("-9", -9, false),
            ("x", 0, true),
            ("18446744073709551615", u64::MAX as i128, false),
            ("18446744073709551616", u64::MAX as i128 + 1, true),
            ("-9223372036854775809", i64::MIN as i128 - 1, true),
        ] {
            assert_eq!(integer_prefix(text), (number, bad), "{text:?}");
        }
    }

    #[test]
    fn a_loss_is_warned_of_once() {
        let s = unlimited();
        let ctx = statement(&s);
        assert_eq!(double(&Value::str("5x"), &ctx), Some(5.0));
        assert_eq!(take_warnings(&s), ["Warning: truncated incorrect DOUBLE value: '5x'"]);
        assert_eq!(wide_int(&Value::str("2.5"), &ctx), Some(2));
        assert_eq!(take_warnings(&s), ["Warning: truncated incorrect INTEGER value: '2.5'"]);
        assert_eq!(datetime(&Value::str("2020-02-30"), &ctx), None);
        assert_eq!(take_warnings(&s), ["Warning: truncated incorrect datetime value: '2020-02-30'"]);
        assert_eq!(datetime(&Value::str("2020-02-03x"), &ctx), DateTime::from_parts(2020, 2, 3, 0, 0, 0, 0));
        assert_eq!(take_warnings(&s), ["Warning: Truncated incorrect date value: '2020-02-03x'"]);
        assert_eq!(time(&Value::str("900:00:00"), &ctx), Some(Time::MAX));
        assert_eq!(take_warnings(&s).len(), 1);
        assert_eq!(int(&Value::Double(2.5), &ctx), Some(2));
        assert_eq!(int(&crate::testing::decimal("2.5"), &ctx), Some(3));
        assert_eq!(uint(&crate::testing::decimal("-1.5"), &ctx), Some(-2i64 as u64));
        assert!(take_warnings(&s).is_empty());
    }

    #[test]
    fn numbers_read_as_dates_and_times() {
        let s = unlimited();
        let ctx = statement(&s);
        assert_eq!(datetime(&Value::Int(20240131), &ctx), DateTime::from_parts(2024, 1, 31, 0, 0, 0, 0));
        assert_eq!(datetime(&crate::testing::decimal("20240131102030.5"), &ctx), DateTime::from_parts(2024, 1, 31, 10, 20, 30, 500_000));
        assert_eq!(time(&Value::Int(-102030), &ctx), Time::new(true, 10, 20, 30, 0));
        assert_eq!(datetime(&Value::Time(Time::from_micros(3_600_000_000)), &ctx), DateTime::from_parts(2024, 7, 1, 1, 0, 0, 0));
        assert!(take_warnings(&s).is_empty());
        assert_eq!(datetime(&Value::Int(20240230), &ctx), None);
        assert_eq!(datetime(&Value::Int(-5), &ctx), None);
        assert_eq!(take_warnings(&s).len(), 2);
    }
}
