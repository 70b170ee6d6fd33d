//! Which nodes vote in the metadata group.
//!
//! Aggregators first, leaves fill up to three votes, five from seven nodes on. An odd number: with an even one a further vote has to be won, but no
//! further loss is survived, so two nodes have one vote and four have three. A leaf's vote can make an aggregator the leader, never itself.
//!
//! A vote moves only where that helps: to fill up, from a leaf to an aggregator that has none (or a cluster with two aggregators could be left with none
//! that may lead), from a node that is gone to one that is there, from a node that is no member any more. A node that restarts keeps its vote; so
//! does one that is gone while nobody can take its place, for it may come back.
//!
//! Owns:     nothing.
//! Promises: one step at a time, and none when nothing has to change; the same input gives the same answer. Repeated, the steps come to an end. The leader's
//!           own vote is never taken. A vote is given only to a node that holds the log already.
//! Never:    asks whether a majority is alive: without one no change can be made, and the group says so itself.

use std::collections::{BTreeMap, BTreeSet};
use weald_types::NodeId;

/// A node of the cluster, as the leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub aggregator: bool,
    pub standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Answers, and holds what the leader holds.
    Ready,
    /// Answers, and is still being sent the log.
    Behind,
    /// Has not answered for a while: it may be starting anew.
    Silent,
    /// Silent for longer than a restart takes, or detached.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Add(NodeId),
    Remove(NodeId),
}

const VOTES: usize = 3;
const VOTES_OF_MANY: usize = 5;
const MANY: usize = 7;

/// The next step from the voters that there are, or `None` if they are as they should be.
pub fn next(members: &BTreeMap<NodeId, Member>, current: &BTreeSet<NodeId>, leader: NodeId) -> Option<Change> {
    let wanted = wanted(members, current, leader);
    let missing = wanted.iter().copied().find(|n| !current.contains(n));
    // Strangers first, then the gone, then those who are merely one too many: of each, a leaf before an aggregator, the youngest first.
    let spare = current.iter().copied().filter(|n| !wanted.contains(n) && *n != leader).max_by_key(|n| {
        let member = members.get(n);
        let rank = match member.map(|m| m.standing) {
            None => 3,
            Some(Standing::Gone) => 2,
            Some(Standing::Silent | Standing::Behind) => 1,
            Some(Standing::Ready) => 0,
        };
        (rank, member.is_none_or(|m| !m.aggregator), *n)
    });
    match (missing, spare) {
        // First one more, then one less: no step leaves fewer votes than there were.
        (Some(node), _) if current.len() <= wanted.len() => Some(Change::Add(node)),
        (_, Some(node)) => Some(Change::Remove(node)),
        (Some(node), None) => Some(Change::Add(node)),
        (None, None) => None,
    }
}

/// Best first.
fn wanted(members: &BTreeMap<NodeId, Member>, current: &BTreeSet<NodeId>, leader: NodeId) -> Vec<NodeId> {
    let votes = if members.len() >= MANY { VOTES_OF_MANY } else { VOTES };
    let mut able: Vec<(NodeId, Member)> = members
        .iter()
        .map(|(id, m)| (*id, *m))
        .filter(|(id, m)| match m.standing {
            Standing::Ready => true,
            // Nobody is made a voter who cannot vote yet; nobody stops being one for a moment's silence.
            Standing::Behind | Standing::Silent => current.contains(id),
            Standing::Gone => current.contains(id),
        })
        .collect();
    able.sort_by_key(|(id, m)| (*id != leader, m.standing == Standing::Gone, !m.aggregator, !current.contains(id), *id));
    let odd = |n: usize| if n.is_multiple_of(2) { n.saturating_sub(1) } else { n };
    able.truncate(odd(votes.min(able.len())));
    able.into_iter().map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests;
