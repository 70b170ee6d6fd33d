//! What the session knows of itself.
//!
//! Owns:     nothing.
//! Promises: facts are those of the moment the statement started.
//! Never:    changes the session, but for LAST_INSERT_ID(expr), which asks for it.

use super::argument::count;
use super::result_type::{Bound, nullable_int, own_text, truth, unsigned};
use super::{BindContext, Call, FunctionDef};
use crate::{EvalContext, Expr, coerce, typing};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use weald_types::{Fault, SqlType, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("BENCHMARK", 2, 2, truth, |_, _, _| Ok(Value::Int(0))).lazily(benchmark).volatile(),
    FunctionDef::new("CHARSET", 1, 1, |_, c| own_text(64, false, c), |call, _, _| Ok(Value::str(call.args[0].ty().collation.charset()))),
    FunctionDef::new("COERCIBILITY", 1, 1, bind_coercibility, |_, v, _| Ok(v[0].clone())),
    FunctionDef::new("COLLATION", 1, 1, |_, c| own_text(64, false, c), |call, _, _| Ok(Value::str(call.args[0].ty().collation.name()))),
    FunctionDef::new("CONNECTION_ID", 0, 0, unsigned, |_, _, ctx| Ok(Value::UInt(ctx.statement.connection_id))).stable(),
    // There are no roles to take.
    FunctionDef::new("CURRENT_ROLE", 0, 0, |_, c| own_text(288, false, c), |_, _, _| Ok(Value::str("NONE"))).stable(),
    FunctionDef::new("CURRENT_USER", 0, 0, |_, c| own_text(288, false, c), |_, _, ctx| Ok(Value::str(&*ctx.statement.current_user))).stable(),
    FunctionDef::new(
        "DATABASE",
        0,
        0,
        |_, c| own_text(64, true, c),
        |_, _, ctx| Ok(ctx.statement.database.as_deref().map_or(Value::Null, Value::str)),
    )
    .stable(),
    FunctionDef::new("FOUND_ROWS", 0, 0, unsigned, |_, _, ctx| Ok(Value::UInt(ctx.statement.found_rows))).stable(),
    FunctionDef::new("LAST_INSERT_ID", 0, 1, unsigned, last_insert_id).volatile(),
    FunctionDef::new("ROW_COUNT", 0, 0, truth, |_, _, ctx| Ok(Value::Int(ctx.statement.row_count))).stable(),
    FunctionDef::new("SLEEP", 1, 1, nullable_int, sleep).volatile(),
    FunctionDef::new("USER", 0, 0, |_, c| own_text(288, false, c), |_, _, ctx| Ok(Value::str(&*ctx.statement.user))).stable(),
    FunctionDef::new("VERSION", 0, 0, |_, c| own_text(60, false, c), |_, _, ctx| Ok(Value::str(&*ctx.statement.version))).stable(),
];

/// Known when the call is bound; later the argument may have been computed, and be a literal.
fn bind_coercibility(args: &mut [Expr], c: &BindContext) -> Bound {
    args[0] = Expr::Literal { value: Value::Int(typing::coercibility(&args[0]) as i64), ty: SqlType::bigint(false) };
    truth(args, c)
}

fn last_insert_id(_: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let Some(v) = v.first() else { return Ok(Value::UInt(ctx.statement.last_insert_id)) };
    let n = coerce::uint(v, ctx);
    *ctx.statement.set_last_insert_id.lock() = Some(n.unwrap_or(0));
    Ok(n.map_or(Value::Null, Value::UInt))
}

fn benchmark(_: &Call<'_>, get: &mut dyn FnMut(usize) -> Result<Value, Fault>, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let Some(times) = count(&get(0)?, ctx).filter(|n| *n >= 0) else { return Ok(Value::Null) };
    let repeat = || {
        for _ in 0..times {
            ctx.statement.check_interrupted()?;
            get(1)?;
        }
        Ok(Value::Int(0))
    };
    ctx.statement.aside_if(times > LONG_BENCHMARK, repeat)
}

/// More repetitions may take their time, whatever is repeated.
const LONG_BENCHMARK: i64 = 100;

fn sleep(_: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let seconds = match coerce::double(&v[0], ctx) {
        Some(s) if s >= 0.0 => s.min(31_536_000.0),
        _ => return Err(super::argument::incorrect_arguments("sleep.")),
    };
    let _place = ctx.statement.server.aside.take().ok_or_else(too_many_wait)?;
    (ctx.statement.pause)(Duration::from_secs_f64(seconds), &ctx.statement.interrupted);
    match ctx.statement.check_interrupted() {
        Ok(()) => Ok(Value::Int(0)),
        // That it was woken is its answer; a larger query fails of it.
        Err(Fault::Interrupted | Fault::QueryTimeout) if ctx.statement.reads_nothing.load(Relaxed) => Ok(Value::Int(1)),
        Err(fault) => Err(fault),
    }
}

/// Of SLEEP and GET_LOCK, whose waits have a thread each.
pub(super) fn too_many_wait() -> Fault {
    Fault::mysql(1135, "HY000", format!("Can't create a new thread: {} statements wait in SLEEP or GET_LOCK already", crate::server::MOST_ASIDE))
}
