//! AUTO_INCREMENT: the next number of each table.
//!
//! Owns:     a counter for each table that has been asked for one.
//! Promises: a number is given once, and lies above every number stored in this aggregator's range, explicit ones included; after a restart it goes on above
//!           what is stored.
//! Never:    goes back when a transaction does: numbers may have gaps, as in MySQL.
//!
//! Aggregators give numbers out without asking each other: each has a range of its own, by its number in the cluster. The first one's begins at 1, so a
//! cluster with one aggregator counts as MySQL does.

use crate::engine::Engine;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use weald_catalog::TableDef;
use weald_expr::StatementContext;
use weald_partition::{Cursor, Direction, KeyRange, Snapshot, Table};
use weald_types::key::encode_part;
use weald_types::{Fault, TableId, Value};

#[derive(Debug, Default)]
pub struct Counters {
    tables: Mutex<HashMap<TableId, Arc<AtomicU64>>>,
    /// Tables of which it was asked what is stored.
    known: Mutex<HashSet<TableId>>,
    /// This aggregator's number, from 1; 0 where it is the only one.
    number: AtomicU16,
}

/// Ranges of a column whose type has few bits: so many aggregators count apart, and those beyond them share.
const SMALL_RANGES: u64 = 16;
/// Of one aggregator, in a column with room for it.
const RANGE_BITS: u32 = 48;

/// Numbers from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub first: u64,
    pub last: u64,
}

/// `greatest`: of the column's type. `number`: of the aggregator, from 1.
fn range_of(number: u16, greatest: u64) -> Range {
    let index = u64::from(number.saturating_sub(1));
    let (width, index) = if greatest >> RANGE_BITS >= u64::from(u16::MAX >> 1) {
        (1 << RANGE_BITS, index % (greatest >> RANGE_BITS))
    } else {
        (greatest / SMALL_RANGES, index % SMALL_RANGES)
    };
    let first = index * width;
    Range { first: first.max(1), last: (first + width).saturating_sub(1).min(greatest) }
}

impl Engine {
    /// From now on numbers are given out of this aggregator's range.
    pub fn set_auto_increment_number(&self, number: u16) {
        if self.counters.number.swap(number, Ordering::Relaxed) != number {
            self.counters.tables.lock().clear();
            self.counters.known.lock().clear();
        }
    }

    /// This node's numbers. A table that is here alone, or a node that is alone, has all of them.
    fn range(&self, table: &TableDef) -> Range {
        let column = table.columns.iter().find(|c| c.auto_increment);
        let greatest = column.and_then(|c| c.ty.kind.integer_range()).map_or(u64::MAX >> 1, |(_, most)| u64::try_from(most).unwrap_or(u64::MAX));
        match self.counters.number.load(Ordering::Relaxed) {
            0 => Range { first: 1, last: u64::MAX },
            number => range_of(number, greatest),
        }
    }

    /// Before numbers of a table are taken: the first time, it is asked what is stored in this aggregator's range, here and on other nodes.
    pub async fn know_auto_increment(&self, table: &TableDef, statement: &Arc<StatementContext>) -> Result<(), Fault> {
        let alone = self.counters.number.load(Ordering::Relaxed) == 0;
        if alone || !table.columns.iter().any(|c| c.auto_increment) || self.counters.known.lock().contains(&table.id) {
            return Ok(());
        }
        let range = self.range(table);
        let seen = self.greatest(table, range, statement).await?;
        self.counter(table).fetch_max(next(table, range, seen), Ordering::Relaxed);
        self.counters.known.lock().insert(table.id);
        Ok(())
    }

    /// The greatest number up to `upto` that partitions here have stored, about: never less than what is committed.
    pub(crate) async fn greatest_here(&self, table: &TableDef, upto: u64) -> Result<u64, Fault> {
        let mut greatest = 0;
        for partition in self.partitions_here(table)? {
            let open = partition.table(table.id, table.version)?;
            let seen = open.auto_increment_seen();
            greatest = greatest.max(if seen <= upto { seen } else { stored_upto(table, &open, upto, &self.node.snapshot()).await? });
        }
        Ok(greatest)
    }

    fn counter(&self, table: &TableDef) -> Arc<AtomicU64> {
        if let Some(known) = self.counters.tables.lock().get(&table.id) {
            return known.clone();
        }
        let range = self.range(table);
        let new = Arc::new(AtomicU64::new(next(table, range, self.seen_here(table))));
        self.counters.tables.lock().entry(table.id).or_insert(new).clone()
    }

    /// Of what partitions here have seen, where that is in this aggregator's range.
    fn seen_here(&self, table: &TableDef) -> u64 {
        let range = self.range(table);
        let here = self.partitions_here(table).unwrap_or_default();
        let seen = here.iter().filter_map(|p| p.current_table(table.id)).map(|t| t.auto_increment_seen());
        seen.filter(|seen| *seen <= range.last).max().unwrap_or(0)
    }

    /// Takes `n` numbers in a row; gives the first.
    pub fn take_auto_increment(&self, table: &TableDef, n: u64) -> u64 {
        self.counter(table).fetch_add(n, Ordering::Relaxed)
    }

    /// An explicit value was stored.
    pub fn raise_auto_increment(&self, table: &TableDef, stored: u64) {
        if stored <= self.range(table).last {
            self.counter(table).fetch_max(stored.saturating_add(1), Ordering::Relaxed);
        }
    }

    /// What the next row would get: SHOW CREATE TABLE, information_schema.
    pub fn next_auto_increment(&self, table: &TableDef) -> u64 {
        self.counter(table).load(Ordering::Relaxed)
    }

    /// ALTER TABLE … AUTO_INCREMENT = n, TRUNCATE: never below what is stored.
    pub fn reset_auto_increment(&self, table: &TableDef) {
        self.counters.tables.lock().remove(&table.id);
        self.counters.known.lock().remove(&table.id);
    }
    /// AGGREGATOR SYNC AUTO_INCREMENT: what is stored is asked for anew, here at once, on other nodes before the next number is taken. Numbers that were taken
    /// and are not stored yet stay taken.
    pub fn sync_auto_increment(&self, table: &TableDef) {
        self.counters.known.lock().remove(&table.id);
        let beyond = next(table, self.range(table), self.seen_here(table));
        self.counter(table).fetch_max(beyond, Ordering::Relaxed);
    }

    /// The greatest number that is stored in this aggregator's range, here or on other nodes.
    async fn greatest(&self, table: &TableDef, range: Range, statement: &Arc<StatementContext>) -> Result<u64, Fault> {
        let places = self.places(table)?;
        let mut seen = self.greatest_here(table, range.last).await?;
        let all: Vec<usize> = (0..places.len()).collect();
        for (node, _) in places.by_node(&all) {
            if let Some(node) = node {
                seen = seen.max(self.leaves.greatest(self, statement, node, table, range.last).await?);
            }
        }
        Ok(seen)
    }
}

/// By the index that every AUTO_INCREMENT column leads.
async fn stored_upto(table: &TableDef, open: &Table, upto: u64, snapshot: &Snapshot) -> Result<u64, Fault> {
    let Some(column) = table.columns.iter().position(|c| c.auto_increment) else { return Ok(0) };
    let leads = |i: &&weald_catalog::IndexDef| i.ready && i.parts.first().is_some_and(|p| p.column as usize == column && !p.descending);
    let Some(index) = table.indexes.iter().find(leads) else { return Ok(0) };
    let ty = &table.columns[column].ty;
    let most = if ty.kind.is_unsigned() { Value::UInt(upto) } else { Value::Int(i64::try_from(upto).unwrap_or(i64::MAX)) };
    let mut key = Vec::new();
    encode_part(&most, ty, false, None, &mut key);
    let range = KeyRange::bounds(Bound::Unbounded, Bound::Included(key));
    let mut cursor = Cursor::index(index.id, range, Direction::Backward);
    let mut found = 0;
    weald_partition::scan(open, &mut cursor, snapshot, &mut |row| {
        found = match open.schema().value(row.version, row.bytes, column) {
            Value::Int(n) => n.max(0) as u64,
            Value::UInt(n) => n,
            _ => 0,
        };
        ControlFlow::Break(())
    })
    .await?;
    Ok(found)
}

fn next(table: &TableDef, range: Range, seen: u64) -> u64 {
    range.first.max(table.auto_increment_start.max(1)).max(seen.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_do_not_meet_and_the_first_begins_at_one() {
        for greatest in [127, 255, 32_767, 8_388_607, i32::MAX as u64, u32::MAX as u64, i64::MAX as u64, u64::MAX] {
            let ranges: Vec<Range> = (1..=16).map(|n| range_of(n, greatest)).collect();
            assert_eq!(ranges[0].first, 1);
            for pair in ranges.windows(2) {
                assert!(pair[0].last < pair[1].first, "{pair:?} of {greatest}");
            }
            assert!(ranges.iter().all(|r| r.first <= r.last && r.last <= greatest), "{ranges:?}");
        }
    }
}
