//! Entries of secondary indexes that are made later than their rows, in the order of their keys.
//!
//! Owns:     the entries to be.
//! Promises: what was pushed is entered, once, in the order of the keys.
//! Never:    holds a row: whoever pushed one sees to it that it is there until it is entered.
//!
//! An entry lands somewhere in its index, and most of the time that it takes is spent on waiting for that memory. Many together, in order, come to the same
//! node one after the other. So it is done where many rows come at once and nobody looks for them yet: at a start (`restore.rs`), and in a statement that
//! loads many rows, whose entries are made before anything else happens to the table or the transaction commits ([`Table::writer`]).

use crate::heap::{Graveyard, Pin, SlotPtr};
use crate::index::IndexStore;
use crate::schema::IndexSchema;
use crate::table::{Shape, Table, Writer};
use weald_types::IndexId;

/// Rows whose entries may be missing at a time: some milliseconds' work for whoever makes them.
const MOST_LATE: usize = 1 << 15;

#[derive(Default)]
pub(crate) struct Entries {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// Where in the buffer an entry's bytes are, the first sixteen of them being kept at hand: mostly they say what the order is.
struct Entry {
    head: [u64; 2],
    start: usize,
    end: usize,
    slot: SlotPtr,
}

impl Entries {
    /// `append` appends the index's key, behind which comes the row's.
    pub(crate) fn push(&mut self, append: impl FnOnce(&mut Vec<u8>), primary: &[u8], slot: SlotPtr) {
        let start = self.bytes.len();
        append(&mut self.bytes);
        self.bytes.extend_from_slice(primary);
        let bytes = &self.bytes[start..];
        let mut head = [0; 16];
        let length = bytes.len().min(16);
        head[..length].copy_from_slice(&bytes[..length]);
        let head = u128::from_be_bytes(head);
        let head = [(head >> 64) as u64, head as u64];
        self.entries.push(Entry { head, start, end: self.bytes.len(), slot });
    }

    /// Enters them, and gives what they take.
    pub(crate) fn enter(&mut self, store: &IndexStore, yard: &mut Graveyard, pin: &Pin) -> usize {
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|a, b| a.head.cmp(&b.head).then_with(|| bytes[a.start..a.end].cmp(&bytes[b.start..b.end])));
        let mut taken = 0;
        for e in self.entries.drain(..) {
            taken += store.insert_entry(&bytes[e.start..e.end], e.slot, yard);
            yard.release_many(pin);
        }
        self.bytes.clear();
        taken
    }
}

/// Of the rows that a loading statement brought, by index.
#[derive(Default)]
pub(crate) struct Late {
    /// Whoever holds the mutex is one.
    pub(crate) loading: bool,
    rows: usize,
    indexes: Vec<(IndexId, Entries)>,
}

impl Late {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }
    /// The entry of a new row in one index. A unique one has to have it at once, since the next row is asked whether it is the same.
    pub(crate) fn takes(&self, index: &IndexSchema, store: &IndexStore) -> bool {
        self.loading && !index.unique && matches!(store, IndexStore::Ordered(_))
    }
    pub(crate) fn push(&mut self, index: IndexId, append: impl FnOnce(&mut Vec<u8>), primary: &[u8], slot: SlotPtr) {
        let at = self.indexes.iter().position(|(id, _)| *id == index).unwrap_or_else(|| {
            self.indexes.push((index, Entries::default()));
            self.indexes.len() - 1
        });
        self.indexes[at].1.push(append, primary, slot);
        self.rows += 1;
    }
}

impl Table {
    /// Makes the entries that are missing.
    pub(crate) fn make_late_entries(&self, w: &mut Writer, shape: &Shape, pin: &Pin) {
        w.late.rows = 0;
        for (index, entries) in &mut w.late.indexes {
            // The definition changes with every entry made, so the index is there.
            if let Some(at) = shape.position(*index) {
                self.memory.add(entries.enter(&shape.stores[at], &mut w.yard, pin));
            }
        }
    }
    /// The same, once there are many.
    pub(crate) fn make_late_entries_of_many(&self, w: &mut Writer, shape: &Shape, pin: &Pin) {
        if w.late.rows >= MOST_LATE {
            self.make_late_entries(w, shape, pin);
        }
    }
}
