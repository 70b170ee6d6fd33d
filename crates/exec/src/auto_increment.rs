//! AUTO_INCREMENT: the next number of each table.
//!
//! Owns:     a counter for each table that has been asked for one.
//! Promises: a number is given once, and lies above every number stored, explicit ones included; after a restart it goes on above what is stored.
//! Never:    goes back when a transaction does: numbers may have gaps, as in MySQL.

use crate::engine::Engine;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use weald_catalog::TableDef;
use weald_types::TableId;

#[derive(Debug, Default)]
pub struct Counters(Mutex<HashMap<TableId, Arc<AtomicU64>>>);

impl Engine {
    fn counter(&self, table: &TableDef) -> Arc<AtomicU64> {
        let mut all = self.counters.0.lock();
        let new = || Arc::new(AtomicU64::new(table.auto_increment_start.max(1).max(self.beyond_stored(table))));
        all.entry(table.id).or_insert_with(new).clone()
    }

    /// The first number above all that the table's partitions hold.
    fn beyond_stored(&self, table: &TableDef) -> u64 {
        let partitions = self.partitions_of(table).unwrap_or_default();
        let seen = partitions.iter().filter_map(|p| p.current_table(table.id)).map(|t| t.auto_increment_seen()).max();
        seen.unwrap_or(0).saturating_add(1)
    }

    /// Takes `n` numbers in a row; gives the first.
    pub fn take_auto_increment(&self, table: &TableDef, n: u64) -> u64 {
        self.counter(table).fetch_add(n, Ordering::Relaxed)
    }

    /// An explicit value was stored.
    pub fn raise_auto_increment(&self, table: &TableDef, stored: u64) {
        self.counter(table).fetch_max(stored.saturating_add(1), Ordering::Relaxed);
    }

    /// AGGREGATOR SYNC AUTO_INCREMENT. Numbers that were taken and are not stored yet stay taken.
    pub fn sync_auto_increment(&self, table: &TableDef) {
        let beyond = self.beyond_stored(table);
        self.counter(table).fetch_max(beyond, Ordering::Relaxed);
    }

    /// What the next row would get: SHOW CREATE TABLE, information_schema.
    pub fn next_auto_increment(&self, table: &TableDef) -> u64 {
        self.counter(table).load(Ordering::Relaxed)
    }

    /// ALTER TABLE … AUTO_INCREMENT = n, TRUNCATE: never below what is stored.
    pub fn reset_auto_increment(&self, table: &TableDef) {
        self.counters.0.lock().remove(&table.id);
    }
}
