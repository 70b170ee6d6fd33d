//! Rewrites of a bound query that keep its answer and make it fast.
//!
//! Owns:     nothing.
//! Promises: pure; the same query and the same estimates give the same plan. In order: derived tables merged, conditions factored and folded, subqueries turned
//!           into joins, conditions moved down, joins ordered, columns nobody reads dropped.
//! Never:    changes an answer, not even where NULLs, duplicates or volatile functions are concerned; in doubt a rewrite does not happen.

mod estimate;
mod fold;
mod implied;
mod join_order;
mod merge;
mod null_reject;
mod predicate;
mod prune;
mod push;
mod unnest;

pub use estimate::estimate;

use crate::names::Statistics;
use crate::query::{Column, Query, Rel};
use crate::walk;
use std::collections::BTreeSet;
use weald_expr::Expr;
use weald_expr::function::BindContext;
use weald_types::{ColumnId, SqlType};

/// Makes `query` fast.
pub fn optimize(query: &mut Query, session: &BindContext, statistics: &dyn Statistics) {
    let mut made = BTreeSet::new();
    query.root.made(&mut made);
    for s in &query.subqueries {
        s.made(&mut made);
    }
    let mut r = Rewriter {
        subqueries: std::mem::take(&mut query.subqueries),
        next_column: made.last().map_or(0, |c| c.raw() + 1),
        session: *session,
        statistics,
        fixed_join_order: query.fixed_join_order,
        order_subqueries: true,
        joins_only: query.joins_only,
        unnested: BTreeSet::new(),
    };
    let mut root = std::mem::replace(&mut query.root, Rel::Values { rows: vec![], columns: vec![] });
    r.merge_derived(&mut root);
    root = r.simplify(root);
    root = r.unnest(root);
    root = r.push_down(root);
    root = r.prune_root(root);
    r.compact(&mut root);
    query.root = root;
    query.subqueries = r.subqueries;
}

/// A condition as a list of conjuncts, simplified: for statements that have no relation around it.
pub fn conditions(mut predicate: Expr, session: &BindContext) -> Vec<Expr> {
    fold::fold_condition(&mut predicate, session);
    predicate::split(predicate)
}

/// What rewrites share.
pub(crate) struct Rewriter<'a> {
    pub subqueries: Vec<Rel>,
    next_column: u32,
    pub session: BindContext,
    pub statistics: &'a dyn Statistics,
    pub fixed_join_order: bool,
    order_subqueries: bool,
    joins_only: bool,
    /// Subqueries whose own subqueries have been turned into joins where they can be.
    unnested: BTreeSet<u32>,
}

impl Rewriter<'_> {
    pub fn new_column(&mut self, ty: SqlType) -> Column {
        self.next_column += 1;
        Column { id: ColumnId::new(self.next_column - 1), ty, name: "".into(), origin: None }
    }

    /// Takes subquery `index` out to be rewritten; it is put back with [`Rewriter::put`].
    pub fn take(&mut self, index: u32) -> Rel {
        std::mem::replace(&mut self.subqueries[index as usize], Rel::Values { rows: vec![], columns: vec![] })
    }

    pub fn put(&mut self, index: u32, rel: Rel) {
        self.subqueries[index as usize] = rel;
    }

    /// The subqueries that the expressions of `rel` use themselves (not those within subqueries).
    pub fn used(rel: &Rel) -> Vec<u32> {
        let mut out = Vec::new();
        rel.all_exprs(&mut |e| {
            walk::walk(e, &mut |n| {
                if let Expr::Subquery { index, .. } = n {
                    out.push(*index);
                }
            });
        });
        out
    }

    /// Conditions to their simplest form, in the whole query.
    fn simplify(&mut self, mut rel: Rel) -> Rel {
        debug_assert!(self.order_subqueries);
        for i in 0..self.subqueries.len() as u32 {
            let mut s = self.take(i);
            fold::fold_rel(&mut s, &self.session);
            self.put(i, s);
        }
        fold::fold_rel(&mut rel, &self.session);
        rel
    }

    /// Drops subqueries that nothing uses any more and numbers the rest anew.
    fn compact(&mut self, root: &mut Rel) {
        let mut order: Vec<u32> = Vec::new();
        let mut todo = Self::used(root);
        todo.reverse();
        while let Some(i) = todo.pop() {
            if order.contains(&i) {
                continue;
            }
            order.push(i);
            todo.extend(Self::used(&self.subqueries[i as usize]).into_iter().rev());
        }
        let renumber = |e: &mut Expr| {
            walk::rewrite(e, &mut |n| {
                if let Expr::Subquery { index, .. } = n {
                    *index = order.iter().position(|o| o == index).expect("every subquery in use was found") as u32;
                }
                false
            });
        };
        root.all_exprs_mut(&mut |e| renumber(e));
        let mut kept = Vec::with_capacity(order.len());
        for i in &order {
            let mut s = self.take(*i);
            s.all_exprs_mut(&mut |e| renumber(e));
            kept.push(s);
        }
        self.subqueries = kept;
    }
}
