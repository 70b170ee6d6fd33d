//! The hybrid clock, as frames carry it.
//!
//! Owns:     nothing.
//! Promises: every frame that leaves carries [`Stamps::now`]; what a frame carries is given to [`Stamps::observe`] before anyone sees its body.
//! Never:    keeps time itself: the clock is its owner's.

use std::sync::Arc;
use weald_types::Timestamp;

/// The owner's clock. Called for every frame, so it must be quick.
pub trait Stamps: Send + Sync {
    fn now(&self) -> Timestamp;
    /// An error ends the connection: who is too far ahead would drag the cluster's clock along.
    fn observe(&self, stamp: Timestamp) -> Result<(), String>;
}

/// For conversations in which time plays no part.
pub struct NoStamps;

impl Stamps for NoStamps {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO
    }
    fn observe(&self, _stamp: Timestamp) -> Result<(), String> {
        Ok(())
    }
}

impl NoStamps {
    pub fn shared() -> Arc<dyn Stamps> {
        Arc::new(Self)
    }
}
