//! DELETE, from one table or from several.
//!
//! Owns:     nothing.
//! Promises: the multi-table form deletes each row it finds once, however often the join gives it.
//! Never:    deletes from a view or a derived table.

use super::insert::{changed_table, not_updatable, reads_directly, target_in_subquery};
use super::update::{Found, assigns_variable, forget_unread, project_changes};
use super::{BoundDelete, ChangeTarget, RowChanges, RowRules};
use crate::bind::Binder;
use crate::bind::scope::{Block, Clause};
use crate::fragment::Action;
use crate::names::{Bindings, Statistics};
use std::sync::Arc;
use weald_catalog::Privilege;
use weald_sql::ast;
use weald_types::Fault;

pub fn bind_delete(env: &Bindings<'_>, statistics: &dyn Statistics, d: &ast::Delete) -> Result<BoundDelete, Fault> {
    match (&d.targets[..], &d.from[..], &d.with) {
        ([], [ast::TableRef::Table { name, alias, .. }], None) => single(env, statistics, d, name, alias.as_deref()),
        _ => several(env, statistics, d),
    }
}

fn single(
    env: &Bindings<'_>,
    statistics: &dyn Statistics,
    d: &ast::Delete,
    name: &ast::ObjectName,
    alias: Option<&str>,
) -> Result<BoundDelete, Fault> {
    let mut b = Binder::new(env);
    let table = changed_table(&b, name, "DELETE")?;
    b.use_table(&table);
    b.reserve_ids(table.columns.len() as u32);
    b.need(Privilege::Delete, &table.database_name, &table.name);
    let read = b.need(Privilege::Select, &table.database_name, &table.name);
    b.blocks.push(crate::bind::row_block(&table, alias, Some(read), 0));
    let found = Found::bind(&mut b, &table, d.filter.as_ref(), &d.order_by, d.limit.as_ref())?;
    forget_unread(&mut b, read);
    if b.subqueries.is_empty()
        && !found.filter.iter().any(assigns_variable)
        && let Some(found) = found.in_place(&table, |sort, limit| Action::Delete { sort, limit })
    {
        return Ok(BoundDelete::Fragment(found.bound_by(b)));
    }
    let query = found.into_query(b, &table, vec![], statistics);
    let target = ChangeTarget { table, locator: 0, values: vec![], rules: Arc::new(RowRules::default()), moves: false };
    Ok(BoundDelete::Rows(RowChanges { query, targets: vec![target], ignore: d.ignore }))
}

fn several(env: &Bindings<'_>, statistics: &dyn Statistics, d: &ast::Delete) -> Result<BoundDelete, Fault> {
    if !d.order_by.is_empty() {
        return Err(Fault::mysql(1221, "HY000", "Incorrect usage of DELETE and ORDER BY"));
    }
    if d.limit.is_some() {
        return Err(Fault::mysql(1221, "HY000", "Incorrect usage of DELETE and LIMIT"));
    }
    let mut b = Binder::new(env);
    if let Some(with) = &d.with {
        b.with(with)?;
    }
    b.blocks.push(Block::default());
    b.locators_at = Some(b.blocks.len());
    let mut rel = b.in_clause(Clause::From, |b| b.from(&d.from))?;
    b.locators_at = None;
    if let Some(f) = &d.filter {
        let predicate = b.in_clause(Clause::Where, |b| b.condition(f))?;
        rel = rel.filter(vec![predicate]);
    }
    // A single-table DELETE with a WITH before it has no list of targets.
    let names: Vec<ast::ObjectName> = match &d.targets[..] {
        [] => b.block().tables.iter().map(|t| ast::ObjectName { database: None, name: t.name.to_string() }).collect(),
        named => named.to_vec(),
    };
    let mut exprs = Vec::new();
    let mut targets: Vec<ChangeTarget> = Vec::new();
    for name in &names {
        let at = b.block().tables.iter().position(|t| t.is_called(name.database.as_deref(), &name.name));
        let Some(t) = at else { return Err(Fault::mysql(1109, "42S02", format!("Unknown table '{}' in MULTI DELETE", name.name))) };
        let Some(table) = b.block().defs[t].clone() else { return Err(not_updatable(&name.name, "DELETE")) };
        if b.subqueries.iter().any(|s| reads_directly(s, &table)) {
            return Err(target_in_subquery(&table.name));
        }
        b.need(Privilege::Delete, &table.database_name, &table.name);
        let locator = exprs.len();
        let e = b.locator_of(t)?;
        if exprs.contains(&e) {
            return Err(Fault::mysql(1066, "42000", format!("Not unique table/alias: '{}'", name.name)));
        }
        exprs.push(e);
        targets.push(ChangeTarget { table, locator, values: vec![], rules: Arc::new(RowRules::default()), moves: false });
    }
    let query = project_changes(b, rel, exprs, statistics);
    Ok(BoundDelete::Rows(RowChanges { query, targets, ignore: d.ignore }))
}
