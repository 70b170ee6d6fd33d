//! The requests of one connection that wait for their answers.
//!
//! Owns:     a place for each, found by its id without a search.
//! Promises: an id is never used twice on a connection, so a late answer to a request that was given up finds nobody.
//! Never:    wakes anyone while its owner's lock is held: wakers are handed out.

use crate::CallError;
use crate::assembly::Assembly;
use bytes::Bytes;
use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Default)]
pub(crate) struct Pending {
    places: Vec<Place>,
    free: Vec<u32>,
    /// No deadline of a request here is earlier.
    earliest: Option<Instant>,
}

#[derive(Default)]
struct Place {
    /// Goes up with each use: the high half of the id.
    uses: u32,
    call: Option<Waiting>,
}

pub(crate) struct Waiting {
    /// The byte of the connection after which all of it is written, once known.
    pub sent_at: Option<u64>,
    pub deadline: Option<(Instant, Duration)>,
    pub waker: Option<Waker>,
    pub outcome: Option<Result<Bytes, CallError>>,
    pub arriving: Assembly,
    pub parts: Option<Box<PartsHere>>,
}

/// Parts that have come and are not yet taken.
#[derive(Default)]
pub(crate) struct PartsHere {
    pub ready: VecDeque<Bytes>,
    pub arriving: Assembly,
    /// Bytes taken for which the peer has no credit yet.
    pub owed: usize,
    /// Bytes that the peer may still send. Below zero by the last part at most.
    pub credit: i64,
}

impl Waiting {
    pub fn new(deadline: Option<(Instant, Duration)>, window: Option<usize>) -> Self {
        let parts = window.map(|w| Box::new(PartsHere { credit: w as i64, ..PartsHere::default() }));
        Self { sent_at: None, deadline, waker: None, outcome: None, arriving: Assembly::default(), parts }
    }
}

impl Pending {
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub fn insert(&mut self, call: Waiting) -> u64 {
        self.earliest = earlier(self.earliest, call.deadline.map(|(at, _)| at));
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).expect("bounded by the limit of requests under way")
        });
        let place = &mut self.places[at as usize];
        place.uses = place.uses.wrapping_add(1);
        place.call = Some(call);
        u64::from(place.uses) << 32 | u64::from(at)
    }

    pub fn get(&mut self, id: u64) -> Option<&mut Waiting> {
        let place = self.places.get_mut((id & 0xffff_ffff) as usize)?;
        if u64::from(place.uses) == id >> 32 { place.call.as_mut() } else { None }
    }

    pub fn remove(&mut self, id: u64) -> Option<Waiting> {
        self.get(id)?;
        let at = id as u32;
        let call = self.places[at as usize].call.take()?;
        self.free.push(at);
        Some(call)
    }

    /// Those that have no outcome and whose deadline is not after `now`. Looks through all of them only when one may be among them.
    pub fn overdue(&mut self, now: Instant) -> Vec<(u64, Duration)> {
        if self.earliest.is_none_or(|at| now < at) {
            return Vec::new();
        }
        let (mut overdue, mut earliest) = (Vec::new(), None);
        for (id, call) in self.each().filter(|(_, call)| call.outcome.is_none()) {
            match call.deadline {
                Some((at, within)) if at <= now => overdue.push((id, within)),
                Some((at, _)) => earliest = earlier(earliest, Some(at)),
                None => {}
            }
        }
        self.earliest = earliest;
        overdue
    }

    fn each(&self) -> impl Iterator<Item = (u64, &Waiting)> {
        self.places.iter().enumerate().filter_map(|(at, p)| Some((u64::from(p.uses) << 32 | at as u64, p.call.as_ref()?)))
    }

    /// Gives everyone without an outcome the one that `outcome` says, and returns whom to wake.
    pub fn end_all(&mut self, mut outcome: impl FnMut(&Waiting) -> CallError) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for call in self.places.iter_mut().filter_map(|p| p.call.as_mut()).filter(|c| c.outcome.is_none()) {
            call.outcome = Some(Err(outcome(call)));
            wakers.extend(call.waker.take());
        }
        wakers
    }
}

/// The earlier of two instants, as far as there are any.
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    [a, b].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[tokio::test]
    async fn overdue_are_found_when_they_are_due_and_not_before() {
        let (start, ms, mut pending) = (Instant::now(), Duration::from_millis, Pending::default());
        let mut add = |n: u64| pending.insert(Waiting::new(Some((start + ms(n), ms(n))), None));
        let [a, b, c] = [add(30), add(10), add(20)];
        pending.insert(Waiting::new(None, None));
        assert_eq!(pending.overdue(start + ms(9)), []);
        assert_eq!(pending.overdue(start + ms(10)), [(b, ms(10))]);
        pending.remove(b);
        pending.get(c).unwrap().outcome = Some(Ok(Bytes::new()));
        assert_eq!(pending.overdue(start + ms(29)), []);
        assert_eq!(pending.overdue(start + ms(40)), [(a, ms(30))]);
    }

    proptest! {
        #[test]
        fn every_id_finds_its_own_call_and_no_other(steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..200)) {
            let (mut pending, mut here, mut gone): (Pending, HashMap<u64, usize>, Vec<u64>) = Default::default();
            for (n, (insert, which)) in steps.into_iter().enumerate() {
                if insert || here.is_empty() {
                    let id = pending.insert(Waiting { sent_at: Some(n as u64), ..Waiting::new(None, None) });
                    prop_assert!(!gone.contains(&id) && here.insert(id, n).is_none());
                } else {
                    let mut ids: Vec<_> = here.keys().copied().collect();
                    ids.sort();
                    let id = ids[which.index(ids.len())];
                    prop_assert_eq!(pending.remove(id).unwrap().sent_at, Some(here.remove(&id).unwrap() as u64));
                    gone.push(id);
                }
                prop_assert_eq!(pending.len(), here.len());
                for (id, n) in &here {
                    prop_assert_eq!(pending.get(*id).unwrap().sent_at, Some(*n as u64));
                }
                for id in &gone {
                    prop_assert!(pending.get(*id).is_none() && pending.remove(*id).is_none());
                }
            }
        }
    }
}
