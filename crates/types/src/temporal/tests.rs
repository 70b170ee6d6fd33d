//! Dates and times as MySQL reads, shows and rounds them.

use super::*;
use proptest::prelude::*;

const LENIENT: SqlMode = SqlMode(0);
const STRICT: SqlMode = SqlMode::DEFAULT;

fn datetime(text: &str, fsp: u8, mode: SqlMode) -> String {
    match DateTime::parse_with_offset(text, fsp, mode) {
        (Parsed::Ok(v), None) => v.display(fsp).to_string(),
        (Parsed::Ok(v), Some(o)) => format!("{} {o}", v.display(fsp)),
        (Parsed::Truncated(v), _) => format!("{} cut", v.display(fsp)),
        (Parsed::OutOfRange(_), _) => "out of range".into(),
        (Parsed::Invalid, _) => "invalid".into(),
    }
}

fn time(text: &str, fsp: u8) -> String {
    match Time::parse(text, fsp, STRICT) {
        Parsed::Ok(v) => v.display(fsp).to_string(),
        Parsed::Truncated(v) => format!("{} cut", v.display(fsp)),
        Parsed::OutOfRange(v) => format!("{} out of range", v.display(fsp)),
        Parsed::Invalid => "invalid".into(),
    }
}

#[test]
fn datetimes_are_read_in_all_of_mysqls_formats() {
    for (text, value) in [
        ("2024-01-31 12:34:56", "2024-01-31 12:34:56"),
        ("2024-01-31", "2024-01-31 00:00:00"),
        ("  2024-01-31  ", "2024-01-31 00:00:00"),
        ("2024-1-2 3:4:5", "2024-01-02 03:04:05"),
        ("2024-01-31T12:34:56", "2024-01-31 12:34:56"),
        ("2024-01-31 12", "2024-01-31 12:00:00"),
        ("2024-01-31 12:34", "2024-01-31 12:34:00"),
        ("2024/01.31 12^34*56", "2024-01-31 12:34:56"),
        ("69-12-31", "2069-12-31 00:00:00"),
        ("70-01-01", "1970-01-01 00:00:00"),
        ("20240131", "2024-01-31 00:00:00"),
        ("240131", "2024-01-31 00:00:00"),
        ("20240131123456", "2024-01-31 12:34:56"),
        ("20240131T123456", "2024-01-31 12:34:56"),
        ("240131123456", "2024-01-31 12:34:56"),
        ("2401311234", "2024-01-31 12:34:00"),
        ("24013112", "invalid"),
        ("2024-01-31 12:34:56 ", "2024-01-31 12:34:56"),
        ("2024-01-31 12:34:56x", "2024-01-31 12:34:56 cut"),
        ("2024-01-31x", "2024-01-31 00:00:00 cut"),
        ("2024-01-31 12:34:56.5", "2024-01-31 12:34:57"),
        ("2024-01-31 23:59:59.5", "2024-02-01 00:00:00"),
        ("9999-12-31 23:59:59.5", "invalid"),
        ("2024-01-31 12:34:56+05:30", "2024-01-31 12:34:56 19800"),
        ("2024-01-31 12:34:56-08:00", "2024-01-31 12:34:56 -28800"),
        ("2024-01-31 12:34:56.25+00:00", "2024-01-31 12:34:56 0"),
        ("2024-01-31 12:34:56.25+15:00", "invalid"),
        ("2024-01-31 12:34:56+15:00", "2024-01-31 12:34:56 cut"),
        ("2024-01-31 24:00:00", "invalid"),
        ("2024-01-31 12:60:00", "invalid"),
        ("2024-13-01", "invalid"),
        ("2024-02-30", "invalid"),
        ("2023-02-29", "invalid"),
        ("2024-02-29", "2024-02-29 00:00:00"),
        ("2024-01", "invalid"),
        ("2024 01 02", "invalid"),
        ("10000-01-01", "invalid"),
        ("x", "invalid"),
        ("", "invalid"),
        ("-2024-01-01", "invalid"),
        ("99999999999999999999999999", "invalid"),
        ("0000-00-00", "invalid"),
        ("2024-00-10", "invalid"),
    ] {
        assert_eq!(datetime(text, 0, STRICT), value, "{text}");
    }
}

#[test]
fn zero_dates_depend_on_the_mode() {
    assert_eq!(datetime("0000-00-00", 0, LENIENT), "0000-00-00 00:00:00");
    assert_eq!(datetime("2024-00-10", 0, LENIENT), "2024-00-10 00:00:00");
    assert_eq!(datetime("2024-02-30", 0, LENIENT), "invalid");
    assert_eq!(datetime("2024-02-30", 0, SqlMode(SqlMode::ALLOW_INVALID_DATES)), "2024-02-30 00:00:00");
    assert_eq!(datetime("2024-02-32", 0, SqlMode(SqlMode::ALLOW_INVALID_DATES)), "invalid");
    assert_eq!(datetime("0000-00-00", 0, SqlMode(SqlMode::NO_ZERO_IN_DATE)), "0000-00-00 00:00:00");
    assert_eq!(Date::parse("2024-01-31 10:00:00", STRICT), Parsed::Ok(Date::new(2024, 1, 31).unwrap()));
}

#[test]
fn fractions_round_once_or_are_cut() {
    assert_eq!(datetime("2024-01-31 12:34:56.1234567", 6, STRICT), "2024-01-31 12:34:56.123457");
    assert_eq!(datetime("2024-01-31 12:34:56.1234564999", 6, STRICT), "2024-01-31 12:34:56.123456");
    assert_eq!(datetime("2024-01-31 12:34:56.1249", 2, STRICT), "2024-01-31 12:34:56.12");
    assert_eq!(datetime("2024-01-31 12:34:56.125", 2, STRICT), "2024-01-31 12:34:56.13");
    assert_eq!(datetime("20240131123456.5", 1, STRICT), "2024-01-31 12:34:56.5");
    let cut = SqlMode::DEFAULT.with(SqlMode::TIME_TRUNCATE_FRACTIONAL);
    assert_eq!(datetime("2024-01-31 12:34:56.99", 0, cut), "2024-01-31 12:34:56");
    assert_eq!(datetime("2024-01-31 23:59:59.9999999", 6, STRICT), "2024-02-01 00:00:00.000000");
}

#[test]
fn times_are_read_in_all_of_mysqls_formats() {
    for (text, value) in [
        ("12:34:56", "12:34:56"),
        ("-12:34:56", "-12:34:56"),
        ("1 02:03:04", "26:03:04"),
        ("1 02", "26:00:00"),
        ("12:34", "12:34:00"),
        ("123456", "12:34:56"),
        ("1234", "00:12:34"),
        ("12", "00:00:12"),
        ("1:2:3", "01:02:03"),
        ("838:59:59", "838:59:59"),
        ("839:00:00", "838:59:59 out of range"),
        ("-900:00:00", "-838:59:59 out of range"),
        ("838:59:59.9", "838:59:59 out of range"),
        ("12:60:00", "invalid"),
        ("12:34:56.5", "12:34:57"),
        ("-12:34:56.5", "-12:34:57"),
        ("2024-01-31 12:34:56", "12:34:56"),
        ("20240131123456", "12:34:56"),
        ("12:34:56x", "12:34:56 cut"),
        ("abc", "00:00:00 cut"),
        ("", "invalid"),
        ("-", "invalid"),
        ("1e5", "invalid"),
    ] {
        assert_eq!(time(text, 0), value, "{text}");
    }
    assert_eq!(time("10:11:12.9999994", 6), "10:11:12.999999");
    assert_eq!(time("10:11:12.9999995", 6), "10:11:13.000000");
    assert_eq!(time("0.5", 1), "00:00:00.5");
    assert_eq!(time("34 22:59:57", 0), "838:59:57");
}

#[test]
fn numbers_are_dates() {
    let check = |n: i64, value: &str| {
        let got = DateTime::from_number(n, 0, STRICT).value().map_or("invalid".to_string(), |v| v.display(0).to_string());
        assert_eq!(got, value, "{n}");
    };
    check(20240131123456, "2024-01-31 12:34:56");
    check(240131123456, "2024-01-31 12:34:56");
    check(20240131, "2024-01-31 00:00:00");
    check(240131, "2024-01-31 00:00:00");
    check(700101, "1970-01-01 00:00:00");
    check(101, "2000-01-01 00:00:00");
    check(100, "invalid");
    check(691232, "invalid");
    check(20241301, "invalid");
    check(0, "invalid");
    check(-1, "invalid");
    check(i64::MAX, "invalid");
    assert_eq!(DateTime::from_number(0, 0, LENIENT), Parsed::Ok(DateTime::ZERO));
    assert_eq!(Date::new(2024, 1, 31).unwrap().to_number(), 20240131);
    let t = |n| Time::from_number(n, 0, STRICT);
    assert_eq!(t(-123456).value().unwrap().to_number(), -123456);
    assert_eq!(t(126000), Parsed::Invalid);
    assert_eq!(t(9000000), Parsed::OutOfRange(Time::MAX));
    assert_eq!(t(i64::MIN), Parsed::OutOfRange(Time::MIN));
    assert_eq!(t(20240131123456).value().unwrap().to_number(), 123456);
}

#[test]
fn weeks_follow_the_manual() {
    let d = |y, m, d| Date::new(y, m, d).unwrap();
    // From MySQL's manual, WEEK() and YEARWEEK().
    assert_eq!(d(2008, 2, 20).week(0).1, 7);
    assert_eq!(d(2008, 2, 20).week(1).1, 8);
    assert_eq!(d(2008, 12, 31).week(1).1, 53);
    assert_eq!(d(2000, 1, 1).week(0), (2000, 0));
    assert_eq!(d(2000, 1, 1).week(2), (1999, 52));
    assert_eq!(d(1987, 1, 1).yearweek(0), 198652);
    assert_eq!(d(2000, 1, 1).yearweek(0), 199952);
    // From MariaDB 10.11: week 53/1 around 2018-12-31 in the eight modes.
    let modes: Vec<u32> = (0..8).map(|m| d(2018, 12, 31).week(m).1).collect();
    assert_eq!(modes, [52, 53, 52, 1, 53, 53, 1, 53]);
    assert_eq!(d(2024, 1, 31).weekday(), 2);
    assert_eq!(d(2024, 12, 31).yearday(), 366);
    assert_eq!(d(2024, 2, 1).last_day(), Some(d(2024, 2, 29)));
    assert_eq!(d(2024, 4, 1).quarter(), 2);
}

#[test]
fn day_numbers_match_mysqls() {
    let d = |y, m, d| Date::new(y, m, d).unwrap();
    assert_eq!(d(2007, 10, 7).day_number(), 733_321);
    assert_eq!(d(1970, 1, 1).day_number(), 719_528);
    assert_eq!(d(0, 1, 1).day_number(), 1);
    assert_eq!(d(9999, 12, 31).day_number(), 3_652_424);
    assert_eq!(Date::from_day_number(366), Some(d(1, 1, 1)));
    assert_eq!(Date::from_day_number(365), None);
    assert_eq!(Date::from_day_number(3_652_425), None);
}

#[test]
fn arithmetic_stays_within_the_calendar() {
    let d = |y, m, d| Date::new(y, m, d).unwrap();
    assert_eq!(d(2024, 1, 31).add_months(1), Some(d(2024, 2, 29)));
    assert_eq!(d(2024, 3, 31).add_months(-13), Some(d(2023, 2, 28)));
    assert_eq!(d(9999, 12, 1).add_months(1), None);
    assert_eq!(Date::MAX.add_days(1), None);
    assert_eq!(d(2024, 1, 1).add_days(i64::MAX), None);
    assert_eq!(d(2024, 1, 1).add_months(i64::MIN), None);
    assert_eq!(Date::ZERO.add_days(1), None);
    let t = DateTime::from_parts(2024, 1, 1, 0, 0, 0, 0).unwrap();
    assert_eq!(t.add_micros(-1).unwrap().display(6).to_string(), "2023-12-31 23:59:59.999999");
    assert_eq!(t.add_micros(i64::MAX), None);
    assert_eq!(DateTime::from_unix_micros(t.unix_micros().unwrap()), Some(t));
    assert_eq!(DateTime::from_unix_micros(-1).unwrap().display(6).to_string(), "1969-12-31 23:59:59.999999");
    assert_eq!(DateTime::from_unix_micros(i64::MIN), None);
    assert_eq!(Time::from_micros(i64::MIN).display(6).to_string(), "-2562047788:00:54.775808");
    let _ = (Time::from_micros(i64::MIN).rounded(0), Time::from_micros(i64::MAX).rounded(0));
}

proptest! {
    #[test]
    fn text_reads_back(days in 366i64..=3_652_424, micros in 0..MICROS_PER_DAY) {
        let t = Date::from_day_number(days).unwrap().at(micros);
        prop_assert_eq!(t.date().day_number(), days);
        prop_assert_eq!(DateTime::parse(&t.display(6).to_string(), 6, STRICT), Parsed::Ok(t));
        prop_assert_eq!(DateTime::from_number(t.to_number(), t.microsecond(), STRICT), if t.date().year() >= 1000 { Parsed::Ok(t) } else { DateTime::from_number(t.to_number(), t.microsecond(), STRICT) });
        let time = t.time();
        prop_assert_eq!(Time::parse(&time.display(6).to_string(), 6, STRICT), Parsed::Ok(time));
    }

    #[test]
    fn packed_order_is_the_order_of_time(a in 366i64..=3_652_424, b in 366i64..=3_652_424) {
        prop_assert_eq!(Date::from_day_number(a).cmp(&Date::from_day_number(b)), a.cmp(&b));
    }

    #[test]
    fn no_text_panics(text in "[-+0-9.:T ex/]{0,40}", any in ".{0,20}", n in any::<i64>()) {
        for t in [&text, &any] {
            for fsp in [0, 3, 6] {
                let _ = (DateTime::parse_with_offset(t, fsp, LENIENT), Time::parse(t, fsp, LENIENT), Date::parse(t, STRICT));
            }
        }
        let _ = (DateTime::from_number(n, 0, LENIENT), Time::from_number(n, 0, LENIENT));
        let d = Date::from_packed(n as u32);
        for mode in 0..8 {
            let _ = (d.week(mode), d.yearweek(mode), d.yearday(), d.weekday(), d.is_real(), d.to_string(), d.last_day(), d.add_months(n), d.add_days(n));
        }
    }
}
