//! What the partitions of one node share.
//!
//! Owns:     the node's clock, open snapshots, waits-for graph.
//! Promises: one per node: a snapshot and a transaction mean the same in all its partitions.
//! Never:    holds rows.

use crate::commit_log::CommitLog;
use crate::read::Snapshot;
use std::sync::Arc;
use weald_env::Env;
use weald_rowstore::MemoryLimit;
use weald_txn::{HybridClock, Snapshots, WaitGraph};
use weald_types::Timestamp;

pub struct NodeContext {
    pub env: Env,
    pub clock: HybridClock,
    pub snapshots: Arc<Snapshots>,
    pub waits: WaitGraph,
    pub memory: Arc<MemoryLimit>,
    pub log: Arc<dyn CommitLog>,
}

impl NodeContext {
    pub fn new(env: Env, log: Arc<dyn CommitLog>, memory: Arc<MemoryLimit>) -> Arc<Self> {
        Arc::new(Self { env, clock: HybridClock::new(), snapshots: Snapshots::new(), waits: WaitGraph::new(), memory, log })
    }
    pub fn wall(&self) -> Timestamp {
        Timestamp::from_micros(self.env.clock.wall_micros())
    }
    /// A snapshot of now, for a statement outside a transaction.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.snapshots.open(&self.clock, self.wall()), None)
    }
}
