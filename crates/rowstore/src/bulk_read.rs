//! Many rows at a time, for readers that want columns of them.
//!
//! Owns:     nothing; the rows it gives live as long as the caller's pin.
//! Promises: the same rows as [`Table::scan_batch`], in the same order.
//! Never:    waits: says whose end to wait for.
//!
//! From an index entry to a row's bytes lead two pointers, each a cache miss in a table larger than the cache. Followed one row after the other they are
//! most of a scan's time; so the misses of [`GROUP`] rows are under way together: first all slots are asked for, then all versions, then they are looked at.

use crate::heap::{Pin, SlotRef};
use crate::key::Key;
use crate::range::{Cursor, Direction};
use crate::read::{Bounds, Step, StoredRow, View, Visible, stored, visible};
use crate::table::Table;

/// Rows whose memory is fetched together. More than the processor has fetches in flight (10 to 20), few enough to stay in the nearest cache.
const GROUP: usize = 32;

/// While it exists, rows given under it stay as they are. Not to be held over an `.await`, and not for long: it keeps all garbage of the process.
pub struct Reading(pub(crate) Pin);

impl Reading {
    pub fn new() -> Self {
        Self(Pin::new())
    }
}

impl Default for Reading {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// Appends the next visible rows of a cursor over all rows, about `most` of them.
    pub fn scan_rows_into<'p>(
        &'p self,
        cursor: &mut Cursor,
        view: View<'_>,
        most: usize,
        reading: &'p Reading,
        rows: &mut Vec<StoredRow<'p>>,
    ) -> Step {
        debug_assert!(cursor.index.is_none() && cursor.direction == Direction::Forward, "a cursor made by Cursor::rows");
        if cursor.done {
            return Step::Done;
        }
        let pin = &reading.0;
        let passed = cursor.passed.clone();
        let Bounds { low, high } = Bounds::of(cursor, passed.as_ref());
        let mut entries = self.rows.forward(low, high, pin);
        let mut last: Option<&[u8]> = None;
        let end = rows.len() + most.max(1);
        let mut group: Vec<(&'p [u8], SlotRef<'p>)> = Vec::with_capacity(GROUP);
        let step = 'scan: loop {
            group.clear();
            group.extend(entries.by_ref().take(GROUP));
            let at_end = group.len() < GROUP;
            group.iter().for_each(|(_, slot)| slot.prefetch());
            group.iter().for_each(|(_, slot)| slot.prefetch_version());
            for (key, slot) in &group {
                match visible(*slot, view) {
                    Visible::Row(v) => rows.push(stored(v, key)),
                    Visible::Nothing => (),
                    Visible::Blocked(writer) => break 'scan Step::Blocked(writer),
                }
                last = Some(key);
            }
            if at_end {
                break Step::Done;
            }
            if rows.len() >= end {
                break Step::More;
            }
        };
        if let Some(key) = last {
            cursor.passed = Some(Key::new(key));
        }
        cursor.done = matches!(step, Step::Done);
        step
    }
}
