//! One generation's Raft on this node: started from its store, stopped once.
//!
//! Owns:     the store and openraft's tasks.
//! Promises: [`Member::stop`] returns when nothing of it writes or answers any more.
//! Never:    campaigns by itself: openraft's own elections are off, so that a leaf never leads (`campaign` decides).

use crate::error::Error;
use crate::group::Shared;
use crate::machine::Machine;
use crate::network::Links;
use crate::raft::{LogId, Raft};
use crate::settings::Settings;
use crate::store::{LogStore, Store};
use openraft::{Config, ServerState, SnapshotPolicy};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use tokio::time::Instant;
use weald_catalog::Outcome;
use weald_types::{Fault, Generation};

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// None: not a command, but an entry of the group's own.
    pub outcome: Option<Result<Outcome, Fault>>,
    /// Of the state that has it. Wait for this at another node to see there what was done here.
    pub version: u64,
}

pub(crate) struct Member {
    pub generation: Generation,
    pub raft: Raft,
    pub store: Arc<Store>,
    pub started: Instant,
}

/// A moment of openraft's, as far as decisions are made by it.
pub(crate) struct Moment {
    pub term: u64,
    pub leads: bool,
    /// A majority answered within the lease.
    pub has_majority: bool,
    pub last: Option<u64>,
    pub applied: Option<LogId>,
    /// One set, or two while votes change.
    pub voters: Vec<BTreeSet<u32>>,
    pub all: BTreeSet<u32>,
    /// Of a leader: how far each node's log is known to go.
    pub matched: Vec<(u32, Option<LogId>)>,
    pub failed: Option<String>,
}

fn config(settings: &Settings) -> Result<Arc<Config>, Error> {
    let lease = settings.lease.as_millis() as u64;
    let heartbeat = settings.heartbeat.as_millis() as u64;
    let config = Config {
        cluster_name: "metadata".into(),
        heartbeat_interval: heartbeat,
        election_timeout_min: lease.saturating_sub(1).max(heartbeat + 1),
        // What openraft takes for the leader's lease.
        election_timeout_max: lease.max(heartbeat + 2),
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: settings.entries_kept,
        enable_elect: false,
        ..Config::default()
    };
    config.validate().map(Arc::new).map_err(|e| Error::Failed { reason: e.to_string() })
}

impl Member {
    pub async fn start(shared: &Arc<Shared>, generation: Generation, journal: &Path) -> Result<Arc<Self>, Error> {
        let opened = Store::open(&shared.env, journal, &shared.settings)?;
        let store = opened.store;
        store.end_own_reign(shared.me);
        let state = match &opened.state {
            Some((_, bytes)) => {
                let state = weald_meta::decode_state(bytes).map_err(|e| Error::Broken { path: journal.to_owned(), reason: e.to_string() })?;
                if let Some(reason) = weald_meta::invariant::broken(&state) {
                    return Err(Error::Broken { path: journal.to_owned(), reason });
                }
                Some(state)
            }
            None => None,
        };
        let from = opened.state.as_ref().map(|(head, _)| head).zip(state);
        let machine = Machine::new(store.clone(), from, shared.shown.clone());
        let links = Links { shared: shared.clone(), generation };
        let raft = Raft::new(shared.me, config(&shared.settings)?, links, LogStore(store.clone()), machine)
            .await
            .map_err(|e| Error::Failed { reason: e.to_string() })?;
        Ok(Arc::new(Self { generation, raft, store, started: Instant::now() }))
    }

    pub async fn stop(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "a task of the metadata group panicked");
        }
        self.store.close();
    }

    pub fn now(&self, settings: &Settings) -> Moment {
        let metrics = self.raft.metrics();
        // Whoever reports them is gone only if it was told to end, or panicked.
        let panicked = metrics.has_changed().is_err().then(|| "its task is gone".to_owned());
        let m = metrics.borrow();
        let leads = m.state == ServerState::Leader;
        let membership = m.membership_config.membership();
        let voters = membership.get_joint_config().clone();
        let alone = voters.iter().all(|set| set.len() <= 1);
        let heard = m.millis_since_quorum_ack.is_some_and(|ms| u128::from(ms) <= settings.lease.as_millis());
        Moment {
            term: m.current_term,
            leads,
            has_majority: leads && (alone || heard),
            last: m.last_log_index,
            applied: m.last_applied,
            voters,
            all: membership.nodes().map(|(id, ())| *id).collect(),
            matched: m.replication.iter().flatten().map(|(id, at)| (*id, *at)).collect(),
            failed: m.running_state.as_ref().err().map(|e| e.to_string()).or(panicked),
        }
    }
}

impl Moment {
    pub fn is_voter(&self, node: u32) -> bool {
        self.voters.iter().any(|set| set.contains(&node))
    }
    /// The only one there is.
    pub fn is_sole_voter(&self, node: u32) -> bool {
        self.is_voter(node) && self.voters.iter().all(|set| set.len() == 1)
    }
    /// Whether `nodes` are more than half of every set of voters.
    pub fn is_majority(&self, nodes: &BTreeSet<u32>) -> bool {
        !self.voters.is_empty() && self.voters.iter().all(|set| set.intersection(nodes).count() > set.len() / 2)
    }
}
