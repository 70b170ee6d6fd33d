//! What the metadata group agrees on.
//!
//! Owns:     the catalogue and the topology.
//! Promises: ids are never reused; everything is ordered, so that equal states are equal bytes.
//! Never:    holds what one node knows by itself (addresses of connections, counters), nor who leads: the group that replicates this says so.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use weald_catalog::{Authority, CatalogView, ClusterView, Node, NodeState, Ports, Role, Topology};
use weald_types::{Generation, NodeId, NodeIdentity};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Grows by one with every command that was not refused.
    pub version: u64,
    pub catalog: Arc<CatalogView>,
    pub topology: Arc<Topology>,
    /// Every member holds the key, for every one of them may have to sign for a new one when it has become master.
    pub authority: Option<Arc<Authority>>,
    pub(crate) next_database: u32,
    pub(crate) next_table: u32,
    pub(crate) next_node: u32,
    /// Numbers for AUTO_INCREMENT, see [`Node::auto_increment`].
    pub(crate) next_auto_increment: u16,
}

impl State {
    /// Of nobody: what a cluster's first node starts from, and what a node that was added learns the rest of.
    pub fn fresh() -> Self {
        Self {
            version: 0,
            catalog: Arc::default(),
            topology: Arc::default(),
            authority: None,
            next_database: 1,
            next_table: 1,
            next_node: 1,
            next_auto_increment: 1,
        }
    }

    /// A cluster of one process, master aggregator and leaf in one, without an identity. BOOTSTRAP AGGREGATOR may give it one.
    pub fn bootstrap(node: NodeId, host: &str, port: u16) -> Self {
        let mut state = Self::fresh();
        let alone = Node {
            identity: NodeIdentity::UNKNOWN,
            role: Role::Both,
            host: host.into(),
            ports: Ports { mysql: port, ..Ports::default() },
            group: 1,
            state: NodeState::Online,
            auto_increment: 1,
        };
        state.topology = Arc::new(Topology { nodes: [(node, alone)].into(), ..Topology::default() });
        (state.next_node, state.next_auto_increment) = (node.raw() + 1, 2);
        state
    }

    /// The same, started anew from this copy: see [`Topology::generation`]. What was agreed on elsewhere is given up, but someone may have seen it, and another
    /// node may do the same at this moment: so that no number means two things, the versions' upper half says which generation they are of.
    pub fn in_generation(mut self, generation: Generation) -> Self {
        let (count, by) = (generation.raw() >> 32, generation.raw() & 0xFFFF);
        let within = |version: u64| (count << 48) | (by << 32) | (version & 0xFFFF_FFFF);
        Arc::make_mut(&mut self.topology).generation = generation;
        let catalog = Arc::make_mut(&mut self.catalog);
        catalog.version = within(catalog.version + 1);
        self.version = within(self.version + 1);
        self
    }

    /// What everyone may see of it.
    pub fn view(&self) -> ClusterView {
        ClusterView { version: self.version, catalog: self.catalog.clone(), topology: self.topology.clone() }
    }
}
