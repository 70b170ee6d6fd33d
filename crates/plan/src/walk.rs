//! Walking and rewriting trees of expressions and relations.
//!
//! Owns:     nothing.
//! Promises: the only place that knows which node has which children; everything else goes through here.
//! Never:    changes meaning: what is put in place of a node is its caller's business.

use crate::query::{Aggregate, Bound, Rel, SortKey, WindowFunction};
use std::collections::BTreeSet;
use weald_expr::function::Volatility;
use weald_expr::{Expr, Operator};
use weald_types::{Collation, ColumnId, SqlType, Value};

/// Calls `f` on each operand.
pub fn children<'e>(e: &'e Expr, f: &mut dyn FnMut(&'e Expr)) {
    match e {
        Expr::Literal { .. } | Expr::Param { .. } | Expr::Column { .. } | Expr::ColumnRaw { .. } | Expr::UserVariable { .. } => (),
        Expr::AssignUserVariable { value, .. } => f(value),
        Expr::Operator { args, .. } | Expr::Call { args, .. } | Expr::Row(args) => args.iter().for_each(f),
        Expr::Case { operand, branches, otherwise, .. } => {
            if let Some(o) = operand {
                f(o);
            }
            for (when, then) in branches {
                f(when);
                f(then);
            }
            if let Some(o) = otherwise {
                f(o);
            }
        }
        Expr::Cast { expr, .. } | Expr::InSorted { expr, .. } => f(expr),
        Expr::In { expr, list, .. } => {
            f(expr);
            list.iter().for_each(f);
        }
        Expr::Subquery { operands, .. } => operands.iter().for_each(f),
    }
}

pub fn children_mut(e: &mut Expr, f: &mut dyn FnMut(&mut Expr)) {
    match e {
        Expr::Literal { .. } | Expr::Param { .. } | Expr::Column { .. } | Expr::ColumnRaw { .. } | Expr::UserVariable { .. } => (),
        Expr::AssignUserVariable { value, .. } => f(value),
        Expr::Operator { args, .. } | Expr::Call { args, .. } | Expr::Row(args) => args.iter_mut().for_each(f),
        Expr::Case { operand, branches, otherwise, .. } => {
            if let Some(o) = operand {
                f(o);
            }
            for (when, then) in branches {
                f(when);
                f(then);
            }
            if let Some(o) = otherwise {
                f(o);
            }
        }
        Expr::Cast { expr, .. } | Expr::InSorted { expr, .. } => f(expr),
        Expr::In { expr, list, .. } => {
            f(expr);
            list.iter_mut().for_each(f);
        }
        Expr::Subquery { operands, .. } => operands.iter_mut().for_each(f),
    }
}

/// Every node of `e`, itself first. Does not enter subqueries, but their operands.
pub fn walk<'e>(e: &'e Expr, f: &mut dyn FnMut(&'e Expr)) {
    f(e);
    children(e, &mut |c| walk(c, f));
}

/// Rewrites `e` from the top: where `f` says true the node is done with, otherwise its operands are visited.
pub fn rewrite(e: &mut Expr, f: &mut dyn FnMut(&mut Expr) -> bool) {
    if !f(e) {
        children_mut(e, &mut |c| rewrite(c, f));
    }
}

/// Whether any node of `e` satisfies `f`.
pub fn any(e: &Expr, f: &dyn Fn(&Expr) -> bool) -> bool {
    if f(e) {
        return true;
    }
    let mut found = false;
    children(e, &mut |c| found = found || any(c, f));
    found
}

/// Columns that `e` reads, a subquery's outer columns included.
pub fn columns_of(e: &Expr, out: &mut BTreeSet<ColumnId>) {
    walk(e, &mut |n| match n {
        Expr::Column { id, .. } | Expr::ColumnRaw { id, .. } => {
            out.insert(*id);
        }
        Expr::Subquery { outer, .. } => out.extend(outer.iter().copied()),
        _ => (),
    });
}

pub fn columns(e: &Expr) -> BTreeSet<ColumnId> {
    let mut out = BTreeSet::new();
    columns_of(e, &mut out);
    out
}

pub fn has_subquery(e: &Expr) -> bool {
    any(e, &|n| matches!(n, Expr::Subquery { .. }))
}

/// Whether each evaluation may give something else, or does something: such an expression is neither moved nor doubled.
pub fn is_volatile(e: &Expr) -> bool {
    any(e, &|n| match n {
        Expr::UserVariable { .. } | Expr::AssignUserVariable { .. } => true,
        Expr::Call { function, .. } => function.volatility == Volatility::Volatile,
        _ => false,
    })
}

/// No column, no subquery, nothing volatile: one value for a whole execution (params and NOW() included).
pub fn is_constant(e: &Expr) -> bool {
    !is_volatile(e) && !any(e, &|n| matches!(n, Expr::Column { .. } | Expr::ColumnRaw { .. } | Expr::Subquery { .. }))
}

/// One value for ever: it may be computed when the plan is made.
pub fn is_immutable(e: &Expr) -> bool {
    !any(e, &|n| match n {
        Expr::Literal { .. } | Expr::Operator { .. } | Expr::Case { .. } | Expr::Cast { .. } | Expr::In { .. } => false,
        Expr::Call { function, .. } => function.volatility != Volatility::Immutable,
        _ => true,
    })
}

/// `a AND b AND …`, taken apart.
pub fn conjuncts(e: Expr) -> Vec<Expr> {
    let mut out = Vec::new();
    let mut rest = vec![e];
    while let Some(e) = rest.pop() {
        match e {
            Expr::Operator { op: Operator::And, args, .. } => rest.extend(args.into_iter().rev()),
            e => out.push(e),
        }
    }
    out
}

/// The alternatives of `a OR b OR …`.
pub fn disjuncts(e: Expr) -> Vec<Expr> {
    let mut out = Vec::new();
    let mut rest = vec![e];
    while let Some(e) = rest.pop() {
        match e {
            Expr::Operator { op: Operator::Or, args, .. } => rest.extend(args.into_iter().rev()),
            e => out.push(e),
        }
    }
    out
}

/// The conjunction of `list`; None of nothing. Balanced, so that a thousand conditions do not make a thousand levels.
pub fn all_of(list: Vec<Expr>) -> Option<Expr> {
    combine(list, Operator::And)
}
pub fn any_of(list: Vec<Expr>) -> Option<Expr> {
    combine(list, Operator::Or)
}

fn combine(mut list: Vec<Expr>, op: Operator) -> Option<Expr> {
    while list.len() > 1 {
        let mut next = Vec::with_capacity(list.len().div_ceil(2));
        let mut items = list.into_iter();
        while let Some(a) = items.next() {
            match items.next() {
                Some(b) => {
                    let nullable = is_nullable(&a) || is_nullable(&b);
                    next.push(Expr::Operator { op, args: vec![a, b], ty: SqlType::bigint(nullable), collation: Collation::BINARY });
                }
                None => next.push(a),
            }
        }
        list = next;
    }
    list.pop()
}

/// Whether `e` may be NULL, by its type.
pub fn is_nullable(e: &Expr) -> bool {
    match e {
        Expr::In { expr, list, .. } => is_nullable(expr) || list.iter().any(is_nullable),
        Expr::Row(items) => items.iter().any(is_nullable),
        e => e.ty().nullable,
    }
}

pub fn truth(b: bool) -> Expr {
    Expr::Literal { value: if b { Value::TRUE } else { Value::FALSE }, ty: SqlType::bigint(false) }
}

impl SortKey {
    pub fn ascending(expr: Expr) -> Self {
        Self { expr, descending: false }
    }
}

fn aggregate_exprs<'e>(a: &'e Aggregate, f: &mut dyn FnMut(&'e Expr)) {
    a.args.iter().for_each(&mut *f);
    a.order_by.iter().for_each(|k| f(&k.expr));
}
fn window_exprs<'e>(w: &'e WindowFunction, f: &mut dyn FnMut(&'e Expr)) {
    w.args.iter().for_each(&mut *f);
    w.partition_by.iter().for_each(&mut *f);
    w.order_by.iter().for_each(|k| f(&k.expr));
    for b in [&w.frame.start, &w.frame.end] {
        if let Bound::Preceding(e) | Bound::Following(e) = b {
            f(e);
        }
    }
}
pub fn aggregate_exprs_mut(a: &mut Aggregate, f: &mut dyn FnMut(&mut Expr)) {
    a.args.iter_mut().for_each(&mut *f);
    a.order_by.iter_mut().for_each(|k| f(&mut k.expr));
}
pub fn window_exprs_mut(w: &mut WindowFunction, f: &mut dyn FnMut(&mut Expr)) {
    w.args.iter_mut().for_each(&mut *f);
    w.partition_by.iter_mut().for_each(&mut *f);
    w.order_by.iter_mut().for_each(|k| f(&mut k.expr));
    for b in [&mut w.frame.start, &mut w.frame.end] {
        if let Bound::Preceding(e) | Bound::Following(e) = b {
            f(e);
        }
    }
}

impl Rel {
    pub fn inputs(&self) -> Vec<&Rel> {
        match self {
            Rel::Scan { .. } | Rel::Virtual { .. } | Rel::JsonTable { .. } | Rel::Values { .. } | Rel::RecursionInput { .. } => vec![],
            Rel::Filter { input, .. }
            | Rel::Project { input, .. }
            | Rel::Aggregate { input, .. }
            | Rel::Window { input, .. }
            | Rel::Sort { input, .. }
            | Rel::Limit { input, .. }
            | Rel::Lock { input, .. }
            | Rel::Distinct { input } => vec![input],
            Rel::Join { left, right, .. } | Rel::SetOp { left, right, .. } => vec![left, right],
            Rel::Recursive { seed, step, .. } => vec![seed, step],
        }
    }

    pub fn inputs_mut(&mut self) -> Vec<&mut Rel> {
        match self {
            Rel::Scan { .. } | Rel::Virtual { .. } | Rel::JsonTable { .. } | Rel::Values { .. } | Rel::RecursionInput { .. } => vec![],
            Rel::Filter { input, .. }
            | Rel::Project { input, .. }
            | Rel::Aggregate { input, .. }
            | Rel::Window { input, .. }
            | Rel::Sort { input, .. }
            | Rel::Limit { input, .. }
            | Rel::Lock { input, .. }
            | Rel::Distinct { input } => vec![input],
            Rel::Join { left, right, .. } | Rel::SetOp { left, right, .. } => vec![left, right],
            Rel::Recursive { seed, step, .. } => vec![seed, step],
        }
    }

    /// The expressions of this node itself.
    pub fn exprs<'e>(&'e self, f: &mut dyn FnMut(&'e Expr)) {
        match self {
            Rel::Scan { .. }
            | Rel::Virtual { .. }
            | Rel::RecursionInput { .. }
            | Rel::Distinct { .. }
            | Rel::SetOp { .. }
            | Rel::Recursive { .. } => (),
            Rel::JsonTable { document, .. } => f(document),
            Rel::Values { rows, .. } => rows.iter().flatten().for_each(f),
            Rel::Filter { predicate, .. } => f(predicate),
            Rel::Project { exprs, .. } => exprs.iter().for_each(f),
            Rel::Join { on, .. } => on.iter().for_each(f),
            Rel::Aggregate { group, aggregates, .. } => {
                group.iter().for_each(|g| f(&g.0));
                aggregates.iter().for_each(|a| aggregate_exprs(&a.0, f));
            }
            Rel::Window { functions, .. } => functions.iter().for_each(|w| window_exprs(&w.0, f)),
            Rel::Sort { keys, .. } => keys.iter().for_each(|k| f(&k.expr)),
            Rel::Lock { tables, .. } => tables.iter().for_each(|t| f(&t.locator)),
            Rel::Limit { count, offset, .. } => count.iter().chain(offset).for_each(f),
        }
    }

    pub fn exprs_mut(&mut self, f: &mut dyn FnMut(&mut Expr)) {
        match self {
            Rel::Scan { .. }
            | Rel::Virtual { .. }
            | Rel::RecursionInput { .. }
            | Rel::Distinct { .. }
            | Rel::SetOp { .. }
            | Rel::Recursive { .. } => (),
            Rel::JsonTable { document, .. } => f(document),
            Rel::Values { rows, .. } => rows.iter_mut().flatten().for_each(f),
            Rel::Filter { predicate, .. } => f(predicate),
            Rel::Project { exprs, .. } => exprs.iter_mut().for_each(f),
            Rel::Join { on, .. } => on.iter_mut().for_each(f),
            Rel::Aggregate { group, aggregates, .. } => {
                group.iter_mut().for_each(|g| f(&mut g.0));
                aggregates.iter_mut().for_each(|a| aggregate_exprs_mut(&mut a.0, f));
            }
            Rel::Window { functions, .. } => functions.iter_mut().for_each(|w| window_exprs_mut(&mut w.0, f)),
            Rel::Sort { keys, .. } => keys.iter_mut().for_each(|k| f(&mut k.expr)),
            Rel::Lock { tables, .. } => tables.iter_mut().for_each(|t| f(&mut t.locator)),
            Rel::Limit { count, offset, .. } => count.iter_mut().chain(offset).for_each(f),
        }
    }

    /// Every expression of the whole tree.
    pub fn all_exprs<'e>(&'e self, f: &mut dyn FnMut(&'e Expr)) {
        self.exprs(f);
        for i in self.inputs() {
            i.all_exprs(f);
        }
    }

    pub fn all_exprs_mut(&mut self, f: &mut dyn FnMut(&mut Expr)) {
        self.exprs_mut(f);
        for i in self.inputs_mut() {
            i.all_exprs_mut(f);
        }
    }

    /// Columns made anywhere in the tree.
    pub fn made(&self, out: &mut BTreeSet<ColumnId>) {
        match self {
            Rel::Scan { columns, .. }
            | Rel::Virtual { columns, .. }
            | Rel::JsonTable { columns, .. }
            | Rel::Values { columns, .. }
            | Rel::Project { columns, .. }
            | Rel::SetOp { columns, .. }
            | Rel::Recursive { columns, .. }
            | Rel::RecursionInput { columns, .. } => out.extend(columns.iter().map(|c| c.id)),
            Rel::Aggregate { group, aggregates, grouping, .. } => {
                out.extend(group.iter().map(|g| g.1.id).chain(aggregates.iter().map(|a| a.1.id)).chain(grouping.iter().map(|g| g.id)));
            }
            Rel::Window { functions, .. } => out.extend(functions.iter().map(|f| f.1.id)),
            Rel::Filter { .. } | Rel::Join { .. } | Rel::Sort { .. } | Rel::Limit { .. } | Rel::Distinct { .. } | Rel::Lock { .. } => (),
        }
        for i in self.inputs() {
            i.made(out);
        }
    }

    /// Columns read in the tree (through subqueries' `outer` too) but made outside it: what it is correlated by.
    pub fn free(&self) -> BTreeSet<ColumnId> {
        let mut read = BTreeSet::new();
        self.all_exprs(&mut |e| columns_of(e, &mut read));
        let mut made = BTreeSet::new();
        self.made(&mut made);
        read.retain(|c| !made.contains(c));
        read
    }

    /// The ids of the output columns.
    pub fn output(&self) -> BTreeSet<ColumnId> {
        self.columns().iter().map(|c| c.id).collect()
    }

    pub fn filter(self, predicates: Vec<Expr>) -> Rel {
        match all_of(predicates) {
            Some(predicate) => Rel::Filter { input: Box::new(self), predicate },
            None => self,
        }
    }

    /// Puts `f(node)` in the place of a boxed node without cloning it.
    pub fn replace(slot: &mut Rel, f: impl FnOnce(Rel) -> Rel) {
        let taken = std::mem::replace(slot, Rel::Values { rows: vec![], columns: vec![] });
        *slot = f(taken);
    }
}

/// Applies `f` to every expression of `rel` and of the subqueries that its expressions (and theirs) use. `f` is as in [`rewrite`].
/// Afterwards every `outer` list says again what its subquery reads.
pub fn rewrite_deep(rel: &mut Rel, subqueries: &mut [Rel], f: &mut dyn FnMut(&mut Expr) -> bool) {
    rel.all_exprs_mut(&mut |e| rewrite_deep_expr(e, subqueries, f));
}

pub fn rewrite_deep_expr(e: &mut Expr, subqueries: &mut [Rel], f: &mut dyn FnMut(&mut Expr) -> bool) {
    if f(e) {
        return;
    }
    children_mut(e, &mut |c| rewrite_deep_expr(c, subqueries, f));
    if let Expr::Subquery { index, outer, .. } = e {
        let slot = *index as usize;
        let mut inner = std::mem::replace(&mut subqueries[slot], Rel::Values { rows: vec![], columns: vec![] });
        rewrite_deep(&mut inner, subqueries, f);
        *outer = inner.free().into_iter().collect();
        subqueries[slot] = inner;
    }
}
