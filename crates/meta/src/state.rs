//! What the metadata group agrees on.
//!
//! Owns:     the catalogue and the topology.
//! Promises: ids are never reused; everything is ordered, so that equal states are equal bytes.
//! Never:    holds what one node knows by itself (addresses of connections, counters).

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weald_catalog::CatalogView;
use weald_types::{Epoch, NodeId, PartitionId};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The reign of the master aggregator.
    pub term: u64,
    pub catalog: Arc<CatalogView>,
    pub nodes: BTreeMap<NodeId, NodeInfo>,
    pub places: BTreeMap<PartitionId, Place>,
    pub(crate) next_database: u32,
    pub(crate) next_table: u32,
}

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    pub host: Box<str>,
    pub port: u16,
    pub aggregator: bool,
    pub leaf: bool,
}

/// Who holds a partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub primary: NodeId,
    pub epoch: Epoch,
    /// The primary included.
    pub in_sync: BTreeSet<NodeId>,
}

impl State {
    /// A new cluster's, with `node` as its only member, master aggregator and leaf in one.
    pub fn bootstrap(node: NodeId, host: &str, port: u16) -> Self {
        let info = NodeInfo { host: host.into(), port, aggregator: true, leaf: true };
        Self {
            term: 1,
            catalog: Arc::new(CatalogView::default()),
            nodes: [(node, info)].into(),
            places: BTreeMap::new(),
            next_database: 1,
            next_table: 1,
        }
    }

    pub fn leaves(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().filter(|(_, n)| n.leaf).map(|(id, _)| *id)
    }
}
