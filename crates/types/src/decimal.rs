//! MySQL's DECIMAL: exact, up to 65 digits, scale 0 to 30.
//!
//! Owns:     its digits: an `i128` where they fit, boxed 256 bits where they do not.
//! Promises: compares, hashes and orders by numeric value (1.0 = 1.00); prints its scale exactly. A result of arithmetic
//!           may have up to 76 digits (MySQL's: 81); [`Decimal::fits`] says what a column holds.
//! Never:    rounds silently, except where MySQL does; an answer that does not fit is `None`.

mod arithmetic;
#[cfg(test)]
mod tests;
mod text;
mod wide;

pub use text::DecimalPrefix;

use ethnum::I256;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// An exact number. Every number that fits 128 bits is `Small`, so that most work is on machine words.
#[derive(Clone)]
pub struct Decimal(Repr);

#[derive(Clone)]
enum Repr {
    Small(Small, u8),
    /// Beyond `i128`, at most 76 digits.
    Large(Box<I256>, u8),
}

/// An `i128` that asks for the alignment of a `u64` only: a [`Decimal`] is then 24 bytes, not 32.
#[derive(Clone, Copy)]
#[repr(C, packed(8))]
struct Small(i128);

/// 10^n for n up to 38.
const POWERS: [i128; 39] = {
    let mut powers = [1i128; 39];
    let mut n = 1;
    while n < 39 {
        powers[n] = powers[n - 1] * 10;
        n += 1;
    }
    powers
};

/// 10^n for n up to 76, the most that 256 bits hold.
fn power_wide(n: u32) -> I256 {
    if n <= 38 { I256::from(POWERS[n as usize]) } else { I256::from(POWERS[38]) * I256::from(POWERS[n as usize - 38]) }
}

/// Decimal digits of `v`; 0 has none.
fn digits_small(v: u128) -> u32 {
    v.checked_ilog10().map_or(0, |n| n + 1)
}

fn digits_wide(v: I256) -> u32 {
    let v = v.unsigned_abs();
    if let Ok(small) = u128::try_from(v) {
        return digits_small(small);
    }
    let mut n = 39;
    while n < 77 && v >= power_wide(n.min(76)).unsigned_abs() {
        n += 1;
    }
    n
}

impl Decimal {
    pub const MAX_PRECISION: u8 = 65;
    pub const MAX_SCALE: u8 = 30;
    /// Of a result inside an expression.
    const MAX_DIGITS: u32 = 76;
    pub const ZERO: Decimal = Decimal::new(0, 0);
    pub const ONE: Decimal = Decimal::new(1, 0);

    /// `unscaled / 10^scale`. A scale beyond 30 is cut to 30, digits below are dropped.
    pub const fn new(mut unscaled: i128, mut scale: u8) -> Self {
        while scale > Self::MAX_SCALE {
            unscaled /= 10;
            scale -= 1;
        }
        Self(Repr::Small(Small(unscaled), scale))
    }

    /// `None` beyond 65 digits, or beyond scale 30.
    pub fn from_i256(unscaled: I256, scale: u8) -> Option<Self> {
        Self::wide(unscaled, scale).filter(|d| d.digits() <= Self::MAX_PRECISION as u32)
    }

    /// `None` beyond 76 digits, or beyond scale 30.
    fn wide(unscaled: I256, scale: u8) -> Option<Self> {
        if scale > Self::MAX_SCALE {
            return None;
        }
        if let Ok(small) = i128::try_from(unscaled) {
            return Some(Self::new(small, scale));
        }
        (unscaled.unsigned_abs() < power_wide(Self::MAX_DIGITS).unsigned_abs()).then(|| Self(Repr::Large(Box::new(unscaled), scale)))
    }

    /// Of a peer's numbers: `None` for what is none of ours.
    pub(crate) fn checked(unscaled: I256, scale: u8) -> Option<Self> {
        Self::wide(unscaled, scale)
    }

    pub const fn from_i64(v: i64) -> Self {
        Self::new(v as i128, 0)
    }
    pub const fn from_u64(v: u64) -> Self {
        Self::new(v as i128, 0)
    }
    pub const fn from_i128(v: i128) -> Self {
        Self::new(v, 0)
    }

    /// The nearest decimal with `scale` decimals; `None` for what has more than 65 digits, NaN and infinity.
    pub fn from_f64_scaled(v: f64, scale: u8) -> Option<Self> {
        Self::from_f64(v)?.rescale(scale)
    }

    /// The shortest decimal text that reads back as `v`, as a decimal; at most 30 decimals. `None` as above.
    pub fn from_f64(v: f64) -> Option<Self> {
        if !v.is_finite() {
            return None;
        }
        // Whole numbers are common (COUNT, ids) and need no text.
        if v.fract() == 0.0 && v.abs() < 9e15 {
            return Some(Self::from_i64(v as i64));
        }
        let prefix = Self::parse_prefix(format!("{v:e}").as_bytes());
        (!prefix.overflow).then_some(prefix.value)
    }

    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        // Both operands are exact, so the one division rounds correctly.
        if let Repr::Small(v, scale) = &self.0 {
            let v = v.0;
            if v.unsigned_abs() < 1 << 53 && *scale <= 22 {
                return v as f64 / POWERS[*scale as usize] as f64;
            }
        }
        self.to_string().parse().expect("a decimal's text is a number")
    }

    /// Rounded half away from zero; `None` when it does not fit.
    pub fn to_i64(&self) -> Option<i64> {
        self.to_i128()?.try_into().ok()
    }
    /// Rounded half away from zero; `None` when it does not fit, or is negative.
    pub fn to_u64(&self) -> Option<u64> {
        self.to_i128()?.try_into().ok()
    }
    /// Rounded half away from zero; `None` when it does not fit.
    pub fn to_i128(&self) -> Option<i128> {
        self.rescale(0)?.unscaled_i128()
    }

    pub fn scale(&self) -> u8 {
        match self.0 {
            Repr::Small(_, s) | Repr::Large(_, s) => s,
        }
    }
    pub fn unscaled_i128(&self) -> Option<i128> {
        match &self.0 {
            Repr::Small(v, _) => Some(v.0),
            Repr::Large(..) => None,
        }
    }
    pub fn unscaled(&self) -> I256 {
        match &self.0 {
            Repr::Small(v, _) => I256::from(v.0),
            Repr::Large(v, _) => **v,
        }
    }
    pub fn is_zero(&self) -> bool {
        self.unscaled_i128() == Some(0)
    }
    pub fn is_negative(&self) -> bool {
        self.signum() < 0
    }
    /// -1, 0 or 1.
    pub fn signum(&self) -> i32 {
        match &self.0 {
            Repr::Small(v, _) => { v.0 }.signum() as i32,
            Repr::Large(v, _) => v.signum().as_i32(),
        }
    }

    fn digits(&self) -> u32 {
        match &self.0 {
            Repr::Small(v, _) => digits_small({ v.0 }.unsigned_abs()),
            Repr::Large(v, _) => digits_wide(**v),
        }
    }
    /// Digits in all, at least 1 and at least `scale`.
    pub fn precision(&self) -> u8 {
        (self.digits() as u8).max(self.scale()).max(1)
    }
    /// Digits before the point, without leading zeros.
    pub fn integer_digits(&self) -> u8 {
        (self.digits() as u8).saturating_sub(self.scale())
    }

    /// Whether DECIMAL(precision, scale) holds it without rounding.
    pub fn fits(&self, precision: u8, scale: u8) -> bool {
        self.integer_digits() <= precision.saturating_sub(scale) && (self.scale() <= scale || self.truncate(scale as i32) == *self)
    }
    /// 99…9.99…9 of DECIMAL(precision, scale).
    pub fn max_value(precision: u8, scale: u8) -> Self {
        let precision = precision.clamp(1, Self::MAX_PRECISION);
        Self::from_i256(power_wide(precision as u32) - 1, scale.min(Self::MAX_SCALE)).expect("at most 65 nines")
    }

    /// Trailing zeros after the point gone: one form for each number.
    fn normal(&self) -> (I256, u8) {
        let (mut v, mut scale) = (self.unscaled(), self.scale());
        while scale > 0 {
            if v % 10 != 0 {
                break;
            }
            v /= 10;
            scale -= 1;
        }
        (v, scale)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let (s, t) = (self.scale(), other.scale());
        if let (Some(a), Some(b)) = (self.unscaled_i128(), other.unscaled_i128()) {
            let aligned = match s.cmp(&t) {
                Ordering::Equal => return a.cmp(&b),
                Ordering::Less => a.checked_mul(POWERS[(t - s) as usize]).map(|a| a.cmp(&b)),
                Ordering::Greater => b.checked_mul(POWERS[(s - t) as usize]).map(|b| a.cmp(&b)),
            };
            if let Some(order) = aligned {
                return order;
            }
        }
        // Whole parts first: fractions are below 10^30 and can always be brought to one scale.
        let (a, b) = (self.unscaled(), other.unscaled());
        let (p, q) = (power_wide(s as u32), power_wide(t as u32));
        let top = s.max(t) as u32;
        (a / p).cmp(&(b / q)).then_with(|| (a % p * power_wide(top - s as u32)).cmp(&(b % q * power_wide(top - t as u32))))
    }
}
impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Decimal {}
impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (v, scale) = match &self.0 {
            // The common case without 256-bit division.
            Repr::Small(v, scale) => {
                let (mut v, mut scale) = (v.0, *scale);
                while scale > 0 && v % 10 == 0 {
                    v /= 10;
                    scale -= 1;
                }
                (I256::from(v), scale)
            }
            Repr::Large(..) => self.normal(),
        };
        scale.hash(state);
        v.0.hash(state);
    }
}
impl std::fmt::Debug for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}
impl From<i64> for Decimal {
    fn from(v: i64) -> Self {
        Self::from_i64(v)
    }
}
