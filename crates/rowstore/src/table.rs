//! One table in one partition: its parts, and the one way a change comes in.
//!
//! Owns:     rows, indexes, row locks, counters, the queue of what may soon be collected.
//! Promises: [`Table::apply`] is used by transactions, by recovery and by whoever replays a log: all leave the same rows, entries and counts.
//! Never:    checks whether a change may be made: see `write_set.rs`.

use crate::edition::Edition;
use crate::entries::Late;
use crate::heap::{Graveyard, NewStamp, NewVersion, Pin, SLOT_BYTES, SlotPtr, SlotRef, Stamp, VersionPtr, VersionRef};
use crate::index::IndexStore;
use crate::key::Key;
use crate::memory::{TableMemory, ordered_entry_bytes};
use crate::range::KeyRange;
use crate::samples::Samples;
use crate::schema::TableSchema;
use crate::tree::Tree;
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::collections::{HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use weald_catalog::TableRef;
use weald_txn::Txn;
use weald_types::memory::NodeMemory;
use weald_types::row::FieldRef;
use weald_types::{IndexId, SchemaVersion, TableId, Timestamp};

pub struct Table {
    id: TableId,
    /// The declared primary key. It stays the same as long as the table's id does.
    primary: Option<IndexId>,
    shape: RwLock<Arc<Shape>>,
    /// Every row, by primary key or hidden row id.
    pub(crate) rows: Tree,
    writer: Mutex<Writer>,
    pub(crate) memory: TableMemory,
    live_rows: AtomicI64,
    auto_increment: AtomicU64,
    last_row_id: AtomicU64,
    /// The rows stand for those of an older table only from here on: see [`Table::readable_from`].
    readable_from: AtomicU64,
    /// Whether the gate is not open: so that a transaction need not look into its other partitions for nothing.
    gated: AtomicBool,
}

/// What a definition says, and where its indexes are. Replaced whole, with the writer's mutex held.
pub(crate) struct Shape {
    pub schema: Arc<TableSchema>,
    /// One for each of the schema's indexes.
    pub stores: Vec<Arc<IndexStore>>,
    auto_increment: Option<usize>,
}

/// What only one writer at a time may touch.
#[derive(Default)]
pub(crate) struct Writer {
    pub yard: Graveyard,
    pub locks: HashMap<Key, RowLock, foldhash::fast::RandomState>,
    /// Rows with versions that nobody will need once the watermark has passed the timestamp. About in order of it.
    pub garbage: VecDeque<(Timestamp, Key)>,
    /// Transactions with changes or locks here.
    pub open: Vec<Arc<Txn>>,
    pub gate: Gate,
    /// Only the rows are kept up: see `restore.rs`.
    pub restoring: bool,
    /// Entries that are still to be made for rows of a loading statement.
    pub late: Late,
    /// The commits so far.
    pub edition: Edition,
    samples: Samples,
}

/// Who may begin to change a table. A transaction that has changes or locks in it already goes on until it ends, whatever the gate says: who closes the
/// gate waits for it, so keeping it out would be a deadlock.
#[derive(Default)]
pub(crate) enum Gate {
    #[default]
    Open,
    /// A change of definition is about to take the table's rows as they are: newcomers wait for its end.
    Held(Arc<Txn>),
    /// Dropped, truncated, or replaced by another table.
    Gone,
}

/// SELECT … FOR UPDATE, FOR SHARE. A row that a transaction has changed is locked by its uncommitted version and stands here only if it was locked before.
#[derive(Default)]
pub(crate) struct RowLock {
    pub exclusive: Option<Arc<Txn>>,
    pub shared: Vec<Arc<Txn>>,
}

/// One row's change: `bytes` is what it is now, `None` that it is gone.
#[derive(Clone, Copy, Debug)]
pub struct RowChange<'a> {
    pub key: &'a Key,
    /// The schema version `bytes` is laid out in.
    pub schema: SchemaVersion,
    pub bytes: Option<&'a [u8]>,
}

pub(crate) struct Applied {
    pub slot: SlotPtr,
    pub version: VersionPtr,
    /// What the table's row count changes by once the change is committed.
    pub delta: i8,
    /// An older version, or the row itself, can be collected some time after the commit.
    pub leaves_garbage: bool,
}

impl Table {
    pub fn new(def: TableRef, memory: Arc<NodeMemory>) -> Arc<Self> {
        let schema = Arc::new(TableSchema::new(def.clone()));
        Arc::new(Self {
            id: def.id,
            primary: schema.primary().map(|p| p.id),
            shape: RwLock::new(Arc::new(Shape::new(schema, None))),
            rows: Tree::default(),
            writer: Mutex::default(),
            memory: TableMemory::new(memory),
            live_rows: AtomicI64::new(0),
            auto_increment: AtomicU64::new(def.auto_increment_start.saturating_sub(1)),
            last_row_id: AtomicU64::new(0),
            readable_from: AtomicU64::new(0),
            gated: AtomicBool::new(false),
        })
    }
    /// The right to change the table, which has all its entries.
    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        let mut w = self.writer.lock();
        w.late.loading = false;
        if !w.late.is_empty() {
            self.make_late_entries(&mut w, &self.shape(), &Pin::new());
        }
        w
    }
    /// The right to add rows. Their entries may come later, at the latest when somebody asks for [`Table::writer`].
    pub(crate) fn loading_writer(&self) -> MutexGuard<'_, Writer> {
        let mut w = self.writer.lock();
        w.late.loading = true;
        w
    }
    /// For what has nothing to do with entries.
    pub(crate) fn writer_as_it_is(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock()
    }
    pub fn id(&self) -> TableId {
        self.id
    }
    /// The definition now. Take it once a statement.
    pub fn schema(&self) -> Arc<TableSchema> {
        self.shape.read().schema.clone()
    }
    pub(crate) fn shape(&self) -> Arc<Shape> {
        self.shape.read().clone()
    }
    pub(crate) fn is_primary(&self, index: IndexId) -> bool {
        self.primary == Some(index)
    }
    pub(crate) fn has_primary(&self) -> bool {
        self.primary.is_some()
    }
    pub fn memory(&self) -> &TableMemory {
        &self.memory
    }
    /// Committed rows.
    pub fn row_count(&self) -> u64 {
        self.live_rows.load(Relaxed).max(0) as u64
    }
    pub(crate) fn count_rows(&self, delta: i64) {
        self.live_rows.fetch_add(delta, Relaxed);
    }
    /// The greatest value ever stored in the AUTO_INCREMENT column, committed or not, or one less than where it was told to start; 0 for none.
    pub fn auto_increment_seen(&self) -> u64 {
        self.auto_increment.load(Relaxed)
    }
    /// From a snapshot, or ALTER TABLE … AUTO_INCREMENT = n.
    pub fn raise_auto_increment_seen(&self, seen: u64) {
        self.auto_increment.fetch_max(seen, Relaxed);
    }
    /// The last hidden row id given out.
    pub fn last_row_id(&self) -> u64 {
        self.last_row_id.load(Relaxed)
    }
    pub fn raise_last_row_id(&self, id: u64) {
        self.last_row_id.fetch_max(id, Relaxed);
    }
    pub(crate) fn next_row_id(&self) -> Key {
        Key::new(&(self.last_row_id.fetch_add(1, Relaxed) + 1).to_be_bytes())
    }
    /// Up to `parts` ranges of about equal size, in order, that together are all rows: for [`crate::Cursor::rows`].
    pub fn split(&self, parts: usize) -> Vec<KeyRange> {
        self.writer_as_it_is().samples.split(parts)
    }
    /// Changes that came from transactions which have not ended.
    pub fn open_transactions(&self) -> Vec<Arc<Txn>> {
        self.writer_as_it_is().open.clone()
    }
    /// Closes the gate: see [`Gate`]. False if somebody else holds it, or the table is gone.
    pub fn hold(&self, by: &Arc<Txn>) -> bool {
        let mut w = self.writer();
        match &w.gate {
            Gate::Open => {
                w.gate = Gate::Held(by.clone());
                self.gated.store(true, SeqCst);
                true
            }
            Gate::Held(holder) => Arc::ptr_eq(holder, by),
            Gate::Gone => false,
        }
    }
    /// Opens the gate again: the change of definition did not happen, or leaves the table in place. End `by` and wake its waiters afterwards.
    pub fn release(&self, by: &Arc<Txn>) {
        let mut w = self.writer();
        if matches!(&w.gate, Gate::Held(holder) if Arc::ptr_eq(holder, by)) {
            w.gate = Gate::Open;
            self.gated.store(false, SeqCst);
        }
    }
    /// The table is no more: every change is refused from here on.
    pub fn retire(&self) {
        let mut w = self.writer();
        w.gate = Gate::Gone;
        self.gated.store(true, SeqCst);
    }
    pub fn is_gated(&self) -> bool {
        self.gated.load(SeqCst)
    }
    /// Snapshots before this time cannot be read here: the rows were copied out of another table, or taken away with it, and what they were then is not known.
    pub fn readable_from(&self) -> Timestamp {
        Timestamp::new(self.readable_from.load(SeqCst))
    }
    pub fn set_readable_from(&self, at: Timestamp) {
        self.readable_from.store(at.raw(), SeqCst);
    }
    /// A new version of the definition. Indexes with known ids keep their entries; new ones are empty, and maintained from this moment on; those that are
    /// gone are forgotten.
    pub fn change_definition(&self, def: TableRef) {
        debug_assert_eq!(def.id, self.id);
        let schema = Arc::new(TableSchema::new(def.clone()));
        debug_assert_eq!(schema.primary().map(|p| p.id), self.primary, "another primary key needs another table");
        let mut w = self.writer();
        let old = self.shape();
        let new = Arc::new(Shape::new(schema, Some(&old)));
        *self.shape.write() = new.clone();
        self.raise_auto_increment_seen(def.auto_increment_start.saturating_sub(1));
        // Entries of a dropped index are no longer counted. Its memory goes when the last reader lets go of the old shape.
        let gone: Vec<usize> = (0..old.stores.len()).filter(|i| !new.stores.iter().any(|s| Arc::ptr_eq(s, &old.stores[*i]))).collect();
        if !gone.is_empty() {
            self.uncount(&mut w, &old, &gone);
        }
    }
    /// Takes the entries of some indexes out of the count, by taking them out of the indexes.
    fn uncount(&self, w: &mut Writer, shape: &Shape, positions: &[usize]) {
        let pin = Pin::new();
        let mut scratch = Vec::new();
        for (key, slot) in self.rows.forward(Bound::Unbounded, Bound::Unbounded, &pin) {
            let key = Key::new(key);
            for v in slot.versions().filter(|v| !v.is_tombstone()) {
                for i in positions {
                    scratch.clear();
                    shape.schema.indexes()[*i].encode(&shape.schema, v.schema(), v.bytes(), &mut scratch);
                    self.memory.remove(shape.stores[*i].remove(&mut scratch, &key, &mut w.yard));
                }
            }
        }
    }

    /// Makes one change: the new version on top of the row's chain, its entries in every index, the counts. The caller has made sure that it may be made.
    ///
    /// This is the only way a row gets in, changes or goes, whoever asks: a statement, recovery, a replayed log. `slot` is the row's, if there is one.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn apply(
        &self,
        w: &mut Writer,
        shape: &Shape,
        pin: &Pin,
        change: RowChange<'_>,
        slot: Option<SlotRef<'_>>,
        stamp: NewStamp<'_>,
        watermark: Timestamp,
    ) -> Applied {
        if let (Some(column), Some(bytes)) = (shape.auto_increment, change.bytes) {
            match shape.schema.field(change.schema, bytes, column) {
                FieldRef::Int(v) if v > 0 => self.raise_auto_increment_seen(v as u64),
                FieldRef::UInt(v) => self.raise_auto_increment_seen(v),
                FieldRef::Double(v) if v >= 1.0 => self.raise_auto_increment_seen(v as u64),
                _ => (),
            }
        }
        let live = change.bytes.is_some() as i8;
        let mut new = NewVersion { stamp, schema: change.schema, bytes: change.bytes, keys_changed: false };
        let Some(slot) = slot else {
            if !self.has_primary()
                && let Ok(id) = change.key.bytes().try_into()
            {
                self.raise_last_row_id(u64::from_be_bytes(id));
            }
            let (slot, version) = SlotPtr::new(&new);
            self.memory.add(SLOT_BYTES + version.of_writer(pin).size() + ordered_entry_bytes(change.key.bytes()));
            self.rows.insert(change.key.bytes(), slot, &mut w.yard);
            w.samples.note(change.key);
            self.enter(w, shape, pin, change, slot);
            w.yard.release_many(pin);
            return Applied { slot, version, delta: live, leaves_garbage: live == 0 };
        };
        let prev = slot.head().filter(|v| !v.is_tombstone());
        let changed = if w.restoring { Vec::new() } else { self.changed_keys(shape, prev, change) };
        new.keys_changed = w.restoring || prev.is_none() || change.bytes.is_none() || !changed.is_empty();
        let version = slot.push(&mut w.yard, &new);
        self.memory.add(version.of_writer(pin).size());
        for (i, mut key) in changed {
            self.memory.add(shape.stores[i].insert(&mut key, change.key, slot.ptr(), &mut w.yard));
        }
        let ptr = slot.ptr();
        self.prune(w, shape, change.key, slot, watermark);
        w.yard.release_many(pin);
        Applied { slot: ptr, version, delta: live - prev.is_some() as i8, leaves_garbage: true }
    }

    /// Entries of a row that is new.
    fn enter(&self, w: &mut Writer, shape: &Shape, pin: &Pin, change: RowChange<'_>, slot: SlotPtr) {
        let Some(bytes) = change.bytes.filter(|_| !w.restoring) else { return };
        let mut scratch = Vec::new();
        for (index, store) in shape.secondary() {
            if w.late.takes(index, store) {
                let append = |out: &mut Vec<u8>| {
                    index.encode(&shape.schema, change.schema, bytes, out);
                };
                w.late.push(index.id, append, change.key.bytes(), slot);
                continue;
            }
            scratch.clear();
            index.encode(&shape.schema, change.schema, bytes, &mut scratch);
            self.memory.add(store.insert(&mut scratch, change.key, slot, &mut w.yard));
        }
        self.make_late_entries_of_many(w, shape, pin);
    }

    /// The index keys that the new bytes have and the previous version has not, with their index's position.
    fn changed_keys(&self, shape: &Shape, prev: Option<VersionRef<'_>>, change: RowChange<'_>) -> Vec<(usize, Vec<u8>)> {
        let Some(bytes) = change.bytes else { return Vec::new() };
        let mut changed = Vec::new();
        let (mut new, mut old) = (Vec::new(), Vec::new());
        for (i, (index, store)) in shape.schema.indexes().iter().zip(&shape.stores).enumerate() {
            if matches!(**store, IndexStore::Rows) {
                continue;
            }
            new.clear();
            index.encode(&shape.schema, change.schema, bytes, &mut new);
            if let Some(prev) = prev {
                old.clear();
                index.encode(&shape.schema, prev.schema(), prev.bytes(), &mut old);
                if old == new {
                    continue;
                }
            }
            changed.push((i, new.clone()));
        }
        changed
    }

    /// Takes back the newest version of a row, which its writer made.
    pub(crate) fn undo(&self, w: &mut Writer, shape: &Shape, pin: &Pin, key: &Key, slot: SlotRef<'_>, version: VersionPtr) {
        let v = version.of_writer(pin);
        let rest: Vec<VersionRef<'_>> = slot.versions().skip(1).collect();
        if v.keys_changed() || rest.is_empty() {
            self.remove_entries(w, shape, key, &[v], &rest);
        }
        self.memory.remove(slot.pop(&mut w.yard, version));
        if rest.is_empty() {
            self.remove_row(w, key, slot);
        }
        w.yard.release_many(pin);
    }

    /// Takes away the versions of a row that no reader at or above the watermark needs, and the row if it has long been deleted.
    pub(crate) fn prune(&self, w: &mut Writer, shape: &Shape, key: &Key, slot: SlotRef<'_>, watermark: Timestamp) {
        // The newest version at or below the watermark is what the oldest reader sees. A writer that has committed but not stamped yet does not count:
        // it is still going to touch its older versions.
        let mut above = None;
        let mut seen = None;
        for v in slot.versions() {
            match v.stamp() {
                Stamp::At(ts) if ts <= watermark => {
                    seen = Some(v);
                    break;
                }
                Stamp::At(_) | Stamp::By(_) => above = Some(v),
            }
        }
        let Some(seen) = seen else { return };
        // "Deleted" is seen just as well where nothing is.
        let keep = if seen.is_tombstone() { above } else { Some(seen) };
        let first_cut = match keep {
            Some(v) => v.prev(),
            None => slot.head(),
        };
        let Some(first_cut) = first_cut else { return };
        let cut: Vec<VersionRef<'_>> = std::iter::successors(Some(first_cut), |v| v.prev()).collect();
        let keys_may_go = seen.is_tombstone() || seen.keys_changed() || cut[..cut.len() - 1].iter().any(|v| v.keys_changed());
        if keys_may_go {
            let kept: Vec<VersionRef<'_>> = match keep {
                Some(_) => slot.versions().take_while(|v| !v.is_same(first_cut)).collect(),
                None => Vec::new(),
            };
            self.remove_entries(w, shape, key, &cut, &kept);
        }
        self.memory.remove(slot.cut(&mut w.yard, keep));
        if keep.is_none() {
            self.remove_row(w, key, slot);
        }
    }

    /// Removes the entries that `gone` versions have and `rest` have not.
    fn remove_entries(&self, w: &mut Writer, shape: &Shape, key: &Key, gone: &[VersionRef<'_>], rest: &[VersionRef<'_>]) {
        if w.restoring {
            return;
        }
        let encode = |i: usize, v: &VersionRef<'_>| {
            let mut bytes = Vec::new();
            shape.schema.indexes()[i].encode(&shape.schema, v.schema(), v.bytes(), &mut bytes);
            bytes
        };
        for (i, store) in shape.stores.iter().enumerate() {
            if matches!(**store, IndexStore::Rows) {
                continue;
            }
            let kept: Vec<Vec<u8>> = rest.iter().filter(|v| !v.is_tombstone()).map(|v| encode(i, v)).collect();
            for v in gone.iter().filter(|v| !v.is_tombstone()) {
                let mut bytes = encode(i, v);
                if !kept.contains(&bytes) {
                    self.memory.remove(store.remove(&mut bytes, key, &mut w.yard));
                }
            }
        }
    }

    fn remove_row(&self, w: &mut Writer, key: &Key, slot: SlotRef<'_>) {
        self.rows.remove(key.bytes(), &mut w.yard);
        self.memory.remove(slot.bury(&mut w.yard) + ordered_entry_bytes(key.bytes()));
    }
}

impl Shape {
    fn new(schema: Arc<TableSchema>, old: Option<&Shape>) -> Self {
        let primary = schema.primary().map(|p| p.id);
        let known = |id: IndexId, hash: bool| {
            let old = old?;
            let i = old.schema.indexes().iter().position(|i| i.id == id && i.hash == hash)?;
            Some(old.stores[i].clone())
        };
        let stores = (schema.indexes().iter())
            .map(|i| {
                known(i.id, i.hash).unwrap_or_else(|| {
                    Arc::new(match (i.hash, primary == Some(i.id)) {
                        (true, _) => IndexStore::Hash(Default::default()),
                        (false, true) => IndexStore::Rows,
                        (false, false) => IndexStore::Ordered(Default::default()),
                    })
                })
            })
            .collect();
        let auto_increment = schema.def().columns.iter().position(|c| c.auto_increment);
        Self { schema, stores, auto_increment }
    }
    pub(crate) fn position(&self, index: IndexId) -> Option<usize> {
        self.schema.indexes().iter().position(|i| i.id == index)
    }
    /// The indexes that have entries of their own.
    pub(crate) fn secondary(&self) -> impl Iterator<Item = (&crate::schema::IndexSchema, &IndexStore)> {
        self.schema.indexes().iter().zip(self.stores.iter().map(|s| &**s)).filter(|(_, s)| !matches!(s, IndexStore::Rows))
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let pin = Pin::new();
        // No reader and no write set is left: each would hold the table.
        for (_, slot) in self.rows.forward(Bound::Unbounded, Bound::Unbounded, &pin) {
            slot.ptr().free_with_versions();
        }
    }
}

/// A table under the definition that a statement was planned for: what the table becomes meanwhile does not change how the statement reads its rows, and
/// a change made for this definition is refused once there is another.
pub struct OpenTable {
    table: Arc<Table>,
    schema: Arc<TableSchema>,
}

impl OpenTable {
    /// Under its definition of this moment.
    pub fn new(table: Arc<Table>) -> Self {
        let schema = table.schema();
        Self { table, schema }
    }
    pub fn schema(&self) -> &Arc<TableSchema> {
        &self.schema
    }
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }
}

impl std::ops::Deref for OpenTable {
    type Target = Table;
    fn deref(&self) -> &Table {
        &self.table
    }
}

impl std::fmt::Debug for OpenTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.table.fmt(f)
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({}, {} rows)", self.id, self.row_count())
    }
}
