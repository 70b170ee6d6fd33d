//! Text that is plainly a value of its column's type goes straight into a row's bytes.
//!
//! Owns:     nothing.
//! Promises: what is put is what [`crate::store`] makes of the same text, and it would have warned of nothing.
//! Never:    warns, refuses, allocates: what is not plain is left for `store`.

use crate::context::TimeZone;
use crate::time_zone;
use std::sync::Arc;
use weald_types::row::RowBuilder;
use weald_types::{Charset, Date, DateTime, SqlType, TypeKind};

/// How plain text of one column looks.
#[derive(Clone, Debug)]
pub enum Plain {
    Int,
    /// Below `limit` in units of the last decimal.
    Decimal {
        scale: u8,
        limit: i64,
        unsigned: bool,
    },
    Double {
        single: bool,
        unsigned: bool,
    },
    /// `most_bytes` of text that has at most so many characters.
    Text {
        chars: usize,
        most_bytes: usize,
        utf8: bool,
    },
    Bytes {
        least: usize,
        most: usize,
    },
    Date,
    DateTime {
        fsp: u8,
        utc: bool,
    },
    Enum(Arc<[Box<str>]>),
    /// `store` has to look at every value.
    Never,
}

impl Plain {
    /// For text of a file in `charset`.
    pub fn new(ty: &SqlType, charset: Charset) -> Self {
        let utf8 = charset.is_utf8() && ty.collation.max_len() == 4;
        match &ty.kind {
            TypeKind::Int { .. } => Plain::Int,
            TypeKind::Decimal { precision, scale, unsigned } => {
                Plain::Decimal { scale: *scale, limit: 10i64.checked_pow(*precision as u32).unwrap_or(i64::MAX), unsigned: *unsigned }
            }
            TypeKind::Float { unsigned, scale: None, .. } => Plain::Double { single: true, unsigned: *unsigned },
            TypeKind::Double { unsigned, scale: None, .. } => Plain::Double { single: false, unsigned: *unsigned },
            TypeKind::Char { chars } | TypeKind::VarChar { chars } => Plain::Text { chars: *chars as usize, most_bytes: usize::MAX, utf8 },
            TypeKind::Text(size) => Plain::Text { chars: usize::MAX, most_bytes: size.max_bytes() as usize, utf8 },
            TypeKind::Binary { bytes } => Plain::Bytes { least: *bytes as usize, most: *bytes as usize },
            TypeKind::VarBinary { bytes } => Plain::Bytes { least: 0, most: *bytes as usize },
            TypeKind::Blob(size) => Plain::Bytes { least: 0, most: size.max_bytes() as usize },
            TypeKind::Date => Plain::Date,
            TypeKind::DateTime { fsp } => Plain::DateTime { fsp: *fsp, utc: false },
            TypeKind::Timestamp { fsp } => Plain::DateTime { fsp: *fsp, utc: true },
            TypeKind::Enum(members) => Plain::Enum(members.clone()),
            TypeKind::Null
            | TypeKind::Float { .. }
            | TypeKind::Double { .. }
            | TypeKind::Bit { .. }
            | TypeKind::Time { .. }
            | TypeKind::Year
            | TypeKind::Json
            | TypeKind::Set(_) => Plain::Never,
        }
    }

    /// Puts `raw` as the row's next field. False: it was not put.
    pub fn put(&self, raw: &[u8], zone: &TimeZone, row: &mut RowBuilder<'_>) -> bool {
        match self {
            Plain::Int => whole(raw).is_some_and(|n| row.int(n).is_ok()),
            Plain::Decimal { scale, limit, unsigned } => {
                units(raw, *scale).is_some_and(|n| n.unsigned_abs() < limit.unsigned_abs() && !(*unsigned && n < 0) && row.decimal_units(n).is_ok())
            }
            Plain::Double { single, unsigned } => double(raw)
                .filter(|d| !(*unsigned && d.is_sign_negative()) && (!*single || d.abs() <= f32::MAX as f64))
                .is_some_and(|d| row.double(d).is_ok()),
            Plain::Text { chars, most_bytes, utf8 } => {
                if raw.len() > *most_bytes || !(*utf8 || raw.is_ascii()) {
                    return false;
                }
                let Ok(text) = std::str::from_utf8(raw) else { return false };
                (text.len() <= *chars || text.chars().count() <= *chars) && row.text(text).is_ok()
            }
            Plain::Bytes { least, most } => (*least..=*most).contains(&raw.len()) && row.bytes(raw).is_ok(),
            Plain::Date => date(raw).is_some_and(|d| row.date(d).is_ok()),
            Plain::DateTime { fsp, utc } => {
                let Some(local) = datetime(raw, *fsp) else { return false };
                let stored = if *utc { time_zone::to_timestamp(local, zone) } else { Some(local) };
                stored.is_some_and(|d| row.datetime(d).is_ok())
            }
            Plain::Enum(members) => members.iter().position(|m| m.as_bytes() == raw).is_some_and(|i| row.uint(i as u64 + 1).is_ok()),
            Plain::Never => false,
        }
    }
}

/// Up to 18 digits and a sign; spaces may follow.
pub fn whole(raw: &[u8]) -> Option<i64> {
    units(raw, 0).filter(|_| !raw.contains(&b'.'))
}

/// A number with at most `scale` decimals, in units of 10^-`scale`; at most 18 digits.
fn units(raw: &[u8], scale: u8) -> Option<i64> {
    let raw = raw.trim_ascii_end();
    let (negative, digits) = match raw {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, raw),
    };
    let (mut n, mut count, mut decimals) = (0i64, 0u32, None);
    for (i, b) in digits.iter().enumerate() {
        match b {
            b'0'..=b'9' => {
                n = n.wrapping_mul(10).wrapping_add((b - b'0') as i64);
                count += 1;
                decimals = decimals.map(|d: u32| d + 1);
            }
            b'.' if decimals.is_none() && i > 0 => decimals = Some(0),
            _ => return None,
        }
    }
    let more = (scale as u32).checked_sub(decimals.unwrap_or(0))?;
    if count == 0 || count + more > 18 {
        return None;
    }
    let n = n * 10i64.pow(more);
    Some(if negative { -n } else { n })
}

fn double(raw: &[u8]) -> Option<f64> {
    let first = raw.strip_prefix(b"-").unwrap_or(raw).first()?;
    if !first.is_ascii_digit() || !raw.iter().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')) {
        return None;
    }
    std::str::from_utf8(raw).ok()?.parse().ok().filter(|d: &f64| d.is_finite())
}

/// YYYY-MM-DD of a day of the calendar.
fn date(raw: &[u8]) -> Option<Date> {
    let raw: &[u8; 10] = raw.try_into().ok()?;
    if raw[4] != b'-' || raw[7] != b'-' {
        return None;
    }
    Date::new(number(&raw[..4])?, number(&raw[5..7])?, number(&raw[8..])?).filter(|d| d.year() > 0)
}

/// YYYY-MM-DD hh:mm:ss, with up to `fsp` decimals of a second.
fn datetime(raw: &[u8], fsp: u8) -> Option<DateTime> {
    let (day, time) = raw.split_at_checked(10)?;
    let (time, fraction) = time.split_at_checked(9)?;
    if time[0] != b' ' || time[3] != b':' || time[6] != b':' {
        return None;
    }
    let micros = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=fsp.min(6) as usize).contains(&digits.len()) => number(digits)? * 10u32.pow(6 - digits.len() as u32),
        _ => return None,
    };
    let (hour, minute, second) = (number(&time[1..3])?, number(&time[4..6])?, number(&time[7..])?);
    let d = date(day)?;
    DateTime::from_parts(d.year(), d.month(), d.day(), hour, minute, second, micros)
}

/// Of a few digits.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + (b - b'0') as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{self, Target};
    use crate::testing;
    use proptest::prelude::*;
    use weald_types::row::RowLayout;
    use weald_types::sql_type::{BlobSize, IntWidth};
    use weald_types::{Collation, Value};

    fn types() -> Vec<SqlType> {
        let kinds = [
            TypeKind::Int { width: IntWidth::Tiny, unsigned: true, zerofill: None },
            TypeKind::Int { width: IntWidth::Medium, unsigned: false, zerofill: None },
            TypeKind::Int { width: IntWidth::Big, unsigned: false, zerofill: None },
            TypeKind::Decimal { precision: 5, scale: 2, unsigned: false },
            TypeKind::Decimal { precision: 30, scale: 4, unsigned: true },
            TypeKind::Float { unsigned: false, digits: None, scale: None },
            TypeKind::Double { unsigned: true, digits: None, scale: None },
            TypeKind::Char { chars: 4 },
            TypeKind::VarChar { chars: 3 },
            TypeKind::Text(BlobSize::Tiny),
            TypeKind::Binary { bytes: 3 },
            TypeKind::VarBinary { bytes: 3 },
            TypeKind::Date,
            TypeKind::DateTime { fsp: 0 },
            TypeKind::DateTime { fsp: 6 },
            TypeKind::Timestamp { fsp: 3 },
            TypeKind::Enum(["a".into(), "1".into(), "ab".into()].into()),
        ];
        let latin1 = SqlType::string(TypeKind::VarChar { chars: 3 }, false, Collation::LATIN1_BIN);
        kinds.into_iter().map(|k| SqlType::string(k, false, Collation::UTF8MB4_GENERAL_CI)).chain([latin1]).collect()
    }

    /// How many of these texts are plain; those that are give the bytes that `store` gives, which is silent.
    fn check(texts: &[&[u8]]) -> usize {
        let statement = testing::in_session(|s| s.time_zone = TimeZone::Fixed(3600));
        let ctx = testing::statement(&statement);
        let zone = &statement.time_zone;
        let mut plain = 0;
        for ty in types() {
            let (layout, form) = (RowLayout::new(std::slice::from_ref(&ty)), Plain::new(&ty, Charset::Utf8mb4));
            for raw in texts {
                let mut bytes = vec![7];
                let mut row = layout.build(&mut bytes);
                if !form.put(raw, zone, &mut row) {
                    drop(row);
                    assert_eq!(bytes, [7]);
                    continue;
                }
                row.finish().unwrap();
                plain += 1;
                let given = if ty.kind.is_binary() { Value::bytes(*raw) } else { Value::str(std::str::from_utf8(raw).unwrap()) };
                let target = Target { column: "c", ty: &ty, row: 1 };
                let stored = store::store(given, &SqlType::varchar(9, false, Collation::UTF8MB4_GENERAL_CI), target, &ctx);
                let mut expected = vec![7];
                layout.encode(&[stored.unwrap()], &mut expected).unwrap();
                assert_eq!(bytes, expected, "{:?} as {:?}", String::from_utf8_lossy(raw), ty.kind);
                assert_eq!(statement.warnings.lock().total, 0, "{:?} as {:?}", String::from_utf8_lossy(raw), ty.kind);
            }
        }
        plain
    }

    #[test]
    fn usual_values_are_plain() {
        let one = |ty: TypeKind, raw: &str| {
            let ty = SqlType::string(ty, false, Collation::UTF8MB4_GENERAL_CI);
            let layout = RowLayout::new(std::slice::from_ref(&ty));
            Plain::new(&ty, Charset::Utf8mb4).put(raw.as_bytes(), &TimeZone::Fixed(0), &mut layout.build(&mut Vec::new()))
        };
        for ty in types() {
            let raw = match &ty.kind {
                TypeKind::Date => "1998-12-01",
                TypeKind::DateTime { .. } | TypeKind::Timestamp { .. } => "1998-12-01 23:59:59",
                TypeKind::Binary { .. } => "abc",
                TypeKind::Char { .. } | TypeKind::VarChar { .. } | TypeKind::Text(_) | TypeKind::VarBinary { .. } | TypeKind::Enum(_) => "a",
                _ => "17",
            };
            assert!(one(ty.kind.clone(), raw), "{:?}", ty.kind);
        }
        let decimal = TypeKind::Decimal { precision: 5, scale: 2, unsigned: false };
        assert!(one(decimal.clone(), "-999.99") && one(decimal.clone(), "5.") && one(decimal.clone(), "0.1 "));
        assert!(!one(decimal.clone(), "1000.00") && !one(decimal.clone(), ".5") && !one(decimal, "1.001"));
        assert!(!one(TypeKind::Date, "1999-02-29") && !one(TypeKind::Date, "0000-01-01") && one(TypeKind::Date, "2000-02-29"));
        assert!(one(TypeKind::DateTime { fsp: 3 }, "2000-02-29 00:00:00.123") && !one(TypeKind::DateTime { fsp: 3 }, "2000-02-29 00:00:00.1234"));
    }

    proptest! {
        #[test]
        fn plain_text_is_stored_as_it_always_is(
            numbers in prop::collection::vec("-?[0-9]{0,19}(\\.[0-9]{0,4})?(e[-+]?[0-9]{1,2})?[ \r]?", 30),
            words in prop::collection::vec("[a1 é😀]{0,5}", 30),
            days in prop::collection::vec("[012][09][0-9]{2}-[01][0-9]-[0-3][0-9]( [0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,7})?)?", 60),
            anything in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 10),
        ) {
            let texts: Vec<&[u8]> =
                numbers.iter().chain(&words).chain(&days).map(|s| s.as_bytes()).chain(anything.iter().map(|b| &b[..])).collect();
            prop_assert!(check(&texts) > 0);
        }
    }
}
