//! Looking after the group: checkpoints on every node; on the leader, who learns and who votes.
//!
//! The leader makes the group's members what the topology says: every node of the cluster learns, and of those the ones that `weald_meta::voters` wants have a
//! vote. One step at a time, each decided anew from what is so then; a step that does not come to its end is taken up by the next look, or the next leader.
//!
//! Owns:     the timer.
//! Promises: a leader that is no aggregator of the cluster any more soon is no leader. At most one change of members is under way. A node is made a voter only once it holds the log.
//! Never:    decides who should vote.

use crate::group::Shared;
use crate::member::{Member, Moment};
use futures::future::{Either, select};
use openraft::ChangeMembers;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use weald_catalog::NodeState;
use weald_meta::State;
use weald_meta::voters::{self, Change, Standing};
use weald_types::NodeId;

/// A node that lacks no more entries than this holds the log.
const NEARLY: u64 = 8;

/// Until `end`'s sender is dropped.
pub(crate) async fn run(shared: Arc<Shared>, mut end: oneshot::Receiver<()>) {
    let mut wait = Duration::ZERO;
    loop {
        let look = std::pin::pin!(shared.look.notified());
        if let Ok(Either::Left(_)) = tokio::time::timeout(wait, select(&mut end, look)).await {
            return;
        }
        wait = shared.settings.housekeeping;
        shared.heed_fence().await;
        if let Some(member) = shared.member() {
            // One that finds no room would end this node's part in the group. It can wait, and is smaller than the reserve.
            let room = shared.env.disk.free_bytes(&shared.dir).is_ok_and(|free| free >= shared.settings.reserve_bytes);
            if room
                && member.store.bytes_since_checkpoint() > shared.settings.checkpoint_bytes
                && let Err(error) = member.raft.trigger().snapshot().await
            {
                tracing::error!(%error, "no checkpoint of the metadata can be made");
            }
            let now = member.now(&shared.settings);
            // Taken out of the cluster, and leading all the same: it was elected meanwhile. It falls silent, and another is elected.
            let speaks = shared.may_lead() && !shared.handing_over.load(Ordering::Relaxed);
            member.raft.runtime_config().heartbeat(speaks);
            if now.has_majority && speaks {
                let state = shared.shown.borrow().state.clone();
                if let Some(step) = next_step(&shared, &state, &now) {
                    tracing::info!(?step, "the metadata group changes its members");
                    take(&shared, &member, step).await;
                    // The next step follows at once.
                    wait = Duration::ZERO;
                }
            }
        }
    }
}

async fn take(shared: &Shared, member: &Member, step: ChangeMembers<u32, ()>) {
    let changed = tokio::time::timeout(shared.settings.answer, member.raft.change_membership(step, true)).await;
    match changed {
        Ok(Ok(_)) => (),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the metadata group's members could not be changed");
            tokio::time::sleep(shared.settings.heartbeat).await;
        }
        Err(_) => tracing::warn!("a change of the metadata group's members takes long"),
    }
}

fn next_step(shared: &Shared, state: &State, now: &Moment) -> Option<ChangeMembers<u32, ()>> {
    if now.voters.len() > 1 {
        // Half done: an empty change makes of two sets of voters the newer one.
        return Some(ChangeMembers::AddVoterIds(BTreeSet::new()));
    }
    let wanted: BTreeSet<u32> = state.topology.nodes.keys().map(|n| n.raw()).chain([shared.me]).collect();
    if let Some(new) = wanted.iter().find(|n| !now.all.contains(n)) {
        return Some(ChangeMembers::AddNodes(BTreeMap::from([(*new, ())])));
    }
    let current: BTreeSet<NodeId> = now.voters.iter().flatten().copied().map(NodeId::new).collect();
    match voters::next(&members(shared, state, now), &current, NodeId::new(shared.me)) {
        Some(Change::Add(node)) => return Some(ChangeMembers::AddVoterIds(BTreeSet::from([node.raw()]))),
        Some(Change::Remove(node)) => return Some(ChangeMembers::RemoveVoters(BTreeSet::from([node.raw()]))),
        None => (),
    }
    let stranger = now.all.iter().find(|n| !wanted.contains(n) && !current.contains(&NodeId::new(**n)));
    stranger.map(|n| ChangeMembers::RemoveNodes(BTreeSet::from([*n])))
}

fn members(shared: &Shared, state: &State, now: &Moment) -> BTreeMap<NodeId, voters::Member> {
    let last = now.last.unwrap_or(0);
    let standing = |id: u32, detached: bool| {
        if id == shared.me {
            return Standing::Ready;
        }
        let silence = shared.last_answer(id).map_or(shared.settings.gone_after, |at| Instant::now() - at);
        if detached || silence >= shared.settings.gone_after {
            return Standing::Gone;
        }
        let matched = now.matched.iter().find(|(n, _)| *n == id).and_then(|(_, at)| *at);
        if silence >= shared.settings.silent_after {
            Standing::Silent
        } else if matched.is_some_and(|at| last.saturating_sub(at.index) <= NEARLY) {
            Standing::Ready
        } else {
            Standing::Behind
        }
    };
    let member = |(id, n): (&NodeId, &weald_catalog::Node)| {
        (*id, voters::Member { aggregator: n.is_aggregator(), standing: standing(id.raw(), n.state == NodeState::Detached) })
    };
    state.topology.nodes.iter().map(member).collect()
}
