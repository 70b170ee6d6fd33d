//! The flusher: takes what waits, makes it durable with one write and one sync, says so.
//!
//! Owns:     the segment being written, the numbering of batches.
//! Promises: a batch is written only after the one before it was synced, so that after a crash at most the last batch is not whole.
//!           A full disk leaves the log ending with the last good batch; if that must not be given up, it is written once there is room. Any other
//!           failure, and any failure of a sync, poisons the log: after one failed sync the kernel may call the pages clean, and a second would lie.
//! Never:    holds a lock over IO or over a call to a partition.

use crate::format::{BATCH_HEADER, BATCH_MAGIC, BatchHeader, FLAG_SEAL, SEAL_ALIGN, align};
use crate::log::{Durable, Mode, Prepare, Shared, State, Stop, Touched};
use crate::segment::Segment;
use crate::ticket::Batch;
use crate::{Error, Position};
use crc32fast::Hasher;
use std::sync::Arc;
use std::time::Duration;
use weald_types::Lsn;

pub(crate) struct Flusher {
    shared: Arc<Shared>,
    active: Segment,
    seq: u64,
    prev: u32,
    /// The buffer that is not being filled; the two change places at every flush.
    other: Vec<u8>,
    /// Batches were written since the last seal.
    unsealed: bool,
    /// How long the last sync took.
    sync_took: Duration,
    pace: Pace,
}

/// How a batch finds company.
///
/// Clients that were answered by one sync come back with their next commit a little later. If the next sync begins the moment the first of them is there,
/// the others wait for all of it and then for their own: two groups take turns, and each sync serves half of the clients. So the next one is held back,
/// for at most a part of the time that a sync takes, until as many are there as were waiting, in the batch or behind it, when the last one was done.
#[derive(Default)]
struct Pace {
    expected: u32,
    /// How long a sync takes: a moving average.
    sync: Duration,
}

impl Pace {
    /// Below this many clients nobody waits for anybody.
    const COMPANY: u32 = 4;
    const LONGEST: Duration = Duration::from_millis(1);

    fn note(&mut self, served: u32, behind: u32, took: Duration) {
        self.expected = served + behind;
        self.sync = (self.sync * 7 + took) / 8;
    }

    /// For how long a batch of `count` records may be held back; zero: not at all.
    fn hold(&self, count: u32) -> Duration {
        if self.expected < Self::COMPANY || count >= self.expected { Duration::ZERO } else { (self.sync / 2).min(Self::LONGEST) }
    }
}

struct Taken {
    bytes: Vec<u8>,
    count: u32,
    digest: u32,
    touched: Vec<Touched>,
    batch: Arc<Batch>,
    answered: bool,
}

enum Work {
    Flush(Taken),
    Seal,
    Stop(Stop),
}

/// How often a full disk is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// A buffer that grew beyond this for one large batch is not kept.
const BUFFER_KEPT: usize = 4 << 20;

impl Flusher {
    pub fn new(shared: Arc<Shared>, active: Segment, seq: u64, prev: u32, unsealed: bool) -> Self {
        Self { shared, active, seq, prev, other: Vec::new(), unsealed, sync_took: Duration::ZERO, pace: Pace::default() }
    }

    pub fn run(mut self) {
        loop {
            match self.wait() {
                Work::Flush(taken) => {
                    let Taken { mut bytes, count, digest, touched, batch, answered } = taken;
                    let len = bytes.len();
                    let began = self.shared.segments.now();
                    let mut done = self.write(&mut bytes, count, digest, 0, &touched);
                    while let Err(full @ Error::DiskFull { .. }) = &done
                        && self.wait_for_disk(full, answered)
                    {
                        bytes.truncate(len);
                        done = self.write(&mut bytes, count, digest, 0, &touched);
                    }
                    match done {
                        Ok(at) => {
                            let took = self.shared.segments.now().saturating_sub(began);
                            let behind = self.shared.state.lock().count;
                            self.pace.note(count, behind, took);
                            self.succeed(&touched, &batch, at, bytes.len() as u64)
                        }
                        Err(error) => self.fail(error, touched, batch),
                    }
                    if bytes.capacity() <= BUFFER_KEPT {
                        self.other = bytes;
                    }
                    self.unsealed = true;
                }
                Work::Seal => {
                    self.seal();
                    self.unsealed = false;
                }
                Work::Stop(stop) => {
                    if stop == Stop::Sealed && self.unsealed {
                        self.seal();
                    }
                    self.shared.close();
                    return;
                }
            }
        }
    }

    fn wait(&mut self) -> Work {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.lock();
        let mut held = false;
        loop {
            if state.count > 0 {
                let hold = self.pace.hold(state.count);
                if !held && !hold.is_zero() && state.stop.is_none() {
                    held = true;
                    state.wanted = self.pace.expected;
                    // Not on `work`: every append would wake us.
                    shared.company.wait_for(&mut state, hold);
                    state.wanted = u32::MAX;
                    continue;
                }
                let mut next = std::mem::take(&mut self.other);
                next.clear();
                next.resize(BATCH_HEADER, 0);
                let (taken, room) = take(&mut state, next);
                drop(state);
                for waker in room {
                    waker.wake();
                }
                return Work::Flush(taken);
            }
            if let Some(stop) = state.stop {
                return Work::Stop(stop);
            }
            match shared.options.seal_after {
                Some(after) if self.unsealed && matches!(state.mode, Mode::Open) => {
                    if shared.work.wait_for(&mut state, after).timed_out() && state.count == 0 && state.stop.is_none() {
                        return Work::Seal;
                    }
                }
                _ => shared.work.wait(&mut state),
            }
        }
    }

    /// If what is being written, or what waits behind it, must not be given up: some time passes in which everything new is refused, and the answer is
    /// true. False: the batch is given up, and nothing is taken any more until `fail` has said so to everyone.
    fn wait_for_disk(&self, full: &Error, answered: bool) -> bool {
        let mut state = self.shared.state.lock();
        let keep = (answered || state.answered) && state.stop.is_none();
        if keep {
            if matches!(state.mode, Mode::Open) {
                tracing::error!(error = %full, "commits that were answered wait for room on the disk; new ones are refused");
                state.mode = Mode::Full(full.clone());
            }
            self.shared.work.wait_for(&mut state, RETRY);
        } else if !matches!(state.mode, Mode::Poisoned(_)) {
            state.mode = Mode::Failing(full.clone());
        }
        keep
    }

    /// One batch, durable; the position just after it. `bytes` begins with room for the header.
    fn write(&mut self, bytes: &mut Vec<u8>, count: u32, digest: u32, flags: u32, touched: &[Touched]) -> Result<Position, Error> {
        let body_len = (bytes.len() - BATCH_HEADER) as u64;
        bytes.resize(align(bytes.len() as u64) as usize, 0);
        let len = bytes.len() as u64;
        if self.active.end + len > self.active.len {
            self.active = self.shared.segments.next(len)?;
            self.shared.extents.lock().segments.entry(self.active.number).or_default().len = self.active.len;
        }
        let mut header = BatchHeader { flags, seq: self.seq, prev: self.prev, count, body_len, digest, crc: 0 };
        header.encode(self.active.salt, &mut bytes[..BATCH_HEADER]);
        if let Err(error) = self.active.file.write_all_at(bytes, self.active.end) {
            if weald_env::is_full(&error) {
                self.erase()?;
                return Err(Error::DiskFull { file: self.active.path.clone() });
            }
            return Err(self.poison("writing", error));
        }
        let begun = self.shared.segments.now();
        self.active.file.sync_data().map_err(|e| self.poison("syncing", e))?;
        self.sync_took = self.shared.segments.now().saturating_sub(begun);
        self.active.end += len;
        self.seq += 1;
        self.prev = header.crc;
        // Half full: the next segment is made now, by another thread, so that no commit waits for it.
        if self.active.end > self.active.len / 2 && self.active.end - len <= self.active.len / 2 {
            let mut wanted = self.shared.preparer.lock();
            if *wanted == Prepare::Idle {
                *wanted = Prepare::Wanted;
                self.shared.prepare.notify_one();
            }
        }
        if !touched.is_empty() {
            let slots: Vec<_> = {
                let state = self.shared.state.lock();
                touched.iter().map(|t| (state.slots[t.slot].partition, t.last)).collect()
            };
            let mut extents = self.shared.extents.lock();
            extents.segments.entry(self.active.number).or_default().newest.extend(slots);
        }
        Ok(Position { segment: self.active.number, offset: self.active.end })
    }

    /// Takes back a batch of which a part may have been written: the log ends before it again.
    fn erase(&self) -> Result<(), Error> {
        let (file, at) = (&self.active.file, self.active.end);
        if let Err(error) = file.write_all_at(&[0; BATCH_HEADER], at) {
            // No room even for that: on a file system that does not reserve what it allocates. Then the header was not written either, if it shows so.
            let mut magic = [0; BATCH_MAGIC.len()];
            let n = file.read_at(&mut magic, at).map_err(|e| self.poison("reading", e))?;
            if n == magic.len() && magic == BATCH_MAGIC {
                return Err(self.poison("erasing a part of a batch in", error));
            }
        }
        file.sync_data().map_err(|e| self.poison("syncing", e))
    }

    fn poison(&self, doing: &'static str, source: std::io::Error) -> Error {
        Error::Poisoned { file: self.active.path.clone(), doing, source: Arc::new(source) }
    }

    fn seal(&mut self) {
        if !matches!(self.shared.state.lock().mode, Mode::Open) {
            return;
        }
        let mut bytes = vec![0; BATCH_HEADER];
        let (number, end) = (self.active.number, self.active.end);
        // Where that leaves no room, the seal begins the next segment.
        self.active.end = end.next_multiple_of(SEAL_ALIGN);
        match self.write(&mut bytes, 0, Hasher::new().finalize(), FLAG_SEAL, &[]) {
            Ok(at) => self.shared.state.lock().durable = at,
            Err(error) => {
                if self.active.number == number {
                    self.active.end = end;
                }
                if matches!(error, Error::DiskFull { .. }) {
                    // Nobody waits for a seal. The next batch says whether there is room.
                    return;
                }
                self.fail(error, Vec::new(), Arc::default())
            }
        }
    }

    fn succeed(&mut self, touched: &[Touched], batch: &Batch, at: Position, len: u64) {
        let mut sinks: Vec<(Arc<dyn Durable>, Lsn)> = Vec::new();
        {
            let mut state = self.shared.state.lock();
            for t in touched {
                let slot = &mut state.slots[t.slot];
                slot.durable = t.last;
                if let Some(sink) = slot.sink.as_ref().and_then(|s| s.upgrade()) {
                    sinks.push((sink, t.last));
                }
            }
            if matches!(state.mode, Mode::Full(_)) {
                tracing::info!("there is room on the disk again");
                state.mode = Mode::Open;
            }
            state.durable = at;
            state.written.add(len, self.sync_took);
            state.flushing = None;
        }
        for (sink, upto) in sinks {
            sink.durable(upto);
        }
        batch.decide(Ok(at));
    }

    /// The batch is not in the log; what was appended behind it would leave a gap, so it goes as well.
    fn fail(&mut self, error: Error, mut touched: Vec<Touched>, batch: Arc<Batch>) {
        let error = match error {
            Error::DiskFull { .. } | Error::Poisoned { .. } => error,
            Error::Io { path, doing, source } => Error::Poisoned { file: path, doing, source },
            other => Error::Poisoned { file: self.active.path.clone(), doing: "writing", source: Arc::new(std::io::Error::other(other)) },
        };
        tracing::error!(%error, "{}", if error.outcome_is_unknown() { "the log has failed" } else { "the log could not be written" });
        let mut sinks: Vec<(Arc<dyn Durable>, Lsn)> = Vec::new();
        let behind = {
            let mut state = self.shared.state.lock();
            if !matches!(state.mode, Mode::Poisoned(_)) {
                state.mode = Mode::Failing(error.clone());
            }
            let (behind, room) = take(&mut state, vec![0; BATCH_HEADER]);
            for t in behind.touched {
                if !touched.iter().any(|u| u.slot == t.slot) {
                    touched.push(t);
                }
            }
            for t in &touched {
                if let Some(sink) = state.slots[t.slot].sink.as_ref().and_then(|s| s.upgrade()) {
                    sinks.push((sink, t.first));
                }
            }
            drop(state);
            for waker in room {
                waker.wake();
            }
            behind.batch
        };
        for (sink, from) in sinks {
            sink.failed(from, &error);
        }
        {
            let mut state = self.shared.state.lock();
            for t in &touched {
                let slot = &mut state.slots[t.slot];
                slot.appended = slot.durable;
            }
            // It may have been poisoned by someone else meanwhile.
            if error.outcome_is_unknown() {
                state.mode = Mode::Poisoned(error.clone());
            } else if matches!(state.mode, Mode::Failing(_)) {
                state.mode = Mode::Open;
            }
            state.flushing = None;
        }
        batch.decide(Err(error.clone()));
        behind.decide(Err(error));
    }
}

fn take(state: &mut State, next: Vec<u8>) -> (Taken, Vec<std::task::Waker>) {
    let touched = std::mem::take(&mut state.touched);
    for t in &touched {
        state.slots[t.slot].touched = None;
    }
    let taken = Taken {
        bytes: std::mem::replace(&mut state.buffer, next),
        count: std::mem::take(&mut state.count),
        digest: std::mem::take(&mut state.digest).finalize(),
        touched,
        batch: std::mem::take(&mut state.batch),
        answered: std::mem::take(&mut state.answered),
    };
    state.flushing = Some(Arc::clone(&taken.batch));
    (taken, std::mem::take(&mut state.room))
}

impl Shared {
    fn close(&self) {
        let mut state = self.state.lock();
        if !matches!(state.mode, Mode::Poisoned(_)) {
            state.mode = Mode::Closed;
        }
    }
}
