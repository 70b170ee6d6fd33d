//! Reading arguments and making results: what the families of functions share.
//!
//! Owns:     nothing.
//! Promises: text positions count characters, those of binary strings bytes; a result larger than max_allowed_packet is NULL with 1301;
//!           one that there is no memory for is refused before it is made.
//! Never:    decides a type: see `result_type`.

use super::Call;
use crate::{EvalContext, Expr, coerce, in_flight};
use std::borrow::Cow;
use weald_types::temporal::Moment;
use weald_types::{Collation, Date, DateTime, Decimal, Fault, Time, Value, WarningLevel};

/// The value inside, or NULL as the function's result.
macro_rules! known {
    ($value:expr) => {
        match $value {
            Some(value) => value,
            None => return Ok(Value::Null),
        }
    };
}
pub(super) use known;

impl Call<'_> {
    pub fn lower_name(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// Argument `i` as bytes: a binary string as it is, all else as its text. `None` for NULL.
    pub fn bytes<'v>(&self, values: &'v [Value], i: usize) -> Option<Cow<'v, [u8]>> {
        coerce::bytes(&values[i], self.args[i].ty())
    }
    /// The same in the argument's own character set: for what looks at the bytes themselves.
    pub fn own_bytes<'v>(&self, values: &'v [Value], i: usize) -> Option<Cow<'v, [u8]>> {
        coerce::own_bytes(&values[i], self.args[i].ty())
    }
    pub fn text<'v>(&self, values: &'v [Value], i: usize) -> Option<Cow<'v, str>> {
        coerce::text(&values[i], self.args[i].ty())
    }

    /// Whether the result is a binary string.
    pub fn gives_bytes(&self) -> bool {
        self.ty.kind.is_binary()
    }
    /// Whether positions count bytes.
    pub fn counts_bytes(&self) -> bool {
        self.collation == Collation::BINARY
    }

    /// A string result, text or binary as the call's type says.
    pub fn string(&self, bytes: Vec<u8>) -> Value {
        if self.gives_bytes() {
            return Value::bytes(bytes);
        }
        match String::from_utf8(bytes) {
            Ok(s) => Value::Str(s.into()),
            Err(e) => Value::str(String::from_utf8_lossy(e.as_bytes())),
        }
    }
    pub fn string_from(&self, bytes: &[u8]) -> Value {
        if self.gives_bytes() {
            return Value::bytes(bytes);
        }
        match std::str::from_utf8(bytes) {
            Ok(s) => Value::str(s),
            Err(_) => Value::str(String::from_utf8_lossy(bytes)),
        }
    }

    /// Whether `length` bytes may be made; warns if not. [`Fault::OutOfMemory`]: they may, but there is no memory for them.
    pub fn may_make(&self, length: u128, ctx: &EvalContext<'_>) -> Result<bool, Fault> {
        if !self.fits_packet(length, ctx) {
            return Ok(false);
        }
        in_flight::has_room(ctx.statement, length as u64).map(|()| true)
    }
    /// Whether a result may have `length` bytes; warns if not.
    pub fn fits_packet(&self, length: u128, ctx: &EvalContext<'_>) -> bool {
        let most = ctx.statement.max_allowed_packet;
        if length <= most as u128 {
            return true;
        }
        let text = format!("Result of {}() was larger than max_allowed_packet ({most}) - truncated", self.lower_name());
        ctx.statement.warn(WarningLevel::Warning, Fault::mysql(1301, "HY000", text));
        false
    }

    /// 1690 with the call as it was written.
    pub fn out_of_range(&self, kind: &'static str) -> Fault {
        let args: Vec<String> = self.args.iter().map(crate::print::text).collect();
        Fault::NumericOutOfRange { kind: kind.into(), expression: format!("{}({})", self.lower_name(), args.join(",")) }
    }
    pub fn finite(&self, d: f64) -> Result<Value, Fault> {
        if d.is_finite() { Ok(Value::Double(d)) } else { Err(self.out_of_range("DOUBLE")) }
    }
}

/// 1210
pub fn incorrect_arguments(function: &str) -> Fault {
    Fault::mysql(1210, "HY000", format!("Incorrect arguments to {function}"))
}

pub fn warn(ctx: &EvalContext<'_>, number: u16, state: &'static str, text: impl Into<String>) {
    ctx.statement.warn(WarningLevel::Warning, Fault::mysql(number, state, text));
}

/// A text that a function cannot read: NULL with 1411, and an error where a strict statement would store that NULL.
pub fn unreadable(shown: &[u8], function: &str, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let fault = Fault::mysql(1411, "HY000", format!("Incorrect string value: ''{}'' for function {function}", String::from_utf8_lossy(shown)));
    if ctx.statement.modifies_data && crate::store::is_strict(ctx) {
        return Err(fault);
    }
    ctx.statement.warn(WarningLevel::Warning, fault);
    Ok(Value::Null)
}

/// As an integer, rounded; numbers beyond 64 bits stay beyond.
pub fn wide_int(v: &Value, ctx: &EvalContext<'_>) -> Option<i128> {
    coerce::wide_int(v, ctx)
}
/// As a count or position: clamped to where no arithmetic on lengths overflows.
pub fn count(v: &Value, ctx: &EvalContext<'_>) -> Option<i64> {
    coerce::wide_int(v, ctx).map(|n| n.clamp(-(1 << 40), 1 << 40) as i64)
}
pub fn double(v: &Value, ctx: &EvalContext<'_>) -> Option<f64> {
    coerce::double(v, ctx)
}
pub fn decimal(v: &Value, ctx: &EvalContext<'_>) -> Option<Decimal> {
    coerce::decimal(v, ctx)
}
pub fn datetime(v: &Value, ctx: &EvalContext<'_>) -> Option<DateTime> {
    coerce::datetime(v, ctx)
}
pub fn date(v: &Value, ctx: &EvalContext<'_>) -> Option<Date> {
    coerce::date(v, ctx)
}
pub fn time(v: &Value, ctx: &EvalContext<'_>) -> Option<Time> {
    coerce::time(v, ctx)
}

pub fn moment(v: &Value, ctx: &EvalContext<'_>) -> Option<Moment> {
    coerce::moment(v, ctx)
}

/// A time within the bounds of the type; 1292 where it had to be cut.
pub fn bounded_time(micros: i64, ctx: &EvalContext<'_>) -> Value {
    let (time, cut) = Time::from_micros(micros).clamped();
    if cut {
        let shown = Time::from_micros(micros).display(if micros % 1_000_000 == 0 { 0 } else { 6 }).to_string();
        ctx.statement.warn(WarningLevel::Warning, coerce::truncated_temporal("time", &shown));
    }
    Value::Time(time)
}

fn warn_zero_date(shown: String, ctx: &EvalContext<'_>) {
    ctx.statement.warn(WarningLevel::Warning, Fault::TruncatedWrongValue { kind: "datetime".into(), value: shown });
}
/// A date and time that arithmetic is possible with: no zero parts (1292 and NULL for one that has).
pub fn real_datetime(v: &Value, ctx: &EvalContext<'_>) -> Option<DateTime> {
    let d = coerce::datetime(v, ctx)?;
    if d.date().has_zero_part() {
        warn_zero_date(d.display(0).to_string(), ctx);
        return None;
    }
    Some(d)
}
pub fn real_date(v: &Value, ctx: &EvalContext<'_>) -> Option<Date> {
    real_datetime(v, ctx).map(DateTime::date)
}

/// Bytes of the character that starts with `lead`; 1 for what starts none.
pub fn character_length(lead: u8) -> usize {
    match lead {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xFF => 4,
        _ => 1,
    }
}

/// Characters in `s`, or its bytes.
pub fn length(s: &[u8], by_byte: bool) -> usize {
    if by_byte { s.len() } else { s.iter().filter(|b| **b & 0xC0 != 0x80).count() }
}

/// Where character `n` (from 0) starts; the end where there are not so many.
pub fn offset(s: &[u8], n: usize, by_byte: bool) -> usize {
    if by_byte || n >= s.len() {
        return n.min(s.len());
    }
    let mut at = 0;
    for _ in 0..n {
        if at >= s.len() {
            break;
        }
        at += character_length(s[at]);
    }
    at.min(s.len())
}

/// The first `n` characters.
pub fn start(s: &[u8], n: usize, by_byte: bool) -> &[u8] {
    &s[..offset(s, n, by_byte)]
}

/// The integer a literal stands for, where the argument is one.
pub fn literal_int(e: &Expr) -> Option<i64> {
    match e {
        Expr::Literal { value: Value::Int(n), .. } => Some(*n),
        Expr::Literal { value: Value::UInt(n), .. } => Some((*n).min(i64::MAX as u64) as i64),
        _ => None,
    }
}
