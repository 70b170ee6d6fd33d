//! What is known of a partition's recovery: for the log, MV_RECOVERY_STATUS and the admin tool.
//!
//! Owns:     nothing.
//! Promises: states in the order RECOVERING, PENDING, TRANSITIONING, ONLINE; or RECOVERY_FAILED with the reason.
//! Never:    drives the recovery.

use weald_types::Lsn;

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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStatus {
    pub phase: Phase,
    pub doing: String,
    pub snapshot_lsn: Lsn,
    pub replayed_lsn: Lsn,
    pub rows: u64,
    pub details: String,
}

impl PartitionStatus {
    pub fn fresh() -> Self {
        Self { phase: Phase::Online, doing: String::new(), snapshot_lsn: Lsn::ZERO, replayed_lsn: Lsn::ZERO, rows: 0, details: String::new() }
    }
}
