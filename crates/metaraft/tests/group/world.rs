//! A cluster in one thread: nodes with disks that forget, a network that delays, loses and cuts, time that stands still while anyone works.
//!
//! Everything is drawn from one seed, and nothing happens outside of it: the clock is tokio's, stopped; the log's threads are waited for on the spot
//! ([`Flush::Block`]). So a seed is a history.

use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use weald_catalog::{Authority, Command, NewNode, Ports, Role, TopologyCommand};
use weald_env::sim::{SimDisk, Survives};
use weald_env::{Disk, Env};
use weald_meta::State;
use weald_metaraft::{Flush, Group, Network, Settings, Unreachable, World};
use weald_types::{ClusterId, Generation, NodeId, NodeIdentity};

pub const CLUSTER: ClusterId = ClusterId::new(0xC1);

/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
    pub fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// One node: its disk outlives its process.
pub struct Node {
    pub disk: Arc<SimDisk>,
    pub group: Option<Arc<Group>>,
    /// How often it has started: what an earlier process says is heard by nobody.
    pub incarnation: u64,
}

pub struct Net {
    inner: Mutex<Inner>,
}

struct Inner {
    begun: Instant,
    draw: Draw,
    nodes: BTreeMap<u32, Node>,
    /// From, to.
    cuts: BTreeSet<(u32, u32)>,
    loss_percent: u64,
    delay_most_ms: u64,
    messages: u64,
    /// Every message and its fate: two runs of a seed have the same.
    log: Vec<(u128, u32, u32, usize, bool)>,
}

impl Net {
    pub fn new(seed: u64) -> Arc<Self> {
        let draw = Draw::new(seed ^ 0x4E45_5400);
        let begun = Instant::now();
        let inner =
            Inner { begun, draw, nodes: BTreeMap::new(), cuts: BTreeSet::new(), loss_percent: 0, delay_most_ms: 2, messages: 0, log: Vec::new() };
        Arc::new(Self { inner: Mutex::new(inner) })
    }

    pub fn weather(&self, loss_percent: u64, delay_most_ms: u64) {
        let mut inner = self.inner.lock();
        (inner.loss_percent, inner.delay_most_ms) = (loss_percent, delay_most_ms);
    }
    pub fn cut(&self, from: u32, to: u32) {
        self.inner.lock().cuts.insert((from, to));
    }
    pub fn isolate(&self, node: u32) {
        let mut inner = self.inner.lock();
        let others: Vec<u32> = inner.nodes.keys().copied().filter(|n| *n != node).collect();
        inner.cuts.extend(others.into_iter().flat_map(|o| [(o, node), (node, o)]));
    }
    pub fn mend(&self) {
        self.inner.lock().cuts.clear();
    }
    pub fn messages(&self) -> u64 {
        self.inner.lock().messages
    }
    pub fn log(&self) -> Vec<(u128, u32, u32, usize, bool)> {
        self.inner.lock().log.clone()
    }

    pub fn group(&self, node: u32) -> Option<Arc<Group>> {
        self.inner.lock().nodes.get(&node)?.group.clone()
    }
    pub fn disk(&self, node: u32) -> Arc<SimDisk> {
        self.inner.lock().nodes[&node].disk.clone()
    }
    pub fn running(&self) -> Vec<u32> {
        self.inner.lock().nodes.iter().filter(|(_, n)| n.group.is_some()).map(|(id, _)| *id).collect()
    }
    pub fn all(&self) -> Vec<u32> {
        self.inner.lock().nodes.keys().copied().collect()
    }

    /// Alive, and of that incarnation, and with power.
    fn is(&self, node: u32, incarnation: u64) -> bool {
        self.inner.lock().nodes.get(&node).is_some_and(|n| n.incarnation == incarnation && n.disk.has_power())
    }

    /// Draws what happens to one message; None: it never arrives.
    fn fate(&self, from: u32, to: u32, len: usize) -> Option<Duration> {
        let mut inner = self.inner.lock();
        inner.messages += 1;
        let most = inner.delay_most_ms * 1000;
        let delay = Duration::from_micros(200 + inner.draw.below(most));
        let loss = inner.loss_percent;
        let lost = inner.draw.percent(loss) || inner.cuts.contains(&(from, to));
        let now = inner.begun.elapsed().as_micros();
        inner.log.push((now, from, to, len, lost));
        (!lost).then_some(delay)
    }
}

/// One process's way to the others.
struct Port {
    net: Arc<Net>,
    me: u32,
    incarnation: u64,
}

impl Network for Port {
    fn call(&self, to: NodeId, message: Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, Unreachable>> {
        let (net, me, incarnation, to_raw) = (self.net.clone(), self.me, self.incarnation, to.raw());
        Box::pin(async move {
            // Power may have failed while the sender worked; then it never came to this.
            let Some(delay) = net.fate(me, to_raw, message.len()).filter(|_| net.is(me, incarnation)) else { return std::future::pending().await };
            sleep(delay).await;
            let there = {
                let inner = net.inner.lock();
                inner.nodes.get(&to_raw).and_then(|n| Some((n.group.clone()?, n.incarnation)))
            };
            let Some((group, its)) = there else { return Err(Unreachable { to, reason: "connection refused".into() }) };
            // The receiver goes on even if nobody waits for its answer any more.
            let handled = tokio::spawn(async move { group.handle(&message).await }).await;
            let len = handled.as_ref().map_or(0, |h| h.as_ref().map_or(0, Vec::len));
            let Some(delay) = net.fate(to_raw, me, len).filter(|_| net.is(to_raw, its)) else { return std::future::pending().await };
            sleep(delay).await;
            if !net.is(me, incarnation) {
                return std::future::pending().await;
            }
            match handled {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(error)) => panic!("a message could not be understood: {error}"),
                Err(error) => panic!("a handler panicked: {error}"),
            }
        })
    }
}

pub fn settings() -> Settings {
    Settings { flush: Flush::Block, segment_bytes: 1 << 20, ..Settings::default() }
}

pub fn meta() -> PathBuf {
    PathBuf::from("/data/meta")
}

fn world(net: &Arc<Net>, node: u32, disk: &Arc<SimDisk>, incarnation: u64, settings: Settings) -> World {
    let env = Env::with_disk(disk.clone(), u64::from(node) << 32 | incarnation);
    World { env, dir: meta(), network: Arc::new(Port { net: net.clone(), me: node, incarnation }), settings }
}

pub fn new_node(n: u32) -> NewNode {
    let ports = Ports { mysql: 3306, cluster: 3406, http: 3506 };
    NewNode { identity: NodeIdentity::new(n.into()), host: format!("h{n}").into(), ports }
}

/// What BOOTSTRAP AGGREGATOR leaves.
pub fn bootstrapped() -> State {
    let mut state = State::fresh();
    let authority = Authority { certificate: vec![1], key: vec![2] };
    let order = TopologyCommand::Bootstrap { cluster: CLUSTER, authority, node: new_node(1), role: Role::Aggregator };
    state.apply(Command::Topology(order)).unwrap();
    state
}

pub fn set(name: &str, value: &str) -> Command {
    Command::SetVariable { name: name.into(), value: Some(value.into()) }
}

impl Net {
    fn blank(&self, node: u32) -> (Arc<SimDisk>, u64) {
        let disk = Arc::new(SimDisk::new());
        disk.create_dir_all(&meta()).unwrap();
        disk.sync_dir(std::path::Path::new("/")).unwrap();
        disk.sync_dir(std::path::Path::new("/data")).unwrap();
        self.inner.lock().nodes.insert(node, Node { disk: disk.clone(), group: None, incarnation: 1 });
        (disk, 1)
    }

    pub async fn found(self: &Arc<Self>, settings: Settings) -> Arc<Group> {
        let (disk, incarnation) = self.blank(1);
        let group = Group::found(world(self, 1, &disk, incarnation, settings), CLUSTER, NodeId::new(1), &bootstrapped()).await.unwrap();
        self.up(1, group)
    }

    pub async fn join(self: &Arc<Self>, node: u32, settings: Settings) -> Arc<Group> {
        let (disk, incarnation) = self.blank(node);
        let group = Group::join(world(self, node, &disk, incarnation, settings), CLUSTER, Generation::FIRST, NodeId::new(node)).await.unwrap();
        self.up(node, group)
    }

    fn up(&self, node: u32, group: Group) -> Arc<Group> {
        let group = Arc::new(group);
        if let Some(n) = self.inner.lock().nodes.get_mut(&node) {
            n.group = Some(group.clone());
        }
        group
    }

    /// Its process ends, and what it had not synced is subject to `survives`.
    pub async fn crash(&self, node: u32, survives: Survives) {
        let (group, disk) = {
            let mut inner = self.inner.lock();
            let n = inner.nodes.get_mut(&node).unwrap();
            n.disk.fail_power(0, survives);
            let left = Arc::new(n.disk.left().unwrap());
            n.disk = left.clone();
            n.incarnation += 1;
            (n.group.take(), left)
        };
        drop(disk);
        if let Some(group) = group {
            // Its tasks have to end; what they still write goes to a disk that nobody will read.
            group.close().await;
        }
    }

    pub async fn start(self: &Arc<Self>, node: u32, settings: Settings) -> Arc<Group> {
        let (disk, incarnation) = {
            let inner = self.inner.lock();
            (inner.nodes[&node].disk.clone(), inner.nodes[&node].incarnation)
        };
        let group = Group::open(world(self, node, &disk, incarnation, settings)).await.unwrap().unwrap();
        self.up(node, group)
    }

    /// A cluster with `aggregators` and `leaves`, in that order of numbers, all of them in the group.
    pub async fn cluster(self: &Arc<Self>, aggregators: u32, leaves: u32, settings: Settings) {
        let first = self.found(settings.clone()).await;
        until(|| first.status().leading == weald_metaraft::Leading::WithMajority).await;
        for n in 2..=aggregators + leaves {
            let node = new_node(n);
            let order = if n <= aggregators { TopologyCommand::AddAggregator { node } } else { TopologyCommand::AddLeaf { node, group: None } };
            first.propose(Command::Topology(order)).await.unwrap().outcome.unwrap().unwrap();
            self.join(n, settings.clone()).await;
        }
        let version = first.state().version;
        until(|| self.running().iter().all(|n| self.group(*n).is_some_and(|g| g.state().version >= version))).await;
        let votes = [1, 1, 3, 3, 3, 3, 5][(aggregators + leaves) as usize - 1];
        until(|| first.status().voters.len() == votes).await;
        // The last change of votes is over, too.
        sleep(Duration::from_secs(1)).await;
    }

    /// Who leads, with a majority.
    pub fn leader(&self) -> Option<u32> {
        self.running().into_iter().find(|n| self.group(*n).is_some_and(|g| g.status().leading == weald_metaraft::Leading::WithMajority))
    }

    /// Sends a command to whoever leads, until it has been made.
    pub async fn propose(&self, command: Command) -> weald_metaraft::Applied {
        for _ in 0..2000 {
            if let Some(group) = self.leader().and_then(|l| self.group(l))
                && let Ok(done) = group.propose(command.clone()).await
            {
                return done;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody takes commands: {:?}", self.running().iter().map(|n| self.group(*n).map(|g| g.status())).collect::<Vec<_>>());
    }
}

/// Waits for a condition, in simulated time.
pub async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to hold");
}

/// What openraft and we ourselves say, where `WEALD_LOG` asks for it.
fn tell() {
    if let Ok(filter) = std::env::var("WEALD_LOG") {
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().without_time().with_ansi(false).try_init();
    }
}

/// Runs `body` with the clock stopped.
pub fn simulate<T>(body: impl Future<Output = T>) -> T {
    tell();
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(body)
}

/// Those of CI, or what `WEALD_SEEDS=from..to` asks for.
pub fn seeds(of_ci: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let asked = std::env::var("WEALD_SEEDS").ok().and_then(|s| {
        let (from, to) = s.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    asked.unwrap_or(of_ci)
}
