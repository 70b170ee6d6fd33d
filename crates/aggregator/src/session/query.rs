//! SELECT: from a syntax tree to rows.
//!
//! Owns:     the choice between fragment, row executor and DataFusion.
//! Promises: the choice never changes the answer; what reads much runs on the query threads and streams through a bounded channel.
//! Never:    blocks a connection's thread for longer than a small query takes.

use super::{Outcome, Session};
use crate::plan_cache::{Cached, Key};
use futures::future::BoxFuture;
use std::sync::Arc;
use weald_exec::rows::{self, BoxStream, Execution, Memory, Row, Scope, Stream};
use weald_expr::{Expr, StatementContext};
use weald_plan::query::{Query, Rel};
use weald_plan::{bind, rewrite};
use weald_sql::ast;
use weald_types::{Fault, SqlType, Value};

/// Up to so many rows (estimated) a query is run where it arrived, and never by DataFusion.
pub const SMALL_QUERY_ROWS: u64 = 20_000;

/// A statement may meet a table that is being changed so many times before the client hears of it.
const SCHEMA_RETRIES: usize = 8;

impl Session {
    pub(crate) async fn select(&mut self, q: &ast::Query, text: &str, params: &[Value]) -> Result<Outcome, Fault> {
        for _ in 0..SCHEMA_RETRIES {
            let types: Vec<Option<SqlType>> = params.iter().map(|v| Some(super::prepared::type_of(v))).collect();
            let query = self.bind(text, &types, |env| bind::bind_query(env, q))?;
            match self.run_bound(query, params, q.into.as_ref()).await {
                Err(Fault::SchemaChanged) => continue,
                done => return done,
            }
        }
        Err(Fault::SchemaChanged)
    }

    pub(crate) fn optimize(&self, query: Query) -> Query { rewrite::optimize(query, &*self.server.engine) }

    async fn run_bound(&mut self, query: Query, params: &[Value], into: Option<&ast::Into>) -> Result<Outcome, Fault> {
        self.check(&query.needs)?;
        for w in &query.warnings { self.statement().warn(w.level, w.fault.clone()); }
        let query = Arc::new(self.optimize(query));
        let rows = self.open(&query, params).await?;
        match into {
            None => Ok(Outcome::Rows { columns: query.columns.clone(), rows }),
            Some(into) => self.select_into(into, &query, rows).await,
        }
    }

    /// Starts a bound, optimized, permitted query.
    pub(crate) async fn open(&mut self, query: &Arc<Query>, params: &[Value]) -> Result<BoxStream, Fault> {
        let statement = self.statement();
        let params: Arc<[Value]> = params.into();
        if let Some(plan) = weald_plan::access::fragment_of(query) {
            if let Some(l) = plan.lock { let _ = l; self.refuse_if_read_only()?; }
            let rows = self.read_fragment(&plan.plan, &params).await?;
            return Ok(rows::ready(rows));
        }
        if query.locking.is_some() { self.lock_rows(query, &params).await?; }
        let source = self.table_source();
        let large = self.server.engine.rows_read(query) > SMALL_QUERY_ROWS;
        if !large { return Ok(self.row_executor(query, statement, params, source)?); }
        self.open_large(query, statement, params, source).await
    }

    fn row_executor(&self, query: &Arc<Query>, statement: Arc<StatementContext>, params: Arc<[Value]>, source: Arc<dyn rows::TableSource>) -> Result<BoxStream, Fault> {
        let node = rows::compile(query)?;
        let execution = Execution { statement, source, memory: Arc::new(Memory::new(self.query_memory())), max_recursion: self.variables.int("cte_max_recursion_depth") };
        Ok(rows::open(&node, &Scope::new(Arc::new(execution), params)))
    }

    fn query_memory(&self) -> u64 { match self.variables.int("maximum_query_memory") { 0 => self.server.query_memory, n => n << 20 } }
}
