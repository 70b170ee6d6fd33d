//! Joins: by looking rows up in an index of the right side, by hashing the right side, or by nested loops.
//!
//! Owns:     the right side's rows, except when they are looked up.
//! Promises: left order is kept; an outer row without a match appears once, padded with NULLs; NOT IN has SQL's NULL rules.
//! Never:    reorders joins: the binder did.

use super::scalar::Scalar;
use super::{BATCH_ROWS, BoxStream, Node, Row, Scope, Stream, collect, open, ready};
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::Arc;
use weald_catalog::TableRef;
use weald_expr::Expr;
use weald_expr::sort::group_key;
use weald_plan::query::JoinKind;
use weald_types::{Fault, Value};

#[derive(Debug)]
pub struct Join {
    pub kind: JoinKind,
    pub left: Arc<Node>,
    pub right: Arc<Node>,
    pub right_width: usize,
    /// Equal on these: `left[i]` over the left row, `right[i]` over the right row.
    pub keys: Vec<(Scalar, Scalar)>,
    /// The rest of the condition, over both rows side by side.
    pub residual: Option<Scalar>,
    /// The right side, reading these columns of the left row as parameters: LATERAL, or a look-up by index.
    pub per_row: Option<PerRow>,
}

#[derive(Debug)]
pub struct PerRow {
    pub node: Arc<Node>,
    pub outer: Vec<Expr>,
    /// None: LATERAL, there is no other way. Otherwise looked up only while the left side is small beside this table.
    pub table: Option<TableRef>,
}

impl Join {
    pub fn open(self: &Join, scope: &Scope) -> BoxStream {
        Box::new(JoinStream {
            left: open(&self.left, scope),
            join: Shape::of(self),
            scope: scope.clone(),
            method: None,
            pending: Vec::new().into_iter(),
        })
    }
}

/// What the stream needs of its node.
#[derive(Clone)]
struct Shape {
    kind: JoinKind,
    right: Arc<Node>,
    right_width: usize,
    keys: Arc<[(Scalar, Scalar)]>,
    residual: Option<Scalar>,
    per_row: Option<(Arc<Node>, Arc<[Expr]>, Option<TableRef>)>,
}

impl Shape {
    fn of(j: &Join) -> Self {
        Self {
            kind: j.kind,
            right: j.right.clone(),
            right_width: j.right_width,
            keys: j.keys.clone().into(),
            residual: j.residual.clone(),
            per_row: j.per_row.as_ref().map(|p| (p.node.clone(), p.outer.clone().into(), p.table.clone())),
        }
    }
}

enum Method {
    PerRow,
    /// Right rows by key; `nulls` tells of right rows whose key has a NULL (they match nothing, but matter to NOT IN).
    Hash {
        rows: Vec<Row>,
        by_key: HashMap<Vec<u8>, Vec<u32>>,
        nulls: bool,
    },
    Loop {
        rows: Vec<Row>,
    },
}

struct JoinStream {
    left: BoxStream,
    join: Shape,
    scope: Scope,
    method: Option<Method>,
    /// Left rows whose turn has not come: one of them can match many.
    pending: std::vec::IntoIter<Row>,
}

impl JoinStream {
    /// Decides how to join; a left side that turns out to be small is looked up row by row.
    async fn choose(&mut self) -> Result<Method, Fault> {
        match &self.join.per_row {
            Some((_, _, None)) => return Ok(Method::PerRow),
            Some((_, _, Some(table))) => {
                // A look-up costs about as much as hashing a few rows.
                let worth = (self.scope.execution.source.row_count(table) / 4).max(16);
                let mut held = Vec::new();
                while (held.len() as u64) < worth {
                    match self.left.next().await? {
                        Some(batch) => held.extend(batch),
                        None => {
                            self.left = ready(held);
                            return Ok(Method::PerRow);
                        }
                    }
                }
                let rest = std::mem::replace(&mut self.left, ready(Vec::new()));
                self.left = Box::new(Rejoined { first: Some(ready(held)), rest });
            }
            None => (),
        }
        let rows = collect(&mut open(&self.join.right, &self.scope), &self.scope).await?;
        if self.join.keys.is_empty() {
            return Ok(Method::Loop { rows });
        }
        let mut by_key: HashMap<Vec<u8>, Vec<u32>> = HashMap::with_capacity(rows.len());
        let mut nulls = false;
        for (i, row) in rows.iter().enumerate() {
            match key(row, self.join.keys.iter().map(|k| &k.1), &self.scope).await? {
                Some(k) => by_key.entry(k).or_default().push(i as u32),
                None => nulls = true,
            }
        }
        Ok(Method::Hash { rows, by_key, nulls })
    }
}

impl Shape {
    async fn matches(&self, scope: &Scope, left: &Row, method: &Method, out: &mut Vec<Row>) -> Result<(), Fault> {
        match method {
            Method::PerRow => {
                let Some((node, outer, _)) = &self.per_row else { return Ok(()) };
                let inner = scope.with_outer(outer, left)?;
                let memory = &scope.execution.statement.memory;
                let before = memory.used();
                let mut right = open(node, &inner);
                let mut found = Found::default();
                while let Some(batch) = right.next().await? {
                    for row in &batch {
                        self.offer(scope, left, row, &mut found, out).await?;
                        if found.enough {
                            break;
                        }
                    }
                    if found.enough {
                        break;
                    }
                }
                drop(right);
                memory.give(memory.used().saturating_sub(before));
                self.close(left, &found, out);
            }
            Method::Loop { rows } => {
                let mut found = Found::default();
                for row in rows {
                    self.offer(scope, left, row, &mut found, out).await?;
                    if found.enough {
                        break;
                    }
                }
                self.close(left, &found, out);
            }
            Method::Hash { rows, by_key, nulls } => {
                let mut found = Found::default();
                let k = key(left, self.keys.iter().map(|k| &k.0), scope).await?;
                match &k {
                    Some(k) => {
                        for i in by_key.get(k).into_iter().flatten() {
                            self.offer(scope, left, &rows[*i as usize], &mut found, out).await?;
                            if found.enough {
                                break;
                            }
                        }
                        // NOT IN: a NULL on the right makes "not found" unknown.
                        found.unknown |= *nulls;
                    }
                    None => found.unknown |= !rows.is_empty(),
                }
                self.close(left, &found, out);
            }
        }
        Ok(())
    }

    async fn offer(&self, scope: &Scope, left: &Row, right: &Row, found: &mut Found, out: &mut Vec<Row>) -> Result<(), Fault> {
        let mut both = Vec::with_capacity(left.len() + right.len());
        both.extend_from_slice(left);
        both.extend_from_slice(right);
        if let Some(on) = &self.residual {
            let verdict = on.eval(&both, scope).await?;
            if verdict.is_null() {
                found.unknown = true;
            }
            if !weald_expr::is_true(&verdict) {
                return Ok(());
            }
        }
        found.any = true;
        match self.kind {
            JoinKind::Inner | JoinKind::Cross | JoinKind::Left => out.push(both),
            JoinKind::Semi | JoinKind::Anti | JoinKind::NullAwareAnti => found.enough = true,
        }
        Ok(())
    }

    /// What a left row becomes once all of the right side was offered.
    fn close(&self, left: &Row, found: &Found, out: &mut Vec<Row>) {
        match self.kind {
            JoinKind::Left if !found.any => {
                let mut padded = left.clone();
                padded.resize(left.len() + self.right_width, Value::Null);
                out.push(padded);
            }
            JoinKind::Semi if found.any => out.push(left.clone()),
            JoinKind::Anti if !found.any => out.push(left.clone()),
            JoinKind::NullAwareAnti if !found.any && !found.unknown => out.push(left.clone()),
            _ => (),
        }
    }
}

#[derive(Default)]
struct Found {
    any: bool,
    unknown: bool,
    enough: bool,
}

async fn key(row: &Row, exprs: impl Iterator<Item = &Scalar>, scope: &Scope) -> Result<Option<Vec<u8>>, Fault> {
    let mut bytes = Vec::with_capacity(16);
    for e in exprs {
        let value = e.eval(row, scope).await?;
        if value.is_null() {
            return Ok(None);
        }
        group_key(&value, e.expr.ty(), &mut bytes);
    }
    Ok(Some(bytes))
}

impl Stream for JoinStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            if self.method.is_none() {
                self.method = Some(self.choose().await?);
            }
            let mut out = Vec::new();
            while out.len() < BATCH_ROWS {
                let Some(row) = self.pending.next() else {
                    let Some(batch) = self.left.next().await? else { break };
                    self.pending = batch.into_iter();
                    // A join may read little and work for long: others have their turn.
                    tokio::task::yield_now().await;
                    continue;
                };
                self.scope.execution.statement.check_interrupted()?;
                let Some(method) = &self.method else { break };
                self.join.matches(&self.scope, &row, method, &mut out).await?;
            }
            Ok(if out.is_empty() { None } else { Some(out) })
        })
    }
}

/// Left rows that were held back to see how many there are, then the rest.
struct Rejoined {
    first: Option<BoxStream>,
    rest: BoxStream,
}

impl Stream for Rejoined {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            if let Some(first) = &mut self.first {
                if let Some(batch) = first.next().await? {
                    return Ok(Some(batch));
                }
                self.first = None;
            }
            self.rest.next().await
        })
    }
}
