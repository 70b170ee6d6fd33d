//! How a change comes about: here if this node is the master, otherwise at the master.
//!
//! Owns:     nothing.
//! Promises: a change is made at most once for each time it is asked for: what may have been made is said to be unknown, and not tried again.
//!           What was not made is tried again at the next master, for as long as an election may take.
//! Never:    decides what a change does.

use super::{Member, MetadataGroup};
use crate::cluster::{Done, NoAnswer};
use crate::metadata::alone;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use weald_aggregator::cluster::ClusterOrder;
use weald_catalog::{Command, NodeState, Outcome};
use weald_meta::State;
use weald_metaraft::{Group, Leading, Refused};
use weald_types::{Fault, NodeId};

/// Several elections.
const MASTER_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

fn group_fault(reason: &dyn std::fmt::Display) -> Fault {
    Fault::mysql(1030, "HY000", format!("Got error 1 - 'the catalogue could not be written: {reason}' from storage engine"))
}

/// 1736: a command that needs an aggregator, on a node that is none.
pub(super) fn no_role() -> Fault {
    let text = "This node is of no cluster yet; run BOOTSTRAP AGGREGATOR on it, or ADD AGGREGATOR or ADD LEAF on an aggregator of a cluster";
    Fault::mysql(1736, "HY000", text)
}

fn no_master() -> Fault {
    let text = "There is no master aggregator at the moment: too few of the nodes that vote can be reached. Definitions cannot be changed until there is one";
    Fault::mysql(1752, "HY000", text)
}

/// Where the master may be, as far as one change has come in looking for it.
#[derive(Default)]
struct Guesses {
    hint: Option<NodeId>,
    tried: usize,
}

/// What became of a change at the master.
enum Decision {
    Made(Outcome, u64),
    /// It has not happened.
    NotMaster,
}

impl MetadataGroup {
    pub(super) async fn change(&self, command: Command) -> Result<Outcome, Fault> {
        if self.member().is_none() {
            return Err(no_role());
        }
        if !self.leaf.is_taken_up() {
            return Err(Fault::PartitionUnavailable { partition: "*".into(), reason: self.leaf.recovering() });
        }
        self.decide(command).await
    }

    /// Has the group decide, and returns when this node shows it.
    pub async fn decide(&self, command: Command) -> Result<Outcome, Fault> {
        let begun = Instant::now();
        let mut encoded = None;
        let mut guesses = Guesses::default();
        loop {
            let Member { group, me } = self.member().ok_or_else(no_role)?;
            let status = group.status();
            let decision = match (status.leading, &self.cluster, self.whom_to_ask(me, status.leader, &mut guesses)) {
                (Leading::WithMajority, ..) | (_, None, _) => self.decide_here(&group, &command).await?,
                (_, Some(cluster), Some(master)) => {
                    let bytes = encoded.get_or_insert_with(|| weald_meta::encode_command(&command)).clone();
                    match cluster.propose_to(master, bytes).await {
                        Ok(Done::Made { outcome, version, .. }) => Decision::Made(outcome.into(), version),
                        Ok(Done::NotMaster { master }) => {
                            guesses.hint = master;
                            Decision::NotMaster
                        }
                        Err(NoAnswer::Gone(_) | NoAnswer::NotRun(_)) => Decision::NotMaster,
                        Ok(Done::Refused(fault)) => return Err(fault),
                        Err(NoAnswer::Unknown(reason)) => return Err(Fault::OutcomeUnknown { reason: format!("the master aggregator: {reason}") }),
                    }
                }
                (_, Some(_), None) => Decision::NotMaster,
            };
            if let Decision::Made(outcome, version) = decision {
                self.shows(version).await?;
                return Ok(outcome);
            }
            if begun.elapsed() > MASTER_WITHIN {
                return Err(no_master());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The master; or, if this node has not heard from one (its address may have changed, so that nobody reaches it), whoever may know: one aggregator after the other.
    fn whom_to_ask(&self, me: NodeId, leader: Option<NodeId>, guesses: &mut Guesses) -> Option<NodeId> {
        if let Some(known) = leader.or_else(|| guesses.hint.take()).filter(|n| *n != me) {
            return Some(known);
        }
        let aggregators: Vec<NodeId> = self.topology().aggregators().map(|(id, _)| id).filter(|id| *id != me).collect();
        guesses.tried += 1;
        aggregators.get(guesses.tried % aggregators.len().max(1)).copied()
    }

    /// As the master, or not at all.
    pub async fn decide_as_master(&self, command: Command) -> Result<Outcome, Fault> {
        let Member { group, .. } = self.member().ok_or_else(no_role)?;
        match self.decide_here(&group, &command).await? {
            Decision::Made(outcome, version) => {
                self.shows(version).await?;
                Ok(outcome)
            }
            Decision::NotMaster => Err(no_master()),
        }
    }

    /// For a node that takes this one for the master. It waits for the version itself.
    pub async fn decide_for_another(&self, command: Command) -> Done {
        let not_master = || Done::NotMaster { master: self.master() };
        let Some(Member { group, .. }) = self.member().filter(|_| self.leads()) else { return not_master() };
        match self.decide_here(&group, &command).await {
            Ok(Decision::Made(outcome, version)) => Done::Made { outcome: outcome.into(), version, warnings: Vec::new() },
            Ok(Decision::NotMaster) => not_master(),
            Err(fault) => Done::Refused(fault),
        }
    }

    async fn decide_here(&self, group: &Group, command: &Command) -> Result<Decision, Fault> {
        let _one = self.change.lock().await;
        if let Some(reason) = group.status().failed {
            tracing::error!(reason, "the metadata group has failed on this node; start it anew");
            return Err(group_fault(&reason));
        }
        // What it would make of the state, as far as this node knows it.
        let mut next = State::clone(&group.state());
        next.apply(command.clone())?;
        if self.leaf.is_recovered() {
            self.leaf.prepare(&next.view())?;
        }
        if matches!(command, Command::SwapTable { .. } | Command::PublishTable { .. }) {
            self.copies_are_durable(&next).await?;
        }
        match group.propose(command.clone()).await {
            Ok(applied) => Ok(Decision::Made(applied.outcome.unwrap_or(Ok(Outcome::Done))?, applied.version)),
            Err(Refused::Fault(fault)) => Err(fault),
            Err(Refused::NotLeader { .. }) => Ok(Decision::NotMaster),
            Err(Refused::Unknown { reason }) => {
                // A restart may find the change made. What is committed until then could be to a table that is gone by then, so nothing is.
                if let Some(failed) = group.status().failed {
                    self.leaf.refuse_commits(weald_log::Error::Poisoned {
                        file: "meta".into(),
                        doing: "writing the catalogue in",
                        source: Arc::new(std::io::Error::other(failed)),
                    });
                }
                Err(Fault::OutcomeUnknown { reason })
            }
        }
    }

    /// The copies of rows are on disk, on every leaf, before what they were copied from goes.
    async fn copies_are_durable(&self, next: &State) -> Result<(), Fault> {
        if self.leaf.is_recovered() {
            self.leaf.flushed().await?;
        }
        let Some(cluster) = &self.cluster else { return Ok(()) };
        let me = self.number();
        let leaves = next.topology.leaves().filter(|(id, n)| Some(*id) != me && n.state == NodeState::Online);
        let flushed = leaves.map(|(id, _)| cluster.flush_at(id));
        futures::future::try_join_all(flushed).await.map(|_| ())
    }

    /// A statement about the cluster.
    pub(super) async fn carry_out(&self, order: ClusterOrder) -> Result<Vec<Fault>, Fault> {
        let topology = self.topology();
        let Some(cluster) = self.cluster.clone().filter(|_| self.member().is_none() || topology.cluster.is_some()) else {
            return alone::answer(&topology, &order).map(|()| Vec::new());
        };
        match order {
            ClusterOrder::Bootstrap { at } => return cluster.bootstrap(at).await.map(|()| Vec::new()),
            ClusterOrder::SetAsMaster if self.member().is_some() => return cluster.take_over().await,
            _ => (),
        }
        let begun = Instant::now();
        let mut guesses = Guesses::default();
        loop {
            let Member { group, me } = self.member().ok_or_else(no_role)?;
            let status = group.status();
            if status.leading == Leading::WithMajority {
                return cluster.order_here(order).await;
            }
            if let Some(master) = self.whom_to_ask(me, status.leader, &mut guesses) {
                match cluster.order_to(master, &order).await {
                    Ok(Done::Made { version, warnings, .. }) => {
                        self.shows(version).await?;
                        return Ok(warnings);
                    }
                    Ok(Done::NotMaster { master }) => guesses.hint = master,
                    Err(NoAnswer::Gone(_) | NoAnswer::NotRun(_)) => (),
                    Ok(Done::Refused(fault)) => return Err(fault),
                    Err(NoAnswer::Unknown(reason)) => return Err(Fault::OutcomeUnknown { reason: format!("the master aggregator: {reason}") }),
                }
            }
            if begun.elapsed() > MASTER_WITHIN {
                return Err(no_master());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}
