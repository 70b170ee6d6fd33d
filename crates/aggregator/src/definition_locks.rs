//! Definitions of one name change one after the other.
//!
//! Owns:     the names whose definition a statement is changing now.
//! Promises: a statement gets all the names it asks for at once or none, so two statements never wait for each other.
//! Never:    keeps a reader or a writer of rows out: see [`weald_exec::Gate`] for writers.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use weald_types::Fault;

/// (database, table)
pub type Name = (Box<str>, Box<str>);

#[derive(Debug, Default)]
pub struct DefinitionLocks {
    held: Mutex<HashSet<Name>>,
    freed: Notify,
}

/// Gives the names back when it is dropped.
#[derive(Debug)]
pub struct Locked {
    locks: Arc<DefinitionLocks>,
    names: Vec<Name>,
}

/// How often a wait looks up whether it is still wanted.
const LOOK_UP: Duration = Duration::from_millis(50);

impl DefinitionLocks {
    /// [`Fault::LockWaitTimeout`] after `timeout`, or what `wanted` says.
    pub async fn lock(
        self: &Arc<Self>,
        mut names: Vec<Name>,
        timeout: Duration,
        mut wanted: impl FnMut() -> Result<(), Fault>,
    ) -> Result<Locked, Fault> {
        names.sort();
        names.dedup();
        let until = tokio::time::Instant::now() + timeout;
        loop {
            // Asked for before looking, so that a lock freed in between is not missed.
            let freed = self.freed.notified();
            {
                let mut held = self.held.lock();
                if !names.iter().any(|n| held.contains(n)) {
                    held.extend(names.iter().cloned());
                    return Ok(Locked { locks: self.clone(), names });
                }
            }
            wanted()?;
            if tokio::time::Instant::now() >= until {
                return Err(Fault::LockWaitTimeout);
            }
            let _ = tokio::time::timeout(LOOK_UP, freed).await;
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let mut held = self.locks.held.lock();
        self.names.iter().for_each(|n| {
            held.remove(n);
        });
        drop(held);
        self.locks.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: &str) -> Name {
        ("d".into(), n.into())
    }

    #[tokio::test]
    async fn a_name_is_had_by_one_at_a_time_and_several_are_had_together() {
        let locks = Arc::new(DefinitionLocks::default());
        let fine = || Ok(());
        let both = locks.lock(vec![name("a"), name("b"), name("a")], Duration::ZERO, fine).await.unwrap();
        assert_eq!(locks.lock(vec![name("b")], Duration::from_millis(1), fine).await.unwrap_err(), Fault::LockWaitTimeout);
        let c = locks.lock(vec![name("c")], Duration::ZERO, fine).await.unwrap();
        assert_eq!(locks.lock(vec![name("c")], Duration::from_secs(9), || Err(Fault::Interrupted)).await.unwrap_err(), Fault::Interrupted);
        drop(both);
        locks.lock(vec![name("b")], Duration::ZERO, fine).await.unwrap();
        drop(c);
    }
}
