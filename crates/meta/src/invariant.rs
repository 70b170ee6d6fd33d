//! What always holds of the metadata: read by its tests, by the simulator and by `debug_assert!`.
//!
//! Owns:     nothing.
//! Promises: `None`, or the first invariant that is broken, in words.
//! Never:    mends anything.

use crate::State;

pub fn broken(s: &State) -> Option<String> {
    for d in s.catalog.databases.values() {
        for p in d.partition_ids() {
            let Some(place) = s.places.get(&p) else { return Some(format!("partition {p} of {} has no place", d.name)) };
            if !place.in_sync.contains(&place.primary) {
                return Some(format!("the primary of partition {p} is not in its in-sync set"));
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
    let known = s.places.keys().all(|p| s.catalog.database_by_id(p.database()).is_some());
    if known { None } else { Some("a place belongs to no database".into()) }
}
