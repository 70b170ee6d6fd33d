//! Filling an index that was added to a table with rows in it.
//!
//! Owns:     nothing.
//! Promises: when it is done, every version of every row that anyone can still see has its entry; a unique index has no duplicate.
//! Never:    stops writers for longer than a batch.
//!
//! The index was added, empty, with the writer's mutex held: every version made since then has entered itself. What is left are the versions made before,
//! and all of those are found by walking the rows once. Old versions are entered too, for readers whose snapshot is older than the index.

use crate::heap::{Pin, Stamp};
use crate::key::Key;
use crate::table::{Gate, Table};
use crate::write_set::{Asking, DuplicateRow, Refusal};
use std::ops::Bound;
use std::sync::Arc;
use weald_txn::{Txn, TxnState};
use weald_types::{Fault, IndexId};

/// How far the filling has come.
#[derive(Clone, Debug, Default)]
pub struct FillPosition {
    passed: Option<Key>,
}

#[derive(Debug)]
pub enum FillStep {
    Done,
    More,
    /// Whether a key is a duplicate depends on how this transaction ends.
    Blocked(Arc<Txn>),
    Duplicate(DuplicateRow),
    Fault(Fault),
}

impl Table {
    /// Enters the next `most` rows.
    pub fn fill_index(self: &Arc<Self>, index: IndexId, position: &mut FillPosition, most: usize) -> FillStep {
        let pin = Pin::new();
        let mut w = self.writer();
        if matches!(w.gate, Gate::Gone) {
            return FillStep::Fault(Fault::SchemaChanged);
        }
        let shape = self.shape();
        let Some(at) = shape.position(index) else { return FillStep::Fault(Fault::SchemaChanged) };
        let (index, store) = (&shape.schema.indexes()[at], &shape.stores[at]);
        let asks = Asking { table: self, shape: &shape, pin: &pin, txn: None };
        let passed = position.passed.clone();
        let low = passed.as_ref().map_or(Bound::Unbounded, |k| Bound::Excluded(k.bytes()));
        let mut bytes = Vec::new();
        for (n, (key, slot)) in self.rows.forward(low, Bound::Unbounded, &pin).enumerate() {
            if n == most {
                return FillStep::More;
            }
            if let Err(fault) = self.memory.node().admit_row() {
                return FillStep::Fault(fault);
            }
            let key = Key::new(key);
            for v in slot.versions().filter(|v| !v.is_tombstone()) {
                bytes.clear();
                index.encode(&shape.schema, v.schema(), v.bytes(), &mut bytes);
                self.memory.add(store.insert(&mut bytes, &key, slot.ptr(), &mut w.yard));
            }
            if index.unique {
                // What the row is now, and what it will be if its writer commits; not what it was.
                for v in slot.versions() {
                    bytes.clear();
                    if !v.is_tombstone()
                        && !index.encode(&shape.schema, v.schema(), v.bytes(), &mut bytes)
                        && let Err(refusal) = asks.key_free(at, &bytes, &key)
                    {
                        return match refusal {
                            Refusal::Duplicate(row) => FillStep::Duplicate(row),
                            Refusal::Wait(writer) => FillStep::Blocked(writer),
                            Refusal::Fault(fault) => FillStep::Fault(fault),
                            Refusal::Conflict | Refusal::Gone => FillStep::Fault(Fault::SchemaChanged),
                        };
                    }
                    let committed = match v.stamp() {
                        Stamp::At(_) => true,
                        Stamp::By(writer) => matches!(writer.state(), TxnState::Committed(_)),
                    };
                    if committed {
                        break;
                    }
                }
            }
            w.yard.release_many(&pin);
            position.passed = Some(key);
        }
        FillStep::Done
    }
}
