//! Doubles as text, as MySQL prints them.
//!
//! Owns:     nothing.
//! Promises: the shortest digits that read back as the same double; plain up to 15 digits before the point (more where others follow it) and 14 zeros after it, else with an exponent.
//! Never:    prints a locale's point.

/// Appends `v` as MySQL's `my_gcvt` writes it: 0.1, 100000, 1e20, 1.5e-20. NaN and infinities, which SQL does not have, as Rust does.
pub fn write_double(v: f64, out: &mut String) {
    write(v, &format!("{v:e}"), v.is_finite(), out)
}

/// The same for a FLOAT: the shortest digits that read back as the same `f32`.
pub fn write_float(v: f32, out: &mut String) {
    write(v as f64, &format!("{v:e}"), v.is_finite(), out)
}

fn write(v: f64, scientific: &str, finite: bool, out: &mut String) {
    if !finite {
        out.push_str(scientific);
        return;
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    // -0 prints as -0 in MySQL, too.
    if v.is_sign_negative() {
        out.push('-');
    }
    // Where the point goes: behind so many digits.
    let point = exponent + 1;
    // A number with a fraction is never shorter with an exponent.
    if point < -14 || (point > 15 && digits.len() <= point as usize) {
        out.push_str(mantissa);
        out.push('e');
        out.push_str(&exponent.to_string());
    } else if point <= 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', -point as usize));
        out.push_str(&digits);
    } else {
        let point = point as usize;
        if digits.len() <= point {
            out.push_str(&digits);
            out.extend(std::iter::repeat_n('0', point - digits.len()));
        } else {
            out.push_str(&digits[..point]);
            out.push('.');
            out.push_str(&digits[point..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_print_as_mysql_prints_them() {
        let check = |v: f64, text: &str| {
            let mut out = String::new();
            write_double(v, &mut out);
            assert_eq!(out, text);
            assert_eq!(out.parse::<f64>().unwrap(), v);
        };
        check(0.0, "0");
        check(1.0, "1");
        check(-1.5, "-1.5");
        check(0.1, "0.1");
        check(1e14, "100000000000000");
        check(1e15, "1e15");
        check(123456789012345.6, "123456789012345.6");
        check(1.2345678901234568e17, "1.2345678901234568e17");
        check(0.00001, "0.00001");
        check(1e-15, "0.000000000000001");
        check(1e-16, "1e-16");
        check(1e20, "1e20");
        check(1.7976931348623157e308, "1.7976931348623157e308");
        let mut out = String::new();
        write_float(0.1, &mut out);
        assert_eq!(out, "0.1");
    }
}
