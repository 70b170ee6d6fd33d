//! Comparison of two values, by MySQL's rules of which kind they are compared as.
//!
//! Owns:     nothing.
//! Promises: integers and decimals compare exactly; a string and a number compare as doubles; strings by the collation given; a temporal value and a
//!           string as temporal values. What cannot be read as the other's kind is NULL, with a warning.
//! Never:    orders NULL: that is `sort`.
//! See:      "Type Conversion in Expression Evaluation" in MySQL's manual.

use crate::{EvalContext, coerce};
use std::cmp::Ordering;
use weald_types::{Collation, Json, SqlType, Value};

/// `None` where either is NULL.
#[inline]
pub fn compare(a: &Value, b: &Value, collation: Collation, ctx: &EvalContext<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(x), Value::Int(y)) => Some(x.cmp(y)),
        (Value::Str(x), Value::Str(y)) => Some(collation.compare(x.as_bytes(), y.as_bytes())),
        _ => compare_kinds(a, b, collation, ctx),
    }
}

#[inline]
pub fn equal(a: &Value, b: &Value, collation: Collation, ctx: &EvalContext<'_>) -> Option<bool> {
    match (a, b) {
        (Value::Int(x), Value::Int(y)) => Some(x == y),
        (Value::Str(x), Value::Str(y)) => Some(collation.equal(x.as_bytes(), y.as_bytes())),
        (Value::Bytes(x), Value::Bytes(y)) => Some(x == y),
        _ => compare_kinds(a, b, collation, ctx).map(Ordering::is_eq),
    }
}

fn compare_kinds(a: &Value, b: &Value, collation: Collation, ctx: &EvalContext<'_>) -> Option<Ordering> {
    use Value::*;
    use weald_types::Decimal as D;
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
        (Double(x), Double(y)) => doubles(*x, *y),
        (Decimal(x), Decimal(y)) => x.cmp(y),
        (Decimal(x), Int(y)) => x.cmp(&D::from_i64(*y)),
        (Int(x), Decimal(y)) => D::from_i64(*x).cmp(y),
        (Decimal(x), UInt(y)) => x.cmp(&D::from_u64(*y)),
        (UInt(x), Decimal(y)) => D::from_u64(*x).cmp(y),
        (Date(x), Date(y)) => x.cmp(y),
        (Time(x), Time(y)) => x.cmp(y),
        (DateTime(x), DateTime(y)) => x.cmp(y),
        (Date(x), DateTime(y)) => x.at_midnight().cmp(y),
        (DateTime(x), Date(y)) => x.cmp(&y.at_midnight()),
        (Json(x), _) => return json(x, b),
        (_, Json(y)) => return json(y, a).map(Ordering::reverse),
        (Time(x), Str(_) | Bytes(_)) => x.cmp(&coerce::time(b, ctx)?),
        (Str(_) | Bytes(_), Time(y)) => coerce::time(a, ctx)?.cmp(y),
        // A TIME beside a date is a time of today.
        (Date(_) | DateTime(_), Str(_) | Bytes(_) | Time(_)) | (Str(_) | Bytes(_) | Time(_), Date(_) | DateTime(_)) => {
            let mode = ctx.statement.sql_mode;
            coerce::datetime_in(a, mode, ctx)?.cmp(&coerce::datetime_in(b, mode, ctx)?)
        }
        _ => doubles(coerce::double(a, ctx)?, coerce::double(b, ctx)?),
    })
}

/// Doubles in order, with -0 equal to 0. There are no NaNs in SQL values.
fn doubles(x: f64, y: f64) -> Ordering {
    x.partial_cmp(&y).unwrap_or_else(|| x.total_cmp(&y))
}

fn json(j: &Json, other: &Value) -> Option<Ordering> {
    let o = coerce::json(other, &SqlType::null())?;
    match (j, &o) {
        // SQL's TRUE is the number 1: `j -> '$.flag' = TRUE` means what it says.
        (Json::Bool(b), Json::Int(n)) if !matches!(other, Value::Json(_)) => Some((*b as i64).cmp(n)),
        _ => Some(j.compare(&o)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{decimal, statement, take_warnings, unlimited};
    use std::cmp::Ordering::*;
    use std::sync::Arc;
    use weald_types::{Date, DateTime, Time};

    #[test]
    fn values_compare_as_mysqls_rules_of_kinds_say() {
        let s = unlimited();
        let ctx = statement(&s);
        let day = |y, m, d| Value::Date(Date::new(y, m, d).unwrap());
        let noon = Value::DateTime(DateTime::from_parts(2020, 1, 2, 12, 0, 0, 0).unwrap());
        let json = |t: &str| Value::Json(Arc::new(Json::parse(t).unwrap()));
        let check = |a: Value, b: Value, expected: Option<Ordering>| {
            assert_eq!(compare(&a, &b, Collation::UTF8MB4_GENERAL_CI, &ctx), expected, "{a:?} {b:?}");
            assert_eq!(compare(&b, &a, Collation::UTF8MB4_GENERAL_CI, &ctx), expected.map(Ordering::reverse), "{b:?} {a:?}");
            assert_eq!(equal(&a, &b, Collation::UTF8MB4_GENERAL_CI, &ctx), expected.map(Ordering::is_eq), "{a:?} {b:?}");
        };
        check(Value::Null, Value::Int(1), None);
        check(Value::Null, Value::Null, None);
        check(Value::Int(-1), Value::UInt(u64::MAX), Some(Less));
        check(Value::Int(1), Value::UInt(1), Some(Equal));
        check(decimal("1.10"), decimal("1.1"), Some(Equal));
        check(decimal("9007199254740993"), Value::Int(9007199254740992), Some(Greater));
        check(decimal("1.1"), Value::Double(1.1), Some(Equal));
        check(Value::Double(0.0), Value::Double(-0.0), Some(Equal));
        check(Value::str("10"), Value::Int(9), Some(Greater));
        check(Value::str("10"), Value::str("9"), Some(Less));
        check(Value::str("1.0"), Value::Int(1), Some(Equal));
        check(Value::str("a"), Value::str("A"), Some(Equal));
        check(Value::bytes(*b"a"), Value::str("A"), Some(Greater));
        check(day(2020, 1, 2), noon.clone(), Some(Less));
        check(day(2020, 1, 2), Value::str("2020-1-2"), Some(Equal));
        check(noon.clone(), Value::str("2020-01-02 12:00:00.0"), Some(Equal));
        check(day(2020, 1, 2), Value::Int(20200102), Some(Equal));
        check(Value::Time(Time::new(false, 10, 0, 0, 0).unwrap()), Value::str("10:00"), Some(Equal));
        check(Value::Time(Time::new(false, 10, 0, 0, 0).unwrap()), Value::Int(100000), Some(Equal));
        // Today is the 1st of July 2024.
        check(Value::Time(Time::new(false, 10, 0, 0, 0).unwrap()), day(2024, 7, 1), Some(Greater));
        check(json("1"), Value::Int(1), Some(Equal));
        check(json("1.0"), Value::Int(1), Some(Equal));
        check(json("\"a\""), Value::str("a"), Some(Equal));
        check(json("true"), Value::Int(1), Some(Equal));
        check(json("\"1\""), Value::Int(1), Some(Greater));
        check(json("null"), Value::Null, None);
        assert!(take_warnings(&s).is_empty());
        check(Value::str("abc"), Value::Int(0), Some(Equal));
        assert_eq!(take_warnings(&s).len(), 3);
        check(noon, Value::str("abc"), None);
        assert_eq!(take_warnings(&s)[0], "Warning: truncated incorrect datetime value: 'abc'");
    }
}
