//! Dates and times, plus and minus.
//!
//! Owns:     nothing.
//! Promises: a result outside the calendar is NULL with warning 1441; a time beyond ±838:59:59 is that bound with 1292.
//! Never:    reads an amount: see `interval`.

use super::argument::{bounded_time, datetime, incorrect_arguments, known, moment, real_date, real_datetime, warn, wide_int};
use super::interval::{Amount, IntervalUnit};
use super::result_type::{Bound, decimals_of, fsp_of, nullable_int, string};
use super::{BindContext, Call, FunctionDef};
use crate::{EvalContext, Expr};
use weald_types::temporal::Moment;
use weald_types::{Date, DateTime, Fault, SqlType, Time, TypeKind, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("ADDTIME", 2, 2, bind_add_time, |call, v, ctx| add_time(call, v, Direction::Forward, ctx)),
    FunctionDef::new("DATEDIFF", 2, 2, nullable_int, |_, v, ctx| {
        Ok(Value::Int(known!(real_date(&v[0], ctx)).day_number() - known!(real_date(&v[1], ctx)).day_number()))
    }),
    FunctionDef::new("DATE_ADD", 3, 3, |a, c| bind_add(a, 1, 2, c), |call, v, ctx| add(call, v, (1, 2), Direction::Forward, ctx)),
    FunctionDef::new("DATE_SUB", 3, 3, |a, c| bind_add(a, 1, 2, c), |call, v, ctx| add(call, v, (1, 2), Direction::Back, ctx)),
    FunctionDef::new("FROM_DAYS", 1, 1, super::result_type::date, |_, v, ctx| {
        let days = i64::try_from(known!(wide_int(&v[0], ctx))).ok();
        Ok(Value::Date(days.and_then(Date::from_day_number).unwrap_or(Date::ZERO)))
    }),
    FunctionDef::new("PERIOD_ADD", 2, 2, nullable_int, period_add),
    FunctionDef::new("PERIOD_DIFF", 2, 2, nullable_int, period_diff),
    FunctionDef::new("SUBTIME", 2, 2, bind_add_time, |call, v, ctx| add_time(call, v, Direction::Back, ctx)),
    FunctionDef::new("TIMEDIFF", 2, 2, |a, _| super::result_type::time(fsp_of(&a[0]).max(fsp_of(&a[1]))), timediff),
    FunctionDef::new("TIMESTAMPADD", 3, 3, |a, c| bind_add(a, 2, 1, c), |call, v, ctx| add(call, v, (2, 1), Direction::Forward, ctx)),
    FunctionDef::new("TIMESTAMPDIFF", 3, 3, nullable_int, timestampdiff),
];

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Forward,
    Back,
}

fn unit(call_args: &[Expr]) -> Result<IntervalUnit, Fault> {
    IntervalUnit::of(&call_args[0]).ok_or_else(|| incorrect_arguments("interval"))
}

/// A DATE stays one under units of days; texts become texts, as the unit and the text ask for.
fn bind_add(args: &mut [Expr], base: usize, amount: usize, c: &BindContext) -> Bound {
    let unit = unit(args)?;
    let of_amount = match unit {
        // The only simple unit whose amount may have a fraction.
        IntervalUnit::Second => decimals_of(&args[amount]),
        unit if unit.has_micros() => 6,
        _ => 0,
    };
    let fsp = fsp_of(&args[base]).max(of_amount);
    let ty = match args[base].ty().kind {
        TypeKind::Date if unit.is_of_date() => SqlType::new(TypeKind::Date, true),
        TypeKind::Date | TypeKind::DateTime { .. } | TypeKind::Timestamp { .. } => SqlType::new(TypeKind::DateTime { fsp }, true),
        // A time of today, from which one can go back days and months.
        TypeKind::Time { .. } if unit.is_of_date() => SqlType::new(TypeKind::DateTime { fsp }, true),
        TypeKind::Time { .. } => SqlType::new(TypeKind::Time { fsp }, true),
        _ => string(29, true, c.collation_connection),
    };
    let collation = ty.collation;
    Ok((ty, collation))
}

fn overflow(ctx: &EvalContext<'_>) -> Value {
    warn(ctx, 1441, "22008", "Datetime function: datetime field overflow");
    Value::Null
}

fn shifted(d: DateTime, amount: Amount) -> Option<DateTime> {
    match amount {
        Amount::Months(n) => d.add_months(n),
        Amount::Micros(n) => d.add_micros(i64::try_from(n).ok()?),
    }
}

fn add(call: &Call<'_>, values: &[Value], at: (usize, usize), direction: Direction, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (base, amount, ty) = (&values[at.0], &values[at.1], call.args[at.1].ty());
    let unit = unit(call.args)?;
    let amount = known!(unit.amount(amount, ty, ctx));
    let amount = if direction == Direction::Back { amount.negated() } else { amount };
    if let (TypeKind::Time { .. }, Value::Time(t), Amount::Micros(n)) = (&call.ty.kind, base, amount) {
        let sum = i64::try_from(t.micros() as i128 + n).ok().map(Time::from_micros);
        return Ok(match sum {
            Some(sum) if !sum.clamped().1 => Value::Time(sum),
            _ => {
                warn(ctx, 1441, "22008", "Datetime function: time field overflow");
                Value::Null
            }
        });
    }
    let d = known!(real_datetime(base, ctx));
    let Some(sum) = shifted(d, amount) else { return Ok(overflow(ctx)) };
    Ok(match call.ty.kind {
        TypeKind::Date => Value::Date(sum.date()),
        TypeKind::DateTime { fsp } => Value::DateTime(sum.truncated(fsp)),
        _ => {
            let fsp = if sum.microsecond() != 0 { 6 } else { 0 };
            Value::str(if unit.is_of_date() && is_date_only(base) { sum.date().to_string() } else { sum.display(fsp).to_string() })
        }
    })
}

/// Whether a text or number names a day and no time of it.
fn is_date_only(v: &Value) -> bool {
    match v {
        Value::Str(s) => {
            let s = s.trim();
            let digits = s.bytes().all(|b| b.is_ascii_digit());
            if digits { matches!(s.len(), 0..=6 | 8) } else { !s.contains([' ', 'T', ':']) }
        }
        Value::Int(n) => *n < 100_000_000,
        Value::UInt(n) => *n < 100_000_000,
        Value::Date(_) => true,
        _ => false,
    }
}

/// A TIME or DATETIME stays one; all else is read as what it looks like, and the result is a text.
fn bind_add_time(args: &mut [Expr], c: &BindContext) -> Bound {
    let fsp = fsp_of(&args[0]).max(fsp_of(&args[1]));
    let ty = match args[0].ty().kind {
        TypeKind::Time { .. } => SqlType::new(TypeKind::Time { fsp }, true),
        TypeKind::DateTime { .. } | TypeKind::Timestamp { .. } => SqlType::new(TypeKind::DateTime { fsp }, true),
        _ => string(29, true, c.collation_connection),
    };
    let collation = ty.collation;
    Ok((ty, collation))
}

fn add_time(call: &Call<'_>, v: &[Value], direction: Direction, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let first = match &v[0] {
        // MySQL takes a DATE for the time it does not have.
        Value::Date(_) => Moment::Time(Time::ZERO),
        v => known!(moment(v, ctx)),
    };
    // What is added is a duration, never a date.
    let Moment::Time(second) = known!(moment(&v[1], ctx)) else { return Ok(Value::Null) };
    let micros = if direction == Direction::Back { -second.micros() } else { second.micros() };
    let sum = match first {
        Moment::Time(t) => bounded_time(t.micros() + micros, ctx),
        Moment::DateTime(d) => d.add_micros(micros).map_or(Value::Null, Value::DateTime),
    };
    Ok(match (&call.ty.kind, sum) {
        (TypeKind::Time { .. } | TypeKind::DateTime { .. }, sum) => sum,
        (_, Value::Time(t)) => Value::str(t.display(if t.microseconds() == 0 { 0 } else { 6 }).to_string()),
        (_, Value::DateTime(d)) => Value::str(d.display(if d.microsecond() == 0 { 0 } else { 6 }).to_string()),
        _ => Value::Null,
    })
}

/// The difference of two times, or of two dates with times; NULL for one of each.
fn timediff(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let has_date = |i: usize| matches!(call.args[i].ty().kind, TypeKind::Date | TypeKind::DateTime { .. } | TypeKind::Timestamp { .. });
    let micros = if has_date(0) || has_date(1) {
        if v.iter().any(|v| matches!(v, Value::Time(_))) {
            return Ok(Value::Null);
        }
        micros_between(known!(datetime(&v[1], ctx)), known!(datetime(&v[0], ctx)))
    } else {
        match (known!(moment(&v[0], ctx)), known!(moment(&v[1], ctx))) {
            (Moment::Time(a), Moment::Time(b)) => a.micros() - b.micros(),
            (Moment::DateTime(a), Moment::DateTime(b)) => micros_between(b, a),
            _ => return Ok(Value::Null),
        }
    };
    Ok(bounded_time(micros, ctx))
}

/// Microseconds from `a` to `b`.
fn micros_between(a: DateTime, b: DateTime) -> i64 {
    (b.date().day_number() - a.date().day_number()) * 86_400_000_000 + b.micros_of_day() - a.micros_of_day()
}

fn timestampdiff(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    use IntervalUnit::*;
    let (from, to) = (known!(real_datetime(&v[1], ctx)), known!(real_datetime(&v[2], ctx)));
    let months = || {
        let (a, b, sign) = if from <= to { (from, to, 1) } else { (to, from, -1) };
        let whole = (b.date().year() as i64 * 12 + b.date().month() as i64) - (a.date().year() as i64 * 12 + a.date().month() as i64);
        let short = (b.date().day(), b.micros_of_day()) < (a.date().day(), a.micros_of_day());
        sign * (whole - short as i64)
    };
    let micros = micros_between(from, to);
    Ok(Value::Int(match unit(call.args)? {
        Microsecond => micros,
        Second => micros / 1_000_000,
        Minute => micros / 60_000_000,
        Hour => micros / 3_600_000_000,
        Day => micros / 86_400_000_000,
        Week => micros / 604_800_000_000,
        Month => months(),
        Quarter => months() / 3,
        Year => months() / 12,
        SecondMicrosecond | MinuteMicrosecond | MinuteSecond | HourMicrosecond | HourSecond | HourMinute | DayMicrosecond | DaySecond | DayMinute
        | DayHour | YearMonth => return Err(incorrect_arguments("timestampdiff")),
    }))
}

/// YYMM or YYYYMM as months since year 0; 1210 for what has no such month.
fn months_of_period(v: &Value, call: &Call<'_>, ctx: &EvalContext<'_>) -> Result<Option<i64>, Fault> {
    let Some(n) = wide_int(v, ctx) else { return Ok(None) };
    let n = n.clamp(-1, i64::MAX as i128) as i64;
    let (year, month) = (n / 100, n % 100);
    if n <= 0 || !(1..=12).contains(&month) {
        return Err(incorrect_arguments(&call.lower_name()));
    }
    Ok(Some(full_year(year).saturating_mul(12).saturating_add(month - 1)))
}

/// Two digits are of 1970 to 2069.
pub(super) fn full_year(year: i64) -> i64 {
    match year {
        0..=69 => year + 2000,
        70..=99 => year + 1900,
        _ => year,
    }
}

fn period_add(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if v.iter().any(Value::is_null) {
        return Ok(Value::Null);
    }
    let months = known!(months_of_period(&v[0], call, ctx)?).saturating_add(known!(super::argument::count(&v[1], ctx)));
    Ok(Value::Int(if months <= 0 { 0 } else { full_year(months / 12).saturating_mul(100).saturating_add(months % 12 + 1) }))
}

fn period_diff(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if v.iter().any(Value::is_null) {
        return Ok(Value::Null);
    }
    Ok(Value::Int(known!(months_of_period(&v[0], call, ctx)?) - known!(months_of_period(&v[1], call, ctx)?)))
}
