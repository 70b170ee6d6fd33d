//! What all sessions of an aggregator share.
//!
//! Owns:     server-wide variables, the plan cache, the registry of connections.
//! Promises: the catalogue a session sees is the newest this node has applied.
//! Never:    changes the catalogue itself: it proposes commands through [`Metadata`].

use crate::definition_locks::DefinitionLocks;
use crate::information_schema::{Process, Row, ServerFacts};
use crate::plan_cache::PlanCache;
use crate::session::Shared;
use crate::variables::{GlobalVariables, VARIABLES};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use weald_catalog::{CatalogView, Command, Outcome, TableDef};
use weald_env::Env;
use weald_exec::Engine;
use weald_exec::analytic::Analytic;
use weald_types::{Fault, Value};

/// The metadata group, as an aggregator sees it; and the leaf's housekeeping that statements ask for.
pub trait Metadata: Send + Sync {
    fn catalog(&self) -> Arc<CatalogView>;
    /// Durable and applied on this node when it returns; the partitions have followed. It is carried out even if nobody waits for it any more.
    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Outcome, Fault>>;
    /// Until the catalogue is newer than this version.
    fn newer_than(&self, version: u64) -> BoxFuture<'_, ()>;
    fn snapshot_database<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Fault>>;
    /// Rows of MV_RECOVERY_STATUS and DISTRIBUTED_PARTITIONS.
    fn recovery(&self) -> Vec<Row>;
    fn partitions(&self) -> Vec<Row>;
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
    pub version: Arc<str>,
    pub wall_clock: fn() -> i64,
    /// Bytes a query may hold unless the session says otherwise.
    pub query_memory: u64,
    /// Where large queries run.
    pub query_runtime: tokio::runtime::Handle,
    pub threads: usize,
    pub counters: Counters,
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
        let version: Arc<str> = "8.0.36-Weald".into();
        let seed = env.random.next_u64();
        let started_micros = env.clock.wall_micros() as i64;
        let random = env.random.clone();
        let shared_state = Arc::new(weald_expr::server::ServerState::new(Box::new(move |bytes| random.fill(bytes)), started_micros));
        let server = Arc::new(Self {
            env,
            engine,
            analytic,
            metadata,
            variables: GlobalVariables::default(),
            plans: PlanCache::default(),
            definitions: Arc::default(),
            version,
            wall_clock,
            query_memory,
            query_runtime,
            threads,
            counters: Counters::default(),
            started_micros,
            shared_state,
            connections: Mutex::default(),
            places: AtomicUsize::new(0),
            next_connection: AtomicU64::new(1),
            prepared: AtomicI64::new(0),
            stop: tokio::sync::watch::channel(false).0,
            random: Mutex::new(seed),
            draining: AtomicBool::new(false),
        });
        server.restore_variables();
        server
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

    /// SET PERSIST of earlier runs.
    fn restore_variables(&self) {
        for (name, text) in &self.catalog().variables {
            let known = crate::variables::find(name).and_then(|at| VARIABLES[at].read(text).map(|v| (at, v)));
            match known {
                Some((at, value)) => self.set_global(at, value),
                None => tracing::warn!(%name, value = %text, "a persisted variable is not known to this version, or its value is not; ignored"),
            }
        }
    }

    pub fn set_global(&self, at: usize, value: Value) {
        if VARIABLES[at].name == "maximum_table_memory"
            && let Value::UInt(mb) = value
        {
            self.engine.node.memory.set_limit_bytes(if mb == 0 { u64::MAX } else { mb << 20 });
        }
        self.variables.put(at, value);
    }

    // ------------------------------------------------------------------ connections

    pub fn new_connection_id(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    pub fn take_place(self: &Arc<Self>) -> Place {
        let connected = self.places.fetch_add(1, Ordering::Relaxed) + 1;
        Place { server: self.clone(), connected }
    }

    /// Files a connection whose client is in.
    pub fn register(&self, shared: &Arc<Shared>) {
        self.connections.lock().insert(shared.id, shared.clone());
    }
    pub fn unregister(&self, id: u64) {
        self.connections.lock().remove(&id);
    }
    pub fn connected(&self) -> usize {
        self.connections.lock().len()
    }
    pub fn connected_as(&self, user: &str) -> usize {
        self.connections.lock().values().filter(|c| c.process.lock().user == user).count()
    }
    pub fn owner_of(&self, id: u64) -> Option<String> {
        self.connections.lock().get(&id).map(|c| c.process.lock().user.clone())
    }

    pub fn kill(&self, id: u64, query_only: bool) {
        let Some(c) = self.connections.lock().get(&id).cloned() else { return };
        if query_only { c.interrupt() } else { c.close() }
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

    /// Logs are written through the process's subscriber, which has no file to reopen.
    pub fn reopen_logs(&self) {
        tracing::info!("logs flushed");
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
        let mut all = vec![
            ("Aborted_connects".to_string(), n(&c.aborted_connects)),
            ("Bytes_received".into(), n(&c.bytes_received)),
            ("Bytes_sent".into(), n(&c.bytes_sent)),
            ("Connections".into(), n(&c.connections)),
            ("Prepared_stmt_count".into(), self.prepared_total().to_string()),
            ("Queries".into(), n(&c.questions)),
            ("Questions".into(), n(&c.questions)),
            ("Slow_queries".into(), n(&c.slow_queries)),
            ("Ssl_cipher".into(), String::new()),
            ("Ssl_version".into(), String::new()),
            ("Table_memory_bytes".into(), self.engine.node.memory.used_bytes().to_string()),
            ("Threads_connected".into(), self.connected().to_string()),
            ("Threads_running".into(), self.processes().iter().filter(|p| p.command == "Query").count().to_string()),
            ("Uptime".into(), uptime.to_string()),
        ];
        all.sort();
        all
    }

    fn recovery(&self) -> Vec<Row> {
        self.metadata.recovery()
    }
    fn partitions(&self) -> Vec<Row> {
        self.metadata.partitions()
    }

    fn plan_cache(&self) -> Vec<Row> {
        self.plans
            .list()
            .into_iter()
            .map(|(k, e)| {
                let last = e.last_executed.load(Ordering::Relaxed);
                vec![
                    Value::UInt(e.id),
                    k.database.as_deref().map_or(Value::Null, Value::str),
                    Value::str(String::from_utf8_lossy(&k.text)),
                    Value::str("fragment"),
                    Value::UInt(e.executions.load(Ordering::Relaxed)),
                    if last == 0 {
                        Value::Null
                    } else {
                        weald_types::DateTime::from_unix_micros(last as i64).map_or(Value::Null, |d| Value::DateTime(d.truncated(0)))
                    },
                ]
            })
            .collect()
    }
}
