//! ORDER BY and LIMIT.
//!
//! Owns:     the rows being sorted.
//! Promises: a stable sort by collation; with a limit, no more than that many rows are held; sorts in runs, so that it can be stopped between two of them.
//! Never:    sorts what an index already gives in order: the plan has no sort then.

use super::scalar::Scalar;
use super::{BATCH_ROWS, Batch, BoxStream, Held, Ready, Row, Scope, Steps, Stream, row_bytes};
use futures::future::BoxFuture;
use std::cmp::Reverse;
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

/// Rows sorted at a time: a few milliseconds' work.
const RUN_ROWS: usize = 16 * BATCH_ROWS;

/// Sorts in runs, with others' turns between them.
pub(crate) async fn sorted_in_turns<T: Ord + Send>(mut items: Vec<T>, scope: &Scope) -> Result<Vec<T>, Fault> {
    if items.len() <= RUN_ROWS {
        items.sort_unstable();
        return Ok(items);
    }
    let (mut all, count) = (Vec::with_capacity(items.len()), items.len());
    let mut runs = Vec::with_capacity(count.div_ceil(RUN_ROWS));
    let mut rest = items.into_iter();
    while rest.len() > 0 {
        let mut run: Vec<T> = rest.by_ref().take(RUN_ROWS).collect();
        run.sort_unstable();
        runs.push(run.into_iter());
        scope.piece().await?;
    }
    let mut heads: BinaryHeap<Reverse<(T, usize)>> = BinaryHeap::with_capacity(runs.len());
    for (n, run) in runs.iter_mut().enumerate() {
        heads.extend(run.next().map(|least| Reverse((least, n))));
    }
    let mut steps = Steps::default();
    while let Some(Reverse((least, n))) = heads.pop() {
        heads.extend(runs[n].next().map(|next| Reverse((next, n))));
        all.push(least);
        if steps.row() {
            scope.piece().await?;
        }
    }
    Ok(all)
}

pub struct SortStream {
    input: BoxStream,
    keys: Vec<Key>,
    limit: Option<Limit>,
    scope: Scope,
    sorted: Option<Sorted>,
    held: Held,
    steps: Steps,
}

enum Sorted {
    Top(Ready),
    Merging { merge: Merge, skip: u64, give: u64 },
}

impl SortStream {
    pub fn new(input: BoxStream, keys: Vec<Key>, limit: Option<Limit>, scope: Scope) -> Self {
        Self { input, keys, limit, held: Held::nothing(&scope), scope, sorted: None, steps: Steps::default() }
    }

    async fn sort(&mut self) -> Result<Sorted, Fault> {
        let (offset, count) = match &self.limit {
            Some(l) => l.bounds(&self.scope).await?,
            None => (0, u64::MAX),
        };
        let keep = offset.saturating_add(count);
        if keep < 100_000 {
            let rows = self.top(keep as usize).await?;
            return Ok(Sorted::Top(Ready::new(rows.into_iter().skip(offset as usize).collect())));
        }
        Ok(Sorted::Merging { merge: self.all().await?, skip: offset, give: count })
    }

    async fn all(&mut self) -> Result<Merge, Fault> {
        let mut runs = Vec::new();
        let mut run: Vec<(Vec<u8>, Row)> = Vec::new();
        while let Some(batch) = self.input.next().await? {
            for row in batch {
                if self.steps.row() {
                    self.scope.piece().await?;
                }
                let key = key_of(&row, &self.keys, &self.scope).await?;
                self.held.add(row_bytes(&row) + 24 + key.len() as u64)?;
                run.push((key, row));
            }
            if run.len() >= RUN_ROWS {
                run.sort_by(|a, b| a.0.cmp(&b.0));
                runs.push(std::mem::take(&mut run));
            }
        }
        run.sort_by(|a, b| a.0.cmp(&b.0));
        runs.push(run);
        Ok(Merge::of(runs))
    }

    /// The first `keep` rows: a heap whose greatest element leaves first.
    async fn top(&mut self, keep: usize) -> Result<Vec<Row>, Fault> {
        let mut heap: BinaryHeap<Ranked> = BinaryHeap::new();
        let mut sequence = 0u64;
        if keep == 0 {
            return Ok(Vec::new());
        }
        while let Some(batch) = self.input.next().await? {
            for row in batch {
                if self.steps.row() {
                    self.scope.piece().await?;
                }
                let key = key_of(&row, &self.keys, &self.scope).await?;
                sequence += 1;
                if heap.len() == keep && heap.peek().is_none_or(|greatest| greatest.key <= key) {
                    continue;
                }
                if heap.len() < keep {
                    self.held.add(row_bytes(&row) + key.len() as u64)?;
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

/// Sorted runs, read as one: of equal rows, those of the earlier run first.
struct Merge {
    runs: Vec<std::vec::IntoIter<(Vec<u8>, Row)>>,
    heads: BinaryHeap<Reverse<Ranked>>,
}

impl Merge {
    fn of(runs: Vec<Vec<(Vec<u8>, Row)>>) -> Self {
        let mut merge = Self { runs: runs.into_iter().map(Vec::into_iter).collect(), heads: BinaryHeap::new() };
        for i in 0..merge.runs.len() {
            merge.refill(i);
        }
        merge
    }

    fn refill(&mut self, run: usize) {
        if let Some((key, row)) = self.runs[run].next() {
            self.heads.push(Reverse(Ranked { key, sequence: run as u64, row }));
        }
    }

    fn next(&mut self) -> Option<Row> {
        if let [only] = self.runs.as_mut_slice() {
            let head = self.heads.pop().map(|h| h.0.row);
            return head.or_else(|| only.next().map(|r| r.1));
        }
        let head = self.heads.pop()?.0;
        self.refill(head.sequence as usize);
        Some(head.row)
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
            let mut sorted = match self.sorted.take() {
                Some(s) => s,
                None => self.sort().await?,
            };
            let batch = match &mut sorted {
                Sorted::Top(rows) => rows.take(),
                Sorted::Merging { merge, skip, give } => {
                    let mut out = Batch::default();
                    while *skip > 0 && merge.next().is_some() {
                        *skip -= 1;
                        if self.steps.row() {
                            self.scope.piece().await?;
                        }
                    }
                    while !out.is_full() && *give > 0 {
                        let Some(row) = merge.next() else { break };
                        *give -= 1;
                        out.push(row);
                    }
                    self.scope.piece().await?;
                    out.given()
                }
            };
            self.sorted = Some(sorted);
            Ok(batch)
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
