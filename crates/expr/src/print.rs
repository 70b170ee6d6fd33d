//! Expressions as text, for EXPLAIN and for messages that quote them.
//!
//! Owns:     nothing.
//! Promises: readable, close to MySQL's own form; not meant to be parsed again.
//! Never:    shows more than a few hundred bytes of a literal.

use crate::tree::{Expr, Operator, SubqueryKind};
use std::fmt::Write;
use weald_types::{ColumnId, Value};

/// With columns as `#n`.
pub fn text(e: &Expr) -> String {
    text_with(e, &|id| format!("#{id}"))
}

/// With columns named by `name`.
pub fn text_with(e: &Expr, name: &dyn Fn(ColumnId) -> String) -> String {
    let mut out = String::new();
    write(e, name, &mut out);
    out
}

fn list(items: &[Expr], name: &dyn Fn(ColumnId) -> String, out: &mut String) {
    for (i, e) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write(e, name, out);
    }
}

fn write(e: &Expr, name: &dyn Fn(ColumnId) -> String, out: &mut String) {
    match e {
        Expr::Literal { value, ty } => match value {
            Value::Null => out.push_str("NULL"),
            Value::Int(_) | Value::UInt(_) | Value::Double(_) | Value::Decimal(_) => {
                let mut b = Vec::new();
                crate::format::write_text(value, ty, &mut b);
                out.push_str(&String::from_utf8_lossy(&b));
            }
            v => {
                let mut b = Vec::new();
                crate::format::write_text(v, ty, &mut b);
                let shown: String = String::from_utf8_lossy(&b).chars().take(200).collect();
                let _ = write!(out, "'{}'", shown.replace('\'', "''"));
            }
        },
        Expr::Param { index, .. } => {
            let _ = write!(out, "?{index}");
        }
        Expr::Column { id, .. } | Expr::ColumnRaw { id, .. } => out.push_str(&name(*id)),
        Expr::UserVariable { name, .. } => {
            let _ = write!(out, "@{name}");
        }
        Expr::AssignUserVariable { name: n, value, .. } => {
            let _ = write!(out, "@{n} := ");
            write(value, name, out);
        }
        Expr::Operator { op, args, .. } => match (op, args.as_slice()) {
            (Operator::Not, [a]) => {
                out.push_str("(not ");
                write(a, name, out);
                out.push(')');
            }
            (Operator::Negate, [a]) => {
                out.push('-');
                write(a, name, out);
            }
            (Operator::BitNot, [a]) => {
                out.push('~');
                write(a, name, out);
            }
            (Operator::IsNull, [a]) => {
                out.push('(');
                write(a, name, out);
                out.push_str(" is null)");
            }
            (Operator::IsTrue, [a]) => {
                out.push('(');
                write(a, name, out);
                out.push_str(" is true)");
            }
            (Operator::IsFalse, [a]) => {
                out.push('(');
                write(a, name, out);
                out.push_str(" is false)");
            }
            (Operator::Between, [a, b, c]) => {
                out.push('(');
                write(a, name, out);
                out.push_str(" between ");
                write(b, name, out);
                out.push_str(" and ");
                write(c, name, out);
                out.push(')');
            }
            (op, [a, b, ..]) => {
                out.push('(');
                write(a, name, out);
                let _ = write!(out, " {} ", symbol(*op));
                write(b, name, out);
                out.push(')');
            }
            (_, args) => list(args, name, out),
        },
        Expr::Call { function, args, .. } => {
            let _ = write!(out, "{}(", function.name.to_ascii_lowercase());
            list(args, name, out);
            out.push(')');
        }
        Expr::Case { operand, branches, otherwise, .. } => {
            out.push_str("case");
            if let Some(o) = operand {
                out.push(' ');
                write(o, name, out);
            }
            for (w, t) in branches {
                out.push_str(" when ");
                write(w, name, out);
                out.push_str(" then ");
                write(t, name, out);
            }
            if let Some(o) = otherwise {
                out.push_str(" else ");
                write(o, name, out);
            }
            out.push_str(" end");
        }
        Expr::Cast { expr, ty } => {
            out.push_str("cast(");
            write(expr, name, out);
            let _ = write!(out, " as {ty})");
        }
        Expr::In { expr, list: items, negated, .. } => {
            out.push('(');
            write(expr, name, out);
            out.push_str(if *negated { " not in (" } else { " in (" });
            list(&items[..items.len().min(20)], name, out);
            if items.len() > 20 {
                let _ = write!(out, ",… {} more", items.len() - 20);
            }
            out.push_str("))");
        }
        Expr::InSorted { expr, negated, .. } => {
            out.push('(');
            write(expr, name, out);
            out.push_str(if *negated { " not in (…))" } else { " in (…))" });
        }
        Expr::Subquery { index, kind, operands, .. } => {
            let word = match kind {
                SubqueryKind::Scalar => "",
                SubqueryKind::Exists { negated: false } => "exists ",
                SubqueryKind::Exists { negated: true } => "not exists ",
                SubqueryKind::In { negated: false, .. } => " in ",
                SubqueryKind::In { negated: true, .. } => " not in ",
                SubqueryKind::Quantified { all: true, .. } => " all ",
                SubqueryKind::Quantified { all: false, .. } => " any ",
            };
            list(operands, name, out);
            let _ = write!(out, "{word}(subquery {index})");
        }
        Expr::Row(items) => {
            out.push('(');
            list(items, name, out);
            out.push(')');
        }
    }
}

pub fn symbol(op: Operator) -> &'static str {
    match op {
        Operator::Not => "not",
        Operator::Negate => "-",
        Operator::BitNot => "~",
        Operator::Or => "or",
        Operator::Xor => "xor",
        Operator::And => "and",
        Operator::Eq => "=",
        Operator::NullSafeEq => "<=>",
        Operator::Ne => "<>",
        Operator::Lt => "<",
        Operator::Le => "<=",
        Operator::Gt => ">",
        Operator::Ge => ">=",
        Operator::BitOr => "|",
        Operator::BitAnd => "&",
        Operator::ShiftLeft => "<<",
        Operator::ShiftRight => ">>",
        Operator::BitXor => "^",
        Operator::Add => "+",
        Operator::Subtract => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        Operator::IntDivide => "DIV",
        Operator::Mod => "%",
        Operator::IsNull => "is null",
        Operator::IsTrue => "is true",
        Operator::IsFalse => "is false",
        Operator::Like => "like",
        Operator::Regexp => "regexp",
        Operator::Between => "between",
    }
}
