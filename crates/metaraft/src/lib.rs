//! The metadata group: the state machine of `weald-meta`, replicated by Raft.
//!
//! **Terms.** A *group* is a cluster's nodes as far as the metadata goes: some of them *vote*, the others *learn*. One voter that is an aggregator is the
//! *leader*, that is, the master aggregator. Its reign is a Raft *term*. A *generation* is a history of the group: AGGREGATOR SET AS MASTER begins
//! a new one from one node's copy, and what was agreed on elsewhere is given up. Terms order reigns within a generation; generations are above terms.
//!
//! **Invariants.**
//! 1. A command that was answered is in the log of a majority of the voters, synced, and so in every later leader's (Raft).
//! 2. All nodes apply the same commands in the same order, each once; equal applied positions are equal states, byte for byte.
//! 3. At most one leader a term; a leaf never leads, for it never campaigns.
//! 4. A restart ends a reign: a node that comes back as what was the leader is elected anew, in a higher term.
//! 5. What a node has shown of the catalogue it shows again after a restart, with or without a leader: the committed position is durable before it is applied.
//! 6. A node that promised a generation never again answers in a lower one, and every message says which it speaks of.
//!
//! **What is left out on purpose.** Nobody reads through a leader's lease: [`Group::confirm`] asks a majority. A leader without a majority is not made
//! to step down, since it can do nothing; it says of itself that it has none. Commands are not forwarded: whoever gets
//! [`Refused::NotLeader`] knows where to go.
//!
//! Owns:     this node's copy of the group's log and state, in the data directory under `meta/`, and the tasks that keep it up.
//! Promises: the invariants above.
//! Never:    knows an address (the [`Network`] does), follows a change in partitions (the owner watches), or is waited for by a statement.
//! See:      docs/design/0012-the-metadata-group.md, docs/format/metadata-group.md.

mod campaign;
mod error;
mod format;
mod ground;
mod group;
mod inbox;
mod machine;
mod member;
mod msg;
mod network;
mod raft;
mod settings;
mod status;
mod store;
mod takeover;
mod transfer;
mod votes;

pub use error::{Error, Refused};
pub use group::{Group, Watch, World};
pub use member::Applied;
pub use network::{Network, Unreachable};
pub use settings::{Flush, Settings};
pub use status::{Leading, Status};
pub use takeover::{Loss, TakenOver, TakeoverRefused};
