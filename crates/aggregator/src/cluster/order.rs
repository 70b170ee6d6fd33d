//! Orders about the cluster, as the statements give them.
//!
//! Owns:     nothing.
//! Promises: one variant a verb; what a statement leaves out is `None` here, not a guess. The account has been found to be allowed it.
//! Never:    carried out here: see [`crate::server::Metadata::order`].

use std::fmt;

/// `'host'[:port]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub host: Box<str>,
    pub port: Option<u16>,
}

/// By what account the node that is added is entered; a node that has its secret from a file needs none.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: Box<str>,
    pub password: Option<Box<str>>,
}

/// REMOVE LEAF … FORCE and the like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Refused where something would be given up.
    Safe,
    /// What is in the way is given up.
    Force,
}

/// ATTACH LEAF … [NO REBALANCE]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebalance {
    Yes,
    No,
}

/// Nodes are named by the address at which clients reach them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterOrder {
    /// `None`: as this node is reached by itself.
    Bootstrap {
        at: Option<Address>,
    },
    AddAggregator {
        node: Address,
        credentials: Option<Credentials>,
    },
    RemoveAggregator {
        node: Address,
    },
    AddLeaf {
        node: Address,
        credentials: Option<Credentials>,
        group: Option<u8>,
    },
    RemoveLeaf {
        node: Address,
        force: Force,
    },
    /// Safe: refused if it holds the last copy of a partition that is online (ENSURE_PARTITION_SAFETY).
    DetachLeaf {
        node: Address,
        force: Force,
    },
    /// Force: what conflicts with the cluster's partitions is left as orphans.
    AttachLeaf {
        node: Address,
        force: Force,
        rebalance: Rebalance,
    },
    /// Every leaf that is detached.
    AttachAllLeaves {
        rebalance: Rebalance,
    },
    /// Partitions on leaves that the metadata does not know of.
    ClearOrphanDatabases,
    /// AGGREGATOR SET AS MASTER, on the node that it is said to.
    SetAsMaster,
    /// PROMOTE AGGREGATOR … TO MASTER
    Promote {
        node: Address,
    },
}

impl ClusterOrder {
    /// As the statement begins.
    pub fn name(&self) -> &'static str {
        match self {
            ClusterOrder::Bootstrap { .. } => "BOOTSTRAP AGGREGATOR",
            ClusterOrder::AddAggregator { .. } => "ADD AGGREGATOR",
            ClusterOrder::RemoveAggregator { .. } => "REMOVE AGGREGATOR",
            ClusterOrder::AddLeaf { .. } => "ADD LEAF",
            ClusterOrder::RemoveLeaf { .. } => "REMOVE LEAF",
            ClusterOrder::DetachLeaf { .. } => "DETACH LEAF",
            ClusterOrder::AttachLeaf { .. } => "ATTACH LEAF",
            ClusterOrder::AttachAllLeaves { .. } => "ATTACH LEAF ALL",
            ClusterOrder::ClearOrphanDatabases => "CLEAR ORPHAN DATABASES",
            ClusterOrder::SetAsMaster => "AGGREGATOR SET AS MASTER",
            ClusterOrder::Promote { .. } => "PROMOTE AGGREGATOR",
        }
    }
}

impl Address {
    /// Where none is written.
    pub const DEFAULT_PORT: u16 = 3306;

    pub fn mysql_port(&self) -> u16 {
        self.port.unwrap_or(Self::DEFAULT_PORT)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}':{}", self.host, self.mysql_port())
    }
}

/// The password is not for logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = if self.password.is_some() { "a" } else { "no" };
        write!(f, "Credentials({} with {password} password)", self.user)
    }
}
