//! A table's rows on their way into another definition of it: ALTER TABLE by copy.
//!
//! Owns:     nothing.
//! Promises: what a row becomes depends on the row alone, in the columns that both definitions have.
//! Never:    looks a table up by name: the new one has none yet.

use super::rules::fills;
use super::{BoundInsert, BoundOnDuplicate, Fill, InsertSource, row_rules};
use crate::bind::Binder;
use crate::names::Bindings;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use weald_catalog::table::TableRef;
use weald_expr::{Expr, store, typing};
use weald_types::{ColumnId, Fault, SqlType};

#[derive(Clone, Debug)]
pub struct BoundCopy {
    pub from: TableRef,
    /// An INSERT of the columns in `given` into the new table, without its rows.
    pub into: BoundInsert,
    pub given: Vec<CopiedColumn>,
}

/// A value of the old row for a column of the new one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CopiedColumn {
    /// The new table's column.
    pub to: u16,
    /// Over the old row.
    pub value: Expr,
    /// The value's type; `None` if it goes over as it is stored, both columns being of one type.
    pub ty: Option<SqlType>,
}

/// `sources`: for each column of `new`, the column of `old` that it continues.
pub fn bind_copy(env: &Bindings<'_>, old: &TableRef, new: &TableRef, sources: &[Option<u16>]) -> Result<BoundCopy, Fault> {
    let mut b = Binder::new(env);
    let mut given: Vec<CopiedColumn> = Vec::new();
    let mut source_of = vec![None; new.columns.len()];
    for (to, (c, source)) in new.columns.iter().zip(sources).enumerate() {
        let Some(from) = source.filter(|_| c.generated.is_none()) else { continue };
        let ty = &old.columns[from as usize].ty;
        let same = ty.kind == c.ty.kind;
        let id = ColumnId::new(from as u32);
        let value = if same { Expr::ColumnRaw { id, ty: ty.clone() } } else { Expr::Column { id, ty: ty.clone() } };
        source_of[to] = Some(given.len() as u16);
        let ty = if same { None } else { Some(typing::value_type(&value)) };
        given.push(CopiedColumn { to: to as u16, value, ty });
    }
    let mut fill = fills(&mut b, new)?;
    for (f, c) in fill.iter_mut().zip(&new.columns) {
        // A NOT NULL column that is added without a default gets its type's zero in the rows that are there.
        if *f == Fill::Missing {
            *f = Fill::Default(Expr::Literal {
                value: store::zero(&c.ty),
                ty: typing::value_type(&Expr::Column { id: ColumnId::new(0), ty: c.ty.clone() }),
            });
        }
    }
    let into = BoundInsert {
        table: new.clone(),
        source_of,
        fill,
        source: InsertSource::Rows(Arc::from([])),
        rules: row_rules(env, new, None)?,
        replace: false,
        ignore: false,
        on_duplicate: BoundOnDuplicate::Error,
        params: Vec::new(),
        needs: Vec::new(),
        warnings: Vec::new(),
        subqueries: Vec::new(),
    };
    Ok(BoundCopy { from: old.clone(), into, given })
}

impl BoundCopy {
    /// Where an old row has gone can be told from the old row: the new primary key is made of columns that are copied, and none of it is a number given anew.
    pub fn can_be_followed(&self) -> bool {
        let new = &self.into.table;
        new.primary().is_some_and(|p| {
            p.parts.iter().all(|part| {
                let copied = self.given.iter().find(|g| g.to == part.column);
                copied.is_some_and(|g| !new.columns[part.column as usize].auto_increment || !g.value.ty().nullable)
            })
        })
    }
}
