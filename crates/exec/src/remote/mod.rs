//! Partitions on other nodes: what an aggregator asks of them, and how a leaf answers.
//!
//! Owns:     the messages, the way to the leaves, the branches that transactions of other nodes have here.
//! Promises: a piece of work does the same on another node as it would here, since both run the same functions; what it said and found on the way (warnings,
//!           variables) comes back with its answer. A transaction over several nodes is whole or not at all.
//! Never:    picks a node: the engine's map of partitions says which.
//! See:      docs/design/0013-transactions-over-nodes.md
//!
//! ```text
//!   aggregator                                                 leaf
//!   Engine::read, change, insert …                             answer: decodes, finds branch and snapshot, runs, encodes
//!     └ Site / ask  ── Request (facts, plan, values) ───────▶    └ the same functions over partitions that are here
//!       Transaction ── Prepare, Commit, Abort ──────────────▶  Branches: one Transaction for each that has done something here
//!       pulse       ── Pulse: what may still be read ───────▶  horizon of garbage collection; figures of the tables come back
//! ```

mod answer;
mod ask;
mod branches;
mod message;
mod pulse;
mod scan;
mod two_phase;

pub use answer::{Answering, answer};
pub use ask::{Leaves, asks_by_itself};
pub use branches::Branches;
pub use pulse::{EVERY as PULSE_EVERY, Readers};

pub(crate) use ask::AskRead;
pub(crate) use message::{BranchHead, GateAsked, Refused, RowOp, Stop};
pub(crate) use scan::{RemoteRows, RemoteScan};

/// Of requests between nodes, those of this crate.
pub mod method {
    pub const WORK: u16 = 100;
    pub const SCAN: u16 = 101;
    pub const END: u16 = 102;
    pub const PULSE: u16 = 103;
    pub const GATE: u16 = 104;
}
