//! What a reader may see.
//!
//! Owns:     nothing.
//! Promises: pure: same states, same answer.
//! Never:    waits; it says that the caller has to.
//!
//! # The rule, and why no commit slips in behind a reader
//!
//! A reader has a read timestamp `r`. It must see exactly the versions committed at a timestamp `<= r`, for ever: reading again at `r` must give the same
//! answer, and all the rows of one transaction or none. Commits take their timestamps from the same clock that readers take theirs from, and are not
//! instantaneous: between taking the timestamp `c` and becoming visible lies a flush of the log. So for a version whose writer has not finished:
//!
//! - the writer is **active**: it will take its timestamp later than now. The clock already stands at `r` or beyond (the reader took `r` from it, or it
//!   observed `r` on arrival), so `c > r`. Pass by.
//! - the writer is **pending**: it is taking its timestamp at this moment, on the other side of a race with us. `c` may be on either side of `r`. Look again.
//! - the writer is **committing at c**: if `c > r`, pass by. If `c <= r`, the version belongs to our snapshot but may still abort, should its log fail: wait.
//! - the writer is **prepared at p**: it will commit at some `c >= p`, or abort. If `p > r`, pass by; else wait for the decision.
//!
//! "It will take its timestamp later than now" needs care, since reader and writer run at the same time:
//!
//! ```text
//! writer                          reader
//! W1  state := Pending            R1  r := clock (or clock := max(clock, r))
//! W2  c := ++clock                R2  read the state
//! W3  state := Committing(c)
//! ```
//!
//! All four operations are sequentially consistent. If R2 reads Active, it comes before W1 in their one total order, so R1 before R2 before W1 before W2,
//! and `c > r`. Without W1 the reader could read Active at R2 after the writer had taken `c <= r` at W2, pass by, and find the version there when it
//! reads again. This is why Pending exists. It lasts from W1 to W3, which has no call, no allocation and no lock in it.
//!
//! A transaction that wrote in several partitions of one node is one [`Txn`](crate::Txn): the single store that makes it Committed makes all its versions
//! visible together.

use crate::TxnState;
use weald_types::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Visible,
    /// Not for this reader: look at the version before it.
    PassBy,
    /// Nobody can say yet: wait for the writer's end, then ask again.
    Wait,
}

/// Whether a version is for a reader at `read_ts`, by the state of its writer. `own`: the reader is the writer.
pub fn judge(writer: TxnState, own: bool, read_ts: Timestamp) -> Verdict {
    match writer {
        // Undone; being taken out of the chain at this moment.
        TxnState::Aborted => Verdict::PassBy,
        _ if own => Verdict::Visible,
        TxnState::Active => Verdict::PassBy,
        TxnState::Pending => Verdict::Wait,
        TxnState::Prepared(ts) | TxnState::Committing(ts) => {
            if ts <= read_ts {
                Verdict::Wait
            } else {
                Verdict::PassBy
            }
        }
        TxnState::Committed(ts) => {
            if ts <= read_ts {
                Verdict::Visible
            } else {
                Verdict::PassBy
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_verdict() {
        let t = Timestamp::new;
        let cases = [
            (TxnState::Active, Verdict::PassBy),
            (TxnState::Pending, Verdict::Wait),
            (TxnState::Prepared(t(5)), Verdict::Wait),
            (TxnState::Prepared(t(6)), Verdict::PassBy),
            (TxnState::Committing(t(5)), Verdict::Wait),
            (TxnState::Committing(t(6)), Verdict::PassBy),
            (TxnState::Committed(t(5)), Verdict::Visible),
            (TxnState::Committed(t(6)), Verdict::PassBy),
            (TxnState::Aborted, Verdict::PassBy),
        ];
        for (state, verdict) in cases {
            assert_eq!(judge(state, false, t(5)), verdict, "{state:?}");
        }
        assert_eq!(judge(TxnState::Active, true, t(5)), Verdict::Visible);
        assert_eq!(judge(TxnState::Aborted, true, t(5)), Verdict::PassBy);
    }
}
