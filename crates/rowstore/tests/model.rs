//! The table against a map: several transactions at once, old snapshots, garbage collection, recovery.
//!
//! Owns:     the model: for every key the versions that were committed, and what each open transaction sees changed.
//! Promises: after every step every reader, by every index, in both directions, sees exactly what the model says; a change that was refused was
//!           refused for a reason that the model knows.
//! Never:    depends on time: one thread, one clock that counts commits.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use weald_catalog::table::{ColumnDef, DefaultValue, IndexDef, IndexPart, Sharding, TableOptions};
use weald_catalog::{TableDef, TableRef};
use weald_rowstore::{
    Again, Cursor, Direction, Edition, Key, KeyRange, LockMode, NodeMemory, Read, Refusal, RowChange, RowHandle, Step, Table, View, WriteSet,
};
use weald_txn::{HybridClock, Isolation, Lease, Snapshots, Txn};
use weald_types::{Collation, DatabaseId, IndexId, SchemaVersion, SqlType, TableId, Timestamp, TxnId, Value};

const PRIMARY: IndexId = IndexId::new(0);
const UNIQUE: IndexId = IndexId::new(1);
const ORDERED: IndexId = IndexId::new(2);
const HASH: IndexId = IndexId::new(3);

fn definition() -> TableRef {
    let column = |name: &str, ty: SqlType| ColumnDef {
        name: name.into(),
        ty,
        default: DefaultValue::None,
        on_update_now: false,
        auto_increment: false,
        invisible: false,
        comment: "".into(),
        generated: None,
    };
    let index = |id: IndexId, unique, hash, columns: &[u16]| IndexDef {
        id,
        name: format!("i{id}").into(),
        unique,
        parts: columns.iter().map(|c| IndexPart { column: *c, prefix: None, descending: *c == 1 && id == ORDERED }).collect(),
        hash,
        comment: "".into(),
        invisible: false,
        ready: true,
    };
    Arc::new(TableDef {
        id: TableId::new(1),
        database: DatabaseId::new(1),
        database_name: "d".into(),
        name: "t".into(),
        version: SchemaVersion::FIRST,
        columns: vec![
            column("id", SqlType::bigint(false)),
            column("a", SqlType::bigint(true)),
            column("s", SqlType::varchar(20, false, Collation::UTF8MB4_GENERAL_CI)),
        ],
        indexes: vec![
            index(PRIMARY, true, false, &[0]),
            index(UNIQUE, true, false, &[1]),
            index(ORDERED, false, false, &[2, 1]),
            index(HASH, false, true, &[2]),
        ],
        primary_key: true,
        sharding: Sharding::Hash { columns: vec![0], declared: false },
        collation: Collation::UTF8MB4_GENERAL_CI,
        comment: "".into(),
        checks: Vec::new(),
        auto_increment_start: 1,
        options: TableOptions::default(),
        created: 0,
        layouts: Vec::new(),
    })
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    id: i64,
    a: Option<i64>,
    s: &'static str,
}

impl Row {
    fn values(&self) -> [Value; 3] {
        [Value::Int(self.id), self.a.map_or(Value::Null, Value::Int), Value::str(self.s)]
    }
    /// 'a' and 'A' are one key under the collation, and still two texts.
    fn folded(&self) -> String {
        self.s.to_lowercase()
    }
}

/// What a reader sees, by id.
type Seen = BTreeMap<i64, Row>;
type Overlay = BTreeMap<i64, Option<Row>>;

#[derive(Default)]
struct Model {
    versions: BTreeMap<i64, Vec<(Timestamp, Option<Row>)>>,
}

impl Model {
    fn at(&self, at: Timestamp, own: &Overlay) -> Seen {
        let mut seen: Seen = self
            .versions
            .iter()
            .filter_map(|(id, versions)| versions.iter().rev().find(|(ts, _)| *ts <= at).and_then(|(_, row)| row.clone()).map(|row| (*id, row)))
            .collect();
        for (id, row) in own {
            match row {
                Some(row) => drop(seen.insert(*id, row.clone())),
                None => drop(seen.remove(id)),
            }
        }
        seen
    }
    fn newest(&self, own: &Overlay) -> Seen {
        self.at(Timestamp::MAX, own)
    }
    fn changed_at(&self, id: i64) -> Timestamp {
        self.versions.get(&id).and_then(|v| v.last()).map_or(Timestamp::ZERO, |v| v.0)
    }
}

/// One open transaction, on both sides.
struct Open {
    txn: Arc<Txn>,
    set: WriteSet,
    lease: Lease,
    overlay: Overlay,
    locks: Vec<i64>,
    number: u64,
    mark: (u64, Overlay),
    /// Has loaded rows and reads nothing until their entries are made.
    late: bool,
    /// Changes that went to the log before the commit.
    parts: Option<Changes>,
}

impl Open {
    fn log_part(&mut self) {
        let parts = self.parts.get_or_insert_default();
        self.set.for_each_unlogged(|c| parts.push((c.change.key.clone(), c.change.bytes.map(<[u8]>::to_vec))));
        self.set.mark_logged();
        assert_eq!(self.set.unlogged_bytes(), 0);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert {
        by: usize,
        row: Row,
    },
    /// `whole`: and has its entries made.
    Load {
        by: usize,
        row: Row,
        whole: bool,
    },
    Update {
        by: usize,
        id: i64,
        row: Row,
    },
    Delete {
        by: usize,
        id: i64,
    },
    Lock {
        by: usize,
        id: i64,
        shared: bool,
    },
    Mark {
        by: usize,
    },
    BackToMark {
        by: usize,
    },
    Part {
        by: usize,
    },
    Commit {
        by: usize,
    },
    Abort {
        by: usize,
    },
    OpenSnapshot,
    CloseSnapshot {
        which: usize,
    },
    Collect,
}

const SLOTS: usize = 3;

fn op() -> impl Strategy<Value = Op> {
    let by = 0..SLOTS;
    let id = 0i64..6;
    let row = (0i64..6, prop::option::of(0i64..4), prop_oneof![Just("a"), Just("A"), Just("b"), Just("c")]).prop_map(|(id, a, s)| Row { id, a, s });
    prop_oneof![
        6 => (by.clone(), row.clone()).prop_map(|(by, row)| Op::Insert { by, row }),
        4 => (by.clone(), row.clone(), any::<bool>()).prop_map(|(by, row, whole)| Op::Load { by, row, whole }),
        6 => (by.clone(), id.clone(), row).prop_map(|(by, id, row)| Op::Update { by, id, row }),
        4 => (by.clone(), id.clone()).prop_map(|(by, id)| Op::Delete { by, id }),
        1 => (by.clone(), id, any::<bool>()).prop_map(|(by, id, shared)| Op::Lock { by, id, shared }),
        1 => by.clone().prop_map(|by| Op::Mark { by }),
        1 => by.clone().prop_map(|by| Op::BackToMark { by }),
        2 => by.clone().prop_map(|by| Op::Part { by }),
        5 => by.clone().prop_map(|by| Op::Commit { by }),
        1 => by.prop_map(|by| Op::Abort { by }),
        1 => Just(Op::OpenSnapshot),
        1 => (0usize..4).prop_map(|which| Op::CloseSnapshot { which }),
        1 => Just(Op::Collect),
    ]
}

/// A committed change, as the log would have it.
type Changes = Vec<(Key, Option<Vec<u8>>)>;
type Logged = (Timestamp, Changes, Again);

struct World {
    table: Arc<Table>,
    memory: Arc<NodeMemory>,
    clock: HybridClock,
    snapshots: Arc<Snapshots>,
    model: Model,
    open: [Option<Open>; SLOTS],
    old: Vec<Lease>,
    log: Vec<Logged>,
    next_txn: u64,
    /// What was seen at each edition that the table gave out.
    editions: RefCell<Vec<(Edition, Seen)>>,
}

impl World {
    fn new() -> Self {
        let memory = NodeMemory::unlimited();
        let clock = HybridClock::new();
        clock.tick();
        Self {
            table: Table::new(definition(), memory.clone()),
            memory,
            clock,
            snapshots: Snapshots::new(),
            model: Model::default(),
            open: [const { None }; SLOTS],
            old: Vec::new(),
            log: Vec::new(),
            next_txn: 1,
            editions: RefCell::default(),
        }
    }

    fn handle(&self, id: i64) -> RowHandle {
        let mut key = Vec::new();
        self.table.schema().index(PRIMARY).unwrap().encoder().encode(&[Value::Int(id)], &mut key);
        RowHandle::new(&key)
    }
    fn bytes(&self, row: &Row) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.table.schema().layout().encode(&row.values(), &mut bytes).unwrap();
        bytes
    }

    fn begin(&mut self, by: usize) -> &mut Open {
        if self.open[by].is_none() {
            let lease = self.snapshots.open(&self.clock, Timestamp::ZERO);
            let txn = Txn::new(TxnId::new(self.next_txn), Isolation::RepeatableRead, lease.at());
            self.next_txn += 1;
            let set = WriteSet::new(txn.clone(), self.snapshots.clone());
            self.open[by] = Some(Open {
                txn,
                set,
                lease,
                overlay: Overlay::new(),
                locks: Vec::new(),
                number: 0,
                mark: (0, Overlay::new()),
                late: false,
                parts: None,
            });
        }
        self.open[by].as_mut().unwrap()
    }

    /// Tries a change and says whether it was made; a refusal has to be one that the model can explain.
    fn change(
        &mut self,
        by: usize,
        id: Option<i64>,
        row: Option<&Row>,
        f: impl FnOnce(&mut WriteSet, u64, &Arc<Table>) -> Result<(), Refusal>,
    ) -> bool {
        let table = self.table.clone();
        self.begin(by);
        let open = self.open[by].as_mut().unwrap();
        open.number += 1;
        let done = f(&mut open.set, open.number, &table);
        let open = self.open[by].as_ref().unwrap();
        let now = self.model.newest(&open.overlay);
        let others = || self.open.iter().enumerate().filter(|(n, _)| *n != by).filter_map(|(_, o)| o.as_ref());
        let taken = |row: &Row| now.values().any(|r| Some(r.id) != id && (r.id == row.id || (r.a.is_some() && r.a == row.a)));
        match done {
            Ok(()) => {
                if let Some(id) = id {
                    assert!(now.contains_key(&id), "changed a row that is not there");
                    assert!(open.overlay.contains_key(&id) || self.model.changed_at(id) <= open.lease.at(), "a lost update of {id}");
                    assert!(others().all(|o| !o.overlay.contains_key(&id)), "changed a row that another transaction has changed");
                }
                if let Some(row) = row {
                    assert!(!taken(row), "a duplicate came in: {row:?}");
                    let claimed = others().flat_map(|o| o.overlay.values().flatten()).any(|r| r.id == row.id || (r.a.is_some() && r.a == row.a));
                    assert!(!claimed, "took a key that another transaction is inserting: {row:?}");
                }
                true
            }
            Err(Refusal::Duplicate(d)) => {
                let row = row.expect("only a row that comes in can be a duplicate");
                assert!(taken(row), "{row:?} is said to be a duplicate of {:?}", d.row);
                false
            }
            Err(Refusal::Conflict) => {
                let id = id.expect("an insert has no conflict");
                assert!(self.model.changed_at(id) > open.lease.at(), "conflict on {id}");
                false
            }
            Err(Refusal::Gone) => {
                let id = id.expect("an insert needs no row");
                assert!(!now.contains_key(&id), "{id} is said to be gone");
                false
            }
            Err(Refusal::Wait(holder)) => {
                let holder = others().find(|o| Arc::ptr_eq(&o.txn, &holder)).expect("waits for an open transaction");
                assert!(!holder.overlay.is_empty() || !holder.locks.is_empty(), "waits for a transaction that has nothing");
                false
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Insert { by, row } => {
                let bytes = self.bytes(row);
                if self.change(*by, None, Some(row), |set, n, table| set.insert(n, table, SchemaVersion::FIRST, &bytes)) {
                    self.begin(*by).overlay.insert(row.id, Some(row.clone()));
                }
            }
            Op::Load { by, row, whole } => {
                let bytes = self.bytes(row);
                let load = |set: &mut WriteSet, n, table: &Arc<Table>| {
                    let (loaded, done) = set.load(n, table, SchemaVersion::FIRST, std::iter::once(&bytes[..]));
                    assert_eq!(loaded, done.is_ok() as usize);
                    done
                };
                if self.change(*by, None, Some(row), load) {
                    self.begin(*by).overlay.insert(row.id, Some(row.clone()));
                }
                let open = self.begin(*by);
                open.late = !whole;
                if *whole {
                    open.set.make_entries();
                }
            }
            Op::Update { by, id, row } => {
                let (bytes, handle) = (self.bytes(row), self.handle(*id));
                if self.change(*by, Some(*id), Some(row), |set, n, table| set.update(n, table, &handle, SchemaVersion::FIRST, &bytes)) {
                    let overlay = &mut self.begin(*by).overlay;
                    overlay.insert(*id, None);
                    overlay.insert(row.id, Some(row.clone()));
                }
            }
            Op::Delete { by, id } => {
                let handle = self.handle(*id);
                if self.change(*by, Some(*id), None, |set, n, table| set.delete(n, table, &handle)) {
                    self.begin(*by).overlay.insert(*id, None);
                }
            }
            Op::Lock { by, id, shared } => {
                let handle = self.handle(*id);
                let mode = if *shared { LockMode::Shared } else { LockMode::Exclusive };
                if self.change(*by, Some(*id), None, |set, _, table| set.lock(table, &handle, mode)) {
                    self.begin(*by).locks.push(*id);
                }
            }
            Op::Mark { by } => {
                if let Some(open) = &mut self.open[*by] {
                    open.mark = (open.number, open.overlay.clone());
                }
            }
            Op::BackToMark { by } => {
                if let Some(open) = &mut self.open[*by] {
                    open.set.rollback_to(open.mark.0);
                    open.overlay = open.mark.1.clone();
                    if !open.set.is_partly_logged() {
                        open.parts = None;
                    }
                }
            }
            Op::Part { by } => {
                if let Some(open) = self.open[*by].as_mut().filter(|o| o.set.has_changes()) {
                    open.log_part();
                }
            }
            Op::Commit { by } => self.commit(*by),
            Op::Abort { by } => {
                if let Some(open) = self.open[*by].take() {
                    open.txn.set_aborted();
                    open.set.finish_aborted();
                    open.txn.wake();
                }
            }
            Op::OpenSnapshot => {
                if self.old.len() < 4 {
                    self.old.push(self.snapshots.open(&self.clock, Timestamp::ZERO));
                }
            }
            Op::CloseSnapshot { which } => {
                if *which < self.old.len() {
                    self.old.swap_remove(*which);
                }
            }
            Op::Collect => {
                let watermark = self.snapshots.advance(self.clock.last());
                self.table.collect(watermark, 1000);
            }
        }
    }

    fn commit(&mut self, by: usize) {
        let Some(mut open) = self.open[by].take() else { return };
        if !open.set.has_changes() {
            assert!(open.overlay.values().all(|v| v.is_none()) || open.overlay.is_empty());
            open.txn.set_committed_empty();
            drop(open.set);
            open.txn.wake();
            return;
        }
        open.set.make_entries();
        // From the announcement to the stamps: who would or might see the commit is not told an edition, and who sees none of it reads as before.
        let now = self.clock.last();
        let halfway = |world: &Self, at: Timestamp| {
            assert_eq!(world.table.edition(View { at, own: None }), None, "an edition in the middle of a commit");
            world.check_editions();
        };
        open.txn.begin_commit();
        halfway(self, now);
        let at = self.clock.tick();
        halfway(self, at);
        open.txn.set_committing(at);
        halfway(self, at);
        let again = if open.parts.is_some() { Again::Replaces } else { Again::Skips };
        open.log_part();
        let logged = open.parts.take().unwrap_or_default();
        open.txn.set_committed();
        halfway(self, at);
        open.set.finish_committed(at);
        open.txn.wake();
        for (id, row) in open.overlay {
            self.model.versions.entry(id).or_default().push((at, row));
        }
        self.log.push((at, logged, again));
        assert_eq!(self.table.row_count(), self.model.newest(&Overlay::new()).len() as u64);
    }

    /// Whoever is told the same edition sees the same rows.
    fn check_editions(&self) {
        let mut known = self.editions.borrow_mut();
        let mut told = |view: View<'_>, own: &Overlay| {
            let edition = self.table.edition(view)?;
            let seen = self.model.at(view.at, own);
            match known.iter().find(|(e, _)| *e == edition) {
                Some((_, before)) => assert_eq!(*before, seen, "{edition:?}"),
                None => known.push((edition, seen)),
            }
            Some(edition)
        };
        for lease in &self.old {
            told(View { at: lease.at(), own: None }, &Overlay::new());
        }
        for open in self.open.iter().flatten() {
            let edition = told(View { at: open.lease.at(), own: Some(&open.txn) }, &open.overlay);
            assert!(edition.is_none() || open.overlay.is_empty(), "an edition for a writer who sees his own changes");
        }
        told(View { at: self.clock.last(), own: None }, &Overlay::new());
    }

    fn check(&self, budget: usize) {
        self.check_editions();
        assert!(self.table.edition(View { at: self.clock.last(), own: None }).is_some(), "nobody is about to commit");
        for lease in &self.old {
            check_view(&self.table, View { at: lease.at(), own: None }, &self.model.at(lease.at(), &Overlay::new()), budget);
        }
        for open in self.open.iter().flatten().filter(|o| !o.late) {
            let seen = self.model.at(open.lease.at(), &open.overlay);
            check_view(&self.table, View { at: open.lease.at(), own: Some(&open.txn) }, &seen, budget);
        }
    }
}

fn scan(table: &Table, mut cursor: Cursor, view: View<'_>, budget: usize) -> Vec<Row> {
    let schema = table.schema();
    let mut rows = Vec::new();
    loop {
        let step = table.scan_batch(&mut cursor, view, budget, &mut |row| {
            let values = schema.values(row.version, row.bytes);
            let id = if let Value::Int(id) = values[0] { id } else { panic!("{values:?}") };
            let a = if let Value::Int(a) = values[1] { Some(a) } else { None };
            let s = ["a", "A", "b", "c"].into_iter().find(|s| Value::str(*s) == values[2]).unwrap();
            rows.push(Row { id, a, s });
            ControlFlow::Continue(())
        });
        match step {
            Step::Done => return rows,
            Step::More => (),
            other => panic!("nobody is about to commit: {other:?}"),
        }
    }
}

fn check_view(table: &Table, view: View<'_>, seen: &Seen, budget: usize) {
    let by_id: Vec<Row> = seen.values().cloned().collect();
    assert_eq!(scan(table, Cursor::rows(KeyRange::all()), view, budget), by_id);
    let mut by_unique = by_id.clone();
    // NULL first; then the key; rows with equal keys by their primary key.
    by_unique.sort_by_key(|r| (r.a, r.id));
    let mut by_ordered = by_id.clone();
    by_ordered.sort_by_key(|r| (r.folded(), std::cmp::Reverse(r.a), r.id));
    for (index, expected) in [(PRIMARY, &by_id), (UNIQUE, &by_unique), (ORDERED, &by_ordered)] {
        assert_eq!(scan(table, Cursor::index(index, KeyRange::all(), Direction::Forward), view, budget), *expected, "index {index}");
        let mut backward = scan(table, Cursor::index(index, KeyRange::all(), Direction::Backward), view, budget);
        backward.reverse();
        assert_eq!(backward, *expected, "index {index} backwards");
    }
    let schema = table.schema();
    let get = |index: IndexId, values: &[Value]| {
        let mut key = Vec::new();
        schema.index(index).unwrap().encoder().encode(values, &mut key);
        match table.get(index, &key, view, |row| schema.value(row.version, row.bytes, 0)) {
            Read::Ready(found) => found,
            other => panic!("nobody is about to commit: {other:?}"),
        }
    };
    for id in 0..6 {
        assert_eq!(get(PRIMARY, &[Value::Int(id)]).is_some(), seen.contains_key(&id), "id {id}");
    }
    for a in 0..4 {
        let expected = seen.values().find(|r| r.a == Some(a)).map(|r| Value::Int(r.id));
        assert_eq!(get(UNIQUE, &[Value::Int(a)]), expected, "a = {a}");
    }
    for s in ["A", "b", "c"] {
        let mut key = Vec::new();
        schema.index(HASH).unwrap().encoder().encode(&[Value::str(s)], &mut key);
        let expected: Vec<Row> = by_id.iter().filter(|r| r.folded() == s.to_lowercase()).cloned().collect();
        assert_eq!(scan(table, Cursor::index(HASH, KeyRange::prefix(&key), Direction::Forward), view, budget), expected, "s = {s} by hash");
    }
}

/// The committed state again, out of the log; `from` on it is replayed twice, as after a snapshot that is newer than the place the log is read from.
fn replayed(world: &World, from: usize) -> Arc<Table> {
    let table = Table::new(definition(), NodeMemory::unlimited());
    // Whether entries are made one by one or in the end must not matter.
    if from.is_multiple_of(2) {
        table.begin_restore();
    }
    let replay = |records: &[Logged]| {
        for (at, changes, again) in records {
            for (key, bytes) in changes {
                table.restore(RowChange { key, schema: SchemaVersion::FIRST, bytes: bytes.as_deref() }, *at, *again, Timestamp::MAX);
            }
        }
    };
    // A snapshot after `from` records: its rows carry the time of the last of them.
    let at = world.log[..from].last().map_or(Timestamp::ZERO, |l| l.0);
    let view = View { at, own: None };
    let base = world.model.at(at, &Overlay::new());
    let _ = view;
    for row in base.values() {
        let bytes = world.bytes(row);
        table.restore(
            RowChange { key: &world.handle(row.id).0, schema: SchemaVersion::FIRST, bytes: Some(&bytes) },
            at,
            Again::Skips,
            Timestamp::MAX,
        );
    }
    replay(&world.log[from / 2..]);
    table.restored();
    table
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_map_of_versions(ops in prop::collection::vec(op(), 1..80), budget in 1usize..7) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
            world.check(budget);
        }
        for by in 0..SLOTS {
            world.commit(by);
        }
        world.check(budget);
        // Recovery, from every place a snapshot could be.
        let newest = world.model.newest(&Overlay::new());
        for from in 0..=world.log.len() {
            let table = replayed(&world, from);
            check_view(&table, View { at: Timestamp::MAX, own: None }, &newest, budget);
            prop_assert_eq!(table.row_count(), newest.len() as u64);
        }
        // And nothing of it all stays in memory.
        world.old.clear();
        for id in 0..6 {
            if newest.contains_key(&id) {
                world.apply(&Op::Delete { by: 0, id });
            }
        }
        world.commit(0);
        world.apply(&Op::Collect);
        prop_assert_eq!(world.table.row_count(), 0);
        prop_assert_eq!(world.table.garbage_len(), 0);
        prop_assert_eq!(world.table.memory().bytes(), 0);
        prop_assert_eq!(world.memory.table_bytes(), 0);
    }
}
