//! Expressions over one row of one table: defaults, generated columns, checks, and DEFAULT(col) and VALUES(col) in statements.
//!
//! Owns:     nothing.
//! Promises: the table's column `n` is `ColumnId(n)` there.
//! Never:    reads another table.

use super::scope::{Block, Clause, ScopeColumn, ScopeTable, same_name};
use super::{Binder, from::origin_flags};
use crate::names::Bindings;
use crate::query::Origin;
use std::sync::Arc;
use weald_catalog::table::TableRef;
use weald_catalog::{ColumnDef, DefaultValue, TableDef};
use weald_expr::Expr;
use weald_sql::ast;
use weald_types::{ColumnId, Decimal, Fault, SqlMode, SqlType, TypeKind, Value, sql_type::BlobSize};

/// The row that VALUES(col) reads: column `n` of `table` is `ColumnId(offset + n)`.
#[derive(Clone)]
pub struct RowScope {
    pub table: TableRef,
    pub offset: u32,
}

pub fn parse_options(sql_mode: SqlMode) -> weald_sql::ParseOptions {
    weald_sql::ParseOptions { sql_mode }
}

/// A view's text.
pub fn parse_query(text: &str, sql_mode: SqlMode) -> Result<ast::Query, Fault> {
    weald_sql::parse_query(text, &parse_options(stored(sql_mode)))
}

/// Text in the catalogue was written under the modes of its time; only the default quoting is kept there.
fn stored(_: SqlMode) -> SqlMode {
    SqlMode::DEFAULT
}

/// Binds an expression over one row of `table`.
pub fn bind_over_row(env: &Bindings<'_>, table: &TableRef, e: &ast::Expr) -> Result<Expr, Fault> {
    let mut b = Binder::new(env);
    b.reserve_ids(table.columns.len() as u32);
    b.blocks.push(row_block(table, None, None, 0));
    let bound = b.expr(e)?;
    if !b.block().aggregates.is_empty() {
        return Err(super::aggregate::invalid_use());
    }
    if !b.subqueries.is_empty() {
        return Err(subquery_in_definition());
    }
    Ok(bound)
}

/// What a definition's expression is told that holds a subquery, until it is known whose expression it is.
pub fn subquery_in_definition() -> Fault {
    Fault::not_supported("a subquery in a column's expression")
}

pub fn parse_and_bind_over_row(env: &Bindings<'_>, table: &TableRef, text: &str) -> Result<Expr, Fault> {
    let e = weald_sql::parse_expr(text, &parse_options(stored(env.session.sql_mode)))?;
    let own = Bindings { text, ..*env };
    bind_over_row(&own, table, &e)
}

/// A block whose only table is `table`, its columns numbered from `offset`.
pub fn row_block(table: &TableRef, alias: Option<&str>, need: Option<usize>, offset: u32) -> Block {
    let scope = row_table(table, alias, need, offset);
    Block {
        visible: (0..scope.columns.len()).map(|c| (0, c)).collect(),
        tables: vec![scope],
        defs: vec![Some(table.clone())],
        clause: Clause::Fields,
        ..Block::default()
    }
}

pub fn row_table(table: &TableRef, alias: Option<&str>, need: Option<usize>, offset: u32) -> ScopeTable {
    let shown = alias.unwrap_or(&table.name);
    let columns = table.columns.iter().enumerate().map(|(i, c)| row_column(table, shown, i, c, offset)).collect();
    ScopeTable { database: Some(table.database_name.clone()), name: shown.into(), columns, need, any_case: false, places: vec![] }
}

fn row_column(table: &TableDef, shown: &str, i: usize, c: &ColumnDef, offset: u32) -> ScopeColumn {
    let origin = Origin {
        database: table.database_name.clone(),
        table: table.name.clone(),
        table_alias: shown.into(),
        column: c.name.clone(),
        flags: origin_flags(table, i as u16),
    };
    ScopeColumn {
        name: Arc::from(&*c.name),
        id: ColumnId::new(offset + i as u32),
        ty: c.ty.clone(),
        client: c.ty.clone(),
        origin: Some(Arc::new(origin)),
        invisible: c.invisible,
    }
}

impl Binder<'_> {
    /// VALUES(col): the value that would have been inserted; NULL anywhere but in ON DUPLICATE KEY UPDATE.
    pub fn inserted_value(&mut self, name: &str) -> Result<Expr, Fault> {
        let Some(row) = self.insert_values.clone() else {
            self.resolve(None, None, name)?;
            return Ok(Expr::Literal { value: Value::Null, ty: SqlType::null() });
        };
        self.deprecated(
            "'VALUES function' is deprecated and will be removed in a future release. Please use an alias (INSERT INTO ... VALUES (...) AS alias) and \
             replace VALUES(col) in the ON DUPLICATE KEY UPDATE clause with alias.col instead",
        );
        let ordinal = row.table.columns.iter().position(|c| same_name(&c.name, name)).ok_or_else(|| self.no_such_column(None, None, name))?;
        Ok(Expr::Column { id: ColumnId::new(row.offset + ordinal as u32), ty: row.table.columns[ordinal].ty.clone() })
    }

    /// DEFAULT(col)
    pub fn default_of(&mut self, name: &str) -> Result<Expr, Fault> {
        let ambiguous = |_| Fault::AmbiguousColumn { column: name.into(), clause: "field list".into() };
        let place = self.block().find(None, None, name).map_err(ambiguous)?;
        let found = place.and_then(|p| self.block().defs.get(p.0).cloned().flatten().map(|t| (t, p.1)));
        let Some((table, column)) = found else { return Err(self.no_such_column(None, None, name)) };
        let def = &table.columns[column];
        match self.default_value(&table, def)? {
            Some(e) => Ok(e),
            None => Err(Fault::NoDefault { column: def.name.to_string() }),
        }
    }

    /// What a column holds where nothing is given; None where it must be given.
    pub fn default_value(&mut self, table: &TableRef, def: &ColumnDef) -> Result<Option<Expr>, Fault> {
        Ok(match &def.default {
            DefaultValue::None => None,
            DefaultValue::Null => Some(Expr::Literal { value: Value::Null, ty: SqlType::null() }),
            DefaultValue::Literal(text) => Some(literal_default(text, &def.ty)),
            DefaultValue::Now { fsp } => Some(self.now(*fsp)?),
            DefaultValue::Expression(text) => Some(parse_and_bind_over_row(&self.env, table, text)?),
        })
    }

    /// CURRENT_TIMESTAMP(fsp)
    pub fn now(&mut self, fsp: u8) -> Result<Expr, Fault> {
        let args = if fsp == 0 { vec![] } else { vec![Expr::Literal { value: Value::Int(fsp as i64), ty: SqlType::bigint(false) }] };
        self.call("NOW", args)
    }
}

/// A stored default's text, as a literal of about the column's type; storing it does the rest.
pub fn literal_default(text: &str, ty: &SqlType) -> Expr {
    let known = match &ty.kind {
        TypeKind::Int { .. } | TypeKind::Year => text.parse::<i64>().map(|n| (Value::Int(n), SqlType::bigint(false))).ok(),
        TypeKind::Decimal { precision, scale, .. } => Decimal::parse(text)
            .map(|d| (Value::Decimal(d), SqlType::new(TypeKind::Decimal { precision: *precision, scale: *scale, unsigned: false }, false))),
        TypeKind::Float { .. } | TypeKind::Double { .. } => text.parse::<f64>().map(|d| (Value::Double(d), SqlType::double(false))).ok(),
        // Shown as b'101'.
        TypeKind::Bit { .. } => {
            let digits = text.trim_start_matches("b'").trim_end_matches('\'');
            u64::from_str_radix(digits, 2).map(|n| (Value::UInt(n), SqlType::bigint_unsigned(false))).ok()
        }
        _ => None,
    };
    let (value, ty) = known.unwrap_or_else(|| {
        let collation = if ty.kind.is_text() { ty.collation } else { weald_types::Collation::UTF8MB4_GENERAL_CI };
        let ty = if text.len() > 16_383 {
            SqlType::string(TypeKind::Text(BlobSize::Long), false, collation)
        } else {
            SqlType::varchar(text.chars().count() as u32, false, collation)
        };
        (Value::str(text), ty)
    });
    Expr::Literal { value, ty }
}
