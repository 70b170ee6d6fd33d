//! Functions that choose: IF, IFNULL, COALESCE, NULLIF, GREATEST …
//!
//! Owns:     nothing.
//! Promises: an argument that is not needed is not evaluated.
//! Never:    chooses a type: see `typing`.

use super::result_type::truth;
use super::{ANY, BindContext, Call, FunctionDef};
use crate::{EvalContext, Expr, cast, compare, typing};
use std::cmp::Ordering;
use weald_types::{Collation, Fault, SqlType, TypeKind, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("COALESCE", 1, ANY, |a, _| unified(a, "coalesce"), eager).lazily(coalesce),
    FunctionDef::new("GREATEST", 2, ANY, |a, _| unified(a, "greatest"), |call, v, ctx| extreme(call, v, Ordering::Greater, ctx)),
    FunctionDef::new("IF", 3, 3, |a, _| unified(&mut a[1..], "if"), eager),
    FunctionDef::new("IFNULL", 2, 2, |a, _| unified(a, "ifnull"), eager).lazily(coalesce),
    FunctionDef::new("INTERVAL", 2, ANY, truth, interval),
    FunctionDef::new("ISNULL", 1, 1, truth, |_, v, _| Ok(Value::Int(v[0].is_null() as i64))),
    FunctionDef::new("LEAST", 2, ANY, |a, _| unified(a, "least"), |call, v, ctx| extreme(call, v, Ordering::Less, ctx)),
    FunctionDef::new("NAME_CONST", 2, 2, bind_name_const, |_, v, _| Ok(v[1].clone())),
    FunctionDef::new("NULLIF", 2, 2, bind_nullif, nullif),
];

type Bound = Result<(SqlType, Collation), Fault>;

fn unified(args: &mut [Expr], name: &str) -> Bound {
    let ty = typing::unify_exprs(args, name)?;
    let collation = ty.collation;
    Ok((ty, collation))
}

/// Never called: these have a lazy form, or are bound as CASE.
fn eager(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    coalesce(call, &mut |i| Ok(v[i].clone()), ctx)
}

fn coalesce(call: &Call<'_>, get: &mut dyn FnMut(usize) -> Result<Value, Fault>, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    for i in 0..call.args.len() {
        let v = get(i)?;
        if !v.is_null() {
            return in_type_of(call, v, i, ctx);
        }
    }
    Ok(Value::Null)
}

/// Argument `i` in the type of the whole. A decimal keeps its decimals: it is rounded when it leaves the expression.
fn in_type_of(call: &Call<'_>, v: Value, i: usize, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    match (&v, &call.ty.kind) {
        (Value::Decimal(_), TypeKind::Decimal { .. }) => Ok(v),
        _ => cast::cast(v, call.args[i].ty(), call.ty, ctx),
    }
}

fn extreme(call: &Call<'_>, values: &[Value], wanted: Ordering, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let mut best: Option<Value> = None;
    for (i, v) in values.iter().enumerate() {
        if v.is_null() {
            return Ok(Value::Null);
        }
        let v = in_type_of(call, v.clone(), i, ctx)?;
        if best.as_ref().is_none_or(|b| compare::compare(&v, b, call.collation, ctx) == Some(wanted)) {
            best = Some(v);
        }
    }
    Ok(best.unwrap_or(Value::Null))
}

/// NAME_CONST(name, value): the value, as a column of that name. Both are literals.
fn bind_name_const(args: &mut [Expr], _: &BindContext) -> Bound {
    let plain = |e: &Expr| match e {
        Expr::Literal { ty, .. } => !ty.kind.is_truth() && !ty.kind.is_temporal(),
        Expr::Param { .. } => true,
        Expr::Call { function, args, .. } => function.name == "COLLATE" && matches!(args[..], [Expr::Literal { .. }]),
        _ => false,
    };
    if !plain(&args[0]) || !plain(&args[1]) {
        return Err(super::argument::incorrect_arguments("NAME_CONST"));
    }
    if typing::is_null_type(args[0].ty()) {
        return Err(Fault::mysql(1382, "HY000", "The 'NAME_CONST' syntax is reserved for purposes internal to the MySQL server"));
    }
    let ty = args[1].ty().clone();
    let collation = ty.collation;
    Ok((ty, collation))
}

fn bind_nullif(args: &mut [Expr], _: &BindContext) -> Bound {
    let mut ty = args[0].ty().clone();
    ty.nullable = true;
    let collation = if ty.kind.is_text() { typing::text_collation(args, "nullif").unwrap_or(ty.collation) } else { args[1].ty().collation };
    Ok((ty, collation))
}

fn nullif(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    Ok(if compare::equal(&v[0], &v[1], call.collation, ctx) == Some(true) { Value::Null } else { v[0].clone() })
}

/// INTERVAL(n, n1, n2, …): how many of the ascending numbers are not above `n`; -1 for NULL.
fn interval(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if v[0].is_null() {
        return Ok(Value::Int(-1));
    }
    let below =
        v[1..].iter().take_while(|n| matches!(compare::compare(&v[0], n, call.collation, ctx), None | Some(Ordering::Equal | Ordering::Greater)));
    Ok(Value::Int(below.count() as i64))
}
