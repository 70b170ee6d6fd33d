//! What nodes of a group say to each other: bytes on the wire.
//!
//! Owns:     nothing.
//! Promises: a version leads; every request names its cluster, its generation and its sender.
//! Never:    serialises a type of openraft. Trusts that the other side is who it says: the network does that.

use crate::format::{At, FormatError, Head, StoredVote};
use serde::{Deserialize, Serialize};
use weald_types::{ClusterId, Generation};

const VERSION: u8 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    pub cluster: ClusterId,
    pub generation: Generation,
    pub from: u32,
    pub body: Request,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// `entries` as they are on disk. Without any it is a heartbeat.
    Append {
        vote: StoredVote,
        prev: Option<At>,
        entries: Vec<Vec<u8>>,
        commit: Option<At>,
    },
    Vote {
        vote: StoredVote,
        last: Option<At>,
    },
    /// A piece of a whole state, for a node whose log ends before ours begins.
    Piece {
        vote: StoredVote,
        head: Head,
        offset: u64,
        total: u64,
        bytes: Vec<u8>,
    },
    /// Would you vote for me? Changes nothing at whoever is asked.
    PreVote {
        last: Option<At>,
    },
    /// The leader hands over to another: do not stand for election meanwhile, though you will not hear from me.
    Yield,
    /// The leader hands over to you: stand now.
    Lead,
    Inquire,
    /// Answer nothing below this generation from now on.
    Promise {
        generation: Generation,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    Appended,
    AppendedUpTo(Option<At>),
    Conflict,
    HigherVote(StoredVote),
    Voted {
        vote: StoredVote,
        granted: bool,
        last: Option<At>,
    },
    PieceTaken,
    /// The pieces before this one are not here: begin again.
    PieceLost,
    StateTaken {
        vote: StoredVote,
    },
    PreVoted {
        granted: bool,
    },
    Done,
    Account(Account),
    /// The request's generation is of the past.
    Fenced {
        promised: Generation,
    },
    OtherCluster,
    /// The group does not run on this node at the moment.
    Absent,
}

/// How things look from one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub generation: Generation,
    pub promised: Generation,
    pub last: Option<At>,
    /// Who leads, if this node hears from it, or is it and has a majority.
    pub leader: Option<u32>,
}

pub fn encode(message: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(message, vec![VERSION]).expect("writing to a vector cannot fail, and our types have no custom serialisation")
}

pub fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, FormatError> {
    match bytes.split_first() {
        Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|_| FormatError::Broken("message")),
        Some((0, _)) | None => Err(FormatError::Broken("message")),
        Some((newer, _)) => Err(FormatError::Newer(*newer)),
    }
}
