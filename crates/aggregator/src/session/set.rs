//! SET, USE's variables, KILL, FLUSH and DO.
//!
//! Owns:     nothing; changes the session's or the server's variables.
//! Promises: SET of several variables changes all or none.
//! Never:    accepts a variable that has no effect without a warning.

use super::statement::Counters;
use super::transaction::isolation_of;
use super::{Change, Outcome, Session, Settings};
use crate::cluster::{Asked, Kill, no_thread};
use crate::variables::{self, Effect, Scope, VARIABLES};
use std::sync::atomic::Ordering;
use weald_catalog::{Command, Privilege};
use weald_expr::{InFlight, NoRow, eval_part};
use weald_plan::bind::{self, BoundExpr};
use weald_sql::ast::{self, SetItem, VarScope};
use weald_types::{Charset, Collation, Fault, SqlType, Value};
use weald_wire::constants::refresh;

/// What one item of a SET comes to, once everything that could be wrong with it has been looked at.
enum Assignment {
    User {
        name: String,
        value: Value,
        ty: SqlType,
    },
    System {
        at: usize,
        scope: VarScope,
        value: Value,
    },
    Charsets {
        charset: String,
        collation: Collation,
    },
    /// A fact, set to what it is.
    Nothing,
}

impl Session {
    pub(crate) async fn set(&mut self, items: &[SetItem], text: &str, params: &[Value]) -> Result<Outcome, Fault> {
        // All values first: none of them sees what another item sets, and what is wrong with one leaves all variables alone.
        let mut assignments = Vec::with_capacity(items.len());
        let statement = self.statement();
        let mut held = InFlight::new(&statement);
        for item in items {
            let a = self.assignment(item, text, params).await?;
            if let Assignment::User { value, .. } = &a {
                held.hold(value)?;
            }
            assignments.push(a);
        }
        // What becomes a variable is counted as one.
        drop(held);
        for a in &assignments {
            if let Assignment::System { at, scope: VarScope::Persist | VarScope::PersistOnly, value } = a {
                let v = &VARIABLES[*at];
                self.server.propose(Command::SetVariable { name: v.name.into(), value: Some(v.show(value).into()) }).await?;
            }
        }
        let autocommit = self.settings.autocommit;
        for a in assignments {
            self.carry_out(a)?;
        }
        self.settings = Settings::of(&self.variables);
        if !autocommit && self.settings.autocommit {
            self.commit_open().await?;
        }
        Outcome::ok()
    }

    async fn assignment(&mut self, item: &SetItem, text: &str, params: &[Value]) -> Result<Assignment, Fault> {
        Ok(match item {
            SetItem::User { name, value } => {
                let (value, ty) = self.constant(value, text, params).await?;
                Assignment::User { name: name.to_lowercase(), value, ty }
            }
            SetItem::System { scope, name, value } => {
                let at = variables::find(name).ok_or_else(|| variables::unknown(name))?;
                let v = &VARIABLES[at];
                let value = match value {
                    Some(ast::Expr::Column { table: None, database: None, name, .. }) => Value::str(name),
                    Some(e) => self.constant(e, text, params).await?.0,
                    // DEFAULT: a session's is the server's, the server's is the built-in one.
                    None if *scope == VarScope::Global || v.scope == Scope::Global => self.server.default_of(at),
                    None => self.server.variables.values().at(at).clone(),
                };
                self.checked(at, *scope, value)?
            }
            SetItem::Names { charset, collation } => {
                let charset = charset.as_deref().unwrap_or("utf8mb4").to_ascii_lowercase();
                let charset = if charset == "utf8" { "utf8mb3".to_string() } else { charset };
                let default = Collation::default_of(&charset).ok_or_else(|| Charset::unknown(&charset))?;
                let collation = match collation {
                    None => default,
                    Some(name) => {
                        let c = Collation::by_name(name).ok_or_else(|| Fault::mysql(1273, "HY000", format!("Unknown collation: '{name}'")))?;
                        if c.charset() != default.charset() {
                            return Err(Fault::mysql(
                                1253,
                                "42000",
                                format!("COLLATION '{}' is not valid for CHARACTER SET '{}'", c.name(), default.charset()),
                            ));
                        }
                        c
                    }
                };
                Assignment::Charsets { charset, collation }
            }
            SetItem::CharacterSet(charset) => {
                let charset = charset.as_deref().unwrap_or("utf8mb4").to_ascii_lowercase();
                Collation::default_of(&charset).ok_or_else(|| Charset::unknown(&charset))?;
                let collation = Collation::by_name(self.variables.text("collation_database")).unwrap_or(Collation::UTF8MB4_GENERAL_CI);
                Assignment::Charsets { charset, collation }
            }
        })
    }

    /// Nothing can be wrong with it any more; but for a user variable the memory may be missing.
    fn carry_out(&mut self, a: Assignment) -> Result<(), Fault> {
        match a {
            Assignment::User { name, value, ty } => self.user_variables.set(name.into(), value, ty)?,
            Assignment::System { at, scope, value } => self.put(at, scope, value),
            Assignment::Charsets { charset, collation } => self.set_charsets(&charset, collation),
            Assignment::Nothing => (),
        }
        Ok(())
    }

    fn set_charsets(&mut self, charset: &str, collation: Collation) {
        self.variables.set("character_set_client", Value::str(charset));
        self.variables.set("character_set_results", Value::str(charset));
        self.variables.set("character_set_connection", Value::str(collation.charset()));
        self.variables.set("collation_connection", Value::str(collation.name()));
        self.settings = Settings::of(&self.variables);
        for name in ["character_set_client", "character_set_connection", "character_set_results"] {
            self.track(name);
        }
    }

    /// Files a variable's new value for the OK packet, if the client asked to hear of it.
    fn track(&mut self, name: &'static str) {
        if !self.variables.text("session_track_system_variables").split(',').any(|n| n.trim().eq_ignore_ascii_case(name) || n.trim() == "*") {
            return;
        }
        if let Some(at) = variables::find(name) {
            let shown = VARIABLES[at].show(self.variables.at(at));
            self.changes.push(Change::Variable(VARIABLES[at].name, shown));
        }
    }

    /// SET of one system variable, by another statement. Not for PERSIST.
    pub(crate) fn assign(&mut self, name: &'static str, scope: VarScope, value: Value) -> Result<(), Fault> {
        let at = variables::find(name).ok_or_else(|| variables::unknown(name))?;
        let a = self.checked(at, scope, value)?;
        self.carry_out(a)
    }

    /// Whether a system variable may be set to this by this session, and what that comes to.
    fn checked(&self, at: usize, scope: VarScope, value: Value) -> Result<Assignment, Fault> {
        let v = &VARIABLES[at];
        if v.effect == Effect::ReadOnly {
            // Setting a fact to what it is does no harm, and mysqldump does it.
            let (wanted, _) = v.check(&value).map_err(|_| read_only(v.name))?;
            if self.server.variables.values().at(at) == &wanted {
                return Ok(Assignment::Nothing);
            }
            return Err(read_only(v.name));
        }
        let global = is_global(scope);
        match (global, v.scope) {
            (false, Scope::Global) => {
                return Err(Fault::mysql(1229, "HY000", format!("Variable '{}' is a GLOBAL variable and should be set with SET GLOBAL", v.name)));
            }
            (true, Scope::Session) => {
                return Err(Fault::mysql(1228, "HY000", format!("Variable '{}' is a SESSION variable and can't be used with SET GLOBAL", v.name)));
            }
            _ => (),
        }
        if global {
            self.require(Privilege::Super, None)?;
        }
        let of_transactions = is_isolation(v.name) || is_read_only(v.name);
        if scope == VarScope::Next && of_transactions && self.in_transaction() {
            return Err(Fault::mysql(1568, "25001", "Transaction characteristics can't be changed while a transaction is in progress"));
        }
        let (value, clamped) = v.check(&value)?;
        if is_isolation(v.name) {
            self.warn_of_isolation(isolation_of(&v.show(&value)));
        }
        if clamped {
            self.warn(Fault::mysql(1292, "22007", format!("Truncated incorrect {} value: '{}'", v.name, v.show(&value))));
        }
        if v.effect == Effect::Inert && value != v.default_value() {
            self.warn(Fault::mysql(1235, "42000", format!("'{}' has no effect here", v.name)));
        }
        Ok(Assignment::System { at, scope, value })
    }

    fn put(&mut self, at: usize, scope: VarScope, value: Value) {
        if is_global(scope) {
            if scope != VarScope::PersistOnly {
                self.server.set_global(at, value);
            }
            return;
        }
        let v = &VARIABLES[at];
        if let Some((name, follows)) = variables::follower(v.name, &value) {
            self.variables.set(name, follows);
        }
        match v.name {
            "last_insert_id" | "identity" => {
                if let Value::UInt(n) = value {
                    self.last_insert_id = n
                }
            }
            // The next transaction's only; what is set for the session is the next one's too.
            name if is_isolation(name) && scope == VarScope::Next => self.next_isolation = Some(isolation_of(&v.show(&value))),
            name if is_read_only(name) && scope == VarScope::Next => self.next_read_only = Some(value == Value::Int(1)),
            // Two names for one thing.
            "tx_isolation" | "transaction_isolation" => {
                self.next_isolation = None;
                self.variables.set("transaction_isolation", value.clone());
                self.variables.set("tx_isolation", value);
            }
            "tx_read_only" | "transaction_read_only" => {
                self.next_read_only = None;
                self.variables.set("transaction_read_only", value.clone());
                self.variables.set("tx_read_only", value);
            }
            "lock_wait_timeout" | "innodb_lock_wait_timeout" => {
                self.variables.set("lock_wait_timeout", value.clone());
                self.variables.set("innodb_lock_wait_timeout", value);
            }
            _ => self.variables.put(at, value),
        }
        self.settings = Settings::of(&self.variables);
        self.track(v.name);
    }

    /// An expression without columns; subqueries are run.
    pub(crate) async fn constant(&mut self, e: &ast::Expr, text: &str, params: &[Value]) -> Result<(Value, SqlType), Fault> {
        let types: Vec<Option<SqlType>> = params.iter().map(|v| Some(super::prepared::type_of(v))).collect();
        let BoundExpr { expr: bound, subqueries, needs } = self.bind(text, &types, |env| bind::bind_expr(env, e))?;
        self.check(&needs)?;
        let ty = bound.ty().clone();
        if subqueries.is_empty() {
            let c = self.statement();
            c.reads_nothing.store(true, Ordering::Relaxed);
            // A user variable keeps all decimals of a quotient.
            let value = eval_part(&bound, &NoRow, &weald_expr::EvalContext { statement: &c, params, subqueries: &[] })?;
            return Ok((value, ty));
        }
        // With a subquery it is a query: SELECT <expression>.
        let rows = self.rows_of(&[bound], subqueries, params).await?;
        Ok((rows.into_iter().next().and_then(|mut r| r.pop()).unwrap_or(Value::Null), ty))
    }

    pub(crate) async fn do_exprs(&mut self, exprs: &[ast::Expr], text: &str, params: &[Value]) -> Result<Outcome, Fault> {
        for e in exprs {
            self.constant(e, text, params).await?;
        }
        Outcome::ok()
    }

    pub(crate) async fn kill(&mut self, query_only: bool, id: &ast::Expr, text: &str) -> Result<Outcome, Fault> {
        let id = match self.constant(id, text, &[]).await?.0 {
            Value::Int(n) if n >= 0 => n as u64,
            Value::UInt(n) => n,
            other => return Err(no_thread(format!("{other:?}"))),
        };
        self.kill_connection(id, if query_only { Kill::Query } else { Kill::Connection }).await?;
        Outcome::ok()
    }

    /// KILL and COM_PROCESS_KILL.
    pub async fn kill_connection(&mut self, id: u64, how: Kill) -> Result<(), Fault> {
        let only_of = if self.user.may_globally(Privilege::Super) { None } else { Some(self.user.user.clone()) };
        let asked = Asked::Kill { connection: id, how, only_of };
        if self.server.owner_of(id).is_some() {
            return self.server.answer(asked).map(drop);
        }
        // A connection's number says whose it is.
        match self.server.node_of_connection(id) {
            Some(node) => self.server.metadata.ask(node, asked).await.map(drop),
            None => Err(no_thread(id)),
        }
    }

    pub(crate) fn flush(&mut self, what: &[String]) -> Result<Outcome, Fault> {
        self.require(Privilege::Reload, None)?;
        for w in what {
            match w.as_str() {
                // Grants and tables take effect at once here, and nothing is kept of hosts, threads and hourly limits: there is nothing to flush.
                "PRIVILEGES" | "TABLES" | "HOSTS" | "USER_RESOURCES" => (),
                // What the session counted for itself; the server's counters go on, as in MySQL, but for one.
                "STATUS" => {
                    self.counters = Counters::default();
                    let connected = self.server.connected() as u64;
                    self.server.metrics.max_used_connections.store(connected, Ordering::Relaxed);
                }
                "LOGS" | "SLOW LOGS" | "ERROR LOGS" | "GENERAL LOGS" | "ENGINE LOGS" => self.server.reopen_logs(),
                other => return Err(Fault::not_supported(format!("FLUSH {other}"))),
            }
        }
        Outcome::ok()
    }

    /// FLUSH TABLES [WITH READ LOCK]: nothing is kept of tables that could be flushed, but commits can be held up.
    pub(crate) async fn flush_tables(&mut self, tables: &[ast::ObjectName], read_lock: bool, for_export: bool) -> Result<Outcome, Fault> {
        self.require(Privilege::Reload, None)?;
        if for_export || read_lock && !tables.is_empty() {
            return Err(Fault::not_supported(if for_export {
                "FLUSH TABLES … FOR EXPORT"
            } else {
                "FLUSH TABLES … WITH READ LOCK of some tables only"
            }));
        }
        if read_lock && self.global_read_lock.is_none() {
            let (statement, wait) = (self.statement(), self.lock_wait());
            self.global_read_lock = Some(self.server.global_read_lock.hold(wait, || statement.check_interrupted()).await?);
        }
        Outcome::ok()
    }

    /// COM_REFRESH, of clients older than FLUSH.
    pub fn refresh(&mut self, what: u8) -> Result<(), Fault> {
        let named = [
            (refresh::GRANT, "PRIVILEGES"),
            (refresh::LOG, "LOGS"),
            (refresh::TABLES, "TABLES"),
            (refresh::HOSTS, "HOSTS"),
            (refresh::STATUS, "STATUS"),
            // Threads that are kept for later connections: there are none.
            (refresh::THREADS, "HOSTS"),
        ];
        self.begin_statement("");
        let known = named.iter().fold(0, |all, (bit, _)| all | bit);
        let done = if what & !known != 0 {
            Err(Fault::not_supported("COM_REFRESH of what belongs to replication"))
        } else {
            let names: Vec<String> = named.iter().filter(|(bit, _)| what & bit != 0).map(|(_, name)| name.to_string()).collect();
            self.flush(&names).map(drop)
        };
        self.close_context(0, done.as_ref().err());
        done
    }

    /// SHUTDOWN and COM_SHUTDOWN.
    pub fn shut_down(&mut self) -> Result<(), Fault> {
        self.require(Privilege::Shutdown, None)?;
        self.server.shutdown();
        Ok(())
    }

    pub(crate) fn statement_now(&self) -> f64 {
        self.context.as_ref().map_or(0.0, |c| c.now_micros as f64 / 1e6)
    }

    pub(crate) fn count_warnings(&self, errors_only: bool) -> u64 {
        if !errors_only {
            return self.warning_total;
        }
        self.warnings.iter().filter(|w| w.level == weald_types::WarningLevel::Error).count() as u64
    }

    /// RESET PERSIST: what runs keeps its values; the next start takes the defaults.
    pub(crate) async fn reset_persist(&mut self, name: Option<&str>, if_exists: bool) -> Result<Outcome, Fault> {
        self.require(Privilege::Super, None)?;
        let persisted = self.catalog().variables.clone();
        let gone: Vec<Box<str>> = match name {
            None => persisted.into_keys().collect(),
            Some(name) => {
                let at = variables::find(name).ok_or_else(|| variables::unknown(name))?;
                let name = VARIABLES[at].name;
                if !persisted.contains_key(name) {
                    let fault = Fault::mysql(3615, "HY000", format!("Variable {name} does not exist in persisted config file"));
                    if !if_exists {
                        return Err(fault);
                    }
                    self.warn(fault);
                    return Outcome::ok();
                }
                vec![name.into()]
            }
        };
        for name in gone {
            self.server.propose(Command::SetVariable { name, value: None }).await?;
        }
        Outcome::ok()
    }
}

fn read_only(name: &str) -> Fault {
    Fault::mysql(1238, "HY000", format!("Variable '{name}' is a read only variable"))
}
fn is_isolation(name: &str) -> bool {
    matches!(name, "transaction_isolation" | "tx_isolation")
}
fn is_read_only(name: &str) -> bool {
    matches!(name, "transaction_read_only" | "tx_read_only")
}
fn is_global(scope: VarScope) -> bool {
    matches!(scope, VarScope::Global | VarScope::Persist | VarScope::PersistOnly)
}
/// All variables as SHOW VARIABLES prints them.
pub(crate) fn shown(values: &variables::Values, session: bool) -> Vec<(String, String)> {
    VARIABLES
        .iter()
        .enumerate()
        .filter(|(_, v)| session || v.scope != Scope::Session)
        .map(|(i, v)| (v.name.to_string(), v.show(values.at(i))))
        .collect()
}
