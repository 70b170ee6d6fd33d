//! The outside world as seams: clock, disk, randomness; the real ones and simulated ones.
//!
//! Owns:     the traits [`Clock`], [`Disk`], [`File`], [`Random`], and the bundle [`Env`] that is handed in at construction.
//! Promises: [`real`] is the only place that touches the operating system; [`sim`] does the same from a seed and loses what was not synced.
//! Never:    decides what to do about a failure: an `io::Error` goes to the caller as it came.

pub mod clock;
pub mod disk;
pub mod random;
pub mod real;
pub mod sim;

pub use clock::Clock;
pub use disk::{DirEntry, DirLock, Disk, File, LockError, OpenMode, is_full};
pub use random::Random;

use std::sync::Arc;

/// The outside world of one process. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    pub clock: Arc<dyn Clock>,
    pub disk: Arc<dyn Disk>,
    pub random: Arc<dyn Random>,
}

impl Env {
    /// The machine that we run on.
    pub fn real() -> Self {
        Self { clock: Arc::new(real::RealClock::new()), disk: Arc::new(real::RealDisk), random: Arc::new(real::RealRandom) }
    }
    /// A world in memory, drawn from `seed`: an empty disk without faults, and a clock that moves only when told.
    pub fn simulated(seed: u64) -> Self {
        Self::with_disk(Arc::new(sim::SimDisk::new()), seed)
    }
    /// As [`Env::simulated`], on a disk that the test keeps a hand on.
    pub fn with_disk(disk: Arc<sim::SimDisk>, seed: u64) -> Self {
        Self { clock: Arc::new(sim::SimClock::default()), disk, random: Arc::new(sim::SimRandom::new(seed)) }
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Env")
    }
}
