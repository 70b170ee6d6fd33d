//! What goes from the node of a session to the nodes that hold the rows, and back: expressions, facts of the session and of the statement, effects.
//!
//! Owns:     nothing.
//! Promises: an expression read back is the same, and evaluates to the same under the facts that went with it. What is decoded could have been made here; what
//!           could not is an error, never a panic: neither from broken bytes nor from deep nesting. [`reach`] says which expressions may go at all.
//! Never:    is a format that outlives a release: nodes of one cluster are of one version.
//!
//! - `tree`: the bytes of an [`Expr`](crate::Expr)
//! - `facts`: [`CarriedFacts`], the same for a session's statements; [`CarriedStatement`], what changes with each
//! - `effects`: [`StatementEffects`], what evaluating has done to the statement, on its way home
//! - `reach`: where an expression may be evaluated

mod effects;
mod facts;
mod reach;
mod tree;

pub use effects::StatementEffects;
pub use facts::{CarriedFacts, CarriedStatement, Here};
pub use reach::{Reach, must_stay, reach, variables};
pub use tree::MAX_HEIGHT;
