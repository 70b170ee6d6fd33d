//! Decimals: MySQL's scales and rounding, and arithmetic against wider integers.

use super::*;
use proptest::prelude::*;

fn d(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

#[test]
fn prints_every_decimal_of_its_scale() {
    for text in [
        "0",
        "0.00",
        "1.50",
        "-0.05",
        "-12.3",
        "99999999999999999999999999999999999999999999999999999999999999999",
        "0.000000000000000000000000000001",
    ] {
        assert_eq!(d(text).to_string(), text);
    }
    assert_eq!(d("-0.00").to_string(), "0.00");
    assert_eq!(std::mem::size_of::<Decimal>(), 24);
}

#[test]
fn reads_what_mysql_reads() {
    let check = |text: &str, value: &str, consumed: usize| {
        let p = Decimal::parse_prefix(text.as_bytes());
        assert_eq!((p.value.to_string().as_str(), p.consumed), (value, consumed), "{text}");
    };
    check("  12.5abc", "12.5", 6);
    check(".5", "0.5", 2);
    check("5.", "5", 2);
    check("-.5e1x", "-5", 5);
    check("1e3", "1000", 3);
    check("1.5e-3", "0.0015", 6);
    check("1e", "1", 1);
    check("1e+", "1", 1);
    check("abc", "0", 0);
    check(".", "0", 0);
    check("-", "0", 0);
    check("1e-400", "0.000000000000000000000000000000", 6);
    check("00000000000000000000000000000000000000000000000000000000000000000000000000001.5", "1.5", 79);
}

#[test]
fn digits_that_do_not_fit_are_rounded_and_reported() {
    let p = Decimal::parse_prefix(b"0.1234567890123456789012345678905");
    assert_eq!((p.value.to_string().as_str(), p.truncated), ("0.123456789012345678901234567891", true));
    let p = Decimal::parse_prefix(format!("{}.99", "9".repeat(65)).as_bytes());
    assert!(p.overflow && p.value == Decimal::max_value(65, 0));
    let p = Decimal::parse_prefix(format!("{}.96", "9".repeat(64)).as_bytes());
    assert_eq!(p.value.to_string(), format!("1{}", "0".repeat(64)));
    assert!(Decimal::parse_prefix(b"-1e66").overflow);
    assert!(Decimal::parse_prefix(b"1e99999999999999999999999").overflow);
}

#[test]
fn equal_numbers_are_equal_whatever_their_scale() {
    use std::collections::hash_map::DefaultHasher;
    let hash = |d: &Decimal| {
        let mut h = DefaultHasher::new();
        d.hash(&mut h);
        h.finish()
    };
    let big = Decimal::max_value(60, 0);
    for (a, b) in [(d("1.0"), d("1.00")), (d("0"), d("0.000")), (d("-5"), d("-5.0")), (big.clone(), big.rescale(5).unwrap())] {
        assert_eq!(a, b);
        assert_eq!(hash(&a), hash(&b));
    }
    assert!(d("1.01") > d("1.001") && d("-2") < d("-1.5") && Decimal::max_value(65, 0) > d("0.000000000000000000000000000001"));
    assert!(Decimal::max_value(65, 30) < Decimal::max_value(65, 0));
}

#[test]
fn division_follows_mysql() {
    let check = |a: &str, b: &str, q: &str| assert_eq!(d(a).div(&d(b), 4).unwrap().to_string(), q, "{a} / {b}");
    check("1", "3", "0.3333");
    check("2", "3", "0.6667");
    check("2.0000", "3", "0.66666667");
    // Cut after a word of nine digits, as MySQL does.
    check("2.00000", "3", "0.666666666");
    check("-2", "3", "-0.6667");
    check("1", "0.00000000000000000000000000001", "100000000000000000000000000000.0000");
    check(
        "99999999999999999999999999999999999.999999999999999999999999999999",
        "3.000000000000000000000000000001",
        "33333333333333333333333333333322222.222222222222222222222222225926",
    );
    assert_eq!(d("1").div(&d("0.0"), 4), None);
    assert_eq!(d("7.5").div_integer(&d("2")).unwrap().to_string(), "3");
    assert_eq!(d("-7.5").rem(&d("2")).unwrap().to_string(), "-1.5");
    assert_eq!(d("10").rem(&d("0.3")).unwrap().to_string(), "0.1");
}

#[test]
fn rounds_half_away_from_zero_on_both_sides_of_the_point() {
    let check = |a: &str, places: i32, r: &str, t: &str| {
        assert_eq!(d(a).round(places).unwrap().to_string(), r, "round {a} {places}");
        assert_eq!(d(a).truncate(places).to_string(), t, "truncate {a} {places}");
    };
    check("2.5", 0, "3", "2");
    check("-2.5", 0, "-3", "-2");
    check("1.005", 2, "1.01", "1.00");
    check("155", -1, "160", "150");
    check("155", -3, "0", "0");
    check("555", -3, "1000", "0");
    check("1.5", 3, "1.5", "1.5");
    check("123.456", -100, "0", "0");
    check("123.456", i32::MIN, "0", "0");
    assert_eq!(d("-1.5").floor().unwrap().to_string(), "-2");
    assert_eq!(d("-1.5").ceil().unwrap().to_string(), "-1");
    assert_eq!(d("1.5").ceil().unwrap().to_string(), "2");
    assert_eq!(Decimal::max_value(65, 0).round(-1).unwrap().to_string(), format!("1{}", "0".repeat(65)));
}

#[test]
fn results_beyond_76_digits_are_none() {
    let max = Decimal::max_value(65, 0);
    let more = max.add(&Decimal::ONE).unwrap();
    assert_eq!(more.to_string(), format!("1{}", "0".repeat(65)));
    assert!(!more.fits(65, 0) && more > max && more.neg() < max.neg());
    assert_eq!(more.sub(&Decimal::ONE), Some(max.clone()));
    assert_eq!(more.truncate(-65), more);
    assert_eq!(more.rescale(1), None);
    assert_eq!(max.mul(&d("1000000000000")), None);
    assert_eq!(max.mul(&max), None);
    assert_eq!(max.add(&d("0.4")).unwrap().to_string(), format!("{}.4", "9".repeat(65)));
    assert_eq!(max.mul(&d("0.1")).unwrap().to_string(), format!("{}.9", "9".repeat(64)));
    assert_eq!(max.rescale(1), None);
    let half = Decimal::max_value(65, 30);
    assert_eq!(half.mul(&max), None);
    assert_eq!(half.mul(&d("0.000000000000000000000000000001")).unwrap().to_string(), "100000.000000000000000000000000000000");
}

#[test]
fn converts_to_and_from_machine_numbers() {
    assert_eq!(d("9223372036854775807.4").to_i64(), Some(i64::MAX));
    assert_eq!(d("9223372036854775807.5").to_i64(), None);
    assert_eq!(d("-0.5").to_i64(), Some(-1));
    assert_eq!(d("18446744073709551615").to_u64(), Some(u64::MAX));
    assert_eq!(d("-1").to_u64(), None);
    assert_eq!(d("0.1").to_f64(), 0.1);
    assert_eq!(Decimal::from_f64(1e22).unwrap().to_string(), "10000000000000000000000");
    assert_eq!(Decimal::from_f64(0.1).unwrap().to_string(), "0.1");
    assert_eq!(Decimal::from_f64_scaled(2.675, 2).unwrap().to_string(), "2.68");
    assert_eq!(Decimal::from_f64(1e70), None);
    assert_eq!(Decimal::from_f64(f64::NAN), None);
    assert_eq!(Decimal::max_value(5, 2).to_string(), "999.99");
    assert!(d("999.99").fits(5, 2) && !d("1000").fits(5, 2) && !d("1.005").fits(5, 2) && d("1.500").fits(2, 1));
}

fn any_decimal() -> impl Strategy<Value = Decimal> {
    (any::<i128>(), 0u32..39, 0u8..=30).prop_map(|(v, drop, s)| Decimal::new(v / POWERS[drop as usize], s))
}

proptest! {
    #[test]
    fn text_reads_back(a in any_decimal()) {
        let b = d(&a.to_string());
        prop_assert_eq!(a.scale(), b.scale());
        prop_assert_eq!(a, b);
    }

    #[test]
    fn sums_and_products_agree_with_integers(a in any::<i64>(), b in any::<i64>(), s in 0u8..10, t in 0u8..10) {
        let (x, y) = (Decimal::new(a as i128, s), Decimal::new(b as i128, t));
        let top = s.max(t);
        let sum = a as i128 * POWERS[(top - s) as usize] + b as i128 * POWERS[(top - t) as usize];
        let got = x.add(&y).unwrap();
        prop_assert_eq!((got.unscaled_i128(), got.scale()), (Some(sum), top));
        let got = x.mul(&y).unwrap();
        prop_assert_eq!((got.unscaled_i128(), got.scale()), (Some(a as i128 * b as i128), s + t));
        prop_assert_eq!(x.cmp(&y), (a as i128 * POWERS[(top - s) as usize]).cmp(&(b as i128 * POWERS[(top - t) as usize])));
    }

    #[test]
    fn quotient_times_divisor_is_near_the_dividend(a in any_decimal(), b in any_decimal()) {
        prop_assume!(!b.is_zero());
        if let Some(q) = a.div_integer(&b) && let Some(r) = a.rem(&b) && let Some(p) = q.mul(&b) && p.precision() < 60 {
            prop_assert_eq!(p.add(&r).unwrap(), a.clone());
            prop_assert!(r.abs() < b.abs());
        }
        let _ = a.div(&b, 4);
    }

    #[test]
    fn wide_and_narrow_ways_agree(a in any::<i64>(), b in any::<i64>(), s in 0u8..=15, t in 0u8..=15) {
        prop_assume!(b != 0);
        let (x, y) = (Decimal::new(a as i128, s), Decimal::new(b as i128, t));
        let wide = super::wide::multiply_rounded(x.unscaled(), y.unscaled(), 7).unwrap();
        let p = a as i128 * b as i128;
        let narrow = (p.unsigned_abs() + 5_000_000) / 10_000_000;
        prop_assert_eq!(wide.unsigned_abs().as_u128(), narrow);
        let q = super::wide::multiply_divide(x.unscaled(), power_wide(10), y.unscaled()).unwrap();
        prop_assert_eq!(q, I256::from(a as i128 * POWERS[10] / b as i128));
    }

    #[test]
    fn nothing_panics(a in any_decimal(), b in any_decimal(), p in any::<i32>(), text in "[-+0-9.eE ]{0,90}") {
        let big = Decimal::max_value(65, b.scale());
        for (x, y) in [(&a, &b), (&a, &big), (&big, &a)] {
            let _ = (x.add(y), x.sub(y), x.mul(y), x.div(y, 4), x.div(y, 30), x.div_integer(y), x.rem(y), x.cmp(y));
            let _ = (x.round(p), x.round(p % 70), x.truncate(p), x.truncate(p % 70), x.floor(), x.ceil(), x.to_i64(), x.to_f64(), x.fits(10, 5));
        }
        let _ = Decimal::parse_prefix(text.as_bytes());
    }
}
