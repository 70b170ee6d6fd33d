//! From a bound query to DataFusion's logical plan.
//!
//! Owns:     nothing.
//! Promises: same rows as the row executor, or a refusal before anything ran.
//! Never:    guesses: what has no exact counterpart is refused, with the reason EXPLAIN shows.
//!
//! Every column is called `c<id>`; ids are unique in the query, so names never clash. Strings group, join and sort by their weight under their collation; the
//! value shown for a group is that of one of its rows, as in MySQL. Where a scan offers a text's weight as a column (`w<id>`), it goes along with the text.

use super::any_value::any_value;
use super::exact_sum::exact_sum;
use super::lower_expr::{ExprLowering, column, name, weight_column, weight_name};
use super::scan::{BatchSource, Offered, Table};
use super::udf::Arithmetic;
use super::{Refused, carrier, refuse};
use arrow::datatypes::DataType;
use datafusion::common::{JoinType, NullEquality};
use datafusion::datasource::provider_as_source;
use datafusion::functions_aggregate::expr_fn;
use datafusion::functions_aggregate::first_last::first_value;
use datafusion::logical_expr::logical_plan::{Aggregate, Join, Limit};
use datafusion::logical_expr::{self as df, JoinConstraint, LogicalPlan, LogicalPlanBuilder};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use weald_catalog::TableRef;
use weald_expr::typing::value_type;
use weald_expr::walk::{columns_of, conjuncts};
use weald_expr::{AggregateFunction, Expr, Operator, StatementContext};
use weald_plan::Statistics;
use weald_plan::query::{self, JoinKind, Query, Rel, SetOp};
use weald_plan::rewrite::estimate;
use weald_types::{Collation, ColumnId, Decimal, SqlType, TypeKind, Value};

pub struct Lowering<'a> {
    pub query: &'a Query,
    pub statement: &'a Arc<StatementContext>,
    pub params: &'a Arc<[Value]>,
    pub source: &'a Arc<dyn BatchSource>,
    /// What estimates are made by.
    pub statistics: Box<dyn Statistics + 'a>,
    pub types: RefCell<HashMap<ColumnId, SqlType>>,
    /// Columns whose weights go along with them.
    pub weights: RefCell<HashMap<ColumnId, Collation>>,
}

impl Lowering<'_> {
    pub fn plan(&self) -> Result<LogicalPlan, Refused> {
        let plan = self.rel(&self.query.root)?;
        // The client's columns, in order.
        let out: Vec<df::Expr> = self.query.columns.iter().map(|c| column(c.id)).collect();
        Ok(LogicalPlanBuilder::from(plan).project(out)?.build()?)
    }

    fn with_exprs<T>(&self, f: impl FnOnce(&ExprLowering<'_>) -> T) -> T {
        let (types, weights) = (self.types.borrow(), self.weights.borrow());
        f(&ExprLowering { statement: self.statement, params: self.params, types: &types, weights: &weights })
    }

    fn note(&self, columns: &[query::Column]) {
        let mut types = self.types.borrow_mut();
        for c in columns {
            types.insert(c.id, c.ty.clone());
        }
    }

    /// The columns, and the weights that go along with them.
    fn carried(&self, ids: &[ColumnId]) -> Vec<df::Expr> {
        let weights = self.weights.borrow();
        let weights = ids.iter().filter(|id| weights.contains_key(id)).map(|id| weight_column(*id));
        ids.iter().map(|id| column(*id)).chain(weights).collect()
    }

    fn rel(&self, rel: &Rel) -> Result<LogicalPlan, Refused> {
        match rel {
            Rel::Scan { table, ordinals, columns } => self.scan(table, ordinals, columns, None),
            Rel::Filter { input, predicate } => {
                let input = match &**input {
                    Rel::Scan { table, ordinals, columns } => {
                        let passing = estimate(rel, &*self.statistics);
                        self.scan(table, ordinals, columns, Some(passing))?
                    }
                    other => self.rel(other)?,
                };
                let predicate = self.with_exprs(|x| x.truth(predicate))?;
                Ok(LogicalPlanBuilder::from(input).filter(predicate)?.build()?)
            }
            Rel::Project { input, exprs, columns } => {
                let input = self.rel(input)?;
                self.note(columns);
                let mut out = Vec::new();
                for (e, c) in exprs.iter().zip(columns) {
                    out.push(self.with_exprs(|x| x.value(e))?.alias(name(c.id)));
                    if let Expr::Column { id, .. } = e {
                        let known = self.weights.borrow().get(id).copied();
                        if let Some(collation) = known {
                            out.push(weight_column(*id).alias(weight_name(c.id)));
                            self.weights.borrow_mut().insert(c.id, collation);
                        }
                    }
                }
                Ok(LogicalPlanBuilder::from(input).project(out)?.build()?)
            }
            Rel::Join { kind, left, right, on, lateral: false } => self.join(*kind, left, right, on.as_ref()),
            Rel::Join { lateral: true, .. } => refuse("LATERAL"),
            Rel::Aggregate { input, group, aggregates, rollup: false, .. } => {
                let plan = self.rel(input)?;
                let settled = depending(input, group);
                self.group(plan, group, &settled, aggregates)
            }
            Rel::Aggregate { rollup: true, .. } => refuse("WITH ROLLUP"),
            Rel::Sort { input, keys } => {
                let input = self.rel(input)?;
                let keys = self.sort_keys(keys)?;
                Ok(LogicalPlanBuilder::from(input).sort(keys)?.build()?)
            }
            Rel::Limit { input, count, offset } => {
                let input = self.rel(input)?;
                let number = |e: &Option<Expr>| -> Result<Option<Box<df::Expr>>, Refused> {
                    let Some(e) = e else { return Ok(None) };
                    match self.constant(e) {
                        Some(Value::Int(n)) if n >= 0 => Ok(Some(Box::new(df::lit(n)))),
                        Some(Value::UInt(n)) => Ok(Some(Box::new(df::lit(i64::try_from(n).unwrap_or(i64::MAX))))),
                        _ => refuse("LIMIT that is not a constant"),
                    }
                };
                Ok(LogicalPlan::Limit(Limit { skip: number(offset)?, fetch: number(count)?, input: Arc::new(input) }))
            }
            Rel::Distinct { input } => {
                let columns = input.columns();
                let plan = self.rel(input)?;
                self.distinct(plan, &columns)
            }
            Rel::SetOp { op: SetOp::Union, all, left, right, columns } => {
                let side = |rel: &Rel| -> Result<LogicalPlan, Refused> {
                    let from = rel.columns();
                    let plan = self.rel(rel)?;
                    let out: Vec<df::Expr> = from.iter().zip(columns).map(|(f, c)| column(f.id).alias(name(c.id))).collect();
                    Ok(LogicalPlanBuilder::from(plan).project(out)?.build()?)
                };
                let union = LogicalPlanBuilder::from(side(left)?).union(side(right)?)?.build()?;
                self.note(columns);
                if *all { Ok(union) } else { self.distinct(union, columns) }
            }
            Rel::SetOp { op: op @ (SetOp::Intersect | SetOp::Except), all: false, left, right, columns } => self.common(*op, left, right, columns),
            Rel::SetOp { .. } => refuse("INTERSECT ALL and EXCEPT ALL"),
            Rel::Window { .. } => refuse("window functions"),
            Rel::Lock { .. } => refuse("row locks"),
            Rel::Recursive { .. } | Rel::RecursionInput { .. } => refuse("WITH RECURSIVE"),
            Rel::Virtual { .. } => refuse("information_schema"),
            Rel::JsonTable { .. } => refuse("JSON_TABLE"),
            Rel::Values { .. } => refuse("VALUES"),
        }
    }

    fn constant(&self, e: &Expr) -> Option<Value> {
        match e {
            Expr::Literal { value, .. } => Some(value.clone()),
            Expr::Param { index, .. } => self.params.get(*index as usize).cloned(),
            _ => None,
        }
    }

    fn scan(&self, table: &TableRef, ordinals: &[u16], columns: &[query::Column], passing: Option<f64>) -> Result<LogicalPlan, Refused> {
        if ordinals.contains(&query::ROW_LOCATOR) {
            return refuse("a search for rows to change");
        }
        self.note(columns);
        let mut wanted: Vec<Offered> =
            columns.iter().zip(ordinals).map(|(c, o)| Offered { ordinal: *o, name: name(c.id), ty: c.ty.clone(), weight: None }).collect();
        for (c, o) in columns.iter().zip(ordinals).filter(|(c, _)| is_text(&c.ty)) {
            let collation = c.ty.collation;
            wanted.push(Offered { ordinal: *o, name: weight_name(c.id), ty: c.ty.clone(), weight: Some(collation) });
            self.weights.borrow_mut().insert(c.id, collation);
        }
        let Some(provider) = Table::new(table.clone(), &wanted, passing, self.source.clone(), self.statement.clone()) else {
            return refuse("a column without a carrier");
        };
        let called = format!("{}_{}", table.name.replace('.', "_"), columns.first().map_or(0, |c| c.id.raw()));
        let scan = LogicalPlanBuilder::scan(called, provider_as_source(Arc::new(provider)), None)?.build()?;
        // The same columns under names without a table before them.
        let out: Vec<df::Expr> = wanted.iter().zip(scan.schema().columns()).map(|(w, from)| df::Expr::Column(from).alias(&w.name)).collect();
        Ok(LogicalPlanBuilder::from(scan).project(out)?.build()?)
    }

    fn sort_keys(&self, keys: &[query::SortKey]) -> Result<Vec<df::SortExpr>, Refused> {
        // NULLs first upwards, last downwards.
        keys.iter().map(|k| Ok(self.with_exprs(|x| x.key(&k.expr))?.sort(!k.descending, !k.descending))).collect()
    }

    fn join(&self, kind: JoinKind, left: &Rel, right: &Rel, on: Option<&Expr>) -> Result<LogicalPlan, Refused> {
        let (left_ids, right_ids): (Vec<_>, Vec<_>) = (left.columns().iter().map(|c| c.id).collect(), right.columns().iter().map(|c| c.id).collect());
        let (l, r) = (self.rel(left)?, self.rel(right)?);
        let within = |e: &Expr, ids: &[ColumnId]| {
            let used = columns_of(e);
            !used.is_empty() && used.iter().all(|id| ids.contains(id))
        };
        let (mut keys, mut rest): (Vec<(df::Expr, df::Expr)>, Option<df::Expr>) = (Vec::new(), None);
        for c in on.map(conjuncts).unwrap_or_default() {
            if let Expr::Operator { op: Operator::Eq, args, .. } = &c
                && let [a, b] = args.as_slice()
                && crate::rows::same_keys(a.ty(), b.ty())
                && a.ty().collation == b.ty().collation
            {
                let pair = if within(a, &left_ids) && within(b, &right_ids) {
                    Some((a, b))
                } else if within(b, &left_ids) && within(a, &right_ids) {
                    Some((b, a))
                } else {
                    None
                };
                if let Some((a, b)) = pair
                    && !matches!(
                        a.ty().kind,
                        TypeKind::Decimal { .. }
                            | TypeKind::Double { .. }
                            | TypeKind::Float { .. }
                            | TypeKind::Enum(_)
                            | TypeKind::Set(_)
                            | TypeKind::Json
                    )
                {
                    keys.push((self.with_exprs(|x| x.key(a))?, self.with_exprs(|x| x.key(b))?));
                    continue;
                }
            }
            let t = self.with_exprs(|x| x.truth(&c))?;
            rest = Some(match rest {
                Some(all) => all.and(t),
                None => t,
            });
        }
        let (join_type, null_aware) = match kind {
            JoinKind::Inner | JoinKind::Cross => (JoinType::Inner, false),
            JoinKind::Left => (JoinType::Left, false),
            JoinKind::Semi => (JoinType::LeftSemi, false),
            JoinKind::Anti => (JoinType::LeftAnti, false),
            // DataFusion's null-aware join knows one key and nothing else.
            JoinKind::NullAwareAnti if keys.len() == 1 && rest.is_none() => (JoinType::LeftAnti, true),
            JoinKind::NullAwareAnti => return refuse("NOT IN with more than one condition"),
        };
        if keys.is_empty() && rest.is_none() && !matches!(kind, JoinKind::Inner | JoinKind::Cross) {
            rest = Some(df::lit(true));
        }
        // Computed keys become columns of their input first: the planner wants columns.
        let (l, left_keys) = with_keys(l, keys.iter().map(|k| k.0.clone()).collect(), self.carried(&left_ids), &left_ids, "l")?;
        let (r, right_keys) = with_keys(r, keys.into_iter().map(|k| k.1).collect(), self.carried(&right_ids), &right_ids, "r")?;
        // The left side is kept in a hash table, the right side is asked of it row by row: the smaller one is kept.
        let swapped = match join_type {
            JoinType::Inner => Some(JoinType::Inner),
            JoinType::Left => Some(JoinType::Right),
            JoinType::LeftSemi => Some(JoinType::RightSemi),
            JoinType::LeftAnti if !null_aware => Some(JoinType::RightAnti),
            _ => None,
        };
        let swapped = swapped.filter(|_| !left_keys.is_empty() && estimate(right, &*self.statistics) < estimate(left, &*self.statistics));
        let (l, r, left_keys, right_keys, join_type) = match swapped {
            Some(swapped) => (r, l, right_keys, left_keys, swapped),
            None => (l, r, left_keys, right_keys, join_type),
        };
        let on = left_keys.into_iter().zip(right_keys).collect();
        let joined = LogicalPlan::Join(Join::try_new(
            Arc::new(l),
            Arc::new(r),
            on,
            rest,
            join_type,
            JoinConstraint::On,
            NullEquality::NullEqualsNothing,
            null_aware,
        )?);
        // Without the key columns.
        let mut out = left_ids;
        if !matches!(join_type, JoinType::LeftSemi | JoinType::LeftAnti | JoinType::RightSemi | JoinType::RightAnti) {
            out.extend(right_ids);
        }
        Ok(LogicalPlanBuilder::from(joined).project(self.carried(&out))?.build()?)
    }

    /// The different rows of the left side that are (INTERSECT) or are not (EXCEPT) on the right: NULLs are equal here.
    fn common(&self, op: SetOp, left: &Rel, right: &Rel, columns: &[query::Column]) -> Result<LogicalPlan, Refused> {
        let own = left.columns();
        let l = self.rel(left)?;
        let l = self.distinct(l, &own)?;
        let r = self.rel(right)?;
        let key = |c: &query::Column| self.with_exprs(|x| x.key(&Expr::Column { id: c.id, ty: c.ty.clone() }));
        let left_keys = own.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        let others = right.columns();
        let right_keys = others.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        let ids = |columns: &[query::Column]| columns.iter().map(|c| c.id).collect::<Vec<_>>();
        let (l, left_keys) = with_keys(l, left_keys, self.carried(&ids(&own)), &ids(&own), "l")?;
        let (r, right_keys) = with_keys(r, right_keys, self.carried(&ids(&others)), &ids(&others), "r")?;
        let kind = if op == SetOp::Intersect { JoinType::LeftSemi } else { JoinType::LeftAnti };
        let on = left_keys.into_iter().zip(right_keys).collect();
        let joined =
            LogicalPlan::Join(Join::try_new(Arc::new(l), Arc::new(r), on, None, kind, JoinConstraint::On, NullEquality::NullEqualsNull, false)?);
        self.note(columns);
        let out: Vec<df::Expr> = own.iter().zip(columns).map(|(f, c)| column(f.id).alias(name(c.id))).collect();
        Ok(LogicalPlanBuilder::from(joined).project(out)?.build()?)
    }

    fn distinct(&self, plan: LogicalPlan, columns: &[query::Column]) -> Result<LogicalPlan, Refused> {
        let group: Vec<(Expr, query::Column)> = columns.iter().map(|c| (Expr::Column { id: c.id, ty: c.ty.clone() }, c.clone())).collect();
        self.group(plan, &group, &[], &[])
    }

    /// `settled`: places in `group` of what is the same in all rows of a group anyhow.
    fn group(
        &self,
        plan: LogicalPlan,
        group: &[(Expr, query::Column)],
        settled: &[usize],
        aggregates: &[(query::Aggregate, query::Column)],
    ) -> Result<LogicalPlan, Refused> {
        let (mut keys, mut calls, mut out, mut weights) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (i, (e, c)) in group.iter().enumerate() {
            let ty = value_type(e);
            let value_name = format!("v{}_{i}", c.id);
            if settled.contains(&i) {
                calls.push(any_value(self.with_exprs(|x| x.value(e))?).alias(&value_name));
                out.push(df::ident(value_name).alias(name(c.id)));
                continue;
            }
            let mut key = self.with_exprs(|x| x.key(e))?;
            // A plain column keeps its name: filters on it find their way to the scan.
            let key_name = match &key {
                df::Expr::Column(c) if !keys.contains(&key) => c.name.clone(),
                _ => {
                    let key_name = format!("g{}_{i}", c.id);
                    key = key.alias(&key_name);
                    key_name
                }
            };
            keys.push(key);
            if is_text(&ty) {
                calls.push(any_value(self.with_exprs(|x| x.value(e))?).alias(&value_name));
                out.push(df::ident(value_name).alias(name(c.id)));
                out.push(df::ident(key_name).alias(weight_name(c.id)));
                weights.push((c.id, ty.collation));
            } else {
                out.push(df::ident(key_name).alias(name(c.id)));
            }
        }
        let mut noted: Vec<query::Column> = group.iter().map(|g| g.1.clone()).collect();
        for (i, (a, c)) in aggregates.iter().enumerate() {
            let (result, inside) = self.call(a, c, i, &mut calls)?;
            out.push(result.alias(name(c.id)));
            let mut c = c.clone();
            // A sum or a mean of quotients is carried with all its decimals.
            if let (TypeKind::Decimal { precision, scale, .. }, Some(inside)) = (&mut c.ty.kind, inside) {
                *precision = (*precision - *scale).saturating_add(inside).min(65);
                *scale = inside;
            }
            noted.push(c);
        }
        self.weights.borrow_mut().extend(weights);
        self.note(&noted);
        let grouped = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(plan), keys, calls)?);
        Ok(LogicalPlanBuilder::from(grouped).project(out)?.build()?)
    }

    /// Adds what one aggregate needs to `calls`, and gives the expression that makes its result of them; and, of an exact number, the decimals it is carried with.
    fn call(&self, a: &query::Aggregate, c: &query::Column, i: usize, calls: &mut Vec<df::Expr>) -> Result<(df::Expr, Option<u8>), Refused> {
        let mut add = |e: df::Expr, what: &str| -> df::Expr {
            // AVG(x) beside SUM(x) sums once.
            if let Some(df::Expr::Alias(known)) = calls.iter().find(|c| matches!(c, df::Expr::Alias(a) if *a.expr == e)) {
                return df::ident(&known.name);
            }
            let n = format!("{what}{}_{i}", c.id);
            calls.push(e.alias(&n));
            df::ident(n)
        };
        let to = match carrier::data_type(&a.ty) {
            Some(t) => t,
            None => return refuse("an aggregate without a carrier"),
        };
        let first = a.args.first();
        if !a.order_by.is_empty() {
            return refuse("an ordered aggregate");
        }
        match (a.function, first) {
            (AggregateFunction::Count, None) => Ok((df::cast(add(expr_fn::count(df::lit(1i64)), "n"), to), None)),
            (AggregateFunction::Count | AggregateFunction::CountDistinct, Some(e)) => {
                if a.args.len() > 1 {
                    return refuse("COUNT(DISTINCT a, b)");
                }
                let key = self.with_exprs(|x| x.key(e))?;
                let distinct = a.distinct || a.function == AggregateFunction::CountDistinct;
                Ok((df::cast(add(if distinct { expr_fn::count_distinct(key) } else { expr_fn::count(key) }, "n"), to), None))
            }
            (AggregateFunction::Sum | AggregateFunction::Avg, Some(_)) if a.distinct => refuse("SUM(DISTINCT)"),
            (AggregateFunction::Sum, Some(e)) => {
                let (summed, inside) = self.summand(e)?;
                let to = with_scale(to, inside);
                Ok((df::cast(add(sum(summed, &to), "s"), to), inside))
            }
            (AggregateFunction::Avg, Some(e)) => {
                let (summed, inside) = self.summand(e)?;
                let counted = if e.ty().nullable { expr_fn::count(summed.clone()) } else { expr_fn::count(df::lit(1i64)) };
                let (s, n) = (add(sum(summed, &to), "s"), add(counted, "n"));
                match &to {
                    DataType::Float64 => {
                        let mean = s / df::cast(
                            df::Expr::ScalarFunction(datafusion::logical_expr::expr::ScalarFunction::new_udf(
                                datafusion::functions::core::nullif(),
                                vec![n, df::lit(0i64)],
                            )),
                            DataType::Float64,
                        );
                        Ok((mean, None))
                    }
                    _ => {
                        // The division itself makes NULL of no rows, but would warn: the sum is NULL then, and NULL / 0 is not a division by zero.
                        let inside = Decimal::quotient_scale(inside.unwrap_or(0), 0, self.statement.div_precision_increment);
                        let to = with_scale(to, Some(inside));
                        let udf = Arithmetic::udf(Operator::Divide, to, "avg".into(), self.statement.clone());
                        let mean = df::Expr::ScalarFunction(datafusion::logical_expr::expr::ScalarFunction::new_udf(
                            Arc::new(udf),
                            vec![s, df::cast(n, carrier::decimal(20, 0))],
                        ));
                        Ok((mean, Some(inside)))
                    }
                }
            }
            (AggregateFunction::Min | AggregateFunction::Max, Some(e)) if is_text(&value_type(e)) => {
                // By weight; any of the values that weigh least (or most) will do.
                let (value, weight) = (self.with_exprs(|x| x.value(e))?, self.with_exprs(|x| x.key(e))?);
                let order = weight.sort(a.function == AggregateFunction::Min, false);
                Ok((add(first_value(value, vec![order]), "m"), None))
            }
            (AggregateFunction::Min | AggregateFunction::Max, Some(e)) => {
                if matches!(value_type(e).kind, TypeKind::Json) {
                    return refuse("MIN or MAX of JSON");
                }
                let (value, inside) = match value_type(e).kind {
                    TypeKind::Decimal { .. } => self.with_exprs(|x| x.part(e)).map(|(value, inside)| (value, Some(inside)))?,
                    _ => (self.with_exprs(|x| x.value(e))?, None),
                };
                let to = with_scale(to, inside);
                Ok((df::cast(add(if a.function == AggregateFunction::Min { expr_fn::min(value) } else { expr_fn::max(value) }, "m"), to), inside))
            }
            (AggregateFunction::AnyValue, Some(e)) if carrier::data_type(&value_type(e)).as_ref() == Some(&to) => {
                Ok((add(any_value(self.with_exprs(|x| x.value(e))?), "m"), None))
            }
            _ => refuse("an aggregate that only the row executor has"),
        }
    }

    /// Exact numbers are summed as decimals of 38 digits, of which so many are decimals; the others as doubles.
    fn summand(&self, e: &Expr) -> Result<(df::Expr, Option<u8>), Refused> {
        match &e.ty().kind {
            TypeKind::Int { .. } | TypeKind::Year | TypeKind::Bit { .. } => {
                Ok((df::cast(self.with_exprs(|x| x.value(e))?, carrier::decimal(38, 0)), Some(0)))
            }
            TypeKind::Decimal { .. } => {
                let (value, inside) = self.with_exprs(|x| x.part(e))?;
                Ok((df::cast(value, carrier::decimal(38, inside)), Some(inside)))
            }
            TypeKind::Float { .. } | TypeKind::Double { .. } => Ok((self.with_exprs(|x| x.value(e))?, None)),
            _ => refuse("a sum of what is not a number"),
        }
    }
}

/// A decimal carrier with other decimals than the type shows, and as many digits before the point as there is room for.
fn with_scale(to: DataType, inside: Option<u8>) -> DataType {
    match (&to, inside) {
        (DataType::Decimal128(p, s), Some(inside)) => carrier::decimal(p.saturating_sub(*s as u8).saturating_add(inside).min(38), inside),
        _ => to,
    }
}

/// Places in `group` of columns that a primary key among the others settles: a table's columns, where its whole primary key is grouped by as well.
fn depending(input: &Rel, group: &[(Expr, query::Column)]) -> Vec<usize> {
    let mut settled = Vec::new();
    each_scan(input, &mut |table, ordinals, columns| {
        let place = |id: ColumnId| group.iter().position(|g| matches!(g.0, Expr::Column { id: g, .. } | Expr::ColumnRaw { id: g, .. } if g == id));
        let Some(primary) = table.primary() else { return };
        let key: Option<Vec<ColumnId>> =
            primary.parts.iter().map(|p| columns.get(ordinals.iter().position(|o| *o == p.column && p.prefix.is_none())?).map(|c| c.id)).collect();
        let Some(key) = key.filter(|key| key.iter().all(|id| place(*id).is_some())) else { return };
        settled.extend(columns.iter().filter(|c| !key.contains(&c.id)).filter_map(|c| place(c.id)));
    });
    settled
}

/// The scans whose columns the relation gives on as they are: a row of it has at most one row of each, or NULLs in its place.
fn each_scan(rel: &Rel, f: &mut dyn FnMut(&TableRef, &[u16], &[query::Column])) {
    match rel {
        Rel::Scan { table, ordinals, columns } => f(table, ordinals, columns),
        Rel::Filter { input, .. } | Rel::Sort { input, .. } | Rel::Limit { input, .. } | Rel::Lock { input, .. } => each_scan(input, f),
        Rel::Join { kind, left, right, .. } => {
            each_scan(left, f);
            match kind {
                JoinKind::Inner | JoinKind::Cross | JoinKind::Left => each_scan(right, f),
                JoinKind::Semi | JoinKind::Anti | JoinKind::NullAwareAnti => (),
            }
        }
        Rel::Virtual { .. }
        | Rel::JsonTable { .. }
        | Rel::Values { .. }
        | Rel::Project { .. }
        | Rel::Aggregate { .. }
        | Rel::Window { .. }
        | Rel::Distinct { .. }
        | Rel::SetOp { .. }
        | Rel::Recursive { .. }
        | Rel::RecursionInput { .. } => (),
    }
}

fn is_text(ty: &SqlType) -> bool {
    matches!(ty.kind, TypeKind::Char { .. } | TypeKind::VarChar { .. } | TypeKind::Text(_))
}

/// The sum for a result carried as `to`: exact numbers may outgrow theirs, and then say so.
fn sum(summed: df::Expr, to: &DataType) -> df::Expr {
    match to {
        DataType::Float64 => expr_fn::sum(summed),
        _ => exact_sum(summed),
    }
}

/// The input's columns `out` with its computed keys as further columns, and the keys as plain columns.
fn with_keys(
    plan: LogicalPlan,
    keys: Vec<df::Expr>,
    mut out: Vec<df::Expr>,
    ids: &[ColumnId],
    side: &str,
) -> Result<(LogicalPlan, Vec<df::Expr>), Refused> {
    if keys.iter().all(|k| matches!(k, df::Expr::Column(_))) {
        return Ok((plan, keys));
    }
    let mut names = Vec::new();
    for (i, k) in keys.into_iter().enumerate() {
        let n = format!("k{side}{i}_{}", ids.first().map_or(0, |id| id.raw()));
        out.push(k.alias(&n));
        names.push(df::ident(n));
    }
    Ok((LogicalPlanBuilder::from(plan).project(out)?.build()?, names))
}
