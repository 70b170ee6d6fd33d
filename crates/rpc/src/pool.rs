//! Connections to the other nodes: made when they are needed, a few to each.
//!
//! Owns:     every connection that this node opened, their tasks, and the ticker that looks after them.
//! Promises: a call waits for a connection that is being made; while a node is known to be unreachable calls fail at once, with the reason.
//!           A call that finds its connection just lost is sent on a new one, once, since nothing of it had left.
//! Never:    sends a request twice that may have been run; picks another node than it was told.

use crate::Limits;
use crate::asker::{Ask, Asker, Call, LineUp, Wanted};
use crate::error::{CallError, ConnectError, Lost, NotRun};
use crate::keyring::Keyring;
use crate::network::{BoxStream, Network};
use crate::opening::{self, Opened, Protocol};
use crate::pipe::Pipe;
use crate::stamps::Stamps;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, timeout, timeout_at};
use weald_types::NodeIdentity;

const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Which of the connections to a node. Requests of one lane share a connection, those of different lanes never wait for each other: large
/// results have a lane of their own, and so have the signs of life that decide whether a node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u8);

/// Where a node is now. Asked for each attempt to connect, so that a changed address is found.
pub type Addresses = Arc<dyn Fn(NodeIdentity) -> Option<String> + Send + Sync>;

/// Told when a connection comes and goes, at once. Must be quick.
pub type OnChange = Arc<dyn Fn(NodeIdentity, Lane, &LinkChange) + Send + Sync>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkChange {
    Up,
    Lost(Lost),
    /// An attempt to connect failed.
    Failed(ConnectError),
}

/// One piece of an answer in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Part(Bytes),
    /// The last: the answer itself.
    End(Bytes),
}

pub struct PoolConfig {
    pub keyring: Arc<Keyring>,
    pub network: Arc<dyn Network>,
    pub addresses: Addresses,
    pub stamps: Arc<dyn Stamps>,
    pub limits: Limits,
    pub on_change: Option<OnChange>,
}

/// All connections that this node opens. Cheap to clone; when the last clone and the last [`Peer`] are gone, so are the connections.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    config: PoolConfig,
    peers: Mutex<BTreeMap<NodeIdentity, Arc<Links>>>,
    /// `None` once the pool is closed.
    tasks: Mutex<Option<JoinSet<()>>>,
    closed: watch::Sender<bool>,
}

/// The connections to one node.
struct Links {
    node: NodeIdentity,
    lanes: Mutex<BTreeMap<Lane, Link>>,
}

enum Link {
    Connecting(watch::Receiver<Option<Result<Arc<Asker>, ConnectError>>>),
    Up(Arc<Asker>),
    /// Not before `until` again.
    Failed {
        error: ConnectError,
        until: Instant,
        next: Duration,
    },
    /// Was up; the next call connects.
    Down,
}

/// One node, as the pool speaks with it. Cheap to clone; to be kept by who calls often.
#[derive(Clone)]
pub struct Peer {
    pool: Arc<Inner>,
    links: Arc<Links>,
}

/// An answer that comes in parts. Dropping it cancels the request.
pub struct Pieces(Call);

impl Pieces {
    /// The next part, or the answer that ends them. Safe to cancel.
    pub async fn next(&mut self) -> Result<Piece, CallError> {
        self.0.piece().await
    }
}

impl Pool {
    /// Needs to be called on the runtime that is to do the work.
    pub fn new(config: PoolConfig) -> Self {
        let (closed, mut closing) = watch::channel(false);
        let inner = Arc::new(Inner { config, peers: Mutex::default(), tasks: Mutex::new(Some(JoinSet::new())), closed });
        let (weak, tick) = (Arc::downgrade(&inner), inner.config.limits.tick);
        inner.spawn(async move {
            let mut interval = tokio::time::interval(tick);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    // Closed, or everybody has let go of the pool.
                    _ = closing.changed() => return,
                    now = interval.tick() => {
                        let Some(inner) = weak.upgrade() else { return };
                        inner.tick(now);
                    }
                }
            }
        });
        Self(inner)
    }

    pub fn peer(&self, node: NodeIdentity) -> Peer {
        let mut peers = self.0.peers.lock();
        let links = peers.entry(node).or_insert_with(|| Arc::new(Links { node, lanes: Mutex::default() }));
        Peer { pool: self.0.clone(), links: links.clone() }
    }

    /// The node is no longer one of us: what is under way with it ends.
    pub fn forget(&self, node: NodeIdentity) {
        let links = self.0.peers.lock().remove(&node);
        if let Some(links) = links {
            links.close();
        }
    }

    /// Ends all connections, and returns when nothing of them is left.
    pub async fn close(&self) {
        let tasks = self.0.tasks.lock().take();
        let peers = std::mem::take(&mut *self.0.peers.lock());
        peers.values().for_each(|links| links.close());
        if let Some(mut tasks) = tasks {
            self.0.closed.send_replace(true);
            // Connections end by themselves; of an attempt to connect nothing has to be finished.
            let ending = async { while tasks.join_next().await.is_some() {} };
            if timeout(CLOSE_WITHIN, ending).await.is_err() {
                tasks.shutdown().await;
            }
        }
    }
}

impl Peer {
    pub fn node(&self) -> NodeIdentity {
        self.links.node
    }

    /// Asks, and waits for the answer. Dropping the future cancels the request at the other end.
    pub async fn call(&self, lane: Lane, ask: Ask) -> Result<Bytes, CallError> {
        self.submit(lane, ask, Wanted::Answer).await?.answer().await
    }

    /// Asks for an answer that may come in parts.
    pub async fn call_in_parts(&self, lane: Lane, ask: Ask) -> Result<Pieces, CallError> {
        Ok(Pieces(self.submit(lane, ask, Wanted::Parts).await?))
    }

    /// A message without an answer. `Ok` means that it is on its way, no more.
    pub async fn send(&self, lane: Lane, method: u16, body: Bytes) -> Result<(), NotRun> {
        self.connection(lane).await?.send(method, body)
    }

    /// A stream for HTTP/2, as a connection of its own: for whoever speaks it.
    pub async fn http2(&self) -> Result<BoxStream, ConnectError> {
        let within = self.pool.config.limits.connect_within;
        let mut address = String::new();
        match timeout(within, self.pool.open(self.node(), Protocol::Http2, &mut address)).await {
            Ok(opened) => Ok(opened?.stream),
            Err(_) => Err(ConnectError::TimedOut { address, within }),
        }
    }

    /// How many connections to this node stand.
    pub fn open_connections(&self) -> usize {
        let lanes = self.links.lanes.lock();
        lanes.values().filter(|link| matches!(link, Link::Up(asker) if !asker.is_ended())).count()
    }

    /// The next call connects at once, whatever happened before: there is news of this node.
    pub fn retry_now(&self) {
        self.links.lanes.lock().retain(|_, link| !matches!(link, Link::Failed { .. }));
    }

    async fn submit(&self, lane: Lane, ask: Ask, wanted: Wanted) -> Result<Call, NotRun> {
        let Ask { method, body, within } = ask;
        let deadline = within.map(|within| (Instant::now() + within, within));
        let mut line_up = Some(LineUp { method, body, deadline, wanted });
        let submitting = async {
            let first = self.connection(lane).await?;
            match first.submit(&mut line_up).await {
                // It had ended before anything of the request was in line.
                Err(NotRun::NotSent(_)) => {
                    self.links.down(lane, &first);
                    self.connection(lane).await?.submit(&mut line_up).await
                }
                result => result,
            }
        };
        match deadline {
            None => submitting.await,
            Some((at, within)) => match timeout_at(at, submitting).await {
                Ok(result) => result,
                Err(_) => Err(NotRun::NotSent(Lost::TimedOut(within))),
            },
        }
    }

    async fn connection(&self, lane: Lane) -> Result<Arc<Asker>, NotRun> {
        let mut connecting = {
            let mut lanes = self.links.lanes.lock();
            let mut backoff = self.pool.config.limits.backoff.0;
            match lanes.get(&lane) {
                Some(Link::Up(asker)) => return Ok(asker.clone()),
                Some(Link::Connecting(result)) => result.clone(),
                Some(Link::Failed { .. }) if *self.pool.closed.borrow() => return Err(NotRun::Closed),
                Some(Link::Failed { error, until, .. }) if Instant::now() < *until => return Err(NotRun::Unreachable(Box::new(error.clone()))),
                link @ (Some(Link::Failed { .. } | Link::Down) | None) => {
                    if let Some(Link::Failed { next, .. }) = link {
                        backoff = *next;
                    }
                    let (tell, result) = watch::channel(None);
                    let task = self.clone().connect(lane, backoff, tell);
                    if !self.pool.spawn(task) {
                        return Err(NotRun::Closed);
                    }
                    lanes.insert(lane, Link::Connecting(result.clone()));
                    result
                }
            }
        };
        // The task that connects has gone without a word: the pool is closed.
        let result = connecting.wait_for(Option::is_some).await.map_err(|_| NotRun::Closed)?.clone();
        result.ok_or(NotRun::Closed)?.map_err(|e| NotRun::Unreachable(Box::new(e)))
    }

    /// The task of a connection: makes it, then drives it to its end.
    async fn connect(self, lane: Lane, backoff: Duration, tell: watch::Sender<Option<Result<Arc<Asker>, ConnectError>>>) {
        let limits = &self.pool.config.limits;
        let within = limits.connect_within;
        let mut address = String::new();
        let result = match timeout(within, self.pool.greet(self.node(), &mut address)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::TimedOut { address: address.clone(), within }),
        };
        let Self { pool, links } = self;
        let node = links.node;
        match result {
            Err(error) => {
                tracing::debug!(%node, ?lane, %error, "cannot connect");
                let next = (backoff * 2).min(pool.config.limits.backoff.1);
                links.lanes.lock().insert(lane, Link::Failed { error: error.clone(), until: Instant::now() + backoff, next });
                pool.changed(node, lane, &LinkChange::Failed(error.clone()));
                tell.send_replace(Some(Err(error)));
            }
            Ok((asker, pipe)) => {
                let asker = Arc::new(asker);
                links.lanes.lock().insert(lane, Link::Up(asker.clone()));
                if *pool.closed.borrow() {
                    // Meanwhile, and too late to be seen by who closed.
                    asker.close(Lost::Closed);
                }
                pool.changed(node, lane, &LinkChange::Up);
                tell.send_replace(Some(Ok(asker.clone())));
                // A connection does not keep the pool: if all let go of that, this task ends as well.
                let weak = Arc::downgrade(&pool);
                drop(pool);
                let lost = asker.run(pipe).await;
                match &lost {
                    Lost::Broken(_) | Lost::Silent(_) => tracing::warn!(%node, address, ?lane, %lost, "a connection was given up"),
                    Lost::PeerGone(_) | Lost::TimedOut(_) | Lost::Farewell(_) | Lost::Failed(_) | Lost::Closed => {
                        tracing::debug!(%node, address, ?lane, %lost, "a connection ended");
                    }
                }
                links.down(lane, &asker);
                if let Some(pool) = weak.upgrade() {
                    pool.changed(node, lane, &LinkChange::Lost(lost));
                }
            }
        }
    }
}

impl Links {
    /// `asker` is no longer to be used on `lane`, if it is the one in use.
    fn down(&self, lane: Lane, asker: &Arc<Asker>) {
        if let Some(link) = self.lanes.lock().get_mut(&lane)
            && matches!(link, Link::Up(current) if Arc::ptr_eq(current, asker))
        {
            *link = Link::Down;
        }
    }

    fn close(&self) {
        for link in self.lanes.lock().values() {
            if let Link::Up(asker) = link {
                asker.close(Lost::Closed);
            }
        }
    }
}

impl Inner {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        match &mut *self.tasks.lock() {
            Some(tasks) => {
                tasks.spawn(task);
                true
            }
            None => false,
        }
    }

    fn changed(&self, node: NodeIdentity, lane: Lane, change: &LinkChange) {
        if let Some(on_change) = &self.config.on_change {
            on_change(node, lane, change);
        }
    }

    /// `address` is filled in for who gives up waiting.
    async fn open(&self, node: NodeIdentity, protocol: Protocol, address: &mut String) -> Result<Opened, ConnectError> {
        *address = (self.config.addresses)(node).ok_or(ConnectError::NoAddress(node))?;
        let stream = self.config.network.connect(address).await.map_err(|e| opening::connect_error(address, e))?;
        opening::connect(&self.config.keyring, stream, address, protocol, Some(node)).await
    }

    async fn greet(&self, node: NodeIdentity, address: &mut String) -> Result<(Asker, Pipe), ConnectError> {
        let opened = self.open(node, Protocol::Frames, address).await?;
        let mut pipe = Pipe::new(opened.stream, self.config.limits.max_frame);
        let asker = Asker::greet(&mut pipe, address, self.config.stamps.clone(), &self.config.limits).await?;
        Ok((asker, pipe))
    }

    fn tick(&self, now: Instant) {
        let peers: Vec<_> = self.peers.lock().values().cloned().collect();
        for links in peers {
            let askers: Vec<_> =
                links.lanes.lock().values().filter_map(|l| if let Link::Up(asker) = l { Some(asker.clone()) } else { None }).collect();
            askers.iter().for_each(|asker| asker.tick(now));
        }
        // Tasks that have ended are let go of.
        if let Some(tasks) = &mut *self.tasks.lock() {
            while tasks.try_join_next().is_some() {}
        }
    }
}
