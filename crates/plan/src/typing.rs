//! The binder's door to `weald_expr`'s types and coercions.
//!
//! Owns:     nothing.
//! Promises: a `?` without a type takes that of what it stands beside.
//! Never:    has a rule of types of its own.

use crate::bind::{Binder, value_type};
use weald_expr::function::{self, BindContext, IntervalUnit};
use weald_expr::{AggregateFunction, Expr, Operator, aggregate, typing};
use weald_sql::ast;
use weald_types::{Collation, Fault, SqlType, TypeKind, Value};

pub fn operator(op: Operator, args: Vec<Expr>, session: &BindContext) -> Result<Expr, Fault> {
    typing::operator(op, args, session)
}

/// The type of an aggregate over `args`.
pub fn aggregate_type(function: AggregateFunction, args: &mut [Expr], session: &BindContext) -> Result<SqlType, Fault> {
    use AggregateFunction as A;
    let of_numbers = match function {
        A::Sum | A::Avg | A::BitAnd | A::BitOr | A::BitXor | A::StddevPop | A::StddevSamp | A::VarPop | A::VarSamp => true,
        A::Count | A::CountDistinct | A::Min | A::Max | A::GroupConcat | A::JsonArrayAgg | A::JsonObjectAgg | A::AnyValue => false,
    };
    if of_numbers {
        for a in args.iter_mut() {
            *a = typing::as_number(a.clone());
        }
    }
    let types: Vec<SqlType> = args.iter().map(value_type).collect();
    Ok(aggregate::result_type(function, &types, session))
}

/// The value of an expression of literals, unless computing it fails or warns.
pub fn constant_value(e: &Expr, session: &BindContext) -> Option<Value> {
    match typing::fold(e.clone(), session) {
        Expr::Literal { value, .. } => Some(value),
        _ => None,
    }
}

fn unit(u: ast::IntervalUnit) -> IntervalUnit {
    use ast::IntervalUnit as A;
    match u {
        A::Microsecond => IntervalUnit::Microsecond,
        A::Second => IntervalUnit::Second,
        A::Minute => IntervalUnit::Minute,
        A::Hour => IntervalUnit::Hour,
        A::Day => IntervalUnit::Day,
        A::Week => IntervalUnit::Week,
        A::Month => IntervalUnit::Month,
        A::Quarter => IntervalUnit::Quarter,
        A::Year => IntervalUnit::Year,
        A::SecondMicrosecond => IntervalUnit::SecondMicrosecond,
        A::MinuteMicrosecond => IntervalUnit::MinuteMicrosecond,
        A::MinuteSecond => IntervalUnit::MinuteSecond,
        A::HourMicrosecond => IntervalUnit::HourMicrosecond,
        A::HourSecond => IntervalUnit::HourSecond,
        A::HourMinute => IntervalUnit::HourMinute,
        A::DayMicrosecond => IntervalUnit::DayMicrosecond,
        A::DaySecond => IntervalUnit::DaySecond,
        A::DayMinute => IntervalUnit::DayMinute,
        A::DayHour => IntervalUnit::DayHour,
        A::YearMonth => IntervalUnit::YearMonth,
    }
}

impl Binder<'_> {
    pub fn operator(&mut self, op: Operator, mut args: Vec<Expr>) -> Result<Expr, Fault> {
        self.type_params(&mut args);
        typing::operator(op, args, &self.env.session)
    }

    pub fn call(&mut self, name: &str, args: Vec<Expr>) -> Result<Expr, Fault> {
        match function::bind_call(name, args, &self.env.session) {
            // MySQL names the function with the database it would be stored in.
            Err(Fault::NoSuchFunction { .. }) if is_of_mysql(name) => Err(Fault::not_supported(format!("the function {}", name.to_uppercase()))),
            Err(Fault::NoSuchFunction { name }) => {
                let database = self.env.names.current_database().unwrap_or_default();
                Err(Fault::NoSuchFunction { name: if database.is_empty() { name } else { format!("{database}.{name}") } })
            }
            other => other,
        }
    }

    pub fn case(&mut self, operand: Option<Expr>, branches: Vec<(Expr, Expr)>, otherwise: Option<Expr>) -> Result<Expr, Fault> {
        typing::case(operand, branches, otherwise, &self.env.session)
    }

    pub fn cast(&mut self, e: Expr, ty: SqlType) -> Result<Expr, Fault> {
        Ok(typing::cast(e, ty))
    }

    pub fn collate(&mut self, e: Expr, c: Collation) -> Result<Expr, Fault> {
        typing::collate(e, c, &self.env.session)
    }

    pub fn in_list(&mut self, value: Expr, list: Vec<Expr>, negated: bool) -> Result<Expr, Fault> {
        let mut all = vec![value];
        all.extend(list);
        self.type_params(&mut all);
        let mut items = all.into_iter();
        let value = items.next().unwrap_or_else(|| Expr::Literal { value: Value::Null, ty: SqlType::null() });
        typing::in_list(value, items.collect(), negated, &self.env.session)
    }

    pub fn date_arith(&mut self, date: Expr, amount: Expr, u: ast::IntervalUnit, subtract: bool) -> Result<Expr, Fault> {
        function::bind_date_arith(date, amount, unit(u), subtract, &self.env.session)
    }

    pub fn aggregate_type(&mut self, function: AggregateFunction, args: &mut [Expr]) -> Result<SqlType, Fault> {
        aggregate_type(function, args, &self.env.session)
    }

    /// One type for values of all these.
    pub fn unify(&mut self, types: &[&SqlType]) -> Result<SqlType, Fault> {
        let own: Vec<SqlType> = types.iter().map(|t| crate::bind::evaluated(t)).collect();
        // Texts of different collations meet as columns do.
        let columns: Vec<Expr> =
            own.iter().enumerate().map(|(i, ty)| Expr::Column { id: weald_types::ColumnId::new(i as u32), ty: ty.clone() }).collect();
        typing::unify_exprs(&columns, "UNION")
    }

    /// A `?` that has no type yet takes `ty`.
    pub fn give_type(&mut self, e: Expr, ty: &SqlType) -> Expr {
        let e = if typing::is_number(ty) && !matches!(ty.kind, TypeKind::Bit { .. }) { typing::as_number(e) } else { e };
        let Expr::Param { index, ty: own } = &e else { return e };
        if !matches!(own.kind, TypeKind::Null) || self.params.get(*index as usize).is_some_and(Option::is_some) {
            return e;
        }
        let ty = crate::bind::evaluated(ty).with_nullable(true);
        self.params[*index as usize] = Some(ty.clone());
        Expr::Param { index: *index, ty }
    }

    fn type_params(&mut self, args: &mut [Expr]) {
        let Some(known) = args.iter().find(|a| !matches!(a.ty().kind, TypeKind::Null)).map(value_type) else { return };
        for a in args.iter_mut() {
            if matches!(a, Expr::Param { .. }) {
                *a = self.give_type(a.clone(), &known);
            }
        }
    }
}

/// MySQL's own functions that are not here: nobody is told that they do not exist.
fn is_of_mysql(name: &str) -> bool {
    const OTHERS: &[&str] = &[
        "EXTRACTVALUE",
        "GEOMCOLLECTION",
        "GEOMETRYCOLLECTION",
        "GTID_SUBSET",
        "GTID_SUBTRACT",
        "ICU_VERSION",
        "LINESTRING",
        "LOAD_FILE",
        "MASTER_POS_WAIT",
        "MULTILINESTRING",
        "MULTIPOINT",
        "MULTIPOLYGON",
        "POINT",
        "POLYGON",
        "PS_CURRENT_THREAD_ID",
        "PS_THREAD_ID",
        "ROLES_GRAPHML",
        "SOURCE_POS_WAIT",
        "STATEMENT_DIGEST",
        "STATEMENT_DIGEST_TEXT",
        "UPDATEXML",
        "VALIDATE_PASSWORD_STRENGTH",
        "WAIT_FOR_EXECUTED_GTID_SET",
    ];
    let upper = name.to_uppercase();
    OTHERS.binary_search(&upper.as_str()).is_ok() || upper.starts_with("ST_") || upper.starts_with("MBR")
}

#[cfg(test)]
mod tests {
    #[test]
    fn functions_of_mysql_are_told_from_unknown_ones() {
        for (name, known) in
            [("ExtractValue", true), ("st_astext", true), ("wait_for_executed_gtid_set", true), ("geomcollection", true), ("nosuch", false)]
        {
            assert_eq!(super::is_of_mysql(name), known, "{name}");
        }
    }
}
