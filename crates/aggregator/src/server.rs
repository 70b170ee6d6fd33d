//! What all sessions of an aggregator share.
//!
//! Owns:     server-wide variables, the plan cache, the registry of connections.
//! Promises: the catalogue a session sees is the newest this node has applied.
//! Never:    changes the catalogue itself: it proposes commands through [`Metadata`].

use crate::cluster::{Answer, Asked, ClusterOrder, Event, Kill, Observed};
use crate::deadlines::Deadlines;
use crate::definition_locks::DefinitionLocks;
use crate::global_read_lock::GlobalReadLock;
use crate::information_schema::{Process, Row, ServerFacts};
use crate::metrics::{Kind, Metrics};
use crate::plan_cache::PlanCache;
use crate::session::Shared;
use crate::variables::{self, Effect, GlobalVariables, Scope, VARIABLES, Values};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use weald_catalog::{CatalogView, ClusterView, Command, Outcome, TableDef, UserDef};
use weald_env::Env;
use weald_exec::Engine;
use weald_exec::analytic::Analytic;
use weald_expr::carried::Here;
use weald_expr::interrupt::Reason;
use weald_types::{Fault, NodeId, Value};

/// The metadata group, as an aggregator sees it; and the leaf's housekeeping that statements ask for.
pub trait Metadata: Send + Sync {
    fn catalog(&self) -> Arc<CatalogView>;
    /// Durable and applied on this node when it returns; the partitions have followed. It is carried out even if nobody waits for it any more.
    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Outcome, Fault>>;
    /// Until the catalogue is newer than this version.
    fn newer_than(&self, version: u64) -> BoxFuture<'_, ()>;
    /// `keep`: how many snapshots stay.
    fn snapshot_database<'a>(&'a self, name: &'a str, keep: usize) -> BoxFuture<'a, Result<(), Fault>>;
    /// What is agreed on, as far as this node has applied it: definitions and topology. `catalog` is part of it.
    fn view(&self) -> Arc<ClusterView>;
    /// Which member this node is; None: of no cluster yet.
    fn me(&self) -> Option<NodeId>;
    /// What this node sees of the others, and of itself.
    fn observed(&self) -> Observed;
    /// Carries out a statement about the cluster, on the master wherever that is. Durable and applied on this node when it returns; it is carried out even if nobody
    /// waits for it any more. The answer is what the operator should know besides: it is shown as warnings.
    fn order(&self, order: ClusterOrder) -> BoxFuture<'_, Result<Vec<Fault>, Fault>>;
    /// Asks another aggregator: its [`Server::answer`].
    fn ask(&self, node: NodeId, asked: Asked) -> BoxFuture<'_, Result<Answer, Fault>>;
    /// What this node has seen happen, oldest first; kept over restarts, bounded.
    fn events(&self) -> Vec<Event>;
}

/// Between the moment when a table has changed and the moment when the catalogue says so lies no more than a few messages.
const CATALOGUE_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

pub struct Server {
    pub env: Env,
    pub engine: Arc<Engine>,
    pub analytic: Arc<Analytic>,
    pub metadata: Arc<dyn Metadata>,
    pub variables: GlobalVariables,
    pub plans: PlanCache,
    pub definitions: Arc<DefinitionLocks>,
    pub global_read_lock: Arc<GlobalReadLock>,
    pub version: Arc<str>,
    pub wall_clock: fn() -> i64,
    /// Bytes a query may hold unless the session says otherwise.
    pub query_memory: u64,
    /// Where large queries run.
    pub query_runtime: tokio::runtime::Handle,
    pub threads: usize,
    pub counters: Counters,
    pub metrics: Metrics,
    pub deadlines: Deadlines,
    /// Where logs go; none before the node has opened them.
    pub logs: OnceLock<Logs>,
    /// Variables as they were when the server had started: what DEFAULT means for those that depend on the machine.
    startup: OnceLock<Values>,
    pub started_micros: i64,
    /// Named locks and identifiers.
    pub shared_state: Arc<weald_expr::server::ServerState>,
    connections: Mutex<BTreeMap<u64, Arc<Shared>>>,
    /// Connections, those included that have not said yet who they are.
    places: AtomicUsize,
    next_connection: AtomicU64,
    prepared: AtomicI64,
    stop: tokio::sync::watch::Sender<bool>,
    random: Mutex<u64>,
    pub draining: AtomicBool,
}

/// The files that a server writes to.
pub struct Logs {
    pub slow: Box<dyn Fn(String) + Send + Sync>,
    /// Closes and opens the files anew, for an operator who has moved them.
    pub reopen: Box<dyn Fn() + Send + Sync>,
}

#[derive(Debug, Default)]
pub struct Counters {
    pub connections: AtomicU64,
    pub aborted_connects: AtomicU64,
    pub questions: AtomicU64,
    pub errors: AtomicU64,
    pub slow_queries: AtomicU64,
    pub bytes_received: AtomicU64,
    pub bytes_sent: AtomicU64,
}

/// A connection's place among `max_connections`, from before its login to its end.
pub struct Place {
    server: Arc<Server>,
    /// How many there were when it was taken, this one included.
    pub connected: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server.places.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Of a connection's number, those that count.
const CONNECTION_BITS: u32 = 22;
const CONNECTIONS_MOST: u64 = (1 << CONNECTION_BITS) - 1;

/// The upper bits of its connections' numbers. Among the newest thousand aggregators of a cluster no two have the same.
fn connection_prefix(aggregator: &weald_catalog::Node) -> u64 {
    u64::from(aggregator.auto_increment.saturating_sub(1)) % (1 << (32 - CONNECTION_BITS))
}

/// In microseconds. A statement that ends so soon is not worth ending sooner.
const SHORT_STATEMENT_MICROS: i64 = 100_000;

impl Server {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        env: Env,
        engine: Arc<Engine>,
        analytic: Arc<Analytic>,
        metadata: Arc<dyn Metadata>,
        query_runtime: tokio::runtime::Handle,
        wall_clock: fn() -> i64,
        query_memory: u64,
        threads: usize,
    ) -> Arc<Self> {
        let version: Arc<str> = crate::VERSION.into();
        let seed = env.random.next_u64();
        let started_micros = env.clock.wall_micros() as i64;
        let deadlines = Deadlines::new(env.clock.clone());
        let random = env.random.clone();
        let shared_state = Arc::new(weald_expr::server::ServerState::new(Box::new(move |bytes| random.fill(bytes)), started_micros));
        Arc::new(Self {
            env,
            engine,
            analytic,
            metadata,
            variables: GlobalVariables::default(),
            plans: PlanCache::default(),
            definitions: Arc::default(),
            global_read_lock: Arc::default(),
            version,
            wall_clock,
            query_memory,
            query_runtime,
            threads,
            counters: Counters::default(),
            metrics: Metrics::default(),
            deadlines,
            logs: OnceLock::new(),
            startup: OnceLock::new(),
            started_micros,
            shared_state,
            connections: Mutex::default(),
            places: AtomicUsize::new(0),
            next_connection: AtomicU64::new(1),
            prepared: AtomicI64::new(0),
            stop: tokio::sync::watch::channel(false).0,
            random: Mutex::new(seed),
            draining: AtomicBool::new(false),
        })
    }

    pub fn catalog(&self) -> Arc<CatalogView> {
        self.metadata.catalog()
    }
    pub async fn propose(&self, command: Command) -> Result<Outcome, Fault> {
        self.metadata.propose(command).await
    }
    /// Returns once the catalogue is newer than `version`, or after a while: for who found that a table is not what that version says.
    pub async fn newer_than(&self, version: u64) {
        let _ = tokio::time::timeout(CATALOGUE_WAIT, self.metadata.newer_than(version)).await;
    }
    pub fn now_micros(&self) -> i64 {
        self.env.clock.wall_micros() as i64
    }

    /// A seed for RAND() and salts.
    pub fn random(&self) -> u64 {
        let mut s = self.random.lock();
        *s = s.wrapping_add(self.env.random.next_u64());
        *s
    }

    /// SET GLOBAL of a value that was checked.
    pub fn set_global(&self, at: usize, value: Value) {
        let memory = &self.engine.node.memory;
        match (VARIABLES[at].name, &value) {
            ("maximum_memory", Value::UInt(mb)) => memory.set_limit(mb.saturating_mul(1 << 20)),
            ("column_cache_quiet_time", Value::UInt(ms)) => self.engine.columns.set_quiet_time(std::time::Duration::from_millis(*ms)),
            ("maximum_column_cache_memory", Value::UInt(mb)) => self.engine.columns.set_limit(mb.saturating_mul(1 << 20)),
            ("maximum_table_memory", Value::UInt(mb)) => memory.set_table_limit(mb.saturating_mul(1 << 20)),
            _ => (),
        }
        if let Some((name, follows)) = variables::follower(VARIABLES[at].name, &value) {
            self.variables.set(name, follows);
        }
        self.variables.put(at, value);
    }

    /// What SET GLOBAL … = DEFAULT sets.
    pub fn default_of(&self, at: usize) -> Value {
        match (VARIABLES[at].name, self.startup.get()) {
            ("maximum_column_cache_memory" | "maximum_memory" | "maximum_table_memory", Some(startup)) => startup.at(at).clone(),
            _ => VARIABLES[at].default_value(),
        }
    }

    /// Sets a variable from a configuration's or the catalogue's text, as SET GLOBAL would.
    pub fn configure(&self, name: &str, text: &str) -> Result<(), Fault> {
        let at = variables::find(name).ok_or_else(|| variables::unknown(name))?;
        let v = &VARIABLES[at];
        if v.effect == Effect::ReadOnly || v.scope == Scope::Session {
            return Err(Fault::mysql(1238, "HY000", format!("Variable '{}' is a read only variable", v.name)));
        }
        let (value, clamped) = v.check(&v.value_of(text))?;
        if clamped {
            return Err(Fault::mysql(1231, "42000", format!("Variable '{}' can't be set to the value of '{text}'", v.name)));
        }
        self.set_global(at, value);
        Ok(())
    }

    /// The configuration has been taken: what is set from here on is an operator's doing.
    pub fn started(&self) {
        let _ = self.startup.set(self.variables.values());
    }

    /// Ends the statements that have been running for a while: the process is at maximum_memory, and they may hold what is missing. Short ones go on.
    pub fn shed_memory(&self) {
        let now = self.now_micros();
        for c in self.connections.lock().values() {
            let p = c.process.lock();
            if p.command == "Query" && now - p.since_micros > SHORT_STATEMENT_MICROS {
                c.interrupted.raise(Reason::MemoryShort);
                self.metrics.memory_stops.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    // ------------------------------------------------------------------ connections

    /// Unique among all aggregators, so that KILL finds it from any of them. The protocol has 32 bits for it: the upper ones say whose it is.
    pub fn new_connection_id(&self) -> u64 {
        let view = self.metadata.view();
        let me = self.metadata.me().and_then(|me| view.topology.nodes.get(&me)).map_or(0, connection_prefix);
        loop {
            let n = self.next_connection.fetch_add(1, Ordering::Relaxed) - 1;
            let id = (me << CONNECTION_BITS) | (1 + n % CONNECTIONS_MOST);
            // One that began four million connections ago may still be there.
            if !self.connections.lock().contains_key(&id) {
                return id;
            }
        }
    }
    /// The other aggregator that has given this number to a connection.
    pub fn node_of_connection(&self, id: u64) -> Option<NodeId> {
        let (view, me) = (self.metadata.view(), self.metadata.me());
        let gave = |(node, n): &(NodeId, &weald_catalog::Node)| Some(*node) != me && connection_prefix(n) == id >> CONNECTION_BITS;
        view.topology.aggregators().find(gave).map(|(node, _)| node)
    }

    pub fn take_place(self: &Arc<Self>) -> Place {
        let connected = self.places.fetch_add(1, Ordering::Relaxed) + 1;
        Place { server: self.clone(), connected }
    }

    /// Files a connection whose client is in.
    pub fn register(&self, shared: &Arc<Shared>) {
        let mut connections = self.connections.lock();
        connections.insert(shared.id, shared.clone());
        self.metrics.max_used_connections.fetch_max(connections.len() as u64, Ordering::Relaxed);
    }
    pub fn unregister(&self, id: u64) {
        self.connections.lock().remove(&id);
    }
    pub fn connected(&self) -> usize {
        self.connections.lock().len()
    }
    /// Whether the account may have one more connection, beside those it has; `itself` is one that changes its user.
    pub fn one_more_of(&self, user: &UserDef, itself: Option<u64>) -> Result<(), Fault> {
        let for_all = self.variables.values().int("max_user_connections");
        let most = if user.max_user_connections > 0 { user.max_user_connections } else { for_all };
        if most == 0 {
            return Ok(());
        }
        let has = self.connections.lock().values().filter(|c| Some(c.id) != itself && c.process.lock().user == *user.user).count() as u64;
        if has < most {
            return Ok(());
        }
        Err(if user.max_user_connections > 0 {
            Fault::mysql(1226, "42000", format!("User '{}' has exceeded the 'max_user_connections' resource (current value: {most})", user.user))
        } else {
            Fault::mysql(1203, "42000", format!("User {} already has more than 'max_user_connections' active connections", user.user))
        })
    }
    pub fn owner_of(&self, id: u64) -> Option<String> {
        self.connections.lock().get(&id).map(|c| c.process.lock().user.clone())
    }

    /// A connection that is gone needs no end.
    pub fn kill(&self, id: u64, how: Kill) {
        let Some(c) = self.connections.lock().get(&id).cloned() else { return };
        match how {
            Kill::Query => c.interrupt(),
            Kill::Connection => c.close(),
        }
    }

    /// What this node supplies to statements of other aggregators that run here.
    pub fn for_other_nodes(&self) -> Here {
        Here {
            wall_clock_micros: self.wall_clock,
            pause: crate::session::pause,
            aside: crate::session::aside,
            server: self.shared_state.clone(),
            interrupted: Arc::default(),
            memory: self.engine.node.memory.clone(),
        }
    }

    /// What another aggregator asks of this one for a client of its own: see [`Metadata::ask`].
    pub fn answer(&self, asked: Asked) -> Result<Answer, Fault> {
        match asked {
            Asked::Processes => Ok(Answer::Processes(self.processes())),
            Asked::Kill { connection, how, only_of } => {
                let owner = self.owner_of(connection).ok_or_else(|| crate::cluster::no_thread(connection))?;
                if only_of.is_some_and(|user| *user != *owner) {
                    return Err(crate::cluster::not_owner(connection));
                }
                self.kill(connection, how);
                Ok(Answer::Done)
            }
            Asked::Events => Ok(Answer::Events(self.metadata.events())),
            Asked::SyncAutoIncrement { database, table } => {
                self.sync_auto_increment(database.as_deref(), table.as_deref());
                Ok(Answer::Done)
            }
        }
    }

    /// Moves each table's counter beyond what its partitions hold. `None`: all databases, all tables.
    pub fn sync_auto_increment(&self, database: Option<&str>, table: Option<&str>) {
        let catalog = self.catalog();
        let of = |d: &&Arc<weald_catalog::DatabaseDef>| database.is_none_or(|name| *d.name == *name);
        let tables = catalog.databases.values().filter(of).flat_map(|d| d.tables.values());
        for t in tables.filter(|t| table.is_none_or(|name| *t.name == *name)) {
            self.engine.sync_auto_increment(t);
        }
    }

    /// Everybody's connection closes: at the end of a shutdown.
    pub fn close_all(&self) {
        for c in self.connections.lock().values() {
            c.close();
        }
    }

    pub fn prepared_total(&self) -> u64 {
        self.prepared.load(Ordering::Relaxed).max(0) as u64
    }
    pub fn count_prepared(&self, n: i64) {
        self.prepared.fetch_add(n, Ordering::Relaxed);
    }

    /// SHUTDOWN.
    pub fn shutdown(&self) {
        let _ = self.stop.send(true);
    }
    pub fn stopping(&self) -> tokio::sync::watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// FLUSH LOGS.
    pub fn reopen_logs(&self) {
        if let Some(logs) = self.logs.get() {
            (logs.reopen)();
        }
    }
}

impl ServerFacts for Server {
    fn table_size(&self, table: &TableDef) -> (u64, u64, u64) {
        let (rows, bytes) = self.engine.size(table);
        (rows, bytes, 0)
    }
    fn next_auto_increment(&self, table: &TableDef) -> u64 {
        self.engine.next_auto_increment(table)
    }

    fn processes(&self) -> Vec<Process> {
        let now = self.now_micros();
        let process = |c: &Arc<Shared>| {
            let p = c.process.lock().clone();
            Process { seconds: (now - p.since_micros).max(0) as u64 / 1_000_000, ..p }
        };
        self.connections.lock().values().map(process).collect()
    }

    fn global_status(&self) -> Vec<(String, String)> {
        let c = &self.counters;
        let n = |a: &AtomicU64| a.load(Ordering::Relaxed).to_string();
        let uptime = (self.now_micros() - self.started_micros) / 1_000_000;
        let m = &self.metrics;
        let waits = &self.engine.node.lock_waits;
        let memory = &self.engine.node.memory;
        let waited = waits.micros.load(Ordering::Relaxed) / 1000;
        let mut all = vec![
            ("Aborted_clients".to_string(), n(&m.aborted_clients)),
            ("Aborted_connects".into(), n(&c.aborted_connects)),
            ("Column_cache_bytes".into(), self.engine.columns.bytes().to_string()),
            ("Column_cache_evictions".into(), n(&self.engine.columns.figures.evictions)),
            ("Column_cache_fills".into(), n(&self.engine.columns.figures.fills)),
            ("Column_cache_hits".into(), n(&self.engine.columns.figures.hits)),
            ("Connection_errors_max_connections".into(), n(&m.refused_connections)),
            ("Handler_commit".into(), m.commits.value().to_string()),
            ("Handler_rollback".into(), m.rollbacks.value().to_string()),
            ("Innodb_row_lock_current_waits".into(), self.engine.node.waits.len().to_string()),
            ("Innodb_row_lock_time".into(), waited.to_string()),
            ("Innodb_row_lock_waits".into(), n(&waits.total)),
            ("Max_used_connections".into(), n(&m.max_used_connections)),
            ("Memory_in_use_bytes".into(), memory.estimate().to_string()),
            ("Plan_cache_hits".into(), m.plan_hits.value().to_string()),
            ("Plan_cache_misses".into(), m.plan_misses.value().to_string()),
            ("Resident_memory_bytes".into(), memory.resident_bytes().to_string()),
            ("Rows_sent".into(), m.rows_sent.value().to_string()),
            ("Bytes_received".into(), n(&c.bytes_received)),
            ("Bytes_sent".into(), n(&c.bytes_sent)),
            ("Connections".into(), n(&c.connections)),
            ("Prepared_stmt_count".into(), self.prepared_total().to_string()),
            ("Queries".into(), n(&c.questions)),
            ("Questions".into(), n(&c.questions)),
            ("Slow_queries".into(), n(&c.slow_queries)),
            ("Compression".into(), "OFF".into()),
            ("Compression_algorithm".into(), String::new()),
            ("Compression_level".into(), "0".into()),
            ("Ssl_cipher".into(), String::new()),
            ("Ssl_version".into(), String::new()),
            ("Table_memory_bytes".into(), memory.table_bytes().to_string()),
            ("Threads_connected".into(), self.connected().to_string()),
            ("Threads_running".into(), self.processes().iter().filter(|p| p.command == "Query").count().to_string()),
            ("Uptime".into(), uptime.to_string()),
        ];
        let commands = Kind::ALL.iter().filter_map(|k| Some((k.command()?, m.statements(*k).count())));
        all.extend(commands.map(|(name, n)| (name.to_string(), n.to_string())));
        all.sort();
        all
    }

    fn cluster(&self) -> (Arc<ClusterView>, Observed) {
        (self.metadata.view(), self.metadata.observed())
    }

    fn plan_cache(&self) -> Vec<Row> {
        self.plans
            .list()
            .into_iter()
            .map(|(k, e)| {
                let number = |n: &AtomicU64| n.load(Ordering::Relaxed);
                let count = |n: &AtomicU64| Value::UInt(number(n));
                let millis = |n: &AtomicU64| Value::UInt(number(n).div_ceil(1000));
                let u = &e.used;
                let last = match number(&u.last_executed) {
                    0 => Value::Null,
                    last => weald_types::DateTime::from_unix_micros(last as i64).map_or(Value::Null, |d| Value::DateTime(d.truncated(0))),
                };
                vec![
                    k.database.as_deref().map_or(Value::Null, Value::str),
                    Value::str(String::from_utf8_lossy(&k.text)),
                    Value::str("fragment"),
                    count(&u.executions),
                    count(&u.commits),
                    count(&u.rows),
                    millis(&u.execution),
                    millis(&u.log_flush),
                    millis(&u.row_lock),
                    millis(&u.stream),
                    Value::UInt(e.id),
                    Value::str(format!("{:016x}", k.digest())),
                    Value::UInt(number(&u.memory) / number(&u.executions).max(1)),
                    last,
                ]
            })
            .collect()
    }
}
