//! The cluster as SHOW AGGREGATORS, SHOW LEAVES, SHOW CLUSTER STATUS and the views of information_schema tell of it.
//!
//! Owns:     nothing.
//! Promises: what the metadata expects stands beside what is observed; what is not known is NULL, not a guess.
//! Never:    asks another node; shows the nodes to who may not look at the cluster, or a partition of a database that the user does not see.

use super::observed::{Copy, CopyPhase, CopyRole, NodeSeen, NodeStage, Observed, Reach};
use crate::information_schema::{Facts, Row};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use weald_catalog::{ClusterView, DatabaseDef, Node, NodeState, Place, Privilege};
use weald_types::{DateTime, Json, NodeId, PartitionId, Value};

/// Rows of AGGREGATORS. The way to this node itself has no latency.
pub(crate) fn aggregators(f: &Facts<'_>) -> Vec<Row> {
    if !f.user.sees_cluster() {
        return Vec::new();
    }
    let (view, observed) = f.server.cluster();
    let clients = f.server.processes().len() as i64;
    let row = |(id, node): (NodeId, &Node)| {
        let seen = observed.nodes.get(&id);
        let master = observed.master == Some(id);
        let mut row = address(node);
        row.push(text(state(node, seen)));
        row.push(if is_itself(seen) { Value::Int(clients) } else { connections(seen) });
        row.push(latency(seen));
        row.push(flag(master));
        row.push(text(if master { "leader" } else { "follower" }));
        row.push(number(id.raw()));
        row.push(runtime_state(seen));
        row
    };
    view.topology.aggregators().map(row).collect()
}

/// Rows of LEAVES.
pub(crate) fn leaves(f: &Facts<'_>) -> Vec<Row> {
    if !f.user.sees_cluster() {
        return Vec::new();
    }
    let (view, observed) = f.server.cluster();
    let row = |(id, node): (NodeId, &Node)| {
        let seen = observed.nodes.get(&id);
        let mut row = address(node);
        row.push(number(node.group));
        // Copies are spread over the leaves of other groups: no leaf has one other that is its pair.
        row.extend([Value::Null, Value::Null]);
        row.push(text(state(node, seen)));
        // A leaf in the aggregator's own process is reached without a connection.
        row.push(if is_itself(seen) { Value::Int(0) } else { connections(seen) });
        row.push(latency(seen));
        row.push(number(id.raw()));
        row.push(runtime_state(seen));
        row
    };
    view.topology.leaves().map(row).collect()
}

/// Rows of MV_NODES: a node that is both has one as either.
pub(crate) fn nodes(f: &Facts<'_>) -> Vec<Row> {
    if !f.user.sees_cluster() {
        return Vec::new();
    }
    let (view, observed) = f.server.cluster();
    let mut rows = Vec::new();
    for (id, node) in &view.topology.nodes {
        let seen = observed.nodes.get(id);
        let aggregator = node.is_aggregator().then_some(if observed.master == Some(*id) { "MA" } else { "CA" });
        for kind in aggregator.into_iter().chain(node.is_leaf().then_some("Leaf")) {
            let mut row = vec![number(id.raw()), text(&node.host), number(node.ports.mysql), text(kind), text(state(node, seen))];
            row.push(if kind == "Leaf" { number(node.group) } else { Value::Null });
            match seen.and_then(|s| s.told.as_ref()).map(|t| &t.figures) {
                Some(n) => row.extend([
                    number(n.cpus),
                    megabytes(n.memory_limit_bytes),
                    megabytes(n.table_memory_limit_bytes),
                    megabytes(n.memory_bytes),
                    megabytes(n.table_memory_bytes),
                    n.disk_bytes.map_or(Value::Null, megabytes),
                    n.free_disk_bytes.map_or(Value::Null, megabytes),
                    Value::Int(n.uptime.as_secs() as i64),
                    text(&n.version),
                ]),
                None => row.extend(std::iter::repeat_n(Value::Null, 9)),
            }
            rows.push(row);
        }
    }
    rows
}

/// Rows of MV_CLUSTER_STATUS: each node's copy of the metadata, then every copy of a partition as the database that it is on its leaf.
pub(crate) fn status(f: &Facts<'_>) -> Vec<Row> {
    let (view, observed) = f.server.cluster();
    let mut rows = Vec::new();
    if f.user.sees_cluster() {
        for (id, node) in &view.topology.nodes {
            rows.push(metadata_row(&view, &observed, *id, node));
        }
    }
    for i in instances(&view, &observed).iter().filter(|i| i.is_seen_by(f)) {
        let mut row = vec![number(i.node.raw())];
        row.extend(address(i.member));
        row.push(text(i.name()));
        row.extend([i.role(), text(i.state()), i.position()]);
        row.extend(i.copy.and_then(|c| c.follows).map_or([Value::Null, Value::Null], |n| host_and_port(&view, n)));
        match i.expected {
            // A primary follows nobody.
            Some(Expected::Replica { primary: Some(primary), .. }) => {
                row.push(number(primary.raw()));
                row.extend(host_and_port(&view, primary));
            }
            Some(Expected::Replica { primary: None, .. } | Expected::Primary) | None => row.extend([Value::Null, Value::Null, Value::Null]),
        }
        row.push(text(i.expected.as_ref().map_or("Orphan", Expected::name)));
        row.push(text(i.details()));
        rows.push(row);
    }
    rows
}

/// Rows of DISTRIBUTED_PARTITIONS: every copy that there should be; one row without a node where there is none.
pub(crate) fn partitions(f: &Facts<'_>) -> Vec<Row> {
    each_partition(f, |row, id, database, i, epoch| {
        row.extend([number(database.id.raw()), text(&database.name), number(id.ordinal())]);
        match i {
            Some(i) => {
                row.extend(address(i.member));
                row.extend([text(i.expected.as_ref().map_or("", Expected::name)), flag(i.is_locked()), number(i.node.raw()), flag(!i.is_online())]);
                row.push(Value::Int(database.sync_replication as i64));
                row.push(text(match (&i.expected, i.copy.map(|c| c.phase)) {
                    (_, Some(CopyPhase::Failed)) => "UNRECOVERABLE",
                    (Some(Expected::Replica { in_sync: true, .. }), _) => "SYNC",
                    (Some(Expected::Replica { in_sync: false, .. }), _) => "ASYNC",
                    (Some(Expected::Primary) | None, _) => "",
                }));
            }
            None => row.extend([Value::Null, Value::Null, Value::Null, Value::Int(0), Value::Null, Value::Int(1), Value::Null, text("")]),
        }
        row.push(Value::Int(epoch as i64));
    })
}

/// Rows that SHOW PARTITIONS EXTENDED prints: (database, ordinal, host, port, role, locked, state, last command, last error, last message, node, term, position).
pub(crate) fn partitions_extended(f: &Facts<'_>) -> Vec<Row> {
    each_partition(f, |row, id, database, i, epoch| {
        row.extend([text(&database.name), number(id.ordinal())]);
        match i {
            Some(i) => {
                let failed = i.copy.is_some_and(|c| c.phase == CopyPhase::Failed);
                let details = i.details();
                row.extend(address(i.member));
                row.extend([text(i.expected.as_ref().map_or("", Expected::name)), flag(i.is_locked()), text(i.state()), Value::Null]);
                row.push(if failed { text(&details) } else { Value::Null });
                row.push(if failed || details.is_empty() { Value::Null } else { text(&details) });
                row.extend([number(i.node.raw()), Value::Int(epoch as i64), i.position()]);
            }
            None => {
                row.extend([Value::Null, Value::Null, Value::Null, Value::Int(0), text("offline")]);
                row.extend([Value::Null, Value::Null, Value::Null, Value::Null, Value::Int(epoch as i64), Value::Null]);
            }
        }
    })
}

fn each_partition(f: &Facts<'_>, fill: impl Fn(&mut Row, PartitionId, &DatabaseDef, Option<&Instance<'_>>, u64)) -> Vec<Row> {
    let (view, observed) = f.server.cluster();
    let mut copies: BTreeMap<PartitionId, Vec<Instance<'_>>> = BTreeMap::new();
    for i in instances(&view, &observed).into_iter().filter(|i| i.expected.is_some()) {
        copies.entry(i.partition).or_default().push(i);
    }
    let mut rows = Vec::new();
    for database in view.catalog.databases.values().filter(|d| f.user.sees_cluster() || f.user.sees_database(&d.name)) {
        for id in database.partition_ids() {
            let epoch = view.topology.places.get(&id).map_or(0, |p| p.epoch.raw());
            let there = copies.get(&id).map_or(&[][..], Vec::as_slice);
            for i in there.iter().map(Some).chain(there.is_empty().then_some(None)) {
                let mut row = Row::new();
                fill(&mut row, id, database, i, epoch);
                rows.push(row);
            }
        }
    }
    rows
}

/// Rows of MV_RECOVERY_STATUS, which calls a partition `<database>_<ordinal>`.
pub(crate) fn recovery(f: &Facts<'_>) -> Vec<Row> {
    let (view, observed) = f.server.cluster();
    let mut rows = Vec::new();
    for i in instances(&view, &observed).iter().filter(|i| i.is_seen_by(f)) {
        let Some(copy) = i.copy else { continue };
        let Some(recovery) = &copy.recovery else { continue };
        rows.push(vec![
            text(i.name()),
            number(i.partition.database().raw()),
            number(i.node.raw()),
            if recovery.doing.is_some() { text(format!("{}%", recovery.percent)) } else { Value::Null },
            recovery.doing.map_or(Value::Null, text),
            Value::UInt(recovery.replayed.raw()),
            Value::UInt(recovery.snapshot.raw()),
            text("DISK"),
            text(copy.phase.recovery_name()),
            number(recovery.percent),
            if copy.details.is_empty() { Value::Null } else { text(&copy.details) },
        ]);
    }
    rows
}

/// Rows that SHOW DATABASES EXTENDED prints: the metadata, every database, and what of them is on this node as partitions.
pub(crate) fn databases_extended(f: &Facts<'_>) -> Vec<Row> {
    let (view, observed) = f.server.cluster();
    let me = observed.nodes.iter().find(|(_, seen)| seen.reach == Reach::Itself);
    let leads = me.is_some_and(|(id, _)| observed.master == Some(*id));
    let role = text(if leads { "master" } else { "async replica" });
    let state = text(if leads { "online" } else { "replicating" });
    let mut rows = Vec::new();
    if f.user.sees_cluster() {
        let position = me.and_then(|(_, seen)| seen.told.as_ref()?.metadata);
        rows.push(database_row(
            Named { name: text("cluster"), role: role.clone(), state: state.clone(), details: String::new(), bytes: None },
            position,
            None,
        ));
    }
    for database in view.catalog.databases.values().filter(|d| f.user.sees_cluster() || f.user.sees_database(&d.name)) {
        let bytes = database.stored_tables().map(|t| f.server.table_size(t).1).sum();
        let named = Named { name: text(&database.name), role: role.clone(), state: state.clone(), details: String::new(), bytes: Some(bytes) };
        rows.push(database_row(named, None, None));
    }
    for i in instances(&view, &observed).iter().filter(|i| i.is_seen_by(f) && me.is_some_and(|(id, _)| *id == i.node)) {
        let named = Named { name: text(i.name()), role: i.role(), state: text(i.state()), details: i.details(), bytes: None };
        rows.push(database_row(named, i.copy.and_then(|c| c.position), i.copy.and_then(|c| c.epoch).map(|e| e.raw())));
    }
    rows
}

struct Named {
    name: Value,
    role: Value,
    state: Value,
    details: String,
    bytes: Option<u64>,
}

fn database_row(n: Named, at: Option<(u64, u64)>, term: Option<u64>) -> Row {
    let position = at.map_or(Value::Null, position);
    let term = term.map_or(Value::Null, |t| Value::Int(t as i64));
    let mut row = vec![n.name, Value::Null, n.role, n.state, position.clone(), text(n.details)];
    // Nobody follows, as long as databases have one copy; who does is each copy's own row in SHOW CLUSTER STATUS.
    row.extend([Value::Null, Value::Null, Value::Null]);
    // What is acknowledged is on disk, and what is on disk is applied: one position.
    row.extend([position.clone(), position.clone(), position]);
    row.extend([term.clone(), term]);
    row.push(n.bytes.map_or(Value::Null, |b| Value::Double((b as f64 / f64::from(1 << 20) * 1000.0).round() / 1000.0)));
    row.push(Value::Null);
    row
}

/// Rows of MV_EVENTS.
pub(crate) fn events(f: &Facts<'_>) -> Vec<Row> {
    if !f.user.sees_cluster() {
        return Vec::new();
    }
    let mut rows = Vec::new();
    for (node, events) in &f.told.events {
        for e in events {
            let at = DateTime::from_unix_micros(e.at_micros).map_or(Value::Null, |d| Value::DateTime(d.truncated(0)));
            rows.push(vec![number(node.raw()), at, text(e.severity.name()), text(e.kind.name()), json(&e.details)]);
        }
    }
    rows
}

/// Rows of PLANCACHE: statements of everybody.
pub(crate) fn plan_cache(f: &Facts<'_>) -> Vec<Row> {
    if f.user.may_globally(Privilege::Process) || f.user.may_globally(Privilege::Super) { f.server.plan_cache() } else { Vec::new() }
}

// ---------------------------------------------------------------------- copies

/// One copy of a partition, expected or found.
struct Instance<'a> {
    partition: PartitionId,
    database: Option<&'a Arc<DatabaseDef>>,
    node: NodeId,
    member: &'a Node,
    /// None: the metadata knows of none here.
    expected: Option<Expected>,
    seen: Option<&'a NodeSeen>,
    /// As its node last told; only of one that can be reached.
    copy: Option<&'a Copy>,
}

enum Expected {
    Primary,
    Replica { in_sync: bool, primary: Option<NodeId> },
}

impl Expected {
    fn of(place: &Place, node: NodeId) -> Option<Self> {
        if place.primary == Some(node) {
            return Some(Expected::Primary);
        }
        place.replicas.contains(&node).then(|| Expected::Replica { in_sync: place.in_sync.contains(&node), primary: place.primary })
    }
    fn name(&self) -> &'static str {
        match self {
            Expected::Primary => "Master",
            Expected::Replica { .. } => "Replica",
        }
    }
}

/// Every copy that there is, or should be, in the order of databases, partitions and nodes.
fn instances<'a>(view: &'a ClusterView, observed: &'a Observed) -> Vec<Instance<'a>> {
    let mut all: BTreeMap<(PartitionId, NodeId), Instance<'a>> = BTreeMap::new();
    let mut add = |partition: PartitionId, node: NodeId, expected: Option<Expected>| {
        let Some(member) = view.topology.nodes.get(&node) else { return };
        let seen = observed.nodes.get(&node);
        let told = seen.filter(|s| s.reach != Reach::Unreachable).and_then(|s| s.told.as_ref());
        let copy = told.and_then(|t| t.copies.get(&partition));
        let database = view.catalog.database_by_id(partition.database());
        all.entry((partition, node)).or_insert(Instance { partition, database, node, member, expected, seen, copy });
    };
    for (partition, place) in &view.topology.places {
        for node in place.copies() {
            add(*partition, node, Expected::of(place, node));
        }
    }
    for (node, seen) in &observed.nodes {
        for partition in seen.told.iter().flat_map(|t| t.copies.keys()) {
            add(*partition, *node, None);
        }
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by(|a, b| (a.database.map(|d| &d.name), a.partition, a.node).cmp(&(b.database.map(|d| &d.name), b.partition, b.node)));
    all
}

impl Instance<'_> {
    /// Orphans of databases that are gone are for those who look after the cluster.
    fn is_seen_by(&self, f: &Facts<'_>) -> bool {
        f.user.sees_cluster() || self.database.is_some_and(|d| f.user.sees_database(&d.name))
    }
    fn name(&self) -> String {
        match self.database {
            Some(d) => format!("{}_{}", d.name, self.partition.ordinal()),
            None => format!("#{}_{}", self.partition.database(), self.partition.ordinal()),
        }
    }
    fn role(&self) -> Value {
        match (&self.expected, self.copy) {
            (_, None) => Value::Null,
            (None, Some(_)) => text("orphan"),
            (Some(_), Some(c)) => text(match c.role {
                CopyRole::Primary => "master",
                CopyRole::Replica => "replica",
            }),
        }
    }
    /// Of the copy, by what its node says; without that, by what is known of its node.
    fn state(&self) -> &'static str {
        match self.copy {
            Some(c) => c.phase.name(),
            None => "offline",
        }
    }
    fn position(&self) -> Value {
        self.copy.and_then(|c| c.position).map_or(Value::Null, position)
    }
    fn is_locked(&self) -> bool {
        self.copy.is_some_and(|c| c.phase == CopyPhase::Transitioning)
    }
    fn is_online(&self) -> bool {
        self.copy.is_some_and(|c| matches!(c.phase, CopyPhase::Online | CopyPhase::Replicating))
    }
    fn details(&self) -> String {
        match self.copy {
            Some(c) => match &c.recovery {
                Some(r) if c.details.is_empty() => r.doing.map_or(String::new(), |doing| format!("{doing}: {}%", r.percent)),
                Some(_) | None => c.details.clone(),
            },
            None => absence(self.seen).into(),
        }
    }
}

/// Why nothing is known of what a node should have.
fn absence(seen: Option<&NodeSeen>) -> &'static str {
    match seen.map(|s| (s.reach, &s.told)) {
        None => "nothing has been heard of its node yet",
        Some((Reach::Unreachable, _)) => "its node cannot be reached",
        Some((Reach::Itself | Reach::Reachable { .. }, None)) => "its node has not told of it yet",
        Some((Reach::Itself | Reach::Reachable { .. }, Some(_))) => "its node does not have it",
    }
}

/// The metadata itself, which every node has.
fn metadata_row(view: &ClusterView, observed: &Observed, id: NodeId, node: &Node) -> Row {
    let told = observed.nodes.get(&id).filter(|s| s.reach != Reach::Unreachable).and_then(|s| s.told.as_ref()).and_then(|t| t.metadata);
    let master = observed.master == Some(id);
    let mut row = vec![number(id.raw())];
    row.extend(address(node));
    row.push(text("cluster"));
    row.push(if told.is_none() { Value::Null } else { text(if master { "master" } else { "replica" }) });
    row.push(text(match (told, master) {
        (None, _) => "offline",
        (Some(_), true) => "online",
        (Some(_), false) => "replicating",
    }));
    row.push(told.map_or(Value::Null, position));
    match observed.master.filter(|_| !master) {
        Some(leader) => {
            let [host, port] = host_and_port(view, leader);
            row.extend([host.clone(), port.clone(), number(leader.raw()), host, port]);
        }
        None => row.extend(std::iter::repeat_n(Value::Null, 5)),
    }
    row.extend([text("Reference"), text(if told.is_none() { absence(observed.nodes.get(&id)) } else { "" })]);
    row
}

// ---------------------------------------------------------------------- nodes

/// As SHOW prints it: what was decided about the node, unless what is seen of it says otherwise.
pub(crate) fn state(node: &Node, seen: Option<&NodeSeen>) -> &'static str {
    let stage = seen.and_then(|s| s.told.as_ref()).map(|t| t.stage);
    let reach = seen.map(|s| s.reach);
    match (node.state, reach, stage) {
        (NodeState::Detached, _, _) => NodeState::Detached.name(),
        (NodeState::Online | NodeState::Offline | NodeState::Attaching, Some(Reach::Unreachable), _) => NodeState::Offline.name(),
        (_, _, Some(NodeStage::Starting | NodeStage::Recovering)) => "recovering",
        (_, _, Some(NodeStage::RecoveryFailed)) => "recovery_failed",
        (decided, _, Some(NodeStage::Pending | NodeStage::Online | NodeStage::Stopping) | None) => decided.name(),
    }
}

fn runtime_state(seen: Option<&NodeSeen>) -> Value {
    match seen {
        Some(NodeSeen { reach: Reach::Unreachable, .. }) => text("unreachable"),
        Some(NodeSeen { told: Some(told), .. }) => text(told.stage.name()),
        Some(NodeSeen { told: None, .. }) | None => Value::Null,
    }
}

fn is_itself(seen: Option<&NodeSeen>) -> bool {
    seen.is_some_and(|s| s.reach == Reach::Itself)
}

fn connections(seen: Option<&NodeSeen>) -> Value {
    seen.and_then(|s| s.connections).map_or(Value::Null, |n| Value::Int(n as i64))
}

fn latency(seen: Option<&NodeSeen>) -> Value {
    match seen.map(|s| s.reach) {
        Some(Reach::Reachable { round_trip: Some(time) }) => milliseconds(time),
        Some(Reach::Reachable { round_trip: None } | Reach::Itself | Reach::Unreachable) | None => Value::Null,
    }
}

fn address(node: &Node) -> Row {
    vec![text(&node.host), number(node.ports.mysql)]
}

fn host_and_port(view: &ClusterView, id: NodeId) -> [Value; 2] {
    view.topology.nodes.get(&id).map_or([Value::Null, Value::Null], |n| [text(&n.host), number(n.ports.mysql)])
}

fn position((file, offset): (u64, u64)) -> Value {
    text(format!("{file}:{offset}"))
}

/// To the microsecond.
fn milliseconds(time: Duration) -> Value {
    Value::Double(time.as_micros() as f64 / 1000.0)
}

fn megabytes(bytes: u64) -> Value {
    Value::Int((bytes >> 20) as i64)
}

fn number(n: impl Into<i64>) -> Value {
    Value::Int(n.into())
}

fn flag(is: bool) -> Value {
    Value::Int(is as i64)
}

/// What is none is shown as a text.
fn json(s: &str) -> Value {
    Json::parse(s).map_or_else(|_| text(s), |j| Value::Json(Arc::new(j)))
}

fn text(s: impl AsRef<str>) -> Value {
    Value::str(s)
}
