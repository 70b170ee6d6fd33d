//! Arithmetic and bit operators on evaluated operands.
//!
//! Owns:     nothing.
//! Promises: integer overflow is 1690, never a wrapped number; division by zero is NULL with 1365.
//! Never:    decides the result's type: `typing` did.

use crate::tree::{Expr, Operator};
use crate::{EvalContext, coerce, print};
use weald_types::{Decimal, Fault, SqlMode, SqlType, TypeKind, Value, WarningLevel};

fn out_of_range(ty: &SqlType, whole: &Expr) -> Fault {
    let kind = match &ty.kind {
        TypeKind::Int { unsigned: true, .. } => "BIGINT UNSIGNED",
        TypeKind::Int { .. } => "BIGINT",
        TypeKind::Decimal { .. } => "DECIMAL",
        _ => "DOUBLE",
    };
    Fault::NumericOutOfRange { kind, expression: print::text(whole) }
}

fn by_zero(ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let s = ctx.statement;
    if s.sql_mode.has(SqlMode::ERROR_FOR_DIVISION_BY_ZERO) {
        if s.modifies_data && !s.ignore_errors && s.sql_mode.is_strict() { return Err(Fault::DivisionByZero); }
        s.warn(WarningLevel::Warning, Fault::DivisionByZero);
    }
    Ok(Value::Null)
}

fn integer(n: i128, ty: &SqlType, whole: &Expr) -> Result<Value, Fault> {
    if ty.kind.is_unsigned() { u64::try_from(n).map(Value::UInt).map_err(|_| out_of_range(ty, whole)) } else { i64::try_from(n).map(Value::Int).map_err(|_| out_of_range(ty, whole)) }
}

fn finite(d: f64, ty: &SqlType, whole: &Expr) -> Result<Value, Fault> { if d.is_finite() { Ok(Value::Double(d)) } else { Err(out_of_range(ty, whole)) } }

/// `a op b` as `ty`; `whole` is the expression, for the message.
pub fn arithmetic(op: Operator, a: &Value, b: &Value, ty: &SqlType, whole: &Expr, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if a.is_null() || b.is_null() { return Ok(Value::Null); }
    // The commonest case first.
    if let (Value::Int(x), Value::Int(y), TypeKind::Int { unsigned: false, .. }) = (a, b, &ty.kind) {
        let done = match op {
            Operator::Add => x.checked_add(*y),
            Operator::Subtract => x.checked_sub(*y),
            Operator::Multiply => x.checked_mul(*y),
            Operator::IntDivide => if *y == 0 { return by_zero(ctx) } else { x.checked_div(*y) },
            _ => if *y == 0 { return by_zero(ctx) } else { Some(x.wrapping_rem(*y)) },
        };
        return done.map(Value::Int).ok_or_else(|| out_of_range(ty, whole));
    }
    match &ty.kind {
        TypeKind::Int { .. } => {
            if op == Operator::IntDivide && (!is_integer(a) || !is_integer(b)) {
                let (x, y) = (coerce::decimal(a, ctx), coerce::decimal(b, ctx));
                let (Some(x), Some(y)) = (x, y) else { return Ok(Value::Null) };
                if y.is_zero() { return by_zero(ctx); }
                return match x.div_integer(&y).and_then(|d| d.to_i128()) { Some(n) => integer(n, ty, whole), None => Err(out_of_range(ty, whole)) };
            }
            let (Some(x), Some(y)) = (coerce::wide_int(a, ctx), coerce::wide_int(b, ctx)) else { return Ok(Value::Null) };
            let n = match op {
                Operator::Add => x + y,
                Operator::Subtract => x - y,
                Operator::Multiply => x.checked_mul(y).ok_or_else(|| out_of_range(ty, whole))?,
                Operator::IntDivide => if y == 0 { return by_zero(ctx) } else { x / y },
                _ => if y == 0 { return by_zero(ctx) } else { x % y },
            };
            integer(n, ty, whole)
        }
        TypeKind::Decimal { scale, .. } => {
            let (Some(x), Some(y)) = (coerce::decimal(a, ctx), coerce::decimal(b, ctx)) else { return Ok(Value::Null) };
            let d = match op {
                Operator::Add => x.add(&y),
                Operator::Subtract => x.sub(&y),
                Operator::Multiply => x.mul(&y),
                Operator::Divide => {
                    if y.is_zero() { return by_zero(ctx); }
                    x.div(&y, ctx.statement.div_precision_increment)
                }
                _ => {
                    if y.is_zero() { return by_zero(ctx); }
                    x.rem(&y)
                }
            };
            let d = d.ok_or_else(|| out_of_range(ty, whole))?;
            let d = if d.scale() > *scale { d.rescale(*scale).ok_or_else(|| out_of_range(ty, whole))? } else { d };
            if d.integer_digits() > 65 { return Err(out_of_range(ty, whole)); }
            Ok(Value::Decimal(d))
        }
        _ => {
            let (Some(x), Some(y)) = (coerce::double(a, ctx), coerce::double(b, ctx)) else { return Ok(Value::Null) };
            match op {
                Operator::Add => finite(x + y, ty, whole),
                Operator::Subtract => finite(x - y, ty, whole),
                Operator::Multiply => finite(x * y, ty, whole),
                Operator::Divide => if y == 0.0 { by_zero(ctx) } else { finite(x / y, ty, whole) },
                _ => if y == 0.0 { by_zero(ctx) } else { finite(x % y, ty, whole) },
            }
        }
    }
}

fn is_integer(v: &Value) -> bool { matches!(v, Value::Int(_) | Value::UInt(_)) }

pub fn negate(v: &Value, ty: &SqlType, whole: &Expr, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    Ok(match (v, &ty.kind) {
        (Value::Null, _) => Value::Null,
        (Value::Int(n), TypeKind::Int { .. }) => Value::Int(n.checked_neg().ok_or_else(|| out_of_range(ty, whole))?),
        (Value::UInt(n), TypeKind::Int { .. }) => Value::Int(i64::try_from(-(*n as i128)).map_err(|_| out_of_range(ty, whole))?),
        (v, TypeKind::Decimal { .. }) => coerce::decimal(v, ctx).map_or(Value::Null, |d| Value::Decimal(d.neg())),
        (v, TypeKind::Int { .. }) => coerce::int(v, ctx).map_or(Value::Null, |n| Value::Int(n.wrapping_neg())),
        (v, _) => coerce::double(v, ctx).map_or(Value::Null, |d| Value::Double(-d)),
    })
}

/// Bit operators work on BIGINT UNSIGNED, and on binary strings of equal length byte by byte.
pub fn bits(op: Operator, a: &Value, b: &Value, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if a.is_null() || b.is_null() { return Ok(Value::Null); }
    if let (Value::Bytes(x), Value::Bytes(y)) = (a, b)
        && matches!(op, Operator::BitAnd | Operator::BitOr | Operator::BitXor)
    {
        if x.len() != y.len() {
            return Err(Fault::mysql(3513, "HY000", "Binary operands of bitwise operators must be of equal length"));
        }
        let f = |(p, q): (&u8, &u8)| match op { Operator::BitAnd => p & q, Operator::BitOr => p | q, _ => p ^ q };
        return Ok(Value::Bytes(x.iter().zip(y.iter()).map(f).collect()));
    }
    let (Some(x), Some(y)) = (bit_operand(a, ctx), bit_operand(b, ctx)) else { return Ok(Value::Null) };
    Ok(Value::UInt(match op {
        Operator::BitAnd => x & y,
        Operator::BitOr => x | y,
        Operator::BitXor => x ^ y,
        Operator::ShiftLeft => if y < 64 { x << y } else { 0 },
        _ => if y < 64 { x >> y } else { 0 },
    }))
}

pub fn bit_not(v: &Value, ctx: &EvalContext<'_>) -> Value {
    match v {
        Value::Bytes(b) => Value::Bytes(b.iter().map(|x| !x).collect()),
        v => bit_operand(v, ctx).map_or(Value::Null, |n| Value::UInt(!n)),
    }
}

fn bit_operand(v: &Value, ctx: &EvalContext<'_>) -> Option<u64> {
    match v {
        Value::Str(s) => Some({ let (d, _) = coerce::double_prefix(s); if d < 0.0 { d as i64 as u64 } else { d.round() as u64 } }),
        v => coerce::uint(v, ctx),
    }
}

/// The zero of a decimal's scale: SUM of nothing is NULL, but arithmetic starts somewhere.
pub(crate) fn zero(scale: u8) -> Decimal { Decimal::new(0, scale) }
