//! Taking away what nobody will read again.
//!
//! Owns:     nothing.
//! Promises: a version goes only if a newer one is at or below the watermark; a deleted row goes with its entries. What was counted for it is given back.
//! Never:    waits for readers: memory is freed behind them.
//!
//! Each committed change of an existing row puts its key into the table's queue. Writers take a few from its front as they go, so that garbage does not
//! outrun them; the leaf sweeps what is left when nobody writes.

use crate::heap::Pin;
use crate::table::{Shape, Table, Writer};
use weald_types::Timestamp;

impl Table {
    /// Collects up to `most` rows of the queue; gives how many it looked at. Fewer than `most`: there is no more to do at this watermark.
    pub fn collect(&self, watermark: Timestamp, most: usize) -> usize {
        let pin = Pin::new();
        let mut w = self.writer();
        let shape = self.shape();
        let looked_at = self.collect_some(&mut w, &shape, &pin, watermark, most);
        if looked_at < most {
            w.yard.release(&pin);
            if w.garbage.is_empty() {
                w.garbage.shrink_to(64);
            }
        }
        looked_at
    }
    pub(crate) fn collect_some(&self, w: &mut Writer, shape: &Shape, pin: &Pin, watermark: Timestamp, most: usize) -> usize {
        let mut looked_at = 0;
        while looked_at < most && w.garbage.front().is_some_and(|(ts, _)| *ts <= watermark) {
            let Some((_, key)) = w.garbage.pop_front() else { break };
            looked_at += 1;
            // The row may be gone already: it was in the queue for an earlier change, too.
            if let Some(slot) = self.rows.get(key.bytes(), pin) {
                self.prune(w, shape, &key, slot, watermark);
            }
        }
        w.yard.release_many(pin);
        looked_at
    }
    /// Rows that wait for the watermark.
    pub fn garbage_len(&self) -> usize {
        self.writer_as_it_is().garbage.len()
    }
}
