//! Evaluation: one row, one expression, one value.
//!
//! Owns:     nothing.
//! Promises: three-valued logic with short circuit; a column's stored form becomes what SQL sees: ENUM and SET their text, TIMESTAMP session time.
//! Never:    waits: subqueries were answered before.

use crate::context::{EvalContext, Row, SubqueryResult};
use crate::tree::{Expr, Operator, SubqueryKind};
use crate::{cast, coerce, compare, operator, pattern, time_zone};
use std::cmp::Ordering;
use weald_types::{Collation, Fault, SqlType, TypeKind, Value};

pub fn eval(e: &Expr, row: &(impl Row + ?Sized), ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    Ok(match e {
        Expr::Literal { value, .. } => value.clone(),
        Expr::Param { index, .. } => ctx.params.get(*index as usize).cloned().unwrap_or(Value::Null),
        Expr::Column { id, ty } => shown(row.column(*id), ty, ctx),
        Expr::ColumnRaw { id, .. } => row.column(*id),
        Expr::UserVariable { name, .. } => ctx.statement.user_variables.lock().get(name).map_or(Value::Null, |v| v.0.clone()),
        Expr::AssignUserVariable { name, value, ty } => {
            let v = eval(value, row, ctx)?;
            ctx.statement.user_variables.lock().insert(name.clone(), (v.clone(), ty.clone()));
            v
        }
        Expr::Operator { op, args, ty, collation } => return eval_operator(e, *op, args, ty, *collation, row, ctx),
        Expr::Call { function, args, ty, collation } => {
            let call = crate::function::Call { name: function.name, args, ty, collation: *collation };
            if let Some(lazy) = function.lazy { return lazy(&call, &mut |i| eval(&args[i], row, ctx), ctx); }
            let mut values = Vec::with_capacity(args.len());
            for a in args { values.push(eval(a, row, ctx)?); }
            return (function.eval)(&call, &values, ctx);
        }
        Expr::Case { operand, branches, otherwise, ty } => {
            let operand = match operand { Some(o) => Some((eval(o, row, ctx)?, o.ty().clone())), None => None };
            for (when, then) in branches {
                let hit = match &operand {
                    Some((v, vt)) => {
                        let w = eval(when, row, ctx)?;
                        let collation = if vt.kind.is_text() { vt.collation } else { when.ty().collation };
                        compare::equal(v, &w, collation, ctx) == Some(true)
                    }
                    None => truth_of(when, row, ctx)? == Some(true),
                };
                if hit { return converted(then, ty, row, ctx); }
            }
            match otherwise { Some(o) => return converted(o, ty, row, ctx), None => Value::Null }
        }
        Expr::Cast { expr, ty } => {
            let v = eval(expr, row, ctx)?;
            return cast::cast(v, expr.ty(), ty, ctx);
        }
        Expr::In { expr, list, negated, collation } => {
            let v = eval(expr, row, ctx)?;
            if v.is_null() { return Ok(Value::Null); }
            let mut unknown = false;
            for item in list {
                // A literal is compared where it stands.
                let equal = match item {
                    Expr::Literal { value, .. } => compare::equal(&v, value, *collation, ctx),
                    item => compare::equal(&v, &eval(item, row, ctx)?, *collation, ctx),
                };
                match equal { Some(true) => return Ok(Value::Int(!*negated as i64)), Some(false) => (), None => unknown = true }
            }
            if unknown { Value::Null } else { Value::Int(*negated as i64) }
        }
        Expr::Subquery { index, kind, operands, .. } => return eval_subquery(*index, kind, operands, row, ctx),
        Expr::Row(_) => return Err(Fault::OperandColumns { columns: 1 }),
    })
}

/// A branch's value in the type of the whole.
fn converted(e: &Expr, ty: &SqlType, row: &(impl Row + ?Sized), ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let v = eval(e, row, ctx)?;
    if same_form(&e.ty().kind, &ty.kind) { Ok(v) } else { cast::cast(v, e.ty(), ty, ctx) }
}

fn same_form(a: &TypeKind, b: &TypeKind) -> bool {
    use TypeKind::*;
    matches!((a, b), (Int { unsigned: x, .. }, Int { unsigned: y, .. }) if x == y) || a == b
        || matches!((a, b), (Char { .. } | VarChar { .. } | Text(_) | Enum(_) | Set(_), Char { .. } | VarChar { .. } | Text(_)))
        || matches!((a, b), (Null, _) | (Float { .. } | Double { .. }, Double { .. }) | (DateTime { .. } | Timestamp { .. }, DateTime { .. }))
}

/// A stored value as SQL sees it.
pub fn shown(v: Value, ty: &SqlType, ctx: &EvalContext<'_>) -> Value {
    match (&ty.kind, &v) {
        (TypeKind::Timestamp { .. }, Value::DateTime(d)) => time_zone::to_session(*d, &ctx.statement.time_zone).map_or(Value::Null, Value::DateTime),
        (TypeKind::Enum(members), Value::UInt(n)) => Value::str(enum_text(members, *n)),
        (TypeKind::Set(members), Value::UInt(bits)) => Value::str(set_text(members, *bits)),
        _ => v,
    }
}

/// Member `n`, from 1; 0 and strangers are ''.
pub fn enum_text(members: &[Box<str>], n: u64) -> &str { if n == 0 { "" } else { members.get(n as usize - 1).map_or("", |m| m) } }

pub fn set_text(members: &[Box<str>], bits: u64) -> String {
    let mut out = String::new();
    for (i, m) in members.iter().enumerate().take(64) {
        if bits >> i & 1 == 1 {
            if !out.is_empty() { out.push(','); }
            out.push_str(m);
        }
    }
    out
}

/// The truth of an expression; `None` is unknown.
pub fn truth_of(e: &Expr, row: &(impl Row + ?Sized), ctx: &EvalContext<'_>) -> Result<Option<bool>, Fault> { Ok(coerce::truth(&eval(e, row, ctx)?, ctx)) }

fn eval_operator(whole: &Expr, op: Operator, args: &[Expr], ty: &SqlType, collation: Collation, row: &(impl Row + ?Sized), ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    use Operator::*;
    let arg = |i: usize| -> Result<Value, Fault> { match args.get(i) { Some(a) => eval(a, row, ctx), None => Ok(Value::Null) } };
    Ok(match op {
        And => {
            let a = truth_of(&args[0], row, ctx)?;
            if a == Some(false) { return Ok(Value::FALSE); }
            match (a, truth_of(&args[1], row, ctx)?) { (_, Some(false)) => Value::FALSE, (Some(true), Some(true)) => Value::TRUE, _ => Value::Null }
        }
        Or => {
            let a = truth_of(&args[0], row, ctx)?;
            if a == Some(true) { return Ok(Value::TRUE); }
            match (a, truth_of(&args[1], row, ctx)?) { (_, Some(true)) => Value::TRUE, (Some(false), Some(false)) => Value::FALSE, _ => Value::Null }
        }
        Xor => match (truth_of(&args[0], row, ctx)?, truth_of(&args[1], row, ctx)?) { (Some(a), Some(b)) => Value::Int((a != b) as i64), _ => Value::Null },
        Not => Value::bool(truth_of(&args[0], row, ctx)?.map(|t| !t)),
        IsNull => Value::Int(arg(0)?.is_null() as i64),
        IsTrue => Value::Int((truth_of(&args[0], row, ctx)? == Some(true)) as i64),
        IsFalse => Value::Int((truth_of(&args[0], row, ctx)? == Some(false)) as i64),
        Eq | Ne | Lt | Le | Gt | Ge | NullSafeEq => {
            if let (Expr::Row(a), Expr::Row(b)) = (&args[0], &args[1]) { return compare_rows(op, a, b, row, ctx); }
            let (a, b) = (arg(0)?, arg(1)?);
            if op == NullSafeEq {
                return Ok(Value::Int(match (a.is_null(), b.is_null()) { (true, true) => 1, (false, false) => (compare::equal(&a, &b, collation, ctx) == Some(true)) as i64, _ => 0 }));
            }
            if op == Eq { return Ok(Value::bool(compare::equal(&a, &b, collation, ctx))); }
            Value::bool(compare::compare(&a, &b, collation, ctx).map(|o| holds(op, o)))
        }
        Between => {
            let (v, low, high) = (arg(0)?, arg(1)?, arg(2)?);
            let ge = compare::compare(&v, &low, collation, ctx).map(Ordering::is_ge);
            let le = compare::compare(&v, &high, collation, ctx).map(Ordering::is_le);
            match (ge, le) { (Some(false), _) | (_, Some(false)) => Value::FALSE, (Some(true), Some(true)) => Value::TRUE, _ => Value::Null }
        }
        Add | Subtract | Multiply | Divide | IntDivide | Mod => {
            let (a, b) = (arg(0)?, arg(1)?);
            return operator::arithmetic(op, &a, &b, ty, whole, ctx);
        }
        Negate => return operator::negate(&arg(0)?, ty, whole, ctx),
        BitAnd | BitOr | BitXor | ShiftLeft | ShiftRight => { let (a, b) = (arg(0)?, arg(1)?); return operator::bits(op, &a, &b, ctx) }
        BitNot => operator::bit_not(&arg(0)?, ctx),
        Like => {
            let (v, p) = (arg(0)?, arg(1)?);
            let (Some(v), Some(p)) = (coerce::bytes(&v, args[0].ty()), coerce::bytes(&p, args[1].ty())) else { return Ok(Value::Null) };
            let escape = match args.get(2) {
                None => if ctx.statement.sql_mode.has(weald_types::SqlMode::NO_BACKSLASH_ESCAPES) { None } else { Some('\\') },
                Some(e) => match eval(e, row, ctx)? {
                    Value::Str(s) if s.chars().count() <= 1 => s.chars().next(),
                    Value::Null => Some('\\'),
                    _ => return Err(Fault::mysql(1210, "HY000", "Incorrect arguments to ESCAPE")),
                },
            };
            Value::Int(collation.like(&v, &p, escape) as i64)
        }
        Regexp => {
            let (v, p) = (arg(0)?, arg(1)?);
            let (Some(v), Some(p)) = (coerce::text(&v, args[0].ty()), coerce::text(&p, args[1].ty())) else { return Ok(Value::Null) };
            Value::Int(pattern::is_match(&p, &v, !collation.is_case_sensitive())? as i64)
        }
    })
}

fn holds(op: Operator, o: Ordering) -> bool {
    match op {
        Operator::Eq => o.is_eq(),
        Operator::Ne => o.is_ne(),
        Operator::Lt => o.is_lt(),
        Operator::Le => o.is_le(),
        Operator::Gt => o.is_gt(),
        _ => o.is_ge(),
    }
}

fn pair_collation(a: &Expr, b: &Expr) -> Collation {
    if a.ty().kind.is_text() { a.ty().collation } else { b.ty().collation }
}

/// (a, b) op (c, d): decided by the first pair that differs; a NULL before that makes it unknown.
fn compare_rows(op: Operator, a: &[Expr], b: &[Expr], row: &(impl Row + ?Sized), ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if a.len() != b.len() { return Err(Fault::OperandColumns { columns: a.len() as u32 }); }
    let mut unknown = false;
    for (x, y) in a.iter().zip(b) {
        let (v, w) = (eval(x, row, ctx)?, eval(y, row, ctx)?);
        if op == Operator::NullSafeEq {
            let same = match (v.is_null(), w.is_null()) { (true, true) => true, (false, false) => compare::equal(&v, &w, pair_collation(x, y), ctx) == Some(true), _ => false };
            if !same { return Ok(Value::FALSE); }
            continue;
        }
        match compare::compare(&v, &w, pair_collation(x, y), ctx) {
            None if matches!(op, Operator::Eq | Operator::Ne) => unknown = true,
            None => return Ok(Value::Null),
            Some(Ordering::Equal) => (),
            Some(o) => match op {
                Operator::Eq => return Ok(Value::FALSE),
                Operator::Ne => return Ok(Value::TRUE),
                // With an unknown pair before, only equality could still be decided.
                op => return Ok(Value::Int(holds(op, o) as i64)),
            },
        }
    }
    if op == Operator::NullSafeEq { return Ok(Value::TRUE); }
    if unknown { return Ok(Value::Null); }
    Ok(Value::Int(holds(op, Ordering::Equal) as i64))
}

fn eval_subquery(index: u32, kind: &SubqueryKind, operands: &[Expr], row: &(impl Row + ?Sized), ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let answer = ctx.subqueries.get(index as usize).and_then(Option::as_ref)
        .ok_or_else(|| Fault::Internal { incident: format!("subquery {index} was not answered") })?;
    let rows: &[Vec<Value>] = match answer { SubqueryResult::Rows(rows) => rows, SubqueryResult::Exists(_) => &[] };
    match kind {
        SubqueryKind::Scalar => match rows {
            [] => Ok(Value::Null),
            [only] => Ok(only.first().cloned().unwrap_or(Value::Null)),
            _ => Err(Fault::SubqueryRows),
        },
        SubqueryKind::Exists { negated } => {
            let found = match answer { SubqueryResult::Exists(b) => *b, SubqueryResult::Rows(r) => !r.is_empty() };
            Ok(Value::Int((found != *negated) as i64))
        }
        SubqueryKind::In { negated, collation } => {
            let mut left = Vec::with_capacity(operands.len());
            for o in operands { left.push(eval(o, row, ctx)?); }
            let mut unknown = false;
            for r in rows {
                // A pair that differs settles the row; else a NULL leaves it open.
                let (mut equal, mut open) = (true, false);
                for (i, (v, w)) in left.iter().zip(r).enumerate() {
                    let c = if operands[i].ty().kind.is_text() && operands.len() > 1 { operands[i].ty().collation } else { *collation };
                    match compare::equal(v, w, c, ctx) { Some(true) => (), Some(false) => { equal = false; break } None => open = true }
                }
                if equal && !open { return Ok(Value::Int(!*negated as i64)); }
                unknown |= equal && open;
            }
            Ok(if unknown { Value::Null } else { Value::Int(*negated as i64) })
        }
        SubqueryKind::Quantified { op, all, collation } => {
            let v = match operands.first() { Some(o) => eval(o, row, ctx)?, None => Value::Null };
            let mut unknown = false;
            for r in rows {
                match r.first().and_then(|w| compare::compare(&v, w, *collation, ctx)) {
                    None => unknown = true,
                    Some(o) if holds(*op, o) != *all => return Ok(Value::Int(!*all as i64)),
                    Some(_) => (),
                }
            }
            Ok(if unknown { Value::Null } else { Value::Int(*all as i64) })
        }
    }
}
