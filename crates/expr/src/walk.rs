//! Walking and rewriting expressions.
//!
//! Owns:     nothing.
//! Promises: children are visited in evaluation order.
//! Never:    changes a type.

use crate::function::Volatility;
use crate::tree::{Expr, Operator};
use weald_types::{ColumnId, TypeKind, Value};

/// A copy in which every node that `f` answers is replaced by the answer; the others keep their (transformed) children. `f` sees a node before its children.
pub fn transform(e: &Expr, f: &mut dyn FnMut(&Expr) -> Option<Expr>) -> Expr {
    if let Some(new) = f(e) {
        return new;
    }
    let mut copy = e.clone();
    for_each_child_mut(&mut copy, &mut |child| *child = transform(child, f));
    copy
}

pub fn for_each_child<'a>(e: &'a Expr, f: &mut dyn FnMut(&'a Expr)) {
    match e {
        Expr::Literal { .. } | Expr::Param { .. } | Expr::Column { .. } | Expr::ColumnRaw { .. } | Expr::UserVariable { .. } => (),
        Expr::AssignUserVariable { value, .. } => f(value),
        Expr::Operator { args, .. } | Expr::Call { args, .. } => args.iter().for_each(f),
        Expr::Case { operand, branches, otherwise, .. } => {
            if let Some(o) = operand {
                f(o);
            }
            for (w, t) in branches {
                f(w);
                f(t);
            }
            if let Some(o) = otherwise {
                f(o);
            }
        }
        Expr::Cast { expr, .. } | Expr::InSorted { expr, .. } => f(expr),
        Expr::In { expr, list, .. } => {
            f(expr);
            list.iter().for_each(f)
        }
        Expr::Subquery { operands, .. } => operands.iter().for_each(f),
        Expr::Row(items) => items.iter().for_each(f),
    }
}

pub fn for_each_child_mut(e: &mut Expr, f: &mut dyn FnMut(&mut Expr)) {
    match e {
        Expr::Literal { .. } | Expr::Param { .. } | Expr::Column { .. } | Expr::ColumnRaw { .. } | Expr::UserVariable { .. } => (),
        Expr::AssignUserVariable { value, .. } => f(value),
        Expr::Operator { args, .. } | Expr::Call { args, .. } => args.iter_mut().for_each(f),
        Expr::Case { operand, branches, otherwise, .. } => {
            if let Some(o) = operand {
                f(o);
            }
            for (w, t) in branches {
                f(w);
                f(t);
            }
            if let Some(o) = otherwise {
                f(o);
            }
        }
        Expr::Cast { expr, .. } | Expr::InSorted { expr, .. } => f(expr),
        Expr::In { expr, list, .. } => {
            f(expr);
            list.iter_mut().for_each(f)
        }
        Expr::Subquery { operands, .. } => operands.iter_mut().for_each(f),
        Expr::Row(items) => items.iter_mut().for_each(f),
    }
}

/// Every node, parents first.
pub fn walk<'a>(e: &'a Expr, f: &mut dyn FnMut(&'a Expr)) {
    f(e);
    let mut children = Vec::new();
    for_each_child(e, &mut |c| children.push(c));
    for c in children {
        walk(c, f);
    }
}

/// The columns an expression reads, each once, in order of appearance; those that a subquery reads of its surroundings too.
pub fn columns_of(e: &Expr) -> Vec<ColumnId> {
    let mut out = Vec::new();
    walk(e, &mut |e| match e {
        Expr::Column { id, .. } | Expr::ColumnRaw { id, .. } if !out.contains(id) => out.push(*id),
        Expr::Subquery { outer, .. } => {
            for id in outer {
                if !out.contains(id) {
                    out.push(*id)
                }
            }
        }
        _ => (),
    });
    out
}

/// A copy with other column ids.
pub fn map_columns(e: &Expr, mut f: impl FnMut(ColumnId) -> ColumnId) -> Expr {
    transform(e, &mut |e| match e {
        Expr::Column { id, ty } => Some(Expr::Column { id: f(*id), ty: ty.clone() }),
        Expr::ColumnRaw { id, ty } => Some(Expr::ColumnRaw { id: f(*id), ty: ty.clone() }),
        _ => None,
    })
}

/// The parts of a conjunction.
pub fn conjuncts(e: &Expr) -> Vec<Expr> {
    let mut out = Vec::new();
    let mut todo = vec![e];
    while let Some(e) = todo.pop() {
        match e {
            Expr::Operator { op: Operator::And, args, .. } => todo.extend(args.iter().rev()),
            e => out.push(e.clone()),
        }
    }
    out
}

/// The least steady of an expression's parts.
pub fn volatility(e: &Expr) -> Volatility {
    let mut worst = Volatility::Immutable;
    let mut note = |v: Volatility| {
        if v as u8 > worst as u8 {
            worst = v
        }
    };
    walk(e, &mut |e| match e {
        Expr::Call { function, .. } => note(function.volatility),
        Expr::UserVariable { .. } | Expr::AssignUserVariable { .. } => note(Volatility::Volatile),
        _ => (),
    });
    worst
}

/// Holds no column, parameter, variable or subquery, and always gives the same.
pub fn is_constant(e: &Expr) -> bool {
    let mut constant = true;
    walk(e, &mut |e| match e {
        Expr::Param { .. }
        | Expr::Column { .. }
        | Expr::ColumnRaw { .. }
        | Expr::UserVariable { .. }
        | Expr::AssignUserVariable { .. }
        | Expr::Subquery { .. } => constant = false,
        Expr::Call { function, .. } if function.volatility != Volatility::Immutable => constant = false,
        // Depends on the session's time zone.
        Expr::Cast { ty, .. } if matches!(ty.kind, TypeKind::Timestamp { .. }) => constant = false,
        Expr::Literal { value: Value::Str(s), .. } if may_have_offset(s) => constant = false,
        // A time that becomes a date is one of today.
        Expr::Literal { value: Value::Time(_), .. } => constant = false,
        _ => (),
    });
    constant
}

/// A text that may be a date and time with an offset from UTC: '2024-01-01 10:00:00+02:00'.
fn may_have_offset(s: &str) -> bool {
    let b = s.trim_end().as_bytes();
    b.len() > 16 && b[b.len() - 3] == b':' && matches!(b[b.len() - 6], b'+' | b'-')
}
