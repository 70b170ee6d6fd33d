//! Functions of doubles: logarithms, powers, trigonometry.
//!
//! Owns:     nothing.
//! Promises: outside a function's domain the answer is NULL (with 3020 for logarithms); beyond a double's range it is 1690.
//! Never:    returns a NaN or an infinity.

use super::argument::{double as as_double, known, warn};
use super::result_type::{double, nullable_double};
use super::{Call, FunctionDef};
use crate::EvalContext;
use weald_types::{Collation, Fault, SqlType, TypeKind, Value};

macro_rules! simple {
    ($name:literal, $function:expr) => {
        FunctionDef::new($name, 1, 1, double, |call, v, ctx| {
            let f: fn(f64) -> f64 = $function;
            call.finite(f(known!(as_double(&v[0], ctx))))
        })
    };
}
/// NULL where the argument is outside the domain.
macro_rules! partial {
    ($name:literal, $domain:expr, $function:expr) => {
        FunctionDef::new($name, 1, 1, nullable_double, |call, v, ctx| {
            let (domain, f): (fn(f64) -> bool, fn(f64) -> f64) = ($domain, $function);
            let x = known!(as_double(&v[0], ctx));
            if domain(x) { call.finite(f(x)) } else { Ok(Value::Null) }
        })
    };
}
macro_rules! logarithm {
    ($name:literal, $function:expr) => {
        FunctionDef::new($name, 1, 1, nullable_double, |_, v, ctx| {
            let f: fn(f64) -> f64 = $function;
            Ok(log(known!(as_double(&v[0], ctx)), f, ctx))
        })
    };
}

pub const FUNCTIONS: &[FunctionDef] = &[
    partial!("ACOS", |x| x.abs() <= 1.0, f64::acos),
    partial!("ASIN", |x| x.abs() <= 1.0, f64::asin),
    FunctionDef::new("ATAN", 1, 2, double, arc_tangent),
    FunctionDef::new("ATAN2", 1, 2, double, arc_tangent),
    simple!("COS", f64::cos),
    simple!("COT", |x| 1.0 / x.tan()),
    simple!("DEGREES", |x| x * (180.0 / std::f64::consts::PI)),
    simple!("EXP", f64::exp),
    logarithm!("LN", f64::ln),
    FunctionDef::new("LOG", 1, 2, nullable_double, log_of_base),
    logarithm!("LOG10", f64::log10),
    logarithm!("LOG2", |x| x.ln() / std::f64::consts::LN_2),
    FunctionDef::new(
        "PI",
        0,
        0,
        |_, _| Ok((SqlType::new(TypeKind::real(Some(6)), false), Collation::BINARY)),
        |_, _, _| Ok(Value::Double(std::f64::consts::PI)),
    ),
    FunctionDef::new("POW", 2, 2, double, |call, v, ctx| {
        let (base, exponent) = (known!(as_double(&v[0], ctx)), known!(as_double(&v[1], ctx)));
        call.finite(base.powf(exponent))
    }),
    simple!("RADIANS", |x| x * (std::f64::consts::PI / 180.0)),
    simple!("SIN", f64::sin),
    partial!("SQRT", |x| x >= 0.0, f64::sqrt),
    simple!("TAN", f64::tan),
];

fn arc_tangent(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let y = known!(as_double(&v[0], ctx));
    match v.get(1) {
        None => call.finite(y.atan()),
        Some(x) => call.finite(y.atan2(known!(as_double(x, ctx)))),
    }
}

fn log(x: f64, f: fn(f64) -> f64, ctx: &EvalContext<'_>) -> Value {
    if x > 0.0 {
        return Value::Double(f(x));
    }
    warn(ctx, 3020, "2201E", "Invalid argument for logarithm");
    Value::Null
}

/// LOG(x) or LOG(base, x).
fn log_of_base(_: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let first = known!(as_double(&v[0], ctx));
    let Some(x) = v.get(1) else { return Ok(log(first, f64::ln, ctx)) };
    let x = known!(as_double(x, ctx));
    if first <= 0.0 || x <= 0.0 || first == 1.0 {
        return Ok(log(-1.0, f64::ln, ctx));
    }
    Ok(Value::Double(x.ln() / first.ln()))
}
