//! Dates and times made of their parts, or of other kinds: MAKEDATE, MAKETIME, SEC_TO_TIME, TIME(), TIMESTAMP().
//!
//! Owns:     nothing.
//! Promises: parts that make no date or time are NULL; a time beyond ±838:59:59 is that bound with 1292.
//! Never:    reads a text by a pattern: see `date_read`.

use super::argument::{bounded_time, datetime, decimal, known, moment, time as as_time, wide_int};
use super::date_arithmetic::full_year;
use super::result_type::{datetime as datetime_type, decimals_of, fsp_of, time as time_type};
use super::{Call, FunctionDef};
use crate::{EvalContext, coerce};
use weald_types::temporal::Moment;
use weald_types::{Date, Decimal, Fault, Time, TypeKind, Value, WarningLevel};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("MAKEDATE", 2, 2, super::result_type::date, make_date),
    FunctionDef::new("MAKETIME", 3, 3, |a, _| time_type(decimals_of(&a[2])), make_time),
    FunctionDef::new("SEC_TO_TIME", 1, 1, |a, _| time_type(decimals_of(&a[0])), sec_to_time),
    FunctionDef::new(
        "TIME",
        1,
        1,
        |a, _| time_type(fsp_of(&a[0])),
        |call, v, ctx| Ok(Value::Time(known!(as_time(&v[0], ctx)).with_fsp(fsp(call), ctx.statement.sql_mode))),
    ),
    // A text with an offset is brought to the session's time zone.
    FunctionDef::new("TIMESTAMP", 1, 2, |a, _| datetime_type(a.iter().map(fsp_of).max().unwrap_or(0)), timestamp).stable(),
];

fn fsp(call: &Call<'_>) -> u8 {
    call.ty.kind.fsp().unwrap_or(0)
}

/// MAKEDATE(year, day of the year): the day may lie beyond the year.
fn make_date(_: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (year, day) = (known!(wide_int(&v[0], ctx)), known!(wide_int(&v[1], ctx)));
    if !(0..=9999).contains(&year) || day <= 0 {
        return Ok(Value::Null);
    }
    let first = Date::new(full_year(year as i64) as u32, 1, 1);
    let date = first.zip(i64::try_from(day - 1).ok()).and_then(|(first, more)| first.add_days(more));
    Ok(date.map_or(Value::Null, Value::Date))
}

fn make_time(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (hours, minutes, seconds) = (known!(wide_int(&v[0], ctx)), known!(wide_int(&v[1], ctx)), known!(decimal(&v[2], ctx)));
    if !(0..=59).contains(&minutes) || seconds.is_negative() || seconds >= Decimal::from_i64(60) {
        return Ok(Value::Null);
    }
    let Some(micros) = micros_of(&seconds, fsp(call)) else { return Ok(Value::Null) };
    if !(-838..=838).contains(&hours) {
        let shown = format!("{hours:02}:{minutes:02}:{}", seconds_text(&seconds));
        ctx.statement.warn(WarningLevel::Warning, coerce::truncated_temporal("time", &shown));
        return Ok(Value::Time(if hours < 0 { Time::MIN } else { Time::MAX }));
    }
    let total = (hours.unsigned_abs() as i64 * 3600 + minutes as i64 * 60) * 1_000_000 + micros;
    Ok(bounded_time(if hours < 0 { -total } else { total }, ctx))
}

/// `00` to `59`, with the decimals there are.
fn seconds_text(seconds: &Decimal) -> String {
    let text = seconds.to_string();
    if text.split('.').next().is_some_and(|whole| whole.len() == 1) { format!("0{text}") } else { text }
}

/// Microseconds, rounded to `fsp` decimals of a second.
fn micros_of(seconds: &Decimal, fsp: u8) -> Option<i64> {
    let micros = seconds.rescale(fsp)?.rescale(6)?.unscaled_i128()?;
    i64::try_from(micros).ok()
}

fn sec_to_time(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let seconds = known!(decimal(&v[0], ctx));
    let within = micros_of(&seconds, fsp(call)).map(Time::from_micros).filter(|t| !t.clamped().1);
    Ok(Value::Time(within.unwrap_or_else(|| {
        ctx.statement.warn(WarningLevel::Warning, coerce::truncated_temporal("time", &seconds.to_string()));
        if seconds.is_negative() { Time::MIN } else { Time::MAX }
    })))
}

/// TIMESTAMP(expr), or TIMESTAMP(expr, time): the two added.
fn timestamp(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let TypeKind::DateTime { fsp } = call.ty.kind else { return Ok(Value::Null) };
    let d = known!(datetime(&v[0], ctx));
    let Some(more) = v.get(1) else {
        return Ok(d.with_fsp(fsp, ctx.statement.sql_mode).map_or(Value::Null, Value::DateTime));
    };
    let Moment::Time(more) = known!(moment(more, ctx)) else { return Ok(Value::Null) };
    Ok(d.add_micros(more.micros()).and_then(|d| d.with_fsp(fsp, ctx.statement.sql_mode)).map_or(Value::Null, Value::DateTime))
}
