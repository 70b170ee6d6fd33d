//! INSERT, REPLACE, UPDATE and DELETE.
//!
//! Owns:     the retry of a statement whose rows changed under it before anything of the transaction was seen.
//! Promises: statement atomicity: what a failing statement wrote is taken back.
//! Never:    writes a row itself: `exec` does.

use super::query::RETRIES;
use super::{Done, Outcome, Rows, Session};
use weald_exec::rows::row_bytes;
use weald_exec::{Changed, InsertRows, Inserted, Isolation, Work};
use weald_expr::Expr;
use weald_expr::typing::value_type;
use weald_plan::FragmentPlan;
use weald_plan::dml::{self, Assigned, BoundDelete, BoundInsert, BoundOnDuplicate, BoundUpdate, Given, InsertSource, RowChanges};
use weald_plan::query::Rel;
use weald_plan::{rewrite, walk};
use weald_sql::ast;
use weald_types::{Fault, SqlType, Value};

impl Session {
    fn param_types(params: &[Value]) -> Vec<Option<SqlType>> {
        params.iter().map(|v| Some(super::prepared::type_of(v))).collect()
    }

    pub(crate) async fn insert(&mut self, i: &ast::Insert, text: &str, params: &[Value]) -> Result<Outcome, Fault> {
        let rows = if matches!(&i.source, ast::InsertSource::Values(rows) if rows.len() == 1) { Rows::One } else { Rows::Many };
        self.changing(i.ignore, rows);
        let types = Self::param_types(params);
        for _ in 0..RETRIES {
            let version = self.catalog().version;
            let engine = self.server.engine.clone();
            let bound = self.bind(text, &types, |env| dml::insert::bind_insert(env, &*engine, i))?;
            self.check(&bound.needs)?;
            self.warn_of(&bound.warnings);
            match self.run_insert(&bound, params).await {
                Err(Fault::SchemaChanged) => self.server.newer_than(version).await,
                done => return done,
            }
        }
        Err(Fault::SchemaChanged)
    }

    pub(crate) async fn run_insert(&mut self, bound: &BoundInsert, params: &[Value]) -> Result<Outcome, Fault> {
        self.refuse_if_read_only([&bound.table])?;
        self.note_database(bound.table.database);
        let info = matches!(&bound.source, InsertSource::Query(_)) || matches!(&bound.source, InsertSource::Rows(r) if r.len() > 1);
        for attempt in 0..RETRIES {
            let mark = self.current().transaction.mark();
            let done = self.insert_once(bound, params).await;
            if self.may_retry(&done, attempt) {
                self.take_back(mark);
                continue;
            }
            let done = self.finish_change(mark, done).await?;
            if let Some(first) = done.generated {
                self.last_insert_id = first;
            }
            let shown = done.generated.or(done.explicit).unwrap_or(0);
            let info = if info {
                format!("Records: {}  Duplicates: {}  Warnings: {}", done.records, done.duplicates, self.statement().warnings.lock().total)
            } else {
                String::new()
            };
            return Ok(Outcome::Ok(Done { affected: done.affected, last_insert_id: shown, info: info.into() }));
        }
        Err(Fault::Deadlock)
    }

    async fn insert_once(&mut self, bound: &BoundInsert, params: &[Value]) -> Result<Inserted, Fault> {
        let engine = self.server.engine.clone();
        let answered;
        let bound = if bound.subqueries.is_empty() {
            bound
        } else {
            answered = self.with_subqueries_answered(bound, params).await?;
            &answered
        };
        let source = match &bound.source {
            InsertSource::Rows(rows) => InsertRows::Exprs(rows),
            InsertSource::Query(q) => {
                let mut q = (**q).clone();
                rewrite::optimize(&mut q, &self.bind_context(), &*engine);
                let types = q.columns.iter().map(|c| c.ty.clone()).collect();
                let mut stream = self.open(&std::sync::Arc::new(q), params).await?;
                let mut rows = Vec::new();
                let statement = self.statement();
                while let Some(batch) = stream.next().await? {
                    statement.memory.take(batch.iter().map(|r| row_bytes(r)).sum())?;
                    rows.extend(batch);
                }
                InsertRows::Values { rows, types }
            }
        };
        let found_rows = self.client.found_rows;
        let (statement, lock_wait, snapshot) = (self.statement(), self.lock_wait(), self.take_snapshot());
        let open = self.current();
        let work = Work { statement: &statement, params, transaction: &open.transaction, snapshot: &snapshot, lock_wait };
        engine.insert(bound, source, found_rows, 1, work).await
    }

    /// The same with constants in the place of its subqueries, which read nothing of the rows.
    async fn with_subqueries_answered(&mut self, bound: &BoundInsert, params: &[Value]) -> Result<BoundInsert, Fault> {
        let mut bound = bound.clone();
        let mut rows: Vec<Vec<Given>> = match &bound.source {
            InsertSource::Rows(rows) => rows.to_vec(),
            InsertSource::Query(_) => Vec::new(),
        };
        let mut exprs: Vec<&mut Expr> = rows
            .iter_mut()
            .flatten()
            .filter_map(|g| match g {
                Given::Expr(e) => Some(e),
                Given::Default => None,
            })
            .collect();
        if let BoundOnDuplicate::Update { assignments, .. } = &mut bound.on_duplicate {
            exprs.extend(assignments.iter_mut().filter_map(|(_, a)| match a {
                Assigned::Expr(e) => Some(e),
                Assigned::Fill(_) => None,
            }));
        }
        self.answer_subqueries(exprs, std::mem::take(&mut bound.subqueries), params).await?;
        if let InsertSource::Rows(all) = &mut bound.source {
            *all = rows.into();
        }
        Ok(bound)
    }

    /// Puts constants in the place of the subqueries in `exprs`.
    pub(crate) async fn answer_subqueries(&mut self, mut exprs: Vec<&mut Expr>, subqueries: Vec<Rel>, params: &[Value]) -> Result<(), Fault> {
        let mut asked = Vec::new();
        for e in &mut exprs {
            walk::rewrite(e, &mut |n| {
                let found = matches!(n, Expr::Subquery { .. });
                if found {
                    asked.push(n.clone());
                }
                found
            });
        }
        if asked.iter().any(|e| !walk::columns(e).is_empty()) {
            return Err(Fault::not_supported("a subquery that reads the row it is for"));
        }
        let mut answers = self.rows_of(&asked, subqueries, params).await?.into_iter().flatten().zip(&asked);
        for e in exprs {
            walk::rewrite(e, &mut |n| {
                if !matches!(n, Expr::Subquery { .. }) {
                    return false;
                }
                if let Some((value, asked)) = answers.next() {
                    *n = Expr::Literal { value, ty: value_type(asked) };
                }
                true
            });
        }
        Ok(())
    }

    pub(crate) async fn update(&mut self, u: &ast::Update, text: &str, params: &[Value]) -> Result<Outcome, Fault> {
        self.changing(u.ignore, Rows::Many);
        let types = Self::param_types(params);
        for _ in 0..RETRIES {
            let version = self.catalog().version;
            let engine = self.server.engine.clone();
            let bound = self.bind(text, &types, |env| dml::update::bind_update(env, &*engine, u))?;
            self.refuse_unsafe(u.limit.is_some(), || bound.finds_by_key())?;
            let done = match &bound {
                BoundUpdate::Fragment(plan) => {
                    self.check(&plan.needs)?;
                    self.warn_of(&plan.warnings);
                    self.change_fragment(plan, params).await
                }
                BoundUpdate::Rows(changes) => self.change_found(changes, params).await,
            };
            match done {
                Err(Fault::SchemaChanged) => self.server.newer_than(version).await,
                done => return self.updated(done?),
            }
        }
        Err(Fault::SchemaChanged)
    }

    /// 1175 where sql_safe_updates asks for it: a change of a whole table was hardly meant.
    fn refuse_unsafe(&self, limited: bool, finds_by_key: impl FnOnce() -> bool) -> Result<(), Fault> {
        if !self.settings.safe_updates || limited || finds_by_key() {
            return Ok(());
        }
        let text = "You are using safe update mode and you tried to update a table without a WHERE that uses a KEY column.";
        Err(Fault::mysql(1175, "HY000", text))
    }

    pub(crate) fn updated(&self, done: Changed) -> Result<Outcome, Fault> {
        let warnings = self.statement().warnings.lock().total;
        let info = match (done.matched, done.changed, warnings) {
            (1, 1, 0) => "Rows matched: 1  Changed: 1  Warnings: 0".into(),
            (matched, changed, warnings) => format!("Rows matched: {matched}  Changed: {changed}  Warnings: {warnings}").into(),
        };
        Ok(Outcome::Ok(Done { affected: if self.client.found_rows { done.matched } else { done.changed }, last_insert_id: 0, info }))
    }

    pub(crate) async fn delete(&mut self, d: &ast::Delete, text: &str, params: &[Value]) -> Result<Outcome, Fault> {
        self.changing(d.ignore, Rows::Many);
        let types = Self::param_types(params);
        for _ in 0..RETRIES {
            let version = self.catalog().version;
            let engine = self.server.engine.clone();
            let bound = self.bind(text, &types, |env| dml::delete::bind_delete(env, &*engine, d))?;
            self.refuse_unsafe(d.limit.is_some(), || bound.finds_by_key())?;
            let done = match &bound {
                BoundDelete::Fragment(plan) => {
                    self.check(&plan.needs)?;
                    self.warn_of(&plan.warnings);
                    self.change_fragment(plan, params).await
                }
                BoundDelete::Rows(changes) => self.change_found(changes, params).await,
            };
            match done {
                Err(Fault::SchemaChanged) => self.server.newer_than(version).await,
                done => return Outcome::affected(done?.changed),
            }
        }
        Err(Fault::SchemaChanged)
    }

    pub(crate) async fn change_fragment(&mut self, plan: &FragmentPlan, params: &[Value]) -> Result<Changed, Fault> {
        self.refuse_if_read_only([&plan.fragment.table])?;
        self.note_database(plan.fragment.table.database);
        let engine = self.server.engine.clone();
        for attempt in 0..RETRIES {
            let (statement, lock_wait, snapshot) = (self.statement(), self.lock_wait(), self.take_snapshot());
            let open = self.current();
            let mark = open.transaction.mark();
            let work = Work { statement: &statement, params, transaction: &open.transaction, snapshot: &snapshot, lock_wait };
            let done = engine.change(plan, work).await;
            drop(snapshot);
            if self.may_retry(&done, attempt) {
                self.take_back(mark);
                continue;
            }
            return self.finish_change(mark, done).await;
        }
        Err(Fault::Deadlock)
    }

    async fn change_found(&mut self, changes: &RowChanges, params: &[Value]) -> Result<Changed, Fault> {
        self.check(&changes.query.needs)?;
        self.warn_of(&changes.query.warnings);
        self.refuse_if_read_only(changes.targets.iter().map(|t| &t.table))?;
        let engine = self.server.engine.clone();
        for t in &changes.targets {
            self.note_database(t.table.database);
        }
        for attempt in 0..RETRIES {
            let mark = self.current().transaction.mark();
            let done = self.change_found_once(changes, params, &engine).await;
            if self.may_retry(&done, attempt) {
                self.take_back(mark);
                continue;
            }
            return self.finish_change(mark, done).await;
        }
        Err(Fault::Deadlock)
    }

    async fn change_found_once(
        &mut self,
        changes: &RowChanges,
        params: &[Value],
        engine: &std::sync::Arc<weald_exec::Engine>,
    ) -> Result<Changed, Fault> {
        let rows = self.open(&std::sync::Arc::new(changes.query.clone()), params).await?;
        let (statement, lock_wait) = (self.statement(), self.lock_wait());
        let open = self.current();
        // The snapshot that the rows were found at.
        let snapshot = open.transaction.snapshot();
        let work = Work { statement: &statement, params, transaction: &open.transaction, snapshot: &snapshot, lock_wait };
        engine.change_rows(&changes.targets, changes.ignore, rows, work).await
    }

    /// A conflict before anything of the transaction was seen, or at READ COMMITTED: the statement may be run again unseen.
    fn may_retry<T>(&mut self, done: &Result<T, Fault>, attempt: usize) -> bool {
        if !done.as_ref().is_err_and(Fault::is_out_of_date) || attempt + 1 >= RETRIES {
            return false;
        }
        let open = self.current();
        open.seen_by_client == 0 || open.transaction.txn().isolation() == Isolation::ReadCommitted
    }

    fn take_back(&mut self, mark: weald_exec::Mark) {
        let open = self.current();
        super::transaction::take_back(&open.transaction, mark);
        open.used = open.seen_by_client > 0;
    }

    /// Remembers whether the commit must wait for the disk.
    fn note_database(&mut self, id: weald_types::DatabaseId) {
        let sync = self.catalog().database_by_id(id).is_some_and(|d| d.sync_durability);
        let open = self.current();
        open.sync |= sync;
    }
}
