//! Subqueries turned into joins.
//!
//! Owns:     nothing.
//! Promises: EXISTS and IN in a filter become semi and anti joins, correlated aggregates a left join with groups, wherever NULLs and duplicates come out the
//!           same; what does not fit stays a subquery that is run for each row (or once, if nothing correlates it).
//! See:      Kim 1982 and Dayal 1987 for the shapes; the COUNT bug is avoided by giving an empty group the aggregate's value of no rows.
//! Never:    changes which rows a query gives.

use super::predicate::split;
use super::{Rewriter, estimate};
use crate::query::{Aggregate, Column, JoinKind, Rel};
use crate::walk;
use std::collections::BTreeSet;
use weald_expr::{AggregateFunction, Expr, Operator, SubqueryKind};
use weald_types::{Collation, ColumnId, SqlType, Value};

type Ids = BTreeSet<ColumnId>;

/// So many rows are grouped in the time of one look-up.
const LOOKUP_ROWS: f64 = 1000.0;

impl Rewriter<'_> {
    /// Rewrites `rel` and every subquery that stays one.
    pub fn unnest(&mut self, rel: Rel) -> Rel {
        let out = self.unnest_rel(rel);
        self.unnest_used(&out);
        out
    }

    fn unnest_used(&mut self, rel: &Rel) {
        for i in Self::used(rel) {
            self.unnest_subquery(i);
            let s = self.take(i);
            self.unnest_used(&s);
            self.put(i, s);
        }
    }

    /// Innermost first: what has become a join inside a subquery does not keep the subquery itself from becoming one.
    fn unnest_subquery(&mut self, index: u32) {
        if self.unnested.insert(index) {
            let s = self.take(index);
            let s = self.unnest_rel(s);
            self.put(index, s);
        }
    }

    fn unnested(&mut self, index: u32) -> Rel {
        self.unnest_subquery(index);
        self.subqueries[index as usize].clone()
    }

    fn unnest_rel(&mut self, mut rel: Rel) -> Rel {
        for i in rel.inputs_mut() {
            let taken = std::mem::replace(i, Rel::Values { rows: vec![], columns: vec![] });
            *i = self.unnest_rel(taken);
        }
        match rel {
            Rel::Filter { input, predicate } => {
                let mut input = *input;
                let mut rest = Vec::new();
                for c in split(predicate) {
                    match self.unnest_condition(c, input) {
                        (joined, None) => input = joined,
                        (joined, Some(left)) => {
                            input = joined;
                            rest.push(left);
                        }
                    }
                }
                input.filter(rest)
            }
            Rel::Project { input, mut exprs, columns } => {
                let mut input = *input;
                for e in &mut exprs {
                    input = self.unnest_scalars(e, input);
                }
                Rel::Project { input: Box::new(input), exprs, columns }
            }
            other => other,
        }
    }

    /// One conjunct of a filter over `input`: the input joined with what it asks for, and what remains to be asked.
    fn unnest_condition(&mut self, c: Expr, input: Rel) -> (Rel, Option<Expr>) {
        match &c {
            Expr::Subquery { index, kind: SubqueryKind::Exists { negated }, .. } => {
                let (index, negated) = (*index, *negated);
                let sub = self.unnested(index);
                match self.exists(sub, &input) {
                    Some(Exists::Always) => (input, Some(walk::truth(!negated))),
                    Some(Exists::Join(right, on)) => {
                        let kind = if negated { JoinKind::Anti } else { JoinKind::Semi };
                        (join(kind, input, right, on), None)
                    }
                    None => (input, Some(c)),
                }
            }
            Expr::Subquery { index, kind: SubqueryKind::In { negated, collation }, operands, .. } => {
                match self.in_query(*index, *negated, *collation, operands, &input) {
                    Some(In::Join(kind, right, on)) => (join(kind, input, right, on), None),
                    Some(In::Lookup(right, on)) => {
                        let rel =
                            Rel::Join { kind: JoinKind::Inner, left: Box::new(right), right: Box::new(input), on: walk::all_of(on), lateral: false };
                        (rel, None)
                    }
                    None => (input, Some(c)),
                }
            }
            _ => {
                let mut c = c;
                let input = self.unnest_scalars(&mut c, input);
                (input, Some(c))
            }
        }
    }

    // ------------------------------------------------------------------ EXISTS

    fn exists(&mut self, sub: Rel, input: &Rel) -> Option<Exists> {
        let local: Ids = sub.free().intersection(&input.output()).copied().collect();
        // Asked once, it costs one look: no join is needed.
        if local.is_empty() {
            return None;
        }
        let core = strip_for_exists(sub);
        if let Rel::Aggregate { group, .. } = &core {
            // Without groups there is always one row.
            if group.is_empty() {
                return Some(Exists::Always);
            }
        }
        let core = match core {
            // A group exists where a row does.
            Rel::Aggregate { input, rollup: false, .. } => *input,
            other => other,
        };
        let (core, on) = self.pull(core, &local, true)?;
        if on.iter().any(walk::has_subquery) {
            return None;
        }
        Some(Exists::Join(core, on))
    }

    // ------------------------------------------------------------------ IN

    fn in_query(&mut self, index: u32, negated: bool, collation: Collation, operands: &[Expr], input: &Rel) -> Option<In> {
        if operands.iter().any(|o| walk::has_subquery(o) || walk::is_volatile(o)) {
            return None;
        }
        let sub = self.unnested(index);
        let local: Ids = sub.free().intersection(&input.output()).copied().collect();
        let sub = strip_order(sub);
        let own = sub.columns();
        let nullable = operands.iter().any(walk::is_nullable) || own.iter().any(|c| c.ty.nullable);
        let correlated = !local.is_empty();
        if negated && nullable && (correlated || operands.len() != 1) {
            return None;
        }
        let (core, mut on) = if correlated { self.pull(strip_distinct(sub), &local, true)? } else { (strip_distinct(sub), vec![]) };
        if on.iter().any(walk::has_subquery) {
            return None;
        }
        for (o, c) in operands.iter().zip(&own) {
            let column = Expr::Column { id: c.id, ty: c.ty.clone() };
            let nullable = walk::is_nullable(o) || c.ty.nullable;
            // The collation belongs to the text operand, if several are compared; equality of others ignores it.
            let ty = SqlType::bigint(nullable);
            on.push(Expr::Operator {
                op: Operator::Eq,
                args: vec![o.clone(), column],
                ty,
                collation: if c.ty.kind.is_text() || operands.len() == 1 { collation } else { Collation::BINARY },
            });
        }
        if negated {
            return Some(In::Join(if nullable { JoinKind::NullAwareAnti } else { JoinKind::Anti }, core, on));
        }
        // A short list of keys is better looked up than a long table is read through.
        if !correlated && self.is_worth_looking_up(&core, input, operands) && own.iter().all(|c| groups_as_equal(&c.ty, collation)) {
            return Some(In::Lookup(Rel::Distinct { input: Box::new(core) }, on));
        }
        Some(In::Join(JoinKind::Semi, core, on))
    }

    fn is_worth_looking_up(&self, core: &Rel, input: &Rel, operands: &[Expr]) -> bool {
        let keys: Ids = operands.iter().flat_map(walk::columns).collect();
        let bare = operands.iter().all(|o| matches!(o, Expr::Column { .. }));
        bare && leads_an_index(input, &keys) && estimate(core, self.statistics) * 10.0 < estimate(input, self.statistics)
    }

    // ------------------------------------------------------------------ scalar subqueries

    /// Joins `input` with the correlated scalar subqueries of `e` that can be computed for all rows at once, and puts their columns in their place.
    fn unnest_scalars(&mut self, e: &mut Expr, input: Rel) -> Rel {
        let mut slot = Some(input);
        let this = self;
        walk::rewrite(e, &mut |n| {
            let Expr::Subquery { index, kind: SubqueryKind::Scalar, ty, .. } = n else { return false };
            let (index, ty) = (*index, ty.clone());
            let input = slot.take().expect("put back below");
            match this.scalar(index, &input) {
                Some((right, on, value)) => {
                    slot =
                        Some(Rel::Join { kind: JoinKind::Left, left: Box::new(input), right: Box::new(right), on: walk::all_of(on), lateral: false });
                    *n = value;
                    let _ = ty;
                }
                None => slot = Some(input),
            }
            true
        });
        slot.expect("put back above")
    }

    fn scalar(&mut self, index: u32, input: &Rel) -> Option<(Rel, Vec<Expr>, Expr)> {
        let sub = self.unnested(index);
        let local: Ids = sub.free().intersection(&input.output()).copied().collect();
        if local.is_empty() {
            return None;
        }
        // A subquery asked for a few rows, each time answered by an index, is better left alone than computed for a whole table.
        let rows = estimate(input, self.statistics);
        let (sub, value) = peel_projects(sub)?;
        if walk::is_volatile(&value) || walk::has_subquery(&value) {
            return None;
        }
        match sub {
            Rel::Aggregate { input: below, group, aggregates, rollup: false, .. } if group.is_empty() => {
                if self.is_cheap_alone(&below, &local, rows) {
                    return None;
                }
                self.scalar_aggregate(*below, aggregates, value, &local)
            }
            core => {
                if self.is_cheap_alone(&core, &local, rows) {
                    return None;
                }
                self.scalar_by_key(core, value, &local)
            }
        }
    }

    fn is_cheap_alone(&self, below: &Rel, local: &Ids, rows: f64) -> bool {
        if self.joins_only {
            return false;
        }
        let inner = below.output();
        let keys: Ids = correlated_equals(below, local).into_iter().flat_map(|e| walk::columns(&e)).filter(|c| inner.contains(c)).collect();
        leads_an_index(below, &keys) && rows * LOOKUP_ROWS < super::estimate::base_rows(below, self.statistics)
    }

    /// `(SELECT f(agg(x)) FROM … WHERE inner = outer)`: one group for each value of `inner`.
    fn scalar_aggregate(
        &mut self,
        below: Rel,
        mut aggregates: Vec<(Aggregate, Column)>,
        mut value: Expr,
        local: &Ids,
    ) -> Option<(Rel, Vec<Expr>, Expr)> {
        if aggregates.iter().any(|a| a.0.args.iter().any(|e| walk::columns(e).iter().any(|c| local.contains(c)))) {
            return None;
        }
        let (core, pulled) = self.pull(below, local, false)?;
        let inner = core.output();
        let mut group = Vec::new();
        let mut on = Vec::new();
        for p in pulled {
            let (i, o, ty, collation) = correlation(&p, &inner, local)?;
            if !groups_as_equal(&crate::bind::value_type(&i), collation) {
                return None;
            }
            let column = self.new_column(crate::bind::value_type(&i));
            let read = Expr::Column { id: column.id, ty: column.ty.clone() };
            on.push(Expr::Operator { op: Operator::Eq, args: vec![o, read], ty, collation });
            group.push((i, column));
        }
        if group.is_empty() {
            return None;
        }
        // Where there is no group the aggregates have their values of no rows: NULL, but for these.
        walk::rewrite(&mut value, &mut |n| {
            let Expr::Column { id, ty } = n else { return false };
            let Some((a, _)) = aggregates.iter().find(|a| a.1.id == *id) else { return true };
            let empty = match a.function {
                AggregateFunction::Count | AggregateFunction::CountDistinct | AggregateFunction::BitOr | AggregateFunction::BitXor => 0,
                AggregateFunction::BitAnd => u64::MAX,
                _ => {
                    ty.nullable = true;
                    return true;
                }
            };
            let value = if ty.kind.is_unsigned() { Value::UInt(empty) } else { Value::Int(empty as i64) };
            let literal = Expr::Literal { value, ty: ty.clone() };
            let column = Expr::Column { id: *id, ty: ty.clone().with_nullable(true) };
            let missing =
                Expr::Operator { op: Operator::IsNull, args: vec![column.clone()], ty: SqlType::bigint(false), collation: Collation::BINARY };
            *n = Expr::Case { operand: None, branches: vec![(missing, literal)], otherwise: Some(Box::new(column)), ty: ty.clone() };
            true
        });
        // The same aggregates may be asked for in a second copy of the subquery: ids stay unique because this one is gone.
        for a in &mut aggregates {
            a.1.ty.nullable |= false;
        }
        let right = Rel::Aggregate { input: Box::new(core), group, aggregates, rollup: false, grouping: None };
        Some((right, on, value))
    }

    /// `(SELECT f(x) FROM t WHERE t.key = outer)`: at most one row, because it is a key.
    fn scalar_by_key(&mut self, core: Rel, value: Expr, local: &Ids) -> Option<(Rel, Vec<Expr>, Expr)> {
        if walk::columns(&value).iter().any(|c| local.contains(c)) {
            return None;
        }
        if !matches!(strip_filters(&core), Rel::Scan { .. }) {
            return None;
        }
        let (core, mut on) = self.pull(core, local, false)?;
        let inner = core.output();
        let mut keys = Ids::new();
        for p in &on {
            let Some((Expr::Column { id, ty }, _, _, collation)) = correlation(p, &inner, local) else { continue };
            if groups_as_equal(&ty, collation) {
                keys.insert(id);
            }
        }
        if !super::estimate::is_key(&core, &keys) || on.iter().any(walk::has_subquery) {
            return None;
        }
        // Computed on the right side, so that it is NULL where there is no row.
        let out = self.new_column(crate::bind::value_type(&value).with_nullable(true));
        let mut exprs = vec![value];
        let mut columns = vec![out.clone()];
        for p in &mut on {
            self.pass_up(p, &inner, &mut exprs, &mut columns);
        }
        let right = Rel::Project { input: Box::new(core), exprs, columns };
        Some((right, on, Expr::Column { id: out.id, ty: out.ty }))
    }

    // ------------------------------------------------------------------ pulling correlation up

    /// `rel` without the conditions that read `local`, and those conditions, which read `local` and output columns of the new `rel`.
    /// `sets`: only whether rows exist counts, not how many. None: it cannot be taken apart.
    fn pull(&mut self, rel: Rel, local: &Ids, sets: bool) -> Option<(Rel, Vec<Expr>)> {
        if rel.free().is_disjoint(local) {
            return Some((rel, vec![]));
        }
        match rel {
            Rel::Filter { input, predicate } => {
                let (mine, keep): (Vec<Expr>, Vec<Expr>) = split(predicate).into_iter().partition(|c| reads(c, local));
                if mine.iter().any(|c| walk::has_subquery(c) || walk::is_volatile(c)) {
                    return None;
                }
                let (core, mut pulled) = self.pull(*input, local, sets)?;
                pulled.extend(mine);
                Some((core.filter(keep), pulled))
            }
            Rel::Project { input, mut exprs, mut columns } => {
                if exprs.iter().any(|e| reads(e, local)) {
                    return None;
                }
                let (core, mut pulled) = self.pull(*input, local, sets)?;
                let inner = core.output();
                for p in &mut pulled {
                    self.pass_up(p, &inner, &mut exprs, &mut columns);
                }
                Some((Rel::Project { input: Box::new(core), exprs, columns }, pulled))
            }
            Rel::Join { kind: kind @ (JoinKind::Inner | JoinKind::Cross), left, right, on, lateral: false } => {
                let (mine, keep): (Vec<Expr>, Vec<Expr>) = on.map(split).unwrap_or_default().into_iter().partition(|c| reads(c, local));
                if mine.iter().any(|c| walk::has_subquery(c) || walk::is_volatile(c)) {
                    return None;
                }
                let (left, mut pulled) = self.pull(*left, local, sets)?;
                let (right, more) = self.pull(*right, local, sets)?;
                pulled.extend(more);
                pulled.extend(mine);
                Some((Rel::Join { kind, left: Box::new(left), right: Box::new(right), on: walk::all_of(keep), lateral: false }, pulled))
            }
            Rel::Join { kind, left, right, on, lateral: false } => {
                if !right.free().is_disjoint(local) || on.as_ref().is_some_and(|o| reads(o, local)) {
                    return None;
                }
                let (left, pulled) = self.pull(*left, local, sets && !matches!(kind, JoinKind::Left))?;
                Some((Rel::Join { kind, left: Box::new(left), right, on, lateral: false }, pulled))
            }
            Rel::Sort { input, .. } => self.pull(*input, local, sets),
            Rel::Distinct { input } if sets => self.pull(*input, local, true),
            Rel::Aggregate { input, mut group, aggregates, rollup: false, grouping } if !group.is_empty() => {
                let (core, pulled) = self.pull(*input, local, false)?;
                let inner = core.output();
                let mut out = Vec::with_capacity(pulled.len());
                for p in pulled {
                    let (i, o, ty, collation) = correlation(&p, &inner, local)?;
                    if !groups_as_equal(&crate::bind::value_type(&i), collation) {
                        return None;
                    }
                    let column = self.new_column(crate::bind::value_type(&i));
                    out.push(Expr::Operator {
                        op: Operator::Eq,
                        args: vec![o, Expr::Column { id: column.id, ty: column.ty.clone() }],
                        ty,
                        collation,
                    });
                    group.push((i, column));
                }
                if group.iter().any(|g| reads(&g.0, local)) || aggregates.iter().any(|a| a.0.args.iter().any(|e| reads(e, local))) {
                    return None;
                }
                Some((Rel::Aggregate { input: Box::new(core), group, aggregates, rollup: false, grouping }, out))
            }
            Rel::Scan { .. }
            | Rel::Virtual { .. }
            | Rel::JsonTable { .. }
            | Rel::Values { .. }
            | Rel::Join { .. }
            | Rel::Aggregate { .. }
            | Rel::Window { .. }
            | Rel::Limit { .. }
            | Rel::Lock { .. }
            | Rel::Distinct { .. }
            | Rel::SetOp { .. }
            | Rel::Recursive { .. }
            | Rel::RecursionInput { .. } => None,
        }
    }

    /// Makes a projection give what `p` reads of its input, and `p` read it there.
    fn pass_up(&mut self, p: &mut Expr, inner: &Ids, exprs: &mut Vec<Expr>, columns: &mut Vec<Column>) {
        let this = self;
        walk::rewrite(p, &mut |n| {
            let (Expr::Column { id, .. } | Expr::ColumnRaw { id, .. }) = n else { return false };
            if !inner.contains(id) {
                return true;
            }
            let at = exprs.iter().position(|e| e == n).unwrap_or_else(|| {
                let c = this.new_column(crate::bind::value_type(n));
                exprs.push(n.clone());
                columns.push(c);
                exprs.len() - 1
            });
            *n = Expr::Column { id: columns[at].id, ty: columns[at].ty.clone() };
            true
        });
    }
}

enum Exists {
    Always,
    Join(Rel, Vec<Expr>),
}
enum In {
    Join(JoinKind, Rel, Vec<Expr>),
    Lookup(Rel, Vec<Expr>),
}

fn join(kind: JoinKind, left: Rel, right: Rel, on: Vec<Expr>) -> Rel {
    let on = walk::all_of(on).unwrap_or_else(|| walk::truth(true));
    Rel::Join { kind, left: Box::new(left), right: Box::new(right), on: Some(on), lateral: false }
}

fn reads(e: &Expr, ids: &Ids) -> bool {
    walk::columns(e).iter().any(|c| ids.contains(c))
}

/// `inner = outer`, taken apart: the inner side, the outer side, type and collation of the comparison.
fn correlation(p: &Expr, inner: &Ids, local: &Ids) -> Option<(Expr, Expr, SqlType, Collation)> {
    let Expr::Operator { op: Operator::Eq, args, ty, collation } = p else { return None };
    let [a, b] = &args[..] else { return None };
    let (ca, cb) = (walk::columns(a), walk::columns(b));
    let is_inner = |c: &Ids| !c.is_empty() && c.iter().all(|i| inner.contains(i));
    let is_outer = |c: &Ids| !c.is_empty() && c.iter().all(|i| local.contains(i) || !inner.contains(i));
    if is_inner(&ca) && is_outer(&cb) {
        return Some((a.clone(), b.clone(), ty.clone(), *collation));
    }
    if is_inner(&cb) && is_outer(&ca) {
        return Some((b.clone(), a.clone(), ty.clone(), *collation));
    }
    None
}

/// The inner sides of equalities with outer columns, anywhere below.
fn correlated_equals(rel: &Rel, local: &Ids) -> Vec<Expr> {
    let mut out = Vec::new();
    rel.all_exprs(&mut |e| {
        for c in walk::conjuncts(e.clone()) {
            let Expr::Operator { op: Operator::Eq, args, .. } = &c else { continue };
            for (a, b) in [(&args[0], &args[1]), (&args[1], &args[0])] {
                if reads(b, local) && matches!(a, Expr::Column { id, .. } if !local.contains(id)) {
                    out.push(a.clone());
                }
            }
        }
    });
    out
}

/// Whether grouping by a value of type `ty` makes the groups that equality under `collation` makes.
fn groups_as_equal(ty: &SqlType, collation: Collation) -> bool {
    !ty.kind.is_text() || ty.collation == collation
}

/// Whether one of `columns` is the first part of an index of a table below.
fn leads_an_index(rel: &Rel, columns: &Ids) -> bool {
    match rel {
        Rel::Scan { table, ordinals, columns: own } => {
            let has = |ordinal: u16| ordinals.iter().position(|o| *o == ordinal).is_some_and(|i| columns.contains(&own[i].id));
            table.indexes.iter().any(|i| i.ready && i.parts.first().is_some_and(|p| has(p.column)))
        }
        Rel::Filter { input, .. } | Rel::Project { input, .. } | Rel::Sort { input, .. } => leads_an_index(input, columns),
        Rel::Join { left, right, .. } => leads_an_index(left, columns) || leads_an_index(right, columns),
        _ => false,
    }
}

fn strip_filters(rel: &Rel) -> &Rel {
    match rel {
        Rel::Filter { input, .. } => strip_filters(input),
        other => other,
    }
}

/// Without what does not matter to whether rows exist.
fn strip_for_exists(rel: Rel) -> Rel {
    match rel {
        Rel::Project { input, .. } | Rel::Sort { input, .. } | Rel::Distinct { input } | Rel::Window { input, .. } => strip_for_exists(*input),
        Rel::Limit { input, count, offset: None } if at_least_one(&count) => strip_for_exists(*input),
        other => other,
    }
}

fn at_least_one(count: &Option<Expr>) -> bool {
    match count {
        None => true,
        Some(Expr::Literal { value: Value::UInt(n), .. }) => *n > 0,
        Some(_) => false,
    }
}

fn strip_order(rel: Rel) -> Rel {
    match rel {
        Rel::Sort { input, .. } => strip_order(*input),
        other => other,
    }
}
fn strip_distinct(rel: Rel) -> Rel {
    match rel {
        Rel::Distinct { input } => strip_distinct(strip_order(*input)),
        other => other,
    }
}

/// The one output of a scalar subquery as an expression over what stands below its projections.
fn peel_projects(rel: Rel) -> Option<(Rel, Expr)> {
    let out = rel.columns().into_iter().next()?;
    let mut value = Expr::Column { id: out.id, ty: out.ty };
    let mut rel = rel;
    loop {
        rel = match rel {
            Rel::Project { input, exprs, columns } => {
                walk::rewrite(&mut value, &mut |n| match n {
                    Expr::Column { id, .. } => match columns.iter().position(|c| c.id == *id) {
                        Some(i) => {
                            *n = exprs[i].clone();
                            true
                        }
                        None => true,
                    },
                    _ => false,
                });
                *input
            }
            Rel::Sort { input, .. } => *input,
            // One row is at most one row.
            Rel::Limit { input, count, offset: None } if at_least_one(&count) && single_row(&input) => *input,
            other => return Some((other, value)),
        };
    }
}

fn single_row(rel: &Rel) -> bool {
    match rel {
        Rel::Aggregate { group, rollup: false, .. } => group.is_empty(),
        Rel::Project { input, .. } | Rel::Sort { input, .. } => single_row(input),
        _ => false,
    }
}
