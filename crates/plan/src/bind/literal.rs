//! Literals: their values and types.
//!
//! Owns:     nothing.
//! Promises: types as MySQL gives them: integers BIGINT, numbers with a point DECIMAL, text in the connection's collation.
//! Never:    looks at a column.

use super::Binder;
use weald_expr::Expr;
use weald_sql::ast::{IntervalUnit, Literal};
use weald_types::temporal::Parsed;
use weald_types::{Charset, Collation, Date, DateTime, Decimal, Fault, SqlType, Time, TypeKind, Value};

impl Binder<'_> {
    pub fn literal(&self, l: &Literal) -> Result<Expr, Fault> {
        // An offset is brought to the session's time zone when the statement runs.
        if let Literal::Timestamp(s) = l
            && let (Parsed::Ok(_), Some(_)) = DateTime::parse_with_offset(s, 6, self.sql_mode())
        {
            let whole = s.trim_end().rsplit_once(['+', '-']).map_or(s.as_str(), |(time, _)| time);
            let ty = SqlType::new(TypeKind::DateTime { fsp: decimals(whole) }, false);
            return Ok(Expr::Cast { expr: Box::new(self.text_literal(s)), ty });
        }
        let (value, ty) = self.literal_value(l)?;
        Ok(Expr::Literal { value, ty })
    }

    fn literal_value(&self, l: &Literal) -> Result<(Value, SqlType), Fault> {
        let connection = self.env.session.collation_connection;
        let mode = self.sql_mode();
        Ok(match l {
            Literal::Null => (Value::Null, SqlType::null()),
            Literal::Bool(b) => (Value::Int(*b as i64), SqlType::new(TypeKind::truth(), false)),
            Literal::Integer(n) => match i64::try_from(*n) {
                Ok(n) => (Value::Int(n), SqlType::bigint(false)),
                Err(_) => (Value::UInt(*n), SqlType::bigint_unsigned(false)),
            },
            Literal::Decimal(text) => decimal(text)?,
            Literal::Double(d) => (Value::Double(*d), SqlType::double(false)),
            Literal::String { value, charset } => {
                let collation = match charset {
                    None => connection,
                    Some(c) => Collation::default_of(c).ok_or_else(|| Charset::unknown(c))?,
                };
                if collation == Collation::BINARY { binary_text(value.as_bytes()) } else { text(value, collation) }
            }
            Literal::National(value) => text(value, Collation::UTF8MB3_GENERAL_CI),
            Literal::Bytes(b) => binary_text(b),
            Literal::Hex(b) | Literal::Bit(b) => bytes(b),
            Literal::Date(s) => match Date::parse(s, mode) {
                Parsed::Ok(d) => (Value::Date(d), SqlType::new(TypeKind::Date, false)),
                _ => return Err(incorrect("DATE", s)),
            },
            Literal::Time(s) => match Time::parse(s, 6, mode) {
                Parsed::Ok(t) => (Value::Time(t), SqlType::new(TypeKind::Time { fsp: decimals(s) }, false)),
                _ => return Err(incorrect("TIME", s)),
            },
            Literal::Timestamp(s) => match DateTime::parse(s, 6, mode) {
                Parsed::Ok(t) => (Value::DateTime(t), SqlType::new(TypeKind::DateTime { fsp: decimals(s) }, false)),
                _ => return Err(incorrect("DATETIME", s)),
            },
        })
    }
}

fn incorrect(kind: &str, text: &str) -> Fault {
    Fault::mysql(1525, "HY000", format!("Incorrect {kind} value: '{text}'"))
}

fn text(value: &str, collation: Collation) -> (Value, SqlType) {
    (Value::str(value), SqlType::varchar(value.chars().count() as u32, false, collation))
}

/// Other than [`bytes`], never a number: see `weald_expr::typing::as_number`.
fn binary_text(b: &[u8]) -> (Value, SqlType) {
    (Value::bytes(b), SqlType::new(TypeKind::Binary { bytes: b.len() as u32 }, false))
}

fn bytes(b: &[u8]) -> (Value, SqlType) {
    (Value::bytes(b), SqlType::new(TypeKind::VarBinary { bytes: b.len() as u32 }, false))
}

fn decimal(text: &str) -> Result<(Value, SqlType), Fault> {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let Some(value) = Decimal::parse(text) else {
        // More than 65 digits: MySQL takes what fits.
        return text
            .parse::<f64>()
            .map(|d| (Value::Double(d), SqlType::double(false)))
            .map_err(|_| Fault::mysql(1367, "22007", format!("Illegal non geometric '{text}' value found during parsing")));
    };
    let scale = text.split('.').nth(1).map_or(0, str::len);
    let leading_zero = text.split('.').next().is_some_and(|i| i.is_empty() || i.chars().all(|c| c == '0'));
    let precision = if leading_zero { scale.max(1) } else { digits };
    let ty = SqlType::new(TypeKind::Decimal { precision: precision.clamp(1, 65) as u8, scale: scale.min(30) as u8, unsigned: false }, false);
    Ok((Value::Decimal(value), ty))
}

/// Digits after the point of a time.
fn decimals(text: &str) -> u8 {
    text.rsplit_once('.').map_or(0, |(_, f)| f.chars().take_while(char::is_ascii_digit).count().min(6) as u8)
}

/// As MySQL writes it.
pub fn unit_name(unit: IntervalUnit) -> &'static str {
    use IntervalUnit::*;
    match unit {
        Microsecond => "MICROSECOND",
        Second => "SECOND",
        Minute => "MINUTE",
        Hour => "HOUR",
        Day => "DAY",
        Week => "WEEK",
        Month => "MONTH",
        Quarter => "QUARTER",
        Year => "YEAR",
        SecondMicrosecond => "SECOND_MICROSECOND",
        MinuteMicrosecond => "MINUTE_MICROSECOND",
        MinuteSecond => "MINUTE_SECOND",
        HourMicrosecond => "HOUR_MICROSECOND",
        HourSecond => "HOUR_SECOND",
        HourMinute => "HOUR_MINUTE",
        DayMicrosecond => "DAY_MICROSECOND",
        DaySecond => "DAY_SECOND",
        DayMinute => "DAY_MINUTE",
        DayHour => "DAY_HOUR",
        YearMonth => "YEAR_MONTH",
    }
}
