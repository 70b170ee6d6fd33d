//! Dates and times, plus and minus.
//!
//! Owns:     nothing.
//! Promises: a result outside the calendar is NULL with warning 1441.
//! Never:    reads an amount: see `interval`.

use super::argument::{datetime, incorrect_arguments, known, real_date, real_datetime, time, warn, wide_int};
use super::interval::{Amount, IntervalUnit};
use super::result_type::{Bound, fsp_of, nullable_int, string};
use super::{BindContext, Call, FunctionDef};
use crate::{EvalContext, Expr};
use weald_types::{Date, DateTime, Fault, SqlType, Time, TypeKind, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("DATEDIFF", 2, 2, nullable_int, |_, v, ctx| {
        Ok(Value::Int(known!(real_date(&v[0], ctx)).day_number() - known!(real_date(&v[1], ctx)).day_number()))
    }),
    FunctionDef::new("DATE_ADD", 3, 3, |a, c| bind_add(a, 1, c), |call, v, ctx| add(call, v, (1, 2), false, ctx)),
    FunctionDef::new("DATE_SUB", 3, 3, |a, c| bind_add(a, 1, c), |call, v, ctx| add(call, v, (1, 2), true, ctx)),
    FunctionDef::new("FROM_DAYS", 1, 1, super::result_type::date, |_, v, ctx| {
        Ok(i64::try_from(known!(wide_int(&v[0], ctx))).ok().and_then(Date::from_day_number).map_or(Value::Null, Value::Date))
    }),
    FunctionDef::new("TIMEDIFF", 2, 2, |a, _| super::result_type::time(fsp_of(&a[0]).max(fsp_of(&a[1]))), timediff),
    FunctionDef::new("TIMESTAMPADD", 3, 3, |a, c| bind_add(a, 2, c), |call, v, ctx| add(call, v, (2, 1), false, ctx)),
    FunctionDef::new("TIMESTAMPDIFF", 3, 3, nullable_int, timestampdiff),
];

fn unit(call_args: &[Expr]) -> Result<IntervalUnit, Fault> {
    IntervalUnit::of(&call_args[0]).ok_or_else(|| incorrect_arguments("interval"))
}

/// A DATE stays one under units of days; texts become texts, as the unit and the text ask for.
fn bind_add(args: &mut [Expr], base: usize, c: &BindContext) -> Bound {
    let unit = unit(args)?;
    let fsp = if unit.has_micros() { 6 } else { fsp_of(&args[base]) };
    let ty = match args[base].ty().kind {
        TypeKind::Date if unit.is_of_date() => SqlType::new(TypeKind::Date, true),
        TypeKind::Date => SqlType::new(TypeKind::DateTime { fsp }, true),
        TypeKind::DateTime { .. } | TypeKind::Timestamp { .. } => SqlType::new(TypeKind::DateTime { fsp }, true),
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

fn add(call: &Call<'_>, values: &[Value], at: (usize, usize), subtract: bool, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (base, amount, ty) = (&values[at.0], &values[at.1], call.args[at.1].ty());
    let unit = unit(call.args)?;
    let amount = known!(unit.amount(amount, ty, ctx));
    let amount = if subtract { amount.negated() } else { amount };
    if let (Value::Time(t), Amount::Micros(n)) = (base, amount) {
        let sum = t.micros() as i128 + n;
        return Ok(i64::try_from(sum).map_or_else(|_| overflow(ctx), |n| Value::Time(Time::from_micros(n).clamped().0)));
    }
    let d = known!(real_datetime(base, ctx));
    let Some(sum) = shifted(d, amount) else { return Ok(overflow(ctx)) };
    Ok(match call.ty.kind {
        TypeKind::Date => Value::Date(sum.date()),
        TypeKind::DateTime { fsp } => Value::DateTime(sum.truncated(fsp)),
        TypeKind::Time { .. } => Value::Time(sum.time()),
        _ => {
            let dated = unit.is_of_date() && matches!(base, Value::Str(s) if !s.trim().contains([' ', 'T', ':']));
            let fsp = if sum.microsecond() != 0 { 6 } else { 0 };
            Value::str(if dated { sum.date().to_string() } else { sum.display(fsp).to_string() })
        }
    })
}

fn timediff(_: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let dated = |v: &Value| match v {
        Value::DateTime(_) | Value::Date(_) => true,
        Value::Str(s) => s.contains('-') && s.trim_start_matches('-').contains('-'),
        _ => false,
    };
    let micros = match (dated(&v[0]), dated(&v[1])) {
        (true, true) => micros_between(known!(real_datetime(&v[1], ctx)), known!(real_datetime(&v[0], ctx))),
        (false, false) => known!(time(&v[0], ctx)).micros() - known!(time(&v[1], ctx)).micros(),
        _ => return Ok(Value::Null),
    };
    Ok(Value::Time(Time::from_micros(micros).clamped().0))
}

/// Microseconds from `a` to `b`.
fn micros_between(a: DateTime, b: DateTime) -> i64 {
    (b.date().day_number() - a.date().day_number()) * 86_400_000_000 + b.micros_of_day() - a.micros_of_day()
}

fn timestampdiff(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    use IntervalUnit::*;
    let (from, to) = (known!(datetime(&v[1], ctx)), known!(datetime(&v[2], ctx)));
    if from.date().has_zero_part() || to.date().has_zero_part() {
        return Ok(Value::Null);
    }
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
        _ => return Err(incorrect_arguments("timestampdiff")),
    }))
}
