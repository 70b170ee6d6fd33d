//! Snapshot files under crashes and damage.
//!
//! Owns:     nothing.
//! Promises: after a crash at any moment the newest snapshot that counts is whole; a damaged one is never read as something else.
//! Never:    depends on the size of a block.

use crate::world::{lsn, p};
use std::path::Path;
use std::sync::Arc;
use weald_env::sim::{Call, SimDisk, Survives};
use weald_env::{Disk, Env};
use weald_log::{Error, SnapshotStore};

const DIR: &str = "/snapshots/1_2";

fn item(snapshot: u64, i: u64) -> Vec<u8> {
    let len = (i * 7919 + snapshot * 13) % 500;
    (0..len).map(|b| (b + i + snapshot) as u8).collect()
}

fn take(env: &Env, store: &mut SnapshotStore, at: u64, items: u64, keep: usize) -> Result<(), Error> {
    let _ = env;
    let mut writer = store.begin(lsn(at))?;
    for i in 0..items {
        writer.item(&item(at, i))?;
    }
    let entry = writer.finish()?;
    store.take(entry, keep)
}

fn read(store: &SnapshotStore, newest_but: usize) -> Result<(u64, u64), Error> {
    let entry = store.snapshots().iter().rev().nth(newest_but).unwrap();
    let mut reader = store.read(entry)?;
    let at = reader.lsn().raw();
    let mut n = 0;
    while let Some(items) = reader.next_block()? {
        for bytes in items {
            assert_eq!(bytes, item(at, n), "item {n} of {at}");
            n += 1;
        }
    }
    assert_eq!(n, entry.items);
    Ok((at, n))
}

fn open(env: &Env) -> Result<SnapshotStore, Error> {
    SnapshotStore::open(env, Path::new(DIR), p(1))
}

#[test]
fn crash_at_every_change_leaves_a_whole_snapshot() {
    let disk = Arc::new(SimDisk::new());
    let env = Env::with_disk(disk.clone(), 1);
    env.disk.create_dir_all(Path::new("/snapshots")).unwrap();
    env.disk.sync_dir(Path::new("/")).unwrap();
    let mut store = open(&env).unwrap();
    let mut taken = vec![(disk.changes(), 0)];
    for at in 1..=5 {
        take(&env, &mut store, at * 10, 20, 2).unwrap();
        taken.push((disk.changes(), at * 10));
    }
    for change in 0..=disk.changes() {
        let mut variants = vec![Survives::Nothing, Survives::Everything, Survives::BytesOfLast(10)];
        variants.extend((0..4).map(|i| Survives::Sectors { seed: change as u64 * 7 + i }));
        for survives in variants {
            let after = Arc::new(disk.after_crash_at(change, survives));
            let env = Env::with_disk(after.clone(), 2);
            env.disk.create_dir_all(Path::new("/snapshots")).unwrap();
            let mut store = open(&env).unwrap_or_else(|e| panic!("change {change} {survives:?}: {e}"));
            let promised = taken.iter().rfind(|(at, _)| *at <= change).map_or(0, |(_, lsn)| *lsn);
            let newest = store.newest().map_or(0, |s| s.lsn.raw());
            assert!(newest >= promised, "change {change} {survives:?}: {newest} of {promised}");
            for i in 0..store.snapshots().len() {
                read(&store, i).unwrap();
            }
            // Nothing is left over, and the next snapshot can be taken.
            take(&env, &mut store, newest + 1, 3, 2).unwrap();
            let files = after.list(Path::new(DIR)).unwrap();
            assert_eq!(files.len(), store.snapshots().len() + 1, "{files:?}");
        }
    }
}

#[test]
fn every_flipped_byte_and_every_cut_is_seen() {
    let disk = Arc::new(SimDisk::new());
    let env = Env::with_disk(disk.clone(), 1);
    let mut store = open(&env).unwrap();
    take(&env, &mut store, 7, 12, 2).unwrap();
    let path = Path::new(DIR).join(&store.newest().unwrap().file);
    let len = disk.read(&path).unwrap().len() as u64;
    for offset in 0..len {
        disk.corrupt(&path, offset, 0x10);
        let error = read(&store, 0).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. } | Error::Foreign { .. } | Error::Newer { .. }), "{offset}: {error}");
        disk.corrupt(&path, offset, 0x10);
    }
    read(&store, 0).unwrap();
    for cut in 0..len {
        let shorter = Arc::new(disk.after_crash(Survives::Everything));
        let env = Env::with_disk(shorter, 2);
        env.disk.open(&path, weald_env::OpenMode::Write).unwrap().truncate(cut).unwrap();
        read(&open(&env).unwrap(), 0).unwrap_err();
    }
}

#[test]
fn full_disk_fails_the_snapshot_and_gives_its_room_back() {
    let disk = Arc::new(SimDisk::new());
    let env = Env::with_disk(disk.clone(), 1);
    let mut store = open(&env).unwrap();
    take(&env, &mut store, 1, 100, 2).unwrap();
    let used = disk.used_bytes();
    disk.set_capacity(Some(used + 3000));
    let error = take(&env, &mut store, 2, 10_000, 2).unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    assert_eq!(disk.used_bytes(), used);
    disk.set_capacity(None);
    take(&env, &mut store, 2, 10_000, 2).unwrap();
    assert_eq!(read(&store, 0).unwrap(), (2, 10_000));
}

#[test]
fn failed_sync_leaves_the_older_snapshot_in_force() {
    for nth in 0..2 {
        let disk = Arc::new(SimDisk::new());
        let env = Env::with_disk(disk.clone(), 1);
        let mut store = open(&env).unwrap();
        take(&env, &mut store, 1, 100, 2).unwrap();
        disk.fail(Call::Sync, nth, std::io::ErrorKind::Other);
        assert!(take(&env, &mut store, 2, 100, 2).is_err());
        assert_eq!(read(&open(&env).unwrap(), 0).unwrap(), (1, 100));
    }
}

#[test]
fn corrupt_snapshot_is_set_aside_and_the_older_one_stays() {
    let disk = Arc::new(SimDisk::new());
    let env = Env::with_disk(disk.clone(), 1);
    let mut store = open(&env).unwrap();
    for at in [5, 9] {
        take(&env, &mut store, at, 50, 2).unwrap();
    }
    assert_eq!(store.log_not_needed_before(2), lsn(5));
    let newest = store.newest().unwrap().clone();
    store.set_aside(&newest).unwrap();
    let store = open(&env).unwrap();
    assert_eq!(read(&store, 0).unwrap(), (5, 50));
    assert!(disk.list(Path::new(DIR)).unwrap().iter().any(|f| f.name.ends_with(".corrupt")));
    // With one snapshot left where two are wanted, the whole log is needed.
    assert_eq!(store.log_not_needed_before(2), lsn(0));
}
