//! Subqueries in expressions.
//!
//! Owns:     nothing; their trees are collected in [`Binder::subqueries`].
//! Promises: `outer` names every column of an enclosing query that the subquery reads, however deep inside.
//! Never:    turns one into a join: see [`crate::rewrite`].

use super::{Binder, Bound, value_type};
use crate::query::{Column, Rel};
use weald_expr::{Expr, Operator, SubqueryKind};
use weald_sql::ast;
use weald_types::{Collation, ColumnId, Fault, SqlType};

pub fn operand_columns(columns: usize) -> Fault {
    Fault::OperandColumns { columns: columns as u32 }
}

impl Binder<'_> {
    /// Numbers a bound subquery.
    pub fn keep(&mut self, rel: Rel) -> (u32, Vec<ColumnId>) {
        let outer = rel.free().into_iter().collect();
        self.subqueries.push(rel);
        (self.subqueries.len() as u32 - 1, outer)
    }

    pub fn scalar_subquery(&mut self, q: &ast::Query) -> Result<Expr, Fault> {
        let bound = self.query(q)?;
        if bound.columns.len() != 1 {
            return Err(operand_columns(1));
        }
        Ok(self.scalar_of(bound.rel))
    }

    fn scalar_of(&mut self, rel: Rel) -> Expr {
        let ty = rel.columns()[0].ty.clone().with_nullable(true);
        let (index, outer) = self.keep(rel);
        Expr::Subquery { index, kind: SubqueryKind::Scalar, operands: vec![], outer, ty }
    }

    /// Column `i` of a row subquery of `width` columns, as a scalar subquery of its own.
    pub fn row_subquery_part(&mut self, q: &ast::Query, i: usize, width: usize) -> Result<Expr, Fault> {
        let bound = self.query(q)?;
        if bound.columns.len() != width {
            return Err(operand_columns(width));
        }
        let c = bound.rel.columns()[i].clone();
        let column = self.new_column(c.name.clone(), c.ty.clone());
        let rel = Rel::Project { input: Box::new(bound.rel), exprs: vec![Expr::Column { id: c.id, ty: c.ty }], columns: vec![column] };
        Ok(self.scalar_of(rel))
    }

    pub fn exists(&mut self, q: &ast::Query, negated: bool) -> Result<Expr, Fault> {
        let bound = self.query(q)?;
        let (index, outer) = self.keep(bound.rel);
        Ok(Expr::Subquery { index, kind: SubqueryKind::Exists { negated }, operands: vec![], outer, ty: SqlType::bigint(false) })
    }

    /// `expr [NOT] IN (query)`
    pub fn in_subquery(&mut self, expr: &ast::Expr, q: &ast::Query, negated: bool) -> Result<Expr, Fault> {
        let operands = self.row_operands(expr)?;
        let bound = self.query(q)?;
        if bound.columns.len() != operands.len() {
            return Err(operand_columns(operands.len()));
        }
        let (operands, rel, collation) = self.comparable(operands, bound, Operator::Eq)?;
        let nullable = operands.iter().any(crate::walk::is_nullable) || rel.columns().iter().any(|c| c.ty.nullable);
        let (index, outer) = self.keep(rel);
        Ok(Expr::Subquery { index, kind: SubqueryKind::In { negated, collation }, operands, outer, ty: SqlType::bigint(nullable) })
    }

    /// `left op ANY|ALL (query)`
    pub fn quantified(&mut self, op: Operator, all: bool, left: &ast::Expr, q: &ast::Query) -> Result<Expr, Fault> {
        match (op, all) {
            (Operator::Eq, false) => return self.in_subquery(left, q, false),
            (Operator::Ne, true) => return self.in_subquery(left, q, true),
            _ => (),
        }
        let operands = self.row_operands(left)?;
        if operands.len() != 1 {
            return Err(operand_columns(1));
        }
        let bound = self.query(q)?;
        if bound.columns.len() != 1 {
            return Err(operand_columns(1));
        }
        let (operands, rel, collation) = self.comparable(operands, bound, op)?;
        let (index, outer) = self.keep(rel);
        Ok(Expr::Subquery { index, kind: SubqueryKind::Quantified { op, all, collation }, operands, outer, ty: SqlType::bigint(true) })
    }

    /// Brings operands and the subquery's columns to the types that they are compared as.
    fn comparable(&mut self, operands: Vec<Expr>, bound: Bound, op: Operator) -> Result<(Vec<Expr>, Rel, Collation), Fault> {
        let own = bound.rel.columns();
        let mut left = Vec::with_capacity(operands.len());
        let mut right = Vec::with_capacity(own.len());
        let mut collation = Collation::BINARY;
        for (o, c) in operands.into_iter().zip(&own) {
            let column = Expr::Column { id: c.id, ty: c.ty.clone() };
            match self.operator(op, vec![o, column])? {
                Expr::Operator { mut args, collation: own, .. } if args.len() == 2 => {
                    if own != Collation::BINARY {
                        collation = own;
                    }
                    right.push(args.pop().expect("two operands"));
                    left.push(args.pop().expect("two operands"));
                }
                _ => return Err(Fault::not_supported("this comparison with a subquery")),
            }
        }
        if right.iter().zip(&own).all(|(e, c)| matches!(e, Expr::Column { id, .. } if *id == c.id)) {
            return Ok((left, bound.rel, collation));
        }
        let columns: Vec<Column> =
            right.iter().zip(&own).map(|(e, c)| Column { id: self.new_id(), ty: value_type(e), name: c.name.clone(), origin: None }).collect();
        Ok((left, Rel::Project { input: Box::new(bound.rel), exprs: right, columns }, collation))
    }

    /// The parts of a row, or the one part of anything else.
    pub fn row_operands(&mut self, e: &ast::Expr) -> Result<Vec<Expr>, Fault> {
        match e {
            ast::Expr::Row(items) => items.iter().map(|i| self.expr(i)).collect(),
            e => Ok(vec![self.expr(e)?]),
        }
    }
}
