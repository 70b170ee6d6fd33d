//! Memory of one node against its limits.
//!
//! Owns:     counters: what tables take, what statements say they hold, what is kept only because there is room, what the process was last seen to take.
//! Promises: one statement is refused ([`Fault::TableMemoryFull`], [`Fault::OutOfMemory`]) before the machine has to end the process. What gives memory
//!           back, or needs little, is not refused: at the limit DELETE is the way out. Nothing is refused for the sake of what is kept for speed.
//! Never:    frees anything itself, or measures: whoever keeps the node's house tells it what the process takes ([`NodeMemory::sampled`]).
//!
//! Rows are counted exactly. Beside them a process holds what nobody counts: buffers, code, and pages that the allocator has free but has not given back.
//! So the estimate starts from the measured size of the process and moves with what is counted since:
//!
//! ```text
//! estimate = resident − (high − counted)
//! ```
//!
//! `counted` is tables, statements and what is kept for speed now; `high` is what was counted when the process took what it takes. After a DELETE the process may be as large as
//! before, yet `high − counted` of it is free for the next rows. `high` comes down by what the process is seen to give back.

use crate::Fault;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// A statement may hold this much whatever the node holds: else nothing could be deleted, or looked at, when memory is short.
pub const FREE_BYTES: u64 = 1 << 20;
/// New rows stop short of `maximum_memory` by a tenth, at most by this, so that statements have room.
const HEADROOM_BYTES: u64 = 256 << 20;

/// What is given back at one go at least, so that the next rows need not ask again.
const RECLAIM_BYTES: u64 = 16 << 20;

/// Gives back about so many bytes of what is kept for speed, the least useful first; says how many it was.
type Reclaim = Box<dyn Fn(u64) -> u64 + Send + Sync>;

/// One node's. Both limits can be changed while it runs.
pub struct NodeMemory {
    tables: AtomicI64,
    table_limit: AtomicU64,
    held: AtomicI64,
    kept: AtomicI64,
    reclaim: OnceLock<Reclaim>,
    limit: AtomicU64,
    resident: AtomicU64,
    high: AtomicI64,
}

impl NodeMemory {
    /// `table_limit`: maximum_table_memory; `limit`: maximum_memory. Bytes.
    pub fn new(table_limit: u64, limit: u64) -> Arc<Self> {
        Arc::new(Self {
            tables: AtomicI64::new(0),
            table_limit: AtomicU64::new(table_limit),
            held: AtomicI64::new(0),
            kept: AtomicI64::new(0),
            reclaim: OnceLock::new(),
            limit: AtomicU64::new(limit),
            resident: AtomicU64::new(0),
            high: AtomicI64::new(0),
        })
    }
    pub fn unlimited() -> Arc<Self> {
        Self::new(u64::MAX, u64::MAX)
    }

    pub fn table_bytes(&self) -> u64 {
        self.tables.load(Relaxed).max(0) as u64
    }
    pub fn table_limit(&self) -> u64 {
        self.table_limit.load(Relaxed)
    }
    pub fn set_table_limit(&self, bytes: u64) {
        self.table_limit.store(bytes, Relaxed);
    }
    /// What statements hold.
    pub fn held_bytes(&self) -> u64 {
        self.held.load(Relaxed).max(0) as u64
    }
    /// What is kept for speed only, and can be given back at any time.
    pub fn kept_bytes(&self) -> u64 {
        self.kept.load(Relaxed).max(0) as u64
    }
    pub fn add_kept(&self, bytes: i64) {
        self.kept.fetch_add(bytes, Relaxed);
    }
    /// Who gives back what is kept, when it is wanted: one owner, for the node's life. It may be called by whoever wants memory, so it must be short, and
    /// must not ask for memory here itself.
    pub fn set_reclaim(&self, reclaim: impl Fn(u64) -> u64 + Send + Sync + 'static) {
        // A second owner would be a mistake of ours; the first one stays.
        let first = self.reclaim.set(Box::new(reclaim)).is_ok();
        debug_assert!(first, "two owners of what is kept");
    }
    /// Gives back what is kept until the estimate is below `most`, or nothing is left. Whether it is below now.
    fn reclaim_to(&self, most: u64) -> bool {
        let over = self.estimate().saturating_sub(most);
        if self.kept_bytes() > 0
            && let Some(reclaim) = self.reclaim.get()
        {
            reclaim(over.saturating_add(RECLAIM_BYTES));
        }
        self.estimate() < most
    }
    pub fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }
    pub fn set_limit(&self, bytes: u64) {
        self.limit.store(bytes, Relaxed);
    }
    /// What the process took when it was last measured.
    pub fn resident_bytes(&self) -> u64 {
        self.resident.load(Relaxed)
    }

    pub fn add_tables(&self, bytes: i64) {
        self.tables.fetch_add(bytes, Relaxed);
    }

    /// The process takes `resident` bytes now. One caller, regularly.
    pub fn sampled(&self, resident: u64) {
        let counted = self.counted();
        let before = self.resident.swap(resident, Relaxed);
        let given_back = before.saturating_sub(resident) as i64;
        let high = self.high.load(Relaxed) - given_back;
        self.high.store(high.max(counted), Relaxed);
    }

    fn counted(&self) -> i64 {
        self.tables.load(Relaxed) + self.held.load(Relaxed) + self.kept.load(Relaxed)
    }

    /// What is in use, as far as can be said between two measurements.
    pub fn estimate(&self) -> u64 {
        let resident = self.resident.load(Relaxed);
        // Far above the limit, whatever is free inside does not help: the machine sees the process.
        if resident > self.limit().saturating_add(self.limit() / 20) {
            return resident;
        }
        (resident as i64 + self.counted() - self.high.load(Relaxed)).max(0) as u64
    }

    /// With so much in use rows are refused; `None`: never.
    fn most_for_rows(&self) -> Option<u64> {
        let limit = self.limit();
        (limit != u64::MAX).then(|| limit - (limit / 10).min(HEADROOM_BYTES))
    }

    /// Whether so much is in use that rows are refused: what is free inside the allocator would be of use now.
    pub fn is_tight(&self) -> bool {
        self.most_for_rows().is_some_and(|most| self.estimate() >= most)
    }

    /// Whether the node is above `maximum_memory`, without what it could give back.
    pub fn is_over(&self) -> bool {
        let limit = self.limit();
        self.estimate() > limit && !self.reclaim_to(limit)
    }

    /// Whether one more row may come in. Deletes do not ask.
    pub fn admit_row(&self) -> Result<(), Fault> {
        if self.table_bytes() >= self.table_limit() {
            return Err(Fault::TableMemoryFull);
        }
        if let Some(most) = self.most_for_rows()
            && self.estimate() >= most
            && !self.reclaim_to(most)
        {
            return Err(Fault::OutOfMemory);
        }
        Ok(())
    }
}

impl std::fmt::Debug for NodeMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (tables, held, kept) = (self.table_bytes(), self.held_bytes(), self.kept_bytes());
        write!(f, "NodeMemory(tables {tables}, held {held}, kept {kept}, limit {})", self.limit())
    }
}

/// What one statement may hold. What it took goes back when it is dropped.
#[derive(Debug)]
pub struct Budget {
    node: Arc<NodeMemory>,
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    pub fn new(node: Arc<NodeMemory>, limit: u64) -> Self {
        Self { node, limit, used: AtomicU64::new(0) }
    }
    /// Another one of the same node, with the same limit.
    pub fn beside(&self) -> Self {
        Self::new(self.node.clone(), self.limit)
    }
    pub fn limit(&self) -> u64 {
        self.limit
    }
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }
    /// Call it in batches, for what will be kept; not for every value.
    pub fn take(&self, bytes: u64) -> Result<(), Fault> {
        let used = self.used.fetch_add(bytes, Relaxed) + bytes;
        self.node.held.fetch_add(bytes as i64, Relaxed);
        if used > self.limit || used > FREE_BYTES && self.node.is_over() { Err(Fault::OutOfMemory) } else { Ok(()) }
    }
    /// What the other one holds is this one's now: the statement goes on under another budget.
    pub fn take_over(&self, other: &Budget) {
        let bytes = other.used.swap(0, Relaxed);
        self.used.fetch_add(bytes, Relaxed);
    }
    /// Some of it is held no longer.
    pub fn give(&self, bytes: u64) {
        let bytes = bytes.min(self.used());
        self.used.fetch_sub(bytes, Relaxed);
        self.node.held.fetch_sub(bytes as i64, Relaxed);
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.node.held.fetch_sub(*self.used.get_mut() as i64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const MB: u64 = 1 << 20;

    #[test]
    fn rows_stop_at_their_limit_and_before_the_node_s() {
        let m = NodeMemory::new(100 * MB, 1000 * MB);
        m.sampled(50 * MB);
        m.add_tables(100 * MB as i64);
        assert_eq!(m.admit_row(), Err(Fault::TableMemoryFull));
        m.set_table_limit(u64::MAX);
        assert_eq!(m.admit_row(), Ok(()));
        m.sampled(905 * MB);
        assert_eq!(m.admit_row(), Err(Fault::OutOfMemory));
        // A statement has the rest.
        let b = Budget::new(m.clone(), 500 * MB);
        assert_eq!(b.take(90 * MB), Ok(()));
        assert_eq!(b.take(90 * MB), Err(Fault::OutOfMemory));
        assert_eq!(m.held_bytes(), 180 * MB);
        drop(b);
        assert_eq!(m.held_bytes(), 0);
        assert_eq!(Budget::new(m.clone(), MB / 2).take(MB), Err(Fault::OutOfMemory));
    }

    #[test]
    fn what_was_deleted_is_free_though_the_process_is_as_large_as_before() {
        let m = NodeMemory::new(u64::MAX, 1000 * MB);
        m.add_tables(900 * MB as i64);
        m.sampled(980 * MB);
        assert!(m.admit_row().is_err());
        m.add_tables(-400 * (MB as i64));
        assert_eq!(m.estimate(), 580 * MB);
        m.sampled(980 * MB);
        assert_eq!((m.estimate(), m.admit_row()), (580 * MB, Ok(())));
        // The new rows take what was free; then the process grows again.
        m.add_tables(400 * MB as i64);
        m.sampled(980 * MB);
        assert_eq!(m.estimate(), 980 * MB);
        // It gives pages back: that part is free no longer.
        m.add_tables(-400 * (MB as i64));
        m.sampled(600 * MB);
        assert_eq!(m.estimate(), 580 * MB);
        m.add_tables(100 * MB as i64);
        assert_eq!(m.estimate(), 680 * MB);
    }

    #[test]
    fn what_is_kept_for_speed_goes_before_anyone_is_refused() {
        let m = NodeMemory::new(u64::MAX, 1000 * MB);
        let kept = m.clone();
        m.set_reclaim(move |wanted| {
            let given = wanted.min(kept.kept_bytes());
            kept.add_kept(-(given as i64));
            given
        });
        m.add_tables(600 * MB as i64);
        m.add_kept(300 * MB as i64);
        m.sampled(950 * MB);
        assert_eq!(m.admit_row(), Ok(()));
        assert!(m.kept_bytes() < 300 * MB && m.kept_bytes() > 200 * MB, "{m:?}");
        let b = Budget::new(m.clone(), 500 * MB);
        assert_eq!(b.take(300 * MB), Ok(()));
        assert_eq!(b.take(80 * MB), Err(Fault::OutOfMemory));
        assert_eq!((m.kept_bytes(), m.admit_row()), (0, Err(Fault::OutOfMemory)));
    }

    #[test]
    fn a_small_statement_runs_at_the_limit() {
        let m = NodeMemory::new(u64::MAX, 100 * MB);
        m.sampled(104 * MB);
        let b = Budget::new(m, 50 * MB);
        assert_eq!(b.take(FREE_BYTES), Ok(()));
        assert_eq!(b.take(1), Err(Fault::OutOfMemory));
    }
}
