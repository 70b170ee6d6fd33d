//! The cluster port: takes connections, finds out who comes and what for, and gives each to whom it concerns.
//!
//! Owns:     the listener, every connection that others opened, their tasks, and the ticker that looks after them.
//! Promises: nobody who has not proven to be a member reaches the service; who has not proven it yet costs a bounded amount of time and memory,
//!           and cannot keep members out; whatever a peer sends, only its own connection suffers.
//! Never:    knows what a request means.

use crate::answerer::Answerer;
use crate::error::Lost;
use crate::frame::{Head, Kind};
use crate::join::Door;
use crate::keyring::Keyring;
use crate::network::{BoxStream, Listener};
use crate::opening::{self, With};
use crate::pipe::Pipe;
use crate::service::Service;
use crate::stamps::Stamps;
use crate::{ClusterSecret, Limits};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, timeout};
use weald_types::NodeIdentity;

/// Whether a proven node of our cluster may speak with us, and why not: a removed one has a good certificate still. Must be quick.
pub type Admission = Arc<dyn Fn(NodeIdentity) -> Result<(), String> + Send + Sync>;

/// Takes over a stream on which a proven node will speak HTTP/2.
pub type Http2 = Arc<dyn Fn(NodeIdentity, BoxStream) + Send + Sync>;

/// After an error of the listener itself, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub struct ServerConfig {
    pub keyring: Arc<Keyring>,
    pub service: Service,
    pub admission: Admission,
    pub http2: Option<Http2>,
    /// What a node that wants to add this one has to know. Without one this node cannot be added.
    pub secret: Option<ClusterSecret>,
    pub stamps: Arc<dyn Stamps>,
    pub limits: Limits,
}

pub struct Server {
    inner: Arc<Inner>,
    stop: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<JoinSet<()>>,
}

struct Inner {
    config: ServerConfig,
    door: Option<Door>,
    connections: Mutex<BTreeMap<u64, Connection>>,
    next: AtomicU64,
    half_open: Mutex<HalfOpen>,
}

struct Connection {
    from: NodeIdentity,
    answerer: Arc<Answerer>,
}

/// Connections of which nobody knows yet whose they are.
#[derive(Default)]
struct HalfOpen {
    all: usize,
    of: BTreeMap<String, usize>,
    turned_away: u64,
}

impl Server {
    /// Needs to be called on the runtime that is to do the work.
    pub fn start(listener: Box<dyn Listener>, config: ServerConfig) -> Self {
        let door = config.secret.clone().map(|secret| Door::new(config.keyring.clone(), secret));
        let inner = Arc::new(Inner { config, door, connections: Mutex::default(), next: AtomicU64::new(0), half_open: Mutex::default() });
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(inner.clone(), listener, stopped));
        Self { inner, stop, accepting }
    }

    /// Members that are connected with frames, once for each connection.
    pub fn connected(&self) -> Vec<NodeIdentity> {
        self.inner.connections.lock().values().map(|c| c.from).collect()
    }

    /// Connections of which it is not known yet whose they are.
    pub fn half_open(&self) -> usize {
        self.inner.half_open.lock().all
    }

    /// Ends the connections of nodes that are not admitted any more.
    pub fn recheck(&self) {
        let connections: Vec<_> = self.inner.connections.lock().values().map(|c| (c.from, c.answerer.clone())).collect();
        for (from, answerer) in connections {
            if let Err(reason) = (self.inner.config.admission)(from) {
                answerer.cut_off(&reason);
            }
        }
    }

    /// Takes nothing new, lets requests that are under way come to their end for [`Limits::stop_within`], and ends all connections.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let Ok(mut tasks) = self.accepting.await else { return };
        let limits = &self.inner.config.limits;
        let until = Instant::now() + limits.stop_within;
        let answerers = || -> Vec<_> { self.inner.connections.lock().values().map(|c| c.answerer.clone()).collect() };
        answerers().iter().for_each(|a| a.stop_taking());
        while Instant::now() < until && answerers().iter().any(|a| !a.is_idle()) {
            tokio::time::sleep(limits.tick).await;
        }
        answerers().iter().for_each(|a| a.close("this node is stopping"));
        let ending = async { while !self.inner.connections.lock().is_empty() && tasks.join_next().await.is_some() {} };
        if timeout(Duration::from_secs(1), ending).await.is_err() {
            tracing::debug!("some connections of other nodes had to be cut off");
        }
        tasks.shutdown().await;
    }
}

async fn accept(inner: Arc<Inner>, mut listener: Box<dyn Listener>, mut stopped: watch::Receiver<bool>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let mut interval = tokio::time::interval(inner.config.limits.tick);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // The owner has let go of us, which is a way to stop as well.
            _ = stopped.changed() => return tasks,
            now = interval.tick() => {
                inner.tick(now);
                while tasks.try_join_next().is_some() {}
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    if let Some(place) = HalfOpenPlace::take(&inner, &from) {
                        tasks.spawn(welcome(inner.clone(), stream, from, place));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot take connections of other nodes");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// The task of one connection, from its first byte to its last.
async fn welcome(inner: Arc<Inner>, stream: BoxStream, from: String, place: HalfOpenPlace) {
    let Inner { config, .. } = &*inner;
    let within = config.limits.connect_within;
    let opened = match timeout(within, opening::accept(&config.keyring, stream)).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return tracing::warn!(from, %error, "a connection to the cluster port was not let in"),
        Err(_) => return tracing::debug!(from, "a connection to the cluster port said nothing"),
    };
    match opened.with {
        With::Join(session) => {
            let Some(door) = &inner.door else {
                return tracing::warn!(from, "somebody wants to add this node, which has no cluster secret");
            };
            if let Err(error) = door.answer(session, opened.stream, within).await {
                tracing::warn!(from, %error, "a conversation about adding this node broke off");
            }
        }
        With::Frames(node) => serve(inner, opened.stream, node, from, place).await,
        With::Http2(node) => match (&config.http2, (config.admission)(node)) {
            (Some(http2), Ok(())) => http2(node, opened.stream),
            (None, Ok(())) => tracing::warn!(from, %node, "HTTP/2 is not served here"),
            (_, Err(reason)) => tracing::warn!(from, %node, reason, "a node was not let in"),
        },
    }
}

async fn serve(inner: Arc<Inner>, stream: BoxStream, node: NodeIdentity, from: String, place: HalfOpenPlace) {
    let config = &inner.config;
    let mut pipe = Pipe::new(stream, config.limits.max_frame);
    let full = inner.connections.lock().len() >= config.limits.max_connections;
    let refusal = if full { Err("it has too many connections".to_owned()) } else { (config.admission)(node) };
    let greeting = async {
        match refusal {
            Ok(()) => Answerer::greet(&mut pipe, node, config.service.clone(), config.stamps.clone(), &config.limits).await,
            Err(reason) => {
                // If it is gone already, it needs no reason.
                let _ = pipe.say(Head::new(Kind::Farewell, 0, config.stamps.now()), reason.as_bytes()).await;
                pipe.shutdown().await;
                Err(Lost::Broken(reason))
            }
        }
    };
    let answerer = match timeout(config.limits.connect_within, greeting).await {
        Ok(Ok(answerer)) => Arc::new(answerer),
        Ok(Err(lost)) => return tracing::warn!(from, %node, %lost, "a node was not let in"),
        Err(_) => return tracing::debug!(from, %node, "a node connected and did not greet"),
    };
    drop(place);
    let number = inner.next.fetch_add(1, Relaxed);
    inner.connections.lock().insert(number, Connection { from: node, answerer: answerer.clone() });
    tracing::debug!(from, %node, "a node has connected");
    let lost = answerer.run(pipe).await;
    inner.connections.lock().remove(&number);
    match &lost {
        Lost::Broken(_) | Lost::Silent(_) => tracing::warn!(from, %node, %lost, "the connection of a node was given up"),
        Lost::PeerGone(_) | Lost::TimedOut(_) | Lost::Farewell(_) | Lost::Failed(_) | Lost::Closed => {
            tracing::debug!(from, %node, %lost, "the connection of a node ended");
        }
    }
}

impl Inner {
    fn tick(&self, now: Instant) {
        let answerers: Vec<_> = self.connections.lock().values().map(|c| c.answerer.clone()).collect();
        answerers.iter().for_each(|a| a.tick(now));
        let turned_away = std::mem::take(&mut self.half_open.lock().turned_away);
        if turned_away > 0 {
            tracing::warn!(turned_away, "connections to the cluster port were closed: too many have not proven who they are");
        }
    }
}

/// Counts a connection as half open for as long as it is.
struct HalfOpenPlace {
    inner: Arc<Inner>,
    host: String,
}

impl HalfOpenPlace {
    fn take(inner: &Arc<Inner>, from: &str) -> Option<Self> {
        let host = from.rsplit_once(':').map_or(from, |(host, _)| host).to_owned();
        let most = inner.config.limits.max_half_open;
        let mut half_open = inner.half_open.lock();
        let of_host = half_open.of.get(&host).copied().unwrap_or(0);
        if half_open.all >= most || of_host >= most.div_ceil(4) {
            half_open.turned_away += 1;
            return None;
        }
        half_open.all += 1;
        half_open.of.insert(host.clone(), of_host + 1);
        drop(half_open);
        Some(Self { inner: inner.clone(), host })
    }
}

impl Drop for HalfOpenPlace {
    fn drop(&mut self) {
        let mut half_open = self.inner.half_open.lock();
        half_open.all -= 1;
        if let Some(n) = half_open.of.get_mut(&self.host) {
            *n -= 1;
            if *n == 0 {
                half_open.of.remove(&self.host);
            }
        }
    }
}
