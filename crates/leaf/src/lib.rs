//! The role that holds data: the partitions of one node, their log, snapshots and recovery.
//!
//! Owns:     the partitions of this node, the node's log, the snapshot files.
//! Promises: after [`Leaf::open`] every acknowledged commit is there, and no half of any other.
//! Never:    decides which partitions it holds: the catalogue says.
//! See:      docs/format/wal.md, docs/format/snapshot.md

mod commit_log;
mod error;
mod recover;
mod snapshot;
mod status;

pub use error::Error;
pub use status::{PartitionStatus, Phase};

use commit_log::NodeLog;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use weald_catalog::{CatalogView, DatabaseDef};
use weald_env::Env;
use weald_exec::Engine;
use weald_log::{DataDir, Log, Options, PartitionLog, Progress, SnapshotStore};
use weald_partition::{MemoryLimit, NodeContext, Partition};
use weald_types::{Epoch, Fault, Lsn, PartitionId};

/// The log may be so many times as long as it takes for one partition's snapshot; beyond that, those who keep it long are made to take theirs.
const LOG_LENGTH_MOST: u64 = 32;
pub struct Leaf {
    pub engine: Arc<Engine>,
    env: Env,
    dir: Arc<DataDir>,
    log: Arc<Log>,
    held: Mutex<BTreeMap<PartitionId, Arc<Held>>>,
    /// Directories of partitions that are about to be made: see [`Leaf::prepare`].
    prepared: Mutex<BTreeMap<PartitionId, SnapshotStore>>,
}

/// One partition and what belongs to it on disk.
pub(crate) struct Held {
    pub partition: Arc<Partition>,
    pub log: PartitionLog,
    pub snapshots: Mutex<SnapshotStore>,
    /// `log.bytes()` when the newest snapshot was begun.
    pub bytes_at_snapshot: Mutex<u64>,
    pub status: Mutex<PartitionStatus>,
}

impl Leaf {
    /// Recovers every partition of `catalog` from `dir`, in parallel, up to `workers` threads. `progress` can be watched meanwhile.
    pub fn open(
        env: &Env,
        dir: &Arc<DataDir>,
        catalog: &CatalogView,
        epoch: Epoch,
        workers: usize,
        memory: Arc<MemoryLimit>,
        progress: &Progress,
    ) -> Result<Arc<Self>, Error> {
        Self::open_with(env, dir, catalog, epoch, workers, memory, progress, Options::default())
    }

    /// As [`Leaf::open`], with a log of other measures.
    #[allow(clippy::too_many_arguments)]
    pub fn open_with(
        env: &Env,
        dir: &Arc<DataDir>,
        catalog: &CatalogView,
        epoch: Epoch,
        workers: usize,
        memory: Arc<MemoryLimit>,
        progress: &Progress,
        options: Options,
    ) -> Result<Arc<Self>, Error> {
        let node_log = Arc::new(NodeLog::default());
        let node = NodeContext::new(env.clone(), node_log.clone(), memory);
        let recovered = recover::recover(env, dir, catalog, epoch, &node, workers, options, progress)?;
        let log = Arc::new(recovered.log);
        node_log.set(log.clone());
        let engine = Engine::new(node);
        let mut held = BTreeMap::new();
        for r in recovered.partitions {
            let id = r.partition.id();
            let partition_log = log.partition(id, r.after);
            let bytes = partition_log.bytes();
            held.insert(
                id,
                Arc::new(Held {
                    partition: r.partition,
                    log: partition_log,
                    snapshots: Mutex::new(r.snapshots),
                    bytes_at_snapshot: Mutex::new(bytes.saturating_sub(r.replayed_bytes)),
                    status: Mutex::new(r.status),
                }),
            );
        }
        snapshot::remove_leftovers(env, dir, &held.keys().copied().collect());
        let leaf = Arc::new(Self { engine, env: env.clone(), dir: dir.clone(), log, held: Mutex::new(held), prepared: Mutex::default() });
        for d in catalog.databases.values() {
            leaf.publish(d);
        }
        Ok(leaf)
    }

    /// Tells the engine of a database's partitions.
    fn publish(&self, d: &DatabaseDef) {
        let held = self.held.lock();
        let partitions: Vec<Arc<Partition>> = d.partition_ids().filter_map(|id| held.get(&id).map(|h| h.partition.clone())).collect();
        if partitions.len() == d.partitions as usize {
            self.engine.put_database(d.id, partitions);
        }
    }

    /// Does beforehand what can fail in following the catalogue to `new`, so that a change that has been made durable can be followed. If it is not
    /// made after all, empty directories stay, which the next change of the kind uses or the next start removes.
    pub fn prepare(&self, new: &CatalogView) -> Result<(), Fault> {
        for d in new.databases.values() {
            for id in d.partition_ids().filter(|id| !self.held.lock().contains_key(id)) {
                let store = SnapshotStore::open(&self.env, &self.dir.snapshots_of(id), id).map_err(|e| commit_log::fault(id, &e))?;
                self.prepared.lock().insert(id, store);
            }
        }
        Ok(())
    }

    /// Follows the catalogue from one version to the next: makes, changes and drops what it says. Call it once the change is decided: it does not wait for
    /// anyone, so whoever decided a drop has seen to it that no transaction has changes in the table.
    pub fn follow(&self, old: &CatalogView, new: &CatalogView) -> Result<(), Fault> {
        for (name, d) in &new.databases {
            let before = old.databases.get(name).filter(|o| o.id == d.id);
            if before.is_none() {
                self.create_database(d)?;
            }
            for t in d.stored_tables() {
                let known = before.and_then(|b| b.stored_tables().find(|o| o.id == t.id));
                if known.is_some_and(|o| o.version == t.version) {
                    continue;
                }
                for p in self.engine.partitions_of(t)? {
                    match known {
                        None => p.create_table(t.clone()),
                        Some(_) => p.change_table(t.clone()),
                    }
                }
            }
        }
        for d in old.databases.values() {
            let after = new.databases.values().find(|n| n.id == d.id);
            for t in d.stored_tables().filter(|t| !after.is_some_and(|a| a.stored_tables().any(|n| n.id == t.id))) {
                for p in self.engine.partitions_of(t)? {
                    p.drop_table(t.id);
                }
            }
            if after.is_none() {
                self.drop_database(d);
            }
        }
        Ok(())
    }

    fn create_database(&self, d: &DatabaseDef) -> Result<(), Fault> {
        for id in d.partition_ids() {
            let partition = Partition::new(id, Epoch::FIRST, self.engine.node.clone());
            let prepared = self.prepared.lock().remove(&id);
            let snapshots = match prepared {
                Some(store) => store,
                None => SnapshotStore::open(&self.env, &self.dir.snapshots_of(id), id).map_err(|e| commit_log::fault(id, &e))?,
            };
            let log = self.log.partition(id, Lsn::ZERO);
            let held = Held {
                partition,
                log,
                snapshots: Mutex::new(snapshots),
                bytes_at_snapshot: Mutex::new(0),
                status: Mutex::new(PartitionStatus::fresh()),
            };
            self.held.lock().insert(id, Arc::new(held));
        }
        self.publish(d);
        Ok(())
    }

    fn drop_database(&self, d: &DatabaseDef) {
        self.engine.remove_database(d.id);
        for id in d.partition_ids() {
            self.held.lock().remove(&id);
            if let Err(error) = self.log.forget(id) {
                tracing::warn!(%error, partition = %id, "the log of a dropped partition could not be forgotten");
            }
            snapshot::remove_files(&self.env, &self.dir.snapshots_of(id));
        }
    }

    /// (partition, state) of all.
    pub fn status(&self) -> Vec<(PartitionId, PartitionStatus)> {
        self.held.lock().iter().map(|(id, h)| (*id, h.status.lock().clone())).collect()
    }

    /// Bytes of log since the newest snapshot.
    fn due(&self, trigger_bytes: u64) -> Vec<Arc<Held>> {
        self.held.lock().values().filter(|h| h.log.bytes().saturating_sub(*h.bytes_at_snapshot.lock()) > trigger_bytes).cloned().collect()
    }

    /// Snapshots of all partitions of a database.
    pub fn snapshot_database(&self, d: &DatabaseDef, keep: usize, runtime: &tokio::runtime::Handle) -> Result<(), Error> {
        for id in d.partition_ids() {
            let Some(held) = self.held.lock().get(&id).cloned() else { continue };
            snapshot::take(&held, &self.log, keep, runtime)?;
        }
        Ok(())
    }

    /// One round of housekeeping: snapshots that are due, garbage. Call it every second or so, on a thread that may block.
    pub fn tend(&self, trigger_bytes: u64, keep: usize, runtime: &tokio::runtime::Handle) {
        for held in self.due(trigger_bytes) {
            if let Err(error) = snapshot::take(&held, &self.log, keep, runtime) {
                tracing::error!(%error, partition = %held.partition.id(), "snapshot failed; it is tried again");
            }
        }
        let all: Vec<Arc<Held>> = self.held.lock().values().cloned().collect();
        for held in &all {
            if let Err(error) = snapshot::trim(held, &self.log, keep) {
                tracing::error!(%error, partition = %held.partition.id(), "the log could not be made shorter");
            }
        }
        if self.log.size_bytes() > trigger_bytes.saturating_mul(LOG_LENGTH_MOST) {
            let laggards = self.log.laggards();
            for held in all.iter().filter(|h| laggards.contains(&h.partition.id())) {
                if let Err(error) = snapshot::catch_up(held, &self.log, keep, runtime) {
                    tracing::error!(%error, partition = %held.partition.id(), "snapshot failed; it is tried again");
                }
            }
        }
        let partitions: Vec<Arc<Partition>> = self.held.lock().values().map(|h| h.partition.clone()).collect();
        for p in partitions {
            p.collect_garbage(10_000);
        }
    }

    /// Resolves once every commit so far is durable, also those that were answered before they were.
    pub async fn flushed(&self) -> Result<(), Fault> {
        self.engine.node.log.flushed().await
    }
    /// No commit is taken any more until a restart, for the reason that `failure` says.
    pub fn refuse_commits(&self, failure: weald_log::Error) {
        self.log.refuse(failure);
    }
    /// Everything appended is durable, and the log takes no more.
    pub fn close(&self) {
        self.log.close();
    }
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }
}
