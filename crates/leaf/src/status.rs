//! What is known of a partition's recovery: for the log, MV_RECOVERY_STATUS and the admin tool.
//!
//! Owns:     the state of each partition's recovery, written by the threads that recover, read by whoever asks.
//! Promises: states in the order RECOVERING, PENDING, TRANSITIONING, ONLINE; or RECOVERY_FAILED with the reason.
//! Never:    drives the recovery.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use weald_log::Progress;
use weald_types::{Lsn, PartitionId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Recovering,
    Pending,
    Transitioning,
    Online,
    Failed,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Recovering => "RECOVERING",
            Phase::Pending => "PENDING",
            Phase::Transitioning => "TRANSITIONING",
            Phase::Online => "ONLINE",
            Phase::Failed => "RECOVERY_FAILED",
        }
    }
}

/// What a recovering partition is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Waits for its turn, or for nothing any more.
    Nothing,
    Snapshot,
    Log,
}

impl Doing {
    pub fn name(self) -> &'static str {
        match self {
            Doing::Nothing => "",
            Doing::Snapshot => "Recovering snapshot from disk",
            Doing::Log => "Recovering log files from disk",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStatus {
    pub phase: Phase,
    pub doing: Doing,
    /// Of what it is doing.
    pub percent: u8,
    pub snapshot_lsn: Lsn,
    pub replayed_lsn: Lsn,
    pub rows: u64,
    pub details: String,
}

impl PartitionStatus {
    pub fn new(phase: Phase) -> Self {
        let percent = if phase == Phase::Online { 100 } else { 0 };
        Self { phase, doing: Doing::Nothing, percent, snapshot_lsn: Lsn::ZERO, replayed_lsn: Lsn::ZERO, rows: 0, details: String::new() }
    }
}

/// One partition's, shared with the threads that recover it.
#[derive(Debug)]
pub struct Live {
    /// `database:ordinal`, as log lines call it.
    pub name: Box<str>,
    status: Mutex<PartitionStatus>,
    /// Moves with every record: apart, so that replay takes no lock for it.
    pub replayed: AtomicU64,
}

impl Live {
    pub fn is(&self, phase: Phase) -> bool {
        self.status.lock().phase == phase
    }
    pub fn change(&self, f: impl FnOnce(&mut PartitionStatus)) {
        f(&mut self.status.lock())
    }
}

/// Of all partitions of a leaf.
#[derive(Debug, Default)]
pub struct Board {
    partitions: Mutex<BTreeMap<PartitionId, Arc<Live>>>,
    /// All partitions replay one log.
    pub log: Progress,
}

/// Where the recovery of a leaf stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    pub partitions: usize,
    pub online: usize,
    /// Snapshots and log together, snapshots counted as half of the way.
    pub percent: u8,
}

impl Board {
    /// `database`: the name of its database.
    pub fn put(&self, id: PartitionId, database: &str, status: PartitionStatus) -> Arc<Live> {
        let name = format!("{database}:{}", id.ordinal()).into();
        let replayed = AtomicU64::new(status.replayed_lsn.raw());
        let live = Arc::new(Live { name, status: Mutex::new(status), replayed });
        self.partitions.lock().insert(id, live.clone());
        live
    }
    pub fn remove(&self, id: PartitionId) {
        self.partitions.lock().remove(&id);
    }
    pub fn get(&self, id: PartitionId) -> Option<Arc<Live>> {
        self.partitions.lock().get(&id).cloned()
    }

    pub fn log_percent(&self) -> u8 {
        percent(self.log.read_bytes.load(Relaxed), self.log.total_bytes.load(Relaxed))
    }

    pub fn all(&self) -> Vec<(PartitionId, PartitionStatus)> {
        let log_percent = self.log_percent();
        let status = |live: &Live| {
            let mut s = live.status.lock().clone();
            s.replayed_lsn = Lsn::new(live.replayed.load(Relaxed));
            if s.doing == Doing::Log {
                s.percent = log_percent;
            }
            s
        };
        self.partitions.lock().iter().map(|(id, live)| (*id, status(live))).collect()
    }

    pub fn recovery(&self) -> Recovery {
        let all = self.all();
        let half = |s: &PartitionStatus| match (s.phase, s.doing) {
            (Phase::Recovering, Doing::Snapshot) => s.percent as u64 / 2,
            (Phase::Recovering, Doing::Log) => 50 + s.percent as u64 / 2,
            (Phase::Recovering, Doing::Nothing) | (Phase::Failed, _) => 0,
            (Phase::Pending | Phase::Transitioning | Phase::Online, _) => 100,
        };
        let sum: u64 = all.iter().map(|(_, s)| half(s)).sum();
        let online = all.iter().filter(|(_, s)| s.phase == Phase::Online).count();
        Recovery { partitions: all.len(), online, percent: if all.is_empty() { 100 } else { (sum / all.len() as u64) as u8 } }
    }
}

pub(crate) fn percent(done: u64, total: u64) -> u8 {
    if total == 0 { 100 } else { (done.min(total) as u128 * 100 / total as u128) as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_goes_from_nothing_over_the_snapshot_to_the_log_to_online() {
        let board = Board::default();
        let id = PartitionId::new(1);
        let live = board.put(id, "d", PartitionStatus::new(Phase::Recovering));
        let mut seen = vec![board.recovery().percent];
        live.change(|s| (s.doing, s.percent) = (Doing::Snapshot, 60));
        seen.push(board.recovery().percent);
        live.change(|s| s.doing = Doing::Log);
        board.log.total_bytes.store(1000, Relaxed);
        board.log.read_bytes.store(500, Relaxed);
        live.replayed.store(7, Relaxed);
        seen.push(board.recovery().percent);
        assert_eq!(board.all()[0].1.replayed_lsn, Lsn::new(7));
        live.change(|s| *s = PartitionStatus::new(Phase::Online));
        seen.push(board.recovery().percent);
        assert_eq!(seen, [0, 30, 75, 100]);
        assert_eq!(board.recovery().online, 1);
    }
}
