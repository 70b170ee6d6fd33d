//! Ordered and hash indexes: from key bytes to slots.
//!
//! Owns:     entries.
//! Promises: a reader never waits; an entry that stood there before a lookup began, and stays, is found.
//! Never:    looks into a row: entries may be stale, who reads checks them against the version it sees.
//!
//! An entry of a secondary index is the index's key followed by the row's primary key (or hidden row id), so entries are unique and rows with equal keys
//! come in the order of their primary keys. Writers are serialised by the table's mutex.

use crate::heap::{Pin, SlotPtr, SlotRef};
use crate::key::Key;
use crate::memory::{HASH_ENTRY_BYTES, ORDERED_ENTRY_BYTES};
use scc::TreeIndex;
use std::ops::Bound;
use std::sync::Arc;
use weald_types::key::upper_bound;

#[derive(Default)]
pub(crate) struct OrderedIndex(TreeIndex<Key, SlotPtr>);

impl OrderedIndex {
    pub(crate) fn get<'p>(&self, key: &[u8], pin: &'p Pin) -> Option<SlotRef<'p>> {
        self.0.peek(key, pin.guard()).map(|slot| slot.under(pin))
    }
    pub(crate) fn entry<'p>(&'p self, key: &[u8], pin: &'p Pin) -> Option<(&'p Key, SlotRef<'p>)> {
        self.0.peek_entry(key, pin.guard()).map(|(key, slot)| (key, slot.under(pin)))
    }
    pub(crate) fn range<'p, 'b>(
        &'p self,
        low: Bound<&'b [u8]>,
        high: Bound<&'b [u8]>,
        pin: &'p Pin,
    ) -> impl DoubleEndedIterator<Item = (&'p Key, SlotRef<'p>)> {
        self.0.range::<[u8], _>((low, high), pin.guard()).map(|(key, slot)| (key, slot.under(pin)))
    }
    /// False if it is there already.
    pub(crate) fn insert(&self, key: Key, slot: SlotPtr) -> bool {
        self.0.insert_sync(key, slot).is_ok()
    }
    pub(crate) fn remove(&self, key: &[u8]) -> bool {
        self.0.remove_sync(key)
    }
}

/// USING HASH: key of the index → the rows that have it.
#[derive(Default)]
pub(crate) struct HashIndex(papaya::HashMap<Key, Postings, foldhash::fast::RandomState>);

enum Postings {
    One(Key, SlotPtr),
    /// By primary key. Once several, always several, until the last is gone.
    Many(Arc<OrderedIndex>),
}

impl HashIndex {
    fn insert(&self, key: &Key, primary: &Key, slot: SlotPtr) -> bool {
        let map = self.0.pin();
        match map.get(key) {
            None => {
                map.insert(key.clone(), Postings::One(primary.clone(), slot));
                true
            }
            Some(Postings::One(p, _)) if p == primary => false,
            Some(Postings::One(p, s)) => {
                let many = OrderedIndex::default();
                many.insert(p.clone(), *s);
                many.insert(primary.clone(), slot);
                map.insert(key.clone(), Postings::Many(Arc::new(many)));
                true
            }
            Some(Postings::Many(many)) => many.insert(primary.clone(), slot),
        }
    }
    fn remove(&self, key: &[u8], primary: &Key) -> bool {
        let map = self.0.pin();
        match map.get(key) {
            Some(Postings::One(p, _)) if p == primary => map.remove(key).is_some(),
            Some(Postings::Many(many)) => {
                let there = many.remove(primary.bytes());
                if many.0.is_empty() {
                    map.remove(key);
                }
                there
            }
            _ => false,
        }
    }
    fn each<'p>(&self, key: &[u8], after: Option<&[u8]>, pin: &'p Pin, f: &mut dyn FnMut(&Key, SlotRef<'p>) -> bool) {
        let map = self.0.pin();
        match map.get(key) {
            None => (),
            Some(Postings::One(p, slot)) => {
                if after.is_none_or(|a| p.bytes() > a) {
                    f(p, slot.under(pin));
                }
            }
            Some(Postings::Many(many)) => {
                let low = after.map_or(Bound::Unbounded, Bound::Excluded);
                for (p, slot) in many.0.range::<[u8], _>((low, Bound::Unbounded), pin.guard()) {
                    if !f(p, slot.under(pin)) {
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
    Ordered(OrderedIndex),
    Hash(HashIndex),
}

impl IndexStore {
    /// The bytes of a secondary entry.
    pub(crate) fn entry_key(index_key: &[u8], primary: &Key) -> Key {
        let mut bytes = Vec::with_capacity(index_key.len() + primary.bytes().len());
        bytes.extend_from_slice(index_key);
        bytes.extend_from_slice(primary.bytes());
        Key::new(&bytes)
    }
    /// Adds an entry, and gives what it takes; 0 if it was there.
    pub(crate) fn insert(&self, index_key: &[u8], primary: &Key, slot: SlotPtr) -> usize {
        match self {
            IndexStore::Rows => 0,
            IndexStore::Ordered(tree) => {
                let key = Self::entry_key(index_key, primary);
                let bytes = ORDERED_ENTRY_BYTES + key.heap_bytes();
                if tree.insert(key, slot) { bytes } else { 0 }
            }
            IndexStore::Hash(map) => {
                let key = Key::new(index_key);
                if map.insert(&key, primary, slot) { HASH_ENTRY_BYTES + key.heap_bytes() } else { 0 }
            }
        }
    }
    /// Removes an entry, and gives what it took; 0 if it was not there.
    pub(crate) fn remove(&self, index_key: &[u8], primary: &Key) -> usize {
        match self {
            IndexStore::Rows => 0,
            IndexStore::Ordered(tree) => {
                let key = Self::entry_key(index_key, primary);
                if tree.remove(key.bytes()) { ORDERED_ENTRY_BYTES + key.heap_bytes() } else { 0 }
            }
            IndexStore::Hash(map) => {
                let key = Key::new(index_key);
                if map.remove(index_key, primary) { HASH_ENTRY_BYTES + key.heap_bytes() } else { 0 }
            }
        }
    }
    /// Every entry of exactly this index key, by primary key, from the one after `after` on, until `f` says false.
    pub(crate) fn each_equal<'p>(&'p self, index_key: &'p [u8], after: Option<&[u8]>, pin: &'p Pin, f: &mut dyn FnMut(&[u8], SlotRef<'p>) -> bool) {
        match self {
            IndexStore::Rows => (),
            IndexStore::Ordered(tree) => {
                let high = upper_bound(index_key);
                for (key, slot) in tree.range(Bound::Included(index_key), Bound::Unbounded, pin) {
                    if high.as_ref().is_some_and(|h| key.bytes() >= &h[..]) {
                        return;
                    }
                    let primary = &key.bytes()[index_key.len()..];
                    if after.is_some_and(|a| primary <= a) {
                        continue;
                    }
                    if !f(primary, slot) {
                        return;
                    }
                }
            }
            IndexStore::Hash(map) => map.each(index_key, after, pin, &mut |p, slot| f(p.bytes(), slot)),
        }
    }
}
