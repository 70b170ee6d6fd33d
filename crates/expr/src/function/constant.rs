//! Constants that a comparison reads as another kind.
//!
//! Owns:     nothing.
//! Promises: a text that is no clean number is warned of once in a statement, however many rows it is compared with; a text that is no date is error 1525.
//! Never:    called by name: `typing` puts these in.

use crate::{EvalContext, cast, coerce};
use std::borrow::Cow;
use weald_types::temporal::Parsed;
use weald_types::{DateTime, Fault, Value, WarningLevel};

/// `whole`: digits alone are an integer, of up to 64 bits.
pub fn number(text: Option<Cow<'_, [u8]>>, whole: bool, ctx: &EvalContext<'_>) -> Value {
    let Some(bytes) = text else { return Value::Null };
    let text = String::from_utf8_lossy(&bytes);
    if whole {
        let digits = text.trim();
        if let Ok(n) = digits.parse::<i64>() {
            return Value::Int(n);
        }
        if let Ok(n) = digits.parse::<u64>() {
            return Value::UInt(n);
        }
    }
    let (d, bad) = coerce::double_prefix(&text);
    if bad && ctx.statement.warned_constants.lock().insert(text.as_ref().into()) {
        coerce::warn_truncated(ctx, "DOUBLE", &text);
    }
    Value::Double(d)
}

/// Beside a YEAR column two digits are a year of 1970 to 2069.
pub fn year(v: &Value, ctx: &EvalContext<'_>) -> Value {
    match coerce::wide_int(v, ctx).and_then(|n| i64::try_from(n).ok()) {
        Some(n @ 0..=99) => cast::year(n, matches!(v, Value::Str(_))).map_or(Value::Int(n), Value::Int),
        _ => coerce::double(v, ctx).map_or(Value::Null, Value::Double),
    }
}

pub fn datetime(v: &Value, kind: &'static str, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let mode = ctx.statement.sql_mode;
    let Value::Str(s) = v else {
        return Ok(coerce::datetime_in(v, mode, ctx).map_or(Value::Null, Value::DateTime));
    };
    if matches!(DateTime::parse(s, 6, mode), Parsed::Invalid) {
        return Err(Fault::mysql(1525, "HY000", format!("Incorrect {kind} value: '{s}'")));
    }
    let reading = coerce::read_datetime(v, mode, ctx);
    let value = match reading {
        None | Some(coerce::Reading::NoSuch | coerce::Reading::Nonsense) => return Ok(Value::Null),
        Some(coerce::Reading::Clean(d)) => return Ok(Value::DateTime(d)),
        Some(coerce::Reading::Cut(d)) => d,
    };
    if ctx.statement.warned_constants.lock().insert(s.as_str().into()) {
        ctx.statement.warn(WarningLevel::Warning, coerce::truncated_temporal(&kind.to_ascii_lowercase(), s));
    }
    Ok(Value::DateTime(value))
}
