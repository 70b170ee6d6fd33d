//! Expressions inside a row operator, with their subqueries; and the operators that only evaluate: values, filter, project.
//!
//! Owns:     nothing.
//! Promises: a subquery's answer is there before the expression that reads it is evaluated; one that reads nothing of the row is run once an execution.
//! Never:    evaluates an expression by itself: that is `expr`.

use super::{BATCH_ROWS, BoxStream, Node, Row, Scope, Stream, open};
use futures::future::BoxFuture;
use std::sync::Arc;
use weald_expr::{Expr, SubqueryKind, SubqueryResult, eval};
use weald_types::{Fault, Value};

/// An expression over slots of a row.
#[derive(Clone, Debug)]
pub struct Scalar {
    pub expr: Expr,
    pub subqueries: Arc<[SubqueryUse]>,
}

/// One use of a subquery: which, and where the outer columns it reads are found.
#[derive(Debug)]
pub struct SubqueryUse {
    pub index: u32,
    pub node: Arc<Node>,
    /// Columns of the row, in the order in which the subquery numbers them after the parameters.
    pub outer: Vec<Expr>,
    pub kind: SubqueryKind,
    /// True where it reads neither the row nor any outer row: the answer is kept for the execution.
    pub constant: bool,
}

impl Scalar {
    /// The value for one row.
    pub async fn eval(&self, row: &[Value], scope: &Scope) -> Result<Value, Fault> {
        if self.subqueries.is_empty() {
            return eval(&self.expr, row, &scope.context(&[]));
        }
        let answers = self.answers(row, scope).await?;
        eval(&self.expr, row, &scope.context(&answers))
    }

    async fn answers(&self, row: &[Value], scope: &Scope) -> Result<Vec<Option<SubqueryResult>>, Fault> {
        let mut answers = Vec::new();
        for s in self.subqueries.iter() {
            let at = s.index as usize;
            if answers.len() <= at {
                answers.resize(at + 1, None);
            }
            let kept = if s.constant { scope.constants.lock().get(&s.index).cloned() } else { None };
            answers[at] = Some(match kept {
                Some(answer) => answer,
                None => {
                    let answer = s.run(row, scope).await?;
                    if s.constant {
                        scope.constants.lock().insert(s.index, answer.clone());
                    }
                    answer
                }
            });
        }
        Ok(answers)
    }

    pub async fn is_true(&self, row: &[Value], scope: &Scope) -> Result<bool, Fault> {
        Ok(weald_expr::is_true(&self.eval(row, scope).await?))
    }
}

impl SubqueryUse {
    async fn run(&self, row: &[Value], scope: &Scope) -> Result<SubqueryResult, Fault> {
        let inner = if self.outer.is_empty() { scope.clone() } else { scope.with_outer(&self.outer, row)? };
        let memory = &scope.execution.statement.memory;
        let before = memory.used();
        let mut stream = open(&self.node, &inner);
        // Enough to know the answer: any row for EXISTS, one more than allowed for a scalar.
        let enough = match self.kind {
            SubqueryKind::Exists { .. } => 1,
            SubqueryKind::Scalar => 2,
            SubqueryKind::In { .. } | SubqueryKind::Quantified { .. } => usize::MAX,
        };
        let mut rows: Vec<Row> = Vec::new();
        while rows.len() < enough {
            let Some(batch) = Box::pin(stream.next()).await? else { break };
            memory.take(batch.iter().map(|r| super::row_bytes(r)).sum())?;
            rows.extend(batch);
        }
        // Run for every outer row, it must not count what it held for the rows before. (A statement's rows are computed one after the other.)
        drop(stream);
        memory.give(memory.used().saturating_sub(before));
        Ok(match self.kind {
            SubqueryKind::Exists { .. } => SubqueryResult::Exists(!rows.is_empty()),
            _ => SubqueryResult::Rows(Arc::new(rows)),
        })
    }
}

/// What a projection puts in a slot.
#[derive(Clone, Debug)]
pub enum Projection {
    Slot(u32),
    Compute(Scalar),
}

pub struct ValuesStream {
    rows: Vec<Vec<Scalar>>,
    at: usize,
    scope: Scope,
}

impl ValuesStream {
    pub fn new(rows: Vec<Vec<Scalar>>, scope: Scope) -> Self {
        Self { rows, at: 0, scope }
    }
}

impl Stream for ValuesStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            let mut batch = Vec::new();
            while batch.len() < BATCH_ROWS && self.at < self.rows.len() {
                let mut row = Vec::with_capacity(self.rows[self.at].len());
                for e in &self.rows[self.at] {
                    row.push(e.eval(&[], &self.scope).await?);
                }
                batch.push(row);
                self.at += 1;
            }
            Ok(if batch.is_empty() { None } else { Some(batch) })
        })
    }
}

pub struct FilterStream {
    input: BoxStream,
    predicate: Scalar,
    scope: Scope,
}

impl FilterStream {
    pub fn new(input: BoxStream, predicate: Scalar, scope: Scope) -> Self {
        Self { input, predicate, scope }
    }
}

impl Stream for FilterStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            while let Some(batch) = self.input.next().await? {
                self.scope.execution.statement.check_interrupted()?;
                let mut kept = Vec::new();
                for row in batch {
                    if self.predicate.is_true(&row, &self.scope).await? {
                        kept.push(row);
                    }
                }
                if !kept.is_empty() {
                    return Ok(Some(kept));
                }
            }
            Ok(None)
        })
    }
}

pub struct ProjectStream {
    input: BoxStream,
    exprs: Vec<Projection>,
    scope: Scope,
}

impl ProjectStream {
    pub fn new(input: BoxStream, exprs: Vec<Projection>, scope: Scope) -> Self {
        Self { input, exprs, scope }
    }
}

impl Stream for ProjectStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            let Some(batch) = self.input.next().await? else { return Ok(None) };
            self.scope.execution.statement.check_interrupted()?;
            let mut out = Vec::with_capacity(batch.len());
            for row in batch {
                let mut projected = Vec::with_capacity(self.exprs.len());
                for e in &self.exprs {
                    projected.push(match e {
                        Projection::Slot(s) => row[*s as usize].clone(),
                        Projection::Compute(e) => e.eval(&row, &self.scope).await?,
                    });
                }
                out.push(projected);
            }
            Ok(Some(out))
        })
    }
}
