//! Whether one reader finds what another has found.
//!
//! Owns:     nothing; the count stands in the table's [`Writer`](crate::table::Writer).
//! Promises: two views that are given the same edition see the same rows, now and for as long as they read.
//! Never:    walks over rows.
//!
//! An edition is the state of a table after its last commit so far. [`Table::edition`] gives it to a view only if the view sees exactly that: everything
//! that was committed, nothing of its own, and nothing that is still to come. Why nothing comes later, let `r` be the view's time:
//!
//! - Whoever changes the table stands in `Writer::open` from before his first change until after his versions are stamped and the commit is counted, and all
//!   three are done with the writer's mutex held. So at the moment of the question a writer is in the list, or is counted, or has not begun.
//! - One that has not begun, or is Active, takes its commit timestamp after this moment, hence after `r` was taken: above `r` (`weald_txn::visibility`).
//! - One that is Pending, or prepared, committing or committed at or below `r`, is or may be visible to the view and is not counted: no edition.
//! - One above `r` stays invisible to the view. When it is counted, that makes another edition.
//! - The last counted commit lies at or below `r`, else the view sees an older state than the edition's: no edition.
//!
//! So what a view with an edition sees is: all commits that are counted in it. Two views with the same edition see the same.

use crate::read::View;
use crate::table::{Table, Writer};
use weald_txn::TxnState;
use weald_types::Timestamp;

/// A committed state of one table in one partition. Comparing those of two tables means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edition {
    last: Timestamp,
    /// Commits at the same timestamp (replayed ones, or those of two nodes) are different editions.
    commits: u64,
}

impl Default for Edition {
    /// Nothing was ever committed.
    fn default() -> Self {
        Self { last: Timestamp::ZERO, commits: 0 }
    }
}

impl Edition {
    pub(crate) fn count(&mut self, at: Timestamp) {
        self.last = self.last.max(at);
        self.commits += 1;
    }
    /// When the table changed last; zero if it never did.
    pub fn last_change(&self) -> Timestamp {
        self.last
    }
}

impl Table {
    /// The edition that `view` sees, if it sees a whole one: see the head of this file.
    pub fn edition(&self, view: View<'_>) -> Option<Edition> {
        let w = self.writer_as_it_is();
        (w.edition.last <= view.at && none_may_show(&w, view)).then_some(w.edition)
    }
}

/// Whether no open transaction has anything that `view` sees, or may come to see.
fn none_may_show(w: &Writer, view: View<'_>) -> bool {
    w.open.iter().all(|txn| {
        let own = view.own.is_some_and(|own| std::ptr::eq(own, &**txn));
        !own && match txn.state() {
            TxnState::Active | TxnState::Aborted => true,
            TxnState::Pending => false,
            TxnState::Prepared(ts) | TxnState::Committing(ts) | TxnState::Committed(ts) => ts > view.at,
        }
    })
}
