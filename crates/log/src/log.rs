//! The log while the node runs: appending, waiting, trimming.
//!
//! Partitions append to one buffer; the flusher (`flush.rs`) takes all of it, writes it as one batch with one write and one sync, tells the partitions
//! how far they are durable, and wakes those who wait. Records of one partition are numbered without gaps, in the order of their appends, and become
//! durable in that order.
//!
//! When a batch cannot be written because the disk is full, its records and all that were appended behind them are gone: their numbers are given again
//! to later records, which is why [`Durable::failed`] is called before any partition may append again.
//!
//! A record whose commit was answered when it was queued ([`Log::append_answered`]) cannot be given up like that: others may have read what it says and
//! built on it. While the disk is full, the log keeps such a batch, refuses everything new, and tries again until there is room.
//!
//! Owns:     the buffer, the numbering of records, the flusher's and the preparer's thread.
//! Promises: an append never waits for the disk. The buffer is bounded: [`Log::room`] waits below the soft limit, an append that finds more than the hard
//!           one waiting is refused.
//! Never:    calls a partition with its lock held.

use crate::flush::Flusher;
use crate::format::{BATCH_HEADER, RECORD_HEADER, RECORD_MAX, RecordHeader};
use crate::segment::{Segment, Segments};
use crate::ticket::{Batch, Ticket};
use crate::{Error, Position};
use crc32fast::Hasher;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;
use weald_types::{Lsn, PartitionId};

#[derive(Clone, Debug)]
pub struct Options {
    /// Length of a segment file; a batch that is longer gets one of its own.
    pub segment_bytes: u64,
    /// Below this much waiting to be written, [`Log::room`] does not wait.
    pub buffer_bytes: usize,
    /// An append that finds more than this waiting is refused; so there is never more in memory than this and one append.
    pub buffer_limit: usize,
    /// Retired segments kept for their next use.
    pub spare_segments: usize,
    /// Quiet for this long, the log proves with a seal that its last batch was synced: later damage to it is then told from a torn write.
    pub seal_after: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            buffer_bytes: 16 << 20,
            buffer_limit: 1 << 30,
            spare_segments: 2,
            seal_after: Some(Duration::from_millis(500)),
        }
    }
}

/// Who is told what became of a partition's records. Called by the flusher, in log order, before anyone who waits for a ticket is woken.
/// Must be quick and must not append.
pub trait Durable: Send + Sync {
    /// Every record up to `upto` is durable.
    fn durable(&self, upto: Lsn);
    /// The records from `from` on are not in the log ([`Error::DiskFull`]; their numbers will be given again), or nobody knows ([`Error::Poisoned`]).
    fn failed(&self, from: Lsn, error: &Error);
}

/// What the flusher has done, for those who measure.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// Batches made durable, each with one sync.
    pub syncs: u64,
    /// Of batches.
    pub bytes: u64,
    pub sync_time: Duration,
    /// How many syncs took at most so long, by [`Written::BOUNDS`]; the last is for those that took longer than all.
    pub syncs_within: [u64; Written::BOUNDS.len() + 1],
}

impl Written {
    pub const BOUNDS: [Duration; 12] = {
        const fn us(n: u64) -> Duration {
            Duration::from_micros(n)
        }
        [us(50), us(100), us(200), us(500), us(1000), us(2000), us(5000), us(10_000), us(50_000), us(100_000), us(500_000), us(2_000_000)]
    };

    pub(crate) fn add(&mut self, bytes: u64, sync: Duration) {
        self.syncs += 1;
        self.bytes += bytes;
        self.sync_time += sync;
        let at = Self::BOUNDS.iter().position(|b| sync <= *b).unwrap_or(Self::BOUNDS.len());
        self.syncs_within[at] += 1;
    }
}

/// The log of one node.
pub struct Log {
    pub(crate) shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

pub(crate) struct Shared {
    pub options: Options,
    pub state: Mutex<State>,
    /// Something to flush, or closing.
    pub work: Condvar,
    /// The flusher waits here for more records to go with those there are.
    pub company: Condvar,
    pub segments: Segments,
    /// The preparer's inbox.
    pub preparer: Mutex<Prepare>,
    pub prepare: Condvar,
    pub extents: Mutex<Extents>,
    /// Held over IO: one trim at a time, and nobody else takes it.
    trimming: Mutex<()>,
}

#[derive(PartialEq)]
pub(crate) enum Prepare {
    Idle,
    Wanted,
    Stop,
}

pub(crate) struct State {
    /// Room for a batch header, then records.
    pub buffer: Vec<u8>,
    pub count: u32,
    /// With so many the flusher, which holds a batch back, is content.
    pub wanted: u32,
    pub digest: Hasher,
    /// The partitions that have records in `buffer`, each once.
    pub touched: Vec<Touched>,
    pub batch: Arc<Batch>,
    /// `buffer` holds a record that must not be given up: see the module's essay.
    pub answered: bool,
    /// What is being written at this moment.
    pub flushing: Option<Arc<Batch>>,
    pub slots: Vec<Slot>,
    pub by_id: BTreeMap<PartitionId, usize>,
    pub mode: Mode,
    pub stop: Option<Stop>,
    pub room: Vec<Waker>,
    pub durable: Position,
    pub written: Written,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Touched {
    pub slot: usize,
    pub first: Lsn,
    pub last: Lsn,
}

/// One partition, as the log knows it.
pub(crate) struct Slot {
    pub partition: PartitionId,
    pub appended: Lsn,
    pub durable: Lsn,
    /// Bytes appended since the log was opened, plus those replayed.
    pub bytes: u64,
    /// Index in `touched` while records wait in the buffer.
    pub touched: Option<usize>,
    pub sink: Option<Weak<dyn Durable>>,
}

pub(crate) enum Mode {
    Open,
    /// The disk is full, and a batch that cannot be given up waits for room.
    Full(Error),
    /// A batch has failed and the partitions are being told.
    Failing(Error),
    Poisoned(Error),
    Closed,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Stop {
    Sealed,
    Abandoned,
}

/// Which records lie in which segment, so that a segment goes when all of them are in snapshots.
#[derive(Default)]
pub(crate) struct Extents {
    /// Oldest first; the last one is being written.
    pub segments: BTreeMap<u64, Extent>,
    /// Up to here each partition's records are not needed any more.
    pub passed: BTreeMap<PartitionId, Lsn>,
}

#[derive(Default)]
pub(crate) struct Extent {
    pub len: u64,
    pub newest: BTreeMap<PartitionId, Lsn>,
}

/// Where the log goes on, as recovery found it.
pub(crate) struct Tail {
    pub active: Segment,
    pub seq: u64,
    pub prev: u32,
    /// The last batch is not a seal.
    pub unsealed: bool,
    pub extents: Extents,
    pub slots: Vec<Slot>,
}

impl Log {
    pub(crate) fn start(segments: Segments, options: Options, tail: Tail) -> Result<Log, Error> {
        let by_id = tail.slots.iter().enumerate().map(|(i, s)| (s.partition, i)).collect();
        let durable = Position { segment: tail.active.number, offset: tail.active.end };
        let path = tail.active.path.clone();
        let shared = Arc::new(Shared {
            options,
            state: Mutex::new(State {
                buffer: vec![0; BATCH_HEADER],
                count: 0,
                wanted: u32::MAX,
                digest: Hasher::new(),
                touched: Vec::new(),
                batch: Arc::default(),
                answered: false,
                flushing: None,
                slots: tail.slots,
                by_id,
                mode: Mode::Open,
                stop: None,
                room: Vec::new(),
                durable,
                written: Written::default(),
            }),
            work: Condvar::new(),
            company: Condvar::new(),
            segments,
            preparer: Mutex::new(Prepare::Idle),
            prepare: Condvar::new(),
            extents: Mutex::new(tail.extents),
            trimming: Mutex::new(()),
        });
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(body).map_err(Error::io("cannot start the thread that writes", &path))
        };
        let flusher = Flusher::new(Arc::clone(&shared), tail.active, tail.seq, tail.prev, tail.unsealed);
        let preparer = Arc::clone(&shared);
        let log = Log { shared, threads: Mutex::new(Vec::new()) };
        let started = spawn("log-flush", Box::new(move || flusher.run()))?;
        log.threads.lock().push(started);
        let started = spawn("log-prepare", Box::new(move || preparer.prepare_segments()))?;
        log.threads.lock().push(started);
        Ok(log)
    }

    /// The handle through which `partition` appends. `after` is how far its log reaches at least: the lsn of its snapshot, or zero for a new one.
    pub fn partition(self: &Arc<Self>, partition: PartitionId, after: Lsn) -> PartitionLog {
        let mut state = self.shared.state.lock();
        let slot = match state.by_id.get(&partition) {
            Some(&slot) => slot,
            None => {
                let slot = state.slots.len();
                state.slots.push(Slot { partition, appended: after, durable: after, bytes: 0, touched: None, sink: None });
                state.by_id.insert(partition, slot);
                slot
            }
        };
        let s = &mut state.slots[slot];
        // The snapshot may be newer than the last record that is left of the log.
        if s.touched.is_none() && s.appended == s.durable && s.appended < after {
            (s.appended, s.durable) = (after, after);
        }
        PartitionLog { log: Arc::clone(self), partition, slot }
    }

    /// Queues records of several partitions as one: after a crash all of them are there, or none. The ticket's lsn is the last record's.
    /// Every partition must have been asked for with [`Log::partition`] before.
    pub fn append(&self, records: &[(PartitionId, u32, &[u8])]) -> Result<Ticket, Error> {
        self.queue(records, Promised::Nothing)
    }

    /// As [`Log::append`], for commits that count from this moment on, before they are durable: a full disk does not make the log forget them.
    pub fn append_answered(&self, records: &[(PartitionId, u32, &[u8])]) -> Result<Ticket, Error> {
        self.queue(records, Promised::Answered)
    }

    fn queue(&self, records: &[(PartitionId, u32, &[u8])], promised: Promised) -> Result<Ticket, Error> {
        let mut hashers = Vec::with_capacity(records.len());
        for (_, _, payload) in records {
            hashers.push(checksum(payload)?);
        }
        let mut state = self.shared.state.lock();
        state.admit(self.shared.options.buffer_limit)?;
        for (partition, _, _) in records {
            if !state.by_id.contains_key(partition) {
                return Err(Error::UnknownPartition { partition: *partition });
            }
        }
        let mut lsn = Lsn::ZERO;
        for ((partition, flags, payload), hasher) in records.iter().zip(hashers) {
            let slot = state.by_id[partition];
            lsn = state.push(slot, *flags, payload, hasher);
        }
        state.answered |= promised == Promised::Answered;
        let ticket = Ticket::new(lsn, Arc::clone(&state.batch));
        self.shared.tell_flusher(state);
        Ok(ticket)
    }

    /// Resolves once everything that was appended before the call is durable; an error if some of it is not, and never will be.
    pub async fn flushed(&self) -> Result<(), Error> {
        let batch = {
            let state = self.shared.state.lock();
            if let Mode::Failing(error) | Mode::Poisoned(error) = &state.mode {
                return Err(error.clone());
            }
            // A batch fails with the one before it, so its success is that of both.
            if state.count > 0 { Some(Arc::clone(&state.batch)) } else { state.flushing.clone() }
        };
        match batch {
            Some(batch) => Ticket::new(Lsn::ZERO, batch).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Where the durable part of the log ends.
    pub fn durable_position(&self) -> Position {
        self.shared.state.lock().durable
    }
    /// What was written since the log was opened.
    pub fn written(&self) -> Written {
        self.shared.state.lock().written.clone()
    }
    /// The room that all segments take.
    pub fn size_bytes(&self) -> u64 {
        self.shared.extents.lock().segments.values().map(|e| e.len).sum()
    }
    /// Why the log takes no more writes, if so.
    pub fn failure(&self) -> Option<Error> {
        match &self.shared.state.lock().mode {
            Mode::Poisoned(error) => Some(error.clone()),
            Mode::Closed => Some(Error::Closed),
            Mode::Open | Mode::Full(_) | Mode::Failing(_) => None,
        }
    }

    /// From now on nothing is taken, as after a failed sync, and for that reason. What waits is still written.
    pub fn refuse(&self, reason: Error) {
        let mut state = self.shared.state.lock();
        if !matches!(state.mode, Mode::Poisoned(_) | Mode::Closed) {
            state.mode = Mode::Poisoned(reason);
        }
    }

    /// Resolves when less than `Options::buffer_bytes` wait to be written. Await it before taking the locks under which you append.
    pub fn room(&self) -> impl Future<Output = ()> + Send + '_ {
        std::future::poll_fn(|context| {
            let mut state = self.shared.state.lock();
            if state.buffer.len() <= self.shared.options.buffer_bytes.max(BATCH_HEADER) || !matches!(state.mode, Mode::Open) {
                return Poll::Ready(());
            }
            if !state.room.iter().any(|w| w.will_wake(context.waker())) {
                state.room.push(context.waker().clone());
            }
            Poll::Pending
        })
    }

    /// `partition` needs its records up to `upto` no longer. Returns how many bytes of segments went.
    pub fn trim(&self, partition: PartitionId, upto: Lsn) -> Result<u64, Error> {
        {
            let mut extents = self.shared.extents.lock();
            let passed = extents.passed.entry(partition).or_insert(upto);
            *passed = upto.max(*passed);
        }
        let _one = self.shared.trimming.lock();
        let mut freed = 0;
        loop {
            let Some((number, len)) = self.shared.extents.lock().removable() else { return Ok(freed) };
            self.shared.segments.retire(number, len)?;
            self.shared.extents.lock().segments.remove(&number);
            freed += len;
        }
    }

    /// `partition` is gone; its records hold nothing back.
    pub fn forget(&self, partition: PartitionId) -> Result<u64, Error> {
        self.trim(partition, Lsn::new(u64::MAX))
    }

    /// The partitions whose records keep the oldest segment from going. A snapshot of each would free it.
    pub fn laggards(&self) -> Vec<PartitionId> {
        let extents = self.shared.extents.lock();
        match extents.segments.iter().next() {
            Some((_, oldest)) if extents.segments.len() > 1 => {
                oldest.newest.iter().filter(|(p, lsn)| extents.passed.get(p).is_none_or(|passed| passed < lsn)).map(|(p, _)| *p).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Writes what waits, seals the log, ends its threads. Later appends get [`Error::Closed`].
    pub fn close(&self) {
        self.stop(Stop::Sealed);
    }

    fn stop(&self, stop: Stop) {
        {
            let mut state = self.shared.state.lock();
            state.stop.get_or_insert(stop);
        }
        self.shared.work.notify_all();
        self.shared.company.notify_all();
        *self.shared.preparer.lock() = Prepare::Stop;
        self.shared.prepare.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            // The last handle may be dropped by a partition's callback, on the flusher itself.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the log panicked");
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.stop(Stop::Abandoned);
    }
}

/// The part of a record's checksum that needs no lock.
fn checksum(payload: &[u8]) -> Result<Hasher, Error> {
    if payload.len() > RECORD_MAX {
        return Err(Error::RecordTooLong { len: payload.len(), max: RECORD_MAX });
    }
    let mut hasher = Hasher::new();
    hasher.update(payload);
    Ok(hasher)
}

/// What the client has been told of a commit when its record is queued.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Promised {
    Nothing,
    Answered,
}

impl State {
    fn admit(&self, limit: usize) -> Result<(), Error> {
        match &self.mode {
            Mode::Open => {}
            Mode::Full(error) | Mode::Failing(error) | Mode::Poisoned(error) => return Err(error.clone()),
            Mode::Closed => return Err(Error::Closed),
        }
        if self.stop.is_some() {
            return Err(Error::Closed);
        }
        // What comes is not counted, or a record that alone is longer than the limit could only be written when nobody else writes.
        let waiting = self.buffer.len();
        if waiting > limit && self.count > 0 {
            return Err(Error::BufferFull { waiting, limit });
        }
        Ok(())
    }

    fn push(&mut self, slot: usize, flags: u32, payload: &[u8], hasher: Hasher) -> Lsn {
        let s = &mut self.slots[slot];
        let lsn = s.appended.next();
        let (header, crc) = RecordHeader::encode(payload.len() as u32, s.partition, lsn, flags, hasher);
        self.buffer.extend_from_slice(&header);
        self.buffer.extend_from_slice(payload);
        self.digest.update(&crc.to_le_bytes());
        self.count += 1;
        s.appended = lsn;
        s.bytes += (RECORD_HEADER + payload.len()) as u64;
        match s.touched {
            Some(i) => self.touched[i].last = lsn,
            None => {
                s.touched = Some(self.touched.len());
                self.touched.push(Touched { slot, first: lsn, last: lsn });
            }
        }
        lsn
    }
}

impl Extents {
    /// The oldest segment, if nobody needs it. The one being written stays, and so does the one before it while nothing has been written
    /// to it: the last batch carries the numbering on.
    fn removable(&self) -> Option<(u64, u64)> {
        let (number, oldest) = self.segments.iter().next()?;
        let (newest, active) = self.segments.iter().next_back()?;
        if number == newest || active.newest.is_empty() {
            return None;
        }
        let passed = |(p, lsn): (&PartitionId, &Lsn)| self.passed.get(p).is_some_and(|passed| passed >= lsn);
        oldest.newest.iter().all(passed).then_some((*number, oldest.len))
    }
}

impl Shared {
    fn tell_flusher(&self, state: MutexGuard<'_, State>) {
        let enough = state.count >= state.wanted;
        drop(state);
        // Cheap where nobody waits.
        self.work.notify_one();
        if enough {
            self.company.notify_one();
        }
    }

    fn prepare_segments(&self) {
        loop {
            {
                let mut wanted = self.preparer.lock();
                while *wanted == Prepare::Idle {
                    self.prepare.wait(&mut wanted);
                }
                if *wanted == Prepare::Stop {
                    return;
                }
                *wanted = Prepare::Idle;
            }
            self.segments.prepare();
        }
    }
}

/// One partition's part of the log. Owned by that partition, which appends in the order in which its commits shall be seen.
#[derive(Clone)]
pub struct PartitionLog {
    log: Arc<Log>,
    partition: PartitionId,
    slot: usize,
}

impl PartitionLog {
    pub fn partition(&self) -> PartitionId {
        self.partition
    }
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Tells `sink` from now on what became of records.
    pub fn report_to(&self, sink: Weak<dyn Durable>) {
        self.log.shared.state.lock().slots[self.slot].sink = Some(sink);
    }

    /// Queues one record. It is in the log, in this order, once the ticket says so. `flags` are the caller's.
    pub fn append(&self, flags: u32, payload: &[u8]) -> Result<Ticket, Error> {
        let hasher = checksum(payload)?;
        let shared = &self.log.shared;
        let mut state = shared.state.lock();
        state.admit(shared.options.buffer_limit)?;
        let lsn = state.push(self.slot, flags, payload, hasher);
        let ticket = Ticket::new(lsn, Arc::clone(&state.batch));
        shared.tell_flusher(state);
        Ok(ticket)
    }

    /// The newest record's number, durable or not.
    pub fn appended(&self) -> Lsn {
        self.log.shared.state.lock().slots[self.slot].appended
    }
    pub fn durable(&self) -> Lsn {
        self.log.shared.state.lock().slots[self.slot].durable
    }
    /// Bytes of this partition's records: those replayed at start and those appended since. Grows only; take differences.
    pub fn bytes(&self) -> u64 {
        self.log.shared.state.lock().slots[self.slot].bytes
    }
}
