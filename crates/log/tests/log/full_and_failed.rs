//! The disk fills up; the disk fails.
//!
//! Owns:     nothing.
//! Promises: a full disk costs the transactions of that moment and nothing else; a failed write or sync ends the log until restart.
//! Never:    counts a record as lost that was acknowledged.

use crate::world::*;
use parking_lot::Mutex;
use std::io::ErrorKind;
use std::sync::Arc;
use weald_env::Env;
use weald_env::sim::{Call, SimDisk, Survives};
use weald_log::{Durable, Error};
use weald_types::Lsn;

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Durable for Told {
    fn durable(&self, upto: Lsn) {
        self.0.lock().push(format!("durable {upto}"));
    }
    fn failed(&self, from: Lsn, error: &Error) {
        self.0.lock().push(format!("failed from {from}: {}", if error.outcome_is_unknown() { "unknown" } else { "not in the log" }));
    }
}

#[test]
fn full_disk_refuses_commits_and_takes_them_again_when_there_is_room() {
    let (disk, _, log) = fresh();
    let mut last = append(&log, p(1)).unwrap();
    for _ in 0..20 {
        disk.set_capacity(Some(disk.used_bytes() + 100));
        let refused = loop {
            match append(&log, p(1)) {
                Ok(lsn) => last = lsn,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, Error::DiskFull { .. }), "{refused}");
        // Still full: still refused, and reading goes on meanwhile.
        assert!(matches!(append(&log, p(1)), Err(Error::DiskFull { .. })));
        assert_eq!(log.partition(p(1), Lsn::ZERO).appended(), last);
        // The log as a crash would find it now.
        let (_, seen) = reopen(disk.after_crash(Survives::Everything)).unwrap();
        assert_eq!(seen.check()[&p(1)], last);
        disk.set_capacity(None);
        last = append(&log, p(1)).unwrap();
    }
    drop(log);
    let (_, seen) = reopen(disk.after_crash(Survives::Nothing)).unwrap();
    assert_eq!(seen.check()[&p(1)], last);
}

#[test]
fn write_that_finds_no_room_half_way_leaves_the_log_clean() {
    // As on a file system that cannot reserve room: the write into the allocated segment itself fails, at every possible write.
    for nth in 0..12 {
        let (disk, _, log) = fresh();
        let told = Arc::new(Told::default());
        let handle = log.partition(p(1), Lsn::ZERO);
        let sink: Arc<dyn Durable> = told.clone();
        handle.report_to(Arc::downgrade(&sink));
        disk.fail(Call::Write, nth, ErrorKind::StorageFull);
        let mut failures = 0;
        let mut last = Lsn::ZERO;
        for _ in 0..20 {
            match append(&log, p(1)) {
                Ok(lsn) => last = lsn,
                Err(Error::DiskFull { .. }) => failures += 1,
                Err(error) => panic!("{error}"),
            }
            let (_, seen) = reopen(disk.after_crash(Survives::Nothing)).unwrap();
            assert_eq!(seen.check().get(&p(1)).copied().unwrap_or(Lsn::ZERO), last);
        }
        assert!(failures <= 1);
        let told = told.0.lock();
        assert_eq!(told.iter().filter(|t| t.starts_with("failed")).count(), failures, "{told:?}");
        assert!(told.iter().all(|t| !t.ends_with("unknown")), "{told:?}");
    }
}

#[test]
fn records_queued_behind_a_failed_batch_fail_with_it() {
    let (disk, _, log) = fresh();
    let handle = log.partition(p(1), Lsn::ZERO);
    let told = Arc::new(Told::default());
    let sink: Arc<dyn Durable> = told.clone();
    handle.report_to(Arc::downgrade(&sink));
    append(&log, p(1)).unwrap();
    disk.hold_syncs();
    let first = handle.append(0, &payload(p(1), lsn(2))).unwrap();
    while disk.calls(Call::Write) < 3 {
        std::thread::yield_now();
    }
    // The second batch meets a full disk, the third is queued behind it.
    disk.fail(Call::Write, 0, ErrorKind::StorageFull);
    let second = handle.append(0, &payload(p(1), lsn(3))).unwrap();
    disk.release_syncs();
    first.wait().unwrap();
    let failed = second.wait().unwrap_err();
    assert!(matches!(failed, Error::DiskFull { .. }));
    assert_eq!(append(&log, p(1)).unwrap(), lsn(3));
    assert_eq!(*told.0.lock(), ["durable 1", "durable 2", "failed from 3: not in the log", "durable 3"]);
}

#[test]
fn failed_sync_or_write_poisons_the_log_until_restart() {
    for (call, nth) in [Call::Sync, Call::Write].into_iter().flat_map(|call| (0..8).map(move |nth| (call, nth))) {
        // One segment for all of it: the next one is made ahead by another thread, whose failures are not the log's.
        let disk = Arc::new(weald_env::sim::SimDisk::new());
        let limits = weald_log::Options { segment_bytes: 1 << 20, ..options() };
        let (log, _) = open(&Env::with_disk(disk.clone(), 42), &dir(), limits, &Default::default()).unwrap();
        let mut last = append(&log, p(1)).unwrap();
        disk.fail(call, nth, ErrorKind::Other);
        let error = loop {
            match append(&log, p(1)) {
                Ok(lsn) => last = lsn,
                Err(error) => break error,
            }
        };
        assert!(error.outcome_is_unknown(), "{error}");
        // The next sync would succeed; it must not be tried.
        let writes = disk.changes();
        for _ in 0..3 {
            assert!(append(&log, p(1)).unwrap_err().outcome_is_unknown());
        }
        assert!(log.failure().is_some());
        drop(log);
        assert_eq!(disk.changes(), writes);
        for survives in [Survives::Nothing, Survives::Everything] {
            let (log, seen) = reopen(disk.after_crash(survives)).unwrap();
            let found = seen.check()[&p(1)];
            assert!(found == last || found == last.next());
            assert_eq!(append(&log, p(1)).unwrap(), found.next());
        }
    }
}

#[test]
fn failure_in_making_the_next_segment_costs_a_commit_at_most() {
    for (call, nth) in [Call::Sync, Call::Write, Call::Rename, Call::SyncDir, Call::Allocate].into_iter().flat_map(|c| (0..6).map(move |n| (c, n))) {
        let (disk, _, log) = fresh();
        let mut last = append(&log, p(1)).unwrap();
        disk.fail(call, nth, ErrorKind::StorageFull);
        let mut full = 0;
        for _ in 0..40 {
            match append(&log, p(1)) {
                Ok(lsn) => last = lsn,
                Err(Error::DiskFull { .. }) => full += 1,
                Err(error) => {
                    assert!(error.outcome_is_unknown() && call == Call::Sync, "{call:?} {nth}: {error}");
                    break;
                }
            }
        }
        assert!(full <= 1, "{call:?} {nth}");
        drop(log);
        for survives in [Survives::Nothing, Survives::Everything, Survives::Sectors { seed: nth }] {
            let (_, seen) = reopen(disk.after_crash(survives)).unwrap_or_else(|e| panic!("{call:?} {nth} {survives:?}: {e}"));
            let found = seen.check()[&p(1)];
            assert!(found == last || (found == last.next() && call == Call::Sync), "{call:?} {nth} {survives:?}: {found}, {last} was acknowledged");
        }
    }
}

#[test]
fn answered_commits_wait_for_room_and_nothing_is_built_on_one_that_is_lost() {
    let (disk, _, log) = fresh();
    let handle = log.partition(p(1), Lsn::ZERO);
    append(&log, p(1)).unwrap();
    disk.set_capacity(Some(disk.used_bytes()));
    let mut tickets = Vec::new();
    // So many that the segment is full and another one is needed.
    let refused = loop {
        let due = handle.appended().next();
        match log.append_answered(&[(p(1), 0, &payload(p(1), due))]) {
            Ok(ticket) => tickets.push(ticket),
            Err(error) => break error,
        }
        std::thread::yield_now();
    };
    assert!(matches!(refused, Error::DiskFull { .. }), "{refused}");
    let last = tickets.last().unwrap().lsn();
    assert_eq!(handle.appended(), last);
    assert!(matches!(append(&log, p(1)), Err(Error::DiskFull { .. })));
    assert!(log.failure().is_none());
    disk.set_capacity(None);
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    assert_eq!(append(&log, p(1)).unwrap(), last.next());
    let (_, seen) = reopen(disk.after_crash(Survives::Nothing)).unwrap();
    assert_eq!(seen.check()[&p(1)], last.next());
}

#[test]
fn log_that_is_closed_while_it_waits_for_room_ends_at_its_last_whole_batch() {
    let (disk, _, log) = fresh();
    let handle = log.partition(p(1), Lsn::ZERO);
    let last = append(&log, p(1)).unwrap();
    disk.set_capacity(Some(disk.used_bytes()));
    let large = vec![1; 5000];
    let ticket = log.append_answered(&[(p(1), 0, &large)]).unwrap();
    while !matches!(handle.append(0, b"x"), Err(Error::DiskFull { .. })) {
        std::thread::yield_now();
    }
    log.close();
    assert!(matches!(ticket.wait(), Err(Error::DiskFull { .. })));
    let (_, seen) = reopen(disk.after_crash(Survives::Nothing)).unwrap();
    assert_eq!(seen.check()[&p(1)], last);
}

#[test]
fn flushed_means_that_all_that_was_appended_before_is_durable() {
    let (disk, _, log) = fresh();
    let handle = log.partition(p(1), Lsn::ZERO);
    let now = |log: &weald_log::Log| {
        let mut flushed = std::pin::pin!(log.flushed());
        flushed.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    };
    assert!(now(&log));
    disk.hold_syncs();
    let writes = disk.calls(Call::Write);
    let first = handle.append(0, &payload(p(1), lsn(1))).unwrap();
    while disk.calls(Call::Write) == writes {
        std::thread::yield_now();
    }
    // The first is being synced, with nothing behind it; then with something.
    assert!(!now(&log));
    let second = handle.append(0, &payload(p(1), lsn(2))).unwrap();
    assert!(!now(&log));
    disk.release_syncs();
    first.wait().unwrap();
    second.wait().unwrap();
    assert!(now(&log));
}

#[test]
fn record_whose_sync_failed_is_made_durable_before_a_restart_believes_in_it() {
    let (disk, env, log) = fresh();
    append(&log, p(1)).unwrap();
    disk.fail(Call::Sync, 0, ErrorKind::Other);
    append(&log, p(1)).unwrap_err();
    drop(log);
    // The process restarts, the machine does not: the page cache still shows the record, the platter does not have it.
    let (log, seen) = open(&env, &dir(), options(), &Default::default()).unwrap();
    assert_eq!(seen.check()[&p(1)], lsn(2));
    drop(log);
    let (_, seen) = reopen(disk.after_crash(Survives::Nothing)).unwrap();
    assert_eq!(seen.check()[&p(1)], lsn(2));
}

#[test]
fn sealed_log_takes_no_more_and_opens_as_it_was() {
    let (disk, _, log) = fresh();
    let last = append(&log, p(1)).unwrap();
    log.close();
    assert!(matches!(append(&log, p(1)), Err(Error::Closed)));
    let (log, seen) = reopen(disk.after_crash(Survives::Nothing)).unwrap();
    assert_eq!(seen.check()[&p(1)], last);
    assert_eq!(append(&log, p(1)).unwrap(), last.next());
}

#[test]
fn buffer_is_bounded_and_room_comes_with_the_next_flush() {
    let disk = Arc::new(weald_env::sim::SimDisk::new());
    let env = Env::with_disk(disk.clone(), 1);
    let limits = weald_log::Options { buffer_bytes: 1000, buffer_limit: 3000, ..options() };
    let (log, _) = open(&env, &dir(), limits, &Default::default()).unwrap();
    let handle = log.partition(p(1), Lsn::ZERO);
    append(&log, p(1)).unwrap();
    disk.hold_syncs();
    let writes = disk.calls(Call::Write);
    let mut tickets = vec![handle.append(0, &[0; 100]).unwrap()];
    while disk.calls(Call::Write) == writes {
        std::thread::yield_now();
    }
    let refused = loop {
        match handle.append(0, &[0; 100]) {
            Ok(ticket) => tickets.push(ticket),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::BufferFull { .. }), "{refused}");
    let waker = std::task::Waker::noop();
    let mut room = std::pin::pin!(log.room());
    assert!(room.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    disk.release_syncs();
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    assert!(room.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_ready());
    handle.append(0, &[0; 100]).unwrap().wait().unwrap();
    // Longer than a segment, longer than the buffer: taken alone.
    let large = vec![7; 10_000];
    handle.append(0, &large).unwrap().wait().unwrap();
    log.close();
    let found = Mutex::new(0);
    struct Longest<'a>(&'a Mutex<usize>);
    impl weald_log::Replay for Longest<'_> {
        fn starts_after(&self, _: weald_types::PartitionId) -> Option<Lsn> {
            Some(Lsn::ZERO)
        }
        fn record(&self, record: weald_log::Record<'_>) {
            let mut longest = self.0.lock();
            *longest = record.payload.len().max(*longest);
        }
        fn broken(&self, _: weald_types::PartitionId, error: Error) {
            panic!("{error}");
        }
    }
    weald_log::Log::open(&env, &dir(), options()).unwrap().replay(&Longest(&found), 1, &Default::default()).unwrap();
    assert_eq!(*found.lock(), 10_000);
}

#[test]
fn a_disk_with_room_for_less_than_a_segment_is_not_full() {
    let segment = 64 << 10;
    let disk = Arc::new(SimDisk::new());
    let env = Env::with_disk(disk.clone(), 42);
    let (log, _) = open(&env, &dir(), weald_log::Options { segment_bytes: segment, ..options() }, &Default::default()).unwrap();
    let mut last = append(&log, p(1)).unwrap();
    // Room for half a segment: it is used to the last batch.
    let capacity = disk.used_bytes() + segment / 2;
    disk.set_capacity(Some(capacity));
    let mut taken = 0;
    let refused = loop {
        match append(&log, p(1)) {
            Ok(lsn) => last = lsn,
            Err(error) => break error,
        }
        taken += 1;
        assert!(taken < 100_000, "it is never full");
    };
    assert!(matches!(refused, Error::DiskFull { .. }), "{refused}");
    let left = capacity - disk.used_bytes();
    assert!(left < 2 << 10, "{left} bytes were left");
    let (_, seen) = reopen(disk.after_crash(Survives::Nothing)).unwrap();
    assert_eq!(seen.check()[&p(1)], last);
    // With room again segments are whole ones.
    disk.set_capacity(None);
    for _ in 0..100 {
        last = append(&log, p(1)).unwrap();
    }
    drop(log);
    let (_, seen) = reopen(disk.after_crash(Survives::Nothing)).unwrap();
    assert_eq!(seen.check()[&p(1)], last);
}
