//! ORDER BY and LIMIT.
//!
//! Owns:     the rows being sorted.
//! Promises: a stable sort by collation; with a limit, no more than that many rows are held.
//! Never:    sorts what an index already gives in order: the plan has no sort then.

use super::scalar::Scalar;
use super::{BoxStream, Ready, Row, Scope, Stream, row_bytes};
use futures::future::BoxFuture;
use std::collections::BinaryHeap;
use weald_expr::sort::sort_key;
use weald_types::{Fault, Value};

#[derive(Clone, Debug)]
pub struct Key {
    pub expr: Scalar,
    pub descending: bool,
}

#[derive(Clone, Debug)]
pub struct Limit {
    pub count: Option<Scalar>,
    pub offset: Option<Scalar>,
}

impl Limit {
    /// (rows to skip, rows to give)
    pub async fn bounds(&self, scope: &Scope) -> Result<(u64, u64), Fault> {
        let offset = match &self.offset {
            Some(e) => whole(&e.eval(&[], scope).await?)?,
            None => 0,
        };
        let count = match &self.count {
            Some(e) => whole(&e.eval(&[], scope).await?)?,
            None => u64::MAX,
        };
        Ok((offset, count))
    }
}

fn whole(v: &Value) -> Result<u64, Fault> {
    match v {
        Value::Int(n) if *n >= 0 => Ok(*n as u64),
        Value::UInt(n) => Ok(*n),
        _ => Err(Fault::mysql(1210, "HY000", "Incorrect arguments to LIMIT")),
    }
}

/// The bytes that order `row` among others; ties are broken by `sequence`, so that equal rows keep their order.
pub(crate) async fn key_of(row: &[Value], keys: &[Key], scope: &Scope) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::with_capacity(16 * keys.len());
    for k in keys {
        let value = k.expr.eval(row, scope).await?;
        sort_key(&value, k.expr.expr.ty(), k.descending, &mut bytes);
    }
    Ok(bytes)
}

pub struct SortStream {
    input: BoxStream,
    keys: Vec<Key>,
    limit: Option<Limit>,
    scope: Scope,
    sorted: Option<Ready>,
}

impl SortStream {
    pub fn new(input: BoxStream, keys: Vec<Key>, limit: Option<Limit>, scope: Scope) -> Self {
        Self { input, keys, limit, scope, sorted: None }
    }

    async fn sort(&mut self) -> Result<Vec<Row>, Fault> {
        let (offset, count) = match &self.limit {
            Some(l) => l.bounds(&self.scope).await?,
            None => (0, u64::MAX),
        };
        let keep = offset.saturating_add(count);
        let rows = if keep < 100_000 { self.top(keep as usize).await? } else { self.all().await? };
        Ok(rows.into_iter().skip(offset as usize).take(usize::try_from(count).unwrap_or(usize::MAX)).collect())
    }

    async fn all(&mut self) -> Result<Vec<Row>, Fault> {
        let mut keyed: Vec<(Vec<u8>, Row)> = Vec::new();
        while let Some(batch) = self.input.next().await? {
            self.scope.execution.statement.check_interrupted()?;
            for row in batch {
                let key = key_of(&row, &self.keys, &self.scope).await?;
                self.scope.execution.statement.memory.take(row_bytes(&row) + key.len() as u64)?;
                keyed.push((key, row));
            }
        }
        keyed.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(keyed.into_iter().map(|(_, row)| row).collect())
    }

    /// The first `keep` rows: a heap whose greatest element leaves first.
    async fn top(&mut self, keep: usize) -> Result<Vec<Row>, Fault> {
        let mut heap: BinaryHeap<Ranked> = BinaryHeap::new();
        let mut sequence = 0u64;
        while let Some(batch) = self.input.next().await? {
            self.scope.execution.statement.check_interrupted()?;
            for row in batch {
                let key = key_of(&row, &self.keys, &self.scope).await?;
                sequence += 1;
                if heap.len() == keep && heap.peek().is_none_or(|greatest| greatest.key <= key) {
                    continue;
                }
                if heap.len() < keep {
                    self.scope.execution.statement.memory.take(row_bytes(&row) + key.len() as u64)?;
                }
                heap.push(Ranked { key, sequence, row });
                if heap.len() > keep {
                    heap.pop();
                }
            }
        }
        Ok(heap.into_sorted_vec().into_iter().map(|r| r.row).collect())
    }
}

struct Ranked {
    key: Vec<u8>,
    sequence: u64,
    row: Row,
}
impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Ranked {}
impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key).then(self.sequence.cmp(&other.sequence))
    }
}

impl Stream for SortStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            if self.sorted.is_none() {
                self.sorted = Some(Ready::new(self.sort().await?));
            }
            Ok(self.sorted.as_mut().and_then(Ready::take))
        })
    }
}

pub struct LimitStream {
    input: BoxStream,
    limit: Limit,
    scope: Scope,
    bounds: Option<(u64, u64)>,
}

impl LimitStream {
    pub fn new(input: BoxStream, limit: Limit, scope: Scope) -> Self {
        Self { input, limit, scope, bounds: None }
    }
}

impl Stream for LimitStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            let (mut skip, mut give) = match self.bounds {
                Some(b) => b,
                None => self.limit.bounds(&self.scope).await?,
            };
            let mut out = Vec::new();
            while out.is_empty() && give > 0 {
                let Some(batch) = self.input.next().await? else { break };
                for row in batch {
                    if skip > 0 {
                        skip -= 1;
                        continue;
                    }
                    if give == 0 {
                        break;
                    }
                    give -= 1;
                    out.push(row);
                }
            }
            self.bounds = Some((skip, give));
            Ok(if out.is_empty() { None } else { Some(out) })
        })
    }
}
