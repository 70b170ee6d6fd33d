//! What the group looks like from this node.
//!
//! Owns:     nothing.
//! Promises: a moment, consistent in itself.
//! Never:    proof of anything: who is told to lead may have been deposed. [`crate::Group::confirm`] asks.

use std::collections::{BTreeMap, BTreeSet};
use weald_types::{Generation, NodeId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub me: NodeId,
    pub generation: Generation,
    pub term: u64,
    /// Who leads, if this node has heard from it lately, or is it.
    pub leader: Option<NodeId>,
    pub leading: Leading,
    /// Number of the log's last entry, and of the last one that is applied.
    pub last: u64,
    pub applied: u64,
    pub voters: BTreeSet<NodeId>,
    pub learners: BTreeSet<NodeId>,
    /// Of a leader: how many entries each other node is behind.
    pub behind: BTreeMap<NodeId, u64>,
    /// Why this node takes no part any more, until the process has started anew.
    pub failed: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leading {
    No,
    /// And a majority has answered lately.
    WithMajority,
    /// Elected once; but nothing can be decided at the moment, and another may have been elected meanwhile.
    WithoutMajority,
}
