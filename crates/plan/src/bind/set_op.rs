//! UNION, INTERSECT, EXCEPT, VALUES, and ORDER BY and LIMIT over what is not a plain SELECT.
//!
//! Owns:     nothing.
//! Promises: both sides are cast to one type for each column, by MySQL's rules of UNION.
//! Never:    lets an ORDER BY over the whole see the tables inside.

use super::scope::{Block, Clause, Item, ItemSource, ScopeColumn, ScopeTable};
use super::{Binder, Bound, value_type};
use crate::query::{Column, Rel, SetOp, SortKey};
use weald_expr::Expr;
use weald_sql::ast;
use weald_types::{Fault, SqlType};

pub fn different_columns() -> Fault {
    Fault::mysql(1222, "21000", "The used SELECT statements have a different number of columns")
}

impl Binder<'_> {
    pub fn set_op(&mut self, op: ast::SetOp, all: bool, left: &ast::SetExpr, right: &ast::SetExpr) -> Result<Bound, Fault> {
        if op != ast::SetOp::Union {
            let left = self.set_expr(left)?;
            let right = self.set_expr(right)?;
            return self.combine(op, all, left, right);
        }
        // A chain of UNIONs has one type for each column, whatever its first two members alone would have.
        let mut rest = vec![(all, right)];
        let mut first = left;
        while let ast::SetExpr::SetOp { op: ast::SetOp::Union, all, left, right } = first {
            rest.push((*all, right));
            first = left;
        }
        let mut members = vec![self.set_expr(first)?];
        for (_, e) in rest.iter().rev() {
            members.push(self.set_expr(e)?);
        }
        let width = members[0].columns.len();
        if members.iter().any(|m| m.columns.len() != width) {
            return Err(different_columns());
        }
        let own: Vec<Vec<Column>> = members.iter().map(|m| m.rel.columns()).collect();
        let mut types = Vec::with_capacity(width);
        for i in 0..width {
            types.push(self.unify(&own.iter().map(|c| &c[i].ty).collect::<Vec<_>>())?);
        }
        let names: Vec<_> = members[0].columns.iter().map(|c| c.name.clone()).collect();
        let mut members = members.into_iter();
        let mut sum = members.next().expect("a chain has a first member");
        for ((all, _), right) in rest.iter().rev().zip(members) {
            let columns: Vec<Column> = names.iter().zip(&types).map(|(name, ty)| self.new_column(name.clone(), ty.clone())).collect();
            let (left, right) = (self.fit(sum, &columns), self.fit(right, &columns));
            let rel = Rel::SetOp { op: SetOp::Union, all: *all, left: Box::new(left), right: Box::new(right), columns: columns.clone() };
            sum = Bound::new(rel, columns);
        }
        Ok(sum)
    }

    pub fn combine(&mut self, op: ast::SetOp, all: bool, left: Bound, right: Bound) -> Result<Bound, Fault> {
        if left.columns.len() != right.columns.len() {
            return Err(different_columns());
        }
        let (l, r) = (left.rel.columns(), right.rel.columns());
        let mut columns = Vec::with_capacity(l.len());
        for ((a, b), shown) in l.iter().zip(&r).zip(&left.columns) {
            let ty = self.unify(&[&a.ty, &b.ty])?;
            columns.push(self.new_column(shown.name.clone(), ty));
        }
        let op = match op {
            ast::SetOp::Union => SetOp::Union,
            ast::SetOp::Intersect => SetOp::Intersect,
            ast::SetOp::Except => SetOp::Except,
        };
        let (left, right) = (self.fit(left, &columns), self.fit(right, &columns));
        let rel = Rel::SetOp { op, all, left: Box::new(left), right: Box::new(right), columns: columns.clone() };
        Ok(Bound::new(rel, columns))
    }

    /// `bound` with the types of `columns`; as it is if it has them.
    fn fit(&mut self, bound: Bound, columns: &[Column]) -> Rel {
        let fits = bound.rel.columns().iter().zip(columns).all(|(c, w)| c.ty.kind == w.ty.kind && c.ty.collation == w.ty.collation);
        if fits { bound.rel } else { self.cast_to(bound, columns) }
    }

    pub fn values(&mut self, rows: &[Vec<ast::Expr>]) -> Result<Bound, Fault> {
        self.blocks.push(Block::default());
        let width = rows.first().map_or(0, Vec::len);
        let mut bound = Vec::with_capacity(rows.len());
        for (i, row) in rows.iter().enumerate() {
            if row.len() != width {
                return Err(Fault::ColumnCountMismatch { row: i as u64 + 1 });
            }
            if row.iter().any(|e| matches!(e, ast::Expr::Default(None))) {
                return Err(Fault::mysql(
                    3942,
                    "HY000",
                    "Each row of a VALUES clause must have at least one column, unless when used as source in an INSERT statement.",
                ));
            }
            bound.push(row.iter().map(|e| self.expr(e)).collect::<Result<Vec<_>, _>>()?);
        }
        self.blocks.pop();
        let mut columns = Vec::with_capacity(width);
        for i in 0..width {
            let types: Vec<SqlType> = bound.iter().map(|r| value_type(&r[i])).collect();
            let ty = self.unify(&types.iter().collect::<Vec<_>>())?;
            columns.push(self.new_column(format!("column_{i}"), ty));
        }
        for row in &mut bound {
            for (e, c) in row.iter_mut().zip(&columns) {
                if value_type(e).kind != c.ty.kind && !matches!(e.ty().kind, weald_types::TypeKind::Null) {
                    let taken = std::mem::replace(e, crate::walk::truth(true));
                    *e = Expr::Cast { expr: Box::new(taken), ty: c.ty.clone() };
                }
            }
        }
        Ok(Bound::new(Rel::Values { rows: bound, columns: columns.clone() }, columns))
    }

    /// ORDER BY and LIMIT that see nothing but the output columns.
    pub fn order_and_limit(&mut self, bound: Bound, order_by: &[ast::OrderItem], limit: Option<&ast::Limit>) -> Result<Bound, Fault> {
        let Bound { mut rel, columns, .. } = bound;
        if !order_by.is_empty() {
            let own = rel.columns();
            let scope: Vec<ScopeColumn> = columns
                .iter()
                .zip(&own)
                .map(|(c, read)| ScopeColumn {
                    name: c.name.clone(),
                    id: c.id,
                    ty: read.ty.clone(),
                    client: c.ty.clone(),
                    origin: None,
                    invisible: false,
                })
                .collect();
            let items = scope
                .iter()
                .enumerate()
                .map(|(i, c)| Item { source: ItemSource::Column((0, i)), name: c.name.clone(), aliased: false, bound: Some(c.expr()) })
                .collect();
            let block = Block {
                visible: (0..scope.len()).map(|c| (0, c)).collect(),
                tables: vec![ScopeTable { database: None, name: "".into(), columns: scope, need: None, any_case: false, places: vec![] }],
                clause: Clause::Order,
                items,
                items_known: true,
                ..Block::default()
            };
            self.blocks.push(block);
            let mut keys = Vec::new();
            for (i, o) in order_by.iter().enumerate() {
                if let ast::Expr::Column { table: Some(t), .. } = &o.expr {
                    return Err(Fault::mysql(1250, "42000", format!("Table '{t}' from one of the SELECTs cannot be used in global ORDER clause")));
                }
                let expr = match position(&o.expr) {
                    Some(p) => own
                        .get((p as usize).wrapping_sub(1))
                        .map(|c| Expr::Column { id: c.id, ty: c.ty.clone() })
                        .ok_or_else(|| Fault::NoSuchColumn { column: p.to_string(), clause: Clause::Order.word().into() })?,
                    None => self.expr(&o.expr)?,
                };
                if !self.block().aggregates.is_empty() {
                    return Err(Fault::mysql(
                        3028,
                        "HY000",
                        format!("Expression #{} of ORDER BY contains aggregate function and applies to the result of a set operation", i + 1),
                    ));
                }
                if !crate::walk::is_constant(&expr) {
                    keys.push(SortKey { expr, descending: o.descending });
                }
            }
            self.blocks.pop();
            if !keys.is_empty() {
                rel = Rel::Sort { input: Box::new(rel), keys };
            }
        }
        let rel = self.limited(rel, limit)?;
        Ok(Bound::new(rel, columns))
    }

    pub fn limited(&mut self, rel: Rel, limit: Option<&ast::Limit>) -> Result<Rel, Fault> {
        let Some(l) = limit else { return Ok(rel) };
        let count = self.row_count(&l.count)?;
        let offset = l.offset.as_ref().map(|o| self.row_count(o)).transpose()?;
        // The greatest count is how MySQL's manual tells people to say "to the end".
        let count = if matches!(&count, Expr::Literal { value: weald_types::Value::UInt(u64::MAX), .. }) { None } else { Some(count) };
        Ok(Rel::Limit { input: Box::new(rel), count, offset })
    }

    /// A number in LIMIT.
    pub fn row_count(&mut self, e: &ast::Expr) -> Result<Expr, Fault> {
        let ty = SqlType::bigint_unsigned(false);
        match e {
            ast::Expr::Literal(ast::Literal::Integer(n)) => Ok(Expr::Literal { value: weald_types::Value::UInt(*n), ty }),
            ast::Expr::Param(n) => {
                let own = self.param(*n);
                let Expr::Param { index, ty: known } = own else { return Ok(own) };
                if known.kind == weald_types::TypeKind::Null {
                    self.params[index as usize] = Some(ty.clone());
                }
                Ok(Expr::Param { index, ty: if known.kind == weald_types::TypeKind::Null { ty } else { known } })
            }
            ast::Expr::UserVariable(_) => self.expr(e),
            _ => Err(Fault::mysql(1210, "HY000", "Incorrect arguments to LIMIT")),
        }
    }
}

/// `ORDER BY 2`: the number of a select item.
pub fn position(e: &ast::Expr) -> Option<u64> {
    match e {
        ast::Expr::Literal(ast::Literal::Integer(n)) => Some(*n),
        _ => None,
    }
}
