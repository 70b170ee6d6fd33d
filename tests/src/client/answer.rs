//! What a server's packets say.
//!
//! Owns:     nothing.
//! Promises: a packet that is not MySQL's is an error, never a guess; every part of it is read to its end.
//! Never:    reads a socket.

use super::{Error, ServerError};
use weald_wire::constants::{client, column, flag, status};
use weald_wire::value::Reader;

/// What one statement answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// Empty: no result set, only counts.
    pub columns: Vec<Column>,
    /// Their definitions were sent.
    pub told: bool,
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
    pub affected: u64,
    pub insert_id: u64,
    pub warnings: u16,
    pub status: u16,
    pub info: String,
    /// Session state changes: their kind, and their parts.
    pub changes: Vec<(u8, Vec<String>)>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Column {
    pub schema: String,
    pub table: String,
    pub org_table: String,
    pub name: String,
    pub org_name: String,
    pub charset: u16,
    pub length: u32,
    pub kind: u8,
    pub flags: u16,
    pub decimals: u8,
    /// COM_FIELD_LIST's default; the outer `None`: it was not sent.
    pub default: Option<Option<String>>,
}

impl Answer {
    /// The first cell as text; empty where there is none or it is NULL.
    pub fn first(&self) -> String {
        self.rows.first().and_then(|r| r.first()).and_then(|c| c.as_ref()).map(|b| String::from_utf8_lossy(b).into_owned()).unwrap_or_default()
    }
    pub fn first_int(&self) -> i64 {
        self.first().parse().unwrap_or_else(|_| panic!("not a whole number: {:?}", self.first()))
    }
    /// All cells as text, NULL as `NULL`.
    pub fn texts(&self) -> Vec<Vec<String>> {
        let text = |c: &Option<Vec<u8>>| c.as_ref().map_or("NULL".to_string(), |b| String::from_utf8_lossy(b).into_owned());
        self.rows.iter().map(|r| r.iter().map(text).collect()).collect()
    }
    pub fn has_status(&self, bit: u16) -> bool {
        self.status & bit != 0
    }
}

fn text(r: &mut Reader<'_>) -> Result<String, Error> {
    Ok(String::from_utf8_lossy(r.lenenc_bytes()?).into_owned())
}

fn nothing_follows(r: &Reader<'_>, what: &str) -> Result<(), Error> {
    if r.is_empty() { Ok(()) } else { Err(Error::Protocol(format!("{} bytes too many in {what}: {:02x?}", r.rest().len(), r.rest()))) }
}

/// An OK packet, also the one that ends rows under DEPRECATE_EOF.
pub(super) fn ok(p: &[u8], capabilities: u32) -> Result<Answer, Error> {
    let mut r = Reader::new(&p[1..]);
    let mut a = Answer { affected: r.lenenc()?, insert_id: r.lenenc()?, status: r.u16()?, warnings: r.u16()?, ..Answer::default() };
    if capabilities & client::SESSION_TRACK == 0 {
        a.info = String::from_utf8_lossy(r.all()).into_owned();
        return Ok(a);
    }
    if !r.is_empty() {
        a.info = text(&mut r)?;
    }
    if a.has_status(status::SESSION_STATE_CHANGED) {
        let mut all = Reader::new(r.lenenc_bytes()?);
        while !all.is_empty() {
            let kind = all.u8()?;
            let mut one = Reader::new(all.lenenc_bytes()?);
            let mut parts = Vec::new();
            while !one.is_empty() {
                parts.push(text(&mut one)?);
            }
            a.changes.push((kind, parts));
        }
    }
    nothing_follows(&r, "an OK")?;
    Ok(a)
}

/// Whether the packet ends rows.
pub(super) fn is_end(p: &[u8], capabilities: u32) -> bool {
    p.first() == Some(&0xFE) && if capabilities & client::DEPRECATE_EOF == 0 { p.len() < 9 } else { p.len() < 0xFF_FFFF }
}

/// The packet that ends rows: (warnings, status).
pub(super) fn end(p: &[u8], capabilities: u32) -> Result<(u16, u16), Error> {
    if capabilities & client::DEPRECATE_EOF != 0 {
        let a = ok(p, capabilities)?;
        return Ok((a.warnings, a.status));
    }
    eof(p)
}

pub(super) fn eof(p: &[u8]) -> Result<(u16, u16), Error> {
    if p.len() != 5 || p[0] != 0xFE {
        return Err(Error::Protocol(format!("no EOF: {p:02x?}")));
    }
    let mut r = Reader::new(&p[1..]);
    Ok((r.u16()?, r.u16()?))
}

pub(super) fn column_definition(p: &[u8]) -> Result<Column, Error> {
    let mut r = Reader::new(p);
    let catalog = text(&mut r)?;
    if catalog != "def" {
        return Err(Error::Protocol(format!("the catalogue is {catalog:?}")));
    }
    let mut c = Column {
        schema: text(&mut r)?,
        table: text(&mut r)?,
        org_table: text(&mut r)?,
        name: text(&mut r)?,
        org_name: text(&mut r)?,
        ..Column::default()
    };
    if r.lenenc()? != 12 {
        return Err(Error::Protocol("the fixed part of a column definition is not 12 bytes long".into()));
    }
    (c.charset, c.length, c.kind, c.flags, c.decimals) = (r.u16()?, r.u32()?, r.u8()?, r.u16()?, r.u8()?);
    r.u16()?;
    if !r.is_empty() {
        c.default = Some(cell(&mut r)?.map(|b| String::from_utf8_lossy(&b).into_owned()));
    }
    nothing_follows(&r, "a column definition")?;
    Ok(c)
}

fn cell(r: &mut Reader<'_>) -> Result<Option<Vec<u8>>, Error> {
    if r.rest().first() == Some(&0xFB) {
        r.u8()?;
        return Ok(None);
    }
    Ok(Some(r.lenenc_bytes()?.to_vec()))
}

pub(super) fn text_row(p: &[u8], columns: usize) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let mut r = Reader::new(p);
    let row = (0..columns).map(|_| cell(&mut r)).collect::<Result<_, _>>()?;
    nothing_follows(&r, "a row")?;
    Ok(row)
}

pub(super) fn error_packet(p: &[u8]) -> Error {
    let mut r = Reader::new(p.get(1..).unwrap_or_default());
    let code = r.u16().unwrap_or_default();
    let mut state = String::new();
    if r.rest().first() == Some(&b'#') {
        state = String::from_utf8_lossy(&r.bytes(6).unwrap_or_default()[1..]).into_owned();
    }
    Error::Server(ServerError { code, state, message: String::from_utf8_lossy(r.rest()).into_owned() })
}

/// A binary row, its values written as the text protocol would.
pub(super) fn binary_row(p: &[u8], columns: &[Column]) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let mut r = Reader::new(p);
    if r.u8()? != 0 {
        return Err(Error::Protocol("a binary row does not begin with 0".into()));
    }
    let nulls = r.bytes((columns.len() + 9) / 8)?;
    let mut row = Vec::with_capacity(columns.len());
    for (i, c) in columns.iter().enumerate() {
        if nulls[(i + 2) / 8] >> ((i + 2) % 8) & 1 == 1 {
            row.push(None);
            continue;
        }
        let unsigned = c.flags & flag::UNSIGNED != 0;
        let text = match c.kind {
            column::TINY => {
                let n = r.u8()?;
                if unsigned { n.to_string() } else { (n as i8).to_string() }
            }
            column::SHORT | column::YEAR => {
                let n = r.u16()?;
                if unsigned || c.kind == column::YEAR { n.to_string() } else { (n as i16).to_string() }
            }
            column::LONG | column::INT24 => {
                let n = r.u32()?;
                if unsigned { n.to_string() } else { (n as i32).to_string() }
            }
            column::LONGLONG => {
                let n = r.u64()?;
                if unsigned { n.to_string() } else { (n as i64).to_string() }
            }
            column::FLOAT => f32::from_bits(r.u32()?).to_string(),
            column::DOUBLE => f64::from_bits(r.u64()?).to_string(),
            column::DATE | column::DATETIME | column::TIMESTAMP => {
                let len = r.u8()?;
                let mut d = [0u8; 11];
                d[..len.min(11) as usize].copy_from_slice(r.bytes(len as usize)?);
                let date = format!("{:04}-{:02}-{:02}", u16::from_le_bytes([d[0], d[1]]), d[2], d[3]);
                if c.kind == column::DATE {
                    date
                } else {
                    format!("{date} {:02}:{:02}:{:02}{}", d[4], d[5], d[6], fraction([d[7], d[8], d[9], d[10]], c.decimals))
                }
            }
            column::TIME => {
                let len = r.u8()?;
                let mut d = [0u8; 12];
                d[..len.min(12) as usize].copy_from_slice(r.bytes(len as usize)?);
                let hours = u32::from_le_bytes([d[1], d[2], d[3], d[4]]) * 24 + d[5] as u32;
                format!("{}{hours:02}:{:02}:{:02}{}", if d[0] == 1 { "-" } else { "" }, d[6], d[7], fraction([d[8], d[9], d[10], d[11]], c.decimals))
            }
            _ => {
                row.push(Some(r.lenenc_bytes()?.to_vec()));
                continue;
            }
        };
        row.push(Some(text.into_bytes()));
    }
    nothing_follows(&r, "a binary row")?;
    Ok(row)
}

fn fraction(micros: [u8; 4], decimals: u8) -> String {
    if decimals == 0 || decimals > 6 {
        return String::new();
    }
    format!(".{}", &format!("{:06}", u32::from_le_bytes(micros))[..decimals as usize])
}
