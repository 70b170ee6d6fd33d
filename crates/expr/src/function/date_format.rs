//! Dates as texts by a pattern.
//!
//! Owns:     the meaning of each `%x`.
//! Promises: what MySQL's manual says of each; an unknown `%x` is `x`.
//! Never:    reads a text: see `coerce`.

use super::argument::{datetime, known, time};
use super::date_part::{DAYS, MONTHS};
use super::result_type::{characters, own_text};
use super::{Call, FunctionDef};
use crate::EvalContext;
use std::fmt::Write;
use weald_types::{Date, DateTime, Fault, Time, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("DATE_FORMAT", 2, 2, |a, c| own_text(characters(&a[1]).saturating_mul(10), true, c), date_format),
    FunctionDef::new("GET_FORMAT", 2, 2, |_, c| own_text(17, true, c), get_format),
    FunctionDef::new("TIME_FORMAT", 2, 2, |a, c| own_text(characters(&a[1]).saturating_mul(10), true, c), time_format),
];

/// GET_FORMAT(DATE|TIME|DATETIME, region); an unknown region is NULL.
fn get_format(call: &Call<'_>, v: &[Value], _: &EvalContext<'_>) -> Result<Value, Fault> {
    let (kind, region) = (known!(call.text(v, 0)), known!(call.text(v, 1)));
    let pattern = match (&*kind, region.to_ascii_uppercase().as_str()) {
        ("DATE", "USA") => "%m.%d.%Y",
        ("DATE", "JIS" | "ISO") => "%Y-%m-%d",
        ("DATE", "EUR") => "%d.%m.%Y",
        ("DATE", "INTERNAL") => "%Y%m%d",
        ("TIME", "USA") => "%h:%i:%s %p",
        ("TIME", "JIS" | "ISO") => "%H:%i:%s",
        ("TIME", "EUR") => "%H.%i.%s",
        ("TIME", "INTERNAL") => "%H%i%s",
        ("DATETIME", "USA" | "EUR") => "%Y-%m-%d %H.%i.%s",
        ("DATETIME", "JIS" | "ISO") => "%Y-%m-%d %H:%i:%s",
        ("DATETIME", "INTERNAL") => "%Y%m%d%H%i%s",
        _ => return Ok(Value::Null),
    };
    Ok(Value::str(pattern))
}

fn date_format(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let d: DateTime = known!(datetime(&v[0], ctx));
    let pattern = known!(call.text(v, 1));
    Ok(format_datetime(d, &pattern))
}

fn time_format(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let t = known!(time(&v[0], ctx));
    let pattern = known!(call.text(v, 1));
    Ok(formatted(None, t, &pattern).map_or(Value::Null, Value::str))
}

/// FROM_UNIXTIME(n, pattern) and DATE_FORMAT share this.
pub(super) fn format_datetime(d: DateTime, pattern: &str) -> Value {
    formatted(Some(d.date()), d.time(), pattern).map_or(Value::Null, Value::str)
}

/// `None` for an empty pattern, and where a part is asked for that there is not: a month's name of a zero month, a weekday of a time.
fn formatted(date: Option<Date>, t: Time, pattern: &str) -> Option<String> {
    if pattern.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(pattern.len() * 2);
    if t.is_negative() {
        out.push('-');
    }
    let mut chars = pattern.chars();
    let d = date.unwrap_or(Date::ZERO);
    // A zero day still has a week; a date of which nothing is known has none.
    let real = || date.filter(|d| d.year() != 0 || d.month() != 0);
    let twelve = |h: u32| if h.is_multiple_of(12) { 12 } else { h % 12 };
    let half = |h: u32| if h % 24 < 12 { "AM" } else { "PM" };
    let (h, m, s) = (t.hours(), t.minutes(), t.seconds());
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let Some(c) = chars.next() else {
            out.push('%');
            break;
        };
        // Writing to a String cannot fail.
        let _ = match c {
            'a' => write!(out, "{}", &DAYS[real()?.weekday() as usize % 7][..3]),
            'b' => write!(out, "{}", &MONTHS.get((d.month() as usize).checked_sub(1)?)?[..3]),
            'c' => write!(out, "{}", d.month()),
            'D' => write!(out, "{}{}", d.day(), ordinal(d.day())),
            'd' => write!(out, "{:02}", d.day()),
            'e' => write!(out, "{}", d.day()),
            'f' => write!(out, "{:06}", t.microseconds()),
            'H' => write!(out, "{h:02}"),
            'h' | 'I' => write!(out, "{:02}", twelve(h)),
            'i' => write!(out, "{m:02}"),
            'j' => write!(out, "{:03}", real()?.yearday()),
            'k' => write!(out, "{h}"),
            'l' => write!(out, "{}", twelve(h)),
            'M' => write!(out, "{}", MONTHS.get((d.month() as usize).checked_sub(1)?)?),
            'm' => write!(out, "{:02}", d.month()),
            'p' => write!(out, "{}", half(h)),
            'r' => write!(out, "{:02}:{m:02}:{s:02} {}", twelve(h), half(h)),
            'S' | 's' => write!(out, "{s:02}"),
            'T' => write!(out, "{h:02}:{m:02}:{s:02}"),
            'U' => write!(out, "{:02}", real()?.week(0).1),
            'u' => write!(out, "{:02}", real()?.week(1).1),
            'V' => write!(out, "{:02}", real()?.week(2).1),
            'v' => write!(out, "{:02}", real()?.week(3).1),
            'W' => write!(out, "{}", DAYS[real()?.weekday() as usize % 7]),
            'w' => write!(out, "{}", (real()?.weekday() + 1) % 7),
            'X' => write!(out, "{:04}", real()?.week(2).0),
            'x' => write!(out, "{:04}", real()?.week(3).0),
            'Y' => write!(out, "{:04}", d.year()),
            'y' => write!(out, "{:02}", d.year() % 100),
            other => write!(out, "{other}"),
        };
    }
    Some(out)
}

fn ordinal(day: u32) -> &'static str {
    match (day % 10, day / 10) {
        (_, 1) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    }
}
