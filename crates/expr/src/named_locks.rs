//! User-level locks: GET_LOCK and its kin.
//!
//! Owns:     the locks of one server, by name; who holds each, how often, and who waits for it in which order.
//! Promises: a lock is held by one session at a time; waiters get it in the order they came; a wait that could never end is found at once. There are so
//!           many at most, of a session and of all, and the next one is refused.
//! Never:    waits itself: who waits asks again after a pause of its own choosing.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};

/// Shared by all sessions of a server. Each session is known by its connection id.
#[derive(Debug, Default)]
pub struct NamedLocks {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    locks: HashMap<String, Lock>,
    /// The lock each session waits for.
    waits: HashMap<u64, String>,
    /// How many locks each session holds.
    held: HashMap<u64, usize>,
}

/// Locks that a session may hold, and that there may be. Programs that use them hold a few; one that never releases what it takes is stopped here.
const MOST_OF_SESSION: usize = 1 << 12;
const MOST: usize = 1 << 16;

#[derive(Debug, Default)]
struct Lock {
    /// The holder and how many times it has taken the lock. `None` while the first waiter has not come for it yet.
    holder: Option<(u64, u64)>,
    waiters: VecDeque<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    Taken,
    /// Another session holds it, or comes first: ask again, or [`NamedLocks::give_up`].
    Wait,
    /// The holder waits, over one or more others, for a lock of this session.
    Deadlock,
    /// The session, or all of them together, hold as many as there may be.
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    Yes,
    NotTheHolder,
    NoSuchLock,
}

/// Case does not count in names.
fn key(name: &str) -> String {
    name.to_lowercase()
}

impl NamedLocks {
    pub fn try_take(&self, session: u64, name: &str) -> Attempt {
        let name = key(name);
        let mut s = self.state.lock();
        let known = s.locks.get(&name);
        let mine = known.and_then(|l| l.holder).is_some_and(|(holder, _)| holder == session);
        if !mine && (s.held.get(&session).is_some_and(|n| *n >= MOST_OF_SESSION) || known.is_none() && s.locks.len() >= MOST) {
            s.forget_wait(session);
            return Attempt::Full;
        }
        let lock = s.locks.entry(name.clone()).or_default();
        let free_for_it = lock.waiters.front().is_none_or(|first| *first == session);
        match &mut lock.holder {
            Some((holder, times)) if *holder == session => {
                *times += 1;
                return Attempt::Taken;
            }
            None if free_for_it => {
                lock.holder = Some((session, 1));
                lock.waiters.pop_front();
                s.waits.remove(&session);
                *s.held.entry(session).or_default() += 1;
                return Attempt::Taken;
            }
            None | Some(_) => (),
        }
        if !lock.waiters.contains(&session) {
            lock.waiters.push_back(session);
        }
        s.waits.insert(session, name.clone());
        if s.leads_back(session, &name) {
            s.forget_wait(session);
            return Attempt::Deadlock;
        }
        Attempt::Wait
    }

    /// Ends the session's wait.
    pub fn give_up(&self, session: u64) {
        self.state.lock().forget_wait(session);
    }

    pub fn release(&self, session: u64, name: &str) -> Released {
        let name = key(name);
        let mut s = self.state.lock();
        let Some(lock) = s.locks.get_mut(&name) else { return Released::NoSuchLock };
        match &mut lock.holder {
            None => Released::NoSuchLock,
            Some((holder, _)) if *holder != session => Released::NotTheHolder,
            Some((_, times)) if *times > 1 => {
                *times -= 1;
                Released::Yes
            }
            Some(_) => {
                lock.holder = None;
                s.drop_if_unused(&name);
                s.holds_one_less(session);
                Released::Yes
            }
        }
    }

    /// Everything the session holds or waits for. How many locks that were, each as often as it was taken.
    pub fn release_all(&self, session: u64) -> u64 {
        let mut s = self.state.lock();
        s.forget_wait(session);
        s.held.remove(&session);
        let mut released = 0;
        s.locks.retain(|_, lock| {
            if let Some((_, times)) = lock.holder.filter(|(holder, _)| *holder == session) {
                released += times;
                lock.holder = None;
            }
            lock.holder.is_some() || !lock.waiters.is_empty()
        });
        released
    }

    pub fn holder(&self, name: &str) -> Option<u64> {
        self.state.lock().locks.get(&key(name)).and_then(|l| l.holder).map(|(session, _)| session)
    }
}

impl State {
    /// Whether the way from a lock to its holder, to the lock that one waits for, and so on, ends at `session`.
    fn leads_back(&self, session: u64, name: &str) -> bool {
        let mut name = name;
        // A session waits for one lock at a time: the way has no branches, and cannot be longer than there are waits.
        for _ in 0..=self.waits.len() {
            let Some((holder, _)) = self.locks.get(name).and_then(|l| l.holder) else { return false };
            if holder == session {
                return true;
            }
            match self.waits.get(&holder) {
                Some(next) => name = next,
                None => return false,
            }
        }
        false
    }

    fn holds_one_less(&mut self, session: u64) {
        if let Some(n) = self.held.get_mut(&session) {
            *n -= 1;
            if *n == 0 {
                self.held.remove(&session);
            }
        }
    }

    fn forget_wait(&mut self, session: u64) {
        let Some(name) = self.waits.remove(&session) else { return };
        if let Some(lock) = self.locks.get_mut(&name) {
            lock.waiters.retain(|w| *w != session);
        }
        self.drop_if_unused(&name);
    }

    fn drop_if_unused(&mut self, name: &str) {
        if self.locks.get(name).is_some_and(|l| l.holder.is_none() && l.waiters.is_empty()) {
            self.locks.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_goes_to_those_who_wait_in_their_order() {
        let locks = NamedLocks::default();
        assert_eq!(locks.try_take(1, "a"), Attempt::Taken);
        assert_eq!(locks.try_take(1, "A"), Attempt::Taken);
        assert_eq!(locks.try_take(2, "a"), Attempt::Wait);
        assert_eq!(locks.try_take(3, "a"), Attempt::Wait);
        assert_eq!(locks.release(2, "a"), Released::NotTheHolder);
        assert_eq!(locks.release(1, "a"), Released::Yes);
        assert_eq!(locks.holder("a"), Some(1));
        assert_eq!(locks.release(1, "a"), Released::Yes);
        assert_eq!(locks.try_take(3, "a"), Attempt::Wait);
        assert_eq!(locks.try_take(2, "a"), Attempt::Taken);
        locks.give_up(3);
        assert_eq!(locks.release_all(2), 1);
        assert_eq!(locks.release(2, "a"), Released::NoSuchLock);
        assert_eq!(locks.try_take(4, "a"), Attempt::Taken);
    }

    #[test]
    fn there_are_so_many_locks_and_no_more() {
        let locks = NamedLocks::default();
        for n in 0..MOST_OF_SESSION {
            assert_eq!(locks.try_take(1, &format!("1-{n}")), Attempt::Taken);
        }
        assert_eq!(locks.try_take(1, "one more"), Attempt::Full);
        assert_eq!(locks.try_take(1, "1-0"), Attempt::Taken, "what it has it may take again");
        assert_eq!(locks.try_take(2, "1-0"), Attempt::Wait);
        for _ in 0..2 {
            assert_eq!(locks.release(1, "1-0"), Released::Yes);
        }
        assert_eq!(locks.try_take(1, "one more"), Attempt::Taken);
        for session in 2..=(MOST / MOST_OF_SESSION) as u64 {
            (0..MOST_OF_SESSION).for_each(|n| _ = locks.try_take(session, &format!("{session}-{n}")));
        }
        assert_eq!(locks.try_take(99, "of anybody"), Attempt::Full);
        assert_eq!(locks.release_all(1), MOST_OF_SESSION as u64);
        assert_eq!(locks.try_take(99, "of anybody"), Attempt::Taken);
        assert_eq!(locks.state.lock().held.get(&1), None);
    }

    #[test]
    fn a_circle_of_waits_is_refused() {
        let locks = NamedLocks::default();
        for (session, name) in [(1, "a"), (2, "b"), (3, "c")] {
            assert_eq!(locks.try_take(session, name), Attempt::Taken);
        }
        assert_eq!(locks.try_take(1, "b"), Attempt::Wait);
        assert_eq!(locks.try_take(2, "c"), Attempt::Wait);
        assert_eq!(locks.try_take(3, "a"), Attempt::Deadlock);
        // The one that was refused waits for nothing: the others go on.
        assert_eq!(locks.release_all(3), 1);
        assert_eq!(locks.try_take(2, "c"), Attempt::Taken);
    }
}
