//! The node's log as its partitions see it.
//!
//! Owns:     nothing; hands records on.
//! Promises: a fault says whether the write can still turn out to have happened.
//! Never:    retries.

use std::sync::{Arc, OnceLock};
use weald_log::{Error, Log};
use weald_partition::{CommitLog, LogTicket};
use weald_types::{Fault, Lsn, PartitionId};

/// The log is there once recovery has read it.
#[derive(Default)]
pub struct NodeLog(OnceLock<Arc<Log>>);

impl NodeLog {
    pub fn set(&self, log: Arc<Log>) {
        let _ = self.0.set(log);
    }
}

pub fn fault(partition: PartitionId, e: &Error) -> Fault {
    match e {
        Error::DiskFull { .. } => Fault::DiskFull,
        e if e.outcome_is_unknown() => Fault::OutcomeUnknown { reason: e.to_string() },
        e => Fault::PartitionUnavailable { partition: partition.to_string(), reason: e.to_string() },
    }
}

impl CommitLog for NodeLog {
    fn append(&self, records: &[(PartitionId, &[u8])]) -> Result<LogTicket, Fault> {
        let first = records.first().map_or(PartitionId::new(0), |r| r.0);
        let Some(log) = self.0.get() else {
            return Err(Fault::PartitionUnavailable { partition: first.to_string(), reason: "it is recovering".into() });
        };
        let flagged: Vec<(PartitionId, u32, &[u8])> = records.iter().map(|(p, r)| (*p, 0, *r)).collect();
        let ticket = log.append(&flagged).map_err(|e| match e {
            // Nothing was written: certainly not done.
            Error::Poisoned { .. } => Fault::PartitionUnavailable { partition: first.to_string(), reason: e.to_string() },
            e => fault(first, &e),
        })?;
        Ok(Box::pin(async move { ticket.await.map(|_| ()).map_err(|e| fault(first, &e)) }))
    }

    fn appended(&self, partition: PartitionId) -> Lsn {
        self.0.get().map_or(Lsn::ZERO, |log| log.partition(partition, Lsn::ZERO).appended())
    }
}
