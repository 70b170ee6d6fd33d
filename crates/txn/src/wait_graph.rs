//! Who waits for whom, and the end of waiting in circles.
//!
//! Owns:     the edges "this transaction waits for that one" of one node.
//! Promises: no cycle stands in the graph: the wait that would close one is refused, and its transaction is the victim. On a node of several the victim is the
//!           transaction with the greatest id: the same circle may be met on other nodes at that moment, and they must come to the same end.
//! Never:    waits itself, wakes anyone, looks at the clock.
//!
//! A transaction that is refused a row waits for one holder at a time, so most have a single edge; one whose statement runs in several partitions at once
//! can have several. The victim is whoever closes the cycle. InnoDB picks the transaction with the fewest changes; the closer is chosen here because it is
//! the only one that is certainly not asleep, and because it needs no second look at transactions that other threads are changing.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use weald_types::TxnId;

#[derive(Debug, Default)]
pub struct WaitGraph {
    edges: Mutex<BTreeMap<TxnId, Vec<TxnId>>>,
}

/// An edge in the graph; dropping it takes the edge out.
#[derive(Debug)]
pub struct Waiting<'a> {
    graph: &'a WaitGraph,
    waiter: TxnId,
    holder: TxnId,
}

/// The wait would never end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("transaction {waiter} waits for {holder}, which waits for it")]
pub struct Cycle {
    pub waiter: TxnId,
    pub holder: TxnId,
    /// Of all in the circle the one with the greatest id.
    pub greatest: TxnId,
}

impl WaitGraph {
    pub fn new() -> Self {
        Self::default()
    }
    /// Records that `waiter` is going to wait for the end of `holder`.
    pub fn wait(&self, waiter: TxnId, holder: TxnId) -> Result<Waiting<'_>, Cycle> {
        let mut edges = self.edges.lock();
        if reaches(&edges, holder, waiter) {
            let members = edges.keys().filter(|t| reaches(&edges, holder, **t) && reaches(&edges, **t, waiter)).copied();
            let greatest = members.chain([waiter]).max().unwrap_or(waiter);
            return Err(Cycle { waiter, holder, greatest });
        }
        edges.entry(waiter).or_default().push(holder);
        Ok(Waiting { graph: self, waiter, holder })
    }
    /// The same where another one in the circle has been told to end its wait.
    pub fn wait_in_circle(&self, waiter: TxnId, holder: TxnId) -> Waiting<'_> {
        self.edges.lock().entry(waiter).or_default().push(holder);
        Waiting { graph: self, waiter, holder }
    }
    /// (waiter, holder) of every wait there is now.
    pub fn edges(&self) -> Vec<(TxnId, TxnId)> {
        self.edges.lock().iter().flat_map(|(waiter, holders)| holders.iter().map(|holder| (*waiter, *holder))).collect()
    }
    /// How many waits there are now.
    pub fn len(&self) -> usize {
        self.edges.lock().values().map(Vec::len).sum()
    }
    pub fn is_empty(&self) -> bool {
        self.edges.lock().is_empty()
    }
}

/// One transaction of each circle in these edges, which may be of several nodes: always the one with the greatest id, whoever looks.
pub fn victims(edges: &BTreeSet<(TxnId, TxnId)>) -> BTreeSet<TxnId> {
    let mut graph: BTreeMap<TxnId, Vec<TxnId>> = BTreeMap::new();
    edges.iter().for_each(|(waiter, holder)| graph.entry(*waiter).or_default().push(*holder));
    let in_circle = |t: &TxnId, graph: &BTreeMap<TxnId, Vec<TxnId>>| graph.get(t).into_iter().flatten().any(|holder| reaches(graph, *holder, *t));
    let mut victims = BTreeSet::new();
    // Without its victim a circle is none any more.
    let greatest_first: Vec<TxnId> = graph.keys().rev().copied().collect();
    for t in greatest_first {
        if in_circle(&t, &graph) {
            victims.insert(t);
            graph.remove(&t);
        }
    }
    victims
}

fn reaches(edges: &BTreeMap<TxnId, Vec<TxnId>>, from: TxnId, to: TxnId) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(t) = open.pop() {
        if t == to {
            return true;
        }
        if seen.insert(t) {
            open.extend(edges.get(&t).into_iter().flatten());
        }
    }
    false
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut edges = self.graph.edges.lock();
        if let Some(holders) = edges.get_mut(&self.waiter) {
            // Two branches of one transaction may wait for the same holder: take out one edge only.
            if let Some(i) = holders.iter().position(|h| *h == self.holder) {
                holders.swap_remove(i);
            }
            if holders.is_empty() {
                edges.remove(&self.waiter);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn t(n: u64) -> TxnId {
        TxnId::new(n)
    }

    #[test]
    fn the_wait_that_closes_a_cycle_is_refused() {
        let g = WaitGraph::new();
        let a = g.wait(t(1), t(2)).unwrap();
        let _b = g.wait(t(2), t(3)).unwrap();
        assert!(g.wait(t(3), t(1)).is_err());
        drop(a);
        let _c = g.wait(t(3), t(1)).unwrap();
        assert!(g.wait(t(1), t(2)).is_err());
    }

    #[test]
    fn several_waits_of_one_transaction_are_all_followed() {
        let g = WaitGraph::new();
        let _a = g.wait(t(1), t(2)).unwrap();
        let b = g.wait(t(1), t(3)).unwrap();
        let b2 = g.wait(t(1), t(3)).unwrap();
        assert!(g.wait(t(3), t(1)).is_err());
        drop(b);
        assert!(g.wait(t(3), t(1)).is_err());
        drop(b2);
        let c = g.wait(t(3), t(1)).unwrap();
        assert_eq!(g.len(), 2);
        drop((_a, c));
        assert!(g.is_empty());
    }

    #[test]
    fn a_circle_over_nodes_has_one_victim_and_what_is_no_circle_has_none() {
        let victims_of = |edges: &[(u64, u64)]| victims(&edges.iter().map(|(a, b)| (t(*a), t(*b))).collect());
        assert!(victims_of(&[(1, 2), (2, 3), (1, 3)]).is_empty());
        assert_eq!(victims_of(&[(1, 2), (2, 3), (3, 1), (9, 1)]), [t(3)].into());
        assert_eq!(victims_of(&[(1, 2), (2, 1), (5, 6), (6, 7), (7, 5)]), [t(2), t(7)].into());
        // One victim ends both.
        assert_eq!(victims_of(&[(1, 9), (9, 1), (2, 9), (9, 2)]), [t(9)].into());
    }

    #[test]
    fn nobody_waits_for_itself() {
        assert!(WaitGraph::new().wait(t(1), t(1)).is_err());
    }
}
