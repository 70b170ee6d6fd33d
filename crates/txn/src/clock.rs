//! The hybrid logical clock of one node.
//!
//! Owns:     the greatest timestamp this node has given out or heard of.
//! Promises: never goes back; [`HybridClock::tick`] is greater than everything given out or observed before it.
//! Never:    reads the wall clock: it comes in as an argument. Lets a peer push it far into the future.
//! See:      Kulkarni et al., "Logical Physical Clocks", 2014. The counter is the low bits of [`Timestamp`]; when it overflows it runs into the
//!           microseconds, which only means that the clock is ahead of the wall for a moment.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use weald_types::Timestamp;

/// One per node, shared by its partitions and its sessions.
#[derive(Debug, Default)]
pub struct HybridClock {
    last: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// The sender's clock is wrong, or ours is. Following it would let one broken machine drag the whole cluster along.
    #[error("timestamp {given} is {ahead_micros} us ahead of the wall clock")]
    TooFarAhead { given: Timestamp, ahead_micros: u64 },
}

impl HybridClock {
    pub fn new() -> Self {
        Self::default()
    }
    /// The time now, for reading at. Later ticks are greater than it.
    ///
    /// The order of memory operations matters: see the essay in [`crate::visibility`].
    pub fn now(&self, wall: Timestamp) -> Timestamp {
        let last = self.last.load(SeqCst);
        if last >= wall.raw() {
            return Timestamp::new(last);
        }
        Timestamp::new(self.last.fetch_max(wall.raw(), SeqCst).max(wall.raw()))
    }
    /// A new timestamp, greater than all before it: for commits.
    pub fn tick(&self) -> Timestamp {
        Timestamp::new(self.last.fetch_add(1, SeqCst) + 1)
    }
    /// The greatest timestamp given out or observed.
    pub fn last(&self) -> Timestamp {
        Timestamp::new(self.last.load(SeqCst))
    }
    /// Takes note of a timestamp that came with a message: from now on this node's timestamps are greater.
    pub fn observe(&self, given: Timestamp, wall: Timestamp, max_ahead: Duration) -> Result<(), ClockError> {
        let ahead_micros = given.micros().saturating_sub(wall.micros());
        if u128::from(ahead_micros) > max_ahead.as_micros() {
            return Err(ClockError::TooFarAhead { given, ahead_micros });
        }
        self.last.fetch_max(given.raw(), SeqCst);
        Ok(())
    }
    /// Takes note of a timestamp found in our own log or snapshot: it was good when it was written.
    pub fn restore(&self, found: Timestamp) {
        self.last.fetch_max(found.raw(), SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_wall_and_never_goes_back() {
        let c = HybridClock::new();
        let t = |us| Timestamp::from_micros(us);
        assert_eq!(c.now(t(100)), t(100));
        assert_eq!(c.now(t(90)), t(100));
        let tick = c.tick();
        assert!(tick > t(100));
        assert_eq!(c.now(t(90)), tick);
        assert_eq!(c.now(t(200)), t(200));
    }

    #[test]
    fn a_peer_too_far_ahead_is_refused_and_leaves_no_trace() {
        let c = HybridClock::new();
        let wall = Timestamp::from_micros(1_000_000);
        c.now(wall);
        assert!(c.observe(Timestamp::from_micros(1_600_000), wall, Duration::from_millis(500)).is_err());
        assert_eq!(c.last(), wall);
        assert!(c.observe(Timestamp::from_micros(1_400_000), wall, Duration::from_millis(500)).is_ok());
        assert!(c.tick() > Timestamp::from_micros(1_400_000));
    }
}
