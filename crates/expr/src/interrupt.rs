//! The wish that a running statement ends: KILL, its time is up, memory is short.
//!
//! Owns:     the reason, and who waits to hear of it.
//! Promises: looking costs one load; a wait that is [`Interrupt::raised`] ends at once. The first reason stands until the next statement begins.
//! Never:    ends anything itself: loops look, waits wait for it.

use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use weald_types::Fault;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Killed,
    TimeUp,
    /// The process is at its limit, and this statement is one of those that can give something back.
    MemoryShort,
}

/// One session's. Shared by the session, whoever runs its statement, and whoever may want it to end.
#[derive(Debug, Default)]
pub struct Interrupt {
    /// 0: run on.
    reason: AtomicU8,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    wakers: Vec<(u64, Waker)>,
}

impl Interrupt {
    pub fn raise(&self, reason: Reason) {
        let code = match reason {
            Reason::Killed => 1,
            Reason::TimeUp => 2,
            Reason::MemoryShort => 3,
        };
        if self.reason.compare_exchange(0, code, SeqCst, SeqCst).is_ok() {
            let wakers = std::mem::take(&mut self.waiting.lock().wakers);
            for (_, waker) in wakers {
                waker.wake();
            }
        }
    }
    /// A new statement begins.
    pub fn clear(&self) {
        self.reason.store(0, Relaxed);
    }
    /// Cheap: for every loop over rows.
    pub fn check(&self) -> Result<(), Fault> {
        match self.reason.load(Relaxed) {
            0 => Ok(()),
            1 => Err(Fault::Interrupted),
            2 => Err(Fault::QueryTimeout),
            _ => Err(Fault::OutOfMemory),
        }
    }
    /// Resolves when the statement must stop; with what its client is told. Safe to drop at any time.
    pub fn raised(&self) -> Raised<'_> {
        Raised { of: self, key: None }
    }
}

/// See [`Interrupt::raised`].
#[derive(Debug)]
pub struct Raised<'a> {
    of: &'a Interrupt,
    key: Option<u64>,
}

impl Future for Raised<'_> {
    type Output = Fault;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fault> {
        let me = &mut *self;
        let mut w = me.of.waiting.lock();
        // Under the lock that `raise` takes after it has set the reason: either we see the reason, or it sees our waker.
        if me.of.reason.load(SeqCst) != 0
            && let Err(fault) = me.of.check()
        {
            return Poll::Ready(fault);
        }
        match me.key.and_then(|k| w.wakers.iter_mut().find(|(key, _)| *key == k)) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => {
                let key = w.next;
                w.next += 1;
                w.wakers.push((key, cx.waker().clone()));
                me.key = Some(key);
            }
        }
        Poll::Pending
    }
}

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        if let Some(k) = self.key {
            self.of.waiting.lock().wakers.retain(|(key, _)| *key != k);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn a_wait_is_woken_once_and_the_first_reason_stands() {
        let (i, count) = (Interrupt::default(), Arc::new(Count::default()));
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let mut wait = Box::pin(i.raised());
        assert!(wait.as_mut().poll(&mut cx).is_pending());
        drop(i.raised());
        i.raise(Reason::TimeUp);
        i.raise(Reason::Killed);
        assert_eq!(count.0.load(SeqCst), 1);
        assert_eq!(wait.as_mut().poll(&mut cx), Poll::Ready(Fault::QueryTimeout));
        assert_eq!(i.check(), Err(Fault::QueryTimeout));
        i.clear();
        assert_eq!(i.check(), Ok(()));
    }

    #[test]
    fn a_wait_that_is_given_up_leaves_nothing_behind() {
        let (i, waker) = (Interrupt::default(), Waker::from(Arc::new(Count::default())));
        let mut wait = Box::pin(i.raised());
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(wait);
        assert!(i.waiting.lock().wakers.is_empty());
    }
}
