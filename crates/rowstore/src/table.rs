//! One table in one partition.
//!
//! Owns:     its rows and indexes.
//! Promises: see the crate.
//! Never:    waits.

use crate::memory::{MemoryLimit, TableMemory};
use crate::range::KeyRange;
use crate::schema::TableSchema;
use parking_lot::RwLock;
use std::sync::Arc;
use weald_catalog::TableRef;

#[derive(Debug)]
pub struct Table {
    schema: RwLock<Arc<TableSchema>>,
    memory: TableMemory,
}

impl Table {
    pub fn new(def: TableRef, memory: Arc<MemoryLimit>) -> Arc<Self> {
        Arc::new(Self { schema: RwLock::new(Arc::new(TableSchema::new(def))), memory: TableMemory::new(memory) })
    }
    /// The definition now. Take it once a statement.
    pub fn schema(&self) -> Arc<TableSchema> {
        self.schema.read().clone()
    }
    pub fn memory(&self) -> &TableMemory {
        &self.memory
    }
    /// Committed rows, about.
    pub fn row_count(&self) -> u64 {
        0
    }
    /// The greatest value ever stored in the AUTO_INCREMENT column; 0 for none.
    pub fn auto_increment_seen(&self) -> u64 {
        0
    }
    /// Up to `parts` ranges of about equal size, in order, that together are all rows: for [`crate::Cursor::rows`].
    pub fn split(&self, parts: usize) -> Vec<KeyRange> {
        let _ = parts;
        vec![KeyRange::all()]
    }
}
