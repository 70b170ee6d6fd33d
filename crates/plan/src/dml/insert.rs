//! INSERT and REPLACE.
//!
//! Owns:     nothing.
//! Promises: every column of a new row has a source or a fill.
//! Never:    checks values: that is storing them.

use super::rules::{fills, generated_value, generated_value_ignored};
use super::update::forget_unread;
use super::{Assigned, BoundInsert, BoundOnDuplicate, Fill, Given, InsertSource, row_rules};
use crate::bind::scope::{Clause, ScopeColumn, ScopeTable, same_name};
use crate::bind::{Binder, RowScope};
use crate::names::{Bindings, Statistics};
use crate::query::{Query, Rel};
use crate::rewrite;
use std::sync::Arc;
use weald_catalog::table::TableRef;
use weald_catalog::{Privilege, TableDef};
use weald_sql::ast;
use weald_types::{ColumnId, Fault, Warning, WarningLevel};

pub fn bind_insert(env: &Bindings<'_>, statistics: &dyn Statistics, i: &ast::Insert) -> Result<BoundInsert, Fault> {
    let mut b = Binder::new(env);
    let table = changed_table(&b, &i.table, "INSERT")?;
    b.use_table(&table);
    let columns = named_columns(&table, &i.columns)?;
    let mut source_of = vec![None; table.columns.len()];
    for (n, c) in columns.iter().enumerate() {
        source_of[*c as usize] = Some(n as u16);
    }
    let need = b.need(Privilege::Insert, &table.database_name, &table.name);
    for c in &columns {
        b.need_column(need, &table.columns[*c as usize].name);
    }
    if i.replace {
        b.need(Privilege::Delete, &table.database_name, &table.name);
    }
    // What the row's own values and ON DUPLICATE KEY UPDATE read of the table.
    let read = b.need(Privilege::Select, &table.database_name, &table.name);
    let fill = fills(&mut b, &table)?;

    let (source, inner) = match &i.source {
        ast::InsertSource::Values(rows) => {
            let rows = value_rows(&mut b, &table, &columns, rows, !i.columns.is_empty(), read)?;
            (InsertSource::Rows(rows), None)
        }
        ast::InsertSource::Query(q) => {
            let mut query = crate::bind::bind_query(env, q)?;
            if query.columns.len() != columns.len() {
                return Err(Fault::ColumnCountMismatch { row: 1 });
            }
            if let Some(c) = columns.iter().map(|c| &table.columns[*c as usize]).find(|c| c.generated.is_some()) {
                return Err(generated_value(&c.name, &table.name));
            }
            b.needs.append(&mut query.needs);
            b.warnings.append(&mut query.warnings);
            let shown = query.clone();
            rewrite::optimize(&mut query, &env.session, statistics);
            (InsertSource::Query(Box::new(query)), Some(shown))
        }
    };
    if i.delayed {
        let verb = if i.replace { "REPLACE" } else { "INSERT" };
        let text = format!("{verb} DELAYED is no longer supported. The statement was converted to {verb}.");
        b.warnings.push(Warning { level: WarningLevel::Warning, fault: Fault::mysql(3005, "HY000", text) });
    }
    // Known before a row is looked at, where rows are certain to come.
    let strict = env.session.sql_mode.is_strict() && !i.ignore;
    if let (true, InsertSource::Rows(rows)) = (strict, &source)
        && !rows.is_empty()
    {
        for (n, f) in fill.iter().enumerate() {
            if *f == Fill::Missing && source_of[n].is_none() {
                return Err(Fault::NoDefault { column: table.columns[n].name.to_string() });
            }
        }
    }
    let on_duplicate = if i.replace {
        BoundOnDuplicate::Replace
    } else if i.on_duplicate.is_empty() {
        BoundOnDuplicate::Error
    } else {
        on_duplicate(&mut b, env, &table, i, &columns, inner.as_ref(), read)?
    };
    forget_unread(&mut b, read);
    let params = merged_params(&b, &source);
    Ok(BoundInsert {
        rules: row_rules(env, &table, None)?,
        table,
        source_of,
        fill,
        source,
        replace: i.replace,
        ignore: i.ignore,
        on_duplicate,
        params,
        needs: b.needs,
        warnings: b.warnings,
        subqueries: b.subqueries,
    })
}

fn merged_params(b: &Binder<'_>, source: &InsertSource) -> Vec<weald_types::SqlType> {
    let mut own = b.param_types();
    if let InsertSource::Query(q) = source {
        for (n, ty) in q.params.iter().enumerate() {
            if n >= own.len() {
                own.push(ty.clone());
            } else if b.params.get(n).is_none_or(Option::is_none) {
                own[n] = ty.clone();
            }
        }
    }
    own
}

/// The base table that a statement changes.
pub fn changed_table(b: &Binder<'_>, name: &ast::ObjectName, verb: &str) -> Result<TableRef, Fault> {
    let database = b.database_of(name)?;
    if let Some(t) = b.env.names.table(&database, &name.name) {
        return Ok(t);
    }
    if let Some(view) = b.env.names.view(&database, &name.name) {
        // One that cannot even be read is said to be broken.
        Binder::new(&b.env).check_view(&view)?;
        return Err(match verb {
            "INSERT" => Fault::mysql(1471, "HY000", format!("The target table {} of the INSERT is not insertable-into", name.name)),
            _ => not_updatable(&name.name, verb),
        });
    }
    if weald_catalog::user::is_information_schema(&database) {
        let (user, host) = b.env.names.current_user();
        return Err(Fault::mysql(1044, "42000", format!("Access denied for user '{user}'@'{host}' to database '{database}'")));
    }
    if b.env.names.database(&database).is_none() {
        return Err(Fault::NoSuchDatabase { name: database });
    }
    Err(Fault::NoSuchTable { database, table: name.name.clone() })
}

pub fn not_updatable(table: &str, verb: &str) -> Fault {
    Fault::mysql(1288, "HY000", format!("The target table {table} of the {verb} is not updatable"))
}

/// The columns that a statement names; all that are not invisible if it names none.
pub fn named_columns(table: &TableDef, names: &[String]) -> Result<Vec<u16>, Fault> {
    if names.is_empty() {
        return Ok((0..table.columns.len() as u16).filter(|c| !table.columns[*c as usize].invisible).collect());
    }
    let mut out = Vec::with_capacity(names.len());
    for n in names {
        let c = table
            .columns
            .iter()
            .position(|c| same_name(&c.name, n))
            .ok_or_else(|| Fault::NoSuchColumn { column: n.clone(), clause: "field list".into() })? as u16;
        if out.contains(&c) {
            return Err(Fault::mysql(1110, "42000", format!("Column '{}' specified twice", table.columns[c as usize].name)));
        }
        out.push(c);
    }
    Ok(out)
}

fn value_rows(
    b: &mut Binder<'_>,
    table: &TableRef,
    columns: &[u16],
    rows: &[Vec<ast::Expr>],
    named: bool,
    read: usize,
) -> Result<Arc<[Vec<Given>]>, Fault> {
    b.reserve_ids(table.columns.len() as u32);
    b.blocks.push(crate::bind::row_block(table, None, Some(read), 0));
    let mut out = Vec::with_capacity(rows.len());
    for (n, row) in rows.iter().enumerate() {
        // `VALUES ()` is a row of defaults.
        if row.is_empty() && !named {
            out.push(vec![Given::Default; columns.len()]);
            continue;
        }
        if row.len() != columns.len() {
            return Err(Fault::ColumnCountMismatch { row: n as u64 + 1 });
        }
        let mut values = Vec::with_capacity(row.len());
        for (e, c) in row.iter().zip(columns) {
            let def = &table.columns[*c as usize];
            if matches!(e, ast::Expr::Default(None)) {
                values.push(Given::Default);
                continue;
            }
            if def.generated.is_some() {
                // DEFAULT(the column itself) is all that may be said.
                if matches!(e, ast::Expr::Default(Some(d)) if same_name(d, &def.name)) {
                    values.push(Given::Default);
                    continue;
                }
                if b.env.session.sql_mode.is_strict() {
                    return Err(generated_value(&def.name, &table.name));
                }
                // MySQL refuses it in every mode. MariaDB's mysqldump writes the values of generated columns and relies on this when it reads them in again.
                b.expr(e)?;
                if n == 0 {
                    b.warnings.push(Warning { level: WarningLevel::Warning, fault: generated_value_ignored(&def.name, &table.name) });
                }
                values.push(Given::Default);
                continue;
            }
            let bound = b.expr(e)?;
            values.push(Given::Expr(b.give_type(bound, &def.ty)));
        }
        out.push(values);
    }
    b.blocks.pop();
    if b.subqueries.iter().any(|s| reads_directly(s, table)) {
        return Err(target_in_subquery(&table.name));
    }
    Ok(out.into())
}

pub fn target_in_subquery(table: &str) -> Fault {
    Fault::mysql(1093, "HY000", format!("You can't specify target table '{table}' for update in FROM clause"))
}

/// Whether the subquery's own FROM names `table`; in a derived table it may.
pub fn reads_directly(rel: &Rel, table: &TableRef) -> bool {
    fn block(rel: &Rel, table: &TableRef) -> bool {
        match rel {
            Rel::Scan { table: t, .. } => t.id == table.id,
            Rel::Filter { input, .. } | Rel::Aggregate { input, .. } | Rel::Window { input, .. } | Rel::Lock { input, .. } => block(input, table),
            Rel::Join { left, right, .. } => block(left, table) || block(right, table),
            _ => false,
        }
    }
    match rel {
        Rel::Project { input, .. } => match &**input {
            // A projection that only leaves out sort keys.
            Rel::Sort { .. } | Rel::Limit { .. } | Rel::Distinct { .. } | Rel::Lock { .. } => reads_directly(input, table),
            other => block(other, table),
        },
        Rel::Sort { input, .. } | Rel::Limit { input, .. } | Rel::Distinct { input } | Rel::Lock { input, .. } => reads_directly(input, table),
        Rel::SetOp { left, right, .. } => reads_directly(left, table) || reads_directly(right, table),
        _ => false,
    }
}

fn on_duplicate(
    b: &mut Binder<'_>,
    env: &Bindings<'_>,
    table: &TableRef,
    i: &ast::Insert,
    columns: &[u16],
    source: Option<&Query>,
    read: usize,
) -> Result<BoundOnDuplicate, Fault> {
    let n = table.columns.len() as u32;
    let need = b.need(Privilege::Update, &table.database_name, &table.name);
    let mut block = crate::bind::row_block(table, None, Some(read), 0);
    let targets = block.visible.clone();
    if let Some((alias, names)) = &i.row_alias {
        if same_name(alias, &table.name) {
            return Err(Fault::mysql(1066, "42000", format!("Not unique table/alias: '{alias}'")));
        }
        let mut scope = crate::bind::row_table(table, Some(alias), None, n);
        scope.database = None;
        if !names.is_empty() {
            if names.len() != columns.len() {
                return Err(Fault::ColumnCountMismatch { row: 1 });
            }
            let renamed: Vec<ScopeColumn> =
                columns.iter().zip(names).map(|(c, name)| ScopeColumn { name: name.as_str().into(), ..scope.columns[*c as usize].clone() }).collect();
            scope.columns = renamed;
        }
        // Names of its own need no alias before them.
        let at = block.tables.len();
        let own = |name: &str| targets.iter().any(|p| same_name(&block.column(*p).name, name));
        let extra: Vec<_> = (0..scope.columns.len()).filter(|c| !own(&scope.columns[*c].name)).map(|c| (at, c)).collect();
        block.visible.extend(extra);
        block.tables.push(scope);
        block.defs.push(None);
    }
    let mut width = 0;
    if let Some(q) = source {
        width = q.columns.len() as u32;
        add_source_tables(&mut block, q, n, &targets);
    }
    b.reserve_ids(2 * n + width);
    b.insert_values = Some(RowScope { table: table.clone(), offset: n });
    b.blocks.push(block);
    let before = b.subqueries.len();
    let mut assignments = Vec::with_capacity(i.on_duplicate.len());
    for (column, value) in &i.on_duplicate {
        let ordinal = assigned_column(table, None, column)?;
        b.need_column(need, &table.columns[ordinal as usize].name);
        let assigned = assigned(b, table, ordinal, value)?;
        assignments.push((ordinal, assigned));
    }
    if b.subqueries[before..].iter().any(|s| reads_directly(s, table)) {
        return Err(target_in_subquery(&table.name));
    }
    b.blocks.pop();
    b.insert_values = None;
    let touched: Vec<u16> = assignments.iter().map(|a| a.0).collect();
    Ok(BoundOnDuplicate::Update { assignments, rules: row_rules(env, table, Some(&touched))? })
}

/// Columns of INSERT … SELECT's tables, as far as they are selected.
fn add_source_tables(block: &mut crate::bind::scope::Block, q: &Query, n: u32, targets: &[(usize, usize)]) {
    let mut tables: Vec<ScopeTable> = Vec::new();
    for (i, c) in q.columns.iter().enumerate() {
        let alias: Box<str> = c.origin.as_ref().map_or("".into(), |o| o.table_alias.clone());
        let name: Arc<str> = c.origin.as_ref().map_or_else(|| c.name.clone(), |o| Arc::from(&*o.column));
        let column = ScopeColumn {
            name,
            id: ColumnId::new(2 * n + i as u32),
            ty: crate::bind::evaluated(&c.ty),
            client: c.ty.clone(),
            origin: c.origin.clone(),
            invisible: false,
        };
        match tables.iter_mut().find(|t| t.name == alias) {
            Some(t) => t.columns.push(column),
            None => tables.push(ScopeTable {
                database: c.origin.as_ref().map(|o| o.database.clone()),
                name: alias,
                columns: vec![column],
                need: None,
                any_case: false,
                places: vec![],
            }),
        }
    }
    for t in tables {
        let at = block.tables.len();
        let fresh: Vec<_> = (0..t.columns.len())
            .filter(|c| !targets.iter().any(|p| same_name(&block.column(*p).name, &t.columns[*c].name)))
            .map(|c| (at, c))
            .collect();
        block.visible.extend(fresh);
        block.tables.push(t);
        block.defs.push(None);
    }
}

/// The column on the left of an assignment.
pub fn assigned_column(table: &TableDef, alias: Option<&str>, c: &ast::ObjectColumn) -> Result<u16, Fault> {
    let shown = alias.unwrap_or(&table.name);
    let full = crate::bind::scope::full_name(c.database.as_deref(), c.table.as_deref(), &c.name);
    let ours = c.table.as_deref().is_none_or(|t| t == shown) && c.database.as_deref().is_none_or(|d| d == &*table.database_name);
    let at = if ours { table.columns.iter().position(|x| same_name(&x.name, &c.name)) } else { None };
    at.map(|i| i as u16).ok_or(Fault::NoSuchColumn { column: full, clause: "field list".into() })
}

/// The right side of an assignment to column `ordinal`.
pub fn assigned(b: &mut Binder<'_>, table: &TableRef, ordinal: u16, value: &ast::Expr) -> Result<Assigned, Fault> {
    let def = &table.columns[ordinal as usize];
    let default = match value {
        ast::Expr::Default(None) => true,
        ast::Expr::Default(Some(d)) if def.generated.is_some() => same_name(d, &def.name),
        _ => false,
    };
    if default {
        return Ok(Assigned::Fill(super::rules::fill(b, table, ordinal as usize)?));
    }
    if def.generated.is_some() {
        return Err(generated_value(&def.name, &table.name));
    }
    let bound = b.in_clause(Clause::Fields, |b| b.expr(value))?;
    if !b.block().aggregates.is_empty() {
        return Err(Fault::mysql(1111, "HY000", "Invalid use of group function"));
    }
    Ok(Assigned::Expr(b.give_type(bound, &def.ty)))
}
