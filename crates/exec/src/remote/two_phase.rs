//! Ending a transaction that has branches on other nodes.
//!
//! Owns:     the order of the messages.
//! Promises: the client is told of a commit once it is decided, durably, where the first participant is; of a rollback only if it cannot commit any more.
//! Never:    leaves a decision untold for ever: what this node does not get to tell, the first participant's node tells (`pulse.rs`).
//!
//! ```text
//!   everyone    Prepare(participants)      each promises, durably, a time from which on it may commit
//!   the first   Commit(the latest of them) durable: decided. The client is answered
//!   the others  Commit                     in their own time; readers of that time wait for it
//!   the first   Forget                     when all the others have it
//! ```

use super::ask::{CONTROL, CallFault, internal};
use super::message::{End, Ended};
use super::method;
use crate::engine::Engine;
use crate::transaction::Branch;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use weald_partition::Durability;
use weald_rpc::Ask;
use weald_types::{Fault, NodeId, PartitionId, Timestamp, TxnId};

/// After so long a decision that has not come is asked for: the same time after which an undecided transaction is rolled back by whoever would decide.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A node with a part in a transaction; `None`: this one.
pub type Participant = Option<NodeId>;

impl Engine {
    pub(crate) async fn commit_everywhere(
        self: Arc<Self>,
        here: weald_partition::Transaction,
        branches: BTreeMap<NodeId, Branch>,
        durability: Durability,
    ) -> Result<Timestamp, Fault> {
        let txn = here.id();
        let (writers, readers): (Vec<_>, Vec<_>) = branches.into_iter().partition(|(_, b)| !b.wrote.is_empty());
        self.leaves.abort(txn, readers.into_iter().map(|(node, _)| node));
        let mine = here.participants();
        match (&writers[..], mine.is_empty()) {
            ([], _) => here.commit(durability).await,
            ([(node, branch)], true) => {
                let end = End::CommitOne { undo: branch.undo, durable: durability == Durability::Sync };
                let at = match self.end_at(*node, txn, &end).await {
                    Ok(Ended::At(at)) => at,
                    Ok(odd) => return Err(internal(format!("a commit ended as {odd:?}"))),
                    Err(CallFault::NotRun(fault)) => {
                        self.leaves.abort(txn, std::iter::once(*node));
                        return Err(fault);
                    }
                    Err(CallFault::Unknown(fault)) => return Err(unknown(fault)),
                };
                self.node.clock.restore(at);
                // Temporary tables, which no log has.
                here.commit(durability).await.map(|_| at)
            }
            _ => self.commit_in_two_phases(here, writers, mine).await,
        }
    }

    async fn commit_in_two_phases(
        self: Arc<Self>,
        here: weald_partition::Transaction,
        writers: Vec<(NodeId, Branch)>,
        mine: Vec<PartitionId>,
    ) -> Result<Timestamp, Fault> {
        let txn = here.id();
        let mut nodes: Vec<(Participant, Option<u64>)> = Vec::new();
        let mut participants: Vec<PartitionId> = Vec::new();
        // This node decides where it can: that is one message less.
        let temporary = if mine.is_empty() {
            Some(here)
        } else {
            nodes.push((None, None));
            participants.extend(mine);
            self.branches.adopt(self.leaves.me(), here);
            None
        };
        for (node, branch) in writers {
            nodes.push((Some(node), branch.undo));
            participants.extend(branch.wrote);
        }
        let engine = &self;
        let prepared = nodes.iter().map(|(node, undo)| {
            let end = End::Prepare { undo: *undo, participants: participants.clone() };
            async move { engine.end_of(*node, txn, &end).await }
        });
        let mut at = Timestamp::ZERO;
        let mut failed = None;
        for done in futures::future::join_all(prepared).await {
            match done {
                Ok(Ended::At(earliest)) => at = at.max(earliest),
                Ok(odd) => failed = Some(internal(format!("a transaction was prepared as {odd:?}"))),
                // Whether it is prepared there or not: without a decision it never commits.
                Err(error) => failed = Some(error.fault()),
            }
        }
        if let Some(fault) = failed {
            for (node, _) in &nodes {
                let _ = self.end_of(*node, txn, &End::Abort).await;
            }
            return Err(fault);
        }
        self.node.clock.restore(at);
        let (first, _) = nodes[0];
        match self.end_of(first, txn, &End::Commit { at }).await {
            Ok(Ended::At(_)) => (),
            // Somebody has asked for the decision before it came, and was told that there is none.
            Ok(Ended::Nothing | Ended::Aborted | Ended::Undecided) => {
                self.leaves.abort(txn, nodes.iter().filter_map(|(node, _)| *node));
                return Err(Fault::Deadlock);
            }
            Err(CallFault::NotRun(fault)) => {
                // It is undecided, and whoever asks there ends it.
                self.leaves.abort(txn, nodes.iter().filter_map(|(node, _)| *node));
                return Err(fault);
            }
            Err(CallFault::Unknown(fault)) => return Err(unknown(fault)),
        }
        let others: Vec<Participant> = nodes[1..].iter().map(|(node, _)| *node).collect();
        let engine = self.clone();
        tokio::spawn(async move {
            let commit = End::Commit { at };
            let told = others.iter().map(|node| engine.end_of(*node, txn, &commit));
            if futures::future::join_all(told).await.iter().all(Result::is_ok) {
                let _ = engine.end_of(first, txn, &End::Forget).await;
            }
        });
        match temporary {
            Some(here) => here.commit(Durability::Async).await.map(|_| at),
            None => Ok(at),
        }
    }

    async fn end_of(&self, node: Participant, txn: TxnId, end: &End) -> Result<Ended, CallFault> {
        match node {
            Some(node) => self.end_at(node, txn, end).await,
            None => self.end_branch(txn, end).await.map_err(CallFault::Unknown),
        }
    }

    /// Asks another node. What comes back as its own fault was not done.
    pub(super) async fn end_at(&self, node: NodeId, txn: TxnId, end: &End) -> Result<Ended, CallFault> {
        let peer = self.leaves.peer(node).map_err(CallFault::NotRun)?;
        let body = weald_rpc::message::encode(&(txn, end)).map_err(|e| CallFault::NotRun(internal(e)))?;
        let answer = peer.call(CONTROL, Ask { method: method::END, body, within: None }).await.map_err(|e| CallFault::of(node, e))?;
        let ended: Result<Ended, Fault> = weald_rpc::message::decode(&answer).map_err(|e| CallFault::Unknown(internal(e)))?;
        ended.map_err(|fault| if matches!(fault, Fault::OutcomeUnknown { .. }) { CallFault::Unknown(fault) } else { CallFault::NotRun(fault) })
    }

    /// What a node does that is told of a transaction's end.
    pub(super) async fn end_branch(&self, txn: TxnId, end: &End) -> Result<Ended, Fault> {
        let branches = &self.branches;
        match end {
            End::CommitOne { undo, durable } => branches.commit_one(txn, *undo, if *durable { Durability::Sync } else { Durability::Async }).await,
            End::Prepare { undo, participants } => branches.prepare(&self.node, txn, *undo, participants.as_slice().into()).await,
            End::Commit { at } => branches.commit(&self.node, txn, *at, |p| self.is_here(p)).await,
            End::Abort => {
                branches.abort(txn).await;
                Ok(Ended::Nothing)
            }
            End::Forget => {
                branches.forget(txn);
                Ok(Ended::Nothing)
            }
            End::Victim => {
                self.node.victims.choose(txn);
                Ok(Ended::Nothing)
            }
            End::Outcome => Ok(branches.outcome(txn).await),
        }
    }

    /// For what has been waiting too long: asks the first participant how it ended. And tells others what was decided here, as long as they may not know.
    pub(super) async fn settle(self: &Arc<Self>) {
        let now = self.node.env.clock.now();
        for waiting in self.branches.waiting(now, PATIENCE) {
            let ended = match self.node_of(waiting.decides) {
                Some(None) => self.end_branch(waiting.txn, &End::Outcome).await.ok(),
                Some(Some(node)) => self.end_at(node, waiting.txn, &End::Outcome).await.ok(),
                // Its database is gone, and with it everything that the transaction could have shown there.
                None if !self.has_database(waiting.decides) => Some(Ended::Aborted),
                None => None,
            };
            let told = match ended {
                Some(Ended::At(at)) => End::Commit { at },
                Some(Ended::Aborted | Ended::Nothing) => End::Abort,
                Some(Ended::Undecided) | None => continue,
            };
            tracing::info!(txn = %waiting.txn, ?told, "a transaction in doubt has been settled");
            if let Err(error) = self.end_branch(waiting.txn, &told).await {
                tracing::warn!(txn = %waiting.txn, %error, "a transaction in doubt could not be ended");
            }
        }
        for decision in self.branches.to_tell(now, PATIENCE) {
            let mut nodes: Vec<Participant> = decision.participants[1..].iter().filter_map(|p| self.node_of(*p)).collect();
            nodes.sort_unstable();
            nodes.dedup();
            let commit = End::Commit { at: decision.at };
            let told = nodes.into_iter().map(|node| self.end_of(node, decision.txn, &commit));
            if futures::future::join_all(told).await.iter().all(Result::is_ok) {
                self.branches.forget(decision.txn);
            }
        }
    }
}

fn unknown(fault: Fault) -> Fault {
    match fault {
        Fault::PartitionUnavailable { reason, .. } => Fault::OutcomeUnknown { reason },
        other => other,
    }
}
