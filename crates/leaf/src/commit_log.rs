//! The node's log as its partitions see it.
//!
//! Owns:     nothing; hands records on.
//! Promises: a fault says whether the write can still turn out to have happened.
//! Never:    retries.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use weald_log::{Error, Log};
use weald_partition::{CommitLog, Durability, LogTicket, NotAppended};
use weald_types::{Fault, Lsn, PartitionId};

/// The log is there once recovery has read it.
#[derive(Default)]
pub struct NodeLog(OnceLock<Arc<Log>>);

impl NodeLog {
    pub fn set(&self, log: Arc<Log>) {
        let _ = self.0.set(log);
    }
    fn log(&self, partition: PartitionId) -> Result<&Arc<Log>, Fault> {
        self.0.get().ok_or_else(|| Fault::PartitionUnavailable { partition: shown(partition), reason: "it is recovering".into() })
    }
}

/// A partition as those know it who have no names.
fn shown(partition: PartitionId) -> String {
    format!("{} of database number {}", partition.ordinal(), partition.database())
}

pub fn fault(partition: PartitionId, e: &Error) -> Fault {
    match e {
        Error::DiskFull { .. } => Fault::DiskFull,
        Error::RecordTooLong { len, max } => Fault::mysql(
            1197,
            "HY000",
            format!("Multi-statement transaction required more than the {max} bytes that one partition's log takes: {len}"),
        ),
        e if e.outcome_is_unknown() => Fault::OutcomeUnknown { reason: e.to_string() },
        e => Fault::PartitionUnavailable { partition: shown(partition), reason: e.to_string() },
    }
}

impl CommitLog for NodeLog {
    fn append(&self, records: &[(PartitionId, &[u8])], durability: Durability) -> Result<LogTicket, NotAppended> {
        let first = records.first().map_or(PartitionId::new(0), |r| r.0);
        let log = self.log(first).map_err(NotAppended::Refused)?;
        let flagged: Vec<(PartitionId, u32, &[u8])> = records.iter().map(|(p, r)| (*p, 0, *r)).collect();
        let queued = match durability {
            Durability::Sync => log.append(&flagged),
            Durability::Async => log.append_answered(&flagged),
        };
        let ticket = queued.map_err(|e| match e {
            Error::BufferFull { .. } => NotAppended::Crowded,
            // Nothing was written: certainly not done.
            Error::Poisoned { .. } => NotAppended::Refused(Fault::PartitionUnavailable { partition: shown(first), reason: e.to_string() }),
            e => NotAppended::Refused(fault(first, &e)),
        })?;
        Ok(Box::pin(async move { ticket.await.map(|_| ()).map_err(|e| fault(first, &e)) }))
    }

    fn durable(&self, partition: PartitionId) -> Lsn {
        self.0.get().map_or(Lsn::ZERO, |log| log.partition(partition, Lsn::ZERO).durable())
    }

    fn flushed(&self) -> LogTicket {
        let (any, log) = (PartitionId::new(0), self.0.get().cloned());
        Box::pin(async move {
            match log {
                Some(log) => log.flushed().await.map_err(|e| fault(any, &e)),
                None => Ok(()),
            }
        })
    }

    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        match self.0.get() {
            Some(log) => Box::pin(log.room()),
            None => Box::pin(std::future::ready(())),
        }
    }
}
