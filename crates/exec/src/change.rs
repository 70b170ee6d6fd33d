//! UPDATE and DELETE: of what a fragment finds in place, and of rows that a query found.
//!
//! Owns:     nothing; writes into the work's transaction.
//! Promises: a row is changed by the values it had at the snapshot, or the statement ends with a conflict; rules of the table hold for every row written.
//! Never:    ends the transaction.

use crate::engine::{Engine, Work};
use crate::find;
use crate::fragment_read::number;
use crate::meter::Meter;
use crate::rows::{BoxStream, Row, row_bytes};
use crate::stored::Fields;
use crate::turns::{PIECE_ROWS, Turns};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use weald_catalog::TableDef;
use weald_expr::sort::sort_key;
use weald_expr::store::{self, Target as Column};
use weald_expr::{EvalContext, Expr, InFlight, eval, is_true};
use weald_partition::{LockMode, Outcome, Partition, RowHandle, Table, TableSchema};
use weald_plan::dml::{ChangeTarget, RowRules};
use weald_plan::fragment::{Action, Fragment, FragmentPlan};
use weald_plan::key_values::Keys;
use weald_plan::query::SortKey;
use weald_types::{Fault, SchemaVersion, Value, WarningLevel};

/// What a change did: rows that it found, and rows that are different now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    pub matched: u64,
    pub changed: u64,
}

/// A row found, before it is changed.
struct Found {
    at: usize,
    handle: RowHandle,
    version: SchemaVersion,
    bytes: Vec<u8>,
    key: Vec<u8>,
}

impl Engine {
    /// UPDATE or DELETE of one table in place.
    pub async fn change(&self, plan: &FragmentPlan, work: Work<'_>) -> Result<Changed, Fault> {
        let ctx = work.context();
        let f = &plan.fragment;
        let places = self.places(&f.table)?;
        let way = self.way(plan, &places, &ctx)?;
        let f = &*way.fragment;
        let (sort, limit) = match &f.action {
            Action::Update { sort, limit, .. } | Action::Delete { sort, limit } => (sort, number(limit, &ctx)?),
            _ => return Err(Fault::Internal { incident: "a change that is none".into() }),
        };
        let mut found = Vec::new();
        for at in &way.targets {
            let at = *at;
            let stop_at = if sort.is_empty() { limit.map(|l| l as usize) } else { None };
            if stop_at.is_some_and(|n| found.len() >= n) {
                break;
            }
            collect(at, &places.open(at)?.1, f, way.keys(at), sort, stop_at, work, &mut found).await?;
        }
        if !sort.is_empty() {
            found.sort_by(|a, b| a.key.cmp(&b.key));
        }
        found.truncate(limit.map_or(usize::MAX, |l| l as usize));
        let mut done = Changed::default();
        let turns = Turns::default();
        for (n, row) in found.into_iter().enumerate() {
            work.transaction.log_ahead().await?;
            if n % PIECE_ROWS == PIECE_ROWS - 1 {
                turns.piece(work.statement).await?;
            }
            let (partition, table) = places.open(row.at)?;
            let table = &table;
            let schema = table.schema();
            match &f.action {
                Action::Delete { .. } => done.changed += delete(partition, table, &row.handle, work).await? as u64,
                Action::Update { assignments, rules, ignore, .. } => {
                    let old = schema.values(row.version, &row.bytes);
                    done.matched += 1;
                    let Some(new) = unless_ignored(assign(&f.table, &old, assignments, rules, n as u64 + 1, &ctx), *ignore, &ctx)? else { continue };
                    done.changed += self.update_row(partition, table, schema, &row.handle, &old, new, *ignore, work).await? as u64;
                }
                _ => (),
            }
        }
        if matches!(f.action, Action::Delete { .. }) {
            done.matched = done.changed;
        }
        Ok(done)
    }

    /// Writes a changed row; true if it is different now.
    #[allow(clippy::too_many_arguments)]
    async fn update_row(
        &self,
        partition: &Arc<Partition>,
        table: &Arc<Table>,
        schema: &TableSchema,
        handle: &RowHandle,
        old: &[Value],
        new: Vec<Value>,
        ignore: bool,
        work: Work<'_>,
    ) -> Result<bool, Fault> {
        if old == new.as_slice() {
            lock(partition, table, handle, work).await?;
            return Ok(false);
        }
        self.note_auto_increment(schema.def(), &new);
        let bytes = encode(schema, &new)?;
        loop {
            match partition.update(work.transaction, table, handle, &bytes)? {
                Outcome::Done => return Ok(true),
                Outcome::Duplicate(d) => {
                    let fault = duplicate(schema, d.index, &new);
                    if !ignore {
                        return Err(fault);
                    }
                    work.statement.warn(WarningLevel::Warning, fault);
                    return Ok(false);
                }
                Outcome::Conflict | Outcome::Gone => return Err(Fault::WriteConflict),
                Outcome::Wait(w) => work.wait(w).await?,
            }
        }
    }

    /// Rows that a query found: each output row names rows of the targets, and gives their new values.
    pub async fn change_rows(&self, targets: &[ChangeTarget], ignore: bool, mut rows: BoxStream, work: Work<'_>) -> Result<Changed, Fault> {
        let ctx = work.context();
        // All of them before the first change: the query must not see what it causes.
        let mut all: Vec<Row> = Vec::new();
        while let Some(batch) = rows.next().await? {
            work.statement.memory.take(batch.iter().map(|r| row_bytes(r)).sum())?;
            all.extend(batch);
        }
        drop(rows);
        let tables = targets.iter().map(|t| self.tables(&t.table)).collect::<Result<Vec<_>, _>>()?;
        let mut seen: Vec<HashSet<Vec<u8>>> = vec![HashSet::new(); targets.len()];
        let mut done = Changed::default();
        let turns = Turns::default();
        for (n, row) in all.iter().enumerate() {
            if n % PIECE_ROWS == PIECE_ROWS - 1 {
                turns.piece(work.statement).await?;
            }
            for (i, t) in targets.iter().enumerate() {
                let Some(Value::Bytes(locator)) = row.get(t.locator) else { continue };
                work.transaction.log_ahead().await?;
                if !seen[i].insert(locator.to_vec()) {
                    continue;
                }
                let (at, handle) = read_locator(locator)?;
                let (partition, table) = tables[i].get(at).ok_or(Fault::SchemaChanged)?;
                let schema = table.schema();
                if t.values.is_empty() {
                    let gone = delete(partition, table, &handle, work).await? as u64;
                    done.changed += gone;
                    done.matched += gone;
                    continue;
                }
                let Some(old) = weald_partition::read_row(table, &handle, work.snapshot, |r| schema.values(r.version, r.bytes)).await else {
                    continue;
                };
                let mut new = old.clone();
                for (ordinal, position) in &t.values {
                    let c = &t.table.columns[*ordinal as usize];
                    new[*ordinal as usize] = store::store(
                        row[*position].clone(),
                        &value_form(&row[*position], c),
                        Column { column: &c.name, ty: &c.ty, row: n as u64 + 1 },
                        &ctx,
                    )?;
                }
                done.matched += 1;
                if unless_ignored(complete(&t.table, &old, &mut new, &t.rules, n as u64 + 1, &ctx), ignore, &ctx)?.is_none() {
                    continue;
                }
                let to = self.partition_of_row(&t.table, &new, tables[i].len());
                if t.moves && to != at && !matches!(t.table.sharding, weald_catalog::Sharding::RowId) {
                    // The row belongs elsewhere now: into one partition, out of another, in one transaction. In this order, as a key that is taken there
                    // must leave the row where it is.
                    let (new_partition, new_table) = &tables[i][to];
                    if insert_moved(new_partition, new_table, &new, ignore, work).await? {
                        if !delete(partition, table, &handle, work).await? {
                            return Err(Fault::WriteConflict);
                        }
                        done.changed += 1;
                    }
                } else {
                    done.changed += self.update_row(partition, table, schema, &handle, &old, new, ignore, work).await? as u64;
                }
            }
        }
        Ok(done)
    }

    /// An explicit value in an AUTO_INCREMENT column moves the counter.
    pub(crate) fn note_auto_increment(&self, table: &TableDef, row: &[Value]) {
        let Some(i) = table.columns.iter().position(|c| c.auto_increment) else { return };
        match &row[i] {
            Value::Int(n) if *n > 0 => self.raise_auto_increment(table, *n as u64),
            Value::UInt(n) if *n > 0 => self.raise_auto_increment(table, *n),
            _ => (),
        }
    }
}

/// False: its key is taken, and that is to be ignored.
async fn insert_moved(partition: &Arc<Partition>, table: &Arc<Table>, row: &[Value], ignore: bool, work: Work<'_>) -> Result<bool, Fault> {
    let schema = table.schema();
    let bytes = encode(schema, row)?;
    loop {
        match partition.insert(work.transaction, table, &bytes)? {
            Outcome::Done => return Ok(true),
            Outcome::Duplicate(d) if ignore => {
                work.statement.warn(WarningLevel::Warning, duplicate(schema, d.index, row));
                return Ok(false);
            }
            Outcome::Duplicate(d) => return Err(duplicate(schema, d.index, row)),
            Outcome::Conflict | Outcome::Gone => return Err(Fault::WriteConflict),
            Outcome::Wait(w) => work.wait(w).await?,
        }
    }
}

/// A row that a CHECK constraint refuses is left as it is by UPDATE IGNORE, with a warning.
fn unless_ignored<T>(done: Result<T, Fault>, ignore: bool, ctx: &EvalContext<'_>) -> Result<Option<T>, Fault> {
    match done {
        Err(violated @ Fault::MySql { number: 3819, .. }) if ignore => {
            ctx.statement.warn(WarningLevel::Warning, violated);
            Ok(None)
        }
        done => done.map(Some),
    }
}

#[allow(clippy::too_many_arguments)]
async fn collect(
    at: usize,
    table: &Arc<Table>,
    f: &Fragment,
    keys: &Keys,
    sort: &[SortKey],
    stop_at: Option<usize>,
    work: Work<'_>,
    found: &mut Vec<Found>,
) -> Result<(), Fault> {
    let ctx = work.context();
    let schema = table.schema();
    let mut fault = None;
    let mut meter = Meter::new(&work.statement.memory);
    if stop_at == Some(0) {
        return Ok(());
    }
    find::visit(table, schema, keys, work.snapshot, &ctx, &mut |row| {
        let fields = Fields { schema, version: row.version, bytes: row.bytes };
        let mut step = || -> Result<(), Fault> {
            if let Some(e) = &f.filter
                && !is_true(&eval(e, &fields, &ctx)?)
            {
                return Ok(());
            }
            let mut key = Vec::new();
            for k in sort {
                sort_key(&eval(&k.expr, &fields, &ctx)?, k.expr.ty(), k.descending, &mut key);
            }
            meter.keep(|| (64 + row.handle_bytes().len() + row.bytes.len() + key.len()) as u64)?;
            found.push(Found { at, handle: row.handle(), version: row.version, bytes: row.bytes.to_vec(), key });
            Ok(())
        };
        match step() {
            Err(e) => {
                fault = Some(e);
                ControlFlow::Break(())
            }
            Ok(()) if stop_at.is_some_and(|n| found.len() >= n) => ControlFlow::Break(()),
            Ok(()) => ControlFlow::Continue(()),
        }
    })
    .await?;
    match fault {
        Some(f) => Err(f),
        None => Ok(()),
    }
}

/// False: it is gone already.
pub(crate) async fn delete(partition: &Arc<Partition>, table: &Arc<Table>, handle: &RowHandle, work: Work<'_>) -> Result<bool, Fault> {
    loop {
        match partition.delete(work.transaction, table, handle)? {
            Outcome::Done => return Ok(true),
            Outcome::Gone => return Ok(false),
            Outcome::Conflict | Outcome::Duplicate(_) => return Err(Fault::WriteConflict),
            Outcome::Wait(w) => work.wait(w).await?,
        }
    }
}

/// A row that a change leaves as it is belongs to the transaction all the same.
pub(crate) async fn lock(partition: &Arc<Partition>, table: &Arc<Table>, handle: &RowHandle, work: Work<'_>) -> Result<(), Fault> {
    loop {
        match partition.lock(work.transaction, table, handle, LockMode::Exclusive)? {
            Outcome::Done => return Ok(()),
            Outcome::Conflict | Outcome::Gone | Outcome::Duplicate(_) => return Err(Fault::WriteConflict),
            Outcome::Wait(w) => work.wait(w).await?,
        }
    }
}

/// The row after its assignments, in order; later ones see earlier ones' values.
pub(crate) fn assign(
    table: &TableDef,
    old: &[Value],
    assignments: &[(u16, Expr)],
    rules: &RowRules,
    row: u64,
    ctx: &EvalContext<'_>,
) -> Result<Vec<Value>, Fault> {
    let mut new = old.to_vec();
    let mut held = InFlight::new(ctx.statement);
    for (ordinal, e) in assignments {
        let v = eval(e, new.as_slice(), ctx)?;
        held.hold(&v)?;
        let c = &table.columns[*ordinal as usize];
        new[*ordinal as usize] = store::store(v, e.ty(), Column { column: &c.name, ty: &c.ty, row }, ctx)?;
    }
    complete(table, old, &mut new, rules, row, ctx)?;
    Ok(new)
}

/// Generated columns, ON UPDATE columns and CHECK constraints of a changed row.
pub(crate) fn complete(table: &TableDef, old: &[Value], new: &mut [Value], rules: &RowRules, row: u64, ctx: &EvalContext<'_>) -> Result<(), Fault> {
    let set = |new: &mut [Value], ordinal: u16, e: &Expr| -> Result<(), Fault> {
        let v = eval(e, &*new, ctx)?;
        let c = &table.columns[ordinal as usize];
        new[ordinal as usize] = store::store(v, e.ty(), Column { column: &c.name, ty: &c.ty, row }, ctx)?;
        Ok(())
    };
    for (ordinal, e) in &rules.generated {
        set(new, *ordinal, e)?;
    }
    if old != &*new {
        for (ordinal, e) in &rules.on_update {
            set(new, *ordinal, e)?;
        }
    }
    check(new, rules, ctx)
}

/// CHECK constraints: violated where false, not where unknown.
pub(crate) fn check(row: &[Value], rules: &RowRules, ctx: &EvalContext<'_>) -> Result<(), Fault> {
    for (name, e) in &rules.checks {
        let v = eval(e, row, ctx)?;
        if !v.is_null() && !is_true(&v) {
            return Err(Fault::mysql(3819, "HY000", format!("Check constraint '{name}' is violated.")));
        }
    }
    Ok(())
}

pub(crate) fn encode(schema: &TableSchema, row: &[Value]) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::with_capacity(64);
    append(schema, row, &mut bytes)?;
    Ok(bytes)
}
pub(crate) fn append(schema: &TableSchema, row: &[Value], out: &mut Vec<u8>) -> Result<(), Fault> {
    schema.layout().encode(row, out).map_err(|e| Fault::Internal { incident: format!("row of {}: {e}", schema.def().name) })
}

/// 1062, with the key's values joined by '-'.
pub(crate) fn duplicate(schema: &TableSchema, index: weald_types::IndexId, row: &[Value]) -> Fault {
    let def = schema.def();
    let Some(i) = def.indexes.iter().find(|i| i.id == index) else { return Fault::DuplicateKey { entry: String::new(), key: def.name.to_string() } };
    let mut entry = Vec::new();
    for (n, p) in i.parts.iter().enumerate() {
        if n > 0 {
            entry.push(b'-');
        }
        let c = &def.columns[p.column as usize];
        match &row[p.column as usize] {
            Value::Null => entry.extend_from_slice(b"NULL"),
            v => {
                let mut text = Vec::new();
                weald_expr::format::write_text(&plain_member(v, &c.ty.kind), &c.ty, &mut text);
                match p.prefix {
                    Some(chars) => entry.extend(String::from_utf8_lossy(&text).chars().take(chars as usize).collect::<String>().bytes()),
                    None => entry.extend(text),
                }
            }
        }
    }
    Fault::DuplicateKey { entry: String::from_utf8_lossy(&entry).into_owned(), key: format!("{}.{}", def.name, i.name) }
}

/// A stored ENUM or SET shows as its text.
fn plain_member(v: &Value, kind: &weald_types::TypeKind) -> Value {
    match (kind, v) {
        (weald_types::TypeKind::Enum(m), Value::UInt(n)) => Value::str(weald_expr::enum_text(m, *n)),
        (weald_types::TypeKind::Set(m), Value::UInt(n)) => Value::str(weald_expr::set_text(m, *n)),
        _ => v.clone(),
    }
}

fn value_form(v: &Value, c: &weald_catalog::ColumnDef) -> weald_types::SqlType {
    match v {
        Value::Double(_) => weald_types::SqlType::double(true),
        _ => c.ty.clone(),
    }
}

/// A row's place: the partition's position, then its handle.
pub(crate) fn locator(at: usize, handle: &[u8]) -> Value {
    let mut b = Vec::with_capacity(4 + handle.len());
    b.extend_from_slice(&(at as u32).to_be_bytes());
    b.extend_from_slice(handle);
    Value::bytes(b)
}

pub(crate) fn read_locator(b: &[u8]) -> Result<(usize, RowHandle), Fault> {
    let (at, handle) = b.split_at_checked(4).ok_or(Fault::SchemaChanged)?;
    let at = u32::from_be_bytes(at.try_into().map_err(|_| Fault::SchemaChanged)?);
    Ok((at as usize, RowHandle::new(handle)))
}
