//! BEGIN, COMMIT, ROLLBACK, savepoints and table locks.
//!
//! Owns:     the rules of when a transaction starts and ends; the transaction itself is `exec`'s.
//! Promises: autocommit statements are transactions of their own; a statement that fails leaves nothing of itself behind; a deadlock takes the whole transaction.
//! Never:    retries a statement that the client could tell apart: only what has read nothing yet is run again at a newer timestamp.

use super::{Outcome, Session};
use crate::global_read_lock::Passing;
use std::sync::Arc;
use std::time::Duration;
use weald_catalog::TableRef;
use weald_exec::{Durability, Isolation, Mark, Transaction};
use weald_sql::ast::{self, ObjectName, TableLock, VarScope};
use weald_types::{Fault, Value};

/// The session's transaction.
pub struct Open {
    /// Held by a LOAD DATA's writer too, as long as it writes; a query that locks rows looks at it for a moment at a time.
    pub transaction: Arc<Transaction>,
    /// It is one statement's own, and ends with it.
    pub autocommit: bool,
    /// The server rolled it back (deadlock).
    pub failed: bool,
    pub read_only: bool,
    /// Its snapshot has been read at, if only by the statement that is running.
    pub used: bool,
    /// Statements of it that have completed: what they saw binds the snapshot.
    pub seen_by_client: u64,
    /// A database it wrote to wants its commits on disk.
    pub sync: bool,
    pub savepoints: Vec<(String, Mark)>,
}

/// What a transaction was, for the one after it.
#[derive(Clone, Copy)]
struct Ended {
    isolation: ast::Isolation,
    read_only: bool,
}

impl Ended {
    fn of(open: &Open) -> Self {
        let isolation = match open.transaction.txn().isolation() {
            Isolation::ReadCommitted => ast::Isolation::ReadCommitted,
            Isolation::RepeatableRead => ast::Isolation::RepeatableRead,
        };
        Self { isolation, read_only: open.read_only }
    }
}

pub fn isolation_of(text: &str) -> ast::Isolation {
    match text {
        "READ-COMMITTED" => ast::Isolation::ReadCommitted,
        "READ-UNCOMMITTED" => ast::Isolation::ReadUncommitted,
        "SERIALIZABLE" => ast::Isolation::Serializable,
        _ => ast::Isolation::RepeatableRead,
    }
}

fn name_of(i: ast::Isolation) -> &'static str {
    match i {
        ast::Isolation::ReadUncommitted => "READ-UNCOMMITTED",
        ast::Isolation::ReadCommitted => "READ-COMMITTED",
        ast::Isolation::RepeatableRead => "REPEATABLE-READ",
        ast::Isolation::Serializable => "SERIALIZABLE",
    }
}

impl Session {
    pub(crate) fn in_transaction(&self) -> bool {
        self.transaction.as_ref().is_some_and(|t| !t.autocommit)
    }

    fn start(&mut self, autocommit: bool, read_only: Option<bool>) {
        let isolation = self.next_isolation.take().unwrap_or(self.settings.isolation);
        let read_only = read_only.or(self.next_read_only.take()).unwrap_or(self.settings.read_only);
        let isolation = match isolation {
            ast::Isolation::ReadUncommitted | ast::Isolation::ReadCommitted => Isolation::ReadCommitted,
            ast::Isolation::RepeatableRead | ast::Isolation::Serializable => Isolation::RepeatableRead,
        };
        let transaction = Arc::new(self.server.engine.begin(isolation));
        self.transaction =
            Some(Open { transaction, autocommit, failed: false, read_only, used: false, seen_by_client: 0, sync: false, savepoints: Vec::new() });
    }

    /// The transaction this statement runs in; one is started where there is none.
    pub(crate) fn current(&mut self) -> &mut Open {
        if self.transaction.is_none() {
            let autocommit = self.settings.autocommit;
            self.start(autocommit, None);
        }
        self.transaction.as_mut().expect("started above")
    }

    /// 1792 for a change in a read-only transaction, where it is of more than the session's own temporary tables.
    pub(crate) fn refuse_if_read_only<'t>(&mut self, changed: impl IntoIterator<Item = &'t TableRef>) -> Result<(), Fault> {
        if !self.current().read_only && self.global_read_lock.is_none() {
            return Ok(());
        }
        match changed.into_iter().any(|t| !t.options.temporary) {
            true if self.global_read_lock.is_some() => Err(locked_by_itself()),
            true => Err(read_only()),
            false => Ok(()),
        }
    }

    /// 1792 for a definition, of a temporary table too; once what was open has been committed, where the statement does that.
    pub(crate) fn refuse_definition_if_read_only(&self) -> Result<(), Fault> {
        let set = || self.next_read_only.unwrap_or(self.settings.read_only);
        if self.transaction.as_ref().map_or_else(set, |t| t.read_only) { Err(read_only()) } else { Ok(()) }
    }

    /// Ends a statement that changed data: commits if it stands alone; on failure takes back what it did.
    pub(crate) async fn finish_change<T>(&mut self, mark: Mark, done: Result<T, Fault>) -> Result<T, Fault> {
        let Some(open) = self.transaction.as_mut() else { return done };
        match done {
            Ok(value) => {
                open.used = true;
                open.seen_by_client += 1;
                if open.autocommit {
                    self.commit_open().await?;
                }
                Ok(value)
            }
            Err(fault) => {
                if matches!(fault, Fault::Deadlock | Fault::WriteConflict) || open.autocommit {
                    self.rollback_open()
                } else {
                    take_back(&open.transaction, mark)
                }
                Err(if fault == Fault::WriteConflict { Fault::Deadlock } else { fault })
            }
        }
    }

    /// Waits while another session holds the global read lock; 1223 where it is this one.
    pub(super) async fn pass_global_read_lock(&self) -> Result<Passing, Fault> {
        if self.global_read_lock.is_some() {
            return Err(locked_by_itself());
        }
        let statement = self.context.clone();
        let wait = Duration::from_secs(self.variables.int("lock_wait_timeout"));
        self.server.global_read_lock.pass(wait, || statement.as_ref().map_or(Ok(()), |s| s.check_interrupted())).await
    }

    pub(crate) async fn commit_open(&mut self) -> Result<(), Fault> {
        // Its own lock a session cannot meet: it changes nothing but temporary tables then.
        let mut passing = None;
        if self.passing.is_none() && self.global_read_lock.is_none() && self.transaction.as_ref().is_some_and(|t| t.transaction.has_written()) {
            match self.pass_global_read_lock().await {
                Ok(p) => passing = Some(p),
                Err(fault) => {
                    self.rollback_open();
                    return Err(fault);
                }
            }
        }
        let done = self.commit_passing().await;
        drop(passing);
        done
    }

    async fn commit_passing(&mut self) -> Result<(), Fault> {
        match self.transaction.take() {
            Some(open) if open.transaction.has_written() => {
                let durability = if open.sync { Durability::Sync } else { Durability::Async };
                let Some(transaction) = Arc::into_inner(open.transaction) else {
                    return Err(Fault::Internal { incident: "a commit while the transaction is being written to".into() });
                };
                let begun = self.server.env.clock.now();
                if transaction.is_spread() {
                    // Half an end is none: it goes on if the client goes away.
                    let ended = tokio::spawn(transaction.commit(durability));
                    ended.await.map_err(|e| Fault::OutcomeUnknown { reason: e.to_string() })??;
                } else if transaction.changes() < MANY_CHANGES {
                    transaction.commit(durability).await?;
                } else {
                    // Its end takes long: not where other connections wait for the thread.
                    let ended = self.server.query_runtime.spawn(async move { transaction.commit(durability).await });
                    ended.await.map_err(|e| Fault::OutcomeUnknown { reason: e.to_string() })??;
                }
                self.log_flush_micros += (self.server.env.clock.now() - begun).as_micros() as u64;
                self.server.metrics.commits.add(1);
                self.counters.commits += 1;
                Ok(())
            }
            // Dropped, it is rolled back.
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn rollback_open(&mut self) {
        if let Some(open) = self.transaction.take() {
            // A SELECT's own transaction ends here as well, and is not worth a look.
            if (!open.autocommit || open.sync) && open.transaction.has_written() {
                self.server.metrics.rollbacks.add(1);
                self.counters.rollbacks += 1;
            }
            aside_if(open.transaction.changes() >= MANY_CHANGES, || drop(open));
        }
    }

    pub(crate) async fn begin(&mut self, read_only: Option<bool>, consistent_snapshot: bool) -> Result<Outcome, Fault> {
        self.locked_tables.clear();
        self.start(false, read_only);
        let open = self.current();
        // At READ COMMITTED the clause means nothing, as in MySQL: each statement takes a snapshot of its own.
        if consistent_snapshot && open.transaction.txn().isolation() == Isolation::RepeatableRead {
            open.transaction.renew_snapshot();
            open.used = true;
            open.seen_by_client = 1;
        }
        Outcome::ok()
    }

    pub(crate) async fn commit(&mut self, chain: Option<bool>, release: Option<bool>) -> Result<Outcome, Fault> {
        let ended = self.transaction.as_ref().map(Ended::of);
        self.commit_open().await?;
        self.after_end(ended, chain, release);
        Outcome::ok()
    }

    pub(crate) async fn rollback(&mut self, chain: Option<bool>, release: Option<bool>) -> Result<Outcome, Fault> {
        let ended = self.transaction.as_ref().map(Ended::of);
        self.rollback_open();
        self.after_end(ended, chain, release);
        Outcome::ok()
    }

    /// What COMMIT and ROLLBACK are told to do then: AND CHAIN begins a transaction like the one that ended, RELEASE ends the connection.
    fn after_end(&mut self, ended: Option<Ended>, chain: Option<bool>, release: Option<bool>) {
        let otherwise = self.variables.text("completion_type");
        let (chain, release) = (chain.unwrap_or(otherwise == "CHAIN"), release.unwrap_or(otherwise == "RELEASE"));
        if release {
            self.released = true;
        } else if chain {
            self.next_isolation = ended.map(|e| e.isolation).or(self.next_isolation);
            self.start(false, ended.map(|e| e.read_only));
        }
    }

    pub(crate) fn savepoint(&mut self, name: &str) -> Result<Outcome, Fault> {
        if self.settings.autocommit && !self.in_transaction() {
            return Outcome::ok();
        }
        let open = self.current();
        open.savepoints.retain(|s| !s.0.eq_ignore_ascii_case(name));
        let mark = open.transaction.mark();
        open.savepoints.push((name.to_string(), mark));
        Outcome::ok()
    }

    pub(crate) fn rollback_to(&mut self, name: &str) -> Result<Outcome, Fault> {
        let open = self.transaction.as_mut().ok_or_else(|| no_savepoint(name))?;
        let at = open.savepoints.iter().position(|s| s.0.eq_ignore_ascii_case(name)).ok_or_else(|| no_savepoint(name))?;
        open.savepoints.truncate(at + 1);
        let mark = open.savepoints[at].1;
        take_back(&open.transaction, mark);
        Outcome::ok()
    }

    pub(crate) fn release_savepoint(&mut self, name: &str) -> Result<Outcome, Fault> {
        let open = self.transaction.as_mut().ok_or_else(|| no_savepoint(name))?;
        let at = open.savepoints.iter().position(|s| s.0.eq_ignore_ascii_case(name)).ok_or_else(|| no_savepoint(name))?;
        open.savepoints.truncate(at);
        Outcome::ok()
    }

    pub(crate) fn set_transaction(&mut self, scope: VarScope, isolation: Option<ast::Isolation>, read_only: Option<bool>) -> Result<Outcome, Fault> {
        if let Some(i) = isolation {
            self.assign("transaction_isolation", scope, Value::str(name_of(i)))?;
        }
        if let Some(r) = read_only {
            self.assign("transaction_read_only", scope, Value::Int(r as i64))?;
        }
        Outcome::ok()
    }

    /// Says so where a transaction is to have an isolation that it will not have exactly.
    pub(super) fn warn_of_isolation(&self, isolation: ast::Isolation) {
        match isolation {
            ast::Isolation::Serializable => self.warn(Fault::mysql(
                1235,
                "42000",
                "SERIALIZABLE is run as REPEATABLE READ (snapshot isolation): write skew is possible; lock what you rely on with SELECT … FOR UPDATE",
            )),
            ast::Isolation::ReadUncommitted => {
                self.note(Fault::mysql(1235, "42000", "READ UNCOMMITTED is run as READ COMMITTED: nobody sees what is not committed"))
            }
            ast::Isolation::ReadCommitted | ast::Isolation::RepeatableRead => (),
        }
    }

    /// LOCK TABLES: Weald's transactions need no table locks; the tables must exist, and what is not locked may not be used, as in MySQL.
    pub(crate) fn lock_tables(&mut self, tables: &[(ObjectName, Option<String>, TableLock)]) -> Result<Outcome, Fault> {
        let catalog = self.catalog();
        let mut locked = Vec::new();
        for (name, _, lock) in tables {
            let database = self.database_of(name.database.as_deref())?.to_string();
            if catalog.table(&database, &name.name).is_none() && catalog.view(&database, &name.name).is_none() {
                return Err(Fault::NoSuchTable { database, table: name.name.clone() });
            }
            self.require(weald_catalog::Privilege::LockTables, Some(&database))?;
            self.require_on_table(weald_catalog::Privilege::Select, &database, &name.name)?;
            if *lock == TableLock::Write && self.global_read_lock.is_some() {
                return Err(locked_by_itself());
            }
            locked.push((database.into(), name.name.as_str().into(), *lock == TableLock::Write));
        }
        self.warn(Fault::mysql(
            1235,
            "42000",
            "LOCK TABLES does not keep other sessions out: statements are isolated by snapshots and row locks; use a transaction",
        ));
        self.locked_tables = locked;
        Outcome::ok()
    }
}

/// The end of a transaction of so many changes takes some milliseconds of work.
const MANY_CHANGES: u64 = 5_000;

/// On a thread where other connections wait: those are served elsewhere meanwhile.
fn aside_if<T>(long: bool, work: impl FnOnce() -> T) -> T {
    if long { tokio::task::block_in_place(work) } else { work() }
}

/// Takes back what was changed since the mark.
pub(super) fn take_back(transaction: &Transaction, mark: Mark) {
    aside_if(transaction.changes() >= MANY_CHANGES, || transaction.rollback_to(mark))
}

fn locked_by_itself() -> Fault {
    Fault::mysql(1223, "HY000", "Can't execute the query because you have a conflicting read lock")
}

fn read_only() -> Fault {
    Fault::mysql(1792, "25006", "Cannot execute statement in a READ ONLY transaction.")
}

fn no_savepoint(name: &str) -> Fault {
    Fault::mysql(1305, "42000", format!("SAVEPOINT {name} does not exist"))
}
