//! FORMAT_BYTES and FORMAT_PICO_TIME: amounts as people read them.
//!
//! Owns:     nothing.
//! Promises: MySQL's units and its two decimals.
//! Never:    rounds what it was given before choosing the unit.

use super::argument::{double, known};
use super::result_type::own_text;
use super::{Call, FunctionDef};
use crate::EvalContext;
use weald_types::{Fault, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("FORMAT_BYTES", 1, 1, |_, c| own_text(16, true, c), |call, v, ctx| format(call, v, ctx, BYTES)),
    FunctionDef::new("FORMAT_PICO_TIME", 1, 1, |_, c| own_text(17, true, c), |call, v, ctx| format(call, v, ctx, TIMES)),
];

/// Units with their sizes, the smallest first, and how wide its whole numbers are.
type Units = (&'static [(f64, &'static str)], usize);

const KIB: f64 = 1024.0;
const BYTES: Units = (
    &[
        (1.0, "bytes"),
        (KIB, "KiB"),
        (KIB * KIB, "MiB"),
        (KIB * KIB * KIB, "GiB"),
        (KIB * KIB * KIB * KIB, "TiB"),
        (KIB * KIB * KIB * KIB * KIB, "PiB"),
        (KIB * KIB * KIB * KIB * KIB * KIB, "EiB"),
    ],
    4,
);
const TIMES: Units = (&[(1.0, "ps"), (1e3, "ns"), (1e6, "us"), (1e9, "ms"), (1e12, "s"), (60e12, "min"), (3_600e12, "h"), (86_400e12, "d")], 3);

fn format(_: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>, (units, width): Units) -> Result<Value, Fault> {
    let amount = known!(double(&v[0], ctx));
    let (size, unit) = units.iter().rev().find(|(size, _)| amount.abs() >= *size).copied().unwrap_or(units[0]);
    let scaled = amount / size;
    Ok(Value::str(if size == 1.0 {
        format!("{:width$} {unit}", scaled as i64)
    } else if scaled.abs() >= 100_000.0 {
        // As C writes it: at least two digits of exponent.
        let text = format!("{scaled:.2e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        format!("{digits}e+{exponent:0>2} {unit}")
    } else {
        format!("{scaled:.2} {unit}")
    }))
}

#[cfg(test)]
mod tests {
    use crate::testing::call;
    use weald_types::Value;

    #[test]
    fn amounts_have_the_unit_that_suits_them() {
        for (name, amount, expected) in [
            ("FORMAT_BYTES", Value::Int(512), " 512 bytes"),
            ("FORMAT_BYTES", Value::Int(0), "   0 bytes"),
            ("FORMAT_BYTES", Value::Int(1536), "1.50 KiB"),
            ("FORMAT_BYTES", Value::UInt(u64::MAX), "16.00 EiB"),
            ("FORMAT_PICO_TIME", Value::Int(3501), "3.50 ns"),
            ("FORMAT_PICO_TIME", Value::Int(188_732_396_662_000), "3.15 min"),
            ("FORMAT_PICO_TIME", Value::Int(12), " 12 ps"),
        ] {
            assert_eq!(call(name, &[amount]), Ok(Value::str(expected)));
        }
    }
}
