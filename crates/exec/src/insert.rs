//! INSERT, REPLACE and LOAD DATA: rows made complete, then written.
//!
//! Owns:     nothing; writes into the work's transaction. A row is made first ([`Engine::make_row`]), which needs no transaction, then written.
//! Promises: every column has its value or the statement says why not; duplicates are handled as the statement asks.
//! Never:    reads the source: rows are handed in.

use crate::change::{append, check, complete, duplicate, encode, lock};
use crate::engine::{Engine, Places, Work};
use crate::rows::Row;
use crate::site::{Home, RowDone, Site};
use crate::stored::Pair;
use crate::turns::{PIECE_ROWS, Turns};
use futures::future::{BoxFuture, join_all};
use std::sync::Arc;
use weald_catalog::TableDef;
use weald_expr::store::{self, Target as Column};
use weald_expr::{EvalContext, InFlight, eval};
use weald_partition::TableSchema;
use weald_plan::dml::{Assigned, BoundInsert, BoundOnDuplicate, CopiedColumn, Fill, Given, RowRules};
use weald_types::{Fault, IndexId, SqlMode, SqlType, Value, WarningLevel};

/// Rows that a loading statement gives to a partition in one go.
const LOADED_AT_A_TIME: usize = 256;
/// So many rows for other nodes, or bytes of them, are sent in one go.
const MADE_ROWS: usize = 4096;
const MADE_BYTES: usize = 1 << 20;

/// The source's rows, one value for each column that the statement names.
pub enum InsertRows<'a> {
    Exprs(&'a [Vec<Given>]),
    Values {
        rows: Vec<Row>,
        types: Vec<SqlType>,
    },
    /// Rows of another definition of the table.
    Copied {
        rows: Vec<Row>,
        columns: &'a [CopiedColumn],
    },
}

/// How a table's rows are laid out and shared out.
pub struct RowForm {
    partitions: usize,
    schema: Arc<TableSchema>,
}

impl RowForm {
    pub fn partitions(&self) -> usize {
        self.partitions
    }
    pub(crate) fn schema(&self) -> &TableSchema {
        &self.schema
    }
}

/// Rows that have all their values, ready to be written.
#[derive(Default)]
pub struct MadeRows {
    bytes: Vec<u8>,
    rows: Vec<MadeRow>,
}

struct MadeRow {
    /// The position of its partition among the table's.
    at: usize,
    number: u64,
    /// Where its bytes end.
    end: usize,
    /// Of the source's row, what ON DUPLICATE KEY UPDATE may read.
    further: Row,
}

/// A row of a partition, made.
type Dealt<'r> = (usize, u64, &'r [u8], &'r [Value]);

impl MadeRows {
    /// A row's bytes, for the partition at this position.
    pub fn push(&mut self, at: usize, number: u64, bytes: &[u8]) {
        self.push_with(at, number, bytes, Row::new());
    }
    fn push_with(&mut self, at: usize, number: u64, bytes: &[u8], further: Row) {
        self.bytes.extend_from_slice(bytes);
        self.rows.push(MadeRow { at, number, end: self.bytes.len(), further });
    }
    pub fn len(&self) -> usize {
        self.rows.len()
    }
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
    /// Partition, number and bytes of each row: partition by partition, and by number within one.
    fn dealt(&self) -> Vec<Dealt<'_>> {
        let mut from = 0;
        let of = |r: &'_ MadeRow| (r.at, r.number, std::mem::replace(&mut from, r.end)..r.end);
        let places: Vec<_> = self.rows.iter().map(of).collect();
        let mut rows: Vec<Dealt<'_>> =
            places.into_iter().zip(&self.rows).map(|((at, number, bytes), r)| (at, number, &self.bytes[bytes], &r.further[..])).collect();
        rows.sort_by_key(|(at, ..)| *at);
        rows
    }
}

/// What an insert did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inserted {
    /// As MySQL counts: 1 a new row, 2 a replaced or updated one.
    pub affected: u64,
    pub records: u64,
    pub duplicates: u64,
    /// The first number generated.
    pub generated: Option<u64>,
    /// The last explicit value of the AUTO_INCREMENT column.
    pub explicit: Option<u64>,
}

impl Engine {
    pub async fn insert(
        &self,
        bound: &BoundInsert,
        mut source: InsertRows<'_>,
        found_rows: bool,
        first_row: u64,
        work: Work<'_>,
    ) -> Result<Inserted, Fault> {
        self.know_auto_increment(&bound.table, work.statement).await?;
        let places = self.places(&bound.table)?;
        let form = self.form(&bound.table, &places)?;
        let ctx = work.context();
        let mut done = Inserted::default();
        // Rows for other nodes.
        let mut made = MadeRows::default();
        let mut bytes = Vec::new();
        let count = match &source {
            InsertRows::Exprs(r) => r.len(),
            InsertRows::Values { rows, .. } | InsertRows::Copied { rows, .. } => rows.len(),
        };
        let turns = Turns::default();
        for n in 0..count {
            if n % PIECE_ROWS == PIECE_ROWS - 1 {
                turns.piece(work.statement).await?;
            }
            let number = first_row + n as u64;
            let mut further = Vec::new();
            let given = match &mut source {
                InsertRows::Exprs(rows) => Source::Exprs(&rows[n]),
                InsertRows::Values { rows, types } => {
                    if matches!(bound.on_duplicate, BoundOnDuplicate::Update { .. }) {
                        further.clone_from(&rows[n]);
                    }
                    Source::Values(std::mem::take(&mut rows[n]), types)
                }
                InsertRows::Copied { rows, columns } => Source::Copied(std::mem::take(&mut rows[n]), columns),
            };
            bytes.clear();
            if let Some(at) = self.complete_row(bound, &form, given, number, &mut done, &ctx, &mut bytes)? {
                if !matches!(places.homes().get(at), Some(Home::Here(_))) {
                    made.push_with(at, number, &bytes, further);
                    if made.bytes.len() >= MADE_BYTES || made.rows.len() >= MADE_ROWS {
                        Box::pin(self.insert_elsewhere(bound, &places, std::mem::take(&mut made), found_rows, &mut done, work)).await?;
                    }
                    continue;
                }
                let site = places.site(self, at)?;
                let outcome = site.insert(&bytes, work).await?;
                self.resolve(bound, &site, &bytes, number, &further, found_rows, outcome, &mut done, work).await?;
                work.transaction.log_ahead().await?;
            }
        }
        if !made.is_empty() {
            Box::pin(self.insert_elsewhere(bound, &places, made, found_rows, &mut done, work)).await?;
        }
        Ok(done)
    }

    /// How rows of a table are made, by [`Engine::make_row`].
    pub fn row_form(&self, table: &TableDef) -> Result<RowForm, Fault> {
        self.form(table, &self.places(table)?)
    }
    fn form(&self, table: &TableDef, places: &Places<'_>) -> Result<RowForm, Fault> {
        let schema = match places.homes().first() {
            Some(Home::There(_)) => self.schema_of(table),
            _ => places.open(0)?.1.schema().clone(),
        };
        Ok(RowForm { partitions: places.len(), schema })
    }

    /// Appends the bytes of a row made complete, to be written by [`Engine::insert_made`] to the partition at the position that is given back; `None`: it is
    /// left out, with a warning. `values` are those of the columns that the statement names. Counts in `done` what it takes of AUTO_INCREMENT.
    #[allow(clippy::too_many_arguments)]
    pub fn make_row(
        &self,
        bound: &BoundInsert,
        form: &RowForm,
        values: Row,
        types: &[SqlType],
        number: u64,
        done: &mut Inserted,
        ctx: &EvalContext<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<usize>, Fault> {
        self.complete_row(bound, form, Source::Values(values, types), number, done, ctx, out)
    }

    /// Writes rows that were made for the same statement, but for those behind number `until`. `warned` gets the row's number for every warning that is kept.
    /// A fault comes with the number of its row; it is the first that there is. [`Transaction::make_entries`](weald_partition::Transaction::make_entries) makes it whole.
    pub async fn insert_made(
        &self,
        bound: &BoundInsert,
        rows: &MadeRows,
        mut until: u64,
        warned: &mut Vec<u64>,
        work: Work<'_>,
    ) -> Result<Inserted, (u64, Fault)> {
        let places = self.places(&bound.table).map_err(|fault| (0, fault))?;
        let mut done = Inserted::default();
        let mut failed = None;
        for rows in rows.dealt().chunk_by(|a, b| a.0 == b.0) {
            let site = places.site(self, rows[0].0).map_err(|fault| (0, fault))?;
            let rows = &rows[..rows.partition_point(|(_, number, ..)| *number <= until)];
            if let Err((number, fault)) = self.load(bound, &site, rows, false, true, &mut done, warned, work).await {
                until = number;
                failed = Some((number, fault));
            }
        }
        failed.map_or(Ok(done), Err)
    }

    /// Rows of a statement that are for partitions on other nodes; all partitions at the same time.
    async fn insert_elsewhere(
        &self,
        bound: &BoundInsert,
        places: &Places<'_>,
        rows: MadeRows,
        found_rows: bool,
        done: &mut Inserted,
        work: Work<'_>,
    ) -> Result<(), Fault> {
        let dealt = rows.dealt();
        let mut writing: Vec<BoxFuture<'_, Result<Inserted, (u64, Fault)>>> = Vec::new();
        for rows in dealt.chunk_by(|a, b| a.0 == b.0) {
            writing.push(Box::pin(async move {
                let site = places.site(self, rows[0].0).map_err(|fault| (0, fault))?;
                let mut done = Inserted::default();
                self.load(bound, &site, rows, found_rows, false, &mut done, &mut Vec::new(), work).await.map(|()| done)
            }));
        }
        let all = join_all(writing).await;
        let mut failed: Option<(u64, Fault)> = None;
        for one in all {
            match one {
                Ok(one) => {
                    done.affected += one.affected;
                    done.duplicates += one.duplicates;
                }
                Err(fault) if failed.as_ref().is_none_or(|f| fault.0 < f.0) => failed = Some(fault),
                Err(_) => (),
            }
        }
        failed.map_or(Ok(()), |(_, fault)| Err(fault))
    }

    /// Rows of one partition, in order.
    #[allow(clippy::too_many_arguments)]
    async fn load(
        &self,
        bound: &BoundInsert,
        site: &Site<'_>,
        mut rows: &[Dealt<'_>],
        found_rows: bool,
        entries_later: bool,
        done: &mut Inserted,
        warned: &mut Vec<u64>,
        work: Work<'_>,
    ) -> Result<(), (u64, Fault)> {
        while let Some((_, first, ..)) = rows.first() {
            let piece = &rows[..rows.len().min(LOADED_AT_A_TIME)];
            let (loaded, outcome) = site.insert_all(piece.iter().map(|row| row.2).collect(), entries_later, work).await;
            done.affected += loaded as u64;
            rows = &rows[loaded..];
            if let Some((_, number, bytes, further)) = rows.first()
                && loaded < piece.len()
            {
                let fault = |fault| (*number, fault);
                let before = done.duplicates;
                self.resolve(bound, site, bytes, *number, further, found_rows, outcome.map_err(fault)?, done, work).await.map_err(fault)?;
                if done.duplicates != before {
                    warned.resize(work.statement.warnings.lock().kept.len(), *number);
                }
                rows = &rows[1..];
            }
            let on = async {
                work.statement.check_interrupted()?;
                work.transaction.log_ahead().await
            };
            on.await.map_err(|fault| (*first, fault))?;
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn complete_row(
        &self,
        bound: &BoundInsert,
        form: &RowForm,
        given: Source<'_>,
        number: u64,
        done: &mut Inserted,
        ctx: &EvalContext<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<usize>, Fault> {
        let row = match self.values(bound, given, number, done, ctx) {
            Ok(row) => row,
            // INSERT IGNORE turns what remains an error (a violated CHECK, a NULL) into a warning and goes on without the row.
            Err(f @ Fault::MySql { number: 3819, .. }) if bound.ignore => {
                ctx.statement.warn(WarningLevel::Warning, f);
                return Ok(None);
            }
            Err(f) => return Err(f),
        };
        done.records += 1;
        append(form.schema(), &row, out)?;
        Ok(Some(self.partition_of_row(&bound.table, &row, form.partitions)))
    }

    /// Of all columns.
    fn values(
        &self,
        bound: &BoundInsert,
        mut given: Source<'_>,
        number: u64,
        done: &mut Inserted,
        ctx: &EvalContext<'_>,
    ) -> Result<Vec<Value>, Fault> {
        let table = &bound.table;
        let mut row: Vec<Value> = vec![Value::Null; table.columns.len()];
        let mut held = InFlight::new(ctx.statement);
        let store = |i: usize, v: Value, ty: &SqlType| {
            let c = &table.columns[i];
            store::store(v, ty, Column { column: &c.name, ty: &c.ty, row: number }, ctx)
        };
        // Defaults first: a given expression may read a column that stands before it, or that is not given. Those that read columns themselves come last.
        let mut needs_number = None;
        let mut reading = Vec::new();
        for i in 0..table.columns.len() {
            let position = bound.source_of[i];
            let wants_default = match position {
                None => true,
                Some(p) => given.is_default(p as usize),
            };
            if !wants_default {
                continue;
            }
            match &bound.fill[i] {
                Fill::Default(e) if !matches!(e, weald_expr::Expr::Literal { .. }) && !weald_expr::walk::columns_of(e).is_empty() => {
                    reading.push((i, e))
                }
                Fill::Default(e) => {
                    let v = eval(e, row.as_slice(), ctx)?;
                    row[i] = store(i, v, e.ty())?;
                }
                Fill::AutoIncrement => needs_number = Some(i),
                Fill::Generated => (),
                Fill::Missing => {
                    let c = &table.columns[i];
                    // A column that the statement does not name is warned of once, not for each row.
                    if position.is_some() || number == 1 || store::is_strict(ctx) {
                        store::refuse(Fault::NoDefault { column: c.name.to_string() }, ctx)?;
                    }
                    row[i] = store::zero(&c.ty);
                }
            }
        }
        for i in 0..table.columns.len() {
            let Some(p) = bound.source_of[i] else { continue };
            let auto = table.columns[i].auto_increment;
            let (v, ty) = match given.take(p as usize) {
                GivenValue::Default => continue,
                GivenValue::Expr(e) => {
                    let v = eval(e, row.as_slice(), ctx)?;
                    held.hold(&v)?;
                    (v, e.ty())
                }
                GivenValue::Value(v, ty) => (v, ty),
                GivenValue::Stored(v) => {
                    if v.is_null() && !table.columns[i].ty.nullable {
                        return Err(Fault::NullNotAllowed { column: table.columns[i].name.to_string() });
                    }
                    row[i] = v;
                    if auto {
                        self.note_auto_increment(table, &row);
                    }
                    continue;
                }
            };
            if auto {
                let zero = matches!(&v, Value::Int(0) | Value::UInt(0))
                    || matches!(&v, Value::Str(s) if s.parse::<i64>() == Ok(0))
                    || matches!(&v, Value::Decimal(d) if d.is_zero());
                if v.is_null() || (zero && !ctx.statement.sql_mode.has(SqlMode::NO_AUTO_VALUE_ON_ZERO)) {
                    needs_number = Some(i);
                    continue;
                }
                row[i] = store(i, v, ty)?;
                if let Value::Int(n) = row[i] {
                    done.explicit = Some(n.max(0) as u64)
                }
                if let Value::UInt(n) = row[i] {
                    done.explicit = Some(n)
                }
                self.note_auto_increment(table, &row);
                continue;
            }
            if v.is_null() && !table.columns[i].ty.nullable {
                // In a multi-row or SELECT insert outside strict mode a NULL becomes the type's zero.
                if !store::is_strict(ctx) && !ctx.statement.ignore_errors && number > 1 {
                    ctx.statement.warn(WarningLevel::Warning, Fault::NullNotAllowed { column: table.columns[i].name.to_string() });
                    row[i] = store::zero(&table.columns[i].ty);
                    continue;
                }
            }
            row[i] = store(i, v, ty)?;
        }
        if let Some(i) = needs_number {
            let n = self.take_auto_increment(table, 1);
            done.generated.get_or_insert(n);
            let v = if table.columns[i].ty.kind.is_unsigned() { Value::UInt(n) } else { Value::Int(i64::try_from(n).unwrap_or(i64::MAX)) };
            row[i] = match store(i, v, &table.columns[i].ty) {
                // All numbers are used: the last one is tried again, which most often is a duplicate (1062).
                Err(Fault::OutOfRange { .. }) => match table.columns[i].ty.kind.integer_range() {
                    Some((_, most)) if table.columns[i].ty.kind.is_unsigned() => Value::UInt(most as u64),
                    Some((_, most)) => Value::Int(most as i64),
                    None => return Err(Fault::mysql(1467, "HY000", "Failed to read auto-increment value from storage engine")),
                },
                other => other?,
            };
        }
        for (i, e) in reading {
            let v = eval(e, row.as_slice(), ctx)?;
            row[i] = store(i, v, e.ty())?;
        }
        generated(table, &mut row, &bound.rules, number, ctx)?;
        check(&row, &bound.rules, ctx)?;
        Ok(row)
    }

    /// What an insert that was tried leads to.
    #[allow(clippy::too_many_arguments)]
    async fn resolve(
        &self,
        bound: &BoundInsert,
        site: &Site<'_>,
        bytes: &[u8],
        number: u64,
        further: &[Value],
        found_rows: bool,
        mut outcome: RowDone,
        done: &mut Inserted,
        work: Work<'_>,
    ) -> Result<(), Fault> {
        let schema = site.schema();
        let row = || schema.values(schema.version(), bytes);
        let mut affected = 1;
        loop {
            match outcome {
                RowDone::Done => {
                    done.affected += affected;
                    return Ok(());
                }
                // Whoever was in its way has gone.
                RowDone::Gone => (),
                RowDone::Duplicate(d) => match &bound.on_duplicate {
                    // The row is there as it is to be: nothing is replaced. MySQL sees this only where no further key could be in the way.
                    BoundOnDuplicate::Replace if is_last_unique(schema, d.index) && schema.values(d.version, &d.bytes) == row() => {
                        lock(site, &d.row, work).await?;
                        done.affected += affected;
                        return Ok(());
                    }
                    BoundOnDuplicate::Replace => {
                        let _ = site.delete(&d.row, work).await?;
                        affected += 1;
                        done.duplicates += 1;
                    }
                    BoundOnDuplicate::Error => {
                        let fault = duplicate(schema, d.index, &row());
                        if !bound.ignore {
                            return Err(fault);
                        }
                        work.statement.warn(WarningLevel::Warning, fault);
                        done.duplicates += 1;
                        return Ok(());
                    }
                    BoundOnDuplicate::Update { assignments, rules } => {
                        let (old, row) = (schema.values(d.version, &d.bytes), row());
                        let ctx = work.context();
                        let mut new = old.clone();
                        for (ordinal, a) in assignments {
                            let i = *ordinal as usize;
                            let c = &bound.table.columns[i];
                            let e = match a {
                                Assigned::Expr(e) | Assigned::Fill(Fill::Default(e)) => e,
                                Assigned::Fill(_) => {
                                    new[i] = store::zero(&c.ty);
                                    continue;
                                }
                            };
                            let v = eval(e, &Pair { old: &new, new: &row, further }, &ctx)?;
                            new[i] = store::store(v, e.ty(), Column { column: &c.name, ty: &c.ty, row: number }, &ctx)?;
                        }
                        complete(&bound.table, &old, &mut new, rules, number, &ctx)?;
                        done.duplicates += 1;
                        if new == old {
                            lock(site, &d.row, work).await?;
                            done.affected += found_rows as u64;
                            return Ok(());
                        }
                        let changed = encode(schema, &new)?;
                        match site.update(&d.row, &changed, work).await? {
                            RowDone::Done => {
                                self.note_auto_increment(&bound.table, &new);
                                done.affected += 2;
                                return Ok(());
                            }
                            RowDone::Duplicate(other) => return Err(duplicate(schema, other.index, &new)),
                            // It went away: the insert is tried again.
                            RowDone::Gone => (),
                        }
                    }
                },
            }
            outcome = site.insert(bytes, work).await?;
        }
    }
}

fn is_last_unique(schema: &TableSchema, index: IndexId) -> bool {
    schema.def().indexes.iter().rfind(|i| i.unique).is_some_and(|i| i.id == index)
}

/// What the statement gives of one row.
enum Source<'a> {
    Exprs(&'a [Given]),
    Values(Row, &'a [SqlType]),
    Copied(Row, &'a [CopiedColumn]),
}

impl<'a> Source<'a> {
    fn is_default(&self, position: usize) -> bool {
        matches!(self, Source::Exprs(given) if matches!(given[position], Given::Default))
    }
    /// Call it once for a position.
    fn take(&mut self, position: usize) -> GivenValue<'a> {
        let taken = |row: &mut Row| std::mem::replace(&mut row[position], Value::Null);
        match self {
            Source::Exprs(given) => match &given[position] {
                Given::Expr(e) => GivenValue::Expr(e),
                Given::Default => GivenValue::Default,
            },
            Source::Values(row, types) => GivenValue::Value(taken(row), &types[position]),
            Source::Copied(row, columns) => match &columns[position].ty {
                Some(ty) => GivenValue::Value(taken(row), ty),
                None => GivenValue::Stored(taken(row)),
            },
        }
    }
}

enum GivenValue<'a> {
    Expr(&'a weald_expr::Expr),
    Value(Value, &'a SqlType),
    /// As the column stores it.
    Stored(Value),
    Default,
}

fn generated(table: &TableDef, row: &mut [Value], rules: &RowRules, number: u64, ctx: &EvalContext<'_>) -> Result<(), Fault> {
    for (ordinal, e) in &rules.generated {
        let v = eval(e, &*row, ctx)?;
        let c = &table.columns[*ordinal as usize];
        row[*ordinal as usize] = store::store(v, e.ty(), Column { column: &c.name, ty: &c.ty, row: number }, ctx)?;
    }
    Ok(())
}
