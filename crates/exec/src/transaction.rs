//! A session's transaction: what it did on this node, and its branches on others.
//!
//! Owns:     the numbers of its statements, which nodes have a branch, and what is to be taken back there.
//! Promises: whole or not at all, whatever its end is interrupted by: one node's part commits alone, several nodes' in two phases. Dropped without a commit,
//!           it is rolled back everywhere.
//! Never:    chooses a node.
//! See:      docs/design/0013-transactions-over-nodes.md
//!
//! Taking a statement back costs no message: the next request to the branch says from which statement on its changes are void, and so does the commit.

use crate::engine::Engine;
use crate::remote::BranchHead;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use weald_partition::Durability;
use weald_txn::Isolation;
use weald_types::{Fault, NodeId, PartitionId, Timestamp};

/// A place in a transaction to which it can be rolled back: a savepoint, or the beginning of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    here: weald_partition::Mark,
    /// The number of the first statement after it.
    statement: u64,
}

pub struct Transaction {
    /// Gone once it has been handed to whoever ends it.
    here: Option<weald_partition::Transaction>,
    engine: Option<Arc<Engine>>,
    statement: AtomicU64,
    branches: Mutex<BTreeMap<NodeId, Branch>>,
}

/// What is known of it on another node.
#[derive(Debug, Default)]
pub(crate) struct Branch {
    /// Where it has changes.
    pub wrote: Vec<PartitionId>,
    pub undo: Option<u64>,
    /// The node has answered that it has it.
    known: bool,
}

impl std::ops::Deref for Transaction {
    type Target = weald_partition::Transaction;
    fn deref(&self) -> &weald_partition::Transaction {
        self.here.as_ref().expect("it is taken by the end of the transaction only")
    }
}

impl Transaction {
    pub(crate) fn new(engine: &Arc<Engine>, here: weald_partition::Transaction) -> Self {
        Self { here: Some(here), engine: Some(engine.clone()), statement: AtomicU64::new(0), branches: Mutex::default() }
    }
    /// Of which this node sees nothing but its own part.
    pub(crate) fn alone(here: weald_partition::Transaction) -> Self {
        Self { here: Some(here), engine: None, statement: AtomicU64::new(0), branches: Mutex::default() }
    }
    pub(crate) fn into_here(mut self) -> Option<weald_partition::Transaction> {
        self.here.take()
    }

    pub fn has_written(&self) -> bool {
        (**self).has_written() || self.branches.lock().values().any(|b| !b.wrote.is_empty())
    }
    pub fn mark(&self) -> Mark {
        Mark { here: (**self).mark(), statement: self.statement.fetch_add(1, Relaxed) + 1 }
    }
    /// Takes back every change after the mark. Locks stay until the end, as InnoDB's do.
    pub fn rollback_to(&self, mark: Mark) {
        (**self).rollback_to(mark.here);
        for branch in self.branches.lock().values_mut() {
            branch.undo = Some(branch.undo.map_or(mark.statement, |other| other.min(mark.statement)));
        }
        // What comes now is not what is taken back.
        self.statement.fetch_add(1, Relaxed);
    }

    /// What a request to `node` says. `joins`: it changes or locks something there, so there is to be a branch.
    pub(crate) fn branch(&self, node: NodeId, joins: bool) -> Option<BranchHead> {
        let mut branches = self.branches.lock();
        if !joins && !branches.contains_key(&node) {
            return None;
        }
        let branch = branches.entry(node).or_default();
        // Several requests may be the first.
        let begins = !branch.known;
        let txn = self.txn();
        let read_committed = txn.isolation() == Isolation::ReadCommitted;
        Some(BranchHead { txn: txn.id(), read_committed, statement: self.statement.load(Relaxed), undo: branch.undo, begins })
    }
    /// A request was answered.
    pub(crate) fn answered(&self, node: NodeId, asked: BranchHead, wrote: Vec<PartitionId>) {
        if let Some(branch) = self.branches.lock().get_mut(&node) {
            // Answers of requests that ran at the same time come in any order: one that was given earlier knows of less. Only taking back makes the list shorter.
            if branch.undo.take_if(|undo| asked.undo == Some(*undo)).is_some() {
                branch.wrote = wrote;
            } else {
                wrote.into_iter().for_each(|p| {
                    if !branch.wrote.contains(&p) {
                        branch.wrote.push(p)
                    }
                });
            }
            branch.known = true;
        }
    }
    pub fn is_spread(&self) -> bool {
        !self.branches.lock().is_empty()
    }

    /// Makes all its changes visible at one timestamp, which is returned, once they are durable as asked. To be run to its end where it is spread over nodes
    /// ([`Transaction::is_spread`]): spawn it.
    ///
    /// Errors: it is rolled back; but `OutcomeUnknown`: nobody can say.
    pub async fn commit(mut self, durability: Durability) -> Result<Timestamp, Fault> {
        let branches = std::mem::take(&mut *self.branches.lock());
        let (Some(here), engine) = (self.here.take(), self.engine.take()) else {
            return Err(Fault::Internal { incident: "a transaction is committed twice".into() });
        };
        match engine {
            Some(engine) if !branches.is_empty() => engine.commit_everywhere(here, branches, durability).await,
            Some(_) | None => here.commit(durability).await,
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let branches = std::mem::take(self.branches.get_mut());
        if let (Some(here), Some(engine)) = (&self.here, &self.engine)
            && !branches.is_empty()
        {
            engine.leaves.abort(here.id(), branches.into_keys());
        }
    }
}
