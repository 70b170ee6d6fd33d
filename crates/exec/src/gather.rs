//! The answers of several partitions become one.
//!
//! Owns:     the rows of the answer.
//! Promises: groups of several partitions are one group; sorted answers stay sorted.
//! Never:    reads a table.

use crate::fragment_read::number;
use crate::rows::Row;
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use std::sync::Arc;
use weald_expr::aggregate::{Accumulator, AggregateSpec};
use weald_expr::sort::{group_key, sort_key};
use weald_expr::{EvalContext, StatementContext, eval, is_true};
use weald_plan::fragment::{Action, FragmentPlan};
use weald_plan::query::SortKey;
use weald_types::{Fault, SqlType, Value};

/// `one`: there was one partition only, which sorted and limited already.
pub fn gather(
    plan: &FragmentPlan,
    mut answers: Vec<Vec<Row>>,
    one: bool,
    statement: &Arc<StatementContext>,
    params: &[Value],
) -> Result<Vec<Row>, Fault> {
    let g = &plan.gather;
    let ctx = EvalContext { statement, params, subqueries: &[] };
    let grouped = g.group > 0 || !g.merge.is_empty();
    let mut rows: Vec<Row> = match answers.pop() {
        Some(only) if answers.is_empty() && (one || !grouped) => only,
        last => {
            answers.extend(last);
            if grouped && !one { merge_groups(plan, answers, &ctx)? } else { answers.into_iter().flatten().collect() }
        }
    };
    if let Some(having) = &g.having {
        let mut kept = Vec::with_capacity(rows.len());
        for r in rows {
            if is_true(&eval(having, r.as_slice(), &ctx)?) {
                kept.push(r);
            }
        }
        rows = kept;
    }
    if !g.exprs.is_empty() {
        let mut out = Vec::with_capacity(rows.len());
        for r in &rows {
            let mut row = Vec::with_capacity(g.exprs.len());
            for e in &g.exprs {
                row.push(eval(e, r.as_slice(), &ctx)?);
            }
            out.push(row);
        }
        rows = out;
    }
    if g.distinct && (!one || grouped) {
        let mut seen = HashSet::new();
        let types: Vec<SqlType> = plan.columns.iter().map(|c| c.ty.clone()).collect();
        let mut longest = 0;
        rows.retain(|r| seen.insert(row_key(r, &types, &mut longest)));
    }
    // What one partition did not do itself: order and limits of groups.
    if !one || grouped {
        if !g.sort.is_empty() {
            rows = sorted(rows, &g.sort, &ctx)?;
        }
        let (limit, offset) = (number(&g.limit, &ctx)?, number(&g.offset, &ctx)?.unwrap_or(0));
        if limit.is_some() || offset > 0 {
            rows = rows.into_iter().skip(offset as usize).take(limit.map_or(usize::MAX, |l| l as usize)).collect();
        }
    }
    if rows.first().is_some_and(|r| r.len() > g.visible) {
        rows.iter_mut().for_each(|r| r.truncate(g.visible));
    }
    Ok(rows)
}

/// `longest`: of the keys so far, which the next one is likely to be as long as.
pub(crate) fn row_key(row: &Row, types: &[SqlType], longest: &mut usize) -> Vec<u8> {
    let null = SqlType::varchar(u32::MAX, true, weald_types::Collation::UTF8MB4_GENERAL_CI);
    let mut key = Vec::with_capacity(*longest.max(&mut 16));
    for (i, v) in row.iter().enumerate() {
        group_key(v, types.get(i).unwrap_or(&null), &mut key);
    }
    *longest = key.len().max(*longest);
    key
}

/// Rows in the order of keys over `ColumnId(position)`.
pub(crate) fn sorted(rows: Vec<Row>, keys: &[SortKey], ctx: &EvalContext<'_>) -> Result<Vec<Row>, Fault> {
    let mut keyed = Vec::with_capacity(rows.len());
    let mut longest = 16;
    for r in rows {
        let mut key = Vec::with_capacity(longest);
        for k in keys {
            sort_key(&eval(&k.expr, r.as_slice(), ctx)?, k.expr.ty(), k.descending, &mut key);
        }
        longest = longest.max(key.len());
        keyed.push((key, r));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(keyed.into_iter().map(|k| k.1).collect())
}

fn merge_groups(plan: &FragmentPlan, answers: Vec<Vec<Row>>, ctx: &EvalContext<'_>) -> Result<Vec<Row>, Fault> {
    let g = &plan.gather;
    let Action::Read { group, aggregates, .. } = &plan.fragment.action else { return Ok(Vec::new()) };
    let group_types: Vec<SqlType> = group.iter().map(|e| e.ty().clone()).collect();
    let mut index: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut groups: Vec<(Row, Vec<Accumulator>)> = Vec::new();
    let mut longest = 0;
    for mut row in answers.into_iter().flatten() {
        let partials = row.split_off(g.group);
        let key = row_key(&row, &group_types, &mut longest);
        let at = match index.get(&key) {
            Some(at) => *at,
            None => {
                let accs = g
                    .merge
                    .iter()
                    .zip(aggregates)
                    .map(|(function, a)| {
                        let ty = &a.ty;
                        Accumulator::new(&Arc::new(AggregateSpec {
                            function: *function,
                            args: vec![ty.clone()],
                            distinct: false,
                            order_by: Vec::new(),
                            separator: ",".into(),
                            ty: ty.clone(),
                        }))
                    })
                    .collect();
                groups.push((row, accs));
                index.insert(key, groups.len() - 1);
                groups.len() - 1
            }
        };
        for (acc, v) in groups[at].1.iter_mut().zip(partials) {
            acc.update(&[v], &[], ctx)?;
        }
    }
    groups
        .into_iter()
        .map(|(mut row, accs)| {
            for (acc, a) in accs.into_iter().zip(aggregates) {
                row.push(in_form_of(acc.finish(ctx)?, &a.ty));
            }
            Ok(row)
        })
        .collect()
}

/// COUNTs are merged by SUM, which gives a DECIMAL: the merged value has the form that the whole one would have.
fn in_form_of(v: Value, ty: &SqlType) -> Value {
    match v {
        Value::Decimal(d) if ty.kind.is_integer() => d.to_i64().map_or(Value::Decimal(d), Value::Int),
        v => v,
    }
}
