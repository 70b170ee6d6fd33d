//! Functions of numbers that keep them exact: ABS, ROUND, FLOOR, SIGN, CONV …
//!
//! Owns:     nothing.
//! Promises: an integer stays one, a DECIMAL stays exact; only doubles (and texts, read as doubles) are approximate.
//! Never:    wraps: what does not fit is 1690.

use super::argument::{decimal, double, known, literal_int, wide_int};
use super::result_type::{any_nullable, int, own_text};
use super::{BindContext, Call, FunctionDef};
use crate::{EvalContext, Expr, typing};
use weald_types::{Collation, Decimal, Fault, Json, SqlType, TypeKind, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("ABS", 1, 1, bind_abs, abs),
    FunctionDef::new("BIN", 1, 1, |args, c| own_text(64, any_nullable(args), c), |call, v, ctx| in_base(call, &v[0], 10, 2, ctx)),
    FunctionDef::new("BIT_COUNT", 1, 1, int, bit_count),
    FunctionDef::new("CEIL", 1, 1, bind_whole, |call, v, ctx| whole(call, v, ctx, f64::ceil, Decimal::ceil)),
    FunctionDef::new("CONV", 3, 3, |_, c| own_text(65, true, c), conv),
    FunctionDef::new("FLOOR", 1, 1, bind_whole, |call, v, ctx| whole(call, v, ctx, f64::floor, Decimal::floor)),
    // Bound as the operator.
    FunctionDef::new("MOD", 2, 2, int, |_, _, _| Ok(Value::Null)),
    FunctionDef::new("OCT", 1, 1, |args, c| own_text(64, any_nullable(args), c), |call, v, ctx| in_base(call, &v[0], 10, 8, ctx)),
    FunctionDef::new("ROUND", 1, 2, |args, c| bind_round(args, c, Cut::Round), |call, v, ctx| round(call, v, ctx, Cut::Round)),
    FunctionDef::new("SIGN", 1, 1, int, sign),
    FunctionDef::new("TRUNCATE", 2, 2, |args, c| bind_round(args, c, Cut::Truncate), |call, v, ctx| round(call, v, ctx, Cut::Truncate)),
];

type Bound = Result<(SqlType, Collation), Fault>;

fn plain(ty: SqlType) -> Bound {
    Ok((ty, Collation::BINARY))
}

/// The number that arithmetic makes of an argument.
fn numeric(e: &Expr) -> SqlType {
    let ty = typing::value_type(e);
    match ty.kind {
        TypeKind::Int { .. } | TypeKind::Decimal { .. } | TypeKind::Double { .. } => ty,
        TypeKind::Bit { .. } => SqlType::bigint_unsigned(ty.nullable),
        TypeKind::Year | TypeKind::Null | TypeKind::Date => SqlType::bigint(ty.nullable),
        TypeKind::Time { fsp } | TypeKind::DateTime { fsp } | TypeKind::Timestamp { fsp } => {
            if fsp == 0 {
                SqlType::bigint(ty.nullable)
            } else {
                typing::decimal_type(14, fsp as u32, ty.nullable)
            }
        }
        TypeKind::Float { scale, .. } => SqlType::new(TypeKind::real(scale), ty.nullable),
        _ => SqlType::double(ty.nullable),
    }
}

/// `v` in the form of the result type.
fn shaped(call: &Call<'_>, v: &Value, ctx: &EvalContext<'_>) -> Value {
    match (&call.ty.kind, v) {
        (_, Value::Null) => Value::Null,
        (TypeKind::Int { .. }, Value::Int(_) | Value::UInt(_)) => v.clone(),
        (TypeKind::Int { unsigned: true, .. }, v) => crate::coerce::uint(v, ctx).map_or(Value::Null, Value::UInt),
        (TypeKind::Int { .. }, v) => crate::coerce::int(v, ctx).map_or(Value::Null, Value::Int),
        (TypeKind::Decimal { .. }, v) => decimal(v, ctx).map_or(Value::Null, Value::Decimal),
        (_, v) => double(v, ctx).map_or(Value::Null, Value::Double),
    }
}

fn bind_abs(args: &mut [Expr], _: &BindContext) -> Bound {
    plain(numeric(&args[0]))
}

fn abs(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    Ok(match shaped(call, &v[0], ctx) {
        Value::Int(n) => Value::Int(n.checked_abs().ok_or_else(|| call.out_of_range("BIGINT"))?),
        Value::Decimal(d) => Value::Decimal(d.abs()),
        Value::Double(d) => Value::Double(d.abs()),
        v => v,
    })
}

fn bind_whole(args: &mut [Expr], _: &BindContext) -> Bound {
    let ty = numeric(&args[0]);
    plain(match ty.kind {
        TypeKind::Decimal { precision, scale, .. } => {
            // One digit more for the carry of CEIL(9.9).
            let digits = (precision - scale) as u32 + u32::from(scale > 0);
            if digits <= 18 { SqlType::bigint(ty.nullable) } else { typing::decimal_type(digits, 0, ty.nullable) }
        }
        TypeKind::Double { .. } => SqlType::new(TypeKind::real(Some(0)), ty.nullable),
        _ => ty,
    })
}

fn whole(
    call: &Call<'_>,
    v: &[Value],
    ctx: &EvalContext<'_>,
    cut: fn(f64) -> f64,
    cut_exact: fn(&Decimal) -> Option<Decimal>,
) -> Result<Value, Fault> {
    Ok(match &v[0] {
        Value::Decimal(d) => {
            let d = cut_exact(d).ok_or_else(|| call.out_of_range("DECIMAL"))?;
            match call.ty.kind {
                TypeKind::Int { .. } => Value::Int(d.to_i64().ok_or_else(|| call.out_of_range("BIGINT"))?),
                TypeKind::Decimal { .. } => Value::Decimal(d.rescale(0).unwrap_or(d)),
                _ => Value::Double(d.to_f64()),
            }
        }
        // A time's fraction, too, is cut.
        v @ (Value::Time(_) | Value::DateTime(_)) => {
            let d = known!(decimal(v, ctx));
            let d = cut_exact(&d).ok_or_else(|| call.out_of_range("DECIMAL"))?;
            shaped(call, &Value::Decimal(d), ctx)
        }
        v => match shaped(call, v, ctx) {
            Value::Double(d) => Value::Double(cut(d)),
            v => v,
        },
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Round,
    Truncate,
}

fn bind_round(args: &mut [Expr], _: &BindContext, cut: Cut) -> Bound {
    let ty = numeric(&args[0]);
    let nullable = any_nullable(args);
    let places = match args.get(1) {
        None => Some(0),
        Some(e) => literal_int(e),
    };
    let Some(places) = places else {
        // How many decimals there will be is not known: as many as there are.
        return plain(match ty.kind {
            TypeKind::Decimal { precision, scale, .. } => typing::decimal_type((precision - scale) as u32 + 1, scale as u32, true),
            TypeKind::Int { .. } => ty.with_nullable(true),
            _ => SqlType::double(true),
        });
    };
    plain(match ty.kind {
        TypeKind::Int { .. } => ty.with_nullable(nullable),
        TypeKind::Decimal { precision, scale, .. } => {
            let kept = places.clamp(0, 30) as u32;
            let carry = u32::from(cut == Cut::Round && kept < scale as u32);
            typing::decimal_type((precision - scale) as u32 + carry, kept, nullable)
        }
        _ => SqlType::new(TypeKind::real((places < 31).then(|| places.max(0) as u8)), nullable),
    })
}

fn round(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>, cut: Cut) -> Result<Value, Fault> {
    let places = match v.get(1) {
        None => 0,
        Some(p) => known!(wide_int(p, ctx)).clamp(-400, 400) as i32,
    };
    Ok(match shaped(call, &v[0], ctx) {
        Value::Int(n) => {
            let rounded = round_integer(n as i128, places, cut);
            Value::Int(i64::try_from(rounded).map_err(|_| call.out_of_range("BIGINT"))?)
        }
        Value::UInt(n) => {
            let rounded = round_integer(n as i128, places, cut);
            Value::UInt(u64::try_from(rounded).map_err(|_| call.out_of_range("BIGINT UNSIGNED"))?)
        }
        Value::Decimal(d) => {
            let TypeKind::Decimal { scale, .. } = call.ty.kind else { return Ok(Value::Decimal(d)) };
            // Where the number of decimals varies from row to row, those beyond the type's are not made.
            let cut_to = places.min(30);
            let d = if cut == Cut::Round { d.round(cut_to) } else { Some(d.truncate(cut_to)) };
            let d = d.ok_or_else(|| call.out_of_range("DECIMAL"))?;
            Value::Decimal(d.rescale(scale).unwrap_or(d))
        }
        Value::Double(d) => call.finite(if cut == Cut::Round { round_double(d, places) } else { truncate_double(d, places) })?,
        v => v,
    })
}

fn round_integer(n: i128, places: i32, cut: Cut) -> i128 {
    if places >= 0 {
        return n;
    }
    // No 64-bit number has more than 20 digits.
    if places < -20 {
        return 0;
    }
    let unit = 10i128.pow(places.unsigned_abs());
    let half = if cut == Cut::Round { unit / 2 } else { 0 };
    let magnitude = (n.abs() + half) / unit * unit;
    if n < 0 { -magnitude } else { magnitude }
}

/// To `places` decimals (before the point where negative), halves to even as the processor rounds.
pub(super) fn round_double(d: f64, places: i32) -> f64 {
    scaled(d, places, f64::round_ties_even)
}
fn truncate_double(d: f64, places: i32) -> f64 {
    scaled(d, places, f64::trunc)
}

fn scaled(d: f64, places: i32, cut: fn(f64) -> f64) -> f64 {
    let unit = 10f64.powi(places.abs());
    let scaled = if places < 0 { d / unit } else { d * unit };
    if places < 0 && unit.is_infinite() {
        return 0.0;
    }
    // Too large to have such decimals, or they are beyond a double's.
    if places >= 0 && !scaled.is_finite() {
        return d;
    }
    if places < 0 { cut(scaled) * unit } else { cut(scaled) / unit }
}

fn sign(_: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    Ok(Value::Int(match &v[0] {
        Value::Null => return Ok(Value::Null),
        Value::Int(n) => n.signum(),
        Value::UInt(n) => (*n > 0) as i64,
        Value::Decimal(d) => d.signum() as i64,
        v => {
            let d = known!(double(v, ctx));
            if d > 0.0 { 1 } else { -i64::from(d < 0.0) }
        }
    }))
}

fn bit_count(_: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if let Value::Bytes(b) = &v[0] {
        return Ok(Value::Int(b.iter().map(|b| b.count_ones() as i64).sum()));
    }
    let n = known!(wide_int(&v[0], ctx)).clamp(i64::MIN as i128, u64::MAX as i128);
    Ok(Value::Int((n as u64).count_ones() as i64))
}

fn conv(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (from, to) = (known!(wide_int(&v[1], ctx)), known!(wide_int(&v[2], ctx)));
    if v[0].is_null() || !(2..=36).contains(&from.unsigned_abs()) || !(2..=36).contains(&to.unsigned_abs()) {
        return Ok(Value::Null);
    }
    in_base(call, &v[0], from as i32, to as i32, ctx)
}

/// CONV: a negative base means signed numbers. Digits are read until one does not belong; too many digits give the largest number.
fn in_base(call: &Call<'_>, v: &Value, from: i32, to: i32, _: &EvalContext<'_>) -> Result<Value, Fault> {
    if let Value::Json(j) = v
        && matches!(**j, Json::Null)
    {
        return Ok(Value::Null);
    }
    // A BIT is a number, whatever its bytes would show.
    let shown = match v {
        Value::UInt(n) => n.to_string().into(),
        v => known!(crate::coerce::text(v, call.args[0].ty())),
    };
    let text = shown.trim_start();
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let mut n: u128 = 0;
    for c in digits.chars() {
        let Some(digit) = c.to_digit(from.unsigned_abs()) else { break };
        n = (n * from.unsigned_abs() as u128 + digit as u128).min(1 << 70);
    }
    let bits = if from < 0 {
        let most = i64::MAX as u128 + u128::from(negative);
        let magnitude = n.min(most) as i128;
        (if negative { -magnitude } else { magnitude }) as i64 as u64
    } else if negative {
        if n > u64::MAX as u128 { u64::MAX } else { (n as u64).wrapping_neg() }
    } else {
        n.min(u64::MAX as u128) as u64
    };
    Ok(call.string(digits_in_base(bits, to)))
}

fn digits_in_base(bits: u64, base: i32) -> Vec<u8> {
    let signed = base < 0 && (bits as i64) < 0;
    let mut n = if signed { (bits as i64).unsigned_abs() } else { bits };
    let base = base.unsigned_abs() as u64;
    let mut out = Vec::new();
    loop {
        let digit = (n % base) as u8;
        out.push(if digit < 10 { b'0' + digit } else { b'A' + digit - 10 });
        n /= base;
        if n == 0 {
            break;
        }
    }
    if signed {
        out.push(b'-');
    }
    out.reverse();
    out
}
