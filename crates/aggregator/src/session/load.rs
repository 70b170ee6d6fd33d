//! LOAD DATA: lines and fields of a file become rows.
//!
//! Owns:     the bytes of a line that is not whole yet.
//! Promises: one transaction for the whole file; memory holds some batches of rows and a piece of the file, not the file; warnings and counts are MySQL's.
//! Never:    reads a file of the server's outside `secure_file_priv`, or without the FILE privilege.

use super::load_lines::{Field, Fields, Shape, Splitter, Taken};
use super::load_writer::{Writer, Writing};
use super::{Done, Outcome, Session, into_file};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weald_catalog::{Access, ColumnDef, Privilege};
use weald_env::OpenMode;
use weald_exec::rows::Row;
use weald_exec::{Inserted, RowForm, TextLine, TextRows};
use weald_expr::store::{self, Target as Stored};
use weald_expr::{EvalContext, Expr, eval};
use weald_plan::dml::{self, Assigned, BoundInsert, BoundLoad, BoundOnDuplicate, Fill, InsertSource, LoadField};
use weald_sql::ast;
use weald_types::{Charset, Collation, Fault, SqlType, TypeKind, Value, WarningLevel};

/// Bytes of a server's file read in one go.
const PIECE_BYTES: usize = 1 << 20;

/// A load under way.
pub struct Load {
    bound: BoundLoad,
    insert: Arc<BoundInsert>,
    /// Of the values that [`Session::load_row`] gives.
    types: Vec<SqlType>,
    form: RowForm,
    /// `None`: every row needs [`Session::load_row`].
    text_rows: Option<TextRows>,
    /// The row that is being made.
    row: Vec<u8>,
    /// What making the rows came to.
    made: Inserted,
    writer: Writer,
    splitter: Splitter,
    fields: Fields,
    charset: Charset,
    /// What of the file is not whole lines yet.
    rest: Vec<u8>,
    line: u64,
    mark: weald_exec::Mark,
    longest_line: usize,
}

impl Session {
    pub(crate) async fn load_data(&mut self, l: &ast::LoadData) -> Result<Outcome, Fault> {
        let file = if l.local { None } else { Some(self.readable_file(&l.path)?) };
        if l.local && (!self.server.variables.values().on("local_infile") || !self.client.local_files) {
            return Err(Fault::mysql(3948, "42000", "Loading local data is disabled; this must be enabled on both the client and server sides"));
        }
        let charset = l.charset.as_deref().unwrap_or_else(|| self.variables.text("character_set_database"));
        let charset = Charset::by_name(charset).ok_or_else(|| Charset::unknown(charset))?;
        // LOCAL is IGNORE, as in MySQL: the server cannot stop the client's sending.
        self.changing(l.local || l.duplicates == ast::LoadDuplicates::Ignore, super::Rows::Many);
        let mut bound = self.bind("", &[], |env| dml::load::bind_load(env, l))?;
        self.check(&bound.needs)?;
        self.refuse_if_read_only([&bound.table])?;
        self.warn_of(&bound.warnings);
        if !bound.subqueries.is_empty() {
            let exprs = bound.set.iter_mut().filter_map(|(_, a)| match a {
                Assigned::Expr(e) => Some(e),
                Assigned::Fill(_) => None,
            });
            let subqueries = std::mem::take(&mut bound.subqueries);
            self.answer_subqueries(exprs.collect(), subqueries, &[]).await?;
        }
        let replace = l.duplicates == ast::LoadDuplicates::Replace;
        let insert = BoundInsert {
            table: bound.table.clone(),
            source_of: given_columns(&bound),
            fill: bound.fill.clone(),
            source: InsertSource::Rows(Vec::new().into()),
            rules: bound.rules.clone(),
            replace,
            ignore: !replace && (l.local || l.duplicates == ast::LoadDuplicates::Ignore),
            on_duplicate: if replace { BoundOnDuplicate::Replace } else { BoundOnDuplicate::Error },
            params: Vec::new(),
            needs: Vec::new(),
            warnings: Vec::new(),
            subqueries: Vec::new(),
        };
        let shape = if into_file::is_fixed(&l.format) { Shape::Widths(widths(&bound, &l.format)?) } else { Shape::Fields(bound.targets.len()) };
        let sync = self.catalog().database_by_id(bound.table.database).is_none_or(|d| d.sync_durability);
        let longest_line = self.variables.int("max_allowed_packet") as usize;
        let snapshot = self.take_snapshot();
        let statement = self.statement();
        self.server.engine.know_auto_increment(&bound.table, &self.statement()).await?;
        let form = self.server.engine.row_form(&bound.table)?;
        let runtime = self.server.query_runtime.clone();
        let lanes = form.partitions().min(runtime.metrics().num_workers()).max(1);
        let lanes = (0..lanes).map(|_| self.changing(insert.ignore, super::Rows::Many)).collect();
        // Last: the warnings that there are already come with it, and stand before those of any row.
        let reading = self.changing(insert.ignore, super::Rows::Many);
        self.context = Some(statement.clone());
        let (engine, lock_wait) = (self.server.engine.clone(), self.lock_wait());
        let open = self.current();
        open.sync |= sync;
        let mark = open.transaction.mark();
        let transaction = open.transaction.clone();
        let insert = Arc::new(insert);
        let writing = Writing { engine, insert: insert.clone(), transaction, snapshot, lock_wait };
        let writer = Writer::start(&runtime, statement, reading, lanes, writing);
        let has_variables = bound.targets.iter().any(|t| matches!(t, LoadField::Variable(_)));
        let ctx = EvalContext { statement: &writer.reading, params: &[], subqueries: &[] };
        let text_rows = if has_variables || !bound.set.is_empty() { None } else { TextRows::new(&insert, charset, &ctx)? };
        self.load = Some(Box::new(Load {
            splitter: Splitter::new(l.format.clone(), l.ignore_lines, shape),
            fields: Fields::default(),
            charset,
            types: vec![text_type(); bound.targets.len() + bound.set.len()],
            text_rows,
            row: Vec::new(),
            made: Inserted::default(),
            form,
            bound,
            insert,
            writer,
            rest: Vec::new(),
            line: 0,
            mark,
            longest_line,
        }));
        match file {
            None => Ok(Outcome::SendFile { path: l.path.clone() }),
            Some(path) => {
                let read = self.load_file(&path).await;
                self.load_whole(read).await.map(Outcome::Ok)
            }
        }
    }

    /// Reads a file of the server's to its end.
    async fn load_file(&mut self, path: &Path) -> Result<(), Fault> {
        let disk = self.server.env.disk.clone();
        let missing = |e: &std::io::Error| {
            let os = e.raw_os_error().unwrap_or(0);
            Fault::mysql(13, "HY000", format!("Can't get stat of '{}' (OS errno {os} - {e})", path.display()))
        };
        let file = disk.open(path, OpenMode::Read).map_err(|e| missing(&e))?;
        let mut at = 0;
        loop {
            let piece = {
                let file = file.clone();
                // The disk may make a thread wait: not this one, which has other clients.
                let read = tokio::task::spawn_blocking(move || {
                    let mut piece = vec![0; PIECE_BYTES];
                    file.read_at(&mut piece, at).map(|n| {
                        piece.truncate(n);
                        piece
                    })
                });
                read.await.map_err(|e| Fault::Internal { incident: e.to_string() })?.map_err(|e| {
                    Fault::mysql(1024, "HY000", format!("Error reading file '{}' (OS errno {} - {e})", path.display(), e.raw_os_error().unwrap_or(0)))
                })?
            };
            if piece.is_empty() {
                return Ok(());
            }
            at += piece.len() as u64;
            self.load_chunk(&piece).await?;
        }
    }

    /// A piece of the file.
    pub async fn load_chunk(&mut self, piece: &[u8]) -> Result<(), Fault> {
        let Some(mut load) = self.load.take() else { return Ok(()) };
        load.rest.extend_from_slice(piece);
        // Looking again at a long line that is still without an end would cost its square.
        let ends = load.splitter.line_end().last().is_none_or(|b| piece.contains(b));
        let done = if ends { self.load_lines(&mut load, false).await } else { Ok(()) };
        let done = done.and_then(|()| {
            if load.rest.len() > load.longest_line {
                return Err(Fault::mysql(1301, "HY000", format!("Line {} is larger than max_allowed_packet ({})", load.line + 1, load.longest_line)));
            }
            Ok(())
        });
        self.load = Some(load);
        done
    }

    /// The client has sent all of the file, and this came of it.
    pub async fn load_end(&mut self, read: Result<(), Fault>) -> Result<Done, Fault> {
        let done = self.load_whole(read).await.map(Outcome::Ok);
        match self.after_statement(done)? {
            Outcome::Ok(d) => Ok(d),
            Outcome::Rows { .. } | Outcome::SendFile { .. } => Ok(Done::default()),
        }
    }

    /// The file has ended, or cannot be read on: what is left of it, then the commit.
    async fn load_whole(&mut self, mut read: Result<(), Fault>) -> Result<Done, Fault> {
        let Some(mut load) = self.load.take() else { return Err(Fault::Internal { incident: "the end of no load".into() }) };
        if read.is_ok() {
            read = self.load_lines(&mut load, true).await;
        }
        let done = load.writer.finish(read).await;
        self.current().transaction.make_entries();
        let d = self.finish_change(load.mark, done).await?;
        if let Some(id) = load.made.generated {
            self.last_insert_id = id;
        }
        let deleted = if load.insert.replace { d.duplicates } else { 0 };
        let skipped = load.line.saturating_sub(d.affected.saturating_sub(deleted));
        let warnings = self.statement().warnings.lock().total;
        Ok(Done {
            affected: d.affected,
            last_insert_id: load.made.generated.unwrap_or(0),
            info: format!("Records: {}  Deleted: {deleted}  Skipped: {skipped}  Warnings: {warnings}", load.line).into(),
        })
    }

    async fn load_lines(&mut self, load: &mut Load, last: bool) -> Result<(), Fault> {
        let bytes = std::mem::take(&mut load.rest);
        let mut fields = std::mem::take(&mut load.fields);
        let mut at = 0;
        loop {
            match load.splitter.next(&bytes, at, last, &mut fields) {
                Taken::Line(next) => {
                    at = next;
                    load.line += 1;
                    let at = self.make_row(load, &bytes, &fields)?;
                    load.writer.row(at, load.line, &load.row).await?;
                }
                Taken::More(keep) => {
                    at = keep;
                    break;
                }
                Taken::End => {
                    at = bytes.len();
                    break;
                }
            }
        }
        load.fields = fields;
        load.rest = bytes;
        load.rest.drain(..at);
        Ok(())
    }

    /// Leaves the bytes of a line's row in `load.row`, and gives the position of its partition; `None`: nothing comes of the line but warnings.
    fn make_row(&self, load: &mut Load, bytes: &[u8], fields: &Fields) -> Result<Option<usize>, Fault> {
        let mut row = std::mem::take(&mut load.row);
        row.clear();
        let mut made = load.made;
        let engine = &self.server.engine;
        let ctx = EvalContext { statement: &load.writer.reading, params: &[], subqueries: &[] };
        let expected = load.bound.targets.len();
        let mut at = None;
        if let Some(rows) = load.text_rows.as_ref().filter(|_| fields.len() >= expected) {
            let line = Line { load, bytes, fields };
            at = engine.make_text_row(&load.insert, &load.form, rows, &line, &load.types, load.line, &mut made, &ctx, &mut row)?;
        }
        if at.is_none() {
            let values = self.load_row(load, bytes, fields)?;
            at = engine.make_row(&load.insert, &load.form, values, &load.types, load.line, &mut made, &ctx, &mut row)?;
        }
        (load.row, load.made) = (row, made);
        if fields.len() > expected {
            let line = load.line;
            let fault = || Fault::mysql(1262, "01000", format!("Row {line} was truncated; it contained more data than there were input columns"));
            if store::is_strict(&ctx) {
                return Err(fault());
            }
            ctx.statement.warn_with(WarningLevel::Warning, fault);
        }
        Ok(at)
    }

    /// One line's values, for the columns that are given: by fields, then by SET.
    fn load_row(&self, load: &Load, bytes: &[u8], fields: &Fields) -> Result<Row, Fault> {
        let b = &load.bound;
        let ctx = EvalContext { statement: &load.writer.reading, params: &[], subqueries: &[] };
        let mut given = vec![Value::Null; b.targets.len() + b.set.len()];
        // SET reads columns as they will be stored, and what is wrong with the fields there are is said before what is missing.
        let stores = !b.set.is_empty() || fields.len() < b.targets.len();
        let mut row = vec![Value::Null; if stores { b.table.columns.len() } else { 0 }];
        for (i, target) in b.targets.iter().enumerate() {
            let field = fields.get(bytes, i);
            match target {
                LoadField::Variable(name) => {
                    let value = match field {
                        Some(Field::Bytes(raw)) => text_of(raw, load.charset).unwrap_or_else(Value::bytes),
                        Some(Field::Null) | None => Value::Null,
                    };
                    self.user_variables.set(name.clone(), value, text_type())?;
                }
                LoadField::Column(c) => {
                    let column = &b.table.columns[*c as usize];
                    given[i] = match field {
                        Some(Field::Bytes(raw)) => field_value(raw, column, load, &ctx)?,
                        Some(Field::Null) => null_value(column, load.line, &ctx)?,
                        None => missing_value(column, &b.fill[*c as usize], load.line, &ctx)?,
                    };
                    if stores && !given[i].is_null() {
                        let value = std::mem::replace(&mut given[i], Value::Null);
                        row[*c as usize] = store::store(value, &text_type(), Stored { column: &column.name, ty: &column.ty, row: load.line }, &ctx)?;
                        given[i] = shown(&row[*c as usize], column);
                    }
                }
            }
        }
        for (n, (c, a)) in b.set.iter().enumerate() {
            let e: &Expr = match a {
                Assigned::Expr(e) | Assigned::Fill(Fill::Default(e)) => e,
                Assigned::Fill(_) => continue,
            };
            let value = eval(e, row.as_slice(), &ctx)?;
            let column = &b.table.columns[*c as usize];
            if value.is_null() && !column.ty.nullable {
                given[b.targets.len() + n] = null_value(column, load.line, &ctx)?;
                continue;
            }
            row[*c as usize] = store::store(value.clone(), e.ty(), Stored { column: &column.name, ty: &column.ty, row: load.line }, &ctx)?;
            given[b.targets.len() + n] = shown(&row[*c as usize], column);
        }
        Ok(given)
    }

    // ------------------------------------------------------------------ files of the server's

    /// 1290 where the operator allows no files, or not this one.
    pub(crate) fn allowed_file(&self, path: &str) -> Result<PathBuf, Fault> {
        if !self.user.may_globally(Privilege::File) {
            return Err(access_denied(&self.user));
        }
        let refused =
            || Fault::mysql(1290, "HY000", "The MySQL server is running with the --secure-file-priv option so it cannot execute this statement");
        let globals = self.server.variables.values();
        let root = globals.text("secure_file_priv");
        if root.is_empty() {
            return Err(refused());
        }
        let root = Path::new(root);
        let path = root.join(path);
        // Without following links: what the operator has put into the directory is his own affair, but no name leads out of it.
        let inside = path.starts_with(root) && !path.components().any(|c| matches!(c, std::path::Component::ParentDir));
        if inside { Ok(path) } else { Err(refused()) }
    }

    fn readable_file(&self, path: &str) -> Result<PathBuf, Fault> {
        self.allowed_file(path)
    }
}

/// Where each column's value stands in a row of [`Session::load_row`]: fields first, then what SET gives, which is last and wins.
fn given_columns(b: &BoundLoad) -> Vec<Option<u16>> {
    let mut source_of = b.source_of.clone();
    for (n, (c, a)) in b.set.iter().enumerate() {
        if matches!(a, Assigned::Expr(_) | Assigned::Fill(Fill::Default(_))) {
            source_of[*c as usize] = Some((b.targets.len() + n) as u16);
        }
    }
    source_of
}

/// What a field is before it is stored.
fn text_type() -> SqlType {
    SqlType::varchar(16383, true, Collation::UTF8MB4_GENERAL_CI)
}

/// A stored value in the form in which an expression would give it: it is stored once more.
fn shown(v: &Value, column: &ColumnDef) -> Value {
    match (&column.ty.kind, v) {
        (_, Value::Null) => Value::Null,
        (TypeKind::Enum(_) | TypeKind::Set(_) | TypeKind::Timestamp { .. } | TypeKind::Json | TypeKind::Bit { .. }, v) => {
            let mut text = Vec::new();
            weald_expr::format::write_text(v, &column.ty, &mut text);
            weald_wire::command::text(&text)
        }
        (_, v) => v.clone(),
    }
}

/// The bytes where they are no text.
fn text_of(raw: &[u8], charset: Charset) -> Result<Value, &[u8]> {
    charset.decode(raw).map(Value::str).map_err(|_| raw)
}

/// 1045, which is how MySQL says that FILE is missing.
fn access_denied(user: &Access) -> Fault {
    Fault::mysql(1045, "28000", format!("Access denied for user '{}'@'{}' (using password: YES)", user.user, user.host))
}

/// The columns' widths, where fields have no terminators.
fn widths(b: &BoundLoad, format: &ast::LoadFormat) -> Result<Vec<usize>, Fault> {
    b.targets
        .iter()
        .map(|t| match t {
            LoadField::Variable(_) => Err(Fault::mysql(1409, "HY000", "Can't load value from file with fixed size rows to variable")),
            LoadField::Column(c) => match &b.table.columns[*c as usize].ty {
                // The rest of the line, where lines end.
                ty if into_file::has_no_width(ty) && format.lines_terminated.is_empty() => {
                    Err(Fault::mysql(1084, "42000", "You can't use fixed rowlength with BLOBs; please use 'fields terminated by'"))
                }
                ty => Ok(into_file::width(ty)),
            },
        })
        .collect()
}

/// A line whose fields are all columns.
struct Line<'a> {
    load: &'a Load,
    bytes: &'a [u8],
    fields: &'a Fields,
}

impl TextLine for Line<'_> {
    fn field(&self, at: usize) -> Option<&[u8]> {
        match self.fields.get(self.bytes, at) {
            Some(Field::Bytes(raw)) => Some(raw),
            Some(Field::Null) | None => None,
        }
    }
    fn value(&self, at: usize, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
        match (&self.load.bound.targets[at], self.field(at)) {
            (LoadField::Column(c), Some(raw)) => field_value(raw, &self.load.bound.table.columns[*c as usize], self.load, ctx),
            (LoadField::Column(_) | LoadField::Variable(_), _) => Ok(Value::Null),
        }
    }
}

/// A field's value, which the store makes sense of (and warns about).
fn field_value(raw: &[u8], column: &ColumnDef, load: &Load, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if column.ty.kind.is_binary() || matches!(column.ty.kind, TypeKind::Bit { .. }) {
        return Ok(Value::bytes(raw));
    }
    match text_of(raw, load.charset) {
        Ok(v) => Ok(v),
        Err(raw) => {
            let good = load.charset.decode(raw).map_or_else(|good| good, |text| text.len());
            let bad: String =
                raw[good..].iter().take(6).map(|b| if b.is_ascii_graphic() { (*b as char).to_string() } else { format!("\\x{b:02X}") }).collect();
            let dots = if raw.len() - good > 6 { "..." } else { "" };
            let fault =
                Fault::mysql(1366, "HY000", format!("Incorrect string value: '{bad}{dots}' for column '{}' at row {}", column.name, load.line));
            store::refuse(fault, ctx)?;
            Ok(Value::str(String::from_utf8_lossy(&raw[..good])))
        }
    }
}

fn null_value(column: &ColumnDef, line: u64, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    // An AUTO_INCREMENT column makes a number of it.
    if column.ty.nullable || column.auto_increment {
        return Ok(Value::Null);
    }
    let text = format!("Column set to default value; NULL supplied to NOT NULL column '{}' at row {line}", column.name);
    store::refuse(Fault::mysql(1263, "22004", text), ctx)?;
    Ok(shown(&store::zero(&column.ty), column))
}

/// The line has ended before this column.
fn missing_value(column: &ColumnDef, fill: &Fill, line: u64, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    store::refuse(Fault::mysql(1261, "01000", format!("Row {line} doesn't contain data for all columns")), ctx)?;
    if column.auto_increment {
        return Ok(Value::Null);
    }
    // Set back to the type's zero, but the default says whether it is NULL.
    let null_by_default = column.ty.nullable && matches!(fill, Fill::Default(Expr::Literal { value: Value::Null, .. }) | Fill::Missing);
    Ok(if null_by_default { Value::Null } else { shown(&store::zero(&column.ty), column) })
}
