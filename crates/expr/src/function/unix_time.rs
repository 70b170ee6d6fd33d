//! Seconds since 1970, and back.
//!
//! Owns:     nothing.
//! Promises: in the session's time zone.
//! Never:    goes beyond what TIMESTAMP holds without saying 0 or NULL.

use super::argument::{datetime, decimal, known};
use super::result_type::{Bound, fsp_of};
use super::{BindContext, Call, FunctionDef};
use crate::{EvalContext, Expr, time_zone};
use weald_types::{DateTime, Decimal, Fault, SqlType, TypeKind, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("FROM_UNIXTIME", 1, 1, |a, _| super::result_type::datetime(fsp_of(&a[0])), from_unixtime).stable(),
    FunctionDef::new("UNIX_TIMESTAMP", 0, 1, bind_unix, unix_timestamp).stable(),
];

fn bind_unix(args: &mut [Expr], _: &BindContext) -> Bound {
    let fsp = args.first().map_or(0, fsp_of);
    let ty = match fsp {
        0 => SqlType::bigint(!args.is_empty()),
        scale => SqlType::new(TypeKind::Decimal { precision: 11 + scale, scale, unsigned: false }, true),
    };
    let collation = ty.collation;
    Ok((ty, collation))
}

fn unix_timestamp(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let micros = match v.first() {
        None => ctx.statement.now_micros,
        Some(v) => time_zone::to_utc(known!(datetime(v, ctx)), &ctx.statement.time_zone).and_then(DateTime::unix_micros).unwrap_or(0).max(0),
    };
    match call.ty.kind {
        TypeKind::Decimal { scale, .. } => {
            let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            let cut = text.len() - (6 - scale as usize);
            Ok(Decimal::parse(&text[..cut]).map_or(Value::Null, Value::Decimal))
        }
        _ => Ok(Value::Int(micros / 1_000_000)),
    }
}

fn from_unixtime(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let seconds: f64 = known!(decimal(&v[0], ctx)).to_string().parse().unwrap_or(-1.0);
    if !(0.0..=32_536_771_199.999_999).contains(&seconds) {
        return Ok(Value::Null);
    }
    let fsp = match call.ty.kind {
        TypeKind::DateTime { fsp } => fsp,
        _ => 0,
    };
    let local = DateTime::from_unix_micros((seconds * 1e6).round() as i64).and_then(|d| time_zone::to_session(d, &ctx.statement.time_zone));
    Ok(local.and_then(|d| d.rounded(fsp)).map_or(Value::Null, Value::DateTime))
}
