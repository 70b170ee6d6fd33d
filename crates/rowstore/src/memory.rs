//! What tables take in memory.
//!
//! Owns:     counters.
//! Promises: what is added is taken away again when the thing counted is retired; an empty table counts zero.
//! Never:    frees anything.
//!
//! Versions are counted at their allocation's size. An entry of an ordered index is counted at [`ORDERED_ENTRY_BYTES`], a B+tree's entry at its usual fill.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use weald_types::memory::NodeMemory;

/// Key, slot pointer, and their share of a leaf that is three quarters full.
pub const ORDERED_ENTRY_BYTES: usize = 34;
/// Key, postings, hash table metadata at its usual fill.
pub const HASH_ENTRY_BYTES: usize = 64;

/// What one table in one partition takes.
#[derive(Debug)]
pub struct TableMemory {
    bytes: AtomicI64,
    node: Arc<NodeMemory>,
}
impl TableMemory {
    pub fn new(node: Arc<NodeMemory>) -> Self {
        Self { bytes: AtomicI64::new(0), node }
    }
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed).max(0) as u64
    }
    pub fn node(&self) -> &Arc<NodeMemory> {
        &self.node
    }
    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as i64, Relaxed);
        self.node.add_tables(bytes as i64);
    }
    pub(crate) fn remove(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes as i64, Relaxed);
        self.node.add_tables(-(bytes as i64));
    }
}
impl Drop for TableMemory {
    /// A table that is dropped whole takes its count with it.
    fn drop(&mut self) {
        self.node.add_tables(-*self.bytes.get_mut());
    }
}
