//! JSON as stored in a row.
//!
//! Owns:     nothing.
//! Promises: reads back exactly what was written, the kinds of numbers included; bytes that were not written here are `None`.
//! Never:    changes without a new format number in docs/format/row.md, which lists the tags.

use super::{Json, JsonObject};
use crate::{Date, DateTime, Decimal, Time};

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const UINT: u8 = 4;
const DOUBLE: u8 = 5;
const DECIMAL: u8 = 6;
const STRING: u8 = 7;
const ARRAY: u8 = 8;
const OBJECT: u8 = 9;
const DATE: u8 = 10;
const TIME: u8 = 11;
const DATETIME: u8 = 12;
const OPAQUE: u8 = 13;

/// Deeper than any document MySQL lets through; damaged bytes must not exhaust the stack.
const MAX_DEPTH: usize = 400;

fn put_length(mut n: u64, out: &mut Vec<u8>) {
    while n >= 128 {
        out.push(n as u8 | 128);
        n >>= 7;
    }
    out.push(n as u8);
}

fn put_bytes(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    put_length(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

impl Json {
    /// Appends the bytes of docs/format/row.md, "JSON".
    pub fn to_bytes(&self, out: &mut Vec<u8>) {
        match self {
            Json::Null => out.push(NULL),
            Json::Bool(false) => out.push(FALSE),
            Json::Bool(true) => out.push(TRUE),
            Json::Int(v) => {
                out.push(INT);
                put_length((v << 1 ^ v >> 63) as u64, out);
            }
            Json::UInt(v) => {
                out.push(UINT);
                put_length(*v, out);
            }
            Json::Double(v) => {
                out.push(DOUBLE);
                out.extend_from_slice(&v.to_le_bytes());
            }
            Json::Decimal(v) => put_bytes(DECIMAL, v.to_string().as_bytes(), out),
            Json::String(v) => put_bytes(STRING, v.as_bytes(), out),
            Json::Opaque(v) => put_bytes(OPAQUE, v, out),
            Json::Date(v) => {
                out.push(DATE);
                put_length(v.packed() as u64, out);
            }
            Json::Time(v) => {
                out.push(TIME);
                out.extend_from_slice(&v.micros().to_le_bytes());
            }
            Json::DateTime(v) => {
                out.push(DATETIME);
                out.extend_from_slice(&v.packed().to_le_bytes());
            }
            Json::Array(items) => {
                out.push(ARRAY);
                put_length(items.len() as u64, out);
                items.iter().for_each(|v| v.to_bytes(out));
            }
            Json::Object(members) => {
                out.push(OBJECT);
                put_length(members.len() as u64, out);
                for (key, value) in members.iter() {
                    put_length(key.len() as u64, out);
                    out.extend_from_slice(key.as_bytes());
                    value.to_bytes(out);
                }
            }
        }
    }

    /// `None` for bytes that [`Json::to_bytes`] did not write.
    pub fn from_bytes(bytes: &[u8]) -> Option<Json> {
        let mut reader = Reader { bytes };
        let value = reader.value(MAX_DEPTH)?;
        reader.bytes.is_empty().then_some(value)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.bytes.split_at_checked(n)?;
        self.bytes = tail;
        Some(head)
    }
    fn eight(&mut self) -> Option<[u8; 8]> {
        self.take(8)?.try_into().ok()
    }
    fn length(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let b = self.take(1)?[0];
            n |= ((b & 127) as u64).checked_shl(shift)?;
            if b & 128 == 0 {
                return Some(n);
            }
        }
        None
    }
    fn block(&mut self) -> Option<&'a [u8]> {
        let n = self.length()?;
        self.take(usize::try_from(n).ok()?)
    }
    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.block()?).ok()
    }
    /// A count of things that take a byte at least.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.length()?).ok().filter(|n| *n <= self.bytes.len())
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        let depth = depth.checked_sub(1)?;
        Some(match self.take(1)?[0] {
            NULL => Json::Null,
            FALSE => Json::Bool(false),
            TRUE => Json::Bool(true),
            INT => {
                let n = self.length()?;
                Json::Int((n >> 1) as i64 ^ -((n & 1) as i64))
            }
            UINT => Json::UInt(self.length()?),
            // JSON has no NaN and no infinity, and nothing that writes these bytes has one.
            DOUBLE => Json::Double(Some(f64::from_le_bytes(self.eight()?)).filter(|v| v.is_finite())?),
            DECIMAL => Json::Decimal(Decimal::parse(self.text()?)?),
            STRING => Json::String(self.text()?.into()),
            OPAQUE => Json::Opaque(self.block()?.into()),
            DATE => Json::Date(Date::checked(u32::try_from(self.length()?).ok()?)?),
            TIME => Json::Time(Time::checked(i64::from_le_bytes(self.eight()?))?),
            DATETIME => Json::DateTime(DateTime::checked(u64::from_le_bytes(self.eight()?))?),
            ARRAY => {
                let n = self.count()?;
                Json::Array((0..n).map(|_| self.value(depth)).collect::<Option<_>>()?)
            }
            OBJECT => {
                let n = self.count()?;
                let members = (0..n).map(|_| Some((self.text()?.into(), self.value(depth)?)));
                Json::Object(members.collect::<Option<JsonObject>>()?)
            }
            _ => return None,
        })
    }
}
