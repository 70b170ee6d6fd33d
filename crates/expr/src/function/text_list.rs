//! Functions that choose among texts by number or by bits: ELT, MAKE_SET, EXPORT_SET.
//!
//! Owns:     nothing.
//! Promises: a NULL that is not chosen does not matter.
//! Never:    looks inside a text.

use super::argument::{known, wide_int};
use super::result_type::{any_nullable, characters, collation_of, string};
use super::{ANY, BindContext, Call, FunctionDef};
use crate::{EvalContext, Expr};
use weald_types::{Collation, Fault, SqlType, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("ELT", 2, ANY, bind_elt, elt),
    FunctionDef::new("EXPORT_SET", 3, 5, bind_export_set, export_set),
    FunctionDef::new("MAKE_SET", 2, ANY, bind_make_set, make_set),
];

type Bound = Result<(SqlType, Collation), Fault>;

fn bind_elt(args: &mut [Expr], c: &BindContext) -> Bound {
    let collation = collation_of(&args[1..], "elt", c)?;
    Ok((string(args[1..].iter().map(characters).max().unwrap_or(0), true, collation), collation))
}

fn elt(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let n = known!(wide_int(&v[0], ctx));
    match usize::try_from(n) {
        Ok(i) if i >= 1 && i < v.len() => Ok(call.string_from(&known!(call.bytes(v, i)))),
        _ => Ok(Value::Null),
    }
}

fn bits(v: &Value, ctx: &EvalContext<'_>) -> Option<u64> {
    wide_int(v, ctx).map(|n| n.clamp(i64::MIN as i128, u64::MAX as i128) as u64)
}

fn bind_make_set(args: &mut [Expr], c: &BindContext) -> Bound {
    let collation = collation_of(&args[1..], "make_set", c)?;
    let total = args[1..].iter().map(characters).fold(args.len() as u64, u64::saturating_add);
    Ok((string(total, args[0].ty().nullable, collation), collation))
}

fn make_set(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let chosen = known!(bits(&v[0], ctx));
    let mut out = Vec::new();
    let mut first = true;
    for i in 1..v.len().min(65) {
        if chosen >> (i - 1) & 1 == 0 {
            continue;
        }
        if let Some(text) = call.bytes(v, i) {
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(&text);
        }
    }
    Ok(call.string(out))
}

fn bind_export_set(args: &mut [Expr], c: &BindContext) -> Bound {
    let texts: Vec<Expr> = args[1..args.len().min(4)].to_vec();
    let collation = collation_of(&texts, "export_set", c)?;
    let unit = characters(&args[1]).max(characters(&args[2]));
    let separator = args.get(3).map_or(1, characters);
    Ok((string(unit.saturating_mul(64).saturating_add(separator.saturating_mul(63)), any_nullable(args), collation), collation))
}

fn export_set(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let set = known!(bits(&v[0], ctx));
    let (on, off) = (known!(call.bytes(v, 1)), known!(call.bytes(v, 2)));
    let separator = if v.len() > 3 { known!(call.bytes(v, 3)) } else { b",".into() };
    let n = if v.len() > 4 { known!(wide_int(&v[4], ctx)) } else { 64 };
    let n = if (0..=64).contains(&n) { n as usize } else { 64 };
    let mut out = Vec::new();
    for i in 0..n {
        if i > 0 {
            out.extend_from_slice(&separator);
        }
        let item = if set >> i & 1 == 1 { &on } else { &off };
        if !call.may_make((out.len() + item.len()) as u128, ctx)? {
            return Ok(Value::Null);
        }
        out.extend_from_slice(item);
    }
    Ok(call.string(out))
}
