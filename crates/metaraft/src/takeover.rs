//! AGGREGATOR SET AS MASTER: the disaster tool, when the majority is gone for good.
//!
//! It begins a new *generation* from this node's copy. What makes that safe is the promise: every node that can be reached has promised the new generation,
//! durably, before anything is decided in it, and a node that has promised answers nothing of an earlier one. So the old master, should it come back with
//! others, finds no majority among those who promised; and whoever it meets of them tells it that its time is over. It then begins anew as a learner.
//! Nodes that could not be reached can only decide something among themselves if they are a majority of the old voters: that is why the operator is told
//! who was not reached, and that what they decide from now on is lost. If two aggregators do this at the same time, out of each other's reach, there are two
//! generations, and everyone follows the greater as soon as they meet.
//!
//! Nothing of this is done while anyone who can be reached hears from a leader, or while this node could simply be elected.
//!
//! Owns:     nothing.
//! Promises: on success this node leads the new generation, whose state is everything that was in its log, committed or not. On refusal nothing has changed,
//!           but for promises, which only make older generations older.
//! Never:    runs by itself.

use crate::error::Error;
use crate::format::At;
use crate::ground::Belonging;
use crate::group::{Group, Shared, write_beginning};
use crate::msg::{Account, Reply, Request};
use crate::raft::{Entry, Order};
use openraft::EntryPayload;
use std::collections::{BTreeMap, BTreeSet};
use weald_meta::State;
use weald_types::{Generation, NodeId};

/// Whether a copy that is known not to be the newest will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    Refuse,
    Accept,
}

#[derive(Debug, thiserror::Error)]
pub enum TakeoverRefused {
    /// 1761.
    #[error("node {0} is the master aggregator, and alive")]
    MasterIsAlive(NodeId),
    /// 1736.
    #[error("this node is not an aggregator")]
    NotAnAggregator,
    #[error("a majority of the voters can be reached: a master will be elected by itself")]
    ElectionIsPossible,
    #[error("node {0} has decided things that this node does not know; run it there, or accept their loss")]
    NewerElsewhere(NodeId),
    #[error(transparent)]
    Failed(#[from] Error),
}

/// What an operator has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOver {
    pub generation: Generation,
    /// Entries of the log that were not known to be committed, and count now.
    pub uncertain: u64,
    /// They have promised, and follow.
    pub promised: BTreeSet<NodeId>,
    /// They could not be reached. What they know and this node does not is lost.
    pub missing: BTreeSet<NodeId>,
}

impl Group {
    pub async fn take_over(&self, loss: Loss) -> Result<TakenOver, TakeoverRefused> {
        let shared = &self.shared;
        if !shared.may_lead() {
            return Err(TakeoverRefused::NotAnAggregator);
        }
        let ours = shared.account();
        if let Some(leader) = ours.leader {
            return Err(TakeoverRefused::MasterIsAlive(NodeId::new(leader)));
        }
        let state = self.state();
        let others: BTreeSet<u32> = state.topology.nodes.keys().map(|n| n.raw()).filter(|n| *n != shared.me).collect();
        let accounts = shared.ask(&others, || Request::Inquire).await;
        for (node, account) in &accounts {
            if let Some(leader) = account.leader {
                return Err(TakeoverRefused::MasterIsAlive(NodeId::new(leader)));
            }
            // A node that has promised already has no log any more that could be compared.
            if account.generation == ours.generation && account.last > ours.last && loss == Loss::Refuse {
                return Err(TakeoverRefused::NewerElsewhere(NodeId::new(*node)));
            }
        }
        if let Some(member) = shared.member() {
            let now = member.now(&shared.settings);
            let there: BTreeSet<u32> = accounts.keys().copied().chain([shared.me]).collect();
            if now.is_voter(shared.me) && now.is_majority(&there) {
                return Err(TakeoverRefused::ElectionIsPossible);
            }
        }
        let newest = accounts.values().map(|a| a.promised).fold(ours.promised, Ord::max);
        self.begin_generation(newest.after(NodeId::new(shared.me)), &others).await
    }

    async fn begin_generation(&self, generation: Generation, others: &BTreeSet<u32>) -> Result<TakenOver, TakeoverRefused> {
        let shared = &self.shared;
        let mut ground = shared.ground.lock().await;
        // The log is read before Raft is stopped, and nothing is added to it after: nobody leads, and we have promised.
        let before = shared.member();
        let answers = shared.ask(others, || Request::Promise { generation }).await;
        let promised: BTreeSet<NodeId> = answers.iter().filter(|(_, a)| a.promised == generation).map(|(n, _)| NodeId::new(*n)).collect();
        if let Some(leader) = answers.values().find_map(|a| a.leader)
            && promised.is_empty()
        {
            // Someone was elected since we asked. Once anyone has promised there is no way back: whoever has, answers the old group no more.
            return Err(TakeoverRefused::MasterIsAlive(NodeId::new(leader)));
        }
        shared.promise_on(&mut ground, generation).await?;
        let shown = shared.shown.borrow().clone();
        let tail = match &before {
            Some(member) => member.store.tail(shown.applied),
            // An earlier attempt had come as far as the promise. The log of the generation before is where it was.
            None => crate::store::Store::open(&shared.env, &ground.journal(), &shared.settings).map(|opened| {
                let tail = opened.store.tail(shown.applied);
                opened.store.close();
                tail
            })?,
        };
        let (state, uncertain) = with_tail((*shown.state).clone(), tail);
        let state = state.in_generation(generation);
        let (env, settings, me) = (shared.env.clone(), shared.settings.clone(), shared.me);
        let belongs = Belonging { generation, promised: generation, ..ground.belongs };
        ground.renew(belongs, move |dir| write_beginning(&env, dir, &settings, me, &state))?;
        shared.begin(&ground).await?;
        drop(ground);
        // Alone, it is elected at once: two syncs.
        let leads = || shared.member().is_some_and(|m| m.now(&shared.settings).has_majority);
        let begun = tokio::time::Instant::now();
        while !leads() && begun.elapsed() < shared.settings.propose {
            tokio::time::sleep(shared.settings.heartbeat / 10).await;
        }
        let missing = others.iter().map(|n| NodeId::new(*n)).filter(|n| !promised.contains(n)).collect();
        tracing::warn!(%generation, uncertain, ?promised, ?missing, "the metadata was started anew from this node's copy");
        Ok(TakenOver { generation, uncertain, promised, missing })
    }
}

/// What the entries make that were not applied yet. One that is refused has no effect, as ever.
fn with_tail(mut state: State, tail: Vec<Entry>) -> (State, u64) {
    let mut uncertain = 0;
    for entry in tail {
        if let EntryPayload::Normal(Order(command)) = entry.payload {
            uncertain += 1;
            let refused = state.apply((*command).clone()).err();
            tracing::warn!(at = ?At::from(&entry.log_id), ?refused, "an entry that was not known to be committed counts from now on");
        }
    }
    (state, uncertain)
}

impl Shared {
    /// Asks all at once; those who answer.
    async fn ask(&self, nodes: &BTreeSet<u32>, request: impl Fn() -> Request) -> BTreeMap<u32, Account> {
        let generation = self.account().generation;
        let asked = nodes.iter().map(|n| {
            let request = request();
            async move { (*n, self.exchange(*n, generation, self.settings.answer, request).await) }
        });
        let answers = futures::future::join_all(asked).await;
        answers.into_iter().filter_map(|(n, reply)| if let Ok(Reply::Account(a)) = reply { Some((n, a)) } else { None }).collect()
    }
}
