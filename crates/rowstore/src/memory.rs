//! What tables take in memory.
//!
//! Owns:     counters.
//! Promises: what is added is taken away again when the thing counted is retired; an empty table counts zero.
//! Never:    frees anything.
//!
//! Versions are counted at their allocation's size; entries of ordered indexes at [`ordered_entry_bytes`].

use crate::tree::ENTRY_BYTES;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use weald_types::memory::NodeMemory;

/// An entry of an ordered index, with its share of what holds the tree together.
pub(crate) fn ordered_entry_bytes(key: &[u8]) -> usize {
    ENTRY_BYTES + key.len()
}
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
