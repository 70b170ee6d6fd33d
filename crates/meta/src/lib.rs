//! The cluster's metadata as one pure state machine: the catalogue and the topology.
//!
//! Owns:     [`State`], which every member of the metadata group holds a copy of.
//! Promises: `apply` is a function of state and command alone, re-checks every precondition, and changes nothing when it refuses: a stale order is a no-op.
//! Never:    does IO, reads a clock (times come in with commands), or touches rows.
//! See:      docs/format/catalogue.md for the bytes.

mod apply;
mod format;
pub mod invariant;
pub mod placement;
mod state;
mod topology;
pub mod voters;

pub use format::{FormatError, decode_command, decode_state, encode_command, encode_state};
pub use state::State;
