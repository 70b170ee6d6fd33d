//! INSERT, REPLACE, UPDATE and DELETE.
//!
//! Owns:     the retry of a statement whose rows changed under it before anything of the transaction was seen.
//! Promises: statement atomicity: what a failing statement wrote is taken back.
//! Never:    writes a row itself: `exec` does.

use super::query::RETRIES;
use super::{Done, Outcome, Rows, Session};
use weald_exec::rows::row_bytes;
use weald_exec::{Changed, InsertRows, Inserted, Isolation, Work};
use weald_plan::FragmentPlan;
use weald_plan::dml::{self, BoundDelete, BoundInsert, BoundUpdate, Given, InsertSource, RowChanges};
use weald_plan::rewrite;
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
            for w in &bound.warnings {
                self.statement().warn(w.level, w.fault.clone());
            }
            match self.run_insert(&bound, params).await {
                Err(Fault::SchemaChanged) => self.server.newer_than(version).await,
                done => return done,
            }
        }
        Err(Fault::SchemaChanged)
    }

    pub(crate) async fn run_insert(&mut self, bound: &BoundInsert, params: &[Value]) -> Result<Outcome, Fault> {
        self.refuse_if_read_only()?;
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
            return Ok(Outcome::Ok(Done { affected: done.affected, last_insert_id: shown, info }));
        }
        Err(Fault::Deadlock)
    }

    async fn insert_once(&mut self, bound: &BoundInsert, params: &[Value]) -> Result<Inserted, Fault> {
        let engine = self.server.engine.clone();
        let source = match &bound.source {
            InsertSource::Rows(rows) if bound.subqueries.is_empty() => InsertRows::Exprs(rows),
            InsertSource::Rows(rows) => {
                // Subqueries are answered first, each row's values becoming constants.
                let mut out = Vec::new();
                let mut types = Vec::new();
                for row in rows.iter() {
                    let exprs: Vec<_> = row
                        .iter()
                        .map(|g| match g {
                            Given::Expr(e) => Ok(e.clone()),
                            Given::Default => Err(Fault::not_supported("DEFAULT beside a subquery in VALUES")),
                        })
                        .collect::<Result<_, _>>()?;
                    types = exprs.iter().map(weald_expr::typing::value_type).collect();
                    out.extend(self.rows_of(&exprs, bound.subqueries.clone(), params).await?);
                }
                InsertRows::Values { rows: out, types }
            }
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

    pub(crate) async fn update(&mut self, u: &ast::Update, text: &str, params: &[Value]) -> Result<Outcome, Fault> {
        self.changing(u.ignore, Rows::Many);
        let types = Self::param_types(params);
        for _ in 0..RETRIES {
            let version = self.catalog().version;
            let engine = self.server.engine.clone();
            let bound = self.bind(text, &types, |env| dml::update::bind_update(env, &*engine, u))?;
            let done = match &bound {
                BoundUpdate::Fragment(plan) => {
                    self.check(&plan.needs)?;
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

    pub(crate) fn updated(&self, done: Changed) -> Result<Outcome, Fault> {
        let info = format!("Rows matched: {}  Changed: {}  Warnings: {}", done.matched, done.changed, self.statement().warnings.lock().total);
        Ok(Outcome::Ok(Done { affected: if self.client.found_rows { done.matched } else { done.changed }, last_insert_id: 0, info }))
    }

    pub(crate) async fn delete(&mut self, d: &ast::Delete, text: &str, params: &[Value]) -> Result<Outcome, Fault> {
        self.changing(d.ignore, Rows::Many);
        let types = Self::param_types(params);
        for _ in 0..RETRIES {
            let version = self.catalog().version;
            let engine = self.server.engine.clone();
            let bound = self.bind(text, &types, |env| dml::delete::bind_delete(env, &*engine, d))?;
            let done = match &bound {
                BoundDelete::Fragment(plan) => {
                    self.check(&plan.needs)?;
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
        self.refuse_if_read_only()?;
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
        self.refuse_if_read_only()?;
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
        if !matches!(done, Err(Fault::WriteConflict)) || attempt + 1 >= RETRIES {
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
