//! STR_TO_DATE: texts read as dates by a pattern.
//!
//! Owns:     the meaning of each `%x` where it is read.
//! Promises: the type follows from a constant pattern: a DATE, TIME or DATETIME, with six decimals where `%f` is asked for. What does not fit the pattern,
//!           or is no date, is NULL with 1411; what follows a text that fits is left out with 1292.
//! Never:    guesses a pattern.
//! See:      MySQL 8.0 Reference Manual, "Date and Time Functions", STR_TO_DATE() and DATE_FORMAT().

use super::argument::{known, warn};
use super::date_arithmetic::full_year;
use super::date_part::{DAYS, MONTHS};
use super::result_type::{Bound, date as date_type, datetime, time};
use super::{BindContext, Call, FunctionDef};
use crate::{EvalContext, Expr, coerce};
use weald_types::{Date, DateTime, Fault, SqlMode, Time, TypeKind, Value, WarningLevel};

pub const FUNCTIONS: &[FunctionDef] = &[FunctionDef::new("STR_TO_DATE", 2, 2, bind, str_to_date)];

fn bind(args: &mut [Expr], c: &BindContext) -> Bound {
    let Expr::Literal { value: Value::Str(pattern), .. } = &args[1] else { return datetime(6) };
    let (mut has_date, mut has_time, mut has_micros) = (false, false, false);
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            continue;
        }
        match chars.next() {
            Some('f') => (has_micros, has_time) = (true, true),
            Some('H' | 'I' | 'S' | 'T' | 'h' | 'i' | 'k' | 'l' | 'r' | 's') => has_time = true,
            // A day alone does not make it a date: it is added to a time as 24 hours.
            Some('M' | 'V' | 'U' | 'X' | 'Y' | 'W' | 'a' | 'b' | 'c' | 'j' | 'm' | 'v' | 'u' | 'x' | 'y' | 'w') => has_date = true,
            _ => (),
        }
    }
    let fsp = if has_micros { 6 } else { 0 };
    match (has_date, has_time) {
        (true, true) => datetime(fsp),
        (false, true) => time(fsp),
        _ => date_type(args, c),
    }
}

fn str_to_date(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (text, pattern) = (known!(call.text(v, 0)), known!(call.text(v, 1)));
    let mut reader = Reader { rest: &text };
    let value = reader.fields(&pattern).and_then(|f| f.value(&call.ty.kind, ctx.statement.sql_mode));
    let Some(value) = value else {
        warn(ctx, 1411, "HY000", format!("Incorrect datetime value: '{text}' for function str_to_date"));
        return Ok(Value::Null);
    };
    if !reader.rest.trim().is_empty() {
        let kind = match call.ty.kind {
            TypeKind::Date => "date",
            TypeKind::Time { .. } => "time",
            _ => "datetime",
        };
        ctx.statement.warn(WarningLevel::Warning, coerce::truncated_temporal(kind, &text));
    }
    Ok(value)
}

/// What the text says, as far as the pattern asks.
#[derive(Default)]
struct Fields {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
    day_of_year: u32,
    /// 1 to 7, Monday first; 0: not asked for.
    weekday: u32,
    week: Option<Week>,
    /// The year of `%X` or `%x`, and whether its weeks start on Sunday.
    week_year: Option<(u32, bool)>,
}

struct Week {
    number: u32,
    sunday_first: bool,
    /// `%V` and `%v` count weeks of a week's own year.
    of_week_year: bool,
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
    }
    fn skip(&mut self, what: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(what);
    }
    /// Up to `most` digits, and how many there were; `None` where there is none.
    fn digits(&mut self, most: usize) -> Option<(u32, usize)> {
        let length = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let number = self.rest[..length].parse().ok()?;
        self.rest = &self.rest[length..];
        Some((number, length))
    }
    fn number(&mut self, most: usize) -> Option<u32> {
        self.digits(most).map(|(n, _)| n)
    }
    /// Which of `names` (cut to `letters`) stands here, from 1: all of it, or a beginning that only one name has.
    fn name(&mut self, names: &[&str], letters: usize) -> Option<u32> {
        let length = self.rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let word = &self.rest[..length];
        let starts = |n: &&str| n[..n.len().min(letters)].get(..length).is_some_and(|s| s.eq_ignore_ascii_case(word));
        let mut found = names.iter().enumerate().filter(|(_, n)| length > 0 && starts(n));
        let (at, _) = found.next()?;
        if found.next().is_some() {
            return None;
        }
        self.rest = &self.rest[length..];
        Some(at as u32 + 1)
    }

    fn fields(&mut self, pattern: &str) -> Option<Fields> {
        let mut f = Fields::default();
        self.read_into(pattern, &mut f)?;
        Some(f)
    }

    fn read_into(&mut self, pattern: &str, f: &mut Fields) -> Option<()> {
        // Hours of twelve, and what the afternoon adds.
        let (mut twelve, mut afternoon) = (false, 0);
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            self.skip_spaces();
            // A text that ends early leaves the rest of the pattern at 0.
            if self.rest.is_empty() {
                break;
            }
            let Some(part) = (if c == '%' { chars.next() } else { None }) else {
                if !c.is_ascii_whitespace() {
                    self.rest = self.rest.strip_prefix(c)?;
                }
                continue;
            };
            match part {
                'Y' => {
                    let (year, length) = self.digits(4)?;
                    f.year = if length <= 2 { full_year(year as i64) as u32 } else { year };
                }
                'y' => f.year = full_year(self.number(2)? as i64) as u32,
                'm' | 'c' => f.month = self.number(2)?,
                'M' => f.month = self.name(&MONTHS, usize::MAX)?,
                'b' => f.month = self.name(&MONTHS, 3)?,
                'd' | 'e' => f.day = self.number(2)?,
                'D' => {
                    f.day = self.number(2)?;
                    // 1st, 2nd: whatever two letters.
                    let mut letters = self.rest.chars();
                    letters.by_ref().take(2).for_each(drop);
                    self.rest = letters.as_str();
                }
                'h' | 'I' | 'l' => {
                    f.hour = self.number(2)?;
                    twelve = true;
                }
                'H' | 'k' => f.hour = self.number(2)?,
                'i' => f.minute = self.number(2)?,
                's' | 'S' => f.second = self.number(2)?,
                'f' => {
                    let (micros, length) = self.digits(6)?;
                    f.micros = micros * 10u32.pow(6 - length as u32);
                }
                'p' => {
                    if !twelve {
                        return None;
                    }
                    afternoon = match self.rest.get(..2)? {
                        half if half.eq_ignore_ascii_case("PM") => 12,
                        half if half.eq_ignore_ascii_case("AM") => 0,
                        _ => return None,
                    };
                    self.rest = &self.rest[2..];
                }
                'W' => f.weekday = self.name(&DAYS, usize::MAX)?,
                'a' => f.weekday = self.name(&DAYS, 3)?,
                'w' => {
                    let n = self.number(1).filter(|n| *n < 7)?;
                    f.weekday = if n == 0 { 7 } else { n };
                }
                'j' => f.day_of_year = self.number(3)?,
                'U' | 'u' | 'V' | 'v' => {
                    let of_week_year = matches!(part, 'V' | 'v');
                    let number = self.number(2).filter(|n| *n <= 53 && !(of_week_year && *n == 0))?;
                    f.week = Some(Week { number, sunday_first: matches!(part, 'U' | 'V'), of_week_year });
                }
                'X' | 'x' => f.week_year = Some((self.number(4)?, part == 'X')),
                'r' => self.read_into("%I:%i:%S %p", f)?,
                'T' => self.read_into("%H:%i:%S", f)?,
                '.' => self.skip(|c| c.is_ascii_punctuation()),
                '@' => self.skip(|c| c.is_alphabetic()),
                '#' => self.skip(|c| c.is_ascii_digit()),
                _ => return None,
            }
        }
        if twelve {
            if !(1..=12).contains(&f.hour) {
                return None;
            }
            f.hour = f.hour % 12 + afternoon;
        }
        Some(())
    }
}

impl Fields {
    /// The date that a day of the year, or a week and a weekday, names.
    fn by_count(&mut self) -> Option<()> {
        if self.day_of_year > 0 {
            self.take(Date::new(self.year, 1, 1)?.add_days(self.day_of_year as i64 - 1)?);
        }
        let Some(week) = self.week.as_ref().filter(|_| self.weekday > 0) else { return Some(()) };
        let year = match (week.of_week_year, self.week_year) {
            (true, Some((year, sunday_first))) if sunday_first == week.sunday_first => year,
            (false, None) => self.year,
            // %V needs %X, %v needs %x; %U and %u bear neither.
            _ => return None,
        };
        let first = Date::new(year, 1, 1)?;
        let monday_based = first.weekday() as i64;
        let days = if week.sunday_first {
            let first_weekday = (monday_based + 1) % 7;
            (7 - first_weekday) % 7 + (week.number as i64 - 1) * 7 + self.weekday as i64 % 7
        } else {
            (if monday_based <= 3 { 0 } else { 7 }) - monday_based + (week.number as i64 - 1) * 7 + self.weekday as i64 - 1
        };
        self.take(first.add_days(days)?);
        Some(())
    }

    fn take(&mut self, d: Date) {
        (self.year, self.month, self.day) = (d.year(), d.month(), d.day());
    }

    fn value(mut self, kind: &TypeKind, mode: SqlMode) -> Option<Value> {
        self.by_count()?;
        if self.hour > 23 || self.minute > 59 || self.second > 59 {
            return None;
        }
        if matches!(kind, TypeKind::Time { .. }) {
            let t = Time::new(false, self.hour + self.day * 24, self.minute, self.second, self.micros)?;
            return Some(Value::Time(t));
        }
        let date = Date::new_lenient(self.year, self.month, self.day)?;
        // NO_ZERO_DATE alone forbids zero parts here.
        let zero = self.year == 0 || date.has_zero_part();
        if zero && mode.has(SqlMode::NO_ZERO_DATE) || !zero && !mode.has(SqlMode::ALLOW_INVALID_DATES) && !date.is_real() {
            return None;
        }
        let d = DateTime::from_parts(self.year, self.month, self.day, self.hour, self.minute, self.second, self.micros)?;
        Some(if matches!(kind, TypeKind::Date) { Value::Date(date) } else { Value::DateTime(d) })
    }
}
