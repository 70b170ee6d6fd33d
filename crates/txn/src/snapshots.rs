//! Which timestamps are being read at, and so which versions nobody will read again.
//!
//! Owns:     a register of open snapshots, one per node.
//! Promises: [`Snapshots::watermark`] is at or below every open snapshot and never goes back; a snapshot that was opened stays readable until its
//!           [`Lease`] is dropped.
//! Never:    blocks a reader.
//!
//! Garbage collection keeps, of each row, the newest version at or below the watermark and everything above it. A reader that takes its timestamp while
//! the watermark is being computed must not be missed:
//!
//! ```text
//! collector                            reader
//! C1  horizon := max(horizon, now)     R1  r := clock; slot := r
//! C2  read all slots                   R2  if horizon > r, take a newer r and go back to R1
//! C3  watermark := min(horizon, slots)
//! ```
//!
//! All sequentially consistent. Either C2 sees the slot, and the watermark stays at or below `r`; or R1 comes after C2, hence after C1, and R2 sees the
//! horizon: then `r` is not used unless it is at or above the horizon, and with it the watermark.

use crate::HybridClock;
use parking_lot::Mutex;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use weald_types::Timestamp;

/// Slots that need no lock; more open snapshots than this go to a map.
const SLOTS: usize = 256;

/// A slot to itself in its cache line, so that cores which open and close snapshots all the time do not disturb each other.
#[repr(align(64))]
#[derive(Debug, Default)]
struct Slot(AtomicU64);

#[derive(Debug)]
pub struct Snapshots {
    /// 0: free. (No snapshot is at timestamp 0; see [`Snapshots::open_at`].)
    slots: Box<[Slot]>,
    overflow: Mutex<BTreeMap<Timestamp, usize>>,
    horizon: AtomicU64,
    watermark: AtomicU64,
}

thread_local! {
    /// Where this thread last found a free slot: usually free again.
    static HINT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Keeps every version that a reader at [`Lease::at`] needs, until it is dropped.
#[derive(Debug)]
pub struct Lease {
    of: Arc<Snapshots>,
    at: Timestamp,
    slot: Option<usize>,
}
impl Lease {
    pub fn at(&self) -> Timestamp {
        self.at
    }
}
impl Drop for Lease {
    fn drop(&mut self) {
        match self.slot {
            Some(i) => self.of.slots[i].0.store(0, SeqCst),
            None => {
                let mut map = self.of.overflow.lock();
                if let Some(n) = map.get_mut(&self.at) {
                    *n -= 1;
                    if *n == 0 {
                        map.remove(&self.at);
                    }
                }
            }
        }
    }
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Slot::default()).collect(),
            overflow: Mutex::default(),
            horizon: AtomicU64::new(0),
            watermark: AtomicU64::new(0),
        }
    }
}

impl Snapshots {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }
    /// A snapshot of now.
    pub fn open(self: &Arc<Self>, clock: &HybridClock, wall: Timestamp) -> Lease {
        loop {
            let at = clock.now(wall);
            let lease = self.register(at);
            if self.horizon.load(SeqCst) <= at.raw() {
                return lease;
            }
        }
    }
    /// A snapshot of the past, or one that another node chose. `None`: versions it needs may be gone.
    pub fn open_at(self: &Arc<Self>, at: Timestamp) -> Option<Lease> {
        let lease = self.register(at);
        (self.horizon.load(SeqCst) <= at.raw()).then_some(lease)
    }
    /// One more snapshot at the time of one that is open.
    pub fn share(self: &Arc<Self>, open: &Lease) -> Lease {
        // Needs no check: `open` holds the watermark down while this one is entered.
        self.register(open.at)
    }
    fn register(self: &Arc<Self>, at: Timestamp) -> Lease {
        let at = at.max(Timestamp::new(1));
        let start = HINT.with(|h| if h.get() == usize::MAX { (h as *const Cell<usize> as usize >> 6) % SLOTS } else { h.get() });
        for n in 0..SLOTS {
            let i = (start + n) % SLOTS;
            let slot = &self.slots[i].0;
            if slot.load(SeqCst) == 0 && slot.compare_exchange(0, at.raw(), SeqCst, SeqCst).is_ok() {
                HINT.with(|h| h.set(i));
                return Lease { of: self.clone(), at, slot: Some(i) };
            }
        }
        *self.overflow.lock().entry(at).or_default() += 1;
        Lease { of: self.clone(), at, slot: None }
    }
    /// No open snapshot, and none that will be opened, is below this.
    pub fn watermark(&self) -> Timestamp {
        Timestamp::new(self.watermark.load(SeqCst))
    }
    /// Moves the watermark as far as the open snapshots let it. `now`: the clock's.
    pub fn advance(&self, now: Timestamp) -> Timestamp {
        let horizon = self.horizon.fetch_max(now.raw(), SeqCst).max(now.raw());
        let mut least = horizon;
        for slot in &self.slots {
            match slot.0.load(SeqCst) {
                0 => (),
                at => least = least.min(at),
            }
        }
        if let Some((at, _)) = self.overflow.lock().first_key_value() {
            least = least.min(at.raw());
        }
        Timestamp::new(self.watermark.fetch_max(least, SeqCst).max(least))
    }
    /// How many snapshots are open.
    pub fn len(&self) -> usize {
        self.slots.iter().filter(|s| s.0.load(SeqCst) != 0).count() + self.overflow.lock().values().sum::<usize>()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_open_snapshot_holds_the_watermark() {
        let (s, clock) = (Snapshots::new(), HybridClock::new());
        let old = s.open(&clock, Timestamp::new(10));
        let new = s.open(&clock, Timestamp::new(20));
        assert_eq!(s.advance(Timestamp::new(30)), Timestamp::new(10));
        drop(old);
        assert_eq!(s.advance(Timestamp::new(30)), Timestamp::new(20));
        drop(new);
        assert_eq!(s.advance(Timestamp::new(30)), Timestamp::new(30));
        assert!(s.is_empty());
    }

    #[test]
    fn a_snapshot_of_what_may_be_collected_is_refused() {
        let s = Snapshots::new();
        s.advance(Timestamp::new(30));
        assert!(s.open_at(Timestamp::new(29)).is_none());
        assert!(s.open_at(Timestamp::new(30)).is_some());
        assert!(s.is_empty());
    }

    #[test]
    fn more_snapshots_than_slots_are_all_honoured() {
        let (s, clock) = (Snapshots::new(), HybridClock::new());
        let leases: Vec<_> = (0..SLOTS as u64 + 50).map(|n| s.open(&clock, Timestamp::new(100 + n))).collect();
        assert_eq!(s.len(), SLOTS + 50);
        assert_eq!(s.advance(Timestamp::new(10_000)), Timestamp::new(100));
        let last = leases.last().map(Lease::at);
        let mut leases = leases;
        let kept = leases.pop();
        drop(leases);
        assert_eq!(Some(s.advance(Timestamp::new(10_000))), last);
        drop(kept);
        assert!(s.is_empty());
    }

    #[test]
    fn a_reader_is_never_overtaken_by_the_watermark() {
        let (s, clock) = (Snapshots::new(), Arc::new(HybridClock::new()));
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(SeqCst) {
                        let lease = s.open(&clock, Timestamp::ZERO);
                        for _ in 0..3 {
                            assert!(s.watermark() <= lease.at());
                        }
                    }
                });
            }
            for _ in 0..20_000 {
                clock.tick();
                s.advance(clock.last());
            }
            stop.store(true, SeqCst);
        });
    }
}
