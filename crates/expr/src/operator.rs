//! Arithmetic and bit operators on evaluated operands.
//!
//! Owns:     nothing.
//! Promises: integer overflow is 1690, never a wrapped number; division by zero is NULL with 1365, or that error where strict mode writes.
//!           A quotient keeps all decimals that MySQL computes: [`at_scale`] rounds what leaves the expression.
//! Never:    decides the result's type: `typing` did.

use crate::tree::{Expr, Operator};
use crate::{EvalContext, coerce, print};
use weald_types::{Decimal, Fault, SqlMode, SqlType, TypeKind, Value, WarningLevel};

#[cold]
fn out_of_range(ty: &SqlType, whole: &Expr) -> Fault {
    let kind = match &ty.kind {
        TypeKind::Int { unsigned: true, .. } => "BIGINT UNSIGNED",
        TypeKind::Int { .. } => "BIGINT",
        TypeKind::Decimal { .. } => "DECIMAL",
        _ => "DOUBLE",
    };
    Fault::NumericOutOfRange { kind: kind.into(), expression: print::text(whole) }
}

/// Division by zero.
#[cold]
pub(crate) fn by_zero(ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let s = ctx.statement;
    if s.sql_mode.has(SqlMode::ERROR_FOR_DIVISION_BY_ZERO) {
        if s.modifies_data && !s.ignore_errors && s.sql_mode.is_strict() {
            return Err(Fault::DivisionByZero);
        }
        s.warn(WarningLevel::Warning, Fault::DivisionByZero);
    }
    Ok(Value::Null)
}

fn integer(n: i128, ty: &SqlType, whole: &Expr) -> Result<Value, Fault> {
    let fitted = if ty.kind.is_unsigned() { u64::try_from(n).map(Value::UInt) } else { i64::try_from(n).map(Value::Int) };
    fitted.map_err(|_| out_of_range(ty, whole))
}

fn finite(d: f64, ty: &SqlType, whole: &Expr) -> Result<Value, Fault> {
    if d.is_finite() { Ok(Value::Double(d)) } else { Err(out_of_range(ty, whole)) }
}

/// A decimal with as many decimals as its type says.
#[inline]
pub(crate) fn at_scale(d: Decimal, ty: &SqlType) -> Decimal {
    match ty.kind {
        TypeKind::Decimal { scale, .. } if d.scale() != scale => match d.rescale(scale) {
            Some(rounded) => rounded,
            // No room for that many decimals beside so many digits: the value counts, not its zeros.
            None => d,
        },
        _ => d,
    }
}

/// `a op b` as `ty`; `whole` is the expression, for the message.
#[inline]
pub fn arithmetic(op: Operator, a: &Value, b: &Value, ty: &SqlType, whole: &Expr, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    // The commonest case first.
    if let (Value::Int(x), Value::Int(y), TypeKind::Int { unsigned: false, .. }) = (a, b, &ty.kind) {
        let done = match op {
            Operator::Add => x.checked_add(*y),
            Operator::Subtract => x.checked_sub(*y),
            Operator::Multiply => x.checked_mul(*y),
            _ if *y == 0 => return by_zero(ctx),
            Operator::IntDivide => x.checked_div(*y),
            _ => Some(x.wrapping_rem(*y)),
        };
        return done.map(Value::Int).ok_or_else(|| out_of_range(ty, whole));
    }
    if a.is_null() || b.is_null() {
        return Ok(Value::Null);
    }
    match &ty.kind {
        TypeKind::Int { .. } => integers(op, a, b, ty, whole, ctx),
        TypeKind::Decimal { unsigned, .. } => decimals(op, a, b, *unsigned, ty, whole, ctx),
        _ => doubles(op, a, b, ty, whole, ctx),
    }
}

fn integers(op: Operator, a: &Value, b: &Value, ty: &SqlType, whole: &Expr, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if op == Operator::IntDivide && !(is_integer(a) && is_integer(b)) {
        let (Some(x), Some(y)) = (coerce::decimal(a, ctx), coerce::decimal(b, ctx)) else { return Ok(Value::Null) };
        if y.is_zero() {
            return by_zero(ctx);
        }
        return match x.div_integer(&y).and_then(|d| d.to_i128()) {
            Some(n) => integer(n, ty, whole),
            None => Err(out_of_range(ty, whole)),
        };
    }
    let (Some(x), Some(y)) = (coerce::wide_int(a, ctx), coerce::wide_int(b, ctx)) else { return Ok(Value::Null) };
    let n = match op {
        Operator::Add => x.saturating_add(y),
        Operator::Subtract => x.saturating_sub(y),
        Operator::Multiply => x.saturating_mul(y),
        _ if y == 0 => return by_zero(ctx),
        Operator::IntDivide => x.wrapping_div(y),
        _ => x.wrapping_rem(y),
    };
    integer(n, ty, whole)
}

fn decimals(op: Operator, a: &Value, b: &Value, unsigned: bool, ty: &SqlType, whole: &Expr, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (Some(x), Some(y)) = (coerce::decimal(a, ctx), coerce::decimal(b, ctx)) else { return Ok(Value::Null) };
    let d = match op {
        Operator::Add => x.add(&y),
        Operator::Subtract => x.sub(&y),
        Operator::Multiply => x.mul(&y),
        _ if y.is_zero() => return by_zero(ctx),
        Operator::Divide => x.div_unrounded(&y, ctx.statement.div_precision_increment),
        _ => x.rem(&y),
    };
    match d {
        Some(d) if !(unsigned && d.is_negative()) => Ok(Value::Decimal(d)),
        _ => Err(out_of_range(ty, whole)),
    }
}

fn doubles(op: Operator, a: &Value, b: &Value, ty: &SqlType, whole: &Expr, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (Some(x), Some(y)) = (coerce::double(a, ctx), coerce::double(b, ctx)) else { return Ok(Value::Null) };
    match op {
        Operator::Add => finite(x + y, ty, whole),
        Operator::Subtract => finite(x - y, ty, whole),
        Operator::Multiply => finite(x * y, ty, whole),
        _ if y == 0.0 => by_zero(ctx),
        Operator::Divide => finite(x / y, ty, whole),
        _ => finite(x % y, ty, whole),
    }
}

fn is_integer(v: &Value) -> bool {
    matches!(v, Value::Int(_) | Value::UInt(_))
}

pub fn negate(v: &Value, ty: &SqlType, whole: &Expr, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    Ok(match (v, &ty.kind) {
        (Value::Null, _) => Value::Null,
        (Value::Int(n), TypeKind::Int { .. }) => Value::Int(n.checked_neg().ok_or_else(|| out_of_range(ty, whole))?),
        (v, TypeKind::Int { .. }) => match coerce::wide_int(v, ctx) {
            Some(n) => Value::Int(i64::try_from(n.saturating_neg()).map_err(|_| out_of_range(ty, whole))?),
            None => Value::Null,
        },
        (v, TypeKind::Decimal { .. }) => coerce::decimal(v, ctx).map_or(Value::Null, |d| Value::Decimal(d.neg())),
        (v, _) => coerce::double(v, ctx).map_or(Value::Null, |d| Value::Double(-d)),
    })
}

/// Bit operators work on BIGINT UNSIGNED; where `typing` chose a binary result, on binary strings byte by byte.
pub fn bits(op: Operator, a: &Value, b: &Value, ty: &SqlType, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if a.is_null() || b.is_null() {
        return Ok(Value::Null);
    }
    if ty.kind.is_binary()
        && let Value::Bytes(x) = a
    {
        return match (op, b) {
            (Operator::ShiftLeft | Operator::ShiftRight, b) => {
                let by = bit_operand(b, ctx).unwrap_or(0);
                Ok(Value::bytes(shifted(x, by, op == Operator::ShiftLeft)))
            }
            (op, Value::Bytes(y)) if x.len() == y.len() => Ok(Value::Bytes(x.iter().zip(y.iter()).map(|(p, q)| byte(op, *p, *q)).collect())),
            _ => Err(Fault::mysql(3513, "HY000", "Binary operands of bitwise operators must be of equal length")),
        };
    }
    let (Some(x), Some(y)) = (bit_operand(a, ctx), bit_operand(b, ctx)) else { return Ok(Value::Null) };
    Ok(Value::UInt(match op {
        Operator::BitAnd => x & y,
        Operator::BitOr => x | y,
        Operator::BitXor => x ^ y,
        Operator::ShiftLeft => u32::try_from(y).ok().and_then(|y| x.checked_shl(y)).unwrap_or(0),
        _ => u32::try_from(y).ok().and_then(|y| x.checked_shr(y)).unwrap_or(0),
    }))
}

fn byte(op: Operator, p: u8, q: u8) -> u8 {
    match op {
        Operator::BitAnd => p & q,
        Operator::BitOr => p | q,
        _ => p ^ q,
    }
}

/// A binary string moved by `by` bits; its length stays.
fn shifted(x: &[u8], by: u64, left: bool) -> Vec<u8> {
    let mut out = vec![0; x.len()];
    let (bytes, bits) = (usize::try_from(by / 8).unwrap_or(usize::MAX), (by % 8) as u32);
    if bytes >= x.len() {
        return out;
    }
    let at = |i: Option<usize>| i.and_then(|i| x.get(i)).copied().unwrap_or(0) as u16;
    for (i, o) in out.iter_mut().enumerate() {
        *o = if left {
            ((at(i.checked_add(bytes)) << 8 | at(i.checked_add(bytes + 1))) << bits >> 8) as u8
        } else {
            let (near, far) = (at(i.checked_sub(bytes)), at(i.checked_sub(bytes + 1)));
            ((far << 8 | near) >> bits) as u8
        };
    }
    out
}

pub fn bit_not(v: &Value, ty: &SqlType, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    Ok(match v {
        Value::Bytes(b) if ty.kind.is_binary() => Value::Bytes(b.iter().map(|x| !x).collect()),
        v => bit_operand(v, ctx).map_or(Value::Null, |n| Value::UInt(!n)),
    })
}

pub(crate) fn bit_operand(v: &Value, ctx: &EvalContext<'_>) -> Option<u64> {
    coerce::uint(v, ctx)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{decimal, statement, unlimited};
    use weald_types::SqlType;

    fn whole() -> Expr {
        Expr::Literal { value: Value::Null, ty: SqlType::null() }
    }
    fn decimal_type(precision: u8, scale: u8) -> SqlType {
        SqlType::new(TypeKind::Decimal { precision, scale, unsigned: false }, true)
    }

    #[test]
    fn integers_overflow_with_1690_and_never_wrap() {
        let s = unlimited();
        let ctx = statement(&s);
        let check = |op, a: Value, b: Value, ty: SqlType, expected: Result<Value, &str>| {
            let got = arithmetic(op, &a, &b, &ty, &whole(), &ctx);
            match expected {
                Ok(v) => assert_eq!(got, Ok(v), "{op:?} {a:?} {b:?}"),
                Err(k) => assert!(matches!(got, Err(Fault::NumericOutOfRange { ref kind, .. }) if kind == k), "{op:?} {a:?} {b:?}: {got:?}"),
            }
        };
        let (signed, unsigned) = (SqlType::bigint(true), SqlType::bigint_unsigned(true));
        use Operator::*;
        check(Add, Value::Int(1), Value::Int(2), signed.clone(), Ok(Value::Int(3)));
        check(Add, Value::Int(i64::MAX), Value::Int(1), signed.clone(), Err("BIGINT"));
        check(Multiply, Value::Int(i64::MIN), Value::Int(-1), signed.clone(), Err("BIGINT"));
        check(IntDivide, Value::Int(i64::MIN), Value::Int(-1), signed.clone(), Err("BIGINT"));
        check(Mod, Value::Int(i64::MIN), Value::Int(-1), signed.clone(), Ok(Value::Int(0)));
        check(Mod, Value::Int(-7), Value::Int(2), signed.clone(), Ok(Value::Int(-1)));
        check(Mod, Value::Int(7), Value::Int(-2), signed.clone(), Ok(Value::Int(1)));
        check(IntDivide, Value::Int(-7), Value::Int(2), signed.clone(), Ok(Value::Int(-3)));
        check(Subtract, Value::UInt(1), Value::Int(2), unsigned.clone(), Err("BIGINT UNSIGNED"));
        check(Subtract, Value::UInt(1), Value::Int(2), signed.clone(), Ok(Value::Int(-1)));
        check(Add, Value::UInt(u64::MAX), Value::Int(-1), unsigned.clone(), Ok(Value::UInt(u64::MAX - 1)));
        check(Multiply, Value::UInt(u64::MAX), Value::UInt(u64::MAX), unsigned.clone(), Err("BIGINT UNSIGNED"));
        check(Add, Value::Int(1), Value::Null, signed.clone(), Ok(Value::Null));
        check(IntDivide, decimal("5.5"), Value::Int(2), signed.clone(), Ok(Value::Int(2)));
        check(IntDivide, Value::str("7"), Value::Int(2), signed.clone(), Ok(Value::Int(3)));
        check(IntDivide, Value::Double(1e20), Value::Int(1), signed, Err("BIGINT"));
        check(Multiply, Value::Double(1e200), Value::Double(1e200), SqlType::double(true), Err("DOUBLE"));
    }

    #[test]
    fn a_quotient_keeps_its_decimals_until_it_leaves_the_expression() {
        let s = unlimited();
        let ctx = statement(&s);
        let third = arithmetic(Operator::Divide, &Value::Int(1), &Value::Int(3), &decimal_type(5, 4), &whole(), &ctx).unwrap();
        assert_eq!(third, decimal("0.333333333"));
        let Value::Decimal(d) = arithmetic(Operator::Multiply, &third, &Value::Int(3), &decimal_type(6, 4), &whole(), &ctx).unwrap() else {
            panic!()
        };
        assert_eq!(at_scale(d, &decimal_type(6, 4)).to_string(), "1.0000");
        let Value::Decimal(d) = third else { panic!() };
        assert_eq!(at_scale(d, &decimal_type(5, 4)).to_string(), "0.3333");
    }

    #[test]
    fn division_by_zero_is_null_and_warns_by_mode() {
        let s = unlimited();
        for (op, a, ty) in [
            (Operator::Divide, Value::Int(5), decimal_type(5, 4)),
            (Operator::IntDivide, Value::Int(5), SqlType::bigint(true)),
            (Operator::Mod, decimal("5.5"), decimal_type(5, 1)),
            (Operator::Divide, Value::Double(5.0), SqlType::double(true)),
        ] {
            assert_eq!(arithmetic(op, &a, &Value::Int(0), &ty, &whole(), &statement(&s)), Ok(Value::Null));
        }
        assert_eq!(s.warnings.lock().total, 4);
        let mut writes = unlimited();
        writes.modifies_data = true;
        let ctx = statement(&writes);
        assert_eq!(arithmetic(Operator::Divide, &Value::Int(5), &Value::Int(0), &decimal_type(5, 4), &whole(), &ctx), Err(Fault::DivisionByZero));
        writes.ignore_errors = true;
        let ctx = statement(&writes);
        assert_eq!(arithmetic(Operator::Divide, &Value::Int(5), &Value::Int(0), &decimal_type(5, 4), &whole(), &ctx), Ok(Value::Null));
    }

    #[test]
    fn bit_operators_are_unsigned_and_work_on_binary_strings() {
        let s = unlimited();
        let ctx = statement(&s);
        let number = SqlType::bigint_unsigned(true);
        let binary = SqlType::new(TypeKind::VarBinary { bytes: 4 }, true);
        let check = |op, a: Value, b: Value, ty: &SqlType, expected: Value| assert_eq!(bits(op, &a, &b, ty, &ctx), Ok(expected));
        use Operator::*;
        check(BitOr, Value::Int(-1), Value::Int(0), &number, Value::UInt(u64::MAX));
        check(BitOr, decimal("1.5"), Value::Int(0), &number, Value::UInt(2));
        check(BitOr, Value::Double(2.5), Value::Int(0), &number, Value::UInt(2));
        check(BitAnd, Value::str("7x"), Value::Int(3), &number, Value::UInt(3));
        check(ShiftLeft, Value::Int(1), Value::Int(63), &number, Value::UInt(1 << 63));
        check(ShiftLeft, Value::Int(1), Value::Int(64), &number, Value::UInt(0));
        check(ShiftRight, Value::Int(1), Value::Int(-1), &number, Value::UInt(0));
        check(BitXor, Value::bytes([0xF0, 0x0F]), Value::bytes([0xFF, 0xFF]), &binary, Value::bytes([0x0F, 0xF0]));
        check(ShiftLeft, Value::bytes([0x01, 0x80]), Value::Int(1), &binary, Value::bytes([0x03, 0x00]));
        check(ShiftRight, Value::bytes([0x01, 0x80]), Value::Int(9), &binary, Value::bytes([0x00, 0x00]));
        check(ShiftRight, Value::bytes([0x80, 0x00]), Value::Int(9), &binary, Value::bytes([0x00, 0x40]));
        assert!(bits(BitAnd, &Value::bytes([1]), &Value::bytes([1, 2]), &binary, &ctx).is_err());
        assert_eq!(bit_not(&Value::Int(0), &number, &ctx), Ok(Value::UInt(u64::MAX)));
        assert_eq!(bit_not(&Value::bytes([0x0F]), &binary, &ctx), Ok(Value::bytes([0xF0])));
    }

    #[test]
    fn negation_meets_the_ends_of_the_range() {
        let s = unlimited();
        let ctx = statement(&s);
        let signed = SqlType::bigint(true);
        assert_eq!(negate(&Value::UInt(1 << 63), &signed, &whole(), &ctx), Ok(Value::Int(i64::MIN)));
        assert!(negate(&Value::UInt((1 << 63) + 1), &signed, &whole(), &ctx).is_err());
        assert!(negate(&Value::Int(i64::MIN), &signed, &whole(), &ctx).is_err());
        assert_eq!(negate(&decimal("1.50"), &decimal_type(3, 2), &whole(), &ctx), Ok(decimal("-1.50")));
    }
}
