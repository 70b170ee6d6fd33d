//! One process: its directory, its start and stop, its doors.
//!
//! Owns:     the runtimes, the listeners, the order in which things open and close.
//! Promises: "ready" is said when a client can connect; after SIGTERM or SIGINT everything acknowledged is on disk, as it is after a kill.
//! Never:    speaks SQL: see `weald-aggregator`.

mod http;
mod metadata;

use metadata::MetadataGroup;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::net::TcpListener;
use weald_aggregator::connection::{self, Door};
use weald_aggregator::server::Server;
use weald_env::Env;
use weald_exec::analytic::Analytic;
use weald_leaf::Leaf;
use weald_log::{DataDir, Progress};
use weald_partition::MemoryLimit;
use weald_types::{Epoch, NodeId};

/// The parser and the planner recurse as deep as a statement nests; they allow for this much.
const STACK_BYTES: usize = 8 << 20;
const TEND_EVERY: Duration = Duration::from_secs(1);
/// Log since the newest snapshot at which another is taken.
const SNAPSHOT_TRIGGER_BYTES: u64 = 256 << 20;
const SNAPSHOTS_KEPT: usize = 2;
/// How long connections may take to end at a stop.
const DRAIN: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub struct Config {
    pub data_dir: PathBuf,
    pub mysql: SocketAddr,
    pub http: SocketAddr,
    /// For rows; queries may use half as much besides. Bytes.
    pub memory: u64,
    /// Worker threads of each kind.
    pub threads: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the data directory {dir} cannot be used: {reason}")]
    Directory { dir: PathBuf, reason: weald_log::Error },
    #[error("the catalogue in {dir} cannot be read: {reason}")]
    Catalog { dir: PathBuf, reason: String },
    #[error("recovery failed: {0}")]
    Recovery(#[from] weald_leaf::Error),
    #[error("cannot listen on {address}: {reason}; choose another port, or end the process that has it")]
    Listen { address: SocketAddr, reason: std::io::Error },
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Fault(weald_types::Fault),
}

static REAL: LazyLock<Env> = LazyLock::new(Env::real);

fn wall_clock_micros() -> i64 {
    REAL.clock.wall_micros() as i64
}

fn runtime(name: &'static str, threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_name(name).thread_stack_size(STACK_BYTES).enable_all().build()
}

/// Runs until SIGINT or SIGTERM. `ready` is called once, with the addresses that clients may use.
pub fn run(config: &Config, ready: impl FnOnce(SocketAddr, SocketAddr)) -> Result<(), Error> {
    let env = REAL.clone();
    let of_dir = |reason| Error::Directory { dir: config.data_dir.clone(), reason };
    let dir = Arc::new(DataDir::open(&env, &config.data_dir).map_err(of_dir)?);

    let connections = runtime("connection", config.threads)?;
    let queries = runtime("query", config.threads)?;

    // Listen first: a port that is taken is known before a long recovery. Clients wait in the queue until there is someone to serve them.
    let listen = |address| connections.block_on(TcpListener::bind(address)).map_err(|reason| Error::Listen { address, reason });
    let (mysql, http) = (listen(config.mysql)?, listen(config.http)?);
    let addresses = (mysql.local_addr()?, http.local_addr()?);

    let (meta_log, state) = metadata::recover(&env, &dir, addresses.0)?;
    let memory = MemoryLimit::new(config.memory);
    let leaf = Leaf::open(&env, &dir, &state.catalog, Epoch::FIRST, config.threads, memory, &Progress::default())?;
    let group = MetadataGroup::new(env.clone(), meta_log, state, leaf.clone(), queries.handle().clone());
    connections.block_on(group.prepare()).map_err(Error::Fault)?;

    let query_memory = config.memory / 2;
    let analytic = Arc::new(Analytic::new(config.threads, query_memory as usize).map_err(Error::Fault)?);
    let server = Server::new(
        env.clone(),
        leaf.engine.clone(),
        analytic,
        group.clone(),
        queries.handle().clone(),
        wall_clock_micros,
        query_memory,
        config.threads,
    );
    let tls = weald_aggregator::tls::acceptor(&env, dir.root())?;
    let door = Arc::new(Door { server: server.clone(), tls: Some(tls), sha2: Default::default() });

    connections.spawn(accept(mysql, door));
    connections.spawn(http::serve(http, server.clone()));
    let (stop_tending, stopped) = std::sync::mpsc::channel::<()>();
    let tending = std::thread::Builder::new().name("housekeeping".into()).stack_size(STACK_BYTES).spawn({
        let (leaf, handle) = (leaf.clone(), queries.handle().clone());
        move || {
            while stopped.recv_timeout(TEND_EVERY) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                leaf.tend(SNAPSHOT_TRIGGER_BYTES, SNAPSHOTS_KEPT, &handle);
            }
        }
    })?;

    ready(addresses.0, addresses.1);
    connections.block_on(asked_to_stop(&server))?;
    tracing::info!("stopping");
    server.draining.store(true, std::sync::atomic::Ordering::Relaxed);
    server.close_all();
    connections.block_on(async {
        let _ = tokio::time::timeout(DRAIN, async {
            while server.connected() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    });
    drop(stop_tending);
    let _ = tending.join();
    leaf.close();
    group.close();
    connections.shutdown_timeout(DRAIN);
    queries.shutdown_timeout(DRAIN);
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

async fn accept(listener: TcpListener, door: Arc<Door>) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let _ = socket.set_nodelay(true);
                let host = if peer.ip().is_loopback() { "localhost".to_string() } else { peer.ip().to_string() };
                tokio::spawn(connection::serve(door.clone(), socket, host));
            }
            // Out of file descriptors, most often: those who are connected go on.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The only member of a cluster of one.
pub(crate) const SELF: NodeId = NodeId::new(1);
