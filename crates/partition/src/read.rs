//! Reads that wait where they must.
//!
//! Owns:     a snapshot's lease.
//! Promises: the sync path is the whole path unless a writer is about to commit below the snapshot.
//! Never:    holds anything of the table while it waits.

use crate::Table;
use std::ops::ControlFlow;
use std::sync::Arc;
use weald_rowstore::{Cursor, Read, RowHandle, Step, StoredRow, View};
use weald_txn::{Lease, Txn};
use weald_types::{IndexId, Timestamp};

/// Everything committed at or before one timestamp, and one transaction's own writes. Keeps what it needs from being collected.
#[derive(Clone, Debug)]
pub struct Snapshot {
    lease: Arc<Lease>,
    own: Option<Arc<Txn>>,
}
impl Snapshot {
    pub(crate) fn new(lease: impl Into<Arc<Lease>>, own: Option<Arc<Txn>>) -> Self {
        Self { lease: lease.into(), own }
    }
    pub fn at(&self) -> Timestamp {
        self.lease.at()
    }
    /// For the calls on [`Table`].
    pub fn view(&self) -> View<'_> {
        View { at: self.lease.at(), own: self.own.as_deref() }
    }
}

/// [`Table::get`], waiting where it must.
pub async fn get<R>(table: &Table, index: IndexId, key: &[u8], snapshot: &Snapshot, mut f: impl FnMut(StoredRow<'_>) -> R) -> Option<R> {
    loop {
        match table.get(index, key, snapshot.view(), &mut f) {
            Read::Ready(found) => return found,
            Read::Blocked(writer) => writer.ended().await,
        }
    }
}

/// [`Table::read_row`], waiting where it must.
pub async fn read_row<R>(table: &Table, row: &RowHandle, snapshot: &Snapshot, mut f: impl FnMut(StoredRow<'_>) -> R) -> Option<R> {
    loop {
        match table.read_row(row, snapshot.view(), &mut f) {
            Read::Ready(found) => return found,
            Read::Blocked(writer) => writer.ended().await,
        }
    }
}

/// Entries between two looks at whether somebody else wants the thread.
const SCAN_BUDGET: usize = 4096;

/// Gives every row of the cursor's range until the callback breaks off; lets other tasks run between batches.
pub async fn scan(table: &Table, cursor: &mut Cursor, snapshot: &Snapshot, f: &mut (dyn FnMut(StoredRow<'_>) -> ControlFlow<()> + Send)) {
    let mut broken_off = false;
    loop {
        let step = table.scan_batch(cursor, snapshot.view(), SCAN_BUDGET, &mut |row| {
            let flow = f(row);
            broken_off = flow.is_break();
            flow
        });
        match step {
            Step::Done => return,
            Step::More if broken_off => return,
            Step::More => tokio::task::yield_now().await,
            Step::Blocked(writer) => writer.ended().await,
        }
    }
}
