//! SELECT: from a syntax tree to rows.
//!
//! Owns:     the choice between fragment, row executor and DataFusion.
//! Promises: the choice never changes the answer; what reads much runs on the query threads, and what turns out to be much work goes there.
//! Never:    blocks a connection's thread for longer than a small query takes.

use super::into_file::{NewFile, OutFormat};
use super::large::Large;
use super::query_threads::{Nearby, Remote};
use super::{Done, Outcome, Session};
use crate::cluster::Gathered;
use crate::information_schema::{self, Facts};
use futures::future::BoxFuture;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use weald_catalog::TableRef;
use weald_exec::rows::{self, BoxStream, Execution, Meter, Row, Scope, Stream, TableSource, row_bytes};
use weald_exec::{Isolation, Locker, Snapshot, Snapshotted, VirtualRows, Work};
use weald_expr::{Expr, StatementContext};
use weald_plan::FragmentPlan;
use weald_plan::fragment::{Access, Action, Fragment};
use weald_plan::query::{Column, Query, Rel};
use weald_plan::{bind, local, rewrite};
use weald_sql::ast;
use weald_types::{ColumnId, Fault, SqlType, Value, WarningLevel};

/// Up to so many rows (estimated) a query is run where it arrived, and never by DataFusion.
pub const SMALL_QUERY_ROWS: u64 = 20_000;
/// A statement may meet a table that is being changed, or rows that changed under it, so many times before the client hears of it.
pub const RETRIES: usize = 16;

/// Whether the statement leaves to sql_select_limit how many rows there are at most.
pub(super) fn is_open_ended(q: &ast::Query) -> bool {
    let inner = match &q.body {
        ast::SetExpr::Query(inner) => is_open_ended(inner),
        ast::SetExpr::Select(_) | ast::SetExpr::Values(_) | ast::SetExpr::Table(_) | ast::SetExpr::SetOp { .. } => true,
    };
    q.limit.is_none() && inner
}

pub(super) fn limited(q: &ast::Query, most: u64) -> ast::Query {
    let count = ast::Expr::Literal(ast::Literal::Integer(most));
    ast::Query { limit: Some(ast::Limit { count, offset: None }), ..q.clone() }
}

impl Session {
    pub(crate) async fn select(&mut self, q: &ast::Query, text: &str, params: &[Value]) -> Result<Outcome, Fault> {
        let types: Vec<Option<SqlType>> = params.iter().map(|v| Some(super::prepared::type_of(v))).collect();
        let mut last = Fault::SchemaChanged;
        for _ in 0..RETRIES {
            let version = self.catalog().version;
            let query = self.bind(text, &types, |env| bind::bind_query(env, q))?;
            match self.run_bound(query, params, q.into.as_ref()).await {
                Err(fault) if fault.is_out_of_date() && self.may_read_again() => {
                    // A row that was to be locked, or a whole table, changed after the snapshot was taken, and nothing was seen at that yet.
                    self.current().used = false;
                    last = if fault == Fault::WriteConflict { Fault::Deadlock } else { fault };
                }
                Err(Fault::WriteConflict | Fault::Deadlock) => {
                    self.rollback_open();
                    return Err(Fault::Deadlock);
                }
                Err(Fault::SchemaChanged) => {
                    self.server.newer_than(version).await;
                    last = Fault::SchemaChanged;
                }
                done => return done,
            }
        }
        if last == Fault::Deadlock {
            self.rollback_open();
        }
        Err(last)
    }

    async fn run_bound(&mut self, mut query: Query, params: &[Value], into: Option<&ast::Into>) -> Result<Outcome, Fault> {
        self.check(&query.needs)?;
        self.warn_of(&query.warnings);
        query.joins_only = self.settings.executor == Executor::Analytic;
        // All rows are found and counted; those beyond the limit are not sent.
        let limit = if query.calc_found_rows { taken_limit(&mut query.root) } else { None };
        let statement = self.statement();
        self.long_work(|| rewrite::optimize(&mut query, &self.bind_context(), &self.server.engine.sampled(&statement, params)));
        let executor = self.executor_for(&query);
        let query = Arc::new(query);
        let destination = match into {
            None => Destination::Client,
            Some(into) => self.destination(into, &query.columns).await?,
        };
        let mut rows = self.open_with(&query, params, executor).await?;
        if query.calc_found_rows {
            let (count, offset) = limit.unwrap_or_default();
            let counted = Arc::new(AtomicU64::new(0));
            self.counted = Some(counted.clone());
            let (take, skip) =
                (self.limit_value(count.as_ref(), params)?.unwrap_or(u64::MAX), self.limit_value(offset.as_ref(), params)?.unwrap_or(0));
            rows = Box::new(Counted { rows, skip, take, counted });
        }
        let rows = begun(rows).await?;
        match destination {
            Destination::Client => Ok(Outcome::Rows { columns: query.columns.as_slice().into(), rows }),
            Destination::Variables(names) => self.into_variables(names, rows).await,
            Destination::Outfile(file, format) => self.into_outfile(file, &format, &query.columns, rows).await,
            Destination::Dumpfile(file) => self.into_dumpfile(file, &query.columns, rows).await,
        }
    }

    /// Where rows go; a file is there from now on, before the query begins.
    async fn destination<'a>(&self, into: &'a ast::Into, columns: &[Column]) -> Result<Destination<'a>, Fault> {
        match into {
            ast::Into::Variables(names) if names.len() != columns.len() => {
                Err(Fault::mysql(1222, "21000", "The used SELECT statements have a different number of columns"))
            }
            ast::Into::Variables(names) => Ok(Destination::Variables(names)),
            ast::Into::Outfile { path, charset, format } => {
                let format = OutFormat::new(format, charset.as_deref(), columns)?;
                if let Some(ambiguous) = format.warning() {
                    self.warn(ambiguous);
                }
                Ok(Destination::Outfile(self.new_file(path).await?, format))
            }
            ast::Into::Dumpfile(path) => Ok(Destination::Dumpfile(self.new_file(path).await?)),
        }
    }

    fn limit_value(&self, e: Option<&Expr>, params: &[Value]) -> Result<Option<u64>, Fault> {
        let Some(e) = e else { return Ok(None) };
        let statement = self.statement();
        let ctx = weald_expr::EvalContext { statement: &statement, params, subqueries: &[] };
        Ok(weald_expr::coerce::uint(&weald_expr::eval(e, &weald_expr::NoRow, &ctx)?, &ctx))
    }

    /// Whether the client has seen nothing yet at the snapshot of its transaction, or is not bound to it.
    fn may_read_again(&mut self) -> bool {
        let open = self.current();
        open.seen_by_client == 0 || open.transaction.txn().isolation() == Isolation::ReadCommitted
    }

    /// What a statement reads at: the transaction's snapshot; at READ COMMITTED, and where nothing of it was seen yet, a new one.
    pub(crate) fn take_snapshot(&mut self) -> Snapshot {
        let open = self.current();
        if !open.used || open.transaction.txn().isolation() == Isolation::ReadCommitted {
            open.transaction.renew_snapshot()
        } else {
            open.transaction.snapshot()
        }
    }

    pub(crate) fn lock_wait(&mut self) -> Duration {
        self.facts().lock_wait
    }

    /// Starts a bound, optimized, permitted query.
    pub(crate) async fn open(&mut self, query: &Arc<Query>, params: &[Value]) -> Result<BoxStream, Fault> {
        self.open_with(query, params, Executor::Auto).await
    }

    async fn open_with(&mut self, query: &Arc<Query>, params: &[Value], executor: Executor) -> Result<BoxStream, Fault> {
        let by = self.choose(query, params, executor)?;
        if let Chosen::Fragment(plan) = &by {
            let rows = self.read_fragment(plan, params).await?;
            return Ok(rows::ready(rows));
        }
        let lockings = query.lockings();
        if lockings.iter().any(|l| l.exclusive) {
            self.refuse_if_read_only(&query.tables)?;
        }
        let statement = self.statement();
        // What reads no table neither begins a transaction nor binds one to its snapshot.
        let snapshot = if query.tables.is_empty() {
            statement.reads_nothing.store(query.reads_nothing(), Ordering::Relaxed);
            self.server.engine.node.snapshot()
        } else {
            let snapshot = self.take_snapshot();
            self.current().used = true;
            snapshot
        };
        let source = self.source(snapshot, &query.tables)?;
        let params: Arc<[Value]> = params.into();
        if !lockings.is_empty() && matches!(by, Chosen::Rows) {
            // On this thread, as what changes rows is: the transaction is the session's. All of them before the first is given: until then a conflict is
            // begun again unseen.
            let mut rows = self.row_executor(query, statement.clone(), params, source)?;
            let mut all = Vec::new();
            while let Some(batch) = rows.next().await? {
                statement.memory.take(batch.iter().map(|r| row_bytes(r)).sum())?;
                all.extend(batch);
            }
            return Ok(rows::ready(all));
        }
        if matches!(by, Chosen::Analytic) {
            let rows = self.large(statement.clone(), params, source, executor).open(query.clone());
            return Ok(self.on_query_threads(rows, statement));
        }
        let rows = self.row_executor(query, statement.clone(), params, source)?;
        if self.server.engine.rows_read(query) > SMALL_QUERY_ROWS {
            return Ok(self.on_query_threads(rows, statement));
        }
        Ok(Box::new(Nearby::new(rows, self.server.clone(), statement)))
    }

    /// What the session wants `query` to be run by. What reads no table is how a client asks for variables: it goes on working whatever is asked for.
    pub(crate) fn executor_for(&self, query: &Query) -> Executor {
        if query.tables.is_empty() { Executor::Auto } else { self.settings.executor }
    }

    /// What will run `query`.
    pub(crate) fn choose(&self, query: &Query, params: &[Value], executor: Executor) -> Result<Chosen, Fault> {
        if executor.takes_fragment()
            && let Some(plan) = local::fragment(query, &self.bind_context())
            && self.server.engine.takes(&plan)
        {
            match if executor == Executor::Auto { self.size_of(&plan, params) } else { Size::Small } {
                Size::Small => return Ok(Chosen::Fragment(Box::new(plan))),
                Size::LongAnswer => return Ok(Chosen::Rows),
                Size::Wide => (),
            }
        }
        match executor {
            Executor::Fragment => Err(Fault::not_supported("executor = fragment for a query that is not the work of one fragment")),
            Executor::Auto if self.server.engine.rows_read(query) <= SMALL_QUERY_ROWS || !query.lockings().is_empty() => Ok(Chosen::Rows),
            Executor::Auto | Executor::Analytic => Ok(Chosen::Analytic),
            Executor::Rows => Ok(Chosen::Rows),
        }
    }

    /// How much a fragment has before it, with these values.
    pub(crate) fn size_of(&self, plan: &FragmentPlan, params: &[Value]) -> Size {
        let wide = |f: &Fragment| {
            let Action::Read { group, aggregates, distinct, sort, limit, lock: None, .. } = &f.action else { return false };
            let stops_early = limit.is_some() && group.is_empty() && aggregates.is_empty() && !*distinct && sort.is_empty() && f.filter.is_none();
            let open = match &f.access {
                Access::Full => true,
                Access::Range { prefix, low, high, .. } => prefix.is_empty() && (matches!(low, Bound::Unbounded) || matches!(high, Bound::Unbounded)),
                Access::Point { .. } | Access::Points { .. } | Access::Ranges { .. } | Access::Like { .. } => false,
            };
            open && !stops_early
        };
        let long = match (&plan.fragment.action, &plan.fragment.access) {
            (_, Access::Point { .. }) => false,
            (Action::Read { group, aggregates, distinct: false, limit: None, lock: None, .. }, _) => {
                group.is_empty() && aggregates.is_empty() && plan.gather.sort.is_empty()
            }
            (Action::Read { .. } | Action::Update { .. } | Action::Delete { .. } | Action::Insert { .. }, _) => false,
        };
        let wide = wide(&plan.fragment) && plan.others.iter().all(wide);
        let engine = &self.server.engine;
        if !(wide || long) || engine.size(&plan.fragment.table).0 <= SMALL_QUERY_ROWS || engine.sums_up_elsewhere(plan) {
            return Size::Small;
        }
        match engine.entries_passed(plan, &self.statement(), params) {
            Ok(entries) if entries > SMALL_QUERY_ROWS => {
                if wide {
                    Size::Wide
                } else {
                    Size::LongAnswer
                }
            }
            // Whoever cannot say how much he reads finds out why when he runs.
            Ok(_) | Err(_) => Size::Small,
        }
    }

    pub(crate) async fn read_fragment(&mut self, plan: &FragmentPlan, params: &[Value]) -> Result<Vec<Row>, Fault> {
        if matches!(&plan.fragment.action, Action::Read { lock: Some(lock), .. } if lock.exclusive) {
            self.refuse_if_read_only([&plan.fragment.table])?;
        }
        let (engine, lock_wait) = (self.server.engine.clone(), self.lock_wait());
        for _ in 0..RETRIES {
            let statement = self.statement();
            let snapshot = self.take_snapshot();
            let open = self.current();
            let work = Work { statement: &statement, params, transaction: &open.transaction, snapshot: &snapshot, lock_wait };
            match engine.read(plan, work).await {
                // Nothing was seen yet: again, at a newer time, unseen by the client.
                Err(f) if f.is_out_of_date() && (!open.used || open.transaction.txn().isolation() == Isolation::ReadCommitted) => continue,
                // Only this statement has seen anything: whoever runs it begins it again.
                Err(f) if f.is_out_of_date() && open.seen_by_client == 0 => return Err(f),
                Err(Fault::WriteConflict | Fault::Deadlock) => {
                    self.rollback_open();
                    return Err(Fault::Deadlock);
                }
                Ok(rows) => {
                    open.used = true;
                    return Ok(rows);
                }
                Err(f) => return Err(f),
            }
        }
        Err(Fault::Deadlock)
    }

    pub(crate) fn source(&mut self, snapshot: Snapshot, tables: &[TableRef]) -> Result<Arc<Snapshotted>, Fault> {
        let virtual_rows = self.virtual_rows();
        let lock_wait = self.lock_wait();
        let mut source = Snapshotted::new(self.server.engine.clone(), snapshot, tables, virtual_rows, self.server.threads)?;
        // There is none where no table is read.
        if let Some(open) = &self.transaction {
            source = source.locking(Locker { transaction: Arc::downgrade(&open.transaction), lock_wait });
        }
        Ok(Arc::new(source))
    }

    /// information_schema is made from what is known now: it has no snapshot.
    fn virtual_rows(&self) -> VirtualRows {
        let server = self.server.clone();
        let user = self.user.clone();
        let session_variables = super::set::shown(&self.variables, true);
        let client = self.client.clone();
        let counters = self.counters.of_session();
        let temporary = self.temporary.all();
        let made = move |name: &str, told: &Gathered| {
            let catalog = server.catalog();
            let facts = Facts {
                catalog: &catalog,
                temporary: &temporary,
                user: &user,
                server: &*server,
                told,
                session_variables: &|| session_variables.clone(),
                global_variables: &|| super::set::shown(&server.variables.values(), false),
                session_status: &|| {
                    let mut all = crate::information_schema::ServerFacts::global_status(&*server);
                    client.fill_status(&mut all);
                    for (name, n) in &counters {
                        if let Some((_, value)) = all.iter_mut().find(|(known, _)| known == name) {
                            *value = n.to_string();
                        }
                    }
                    all
                },
            };
            information_schema::rows(name, &facts).ok_or_else(|| Fault::UnknownTable { name: name.to_string() })
        };
        let made = Arc::new(made);
        let (server, statement) = (self.server.clone(), self.statement());
        Arc::new(move |name| {
            let name = name.rsplit('.').next().unwrap_or(name);
            if information_schema::tells_sizes(name) && server.engine.leaves.are_any() {
                let (made, name, server) = (made.clone(), name.to_string(), server.clone());
                return Box::pin(async move {
                    server.engine.ask_figures().await;
                    made(&name, &Gathered::default())
                });
            }
            let Some(asked) = information_schema::asked_of_others(name) else {
                return Box::pin(std::future::ready(made(name, &Gathered::default())));
            };
            let (made, name, server, statement) = (made.clone(), name.to_string(), server.clone(), statement.clone());
            Box::pin(async move {
                let gathered = Gathered::of(&server, asked).await;
                for fault in &gathered.missing {
                    statement.warn(WarningLevel::Warning, fault.clone());
                }
                made(&name, &gathered)
            })
        })
    }

    fn row_executor(
        &self,
        query: &Arc<Query>,
        statement: Arc<StatementContext>,
        params: Arc<[Value]>,
        source: Arc<dyn TableSource>,
    ) -> Result<BoxStream, Fault> {
        let node = rows::compile(query)?;
        Ok(rows::open(&node, &self.scope(statement, params, source, None)))
    }

    pub(crate) fn scope(
        &self,
        statement: Arc<StatementContext>,
        params: Arc<[Value]>,
        source: Arc<dyn TableSource>,
        meter: Option<Arc<Meter>>,
    ) -> Scope {
        let execution = Execution::new(statement, source, self.variables.int("cte_max_recursion_depth"), meter);
        Scope::new(Arc::new(execution), params)
    }

    /// What a large query takes with it to the query threads.
    pub(crate) fn large(&self, statement: Arc<StatementContext>, params: Arc<[Value]>, source: Arc<Snapshotted>, executor: Executor) -> Large {
        Large {
            analytic: self.server.analytic.clone(),
            source: source.clone(),
            scope: self.scope(statement.clone(), params.clone(), source, None),
            statement,
            params,
            executor,
        }
    }

    /// Moves the work of `rows` away from the connection's thread.
    pub(crate) fn on_query_threads(&self, rows: BoxStream, statement: Arc<StatementContext>) -> BoxStream {
        Box::new(Remote::of(rows, &self.server, statement))
    }

    /// Rows of a few expressions without a table.
    pub(crate) async fn rows_of(&mut self, exprs: &[Expr], subqueries: Vec<Rel>, params: &[Value]) -> Result<Vec<Row>, Fault> {
        let columns: Vec<Column> = exprs
            .iter()
            .enumerate()
            .map(|(i, e)| Column { id: ColumnId::new(u32::MAX - i as u32), ty: weald_expr::typing::value_type(e), name: "".into(), origin: None })
            .collect();
        let root = Rel::Values { rows: vec![exprs.to_vec()], columns: columns.clone() };
        self.all_rows(root, columns, subqueries, params).await
    }

    pub(crate) async fn all_rows(&mut self, root: Rel, columns: Vec<Column>, subqueries: Vec<Rel>, params: &[Value]) -> Result<Vec<Row>, Fault> {
        let types = params.iter().map(super::prepared::type_of).collect();
        let query = Query {
            root,
            subqueries,
            columns,
            params: types,
            tables: Vec::new(),
            needs: Vec::new(),
            into: None,
            calc_found_rows: false,
            warnings: Vec::new(),
            fixed_join_order: false,
            joins_only: false,
            parts: true,
        };
        let mut stream = self.open(&Arc::new(query), params).await?;
        let mut rows = Vec::new();
        let statement = self.statement();
        while let Some(batch) = stream.next().await? {
            statement.memory.take(batch.iter().map(|r| row_bytes(r)).sum())?;
            rows.extend(batch);
        }
        Ok(rows)
    }

    async fn into_variables(&mut self, names: &[ast::Ident], mut rows: BoxStream) -> Result<Outcome, Fault> {
        let mut all = Vec::new();
        while all.len() < 2
            && let Some(batch) = rows.next().await?
        {
            all.extend(batch);
        }
        if all.len() > 1 {
            return Err(Fault::mysql(1172, "42000", "Result consisted of more than one row"));
        }
        let Some(row) = all.pop() else {
            self.warn(Fault::mysql(1329, "02000", "No data - zero rows fetched, selected, or processed"));
            return Outcome::affected(0);
        };
        for (name, v) in names.iter().zip(row) {
            let ty = super::prepared::type_of(&v);
            self.user_variables.set(name.to_lowercase().into(), v, ty)?;
        }
        Ok(Outcome::Ok(Done { affected: 1, ..Done::default() }))
    }
}

/// Where the rows of a SELECT go.
enum Destination<'a> {
    Client,
    Variables(&'a [ast::Ident]),
    Outfile(NewFile, OutFormat),
    Dumpfile(NewFile),
}

/// The LIMIT of a query block, out of its tree: (count, offset).
fn taken_limit(rel: &mut Rel) -> Option<(Option<Expr>, Option<Expr>)> {
    match rel {
        Rel::Limit { input, count, offset } => {
            let limit = (count.take(), offset.take());
            let inner = std::mem::replace(&mut **input, Rel::Values { rows: Vec::new(), columns: Vec::new() });
            *rel = inner;
            Some(limit)
        }
        // Hidden sort keys go after the limit.
        Rel::Project { input, .. } => taken_limit(input),
        _ => None,
    }
}

/// Rows of SQL_CALC_FOUND_ROWS.
struct Counted {
    rows: BoxStream,
    skip: u64,
    take: u64,
    counted: Arc<AtomicU64>,
}

impl Stream for Counted {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            while let Some(mut batch) = self.rows.next().await? {
                self.counted.fetch_add(batch.len() as u64, Ordering::Relaxed);
                let skipped = self.skip.min(batch.len() as u64);
                self.skip -= skipped;
                batch.drain(..skipped as usize);
                batch.truncate(usize::try_from(self.take).unwrap_or(usize::MAX));
                self.take -= batch.len() as u64;
                if !batch.is_empty() {
                    return Ok(Some(batch));
                }
            }
            Ok(None)
        })
    }
}

/// What a session asks its queries to be run by (`SET executor = …`): for tests, and for an operator who does not like the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Executor {
    Auto,
    Fragment,
    Rows,
    Analytic,
}

/// How much a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// It runs where the statement arrived, and its answer is kept until it is whole.
    Small,
    /// An index leads to its rows, but they are many, and come in no order: they go to the client while others are still looked for.
    LongAnswer,
    /// A whole large table, or an open range of one: all cores and columns at a time are worth their start.
    Wide,
}

/// What runs a query.
pub(crate) enum Chosen {
    Fragment(Box<FragmentPlan>),
    Rows,
    /// DataFusion, unless it refuses: then the row executor.
    Analytic,
}

impl Executor {
    pub fn of(variables: &crate::variables::Values) -> Self {
        match variables.text("executor") {
            "fragment" => Executor::Fragment,
            "rows" => Executor::Rows,
            "analytic" => Executor::Analytic,
            _ => Executor::Auto,
        }
    }
    pub fn takes_fragment(self) -> bool {
        matches!(self, Executor::Auto | Executor::Fragment)
    }
}

/// The rows, once the first of them are there: what goes wrong until then can still be begun again unseen.
async fn begun(mut rows: BoxStream) -> Result<BoxStream, Fault> {
    let first = rows.next().await?;
    Ok(Box::new(Begun { first, rows }))
}

struct Begun {
    first: Option<Vec<Row>>,
    rows: BoxStream,
}

impl Stream for Begun {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        match self.first.take() {
            Some(batch) => Box::pin(std::future::ready(Ok(Some(batch)))),
            None => self.rows.next(),
        }
    }
}
