//! Tables under the row executor and under DataFusion, at one snapshot.
//!
//! Owns:     the snapshot, for as long as the query runs.
//! Promises: the same rows for every scan of the query.
//! Never:    writes; locks in the session's transaction only.

use crate::analytic::{BatchSource, RowCursor, RowsTaker, ShareRequest};
use crate::change::{locator, read_locator};
use crate::columns::{TableColumns, Wanted};
use crate::engine::{Engine, Work, wait};
use crate::find::{self, Lookup};
use crate::locked_read::{Asked, asked, mode_of};
use crate::remote::{RemoteRows, RemoteScan};
use crate::rows::{Batch, BoxStream, LockRequest, Row, ScanRequest, Stream, TableSource};
use crate::site::{Home, Site};
use crate::stored::Fields;
use crate::transaction::Transaction;
use crate::turns::{Steps, Turns};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Duration;
use weald_catalog::TableRef;
use weald_expr::{EvalContext, StatementContext, eval, is_true, sorted_list};
use weald_partition::{Cursor, KeyRange, Partition, Reading, Snapshot, Step, Table};
use weald_plan::Statistics;
use weald_plan::key_values::Keys;
use weald_plan::query::ROW_LOCATOR;
use weald_types::{Fault, NodeId, TableId, Value};

/// Rows of information_schema, by table name. Most are made before it returns; for some, other nodes have to be asked.
pub type VirtualRows = Arc<dyn Fn(&str) -> BoxFuture<'static, Result<Vec<Row>, Fault>> + Send + Sync>;

type Opened = Arc<[Opening]>;

/// A table in one partition.
pub(crate) enum Opening {
    Here(Arc<Partition>, Arc<Table>),
    /// On which node, and the partition's number in its database.
    There(NodeId, u32),
}
/// Tables with larger rows than this, on average, are not kept as columns.
const MOST_ROW_BYTES: u64 = 4096;

/// Pieces of a table that can be read side by side.
type Units = Arc<[Unit]>;

#[derive(Clone)]
enum Unit {
    Here(Arc<Table>, KeyRange),
    There(NodeId, u32),
}

/// The node's tables at a snapshot.
pub struct Snapshotted {
    pub engine: Arc<Engine>,
    pub snapshot: Snapshot,
    pub virtual_rows: VirtualRows,
    /// The query's tables as they were when it was planned: however late a scan begins, it reads what the others read.
    opened: HashMap<TableId, Opened>,
    /// Splits of single-partition tables: made once, so that shares neither overlap nor leave a gap.
    splits: Mutex<HashMap<TableId, Units>>,
    threads: usize,
    locker: Option<Locker>,
    only: Option<Arc<[u32]>>,
}

/// In whose name a query locks rows, and for how long it waits for one.
#[derive(Clone)]
pub struct Locker {
    /// The session's: it may end before a query that nobody waits for any more has noticed.
    pub transaction: Weak<Transaction>,
    pub lock_wait: Duration,
}

impl Snapshotted {
    /// [`Fault::SchemaChanged`] if one of `tables` is no longer what the query was planned for; [`Fault::RebuiltSince`] if it has no rows of the snapshot's time.
    pub fn new(engine: Arc<Engine>, snapshot: Snapshot, tables: &[TableRef], virtual_rows: VirtualRows, threads: usize) -> Result<Self, Fault> {
        let mut opened = HashMap::with_capacity(tables.len());
        for t in tables {
            opened.insert(t.id, open(&engine, t, &snapshot)?);
        }
        Ok(Self { engine, snapshot, virtual_rows, opened, splits: Mutex::default(), threads: threads.max(1), locker: None, only: None })
    }

    /// The same of these partitions of a table only, by their numbers in its database.
    pub(crate) fn only(mut self, ordinals: &[u32]) -> Self {
        self.only = Some(ordinals.into());
        self
    }

    /// The same, able to lock rows.
    pub fn locking(mut self, locker: Locker) -> Self {
        self.locker = Some(locker);
        self
    }

    fn opened(&self, table: &TableRef) -> Result<Opened, Fault> {
        match self.opened.get(&table.id) {
            Some(found) => Ok(found.clone()),
            None => open(&self.engine, table, &self.snapshot),
        }
    }
}

fn open(engine: &Engine, table: &TableRef, snapshot: &Snapshot) -> Result<Opened, Fault> {
    let places = engine.places(table)?;
    let open = |(at, home): (usize, &Home)| match home {
        Home::There(node) => Ok(Opening::There(*node, places.ordinal(at))),
        Home::Here(_) | Home::Nowhere => {
            let (partition, t) = places.open(at)?;
            find::readable(&t, snapshot)?;
            Ok(Opening::Here(partition.clone(), t))
        }
    };
    places.homes().iter().enumerate().map(open).collect()
}

impl std::fmt::Debug for Snapshotted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshotted at {}", self.snapshot.at())
    }
}

impl TableSource for Snapshotted {
    fn scan(&self, request: ScanRequest) -> BoxStream {
        let tables = self.opened(&request.table);
        Box::new(ScanStream {
            // What a remote scan is asked in: the session's own changes are to be seen.
            transaction: self.locker.as_ref().map(|l| l.transaction.clone()),
            engine: self.engine.clone(),
            tables,
            only: self.only.clone(),
            snapshot: self.snapshot.clone(),
            request,
            parts: None,
            turns: Turns::default(),
            steps: Steps::default(),
        })
    }
    fn virtual_rows<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Row>, Fault>> {
        (self.virtual_rows)(name)
    }
    fn lock<'a>(&'a self, request: LockRequest<'a>) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(self.lock_row(request))
    }
    fn row_count(&self, table: &TableRef) -> u64 {
        self.engine.size(table).0
    }
}

impl Snapshotted {
    async fn lock_row(&self, r: LockRequest<'_>) -> Result<bool, Fault> {
        let Some(locker) = &self.locker else { return Err(Fault::Internal { incident: "a query that may not lock rows".into() }) };
        let tables = self.opened(r.table)?;
        let (at, handle) = read_locator(r.locator)?;
        let (partition, table) = match tables.get(at).ok_or(Fault::SchemaChanged)? {
            Opening::Here(partition, table) => (partition, table),
            Opening::There(..) => {
                let transaction = locker.transaction.upgrade().ok_or(Fault::Interrupted)?;
                let work =
                    Work { statement: r.statement, params: &[], transaction: &transaction, snapshot: &self.snapshot, lock_wait: locker.lock_wait };
                let places = self.engine.places(r.table)?;
                let site: Site<'_> = places.site(&self.engine, at)?;
                return site.lock(&handle, r.locking, work).await;
            }
        };
        loop {
            let outcome = {
                let transaction = locker.transaction.upgrade().ok_or(Fault::Interrupted)?;
                partition.lock(&transaction, table, &handle, mode_of(r.locking))?
            };
            match asked(outcome, r.locking)? {
                Asked::Locked => return Ok(true),
                Asked::PassedBy => return Ok(false),
                Asked::Wait(lock) => wait(r.statement, locker.lock_wait, lock).await?,
            }
        }
    }
}

/// What is still to be read.
enum Part {
    Row(usize, Arc<Table>, weald_types::IndexId, Vec<u8>),
    Cursor(usize, Arc<Table>, Cursor),
    /// Partitions on another node; and once it has been asked, what it answers.
    Asked(NodeId, Vec<u32>),
    Remote(RemoteScan),
}

struct ScanStream {
    transaction: Option<Weak<Transaction>>,
    engine: Arc<Engine>,
    tables: Result<Opened, Fault>,
    only: Option<Arc<[u32]>>,
    snapshot: Snapshot,
    request: ScanRequest,
    parts: Option<std::collections::VecDeque<Part>>,
    turns: Turns,
    steps: Steps,
}

impl ScanStream {
    fn parts(&self) -> Result<std::collections::VecDeque<Part>, Fault> {
        let r = &self.request;
        let ctx = EvalContext { statement: &r.statement, params: &r.params, subqueries: &[] };
        let keys = find::keys(&r.table, &r.access, &ctx)?;
        let mut parts = std::collections::VecDeque::new();
        let tables = self.tables.clone()?;
        // A full shard key names its partition.
        let dealt = if tables.len() > 1 { self.engine.dealt(&r.table, &keys, tables.len()) } else { None };
        let places = self.engine.places(&r.table)?;
        for (at, opening) in tables.iter().enumerate() {
            if self.only.as_ref().is_some_and(|only| !only.contains(&places.ordinal(at))) {
                continue;
            }
            let keys = dealt.as_ref().map_or(&keys, |d| &d[at]);
            let table = match opening {
                Opening::Here(_, table) => table,
                Opening::There(..) if matches!(keys, Keys::Nothing) => continue,
                Opening::There(node, ordinal) => {
                    let known = parts.iter_mut().find_map(|p| if let Part::Asked(n, all) = p { (n == node).then_some(all) } else { None });
                    match known {
                        Some(all) => all.push(*ordinal),
                        None => parts.push_back(Part::Asked(*node, vec![*ordinal])),
                    }
                    continue;
                }
            };
            match find::lookup(table.schema(), keys) {
                Lookup::Rows(index, keys) => parts.extend(keys.into_iter().map(|k| Part::Row(at, table.clone(), index, k))),
                Lookup::Cursors(cursors) => parts.extend(cursors.into_iter().map(|c| Part::Cursor(at, table.clone(), c))),
            }
        }
        Ok(parts)
    }

    async fn batch(&mut self) -> Result<Option<Vec<Row>>, Fault> {
        if self.parts.is_none() {
            self.parts = Some(self.parts()?);
            let ctx = EvalContext { statement: &self.request.statement, params: &self.request.params, subqueries: &[] };
            if let Some(filter) = self.request.filter.as_ref().and_then(|f| sorted_list::prepare(f, &ctx)) {
                self.request.filter = Some(filter);
            }
        }
        let Some(parts) = self.parts.as_mut() else { return Ok(None) };
        let r = &self.request;
        let ctx = EvalContext { statement: &r.statement, params: &r.params, subqueries: &[] };
        let mut out = Batch::default();
        while !out.is_full() {
            let Some(part) = parts.front_mut() else { break };
            r.statement.check_interrupted()?;
            let mut fault = None;
            let (at, table) = match part {
                Part::Row(at, t, ..) | Part::Cursor(at, t, _) => (*at, t.clone()),
                Part::Asked(node, ordinals) => {
                    let transaction = self.transaction.as_ref().and_then(Weak::upgrade);
                    let ordinals = std::mem::take(ordinals);
                    *part = Part::Remote(RemoteScan::open(&self.engine, *node, r, ordinals, &self.snapshot, transaction.as_deref()).await?);
                    continue;
                }
                Part::Remote(scan) => match scan.next(&r.statement).await? {
                    Some(rows) => {
                        rows.into_iter().for_each(|row| out.push(row));
                        continue;
                    }
                    None => {
                        parts.pop_front();
                        continue;
                    }
                },
            };
            let schema = table.schema();
            let mut looked = 0u64;
            let mut turn = Ok(false);
            let (turns, steps) = (&self.turns, &mut self.steps);
            let mut take = |row: weald_partition::StoredRow<'_>| {
                looked += 1;
                let fields = Fields { schema, version: row.version, bytes: row.bytes };
                match r.filter.as_ref().map(|e| eval(e, &fields, &ctx)) {
                    Some(Err(e)) => {
                        fault = Some(e);
                        return ControlFlow::Break(());
                    }
                    Some(Ok(v)) if !is_true(&v) => (),
                    _ => out.push(
                        r.ordinals
                            .iter()
                            .map(|o| {
                                if *o == ROW_LOCATOR { locator(at, row.handle().bytes()) } else { schema.value(row.version, row.bytes, *o as usize) }
                            })
                            .collect(),
                    ),
                }
                // A filter that lets nothing through must not go on for ever either.
                if steps.row() {
                    turn = turns.is_over(&r.statement);
                }
                if out.is_full() || turn != Ok(false) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let done = match part {
                Part::Row(_, _, index, key) => {
                    weald_partition::get(&table, *index, key, &self.snapshot, &mut take).await?;
                    true
                }
                Part::Cursor(_, _, cursor) => {
                    weald_partition::scan(&table, cursor, &self.snapshot, &mut take).await?;
                    cursor.is_done()
                }
                Part::Asked(..) | Part::Remote(_) => false,
            };
            r.statement.cost.rows_examined.fetch_add(looked, Relaxed);
            if let Some(f) = fault {
                return Err(f);
            }
            if done {
                parts.pop_front();
            }
            if turn? {
                self.turns.next(&r.statement).await;
            }
        }
        Ok(out.given())
    }
}

impl Stream for ScanStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(self.batch())
    }
}

impl BatchSource for Snapshotted {
    fn shares(&self, table: &TableRef) -> usize {
        self.units(table).map_or(1, |u| u.len()).clamp(1, self.threads)
    }
    fn row_count(&self, table: &TableRef) -> u64 {
        self.engine.size(table).0
    }
    fn row_bytes(&self, table: &TableRef) -> u64 {
        let (rows, bytes) = self.engine.size(table);
        bytes / rows.max(1)
    }
    fn columns(&self, table: &TableRef, wanted: &[Wanted]) -> Option<TableColumns> {
        // Rows of this size are not what queries group and join: their texts would push everything else out.
        if self.row_bytes(table) > MOST_ROW_BYTES {
            return None;
        }
        let cache = &self.engine.columns;
        let opened = self.opened(table).ok()?;
        let image = |opening: &Opening| match opening {
            Opening::Here(p, t) => Some((t.clone(), cache.image(p.id(), t, &self.snapshot)?)),
            Opening::There(..) => None,
        };
        let parts: Option<Vec<_>> = opened.iter().map(image).collect();
        let columns = TableColumns { cache: cache.clone(), parts: parts?.into(), snapshot: self.snapshot.clone(), wanted: wanted.into() };
        cache.has_room_for(columns.missing_bytes()).then_some(columns)
    }
    fn statistics<'a>(&'a self, statement: &'a StatementContext, params: &'a [Value]) -> Box<dyn Statistics + 'a> {
        Box::new(self.engine.sampled(statement, params))
    }
    fn open(&self, request: ShareRequest) -> Box<dyn RowCursor> {
        let mine = self.units(&request.table).map(|units| {
            let piece = |unit: &Unit| match unit {
                Unit::Here(t, range) => Piece::Here(t.clone(), Cursor::rows(range.clone())),
                Unit::There(node, ordinal) => Piece::There(RemoteRows::new(&self.engine, *node, &request.table, *ordinal, self.locker.clone())),
            };
            units.iter().skip(request.share).step_by(request.shares.max(1)).map(piece).collect()
        });
        Box::new(ShareCursor { parts: mine, snapshot: self.snapshot.clone(), statement: request.statement })
    }
}

impl Snapshotted {
    /// Pieces of a table that can be read side by side.
    fn units(&self, table: &TableRef) -> Result<Units, Fault> {
        if let Some(known) = self.splits.lock().get(&table.id) {
            return Ok(known.clone());
        }
        let tables = self.opened(table)?;
        let each = self.threads.div_ceil(tables.len().max(1));
        let units = |opening: &Opening| match opening {
            Opening::Here(_, t) => t.split(each).into_iter().map(|r| Unit::Here(t.clone(), r)).collect(),
            Opening::There(node, ordinal) => vec![Unit::There(*node, *ordinal)],
        };
        let units: Units = tables.iter().flat_map(units).collect();
        Ok(self.splits.lock().entry(table.id).or_insert(units).clone())
    }
}

enum Piece {
    Here(Arc<Table>, Cursor),
    There(RemoteRows),
}

/// Rows of a share, one piece of a table after the other.
pub(crate) struct ShareCursor {
    /// The fault is told when the rows are asked for.
    parts: Result<std::collections::VecDeque<Piece>, Fault>,
    snapshot: Snapshot,
    statement: Arc<StatementContext>,
}

impl ShareCursor {
    pub fn of(table: Arc<Table>, range: KeyRange, snapshot: Snapshot, statement: Arc<StatementContext>) -> Self {
        Self { parts: Ok([Piece::Here(table, Cursor::rows(range))].into()), snapshot, statement }
    }
}

impl RowCursor for ShareCursor {
    fn next<'a>(&'a mut self, rows: usize, take: &'a mut RowsTaker<'_>) -> BoxFuture<'a, Result<usize, Fault>> {
        Box::pin(async move {
            let parts = self.parts.as_mut().map_err(|f| f.clone())?;
            loop {
                self.statement.check_interrupted()?;
                let (table, cursor) = match parts.front_mut() {
                    None => return Ok(0),
                    Some(Piece::Here(table, cursor)) => (table, cursor),
                    Some(Piece::There(rows)) => match rows.next(&self.snapshot, &self.statement, take).await? {
                        0 => {
                            parts.pop_front();
                            continue;
                        }
                        given => return Ok(given),
                    },
                };
                let schema = table.schema();
                // In a block of its own: what keeps the rows in place must be gone before anything is waited for.
                let (given, step) = {
                    let reading = Reading::new();
                    let mut found = Vec::with_capacity(rows + 64);
                    let step = table.scan_rows_into(cursor, self.snapshot.view(), rows, &reading, &mut found);
                    if !found.is_empty() {
                        take(schema, &found)?;
                    }
                    (found.len(), step)
                };
                match step {
                    Step::Done => {
                        parts.pop_front();
                    }
                    Step::More => (),
                    Step::Blocked(writer) if given == 0 => writer.ended().await,
                    Step::Blocked(_) => (),
                    Step::IndexGone => return Err(Fault::SchemaChanged),
                }
                if given > 0 {
                    self.statement.cost.rows_examined.fetch_add(given as u64, Relaxed);
                    return Ok(given);
                }
            }
        })
    }
}
