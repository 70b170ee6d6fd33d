//! This node as a member of its group.
//!
//! Owns:     nothing: the group is the metadata's.
//! Promises: one change of membership at a time; what follows the group is there while the group is.
//! Never:    speaks to another node.

use super::{Member, MetadataGroup, follow};
use crate::catalogue;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;
use weald_catalog::{Command, NodeState, Topology};
use weald_meta::State;
use weald_metaraft::{Group, Leading, Loss, Refused, TakenOver, TakeoverRefused, World};
use weald_types::{ClusterId, Fault, Generation, NodeId};

impl MetadataGroup {
    pub(super) fn member(&self) -> Option<Member> {
        self.member.read().clone()
    }

    /// Which member this node is.
    pub fn number(&self) -> Option<NodeId> {
        self.member.read().as_ref().map(|m| m.me)
    }
    pub fn leads(&self) -> bool {
        self.member().is_some_and(|m| m.group.status().leading == Leading::WithMajority)
    }
    pub fn master(&self) -> Option<NodeId> {
        self.member()?.group.status().leader
    }
    pub fn world(&self) -> World {
        self.world.clone()
    }

    /// What is decided, as far as this node knows; it may not have followed yet.
    pub fn decided(&self) -> Arc<State> {
        match self.member().map(|m| m.group.state()) {
            Some(state) if state.version > 0 => state,
            Some(_) | None => self.shown.borrow().state.clone(),
        }
    }
    pub fn topology(&self) -> Arc<Topology> {
        self.decided().topology.clone()
    }
    pub fn decided_version(&self) -> u64 {
        self.member().map_or(0, |m| m.group.state().version)
    }
    pub fn shown_version(&self) -> u64 {
        self.shown.borrow().state.version
    }
    pub fn shown_state(&self) -> State {
        State::clone(&self.shown.borrow().state)
    }

    /// `node`'s process is known to be gone.
    pub fn suspect(&self, node: NodeId) {
        if let Some(member) = self.member() {
            member.group.suspect(node);
        }
    }

    /// This node is a member from now on. What it shows follows the group.
    pub async fn adopt(&self, me: NodeId, group: Group) {
        let _one = self.becoming.lock().await;
        self.take_in(me, Arc::new(group)).await;
    }

    async fn take_in(&self, me: NodeId, group: Arc<Group>) {
        self.leaf.set_me(me);
        *self.member.write() = Some(Member { me, group: group.clone() });
        self.stop_following().await;
        let (end, ended) = oneshot::channel();
        let task = self.runtime.spawn(follow(self.me.clone(), group.watch(), ended));
        *self.follower.lock() = Some((end, task));
    }

    pub(super) async fn stop_following(&self) {
        let follower = self.follower.lock().take();
        if let Some((end, task)) = follower {
            drop(end);
            if let Err(error) = task.await {
                tracing::error!(%error, "the task that follows the metadata panicked");
            }
        }
    }

    /// The group, if this node is in it under that number.
    pub fn group_as(&self, me: NodeId) -> Option<Arc<Group>> {
        self.member().filter(|m| m.me == me).map(|m| m.group)
    }

    /// Whoever speaks for the group has found this node at `me`'s address, with a certificate of the cluster: it has been added.
    pub async fn join(&self, cluster: ClusterId, generation: Generation, me: NodeId) -> Result<Arc<Group>, String> {
        let _one = self.becoming.lock().await;
        match self.member() {
            Some(member) if member.me == me => return Ok(member.group),
            Some(member) => return Err(format!("this node is number {}, not {me}; it has to be started anew to be added again", member.me)),
            None => (),
        }
        if self.shown.borrow().ended {
            return Err("this node is stopping".into());
        }
        let group = Group::join(self.world.clone(), cluster, generation, me).await.map_err(|e| e.to_string())?;
        tracing::info!(%cluster, number = %me, "this node has been added to a cluster");
        self.take_in(me, Arc::new(group)).await;
        match self.member() {
            Some(member) => Ok(member.group),
            None => Err("this node is stopping".into()),
        }
    }

    /// The cluster has removed this node: it is of none from now on. Its accounts stay, so that somebody can log in.
    pub async fn leave(&self) -> Result<(), String> {
        let _one = self.becoming.lock().await;
        let Some(member) = self.member() else { return Ok(()) };
        self.stop_following().await;
        member.group.close().await;
        *self.member.write() = None;
        Group::forget(&self.env, &self.world.dir).map_err(|e| e.to_string())?;
        let mut alone = State::fresh();
        let users = self.shown.borrow().state.catalog.users.values().map(|u| (**u).clone()).collect();
        // There are none yet.
        alone.apply(Command::CreateUsers { users }).map_err(|f| f.to_string())?;
        catalogue::give_root(&self.env, &mut alone);
        let alone = Arc::new(alone);
        for d in self.view.read().catalog.databases.values() {
            self.leaf.engine.remove_database(d.id);
        }
        *self.view.write() = Arc::new(alone.view());
        self.shown.send_modify(|s| s.state = alone);
        Ok(())
    }

    /// A cluster of one process is reached elsewhere than at its last start.
    pub async fn is_at(&self, address: SocketAddr) -> Result<(), Fault> {
        let (host, port) = (address.ip().to_string(), address.port());
        let topology = self.topology();
        let Some((node, n)) = self.number().and_then(|me| Some((me, topology.nodes.get(&me)?))) else { return Ok(()) };
        if (&*n.host, n.ports.mysql) == (&*host, port) {
            return Ok(());
        }
        self.decide(Command::SetNodeAddress { node, host: host.into(), port }).await.map(drop)
    }

    pub async fn hand_over(&self, to: NodeId) -> Result<(), Fault> {
        let member = self.member().ok_or_else(super::deciding::no_role)?;
        member.group.hand_over(to).await.map_err(|e| match e {
            Refused::Fault(fault) => fault,
            Refused::NotLeader { .. } => Fault::mysql(1752, "HY000", e.to_string()),
            Refused::Unknown { reason } => Fault::OutcomeUnknown { reason },
        })
    }

    pub async fn take_over(&self, loss: Loss) -> Option<Result<TakenOver, TakeoverRefused>> {
        let member = self.member()?;
        Some(member.group.take_over(loss).await)
    }

    /// Another node than before is master, as far as this one knows.
    pub fn has_master(&self, me: NodeId, master: NodeId) {
        if master == me {
            tracing::info!("this node is the master aggregator");
        } else {
            tracing::info!(%master, number = %me, "this node is registered with the master aggregator");
        }
    }

    /// The master says that it has decided up to here.
    pub fn master_has_decided(&self, version: u64) {
        self.master_decided.store(version, Ordering::Relaxed);
        self.look_at_own_partitions();
    }

    /// Partitions that have recovered begin to serve once it is sure that they are still this node's: it is the master itself, or knows as much as the master has
    /// said that it has decided. A node without partitions need not ask.
    pub fn look_at_own_partitions(&self) {
        if !self.leaf.is_recovered() || self.leaf.is_taken_up() {
            return;
        }
        let shown = self.shown.borrow().state.clone();
        let topology = self.topology();
        let detached = self.number().and_then(|me| topology.nodes.get(&me)).is_some_and(|n| n.state == NodeState::Detached);
        let sure = self.cluster.is_none()
            || self.leaf.status().is_empty()
            || self.leads()
            || self.decided_version() >= self.master_decided.load(Ordering::Relaxed);
        if sure && !detached {
            self.leaf.take_up(&shown.view());
            self.taken_up.notify_waiters();
            // What was held back until now is followed at once.
            self.recovered.notify_one();
        }
    }

    /// Resolves once this node serves what it holds.
    pub async fn serves(&self) {
        loop {
            let taken_up = self.taken_up.notified();
            tokio::pin!(taken_up);
            taken_up.as_mut().enable();
            if self.leaf.is_taken_up() {
                return;
            }
            taken_up.await;
        }
    }
}
