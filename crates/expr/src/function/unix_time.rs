//! Seconds since 1970, and back; one time zone and another.
//!
//! Owns:     nothing.
//! Promises: in the session's time zone; from 1970 to the end of 3000, as MySQL 8.0.28 and later.
//! Never:    goes beyond that without saying 0, NULL, or what it was given.

use super::argument::{datetime, decimal, known};
use super::date_format::format_datetime;
use super::result_type::{Bound, any_nullable, characters, decimals_of, fsp_of, own_text};
use super::{BindContext, Call, FunctionDef};
use crate::context::parse_time_zone;
use crate::{EvalContext, Expr, time_zone};
use weald_types::{DateTime, Decimal, Fault, SqlType, TypeKind, Value, WarningLevel};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("CONVERT_TZ", 3, 3, |a, _| super::result_type::datetime(fsp_of(&a[0])), convert_tz).stable(),
    FunctionDef::new("FROM_UNIXTIME", 1, 2, bind_from_unix, from_unixtime).stable(),
    FunctionDef::new("UNIX_TIMESTAMP", 0, 1, bind_unix, unix_timestamp).stable(),
];

/// 3001-01-18 23:59:59.999999
const LAST_MICROS: i64 = 32_536_771_199_999_999;

fn bind_from_unix(args: &mut [Expr], c: &BindContext) -> Bound {
    match args.get(1) {
        Some(pattern) => own_text(characters(pattern).saturating_mul(10), true, c),
        None => super::result_type::datetime(decimals_of(&args[0])),
    }
}

fn bind_unix(args: &mut [Expr], _: &BindContext) -> Bound {
    let ty = match args.first().map_or(0, fsp_of) {
        0 => SqlType::bigint(any_nullable(args)),
        scale => SqlType::new(TypeKind::Decimal { precision: 11 + scale, scale, unsigned: false }, any_nullable(args)),
    };
    let collation = ty.collation;
    Ok((ty, collation))
}

/// What is no date, or outside the range, is 0.
fn unix_timestamp(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let micros = match v.first() {
        None => ctx.statement.now_micros,
        Some(Value::Null) => return Ok(Value::Null),
        Some(v) => datetime(v, ctx)
            .filter(|d| !d.date().has_zero_part())
            .and_then(|d| time_zone::to_utc(d, &ctx.statement.time_zone))
            .and_then(DateTime::unix_micros)
            .filter(|micros| (0..=LAST_MICROS).contains(micros))
            .unwrap_or(0),
    };
    match call.ty.kind {
        // Cut, not rounded.
        TypeKind::Decimal { scale, .. } => Ok(Value::Decimal(Decimal::new(micros as i128 / 10i128.pow(6 - scale as u32), scale))),
        _ => Ok(Value::Int(micros / 1_000_000)),
    }
}

fn from_unixtime(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let seconds = known!(decimal(&v[0], ctx));
    let micros = seconds.rescale(6).and_then(|d| d.unscaled_i128()).and_then(|n| i64::try_from(n).ok());
    let Some(micros) = micros.filter(|n| (0..=LAST_MICROS).contains(n)) else { return Ok(Value::Null) };
    let d = known!(DateTime::from_unix_micros(micros).and_then(|d| time_zone::to_session(d, &ctx.statement.time_zone)));
    if v.len() > 1 {
        return Ok(format_datetime(d, &known!(call.text(v, 1))));
    }
    let fsp = call.ty.kind.fsp().unwrap_or(0);
    Ok(d.rounded(fsp).map_or(Value::Null, Value::DateTime))
}

/// CONVERT_TZ(datetime, from, to): NULL for a zone that is none; outside the range the time stays as it is.
fn convert_tz(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (from, to) = (known!(call.text(v, 1)), known!(call.text(v, 2)));
    let d = known!(datetime(&v[0], ctx));
    if d.date().has_zero_part() {
        ctx.statement.warn(WarningLevel::Warning, Fault::TruncatedWrongValue { kind: "datetime".into(), value: d.display(0).to_string() });
        return Ok(Value::Null);
    }
    let (from, to) = (known!(parse_time_zone(&from)), known!(parse_time_zone(&to)));
    let utc = time_zone::to_utc(d, &from).filter(|utc| utc.unix_micros().is_some_and(|n| (1_000_000..=LAST_MICROS).contains(&n)));
    Ok(Value::DateTime(utc.and_then(|utc| time_zone::to_session(utc, &to)).unwrap_or(d)))
}
