//! A log, its disk, and what was said about it.
//!
//! Owns:     the expectations: which payload belongs to which lsn.
//! Promises: a payload can be told from its partition and lsn alone.
//! Never:    waits for time to pass.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weald_env::Env;
use weald_env::sim::SimDisk;
use weald_log::{Error, Log, Options, Progress, Record, Replay};
use weald_types::{Lsn, PartitionId};

pub fn p(n: u64) -> PartitionId {
    PartitionId::new(n)
}
pub fn lsn(n: u64) -> Lsn {
    Lsn::new(n)
}

pub fn dir() -> PathBuf {
    PathBuf::from("/log")
}

/// Small segments, so that a short test fills several.
pub fn options() -> Options {
    Options { segment_bytes: 2048, seal_after: None, spare_segments: 1, ..Options::default() }
}

/// What the record of that number says; its length varies from 1 to 300.
pub fn payload(partition: PartitionId, lsn: Lsn) -> Vec<u8> {
    let (a, b) = (partition.raw(), lsn.raw());
    let len = 1 + (a * 7919 + b * 104_729) % 300;
    (0..len).map(|i| (a * 31 + b * 17 + i * 3) as u8).collect()
}

/// The records that replay delivered.
#[derive(Default)]
pub struct Seen {
    pub starts: BTreeMap<PartitionId, Lsn>,
    pub records: Mutex<BTreeMap<PartitionId, Vec<(Lsn, Vec<u8>)>>>,
    pub broken: Mutex<Vec<Error>>,
}

impl Replay for Seen {
    fn starts_after(&self, partition: PartitionId) -> Option<Lsn> {
        Some(self.starts.get(&partition).copied().unwrap_or(Lsn::ZERO))
    }
    fn record(&self, record: Record<'_>) {
        self.records.lock().entry(record.partition).or_default().push((record.lsn, record.payload.to_vec()));
    }
    fn broken(&self, _: PartitionId, error: Error) {
        self.broken.lock().push(error);
    }
}

impl Seen {
    /// The last lsn that each partition was given, after checking that every record is the right one and none is missing.
    pub fn check(&self) -> BTreeMap<PartitionId, Lsn> {
        assert!(self.broken.lock().is_empty(), "{:?}", self.broken.lock());
        let mut last = self.starts.clone();
        for (partition, records) in self.records.lock().iter() {
            let mut expected = self.starts.get(partition).copied().unwrap_or(Lsn::ZERO);
            for (lsn, bytes) in records {
                expected = expected.next();
                assert_eq!(*lsn, expected, "partition {partition}");
                assert_eq!(*bytes, payload(*partition, *lsn), "partition {partition} lsn {lsn}");
            }
            last.insert(*partition, expected);
        }
        last
    }
}

pub fn open(env: &Env, dir: &Path, options: Options, starts: &BTreeMap<PartitionId, Lsn>) -> Result<(Arc<Log>, Seen), Error> {
    let seen = Seen { starts: starts.clone(), ..Seen::default() };
    let log = Log::open(env, dir, options)?.replay(&seen, 2, &Progress::default())?;
    Ok((Arc::new(log), seen))
}

pub fn fresh() -> (Arc<SimDisk>, Env, Arc<Log>) {
    let disk = Arc::new(SimDisk::new());
    let env = Env::with_disk(disk.clone(), 42);
    let (log, _) = open(&env, &dir(), options(), &BTreeMap::new()).unwrap();
    (disk, env, log)
}

/// Appends the record that is due, and waits for it.
pub fn append(log: &Arc<Log>, partition: PartitionId) -> Result<Lsn, Error> {
    let handle = log.partition(partition, Lsn::ZERO);
    let due = handle.appended().next();
    let ticket = handle.append(0, &payload(partition, due))?;
    assert_eq!(ticket.lsn(), due);
    ticket.wait()?;
    Ok(due)
}

pub fn reopen(disk: SimDisk) -> Result<(Arc<Log>, Seen), Error> {
    open(&Env::with_disk(Arc::new(disk), 43), &dir(), options(), &BTreeMap::new())
}
