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
use weald_expr::sort::{group_key, sort_key, sort_key_head};
use weald_expr::{EvalContext, Expr, Row as _, StatementContext, eval, is_true};
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
    let sorted_apart = g.distinct && cover(&g.sort, rows.first().map_or(0, Vec::len));
    if g.distinct && !sorted_apart && (!one || grouped) {
        let mut seen = HashSet::new();
        let types: Vec<SqlType> = plan.columns.iter().map(|c| c.ty.clone()).collect();
        let mut longest = 0;
        rows.retain(|r| seen.insert(row_key(r, &types, &mut longest)));
    }
    // What one partition did not do itself: order and limits of groups.
    if !one || grouped {
        if !g.sort.is_empty() {
            rows = sorted(rows, &g.sort, sorted_apart, &ctx)?;
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

/// Rows in the order of keys over `ColumnId(position)`; equal ones stay as they were. `distinct`: the first of those whose keys are equal.
///
/// The first eight bytes of a key nearly always tell rows apart. Only for those that they do not, the keys are made in full.
pub(crate) fn sorted(mut rows: Vec<Row>, keys: &[SortKey], distinct: bool, ctx: &EvalContext<'_>) -> Result<Vec<Row>, Fault> {
    let Some(first) = keys.first() else { return Ok(rows) };
    let whole = |row: &Row, key: &mut Vec<u8>| -> Result<(), Fault> {
        for k in keys {
            sort_key(&eval(&k.expr, row.as_slice(), ctx)?, k.expr.ty(), k.descending, key);
        }
        Ok(())
    };
    let mut order: Vec<(u64, usize)> = Vec::with_capacity(rows.len());
    let mut key = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let glance = match &first.expr {
            Expr::Column { id, ty } => row.column_ref(*id).and_then(|v| sort_key_head(v, ty, first.descending)),
            _ => None,
        };
        let head = match glance {
            Some(head) => head,
            None => {
                key.clear();
                whole(row, &mut key)?;
                key.resize(key.len().max(8), 0);
                key.first_chunk().map_or(0, |b| u64::from_be_bytes(*b))
            }
        };
        order.push((head, i));
    }
    order.sort_unstable();
    let mut at = 0;
    let mut picked = Vec::with_capacity(order.len());
    while let Some((head, i)) = order.get(at) {
        let alike = order[at..].iter().take_while(|o| o.0 == *head).count();
        if alike == 1 {
            picked.push(*i);
        } else {
            let mut run: Vec<(Vec<u8>, usize)> = Vec::with_capacity(alike);
            for (_, i) in &order[at..at + alike] {
                let mut key = Vec::with_capacity(run.last().map_or(16, |r| r.0.len()));
                whole(&rows[*i], &mut key)?;
                run.push((key, *i));
            }
            run.sort_unstable();
            if distinct {
                run.dedup_by(|b, a| a.0 == b.0);
            }
            picked.extend(run.into_iter().map(|r| r.1));
        }
        at += alike;
    }
    Ok(picked.into_iter().map(|i| std::mem::take(&mut rows[i])).collect())
}

/// Whether rows that these keys do not tell apart are equal.
pub(crate) fn cover(keys: &[SortKey], columns: usize) -> bool {
    (0..columns).all(|i| keys.iter().any(|k| matches!(&k.expr, Expr::Column { id, .. } if id.raw() as usize == i)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use weald_expr::function::BindContext;
    use weald_types::{Collation, ColumnId, SqlMode};

    /// The order of whole keys is the truth; a head is only a glance at it.
    #[test]
    fn rows_are_in_the_order_of_their_whole_keys() {
        let text = SqlType::varchar(30, true, Collation::UTF8MB4_GENERAL_CI);
        let bind = BindContext {
            sql_mode: SqlMode::DEFAULT,
            collation_connection: Collation::UTF8MB4_GENERAL_CI,
            div_precision_increment: 4,
            group_concat_max_len: 1024,
        };
        let statement = StatementContext::for_folding(&bind);
        let ctx = EvalContext { statement: &statement, params: &[], subqueries: &[] };
        let texts = ["abcdefgh2", "ABCDEFGH1", "abcdefgh1", "abcdefgh1 ", "abcdefg", "abcdefg h", "a", "", " ", "äbcdefgh", "abcdefg\u{1}"];
        let mut rows: Vec<Row> = Vec::new();
        for n in 0..3 {
            rows.extend(texts.iter().map(|t| vec![Value::str(t), Value::Int(n % 2)]));
            rows.push(vec![Value::Null, Value::Int(n)]);
        }
        for (descending, by_number_first) in [(false, false), (true, false), (false, true)] {
            let column = |i: u32, ty: &SqlType| SortKey { expr: Expr::Column { id: ColumnId::new(i), ty: ty.clone() }, descending };
            let mut keys = vec![column(0, &text), column(1, &SqlType::bigint(true))];
            if by_number_first {
                keys.reverse();
            }
            assert!(cover(&keys, 2) && !cover(&keys[..1], 2));
            let key_of = |row: &Row| {
                let mut key = Vec::new();
                for k in &keys {
                    sort_key(&eval(&k.expr, row.as_slice(), &ctx).unwrap(), k.expr.ty(), k.descending, &mut key);
                }
                key
            };
            let mut expected = rows.clone();
            expected.sort_by_key(&key_of);
            assert_eq!(sorted(rows.clone(), &keys, false, &ctx).unwrap(), expected);
            expected.dedup_by_key(|r| key_of(r));
            assert_eq!(sorted(rows.clone(), &keys, true, &ctx).unwrap(), expected);
        }
    }
}
