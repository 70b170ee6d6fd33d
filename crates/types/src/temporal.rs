//! DATE, TIME, DATETIME: packed, ordered, Copy.
//!
//! Owns:     nothing.
//! Promises: zero dates and zero months and days are values; order of the packed form is the order of time.
//! Never:    reads a clock or a time zone's rules.

mod calendar;
mod display;
mod number;
mod parse;
#[cfg(test)]
mod tests;

pub use calendar::{days_in_month, is_leap_year};

use crate::SqlMode;
use serde::Serialize;

/// A day, or a zero date: year << 9 | month << 5 | day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Date(u32);

/// A signed duration in microseconds. The type holds ±838:59:59 (TIME(6): .999999 below); arithmetic may pass that and is brought back by [`Time::clamped`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Time(i64);

/// A date and a time of day: packed date << 37 | microseconds of the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct DateTime(u64);

/// A text or number that may be a time or a date with a time: ADDTIME, TIMEDIFF and their kin take either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Time(Time),
    DateTime(DateTime),
}

impl Moment {
    /// The time of day, or the duration.
    pub fn time(self) -> Time {
        match self {
            Moment::Time(t) => t,
            Moment::DateTime(d) => d.time(),
        }
    }
}

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
    pub fn value(self) -> Option<T> {
        match self {
            Parsed::Ok(v) | Parsed::Truncated(v) | Parsed::OutOfRange(v) => Some(v),
            Parsed::Invalid => None,
        }
    }
    pub fn is_ok(&self) -> bool {
        matches!(self, Parsed::Ok(_))
    }
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Parsed<U> {
        match self {
            Parsed::Ok(v) => Parsed::Ok(f(v)),
            Parsed::Truncated(v) => Parsed::Truncated(f(v)),
            Parsed::OutOfRange(v) => Parsed::OutOfRange(f(v)),
            Parsed::Invalid => Parsed::Invalid,
        }
    }
    /// The same with a conversion that may fail: [`Parsed::Invalid`] then.
    fn and_then<U>(self, f: impl FnOnce(T) -> Option<U>) -> Parsed<U> {
        let (value, wrap): (Option<T>, fn(U) -> Parsed<U>) = match self {
            Parsed::Ok(v) => (Some(v), Parsed::Ok),
            Parsed::Truncated(v) => (Some(v), Parsed::Truncated),
            Parsed::OutOfRange(v) => (Some(v), Parsed::OutOfRange),
            Parsed::Invalid => (None, Parsed::Ok),
        };
        value.and_then(f).map_or(Parsed::Invalid, wrap)
    }
}

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
const DAY_BITS: u32 = 37;
/// Three times the calendar's ten thousand years, and more.
const FARTHEST_MICROS: u64 = 1_000_000_000_000_000_000;

/// Microseconds in one unit of the last decimal of `fsp`.
fn fsp_unit(fsp: u8) -> i64 {
    10i64.pow(6 - fsp.min(6) as u32)
}

impl Date {
    pub const ZERO: Date = Date(0);
    /// The least DATE that MySQL documents; lesser ones are let through as it does.
    pub const MIN: Date = Date(1000 << 9 | 1 << 5 | 1);
    pub const MAX: Date = Date(9999 << 9 | 12 << 5 | 31);

    /// `None` where it is no day of the calendar (zero parts are not either: see [`Date::new_lenient`]).
    pub fn new(year: u32, month: u32, day: u32) -> Option<Self> {
        Self::new_lenient(year, month, day).filter(|d| d.is_real())
    }
    /// Zero parts, and days up to 31 in any month, are let through.
    pub fn new_lenient(year: u32, month: u32, day: u32) -> Option<Self> {
        (year <= 9999 && month <= 12 && day <= 31).then_some(Self(year << 9 | month << 5 | day))
    }
    /// Checks year ≤ 9999, the calendar, and what `mode` says of NO_ZERO_DATE, NO_ZERO_IN_DATE and ALLOW_INVALID_DATES.
    pub fn new_in_mode(year: u32, month: u32, day: u32, mode: SqlMode) -> Option<Self> {
        Self::new_lenient(year, month, day).filter(|d| d.is_allowed(!d.is_zero(), mode))
    }
    /// MySQL's `check_date`. `nonzero`: any part of the whole value, time included, is not 0.
    fn is_allowed(self, nonzero: bool, mode: SqlMode) -> bool {
        if !nonzero {
            return !mode.has(SqlMode::NO_ZERO_DATE);
        }
        if self.has_zero_part() && mode.has(SqlMode::NO_ZERO_IN_DATE) {
            return false;
        }
        mode.has(SqlMode::ALLOW_INVALID_DATES) || self.month() == 0 || self.day() <= days_in_month(self.year(), self.month())
    }
    /// Whether a column of a session in `mode` may hold it.
    pub fn is_allowed_in(self, mode: SqlMode) -> bool {
        self.is_allowed(!self.is_zero(), mode)
    }

    pub const fn from_packed(packed: u32) -> Self {
        Self(packed)
    }
    /// `None` where the parts are not those of [`Date::new_lenient`].
    pub fn checked(packed: u32) -> Option<Self> {
        let date = Self(packed);
        Self::new_lenient(date.year(), date.month(), date.day())
    }
    pub const fn packed(self) -> u32 {
        self.0
    }
    pub const fn year(self) -> u32 {
        self.0 >> 9
    }
    pub const fn month(self) -> u32 {
        self.0 >> 5 & 15
    }
    pub const fn day(self) -> u32 {
        self.0 & 31
    }
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
    /// Month or day is zero: no arithmetic is possible.
    pub const fn has_zero_part(self) -> bool {
        self.month() == 0 || self.day() == 0
    }
    /// A day that the calendar has.
    pub fn is_real(self) -> bool {
        self.year() <= 9999 && !self.has_zero_part() && self.month() <= 12 && self.day() <= days_in_month(self.year(), self.month())
    }

    pub const fn at_midnight(self) -> DateTime {
        DateTime((self.0 as u64) << DAY_BITS)
    }
    /// `micros_of_day` is below [`MICROS_PER_DAY`].
    pub fn at(self, micros_of_day: i64) -> DateTime {
        debug_assert!((0..MICROS_PER_DAY).contains(&micros_of_day));
        DateTime((self.0 as u64) << DAY_BITS | micros_of_day as u64)
    }
}

impl Time {
    pub const ZERO: Time = Time(0);
    pub const MAX: Time = Time((838 * 3600 + 59 * 60 + 59) * MICROS_PER_SECOND);
    pub const MIN: Time = Time(-Self::MAX.0);

    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }
    /// `None` beyond what any arithmetic on dates and times comes to: with such a one sums would overflow.
    pub fn checked(micros: i64) -> Option<Self> {
        (micros.unsigned_abs() <= FARTHEST_MICROS).then_some(Self(micros))
    }
    pub const fn micros(self) -> i64 {
        self.0
    }
    /// `None` for minutes or seconds above 59, or beyond the bounds.
    pub fn new(negative: bool, hours: u32, minutes: u32, seconds: u32, micros: u32) -> Option<Self> {
        if minutes > 59 || seconds > 59 || micros > 999_999 {
            return None;
        }
        let total = (hours as i64 * 3600 + minutes as i64 * 60 + seconds as i64) * MICROS_PER_SECOND + micros as i64;
        (total <= Self::MAX.0).then_some(Self(if negative { -total } else { total }))
    }
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
    /// Hours of the absolute value; with [`Time::minutes`], [`Time::seconds`] and [`Time::microseconds`] its parts.
    pub const fn hours(self) -> u32 {
        (self.0.unsigned_abs() / 3_600_000_000) as u32
    }
    pub const fn minutes(self) -> u32 {
        (self.0.unsigned_abs() / 60_000_000 % 60) as u32
    }
    pub const fn seconds(self) -> u32 {
        (self.0.unsigned_abs() / 1_000_000 % 60) as u32
    }
    pub const fn microseconds(self) -> u32 {
        (self.0.unsigned_abs() % 1_000_000) as u32
    }
    /// Within the bounds of the type; true if it had to be cut.
    pub fn clamped(self) -> (Self, bool) {
        let within = self.clamp(Self::MIN, Self::MAX);
        (within, within != self)
    }
    pub fn rounded(self, fsp: u8) -> Self {
        let unit = fsp_unit(fsp);
        let up = (self.0.unsigned_abs() as i64).saturating_add(unit / 2) / unit * unit;
        Self(if self.0 < 0 { -up } else { up })
    }
    pub fn truncated(self, fsp: u8) -> Self {
        Self(self.0 / fsp_unit(fsp) * fsp_unit(fsp))
    }
    /// Rounded, or truncated with TIME_TRUNCATE_FRACTIONAL; within the bounds.
    pub fn with_fsp(self, fsp: u8, mode: SqlMode) -> Self {
        if mode.has(SqlMode::TIME_TRUNCATE_FRACTIONAL) { self.truncated(fsp) } else { self.rounded(fsp).clamped().0 }
    }
}

impl DateTime {
    pub const ZERO: DateTime = DateTime(0);
    pub const MAX: DateTime = DateTime((Date::MAX.0 as u64) << DAY_BITS | (MICROS_PER_DAY as u64 - 1));

    /// `None` where `micros_of_day` is not of one day.
    pub fn new(date: Date, micros_of_day: i64) -> Option<Self> {
        (0..MICROS_PER_DAY).contains(&micros_of_day).then(|| date.at(micros_of_day))
    }
    /// The date as [`Date::new_lenient`], the time as a clock shows it.
    pub fn from_parts(year: u32, month: u32, day: u32, hour: u32, minute: u32, second: u32, micros: u32) -> Option<Self> {
        if hour > 23 || minute > 59 || second > 59 || micros > 999_999 {
            return None;
        }
        let micros = (hour as i64 * 3600 + minute as i64 * 60 + second as i64) * MICROS_PER_SECOND + micros as i64;
        Some(Date::new_lenient(year, month, day)?.at(micros))
    }
    pub const fn from_packed(packed: u64) -> Self {
        Self(packed)
    }
    /// `None` where date or time of day are none.
    pub fn checked(packed: u64) -> Option<Self> {
        let d = Self(packed);
        Self::new(Date::checked(u32::try_from(packed >> DAY_BITS).ok()?)?, d.micros_of_day())
    }
    pub const fn packed(self) -> u64 {
        self.0
    }
    pub const fn date(self) -> Date {
        Date((self.0 >> DAY_BITS) as u32)
    }
    pub const fn micros_of_day(self) -> i64 {
        (self.0 & ((1 << DAY_BITS) - 1)) as i64
    }
    /// The time of day.
    pub const fn time(self) -> Time {
        Time(self.micros_of_day())
    }
    pub const fn hour(self) -> u32 {
        self.time().hours()
    }
    pub const fn minute(self) -> u32 {
        self.time().minutes()
    }
    pub const fn second(self) -> u32 {
        self.time().seconds()
    }
    pub const fn microsecond(self) -> u32 {
        self.time().microseconds()
    }
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
    /// Whether a column of a session in `mode` may hold it.
    pub fn is_allowed_in(self, mode: SqlMode) -> bool {
        self.date().is_allowed(!self.is_zero(), mode)
    }

    /// `None` where rounding leaves the calendar (after 9999-12-31 23:59:59.999999, or to the day after a zero date).
    pub fn rounded(self, fsp: u8) -> Option<Self> {
        let unit = fsp_unit(fsp);
        let micros = (self.micros_of_day() + unit / 2) / unit * unit;
        if micros < MICROS_PER_DAY { Some(self.date().at(micros)) } else { Some(self.date().add_days(1)?.at_midnight()) }
    }
    pub fn truncated(self, fsp: u8) -> Self {
        let unit = fsp_unit(fsp);
        self.date().at(self.micros_of_day() / unit * unit)
    }
    /// Rounded, or truncated with TIME_TRUNCATE_FRACTIONAL.
    pub fn with_fsp(self, fsp: u8, mode: SqlMode) -> Option<Self> {
        if mode.has(SqlMode::TIME_TRUNCATE_FRACTIONAL) { Some(self.truncated(fsp)) } else { self.rounded(fsp) }
    }
}
