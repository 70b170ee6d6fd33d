//! What every row of a table must be given and must satisfy, bound.
//!
//! Owns:     nothing.
//! Promises: generated columns come in an order in which each reads only what is there before it.
//! Never:    evaluates anything.

use super::{Fill, RowRules};
use crate::bind::{Binder, parse_and_bind_over_row, subquery_in_definition};
use crate::names::Bindings;
use crate::walk;
use std::sync::Arc;
use weald_catalog::DefaultValue;
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

/// What a table's expressions may not say: what is not the same each time, what another session does not have, what does not exist yet when they are computed.
pub fn check_expressions(env: &Bindings<'_>, table: &TableRef) -> Result<(), Fault> {
    for (i, c) in table.columns.iter().enumerate() {
        if let Some(g) = &c.generated {
            let name = &c.name;
            let e = parse_and_bind_over_row(env, table, &g.expression).map_err(|f| match f {
                Fault::NoSuchColumn { column, .. } => Fault::NoSuchColumn { column, clause: "generated column function".into() },
                f if f == subquery_in_definition() => {
                    Fault::mysql(3102, "HY000", format!("Expression of generated column '{name}' contains a disallowed function."))
                }
                f => f,
            })?;
            if let Some(function) = changing_function(&e) {
                let text = format!("Expression of generated column '{name}' contains a disallowed function: {function}.");
                return Err(Fault::mysql(3763, "HY000", text));
            }
            if has_variable(&e) {
                return Err(Fault::mysql(3765, "HY000", format!("Expression of generated column '{name}' cannot refer user or system variables.")));
            }
            for at in walk::columns(&e).into_iter().map(|id| id.raw() as usize) {
                if table.columns[at].auto_increment {
                    return Err(Fault::mysql(3109, "HY000", format!("Generated column '{name}' cannot refer to auto-increment column.")));
                }
                if at >= i && table.columns[at].generated.is_some() {
                    return Err(Fault::mysql(3107, "HY000", "Generated column can refer only to generated columns defined prior to it."));
                }
            }
        }
        if let DefaultValue::Expression(text) = &c.default {
            let name = &c.name;
            let e = parse_and_bind_over_row(env, table, text).map_err(|f| match f {
                Fault::NoSuchColumn { column, .. } => Fault::NoSuchColumn { column, clause: "default value expression".into() },
                f if f == subquery_in_definition() => {
                    Fault::mysql(3769, "HY000", format!("Default value expression of column '{name}' contains a disallowed function."))
                }
                f => f,
            })?;
            if has_variable(&e) {
                return Err(Fault::mysql(
                    3772,
                    "HY000",
                    format!("Default value expression of column '{name}' cannot refer user or system variables."),
                ));
            }
            for at in walk::columns(&e).into_iter().map(|id| id.raw() as usize) {
                let other = &table.columns[at];
                if other.auto_increment {
                    let text = format!("Default value expression of column '{name}' cannot refer to an auto-increment column.");
                    return Err(Fault::mysql(3768, "HY000", text));
                }
                if at >= i && (other.generated.is_some() || matches!(other.default, DefaultValue::Expression(_))) {
                    let text = format!(
                        "Default value expression of column '{name}' cannot refer to a column defined after it if that column is a generated column or has an expression as default value."
                    );
                    return Err(Fault::mysql(3767, "HY000", text));
                }
            }
        }
    }
    for check in &table.checks {
        let name = &check.name;
        let e = parse_and_bind_over_row(env, table, &check.expression).map_err(|f| match f {
            Fault::NoSuchColumn { column, .. } => {
                Fault::mysql(3820, "HY000", format!("Check constraint '{name}' refers to non-existing column '{column}'."))
            }
            f if f == subquery_in_definition() => {
                Fault::mysql(3815, "HY000", format!("An expression of a check constraint '{name}' contains disallowed function."))
            }
            f => f,
        })?;
        if let Some(function) = changing_function(&e) {
            let text = format!("An expression of a check constraint '{name}' contains disallowed function: {function}.");
            return Err(Fault::mysql(3814, "HY000", text));
        }
        if has_variable(&e) {
            let text = format!("An expression of a check constraint '{name}' cannot refer to a user or system variable.");
            return Err(Fault::mysql(3816, "HY000", text));
        }
        if walk::columns(&e).into_iter().any(|id| table.columns[id.raw() as usize].auto_increment) {
            return Err(Fault::mysql(3818, "HY000", format!("Check constraint '{name}' cannot refer to an auto-increment column.")));
        }
    }
    Ok(())
}

/// A function that answers otherwise at another time or to another session, as MySQL calls it.
fn changing_function(e: &Expr) -> Option<String> {
    let mut found = None;
    walk::walk(e, &mut |n| {
        if let Expr::Call { function, args, .. } = n {
            let changes = match function.name {
                // Of a given time these only depend on the time zone.
                "UNIX_TIMESTAMP" => args.is_empty(),
                "BENCHMARK" | "CONNECTION_ID" | "CURDATE" | "CURRENT_ROLE" | "CURRENT_USER" | "CURTIME" | "DATABASE" | "FOUND_ROWS" | "GET_LOCK"
                | "IS_FREE_LOCK" | "IS_USED_LOCK" | "LAST_INSERT_ID" | "NOW" | "RAND" | "RANDOM_BYTES" | "RELEASE_ALL_LOCKS" | "RELEASE_LOCK"
                | "ROW_COUNT" | "SLEEP" | "SYSDATE" | "USER" | "UTC_DATE" | "UTC_TIME" | "UTC_TIMESTAMP" | "UUID" | "UUID_SHORT" | "VERSION" => true,
                _ => false,
            };
            if changes {
                found.get_or_insert_with(|| function.name.to_lowercase());
            }
        }
    });
    found
}

fn has_variable(e: &Expr) -> bool {
    walk::any(e, &|n| matches!(n, Expr::UserVariable { .. } | Expr::AssignUserVariable { .. }))
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

/// What MariaDB says where it leaves the value out of account.
pub fn generated_value_ignored(column: &str, table: &str) -> Fault {
    Fault::mysql(1906, "HY000", format!("The value specified for generated column '{column}' in table '{table}' has been ignored"))
}

pub fn generated_value(column: &str, table: &str) -> Fault {
    Fault::mysql(3105, "HY000", format!("The value specified for generated column '{column}' in table '{table}' is not allowed."))
}
