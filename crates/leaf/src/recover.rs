//! Restart of a node's partitions: newest good snapshot, then the log after it, all partitions at once.
//!
//! Owns:     nothing; builds partitions and hands them over.
//! Promises: the result holds every acknowledged commit, and no half of any. A snapshot that cannot be read is passed over for the one before if the log
//!           still reaches back to that; damage that cannot be passed over is an error that names file and offset.
//! Never:    changes a table except through [`Partition::replay`] and `snapshot::restore`, which are the live path's own function.

use crate::Error;
use crate::status::{Board, Doing, Live, Phase, percent};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use weald_catalog::{DatabaseDef, Sharding, TableDef};
use weald_env::Env;
use weald_log::{DataDir, Log, Options, Record, Replay, SnapshotEntry, SnapshotStore};
use weald_partition::{Decision, InDoubt, NodeContext, Partition, Remembered, Transaction, Unfinished, snapshot};
use weald_types::{Epoch, Lsn, PartitionId, TxnId};

/// Between two lines about the progress of one thing.
const REPORT_EVERY: Duration = Duration::from_secs(1);

pub struct Recovered {
    pub log: Log,
    pub partitions: Vec<RecoveredPartition>,
    /// Prepared transactions that nobody has decided about, and who takes part in each.
    pub in_doubt: Vec<(TxnId, Transaction, Arc<[PartitionId]>)>,
    /// Commits that other nodes may not know of.
    pub decided: Vec<(Decision, Remembered)>,
}
pub struct RecoveredPartition {
    pub partition: Arc<Partition>,
    pub snapshots: SnapshotStore,
    pub after: Lsn,
    pub replayed_bytes: u64,
    pub live: Arc<Live>,
}

struct Target {
    partition: Arc<Partition>,
    after: Lsn,
    replayed_bytes: AtomicU64,
    newest: AtomicU64,
    /// One thread replays a partition; the lock is never waited for.
    unfinished: Mutex<Unfinished>,
    failure: Mutex<Option<String>>,
    live: Arc<Live>,
}

struct Sink {
    targets: BTreeMap<PartitionId, Target>,
}

impl Replay for Sink {
    fn starts_after(&self, partition: PartitionId) -> Option<Lsn> {
        self.targets.get(&partition).map(|t| t.after)
    }
    fn record(&self, r: Record<'_>) {
        let Some(t) = self.targets.get(&r.partition) else { return };
        match t.partition.replay(r.payload, &mut t.unfinished.lock()) {
            Ok(at) => {
                t.newest.fetch_max(at.map_or(0, |at| at.raw()), Ordering::Relaxed);
                t.live.replayed.store(r.lsn.raw(), Ordering::Relaxed);
                t.replayed_bytes.fetch_add(r.payload.len() as u64, Ordering::Relaxed);
            }
            Err(e) => {
                t.failure.lock().get_or_insert(format!("{e} at log position {}", r.at));
            }
        }
    }
    fn broken(&self, partition: PartitionId, error: weald_log::Error) {
        if let Some(t) = self.targets.get(&partition) {
            t.failure.lock().get_or_insert(error.to_string());
        }
    }
}

/// A partition to be: how to make it empty, and where its snapshots are.
struct Plan {
    id: PartitionId,
    tables: Vec<Arc<TableDef>>,
    snapshots: SnapshotStore,
    live: Arc<Live>,
}

impl Plan {
    fn empty(&self, epoch: Epoch, node: &Arc<NodeContext>) -> Arc<Partition> {
        let partition = Partition::new(self.id, epoch, node.clone());
        for t in &self.tables {
            partition.create_table(t.clone());
        }
        partition.begin_restore();
        partition
    }
}

#[allow(clippy::too_many_arguments)]
pub fn recover(
    env: &Env,
    dir: &DataDir,
    mine: Vec<(&DatabaseDef, PartitionId)>,
    epoch: Epoch,
    node: &Arc<NodeContext>,
    workers: usize,
    options: Options,
    board: &Board,
) -> Result<Recovered, Error> {
    let mut plans = Vec::new();
    for (d, id) in mine {
        let here = |t: &&Arc<TableDef>| match &t.sharding {
            Sharding::Single { ordinal } => ordinal % d.partitions.max(1) == id.ordinal(),
            Sharding::Reference => id.ordinal() == 0,
            Sharding::Hash { .. } | Sharding::RowId => true,
        };
        let tables = d.stored_tables().filter(here).cloned().collect();
        let snapshots = SnapshotStore::open(env, &dir.snapshots_of(id), id)?;
        let live = board.get(id).unwrap_or_else(|| board.put(id, &d.name, crate::PartitionStatus::new(Phase::Recovering)));
        plans.push(Plan { id, tables, snapshots, live });
    }
    if !plans.is_empty() {
        tracing::info!(partitions = plans.len(), "replaying snapshot of every partition");
    }
    let restored = restore_all(plans, epoch, node, workers)?;
    let mut newest = 0;
    let mut stores = BTreeMap::new();
    let mut targets = BTreeMap::new();
    for r in restored {
        newest = newest.max(r.newest);
        let id = r.partition.id();
        r.live.change(|s| (s.doing, s.percent) = (Doing::Log, 0));
        r.live.replayed.store(r.after.raw(), Ordering::Relaxed);
        stores.insert(id, (r.snapshots, r.bad));
        targets.insert(
            id,
            Target {
                partition: r.partition,
                after: r.after,
                replayed_bytes: AtomicU64::new(0),
                newest: AtomicU64::new(0),
                unfinished: Mutex::default(),
                failure: Mutex::new(None),
                live: r.live,
            },
        );
    }
    let sink = Sink { targets };
    let log = replay_log(Log::open(env, &dir.log(), options)?, &sink, workers, board)?;
    restored_all(&sink, workers);
    let log = Arc::new(log);
    let mut partitions = Vec::new();
    let ids: BTreeSet<PartitionId> = sink.targets.keys().copied().collect();
    let mut doubts: BTreeMap<TxnId, Vec<(Arc<Partition>, InDoubt)>> = BTreeMap::new();
    let mut decided = Vec::new();
    for (id, t) in sink.targets {
        newest = newest.max(t.newest.load(Ordering::Relaxed));
        let Some((mut snapshots, bad)) = stores.remove(&id) else { continue };
        let mut unfinished = t.unfinished.into_inner();
        let (prepared, decisions) = unfinished.take_two_phase(t.after);
        for p in prepared {
            doubts.entry(p.txn).or_default().push((t.partition.clone(), p));
        }
        // Whichever partition here has the record: this node decided if the first participant is one of its own.
        for d in decisions.into_iter().filter(|d| d.participants.first().is_some_and(|first| ids.contains(first))) {
            let remembered = Remembered::found(&t.partition, d.txn, t.after);
            decided.push((d, remembered));
        }
        let unfinished = unfinished.len();
        if unfinished > 0 {
            tracing::info!(partition = %t.live.name, transactions = unfinished, "large transactions that had not committed are not taken in");
        }
        let mut failure = t.failure.into_inner();
        if let Some((entry, error)) = bad {
            // The older snapshot serves only if the log had everything between it and the bad one.
            if failure.is_none() && log.partition(id, t.after).appended() >= entry.lsn {
                tracing::warn!(partition = %t.live.name, file = %entry.file, "recovered without a snapshot that cannot be read; it is set aside");
                snapshots.set_aside(&entry)?;
            } else {
                failure = Some(error);
            }
        }
        if let Some(reason) = failure {
            t.live.change(|s| {
                s.phase = Phase::Failed;
                s.doing = Doing::Nothing;
                s.details.clone_from(&reason);
            });
            return Err(Error::Recovery { partition: t.live.name.clone(), reason });
        }
        let replayed_bytes = t.replayed_bytes.load(Ordering::Relaxed);
        t.live.change(|s| (s.phase, s.doing, s.percent) = (Phase::Pending, Doing::Nothing, 100));
        partitions.push(RecoveredPartition { partition: t.partition, snapshots, after: t.after, replayed_bytes, live: t.live });
    }
    // No new commit may lie below an old one.
    node.clock.restore(weald_types::Timestamp::new(newest));
    let log = Arc::into_inner(log).expect("the handles made above are gone again");
    let mut in_doubt = Vec::with_capacity(doubts.len());
    for (txn, found) in doubts {
        tracing::info!(%txn, partitions = found.len(), "a transaction is in doubt: it was prepared, and how it ended is asked for");
        let participants = found.first().map(|(_, p)| p.promise.participants.clone()).unwrap_or_default();
        let damaged =
            |e: weald_partition::record::RecordError| Error::Recovery { partition: format!("transaction {txn}").into(), reason: e.to_string() };
        in_doubt.push((txn, Transaction::restore(node, txn, &found).map_err(damaged)?, participants));
    }
    Ok(Recovered { log, partitions, in_doubt, decided })
}

/// The end of it for every partition, each on one thread.
fn restored_all(sink: &Sink, workers: usize) {
    let todo = Mutex::new(sink.targets.values().map(|t| t.partition.clone()).collect::<Vec<_>>());
    std::thread::scope(|s| {
        for _ in 0..workers.clamp(1, sink.targets.len().max(1)) {
            s.spawn(|| {
                loop {
                    let Some(partition) = todo.lock().pop() else { return };
                    partition.restored();
                }
            });
        }
    });
}

/// The log of all partitions, with a line about its progress every second.
fn replay_log(found: weald_log::Found, sink: &Sink, workers: usize, board: &Board) -> Result<Log, Error> {
    if sink.targets.is_empty() {
        return Ok(found.replay(sink, workers, &board.log)?);
    }
    tracing::info!(bytes = found.bytes(), "replaying log 0%");
    let (done, watched) = channel::<()>();
    let log = std::thread::scope(|scope| {
        scope.spawn(move || {
            while watched.recv_timeout(REPORT_EVERY) == Err(RecvTimeoutError::Timeout) {
                tracing::info!("replaying log {}%", board.log_percent());
            }
        });
        let log = found.replay(sink, workers, &board.log);
        drop(done);
        log
    })?;
    tracing::info!("replaying log 100%");
    Ok(log)
}

struct Restored {
    partition: Arc<Partition>,
    snapshots: SnapshotStore,
    after: Lsn,
    newest: u64,
    live: Arc<Live>,
    /// A newer snapshot, which cannot be read, and why.
    bad: Option<(SnapshotEntry, String)>,
}

/// Snapshots of all partitions, each on one thread.
fn restore_all(plans: Vec<Plan>, epoch: Epoch, node: &Arc<NodeContext>, workers: usize) -> Result<Vec<Restored>, Error> {
    let total = plans.len();
    let todo = Mutex::new(plans);
    let done = Mutex::new(Vec::new());
    let failed = Mutex::new(None);
    let finished = AtomicUsize::new(0);
    std::thread::scope(|s| {
        for _ in 0..workers.clamp(1, total.max(1)) {
            s.spawn(|| {
                loop {
                    if failed.lock().is_some() {
                        return;
                    }
                    let Some(plan) = todo.lock().pop() else { return };
                    let live = plan.live.clone();
                    match restore(plan, epoch, node) {
                        Ok(r) => done.lock().push(r),
                        Err(e) => {
                            live.change(|s| (s.phase, s.details) = (Phase::Failed, e.to_string()));
                            failed.lock().get_or_insert(e);
                            return;
                        }
                    }
                    let n = finished.fetch_add(1, Ordering::Relaxed) + 1;
                    tracing::info!(partition = %live.name, "replaying snapshot {}% ({n} of {total} partitions)", n * 100 / total.max(1));
                }
            });
        }
    });
    match failed.into_inner() {
        Some(e) => Err(e),
        None => Ok(done.into_inner()),
    }
}

/// The newest snapshot that can be read.
fn restore(plan: Plan, epoch: Epoch, node: &Arc<NodeContext>) -> Result<Restored, Error> {
    let mut bad = None;
    for entry in plan.snapshots.snapshots().to_vec().into_iter().rev() {
        let partition = plan.empty(epoch, node);
        match read_snapshot(&plan, &entry, &partition) {
            Ok(newest) => {
                plan.live.change(|s| s.snapshot_lsn = entry.lsn);
                return Ok(Restored { partition, snapshots: plan.snapshots, after: entry.lsn, newest, live: plan.live, bad });
            }
            Err(error) => {
                let reason = match &error {
                    Error::Log(e @ (weald_log::Error::Corrupt { .. } | weald_log::Error::Missing { .. })) => e.to_string(),
                    Error::Recovery { reason, .. } => reason.clone(),
                    // It may be readable the next time: not a reason to give it up.
                    Error::Log(_) | Error::Fault(_) => return Err(error),
                };
                tracing::error!(partition = %plan.live.name, %error, "a snapshot cannot be read; trying the one before it");
                bad.get_or_insert((entry, reason));
            }
        }
    }
    let partition = plan.empty(epoch, node);
    Ok(Restored { partition, snapshots: plan.snapshots, after: Lsn::ZERO, newest: 0, live: plan.live, bad })
}

fn read_snapshot(plan: &Plan, entry: &SnapshotEntry, partition: &Partition) -> Result<u64, Error> {
    let mut newest = 0;
    plan.live.change(|s| (s.doing, s.percent, s.rows) = (Doing::Snapshot, 0, 0));
    let mut reader = plan.snapshots.read(entry)?;
    loop {
        let total = reader.len_bytes();
        let read = reader.read_bytes();
        let Some(items) = reader.next_block()? else { break };
        for item in items {
            let at = snapshot::restore(partition, item)
                .map_err(|e| Error::Recovery { partition: plan.live.name.clone(), reason: format!("{}: {e}", entry.file) })?;
            newest = newest.max(at.raw());
        }
        let rows = partition.tables().iter().map(|t| t.row_count()).sum();
        plan.live.change(|s| (s.percent, s.rows) = (percent(read, total), rows));
    }
    Ok(newest)
}
