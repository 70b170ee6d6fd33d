//! Values as text, as the text protocol and CAST(… AS CHAR) show them.
//!
//! Owns:     nothing.
//! Promises: MySQL's text to the byte: shortest doubles, fixed decimals, ZEROFILL, fractional seconds as declared.
//! Never:    writes NULL: the caller knows how.

use std::io::Write;
use weald_types::{SqlType, TypeKind, Value};

/// Appends `v`'s text; nothing for NULL.
pub fn write_text(v: &Value, ty: &SqlType, out: &mut Vec<u8>) {
    match v {
        Value::Null => (),
        Value::Int(n) => {
            if let TypeKind::Year = ty.kind {
                let _ = write!(out, "{n:04}");
            } else {
                write_int(*n, out);
            }
        }
        Value::UInt(n) => match &ty.kind {
            TypeKind::Bit { bits } => out.extend_from_slice(&n.to_be_bytes()[8 - (*bits as usize).div_ceil(8)..]),
            TypeKind::Int { zerofill: Some(width), unsigned: true, .. } => {
                let _ = write!(out, "{n:0width$}", width = *width as usize);
            }
            _ => write_uint(*n, out),
        },
        // Inside an expression a quotient has more decimals than its text.
        Value::Decimal(d) => match ty.kind {
            TypeKind::Decimal { scale, .. } if d.scale() > scale => crate::operator::at_scale(d.clone(), ty).write_text(out),
            _ => d.write_text(out),
        },
        Value::Double(d) => match &ty.kind {
            TypeKind::Float { scale: Some(s), .. } | TypeKind::Double { scale: Some(s), .. } => {
                let _ = write!(out, "{d:.prec$}", prec = *s as usize);
            }
            TypeKind::Float { .. } => write_float(*d as f32, out),
            _ => write_double(*d, out),
        },
        Value::Str(s) => out.extend_from_slice(s.as_bytes()),
        Value::Bytes(b) => out.extend_from_slice(b),
        Value::Date(d) => {
            let _ = write!(out, "{d}");
        }
        Value::Time(t) => {
            let _ = write!(out, "{}", t.display(ty.kind.fsp().unwrap_or(if t.microseconds() == 0 { 0 } else { 6 })));
        }
        Value::DateTime(d) => {
            let _ = write!(out, "{}", d.display(ty.kind.fsp().unwrap_or(if d.microsecond() == 0 { 0 } else { 6 })));
        }
        Value::Json(j) => {
            let _ = write!(out, "{j}");
        }
    }
}

pub fn write_int(n: i64, out: &mut Vec<u8>) {
    if n < 0 {
        out.push(b'-');
    }
    write_uint(n.unsigned_abs(), out)
}

pub fn write_uint(mut n: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The shortest text that reads back as `d`, in MySQL's form: plain up to 15 digits left of the point, else `1e20`.
pub fn write_double(d: f64, out: &mut Vec<u8>) {
    write_shortest(&format!("{d:e}"), out)
}

/// FLOAT columns show six significant digits.
pub fn write_float(f: f32, out: &mut Vec<u8>) {
    let text = format!("{:.5e}", f as f64);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    write_shortest(&format!("{mantissa}e{exponent}"), out)
}

/// `scientific`: `d.ddde±x`, shortest.
fn write_shortest(scientific: &str, out: &mut Vec<u8>) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(m) => ("-", m),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    if digits == "0" {
        out.extend_from_slice(if sign.is_empty() { b"0" } else { b"-0" });
        return;
    }
    out.extend_from_slice(sign.as_bytes());
    let n = digits.len() as i32;
    // MySQL goes to exponents where the plain form would be wider than its field; a number with a fraction is never shorter so.
    if exponent < -15 || (exponent >= 15 && n <= exponent + 1) {
        out.push(digits.as_bytes()[0]);
        if n > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits.as_bytes()[1..]);
        }
        let _ = write!(out, "e{exponent}");
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
        out.extend_from_slice(digits.as_bytes());
    } else if n <= exponent + 1 {
        out.extend_from_slice(digits.as_bytes());
        out.extend(std::iter::repeat_n(b'0', (exponent + 1 - n) as usize));
    } else {
        out.extend_from_slice(&digits.as_bytes()[..(exponent + 1) as usize]);
        out.push(b'.');
        out.extend_from_slice(&digits.as_bytes()[(exponent + 1) as usize..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_print_as_mysql_prints_them() {
        for (d, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (1e14, "100000000000000"),
            (1e15, "1e15"),
            (1e20, "1e20"),
            (1.5e300, "1.5e300"),
            (1e-5, "0.00001"),
            (1e-16, "1e-16"),
            (123456.789, "123456.789"),
            (3.0 / 7.0, "0.42857142857142855"),
            (1.7976931348623157e308, "1.7976931348623157e308"),
        ] {
            let mut out = Vec::new();
            write_double(d, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn floats_show_six_digits() {
        for (f, text) in [
            (1.1f32, "1.1"),
            (3.333_333_3, "3.33333"),
            (123456.0, "123456"),
            (1234567.0, "1234570"),
            (1e15, "1e15"),
            (1e-10, "0.0000000001"),
            (1e-3, "0.001"),
        ] {
            let mut out = Vec::new();
            write_float(f, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
