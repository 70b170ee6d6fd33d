//! A query of one table as a fragment that its partitions run.
//!
//! Owns:     nothing.
//! Promises: the fragment and its gathering give the query's answer; a query that cannot be said so is not taken.
//! Never:    takes a query with subqueries or assignments to user variables.

use crate::access::{Choice, choices, target};
use crate::fragment::{Action, Fragment, FragmentPlan, Gather, Target};
use crate::query::{Aggregate, Column, Locking, Query, ROW_LOCATOR, Rel, SortKey};
use crate::walk;
use std::borrow::Cow;
use weald_catalog::table::TableRef;
use weald_expr::function::BindContext;
use weald_expr::{AggregateFunction, Expr, Operator};
use weald_types::{Collation, ColumnId, SqlType, Value};

/// The whole of an optimized query as one fragment, if it is one.
pub fn fragment(query: &Query, session: &BindContext) -> Option<FragmentPlan> {
    if !query.subqueries.is_empty() || query.calc_found_rows || query.into.is_some() {
        return None;
    }
    let mut assigns = false;
    query.root.all_exprs(&mut |e| assigns |= walk::any(e, &|n| matches!(n, Expr::AssignUserVariable { .. })));
    if assigns {
        return None;
    }
    let shape = Shape::of(&query.root)?;
    let (table, filter) = shape.table_and_filter()?;
    let mut plan = if shape.aggregate.is_some() { shape.grouped(table, filter, session)? } else { shape.plain(table, filter)? };
    plan.columns = query.columns.as_slice().into();
    plan.gather.visible = query.columns.len();
    plan.params = query.params.clone();
    plan.needs = query.needs.clone();
    plan.warnings = query.warnings.clone();
    Some(plan)
}

/// The parts of a query, from the top down.
struct Shape<'q> {
    limit: Option<(&'q Option<Expr>, &'q Option<Expr>)>,
    lock: Option<Locking>,
    sort: &'q [SortKey],
    distinct: bool,
    exprs: Cow<'q, [Expr]>,
    columns: Cow<'q, [Column]>,
    having: Option<&'q Expr>,
    aggregate: Option<(&'q [(Expr, Column)], &'q [(Aggregate, Column)])>,
    rest: &'q Rel,
}

impl<'q> Shape<'q> {
    fn of(root: &'q Rel) -> Option<Self> {
        let mut at = trimmed(root);
        let mut shape = Shape {
            limit: None,
            lock: None,
            sort: &[],
            distinct: false,
            exprs: Cow::Borrowed(&[]),
            columns: Cow::Borrowed(&[]),
            having: None,
            aggregate: None,
            rest: root,
        };
        // A lock above the limit, or below it.
        at = shape.take_lock(at)?;
        if let Rel::Limit { input, count, offset } = at {
            shape.limit = Some((count, offset));
            at = input;
        }
        at = shape.take_lock(at)?;
        if let Rel::Sort { input, keys } = at {
            shape.sort = keys;
            at = input;
        }
        if let Rel::Distinct { input } = at {
            shape.distinct = true;
            at = input;
        }
        if let Rel::Project { input, exprs, columns } = at {
            (shape.exprs, shape.columns) = (exprs.into(), columns.into());
            at = shape.take_lock(input)?;
        } else if matches!(at, Rel::Filter { .. } | Rel::Scan { .. }) {
            // A projection that changes nothing was left out.
            let columns = at.columns();
            let read = |c: &Column| Expr::Column { id: c.id, ty: c.ty.clone() };
            (shape.exprs, shape.columns) = (columns.iter().map(read).collect(), columns.into());
        } else {
            return None;
        }
        if let Rel::Filter { input, predicate } = at
            && matches!(**input, Rel::Aggregate { .. })
        {
            shape.having = Some(predicate);
            at = input;
        }
        if let Rel::Aggregate { input, group, aggregates, rollup: false, grouping: None } = at {
            shape.aggregate = Some((group, aggregates));
            at = input;
        }
        shape.rest = at;
        if shape.lock.is_some() {
            shape.leave_out_places();
        }
        Some(shape)
    }

    /// What stands below a lock of the one table. `None`: this lock is not for a fragment.
    fn take_lock(&mut self, at: &'q Rel) -> Option<&'q Rel> {
        let Rel::Lock { input, tables } = at else { return Some(at) };
        let [one] = &tables[..] else { return None };
        self.lock = Some(one.locking);
        Some(input)
    }

    /// Of the rows that it locks a fragment knows the places by itself.
    fn leave_out_places(&mut self) {
        let Rel::Scan { ordinals, columns, .. } = self.scan() else { return };
        let place = ordinals.iter().position(|o| *o == ROW_LOCATOR).map(|i| columns[i].id);
        let kept = self.exprs.iter().zip(self.columns.iter()).filter(|(e, _)| !matches!(e, Expr::Column { id, .. } if Some(*id) == place));
        let (exprs, columns): (Vec<Expr>, Vec<Column>) = kept.map(|(e, c)| (e.clone(), c.clone())).unzip();
        (self.exprs, self.columns) = (exprs.into(), columns.into());
    }

    fn scan(&self) -> &'q Rel {
        match self.rest {
            Rel::Filter { input, .. } => input,
            other => other,
        }
    }

    fn table_and_filter(&self) -> Option<(&'q TableRef, Vec<Expr>)> {
        let filter = match self.rest {
            Rel::Filter { predicate, .. } => walk::conjuncts(predicate.clone()),
            _ => vec![],
        };
        let Rel::Scan { table, .. } = self.scan() else { return None };
        let filter = filter.into_iter().map(|mut c| self.over_ordinals(&mut c).map(|()| c)).collect::<Option<Vec<_>>>()?;
        Some((table, filter))
    }

    /// Says `e`, an expression over the scan, over the table's ordinals. None if it reads something else.
    fn over_ordinals(&self, e: &mut Expr) -> Option<()> {
        let Rel::Scan { ordinals, columns, .. } = self.scan() else { return None };
        let mut known = true;
        walk::rewrite(e, &mut |n| match n {
            Expr::Column { id, .. } | Expr::ColumnRaw { id, .. } => {
                match columns.iter().position(|c| c.id == *id) {
                    Some(i) if ordinals[i] != ROW_LOCATOR => *id = ColumnId::new(ordinals[i] as u32),
                    _ => known = false,
                }
                true
            }
            _ => false,
        });
        known.then_some(())
    }

    /// Sort keys over the output columns, `ColumnId(i)`.
    fn sort_over_output(&self) -> Option<Vec<SortKey>> {
        self.sort
            .iter()
            .map(|k| {
                let mut expr = k.expr.clone();
                over_positions(&mut expr, &self.columns)?;
                Some(SortKey { expr, descending: k.descending })
            })
            .collect()
    }

    fn plain(&self, table: &TableRef, filter: Vec<Expr>) -> Option<FragmentPlan> {
        let exprs = self
            .exprs
            .iter()
            .map(|e| {
                let mut e = e.clone();
                self.over_ordinals(&mut e)?;
                let ty = crate::bind::value_type(&e);
                Some((e, ty))
            })
            .collect::<Option<Vec<_>>>()?;
        let gather_sort = self.sort_over_output()?;
        // Over the table's columns, so that an index may give the order.
        let by_table: Vec<SortKey> = gather_sort
            .iter()
            .map(|k| {
                let mut expr = k.expr.clone();
                walk::rewrite(&mut expr, &mut |n| match n {
                    Expr::Column { id, .. } => {
                        *n = exprs[id.raw() as usize].0.clone();
                        true
                    }
                    _ => false,
                });
                SortKey { expr, descending: k.descending }
            })
            .collect();
        let volatile = exprs.iter().any(|(e, _)| walk::is_volatile(e)) && !self.sort.is_empty();
        if volatile {
            return None;
        }
        let limited = self.limit.is_some_and(|(count, _)| count.is_some());
        let order = if self.distinct { &[] } else { &by_table[..] };
        let choices = choices(table, &filter, order, limited);
        let target = target(table, &filter, &choices[0].access);
        let one = is_one_partition(&target);
        let (limit, offset) = self.limits(one);
        let action = |choice: &Choice| {
            let sort = if self.distinct {
                gather_sort.clone()
            } else if choice.ordered {
                vec![]
            } else {
                by_table.clone()
            };
            let (exprs, limit, offset) = (exprs.clone(), limit.clone(), offset.clone());
            Action::Read { exprs, group: vec![], aggregates: vec![], distinct: self.distinct, sort, limit, offset, lock: self.lock }
        };
        let fragments = choices.into_iter().map(|c| fragment_of(table, action(&c), c)).collect();
        let mut gather = Gather { distinct: self.distinct, sort: gather_sort.clone(), ..Gather::default() };
        if !one {
            (gather.limit, gather.offset) = self.whole_limits();
        }
        plan(fragments, target, gather)
    }

    /// LIMIT and OFFSET within one partition: of several, each must give as many rows as the whole may skip and take.
    fn limits(&self, one: bool) -> (Option<Expr>, Option<Expr>) {
        let (count, offset) = self.whole_limits();
        match (one, count, offset) {
            (true, count, offset) => (count, offset),
            (false, Some(c), Some(o)) => (Some(sum_or_most(c, o)), None),
            (false, count, _) => (count, None),
        }
    }

    fn whole_limits(&self) -> (Option<Expr>, Option<Expr>) {
        self.limit.map_or((None, None), |(c, o)| (c.clone(), o.clone()))
    }

    fn grouped(&self, table: &TableRef, filter: Vec<Expr>, session: &BindContext) -> Option<FragmentPlan> {
        let (group, aggregates) = self.aggregate?;
        let choices = choices(table, &filter, &[], false);
        let target = target(table, &filter, &choices[0].access);
        let one = is_one_partition(&target);
        let keys = group
            .iter()
            .map(|(e, _)| {
                let mut e = e.clone();
                self.over_ordinals(&mut e).map(|()| e)
            })
            .collect::<Option<Vec<_>>>()?;
        let mut parts = Parts { aggregates: vec![], merge: vec![], first: keys.len() };
        // What each column of the aggregation is, over the merged row.
        let mut means: Vec<(ColumnId, Expr)> = group.iter().enumerate().map(|(i, (_, c))| (c.id, read(i, &c.ty))).collect();
        for (a, c) in aggregates {
            let mut a = a.clone();
            let mut ok = true;
            walk::aggregate_exprs_mut(&mut a, &mut |e| ok &= self.over_ordinals(e).is_some());
            if !ok {
                return None;
            }
            means.push((c.id, parts.add(a, one, session)?));
        }
        let over_merged = |e: &Expr| {
            let mut e = e.clone();
            let mut known = true;
            walk::rewrite(&mut e, &mut |n| match n {
                Expr::Column { id, .. } | Expr::ColumnRaw { id, .. } => {
                    match means.iter().find(|m| m.0 == *id) {
                        Some((_, m)) => *n = m.clone(),
                        None => known = false,
                    }
                    true
                }
                _ => false,
            });
            known.then_some(e)
        };
        let exprs = self.exprs.iter().map(over_merged).collect::<Option<Vec<_>>>()?;
        let having = match self.having {
            Some(h) => Some(over_merged(h)?),
            None => None,
        };
        let (limit, offset) = self.whole_limits();
        let gather = Gather {
            group: keys.len(),
            merge: parts.merge,
            single_group: keys.is_empty(),
            having,
            exprs,
            distinct: self.distinct,
            sort: self.sort_over_output()?,
            limit,
            offset,
            visible: 0,
        };
        let action = Action::Read {
            exprs: vec![],
            group: keys,
            aggregates: parts.aggregates,
            distinct: false,
            sort: vec![],
            limit: None,
            offset: None,
            lock: None,
        };
        let fragments = choices.into_iter().map(|c| fragment_of(table, action.clone(), c)).collect();
        plan(fragments, target, gather)
    }
}

/// Aggregates of a partition and how those of several become one.
struct Parts {
    aggregates: Vec<Aggregate>,
    merge: Vec<AggregateFunction>,
    first: usize,
}

impl Parts {
    /// The merged value of `a`. None where partial answers cannot be put together.
    fn add(&mut self, a: Aggregate, one: bool, session: &BindContext) -> Option<Expr> {
        use AggregateFunction as F;
        let merge = match a.function {
            F::Count if !a.distinct => F::Sum,
            F::Sum if !a.distinct => F::Sum,
            F::Min | F::Max | F::BitAnd | F::BitOr | F::BitXor => a.function,
            // Any of them, but not the NULL of a partition that has no rows.
            F::AnyValue => F::Max,
            F::Avg if !a.distinct && !one => return self.average(a, session),
            // One partition has the whole answer: nothing to merge.
            _ if one => F::AnyValue,
            F::Count
            | F::Sum
            | F::Avg
            | F::CountDistinct
            | F::GroupConcat
            | F::StddevPop
            | F::StddevSamp
            | F::VarPop
            | F::VarSamp
            | F::JsonArrayAgg
            | F::JsonObjectAgg => return None,
        };
        let ty = a.ty.clone();
        let at = self.column(a, merge);
        Some(read(at, &ty))
    }

    fn column(&mut self, a: Aggregate, merge: AggregateFunction) -> usize {
        let at = self.aggregates.iter().zip(&self.merge).position(|(x, m)| *x == a && *m == merge).unwrap_or_else(|| {
            self.aggregates.push(a);
            self.merge.push(merge);
            self.aggregates.len() - 1
        });
        self.first + at
    }

    /// AVG is SUM / COUNT; the sum's type gives the quotient AVG's decimals.
    fn average(&mut self, a: Aggregate, session: &BindContext) -> Option<Expr> {
        let mut args = a.args.clone();
        let sum_type = crate::typing::aggregate_type(AggregateFunction::Sum, &mut args, session).ok()?;
        let sum = Aggregate { function: AggregateFunction::Sum, ty: sum_type.clone(), ..a.clone() };
        let count = Aggregate { function: AggregateFunction::Count, ty: SqlType::bigint(false), ..a.clone() };
        let (s, c) = (self.column(sum, AggregateFunction::Sum), self.column(count, AggregateFunction::Sum));
        let quotient = crate::typing::operator(Operator::Divide, vec![read(s, &sum_type), read(c, &SqlType::bigint(false))], session).ok()?;
        // Not cast: inside an expression a mean has more decimals than its type.
        Some(match quotient {
            Expr::Operator { op, args, collation, .. } => Expr::Operator { op, args, ty: a.ty, collation },
            other => Expr::Cast { expr: Box::new(other), ty: a.ty },
        })
    }
}

/// `a + b`, or `a` where that is beyond all numbers: LIMIT 18446744073709551615 means no limit.
fn sum_or_most(a: Expr, b: Expr) -> Expr {
    let operator = |op, args, ty| Expr::Operator { op, args, ty, collation: Collation::BINARY };
    let ty = SqlType::bigint_unsigned(false);
    let most = Expr::Literal { value: Value::UInt(u64::MAX), ty: ty.clone() };
    let room = operator(Operator::Subtract, vec![most, b.clone()], ty.clone());
    let too_many = operator(Operator::Gt, vec![a.clone(), room], SqlType::bigint(false));
    let sum = operator(Operator::Add, vec![a.clone(), b], ty.clone());
    Expr::Case { operand: None, branches: vec![(too_many, a)], otherwise: Some(Box::new(sum)), ty }
}

fn read(i: usize, ty: &SqlType) -> Expr {
    Expr::Column { id: ColumnId::new(i as u32), ty: ty.clone() }
}

fn over_positions(e: &mut Expr, columns: &[Column]) -> Option<()> {
    let mut known = true;
    walk::rewrite(e, &mut |n| match n {
        Expr::Column { id, .. } | Expr::ColumnRaw { id, .. } => {
            match columns.iter().position(|c| c.id == *id) {
                Some(i) => *id = ColumnId::new(i as u32),
                None => known = false,
            }
            true
        }
        _ => false,
    });
    known.then_some(())
}

/// One way to the rows, and what is done with them.
pub fn fragment_of(table: &TableRef, action: Action, choice: Choice) -> Fragment {
    Fragment { table: table.clone(), access: choice.access, filter: walk::all_of(choice.residual), action }
}

fn plan(fragments: Vec<Fragment>, target: Target, gather: Gather) -> Option<FragmentPlan> {
    let mut fragments = fragments.into_iter();
    let fragment = fragments.next()?;
    Some(FragmentPlan { fragment, others: fragments.collect(), target, gather, columns: [].into(), params: vec![], needs: vec![], warnings: vec![] })
}

pub fn is_one_partition(target: &Target) -> bool {
    matches!(target, Target::Key(_) | Target::Ordinal(_) | Target::Copy)
}

/// Without a projection that only leaves out hidden sort keys.
fn trimmed(root: &Rel) -> &Rel {
    if let Rel::Project { input, exprs, .. } = root {
        let below = input.columns();
        let leading = exprs.iter().zip(&below).all(|(e, c)| matches!(e, Expr::Column { id, .. } if *id == c.id));
        if leading && exprs.len() < below.len() && matches!(**input, Rel::Sort { .. } | Rel::Limit { .. } | Rel::Lock { .. }) {
            return input;
        }
    }
    root
}
