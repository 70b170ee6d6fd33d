//! PROMOTE AGGREGATOR: the leader hands over.
//!
//! The voters do not vote while they hear from a leader, and rightly so. So the leader falls silent: it takes no more commands and sends no more heartbeats; when
//! its lease has run out with everyone, it tells its successor to stand. The other aggregators are told not to, for as long as that takes. It takes a lease,
//! in which commands wait at whoever forwards them; none is lost.
//! If the successor is not elected, the old leader speaks again, or is elected again.
//!
//! Owns:     nothing.
//! Promises: on success this node leads no more, and the successor does. On failure the group has a leader again by itself.
//! Never:    hands over to a leaf, to one without a vote, or to one that lacks a part of the log.

use crate::error::Refused;
use crate::group::{Group, Shared};
use crate::msg::Request;
use crate::raft::Raft;
use std::sync::atomic::Ordering;
use weald_types::{Fault, NodeId};

impl Group {
    pub async fn hand_over(&self, to: NodeId) -> Result<(), Refused> {
        let shared = &self.shared;
        let settings = &shared.settings;
        let fault = |number: u16, text: String| Refused::Fault(Fault::mysql(number, "HY000", text));
        let status = self.status();
        let not_leader = || Refused::NotLeader { leader: status.leader.filter(|l| l.raw() != shared.me) };
        let Some(member) = shared.member().filter(|m| m.now(settings).has_majority) else { return Err(not_leader()) };
        if to.raw() == shared.me {
            return Err(fault(1753, "This node is the master aggregator already".into()));
        }
        if !self.state().topology.nodes.get(&to).is_some_and(|n| n.is_aggregator()) {
            return Err(fault(1736, format!("Node {to} is not an aggregator of this cluster")));
        }
        if !status.voters.contains(&to) {
            return Err(fault(1802, format!("Aggregator {to} has no vote, and so cannot be master")));
        }
        if status.behind.get(&to).is_none_or(|n| *n > 0) {
            return Err(fault(1802, format!("Aggregator {to} does not have everything that was decided")));
        }
        let aggregators: Vec<u32> = self.state().topology.aggregators().map(|(n, _)| n.raw()).filter(|n| *n != shared.me && *n != to.raw()).collect();
        let yields = aggregators.into_iter().map(|n| shared.exchange(n, member.generation, settings.heartbeat, Request::Yield));
        // One that cannot be told cannot win, either, unless it comes back at this very moment; then it is the master, and the answer says so.
        futures::future::join_all(yields).await;
        let silence = Silence::begin(shared, &member.raft);
        // One heartbeat may be on its way.
        tokio::time::sleep(settings.lease + settings.heartbeat).await;
        let told = shared.exchange(to.raw(), member.generation, settings.answer, Request::Lead).await;
        let mut metrics = member.raft.metrics();
        let deposed = metrics.wait_for(|m| m.current_leader != Some(shared.me));
        let deposed = tokio::time::timeout(settings.lease, deposed).await.is_ok();
        drop(silence);
        match told {
            Ok(_) if deposed => Ok(()),
            Ok(_) => Err(Refused::Unknown { reason: format!("aggregator {to} was not elected in time") }),
            Err(error) => Err(fault(1802, error.to_string())),
        }
    }
}

/// A leader that neither speaks nor takes commands, until this is dropped: also if nobody waits for the hand-over any more.
struct Silence<'a> {
    shared: &'a Shared,
    raft: &'a Raft,
}

impl<'a> Silence<'a> {
    fn begin(shared: &'a Shared, raft: &'a Raft) -> Self {
        shared.handing_over.store(true, Ordering::Relaxed);
        raft.runtime_config().heartbeat(false);
        Self { shared, raft }
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        self.raft.runtime_config().heartbeat(true);
        self.shared.handing_over.store(false, Ordering::Relaxed);
    }
}
