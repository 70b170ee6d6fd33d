//! The metadata as this node has it: its copy of the group's state, followed by its partitions.
//!
//! Owns:     the task that follows the group, and that one change of this node's is made at a time.
//! Promises: a command is durable before anyone sees it; this node's partitions have followed before `propose` returns. What can fail in following is
//!           done before, so that a change that is durable is also made.
//! Never:    decides what a command does: see `weald-meta`. Agrees with other nodes: see `weald-metaraft`.

mod alone;
#[cfg(test)]
mod tests;

use crate::SELF;
use crate::events::{self, EventLog};
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use weald_aggregator::cluster::{
    Answer, Asked, ClusterOrder, Copy, CopyPhase, CopyRecovery, CopyRole, Event, Figures, NodeSeen, NodeStage, Observed, Reach, Told,
};
use weald_aggregator::server::Metadata;
use weald_catalog::{CatalogView, ClusterView, Command, Outcome, TableDef, UserDef};
use weald_env::Env;
use weald_leaf::{Doing, Leaf, Phase};
use weald_log::DataDir;
use weald_meta::State;
use weald_metaraft::{Group, Refused, Watch};
use weald_types::{Fault, NodeId, PartitionId};

/// How often a change that could not be followed is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(200);

pub(crate) struct MetadataGroup {
    me: Weak<Self>,
    env: Env,
    group: Arc<Group>,
    /// Held while a change is made.
    change: tokio::sync::Mutex<()>,
    /// What statements see.
    view: RwLock<Arc<ClusterView>>,
    /// What this node's partitions have followed.
    shown: watch::Sender<Shown>,
    leaf: Arc<Leaf>,
    queries: tokio::runtime::Handle,
    /// Recovery is over: what was held back may be followed now.
    recovered: Notify,
    follower: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
    dir: PathBuf,
    events: Arc<EventLog>,
    /// By the monotonic clock.
    began: Duration,
}

struct Shown {
    state: Arc<State>,
    /// What became of following it. It is shown all the same, for it has been decided.
    followed: Result<(), Fault>,
    /// Nothing newer will be shown.
    ended: bool,
}

fn group_fault(reason: &dyn std::fmt::Display) -> Fault {
    Fault::mysql(1030, "HY000", format!("Got error 1 - 'the catalogue could not be written: {reason}' from storage engine"))
}

impl MetadataGroup {
    /// `group` is settled. The leaf holds what its state says, or is about to recover it.
    pub fn new(env: Env, dir: &DataDir, group: Group, leaf: Arc<Leaf>, queries: tokio::runtime::Handle, events: Arc<EventLog>) -> Arc<Self> {
        let group = Arc::new(group);
        let mut watch = group.watch();
        let state = watch.state();
        let (dir, began) = (dir.root().to_path_buf(), env.clock.now());
        let shown = watch::Sender::new(Shown { state: state.clone(), followed: Ok(()), ended: false });
        let metadata = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            env,
            group,
            change: tokio::sync::Mutex::default(),
            view: RwLock::new(Arc::new(state.view())),
            shown,
            leaf,
            queries,
            recovered: Notify::new(),
            follower: Mutex::new(None),
            dir,
            events,
            began,
        });
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(follow(Arc::downgrade(&metadata), watch, ended));
        *metadata.follower.lock() = Some((end, task));
        metadata
    }

    /// Call it when the partitions have recovered.
    pub fn recovered(&self) {
        self.recovered.notify_one();
    }

    /// Takes back what a crash left half made: tables that were being built, indexes that were being filled or dropped. Call it when recovery
    /// is over, before anyone is served.
    pub async fn take_back(&self) -> Result<(), Fault> {
        let catalog = self.catalog();
        let built: Vec<_> = catalog.databases.values().flat_map(|d| d.building.keys().copied()).collect();
        if !built.is_empty() {
            tracing::info!(tables = built.len(), "dropping tables that a crash left half made");
            self.change(Command::DropTables { tables: built }).await?;
        }
        for t in catalog.databases.values().flat_map(|d| d.tables.values()).filter(|t| t.indexes.iter().any(|i| !i.ready)) {
            tracing::info!(table = %t.name, "dropping indexes that a crash left half made");
            let mut def = TableDef::clone(t);
            def.indexes.retain(|i| i.ready);
            self.change(Command::ReplaceTable { expected: t.version, def: Box::new(def) }).await?;
        }
        Ok(())
    }

    /// Gives a root who has no password this one.
    pub async fn protect_root(&self, password: Option<&str>) -> Result<(), Fault> {
        let Some(password) = password.filter(|p| !p.is_empty()) else { return Ok(()) };
        let catalog = self.catalog();
        let root = catalog.users.values().find(|u| &*u.user == "root" && &*u.host == "%");
        // Somebody may have dropped it, and meant it.
        let Some(mut root) = root.filter(|r| r.auth.is_empty()).map(|r| UserDef::clone(r)) else { return Ok(()) };
        root.auth = weald_aggregator::auth::store_password(&root.plugin, password, self.env.random.next_u64())?;
        root.password_changed = self.env.clock.wall_micros();
        // Users only: nothing that the leaf would have to follow, so it need not have recovered.
        self.decide(Command::PutUsers { expected: catalog.version, users: vec![root] }).await.map(drop)
    }

    /// Whether there is a root who needs no password.
    pub fn root_is_open(&self) -> bool {
        self.catalog().users.values().any(|u| &*u.user == "root" && u.auth.is_empty() && !u.locked)
    }

    async fn change(&self, command: Command) -> Result<Outcome, Fault> {
        if !self.leaf.is_recovered() {
            return Err(Fault::PartitionUnavailable { partition: "*".into(), reason: self.leaf.recovering() });
        }
        self.decide(command).await
    }

    /// Has the group decide, and returns when this node shows it.
    async fn decide(&self, command: Command) -> Result<Outcome, Fault> {
        let _one = self.change.lock().await;
        if let Some(reason) = self.group.status().failed {
            return Err(group_fault(&reason));
        }
        // What it would make of the state, as far as this node knows it.
        let mut next = State::clone(&self.group.state());
        next.apply(command.clone())?;
        if self.leaf.is_recovered() {
            self.leaf.prepare(&next.view())?;
        }
        if matches!(command, Command::SwapTable { .. } | Command::PublishTable { .. }) {
            // The copies are on disk before what they were copied from goes.
            self.leaf.flushed().await?;
        }
        let applied = match self.group.propose(command).await {
            Ok(applied) => applied,
            Err(Refused::Fault(fault)) => return Err(fault),
            Err(Refused::NotLeader { .. }) => return Err(group_fault(&"this node does not lead the metadata group")),
            Err(Refused::Unknown { reason }) => {
                // A restart may find the change made. What is committed until then could be to a table that is gone by then, so nothing is.
                if let Some(failed) = self.group.status().failed {
                    self.leaf.refuse_commits(weald_log::Error::Poisoned {
                        file: "meta".into(),
                        doing: "writing the catalogue in",
                        source: Arc::new(std::io::Error::other(failed)),
                    });
                }
                return Err(Fault::OutcomeUnknown { reason });
            }
        };
        let outcome = applied.outcome.unwrap_or(Ok(Outcome::Done))?;
        self.shows(applied.version).await?;
        Ok(outcome)
    }

    /// Returns once the state of that version is shown, with what became of following it.
    async fn shows(&self, version: u64) -> Result<(), Fault> {
        let mut shown = self.shown.subscribe();
        match shown.wait_for(|s| s.state.version >= version || s.ended).await {
            Ok(shown) => shown.followed.clone(),
            // The sender is in `self`.
            Err(_) => Ok(()),
        }
    }

    /// Brings the partitions from what is shown to `state`, then shows it. None: it has to wait until they have recovered, or be tried again.
    fn follow_to(&self, state: &Arc<State>) -> Option<()> {
        let old = self.shown.borrow().state.clone();
        let mut followed = Ok(());
        if self.leaf.is_recovered() {
            // On the node that proposed it this is done already.
            let (before, after) = (old.view(), state.view());
            if let Err(fault) = self.leaf.prepare(&after) {
                tracing::error!(%fault, "a change of the catalogue cannot be followed yet; it is tried again");
                return None;
            }
            followed = self.leaf.follow(&before, &after);
            if let Err(fault) = &followed {
                tracing::error!(%fault, "a change of the catalogue could not be followed");
            }
        } else if old.catalog.databases != state.catalog.databases {
            return None;
        }
        let new = Arc::new(state.view());
        let old = std::mem::replace(&mut *self.view.write(), new.clone());
        self.events.record_all(events::between(&old, &new));
        self.shown.send_modify(|s| (s.state, s.followed) = (state.clone(), followed));
        Some(())
    }

    /// What was shown while the partitions recovered, they need not follow; but they have got there.
    fn catch_up(&self) {
        let shown = self.shown.borrow().state.catalog.version;
        if self.leaf.is_recovered() && self.leaf.engine.followed() < shown {
            self.leaf.engine.set_followed(shown);
        }
    }

    /// Nothing more is decided or followed.
    pub async fn close(&self) {
        let follower = self.follower.lock().take();
        if let Some((end, task)) = follower {
            drop(end);
            if let Err(error) = task.await {
                tracing::error!(%error, "the task that follows the metadata panicked");
            }
        }
        self.shown.send_modify(|s| s.ended = true);
        self.group.close().await;
    }
}

/// Until `end`'s sender is dropped.
async fn follow(metadata: Weak<MetadataGroup>, mut watch: Watch, mut end: oneshot::Receiver<()>) {
    loop {
        let Some(me) = metadata.upgrade() else { return };
        let state = watch.state();
        me.catch_up();
        let behind = me.shown.borrow().state.version != state.version;
        // It may have files to remove, and others live on this thread.
        let held_back = behind && tokio::task::block_in_place(|| me.follow_to(&state)).is_none();
        let recovering = !me.leaf.is_recovered();
        tokio::select! {
            _ = &mut end => return,
            _ = watch.changed() => (),
            _ = me.recovered.notified() => (),
            _ = tokio::time::sleep(TRY_AGAIN), if held_back && !recovering => (),
        }
    }
}

impl MetadataGroup {
    fn stage(&self) -> NodeStage {
        let recovered = self.leaf.is_recovered();
        let failed = self.leaf.status().iter().any(|(_, s)| s.phase == Phase::Failed);
        match (failed, recovered) {
            (true, _) => NodeStage::RecoveryFailed,
            (false, true) => NodeStage::Online,
            (false, false) => NodeStage::Recovering,
        }
    }

    fn figures(&self) -> Figures {
        let memory = &self.leaf.engine.node.memory;
        Figures {
            cpus: std::thread::available_parallelism().map_or(0, |n| n.get() as u32),
            memory_limit_bytes: memory.limit(),
            table_memory_limit_bytes: memory.table_limit(),
            memory_bytes: memory.estimate(),
            table_memory_bytes: memory.table_bytes(),
            disk_bytes: self.env.disk.total_bytes(&self.dir).ok(),
            free_disk_bytes: self.env.disk.free_bytes(&self.dir).ok(),
            uptime: self.env.clock.now() - self.began,
            version: weald_aggregator::VERSION.into(),
        }
    }

    fn copies(&self) -> BTreeMap<PartitionId, Copy> {
        let epochs = &self.view.read().topology.places;
        let copy = |(id, s): (PartitionId, weald_leaf::PartitionStatus)| {
            let durable = self.leaf.engine.node.log.durable(id).raw();
            let copy = Copy {
                role: CopyRole::Primary,
                phase: match s.phase {
                    Phase::Recovering => CopyPhase::Recovering,
                    Phase::Pending => CopyPhase::Pending,
                    Phase::Transitioning => CopyPhase::Transitioning,
                    Phase::Online => CopyPhase::Online,
                    Phase::Failed => CopyPhase::Failed,
                },
                epoch: epochs.get(&id).map(|p| p.epoch),
                // Its part of the node's log as one file, in records.
                position: Some((0, durable)),
                follows: None,
                recovery: Some(CopyRecovery {
                    doing: (s.phase == Phase::Recovering && s.doing != Doing::Nothing).then_some(s.doing.name()),
                    percent: s.percent,
                    replayed: s.replayed_lsn,
                    snapshot: s.snapshot_lsn,
                }),
                details: s.details,
            };
            (id, copy)
        };
        self.leaf.status().into_iter().map(copy).collect()
    }
}

impl Metadata for MetadataGroup {
    fn catalog(&self) -> Arc<CatalogView> {
        self.view.read().catalog.clone()
    }

    /// Safe to drop: a change that has begun goes on by itself. Half of one would be a command in the log that the state does not have, and the next
    /// command would be numbered as if it had never been.
    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Outcome, Fault>> {
        let me = self.me.upgrade();
        Box::pin(async move {
            let Some(me) = me else { return Err(Fault::Internal { incident: "the metadata group is gone".into() }) };
            match tokio::spawn(async move { me.change(command).await }).await {
                Ok(done) => done,
                Err(e) => Err(Fault::Internal { incident: e.to_string() }),
            }
        })
    }

    fn newer_than(&self, version: u64) -> BoxFuture<'_, ()> {
        let mut shown = self.shown.subscribe();
        Box::pin(async move {
            // The sender lives as long as this does.
            let _ = shown.wait_for(|s| s.state.catalog.version > version).await;
        })
    }

    fn snapshot_database<'a>(&'a self, name: &'a str, keep: usize) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let catalog = self.catalog();
            let database = catalog.database(name).cloned().ok_or_else(|| Fault::mysql(1049, "42000", format!("Unknown database '{name}'")))?;
            let (leaf, queries) = (self.leaf.clone(), self.queries.clone());
            let taken = tokio::task::spawn_blocking(move || leaf.snapshot_database(&database, keep, &queries)).await;
            match taken {
                Ok(Ok(())) => Ok(()),
                Ok(Err(weald_leaf::Error::Log(weald_log::Error::DiskFull { .. }))) => Err(Fault::DiskFull),
                Ok(Err(weald_leaf::Error::Fault(f))) => Err(f),
                Ok(Err(e)) => Err(Fault::mysql(1030, "HY000", format!("Got error 1 - 'snapshot failed: {e}' from storage engine"))),
                Err(e) => Err(Fault::Internal { incident: e.to_string() }),
            }
        })
    }

    fn view(&self) -> Arc<ClusterView> {
        self.view.read().clone()
    }

    fn me(&self) -> Option<NodeId> {
        Some(SELF)
    }

    fn observed(&self) -> Observed {
        let told = Told { stage: self.stage(), figures: self.figures(), metadata: Some((0, self.view.read().version)), copies: self.copies() };
        let seen = NodeSeen { reach: Reach::Itself, connections: None, told: Some(told) };
        Observed { master: Some(SELF), nodes: [(SELF, seen)].into() }
    }

    fn order(&self, order: ClusterOrder) -> BoxFuture<'_, Result<Vec<Fault>, Fault>> {
        Box::pin(async move { alone::answer(&self.view().topology, &order).map(|()| Vec::new()) })
    }

    fn ask(&self, node: NodeId, _: Asked) -> BoxFuture<'_, Result<Answer, Fault>> {
        Box::pin(std::future::ready(Err(Fault::mysql(1738, "HY000", format!("Node {node} is not in the cluster")))))
    }

    fn events(&self) -> Vec<Event> {
        self.events.all()
    }
}
