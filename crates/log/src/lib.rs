//! The node's durable log: segments, group commit, recovery reader; and snapshot files.
//!
//! Owns:     the directory `log/` (and `meta/`), the snapshot files and manifests of partitions, the data directory's FORMAT and lock.
//! Promises: what a [`Ticket`] reported durable is read back after any crash, in order, per partition without gaps.
//!           A torn tail is cut; a bad record with good ones after it is [`Error::Corrupt`], never skipped.
//! Never:    looks into a record or a snapshot's items: they are bytes of whoever wrote them.
//! See:      docs/format/wal.md, docs/format/snapshot.md, docs/format/data-directory.md.

pub mod data_dir;
mod error;
mod flush;
mod format;
mod journal;
mod log;
mod manifest;
pub mod meta_log;
mod position;
mod read;
mod replay;
mod segment;
pub mod snapshot;
mod ticket;

pub use data_dir::DataDir;
pub use error::Error;
pub use journal::{JOURNAL, Journal, Journaled};
pub use log::{Durable, Log, Options, PartitionLog, Written};
pub use manifest::{Manifest, SnapshotEntry};
pub use meta_log::MetaLog;
pub use position::Position;
pub use replay::{Found, Progress, Record, Replay};
pub use snapshot::{SnapshotReader, SnapshotStore, SnapshotWriter};
pub use ticket::Ticket;
