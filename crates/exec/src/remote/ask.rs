//! The aggregator's side: asking the leaves.
//!
//! Owns:     the way to each node; what their tables' sizes were when they last said so.
//! Promises: what a piece of work said comes with its answer; a statement that is to stop stops waiting, and its work on the leaf ends.
//! Never:    asks twice.

use super::message::{Answer, BranchHead, Done, FoundRow, GateAsked, Head, Request, RowOp, Stop, TableAt, TableFigures, Task};
use super::method;
use crate::change::{Changed, Found};
use crate::engine::{Engine, Places, Work};
use crate::rows::Row;
use crate::transaction::Transaction;
use bytes::Bytes;
use parking_lot::RwLock;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use weald_catalog::TableDef;
use weald_expr::StatementContext;
use weald_expr::carried::{CarriedFacts, CarriedStatement};
use weald_partition::RowHandle;
use weald_plan::fragment::{Action, FragmentPlan};
use weald_rpc::{Ask, CallError, Lane, Peer};
use weald_types::{Fault, IndexId, NodeId, NodeIdentity, PartitionId, SchemaVersion, TableId, TxnId, Value};

/// Short work; answers may be long, but are taken as they come. On threads that clients' connections live on, each has a lane of its own.
const WORK: Lane = Lane(1);
const FIRST_OF_THREADS: u8 = 32;
/// Rows of scans.
pub(super) const SCANS: Lane = Lane(2);
/// What ends transactions and tells of life: never behind rows.
pub(super) const CONTROL: Lane = Lane(3);

thread_local! {
    static LANE: Cell<Lane> = const { Cell::new(WORK) };
}

/// Work that this thread asks for goes over a connection of its own, which lives on this thread's runtime: asking and answering wake no other thread. `n`
/// numbers the runtimes; all threads of one say the same number.
pub fn asks_by_itself(n: usize) {
    LANE.with(|lane| lane.set(Lane(FIRST_OF_THREADS.saturating_add(u8::try_from(n).unwrap_or(u8::MAX)))));
}

/// A branch that cannot be told of its end is told so often and so many times: for ten minutes. A leaf that is away for longer has been restarted, or
/// has long ended what it had of this aggregator.
const ABORT_EVERY: Duration = Duration::from_millis(500);
const ABORT_TRIES: u32 = 1200;

/// The nodes that hold partitions.
#[derive(Default)]
pub struct Leaves {
    me: OnceLock<NodeIdentity>,
    peers: RwLock<HashMap<NodeId, Peer, foldhash::fast::RandomState>>,
    figures: RwLock<HashMap<TableId, HashMap<(NodeId, u32), TableFigures>>>,
}

pub(crate) struct AskRead<'a> {
    pub node: NodeId,
    pub plan: &'a FragmentPlan,
    pub parts: Vec<(u32, Vec<Vec<u8>>)>,
    pub alone: bool,
    pub placed: bool,
}

impl Leaves {
    /// Who this node is. Before anything else.
    pub fn set_me(&self, me: NodeIdentity) {
        let _ = self.me.set(me);
    }
    pub(super) fn me(&self) -> NodeIdentity {
        self.me.get().copied().unwrap_or(NodeIdentity::UNKNOWN)
    }
    pub fn put(&self, node: NodeId, peer: Peer) {
        self.peers.write().insert(node, peer);
    }
    pub fn remove(&self, node: NodeId) {
        self.peers.write().remove(&node);
        self.figures.write().values_mut().for_each(|of| of.retain(|(n, _), _| *n != node));
    }
    /// Whether there are other nodes at all.
    pub fn are_any(&self) -> bool {
        !self.peers.read().is_empty()
    }
    pub(super) fn peers(&self) -> Vec<(NodeId, Peer)> {
        self.peers.read().iter().map(|(n, p)| (*n, p.clone())).collect()
    }
    pub(super) fn peer(&self, node: NodeId) -> Result<Peer, Fault> {
        self.peers.read().get(&node).cloned().ok_or_else(|| unreachable(node, "it is not a member of the cluster any more".into()))
    }

    /// (rows, bytes) of a table's partitions on other nodes, as they said lately.
    pub(crate) fn size(&self, table: TableId) -> (u64, u64) {
        let figures = self.figures.read();
        figures.get(&table).into_iter().flatten().fold((0, 0), |(rows, bytes), (_, f)| (rows + f.rows, bytes + f.bytes))
    }
    pub(super) fn take_figures(&self, node: NodeId, tables: Vec<TableFigures>) {
        let mut figures = self.figures.write();
        figures.values_mut().for_each(|of| of.retain(|(n, _), _| *n != node));
        for f in tables {
            figures.entry(f.table).or_default().insert((node, f.ordinal), f);
        }
        figures.retain(|_, of| !of.is_empty());
    }

    async fn work(&self, engine: &Engine, node: NodeId, joins: bool, variables: &[Arc<str>], task: Task<'_>, work: Work<'_>) -> Result<Done, Fault> {
        let branch = work.transaction.branch(node, joins);
        let facts = facts(work.statement)?;
        let head = head(engine, branch, variables, work.params, work);
        let body = weald_rpc::message::encode(&Request { facts: &facts, head, task }).map_err(internal)?;
        let called = self.call(node, method::WORK, body, work.statement).await;
        let answer: Answer = weald_rpc::message::decode(&called.map_err(CallFault::fault)?).map_err(internal)?;
        if let Some(asked) = branch {
            work.transaction.answered(node, asked, answer.wrote);
        }
        answer.effects.merge_into(work.statement)?;
        answer.done
    }

    async fn call(&self, node: NodeId, method: u16, body: Bytes, statement: &StatementContext) -> Result<Bytes, CallFault> {
        let peer = self.peer(node).map_err(CallFault::NotRun)?;
        let ask = Ask { method, body, within: None };
        tokio::select! {
            biased;
            answer = peer.call(LANE.with(Cell::get), ask) => answer.map_err(|e| CallFault::of(node, e)),
            fault = statement.interrupted.raised() => Err(CallFault::Unknown(fault)),
        }
    }

    pub(crate) async fn read(&self, engine: &Engine, ask: AskRead<'_>, work: Work<'_>) -> Result<Vec<Vec<Row>>, Fault> {
        let joins = !ask.placed && matches!(&ask.plan.fragment.action, Action::Read { lock: Some(_), .. });
        let plan = carried(ask.plan)?;
        let asked = ask.parts.len();
        let task = Task::Read { plan: &plan, parts: ask.parts, alone: ask.alone, placed: ask.placed };
        match self.work(engine, ask.node, joins, &variables(ask.plan), task, work).await? {
            Done::Rows(rows) if rows.len() == asked => Ok(rows),
            other => Err(odd(&other)),
        }
    }

    pub(crate) async fn change(
        &self,
        engine: &Engine,
        node: NodeId,
        plan: &FragmentPlan,
        ordinals: Vec<u32>,
        work: Work<'_>,
    ) -> Result<Changed, Fault> {
        let bytes = carried(plan)?;
        let task = Task::Change { plan: &bytes, ordinals, first_row: 1 };
        match self.work(engine, node, true, &variables(plan), task, work).await? {
            Done::Changed { matched, changed } => Ok(Changed { matched, changed }),
            other => Err(odd(&other)),
        }
    }

    #[allow(clippy::too_many_arguments)]
    pub(crate) async fn find(
        &self,
        engine: &Engine,
        node: NodeId,
        plan: &FragmentPlan,
        places: &Places<'_>,
        ordinals: Vec<u32>,
        most: Option<u64>,
        work: Work<'_>,
    ) -> Result<Vec<Found>, Fault> {
        let bytes = carried_without_values(plan)?;
        let task = Task::Find { plan: &bytes, ordinals, most };
        let found = match self.work(engine, node, false, &variables(plan), task, work).await? {
            Done::Found(found) => found,
            other => return Err(odd(&other)),
        };
        let found_here = |r: FoundRow| {
            let at = places.at(r.ordinal).ok_or(Fault::SchemaChanged)?;
            Ok(Found { at, handle: RowHandle::new(&r.handle), version: r.version, bytes: r.bytes, key: r.key })
        };
        found.into_iter().map(found_here).collect()
    }

    pub(crate) async fn rows(
        &self,
        engine: &Engine,
        node: NodeId,
        partition: PartitionId,
        table: &TableDef,
        ops: Vec<RowOp<'_>>,
        work: Work<'_>,
    ) -> Result<Stop, Fault> {
        let task = Task::Rows { table: TableAt::of(table), ordinal: partition.ordinal(), ops };
        let nothing = Work { params: &[], ..work };
        match self.work(engine, node, true, &[], task, nothing).await? {
            Done::Stop(stop) => Ok(stop),
            other => Err(odd(&other)),
        }
    }

    pub(crate) async fn fetch(
        &self,
        engine: &Engine,
        node: NodeId,
        partition: PartitionId,
        table: &TableDef,
        handles: Vec<Cow<'_, [u8]>>,
        work: Work<'_>,
    ) -> Result<Vec<Option<(SchemaVersion, Vec<u8>)>>, Fault> {
        let asked = handles.len();
        let task = Task::Fetch { table: TableAt::of(table), ordinal: partition.ordinal(), handles };
        let nothing = Work { params: &[], ..work };
        match self.work(engine, node, false, &[], task, nothing).await? {
            Done::Fetched(rows) if rows.len() == asked => Ok(rows),
            other => Err(odd(&other)),
        }
    }

    /// The greatest AUTO_INCREMENT value up to `upto` in a table's partitions on this node.
    pub(crate) async fn greatest(
        &self,
        engine: &Engine,
        statement: &Arc<StatementContext>,
        node: NodeId,
        table: &TableDef,
        upto: u64,
    ) -> Result<u64, Fault> {
        let (snapshot, transaction) = (engine.node.snapshot(), Transaction::alone(engine.begin_here()));
        let work = Work { statement, params: &[], transaction: &transaction, snapshot: &snapshot, lock_wait: Duration::ZERO };
        match self.work(engine, node, false, &[], Task::Greatest { table: TableAt::of(table), upto }, work).await? {
            Done::Greatest(n) => Ok(n),
            other => Err(odd(&other)),
        }
    }

    pub(crate) async fn fill(
        &self,
        engine: &Engine,
        node: NodeId,
        table: &TableDef,
        indexes: &[IndexId],
        wait: Duration,
        statement: &Arc<StatementContext>,
    ) -> Result<(), Fault> {
        let (snapshot, transaction) = (engine.node.snapshot(), Transaction::alone(engine.begin_here()));
        let work = Work { statement, params: &[], transaction: &transaction, snapshot: &snapshot, lock_wait: wait };
        let task = Task::Fill { table: TableAt::of(table), indexes: indexes.to_vec() };
        self.work(engine, node, false, &[], task, work).await.map(drop)
    }

    /// `statement`: whose end ends the waiting.
    pub(crate) async fn gate(&self, node: NodeId, id: TxnId, asked: &GateAsked, statement: Option<&StatementContext>) -> Result<(), Fault> {
        let body = weald_rpc::message::encode(&(id, asked)).map_err(internal)?;
        let answer = match statement {
            Some(statement) => self.call(node, method::GATE, body, statement).await,
            None => self.peer(node)?.call(CONTROL, Ask { method: method::GATE, body, within: None }).await.map_err(|e| CallFault::of(node, e)),
        };
        let done: Result<(), Fault> = weald_rpc::message::decode(&answer.map_err(CallFault::fault)?).map_err(internal)?;
        done
    }

    /// Tells branches that their transaction is over; again and again where that does not arrive, as a leaf that lives keeps them, and what they have locked, for as
    /// long as it hears from this aggregator.
    pub(crate) fn abort(&self, txn: TxnId, nodes: impl Iterator<Item = NodeId>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        for node in nodes {
            let Ok(peer) = self.peer(node) else { continue };
            let Ok(body) = weald_rpc::message::encode(&(txn, super::message::End::Abort)) else { continue };
            runtime.spawn(async move {
                for _ in 0..ABORT_TRIES {
                    match peer.call(CONTROL, Ask { method: method::END, body: body.clone(), within: None }).await {
                        Ok(_) => return,
                        Err(error) => tracing::debug!(%node, %txn, %error, "a branch was not told of its end"),
                    }
                    tokio::time::sleep(ABORT_EVERY).await;
                }
            });
        }
    }
}

/// Why there is no answer.
pub(super) enum CallFault {
    /// It did nothing.
    NotRun(Fault),
    Unknown(Fault),
}

impl CallFault {
    pub(super) fn of(node: NodeId, error: CallError) -> Self {
        match error {
            CallError::NotRun(e) => Self::NotRun(unreachable(node, with_source(&e))),
            CallError::Unknown(e) => Self::Unknown(unreachable(node, with_source(&e))),
        }
    }
    pub(super) fn fault(self) -> Fault {
        match self {
            Self::NotRun(fault) | Self::Unknown(fault) => fault,
        }
    }
}

fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn unreachable(node: NodeId, reason: String) -> Fault {
    Fault::PartitionUnavailable { partition: "*".into(), reason: format!("node {node}: {reason}") }
}

pub(super) fn internal(error: impl std::fmt::Display) -> Fault {
    Fault::Internal { incident: error.to_string() }
}

fn odd(answer: &Done) -> Fault {
    Fault::Internal { incident: format!("an answer of another kind: {answer:?}") }
}

pub(super) fn facts(statement: &StatementContext) -> Result<Bytes, Fault> {
    weald_rpc::message::encode(&CarriedFacts::of(&statement.session)).map_err(internal)
}

pub(super) fn head<'a>(engine: &Engine, branch: Option<BranchHead>, variables: &[Arc<str>], params: &'a [Value], work: Work<'_>) -> Head<'a> {
    Head {
        catalog: engine.followed(),
        at: work.snapshot.at(),
        branch,
        lock_wait_millis: work.lock_wait.as_millis() as u64,
        memory_bytes: work.statement.memory.limit(),
        statement: CarriedStatement::of(work.statement, variables),
        params: params.into(),
    }
}

/// All ways of a plan.
fn carried(plan: &FragmentPlan) -> Result<Bytes, Fault> {
    let ways: Vec<_> = std::iter::once(&plan.fragment).chain(&plan.others).map(|f| f.carry()).collect();
    weald_rpc::message::encode(&ways).map_err(internal)
}

/// The same for who only looks for the rows: what they become may be for this node alone to say.
fn carried_without_values(plan: &FragmentPlan) -> Result<Bytes, Fault> {
    let mut plan = plan.clone();
    for f in std::iter::once(&mut plan.fragment).chain(&mut plan.others) {
        if let Action::Update { sort, limit, .. } = &f.action {
            f.action = Action::Delete { sort: sort.clone(), limit: limit.clone() };
        }
    }
    carried(&plan)
}

fn variables(plan: &FragmentPlan) -> Vec<Arc<str>> {
    plan.fragment.variables()
}
