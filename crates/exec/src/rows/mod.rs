//! The row executor: every bound query, row by row, with MySQL's semantics.
//!
//! Owns:     the rows in flight of one execution, within its memory budget.
//! Promises: runs whatever the binder makes; small queries start at once (no optimiser, no Arrow); order of rows is the plan's.
//! Never:    blocks a thread: waiting is in the table source. Never reads a table but through [`TableSource`].
//!
//! A [`Rel`](weald_plan::Rel) is compiled once into immutable [`Node`]s, whose expressions read columns by their slot in the row. Opening a node gives a
//! [`Stream`], which holds the state of one run; a correlated subquery or a lateral join opens its node again for each outer row, with the outer
//! columns it reads appended to the parameters.

mod aggregate;
mod compile;
mod describe;
mod distinct;
mod join;
mod lock;
mod meter;
mod recursive;
mod scalar;
mod scan;
mod sort;
mod window;

pub use compile::{Described, compile, compile_described};
pub(crate) use compile::{same_keys, spec};
pub use describe::{AccessStep, ColumnNames, Step, scan_step};
pub use meter::{Actual, Meter};
pub use scan::{LockRequest, ScanRequest, TableSource};

use crate::turns::{Steps, Turns};
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::Arc;
use weald_expr::{EvalContext, Expr, StatementContext, SubqueryResult, eval};
use weald_types::{Fault, Value};

pub type Row = Vec<Value>;

/// Rows a stream hands over at once, at most.
pub const BATCH_ROWS: usize = 1024;

/// A compiled, immutable operator.
#[derive(Debug)]
pub enum Node {
    Scan(scan::Scan),
    Virtual { name: Arc<str>, width: usize, keep: Vec<usize> },
    JsonTable { document: scalar::Scalar, table: Arc<weald_expr::json_table::JsonTable> },
    Values(Vec<Vec<scalar::Scalar>>),
    Filter { input: Arc<Node>, predicate: scalar::Scalar },
    Project { input: Arc<Node>, exprs: Vec<scalar::Projection> },
    Join(join::Join),
    Aggregate(aggregate::Aggregate),
    Window(window::Window),
    Sort { input: Arc<Node>, keys: Vec<sort::Key>, limit: Option<Box<sort::Limit>> },
    Limit { input: Arc<Node>, limit: sort::Limit },
    Lock(lock::Lock),
    Distinct(distinct::Distinct),
    SetOp(distinct::SetOp),
    Recursive(recursive::Recursive),
    RecursionInput { id: u32 },
}

/// What one execution shares.
pub struct Execution {
    pub statement: Arc<StatementContext>,
    pub source: Arc<dyn TableSource>,
    pub max_recursion: u64,
    /// EXPLAIN ANALYZE and PROFILE: what each node did is counted here.
    pub meter: Option<Arc<Meter>>,
    turns: Turns,
}

impl Execution {
    pub fn new(statement: Arc<StatementContext>, source: Arc<dyn TableSource>, max_recursion: u64, meter: Option<Arc<Meter>>) -> Self {
        Self { statement, source, max_recursion, meter, turns: Turns::default() }
    }
}

/// What one operator holds of the statement's memory; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    statement: Arc<StatementContext>,
    bytes: u64,
}

impl Held {
    pub fn nothing(scope: &Scope) -> Self {
        Self { statement: scope.execution.statement.clone(), bytes: 0 }
    }
    /// Counts `bytes` more. They stay counted if that is too much: the query ends then.
    pub fn add(&mut self, bytes: u64) -> Result<(), Fault> {
        self.bytes += bytes;
        self.statement.memory.take(bytes)
    }
    pub fn add_rows(&mut self, rows: &[Row]) -> Result<(), Fault> {
        self.add(rows.iter().map(|r| row_bytes(r)).sum())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.statement.memory.give(self.bytes)
    }
}

/// About what a row costs in memory.
pub fn row_bytes(row: &[Value]) -> u64 {
    let heap: usize = row
        .iter()
        .map(|v| match v {
            Value::Str(s) if s.len() > 24 => s.len(),
            Value::Bytes(b) => b.len(),
            Value::Json(j) => j.size_bytes(),
            _ => 0,
        })
        .sum();
    (24 + std::mem::size_of_val(row) + heap) as u64
}

/// Rows of so many bytes are handed over together at most, or a single one that is larger: whoever made them does not count them, whoever keeps them does.
const BATCH_BYTES: u64 = 1 << 20;

/// Rows on their way to whoever asked for them.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    rows: Vec<Row>,
    bytes: u64,
}

impl Batch {
    pub fn push(&mut self, row: Row) {
        self.bytes += row_bytes(&row);
        self.rows.push(row);
    }
    pub fn is_full(&self) -> bool {
        self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }
    /// What [`Stream::next`] gives.
    pub fn given(self) -> Option<Vec<Row>> {
        if self.rows.is_empty() { None } else { Some(self.rows) }
    }
}

/// The surroundings of one opened node: the execution, the parameters as this level sees them, and the rows of recursive queries under way.
#[derive(Clone)]
pub struct Scope {
    pub execution: Arc<Execution>,
    pub params: Arc<[Value]>,
    pub(crate) recursion: Arc<HashMap<u32, Arc<Vec<Row>>>>,
    /// Answers of subqueries that read nothing of their surroundings: computed once an execution.
    pub(crate) constants: Arc<parking_lot::Mutex<HashMap<u32, (SubqueryResult, Held)>>>,
}

impl Scope {
    pub fn new(execution: Arc<Execution>, params: Arc<[Value]>) -> Self {
        Self { execution, params, recursion: Arc::default(), constants: Arc::default() }
    }
    /// Call for every so many rows looked at: see [`Turns::piece`].
    pub(crate) async fn piece(&self) -> Result<(), Fault> {
        self.execution.turns.piece(&self.execution.statement).await
    }
    pub(crate) fn context<'a>(&'a self, subqueries: &'a [Option<SubqueryResult>]) -> EvalContext<'a> {
        EvalContext { statement: &self.execution.statement, params: &self.params, subqueries }
    }
    /// The same, seen from a level below that reads the columns `outer` of `row` as further parameters.
    pub(crate) fn with_outer(&self, outer: &[Expr], row: &[Value]) -> Result<Self, Fault> {
        let mut params = Vec::with_capacity(self.params.len() + outer.len());
        params.extend_from_slice(&self.params);
        for column in outer {
            params.push(eval(column, row, &self.context(&[]))?);
        }
        Ok(Self { params: params.into(), ..self.clone() })
    }
}

/// One run of a node. `next` gives at most [`BATCH_ROWS`] rows, never none; `None` at the end.
pub trait Stream: Send {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>>;
    /// What `next` gives, where nothing needs to be done for it.
    fn at_hand(&mut self) -> Option<Option<Vec<Row>>> {
        None
    }
}

pub type BoxStream = Box<dyn Stream>;

/// Starts a run of `node`.
pub fn open(node: &Arc<Node>, scope: &Scope) -> BoxStream {
    match &scope.execution.meter {
        None => open_node(node, scope),
        Some(meter) => meter.watch(node, open_node(node, scope)),
    }
}

fn open_node(node: &Arc<Node>, scope: &Scope) -> BoxStream {
    match &**node {
        Node::Scan(s) => s.open(scope),
        Node::Virtual { name, width, keep } => Box::new(scan::VirtualStream::new(name.clone(), *width, keep.clone(), scope.clone())),
        Node::JsonTable { document, table } => Box::new(Lazy::new(json_rows(document.clone(), table.clone(), scope.clone()))),
        Node::Values(rows) => Box::new(scalar::ValuesStream::new(rows.clone(), scope.clone())),
        Node::Filter { input, predicate } => Box::new(scalar::FilterStream::new(open(input, scope), predicate.clone(), scope.clone())),
        Node::Project { input, exprs } => Box::new(scalar::ProjectStream::new(open(input, scope), exprs.clone(), scope.clone())),
        Node::Join(j) => j.open(scope),
        Node::Aggregate(a) => a.open(scope),
        Node::Window(w) => w.open(scope),
        Node::Sort { input, keys, limit } => {
            Box::new(sort::SortStream::new(open(input, scope), keys.clone(), limit.as_deref().cloned(), scope.clone()))
        }
        Node::Limit { input, limit } => Box::new(sort::LimitStream::new(open(input, scope), limit.clone(), scope.clone())),
        Node::Lock(l) => l.open(scope),
        Node::Distinct(d) => d.open(scope),
        Node::SetOp(s) => s.open(scope),
        Node::Recursive(r) => r.open(scope),
        Node::RecursionInput { id } => Box::new(recursive::RoundStream::new(scope.recursion.get(id).cloned().unwrap_or_default())),
    }
}

async fn json_rows(document: scalar::Scalar, table: Arc<weald_expr::json_table::JsonTable>, scope: Scope) -> Made {
    let document = document.eval(&[], &scope).await?;
    let mut rows = Vec::new();
    let mut held = Held::nothing(&scope);
    table.for_each_row(&document, &scope.context(&[]), &mut |row| {
        held.add(row_bytes(&row))?;
        rows.push(row);
        Ok(())
    })?;
    Ok((rows, held))
}

/// All rows of a run, and what they cost.
pub(crate) async fn collect(stream: &mut BoxStream, scope: &Scope) -> Result<(Vec<Row>, Held), Fault> {
    let mut all = Vec::new();
    let mut held = Held::nothing(scope);
    while let Some(batch) = stream.next().await? {
        scope.piece().await?;
        held.add_rows(&batch)?;
        all.extend(batch);
    }
    Ok((all, held))
}

/// Rows that are there already, as a stream.
pub fn ready(rows: Vec<Row>) -> BoxStream {
    Box::new(Ready::new(rows))
}

/// Rows that are there already.
pub(crate) struct Ready {
    rows: std::vec::IntoIter<Row>,
}

impl Ready {
    pub fn new(rows: Vec<Row>) -> Self {
        Self { rows: rows.into_iter() }
    }
    pub fn take(&mut self) -> Option<Vec<Row>> {
        let batch: Vec<Row> = if self.rows.len() <= BATCH_ROWS {
            // Which keeps the vector that they came in.
            std::mem::take(&mut self.rows).collect()
        } else {
            self.rows.by_ref().take(BATCH_ROWS).collect()
        };
        if batch.is_empty() { None } else { Some(batch) }
    }
}

impl Stream for Ready {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(std::future::ready(Ok(self.take())))
    }
    fn at_hand(&mut self) -> Option<Option<Vec<Row>>> {
        Some(self.take())
    }
}

/// Rows, and what of the query's memory they take.
pub(crate) type Made = Result<(Vec<Row>, Held), Fault>;

/// A stream whose rows are all computed at the first `next`; what they cost is held until it is dropped.
pub(crate) struct Lazy {
    work: Option<BoxFuture<'static, Made>>,
    ready: Ready,
    held: Option<Held>,
}

impl Lazy {
    pub fn new(work: impl Future<Output = Made> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)), ready: Ready::new(Vec::new()), held: None }
    }
}

impl Stream for Lazy {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            if let Some(work) = self.work.take() {
                let (rows, held) = work.await?;
                self.ready = Ready::new(rows);
                self.held = Some(held);
            }
            let batch = self.ready.take();
            if batch.is_none() {
                self.held = None;
            }
            Ok(batch)
        })
    }
}
