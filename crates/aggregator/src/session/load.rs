//! LOAD DATA: lines and fields of a file become rows.
//!
//! Owns:     the parser's place between two chunks, and the rows waiting to be written.
//! Promises: one transaction for the whole file; memory holds one batch, not the file.
//! Never:    reads a file of the server's without the FILE privilege (not supported yet: only LOCAL).

use super::{Done, Outcome, Session};
use weald_exec::{InsertRows, Inserted, Work};
use weald_expr::{Expr, eval, store};
use weald_plan::dml::{self, Assigned, BoundInsert, BoundLoad, BoundOnDuplicate, Fill, InsertSource, LoadField};
use weald_sql::ast;
use weald_types::{Collation, Fault, SqlType, Value, WarningLevel};

/// Rows written in one go.
const BATCH: usize = 2000;

/// A load under way.
pub struct Load {
    bound: BoundLoad,
    insert: BoundInsert,
    format: ast::LoadFormat,
    skip: u64,
    rest: Vec<u8>,
    done: Inserted,
    line: u64,
    mark: weald_exec::Mark,
    warned: bool,
}

impl Session {
    pub(crate) async fn load_data(&mut self, l: &ast::LoadData) -> Result<Outcome, Fault> {
        if !l.local {
            return Err(Fault::not_supported("LOAD DATA INFILE without LOCAL"));
        }
        if !self.server.variables.values().on("local_infile") || !self.client.local_files {
            return Err(Fault::mysql(3948, "42000", "Loading local data is disabled; this must be enabled on both the client and server sides"));
        }
        if l.format.lines_terminated.is_empty() {
            return Err(Fault::not_supported("LINES TERMINATED BY ''"));
        }
        // LOCAL is IGNORE, as in MySQL: the server cannot stop the client's sending.
        let ignore = l.duplicates != ast::LoadDuplicates::Replace;
        self.changing(ignore, super::Rows::Many);
        let bound = self.bind("", &[], |env| dml::load::bind_load(env, l))?;
        self.check(&bound.needs)?;
        self.refuse_if_read_only()?;
        if !bound.subqueries.is_empty() {
            return Err(Fault::not_supported("subqueries in LOAD DATA … SET"));
        }
        let insert = BoundInsert {
            table: bound.table.clone(),
            source_of: bound.source_of.clone(),
            fill: bound.fill.clone(),
            source: InsertSource::Rows(Vec::new().into()),
            rules: bound.rules.clone(),
            replace: l.duplicates == ast::LoadDuplicates::Replace,
            ignore,
            on_duplicate: if ignore { BoundOnDuplicate::Error } else { BoundOnDuplicate::Replace },
            params: Vec::new(),
            needs: Vec::new(),
            warnings: Vec::new(),
            subqueries: Vec::new(),
        };
        let sync = self.catalog().database_by_id(bound.table.database).is_none_or(|d| d.sync_durability);
        let open = self.current();
        open.sync |= sync;
        let mark = open.transaction.mark();
        self.load = Some(Box::new(Load {
            bound,
            insert,
            format: l.format.clone(),
            skip: l.ignore_lines,
            rest: Vec::new(),
            done: Inserted::default(),
            line: 0,
            mark,
            warned: false,
        }));
        Ok(Outcome::SendFile { path: l.path.clone() })
    }

    /// A piece of the file.
    pub async fn load_chunk(&mut self, piece: &[u8]) -> Result<(), Fault> {
        let Some(mut load) = self.load.take() else { return Ok(()) };
        load.rest.extend_from_slice(piece);
        let done = self.load_lines(&mut load, false).await;
        self.load = Some(load);
        done
    }

    pub async fn load_end(&mut self) -> Result<Done, Fault> {
        let Some(mut load) = self.load.take() else { return Err(Fault::Internal { incident: "the end of no load".into() }) };
        let done = self.load_lines(&mut load, true).await;
        let mark = load.mark;
        let done = match self.finish_change(mark, done).await {
            Ok(()) => {
                let d = load.done;
                if let Some(id) = d.generated {
                    self.last_insert_id = id;
                }
                let warnings = self.statement().warnings.lock().total;
                Ok(Outcome::Ok(Done {
                    affected: d.affected,
                    last_insert_id: 0,
                    info: format!("Records: {}  Deleted: 0  Skipped: {}  Warnings: {warnings}", d.records, d.duplicates),
                }))
            }
            Err(f) => Err(f),
        };
        match self.after_statement(done)? {
            Outcome::Ok(d) => Ok(d),
            _ => Ok(Done::default()),
        }
    }

    pub fn load_failed(&mut self, fault: Fault) -> Result<Done, Fault> {
        if let Some(load) = self.load.take() {
            if self.transaction.as_ref().is_some_and(|t| t.autocommit) {
                self.rollback_open()
            } else if let Some(t) = &self.transaction {
                t.transaction.rollback_to(load.mark)
            }
        }
        self.after_statement(Err(fault)).map(|_| Done::default())
    }

    async fn load_lines(&mut self, load: &mut Load, last: bool) -> Result<(), Fault> {
        let bytes = std::mem::take(&mut load.rest);
        let mut at = 0;
        let mut rows = Vec::with_capacity(BATCH);
        while let Some((fields, next)) = line(&bytes, at, &load.format, last) {
            at = next;
            if load.skip > 0 {
                load.skip -= 1;
                continue;
            }
            load.line += 1;
            rows.push(self.load_row(load, fields)?);
            if rows.len() == BATCH {
                self.write_loaded(load, std::mem::take(&mut rows)).await?;
            }
        }
        load.rest = bytes[at..].to_vec();
        if load.rest.len() as u64 > self.variables.int("max_allowed_packet") {
            return Err(Fault::mysql(1153, "08S01", "Got a packet bigger than 'max_allowed_packet' bytes"));
        }
        if !rows.is_empty() {
            self.write_loaded(load, rows).await?;
        }
        Ok(())
    }

    /// One line's values, for the columns that are given: targets, then SET.
    fn load_row(&mut self, load: &mut Load, fields: Vec<Option<Vec<u8>>>) -> Result<Vec<Value>, Fault> {
        let b = &load.bound;
        let statement = self.statement();
        if fields.len() != b.targets.len() && !load.warned {
            load.warned = true;
            let (number, text) = if fields.len() < b.targets.len() {
                (1261, format!("Row {} doesn't contain data for all columns", load.line))
            } else {
                (1262, format!("Row {} was truncated; it contained more data than there were input columns", load.line))
            };
            statement.warn(WarningLevel::Warning, Fault::mysql(number, "01000", text));
        }
        let width = b.source_of.iter().flatten().map(|p| *p as usize + 1).max().unwrap_or(0);
        let mut given = vec![Value::Null; width];
        let mut row = vec![Value::Null; b.table.columns.len()];
        for (i, target) in b.targets.iter().enumerate() {
            let value = match fields.get(i) {
                Some(Some(bytes)) => weald_wire::command::text(bytes),
                Some(None) => Value::Null,
                None => match target {
                    LoadField::Column(c) => missing(&b.table.columns[*c as usize].ty),
                    LoadField::Variable(_) => Value::Null,
                },
            };
            match target {
                LoadField::Column(c) => {
                    row[*c as usize] = value.clone();
                    if let Some(p) = b.source_of[*c as usize] {
                        given[p as usize] = value;
                    }
                }
                LoadField::Variable(name) => {
                    self.user_variables.lock().insert(name.clone(), (value, SqlType::varchar(16383, true, Collation::UTF8MB4_GENERAL_CI)));
                }
            }
        }
        let ctx = weald_expr::EvalContext { statement: &statement, params: &[], subqueries: &[] };
        for (c, a) in &b.set {
            let e: &Expr = match a {
                Assigned::Expr(e) | Assigned::Fill(Fill::Default(e)) => e,
                Assigned::Fill(_) => continue,
            };
            let value = eval(e, row.as_slice(), &ctx)?;
            row[*c as usize] = value.clone();
            if let Some(p) = b.source_of[*c as usize] {
                given[p as usize] = value;
            }
        }
        Ok(given)
    }

    async fn write_loaded(&mut self, load: &mut Load, rows: Vec<Vec<Value>>) -> Result<(), Fault> {
        let first = load.line + 1 - rows.len() as u64;
        let text = SqlType::varchar(16383, true, Collation::UTF8MB4_GENERAL_CI);
        let types = vec![text; rows.first().map_or(0, Vec::len)];
        let (engine, statement, lock_wait) = (self.server.engine.clone(), self.statement(), self.lock_wait());
        let snapshot = self.take_snapshot();
        let open = self.current();
        let work = Work { statement: &statement, params: &[], transaction: &open.transaction, snapshot: &snapshot, lock_wait };
        let done = engine.insert(&load.insert, InsertRows::Values { rows, types }, false, first, work).await?;
        load.done.affected += done.affected;
        load.done.records += done.records;
        load.done.duplicates += done.duplicates;
        load.done.generated = load.done.generated.or(done.generated);
        Ok(())
    }
}

/// What a field that the line does not have stands for.
fn missing(ty: &SqlType) -> Value {
    if ty.nullable { Value::Null } else { store::zero(ty) }
}

type Fields = Vec<Option<Vec<u8>>>;

/// The fields of the line that starts at `at`, and where the next begins. `None`: it is not whole yet. `last`: nothing follows the bytes.
fn line(bytes: &[u8], mut at: usize, f: &ast::LoadFormat, last: bool) -> Option<(Fields, usize)> {
    if at >= bytes.len() {
        return None;
    }
    if !f.lines_starting.is_empty() {
        let found = bytes[at..].windows(f.lines_starting.len()).position(|w| w == f.lines_starting)?;
        at += found + f.lines_starting.len();
    }
    let mut fields = Vec::new();
    loop {
        let mut value = Vec::new();
        let mut null = false;
        let enclosed = f.fields_enclosed.is_some() && bytes.get(at).copied() == f.fields_enclosed;
        if enclosed {
            at += 1;
        }
        loop {
            let Some(&b) = bytes.get(at) else {
                if !last {
                    return None;
                }
                // The last line may lack its end.
                fields.push(field(value, null, enclosed));
                return Some((fields, at));
            };
            if Some(b) == f.escaped {
                match bytes.get(at + 1) {
                    None if !last => return None,
                    None => {
                        at += 1;
                        continue;
                    }
                    Some(&e) => {
                        match e {
                            b'0' => value.push(0),
                            b'b' => value.push(8),
                            b'n' => value.push(b'\n'),
                            b'r' => value.push(b'\r'),
                            b't' => value.push(b'\t'),
                            b'Z' => value.push(26),
                            b'N' if value.is_empty() && !enclosed => null = true,
                            e => value.push(e),
                        }
                        at += 2;
                        continue;
                    }
                }
            }
            if enclosed {
                if Some(b) == f.fields_enclosed {
                    match bytes.get(at + 1) {
                        None if !last => return None,
                        Some(&n) if Some(n) == f.fields_enclosed => {
                            value.push(b);
                            at += 2;
                            continue;
                        }
                        _ => {
                            let after = &bytes[at + 1..];
                            if after.is_empty() || after.starts_with(&f.fields_terminated) || after.starts_with(&f.lines_terminated) {
                                at += 1;
                                break;
                            }
                            if !last && after.len() < f.fields_terminated.len().max(f.lines_terminated.len()) {
                                return None;
                            }
                            value.push(b);
                            at += 1;
                            continue;
                        }
                    }
                }
                value.push(b);
                at += 1;
                continue;
            }
            let rest = &bytes[at..];
            if !f.fields_terminated.is_empty() && rest.starts_with(&f.fields_terminated) || rest.starts_with(&f.lines_terminated) {
                break;
            }
            value.push(b);
            at += 1;
        }
        fields.push(field(value, null, enclosed));
        let rest = &bytes[at..];
        if rest.starts_with(&f.lines_terminated) {
            return Some((fields, at + f.lines_terminated.len()));
        }
        if !f.fields_terminated.is_empty() && rest.starts_with(&f.fields_terminated) {
            at += f.fields_terminated.len();
            continue;
        }
        if rest.is_empty() {
            return if last { Some((fields, at)) } else { None };
        }
    }
}

fn field(value: Vec<u8>, null: bool, enclosed: bool) -> Option<Vec<u8>> {
    if !enclosed && (null && value.is_empty()) { None } else { Some(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(fields: &str, enclosed: Option<u8>) -> ast::LoadFormat {
        ast::LoadFormat {
            fields_terminated: fields.into(),
            fields_enclosed: enclosed,
            optionally_enclosed: false,
            escaped: Some(b'\\'),
            lines_starting: vec![],
            lines_terminated: b"\n".to_vec(),
        }
    }

    #[test]
    fn fields_are_taken_apart_as_mysql_does() {
        let all = |text: &str, f: &ast::LoadFormat| {
            let mut at = 0;
            let mut out = Vec::new();
            while let Some((fields, next)) = line(text.as_bytes(), at, f, true) {
                at = next;
                out.push(fields.into_iter().map(|v| v.map_or("NULL".to_string(), |b| String::from_utf8(b).unwrap())).collect::<Vec<_>>());
            }
            out
        };
        assert_eq!(all("1\ta\\tb\t\\N\n2\t\tx", &format("\t", None)), vec![vec!["1", "a\tb", "NULL"], vec!["2", "", "x"]]);
        assert_eq!(all("\"a,b\",\"say \"\"hi\"\"\",3\n", &format(",", Some(b'"'))), vec![vec!["a,b", "say \"hi\"", "3"]]);
        assert_eq!(all("1|2|\n", &format("|", None)), vec![vec!["1", "2", ""]]);
        // A line that is not whole waits for more.
        assert!(line(b"1\t2", 0, &format("\t", None), false).is_none());
    }
}
