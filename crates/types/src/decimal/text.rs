//! Decimals read from text and printed.
//!
//! Owns:     nothing.
//! Promises: reads any prefix of any bytes; prints every decimal of the scale.
//! Never:    goes through floating point.

use super::{Decimal, POWERS, Repr};
use ethnum::I256;
use std::fmt;

/// What [`Decimal::parse_prefix`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct DecimalPrefix {
    pub value: Decimal,
    /// Bytes read, leading white space included; 0: no number at all (value 0).
    pub consumed: usize,
    /// Digits other than 0 were rounded away (more than 30 decimals, or more than 65 digits).
    pub truncated: bool,
    /// More than 65 digits before the point: `value` is the greatest (or least) there is.
    pub overflow: bool,
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t'..=b'\r')
}

impl Decimal {
    /// A whole text: white space around is allowed, anything else (and a number beyond 65 digits) is `None`. Decimals after the 30th are rounded.
    pub fn parse(text: &str) -> Option<Self> {
        let prefix = Self::parse_prefix(text.as_bytes());
        let rest = &text.as_bytes()[prefix.consumed..];
        (prefix.consumed > 0 && !prefix.overflow && rest.iter().all(|b| is_space(*b))).then_some(prefix.value)
    }

    /// The longest number at the start of `text`: white space, sign, digits, point, exponent.
    pub fn parse_prefix(text: &[u8]) -> DecimalPrefix {
        let mut at = text.iter().take_while(|b| is_space(**b)).count();
        let negative = match text.get(at) {
            Some(b'-') => {
                at += 1;
                true
            }
            Some(b'+') => {
                at += 1;
                false
            }
            _ => false,
        };
        let whole_start = at;
        at += count_digits(&text[at..]);
        let whole = &text[whole_start..at];
        let mut fraction: &[u8] = &[];
        if text.get(at) == Some(&b'.') {
            let n = count_digits(&text[at + 1..]);
            if n > 0 || !whole.is_empty() {
                fraction = &text[at + 1..at + 1 + n];
                at += 1 + n;
            }
        }
        if whole.is_empty() && fraction.is_empty() {
            return DecimalPrefix { value: Self::ZERO, consumed: 0, truncated: false, overflow: false };
        }
        let (exponent, length) = read_exponent(&text[at..]);
        at += length;
        let (value, truncated, overflow) = assemble(negative, whole, fraction, exponent);
        DecimalPrefix { value, consumed: at, truncated, overflow }
    }
}

fn count_digits(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_digit()).count()
}

/// The exponent at the start of `text` and its length; (0, 0) where there is none.
fn read_exponent(text: &[u8]) -> (i64, usize) {
    if !matches!(text.first(), Some(b'e' | b'E')) {
        return (0, 0);
    }
    let sign = usize::from(matches!(text.get(1), Some(b'+' | b'-')));
    let digits = count_digits(&text[1 + sign..]);
    if digits == 0 {
        return (0, 0);
    }
    // Anything beyond a million is beyond every text's own digits, too.
    let magnitude = text[1 + sign..1 + sign + digits].iter().fold(0i64, |n, d| (n * 10 + (d - b'0') as i64).min(1 << 40));
    (if text[1] == b'-' { -magnitude } else { magnitude }, 1 + sign + digits)
}

fn assemble(negative: bool, whole: &[u8], fraction: &[u8], exponent: i64) -> (Decimal, bool, bool) {
    // Most numbers: few digits, no exponent.
    if exponent == 0 && whole.len() + fraction.len() <= 18 {
        let v = whole.iter().chain(fraction).fold(0i64, |n, d| n * 10 + (d - b'0') as i64);
        return (Decimal::new(if negative { -v } else { v } as i128, fraction.len() as u8), false, false);
    }
    let zeros = whole.iter().chain(fraction).take_while(|d| **d == b'0').count();
    let total = whole.len() + fraction.len();
    let digit = |i: i64| -> u8 {
        let i = i as usize + zeros;
        if i < whole.len() { whole[i] - b'0' } else { fraction.get(i - whole.len()).map_or(0, |d| d - b'0') }
    };
    let significant = (total - zeros) as i64;
    // The value is 0.d0 d1 d2 … times 10^point.
    let point = whole.len() as i64 - zeros as i64 + exponent;
    let decimals = (fraction.len() as i64 - exponent).max(0);
    let max_scale = Decimal::MAX_SCALE as i64;
    if significant == 0 {
        return (Decimal::new(0, decimals.min(max_scale) as u8), false, false);
    }
    let max_precision = Decimal::MAX_PRECISION as i64;
    let greatest = || Decimal::max_value(Decimal::MAX_PRECISION, 0);
    let sign = |d: Decimal| if negative { d.neg() } else { d };
    if point > max_precision {
        return (sign(greatest()), false, true);
    }
    let scale = decimals.min(max_scale).min(max_precision - point.max(0));
    let keep = point + scale;
    let mut v = I256::ZERO;
    let (mut chunk, mut length) = (0i128, 0usize);
    for i in 0..keep.max(0) {
        chunk = chunk * 10 + digit(i) as i128;
        length += 1;
        if length == 38 {
            v = v * I256::from(POWERS[38]) + I256::from(chunk);
            (chunk, length) = (0, 0);
        }
    }
    v = v * I256::from(POWERS[length]) + I256::from(chunk);
    let truncated = keep < significant && (keep.max(0)..significant).any(|i| digit(i) != 0);
    if (0..significant).contains(&keep) && digit(keep) >= 5 {
        v += 1;
    }
    match Decimal::from_i256(v, scale as u8) {
        Some(d) => (sign(d), truncated, false),
        // Rounding carried into a 66th digit: with decimals there is room for one fewer.
        None if scale > 0 => (sign(Decimal::from_i256(v / 10, scale as u8 - 1).expect("one digit fewer")), truncated, false),
        None => (sign(greatest()), truncated, true),
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0u8; 80];
        let text = self.write(&mut buffer);
        f.write_str(std::str::from_utf8(text).map_err(|_| fmt::Error)?)
    }
}

impl Decimal {
    /// Appends the text [`Display`](fmt::Display) gives, without the formatting machinery.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        let mut buffer = [0u8; 80];
        let text = self.write(&mut buffer);
        out.extend_from_slice(text);
    }

    /// Fills `buffer` from its end.
    fn write<'a>(&self, buffer: &'a mut [u8; 80]) -> &'a [u8] {
        let scale = self.scale() as usize;
        let mut at = buffer.len();
        let mut written = 0;
        let mut push = |digit: u8, at: &mut usize| {
            if written == scale && scale > 0 {
                *at -= 1;
                buffer[*at] = b'.';
            }
            *at -= 1;
            buffer[*at] = b'0' + digit;
            written += 1;
        };
        // Digits in pieces that machine words divide.
        let mut wide = self.unscaled().unsigned_abs();
        let mut rest = match &self.0 {
            Repr::Small(v, _) => { v.0 }.unsigned_abs(),
            Repr::Large(..) => {
                let piece = POWERS[38].unsigned_abs();
                let low = (wide % piece).as_u128();
                wide /= piece;
                let mut low = low;
                for _ in 0..38 {
                    push((low % 10) as u8, &mut at);
                    low /= 10;
                }
                wide.as_u128()
            }
        };
        while rest > u64::MAX as u128 {
            push((rest % 10) as u8, &mut at);
            rest /= 10;
        }
        let mut rest = rest as u64;
        while rest > 0 {
            push((rest % 10) as u8, &mut at);
            rest /= 10;
        }
        let least = scale + 1;
        while buffer_digits(at, scale) < least {
            push(0, &mut at);
        }
        if self.is_negative() {
            at -= 1;
            buffer[at] = b'-';
        }
        &buffer[at..]
    }
}

/// Digits written so far, given where the next one ends; the point takes a place of its own.
fn buffer_digits(at: usize, scale: usize) -> usize {
    let places = 80 - at;
    if scale > 0 && places > scale { places - 1 } else { places }
}
