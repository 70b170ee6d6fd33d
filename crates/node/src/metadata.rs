//! The metadata as this node has it: its copy of the group's state, followed by its partitions.
//!
//! Owns:     the task that follows the group, and that one change of this node's is made at a time.
//! Promises: a command is durable before anyone sees it; this node's partitions have followed before `propose` returns. What can fail in following is
//!           done before, so that a change that is durable is also made.
//! Never:    decides what a command does: see `weald-meta`. Agrees with other nodes: see `weald-metaraft`.

mod alone;
mod deciding;
mod membership;
mod telling;
#[cfg(test)]
mod tests;

use crate::cluster::Cluster;
use crate::events::{self, EventLog};
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use weald_aggregator::cluster::{Answer, Asked, ClusterOrder, Event, Observed};
use weald_aggregator::server::Metadata;
use weald_catalog::{CatalogView, ClusterView, Command, Outcome, TableDef, UserDef};
use weald_env::Env;
use weald_leaf::Leaf;
use weald_meta::State;
use weald_metaraft::{Group, Watch, World};
use weald_types::{Fault, NodeId};

/// How often a change that could not be followed is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(200);

pub(crate) struct MetadataGroup {
    me: Weak<Self>,
    env: Env,
    /// None: this node is of no cluster yet.
    member: RwLock<Option<Member>>,
    /// What a group is made with.
    world: World,
    /// Where the group's tasks run, and everything that decides.
    runtime: tokio::runtime::Handle,
    /// None: a cluster of one process.
    cluster: Option<Arc<Cluster>>,
    /// One at a time: the node becomes a member, or stops being one.
    becoming: tokio::sync::Mutex<()>,
    /// What the master said last that it has decided.
    master_decided: AtomicU64,
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
    /// The partitions serve.
    taken_up: Notify,
    follower: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
    dir: PathBuf,
    events: Arc<EventLog>,
    /// By the monotonic clock.
    began: Duration,
}

#[derive(Clone)]
struct Member {
    me: NodeId,
    group: Arc<Group>,
}

/// What a node is made of, as far as its metadata goes.
pub(crate) struct Parts {
    pub env: Env,
    pub dir: PathBuf,
    pub world: World,
    pub runtime: tokio::runtime::Handle,
    pub cluster: Option<Arc<Cluster>>,
    pub leaf: Arc<Leaf>,
    pub queries: tokio::runtime::Handle,
    pub events: Arc<EventLog>,
}

struct Shown {
    state: Arc<State>,
    /// What became of following it. It is shown all the same, for it has been decided.
    followed: Result<(), Fault>,
    /// Nothing newer will be shown.
    ended: bool,
}

impl MetadataGroup {
    /// `state` is what the group has, or what a fresh node shows until it is a member of one. The leaf holds what it says, or is about to recover it.
    pub fn new(parts: Parts, state: State) -> Arc<Self> {
        let Parts { env, dir, world, runtime, cluster, leaf, queries, events } = parts;
        let began = env.clock.now();
        let state = Arc::new(state);
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            env,
            member: RwLock::new(None),
            world,
            runtime,
            cluster,
            becoming: tokio::sync::Mutex::default(),
            master_decided: AtomicU64::new(u64::MAX),
            change: tokio::sync::Mutex::default(),
            view: RwLock::new(Arc::new(state.view())),
            shown: watch::Sender::new(Shown { state, followed: Ok(()), ended: false }),
            leaf,
            queries,
            recovered: Notify::new(),
            taken_up: Notify::new(),
            follower: Mutex::new(None),
            dir,
            events,
            began,
        })
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
        if self.leaf.is_taken_up() {
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
        if self.leads() {
            // The others ask for what it has noted down.
            self.events.record_all(events::between(&old, &new));
        }
        if let Some(cluster) = &self.cluster {
            cluster.follow_topology(&old.topology, &new.topology, self.number());
        }
        self.shown.send_modify(|s| (s.state, s.followed) = (state.clone(), followed));
        Some(())
    }

    pub fn note(&self, happened: events::Happened) {
        self.events.record(happened);
    }

    /// What was shown while the partitions recovered, they need not follow; but they have got there.
    fn catch_up(&self) {
        let shown = self.shown.borrow().state.catalog.version;
        if self.leaf.is_taken_up() && self.leaf.engine.followed() < shown {
            self.leaf.engine.set_followed(shown);
        }
    }

    /// Nothing more is decided or followed.
    pub async fn close(&self) {
        let _one = self.becoming.lock().await;
        self.stop_following().await;
        self.shown.send_modify(|s| s.ended = true);
        if let Some(member) = self.member() {
            member.group.close().await;
        }
    }
}

/// Until `end`'s sender is dropped.
async fn follow(metadata: Weak<MetadataGroup>, mut watch: Watch, mut end: oneshot::Receiver<()>) {
    loop {
        let Some(me) = metadata.upgrade() else { return };
        let state = watch.state();
        me.look_at_own_partitions();
        me.catch_up();
        // A node that has just been added knows nothing of the group yet.
        let behind = state.version > 0 && me.shown.borrow().state.version != state.version;
        // It may have files to remove, and others live on this thread.
        let held_back = behind && tokio::task::block_in_place(|| me.follow_to(&state)).is_none();
        let recovering = !me.leaf.is_taken_up();
        tokio::select! {
            _ = &mut end => return,
            _ = watch.changed() => (),
            _ = me.recovered.notified() => (),
            _ = tokio::time::sleep(TRY_AGAIN), if held_back && !recovering => (),
        }
    }
}

impl MetadataGroup {
    /// Of the partitions that are here.
    pub async fn snapshot_here(&self, name: &str, keep: usize) -> Result<(), Fault> {
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
            let runtime = me.runtime.clone();
            match runtime.spawn(async move { me.change(command).await }).await {
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
            let (view, me) = (self.view.read().clone(), self.number());
            let database = view.catalog.database(name).ok_or_else(|| Fault::mysql(1049, "42000", format!("Unknown database '{name}'")))?;
            let places = database.partition_ids().filter_map(|id| view.topology.places.get(&id)?.primary);
            let elsewhere: BTreeSet<NodeId> = places.filter(|n| Some(*n) != me).collect();
            let others = match &self.cluster {
                Some(cluster) => elsewhere.into_iter().map(|node| cluster.snapshot_at(node, name, keep)).collect(),
                None => Vec::new(),
            };
            let (here, there) = futures::join!(self.snapshot_here(name, keep), futures::future::try_join_all(others));
            here.and(there.map(drop))
        })
    }

    fn view(&self) -> Arc<ClusterView> {
        self.view.read().clone()
    }

    fn me(&self) -> Option<NodeId> {
        self.number()
    }

    fn observed(&self) -> Observed {
        self.observe()
    }

    fn order(&self, order: ClusterOrder) -> BoxFuture<'_, Result<Vec<Fault>, Fault>> {
        let me = self.me.upgrade();
        Box::pin(async move {
            let Some(me) = me else { return Err(Fault::Interrupted) };
            let runtime = me.runtime.clone();
            match runtime.spawn(async move { me.carry_out(order).await }).await {
                Ok(done) => done,
                Err(e) => Err(Fault::Internal { incident: e.to_string() }),
            }
        })
    }

    fn ask(&self, node: NodeId, asked: Asked) -> BoxFuture<'_, Result<Answer, Fault>> {
        Box::pin(async move {
            match &self.cluster {
                Some(cluster) => cluster.ask(node, asked).await,
                None => Err(Fault::mysql(1738, "HY000", format!("Node {node} is not in the cluster"))),
            }
        })
    }

    fn events(&self) -> Vec<Event> {
        self.events.all()
    }
}
