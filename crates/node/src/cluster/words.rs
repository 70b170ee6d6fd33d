//! What nodes say to each other about the cluster: bytes on the wire.
//!
//! Owns:     nothing.
//! Promises: types of their own, so that what statements and views compute with can change without a word on the wire changing. Commands are the
//!           bytes that the metadata's log has, with their version.
//! Never:    trusts what it reads: what cannot be understood is an error, and nothing was done.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use weald_aggregator::cluster::{
    Address, Answer, Asked, ClusterOrder, Copy, CopyPhase, CopyRecovery, CopyRole, Credentials, Event, EventKind, Figures, Force, Kill, NodeStage,
    Rebalance, Severity, Told,
};
use weald_aggregator::information_schema::Process;
use weald_catalog::Outcome;
use weald_types::{DatabaseId, Epoch, Fault, Generation, Lsn, NodeId, PartitionId, TableId};

/// A message of the metadata group. The number and the generation are what a node that was just added does not know yet.
#[derive(Serialize, Deserialize)]
pub struct ToGroup {
    pub to: NodeId,
    pub generation: Generation,
    pub message: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
pub struct Propose {
    pub command: Vec<u8>,
}

/// What became of a command, or of an order.
#[derive(Serialize, Deserialize)]
pub enum Done {
    /// Whoever asked shows it once it shows this version.
    Made {
        outcome: Made,
        version: u64,
        warnings: Vec<Fault>,
    },
    NotMaster {
        master: Option<NodeId>,
    },
    Refused(Fault),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub enum Made {
    Done,
    Database(DatabaseId),
    Table(TableId),
    Node(NodeId),
}

impl From<Outcome> for Made {
    fn from(o: Outcome) -> Self {
        match o {
            Outcome::Done => Made::Done,
            Outcome::Database(id) => Made::Database(id),
            Outcome::Table(id) => Made::Table(id),
            Outcome::Node(id) => Made::Node(id),
        }
    }
}
impl From<Made> for Outcome {
    fn from(m: Made) -> Self {
        match m {
            Made::Done => Outcome::Done,
            Made::Database(id) => Outcome::Database(id),
            Made::Table(id) => Outcome::Table(id),
            Made::Node(id) => Outcome::Node(id),
        }
    }
}

/// Mirrors [`ClusterOrder`].
#[derive(Serialize, Deserialize)]
pub enum Order {
    Bootstrap { at: Option<Place> },
    AddAggregator { node: Place, login: Option<(String, Option<String>)> },
    RemoveAggregator { node: Place },
    AddLeaf { node: Place, login: Option<(String, Option<String>)>, group: Option<u8> },
    RemoveLeaf { node: Place, force: bool },
    DetachLeaf { node: Place, force: bool },
    AttachLeaf { node: Place, force: bool, rebalance: bool },
    AttachAllLeaves { rebalance: bool },
    ClearOrphanDatabases,
    SetAsMaster,
    Promote { node: Place },
}

#[derive(Serialize, Deserialize)]
pub struct Place {
    host: String,
    port: Option<u16>,
}

impl From<&Address> for Place {
    fn from(a: &Address) -> Self {
        Place { host: a.host.to_string(), port: a.port }
    }
}
impl From<Place> for Address {
    fn from(p: Place) -> Self {
        Address { host: p.host.into(), port: p.port }
    }
}

fn login(c: &Option<Credentials>) -> Option<(String, Option<String>)> {
    c.as_ref().map(|c| (c.user.to_string(), c.password.as_deref().map(str::to_string)))
}
fn credentials(l: Option<(String, Option<String>)>) -> Option<Credentials> {
    l.map(|(user, password)| Credentials { user: user.into(), password: password.map(Into::into) })
}
fn force(yes: bool) -> Force {
    if yes { Force::Force } else { Force::Safe }
}
fn balance(yes: bool) -> Rebalance {
    if yes { Rebalance::Yes } else { Rebalance::No }
}

impl From<&ClusterOrder> for Order {
    fn from(order: &ClusterOrder) -> Self {
        match order {
            ClusterOrder::Bootstrap { at } => Order::Bootstrap { at: at.as_ref().map(Place::from) },
            ClusterOrder::AddAggregator { node, credentials } => Order::AddAggregator { node: node.into(), login: login(credentials) },
            ClusterOrder::RemoveAggregator { node } => Order::RemoveAggregator { node: node.into() },
            ClusterOrder::AddLeaf { node, credentials, group } => Order::AddLeaf { node: node.into(), login: login(credentials), group: *group },
            ClusterOrder::RemoveLeaf { node, force } => Order::RemoveLeaf { node: node.into(), force: *force == Force::Force },
            ClusterOrder::DetachLeaf { node, force } => Order::DetachLeaf { node: node.into(), force: *force == Force::Force },
            ClusterOrder::AttachLeaf { node, force, rebalance } => {
                Order::AttachLeaf { node: node.into(), force: *force == Force::Force, rebalance: *rebalance == Rebalance::Yes }
            }
            ClusterOrder::AttachAllLeaves { rebalance } => Order::AttachAllLeaves { rebalance: *rebalance == Rebalance::Yes },
            ClusterOrder::ClearOrphanDatabases => Order::ClearOrphanDatabases,
            ClusterOrder::SetAsMaster => Order::SetAsMaster,
            ClusterOrder::Promote { node } => Order::Promote { node: node.into() },
        }
    }
}
impl From<Order> for ClusterOrder {
    fn from(order: Order) -> Self {
        match order {
            Order::Bootstrap { at } => ClusterOrder::Bootstrap { at: at.map(Address::from) },
            Order::AddAggregator { node, login } => ClusterOrder::AddAggregator { node: node.into(), credentials: credentials(login) },
            Order::RemoveAggregator { node } => ClusterOrder::RemoveAggregator { node: node.into() },
            Order::AddLeaf { node, login, group } => ClusterOrder::AddLeaf { node: node.into(), credentials: credentials(login), group },
            Order::RemoveLeaf { node, force: f } => ClusterOrder::RemoveLeaf { node: node.into(), force: force(f) },
            Order::DetachLeaf { node, force: f } => ClusterOrder::DetachLeaf { node: node.into(), force: force(f) },
            Order::AttachLeaf { node, force: f, rebalance } => {
                ClusterOrder::AttachLeaf { node: node.into(), force: force(f), rebalance: balance(rebalance) }
            }
            Order::AttachAllLeaves { rebalance } => ClusterOrder::AttachAllLeaves { rebalance: balance(rebalance) },
            Order::ClearOrphanDatabases => ClusterOrder::ClearOrphanDatabases,
            Order::SetAsMaster => ClusterOrder::SetAsMaster,
            Order::Promote { node } => ClusterOrder::Promote { node: node.into() },
        }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Ping {
    /// The master's word: what it has decided up to here. A leaf that has recovered and knows as much takes its partitions up.
    pub decided: Option<u64>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Pong {
    pub stage: u8,
    /// Of the metadata that the node shows.
    pub version: u64,
}

const STAGES: [NodeStage; 6] =
    [NodeStage::Starting, NodeStage::Recovering, NodeStage::Pending, NodeStage::Online, NodeStage::RecoveryFailed, NodeStage::Stopping];

pub fn stage_number(stage: NodeStage) -> u8 {
    STAGES.iter().position(|s| *s == stage).unwrap_or(0) as u8
}
pub fn stage(number: u8) -> NodeStage {
    STAGES.get(number as usize).copied().unwrap_or(NodeStage::Starting)
}

const PHASES: [CopyPhase; 6] =
    [CopyPhase::Recovering, CopyPhase::Pending, CopyPhase::Transitioning, CopyPhase::Online, CopyPhase::Replicating, CopyPhase::Failed];
/// What a recovery can be doing.
const DOING: [&str; 2] = ["Recovering snapshot from disk", "Recovering log files from disk"];

#[derive(Serialize, Deserialize)]
pub struct Report {
    stage: u8,
    cpus: u32,
    /// Limit and use of the process, then of tables.
    memory: [u64; 4],
    disk: Option<u64>,
    free_disk: Option<u64>,
    uptime_micros: u64,
    release: String,
    metadata: Option<(u64, u64)>,
    copies: Vec<ReportedCopy>,
    /// Clients' connections.
    pub connections: u64,
}

#[derive(Serialize, Deserialize)]
struct ReportedCopy {
    partition: PartitionId,
    replica: bool,
    phase: u8,
    epoch: Option<Epoch>,
    position: Option<(u64, u64)>,
    follows: Option<NodeId>,
    /// What it is doing, its percentage, what was replayed, the snapshot's position.
    recovery: Option<(Option<u8>, u8, Lsn, Lsn)>,
    details: String,
}

impl Report {
    pub fn of(told: &Told, connections: u64) -> Self {
        let f = &told.figures;
        let copy = |(id, c): (&PartitionId, &Copy)| ReportedCopy {
            partition: *id,
            replica: c.role == CopyRole::Replica,
            phase: PHASES.iter().position(|p| *p == c.phase).unwrap_or(0) as u8,
            epoch: c.epoch,
            position: c.position,
            follows: c.follows,
            recovery: c.recovery.as_ref().map(|r| {
                let doing = r.doing.and_then(|d| DOING.iter().position(|n| *n == d)).map(|n| n as u8);
                (doing, r.percent, r.replayed, r.snapshot)
            }),
            details: c.details.clone(),
        };
        Report {
            stage: stage_number(told.stage),
            cpus: f.cpus,
            memory: [f.memory_limit_bytes, f.memory_bytes, f.table_memory_limit_bytes, f.table_memory_bytes],
            disk: f.disk_bytes,
            free_disk: f.free_disk_bytes,
            uptime_micros: f.uptime.as_micros() as u64,
            release: f.version.to_string(),
            metadata: told.metadata,
            copies: told.copies.iter().map(copy).collect(),
            connections,
        }
    }

    pub fn told(self) -> Told {
        let copy = |c: ReportedCopy| {
            let recovery = c.recovery.map(|(doing, percent, replayed, snapshot)| CopyRecovery {
                doing: doing.and_then(|n| DOING.get(n as usize).copied()),
                percent,
                replayed,
                snapshot,
            });
            let phase = PHASES.get(c.phase as usize).copied().unwrap_or(CopyPhase::Failed);
            let role = if c.replica { CopyRole::Replica } else { CopyRole::Primary };
            (c.partition, Copy { role, phase, epoch: c.epoch, position: c.position, follows: c.follows, recovery, details: c.details })
        };
        let [memory_limit_bytes, memory_bytes, table_memory_limit_bytes, table_memory_bytes] = self.memory;
        Told {
            stage: stage(self.stage),
            figures: Figures {
                cpus: self.cpus,
                memory_limit_bytes,
                table_memory_limit_bytes,
                memory_bytes,
                table_memory_bytes,
                disk_bytes: self.disk,
                free_disk_bytes: self.free_disk,
                uptime: Duration::from_micros(self.uptime_micros),
                version: self.release.into(),
            },
            metadata: self.metadata,
            copies: self.copies.into_iter().map(copy).collect(),
        }
    }
}

/// Mirrors [`Asked`].
#[derive(Serialize, Deserialize)]
pub enum Question {
    Processes,
    Kill { connection: u64, query_only: bool, only_of: Option<String> },
    Events,
    SyncAutoIncrement { database: Option<String>, table: Option<String> },
}

impl From<Asked> for Question {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Processes => Question::Processes,
            Asked::Kill { connection, how, only_of } => {
                Question::Kill { connection, query_only: how == Kill::Query, only_of: only_of.map(String::from) }
            }
            Asked::Events => Question::Events,
            Asked::SyncAutoIncrement { database, table } => {
                Question::SyncAutoIncrement { database: database.map(String::from), table: table.map(String::from) }
            }
        }
    }
}
impl From<Question> for Asked {
    fn from(q: Question) -> Self {
        match q {
            Question::Processes => Asked::Processes,
            Question::Kill { connection, query_only, only_of } => {
                Asked::Kill { connection, how: if query_only { Kill::Query } else { Kill::Connection }, only_of: only_of.map(Into::into) }
            }
            Question::Events => Asked::Events,
            Question::SyncAutoIncrement { database, table } => {
                Asked::SyncAutoIncrement { database: database.map(Into::into), table: table.map(Into::into) }
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
pub enum Answered {
    Processes(Vec<AProcess>),
    Events(Vec<AnEvent>),
    Done,
    Refused(Fault),
}

#[derive(Serialize, Deserialize)]
pub struct AProcess {
    id: u64,
    user: String,
    host: String,
    port: u16,
    database: Option<String>,
    command: String,
    since_micros: i64,
    seconds: u64,
    state: String,
    info: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub struct AnEvent {
    at_micros: i64,
    severity: u8,
    kind: String,
    node: Option<NodeId>,
    details: String,
}

const SEVERITIES: [Severity; 3] = [Severity::Notice, Severity::Warning, Severity::Error];

impl From<Result<Answer, Fault>> for Answered {
    fn from(answer: Result<Answer, Fault>) -> Self {
        match answer {
            Ok(Answer::Done) => Answered::Done,
            Ok(Answer::Processes(all)) => Answered::Processes(
                all.into_iter()
                    .map(|p| AProcess {
                        id: p.id,
                        user: p.user,
                        host: p.host,
                        port: p.port,
                        database: p.database,
                        command: p.command.into_owned(),
                        since_micros: p.since_micros,
                        seconds: p.seconds,
                        state: p.state.into_owned(),
                        info: p.info,
                    })
                    .collect(),
            ),
            Ok(Answer::Events(all)) => Answered::Events(
                all.into_iter()
                    .map(|e| AnEvent {
                        at_micros: e.at_micros,
                        severity: SEVERITIES.iter().position(|s| *s == e.severity).unwrap_or(0) as u8,
                        kind: e.kind.name().to_string(),
                        node: e.node,
                        details: e.details,
                    })
                    .collect(),
            ),
            Err(fault) => Answered::Refused(fault),
        }
    }
}
impl From<Answered> for Result<Answer, Fault> {
    fn from(answered: Answered) -> Self {
        match answered {
            Answered::Done => Ok(Answer::Done),
            Answered::Processes(all) => Ok(Answer::Processes(
                all.into_iter()
                    .map(|p| Process {
                        id: p.id,
                        user: p.user,
                        host: p.host,
                        port: p.port,
                        database: p.database,
                        command: p.command.into(),
                        since_micros: p.since_micros,
                        seconds: p.seconds,
                        state: p.state.into(),
                        info: p.info,
                    })
                    .collect(),
            )),
            // Kinds that this release does not know are of a later one.
            Answered::Events(all) => Ok(Answer::Events(
                all.into_iter()
                    .filter_map(|e| {
                        Some(Event {
                            at_micros: e.at_micros,
                            severity: SEVERITIES.get(e.severity as usize).copied().unwrap_or(Severity::Notice),
                            kind: EventKind::by_name(&e.kind)?,
                            node: e.node,
                            details: e.details,
                        })
                    })
                    .collect(),
            )),
            Answered::Refused(fault) => Err(fault),
        }
    }
}

pub fn encode(message: &impl Serialize) -> Bytes {
    postcard::to_stdvec(message).expect("writing to a vector cannot fail, and our types have no custom serialisation").into()
}

pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    postcard::from_bytes(bytes).map_err(|e| format!("a message cannot be understood: {e}"))
}
