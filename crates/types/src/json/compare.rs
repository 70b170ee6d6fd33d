//! The order of JSON values, and their sort keys.
//!
//! Owns:     nothing.
//! Promises: a total order: by MySQL's type precedence (manual, "Comparison and Ordering of JSON Values"), then by value; numbers of all kinds by their
//!           exact value. `memcmp` of two sort keys is that order, and no key is the beginning of another.
//! Never:    orders objects as MySQL's internals do: the manual leaves that open; we go by the number of members, then keys and values in order.

use super::{Json, key_order};
use crate::{Collation, Decimal};
use std::cmp::Ordering;

/// Low types first.
fn precedence(value: &Json) -> u8 {
    match value {
        Json::Null => 1,
        Json::Int(_) | Json::UInt(_) | Json::Double(_) | Json::Decimal(_) => 2,
        Json::String(_) => 3,
        Json::Object(_) => 4,
        Json::Array(_) => 5,
        Json::Bool(_) => 6,
        Json::Date(_) => 7,
        Json::Time(_) => 8,
        Json::DateTime(_) => 9,
        Json::Opaque(_) => 10,
    }
}

impl Json {
    /// MySQL's total order: by type precedence, then value.
    pub fn compare(&self, other: &Json) -> Ordering {
        match (self, other) {
            (Json::Int(a), Json::Int(b)) => a.cmp(b),
            (Json::UInt(a), Json::UInt(b)) => a.cmp(b),
            (Json::Double(a), Json::Double(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Json::Decimal(a), Json::Decimal(b)) => a.cmp(b),
            (Json::String(a), Json::String(b)) => a.cmp(b),
            (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
            (Json::Date(a), Json::Date(b)) => a.cmp(b),
            (Json::Time(a), Json::Time(b)) => a.cmp(b),
            (Json::DateTime(a), Json::DateTime(b)) => a.cmp(b),
            (Json::Opaque(a), Json::Opaque(b)) => a.cmp(b),
            (Json::Array(a), Json::Array(b)) => {
                let differing = a.iter().zip(b).map(|(x, y)| x.compare(y)).find(|o| o.is_ne());
                differing.unwrap_or(a.len().cmp(&b.len()))
            }
            (Json::Object(a), Json::Object(b)) => a.len().cmp(&b.len()).then_with(|| {
                let members = a.iter().zip(b.iter());
                members.map(|((k, x), (l, y))| key_order(k, l).then_with(|| x.compare(y))).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
            }),
            _ => precedence(self).cmp(&precedence(other)).then_with(|| match (Number::of(self), Number::of(other)) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => Ordering::Equal,
            }),
        }
    }

    /// Appends bytes whose order is that of [`Json::compare`]: for hashing, GROUP BY, DISTINCT, ORDER BY.
    pub fn sort_key(&self, out: &mut Vec<u8>) {
        out.push(precedence(self));
        match self {
            Json::Null => (),
            Json::Int(_) | Json::UInt(_) | Json::Double(_) | Json::Decimal(_) => {
                if let Some(number) = Number::of(self) {
                    number.sort_key(out);
                }
            }
            Json::String(v) => Collation::BINARY.sort_key(v.as_bytes(), out),
            Json::Opaque(v) => Collation::BINARY.sort_key(v, out),
            Json::Bool(v) => out.push(*v as u8),
            Json::Date(v) => out.extend_from_slice(&v.packed().to_be_bytes()),
            Json::Time(v) => out.extend_from_slice(&(v.micros() ^ i64::MIN).to_be_bytes()),
            Json::DateTime(v) => out.extend_from_slice(&v.packed().to_be_bytes()),
            // Every key begins with a precedence, which is above 0: the shorter array comes first.
            Json::Array(items) => {
                items.iter().for_each(|item| item.sort_key(out));
                out.push(0);
            }
            Json::Object(members) => {
                out.extend_from_slice(&(members.len() as u32).to_be_bytes());
                for (key, value) in members.iter() {
                    out.extend_from_slice(&(key.len() as u32).to_be_bytes());
                    out.extend_from_slice(key.as_bytes());
                    value.sort_key(out);
                }
            }
        }
    }
}

/// A number as ±0.ddd… × 10^exponent, without zeros at either end of the digits: one form for each value, whatever its kind.
struct Number {
    /// -1, 0, 1
    sign: i8,
    exponent: i16,
    /// 0 to 9
    digits: Vec<u8>,
}

impl Number {
    fn of(value: &Json) -> Option<Self> {
        Some(match value {
            Json::Int(v) => Self::parse(*v < 0, &v.unsigned_abs().to_string(), 0),
            Json::UInt(v) => Self::parse(false, &v.to_string(), 0),
            // A whole double is exactly an integer, and must equal it; others are known by their shortest digits, as DECIMALs from them are.
            Json::Double(v) if v.fract() == 0.0 && v.abs() < 1e30 => Self::parse(*v < 0.0, &(v.abs() as u128).to_string(), 0),
            Json::Double(v) => {
                let text = format!("{:e}", v.abs());
                let (mantissa, exponent) = text.split_once('e')?;
                Self::parse(*v < 0.0, mantissa, exponent.parse().ok()?)
            }
            Json::Decimal(v) => Self::of_decimal(v),
            _ => return None,
        })
    }

    fn of_decimal(v: &Decimal) -> Self {
        Self::parse(v.is_negative(), v.abs().to_string().as_str(), 0)
    }

    /// `text` has digits and at most one point.
    fn parse(negative: bool, text: &str, exponent: i32) -> Self {
        let point = text.find('.').unwrap_or(text.len()) as i32;
        let all: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).map(|d| d - b'0').collect();
        let zeros = all.iter().take_while(|d| **d == 0).count();
        let Some(last) = all.iter().rposition(|d| *d != 0) else { return Self { sign: 0, exponent: 0, digits: Vec::new() } };
        Self { sign: if negative { -1 } else { 1 }, exponent: (point - zeros as i32 + exponent) as i16, digits: all[zeros..=last].to_vec() }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        self.sign.cmp(&other.sign).then_with(|| {
            let magnitude = self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits));
            if self.sign < 0 { magnitude.reverse() } else { magnitude }
        })
    }

    fn sort_key(&self, out: &mut Vec<u8>) {
        out.push((self.sign + 2) as u8);
        if self.sign == 0 {
            return;
        }
        let start = out.len();
        out.extend_from_slice(&(self.exponent ^ i16::MIN).to_be_bytes());
        // Two digits a byte, one more than their number so that 0 can end them.
        out.extend(self.digits.chunks(2).map(|d| d[0] * 10 + d.get(1).unwrap_or(&0) + 1));
        out.push(0);
        if self.sign < 0 {
            out[start..].iter_mut().for_each(|b| *b = !*b);
        }
    }
}
