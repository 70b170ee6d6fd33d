//! Conditions moved down to where their columns are made, joins made inner where NULLs are refused, and joins put in order.
//!
//! Owns:     nothing.
//! Promises: a condition ends above the lowest node where it means the same; equality between the sides of a join ends in its `on`.
//! Never:    moves a volatile condition, or one past a LIMIT or a lock.

use super::null_reject::{rejects, touches};
use super::predicate::{self, constants_of_equals, implied_by_or, split};
use super::{Rewriter, estimate, join_order};
use crate::query::{JoinKind, Rel};
use crate::walk;
use std::collections::BTreeSet;
use weald_expr::Expr;
use weald_types::ColumnId;

impl Rewriter<'_> {
    /// Works on `rel` and all subqueries it uses.
    pub fn push_down(&mut self, rel: Rel) -> Rel {
        let out = self.push(rel, vec![]);
        for i in Self::used(&out) {
            let s = self.take(i);
            let s = self.push_down(s);
            self.put(i, s);
        }
        out
    }

    /// `rel` with the conditions `list` on its output applied as far down as can be.
    fn push(&mut self, rel: Rel, list: Vec<Expr>) -> Rel {
        match rel {
            Rel::Filter { input, predicate } => {
                let mut all = list;
                for c in split(predicate) {
                    predicate::add(&mut all, c);
                }
                let (stay, down): (Vec<_>, Vec<_>) = all.into_iter().partition(walk::is_volatile);
                self.push(*input, down).filter(stay)
            }
            Rel::Project { input, exprs, columns } => {
                let mut down = Vec::new();
                let mut stay = Vec::new();
                for c in list {
                    let used = walk::columns(&c);
                    let movable = columns
                        .iter()
                        .zip(&exprs)
                        .filter(|(c, _)| used.contains(&c.id))
                        .all(|(_, e)| !walk::is_volatile(e) && !walk::has_subquery(e));
                    if movable {
                        down.push(self.through_project(c, &columns, &exprs));
                    } else {
                        stay.push(c);
                    }
                }
                let input = self.push(*input, down);
                Rel::Project { input: Box::new(input), exprs, columns }.filter(stay)
            }
            Rel::Join { .. } => self.push_join(rel, list),
            Rel::Aggregate { input, group, aggregates, rollup, grouping } => {
                let (down, stay): (Vec<_>, Vec<_>) = list.into_iter().partition(|c| {
                    !rollup && !group.is_empty() && !walk::has_subquery(c) && {
                        let used = walk::columns(c);
                        !used.is_empty() && used.iter().all(|id| group.iter().any(|g| g.1.id == *id && !walk::is_volatile(&g.0)))
                    }
                });
                let (exprs, columns): (Vec<_>, Vec<_>) = group.iter().cloned().unzip();
                let down = down.into_iter().map(|c| self.through_project(c, &columns, &exprs)).collect();
                let input = self.push(*input, down);
                Rel::Aggregate { input: Box::new(input), group, aggregates, rollup, grouping }.filter(stay)
            }
            Rel::Window { input, functions } => {
                // Whole partitions may be left out, single rows may not.
                let (down, stay): (Vec<_>, Vec<_>) = list.into_iter().partition(|c| {
                    let used = walk::columns(c);
                    !walk::has_subquery(c)
                        && !used.is_empty()
                        && used
                            .iter()
                            .all(|id| functions.iter().all(|f| f.0.partition_by.iter().any(|p| matches!(p, Expr::Column { id: i, .. } if i == id))))
                });
                let input = self.push(*input, down);
                Rel::Window { input: Box::new(input), functions }.filter(stay)
            }
            Rel::Sort { input, keys } => Rel::Sort { input: Box::new(self.push(*input, list)), keys },
            Rel::Distinct { input } => Rel::Distinct { input: Box::new(self.push(*input, list)) },
            Rel::Limit { input, count, offset } => {
                let input = self.push(*input, vec![]);
                Rel::Limit { input: Box::new(input), count, offset }.filter(list)
            }
            // What is not locked must not depend on what is asked of the rows afterwards.
            Rel::Lock { input, tables } => {
                let input = self.push(*input, vec![]);
                Rel::Lock { input: Box::new(input), tables }.filter(list)
            }
            Rel::SetOp { op, all, left, right, columns } => {
                let (down, stay): (Vec<_>, Vec<_>) = list.into_iter().partition(|c| !walk::has_subquery(c));
                let side = |this: &mut Self, rel: Rel| {
                    let exprs: Vec<Expr> = rel.columns().iter().map(|c| Expr::Column { id: c.id, ty: c.ty.clone() }).collect();
                    let own = down.iter().map(|c| this.through_project(c.clone(), &columns, &exprs)).collect();
                    this.push(rel, own)
                };
                let left = side(self, *left);
                let right = side(self, *right);
                Rel::SetOp { op, all, left: Box::new(left), right: Box::new(right), columns }.filter(stay)
            }
            Rel::Recursive { id, seed, step, all, columns } => {
                let seed = self.push(*seed, vec![]);
                let step = self.push(*step, vec![]);
                Rel::Recursive { id, seed: Box::new(seed), step: Box::new(step), all, columns }.filter(list)
            }
            Rel::Scan { .. } | Rel::Virtual { .. } | Rel::JsonTable { .. } | Rel::Values { .. } | Rel::RecursionInput { .. } => rel.filter(list),
        }
    }

    /// A condition on a projection's output, said of its input.
    fn through_project(&mut self, mut c: Expr, columns: &[crate::query::Column], exprs: &[Expr]) -> Expr {
        walk::rewrite_deep_expr(&mut c, &mut self.subqueries, &mut |n| match n {
            Expr::Column { id, .. } => match columns.iter().position(|c| c.id == *id) {
                Some(i) => {
                    *n = exprs[i].clone();
                    true
                }
                None => true,
            },
            _ => false,
        });
        c
    }

    fn push_join(&mut self, rel: Rel, list: Vec<Expr>) -> Rel {
        let Rel::Join { kind, left, right, on, lateral } = rel else { return rel.filter(list) };
        match kind {
            JoinKind::Inner | JoinKind::Cross if lateral => {
                let lo = left.output();
                let on = on.map(split).unwrap_or_default();
                let (down, mut stay): (Vec<_>, Vec<_>) =
                    list.into_iter().partition(|c| walk::columns(c).iter().all(|id| lo.contains(id) || !right_makes(&right, *id)));
                stay.extend(on);
                let left = self.push(*left, down);
                let right = self.push(*right, vec![]);
                Rel::Join { kind: JoinKind::Cross, left: Box::new(left), right: Box::new(right), on: None, lateral: true }.filter(stay)
            }
            JoinKind::Inner | JoinKind::Cross => {
                let mut leaves = Vec::new();
                let mut all = list;
                all.extend(on.map(split).unwrap_or_default());
                flatten(*left, &mut leaves, &mut all);
                flatten(*right, &mut leaves, &mut all);
                self.join_leaves(leaves, all)
            }
            JoinKind::Left => {
                let ro = right.output();
                // A condition that no row of NULLs passes leaves only rows that matched.
                if !lateral && list.iter().any(|c| !walk::has_subquery(c) && rejects(c, &ro)) {
                    return self.push_join(Rel::Join { kind: JoinKind::Inner, left, right, on, lateral }, list);
                }
                let (down, stay): (Vec<_>, Vec<_>) = list.into_iter().partition(|c| !touches(c, &ro));
                let (right_only, on): (Vec<_>, Vec<_>) =
                    on.map(split).unwrap_or_default().into_iter().partition(|c| !lateral && only(c, &ro) && !walk::is_volatile(c));
                let left = self.push(*left, down);
                let right = self.push(*right, right_only);
                let on = walk::all_of(on).unwrap_or_else(|| walk::truth(true));
                Rel::Join { kind, left: Box::new(left), right: Box::new(right), on: Some(on), lateral }.filter(stay)
            }
            JoinKind::Semi | JoinKind::Anti | JoinKind::NullAwareAnti => {
                let (lo, ro) = (left.output(), right.output());
                // What runs a subquery for each row is asked of those rows only that the join leaves.
                let (mut down, stay): (Vec<_>, Vec<_>) = list.into_iter().partition(|c| !walk::has_subquery(c));
                let mut right_down = Vec::new();
                let mut keep = Vec::new();
                for c in on.map(split).unwrap_or_default() {
                    if walk::is_volatile(&c) || kind == JoinKind::NullAwareAnti {
                        keep.push(c);
                    } else if only(&c, &ro) {
                        right_down.push(c);
                    } else if kind == JoinKind::Semi && only(&c, &lo) {
                        down.push(c);
                    } else {
                        keep.push(c);
                    }
                }
                let left = self.push(*left, down);
                let right = self.push(*right, right_down);
                let on = walk::all_of(keep).unwrap_or_else(|| walk::truth(true));
                Rel::Join { kind, left: Box::new(left), right: Box::new(right), on: Some(on), lateral }.filter(stay)
            }
        }
    }

    /// Inner joins of `leaves` under the conditions `all`.
    fn join_leaves(&mut self, leaves: Vec<Rel>, mut all: Vec<Expr>) -> Rel {
        let mut seen: Vec<Expr> = Vec::with_capacity(all.len());
        for c in all.drain(..) {
            predicate::add(&mut seen, c);
        }
        let mut all = seen;
        all.extend(constants_of_equals(&all));
        let outputs: Vec<BTreeSet<ColumnId>> = leaves.iter().map(Rel::output).collect();
        let every: BTreeSet<ColumnId> = outputs.iter().flatten().copied().collect();
        let mut own: Vec<Vec<Expr>> = vec![vec![]; leaves.len()];
        let mut between = Vec::new();
        let mut held: Vec<(usize, Expr)> = Vec::new();
        for c in all {
            let used: BTreeSet<ColumnId> = walk::columns(&c).intersection(&every).copied().collect();
            let home = outputs.iter().position(|o| !used.is_empty() && used.is_subset(o));
            match home {
                // Run for each row: of the leaf, or of the join, whichever has fewer. That shows below.
                Some(i) if !walk::is_volatile(&c) && runs_for_each_row(&c) && outputs.len() > 1 => held.push((i, c)),
                Some(i) if !walk::is_volatile(&c) => own[i].push(c),
                _ => {
                    for (i, o) in outputs.iter().enumerate() {
                        if let Some(implied) = implied_by_or(&c, o)
                            && !own[i].contains(&implied)
                        {
                            own[i].push(implied);
                        }
                    }
                    between.push(c);
                }
            }
        }
        // A leaf that is an outer join may become inner by what is said of it: then its sides are leaves themselves.
        let mut flat = Vec::new();
        let mut again = false;
        for (leaf, own) in leaves.into_iter().zip(own) {
            let pushed = self.push(leaf, own);
            again |= is_inner_join(&pushed);
            flat.push(pushed);
        }
        if again {
            let mut leaves = Vec::new();
            for f in flat {
                flatten(f, &mut leaves, &mut between);
            }
            between.extend(held.into_iter().map(|h| h.1));
            if leaves.len() > 1 {
                return self.join_leaves(leaves, between);
            }
            return leaves.into_iter().next().unwrap_or(Rel::Values { rows: vec![vec![]], columns: vec![] }).filter(between);
        }
        let (mut later, between): (Vec<_>, Vec<_>) = between.into_iter().partition(|c| walk::is_volatile(c) || walk::has_subquery(c));
        if held.is_empty() {
            return join_order::order(flat, between, self.statistics, self.fixed_join_order).filter(later);
        }
        let joined = join_order::order(flat.clone(), between.clone(), self.statistics, self.fixed_join_order);
        let rows = estimate(&joined, self.statistics);
        let (above, below): (Vec<_>, Vec<_>) = held.into_iter().partition(|(i, _)| rows <= estimate(&flat[*i], self.statistics));
        later.extend(above.into_iter().map(|h| h.1));
        if below.is_empty() {
            return joined.filter(later);
        }
        for (i, c) in below {
            let leaf = std::mem::replace(&mut flat[i], Rel::Values { rows: vec![], columns: vec![] });
            flat[i] = leaf.filter(vec![c]);
        }
        join_order::order(flat, between, self.statistics, self.fixed_join_order).filter(later)
    }
}

/// Holds a subquery that reads the row.
fn runs_for_each_row(c: &Expr) -> bool {
    walk::any(c, &|n| matches!(n, Expr::Subquery { outer, .. } if !outer.is_empty()))
}

fn right_makes(right: &Rel, id: ColumnId) -> bool {
    right.output().contains(&id)
}

/// Reads something of `ids` and nothing else that the join makes: outer columns may be there too.
fn only(c: &Expr, ids: &BTreeSet<ColumnId>) -> bool {
    let used = walk::columns(c);
    !used.is_empty() && used.is_subset(ids)
}

fn is_inner_join(rel: &Rel) -> bool {
    match rel {
        Rel::Join { kind: JoinKind::Inner | JoinKind::Cross, lateral: false, .. } => true,
        Rel::Filter { input, .. } => is_inner_join(input),
        _ => false,
    }
}

/// The inputs of a tree of inner joins, and all its conditions.
fn flatten(rel: Rel, leaves: &mut Vec<Rel>, conditions: &mut Vec<Expr>) {
    match rel {
        Rel::Join { kind: JoinKind::Inner | JoinKind::Cross, left, right, on, lateral: false } => {
            conditions.extend(on.map(split).unwrap_or_default());
            flatten(*left, leaves, conditions);
            flatten(*right, leaves, conditions);
        }
        Rel::Filter { input, predicate } if is_inner_join(&input) => {
            conditions.extend(split(predicate));
            flatten(*input, leaves, conditions);
        }
        other => leaves.push(other),
    }
}
