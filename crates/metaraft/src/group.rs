//! The group as its owner sees it.
//!
//! Owns:     which generation's Raft runs on this node, the view that is shown, the two tasks that look after it.
//! Promises: [`Group::propose`] tells the truth about a command, or says that it does not know. What [`Watch`] shows only moves forward within a
//!           generation, and into the next.
//! Never:    forwards a command, follows a change in partitions.

use crate::error::{Error, Refused};
use crate::format::Head;
use crate::ground::{Belonging, Ground};
use crate::inbox::Pieces;
use crate::machine::Shown;
use crate::member::{Applied, Member};
use crate::network::Network;
use crate::raft::{Order, StoredMembership};
use crate::settings::Settings;
use crate::status::{Leading, Status};
use crate::store::{self, Store};
use crate::{campaign, votes};
use openraft::error::{ClientWriteError, RaftError};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use weald_catalog::Command;
use weald_env::Env;
use weald_meta::State;
use weald_types::{ClusterId, Fault, Generation, NodeId};

/// What a group needs of the outside.
#[derive(Clone)]
pub struct World {
    pub env: Env,
    /// `meta/` of the data directory.
    pub dir: PathBuf,
    pub network: Arc<dyn Network>,
    pub settings: Settings,
}

pub struct Group {
    pub(crate) shared: Arc<Shared>,
    /// Each with what ends it.
    tasks: Mutex<Vec<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

pub(crate) struct Shared {
    pub me: u32,
    pub cluster: ClusterId,
    pub env: Env,
    pub dir: PathBuf,
    pub network: Arc<dyn Network>,
    pub settings: Settings,
    /// Held while the generation changes.
    pub ground: tokio::sync::Mutex<Ground>,
    /// As `ground` has it, for those who only look.
    promised: AtomicU64,
    /// None: stopped, or between generations.
    pub member: RwLock<Option<Arc<Member>>>,
    pub shown: watch::Sender<Shown>,
    /// When each node last answered us.
    answered: Mutex<BTreeMap<u32, Instant>>,
    pub contact: Mutex<Contact>,
    /// What was received of a state so far.
    pub pieces: Mutex<Option<Pieces>>,
    /// A generation that others have promised: ours is of the past.
    fenced_by: AtomicU64,
    /// Whether to campaign may have to be thought over.
    pub stir: Notify,
    /// Who learns and who votes may have to change.
    pub look: Notify,
    /// No commands are taken, for another is to lead.
    pub handing_over: AtomicBool,
}

/// When we last heard from a leader.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Contact {
    pub leader: Option<u32>,
    pub at: Option<Instant>,
    /// Its process is known to be gone.
    pub gone: bool,
    /// It hands over to another, who is to have the time.
    pub yields_until: Option<Instant>,
}

impl Group {
    /// The first node of a group: of a new cluster (`state` has its BOOTSTRAP applied), or of one that was kept by a single node's log so far. In `state`, `me`
    /// is an aggregator, or nobody would ever lead. Refused where there is a group already.
    pub async fn found(world: World, cluster: ClusterId, me: NodeId, state: &State) -> Result<Self, Error> {
        let belongs = Belonging { cluster, me, generation: state.topology.generation, promised: state.topology.generation };
        let (env, settings) = (world.env.clone(), world.settings.clone());
        let ground = new_ground(&world, belongs, move |dir| write_beginning(&env, dir, &settings, me.raw(), state))?;
        Self::start(world, ground).await
    }

    /// A node that a cluster's master has just added, as `me`: it learns everything else from the group.
    pub async fn join(world: World, cluster: ClusterId, generation: Generation, me: NodeId) -> Result<Self, Error> {
        let ground = new_ground(&world, Belonging { cluster, me, generation, promised: generation }, |_| Ok(()))?;
        Self::start(world, ground).await
    }

    /// The group that this node belongs to; None if to none yet.
    pub async fn open(world: World) -> Result<Option<Self>, Error> {
        match Ground::open(&world.env, &world.dir)? {
            Some(ground) => Self::start(world, ground).await.map(Some),
            None => Ok(None),
        }
    }

    /// Forgets that this node belonged to a group, which has removed it. Nothing of the group may be running.
    pub fn forget(env: &Env, dir: &Path) -> Result<(), Error> {
        Ground::erase(env, dir)
    }

    async fn start(world: World, ground: Ground) -> Result<Self, Error> {
        let World { env, dir, network, settings } = world;
        let Belonging { cluster, me, generation, promised } = ground.belongs;
        let journal = ground.journal();
        let shared = Arc::new(Shared {
            me: me.raw(),
            cluster,
            env,
            dir,
            network,
            settings,
            ground: tokio::sync::Mutex::new(ground),
            promised: AtomicU64::new(promised.raw()),
            member: RwLock::default(),
            shown: watch::Sender::new(Shown { applied: None, state: Arc::new(State::fresh()) }),
            answered: Mutex::default(),
            contact: Mutex::default(),
            pieces: Mutex::default(),
            fenced_by: AtomicU64::new(0),
            stir: Notify::new(),
            look: Notify::new(),
            handing_over: AtomicBool::new(false),
        });
        let member = Member::start(&shared, generation, &journal).await?;
        if promised > generation {
            // It shows what it knew, and waits for the generation that it has promised.
            member.stop().await;
        } else {
            *shared.member.write() = Some(member);
        }
        let (end_campaign, ended) = oneshot::channel();
        let campaign = tokio::spawn(campaign::run(shared.clone(), ended));
        let (end_votes, ended) = oneshot::channel();
        let votes = tokio::spawn(votes::run(shared.clone(), ended));
        Ok(Self { shared, tasks: Mutex::new(vec![(end_campaign, campaign), (end_votes, votes)]) })
    }

    /// Makes a change, if this node leads. Safe to drop: the command then goes on by itself.
    pub async fn propose(&self, command: Command) -> Result<Applied, Refused> {
        let shared = &self.shared;
        let not_leader = || Refused::NotLeader { leader: self.status().leader.filter(|l| l.raw() != shared.me) };
        let member = shared.member().ok_or_else(not_leader)?;
        if !member.now(&shared.settings).has_majority || shared.handing_over.load(Ordering::Relaxed) || !shared.may_lead() {
            return Err(not_leader());
        }
        // Before it is in any log. Later, a full disk can only be waited for.
        if shared.env.disk.free_bytes(&shared.dir).is_ok_and(|free| free < shared.settings.reserve_bytes) {
            return Err(Refused::Fault(Fault::DiskFull));
        }
        let unknown = |reason: String| Refused::Unknown { reason };
        let changes_members = matches!(command, Command::Topology(_));
        let write = member.raft.client_write(Order(Arc::new(command)));
        match tokio::time::timeout(shared.settings.propose, write).await {
            Ok(Ok(done)) => {
                if changes_members {
                    // Who was added learns at once.
                    shared.look.notify_one();
                }
                Ok(done.data)
            }
            // It was never in the log, or has been cut off it by another leader's.
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to)))) => {
                Err(Refused::NotLeader { leader: to.leader_id.filter(|l| *l != shared.me).map(NodeId::new) })
            }
            Ok(Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(e)))) => Err(unknown(e.to_string())),
            Ok(Err(RaftError::Fatal(e))) => Err(unknown(e.to_string())),
            Err(_) => Err(unknown("no majority has confirmed it in time".into())),
        }
    }

    /// Resolves once this node is known to be the leader at some moment after the call, and shows everything that was decided before the call.
    pub async fn confirm(&self) -> Result<(), Refused> {
        let shared = &self.shared;
        let not_leader = || Refused::NotLeader { leader: self.status().leader.filter(|l| l.raw() != shared.me) };
        let member = shared.member().ok_or_else(not_leader)?;
        match tokio::time::timeout(shared.settings.propose, member.raft.ensure_linearizable()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(not_leader()),
            Err(_) => Err(Refused::Unknown { reason: "no majority has answered in time".into() }),
        }
    }

    /// Resolves once somebody is known to lead: this node, or one that it has heard from; or once this node has failed. A node with all the votes leads a
    /// sync after its start.
    pub async fn settled(&self) {
        loop {
            let Some(member) = self.shared.member() else { return std::future::pending().await };
            let led = member.raft.wait(None).metrics(|m| m.current_leader.is_some(), "somebody leads").await;
            if led.is_ok() || self.status().failed.is_some() {
                return;
            }
            // It has ended; perhaps another generation begins.
            tokio::time::sleep(self.shared.settings.heartbeat).await;
        }
    }

    /// What this node knows to be decided.
    pub fn state(&self) -> Arc<State> {
        self.shared.shown.borrow().state.clone()
    }

    pub fn watch(&self) -> Watch {
        Watch(self.shared.shown.subscribe())
    }

    /// Resolves once the state shown is `version` or newer.
    pub async fn at_least(&self, version: u64) -> Arc<State> {
        let mut shown = self.shared.shown.subscribe();
        match shown.wait_for(|s| s.state.version >= version).await {
            Ok(shown) => shown.state.clone(),
            Err(_) => self.state(),
        }
    }

    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let me = NodeId::new(shared.me);
        let Some(member) = shared.member() else {
            let generation = shared.promised();
            return Status {
                me,
                generation,
                term: 0,
                leader: None,
                leading: Leading::No,
                last: 0,
                applied: 0,
                voters: BTreeSet::new(),
                learners: BTreeSet::new(),
                behind: BTreeMap::new(),
                failed: None,
            };
        };
        let now = member.now(&shared.settings);
        let leading = match (now.leads, now.has_majority) {
            (false, _) => Leading::No,
            (true, true) => Leading::WithMajority,
            (true, false) => Leading::WithoutMajority,
        };
        let last = now.last.unwrap_or(0);
        let voters: BTreeSet<NodeId> = now.voters.iter().flatten().copied().map(NodeId::new).collect();
        let behind =
            now.matched.iter().filter(|(id, _)| *id != shared.me).map(|(id, at)| (NodeId::new(*id), last.saturating_sub(at.map_or(0, |a| a.index))));
        Status {
            me,
            generation: member.generation,
            term: now.term,
            leader: shared.leader(&now).map(NodeId::new),
            leading,
            last,
            applied: now.applied.map_or(0, |a| a.index),
            learners: now.all.iter().copied().map(NodeId::new).filter(|n| !voters.contains(n)).collect(),
            voters,
            behind: behind.collect(),
            failed: now.failed.or_else(|| member.store.failure().map(|e| e.to_string())),
        }
    }

    /// The owner knows that `node`'s process is gone (its connection was reset, a new one refused): if it led, its lease need not be doubted for longer
    /// than it lasts.
    pub fn suspect(&self, node: NodeId) {
        let mut contact = self.shared.contact.lock();
        if contact.leader == Some(node.raw()) {
            contact.gone = true;
            self.shared.stir.notify_one();
        }
    }

    /// Ends this node's part, until it is opened again. What was acknowledged is on the disk.
    pub async fn close(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for (end, task) in tasks {
            drop(end);
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the metadata group panicked");
            }
        }
        self.shared.stop().await;
    }
}

/// What [`Group::state`] says, and when it says something else.
pub struct Watch(watch::Receiver<Shown>);

impl Watch {
    pub fn state(&mut self) -> Arc<State> {
        self.0.borrow_and_update().state.clone()
    }
    /// Resolves once there is something that [`Watch::state`] has not said yet; never again when the group is gone.
    pub async fn changed(&mut self) -> Arc<State> {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.state()
    }
}

/// In a group's place there must not be one already.
fn new_ground(world: &World, belongs: Belonging, fill: impl FnOnce(&Path) -> Result<(), Error>) -> Result<Ground, Error> {
    if let Some(there) = Ground::open(&world.env, &world.dir)? {
        return Err(Error::Occupied { has: there.belongs.generation });
    }
    Ground::take(&world.env, &world.dir, belongs, fill)
}

/// The journal of a generation that begins with `state`, and `me` as its only voter.
pub(crate) fn write_beginning(env: &Env, dir: &Path, settings: &Settings, me: u32, state: &State) -> Result<(), Error> {
    let beginning = store::beginning();
    let members = openraft::Membership::new(vec![BTreeSet::from([me])], BTreeMap::from([(me, ())]));
    let head = Head::of(Some(&beginning), &StoredMembership::new(Some(beginning), members));
    Store::found(env, dir, settings, &head, &weald_meta::encode_state(state))
}

impl Shared {
    pub fn member(&self) -> Option<Arc<Member>> {
        self.member.read().clone()
    }

    pub fn heard(&self, node: u32) {
        self.answered.lock().insert(node, Instant::now());
    }
    pub fn last_answer(&self, node: u32) -> Option<Instant> {
        self.answered.lock().get(&node).copied()
    }

    /// Another node has promised a later generation than we speak of. What follows from it is done by the task that looks after the group.
    pub fn fenced(&self, promised: Generation) {
        self.fenced_by.fetch_max(promised.raw(), Ordering::Relaxed);
    }
    pub fn promised(&self) -> Generation {
        Generation::new(self.promised.load(Ordering::Relaxed))
    }

    /// Who leads: ourselves with a majority, or someone we have heard from lately.
    pub fn leader(&self, now: &crate::member::Moment) -> Option<u32> {
        if now.leads {
            return now.has_majority.then_some(self.me);
        }
        let contact = *self.contact.lock();
        let lately = contact.at.is_some_and(|at| at.elapsed() <= self.settings.lease);
        contact.leader.filter(|_| lately && !contact.gone)
    }

    /// Whether it was given. Not while this node is about to begin a generation itself: then it has no time for another's, which may be its equal.
    pub async fn promise(&self, generation: Generation) -> Result<bool, Error> {
        let Ok(mut ground) = self.ground.try_lock() else { return Ok(false) };
        self.promise_on(&mut ground, generation).await?;
        Ok(ground.belongs.promised == generation)
    }

    /// A promise binds from the moment it is given: this node's Raft of a lower generation has stopped before anyone hears of it.
    pub async fn promise_on(&self, ground: &mut Ground, generation: Generation) -> Result<(), Error> {
        if generation <= ground.belongs.promised {
            return Ok(());
        }
        self.stop().await;
        ground.promise(generation)?;
        self.promised.store(ground.belongs.promised.raw(), Ordering::Relaxed);
        Ok(())
    }

    /// Someone speaks in a later generation than ours: what we have is of the past. We begin anew, with nothing, and learn.
    pub async fn follow_into(self: &Arc<Self>, generation: Generation) -> Result<(), Error> {
        let mut ground = self.ground.lock().await;
        if generation <= ground.belongs.generation || generation < ground.belongs.promised {
            return Ok(());
        }
        self.stop().await;
        let belongs = Belonging { generation, promised: generation, ..ground.belongs };
        tracing::warn!(from = %ground.belongs.generation, to = %generation, "the metadata was started anew elsewhere; this node learns it from there");
        ground.renew(belongs, |_| Ok(()))?;
        self.begin(&ground).await
    }

    /// Starts Raft in the generation that `ground` is in.
    pub async fn begin(self: &Arc<Self>, ground: &Ground) -> Result<(), Error> {
        self.promised.store(ground.belongs.promised.raw(), Ordering::Relaxed);
        *self.contact.lock() = Contact::default();
        *self.pieces.lock() = None;
        let member = Member::start(self, ground.belongs.generation, &ground.journal()).await?;
        *self.member.write() = Some(member);
        self.stir.notify_one();
        Ok(())
    }

    pub async fn stop(&self) {
        let member = self.member.write().take();
        if let Some(member) = member {
            member.stop().await;
        }
    }

    /// Whether others have told us that our generation is over: then it is, for us as well.
    pub async fn heed_fence(&self) {
        let by = Generation::new(self.fenced_by.load(Ordering::Relaxed));
        if by > self.promised()
            && let Err(error) = self.promise(by).await
        {
            tracing::error!(%error, "this node's promise to a later generation could not be kept on disk");
        }
    }
}
