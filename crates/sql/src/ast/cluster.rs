//! Statements about the cluster, as written.
//!
//! Owns:     its text.
//! Promises: every form the parser accepts is here in full; nothing is dropped on the way.
//! Never:    resolves a name or a type.

use super::*;

/// `'host'[:port]`
#[derive(Clone, Debug, PartialEq)]
pub struct NodeAddress {
    pub host: String,
    pub port: Option<u16>,
}

/// `[user[:'password']@]'host'[:port]`
#[derive(Clone, Debug, PartialEq)]
pub struct NodeLogin {
    pub at: NodeAddress,
    pub user: Option<String>,
    pub password: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ClusterVerb {
    Bootstrap {
        at: Option<NodeAddress>,
    },
    AddAggregator(NodeLogin),
    RemoveAggregator(NodeAddress),
    AddLeaf {
        node: NodeLogin,
        group: Option<u64>,
    },
    RemoveLeaf {
        node: NodeAddress,
        force: bool,
    },
    DetachLeaf {
        node: NodeAddress,
        /** ENSURE_PARTITION_SAFETY; FORCE, which is what goes without saying, says the opposite */
        ensure_safety: bool,
    },
    AttachLeaf {
        node: NodeAddress,
        force: bool,
        no_rebalance: bool,
    },
    AttachAllLeaves {
        no_rebalance: bool,
    },
    SyncAutoIncrement {
        /** of all databases where None */
        database: Option<Ident>,
        /** of all tables where None */
        table: Option<Ident>,
        all_aggregators: bool,
    },
    ClearOrphanDatabases,
    SetAsMaster,
    PromoteAggregator(NodeAddress),
}
