//! Parts of dates and times.
//!
//! Owns:     nothing.
//! Promises: a zero date has parts (0); what is no date at all is NULL.
//! Never:    formats: see `date_format`.

use super::argument::{date, known, moment, real_date, real_datetime, time, wide_int};
use super::interval::IntervalUnit;
use super::result_type::{date as date_type, nullable_int, own_text};
use super::{Call, FunctionDef};
use crate::EvalContext;
use weald_types::temporal::Moment;
use weald_types::{Date, DateTime, Fault, Value};

macro_rules! part {
    ($name:literal, $read:ident, $f:expr) => {
        FunctionDef::new($name, 1, 1, nullable_int, |_, v, ctx| Ok(Value::Int(known!($read(&v[0], ctx).map($f)) as i64)))
    };
}

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("DATE", 1, 1, date_type, |_, v, ctx| Ok(Value::Date(known!(date(&v[0], ctx))))),
    part!("DAY", date, Date::day),
    FunctionDef::new(
        "DAYNAME",
        1,
        1,
        |_, c| own_text(9, true, c),
        |_, v, ctx| Ok(Value::str(DAYS[known!(real_date(&v[0], ctx)).weekday() as usize % 7])),
    ),
    part!("DAYOFWEEK", real_date, |d: Date| (d.weekday() + 1) % 7 + 1),
    part!("DAYOFYEAR", real_date, Date::yearday),
    FunctionDef::new("EXTRACT", 2, 2, nullable_int, extract).stable(),
    part!("HOUR", time, weald_types::Time::hours),
    FunctionDef::new("LAST_DAY", 1, 1, date_type, |_, v, ctx| Ok(known!(date(&v[0], ctx)).last_day().map_or(Value::Null, Value::Date))),
    part!("MICROSECOND", time, weald_types::Time::microseconds),
    part!("MINUTE", time, weald_types::Time::minutes),
    part!("MONTH", date, Date::month),
    FunctionDef::new(
        "MONTHNAME",
        1,
        1,
        |_, c| own_text(9, true, c),
        |_, v, ctx| {
            Ok((known!(date(&v[0], ctx)).month() as usize).checked_sub(1).and_then(|m| MONTHS.get(m)).map_or(Value::Null, |m| Value::str(*m)))
        },
    ),
    part!("QUARTER", date, Date::quarter),
    part!("SECOND", time, weald_types::Time::seconds),
    part!("TIME_TO_SEC", time, |t: weald_types::Time| t.micros() / 1_000_000),
    part!("TO_DAYS", real_date, Date::day_number),
    part!("TO_SECONDS", real_datetime, |d: DateTime| d.date().day_number() * 86_400 + d.micros_of_day() / 1_000_000),
    // Stable, because of default_week_format.
    FunctionDef::new("WEEK", 1, 2, nullable_int, |_, v, ctx| {
        let mode = v.get(1).map_or(ctx.statement.default_week_format, |m| mode(m, ctx));
        Ok(Value::Int(known!(real_date(&v[0], ctx)).week(mode).1 as i64))
    })
    .stable(),
    part!("WEEKDAY", real_date, Date::weekday),
    part!("WEEKOFYEAR", real_date, |d: Date| d.week(3).1),
    part!("YEAR", date, Date::year),
    FunctionDef::new("YEARWEEK", 1, 2, nullable_int, |_, v, ctx| {
        let mode = v.get(1).map_or(0, |m| mode(m, ctx));
        Ok(Value::Int(known!(real_date(&v[0], ctx)).yearweek(mode) as i64))
    }),
];

pub const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
pub const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/// A mode of WEEK: its lowest three bits; NULL is mode 0.
fn mode(v: &Value, ctx: &EvalContext<'_>) -> u8 {
    (wide_int(v, ctx).unwrap_or(0) & 7) as u8
}

fn extract(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    use IntervalUnit::*;
    let unit = IntervalUnit::of(&call.args[0]).ok_or_else(|| super::argument::incorrect_arguments("extract"))?;
    if matches!(unit, Year | Quarter | Month | Week | Day | YearMonth) {
        let d = known!(date(&v[1], ctx));
        return Ok(Value::Int(match unit {
            Year => d.year() as i64,
            Quarter => d.quarter() as i64,
            Month => d.month() as i64,
            Week => known!(real_date(&v[1], ctx)).week(ctx.statement.default_week_format).1 as i64,
            Day => d.day() as i64,
            _ => d.year() as i64 * 100 + d.month() as i64,
        }));
    }
    let m = known!(moment(&v[1], ctx));
    let t = m.time();
    let day = match m {
        Moment::DateTime(d) => d.date().day() as i64,
        Moment::Time(_) => 0,
    };
    let (hour, minute, second, micros) = (t.hours() as i64, t.minutes() as i64, t.seconds() as i64, t.microseconds() as i64);
    let day_hour = day * 100 + hour;
    let n = match unit {
        Hour => hour,
        Minute => minute,
        Second => second,
        Microsecond => micros,
        DayHour => day_hour,
        DayMinute => day_hour * 100 + minute,
        DaySecond => (day_hour * 100 + minute) * 100 + second,
        DayMicrosecond => ((day_hour * 100 + minute) * 100 + second) * 1_000_000 + micros,
        HourMinute => hour * 100 + minute,
        HourSecond => (hour * 100 + minute) * 100 + second,
        HourMicrosecond => ((hour * 100 + minute) * 100 + second) * 1_000_000 + micros,
        MinuteSecond => minute * 100 + second,
        MinuteMicrosecond => (minute * 100 + second) * 1_000_000 + micros,
        SecondMicrosecond => second * 1_000_000 + micros,
        Year | Quarter | Month | Week | Day | YearMonth => return Err(super::argument::incorrect_arguments("extract")),
    };
    Ok(Value::Int(if t.is_negative() { -n } else { n }))
}
