//! Parts of dates and times.
//!
//! Owns:     nothing.
//! Promises: a zero date has parts (0); what is no date at all is NULL.
//! Never:    formats: see `date_format`.

use super::argument::{date, datetime, known, literal_int, real_date, time};
use super::interval::IntervalUnit;
use super::result_type::{date as date_type, nullable_int, own_text};
use super::{Call, FunctionDef};
use crate::EvalContext;
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
    FunctionDef::new("EXTRACT", 2, 2, nullable_int, extract),
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
    FunctionDef::new("WEEK", 1, 2, nullable_int, |call, v, ctx| Ok(Value::Int(known!(real_date(&v[0], ctx)).week(mode(call)).1 as i64))),
    part!("WEEKDAY", real_date, Date::weekday),
    part!("WEEKOFYEAR", real_date, |d: Date| d.week(3).1),
    part!("YEAR", date, Date::year),
    FunctionDef::new("YEARWEEK", 1, 2, nullable_int, |call, v, ctx| Ok(Value::Int(known!(real_date(&v[0], ctx)).yearweek(mode(call)) as i64))),
];

pub const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
pub const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

fn mode(call: &Call<'_>) -> u8 {
    call.args.get(1).and_then(literal_int).unwrap_or(0) as u8 & 7
}

fn extract(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    use IntervalUnit::*;
    let unit = IntervalUnit::of(&call.args[0]).ok_or_else(|| super::argument::incorrect_arguments("extract"))?;
    if matches!(unit, Year | Quarter | Month | Week | Day | YearMonth | DayHour | DayMinute | DaySecond | DayMicrosecond) {
        let d: DateTime = known!(datetime(&v[1], ctx));
        let (day, hour, minute, second, micros) =
            (d.date().day() as i64, d.hour() as i64, d.minute() as i64, d.second() as i64, d.microsecond() as i64);
        let day_hour = day * 100 + hour;
        return Ok(Value::Int(match unit {
            Year => d.date().year() as i64,
            Quarter => d.date().quarter() as i64,
            Month => d.date().month() as i64,
            Week => known!(real_date(&v[1], ctx)).week(0).1 as i64,
            Day => day,
            YearMonth => d.date().year() as i64 * 100 + d.date().month() as i64,
            DayHour => day_hour,
            DayMinute => day_hour * 100 + minute,
            DaySecond => (day_hour * 100 + minute) * 100 + second,
            _ => ((day_hour * 100 + minute) * 100 + second) * 1_000_000 + micros,
        }));
    }
    let t = known!(time(&v[1], ctx));
    let (hour, minute, second, micros) = (t.hours() as i64, t.minutes() as i64, t.seconds() as i64, t.microseconds() as i64);
    let n = match unit {
        Hour => hour,
        Minute => minute,
        Second => second,
        Microsecond => micros,
        HourMinute => hour * 100 + minute,
        HourSecond => (hour * 100 + minute) * 100 + second,
        HourMicrosecond => ((hour * 100 + minute) * 100 + second) * 1_000_000 + micros,
        MinuteSecond => minute * 100 + second,
        MinuteMicrosecond => (minute * 100 + second) * 1_000_000 + micros,
        _ => second * 1_000_000 + micros,
    };
    Ok(Value::Int(if t.is_negative() { -n } else { n }))
}
