//! Columns that nobody reads are not made.
//!
//! Owns:     nothing.
//! Promises: scans read the columns the query needs, in the table's order; the output of the whole query stays as it is.
//! Never:    drops an expression that does something (a user variable assigned).

use super::Rewriter;
use crate::query::{JoinKind, Rel, SetOp};
use crate::walk;
use std::collections::{BTreeMap, BTreeSet};
use weald_expr::{Expr, SubqueryKind};
use weald_types::ColumnId;

type Ids = BTreeSet<ColumnId>;

impl Rewriter<'_> {
    pub fn prune_root(&mut self, mut root: Rel) -> Rel {
        let needed = root.output();
        prune(&mut root, &needed);
        self.prune_subqueries(&root);
        root
    }

    fn prune_subqueries(&mut self, rel: &Rel) {
        let mut exists: BTreeMap<u32, bool> = BTreeMap::new();
        rel.all_exprs(&mut |e| {
            walk::walk(e, &mut |n| {
                if let Expr::Subquery { index, kind, .. } = n {
                    let only_exists = matches!(kind, SubqueryKind::Exists { .. });
                    exists.entry(*index).and_modify(|x| *x &= only_exists).or_insert(only_exists);
                }
            });
        });
        for (i, only_exists) in exists {
            let mut s = self.take(i);
            // Of EXISTS only the rows count, where nothing below tells rows apart by their columns.
            let needed = if only_exists { Ids::new() } else { s.output() };
            prune(&mut s, &needed);
            self.prune_subqueries(&s);
            self.put(i, s);
        }
    }
}

fn prune(rel: &mut Rel, needed: &Ids) {
    match rel {
        Rel::Scan { ordinals, columns, .. } => {
            let keep: Vec<bool> = columns.iter().map(|c| needed.contains(&c.id)).collect();
            retain(ordinals, &keep);
            retain(columns, &keep);
        }
        // Values are cheap, and these are read by position.
        Rel::Virtual { .. } | Rel::JsonTable { .. } | Rel::Values { .. } | Rel::RecursionInput { .. } => (),
        Rel::Filter { input, predicate } => {
            let mut below = needed.clone();
            walk::columns_of(predicate, &mut below);
            prune(input, &below);
        }
        Rel::Project { input, exprs, columns } => {
            let keep: Vec<bool> = columns.iter().zip(exprs.iter()).map(|(c, e)| needed.contains(&c.id) || walk::is_volatile(e)).collect();
            retain(exprs, &keep);
            retain(columns, &keep);
            let mut below = Ids::new();
            for e in exprs.iter() {
                walk::columns_of(e, &mut below);
            }
            prune(input, &below);
        }
        Rel::Join { kind, left, right, on, lateral } => {
            let mut below = needed.clone();
            if let Some(on) = on {
                walk::columns_of(on, &mut below);
            }
            if *lateral {
                below.extend(right.free());
            }
            prune(left, &below);
            if *kind == JoinKind::NullAwareAnti {
                below.extend(right.output());
            }
            prune(right, &below);
        }
        Rel::Aggregate { input, group, aggregates, .. } => {
            aggregates.retain(|a| needed.contains(&a.1.id) || a.0.args.iter().any(walk::is_volatile));
            let mut below = Ids::new();
            for g in group.iter() {
                walk::columns_of(&g.0, &mut below);
            }
            for a in aggregates.iter() {
                for e in a.0.args.iter().chain(a.0.order_by.iter().map(|k| &k.expr)) {
                    walk::columns_of(e, &mut below);
                }
            }
            prune(input, &below);
        }
        Rel::Window { input, functions } => {
            functions.retain(|f| needed.contains(&f.1.id));
            let mut below = needed.clone();
            for f in functions.iter_mut() {
                walk::window_exprs_mut(&mut f.0, &mut |e| walk::columns_of(e, &mut below));
            }
            prune(input, &below);
        }
        Rel::Sort { input, keys } => {
            let mut below = needed.clone();
            for k in keys.iter() {
                walk::columns_of(&k.expr, &mut below);
            }
            prune(input, &below);
        }
        Rel::Limit { input, .. } => prune(input, needed),
        Rel::Lock { input, tables } => {
            let mut below = needed.clone();
            for t in tables.iter() {
                walk::columns_of(&t.locator, &mut below);
            }
            prune(input, &below);
        }
        Rel::Distinct { input } => {
            let all = input.output();
            prune(input, &all);
        }
        Rel::SetOp { op, all, left, right, columns } => {
            let every = !(*op == SetOp::Union && *all && droppable(left) && droppable(right));
            let keep: Vec<bool> = columns.iter().map(|c| every || needed.contains(&c.id)).collect();
            let side = |rel: &mut Rel| {
                let wanted: Ids = rel.columns().iter().zip(&keep).filter(|(_, k)| **k).map(|(c, _)| c.id).collect();
                prune(rel, &wanted);
            };
            side(left);
            side(right);
            retain(columns, &keep);
        }
        Rel::Recursive { seed, step, .. } => {
            let all = seed.output();
            prune(seed, &all);
            let all = step.output();
            prune(step, &all);
        }
    }
}

/// Whether asking for fewer of `rel`'s columns gives exactly those, in order.
fn droppable(rel: &Rel) -> bool {
    match rel {
        Rel::Project { exprs, .. } => !exprs.iter().any(walk::is_volatile),
        Rel::SetOp { op: SetOp::Union, all: true, left, right, .. } => droppable(left) && droppable(right),
        _ => false,
    }
}

fn retain<T>(list: &mut Vec<T>, keep: &[bool]) {
    let mut i = 0;
    list.retain(|_| {
        i += 1;
        keep[i - 1]
    });
}
