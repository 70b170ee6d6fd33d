//! One client's session: its settings, its transaction, and the way a statement takes.
//!
//! Owns:     the session's variables, user variables, prepared statements, temporary tables, open transaction and last warnings.
//! Promises: a statement either does all it says or nothing; its warnings and counters are those of the last statement, as MySQL keeps them.
//! Never:    reads or writes packets: `connection` does; knows how rows are stored: `exec` does.

mod alter;
mod change;
mod client;
mod cluster;
mod define;
mod explain;
mod fast;
mod into_file;
mod large;
mod load;
mod load_lines;
mod load_writer;
mod names;
mod prepared;
mod privileges;
mod query;
mod query_threads;
mod set;
mod showing;
mod statement;
mod statement_kind;
mod temporary;
mod transaction;
mod users;

pub use client::ClientFacts;
pub use prepared::{Prepared, PreparedInfo};

use crate::deadlines::Deadline;
use crate::global_read_lock;
use crate::information_schema::Process;
use crate::metrics::Kind;
use crate::plan_cache::Entry;
use crate::server::Server;
use crate::variables::Values;
use foldhash::{HashMap, HashMapExt};
use parking_lot::Mutex;
use privileges::{database_denied, table_denied};
use statement::{Counters, Facts, Rows};
pub(crate) use statement::{aside, pause};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use temporary::Temporary;
use transaction::Open;
use weald_catalog::{Access, CatalogView, UserDef};
use weald_exec::rows::BoxStream;
use weald_expr::StatementContext;
use weald_expr::context::{TimeZone, UserVariables};
use weald_expr::function::BindContext;
use weald_expr::interrupt::{Interrupt, Reason};
use weald_plan::Bindings;
use weald_plan::query::Column;
use weald_sql::ast::{self, MaintenanceVerb, Statement};
use weald_sql::{ParseOptions, parse};
use weald_types::memory::Budget;
use weald_types::{Charset, Collation, Fault, SqlMode, SqlType, Value, Warning};

/// What a statement gives its client.
pub enum Outcome {
    Ok(Done),
    Rows {
        columns: Arc<[Column]>,
        rows: BoxStream,
    },
    /// LOAD DATA LOCAL: the client is to send this file; [`Session::load_local`] then takes its bytes.
    SendFile {
        path: String,
    },
}

/// An OK packet's content.
#[derive(Clone, Debug, Default)]
pub struct Done {
    pub affected: u64,
    pub last_insert_id: u64,
    pub info: Cow<'static, str>,
}

impl Outcome {
    fn ok() -> Result<Outcome, Fault> {
        Ok(Outcome::Ok(Done::default()))
    }
    fn affected(affected: u64) -> Result<Outcome, Fault> {
        Ok(Outcome::Ok(Done { affected, ..Done::default() }))
    }
}

/// What PROCESSLIST and KILL see of a session; shared with the connection's registry.
#[derive(Debug)]
pub struct Shared {
    pub id: u64,
    /// Looked at by every loop of the statement, awaited by what waits.
    pub interrupted: Arc<Interrupt>,
    pub process: Mutex<Process>,
    /// The connection is to end: no statement begins any more.
    closing: AtomicBool,
    /// Wakes the connection when it is to end.
    pub close: tokio::sync::Notify,
    /// A statement is under way, which ends by itself when it is interrupted.
    pub executing: AtomicBool,
}

impl Shared {
    pub fn new(process: Process) -> Self {
        Self {
            id: process.id,
            interrupted: Arc::default(),
            process: Mutex::new(process),
            closing: AtomicBool::new(false),
            close: tokio::sync::Notify::new(),
            executing: AtomicBool::new(false),
        }
    }
    /// KILL QUERY.
    pub fn interrupt(&self) {
        self.interrupted.raise(Reason::Killed);
    }
    /// KILL CONNECTION.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.interrupt();
        self.close.notify_one();
    }
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }
    /// A new statement is not interrupted by what was meant for the one before; but by the end of the connection it is.
    fn begin(&self) {
        self.interrupted.clear();
        if self.is_closing() {
            self.interrupt();
        }
    }
}

pub struct Session {
    pub(crate) server: Arc<Server>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) user: Arc<Access>,
    /// The catalogue version that `user` was looked up in.
    user_as_of: u64,
    /// 'name@host' as the client came.
    pub(crate) login: Arc<str>,
    pub(crate) database: Option<Arc<str>>,
    pub(crate) variables: Values,
    pub(crate) settings: Settings,
    facts: Option<Arc<Facts>>,
    /// For RAND().
    random: u64,
    pub(crate) user_variables: Arc<UserVariables>,
    pub(crate) temporary: Temporary,
    pub(crate) transaction: Option<Open>,
    /// SET TRANSACTION without a scope: for the next one only.
    pub(crate) next_isolation: Option<ast::Isolation>,
    pub(crate) next_read_only: Option<bool>,
    /// COMMIT RELEASE: the connection ends once that is answered.
    released: bool,
    pub(crate) statements: HashMap<u32, Arc<Prepared>>,
    pub(crate) named: HashMap<String, prepared::Named>,
    pub(crate) next_statement: u32,
    /// The last statement's.
    pub(crate) warnings: Vec<Warning>,
    pub(crate) warning_total: u64,
    pub(crate) last_insert_id: u64,
    pub(crate) row_count: i64,
    pub(crate) found_rows: u64,
    pub(crate) locked_tables: Vec<(Box<str>, Box<str>, bool)>,
    /// FLUSH TABLES WITH READ LOCK, until UNLOCK TABLES.
    pub(crate) global_read_lock: Option<global_read_lock::Held>,
    /// The running statement passes as a whole: its commits need not ask again.
    pub(crate) passing: Option<global_read_lock::Passing>,
    /// SHOW SESSION STATUS
    pub(crate) counters: Counters,
    /// For the OK packet's session tracking: what the running statement changed.
    pub(crate) changes: Vec<Change>,
    pub(crate) touched: bool,
    /// The statement that is running.
    pub(crate) context: Option<Arc<StatementContext>>,
    pub(crate) client: ClientFacts,
    pub(crate) load: Option<Box<load::Load>>,
    pub(crate) normal: weald_sql::Normalised,
    pub(crate) last_profile: Option<String>,
    /// The running statement only looks at the last one's warnings.
    pub(crate) diagnostic: bool,
    /// The last statement did, and had no warnings of its own.
    last_was_diagnostic: bool,
    /// Rows that SQL_CALC_FOUND_ROWS has counted so far.
    pub(crate) counted: Option<Arc<AtomicU64>>,
    /// Of the running statement: when it began, of what kind it is, and when it must have ended.
    began_micros: i64,
    pub(crate) kind: Kind,
    /// Its text is long, and so is what must be done to understand it.
    pub(crate) long_text: bool,
    deadline: Option<Deadline>,
    /// The cached plan it runs by.
    pub(crate) plan_used: Option<Arc<Entry>>,
    /// What it waited for its commit, and what its client took to receive its rows; microseconds.
    pub(crate) log_flush_micros: u64,
    pub stream_micros: u64,
}

/// Parsing and binding longer texts takes milliseconds.
pub(crate) const LONG_TEXT: usize = 256 << 10;
/// No plans are kept of longer texts, which are seldom twice the same.
const MOST_CACHED_TEXT: usize = 1 << 20;
/// What a token comes to, as a part of the tree and of what is made of that.
const TOKEN_BYTES: u64 = 200;

/// What session tracking tells the client.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Schema(String),
    Variable(&'static str, String),
}

/// Variables that every statement reads, in the form it reads them.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub sql_mode: SqlMode,
    pub time_zone: TimeZone,
    pub autocommit: bool,
    pub collation_connection: Collation,
    /// What statements come in, and what text goes out in (None: each column's own).
    pub client_charset: Charset,
    pub results_charset: Option<Charset>,
    /// The collation that text columns are labelled with; None: each column's own.
    pub results_collation: Option<Collation>,
    pub isolation: ast::Isolation,
    pub read_only: bool,
    pub encryption_mode: weald_expr::function::EncryptionMode,
    /// `wait_timeout` and `net_write_timeout`
    pub idle: Duration,
    pub net_write: Duration,
    pub executor: query::Executor,
    /// sql_select_limit, where it is one.
    pub select_limit: Option<u64>,
    pub safe_updates: bool,
}

impl Settings {
    pub fn of(v: &Values) -> Self {
        let collation_connection = Collation::by_name(v.text("collation_connection")).unwrap_or(Collation::UTF8MB4_GENERAL_CI);
        Self {
            sql_mode: SqlMode::parse(v.text("sql_mode")).unwrap_or(SqlMode::DEFAULT),
            time_zone: weald_expr::context::parse_time_zone(v.text("time_zone")).unwrap_or(TimeZone::Fixed(0)),
            autocommit: v.on("autocommit"),
            collation_connection,
            client_charset: Charset::by_name(v.text("character_set_client")).unwrap_or(Charset::Utf8mb4),
            results_charset: Charset::by_name(v.text("character_set_results")).filter(|c| *c != Charset::Binary),
            results_collation: match v.get("character_set_results") {
                Value::Str(cs) if **cs == *collation_connection.charset() => Some(collation_connection),
                Value::Str(cs) => Some(Collation::default_of(cs).unwrap_or(Collation::UTF8MB4_GENERAL_CI)),
                _ => None,
            },
            isolation: transaction::isolation_of(v.text("transaction_isolation")),
            read_only: v.on("transaction_read_only"),
            encryption_mode: weald_expr::function::EncryptionMode::parse(v.text("block_encryption_mode")).unwrap_or_default(),
            idle: Duration::from_secs(v.int("wait_timeout")),
            net_write: Duration::from_secs(v.int("net_write_timeout")),
            executor: query::Executor::of(v),
            select_limit: Some(v.int("sql_select_limit")).filter(|n| *n < u64::MAX),
            safe_updates: v.on("sql_safe_updates"),
        }
    }
}

impl Session {
    pub fn new(server: Arc<Server>, shared: Arc<Shared>, user: Arc<UserDef>, login: Arc<str>, client: ClientFacts) -> Self {
        let mut variables = server.variables.values();
        client.apply(&mut variables);
        let settings = Settings::of(&variables);
        let random = server.random();
        let temporary = Temporary::new(&server.engine);
        let budget = Budget::new(server.engine.node.memory.clone(), server.query_memory);
        Self {
            server,
            shared,
            user: Arc::new(Access::new(user)),
            user_as_of: 0,
            login,
            database: None,
            variables,
            settings,
            facts: None,
            random,
            user_variables: Arc::new(UserVariables::new(budget)),
            temporary,
            transaction: None,
            next_isolation: None,
            next_read_only: None,
            released: false,
            statements: HashMap::new(),
            named: HashMap::new(),
            next_statement: 0,
            warnings: Vec::new(),
            warning_total: 0,
            last_insert_id: 0,
            row_count: -1,
            found_rows: 0,
            locked_tables: Vec::new(),
            global_read_lock: None,
            passing: None,
            counters: Counters::default(),
            changes: Vec::new(),
            context: None,
            client,
            touched: false,
            load: None,
            normal: Default::default(),
            last_profile: None,
            diagnostic: false,
            last_was_diagnostic: false,
            counted: None,
            began_micros: 0,
            kind: Kind::Other,
            long_text: false,
            deadline: None,
            plan_used: None,
            log_flush_micros: 0,
            stream_micros: 0,
        }
    }

    /// COM_RESET_CONNECTION, and the second half of COM_CHANGE_USER.
    pub fn reset(&mut self) {
        let database = self.database.clone();
        self.end();
        *self = Session::new(self.server.clone(), self.shared.clone(), self.user.account().clone(), self.login.clone(), self.client.clone());
        self.database = database;
    }

    pub fn change_user(&mut self, user: Arc<UserDef>, login: Arc<str>, database: Option<&str>, collation: u16) -> Result<(), Fault> {
        self.reset();
        self.user = Arc::new(Access::new(user));
        self.login = login;
        self.database = None;
        self.shared.process.lock().database = None;
        self.set_client_collation(collation)?;
        if let Some(d) = database {
            self.use_database(d)?;
        }
        Ok(())
    }

    /// Whether the session has asked for its end.
    pub fn is_released(&self) -> bool {
        self.released
    }

    /// One statement of a COM_QUERY.
    pub async fn query(&mut self, bytes: &[u8]) -> Result<Outcome, Fault> {
        let Ok(text) = std::str::from_utf8(bytes) else { return self.query_bytes(bytes).await };
        if bytes.len() > MOST_CACHED_TEXT {
            return self.query_bytes(bytes).await;
        }
        self.begin_statement(text);
        let done = match self.try_fast(text).await {
            Some(done) => done,
            None => self.parse_and_run(bytes, text).await,
        };
        self.after_statement(done)
    }

    /// A statement that no plan is kept of: it is very long, or has string literals that are not UTF-8 (mysqldump and most drivers put the bytes of a BLOB
    /// between quotes as they are).
    async fn query_bytes(&mut self, bytes: &[u8]) -> Result<Outcome, Fault> {
        let text = printable(bytes);
        self.begin_statement(&text);
        let done = self.parse_and_run(bytes, &text).await;
        self.after_statement(done)
    }

    async fn parse_and_run(&mut self, bytes: &[u8], text: &str) -> Result<Outcome, Fault> {
        let statement = self.parse(bytes)?;
        self.run(&statement, text, &[]).await
    }

    fn parse(&self, bytes: &[u8]) -> Result<Statement, Fault> {
        let mode = self.settings.sql_mode;
        self.long_work(|| {
            must_be_text_outside_strings(bytes, mode)?;
            self.take_tree_memory(bytes)?;
            parse(bytes, &ParseOptions { sql_mode: mode })
        })
    }

    /// Counts what the tree of a statement will take: a list of a million numbers is small as a text, and large as a tree.
    pub(crate) fn take_tree_memory(&self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.len() < LONG_TEXT {
            return Ok(());
        }
        let tokens = weald_sql::count_tokens(bytes, self.settings.sql_mode);
        self.statement().memory.take(bytes.len() as u64 + tokens * TOKEN_BYTES)
    }

    /// What takes long where the statement's text is long: other connections are served meanwhile.
    pub(crate) fn long_work<T>(&self, work: impl FnOnce() -> T) -> T {
        self.statement().aside_if(self.long_text, work)
    }

    /// Runs a parsed statement. `params` are the values of its `?`.
    pub(crate) async fn run(&mut self, statement: &Statement, text: &str, params: &[Value]) -> Result<Outcome, Fault> {
        if self.transaction.as_ref().is_some_and(|t| t.failed) && !matches!(statement, Statement::Rollback { .. } | Statement::RollbackTo(_)) {
            // A deadlock rolled everything back: the next statement starts anew.
            self.rollback_open();
        }
        // UNLOCK TABLES ends what LOCK TABLES began, and without that nothing: mysqldump says it within its transaction.
        let unlocks_nothing = matches!(statement, Statement::UnlockTables) && self.locked_tables.is_empty();
        if statement_kind::commits_implicitly(statement) && !unlocks_nothing {
            self.commit_open().await?;
        }
        if statement_kind::defines(statement) {
            self.refuse_definition_if_read_only()?;
        }
        if statement_kind::defines(statement) && statement_kind::commits_implicitly(statement) {
            self.passing = Some(self.pass_global_read_lock().await?);
        }
        if let Statement::CreateUser { .. } | Statement::AlterUser { .. } | Statement::SetPassword { .. } | Statement::Cluster(_) = statement {
            self.shared.process.lock().info = Some(weald_sql::without_secrets(text, self.settings.sql_mode));
        }
        self.kind = statement_kind::kind(statement);
        self.touched |= statement_kind::touches_session(statement);
        match statement {
            Statement::Select(q) => {
                self.limit_time(q.time_limit())?;
                match self.settings.select_limit.filter(|_| query::is_open_ended(q)) {
                    Some(most) => self.select(&query::limited(q, most), text, params).await,
                    None => self.select(q, text, params).await,
                }
            }
            Statement::Insert(i) => self.insert(i, text, params).await,
            Statement::Update(u) => self.update(u, text, params).await,
            Statement::Delete(d) => self.delete(d, text, params).await,
            Statement::LoadData(l) => self.load_data(l).await,
            Statement::Do(exprs) => self.do_exprs(exprs, text, params).await,
            Statement::Call { name, .. } => {
                Err(Fault::mysql(1305, "42000", format!("PROCEDURE {}.{} does not exist", self.database_of(name.database.as_deref())?, name.name)))
            }
            Statement::CreateDatabase { .. }
            | Statement::AlterDatabase { .. }
            | Statement::DropDatabase { .. }
            | Statement::CreateTable(_)
            | Statement::AlterTable { .. }
            | Statement::DropTable { .. }
            | Statement::RenameTable(_)
            | Statement::Truncate(_)
            | Statement::CreateIndex { .. }
            | Statement::DropIndex { .. }
            | Statement::CreateView(_)
            | Statement::DropView { .. } => self.define(statement, text).await,
            Statement::Unsupported { feature } => Err(Fault::not_supported(feature)),
            Statement::Begin { read_only, consistent_snapshot } => self.begin(*read_only, *consistent_snapshot).await,
            Statement::Commit { chain, release } => self.commit(*chain, *release).await,
            Statement::Rollback { chain, release } => self.rollback(*chain, *release).await,
            Statement::Savepoint(name) => self.savepoint(name),
            Statement::RollbackTo(name) => self.rollback_to(name),
            Statement::ReleaseSavepoint(name) => self.release_savepoint(name),
            Statement::SetTransaction { scope, isolation, read_only } => self.set_transaction(*scope, *isolation, *read_only),
            Statement::LockTables(tables) => self.lock_tables(tables),
            Statement::UnlockTables => {
                self.locked_tables.clear();
                self.global_read_lock = None;
                Outcome::ok()
            }
            Statement::Use(name) => {
                self.use_database(name)?;
                Outcome::ok()
            }
            Statement::Set(items) => self.set(items, text, params).await,
            Statement::Prepare { name, source } => self.prepare_named(name, source),
            Statement::Execute { name, using } => Box::pin(self.execute_named(name, using)).await,
            Statement::Deallocate(name) => self.deallocate_named(name),
            Statement::Kill { query_only, id } => self.kill(*query_only, id, text).await,
            Statement::CreateUser { .. }
            | Statement::AlterUser { .. }
            | Statement::DropUser { .. }
            | Statement::RenameUser(_)
            | Statement::SetPassword { .. }
            | Statement::Grant { .. }
            | Statement::Revoke { .. }
            | Statement::RevokeAll { .. } => self.change_users(statement).await,
            Statement::CreateRole { .. }
            | Statement::DropRole { .. }
            | Statement::GrantRole { .. }
            | Statement::RevokeRole { .. }
            | Statement::SetRole(_)
            | Statement::SetDefaultRole { .. } => Err(Fault::not_supported("roles")),
            Statement::Flush(what) => self.flush(what),
            Statement::ResetPersist { name, if_exists } => self.reset_persist(name.as_deref(), *if_exists).await,
            Statement::FlushTables { tables, read_lock, for_export } => self.flush_tables(tables, *read_lock, *for_export).await,
            Statement::Show(show) => self.show(show).await,
            Statement::Describe { table, column } => self.describe(table, column.as_deref()).await,
            Statement::Explain { analyze, format, statement } => Box::pin(self.explain(*analyze, format.as_deref(), statement, text, params)).await,
            Statement::Profile(statement) => Box::pin(self.profile(statement, text, params)).await,
            Statement::TableMaintenance { verb: MaintenanceVerb::Checksum { quick }, tables } => Box::pin(self.checksum(tables, *quick)).await,
            Statement::TableMaintenance { verb, tables } => self.maintain(*verb, tables).await,
            Statement::Cluster(verb) => Box::pin(self.cluster(verb)).await,
            Statement::SnapshotDatabase(name) => self.snapshot_database(name).await,
            Statement::Shutdown => {
                self.shut_down()?;
                Outcome::ok()
            }
        }
    }

    // ------------------------------------------------------------------ surroundings of binding

    pub(crate) fn catalog(&self) -> Arc<CatalogView> {
        self.server.catalog()
    }

    pub(crate) fn bind_context(&self) -> BindContext {
        BindContext {
            sql_mode: self.settings.sql_mode,
            collation_connection: self.settings.collation_connection,
            div_precision_increment: self.variables.int("div_precision_increment") as u8,
            group_concat_max_len: self.variables.int("group_concat_max_len"),
        }
    }

    /// Calls `f` with all that binding asks for.
    pub(crate) fn bind<T>(&self, text: &str, params: &[Option<SqlType>], f: impl FnOnce(&Bindings<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        let names = names::SessionNames { session: self, catalog: self.catalog() };
        let bindings = Bindings { names: &names, session: self.bind_context(), text, params };
        if self.long_text { self.long_work(|| f(&bindings)) } else { f(&bindings) }
    }

    pub(crate) fn database_of<'a>(&'a self, named: Option<&'a str>) -> Result<&'a str, Fault> {
        named.or(self.database.as_deref()).ok_or(Fault::NoDatabaseSelected)
    }

    pub(crate) fn use_database(&mut self, name: &str) -> Result<(), Fault> {
        let catalog = self.catalog();
        let shown: Arc<str> = if weald_catalog::user::is_information_schema(name) { "information_schema".into() } else { name.into() };
        if &*shown != "information_schema" {
            if !self.user.enters_database(name) {
                return Err(database_denied(&self.user, name));
            }
            if catalog.database(name).is_none() {
                return Err(Fault::NoSuchDatabase { name: name.into() });
            }
        }
        self.shared.process.lock().database = Some(shown.to_string());
        self.changes.push(Change::Schema(shown.to_string()));
        let collation = catalog.database(name).map_or(Collation::UTF8MB3_GENERAL_CI, |d| d.collation);
        self.variables.set("collation_database", Value::str(collation.name()));
        self.variables.set("character_set_database", Value::str(collation.charset()));
        Arc::make_mut(&mut self.user).use_database(&shown);
        self.database = Some(shown);
        Ok(())
    }
}

/// The text by which a statement with bytes that are no text is known: of the same length, so that positions in it hold.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for piece in bytes.utf8_chunks() {
        out.push_str(piece.valid());
        out.extend(piece.invalid().iter().map(|_| '?'));
    }
    out
}

/// 1300, unless whatever is no UTF-8 stands within string literals.
pub(crate) fn must_be_text_outside_strings(bytes: &[u8], mode: SqlMode) -> Result<(), Fault> {
    if std::str::from_utf8(bytes).is_ok() {
        return Ok(());
    }
    match weald_sql::not_text(bytes, mode) {
        None => Ok(()),
        Some(bad) => {
            let shown: String = bad.iter().take(6).map(|b| format!("\\x{b:02X}")).collect();
            Err(Fault::mysql(1300, "HY000", format!("Invalid utf8mb4 character string: '{shown}'")))
        }
    }
}
