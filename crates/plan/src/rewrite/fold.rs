//! Constants computed when the plan is made, and truths that decide a condition.
//!
//! Owns:     nothing.
//! Promises: only what has one value for ever is computed, under the session's modes; what would warn or fail is left to execution, where the warning
//!           belongs. A constant quotient keeps the decimals that it has inside the expression.
//! Never:    touches params.

use crate::query::Rel;
use crate::walk;
use weald_expr::function::BindContext;
use weald_expr::{Expr, Operator};
use weald_types::Value;

pub fn fold_rel(rel: &mut Rel, session: &BindContext) {
    rel.exprs_mut(&mut |e| fold(e, session));
    if let Rel::Filter { predicate, .. } = rel {
        truth_only(predicate);
        let decided = matches!(predicate, Expr::Literal { value: Value::Int(n), .. } if *n != 0);
        if decided {
            Rel::replace(rel, |r| match r {
                Rel::Filter { input, .. } => *input,
                other => other,
            });
            return fold_rel(rel, session);
        }
    }
    for i in rel.inputs_mut() {
        fold_rel(i, session);
    }
}

pub fn fold_condition(e: &mut Expr, session: &BindContext) {
    fold(e, session);
    truth_only(e);
}

pub fn fold(e: &mut Expr, session: &BindContext) {
    walk::children_mut(e, &mut |c| fold(c, session));
    let ready = match e {
        Expr::Operator { args, .. } | Expr::Call { args, .. } => args.iter().all(is_literal),
        Expr::Cast { expr, .. } => is_literal(expr),
        Expr::In { expr, list, .. } => is_literal(expr) && list.iter().all(is_literal),
        Expr::Case { operand, branches, otherwise, .. } => {
            operand.as_deref().is_none_or(is_literal)
                && branches.iter().all(|(w, t)| is_literal(w) && is_literal(t))
                && otherwise.as_deref().is_none_or(is_literal)
        }
        Expr::Literal { .. }
        | Expr::Param { .. }
        | Expr::Column { .. }
        | Expr::ColumnRaw { .. }
        | Expr::UserVariable { .. }
        | Expr::AssignUserVariable { .. }
        | Expr::InSorted { .. }
        | Expr::Subquery { .. }
        | Expr::Row(_) => false,
    };
    if ready
        && walk::is_immutable(e)
        && let Some(value) = crate::typing::constant_value(e, session)
    {
        *e = Expr::Literal { value, ty: e.ty().clone() };
    }
}

fn is_literal(e: &Expr) -> bool {
    matches!(e, Expr::Literal { .. })
}

/// Simplifies where only truth counts: in a filter NULL is as good as false.
fn truth_only(e: &mut Expr) {
    let Expr::Operator { op: op @ (Operator::And | Operator::Or), args, .. } = e else { return };
    for a in args.iter_mut() {
        truth_only(a);
    }
    let is_true = |e: &Expr| matches!(e, Expr::Literal { value: Value::Int(n), .. } if *n != 0);
    let is_false = |e: &Expr| matches!(e, Expr::Literal { value: Value::Int(0) | Value::Null, .. });
    let and = *op == Operator::And;
    if args.iter().any(|a| if and { is_false(a) } else { is_true(a) }) {
        *e = walk::truth(!and);
        return;
    }
    args.retain(|a| if and { !is_true(a) } else { !is_false(a) });
    match args.len() {
        0 => *e = walk::truth(and),
        1 => *e = args.pop().expect("one operand is left"),
        _ => (),
    }
}
