//! A plan as a person reads it: operators, what they work on, how many rows.
//!
//! Owns:     the names of a query's columns, and what each compiled node is.
//! Promises: every node of the plan is there once, subqueries under the operator that asks for them; after a metered run, with what it did.
//! Never:    runs anything.

use super::meter::{Actual, Meter, name_of};
use super::scalar::{Projection, Scalar};
use super::{Node, lock, window};
use std::collections::HashMap;
use std::sync::Arc;
use weald_catalog::TableDef;
use weald_expr::Expr;
use weald_expr::print::text_with;
use weald_plan::fragment::Access;
use weald_plan::names::Statistics;
use weald_plan::query::{LockedTable, Query, Rel, SetOp, SortKey};
use weald_plan::rewrite::estimate;
use weald_types::{ColumnId, IndexId, SqlType, TypeKind};

/// One operator, with those below it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Step {
    pub operator: String,
    /// What it works on: a condition, keys, a table.
    pub detail: String,
    /// How rows of a table are found; for operators that read one.
    pub access: Option<AccessStep>,
    pub estimated_rows: Option<f64>,
    pub actual: Option<Actual>,
    pub inputs: Vec<Step>,
}

/// MySQL's view of an access path.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct AccessStep {
    /// As the query calls it.
    pub table: String,
    /// database.name
    pub table_name: String,
    /// MySQL's word: ALL, const, ref, range, index.
    pub kind: &'static str,
    pub possible_keys: Vec<String>,
    pub key: Option<String>,
    /// How many parts of the key are used, and how many bytes MySQL would say they are.
    pub key_parts: usize,
    pub key_bytes: usize,
    pub filter: Option<String>,
}

/// What the columns of a query are called.
#[derive(Clone, Debug, Default)]
pub struct ColumnNames(HashMap<ColumnId, String>);

impl ColumnNames {
    pub fn of(query: &Query) -> Self {
        let mut names = Self::default();
        for s in &query.subqueries {
            names.add(s);
        }
        names.add(&query.root);
        names
    }

    pub fn get(&self, id: ColumnId) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| format!("#{id}"))
    }

    pub fn text(&self, e: &Expr) -> String {
        text_with(e, &|id| self.get(id))
    }

    fn keys(&self, keys: &[SortKey]) -> String {
        keys.iter().map(|k| format!("{}{}", self.text(&k.expr), if k.descending { " desc" } else { "" })).collect::<Vec<_>>().join(", ")
    }

    fn list(&self, exprs: &[Expr]) -> String {
        exprs.iter().map(|e| self.text(e)).collect::<Vec<_>>().join(", ")
    }

    fn add(&mut self, rel: &Rel) {
        for i in rel.inputs() {
            self.add(i);
        }
        match rel {
            Rel::Scan { columns, table, .. } => {
                for c in columns {
                    let shown = match &c.origin {
                        Some(o) => format!("{}.{}", o.table_alias, o.column),
                        None => format!("{}.{}", table.name, if c.name.is_empty() { "(row)" } else { &c.name }),
                    };
                    self.0.insert(c.id, shown);
                }
            }
            Rel::Project { exprs, columns, .. } => {
                for (e, c) in exprs.iter().zip(columns) {
                    let shown = match e {
                        Expr::Column { id, .. } | Expr::ColumnRaw { id, .. } => self.get(*id),
                        e if c.name.is_empty() => self.text(e),
                        _ => c.name.to_string(),
                    };
                    self.0.insert(c.id, shown);
                }
            }
            Rel::Aggregate { group, aggregates, grouping, .. } => {
                for (e, c) in group {
                    let shown = self.text(e);
                    self.0.insert(c.id, shown);
                }
                for (a, c) in aggregates {
                    let shown = self.call(&format!("{:?}", a.function), &a.args, a.distinct);
                    self.0.insert(c.id, shown);
                }
                if let Some(c) = grouping {
                    self.0.insert(c.id, "grouping()".into());
                }
            }
            Rel::Window { functions, .. } => {
                for (f, c) in functions {
                    let shown = format!("{} over (…)", self.window(f));
                    self.0.insert(c.id, shown);
                }
            }
            Rel::SetOp { left, columns, .. } | Rel::Recursive { seed: left, columns, .. } => {
                for (from, c) in left.columns().iter().zip(columns) {
                    let shown = if c.name.is_empty() { self.get(from.id) } else { c.name.to_string() };
                    self.0.insert(c.id, shown);
                }
            }
            Rel::Virtual { columns, .. } | Rel::JsonTable { columns, .. } | Rel::Values { columns, .. } | Rel::RecursionInput { columns, .. } => {
                for c in columns {
                    if !c.name.is_empty() {
                        self.0.insert(c.id, c.name.to_string());
                    }
                }
            }
            Rel::Filter { .. } | Rel::Join { .. } | Rel::Sort { .. } | Rel::Limit { .. } | Rel::Distinct { .. } | Rel::Lock { .. } => (),
        }
    }

    fn call(&self, function: &str, args: &[Expr], distinct: bool) -> String {
        let args = if args.is_empty() { "*".to_string() } else { self.list(args) };
        format!("{}({}{args})", snake(function), if distinct { "distinct " } else { "" })
    }

    fn window(&self, f: &weald_plan::query::WindowFunction) -> String {
        use weald_plan::query::WindowKind;
        match f.kind {
            WindowKind::Aggregate(a) => self.call(&format!("{a:?}"), &f.args, false),
            kind => format!("{}({})", snake(&format!("{kind:?}")), self.list(&f.args)),
        }
    }
}

/// `RowNumber` as `row_number`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for (i, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// What the nodes of a compiled query are, by their addresses.
#[derive(Default)]
pub(crate) struct Notes {
    names: ColumnNames,
    lines: HashMap<usize, (String, String, Option<f64>)>,
    /// What the query calls the table of a scan.
    aliases: HashMap<usize, String>,
}

/// What the query calls the one table that `rel` reads. None where it reads several, or no column of it.
fn alias_of(rel: &Rel) -> Option<String> {
    match rel {
        Rel::Scan { columns, .. } => columns.iter().find_map(|c| c.origin.as_ref()).map(|o| o.table_alias.to_string()),
        Rel::Filter { input, .. } => alias_of(input),
        _ => None,
    }
}

impl Notes {
    pub fn of(query: &Query) -> Self {
        Self { names: ColumnNames::of(query), lines: HashMap::new(), aliases: HashMap::new() }
    }

    /// Notes down that `node` was made of `rel`.
    pub fn add(&mut self, node: &Arc<Node>, rel: &Rel, statistics: &dyn Statistics) {
        let n = &self.names;
        let (operator, detail) = match rel {
            // What the query calls the table; the rest is told by the access path.
            Rel::Scan { columns, .. } => {
                (String::new(), columns.iter().find_map(|c| c.origin.as_ref()).map_or(String::new(), |o| o.table_alias.to_string()))
            }
            Rel::Virtual { name, .. } => ("VirtualScan".to_string(), format!("information_schema.{name}")),
            Rel::JsonTable { document, .. } => ("JsonTable".into(), n.text(document)),
            Rel::Values { rows, .. } => ("Values".into(), format!("{} row(s)", rows.len())),
            Rel::Filter { predicate, .. } => ("Filter".into(), n.text(predicate)),
            Rel::Project { exprs, .. } => ("Project".into(), n.list(exprs)),
            Rel::Join { kind, on, .. } => (format!("{kind:?}Join"), on.as_ref().map_or(String::new(), |e| n.text(e))),
            Rel::Aggregate { group, aggregates, rollup, .. } => {
                let by: Vec<String> = group.iter().map(|g| n.text(&g.0)).collect();
                let what: Vec<String> = aggregates.iter().map(|a| n.get(a.1.id)).collect();
                let by = if by.is_empty() { String::new() } else { format!(" by {}{}", by.join(", "), if *rollup { " with rollup" } else { "" }) };
                ("HashAggregate".into(), format!("{}{by}", what.join(", ")))
            }
            Rel::Window { functions, .. } => {
                let all: Vec<String> = functions
                    .iter()
                    .map(|(f, _)| {
                        let by = if f.partition_by.is_empty() { String::new() } else { format!("partition by {} ", n.list(&f.partition_by)) };
                        let order = if f.order_by.is_empty() { String::new() } else { format!("order by {}", n.keys(&f.order_by)) };
                        format!("{} over ({})", n.window(f), format!("{by}{order}").trim())
                    })
                    .collect();
                ("Window".into(), all.join(", "))
            }
            Rel::Sort { keys, .. } => ("Sort".into(), n.keys(keys)),
            Rel::Limit { input, count, offset } => {
                let number = |e: &Option<Expr>| e.as_ref().map_or(String::new(), |e| n.text(e));
                let skip = if offset.is_some() { format!(" offset {}", number(offset)) } else { String::new() };
                match &**input {
                    Rel::Sort { keys, .. } => ("TopSort".to_string(), format!("{} limit {}{skip}", n.keys(keys), number(count))),
                    Rel::Lock { tables, .. } => ("LockRows".to_string(), format!("{} limit {}{skip}", locks(tables), number(count))),
                    _ => ("Limit".into(), format!("{}{skip}", number(count))),
                }
            }
            Rel::Distinct { .. } => ("Distinct".into(), String::new()),
            Rel::Lock { tables, .. } => ("LockRows".into(), locks(tables)),
            Rel::SetOp { op, all, .. } => {
                let op = match op {
                    SetOp::Union => "Union",
                    SetOp::Intersect => "Intersect",
                    SetOp::Except => "Except",
                };
                (op.into(), if *all { "all".into() } else { String::new() })
            }
            Rel::Recursive { .. } => ("Recursive".into(), String::new()),
            Rel::RecursionInput { .. } => ("RecursionInput".into(), "rows of the last round".into()),
        };
        if let Some(alias) = alias_of(rel) {
            self.aliases.insert(name_of(node), alias);
        }
        self.lines.insert(name_of(node), (operator, detail, Some(estimate(rel, statistics))));
    }
}

fn locks(tables: &[LockedTable]) -> String {
    tables.iter().map(|t| format!("{} {}", t.table.name, t.locking.words())).collect::<Vec<_>>().join(", ")
}

/// The plan below `node`.
pub(crate) fn steps(node: &Arc<Node>, notes: &Notes, meter: Option<&Meter>) -> Step {
    let name = name_of(node);
    let (operator, detail, estimated_rows) = notes.lines.get(&name).cloned().unwrap_or_default();
    let mut step = Step { operator, detail, access: None, estimated_rows, actual: meter.map(|m| m.of(name)), inputs: Vec::new() };
    let below = |n: &Arc<Node>| steps(n, notes, meter);
    let mut scalars: Vec<&Scalar> = Vec::new();
    match &**node {
        Node::Scan(s) => {
            let filter = s.filter.as_ref().map(|e| text_with(e, &|id| column_name(&s.table, id)));
            let mut described = scan_step(&s.table, &s.access, filter);
            described.estimated_rows = step.estimated_rows;
            described.actual = step.actual;
            if let (Some(access), Some(alias)) = (&mut described.access, notes.aliases.get(&name))
                && access.table != *alias
            {
                described.detail = format!("{} AS {alias}{}", access.table_name, &described.detail[access.table_name.len()..]);
                access.table.clone_from(alias);
            }
            step = described;
        }
        Node::Virtual { .. } | Node::RecursionInput { .. } => (),
        Node::JsonTable { document, .. } => scalars.push(document),
        Node::Values(rows) => scalars.extend(rows.iter().flatten()),
        Node::Filter { input, predicate } => {
            scalars.push(predicate);
            step.inputs.push(below(input));
        }
        Node::Project { input, exprs } => {
            scalars.extend(exprs.iter().filter_map(|e| match e {
                Projection::Compute(s) | Projection::Part(s) => Some(s),
                Projection::Slot(_) => None,
            }));
            step.inputs.push(below(input));
        }
        Node::Join(j) => {
            step.inputs.push(below(&j.left));
            let method = match &j.per_row {
                Some(p) => {
                    step.inputs.push(below(&p.node));
                    if p.table.is_some() { "IndexLookup" } else { "Lateral" }
                }
                None => {
                    step.inputs.push(below(&j.right));
                    if j.keys.is_empty() { "NestedLoop" } else { "Hash" }
                }
            };
            step.operator = format!("{method}{}", step.operator);
            scalars.extend(j.residual.iter());
        }
        Node::Aggregate(a) => {
            scalars.extend(a.group.iter().map(|g| &g.expr));
            scalars.extend(a.aggregates.iter().flat_map(|c| &c.args));
            step.inputs.push(below(&a.input));
        }
        Node::Window(w) => {
            scalars.extend(w.functions.iter().flat_map(|f: &window::Function| &f.args));
            step.inputs.push(below(&w.input));
        }
        Node::Sort { input, keys, .. } => {
            scalars.extend(keys.iter().map(|k| &k.expr));
            step.inputs.push(below(input));
        }
        Node::Limit { input, .. } | Node::Lock(lock::Lock { input, .. }) => step.inputs.push(below(input)),
        Node::Distinct(d) => step.inputs.push(below(&d.input)),
        Node::SetOp(s) => step.inputs.extend([below(&s.left), below(&s.right)]),
        Node::Recursive(r) => step.inputs.extend([below(&r.seed), below(&r.step)]),
    }
    for s in scalars.iter().flat_map(|s| s.subqueries.iter()) {
        let detail = format!("{}{}", s.index, if s.constant { ", run once" } else { ", run for each row" });
        step.inputs.push(Step { operator: "Subquery".into(), detail, inputs: vec![below(&s.node)], ..Step::default() });
    }
    step
}

fn column_name(table: &TableDef, id: ColumnId) -> String {
    table.columns.get(id.raw() as usize).map_or_else(|| format!("#{id}"), |c| format!("{}.{}", table.name, c.name))
}

/// A table read by an access path.
pub fn scan_step(table: &TableDef, access: &Access, filter: Option<String>) -> Step {
    let name = format!("{}.{}", table.database_name, table.name);
    let index = |id: &IndexId| table.indexes.iter().find(|i| i.id == *id);
    let called = |id: &IndexId| index(id).map_or("?".to_string(), |i| i.name.to_string());
    let list = |keys: &[Expr]| keys.iter().map(weald_expr::print::text).collect::<Vec<_>>().join(", ");
    let unique = |id: &IndexId| index(id).is_some_and(|i| i.unique);
    let bound = |low: &std::ops::Bound<Expr>, inclusive: &str, exclusive: &str| match low {
        std::ops::Bound::Unbounded => String::new(),
        std::ops::Bound::Included(e) => format!(" {inclusive} {}", weald_expr::print::text(e)),
        std::ops::Bound::Excluded(e) => format!(" {exclusive} {}", weald_expr::print::text(e)),
    };
    let (operator, mut detail, kind, key, key_parts) = match access {
        Access::Full => ("TableScan", name.clone(), "ALL", None, 0),
        Access::Point { index: i, key } => ("IndexSeek", format!("{name}, KEY {} ({})", called(i), list(key)), "const", Some(called(i)), key.len()),
        Access::Points { index: i, keys } => (
            "IndexSeek",
            format!("{name}, KEY {}, {} key(s)", called(i), keys.len()),
            if unique(i) { "range" } else { "ref" },
            Some(called(i)),
            keys.first().map_or(0, Vec::len),
        ),
        Access::Range { index: i, prefix, low, high, reverse } => {
            let bounded = !matches!((low, high), (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded));
            let equal = if prefix.is_empty() { String::new() } else { format!(" equal ({})", list(prefix)) };
            let range = format!("{}{}", bound(low, ">=", ">"), bound(high, "<=", "<"));
            let kind = if bounded {
                "range"
            } else if prefix.is_empty() {
                "index"
            } else {
                "ref"
            };
            let backwards = if *reverse { ", backwards" } else { "" };
            ("IndexRangeScan", format!("{name}, KEY {}{equal}{range}{backwards}", called(i)), kind, Some(called(i)), prefix.len() + bounded as usize)
        }
        Access::Ranges { index: i, prefix, ranges } => {
            let equal = if prefix.is_empty() { String::new() } else { format!(" equal ({})", list(prefix)) };
            ("IndexRangeScan", format!("{name}, KEY {}{equal}, {} ranges", called(i), ranges.len()), "range", Some(called(i)), prefix.len() + 1)
        }
        Access::Like { index: i, prefix, pattern, .. } => (
            "IndexRangeScan",
            format!("{name}, KEY {} LIKE {}", called(i), weald_expr::print::text(pattern)),
            "range",
            Some(called(i)),
            prefix.len() + 1,
        ),
    };
    if let Some(f) = &filter {
        detail.push_str(&format!(", filter {f}"));
    }
    let possible_keys = table
        .indexes
        .iter()
        .filter(|i| i.ready && !i.invisible)
        .filter(|i| key.as_ref().is_some_and(|k| **k == *i.name))
        .map(|i| i.name.to_string())
        .collect();
    let parts = table.indexes.iter().find(|i| key.as_ref().is_some_and(|k| **k == *i.name)).map(|i| &i.parts[..]).unwrap_or_default();
    let key_bytes = parts.iter().take(key_parts).map(|p| key_bytes(&table.columns[p.column as usize].ty, p.prefix)).sum();
    Step {
        operator: operator.into(),
        detail,
        access: Some(AccessStep { table: table.name.to_string(), table_name: name, kind, possible_keys, key, key_parts, key_bytes, filter }),
        ..Step::default()
    }
}

/// What MySQL's `key_len` counts for a key part: the type's bytes, one for NULL, two for a length.
fn key_bytes(ty: &SqlType, prefix: Option<u32>) -> usize {
    use weald_types::sql_type::IntWidth;
    let text = |chars: u32| prefix.unwrap_or(chars) as usize * if ty.kind.is_text() { 4 } else { 1 };
    let fraction = |fsp: u8| (fsp as usize).div_ceil(2);
    let bytes = match &ty.kind {
        TypeKind::Int { width, .. } => match width {
            IntWidth::Tiny => 1,
            IntWidth::Small => 2,
            IntWidth::Medium => 3,
            IntWidth::Int => 4,
            IntWidth::Big => 8,
        },
        TypeKind::Year => 1,
        TypeKind::Bit { bits } => (*bits as usize).div_ceil(8),
        TypeKind::Decimal { precision, scale, .. } => {
            let digits = |n: u8| (n / 9) as usize * 4 + ((n % 9) as usize).div_ceil(2);
            digits(precision - scale) + digits(*scale)
        }
        TypeKind::Float { .. } => 4,
        TypeKind::Double { .. } => 8,
        TypeKind::Char { chars } => text(*chars),
        TypeKind::VarChar { chars } => text(*chars) + 2,
        TypeKind::Binary { bytes } => text(*bytes),
        TypeKind::VarBinary { bytes } => text(*bytes) + 2,
        TypeKind::Text(_) | TypeKind::Blob(_) | TypeKind::Json => text(0) + 2,
        TypeKind::Date => 3,
        TypeKind::Time { fsp } => 3 + fraction(*fsp),
        TypeKind::DateTime { fsp } => 5 + fraction(*fsp),
        TypeKind::Timestamp { fsp } => 4 + fraction(*fsp),
        TypeKind::Enum(m) => {
            if m.len() < 256 {
                1
            } else {
                2
            }
        }
        TypeKind::Set(m) => m.len().div_ceil(8).next_power_of_two(),
        TypeKind::Null => 0,
    };
    bytes + ty.nullable as usize
}
