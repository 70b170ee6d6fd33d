//! What all sessions of one server share in expressions.
//!
//! Owns:     the named locks and the sources of identifiers.
//! Promises: UUID() and UUID_SHORT() never give the same twice while the server runs.
//! Never:    reads a clock: times are handed in.

use crate::named_locks::NamedLocks;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// One for each server, handed to every statement.
pub struct ServerState {
    pub locks: NamedLocks,
    pub identifiers: Identifiers,
    /// Who waits, or computes for long, on a thread of its own.
    pub aside: Places,
    /// Fills with bytes fit for keys: for RANDOM_BYTES().
    pub random: FillRandom,
}

pub type FillRandom = Box<dyn Fn(&mut [u8]) + Send + Sync>;

impl std::fmt::Debug for ServerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerState").field("locks", &self.locks).field("identifiers", &self.identifiers).finish_non_exhaustive()
    }
}

/// Of no server, for folding constants: nothing that is folded reads it.
impl Default for ServerState {
    fn default() -> Self {
        Self::new(Box::new(|bytes| bytes.fill(0)), 0)
    }
}

/// Each of them has a thread, and a runtime has 512.
pub const MOST_ASIDE: usize = 384;

/// Places for work that has a thread for itself.
#[derive(Debug, Default)]
pub struct Places {
    taken: AtomicUsize,
}

/// Given back when it is dropped.
#[derive(Debug)]
pub struct Place<'a>(&'a Places);

impl Places {
    /// `None`: all are taken.
    pub fn take(&self) -> Option<Place<'_>> {
        let place = Place(self);
        // Counted before it is looked at, so that two never take the last one.
        if self.taken.fetch_add(1, Ordering::Relaxed) < MOST_ASIDE { Some(place) } else { None }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
pub struct Identifiers {
    /// Stands for the machine in a UUID; 48 bits.
    node: u64,
    /// Tells runs apart whose clocks may overlap; 14 bits.
    clock_sequence: u16,
    /// The last UUID's time, in steps of 100 ns since 15 October 1582.
    last: AtomicU64,
    next_short: AtomicU64,
}

/// From 15 October 1582 to 1970, in microseconds.
const GREGORIAN_MICROS: u64 = 12_219_292_800_000_000;

impl ServerState {
    /// `started_micros`: since 1970.
    pub fn new(random: FillRandom, started_micros: i64) -> Self {
        let mut bits = [0; 8];
        random(&mut bits);
        let bits = u64::from_le_bytes(bits);
        let seconds = (started_micros.max(0) / 1_000_000) as u64;
        let identifiers = Identifiers {
            // The lowest bit of the first byte says that it is no address of a network card.
            node: bits & 0xFFFF_FFFF_FFFF | 1 << 40,
            clock_sequence: (bits >> 48) as u16 & 0x3FFF,
            last: AtomicU64::new(0),
            next_short: AtomicU64::new((seconds & 0xFFFF_FFFF) << 24),
        };
        Self { locks: NamedLocks::default(), identifiers, aside: Places::default(), random }
    }
}

impl Identifiers {
    /// A version 1 UUID, as MySQL's UUID() makes them: its bytes.
    pub fn uuid(&self, now_micros: i64) -> [u8; 16] {
        let now = (now_micros.max(0) as u64 + GREGORIAN_MICROS) * 10;
        let next = |last: u64| now.max(last + 1);
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last))).unwrap_or_else(|last| last);
        let time = next(last);
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&(time as u32).to_be_bytes());
        bytes[4..6].copy_from_slice(&((time >> 32) as u16).to_be_bytes());
        bytes[6..8].copy_from_slice(&((time >> 48) as u16 & 0x0FFF | 0x1000).to_be_bytes());
        bytes[8..10].copy_from_slice(&(self.clock_sequence | 0x8000).to_be_bytes());
        bytes[10..].copy_from_slice(&self.node.to_be_bytes()[2..]);
        bytes
    }

    /// UUID_SHORT(): the second the server started, and a counter.
    pub fn short(&self) -> u64 {
        self.next_short.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_of_their_time_and_never_twice_the_same() {
        let ids = ServerState::new(Box::new(|bytes| bytes.fill(7)), 1_700_000_000_000_000).identifiers;
        let (a, b) = (ids.uuid(1_700_000_000_000_000), ids.uuid(1_700_000_000_000_000));
        assert_ne!(a, b);
        assert_eq!(a[6] >> 4, 1);
        assert_eq!(a[8] >> 6, 2);
        // An earlier clock does not bring an old one back.
        assert_ne!(ids.uuid(1_699_999_999_999_999), a);
        assert_eq!(ids.short() + 1, ids.short());
    }
}
