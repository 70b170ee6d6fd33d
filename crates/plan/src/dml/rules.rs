//! What every row of a table must be given and must satisfy, bound.
//!
//! Owns:     nothing.
//! Promises: generated columns come in an order in which each reads only what is there before it.
//! Never:    evaluates anything.

use super::{Fill, RowRules};
use crate::bind::{Binder, parse_and_bind_over_row};
use crate::names::Bindings;
use std::sync::Arc;
use weald_catalog::table::TableRef;
use weald_expr::Expr;
use weald_types::{Fault, SqlType, TypeKind, Value};

/// The rules of `table` for a statement that assigns `assigned` (None: an INSERT).
pub fn row_rules(env: &Bindings<'_>, table: &TableRef, assigned: Option<&[u16]>) -> Result<Arc<RowRules>, Fault> {
    let mut rules = RowRules::default();
    for (i, c) in table.columns.iter().enumerate() {
        // A generated column may read those before it only, generated ones included: the table's order serves.
        if let Some(g) = &c.generated {
            rules.generated.push((i as u16, parse_and_bind_over_row(env, table, &g.expression)?));
        }
        if let (true, Some(assigned)) = (c.on_update_now, assigned)
            && !assigned.contains(&(i as u16))
        {
            let mut b = Binder::new(env);
            rules.on_update.push((i as u16, b.now(c.ty.kind.fsp().unwrap_or(0))?));
        }
    }
    for c in table.checks.iter().filter(|c| c.enforced) {
        rules.checks.push((c.name.clone(), parse_and_bind_over_row(env, table, &c.expression)?));
    }
    Ok(Arc::new(rules))
}

/// What each column holds where nothing is given.
pub fn fills(b: &mut Binder<'_>, table: &TableRef) -> Result<Vec<Fill>, Fault> {
    (0..table.columns.len()).map(|i| fill(b, table, i)).collect()
}

pub fn fill(b: &mut Binder<'_>, table: &TableRef, i: usize) -> Result<Fill, Fault> {
    let c = &table.columns[i];
    if c.generated.is_some() {
        return Ok(Fill::Generated);
    }
    if c.auto_increment {
        return Ok(Fill::AutoIncrement);
    }
    Ok(match b.default_value(table, c)? {
        Some(e) => Fill::Default(e),
        None if c.ty.nullable => Fill::Default(Expr::Literal { value: Value::Null, ty: SqlType::null() }),
        // An ENUM that must not be NULL begins with its first member.
        None if matches!(c.ty.kind, TypeKind::Enum(_)) => Fill::Default(Expr::Literal { value: Value::Int(1), ty: SqlType::bigint(false) }),
        None => Fill::Missing,
    })
}

pub fn generated_value(column: &str, table: &str) -> Fault {
    Fault::mysql(3105, "HY000", format!("The value specified for generated column '{column}' in table '{table}' is not allowed."))
}
