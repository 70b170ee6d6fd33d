//! FLUSH TABLES WITH READ LOCK: sessions that keep everybody from committing, so that others can begin their snapshots at one and the same state.
//!
//! Owns:     how many sessions hold the lock, and how many changes are passing.
//! Promises: while it is held nothing is committed and no definition changes; what was passing when it was asked for has ended before it is had. Whoever does not
//!           meet it pays two additions.
//! Never:    keeps a reader out, nor a writer before its commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::Notify;
use weald_types::Fault;

#[derive(Debug, Default)]
pub struct GlobalReadLock {
    holders: AtomicUsize,
    passing: AtomicUsize,
    changed: Notify,
}

/// Somebody holds the lock, until this is dropped.
#[derive(Debug)]
pub struct Held(Arc<GlobalReadLock>);

/// A change is on its way, until this is dropped.
#[derive(Debug)]
pub struct Passing(Arc<GlobalReadLock>);

/// How often a wait looks up whether it is still wanted.
const LOOK_UP: Duration = Duration::from_millis(50);

impl GlobalReadLock {
    /// [`Fault::LockWaitTimeout`] after `timeout`, or what `wanted` says.
    pub async fn hold(self: &Arc<Self>, timeout: Duration, wanted: impl FnMut() -> Result<(), Fault>) -> Result<Held, Fault> {
        // From here on nobody begins to pass; if we give up, dropping this lets them again.
        self.holders.fetch_add(1, SeqCst);
        let held = Held(self.clone());
        self.until(timeout, wanted, || self.passing.load(SeqCst) == 0).await?;
        Ok(held)
    }

    /// The same for a change, which waits while anybody holds the lock.
    pub async fn pass(self: &Arc<Self>, timeout: Duration, wanted: impl FnMut() -> Result<(), Fault>) -> Result<Passing, Fault> {
        if let Some(passing) = self.try_pass() {
            return Ok(passing);
        }
        let mut got = None;
        self.until(timeout, wanted, || {
            got = self.try_pass();
            got.is_some()
        })
        .await?;
        got.ok_or(Fault::LockWaitTimeout)
    }

    /// Counted first, then looked: either a holder sees us pass, or we see the holder. Who sees one at the first glance leaves no trace: taking back what was
    /// counted would wake everybody who waits, himself among them.
    fn try_pass(self: &Arc<Self>) -> Option<Passing> {
        if self.holders.load(SeqCst) > 0 {
            return None;
        }
        self.passing.fetch_add(1, SeqCst);
        let passing = Passing(self.clone());
        (self.holders.load(SeqCst) == 0).then_some(passing)
    }

    async fn until(&self, timeout: Duration, mut wanted: impl FnMut() -> Result<(), Fault>, mut done: impl FnMut() -> bool) -> Result<(), Fault> {
        let last = tokio::time::Instant::now() + timeout;
        loop {
            // Asked for before looking, so that a change in between is not missed.
            let changed = self.changed.notified();
            if done() {
                return Ok(());
            }
            wanted()?;
            if tokio::time::Instant::now() >= last {
                return Err(Fault::LockWaitTimeout);
            }
            let _ = tokio::time::timeout(LOOK_UP, changed).await;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.holders.fetch_sub(1, SeqCst);
        self.0.changed.notify_waiters();
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.0.passing.fetch_sub(1, SeqCst);
        if self.0.holders.load(SeqCst) > 0 {
            self.0.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changes_wait_for_holders_and_holders_for_changes_under_way() {
        let lock = Arc::new(GlobalReadLock::default());
        let soon = Duration::from_millis(1);
        let fine = || Ok(());
        let change = lock.pass(soon, fine).await.unwrap();
        assert_eq!(lock.hold(soon, fine).await.unwrap_err(), Fault::LockWaitTimeout);
        // Who gave up keeps nobody out.
        drop(lock.pass(soon, fine).await.unwrap());
        drop(change);
        let (one, other) = (lock.hold(soon, fine).await.unwrap(), lock.hold(soon, fine).await.unwrap());
        drop(one);
        assert_eq!(lock.pass(soon, fine).await.unwrap_err(), Fault::LockWaitTimeout);
        assert_eq!(lock.pass(Duration::from_secs(9), || Err(Fault::Interrupted)).await.unwrap_err(), Fault::Interrupted);
        let waiting = tokio::spawn({
            let lock = lock.clone();
            async move { lock.pass(Duration::from_secs(9), || Ok(())).await.map(drop) }
        });
        tokio::time::sleep(soon).await;
        drop(other);
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }
}
