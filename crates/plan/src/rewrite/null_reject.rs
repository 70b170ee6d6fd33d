//! Which conditions cannot be true of a row of NULLs.
//!
//! Owns:     nothing.
//! Promises: `rejects` says true only where it is certain; then an outer join below the condition is an inner one.
//! See:      Galindo-Legaria and Rosenthal, "Outerjoin simplification and reordering", 1997.
//! Never:    evaluates the predicate.

use crate::walk;
use std::collections::BTreeSet;
use weald_expr::{Expr, Operator, SubqueryKind};
use weald_types::{ColumnId, Value};

/// Whether `e` is certainly not true where all of `columns` are NULL.
pub fn rejects(e: &Expr, columns: &BTreeSet<ColumnId>) -> bool {
    match e {
        Expr::Literal { value, .. } => matches!(value, Value::Null | Value::Int(0)),
        Expr::Operator { op, args, .. } => match op {
            Operator::And => args.iter().any(|a| rejects(a, columns)),
            Operator::Or => args.iter().all(|a| rejects(a, columns)),
            Operator::IsTrue => rejects(&args[0], columns),
            Operator::IsFalse => is_null(&args[0], columns),
            Operator::Not => not_rejects(&args[0], columns),
            Operator::Between => args.iter().any(|a| is_null(a, columns)),
            _ => is_null(e, columns),
        },
        _ => is_null(e, columns),
    }
}

/// Whether NOT `e` is certainly not true.
fn not_rejects(e: &Expr, columns: &BTreeSet<ColumnId>) -> bool {
    match e {
        Expr::Operator { op: Operator::IsNull, args, .. } => is_null(&args[0], columns),
        Expr::Operator { op: Operator::And, args, .. } => args.iter().all(|a| not_rejects(a, columns)),
        Expr::Operator { op: Operator::Or, args, .. } => args.iter().any(|a| not_rejects(a, columns)),
        // NULL BETWEEN … is NULL, but x BETWEEN NULL AND y may be false.
        Expr::Operator { op: Operator::Between, args, .. } => is_null(&args[0], columns),
        _ => is_null(e, columns),
    }
}

/// Whether `e` is certainly NULL where all of `columns` are.
pub fn is_null(e: &Expr, columns: &BTreeSet<ColumnId>) -> bool {
    match e {
        Expr::Column { id, .. } | Expr::ColumnRaw { id, .. } => columns.contains(id),
        Expr::Literal { value, .. } => value.is_null(),
        Expr::Cast { expr, .. } => is_null(expr, columns),
        Expr::Operator { op, args, .. } => match op {
            Operator::NullSafeEq | Operator::IsNull | Operator::IsTrue | Operator::IsFalse | Operator::And | Operator::Or => false,
            Operator::Between => is_null(&args[0], columns),
            Operator::Not
            | Operator::Negate
            | Operator::BitNot
            | Operator::Xor
            | Operator::Eq
            | Operator::Ne
            | Operator::Lt
            | Operator::Le
            | Operator::Gt
            | Operator::Ge
            | Operator::BitOr
            | Operator::BitAnd
            | Operator::ShiftLeft
            | Operator::ShiftRight
            | Operator::BitXor
            | Operator::Add
            | Operator::Subtract
            | Operator::Multiply
            | Operator::Divide
            | Operator::IntDivide
            | Operator::Mod
            | Operator::Like
            | Operator::Regexp => args.iter().any(|a| is_null(a, columns)),
        },
        Expr::In { expr, .. } | Expr::InSorted { expr, .. } => is_null(expr, columns),
        Expr::Subquery {
            kind: SubqueryKind::In { .. } | SubqueryKind::Quantified { .. } | SubqueryKind::Scalar | SubqueryKind::Exists { .. },
            ..
        } => false,
        Expr::Param { .. } | Expr::UserVariable { .. } | Expr::AssignUserVariable { .. } | Expr::Call { .. } | Expr::Case { .. } | Expr::Row(_) => {
            false
        }
    }
}

/// Whether the condition reads any of `columns`.
pub fn touches(e: &Expr, columns: &BTreeSet<ColumnId>) -> bool {
    walk::columns(e).iter().any(|c| columns.contains(c))
}
