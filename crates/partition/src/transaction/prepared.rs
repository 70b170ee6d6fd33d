//! Committing in two phases: where partitions of several nodes are in one transaction, each node promises before anyone commits.
//!
//! Owns:     nothing more than the transaction does.
//! Promises: after [`Transaction::prepare`] the transaction survives a restart and can still end both ways; it ends as its decision says, here and
//!           after any number of restarts ([`Transaction::restore`]).
//! Never:    decides: who does is the first of the participants, as its node is told by the transaction's aggregator.
//! See:      docs/design/0013-transactions-over-nodes.md
//!
//! In the log a promise is the last of a large transaction's parts, and the decision to commit is its end. So replay needs no more than it knows for large
//! transactions; and until the decision is durable, snapshots keep the parts (`large.rs`).

use super::{Durability, Set, Transaction};
use crate::NotAppended;
use crate::context::NodeContext;
use crate::large::{Entered, InDoubt};
use crate::partition::Partition;
use crate::record::{self, Form, Head};
use parking_lot::Mutex;
use std::sync::Arc;
use weald_rowstore::{Key, RowChange, WriteSet};
use weald_txn::{Isolation, TxnState};
use weald_types::{Epoch, Fault, Lsn, PartitionId, Timestamp, TxnId};

/// Keeps the records of a decision in the log, so that it is found again after a restart, until all participants know it.
#[derive(Debug)]
#[must_use]
pub struct Remembered {
    /// Dropped, the log may let go.
    _entered: Vec<Entered>,
}

impl Remembered {
    /// Of a decision that replay found behind `behind` in the log of a partition.
    pub fn found(partition: &Partition, txn: TxnId, behind: Lsn) -> Self {
        Self { _entered: vec![partition.open_parts().enter(txn, || behind)] }
    }
}

impl Transaction {
    /// The partitions of this node that it has changed and that keep a log.
    pub fn participants(&self) -> Vec<PartitionId> {
        let inner = self.inner.lock();
        let takes_part = |set: &Mutex<Set>| {
            let set = set.lock();
            set.epoch.is_some() && set.changes.has_changes()
        };
        inner.sets.iter().filter(|(_, set)| takes_part(set)).map(|(id, _)| *id).collect()
    }

    /// Promises to commit at the time that is given back, or later, if that is decided; durable when it returns. `participants` are those of all nodes, who
    /// decides first. From here on nothing more may be changed. To be run to its end. After an error it is rolled back by [`Transaction::abort_prepared`].
    pub async fn prepare(&self, participants: &Arc<[PartitionId]>) -> Result<Timestamp, Fault> {
        self.parts_durable(0).await?;
        let sets: Vec<_> = self.inner.lock().sets.clone();
        sets.iter().for_each(|(_, set)| set.lock().changes.make_entries());
        self.txn.begin_commit();
        self.node.clock.now(self.node.wall());
        let at = self.node.clock.tick();
        self.txn.set_prepared(at);
        let mut records: Vec<(PartitionId, Vec<u8>)> = Vec::with_capacity(sets.len());
        for (id, set) in &sets {
            let mut set = set.lock();
            let Some(epoch) = set.epoch.filter(|_| set.changes.has_changes()) else { continue };
            set.enter(*id, &self.txn, &self.node);
            let form = Form::Prepared { number: set.parts, participants: participants.clone() };
            records.push((*id, set.record(Head { txn: self.txn.id(), at, epoch }, &form)));
            set.changes.mark_logged();
            set.parts += 1;
        }
        let borrowed: Vec<(PartitionId, &[u8])> = records.iter().map(|(p, r)| (*p, r.as_slice())).collect();
        if borrowed.is_empty() {
            return Ok(at);
        }
        loop {
            match self.node.log.append(&borrowed, Durability::Sync) {
                Ok(ticket) => return ticket.await.map(|()| at),
                Err(NotAppended::Crowded) => self.node.log.room().await,
                Err(NotAppended::Refused(fault)) => return Err(fault),
            }
        }
    }

    /// When it promised to commit at the earliest; `None` if it has not.
    pub fn prepared_at(&self) -> Option<Timestamp> {
        match self.txn.state() {
            TxnState::Prepared(at) => Some(at),
            TxnState::Active | TxnState::Pending | TxnState::Committing(_) | TxnState::Committed(_) | TxnState::Aborted => None,
        }
    }

    /// It was decided that it commits at `at`. Durable and visible when it returns.
    ///
    /// Errors: `DiskFull`, and it is still prepared as far as the log is concerned: after a restart it is in doubt again; so is `OutcomeUnknown`.
    pub async fn commit_prepared(self, at: Timestamp) -> Result<Remembered, Fault> {
        // Later commits of these rows come later in time, too.
        self.node.clock.restore(at);
        let sets = self.take_sets()?;
        Ok(Remembered { _entered: self.end(at, sets, Durability::Sync).await? })
    }

    /// It was decided that it does not commit, or it could not promise.
    pub fn abort_prepared(self) {
        let Ok(sets) = self.take_sets() else { return };
        let mut records = Vec::new();
        for (id, set) in sets.iter().filter(|(_, set)| set.parts > 0) {
            let mut out = Vec::new();
            record::begin(&mut out, Head { txn: self.txn.id(), at: Timestamp::ZERO, epoch: set.epoch.unwrap_or(Epoch::FIRST) }, &Form::Aborted);
            records.push((*id, out));
        }
        let borrowed: Vec<(PartitionId, &[u8])> = records.iter().map(|(p, r)| (*p, r.as_slice())).collect();
        // Where the log does not take it, or loses it, the transaction is in doubt after a restart, and is told the same then.
        if !borrowed.is_empty()
            && let Err(error) = self.node.log.append(&borrowed, Durability::Async)
        {
            tracing::warn!(?error, txn = %self.txn.id(), "that a prepared transaction was rolled back could not be logged");
        }
        self.txn.set_aborted();
        for (_, set) in sets {
            set.changes.finish_aborted();
        }
        self.txn.wake();
    }

    /// A prepared transaction as recovery found it in several partitions. Before anyone reads or writes there.
    pub fn restore(node: &Arc<NodeContext>, txn: TxnId, found: &[(Arc<Partition>, InDoubt)]) -> Result<Self, record::RecordError> {
        let this = Self::begin(node, txn, Isolation::RepeatableRead);
        let mut earliest = Timestamp::ZERO;
        for (partition, in_doubt) in found {
            earliest = earliest.max(in_doubt.promise.at);
            let mut changes = WriteSet::new(this.txn.clone(), node.snapshots.clone());
            for part in &in_doubt.parts {
                let (_, _, mut ops) = record::read(part)?;
                while let Some(op) = ops.next_op()? {
                    // Dropped since: nobody asks for its rows any more.
                    let Some(table) = partition.current_table(op.table) else { continue };
                    let number = this.last.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                    let key = Key::new(op.key);
                    changes.adopt(number, &table, RowChange { key: &key, schema: op.schema, bytes: op.bytes });
                }
            }
            changes.mark_logged();
            let set = Set {
                epoch: Some(partition.epoch()),
                changes,
                open_parts: partition.open_parts().clone(),
                parts: in_doubt.parts.len() as u32,
                entered: Some(partition.open_parts().enter(txn, || in_doubt.behind)),
            };
            this.inner.lock().sets.push((partition.id(), Arc::new(Mutex::new(set))));
        }
        this.txn.begin_commit();
        this.txn.set_prepared(earliest);
        Ok(this)
    }
}
