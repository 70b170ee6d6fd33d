//! Snapshot files: a partition's items at one lsn, streamed out and in.
//!
//! Owns:     the files of one partition's snapshot directory ([`SnapshotStore`]).
//! Promises: a file counts from the moment the manifest names it, and is whole and synced then. Reading hands out items only from blocks whose
//!           checksum is good, and reports success only after the footer's counts agree. The store keeps the newest `keep` snapshots.
//! Never:    looks into an item.
//! See:      docs/format/snapshot.md for the bytes and why a crash at each step is safe.

mod format;
mod reader;
mod store;
mod writer;

pub use reader::SnapshotReader;
pub use store::SnapshotStore;
pub use writer::SnapshotWriter;
