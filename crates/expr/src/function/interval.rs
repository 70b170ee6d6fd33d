//! Units of INTERVAL, and what an amount of one is in months and microseconds.
//!
//! Owns:     the twenty units.
//! Promises: a compound amount ('1:30' HOUR_MINUTE) is read from the right, as MySQL reads it.
//! Never:    adds: see `date_arithmetic`.

use crate::{EvalContext, Expr, coerce};
use weald_types::{Collation, SqlType, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntervalUnit {
    Microsecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    SecondMicrosecond,
    MinuteMicrosecond,
    MinuteSecond,
    HourMicrosecond,
    HourSecond,
    HourMinute,
    DayMicrosecond,
    DaySecond,
    DayMinute,
    DayHour,
    YearMonth,
}

use IntervalUnit::*;

const ALL: [(IntervalUnit, &str); 20] = [
    (Microsecond, "MICROSECOND"),
    (Second, "SECOND"),
    (Minute, "MINUTE"),
    (Hour, "HOUR"),
    (Day, "DAY"),
    (Week, "WEEK"),
    (Month, "MONTH"),
    (Quarter, "QUARTER"),
    (Year, "YEAR"),
    (SecondMicrosecond, "SECOND_MICROSECOND"),
    (MinuteMicrosecond, "MINUTE_MICROSECOND"),
    (MinuteSecond, "MINUTE_SECOND"),
    (HourMicrosecond, "HOUR_MICROSECOND"),
    (HourSecond, "HOUR_SECOND"),
    (HourMinute, "HOUR_MINUTE"),
    (DayMicrosecond, "DAY_MICROSECOND"),
    (DaySecond, "DAY_SECOND"),
    (DayMinute, "DAY_MINUTE"),
    (DayHour, "DAY_HOUR"),
    (YearMonth, "YEAR_MONTH"),
];

const SECOND: i128 = 1_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;
const DAY: i128 = 24 * HOUR;

/// An amount of time: months of the calendar, or microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    Months(i64),
    Micros(i128),
}

impl IntervalUnit {
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(u, _)| *u == self).map_or("", |(_, n)| n)
    }
    /// The unit as the first argument of a function.
    pub fn literal(self) -> Expr {
        Expr::Literal { value: Value::str(self.name()), ty: SqlType::varchar(20, false, Collation::UTF8MB4_BIN) }
    }
    /// The unit that such an argument names.
    pub fn of(e: &Expr) -> Option<Self> {
        let Expr::Literal { value: Value::Str(s), .. } = e else { return None };
        ALL.iter().find(|(_, n)| *n == &**s).map(|(u, _)| *u)
    }
    /// Whole days or more: a DATE stays one.
    pub fn is_of_date(self) -> bool {
        matches!(self, Day | Week | Month | Quarter | Year | YearMonth)
    }
    pub fn has_micros(self) -> bool {
        matches!(self, Microsecond | SecondMicrosecond | MinuteMicrosecond | HourMicrosecond | DayMicrosecond)
    }

    /// `None` for NULL, and for an amount beyond all dates.
    pub fn amount(self, v: &Value, ty: &SqlType, ctx: &EvalContext<'_>) -> Option<Amount> {
        let whole = |v: &Value| coerce::wide_int(v, ctx);
        let micros = |each: i128| whole(v)?.checked_mul(each).map(Amount::Micros);
        let months = |each: i128| i64::try_from(whole(v)?.checked_mul(each)?).ok().map(Amount::Months);
        match self {
            Microsecond => micros(1),
            // The only simple unit with a fraction.
            Second => {
                let d = coerce::decimal(v, ctx)?;
                let seconds: f64 = d.to_string().parse().ok()?;
                Some(Amount::Micros((seconds * SECOND as f64).round() as i128))
            }
            Minute => micros(MINUTE),
            Hour => micros(HOUR),
            Day => micros(DAY),
            Week => micros(7 * DAY),
            Month => months(1),
            Quarter => months(3),
            Year => months(12),
            _ => self.compound(&coerce::text(v, ty)?),
        }
    }

    fn compound(self, text: &str) -> Option<Amount> {
        let units: &[i128] = match self {
            SecondMicrosecond => &[SECOND, 1],
            MinuteMicrosecond => &[MINUTE, SECOND, 1],
            MinuteSecond => &[MINUTE, SECOND],
            HourMicrosecond => &[HOUR, MINUTE, SECOND, 1],
            HourSecond => &[HOUR, MINUTE, SECOND],
            HourMinute => &[HOUR, MINUTE],
            DayMicrosecond => &[DAY, HOUR, MINUTE, SECOND, 1],
            DaySecond => &[DAY, HOUR, MINUTE, SECOND],
            DayMinute => &[DAY, HOUR, MINUTE],
            DayHour => &[DAY, HOUR],
            _ => &[12, 1],
        };
        let negative = text.trim_start().starts_with('-');
        let mut numbers: Vec<i128> = Vec::new();
        let groups: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).filter(|g| !g.is_empty()).collect();
        for (i, g) in groups.iter().enumerate() {
            // The last group of a unit with microseconds is a fraction: '1.5' SECOND_MICROSECOND is 1.500000.
            let fraction = self.has_micros() && i + 1 == groups.len() && g.len() < 6;
            let n: i128 = g.parse().ok()?;
            numbers.push(if fraction { n * 10i128.pow(6 - g.len() as u32) } else { n });
        }
        if numbers.len() > units.len() {
            return None;
        }
        let total: i128 = numbers.iter().rev().zip(units.iter().rev()).try_fold(0i128, |sum, (n, unit)| sum.checked_add(n.checked_mul(*unit)?))?;
        let total = if negative { -total } else { total };
        if self == YearMonth { i64::try_from(total).ok().map(Amount::Months) } else { Some(Amount::Micros(total)) }
    }
}

impl Amount {
    pub fn negated(self) -> Self {
        match self {
            Amount::Months(n) => Amount::Months(n.saturating_neg()),
            Amount::Micros(n) => Amount::Micros(n.saturating_neg()),
        }
    }
}
