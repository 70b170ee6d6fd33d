//! The leaf's side: answering.
//!
//! Owns:     what it knows again of requests: sessions' facts and plans, decoded.
//! Promises: runs what the aggregator would run if the partitions were there. A request is answered where it arrives unless it has to wait.
//! Never:    trusts the bytes: what does not decode is refused; plans are checked against the tables as they are here.

use super::ask::internal;
use super::message::{Answer, Done, End, Ended, FoundRow, GateAsked, Head, Pulse, Request, ScanKind, ScanRequest, Scanned, TableAt, Task};
use super::method;
use crate::engine::{Engine, Places, Work};
use crate::find;
use crate::fragment_read::{PassedBy, read_here};
use crate::rows::{ScanRequest as LocalScan, Stream, TableSource};
use crate::site::run_ops;
use crate::source::{Snapshotted, VirtualRows};
use crate::transaction::Transaction;
use bytes::Bytes;
use foldhash::HashMapExt;
use futures::FutureExt;
use quick_cache::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use weald_catalog::TableRef;
use weald_expr::StatementContext;
use weald_expr::carried::{CarriedFacts, Here, StatementEffects};
use weald_expr::context::SessionFacts;
use weald_partition::{Cursor, KeyRange, Reading, RowHandle, Snapshot, Step};
use weald_plan::carried::CarriedFragment;
use weald_plan::fragment::Fragment;
use weald_rpc::{Parts, Refused as NotAnswered, Reply, Request as Asked};
use weald_types::memory::Budget;
use weald_types::{Fault, NodeIdentity, PartitionId, SchemaVersion, TableId, TxnId};

const FACTS_KEPT: usize = 1000;
const PLANS_KEPT: usize = 4000;
/// Stored rows that are sent in one piece.
const SENT_ROWS: usize = 1000;
const SENT_BYTES: usize = 256 << 10;

pub struct Answering {
    engine: Arc<Engine>,
    here: Here,
    facts: Cache<Bytes, Arc<SessionFacts>>,
    plans: Cache<Bytes, Arc<[Fragment]>>,
}

impl Answering {
    pub fn new(engine: Arc<Engine>, here: Here) -> Arc<Self> {
        Arc::new(Self { engine, here, facts: Cache::new(FACTS_KEPT), plans: Cache::new(PLANS_KEPT) })
    }
}

/// A request with one of [`method`]'s numbers.
pub fn answer(this: &Arc<Answering>, request: Asked) -> Reply {
    let this = this.clone();
    match request.method {
        method::WORK => at_once(async move { this.work(request.from, request.body).await }),
        method::SCAN => Reply::later(async move { this.scan(request).await }),
        // What was promised and decided is in the log that is being read: until then nothing of it is known here, and nothing may be said of it.
        method::END | method::GATE if this.engine.recovering.load(Ordering::Relaxed) => Reply::refused("the node is recovering"),
        method::END => {
            // Goes on if the one who asked is gone: half an end is none.
            let ended = tokio::spawn(async move { this.end(&request.body).await });
            Reply::later(async move { ended.await.map_err(|e| NotAnswered(e.to_string()))? })
        }
        method::GATE => {
            let asked = tokio::spawn(async move { this.gate(request.from, &request.body).await });
            Reply::later(async move { asked.await.map_err(|e| NotAnswered(e.to_string()))? })
        }
        method::PULSE => Reply::later(async move {
            let pulse: Pulse = decode(&request.body)?;
            encode(&this.engine.hear(request.from, &pulse).await)
        }),
        other => Reply::refused(format!("there is no request number {other}")),
    }
}

/// Without a task, if nothing has to be waited for.
fn at_once(work: impl Future<Output = Result<Bytes, NotAnswered>> + Send + 'static) -> Reply {
    let mut work = Box::pin(work);
    match (&mut work).now_or_never() {
        Some(done) => Reply::Now(done),
        None => Reply::Later(work),
    }
}

fn decode<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, NotAnswered> {
    postcard::from_bytes(body).map_err(|e| NotAnswered(format!("a request that cannot be understood: {e}")))
}
fn encode<T: serde::Serialize>(answer: &T) -> Result<Bytes, NotAnswered> {
    weald_rpc::message::encode(answer).map_err(|e| NotAnswered(e.to_string()))
}

/// What a request is run under.
struct Ground {
    statement: Arc<StatementContext>,
    transaction: Arc<Transaction>,
    snapshot: Snapshot,
    lock_wait: Duration,
    joined: bool,
}

impl Answering {
    async fn work(&self, from: NodeIdentity, body: Bytes) -> Result<Bytes, NotAnswered> {
        let Request { facts, head, task } = decode(&body)?;
        let params = head.params.clone();
        let ground = match self.ground(from, facts, head).await {
            Ok(ground) => ground,
            Err(fault) => return encode(&Answer { done: Err(fault), effects: StatementEffects::default(), wrote: Vec::new() }),
        };
        let work = Work {
            statement: &ground.statement,
            params: &params,
            transaction: &ground.transaction,
            snapshot: &ground.snapshot,
            lock_wait: ground.lock_wait,
        };
        let done = self.run(task, work).await;
        encode(&ground.answer(done))
    }

    async fn end(&self, body: &[u8]) -> Result<Bytes, NotAnswered> {
        let (txn, end): (TxnId, End) = decode(body)?;
        let ended: Result<Ended, Fault> = self.engine.end_branch(txn, &end).await;
        encode(&ended)
    }

    async fn gate(&self, from: NodeIdentity, body: &[u8]) -> Result<Bytes, NotAnswered> {
        let (id, asked): (TxnId, GateAsked) = decode(body)?;
        encode(&self.engine.gate_asked(from, id, asked).await)
    }

    async fn ground(&self, from: NodeIdentity, facts: &[u8], head: Head<'_>) -> Result<Ground, Fault> {
        self.engine.follows_soon(head.catalog).await?;
        let session = match self.facts.get(facts) {
            Some(known) => known,
            None => {
                let carried: CarriedFacts = weald_rpc::message::decode(facts).map_err(internal)?;
                let session = Arc::new(carried.session(&self.here));
                self.facts.insert(Bytes::copy_from_slice(facts), session.clone());
                session
            }
        };
        let node = &self.engine.node;
        let statement = head.statement.context(&session, Budget::new(node.memory.clone(), head.memory_bytes))?;
        let (transaction, snapshot, joined) = match head.branch {
            Some(branch) => {
                let (transaction, snapshot) = self.engine.branches.enter(node, from, branch, head.at)?;
                (transaction, snapshot, true)
            }
            None => {
                let snapshot = node.snapshot_at(head.at).ok_or(Fault::RebuiltSince)?;
                let transaction = weald_partition::Transaction::begin(node, TxnId::new(0), weald_txn::Isolation::RepeatableRead);
                (Arc::new(Transaction::alone(transaction)), snapshot, false)
            }
        };
        Ok(Ground { statement: Arc::new(statement), transaction, snapshot, lock_wait: Duration::from_millis(head.lock_wait_millis), joined })
    }

    async fn run(&self, task: Task<'_>, work: Work<'_>) -> Result<Done, Fault> {
        let engine = &*self.engine;
        match task {
            Task::Read { plan, parts, alone, placed } => {
                let ways = self.plan(plan)?;
                let places = engine.places(&ways[0].table)?;
                let targets = positions(&places, parts.iter().map(|p| p.0))?;
                let passed_by: Option<PassedBy> = placed.then(|| {
                    let mut all = PassedBy::with_capacity(parts.len());
                    for (at, (_, handles)) in targets.iter().zip(parts) {
                        all.insert(*at, handles.into_iter().collect());
                    }
                    all
                });
                let way = engine.way(&ways[0], &ways[1..], None, &places, targets, &work.context())?;
                read_here(&way, &places, alone, passed_by.as_ref(), work).await.map(Done::Rows)
            }
            Task::Change { plan, ordinals, first_row } => {
                let ways = self.plan(plan)?;
                let places = engine.places(&ways[0].table)?;
                let targets = positions(&places, ordinals.into_iter())?;
                let way = engine.way(&ways[0], &ways[1..], None, &places, targets, &work.context())?;
                let done = engine.change_here(&way, &places, first_row, work).await?;
                Ok(Done::Changed { matched: done.matched, changed: done.changed })
            }
            Task::Find { plan, ordinals, most } => {
                let ways = self.plan(plan)?;
                let places = engine.places(&ways[0].table)?;
                let targets = positions(&places, ordinals.into_iter())?;
                let way = engine.way(&ways[0], &ways[1..], None, &places, targets, &work.context())?;
                let found = engine.find_here(&way, &places, most, work).await?;
                let sent = |r: crate::change::Found| FoundRow {
                    ordinal: places.ordinal(r.at),
                    handle: r.handle.bytes().to_vec(),
                    version: r.version,
                    bytes: r.bytes,
                    key: r.key,
                };
                Ok(Done::Found(found.into_iter().map(sent).collect()))
            }
            Task::Rows { table, ordinal, ops } => {
                let table = self.table(table)?;
                let places = engine.places(&table)?;
                let (partition, open) = places.open(places.at(ordinal).ok_or(Fault::SchemaChanged)?)?;
                run_ops(partition, &open, &ops, work).await.map(Done::Stop)
            }
            Task::Fill { table, indexes } => {
                let table = self.table(table)?;
                engine.fill_indexes_here(&table, &indexes, work.lock_wait, work.statement).await?;
                Ok(Done::Changed { matched: 0, changed: 0 })
            }
            Task::Greatest { table, upto } => engine.greatest_here(&*self.table(table)?, upto).await.map(Done::Greatest),
            Task::Fetch { table, ordinal, handles } => {
                let table = self.table(table)?;
                let places = engine.places(&table)?;
                let site = places.site(engine, places.at(ordinal).ok_or(Fault::SchemaChanged)?)?;
                let handles: Vec<RowHandle> = handles.iter().map(|h| RowHandle::new(h)).collect();
                site.fetch(&handles, work).await.map(Done::Fetched)
            }
        }
    }

    /// The ways of a plan, the cheapest of which is taken.
    fn plan(&self, bytes: &[u8]) -> Result<Arc<[Fragment]>, Fault> {
        if let Some(known) = self.plans.get(bytes) {
            return Ok(known);
        }
        let carried: Vec<CarriedFragment<'static>> = weald_rpc::message::decode(bytes).map_err(internal)?;
        let ways: Arc<[Fragment]> = carried.into_iter().map(|f| f.resolve(|id, version| self.table_of(id, version))).collect::<Result<_, _>>()?;
        if ways.is_empty() {
            return Err(internal("a plan without a way"));
        }
        self.plans.insert(Bytes::copy_from_slice(bytes), ways.clone());
        Ok(ways)
    }

    fn table(&self, table: TableAt) -> Result<TableRef, Fault> {
        self.table_of(table.id, table.version)
    }
    fn table_of(&self, id: TableId, version: SchemaVersion) -> Result<TableRef, Fault> {
        self.engine.definition_of(id, version).ok_or(Fault::SchemaChanged)
    }

    async fn scan(&self, request: Asked) -> Result<Bytes, NotAnswered> {
        let Some(mut parts) = request.parts else { return Err(NotAnswered("a scan whose rows nobody wants".into())) };
        let ScanRequest { facts, head, table, ordinals, kind } = decode(&request.body)?;
        let params: Arc<[_]> = head.params.clone().into_owned().into();
        let ground = match self.ground(request.from, facts, head).await {
            Ok(ground) => ground,
            Err(fault) => return encode(&Answer { done: Err(fault), effects: StatementEffects::default(), wrote: Vec::new() }),
        };
        let done = match kind {
            ScanKind::Values { access, filter, columns } => match self.table(table) {
                Ok(table) => {
                    let scan = LocalScan {
                        table,
                        access: access.into_owned(),
                        filter: filter.map(|f| f.into_owned()),
                        ordinals: columns.into_owned(),
                        statement: ground.statement.clone(),
                        params,
                    };
                    self.scan_values(scan, &ordinals, &ground, &mut parts).await
                }
                Err(fault) => Err(fault),
            },
            ScanKind::Stored => self.scan_stored(table, &ordinals, &ground, &mut parts).await,
        };
        encode(&ground.answer(done.map(|()| Done::Rows(Vec::new()))))
    }

    async fn scan_values(&self, scan: LocalScan, ordinals: &[u32], ground: &Ground, parts: &mut Parts) -> Result<(), Fault> {
        let nothing: VirtualRows = Arc::new(|_: &str| Box::pin(std::future::ready(Err(Fault::SchemaChanged))));
        let source = Snapshotted::new(self.engine.clone(), ground.snapshot.clone(), &[], nothing, 1)?.only(ordinals);
        let mut rows: Box<dyn Stream> = source.scan(scan);
        while let Some(batch) = rows.next().await? {
            send(parts, &Scanned::Values(batch)).await?;
        }
        Ok(())
    }

    async fn scan_stored(&self, table: TableAt, ordinals: &[u32], ground: &Ground, parts: &mut Parts) -> Result<(), Fault> {
        let table = self.table(table)?;
        let places = self.engine.places(&table)?;
        for at in positions(&places, ordinals.iter().copied())? {
            let (_, open) = places.open(at)?;
            find::readable(&open, &ground.snapshot)?;
            let mut cursor = Cursor::rows(KeyRange::all());
            loop {
                let (piece, step) = {
                    let reading = Reading::new();
                    let mut found = Vec::with_capacity(SENT_ROWS + 64);
                    let step = open.scan_rows_into(&mut cursor, ground.snapshot.view(), SENT_ROWS, &reading, &mut found);
                    let rows: Vec<(SchemaVersion, &[u8])> = found.iter().map(|r| (r.version, r.bytes)).collect();
                    let mut pieces = Vec::new();
                    let mut from = 0;
                    while from < rows.len() {
                        let (mut n, mut bytes) = (0, 0);
                        while from + n < rows.len() && bytes < SENT_BYTES {
                            bytes += rows[from + n].1.len();
                            n += 1;
                        }
                        pieces.push(weald_rpc::message::encode(&Scanned::Stored(rows[from..from + n].to_vec())).map_err(internal)?);
                        from += n;
                    }
                    (pieces, step)
                };
                let given = !piece.is_empty();
                for part in piece {
                    parts.send(part).await.map_err(|_| Fault::Interrupted)?;
                }
                match step {
                    Step::Done => break,
                    Step::More => tokio::task::yield_now().await,
                    Step::Blocked(writer) if !given => writer.ended().await,
                    Step::Blocked(_) => (),
                    Step::IndexGone => return Err(Fault::SchemaChanged),
                }
            }
        }
        Ok(())
    }
}

async fn send(parts: &mut Parts, piece: &Scanned<'_>) -> Result<(), Fault> {
    let part = weald_rpc::message::encode(piece).map_err(internal)?;
    parts.send(part).await.map_err(|_| Fault::Interrupted)
}

fn positions(places: &Places<'_>, ordinals: impl Iterator<Item = u32>) -> Result<Vec<usize>, Fault> {
    ordinals.map(|o| places.at(o).ok_or(Fault::SchemaChanged)).collect()
}

impl Ground {
    fn answer(&self, done: Result<Done, Fault>) -> Answer {
        let wrote: Vec<PartitionId> = if self.joined { self.transaction.participants() } else { Vec::new() };
        Answer { done, effects: StatementEffects::of(&self.statement), wrote }
    }
}
