//! A transaction of this node: what it wrote, in which partitions.
//!
//! Owns:     one [`WriteSet`] for each partition it wrote to or locked rows in, and the snapshot it reads at.
//! Promises: all its changes become visible at one timestamp, once they are durable as asked; dropped without commit, it is rolled back.
//! Never:    chooses a partition.
//!
//! The order of a commit, which readers rely on (see `weald_txn::visibility`): announce, take the timestamp, publish it, append to the log, wait for the
//! flush, become visible, stamp and unlock, wake the waiters. The records of all partitions go to the log as one: after a crash all are there or none.

use crate::context::NodeContext;
use crate::partition::Partition;
use crate::read::Snapshot;
use crate::record::{self, Head, Op};
use crate::{LogTicket, NotAppended, Outcome};
use parking_lot::Mutex;
use std::sync::Arc;
use weald_rowstore::{OpenTable, Refusal, WriteSet};
use weald_txn::{Isolation, Txn};
use weald_types::{Epoch, Fault, PartitionId, Timestamp, TxnId};

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
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Number of the last change, in any partition.
    last: u64,
    /// `None` for a partition that keeps no log.
    sets: Vec<(PartitionId, Option<Epoch>, WriteSet)>,
    snapshot: Option<Snapshot>,
}

impl Transaction {
    pub fn begin(node: &Arc<NodeContext>, id: TxnId, isolation: Isolation) -> Self {
        let at = node.clock.now(node.wall());
        Self { node: node.clone(), txn: Txn::new(id, isolation, at), inner: Mutex::default() }
    }
    pub fn id(&self) -> TxnId {
        self.txn.id()
    }
    pub fn txn(&self) -> &Arc<Txn> {
        &self.txn
    }
    /// What it reads at: taken when it is first asked for.
    pub fn snapshot(&self) -> Snapshot {
        if let Some(s) = &self.inner.lock().snapshot {
            return s.clone();
        }
        self.renew_snapshot()
    }
    /// Takes a new snapshot of now: for each statement at READ COMMITTED, and for a statement that is run again because nothing had been read before it.
    pub fn renew_snapshot(&self) -> Snapshot {
        let s = Snapshot::new(self.node.snapshots.open(&self.node.clock, self.node.wall()), Some(self.txn.clone()));
        self.txn.set_read_ts(s.at());
        self.inner.lock().snapshot = Some(s.clone());
        s
    }
    /// Whether it has changed anything.
    pub fn has_written(&self) -> bool {
        self.inner.lock().sets.iter().any(|s| s.2.has_changes())
    }
    pub fn mark(&self) -> Mark {
        Mark(self.inner.lock().last)
    }
    /// Takes back every change after the mark. Locks stay until the end, as InnoDB's do.
    pub fn rollback_to(&self, mark: Mark) {
        for (_, _, set) in &mut self.inner.lock().sets {
            set.rollback_to(mark.0);
        }
    }

    /// One change or lock in one partition.
    pub(crate) fn with_set(
        &self,
        partition: &Partition,
        table: &Arc<OpenTable>,
        f: impl FnOnce(&mut WriteSet, u64) -> Result<(), Refusal>,
    ) -> Result<Outcome, Fault> {
        // A writer is judged by its read timestamp: it must have one.
        if self.inner.lock().snapshot.is_none() {
            self.renew_snapshot();
        }
        let mut inner = self.inner.lock();
        let at = match inner.sets.iter().position(|s| s.0 == partition.id()) {
            Some(at) => at,
            None => {
                let set = WriteSet::new(self.txn.clone(), self.node.snapshots.clone());
                inner.sets.push((partition.id(), partition.is_logged().then(|| partition.epoch()), set));
                inner.sets.len() - 1
            }
        };
        inner.last += 1;
        let number = inner.last;
        // The gate of a table is closed partition by partition; a transaction that got in at one of them belongs inside at all.
        if table.is_gated() && inner.sets.iter().any(|s| s.2.holds(table.id())) && !inner.sets[at].2.holds(table.id()) {
            inner.sets[at].2.join(table.table());
        }
        let done = f(&mut inner.sets[at].2, number);
        drop(inner);
        crate::change::outcome(done, &self.node, &self.txn)
    }

    /// Makes all its changes visible at one timestamp, which is returned, once they are durable as asked. Safe to drop: then it finishes by itself.
    ///
    /// Errors: `DiskFull` or `PartitionUnavailable`, and it is rolled back; `OutcomeUnknown` if the log failed after it had taken the record.
    pub async fn commit(self, durability: Durability) -> Result<Timestamp, Fault> {
        let mut inner = std::mem::take(&mut *self.inner.lock());
        inner.snapshot = None;
        if !inner.sets.iter().any(|s| s.2.has_changes()) {
            self.txn.set_committed_empty();
            drop(inner);
            self.txn.wake();
            return Ok(self.txn.read_ts());
        }
        self.txn.begin_commit();
        self.node.clock.now(self.node.wall());
        let at = self.node.clock.tick();
        self.txn.set_committing(at);
        let mut records: Vec<(PartitionId, Vec<u8>)> = Vec::with_capacity(inner.sets.len());
        for (partition, epoch, set) in &inner.sets {
            let Some(epoch) = epoch.filter(|_| set.has_changes()) else { continue };
            let mut out = Vec::with_capacity(64 + 256 * set.change_count());
            record::begin(&mut out, Head { txn: self.txn.id(), at, epoch });
            set.for_each_final(|c| {
                record::push(&mut out, Op { table: c.table.id(), schema: c.change.schema, key: c.change.key.bytes(), bytes: c.change.bytes });
            });
            records.push((*partition, out));
        }
        let borrowed: Vec<(PartitionId, &[u8])> = records.iter().map(|(p, r)| (*p, r.as_slice())).collect();
        let mut ending = Ending { txn: self.txn.clone(), at, sets: inner.sets.drain(..).map(|s| s.2).collect(), ticket: None };
        if borrowed.is_empty() {
            ending.commit();
            return Ok(at);
        }
        let ticket = loop {
            match self.node.log.append(&borrowed, durability) {
                Ok(ticket) => break ticket,
                // Readers at or above our timestamp wait with us.
                Err(NotAppended::Crowded) => self.node.log.room().await,
                Err(NotAppended::Refused(fault)) => {
                    ending.abort();
                    return Err(fault);
                }
            }
        };
        match durability {
            Durability::Async => ending.commit(),
            Durability::Sync => {
                ending.ticket = Some(ticket);
                ending.wait().await?;
            }
        }
        Ok(at)
    }

    pub fn rollback(self) {}
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.txn.is_ended() || !matches!(self.txn.state(), weald_txn::TxnState::Active) {
            return;
        }
        self.txn.set_aborted();
        self.inner.get_mut().sets.clear();
        self.txn.wake();
    }
}

/// A commit that waits for the flush. If nobody waits any more, it goes on by itself.
struct Ending {
    txn: Arc<Txn>,
    at: Timestamp,
    sets: Vec<WriteSet>,
    ticket: Option<LogTicket>,
}

impl Ending {
    async fn wait(&mut self) -> Result<(), Fault> {
        let done = match &mut self.ticket {
            Some(ticket) => ticket.await,
            None => Ok(()),
        };
        self.ticket = None;
        match done {
            Ok(()) => {
                self.commit();
                Ok(())
            }
            Err(fault) => {
                self.abort();
                Err(fault)
            }
        }
    }
    fn commit(&mut self) {
        self.txn.set_committed();
        for set in self.sets.drain(..) {
            set.finish_committed(self.at);
        }
        self.txn.wake();
    }
    fn abort(&mut self) {
        self.ticket = None;
        self.txn.set_aborted();
        for set in self.sets.drain(..) {
            set.finish_aborted();
        }
        self.txn.wake();
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.sets.is_empty() {
            return;
        }
        if self.ticket.is_none() {
            // Nothing of it is in the log: whoever waited for room in there has gone.
            self.abort();
            return;
        }
        let mut rest = Ending { txn: self.txn.clone(), at: self.at, sets: std::mem::take(&mut self.sets), ticket: self.ticket.take() };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move { rest.wait().await })),
            // The process is ending: what the log has is what counts, and nobody reads any more.
            Err(_) => rest.abort(),
        }
    }
}
