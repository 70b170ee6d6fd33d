//! One partition.
//!
//! Owns:     its tables.
//! Promises: see the crate.
//! Never:    see the crate.

use crate::change::{LockMode, Outcome};
use crate::context::NodeContext;
use crate::transaction::Transaction;
use crate::{RowHandle, Table};
use std::sync::Arc;
use std::time::Duration;
use weald_catalog::TableRef;
use weald_types::{Epoch, Fault, IndexId, PartitionId, SchemaVersion, TableId};

pub struct Partition {
    id: PartitionId,
    epoch: Epoch,
    node: Arc<NodeContext>,
}

impl Partition {
    pub fn new(id: PartitionId, epoch: Epoch, node: Arc<NodeContext>) -> Arc<Self> {
        Arc::new(Self { id, epoch, node })
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
        let _ = (id, version);
        Err(Fault::SchemaChanged)
    }
    /// Whatever its definition is.
    pub fn current_table(&self, id: TableId) -> Option<Arc<Table>> {
        let _ = id;
        None
    }
    pub fn tables(&self) -> Vec<Arc<Table>> {
        Vec::new()
    }

    // Definitions. Each is logged.

    pub async fn create_table(&self, def: TableRef) -> Result<(), Fault> {
        let _ = def;
        Ok(())
    }
    /// A new version of the definition: columns added or dropped, indexes added (not ready: fill them next), made ready, or dropped.
    pub async fn change_table(&self, def: TableRef) -> Result<(), Fault> {
        let _ = def;
        Ok(())
    }
    /// Waits until no open transaction has written in the table, for `timeout` at most.
    pub async fn drop_table(&self, id: TableId, timeout: Duration) -> Result<(), Fault> {
        let _ = (id, timeout);
        Ok(())
    }
    /// As [`Partition::drop_table`], then the table is there again, empty.
    pub async fn truncate_table(&self, id: TableId, timeout: Duration) -> Result<(), Fault> {
        let _ = (id, timeout);
        Ok(())
    }
    /// Enters every row into an index that is not ready. [`Fault::DuplicateKey`] if a unique one cannot be made.
    pub async fn fill_index(&self, table: TableId, index: IndexId) -> Result<(), Fault> {
        let _ = (table, index);
        Ok(())
    }

    // Changes. `row` is in the layout of the table's current version.

    pub fn insert(&self, by: &Transaction, table: &Arc<Table>, row: &[u8]) -> Result<Outcome, Fault> {
        let _ = (by, table, row);
        Ok(Outcome::Done)
    }
    /// The new row may have another primary key.
    pub fn update(&self, by: &Transaction, table: &Arc<Table>, row: &RowHandle, new: &[u8]) -> Result<Outcome, Fault> {
        let _ = (by, table, row, new);
        Ok(Outcome::Done)
    }
    pub fn delete(&self, by: &Transaction, table: &Arc<Table>, row: &RowHandle) -> Result<Outcome, Fault> {
        let _ = (by, table, row);
        Ok(Outcome::Done)
    }
    /// NOWAIT and SKIP LOCKED are the caller's answer to [`Outcome::Wait`].
    pub fn lock(&self, by: &Transaction, table: &Arc<Table>, row: &RowHandle, mode: LockMode) -> Result<Outcome, Fault> {
        let _ = (by, table, row, mode);
        Ok(Outcome::Done)
    }
}
