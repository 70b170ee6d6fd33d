//! Reading a table at a snapshot.
//!
//! Owns:     nothing; borrows rows for the length of a call.
//! Promises: takes no lock; each row visible at the snapshot is given once, with the bytes it had then.
//! Never:    waits: says whose end to wait for.

use crate::key::{Key, RowHandle};
use crate::range::Cursor;
use crate::table::Table;
use std::ops::ControlFlow;
use std::sync::Arc;
use weald_txn::Txn;
use weald_types::{IndexId, SchemaVersion, Timestamp};

/// Who reads, and at which time.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub at: Timestamp,
    /// The reader's own transaction, whose writes it sees.
    pub own: Option<&'a Txn>,
}

/// What came of a read.
#[derive(Debug)]
pub enum Read<T> {
    Ready(T),
    /// A writer is about to commit at or below the snapshot: read again once it has ended.
    Blocked(Arc<Txn>),
}

/// Where a scan stands after a batch.
#[derive(Debug)]
pub enum Step {
    Done,
    /// The budget is used up, or the callback broke off.
    More,
    /// As [`Read::Blocked`]; everything before it was given.
    Blocked(Arc<Txn>),
}

/// A row, for as long as it is being looked at.
#[derive(Clone, Copy, Debug)]
pub struct StoredRow<'a> {
    pub bytes: &'a [u8],
    /// The schema version it is stored in.
    pub version: SchemaVersion,
    pub(crate) key: RowKey<'a>,
}
#[derive(Clone, Copy, Debug)]
pub(crate) enum RowKey<'a> {
    Whole(&'a Key),
    /// What is left of a secondary entry after the index's own key.
    Bytes(&'a [u8]),
}
impl StoredRow<'_> {
    pub fn handle(&self) -> RowHandle {
        match self.key {
            RowKey::Whole(key) => RowHandle(key.clone()),
            RowKey::Bytes(bytes) => RowHandle::new(bytes),
        }
    }
}

impl Table {
    /// The row with this key: all parts of a unique index's key.
    pub fn get<R>(&self, index: IndexId, key: &[u8], view: View<'_>, f: impl FnOnce(StoredRow<'_>) -> R) -> Read<Option<R>> {
        let _ = (index, key, view, f);
        Read::Ready(None)
    }
    /// The row that a handle names, as `view` sees it.
    pub fn read_row<R>(&self, row: &RowHandle, view: View<'_>, f: impl FnOnce(StoredRow<'_>) -> R) -> Read<Option<R>> {
        let _ = (row, view, f);
        Read::Ready(None)
    }
    /// Gives the next rows of a scan, at most about `budget` entries' worth of work. After `Break` the scan stands behind the row just given.
    pub fn scan_batch(&self, cursor: &mut Cursor, view: View<'_>, budget: usize, f: &mut dyn FnMut(StoredRow<'_>) -> ControlFlow<()>) -> Step {
        let _ = (cursor, view, budget, f);
        Step::Done
    }
}
