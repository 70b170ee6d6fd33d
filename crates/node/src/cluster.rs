//! This node among the others: who it is, how it reaches them, what it answers.
//!
//! Owns:     the keyring, the connections to other nodes, the cluster port, the task that looks after who is alive.
//! Promises: only members are let in, and of them only those that the topology still has. Addresses come from the topology each time, so that a changed one is found.
//! Never:    is there in a process that is a cluster of one.
//!
//! Everything here runs on a runtime of its own: a vote or a sign of life must not wait behind a statement of a client's, and those who answer statements
//! of other aggregators need as many threads as there are cores.

mod heartbeat;
mod joining;
mod methods;
mod orders;
mod service;
mod way;
mod words;

pub(crate) use way::{GroupWay, NoAnswer};
pub(crate) use words::Done;

use crate::config::ClusterConfig;
use crate::metadata::MetadataGroup;
use crate::{Error, runtime};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use weald_aggregator::server::Server as SqlServer;
use weald_catalog::{Ports, Topology};
use weald_env::Env;
use weald_exec::remote::{Answering, PULSE_EVERY};
use weald_leaf::Leaf;
use weald_log::DataDir;
use weald_rpc::network::Tcp;
use weald_rpc::{Admission, ClusterSecret, Home, Keyring, Limits, LinkChange, Lost, NoStamps, Pool, PoolConfig, Server, ServerConfig, Service};
use weald_types::{NodeId, NodeIdentity, Timestamp};

/// A clock that is further ahead of ours is wrong, or ours is.
const MOST_AHEAD: Duration = Duration::from_secs(10);

pub(crate) struct Cluster {
    env: Env,
    keyring: Arc<Keyring>,
    secret: ClusterSecret,
    pool: Pool,
    advertise_host: Option<Box<str>>,
    bound: SocketAddr,
    ports: Ports,
    /// Where everything that has to do with other nodes runs.
    pub runtime: Handle,
    metadata: OnceLock<Weak<MetadataGroup>>,
    sql: OnceLock<Arc<SqlServer>>,
    leaf: OnceLock<Arc<Leaf>>,
    statements: OnceLock<Arc<Answering>>,
    seen: heartbeat::Table,
    server: Mutex<Option<Server>>,
    /// One statement about the cluster at a time.
    ordering: tokio::sync::Mutex<()>,
    /// Where those are who are being told that they are members no more.
    departing: Mutex<BTreeMap<NodeIdentity, String>>,
    /// This node is telling the cluster where it is.
    announcing: AtomicBool,
    /// Each with what ends it.
    keepers: Mutex<Vec<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

pub(crate) fn cluster_runtime(threads: usize) -> std::io::Result<Runtime> {
    runtime("cluster", threads)
}

impl Cluster {
    /// Reads who this node is; at the first start draws it. Nothing is open yet.
    pub fn new(env: &Env, dir: &DataDir, config: &ClusterConfig, bound: SocketAddr, ports: Ports, runtime: &Handle) -> Result<Arc<Self>, Error> {
        let _runtime = runtime.enter();
        let home = Home::open(env, dir.root()).map_err(Error::Identity)?;
        let keyring = Arc::new(Keyring::new(home).map_err(Error::Identity)?);
        Ok(Arc::new_cyclic(|me: &Weak<Self>| {
            let addresses = {
                let me = me.clone();
                Arc::new(move |node| me.upgrade()?.address_of(node))
            };
            let on_change = {
                let me = me.clone();
                Arc::new(move |node: NodeIdentity, lane, change: &LinkChange| {
                    if let Some(me) = me.upgrade() {
                        me.link_changed(node, lane, change);
                    }
                })
            };
            let pool = Pool::new(PoolConfig {
                keyring: keyring.clone(),
                network: Arc::new(Tcp),
                addresses,
                stamps: Arc::new(Stamps { cluster: me.clone() }),
                limits: Limits::default(),
                on_change: Some(on_change),
            });
            Self {
                env: env.clone(),
                keyring,
                secret: config.secret.clone(),
                pool,
                advertise_host: config.advertise_host.clone(),
                bound,
                ports,
                runtime: runtime.clone(),
                metadata: OnceLock::new(),
                sql: OnceLock::new(),
                leaf: OnceLock::new(),
                statements: OnceLock::new(),
                seen: heartbeat::Table::default(),
                server: Mutex::new(None),
                ordering: tokio::sync::Mutex::default(),
                departing: Mutex::default(),
                announcing: AtomicBool::new(false),
                keepers: Mutex::default(),
            }
        }))
    }

    pub fn knows(&self, metadata: &Arc<MetadataGroup>, leaf: &Arc<Leaf>, me: Option<NodeId>) {
        let _ = self.metadata.set(Arc::downgrade(metadata));
        let _ = self.leaf.set(leaf.clone());
        leaf.engine.leaves.set_me(self.identity());
        // From a start on, those whom the metadata knows already.
        self.follow_topology(&Topology::default(), &metadata.topology(), me);
    }

    /// From now on other nodes are answered.
    pub fn open(self: &Arc<Self>, listener: tokio::net::TcpListener) {
        let _runtime = self.runtime.enter();
        let service: Service = {
            let me = Arc::downgrade(self);
            Arc::new(move |request| service::answer(&me, request))
        };
        let admission: Admission = {
            let me = Arc::downgrade(self);
            Arc::new(move |node| me.upgrade().map_or(Ok(()), |me| me.admits(node)))
        };
        let server = Server::start(
            Box::new(listener),
            ServerConfig {
                keyring: self.keyring.clone(),
                service,
                admission,
                http2: None,
                secret: Some(self.secret.clone()),
                stamps: Arc::new(Stamps { cluster: Arc::downgrade(self) }),
                limits: Limits::default(),
            },
        );
        *self.server.lock() = Some(server);
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(heartbeat::run(Arc::downgrade(self), ended));
        self.keepers.lock().push((end, task));
    }

    /// From now on clients' connections can be asked about, and statements of other aggregators are answered.
    pub fn serves(&self, sql: &Arc<SqlServer>) {
        let _ = self.sql.set(sql.clone());
        let _ = self.statements.set(Answering::new(sql.engine.clone(), sql.for_other_nodes()));
        let engine = sql.engine.clone();
        let (end, mut ended) = oneshot::channel();
        let pulse = self.runtime.spawn(async move {
            while tokio::time::timeout(PULSE_EVERY, &mut ended).await.is_err() {
                engine.pulse().await;
            }
        });
        self.keepers.lock().push((end, pulse));
    }

    pub fn identity(&self) -> NodeIdentity {
        self.keyring.identity()
    }

    fn metadata(&self) -> Option<Arc<MetadataGroup>> {
        self.metadata.get()?.upgrade()
    }

    /// As the topology has it now.
    fn address_of(&self, node: NodeIdentity) -> Option<String> {
        let topology = self.metadata()?.topology();
        match topology.with_identity(node) {
            Some((_, n)) => Some(at(&n.host, n.ports.cluster)),
            None => self.departing.lock().get(&node).cloned(),
        }
    }

    /// A proven node of our cluster; whether it is still a member, the topology says. A node that has just been added knows none yet.
    fn admits(&self, node: NodeIdentity) -> Result<(), String> {
        let Some(metadata) = self.metadata() else { return Ok(()) };
        let topology = metadata.topology();
        if topology.nodes.is_empty() || topology.cluster.is_none() || topology.with_identity(node).is_some() {
            return Ok(());
        }
        Err("it is not a member of this cluster, or not any more".into())
    }

    fn link_changed(&self, node: NodeIdentity, lane: weald_rpc::Lane, change: &LinkChange) {
        let gone = match change {
            LinkChange::Up => return,
            LinkChange::Lost(Lost::PeerGone(_)) => true,
            LinkChange::Lost(_) => false,
            LinkChange::Failed(error) => error.says_gone(),
        };
        let Some(metadata) = self.metadata() else { return };
        let topology = metadata.topology();
        let Some((id, _)) = topology.with_identity(node) else { return };
        if gone {
            metadata.suspect(id);
            // What a process that is gone last said does not hold for the next one. Whether one listens there is asked at once.
            if lane == methods::LIFE_LANE {
                self.seen.lost(id);
            }
        }
    }

    /// The topology is another: who was added can be asked, who was removed is spoken with no more.
    pub fn follow_topology(&self, old: &Topology, new: &Topology, me: Option<NodeId>) {
        let Some(leaf) = self.leaf.get() else { return };
        let leaves = &leaf.engine.leaves;
        for (id, n) in new.nodes.iter().filter(|(id, _)| Some(**id) != me && !old.nodes.contains_key(id)) {
            leaves.put(*id, self.pool.peer(n.identity));
        }
        let removed: Vec<_> = old.nodes.iter().filter(|(id, _)| !new.nodes.contains_key(id)).collect();
        for (id, n) in &removed {
            leaves.remove(**id);
            self.pool.forget(n.identity);
        }
        if !removed.is_empty()
            && let Some(server) = &*self.server.lock()
        {
            server.recheck();
        }
    }

    /// Requests that are under way come to their end.
    pub async fn stop(&self) {
        let keepers = std::mem::take(&mut *self.keepers.lock());
        for (end, task) in keepers {
            drop(end);
            if let Err(error) = task.await {
                tracing::error!(%error, "the task that looks after other nodes panicked");
            }
        }
        let server = self.server.lock().take();
        if let Some(server) = server {
            server.stop().await;
        }
    }

    /// No request of ours is answered any more.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// As a connection is made to it.
fn at(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The hybrid clock of this node, on every frame.
struct Stamps {
    cluster: Weak<Cluster>,
}

impl Stamps {
    fn leaf(&self) -> Option<Arc<Leaf>> {
        self.cluster.upgrade()?.leaf.get().cloned()
    }
}

impl weald_rpc::Stamps for Stamps {
    fn now(&self) -> Timestamp {
        match self.leaf() {
            Some(leaf) => leaf.engine.node.clock.now(leaf.engine.node.wall()),
            None => NoStamps.now(),
        }
    }
    fn observe(&self, stamp: Timestamp) -> Result<(), String> {
        match self.leaf() {
            Some(leaf) => leaf.engine.node.clock.observe(stamp, leaf.engine.node.wall(), MOST_AHEAD).map_err(|e| e.to_string()),
            None => Ok(()),
        }
    }
}
