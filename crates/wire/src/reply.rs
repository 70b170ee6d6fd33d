//! What the server answers: OK, ERR, EOF, column definitions, rows in both forms.
//!
//! Owns:     nothing; appends to the caller's buffer.
//! Promises: a row is written without an allocation of its own.
//! Never:    opens or closes a frame: see [`crate::frame`].

use crate::constants::{client, column, flag, track};
use crate::value::{put_lenenc, put_lenenc_bytes};
use weald_types::sql_type::{BlobSize, IntWidth};
use weald_types::{DateTime, SqlType, Time, TypeKind, Value};

/// What an OK packet tells of the session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done<'a> {
    pub affected: u64,
    pub last_insert_id: u64,
    pub status: u16,
    pub warnings: u16,
    pub info: &'a str,
    /// Session state changes: schema, then variables, then that there were any.
    pub schema: Option<&'a str>,
    pub variables: &'a [(&'a str, &'a str)],
    pub state_changed: bool,
}

/// OK; with `header` 0xFE the end of rows under DEPRECATE_EOF.
pub fn ok(out: &mut Vec<u8>, header: u8, d: &Done<'_>, capabilities: u32) {
    let tracked = capabilities & client::SESSION_TRACK != 0;
    let changed = tracked && (d.schema.is_some() || !d.variables.is_empty() || d.state_changed);
    out.push(header);
    put_lenenc(out, d.affected);
    put_lenenc(out, d.last_insert_id);
    let status = if changed { d.status | crate::constants::status::SESSION_STATE_CHANGED } else { d.status };
    out.extend_from_slice(&status.to_le_bytes());
    out.extend_from_slice(&d.warnings.to_le_bytes());
    if !tracked {
        out.extend_from_slice(d.info.as_bytes());
        return;
    }
    if d.info.is_empty() && !changed {
        return;
    }
    put_lenenc_bytes(out, d.info.as_bytes());
    if !changed {
        return;
    }
    let mut all = Vec::new();
    if let Some(s) = d.schema {
        state_change(&mut all, track::SCHEMA, &[s]);
    }
    for (name, value) in d.variables {
        state_change(&mut all, track::SYSTEM_VARIABLES, &[name, value]);
    }
    if d.state_changed {
        state_change(&mut all, track::STATE_CHANGE, &["1"]);
    }
    put_lenenc_bytes(out, &all);
}

fn state_change(out: &mut Vec<u8>, kind: u8, parts: &[&str]) {
    let mut one = Vec::new();
    for p in parts {
        put_lenenc_bytes(&mut one, p.as_bytes());
    }
    out.push(kind);
    put_lenenc_bytes(out, &one);
}

pub fn eof(out: &mut Vec<u8>, warnings: u16, status: u16) {
    out.push(0xFE);
    out.extend_from_slice(&warnings.to_le_bytes());
    out.extend_from_slice(&status.to_le_bytes());
}

/// `state`: the SQLSTATE; `None` before the client has said what it understands.
pub fn error(out: &mut Vec<u8>, number: u16, state: Option<&str>, message: &[u8]) {
    out.push(0xFF);
    out.extend_from_slice(&number.to_le_bytes());
    if let Some(state) = state {
        out.push(b'#');
        out.extend_from_slice(state.as_bytes());
    }
    // MySQL's own limit; clients have buffers of this size.
    let mut end = message.len().min(512);
    // Not within a character of UTF-8.
    while end < message.len() && end > 0 && message[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    out.extend_from_slice(&message[..end]);
}

pub fn local_infile(out: &mut Vec<u8>, path: &str) {
    out.push(0xFB);
    out.extend_from_slice(path.as_bytes());
}

/// Whether column definitions are sent: `resultset_metadata`, for clients that agreed to do without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    Full,
    None,
}

/// COM_STMT_PREPARE's first answer.
pub fn prepared(out: &mut Vec<u8>, id: u32, columns: u16, params: u16, warnings: u16, metadata: Metadata, capabilities: u32) {
    out.push(0);
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&columns.to_le_bytes());
    out.extend_from_slice(&params.to_le_bytes());
    out.push(0);
    out.extend_from_slice(&warnings.to_le_bytes());
    if capabilities & client::OPTIONAL_RESULTSET_METADATA != 0 {
        out.push((metadata == Metadata::Full) as u8);
    }
}

/// A result set's first packet. (The number comes first, as MySQL's client reads it; its documentation has the two the other way round, which could not
/// be told from an OK.)
pub fn column_count(out: &mut Vec<u8>, columns: usize, metadata: Metadata, capabilities: u32) {
    put_lenenc(out, columns as u64);
    if capabilities & client::OPTIONAL_RESULTSET_METADATA != 0 {
        out.push((metadata == Metadata::Full) as u8);
    }
}

/// A result column.
#[derive(Clone, Copy, Debug)]
pub struct ColumnDef<'a> {
    /// Names in the character set of the results.
    pub schema: &'a [u8],
    pub table: &'a [u8],
    pub org_table: &'a [u8],
    pub name: &'a [u8],
    pub org_name: &'a [u8],
    pub ty: &'a SqlType,
    /// A table's column, with what its definition adds to its type: keys, AUTO_INCREMENT …. `None`: an expression.
    pub column_flags: Option<u16>,
    /// The character set results are sent in (a collation id), and the most bytes a character takes in it.
    pub charset: u16,
    pub character_bytes: u32,
}

/// For strings whose decimals nobody fixed: MySQL's NOT_FIXED_DEC.
const NOT_FIXED: u8 = 31;

pub fn column(out: &mut Vec<u8>, c: &ColumnDef<'_>) {
    put_lenenc_bytes(out, b"def");
    for s in [c.schema, c.table, c.org_table, c.name, c.org_name] {
        put_lenenc_bytes(out, s);
    }
    out.push(0x0C);
    let kind = &c.ty.kind;
    let charset = if kind.is_text() { c.charset } else { 63 };
    out.extend_from_slice(&charset.to_le_bytes());
    out.extend_from_slice(&length(c).to_le_bytes());
    out.push(column_type(kind));
    let flags = match c.column_flags {
        Some(more) => type_flags(c.ty) | more,
        None => expression_flags(c.ty, charset),
    };
    out.extend_from_slice(&flags.to_le_bytes());
    let decimals = if c.column_flags.is_none() && (kind.is_text() || kind.is_binary()) { NOT_FIXED } else { c.ty.decimals() };
    out.push(decimals);
    out.extend_from_slice(&[0, 0]);
}

/// The length a client makes room for: text in the bytes it may take in the results' character set (TEXT as well: MySQL takes its bytes for characters).
fn length(c: &ColumnDef<'_>) -> u32 {
    let n = c.ty.display_length();
    match (&c.ty.kind, c.column_flags) {
        (kind, _) if kind.is_text() => n.saturating_mul(c.character_bytes),
        // What MySQL gives computed numbers: a sign more than a column's, and DBL_DIG + 8.
        (TypeKind::Int { width: IntWidth::Big, .. }, None) => 21,
        (TypeKind::Float { .. } | TypeKind::Double { scale: None, .. }, None) => 23,
        _ => n,
    }
}

pub fn column_type(kind: &TypeKind) -> u8 {
    match kind {
        TypeKind::Null => column::NULL,
        TypeKind::Int { width, .. } => match width {
            IntWidth::Tiny => column::TINY,
            IntWidth::Small => column::SHORT,
            IntWidth::Medium => column::INT24,
            IntWidth::Int => column::LONG,
            IntWidth::Big => column::LONGLONG,
        },
        TypeKind::Decimal { .. } => column::NEWDECIMAL,
        TypeKind::Float { .. } => column::FLOAT,
        TypeKind::Double { .. } => column::DOUBLE,
        TypeKind::Bit { .. } => column::BIT,
        TypeKind::Char { .. } | TypeKind::Binary { .. } | TypeKind::Enum(_) | TypeKind::Set(_) => column::STRING,
        TypeKind::VarChar { .. } | TypeKind::VarBinary { .. } => column::VAR_STRING,
        TypeKind::Text(_) | TypeKind::Blob(_) => column::BLOB,
        TypeKind::Date => column::DATE,
        TypeKind::Time { .. } => column::TIME,
        TypeKind::DateTime { .. } => column::DATETIME,
        TypeKind::Timestamp { .. } => column::TIMESTAMP,
        TypeKind::Year => column::YEAR,
        TypeKind::Json => column::JSON,
    }
}

/// Flags of a table's column that follow from its type.
fn type_flags(ty: &SqlType) -> u16 {
    let mut f = if ty.nullable { 0 } else { flag::NOT_NULL };
    if ty.kind.is_unsigned() {
        f |= flag::UNSIGNED;
    }
    f |= match &ty.kind {
        TypeKind::Int { zerofill: Some(_), unsigned: true, .. } | TypeKind::Year => flag::ZEROFILL,
        TypeKind::Text(_) => flag::BLOB,
        TypeKind::Blob(BlobSize::Tiny | BlobSize::Plain | BlobSize::Medium | BlobSize::Long) | TypeKind::Json => flag::BLOB | flag::BINARY,
        TypeKind::Enum(_) => flag::ENUM,
        TypeKind::Set(_) => flag::SET,
        TypeKind::Binary { .. }
        | TypeKind::VarBinary { .. }
        | TypeKind::Date
        | TypeKind::Time { .. }
        | TypeKind::DateTime { .. }
        | TypeKind::Timestamp { .. } => flag::BINARY,
        TypeKind::Null
        | TypeKind::Int { .. }
        | TypeKind::Decimal { .. }
        | TypeKind::Float { .. }
        | TypeKind::Double { .. }
        | TypeKind::Bit { .. }
        | TypeKind::Char { .. }
        | TypeKind::VarChar { .. } => 0,
    };
    if ty.kind.is_text() && ty.collation.is_binary_order() {
        f |= flag::BINARY;
    }
    f
}

/// An expression is described by its collation alone: a number's is binary.
fn expression_flags(ty: &SqlType, charset: u16) -> u16 {
    let mut f = if ty.nullable { 0 } else { flag::NOT_NULL };
    if ty.kind.is_unsigned() {
        f |= flag::UNSIGNED;
    }
    if charset == 63 || ty.collation.is_binary_order() {
        f |= flag::BINARY;
    }
    f
}

/// A cell of a text row. `write` appends the value's text.
pub fn text_cell(out: &mut Vec<u8>, v: &Value, write: impl FnOnce(&mut Vec<u8>)) {
    match v {
        Value::Null => out.push(0xFB),
        Value::Str(s) => put_lenenc_bytes(out, s.as_bytes()),
        Value::Bytes(b) => put_lenenc_bytes(out, b),
        _ => {
            // Everything else is shorter than 251 bytes, but for JSON: the length goes in front afterwards.
            let at = out.len();
            out.push(0);
            write(out);
            let len = out.len() - at - 1;
            if len < 251 {
                out[at] = len as u8;
                return;
            }
            let body = out.split_off(at + 1);
            out.pop();
            put_lenenc_bytes(out, &body);
        }
    }
}

/// Starts a binary row of `columns`; gives where its NULL bits are.
pub fn binary_row(out: &mut Vec<u8>, columns: usize) -> usize {
    out.push(0);
    let at = out.len();
    out.resize(at + (columns + 9) / 8, 0);
    at
}

/// Cell `i` of a binary row. `write` appends text for what travels as text.
///
/// What is written has the form that the column's definition promised, whatever form the value has: a client that reads eight bytes must find eight.
pub fn binary_cell(out: &mut Vec<u8>, nulls: usize, i: usize, v: &Value, ty: &SqlType, write: impl FnOnce(&mut Vec<u8>)) {
    match (column_type(&ty.kind), v) {
        (_, Value::Null) | (column::NULL, _) => out[nulls + (i + 2) / 8] |= 1 << ((i + 2) % 8),
        (column::TINY, v) => out.push(int(v) as u8),
        (column::SHORT | column::YEAR, v) => out.extend_from_slice(&(int(v) as u16).to_le_bytes()),
        (column::LONG | column::INT24, v) => out.extend_from_slice(&(int(v) as u32).to_le_bytes()),
        (column::LONGLONG, v) => out.extend_from_slice(&(int(v) as u64).to_le_bytes()),
        (column::FLOAT, v) => out.extend_from_slice(&(double(v) as f32).to_le_bytes()),
        (column::DOUBLE, v) => out.extend_from_slice(&double(v).to_le_bytes()),
        (column::DATE, v) => {
            let d = date_time(v).date();
            if d.is_zero() {
                out.push(0);
                return;
            }
            out.push(4);
            out.extend_from_slice(&(d.year() as u16).to_le_bytes());
            out.extend_from_slice(&[d.month() as u8, d.day() as u8]);
        }
        (column::DATETIME | column::TIMESTAMP, v) => datetime(out, date_time(v)),
        (column::TIME, Value::Time(t)) => time(out, *t),
        (column::TIME, v) => time(out, Time::from_micros(date_time(v).micros_of_day())),
        (_, Value::Str(s)) => put_lenenc_bytes(out, s.as_bytes()),
        (_, Value::Bytes(b)) => put_lenenc_bytes(out, b),
        _ => {
            let mut b = Vec::new();
            write(&mut b);
            put_lenenc_bytes(out, &b);
        }
    }
}

/// The value of an integer column.
fn int(v: &Value) -> i64 {
    match v {
        Value::Int(n) => *n,
        Value::UInt(n) => *n as i64,
        Value::Double(d) => *d as i64,
        Value::Decimal(d) => d.to_f64() as i64,
        Value::Bytes(b) => b.iter().fold(0, |n, b| n << 8 | *b as i64),
        Value::Null | Value::Str(_) | Value::Date(_) | Value::Time(_) | Value::DateTime(_) | Value::Json(_) => 0,
    }
}

fn double(v: &Value) -> f64 {
    match v {
        Value::Double(d) => *d,
        Value::Int(n) => *n as f64,
        Value::UInt(n) => *n as f64,
        Value::Decimal(d) => d.to_f64(),
        Value::Null | Value::Str(_) | Value::Bytes(_) | Value::Date(_) | Value::Time(_) | Value::DateTime(_) | Value::Json(_) => 0.0,
    }
}

fn date_time(v: &Value) -> DateTime {
    match v {
        Value::DateTime(d) => *d,
        Value::Date(d) => d.at(0),
        Value::Null
        | Value::Int(_)
        | Value::UInt(_)
        | Value::Double(_)
        | Value::Decimal(_)
        | Value::Str(_)
        | Value::Bytes(_)
        | Value::Time(_)
        | Value::Json(_) => DateTime::default(),
    }
}

fn datetime(out: &mut Vec<u8>, d: DateTime) {
    if d.is_zero() {
        out.push(0);
        return;
    }
    let date = d.date();
    let micros = d.microsecond();
    let len = if micros > 0 {
        11
    } else if d.micros_of_day() > 0 {
        7
    } else {
        4
    };
    out.push(len);
    out.extend_from_slice(&(date.year() as u16).to_le_bytes());
    out.extend_from_slice(&[date.month() as u8, date.day() as u8]);
    if len > 4 {
        out.extend_from_slice(&[d.hour() as u8, d.minute() as u8, d.second() as u8]);
    }
    if len > 7 {
        out.extend_from_slice(&micros.to_le_bytes());
    }
}

fn time(out: &mut Vec<u8>, t: Time) {
    if t.micros() == 0 {
        out.push(0);
        return;
    }
    let total = t.micros().unsigned_abs();
    let (micros, seconds) = (total % 1_000_000, total / 1_000_000);
    out.push(if micros > 0 { 12 } else { 8 });
    out.push(t.is_negative() as u8);
    out.extend_from_slice(&((seconds / 86_400) as u32).to_le_bytes());
    out.extend_from_slice(&[(seconds / 3600 % 24) as u8, (seconds / 60 % 60) as u8, (seconds % 60) as u8]);
    if micros > 0 {
        out.extend_from_slice(&(micros as u32).to_le_bytes());
    }
}
