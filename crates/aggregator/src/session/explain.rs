//! EXPLAIN, PROFILE, and the table verbs CHECK, ANALYZE, OPTIMIZE, REPAIR, CHECKSUM.
//!
//! Owns:     nothing.
//! Promises: says which executor runs the statement, on which partitions, by which access path.
//! Never:    runs what it explains, but for ANALYZE and PROFILE.

use super::large::NoPlan;
use super::query::{Chosen, Executor};
use super::showing::table;
use super::{Outcome, Session};
use std::sync::Arc;
use weald_catalog::Privilege;
use weald_catalog::show_create::quote;
use weald_exec::rows::{self, Actual, BoxStream, ColumnNames, Meter, Step};
use weald_expr::{AggregateFunction, Expr};
use weald_plan::dml::{self, BoundDelete, BoundUpdate};
use weald_plan::fragment::{Action, Fragment, FragmentPlan, Gather, Target};
use weald_plan::query::{Aggregate, Need, Query};
use weald_plan::{bind, rewrite};
use weald_sql::ast::{MaintenanceVerb, ObjectName, Statement};
use weald_types::{ColumnId, Fault, SqlType, TypeKind, Value, WarningLevel};

/// A statement's plan: what runs it, and how.
struct Explained {
    /// `row`, `fragment`, `analytic`; what a change does with the rows it finds.
    executor: String,
    partitions: String,
    steps: Vec<Step>,
}

/// How EXPLAIN shows a plan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Tree,
    Json,
    Traditional,
}

impl Format {
    fn of(name: Option<&str>, analyze: bool) -> Result<Self, Fault> {
        match name.map(str::to_ascii_uppercase).as_deref() {
            // As in MySQL: its table, but a tree for what was measured.
            None if !analyze => Ok(Format::Traditional),
            None | Some("TREE") => Ok(Format::Tree),
            Some("JSON") => Ok(Format::Json),
            Some("TRADITIONAL") => Ok(Format::Traditional),
            Some(other) => Err(Fault::mysql(1791, "HY000", format!("Unknown EXPLAIN format name: '{other}'"))),
        }
    }
}

impl Session {
    pub(crate) async fn explain(
        &mut self,
        analyze: bool,
        format: Option<&str>,
        s: &Statement,
        text: &str,
        params: &[Value],
    ) -> Result<Outcome, Fault> {
        let format = Format::of(format, analyze)?;
        if analyze && format == Format::Traditional {
            return Err(Fault::not_supported("EXPLAIN ANALYZE with TRADITIONAL format"));
        }
        let explained = if analyze { self.measured(s, text, params).await? } else { self.explained(s, text, params).await? };
        Ok(match format {
            Format::Tree => table(&["EXPLAIN"], explained.lines().into_iter().map(|l| vec![Value::str(l)]).collect()),
            Format::Json => table(&["EXPLAIN"], vec![vec![Value::str(explained.json())]]),
            Format::Traditional => {
                if let Statement::Select(q) = s {
                    self.note(Fault::mysql(1003, "HY000", format!("/* select#1 */ {}", weald_sql::print::query(q))));
                }
                explained.traditional()
            }
        })
    }

    async fn explained(&mut self, s: &Statement, text: &str, params: &[Value]) -> Result<Explained, Fault> {
        let types: Vec<Option<SqlType>> = params.iter().map(|v| Some(super::prepared::type_of(v))).collect();
        let engine = self.server.engine.clone();
        match s {
            Statement::Select(q) => {
                let query = self.optimized(q, text, &types, params)?;
                let executor = self.executor_for(&query);
                self.explain_query(&query, params, executor).await
            }
            Statement::Update(u) => {
                match self.explainable(self.bind(text, &types, |env| dml::update::bind_update(env, &*engine, u))?, BoundUpdate::needs)? {
                    BoundUpdate::Fragment(p) => self.explain_fragment(&p, params),
                    BoundUpdate::Rows(r) => {
                        let found = self.explain_query(&Arc::new(r.query), params, Executor::Auto).await?;
                        Ok(found.below("Update", r.targets.iter().map(|t| &*t.table.name).collect::<Vec<_>>().join(", ")))
                    }
                }
            }
            Statement::Delete(d) => {
                match self.explainable(self.bind(text, &types, |env| dml::delete::bind_delete(env, &*engine, d))?, BoundDelete::needs)? {
                    BoundDelete::Fragment(p) => self.explain_fragment(&p, params),
                    BoundDelete::Rows(r) => {
                        let found = self.explain_query(&Arc::new(r.query), params, Executor::Auto).await?;
                        Ok(found.below("Delete", r.targets.iter().map(|t| &*t.table.name).collect::<Vec<_>>().join(", ")))
                    }
                }
            }
            Statement::Insert(i) => {
                let bound = self.bind(text, &types, |env| dml::insert::bind_insert(env, &*engine, i))?;
                self.check_explained(&bound.needs)?;
                let name = format!("{}.{}", bound.table.database_name, bound.table.name);
                let found = match bound.source {
                    dml::InsertSource::Query(q) => {
                        let mut q = *q;
                        rewrite::optimize(&mut q, &self.bind_context(), &*engine);
                        self.explain_query(&Arc::new(q), params, Executor::Auto).await?
                    }
                    dml::InsertSource::Rows(rows) => Explained {
                        executor: "fragment".into(),
                        partitions: "by shard key".into(),
                        steps: vec![Step { operator: "Values".into(), detail: format!("{} row(s)", rows.len()), ..Step::default() }],
                    },
                };
                Ok(found.below(if bound.replace { "Replace" } else { "Insert" }, name))
            }
            _ => Err(Fault::not_supported("EXPLAIN of this statement")),
        }
    }

    /// `bound`, if the user may have it explained.
    fn explainable<T>(&self, bound: T, needs: fn(&T) -> &[Need]) -> Result<T, Fault> {
        self.check_explained(needs(&bound))?;
        Ok(bound)
    }

    fn optimized(&mut self, q: &weald_sql::ast::Query, text: &str, types: &[Option<SqlType>], params: &[Value]) -> Result<Arc<Query>, Fault> {
        let mut query = self.bind(text, types, |env| bind::bind_query(env, q))?;
        self.check_explained(&query.needs)?;
        query.joins_only = self.executor_for(&query) == Executor::Analytic;
        let statement = self.statement();
        rewrite::optimize(&mut query, &self.bind_context(), &self.server.engine.sampled(&statement, params));
        Ok(Arc::new(query))
    }

    async fn explain_query(&mut self, query: &Arc<Query>, params: &[Value], executor: Executor) -> Result<Explained, Fault> {
        let engine = self.server.engine.clone();
        let rows = engine.rows_read(query);
        let mut refusal = String::new();
        match self.choose(query, params, executor)? {
            Chosen::Fragment(p) => return self.explain_fragment(&p, params),
            Chosen::Rows => (),
            Chosen::Analytic => {
                let snapshot = self.take_snapshot();
                let source = self.source(snapshot, &query.tables)?;
                let large = self.large(self.statement(), params.into(), source, executor);
                match large.plan(query).await {
                    Ok(p) => {
                        return Ok(Explained {
                            executor: format!("analytic, about {rows} rows read"),
                            partitions: "all".into(),
                            steps: vec![p.steps(&ColumnNames::of(query), false)],
                        });
                    }
                    Err(NoPlan::Fault(f)) => return Err(f),
                    Err(NoPlan::Refused(refused)) => refusal = format!(" ({refused})"),
                }
            }
        }
        let described = rows::compile_described(query, &*engine)?;
        Ok(Explained { executor: format!("row{refusal}, about {rows} rows read"), partitions: "all".into(), steps: vec![described.steps(None)] })
    }

    /// The way that these values would be looked for.
    fn explain_fragment(&self, p: &FragmentPlan, params: &[Value]) -> Result<Explained, Fault> {
        let p = self.server.engine.settled(p, &self.statement(), params)?;
        let partitions = match &p.target {
            Target::Key(_) => "single".to_string(),
            Target::Keys(k) => format!("up to {}", k.len()),
            Target::Ordinal(n) => format!("single ({n})"),
            Target::Copy => "single".into(),
            Target::All => "all".into(),
        };
        Ok(Explained { executor: "fragment".into(), partitions, steps: vec![fragment_steps(&p.fragment, &p.gather)] })
    }

    /// Runs the statement, throws its rows away, and tells what it did.
    pub(crate) async fn profile(&mut self, s: &Statement, text: &str, params: &[Value]) -> Result<Outcome, Fault> {
        let lines = self.measured(s, text, params).await?.lines();
        self.last_profile = Some(lines.join("\n"));
        Ok(table(&["EXPLAIN"], lines.into_iter().map(|l| vec![Value::str(l)]).collect()))
    }

    async fn measured(&mut self, s: &Statement, text: &str, params: &[Value]) -> Result<Explained, Fault> {
        if let Statement::Select(q) = s {
            let types: Vec<Option<SqlType>> = params.iter().map(|v| Some(super::prepared::type_of(v))).collect();
            let query = self.optimized(q, text, &types, params)?;
            if query.lockings().is_empty() {
                self.limit_time(q.time_limit())?;
                let executor = self.executor_for(&query);
                return self.measured_query(&query, params, executor).await;
            }
        }
        let mut explained = self.explained(s, text, params).await?;
        let clock = self.server.env.clock.clone();
        let start = clock.now();
        let mut rows = 0u64;
        match Box::pin(self.run(s, text, params)).await? {
            Outcome::Rows { rows: mut stream, .. } => {
                while let Some(b) = stream.next().await? {
                    rows += b.len() as u64
                }
            }
            Outcome::Ok(d) => rows = d.affected,
            Outcome::SendFile { .. } => return Err(Fault::not_supported("PROFILE of LOAD DATA")),
        }
        if let Some(top) = explained.steps.first_mut() {
            top.actual = Some(Actual { rows, runs: 1, time: clock.now() - start });
        }
        Ok(explained)
    }

    async fn measured_query(&mut self, query: &Arc<Query>, params: &[Value], executor: Executor) -> Result<Explained, Fault> {
        let engine = self.server.engine.clone();
        let clock = self.server.env.clock.clone();
        let rows_read = engine.rows_read(query);
        let statement = self.statement();
        let mut refusal = String::new();
        let chosen = self.choose(query, params, executor)?;
        if let Chosen::Fragment(p) = &chosen {
            let p = &engine.settled(p, &statement, params)?;
            let start = clock.now();
            let rows = self.read_fragment(p, params).await?.len() as u64;
            let whole = Actual { rows, runs: 1, time: clock.now() - start };
            // What the access path alone finds and takes, in a second run of its own: inside the fragment there is no boundary to measure at.
            let start = clock.now();
            let found = self.read_fragment(&count_of(p), params).await?;
            let found = match found.first().and_then(|r| r.first()) {
                Some(Value::Int(n)) => *n as u64,
                _ => 0,
            };
            let access = Actual { rows: found, runs: 1, time: clock.now() - start };
            let mut explained = self.explain_fragment(p, params)?;
            if let Some(top) = explained.steps.first_mut() {
                innermost(top).actual = Some(access);
                top.actual = Some(whole);
            }
            return Ok(explained);
        }
        let snapshot = self.take_snapshot();
        self.current().used = true;
        let source = self.source(snapshot, &query.tables)?;
        let params: Arc<[Value]> = params.into();
        if matches!(chosen, Chosen::Analytic) {
            let large = self.large(statement.clone(), params.clone(), source.clone(), executor);
            match large.plan(query).await {
                Ok(plan) => {
                    let stream = self.on_query_threads(Box::new(plan.run()?), statement);
                    let whole = drain(stream, &*clock).await?;
                    let mut top = plan.steps(&ColumnNames::of(query), true);
                    top = Step { operator: "Result".into(), actual: Some(whole), inputs: vec![top], ..Step::default() };
                    return Ok(Explained { executor: format!("analytic, about {rows_read} rows read"), partitions: "all".into(), steps: vec![top] });
                }
                Err(NoPlan::Fault(f)) => return Err(f),
                Err(NoPlan::Refused(refused)) if executor == Executor::Analytic => {
                    return Err(Fault::not_supported(format!("executor = analytic for this query: {refused}")));
                }
                Err(NoPlan::Refused(refused)) => refusal = format!(" ({refused})"),
            }
        }
        let described = rows::compile_described(query, &*engine)?;
        let meter = Arc::new(Meter::new({
            let (clock, start) = (clock.clone(), clock.now());
            move || clock.now() - start
        }));
        let scope = self.scope(statement.clone(), params, source, Some(meter.clone()));
        let mut stream = rows::open(&described.node, &scope);
        if rows_read > super::query::SMALL_QUERY_ROWS {
            stream = self.on_query_threads(stream, statement);
        }
        drain(stream, &*clock).await?;
        Ok(Explained {
            executor: format!("row{refusal}, about {rows_read} rows read"),
            partitions: "all".into(),
            steps: vec![described.steps(Some(&meter))],
        })
    }

    pub(crate) async fn maintain(&mut self, verb: MaintenanceVerb, tables: &[ObjectName]) -> Result<Outcome, Fault> {
        let (op, text) = match verb {
            MaintenanceVerb::Analyze => ("analyze", "OK"),
            MaintenanceVerb::Check => ("check", "OK"),
            MaintenanceVerb::Optimize => ("optimize", "Table is already up to date"),
            MaintenanceVerb::Repair => ("repair", "The storage engine for the table doesn't support repair"),
            MaintenanceVerb::Checksum { .. } => return Err(Fault::Internal { incident: "a checksum that is none".into() }),
        };
        let catalog = self.catalog();
        let mut rows = Vec::new();
        for t in tables {
            let d = self.database_of(t.database.as_deref())?.to_string();
            self.require_on_table(Privilege::Select, &d, &t.name)?;
            if verb != MaintenanceVerb::Check {
                self.require_on_table(Privilege::Insert, &d, &t.name)?;
            }
            let name = Value::str(format!("{d}.{}", t.name));
            if catalog.table(&d, &t.name).is_none() {
                rows.push(vec![name.clone(), Value::str(op), Value::str("Error"), Value::str(format!("Table '{d}.{}' doesn't exist", t.name))]);
                rows.push(vec![name, Value::str(op), Value::str("status"), Value::str("Operation failed")]);
                continue;
            }
            rows.push(vec![name, Value::str(op), Value::str(if verb == MaintenanceVerb::Repair { "note" } else { "status" }), Value::str(text)]);
        }
        Ok(table(&["Table", "Op", "Msg_type", "Msg_text"], rows))
    }

    /// CHECKSUM TABLE: one number for the values of all rows, whatever their order. MySQL's numbers depend on how its rows lie in memory, so they are others.
    pub(crate) async fn checksum(&mut self, tables: &[ObjectName], quick: bool) -> Result<Outcome, Fault> {
        let mut out = Vec::new();
        for t in tables {
            let d = self.database_of(t.database.as_deref())?.to_string();
            self.require_on_table(Privilege::Select, &d, &t.name)?;
            let name = Value::str(format!("{d}.{}", t.name));
            let table = self.temporary.find(&d, &t.name).cloned().or_else(|| self.catalog().table(&d, &t.name).cloned());
            let Some(table) = table else {
                let fault = match self.catalog().view(&d, &t.name) {
                    Some(_) => Fault::mysql(1347, "HY000", format!("'{d}.{}' is not BASE TABLE", t.name)),
                    None => Fault::NoSuchTable { database: d, table: t.name.clone() },
                };
                self.statement().warn(WarningLevel::Error, fault);
                out.push(vec![name, Value::Null]);
                continue;
            };
            // No number is kept up to date, which is what QUICK asks for.
            if quick {
                out.push(vec![name, Value::Null]);
                continue;
            }
            let column = |c: &weald_catalog::ColumnDef| {
                let c_name = quote(&c.name);
                // A FLOAT shows fewer digits than it has.
                let value = if matches!(c.ty.kind, TypeKind::Float { .. }) { format!("{c_name} + 0E0") } else { c_name };
                format!("IFNULL(CRC32({value}), '-')")
            };
            let columns: Vec<String> = table.columns.iter().map(column).collect();
            let sum = format!("SUM(CRC32(CONCAT_WS(',', {})))", columns.join(", "));
            let sql = format!("SELECT CAST(IFNULL({sum}, 0) AS UNSIGNED) & 4294967295 FROM {}.{}", quote(&d), quote(&t.name));
            let Outcome::Rows { mut rows, .. } = self.run_internal(&sql).await? else {
                return Err(Fault::Internal { incident: "a checksum without rows".into() });
            };
            let mut sum = Value::Null;
            while let Some(batch) = rows.next().await? {
                sum = batch.into_iter().flatten().next().unwrap_or(sum);
            }
            out.push(vec![name, sum]);
        }
        Ok(table(&["Table", "Checksum"], out))
    }

    pub(crate) async fn snapshot_database(&mut self, name: &str) -> Result<Outcome, Fault> {
        if !self.user.may_globally(Privilege::Backup) {
            self.require(Privilege::Super, None)?;
        }
        if self.catalog().database(name).is_none() {
            return Err(Fault::NoSuchDatabase { name: name.into() });
        }
        let keep = self.server.variables.values().int("snapshots_to_keep") as usize;
        self.server.metadata.snapshot_database(name, keep).await?;
        Outcome::ok()
    }
}

/// Reads a stream to its end.
async fn drain(mut stream: BoxStream, clock: &dyn weald_env::Clock) -> Result<Actual, Fault> {
    let start = clock.now();
    let mut rows = 0;
    while let Some(batch) = stream.next().await? {
        rows += batch.len() as u64;
    }
    Ok(Actual { rows, runs: 1, time: clock.now() - start })
}

/// The same access path, its rows only counted.
fn count_of(p: &FragmentPlan) -> FragmentPlan {
    let mut plan = p.clone();
    let count = Aggregate {
        function: AggregateFunction::Count,
        args: vec![],
        distinct: false,
        order_by: vec![],
        separator: "".into(),
        ty: SqlType::bigint(false),
    };
    plan.fragment.filter = None;
    plan.fragment.action =
        Action::Read { exprs: vec![], group: vec![], aggregates: vec![count], distinct: false, sort: vec![], limit: None, offset: None, lock: None };
    plan.gather = Gather {
        merge: vec![AggregateFunction::Sum],
        single_group: true,
        exprs: vec![Expr::Column { id: ColumnId::new(0), ty: SqlType::bigint(false) }],
        visible: 1,
        ..Gather::default()
    };
    plan
}

fn innermost(step: &mut Step) -> &mut Step {
    if step.inputs.is_empty() { step } else { innermost(&mut step.inputs[0]) }
}

fn fragment_steps(f: &Fragment, gather: &Gather) -> Step {
    let called = |id: ColumnId| f.table.columns.get(id.raw() as usize).map_or_else(|| format!("#{id}"), |c| c.name.to_string());
    let text = |e: &Expr| weald_expr::print::text_with(e, &called);
    let name = format!("{}.{}", f.table.database_name, f.table.name);
    let mut step = rows::scan_step(&f.table, &f.access, f.filter.as_ref().map(text));
    let mut over = |operator: &str, detail: String| {
        let below = std::mem::take(&mut step);
        step = Step { operator: operator.into(), detail, inputs: vec![below], ..Step::default() };
    };
    match &f.action {
        Action::Read { group, aggregates, sort, limit, distinct, lock, exprs, .. } => {
            if let Some(l) = lock {
                over("LockRows", l.words().into());
            }
            if !group.is_empty() || !aggregates.is_empty() {
                let by: Vec<String> = group.iter().map(text).collect();
                let what: Vec<String> = aggregates
                    .iter()
                    .map(|a| format!("{:?}({})", a.function, a.args.iter().map(text).collect::<Vec<_>>().join(", ")).to_lowercase())
                    .collect();
                over("HashAggregate", format!("{}{}{}", what.join(", "), if by.is_empty() { "" } else { " by " }, by.join(", ")));
            }
            if !exprs.is_empty() {
                over("Project", exprs.iter().map(|e| text(&e.0)).collect::<Vec<_>>().join(", "));
            }
            if *distinct || gather.distinct {
                over("Distinct", String::new());
            }
            let sorted = if sort.is_empty() { &gather.sort } else { sort };
            if !sorted.is_empty() {
                over("Sort", format!("{} key(s)", sorted.len()));
            }
            if limit.is_some() || gather.limit.is_some() {
                over("Limit", limit.as_ref().or(gather.limit.as_ref()).map(text).unwrap_or_default());
            }
        }
        Action::Update { .. } => over("Update", name),
        Action::Delete { .. } => over("Delete", name),
        Action::Insert { .. } => over("Insert", name),
    }
    step
}

impl Explained {
    /// The plan finds the rows that a change is made to.
    fn below(mut self, operator: &str, detail: String) -> Self {
        self.steps = vec![Step { operator: operator.into(), detail, inputs: std::mem::take(&mut self.steps), ..Step::default() }];
        self
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("executor: {}, partitions: {}", self.executor, self.partitions)];
        for s in &self.steps {
            line(s, 0, &mut lines);
        }
        lines
    }

    fn json(&self) -> String {
        let plan: Vec<String> = self.steps.iter().map(json).collect();
        format!(
            "{{\"query_block\": {{\"executor\": {}, \"partitions\": {}, \"plan\": [{}]}}}}",
            quoted(&self.executor),
            quoted(&self.partitions),
            plan.join(", ")
        )
    }

    /// MySQL's table: a row for each access to a table.
    fn traditional(&self) -> Outcome {
        let mut rows = Vec::new();
        let subqueries = self.steps.iter().any(has_subquery);
        let mut next_id = 1;
        for s in &self.steps {
            traditional(s, 1, if subqueries { "PRIMARY" } else { "SIMPLE" }, self, &mut next_id, &mut rows);
        }
        if rows.is_empty() {
            let mut row = vec![Value::Null; 12];
            row[0] = Value::Int(1);
            row[1] = Value::str("SIMPLE");
            row[11] = Value::str("No tables used");
            rows.push(row);
        }
        let columns = ["id", "select_type", "table", "partitions", "type", "possible_keys", "key", "key_len", "ref", "rows", "filtered", "Extra"];
        table(&columns, rows)
    }
}

fn line(s: &Step, depth: usize, lines: &mut Vec<String>) {
    let mut text = format!("{}{}", "  ".repeat(depth), s.operator);
    if !s.detail.is_empty() {
        text.push(' ');
        text.push_str(&s.detail);
    }
    if let Some(n) = s.estimated_rows {
        text.push_str(&format!("  (about {n:.0} rows)"));
    }
    if let Some(a) = s.actual {
        text.push_str(&format!("  (actual: {} rows, {} run(s), {:.3} ms)", a.rows, a.runs, a.time.as_secs_f64() * 1e3));
    }
    lines.push(text);
    for i in &s.inputs {
        line(i, depth + 1, lines);
    }
}

fn json(s: &Step) -> String {
    let mut fields = vec![format!("\"operator\": {}", quoted(&s.operator))];
    if !s.detail.is_empty() {
        fields.push(format!("\"detail\": {}", quoted(&s.detail)));
    }
    if let Some(a) = &s.access {
        fields.push(format!("\"table_name\": {}, \"access_type\": {}", quoted(&a.table), quoted(a.kind)));
        if let Some(k) = &a.key {
            fields.push(format!("\"key\": {}, \"used_key_parts\": {}", quoted(k), a.key_parts));
        }
    }
    if let Some(n) = s.estimated_rows {
        fields.push(format!("\"estimated_rows\": {n:.0}"));
    }
    if let Some(a) = s.actual {
        let time = a.time.as_secs_f64() * 1e3;
        fields.push(format!("\"actual_rows\": {}, \"actual_runs\": {}, \"actual_time_ms\": {time:.3}", a.rows, a.runs));
    }
    if !s.inputs.is_empty() {
        fields.push(format!("\"inputs\": [{}]", s.inputs.iter().map(json).collect::<Vec<_>>().join(", ")));
    }
    format!("{{{}}}", fields.join(", "))
}

/// A JSON string.
fn quoted(s: &str) -> String {
    let mut out = String::with_capacity(s.len() + 2);
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn has_subquery(s: &Step) -> bool {
    s.operator == "Subquery" || s.inputs.iter().any(has_subquery)
}

fn traditional(s: &Step, id: i64, kind: &str, whole: &Explained, next_id: &mut i64, rows: &mut Vec<Vec<Value>>) {
    if s.operator == "Subquery" {
        *next_id += 1;
        let kind = if s.detail.ends_with("each row") { "DEPENDENT SUBQUERY" } else { "SUBQUERY" };
        let id = *next_id;
        for i in &s.inputs {
            traditional(i, id, kind, whole, next_id, rows);
        }
        return;
    }
    if let Some(a) = &s.access {
        let text = |s: &str| Value::str(s);
        rows.push(vec![
            Value::Int(id),
            text(kind),
            text(&a.table),
            text(&whole.partitions),
            text(a.kind),
            if a.possible_keys.is_empty() { Value::Null } else { text(&a.possible_keys.join(",")) },
            a.key.as_deref().map_or(Value::Null, text),
            if a.key.is_some() { text(&a.key_bytes.to_string()) } else { Value::Null },
            if matches!(a.kind, "const" | "ref") { text("const") } else { Value::Null },
            s.estimated_rows.map_or(Value::Null, |n| Value::UInt(n.max(1.0) as u64)),
            Value::Double(100.0),
            text(&format!("{}executor: {}", if a.filter.is_some() { "Using where; " } else { "" }, whole.executor)),
        ]);
    }
    for i in &s.inputs {
        traditional(i, id, kind, whole, next_id, rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_strings_are_escaped() {
        assert_eq!(quoted("a\"b\\c\nd\u{1}é"), "\"a\\\"b\\\\c\\nd\\u0001é\"");
    }
}
