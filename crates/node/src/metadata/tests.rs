//! A whole node's storage (catalogue, partitions, their log and snapshots) on a disk that loses power, fails and fills, at every point where it can.
//!
//! Owns:     a script of definitions and transactions, and what has to be there after each of its steps.
//! Promises: a step that was answered is there after every crash, whole; one that was not is there whole or not at all; nothing else is there.
//! Never:    sleeps, or uses a real file.

use super::*;
use crate::SELF;
use crate::catalogue;
use crate::config::Begin;
use crate::nobody::Nobody;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::Ordering::Relaxed;
use weald_catalog::table::{ColumnDef, DefaultValue, FieldSource, IndexDef, IndexPart, Layout, Sharding, TableOptions};
use weald_catalog::{Rename, TableDef};
use weald_env::Disk;
use weald_env::sim::{Call, SimDisk, Survives};
use weald_exec::{Durability, Isolation, Transaction};
use weald_log::{DataDir, MetaLog, Options};
use weald_metaraft::{Settings, World};
use weald_partition::{Cursor, KeyRange, NodeMemory, RowHandle};
use weald_types::row::RowLayout;
use weald_types::{Collation, DatabaseId, Epoch, IndexId, SchemaVersion, SqlType, TableId, Value};

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap());

/// Rows by their first column, which is unique in every table here, by "database.table". A database is there as itself, without rows.
type Model = BTreeMap<String, BTreeMap<i64, Vec<Value>>>;

struct Node {
    leaf: Arc<Leaf>,
    group: Arc<MetadataGroup>,
    _dir: Arc<DataDir>,
}

/// Its tasks end; what happens to the disk by that is after everything that a test has looked at.
impl Drop for Node {
    fn drop(&mut self) {
        RUNTIME.block_on(self.group.close());
    }
}

/// Small segments, so that a short script fills several.
fn options() -> Options {
    Options { segment_bytes: 4096, seal_after: None, spare_segments: 1, ..Options::default() }
}

fn open(disk: &Arc<SimDisk>, seed: u64) -> Result<Node, String> {
    let env = Env::with_disk(disk.clone(), seed);
    let dir = Arc::new(DataDir::open(&env, Path::new("/data")).map_err(|e| e.to_string())?);
    let world = World { env: env.clone(), dir: dir.meta(), network: Arc::new(Nobody), settings: Settings::default() };
    let opened = RUNTIME.block_on(catalogue::open(world.clone(), &dir, Begin::Alone, "127.0.0.1:3306".parse().unwrap()));
    let group = opened.map_err(|e| e.line())?.unwrap();
    let state = State::clone(&group.state());
    let view = state.view();
    let leaf = Leaf::new(&env, &dir, &view, Some(SELF), NodeMemory::unlimited());
    let recovered = leaf.recover_with(&view, Epoch::FIRST, 2, options());
    if recovered.is_ok() {
        leaf.take_up(&view);
    }
    let runtime = RUNTIME.handle().clone();
    let events = EventLog::in_memory(&env);
    let dir_path = dir.root().to_path_buf();
    let parts = Parts { env, dir: dir_path, world, runtime: runtime.clone(), cluster: None, leaf: leaf.clone(), queries: runtime, events };
    let metadata = MetadataGroup::new(parts, state);
    RUNTIME.block_on(metadata.adopt(SELF, group));
    let node = Node { leaf, group: metadata, _dir: dir };
    recovered.map_err(|e| e.to_string())?;
    Ok(node)
}

impl Node {
    fn table(&self, database: &str, name: &str) -> Result<Arc<TableDef>, Fault> {
        let missing = || Fault::NoSuchTable { database: database.into(), table: name.into() };
        self.group.catalog().table(database, name).cloned().ok_or_else(missing)
    }

    /// One round of housekeeping. Where it fails, the next one tries again.
    fn tend(&self) {
        let _ = self.leaf.take_due_snapshots(1, 2, RUNTIME.handle());
        self.leaf.collect_garbage(std::time::Duration::from_secs(1));
    }

    fn contents(&self) -> Model {
        let mut model = Model::new();
        let snapshot = self.leaf.engine.node.snapshot();
        for d in self.group.catalog().databases.values() {
            model.insert(d.name.to_string(), BTreeMap::new());
            for t in d.tables.values() {
                let mut rows = BTreeMap::new();
                for p in self.leaf.engine.partitions_of(t).unwrap() {
                    let table = p.current_table(t.id).unwrap_or_else(|| panic!("{} is not in partition {}", t.name, p.id()));
                    let schema = table.schema();
                    let mut cursor = Cursor::rows(KeyRange::all());
                    RUNTIME
                        .block_on(weald_partition::scan(&table, &mut cursor, &snapshot, &mut |row| {
                            let values = schema.values(row.version, row.bytes);
                            let Value::Int(id) = values[0] else { panic!("{values:?}") };
                            assert!(rows.insert(id, values).is_none(), "{id} is there twice in {}", t.name);
                            std::ops::ControlFlow::Continue(())
                        }))
                        .unwrap();
                    // The counts agree with the rows, and so do the other indexes.
                    for index in t.indexes.iter().filter(|i| i.ready) {
                        let mut cursor = Cursor::index(index.id, KeyRange::all(), weald_partition::Direction::Forward);
                        let mut found = 0;
                        RUNTIME
                            .block_on(weald_partition::scan(&table, &mut cursor, &snapshot, &mut |_| {
                                found += 1;
                                std::ops::ControlFlow::Continue(())
                            }))
                            .unwrap();
                        assert_eq!(found, table.row_count(), "index {} of {}", index.name, t.name);
                    }
                }
                model.insert(format!("{}.{}", d.name, t.name), rows);
            }
        }
        model
    }

    fn insert(&self, by: &Transaction, t: &TableDef, row: &[Value]) -> Result<(), Fault> {
        let tables = self.leaf.engine.tables(t)?;
        let (partition, table) = &tables[self.leaf.engine.partition_of_row(t, row, tables.len())];
        let mut bytes = Vec::new();
        table.schema().layout().encode(row, &mut bytes).unwrap();
        match partition.insert(by, table, &bytes)? {
            weald_partition::Outcome::Done => Ok(()),
            other => panic!("{other:?}"),
        }
    }
    /// By primary key: `row` in place of the row with its first column, or nothing.
    fn replace(&self, by: &Transaction, t: &TableDef, id: i64, row: Option<&[Value]>) -> Result<(), Fault> {
        let tables = self.leaf.engine.tables(t)?;
        let (partition, table) = &tables[self.leaf.engine.partition_of_row(t, &[Value::Int(id)], tables.len())];
        let mut key = Vec::new();
        table.schema().index(IndexId::new(0)).unwrap().encoder().encode(&[Value::Int(id)], &mut key);
        let handle = RowHandle::new(&key);
        let done = match row {
            Some(row) => {
                let mut bytes = Vec::new();
                table.schema().layout().encode(row, &mut bytes).unwrap();
                partition.update(by, table, &handle, &bytes)?
            }
            None => partition.delete(by, table, &handle)?,
        };
        match done {
            weald_partition::Outcome::Done => Ok(()),
            other => panic!("{other:?}"),
        }
    }
}

fn column(name: &str, ty: SqlType) -> ColumnDef {
    ColumnDef {
        name: name.into(),
        ty,
        default: DefaultValue::None,
        on_update_now: false,
        auto_increment: false,
        invisible: false,
        comment: "".into(),
        generated: None,
    }
}

/// `id BIGINT`, `v VARCHAR(300)` with a key on it; rows with a primary key, or spread by hidden row ids.
fn definition(database: &str, name: &str, primary_key: bool) -> Box<TableDef> {
    let index = |id: u16, unique: bool, column: u16| IndexDef {
        id: IndexId::new(id),
        name: format!("i{id}").into(),
        unique,
        parts: vec![IndexPart { column, prefix: None, descending: false }],
        hash: false,
        comment: "".into(),
        invisible: false,
        ready: true,
    };
    let mut indexes = vec![index(1, false, 1)];
    if primary_key {
        indexes.insert(0, index(0, true, 0));
    }
    let mut columns = vec![column("id", SqlType::bigint(false)), column("v", SqlType::varchar(300, true, Collation::UTF8MB4_GENERAL_CI))];
    columns[0].auto_increment = primary_key;
    Box::new(TableDef {
        id: TableId::new(0),
        database: DatabaseId::new(0),
        database_name: database.into(),
        name: name.into(),
        version: SchemaVersion::FIRST,
        columns,
        indexes,
        primary_key,
        sharding: if primary_key { Sharding::Hash { columns: vec![0], declared: false } } else { Sharding::RowId },
        collation: Collation::UTF8MB4_GENERAL_CI,
        comment: "".into(),
        checks: Vec::new(),
        auto_increment_start: 1,
        options: TableOptions::default(),
        created: 0,
        layouts: Vec::new(),
    })
}

/// A life of a node: what was asked of it, and what may be there from then on.
struct Script<'a> {
    node: &'a Node,
    disk: &'a SimDisk,
    /// What may be there. More than one once an outcome was unknown.
    possible: Vec<Model>,
    /// (changes of the disk when it was answered, what may be there).
    states: Vec<(usize, Vec<Model>)>,
    /// The greatest id that was ever committed to `a.t`.
    greatest: i64,
    failures: Vec<Fault>,
}

/// Of one row: database, table, the first column, the others; `None` deletes.
type Change<'r> = (&'r str, &'r str, i64, Option<Vec<Value>>);

impl<'a> Script<'a> {
    fn new(node: &'a Node, disk: &'a SimDisk, now: Model) -> Self {
        Self { node, disk, possible: vec![now.clone()], states: vec![(disk.changes(), vec![now])], greatest: 0, failures: Vec::new() }
    }

    fn step(&mut self, done: Result<(), Fault>, change: impl Fn(&mut Model)) {
        let changed: Vec<Model> = self
            .possible
            .iter()
            .map(|m| {
                let mut m = m.clone();
                change(&mut m);
                m
            })
            .collect();
        match done {
            Ok(()) => self.possible = changed,
            Err(fault) => {
                if let Fault::OutcomeUnknown { .. } = &fault {
                    self.possible.extend(changed);
                }
                self.failures.push(fault);
            }
        }
        self.states.push((self.disk.changes(), self.possible.clone()));
    }

    fn command(&mut self, command: Command, change: impl Fn(&mut Model)) {
        let done = RUNTIME.block_on(self.node.group.change(command)).map(drop);
        self.step(done, change);
    }

    fn create_database(&mut self, name: &str, partitions: u32) {
        let command = Command::CreateDatabase {
            name: name.into(),
            partitions,
            collation: Collation::UTF8MB4_GENERAL_CI,
            sync_durability: true,
            sync_replication: true,
        };
        self.command(command, |m| drop(m.insert(name.into(), BTreeMap::new())));
    }

    fn create_table(&mut self, database: &str, name: &str, primary_key: bool) {
        self.command(Command::CreateTable { def: definition(database, name, primary_key) }, |m| {
            m.insert(format!("{database}.{name}"), BTreeMap::new());
        });
    }

    /// Rows of one transaction, each in a table; `None` deletes. With a primary key, a row that is there is replaced.
    fn commit(&mut self, rows: &[Change<'_>]) {
        let done = self.try_commit(rows, |_, _| Ok(()));
        self.committed(rows, done);
    }

    /// As [`Script::commit`], for a transaction whose every change goes to the log before the commit, with a snapshot in its midst and a statement that is
    /// taken back when it is in the log already.
    fn commit_in_parts(&mut self, rows: &[Change<'_>]) {
        let node = self.node;
        let part_bytes = node.leaf.engine.node.part_bytes.swap(1, Relaxed);
        let log_ahead = |t: &Transaction| RUNTIME.block_on(t.log_ahead());
        let done = self.try_commit(rows, |n, t| {
            log_ahead(t)?;
            if n == 1 {
                let mark = t.mark();
                node.insert(t, &*node.table("a", "t")?, &[Value::Int(7000), Value::str("never")])?;
                node.insert(t, &*node.table("a", "t")?, &[Value::Int(7001), Value::str("never")])?;
                log_ahead(t)?;
                t.rollback_to(mark);
            }
            if n == 2
                && let Some(d) = node.group.catalog().database("a")
            {
                let _ = node.leaf.snapshot_database(d, 2, RUNTIME.handle());
            }
            Ok(())
        });
        node.leaf.engine.node.part_bytes.store(part_bytes, Relaxed);
        self.committed(rows, done);
    }

    fn try_commit(&self, rows: &[Change<'_>], after: impl Fn(usize, &Transaction) -> Result<(), Fault>) -> Result<(), Fault> {
        let now = self.node.contents();
        let t = self.node.leaf.engine.begin(Isolation::RepeatableRead);
        for (n, (database, table, id, values)) in rows.iter().enumerate() {
            let def = self.node.table(database, table)?;
            let row = values.as_ref().map(|v| [vec![Value::Int(*id)], v.clone()].concat());
            let before = rows[..n].iter().rfind(|r| (r.0, r.1, r.2) == (*database, *table, *id));
            let there = before.map_or_else(|| now.get(&format!("{database}.{table}")).is_some_and(|t| t.contains_key(id)), |r| r.3.is_some());
            match (&row, there) {
                (Some(row), false) => self.node.insert(&t, &def, row)?,
                // What made it was refused.
                (None, false) => (),
                (_, true) => self.node.replace(&t, &def, *id, row.as_deref())?,
            }
            after(n, &t)?;
        }
        RUNTIME.block_on(t.commit(Durability::Sync)).map(drop)
    }

    fn committed(&mut self, rows: &[Change<'_>], done: Result<(), Fault>) {
        if done.is_ok() {
            self.greatest = rows.iter().filter(|r| (r.0, r.1) == ("a", "t")).map(|r| r.2).fold(self.greatest, i64::max);
        }
        self.step(done, |m| {
            for (database, table, id, values) in rows {
                let Some(rows) = m.get_mut(&format!("{database}.{table}")) else { continue };
                match values {
                    Some(v) => drop(rows.insert(*id, [vec![Value::Int(*id)], v.clone()].concat())),
                    None => drop(rows.remove(id)),
                }
            }
        });
    }

    fn snapshot(&mut self, database: &str) {
        let Some(d) = self.node.group.catalog().database(database).cloned() else { return };
        if let Err(error) = self.node.leaf.snapshot_database(&d, 2, RUNTIME.handle()) {
            self.failures.push(Fault::Internal { incident: error.to_string() });
        }
    }

    /// Everything a node does to its disk, once.
    fn run(&mut self) {
        let text = |n: i64, len: usize| vec![Value::str(format!("{n} ").repeat(len))];
        self.create_database("a", 2);
        self.create_table("a", "t", true);
        self.create_table("a", "u", false);
        // Both partitions in every transaction; several segments.
        for n in 0..6i64 {
            self.commit(&[("a", "t", 2 * n, Some(text(n, 60))), ("a", "t", 2 * n + 1, Some(text(n, 3))), ("a", "u", n, Some(text(n, 20)))]);
        }
        self.commit(&[("a", "t", 1, None), ("a", "t", 2, Some(text(7, 1))), ("a", "t", 11, None)]);
        self.snapshot("a");
        self.commit(&[("a", "t", 3, None), ("a", "t", 1, Some(text(8, 1)))]);
        // Rows that change twice, one that comes and goes, one that goes and comes, in both partitions.
        self.commit_in_parts(&[
            ("a", "t", 600, Some(text(1, 40))),
            ("a", "t", 601, Some(text(2, 40))),
            ("a", "t", 2, None),
            ("a", "t", 602, Some(text(3, 4))),
            ("a", "t", 600, Some(text(4, 50))),
            ("a", "t", 601, None),
            ("a", "t", 2, Some(text(5, 5))),
        ]);
        self.commit(&[("a", "t", 600, Some(text(6, 2))), ("a", "t", 602, None)]);
        // ADD COLUMN w, with a default for the rows that are there.
        if let Ok(old) = self.node.table("a", "t") {
            let mut def = Box::new(TableDef::clone(&old));
            let ty = SqlType::bigint(false);
            let mut constant = Vec::new();
            RowLayout::new(std::slice::from_ref(&ty)).encode(&[Value::Int(5)], &mut constant).unwrap();
            def.layouts.push(Layout {
                version: old.version,
                fields: old.columns.iter().map(|c| c.ty.clone()).collect(),
                columns: vec![FieldSource::Field(0), FieldSource::Field(1), FieldSource::Constant(constant)],
            });
            def.columns.push(column("w", ty));
            self.command(Command::ReplaceTable { expected: old.version, def }, |m| {
                m.get_mut("a.t").unwrap().values_mut().for_each(|row| row.push(Value::Int(5)));
            });
        }
        let wide = |n: i64, w: i64| vec![Value::str(n.to_string()), Value::Int(w)];
        if self.node.table("a", "t").is_ok_and(|t| t.columns.len() == 3) {
            self.commit(&[("a", "t", 20, Some(wide(20, 1))), ("a", "t", 21, Some(wide(21, 2))), ("a", "t", 2, Some(wide(2, 3)))]);
        }
        self.command(Command::RenameTables { moves: vec![Rename { from: ("a".into(), "u".into()), to: ("a".into(), "r".into()) }] }, |m| {
            if let Some(rows) = m.remove("a.u") {
                m.insert("a.r".into(), rows);
            }
        });
        // Another database, with transactions that reach over both.
        self.create_database("b", 1);
        self.create_table("b", "t", true);
        for n in 0..4i64 {
            self.commit(&[("b", "t", n, Some(text(n, 50))), ("a", "r", 100 + n, Some(text(n, 1)))]);
        }
        self.snapshot("a");
        self.snapshot("b");
        // TRUNCATE: an empty table beside it takes its place.
        self.command(Command::BuildTable { def: definition("b", "t", true) }, |_| ());
        let building = self.node.group.catalog().database("b").and_then(|d| d.building.keys().next().copied());
        if let (Ok(old), Some(with)) = (self.node.table("b", "t"), building) {
            self.command(Command::SwapTable { old: old.id, expected: old.version, with }, |m| {
                if let Some(rows) = m.get_mut("b.t") {
                    rows.clear();
                }
            });
        }
        self.commit(&[("b", "t", 1, Some(text(1, 1)))]);
        if let Ok(t) = self.node.table("a", "r") {
            self.command(Command::DropTables { tables: vec![t.id] }, |m| drop(m.remove("a.r")));
        }
        self.commit(&[("b", "t", 2, Some(text(2, 200)))]);
        self.node.tend();
        self.command(Command::DropDatabase { name: "b".into() }, |m| m.retain(|name, _| name != "b" && !name.starts_with("b.")));
        self.create_database("b", 1);
        self.create_table("b", "t", true);
        self.commit(&[("b", "t", 9, Some(text(9, 1)))]);
        self.node.tend();
    }
}

fn check_counters(node: &Node, greatest: i64, context: &str) {
    if let Ok(t) = node.table("a", "t") {
        let next = node.leaf.engine.next_auto_increment(&t);
        assert!(next > greatest as u64, "{context}: the next number is {next}, {greatest} was given");
    }
}

#[test]
fn crash_at_every_change_keeps_every_answered_step_whole() {
    let disk = Arc::new(SimDisk::new());
    let node = open(&disk, 1).unwrap();
    let started = disk.changes();
    let (states, greatest) = {
        let mut script = Script::new(&node, &disk, Model::new());
        script.run();
        assert!(script.failures.is_empty(), "{:?}", script.failures);
        assert_eq!(node.contents(), script.possible[0]);
        (script.states, script.greatest)
    };
    drop(node);
    let mut before_second = Vec::new();
    for change in 0..=disk.changes() {
        let mut variants = vec![Survives::Nothing, Survives::Everything, Survives::Sectors { seed: change as u64 }];
        if let Some(len) = change.checked_sub(1).and_then(|last| disk.written_at(last)) {
            variants.extend([1, 41, len / 2, len.saturating_sub(1)].into_iter().filter(|n| *n < len).map(Survives::BytesOfLast));
        }
        let answered = states.iter().rposition(|(at, _)| *at <= change);
        for (n, survives) in variants.into_iter().enumerate() {
            let context = format!("change {change} of {}, {survives:?}", disk.changes());
            let after = Arc::new(disk.after_crash_at(change, survives));
            let node = open(&after, 2).unwrap_or_else(|e| panic!("{context}: {e}"));
            let found = node.contents();
            // What was answered last, or also the step that was under way.
            let allowed: Vec<&Model> = match answered {
                Some(k) => states[k..states.len().min(k + 2)].iter().flat_map(|s| &s.1).collect(),
                None => vec![&states[0].1[0]],
            };
            assert!(allowed.contains(&&found), "{context}: found {found:#?}, allowed are {allowed:#?}");
            if change == disk.changes() {
                check_counters(&node, greatest, &context);
            }
            drop(node);
            if change > started && (change + n) % 11 == 0 {
                before_second.push((after, found, context));
            }
        }
    }
    // A second life on what the first left, and a second crash.
    for (disk, found, context) in before_second {
        let node = open(&disk, 3).unwrap_or_else(|e| panic!("{context}, second life: {e}"));
        let mut script = Script::new(&node, &disk, found);
        script.create_database("c", 2);
        script.create_table("c", "t", true);
        for n in 0..5 {
            script.commit(&[("c", "t", n, Some(vec![Value::str("x".repeat(200))])), ("c", "t", n + 10, Some(vec![Value::Null]))]);
        }
        if script.possible[0].contains_key("a.u") {
            script.commit(&[("a", "u", 500, Some(vec![Value::Null])), ("a", "u", 501, Some(vec![Value::Null]))]);
        }
        script.snapshot("c");
        script.node.tend();
        script.commit(&[("c", "t", 77, Some(vec![Value::Null]))]);
        assert!(script.failures.is_empty(), "{context}: {:?}", script.failures);
        let states = script.states;
        drop(node);
        for change in (0..=disk.changes()).rev().step_by(9) {
            let survives = if change % 2 == 0 { Survives::Nothing } else { Survives::Sectors { seed: change as u64 } };
            let context = format!("{context}, then change {change} of {}, {survives:?}", disk.changes());
            let node = open(&Arc::new(disk.after_crash_at(change, survives)), 4).unwrap_or_else(|e| panic!("{context}: {e}"));
            let found = node.contents();
            let answered = states.iter().rposition(|(at, _)| *at <= change).unwrap_or(0);
            let allowed: Vec<&Model> = states[answered..states.len().min(answered + 2)].iter().flat_map(|s| &s.1).collect();
            assert!(allowed.contains(&&found), "{context}: found {found:#?}, allowed are {allowed:#?}");
        }
    }
}

/// Every call of a kind fails once; what was answered before and after is there in the end.
fn fail_each(call: Call, kind: ErrorKind, step: usize) {
    let calls = {
        let disk = Arc::new(SimDisk::new());
        let node = open(&disk, 1).unwrap();
        let before = disk.calls(call);
        Script::new(&node, &disk, Model::new()).run();
        disk.calls(call) - before
    };
    for nth in (0..calls).step_by(step) {
        let disk = Arc::new(SimDisk::new());
        let node = open(&disk, 1).unwrap();
        disk.fail(call, nth, kind);
        let (possible, failures) = {
            let mut script = Script::new(&node, &disk, Model::new());
            script.run();
            (script.possible, script.failures)
        };
        drop(node);
        for survives in [Survives::Nothing, Survives::Everything] {
            let context = format!("{call:?} number {nth} of {calls} fails ({kind:?}), then {survives:?}; refused: {failures:?}");
            let node = open(&Arc::new(disk.after_crash(survives)), 2).unwrap_or_else(|e| panic!("{context}: {e}"));
            let found = node.contents();
            assert!(possible.contains(&found), "{context}: found {found:#?}, allowed are {possible:#?}");
        }
    }
}

#[test]
fn failing_sync_loses_nothing_that_was_answered() {
    fail_each(Call::Sync, ErrorKind::Other, 1);
}

#[test]
fn failing_write_loses_nothing_that_was_answered() {
    fail_each(Call::Write, ErrorKind::Other, 2);
}

#[test]
fn write_that_finds_no_room_loses_nothing_that_was_answered() {
    fail_each(Call::Write, ErrorKind::StorageFull, 3);
}

#[test]
fn failing_names_lose_nothing_that_was_answered() {
    for (call, kind) in [
        (Call::Rename, ErrorKind::Other),
        (Call::Rename, ErrorKind::StorageFull),
        (Call::SyncDir, ErrorKind::Other),
        (Call::SyncDir, ErrorKind::StorageFull),
        (Call::Open, ErrorKind::StorageFull),
        (Call::Allocate, ErrorKind::StorageFull),
    ] {
        fail_each(call, kind, 1);
    }
}

#[test]
fn disk_that_fills_up_refuses_steps_and_takes_them_again_when_there_is_room() {
    for room in (0..12_000).step_by(900) {
        let disk = Arc::new(SimDisk::new());
        let node = open(&disk, 1).unwrap();
        let mut script = Script::new(&node, &disk, Model::new());
        script.create_database("a", 2);
        script.create_table("a", "t", true);
        script.create_table("a", "u", false);
        disk.set_capacity(Some(disk.used_bytes() + room));
        for n in 0..40 {
            script.commit(&[("a", "t", n, Some(vec![Value::str("y".repeat(250))])), ("a", "t", n + 100, Some(vec![Value::Null]))]);
            if n % 15 == 14 {
                script.snapshot("a");
            }
        }
        assert!(!script.failures.is_empty(), "room {room}");
        let clean = |f: &Fault| matches!(f, Fault::DiskFull | Fault::Internal { .. });
        assert!(script.failures.iter().all(clean), "room {room}: {:?}", script.failures);
        assert_eq!(script.possible.len(), 1);
        // Reading goes on, and shows what was answered.
        assert_eq!(node.contents(), script.possible[0], "room {room}");
        let found = open(&Arc::new(disk.after_crash(Survives::Nothing)), 2).unwrap().contents();
        assert_eq!(found, script.possible[0], "room {room}, after a crash while it was full");
        disk.set_capacity(None);
        script.failures.clear();
        script.commit(&[("a", "t", 1000, Some(vec![Value::Null])), ("a", "t", 1001, Some(vec![Value::Null]))]);
        script.snapshot("a");
        script.create_database("b", 2);
        assert!(script.failures.is_empty(), "room {room}: {:?}", script.failures);
        let expected = script.possible[0].clone();
        drop(node);
        assert_eq!(open(&Arc::new(disk.after_crash(Survives::Nothing)), 2).unwrap().contents(), expected, "room {room}, in the end");
    }
}

#[test]
fn commits_answered_before_they_are_durable_are_lost_from_the_end_only() {
    let disk = Arc::new(SimDisk::new());
    let node = open(&disk, 1).unwrap();
    let mut script = Script::new(&node, &disk, Model::new());
    script.create_database("a", 2);
    script.create_table("a", "t", true);
    let base = disk.changes();
    let t = node.table("a", "t").unwrap();
    let mut states = vec![script.possible[0].clone()];
    for n in 0..30i64 {
        // Every transaction moves one row to a new id, in whichever partition that is.
        let by = node.leaf.engine.begin(Isolation::RepeatableRead);
        if n > 0 {
            node.replace(&by, &t, n - 1, None).unwrap();
        }
        node.insert(&by, &t, &[Value::Int(n), Value::str("z".repeat(100))]).unwrap();
        RUNTIME.block_on(by.commit(Durability::Async)).unwrap();
        let mut next = states[0].clone();
        next.get_mut("a.t").unwrap().insert(n, vec![Value::Int(n), Value::str("z".repeat(100))]);
        states.push(next);
        if n % 10 == 9 {
            script.snapshot("a");
        }
    }
    assert!(script.failures.is_empty(), "{:?}", script.failures);
    RUNTIME.block_on(node.leaf.flushed()).unwrap();
    drop(node);
    let mut least = 0;
    for change in base..=disk.changes() {
        for survives in [Survives::Nothing, Survives::Everything, Survives::Sectors { seed: change as u64 }] {
            let found = open(&Arc::new(disk.after_crash_at(change, survives)), 2).unwrap().contents();
            let at = states.iter().position(|s| *s == found).unwrap_or_else(|| panic!("change {change}, {survives:?}: {found:#?}"));
            if survives == Survives::Nothing {
                assert!(at >= least, "change {change}: what was durable is gone");
                least = at;
            }
        }
    }
    assert_eq!(least, 30);
}

#[test]
fn catalogue_that_was_lost_is_not_taken_for_an_empty_one() {
    let disk = Arc::new(SimDisk::new());
    let node = open(&disk, 1).unwrap();
    let mut script = Script::new(&node, &disk, Model::new());
    script.create_database("a", 1);
    script.create_table("a", "t", true);
    script.commit(&[("a", "t", 1, Some(vec![Value::Null]))]);
    drop(node);
    let lost = Arc::new(disk.after_crash(Survives::Nothing));
    let env = Env::with_disk(lost.clone(), 1);
    env.disk.remove_dir_all(Path::new("/data/meta")).unwrap();
    let error = open(&lost, 2).err().unwrap();
    assert!(error.contains("restore the directory meta"), "{error}");
}

#[test]
fn catalogue_of_an_older_release_moves_into_the_group_whole_and_once() {
    let before = Arc::new(SimDisk::new());
    let command = |database: &str| Command::CreateDatabase {
        name: database.into(),
        partitions: 2,
        collation: Collation::UTF8MB4_GENERAL_CI,
        sync_durability: true,
        sync_replication: true,
    };
    {
        let env = Env::with_disk(before.clone(), 1);
        let dir = DataDir::open(&env, Path::new("/data")).unwrap();
        let (log, found) = MetaLog::open(&env, &dir).unwrap();
        assert_eq!(found, weald_log::meta_log::Recovered::default());
        let mut state = State::bootstrap(SELF, "127.0.0.1", 3306);
        state.apply(command("a")).unwrap();
        log.append(&weald_meta::encode_command(&command("a"))).unwrap().wait().unwrap();
        log.store_state(&weald_meta::encode_state(&state)).unwrap();
        log.append(&weald_meta::encode_command(&command("b"))).unwrap().wait().unwrap();
        log.close();
        env.disk.write_atomically(Path::new("/data/FORMAT"), b"weald data directory\nversion 1\n").unwrap();
    }
    let base = before.changes();
    drop(open(&before, 2).unwrap());
    assert!(!before.exists(Path::new("/data/meta/log")) && !before.exists(Path::new("/data/meta/state")));
    for change in base..=before.changes() {
        for survives in [Survives::Nothing, Survives::Everything, Survives::Sectors { seed: change as u64 }] {
            let disk = Arc::new(before.after_crash_at(change, survives));
            let node = open(&disk, 3).unwrap_or_else(|e| panic!("change {change}, {survives:?}: {e}"));
            let databases: Vec<_> = node.group.catalog().databases.keys().map(|n| n.to_string()).collect();
            assert_eq!(databases, ["a", "b"], "change {change}, {survives:?}");
            assert!(!disk.exists(Path::new("/data/meta/log")));
        }
    }
}

#[test]
fn number_that_a_full_disk_gives_again_is_not_taken_for_one_that_a_snapshot_holds() {
    let disk = Arc::new(SimDisk::new());
    let node = open(&disk, 1).unwrap();
    let mut script = Script::new(&node, &disk, Model::new());
    script.create_database("a", 1);
    script.create_table("a", "t", true);
    script.commit(&[("a", "t", 1, Some(vec![Value::Null]))]);
    let t = node.table("a", "t").unwrap();
    let partition = t.database;
    let appended =
        || node.leaf.log().expect("recovered above").partition(weald_types::PartitionId::of(partition, 0), weald_types::Lsn::ZERO).appended().raw();
    let commit = |id: i64| {
        let by = node.leaf.engine.begin(Isolation::RepeatableRead);
        node.insert(&by, &t, &[Value::Int(id), Value::Null]).unwrap();
        RUNTIME.block_on(by.commit(Durability::Sync)).map(drop)
    };
    let until = |done: &dyn Fn() -> bool| {
        while !done() {
            std::thread::yield_now();
        }
    };
    disk.hold_syncs();
    std::thread::scope(|scope| {
        let writes = disk.calls(Call::Write);
        let first = scope.spawn(|| commit(2));
        until(&|| disk.calls(Call::Write) > writes);
        // The second waits behind the first, and the snapshot for both.
        let second = scope.spawn(|| commit(3));
        until(&|| appended() == 3);
        let d = node.group.catalog().database("a").cloned().unwrap();
        let leaf = &node.leaf;
        let snapshot = scope.spawn(move || node_snapshot(leaf, &d));
        until(&|| disk.list(Path::new("/data/snapshots/1_0")).unwrap().iter().any(|f| f.name.ends_with(".tmp") && f.len > 0));
        disk.fail(Call::Write, 0, ErrorKind::StorageFull);
        disk.release_syncs();
        assert_eq!(first.join().unwrap(), Ok(()));
        assert_eq!(second.join().unwrap(), Err(Fault::DiskFull));
        snapshot.join().unwrap();
    });
    commit(4).unwrap();
    assert_eq!(appended(), 3, "the number of the commit that was refused");
    drop(node);
    let found = open(&Arc::new(disk.after_crash(Survives::Nothing)), 2).unwrap().contents();
    assert_eq!(found["a.t"].keys().copied().collect::<Vec<_>>(), [1, 2, 4]);
}

#[test]
fn change_that_nobody_waits_for_any_more_is_made_whole() {
    let disk = Arc::new(SimDisk::new());
    let node = open(&disk, 1).unwrap();
    let mut script = Script::new(&node, &disk, Model::new());
    script.create_database("a", 1);
    disk.hold_syncs();
    RUNTIME.block_on(async {
        let mut proposed = node.group.propose(Command::CreateTable { def: definition("a", "t", true) });
        // Begun, and on its way to the disk; then its client goes.
        let writes = disk.calls(Call::Write);
        while disk.calls(Call::Write) == writes {
            assert!(futures::poll!(&mut proposed).is_pending());
            tokio::task::yield_now().await;
        }
    });
    disk.release_syncs();
    script.create_table("a", "u", true);
    script.commit(&[("a", "u", 1, Some(vec![Value::Null]))]);
    assert!(script.failures.is_empty(), "{:?}", script.failures);
    let now = node.contents();
    assert!(now.contains_key("a.t"));
    drop(node);
    assert_eq!(open(&Arc::new(disk.after_crash(Survives::Nothing)), 2).unwrap().contents(), now);
}

fn node_snapshot(leaf: &Leaf, d: &weald_catalog::DatabaseDef) {
    leaf.snapshot_database(d, 2, RUNTIME.handle()).unwrap();
}
