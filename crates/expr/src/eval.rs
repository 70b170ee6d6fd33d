//! Evaluation: one row, one expression, one value.
//!
//! Owns:     nothing.
//! Promises: three-valued logic with short circuit; a column's stored form becomes what SQL sees: ENUM and SET their text, TIMESTAMP session time.
//!           What [`eval`] returns has the scale of its type; inside an expression a quotient keeps more decimals, as in MySQL: [`eval_part`].
//! Never:    waits: subqueries were answered before.

use crate::context::{EvalContext, Row, SubqueryResult};
use crate::in_flight::InFlight;
use crate::sorted_list::SortedList;
use crate::tree::{Expr, Operator, SubqueryKind};
use crate::{cast, coerce, compare, operator, pattern, time_zone};
use std::borrow::Cow;
use std::cmp::Ordering;
use weald_types::{Collation, Fault, SqlMode, SqlType, TypeKind, Value};

/// The value of `e` for `row`, in the form of its type.
pub fn eval(e: &Expr, row: &(impl Row + ?Sized), ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let v = eval_part(e, row, ctx)?;
    // A user variable has the decimals that were put in it, whatever is told of its type.
    Ok(if matches!(e, Expr::UserVariable { .. } | Expr::AssignUserVariable { .. }) { v } else { in_form_of(v, e.ty()) })
}

/// A value that leaves an expression of type `ty`: a decimal has the type's decimals.
#[inline]
pub fn in_form_of(v: Value, ty: &SqlType) -> Value {
    match v {
        Value::Decimal(d) => Value::Decimal(operator::at_scale(d, ty)),
        v => v,
    }
}

/// The value of a part of an expression: what an aggregate is given, what a scalar subquery gives to the expression around it.
pub fn eval_part(e: &Expr, row: &(impl Row + ?Sized), ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    Ok(match e {
        Expr::Literal { value, .. } => value.clone(),
        Expr::Param { index, .. } => ctx.params.get(*index as usize).cloned().unwrap_or(Value::Null),
        Expr::Column { id, ty } => shown(row.column(*id), ty, ctx),
        Expr::ColumnRaw { id, .. } => row.column(*id),
        Expr::UserVariable { name, .. } => ctx.statement.user_variables.get(name).map_or(Value::Null, |v| v.0),
        Expr::AssignUserVariable { name, value, ty } => {
            let v = eval_part(value, row, ctx)?;
            ctx.statement.user_variables.set(name.clone(), v.clone(), ty.clone())?;
            v
        }
        Expr::Operator { op, args, ty, collation } => return eval_operator(e, *op, args, ty, *collation, row, ctx),
        Expr::Call { function, args, ty, collation } => {
            let call = crate::function::Call { name: function.name, args, ty, collation: *collation };
            if let Some(lazy) = function.lazy {
                return lazy(&call, &mut |i| eval_part(&args[i], row, ctx), ctx);
            }
            let mut values = Vec::with_capacity(args.len());
            let mut held = InFlight::new(ctx.statement);
            for a in args {
                let v = eval_part(a, row, ctx)?;
                held.hold(&v)?;
                values.push(v);
            }
            return ctx.statement.aside_if(held.bytes() >= LARGE_BYTES, || (function.eval)(&call, &values, ctx));
        }
        Expr::Case { operand, branches, otherwise, ty } => {
            let mut held = InFlight::new(ctx.statement);
            let operand = match operand {
                Some(o) => Some((held_operand(o, row, &mut held, ctx)?, o.ty())),
                None => None,
            };
            for (when, then) in branches {
                let hit = match &operand {
                    Some((v, vt)) => {
                        let w = operand_of(when, row, ctx)?;
                        let collation = if vt.kind.is_text() { vt.collation } else { when.ty().collation };
                        compare::equal(v, &w, collation, ctx) == Some(true)
                    }
                    None => truth_of(when, row, ctx)? == Some(true),
                };
                if hit {
                    return converted(then, ty, row, ctx);
                }
            }
            match otherwise {
                Some(o) => return converted(o, ty, row, ctx),
                None => Value::Null,
            }
        }
        Expr::Cast { expr, ty } => {
            let v = eval_part(expr, row, ctx)?;
            return cast::cast(v, expr.ty(), ty, ctx);
        }
        Expr::In { expr, list, negated, collation } => return eval_in(expr, list, *negated, *collation, row, ctx),
        Expr::InSorted { expr, list, negated } => return eval_in_sorted(expr, list, *negated, row, ctx),
        Expr::Subquery { index, kind, operands, .. } => return eval_subquery(*index, kind, operands, row, ctx),
        Expr::Row(_) => return Err(Fault::OperandColumns { columns: 1 }),
    })
}

/// A part's value where it stands, if it stands somewhere: literals, parameters and most columns are not copied.
fn operand_of<'a, R: Row + ?Sized>(e: &'a Expr, row: &'a R, ctx: &'a EvalContext<'_>) -> Result<Cow<'a, Value>, Fault> {
    match e {
        Expr::Literal { value, .. } => return Ok(Cow::Borrowed(value)),
        Expr::Param { index, .. } => {
            if let Some(v) = ctx.params.get(*index as usize) {
                return Ok(Cow::Borrowed(v));
            }
        }
        Expr::Column { id, ty } if !is_shown_differently(&ty.kind) => {
            if let Some(v) = row.column_ref(*id) {
                return Ok(Cow::Borrowed(v));
            }
        }
        Expr::ColumnRaw { id, .. } => {
            if let Some(v) = row.column_ref(*id) {
                return Ok(Cow::Borrowed(v));
            }
        }
        _ => (),
    }
    eval_part(e, row, ctx).map(Cow::Owned)
}

/// The same where the value stays while others are computed.
fn held_operand<'a, R: Row + ?Sized>(e: &'a Expr, row: &'a R, held: &mut InFlight<'_>, ctx: &'a EvalContext<'_>) -> Result<Cow<'a, Value>, Fault> {
    let v = operand_of(e, row, ctx)?;
    if let Cow::Owned(v) = &v {
        held.hold(v)?;
    }
    Ok(v)
}

/// A branch's value in the type of the whole.
fn converted(e: &Expr, ty: &SqlType, row: &(impl Row + ?Sized), ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let v = eval_part(e, row, ctx)?;
    if same_form(e, ty) { Ok(v) } else { cast::convert(v, e.ty(), ty, ctx) }
}

fn same_form(e: &Expr, ty: &SqlType) -> bool {
    use TypeKind::*;
    let raw = matches!(e, Expr::ColumnRaw { .. });
    match (&e.ty().kind, &ty.kind) {
        (Int { unsigned: x, .. }, Int { unsigned: y, .. }) => x == y,
        (Enum(_) | Set(_), _) if raw => false,
        (Char { .. } | VarChar { .. } | Text(_) | Enum(_) | Set(_), Char { .. } | VarChar { .. } | Text(_)) => true,
        (Null, _) | (Float { .. } | Double { .. }, Double { .. }) | (DateTime { .. } | Timestamp { .. }, DateTime { .. }) => true,
        (Decimal { .. }, Decimal { .. }) | (Binary { .. } | VarBinary { .. } | Blob(_), VarBinary { .. } | Blob(_)) => true,
        (a, b) => a == b && !matches!(a, Enum(_) | Set(_) | Timestamp { .. }),
    }
}

fn is_shown_differently(kind: &TypeKind) -> bool {
    matches!(kind, TypeKind::Timestamp { .. } | TypeKind::Enum(_) | TypeKind::Set(_))
}

/// A stored value as SQL sees it.
#[inline]
pub fn shown(v: Value, ty: &SqlType, ctx: &EvalContext<'_>) -> Value {
    match (&ty.kind, &v) {
        (TypeKind::Timestamp { .. }, Value::DateTime(d)) => time_zone::to_session(*d, &ctx.statement.time_zone).map_or(Value::Null, Value::DateTime),
        (TypeKind::Enum(members), Value::UInt(n)) => Value::str(enum_text(members, *n)),
        (TypeKind::Set(members), Value::UInt(bits)) => Value::str(set_text(members, *bits)),
        _ => v,
    }
}

/// Member `n`, from 1; 0 and strangers are ''.
pub fn enum_text(members: &[Box<str>], n: u64) -> &str {
    usize::try_from(n).ok().and_then(|n| n.checked_sub(1)).and_then(|i| members.get(i)).map_or("", |m| m)
}

pub fn set_text(members: &[Box<str>], bits: u64) -> String {
    let mut out = String::new();
    for (i, m) in members.iter().enumerate().take(64) {
        if bits >> i & 1 == 1 {
            if !out.is_empty() {
                out.push(',');
            }
            out.push_str(m);
        }
    }
    out
}

/// The truth of an expression; `None` is unknown.
pub fn truth_of(e: &Expr, row: &(impl Row + ?Sized), ctx: &EvalContext<'_>) -> Result<Option<bool>, Fault> {
    Ok(coerce::truth(&*operand_of(e, row, ctx)?, ctx))
}

fn eval_operator(
    whole: &Expr,
    op: Operator,
    args: &[Expr],
    ty: &SqlType,
    collation: Collation,
    row: &(impl Row + ?Sized),
    ctx: &EvalContext<'_>,
) -> Result<Value, Fault> {
    use Operator::*;
    let mut held = InFlight::new(ctx.statement);
    let mut arg = |i: usize| held_operand(&args[i], row, &mut held, ctx);
    let truth = |i: usize| truth_of(&args[i], row, ctx);
    Ok(match op {
        And => {
            let a = truth(0)?;
            if a == Some(false) {
                return Ok(Value::FALSE);
            }
            match (a, truth(1)?) {
                (_, Some(false)) => Value::FALSE,
                (Some(true), Some(true)) => Value::TRUE,
                _ => Value::Null,
            }
        }
        Or => {
            let a = truth(0)?;
            if a == Some(true) {
                return Ok(Value::TRUE);
            }
            match (a, truth(1)?) {
                (_, Some(true)) => Value::TRUE,
                (Some(false), Some(false)) => Value::FALSE,
                _ => Value::Null,
            }
        }
        Xor => match (truth(0)?, truth(1)?) {
            (Some(a), Some(b)) => Value::Int((a != b) as i64),
            _ => Value::Null,
        },
        Not => Value::bool(truth(0)?.map(|t| !t)),
        IsNull => Value::Int(arg(0)?.is_null() as i64),
        IsTrue => Value::Int((truth(0)? == Some(true)) as i64),
        IsFalse => Value::Int((truth(0)? == Some(false)) as i64),
        Eq | Ne | Lt | Le | Gt | Ge | NullSafeEq => {
            if let (Expr::Row(a), Expr::Row(b)) = (&args[0], &args[1]) {
                return compare_rows(op, a, b, row, ctx);
            }
            let (a, b) = (arg(0)?, arg(1)?);
            match op {
                Eq => Value::bool(compare::equal(&a, &b, collation, ctx)),
                NullSafeEq => Value::Int(same(&a, &b, collation, ctx) as i64),
                op => Value::bool(compare::compare(&a, &b, collation, ctx).map(|o| holds(op, o))),
            }
        }
        Between => {
            let v = arg(0)?;
            let low = arg(1)?;
            let ge = compare::compare(&v, &low, collation, ctx).map(Ordering::is_ge);
            if ge == Some(false) {
                return Ok(Value::FALSE);
            }
            let high = arg(2)?;
            match (ge, compare::compare(&v, &high, collation, ctx).map(Ordering::is_le)) {
                (_, Some(false)) => Value::FALSE,
                (Some(true), Some(true)) => Value::TRUE,
                _ => Value::Null,
            }
        }
        Add | Subtract | Multiply | Divide | IntDivide | Mod => return operator::arithmetic(op, &*arg(0)?, &*arg(1)?, ty, whole, ctx),
        Negate => return operator::negate(&*arg(0)?, ty, whole, ctx),
        BitAnd | BitOr | BitXor | ShiftLeft | ShiftRight => return operator::bits(op, &*arg(0)?, &*arg(1)?, ty, ctx),
        BitNot => return operator::bit_not(&*arg(0)?, ty, ctx),
        Like => {
            let (v, p) = (arg(0)?, arg(1)?);
            let (Some(v), Some(p)) = (coerce::bytes(&v, args[0].ty()), coerce::bytes(&p, args[1].ty())) else { return Ok(Value::Null) };
            let escape = escape(args.get(2), row, ctx)?;
            Value::Int(ctx.statement.aside_if(v.len() as u64 >= LARGE_BYTES, || collation.like(&v, &p, escape)) as i64)
        }
        Regexp => {
            let (v, p) = (arg(0)?, arg(1)?);
            let (Some(v), Some(p)) = (coerce::text(&v, args[0].ty()), coerce::text(&p, args[1].ty())) else { return Ok(Value::Null) };
            let found = ctx.statement.aside_if(v.len() as u64 >= LARGE_BYTES, || pattern::is_match(&p, &v, !collation.is_case_sensitive()))?;
            Value::Int(found as i64)
        }
    })
}

/// What takes long with so much text has a thread for itself meanwhile: a few milliseconds' work, for most functions.
const LARGE_BYTES: u64 = 256 << 10;

/// LIKE's escape character; `None`: there is none.
fn escape(e: Option<&Expr>, row: &(impl Row + ?Sized), ctx: &EvalContext<'_>) -> Result<Option<char>, Fault> {
    let default = if ctx.statement.sql_mode.has(SqlMode::NO_BACKSLASH_ESCAPES) { None } else { Some('\\') };
    let Some(e) = e else { return Ok(default) };
    let wrong = || Fault::mysql(1210, "HY000", "Incorrect arguments to ESCAPE");
    let v = operand_of(e, row, ctx)?;
    if v.is_null() {
        return Ok(default);
    }
    let text = coerce::text(&v, e.ty()).ok_or_else(wrong)?;
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (first, None) => Ok(first),
        _ => Err(wrong()),
    }
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

/// `<=>`
fn same(a: &Value, b: &Value, collation: Collation, ctx: &EvalContext<'_>) -> bool {
    match (a.is_null(), b.is_null()) {
        (true, true) => true,
        (false, false) => compare::equal(a, b, collation, ctx) == Some(true),
        _ => false,
    }
}

fn pair_collation(a: &Expr, b: &Expr) -> Collation {
    if a.ty().kind.is_text() && !matches!(a, Expr::Literal { .. }) { a.ty().collation } else { b.ty().collation }
}

/// (a, b) op (c, d): decided by the first pair that differs; a NULL before that makes it unknown.
fn compare_rows(op: Operator, a: &[Expr], b: &[Expr], row: &(impl Row + ?Sized), ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if a.len() != b.len() {
        return Err(Fault::OperandColumns { columns: a.len() as u32 });
    }
    let mut unknown = false;
    for (x, y) in a.iter().zip(b) {
        let mut held = InFlight::new(ctx.statement);
        let (v, w) = (held_operand(x, row, &mut held, ctx)?, operand_of(y, row, ctx)?);
        let collation = pair_collation(x, y);
        if op == Operator::NullSafeEq {
            if !same(&v, &w, collation, ctx) {
                return Ok(Value::FALSE);
            }
            continue;
        }
        match compare::compare(&v, &w, collation, ctx) {
            // Only whether they are equal can still be decided by a later pair.
            None if matches!(op, Operator::Eq | Operator::Ne) => unknown = true,
            None => return Ok(Value::Null),
            Some(Ordering::Equal) => (),
            Some(o) => return Ok(Value::Int(holds(op, o) as i64)),
        }
    }
    if op == Operator::NullSafeEq {
        return Ok(Value::TRUE);
    }
    if unknown {
        return Ok(Value::Null);
    }
    Ok(Value::Int(holds(op, Ordering::Equal) as i64))
}

fn eval_in(
    expr: &Expr,
    list: &[Expr],
    negated: bool,
    collation: Collation,
    row: &(impl Row + ?Sized),
    ctx: &EvalContext<'_>,
) -> Result<Value, Fault> {
    let mut unknown = false;
    if let Expr::Row(left) = expr {
        for item in list {
            let Expr::Row(right) = item else { return Err(Fault::OperandColumns { columns: left.len() as u32 }) };
            match compare_rows(Operator::Eq, left, right, row, ctx)? {
                Value::Null => unknown = true,
                v if coerce::is_true(&v) => return Ok(Value::Int(!negated as i64)),
                _ => (),
            }
        }
        return Ok(if unknown { Value::Null } else { Value::Int(negated as i64) });
    }
    let mut held = InFlight::new(ctx.statement);
    let v = held_operand(expr, row, &mut held, ctx)?;
    if v.is_null() {
        return Ok(Value::Null);
    }
    for item in list {
        match compare::equal(&v, &*operand_of(item, row, ctx)?, collation, ctx) {
            Some(true) => return Ok(Value::Int(!negated as i64)),
            Some(false) => (),
            None => unknown = true,
        }
    }
    Ok(if unknown { Value::Null } else { Value::Int(negated as i64) })
}

fn eval_in_sorted(expr: &Expr, list: &SortedList, negated: bool, row: &(impl Row + ?Sized), ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let found = if let Expr::Row(left) = expr {
        let mut held = InFlight::new(ctx.statement);
        let values = left.iter().map(|e| held_operand(e, row, &mut held, ctx)).collect::<Result<Vec<_>, _>>()?;
        list.contains(&values.iter().map(|v| &**v).collect::<Vec<_>>(), ctx)
    } else {
        let v = operand_of(expr, row, ctx)?;
        if v.is_null() { None } else { list.contains(&[&*v], ctx) }
    };
    Ok(found.map_or(Value::Null, |found| Value::Int((found != negated) as i64)))
}

fn eval_subquery(index: u32, kind: &SubqueryKind, operands: &[Expr], row: &(impl Row + ?Sized), ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let answer = ctx
        .subqueries
        .get(index as usize)
        .and_then(Option::as_ref)
        .ok_or_else(|| Fault::Internal { incident: format!("subquery {index} was not answered") })?;
    let rows: &[Vec<Value>] = match answer {
        SubqueryResult::Rows(rows) => rows,
        SubqueryResult::List(_) | SubqueryResult::Exists(_) => &[],
    };
    let mut held = InFlight::new(ctx.statement);
    match kind {
        SubqueryKind::Scalar => match rows {
            [] => Ok(Value::Null),
            [only] => Ok(only.first().cloned().unwrap_or(Value::Null)),
            _ => Err(Fault::SubqueryRows),
        },
        SubqueryKind::Exists { negated } => {
            let found = match answer {
                SubqueryResult::Exists(b) => *b,
                SubqueryResult::Rows(r) => !r.is_empty(),
                SubqueryResult::List(l) => !l.is_empty(),
            };
            Ok(Value::Int((found != *negated) as i64))
        }
        SubqueryKind::In { negated, collation } => {
            let left = operands.iter().map(|o| held_operand(o, row, &mut held, ctx)).collect::<Result<Vec<_>, _>>()?;
            if let SubqueryResult::List(list) = answer {
                let found = list.contains(&left.iter().map(|v| &**v).collect::<Vec<_>>(), ctx);
                return Ok(found.map_or(Value::Null, |found| Value::Int((found != *negated) as i64)));
            }
            let mut unknown = false;
            for r in rows {
                match row_equals(&left, operands, r, *collation, ctx) {
                    Some(true) => return Ok(Value::Int(!*negated as i64)),
                    Some(false) => (),
                    None => unknown = true,
                }
            }
            Ok(if unknown { Value::Null } else { Value::Int(*negated as i64) })
        }
        SubqueryKind::Quantified { op, all, collation } => {
            let left = operands.iter().map(|o| held_operand(o, row, &mut held, ctx)).collect::<Result<Vec<_>, _>>()?;
            let mut unknown = false;
            for r in rows {
                let held = match (left.as_slice(), op) {
                    ([v], op) => r.first().and_then(|w| compare::compare(v, w, *collation, ctx)).map(|o| holds(*op, o)),
                    (_, Operator::Ne) => row_equals(&left, operands, r, *collation, ctx).map(|e| !e),
                    // Rows are only ever tested for equality against ANY and ALL.
                    _ => row_equals(&left, operands, r, *collation, ctx),
                };
                match held {
                    None => unknown = true,
                    Some(held) if held != *all => return Ok(Value::Int(!*all as i64)),
                    Some(_) => (),
                }
            }
            Ok(if unknown { Value::Null } else { Value::Int(*all as i64) })
        }
    }
}

/// What an operand of `IN (subquery)` is compared under; `collation` is the whole comparison's.
pub fn operand_collation(operands: usize, e: &Expr, collation: Collation) -> Collation {
    if operands > 1 && e.ty().kind.is_text() { e.ty().collation } else { collation }
}

/// A pair that differs settles it; else a NULL leaves it open.
fn row_equals(left: &[Cow<'_, Value>], operands: &[Expr], right: &[Value], collation: Collation, ctx: &EvalContext<'_>) -> Option<bool> {
    let mut open = false;
    for ((v, e), w) in left.iter().zip(operands).zip(right) {
        let collation = operand_collation(operands.len(), e, collation);
        match compare::equal(v, w, collation, ctx) {
            Some(true) => (),
            Some(false) => return Some(false),
            None => open = true,
        }
    }
    if open { None } else { Some(true) }
}
