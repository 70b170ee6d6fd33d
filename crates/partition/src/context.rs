//! What the partitions of one node share.
//!
//! Owns:     the node's clock, open snapshots, waits-for graph and its counters.
//! Promises: one per node: a snapshot and a transaction mean the same in all its partitions.
//! Never:    holds rows.

use crate::commit_log::CommitLog;
use crate::read::Snapshot;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use tokio::sync::oneshot;
use weald_env::Env;
use weald_rowstore::NodeMemory;
use weald_txn::{HybridClock, Snapshots, WaitGraph};
use weald_types::{Timestamp, TxnId};

/// Waits that end when their transaction is chosen as the victim of a circle that goes over several nodes.
#[derive(Debug, Default)]
pub struct Victims {
    waits: Mutex<HashMap<TxnId, Vec<oneshot::Sender<()>>>>,
    /// This node is one of several, which may meet the same circle: all of them choose the same victim.
    pub together: AtomicBool,
}

impl Victims {
    /// Resolves once the transaction is chosen; never if nobody is left to do so.
    pub(crate) fn wait(&self, txn: TxnId) -> oneshot::Receiver<()> {
        let (tell, chosen) = oneshot::channel();
        let mut all = self.waits.lock();
        let waits = all.entry(txn).or_default();
        waits.retain(|w| !w.is_closed());
        waits.push(tell);
        chosen
    }
    /// Its waits are over.
    pub(crate) fn forget(&self, txn: TxnId) {
        let mut all = self.waits.lock();
        if let Some(waits) = all.get_mut(&txn) {
            waits.retain(|w| !w.is_closed());
            if waits.is_empty() {
                all.remove(&txn);
            }
        }
    }
    pub fn choose(&self, txn: TxnId) {
        let waits = self.waits.lock().remove(&txn);
        waits.into_iter().flatten().for_each(|tell| _ = tell.send(()));
    }
}

/// How often transactions waited for each other since the node started, and what came of it.
#[derive(Debug, Default)]
pub struct LockWaits {
    pub total: AtomicU64,
    pub micros: AtomicU64,
    pub timeouts: AtomicU64,
    pub deadlocks: AtomicU64,
}

pub struct NodeContext {
    pub env: Env,
    pub clock: HybridClock,
    pub snapshots: Arc<Snapshots>,
    pub waits: WaitGraph,
    pub victims: Victims,
    pub lock_waits: LockWaits,
    pub memory: Arc<NodeMemory>,
    pub log: Arc<dyn CommitLog>,
    /// A transaction that has changed so many bytes in a partition hands them to the log: see `large.rs`.
    pub part_bytes: AtomicUsize,
}

const PART_BYTES: usize = 4 << 20;

impl NodeContext {
    pub fn new(env: Env, log: Arc<dyn CommitLog>, memory: Arc<NodeMemory>) -> Arc<Self> {
        Arc::new(Self {
            env,
            clock: HybridClock::new(),
            snapshots: Snapshots::new(),
            waits: WaitGraph::new(),
            victims: Victims::default(),
            lock_waits: LockWaits::default(),
            memory,
            log,
            part_bytes: AtomicUsize::new(PART_BYTES),
        })
    }
    pub fn wall(&self) -> Timestamp {
        Timestamp::from_micros(self.env.clock.wall_micros())
    }
    /// A snapshot at a time that another node chose; `None`: versions of that time may be gone.
    pub fn snapshot_at(&self, at: Timestamp) -> Option<Snapshot> {
        self.snapshots.open_at(at).map(|lease| Snapshot::new(lease, None))
    }
    /// A snapshot of now, for a statement outside a transaction.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.snapshots.open(&self.clock, self.wall()), None)
    }
}
