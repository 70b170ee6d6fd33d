//! Which leaf gets which partition of a new database.
//!
//! Owns:     nothing.
//! Promises: even within the database (no leaf has two more than another), then even over all databases; the same input gives the same answer.
//! Never:    moves what has a place already.

use std::collections::BTreeMap;
use weald_types::NodeId;

/// For each of `partitions`, its leaf. `load` is what each leaf that can take one holds already; it is not empty.
pub fn spread(load: &BTreeMap<NodeId, usize>, partitions: u32) -> Vec<NodeId> {
    let mut given: BTreeMap<NodeId, usize> = load.keys().map(|n| (*n, 0)).collect();
    let mut places = Vec::with_capacity(partitions as usize);
    for _ in 0..partitions {
        // Of the leaves with the least, the one with the smallest number.
        let best = given.iter().min_by_key(|(node, here)| (**here, load[*node] + **here, **node)).map(|(node, _)| *node);
        let Some(leaf) = best else { break };
        *given.entry(leaf).or_default() += 1;
        places.push(leaf);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(load: &[(u32, usize)], partitions: u32, expected: &[u32]) {
        let load = load.iter().map(|(n, l)| (NodeId::new(*n), *l)).collect();
        let found: Vec<u32> = spread(&load, partitions).iter().map(|n| n.raw()).collect();
        assert_eq!(found, expected, "{load:?}");
    }

    #[test]
    fn partitions_go_round_and_the_remainder_to_those_with_least() {
        check(&[(1, 0)], 3, &[1, 1, 1]);
        check(&[(2, 0), (5, 0), (7, 0)], 7, &[2, 5, 7, 2, 5, 7, 2]);
        check(&[(2, 3), (5, 2), (7, 2)], 4, &[5, 7, 2, 5]);
        // A new leaf does not get everything: within the database it stays even.
        check(&[(2, 8), (5, 8), (7, 0)], 6, &[7, 2, 5, 7, 2, 5]);
    }
}
