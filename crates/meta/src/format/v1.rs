//! States of version 1: one process, before clusters had identities.
//!
//! Owns:     nothing.
//! Promises: everything that was in such a state is in the one made of it.
//! Never:    written any more. This reader dies with release 1.0: no release has written version 1, only builds before the first one.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weald_catalog::{CatalogView, Node, NodeState, Ports, Role, Topology};
use weald_types::{Epoch, NodeId, NodeIdentity, PartitionId};

#[derive(Deserialize)]
pub struct State {
    _term: u64,
    catalog: Arc<CatalogView>,
    nodes: BTreeMap<NodeId, NodeInfo>,
    places: BTreeMap<PartitionId, Place>,
    next_database: u32,
    next_table: u32,
}

#[derive(Deserialize)]
struct NodeInfo {
    host: Box<str>,
    port: u16,
    aggregator: bool,
    leaf: bool,
}

#[derive(Deserialize)]
struct Place {
    primary: NodeId,
    epoch: Epoch,
    in_sync: BTreeSet<NodeId>,
}

impl From<State> for crate::State {
    fn from(old: State) -> Self {
        let mut next_auto_increment: u16 = 1;
        let mut node = |n: NodeInfo| {
            let role = match (n.aggregator, n.leaf) {
                (true, true) => Role::Both,
                (false, true) => Role::Leaf,
                (_, false) => Role::Aggregator,
            };
            let auto_increment = if role == Role::Leaf { 0 } else { next_auto_increment };
            next_auto_increment = next_auto_increment.saturating_add(u16::from(auto_increment > 0));
            Node {
                identity: NodeIdentity::UNKNOWN,
                role,
                host: n.host,
                ports: Ports { mysql: n.port, ..Ports::default() },
                group: u8::from(role != Role::Aggregator),
                state: NodeState::Online,
                auto_increment,
            }
        };
        let nodes: BTreeMap<_, _> = old.nodes.into_iter().map(|(id, n)| (id, node(n))).collect();
        let place = |p: Place| {
            let replicas = p.in_sync.iter().copied().filter(|n| *n != p.primary).collect();
            weald_catalog::Place { primary: Some(p.primary), epoch: p.epoch, in_sync: p.in_sync, replicas }
        };
        let places = old.places.into_iter().map(|(id, p)| (id, place(p))).collect();
        let next_node = nodes.keys().next_back().map_or(1, |n| n.raw().saturating_add(1));
        Self {
            version: old.catalog.version,
            catalog: old.catalog,
            topology: Arc::new(Topology { nodes, places, ..Topology::default() }),
            authority: None,
            next_database: old.next_database,
            next_table: old.next_table,
            next_node,
            next_auto_increment,
        }
    }
}
