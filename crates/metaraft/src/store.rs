//! One generation's log on this node: entries, vote, committed position; and the checkpoints that its beginning goes into.
//!
//! Everything is a record of one journal, and the memory is what the records make: an entry, "cut from here", "not needed up to there", a vote, a committed
//! position. So a crash between any two of them leaves a state that the group knows how to go on from:
//! - entries without the cut before them: never, records are durable in order;
//! - a cut without the entries after it: as if they had not been sent;
//! - a checkpoint without the purge after it: the entries are there once more, and are purged again.
//!
//! **What is waited for.** Entries and votes, before anyone hears of them. A committed position, before what it commits is applied: so that what this node
//! has shown, it shows again after a restart, even if it finds no leader. A sole voter's needs no record: whatever is in its log is committed, or
//! will be as soon as it is elected, for nobody else can win against its log. That keeps it at one sync a command. Cuts and purges are not waited for.
//!
//! **A full disk** gives an append back undone, so it is tried again until there is room; the reserve that [`crate::Group::propose`] keeps is meant to see
//! to it that there is. Any other failure ends this node's part in the group.
//!
//! Owns:     the journal, and the entries in memory.
//! Promises: what openraft asks of a log store.
//! Never:    applies anything.

use crate::format::{self, At, COMMITTED, CheckpointHead, ENTRY, Head, MARK, PURGE, StoredVote, TRUNCATE, VOTE};
use crate::raft::{Entry, LogId, Membership, SnapshotMeta, StorageError, Types, Vote};
use crate::settings::{Flush, Settings};
use crate::{Error, raft};
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, EntryPayload, ErrorSubject, ErrorVerb, LogState, OptionalSend, RaftLogReader, StorageIOError};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use weald_env::Env;
use weald_log::{Journal, Options, Ticket};

/// How often a full disk is tried again.
const RETRY: Duration = Duration::from_millis(100);

pub struct Store {
    journal: Arc<Journal>,
    memory: Mutex<Memory>,
    /// One checkpoint at a time: an older one must not come to lie over a newer.
    checkpointing: tokio::sync::Mutex<()>,
    flush: Flush,
}

#[derive(Default)]
struct Memory {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: BTreeMap<u64, Entry>,
    /// Those among `entries`, and under 0 the one before them all.
    memberships: BTreeMap<u64, Membership>,
    /// The newest checkpoint: what it is of, and the state.
    checkpoint: Option<(SnapshotMeta, Arc<[u8]>)>,
}

/// What an opened store holds that is not the log's.
pub struct Opened {
    pub store: Arc<Store>,
    /// The state of the newest checkpoint, and what it is the state of.
    pub state: Option<(Head, Arc<[u8]>)>,
}

impl Memory {
    fn last(&self) -> Option<LogId> {
        self.entries.values().next_back().map(|e| e.log_id).or(self.purged)
    }

    fn push(&mut self, entry: Entry) {
        if let EntryPayload::Membership(m) = &entry.payload {
            self.memberships.insert(entry.log_id.index, m.clone());
        }
        self.entries.insert(entry.log_id.index, entry);
    }

    fn truncate(&mut self, from: u64) {
        self.entries.split_off(&from);
        self.memberships.split_off(&from.max(1));
    }

    fn purge(&mut self, upto: LogId) {
        let next = upto.index + 1;
        self.entries = self.entries.split_off(&next);
        let kept = self.memberships.split_off(&next);
        let newest = std::mem::replace(&mut self.memberships, kept).pop_last();
        if let Some((_, m)) = newest {
            self.memberships.insert(0, m);
        }
        self.purged = Some(upto);
    }

    /// Every vote there is, is one node's. While a second one comes or goes it is two sets of voters.
    fn sole_voter(&self) -> Option<u32> {
        let (_, newest) = self.memberships.last_key_value()?;
        let mut voters = newest.voter_ids();
        let first = voters.next()?;
        voters.all(|v| v == first).then_some(first)
    }

    fn head(&self, state: Option<Head>) -> CheckpointHead {
        CheckpointHead {
            vote: self.vote.as_ref().map(StoredVote::from),
            committed: self.committed.as_ref().map(At::from),
            purged: self.purged.as_ref().map(At::from),
            state,
        }
    }
}

fn options(settings: &Settings) -> Options {
    // In a simulation the log's idle work would happen at times that no seed decides.
    let seal_after = (settings.flush == Flush::Await).then_some(Duration::from_millis(500));
    Options { segment_bytes: settings.segment_bytes, buffer_bytes: 1 << 20, spare_segments: 1, seal_after, ..Options::default() }
}

impl Store {
    /// Writes a new generation's journal: its state, at the very beginning of a log that has nothing else in it.
    pub fn found(env: &Env, dir: &Path, settings: &Settings, head: &Head, state: &[u8]) -> Result<(), Error> {
        let (journal, _) = Journal::open(env, dir, options(settings))?;
        let checkpoint = CheckpointHead { vote: None, committed: head.applied, purged: head.applied, state: Some(head.clone()) };
        let mark = journal.append(MARK, &[])?;
        let at = mark.lsn();
        mark.wait()?;
        journal.store(at, &[&format::encode(&checkpoint), state])?;
        journal.close();
        Ok(())
    }

    pub fn open(env: &Env, dir: &Path, settings: &Settings) -> Result<Opened, Error> {
        let broken = |reason: String| Error::Broken { path: dir.to_owned(), reason };
        let (journal, found) = Journal::open(env, dir, options(settings))?;
        let mut memory = Memory::default();
        let mut state = None;
        let mut items = found.checkpoint.into_iter().flatten();
        if let Some(head) = items.next() {
            let head: CheckpointHead = format::decode(&head, "checkpoint").map_err(|e| broken(e.to_string()))?;
            (memory.vote, memory.committed) = (head.vote.map(Vote::from), head.committed.map(LogId::from));
            memory.purged = head.purged.map(LogId::from);
            let bytes: Arc<[u8]> = items.next().unwrap_or_default().into();
            if let Some(of) = head.state {
                memory.memberships.insert(0, of.members.clone().into());
                memory.checkpoint = Some((of.snapshot_meta(), bytes.clone()));
                state = Some((of, bytes));
            }
            for entry in items {
                memory.push(format::decode_entry(&entry).map_err(|e| broken(e.to_string()))?);
            }
        }
        let applied = state.as_ref().and_then(|(head, _)| head.applied).map(LogId::from);
        for (kind, record) in found.records {
            if !replay(&mut memory, applied, kind, &record).map_err(|e| broken(e.to_string()))? {
                // Only a state that came from the leader leaves such a gap behind it, and it is the one that could not be read.
                return Err(found.passed_over.map_or_else(|| broken("an entry is missing".into()), Error::Log));
            }
        }
        let store =
            Store { journal: Arc::new(journal), memory: Mutex::new(memory), checkpointing: tokio::sync::Mutex::default(), flush: settings.flush };
        Ok(Opened { store: Arc::new(store), state })
    }

    /// A restart ends a reign: what we were elected for, we have to be elected for anew, in a higher term.
    pub fn end_own_reign(&self, me: u32) {
        if let Some(vote) = &mut self.memory.lock().vote
            && vote.leader_id().voted_for() == Some(me)
        {
            vote.committed = false;
        }
    }

    pub fn bytes_since_checkpoint(&self) -> u64 {
        self.journal.bytes_since_checkpoint()
    }
    pub fn failure(&self) -> Option<weald_log::Error> {
        self.journal.failure()
    }
    pub fn checkpoint(&self) -> Option<(SnapshotMeta, Arc<[u8]>)> {
        self.memory.lock().checkpoint.clone()
    }
    pub fn last(&self) -> Option<LogId> {
        self.memory.lock().last()
    }
    /// The entries after `applied`, whether committed or not.
    pub fn tail(&self, applied: Option<LogId>) -> Vec<Entry> {
        let from = applied.map_or(0, |id| id.index + 1);
        self.memory.lock().entries.range(from..).map(|(_, e)| e.clone()).collect()
    }
    pub fn close(&self) {
        self.journal.close();
    }

    /// Makes `state` the beginning of this store: from now on the log may be purged up to it.
    pub async fn store_checkpoint(&self, head: Head, state: Arc<[u8]>) -> Result<(), StorageError> {
        let failed = |e: weald_log::Error| io(ErrorSubject::Snapshot(None), ErrorVerb::Write, e);
        let _one = self.checkpointing.lock().await;
        // While this one was made, a newer may have come from the leader; the log has been purged up to that.
        if self.checkpoint().is_some_and(|(meta, _)| meta.last_log_id > head.applied.map(LogId::from)) {
            return Ok(());
        }
        // Without a place of its own, a checkpoint that came from the leader could be taken for one that is there already.
        let ticket = self.queue(&[(MARK, Vec::new())], |_| ()).await.map_err(failed)?;
        let (at, items) = {
            let memory = self.memory.lock();
            let mut items = vec![format::encode(&memory.head(Some(head.clone()))), state.to_vec()];
            items.extend(memory.entries.values().map(format::encode_entry));
            (self.journal.appended(), items)
        };
        self.wait(ticket).await.map_err(failed)?;
        // Records that were queued between the two moments are in the items, so they have to be durable as well.
        if self.journal.durable() < at {
            let ticket = self.queue(&[(MARK, Vec::new())], |_| ()).await.map_err(failed)?;
            self.wait(ticket).await.map_err(failed)?;
        }
        let journal = self.journal.clone();
        let store = move || {
            let items: Vec<&[u8]> = items.iter().map(|i| &i[..]).collect();
            journal.store(at, &items)
        };
        let stored = match self.flush {
            Flush::Block => store(),
            Flush::Await => match tokio::task::spawn_blocking(store).await {
                Ok(stored) => stored,
                Err(e) => return Err(io(ErrorSubject::Snapshot(None), ErrorVerb::Write, e)),
            },
        };
        stored.map_err(failed)?;
        self.memory.lock().checkpoint = Some((head.snapshot_meta(), state));
        Ok(())
    }

    /// Appends records as one step, together with the change of the memory that they stand for.
    async fn queue(&self, records: &[(u32, Vec<u8>)], change: impl FnOnce(&mut Memory)) -> Result<Ticket, weald_log::Error> {
        let mut change = Some(change);
        loop {
            match self.try_queue(records, &mut change) {
                Err(weald_log::Error::DiskFull { .. }) => tokio::time::sleep(RETRY).await,
                queued => return queued,
            }
        }
    }

    fn try_queue(&self, records: &[(u32, Vec<u8>)], change: &mut Option<impl FnOnce(&mut Memory)>) -> Result<Ticket, weald_log::Error> {
        let mut memory = self.memory.lock();
        let ticket = self.journal.append_all(records)?;
        if let Some(change) = change.take() {
            change(&mut memory);
        }
        Ok(ticket)
    }

    async fn wait(&self, ticket: Ticket) -> Result<(), weald_log::Error> {
        match self.flush {
            Flush::Await => ticket.await.map(|_| ()),
            Flush::Block => ticket.wait().map(|_| ()),
        }
    }

    /// Durable when this returns. The change of the memory is made as soon as the records are queued; if the disk turns out to be full the same records are
    /// queued again, since they replace what they said before.
    async fn record(&self, records: &[(u32, Vec<u8>)], change: impl FnOnce(&mut Memory)) -> Result<(), weald_log::Error> {
        let mut ticket = self.queue(records, change).await?;
        loop {
            match self.wait(ticket).await {
                Ok(()) => return Ok(()),
                Err(weald_log::Error::DiskFull { .. }) => {
                    tracing::error!("the metadata's log waits for room on the disk");
                    tokio::time::sleep(RETRY).await;
                    ticket = self.queue(records, |_| ()).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// One record after the checkpoint; false if something is missing before it.
fn replay(memory: &mut Memory, applied: Option<LogId>, kind: u32, record: &[u8]) -> Result<bool, format::FormatError> {
    match kind {
        ENTRY => {
            let entry = format::decode_entry(record)?;
            let next = memory.last().map_or(0, |l| l.index + 1);
            // One that is there already was written again, because the disk was full in between.
            if entry.log_id.index > next {
                return Ok(false);
            }
            if entry.log_id.index < next {
                memory.truncate(entry.log_id.index);
            }
            memory.push(entry);
        }
        TRUNCATE => memory.truncate(format::decode::<u64>(record, "position")?),
        PURGE => {
            let upto = LogId::from(format::decode::<At>(record, "position")?);
            // From an older checkpoint we start further back, and need what was purged since.
            if Some(upto) <= applied && Some(upto) > memory.purged {
                memory.purge(upto);
            }
        }
        VOTE => memory.vote = Some(format::decode::<StoredVote>(record, "vote")?.into()),
        COMMITTED => memory.committed = format::decode::<Option<At>>(record, "position")?.map(LogId::from),
        MARK => (),
        _ => return Err(format::FormatError::Broken("kind of record")),
    }
    Ok(true)
}

fn io(subject: ErrorSubject<u32>, verb: ErrorVerb, error: impl std::error::Error + 'static) -> StorageError {
    StorageError::IO { source: StorageIOError::new(subject, verb, AnyError::new(&error)) }
}

/// openraft's handle on a store.
#[derive(Clone)]
pub struct LogStore(pub Arc<Store>);

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(&mut self, range: R) -> Result<Vec<Entry>, StorageError> {
        Ok(self.0.memory.lock().entries.range(range).map(|(_, e)| e.clone()).collect())
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let memory = self.0.memory.lock();
        Ok(LogState { last_purged_log_id: memory.purged, last_log_id: memory.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let record = format::encode(&StoredVote::from(vote));
        self.0.record(&[(VOTE, record)], |m| m.vote = Some(*vote)).await.map_err(|e| io(ErrorSubject::Vote, ErrorVerb::Write, e))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.0.memory.lock().vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        let sole = {
            let mut memory = self.0.memory.lock();
            let sole = memory.sole_voter().is_some();
            if sole {
                memory.committed = committed;
            }
            sole
        };
        if sole {
            return Ok(());
        }
        let record = format::encode(&committed.as_ref().map(At::from));
        self.0.record(&[(COMMITTED, record)], |m| m.committed = committed).await.map_err(|e| io(ErrorSubject::Logs, ErrorVerb::Write, e))
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let memory = self.0.memory.lock();
        Ok(if memory.sole_voter().is_some() { memory.last() } else { memory.committed })
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let records: Vec<(u32, Vec<u8>)> = entries.iter().map(|e| (ENTRY, format::encode_entry(e))).collect();
        let done = self.0.record(&records, |m| entries.into_iter().for_each(|e| m.push(e))).await;
        match done {
            Ok(()) => {
                callback.log_io_completed(Ok(()));
                Ok(())
            }
            Err(error) => Err(io(ErrorSubject::Logs, ErrorVerb::Write, error)),
        }
    }

    async fn truncate(&mut self, from: LogId) -> Result<(), StorageError> {
        let record = format::encode(&from.index);
        let queued = self.0.queue(&[(TRUNCATE, record)], |m| m.truncate(from.index)).await;
        queued.map(drop).map_err(|e| io(ErrorSubject::Logs, ErrorVerb::Delete, e))
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        let record = format::encode(&At::from(&upto));
        let queued = self.0.queue(&[(PURGE, record)], |m| m.purge(upto)).await;
        queued.map(drop).map_err(|e| io(ErrorSubject::Logs, ErrorVerb::Delete, e))
    }
}

/// The place before everything: of a generation that begins.
pub fn beginning() -> LogId {
    raft::log_id(0, 0)
}

#[cfg(test)]
mod tests;
