//! Products and quotients that pass through more than 256 bits.
//!
//! Owns:     nothing.
//! Promises: exact; only multiplication by and division of numbers below 2^255, results above that are `None`.
//! Never:    on the hot path: values of up to 38 digits do not come here.

use ethnum::{I256, U256};

/// 512 bits, least limb first.
type Limbs = [u64; 8];

fn limbs(v: U256) -> [u64; 4] {
    let (high, low) = v.into_words();
    [low as u64, (low >> 64) as u64, high as u64, (high >> 64) as u64]
}

fn product(a: U256, b: U256) -> Limbs {
    let (a, b) = (limbs(a), limbs(b));
    let mut out = [0u64; 8];
    for i in 0..4 {
        let mut carry = 0u128;
        for j in 0..4 {
            let t = a[i] as u128 * b[j] as u128 + out[i + j] as u128 + carry;
            out[i + j] = t as u64;
            carry = t >> 64;
        }
        out[i + 4] = carry as u64;
    }
    out
}

fn divide_small(v: &mut Limbs, by: u64) {
    let mut rest = 0u128;
    for limb in v.iter_mut().rev() {
        let t = rest << 64 | *limb as u128;
        *limb = (t / by as u128) as u64;
        rest = t % by as u128;
    }
}

fn narrow(v: &Limbs) -> Option<U256> {
    if v[4..].iter().any(|l| *l != 0) || v[3] >> 63 != 0 {
        return None;
    }
    Some(U256::from_words((v[3] as u128) << 64 | v[2] as u128, (v[1] as u128) << 64 | v[0] as u128))
}

/// `a * b / 10^drop`, rounded half away from zero.
pub(super) fn multiply_rounded(a: I256, b: I256, drop: u32) -> Option<I256> {
    let mut p = product(a.unsigned_abs(), b.unsigned_abs());
    let mut left = drop;
    // The last digit to go decides the rounding.
    while left > 1 {
        let step = (left - 1).min(19);
        divide_small(&mut p, 10u64.pow(step));
        left -= step;
    }
    let magnitude = narrow_rounding(p, left)?;
    let value = I256::try_from(magnitude).ok()?;
    Some(if (a.is_negative()) != (b.is_negative()) { -value } else { value })
}

/// `p / 10^left`, rounded half up; `left` is 0 or 1.
fn narrow_rounding(mut p: Limbs, left: u32) -> Option<U256> {
    if left == 1 {
        let mut carry = 5u128;
        for limb in p.iter_mut() {
            let t = *limb as u128 + carry;
            *limb = t as u64;
            carry = t >> 64;
        }
        divide_small(&mut p, 10);
    }
    narrow(&p)
}

/// `a * factor / b`, rounded towards zero; `b` is not 0.
pub(super) fn multiply_divide(a: I256, factor: I256, b: I256) -> Option<I256> {
    let p = product(a.unsigned_abs(), factor.unsigned_abs());
    let divisor = b.unsigned_abs();
    let mut quotient = [0u64; 8];
    let mut rest = U256::ZERO;
    // Shift and subtract: slow, but only for results of more than 76 digits on the way. `rest` stays below `divisor` < 2^255.
    for bit in (0..512).rev() {
        rest = rest << 1 | U256::from((p[bit / 64] >> (bit % 64)) & 1);
        if rest >= divisor {
            rest -= divisor;
            quotient[bit / 64] |= 1 << (bit % 64);
        }
    }
    let value = I256::try_from(narrow(&quotient)?).ok()?;
    Some(if a.is_negative() != b.is_negative() { -value } else { value })
}
