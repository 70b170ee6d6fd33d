//! One transaction, as every version it wrote and everyone who waits for it sees it.
//!
//! Owns:     its state and the list of who waits for its end.
//! Promises: ends once; everyone who waited is woken once, after the state says how it ended.
//! Never:    knows what it wrote (that is `partition::Transaction`).
//!
//! States: `Active → Pending → Committing(ts) → Committed(ts)`, with two phases `Active → Pending → Prepared(ts) → Committing(ts') → Committed(ts')`,
//! and from each state before Committed to `Aborted`. `Pending` lasts a few instructions, between the promise that a timestamp will be taken and its
//! being known; why it must exist is told in [`crate::visibility`].
//!
//! The timestamp is stored before the state that makes it count, so who reads the state first and the timestamp after it reads a timestamp at least as
//! new as the state. (From Prepared to Committing it may read Prepared with the commit timestamp. That is harmless: the commit timestamp is what the
//! prepared one is a lower bound of.)

use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use weald_types::{Timestamp, TxnId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Isolation {
    ReadCommitted,
    /// Snapshot isolation; READ UNCOMMITTED and SERIALIZABLE are the session's matter.
    #[default]
    RepeatableRead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxnState {
    Active,
    /// Is taking its timestamp at this moment.
    Pending,
    /// Will commit at this timestamp or later, or abort: somebody else decides.
    Prepared(Timestamp),
    /// Will commit at exactly this timestamp, unless its log fails.
    Committing(Timestamp),
    Committed(Timestamp),
    Aborted,
}

const ACTIVE: u8 = 0;
const PENDING: u8 = 1;
const PREPARED: u8 = 2;
const COMMITTING: u8 = 3;
const COMMITTED: u8 = 4;
const ABORTED: u8 = 5;

#[derive(Debug)]
pub struct Txn {
    id: TxnId,
    isolation: Isolation,
    read_ts: AtomicU64,
    kind: AtomicU8,
    ts: AtomicU64,
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    ended: bool,
    next_key: u64,
    wakers: Vec<(u64, Waker)>,
}

impl Txn {
    pub fn new(id: TxnId, isolation: Isolation, read_ts: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            id,
            isolation,
            read_ts: AtomicU64::new(read_ts.raw()),
            kind: AtomicU8::new(ACTIVE),
            ts: AtomicU64::new(0),
            waiters: Mutex::default(),
        })
    }
    pub fn id(&self) -> TxnId {
        self.id
    }
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }
    /// What it reads at; at READ COMMITTED each statement moves it.
    pub fn read_ts(&self) -> Timestamp {
        Timestamp::new(self.read_ts.load(SeqCst))
    }
    /// Also when a statement that nothing was read for yet is run again at a newer timestamp.
    pub fn set_read_ts(&self, at: Timestamp) {
        self.read_ts.store(at.raw(), SeqCst);
    }
    pub fn state(&self) -> TxnState {
        let kind = self.kind.load(SeqCst);
        let ts = Timestamp::new(self.ts.load(SeqCst));
        match kind {
            ACTIVE => TxnState::Active,
            PENDING => TxnState::Pending,
            PREPARED => TxnState::Prepared(ts),
            COMMITTING => TxnState::Committing(ts),
            COMMITTED => TxnState::Committed(ts),
            _ => TxnState::Aborted,
        }
    }
    pub fn is_ended(&self) -> bool {
        matches!(self.state(), TxnState::Committed(_) | TxnState::Aborted)
    }

    /// Announces that a timestamp is about to be taken. Call before [`crate::HybridClock::tick`].
    pub fn begin_commit(&self) {
        debug_assert!(matches!(self.state(), TxnState::Active | TxnState::Prepared(_)), "{:?}", self.state());
        self.kind.store(PENDING, SeqCst);
    }
    pub fn set_prepared(&self, at_least: Timestamp) {
        debug_assert_eq!(self.state(), TxnState::Pending);
        self.ts.store(at_least.raw(), SeqCst);
        self.kind.store(PREPARED, SeqCst);
    }
    pub fn set_committing(&self, at: Timestamp) {
        debug_assert!(matches!(self.state(), TxnState::Pending | TxnState::Prepared(_)), "{:?}", self.state());
        debug_assert!(self.kind.load(SeqCst) != PREPARED || self.ts.load(SeqCst) <= at.raw(), "commits below its prepared timestamp");
        self.ts.store(at.raw(), SeqCst);
        self.kind.store(COMMITTING, SeqCst);
    }
    /// Its writes become visible at this instant, all of them. Waiters stay asleep until [`Txn::wake`].
    pub fn set_committed(&self) {
        debug_assert!(matches!(self.state(), TxnState::Committing(_)), "{:?}", self.state());
        self.kind.store(COMMITTED, SeqCst);
    }
    /// It wrote nothing: there is nothing to become visible and no timestamp to take.
    pub fn set_committed_empty(&self) {
        debug_assert_eq!(self.state(), TxnState::Active);
        self.ts.store(self.read_ts.load(SeqCst), SeqCst);
        self.kind.store(COMMITTED, SeqCst);
    }
    pub fn set_aborted(&self) {
        debug_assert!(!matches!(self.state(), TxnState::Committed(_)), "{:?}", self.state());
        self.kind.store(ABORTED, SeqCst);
    }
    /// Wakes everyone who waits for the end; once its rows are unlocked, so that nobody wakes in vain.
    pub fn wake(&self) {
        debug_assert!(self.is_ended());
        let wakers = {
            let mut w = self.waiters.lock();
            w.ended = true;
            std::mem::take(&mut w.wakers)
        };
        for (_, waker) in wakers {
            waker.wake();
        }
    }
    /// Resolves once the transaction has ended and [`Txn::wake`] was called. Safe to drop at any time.
    pub fn ended(self: &Arc<Self>) -> Ended {
        Ended { txn: self.clone(), key: None }
    }
}

/// See [`Txn::ended`].
#[derive(Debug)]
pub struct Ended {
    txn: Arc<Txn>,
    key: Option<u64>,
}
impl Future for Ended {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = &mut *self;
        let mut w = me.txn.waiters.lock();
        if w.ended {
            return Poll::Ready(());
        }
        match me.key.and_then(|k| w.wakers.iter_mut().find(|(key, _)| *key == k)) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => {
                let key = w.next_key;
                w.next_key += 1;
                w.wakers.push((key, cx.waker().clone()));
                me.key = Some(key);
            }
        }
        Poll::Pending
    }
}
impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(k) = self.key {
            self.txn.waiters.lock().wakers.retain(|(key, _)| *key != k);
        }
    }
}
