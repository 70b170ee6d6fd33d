//! The order of inner joins: greedy, the smallest intermediate result next.
//!
//! Owns:     nothing.
//! Promises: a tree that leans to the left; a table without a condition to the others comes as late as can be.
//! Never:    reorders outer joins: they come here as leaves.

use super::estimate::{estimate, join_rows};
use crate::names::Statistics;
use crate::query::{JoinKind, Rel};
use crate::walk;
use std::collections::BTreeSet;
use weald_expr::Expr;
use weald_types::ColumnId;

pub fn order(leaves: Vec<Rel>, mut conditions: Vec<Expr>, s: &dyn Statistics, fixed: bool) -> Rel {
    let every: BTreeSet<ColumnId> = leaves.iter().flat_map(Rel::output).collect();
    let mut rest: Vec<(Rel, f64)> = leaves.into_iter().map(|l| (estimate(&l, s), l)).map(|(n, l)| (l, n)).collect();
    if rest.is_empty() {
        return Rel::Values { rows: vec![vec![]], columns: vec![] };
    }
    let first = if fixed { 0 } else { cheapest_start(&rest, &conditions) };
    let (mut joined, mut rows) = rest.remove(first);
    while !rest.is_empty() {
        let have = joined.output();
        let mut best: Option<(bool, f64, usize)> = None;
        for (i, (leaf, n)) in rest.iter().enumerate() {
            let on = usable(&conditions, &have, &leaf.output(), &every);
            let connected = !on.is_empty();
            let on: Vec<Expr> = on.into_iter().cloned().collect();
            let size = join_rows(&joined, rows, leaf, *n, &on, s);
            let better = match best {
                None => true,
                // Connected before unconnected, then small before big.
                Some((c, best, _)) => (connected && !c) || (connected == c && size < best),
            };
            if better {
                best = Some((connected, size, i));
            }
            if fixed {
                break;
            }
        }
        let (_, size, i) = best.expect("a table is left");
        let (leaf, _) = rest.remove(i);
        let mut both = have;
        both.extend(leaf.output());
        let (on, later): (Vec<_>, Vec<_>) =
            conditions.into_iter().partition(|c| walk::columns(c).iter().all(|id| both.contains(id) || !every.contains(id)));
        conditions = later;
        let kind = if on.is_empty() { JoinKind::Cross } else { JoinKind::Inner };
        joined = Rel::Join { kind, left: Box::new(joined), right: Box::new(leaf), on: walk::all_of(on), lateral: false };
        rows = size;
    }
    joined.filter(conditions)
}

/// The smallest leaf that is connected to another.
fn cheapest_start(rest: &[(Rel, f64)], conditions: &[Expr]) -> usize {
    let outputs: Vec<_> = rest.iter().map(|r| r.0.output()).collect();
    let connected = |i: usize| {
        conditions.iter().any(|c| {
            let used = walk::columns(c);
            used.iter().any(|id| outputs[i].contains(id)) && used.iter().any(|id| outputs.iter().enumerate().any(|(j, o)| j != i && o.contains(id)))
        })
    };
    let mut best = (true, f64::INFINITY, 0);
    for (i, (_, n)) in rest.iter().enumerate() {
        let key = (!connected(i), *n, i);
        if (key.0, key.1) < (best.0, best.1) {
            best = key;
        }
    }
    best.2
}

/// Conditions that can be asked once `leaf` has joined `have`, and that read both.
fn usable<'c>(conditions: &'c [Expr], have: &BTreeSet<ColumnId>, leaf: &BTreeSet<ColumnId>, every: &BTreeSet<ColumnId>) -> Vec<&'c Expr> {
    conditions
        .iter()
        .filter(|c| {
            let used = walk::columns(c);
            used.iter().any(|id| leaf.contains(id))
                && used.iter().any(|id| have.contains(id))
                && used.iter().all(|id| leaf.contains(id) || have.contains(id) || !every.contains(id))
        })
        .collect()
}
