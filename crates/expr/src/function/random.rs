//! RAND.
//!
//! Owns:     MySQL's generator for RAND(seed), so that a seed gives the numbers it gives there.
//! Promises: each call site of RAND has its own sequence within a statement.
//! Never:    is fit for secrets.

use super::{Call, FunctionDef};
use crate::{EvalContext, coerce};
use weald_types::{Fault, SqlType, Value};

pub const FUNCTIONS: &[FunctionDef] =
    &[FunctionDef::new("RAND", 0, 1, |_, _| Ok((SqlType::double(false), SqlType::double(false).collation)), rand).volatile()];

const MAX: u64 = 0x3FFF_FFFF;

fn rand(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let seed = match v.first() {
        Some(v) => coerce::int(v, ctx).unwrap_or(0) as u32 as u64,
        None => ctx.statement.random_seed,
    };
    // The place of a call site in memory tells it from the others.
    let site = if v.is_empty() { 0 } else { (call.args.as_ptr() as usize >> 3) as u32 | 1 };
    let constant = call.args.first().is_none_or(|a| matches!(a, crate::Expr::Literal { .. }));
    let start = || {
        (
            (seed.wrapping_mul(0x1_0001).wrapping_add(55_555_555) as u32 as u64 % MAX) as u32,
            (seed.wrapping_mul(0x1000_0001) as u32 as u64 % MAX) as u32,
        )
    };
    let mut states = ctx.statement.random_state.lock();
    let state = states.entry(site).or_insert_with(start);
    if !constant {
        *state = start();
    }
    let first = (state.0 as u64 * 3 + state.1 as u64) % MAX;
    let second = (first + state.1 as u64 + 33) % MAX;
    *state = (first as u32, second as u32);
    Ok(Value::Double(first as f64 / MAX as f64))
}
