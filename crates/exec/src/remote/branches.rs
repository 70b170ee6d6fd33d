//! What transactions of other nodes have done here.
//!
//! Owns:     one transaction for each that has changed or locked something here, until it ends; the decisions that are remembered for others.
//! Promises: a statement that is taken back is void before anything further is done; a branch whose aggregator is gone ends; a prepared one does not, until
//!           it is told how.
//! Never:    decides for a prepared transaction, unless it is the first of its participants.

#[cfg(test)]
mod tests;

use super::message::{BranchHead, Ended};
use crate::transaction::Transaction;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use weald_partition::{Decision, Durability, NodeContext, Remembered, Snapshot};
use weald_types::{Fault, NodeIdentity, PartitionId, Timestamp, TxnId};

#[derive(Default)]
pub struct Branches {
    open: Mutex<HashMap<TxnId, Branch>>,
    decided: Mutex<HashMap<TxnId, Decided>>,
}

/// Commits in two phases whose first participant is here.
struct Decided {
    decision: Decision,
    /// None as long as it is not known to be durable, and so is not told to anyone.
    remembered: Option<Remembered>,
    /// When it was last told to the others.
    told: Duration,
}

struct Branch {
    owner: Owner,
    transaction: Arc<Transaction>,
    /// Where each statement began, by its number.
    statements: Vec<(u64, crate::transaction::Mark)>,
    /// Who decides, once it is prepared.
    participants: Option<Arc<[PartitionId]>>,
    /// Since when it has been waiting to be told, by the node's clock.
    prepared_since: Option<Duration>,
    /// It is to be rolled back as soon as it is prepared.
    doomed: bool,
}

/// Whose transactions end with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Node(NodeIdentity),
    /// It was found in the log: whoever began it is gone.
    Nobody,
}

/// A prepared branch that nobody has decided about for a while.
pub(super) struct Waiting {
    pub txn: TxnId,
    pub decides: PartitionId,
}

impl Branches {
    /// The branch of a request, and what it reads at.
    pub(super) fn enter(
        &self,
        node: &Arc<NodeContext>,
        from: NodeIdentity,
        head: BranchHead,
        at: Timestamp,
    ) -> Result<(Arc<Transaction>, Snapshot), Fault> {
        let mut open = self.open.lock();
        if head.begins && !open.contains_key(&head.txn) {
            let transaction = Transaction::alone(weald_partition::Transaction::begin(node, head.txn, head.isolation()));
            let branch = Branch {
                owner: Owner::Node(from),
                transaction: Arc::new(transaction),
                statements: Vec::new(),
                participants: None,
                prepared_since: None,
                doomed: false,
            };
            open.insert(head.txn, branch);
        }
        let Some(branch) = open.get_mut(&head.txn).filter(|b| b.participants.is_none()) else { return Err(lost()) };
        branch.take_back(head.undo, Some(head.statement));
        if branch.statements.last().is_none_or(|(n, _)| *n < head.statement) {
            // What the statement before loaded is found by every index.
            branch.transaction.make_entries();
            branch.statements.push((head.statement, branch.transaction.mark()));
        }
        let transaction = branch.transaction.clone();
        drop(open);
        let snapshot = transaction.read_at(at).ok_or(Fault::RebuiltSince)?;
        Ok((transaction, snapshot))
    }

    /// Takes it for its end, if it is not prepared.
    fn take(&self, txn: TxnId, undo: Option<u64>) -> Option<Branch> {
        let mut open = self.open.lock();
        open.get(&txn).filter(|b| b.participants.is_none())?;
        let mut branch = open.remove(&txn)?;
        branch.take_back(undo, None);
        Some(branch)
    }

    /// Its only branch with changes commits.
    pub(super) async fn commit_one(&self, txn: TxnId, undo: Option<u64>, durability: Durability) -> Result<Ended, Fault> {
        let Some(branch) = self.take(txn, undo) else { return Err(lost()) };
        match alone(branch.transaction).await?.commit(durability).await {
            Ok(at) => Ok(Ended::At(at)),
            Err(fault) => Err(fault),
        }
    }

    /// To be run to its end.
    pub(super) async fn prepare(&self, node: &NodeContext, txn: TxnId, undo: Option<u64>, participants: Arc<[PartitionId]>) -> Result<Ended, Fault> {
        let transaction = {
            let mut open = self.open.lock();
            let Some(branch) = open.get_mut(&txn).filter(|b| b.participants.is_none()) else { return Err(lost()) };
            branch.take_back(undo, None);
            branch.participants = Some(participants.clone());
            branch.transaction.clone()
        };
        let done = transaction.prepare(&participants).await;
        drop(transaction);
        match done {
            Ok(at) => {
                let doomed = match self.open.lock().get_mut(&txn) {
                    Some(branch) => {
                        branch.prepared_since = Some(node.env.clock.now());
                        branch.doomed
                    }
                    None => true,
                };
                if doomed {
                    self.end(txn).await;
                    return Err(lost());
                }
                Ok(Ended::At(at))
            }
            Err(fault) => {
                self.end(txn).await;
                Err(fault)
            }
        }
    }

    /// It was decided; where the first participant is, it is decided by this. To be run to its end.
    pub(super) async fn commit(&self, node: &NodeContext, txn: TxnId, at: Timestamp, is_here: impl Fn(PartitionId) -> bool) -> Result<Ended, Fault> {
        let branch = {
            let mut open = self.open.lock();
            let prepared = open.get(&txn).is_some_and(|b| b.prepared_since.is_some());
            let branch = if prepared { open.remove(&txn) } else { None };
            // Who asks meanwhile is told to ask again.
            if let Some(participants) = branch.as_ref().and_then(|b| b.participants.clone())
                && participants.first().is_some_and(|p| is_here(*p))
            {
                let decision = Decision { txn, at, participants };
                self.decided.lock().insert(txn, Decided { decision, remembered: None, told: node.env.clock.now() });
            }
            branch
        };
        let Some(branch) = branch else {
            // Told again; or it was ended here before the decision came.
            return Ok(if self.decided.lock().contains_key(&txn) { Ended::At(at) } else { Ended::Nothing });
        };
        let remembered = alone(branch.transaction).await?.commit_prepared(at).await?;
        if let Some(decided) = self.decided.lock().get_mut(&txn) {
            decided.remembered = Some(remembered);
        }
        Ok(Ended::At(at))
    }

    /// It is not going to commit.
    pub(super) async fn abort(&self, txn: TxnId) {
        if let Some(branch) = self.open.lock().get_mut(&txn).filter(|b| b.is_preparing()) {
            branch.doomed = true;
            return;
        }
        self.end(txn).await;
    }
    async fn end(&self, txn: TxnId) {
        let branch = self.open.lock().remove(&txn);
        if let Some(branch) = branch {
            branch.abort().await;
        }
    }

    /// For a participant that waits: how did it end? Where it is undecided it ends now.
    pub(super) async fn outcome(&self, txn: TxnId) -> Ended {
        let branch = {
            let mut open = self.open.lock();
            // With `open` held, as a decision goes from one to the other that way.
            if let Some(decided) = self.decided.lock().get(&txn) {
                return if decided.remembered.is_some() { Ended::At(decided.decision.at) } else { Ended::Undecided };
            }
            if open.get(&txn).is_some_and(Branch::is_preparing) {
                return Ended::Undecided;
            }
            open.remove(&txn)
        };
        // Whoever is about to decide finds nothing any more.
        if let Some(branch) = branch {
            branch.abort().await;
        }
        Ended::Aborted
    }

    pub(super) fn forget(&self, txn: TxnId) {
        self.decided.lock().remove(&txn);
    }

    /// Found by recovery.
    pub fn restore(&self, in_doubt: Vec<(TxnId, weald_partition::Transaction, Arc<[PartitionId]>)>, decided: Vec<(Decision, Remembered)>) {
        let mut open = self.open.lock();
        for (txn, here, participants) in in_doubt {
            let branch = Branch {
                owner: Owner::Nobody,
                transaction: Arc::new(Transaction::alone(here)),
                statements: Vec::new(),
                participants: Some(participants),
                prepared_since: Some(Duration::ZERO),
                doomed: false,
            };
            open.insert(txn, branch);
        }
        let mut all = self.decided.lock();
        for (decision, remembered) in decided {
            all.insert(decision.txn, Decided { decision, remembered: Some(remembered), told: Duration::ZERO });
        }
    }

    /// Ends what nodes that are gone have left undecided and unprepared.
    pub(super) async fn end_of(&self, is_gone: impl Fn(NodeIdentity) -> bool) {
        let gone: Vec<Branch> = {
            let mut open = self.open.lock();
            let left = |b: &Branch| b.participants.is_none() && matches!(b.owner, Owner::Node(n) if is_gone(n));
            open.extract_if(|_, b| left(b)).map(|(_, b)| b).collect()
        };
        if !gone.is_empty() {
            tracing::info!(transactions = gone.len(), "rolled back: their aggregator is gone");
        }
        for branch in gone {
            branch.abort().await;
        }
    }

    /// Prepared ones that have waited for longer than `since`.
    pub(super) fn waiting(&self, now: Duration, longer_than: Duration) -> Vec<Waiting> {
        let open = self.open.lock();
        let waits = |(txn, b): (&TxnId, &Branch)| {
            let late = b.prepared_since.is_some_and(|since| now.saturating_sub(since) > longer_than);
            let decides = b.participants.as_ref()?.first()?;
            late.then_some(Waiting { txn: *txn, decides: *decides })
        };
        open.iter().filter_map(waits).collect()
    }

    /// Decisions that were last told longer ago; they count as told now.
    pub(super) fn to_tell(&self, now: Duration, longer_than: Duration) -> Vec<Decision> {
        let mut decided = self.decided.lock();
        let due = decided.values_mut().filter(|d| d.remembered.is_some() && now.saturating_sub(d.told) > longer_than);
        due.map(|d| {
            d.told = now;
            d.decision.clone()
        })
        .collect()
    }

    /// A transaction of this node becomes a branch like the others', for its end in two phases.
    pub(crate) fn adopt(&self, me: NodeIdentity, here: weald_partition::Transaction) {
        let txn = here.id();
        let transaction = Arc::new(Transaction::alone(here));
        let branch = Branch { owner: Owner::Node(me), transaction, statements: Vec::new(), participants: None, prepared_since: None, doomed: false };
        self.open.lock().insert(txn, branch);
    }

    pub fn len(&self) -> usize {
        self.open.lock().len()
    }
    pub fn is_empty(&self) -> bool {
        self.open.lock().is_empty()
    }
}

impl Branch {
    fn is_preparing(&self) -> bool {
        self.participants.is_some() && self.prepared_since.is_none()
    }
    /// Voids the statements from `undo` on, up to `current`, which runs again in their place: its requests run at the same time and all say what is to be taken
    /// back, but what one of them has done already is not.
    fn take_back(&mut self, undo: Option<u64>, current: Option<u64>) {
        let Some(undo) = undo else { return };
        let from = self.statements.partition_point(|(n, _)| *n < undo);
        if let Some((first, mark)) = self.statements.get(from)
            && current.is_none_or(|current| *first < current)
        {
            self.transaction.rollback_to(*mark);
            self.statements.truncate(from);
        }
    }
    async fn abort(self) {
        if let Ok(here) = alone(self.transaction).await {
            here.abort_prepared();
        }
    }
}

/// Who works for the transaction still lets go of it in a moment: its request has been answered or given up.
async fn alone(mut transaction: Arc<Transaction>) -> Result<weald_partition::Transaction, Fault> {
    const TRIES: u32 = 10_000;
    for _ in 0..TRIES {
        match Arc::try_unwrap(transaction) {
            Ok(transaction) => return transaction.into_here().ok_or_else(lost),
            Err(shared) => transaction = shared,
        }
        tokio::task::yield_now().await;
    }
    Err(Fault::Internal { incident: "a transaction ends while a request of it is running".into() })
}

fn lost() -> Fault {
    Fault::PartitionUnavailable {
        partition: "*".into(),
        reason:
            "what the transaction did there is lost, as the node was restarted or did not hear from the aggregator for too long; it is rolled back"
                .into(),
    }
}
