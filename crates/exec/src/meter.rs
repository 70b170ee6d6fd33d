//! Counting what a statement keeps, without a shared counter's cost for every row.
//!
//! Owns:     what was counted and not yet taken from the statement's budget.
//! Promises: the budget is asked every few dozen kilobytes; a statement that keeps less costs nothing.
//! Never:    gives back: what was taken goes back when the statement ends.

use weald_expr::InFlight;
use weald_types::Fault;
use weald_types::memory::Budget;

const STEP_BYTES: u64 = 64 << 10;
/// So many rows are not even measured, however large they are.
const FEW_ROWS: u32 = 8;

pub struct Meter<'a> {
    budget: &'a Budget,
    rows: u32,
    pending: u64,
}

impl<'a> Meter<'a> {
    pub fn new(budget: &'a Budget) -> Self {
        Self { budget, rows: 0, pending: 0 }
    }

    /// One more row is kept, whose large values were counted while it was made.
    pub fn keep_made(&mut self, made: InFlight<'_>, bytes: impl FnOnce() -> u64) -> Result<(), Fault> {
        if made.keep() > 0 { Ok(()) } else { self.keep(bytes) }
    }

    /// One more row is kept.
    pub fn keep(&mut self, bytes: impl FnOnce() -> u64) -> Result<(), Fault> {
        self.rows += 1;
        if self.rows <= FEW_ROWS {
            return Ok(());
        }
        self.rows = FEW_ROWS;
        self.pending += bytes();
        if self.pending < STEP_BYTES {
            return Ok(());
        }
        self.budget.take(std::mem::take(&mut self.pending))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weald_types::memory::NodeMemory;

    #[test]
    fn many_rows_are_counted_and_few_are_not() {
        let budget = Budget::new(NodeMemory::unlimited(), 1 << 20);
        let mut meter = Meter::new(&budget);
        for _ in 0..FEW_ROWS {
            assert_eq!(meter.keep(|| 1000), Ok(()));
        }
        assert_eq!(budget.used(), 0);
        let kept = (0..10_000).take_while(|_| meter.keep(|| 1000).is_ok()).count();
        assert!((1000..1100).contains(&kept), "{kept}");
    }
}
