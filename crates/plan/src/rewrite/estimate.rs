//! How many rows a relation has, about.
//!
//! Owns:     nothing.
//! Promises: pure; a key that is bound whole gives one row. Everything else is a rule of thumb in the manner of System R.
//! Never:    matters to an answer.

use super::predicate::equi;
use crate::names::Statistics;
use crate::query::{JoinKind, Rel};
use crate::walk;
use std::collections::BTreeSet;
use weald_catalog::TableDef;
use weald_expr::{Expr, Operator};
use weald_types::{ColumnId, Value};

/// What a table is taken for of which nothing is known.
const UNKNOWN_ROWS: f64 = 1000.0;

pub fn estimate(rel: &Rel, s: &dyn Statistics) -> f64 {
    match rel {
        Rel::Scan { table, .. } => table_rows(table, s),
        Rel::Virtual { .. } => 200.0,
        Rel::JsonTable { .. } => 10.0,
        Rel::Values { rows, .. } => rows.len() as f64,
        Rel::RecursionInput { .. } => 10.0,
        Rel::Recursive { seed, .. } => estimate(seed, s) * 10.0,
        Rel::Filter { input, predicate } => {
            let rows = estimate(input, s);
            let list = walk::conjuncts(predicate.clone());
            if let Some(n) = by_key(input, &list) {
                return rows.min(n);
            }
            let part = sampled(input, predicate, s).unwrap_or_else(|| list.iter().map(selectivity).product::<f64>());
            (rows * part).max(1.0).min(rows)
        }
        Rel::Project { input, .. } | Rel::Sort { input, .. } | Rel::Window { input, .. } | Rel::Lock { input, .. } => estimate(input, s),
        Rel::Aggregate { input, group, .. } => {
            if group.is_empty() {
                1.0
            } else {
                let rows = estimate(input, s);
                let different: Option<f64> = group.iter().map(|g| distinct(input, &g.0, s)).product();
                different.map_or(rows * 0.1, |d| d.min(rows)).max(1.0)
            }
        }
        Rel::Distinct { input } => (estimate(input, s) * 0.3).max(1.0),
        Rel::Limit { input, count, .. } => {
            let rows = estimate(input, s);
            match count {
                Some(Expr::Literal { value: Value::UInt(n), .. }) => rows.min(*n as f64),
                Some(_) => rows.min(100.0),
                None => rows,
            }
        }
        Rel::SetOp { left, right, .. } => estimate(left, s) + estimate(right, s),
        Rel::Join { kind, left, right, on, .. } => {
            let (l, r) = (estimate(left, s), estimate(right, s));
            let on = on.clone().map(walk::conjuncts).unwrap_or_default();
            match kind {
                JoinKind::Cross | JoinKind::Inner => join_rows(left, l, right, r, &on, s),
                JoinKind::Left => join_rows(left, l, right, r, &on, s).max(l),
                JoinKind::Semi => (l * 0.5).max(1.0),
                JoinKind::Anti | JoinKind::NullAwareAnti => (l * 0.5).max(1.0),
            }
        }
    }
}

pub fn table_rows(table: &TableDef, s: &dyn Statistics) -> f64 {
    s.rows(table).map_or(UNKNOWN_ROWS, |n| (n as f64).max(1.0))
}

/// What the statistics say of a filter over a table.
fn sampled(input: &Rel, predicate: &Expr, s: &dyn Statistics) -> Option<f64> {
    let Rel::Scan { table, ordinals, columns } = input else { return None };
    let own = input.output();
    if walk::has_subquery(predicate) || walk::is_volatile(predicate) || !walk::columns(predicate).iter().all(|c| own.contains(c)) {
        return None;
    }
    let of_table = |id| columns.iter().position(|c| c.id == id).map_or(id, |i| ColumnId::new(ordinals[i] as u32));
    s.passing(table, &weald_expr::walk::map_columns(predicate, of_table))
}

/// How many different values a column of a table below has.
pub fn distinct(rel: &Rel, e: &Expr, s: &dyn Statistics) -> Option<f64> {
    let Expr::Column { id, .. } = e else { return None };
    match rel {
        Rel::Scan { table, ordinals, columns } => {
            let at = columns.iter().position(|c| c.id == *id)?;
            if table.indexes.iter().any(|i| i.unique && i.parts.len() == 1 && i.parts[0].column == ordinals[at]) {
                return Some(table_rows(table, s));
            }
            s.distinct(table, ordinals[at])
        }
        Rel::Project { input, exprs, columns } => distinct(input, exprs.get(columns.iter().position(|c| c.id == *id)?)?, s),
        Rel::Virtual { .. } | Rel::JsonTable { .. } | Rel::Values { .. } | Rel::RecursionInput { .. } | Rel::Recursive { .. } | Rel::SetOp { .. } => {
            None
        }
        Rel::Aggregate { input, group, .. } => distinct(input, &group.iter().find(|g| g.1.id == *id)?.0, s),
        Rel::Filter { input, .. }
        | Rel::Sort { input, .. }
        | Rel::Limit { input, .. }
        | Rel::Distinct { input }
        | Rel::Window { input, .. }
        | Rel::Lock { input, .. } => distinct(input, e, s),
        Rel::Join { left, right, .. } => distinct(left, e, s).or_else(|| distinct(right, e, s)),
    }
}

/// The size of the greatest table below: about how many different values a key of it has.
pub fn base_rows(rel: &Rel, s: &dyn Statistics) -> f64 {
    match rel {
        Rel::Scan { table, .. } => table_rows(table, s),
        other => other.inputs().iter().map(|i| base_rows(i, s)).fold(estimate(rel, s), f64::max),
    }
}

/// Rows of an inner join.
pub fn join_rows(left: &Rel, l: f64, right: &Rel, r: f64, on: &[Expr], s: &dyn Statistics) -> f64 {
    let (lo, ro) = (left.output(), right.output());
    let keys: Vec<(&Expr, &Expr)> = on.iter().filter_map(|c| equi(c, &lo, &ro)).collect();
    let rest = on.iter().filter(|c| equi(c, &lo, &ro).is_none()).map(selectivity).product::<f64>();
    if keys.is_empty() {
        return (l * r * rest).max(1.0);
    }
    let left_keys: BTreeSet<ColumnId> = keys.iter().flat_map(|k| walk::columns(k.0)).collect();
    let right_keys: BTreeSet<ColumnId> = keys.iter().flat_map(|k| walk::columns(k.1)).collect();
    // Each row of the one side finds at most one of the other's; filters on that thin it out.
    let rows = if is_key(right, &right_keys) {
        l * (r / base_rows(right, s)).min(1.0)
    } else if is_key(left, &left_keys) {
        r * (l / base_rows(left, s)).min(1.0)
    } else {
        let different = |rel: &Rel, rows: f64, e: &Expr| distinct(rel, e, s).map(|d| d.min(rows));
        // Each value of a key on the side with fewer of them is one on the other side as well.
        let values: Option<f64> = keys
            .iter()
            .map(|(a, b)| match (different(left, l, a), different(right, r, b)) {
                (None, None) => None,
                // Where nothing is known of a side, its rows are about all different.
                (a, b) => Some(a.unwrap_or(l).max(b.unwrap_or(r))),
            })
            .product();
        match values {
            Some(values) => l * r / values.clamp(1.0, l.max(r).max(1.0)),
            None => l * r / l.max(r).max(1.0) * if keys.len() > 1 { 1.0 } else { 2.0 },
        }
    };
    (rows * rest).max(1.0)
}

/// Whether `columns` hold a unique key of the single table below.
pub fn is_key(rel: &Rel, columns: &BTreeSet<ColumnId>) -> bool {
    match rel {
        Rel::Scan { table, ordinals, columns: own } => {
            let has = |ordinal: u16| ordinals.iter().position(|o| *o == ordinal).is_some_and(|i| columns.contains(&own[i].id));
            table.indexes.iter().any(|i| i.unique && i.parts.iter().all(|p| p.prefix.is_none() && has(p.column)))
        }
        Rel::Filter { input, .. } | Rel::Sort { input, .. } | Rel::Limit { input, .. } => is_key(input, columns),
        Rel::Join { kind: JoinKind::Semi | JoinKind::Anti | JoinKind::NullAwareAnti, left, .. } => is_key(left, columns),
        Rel::Aggregate { group, rollup: false, .. } => !group.is_empty() && group.iter().all(|g| columns.contains(&g.1.id)),
        Rel::Distinct { input } => input.columns().iter().all(|c| columns.contains(&c.id)),
        Rel::Project { input, exprs, columns: own } => {
            let below: BTreeSet<ColumnId> = exprs
                .iter()
                .zip(own)
                .filter(|(_, c)| columns.contains(&c.id))
                .filter_map(|(e, _)| match e {
                    Expr::Column { id, .. } => Some(*id),
                    _ => None,
                })
                .collect();
            is_key(input, &below)
        }
        _ => false,
    }
}

/// Rows left by equality with constants on a unique key (1), or by a list of keys.
fn by_key(input: &Rel, list: &[Expr]) -> Option<f64> {
    let mut fixed = BTreeSet::new();
    let mut points = 1.0;
    for c in list {
        match c {
            Expr::Operator { op: Operator::Eq | Operator::NullSafeEq, args, .. } => {
                for (a, b) in [(&args[0], &args[1]), (&args[1], &args[0])] {
                    if let (Expr::Column { id, .. }, true) = (a, is_outer_constant(b, input)) {
                        fixed.insert(*id);
                    }
                }
            }
            Expr::In { expr, list, negated: false, .. } => {
                if let Expr::Column { id, .. } = &**expr {
                    fixed.insert(*id);
                    points *= list.len() as f64;
                }
            }
            _ => (),
        }
    }
    is_key(input, &fixed).then_some(points)
}

/// Reads nothing of `input`: a constant, or columns of a query around it.
fn is_outer_constant(e: &Expr, input: &Rel) -> bool {
    let own = input.output();
    !walk::columns(e).iter().any(|c| own.contains(c))
}

pub fn selectivity(e: &Expr) -> f64 {
    match e {
        Expr::Literal { value: Value::Int(0) | Value::Null, .. } => 0.0,
        Expr::Literal { .. } => 1.0,
        Expr::Operator { op, args, .. } => match op {
            Operator::And => args.iter().map(selectivity).product(),
            Operator::Or => 1.0 - args.iter().map(|a| 1.0 - selectivity(a)).product::<f64>(),
            Operator::Not => 1.0 - selectivity(&args[0]),
            Operator::Eq | Operator::NullSafeEq => 0.05,
            Operator::Lt | Operator::Le | Operator::Gt | Operator::Ge => 0.33,
            Operator::Between => 0.15,
            Operator::Like => 0.1,
            Operator::IsNull => 0.1,
            _ => 0.5,
        },
        Expr::In { list, negated: false, .. } => (0.05 * list.len() as f64).min(0.5),
        Expr::In { .. } => 0.8,
        _ => 0.5,
    }
}
