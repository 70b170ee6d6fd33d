//! What an evaluation may know besides its operands.
//!
//! Owns:     a statement's warnings and its session's facts, fixed when the statement started.
//! Promises: NOW() is one instant for the whole statement; nothing here blocks.
//! Never:    reads a clock or a table.

use crate::interrupt::Interrupt;
use crate::sorted_list::SortedList;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use weald_types::memory::{Budget, NodeMemory};
use weald_types::{Collation, ColumnId, Fault, SqlMode, SqlType, Value, Warning, WarningLevel};

/// One row under evaluation.
pub trait Row {
    /// The stored value of column `id`: ENUM and SET as their numbers, TIMESTAMP in UTC.
    fn column(&self, id: ColumnId) -> Value;
    /// The same without a copy, where the row holds values.
    fn column_ref(&self, _: ColumnId) -> Option<&Value> {
        None
    }
}

/// No columns at all: for constants.
pub struct NoRow;
impl Row for NoRow {
    fn column(&self, _: ColumnId) -> Value {
        Value::Null
    }
}
impl Row for [Value] {
    fn column(&self, id: ColumnId) -> Value {
        self[id.raw() as usize].clone()
    }
    fn column_ref(&self, id: ColumnId) -> Option<&Value> {
        self.get(id.raw() as usize)
    }
}

/// Facts of a session, the same for its statements until it changes one of them.
#[derive(Clone, Debug)]
pub struct SessionFacts {
    pub sql_mode: SqlMode,
    pub time_zone: TimeZone,
    /// Source of SYSDATE() and UUID(): called, not stored.
    pub wall_clock_micros: fn() -> i64,
    /// SLEEP() and GET_LOCK() wait with this, until the time has passed or the statement must stop; the thread's other work is done elsewhere meanwhile.
    pub pause: fn(std::time::Duration, &Interrupt),
    /// Runs, once and here, work that may take long; the thread's other work is done elsewhere meanwhile.
    pub aside: fn(&mut dyn FnMut()),
    pub connection_id: u64,
    pub database: Option<Arc<str>>,
    /// USER(): 'name@host' as the client came; CURRENT_USER(): the account it matched.
    pub user: Arc<str>,
    pub current_user: Arc<str>,
    pub version: Arc<str>,
    pub collation_connection: Collation,
    pub div_precision_increment: u8,
    pub group_concat_max_len: u64,
    /// The mode of WEEK() where none is given.
    pub default_week_format: u8,
    pub max_allowed_packet: u64,
    /// `block_encryption_mode`
    pub encryption_mode: crate::function::EncryptionMode,
    pub user_variables: Arc<UserVariables>,
    pub server: Arc<crate::server::ServerState>,
    /// Raised when the statement must stop (KILL, time-out): looked at by everything that loops, awaited by what waits.
    pub interrupted: Arc<Interrupt>,
}

/// Facts of one statement. Made by the aggregator when the statement starts; shared by all threads that run it.
///
/// Those of its session are read through it: `statement.sql_mode`.
#[derive(Debug)]
pub struct StatementContext {
    pub session: Arc<SessionFacts>,
    /// NOW(), microseconds since 1970 UTC.
    pub now_micros: i64,
    pub last_insert_id: u64,
    pub row_count: i64,
    pub found_rows: u64,
    /// True in INSERT, UPDATE, DELETE, LOAD DATA: there strict mode turns some warnings into errors.
    pub modifies_data: bool,
    /// INSERT IGNORE and the like: errors about values become warnings.
    pub ignore_errors: bool,
    /// An INSERT of one row given by VALUES: a NULL where none may be is an error there whatever the mode; elsewhere only strict mode makes it one.
    pub single_row: bool,
    pub warnings: Mutex<Warnings>,
    /// Constants of comparisons that were warned of: once in a statement, not once for each row.
    pub warned_constants: Mutex<HashSet<Box<str>>>,
    /// Set by LAST_INSERT_ID(expr).
    pub set_last_insert_id: Mutex<Option<u64>>,
    pub random_seed: u64,
    /// System variables, for `@@name` in expressions, are bound to literals by the binder and do not appear here.
    pub random_state: Mutex<HashMap<u32, (u32, u32)>>,
    /// What it may hold in rows and the like: everything that keeps rows takes from it.
    pub memory: Budget,
    pub cost: Cost,
    /// It reads nothing and makes one row: what interrupts it while it sleeps only ends its SLEEP, which gives 1.
    pub reads_nothing: AtomicBool,
}

impl std::ops::Deref for StatementContext {
    type Target = SessionFacts;
    fn deref(&self) -> &SessionFacts {
        &self.session
    }
}

/// What a statement has cost so far, for the slow-query log. Added to in batches by all threads that run it.
#[derive(Debug, Default)]
pub struct Cost {
    /// Stored rows that were looked at.
    pub rows_examined: AtomicU64,
    /// Microseconds spent waiting for rows that others held.
    pub lock_micros: AtomicU64,
}

/// `@name`, in lower case: its value and type. They outlive statements, so what they hold is counted apart from any.
#[derive(Debug)]
pub struct UserVariables {
    set: Mutex<HashMap<Arc<str>, Variable>>,
    memory: Budget,
}

#[derive(Debug)]
struct Variable {
    value: Value,
    ty: SqlType,
    /// By whoever has this set, not brought from another node: see [`UserVariables::bring`].
    assigned: bool,
}

/// About what a variable takes besides its value.
const VARIABLE_BYTES: u64 = 100;

impl UserVariables {
    pub fn new(memory: Budget) -> Self {
        Self { set: Mutex::default(), memory }
    }
    pub fn get(&self, name: &str) -> Option<(Value, SqlType)> {
        self.set.lock().get(name).map(|v| (v.value.clone(), v.ty.clone()))
    }
    /// No variables, counted where these are: for a statement that brings its own.
    pub(crate) fn beside(&self) -> Self {
        Self::new(self.memory.beside())
    }
    /// [`Fault::OutOfMemory`] leaves it as it was.
    pub fn set(&self, name: Arc<str>, value: Value, ty: SqlType) -> Result<(), Fault> {
        self.put(name, Variable { value, ty, assigned: true })
    }
    /// As it is in the session, which is on another node.
    pub(crate) fn bring(&self, name: Arc<str>, value: Value, ty: SqlType) -> Result<(), Fault> {
        self.put(name, Variable { value, ty, assigned: false })
    }
    /// Those that were set since they were asked for last.
    pub(crate) fn take_assigned(&self) -> Vec<(Arc<str>, Value, SqlType)> {
        let mut set = self.set.lock();
        let assigned = set.iter_mut().filter_map(|(name, v)| std::mem::take(&mut v.assigned).then(|| (name.clone(), v.value.clone(), v.ty.clone())));
        assigned.collect()
    }
    fn put(&self, name: Arc<str>, new: Variable) -> Result<(), Fault> {
        let mut set = self.set.lock();
        let before = set.get(&name).map_or(0, |v| VARIABLE_BYTES + name.len() as u64 + crate::aggregate::heap_bytes(&v.value));
        let after = VARIABLE_BYTES + name.len() as u64 + crate::aggregate::heap_bytes(&new.value);
        self.memory.give(before);
        if let Err(refused) = self.memory.take(after) {
            self.memory.give(after);
            // It was there before, so it may be there again.
            let _ = self.memory.take(before);
            return Err(refused);
        }
        set.insert(name, new);
        Ok(())
    }
}

/// Session time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeZone {
    /** seconds east of UTC */
    Fixed(i32),
    Named(chrono_tz::Tz),
}

/// `SYSTEM`, `+05:30`, `Europe/Vienna`.
pub fn parse_time_zone(name: &str) -> Option<TimeZone> {
    crate::time_zone::parse(name)
}

/// A statement's warnings: the first `limit` are kept (max_error_count), all are counted.
#[derive(Debug, Default)]
pub struct Warnings {
    pub kept: Vec<Warning>,
    pub total: u64,
    pub limit: usize,
    /// sql_notes is off: notes are neither kept nor counted.
    pub without_notes: bool,
}

impl StatementContext {
    /// Surroundings of no session, for folding constants: what depends on a session is not folded.
    pub fn for_folding(ctx: &crate::function::BindContext) -> Self {
        let session = SessionFacts {
            sql_mode: ctx.sql_mode,
            time_zone: TimeZone::Fixed(0),
            wall_clock_micros: || 0,
            pause: |_, _| (),
            aside: |work| work(),
            connection_id: 0,
            database: None,
            user: "".into(),
            current_user: "".into(),
            version: "".into(),
            collation_connection: ctx.collation_connection,
            div_precision_increment: ctx.div_precision_increment,
            group_concat_max_len: ctx.group_concat_max_len,
            default_week_format: 0,
            max_allowed_packet: 1 << 26,
            encryption_mode: Default::default(),
            user_variables: Arc::new(UserVariables::new(Budget::new(NodeMemory::unlimited(), u64::MAX))),
            server: Arc::default(),
            interrupted: Arc::default(),
        };
        Self {
            session: Arc::new(session),
            now_micros: 0,
            last_insert_id: 0,
            row_count: 0,
            found_rows: 0,
            modifies_data: false,
            ignore_errors: false,
            single_row: true,
            warnings: Mutex::new(Warnings { limit: 1, ..Warnings::default() }),
            warned_constants: Mutex::default(),
            set_last_insert_id: Mutex::new(None),
            random_seed: 0,
            random_state: Mutex::default(),
            memory: Budget::new(NodeMemory::unlimited(), u64::MAX),
            cost: Cost::default(),
            reads_nothing: AtomicBool::new(false),
        }
    }

    pub fn warn(&self, level: WarningLevel, fault: Fault) {
        self.warn_with(level, || fault)
    }
    /// The same where most warnings may only be counted: their texts are not made.
    pub fn warn_with(&self, level: WarningLevel, fault: impl FnOnce() -> Fault) {
        let mut w = self.warnings.lock();
        if w.without_notes && level == WarningLevel::Note {
            return;
        }
        w.total += 1;
        if w.kept.len() < w.limit {
            w.kept.push(Warning { level, fault: fault() });
        }
    }
    /// Runs `work`, aside where it is `long`: see [`SessionFacts::aside`].
    pub fn aside_if<T>(&self, long: bool, work: impl FnOnce() -> T) -> T {
        // Beyond so many at a time it is done in its place: a thread for each of them would be too many.
        let Some(_place) = long.then(|| self.server.aside.take()).flatten() else { return work() };
        let (mut work, mut done) = (Some(work), None);
        (self.aside)(&mut || done = work.take().map(|work| work()));
        done.expect("`aside` runs what it is given")
    }
    /// Runs `f`, and forgets what it warned of: for who asks an expression only to make an estimate.
    pub fn unheard<T>(&self, f: impl FnOnce() -> T) -> T {
        let (total, kept) = {
            let w = self.warnings.lock();
            (w.total, w.kept.len())
        };
        let constants = self.warned_constants.lock().clone();
        let out = f();
        let mut w = self.warnings.lock();
        w.total = total;
        w.kept.truncate(kept);
        *self.warned_constants.lock() = constants;
        out
    }
    /// [`Fault::Interrupted`], [`Fault::QueryTimeout`] or [`Fault::OutOfMemory`] once the statement must stop. Cheap: call it in every loop over rows.
    pub fn check_interrupted(&self) -> Result<(), Fault> {
        self.interrupted.check()
    }
}

/// A subquery's answer for the row under evaluation; the executor computes it before it evaluates the expression.
#[derive(Clone, Debug)]
pub enum SubqueryResult {
    /// At most one row is kept for Scalar; more than one is [`Fault::SubqueryRows`] when it is read.
    Rows(Arc<Vec<Vec<Value>>>),
    /// For [`crate::SubqueryKind::In`], where many rows are asked for the same answer.
    List(Arc<SortedList>),
    Exists(bool),
}

/// All that [`crate::eval`] needs besides the expression and the row.
#[derive(Clone, Copy)]
pub struct EvalContext<'a> {
    pub statement: &'a StatementContext,
    pub params: &'a [Value],
    /// `Expr::Subquery { index }` reads `subqueries[index]`.
    pub subqueries: &'a [Option<SubqueryResult>],
}
