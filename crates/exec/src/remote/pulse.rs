//! What aggregators and leaves tell each other all the time.
//!
//! Owns:     which aggregators there are, what they may still read, when they were last heard of.
//! Promises: a leaf keeps every version that a living aggregator may still ask for. What an aggregator that is gone has left undone is rolled back; what
//!           it left undecided is settled.
//! Never:    takes silence for death before it has lasted for a while.

use super::ask::{CONTROL, CallFault, internal};
use super::message::{End, Figures, Pulse, TableFigures};
use super::method;
use super::two_phase::Participant;
use crate::engine::Engine;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use weald_rpc::Ask;
use weald_types::{NodeIdentity, Timestamp, TxnId};

/// How often.
pub const EVERY: Duration = Duration::from_millis(500);
/// An aggregator that was not heard of for so long does not read at old times any more (its reads are refused), and its open transactions are rolled back.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// What an aggregator that has not been heard of yet may want to read.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Default)]
pub struct Readers {
    heard: Mutex<HashMap<NodeIdentity, Reader>>,
    /// Aggregators that have done something here and were not heard of yet: since when that is known.
    met: Mutex<HashMap<NodeIdentity, Duration>>,
    /// Who waited for whom at the last pulse, on any node.
    waits: Mutex<BTreeSet<(TxnId, TxnId)>>,
}

struct Reader {
    reads_from: Timestamp,
    run: u64,
    heard: Duration,
}

impl Readers {
    /// Gives whether it is another run of the process than before.
    fn heard(&self, from: NodeIdentity, pulse: &Pulse, now: Duration) -> bool {
        let mut all = self.heard.lock();
        let before = all.insert(from, Reader { reads_from: pulse.reads_from, run: pulse.run, heard: now });
        before.is_some_and(|b| b.run != pulse.run)
    }
    /// Nobody reads before this, nor will; `now` on both clocks.
    pub fn horizon(&self, clock: Timestamp, now: Duration) -> Timestamp {
        let all = self.heard.lock();
        if all.is_empty() {
            return clock;
        }
        let grace = Timestamp::from_micros(clock.micros().saturating_sub(GRACE.as_micros() as u64));
        all.values().filter(|r| now.saturating_sub(r.heard) <= GONE_AFTER).fold(grace, |least, r| least.min(r.reads_from))
    }
    fn is_gone(&self, node: NodeIdentity, now: Duration) -> bool {
        if let Some(reader) = self.heard.lock().get(&node) {
            return now.saturating_sub(reader.heard) > GONE_AFTER;
        }
        // Its first statement may be earlier than its first pulse.
        let since = *self.met.lock().entry(node).or_insert(now);
        now.saturating_sub(since) > GONE_AFTER
    }
}

impl Engine {
    /// Tells every node what this one may still read, and learns how large its tables are; then ends and settles what others have left. Call it every
    /// [`EVERY`].
    pub async fn pulse(self: &Arc<Self>) {
        let waits = self.ask_figures().await;
        self.end_circles(waits).await;
        let now = self.node.env.clock.now();
        let is_gone = |node| node != self.leaves.me() && self.readers.is_gone(node, now);
        self.branches.end_of(is_gone).await;
        self.open_gates_of_gone(is_gone);
        self.settle().await;
    }

    /// Transactions that wait for each other on several nodes, and did so at the pulse before: the one of each circle that is this node's is told.
    async fn end_circles(&self, mut waits: Vec<(Participant, TxnId, TxnId)>) {
        waits.extend(self.node.waits.edges().into_iter().map(|(waiter, holder)| (None, waiter, holder)));
        let now: BTreeSet<(TxnId, TxnId)> = waits.iter().map(|(_, waiter, holder)| (*waiter, *holder)).collect();
        let lasting = std::mem::replace(&mut *self.readers.waits.lock(), now.clone()).intersection(&now).copied().collect();
        for victim in weald_txn::victims(&lasting).into_iter().filter(|v| self.is_mine(*v)) {
            tracing::info!(txn = %victim, "a deadlock over several nodes: this transaction is rolled back");
            let places: BTreeSet<Participant> = waits.iter().filter(|(_, waiter, _)| *waiter == victim).map(|(node, ..)| *node).collect();
            for node in places {
                let told = match node {
                    Some(node) => self.end_at(node, victim, &End::Victim).await.map(drop).map_err(CallFault::fault),
                    None => self.end_branch(victim, &End::Victim).await.map(drop),
                };
                if let Err(error) = told {
                    tracing::debug!(txn = %victim, %error, "the victim of a deadlock was not told");
                }
            }
        }
    }

    /// What [`Engine::size`] says of tables on other nodes is as of now. Gives who waits for whom there.
    pub async fn ask_figures(&self) -> Vec<(Participant, TxnId, TxnId)> {
        let mut waits = Vec::new();
        let reads_from = self.node.snapshots.advance(self.horizon());
        let pulse = Pulse { reads_from, run: self.run(), gates: self.gates_closed() };
        if let Ok(body) = weald_rpc::message::encode(&pulse) {
            let told = self.leaves.peers().into_iter().map(|(node, peer)| {
                let ask = Ask { method: method::PULSE, body: body.clone(), within: Some(GRACE) };
                async move {
                    match peer.call(CONTROL, ask).await.map_err(internal).and_then(|b| weald_rpc::message::decode::<Figures>(&b).map_err(internal)) {
                        Ok(figures) => {
                            self.leaves.take_figures(node, figures.tables);
                            figures.waits.into_iter().map(|(waiter, holder)| (Some(node), waiter, holder)).collect()
                        }
                        Err(error) => {
                            tracing::debug!(%node, %error, "no pulse");
                            Vec::new()
                        }
                    }
                }
            });
            waits = futures::future::join_all(told).await.concat();
        }
        waits
    }

    /// Garbage below this is nobody's any more.
    pub fn horizon(&self) -> Timestamp {
        let clock = self.node.clock.now(self.node.wall());
        self.readers.horizon(clock, self.node.env.clock.now())
    }

    pub(super) async fn hear(&self, from: NodeIdentity, pulse: &Pulse) -> Figures {
        let other_run = self.readers.heard(from, pulse, self.node.env.clock.now());
        if other_run {
            self.branches.end_of(|node| node == from).await;
        }
        self.open_gates_of(from, &pulse.gates);
        self.figures()
    }

    fn figures(&self) -> Figures {
        let mut tables = Vec::new();
        for partition in self.all_here() {
            for t in partition.tables() {
                tables.push(TableFigures {
                    table: t.id(),
                    ordinal: partition.id().ordinal(),
                    rows: t.row_count(),
                    bytes: t.memory().bytes(),
                    auto_increment_seen: t.auto_increment_seen(),
                });
            }
        }
        Figures { tables, waits: self.node.waits.edges() }
    }
}
