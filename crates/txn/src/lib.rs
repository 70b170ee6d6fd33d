//! Decisions about transactions: the hybrid clock, who may see what, who waits for whom, what nobody reads any more.
//!
//! Owns:     the node's clock and its register of open snapshots; a transaction's state.
//! Promises: every answer follows from the arguments and the atomics here; nothing blocks.
//! Never:    reads a wall clock (it comes in), touches rows, writes to a log.

pub mod clock;
pub mod snapshots;
pub mod transaction;
pub mod visibility;
pub mod wait_graph;

pub use clock::{ClockError, HybridClock};
pub use snapshots::{Lease, Snapshots};
pub use transaction::{Ended, Isolation, Txn, TxnState};
pub use visibility::{Verdict, judge};
pub use wait_graph::{WaitGraph, Waiting, victims};
