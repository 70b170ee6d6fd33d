//! What nodes ask of each other, and on which connections: the one table of numbers.
//!
//! Owns:     the numbers of rpc methods and lanes.
//! Promises: a number means the same in every release that speaks the same protocol (`weald_rpc::PROTOCOL`).
//! Never:    says what is in a message: `words` does, and who answers statements.

use std::ops::RangeInclusive;
use weald_rpc::Lane;

/// A message of the metadata group.
pub(crate) const GROUP: u16 = 1;
/// A command, to the master.
pub(crate) const PROPOSE: u16 = 2;
/// A statement about the cluster, to the master.
pub(crate) const ORDER: u16 = 3;
/// A sign of life.
pub(crate) const PING: u16 = 4;
/// What a node says of itself.
pub(crate) const REPORT: u16 = 5;
/// What one aggregator asks another for the sake of a client.
pub(crate) const ASK: u16 = 6;
/// Everything committed so far is to be on the disk.
pub(crate) const FLUSH: u16 = 7;
/// The node has been removed from the cluster.
pub(crate) const REMOVED: u16 = 8;
/// Snapshots of the partitions of a database that are on the node.
pub(crate) const SNAPSHOT: u16 = 9;
/// Statements and transactions, whose numbers `weald-exec` gives out.
pub(crate) const STATEMENTS: RangeInclusive<u16> = 100..=199;

// Lanes below ten are `weald-exec`'s.

/// Large states must not hold up votes, but those come between the frames of one.
pub(crate) const GROUP_LANE: Lane = Lane(11);
pub(crate) const CONTROL_LANE: Lane = Lane(12);
/// Decides who is alive, so nothing else travels on it.
pub(crate) const LIFE_LANE: Lane = Lane(13);
