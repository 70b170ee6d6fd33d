//! Ordered and hash indexes: from key bytes to slots.
//!
//! Owns:     entries.
//! Promises: a reader never waits; an entry that stood there before a lookup began, and stays, is found.
//! Never:    looks into a row: entries may be stale, who reads checks them against the version it sees.
//!
//! An entry of a secondary index is the index's key followed by the row's primary key (or hidden row id), so entries are unique and rows with equal keys
//! come in the order of their primary keys. Writers are serialised by the table's mutex.

use crate::heap::{Graveyard, Pin, SlotPtr, SlotRef};
use crate::key::Key;
use crate::memory::{HASH_ENTRY_BYTES, ordered_entry_bytes};
use crate::tree::Tree;
use std::ops::Bound;
use std::sync::Arc;

/// USING HASH: key of the index → the rows that have it.
#[derive(Default)]
pub(crate) struct HashIndex(papaya::HashMap<Key, Postings, foldhash::fast::RandomState>);

enum Postings {
    One(Key, SlotPtr),
    /// By primary key. Once several, always several, until the last is gone.
    Many(Arc<Tree>),
}

impl HashIndex {
    fn insert(&self, key: &Key, primary: &Key, slot: SlotPtr, yard: &mut Graveyard) -> bool {
        let map = self.0.pin();
        match map.get(key) {
            None => {
                map.insert(key.clone(), Postings::One(primary.clone(), slot));
                true
            }
            Some(Postings::One(p, _)) if p == primary => false,
            Some(Postings::One(p, s)) => {
                let many = Tree::default();
                many.insert(p.bytes(), *s, yard);
                many.insert(primary.bytes(), slot, yard);
                map.insert(key.clone(), Postings::Many(Arc::new(many)));
                true
            }
            Some(Postings::Many(many)) => many.insert(primary.bytes(), slot, yard),
        }
    }
    fn remove(&self, key: &[u8], primary: &Key, yard: &mut Graveyard) -> bool {
        let map = self.0.pin();
        match map.get(key) {
            Some(Postings::One(p, _)) if p == primary => map.remove(key).is_some(),
            Some(Postings::Many(many)) => {
                let there = many.remove(primary.bytes(), yard);
                if many.is_empty() {
                    map.remove(key);
                }
                there
            }
            _ => false,
        }
    }
    fn each<'p>(&self, key: &[u8], after: Option<&[u8]>, pin: &'p Pin, f: &mut dyn FnMut(&[u8], SlotRef<'p>) -> bool) {
        let map = self.0.pin();
        match map.get(key) {
            None => (),
            Some(Postings::One(p, slot)) => {
                if after.is_none_or(|a| p.bytes() > a) {
                    f(p.bytes(), slot.under(pin));
                }
            }
            Some(Postings::Many(many)) => {
                for (p, slot) in many.forward(after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded, pin) {
                    if !f(p, slot.ptr().under(pin)) {
                        return;
                    }
                }
            }
        }
    }
}

/// Where an index's entries are.
pub(crate) enum IndexStore {
    /// The primary key, ordered: the rows' own tree.
    Rows,
    Ordered(Tree),
    Hash(HashIndex),
}

/// The bytes of a secondary entry, behind the index key's own in the same buffer.
fn with_primary<R>(index_key: &mut Vec<u8>, primary: &Key, f: impl FnOnce(&[u8]) -> R) -> R {
    let length = index_key.len();
    index_key.extend_from_slice(primary.bytes());
    let done = f(index_key);
    index_key.truncate(length);
    done
}

impl IndexStore {
    /// Adds an entry, and gives what it takes; 0 if it was there. The key's buffer is used meanwhile, and left as it was.
    pub(crate) fn insert(&self, index_key: &mut Vec<u8>, primary: &Key, slot: SlotPtr, yard: &mut Graveyard) -> usize {
        match self {
            IndexStore::Rows => 0,
            IndexStore::Ordered(tree) => {
                with_primary(index_key, primary, |entry| if tree.insert(entry, slot, yard) { ordered_entry_bytes(entry) } else { 0 })
            }
            IndexStore::Hash(map) => {
                let key = Key::new(index_key);
                if map.insert(&key, primary, slot, yard) { HASH_ENTRY_BYTES + key.heap_bytes() } else { 0 }
            }
        }
    }
    /// Adds a whole entry of an ordered index, and gives what it takes.
    pub(crate) fn insert_entry(&self, entry: &[u8], slot: SlotPtr, yard: &mut Graveyard) -> usize {
        match self {
            IndexStore::Ordered(tree) if tree.insert(entry, slot, yard) => ordered_entry_bytes(entry),
            IndexStore::Rows | IndexStore::Ordered(_) | IndexStore::Hash(_) => 0,
        }
    }
    /// Removes an entry, and gives what it took; 0 if it was not there. The key's buffer is used meanwhile, and left as it was.
    pub(crate) fn remove(&self, index_key: &mut Vec<u8>, primary: &Key, yard: &mut Graveyard) -> usize {
        match self {
            IndexStore::Rows => 0,
            IndexStore::Ordered(tree) => {
                with_primary(index_key, primary, |entry| if tree.remove(entry, yard) { ordered_entry_bytes(entry) } else { 0 })
            }
            IndexStore::Hash(map) => {
                let key = Key::new(index_key);
                if map.remove(index_key, primary, yard) { HASH_ENTRY_BYTES + key.heap_bytes() } else { 0 }
            }
        }
    }
    /// Every entry of exactly this index key, by primary key, from the one after `after` on, until `f` says false.
    pub(crate) fn each_equal<'p>(&'p self, index_key: &[u8], after: Option<&[u8]>, pin: &'p Pin, f: &mut dyn FnMut(&[u8], SlotRef<'p>) -> bool) {
        match self {
            IndexStore::Rows => (),
            IndexStore::Ordered(tree) => {
                let low: Vec<u8>;
                let low = match after {
                    Some(after) => {
                        low = [index_key, after].concat();
                        Bound::Excluded(&low[..])
                    }
                    None => Bound::Included(index_key),
                };
                for (entry, slot) in tree.forward(low, Bound::Unbounded, pin) {
                    let Some(primary) = entry.strip_prefix(index_key) else { return };
                    if !f(primary, slot) {
                        return;
                    }
                }
            }
            IndexStore::Hash(map) => map.each(index_key, after, pin, f),
        }
    }
}
