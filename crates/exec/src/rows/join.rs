//! Joins: by looking rows up in an index of the right side, by hashing the right side, or by nested loops.
//!
//! Owns:     the right side's rows, except when they are looked up.
//! Promises: left order is kept; an outer row without a match appears once, padded with NULLs; NOT IN has SQL's NULL rules; no more than about a batch of
//!           joined rows is held, however many a left row finds.
//! Never:    reorders joins: the binder did.

use super::lock::{LockedTable, lock};
use super::scalar::Scalar;
use super::{Batch, BoxStream, Held, Node, Row, Scope, Steps, Stream, collect, open, ready};
use foldhash::{HashMap, HashMapExt};
use futures::future::BoxFuture;
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
    /// An outer join's: right rows of which one of these is locked by somebody else (SKIP LOCKED) are not there.
    pub passed_by: Vec<LockedTable>,
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
            batch: Vec::new().into_iter(),
            current: None,
            steps: Steps::default(),
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
    passed_by: Arc<[LockedTable]>,
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
            passed_by: j.passed_by.clone().into(),
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
        _held: Held,
    },
    Loop {
        rows: Vec<Row>,
        _held: Held,
    },
}

struct JoinStream {
    left: BoxStream,
    join: Shape,
    scope: Scope,
    method: Option<Method>,
    /// Left rows of the batch under way that are still to be joined.
    batch: std::vec::IntoIter<Row>,
    current: Option<Current>,
    /// Rows looked at, of whichever left row: many that find little are as much work as one that finds much.
    steps: Steps,
}

/// A left row, and how far it has come.
struct Current {
    left: Row,
    found: Found,
    candidates: Candidates,
}

/// The right rows that are still to be offered to a left row.
enum Candidates {
    /// Of all right rows, from here on.
    All { at: usize },
    /// Those of one key, from the `at`th on.
    Keyed { key: Option<Vec<u8>>, at: usize },
    /// What a look-up gives.
    Looked { stream: BoxStream, batch: std::vec::IntoIter<Row> },
}

#[derive(Default)]
struct Found {
    any: bool,
    unknown: bool,
    enough: bool,
}

impl JoinStream {
    /// Decides how to join; a left side that turns out to be small is looked up row by row.
    async fn choose(&mut self) -> Result<Method, Fault> {
        match &self.join.per_row {
            Some((_, _, None)) => return Ok(Method::PerRow),
            Some((_, _, Some(table))) => {
                // A look-up costs about as much as hashing a few rows.
                let worth = (self.scope.execution.source.row_count(table) / 4).max(16);
                let mut first = Vec::new();
                let mut held = Held::nothing(&self.scope);
                while (first.len() as u64) < worth {
                    match self.left.next().await? {
                        Some(batch) => {
                            held.add_rows(&batch)?;
                            first.extend(batch)
                        }
                        None => {
                            self.left = ready(first);
                            return Ok(Method::PerRow);
                        }
                    }
                }
                let rest = std::mem::replace(&mut self.left, ready(Vec::new()));
                self.left = Box::new(Rejoined { first: Some((ready(first), held)), rest });
            }
            None => (),
        }
        let (rows, mut held) = collect(&mut open(&self.join.right, &self.scope), &self.scope).await?;
        if self.join.keys.is_empty() {
            return Ok(Method::Loop { rows, _held: held });
        }
        let mut by_key: HashMap<Vec<u8>, Vec<u32>> = HashMap::with_capacity(rows.len());
        let mut nulls = false;
        for (i, row) in rows.iter().enumerate() {
            if self.steps.row() {
                self.scope.piece().await?;
            }
            match key(row, self.join.keys.iter().map(|k| &k.1), &self.scope).await? {
                Some(k) => {
                    held.add(48 + k.len() as u64)?;
                    by_key.entry(k).or_default().push(i as u32)
                }
                None => nulls = true,
            }
        }
        Ok(Method::Hash { rows, by_key, nulls, _held: held })
    }

    /// Takes up the next left row; false at the end.
    async fn advance(&mut self, method: &Method) -> Result<bool, Fault> {
        let left = loop {
            if let Some(row) = self.batch.next() {
                break row;
            }
            match self.left.next().await? {
                Some(batch) => {
                    self.scope.piece().await?;
                    self.batch = batch.into_iter();
                }
                None => return Ok(false),
            }
        };
        let mut found = Found::default();
        let candidates = match method {
            Method::PerRow => {
                let Some((node, outer, _)) = &self.join.per_row else { return Ok(false) };
                let inner = self.scope.with_outer(outer, &left)?;
                Candidates::Looked { stream: open(node, &inner), batch: Vec::new().into_iter() }
            }
            Method::Loop { .. } => Candidates::All { at: 0 },
            Method::Hash { rows, nulls, .. } => {
                let key = key(&left, self.join.keys.iter().map(|k| &k.0), &self.scope).await?;
                // NOT IN: a NULL on either side makes "not found" unknown.
                found.unknown |= if key.is_some() { *nulls } else { !rows.is_empty() };
                Candidates::Keyed { key, at: 0 }
            }
        };
        self.current = Some(Current { left, found, candidates });
        Ok(true)
    }

    /// Offers right rows to the current left row until `out` is full or it has seen all.
    async fn work(&mut self, method: &Method, out: &mut Batch) -> Result<(), Fault> {
        let Some(mut current) = self.current.take() else { return Ok(()) };
        while !current.found.enough {
            if out.is_full() {
                self.current = Some(current);
                return Ok(());
            }
            if self.steps.row() {
                self.scope.piece().await?;
            }
            let Current { left, found, candidates } = &mut current;
            match (candidates, method) {
                (Candidates::All { at }, Method::Loop { rows, .. }) => {
                    let Some(right) = rows.get(*at) else { break };
                    *at += 1;
                    self.join.offer(&self.scope, left, right, found, out).await?;
                }
                (Candidates::Keyed { key, at }, Method::Hash { rows, by_key, .. }) => {
                    let Some(i) = key.as_ref().and_then(|k| by_key.get(k)).and_then(|list| list.get(*at)) else { break };
                    *at += 1;
                    self.join.offer(&self.scope, left, &rows[*i as usize], found, out).await?;
                }
                (Candidates::Looked { stream, batch }, _) => {
                    let right = match batch.next() {
                        Some(row) => row,
                        None => match stream.next().await? {
                            Some(more) => {
                                *batch = more.into_iter();
                                continue;
                            }
                            None => break,
                        },
                    };
                    self.join.offer(&self.scope, left, &right, found, out).await?;
                }
                (Candidates::All { .. } | Candidates::Keyed { .. }, _) => break,
            }
        }
        self.join.close(current, out);
        Ok(())
    }
}

impl Shape {
    async fn offer(&self, scope: &Scope, left: &Row, right: &Row, found: &mut Found, out: &mut Batch) -> Result<(), Fault> {
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
        if !lock(&self.passed_by, &both, scope).await? {
            return Ok(());
        }
        found.any = true;
        match self.kind {
            JoinKind::Inner | JoinKind::Cross | JoinKind::Left => out.push(both),
            JoinKind::Semi | JoinKind::Anti | JoinKind::NullAwareAnti => found.enough = true,
        }
        Ok(())
    }

    /// What a left row becomes once all of the right side was offered.
    fn close(&self, current: Current, out: &mut Batch) {
        let Current { mut left, found, .. } = current;
        match self.kind {
            JoinKind::Left => {
                if !found.any {
                    left.resize(left.len() + self.right_width, Value::Null);
                    out.push(left);
                }
            }
            JoinKind::Semi => {
                if found.any {
                    out.push(left)
                }
            }
            JoinKind::Anti => {
                if !found.any {
                    out.push(left)
                }
            }
            JoinKind::NullAwareAnti => {
                if !found.any && !found.unknown {
                    out.push(left)
                }
            }
            JoinKind::Inner | JoinKind::Cross => (),
        }
    }
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
            let method = match self.method.take() {
                Some(m) => m,
                None => self.choose().await?,
            };
            let mut out = Batch::default();
            while !out.is_full() {
                if self.current.is_none() && !self.advance(&method).await? {
                    break;
                }
                self.work(&method, &mut out).await?;
            }
            self.method = Some(method);
            Ok(out.given())
        })
    }
}

/// Left rows that were held back to see how many there are, then the rest.
struct Rejoined {
    first: Option<(BoxStream, Held)>,
    rest: BoxStream,
}

impl Stream for Rejoined {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            if let Some((first, _)) = &mut self.first {
                if let Some(batch) = first.next().await? {
                    return Ok(Some(batch));
                }
                self.first = None;
            }
            self.rest.next().await
        })
    }
}
