//! What time it is.
//!
//! Owns:     nothing.
//! Promises: all but SYSDATE() give the instant at which the statement started.
//! Never:    reads a clock but through the statement's context.

use super::Call;
use super::FunctionDef;
use super::argument::literal_int;
use super::result_type::{datetime, precision_argument, time};
use crate::{EvalContext, Expr, coerce, time_zone};
use weald_types::{DateTime, Fault, SqlType, TypeKind, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("CURDATE", 0, 0, date_type, |_, _, ctx| Ok(Value::Date(coerce::today(ctx)))).stable(),
    FunctionDef::new(
        "CURTIME",
        0,
        1,
        |a, _| time(precision_argument(a, "curtime")?),
        |call, _, ctx| Ok(Value::Time(coerce::now(ctx).time().truncated(precision(call)))),
    )
    .stable(),
    FunctionDef::new(
        "NOW",
        0,
        1,
        |a, _| datetime(precision_argument(a, "now")?),
        |call, _, ctx| Ok(Value::DateTime(coerce::now(ctx).truncated(precision(call)))),
    )
    .stable(),
    FunctionDef::new("SYSDATE", 0, 1, |a, _| datetime(precision_argument(a, "sysdate")?), sysdate).volatile(),
    FunctionDef::new("UTC_DATE", 0, 0, date_type, |_, _, ctx| Ok(utc(ctx).map_or(Value::Null, |d| Value::Date(d.date())))).stable(),
    FunctionDef::new(
        "UTC_TIME",
        0,
        1,
        |a, _| time(precision_argument(a, "utc_time")?),
        |call, _, ctx| Ok(utc(ctx).map_or(Value::Null, |d| Value::Time(d.time().truncated(precision(call))))),
    )
    .stable(),
    FunctionDef::new(
        "UTC_TIMESTAMP",
        0,
        1,
        |a, _| datetime(precision_argument(a, "utc_timestamp")?),
        |call, _, ctx| Ok(utc(ctx).map_or(Value::Null, |d| Value::DateTime(d.truncated(precision(call))))),
    )
    .stable(),
];

fn date_type(_: &mut [Expr], _: &super::BindContext) -> super::result_type::Bound {
    let ty = SqlType::new(TypeKind::Date, false);
    let collation = ty.collation;
    Ok((ty, collation))
}

fn precision(call: &Call<'_>) -> u8 {
    call.args.first().and_then(literal_int).unwrap_or(0) as u8
}

fn utc(ctx: &EvalContext<'_>) -> Option<DateTime> {
    DateTime::from_unix_micros(ctx.statement.now_micros)
}

fn sysdate(call: &Call<'_>, _: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let now = DateTime::from_unix_micros((ctx.statement.wall_clock_micros)()).and_then(|d| time_zone::to_session(d, &ctx.statement.time_zone));
    Ok(now.map_or(Value::Null, |d| Value::DateTime(d.truncated(precision(call)))))
}
