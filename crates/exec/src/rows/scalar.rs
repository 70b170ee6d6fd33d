//! Expressions inside a row operator, with their subqueries; and the operators that only evaluate: values, filter, project.
//!
//! Owns:     nothing.
//! Promises: a subquery's answer is there before the expression that reads it is evaluated; one that reads nothing of the row is run once an execution.
//! Never:    evaluates an expression by itself: that is `expr`.

use super::{Batch, BoxStream, Held, Node, Row, Scope, Steps, Stream, open};
use futures::future::BoxFuture;
use std::sync::Arc;
use weald_expr::sorted_list::SortedList;
use weald_expr::{Expr, InFlight, SubqueryKind, SubqueryResult, eval, eval_part, sorted_list};
use weald_types::{Collation, Fault, Value};

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
    /// What the operands of IN are compared under.
    pub collations: Vec<Collation>,
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

    /// The value as part of a larger expression: with all its decimals.
    pub async fn eval_part(&self, row: &[Value], scope: &Scope) -> Result<Value, Fault> {
        if self.subqueries.is_empty() {
            return eval_part(&self.expr, row, &scope.context(&[]));
        }
        let answers = self.answers(row, scope).await?;
        eval_part(&self.expr, row, &scope.context(&answers))
    }

    async fn answers(&self, row: &[Value], scope: &Scope) -> Result<Vec<Option<SubqueryResult>>, Fault> {
        let mut answers = Vec::new();
        for s in self.subqueries.iter() {
            let at = s.index as usize;
            if answers.len() <= at {
                answers.resize(at + 1, None);
            }
            let kept = if s.constant { scope.constants.lock().get(&s.index).map(|k| k.0.clone()) } else { None };
            answers[at] = Some(match kept {
                Some(answer) => answer,
                None => {
                    // For each row anew, it may take its time.
                    scope.piece().await?;
                    let (answer, held) = s.run(row, scope).await?;
                    if s.constant {
                        scope.constants.lock().insert(s.index, (answer.clone(), held));
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

/// Sorting a list of so many bytes takes long enough for others to go on elsewhere.
const LARGE_LIST: u64 = 1 << 20;

impl SubqueryUse {
    async fn run(&self, row: &[Value], scope: &Scope) -> Result<(SubqueryResult, Held), Fault> {
        let inner = if self.outer.is_empty() { scope.clone() } else { scope.with_outer(&self.outer, row)? };
        let mut stream = open(&self.node, &inner);
        // Enough to know the answer: any row for EXISTS, one more than allowed for a scalar.
        let enough = match self.kind {
            SubqueryKind::Exists { .. } => 1,
            SubqueryKind::Scalar => 2,
            SubqueryKind::In { .. } | SubqueryKind::Quantified { .. } => usize::MAX,
        };
        let mut rows: Vec<Row> = Vec::new();
        let mut held = Held::nothing(scope);
        while rows.len() < enough {
            let Some(batch) = Box::pin(stream.next()).await? else { break };
            held.add_rows(&batch)?;
            rows.extend(batch);
        }
        let answer = match self.kind {
            SubqueryKind::Exists { .. } => SubqueryResult::Exists(!rows.is_empty()),
            SubqueryKind::In { .. } if self.constant && rows.len() >= sorted_list::LONG => {
                let sort = || SortedList::new(rows, self.collations.clone(), &scope.context(&[]));
                SubqueryResult::List(Arc::new(scope.execution.statement.aside_if(held.bytes >= LARGE_LIST, sort)))
            }
            SubqueryKind::Scalar | SubqueryKind::In { .. } | SubqueryKind::Quantified { .. } => SubqueryResult::Rows(Arc::new(rows)),
        };
        Ok((answer, held))
    }
}

/// What a projection puts in a slot.
#[derive(Clone, Debug)]
pub enum Projection {
    Slot(u32),
    Compute(Scalar),
    /// What a scalar subquery gives to the expression around it.
    Part(Scalar),
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
            let mut batch = Batch::default();
            while !batch.is_full() && self.at < self.rows.len() {
                // Whatever a row computes (SLEEP, BENCHMARK) it computes here.
                self.scope.execution.statement.check_interrupted()?;
                let mut row = Vec::with_capacity(self.rows[self.at].len());
                let mut held = InFlight::new(&self.scope.execution.statement);
                for e in &self.rows[self.at] {
                    let v = e.eval(&[], &self.scope).await?;
                    held.hold(&v)?;
                    row.push(v);
                }
                batch.push(row);
                self.at += 1;
            }
            Ok(batch.given())
        })
    }
}

pub struct FilterStream {
    input: BoxStream,
    predicate: Scalar,
    scope: Scope,
    steps: Steps,
}

impl FilterStream {
    pub fn new(input: BoxStream, mut predicate: Scalar, scope: Scope) -> Self {
        if let Some(expr) = sorted_list::prepare(&predicate.expr, &scope.context(&[])) {
            predicate.expr = expr;
        }
        Self { input, predicate, scope, steps: Steps::default() }
    }
}

impl Stream for FilterStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            while let Some(batch) = self.input.next().await? {
                let mut kept = Vec::new();
                for row in batch {
                    if self.steps.row() {
                        self.scope.piece().await?;
                    }
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
    /// Of the input's last batch, what is still to be projected.
    rest: std::vec::IntoIter<Row>,
    exprs: Vec<Projection>,
    scope: Scope,
    steps: Steps,
}

impl ProjectStream {
    pub fn new(input: BoxStream, exprs: Vec<Projection>, scope: Scope) -> Self {
        Self { input, rest: Vec::new().into_iter(), exprs, scope, steps: Steps::default() }
    }
}

impl Stream for ProjectStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            if self.rest.len() == 0 {
                match self.input.next().await? {
                    Some(batch) => self.rest = batch.into_iter(),
                    None => return Ok(None),
                }
            }
            let mut out = Batch::default();
            while !out.is_full() {
                let Some(row) = self.rest.next() else { break };
                if self.steps.row() {
                    self.scope.piece().await?;
                }
                let mut projected = Vec::with_capacity(self.exprs.len());
                let mut held = InFlight::new(&self.scope.execution.statement);
                for e in &self.exprs {
                    let v = match e {
                        Projection::Slot(s) => row[*s as usize].clone(),
                        Projection::Compute(e) => e.eval(&row, &self.scope).await?,
                        Projection::Part(e) => e.eval_part(&row, &self.scope).await?,
                    };
                    held.hold(&v)?;
                    projected.push(v);
                }
                out.push(projected);
            }
            Ok(out.given())
        })
    }
}
