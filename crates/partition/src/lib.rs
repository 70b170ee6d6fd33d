//! One partition: its tables, its transactions, its place in the log, its snapshot and recovery.
//!
//! Owns:     tables in memory; the transactions of its node that write here.
//! Promises: live writes and recovery change tables through one function ([`weald_rowstore::Table::apply`]); what is acknowledged is in the log.
//! Never:    opens a file, plans, evaluates an expression, knows where other partitions are.
//!
//! How to use it, for `exec`:
//!
//! ```text
//! let node = NodeContext::new(env, log, memory_limit);   // one per node: clock, snapshots, waits-for graph
//! let snapshot = node.snapshot();                        // autocommit read; or transaction.snapshot()
//! let table = partition.table(id, def.version)?;         // SchemaChanged if the plan is stale
//! table.get(IndexId::new(0), key, snapshot.view(), |row| …) // sync; Read::Blocked(writer) → writer.ended().await, again; or partition::get(…).await
//! let mut cursor = Cursor::index(id, range, Direction::Forward);
//! table.scan_batch(&mut cursor, snapshot.view(), 4096, &mut |row| …)
//!
//! let t = Transaction::begin(&node, txn_id, isolation);
//! let mark = t.mark();                                   // for the statement
//! match partition.insert(&t, &table, &row)? { Outcome::Done => …, Outcome::Wait(w) => w.wait(lock_wait_timeout, stop).await.1?, … }
//! t.log_ahead().await?;                                  // now and then, where a statement may change much
//! t.rollback_to(mark);                                   // the statement failed
//! t.commit(Durability::Sync).await?;                     // dropped without it: rolled back
//! ```

pub mod change;
pub mod commit_log;
pub mod context;
pub mod gate;
pub mod large;
pub mod partition;
pub mod read;
pub mod record;
pub mod snapshot;
pub mod transaction;

pub use change::{Duplicate, LockWait, Outcome};
pub use commit_log::{CommitLog, LogTicket, MemoryLog, NotAppended};
pub use context::{LockWaits, NodeContext};
pub use gate::Gate;
pub use large::{Decision, InDoubt, Promise, Unfinished};
pub use partition::{Filling, Partition};
pub use read::{Snapshot, get, read_row, scan, scan_changes};
pub use transaction::{Durability, Mark, Remembered, Transaction};
/// What executors hold of a table is the table under the definition they were planned for.
pub use weald_rowstore::OpenTable as Table;
pub use weald_rowstore::{
    Cursor, Direction, Edition, FillPosition, KeyRange, LockMode, NodeMemory, Read, Reading, RowHandle, Step, StoredRow, TableSchema,
};
