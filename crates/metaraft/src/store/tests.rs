//! A store on a disk that loses what was not synced, at every boundary of its writes.

use super::*;
use crate::format::Members;
use crate::raft::{Order, log_id};
use openraft::storage::RaftLogStorageExt;
use std::path::PathBuf;
use weald_catalog::Command;
use weald_env::sim::{Call, SimDisk, Survives};

fn settings() -> Settings {
    Settings { flush: Flush::Block, segment_bytes: 4096, ..Settings::default() }
}

fn dir() -> PathBuf {
    PathBuf::from("/meta/g00000000")
}

fn open(env: &Env) -> Result<Opened, Error> {
    Store::open(env, &dir(), &settings())
}

fn command(term: u64, index: u64) -> Entry {
    let command = Command::SetVariable { name: format!("v{index}").into(), value: Some("x".repeat(200).into()) };
    Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(Order(Arc::new(command))) }
}

fn members(term: u64, index: u64, voters: &[u32]) -> Entry {
    let voters = Members { voters: vec![voters.iter().copied().collect()], all: [1, 2, 3].into() };
    Entry { log_id: log_id(term, index), payload: EntryPayload::Membership(voters.into()) }
}

fn head(term: u64, index: u64) -> Head {
    let at = At { term, index };
    Head { applied: Some(at), members_at: Some(at), members: Members { voters: vec![[1, 2, 3].into()], all: [1, 2, 3].into() } }
}

/// What a restart must find.
#[derive(Clone, Debug, Default, PartialEq)]
struct Held {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: Vec<LogId>,
    state: Option<(At, Vec<u8>)>,
}

fn held(opened: &Opened) -> Held {
    let memory = opened.store.memory.lock();
    Held {
        vote: memory.vote,
        committed: memory.committed,
        purged: memory.purged,
        entries: memory.entries.values().map(|e| e.log_id).collect(),
        state: opened.state.as_ref().map(|(head, state)| (head.applied.unwrap(), state.to_vec())),
    }
}

/// What is done to a store, step by step.
enum Step {
    Vote(Vote),
    Append(Entry),
    Truncate(LogId),
    Commit(LogId),
    Checkpoint(Head, &'static [u8]),
    Purge(LogId),
}

/// Whether a restart may forget it: nobody has heard of it, and nothing that was heard of depends on it.
fn may_be_lost(step: &Step) -> bool {
    match step {
        Step::Truncate(_) | Step::Purge(_) => true,
        Step::Vote(_) | Step::Append(_) | Step::Commit(_) | Step::Checkpoint(..) => false,
    }
}

async fn take(log: &mut LogStore, step: &Step, model: &mut Held) {
    match step {
        Step::Vote(v) => {
            log.save_vote(v).await.unwrap();
            model.vote = Some(*v);
        }
        Step::Append(e) => {
            log.blocking_append([e.clone()]).await.unwrap();
            model.entries.push(e.log_id);
        }
        Step::Truncate(from) => {
            log.truncate(*from).await.unwrap();
            model.entries.retain(|e| e.index < from.index);
        }
        Step::Commit(at) => {
            log.save_committed(Some(*at)).await.unwrap();
            model.committed = Some(*at);
        }
        Step::Checkpoint(head, state) => {
            log.0.store_checkpoint(head.clone(), (*state).into()).await.unwrap();
            model.state = Some((head.applied.unwrap(), state.to_vec()));
        }
        Step::Purge(upto) => {
            log.purge(*upto).await.unwrap();
            model.entries.retain(|e| e.index > upto.index);
            model.purged = Some(*upto);
        }
    }
}

/// A generation begins with a state, not with an entry.
fn beginning() -> Vec<Step> {
    vec![Step::Checkpoint(head(0, 0), b"at first"), Step::Purge(log_id(0, 0))]
}

fn story() -> Vec<Step> {
    let mut steps = beginning();
    steps.extend([Step::Vote(Vote::new(1, 2)), Step::Append(members(1, 1, &[1, 2, 3]))]);
    steps.extend((2..8).map(|i| Step::Append(command(1, i))));
    steps.push(Step::Commit(log_id(1, 4)));
    // Another leader, whose log goes on differently.
    steps.extend([Step::Vote(Vote::new_committed(2, 3)), Step::Truncate(log_id(1, 6))]);
    steps.extend((6..14).map(|i| Step::Append(command(2, i))));
    steps.extend([Step::Commit(log_id(2, 12)), Step::Checkpoint(head(2, 12), b"after 12"), Step::Purge(log_id(2, 9))]);
    steps.extend((14..30).map(|i| Step::Append(command(2, i))));
    steps.extend([Step::Commit(log_id(2, 28)), Step::Checkpoint(head(2, 28), b"after 28"), Step::Purge(log_id(2, 28)), Step::Vote(Vote::new(3, 1))]);
    // A state from the leader: behind it the log begins anew.
    steps.extend([Step::Checkpoint(head(4, 100), b"after 100"), Step::Truncate(log_id(2, 29)), Step::Purge(log_id(4, 100))]);
    steps.extend((101..112).map(|i| Step::Append(command(4, i))));
    steps
}

#[tokio::test]
async fn crash_at_every_change_keeps_everything_that_was_heard_of() {
    let disk = Arc::new(SimDisk::new());
    let env = Env::with_disk(disk.clone(), 3);
    let opened = open(&env).unwrap();
    let mut log = LogStore(opened.store.clone());
    // After each step: where the disk was, and what a restart finds if it finds all of it.
    let (mut model, mut after) = (Held::default(), vec![(disk.changes(), Held::default())]);
    let steps = story();
    for step in &steps {
        take(&mut log, step, &mut model).await;
        after.push((disk.changes(), model.clone()));
    }
    opened.store.close();
    let all = disk.changes();
    for change in 0..=all {
        // Every moment with the two plain outcomes; torn writes at every third, for time.
        let torn = (change % 3 == 0).then_some(Survives::Sectors { seed: change as u64 });
        for survives in [Survives::Nothing, Survives::Everything].into_iter().chain(torn) {
            let env = Env::with_disk(Arc::new(disk.after_crash_at(change, survives)), 4);
            let found = held(&open(&env).unwrap());
            let heard = after.iter().rposition(|(at, _)| *at <= change).unwrap_or(0);
            // Steps at the end that nobody waited for may be missing.
            let least = (0..=heard).rev().find(|i| *i == 0 || !may_be_lost(&steps[*i - 1])).unwrap_or(0);
            let most = (heard + 1).min(steps.len());
            let fits = (least..=most).any(|i| after[i].1 == found);
            assert!(fits, "change {change} {survives:?}: {found:?}\nis none of {:?}", &after[least..=most]);
        }
    }
}

#[tokio::test]
async fn a_damaged_image_costs_nothing_unless_it_was_the_only_one_of_its_time() {
    let disk = Arc::new(SimDisk::new());
    let env = Env::with_disk(disk.clone(), 3);
    let opened = open(&env).unwrap();
    let mut log = LogStore(opened.store.clone());
    let mut model = Held::default();
    let steps = story();
    let checkpoints: Vec<usize> = steps.iter().enumerate().filter(|(_, s)| matches!(s, Step::Checkpoint(..))).map(|(i, _)| i).collect();
    // Up to and with what follows the last checkpoint of our own.
    for step in &steps[..checkpoints[3]] {
        take(&mut log, step, &mut model).await;
    }
    let damage = |disk: &SimDisk| {
        let disk = disk.after_crash(Survives::Everything);
        let names: Vec<_> = weald_env::Disk::list(&disk, &dir().join("state")).unwrap();
        let newest = names.iter().rfind(|e| e.name.ends_with(".wsnap")).unwrap();
        disk.corrupt(&dir().join("state").join(&newest.name), newest.len / 2, 0x40);
        Env::with_disk(Arc::new(disk), 5)
    };
    let found = held(&open(&damage(&disk)).unwrap());
    assert_eq!(found.state, Some((At { term: 2, index: 12 }, b"after 12".to_vec())));
    // What was purged since is needed again, and is there.
    assert_eq!(found.entries.first(), Some(&log_id(2, 10)));
    assert_eq!(found.entries.last(), Some(&log_id(2, 29)));
    assert_eq!((found.vote, found.committed), (model.vote, model.committed));

    // The state that came from the leader has no entries before it. Nobody can go on from the older one.
    for step in &steps[checkpoints[3]..] {
        take(&mut log, step, &mut model).await;
    }
    assert!(matches!(open(&damage(&disk)), Err(Error::Log(weald_log::Error::Corrupt { .. }))));
}

#[tokio::test]
async fn a_sole_voter_needs_no_record_of_what_is_committed() {
    let disk = Arc::new(SimDisk::new());
    let env = Env::with_disk(disk.clone(), 3);
    let opened = open(&env).unwrap();
    let mut log = LogStore(opened.store.clone());
    for step in beginning() {
        take(&mut log, &step, &mut Held::default()).await;
    }
    log.blocking_append([members(1, 1, &[1]), command(1, 2)]).await.unwrap();
    let syncs = disk.calls(Call::Sync);
    log.save_committed(Some(log_id(1, 1))).await.unwrap();
    assert_eq!(disk.calls(Call::Sync), syncs);
    let env = Env::with_disk(Arc::new(disk.after_crash(Survives::Nothing)), 4);
    assert_eq!(LogStore(open(&env).unwrap().store).read_committed().await.unwrap(), Some(log_id(1, 2)));
    // With a second vote it does, from the moment the second is in the log.
    log.blocking_append([members(1, 3, &[1, 2]), command(1, 4)]).await.unwrap();
    log.save_committed(Some(log_id(1, 3))).await.unwrap();
    let env = Env::with_disk(Arc::new(disk.after_crash(Survives::Nothing)), 4);
    assert_eq!(LogStore(open(&env).unwrap().store).read_committed().await.unwrap(), Some(log_id(1, 3)));
    // … until it is cut off again.
    log.truncate(log_id(1, 3)).await.unwrap();
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id(1, 2)));
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_waited_for_and_a_failed_sync_is_not() {
    let disk = Arc::new(SimDisk::new());
    let env = Env::with_disk(disk.clone(), 3);
    let opened = open(&env).unwrap();
    let mut log = LogStore(opened.store.clone());
    let mut model = Held::default();
    for step in beginning() {
        take(&mut log, &step, &mut model).await;
    }
    disk.set_capacity(Some(disk.used_bytes() + 100));
    let mut index = 0;
    let waits = tokio::time::Instant::now();
    let room = {
        let disk = disk.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            disk.set_capacity(None);
        }
    };
    let room = tokio::spawn(room);
    while !room.is_finished() {
        index += 1;
        take(&mut log, &Step::Append(command(1, index)), &mut model).await;
        tokio::task::yield_now().await;
        assert!(index < 1000, "the disk was never full");
    }
    assert!(waits.elapsed() >= Duration::from_secs(3));
    let found = held(&open(&Env::with_disk(Arc::new(disk.after_crash(Survives::Nothing)), 4)).unwrap());
    assert_eq!(found, model);

    disk.fail(Call::Sync, 0, std::io::ErrorKind::Other);
    assert!(log.save_vote(&Vote::new(9, 1)).await.is_err());
    assert!(log.save_vote(&Vote::new(9, 1)).await.is_err());
    assert!(opened.store.failure().is_some());
}
