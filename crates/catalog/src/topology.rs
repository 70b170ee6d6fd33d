//! Who is in the cluster and who holds which partition; the orders that change it.
//!
//! Owns:     nothing.
//! Promises: what the types can express and `meta` keeps true: node ids are never reused, an epoch never goes back, a partition's primary is in its in-sync set.
//! Never:    holds what is only observed (latencies, recovery progress, who leads the metadata group): that is each node's own, and never agreed on.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use weald_types::{ClusterId, Epoch, Generation, NodeId, NodeIdentity, PartitionId};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// None: no BOOTSTRAP yet. A process that is a cluster of one (`weald dev`) may be without for ever.
    pub cluster: Option<ClusterId>,
    /// Another begins when the metadata is started anew from one node's copy (AGGREGATOR SET AS MASTER). What speaks of a lower one comes from a group that is
    /// no more.
    pub generation: Generation,
    pub nodes: BTreeMap<NodeId, Node>,
    pub places: BTreeMap<PartitionId, Place>,
}

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub identity: NodeIdentity,
    pub role: Role,
    /// As the other nodes and the clients reach it.
    pub host: Box<str>,
    pub ports: Ports,
    /// Availability group, from 1; 0 for a node that holds no partitions.
    pub group: u8,
    pub state: NodeState,
    /// Its share of AUTO_INCREMENT values: unique among all nodes that ever were. 0 for a node that gives none out.
    pub auto_increment: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    Aggregator,
    Leaf,
    /// A cluster of one process.
    Both,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ports {
    /// Clients. With the host, this is what a node is called in SQL.
    pub mysql: u16,
    /// Other nodes. 0 where there are none.
    pub cluster: u16,
    pub http: u16,
}

/// What the cluster has decided about a node; whether its process is recovering or has failed to is for the node itself to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NodeState {
    Online,
    /// The master cannot reach it.
    Offline,
    /// It is back, or ordered back, and its partitions are being taken up again.
    Attaching,
    /// Taken out by an operator; its partitions stay its own.
    Detached,
}

/// Who holds a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// None: every copy is gone, by an operator's decision.
    pub primary: Option<NodeId>,
    pub epoch: Epoch,
    /// Copies that hold every acknowledged write, the primary included.
    pub in_sync: BTreeSet<NodeId>,
    /// All copies but the primary, in sync or on their way to it.
    pub replicas: BTreeSet<NodeId>,
}

/// What signs the certificates by which nodes know each other. Opaque here.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

/// A node as the one who adds it knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewNode {
    pub identity: NodeIdentity,
    pub host: Box<str>,
    pub ports: Ports,
}

/// Orders that change who is who. The number of a node comes from its address, by the proposer's view; that the node is still what it was is checked again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TopologyCommand {
    /// The first of a cluster. A process that was a cluster of one before it had an identity gets it by the same command.
    Bootstrap {
        cluster: ClusterId,
        authority: Authority,
        node: NewNode,
        role: Role,
    },
    AddAggregator {
        node: NewNode,
    },
    /// `group` None: the smallest one.
    AddLeaf {
        node: NewNode,
        group: Option<u8>,
    },
    /// `master` is who proposes it, since the state does not know.
    RemoveAggregator {
        node: NodeId,
        master: NodeId,
    },
    /// `force`: also if it holds the only copy of a partition, which is then given up.
    RemoveLeaf {
        node: NodeId,
        force: bool,
    },
    DetachLeaf {
        node: NodeId,
    },
    AttachLeaf {
        node: NodeId,
    },
    /// The node has said so itself, by its identity.
    MoveNode {
        node: NodeId,
        identity: NodeIdentity,
        host: Box<str>,
        ports: Ports,
    },
    /// The master has found it so.
    SetNodeState {
        node: NodeId,
        from: NodeState,
        to: NodeState,
    },
}

impl Node {
    pub fn is_aggregator(&self) -> bool {
        matches!(self.role, Role::Aggregator | Role::Both)
    }
    pub fn is_leaf(&self) -> bool {
        matches!(self.role, Role::Leaf | Role::Both)
    }
}

impl NodeState {
    /// As SHOW LEAVES prints it.
    pub fn name(self) -> &'static str {
        match self {
            NodeState::Online => "online",
            NodeState::Offline => "offline",
            NodeState::Attaching => "attaching",
            NodeState::Detached => "detached",
        }
    }
}

impl Place {
    pub fn on(primary: NodeId) -> Self {
        Self { primary: Some(primary), epoch: Epoch::FIRST, in_sync: [primary].into(), replicas: BTreeSet::new() }
    }
    /// Every node with a copy.
    pub fn copies(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.primary.into_iter().chain(self.replicas.iter().copied())
    }
}

impl Default for Topology {
    fn default() -> Self {
        Self { cluster: None, generation: Generation::FIRST, nodes: BTreeMap::new(), places: BTreeMap::new() }
    }
}

impl Topology {
    /// The member that SQL calls `'host':port`.
    pub fn at(&self, host: &str, mysql_port: u16) -> Option<(NodeId, &Node)> {
        self.nodes.iter().find(|(_, n)| &*n.host == host && n.ports.mysql == mysql_port).map(|(id, n)| (*id, n))
    }
    pub fn with_identity(&self, identity: NodeIdentity) -> Option<(NodeId, &Node)> {
        self.nodes.iter().find(|(_, n)| n.identity == identity && identity != NodeIdentity::UNKNOWN).map(|(id, n)| (*id, n))
    }
    pub fn leaves(&self) -> impl Iterator<Item = (NodeId, &Node)> + '_ {
        self.nodes.iter().filter(|(_, n)| n.is_leaf()).map(|(id, n)| (*id, n))
    }
    pub fn aggregators(&self) -> impl Iterator<Item = (NodeId, &Node)> + '_ {
        self.nodes.iter().filter(|(_, n)| n.is_aggregator()).map(|(id, n)| (*id, n))
    }
}

/// The key is not for logs.
impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({} bytes of certificate)", self.certificate.len())
    }
}
