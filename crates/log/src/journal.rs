//! A log of its own with checkpoints: what happened since the newest checkpoint, and that checkpoint.
//!
//! Where a partition's history is one of many in the node's log, a journal has its files for itself: it can be read before anything else is, and a partition's
//! log may be as damaged as it likes without anyone losing sight of what the journal says.
//!
//! Owns:     `log/` and `state/` in its directory.
//! Promises: a record whose append has returned is given back by every later opening, in order, unless a newer checkpoint holds it.
//!           A checkpoint counts in one step. Two are kept, and the log reaches back to the older: a newest one that is damaged costs nothing.
//! Never:    looks into a record or a checkpoint.

use crate::log::Options;
use crate::replay::{Progress, Record, Replay};
use crate::snapshot::SnapshotStore;
use crate::{Error, Log, PartitionLog, SnapshotEntry, Ticket};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use weald_env::Env;
use weald_types::{Lsn, PartitionId};

/// The reserved number under which a journal's records and checkpoints are kept.
pub const JOURNAL: PartitionId = PartitionId::new(u64::MAX);
const CHECKPOINTS_KEPT: usize = 2;

pub struct Journal {
    log: PartitionLog,
    checkpoints: Mutex<SnapshotStore>,
    /// `log.bytes()` when the newest checkpoint was stored.
    bytes_at_checkpoint: AtomicU64,
}

/// What a journal held.
#[derive(Clone, Debug, Default)]
pub struct Journaled {
    /// The items of the newest good checkpoint, if one was ever stored.
    pub checkpoint: Option<Vec<Vec<u8>>>,
    /// The records after it, each with its kind.
    pub records: Vec<(u32, Vec<u8>)>,
    /// Why the checkpoint is not the newest one.
    pub passed_over: Option<Error>,
}

struct Collect {
    after: Lsn,
    records: Mutex<Vec<(u32, Vec<u8>)>>,
    broken: Mutex<Option<Error>>,
}

impl Replay for Collect {
    fn starts_after(&self, partition: PartitionId) -> Option<Lsn> {
        (partition == JOURNAL).then_some(self.after)
    }
    fn record(&self, record: Record<'_>) {
        self.records.lock().push((record.flags, record.payload.to_vec()));
    }
    fn broken(&self, _: PartitionId, error: Error) {
        *self.broken.lock() = Some(error);
    }
}

impl Journal {
    /// Reads everything, then is ready for more. A corrupt newest checkpoint is passed over for the one before, whose records are still there.
    pub fn open(env: &Env, dir: &Path, options: Options) -> Result<(Self, Journaled), Error> {
        let mut checkpoints = SnapshotStore::open(env, &dir.join("state"), JOURNAL)?;
        let mut checkpoint = None;
        let mut after = Lsn::ZERO;
        let mut failure = None;
        for entry in checkpoints.snapshots().to_vec().into_iter().rev() {
            match read_checkpoint(&checkpoints, &entry) {
                Ok(items) => {
                    checkpoint = Some(items);
                    after = entry.lsn;
                    break;
                }
                Err(error) => {
                    tracing::error!(%error, dir = %dir.display(), "the newest checkpoint of a journal cannot be read; trying an older one");
                    failure.get_or_insert((entry, error));
                }
            }
        }
        let sink = Collect { after, records: Mutex::default(), broken: Mutex::default() };
        let log = Arc::new(Log::open(env, &dir.join("log"), options)?.replay(&sink, 1, &Progress::default())?);
        if let Some(error) = sink.broken.into_inner() {
            return Err(failure.map_or(error, |(_, first)| first));
        }
        let records = sink.records.into_inner();
        let log = log.partition(JOURNAL, after);
        let mut passed_over = None;
        if let Some((entry, error)) = failure {
            // The log reaches back far enough only if the records after the older checkpoint are all there.
            if log.appended() < entry.lsn {
                return Err(error);
            }
            checkpoints.set_aside(&entry)?;
            passed_over = Some(error);
        }
        let journal = Self { log, checkpoints: Mutex::new(checkpoints), bytes_at_checkpoint: AtomicU64::new(0) };
        Ok((journal, Journaled { checkpoint, records, passed_over }))
    }

    /// Queues one record. It counts once the ticket says so.
    pub fn append(&self, kind: u32, record: &[u8]) -> Result<Ticket, Error> {
        self.log.append(kind, record)
    }

    /// Queues records, at least one, that are there all or none after a crash.
    pub fn append_all(&self, records: &[(u32, Vec<u8>)]) -> Result<Ticket, Error> {
        let records: Vec<(PartitionId, u32, &[u8])> = records.iter().map(|(kind, record)| (JOURNAL, *kind, &record[..])).collect();
        self.log.log().append(&records)
    }

    /// How far the records go that were appended, durable or not.
    pub fn appended(&self) -> Lsn {
        self.log.appended()
    }
    pub fn durable(&self) -> Lsn {
        self.log.durable()
    }

    /// Bytes of records since the newest checkpoint, those replayed included. When it has grown, store a checkpoint.
    pub fn bytes_since_checkpoint(&self) -> u64 {
        self.log.bytes().saturating_sub(self.bytes_at_checkpoint.load(Ordering::Relaxed))
    }

    /// `items` say what all records up to `at` make, and every one of them is durable. Older records go when two checkpoints hold them. A checkpoint of a place
    /// that the newest one already has is not stored: it is the same.
    pub fn store(&self, at: Lsn, items: &[&[u8]]) -> Result<(), Error> {
        let bytes = self.log.bytes();
        // Held over IO: checkpoints are stored one after another, and nobody else takes it.
        let mut checkpoints = self.checkpoints.lock();
        if checkpoints.newest().is_some_and(|newest| newest.lsn > at) || checkpoints.is_at(at)? {
            return Ok(());
        }
        let mut writer = checkpoints.begin(at)?;
        for item in items {
            writer.item(item)?;
        }
        let entry = writer.finish()?;
        checkpoints.take(entry, CHECKPOINTS_KEPT)?;
        self.bytes_at_checkpoint.store(bytes, Ordering::Relaxed);
        self.log.log().trim(JOURNAL, checkpoints.log_not_needed_before(CHECKPOINTS_KEPT))?;
        Ok(())
    }

    /// Why nothing more is taken, if so.
    pub fn failure(&self) -> Option<Error> {
        self.log.log().failure()
    }

    /// Ends the log's threads; what was appended is durable.
    pub fn close(&self) {
        self.log.log().close();
    }
}

fn read_checkpoint(checkpoints: &SnapshotStore, entry: &SnapshotEntry) -> Result<Vec<Vec<u8>>, Error> {
    let mut reader = checkpoints.read(entry)?;
    let mut items = Vec::new();
    while let Some(block) = reader.next_block()? {
        items.extend(block.map(<[u8]>::to_vec));
    }
    Ok(items)
}
