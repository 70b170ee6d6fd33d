//! A partition and its tables.
//!
//! Owns:     the tables.
//! Promises: a change names the definition it was planned for; a stale one is refused ([`Fault::SchemaChanged`]).
//! Never:    logs definitions: the catalogue is the metadata's, and recovery is told what tables there are.

use crate::context::NodeContext;
use crate::record::{self, RecordError};
use crate::{Outcome, Transaction};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use weald_catalog::TableRef;
use weald_rowstore::{FillPosition, FillStep, Key, LockMode, RowChange, RowHandle, Table};
use weald_types::{Epoch, Fault, IndexId, PartitionId, SchemaVersion, TableId, Timestamp};

pub struct Partition {
    id: PartitionId,
    epoch: Epoch,
    node: Arc<NodeContext>,
    tables: RwLock<HashMap<TableId, Arc<Table>>>,
}

/// Rows of an index that are entered in one go.
const FILL_BATCH: usize = 1000;

impl Partition {
    pub fn new(id: PartitionId, epoch: Epoch, node: Arc<NodeContext>) -> Arc<Self> {
        Arc::new(Self { id, epoch, node, tables: RwLock::default() })
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
    /// The table, if its definition is the one the caller's plan was made for; [`Fault::SchemaChanged`] otherwise.
    pub fn table(&self, id: TableId, version: SchemaVersion) -> Result<Arc<Table>, Fault> {
        let found = self.tables.read().get(&id).cloned();
        found.filter(|t| t.schema().version() == version).ok_or(Fault::SchemaChanged)
    }
    /// The table, whatever its version.
    pub fn current_table(&self, id: TableId) -> Option<Arc<Table>> {
        self.tables.read().get(&id).cloned()
    }
    pub fn tables(&self) -> Vec<Arc<Table>> {
        self.tables.read().values().cloned().collect()
    }

    /// A new, empty table; nothing if it is there.
    pub fn create_table(&self, def: TableRef) {
        self.tables.write().entry(def.id).or_insert_with(|| Table::new(def, self.node.memory.clone()));
    }
    /// A new version of a table's definition: see [`Table::change_definition`].
    pub fn change_table(&self, def: TableRef) {
        if let Some(t) = self.current_table(def.id)
            && t.schema().version() != def.version
        {
            t.change_definition(def);
        }
    }
    /// Refuses changes from now on, waits for those under way, and forgets the table. [`Fault::LockWaitTimeout`], and it is as it was.
    pub async fn drop_table(&self, id: TableId, timeout: Duration) -> Result<(), Fault> {
        let Some(table) = self.current_table(id) else { return Ok(()) };
        table.close();
        let open = async {
            while let Some(txn) = table.open_transactions().into_iter().next() {
                txn.ended().await;
            }
        };
        if tokio::time::timeout(timeout, open).await.is_err() {
            table.reopen();
            return Err(Fault::LockWaitTimeout);
        }
        self.tables.write().remove(&id);
        Ok(())
    }
    /// Enters all rows in an index that is not ready yet; 1062 if it is unique and they are not.
    pub async fn fill_index(&self, table: TableId, index: IndexId) -> Result<(), Fault> {
        let Some(table) = self.current_table(table) else { return Err(Fault::SchemaChanged) };
        let mut position = FillPosition::default();
        loop {
            match table.fill_index(index, &mut position, FILL_BATCH) {
                FillStep::Done => return Ok(()),
                FillStep::More => tokio::task::yield_now().await,
                FillStep::Blocked(txn) => txn.ended().await,
                FillStep::Fault(fault) => return Err(fault),
                FillStep::Duplicate(d) => {
                    let schema = table.schema();
                    let def = schema.def();
                    let Some(i) = def.indexes.iter().find(|i| i.id == d.index) else { return Err(Fault::SchemaChanged) };
                    let values: Vec<String> = i.parts.iter().map(|p| shown(&schema.value(d.version, &d.bytes, p.column as usize))).collect();
                    return Err(Fault::DuplicateKey { entry: values.join("-"), key: format!("{}.{}", def.name, i.name) });
                }
            }
        }
    }

    // ------------------------------------------------------------------ changes; see `change.rs` for what comes of them

    pub fn insert(&self, by: &Transaction, table: &Arc<Table>, row: &[u8]) -> Result<Outcome, Fault> {
        let version = table.schema().version();
        by.with_set(self, |set, number| set.insert(number, table, version, row))
    }
    pub fn update(&self, by: &Transaction, table: &Arc<Table>, row: &RowHandle, new: &[u8]) -> Result<Outcome, Fault> {
        let version = table.schema().version();
        by.with_set(self, |set, number| set.update(number, table, row, version, new))
    }
    pub fn delete(&self, by: &Transaction, table: &Arc<Table>, row: &RowHandle) -> Result<Outcome, Fault> {
        by.with_set(self, |set, number| set.delete(number, table, row))
    }
    /// Holds the row until the transaction ends, without changing it.
    pub fn lock(&self, by: &Transaction, table: &Arc<Table>, row: &RowHandle, mode: LockMode) -> Result<Outcome, Fault> {
        by.with_set(self, |set, _| set.lock(table, row, mode))
    }

    // ------------------------------------------------------------------ recovery

    /// Applies a commit out of the log, through the same [`Table`] function as live changes. Rows of tables that are no more are passed over. Gives its time.
    pub fn replay(&self, bytes: &[u8]) -> Result<Timestamp, RecordError> {
        let (head, mut ops) = record::read(bytes)?;
        while let Some(op) = ops.next_op()? {
            let Some(table) = self.current_table(op.table) else { continue };
            let key = Key::new(op.key);
            table.restore(RowChange { key: &key, schema: op.schema, bytes: op.bytes }, head.at, Timestamp::MAX);
        }
        Ok(head.at)
    }

    /// Removes what no reader can see any more; a bounded amount of work.
    pub fn collect_garbage(&self, most: usize) -> usize {
        let watermark = self.node.snapshots.advance(self.node.clock.now(self.node.wall()));
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
