//! ALTER TABLE by copy: rows of a table into another definition of it, and after them what changed meanwhile.
//!
//! Owns:     the small transactions that the rows are written in.
//! Promises: after [`Engine::copy_rows`] at a snapshot, and [`Engine::carry_over`] from there to a later one, the new table holds the old one's rows as of the
//!           later snapshot, each once. What it wrote is durable.
//! Never:    keeps writers out, or swaps the tables: `aggregator::session` does, around it.
//!
//! A row that changed is followed by its new primary key, which [`BoundCopy::can_be_followed`] says can be told from the old row: what became of the row as it
//! was at the earlier snapshot is taken out, what it is at the later one is put in. All of the first before any of the second, so that keys which rows have
//! exchanged are free when they are wanted again. Nobody sees what is between: the new table has no name yet.

use crate::change::{delete, duplicate};
use crate::engine::{Engine, Work};
use crate::insert::{InsertRows, Inserted};
use crate::remote::RemoteRows;
use crate::rows::Row;
use crate::site::Home;
use crate::stored::Fields;
use crate::transaction::Transaction;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use weald_expr::{EvalContext, StatementContext, eval, store};
use weald_partition::{Cursor, Durability, KeyRange, RowHandle, Snapshot, StoredRow, TableSchema};
use weald_plan::dml::BoundCopy;
use weald_txn::Isolation;
use weald_types::key::encode_part;
use weald_types::{Fault, Value};

/// Rows of one transaction.
const BATCH: usize = 500;

impl Engine {
    /// All rows visible at the snapshot; gives how many. The new table must be empty.
    pub async fn copy_rows(self: &Arc<Self>, copy: &BoundCopy, snapshot: &Snapshot, statement: &Arc<StatementContext>) -> Result<u64, Fault> {
        let mut copied = 0;
        let schema = self.schema_of(&copy.from);
        let places = self.places(&copy.from)?;
        for (at, home) in places.homes().iter().enumerate() {
            if let Home::There(node) = home {
                let mut rows = RemoteRows::new(self, *node, &copy.from, places.ordinal(at), None);
                loop {
                    let mut batch = Batch::new(copy, &schema, statement);
                    let mut take = |_: &TableSchema, rows: &[StoredRow<'_>]| {
                        // A piece is a batch: however full it is, all of it is taken.
                        rows.iter().for_each(|row| _ = batch.take(*row));
                        Ok(())
                    };
                    if rows.next(snapshot, statement, &mut take).await? == 0 {
                        break;
                    }
                    copied += self.write_batch(copy, batch.rows()?, copied + 1, statement).await?;
                }
                continue;
            }
            let (_, table) = places.open(at)?;
            let mut cursor = Cursor::rows(KeyRange::all());
            while !cursor.is_done() {
                let mut batch = Batch::new(copy, table.schema(), statement);
                weald_partition::scan(&table, &mut cursor, snapshot, &mut |row| batch.take(row)).await?;
                copied += self.write_batch(copy, batch.rows()?, copied + 1, statement).await?;
            }
        }
        Ok(copied)
    }

    /// What changed between two snapshots; gives how many rows did.
    pub async fn carry_over(
        self: &Arc<Self>,
        copy: &BoundCopy,
        since: &Snapshot,
        until: &Snapshot,
        statement: &Arc<StatementContext>,
    ) -> Result<u64, Fault> {
        let mut changed = 0;
        for (_, table) in self.tables(&copy.from)? {
            let mut cursor = Cursor::rows(KeyRange::all());
            while !cursor.is_done() {
                let mut gone = Batch::new(copy, table.schema(), statement);
                weald_partition::scan_changes(&table, &mut cursor, since, until, &mut |before, after| {
                    changed += 1;
                    let _ = after;
                    before.map_or(ControlFlow::Continue(()), |row| gone.take(row))
                })
                .await;
                self.remove_batch(copy, gone.rows()?, statement).await?;
            }
        }
        for (_, table) in self.tables(&copy.from)? {
            let mut cursor = Cursor::rows(KeyRange::all());
            while !cursor.is_done() {
                let mut new = Batch::new(copy, table.schema(), statement);
                weald_partition::scan_changes(&table, &mut cursor, since, until, &mut |_, after| {
                    after.map_or(ControlFlow::Continue(()), |row| new.take(row))
                })
                .await;
                self.write_batch(copy, new.rows()?, 1, statement).await?;
            }
        }
        Ok(changed)
    }

    async fn write_batch(self: &Arc<Self>, copy: &BoundCopy, rows: Vec<Row>, first: u64, statement: &Arc<StatementContext>) -> Result<u64, Fault> {
        statement.check_interrupted()?;
        if rows.is_empty() {
            return Ok(0);
        }
        let transaction = self.begin(Isolation::ReadCommitted);
        let snapshot = transaction.snapshot();
        let work = work(statement, &transaction, &snapshot);
        let done: Inserted = self.insert(&copy.into, InsertRows::Copied { rows, columns: &copy.given }, false, first, work).await?;
        drop(snapshot);
        transaction.commit(Durability::Sync).await?;
        Ok(done.records)
    }

    /// Takes out what rows of the old table had become.
    async fn remove_batch(self: &Arc<Self>, copy: &BoundCopy, rows: Vec<Row>, statement: &Arc<StatementContext>) -> Result<(), Fault> {
        statement.check_interrupted()?;
        if rows.is_empty() {
            return Ok(());
        }
        let new = &copy.into.table;
        let places = self.places(new)?;
        let transaction = self.begin(Isolation::ReadCommitted);
        let snapshot = transaction.snapshot();
        let work = work(statement, &transaction, &snapshot);
        let ctx = work.context();
        let primary = new.primary().ok_or(Fault::SchemaChanged)?;
        for row in rows {
            let mut converted = vec![Value::Null; new.columns.len()];
            for part in &primary.parts {
                let column = &new.columns[part.column as usize];
                let Some(at) = copy.given.iter().position(|g| g.to == part.column) else { return Err(Fault::SchemaChanged) };
                let target = store::Target { column: &column.name, ty: &column.ty, row: 1 };
                converted[part.column as usize] = match &copy.given[at].ty {
                    None => row[at].clone(),
                    Some(ty) => store::store(row[at].clone(), ty, target, &ctx)?,
                };
            }
            let mut key = Vec::with_capacity(32);
            for part in &primary.parts {
                let ty = &new.columns[part.column as usize].ty;
                encode_part(&converted[part.column as usize], ty, part.descending, part.prefix, &mut key);
            }
            let site = places.site(self, self.partition_of_row(new, &converted, places.len()))?;
            if !delete(&site, &RowHandle::new(&key), work).await? {
                let what = duplicate(site.schema(), primary.id, &converted);
                return Err(Fault::Internal { incident: format!("a copied row is not there: {what}") });
            }
        }
        drop(snapshot);
        transaction.commit(Durability::Sync).await.map(|_| ())
    }
}

fn work<'a>(statement: &'a Arc<StatementContext>, transaction: &'a Transaction, snapshot: &'a Snapshot) -> Work<'a> {
    // Nobody else writes to the new table, so nobody is waited for.
    Work { statement, params: &[], transaction, snapshot, lock_wait: Duration::ZERO }
}

/// Values of old rows, for the columns that are copied.
struct Batch<'a> {
    copy: &'a BoundCopy,
    schema: Arc<TableSchema>,
    statement: &'a Arc<StatementContext>,
    rows: Vec<Row>,
    fault: Option<Fault>,
}

impl<'a> Batch<'a> {
    fn new(copy: &'a BoundCopy, schema: &Arc<TableSchema>, statement: &'a Arc<StatementContext>) -> Self {
        Self { copy, schema: schema.clone(), statement, rows: Vec::new(), fault: None }
    }
    fn take(&mut self, row: StoredRow<'_>) -> ControlFlow<()> {
        let fields = Fields { schema: &self.schema, version: row.version, bytes: row.bytes };
        let ctx = EvalContext { statement: self.statement, params: &[], subqueries: &[] };
        match self.copy.given.iter().map(|g| eval(&g.value, &fields, &ctx)).collect() {
            Ok(values) => self.rows.push(values),
            Err(f) => self.fault = Some(f),
        }
        if self.fault.is_some() || self.rows.len() >= BATCH { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
    fn rows(self) -> Result<Vec<Row>, Fault> {
        match self.fault {
            Some(f) => Err(f),
            None => Ok(self.rows),
        }
    }
}
