//! The calendar: day numbers, weeks, and arithmetic on dates.
//!
//! Owns:     nothing.
//! Promises: MySQL's answers, its proleptic Gregorian calendar and its eight modes of WEEK included.
//! Never:    gives a date outside years 1 to 9999; that is `None`.

use super::{Date, DateTime, MICROS_PER_DAY};

/// TO_DAYS('1970-01-01').
const UNIX_EPOCH_DAY: i64 = 719_528;
/// TO_DAYS('9999-12-31').
const MAX_DAY: i64 = 3_652_424;

pub fn is_leap_year(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) && year != 0
}

/// 0 for a month that is none.
pub fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + is_leap_year(year) as u32,
        _ => 0,
    }
}

fn days_in_year(year: u32) -> i64 {
    365 + is_leap_year(year) as i64
}

impl Date {
    /// TO_DAYS: 0000-01-01 is day 1. Zero parts give a number too (as MySQL's `calc_daynr`); TO_DAYS and DATEDIFF say NULL for them, so check first.
    pub fn day_number(self) -> i64 {
        let (mut y, m, d) = (self.year() as i64, self.month() as i64, self.day() as i64);
        if y == 0 && m == 0 {
            return 0;
        }
        let mut days = 365 * y + 31 * (m - 1) + d;
        if m <= 2 {
            y -= 1
        } else {
            days -= (m * 4 + 23) / 10
        }
        // Year 0 gives -1 here; both quotients are then 0, so that 0000-01-01 is day 1.
        days + y / 4 - (y / 100 + 1) * 3 / 4
    }

    /// Inverse of [`Date::day_number`]; `None` outside years 1 to 9999 (FROM_DAYS then shows the zero date).
    pub fn from_day_number(days: i64) -> Option<Self> {
        if !(366..=MAX_DAY).contains(&days) {
            return None;
        }
        // Howard Hinnant's civil_from_days, years counted from March.
        let z = days - 60;
        let era = z / 146_097;
        let doe = z % 146_097;
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + i64::from(month <= 2);
        Self::new_lenient(year as u32, month as u32, day as u32)
    }

    /// Days since 1970-01-01.
    pub fn unix_days(self) -> i64 {
        self.day_number() - UNIX_EPOCH_DAY
    }
    pub fn from_unix_days(days: i64) -> Option<Self> {
        Self::from_day_number(days.checked_add(UNIX_EPOCH_DAY)?)
    }

    /// 0 = Monday, as WEEKDAY().
    pub fn weekday(self) -> u32 {
        (self.day_number() + 5).rem_euclid(7) as u32
    }
    /// 1 to 366.
    pub fn yearday(self) -> u32 {
        (self.day_number() - self.first_of_year().day_number() + 1).max(0) as u32
    }
    /// 1 to 4; 0 for a zero month.
    pub fn quarter(self) -> u32 {
        self.month().div_ceil(3)
    }
    fn first_of_year(self) -> Date {
        Date(self.year() << 9 | 1 << 5 | 1)
    }

    /// WEEK(date, mode): (year the week belongs to, week).
    pub fn week(self, mode: u8) -> (u32, u32) {
        self.calc_week(mode, mode & 2 != 0)
    }
    /// YEARWEEK(date, mode).
    pub fn yearweek(self, mode: u8) -> u32 {
        let (year, week) = self.calc_week(mode, true);
        year * 100 + week
    }

    /// MySQL's `calc_week`. `week_year`: the week may be the last of the year before, instead of 0.
    fn calc_week(self, mode: u8, mut week_year: bool) -> (u32, u32) {
        let monday_first = mode & 1 != 0;
        // `week_mode`: in the Sunday modes bit 2 means the opposite.
        let first_weekday = (mode & 4 != 0) == monday_first;
        let mut year = self.year();
        let day_number = self.day_number();
        let mut first = self.first_of_year().day_number();
        let mut weekday = (first + 5 + i64::from(!monday_first)).rem_euclid(7);
        let starts_later = |weekday: i64| if first_weekday { weekday != 0 } else { weekday >= 4 };
        if self.month() == 1 && (self.day() as i64) <= 7 - weekday {
            if !week_year && starts_later(weekday) {
                return (year, 0);
            }
            week_year = true;
            year = year.saturating_sub(1);
            let days = days_in_year(year);
            first -= days;
            weekday = (weekday + 53 * 7 - days) % 7;
        }
        let days = if starts_later(weekday) { day_number - (first + 7 - weekday) } else { day_number - (first - weekday) };
        if week_year && days >= 52 * 7 {
            weekday = (weekday + days_in_year(year)) % 7;
            if !starts_later(weekday) {
                return (year + 1, 1);
            }
        }
        (year, (days.max(0) / 7 + 1) as u32)
    }

    /// `None` for a zero month.
    pub fn last_day(self) -> Option<Self> {
        let last = days_in_month(self.year(), self.month());
        (last > 0).then_some(Date(self.0 & !31 | last))
    }

    /// `None` for zero parts, and outside the calendar.
    pub fn add_days(self, days: i64) -> Option<Self> {
        if self.has_zero_part() {
            return None;
        }
        Self::from_day_number(self.day_number().checked_add(days)?)
    }
    /// The day is cut to the month's last. `None` for zero parts, and outside years 0 to 9999.
    pub fn add_months(self, months: i64) -> Option<Self> {
        if self.has_zero_part() {
            return None;
        }
        let total = (self.year() as i64 * 12 + self.month() as i64 - 1).checked_add(months)?;
        if !(0..120_000).contains(&total) {
            return None;
        }
        let (year, month) = ((total / 12) as u32, (total % 12) as u32 + 1);
        Self::new_lenient(year, month, self.day().min(days_in_month(year, month)))
    }
}

impl DateTime {
    /// Microseconds since 1970, taking the value as UTC; `None` for zero parts.
    pub fn unix_micros(self) -> Option<i64> {
        if self.date().has_zero_part() {
            return None;
        }
        Some(self.date().unix_days() * MICROS_PER_DAY + self.micros_of_day())
    }
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        Some(Date::from_unix_days(micros.div_euclid(MICROS_PER_DAY))?.at(micros.rem_euclid(MICROS_PER_DAY)))
    }
    /// `None` for zero parts, and outside the calendar.
    pub fn add_micros(self, micros: i64) -> Option<Self> {
        let total = self.micros_of_day() as i128 + micros as i128;
        let days = total.div_euclid(MICROS_PER_DAY as i128) as i64;
        Some(self.date().add_days(days)?.at(total.rem_euclid(MICROS_PER_DAY as i128) as i64))
    }
    pub fn add_days(self, days: i64) -> Option<Self> {
        Some(self.date().add_days(days)?.at(self.micros_of_day()))
    }
    pub fn add_months(self, months: i64) -> Option<Self> {
        Some(self.date().add_months(months)?.at(self.micros_of_day()))
    }
}
