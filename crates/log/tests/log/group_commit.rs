//! Many who wait, few syncs.
//!
//! Owns:     nothing.
//! Promises: everybody is answered once, in the order of the log, by the flush that made it so.
//! Never:    depends on timing: syncs are held and released by hand.

use crate::world::*;
use parking_lot::Mutex;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use weald_env::Env;
use weald_env::sim::Call;
use weald_log::{Durable, Error};
use weald_types::Lsn;

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn one_sync_serves_all_who_wait_and_each_is_woken_once() {
    // One segment for all of it: making the next one ahead takes syncs of its own.
    let disk = Arc::new(weald_env::sim::SimDisk::new());
    let limits = weald_log::Options { segment_bytes: 1 << 20, ..options() };
    let (log, _) = open(&Env::with_disk(disk.clone(), 42), &dir(), limits, &Default::default()).unwrap();
    let handle = log.partition(p(1), Lsn::ZERO);
    disk.hold_syncs();
    let syncs = disk.calls(Call::Sync);
    let writes = disk.calls(Call::Write);
    let first = handle.append(0, b"first").unwrap();
    while disk.calls(Call::Write) == writes {
        std::thread::yield_now();
    }
    let others: Vec<_> = (0..20u8).map(|i| handle.append(0, &[i]).unwrap()).collect();
    let wakes: Vec<Arc<Counter>> = (0..20).map(|_| Arc::default()).collect();
    let mut waiting: Vec<_> = others.into_iter().map(Box::pin).collect();
    for (ticket, counter) in waiting.iter_mut().zip(&wakes) {
        let waker = Waker::from(counter.clone());
        // Polled twice, as a select would: still one place in the list.
        for _ in 0..2 {
            assert!(ticket.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
    }
    disk.release_syncs();
    first.wait().unwrap();
    while wakes.iter().any(|w| w.0.load(Ordering::SeqCst) == 0) {
        std::thread::yield_now();
    }
    assert_eq!(disk.calls(Call::Sync) - syncs, 2);
    for (ticket, counter) in waiting.iter_mut().zip(&wakes) {
        assert_eq!(counter.0.load(Ordering::SeqCst), 1);
        assert!(ticket.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
    // Who asks late is told at once.
    let late = handle.append(0, b"late").unwrap();
    handle.append(0, b"later").unwrap().wait().unwrap();
    assert!(pin!(late).poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

#[derive(Default)]
struct InOrder(Mutex<Vec<Lsn>>);

impl Durable for InOrder {
    fn durable(&self, upto: Lsn) {
        self.0.lock().push(upto);
    }
    fn failed(&self, from: Lsn, error: &Error) {
        panic!("{from}: {error}");
    }
}

#[test]
fn threads_on_a_real_disk_lose_nothing_and_are_told_in_order() {
    let scratch = tempfile::tempdir().unwrap();
    let env = Env::real();
    let small = weald_log::Options { segment_bytes: 64 << 10, ..options() };
    let (log, _) = open(&env, scratch.path(), small.clone(), &Default::default()).unwrap();
    let told: Vec<Arc<InOrder>> = (0..4).map(|_| Arc::default()).collect();
    for (i, told) in told.iter().enumerate() {
        let sink: Arc<dyn Durable> = told.clone();
        log.partition(p(i as u64), Lsn::ZERO).report_to(Arc::downgrade(&sink));
    }
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let (log, told) = (&log, &told);
            scope.spawn(move || {
                let partition = p(thread % 4);
                let handle = log.partition(partition, Lsn::ZERO);
                // Two threads share a partition; the number that a record gets is known only afterwards, so the payload is the thread's.
                for i in 0..100u32 {
                    let ticket = handle.append(thread as u32, &[&thread.to_le_bytes()[..], &i.to_le_bytes()[..]].concat()).unwrap();
                    let lsn = ticket.lsn();
                    ticket.wait().unwrap();
                    assert!(*told[(thread % 4) as usize].0.lock().last().unwrap() >= lsn);
                }
            });
        }
    });
    let syncs = log.written().syncs;
    assert!(syncs <= 800);
    log.close();
    for told in &told {
        let told = told.0.lock();
        assert!(told.is_sorted());
        assert_eq!(told.last(), Some(&lsn(200)));
    }
    drop(log);
    let (_, seen) = open(&env, scratch.path(), small, &Default::default()).unwrap();
    for (partition, records) in seen.records.lock().iter() {
        assert_eq!(records.len(), 200, "partition {partition}");
        for thread in [partition.raw(), partition.raw() + 4] {
            let of_thread: Vec<u32> = records
                .iter()
                .filter(|(_, bytes)| bytes[..8] == thread.to_le_bytes())
                .map(|(_, bytes)| u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]))
                .collect();
            assert_eq!(of_thread, (0..100).collect::<Vec<_>>());
        }
    }
}

#[test]
fn unknown_partition_is_refused_and_nothing_of_the_group_is_written() {
    let (_, _, log) = fresh();
    log.partition(p(1), Lsn::ZERO);
    let error = log.append(&[(p(1), 0, b"a"), (p(9), 0, b"b")]).err().unwrap();
    assert!(matches!(error, Error::UnknownPartition { .. }));
    assert_eq!(log.partition(p(1), Lsn::ZERO).appended(), Lsn::ZERO);
}
