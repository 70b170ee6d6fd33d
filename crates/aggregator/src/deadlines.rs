//! Statements that may only take so long: max_execution_time.
//!
//! Owns:     the deadlines of running statements, and the thread that watches them.
//! Promises: a statement is told within milliseconds after its time is up, however busy the threads are that run statements.
//! Never:    costs a statement without a limit anything.

use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use weald_env::Clock;
use weald_expr::interrupt::{Interrupt, Reason};

/// All of a server's.
pub struct Deadlines {
    shared: Arc<Shared>,
    /// Started when the first statement has a limit.
    thread: OnceLock<()>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    due: Mutex<Due>,
    changed: Condvar,
}

#[derive(Default)]
struct Due {
    /// By time on the clock, and a number that tells those of one time apart.
    statements: BTreeMap<(Duration, u64), Arc<Interrupt>>,
    next: u64,
    closed: bool,
}

/// One statement's; dropped when it has ended in time.
#[must_use]
pub struct Deadline {
    shared: Arc<Shared>,
    key: (Duration, u64),
}

impl Deadlines {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::new(Shared { clock, due: Mutex::default(), changed: Condvar::new() }), thread: OnceLock::new() }
    }

    /// Raises `interrupt` after `limit`, unless what is returned is dropped before.
    pub fn after(&self, limit: Duration, interrupt: Arc<Interrupt>) -> std::io::Result<Deadline> {
        if self.thread.get().is_none() {
            let shared = self.shared.clone();
            let mut failed = None;
            self.thread.get_or_init(|| failed = std::thread::Builder::new().name("deadlines".into()).spawn(move || shared.run()).err());
            if let Some(error) = failed {
                return Err(error);
            }
        }
        let mut due = self.shared.due.lock();
        due.next += 1;
        let key = (self.shared.clock.now() + limit, due.next);
        due.statements.insert(key, interrupt);
        if due.statements.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.shared.changed.notify_one();
        }
        Ok(Deadline { shared: self.shared.clone(), key })
    }
}

impl Drop for Deadlines {
    fn drop(&mut self) {
        self.shared.due.lock().closed = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.shared.due.lock().statements.remove(&self.key);
    }
}

impl Shared {
    fn run(&self) {
        let mut due = self.due.lock();
        while !due.closed {
            let now = self.clock.now();
            let Some((&(at, _), _)) = due.statements.first_key_value() else {
                self.changed.wait(&mut due);
                continue;
            };
            if at > now {
                self.changed.wait_for(&mut due, at - now);
                continue;
            }
            if let Some((_, interrupt)) = due.statements.pop_first() {
                interrupt.raise(Reason::TimeUp);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weald_types::Fault;

    #[test]
    fn the_one_whose_time_is_up_is_told_and_the_others_are_not() {
        let deadlines = Deadlines::new(weald_env::Env::real().clock);
        let [long, short, dropped] = [(); 3].map(|()| Arc::new(Interrupt::default()));
        let _long = deadlines.after(Duration::from_secs(3600), long.clone()).unwrap();
        let in_time = deadlines.after(Duration::from_millis(20), dropped.clone()).unwrap();
        let _short = deadlines.after(Duration::from_millis(30), short.clone()).unwrap();
        drop(in_time);
        while short.check().is_ok() {
            std::thread::yield_now();
        }
        assert_eq!(short.check(), Err(Fault::QueryTimeout));
        assert_eq!((long.check(), dropped.check()), (Ok(()), Ok(())));
    }
}
