//! Equalities that follow from others.
//!
//! Owns:     nothing.
//! Promises: of `a = b` and `b = c` also `a = c` is known, so that a join of `a`'s table with `c`'s is not thought of as one without a condition; and once two
//!           of the three hold, the third is not asked.
//! Never:    concludes anything where `=` is not transitive: both sides are columns of one type, under one collation.

use crate::walk;
use std::collections::{BTreeMap, BTreeSet};
use weald_expr::{Expr, Operator};
use weald_types::{ColumnId, TypeKind};

/// Columns by the least of those known to be equal to them.
#[derive(Default)]
pub struct Equals(BTreeMap<ColumnId, ColumnId>);

impl Equals {
    pub fn root(&self, mut id: ColumnId) -> ColumnId {
        while let Some(next) = self.0.get(&id) {
            id = *next;
        }
        id
    }
    /// False: they were known to be equal.
    fn join(&mut self, a: ColumnId, b: ColumnId) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            self.0.insert(a.max(b), a.min(b));
        }
        a != b
    }
}

/// `a = b` between two columns for which that is transitive.
pub fn equal_columns(c: &Expr) -> Option<(ColumnId, ColumnId)> {
    let Expr::Operator { op: Operator::Eq, args, collation, .. } = c else { return None };
    let [Expr::Column { id: a, ty: x }, Expr::Column { id: b, ty: y }] = &args[..] else { return None };
    let transitive = match (&x.kind, &y.kind) {
        (TypeKind::Int { unsigned: x, .. }, TypeKind::Int { unsigned: y, .. }) => x == y,
        (TypeKind::Date, TypeKind::Date) => true,
        (
            TypeKind::Char { .. } | TypeKind::VarChar { .. } | TypeKind::Text(_),
            TypeKind::Char { .. } | TypeKind::VarChar { .. } | TypeKind::Text(_),
        ) => x.collation == y.collation && x.collation == *collation,
        _ => false,
    };
    transitive.then_some((*a, *b))
}

/// Adds what follows from `conditions`, between columns of different leaves.
pub fn complete(conditions: &mut Vec<Expr>, outputs: &[BTreeSet<ColumnId>]) -> Equals {
    let mut equals = Equals::default();
    let mut known: BTreeSet<(ColumnId, ColumnId)> = BTreeSet::new();
    let mut examples: BTreeMap<ColumnId, Expr> = BTreeMap::new();
    for c in conditions.iter() {
        if let Some((a, b)) = equal_columns(c) {
            equals.join(a, b);
            known.insert((a.min(b), a.max(b)));
            examples.insert(a, c.clone());
            examples.insert(b, c.clone());
        }
    }
    let leaf = |id: ColumnId| outputs.iter().position(|o| o.contains(&id));
    let columns: Vec<ColumnId> = examples.keys().copied().collect();
    for (i, a) in columns.iter().enumerate() {
        for b in &columns[i + 1..] {
            if equals.root(*a) == equals.root(*b)
                && !known.contains(&(*a, *b))
                && leaf(*a).is_some()
                && leaf(*b).is_some()
                && leaf(*a) != leaf(*b)
                && let Some(c) = between(*a, *b, &examples)
            {
                conditions.push(c);
            }
        }
    }
    equals
}

/// `a = b`, made of conditions that have one of the two each.
fn between(a: ColumnId, b: ColumnId, examples: &BTreeMap<ColumnId, Expr>) -> Option<Expr> {
    let column = |id: ColumnId| {
        let Expr::Operator { args, .. } = examples.get(&id)? else { return None };
        args.iter().find(|e| matches!(e, Expr::Column { id: i, .. } if *i == id)).cloned()
    };
    let (x, y) = (column(a)?, column(b)?);
    let mut made = examples.get(&a)?.clone();
    if let Expr::Operator { args, .. } = &mut made {
        *args = vec![x, y];
    }
    Some(made)
}

/// `conditions` without those that follow from what holds already; what is left holds from here on.
pub fn not_yet_known(conditions: Vec<Expr>, holds: &mut Equals) -> Vec<Expr> {
    conditions.into_iter().filter(|c| walk::is_volatile(c) || equal_columns(c).is_none_or(|(a, b)| holds.join(a, b))).collect()
}
