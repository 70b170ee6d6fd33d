//! The order of inner joins: the one whose intermediate results have the fewest rows together.
//!
//! Owns:     nothing.
//! Promises: a tree that leans to the left; a table without a condition to the others comes as late as can be. Of orders that cost the same, the one that is
//!           nearest to how the query was written.
//! Never:    reorders outer joins: they come here as leaves.
//!
//! Up to [`MOST_EXACT`] tables every order is weighed, by dynamic programming over sets of tables (Selinger et al. 1979, without access paths); beyond, the next
//! table is always the one that makes the smallest result.

use super::estimate::{base_rows, distinct, estimate, is_key, join_rows, selectivity};
use super::implied::{self, Equals};
use super::predicate::equi;
use crate::names::Statistics;
use crate::query::{JoinKind, Rel};
use crate::walk;
use std::collections::BTreeSet;
use weald_expr::Expr;
use weald_types::ColumnId;

/// Sets of tables double with each table.
const MOST_EXACT: usize = 10;

pub fn order(leaves: Vec<Rel>, mut conditions: Vec<Expr>, s: &dyn Statistics, fixed: bool) -> Rel {
    let every: BTreeSet<ColumnId> = leaves.iter().flat_map(Rel::output).collect();
    let mut rest: Vec<(Rel, f64)> = leaves.into_iter().map(|l| (estimate(&l, s), l)).map(|(n, l)| (l, n)).collect();
    if rest.is_empty() {
        return Rel::Values { rows: vec![vec![]], columns: vec![] };
    }
    let outputs: Vec<BTreeSet<ColumnId>> = rest.iter().map(|l| l.0.output()).collect();
    // Their number is the square of the tables': of use where every order is weighed, and no help in walking through a hundred.
    let equals = if fixed || rest.len() > MOST_EXACT { Equals::default() } else { implied::complete(&mut conditions, &outputs) };
    let mut holds = Equals::default();
    let mut exact = Vec::new();
    if !fixed && (3..=MOST_EXACT).contains(&rest.len()) {
        let best = Weighing::new(&rest, &outputs, &conditions, &equals, &every, s).best();
        // Places among what is left then, instead of among all; from the end, where the next one is taken.
        exact = best.iter().enumerate().map(|(n, i)| i - best[..n].iter().filter(|before| *before < i).count()).rev().collect();
    }
    let first = match exact.pop() {
        Some(first) => first,
        None if fixed => 0,
        None => cheapest_start(&rest, &conditions),
    };
    let (mut joined, mut rows) = rest.remove(first);
    while !rest.is_empty() {
        let have = joined.output();
        let (size, i) = match exact.pop() {
            Some(i) => (0.0, i),
            None => next(&joined, rows, &rest, &conditions, &have, &every, s, fixed),
        };
        let (leaf, _) = rest.remove(i);
        let mut both = have;
        both.extend(leaf.output());
        let (on, later): (Vec<_>, Vec<_>) =
            conditions.into_iter().partition(|c| walk::columns(c).iter().all(|id| both.contains(id) || !every.contains(id)));
        conditions = later;
        let on = implied::not_yet_known(on, &mut holds);
        let kind = if on.is_empty() { JoinKind::Cross } else { JoinKind::Inner };
        joined = Rel::Join { kind, left: Box::new(joined), right: Box::new(leaf), on: walk::all_of(on), lateral: false };
        rows = size;
    }
    joined.filter(conditions)
}

/// The leaf that makes the smallest result, and how large that is: connected before unconnected, then small before big.
#[expect(clippy::too_many_arguments, reason = "one step of `order`")]
fn next(
    joined: &Rel,
    rows: f64,
    rest: &[(Rel, f64)],
    conditions: &[Expr],
    have: &BTreeSet<ColumnId>,
    every: &BTreeSet<ColumnId>,
    s: &dyn Statistics,
    fixed: bool,
) -> (f64, usize) {
    let mut best: Option<(bool, f64, usize)> = None;
    for (i, (leaf, n)) in rest.iter().enumerate() {
        let on = usable(conditions, have, &leaf.output(), every);
        let connected = !on.is_empty();
        let on: Vec<Expr> = on.into_iter().cloned().collect();
        let size = join_rows(joined, rows, leaf, *n, &on, s);
        let better = match best {
            None => true,
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
    (size, i)
}

/// A set of leaves, a bit for each.
type Set = u32;

/// A condition, as far as the order of joins depends on it.
struct Link {
    uses: Set,
    selectivity: f64,
    key: Option<KeyLink>,
    /// Of equalities that follow from each other, one counts.
    class: Option<ColumnId>,
}

/// `left = right` between two leaves.
struct KeyLink {
    left: (usize, BTreeSet<ColumnId>, Option<f64>),
    right: (usize, BTreeSet<ColumnId>, Option<f64>),
}

struct Leaf<'a> {
    rel: &'a Rel,
    rows: f64,
    /// Before any filter.
    base: f64,
}

/// All orders of some leaves, weighed.
struct Weighing<'a> {
    leaves: Vec<Leaf<'a>>,
    links: Vec<Link>,
}

/// The best way to join a set of leaves.
#[derive(Clone, Copy)]
struct Plan {
    /// Cross joins, then rows of all intermediate results.
    cost: (u32, f64),
    rows: f64,
    last: usize,
}

impl<'a> Weighing<'a> {
    fn new(
        leaves: &'a [(Rel, f64)],
        outputs: &[BTreeSet<ColumnId>],
        conditions: &[Expr],
        equals: &Equals,
        every: &BTreeSet<ColumnId>,
        s: &dyn Statistics,
    ) -> Self {
        let of = |columns: &BTreeSet<ColumnId>| -> Set {
            outputs.iter().enumerate().filter(|(_, o)| columns.iter().any(|c| o.contains(c))).map(|(i, _)| 1 << i).sum()
        };
        let links = conditions
            .iter()
            .map(|c| {
                let uses = of(&walk::columns(c).into_iter().filter(|id| every.contains(id)).collect());
                let key = (uses.count_ones() == 2)
                    .then(|| {
                        let (i, j) = (uses.trailing_zeros() as usize, (Set::BITS - 1 - uses.leading_zeros()) as usize);
                        let (a, b) = equi(c, &outputs[i], &outputs[j])?;
                        let side = |i: usize, e: &Expr| (i, walk::columns(e), distinct(&leaves[i].0, e, s));
                        Some(KeyLink { left: side(i, a), right: side(j, b) })
                    })
                    .flatten();
                let class = implied::equal_columns(c).map(|(a, _)| equals.root(a));
                Link { uses, selectivity: selectivity(c), key, class }
            })
            .collect();
        let leaves = leaves.iter().map(|(rel, rows)| Leaf { rel, rows: *rows, base: base_rows(rel, s) }).collect();
        Self { leaves, links }
    }

    /// Leaves in the best order.
    fn best(&self) -> Vec<usize> {
        let n = self.leaves.len();
        let all: Set = (1 << n) - 1;
        let mut plans: Vec<Option<Plan>> = vec![None; 1 << n];
        for (i, leaf) in self.leaves.iter().enumerate() {
            plans[1 << i] = Some(Plan { cost: (0, leaf.rows), rows: leaf.rows, last: i });
        }
        for set in 1..=all {
            let Some(plan) = plans[set as usize] else { continue };
            for i in (0..n).filter(|i| set & 1 << i == 0) {
                let (connected, rows) = self.joined(set, plan.rows, i);
                let cost = (plan.cost.0 + !connected as u32, plan.cost.1 + rows);
                let known = &mut plans[(set | 1 << i) as usize];
                if known.is_none_or(|k| (cost.0, cost.1) < (k.cost.0, k.cost.1 * (1.0 - 1e-9))) {
                    *known = Some(Plan { cost, rows, last: i });
                }
            }
        }
        let (mut order, mut set) = (Vec::with_capacity(n), all);
        while let Some(plan) = plans[set as usize].filter(|_| set != 0) {
            order.push(plan.last);
            set &= !(1 << plan.last);
        }
        order.reverse();
        order
    }

    /// Whether a condition ties leaf `i` to `set`, and how many rows their join has.
    fn joined(&self, set: Set, rows: f64, i: usize) -> (bool, f64) {
        let leaf = &self.leaves[i];
        let (mut connected, mut rest) = (false, 1.0);
        let (mut own, mut theirs): (BTreeSet<ColumnId>, Vec<(usize, BTreeSet<ColumnId>)>) = Default::default();
        let (mut values, mut classes): (Option<f64>, Vec<ColumnId>) = (None, Vec::new());
        for link in self.links.iter().filter(|l| l.uses & 1 << i != 0 && l.uses & set != 0 && l.uses & !(set | 1 << i) == 0) {
            connected = true;
            let Some(key) = &link.key else {
                rest *= link.selectivity;
                continue;
            };
            let (mine, other) = if key.left.0 == i { (&key.left, &key.right) } else { (&key.right, &key.left) };
            own.extend(mine.1.iter().copied());
            match theirs.iter_mut().find(|t| t.0 == other.0) {
                Some(t) => t.1.extend(other.1.iter().copied()),
                None => theirs.push((other.0, other.1.clone())),
            }
            if let Some(class) = link.class {
                if classes.contains(&class) {
                    continue;
                }
                classes.push(class);
            }
            let here = mine.2.map_or(leaf.rows, |d| d.min(leaf.rows));
            let there = &self.leaves[other.0];
            let there = other.2.map_or(there.rows, |d| d.min(there.rows));
            values = Some(values.unwrap_or(1.0) * here.max(there).max(1.0));
        }
        let Some(values) = values else { return (connected, (rows * leaf.rows * rest).max(1.0)) };
        let joined = if is_key(leaf.rel, &own) {
            // Each row of the others finds at most one of the leaf's; filters on that thin it out.
            rows * (leaf.rows / leaf.base).min(1.0)
        } else if let Some(base) =
            theirs.iter().filter(|(other, keys)| is_key(self.leaves[*other].rel, keys)).map(|t| self.leaves[t.0].base).reduce(f64::max)
        {
            // The other way round; what else is in the set multiplies or thins out the leaf it is the key of.
            leaf.rows * (rows / base)
        } else {
            rows * leaf.rows / values.clamp(1.0, rows.max(leaf.rows).max(1.0))
        };
        (connected, (joined * rest).max(1.0))
    }
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
