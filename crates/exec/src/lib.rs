//! Carrying a plan out: fragments over a partition, rows at the aggregator, DataFusion for the large.
//!
//! Owns:     the node's partitions by database, auto-increment counters, the analytic engine.
//! Promises: every executor reads at the snapshot it is given; a change is whole or not at all once its transaction ends.
//! Never:    parses or binds; decides when a transaction starts or ends (`aggregator::session` does).

pub mod analytic;
mod auto_increment;
mod change;
pub mod columns;
mod copy;
mod define;
mod engine;
mod find;
mod fragment_read;
mod gather;
mod insert;
mod locked_read;
mod meter;
pub mod remote;
pub mod rows;
mod sample;
mod site;
mod source;
mod stored;
mod text_rows;
mod transaction;
mod turns;
mod way;

pub use change::Changed;
pub use define::Gate;
pub use engine::{Engine, Work};
pub use gather::gather;
pub use insert::{InsertRows, Inserted, MadeRows, RowForm};
pub use sample::Sampled;
pub use site::Home;
pub use source::{Locker, Snapshotted, VirtualRows};
pub use text_rows::{TextLine, TextRows};
pub use transaction::{Mark, Transaction};
pub use weald_partition::{Durability, NodeContext, Partition, Snapshot};
pub use weald_txn::Isolation;
