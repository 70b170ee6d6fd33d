//! Bytes of every version that was ever written are still read.
//!
//! Owns:     `tests/fixtures/v1`: a data directory as version 1 wrote it.
//! Promises: a change of the format that is not a new version fails here.
//! Never:    writes them anew by itself: `cargo test -p weald-log --test log old_bytes -- --ignored` does, for a *new* version's directory.

#![allow(clippy::disallowed_methods)]

use crate::world::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weald_env::sim::{SimDisk, Survives};
use weald_env::{Disk, Env, OpenMode};
use weald_log::{DataDir, Log, MetaLog, Progress, Record, Replay, SnapshotStore};
use weald_types::{DatabaseId, Lsn, PartitionId};

const DIRS: [&str; 5] = ["", "log", "meta/log", "meta/state", "snapshots/1_0"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

fn partition(ordinal: u32) -> PartitionId {
    PartitionId::of(DatabaseId::new(1), ordinal)
}

/// The fixture's log has files of one sector each, the catalogue's as well: room for what is in it.
fn small() -> weald_log::Options {
    weald_log::Options { segment_bytes: 1024, ..options() }
}

#[derive(Default)]
struct Found(parking_lot::Mutex<Vec<(PartitionId, Lsn, u32, Vec<u8>)>>);

impl Replay for Found {
    fn starts_after(&self, p: PartitionId) -> Option<Lsn> {
        Some(if p == partition(0) { lsn(2) } else { Lsn::ZERO })
    }
    fn record(&self, r: Record<'_>) {
        self.0.lock().push((r.partition, r.lsn, r.flags, r.payload.to_vec()));
    }
    fn broken(&self, _: PartitionId, error: weald_log::Error) {
        panic!("{error}");
    }
}

fn check(disk: SimDisk) {
    let env = Env::with_disk(Arc::new(disk), 9);
    let dir = DataDir::open(&env, Path::new("/data")).unwrap();
    assert!(!dir.is_fresh());
    let (meta, recovered) = MetaLog::open(&env, &dir).unwrap();
    assert_eq!(recovered.state.as_deref(), Some(&b"first second"[..]));
    assert_eq!(recovered.commands, [b"third".to_vec()]);
    drop(meta);
    let store = SnapshotStore::open(&env, &dir.snapshots_of(partition(0)), partition(0)).unwrap();
    let entry = store.newest().unwrap();
    assert_eq!((entry.lsn, entry.items, entry.bytes), (lsn(2), 3, entry.bytes));
    let mut reader = store.read(entry).unwrap();
    let mut items = Vec::new();
    while let Some(block) = reader.next_block().unwrap() {
        items.extend(block.map(<[u8]>::to_vec));
    }
    assert_eq!(items, [b"an item".to_vec(), b"".to_vec(), vec![7; 100]]);
    let found = Found::default();
    let log = Log::open(&env, &dir.log(), small()).unwrap().replay(&found, 1, &Progress::default()).unwrap();
    let mut records = found.0.into_inner();
    records.sort();
    let expected = [
        (partition(0), lsn(3), 0, b"both, here".to_vec()),
        (partition(0), lsn(4), 5, vec![9; 600]),
        (partition(1), lsn(1), 0, b"both, there".to_vec()),
    ];
    assert_eq!(records, expected);
    // The seal of the second segment stands in the third.
    assert_eq!(log.durable_position().segment, 3);
}

#[test]
fn directory_of_version_1_is_read() {
    let disk = SimDisk::new();
    for dir in DIRS {
        disk.create_dir_all(&Path::new("/data").join(dir)).unwrap();
        for file in std::fs::read_dir(fixtures().join(dir)).unwrap().flatten().filter(|f| f.path().is_file()) {
            let path = Path::new("/data").join(dir).join(file.file_name());
            disk.open(&path, OpenMode::CreateNew).unwrap().write_all_at(&std::fs::read(file.path()).unwrap(), 0).unwrap();
        }
    }
    check(disk);
}

fn write() -> SimDisk {
    let disk = Arc::new(SimDisk::new());
    let env = Env::with_disk(disk.clone(), 5);
    let dir = DataDir::open(&env, Path::new("/data")).unwrap();
    let (meta, _) = MetaLog::open_with(&env, &dir, 1024).unwrap();
    meta.append(b"first").unwrap().wait().unwrap();
    meta.append(b"second").unwrap().wait().unwrap();
    meta.store_state(b"first second").unwrap();
    meta.append(b"third").unwrap().wait().unwrap();
    meta.close();
    let log = Arc::new(Log::open(&env, &dir.log(), small()).unwrap().replay(&Found::default(), 1, &Progress::default()).unwrap());
    let (a, b) = (log.partition(partition(0), Lsn::ZERO), log.partition(partition(1), Lsn::ZERO));
    a.append(0, b"one").unwrap().wait().unwrap();
    a.append(0, b"two").unwrap().wait().unwrap();
    let mut store = SnapshotStore::open(&env, &dir.snapshots_of(partition(0)), partition(0)).unwrap();
    let mut writer = store.begin(a.durable()).unwrap();
    for item in [&b"an item"[..], b"", &[7; 100]] {
        writer.item(item).unwrap();
    }
    store.take(writer.finish().unwrap(), 2).unwrap();
    assert_eq!(b.appended(), Lsn::ZERO);
    log.append(&[(partition(0), 0, b"both, here"), (partition(1), 0, b"both, there")]).unwrap().wait().unwrap();
    a.append(5, &[9; 600]).unwrap().wait().unwrap();
    log.close();
    drop((a, b, log, meta));
    disk.after_crash(Survives::Nothing)
}

#[test]
fn what_is_written_today_reads_as_the_fixture_does() {
    check(write());
}

#[test]
#[ignore = "writes the fixture; for a new version of the format only"]
fn write_the_fixture() {
    let disk = write();
    for dir in DIRS {
        std::fs::create_dir_all(fixtures().join(dir)).unwrap();
        for file in disk.list(&Path::new("/data").join(dir)).unwrap().into_iter().filter(|f| !f.is_dir) {
            let bytes = disk.read(&Path::new("/data").join(dir).join(&file.name)).unwrap();
            std::fs::write(fixtures().join(dir).join(&file.name), bytes).unwrap();
        }
    }
}
