//! The log as a partition sees it.
//!
//! Owns:     nothing.
//! Promises: records given together are all in the log after a crash, or none is.
//! Never:    knows files.

use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use weald_types::{Fault, Lsn, PartitionId};

/// Resolves once what was appended survives loss of power.
pub type LogTicket = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>;

/// The log of one node, shared by its partitions. The leaf wires the real one in.
pub trait CommitLog: Send + Sync {
    /// Appends the records as one: after a crash all of them are there, or none. Appends are kept in the order of the calls.
    /// An error means that nothing was written: [`Fault::DiskFull`], or [`Fault::PartitionUnavailable`] once a sync has failed.
    /// The ticket's error means that nobody knows: [`Fault::OutcomeUnknown`] or [`Fault::PartitionUnavailable`].
    fn append(&self, records: &[(PartitionId, &[u8])]) -> Result<LogTicket, Fault>;
    /// How many records of this partition were appended so far.
    fn appended(&self, partition: PartitionId) -> Lsn;
}

/// A log that keeps its records in memory: for tests, and for temporary tables that no restart needs to find.
#[derive(Debug, Default)]
pub struct MemoryLog {
    records: Mutex<Vec<(PartitionId, Vec<u8>)>>,
}
impl MemoryLog {
    /// Records of one partition, in order.
    pub fn records(&self, partition: PartitionId) -> Vec<Vec<u8>> {
        self.records.lock().iter().filter(|(p, _)| *p == partition).map(|(_, r)| r.clone()).collect()
    }
}
impl CommitLog for MemoryLog {
    fn append(&self, records: &[(PartitionId, &[u8])]) -> Result<LogTicket, Fault> {
        self.records.lock().extend(records.iter().map(|(p, r)| (*p, r.to_vec())));
        Ok(Box::pin(std::future::ready(Ok(()))))
    }
    fn appended(&self, partition: PartitionId) -> Lsn {
        Lsn::new(self.records.lock().iter().filter(|(p, _)| *p == partition).count() as u64)
    }
}
