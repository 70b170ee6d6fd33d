//! Power fails between any two changes of the disk, and leaves any part of the last write.
//!
//! Owns:     the workload and its list of acknowledgements.
//! Promises: everything acknowledged before the crash is there after it, and nothing that was never appended.
//! Never:    checks how: only what.

use crate::world::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use weald_env::Env;
use weald_env::sim::{SimDisk, Survives};
use weald_log::Log;
use weald_types::{Lsn, PartitionId};

/// What was promised, and when (in changes of the disk).
#[derive(Clone, Default)]
struct Promises {
    /// From that change on, the partition's record is durable.
    acknowledged: Vec<(usize, PartitionId, Lsn)>,
    /// From that change on, the partition's records up to there may be gone.
    trimmed: Vec<(usize, PartitionId, Lsn)>,
}

impl Promises {
    fn at(list: &[(usize, PartitionId, Lsn)], change: usize) -> BTreeMap<PartitionId, Lsn> {
        let mut state = BTreeMap::new();
        for (_, partition, lsn) in list.iter().filter(|(at, ..)| *at <= change) {
            let entry = state.entry(*partition).or_insert(*lsn);
            *entry = (*entry).max(*lsn);
        }
        state
    }
}

fn work(disk: &SimDisk, log: &Arc<Log>, rounds: u64, promises: &mut Promises) {
    for round in 0..rounds {
        // Several records wait for the same flush, as under load.
        let mut tickets = Vec::new();
        for i in 0..1 + round % 4 {
            let partition = p(1 + (round * 3 + i) % 3);
            let handle = log.partition(partition, Lsn::ZERO);
            let due = handle.appended().next();
            tickets.push((partition, handle.append(0, &payload(partition, due)).unwrap()));
        }
        for (partition, ticket) in tickets {
            let lsn = ticket.lsn();
            ticket.wait().unwrap();
            promises.acknowledged.push((disk.changes(), partition, lsn));
        }
        if round % 10 == 9 {
            for partition in 1..=3 {
                let upto = log.partition(p(partition), Lsn::ZERO).durable();
                promises.trimmed.push((disk.changes(), p(partition), upto));
                log.trim(p(partition), upto).unwrap();
            }
        }
    }
}

fn variants(disk: &SimDisk, change: usize) -> Vec<Survives> {
    let mut variants = vec![Survives::Nothing, Survives::Everything];
    variants.extend((0..3).map(|i| Survives::Sectors { seed: change as u64 * 31 + i }));
    if let Some(len) = change.checked_sub(1).and_then(|last| disk.written_at(last)) {
        variants.extend([1, 4, 39, 40, 41, 68, len / 2, len.saturating_sub(1)].into_iter().filter(|n| *n < len).map(Survives::BytesOfLast));
    }
    variants
}

/// The log on `disk`, checked against what was promised by then.
fn recover(disk: SimDisk, promises: &Promises, change: usize, context: &str) -> (Arc<SimDisk>, Arc<Log>) {
    let disk = Arc::new(disk);
    let starts = Promises::at(&promises.trimmed, change);
    let (log, seen) = open(&Env::with_disk(disk.clone(), change as u64), &dir(), options(), &starts).unwrap_or_else(|e| panic!("{context}: {e}"));
    let have = seen.check();
    for (partition, lsn) in Promises::at(&promises.acknowledged, change) {
        let found = have.get(&partition).copied().unwrap_or(Lsn::ZERO);
        assert!(found >= lsn, "{context}: partition {partition} ends at {found}, {lsn} was acknowledged");
    }
    for (partition, lsn) in &starts {
        log.partition(*partition, *lsn);
    }
    (disk, log)
}

#[test]
fn crash_at_every_change_keeps_what_was_acknowledged() {
    let (disk, _, log) = fresh();
    let mut promises = Promises::default();
    work(&disk, &log, 30, &mut promises);
    log.close();
    for change in 0..=disk.changes() {
        for survives in variants(&disk, change) {
            let context = format!("change {change}, {survives:?}");
            let (_, log) = recover(disk.after_crash_at(change, survives), &promises, change, &context);
            log.close();
        }
    }
}

#[test]
fn second_crash_after_a_recovery_keeps_what_either_life_acknowledged() {
    let (disk, _, log) = fresh();
    let mut promises = Promises::default();
    work(&disk, &log, 12, &mut promises);
    drop(log);
    for change in (3..=disk.changes()).step_by(7) {
        for (i, survives) in variants(&disk, change).into_iter().enumerate().filter(|(i, _)| i % 2 == change % 2) {
            let context = format!("change {change}, {survives:?} ({i})");
            let (second, log) = recover(disk.after_crash_at(change, survives), &promises, change, &context);
            // What the second life starts from was there at its change 0.
            let known = Promises {
                acknowledged: Promises::at(&promises.acknowledged, change).into_iter().map(|(p, l)| (0, p, l)).collect(),
                trimmed: Promises::at(&promises.trimmed, change).into_iter().map(|(p, l)| (0, p, l)).collect(),
            };
            let mut promises = known;
            work(&second, &log, 4, &mut promises);
            drop(log);
            for change in 0..=second.changes() {
                for survives in [Survives::Nothing, Survives::Everything, Survives::BytesOfLast(41), Survives::Sectors { seed: change as u64 }] {
                    let context = format!("{context}, then change {change}, {survives:?}");
                    recover(second.after_crash_at(change, survives), &promises, change, &context);
                }
            }
        }
    }
}

#[test]
fn stale_bytes_of_a_recycled_segment_are_not_taken_for_records() {
    // Every segment is full of good batches of its earlier use when it is used again; a crash right after must not see them.
    let (disk, env, log) = fresh();
    let mut promises = Promises::default();
    work(&disk, &log, 60, &mut promises);
    let spares = env.disk.list(&dir()).unwrap();
    assert!(disk.changes() > 100, "{spares:?}");
    let starts = Promises::at(&promises.trimmed, usize::MAX);
    drop(log);
    let (log, seen) = open(&env, &dir(), options(), &starts).unwrap();
    for (partition, lsn) in Promises::at(&promises.acknowledged, usize::MAX) {
        assert_eq!(seen.check().get(&partition), Some(&lsn));
    }
    drop(log);
}

#[test]
fn segments_are_recycled_and_their_number_stays_small() {
    let (_, env, log) = fresh();
    for _ in 0..200 {
        let last = append(&log, p(1)).unwrap();
        log.trim(p(1), last).unwrap();
    }
    let files = env.disk.list(&dir()).unwrap();
    assert!(files.len() <= 4, "{files:?}");
    assert!(log.durable_position().segment > 10);
    assert!(log.size_bytes() <= 2 * 2048);
}

#[test]
fn one_partition_that_needs_its_records_is_named_as_laggard() {
    let (_, _, log) = fresh();
    let idle = append(&log, p(2)).unwrap();
    for _ in 0..100 {
        let last = append(&log, p(1)).unwrap();
        log.trim(p(1), last).unwrap();
    }
    assert_eq!(log.laggards(), vec![p(2)]);
    let before = log.size_bytes();
    assert!(log.trim(p(2), idle).unwrap() > 0);
    assert!(log.size_bytes() < before);
    assert!(log.laggards().is_empty());
}

#[test]
fn records_given_together_are_all_there_or_none() {
    let (disk, _, log) = fresh();
    for partition in [p(1), p(2)] {
        log.partition(partition, Lsn::ZERO);
    }
    for round in 1..=20 {
        let (a, b) = (payload(p(1), lsn(round)), payload(p(2), lsn(round)));
        log.append(&[(p(1), 0, &a), (p(2), 0, &b)]).unwrap().wait().unwrap();
    }
    drop(log);
    for change in 0..=disk.changes() {
        for survives in variants(&disk, change) {
            let (_, seen) = reopen(disk.after_crash_at(change, survives)).unwrap();
            let have = seen.check();
            assert_eq!(have.get(&p(1)), have.get(&p(2)), "change {change}, {survives:?}");
        }
    }
}
