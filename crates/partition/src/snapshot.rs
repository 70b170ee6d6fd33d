//! A partition's committed state as a stream of items, and back.
//!
//! Owns:     nothing.
//! Promises: the items are one timestamp's state; writers go on meanwhile. Items, then the log after the lsn that was noted before the timestamp was taken,
//!           make the partition again: a record that is in both is applied once, since rows carry the snapshot's timestamp.
//! Never:    writes a file.
//! See:      docs/format/commit-record.md
//!
//! Which lsn. Let the items be the state at `r`, filed under `l`; recovery takes the items, then the records after `l`.
//!
//! - *Nothing is missing*: every record up to `l` has a timestamp at or below `r`. `l` is how far the log was **durable** before `r` was taken, and a
//!   record's timestamp is taken before it is appended. (Not how far it was appended: a record that a full disk refuses gives its number to a later one,
//!   which the items would not have.)
//!   The parts of a transaction that has not ended hold `l` back: see `large.rs`.
//! - *Nothing comes twice or halfway*: every commit that the items show is in the log for good before the snapshot counts, so that all of it is replayed, in
//!   all partitions. With SYNC durability a commit is durable before anyone sees it. With ASYNC it is not, so the writer waits for the log at the end.
//!   Records after `l` and at or below `r` find rows stamped `r`, and are passed over; where the items have no row, the records that made it and the one
//!   that deleted it are both replayed.

use crate::record::{self, Form, Head, Op, RecordError};
use crate::{Cursor, KeyRange, Partition, read};
use std::ops::ControlFlow;
use std::sync::Arc;
use weald_rowstore::{Again, Key, RowChange};
use weald_types::{Fault, Lsn, TableId, Timestamp, TxnId};

/// An item is rows in a commit record's form, or a table's counters.
const ROWS: u8 = 0;
const COUNTERS: u8 = 1;
/// Bytes of rows in one item, about.
const ITEM_BYTES: usize = 64 << 10;

/// The lsn after which the log is needed, if the items are written after this call.
pub fn note(partition: &Partition) -> Lsn {
    partition.open_parts().note(|| partition.node().log.durable(partition.id()))
}

/// Gives every item to `sink`, and how many rows there were. When it returns, every commit that the items show is durable.
pub async fn write<E: From<Fault>>(partition: &Arc<Partition>, mut sink: impl FnMut(&[u8]) -> Result<(), E> + Send) -> Result<u64, E> {
    let node = partition.node();
    let snapshot = node.snapshot();
    let head = Head { txn: TxnId::new(0), at: snapshot.at(), epoch: partition.epoch() };
    let mut rows = 0;
    for table in partition.tables() {
        let mut counters = vec![COUNTERS];
        counters.extend_from_slice(&table.id().raw().to_le_bytes());
        counters.extend_from_slice(&table.auto_increment_seen().to_le_bytes());
        counters.extend_from_slice(&table.last_row_id().to_le_bytes());
        sink(&counters)?;
        let mut cursor = Cursor::rows(KeyRange::all());
        while !cursor.is_done() {
            let mut item = vec![ROWS];
            record::begin(&mut item, head, &Form::Whole);
            let empty = item.len();
            read::scan(&table, &mut cursor, &snapshot, &mut |row| {
                rows += 1;
                record::push(&mut item, Op { table: table.id(), schema: row.version, key: row.handle_bytes(), bytes: Some(row.bytes) });
                if item.len() >= ITEM_BYTES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .await?;
            if item.len() > empty {
                sink(&item)?;
            }
        }
    }
    node.log.flushed().await?;
    Ok(rows)
}

/// Takes one item in. Tables that are no more are passed over. Gives the rows' time.
pub fn restore(partition: &Partition, item: &[u8]) -> Result<Timestamp, RecordError> {
    let (kind, rest) = item.split_first().ok_or(RecordError::Damaged)?;
    match *kind {
        ROWS => {
            let (head, _, mut ops) = record::read(rest)?;
            while let Some(op) = ops.next_op()? {
                let Some(table) = partition.current_table(op.table) else { continue };
                let key = Key::new(op.key);
                table.restore(RowChange { key: &key, schema: op.schema, bytes: op.bytes }, head.at, Again::Skips, Timestamp::MAX);
            }
            Ok(head.at)
        }
        COUNTERS => {
            let number = |at: usize| rest.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes).ok_or(RecordError::Damaged);
            let id = rest.get(..4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes).ok_or(RecordError::Damaged)?;
            if let Some(table) = partition.current_table(TableId::new(id)) {
                table.raise_auto_increment_seen(number(4)?);
                table.raise_last_row_id(number(12)?);
            }
            Ok(Timestamp::ZERO)
        }
        _ => Err(RecordError::Damaged),
    }
}
