//! EXPLAIN, PROFILE, and the table verbs CHECK, ANALYZE, OPTIMIZE, REPAIR, CHECKSUM.
//!
//! Owns:     nothing.
//! Promises: says which executor runs the statement, on which partitions, by which access path.
//! Never:    runs what it explains, but for ANALYZE and PROFILE.

use super::showing::table;
use super::{Outcome, Session};
use std::sync::Arc;
use weald_catalog::Privilege;
use weald_plan::dml::{self, BoundDelete, BoundUpdate};
use weald_plan::fragment::{Access, Action, Fragment, FragmentPlan, Target};
use weald_plan::query::{Query, Rel};
use weald_plan::{bind, local, rewrite};
use weald_sql::ast::{MaintenanceVerb, ObjectName, Statement};
use weald_types::{Fault, SqlType, Value};

impl Session {
    pub(crate) async fn explain(
        &mut self,
        analyze: bool,
        format: Option<&str>,
        s: &Statement,
        text: &str,
        params: &[Value],
    ) -> Result<Outcome, Fault> {
        if format.is_some_and(|f| !f.eq_ignore_ascii_case("tree") && !f.eq_ignore_ascii_case("traditional")) {
            return Err(Fault::not_supported("EXPLAIN FORMAT other than TREE"));
        }
        if analyze {
            return self.profile(s, text, params).await;
        }
        let lines = self.explained(s, text, params).await?;
        Ok(table(&["EXPLAIN"], lines.into_iter().map(|l| vec![Value::str(l)]).collect()))
    }

    async fn explained(&mut self, s: &Statement, text: &str, params: &[Value]) -> Result<Vec<String>, Fault> {
        let types: Vec<Option<SqlType>> = params.iter().map(|v| Some(super::prepared::type_of(v))).collect();
        let engine = self.server.engine.clone();
        let mut lines = Vec::new();
        match s {
            Statement::Select(q) => {
                let mut query = self.bind(text, &types, |env| bind::bind_query(env, q))?;
                self.check(&query.needs)?;
                rewrite::optimize(&mut query, &self.bind_context(), &*engine);
                self.explain_query(&Arc::new(query), params, &mut lines).await;
            }
            Statement::Update(u) => match self.bind(text, &types, |env| dml::update::bind_update(env, &*engine, u))? {
                BoundUpdate::Fragment(p) => explain_fragment(&p, &mut lines),
                BoundUpdate::Rows(r) => {
                    lines.push("Update rows found by:".into());
                    self.explain_query(&Arc::new(r.query), params, &mut lines).await
                }
            },
            Statement::Delete(d) => match self.bind(text, &types, |env| dml::delete::bind_delete(env, &*engine, d))? {
                BoundDelete::Fragment(p) => explain_fragment(&p, &mut lines),
                BoundDelete::Rows(r) => {
                    lines.push("Delete rows found by:".into());
                    self.explain_query(&Arc::new(r.query), params, &mut lines).await
                }
            },
            Statement::Insert(i) => {
                let bound = self.bind(text, &types, |env| dml::insert::bind_insert(env, &*engine, i))?;
                lines.push(format!("Insert into {}.{}", bound.table.database_name, bound.table.name));
                if let dml::InsertSource::Query(q) = bound.source {
                    self.explain_query(&Arc::new(*q), params, &mut lines).await
                }
            }
            _ => return Err(Fault::not_supported("EXPLAIN of this statement")),
        }
        Ok(lines)
    }

    async fn explain_query(&mut self, query: &Arc<Query>, params: &[Value], lines: &mut Vec<String>) {
        if let Some(plan) = local::fragment(query, &self.bind_context()) {
            return explain_fragment(&plan, lines);
        }
        let rows = self.server.engine.rows_read(query);
        if rows > super::query::SMALL_QUERY_ROWS {
            let snapshot = self.take_snapshot();
            let source: Arc<dyn weald_exec::analytic::BatchSource> = self.source(snapshot);
            match self.server.analytic.plan(query, &self.statement(), &params.into(), &source).await {
                Ok(p) => {
                    lines.push(format!("executor: DataFusion, about {rows} rows read"));
                    lines.extend(p.text(false).lines().map(str::to_string));
                    return;
                }
                Err(refused) => lines.push(format!("executor: row ({refused}), about {rows} rows read")),
            }
        } else {
            lines.push(format!("executor: row, about {rows} rows read"));
        }
        explain_rel(&query.root, 0, lines);
        for (i, s) in query.subqueries.iter().enumerate() {
            lines.push(format!("subquery {i}:"));
            explain_rel(s, 1, lines);
        }
    }

    /// Runs the statement, throws its rows away, and tells what it did.
    pub(crate) async fn profile(&mut self, s: &Statement, text: &str, params: &[Value]) -> Result<Outcome, Fault> {
        let mut lines = self.explained(s, text, params).await?;
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
        let took = clock.now() - start;
        lines.insert(0, format!("actual rows: {rows}  time: {:.3} ms", took.as_secs_f64() * 1e3));
        self.last_profile = Some(lines.join("\n"));
        Ok(table(&["EXPLAIN"], lines.into_iter().map(|l| vec![Value::str(l)]).collect()))
    }

    pub(crate) async fn maintain(&mut self, verb: MaintenanceVerb, tables: &[ObjectName]) -> Result<Outcome, Fault> {
        let (op, text) = match verb {
            MaintenanceVerb::Analyze => ("analyze", "OK"),
            MaintenanceVerb::Check => ("check", "OK"),
            MaintenanceVerb::Optimize => ("optimize", "Table is already up to date"),
            MaintenanceVerb::Repair => ("repair", "The storage engine for the table doesn't support repair"),
            MaintenanceVerb::Checksum => return Err(Fault::not_supported("CHECKSUM TABLE")),
        };
        let catalog = self.catalog();
        let mut rows = Vec::new();
        for t in tables {
            let d = self.database_of(t.database.as_deref())?.to_string();
            self.require_on_table(Privilege::Select, &d, &t.name)?;
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

fn explain_fragment(p: &FragmentPlan, lines: &mut Vec<String>) {
    let partitions = match &p.target {
        Target::Key(_) => "single".to_string(),
        Target::Keys(k) => format!("up to {}", k.len()),
        Target::Ordinal(n) => format!("single ({n})"),
        Target::Copy => "single".into(),
        Target::All => "all".into(),
    };
    lines.push(format!("executor: fragment, partitions:{partitions}"));
    explain_work(&p.fragment, 0, lines);
}

fn explain_work(f: &Fragment, depth: usize, lines: &mut Vec<String>) {
    let pad = "  ".repeat(depth);
    let name = format!("{}.{}", f.table.database_name, f.table.name);
    match &f.action {
        Action::Read { group, aggregates, sort, limit, distinct, lock, .. } => {
            if limit.is_some() {
                lines.push(format!("{pad}Limit"));
            }
            if !sort.is_empty() {
                lines.push(format!("{pad}Sort by {} key(s)", sort.len()));
            }
            if *distinct {
                lines.push(format!("{pad}Distinct"));
            }
            if !group.is_empty() || !aggregates.is_empty() {
                lines.push(format!("{pad}Aggregate {} group key(s), {} aggregate(s)", group.len(), aggregates.len()));
            }
            if lock.is_some() {
                lines.push(format!("{pad}Lock rows"));
            }
        }
        Action::Update { .. } => lines.push(format!("{pad}Update {name}")),
        Action::Delete { .. } => lines.push(format!("{pad}Delete from {name}")),
        Action::Insert { .. } => lines.push(format!("{pad}Insert into {name}")),
    }
    if let Some(e) = &f.filter {
        lines.push(format!(
            "{pad}Filter {}",
            weald_expr::print::text_with(e, &|id| f.table.columns.get(id.raw() as usize).map_or("?".into(), |c| c.name.to_string()))
        ));
    }
    lines.push(format!("{pad}{}", access(f, &name)));
}

fn access(f: &Fragment, name: &str) -> String {
    let index = |id: &weald_types::IndexId| f.table.indexes.iter().find(|i| i.id == *id).map_or("?".to_string(), |i| i.name.to_string());
    match &f.access {
        Access::Full => format!("TableScan {name}"),
        Access::Point { index: i, .. } => format!("IndexSeek {name}, KEY {}", index(i)),
        Access::Points { index: i, keys } => format!("IndexSeek {name}, KEY {}, {} keys", index(i), keys.len()),
        Access::Like { index: i, prefix, pattern, .. } => {
            format!("IndexRangeScan {name}, KEY {}, {} equal part(s), LIKE {}", index(i), prefix.len(), weald_expr::print::text(pattern))
        }
        Access::Range { index: i, prefix, reverse, .. } => {
            format!("IndexRangeScan {name}, KEY {}, {} equal part(s){}", index(i), prefix.len(), if *reverse { ", backwards" } else { "" })
        }
    }
}

fn explain_rel(rel: &Rel, depth: usize, lines: &mut Vec<String>) {
    let text = match rel {
        Rel::Scan { table, .. } => format!("TableScan {}.{}", table.database_name, table.name),
        Rel::Virtual { name, .. } => format!("VirtualScan information_schema.{name}"),
        Rel::JsonTable { document, .. } => format!("JsonTable {}", weald_expr::print::text(document)),
        Rel::Values { rows, .. } => format!("Values {} row(s)", rows.len()),
        Rel::Filter { predicate, .. } => format!("Filter {}", weald_expr::print::text(predicate)),
        Rel::Project { exprs, .. } => format!("Project {} column(s)", exprs.len()),
        Rel::Join { kind, on, .. } => format!("{kind:?}Join{}", on.as_ref().map_or(String::new(), |e| format!(" on {}", weald_expr::print::text(e)))),
        Rel::Aggregate { group, aggregates, rollup, .. } => {
            format!("Aggregate {} group key(s), {} aggregate(s){}", group.len(), aggregates.len(), if *rollup { ", rollup" } else { "" })
        }
        Rel::Window { functions, .. } => format!("Window {} function(s)", functions.len()),
        Rel::Sort { keys, .. } => format!("Sort by {} key(s)", keys.len()),
        Rel::Limit { .. } => "Limit".into(),
        Rel::Distinct { .. } => "Distinct".into(),
        Rel::SetOp { op, all, .. } => format!("{op:?}{}", if *all { " all" } else { "" }),
        Rel::Recursive { .. } => "Recursive".into(),
        Rel::RecursionInput { .. } => "RecursionInput".into(),
    };
    lines.push(format!("{}{text}", "  ".repeat(depth)));
    for i in rel.inputs() {
        explain_rel(i, depth + 1, lines);
    }
}
