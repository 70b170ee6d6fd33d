//! Comparison of two values, by MySQL's rules of which kind they are compared as.
//!
//! Owns:     nothing.
//! Promises: numbers compare exactly across kinds; a string and a number compare as doubles; strings by the collation given.
//! Never:    orders NULL: that is `sort`.

use crate::{EvalContext, coerce};
use std::cmp::Ordering;
use weald_types::{Collation, Json, SqlType, Value};

/// `None` where either is NULL.
pub fn compare(a: &Value, b: &Value, collation: Collation, ctx: &EvalContext<'_>) -> Option<Ordering> {
    use Value::*;
    Some(match (a, b) {
        (Null, _) | (_, Null) => return None,
        (Int(x), Int(y)) => x.cmp(y),
        (UInt(x), UInt(y)) => x.cmp(y),
        (Int(x), UInt(y)) => (*x as i128).cmp(&(*y as i128)),
        (UInt(x), Int(y)) => (*x as i128).cmp(&(*y as i128)),
        (Str(x), Str(y)) => collation.compare(x.as_bytes(), y.as_bytes()),
        (Bytes(x), Bytes(y)) => x.cmp(y),
        (Str(x), Bytes(y)) => x.as_bytes().cmp(y),
        (Bytes(x), Str(y)) => (**x).cmp(y.as_bytes()),
        (Double(x), Double(y)) => x.total_cmp_zero(y),
        (Decimal(x), Decimal(y)) => x.cmp(y),
        (Decimal(x), Int(y)) => x.cmp(&weald_types::Decimal::from_i64(*y)),
        (Int(x), Decimal(y)) => weald_types::Decimal::from_i64(*x).cmp(y),
        (Decimal(x), UInt(y)) => x.cmp(&weald_types::Decimal::from_u64(*y)),
        (UInt(x), Decimal(y)) => weald_types::Decimal::from_u64(*x).cmp(y),
        (Date(x), Date(y)) => x.cmp(y),
        (Time(x), Time(y)) => x.cmp(y),
        (DateTime(x), DateTime(y)) => x.cmp(y),
        (Date(x), DateTime(y)) => x.at_midnight().cmp(y),
        (DateTime(x), Date(y)) => x.cmp(&y.at_midnight()),
        (Time(_), DateTime(_) | Date(_)) | (DateTime(_) | Date(_), Time(_)) => coerce::datetime(a, ctx)?.cmp(&coerce::datetime(b, ctx)?),
        (Json(x), _) => return compare_json(x, b, ctx, false),
        (_, Json(y)) => return compare_json(y, a, ctx, true),
        // A temporal value beside a text: as temporal values. Beside a number: as numbers.
        (Date(_) | DateTime(_), Str(_) | Bytes(_)) => coerce::datetime(a, ctx)?.cmp(&coerce::datetime(b, ctx)?),
        (Str(_) | Bytes(_), Date(_) | DateTime(_)) => coerce::datetime(a, ctx)?.cmp(&coerce::datetime(b, ctx)?),
        (Time(x), Str(_) | Bytes(_)) => x.cmp(&coerce::time(b, ctx)?),
        (Str(_) | Bytes(_), Time(y)) => coerce::time(a, ctx)?.cmp(y),
        _ => coerce::double(a, ctx)?.total_cmp_zero(&coerce::double(b, ctx)?),
    })
}

fn compare_json(j: &Json, other: &Value, ctx: &EvalContext<'_>, swapped: bool) -> Option<Ordering> {
    let _ = ctx;
    let o = coerce::json(other, &SqlType::null())?;
    let order = j.compare(&o);
    Some(if swapped { order.reverse() } else { order })
}

/// Doubles in order, with -0 equal to 0. There are no NaNs in SQL values.
trait TotalZero { fn total_cmp_zero(&self, other: &Self) -> Ordering; }
impl TotalZero for f64 {
    fn total_cmp_zero(&self, other: &f64) -> Ordering { self.partial_cmp(other).unwrap_or_else(|| self.total_cmp(other)) }
}

pub fn equal(a: &Value, b: &Value, collation: Collation, ctx: &EvalContext<'_>) -> Option<bool> {
    match (a, b) {
        (Value::Str(x), Value::Str(y)) => Some(collation.equal(x.as_bytes(), y.as_bytes())),
        _ => compare(a, b, collation, ctx).map(Ordering::is_eq),
    }
}
