//! Transactions that are too large for one record: their changes go to the log in parts, before they commit.
//!
//! Owns:     which transactions have parts in the log of a partition and have not ended; at replay, the parts whose end has not come by, and what two-phase
//!           commits have promised and decided.
//! Promises: a snapshot never lets go of a part whose transaction it does not show. Parts without their end change nothing.
//! Never:    writes to the log: `transaction` does.
//! See:      docs/format/commit-record.md
//!
//! So a transaction's commit takes as long, and as much memory, as its last few megabytes, however much it has changed. A statement that is taken back after
//! some of it was logged leaves void parts behind: the next part begins again with number 0, and so do all changes that still stand.
//!
//! *The lsn of a snapshot.* Recovery takes up the log behind it, so it must lie before the first part of every transaction that commits after the snapshot's
//! time. A transaction is entered here before its first part is appended, and leaves when its end is durable and its rows are stamped. How far the log is
//! durable is read with the registry locked: who is not in it then has either all of its records before that point, and shows in the snapshot, or none.

use crate::record::RecordError;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use weald_types::{Lsn, PartitionId, Timestamp, TxnId};

/// By transaction: its parts lie behind this lsn.
#[derive(Debug, Default)]
pub struct OpenParts(Mutex<BTreeMap<TxnId, Lsn>>);

impl OpenParts {
    /// `durable`: how far the partition's log is durable.
    pub(crate) fn enter(self: &Arc<Self>, txn: TxnId, durable: impl FnOnce() -> Lsn) -> Entered {
        self.0.lock().insert(txn, durable());
        Entered { parts: self.clone(), txn }
    }
    /// The lsn for a snapshot whose time is taken after this call.
    pub(crate) fn note(&self, durable: impl FnOnce() -> Lsn) -> Lsn {
        let open = self.0.lock();
        let durable = durable();
        open.values().fold(durable, |least, before| least.min(*before))
    }
}

/// A transaction's place among those with parts, until this is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    parts: Arc<OpenParts>,
    txn: TxnId,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.parts.0.lock().remove(&self.txn);
    }
}

/// Parts that replay has met, and whose end it has not; and what it learned of transactions in two phases.
#[derive(Debug, Default)]
pub struct Unfinished {
    open: HashMap<TxnId, Parts>,
    decided: Vec<Decision>,
}

#[derive(Debug, Default)]
struct Parts {
    records: Vec<Box<[u8]>>,
    promise: Option<Promise>,
}

/// What a prepared transaction promised in its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// It may commit from this time on.
    pub at: Timestamp,
    pub participants: Arc<[PartitionId]>,
}

/// A transaction in two phases that has committed. Where the first participant is, this is remembered until all the others know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub txn: TxnId,
    pub at: Timestamp,
    pub participants: Arc<[PartitionId]>,
}

/// A prepared transaction whose end the log does not have: the first of its participants knows it.
#[derive(Debug)]
pub struct InDoubt {
    pub txn: TxnId,
    pub promise: Promise,
    pub(crate) parts: Vec<Box<[u8]>>,
    /// Its records lie behind this lsn.
    pub(crate) behind: Lsn,
}

impl Unfinished {
    pub(crate) fn part(&mut self, txn: TxnId, number: u32, record: &[u8], promise: Option<Promise>) -> Result<(), RecordError> {
        let parts = self.open.entry(txn).or_default();
        if number == 0 {
            parts.records.clear();
        }
        if parts.records.len() != number as usize {
            return Err(RecordError::Parts { expected: number, found: parts.records.len() as u32 });
        }
        parts.records.push(record.into());
        parts.promise = promise;
        Ok(())
    }
    pub(crate) fn end(&mut self, txn: TxnId, at: Timestamp, expected: u32) -> Result<Vec<Box<[u8]>>, RecordError> {
        let parts = self.open.remove(&txn).unwrap_or_default();
        let found = parts.records.len() as u32;
        if found != expected {
            return Err(RecordError::Parts { expected, found });
        }
        self.decided.extend(parts.promise.map(|p| Decision { txn, at, participants: p.participants }));
        Ok(parts.records)
    }
    pub(crate) fn aborted(&mut self, txn: TxnId) {
        self.open.remove(&txn);
    }
    /// Prepared ones; and commits in two phases. What is left in it had not come so far when the process ended. `behind`: where replay began.
    pub fn take_two_phase(&mut self, behind: Lsn) -> (Vec<InDoubt>, Vec<Decision>) {
        let prepared = |(txn, parts): (TxnId, Parts)| Some(InDoubt { txn, promise: parts.promise?, parts: parts.records, behind });
        let in_doubt = self.open.extract_if(|_, parts| parts.promise.is_some()).filter_map(prepared).collect();
        (in_doubt, std::mem::take(&mut self.decided))
    }
    /// Transactions that had not committed when the process ended.
    pub fn len(&self) -> usize {
        self.open.len()
    }
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
