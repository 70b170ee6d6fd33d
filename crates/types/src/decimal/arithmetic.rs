//! Decimal arithmetic, by MySQL's rules for the scale of a result.
//!
//! Owns:     nothing.
//! Promises: exact where the result's scale allows; a result beyond 76 digits first loses decimals, then is `None`.
//! Never:    panics on overflow.

use super::wide::{multiply_divide, multiply_rounded};
use super::{Decimal, POWERS, Repr, digits_wide, power_wide};
use ethnum::I256;

/// `v / 10^drop` rounded half away from zero.
fn divide_rounded(v: I256, drop: u32) -> I256 {
    if drop > 76 {
        return I256::ZERO;
    }
    let p = power_wide(drop);
    let (q, r) = (v / p, v % p);
    if r.unsigned_abs() >= (p / 2).unsigned_abs() && drop > 0 { q + v.signum() } else { q }
}

fn divide_rounded_small(v: i128, drop: u32) -> i128 {
    if drop == 0 {
        return v;
    }
    if drop > 38 {
        return 0;
    }
    let p = POWERS[drop as usize];
    let (q, r) = (v / p, v % p);
    if r.unsigned_abs() >= p.unsigned_abs() / 2 { q + v.signum() } else { q }
}

/// A result of too many digits gives up decimals; `None` if the digits before the point are too many.
fn fit(v: I256, scale: u32) -> Option<Decimal> {
    let excess = digits_wide(v).saturating_sub(Decimal::MAX_DIGITS);
    let drop = excess.max(scale.saturating_sub(Decimal::MAX_SCALE as u32));
    if drop == 0 {
        return Decimal::wide(v, scale as u8);
    }
    let drop = drop.min(scale);
    Decimal::wide(divide_rounded(v, drop), (scale - drop) as u8)
}

/// Decimals that MySQL computes of a quotient of numbers with `s` and `t` decimals: whole words of nine digits.
fn computed_decimals(s: u32, t: u32, increment: u32) -> u32 {
    let (ws, wt) = (s.next_multiple_of(9), t.next_multiple_of(9));
    let spare = ws - s + wt - t;
    (ws + wt + increment.saturating_sub(spare)).next_multiple_of(9)
}

impl Decimal {
    pub fn add(&self, other: &Self) -> Option<Self> {
        if let (Repr::Small(a, s), Repr::Small(b, t)) = (&self.0, &other.0) {
            let (a, b, s, t) = (a.0, b.0, *s, *t);
            let (a, b) = if s < t { (a.checked_mul(POWERS[(t - s) as usize]), Some(b)) } else { (Some(a), b.checked_mul(POWERS[(s - t) as usize])) };
            if let Some(sum) = a.zip(b).and_then(|(a, b)| a.checked_add(b)) {
                return Some(Self::new(sum, s.max(t)));
            }
        }
        let (s, t) = (self.scale() as u32, other.scale() as u32);
        // 75 digits and a carry fit 256 bits; decimals that would pass that are beyond 65 digits anyway.
        let whole = self.integer_digits().max(other.integer_digits()) as u32;
        let scale = s.max(t).min(75u32.saturating_sub(whole));
        let align = |v: I256, from: u32| if from <= scale { v * power_wide(scale - from) } else { divide_rounded(v, from - scale) };
        fit(align(self.unscaled(), s) + align(other.unscaled(), t), scale)
    }

    pub fn sub(&self, other: &Self) -> Option<Self> {
        self.add(&other.neg())
    }

    /// Scale is the sum of the scales, at most 30 (rounded).
    pub fn mul(&self, other: &Self) -> Option<Self> {
        let scale = self.scale() as u32 + other.scale() as u32;
        if scale <= Self::MAX_SCALE as u32
            && let (Some(a), Some(b)) = (self.unscaled_i128(), other.unscaled_i128())
            && let Some(product) = a.checked_mul(b)
        {
            return Some(Self::new(product, scale as u8));
        }
        let (a, b) = (self.unscaled(), other.unscaled());
        let drop = scale.saturating_sub(Self::MAX_SCALE as u32);
        if let Some(product) = a.checked_mul(b) {
            return fit(divide_rounded(product, drop), scale - drop);
        }
        // Drop at once what 65 digits cannot hold: two digits fewer than the operands have together is the least the product can have.
        let digits = digits_wide(a) + digits_wide(b);
        let drop = drop.max(digits.saturating_sub(75)).min(scale);
        fit(multiply_rounded(a, b, drop)?, scale - drop)
    }

    /// Scale is `self.scale() + increment` (`div_precision_increment`), at most 30. `None` also for division by zero: check [`is_zero`](Self::is_zero) first.
    ///
    /// MySQL computes in words of nine digits, cuts after the last word and only then rounds, so that 2.00000 / 3 is 0.666666666
    /// (`do_div_mod` in MySQL's decimal.cc); so do we.
    pub fn div(&self, other: &Self, increment: u8) -> Option<Self> {
        let scale = (self.scale() as u32 + increment as u32).min(Self::MAX_SCALE as u32);
        self.quotient(other, self.quotient_decimals(other, increment), scale)
    }

    /// The quotient as MySQL holds it inside an expression: all decimals of its last word of nine digits, cut, at most 30. Only what leaves the
    /// expression is rounded to the scale of [`div`](Self::div): so 1 / 3 * 3 is 1.0000, not 0.9999.
    pub fn div_unrounded(&self, other: &Self, increment: u8) -> Option<Self> {
        let computed = self.quotient_decimals(other, increment);
        self.quotient(other, computed, computed.min(Self::MAX_SCALE as u32))
    }

    fn quotient_decimals(&self, other: &Self, increment: u8) -> u32 {
        computed_decimals(self.scale() as u32, other.scale() as u32, increment as u32)
    }

    /// Decimals of what [`div_unrounded`](Self::div_unrounded) gives for operands with so many decimals.
    pub fn quotient_scale(s: u8, t: u8, increment: u8) -> u8 {
        computed_decimals(s as u32, t as u32, increment as u32).min(Self::MAX_SCALE as u32) as u8
    }

    /// The quotient cut after `computed` decimals, then rounded to `scale`.
    fn quotient(&self, other: &Self, computed: u32, scale: u32) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        let (s, t) = (self.scale() as u32, other.scale() as u32);
        let computed = computed.max(scale);
        // self / other = (a / 10^s) / (b / 10^t); the quotient with `computed` decimals is a * 10^(computed - s + t) / b.
        let shift = (computed + t).saturating_sub(s);
        if shift <= 38
            && let (Some(a), Some(b)) = (self.unscaled_i128(), other.unscaled_i128())
            && let Some(n) = a.checked_mul(POWERS[shift as usize])
        {
            return Some(Self::new(divide_rounded_small(n / b, computed - scale), scale as u8));
        }
        if shift <= 76
            && let (a, b) = (self.unscaled(), other.unscaled())
            && let Some(quotient) = a.checked_mul(power_wide(shift)).map(|n| n / b).or_else(|| multiply_divide(a, power_wide(shift), b))
        {
            return fit(divide_rounded(quotient, computed - scale), scale);
        }
        // So many digits are not there to be cut by words: one more than asked for decides the rounding.
        let quotient = multiply_divide(self.unscaled(), power_wide((scale + 1 + t).saturating_sub(s)), other.unscaled())?;
        fit(divide_rounded(quotient, 1), scale)
    }

    /// Quotient rounded towards zero, as DIV does.
    pub fn div_integer(&self, other: &Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        let (s, t) = (self.scale() as u32, other.scale() as u32);
        let (a, b) = (self.unscaled(), other.unscaled());
        let quotient = if s >= t {
            // A divisor too great for 256 bits is greater than any dividend.
            b.checked_mul(power_wide(s - t)).map_or(I256::ZERO, |b| a / b)
        } else {
            match a.checked_mul(power_wide(t - s)) {
                Some(a) => a / b,
                None => multiply_divide(a, power_wide(t - s), b)?,
            }
        };
        Self::from_i256(quotient, 0)
    }

    /// Remainder with the sign of `self`; `None` for division by zero.
    pub fn rem(&self, other: &Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        let (s, t) = (self.scale(), other.scale());
        let scale = s.max(t);
        if let (Some(a), Some(b)) = (self.unscaled_i128(), other.unscaled_i128())
            && let (Some(a), Some(b)) = (a.checked_mul(POWERS[(scale - s) as usize]), b.checked_mul(POWERS[(scale - t) as usize]))
        {
            return Some(Self::new(a % b, scale));
        }
        let (a, b) = (self.unscaled(), other.unscaled());
        match b.checked_mul(power_wide((scale - t) as u32)) {
            Some(b) => match a.checked_mul(power_wide((scale - s) as u32)) {
                Some(a) => fit(a % b, scale as u32),
                None => {
                    // (a * 10^k) mod b one digit at a time: every step stays below 10 b, and b is below 10^76 / 10 unless nothing is left to do.
                    let mut rest = a % b;
                    for _ in s..scale {
                        rest = rest.checked_mul(I256::from(10))? % b;
                    }
                    fit(rest, scale as u32)
                }
            },
            // The divisor is greater than the dividend.
            None => Some(self.clone()),
        }
    }

    pub fn neg(&self) -> Self {
        match &self.0 {
            Repr::Small(v, s) if v.0 != i128::MIN => Self::new(-v.0, *s),
            _ => Self::wide(-self.unscaled(), self.scale()).expect("as many digits as before"),
        }
    }
    pub fn abs(&self) -> Self {
        if self.is_negative() { self.neg() } else { self.clone() }
    }

    /// ROUND(x, places): half away from zero; negative `places` round before the point. The result has `max(places, 0)` decimals where that is
    /// fewer than before, and as many as before otherwise. `None` where the carry makes a 77th digit.
    pub fn round(&self, places: i32) -> Option<Self> {
        let drop = self.scale() as i64 - places as i64;
        if drop <= 0 {
            return Some(self.clone());
        }
        let drop = drop.min(100) as u32;
        let scale = places.max(0) as u8;
        if let Some(v) = self.unscaled_i128()
            && let rounded = divide_rounded_small(v, drop)
            && (places >= 0 || rounded == 0)
        {
            return Some(Self::new(rounded, scale));
        }
        let rounded = divide_rounded(self.unscaled(), drop);
        let zeros = (-places).max(0) as u32;
        if zeros == 0 || rounded == 0 {
            return Self::wide(rounded, scale);
        }
        Self::wide(rounded.checked_mul(power_wide(zeros))?, 0)
    }

    /// TRUNCATE(x, places): towards zero; decimals as for [`Decimal::round`].
    pub fn truncate(&self, places: i32) -> Self {
        let drop = self.scale() as i64 - places as i64;
        if drop <= 0 {
            return self.clone();
        }
        if drop > 76 {
            return Self::new(0, places.max(0) as u8);
        }
        let p = power_wide(drop as u32);
        let cut = self.unscaled() / p;
        let cut = if places < 0 { cut * power_wide(-places as u32) } else { cut };
        Self::wide(cut, places.max(0) as u8).expect("no greater than before")
    }

    /// `None` where the carry makes a 77th digit.
    pub fn floor(&self) -> Option<Self> {
        let cut = self.truncate(0);
        if self.is_negative() && cut != *self { cut.sub(&Self::ONE) } else { Some(cut) }
    }
    /// `None` where the carry makes a 77th digit.
    pub fn ceil(&self) -> Option<Self> {
        let cut = self.truncate(0);
        if !self.is_negative() && cut != *self { cut.add(&Self::ONE) } else { Some(cut) }
    }

    /// The same number with exactly `scale` decimals, rounded half away from zero; `None` beyond 65 digits or scale 30.
    pub fn rescale(&self, scale: u8) -> Option<Self> {
        let own = self.scale();
        if scale > Self::MAX_SCALE {
            return None;
        }
        if scale <= own {
            return self.round(scale as i32);
        }
        let grow = scale - own;
        if let Some(v) = self.unscaled_i128().and_then(|v| v.checked_mul(POWERS[grow as usize])) {
            return Some(Self::new(v, scale));
        }
        Self::from_i256(self.unscaled().checked_mul(power_wide(grow as u32))?, scale)
    }
}
