//! Comparisons of rows: `(a, b) = (c, d)` and its kind.
//!
//! Owns:     nothing.
//! Promises: a comparison of rows becomes comparisons of their parts, with the same answer for NULLs as MySQL's.
//! Never:    leaves an [`Expr::Row`] in a bound tree.

use super::Binder;
use super::subquery::operand_columns;
use crate::walk;
use weald_expr::{Expr, Operator};
use weald_sql::ast;
use weald_types::Fault;

impl Binder<'_> {
    /// `left op right`, where either may be a row.
    pub fn comparison(&mut self, op: Operator, left: &ast::Expr, right: &ast::Expr) -> Result<Expr, Fault> {
        let (l, r) = match (left, right) {
            (ast::Expr::Row(l), ast::Expr::Row(r)) => {
                if l.len() != r.len() {
                    return Err(operand_columns(l.len()));
                }
                let l = l.iter().map(|e| self.expr(e)).collect::<Result<Vec<_>, _>>()?;
                let r = r.iter().map(|e| self.expr(e)).collect::<Result<Vec<_>, _>>()?;
                (l, r)
            }
            (ast::Expr::Row(l), ast::Expr::Subquery(q)) => (self.row_operands(left)?, self.row_of(q, l.len())?),
            (ast::Expr::Subquery(q), ast::Expr::Row(r)) => (self.row_of(q, r.len())?, self.row_operands(right)?),
            (ast::Expr::Row(l), _) => return Err(operand_columns(l.len())),
            (_, ast::Expr::Row(_)) => return Err(operand_columns(1)),
            _ => {
                let args = vec![self.expr(left)?, self.expr(right)?];
                return self.operator(op, args);
            }
        };
        self.compare_rows(op, l, r)
    }

    fn row_of(&mut self, q: &ast::Query, width: usize) -> Result<Vec<Expr>, Fault> {
        (0..width).map(|i| self.row_subquery_part(q, i, width)).collect()
    }

    fn compare_rows(&mut self, op: Operator, l: Vec<Expr>, r: Vec<Expr>) -> Result<Expr, Fault> {
        let pairs: Vec<(Expr, Expr)> = l.into_iter().zip(r).collect();
        match op {
            Operator::Eq | Operator::NullSafeEq => {
                let parts = pairs.into_iter().map(|(a, b)| self.operator(op, vec![a, b])).collect::<Result<Vec<_>, _>>()?;
                Ok(walk::all_of(parts).unwrap_or_else(|| walk::truth(true)))
            }
            Operator::Ne => {
                let parts = pairs.into_iter().map(|(a, b)| self.operator(op, vec![a, b])).collect::<Result<Vec<_>, _>>()?;
                Ok(walk::any_of(parts).unwrap_or_else(|| walk::truth(false)))
            }
            Operator::Lt | Operator::Le | Operator::Gt | Operator::Ge => {
                // (a, b) < (c, d)  is  a < c OR (a = c AND b < d)
                let strict = if matches!(op, Operator::Lt | Operator::Le) { Operator::Lt } else { Operator::Gt };
                let mut rest: Option<Expr> = None;
                for (a, b) in pairs.into_iter().rev() {
                    rest = Some(match rest {
                        None => self.operator(op, vec![a, b])?,
                        Some(rest) => {
                            let less = self.operator(strict, vec![a.clone(), b.clone()])?;
                            let equal = self.operator(Operator::Eq, vec![a, b])?;
                            let tail = walk::all_of(vec![equal, rest]).expect("two conditions");
                            walk::any_of(vec![less, tail]).expect("two conditions")
                        }
                    });
                }
                Ok(rest.unwrap_or_else(|| walk::truth(true)))
            }
            _ => Err(operand_columns(1)),
        }
    }

    /// `(a, b) [NOT] IN ((1, 2), (3, 4))`
    pub fn in_rows(&mut self, left: &[ast::Expr], list: &[ast::Expr], negated: bool) -> Result<Expr, Fault> {
        let l = left.iter().map(|e| self.expr(e)).collect::<Result<Vec<_>, _>>()?;
        let mut alternatives = Vec::with_capacity(list.len());
        for item in list {
            let ast::Expr::Row(r) = item else { return Err(operand_columns(left.len())) };
            if r.len() != left.len() {
                return Err(operand_columns(left.len()));
            }
            let r = r.iter().map(|e| self.expr(e)).collect::<Result<Vec<_>, _>>()?;
            alternatives.push(self.compare_rows(Operator::Eq, l.clone(), r)?);
        }
        let any = walk::any_of(alternatives).unwrap_or_else(|| walk::truth(false));
        if negated { self.operator(Operator::Not, vec![any]) } else { Ok(any) }
    }
}
