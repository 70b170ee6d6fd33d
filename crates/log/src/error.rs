//! What can go wrong with the log and with snapshots.
//!
//! Owns:     nothing.
//! Promises: cloneable, because one failed flush answers many waiters. Bytes that are wrong are named by file, offset and checksum.
//! Never:    a variant on which no caller would act differently.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weald_types::{Lsn, PartitionId};

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nothing of the record is in the log, and the log goes on: the next append tries again.
    #[error("no room on the disk for {}", file.display())]
    DiskFull { file: PathBuf },
    /// A write or a sync failed. What waited for it may or may not be on the disk; nothing more is written before a restart.
    #[error("the log takes no more writes until restart, since {doing} {} failed", file.display())]
    Poisoned { file: PathBuf, doing: &'static str, source: Arc<io::Error> },
    #[error("the log is closed")]
    Closed,
    /// More waits to be written than `Options::buffer_limit` allows: the disk does not keep up, and the caller did not wait for room.
    #[error("{waiting} bytes wait to be written to the log, the limit is {limit}")]
    BufferFull { waiting: usize, limit: usize },
    #[error("a record of {len} bytes is longer than the log takes ({max})")]
    RecordTooLong { len: usize, max: usize },
    #[error("partition {} of database number {} has no log here", partition.ordinal(), partition.database())]
    UnknownPartition { partition: PartitionId },

    /// Bytes that were good once are not any more. Never skipped.
    #[error("{} is corrupt at offset {offset}: {what}, checksum {actual:08x} where {expected:08x} is due", file.display())]
    Corrupt { file: PathBuf, offset: u64, what: &'static str, expected: u32, actual: u32 },
    #[error("{} is missing, though later parts of the log are there", file.display())]
    Missing { file: PathBuf },
    #[error("{} was written by a newer release (format {found}, this one knows {known}); start that release, or restore a backup", file.display())]
    Newer { file: PathBuf, found: u32, known: u32 },
    #[error("{} is not a file of Weald's: {what}", file.display())]
    Foreign { file: PathBuf, what: &'static str },
    #[error("{} holds other things already: {entry}", dir.display())]
    Occupied { dir: PathBuf, entry: String },
    /// The log does not reach back to the partition's snapshot.
    #[error("the log of partition {} of database number {} continues at {found} where {expected} is due", partition.ordinal(), partition.database())]
    Gap { partition: PartitionId, expected: Lsn, found: Lsn },
    #[error("{doing} {}", path.display())]
    Io { path: PathBuf, doing: &'static str, source: Arc<io::Error> },
    #[error("the data directory {} cannot be locked", path.display())]
    Locked { path: PathBuf, source: Arc<weald_env::LockError> },
}

impl Error {
    pub(crate) fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
        move |source| {
            if weald_env::is_full(&source) {
                Error::DiskFull { file: path.to_owned() }
            } else {
                Error::Io { path: path.to_owned(), doing, source: Arc::new(source) }
            }
        }
    }

    /// Whether the write that got this error may still turn out to have happened.
    pub fn outcome_is_unknown(&self) -> bool {
        matches!(self, Error::Poisoned { .. })
    }
}
