//! SELECT … INTO OUTFILE and INTO DUMPFILE: rows into a file of the server's.
//!
//! Owns:     the file until it is whole.
//! Promises: a file that was there is left alone (1086); of a statement that fails no file stays; what is written reads back by LOAD DATA with the same
//!           FIELDS and LINES.
//! Never:    writes outside `secure_file_priv`, or without the FILE privilege.

use super::{Done, Outcome, Session};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use weald_env::{Disk, File, OpenMode};
use weald_exec::rows::{BoxStream, Row};
use weald_expr::format::write_text;
use weald_plan::query::Column;
use weald_sql::ast::LoadFormat;
use weald_types::{Charset, Fault, SqlType, TypeKind, Value};

/// Bytes written in one go, about.
const PIECE_BYTES: usize = 1 << 20;

/// A file that is being written; it goes again unless it is finished.
pub(crate) struct NewFile {
    disk: Arc<dyn Disk>,
    file: Arc<dyn File>,
    path: PathBuf,
    /// As the statement has it.
    shown: String,
    buffer: Vec<u8>,
    at: u64,
    finished: bool,
}

impl Session {
    /// 1290, 1086, or 1004.
    pub(crate) async fn new_file(&self, path: &str) -> Result<NewFile, Fault> {
        let at = self.allowed_file(path)?;
        let disk = self.server.env.disk.clone();
        let opened = {
            let (disk, at) = (disk.clone(), at.clone());
            off_thread(move || disk.open(&at, OpenMode::CreateNew)).await?
        };
        let file = opened.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Fault::mysql(1086, "HY000", format!("File '{path}' already exists")),
            _ => Fault::mysql(1004, "HY000", format!("Can't create file '{path}' (OS errno {} - {e})", e.raw_os_error().unwrap_or(0))),
        })?;
        Ok(NewFile { disk, file, path: at, shown: path.into(), buffer: Vec::with_capacity(PIECE_BYTES), at: 0, finished: false })
    }

    pub(crate) async fn into_outfile(
        &self,
        mut file: NewFile,
        format: &OutFormat,
        columns: &[Column],
        mut rows: BoxStream,
    ) -> Result<Outcome, Fault> {
        let mut written = 0;
        while let Some(batch) = rows.next().await? {
            for row in &batch {
                format.line(row, columns, &mut file.buffer);
                written += 1;
                if file.buffer.len() >= PIECE_BYTES {
                    file.flush().await?;
                }
            }
        }
        file.finish().await?;
        Ok(Outcome::Ok(Done { affected: written, ..Done::default() }))
    }

    /// One row, its values one after the other and nothing else.
    pub(crate) async fn into_dumpfile(&self, mut file: NewFile, columns: &[Column], mut rows: BoxStream) -> Result<Outcome, Fault> {
        let mut written = 0;
        while let Some(batch) = rows.next().await? {
            written += batch.len() as u64;
            if written > 1 {
                return Err(Fault::mysql(1172, "42000", "Result consisted of more than one row"));
            }
            for (v, c) in batch.iter().flat_map(|row| row.iter().zip(columns)) {
                match v {
                    Value::Null => file.buffer.push(0),
                    v => write_in(Charset::of(c.ty.collation), v, &c.ty, &mut file.buffer),
                }
            }
        }
        file.finish().await?;
        Ok(Outcome::Ok(Done { affected: written, ..Done::default() }))
    }
}

impl NewFile {
    async fn flush(&mut self) -> Result<(), Fault> {
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES));
        let (file, at) = (self.file.clone(), self.at);
        self.at += piece.len() as u64;
        let done = off_thread(move || file.write_all_at(&piece, at)).await?;
        done.map_err(|e| self.failed(&e))
    }

    async fn finish(mut self) -> Result<(), Fault> {
        self.flush().await?;
        let file = self.file.clone();
        off_thread(move || file.sync_data()).await?.map_err(|e| self.failed(&e))?;
        self.finished = true;
        Ok(())
    }

    fn failed(&self, e: &io::Error) -> Fault {
        if weald_env::is_full(e) {
            return Fault::DiskFull;
        }
        Fault::mysql(1026, "HY000", format!("Error writing file '{}' (OS errno {} - {e})", self.shown, e.raw_os_error().unwrap_or(0)))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = self.disk.remove(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the file of a failed SELECT … INTO stays behind");
        }
    }
}

/// The disk may make a thread wait: not this one, which has other clients.
async fn off_thread<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(f).await.map_err(|e| Fault::Internal { incident: e.to_string() })
}

/// How rows become lines.
pub(crate) struct OutFormat {
    format: LoadFormat,
    /// What text is written in; None: each column in its own.
    charset: Option<Charset>,
    /// No terminators and no enclosures: every column has its width.
    fixed: bool,
    /// The byte that ends or encloses a field, and the one that begins the end of a line.
    separator: Option<u8>,
    line_end: Option<u8>,
    /// The separator means something after an escape character: it is doubled instead.
    doubled: bool,
    /// The separator may stand in a number.
    numeric: bool,
    /// What ends a field cannot be told from what stands in one, whatever is done about it.
    ambiguous: bool,
}

/// Characters of numbers, and those that mean something after an escape character: MySQL's NUMERIC_CHARS and ESCAPE_CHARS.
const NUMERIC: &[u8] = b".0123456789e+-";
const ESCAPES: &[u8] = b"ntrb0ZN";

impl OutFormat {
    /// 1115 for a character set that is not known.
    pub fn new(format: &LoadFormat, charset: Option<&str>, columns: &[Column]) -> Result<Self, Fault> {
        let charset = match charset {
            None => None,
            Some(name) => match Charset::by_name(name).ok_or_else(|| Charset::unknown(name))? {
                Charset::Binary => None,
                other => Some(other),
            },
        };
        let fixed = is_fixed(format) && !columns.iter().any(|c| has_no_width(&c.ty));
        let separator = format.fields_enclosed.or(format.fields_terminated.first().copied());
        Ok(Self {
            format: format.clone(),
            charset,
            fixed,
            separator,
            line_end: format.lines_terminated.first().copied(),
            doubled: separator.is_some_and(|b| ESCAPES.contains(&b)),
            numeric: separator.is_some_and(|b| NUMERIC.contains(&b)),
            ambiguous: is_ambiguous(format, separator, columns),
        })
    }

    /// What MySQL has to say of the terminators.
    pub fn warning(&self) -> Option<Fault> {
        let text = "First character of the FIELDS TERMINATED string is ambiguous; please use non-optional and non-empty FIELDS ENCLOSED BY";
        self.ambiguous.then(|| Fault::mysql(1475, "HY000", text))
    }

    fn line(&self, row: &Row, columns: &[Column], out: &mut Vec<u8>) {
        let f = &self.format;
        out.extend_from_slice(&f.lines_starting);
        for (i, (v, c)) in row.iter().zip(columns).enumerate() {
            if i > 0 {
                out.extend_from_slice(&f.fields_terminated);
            }
            self.field(v, &c.ty, out);
        }
        out.extend_from_slice(&f.lines_terminated);
    }

    fn field(&self, v: &Value, ty: &SqlType, out: &mut Vec<u8>) {
        let f = &self.format;
        let charset = self.charset.unwrap_or_else(|| Charset::of(ty.collation));
        if self.fixed {
            let start = out.len();
            write_in(charset, v, ty, out);
            out.resize(start + width(ty), b' ');
            return;
        }
        if v.is_null() {
            match f.escaped {
                Some(e) => out.extend_from_slice(&[e, b'N']),
                None => out.extend_from_slice(b"NULL"),
            }
            return;
        }
        let text = is_string(&ty.kind);
        let enclosed = f.fields_enclosed.filter(|_| !f.optionally_enclosed || text);
        out.extend(enclosed);
        let start = out.len();
        write_in(charset, v, ty, out);
        if let Some(escape) = f.escaped
            && (text || self.numeric)
        {
            let plain = out.split_off(start);
            for b in plain {
                let ends = match enclosed {
                    Some(_) => Some(b) == self.separator,
                    None => !self.ambiguous && Some(b) == f.fields_terminated.first().copied(),
                };
                if b == escape || ends || Some(b) == self.line_end || b == 0 {
                    out.push(if self.doubled && Some(b) == self.separator { b } else { escape });
                }
                out.push(if b == 0 { b'0' } else { b });
            }
        }
        out.extend(enclosed);
    }
}

fn is_ambiguous(f: &LoadFormat, separator: Option<u8>, columns: &[Column]) -> bool {
    let texts = columns.iter().any(|c| is_string(&c.ty.kind));
    let numbers = columns.iter().any(|c| !is_string(&c.ty.kind));
    let has = |set: &[u8], b: Option<u8>| b.is_some_and(|b| set.contains(&b));
    let bare = f.fields_enclosed.is_none() && has(ESCAPES, separator) && (texts || has(NUMERIC, separator));
    bare || f.fields_enclosed.is_some() && f.optionally_enclosed && numbers && has(NUMERIC, f.fields_terminated.first().copied())
}

/// FIELDS TERMINATED BY '' ENCLOSED BY ''.
pub(crate) fn is_fixed(f: &LoadFormat) -> bool {
    f.fields_terminated.is_empty() && f.fields_enclosed.is_none()
}

/// The bytes that a column takes in a file of columns of fixed width.
pub(crate) fn width(ty: &SqlType) -> usize {
    let n = match &ty.kind {
        // Room for a sign, whether the column has one or not; MySQL's manual: 4, 6, 8, 11 and 20 for the integers.
        TypeKind::Int { width, .. } => match width {
            weald_types::sql_type::IntWidth::Tiny => 4,
            weald_types::sql_type::IntWidth::Small => 6,
            weald_types::sql_type::IntWidth::Medium => 8,
            weald_types::sql_type::IntWidth::Int => 11,
            weald_types::sql_type::IntWidth::Big => 20,
        },
        TypeKind::Bit { bits } => (*bits as u32).div_ceil(8),
        kind if kind.is_text() => ty.display_length().saturating_mul(ty.collation.max_len().into()),
        _ => ty.display_length(),
    };
    n as usize
}

/// TEXT, BLOB and JSON.
pub(crate) fn has_no_width(ty: &SqlType) -> bool {
    matches!(ty.kind, TypeKind::Text(_) | TypeKind::Blob(_) | TypeKind::Json)
}

/// What OPTIONALLY ENCLOSED encloses: everything but numbers.
fn is_string(kind: &TypeKind) -> bool {
    match kind {
        TypeKind::Null
        | TypeKind::Int { .. }
        | TypeKind::Decimal { .. }
        | TypeKind::Float { .. }
        | TypeKind::Double { .. }
        | TypeKind::Bit { .. }
        | TypeKind::Year => false,
        TypeKind::Char { .. }
        | TypeKind::VarChar { .. }
        | TypeKind::Binary { .. }
        | TypeKind::VarBinary { .. }
        | TypeKind::Text(_)
        | TypeKind::Blob(_)
        | TypeKind::Date
        | TypeKind::Time { .. }
        | TypeKind::DateTime { .. }
        | TypeKind::Timestamp { .. }
        | TypeKind::Json
        | TypeKind::Enum(_)
        | TypeKind::Set(_) => true,
    }
}

/// `v` as the text that clients see, in `charset`.
fn write_in(charset: Charset, v: &Value, ty: &SqlType, out: &mut Vec<u8>) {
    match v {
        Value::Str(s) if !charset.is_utf8() || charset == Charset::Utf8mb3 => out.extend_from_slice(&charset.encode(s)),
        v => write_text(v, ty, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weald_types::{Collation, ColumnId};

    fn check(fields: &str, enclosed: Option<u8>, optionally: bool, escaped: Option<u8>, expected: &str) {
        let format = LoadFormat {
            fields_terminated: fields.into(),
            fields_enclosed: enclosed,
            optionally_enclosed: optionally,
            escaped,
            lines_starting: vec![],
            lines_terminated: b"\n".to_vec(),
        };
        let column = |ty: SqlType| Column { id: ColumnId::new(0), ty, name: "c".into(), origin: None };
        let text = SqlType::varchar(5, true, Collation::ASCII_GENERAL_CI);
        let columns = [column(SqlType::bigint(true)), column(text.clone()), column(text)];
        let row = vec![Value::Int(-7), Value::str("a\t,\"\n\\"), Value::Null];
        let mut out = Vec::new();
        OutFormat::new(&format, None, &columns).unwrap().line(&row, &columns, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn fields_are_escaped_and_enclosed_as_mysqls_are() {
        check("\t", None, false, Some(b'\\'), "-7\ta\\\t,\"\\\n\\\\\t\\N\n");
        check(",", Some(b'"'), false, Some(b'\\'), "\"-7\",\"a\t,\\\"\\\n\\\\\",\\N\n");
        check(",", Some(b'"'), true, Some(b'\\'), "-7,\"a\t,\\\"\\\n\\\\\",\\N\n");
        check(",", Some(b'"'), true, None, "-7,\"a\t,\"\n\\\",NULL\n");
        // A separator that an escape would change is doubled; one that numbers may hold is looked for in them.
        check("-", None, false, Some(b'\\'), "\\-7-a\t,\"\\\n\\\\-\\N\n");
        check("-", Some(b'n'), false, Some(b'\\'), "n-7n-na\t,\"\\\n\\\\n-\\N\n");
    }

    #[test]
    fn without_terminators_columns_have_widths() {
        check("", None, false, Some(b'\\'), "-7                  a\t,\"\n     \n");
    }
}
