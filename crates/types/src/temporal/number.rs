//! Temporal values as numbers: 20240131, 20240131123456, 123456.
//!
//! Owns:     nothing.
//! Promises: MySQL's `number_to_datetime` and `number_to_time`, two-digit years included.
//! Never:    loses a fraction: it comes and goes beside the number.

use super::{Date, DateTime, MICROS_PER_SECOND, Moment, Parsed, Time};
use crate::SqlMode;

/// Years below this are 20xx, the others 19xx.
pub(super) const TWO_DIGIT_PIVOT: i64 = 70;

/// YYYYMMDDHHMMSS of what may be YYMMDD, YYYYMMDD or YYMMDDHHMMSS; `None` for what is neither.
fn widen(n: i64) -> Option<i64> {
    const DAY: i64 = 1_000_000;
    match n {
        0 | 10_000_101_000_000..=99_999_999_999_999 => Some(n),
        101..=691_231 => Some((n + 20_000_000) * DAY),
        700_101..=991_231 => Some((n + 19_000_000) * DAY),
        // Years 1 to 999 are not documented, yet taken.
        991_232..=99_991_231 => Some(n * DAY),
        101_000_000..=691_231_235_959 => Some(n + 20_000_000_000_000),
        700_101_000_000..=991_231_235_959 => Some(n + 19_000_000_000_000),
        991_231_235_960..=10_000_100_999_999 => Some(n),
        _ => None,
    }
}

impl Date {
    /// 20240131, 240131, or a datetime number, of which the time is left out.
    pub fn from_number(n: i64, mode: SqlMode) -> Parsed<Self> {
        DateTime::from_number(n, 0, mode).map(DateTime::date)
    }
    /// 20240131
    pub fn to_number(self) -> i64 {
        self.year() as i64 * 10_000 + self.month() as i64 * 100 + self.day() as i64
    }
}

impl DateTime {
    /// 20240131123456, 240131, …; `micros` is the fraction.
    pub fn from_number(n: i64, micros: u32, mode: SqlMode) -> Parsed<Self> {
        let Some(n) = widen(n) else { return Parsed::Invalid };
        let (date, time) = (n / 1_000_000, n % 1_000_000);
        let part = |v: i64, unit: i64| (v / unit % 100) as u32;
        DateTime::from_parts((date / 10_000) as u32, part(date, 100), part(date, 1), part(time, 10_000), part(time, 100), part(time, 1), micros)
            .filter(|t| t.date().is_allowed(n != 0, mode))
            .map_or(Parsed::Invalid, Parsed::Ok)
    }
    /// 20240131123456, without the fraction.
    pub fn to_number(self) -> i64 {
        self.date().to_number() * 1_000_000 + self.time().to_number()
    }
}

impl Time {
    /// HHMMSS with `micros` after it (of the same sign as `n`), or a datetime number, of which the time is taken.
    pub fn from_number(n: i64, micros: u32, mode: SqlMode) -> Parsed<Self> {
        Moment::from_number(n, micros, mode).map(Moment::time)
    }
    /// -HHMMSS, without the fraction.
    pub fn to_number(self) -> i64 {
        let n = self.hours() as i64 * 10_000 + self.minutes() as i64 * 100 + self.seconds() as i64;
        if self.is_negative() { -n } else { n }
    }
}

impl Moment {
    /// As [`Time::from_number`], but a number that holds a date as well keeps it.
    pub fn from_number(n: i64, micros: u32, mode: SqlMode) -> Parsed<Self> {
        let (magnitude, negative) = (n.unsigned_abs() as i128, n < 0);
        if magnitude > 8_385_959 {
            if n >= 10_000_000_000
                && let Parsed::Ok(t) = DateTime::from_number(n, micros, mode.without(SqlMode::NO_ZERO_DATE | SqlMode::NO_ZERO_IN_DATE))
            {
                return Parsed::Ok(Moment::DateTime(t));
            }
            return Parsed::OutOfRange(Moment::Time(if negative { Time::MIN } else { Time::MAX }));
        }
        let n = magnitude as i64;
        let (hours, minutes, seconds) = (n / 10_000, n / 100 % 100, n % 100);
        if minutes > 59 || seconds > 59 || micros > 999_999 {
            return Parsed::Invalid;
        }
        let total = (hours * 3600 + minutes * 60 + seconds) * MICROS_PER_SECOND + micros as i64;
        let (time, cut) = Time(if negative { -total } else { total }).clamped();
        if cut { Parsed::OutOfRange(Moment::Time(time)) } else { Parsed::Ok(Moment::Time(time)) }
    }
}
