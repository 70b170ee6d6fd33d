//! What aggregators ask each other for the sake of a client: whose connections there are, what has happened.
//!
//! Owns:     nothing.
//! Promises: one message and one answer each; [`crate::server::Server::answer`] answers what [`crate::server::Metadata::ask`] asks of another node.
//! Never:    changes the metadata.

use crate::information_schema::Process;
use std::fmt;
use weald_types::{Fault, NodeId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// For MV_PROCESSLIST.
    Processes,
    /// KILL of a connection there. `only_of`: of an account that may end its own connections only.
    Kill { connection: u64, how: Kill, only_of: Option<Box<str>> },
    /// For MV_EVENTS.
    Events,
    /// See [`crate::server::Server::sync_auto_increment`].
    SyncAutoIncrement { database: Option<Box<str>>, table: Option<Box<str>> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    Query,
    Connection,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Processes(Vec<Process>),
    Events(Vec<Event>),
    Done,
}

/// 1094
pub(crate) fn no_thread(id: impl fmt::Display) -> Fault {
    Fault::mysql(1094, "HY000", format!("Unknown thread id: {id}"))
}

/// 1095
pub(crate) fn not_owner(id: u64) -> Fault {
    Fault::mysql(1095, "HY000", format!("You are not owner of thread {id}"))
}

/// Something that happened to the cluster, as one node has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Since 1970.
    pub at_micros: i64,
    pub severity: Severity,
    pub kind: EventKind,
    /// The node that it happened to, where it is about one.
    pub node: Option<NodeId>,
    /// A JSON object.
    pub details: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Notice,
    Warning,
    Error,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Notice => "NOTICE",
            Severity::Warning => "WARNING",
            Severity::Error => "ERROR",
        }
    }
}

/// Names that MemSQL has are its own (`mv_events`); the others follow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    NodeStarting,
    NodeOnline,
    NodeOffline,
    NodeAttaching,
    NodeDetached,
    NodeAddressChanged,
    LeafAdded,
    LeafRemoved,
    AggregatorAdded,
    AggregatorRemoved,
    MasterChanged,
    DatabaseCreated,
    DatabaseDropped,
    PartitionRecovered,
    PartitionRecoveryFailed,
    PrimaryChanged,
}

impl EventKind {
    pub const ALL: &'static [EventKind] = &[
        EventKind::NodeStarting,
        EventKind::NodeOnline,
        EventKind::NodeOffline,
        EventKind::NodeAttaching,
        EventKind::NodeDetached,
        EventKind::NodeAddressChanged,
        EventKind::LeafAdded,
        EventKind::LeafRemoved,
        EventKind::AggregatorAdded,
        EventKind::AggregatorRemoved,
        EventKind::MasterChanged,
        EventKind::DatabaseCreated,
        EventKind::DatabaseDropped,
        EventKind::PartitionRecovered,
        EventKind::PartitionRecoveryFailed,
        EventKind::PrimaryChanged,
    ];

    pub fn name(self) -> &'static str {
        match self {
            EventKind::NodeStarting => "NODE_STARTING",
            EventKind::NodeOnline => "NODE_ONLINE",
            EventKind::NodeOffline => "NODE_OFFLINE",
            EventKind::NodeAttaching => "NODE_ATTACHING",
            EventKind::NodeDetached => "NODE_DETACHED",
            EventKind::NodeAddressChanged => "ALTER_NODE_SET_HOST",
            EventKind::LeafAdded => "LEAF_ADD",
            EventKind::LeafRemoved => "LEAF_REMOVE",
            EventKind::AggregatorAdded => "AGGREGATOR_ADD",
            EventKind::AggregatorRemoved => "AGGREGATOR_REMOVE",
            EventKind::MasterChanged => "MASTER_CHANGED",
            EventKind::DatabaseCreated => "DATABASE_CREATE",
            EventKind::DatabaseDropped => "DATABASE_DROP",
            EventKind::PartitionRecovered => "PARTITION_RECOVERED",
            EventKind::PartitionRecoveryFailed => "PARTITION_UNRECOVERABLE",
            EventKind::PrimaryChanged => "PARTITION_PROMOTED",
        }
    }
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|k| k.name() == name)
    }
}
