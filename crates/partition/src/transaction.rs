//! A transaction of this node: what it wrote, in which partitions.
//!
//! Owns:     one [`WriteSet`] for each partition it wrote to or locked rows in, and the snapshot it reads at.
//! Promises: all its changes become visible at one timestamp, once they are durable as asked; dropped without commit, it is rolled back.
//!           Changes in different partitions may be made at the same time.
//! Never:    chooses a partition.
//!
//! A large transaction hands its changes to the log as they grow ([`Transaction::log_ahead`]); its commit waits for those parts first, before it announces
//! itself, so that no reader waits for their flush.
//!
//! The order of a commit, which readers rely on (see `weald_txn::visibility`): announce, take the timestamp, publish it, append to the log, wait for the
//! flush, become visible, stamp and unlock, wake the waiters. The records of all partitions go to the log as one: after a crash all are there or none.

mod prepared;

pub use prepared::Remembered;

use crate::context::NodeContext;
use crate::large::{Entered, OpenParts};
use crate::partition::Partition;
use crate::read::Snapshot;
use crate::record::{self, Form, Head, Op};
use crate::{LogTicket, NotAppended, Outcome};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
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
    /// Number of the last change, in any partition.
    last: AtomicU64,
    /// Whoever gives a part to the log.
    giving: tokio::sync::Mutex<()>,
    /// Some set has more for the log than should wait for the commit.
    is_large: AtomicBool,
}

#[derive(Default)]
struct Inner {
    sets: Vec<(PartitionId, Arc<Mutex<Set>>)>,
    snapshot: Option<Snapshot>,
    parts: Parts,
}

/// What it did in one partition.
struct Set {
    /// `None` for a partition that keeps no log.
    epoch: Option<Epoch>,
    changes: WriteSet,
    open_parts: Arc<OpenParts>,
    /// Parts in the log that hold.
    parts: u32,
    entered: Option<Entered>,
}

/// Parts that are in the log and not known to be durable, oldest first.
#[derive(Default)]
struct Parts {
    waiting: VecDeque<LogTicket>,
    /// Somebody waits for the one that was first; or has gone away, and it is not known what came of it.
    taken: bool,
}

/// So many parts may wait for their flush while more is changed: the partitions' parts come about the same time.
const PARTS_AHEAD: usize = 8;

impl Transaction {
    pub fn begin(node: &Arc<NodeContext>, id: TxnId, isolation: Isolation) -> Self {
        // Until it reads, or changes a row: then it takes a snapshot.
        let at = node.clock.last();
        Self {
            node: node.clone(),
            txn: Txn::new(id, isolation, at),
            inner: Mutex::default(),
            last: AtomicU64::new(0),
            giving: tokio::sync::Mutex::new(()),
            is_large: AtomicBool::new(false),
        }
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
    /// What it reads at, where another node chose the time; `None`: versions of that time may be gone.
    pub fn read_at(&self, at: Timestamp) -> Option<Snapshot> {
        if let Some(s) = self.inner.lock().snapshot.as_ref().filter(|s| s.at() == at) {
            return Some(s.clone());
        }
        let s = Snapshot::new(self.node.snapshots.open_at(at)?, Some(self.txn.clone()));
        self.txn.set_read_ts(at);
        self.inner.lock().snapshot = Some(s.clone());
        Some(s)
    }
    /// Whether it has changed anything.
    pub fn has_written(&self) -> bool {
        self.inner.lock().sets.iter().any(|(_, s)| s.lock().changes.has_changes())
    }
    /// How many changes and locks it has made, about: what its end costs grows with them.
    pub fn changes(&self) -> u64 {
        self.last.load(Relaxed)
    }
    pub fn mark(&self) -> Mark {
        Mark(self.last.load(Relaxed))
    }
    /// Takes back every change after the mark. Locks stay until the end, as InnoDB's do.
    pub fn rollback_to(&self, mark: Mark) {
        for (_, set) in &self.inner.lock().sets {
            let mut set = set.lock();
            set.changes.rollback_to(mark.0);
            if !set.changes.is_partly_logged() {
                set.parts = 0;
            }
        }
    }

    /// One change or lock in one partition.
    pub(crate) fn change(
        &self,
        partition: &Partition,
        table: &Arc<OpenTable>,
        f: impl FnOnce(&mut WriteSet, u64) -> Result<(), Refusal>,
    ) -> Result<Outcome, Fault> {
        crate::change::outcome(self.with_set(partition, table, 1, f), &self.node, &self.txn)
    }
    /// Rows until one is refused, which the outcome is about; and how many were not.
    pub(crate) fn load<'r>(
        &self,
        partition: &Partition,
        table: &Arc<OpenTable>,
        rows: impl ExactSizeIterator<Item = &'r [u8]>,
    ) -> (usize, Result<Outcome, Fault>) {
        let version = table.schema().version();
        let most = rows.len() as u64;
        let (loaded, done) = self.with_set(partition, table, most, |set, number| set.load(number, table.table(), version, rows));
        (loaded, crate::change::outcome(done, &self.node, &self.txn))
    }
    /// From here on what was loaded is found by every index: to be called before anything is read.
    pub fn make_entries(&self) {
        for (_, set) in &self.inner.lock().sets {
            set.lock().changes.make_entries();
        }
    }

    /// `f` gets the number of the first of `changes`.
    fn with_set<T>(&self, partition: &Partition, table: &Arc<OpenTable>, changes: u64, f: impl FnOnce(&mut WriteSet, u64) -> T) -> T {
        // A writer is judged by its read timestamp: it must have one.
        if self.inner.lock().snapshot.is_none() {
            self.renew_snapshot();
        }
        let set = {
            let mut inner = self.inner.lock();
            let set = match inner.sets.iter().find(|(id, _)| *id == partition.id()) {
                Some((_, set)) => set.clone(),
                None => {
                    let set = Arc::new(Mutex::new(Set {
                        epoch: partition.is_logged().then(|| partition.epoch()),
                        changes: WriteSet::new(self.txn.clone(), self.node.snapshots.clone()),
                        open_parts: partition.open_parts().clone(),
                        parts: 0,
                        entered: None,
                    }));
                    inner.sets.push((partition.id(), set.clone()));
                    set
                }
            };
            // The gate of a table is closed partition by partition; a transaction that got in at one of them belongs inside at all.
            if table.is_gated() && inner.sets.iter().any(|(_, s)| s.lock().changes.holds(table.id())) {
                let changes = &mut set.lock().changes;
                if !changes.holds(table.id()) {
                    changes.join(table.table());
                }
            }
            set
        };
        let mut set = set.lock();
        let number = self.last.fetch_add(changes, Relaxed) + 1;
        let done = f(&mut set.changes, number);
        if set.epoch.is_some() && set.changes.unlogged_bytes() >= self.node.part_bytes.load(Relaxed) {
            self.is_large.store(true, Relaxed);
        }
        done
    }

    /// Gives what a large transaction has changed to the log, and waits for some of what it gave before. Costs nothing if there is little: call it again and again
    /// where a statement may change much. An error is that of a commit; roll back then.
    pub async fn log_ahead(&self) -> Result<(), Fault> {
        if !self.is_large.load(Relaxed) {
            return Ok(());
        }
        let _giving = self.giving.lock().await;
        while self.is_large.load(Relaxed) {
            self.parts_durable(PARTS_AHEAD).await?;
            let appended = {
                let limit = self.node.part_bytes.load(Relaxed);
                let sets: Vec<_> = self.inner.lock().sets.clone();
                let large = sets.iter().find_map(|(id, set)| {
                    let set = set.lock();
                    (set.epoch.is_some() && set.changes.unlogged_bytes() >= limit).then_some((*id, set))
                });
                match large {
                    Some((id, mut set)) => set.append_part(id, &self.txn, &self.node),
                    None => {
                        self.is_large.store(false, Relaxed);
                        return Ok(());
                    }
                }
            };
            match appended {
                Ok(ticket) => self.inner.lock().parts.waiting.push_back(ticket),
                Err(NotAppended::Crowded) => self.node.log.room().await,
                Err(NotAppended::Refused(fault)) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Waits until at most so many parts are not known to be durable.
    async fn parts_durable(&self, left: usize) -> Result<(), Fault> {
        loop {
            let first = {
                let parts = &mut self.inner.lock().parts;
                if parts.taken {
                    return Err(Fault::Internal { incident: "a part of a transaction was given up".into() });
                }
                let Some(first) = (parts.waiting.len() > left).then(|| parts.waiting.pop_front()).flatten() else { return Ok(()) };
                parts.taken = true;
                first
            };
            first.await?;
            self.inner.lock().parts.taken = false;
        }
    }

    /// Makes all its changes visible at one timestamp, which is returned, once they are durable as asked. Safe to drop: then it finishes by itself.
    ///
    /// Errors: `DiskFull` or `PartitionUnavailable`, and it is rolled back; `OutcomeUnknown` if the log failed after it had taken the record.
    pub async fn commit(self, durability: Durability) -> Result<Timestamp, Fault> {
        self.parts_durable(0).await?;
        let mut sets = self.take_sets()?;
        if !sets.iter().any(|(_, s)| s.changes.has_changes()) {
            self.txn.set_committed_empty();
            drop(sets);
            self.txn.wake();
            return Ok(self.txn.read_ts());
        }
        sets.iter_mut().for_each(|(_, set)| set.changes.make_entries());
        self.txn.begin_commit();
        self.node.clock.now(self.node.wall());
        let at = self.node.clock.tick();
        self.end(at, sets, durability).await.map(|_| at)
    }

    fn take_sets(&self) -> Result<Vec<(PartitionId, Set)>, Fault> {
        let inner = std::mem::take(&mut *self.inner.lock());
        let whole = |(id, set): (PartitionId, Arc<Mutex<Set>>)| Some((id, Arc::into_inner(set)?.into_inner()));
        let sets = inner.sets.into_iter().map(whole).collect::<Option<_>>();
        sets.ok_or_else(|| Fault::Internal { incident: "a transaction ends while changes are being made".into() })
    }

    /// The commit at `at`, which is known. What is given back keeps the records before the commit's in the log.
    async fn end(&self, at: Timestamp, mut sets: Vec<(PartitionId, Set)>, durability: Durability) -> Result<Vec<Entered>, Fault> {
        self.txn.set_committing(at);
        let mut records: Vec<(PartitionId, Vec<u8>)> = Vec::with_capacity(sets.len());
        for (id, set) in &sets {
            let Some(epoch) = set.epoch.filter(|_| set.changes.has_changes()) else { continue };
            let form = if set.parts == 0 { Form::Whole } else { Form::End { parts: set.parts } };
            records.push((*id, set.record(Head { txn: self.txn.id(), at, epoch }, &form)));
        }
        let entered = sets.iter_mut().filter_map(|(_, set)| set.entered.take()).collect();
        let borrowed: Vec<(PartitionId, &[u8])> = records.iter().map(|(p, r)| (*p, r.as_slice())).collect();
        let sets = sets.into_iter().map(|(_, set)| set).collect();
        let mut ending = Ending { txn: self.txn.clone(), at, sets, entered, ticket: None };
        if borrowed.is_empty() {
            ending.commit();
            return Ok(Vec::new());
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
        Ok(std::mem::take(&mut ending.entered))
    }
}

impl Set {
    /// What of its changes is not in the log yet.
    fn record(&self, head: Head, form: &Form) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.changes.unlogged_bytes() * 9 / 8);
        record::begin(&mut out, head, form);
        self.changes.for_each_unlogged(|c| {
            record::push(&mut out, Op { table: c.table.id(), schema: c.change.schema, key: c.change.key.bytes(), bytes: c.change.bytes });
        });
        out
    }
    /// Before the first part is in the log: see `large.rs`.
    fn enter(&mut self, partition: PartitionId, txn: &Txn, node: &NodeContext) {
        self.entered.get_or_insert_with(|| self.open_parts.enter(txn.id(), || node.log.durable(partition)));
    }
    fn append_part(&mut self, partition: PartitionId, txn: &Txn, node: &NodeContext) -> Result<LogTicket, NotAppended> {
        self.enter(partition, txn, node);
        let head = Head { txn: txn.id(), at: Timestamp::ZERO, epoch: self.epoch.unwrap_or(Epoch::FIRST) };
        let part = self.record(head, &Form::Part { number: self.parts });
        let ticket = node.log.append(&[(partition, &part)], Durability::Sync)?;
        self.changes.mark_logged();
        self.parts += 1;
        Ok(ticket)
    }
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
    sets: Vec<Set>,
    /// Of the sets: until the end is durable and its rows are stamped.
    entered: Vec<Entered>,
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
            set.changes.finish_committed(self.at);
        }
        self.txn.wake();
    }
    fn abort(&mut self) {
        self.ticket = None;
        self.txn.set_aborted();
        for set in self.sets.drain(..) {
            set.changes.finish_aborted();
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
        let mut rest = Ending {
            txn: self.txn.clone(),
            at: self.at,
            sets: std::mem::take(&mut self.sets),
            entered: std::mem::take(&mut self.entered),
            ticket: self.ticket.take(),
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move { rest.wait().await })),
            // The process is ending: what the log has is what counts, and nobody reads any more.
            Err(_) => rest.abort(),
        }
    }
}
