//! What may stand above GROUP BY: ONLY_FULL_GROUP_BY and functional dependence.
//!
//! Owns:     the map from what stands below an aggregation to its output, while one block is finished.
//! Promises: an expression that passed reads only the aggregation's output and enclosing blocks. A column that the groups determine, or any column at all
//!           where ONLY_FULL_GROUP_BY is off, becomes that of some row of the group.
//! See:      MySQL 8.0 manual, 14.19.3 and 14.19.4.
//! Never:    judges a query without GROUP BY or aggregates.

use super::scope::Block;
use super::{Binder, value_type};
use crate::query::{Aggregate, Column, JoinKind, Rel};
use crate::walk;
use std::collections::BTreeSet;
use weald_expr::{AggregateFunction, Expr, Operator};
use weald_types::{ColumnId, Fault, SqlMode};

#[derive(Clone, Copy)]
pub enum Place {
    Item(usize),
    Having,
    Order(usize),
}

pub struct GroupCheck {
    groups: Vec<Expr>,
    out: Vec<Expr>,
    from: BTreeSet<ColumnId>,
    determined: BTreeSet<ColumnId>,
    full: bool,
    rollup: bool,
}

impl GroupCheck {
    pub fn new(b: &mut Binder<'_>, rel: &Rel, groups: Vec<Expr>, out: &[Column]) -> Self {
        let full = b.sql_mode().has(SqlMode::ONLY_FULL_GROUP_BY);
        let mut determined: BTreeSet<ColumnId> =
            groups.iter().filter_map(|g| if let Expr::Column { id, .. } = g { Some(*id) } else { None }).collect();
        if full {
            loop {
                let before = determined.len();
                close(rel, &mut determined);
                if determined.len() == before {
                    break;
                }
            }
        }
        let out = out.iter().map(|c| Expr::Column { id: c.id, ty: c.ty.clone() }).collect();
        let block = b.block();
        Self { groups, out, from: block.from_ids(), determined, full, rollup: block.rollup }
    }

    pub fn finish(self) -> Vec<Expr> {
        self.groups
    }

    /// Rewrites `e`, which stands above the aggregation, over its output.
    pub fn regroup(&mut self, b: &mut Binder<'_>, e: &mut Expr, place: Place) -> Result<(), Fault> {
        if let Some(i) = self.groups.iter().position(|g| g == e) {
            *e = self.out[i].clone();
            return Ok(());
        }
        match e {
            Expr::Column { id, .. } | Expr::ColumnRaw { id, .. } if self.from.contains(id) => {
                let id = *id;
                if self.full && !self.determined.contains(&id) {
                    return Err(self.fault(b.block(), id, place));
                }
                *e = any_value(b, e.clone());
                return Ok(());
            }
            Expr::Subquery { index, operands, outer, .. } => {
                for o in operands.iter_mut() {
                    self.regroup(b, o, place)?;
                }
                if outer.iter().any(|c| self.from.contains(c)) {
                    let slot = *index as usize;
                    let mut inner = std::mem::replace(&mut b.subqueries[slot], Rel::Values { rows: vec![], columns: vec![] });
                    let mut fault = None;
                    inner.all_exprs_mut(&mut |x| {
                        if fault.is_none() {
                            fault = self.regroup(b, x, place).err();
                        }
                    });
                    *outer = inner.free().into_iter().collect();
                    b.subqueries[slot] = inner;
                    if let Some(f) = fault {
                        return Err(f);
                    }
                }
                return Ok(());
            }
            _ => (),
        }
        let mut fault = None;
        walk::children_mut(e, &mut |c| {
            if fault.is_none() {
                fault = self.regroup(b, c, place).err();
            }
        });
        fault.map_or(Ok(()), Err)
    }

    fn fault(&self, block: &Block, id: ColumnId, place: Place) -> Fault {
        let column = column_name(block, id);
        let (n, what) = match place {
            Place::Item(n) => (n, "SELECT list"),
            Place::Having => (1, "HAVING clause"),
            Place::Order(n) => (n, "ORDER BY clause"),
        };
        if self.groups.is_empty() {
            return Fault::mysql(
                1140,
                "42000",
                format!(
                    "In aggregated query without GROUP BY, expression #{n} of {what} contains nonaggregated column '{column}'; this is incompatible with sql_mode=only_full_group_by"
                ),
            );
        }
        let _ = self.rollup;
        Fault::mysql(
            1055,
            "42000",
            format!(
                "Expression #{n} of {what} is not in GROUP BY clause and contains nonaggregated column '{column}' which is not functionally dependent on columns in GROUP BY clause; this is incompatible with sql_mode=only_full_group_by"
            ),
        )
    }
}

/// `database.table.column`, as MySQL's messages have it.
pub fn column_name(block: &Block, id: ColumnId) -> String {
    for t in &block.tables {
        if let Some(c) = t.columns.iter().find(|c| c.id == id) {
            return match &t.database {
                Some(d) => format!("{d}.{}.{}", t.name, c.name),
                None => format!("{}.{}", t.name, c.name),
            };
        }
    }
    String::new()
}

fn any_value(b: &mut Binder<'_>, e: Expr) -> Expr {
    let ty = value_type(&e).with_nullable(true);
    let aggregate = Aggregate { function: AggregateFunction::AnyValue, args: vec![e], distinct: false, order_by: vec![], separator: "".into(), ty };
    super::aggregate::register(b, None, aggregate)
}

/// Adds to `set` what its columns determine in the rows of `rel`, one step; to be repeated until nothing is added.
fn close(rel: &Rel, set: &mut BTreeSet<ColumnId>) {
    match rel {
        Rel::Scan { table, ordinals, columns } => {
            let at = |ordinal: u16| ordinals.iter().position(|o| *o == ordinal).map(|i| columns[i].id);
            let key = table.indexes.iter().filter(|i| i.unique).any(|i| {
                i.parts
                    .iter()
                    .all(|p| p.prefix.is_none() && !table.columns[p.column as usize].ty.nullable && at(p.column).is_some_and(|c| set.contains(&c)))
            });
            if key {
                set.extend(columns.iter().map(|c| c.id));
            }
        }
        Rel::Filter { input, predicate } => {
            close(input, set);
            for c in walk::conjuncts(predicate.clone()) {
                equate(&c, set, None);
            }
        }
        Rel::Join { kind, left, right, on, .. } => {
            close(left, set);
            if matches!(kind, JoinKind::Inner | JoinKind::Cross | JoinKind::Left) {
                close(right, set);
            }
            if let Some(on) = on {
                // Of an outer join's condition follows only what it says of the side that may be missing.
                let only = if *kind == JoinKind::Left { Some(right.output()) } else { None };
                if !matches!(kind, JoinKind::Anti | JoinKind::NullAwareAnti) {
                    for c in walk::conjuncts(on.clone()) {
                        equate(&c, set, only.as_ref());
                    }
                }
            }
        }
        Rel::Project { input, exprs, columns } => {
            for (e, c) in exprs.iter().zip(columns) {
                if let Expr::Column { id, .. } = e
                    && set.contains(&c.id)
                {
                    set.insert(*id);
                }
            }
            close(input, set);
            for (e, c) in exprs.iter().zip(columns) {
                if !walk::is_volatile(e) && walk::columns(e).iter().all(|id| set.contains(id)) && !walk::has_subquery(e) {
                    set.insert(c.id);
                }
            }
        }
        Rel::Aggregate { input, group, aggregates, rollup, .. } => {
            if *rollup {
                return;
            }
            for (e, c) in group {
                if let Expr::Column { id, .. } = e
                    && set.contains(&c.id)
                {
                    set.insert(*id);
                }
            }
            close(input, set);
            for (e, c) in group {
                if matches!(e, Expr::Column { id, .. } if set.contains(id)) {
                    set.insert(c.id);
                }
            }
            if group.iter().all(|g| set.contains(&g.1.id)) {
                set.extend(aggregates.iter().map(|a| a.1.id));
            }
        }
        Rel::Sort { input, .. } | Rel::Limit { input, .. } | Rel::Window { input, .. } => close(input, set),
        Rel::Distinct { input } | Rel::Lock { input, .. } => close(input, set),
        Rel::Virtual { .. } | Rel::JsonTable { .. } | Rel::Values { .. } | Rel::SetOp { .. } | Rel::Recursive { .. } | Rel::RecursionInput { .. } => {
        }
    }
}

/// `a = b` makes one known where the other is, or is a constant. `only`: nothing else may become known by it.
fn equate(condition: &Expr, set: &mut BTreeSet<ColumnId>, only: Option<&BTreeSet<ColumnId>>) {
    let Expr::Operator { op: Operator::Eq | Operator::NullSafeEq, args, .. } = condition else { return };
    let [a, b] = &args[..] else { return };
    for (known, new) in [(a, b), (b, a)] {
        let Expr::Column { id, .. } = new else { continue };
        let fixed = walk::is_constant(known) || matches!(known, Expr::Column { id, .. } if set.contains(id));
        if fixed && only.is_none_or(|o| o.contains(id)) {
            set.insert(*id);
        }
    }
}
