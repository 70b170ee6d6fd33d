//! The state machine as openraft sees it: applies committed entries in order, makes checkpoints, takes those of others.
//!
//! Owns:     this node's state.
//! Promises: what it shows is what the committed entries up to one position make; positions only grow within a generation.
//! Never:    shows an entry before its position is durable (`store`), refuses a committed entry: a command that `meta` refuses is an entry without effect.

use crate::format::Head;
use crate::member::Applied;
use crate::raft::{Entry, LogId, Order, Snapshot, SnapshotMeta, StorageError, StoredMembership, Types};
use crate::store::Store;
use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder, StorageIOError};
use std::sync::Arc;
use tokio::sync::watch;
use weald_meta::State;

/// One position of the log, and what is true there.
#[derive(Clone)]
pub struct Shown {
    pub applied: Option<LogId>,
    pub state: Arc<State>,
}

pub struct Machine {
    store: Arc<Store>,
    state: State,
    applied: Option<LogId>,
    members: StoredMembership,
    shown: watch::Sender<Shown>,
}

impl Machine {
    /// `from` is the store's newest checkpoint, if it has one.
    pub fn new(store: Arc<Store>, from: Option<(&Head, State)>, shown: watch::Sender<Shown>) -> Self {
        let mut machine = match from {
            Some((head, state)) => Self { store, state, applied: head.applied.map(LogId::from), members: head.membership(), shown },
            None => Self { store, state: State::fresh(), applied: None, members: StoredMembership::default(), shown },
        };
        machine.show();
        machine
    }

    fn show(&mut self) {
        // Nothing yet: a node that begins anew in a later generation goes on showing what it knew.
        if self.applied.is_none() {
            return;
        }
        self.shown.send_replace(Shown { applied: self.applied, state: Arc::new(self.state.clone()) });
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Checkpoint;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.applied, self.members.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Applied>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut answers = Vec::new();
        for entry in entries {
            self.applied = Some(entry.log_id);
            let outcome = match entry.payload {
                EntryPayload::Blank => None,
                EntryPayload::Normal(Order(command)) => Some(self.state.apply((*command).clone())),
                EntryPayload::Membership(m) => {
                    self.members = StoredMembership::new(Some(entry.log_id), m);
                    None
                }
            };
            answers.push(Applied { outcome, version: self.state.version });
        }
        self.show();
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Checkpoint {
        Checkpoint { store: self.store.clone(), head: Head::of(self.applied.as_ref(), &self.members), state: self.state.clone() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Arc<[u8]>>, StorageError> {
        // Pieces are put together before openraft hears of them (`inbox`).
        Ok(Box::new(Arc::from([])))
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Box<Arc<[u8]>>) -> Result<(), StorageError> {
        let unreadable = |e: weald_meta::FormatError| StorageIOError::read_snapshot(Some(meta.signature()), AnyError::new(&e));
        let state = weald_meta::decode_state(&snapshot).map_err(unreadable)?;
        let head = Head::of(meta.last_log_id.as_ref(), &meta.last_membership);
        // Durable first: after it the log is purged.
        self.store.store_checkpoint(head, *snapshot).await?;
        (self.state, self.applied, self.members) = (state, meta.last_log_id, meta.last_membership.clone());
        self.show();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        Ok(self.store.checkpoint().map(|(meta, state)| Snapshot { meta, snapshot: Box::new(state) }))
    }
}

/// The state at one position, to be made a checkpoint while the machine goes on.
pub struct Checkpoint {
    store: Arc<Store>,
    head: Head,
    state: State,
}

impl RaftSnapshotBuilder<Types> for Checkpoint {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let bytes: Arc<[u8]> = weald_meta::encode_state(&self.state).into();
        self.store.store_checkpoint(self.head.clone(), bytes.clone()).await?;
        Ok(Snapshot { meta: self.head.snapshot_meta(), snapshot: Box::new(bytes) })
    }
}
