//! Rows out of a log or a snapshot, when a node starts.
//!
//! Owns:     nothing.
//! Promises: after [`Table::restored`] the table is as if every change had been made to it alive; whatever was given twice counts once.
//! Never:    serves readers before that: they would miss entries.
//!
//! While rows come in no entries of secondary indexes are made. In the end every index is made whole, in the order of its keys (`entries.rs`).

use crate::entries::Entries;
use crate::heap::{NewStamp, Pin, Stamp};
use crate::index::IndexStore;
use crate::key::Key;
use crate::table::{RowChange, Table};
use std::ops::Bound;
use weald_types::Timestamp;

/// What a change does to a row that has a version of the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Nothing: it is the same change.
    Skips,
    /// It takes its place: one transaction may have changed the row several times.
    Replaces,
}

impl Table {
    /// The table takes rows from [`Table::restore`] only, until [`Table::restored`].
    pub fn begin_restore(&self) {
        self.writer().restoring = true;
    }

    /// A committed change out of a log or a snapshot. Does nothing if the row's version is newer, or, as `again` says, as new: so replaying twice is
    /// replaying once.
    /// `watermark`: up to where nobody reads any more; [`Timestamp::MAX`] where there are no readers.
    pub fn restore(&self, change: RowChange<'_>, at: Timestamp, again: Again, watermark: Timestamp) {
        let pin = Pin::new();
        let mut w = self.writer();
        let shape = self.shape();
        let slot = self.rows.get(change.key.bytes(), &pin);
        match slot.and_then(|slot| slot.head()) {
            Some(newest) => {
                if let Stamp::At(ts) = newest.stamp()
                    && (ts > at || ts == at && again == Again::Skips)
                {
                    return;
                }
            }
            None if change.bytes.is_none() => return,
            None => (),
        }
        let applied = self.apply(&mut w, &shape, &pin, change, slot, NewStamp::At(at), watermark);
        self.count_rows(applied.delta as i64);
        w.edition.count(at);
        if applied.leaves_garbage && at > watermark {
            w.garbage.push_back((at, change.key.clone()));
        }
    }
    /// All rows are there: makes the secondary indexes.
    pub fn restored(&self) {
        let pin = Pin::new();
        let mut w = self.writer();
        if !std::mem::take(&mut w.restoring) {
            return;
        }
        let shape = self.shape();
        for (index, store) in shape.secondary() {
            let (mut entries, mut key) = (Entries::default(), Vec::new());
            for (primary, slot) in self.rows.forward(Bound::Unbounded, Bound::Unbounded, &pin) {
                for v in slot.versions().filter(|v| !v.is_tombstone()) {
                    if let IndexStore::Hash(_) = store {
                        key.clear();
                        index.encode(&shape.schema, v.schema(), v.bytes(), &mut key);
                        self.memory.add(store.insert(&mut key, &Key::new(primary), slot.ptr(), &mut w.yard));
                        continue;
                    }
                    let append = |out: &mut Vec<u8>| {
                        index.encode(&shape.schema, v.schema(), v.bytes(), out);
                    };
                    entries.push(append, primary, slot.ptr());
                }
            }
            self.memory.add(entries.enter(store, &mut w.yard, &pin));
            w.yard.release(&pin);
        }
    }
}
