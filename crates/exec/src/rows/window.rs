//! Window functions.
//!
//! Owns:     all rows of the input, and each function's results.
//! Promises: rows keep their input order; peers are rows equal in ORDER BY; frames are MySQL's (ROWS and RANGE).
//! Never:    shares work between functions of different windows; functions of the same window are sorted anew (a later improvement).

use super::scalar::Scalar;
use super::sort::{Key, key_of, sorted_in_turns};
use super::{BoxStream, Held, Lazy, Node, Row, Scope, Steps, collect, open, row_bytes};
use std::sync::Arc;
use weald_expr::aggregate::{Accumulator, AggregateSpec};
use weald_expr::in_form_of;
use weald_expr::sort::group_key;
use weald_plan::query::WindowKind;
use weald_types::{Fault, Value};

#[derive(Debug)]
pub struct Window {
    pub input: Arc<Node>,
    pub functions: Vec<Function>,
}

#[derive(Clone, Debug)]
pub struct Function {
    pub kind: WindowKind,
    pub args: Vec<Scalar>,
    pub partition_by: Vec<Scalar>,
    pub order_by: Vec<Key>,
    pub rows: bool,
    pub start: Bound,
    pub end: Bound,
    /// For aggregates over a window.
    pub spec: Option<Arc<AggregateSpec>>,
}

#[derive(Clone, Debug)]
pub enum Bound {
    UnboundedPreceding,
    /// ROWS n PRECEDING; for RANGE, `range` over a row is the ORDER BY value's bound: `key - n` or `key + n`.
    Preceding {
        rows: Scalar,
        range: Option<Box<Key>>,
    },
    CurrentRow,
    Following {
        rows: Scalar,
        range: Option<Box<Key>>,
    },
    UnboundedFollowing,
}

impl Window {
    pub fn open(&self, scope: &Scope) -> BoxStream {
        let mut input = open(&self.input, scope);
        let (functions, scope) = (self.functions.clone(), scope.clone());
        Box::new(Lazy::new(async move {
            let (mut rows, mut held) = collect(&mut input, &scope).await?;
            let mut results = Vec::new();
            for f in &functions {
                let values = f.run(&rows, &scope).await?;
                held.add(row_bytes(&values))?;
                results.push(values);
            }
            for column in results {
                for (row, value) in rows.iter_mut().zip(column) {
                    row.push(value);
                }
            }
            Ok((rows, held))
        }))
    }
}

impl Function {
    /// The function's value for every row, in the order of `rows`.
    async fn run(&self, rows: &[Row], scope: &Scope) -> Result<Vec<Value>, Fault> {
        // (partition key, order key, position): sorted, partitions and peers are neighbours.
        let mut order = Vec::with_capacity(rows.len());
        // Rows looked at, in whichever partition: a frame may span its partition for every row, and partitions may be many and small.
        let (mut held, mut steps) = (Held::nothing(scope), Steps::default());
        for (i, row) in rows.iter().enumerate() {
            if steps.row() {
                scope.piece().await?;
            }
            let mut partition = Vec::new();
            for p in &self.partition_by {
                group_key(&p.eval(row, scope).await?, p.expr.ty(), &mut partition);
            }
            let key = key_of(row, &self.order_by, scope).await?;
            held.add(56 + partition.len() as u64 + key.len() as u64)?;
            order.push((partition, key, i));
        }
        let order = sorted_in_turns(order, scope).await?;
        let mut out = vec![Value::Null; rows.len()];
        let mut from = 0;
        while from < order.len() {
            let to = from + order[from..].iter().take_while(|o| o.0 == order[from].0).count();
            let partition = Partition { order: &order[from..to], rows };
            self.partition(&partition, scope, &mut steps, &mut held, &mut out).await?;
            from = to;
        }
        Ok(out)
    }

    async fn partition(&self, p: &Partition<'_>, scope: &Scope, steps: &mut Steps, held: &mut Held, out: &mut [Value]) -> Result<(), Fault> {
        let n = p.order.len();
        let (mut rank, mut dense) = (1, 0);
        let mut running: Option<(usize, Accumulator)> = None;
        for i in 0..n {
            if steps.row() {
                scope.piece().await?;
            }
            let new_peer = i == 0 || p.order[i].1 != p.order[i - 1].1;
            if new_peer {
                rank = i + 1;
                dense += 1;
            }
            let row = p.row(i);
            out[p.order[i].2] = match self.kind {
                WindowKind::RowNumber => Value::UInt(i as u64 + 1),
                WindowKind::Rank => Value::UInt(rank as u64),
                WindowKind::DenseRank => Value::UInt(dense),
                WindowKind::PercentRank => Value::Double(if n == 1 { 0.0 } else { (rank - 1) as f64 / (n - 1) as f64 }),
                WindowKind::CumeDist => Value::Double(p.peers_end(i) as f64 / n as f64),
                WindowKind::Ntile => ntile(self.count(0, row, scope).await?.filter(|b| *b > 0).ok_or_else(|| wrong_arguments("ntile"))?, i, n),
                WindowKind::Lag | WindowKind::Lead => {
                    let by = if self.args.len() > 1 { self.count(1, row, scope).await?.ok_or_else(|| wrong_arguments("lag"))? } else { 1 };
                    let at = if self.kind == WindowKind::Lag {
                        (i as u64).checked_sub(by)
                    } else {
                        (i as u64).checked_add(by).filter(|at| *at < n as u64)
                    };
                    match at {
                        Some(at) => self.args[0].eval(p.row(at as usize), scope).await?,
                        None => match self.args.get(2) {
                            Some(default) => default.eval(row, scope).await?,
                            None => Value::Null,
                        },
                    }
                }
                WindowKind::FirstValue | WindowKind::LastValue | WindowKind::NthValue => {
                    let (start, end) = self.frame(p, i, scope).await?;
                    let at = match self.kind {
                        WindowKind::FirstValue => Some(start),
                        WindowKind::LastValue => end.checked_sub(1),
                        _ => {
                            let nth = self.count(1, row, scope).await?.filter(|c| *c > 0).ok_or_else(|| wrong_arguments("nth_value"))?;
                            Some(start.saturating_add(nth as usize - 1))
                        }
                    };
                    match at.filter(|at| (start..end).contains(at)) {
                        Some(at) => self.args[0].eval(p.row(at), scope).await?,
                        None => Value::Null,
                    }
                }
                WindowKind::Aggregate(_) => {
                    let spec = self.spec.as_ref().ok_or_else(|| wrong_arguments("over"))?;
                    let (start, end) = self.frame(p, i, scope).await?;
                    // A frame that only grows is summed up once; any other is summed up anew.
                    let (done, mut acc) = match running.take() {
                        Some((done, acc)) if matches!(self.start, Bound::UnboundedPreceding) && done <= end => (done, acc),
                        _ => (start, Accumulator::new(spec)),
                    };
                    for at in done..end {
                        if steps.row() {
                            scope.piece().await?;
                        }
                        let mut args = Vec::with_capacity(self.args.len());
                        for a in &self.args {
                            args.push(a.eval(p.row(at), scope).await?);
                        }
                        held.add(acc.update(&args, &[], &scope.context(&[]))?)?;
                    }
                    // As if from a column: what is made of it does not see more decimals than are shown.
                    let value = in_form_of(acc.clone().finish(&scope.context(&[]))?, &spec.ty);
                    running = Some((end.max(done), acc));
                    value
                }
            };
        }
        Ok(())
    }

    /// The frame of row `i`, as a half-open range of positions in the partition.
    async fn frame(&self, p: &Partition<'_>, i: usize, scope: &Scope) -> Result<(usize, usize), Fault> {
        let n = p.order.len();
        let start = match &self.start {
            Bound::UnboundedPreceding => 0,
            Bound::CurrentRow => {
                if self.rows {
                    i
                } else {
                    p.peers_start(i)
                }
            }
            Bound::UnboundedFollowing => n,
            Bound::Preceding { rows, range } | Bound::Following { rows, range } => {
                let back = matches!(self.start, Bound::Preceding { .. });
                match range {
                    Some(key) if !self.rows => p.first_at_or_after(&key_of(p.row(i), std::slice::from_ref(key), scope).await?),
                    _ => {
                        let by = offset(&rows.eval(p.row(i), scope).await?)?;
                        if back { i.saturating_sub(by) } else { i.saturating_add(by).min(n) }
                    }
                }
            }
        };
        let end = match &self.end {
            Bound::UnboundedFollowing => n,
            Bound::CurrentRow => {
                if self.rows {
                    i + 1
                } else {
                    p.peers_end(i)
                }
            }
            Bound::UnboundedPreceding => 0,
            Bound::Preceding { rows, range } | Bound::Following { rows, range } => {
                let back = matches!(self.end, Bound::Preceding { .. });
                match range {
                    Some(key) if !self.rows => p.first_after(&key_of(p.row(i), std::slice::from_ref(key), scope).await?),
                    _ => {
                        let by = offset(&rows.eval(p.row(i), scope).await?)?;
                        if back { (i + 1).saturating_sub(by) } else { (i + 1).saturating_add(by).min(n) }
                    }
                }
            }
        };
        Ok((start, end.max(start)))
    }

    async fn count(&self, argument: usize, row: &Row, scope: &Scope) -> Result<Option<u64>, Fault> {
        let Some(e) = self.args.get(argument) else { return Ok(None) };
        Ok(match e.eval(row, scope).await? {
            Value::Int(n) => u64::try_from(n).ok(),
            Value::UInt(n) => Some(n),
            _ => None,
        })
    }
}

struct Partition<'a> {
    order: &'a [(Vec<u8>, Vec<u8>, usize)],
    rows: &'a [Row],
}

impl Partition<'_> {
    fn row(&self, i: usize) -> &Row {
        &self.rows[self.order[i].2]
    }
    fn peers_start(&self, i: usize) -> usize {
        self.first_at_or_after(&self.order[i].1)
    }
    fn peers_end(&self, i: usize) -> usize {
        self.first_after(&self.order[i].1)
    }
    fn first_at_or_after(&self, key: &[u8]) -> usize {
        self.order.partition_point(|o| o.1.as_slice() < key)
    }
    fn first_after(&self, key: &[u8]) -> usize {
        self.order.partition_point(|o| o.1.as_slice() <= key)
    }
}

fn ntile(buckets: u64, i: usize, n: usize) -> Value {
    // The first n mod buckets buckets are one row larger.
    let (n, i) = (n as u64, i as u64);
    let (size, larger) = (n / buckets, n % buckets);
    let boundary = larger * (size + 1);
    Value::UInt(if i < boundary { i / (size + 1) + 1 } else { larger + (i - boundary) / size.max(1) + 1 })
}

fn offset(v: &Value) -> Result<usize, Fault> {
    match v {
        Value::Int(n) if *n >= 0 => Ok(*n as usize),
        Value::UInt(n) => Ok(usize::try_from(*n).unwrap_or(usize::MAX)),
        _ => Err(Fault::mysql(3586, "HY000", "Window frame bound is not a non-negative integer")),
    }
}

fn wrong_arguments(function: &str) -> Fault {
    Fault::mysql(1210, "HY000", format!("Incorrect arguments to {function}"))
}
