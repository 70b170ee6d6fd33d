//! Derived tables and views that only choose columns are merged into the query around them.
//!
//! Owns:     nothing.
//! Promises: after it a join sees the tables themselves, so that they can be ordered together and found by index.
//! Never:    merges where the number or order of the columns counts (set operations, DISTINCT, the output itself).

use super::Rewriter;
use crate::query::Rel;
use crate::walk;
use std::collections::BTreeMap;
use weald_expr::{AggregateFunction, Expr, Operator};
use weald_types::{ColumnId, TypeKind};

impl Rewriter<'_> {
    pub fn merge_derived(&mut self, root: &mut Rel) {
        let mut renamed: BTreeMap<ColumnId, Expr> = BTreeMap::new();
        merge(root, true, &mut renamed);
        for s in &mut self.subqueries {
            merge(s, true, &mut renamed);
        }
        if renamed.is_empty() {
            return;
        }
        // A merged table may itself have read a merged table.
        let mut put = |e: &mut Expr| {
            let Expr::Column { id, ty } = e else { return false };
            let mut found = None;
            let mut at = *id;
            while let Some(below) = renamed.get(&at) {
                found = Some(below);
                match below {
                    Expr::Column { id, .. } => at = *id,
                    _ => break,
                }
            }
            if let Some(Expr::Column { id: new, .. }) = found {
                let nullable = ty.nullable;
                *id = *new;
                ty.nullable = nullable;
            }
            true
        };
        root.all_exprs_mut(&mut |e| walk::rewrite(e, &mut put));
        for i in 0..self.subqueries.len() as u32 {
            let mut s = self.take(i);
            s.all_exprs_mut(&mut |e| walk::rewrite(e, &mut put));
            self.put(i, s);
        }
        self.refresh_outer(root);
    }

    /// Says anew what each subquery reads of the queries around it.
    pub fn refresh_outer(&mut self, rel: &mut Rel) {
        walk::rewrite_deep(rel, &mut self.subqueries, &mut |_| false);
    }
}

/// `fixed`: the columns of `rel` are taken by position, or are what comes out.
fn merge(rel: &mut Rel, fixed: bool, renamed: &mut BTreeMap<ColumnId, Expr>) {
    match rel {
        Rel::Filter { input, .. } | Rel::Sort { input, .. } | Rel::Limit { input, .. } | Rel::Lock { input, .. } => merge(input, fixed, renamed),
        Rel::Distinct { input } => merge(input, true, renamed),
        Rel::SetOp { left, right, .. } => {
            merge(left, true, renamed);
            merge(right, true, renamed);
        }
        Rel::Recursive { seed, step, .. } => {
            merge(seed, true, renamed);
            merge(step, true, renamed);
        }
        Rel::Project { input, .. } => merge(input, false, renamed),
        Rel::Aggregate { input, .. } => merge(input, false, renamed),
        Rel::Window { input, .. } => merge(input, fixed, renamed),
        Rel::Join { left, right, .. } => {
            merge(left, fixed, renamed);
            merge(right, fixed, renamed);
        }
        Rel::Scan { .. } | Rel::Virtual { .. } | Rel::JsonTable { .. } | Rel::Values { .. } | Rel::RecursionInput { .. } => (),
    }
    if fixed {
        return;
    }
    if let Rel::Project { input, exprs, columns } = rel {
        // An ENUM or a TIMESTAMP changes its form on the way through, a mean is rounded: that cannot be left out.
        let plain = exprs
            .iter()
            .all(|e| matches!(e, Expr::Column { id, ty } if crate::bind::evaluated(ty).kind == ty.kind && !has_more_decimals(input, *id)));
        if !plain {
            return;
        }
        for (e, c) in exprs.iter().zip(columns.iter()) {
            renamed.insert(c.id, e.clone());
        }
        Rel::replace(rel, |r| match r {
            Rel::Project { input, .. } => *input,
            other => other,
        });
    }
}

/// Whether a column is an aggregate whose value has more decimals than its type: a mean, or something made of quotients.
fn has_more_decimals(rel: &Rel, id: ColumnId) -> bool {
    match rel {
        Rel::Aggregate { aggregates, .. } => {
            let quotient = |e: &Expr| walk::any(e, &|n| matches!(n, Expr::Operator { op: Operator::Divide, .. }));
            aggregates.iter().any(|(a, c)| {
                c.id == id && matches!(a.ty.kind, TypeKind::Decimal { .. }) && (a.function == AggregateFunction::Avg || a.args.iter().any(quotient))
            })
        }
        Rel::Filter { input, .. } | Rel::Sort { input, .. } | Rel::Limit { input, .. } | Rel::Lock { input, .. } | Rel::Window { input, .. } => {
            has_more_decimals(input, id)
        }
        Rel::Scan { .. }
        | Rel::Virtual { .. }
        | Rel::JsonTable { .. }
        | Rel::Values { .. }
        | Rel::Project { .. }
        | Rel::Join { .. }
        | Rel::Distinct { .. }
        | Rel::SetOp { .. }
        | Rel::Recursive { .. }
        | Rel::RecursionInput { .. } => false,
    }
}
