//! The log as a partition sees it.
//!
//! Owns:     nothing.
//! Promises: records given together are all in the log after a crash, or none is.
//! Never:    knows files.

use crate::Durability;
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use weald_types::{Fault, Lsn, PartitionId};

/// Resolves once what was appended survives loss of power.
pub type LogTicket = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>;

/// Why records were not taken. Nothing of them is in the log.
#[derive(Debug)]
pub enum NotAppended {
    /// Too much waits to be written: wait for [`CommitLog::room`], then try again.
    Crowded,
    /// [`Fault::DiskFull`], or [`Fault::PartitionUnavailable`] once a sync has failed.
    Refused(Fault),
}

/// The log of one node, shared by its partitions. The leaf wires the real one in.
pub trait CommitLog: Send + Sync {
    /// Appends the records as one: after a crash all of them are there, or none. Appends are kept in the order of the calls.
    /// The ticket's error [`Fault::DiskFull`] means that nothing of them is in the log, [`Fault::OutcomeUnknown`] that nobody knows. With
    /// [`Durability::Async`] the commit counts from now on, and only the end of the process can still undo it: a full disk makes the log wait.
    fn append(&self, records: &[(PartitionId, &[u8])], durability: Durability) -> Result<LogTicket, NotAppended>;
    /// How many records of this partition are durable.
    fn durable(&self, partition: PartitionId) -> Lsn;
    /// Resolves once everything appended before the call is durable.
    fn flushed(&self) -> LogTicket;
    /// Resolves once an append is worth trying again.
    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
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
    fn append(&self, records: &[(PartitionId, &[u8])], _: Durability) -> Result<LogTicket, NotAppended> {
        self.records.lock().extend(records.iter().map(|(p, r)| (*p, r.to_vec())));
        Ok(Box::pin(std::future::ready(Ok(()))))
    }
    fn durable(&self, partition: PartitionId) -> Lsn {
        Lsn::new(self.records.lock().iter().filter(|(p, _)| *p == partition).count() as u64)
    }
    fn flushed(&self) -> LogTicket {
        Box::pin(std::future::ready(Ok(())))
    }
    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}
