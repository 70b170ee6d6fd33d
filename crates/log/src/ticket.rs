//! Waiting for a record to be durable.
//!
//! Owns:     the list of those who wait for one batch.
//! Promises: a waiter is woken once, by the flush that decided its batch. A [`Ticket`] may be dropped at any time; the record stays in the log.
//! Never:    holds its lock while it wakes anyone.

use crate::{Error, Position};
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use weald_types::Lsn;

/// Everything that one flush makes durable.
#[derive(Default)]
pub(crate) struct Batch {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    outcome: Option<Result<Position, Error>>,
    waiting: Vec<Waker>,
}

impl Batch {
    pub fn decide(&self, outcome: Result<Position, Error>) {
        let waiting = {
            let mut inner = self.inner.lock();
            inner.outcome = Some(outcome);
            std::mem::take(&mut inner.waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }
}

/// One appended record on its way to the disk. As a future: the log's position once the record is durable, or why it is not.
#[must_use = "an appended record is not durable before its ticket says so"]
pub struct Ticket {
    lsn: Lsn,
    batch: Arc<Batch>,
    /// Our place among the waiting.
    waiting: Option<usize>,
}

impl Ticket {
    pub(crate) fn new(lsn: Lsn, batch: Arc<Batch>) -> Self {
        Self { lsn, batch, waiting: None }
    }

    /// The record's place in its partition's log: how many records that log has with it.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// For threads that have nothing else to do.
    pub fn wait(self) -> Result<Position, Error> {
        struct Unpark(std::thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut ticket = self;
        loop {
            match Pin::new(&mut ticket).poll(&mut context) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}

impl Future for Ticket {
    type Output = Result<Position, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let batch = Arc::clone(&self.batch);
        let mut inner = batch.inner.lock();
        if let Some(outcome) = &inner.outcome {
            return Poll::Ready(outcome.clone());
        }
        match self.waiting {
            Some(i) => {
                if !inner.waiting[i].will_wake(context.waker()) {
                    inner.waiting[i] = context.waker().clone();
                }
            }
            None => {
                self.waiting = Some(inner.waiting.len());
                inner.waiting.push(context.waker().clone());
            }
        }
        Poll::Pending
    }
}
