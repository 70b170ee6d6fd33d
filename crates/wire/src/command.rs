//! Commands as clients send them.
//!
//! Owns:     nothing.
//! Promises: every byte pattern is a command, an unknown one (1047), or malformed.
//! Never:    runs anything.

use crate::Error;
use crate::constants::{client, column};
use crate::value::Reader;
use weald_types::{Date, DateTime, Time, Value};

#[derive(Debug, PartialEq)]
pub enum Command<'a> {
    Quit,
    InitDb(&'a [u8]),
    Query(&'a [u8]),
    FieldList {
        table: &'a [u8],
        wildcard: &'a [u8],
    },
    Statistics,
    ProcessKill(u32),
    Ping,
    ChangeUser(&'a [u8]),
    Prepare(&'a [u8]),
    Execute(&'a [u8]),
    SendLongData {
        statement: u32,
        param: u16,
        data: &'a [u8],
    },
    Close(u32),
    Reset(u32),
    SetOption(u16),
    Fetch {
        statement: u32,
        rows: u32,
    },
    ResetConnection,
    /// Bits of [`refresh`](crate::constants::refresh).
    Refresh(u8),
    Shutdown,
    Debug,
    Unknown(u8),
}

pub fn parse(packet: &[u8], capabilities: u32) -> Result<Command<'_>, Error> {
    let mut r = Reader::new(packet);
    Ok(match r.u8()? {
        0x01 => Command::Quit,
        0x02 => Command::InitDb(r.all()),
        0x03 => {
            if capabilities & client::QUERY_ATTRIBUTES != 0 {
                skip_attributes(&mut r)?;
            }
            Command::Query(r.all())
        }
        0x04 => {
            let table = r.zero_ended();
            Command::FieldList { table, wildcard: r.all() }
        }
        0x07 => Command::Refresh(r.u8()?),
        // MySQL 8.0 has no such command any more; MariaDB's mysqladmin sends it to whatever server there is.
        0x08 => Command::Shutdown,
        0x09 => Command::Statistics,
        0x0C => Command::ProcessKill(r.u32()?),
        0x0D => Command::Debug,
        0x0E => Command::Ping,
        0x11 => Command::ChangeUser(r.all()),
        0x16 => Command::Prepare(r.all()),
        0x17 => Command::Execute(r.all()),
        0x18 => Command::SendLongData { statement: r.u32()?, param: r.u16()?, data: r.all() },
        0x19 => Command::Close(r.u32()?),
        0x1A => Command::Reset(r.u32()?),
        0x1B => Command::SetOption(r.u16()?),
        0x1C => Command::Fetch { statement: r.u32()?, rows: r.u32()? },
        0x1F => Command::ResetConnection,
        other => Command::Unknown(other),
    })
}

/// Query attributes before the text: read over; no component here asks for them.
fn skip_attributes(r: &mut Reader<'_>) -> Result<(), Error> {
    let count = r.lenenc()? as usize;
    let _sets = r.lenenc()?;
    if count == 0 {
        return Ok(());
    }
    if count > 65_535 {
        return Err(Error::Malformed("too many query attributes"));
    }
    let nulls = r.bytes(count.div_ceil(8))?;
    if r.u8()? != 1 {
        return Err(Error::Malformed("query attributes without types"));
    }
    let mut types = Vec::with_capacity(count);
    for _ in 0..count {
        types.push(r.u16()?);
        r.lenenc_bytes()?;
    }
    for (i, ty) in types.iter().enumerate() {
        if nulls[i / 8] >> (i % 8) & 1 == 0 {
            param(r, *ty)?;
        }
    }
    Ok(())
}

/// COM_STMT_EXECUTE's fixed part.
#[derive(Debug, PartialEq)]
pub struct Execute {
    pub statement: u32,
    pub cursor: bool,
    pub params: Vec<Option<Value>>,
    /** sent with this execution, or kept from an earlier one */
    pub types: Vec<u16>,
}

pub fn statement_of(body: &[u8]) -> Result<u32, Error> {
    Reader::new(body).u32()
}

/// `params`: how many the statement has; `kept`: types bound before; `long(i)`: parameter i was sent as long data. `None` values are those.
pub fn execute(body: &[u8], params: usize, kept: &[u16], capabilities: u32, long: &dyn Fn(usize) -> bool) -> Result<Execute, Error> {
    let mut r = Reader::new(body);
    let statement = r.u32()?;
    let flags = r.u8()?;
    r.u32()?;
    let cursor = flags & 1 != 0;
    let attributes = capabilities & client::QUERY_ATTRIBUTES != 0;
    let mut count = params;
    if attributes && (params > 0 || flags & 8 != 0) {
        count = r.lenenc()? as usize;
    }
    if count > 65_535 || count < params {
        return Err(Error::Malformed("a wrong number of parameters"));
    }
    if count == 0 {
        return Ok(Execute { statement, cursor, params: Vec::new(), types: Vec::new() });
    }
    let nulls = r.bytes(count.div_ceil(8))?;
    let mut types = kept.to_vec();
    if r.u8()? == 1 {
        types.clear();
        for _ in 0..count {
            types.push(r.u16()?);
            if attributes {
                r.lenenc_bytes()?;
            }
        }
    }
    if types.len() < count {
        return Err(Error::Malformed("parameters without types"));
    }
    let mut values = Vec::with_capacity(params);
    for (i, ty) in types.iter().enumerate().take(count) {
        // What was sent as long data counts, even where the NULL bit is set.
        let value = if i < params && long(i) {
            None
        } else if nulls[i / 8] >> (i % 8) & 1 == 1 {
            Some(Value::Null)
        } else {
            Some(param(&mut r, *ty)?)
        };
        if i < params {
            values.push(value);
        }
    }
    types.truncate(params);
    Ok(Execute { statement, cursor, params: values, types })
}

/// Whether a parameter of this type is text in the client's character set (and not a BLOB).
pub fn is_text(ty: u16) -> bool {
    matches!(ty as u8, column::VARCHAR | column::VAR_STRING | column::STRING | column::ENUM | column::SET)
}

/// A value in binary form; the type's high bit says unsigned.
fn param(r: &mut Reader<'_>, ty: u16) -> Result<Value, Error> {
    let unsigned = ty & 0x8000 != 0;
    let int = |signed: i64, raw: u64| if unsigned { Value::UInt(raw) } else { Value::Int(signed) };
    Ok(match ty as u8 {
        column::NULL => Value::Null,
        column::TINY => {
            let n = r.u8()?;
            int(n as i8 as i64, n as u64)
        }
        column::SHORT | column::YEAR => {
            let n = r.u16()?;
            int(n as i16 as i64, n as u64)
        }
        column::LONG | column::INT24 => {
            let n = r.u32()?;
            int(n as i32 as i64, n as u64)
        }
        column::LONGLONG => {
            let n = r.u64()?;
            int(n as i64, n)
        }
        column::FLOAT => Value::Double(f32::from_bits(r.u32()?) as f64),
        column::DOUBLE => Value::Double(f64::from_bits(r.u64()?)),
        column::DATE => {
            let d = datetime(r)?;
            Value::Date(d.date())
        }
        column::DATETIME | column::TIMESTAMP => Value::DateTime(datetime(r)?),
        column::TIME => Value::Time(time(r)?),
        column::NEWDECIMAL | 0 => {
            let s = utf8(r.lenenc_bytes()?)?;
            weald_types::Decimal::parse(s).map_or_else(|| Value::str(s), Value::Decimal)
        }
        column::TINY_BLOB | column::MEDIUM_BLOB | column::LONG_BLOB | column::BLOB | column::BIT => bytes(r.lenenc_bytes()?),
        column::VARCHAR | column::VAR_STRING | column::STRING | column::ENUM | column::SET | column::JSON => text(r.lenenc_bytes()?),
        _ => return Err(Error::Malformed("a parameter of an unknown type")),
    })
}

fn utf8(b: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(b).map_err(|_| Error::Malformed("a number that is no text"))
}

/// Strings are text where they are UTF-8.
pub fn text(b: &[u8]) -> Value {
    match std::str::from_utf8(b) {
        Ok(s) => Value::str(s),
        Err(_) => Value::bytes(b),
    }
}
/// Clients send text as BLOB too (PHP, Connector/C): what is UTF-8 is text, with a binary column it stays the same bytes.
fn bytes(b: &[u8]) -> Value {
    text(b)
}

fn datetime(r: &mut Reader<'_>) -> Result<DateTime, Error> {
    let n = r.u8()?;
    if n == 0 {
        return Ok(DateTime::default());
    }
    if !matches!(n, 4 | 7 | 11) {
        return Err(Error::Malformed("a date of a wrong length"));
    }
    let (y, m, d) = (r.u16()? as u32, r.u8()? as u32, r.u8()? as u32);
    let (h, mi, s) = if n > 4 { (r.u8()? as u32, r.u8()? as u32, r.u8()? as u32) } else { (0, 0, 0) };
    let micros = if n > 7 { r.u32()? } else { 0 };
    let date = Date::new_lenient(y, m, d).ok_or(Error::Malformed("a date that is none"))?;
    if h > 23 || mi > 59 || s > 59 || micros > 999_999 {
        return Err(Error::Malformed("a time of day that is none"));
    }
    Ok(date.at((((h * 60 + mi) * 60 + s) as i64) * 1_000_000 + micros as i64))
}

fn time(r: &mut Reader<'_>) -> Result<Time, Error> {
    let n = r.u8()?;
    if n == 0 {
        return Ok(Time::default());
    }
    if !matches!(n, 8 | 12) {
        return Err(Error::Malformed("a time of a wrong length"));
    }
    let negative = r.u8()? != 0;
    let (days, h, m, s) = (r.u32()? as i64, r.u8()? as i64, r.u8()? as i64, r.u8()? as i64);
    let micros = if n > 8 { r.u32()? as i64 } else { 0 };
    if days > 34 * 365 || h > 23 || m > 59 || s > 59 || micros > 999_999 {
        return Err(Error::Malformed("a time that is none"));
    }
    let total = (((days * 24 + h) * 60 + m) * 60 + s) * 1_000_000 + micros;
    Ok(Time::from_micros(if negative { -total } else { total }).clamped().0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_command_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200), caps: u32) {
            let _ = parse(&bytes, caps);
            let _ = execute(&bytes, 3, &[], caps, &|_| false);
            let _ = crate::handshake::hello(&bytes, u32::MAX);
            let _ = crate::handshake::change_user(&bytes, caps);
        }
    }

    #[test]
    fn an_execute_with_an_int_and_a_null_is_read() {
        let mut b = vec![7, 0, 0, 0, 0, 1, 0, 0, 0, 0b10, 1, column::LONGLONG, 0, column::STRING, 0];
        b.extend_from_slice(&42u64.to_le_bytes());
        let e = execute(&b, 2, &[], 0, &|_| false).unwrap();
        assert_eq!(e.params, vec![Some(Value::Int(42)), Some(Value::Null)]);
        // The next execution may leave the types out.
        let mut again = vec![7, 0, 0, 0, 0, 1, 0, 0, 0, 0b10, 0];
        again.extend_from_slice(&43u64.to_le_bytes());
        assert_eq!(execute(&again, 2, &e.types, 0, &|_| false).unwrap().params[0], Some(Value::Int(43)));
    }
}
