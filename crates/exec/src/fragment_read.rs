//! Reads of one table: the fragment in each of its partitions, then the gathering.
//!
//! Owns:     the rows of the answer.
//! Promises: rows are locked before they are given where the fragment asks for it; a limit stops the reading.
//! Never:    changes a row.

use crate::change::locator;
use crate::engine::{Engine, Places, Work};
use crate::find;
use crate::gather::{cover, row_key, sorted};
use crate::locked_read;
use crate::meter::Meter;
use crate::remote::AskRead;
use crate::rows::{Row, row_bytes};
use crate::site::Home;
use crate::stored::Fields;
use crate::way::{Route, Way};
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use futures::future::{BoxFuture, join_all};
use std::ops::ControlFlow;
use std::sync::Arc;
use weald_catalog::{Sharding, TableDef};
use weald_expr::aggregate::{Accumulator, AggregateSpec};
use weald_expr::sort::{group_key, sort_key};
use weald_expr::{EvalContext, Expr, InFlight, NoRow, eval, eval_part, is_true};
use weald_partition::Table;
use weald_plan::fragment::{Access, Action, Fragment, FragmentPlan, Target};
use weald_plan::key_values::{self, Keys};
use weald_plan::query::{Aggregate, SortKey};
use weald_types::{Fault, SqlType, Value};

impl Engine {
    /// Positions, among the table's partitions, that a fragment goes to.
    pub(crate) fn targets(&self, table: &TableDef, target: &Target, partitions: usize, ctx: &EvalContext<'_>) -> Result<Vec<usize>, Fault> {
        let columns: &[u16] = match &table.sharding {
            Sharding::Hash { columns, .. } => columns,
            _ => &[],
        };
        if columns.is_empty() || matches!(target, Target::All) {
            return Ok((0..partitions).collect());
        }
        let keys = key_values::shard_keys(table, columns, target, &mut |e| eval(e, &NoRow, ctx), &find::to_utc(ctx))?;
        Ok(match keys.as_deref() {
            None => (0..partitions).collect(),
            Some([key]) => vec![self.partition_of_key(table, columns, key, partitions)],
            Some(keys) => {
                let mut at: Vec<usize> = keys.iter().map(|k| self.partition_of_key(table, columns, k, partitions)).collect();
                at.sort_unstable();
                at.dedup();
                at
            }
        })
    }

    /// Runs a read everywhere it goes, and gathers.
    pub async fn read(&self, plan: &FragmentPlan, work: Work<'_>) -> Result<Vec<Row>, Fault> {
        let ctx = work.context();
        let places = self.places(&plan.fragment.table)?;
        let way = match self.route(plan, &places, &ctx)? {
            Route::Here(way) => way,
            Route::Elsewhere(targets) => return Box::pin(self.read_elsewhere(plan, &places, &targets, work)).await,
        };
        let alone = way.targets.len() <= 1;
        if locked_read::locks_what_is_left(&way.fragment, way.targets.len()) {
            return locked_read::read(plan, alone, Answers { engine: self, places: &places, from: From::Way(&way) }, work).await;
        }
        let answers = read_here(&way, &places, alone, None, work).await?;
        crate::gather(plan, answers, alone, work.statement, work.params)
    }

    /// The same where some partitions are on other nodes.
    async fn read_elsewhere(&self, plan: &FragmentPlan, places: &Places<'_>, targets: &[usize], work: Work<'_>) -> Result<Vec<Row>, Fault> {
        let alone = targets.len() <= 1;
        let answers = Answers { engine: self, places, from: From::Nodes { plan, targets } };
        if locked_read::locks_what_is_left(&plan.fragment, targets.len()) {
            return locked_read::read(plan, alone, answers, work).await;
        }
        let answers = answers.read(alone, None, work).await?;
        crate::gather(plan, answers, alone, work.statement, work.params)
    }
}

/// Where the answers of a read come from.
pub(crate) struct Answers<'a> {
    pub engine: &'a Engine,
    pub places: &'a Places<'a>,
    from: From<'a>,
}

enum From<'a> {
    Way(&'a Way<'a>),
    Nodes { plan: &'a FragmentPlan, targets: &'a [usize] },
}

impl Answers<'_> {
    /// Of every partition, from all nodes at the same time. `placed`: see [`read_here`].
    pub async fn read(&self, alone: bool, placed: Option<&PassedBy>, work: Work<'_>) -> Result<Vec<Vec<Row>>, Fault> {
        let (engine, places) = (self.engine, self.places);
        let (plan, targets) = match self.from {
            From::Way(way) => return read_here(way, places, alone, placed, work).await,
            From::Nodes { plan, targets } => (plan, targets),
        };
        let ask = |node, targets: &[usize]| {
            let part = |at: &usize| (places.ordinal(*at), placed.and_then(|p| p.get(at)).map_or(Vec::new(), |rows| rows.iter().cloned().collect()));
            AskRead { node, plan, parts: targets.iter().map(part).collect(), alone, placed: placed.is_some() }
        };
        if let (1, Some(Home::There(node))) = (targets.len(), targets.first().and_then(|at| places.homes().get(*at))) {
            return engine.leaves.read(engine, ask(*node, targets), work).await;
        }
        let mut parts: Vec<BoxFuture<'_, Result<Vec<Vec<Row>>, Fault>>> = Vec::new();
        let mut order = Vec::with_capacity(targets.len());
        // What reads much is asked of each partition apart, so that a leaf has work for all its cores.
        let apart = matches!(plan.fragment.access, Access::Full) && sums_up(&plan.fragment.action);
        let by_node = if apart { targets.iter().flat_map(|at| places.by_node(&[*at])).collect() } else { places.by_node(targets) };
        for (node, targets) in by_node {
            order.extend_from_slice(&targets);
            parts.push(match node {
                Some(node) => Box::pin(engine.leaves.read(engine, ask(node, &targets), work)),
                None => Box::pin(async move {
                    let way = engine.way(&plan.fragment, &plan.others, None, places, targets, &work.context())?;
                    read_here(&way, places, alone, placed, work).await
                }),
            });
        }
        let mut all = Vec::with_capacity(targets.len());
        for part in join_all(parts).await {
            all.extend(part?);
        }
        let mut all: Vec<(usize, Vec<Row>)> = order.into_iter().zip(all).collect();
        all.sort_by_key(|(at, _)| *at);
        Ok(all.into_iter().map(|(_, rows)| rows).collect())
    }
}

/// Whether the answer is smaller than what is read for it.
pub(crate) fn sums_up(action: &Action) -> bool {
    matches!(action, Action::Read { group, aggregates, .. } if !group.is_empty() || !aggregates.is_empty())
}

/// Rows that are not to be read, by the position of their partition.
pub(crate) type PassedBy = HashMap<usize, HashSet<Vec<u8>>>;

/// The answer of every partition that a way goes to. `placed`: rows are not locked first, those passed by are left out, and locators stand behind the columns.
pub(crate) async fn read_here(
    way: &Way<'_>,
    places: &Places<'_>,
    alone: bool,
    placed: Option<&PassedBy>,
    work: Work<'_>,
) -> Result<Vec<Vec<Row>>, Fault> {
    let f = &*way.fragment;
    let mut answers = Vec::with_capacity(way.targets.len());
    let none = HashSet::new();
    for at in &way.targets {
        let (partition, table) = places.open(*at)?;
        let keys = way.keys(*at);
        let locked;
        let passed_by = match placed {
            Some(all) => all.get(at).unwrap_or(&none),
            None => {
                locked = locked_read::lock_rows(partition, &table, f, keys, work).await?;
                &locked
            }
        };
        let share = Share { alone, passed_by, place: placed.map(|_| *at) };
        answers.push(read_partition(&table, f, keys, share, work).await?);
    }
    Ok(answers)
}

/// What a partition's answer is to be.
#[derive(Clone, Copy)]
pub(crate) struct Share<'a> {
    /// It is the whole answer, and so must be in order.
    pub alone: bool,
    /// Rows that are not read, by their handles.
    pub passed_by: &'a HashSet<Vec<u8>>,
    /// The partition's position, if a row's locator is to stand behind its columns.
    pub place: Option<usize>,
}

pub(crate) async fn read_partition(table: &Arc<Table>, f: &Fragment, keys: &Keys, share: Share<'_>, work: Work<'_>) -> Result<Vec<Row>, Fault> {
    let Action::Read { exprs, group, aggregates, distinct, sort, limit, offset, .. } = &f.action else {
        return Err(Fault::Internal { incident: "a read that is none".into() });
    };
    let Share { alone, passed_by, place } = share;
    if !group.is_empty() || !aggregates.is_empty() {
        return read_groups(table, f, keys, group, aggregates, work).await;
    }
    let ctx = work.context();
    let schema = table.schema();
    let (limit, offset) = (number(limit, &ctx)?, number(offset, &ctx)?.unwrap_or(0));
    // One of several answers is sorted with the others; here only to know which rows the limit leaves.
    let sort: &[SortKey] = if alone || limit.is_some() { sort } else { &[] };
    let stop_at = if sort.is_empty() && !*distinct { limit.map(|l| l.saturating_add(offset)) } else { None };
    if stop_at == Some(0) {
        return Ok(Vec::new());
    }
    // So many of the first in order are enough: the others go now and then, and what comes behind the last of those left is not even made.
    let first = limit.filter(|_| !sort.is_empty() && !*distinct).map(|l| l.saturating_add(offset));
    if first == Some(0) {
        return Ok(Vec::new());
    }
    let mut last: Option<Vec<u8>> = None;
    let mut rows: Vec<Row> = Vec::new();
    let mut keyed: Vec<Vec<u8>> = Vec::new();
    let mut fault = None;
    let mut longest_key = 0;
    let mut meter = Meter::new(&work.statement.memory);
    find::visit(table, schema, keys, work.snapshot, &ctx, &mut |found| {
        if !passed_by.is_empty() && passed_by.contains(found.handle_bytes()) {
            return ControlFlow::Continue(());
        }
        let fields = Fields { schema, version: found.version, bytes: found.bytes };
        match one_row(&fields, f.filter.as_ref(), exprs, if *distinct { &[] } else { sort }, longest_key, last.as_deref(), &ctx) {
            Ok(None) => (),
            Ok(Some((mut row, key, held))) => {
                longest_key = longest_key.max(key.len());
                row.extend(place.map(|at| locator(at, found.handle_bytes())));
                if let Err(full) = meter.keep_made(held, || row_bytes(&row) + 24 + key.len() as u64) {
                    fault = Some(full);
                    return ControlFlow::Break(());
                }
                rows.push(row);
                if !sort.is_empty() && !*distinct {
                    keyed.push(key);
                    if let Some(first) = first
                        && rows.len() as u64 >= first.saturating_mul(2).max(FEW_SORTED)
                    {
                        (rows, keyed) = first_in_order(std::mem::take(&mut rows), std::mem::take(&mut keyed), first as usize);
                        last = keyed.last().cloned();
                    }
                }
                if stop_at == Some(rows.len() as u64) {
                    return ControlFlow::Break(());
                }
            }
            Err(e) => {
                fault = Some(e);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })
    .await?;
    if let Some(f) = fault {
        return Err(f);
    }
    // Several answers are made distinct together; here only to know which rows the limit leaves.
    if *distinct && (alone || limit.is_some()) {
        let sorted_apart = cover(sort, rows.first().map_or(0, Vec::len));
        if !sorted_apart {
            let types: Vec<SqlType> = exprs.iter().map(|e| e.1.clone()).collect();
            let (mut seen, mut longest) = (HashSet::new(), 0);
            rows.retain(|r| seen.insert(row_key(r, &types, &mut longest)));
        }
        rows = sorted(rows, sort, sorted_apart, &ctx)?;
    } else if !*distinct && !sort.is_empty() {
        let all = rows.len();
        rows = first_in_order(rows, keyed, all).0;
    }
    if offset == 0 && limit.is_none_or(|l| rows.len() as u64 <= l) {
        return Ok(rows);
    }
    Ok(rows.into_iter().skip(offset as usize).take(limit.map_or(usize::MAX, |l| l as usize)).collect())
}

/// So few rows are not sorted to find out which of them go.
const FEW_SORTED: u64 = 64;

/// The first `most` rows in the order of their keys; those with the same key in the order in which they were found.
fn first_in_order(rows: Vec<Row>, keyed: Vec<Vec<u8>>, most: usize) -> (Vec<Row>, Vec<Vec<u8>>) {
    let mut both: Vec<(Vec<u8>, Row)> = keyed.into_iter().zip(rows).collect();
    both.sort_by(|a, b| a.0.cmp(&b.0));
    both.truncate(most);
    let (keyed, rows): (Vec<Vec<u8>>, Vec<Row>) = both.into_iter().unzip();
    (rows, keyed)
}

/// A row, its sort key, and what they hold.
type Keyed<'a> = (Row, Vec<u8>, InFlight<'a>);

/// A row that passes the filter, with its sort key, for which so much room is made; if it comes before `last`.
fn one_row<'a>(
    fields: &Fields<'_>,
    filter: Option<&Expr>,
    exprs: &[(Expr, SqlType)],
    sort: &[SortKey],
    key_room: usize,
    last: Option<&[u8]>,
    ctx: &EvalContext<'a>,
) -> Result<Option<Keyed<'a>>, Fault> {
    if let Some(e) = filter
        && !is_true(&eval(e, fields, ctx)?)
    {
        return Ok(None);
    }
    let mut key = Vec::with_capacity(key_room);
    for k in sort {
        sort_key(&eval(&k.expr, fields, ctx)?, k.expr.ty(), k.descending, &mut key);
    }
    if last.is_some_and(|last| key[..] >= *last) {
        return Ok(None);
    }
    let mut held = InFlight::new(ctx.statement);
    let mut row = Vec::with_capacity(exprs.len());
    for (e, _) in exprs {
        let v = eval(e, fields, ctx)?;
        held.hold(&v)?;
        row.push(v);
    }
    Ok(Some((row, key, held)))
}

/// A LIMIT's number.
pub(crate) fn number(e: &Option<Expr>, ctx: &EvalContext<'_>) -> Result<Option<u64>, Fault> {
    let Some(e) = e else { return Ok(None) };
    match eval(e, &NoRow, ctx)? {
        Value::Int(n) if n >= 0 => Ok(Some(n as u64)),
        Value::UInt(n) => Ok(Some(n)),
        _ => Err(Fault::mysql(1210, "HY000", "Incorrect arguments to LIMIT")),
    }
}

async fn read_groups(
    table: &Arc<Table>,
    f: &Fragment,
    keys: &Keys,
    group: &[Expr],
    aggregates: &[Aggregate],
    work: Work<'_>,
) -> Result<Vec<Row>, Fault> {
    let ctx = work.context();
    let schema = table.schema();
    let specs: Vec<Arc<AggregateSpec>> = aggregates.iter().map(|a| Arc::new(crate::rows::spec(a))).collect();
    let mut index: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut groups: Vec<(Row, Vec<Accumulator>)> = Vec::new();
    if group.is_empty() {
        groups.push((Vec::new(), specs.iter().map(Accumulator::new).collect()));
    }
    let mut fault = None;
    let mut key = Vec::new();
    let mut meter = Meter::new(&work.statement.memory);
    find::visit(table, schema, keys, work.snapshot, &ctx, &mut |row| {
        let fields = Fields { schema, version: row.version, bytes: row.bytes };
        let mut step = || -> Result<(), Fault> {
            if let Some(e) = &f.filter
                && !is_true(&eval(e, &fields, &ctx)?)
            {
                return Ok(());
            }
            let at = if group.is_empty() {
                0
            } else {
                key.clear();
                let mut values = Vec::with_capacity(group.len());
                for g in group {
                    let v = eval(g, &fields, &ctx)?;
                    group_key(&v, g.ty(), &mut key);
                    values.push(v);
                }
                match index.get(&key) {
                    Some(at) => *at,
                    None => {
                        meter.keep(|| row_bytes(&values) + 2 * key.len() as u64 + 128 * (1 + specs.len() as u64))?;
                        groups.push((values, specs.iter().map(Accumulator::new).collect()));
                        index.insert(key.clone(), groups.len() - 1);
                        groups.len() - 1
                    }
                }
            };
            for (a, acc) in aggregates.iter().zip(&mut groups[at].1) {
                let mut args = Vec::with_capacity(a.args.len());
                for e in &a.args {
                    args.push(eval_part(e, &fields, &ctx)?);
                }
                let mut order = Vec::with_capacity(a.order_by.len());
                for k in &a.order_by {
                    order.push(eval(&k.expr, &fields, &ctx)?);
                }
                let grown = acc.update(&args, &order, &ctx)?;
                if grown > 0 {
                    meter.keep(|| grown)?;
                }
            }
            Ok(())
        };
        match step() {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => {
                fault = Some(e);
                ControlFlow::Break(())
            }
        }
    })
    .await?;
    if let Some(f) = fault {
        return Err(f);
    }
    groups
        .into_iter()
        .map(|(mut row, accs)| {
            for a in accs {
                row.push(a.finish(&ctx)?);
            }
            Ok(row)
        })
        .collect()
}
