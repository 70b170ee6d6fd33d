//! LOAD DATA.
//!
//! Owns:     nothing.
//! Promises: every column has a field of the file, an expression of SET, or a fill.
//! Never:    reads the file.

use super::insert::{assigned, assigned_column, changed_table, named_columns};
use super::rules::{fills, generated_value};
use super::{BoundLoad, LoadField, row_rules};
use crate::bind::Binder;
use crate::names::Bindings;
use weald_catalog::Privilege;
use weald_sql::ast;
use weald_types::Fault;

pub fn bind_load(env: &Bindings<'_>, l: &ast::LoadData) -> Result<BoundLoad, Fault> {
    let mut b = Binder::new(env);
    let table = changed_table(&b, &l.table, "INSERT")?;
    b.use_table(&table);
    let need = b.need(Privilege::Insert, &table.database_name, &table.name);
    if l.duplicates == ast::LoadDuplicates::Replace {
        b.need(Privilege::Delete, &table.database_name, &table.name);
    }
    let mut targets = Vec::new();
    let mut source_of = vec![None; table.columns.len()];
    if l.targets.is_empty() {
        for c in named_columns(&table, &[])? {
            b.need_column(need, &table.columns[c as usize].name);
            source_of[c as usize] = Some(targets.len() as u16);
            targets.push(LoadField::Column(c));
        }
    }
    for t in &l.targets {
        match t {
            ast::LoadTarget::Variable(name) => targets.push(LoadField::Variable(name.to_lowercase().into())),
            ast::LoadTarget::Column(name) => {
                let c = named_columns(&table, std::slice::from_ref(name))?[0];
                if source_of[c as usize].is_some() {
                    return Err(Fault::mysql(1110, "42000", format!("Column '{name}' specified twice")));
                }
                if table.columns[c as usize].generated.is_some() {
                    return Err(generated_value(name, &table.name));
                }
                b.need_column(need, &table.columns[c as usize].name);
                source_of[c as usize] = Some(targets.len() as u16);
                targets.push(LoadField::Column(c));
            }
        }
    }
    b.reserve_ids(table.columns.len() as u32);
    b.blocks.push(crate::bind::row_block(&table, None, None, 0));
    let mut set = Vec::with_capacity(l.set.len());
    for (column, value) in &l.set {
        let ordinal = assigned_column(&table, None, column)?;
        b.need_column(need, &table.columns[ordinal as usize].name);
        set.push((ordinal, assigned(&mut b, &table, ordinal, value)?));
    }
    b.blocks.pop();
    let fill = fills(&mut b, &table)?;
    Ok(BoundLoad {
        rules: row_rules(env, &table, None)?,
        table,
        targets,
        set,
        source_of,
        fill,
        duplicates: l.duplicates,
        needs: b.needs,
        warnings: b.warnings,
        subqueries: b.subqueries,
    })
}
