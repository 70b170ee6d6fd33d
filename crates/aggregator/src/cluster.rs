//! The cluster, as an aggregator's clients order and see it: the orders, what is observed, and the rows that SHOW and information_schema print.
//!
//! Owns:     nothing.
//! Promises: every word that passes between statements and whoever carries them out (the node) is a type here.
//! Never:    speaks to another node itself.

mod asking;
pub(crate) mod gathered;
mod observed;
mod order;
pub(crate) mod rows;

pub use asking::{Answer, Asked, Event, EventKind, Kill, Severity};
pub(crate) use asking::{no_thread, not_owner};
pub use gathered::Gathered;
pub use observed::{Copy, CopyPhase, CopyRecovery, CopyRole, Figures, NodeSeen, NodeStage, Observed, Reach, Told};
pub use order::{Address, ClusterOrder, Credentials, Force, Rebalance};
