//! A partition and its tables.
//!
//! Owns:     the tables.
//! Promises: a change names the definition it was planned for; a stale one is refused ([`Fault::SchemaChanged`]).
//! Never:    logs definitions: the catalogue is the metadata's, and recovery is told what tables there are.

use crate::context::NodeContext;
use crate::large::{OpenParts, Promise, Unfinished};
use crate::record::{self, Form, Ops, RecordError};
use crate::{Outcome, Transaction};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use weald_catalog::TableRef;
use weald_rowstore::{Again, FillPosition, FillStep, Key, LockMode, OpenTable, RowChange, RowHandle, Table};
use weald_txn::Txn;
use weald_types::{Epoch, Fault, IndexId, PartitionId, SchemaVersion, TableId, Timestamp};

pub struct Partition {
    id: PartitionId,
    epoch: Epoch,
    node: Arc<NodeContext>,
    /// Whether what is committed here goes to the log.
    logged: bool,
    tables: RwLock<HashMap<TableId, Arc<OpenTable>, foldhash::fast::RandomState>>,
    open_parts: Arc<OpenParts>,
}

/// How far the filling of an index has come.
pub enum Filling {
    Done,
    More,
    /// Whether a key is taken depends on how this transaction ends.
    Blocked(Arc<Txn>),
}

/// Rows of an index that are entered in one go.
const FILL_BATCH: usize = 1000;

impl Partition {
    pub fn new(id: PartitionId, epoch: Epoch, node: Arc<NodeContext>) -> Arc<Self> {
        Arc::new(Self { id, epoch, node, logged: true, tables: RwLock::default(), open_parts: Arc::default() })
    }
    /// For tables that no restart needs to find.
    pub fn unlogged(id: PartitionId, node: Arc<NodeContext>) -> Arc<Self> {
        Arc::new(Self { id, epoch: Epoch::FIRST, node, logged: false, tables: RwLock::default(), open_parts: Arc::default() })
    }
    pub fn is_logged(&self) -> bool {
        self.logged
    }
    pub fn id(&self) -> PartitionId {
        self.id
    }
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
    pub fn node(&self) -> &Arc<NodeContext> {
        &self.node
    }
    pub(crate) fn open_parts(&self) -> &Arc<OpenParts> {
        &self.open_parts
    }
    /// The table, if its definition is the one the caller's plan was made for; [`Fault::SchemaChanged`] otherwise.
    pub fn table(&self, id: TableId, version: SchemaVersion) -> Result<Arc<OpenTable>, Fault> {
        let tables = self.tables.read();
        tables.get(&id).filter(|t| t.schema().version() == version).cloned().ok_or(Fault::SchemaChanged)
    }
    /// The table, whatever its version.
    pub fn current_table(&self, id: TableId) -> Option<Arc<Table>> {
        self.tables.read().get(&id).map(|t| t.table().clone())
    }
    pub fn tables(&self) -> Vec<Arc<Table>> {
        self.tables.read().values().map(|t| t.table().clone()).collect()
    }

    /// A new, empty table; nothing if it is there.
    pub fn create_table(&self, def: TableRef) {
        let new = || Arc::new(OpenTable::new(Table::new(def.clone(), self.node.memory.clone())));
        self.tables.write().entry(def.id).or_insert_with(new);
    }
    /// A new version of a table's definition: see [`Table::change_definition`].
    pub fn change_table(&self, def: TableRef) {
        if let Some(t) = self.current_table(def.id)
            && t.schema().version() != def.version
        {
            t.change_definition(def.clone());
            self.tables.write().insert(def.id, Arc::new(OpenTable::new(t)));
        }
    }
    /// Forgets the table. Whoever reads it goes on; every change of it is refused. That no transaction still has changes in it is the caller's to see to,
    /// with a [`crate::Gate`].
    pub fn drop_table(&self, id: TableId) {
        if let Some(t) = self.tables.write().remove(&id) {
            t.retire();
        }
    }
    /// Enters the next rows of an index that is not ready yet: call it until it is done. 1062 if the index is unique and the rows are not.
    pub fn fill_index(&self, table: TableId, index: IndexId, position: &mut FillPosition) -> Result<Filling, Fault> {
        let Some(table) = self.current_table(table) else { return Err(Fault::SchemaChanged) };
        match table.fill_index(index, position, FILL_BATCH) {
            FillStep::Done => Ok(Filling::Done),
            FillStep::More => Ok(Filling::More),
            FillStep::Blocked(txn) => Ok(Filling::Blocked(txn)),
            FillStep::Fault(fault) => Err(fault),
            FillStep::Duplicate(d) => {
                let schema = table.schema();
                let def = schema.def();
                let Some(i) = def.indexes.iter().find(|i| i.id == d.index) else { return Err(Fault::SchemaChanged) };
                let values: Vec<String> = i.parts.iter().map(|p| shown(&schema.value(d.version, &d.bytes, p.column as usize))).collect();
                Err(Fault::DuplicateKey { entry: values.join("-"), key: format!("{}.{}", def.name, i.name) })
            }
        }
    }

    // ------------------------------------------------------------------ changes; see `change.rs` for what comes of them

    pub fn insert(&self, by: &Transaction, table: &Arc<OpenTable>, row: &[u8]) -> Result<Outcome, Fault> {
        let version = table.schema().version();
        by.change(self, table, |set, number| set.insert(number, table.table(), version, row))
    }
    /// Rows of a loading statement, until one is refused: how many were inserted, and what came of the next. [`Transaction::make_entries`] makes it whole.
    pub fn load<'r>(
        &self,
        by: &Transaction,
        table: &Arc<OpenTable>,
        rows: impl ExactSizeIterator<Item = &'r [u8]>,
    ) -> (usize, Result<Outcome, Fault>) {
        by.load(self, table, rows)
    }
    pub fn update(&self, by: &Transaction, table: &Arc<OpenTable>, row: &RowHandle, new: &[u8]) -> Result<Outcome, Fault> {
        let version = table.schema().version();
        by.change(self, table, |set, number| set.update(number, table.table(), row, version, new))
    }
    pub fn delete(&self, by: &Transaction, table: &Arc<OpenTable>, row: &RowHandle) -> Result<Outcome, Fault> {
        by.change(self, table, |set, number| set.delete(number, table.table(), row))
    }
    /// Holds the row until the transaction ends, without changing it.
    pub fn lock(&self, by: &Transaction, table: &Arc<OpenTable>, row: &RowHandle, mode: LockMode) -> Result<Outcome, Fault> {
        by.change(self, table, |set, _| set.lock(table.table(), row, mode))
    }

    // ------------------------------------------------------------------ recovery

    /// The tables take what [`Partition::replay`] and `snapshot::restore` give them, and nothing else, until [`Partition::restored`].
    pub fn begin_restore(&self) {
        self.tables().iter().for_each(|t| t.begin_restore());
    }
    /// The partition is whole: its tables can be read.
    pub fn restored(&self) {
        self.tables().iter().for_each(|t| t.restored());
    }

    /// Applies a record out of the log, through the same [`Table`] function as live changes. Rows of tables that are no more are passed over. Gives the time
    /// of its commit; `None` for a part, which is kept until its end comes by.
    pub fn replay(&self, bytes: &[u8], unfinished: &mut Unfinished) -> Result<Option<Timestamp>, RecordError> {
        let (head, form, ops) = record::read(bytes)?;
        match form {
            Form::Part { number } => {
                unfinished.part(head.txn, number, bytes, None)?;
                return Ok(None);
            }
            Form::Prepared { number, ref participants } => {
                let promise = Promise { at: head.at, participants: participants.clone() };
                unfinished.part(head.txn, number, bytes, Some(promise))?;
                return Ok(Some(head.at));
            }
            Form::Aborted => {
                unfinished.aborted(head.txn);
                return Ok(None);
            }
            Form::Whole => (),
            Form::End { parts } => {
                for part in unfinished.end(head.txn, head.at, parts)? {
                    let (_, _, ops) = record::read(&part)?;
                    self.restore_all(ops, head.at, Again::Replaces)?;
                }
            }
        }
        // A row may have come in a part already.
        self.restore_all(ops, head.at, if form == Form::Whole { Again::Skips } else { Again::Replaces })?;
        Ok(Some(head.at))
    }
    fn restore_all(&self, mut ops: Ops<'_>, at: Timestamp, again: Again) -> Result<(), RecordError> {
        // Most rows are of the table that the one before is of.
        let mut table: Option<Arc<Table>> = None;
        while let Some(op) = ops.next_op()? {
            if table.as_ref().is_none_or(|t| t.id() != op.table) {
                table = self.current_table(op.table);
            }
            let Some(table) = &table else { continue };
            let key = Key::new(op.key);
            table.restore(RowChange { key: &key, schema: op.schema, bytes: op.bytes }, at, again, Timestamp::MAX);
        }
        Ok(())
    }

    /// Removes what no reader can see any more; a bounded amount of work. `horizon`: nobody on other nodes reads before it, nor will.
    pub fn collect_garbage(&self, horizon: Timestamp, most: usize) -> usize {
        let watermark = self.node.snapshots.advance(horizon);
        self.tables().iter().map(|t| t.collect(watermark, most)).sum()
    }

    pub fn memory_bytes(&self) -> u64 {
        self.tables().iter().map(|t| t.memory().bytes()).sum()
    }
}

fn shown(v: &weald_types::Value) -> String {
    use weald_types::Value;
    match v {
        Value::Null => "NULL".into(),
        Value::Int(n) => n.to_string(),
        Value::UInt(n) => n.to_string(),
        Value::Double(d) => d.to_string(),
        Value::Decimal(d) => d.to_string(),
        Value::Str(s) => s.to_string(),
        Value::Bytes(b) => String::from_utf8_lossy(b).into_owned(),
        Value::Date(d) => d.to_string(),
        Value::Time(t) => t.display(0).to_string(),
        Value::DateTime(d) => d.display(0).to_string(),
        Value::Json(j) => j.to_string(),
    }
}
