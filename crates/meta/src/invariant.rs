//! What always holds of the metadata: read by its tests, by the simulator and by `debug_assert!`.
//!
//! Owns:     nothing.
//! Promises: `None`, or the first invariant that is broken, in words.
//! Never:    mends anything.

use crate::State;
use std::collections::BTreeSet;
use weald_types::{Epoch, NodeIdentity};

pub fn broken(s: &State) -> Option<String> {
    for d in s.catalog.databases.values() {
        for p in d.partition_ids() {
            if !s.topology.places.contains_key(&p) {
                return Some(format!("partition {p} of {} has no place", d.name));
            }
        }
        for (name, t) in &d.tables {
            if **name != *t.name || t.database != d.id {
                return Some(format!("table {} is filed as {name}", t.name));
            }
            if t.id.raw() >= s.next_table {
                return Some(format!("table id {} was never given out", t.id));
            }
            if d.views.contains_key(name) {
                return Some(format!("{name} is a table and a view"));
            }
        }
    }
    for d in s.catalog.databases.values() {
        for (id, t) in &d.building {
            if *id != t.id || t.database != d.id || id.raw() >= s.next_table {
                return Some(format!("table {} is filed under {id} among those being built", t.name));
            }
            if d.tables.values().any(|other| other.id == *id) {
                return Some(format!("table {} is both whole and being built", t.name));
            }
        }
    }
    nodes(s).or_else(|| places(s))
}

fn nodes(s: &State) -> Option<String> {
    let t = &s.topology;
    let mut addresses = BTreeSet::new();
    let mut identities = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for (id, n) in &t.nodes {
        if id.raw() >= s.next_node {
            return Some(format!("node id {id} was never given out"));
        }
        if !addresses.insert((&n.host, n.ports.mysql)) {
            return Some(format!("two nodes are called '{}':{}", n.host, n.ports.mysql));
        }
        if n.identity != NodeIdentity::UNKNOWN && !identities.insert(n.identity) {
            return Some(format!("two nodes have the identity {}", n.identity));
        }
        if n.is_leaf() != (n.group > 0) {
            return Some(format!("node {id} is in group {}, as {:?}", n.group, n.role));
        }
        if n.is_aggregator() != (n.auto_increment > 0) || n.auto_increment >= s.next_auto_increment {
            return Some(format!("node {id} has the number {} for AUTO_INCREMENT", n.auto_increment));
        }
        if n.is_aggregator() && !numbers.insert(n.auto_increment) {
            return Some(format!("two nodes have the number {} for AUTO_INCREMENT", n.auto_increment));
        }
    }
    if t.cluster.is_none() && t.nodes.len() > 1 {
        return Some("there are several nodes, but no cluster".into());
    }
    if t.cluster.is_some() != s.authority.is_some() {
        return Some("a cluster without an authority, or the other way round".into());
    }
    let headless = !t.nodes.is_empty() && t.aggregators().next().is_none();
    headless.then(|| "no node is an aggregator".into())
}

fn places(s: &State) -> Option<String> {
    let t = &s.topology;
    for (p, place) in &t.places {
        let Some(d) = s.catalog.database_by_id(p.database()) else { return Some("a place belongs to no database".into()) };
        if p.ordinal() >= d.partitions {
            return Some(format!("{} has no partition {}", d.name, p.ordinal()));
        }
        if place.epoch < Epoch::FIRST {
            return Some(format!("partition {p} has an epoch before the first"));
        }
        if let Some(stray) = place.copies().find(|n| !t.nodes.get(n).is_some_and(|n| n.is_leaf())) {
            return Some(format!("partition {p} has a copy on {stray}, which is no leaf"));
        }
        if let Some(stray) = place.in_sync.iter().find(|n| !place.copies().any(|c| c == **n)) {
            return Some(format!("node {stray} is in the in-sync set of partition {p} without having a copy"));
        }
        if let Some(primary) = place.primary {
            if !place.in_sync.contains(&primary) {
                return Some(format!("the primary of partition {p} is not in its in-sync set"));
            }
            if place.replicas.contains(&primary) {
                return Some(format!("the primary of partition {p} is a replica of itself"));
            }
        }
    }
    None
}
