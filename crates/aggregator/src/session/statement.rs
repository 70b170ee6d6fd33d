//! The running statement of a session: the facts it reads, its warnings, its time and memory, and what it leaves behind.
//!
//! Owns:     the context of the running statement, from [`Session::begin_statement`] to its end.
//! Promises: every statement reads one state of the session's variables; what it counted and warned of is the session's when it is over, whatever came of it.
//! Never:    knows what the statement says: `run` does.

use super::{Outcome, Session};
use crate::metrics::Kind;
use crate::plan_cache::Execution;
use crate::slow_log;
use crate::variables::Values;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use weald_catalog::Access;
use weald_expr::StatementContext;
use weald_expr::context::{Cost, SessionFacts, Warnings};
use weald_expr::interrupt::Interrupt;
use weald_types::memory::Budget;
use weald_types::{Fault, SqlMode, Warning, WarningLevel};

/// How many rows a statement that changes data names: see [`StatementContext::single_row`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    One,
    Many,
}

/// What statements read of the session, put together once and kept while it holds.
#[derive(Debug)]
pub(crate) struct Facts {
    pub session: Arc<SessionFacts>,
    /// SET timestamp = …
    pub fixed_now: Option<i64>,
    pub warnings_kept: usize,
    pub without_notes: bool,
    pub lock_wait: Duration,
    /// What a statement may hold, in bytes.
    pub memory: u64,
    /// Statements that take longer are slow.
    pub slow_micros: i64,
    /// What a SELECT may take.
    pub most_time: Option<Duration>,
    /// What it was made of.
    user: Arc<Access>,
    variables: Values,
}

/// What a session has done since it began, or since FLUSH STATUS.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    statements: [u64; Kind::ALL.len()],
    slow: u64,
    rows_sent: u64,
    pub commits: u64,
    pub rollbacks: u64,
}

impl Counters {
    /// Status variables that are the session's own, for [`super::Session::session_status`].
    pub fn of_session(&self) -> Vec<(&'static str, u64)> {
        // The statement that asks is one of them.
        let questions = self.statements.iter().sum::<u64>() + 1;
        let mut all = vec![
            ("Questions", questions),
            ("Slow_queries", self.slow),
            ("Rows_sent", self.rows_sent),
            ("Handler_commit", self.commits),
            ("Handler_rollback", self.rollbacks),
        ];
        all.extend(Kind::ALL.iter().filter_map(|k| Some((k.command()?, self.statements[*k as usize]))));
        all
    }
}

/// Of a statement's text, in PROCESSLIST.
const PROCESS_INFO_BYTES: usize = 64 << 10;

impl Session {
    /// Statement-wide facts are taken here, once.
    pub(crate) fn begin_statement(&mut self, text: &str) {
        self.shared.begin();
        self.changes.clear();
        self.touched = false;
        self.counted = None;
        self.refresh_user();
        self.kind = Kind::Other;
        self.long_text = text.len() >= super::LONG_TEXT;
        let facts = self.facts();
        let now = self.server.now_micros();
        self.began_micros = now;
        self.context = Some(Arc::new(self.statement_context(facts.fixed_now.unwrap_or(now))));
        let mut p = self.shared.process.lock();
        p.command = "Query".into();
        p.since_micros = now;
        p.state = "executing".into();
        let shown = text.floor_char_boundary(PROCESS_INFO_BYTES);
        let info = p.info.get_or_insert_default();
        info.clear();
        info.push_str(&text[..shown]);
    }

    /// The session's facts as they are now: kept until a variable, the database or the user is another.
    pub(crate) fn facts(&mut self) -> Arc<Facts> {
        let same_database = |f: &Facts| match (&f.session.database, &self.database) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if let Some(f) = &self.facts
            && f.variables.is_same(&self.variables)
            && Arc::ptr_eq(&f.user, &self.user)
            && same_database(f)
        {
            return f.clone();
        }
        let v = &self.variables;
        let fixed = v.double("timestamp");
        let session = SessionFacts {
            sql_mode: self.settings.sql_mode,
            time_zone: self.settings.time_zone,
            wall_clock_micros: self.server.wall_clock,
            pause,
            aside,
            connection_id: self.shared.id,
            database: self.database.clone(),
            user: self.login.clone(),
            current_user: format!("{}@{}", self.user.user, self.user.host).into(),
            version: self.server.version.clone(),
            collation_connection: self.settings.collation_connection,
            div_precision_increment: v.int("div_precision_increment") as u8,
            group_concat_max_len: v.int("group_concat_max_len"),
            default_week_format: v.int("default_week_format") as u8,
            max_allowed_packet: v.int("max_allowed_packet"),
            encryption_mode: self.settings.encryption_mode,
            user_variables: self.user_variables.clone(),
            server: self.server.shared_state.clone(),
            interrupted: self.shared.interrupted.clone(),
        };
        let facts = Arc::new(Facts {
            session: Arc::new(session),
            fixed_now: (fixed > 0.0).then_some((fixed * 1e6) as i64),
            warnings_kept: v.int("max_error_count") as usize,
            without_notes: !v.on("sql_notes"),
            lock_wait: Duration::from_secs(v.int("lock_wait_timeout")),
            memory: match v.int("maximum_query_memory") {
                0 => self.server.query_memory,
                mb => mb.saturating_mul(1 << 20),
            },
            slow_micros: (v.double("long_query_time") * 1e6) as i64,
            most_time: Some(v.int("max_execution_time")).filter(|ms| *ms > 0).map(Duration::from_millis),
            user: self.user.clone(),
            variables: self.variables.clone(),
        });
        self.facts = Some(facts.clone());
        facts
    }

    fn statement_context(&mut self, now_micros: i64) -> StatementContext {
        let facts = self.facts();
        // The next of a sequence that only this session draws from (splitmix64).
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        StatementContext {
            session: facts.session.clone(),
            now_micros,
            last_insert_id: self.last_insert_id,
            row_count: self.row_count,
            found_rows: self.found_rows,
            modifies_data: false,
            ignore_errors: false,
            single_row: true,
            warnings: Mutex::new(Warnings { kept: Vec::new(), total: 0, limit: facts.warnings_kept, without_notes: facts.without_notes }),
            warned_constants: Mutex::default(),
            set_last_insert_id: Mutex::new(None),
            random_seed: self.random,
            random_state: Mutex::default(),
            memory: Budget::new(self.server.engine.node.memory.clone(), facts.memory),
            cost: Cost::default(),
            reads_nothing: AtomicBool::new(false),
        }
    }

    /// The running statement's facts.
    pub(crate) fn statement(&self) -> Arc<StatementContext> {
        self.context.clone().expect("set by begin_statement, which every way in calls")
    }

    /// The running statement's context once more, with the warnings that it has had already.
    fn further_context(&mut self) -> StatementContext {
        let so_far = self.statement();
        let mut c = self.statement_context(so_far.now_micros);
        c.memory.take_over(&so_far.memory);
        std::mem::swap(c.warnings.get_mut(), &mut *so_far.warnings.lock());
        c
    }

    /// As [`Session::changing`], under another sql_mode.
    pub(crate) fn changing_under(&mut self, mode: SqlMode) -> Arc<StatementContext> {
        let mut c = self.further_context();
        c.modifies_data = true;
        c.session = Arc::new(SessionFacts { sql_mode: mode, ..SessionFacts::clone(&c.session) });
        let c = Arc::new(c);
        self.context = Some(c.clone());
        c
    }

    /// The same facts for a statement that changes data.
    pub(crate) fn changing(&mut self, ignore: bool, rows: Rows) -> Arc<StatementContext> {
        let mut c = self.further_context();
        c.modifies_data = true;
        c.ignore_errors = ignore;
        c.single_row = rows == Rows::One;
        let c = Arc::new(c);
        self.context = Some(c.clone());
        c
    }

    /// Keeps warnings and counters, whatever came of the statement. For rows, [`Session::end_of_rows`] does it again at their end.
    pub(crate) fn after_statement(&mut self, done: Result<Outcome, Fault>) -> Result<Outcome, Fault> {
        if let Ok(Outcome::Ok(d)) = &done {
            self.row_count = d.affected as i64;
        }
        if done.is_err() {
            self.row_count = -1;
        }
        if let Ok(Outcome::Rows { .. }) = &done {
            self.row_count = -1;
        }
        // Rows and files are still to come: the statement goes on.
        if !matches!(done, Ok(Outcome::Rows { .. } | Outcome::SendFile { .. })) {
            self.close_context(0, done.as_ref().err());
            self.end_read();
        }
        done
    }

    /// The rows have all been sent, or failed on the way.
    pub fn end_of_rows(&mut self, sent: u64, fault: Option<&Fault>) {
        if !self.diagnostic {
            self.found_rows = self.counted.take().map_or(sent, |n| n.load(Ordering::Relaxed));
        }
        self.server.metrics.rows_sent.add(sent);
        self.counters.rows_sent += sent;
        self.close_context(sent, fault);
        self.end_read();
    }

    /// A statement is over. One that only read (SELECT … INTO @x, SET @x = (SELECT …), or what failed) ends its own transaction; in a longer one it has
    /// been at the snapshot.
    fn end_read(&mut self) {
        match &mut self.transaction {
            Some(t) if t.autocommit => self.rollback_open(),
            Some(t) if t.used => t.seen_by_client += 1,
            Some(_) | None => (),
        }
    }

    pub(super) fn close_context(&mut self, rows_sent: u64, fault: Option<&Fault>) {
        let Some(c) = self.context.take() else { return };
        self.deadline = None;
        self.passing = None;
        self.count_time(&c, rows_sent, fault.is_some());
        if let Some(id) = *c.set_last_insert_id.lock() {
            self.last_insert_id = id;
        }
        let mut w = c.warnings.lock();
        // SHOW WARNINGS and the like look at the last statement's warnings: they leave them as they are.
        self.last_was_diagnostic = std::mem::take(&mut self.diagnostic);
        if !self.last_was_diagnostic {
            self.warnings = std::mem::take(&mut w.kept);
            self.warning_total = w.total;
            if let Some(f) = fault {
                self.warnings.push(Warning { level: WarningLevel::Error, fault: f.clone() });
                self.warning_total += 1;
            }
        }
        let mut p = self.shared.process.lock();
        p.command = "Sleep".into();
        p.state = "".into();
    }

    fn count_time(&mut self, c: &StatementContext, rows_sent: u64, failed: bool) {
        let ended_micros = self.server.now_micros();
        let took = (ended_micros - self.began_micros).max(0);
        self.server.metrics.statement(self.kind, took as u64);
        self.counters.statements[self.kind as usize] += 1;
        let (log_flush_micros, stream_micros) = (std::mem::take(&mut self.log_flush_micros), std::mem::take(&mut self.stream_micros));
        if let Some(plan) = self.plan_used.take() {
            plan.used.count(&Execution {
                failed,
                ended_micros,
                rows: rows_sent + self.row_count.max(0) as u64,
                execution_micros: (took as u64).saturating_sub(stream_micros),
                log_flush_micros,
                row_lock_micros: c.cost.lock_micros.load(Ordering::Relaxed),
                stream_micros,
                memory_bytes: c.memory.used(),
            });
        }
        if took <= self.facts().slow_micros {
            return;
        }
        self.counters.slow += 1;
        self.server.counters.slow_queries.fetch_add(1, Ordering::Relaxed);
        let Some(logs) = self.server.logs.get().filter(|_| self.server.variables.values().on("slow_query_log")) else { return };
        let p = self.shared.process.lock();
        let entry = slow_log::Entry {
            ended_micros,
            began_micros: self.began_micros,
            user: &p.user,
            account: &self.user.user,
            host: &p.host,
            connection: self.shared.id,
            lock_micros: c.cost.lock_micros.load(Ordering::Relaxed),
            rows_sent,
            rows_examined: c.cost.rows_examined.load(Ordering::Relaxed),
            database: self.database.as_deref(),
            text: p.info.as_deref().unwrap_or_default(),
        };
        (logs.slow)(entry.text());
    }

    /// For rows that are kept beyond their statement.
    pub fn budget(&mut self) -> Budget {
        Budget::new(self.server.engine.node.memory.clone(), self.facts().memory)
    }

    /// max_execution_time: a SELECT is interrupted when it has run for so long. `hint`: the statement's own limit, in milliseconds; 0 for none.
    pub(crate) fn limit_time(&mut self, hint: Option<u64>) -> Result<(), Fault> {
        let limit = match hint {
            Some(ms) => Some(Duration::from_millis(ms)).filter(|l| !l.is_zero()),
            None => self.facts().most_time,
        };
        let Some(limit) = limit else { return Ok(()) };
        let deadline = self.server.deadlines.after(limit, self.shared.interrupted.clone());
        self.deadline = Some(deadline.map_err(|e| Fault::mysql(1135, "HY000", format!("Can't create a new thread ({e})")))?);
        Ok(())
    }

    pub fn warning_count(&self) -> u16 {
        if self.last_was_diagnostic { 0 } else { self.warning_total.min(u16::MAX as u64) as u16 }
    }

    pub(crate) fn warn(&self, fault: Fault) {
        self.statement().warn(WarningLevel::Warning, fault)
    }
    /// What binding had to say.
    pub(crate) fn warn_of(&self, warnings: &[Warning]) {
        for w in warnings {
            self.statement().warn(w.level, w.fault.clone());
        }
    }
    pub(crate) fn note(&self, fault: Fault) {
        self.statement().warn(WarningLevel::Note, fault)
    }
}

/// On a worker thread of the runtime, whose other work another thread takes over.
pub(crate) fn pause(d: Duration, interrupted: &Interrupt) {
    aside(&mut || {
        tokio::runtime::Handle::current().block_on(async {
            // Which of the two it was, the statement sees for itself.
            let _ = tokio::time::timeout(d, interrupted.raised()).await;
        })
    })
}

pub(crate) fn aside(work: &mut dyn FnMut()) {
    tokio::task::block_in_place(work)
}
