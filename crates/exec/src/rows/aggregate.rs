//! GROUP BY, aggregates and WITH ROLLUP.
//!
//! Owns:     one accumulator for each aggregate of each group.
//! Promises: groups come out in the order of their first row; without GROUP BY there is exactly one row.
//! Never:    computes an aggregate itself: that is `expr::aggregate`.

use super::scalar::Scalar;
use super::{BoxStream, Held, Lazy, Node, Row, Scope, Steps, open};
use foldhash::{HashMap, HashMapExt};
use std::sync::Arc;
use weald_expr::aggregate::{Accumulator, AggregateSpec};
use weald_expr::sort::group_key;
use weald_types::{Fault, SqlType, Value};

#[derive(Debug)]
pub struct Aggregate {
    pub input: Arc<Node>,
    pub group: Vec<Grouped>,
    pub aggregates: Vec<Call>,
    pub rollup: bool,
    /// A last column says, in bits, which group columns are rolled up: the highest bit is the first column's.
    pub grouping: bool,
}

#[derive(Clone, Debug)]
pub struct Grouped {
    pub expr: Scalar,
    pub ty: SqlType,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub spec: Arc<AggregateSpec>,
    pub args: Vec<Scalar>,
    pub order_by: Vec<Scalar>,
}

impl Aggregate {
    pub fn open(&self, scope: &Scope) -> BoxStream {
        let input = open(&self.input, scope);
        let (group, calls, rollup, grouping, scope) = (self.group.clone(), self.aggregates.clone(), self.rollup, self.grouping, scope.clone());
        Box::new(Lazy::new(run(input, group, calls, rollup, grouping, scope)))
    }
}

/// About what an accumulator takes.
const ACCUMULATOR_BYTES: u64 = 96;

/// One group under way. `level`: how many of the group columns are not rolled up.
struct Group {
    values: Vec<Value>,
    level: usize,
    accumulators: Vec<Accumulator>,
}

struct Groups {
    index: HashMap<Vec<u8>, usize>,
    list: Vec<Group>,
}

async fn run(
    mut input: BoxStream,
    group: Vec<Grouped>,
    calls: Vec<Call>,
    rollup: bool,
    grouping: bool,
    scope: Scope,
) -> Result<(Vec<Row>, Held), Fault> {
    let (mut held, mut steps) = (Held::nothing(&scope), Steps::default());
    let mut groups = Groups { index: HashMap::new(), list: Vec::new() };
    let fresh = || calls.iter().map(|c| Accumulator::new(&c.spec)).collect::<Vec<_>>();
    if group.is_empty() {
        groups.list.push(Group { values: Vec::new(), level: 0, accumulators: fresh() });
    }
    let levels: Vec<usize> = if rollup { (0..=group.len()).rev().collect() } else { vec![group.len()] };
    while let Some(batch) = input.next().await? {
        for row in &batch {
            if steps.row() {
                scope.piece().await?;
            }
            let mut values = Vec::with_capacity(group.len());
            let mut keys = Vec::with_capacity(group.len());
            for g in &group {
                let value = g.expr.eval(row, &scope).await?;
                let mut key = Vec::new();
                group_key(&value, g.expr.expr.ty(), &mut key);
                keys.push(key);
                values.push(value);
            }
            let mut arguments = Vec::with_capacity(calls.len());
            for c in &calls {
                let mut args = Vec::with_capacity(c.args.len());
                for a in &c.args {
                    args.push(a.eval_part(row, &scope).await?);
                }
                let mut order = Vec::with_capacity(c.order_by.len());
                for o in &c.order_by {
                    order.push(o.eval(row, &scope).await?);
                }
                arguments.push((args, order));
            }
            for &level in &levels {
                let at = if group.is_empty() {
                    0
                } else {
                    let mut key = vec![level as u8];
                    keys[..level].iter().for_each(|k| key.extend_from_slice(k));
                    match groups.index.get(&key) {
                        Some(at) => *at,
                        None => {
                            let mut kept = values.clone();
                            kept[level..].iter_mut().for_each(|v| *v = Value::Null);
                            held.add(super::row_bytes(&kept) + 64 + key.len() as u64 + ACCUMULATOR_BYTES * calls.len() as u64)?;
                            groups.list.push(Group { values: kept, level, accumulators: fresh() });
                            groups.index.insert(key, groups.list.len() - 1);
                            groups.list.len() - 1
                        }
                    }
                };
                let mut grown = 0;
                for (accumulator, (args, order)) in groups.list[at].accumulators.iter_mut().zip(&arguments) {
                    grown += accumulator.update(args, order, &scope.context(&[]))?;
                }
                if grown > 0 {
                    held.add(grown)?;
                }
            }
        }
    }
    let mut list = groups.list;
    if rollup {
        // MySQL gives the super-aggregate row after the rows it sums up: order by group columns, the rolled-up (shorter) ones last.
        let types: Vec<SqlType> = group.iter().map(|g| g.ty.clone()).collect();
        list.sort_by_cached_key(|g| {
            let mut key = Vec::new();
            for (i, value) in g.values.iter().enumerate() {
                if i < g.level {
                    key.push(0);
                    weald_expr::sort::sort_key(value, &types[i], false, &mut key);
                } else {
                    key.push(1);
                }
            }
            key
        });
    }
    let width = group.len();
    let mut out = Vec::with_capacity(list.len());
    for g in list {
        if steps.row() {
            scope.piece().await?;
        }
        let mut row = g.values;
        for a in g.accumulators {
            row.push(a.finish(&scope.context(&[]))?);
        }
        if grouping {
            row.push(Value::Int((g.level..width).fold(0, |mask, i| mask | 1 << (width - 1 - i))));
        }
        out.push(row);
    }
    Ok((out, held))
}
