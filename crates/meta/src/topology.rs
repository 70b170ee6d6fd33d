//! Orders that change who is in the cluster and what it is.
//!
//! Owns:     nothing.
//! Promises: refuses with the number that MemSQL documents for the case; where it documents none, with that of the nearest of its kind, and a text that says it.
//! Never:    moves a partition that has a copy left, makes a primary of a node whose copy is not in sync.

use crate::State;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weald_catalog::{NewNode, Node, NodeState, Outcome, Role, Topology, TopologyCommand};
use weald_types::{Fault, NodeId, NodeIdentity};

/// Availability groups there can be: as many as copies of a partition.
const GROUPS_MOST: u8 = 3;

impl State {
    pub(crate) fn change_topology(&mut self, command: TopologyCommand) -> Result<Outcome, Fault> {
        let mut topology = Topology::clone(&self.topology);
        let outcome = self.change_nodes(&mut topology, command)?;
        self.topology = Arc::new(topology);
        Ok(outcome)
    }

    fn change_nodes(&mut self, t: &mut Topology, command: TopologyCommand) -> Result<Outcome, Fault> {
        match command {
            TopologyCommand::Bootstrap { cluster, authority, node, role } => {
                if t.cluster.is_some() {
                    return Err(fault(1753, "This node already belongs to a cluster".into()));
                }
                let id = match t.nodes.iter_mut().next() {
                    // It was a cluster of one; what it has it keeps.
                    Some((id, alone)) => {
                        alone.identity = node.identity;
                        alone.host = node.host;
                        alone.ports = node.ports;
                        *id
                    }
                    None if role == Role::Leaf => return Err(fault(1736, "A cluster's first node is an aggregator".into())),
                    None => self.add(t, node, role, if role == Role::Both { 1 } else { 0 })?,
                };
                t.cluster = Some(cluster);
                self.authority = Some(Arc::new(authority));
                Ok(Outcome::Node(id))
            }
            TopologyCommand::AddAggregator { node } => {
                in_cluster(t)?;
                free(t, &node)?;
                self.add(t, node, Role::Aggregator, 0).map(Outcome::Node)
            }
            TopologyCommand::AddLeaf { node, group } => {
                in_cluster(t)?;
                free(t, &node)?;
                let group = match group {
                    Some(g) if (1..=GROUPS_MOST).contains(&g) => g,
                    Some(g) => return Err(fault(1779, format!("Invalid availability group {g}: there are 1 to {GROUPS_MOST}"))),
                    // One copy of each partition needs one group; where an operator has begun others, the smallest is filled.
                    None => smallest_group(t),
                };
                self.add(t, node, Role::Leaf, group).map(Outcome::Node)
            }
            TopologyCommand::RemoveAggregator { node, master } => {
                // Proposed by someone who is no member any more.
                if !t.nodes.get(&master).is_some_and(|n| n.is_aggregator()) {
                    return Err(Fault::SchemaChanged);
                }
                let n = t.nodes.get(&node).filter(|n| n.is_aggregator()).ok_or_else(gone)?;
                if node == master || n.role == Role::Both {
                    return Err(fault(1753, format!("{} is the master aggregator and cannot be removed", called(n))));
                }
                t.nodes.remove(&node);
                Ok(Outcome::Done)
            }
            TopologyCommand::RemoveLeaf { node, force } => {
                let n = leaf(t, node)?;
                if n.role == Role::Both {
                    return Err(fault(1799, format!("{} is the master aggregator as well and cannot be removed", called(n))));
                }
                if t.leaves().count() == 1 && !t.places.is_empty() {
                    return Err(fault(1758, format!("{} is the last leaf, and there are databases", called(n))));
                }
                let only: Vec<_> = t.places.iter().filter(|(_, p)| p.primary == Some(node)).map(|(id, _)| *id).collect();
                if !force && !only.is_empty() {
                    let text =
                        format!("{} holds {} partition(s) that have to be moved to other leaves first; FORCE gives them up", called(n), only.len());
                    return Err(fault(1772, text));
                }
                for place in t.places.values_mut() {
                    place.replicas.remove(&node);
                    place.in_sync.remove(&node);
                    if place.primary == Some(node) {
                        // Whatever else there is was not asked: it is promoted by its own command, or stays what it is.
                        place.primary = None;
                        place.epoch = place.epoch.next();
                    }
                }
                t.nodes.remove(&node);
                Ok(Outcome::Done)
            }
            TopologyCommand::DetachLeaf { node } => {
                let n = leaf(t, node)?;
                if n.state != NodeState::Online {
                    return Err(fault(1804, format!("Leaf {} is not online, but {}", called(n), n.state.name())));
                }
                set_state(t, node, NodeState::Detached)
            }
            TopologyCommand::AttachLeaf { node } => {
                let n = leaf(t, node)?;
                match n.state {
                    NodeState::Detached => set_state(t, node, NodeState::Attaching),
                    NodeState::Online => Err(fault(1803, format!("Leaf {} is online already", called(n)))),
                    // It comes back by itself as soon as it can be reached.
                    NodeState::Offline => Err(fault(1802, format!("Leaf {} is offline", called(n)))),
                    NodeState::Attaching => Err(fault(1803, format!("Leaf {} is being attached already", called(n)))),
                }
            }
            TopologyCommand::MoveNode { node, identity, host, ports } => {
                let n = t.nodes.get(&node).ok_or_else(gone)?;
                // Another data directory is another node, even at the same address.
                if n.identity != identity && n.identity != NodeIdentity::UNKNOWN {
                    return Err(gone());
                }
                if let Some((other, o)) = t.at(&host, ports.mysql)
                    && other != node
                {
                    return Err(fault(1737, format!("{} is another node of this cluster", called(o))));
                }
                let n = t.nodes.get_mut(&node).ok_or_else(gone)?;
                (n.identity, n.host, n.ports) = (identity, host, ports);
                Ok(Outcome::Done)
            }
            TopologyCommand::SetNodeState { node, from, to } => {
                let n = t.nodes.get(&node).ok_or(Fault::SchemaChanged)?;
                if n.state != from || !may_become(n, to) {
                    return Err(Fault::SchemaChanged);
                }
                set_state(t, node, to)
            }
        }
    }

    fn add(&mut self, t: &mut Topology, node: NewNode, role: Role, group: u8) -> Result<NodeId, Fault> {
        let id = NodeId::new(self.next_node);
        let auto_increment = match role {
            Role::Leaf => 0,
            Role::Aggregator | Role::Both => {
                let number = self.next_auto_increment;
                self.next_auto_increment =
                    number.checked_add(1).ok_or_else(|| fault(1786, "No more aggregators can be added to this cluster".into()))?;
                number
            }
        };
        self.next_node += 1;
        let NewNode { identity, host, ports } = node;
        t.nodes.insert(id, Node { identity, role, host, ports, group, state: NodeState::Online, auto_increment });
        Ok(id)
    }
}

/// What an observation may make of a node. DETACH and ATTACH are an operator's.
fn may_become(n: &Node, to: NodeState) -> bool {
    match (n.state, to) {
        (NodeState::Online, NodeState::Offline)
        | (NodeState::Offline, NodeState::Attaching | NodeState::Online)
        | (NodeState::Attaching, NodeState::Online | NodeState::Offline) => true,
        // What was ordered and failed goes back to where it was.
        (NodeState::Attaching, NodeState::Detached) => n.is_leaf(),
        (NodeState::Online | NodeState::Offline | NodeState::Detached | NodeState::Attaching, _) => false,
    }
}

fn set_state(t: &mut Topology, node: NodeId, to: NodeState) -> Result<Outcome, Fault> {
    t.nodes.get_mut(&node).ok_or_else(gone)?.state = to;
    Ok(Outcome::Done)
}

fn in_cluster(t: &Topology) -> Result<(), Fault> {
    match t.cluster {
        Some(_) => Ok(()),
        None => Err(fault(1752, "This node is not the master aggregator of a cluster; run BOOTSTRAP AGGREGATOR first".into())),
    }
}

/// Neither its address nor its identity is a member's.
fn free(t: &Topology, new: &NewNode) -> Result<(), Fault> {
    let Some((_, n)) = t.at(&new.host, new.ports.mysql).or_else(|| t.with_identity(new.identity)) else { return Ok(()) };
    Err(match n.role {
        Role::Leaf => fault(1737, format!("Leaf {} is in the cluster already", called(n))),
        Role::Aggregator => fault(1798, format!("{} is an aggregator of this cluster already", called(n))),
        Role::Both => fault(1799, format!("{} is the master aggregator of this cluster", called(n))),
    })
}

fn leaf(t: &Topology, node: NodeId) -> Result<&Node, Fault> {
    t.nodes.get(&node).filter(|n| n.is_leaf()).ok_or_else(gone)
}

fn smallest_group(t: &Topology) -> u8 {
    let mut size: BTreeMap<u8, usize> = BTreeMap::new();
    for (_, leaf) in t.leaves() {
        *size.entry(leaf.group).or_default() += 1;
    }
    size.into_iter().min_by_key(|(group, n)| (*n, *group)).map_or(1, |(group, _)| group)
}

fn called(n: &Node) -> String {
    format!("'{}':{}", n.host, n.ports.mysql)
}

fn gone() -> Fault {
    fault(1738, "The node is not in the cluster".into())
}

fn fault(number: u16, text: String) -> Fault {
    Fault::mysql(number, "HY000", text)
}

/// Leaves that can take partitions, with what they hold.
pub(crate) fn load(t: &Topology) -> BTreeMap<NodeId, usize> {
    let mut load: BTreeMap<NodeId, usize> = t.leaves().filter(|(_, n)| n.state == NodeState::Online).map(|(id, _)| (id, 0)).collect();
    for place in t.places.values() {
        let copies: BTreeSet<NodeId> = place.copies().collect();
        for node in copies {
            if let Some(n) = load.get_mut(&node) {
                *n += 1;
            }
        }
    }
    load
}
