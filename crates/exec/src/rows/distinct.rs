//! DISTINCT, UNION, INTERSECT and EXCEPT: rows as sets, equal as GROUP BY has it.
//!
//! Owns:     the keys seen so far.
//! Promises: the first of equal rows is kept; INTERSECT ALL and EXCEPT ALL count.
//! Never:    sorts.

use super::{BoxStream, Held, Lazy, Node, Row, Scope, Stream, open};
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use futures::future::BoxFuture;
use std::sync::Arc;
use weald_expr::sort::group_key;
use weald_plan::query;
use weald_types::{Fault, SqlType};

#[derive(Debug)]
pub struct Distinct {
    pub input: Arc<Node>,
    pub types: Arc<[SqlType]>,
}

#[derive(Debug)]
pub struct SetOp {
    pub op: query::SetOp,
    pub all: bool,
    pub left: Arc<Node>,
    pub right: Arc<Node>,
    pub types: Arc<[SqlType]>,
}

pub(crate) fn row_key(row: &Row, types: &[SqlType]) -> Vec<u8> {
    let mut key = Vec::with_capacity(16 * row.len());
    for (value, ty) in row.iter().zip(types) {
        group_key(value, ty, &mut key);
    }
    key
}

impl Distinct {
    pub fn open(&self, scope: &Scope) -> BoxStream {
        Box::new(DistinctStream::new(open(&self.input, scope), self.types.clone(), scope))
    }
}

struct DistinctStream {
    input: BoxStream,
    types: Arc<[SqlType]>,
    seen: HashSet<Vec<u8>>,
    scope: Scope,
    held: Held,
}

impl DistinctStream {
    fn new(input: BoxStream, types: Arc<[SqlType]>, scope: &Scope) -> Self {
        Self { input, types, seen: HashSet::new(), scope: scope.clone(), held: Held::nothing(scope) }
    }
}

impl Stream for DistinctStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            while let Some(batch) = self.input.next().await? {
                self.scope.piece().await?;
                let mut kept = Vec::new();
                for row in batch {
                    let key = row_key(&row, &self.types);
                    let bytes = 64 + key.len() as u64;
                    if self.seen.insert(key) {
                        self.held.add(bytes)?;
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

/// Left's rows, then right's.
struct Chain {
    first: Option<BoxStream>,
    second: BoxStream,
}

impl Stream for Chain {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            if let Some(first) = &mut self.first {
                if let Some(batch) = first.next().await? {
                    return Ok(Some(batch));
                }
                self.first = None;
            }
            self.second.next().await
        })
    }
}

impl SetOp {
    pub fn open(&self, scope: &Scope) -> BoxStream {
        let (left, right) = (open(&self.left, scope), open(&self.right, scope));
        let (types, scope, all) = (self.types.clone(), scope.clone(), self.all);
        match self.op {
            query::SetOp::Union => {
                let both: BoxStream = Box::new(Chain { first: Some(left), second: right });
                if all {
                    return both;
                }
                Box::new(DistinctStream::new(both, types, &scope))
            }
            query::SetOp::Intersect => Box::new(Lazy::new(compare(left, right, types, scope, all, true))),
            query::SetOp::Except => Box::new(Lazy::new(compare(left, right, types, scope, all, false))),
        }
    }
}

/// Left's rows that are (`wanted`) or are not on the right; without `all` each once, with it as often as the counts say.
async fn compare(
    mut left: BoxStream,
    mut right: BoxStream,
    types: Arc<[SqlType]>,
    scope: Scope,
    all: bool,
    wanted: bool,
) -> Result<(Vec<Row>, Held), Fault> {
    let mut held = Held::nothing(&scope);
    let mut counts: HashMap<Vec<u8>, u64> = HashMap::new();
    while let Some(batch) = right.next().await? {
        scope.piece().await?;
        for row in &batch {
            let key = row_key(row, &types);
            match counts.get_mut(&key) {
                Some(n) => *n += 1,
                None => {
                    held.add(64 + key.len() as u64)?;
                    counts.insert(key, 1);
                }
            }
        }
    }
    let mut given = HashSet::new();
    let mut out = Vec::new();
    while let Some(batch) = left.next().await? {
        scope.piece().await?;
        for row in batch {
            let key = row_key(&row, &types);
            let count = counts.get_mut(&key);
            let found = count.as_ref().is_some_and(|c| **c > 0);
            let take = if all {
                if let Some(c) = count {
                    *c = c.saturating_sub(1);
                }
                found == wanted
            } else {
                let key_bytes = 64 + key.len() as u64;
                let first = found == wanted && given.insert(key);
                if first {
                    held.add(key_bytes)?;
                }
                first
            };
            if take {
                held.add(super::row_bytes(&row))?;
                out.push(row);
            }
        }
    }
    Ok((out, held))
}
