//! From a bound expression to DataFusion's.
//!
//! Owns:     nothing.
//! Promises: an Arrow kernel is used only where it says exactly what MySQL says; all else becomes [`Evaluate`], which asks MySQL's evaluator.
//! Never:    lowers an expression with side effects or with an unanswered subquery: those are refused.

use super::carrier;
use super::udf::{Arithmetic, Asked, CompareText, Evaluate, OneOf, Weight};
use super::{Refused, refuse};
use arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::{Case, InList, ScalarFunction};
use datafusion::logical_expr::{self as df, ScalarUDF};
use std::collections::HashMap;
use std::sync::Arc;
use weald_expr::function::Volatility;
use weald_expr::typing::value_type;
use weald_expr::walk::transform;
use weald_expr::{EvalContext, Expr, Operator, StatementContext, sorted_list};
use weald_types::{Collation, ColumnId, Decimal, SqlType, TypeKind, Value};

pub struct ExprLowering<'a> {
    pub statement: &'a Arc<StatementContext>,
    pub params: &'a Arc<[Value]>,
    /// Types of the columns in scope.
    pub types: &'a HashMap<ColumnId, SqlType>,
    /// Columns whose weights are in scope as well, under these collations.
    pub weights: &'a HashMap<ColumnId, Collation>,
}

pub fn name(id: ColumnId) -> String {
    format!("c{id}")
}
pub fn column(id: ColumnId) -> df::Expr {
    df::Expr::Column(Column::new_unqualified(name(id)))
}
/// What the weight of a column is called.
pub fn weight_name(id: ColumnId) -> String {
    format!("w{id}")
}
pub fn weight_column(id: ColumnId) -> df::Expr {
    df::Expr::Column(Column::new_unqualified(weight_name(id)))
}

fn call(udf: ScalarUDF, args: Vec<df::Expr>) -> df::Expr {
    df::Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(udf), args))
}

impl ExprLowering<'_> {
    /// The expression's value, in its type's carrier.
    pub fn value(&self, e: &Expr) -> Result<df::Expr, Refused> {
        match e {
            Expr::Literal { value, ty } => self.literal(value, ty),
            Expr::Param { index, ty } => match self.params.get(*index as usize) {
                Some(value) => self.literal(value, ty),
                None => refuse("a parameter without a value"),
            },
            Expr::Column { id, ty } if !is_shown_differently(&ty.kind) => match (&ty.kind, self.carried_scale(*id)) {
                (TypeKind::Decimal { precision, scale, .. }, Some(carried)) if carried > *scale => {
                    Ok(df::cast(column(*id), carrier::decimal(*precision, *scale)))
                }
                _ => Ok(column(*id)),
            },
            Expr::ColumnRaw { id, .. } => Ok(column(*id)),
            Expr::Operator { op, args, ty, .. } => self.operator(e, *op, args, ty),
            Expr::Case { operand: None, branches, otherwise, .. }
                if branches.iter().map(|b| &b.1).chain(otherwise.as_deref()).any(|e| self.has_more_inside(e)) =>
            {
                self.evaluate(e, false)
            }
            Expr::Case { operand: None, branches, otherwise, ty } => {
                let mut when_then = Vec::new();
                for (when, then) in branches {
                    when_then.push((Box::new(self.truth(when)?), Box::new(self.cast(then, ty)?)));
                }
                let otherwise = match otherwise {
                    Some(e) => Some(Box::new(self.cast(e, ty)?)),
                    None => None,
                };
                Ok(df::Expr::Case(Case { expr: None, when_then_expr: when_then, else_expr: otherwise }))
            }
            Expr::Cast { expr, ty } => self.cast_or_evaluate(e, expr, ty),
            Expr::In { .. } => Ok(df::cast(self.truth(e)?, DataType::Int64)),
            _ => self.evaluate(e, false),
        }
    }

    fn literal(&self, value: &Value, ty: &SqlType) -> Result<df::Expr, Refused> {
        match carrier::scalar(value, ty) {
            Some(s) => Ok(df::Expr::Literal(s, None)),
            None => refuse("a literal without a carrier"),
        }
    }

    /// The decimals of a column as it is carried.
    fn carried_scale(&self, id: ColumnId) -> Option<u8> {
        self.types.get(&id).map(scale_of)
    }

    /// Whether the value has more decimals inside an expression than it shows: MySQL rounds a quotient when it leaves the expression, not before.
    fn has_more_inside(&self, e: &Expr) -> bool {
        let mut more = false;
        transform(e, &mut |e| {
            more |= match e {
                Expr::Operator { op: Operator::Divide, ty, .. } => matches!(ty.kind, TypeKind::Decimal { .. }),
                Expr::Column { id, ty } => matches!(ty.kind, TypeKind::Decimal { .. }) && self.carried_scale(*id).is_some_and(|s| s > scale_of(ty)),
                Expr::Literal { value: Value::Decimal(d), ty } => matches!(ty.kind, TypeKind::Decimal { .. }) && d.scale() > scale_of(ty),
                _ => false,
            };
            None
        });
        more
    }

    /// The exact number that `e` is to the expression or aggregate around it, and its decimals.
    pub fn part(&self, e: &Expr) -> Result<(df::Expr, u8), Refused> {
        let TypeKind::Decimal { precision, scale, .. } = e.ty().kind else { return Ok((self.to_decimal(e)?, 0)) };
        if let Expr::Column { id, .. } = e {
            return Ok((column(*id), self.carried_scale(*id).unwrap_or(scale)));
        }
        if !self.has_more_inside(e) {
            return Ok((self.value(e)?, scale));
        }
        let inside = self.scale_inside(e);
        let to = carrier::decimal((precision - scale).saturating_add(inside).min(38), inside);
        if let Expr::Operator { op: Operator::Divide, args, .. } = e
            && let [a, b] = args.as_slice()
            && exact(a.ty())
            && exact(b.ty())
            && !self.has_more_inside(a)
            && !self.has_more_inside(b)
        {
            let udf = Arithmetic::udf(Operator::Divide, to, weald_expr::print::text(e), self.statement.clone());
            return Ok((call(udf, vec![self.to_decimal(a)?, self.to_decimal(b)?]), inside));
        }
        Ok((self.evaluate_as(e, Asked::Part(to))?, inside))
    }

    /// How many decimals `e` may have inside an expression.
    fn scale_inside(&self, e: &Expr) -> u8 {
        let shown = scale_of(e.ty());
        if !matches!(e.ty().kind, TypeKind::Decimal { .. }) {
            return 0;
        }
        let most = |args: &mut dyn Iterator<Item = &Expr>| args.map(|a| self.scale_inside(a)).max().unwrap_or(0).max(shown);
        match e {
            Expr::Literal { value: Value::Decimal(d), .. } => d.scale(),
            Expr::Column { id, .. } => self.carried_scale(*id).unwrap_or(shown),
            Expr::Operator { op, args, .. } => match (op, args.as_slice()) {
                (Operator::Multiply, [a, b]) => (self.scale_inside(a) + self.scale_inside(b)).min(Decimal::MAX_SCALE),
                (Operator::Divide, [a, b]) => {
                    Decimal::quotient_scale(self.scale_inside(a), self.scale_inside(b), self.statement.div_precision_increment)
                }
                (_, args) => most(&mut args.iter()),
            },
            Expr::Case { branches, otherwise, .. } => most(&mut branches.iter().map(|b| &b.1).chain(otherwise.as_deref())),
            Expr::Call { args, .. } => most(&mut args.iter()),
            _ => shown,
        }
    }

    fn operator(&self, e: &Expr, op: Operator, args: &[Expr], ty: &SqlType) -> Result<df::Expr, Refused> {
        match op {
            Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide => {
                let [a, b] = args else { return self.evaluate(e, false) };
                if self.has_more_inside(a) || self.has_more_inside(b) {
                    return self.evaluate(e, false);
                }
                match &ty.kind {
                    TypeKind::Double { .. } if op != Operator::Divide && is_number(a.ty()) && is_number(b.ty()) => {
                        let (a, b) = (self.to_double(a)?, self.to_double(b)?);
                        Ok(match op {
                            Operator::Add => a + b,
                            Operator::Subtract => a - b,
                            _ => a * b,
                        })
                    }
                    TypeKind::Decimal { precision, scale, .. } if exact(a.ty()) && exact(b.ty()) => {
                        let to = carrier::decimal(*precision, *scale);
                        let udf = Arithmetic::udf(op, to, weald_expr::print::text(e), self.statement.clone());
                        Ok(call(udf, vec![self.to_decimal(a)?, self.to_decimal(b)?]))
                    }
                    TypeKind::Int { unsigned: false, .. } if op != Operator::Divide && signed(a.ty()) && signed(b.ty()) => {
                        let udf = Arithmetic::udf(op, DataType::Int64, weald_expr::print::text(e), self.statement.clone());
                        Ok(call(udf, vec![self.value(a)?, self.value(b)?]))
                    }
                    _ => self.evaluate(e, false),
                }
            }
            Operator::Or
            | Operator::And
            | Operator::Not
            | Operator::Xor
            | Operator::Eq
            | Operator::Ne
            | Operator::Lt
            | Operator::Le
            | Operator::Gt
            | Operator::Ge
            | Operator::NullSafeEq
            | Operator::IsNull
            | Operator::IsTrue
            | Operator::IsFalse
            | Operator::Between
            | Operator::Like => Ok(df::cast(self.truth(e)?, DataType::Int64)),
            _ => self.evaluate(e, false),
        }
    }

    /// The expression's truth, as Boolean.
    pub fn truth(&self, e: &Expr) -> Result<df::Expr, Refused> {
        match e {
            Expr::Operator { op: Operator::Between, args, .. } if args.iter().any(|a| self.has_more_inside(a)) => self.evaluate(e, true),
            Expr::Operator { op, args, collation, .. } => match (op, args.as_slice()) {
                (Operator::And, [a, b]) => Ok(self.truth(a)?.and(self.truth(b)?)),
                // A list of rows is searched.
                (Operator::Or, _) if sorted_list::has_many_alternatives(e) && sorted_list::prepare(e, &self.constants()).is_some() => {
                    self.evaluate(e, true)
                }
                (Operator::Or, [a, b]) => Ok(self.truth(a)?.or(self.truth(b)?)),
                (Operator::Not, [a]) => Ok(df::not(self.truth(a)?)),
                (Operator::IsNull, [a]) => Ok(self.value(a)?.is_null()),
                (Operator::IsTrue, [a]) => Ok(self.truth(a)?.is_true()),
                (Operator::IsFalse, [a]) => Ok(self.truth(a)?.is_false()),
                (Operator::Between, [v, low, high]) => {
                    let ge = self.compare(Operator::Ge, v, low, *collation)?;
                    let le = self.compare(Operator::Le, v, high, *collation)?;
                    match (ge, le) {
                        (Some(ge), Some(le)) => Ok(ge.and(le)),
                        _ => self.evaluate(e, true),
                    }
                }
                (Operator::Like, [v, pattern]) if plain_text(v.ty()) && plain_text(pattern.ty()) => {
                    Ok(call(CompareText::udf(Operator::Like, *collation), vec![self.value(v)?, self.value(pattern)?]))
                }
                (Operator::Eq | Operator::Ne | Operator::Lt | Operator::Le | Operator::Gt | Operator::Ge, [a, b]) => {
                    match self.compare(*op, a, b, *collation)? {
                        Some(e) => Ok(e),
                        None => self.evaluate(e, true),
                    }
                }
                _ => self.evaluate(e, true),
            },
            Expr::In { expr, list, negated, collation } => self.in_list(e, expr, list, *negated, *collation),
            _ => self.evaluate(e, true),
        }
    }

    /// `None`: the operands are not of one carrier class.
    fn compare(&self, op: Operator, a: &Expr, b: &Expr, collation: Collation) -> Result<Option<df::Expr>, Refused> {
        if plain_text(a.ty()) && plain_text(b.ty()) {
            let (x, y) = (self.weight(a, collation), self.weight(b, collation));
            let (x, y) = match (x, y) {
                (Some(x), None) => (Some(x), self.constant_weight(b, collation)),
                (None, Some(y)) => (self.constant_weight(a, collation), Some(y)),
                both => both,
            };
            if let (Some(x), Some(y)) = (x, y) {
                return Ok(Some(holds(op, x, y)));
            }
        }
        if plain_text(a.ty()) && plain_text(b.ty()) {
            return Ok(Some(call(CompareText::udf(op, collation), vec![self.value(a)?, self.value(b)?])));
        }
        // Compared with all their decimals.
        if self.has_more_inside(a) || self.has_more_inside(b) {
            return Ok(None);
        }
        let (a, b) = match (class(a.ty()), class(b.ty())) {
            (Some(x), Some(y)) if x == y && x != Class::Decimal => (self.value(a)?, self.value(b)?),
            (Some(Class::Decimal | Class::Signed | Class::Unsigned), Some(Class::Decimal | Class::Signed | Class::Unsigned)) => {
                // Arrow compares decimals of one scale only.
                let scale = scale_of(a.ty()).max(scale_of(b.ty()));
                let to = carrier::decimal(38, scale);
                if digits_of(a.ty()) + scale > 38 || digits_of(b.ty()) + scale > 38 {
                    return Ok(None);
                }
                (df::cast(self.to_decimal(a)?, to.clone()), df::cast(self.to_decimal(b)?, to))
            }
            (Some(Class::Double), Some(_)) | (Some(_), Some(Class::Double)) if is_number(a.ty()) && is_number(b.ty()) => {
                (self.to_double(a)?, self.to_double(b)?)
            }
            _ => return Ok(None),
        };
        Ok(Some(holds(op, a, b)))
    }

    /// The weight of a text that is a constant; that of NULL is NULL.
    fn constant_weight(&self, e: &Expr, collation: Collation) -> Option<df::Expr> {
        let key = match constant(e, self.params)? {
            Value::Str(s) => {
                let mut key = Vec::new();
                collation.sort_key(s.as_bytes(), &mut key);
                Some(key)
            }
            Value::Null => None,
            _ => return None,
        };
        Some(df::Expr::Literal(ScalarValue::LargeBinary(key), None))
    }

    /// The weight of a text that is a column with a weight in scope.
    fn weight(&self, e: &Expr, collation: Collation) -> Option<df::Expr> {
        match e {
            Expr::Column { id, .. } | Expr::ColumnRaw { id, .. } if self.weights.get(id) == Some(&collation) => Some(weight_column(*id)),
            _ => None,
        }
    }

    fn in_list(&self, e: &Expr, expr: &Expr, list: &[Expr], negated: bool, collation: Collation) -> Result<df::Expr, Refused> {
        let same_class = class(expr.ty()).is_some_and(|c| c != Class::Decimal && c != Class::Double && list.iter().all(|i| class(i.ty()) == Some(c)));
        if same_class {
            let list = list.iter().map(|i| self.value(i)).collect::<Result<_, _>>()?;
            return Ok(df::Expr::InList(InList::new(Box::new(self.value(expr)?), list, negated)));
        }
        if plain_text(expr.ty()) && list.iter().all(|i| plain_text(i.ty())) {
            if let Some(weight) = self.weight(expr, collation)
                && let Some(items) = list.iter().map(|i| self.constant_weight(i, collation)).collect::<Option<Vec<_>>>()
            {
                return Ok(df::Expr::InList(InList::new(Box::new(weight), items, negated)));
            }
            let constants: Option<Vec<&str>> = list
                .iter()
                .map(|i| match constant(i, self.params) {
                    Some(Value::Str(s)) => Some(s.as_str()),
                    _ => None,
                })
                .collect();
            if let Some(constants) = constants {
                let found = call(OneOf::udf(collation, &constants), vec![self.value(expr)?]);
                return Ok(if negated { df::not(found) } else { found });
            }
            // By weight: one key for the column's value, constant keys for the list.
            let weigh = |e: df::Expr| call(Weight::udf(collation), vec![e]);
            let items = list
                .iter()
                .map(|i| {
                    Ok(match constant(i, self.params) {
                        Some(Value::Str(s)) => {
                            let mut key = Vec::new();
                            collation.sort_key(s.as_bytes(), &mut key);
                            df::Expr::Literal(ScalarValue::LargeBinary(Some(key)), None)
                        }
                        _ => weigh(self.value(i)?),
                    })
                })
                .collect::<Result<Vec<_>, Refused>>()?;
            return Ok(df::Expr::InList(InList::new(Box::new(weigh(self.value(expr)?)), items, negated)));
        }
        self.evaluate(e, true)
    }

    /// What a value groups, sorts and joins by.
    pub fn key(&self, e: &Expr) -> Result<df::Expr, Refused> {
        let ty = value_type(e);
        match &ty.kind {
            TypeKind::Char { .. } | TypeKind::VarChar { .. } | TypeKind::Text(_) => match self.weight(e, ty.collation) {
                Some(weight) => Ok(weight),
                None => Ok(call(Weight::udf(ty.collation), vec![self.value(e)?])),
            },
            TypeKind::Json => refuse("JSON as a key"),
            _ => self.value(e),
        }
    }

    fn cast(&self, e: &Expr, ty: &SqlType) -> Result<df::Expr, Refused> {
        let (from, to) = (carrier::data_type(e.ty()), carrier::data_type(ty));
        if from.is_some() && from == to {
            return self.value(e);
        }
        self.cast_or_evaluate(&Expr::Cast { expr: Box::new(e.clone()), ty: ty.clone() }, e, ty)
    }

    fn cast_or_evaluate(&self, whole: &Expr, e: &Expr, ty: &SqlType) -> Result<df::Expr, Refused> {
        if self.has_more_inside(e) {
            return self.evaluate(whole, false);
        }
        match (&e.ty().kind, &ty.kind) {
            (TypeKind::Int { .. }, TypeKind::Double { .. }) => self.to_double(e),
            (TypeKind::Int { .. }, TypeKind::Decimal { precision, scale, .. }) if precision - scale >= 20 => {
                Ok(df::cast(self.value(e)?, carrier::decimal(*precision, *scale)))
            }
            (TypeKind::Decimal { precision: p, scale: s, .. }, TypeKind::Decimal { precision, scale, .. })
                if scale >= s && precision - scale >= p - s && *precision <= 38 =>
            {
                Ok(df::cast(self.value(e)?, carrier::decimal(*precision, *scale)))
            }
            _ => self.evaluate(whole, false),
        }
    }

    fn to_double(&self, e: &Expr) -> Result<df::Expr, Refused> {
        Ok(df::cast(self.value(e)?, DataType::Float64))
    }

    pub fn to_decimal(&self, e: &Expr) -> Result<df::Expr, Refused> {
        Ok(match &e.ty().kind {
            TypeKind::Decimal { .. } => self.value(e)?,
            _ => df::cast(self.value(e)?, carrier::decimal(20, 0)),
        })
    }

    /// What constants are evaluated under.
    fn constants(&self) -> EvalContext<'_> {
        EvalContext { statement: self.statement, params: self.params, subqueries: &[] }
    }

    /// Row by row, by MySQL's evaluator.
    pub fn evaluate(&self, e: &Expr, truth: bool) -> Result<df::Expr, Refused> {
        if truth {
            return self.evaluate_as(e, Asked::Truth);
        }
        match carrier::data_type(&value_type(e)) {
            Some(to) => self.evaluate_as(e, Asked::Value(to)),
            None => refuse("a type without a carrier"),
        }
    }

    fn evaluate_as(&self, e: &Expr, asked: Asked) -> Result<df::Expr, Refused> {
        let sorted = sorted_list::prepare(e, &self.constants());
        let e = sorted.as_ref().unwrap_or(e);
        let mut reason = None;
        let mut columns: Vec<(ColumnId, SqlType)> = Vec::new();
        transform(e, &mut |e| {
            match e {
                Expr::Column { id, ty } | Expr::ColumnRaw { id, ty } if !columns.iter().any(|c| c.0 == *id) => {
                    columns.push((*id, self.types.get(id).unwrap_or(ty).clone()));
                }
                Expr::Subquery { .. } => reason = Some("a correlated subquery"),
                Expr::UserVariable { .. } | Expr::AssignUserVariable { .. } => reason = Some("a user variable"),
                Expr::Call { function, .. } if function.volatility == Volatility::Volatile => reason = Some("a volatile function"),
                _ => (),
            }
            None
        });
        if let Some(reason) = reason {
            return refuse(reason);
        }
        let args = columns.iter().map(|c| column(c.0)).collect();
        Ok(call(Evaluate::udf(e.clone(), columns, self.statement.clone(), self.params.clone(), asked), args))
    }
}

fn holds(op: Operator, a: df::Expr, b: df::Expr) -> df::Expr {
    match op {
        Operator::Eq => a.eq(b),
        Operator::Ne => a.not_eq(b),
        Operator::Lt => a.lt(b),
        Operator::Le => a.lt_eq(b),
        Operator::Gt => a.gt(b),
        _ => a.gt_eq(b),
    }
}

fn constant<'a>(e: &'a Expr, params: &'a [Value]) -> Option<&'a Value> {
    match e {
        Expr::Literal { value, .. } => Some(value),
        Expr::Param { index, .. } => params.get(*index as usize),
        _ => None,
    }
}

/// Stored in another form than shown: the evaluator turns it.
pub(super) fn is_shown_differently(kind: &TypeKind) -> bool {
    matches!(kind, TypeKind::Enum(_) | TypeKind::Set(_) | TypeKind::Timestamp { .. })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Signed,
    Unsigned,
    Decimal,
    Double,
    Date,
    Time,
    DateTime,
}

/// Values of one class compare by their carriers.
fn class(ty: &SqlType) -> Option<Class> {
    Some(match &ty.kind {
        TypeKind::Int { unsigned: false, .. } | TypeKind::Year => Class::Signed,
        TypeKind::Int { unsigned: true, .. } => Class::Unsigned,
        TypeKind::Decimal { .. } => Class::Decimal,
        TypeKind::Float { .. } | TypeKind::Double { .. } => Class::Double,
        TypeKind::Date => Class::Date,
        TypeKind::Time { .. } => Class::Time,
        TypeKind::DateTime { .. } => Class::DateTime,
        _ => return None,
    })
}

fn is_number(ty: &SqlType) -> bool {
    matches!(class(ty), Some(Class::Signed | Class::Unsigned | Class::Decimal | Class::Double))
}
fn exact(ty: &SqlType) -> bool {
    matches!(class(ty), Some(Class::Signed | Class::Unsigned | Class::Decimal)) && digits_of(ty) <= 38
}
fn signed(ty: &SqlType) -> bool {
    class(ty) == Some(Class::Signed)
}
fn plain_text(ty: &SqlType) -> bool {
    matches!(ty.kind, TypeKind::Char { .. } | TypeKind::VarChar { .. } | TypeKind::Text(_))
}
fn scale_of(ty: &SqlType) -> u8 {
    match ty.kind {
        TypeKind::Decimal { scale, .. } => scale,
        _ => 0,
    }
}
fn digits_of(ty: &SqlType) -> u8 {
    match ty.kind {
        TypeKind::Decimal { precision, scale, .. } => precision - scale,
        _ => 20,
    }
}
