//! Orders about the cluster, to a process that is the whole of it.
//!
//! Owns:     nothing.
//! Promises: each is refused with the number that MemSQL documents for what is in its way, or is done already.
//! Never:    changes anything: there is nobody that could be added, removed or put in another's place.

use weald_aggregator::cluster::{Address, ClusterOrder};
use weald_catalog::Topology;
use weald_types::Fault;

/// What there is to say to `order`.
pub(super) fn answer(t: &Topology, order: &ClusterOrder) -> Result<(), Fault> {
    match order {
        ClusterOrder::Bootstrap { .. } => Err(fault(1753, "This node already belongs to a cluster: its own, of which it is the master aggregator")),
        ClusterOrder::AddAggregator { node, .. } | ClusterOrder::AddLeaf { node, .. } => match is_member(t, node) {
            true => Err(fault(1799, format!("{node} is the master aggregator of this cluster"))),
            false => Err(fault(1749, "A cluster of one process has no way to others; start its nodes with 'weald node'")),
        },
        ClusterOrder::RemoveAggregator { node } => {
            member(t, node)?;
            Err(fault(1753, format!("{node} is the master aggregator and cannot be removed")))
        }
        ClusterOrder::RemoveLeaf { node, .. } | ClusterOrder::DetachLeaf { node, .. } => {
            member(t, node)?;
            Err(fault(1758, format!("{node} is the last leaf")))
        }
        ClusterOrder::AttachLeaf { node, .. } => {
            member(t, node)?;
            Err(fault(1803, format!("Leaf {node} is online already")))
        }
        // No leaf is detached; and what the catalogue does not know of is removed at every start.
        ClusterOrder::AttachAllLeaves { .. } | ClusterOrder::ClearOrphanDatabases => Ok(()),
        ClusterOrder::SetAsMaster => Err(fault(1753, "This node is the master aggregator already")),
        ClusterOrder::Promote { node } => {
            member(t, node)?;
            Err(fault(1753, format!("{node} is the master aggregator already")))
        }
    }
}

fn is_member(t: &Topology, a: &Address) -> bool {
    t.at(&a.host, a.mysql_port()).is_some()
}

fn member(t: &Topology, a: &Address) -> Result<(), Fault> {
    if is_member(t, a) { Ok(()) } else { Err(fault(1738, format!("{a} is not in the cluster"))) }
}

fn fault(number: u16, text: impl Into<String>) -> Fault {
    Fault::mysql(number, "HY000", text)
}
