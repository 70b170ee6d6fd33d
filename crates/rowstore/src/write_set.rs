//! What one transaction has changed and locked in one partition's tables.
//!
//! Owns:     its uncommitted versions and row locks, until they are committed or taken back; with them the reference to the [`Txn`] that stamps name.
//! Promises: a change is made whole (row, entries, counts) or refused without a trace. Dropped unfinished, everything is taken back.
//! Never:    waits, logs, or takes a timestamp: its owner does, in the order that `partition` prescribes.
//!
//! Who may change a row, decided under the table's mutex by the row's newest version:
//!
//! - it is ours: yes, unless we deleted it.
//! - another transaction wrote it and has not ended (or is just being taken back): wait for its end.
//! - it was committed after our read timestamp: conflict. First committer wins, which is what makes this snapshot isolation.
//! - otherwise yes, unless another transaction holds a lock on the row: wait for its end.
//!
//! An insert asks for less: it needs the key to be free *now*, whenever that came to be, as in InnoDB. A key is taken if a committed version has it that
//! no uncommitted one replaces; if an uncommitted version of another transaction gives or takes the key, wait for its end. A key with a NULL part is
//! always free. Checks and change are one critical section, so two transactions never both find a key free.

use crate::heap::{MAX_ROW_BYTES, NewStamp, Pin, SlotPtr, SlotRef, Stamp, VersionPtr, VersionRef};
use crate::index::IndexStore;
use crate::key::{Key, RowHandle};
use crate::table::{Gate, RowChange, Shape, Table, Writer};
use std::sync::Arc;
use weald_txn::{Snapshots, Txn, TxnState};
use weald_types::{Fault, IndexId, SchemaVersion, TableId, Timestamp};

/// Rows of garbage that each change looks at: more than it can make.
const COLLECT_PER_CHANGE: usize = 3;

pub struct WriteSet {
    txn: Arc<Txn>,
    snapshots: Arc<Snapshots>,
    tables: Vec<Arc<Table>>,
    changes: Vec<Change>,
    locks: Vec<(u32, Key)>,
    /// So many of the changes are in the log already.
    logged: usize,
    /// Of the others.
    unlogged_bytes: usize,
    /// Entries of rows that were loaded may be missing.
    late: bool,
}

struct Change {
    /// When it was made, among all changes of the transaction in all partitions.
    number: u64,
    table: u32,
    delta: i8,
    leaves_garbage: bool,
    key: Key,
    slot: SlotPtr,
    version: VersionPtr,
}

/// Why a change was not made.
#[derive(Debug)]
pub enum Refusal {
    Duplicate(DuplicateRow),
    /// The row changed after the transaction's read timestamp.
    Conflict,
    Gone,
    Wait(Arc<Txn>),
    Fault(Fault),
}
impl From<Fault> for Refusal {
    fn from(f: Fault) -> Self {
        Refusal::Fault(f)
    }
}

/// The row that has the key already.
#[derive(Debug)]
pub struct DuplicateRow {
    pub index: IndexId,
    pub row: RowHandle,
    pub version: SchemaVersion,
    pub bytes: Box<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    Shared,
    Exclusive,
}

/// A final change of the transaction, for the log.
#[derive(Clone, Copy, Debug)]
pub struct LoggedChange<'a> {
    pub table: &'a Arc<Table>,
    pub change: RowChange<'a>,
}

impl WriteSet {
    pub fn new(txn: Arc<Txn>, snapshots: Arc<Snapshots>) -> Self {
        Self { txn, snapshots, tables: Vec::new(), changes: Vec::new(), locks: Vec::new(), logged: 0, unlogged_bytes: 0, late: false }
    }
    pub fn txn(&self) -> &Arc<Txn> {
        &self.txn
    }
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }
    /// What the changes take that [`WriteSet::for_each_unlogged`] gives, about.
    pub fn unlogged_bytes(&self) -> usize {
        self.unlogged_bytes
    }
    /// Whether some changes have been marked as logged, and have not been taken back since.
    pub fn is_partly_logged(&self) -> bool {
        self.logged > 0
    }
    /// What [`WriteSet::for_each_unlogged`] gave is in the log.
    pub fn mark_logged(&mut self) {
        (self.logged, self.unlogged_bytes) = (self.changes.len(), 0);
    }

    /// `number`: greater than of all changes of the transaction before.
    pub fn insert(&mut self, number: u64, table: &Arc<Table>, version: SchemaVersion, row: &[u8]) -> Result<(), Refusal> {
        self.insert_row(number, table, &mut table.writer(), &Pin::new(), version, row)
    }

    /// Inserts rows, numbered from `number` on, until one is refused; tells how many were not. Their entries in other indexes than unique ones may come later:
    /// [`WriteSet::make_entries`] says when.
    pub fn load<'r>(
        &mut self,
        number: u64,
        table: &Arc<Table>,
        version: SchemaVersion,
        rows: impl Iterator<Item = &'r [u8]>,
    ) -> (usize, Result<(), Refusal>) {
        self.late = true;
        let (mut w, pin) = (table.loading_writer(), Pin::new());
        let mut loaded = 0;
        for row in rows {
            if let Err(refusal) = self.insert_row(number + loaded as u64, table, &mut w, &pin, version, row) {
                return (loaded, Err(refusal));
            }
            loaded += 1;
        }
        (loaded, Ok(()))
    }

    /// From here on what was loaded is found by every index. Before the transaction reads again, and before it commits.
    pub fn make_entries(&mut self) {
        if std::mem::take(&mut self.late) {
            self.tables.iter().for_each(|t| drop(t.writer()));
        }
    }

    fn insert_row(&mut self, number: u64, table: &Arc<Table>, w: &mut Writer, pin: &Pin, version: SchemaVersion, row: &[u8]) -> Result<(), Refusal> {
        check_size(row)?;
        table.memory.node().admit_row()?;
        let shape = current_shape(table, w, version, &self.txn)?;
        let key = match primary_key(&shape, version, row) {
            Some(key) => key,
            None => table.next_row_id(),
        };
        let txn = self.txn.clone();
        let asks = Asking { table, shape: &shape, pin, txn: Some(&txn) };
        let slot = asks.primary_free(&key)?;
        asks.locks_allow(w, &key, LockMode::Exclusive)?;
        asks.unique_free(&key, None, version, row)?;
        self.make(number, &asks, w, key, slot, version, Some(row));
        Ok(())
    }

    pub fn update(&mut self, number: u64, table: &Arc<Table>, row: &RowHandle, version: SchemaVersion, new: &[u8]) -> Result<(), Refusal> {
        check_size(new)?;
        table.memory.node().admit_row()?;
        let pin = Pin::new();
        let mut w = table.writer();
        let shape = current_shape(table, &w, version, &self.txn)?;
        let txn = self.txn.clone();
        let asks = Asking { table, shape: &shape, pin: &pin, txn: Some(&txn) };
        let (slot, old) = asks.changeable(&row.0)?;
        asks.locks_allow(&w, &row.0, LockMode::Exclusive)?;
        let key = primary_key(&shape, version, new).unwrap_or_else(|| row.0.clone());
        if key == row.0 {
            asks.unique_free(&key, Some(old), version, new)?;
            self.make(number, &asks, &mut w, key, Some(slot), version, Some(new));
        } else {
            let new_slot = asks.primary_free(&key)?;
            asks.locks_allow(&w, &key, LockMode::Exclusive)?;
            asks.unique_free(&row.0, Some(old), version, new)?;
            self.make(number, &asks, &mut w, row.0.clone(), Some(slot), version, None);
            self.make(number, &asks, &mut w, key, new_slot, version, Some(new));
        }
        Ok(())
    }

    pub fn delete(&mut self, number: u64, table: &Arc<Table>, row: &RowHandle) -> Result<(), Refusal> {
        let pin = Pin::new();
        let mut w = table.writer();
        let shape = open_shape(table, &w, &self.txn)?;
        let txn = self.txn.clone();
        let asks = Asking { table, shape: &shape, pin: &pin, txn: Some(&txn) };
        let (slot, _) = asks.changeable(&row.0)?;
        asks.locks_allow(&w, &row.0, LockMode::Exclusive)?;
        self.make(number, &asks, &mut w, row.0.clone(), Some(slot), shape.schema.version(), None);
        Ok(())
    }

    pub fn lock(&mut self, table: &Arc<Table>, row: &RowHandle, mode: LockMode) -> Result<(), Refusal> {
        let pin = Pin::new();
        let mut w = table.writer();
        let shape = open_shape(table, &w, &self.txn)?;
        let txn = self.txn.clone();
        let asks = Asking { table, shape: &shape, pin: &pin, txn: Some(&txn) };
        asks.changeable(&row.0)?;
        asks.locks_allow(&w, &row.0, mode)?;
        let table_number = self.table_number(table, &mut w);
        let lock = w.locks.entry(row.0.clone()).or_default();
        let held = match mode {
            LockMode::Exclusive => lock.exclusive.replace(self.txn.clone()).is_some(),
            LockMode::Shared if lock.exclusive.is_some() || lock.shared.iter().any(|t| Arc::ptr_eq(t, &self.txn)) => true,
            LockMode::Shared => {
                lock.shared.push(self.txn.clone());
                false
            }
        };
        if !held {
            self.locks.push((table_number, row.0.clone()));
        }
        Ok(())
    }

    /// A change of a prepared transaction out of the log: was allowed when it was made.
    pub fn adopt(&mut self, number: u64, table: &Arc<Table>, change: RowChange<'_>) {
        let pin = Pin::new();
        let mut w = table.writer();
        let shape = table.shape();
        let txn = self.txn.clone();
        let asks = Asking { table, shape: &shape, pin: &pin, txn: Some(&txn) };
        let slot = table.rows.get(change.key.bytes(), &pin);
        self.make(number, &asks, &mut w, change.key.clone(), slot, change.schema, change.bytes);
    }

    #[allow(clippy::too_many_arguments)]
    fn make(
        &mut self,
        number: u64,
        asks: &Asking<'_, '_>,
        w: &mut Writer,
        key: Key,
        slot: Option<SlotRef<'_>>,
        schema: SchemaVersion,
        bytes: Option<&[u8]>,
    ) {
        let table = self.table_number(asks.table, w);
        let watermark = self.snapshots.watermark();
        let applied = asks.table.apply(w, asks.shape, asks.pin, RowChange { key: &key, schema, bytes }, slot, NewStamp::By(&self.txn), watermark);
        self.unlogged_bytes += logged_bytes(&key, bytes.map_or(0, <[u8]>::len));
        self.changes.push(Change {
            number,
            table,
            delta: applied.delta,
            leaves_garbage: applied.leaves_garbage,
            key,
            slot: applied.slot,
            version: applied.version,
        });
        asks.table.collect_some(w, asks.shape, asks.pin, watermark, COLLECT_PER_CHANGE);
    }

    fn table_number(&mut self, table: &Arc<Table>, w: &mut Writer) -> u32 {
        match self.tables.iter().rposition(|t| Arc::ptr_eq(t, table)) {
            Some(n) => n as u32,
            None => {
                self.tables.push(table.clone());
                w.open.push(self.txn.clone());
                self.tables.len() as u32 - 1
            }
        }
    }

    /// Whether it has changes or locks in this table.
    pub fn holds(&self, table: TableId) -> bool {
        self.tables.iter().any(|t| t.id() == table)
    }
    /// Counts as one of the table's writers from here on: it is one in another partition of it, so its gate does not keep it out here either.
    pub fn join(&mut self, table: &Arc<Table>) {
        self.table_number(table, &mut table.writer());
    }

    /// Every row's final change since the last mark, in the order in which the rows were changed last.
    pub fn for_each_unlogged(&self, mut f: impl FnMut(LoggedChange<'_>)) {
        let pin = Pin::new();
        for c in &self.changes[self.logged..] {
            let v = c.version.of_writer(&pin);
            if v.is_superseded() {
                continue;
            }
            let bytes = if v.is_tombstone() { None } else { Some(v.bytes()) };
            f(LoggedChange { table: &self.tables[c.table as usize], change: RowChange { key: &c.key, schema: v.schema(), bytes } });
        }
    }

    /// Takes back every change whose number is above `number`. If one of them was logged, all that are left are to be logged anew.
    pub fn rollback_to(&mut self, number: u64) {
        let pin = Pin::new();
        while let Some(c) = self.changes.pop_if(|c| c.number > number) {
            if self.changes.len() >= self.logged {
                self.unlogged_bytes -= logged_bytes(&c.key, c.version.of_writer(&pin).bytes().len());
            }
            let table = &self.tables[c.table as usize];
            let mut w = table.writer();
            let shape = table.shape();
            table.undo(&mut w, &shape, &pin, &c.key, c.slot.under(&pin), c.version);
        }
        if self.changes.len() < self.logged {
            self.logged = 0;
            self.unlogged_bytes = self.changes.iter().map(|c| logged_bytes(&c.key, c.version.of_writer(&pin).bytes().len())).sum();
        }
    }

    /// The transaction has committed: stamps its versions, gives back its locks. Wake the waiters afterwards.
    pub fn finish_committed(mut self, at: Timestamp) {
        debug_assert_eq!(self.txn.state(), TxnState::Committed(at));
        let pin = Pin::new();
        // Oldest first: `prune` relies on everything below a stamped version being stamped.
        for c in &self.changes {
            c.version.of_writer(&pin).set_stamp(at);
        }
        for (n, table) in self.tables.iter().enumerate() {
            let mut w = table.writer();
            let (mut delta, mut changed) = (0, false);
            for c in self.changes.iter().filter(|c| c.table == n as u32) {
                delta += c.delta as i64;
                changed = true;
                if c.leaves_garbage {
                    w.garbage.push_back((at, c.key.clone()));
                }
            }
            table.count_rows(delta);
            if changed {
                w.edition.count(at);
            }
        }
        self.changes.clear();
        self.leave(&pin);
    }

    /// The transaction is over without a commit: takes everything back. Set its state before, wake the waiters afterwards.
    pub fn finish_aborted(self) {
        debug_assert_eq!(self.txn.state(), TxnState::Aborted);
        drop(self);
    }

    /// Gives back locks, and the reference that stamps used to name.
    fn leave(&mut self, pin: &Pin) {
        for (n, table) in self.tables.drain(..).enumerate() {
            let mut w = table.writer();
            w.open.retain(|t| !Arc::ptr_eq(t, &self.txn));
            for (_, key) in self.locks.iter().filter(|(t, _)| *t == n as u32) {
                if let Some(lock) = w.locks.get_mut(key) {
                    lock.exclusive.take_if(|t| Arc::ptr_eq(t, &self.txn));
                    lock.shared.retain(|t| !Arc::ptr_eq(t, &self.txn));
                    if lock.exclusive.is_none() && lock.shared.is_empty() {
                        w.locks.remove(key);
                    }
                }
            }
            drop(w);
        }
        self.locks.clear();
        pin.drop_later(self.txn.clone());
    }
}

impl Drop for WriteSet {
    fn drop(&mut self) {
        if self.tables.is_empty() {
            return;
        }
        if !self.txn.is_ended() {
            self.txn.set_aborted();
        }
        self.rollback_to(0);
        let pin = Pin::new();
        self.leave(&pin);
    }
}

/// What a change takes in the log, about.
fn logged_bytes(key: &Key, row: usize) -> usize {
    17 + key.bytes().len() + row
}

fn check_size(row: &[u8]) -> Result<(), Refusal> {
    if row.len() > MAX_ROW_BYTES {
        return Err(Refusal::Fault(Fault::mysql(1118, "42000", "Row size too large")));
    }
    Ok(())
}

fn open_shape(table: &Table, w: &Writer, txn: &Arc<Txn>) -> Result<Arc<Shape>, Refusal> {
    match &w.gate {
        Gate::Open => Ok(table.shape()),
        Gate::Held(holder) if Arc::ptr_eq(holder, txn) || w.open.iter().any(|t| Arc::ptr_eq(t, txn)) => Ok(table.shape()),
        Gate::Held(holder) => Err(Refusal::Wait(holder.clone())),
        Gate::Gone => Err(Refusal::Fault(Fault::SchemaChanged)),
    }
}

fn current_shape(table: &Table, w: &Writer, version: SchemaVersion, txn: &Arc<Txn>) -> Result<Arc<Shape>, Refusal> {
    let shape = open_shape(table, w, txn)?;
    if shape.schema.version() != version { Err(Refusal::Fault(Fault::SchemaChanged)) } else { Ok(shape) }
}

/// `None`: the table has no primary key.
pub(crate) fn primary_key(shape: &Shape, version: SchemaVersion, row: &[u8]) -> Option<Key> {
    let primary = shape.schema.primary()?;
    let mut bytes = Vec::with_capacity(32);
    primary.encode(&shape.schema, version, row, &mut bytes);
    Some(Key::new(&bytes))
}

/// The questions to be answered before a change is made, with the table's mutex held.
pub(crate) struct Asking<'a, 'p> {
    pub table: &'a Arc<Table>,
    pub shape: &'a Shape,
    pub pin: &'p Pin,
    /// Who asks; `None`: nobody in particular, as when an index is filled.
    pub txn: Option<&'a Arc<Txn>>,
}

enum Claim<'p> {
    Free,
    Taken(VersionRef<'p>),
    /// Depends on how this transaction ends.
    Undecided(Arc<Txn>),
}

impl<'p> Asking<'_, 'p> {
    fn is_own(&self, writer: &Txn) -> bool {
        self.txn.is_some_and(|t| std::ptr::eq(&**t, writer))
    }

    /// The newest version of a row that we may change, and its slot.
    fn changeable(&self, key: &Key) -> Result<(SlotRef<'p>, VersionRef<'p>), Refusal> {
        let Some(slot) = self.table.rows.get(key.bytes(), self.pin) else { return Err(Refusal::Gone) };
        let Some(head) = slot.head() else { return Err(Refusal::Gone) };
        let committed = match head.stamp() {
            Stamp::At(ts) => Some(ts),
            Stamp::By(writer) if self.is_own(&writer) => None,
            Stamp::By(writer) => match writer.state() {
                TxnState::Committed(ts) => Some(ts),
                TxnState::Active | TxnState::Pending | TxnState::Prepared(_) | TxnState::Committing(_) | TxnState::Aborted => {
                    return Err(Refusal::Wait(writer.to_arc()));
                }
            },
        };
        if let (Some(at), Some(txn)) = (committed, self.txn)
            && at > txn.read_ts()
        {
            return Err(Refusal::Conflict);
        }
        if head.is_tombstone() { Err(Refusal::Gone) } else { Ok((slot, head)) }
    }

    fn locks_allow(&self, w: &Writer, key: &Key, mode: LockMode) -> Result<(), Refusal> {
        if w.locks.is_empty() {
            return Ok(());
        }
        let Some(lock) = w.locks.get(key) else { return Ok(()) };
        let other = |t: &&Arc<Txn>| !self.is_own(t);
        let in_the_way = match mode {
            LockMode::Exclusive => lock.exclusive.iter().chain(&lock.shared).find(other),
            LockMode::Shared => lock.exclusive.iter().find(other),
        };
        match in_the_way {
            Some(holder) => Err(Refusal::Wait(holder.clone())),
            None => Ok(()),
        }
    }

    /// Whether the row in this slot has, or may come to have, what `has` looks for.
    fn claim(&self, slot: SlotRef<'p>, has: &mut dyn FnMut(VersionRef<'p>) -> bool) -> Claim<'p> {
        let mut undecided: Option<Arc<Txn>> = None;
        for v in slot.versions() {
            let holds = !v.is_tombstone() && has(v);
            let committed = match v.stamp() {
                Stamp::At(_) => true,
                // Our newest word on the row is what counts.
                Stamp::By(writer) if self.is_own(&writer) => true,
                Stamp::By(writer) => {
                    let committed = matches!(writer.state(), TxnState::Committed(_));
                    if !committed && undecided.is_none() {
                        undecided = Some(writer.to_arc());
                    }
                    committed
                }
            };
            match (holds, committed, undecided.take()) {
                (true, _, Some(writer)) => return Claim::Undecided(writer),
                (true, _, None) => return Claim::Taken(v),
                (false, true, _) => return Claim::Free,
                (false, false, kept) => undecided = kept,
            }
        }
        Claim::Free
    }

    /// The slot of a row that had the key, if it is still there.
    fn primary_free(&self, key: &Key) -> Result<Option<SlotRef<'p>>, Refusal> {
        let Some(slot) = self.table.rows.get(key.bytes(), self.pin) else { return Ok(None) };
        // A version that is being taken back must be off before another goes on top, whatever it says of the key.
        if let Some(Stamp::By(writer)) = slot.head().map(|v| v.stamp())
            && !self.is_own(&writer)
            && !matches!(writer.state(), TxnState::Committed(_))
        {
            return Err(Refusal::Wait(writer.to_arc()));
        }
        match self.claim(slot, &mut |_| true) {
            Claim::Free => Ok(Some(slot)),
            Claim::Undecided(writer) => Err(Refusal::Wait(writer)),
            Claim::Taken(v) => {
                let index = self.shape.schema.primary().map_or(IndexId::new(0), |p| p.id);
                Err(duplicate(index, key.bytes(), v))
            }
        }
    }

    /// Every unique secondary key of `row` is free, or belongs to the row `own` itself. Keys that are the same as in `old` were checked when that was made.
    fn unique_free(&self, own: &Key, old: Option<VersionRef<'p>>, version: SchemaVersion, row: &[u8]) -> Result<(), Refusal> {
        let (mut key, mut old_key) = (Vec::new(), Vec::new());
        for (position, index) in self.shape.schema.indexes().iter().enumerate() {
            if !index.unique || self.table.is_primary(index.id) {
                continue;
            }
            key.clear();
            if index.encode(&self.shape.schema, version, row, &mut key) {
                continue;
            }
            if let Some(old) = old {
                old_key.clear();
                index.encode(&self.shape.schema, old.schema(), old.bytes(), &mut old_key);
                if old_key == key {
                    continue;
                }
            }
            self.key_free(position, &key, own)?;
        }
        Ok(())
    }

    /// No row but `own` has this key of the index at `position`.
    pub(crate) fn key_free(&self, position: usize, key: &[u8], own: &Key) -> Result<(), Refusal> {
        let index = &self.shape.schema.indexes()[position];
        let store: &IndexStore = &self.shape.stores[position];
        let mut refusal = None;
        let mut scratch = Vec::new();
        store.each_equal(key, None, self.pin, &mut |primary, slot: SlotRef<'_>| {
            if primary == own.bytes() {
                return true;
            }
            // The slot was reached under our pin; `each_equal` only cannot say so in its type.
            let slot = slot.ptr().under(self.pin);
            let claim = self.claim(slot, &mut |v| {
                scratch.clear();
                index.encode(&self.shape.schema, v.schema(), v.bytes(), &mut scratch);
                scratch[..] == *key
            });
            refusal = match claim {
                Claim::Free => None,
                Claim::Undecided(writer) => Some(Refusal::Wait(writer)),
                Claim::Taken(v) => Some(duplicate(index.id, primary, v)),
            };
            refusal.is_none()
        });
        match refusal {
            Some(r) => Err(r),
            None => Ok(()),
        }
    }
}

fn duplicate(index: IndexId, primary: &[u8], v: VersionRef<'_>) -> Refusal {
    Refusal::Duplicate(DuplicateRow { index, row: RowHandle::new(primary), version: v.schema(), bytes: v.bytes().into() })
}
