//! The group's bytes on disk: records of its journal, items of a checkpoint.
//!
//! Owns:     nothing.
//! Promises: every piece begins with a version; bytes of a newer one are refused by name.
//! Never:    adds checksums: the journal has them. Serialises a type of openraft: those may change with its releases.
//! See:      docs/format/metadata-group.md.

use crate::raft::{Entry, LogId, Membership, Order, SnapshotMeta, StoredMembership, Vote, log_id};
use openraft::EntryPayload;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const VERSION: u8 = 1;

/// Kinds of record. Numbers on disk.
pub const ENTRY: u32 = 1;
pub const TRUNCATE: u32 = 2;
pub const PURGE: u32 = 3;
pub const VOTE: u32 = 4;
pub const COMMITTED: u32 = 5;
/// Says nothing: gives a checkpoint a place of its own in the journal.
pub const MARK: u32 = 6;

#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error("format version {0}, which this program does not know")]
    Newer(u8),
    #[error("bytes that are no {0}")]
    Broken(&'static str),
    #[error(transparent)]
    Meta(#[from] weald_meta::FormatError),
}

/// Where in the log: term of the entry's leader, number of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct At {
    pub term: u64,
    pub index: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredVote {
    pub term: u64,
    pub node: Option<u32>,
    /// A majority has given it.
    pub committed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// One set of voters; two while the votes change.
    pub voters: Vec<BTreeSet<u32>>,
    pub all: BTreeSet<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Payload {
    Blank,
    /// As `weald-meta` writes it, with a version of its own.
    Command(Vec<u8>),
    Members(Members),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredEntry {
    at: At,
    payload: Payload,
}

/// What a state is the state of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub applied: Option<At>,
    pub members_at: Option<At>,
    pub members: Members,
}

/// The first item of a checkpoint. The second is the state; the others are the entries behind `purged`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointHead {
    pub vote: Option<StoredVote>,
    pub committed: Option<At>,
    pub purged: Option<At>,
    /// None: no state, nothing has been applied.
    pub state: Option<Head>,
}

pub fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(value, vec![VERSION]).expect("writing to a vector cannot fail, and our types have no custom serialisation")
}

pub fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, FormatError> {
    match bytes.split_first() {
        Some((&VERSION, body)) => match postcard::take_from_bytes(body) {
            Ok((value, [])) => Ok(value),
            Ok(_) | Err(_) => Err(FormatError::Broken(what)),
        },
        Some((0, _)) | None => Err(FormatError::Broken(what)),
        Some((newer, _)) => Err(FormatError::Newer(*newer)),
    }
}

impl From<&LogId> for At {
    fn from(id: &LogId) -> Self {
        At { term: id.leader_id.term, index: id.index }
    }
}
impl From<At> for LogId {
    fn from(at: At) -> Self {
        log_id(at.term, at.index)
    }
}

impl From<&Vote> for StoredVote {
    fn from(v: &Vote) -> Self {
        StoredVote { term: v.leader_id().get_term(), node: v.leader_id().voted_for(), committed: v.is_committed() }
    }
}
impl From<StoredVote> for Vote {
    fn from(v: StoredVote) -> Self {
        let leader_id = openraft::LeaderId { term: v.term, voted_for: v.node };
        Vote { leader_id, committed: v.committed }
    }
}

impl From<&Membership> for Members {
    fn from(m: &Membership) -> Self {
        Members { voters: m.get_joint_config().clone(), all: m.nodes().map(|(id, ())| *id).collect() }
    }
}
impl From<Members> for Membership {
    fn from(m: Members) -> Self {
        let nodes: BTreeMap<u32, ()> = m.all.into_iter().chain(m.voters.iter().flatten().copied()).map(|id| (id, ())).collect();
        Membership::new(m.voters, nodes)
    }
}

impl Head {
    pub fn of(applied: Option<&LogId>, members: &StoredMembership) -> Self {
        Head { applied: applied.map(At::from), members_at: members.log_id().as_ref().map(At::from), members: members.membership().into() }
    }
    pub fn membership(&self) -> StoredMembership {
        StoredMembership::new(self.members_at.map(LogId::from), self.members.clone().into())
    }
    pub fn snapshot_meta(&self) -> SnapshotMeta {
        let at = self.applied.unwrap_or(At { term: 0, index: 0 });
        SnapshotMeta {
            last_log_id: self.applied.map(LogId::from),
            last_membership: self.membership(),
            // Two checkpoints of one place are equal, byte for byte.
            snapshot_id: format!("{}-{}", at.term, at.index),
        }
    }
}

pub fn encode_entry(entry: &Entry) -> Vec<u8> {
    let payload = match &entry.payload {
        EntryPayload::Blank => Payload::Blank,
        EntryPayload::Normal(Order(command)) => Payload::Command(weald_meta::encode_command(command)),
        EntryPayload::Membership(m) => Payload::Members(m.into()),
    };
    encode(&StoredEntry { at: (&entry.log_id).into(), payload })
}

pub fn decode_entry(bytes: &[u8]) -> Result<Entry, FormatError> {
    let stored: StoredEntry = decode(bytes, "entry")?;
    let payload = match stored.payload {
        Payload::Blank => EntryPayload::Blank,
        Payload::Command(bytes) => EntryPayload::Normal(Order(Arc::new(weald_meta::decode_command(&bytes)?))),
        Payload::Members(m) if m.voters.is_empty() => return Err(FormatError::Broken("membership")),
        Payload::Members(m) => EntryPayload::Membership(m.into()),
    };
    Ok(Entry { log_id: stored.at.into(), payload })
}

#[cfg(test)]
mod tests;
