//! Time zones: offsets and the names of the IANA database.
//!
//! Owns:     nothing; the database is compiled in.
//! Promises: UTC to local is total; local to UTC takes the earlier of two instants and moves a time in a gap to the gap's end, as MySQL does.
//! Never:    reads the system's zone: the server's is UTC.

use crate::context::TimeZone;
use chrono::{NaiveDate, NaiveDateTime, Offset, TimeZone as _};
use weald_types::DateTime;

/// `SYSTEM`, `+05:30`, `Europe/Vienna`. Names in any case.
pub fn parse(name: &str) -> Option<TimeZone> {
    if name.eq_ignore_ascii_case("SYSTEM") {
        return Some(TimeZone::Fixed(0));
    }
    if let Some(seconds) = parse_offset(name) {
        return Some(TimeZone::Fixed(seconds));
    }
    name.parse().ok().or_else(|| chrono_tz::TZ_VARIANTS.iter().copied().find(|tz| tz.name().eq_ignore_ascii_case(name))).map(TimeZone::Named)
}

/// `[+-]H[H]:MM`, from -13:59 to +14:00.
fn parse_offset(s: &str) -> Option<i32> {
    let (sign, rest) = match s.as_bytes().first()? {
        b'+' => (1, &s[1..]),
        b'-' => (-1, &s[1..]),
        _ => return None,
    };
    let (h, m) = rest.split_once(':')?;
    if h.is_empty() || h.len() > 2 || m.len() != 2 || !h.bytes().chain(m.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (h, m): (i32, i32) = (h.parse().ok()?, m.parse().ok()?);
    let seconds = sign * (h * 3600 + m * 60);
    (m < 60 && (-13 * 3600 - 59 * 60..=14 * 3600).contains(&seconds)).then_some(seconds)
}

fn naive(d: DateTime) -> Option<NaiveDateTime> {
    let date = NaiveDate::from_ymd_opt(d.date().year() as i32, d.date().month(), d.date().day())?;
    date.and_hms_micro_opt(d.hour(), d.minute(), d.second(), d.microsecond())
}

/// Seconds east of UTC at a UTC time.
pub fn offset_at(utc: DateTime, zone: &TimeZone) -> i32 {
    match zone {
        TimeZone::Fixed(seconds) => *seconds,
        TimeZone::Named(tz) => naive(utc).map_or(0, |n| tz.offset_from_utc_datetime(&n).fix().local_minus_utc()),
    }
}

/// A UTC time in `zone`. A zero date stays one.
pub fn to_session(utc: DateTime, zone: &TimeZone) -> Option<DateTime> {
    if crate::coerce::is_utc(zone) || utc.is_zero() {
        return Some(utc);
    }
    utc.add_micros(offset_at(utc, zone) as i64 * 1_000_000)
}

/// As a TIMESTAMP column stores it; `None` beyond what it can hold.
pub fn to_timestamp(local: DateTime, zone: &TimeZone) -> Option<DateTime> {
    to_utc(local, zone).filter(|u| u.unix_micros().is_some_and(|m| (1_000_000..=2_147_483_647_999_999).contains(&m)))
}

/// A time in `zone` as UTC.
pub fn to_utc(local: DateTime, zone: &TimeZone) -> Option<DateTime> {
    if local.is_zero() {
        return Some(local);
    }
    match zone {
        TimeZone::Fixed(seconds) => local.add_micros(-(*seconds as i64) * 1_000_000),
        TimeZone::Named(tz) => {
            let n = naive(local)?;
            match tz.offset_from_local_datetime(&n) {
                chrono::LocalResult::Single(o) | chrono::LocalResult::Ambiguous(o, _) => {
                    local.add_micros(-(o.fix().local_minus_utc() as i64) * 1_000_000)
                }
                // In a gap: the offset before it, so that the time lies just after the change; MySQL takes the change itself.
                chrono::LocalResult::None => {
                    let before = tz.offset_from_local_datetime(&(n - chrono::Duration::hours(3))).earliest()?.fix().local_minus_utc();
                    let utc = local.add_micros(-(before as i64) * 1_000_000)?;
                    let after = offset_at(utc, zone);
                    let into_gap = (utc.add_micros(after as i64 * 1_000_000)?.micros_of_day() - local.micros_of_day()).rem_euclid(86_400_000_000);
                    let gap = (after - before) as i64 * 1_000_000;
                    // `utc` is as far past the change as `local` is past the gap's start.
                    let past = local.micros_of_day() % gap.max(1);
                    if into_gap == gap { utc.add_micros(-past) } else { Some(utc) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_names_are_read() {
        assert_eq!(parse("+05:30"), Some(TimeZone::Fixed(19_800)));
        assert_eq!(parse("-13:59"), Some(TimeZone::Fixed(-50_340)));
        assert_eq!(parse("+14:01"), None);
        assert_eq!(parse("europe/vienna"), Some(TimeZone::Named(chrono_tz::Europe::Vienna)));
        assert_eq!(parse("Mars/Olympus"), None);
    }

    #[test]
    fn summer_time_comes_and_goes() {
        let zone = parse("Europe/Vienna").unwrap();
        let utc = DateTime::from_parts(2024, 7, 1, 10, 0, 0, 0).unwrap();
        let local = to_session(utc, &zone).unwrap();
        assert_eq!(local, DateTime::from_parts(2024, 7, 1, 12, 0, 0, 0).unwrap());
        assert_eq!(to_utc(local, &zone).unwrap(), utc);
        // 02:30 on the day clocks go forward does not exist.
        let gap = DateTime::from_parts(2024, 3, 31, 2, 30, 0, 0).unwrap();
        assert_eq!(to_utc(gap, &zone).unwrap(), DateTime::from_parts(2024, 3, 31, 1, 0, 0, 0).unwrap());
    }
}
