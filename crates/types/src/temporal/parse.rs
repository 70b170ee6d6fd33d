//! Temporal values read from text.
//!
//! Owns:     nothing.
//! Promises: what MySQL's `str_to_datetime` and `str_to_time` (my_time.cc) accept, with their two-digit years, punctuation and rounding.
//! Never:    applies a time zone: an offset is handed back.

use super::number::TWO_DIGIT_PIVOT;
use super::{Date, DateTime, MICROS_PER_SECOND, Moment, Parsed, Time, fsp_unit};
use crate::SqlMode;

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t'..=b'\r')
}

/// A scan over the text's bytes; past the end every byte is 0.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}
impl Scan<'_> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }
    fn peek_at(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }
    fn left(&self) -> usize {
        self.text.len().saturating_sub(self.at)
    }
    fn skip_spaces(&mut self) {
        while is_space(self.peek()) {
            self.at += 1;
        }
    }
    fn rest_is_space(&self) -> bool {
        self.text[self.at.min(self.text.len())..].iter().all(|b| is_space(*b))
    }
}

/// What a text says before it is rounded: microseconds and the digit after them.
#[derive(Clone, Copy)]
struct Exact<T> {
    value: T,
    /// Tenths of a microsecond, 0 to 9.
    tenths: u8,
}

/// Of a datetime text: the value, its offset, and whether that was all.
struct DateTimeText {
    exact: Exact<DateTime>,
    offset: Option<i32>,
    clean: bool,
}

/// The numbers of a datetime text, in order: year, month, day, hour, minute, second, fraction.
#[derive(Default)]
struct Fields {
    parts: [u32; 7],
    lengths: [usize; 7],
    count: usize,
    year_length: usize,
    offset: Option<i32>,
    delimiter: bool,
    /// A space or T between date and time.
    divider: bool,
    /// Where what belongs to the value ends.
    end: usize,
}

/// '+05:30' as seconds; the whole of `text`, but for spaces at its end. MySQL's bounds: ±14:00, and -00:00 is refused.
fn parse_offset(text: &[u8]) -> Option<i32> {
    let text = &text[..text.iter().rposition(|b| !is_space(*b))? + 1];
    let [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = text else { return None };
    if ![h1, h2, m1, m2].iter().all(|d| d.is_ascii_digit()) {
        return None;
    }
    let digit = |d: &u8| (d - b'0') as i32;
    let (hours, minutes) = (digit(h1) * 10 + digit(h2), digit(m1) * 10 + digit(m2));
    let seconds = hours * 3600 + minutes * 60;
    if minutes > 59 || seconds > 14 * 3600 || (*sign == b'-' && seconds == 0) {
        return None;
    }
    Some(if *sign == b'-' { -seconds } else { seconds })
}

/// `None` where the text cannot be a datetime.
fn scan_fields(s: &mut Scan<'_>) -> Option<Fields> {
    let mut f = Fields::default();
    let run = s.text[s.at..].iter().take_while(|b| b.is_ascii_digit() || **b == b'T').count();
    // Only digits (and a fraction): every part has its width, YYYYMMDDHHMMSS.
    let packed = s.left() == run || s.peek_at(run) == b'.';
    let mut width = if !packed || run == 4 || run == 8 || run >= 14 { 4 } else { 2 };
    f.year_length = width;
    'fields: while f.count < 7 && s.peek().is_ascii_digit() {
        let (from, i) = (s.at, f.count);
        while s.peek().is_ascii_digit() && (s.at - from < width || (!packed && i != 6)) {
            f.parts[i] = f.parts[i] * 10 + (s.peek() - b'0') as u32;
            if f.parts[i] > 999_999 {
                return None;
            }
            s.at += 1;
        }
        f.lengths[i] = s.at - from;
        f.count += 1;
        f.end = s.at;
        width = 2;
        match f.count {
            _ if s.left() == 0 => break,
            3 if s.peek() == b'T' => {
                s.at += 1;
                f.divider = true;
            }
            6 if s.peek() == b'.' => {
                s.at += 1;
                width = 6;
            }
            6 => {
                f.offset = parse_offset(&s.text[s.at..]);
                if f.offset.is_some() {
                    f.end = s.text.len();
                }
                break;
            }
            7 => break,
            _ => {
                while s.peek().is_ascii_punctuation() || is_space(s.peek()) {
                    if is_space(s.peek()) {
                        // Spaces stand between date and time, and at the end.
                        if f.count != 3 && !s.rest_is_space() {
                            return None;
                        }
                        if f.count != 3 {
                            break 'fields;
                        }
                        f.divider = true;
                    }
                    f.delimiter = true;
                    s.at += 1;
                }
            }
        }
        f.end = f.end.max(s.at);
    }
    if !packed {
        f.year_length = f.lengths[0];
    }
    Some(f)
}

/// MySQL's `str_to_datetime`. `datetime_only`: a delimited text must have a space or T between date and time (used when a TIME is wanted).
fn scan_datetime(text: &str, mode: SqlMode, datetime_only: bool) -> Option<DateTimeText> {
    let mut s = Scan { text: text.as_bytes(), at: 0 };
    s.skip_spaces();
    if !s.peek().is_ascii_digit() {
        return None;
    }
    let Fields { mut parts, lengths, count, year_length, mut offset, delimiter, divider, end } = scan_fields(&mut s)?;
    if count < 3 || (delimiter && !divider && datetime_only) {
        return None;
    }
    s.at = end;
    let nonzero = parts.iter().any(|p| *p != 0);
    parts[6] *= 10u32.pow(6 - lengths[6].min(6) as u32);
    if year_length == 2 && nonzero {
        parts[0] += if (parts[0] as i64) < TWO_DIGIT_PIVOT { 2000 } else { 1900 };
    }
    let value = DateTime::from_parts(parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], parts[6])?;
    if !value.date().is_allowed(nonzero, mode) {
        return None;
    }
    let mut tenths = 0;
    if lengths[6] == 6 && s.peek().is_ascii_digit() {
        tenths = s.peek() - b'0';
        while s.peek().is_ascii_digit() {
            s.at += 1;
        }
    }
    if count == 7 && matches!(s.peek(), b'+' | b'-') {
        // A malformed offset makes the whole text wrong, not just its end.
        offset = Some(parse_offset(&s.text[s.at..])?);
        s.at = s.text.len();
    }
    Some(DateTimeText { exact: Exact { value, tenths }, offset, clean: s.rest_is_space() })
}

/// Rounds the tenths away, or drops them; then to `fsp`. `None` where that leaves the calendar.
fn cut_datetime(exact: Exact<DateTime>, fsp: u8, mode: SqlMode) -> Option<DateTime> {
    if mode.has(SqlMode::TIME_TRUNCATE_FRACTIONAL) {
        return Some(exact.value.truncated(fsp));
    }
    // One rounding, not two: the tenths only matter where all six decimals are kept.
    if fsp_unit(fsp) > 1 || exact.tenths < 5 { exact.value.rounded(fsp) } else { add_one_micro(exact.value) }
}

fn add_one_micro(t: DateTime) -> Option<DateTime> {
    DateTime::new(t.date(), t.micros_of_day() + 1).or_else(|| t.add_micros(1))
}

impl Date {
    /// Any of MySQL's formats; a time part is read and left out.
    pub fn parse(text: &str, mode: SqlMode) -> Parsed<Self> {
        match scan_datetime(text, mode, false) {
            Some(t) if t.clean => Parsed::Ok(t.exact.value.date()),
            Some(t) => Parsed::Truncated(t.exact.value.date()),
            None => Parsed::Invalid,
        }
    }
}

impl DateTime {
    /// Any of MySQL's formats, rounded (or truncated, by `mode`) to `fsp`. A time zone offset at the end is read and left out: see [`DateTime::parse_with_offset`].
    pub fn parse(text: &str, fsp: u8, mode: SqlMode) -> Parsed<Self> {
        Self::parse_with_offset(text, fsp, mode).0
    }

    /// The same, and the offset '+05:30' at its end in seconds, where there is one: the caller brings the value to the session's time zone.
    pub fn parse_with_offset(text: &str, fsp: u8, mode: SqlMode) -> (Parsed<Self>, Option<i32>) {
        let Some(t) = scan_datetime(text, mode, false) else { return (Parsed::Invalid, None) };
        let read = if t.clean { Parsed::Ok(t.exact) } else { Parsed::Truncated(t.exact) };
        (read.and_then(|exact| cut_datetime(exact, fsp, mode)), t.offset)
    }
}

impl Time {
    /// 'D HH:MM:SS.frac', 'HH:MM', 'HHMMSS', a datetime (its time) …; rounded (or truncated, by `mode`) to `fsp`.
    pub fn parse(text: &str, fsp: u8, mode: SqlMode) -> Parsed<Self> {
        Moment::parse(text, fsp, mode).map(Moment::time)
    }
}

impl Moment {
    /// As [`Time::parse`], but a text that holds a date as well keeps it.
    pub fn parse(text: &str, fsp: u8, mode: SqlMode) -> Parsed<Self> {
        let mut s = Scan { text: text.as_bytes(), at: 0 };
        s.skip_spaces();
        // Long enough for a whole datetime: try that first.
        if s.left() >= 12 {
            let lenient = mode.without(SqlMode::NO_ZERO_DATE | SqlMode::NO_ZERO_IN_DATE);
            if let Some(t) = scan_datetime(text, lenient, true) {
                let read = if t.clean { Parsed::Ok(t.exact) } else { Parsed::Truncated(t.exact) };
                return read.and_then(|exact| cut_datetime(exact, fsp, mode)).map(Moment::DateTime);
            }
        }
        duration(s, fsp, mode).map(Moment::Time)
    }
}

/// What is no whole datetime, read as a time.
fn duration(mut s: Scan<'_>, fsp: u8, mode: SqlMode) -> Parsed<Time> {
    let negative = s.peek() == b'-';
    if negative {
        s.at += 1;
    }
    if s.left() == 0 {
        return Parsed::Invalid;
    }
    // Numbers beyond this are out of range wherever they stand.
    let number = |s: &mut Scan<'_>| {
        let mut n = 0i64;
        while s.peek().is_ascii_digit() {
            n = (n * 10 + (s.peek() - b'0') as i64).min(1 << 40);
            s.at += 1;
        }
        n
    };
    let first = number(&mut s);
    let after_first = s.at;
    s.skip_spaces();
    // Days, hours, minutes, seconds.
    let mut parts = [0i64; 4];
    let mut state;
    if s.left() > 1 && s.at != after_first && s.peek().is_ascii_digit() {
        parts[0] = first;
        state = 1;
    } else if s.left() > 1 && s.peek() == b':' && s.peek_at(1).is_ascii_digit() {
        parts[1] = first;
        s.at += 1;
        state = 2;
    } else {
        parts = [0, first / 10_000, first / 100 % 100, first % 100];
        state = 4;
    }
    while state < 4 {
        parts[state] = number(&mut s);
        state += 1;
        if state == 4 || s.left() < 2 || s.peek() != b':' || !s.peek_at(1).is_ascii_digit() {
            break;
        }
        s.at += 1;
    }
    let (mut micros, mut tenths) = (0i64, 0u8);
    if s.peek() == b'.' && s.peek_at(1).is_ascii_digit() {
        s.at += 1;
        let mut unit = 100_000;
        let mut seen = 0;
        while s.peek().is_ascii_digit() {
            let digit = (s.peek() - b'0') as i64;
            micros += digit * unit;
            unit /= 10;
            if seen == 6 {
                tenths = digit as u8;
            }
            seen += 1;
            s.at += 1;
        }
    } else if s.left() == 1 && s.peek() == b'.' {
        s.at += 1;
    }
    // '1e5' is a number that was printed, not a time.
    if matches!(s.peek(), b'e' | b'E') && (s.peek_at(1).is_ascii_digit() || (matches!(s.peek_at(1), b'+' | b'-') && s.peek_at(2).is_ascii_digit())) {
        return Parsed::Invalid;
    }
    if parts[2] > 59 || parts[3] > 59 || parts.iter().any(|p| *p > u32::MAX as i64) {
        return Parsed::Invalid;
    }
    let total = ((parts[0] * 24 + parts[1]) as i128 * 3600 + (parts[2] * 60 + parts[3]) as i128) * MICROS_PER_SECOND as i128 + micros as i128;
    let bound = Time::MAX.micros() as i128;
    if total > bound {
        return Parsed::OutOfRange(if negative { Time::MIN } else { Time::MAX });
    }
    let round_up = tenths >= 5 && fsp_unit(fsp) == 1 && !mode.has(SqlMode::TIME_TRUNCATE_FRACTIONAL);
    let total = total as i64 + i64::from(round_up);
    let time = Time(if negative { -total } else { total }).with_fsp(fsp, mode);
    if s.rest_is_space() { Parsed::Ok(time) } else { Parsed::Truncated(time) }
}
