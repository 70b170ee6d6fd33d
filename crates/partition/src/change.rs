//! What comes of a change to a row, and waiting for whoever is in its way.
//!
//! Owns:     nothing.
//! Promises: a wait that would never end is refused as a deadlock.
//! Never:    retries by itself: the row may be another one after the wait.

use crate::context::NodeContext;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use weald_rowstore::{Refusal, RowHandle};
use weald_txn::Txn;
use weald_types::{Fault, IndexId, SchemaVersion};

#[derive(Debug)]
#[must_use]
pub enum Outcome {
    Done,
    /// A row with this key exists. (It may be one that the snapshot does not see.)
    Duplicate(Duplicate),
    /// The row changed after the snapshot: start again at a newer one, or say 1213.
    Conflict,
    /// The row is not there (any more).
    Gone,
    /// Another transaction has the row, or is inserting this key: wait, then try again.
    Wait(LockWait),
}

/// The row that is in the way of an insert or update.
#[derive(Debug)]
pub struct Duplicate {
    pub index: IndexId,
    pub row: RowHandle,
    pub version: SchemaVersion,
    /// The row's newest bytes.
    pub bytes: Box<[u8]>,
}

/// A row held by another transaction.
#[must_use]
pub struct LockWait {
    pub(crate) node: Arc<NodeContext>,
    pub(crate) waiter: Arc<Txn>,
    pub(crate) holder: Arc<Txn>,
}

impl LockWait {
    /// Until the holder has ended. [`Fault::LockWaitTimeout`] after `timeout`; [`Fault::Deadlock`] at once if the holder waits for us; at once too when
    /// `stop` resolves, with what it says. Tells how long it took.
    pub async fn wait(self, timeout: Duration, stop: impl Future<Output = Fault>) -> (Duration, Result<(), Fault>) {
        let counts = &self.node.lock_waits;
        // Before it is seen to wait: from then on it may be chosen.
        let chosen = self.node.victims.wait(self.waiter.id());
        let _edge = match self.node.waits.wait(self.waiter.id(), self.holder.id()) {
            Ok(edge) => edge,
            Err(circle) if circle.greatest != self.waiter.id() && self.node.victims.together.load(Relaxed) => {
                self.node.victims.choose(circle.greatest);
                self.node.waits.wait_in_circle(self.waiter.id(), self.holder.id())
            }
            Err(_) => {
                drop(chosen);
                self.node.victims.forget(self.waiter.id());
                counts.deadlocks.fetch_add(1, Relaxed);
                return (Duration::ZERO, Err(Fault::Deadlock));
            }
        };
        counts.total.fetch_add(1, Relaxed);
        let begun = self.node.env.clock.now();
        let done = tokio::select! {
            () = self.holder.ended() => Ok(()),
            Ok(()) = chosen => {
                counts.deadlocks.fetch_add(1, Relaxed);
                Err(Fault::Deadlock)
            }
            fault = stop => Err(fault),
            () = tokio::time::sleep(timeout) => {
                counts.timeouts.fetch_add(1, Relaxed);
                Err(Fault::LockWaitTimeout)
            }
        };
        self.node.victims.forget(self.waiter.id());
        let took = self.node.env.clock.now() - begun;
        counts.micros.fetch_add(took.as_micros() as u64, Relaxed);
        (took, done)
    }
}
impl std::fmt::Debug for LockWait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LockWait({} for {})", self.waiter.id(), self.holder.id())
    }
}

/// What the caller is told of a change that was tried.
pub(crate) fn outcome(done: Result<(), Refusal>, node: &Arc<NodeContext>, waiter: &Arc<Txn>) -> Result<Outcome, Fault> {
    Ok(match done {
        Ok(()) => Outcome::Done,
        Err(Refusal::Duplicate(d)) => Outcome::Duplicate(Duplicate { index: d.index, row: d.row, version: d.version, bytes: d.bytes }),
        Err(Refusal::Conflict) => Outcome::Conflict,
        Err(Refusal::Gone) => Outcome::Gone,
        Err(Refusal::Wait(holder)) => Outcome::Wait(LockWait { node: node.clone(), waiter: waiter.clone(), holder }),
        Err(Refusal::Fault(fault)) => return Err(fault),
    })
}
