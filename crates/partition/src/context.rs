//! What the partitions of one node share.
//!
//! Owns:     the node's clock, open snapshots, waits-for graph and its counters.
//! Promises: one per node: a snapshot and a transaction mean the same in all its partitions.
//! Never:    holds rows.

use crate::commit_log::CommitLog;
use crate::read::Snapshot;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use weald_env::Env;
use weald_rowstore::NodeMemory;
use weald_txn::{HybridClock, Snapshots, WaitGraph};
use weald_types::Timestamp;

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
