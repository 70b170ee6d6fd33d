//! Bytes change behind the log's back.
//!
//! Owns:     nothing.
//! Promises: the result is the same state or a named refusal, never a silent difference. The one exception is documented: damage to the last batch of
//!           a log that was neither sealed nor closed looks like a torn write.
//! Never:    accepts a refusal that does not name the file.

use crate::world::*;
use std::sync::Arc;
use weald_env::Env;
use weald_env::sim::{SimDisk, Survives};
use weald_log::Error;
use weald_types::Lsn;

fn written(rounds: usize) -> (SimDisk, Vec<(String, u64)>) {
    let (disk, env, log) = fresh();
    for i in 0..rounds {
        append(&log, p(1 + (i as u64) % 2)).unwrap();
    }
    log.close();
    let files = env.disk.list(&dir()).unwrap().into_iter().filter(|f| f.name.ends_with(".wlog")).map(|f| (f.name, f.len)).collect();
    (disk.after_crash(Survives::Nothing), files)
}

#[test]
fn every_flipped_byte_of_a_closed_log_is_harmless_or_named() {
    let (disk, files) = written(24);
    assert!(files.len() >= 2, "{files:?}");
    let (_, seen) = reopen(disk.after_crash(Survives::Nothing)).unwrap();
    let whole = seen.check();
    let (mut harmless, mut named) = (0, 0);
    for (name, len) in &files {
        for offset in 0..*len {
            let damaged = disk.after_crash(Survives::Nothing);
            damaged.corrupt(&dir().join(name), offset, 1 << (offset % 8));
            match reopen(damaged) {
                Ok((_, seen)) => {
                    assert_eq!(seen.check(), whole, "{name} at {offset}");
                    harmless += 1;
                }
                Err(Error::Corrupt { file, offset: at, expected, actual, .. }) => {
                    assert!(file.ends_with(name), "{name} at {offset}: {}", file.display());
                    assert!(at <= offset && offset - at < 512, "{name} at {offset}: named {at}");
                    assert!(expected != actual || (expected, actual) == (0, 0));
                    named += 1;
                }
                Err(Error::Foreign { .. } | Error::Newer { .. }) if offset < 512 => named += 1,
                Err(error) => panic!("{name} at {offset}: {error}"),
            }
        }
    }
    // What is harmless lies in the header's empty part, in padding, and behind the end.
    assert!(named > 24 * 100, "{named} named, {harmless} harmless");
}

#[test]
fn lost_or_repeated_sectors_in_the_middle_are_named() {
    let (disk, files) = written(24);
    let (_, seen) = reopen(disk.after_crash(Survives::Nothing)).unwrap();
    let whole = seen.check();
    for (name, len) in &files {
        let path = dir().join(name);
        for sector in (512..*len).step_by(512) {
            for source in [None, Some(512), Some(1024)].into_iter().filter(|s| *s != Some(sector)) {
                let damaged = Arc::new(disk.after_crash(Survives::Nothing));
                let env = Env::with_disk(damaged.clone(), 1);
                let file = env.disk.open(&path, weald_env::OpenMode::Write).unwrap();
                let mut bytes = [0; 512];
                if let Some(source) = source {
                    file.read_at(&mut bytes, source).unwrap();
                }
                file.write_all_at(&bytes, sector).unwrap();
                match open(&env, &dir(), options(), &Default::default()) {
                    Ok((_, seen)) => assert_eq!(seen.check(), whole, "{name} sector {sector} from {source:?}"),
                    Err(error) => assert!(matches!(error, Error::Corrupt { .. }), "{error}"),
                }
            }
        }
    }
}

#[test]
fn file_that_is_missing_or_cut_short_is_named() {
    let (disk, files) = written(40);
    assert!(files.len() >= 3);
    let env = Env::with_disk(Arc::new(disk.after_crash(Survives::Nothing)), 1);
    env.disk.remove(&dir().join(&files[1].0)).unwrap();
    let error = open(&env, &dir(), options(), &Default::default()).err().unwrap();
    assert!(matches!(error, Error::Missing { .. }), "{error}");

    // Without the first file, the partitions say what they miss, unless their snapshots hold it.
    let env = Env::with_disk(Arc::new(disk.after_crash(Survives::Nothing)), 1);
    env.disk.remove(&dir().join(&files[0].0)).unwrap();
    let (_, seen) = open(&env, &dir(), options(), &Default::default()).unwrap();
    assert_eq!(seen.broken.lock().len(), 2);
    assert!(seen.broken.lock().iter().all(|e| matches!(e, Error::Gap { expected, .. } if *expected == lsn(1))));

    for (name, len) in &files {
        for cut in (0..*len).step_by(97) {
            let env = Env::with_disk(Arc::new(disk.after_crash(Survives::Nothing)), 1);
            env.disk.open(&dir().join(name), weald_env::OpenMode::Write).unwrap().truncate(cut).unwrap();
            let error = open(&env, &dir(), options(), &Default::default()).err().unwrap();
            assert!(matches!(error, Error::Corrupt { .. } | Error::Foreign { .. }), "{name} cut to {cut}: {error}");
        }
    }
}

#[test]
fn error_says_file_offset_and_checksums() {
    let (disk, files) = written(24);
    disk.corrupt(&dir().join(&files[0].0), 512 + 40 + 28, 1);
    let text = reopen(disk).err().unwrap().to_string();
    assert!(text.starts_with("/log/00000001.wlog is corrupt at offset 552: a record, checksum "), "{text}");
}

#[test]
fn newer_format_is_refused_before_anything_is_touched() {
    let (disk, files) = written(4);
    let env = Env::with_disk(Arc::new(disk), 1);
    let path = dir().join(&files[0].0);
    let file = env.disk.open(&path, weald_env::OpenMode::Write).unwrap();
    let mut header = [0; 48];
    file.read_at(&mut header, 0).unwrap();
    header[8] = 9;
    let crc = crc32fast::hash(&header[..44]);
    header[44..].copy_from_slice(&crc.to_le_bytes());
    file.write_all_at(&header, 0).unwrap();
    let error = open(&env, &dir(), options(), &Default::default()).err().unwrap();
    assert!(matches!(error, Error::Newer { found: 9, known: 1, .. }), "{error}");
}

#[test]
fn bytes_of_an_older_life_at_the_end_are_cut_not_believed() {
    // A log whose tail was torn, then used again, then crashed once more: nothing of the torn batch may come back.
    let (disk, _, log) = fresh();
    append(&log, p(1)).unwrap();
    let before = disk.changes();
    append(&log, p(1)).unwrap();
    drop(log);
    for bytes in 1..200 {
        let torn = Arc::new(disk.after_crash_at(before + 1, Survives::BytesOfLast(bytes)));
        let env = Env::with_disk(torn.clone(), 5);
        let (log, seen) = open(&env, &dir(), options(), &Default::default()).unwrap();
        let last = seen.check()[&p(1)];
        let handle = log.partition(p(1), Lsn::ZERO);
        if last == lsn(1) {
            // A shorter record than the torn one, so that some of the torn bytes stay behind it.
            handle.append(0, b"x").unwrap().wait().unwrap();
            drop((handle, log));
            let (log, seen) = open(&env, &dir(), options(), &Default::default()).unwrap();
            assert_eq!(seen.records.lock()[&p(1)][1].1, b"x");
            assert_eq!(seen.records.lock()[&p(1)].len(), 2);
            drop(log);
        }
    }
}
