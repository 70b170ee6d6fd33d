//! CREATE TABLE: from a syntax tree to a definition.
//!
//! Owns:     nothing.
//! Promises: columns stand as written, then what a query brings; keys in MySQL's order.
//! Never:    leaves a clause out without an error or a warning.

use super::column::column;
use super::column_type::table_collation;
use super::keys::{add_check, add_index, foreign_key, key_column, single};
use super::whole_table::{Said, finish};
use super::{DdlContext, check_name, duplicate_column, engine_and_ignored};
use crate::bind::evaluated;
use weald_catalog::table::TableOptions;
use weald_catalog::{ColumnDef, DefaultValue, Sharding, TableDef};
use weald_sql::ast;
use weald_sql::ast::IndexKind;
use weald_types::{Fault, SchemaVersion, SqlType, TableId, TypeKind};

/// A column that CREATE TABLE … SELECT gets from its query.
#[derive(Clone, Debug)]
pub struct SelectedColumn {
    pub name: String,
    pub ty: SqlType,
    /// The table's column that it is, unchanged.
    pub origin: Option<ColumnDef>,
}

/// A new table.
pub fn create_table(c: &ast::CreateTable, name: &str, from_query: &[SelectedColumn], ctx: &mut DdlContext<'_>) -> Result<TableDef, Fault> {
    if c.columnstore {
        return Err(Fault::not_supported("COLUMNSTORE tables"));
    }
    check_name(name, 1103, "table")?;
    let collation = table_collation(&c.options, ctx.collation)?;
    let mut columns = Vec::new();
    let mut indexes: Vec<(ast::IndexDef, bool)> = Vec::new();
    for def in &c.columns {
        let column = column(def, collation, ctx)?;
        if def.options.primary_key {
            indexes.push((single(IndexKind::Primary, &def.name), false));
        }
        if def.options.unique {
            indexes.push((single(IndexKind::Unique, &def.name), false));
        }
        columns.push(column);
    }
    // CREATE … SELECT: what the query brings stands behind the columns that are only written, in the query's order; of a column in both, the written type counts.
    for (i, SelectedColumn { name, ty, origin }) in from_query.iter().enumerate() {
        if from_query[..i].iter().any(|other| other.name.eq_ignore_ascii_case(name)) {
            return Err(duplicate_column(name));
        }
        if let Some(at) = columns.iter().position(|c: &ColumnDef| c.name.eq_ignore_ascii_case(name)) {
            let written = columns.remove(at);
            columns.push(written);
            continue;
        }
        let ty = if origin.is_some() { ty.clone() } else { evaluated(ty).as_number() };
        let ty = if matches!(ty.kind, TypeKind::Null) { SqlType::new(TypeKind::Binary { bytes: 0 }, true) } else { ty };
        let default = match origin {
            // What an outer join may leave out can be NULL whatever the table says.
            Some(o) if o.ty.nullable == ty.nullable && !o.auto_increment && o.generated.is_none() => o.default.clone(),
            _ if ty.nullable => DefaultValue::Null,
            _ => zero_default(&ty),
        };
        columns.push(ColumnDef {
            name: name.as_str().into(),
            ty,
            default,
            on_update_now: origin.as_ref().is_some_and(|o| o.on_update_now),
            auto_increment: false,
            invisible: false,
            comment: origin.as_ref().map_or_else(|| "".into(), |o| o.comment.clone()),
            generated: None,
        });
    }
    let mut t = TableDef {
        id: TableId::new(0),
        database: ctx.database_id,
        database_name: ctx.database.into(),
        name: name.into(),
        version: SchemaVersion::FIRST,
        columns,
        indexes: Vec::new(),
        primary_key: false,
        sharding: Sharding::RowId,
        collation,
        comment: c.options.comment.clone().unwrap_or_default().into(),
        checks: Vec::new(),
        auto_increment_start: c.options.auto_increment.unwrap_or(1),
        options: TableOptions { temporary: c.temporary, engine: "InnoDB".into() },
        created: 0,
        layouts: Vec::new(),
    };
    engine_and_ignored(&c.options, ctx)?;
    let mut shard: Option<Vec<u16>> = None;
    indexes.extend(c.indexes.iter().map(|i| (i.clone(), true)));
    // The primary key first, then unique keys, then the others: as MySQL shows them.
    indexes.sort_by_key(|(i, _)| match i.kind {
        IndexKind::Primary => 0,
        IndexKind::Unique => 1,
        _ => 2,
    });
    for (i, _) in &indexes {
        match i.kind {
            IndexKind::Shard => {
                shard = Some(i.columns.iter().map(|p| t.column(&p.column).ok_or_else(|| key_column(&p.column))).collect::<Result<_, _>>()?)
            }
            IndexKind::Sort => ctx.warn("SORT KEY has no effect on a rowstore table"),
            _ => add_index(&mut t, i)?,
        }
    }
    for check in &c.checks {
        add_check(&mut t, check)?;
    }
    for fk in c.foreign_keys.iter().chain(c.columns.iter().filter_map(|c| c.options.references.as_ref())) {
        foreign_key(fk, ctx)?;
    }
    finish(&mut t, shard, c.reference, Said::Nothing, ctx)?;
    Ok(t)
}

fn zero_default(ty: &SqlType) -> DefaultValue {
    match &ty.kind {
        TypeKind::Int { .. } | TypeKind::Year | TypeKind::Float { .. } | TypeKind::Double { .. } => DefaultValue::Literal("0".into()),
        TypeKind::Decimal { scale, .. } => DefaultValue::Literal(weald_types::Decimal::new(0, *scale).to_string().into()),
        TypeKind::Char { .. } | TypeKind::VarChar { .. } => DefaultValue::Literal("".into()),
        _ => DefaultValue::None,
    }
}
