//! SELECT: from a syntax tree to rows.
//!
//! Owns:     the choice between fragment, row executor and DataFusion.
//! Promises: the choice never changes the answer; what reads much runs on the query threads and streams through a bounded channel.
//! Never:    blocks a connection's thread for longer than a small query takes.

use super::{Done, Outcome, Session};
use crate::information_schema::{self, Facts};
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use weald_exec::analytic::BatchSource;
use weald_exec::rows::{self, BoxStream, Execution, Row, Scope, Stream, TableSource, row_bytes};
use weald_exec::{Isolation, Snapshot, Snapshotted, Work};
use weald_expr::{Expr, StatementContext};
use weald_plan::FragmentPlan;
use weald_plan::query::{Column, Query, Rel};
use weald_plan::{bind, local, rewrite};
use weald_sql::ast;
use weald_types::{ColumnId, Fault, SqlType, Value};

/// Up to so many rows (estimated) a query is run where it arrived, and never by DataFusion.
pub const SMALL_QUERY_ROWS: u64 = 20_000;
/// A statement may meet a table that is being changed, or rows that changed under it, so many times before the client hears of it.
pub const RETRIES: usize = 16;
/// Batches between a query's threads and its connection.
const CHANNEL: usize = 4;

impl Session {
    pub(crate) async fn select(&mut self, q: &ast::Query, text: &str, params: &[Value]) -> Result<Outcome, Fault> {
        let types: Vec<Option<SqlType>> = params.iter().map(|v| Some(super::prepared::type_of(v))).collect();
        for _ in 0..RETRIES {
            let query = self.bind(text, &types, |env| bind::bind_query(env, q))?;
            match self.run_bound(query, params, q.into.as_ref()).await {
                Err(Fault::SchemaChanged) => continue,
                done => return done,
            }
        }
        Err(Fault::SchemaChanged)
    }

    async fn run_bound(&mut self, mut query: Query, params: &[Value], into: Option<&ast::Into>) -> Result<Outcome, Fault> {
        self.check(&query.needs)?;
        for w in &query.warnings {
            self.statement().warn(w.level, w.fault.clone());
        }
        // All rows are found and counted; those beyond the limit are not sent.
        let limit = if query.calc_found_rows { taken_limit(&mut query.root) } else { None };
        rewrite::optimize(&mut query, &self.bind_context(), &*self.server.engine);
        let query = Arc::new(query);
        let mut rows = self.open(&query, params).await?;
        if query.calc_found_rows {
            let (count, offset) = limit.unwrap_or_default();
            let counted = Arc::new(AtomicU64::new(0));
            self.counted = Some(counted.clone());
            let (take, skip) =
                (self.limit_value(count.as_ref(), params)?.unwrap_or(u64::MAX), self.limit_value(offset.as_ref(), params)?.unwrap_or(0));
            rows = Box::new(Counted { rows, skip, take, counted });
        }
        match into {
            None => Ok(Outcome::Rows { columns: query.columns.as_slice().into(), rows }),
            Some(into) => self.select_into(into, rows).await,
        }
    }

    fn limit_value(&self, e: Option<&Expr>, params: &[Value]) -> Result<Option<u64>, Fault> {
        let Some(e) = e else { return Ok(None) };
        let statement = self.statement();
        let ctx = weald_expr::EvalContext { statement: &statement, params, subqueries: &[] };
        Ok(weald_expr::coerce::uint(&weald_expr::eval(e, &weald_expr::NoRow, &ctx)?, &ctx))
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
        if let Some(plan) = local::fragment(query, &self.bind_context()) {
            let rows = self.read_fragment(&plan, params).await?;
            return Ok(rows::ready(rows));
        }
        if query.locking.is_some() {
            return Err(Fault::not_supported("FOR UPDATE and FOR SHARE with joins, subqueries or several tables"));
        }
        let statement = self.statement();
        let snapshot = self.take_snapshot();
        self.current().used = true;
        let source = self.source(snapshot);
        let params: Arc<[Value]> = params.into();
        if self.server.engine.rows_read(query) <= SMALL_QUERY_ROWS {
            return self.row_executor(query, statement, params, source);
        }
        self.open_large(query, statement, params, source).await
    }

    pub(crate) async fn read_fragment(&mut self, plan: &FragmentPlan, params: &[Value]) -> Result<Vec<Row>, Fault> {
        let locks = matches!(&plan.fragment.action, weald_plan::fragment::Action::Read { lock: Some(_), .. });
        if locks {
            self.refuse_if_read_only()?;
        }
        let (engine, lock_wait) = (self.server.engine.clone(), self.lock_wait());
        for _ in 0..RETRIES {
            let statement = self.statement();
            let snapshot = self.take_snapshot();
            let open = self.current();
            let work = Work { statement: &statement, params, transaction: &open.transaction, snapshot: &snapshot, lock_wait };
            match engine.read(plan, work).await {
                // Nothing was seen yet: again, at a newer time, unseen by the client.
                Err(Fault::WriteConflict) if !open.used || open.transaction.txn().isolation() == Isolation::ReadCommitted => continue,
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

    pub(crate) fn source(&self, snapshot: Snapshot) -> Arc<Snapshotted> {
        // information_schema is made from what is known now: it has no snapshot.
        let server = self.server.clone();
        let user = self.user.clone();
        let session_variables = super::set::shown(&self.variables, true);
        let client = self.client.clone();
        let global = self.server.clone();
        let virtual_rows = move |name: &str| {
            let catalog = server.catalog();
            let facts = Facts {
                catalog: &catalog,
                user: &user,
                server: &*server,
                session_variables: &|| session_variables.clone(),
                global_variables: &|| super::set::shown(&global.variables.values(), false),
                session_status: &|| {
                    let mut all = crate::information_schema::ServerFacts::global_status(&*global);
                    client.fill_status(&mut all);
                    all
                },
            };
            information_schema::rows(name.rsplit('.').next().unwrap_or(name), &facts).ok_or_else(|| Fault::UnknownTable { name: name.to_string() })
        };
        Arc::new(Snapshotted::new(self.server.engine.clone(), snapshot, Arc::new(virtual_rows), self.server.threads))
    }

    fn row_executor(
        &self,
        query: &Arc<Query>,
        statement: Arc<StatementContext>,
        params: Arc<[Value]>,
        source: Arc<dyn TableSource>,
    ) -> Result<BoxStream, Fault> {
        let node = rows::compile(query)?;
        let execution = Execution { statement, source, max_recursion: self.variables.int("cte_max_recursion_depth") };
        Ok(rows::open(&node, &Scope::new(Arc::new(execution), params)))
    }

    /// DataFusion where it can, the row executor where it must; either on the query threads.
    async fn open_large(
        &mut self,
        query: &Arc<Query>,
        statement: Arc<StatementContext>,
        params: Arc<[Value]>,
        source: Arc<Snapshotted>,
    ) -> Result<BoxStream, Fault> {
        let batches: Arc<dyn BatchSource> = source.clone();
        let rows = self.row_executor(query, statement.clone(), params.clone(), source)?;
        let analytic = self.server.analytic.clone();
        let query = query.clone();
        let of_remote = statement.clone();
        let (send, receive) = tokio::sync::mpsc::channel::<Result<Vec<Row>, Fault>>(CHANNEL);
        let task = self.server.query_runtime.spawn(async move {
            let mut rows = rows;
            let mut stream: Option<BoxStream> = None;
            match analytic.plan(&query, &statement, &params, &batches).await {
                Ok(plan) => match plan.run() {
                    Ok(s) => stream = Some(Box::new(s)),
                    Err(f) => {
                        let _ = send.send(Err(f)).await;
                        return;
                    }
                },
                Err(refused) => tracing::debug!(%refused, "row executor"),
            }
            let mut sent = false;
            loop {
                let next = match &mut stream {
                    Some(s) => s.next().await,
                    None => rows.next().await,
                };
                let next = match next {
                    // Wider numbers than Arrow's: the row executor has them; nothing was sent yet.
                    Err(Fault::Internal { incident }) if incident == weald_exec::analytic::CARRIER_OVERFLOW && !sent && stream.is_some() => {
                        stream = None;
                        continue;
                    }
                    Ok(None) => return,
                    Ok(Some(batch)) => Ok(batch),
                    Err(f) => Err(f),
                };
                sent = true;
                let failed = next.is_err();
                if send.send(next).await.is_err() || failed {
                    return;
                }
            }
        });
        Ok(Box::new(Remote { receive, task, statement: of_remote }))
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
            locking: None,
            tables: Vec::new(),
            needs: Vec::new(),
            into: None,
            calc_found_rows: false,
            warnings: Vec::new(),
            fixed_join_order: false,
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

    async fn select_into(&mut self, into: &ast::Into, mut rows: BoxStream) -> Result<Outcome, Fault> {
        let ast::Into::Variables(names) = into else { return Err(Fault::not_supported("SELECT … INTO OUTFILE")) };
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
        if row.len() != names.len() {
            return Err(Fault::mysql(1222, "21000", "The used SELECT statements have a different number of columns"));
        }
        let mut variables = self.user_variables.lock();
        for (name, v) in names.iter().zip(row) {
            let ty = super::prepared::type_of(&v);
            variables.insert(name.to_lowercase().into(), (v, ty));
        }
        drop(variables);
        Ok(Outcome::Ok(Done { affected: 1, ..Done::default() }))
    }
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

/// Rows that come from the query threads; dropping it ends them.
struct Remote {
    receive: tokio::sync::mpsc::Receiver<Result<Vec<Row>, Fault>>,
    task: tokio::task::JoinHandle<()>,
    statement: Arc<StatementContext>,
}

impl Stream for Remote {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            let received = tokio::select! {
                received = self.receive.recv() => received,
                // Wherever the query's threads are, the client is told at once; they end when they next wait.
                fault = self.statement.interrupted.raised() => return Err(fault),
            };
            match received {
                Some(Ok(batch)) => Ok(Some(batch)),
                Some(Err(f)) => Err(f),
                None => {
                    // The end, or a panic that must not pass for one.
                    match (&mut self.task).await {
                        Err(e) if e.is_panic() => Err(Fault::Internal { incident: "a query thread failed".into() }),
                        _ => Ok(None),
                    }
                }
            }
        })
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.task.abort();
    }
}
