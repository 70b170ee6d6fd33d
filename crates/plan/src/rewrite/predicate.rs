//! Conditions as sets: conjuncts, what their alternatives share, what follows from them.
//!
//! Owns:     nothing.
//! Promises: what is derived is implied by what was there, under three-valued logic as a filter takes it.
//! Never:    removes a condition without an equal one in its place.

use crate::walk;
use std::collections::BTreeSet;
use weald_expr::{Expr, Operator};
use weald_types::{Collation, ColumnId};

/// The conjuncts of a filter's condition, with what all alternatives of an OR share taken out of it (TPC-H Q19).
pub fn split(predicate: Expr) -> Vec<Expr> {
    let mut out: Vec<Expr> = Vec::new();
    for c in walk::conjuncts(predicate) {
        for f in factor(c) {
            add(&mut out, f);
        }
    }
    out
}

/// Conditions beyond so many are not compared with all that are there: thousands would take the square of their number.
const MANY: usize = 200;

/// One more condition. Saying something twice adds nothing.
pub fn add(all: &mut Vec<Expr>, e: Expr) {
    if all.len() > MANY || walk::is_volatile(&e) || !all.contains(&e) {
        all.push(e);
    }
}

/// `(a AND b) OR (a AND c)` is `a AND (b OR c)`.
fn factor(e: Expr) -> Vec<Expr> {
    if !matches!(e, Expr::Operator { op: Operator::Or, .. }) || walk::is_volatile(&e) {
        return vec![e];
    }
    let mut branches: Vec<Vec<Expr>> = walk::disjuncts(e).into_iter().map(|d| walk::conjuncts(d).into_iter().flat_map(factor).collect()).collect();
    let (first, rest) = branches.split_first().expect("an OR has alternatives");
    let common: Vec<Expr> = first.iter().filter(|c| rest.iter().all(|b| b.contains(c))).cloned().collect();
    if common.is_empty() {
        return alternatives(branches).into_iter().collect();
    }
    for b in &mut branches {
        b.retain(|c| !common.contains(c));
    }
    let mut out = common;
    // An alternative that says no more than what is common makes the rest true.
    if branches.iter().all(|b| !b.is_empty()) {
        out.extend(alternatives(branches));
    }
    out
}

/// The disjunction of conjunctions; `a = 1 OR b = 2 OR a = 3` is `a IN (1, 3) OR b = 2`, which is looked up, and compared faster.
fn alternatives(branches: Vec<Vec<Expr>>) -> Option<Expr> {
    let mut lists: Vec<(ColumnId, Collation, usize)> = Vec::new();
    let mut out: Vec<Expr> = Vec::new();
    for e in branches.into_iter().filter_map(walk::all_of) {
        let Some((column, collation)) = listed(&e) else {
            out.push(e);
            continue;
        };
        match lists.iter().find(|l| (l.0, l.1) == (column, collation)) {
            None => {
                lists.push((column, collation, out.len()));
                out.push(e);
            }
            Some((.., at)) => {
                let (expr, mut list) = taken_apart(std::mem::replace(&mut out[*at], Expr::Row(vec![])));
                list.extend(taken_apart(e).1);
                out[*at] = Expr::In { expr: Box::new(expr), list, negated: false, collation };
            }
        }
    }
    walk::any_of(out)
}

/// Of `column = constant` and `column IN (constants)` the column, and what it is compared under.
fn listed(e: &Expr) -> Option<(ColumnId, Collation)> {
    match e {
        Expr::Operator { op: Operator::Eq, args, collation, .. } => match &args[..] {
            [Expr::Column { id, .. }, v] | [v, Expr::Column { id, .. }] if walk::is_constant(v) => Some((*id, *collation)),
            _ => None,
        },
        Expr::In { expr, list, negated: false, collation } => match **expr {
            Expr::Column { id, .. } if list.iter().all(|v| walk::is_constant(v) && !matches!(v, Expr::Row(_))) => Some((id, *collation)),
            _ => None,
        },
        _ => None,
    }
}

/// The column and the constants of what [`listed`] has looked at.
fn taken_apart(e: Expr) -> (Expr, Vec<Expr>) {
    match e {
        Expr::In { expr, list, .. } => (*expr, list),
        Expr::Operator { mut args, .. } if args.len() == 2 => {
            let (b, a) = (args.remove(1), args.remove(0));
            if matches!(a, Expr::Column { .. }) { (a, vec![b]) } else { (b, vec![a]) }
        }
        other => (other, vec![]),
    }
}

/// What an OR says about the columns in `own` alone: `(n1 = 'a' AND n2 = 'b') OR (n1 = 'b' AND n2 = 'a')` says `n1 = 'a' OR n1 = 'b'` (TPC-H Q7).
pub fn implied_by_or(e: &Expr, own: &BTreeSet<ColumnId>) -> Option<Expr> {
    if !matches!(e, Expr::Operator { op: Operator::Or, .. }) || walk::is_volatile(e) || walk::has_subquery(e) {
        return None;
    }
    let mut alternatives = Vec::new();
    for d in walk::disjuncts(e.clone()) {
        let about: Vec<Expr> = walk::conjuncts(d)
            .into_iter()
            .filter(|c| {
                let used = walk::columns(c);
                !used.is_empty() && used.is_subset(own)
            })
            .collect();
        alternatives.push(walk::all_of(about)?);
    }
    walk::any_of(alternatives)
}

/// `column = constant` for every column that is equal to one with a constant. Only between columns of one type, where equality is transitive.
pub fn constants_of_equals(list: &[Expr]) -> Vec<Expr> {
    let mut equal: Vec<(Expr, Expr)> = Vec::new();
    let mut fixed: Vec<(Expr, Expr, &Expr)> = Vec::new();
    for c in list {
        let Expr::Operator { op: Operator::Eq, args, .. } = c else { continue };
        let [a, b] = &args[..] else { continue };
        match (a, b) {
            (Expr::Column { ty: s, .. }, Expr::Column { ty: t, .. }) if s.kind == t.kind && s.collation == t.collation => {
                equal.push((a.clone(), b.clone()))
            }
            (Expr::Column { .. }, v) if walk::is_constant(v) => fixed.push((a.clone(), v.clone(), c)),
            (v, Expr::Column { .. }) if walk::is_constant(v) => fixed.push((b.clone(), v.clone(), c)),
            _ => (),
        }
    }
    if equal.is_empty() || fixed.is_empty() {
        return vec![];
    }
    let id = |e: &Expr| if let Expr::Column { id, .. } = e { Some(*id) } else { None };
    let mut out: Vec<Expr> = Vec::new();
    for (column, value, said) in &fixed {
        let (mut class, mut grown): (Vec<Expr>, bool) = (vec![column.clone()], true);
        while grown {
            grown = false;
            for (a, b) in &equal {
                for (x, y) in [(a, b), (b, a)] {
                    if class.iter().any(|c| id(c) == id(x)) && !class.iter().any(|c| id(c) == id(y)) {
                        class.push(y.clone());
                        grown = true;
                    }
                }
            }
        }
        let Expr::Operator { ty, collation, .. } = said else { continue };
        for other in class.into_iter().skip(1) {
            let e = Expr::Operator { op: Operator::Eq, args: vec![other, value.clone()], ty: ty.clone(), collation: *collation };
            if !list.contains(&e) && !out.contains(&e) {
                out.push(e);
            }
        }
    }
    out
}

/// `a = b` between the two sides: (left's, right's).
pub fn equi<'e>(c: &'e Expr, left: &BTreeSet<ColumnId>, right: &BTreeSet<ColumnId>) -> Option<(&'e Expr, &'e Expr)> {
    let Expr::Operator { op: Operator::Eq, args, .. } = c else { return None };
    let [a, b] = &args[..] else { return None };
    let (ca, cb) = (walk::columns(a), walk::columns(b));
    if ca.is_empty() || cb.is_empty() || walk::has_subquery(c) {
        return None;
    }
    if ca.is_subset(left) && cb.is_subset(right) {
        return Some((a, b));
    }
    if ca.is_subset(right) && cb.is_subset(left) {
        return Some((b, a));
    }
    None
}
