//! What the server answers: OK, ERR, EOF, column definitions, rows in both forms.
//!
//! Owns:     nothing; appends to the caller's buffer.
//! Promises: a row is written without an allocation of its own.
//! Never:    opens or closes a frame: see [`crate::frame`].

use crate::constants::{client, column, flag};
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
    /// Session state changes: schema, then variables.
    pub schema: Option<&'a str>,
    pub variables: &'a [(&'a str, &'a str)],
}

/// OK; with `header` 0xFE the end of rows under DEPRECATE_EOF.
pub fn ok(out: &mut Vec<u8>, header: u8, d: &Done<'_>, capabilities: u32) {
    let tracked = capabilities & client::SESSION_TRACK != 0;
    let changed = tracked && (d.schema.is_some() || !d.variables.is_empty());
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
        let mut one = Vec::new();
        put_lenenc_bytes(&mut one, s.as_bytes());
        all.push(1);
        put_lenenc_bytes(&mut all, &one);
    }
    for (name, value) in d.variables {
        let mut one = Vec::new();
        put_lenenc_bytes(&mut one, name.as_bytes());
        put_lenenc_bytes(&mut one, value.as_bytes());
        all.push(0);
        put_lenenc_bytes(&mut all, &one);
    }
    put_lenenc_bytes(out, &all);
}

pub fn eof(out: &mut Vec<u8>, warnings: u16, status: u16) {
    out.push(0xFE);
    out.extend_from_slice(&warnings.to_le_bytes());
    out.extend_from_slice(&status.to_le_bytes());
}

pub fn error(out: &mut Vec<u8>, number: u16, state: &str, message: &str, protocol_41: bool) {
    out.push(0xFF);
    out.extend_from_slice(&number.to_le_bytes());
    if protocol_41 {
        out.push(b'#');
        out.extend_from_slice(state.as_bytes());
    }
    // MySQL's own limit; clients have buffers of this size.
    let mut end = message.len().min(512);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    out.extend_from_slice(&message.as_bytes()[..end]);
}

pub fn local_infile(out: &mut Vec<u8>, path: &str) {
    out.push(0xFB);
    out.extend_from_slice(path.as_bytes());
}

/// COM_STMT_PREPARE's first answer.
pub fn prepared(out: &mut Vec<u8>, id: u32, columns: u16, params: u16, warnings: u16) {
    out.push(0);
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&columns.to_le_bytes());
    out.extend_from_slice(&params.to_le_bytes());
    out.push(0);
    out.extend_from_slice(&warnings.to_le_bytes());
}

/// A result column.
#[derive(Clone, Copy, Debug)]
pub struct ColumnDef<'a> {
    pub schema: &'a str,
    pub table: &'a str,
    pub org_table: &'a str,
    pub name: &'a str,
    pub org_name: &'a str,
    pub ty: &'a SqlType,
    /// Beyond what the type says: keys, AUTO_INCREMENT ….
    pub flags: u16,
    /// The character set results are sent in (a collation id).
    pub charset: u16,
}

pub fn column(out: &mut Vec<u8>, c: &ColumnDef<'_>) {
    put_lenenc_bytes(out, b"def");
    for s in [c.schema, c.table, c.org_table, c.name, c.org_name] {
        put_lenenc_bytes(out, s.as_bytes());
    }
    out.push(0x0C);
    let text = c.ty.kind.is_text();
    // Text is measured in the bytes it may take in the results' character set.
    let charset = if text { c.charset } else { 63 };
    out.extend_from_slice(&charset.to_le_bytes());
    let length = if text && !matches!(c.ty.kind, TypeKind::Text(_)) {
        c.ty.display_length().saturating_mul(if c.charset == 63 { 1 } else { 4 })
    } else {
        c.ty.display_length()
    };
    out.extend_from_slice(&length.to_le_bytes());
    out.push(column_type(&c.ty.kind));
    out.extend_from_slice(&(type_flags(c.ty) | c.flags).to_le_bytes());
    out.push(c.ty.decimals());
    out.extend_from_slice(&[0, 0]);
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

fn type_flags(ty: &SqlType) -> u16 {
    let mut f = if ty.nullable { 0 } else { flag::NOT_NULL };
    if ty.kind.is_unsigned() {
        f |= flag::UNSIGNED;
    }
    match &ty.kind {
        TypeKind::Int { zerofill: Some(_), unsigned: true, .. } => f |= flag::ZEROFILL | flag::NUM,
        TypeKind::Int { .. } | TypeKind::Decimal { .. } | TypeKind::Float { .. } | TypeKind::Double { .. } => f |= flag::NUM,
        TypeKind::Year => f |= flag::ZEROFILL | flag::NUM,
        TypeKind::Text(_) => f |= flag::BLOB,
        TypeKind::Blob(BlobSize::Tiny | BlobSize::Plain | BlobSize::Medium | BlobSize::Long) => f |= flag::BLOB | flag::BINARY,
        TypeKind::Binary { .. } | TypeKind::VarBinary { .. } => f |= flag::BINARY,
        TypeKind::Json => f |= flag::BLOB | flag::BINARY,
        TypeKind::Enum(_) => f |= flag::ENUM,
        TypeKind::Set(_) => f |= flag::SET,
        TypeKind::Timestamp { .. } => f |= flag::TIMESTAMP | flag::BINARY,
        TypeKind::Date | TypeKind::Time { .. } | TypeKind::DateTime { .. } => f |= flag::BINARY,
        _ => (),
    }
    if ty.kind.is_text() && ty.collation.is_binary_order() {
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
pub fn binary_cell(out: &mut Vec<u8>, nulls: usize, i: usize, v: &Value, ty: &SqlType, write: impl FnOnce(&mut Vec<u8>)) {
    let as_text = |out: &mut Vec<u8>, write: &mut dyn FnMut(&mut Vec<u8>)| {
        let mut b = Vec::new();
        write(&mut b);
        put_lenenc_bytes(out, &b);
    };
    let mut write = Some(write);
    let mut put = |b: &mut Vec<u8>| {
        if let Some(w) = write.take() {
            w(b)
        }
    };
    match (column_type(&ty.kind), v) {
        (_, Value::Null) => out[nulls + (i + 2) / 8] |= 1 << ((i + 2) % 8),
        (column::TINY, v) => out.push(int(v) as u8),
        (column::SHORT | column::YEAR, v) => out.extend_from_slice(&(int(v) as u16).to_le_bytes()),
        (column::LONG | column::INT24, v) => out.extend_from_slice(&(int(v) as u32).to_le_bytes()),
        (column::LONGLONG, Value::Int(_) | Value::UInt(_)) => out.extend_from_slice(&(int(v) as u64).to_le_bytes()),
        (column::FLOAT, Value::Double(d)) => out.extend_from_slice(&(*d as f32).to_le_bytes()),
        (column::DOUBLE, Value::Double(d)) => out.extend_from_slice(&d.to_le_bytes()),
        (column::DATE, Value::Date(d)) => {
            if d.is_zero() {
                out.push(0);
                return;
            }
            out.push(4);
            out.extend_from_slice(&(d.year() as u16).to_le_bytes());
            out.extend_from_slice(&[d.month() as u8, d.day() as u8]);
        }
        (column::DATETIME | column::TIMESTAMP, Value::DateTime(d)) => datetime(out, *d),
        (column::TIME, Value::Time(t)) => time(out, *t),
        (_, Value::Str(s)) => put_lenenc_bytes(out, s.as_bytes()),
        (_, Value::Bytes(b)) => put_lenenc_bytes(out, b),
        _ => as_text(out, &mut put),
    }
}

fn int(v: &Value) -> i64 {
    match v {
        Value::Int(n) => *n,
        Value::UInt(n) => *n as i64,
        _ => 0,
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
