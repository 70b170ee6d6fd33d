//! Statements about the cluster, carried out by the master.
//!
//! How a node is found: SQL names it by the address at which its clients reach it, 'host':port. Its cluster port is that port plus 100, unless its configuration says
//! otherwise; and where nobody listens there, the port itself is tried, so that a node with another cluster port can be named by that. It costs nothing to be wrong: whoever
//! answers has to prove that it knows the cluster's secret, and learns nothing before. The node tells its real ports as soon as it is a member.
//!
//! Owns:     nothing.
//! Promises: refused with the number that MemSQL documents, or done; of an order that failed in the middle either nothing is left, or what it says.
//! Never:    takes the account that ADD … names for a proof: the secret is.

use super::{Cluster, at, methods, words};
use crate::config::CLUSTER_PORT_OFFSET;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use weald_aggregator::cluster::{Address, ClusterOrder, Force};
use weald_catalog::{Command, NewNode, Node, NodeState, Outcome, Ports, TopologyCommand};
use weald_meta::State;
use weald_metaraft::{Loss, TakeoverRefused};
use weald_rpc::network::Tcp;
use weald_rpc::{Ask, ConnectError, Invited, JoinError};
use weald_types::{Fault, NodeId};

const INVITE_WITHIN: Duration = Duration::from_secs(5);
const ADMIT_WITHIN: Duration = Duration::from_secs(10);
/// How long a node that was added or attached is waited for.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);
const ORDER_WITHIN: Duration = Duration::from_secs(40);
const FAREWELL_WITHIN: Duration = Duration::from_secs(1);

fn fault(number: u16, text: impl Into<String>) -> Fault {
    Fault::mysql(number, "HY000", text)
}

/// What the operator should know.
type Warnings = Vec<Fault>;

enum Part {
    Aggregator,
    Leaf { group: Option<u8> },
}

impl Part {
    fn command(&self, node: NewNode) -> Command {
        Command::Topology(match self {
            Part::Aggregator => TopologyCommand::AddAggregator { node },
            Part::Leaf { group } => TopologyCommand::AddLeaf { node, group: *group },
        })
    }
}

impl Cluster {
    /// To whom this node takes for the master.
    pub async fn order_to(&self, master: NodeId, order: &ClusterOrder) -> Result<words::Done, super::way::NoAnswer> {
        self.call(master, methods::CONTROL_LANE, methods::ORDER, &words::Order::from(order), ORDER_WITHIN).await
    }

    pub(super) async fn order_for_another(self: &Arc<Self>, order: words::Order) -> words::Done {
        let Some(metadata) = self.metadata() else { return words::Done::NotMaster { master: None } };
        if !metadata.leads() {
            return words::Done::NotMaster { master: metadata.master() };
        }
        match self.order_here(order.into()).await {
            Ok(warnings) => words::Done::Made { outcome: words::Made::Done, version: metadata.decided_version(), warnings },
            Err(fault) => words::Done::Refused(fault),
        }
    }

    /// This node is the master.
    pub async fn order_here(self: &Arc<Self>, order: ClusterOrder) -> Result<Warnings, Fault> {
        let _one = self.ordering.lock().await;
        match order {
            ClusterOrder::AddAggregator { node, credentials: _ } => self.add(&node, Part::Aggregator).await,
            ClusterOrder::AddLeaf { node, credentials: _, group } => self.add(&node, Part::Leaf { group }).await,
            ClusterOrder::RemoveAggregator { node } => {
                let (id, n) = self.member(&node)?;
                if !n.is_aggregator() {
                    return Err(fault(1736, format!("{node} is not an aggregator of this cluster")));
                }
                self.remove(id, &n, |master| TopologyCommand::RemoveAggregator { node: id, master }).await
            }
            ClusterOrder::RemoveLeaf { node, force } => {
                let (id, n) = self.leaf(&node)?;
                self.remove(id, &n, |_| TopologyCommand::RemoveLeaf { node: id, force: force == Force::Force }).await
            }
            ClusterOrder::DetachLeaf { node, force } => {
                let (id, _) = self.leaf(&node)?;
                self.detach(&node, id, force).await
            }
            ClusterOrder::AttachLeaf { node, force: _, rebalance: _ } => {
                let (id, _) = self.leaf(&node)?;
                self.change(TopologyCommand::AttachLeaf { node: id }).await?;
                Ok(self.attached(id).await)
            }
            ClusterOrder::AttachAllLeaves { rebalance: _ } => {
                let topology = self.here()?.topology();
                let mut warnings = Vec::new();
                for (id, _) in topology.leaves().filter(|(_, n)| n.state == NodeState::Detached) {
                    self.change(TopologyCommand::AttachLeaf { node: id }).await?;
                    warnings.extend(self.attached(id).await);
                }
                Ok(warnings)
            }
            // A leaf drops what the metadata does not know of as soon as it follows it, and at every start.
            ClusterOrder::ClearOrphanDatabases => Ok(Vec::new()),
            ClusterOrder::Promote { node } => {
                let (id, _) = self.member(&node)?;
                self.here()?.hand_over(id).await?;
                Ok(Vec::new())
            }
            // These are about the node that they are said to, and are not sent to the master.
            ClusterOrder::Bootstrap { .. } => Err(fault(1753, "This node already belongs to a cluster")),
            ClusterOrder::SetAsMaster => Err(fault(1761, "This node is the master aggregator already")),
        }
    }

    fn here(&self) -> Result<Arc<crate::metadata::MetadataGroup>, Fault> {
        self.metadata().ok_or(Fault::Interrupted)
    }

    async fn change(&self, command: TopologyCommand) -> Result<Outcome, Fault> {
        self.here()?.decide_as_master(Command::Topology(command)).await
    }

    fn member(&self, a: &Address) -> Result<(NodeId, Node), Fault> {
        let topology = self.here()?.topology();
        let found = topology.at(&a.host, a.mysql_port()).map(|(id, n)| (id, n.clone()));
        found.ok_or_else(|| fault(1738, format!("{a} is not in the cluster")))
    }
    fn leaf(&self, a: &Address) -> Result<(NodeId, Node), Fault> {
        match self.member(a)? {
            (id, n) if n.is_leaf() => Ok((id, n)),
            _ => Err(fault(1738, format!("{a} is not a leaf of this cluster"))),
        }
    }

    async fn add(&self, node: &Address, part: Part) -> Result<Warnings, Fault> {
        let metadata = self.here()?;
        let state = metadata.decided();
        let new = |identity, cluster: u16| NewNode { identity, host: node.host.clone(), ports: Ports { mysql: node.mysql_port(), cluster, http: 0 } };
        // What would be refused anyway is refused before anybody is called.
        State::clone(&state).apply(part.command(new(weald_types::NodeIdentity::new(u128::MAX), 0)))?;
        let authority = self.authority(&state).await?;
        let (invited, port) = self.invite(node).await?;
        let (candidate, identity) = match invited {
            Invited::Fresh(candidate) => {
                let identity = candidate.identity;
                (Some(candidate), identity)
            }
            // It was removed and is to come back; or whoever added it did not live to note it down.
            Invited::Member(identity) => (None, identity),
        };
        let decided = metadata.decide_as_master(part.command(new(identity, port))).await;
        let id = match decided {
            Ok(Outcome::Node(id)) => id,
            Ok(other) => return Err(Fault::Internal { incident: format!("ADD gave {other:?}") }),
            Err(refused) => {
                if let Some(candidate) = candidate {
                    candidate.decline(&refused.to_string()).await;
                }
                return Err(refused);
            }
        };
        if let Some(candidate) = candidate {
            let now = self.env.clock.wall_micros();
            let admitted = match authority.sign(&candidate.request, identity, now) {
                Ok(certified) => candidate.admit(certified, ADMIT_WITHIN).await.map_err(|e| told(&e)),
                Err(error) => Err(error.to_string()),
            };
            if let Err(reason) = admitted
                && !matches!(self.invite(node).await, Ok((Invited::Member(_), _)))
            {
                let undo = match part {
                    Part::Aggregator => TopologyCommand::RemoveAggregator { node: id, master: metadata.number().unwrap_or(id) },
                    Part::Leaf { .. } => TopologyCommand::RemoveLeaf { node: id, force: true },
                };
                self.change(undo).await?;
                return Err(fault(1735, format!("{node} could not be added: {reason}")));
            }
        }
        tracing::info!(%node, number = %id, %identity, "a node was added to the cluster");
        let version = metadata.decided_version();
        let arrived = self.until(|me| me.seen.version_of(id).is_some_and(|v| v >= version)).await;
        Ok(if arrived {
            Vec::new()
        } else {
            vec![fault(1735, format!("{node} was added, but does not follow yet; it does as soon as it can be reached"))]
        })
    }

    async fn until(&self, done: impl Fn(&Self) -> bool) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < ARRIVES_WITHIN {
            if done(self) {
                return true;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        false
    }

    /// And the port at which it was found.
    async fn invite(&self, node: &Address) -> Result<(Invited, u16), Fault> {
        let mysql = node.mysql_port();
        let mut last = None;
        for port in [mysql.checked_add(CLUSTER_PORT_OFFSET), Some(mysql)].into_iter().flatten() {
            match weald_rpc::invite(&self.keyring, &Tcp, &at(&node.host, port), &self.secret, INVITE_WITHIN).await {
                Ok(invited) => return Ok((invited, port)),
                // What is said of the expected port tells more than what is said of the other.
                Err(error) if last.is_none() && matches!(error, JoinError::Unreachable(ConnectError::Refused { .. })) => last = Some(error),
                Err(error) => {
                    last.get_or_insert(error);
                    break;
                }
            }
        }
        let Some(error) = last else { return Err(fault(1735, format!("Unable to connect to {node}"))) };
        let text = format!("{node}: {}", told(&error));
        Err(match error {
            JoinError::Unreachable(_) | JoinError::Io(_) | JoinError::Malformed(_) | JoinError::Busy => {
                fault(1735, format!("Unable to connect to {text}"))
            }
            JoinError::WrongSecret(_) => fault(1808, text),
            JoinError::InAnotherCluster { .. } => fault(1753, text),
            JoinError::Version { .. } => fault(1749, text),
            JoinError::Refused(_) => fault(1811, text),
        })
    }

    async fn remove(&self, id: NodeId, n: &Node, command: impl Fn(NodeId) -> TopologyCommand) -> Result<Warnings, Fault> {
        let metadata = self.here()?;
        let master = metadata.number().ok_or(Fault::Interrupted)?;
        // Its address goes with it, and it is to be told.
        let peer = self.pool.peer(n.identity);
        self.departing.lock().insert(n.identity, at(&n.host, n.ports.cluster));
        let removed = self.change(command(master)).await;
        let told = match &removed {
            Ok(_) => {
                let ask = Ask { method: methods::REMOVED, body: bytes::Bytes::new(), within: Some(FAREWELL_WITHIN) };
                // The connection that stood has just been let go of.
                self.pool.peer(peer.node()).call(methods::CONTROL_LANE, ask).await.is_ok()
            }
            Err(_) => true,
        };
        self.departing.lock().remove(&n.identity);
        self.pool.forget(n.identity);
        removed?;
        tracing::info!(number = %id, told, "a node was removed from the cluster");
        Ok(Vec::new())
    }

    async fn detach(&self, node: &Address, id: NodeId, force: Force) -> Result<Warnings, Fault> {
        let topology = self.here()?.topology();
        let only = topology.places.values().filter(|p| p.primary == Some(id) && p.in_sync.len() <= 1).count();
        if force == Force::Safe && only > 0 {
            return Err(fault(1777, format!("{node} holds the last online copy of {only} partition(s)")));
        }
        self.change(TopologyCommand::DetachLeaf { node: id }).await?;
        Ok(if only > 0 { vec![fault(1777, format!("{only} partition(s) have no copy that is online until {node} is attached"))] } else { Vec::new() })
    }

    /// Attaching becomes online when the leaf has recovered.
    async fn attached(&self, id: NodeId) -> Warnings {
        let online = |me: &Self| me.metadata().is_none_or(|m| m.topology().nodes.get(&id).is_none_or(|n| n.state == NodeState::Online));
        if self.until(online).await { Vec::new() } else { vec![fault(1811, "The leaf is being attached; it is online as soon as it has recovered")] }
    }

    /// AGGREGATOR SET AS MASTER, on this node.
    pub async fn take_over(&self) -> Result<Warnings, Fault> {
        let _one = self.ordering.lock().await;
        let done = self.here()?.take_over(Loss::Refuse).await.ok_or_else(|| fault(1736, "This node is of no cluster yet"))?;
        match done {
            Ok(over) => {
                let mut warnings = Vec::new();
                if over.uncertain > 0 {
                    warnings.push(fault(1753, format!("{} change(s) that were not known to be decided count from now on", over.uncertain)));
                }
                for node in over.missing {
                    warnings.push(fault(1735, format!("Node {node} was not reached; what it knows and this node does not is lost")));
                }
                Ok(warnings)
            }
            Err(refused @ (TakeoverRefused::MasterIsAlive(_) | TakeoverRefused::ElectionIsPossible | TakeoverRefused::NewerElsewhere(_))) => {
                Err(fault(1761, refused.to_string()))
            }
            Err(refused @ TakeoverRefused::NotAnAggregator) => Err(fault(1736, refused.to_string())),
            Err(TakeoverRefused::Failed(error)) => Err(fault(1030, error.to_string())),
        }
    }
}

/// With its causes.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(c) = cause {
        text = format!("{text}: {c}");
        cause = c.source();
    }
    text
}
