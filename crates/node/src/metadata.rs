//! The metadata group of one member: a log of commands, and the state they make.
//!
//! Owns:     the state, its log, and that one change is made at a time.
//! Promises: a command is durable before it is applied where anyone sees it; the partitions have followed before `propose` returns. What can fail in
//!           following is done before, so that a change that is durable is also made.
//! Never:    decides what a command does: see `weald-meta`.

mod alone;
#[cfg(test)]
mod tests;

use crate::events::{self, EventLog};
use crate::{Error, SELF};
use futures::future::BoxFuture;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;
use weald_aggregator::cluster::{
    Answer, Asked, ClusterOrder, Copy, CopyPhase, CopyRecovery, CopyRole, Event, Figures, NodeSeen, NodeStage, Observed, Reach, Told,
};
use weald_aggregator::server::Metadata;
use weald_catalog::privilege::{Privilege, PrivilegeSet};
use weald_catalog::{CatalogView, ClusterView, Command, Outcome, TableDef, UserDef};
use weald_env::Env;
use weald_leaf::{Doing, Leaf, Phase};
use weald_log::meta_log::Recovered;
use weald_log::{DataDir, MetaLog};
use weald_meta::State;
use weald_types::{Fault, NodeId, PartitionId};

/// Log beyond which the state is stored anew.
const STATE_TRIGGER_BYTES: u64 = 1 << 20;

pub(crate) struct MetadataGroup {
    me: Weak<Self>,
    env: Env,
    log: MetaLog,
    /// Held while a change is made.
    change: tokio::sync::Mutex<State>,
    view: RwLock<Arc<ClusterView>>,
    /// Of the view: for those who wait for a newer one.
    version: tokio::sync::watch::Sender<u64>,
    leaf: Arc<Leaf>,
    queries: tokio::runtime::Handle,
    dir: PathBuf,
    events: Arc<EventLog>,
    /// By the monotonic clock.
    began: Duration,
}

/// The state as the log has it; a new cluster's where there is none.
pub(crate) fn recover(env: &Env, dir: &DataDir, address: SocketAddr) -> Result<(MetaLog, State), Error> {
    let broken = |reason: String| Error::Catalog { dir: dir.root().to_path_buf(), reason };
    let (log, found) = MetaLog::open(env, dir).map_err(|source| Error::CatalogLog { dir: dir.root().to_path_buf(), source })?;
    refuse_lost(env, dir, &found)?;
    let mut state = match found.state {
        Some(bytes) => weald_meta::decode_state(&bytes).map_err(|e| broken(e.to_string()))?,
        None => State::bootstrap(SELF, &address.ip().to_string(), address.port()),
    };
    for bytes in found.commands {
        let command = weald_meta::decode_command(&bytes).map_err(|e| broken(e.to_string()))?;
        state.apply(command).map_err(|e| broken(format!("a logged command is refused: {e:?}")))?;
    }
    if let Some(reason) = weald_meta::invariant::broken(&state) {
        return Err(broken(reason));
    }
    Ok((log, state))
}

/// A catalogue without a history beside partitions with one: its files were lost, and without them everything would look dropped.
fn refuse_lost(env: &Env, dir: &DataDir, found: &Recovered) -> Result<(), Error> {
    if found.state.is_some() || !found.commands.is_empty() {
        return Ok(());
    }
    let entries = env.disk.list(&dir.snapshots()).map_err(Error::Io)?;
    match entries.iter().find(|e| weald_log::data_dir::partition_of_dir(&e.name).is_some()) {
        Some(e) => {
            let reason = format!("it is empty, though there are snapshots of partition {}; restore the directory meta from a backup", e.name);
            Err(Error::Catalog { dir: dir.root().to_path_buf(), reason })
        }
        None => Ok(()),
    }
}

fn log_fault(e: &weald_log::Error) -> Fault {
    if let weald_log::Error::DiskFull { .. } = e {
        return Fault::DiskFull;
    }
    Fault::mysql(1030, "HY000", format!("Got error 1 - 'the catalogue could not be written: {e}' from storage engine"))
}

impl MetadataGroup {
    pub fn new(
        env: Env,
        dir: &DataDir,
        log: MetaLog,
        state: State,
        leaf: Arc<Leaf>,
        queries: tokio::runtime::Handle,
        events: Arc<EventLog>,
    ) -> Arc<Self> {
        let view = RwLock::new(Arc::new(state.view()));
        let version = tokio::sync::watch::Sender::new(state.catalog.version);
        let (dir, began) = (dir.root().to_path_buf(), env.clock.now());
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            env,
            log,
            change: tokio::sync::Mutex::new(state),
            view,
            version,
            leaf,
            queries,
            dir,
            events,
            began,
        })
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

    /// Gives a new cluster its first account: root, who may do everything. `password` is for a root who has none, here and at later starts.
    pub async fn prepare(&self, password: Option<&str>) -> Result<(), Fault> {
        let catalog = self.catalog();
        let root = catalog.users.values().find(|u| &*u.user == "root" && &*u.host == "%").cloned();
        let new = root.is_none();
        let mut root = match root {
            Some(root) => (*root).clone(),
            None if catalog.users.is_empty() => {
                let mut root = UserDef::new("root", "%");
                root.global = PrivilegeSet::ALL_GLOBAL.union(PrivilegeSet::of(&[Privilege::GrantOption]));
                root
            }
            // Somebody has dropped it, and meant it.
            None => return Ok(()),
        };
        let password = password.filter(|p| !p.is_empty() && root.auth.is_empty());
        if let Some(p) = password {
            root.auth = weald_aggregator::auth::store_password(&root.plugin, p, self.env.random.next_u64())?;
        } else if !new {
            return Ok(());
        }
        root.password_changed = self.env.clock.wall_micros();
        let users = vec![root];
        // Users only: nothing that the leaf would have to follow.
        let mut state = self.change.lock().await;
        let command = if new { Command::CreateUsers { users } } else { Command::PutUsers { expected: catalog.version, users } };
        self.apply(&mut state, command).await?;
        self.show(&state);
        Ok(())
    }

    /// Whether there is a root who needs no password.
    pub fn root_is_open(&self) -> bool {
        self.catalog().users.values().any(|u| &*u.user == "root" && u.auth.is_empty() && !u.locked)
    }

    async fn change(&self, command: Command) -> Result<Outcome, Fault> {
        if !self.leaf.is_recovered() {
            return Err(Fault::PartitionUnavailable { partition: "*".into(), reason: self.leaf.recovering() });
        }
        let mut state = self.change.lock().await;
        let old = state.view();
        let outcome = self.apply(&mut state, command).await?;
        let followed = self.leaf.follow(&old, &state.view());
        self.show(&state);
        followed.map(|()| outcome)
    }

    fn show(&self, state: &State) {
        let new = Arc::new(state.view());
        let old = std::mem::replace(&mut *self.view.write(), new.clone());
        self.events.record_all(events::between(&old, &new));
        self.version.send_replace(state.catalog.version);
    }

    /// Makes a command durable, then takes it.
    async fn apply(&self, state: &mut State, command: Command) -> Result<Outcome, Fault> {
        let mut next = state.clone();
        let bytes = weald_meta::encode_command(&command);
        let moves_rows = matches!(command, Command::SwapTable { .. } | Command::PublishTable { .. });
        let outcome = next.apply(command)?;
        if self.leaf.is_recovered() {
            self.leaf.prepare(&next.view())?;
        }
        if moves_rows {
            // The copies are on disk before what they were copied from goes.
            self.leaf.flushed().await?;
        }
        if let Err(error) = self.log.append(&bytes).map_err(|e| log_fault(&e))?.await {
            if error.outcome_is_unknown() {
                // A restart may find the change made. What is committed until then could be to a table that is gone by then, so nothing is.
                let fault = Fault::OutcomeUnknown { reason: error.to_string() };
                self.leaf.refuse_commits(error);
                return Err(fault);
            }
            return Err(log_fault(&error));
        }
        // From here on it has happened, whatever follows.
        *state = next;
        if self.log.bytes_since_state() > STATE_TRIGGER_BYTES
            && let Err(error) = self.log.store_state(&weald_meta::encode_state(state))
        {
            tracing::warn!(%error, "the catalogue's state could not be stored; its log keeps growing");
        }
        Ok(outcome)
    }

    pub fn close(&self) {
        self.log.close();
    }

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
        let mut current = self.version.subscribe();
        Box::pin(async move {
            // The sender lives as long as this group does.
            let _ = current.wait_for(|v| *v > version).await;
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
