//! What can go wrong with the group as a whole, and with one command.
//!
//! Owns:     nothing.
//! Promises: [`Refused::NotLeader`] and [`Refused::Fault`] mean that the command has not happened and will not; [`Refused::Unknown`] that nobody here knows.
//! Never:    a variant on which no caller would act differently.

use std::path::PathBuf;
use weald_types::{Fault, Generation, NodeId};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the metadata's log")]
    Log(#[from] weald_log::Error),
    #[error("cannot use {}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// Bytes that a checksum vouches for do not say what they should.
    #[error("{} cannot be understood: {reason}", path.display())]
    Broken { path: PathBuf, reason: String },
    #[error("{} was written by a newer release (format {found}, this one knows {known})", path.display())]
    Newer { path: PathBuf, found: u8, known: u8 },
    /// Bytes from another node that are none of ours. Nothing was done.
    #[error("a message cannot be understood: {reason}")]
    Message { reason: String },
    /// Nothing was changed.
    #[error("this node belongs to generation {has} of a cluster already")]
    Occupied { has: Generation },
    /// The node takes no part any more; the process has to start anew.
    #[error("the metadata group has failed on this node: {reason}")]
    Failed { reason: String },
}

/// Why a command has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("this node is not the master{}", leader.map_or(String::new(), |l| format!("; node {l} is")))]
    NotLeader { leader: Option<NodeId> },
    #[error("{0}")]
    Fault(Fault),
    #[error("it is unknown whether the change was made: {reason}")]
    Unknown { reason: String },
}
