//! Keeping long work from having a thread for itself.
//!
//! Owns:     when the work last let others have their turn.
//! Promises: work that calls [`Turns::piece`] often enough stops soon after it is to stop, and holds its thread for a few milliseconds at a time, however
//!           its loops are nested: all loops of one execution share one `Turns`.
//! Never:    waits for anything but its next turn.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};
use weald_expr::StatementContext;
use weald_types::Fault;

/// So many rows are a piece of work: a few microseconds, unless the expressions are costly or the values large.
pub(crate) const PIECE_ROWS: usize = 32;
/// How long work may hold its thread.
const TURN_MICROS: i64 = 2000;
/// And in so many pieces at most, where the clock does not help (it was set back).
const TURN_PIECES: u32 = 1024;

/// One execution's.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    pieces: AtomicU32,
    /// On the wall clock, in microseconds; 0: not begun.
    since: AtomicI64,
}

impl Turns {
    /// Call after every [`PIECE_ROWS`] rows looked at, or whatever else takes about as long. The fault is that of KILL, a time-out, or memory running short.
    pub async fn piece(&self, statement: &StatementContext) -> Result<(), Fault> {
        if self.is_over(statement)? {
            self.next(statement).await;
            statement.check_interrupted()?;
        }
        Ok(())
    }

    /// The same where nothing can be waited for: whether it is time for [`Turns::next`].
    pub fn is_over(&self, statement: &StatementContext) -> Result<bool, Fault> {
        statement.check_interrupted()?;
        let pieces = self.pieces.load(Relaxed) + 1;
        self.pieces.store(pieces, Relaxed);
        let now = (statement.wall_clock_micros)();
        let since = self.since.load(Relaxed);
        if since == 0 {
            self.since.store(now, Relaxed);
        }
        Ok(pieces >= TURN_PIECES || since != 0 && now.saturating_sub(since) >= TURN_MICROS)
    }

    /// Lets others have their turn.
    pub async fn next(&self, statement: &StatementContext) {
        tokio::task::yield_now().await;
        self.pieces.store(0, Relaxed);
        self.since.store((statement.wall_clock_micros)(), Relaxed);
    }
}

/// Counts rows, and calls [`Turns::piece`] for every [`PIECE_ROWS`] of them.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    rows: usize,
}

impl Steps {
    /// Whether a piece is complete with this row. (Not async itself: for a row that completes none it must cost nothing.)
    pub fn row(&mut self) -> bool {
        self.rows += 1;
        let complete = self.rows >= PIECE_ROWS;
        if complete {
            self.rows = 0;
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::sync::atomic::AtomicI64;
    use weald_expr::interrupt::Reason;

    static NOW: AtomicI64 = AtomicI64::new(1_000_000);

    fn statement() -> StatementContext {
        let mut s = StatementContext::for_folding(&weald_expr::function::BindContext {
            sql_mode: weald_types::SqlMode::DEFAULT,
            collation_connection: weald_types::Collation::UTF8MB4_GENERAL_CI,
            div_precision_increment: 4,
            group_concat_max_len: 1024,
        });
        let mut session = weald_expr::context::SessionFacts::clone(&s.session);
        session.wall_clock_micros = || NOW.load(Relaxed);
        s.session = std::sync::Arc::new(session);
        s
    }

    #[test]
    fn a_turn_ends_when_its_time_is_up_and_the_work_when_it_is_killed() {
        let (statement, turns) = (statement(), Turns::default());
        let goes_on = || turns.piece(&statement).now_or_never();
        for _ in 0..10 {
            assert_eq!(goes_on(), Some(Ok(())));
        }
        NOW.fetch_add(TURN_MICROS, Relaxed);
        assert_eq!(goes_on(), None, "others have their turn");
        // Dropped in the middle of its turn or not, the next piece asks again.
        assert_eq!(goes_on(), None);
        NOW.fetch_sub(10 * TURN_MICROS, Relaxed);
        let mut pieces = 0;
        while goes_on() == Some(Ok(())) {
            pieces += 1;
            assert!(pieces <= TURN_PIECES, "a clock that went back lets it go on for ever");
        }
        statement.interrupted.raise(Reason::Killed);
        assert_eq!(goes_on(), Some(Err(Fault::Interrupted)));
    }

    #[test]
    fn so_many_rows_are_a_piece() {
        let mut steps = Steps::default();
        let complete: Vec<usize> = (1..=3 * PIECE_ROWS).filter(|_| steps.row()).collect();
        assert_eq!(complete, [PIECE_ROWS, 2 * PIECE_ROWS, 3 * PIECE_ROWS]);
    }
}
