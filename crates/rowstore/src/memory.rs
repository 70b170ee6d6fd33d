//! What tables take in memory, and the limit on it.
//!
//! Owns:     counters.
//! Promises: what is added is taken away again when the thing counted is retired; an empty table counts zero.
//! Never:    frees anything.
//!
//! Versions are counted at their allocation's size. An entry of an ordered index is counted at [`ORDERED_ENTRY_BYTES`], a B+tree's entry at its usual fill.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use weald_types::Fault;

/// Key, slot pointer, and their share of a leaf that is three quarters full.
pub const ORDERED_ENTRY_BYTES: usize = 34;
/// Key, postings, hash table metadata at its usual fill.
pub const HASH_ENTRY_BYTES: usize = 64;

/// `maximum_table_memory` of one node: all tables of all its partitions count against it.
#[derive(Debug)]
pub struct MemoryLimit {
    used: AtomicI64,
    limit: AtomicU64,
}
impl MemoryLimit {
    pub fn new(limit_bytes: u64) -> Arc<Self> {
        Arc::new(Self { used: AtomicI64::new(0), limit: AtomicU64::new(limit_bytes) })
    }
    pub fn unlimited() -> Arc<Self> {
        Self::new(u64::MAX)
    }
    pub fn used_bytes(&self) -> u64 {
        self.used.load(Relaxed).max(0) as u64
    }
    pub fn limit_bytes(&self) -> u64 {
        self.limit.load(Relaxed)
    }
    pub fn set_limit_bytes(&self, limit: u64) {
        self.limit.store(limit, Relaxed);
    }
    /// Whether one more row may come in. Deletes do not ask: at the limit they are the way out.
    pub fn admit(&self) -> Result<(), Fault> {
        if self.used_bytes() >= self.limit_bytes() { Err(Fault::TableMemoryFull) } else { Ok(()) }
    }
}

/// What one table in one partition takes.
#[derive(Debug)]
pub struct TableMemory {
    bytes: AtomicI64,
    node: Arc<MemoryLimit>,
}
impl TableMemory {
    pub fn new(node: Arc<MemoryLimit>) -> Self {
        Self { bytes: AtomicI64::new(0), node }
    }
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed).max(0) as u64
    }
    pub fn node(&self) -> &Arc<MemoryLimit> {
        &self.node
    }
    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as i64, Relaxed);
        self.node.used.fetch_add(bytes as i64, Relaxed);
    }
    pub(crate) fn remove(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes as i64, Relaxed);
        self.node.used.fetch_sub(bytes as i64, Relaxed);
    }
}
impl Drop for TableMemory {
    /// A table that is dropped whole takes its count with it.
    fn drop(&mut self) {
        self.node.used.fetch_sub(*self.bytes.get_mut(), Relaxed);
    }
}
