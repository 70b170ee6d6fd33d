//! The catalogue's own log: commands since the newest state, and that state.
//!
//! It is a log of its own, in `meta/`, so that a node knows its catalogue before it reads the first record of a partition, and so that a
//! partition's log can be as damaged as it likes without anyone losing sight of which tables there are.
//!
//! Owns:     `meta/` in the data directory.
//! Promises: a command whose append has returned is given back by every later opening, in order, unless a newer state holds it.
//! Never:    looks into a command or a state.

use crate::log::Options;
use crate::replay::{Progress, Record, Replay};
use crate::snapshot::SnapshotStore;
use crate::{DataDir, Error, Log, PartitionLog, Ticket};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use weald_env::Env;
use weald_types::{Lsn, PartitionId};

/// The reserved number under which the catalogue's records and states are kept.
pub const META: PartitionId = PartitionId::new(u64::MAX);
const SEGMENT_BYTES: u64 = 1 << 20;
const STATES_KEPT: usize = 2;

pub struct MetaLog {
    log: PartitionLog,
    states: Mutex<SnapshotStore>,
    /// `log.bytes()` when the newest state was stored.
    bytes_at_state: AtomicU64,
}

/// What the catalogue was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The newest good state, if one was ever stored.
    pub state: Option<Vec<u8>>,
    /// The commands after it.
    pub commands: Vec<Vec<u8>>,
}

struct Collect {
    after: Lsn,
    commands: Mutex<Vec<Vec<u8>>>,
    broken: Mutex<Option<Error>>,
}

impl Replay for Collect {
    fn starts_after(&self, partition: PartitionId) -> Option<Lsn> {
        (partition == META).then_some(self.after)
    }
    fn record(&self, record: Record<'_>) {
        self.commands.lock().push(record.payload.to_vec());
    }
    fn broken(&self, _: PartitionId, error: Error) {
        *self.broken.lock() = Some(error);
    }
}

impl MetaLog {
    /// Reads everything, then is ready for more. A corrupt newest state is passed over for the one before, whose commands are still there.
    pub fn open(env: &Env, dir: &DataDir) -> Result<(Self, Recovered), Error> {
        Self::open_with(env, dir, SEGMENT_BYTES)
    }

    /// As [`MetaLog::open`], with segments of another length.
    pub fn open_with(env: &Env, dir: &DataDir, segment_bytes: u64) -> Result<(Self, Recovered), Error> {
        let mut states = SnapshotStore::open(env, &dir.meta().join("state"), META)?;
        let mut state = None;
        let mut after = Lsn::ZERO;
        let mut failure = None;
        for entry in states.snapshots().to_vec().into_iter().rev() {
            match read_state(&states, &entry) {
                Ok(bytes) => {
                    state = Some(bytes);
                    after = entry.lsn;
                    break;
                }
                Err(error) => {
                    tracing::error!(%error, "a state of the catalogue cannot be read; trying an older one");
                    failure.get_or_insert((entry, error));
                }
            }
        }
        let sink = Collect { after, commands: Mutex::default(), broken: Mutex::default() };
        let options = Options { segment_bytes, buffer_bytes: 1 << 20, spare_segments: 1, ..Options::default() };
        let log = Arc::new(Log::open(env, &dir.meta().join("log"), options)?.replay(&sink, 1, &Progress::default())?);
        if let Some(error) = sink.broken.into_inner() {
            return Err(failure.map_or(error, |(_, first)| first));
        }
        let commands = sink.commands.into_inner();
        let log = log.partition(META, after);
        if let Some((entry, error)) = failure {
            // The log reaches back far enough only if the records after the older state are all there.
            if log.appended() < entry.lsn {
                return Err(error);
            }
            states.set_aside(&entry)?;
        }
        Ok((Self { log, states: Mutex::new(states), bytes_at_state: AtomicU64::new(0) }, Recovered { state, commands }))
    }

    /// Queues one command. It counts once the ticket says so.
    pub fn append(&self, command: &[u8]) -> Result<Ticket, Error> {
        self.log.append(0, command)
    }

    /// Bytes of commands since the newest state, those replayed included. When it has grown, store a state.
    pub fn bytes_since_state(&self) -> u64 {
        self.log.bytes().saturating_sub(self.bytes_at_state.load(Ordering::Relaxed))
    }

    /// `state` is what all commands appended so far make, and every one of them is durable. Older commands go when two states hold them.
    pub fn store_state(&self, state: &[u8]) -> Result<(), Error> {
        let (lsn, bytes) = (self.log.durable(), self.log.bytes());
        // Held over IO: states are stored one after another, and nobody else takes it.
        let mut states = self.states.lock();
        if states.is_at(lsn)? {
            return Ok(());
        }
        let mut writer = states.begin(lsn)?;
        writer.item(state)?;
        let entry = writer.finish()?;
        states.take(entry, STATES_KEPT)?;
        self.bytes_at_state.store(bytes, Ordering::Relaxed);
        self.log.log().trim(META, states.log_not_needed_before(STATES_KEPT))?;
        Ok(())
    }

    /// Ends the log's threads; what was appended is durable.
    pub fn close(&self) {
        self.log.log().close();
    }
}

fn read_state(states: &SnapshotStore, entry: &crate::SnapshotEntry) -> Result<Vec<u8>, Error> {
    let mut reader = states.read(entry)?;
    let mut state = Vec::new();
    while let Some(items) = reader.next_block()? {
        for item in items {
            state.extend_from_slice(item);
        }
    }
    Ok(state)
}
