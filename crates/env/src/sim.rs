//! A world in memory: a disk that forgets, a clock that moves when told, random numbers from a seed.
//!
//! Owns:     the state of that world.
//! Promises: same calls, same answers.
//! Never:    touches the machine.

mod disk;

pub use disk::{Call, SimDisk, Survives};

use crate::{Clock, Random};
use parking_lot::Mutex;
use std::time::Duration;

/// Stands still between calls of [`SimClock::advance`].
pub struct SimClock {
    now: Mutex<Duration>,
    wall_at_start: u64,
}

impl SimClock {
    pub fn advance(&self, by: Duration) {
        *self.now.lock() += by;
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self { now: Mutex::new(Duration::ZERO), wall_at_start: 1_700_000_000_000_000 }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Duration {
        *self.now.lock()
    }
    fn wall_micros(&self) -> u64 {
        self.wall_at_start + self.now().as_micros() as u64
    }
}

pub struct SimRandom(Mutex<SplitMix>);

impl SimRandom {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(SplitMix(seed)))
    }
}

impl Random for SimRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock();
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&state.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. Written out because it must never change: seeds are kept.
pub(crate) struct SplitMix(pub u64);

impl SplitMix {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
