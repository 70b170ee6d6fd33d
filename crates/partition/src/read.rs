//! Reads that wait where they must.
//!
//! Owns:     a snapshot's lease.
//! Promises: the sync path is the whole path unless a writer is about to commit below the snapshot.
//! Never:    holds anything of the table while it waits.

use std::ops::ControlFlow;
use std::sync::Arc;
use weald_rowstore::{Changed, Cursor, Read, RowHandle, Step, StoredRow, Table, View};
use weald_txn::{Lease, Txn};
use weald_types::{Fault, IndexId, Timestamp};

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

/// [`Table::get`], waiting where it must. [`Fault::SchemaChanged`] if the index has been dropped.
pub async fn get<R>(
    table: &Table,
    index: IndexId,
    key: &[u8],
    snapshot: &Snapshot,
    mut f: impl FnMut(StoredRow<'_>) -> R,
) -> Result<Option<R>, Fault> {
    loop {
        match table.get(index, key, snapshot.view(), &mut f) {
            Read::Ready(found) => return Ok(found),
            Read::Blocked(writer) => writer.ended().await,
            Read::IndexGone => return Err(Fault::SchemaChanged),
        }
    }
}

/// [`Table::read_row`], waiting where it must.
pub async fn read_row<R>(table: &Table, row: &RowHandle, snapshot: &Snapshot, mut f: impl FnMut(StoredRow<'_>) -> R) -> Option<R> {
    loop {
        match table.read_row(row, snapshot.view(), &mut f) {
            Read::Ready(found) => return found,
            Read::Blocked(writer) => writer.ended().await,
            // No index leads to the row: its handle does.
            Read::IndexGone => return None,
        }
    }
}

/// Entries between two looks at whether somebody else wants the thread.
const SCAN_BUDGET: usize = 4096;

/// Gives every row of the cursor's range until the callback breaks off; lets other tasks run between batches. [`Fault::SchemaChanged`] if the index has
/// been dropped meanwhile: some of the rows may not have been given.
pub async fn scan(
    table: &Table,
    cursor: &mut Cursor,
    snapshot: &Snapshot,
    f: &mut (dyn FnMut(StoredRow<'_>) -> ControlFlow<()> + Send),
) -> Result<(), Fault> {
    let mut broken_off = false;
    loop {
        let step = table.scan_batch(cursor, snapshot.view(), SCAN_BUDGET, &mut |row| {
            let flow = f(row);
            broken_off = flow.is_break();
            flow
        });
        match step {
            Step::Done => return Ok(()),
            Step::More if broken_off => return Ok(()),
            Step::More => tokio::task::yield_now().await,
            Step::Blocked(writer) => writer.ended().await,
            Step::IndexGone => return Err(Fault::SchemaChanged),
        }
    }
}

/// Gives every row that differs between two snapshots: see [`Table::scan_changes`].
pub async fn scan_changes(table: &Table, cursor: &mut Cursor, since: &Snapshot, until: &Snapshot, f: &mut Changed<'_>) {
    let mut broken_off = false;
    loop {
        let step = table.scan_changes(cursor, since.at(), until.view(), SCAN_BUDGET, &mut |before, after| {
            let flow = f(before, after);
            broken_off = flow.is_break();
            flow
        });
        match step {
            // It walks over the rows, not over an index.
            Step::Done | Step::IndexGone => return,
            Step::More if broken_off => return,
            Step::More => tokio::task::yield_now().await,
            Step::Blocked(writer) => writer.ended().await,
        }
    }
}
