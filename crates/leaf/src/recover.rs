//! Restart of a node's partitions: newest good snapshot, then the log after it, all partitions at once.
//!
//! Owns:     nothing; builds partitions and hands them over.
//! Promises: the result holds every acknowledged commit, and no half of any. Damage that cannot be passed over is an error that names file and offset.
//! Never:    changes a table except through [`Partition::replay`] and `snapshot::restore`, which are the live path's own function.

use crate::Error;
use crate::status::{PartitionStatus, Phase};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use weald_catalog::{CatalogView, Sharding};
use weald_env::Env;
use weald_log::{DataDir, Log, Options, Progress, Record, Replay, SnapshotStore};
use weald_partition::{NodeContext, Partition, snapshot};
use weald_types::{Epoch, Lsn, PartitionId};

pub struct Recovered {
    pub log: Log,
    pub partitions: Vec<RecoveredPartition>,
}
pub struct RecoveredPartition {
    pub partition: Arc<Partition>,
    pub snapshots: SnapshotStore,
    pub after: Lsn,
    pub replayed_bytes: u64,
    pub status: PartitionStatus,
}

struct Target {
    partition: Arc<Partition>,
    after: Lsn,
    replayed: AtomicU64,
    replayed_bytes: AtomicU64,
    newest: AtomicU64,
    failure: Mutex<Option<String>>,
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
        match t.partition.replay(r.payload) {
            Ok(at) => {
                t.newest.fetch_max(at.raw(), Ordering::Relaxed);
                t.replayed.store(r.lsn.raw(), Ordering::Relaxed);
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

#[allow(clippy::too_many_arguments)]
pub fn recover(
    env: &Env,
    dir: &DataDir,
    catalog: &CatalogView,
    epoch: Epoch,
    node: &Arc<NodeContext>,
    workers: usize,
    options: Options,
    progress: &Progress,
) -> Result<Recovered, Error> {
    // Partitions with empty tables.
    let mut empty = Vec::new();
    for d in catalog.databases.values() {
        for id in d.partition_ids() {
            let partition = Partition::new(id, epoch, node.clone());
            for t in d.stored_tables() {
                let here = match &t.sharding {
                    Sharding::Single { ordinal } => ordinal % d.partitions.max(1) == id.ordinal(),
                    Sharding::Reference => id.ordinal() == 0,
                    Sharding::Hash { .. } | Sharding::RowId => true,
                };
                if here {
                    partition.create_table(t.clone());
                }
            }
            empty.push((partition, SnapshotStore::open(env, &dir.snapshots_of(id), id)?));
        }
    }
    if !empty.is_empty() {
        tracing::info!(partitions = empty.len(), "replaying snapshots");
    }
    let restored = restore_all(empty, workers)?;
    let mut newest = 0;
    let mut stores = BTreeMap::new();
    let mut targets = BTreeMap::new();
    for r in restored {
        newest = newest.max(r.newest);
        let id = r.partition.id();
        stores.insert(id, (r.snapshots, r.rows));
        targets.insert(
            id,
            Target {
                partition: r.partition,
                after: r.after,
                replayed: AtomicU64::new(r.after.raw()),
                replayed_bytes: AtomicU64::new(0),
                newest: AtomicU64::new(0),
                failure: Mutex::new(None),
            },
        );
    }
    let found = Log::open(env, &dir.log(), options)?;
    if !targets.is_empty() {
        tracing::info!(bytes = found.bytes(), "replaying log");
    }
    let sink = Sink { targets };
    let log = found.replay(&sink, workers, progress)?;
    let mut partitions = Vec::new();
    for (id, t) in sink.targets {
        newest = newest.max(t.newest.load(Ordering::Relaxed));
        if let Some(reason) = t.failure.into_inner() {
            return Err(Error::Recovery { partition: id, reason });
        }
        let Some((snapshots, rows)) = stores.remove(&id) else { continue };
        let status = PartitionStatus {
            phase: Phase::Online,
            doing: String::new(),
            snapshot_lsn: t.after,
            replayed_lsn: Lsn::new(t.replayed.load(Ordering::Relaxed)),
            rows,
            details: String::new(),
        };
        partitions.push(RecoveredPartition {
            partition: t.partition,
            snapshots,
            after: t.after,
            replayed_bytes: t.replayed_bytes.load(Ordering::Relaxed),
            status,
        });
    }
    // No new commit may lie below an old one.
    node.clock.restore(weald_types::Timestamp::new(newest));
    Ok(Recovered { log, partitions })
}

struct Restored {
    partition: Arc<Partition>,
    snapshots: SnapshotStore,
    after: Lsn,
    newest: u64,
    rows: u64,
}

/// Snapshots of all partitions, each on one thread.
fn restore_all(empty: Vec<(Arc<Partition>, SnapshotStore)>, workers: usize) -> Result<Vec<Restored>, Error> {
    let total = empty.len();
    let todo = Mutex::new(empty);
    let done = Mutex::new(Vec::new());
    let failed = Mutex::new(None);
    let finished = AtomicUsize::new(0);
    std::thread::scope(|s| {
        for _ in 0..workers.clamp(1, total.max(1)) {
            s.spawn(|| {
                loop {
                    let Some((partition, store)) = todo.lock().pop() else { return };
                    match restore_one(partition, store) {
                        Ok(r) => done.lock().push(r),
                        Err(e) => {
                            failed.lock().get_or_insert(e);
                            return;
                        }
                    }
                    let n = finished.fetch_add(1, Ordering::Relaxed) + 1;
                    tracing::info!(percent = n * 100 / total.max(1), "replaying snapshot");
                }
            });
        }
    });
    match failed.into_inner() {
        Some(e) => Err(e),
        None => Ok(done.into_inner()),
    }
}

/// The newest snapshot. One that cannot be read is an error that names the file: an older one with a longer log is not tried yet.
fn restore_one(partition: Arc<Partition>, store: SnapshotStore) -> Result<Restored, Error> {
    let entries = store.snapshots().to_vec();
    let Some(newest_entry) = entries.last() else {
        return Ok(Restored { partition, snapshots: store, after: Lsn::ZERO, newest: 0, rows: 0 });
    };
    let id = partition.id();
    let mut newest = 0;
    let mut rows = 0;
    let mut reader = store.read(newest_entry)?;
    while let Some(items) = reader.next_block()? {
        for item in items {
            let at = snapshot::restore(&partition, item).map_err(|e| Error::Recovery { partition: id, reason: e.to_string() })?;
            newest = newest.max(at.raw());
            rows += 1;
        }
    }
    let after = newest_entry.lsn;
    Ok(Restored { partition, snapshots: store, after, newest, rows })
}
