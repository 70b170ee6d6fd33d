//! One table's columns at one edition.
//!
//! Owns:     the arrays, by segment and column; how much they take, and when each was used last.
//! Promises: all arrays of a segment have its rows, in the order of their keys.
//! Never:    reads a row, or knows a snapshot.

use arrow::array::{Array, ArrayRef};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use weald_partition::{Edition, KeyRange, Table};
use weald_types::{Collation, PartitionId, TableId};

/// Which column of the table, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ColumnKey {
    pub ordinal: u16,
    /// The weights of a text under this collation, by which it groups, joins and sorts, instead of the text.
    pub weight: Option<Collation>,
}

#[derive(Debug)]
pub struct Image {
    pub place: (PartitionId, TableId),
    table: Weak<Table>,
    edition: Edition,
    segments: Box<[Segment]>,
    /// What the cache counts for this image. `None` once it is no longer one of the cache's.
    counted: Mutex<Option<HashMap<ColumnKey, Counted>>>,
}

#[derive(Debug, Default)]
struct Counted {
    bytes: u64,
    used: u64,
}

/// The rows of one range of keys.
#[derive(Debug)]
pub struct Segment {
    pub range: KeyRange,
    /// Known once one column was made.
    rows: OnceLock<usize>,
    columns: Mutex<HashMap<ColumnKey, ArrayRef>>,
}

impl Segment {
    pub fn rows(&self) -> Option<usize> {
        self.rows.get().copied()
    }
    /// The rows were counted. Everyone who counts them finds the same number: else the cache would mix rows up.
    pub(crate) fn set_rows(&self, rows: usize) {
        let known = *self.rows.get_or_init(|| rows);
        assert_eq!(known, rows, "two readers of one edition see different rows");
    }
    pub fn column(&self, key: ColumnKey) -> Option<ArrayRef> {
        self.columns.lock().get(&key).cloned()
    }
}

impl Image {
    pub(crate) fn new(place: (PartitionId, TableId), table: &Arc<Table>, edition: Edition, ranges: Vec<KeyRange>) -> Self {
        let segments = ranges.into_iter().map(|range| Segment { range, rows: OnceLock::new(), columns: Mutex::default() }).collect();
        Self { place, table: Arc::downgrade(table), edition, segments, counted: Mutex::new(Some(HashMap::new())) }
    }
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
    pub(crate) fn is_of(&self, table: &Arc<Table>, edition: Edition) -> bool {
        std::ptr::eq(self.table.as_ptr(), Arc::as_ptr(table)) && self.edition == edition
    }
    /// Whether anybody could still ask for it.
    pub(crate) fn has_table(&self) -> bool {
        self.table.strong_count() > 0
    }

    /// Keeps `array` as a column of a segment; gives the bytes that it adds.
    pub(crate) fn keep(&self, segment: usize, key: ColumnKey, array: ArrayRef, now: u64) -> u64 {
        let mut counted = self.counted.lock();
        let Some(counted) = counted.as_mut() else { return 0 };
        let mut columns = self.segments[segment].columns.lock();
        if columns.contains_key(&key) {
            return 0;
        }
        let bytes = array.get_array_memory_size() as u64;
        columns.insert(key, array);
        let c = counted.entry(key).or_default();
        c.bytes += bytes;
        c.used = now;
        bytes
    }

    pub(crate) fn note_use(&self, keys: &[ColumnKey], now: u64) {
        if let Some(counted) = self.counted.lock().as_mut() {
            for key in keys {
                if let Some(c) = counted.get_mut(key) {
                    c.used = now;
                }
            }
        }
    }

    /// Columns, and when each was used last.
    pub(crate) fn uses(&self) -> Vec<(ColumnKey, u64)> {
        self.counted.lock().iter().flatten().map(|(key, c)| (*key, c.used)).collect()
    }

    /// Gives up a column; gives the bytes that were counted for it.
    pub(crate) fn forget(&self, key: ColumnKey) -> u64 {
        let mut counted = self.counted.lock();
        let gone = counted.as_mut().and_then(|c| c.remove(&key)).map_or(0, |c| c.bytes);
        for s in &self.segments {
            s.columns.lock().remove(&key);
        }
        gone
    }

    /// The cache has another image in its place, or none: nothing more is counted. Gives the bytes that were. Who reads it goes on.
    pub(crate) fn detach(&self) -> u64 {
        self.counted.lock().take().into_iter().flat_map(HashMap::into_values).map(|c| c.bytes).sum()
    }
}
