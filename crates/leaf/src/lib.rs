//! The role that holds data: the partitions of one node, their log, snapshots and recovery.
//!
//! Owns:     the partitions of this node, the node's log, the snapshot files.
//! Promises: after [`Leaf::recover`] every acknowledged commit is there, and no half of any other; before it, no table is available, and changes are refused.
//! Never:    decides which partitions it holds: the catalogue says.
//! See:      docs/format/wal.md, docs/format/snapshot.md

mod commit_log;
mod error;
mod recover;
mod snapshot;
mod status;

pub use error::Error;
pub use status::{Doing, PartitionStatus, Phase, Recovery};

use commit_log::NodeLog;
use parking_lot::Mutex;
use status::{Board, Live};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use weald_catalog::{ClusterView, DatabaseDef, NodeState, Topology};
use weald_env::Env;
use weald_exec::{Engine, Home};
use weald_log::{DataDir, Log, Options, PartitionLog, SnapshotStore};
use weald_partition::{NodeContext, NodeMemory, Partition};
use weald_types::{Epoch, Fault, Lsn, NodeId, PartitionId};

/// The log may be so many times as long as it takes for one partition's snapshot; beyond that, those who keep it long are made to take theirs.
const LOG_LENGTH_MOST: u64 = 32;
/// Rows looked at before the next partition has its turn.
const GARBAGE_AT_ONCE: usize = 10_000;

pub struct Leaf {
    pub engine: Arc<Engine>,
    env: Env,
    dir: Arc<DataDir>,
    node_log: Arc<NodeLog>,
    /// There once recovery has read it.
    log: OnceLock<Arc<Log>>,
    held: Mutex<BTreeMap<PartitionId, Arc<Held>>>,
    board: Board,
    pub snapshots: SnapshotCounts,
    /// Who this node is; it is not known before the node is in a cluster, and until then it holds nothing.
    me: OnceLock<NodeId>,
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
    pub live: Arc<Live>,
}

/// Snapshots since the node started, for those who measure.
#[derive(Debug, Default)]
pub struct SnapshotCounts {
    pub taken: AtomicU64,
    pub failed: AtomicU64,
    pub bytes: AtomicU64,
    pub micros: AtomicU64,
}

impl Leaf {
    /// A leaf that has not recovered: its tables are not available yet, its state can be watched.
    pub fn new(env: &Env, dir: &Arc<DataDir>, view: &ClusterView, me: Option<NodeId>, memory: Arc<NodeMemory>) -> Arc<Self> {
        let node_log = Arc::new(NodeLog::default());
        let engine = Engine::new(NodeContext::new(env.clone(), node_log.clone(), memory));
        engine.recovering.store(true, Relaxed);
        let board = Board::default();
        for (d, id) in partitions_on(view, me) {
            board.put(id, &d.name, PartitionStatus::new(Phase::Recovering));
        }
        let leaf = Self {
            engine,
            env: env.clone(),
            dir: dir.clone(),
            node_log,
            log: OnceLock::new(),
            held: Mutex::default(),
            board,
            snapshots: SnapshotCounts::default(),
            me: OnceLock::new(),
            prepared: Mutex::default(),
        };
        if let Some(me) = me {
            leaf.set_me(me);
        }
        Arc::new(leaf)
    }

    /// The node has become a member of a cluster, or is one.
    pub fn set_me(&self, me: NodeId) {
        if self.me.set(me).is_ok() {
            self.engine.set_node(me);
        }
    }

    /// Recovers every partition that this node has in `view`, in parallel, on up to `workers` threads; then they are PENDING: nothing is served before
    /// [`Leaf::take_up`]. Blocks; call it once.
    pub fn recover(&self, view: &ClusterView, epoch: Epoch, workers: usize) -> Result<(), Error> {
        self.recover_with(view, epoch, workers, Options::default())
    }

    /// As [`Leaf::recover`], with a log of other measures.
    pub fn recover_with(&self, view: &ClusterView, epoch: Epoch, workers: usize, options: Options) -> Result<(), Error> {
        let mine = partitions_on(view, self.me.get().copied());
        let recovered = recover::recover(&self.env, &self.dir, mine, epoch, &self.engine.node, workers, options, &self.board)?;
        let log = Arc::new(recovered.log);
        self.node_log.set(log.clone());
        self.engine.branches.restore(recovered.in_doubt, recovered.decided);
        for r in recovered.partitions {
            let id = r.partition.id();
            let partition_log = log.partition(id, r.after);
            let bytes = partition_log.bytes();
            let rows = r.partition.tables().iter().map(|t| t.row_count()).sum();
            r.live.change(|s| (s.phase, s.rows) = (Phase::Pending, rows));
            let held = Held {
                partition: r.partition,
                log: partition_log,
                snapshots: Mutex::new(r.snapshots),
                bytes_at_snapshot: Mutex::new(bytes.saturating_sub(r.replayed_bytes)),
                live: r.live,
            };
            self.held.lock().insert(id, Arc::new(held));
        }
        if self.me.get().is_some() {
            // A node that is of no cluster any more keeps what it had, for whoever wants it.
            snapshot::remove_leftovers(&self.env, &self.dir, &self.held.lock().keys().copied().collect());
        }
        // Only now: with a log, the leaf takes changes.
        let _ = self.log.set(log);
        Ok(())
    }

    /// The partitions that have recovered begin to serve: the cluster counts on this node for them. `view` is what they were recovered by, or what has been
    /// followed since.
    pub fn take_up(&self, view: &ClusterView) {
        let all: Vec<Arc<Held>> = self.held.lock().values().cloned().collect();
        let pending: Vec<_> = all.iter().filter(|h| h.live.is(Phase::Pending)).collect();
        if !pending.is_empty() {
            tracing::info!(partitions = pending.len(), "partitions are TRANSITIONING");
        }
        pending.iter().for_each(|h| h.live.change(|s| s.phase = Phase::Transitioning));
        self.number(&view.topology);
        for d in view.catalog.databases.values() {
            self.publish(d, &view.topology);
        }
        self.engine.set_followed(view.catalog.version);
        self.engine.recovering.store(false, Relaxed);
        pending.iter().for_each(|h| h.live.change(|s| s.phase = Phase::Online));
        if !pending.is_empty() {
            tracing::info!(partitions = pending.len(), "partitions are ONLINE");
        }
    }

    /// Whether [`Leaf::take_up`] has happened.
    pub fn is_taken_up(&self) -> bool {
        !self.engine.recovering.load(Relaxed)
    }

    /// Whether recovery is over.
    pub fn is_recovered(&self) -> bool {
        self.log.get().is_some()
    }
    pub fn recovery(&self) -> Recovery {
        self.board.recovery()
    }

    /// The fault of a change that comes before recovery is over.
    fn recovered_log(&self) -> Result<&Arc<Log>, Fault> {
        self.log.get().ok_or_else(|| Fault::PartitionUnavailable { partition: "*".into(), reason: self.recovering() })
    }
    pub fn recovering(&self) -> String {
        format!("the node is recovering, {}% done; wait for it, information_schema.MV_RECOVERY_STATUS shows how far it is", self.recovery().percent)
    }

    /// Tells the engine which AUTO_INCREMENT values are this node's to give out, all of them where it is a cluster of one; and whether others meet the same
    /// deadlocks.
    fn number(&self, topology: &Topology) {
        let me = self.me.get().and_then(|me| topology.nodes.get(me)).filter(|_| topology.cluster.is_some());
        self.engine.set_auto_increment_number(me.map_or(0, |me| me.auto_increment));
        self.engine.node.victims.together.store(me.is_some(), Relaxed);
    }

    /// Tells the engine where a database's partitions are.
    fn publish(&self, d: &DatabaseDef, topology: &Topology) {
        let held = self.held.lock();
        let detached = |node: NodeId| topology.nodes.get(&node).is_none_or(|n| n.state == NodeState::Detached);
        let home = |id: PartitionId| match (held.get(&id), topology.places.get(&id).and_then(|p| p.primary)) {
            (Some(held), _) => Home::Here(held.partition.clone()),
            // It is to be here, and could not be recovered.
            (None, Some(node)) if Some(&node) == self.me.get() => Home::Nowhere,
            // An operator has taken its leaf out.
            (None, Some(node)) if detached(node) => Home::Nowhere,
            (None, Some(node)) => Home::There(node),
            (None, None) => Home::Nowhere,
        };
        self.engine.put_database(d.id, d.partition_ids().map(home).collect());
    }

    /// Does beforehand what can fail in following the catalogue to `new`, so that a change that has been made durable can be followed. If it is not
    /// made after all, empty directories stay, which the next change of the kind uses or the next start removes.
    pub fn prepare(&self, new: &ClusterView) -> Result<(), Fault> {
        for (_, id) in partitions_on(new, self.me.get().copied()) {
            if self.held.lock().contains_key(&id) {
                continue;
            }
            let store = SnapshotStore::open(&self.env, &self.dir.snapshots_of(id), id).map_err(|e| commit_log::fault(id, &e))?;
            self.prepared.lock().insert(id, store);
        }
        Ok(())
    }

    /// Follows the cluster from one version to the next: makes, changes and drops what it says of this node's partitions. Call it once the change is decided:
    /// it does not wait for anyone, so whoever decided a drop has seen to it that no transaction has changes in the table.
    pub fn follow(&self, old: &ClusterView, new: &ClusterView) -> Result<(), Fault> {
        let moved = old.topology != new.topology;
        let topology = &new.topology;
        if moved {
            self.number(topology);
        }
        let (old, new) = (&*old.catalog, &*new.catalog);
        let now = self.engine.node.clock.now(self.engine.node.wall());
        for (name, d) in &new.databases {
            let before = old.databases.get(name).filter(|o| o.id == d.id);
            if before.is_none() {
                self.create_database(d, topology)?;
            } else if moved {
                self.publish(d, topology);
            }
            for t in d.stored_tables() {
                let known = before.and_then(|b| b.stored_tables().find(|o| o.id == t.id));
                // It has taken the place of another, whose rows of before are not its own.
                if before.is_some_and(|b| b.building.contains_key(&t.id)) && !d.building.contains_key(&t.id) {
                    let made = |p: &Arc<Partition>| p.current_table(t.id);
                    self.engine.partitions_here(t)?.iter().filter_map(made).for_each(|made| made.set_readable_from(now));
                }
                if known.is_some_and(|o| o.version == t.version) {
                    continue;
                }
                for p in self.engine.partitions_here(t)? {
                    match known {
                        None => {
                            p.create_table(t.clone());
                            // A snapshot of before may have seen another table of this name.
                            if let Some(made) = p.current_table(t.id) {
                                made.set_readable_from(now);
                            }
                        }
                        Some(_) => p.change_table(t.clone()),
                    }
                }
            }
        }
        for d in old.databases.values() {
            let after = new.databases.values().find(|n| n.id == d.id);
            for t in d.stored_tables().filter(|t| !after.is_some_and(|a| a.stored_tables().any(|n| n.id == t.id))) {
                for p in self.engine.partitions_here(t)? {
                    p.drop_table(t.id);
                }
            }
            if after.is_none() {
                self.drop_database(d);
            }
        }
        self.engine.set_followed(new.version);
        Ok(())
    }

    fn create_database(&self, d: &DatabaseDef, topology: &Topology) -> Result<(), Fault> {
        for id in d.partition_ids().filter(|id| is_on(topology, *id, self.me.get().copied())) {
            let partition = Partition::new(id, Epoch::FIRST, self.engine.node.clone());
            let prepared = self.prepared.lock().remove(&id);
            let snapshots = match prepared {
                Some(store) => store,
                None => SnapshotStore::open(&self.env, &self.dir.snapshots_of(id), id).map_err(|e| commit_log::fault(id, &e))?,
            };
            let log = self.recovered_log()?.partition(id, Lsn::ZERO);
            let live = self.board.put(id, &d.name, PartitionStatus::new(Phase::Online));
            let held = Held { partition, log, snapshots: Mutex::new(snapshots), bytes_at_snapshot: Mutex::new(0), live };
            self.held.lock().insert(id, Arc::new(held));
        }
        self.publish(d, topology);
        Ok(())
    }

    fn drop_database(&self, d: &DatabaseDef) {
        self.engine.remove_database(d.id);
        for id in d.partition_ids() {
            if self.held.lock().remove(&id).is_none() {
                continue;
            }
            self.board.remove(id);
            if let Some(log) = self.log.get()
                && let Err(error) = log.forget(id)
            {
                tracing::warn!(%error, partition = format!("{}:{}", d.name, id.ordinal()), "the log of a dropped partition could not be forgotten");
            }
            snapshot::remove_files(&self.env, &self.dir.snapshots_of(id));
        }
    }

    /// (partition, state) of all.
    pub fn status(&self) -> Vec<(PartitionId, PartitionStatus)> {
        self.board.all()
    }

    /// The partitions that wrote much since their newest snapshot.
    fn due(&self, trigger_bytes: u64) -> Vec<Arc<Held>> {
        self.held.lock().values().filter(|h| h.log.bytes().saturating_sub(*h.bytes_at_snapshot.lock()) > trigger_bytes).cloned().collect()
    }

    /// Snapshots of all partitions of a database.
    pub fn snapshot_database(&self, d: &DatabaseDef, keep: usize, runtime: &tokio::runtime::Handle) -> Result<(), Error> {
        for id in d.partition_ids() {
            let Some(held) = self.held.lock().get(&id).cloned() else { continue };
            self.snapshot(&held, keep, runtime)?;
        }
        Ok(())
    }

    fn snapshot(&self, held: &Held, keep: usize, runtime: &tokio::runtime::Handle) -> Result<(), Error> {
        let log = self.recovered_log()?;
        let begun = self.env.clock.now();
        let done = snapshot::take(held, log, keep, runtime);
        let counts = &self.snapshots;
        match done {
            // Nothing was written since the newest.
            Ok(None) => Ok(()),
            Ok(Some(taken)) => {
                counts.taken.fetch_add(1, Relaxed);
                counts.bytes.fetch_add(taken.bytes, Relaxed);
                counts.micros.fetch_add((self.env.clock.now() - begun).as_micros() as u64, Relaxed);
                Ok(())
            }
            Err(error) => {
                counts.failed.fetch_add(1, Relaxed);
                Err(error)
            }
        }
    }

    /// Takes the snapshots that are due, and lets old log go. Call it every second or so, on a thread that may block; after an error, later. One
    /// partition's error does not keep the others from having theirs.
    pub fn take_due_snapshots(&self, trigger_bytes: u64, keep: usize, runtime: &tokio::runtime::Handle) -> Result<(), Error> {
        let Some(log) = self.log.get() else { return Ok(()) };
        let mut done = Ok(());
        for held in self.due(trigger_bytes) {
            done = done.and(self.snapshot(&held, keep, runtime));
        }
        let all: Vec<Arc<Held>> = self.held.lock().values().cloned().collect();
        for held in &all {
            done = done.and(snapshot::trim(held, log, keep));
        }
        if log.size_bytes() > trigger_bytes.saturating_mul(LOG_LENGTH_MOST) {
            let laggards = log.laggards();
            for held in all.iter().filter(|h| laggards.contains(&h.partition.id())) {
                done = done.and(self.snapshot(held, keep, runtime).and_then(|()| snapshot::catch_up(held, log)));
            }
        }
        done
    }

    /// Frees versions that nobody can see any more, for at most `time`. Call it every second or so.
    pub fn collect_garbage(&self, time: Duration) {
        let partitions: Vec<Arc<Partition>> = self.held.lock().values().map(|h| h.partition.clone()).collect();
        let begun = self.env.clock.now();
        let mut busy = true;
        while busy && self.env.clock.now() - begun < time {
            busy = false;
            for p in &partitions {
                busy |= p.collect_garbage(self.engine.horizon(), GARBAGE_AT_ONCE) >= GARBAGE_AT_ONCE;
            }
        }
    }

    /// Resolves once every commit so far is durable, also those that were answered before they were.
    pub async fn flushed(&self) -> Result<(), Fault> {
        self.engine.node.log.flushed().await
    }
    /// No commit is taken any more until a restart, for the reason that `failure` says.
    pub fn refuse_commits(&self, failure: weald_log::Error) {
        if let Some(log) = self.log.get() {
            log.refuse(failure);
        }
    }
    /// Everything appended is durable, and the log takes no more.
    pub fn close(&self) {
        if let Some(log) = self.log.get() {
            log.close();
        }
    }
    /// The node's log; none before recovery has read it.
    pub fn log(&self) -> Option<&Arc<Log>> {
        self.log.get()
    }
}

fn is_on(topology: &Topology, partition: PartitionId, node: Option<NodeId>) -> bool {
    node.is_some() && topology.places.get(&partition).is_some_and(|place| place.primary == node)
}

/// The partitions that `node` has.
fn partitions_on(view: &ClusterView, node: Option<NodeId>) -> Vec<(&DatabaseDef, PartitionId)> {
    let of = |d: &'_ DatabaseDef| d.partition_ids().filter(|id| is_on(&view.topology, *id, node)).collect::<Vec<_>>();
    view.catalog.databases.values().flat_map(|d| of(d).into_iter().map(move |id| (&**d, id))).collect()
}
