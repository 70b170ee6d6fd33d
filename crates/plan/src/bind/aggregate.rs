//! Aggregate functions: which query block they belong to, and what they are there.
//!
//! Owns:     nothing; they are collected in [`super::scope::Block::aggregates`].
//! Promises: an aggregate whose columns all come from an enclosing block is computed in that block, as MySQL does.
//! Never:    decides what else may stand beside it: see [`super::group_check`].

use super::Binder;
use super::scope::Clause;
use crate::query::{Aggregate, SortKey};
use crate::walk;
use weald_expr::{AggregateFunction, Expr};
use weald_sql::ast;
use weald_types::{Fault, SqlType};

pub fn function_of(name: &str) -> Option<AggregateFunction> {
    use AggregateFunction as A;
    Some(match name.to_ascii_uppercase().as_str() {
        "COUNT" => A::Count,
        "SUM" => A::Sum,
        "AVG" => A::Avg,
        "MIN" => A::Min,
        "MAX" => A::Max,
        "BIT_AND" => A::BitAnd,
        "BIT_OR" => A::BitOr,
        "BIT_XOR" => A::BitXor,
        "GROUP_CONCAT" => A::GroupConcat,
        "STD" | "STDDEV" | "STDDEV_POP" => A::StddevPop,
        "STDDEV_SAMP" => A::StddevSamp,
        "VARIANCE" | "VAR_POP" => A::VarPop,
        "VAR_SAMP" => A::VarSamp,
        "JSON_ARRAYAGG" => A::JsonArrayAgg,
        "JSON_OBJECTAGG" => A::JsonObjectAgg,
        "ANY_VALUE" => A::AnyValue,
        _ => return None,
    })
}

pub fn invalid_use() -> Fault {
    Fault::mysql(1111, "HY000", "Invalid use of group function")
}

impl Binder<'_> {
    pub fn aggregate_call(&mut self, call: &ast::AggregateCall) -> Result<Expr, Fault> {
        if call.over.is_some() {
            return self.window_call(call);
        }
        let Some(function) = function_of(&call.name) else {
            if super::window::is_window_only(&call.name) {
                return Err(Fault::mysql(
                    1064,
                    "42000",
                    format!("You have an error in your SQL syntax: the window function '{}' needs an OVER clause", call.name.to_lowercase()),
                ));
            }
            return self.function(&call.name, &call.args, call.span);
        };
        let here = self.blocks.len() - 1;
        self.block().in_aggregate += 1;
        let parts = self.aggregate_parts(function, call);
        self.blocks[here].in_aggregate -= 1;
        let aggregate = parts?;
        let level = self.level_for(&aggregate, here)?;
        Ok(register(self, Some(level), aggregate))
    }

    /// Arguments, order and type; shared with window aggregates.
    pub fn aggregate_parts(&mut self, function: AggregateFunction, call: &ast::AggregateCall) -> Result<Aggregate, Fault> {
        let mut args = call.args.iter().map(|a| self.expr(a)).collect::<Result<Vec<_>, _>>()?;
        let wrong = || Fault::mysql(1064, "42000", format!("You have an error in your SQL syntax: wrong arguments of {}", call.name));
        let expected = match function {
            AggregateFunction::Count if call.star => args.is_empty(),
            AggregateFunction::Count => !args.is_empty() && (args.len() == 1 || call.distinct),
            AggregateFunction::GroupConcat => !args.is_empty(),
            AggregateFunction::JsonObjectAgg => args.len() == 2,
            _ => args.len() == 1,
        };
        if !expected {
            return Err(wrong());
        }
        let function = if function == AggregateFunction::Count && call.distinct { AggregateFunction::CountDistinct } else { function };
        let mut order_by = Vec::with_capacity(call.order_by.len());
        for o in &call.order_by {
            let expr = match super::set_op::position(&o.expr) {
                Some(p) => args
                    .get((p as usize).wrapping_sub(1))
                    .cloned()
                    .ok_or_else(|| Fault::NoSuchColumn { column: p.to_string(), clause: Clause::Order.word().into() })?,
                None => self.expr(&o.expr)?,
            };
            if !walk::is_constant(&expr) {
                order_by.push(SortKey { expr, descending: o.descending });
            }
        }
        if function == AggregateFunction::GroupConcat && args.len() > 1 {
            args = vec![self.call("CONCAT", args)?];
        }
        let ty = self.aggregate_type(function, &mut args)?;
        // DISTINCT changes nothing for these.
        let distinct = call.distinct
            && !matches!(
                function,
                AggregateFunction::Min | AggregateFunction::Max | AggregateFunction::AnyValue | AggregateFunction::BitAnd | AggregateFunction::BitOr
            );
        let separator = call.separator.clone().unwrap_or_else(|| ",".into()).into();
        Ok(Aggregate { function, args, distinct, order_by, separator, ty })
    }

    /// The block that computes the aggregate: the innermost one whose columns it reads.
    fn level_for(&mut self, a: &Aggregate, here: usize) -> Result<usize, Fault> {
        let mut used = std::collections::BTreeSet::new();
        for e in a.args.iter().chain(a.order_by.iter().map(|k| &k.expr)) {
            walk::columns_of(e, &mut used);
        }
        let level = used.iter().filter_map(|c| self.level_of(*c)).max().unwrap_or(here);
        let block = &self.blocks[level];
        // An aggregate within an aggregate of the same block.
        if used.iter().any(|c| block.aggregates.iter().any(|a| a.1.id == *c)) || block.in_aggregate > 0 {
            return Err(invalid_use());
        }
        if used.iter().any(|c| block.windows.iter().any(|w| w.1.id == *c)) {
            return Err(Fault::mysql(3593, "HY000", "You cannot use the window function in this context.'"));
        }
        if !block.clause.allows_aggregates() {
            return Err(invalid_use());
        }
        Ok(level)
    }

    /// GROUPING(a, b, …): one bit for each argument.
    pub fn grouping_call(&mut self, args: &[ast::Expr]) -> Result<Expr, Fault> {
        let bound = args.iter().map(|a| self.expr(a)).collect::<Result<Vec<_>, _>>()?;
        let block = self.block();
        let Some(grouping) = block.grouping.clone() else { return Err(invalid_use()) };
        let (groups, ty) = (block.groups.clone(), SqlType::bigint(false));
        let literal = |n: i64| Expr::Literal { value: weald_types::Value::Int(n), ty: SqlType::bigint(false) };
        let bits = Expr::Column { id: grouping.id, ty: grouping.ty };
        let mut sum: Option<Expr> = None;
        for (i, a) in bound.iter().enumerate() {
            let Some(at) = groups.iter().position(|g| g == a) else {
                return Err(Fault::mysql(3602, "HY000", format!("Argument #{i} of GROUPING function is not in GROUP BY")));
            };
            let shift = groups.len() - 1 - at;
            let op = |b: &mut Self, op, x, y| b.operator(op, vec![x, y]);
            let shifted = op(self, weald_expr::Operator::ShiftRight, bits.clone(), literal(shift as i64))?;
            let bit = op(self, weald_expr::Operator::BitAnd, shifted, literal(1))?;
            let placed = op(self, weald_expr::Operator::ShiftLeft, bit, literal((bound.len() - 1 - i) as i64))?;
            sum = Some(match sum {
                None => placed,
                Some(s) => op(self, weald_expr::Operator::BitOr, s, placed)?,
            });
        }
        let sum = sum.ok_or_else(|| Fault::WrongArgumentCount { name: "GROUPING".into() })?;
        Ok(Expr::Cast { expr: Box::new(sum), ty })
    }
}

/// The column that holds `aggregate` in block `level` (the innermost where None): the same one for the same aggregate.
pub fn register(b: &mut Binder<'_>, level: Option<usize>, aggregate: Aggregate) -> Expr {
    let level = level.unwrap_or(b.blocks.len() - 1);
    let read = |id, ty: &SqlType| Expr::Column { id, ty: ty.clone() };
    let volatile = aggregate.args.iter().any(walk::is_volatile);
    if !volatile && let Some((a, c)) = b.blocks[level].aggregates.iter().find(|(a, _)| *a == aggregate) {
        return read(c.id, &a.ty);
    }
    let column = b.new_column("", aggregate.ty.clone());
    let e = read(column.id, &aggregate.ty);
    b.blocks[level].aggregates.push((aggregate, column));
    e
}
