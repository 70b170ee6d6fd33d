//! DATE, TIME, DATETIME: packed, ordered, Copy.
//!
//! Owns:     nothing.
//! Promises: zero dates and zero months and days are values; order of the packed form is the order of time.
//! Never:    reads a clock or a time zone's rules.

use crate::SqlMode;
use serde::{Deserialize, Serialize};

/// A day, or a zero date: year << 9 | month << 5 | day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Date(u32);
/// A signed duration in microseconds, within ±838:59:59.999999 (values made by arithmetic may be asked to stay within by [`Time::clamped`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(i64);
/// A date and a time of day: packed date << 37 | microseconds of the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DateTime(u64);

/// What came of reading a text or a number as a temporal value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    Ok(T),
    /// A value, followed by what is not part of one (MySQL warns 1292, strict mode refuses it in a column).
    Truncated(T),
    /// A TIME beyond ±838:59:59: the nearest bound.
    OutOfRange(T),
    /// No value: NULL, or the zero value, with 1292.
    Invalid,
}
impl<T> Parsed<T> {
    pub fn value(self) -> Option<T> { match self { Parsed::Ok(v) | Parsed::Truncated(v) | Parsed::OutOfRange(v) => Some(v), Parsed::Invalid => None } }
    pub fn is_ok(&self) -> bool { matches!(self, Parsed::Ok(_)) }
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Parsed<U> {
        match self { Parsed::Ok(v) => Parsed::Ok(f(v)), Parsed::Truncated(v) => Parsed::Truncated(f(v)), Parsed::OutOfRange(v) => Parsed::OutOfRange(f(v)), Parsed::Invalid => Parsed::Invalid }
    }
}

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// How a value's decimals are cut to `fsp`: rounded, or with TIME_TRUNCATE_FRACTIONAL truncated.
impl Date {
    pub const ZERO: Date = Date(0);
    pub const MIN: Date = Date(1000 << 9 | 1 << 5 | 1);
    pub const MAX: Date = Date(9999 << 9 | 12 << 5 | 31);
    /// `None` where it is no day of the calendar (zero parts are not either: see [`Date::new_lenient`]).
    pub fn new(year: u32, month: u32, day: u32) -> Option<Self> { let _ = (year, month, day); None }
    /// Zero parts and days up to 31 in any month are let through.
    pub fn new_lenient(year: u32, month: u32, day: u32) -> Option<Self> { let _ = (year, month, day); None }
    /// Checks year ≤ 9999, the calendar and what `mode` says of NO_ZERO_DATE, NO_ZERO_IN_DATE, ALLOW_INVALID_DATES.
    pub fn new_in_mode(year: u32, month: u32, day: u32, mode: SqlMode) -> Option<Self> { let _ = (year, month, day, mode); None }
    pub const fn from_packed(packed: u32) -> Self { Self(packed) }
    pub const fn packed(self) -> u32 { self.0 }
    pub const fn year(self) -> u32 { self.0 >> 9 }
    pub const fn month(self) -> u32 { self.0 >> 5 & 15 }
    pub const fn day(self) -> u32 { self.0 & 31 }
    pub const fn is_zero(self) -> bool { self.0 == 0 }
    /// Month or day is zero: no arithmetic is possible.
    pub const fn has_zero_part(self) -> bool { self.month() == 0 || self.day() == 0 }
    /// A day that the calendar has.
    pub fn is_real(self) -> bool { false }
    /// Any of MySQL's formats; a time part is read and left out.
    pub fn parse(text: &str, mode: SqlMode) -> Parsed<Self> { let _ = (text, mode); Parsed::Invalid }
    /// 20240131, 240131, or a datetime number, of which the time is left out.
    pub fn from_number(n: i64, mode: SqlMode) -> Parsed<Self> { let _ = (n, mode); Parsed::Invalid }
    /// 20240131
    pub fn to_number(self) -> i64 { 0 }
    /// TO_DAYS: 0000-01-01 is day 1. For a zero part MySQL computes a number too, or says NULL (TO_DAYS): callers check first.
    pub fn day_number(self) -> i64 { 0 }
    /// Inverse of [`Date::day_number`]; `None` outside years 0 to 9999.
    pub fn from_day_number(days: i64) -> Option<Self> { let _ = days; None }
    /// Days since 1970-01-01.
    pub fn unix_days(self) -> i64 { 0 }
    pub fn from_unix_days(days: i64) -> Option<Self> { let _ = days; None }
    /// 0 = Monday, as WEEKDAY().
    pub fn weekday(self) -> u32 { 0 }
    /// 1 to 366.
    pub fn yearday(self) -> u32 { 0 }
    /// 1 to 4; 0 for a zero month.
    pub fn quarter(self) -> u32 { 0 }
    /// WEEK(date, mode): (year the week belongs to, week).
    pub fn week(self, mode: u8) -> (u32, u32) { let _ = mode; (0, 0) }
    /// YEARWEEK(date, mode).
    pub fn yearweek(self, mode: u8) -> u32 { let _ = mode; 0 }
    /// `None` for a zero month.
    pub fn last_day(self) -> Option<Self> { None }
    pub fn add_days(self, days: i64) -> Option<Self> { let _ = days; None }
    /// The day is cut to the month's last.
    pub fn add_months(self, months: i64) -> Option<Self> { let _ = months; None }
    pub fn at_midnight(self) -> DateTime { DateTime((self.0 as u64) << 37) }
    pub fn at(self, micros_of_day: i64) -> DateTime { DateTime((self.0 as u64) << 37 | micros_of_day as u64) }
}
pub fn days_in_month(year: u32, month: u32) -> u32 { let _ = (year, month); 31 }
pub fn is_leap_year(year: u32) -> bool { let _ = year; false }

impl Time {
    pub const ZERO: Time = Time(0);
    pub const MAX: Time = Time((838 * 3600 + 59 * 60 + 59) * MICROS_PER_SECOND);
    pub const MIN: Time = Time(-Self::MAX.0);
    pub const fn from_micros(micros: i64) -> Self { Self(micros) }
    pub const fn micros(self) -> i64 { self.0 }
    /// `None` for minutes or seconds above 59, or beyond the bounds.
    pub fn new(negative: bool, hours: u32, minutes: u32, seconds: u32, micros: u32) -> Option<Self> { let _ = (negative, hours, minutes, seconds, micros); None }
    pub fn is_negative(self) -> bool { self.0 < 0 }
    /// Parts of the absolute value.
    pub fn hours(self) -> u32 { 0 }
    pub fn minutes(self) -> u32 { 0 }
    pub fn seconds(self) -> u32 { 0 }
    pub fn microseconds(self) -> u32 { 0 }
    /// 'D HH:MM:SS.frac', 'HH:MM', 'HHMMSS', a datetime (its time) …; rounded to `fsp`.
    pub fn parse(text: &str, fsp: u8, mode: SqlMode) -> Parsed<Self> { let _ = (text, fsp, mode); Parsed::Invalid }
    /// HHMMSS with `micros` after it (of the same sign as `n`), or a datetime number.
    pub fn from_number(n: i64, micros: u32, mode: SqlMode) -> Parsed<Self> { let _ = (n, micros, mode); Parsed::Invalid }
    /// -HHMMSS, without the fraction.
    pub fn to_number(self) -> i64 { 0 }
    /// Within the bounds of the type; true if it had to be cut.
    pub fn clamped(self) -> (Self, bool) { (self, false) }
    pub fn rounded(self, fsp: u8) -> Self { let _ = fsp; self }
    pub fn truncated(self, fsp: u8) -> Self { let _ = fsp; self }
    /// Rounded, or truncated with TIME_TRUNCATE_FRACTIONAL.
    pub fn with_fsp(self, fsp: u8, mode: SqlMode) -> Self { if mode.has(SqlMode::TIME_TRUNCATE_FRACTIONAL) { self.truncated(fsp) } else { self.rounded(fsp) } }
    /// 'HH:MM:SS' and `fsp` decimals.
    pub fn display(self, fsp: u8) -> impl std::fmt::Display { let _ = fsp; "" }
}

impl DateTime {
    pub const ZERO: DateTime = DateTime(0);
    pub const MAX: DateTime = DateTime((Date::MAX.0 as u64) << 37 | (MICROS_PER_DAY as u64 - 1));
    pub fn new(date: Date, micros_of_day: i64) -> Option<Self> { let _ = (date, micros_of_day); None }
    pub fn from_parts(year: u32, month: u32, day: u32, hour: u32, minute: u32, second: u32, micros: u32) -> Option<Self> { let _ = (year, month, day, hour, minute, second, micros); None }
    pub const fn from_packed(packed: u64) -> Self { Self(packed) }
    pub const fn packed(self) -> u64 { self.0 }
    pub const fn date(self) -> Date { Date((self.0 >> 37) as u32) }
    pub const fn micros_of_day(self) -> i64 { (self.0 & ((1 << 37) - 1)) as i64 }
    pub fn time(self) -> Time { Time(self.micros_of_day()) }
    pub fn hour(self) -> u32 { 0 }
    pub fn minute(self) -> u32 { 0 }
    pub fn second(self) -> u32 { 0 }
    pub fn microsecond(self) -> u32 { 0 }
    pub const fn is_zero(self) -> bool { self.0 == 0 }
    /// Any of MySQL's formats, rounded (or truncated, by `mode`) to `fsp`. A time zone offset is applied by [`DateTime::parse_with_offset`]; here it is [`Parsed::Truncated`].
    pub fn parse(text: &str, fsp: u8, mode: SqlMode) -> Parsed<Self> { let _ = (text, fsp, mode); Parsed::Invalid }
    /// The same, and the offset '+05:30' at its end in seconds, where there is one.
    pub fn parse_with_offset(text: &str, fsp: u8, mode: SqlMode) -> (Parsed<Self>, Option<i32>) { (Self::parse(text, fsp, mode), None) }
    /// 20240131123456, 240131, …
    pub fn from_number(n: i64, micros: u32, mode: SqlMode) -> Parsed<Self> { let _ = (n, micros, mode); Parsed::Invalid }
    /// 20240131123456, without the fraction.
    pub fn to_number(self) -> i64 { 0 }
    /// `None` for zero parts.
    pub fn unix_micros(self) -> Option<i64> { None }
    pub fn from_unix_micros(micros: i64) -> Option<Self> { let _ = micros; None }
    pub fn add_micros(self, micros: i64) -> Option<Self> { let _ = micros; None }
    pub fn add_days(self, days: i64) -> Option<Self> { let _ = days; None }
    pub fn add_months(self, months: i64) -> Option<Self> { let _ = months; None }
    /// `None` where rounding leaves the calendar (after 9999-12-31 23:59:59.999999).
    pub fn rounded(self, fsp: u8) -> Option<Self> { let _ = fsp; Some(self) }
    pub fn truncated(self, fsp: u8) -> Self { let _ = fsp; self }
    pub fn with_fsp(self, fsp: u8, mode: SqlMode) -> Option<Self> { if mode.has(SqlMode::TIME_TRUNCATE_FRACTIONAL) { Some(self.truncated(fsp)) } else { self.rounded(fsp) } }
    /// 'YYYY-MM-DD HH:MM:SS' and `fsp` decimals.
    pub fn display(self, fsp: u8) -> impl std::fmt::Display { let _ = fsp; "" }
}

/// 'YYYY-MM-DD'
impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{:04}-{:02}-{:02}", self.year(), self.month(), self.day()) }
}
