//! The types that openraft is used with.
//!
//! Owns:     nothing.
//! Promises: nothing here is written anywhere: bytes on disk are in `format`, bytes on the wire in `msg`.
//! Never:    knows an address: a node of the group is its number, and the network finds it.

use crate::member::Applied;
use std::sync::Arc;
use weald_catalog::Command;

openraft::declare_raft_types!(
    pub Types:
        D = Order,
        R = Applied,
        NodeId = u32,
        Node = (),
        Entry = openraft::Entry<Types>,
        SnapshotData = Arc<[u8]>,
        AsyncRuntime = openraft::TokioRuntime,
);

/// A command on its way through the log.
#[derive(Clone, Debug)]
pub struct Order(pub Arc<Command>);

pub type Raft = openraft::Raft<Types>;
pub type Entry = openraft::Entry<Types>;
pub type LogId = openraft::LogId<u32>;
pub type Vote = openraft::Vote<u32>;
pub type Membership = openraft::Membership<u32, ()>;
pub type StoredMembership = openraft::StoredMembership<u32, ()>;
pub type SnapshotMeta = openraft::SnapshotMeta<u32, ()>;
pub type Snapshot = openraft::Snapshot<Types>;
pub type StorageError = openraft::StorageError<u32>;

pub fn log_id(term: u64, index: u64) -> LogId {
    // Which node led is no part of an id where a term has one leader only.
    LogId::new(openraft::CommittedLeaderId::new(term, 0), index)
}
