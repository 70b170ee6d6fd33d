//! What one node sees of the cluster, beside what the metadata expects of it.
//!
//! Owns:     nothing.
//! Promises: what was seen, or told by the node that it is about; what is not known is `None`, not a guess.
//! Never:    agreed on: two nodes may see different things, and neither is wrong.

use std::collections::BTreeMap;
use std::time::Duration;
use weald_types::{Epoch, Lsn, NodeId, PartitionId};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Who leads, if this node has heard from it lately, or is it.
    pub master: Option<NodeId>,
    /// Members that are missing here have not been heard of since this process began.
    pub nodes: BTreeMap<NodeId, NodeSeen>,
}

/// One member, as this node sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSeen {
    pub reach: Reach,
    /// Connections that this node has open to it; of this node itself, its clients'.
    pub connections: Option<u64>,
    /// As it last told of itself.
    pub told: Option<Told>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This node.
    Itself,
    Reachable {
        /// Of the last exchanges, on average; None before the first.
        round_trip: Option<Duration>,
    },
    /// It refuses connections, or has not answered for too long.
    Unreachable,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub stage: NodeStage,
    pub figures: Figures,
    /// What it has of the metadata, as `<generation>:<commands>`.
    pub metadata: Option<(u64, u64)>,
    /// Every copy of a partition that it has, those that the metadata does not know of included.
    pub copies: BTreeMap<PartitionId, Copy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeStage {
    /// Its process has begun; nothing has been read yet.
    Starting,
    Recovering,
    /// It has what it had, and waits for the master to take it up again.
    Pending,
    Online,
    /// At least one partition could not be recovered; the others are served.
    RecoveryFailed,
    Stopping,
}

/// Of MV_NODES.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    pub cpus: u32,
    /// maximum_memory and maximum_table_memory.
    pub memory_limit_bytes: u64,
    pub table_memory_limit_bytes: u64,
    pub memory_bytes: u64,
    pub table_memory_bytes: u64,
    /// Of the file system that its data directory is on.
    pub disk_bytes: Option<u64>,
    pub free_disk_bytes: Option<u64>,
    pub uptime: Duration,
    pub version: Box<str>,
}

/// One copy of a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    pub role: CopyRole,
    pub phase: CopyPhase,
    /// Of the reign that it knows of.
    pub epoch: Option<Epoch>,
    /// What it holds, as `<file>:<offset>`.
    pub position: Option<(u64, u64)>,
    /// Of a replica: who it gets its records from.
    pub follows: Option<NodeId>,
    /// From the start of its process until it is online.
    pub recovery: Option<CopyRecovery>,
    pub details: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyRole {
    Primary,
    Replica,
}

/// In the order of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyPhase {
    Recovering,
    /// It has recovered, and waits for the master.
    Pending,
    /// Its role is being changed.
    Transitioning,
    Online,
    /// Follows a primary.
    Replicating,
    Failed,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CopyRecovery {
    /// "Recovering snapshot from disk", "Recovering log files from disk"; None while it waits for its turn, or for nothing any more.
    pub doing: Option<&'static str>,
    /// Of what it is doing.
    pub percent: u8,
    pub replayed: Lsn,
    pub snapshot: Lsn,
}

impl NodeStage {
    /// As SHOW LEAVES EXTENDED prints it.
    pub fn name(self) -> &'static str {
        match self {
            NodeStage::Starting => "starting",
            NodeStage::Recovering => "recovering",
            NodeStage::Pending => "pending",
            NodeStage::Online => "online",
            NodeStage::RecoveryFailed => "recovery_failed",
            NodeStage::Stopping => "stopping",
        }
    }
}

impl CopyPhase {
    /// As SHOW CLUSTER STATUS prints it.
    pub fn name(self) -> &'static str {
        match self {
            CopyPhase::Recovering => "recovering",
            CopyPhase::Pending => "pending",
            CopyPhase::Transitioning => "transition",
            CopyPhase::Online => "online",
            CopyPhase::Replicating => "replicating",
            CopyPhase::Failed => "unrecoverable",
        }
    }
    /// As MV_RECOVERY_STATUS and the log print it.
    pub fn recovery_name(self) -> &'static str {
        match self {
            CopyPhase::Recovering => "RECOVERING",
            CopyPhase::Pending => "PENDING",
            CopyPhase::Transitioning => "TRANSITIONING",
            CopyPhase::Online | CopyPhase::Replicating => "ONLINE",
            CopyPhase::Failed => "RECOVERY_FAILED",
        }
    }
}
