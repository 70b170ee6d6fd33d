//! Reading a table at a snapshot.
//!
//! Owns:     nothing; borrows rows for the length of a call.
//! Promises: takes no lock; each row visible at the snapshot is given once, with the bytes it had then.
//! Never:    waits: says whose end to wait for.
//!
//! An entry of a secondary index may be stale, or too new: it says that some version of the row has (or had) this key. The version that the snapshot sees
//! is found through the slot, its key is made again and compared; exactly one entry of each index fits, so a row comes once.

use crate::heap::{Pin, SlotRef, Stamp, VersionRef};
use crate::index::IndexStore;
use crate::key::{Key, RowHandle};
use crate::range::{Cursor, Direction};
use crate::table::{Shape, Table};
use crate::tree::Tree;
use std::cell::RefCell;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use weald_txn::{Txn, TxnState, Verdict, judge};
use weald_types::{IndexId, SchemaVersion, Timestamp};

/// Who reads, and at which time.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub at: Timestamp,
    /// The reader's own transaction, whose writes it sees.
    pub own: Option<&'a Txn>,
}

/// What came of a read.
#[derive(Debug)]
pub enum Read<T> {
    Ready(T),
    /// A writer is about to commit at or below the snapshot: read again once it has ended.
    Blocked(Arc<Txn>),
    /// The index has been dropped meanwhile: what it led to is not known.
    IndexGone,
}

/// Takes a row as it was and as it is.
pub type Changed<'f> = dyn FnMut(Option<StoredRow<'_>>, Option<StoredRow<'_>>) -> ControlFlow<()> + Send + 'f;

/// Where a scan stands after a batch.
#[derive(Debug)]
pub enum Step {
    Done,
    /// The budget is used up, or the callback broke off.
    More,
    /// As [`Read::Blocked`]; everything before it was given.
    Blocked(Arc<Txn>),
    /// As [`Read::IndexGone`]; rows may be missing among those just given.
    IndexGone,
}

/// A row, for as long as it is being looked at.
#[derive(Clone, Copy, Debug)]
pub struct StoredRow<'a> {
    pub bytes: &'a [u8],
    /// The schema version it is stored in.
    pub version: SchemaVersion,
    /// Of the row: its primary key, or hidden row id.
    key: &'a [u8],
}
impl<'a> StoredRow<'a> {
    /// A row's bytes that another node has sent, which are nowhere in a table here: it has no handle.
    pub fn sent(version: SchemaVersion, bytes: &'a [u8]) -> Self {
        Self { bytes, version, key: &[] }
    }
    pub fn handle(&self) -> RowHandle {
        RowHandle::new(self.key)
    }
    /// The handle's bytes, without making one.
    pub fn handle_bytes(&self) -> &[u8] {
        self.key
    }
}

pub(crate) enum Visible<'p> {
    Row(VersionRef<'p>),
    Nothing,
    Blocked(Arc<Txn>),
}

impl<'p> Visible<'p> {
    fn row(self) -> Option<VersionRef<'p>> {
        match self {
            Visible::Row(v) => Some(v),
            Visible::Nothing | Visible::Blocked(_) => None,
        }
    }
}

/// How often a reader looks again at a writer that is taking its timestamp, before it goes to sleep until that writer's end. Waiting is always right;
/// looking again is cheaper, as the writer needs a few instructions.
const SPINS: u32 = 200;

pub(crate) fn visible<'p>(slot: SlotRef<'p>, view: View<'_>) -> Visible<'p> {
    for v in slot.versions() {
        let verdict = match v.stamp() {
            Stamp::At(ts) if ts <= view.at => Verdict::Visible,
            Stamp::At(_) => Verdict::PassBy,
            Stamp::By(writer) => {
                let own = view.own.is_some_and(|own| writer.is(own));
                let mut state = writer.state();
                let mut spins = 0;
                while state == TxnState::Pending && !own && spins < SPINS {
                    std::hint::spin_loop();
                    spins += 1;
                    state = writer.state();
                }
                match judge(state, own, view.at) {
                    Verdict::Wait => return Visible::Blocked(writer.to_arc()),
                    verdict => verdict,
                }
            }
        };
        if verdict == Verdict::Visible {
            return if v.is_tombstone() { Visible::Nothing } else { Visible::Row(v) };
        }
    }
    Visible::Nothing
}

pub(crate) fn stored<'a>(v: VersionRef<'a>, key: &'a [u8]) -> StoredRow<'a> {
    StoredRow { bytes: v.bytes(), version: v.schema(), key }
}

thread_local! {
    /// Where keys are made again for comparison.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Whether the version has this index key.
fn has_key(shape: &Shape, position: usize, v: VersionRef<'_>, index_key: &[u8]) -> bool {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        shape.schema.indexes()[position].encode(&shape.schema, v.schema(), v.bytes(), scratch);
        scratch[..] == *index_key
    })
}

/// If the version's index key is what the entry begins with: how long it is.
fn key_length(shape: &Shape, position: usize, v: VersionRef<'_>, entry: &[u8]) -> Option<usize> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        shape.schema.indexes()[position].encode(&shape.schema, v.schema(), v.bytes(), scratch);
        entry.starts_with(scratch).then_some(scratch.len())
    })
}

impl Table {
    /// The row with this key: all parts of a unique index's key.
    pub fn get<R>(&self, index: IndexId, key: &[u8], view: View<'_>, f: impl FnOnce(StoredRow<'_>) -> R) -> Read<Option<R>> {
        let pin = Pin::new();
        if self.is_primary(index) {
            return match self.rows.get(key, &pin) {
                None => Read::Ready(None),
                Some(slot) => match visible(slot, view) {
                    Visible::Row(v) => Read::Ready(Some(f(stored(v, key)))),
                    Visible::Nothing => Read::Ready(None),
                    Visible::Blocked(writer) => Read::Blocked(writer),
                },
            };
        }
        let shape = self.shape();
        let Some(position) = shape.position(index) else { return Read::IndexGone };
        let mut f = Some(f);
        let mut answer = Read::Ready(None);
        shape.stores[position].each_equal(key, None, &pin, &mut |primary, slot| match visible(slot, view) {
            Visible::Row(v) if has_key(&shape, position, v, key) => {
                answer = Read::Ready(f.take().map(|f| f(stored(v, primary))));
                false
            }
            Visible::Row(_) | Visible::Nothing => true,
            Visible::Blocked(writer) => {
                answer = Read::Blocked(writer);
                false
            }
        });
        match answer {
            Read::Ready(None) if self.lost(&shape, index) => Read::IndexGone,
            answer => answer,
        }
    }

    /// Whether the index has been dropped since `shape` was taken: its entries are being taken away, so that one may have been missed. A definition is
    /// replaced before entries go, so who finds it in place afterwards has missed none.
    fn lost(&self, shape: &Arc<Shape>, index: IndexId) -> bool {
        let now = self.shape();
        !Arc::ptr_eq(shape, &now) && now.position(index).is_none()
    }

    /// The row that a handle names, as `view` sees it.
    pub fn read_row<R>(&self, row: &RowHandle, view: View<'_>, f: impl FnOnce(StoredRow<'_>) -> R) -> Read<Option<R>> {
        let pin = Pin::new();
        match self.rows.get(row.bytes(), &pin).map(|slot| visible(slot, view)) {
            Some(Visible::Row(v)) => Read::Ready(Some(f(stored(v, row.bytes())))),
            None | Some(Visible::Nothing) => Read::Ready(None),
            Some(Visible::Blocked(writer)) => Read::Blocked(writer),
        }
    }

    /// Gives the next rows of a scan, at most about `budget` entries' worth of work. After `Break` the scan stands behind the row just given.
    /// A hash index gives rows of exactly the key that the range begins with.
    pub fn scan_batch(&self, cursor: &mut Cursor, view: View<'_>, budget: usize, f: &mut dyn FnMut(StoredRow<'_>) -> ControlFlow<()>) -> Step {
        if cursor.done {
            return Step::Done;
        }
        let step = match cursor.index {
            Some(index) if !self.is_primary(index) => self.scan_secondary(index, cursor, view, budget, f),
            Some(_) | None => self.scan_rows(cursor, view, budget, f),
        };
        cursor.done = matches!(step, Step::Done);
        step
    }

    fn scan_rows(&self, cursor: &mut Cursor, view: View<'_>, budget: usize, f: &mut dyn FnMut(StoredRow<'_>) -> ControlFlow<()>) -> Step {
        let pin = Pin::new();
        walk(&self.rows, cursor, &pin, budget, &mut |key, slot| match visible(slot, view) {
            Visible::Row(v) => Passed::Gave(f(stored(v, key))),
            Visible::Nothing => Passed::Gave(ControlFlow::Continue(())),
            Visible::Blocked(writer) => Passed::Blocked(writer),
        })
    }

    fn scan_secondary(
        &self,
        index: IndexId,
        cursor: &mut Cursor,
        view: View<'_>,
        budget: usize,
        f: &mut dyn FnMut(StoredRow<'_>) -> ControlFlow<()>,
    ) -> Step {
        let pin = Pin::new();
        let shape = self.shape();
        let Some(position) = shape.position(index) else { return Step::IndexGone };
        let step = match &*shape.stores[position] {
            IndexStore::Rows => Step::Done,
            IndexStore::Ordered(tree) => walk(tree, cursor, &pin, budget, &mut |entry, slot| match visible(slot, view) {
                Visible::Row(v) => match key_length(&shape, position, v, entry) {
                    Some(length) => Passed::Gave(f(stored(v, &entry[length..]))),
                    None => Passed::Gave(ControlFlow::Continue(())),
                },
                Visible::Nothing => Passed::Gave(ControlFlow::Continue(())),
                Visible::Blocked(writer) => Passed::Blocked(writer),
            }),
            store @ IndexStore::Hash(_) => {
                let (key, after) = (cursor.range.low.clone(), cursor.passed.clone());
                let mut step = Step::Done;
                let mut left = budget.max(1);
                store.each_equal(&key, after.as_ref().map(Key::bytes), &pin, &mut |primary, slot| {
                    if left == 0 {
                        step = Step::More;
                        return false;
                    }
                    left -= 1;
                    let row = match visible(slot, view) {
                        Visible::Row(v) if has_key(&shape, position, v, &key) => Some(v),
                        Visible::Row(_) | Visible::Nothing => None,
                        Visible::Blocked(writer) => {
                            step = Step::Blocked(writer);
                            return false;
                        }
                    };
                    cursor.passed = Some(Key::new(primary));
                    if let Some(v) = row
                        && f(stored(v, primary)).is_break()
                    {
                        step = Step::More;
                        return false;
                    }
                    true
                });
                step
            }
        };
        if self.lost(&shape, index) { Step::IndexGone } else { step }
    }

    /// About how many entries a cursor has before it. Looks at some nodes of the index, and at no row.
    pub fn about(&self, cursor: &Cursor) -> u64 {
        if cursor.done {
            return 0;
        }
        let pin = Pin::new();
        let within = |tree: &Tree| {
            let Bounds { low, high } = Bounds::of(cursor, cursor.passed.as_ref());
            let before = |bound: Bound<&[u8]>, open: f64| match bound {
                Bound::Included(key) | Bound::Excluded(key) => tree.part_before(key, &pin),
                Bound::Unbounded => open,
            };
            ((before(high, 1.0) - before(low, 0.0)).max(0.0) * self.row_count() as f64).ceil() as u64
        };
        match cursor.index {
            None => within(&self.rows),
            Some(index) if self.is_primary(index) => within(&self.rows),
            Some(index) => {
                let shape = self.shape();
                match shape.position(index).map(|p| &*shape.stores[p]) {
                    Some(IndexStore::Ordered(tree)) => within(tree),
                    // It is asked for single keys.
                    Some(IndexStore::Hash(_)) => 1,
                    Some(IndexStore::Rows) | None => self.row_count(),
                }
            }
        }
    }

    /// What became of the rows between two times: gives each row that differs, as it was at `since` and as it is at `view`'s time; `None` is "not there".
    /// Hold snapshots of both times, so that neither is collected. The budget and the cursor (over rows, forward) are those of [`Table::scan_batch`].
    pub fn scan_changes(&self, cursor: &mut Cursor, since: Timestamp, view: View<'_>, budget: usize, f: &mut Changed<'_>) -> Step {
        if cursor.done {
            return Step::Done;
        }
        let pin = Pin::new();
        let step = walk(&self.rows, cursor, &pin, budget, &mut |key, slot| {
            let (before, after) = match (visible(slot, View { at: since, own: None }), visible(slot, view)) {
                (Visible::Blocked(writer), _) | (_, Visible::Blocked(writer)) => return Passed::Blocked(writer),
                (Visible::Nothing, Visible::Nothing) => return Passed::Gave(ControlFlow::Continue(())),
                (Visible::Row(b), Visible::Row(a)) if b.is_same(a) => return Passed::Gave(ControlFlow::Continue(())),
                (before, after) => (before.row(), after.row()),
            };
            Passed::Gave(f(before.map(|v| stored(v, key)), after.map(|v| stored(v, key))))
        });
        cursor.done = matches!(step, Step::Done);
        step
    }
}

/// What of its range a cursor has not passed yet.
pub(crate) struct Bounds<'a> {
    pub low: Bound<&'a [u8]>,
    pub high: Bound<&'a [u8]>,
}

impl<'a> Bounds<'a> {
    pub fn of(cursor: &'a Cursor, passed: Option<&'a Key>) -> Self {
        let after = passed.map(|k| Bound::Excluded(k.bytes()));
        let low = if cursor.range.low.is_empty() { Bound::Unbounded } else { Bound::Included(&cursor.range.low[..]) };
        let high = cursor.range.high.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        match cursor.direction {
            Direction::Forward => Self { low: after.unwrap_or(low), high },
            Direction::Backward => Self { low, high: after.unwrap_or(high) },
        }
    }
}

enum Passed {
    Gave(ControlFlow<()>),
    Blocked(Arc<Txn>),
}

/// From where the cursor stands through the tree in its direction.
fn walk<'p>(tree: &'p Tree, cursor: &mut Cursor, pin: &'p Pin, budget: usize, visit: &mut dyn FnMut(&'p [u8], SlotRef<'p>) -> Passed) -> Step {
    // The key is held, not borrowed from the cursor, which is about to move.
    let passed = cursor.passed.clone();
    let Bounds { low, high } = Bounds::of(cursor, passed.as_ref());
    let (mut forward, mut backward);
    let entries: &mut dyn Iterator<Item = (&'p [u8], SlotRef<'p>)> = match cursor.direction {
        Direction::Forward => {
            forward = tree.forward(low, high, pin);
            &mut forward
        }
        Direction::Backward => {
            backward = tree.backward(low, high, pin);
            &mut backward
        }
    };
    let mut last = None;
    let mut step = Step::Done;
    let mut left = budget.max(1);
    for (key, slot) in entries {
        match visit(key, slot) {
            Passed::Gave(flow) => {
                last = Some(key);
                left -= 1;
                if flow.is_break() || left == 0 {
                    step = Step::More;
                    break;
                }
            }
            Passed::Blocked(writer) => {
                step = Step::Blocked(writer);
                break;
            }
        }
    }
    if let Some(key) = last {
        cursor.passed = Some(Key::new(key));
    }
    step
}
