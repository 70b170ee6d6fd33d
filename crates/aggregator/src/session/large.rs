//! A query that reads much: planned and run on the query threads.
//!
//! Owns:     what the query needs to run without its session.
//! Promises: DataFusion where it can, the row executor where it must, with the same rows; subqueries that read nothing of their surroundings are answered
//!           first and become constants.
//! Never:    touches the session or its transaction: the snapshot was taken.

use super::query::Executor;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use weald_exec::analytic::{Analytic, AnalyticPlan, BATCH_TOO_LARGE, BatchSource, CARRIER_OVERFLOW, Refused};
use weald_exec::rows::{self, BoxStream, Row, Scope, Stream};
use weald_expr::{Expr, StatementContext, SubqueryKind};
use weald_plan::query::{Query, Rel};
use weald_plan::walk;
use weald_types::{Fault, Value};

/// An IN list made of a subquery's answer holds so many values at most; a longer one is better off in the row executor's hash.
const MAX_LIST: usize = 1000;

/// What a large query runs with.
#[derive(Clone)]
pub(crate) struct Large {
    pub analytic: Arc<Analytic>,
    pub source: Arc<dyn BatchSource>,
    pub statement: Arc<StatementContext>,
    pub params: Arc<[Value]>,
    /// For the row executor.
    pub scope: Scope,
    pub executor: Executor,
}

/// Why there is no analytic plan.
pub(crate) enum NoPlan {
    Refused(Refused),
    Fault(Fault),
}

impl Large {
    /// The query as a stream; nothing runs before its first row is asked for.
    pub fn open(self, query: Arc<Query>) -> BoxStream {
        Box::new(Planned { start: Some((self, query)), analytic: None, rows: None, sent: false })
    }

    /// Plans `query` for DataFusion.
    pub async fn plan(&self, query: &Query) -> Result<AnalyticPlan, NoPlan> {
        let settled = if query.subqueries.is_empty() { None } else { Some(self.settle(query).await.map_err(NoPlan::Fault)?) };
        let query = settled.as_ref().unwrap_or(query);
        self.analytic.plan(query, &self.statement, &self.params, &self.source).await.map_err(NoPlan::Refused)
    }

    /// `query` with the answers of its constant subqueries in their places.
    async fn settle(&self, query: &Query) -> Result<Query, Fault> {
        let mut settled = query.clone();
        let mut wanted: Vec<(u32, bool)> = Vec::new();
        settled.root.all_exprs(&mut |e| {
            walk::walk(e, &mut |n| {
                if let Expr::Subquery { index, kind, .. } = n {
                    let known = matches!(kind, SubqueryKind::Scalar | SubqueryKind::Exists { .. } | SubqueryKind::In { .. });
                    let exists = matches!(kind, SubqueryKind::Exists { .. });
                    if known && query.subqueries[*index as usize].free().is_empty() && !wanted.iter().any(|w| w.0 == *index) {
                        wanted.push((*index, exists));
                    }
                }
            });
        });
        for (index, exists) in wanted {
            let rel = &query.subqueries[index as usize];
            let rows = self.answer(query, rel.clone(), if exists { 1 } else { MAX_LIST + 1 }).await?;
            let mut left = false;
            settled.root.all_exprs_mut(&mut |e| {
                walk::rewrite(e, &mut |n| match n {
                    Expr::Subquery { index: i, .. } if *i == index => {
                        match constant(n, &rows) {
                            Some(c) => *n = c,
                            None => left = true,
                        }
                        true
                    }
                    _ => false,
                });
            });
            if left {
                return Ok(query.clone());
            }
        }
        let mut any = false;
        settled.root.all_exprs(&mut |e| any |= walk::has_subquery(e));
        if !any {
            settled.subqueries.clear();
        }
        Ok(settled)
    }

    /// The first `enough` rows of a subquery.
    fn answer<'a>(&'a self, query: &'a Query, rel: Rel, enough: usize) -> BoxFuture<'a, Result<Vec<Row>, Fault>> {
        async move {
            let columns = rel.columns();
            let sub = Query {
                root: rel,
                subqueries: query.subqueries.clone(),
                columns,
                params: query.params.clone(),
                tables: query.tables.clone(),
                needs: Vec::new(),
                into: None,
                calc_found_rows: false,
                warnings: Vec::new(),
                fixed_join_order: query.fixed_join_order,
                joins_only: query.joins_only,
                parts: query.parts,
            };
            let mut stream = Large { executor: Executor::Auto, ..self.clone() }.open(Arc::new(sub));
            let mut all = Vec::new();
            while all.len() < enough {
                let Some(batch) = stream.next().await? else { break };
                all.extend(batch);
            }
            Ok(all)
        }
        .boxed()
    }
}

/// What `e`, a subquery that answers `rows`, comes to. `None`: more than a constant can say, or an error that only the row executor tells when it should.
fn constant(e: &Expr, rows: &[Row]) -> Option<Expr> {
    let Expr::Subquery { kind, operands, ty, .. } = e else { return None };
    match kind {
        SubqueryKind::Scalar => match rows {
            [] => Some(Expr::Literal { value: Value::Null, ty: ty.clone().with_nullable(true) }),
            [row] if row.len() == 1 => Some(Expr::Literal { value: row[0].clone(), ty: ty.clone() }),
            _ => None,
        },
        SubqueryKind::Exists { negated } => Some(walk::truth(rows.is_empty() == *negated)),
        SubqueryKind::In { negated, collation } => {
            let [operand] = operands.as_slice() else { return None };
            if rows.len() > MAX_LIST {
                return None;
            }
            if rows.is_empty() {
                return Some(walk::truth(*negated));
            }
            let list = rows.iter().map(|r| Expr::Literal { value: r[0].clone(), ty: super::prepared::type_of(&r[0]) }).collect();
            Some(Expr::In { expr: Box::new(operand.clone()), list, negated: *negated, collation: *collation })
        }
        SubqueryKind::Quantified { .. } => None,
    }
}

/// A query that DataFusion is to plan, and the row executor for what it refuses or cannot finish.
struct Planned {
    start: Option<(Large, Arc<Query>)>,
    analytic: Option<BoxStream>,
    rows: Option<BoxStream>,
    sent: bool,
}

impl Planned {
    async fn begin(&mut self, large: Large, query: Arc<Query>) -> Result<(), Fault> {
        match large.plan(&query).await {
            Ok(plan) => self.analytic = Some(Box::new(plan.run()?)),
            Err(NoPlan::Fault(f)) => return Err(f),
            Err(NoPlan::Refused(refused)) if large.executor == Executor::Analytic => {
                return Err(Fault::not_supported(format!("executor = analytic for this query: {refused}")));
            }
            Err(NoPlan::Refused(refused)) => tracing::debug!(%refused, "row executor"),
        }
        let node = rows::compile(&query)?;
        self.rows = Some(rows::open(&node, &large.scope));
        Ok(())
    }
}

impl Stream for Planned {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            if let Some((large, query)) = self.start.take() {
                self.begin(large, query).await?;
            }
            if let Some(stream) = &mut self.analytic {
                match stream.next().await {
                    // Wider numbers than Arrow's, or larger values than fit in a batch: the row executor has room for them; nothing was sent yet.
                    Err(Fault::Internal { incident }) if (incident == CARRIER_OVERFLOW || incident == BATCH_TOO_LARGE) && !self.sent => {
                        self.analytic = None
                    }
                    Err(Fault::Internal { incident }) if incident == BATCH_TOO_LARGE => return Err(Fault::OutOfMemory),
                    next => {
                        self.sent = true;
                        return next;
                    }
                }
            }
            match &mut self.rows {
                Some(rows) => rows.next().await,
                None => Ok(None),
            }
        })
    }
}
