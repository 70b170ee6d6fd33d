//! Who is alive: signs of life, and what the master makes of them.
//!
//! The master asks every node every 100 ms. A process that is gone refuses connections, and is said to be offline at once; one that is silent is after a second, longer
//! than any pause of a process that is well. A node that answers again is taken up again: an aggregator at once, a leaf when it has recovered.
//!
//! Other aggregators ask twice a second, for their own SHOW statements; nobody passes on what another has seen. What a node says of itself is asked for by aggregators
//! only, at most four times a second and less often the more nodes there are.
//!
//! Owns:     the table of what was seen, the timer.
//! Promises: only the master proposes what state a node is in, one proposal at a time, from what it has seen itself since it became master.
//! Never:    moves a partition.

use super::{Cluster, methods, words};
use crate::events;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use weald_aggregator::cluster::{NodeSeen, NodeStage, Reach, Told};
use weald_catalog::{Command, Node, NodeState, TopologyCommand};
use weald_types::{NodeId, NodeIdentity};

const TICK: Duration = Duration::from_millis(100);
/// Who is not the master asks so much less often.
const TICKS_OF_OTHERS: u64 = 5;
/// Silence for so long is taken for absence.
const SILENCE: Duration = Duration::from_secs(1);
/// Between two reports of one node: this, and as much more for each node.
const REPORT_LEAST: Duration = Duration::from_millis(250);
const REPORT_FOR_EACH_NODE: Duration = Duration::from_millis(20);

#[derive(Default)]
pub(super) struct Table {
    nodes: Mutex<BTreeMap<NodeId, Seen>>,
    /// Something happened that need not wait for the next tick.
    stir: Notify,
    proposing: AtomicBool,
}

#[derive(Clone)]
struct Seen {
    /// Since when we ask.
    since: Instant,
    answered: Option<Instant>,
    /// It refused a connection, and has not answered since.
    gone: bool,
    round_trip: Option<Duration>,
    stage: Option<NodeStage>,
    /// Of the metadata that it shows.
    version: u64,
    told: Option<(Instant, Told)>,
    connections: Option<u64>,
    asking: bool,
}

impl Seen {
    fn new(now: Instant) -> Self {
        Self { since: now, answered: None, gone: false, round_trip: None, stage: None, version: 0, told: None, connections: None, asking: false }
    }
    fn is_reachable(&self, now: Instant) -> bool {
        !self.gone && self.answered.is_some_and(|at| now - at <= SILENCE)
    }
    /// It has had the time to answer.
    fn is_lost(&self, now: Instant) -> bool {
        self.gone || now - self.answered.unwrap_or(self.since).max(self.since) > SILENCE
    }
}

impl Table {
    /// Its process is known to be gone.
    pub fn lost(&self, node: NodeId) {
        if let Some(seen) = self.nodes.lock().get_mut(&node) {
            (seen.stage, seen.round_trip) = (None, None);
        }
        self.stir.notify_one();
    }

    pub fn version_of(&self, node: NodeId) -> Option<u64> {
        let now = Instant::now();
        self.nodes.lock().get(&node).filter(|s| s.is_reachable(now)).map(|s| s.version)
    }

    pub fn seen(&self, open_connections: impl Fn(NodeId) -> Option<u64>) -> BTreeMap<NodeId, NodeSeen> {
        let now = Instant::now();
        let seen = |(id, s): (&NodeId, &Seen)| {
            let reach = match (s.answered, s.is_reachable(now)) {
                (_, true) => Reach::Reachable { round_trip: s.round_trip },
                (None, false) if !s.is_lost(now) => return None,
                (_, false) => Reach::Unreachable,
            };
            Some((*id, NodeSeen { reach, connections: open_connections(*id), told: s.told.as_ref().map(|(_, t)| t.clone()) }))
        };
        self.nodes.lock().iter().filter_map(seen).collect()
    }

    /// We are master from now on: what was not answered to us before says nothing.
    fn begin_anew(&self) {
        let now = Instant::now();
        self.nodes.lock().values_mut().for_each(|s| s.since = now);
    }
}

/// What the look before this one saw.
#[derive(Default)]
struct Before {
    led: bool,
    master: Option<NodeId>,
}

/// Until `end`'s sender is dropped.
pub(super) async fn run(cluster: Weak<Cluster>, mut end: oneshot::Receiver<()>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0u64;
    let mut before = Before::default();
    loop {
        let Some(me) = cluster.upgrade() else { return };
        tokio::select! {
            _ = &mut end => return,
            _ = interval.tick() => ticks += 1,
            _ = me.seen.stir.notified() => (),
        }
        me.look(ticks, &mut before);
    }
}

impl Cluster {
    fn look(self: &Arc<Self>, ticks: u64, before: &mut Before) {
        let Some(metadata) = self.metadata() else { return };
        let Some(my_id) = metadata.number() else { return };
        let topology = metadata.topology();
        let leads = metadata.leads();
        if leads && !before.led {
            self.seen.begin_anew();
            metadata.note(events::begins_to_lead(my_id, &topology));
        }
        before.led = leads;
        let master = metadata.master();
        if let Some(now) = master.filter(|_| master != before.master) {
            metadata.has_master(my_id, now);
            before.master = master;
        }
        let now = Instant::now();
        let is_aggregator = topology.nodes.get(&my_id).is_some_and(Node::is_aggregator);
        let due = leads || (is_aggregator && ticks.is_multiple_of(TICKS_OF_OTHERS));
        {
            let mut nodes = self.seen.nodes.lock();
            nodes.retain(|id, _| topology.nodes.contains_key(id));
            for id in topology.nodes.keys().filter(|id| **id != my_id) {
                let seen = nodes.entry(*id).or_insert_with(|| Seen::new(now));
                if due && !seen.asking {
                    seen.asking = true;
                    let report_every = REPORT_LEAST + REPORT_FOR_EACH_NODE * topology.nodes.len() as u32;
                    let wants_report = is_aggregator && seen.told.as_ref().is_none_or(|(at, _)| now - *at > report_every);
                    let decided = leads.then(|| metadata.decided_version());
                    self.runtime.spawn(self.clone().ping(*id, words::Ping { decided }, wants_report));
                }
            }
        }
        metadata.look_at_own_partitions();
        if leads {
            self.judge(my_id, &topology);
        }
        self.clone().announce_if_moved(my_id, &topology);
    }

    async fn ping(self: Arc<Self>, to: NodeId, ping: words::Ping, wants_report: bool) {
        let begun = Instant::now();
        let answer: Result<words::Pong, _> = self.call(to, methods::LIFE_LANE, methods::PING, &ping, SILENCE).await;
        let report: Option<words::Report> = match (&answer, wants_report) {
            (Ok(_), true) => self.call(to, methods::CONTROL_LANE, methods::REPORT, &(), SILENCE).await.ok(),
            (Ok(_), false) | (Err(_), _) => None,
        };
        let now = Instant::now();
        let mut nodes = self.seen.nodes.lock();
        let Some(seen) = nodes.get_mut(&to) else { return };
        seen.asking = false;
        match answer {
            Ok(pong) => {
                let took = begun.elapsed();
                seen.round_trip = Some(seen.round_trip.map_or(took, |before| (before * 7 + took) / 8));
                (seen.answered, seen.gone) = (Some(now), false);
                (seen.stage, seen.version) = (Some(words::stage(pong.stage)), pong.version);
            }
            Err(no_answer) => seen.gone |= no_answer.says_gone(),
        }
        if let Some(report) = report {
            seen.connections = Some(report.connections);
            seen.told = Some((now, report.told()));
        }
    }

    /// What the master proposes for what it sees.
    fn judge(self: &Arc<Self>, my_id: NodeId, topology: &weald_catalog::Topology) {
        let now = Instant::now();
        let verdict = {
            let nodes = self.seen.nodes.lock();
            topology.nodes.iter().find_map(|(id, n)| {
                let to = if *id == my_id { (n.state == NodeState::Offline).then_some(NodeState::Online) } else { verdict(n, nodes.get(id)?, now) };
                to.map(|to| (*id, n.state, to))
            })
        };
        let Some((node, from, to)) = verdict else { return };
        if self.seen.proposing.swap(true, Ordering::Relaxed) {
            return;
        }
        let me = self.clone();
        self.runtime.spawn(async move {
            if let Some(metadata) = me.metadata() {
                let command = Command::Topology(TopologyCommand::SetNodeState { node, from, to });
                match metadata.decide_as_master(command).await {
                    Ok(_) => tracing::info!(%node, from = from.name(), to = to.name(), "a node's state has changed"),
                    Err(fault) => tracing::warn!(%node, to = to.name(), %fault, "a node's state could not be changed"),
                }
            }
            me.seen.proposing.store(false, Ordering::Relaxed);
            me.seen.stir.notify_one();
        });
    }

    /// Somebody asks whether this node is alive.
    pub(super) fn pinged(&self, from: NodeIdentity, ping: words::Ping) -> words::Pong {
        let Some(metadata) = self.metadata() else { return words::Pong { stage: words::stage_number(NodeStage::Starting), version: 0 } };
        // Of a master that others have put aside, and that does not know it yet, nothing is to be believed.
        let is_master = || metadata.master().and_then(|m| Some(metadata.topology().nodes.get(&m)?.identity == from)).unwrap_or(false);
        if let Some(decided) = ping.decided.filter(|_| is_master()) {
            metadata.master_has_decided(decided);
        }
        words::Pong { stage: words::stage_number(metadata.stage()), version: metadata.shown_version() }
    }

    /// What this node sees of the others.
    pub fn observed(&self, topology: &weald_catalog::Topology) -> BTreeMap<NodeId, NodeSeen> {
        let identities: BTreeMap<NodeId, NodeIdentity> = topology.nodes.iter().map(|(id, n)| (*id, n.identity)).collect();
        self.seen.seen(|id| identities.get(&id).map(|identity| self.pool.peer(*identity).open_connections() as u64))
    }
}

/// What state a node is to be in, if another than now.
fn verdict(n: &Node, seen: &Seen, now: Instant) -> Option<NodeState> {
    match n.state {
        NodeState::Online => seen.is_lost(now).then_some(NodeState::Offline),
        NodeState::Offline => seen.is_reachable(now).then_some(if n.is_leaf() { NodeState::Attaching } else { NodeState::Online }),
        NodeState::Attaching if seen.is_lost(now) => Some(NodeState::Offline),
        NodeState::Attaching => (seen.is_reachable(now) && seen.stage == Some(NodeStage::Online)).then_some(NodeState::Online),
        // An operator's.
        NodeState::Detached => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weald_catalog::{Ports, Role};

    fn node(role: Role, state: NodeState) -> Node {
        Node { identity: NodeIdentity::new(1), role, host: "h".into(), ports: Ports::default(), group: 1, state, auto_increment: 0 }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_waited_out_a_refusal_is_not_and_a_leaf_comes_back_over_attaching() {
        let mut seen = Seen::new(Instant::now());
        let check = |role, state, seen: &Seen| verdict(&node(role, state), seen, Instant::now());
        assert_eq!(check(Role::Leaf, NodeState::Online, &seen), None, "it has not had the time to answer");
        tokio::time::advance(SILENCE * 2).await;
        assert_eq!(check(Role::Leaf, NodeState::Online, &seen), Some(NodeState::Offline));
        (seen.answered, seen.stage) = (Some(Instant::now()), Some(NodeStage::Recovering));
        assert_eq!(check(Role::Leaf, NodeState::Online, &seen), None);
        assert_eq!(check(Role::Aggregator, NodeState::Offline, &seen), Some(NodeState::Online));
        assert_eq!(check(Role::Leaf, NodeState::Offline, &seen), Some(NodeState::Attaching));
        assert_eq!(check(Role::Leaf, NodeState::Attaching, &seen), None, "it is recovering");
        seen.stage = Some(NodeStage::Online);
        assert_eq!(check(Role::Leaf, NodeState::Attaching, &seen), Some(NodeState::Online));
        assert_eq!(check(Role::Leaf, NodeState::Detached, &seen), None);
        seen.gone = true;
        assert_eq!(check(Role::Aggregator, NodeState::Online, &seen), Some(NodeState::Offline));
        assert_eq!(check(Role::Leaf, NodeState::Attaching, &seen), Some(NodeState::Offline));
    }
}
