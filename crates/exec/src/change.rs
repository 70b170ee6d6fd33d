//! UPDATE and DELETE: of what a fragment finds in place, and of rows that a query found.
//!
//! Owns:     nothing; writes into the work's transaction.
//! Promises: a row is changed by the values it had at the snapshot, or the statement ends with a conflict; rules of the table hold for every row written.
//! Never:    ends the transaction.

use crate::engine::{Engine, Places, Work};
use crate::find;
use crate::fragment_read::number;
use crate::meter::Meter;
use crate::rows::{BoxStream, Row, row_bytes};
use crate::site::{RowDone, Site};
use crate::stored::Fields;
use crate::turns::{PIECE_ROWS, Turns};
use crate::way::{Route, Way};
use futures::future::{BoxFuture, join_all};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use weald_catalog::TableDef;
use weald_expr::carried::{self, Reach};
use weald_expr::sort::sort_key;
use weald_expr::store::{self, Target as Column};
use weald_expr::{EvalContext, Expr, InFlight, eval, is_true};
use weald_partition::{RowHandle, Table, TableSchema};
use weald_plan::dml::{ChangeTarget, RowRules};
use weald_plan::fragment::{Action, Fragment, FragmentPlan};
use weald_plan::key_values::Keys;
use weald_plan::query::{Locking, SortKey};
use weald_types::{Fault, SchemaVersion, Value, WarningLevel};

/// What a change did: rows that it found, and rows that are different now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    pub matched: u64,
    pub changed: u64,
}

/// A row found, before it is changed.
pub(crate) struct Found {
    /// The position of its partition among the table's.
    pub at: usize,
    pub handle: RowHandle,
    pub version: SchemaVersion,
    pub bytes: Vec<u8>,
    pub key: Vec<u8>,
}

impl Engine {
    /// UPDATE or DELETE of one table in place.
    pub async fn change(&self, plan: &FragmentPlan, work: Work<'_>) -> Result<Changed, Fault> {
        let ctx = work.context();
        let places = self.places(&plan.fragment.table)?;
        match self.route(plan, &places, &ctx)? {
            Route::Here(way) => self.change_here(&way, &places, 1, work).await,
            Route::Elsewhere(targets) => Box::pin(self.change_elsewhere(plan, &places, &targets, work)).await,
        }
    }

    /// In partitions that are here.
    pub(crate) async fn change_here(&self, way: &Way<'_>, places: &Places<'_>, first_row: u64, work: Work<'_>) -> Result<Changed, Fault> {
        let f = &*way.fragment;
        let (_, limit) = order_of(f, &work.context())?;
        let found = self.find_here(way, places, limit, work).await?;
        self.change_found(f, places, found, first_row, work).await
    }

    /// The rows to be changed, in order where there is one; at most so many.
    pub(crate) async fn find_here(&self, way: &Way<'_>, places: &Places<'_>, most: Option<u64>, work: Work<'_>) -> Result<Vec<Found>, Fault> {
        let f = &*way.fragment;
        let (sort, _) = order_of(f, &work.context())?;
        let mut found = Vec::new();
        for at in &way.targets {
            let at = *at;
            let stop_at = if sort.is_empty() { most.map(|l| l as usize) } else { None };
            if stop_at.is_some_and(|n| found.len() >= n) {
                break;
            }
            collect(at, &places.open(at)?.1, f, way.keys(at), sort, stop_at, work, &mut found).await?;
        }
        Ok(first_of(found, sort, most))
    }

    async fn change_found(&self, f: &Fragment, places: &Places<'_>, found: Vec<Found>, first_row: u64, work: Work<'_>) -> Result<Changed, Fault> {
        let ctx = work.context();
        let mut done = Changed::default();
        let turns = Turns::default();
        for (n, row) in found.into_iter().enumerate() {
            work.transaction.log_ahead().await?;
            if n % PIECE_ROWS == PIECE_ROWS - 1 {
                turns.piece(work.statement).await?;
            }
            let site = places.site(self, row.at)?;
            match &f.action {
                Action::Delete { .. } => done.changed += delete(&site, &row.handle, work).await? as u64,
                Action::Update { assignments, rules, ignore, .. } => {
                    let old = site.values(row.version, &row.bytes);
                    done.matched += 1;
                    let number = first_row + n as u64;
                    let Some(new) = unless_ignored(assign(&f.table, &old, assignments, rules, number, &ctx), *ignore, &ctx)? else { continue };
                    done.changed += self.update_row(&site, &row.handle, &old, new, *ignore, work).await? as u64;
                }
                Action::Read { .. } | Action::Insert { .. } => (),
            }
        }
        if matches!(f.action, Action::Delete { .. }) {
            done.matched = done.changed;
        }
        Ok(done)
    }

    /// In partitions some of which are on other nodes. What each leaf can do by itself it does; where the first rows of all are to be found, or an
    /// expression means something on this node only, the rows are found there and changed from here.
    async fn change_elsewhere(&self, plan: &FragmentPlan, places: &Places<'_>, targets: &[usize], work: Work<'_>) -> Result<Changed, Fault> {
        let f = &plan.fragment;
        let ctx = work.context();
        let (sort, limit) = order_of(f, &ctx)?;
        let everywhere = f.reach() == Reach::Anywhere;
        if everywhere && (limit.is_none() || targets.len() <= 1) {
            let mut parts: Vec<BoxFuture<'_, Result<Changed, Fault>>> = Vec::new();
            for (node, targets) in places.by_node(targets) {
                parts.push(match node {
                    Some(node) => Box::pin(self.leaves.change(self, node, plan, targets.iter().map(|at| places.ordinal(*at)).collect(), work)),
                    None => Box::pin(async move {
                        let way = self.way(&plan.fragment, &plan.others, None, places, targets, &work.context())?;
                        self.change_here(&way, places, 1, work).await
                    }),
                });
            }
            let mut all = Changed::default();
            for done in join_all(parts).await {
                let done = done?;
                all.matched += done.matched;
                all.changed += done.changed;
            }
            return Ok(all);
        }
        if f.filter.as_ref().is_some_and(|e| carried::reach(e) != Reach::Anywhere) || sort.iter().any(|k| carried::reach(&k.expr) != Reach::Anywhere)
        {
            return Err(Fault::not_supported("UPDATE or DELETE over several nodes with a condition or order that only this node can evaluate"));
        }
        let mut parts: Vec<BoxFuture<'_, Result<Vec<Found>, Fault>>> = Vec::new();
        for (node, targets) in places.by_node(targets) {
            parts.push(match node {
                Some(node) => {
                    Box::pin(self.leaves.find(self, node, plan, places, targets.iter().map(|at| places.ordinal(*at)).collect(), limit, work))
                }
                None => Box::pin(async move {
                    let way = self.way(&plan.fragment, &plan.others, None, places, targets, &work.context())?;
                    self.find_here(&way, places, limit, work).await
                }),
            });
        }
        let mut found = Vec::new();
        for part in join_all(parts).await {
            found.extend(part?);
        }
        self.change_found(f, places, first_of(found, sort, limit), 1, work).await
    }

    /// Writes a changed row; true if it is different now.
    async fn update_row(
        &self,
        site: &Site<'_>,
        handle: &RowHandle,
        old: &[Value],
        new: Vec<Value>,
        ignore: bool,
        work: Work<'_>,
    ) -> Result<bool, Fault> {
        if old == new.as_slice() {
            lock(site, handle, work).await?;
            return Ok(false);
        }
        let schema = site.schema();
        self.note_auto_increment(schema.def(), &new);
        let bytes = encode(schema, &new)?;
        match site.update(handle, &bytes, work).await? {
            RowDone::Done => Ok(true),
            RowDone::Duplicate(d) => {
                let fault = duplicate(schema, d.index, &new);
                if !ignore {
                    return Err(fault);
                }
                work.statement.warn(WarningLevel::Warning, fault);
                Ok(false)
            }
            RowDone::Gone => Err(Fault::WriteConflict),
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
        let places = targets.iter().map(|t| self.places(&t.table)).collect::<Result<Vec<_>, _>>()?;
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
                let site = places[i].site(self, at)?;
                if t.values.is_empty() {
                    let gone = delete(&site, &handle, work).await? as u64;
                    done.changed += gone;
                    done.matched += gone;
                    continue;
                }
                let Some(Some((version, bytes))) = site.fetch(std::slice::from_ref(&handle), work).await?.pop() else { continue };
                let old = site.values(version, &bytes);
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
                let to = self.partition_of_row(&t.table, &new, places[i].len());
                if t.moves && to != at && !matches!(t.table.sharding, weald_catalog::Sharding::RowId) {
                    // The row belongs elsewhere now: into one partition, out of another, in one transaction. In this order, as a key that is taken there
                    // must leave the row where it is.
                    if insert_moved(&places[i].site(self, to)?, &new, ignore, work).await? {
                        if !delete(&site, &handle, work).await? {
                            return Err(Fault::WriteConflict);
                        }
                        done.changed += 1;
                    }
                } else {
                    done.changed += self.update_row(&site, &handle, &old, new, ignore, work).await? as u64;
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
async fn insert_moved(site: &Site<'_>, row: &[Value], ignore: bool, work: Work<'_>) -> Result<bool, Fault> {
    let schema = site.schema();
    let bytes = encode(schema, row)?;
    match site.insert(&bytes, work).await? {
        RowDone::Done => Ok(true),
        RowDone::Duplicate(d) if ignore => {
            work.statement.warn(WarningLevel::Warning, duplicate(schema, d.index, row));
            Ok(false)
        }
        RowDone::Duplicate(d) => Err(duplicate(schema, d.index, row)),
        RowDone::Gone => Err(Fault::WriteConflict),
    }
}

/// The order and limit of a change.
fn order_of<'f>(f: &'f Fragment, ctx: &EvalContext<'_>) -> Result<(&'f [SortKey], Option<u64>), Fault> {
    match &f.action {
        Action::Update { sort, limit, .. } | Action::Delete { sort, limit } => Ok((sort, number(limit, ctx)?)),
        Action::Read { .. } | Action::Insert { .. } => Err(Fault::Internal { incident: "a change that is none".into() }),
    }
}

fn first_of(mut found: Vec<Found>, sort: &[SortKey], most: Option<u64>) -> Vec<Found> {
    if !sort.is_empty() {
        found.sort_by(|a, b| a.key.cmp(&b.key));
    }
    found.truncate(most.map_or(usize::MAX, |l| l as usize));
    found
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
pub(crate) async fn delete(site: &Site<'_>, handle: &RowHandle, work: Work<'_>) -> Result<bool, Fault> {
    match site.delete(handle, work).await? {
        RowDone::Done => Ok(true),
        RowDone::Gone => Ok(false),
        RowDone::Duplicate(_) => Err(Fault::WriteConflict),
    }
}

/// A row that a change leaves as it is belongs to the transaction all the same.
pub(crate) async fn lock(site: &Site<'_>, handle: &RowHandle, work: Work<'_>) -> Result<(), Fault> {
    let locking = Locking { exclusive: true, no_wait: false, skip_locked: false };
    if site.lock(handle, locking, work).await? { Ok(()) } else { Err(Fault::WriteConflict) }
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
