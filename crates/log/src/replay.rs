//! Opening a log: read it once, hand each partition its records, cut the torn tail, go on.
//!
//! Owns:     the reader and the worker threads, while replay lasts.
//! Promises: one thread reads and checks; each partition's records reach one worker thread, in order, without gaps, each once. Queues between them are
//!           bounded. Before the log takes new records, the last batch it found has been written again and synced: it may have come from the page
//!           cache of a process that died before, or because, its sync failed.
//! Never:    decides what a partition that cannot be replayed means for the node: it tells the sink and goes on with the others.

use crate::format::{BATCH_HEADER, FLAG_SEAL, RECORD_HEADER, RecordHeader, SEGMENT_HEADER};
use crate::log::{Extent, Extents, Log, Options, Slot, Tail};
use crate::read::{self, Reader, SegmentFile};
use crate::segment::{Segment, Segments};
use crate::{Error, Position, data_dir};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use weald_env::{Env, OpenMode};
use weald_types::{Lsn, PartitionId};

/// One record as it was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub partition: PartitionId,
    pub lsn: Lsn,
    pub flags: u32,
    pub payload: &'a [u8],
    pub at: Position,
}

/// Who takes the records. Called from several threads, for one partition from one only.
pub trait Replay: Sync {
    /// The partition's records up to this are in its snapshot and are not wanted. `None`: nobody wants any of its records.
    fn starts_after(&self, partition: PartitionId) -> Option<Lsn>;
    fn record(&self, record: Record<'_>);
    /// The partition's records are not complete ([`Error::Gap`]). No more of them will come.
    fn broken(&self, partition: PartitionId, error: Error);
}

/// How far replay is, for those who watch.
#[derive(Debug, Default)]
pub struct Progress {
    pub total_bytes: AtomicU64,
    pub read_bytes: AtomicU64,
}

/// A log that has been looked at and not yet read.
pub struct Found {
    env: Env,
    dir: PathBuf,
    options: Options,
    segments: Vec<SegmentFile>,
}

impl Log {
    /// Looks at the log in `dir`, which is made if it does not exist.
    pub fn open(env: &Env, dir: &Path, options: Options) -> Result<Found, Error> {
        data_dir::make_durably(env, dir)?;
        let segments = read::list(env, dir)?;
        Ok(Found { env: env.clone(), dir: dir.to_owned(), options, segments })
    }
}

impl Found {
    /// Length of its files. What is written in them may be less.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.len).sum()
    }

    /// Reads everything, on this thread, with `workers` threads behind it; then the log is ready to go on.
    pub fn replay(self, sink: &dyn Replay, workers: usize, progress: &Progress) -> Result<Log, Error> {
        progress.total_bytes.store(self.bytes(), Ordering::Relaxed);
        let segments = Arc::new(self.segments);
        let mut reader = Reader::new(self.env.clone(), Arc::clone(&segments));
        let mut extents = Extents::default();
        let slots = if segments.is_empty() { BTreeMap::new() } else { read_all(&mut reader, &mut extents, sink, workers.max(1), progress)? };
        let last = reader.last();
        drop(reader);

        // What lies behind the last good batch: segments made ahead, perhaps a torn first batch in the last of them. They leave, youngest first.
        let in_use = last.map_or(segments.len().min(1), |l| l.index + 1);
        let newest = segments.last().map_or(0, |s| s.header.number);
        let keeper = Segments::new(self.env.clone(), self.dir.clone(), self.options.clone(), newest)?;
        for segment in segments[in_use..].iter().rev() {
            keeper.retire(segment.header.number, segment.len)?;
        }
        keeper.step_back(in_use.checked_sub(1).map_or(0, |i| segments[i].header.number));

        let active = match segments[..in_use].last() {
            Some(file) => reopen(&self.env, file, last.filter(|l| l.index + 1 == in_use).map_or(SEGMENT_HEADER, |l| l.end))?,
            None => keeper.next(0)?,
        };
        if let Some(last) = last {
            write_again(&active, last.offset)?;
        }
        for file in &segments[..in_use] {
            extents.segments.entry(file.header.number).or_default().len = file.len;
        }
        extents.segments.entry(active.number).or_default().len = active.len;
        let slots = slots
            .into_iter()
            .map(|(partition, seen)| Slot { partition, appended: seen.last, durable: seen.last, bytes: seen.bytes, touched: None, sink: None })
            .collect();
        let tail = Tail {
            active,
            seq: last.map_or(1, |l| l.header.seq + 1),
            prev: last.map_or(0, |l| l.header.crc),
            unsealed: last.is_some_and(|l| l.header.flags & FLAG_SEAL == 0),
            extents,
            slots,
        };
        progress.read_bytes.store(progress.total_bytes.load(Ordering::Relaxed), Ordering::Relaxed);
        Log::start(keeper, self.options, tail)
    }
}

/// Opens the last segment for writing and makes sure that nothing torn stands at `end`.
fn reopen(env: &Env, found: &SegmentFile, end: u64) -> Result<Segment, Error> {
    let path = found.path.clone();
    let file = env.disk.open(&path, OpenMode::Write).map_err(Error::io("cannot open", &path))?;
    let zeros = [0; BATCH_HEADER];
    let room = (found.len - end.min(found.len)).min(zeros.len() as u64) as usize;
    let mut there = [0; BATCH_HEADER];
    file.read_at(&mut there[..room], end).map_err(Error::io("cannot read", &path))?;
    if there != zeros {
        tracing::info!(file = %path.display(), offset = end, "the log ends here; what follows was never acknowledged");
        file.write_all_at(&zeros[..room], end).map_err(Error::io("cannot write", &path))?;
        file.sync_data().map_err(Error::io("cannot sync", &path))?;
    }
    Ok(Segment { number: found.header.number, salt: found.header.salt, path, file, len: found.len, end })
}

/// See the module's promise. The bytes are the same, so a crash here changes nothing.
fn write_again(active: &Segment, offset: u64) -> Result<(), Error> {
    let (file, path) = (&active.file, &active.path);
    let mut bytes = vec![0; (active.end - offset) as usize];
    file.read_exact_at(&mut bytes, offset).map_err(Error::io("cannot read", path))?;
    file.write_all_at(&bytes, offset).map_err(Error::io("cannot write", path))?;
    file.sync_data().map_err(Error::io("cannot sync", path))
}

/// One partition, as the reader sees it go by.
struct Seen {
    last: Lsn,
    /// Bytes of the records that were wanted.
    bytes: u64,
    worker: usize,
    starts_after: Option<Lsn>,
    broken: bool,
}

/// Records on their way to one worker.
#[derive(Default)]
struct Parcel {
    bytes: Vec<u8>,
    records: Vec<Item>,
}

enum Item {
    Record { header: RecordHeader, payload: Range<usize>, at: Position },
    Broken { partition: PartitionId, error: Error },
}

const PARCEL_BYTES: usize = 256 << 10;
const PARCELS_WAITING: usize = 4;

fn read_all(
    reader: &mut Reader,
    extents: &mut Extents,
    sink: &dyn Replay,
    workers: usize,
    progress: &Progress,
) -> Result<BTreeMap<PartitionId, Seen>, Error> {
    std::thread::scope(|scope| {
        let mut queues = Vec::with_capacity(workers);
        for _ in 0..workers {
            let (queue, inbox) = sync_channel(PARCELS_WAITING);
            std::thread::Builder::new()
                .name("log-replay".into())
                .spawn_scoped(scope, move || apply(&inbox, sink))
                .map_err(Error::io("cannot start a thread to replay", Path::new("the log")))?;
            queues.push(queue);
        }
        let mut parcels: Vec<Parcel> = (0..workers).map(|_| Parcel::default()).collect();
        let mut seen: BTreeMap<PartitionId, Seen> = BTreeMap::new();
        // On an error the queues close, the workers end with what they have, and the error is the caller's.
        while let Some(batch) = reader.next_batch()? {
            let extent: &mut Extent = extents.segments.entry(batch.segment).or_default();
            let mut at = 0;
            while at < batch.body.len() {
                let header = RecordHeader::decode(&batch.body[at..at + RECORD_HEADER]);
                let payload = &batch.body[at + RECORD_HEADER..at + RECORD_HEADER + header.len as usize];
                let place = Position { segment: batch.segment, offset: batch.offset + at as u64 };
                at += RECORD_HEADER + payload.len();
                let next_worker = seen.len() % workers;
                let partition = seen.entry(header.partition).or_insert_with(|| {
                    let starts_after = sink.starts_after(header.partition);
                    Seen { last: Lsn::ZERO, bytes: 0, worker: next_worker, starts_after, broken: false }
                });
                let before = std::mem::replace(&mut partition.last, header.lsn);
                // Records of a partition that is no more hold no segment back.
                let Some(starts_after) = partition.starts_after else { continue };
                extent.newest.insert(header.partition, header.lsn);
                let parcel = &mut parcels[partition.worker];
                if partition.broken {
                    continue;
                }
                // Older than the snapshot, anything may be missing; from there on, nothing.
                let furthest = before.max(starts_after).next();
                if header.lsn <= before || header.lsn > furthest {
                    partition.broken = true;
                    let error = Error::Gap { partition: header.partition, expected: furthest, found: header.lsn };
                    parcel.records.push(Item::Broken { partition: header.partition, error });
                    continue;
                }
                if header.lsn <= starts_after {
                    continue;
                }
                partition.bytes += (RECORD_HEADER + payload.len()) as u64;
                let start = parcel.bytes.len();
                parcel.bytes.extend_from_slice(payload);
                parcel.records.push(Item::Record { header, payload: start..parcel.bytes.len(), at: place });
                if parcel.bytes.len() >= PARCEL_BYTES || parcel.records.len() >= PARCEL_BYTES / RECORD_HEADER {
                    send(&queues[partition.worker], std::mem::take(parcel));
                }
            }
            progress.read_bytes.store(reader.read_bytes(), Ordering::Relaxed);
        }
        for (queue, parcel) in queues.iter().zip(parcels) {
            send(queue, parcel);
        }
        drop(queues);
        Ok(seen)
    })
}

fn send(queue: &SyncSender<Parcel>, parcel: Parcel) {
    if queue.send(parcel).is_err() {
        // The worker is gone only if the sink panicked; the scope passes that panic on when it ends.
        tracing::error!("a replay thread ended early");
    }
}

fn apply(inbox: &Receiver<Parcel>, sink: &dyn Replay) {
    while let Ok(parcel) = inbox.recv() {
        for item in parcel.records {
            match item {
                Item::Record { header, payload, at } => {
                    let payload = &parcel.bytes[payload];
                    sink.record(Record { partition: header.partition, lsn: header.lsn, flags: header.flags, payload, at });
                }
                Item::Broken { partition, error } => sink.broken(partition, error),
            }
        }
    }
}
