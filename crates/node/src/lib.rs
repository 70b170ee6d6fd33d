//! One process: its directory, its start and stop, its doors.
//!
//! Owns:     the runtimes, the listeners, the order in which things open and close.
//! Promises: "ready" is said when a table can be read; after SIGTERM or SIGINT everything acknowledged is on disk, as it is after a kill.
//! Never:    speaks SQL: see `weald-aggregator`.
//!
//! The order of a start: the directory is taken, its logs opened; both doors are opened (a port that is taken is known before a long recovery); the catalogue
//! is read; from there on clients can log in, look at information_schema and watch; the partitions recover; ready. Until then a statement on a table, and
//! every change of a definition, is told that the node is recovering.

mod catalogue;
mod cluster;
mod config;
mod connections;
mod error;
mod events;
mod health;
mod http;
mod keeper;
pub mod log_file;
mod logging;
mod metadata;
mod metrics;
mod nobody;

pub use config::{Begin, CLUSTER_PORT_OFFSET, ClusterConfig, Config, LogConfig, LogFormat};
pub use error::Error;
pub use weald_env::real::keep_files_private;
pub use weald_rpc::ClusterSecret;

use cluster::{Cluster, GroupWay};
use connections::Connections;
use events::{EventLog, Happened};
use health::{Health, Stage};
use keeper::Keeper;
use metadata::{MetadataGroup, Parts};
use nobody::Nobody;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::net::TcpListener;
use weald_aggregator::cluster::{EventKind, Severity};
use weald_aggregator::connection::Door;
use weald_aggregator::server::Metadata;
use weald_aggregator::server::{Logs, Server};
use weald_catalog::{CatalogView, Ports};
use weald_env::Env;
use weald_exec::analytic::Analytic;
use weald_leaf::Leaf;
use weald_log::DataDir;
use weald_metaraft::World;
use weald_types::memory::NodeMemory;
use weald_types::{Epoch, NodeId, Value};

/// The parser and the planner recurse as deep as a statement nests; they allow for this much.
const STACK_BYTES: usize = 8 << 20;
/// How long connections may take to end at a stop.
const DRAIN: Duration = Duration::from_secs(5);

/// The first member of a cluster of one.
pub(crate) const SELF: NodeId = NodeId::new(1);

static REAL: LazyLock<Env> = LazyLock::new(Env::real);

fn wall_clock_micros() -> i64 {
    REAL.clock.wall_micros() as i64
}

/// What can be told to whoever started the node.
#[derive(Clone, Debug)]
pub struct Ready {
    pub mysql: SocketAddr,
    pub http: SocketAddr,
    pub data_dir: PathBuf,
    pub log: PathBuf,
    /// The directory was empty before.
    pub fresh: bool,
    pub root_needs_password: bool,
}

pub use keeper::give_back_with;

fn runtime(name: &'static str, threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    runtime_of(name, threads, || ())
}

/// `begins`: what each of its threads does first.
fn runtime_of(name: &'static str, threads: usize, begins: impl Fn() + Send + Sync + 'static) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .thread_stack_size(STACK_BYTES)
        .on_thread_start(begins)
        .enable_all()
        .build()
}

/// Runs until SIGINT, SIGTERM or the statement SHUTDOWN. `opened` is called once clients can connect, `ready` once tables can be read.
pub fn run(config: &Config, opened: impl FnOnce(&Ready), ready: impl FnOnce(&Ready)) -> Result<(), Error> {
    let env = REAL.clone();
    let of_dir = |source| Error::Directory { dir: config.data_dir.clone(), source };
    let dir = Arc::new(DataDir::open(&env, &config.data_dir).map_err(of_dir)?);
    let logs = logging::open(&env, config)?;
    let threads = config.worker_threads();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), dir = %config.data_dir.display(), threads, "starting");
    let done = serve(config, &env, &dir, &logs, threads, opened, ready);
    match &done {
        Ok(()) => tracing::info!("stopped"),
        Err(error) => tracing::error!(target: logging::EXIT, "{}", error.line()),
    }
    logs.close();
    done
}

fn serve(
    config: &Config,
    env: &Env,
    dir: &Arc<DataDir>,
    logs: &logging::LogFiles,
    threads: usize,
    opened: impl FnOnce(&Ready),
    ready: impl FnOnce(&Ready),
) -> Result<(), Error> {
    // Accepts, answers HTTP, waits for signals: what must go on whatever statements do.
    let doors = runtime("doors", 1)?;
    let connections = Connections::new(threads)?;
    let queries = runtime("query", threads)?;
    let health = Health::new();

    let listen = |address, what, option| doors.block_on(TcpListener::bind(address)).map_err(|source| Error::Listen { address, what, option, source });
    let (mysql, http) = (listen(config.mysql, "MySQL clients", "--mysql-port")?, listen(config.http, "HTTP", "--http-port")?);
    let addresses = (mysql.local_addr()?, http.local_addr()?);
    doors.spawn(http::serve(http, health.clone()));

    // A runtime of its own: a vote must not wait behind a statement.
    let between = config.cluster.as_ref().map(|_| cluster::cluster_runtime(threads)).transpose()?;
    let decides = between.as_ref().map_or(doors.handle(), |r| r.handle()).clone();
    let mut cluster_door = None;
    let cluster = match &config.cluster {
        None => None,
        Some(c) => {
            let listener = decides.block_on(TcpListener::bind(c.listen));
            let listener = listener.map_err(|source| Error::Listen { address: c.listen, what: "other nodes", option: "--cluster-port", source })?;
            let bound = listener.local_addr()?;
            cluster_door = Some(listener);
            let ports = Ports { mysql: addresses.0.port(), cluster: bound.port(), http: addresses.1.port() };
            Some(Cluster::new(env, dir, c, bound, ports, &decides)?)
        }
    };
    let network: Arc<dyn weald_metaraft::Network> = match &cluster {
        Some(cluster) => Arc::new(GroupWay(Arc::downgrade(cluster))),
        None => Arc::new(Nobody),
    };
    let world = World { env: env.clone(), dir: dir.meta(), network, settings: weald_metaraft::Settings::default() };
    let group = decides.block_on(catalogue::open(world.clone(), dir, config.begin, addresses.0))?;
    let state = match group.as_ref().map(|g| g.state()).filter(|s| s.version > 0) {
        Some(state) => weald_meta::State::clone(&state),
        None => catalogue::fresh(env, config.root_password.as_deref()).map_err(Error::Fault)?,
    };
    let me = group.as_ref().map(|g| g.status().me);
    let (memory_limit, table_limit) = config.memory_limits();
    let memory = NodeMemory::new(table_limit, memory_limit);
    let view = state.view();
    let leaf = Leaf::new(env, dir, &view, me, memory.clone());
    let _ = health.leaf.set(leaf.clone());
    health.enter(Stage::Recovering);
    let events = EventLog::open(env, dir.root())?;
    events.record(starting(me));
    let parts = Parts {
        env: env.clone(),
        dir: dir.root().to_path_buf(),
        world,
        runtime: decides.clone(),
        cluster: cluster.clone(),
        leaf: leaf.clone(),
        queries: queries.handle().clone(),
        events: events.clone(),
    };
    let metadata = MetadataGroup::new(parts, state);
    if let Some(cluster) = &cluster {
        cluster.knows(&metadata, &leaf, me);
    }
    if let (Some(group), Some(me)) = (group, me) {
        decides.block_on(metadata.adopt(me, group));
    }
    if let Some(cluster) = &cluster {
        decides.block_on(cluster.complete_membership(&metadata.decided())).map_err(Error::Fault)?;
    }
    if cluster.is_none() {
        decides.block_on(metadata.is_at(addresses.0)).map_err(Error::Fault)?;
    }
    if metadata.leads() {
        decides.block_on(metadata.protect_root(config.root_password.as_deref())).map_err(Error::Fault)?;
    }
    if metadata.root_is_open() && !addresses.0.ip().is_loopback() {
        return Err(Error::OpenRoot { address: addresses.0 });
    }
    if let (Some(cluster), Some(listener)) = (&cluster, cluster_door) {
        cluster.open(listener);
    }

    // What one statement may hold unless it is told otherwise. All together are held against maximum_memory.
    let query_memory = (memory_limit - memory_limit.min(table_limit)).max(memory_limit / 4);
    // What a process that was killed left in it is of no use to anyone.
    let spill = dir.root().join("spill");
    if env.disk.exists(&spill) {
        env.disk.remove_dir_all(&spill)?;
    }
    env.disk.create_dir_all(&spill)?;
    // The log and snapshots need the rest.
    let spill_bytes = env.disk.free_bytes(&spill)? / 2;
    let analytic = Arc::new(Analytic::new(threads, &spill, spill_bytes).map_err(Error::Fault)?);
    let server =
        Server::new(env.clone(), leaf.engine.clone(), analytic, metadata.clone(), queries.handle().clone(), wall_clock_micros, query_memory, threads);
    set_variables(config, &server, dir, logs, addresses, (memory_limit, table_limit))?;
    let slow = logs.slow.clone();
    let both = (logs.slow.clone(), logs.server.clone());
    let _ = server.logs.set(Logs {
        slow: Box::new(move |text| slow.write(text.into_bytes())),
        reopen: Box::new(move || {
            both.0.reopen();
            both.1.reopen();
        }),
    });
    let tls = weald_aggregator::tls::acceptor(env, dir.root()).map_err(|source| Error::Tls { dir: dir.root().to_owned(), source })?;
    let door = Arc::new(Door { server: server.clone(), tls: Some(tls), sha2: Default::default() });
    let _ = health.server.set(server.clone());
    if let Some(cluster) = &cluster {
        cluster.serves(&server);
    }

    doors.spawn(connections.accept(mysql, door));
    let keeper = Keeper::start(env, &leaf, &server, queries.handle())?;
    let facts = Ready {
        mysql: addresses.0,
        http: addresses.1,
        data_dir: config.data_dir.clone(),
        log: logs.server_path.clone(),
        fresh: dir.is_fresh(),
        root_needs_password: !metadata.root_is_open(),
    };
    opened(&facts);

    let recovery = {
        let leaf = leaf.clone();
        let (done, recovered) = tokio::sync::oneshot::channel();
        std::thread::Builder::new().name("recovery".into()).stack_size(STACK_BYTES).spawn(move || {
            // Nobody listens any more if the node was asked to stop meanwhile.
            let _ = done.send(leaf.recover(&view, Epoch::FIRST, threads));
        })?;
        recovered
    };
    let stopped = doors.block_on(async {
        let stop = asked_to_stop(&server);
        tokio::pin!(stop);
        tokio::select! {
            done = recovery => match done {
                Ok(done) => done.map_err(Error::Recovery)?,
                Err(_) => return Err(Error::Io(std::io::Error::other("the thread that recovers the partitions panicked"))),
            },
            done = &mut stop => return done.map(|()| Stage::Recovering).map_err(Error::Io),
        }
        metadata.recovered();
        // A node of a cluster whose partitions have recovered waits until it is sure that they are still its own.
        tokio::select! {
            () = metadata.serves() => (),
            done = &mut stop => return done.map(|()| Stage::Serving).map_err(Error::Io),
        }
        if cluster.is_none() {
            metadata.take_back().await.map_err(Error::Fault)?;
        }
        events.record_all(recovered(&metadata.catalog(), &leaf, metadata.number()));
        health.enter(Stage::Serving);
        tracing::info!(mysql = %addresses.0, http = %addresses.1, "ready");
        ready(&facts);
        stop.await?;
        Ok(Stage::Serving)
    })?;

    tracing::info!("stopping");
    health.enter(Stage::Stopping);
    server.draining.store(true, std::sync::atomic::Ordering::Relaxed);
    server.close_all();
    doors.block_on(async {
        let _ = tokio::time::timeout(DRAIN, async {
            while server.connected() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    });
    if let Some(cluster) = &cluster {
        // Others' statements come to their end, then nobody is let in.
        decides.block_on(cluster.stop());
    }
    keeper.stop();
    if stopped == Stage::Serving {
        leaf.close();
    }
    decides.block_on(metadata.close());
    if let Some(cluster) = &cluster {
        decides.block_on(cluster.close());
    }
    events.close();
    connections.shutdown(DRAIN);
    if let Some(between) = between {
        between.shutdown_timeout(DRAIN);
    }
    doors.shutdown_timeout(DRAIN);
    queries.shutdown_timeout(DRAIN);
    Ok(())
}

fn starting(me: Option<NodeId>) -> Happened {
    let details = serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id() });
    Happened { severity: Severity::Notice, kind: EventKind::NodeStarting, node: me, details }
}

/// What a start has led to: the databases that are there again, the partitions that are not, the node itself.
fn recovered(catalog: &CatalogView, leaf: &Leaf, me: Option<NodeId>) -> Vec<Happened> {
    let mut all = Vec::new();
    let status: BTreeMap<_, _> = leaf.status().into_iter().collect();
    for d in catalog.databases.values() {
        let failed = |id: &weald_types::PartitionId| status.get(id).filter(|s| s.phase == weald_leaf::Phase::Failed);
        let mut online = 0;
        for id in d.partition_ids() {
            match failed(&id) {
                None if !status.contains_key(&id) => (),
                Some(s) => {
                    let details = serde_json::json!({ "partition": format!("{}:{}", d.name, id.ordinal()), "reason": s.details });
                    all.push(Happened { severity: Severity::Error, kind: EventKind::PartitionRecoveryFailed, node: me, details });
                }
                None => online += 1,
            }
        }
        if online == 0 {
            continue;
        }
        let details = serde_json::json!({ "database": d.name, "partitions": online });
        all.push(Happened { severity: Severity::Notice, kind: EventKind::PartitionRecovered, node: me, details });
    }
    all.push(Happened { severity: Severity::Notice, kind: EventKind::NodeOnline, node: me, details: serde_json::json!({}) });
    all
}

/// Columns kept for analytic queries may take this part of maximum_memory, unless the operator says otherwise.
const SHARE_FOR_COLUMNS: u64 = 4;

/// What is true of this process; then what the configuration says; then what SET PERSIST said, which is newer.
fn set_variables(
    config: &Config,
    server: &Server,
    dir: &DataDir,
    logs: &logging::LogFiles,
    (mysql, _): (SocketAddr, SocketAddr),
    (memory, table_memory): (u64, u64),
) -> Result<(), Error> {
    let path = |p: &std::path::Path| Value::str(p.to_string_lossy());
    let v = &server.variables;
    v.set("bind_address", Value::str(mysql.ip().to_string()));
    v.set("port", Value::UInt(mysql.port().into()));
    v.set("datadir", path(dir.root()));
    v.set("hostname", Value::str(weald_env::real::host_name()));
    v.set("slow_query_log_file", path(&logs.slow_path));
    v.set("tmpdir", path(&dir.root().join("spill")));
    v.set("ssl_cert", path(&dir.root().join("server-cert.pem")));
    v.set("ssl_key", path(&dir.root().join("server-key.pem")));
    v.set("maximum_memory", Value::UInt(memory >> 20));
    v.set("maximum_table_memory", Value::UInt(table_memory >> 20));
    let columns = memory / SHARE_FOR_COLUMNS;
    v.set("maximum_column_cache_memory", Value::UInt(columns >> 20));
    server.engine.columns.set_limit(columns);
    server.engine.columns.set_quiet_time(Duration::from_millis(v.values().int("column_cache_quiet_time")));
    if let Some(files) = &config.secure_file_priv {
        let refused = |reason: &dyn std::fmt::Display| Error::Variable {
            name: format!("secure_file_priv={}", files.display()),
            reason: format!("it must be a directory that can be read: {reason}"),
        };
        server.env.disk.list(files).map_err(|e| refused(&e))?;
        // With the slash behind it, as MySQL shows it.
        v.set("secure_file_priv", path(&files.join("")));
    }
    server.started();
    let catalog = server.catalog();
    for (name, value) in &config.variables {
        let refused = |fault| Error::Variable { name: format!("{name}={value}"), reason: weald_aggregator::mysql_error::message(&fault) };
        server.configure(name, value).map_err(refused)?;
    }
    for (name, value) in &catalog.variables {
        if let Err(fault) = server.configure(name, value) {
            tracing::warn!(%name, %value, %fault, "a persisted variable is not known to this version, or its value is not; ignored");
        }
    }
    Ok(())
}

/// SIGINT, SIGTERM, or the statement SHUTDOWN.
async fn asked_to_stop(server: &Server) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut statement = server.stopping();
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
        _ = statement.changed() => (),
    }
    Ok(())
}
