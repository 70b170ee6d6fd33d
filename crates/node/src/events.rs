//! What has happened to the cluster, as this node has seen it: for MV_EVENTS.
//!
//! Owns:     the last events, in memory and in the file `events.log` of the data directory; the thread that writes it.
//! Promises: an event is seen from the moment it is recorded, and after a restart unless the process ended within moments of it. The file stays small: when it
//!           holds twice as many as are kept, it is written anew with those.
//! Never:    makes whoever records wait for the disk; is asked what is true (the metadata is): an event that could not be written is lost to the next start.
//! See:      docs/format/events.md

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use weald_aggregator::cluster::{Event, EventKind, Severity};
use weald_catalog::{ClusterView, DatabaseDef, Node, NodeState, Topology};
use weald_env::disk::OpenMode;
use weald_env::{Clock, Env};
use weald_types::NodeId;

/// As many as MemSQL's view has.
const KEPT: usize = 1028;
/// Events that wait for the disk; more are not written.
const WAITING_MOST: usize = 256;
const MAGIC: &str = "weald events 1\n";

pub(crate) struct EventLog {
    clock: Arc<dyn Clock>,
    kept: Mutex<VecDeque<Event>>,
    /// None: nothing is written, from the beginning or since the end.
    writer: Mutex<Option<Writer>>,
}

struct Writer {
    to: SyncSender<Event>,
    thread: JoinHandle<()>,
}

impl EventLog {
    /// With the events of earlier starts. A file that cannot be read is said so in the log, and begun anew: events are for people to look at, no reason not to
    /// start.
    pub fn open(env: &Env, dir: &Path) -> io::Result<Arc<Self>> {
        let path = dir.join("events.log");
        let (mut kept, in_file) = match read(env, &path) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "events of earlier starts cannot be read; the file is begun anew");
                (VecDeque::new(), None)
            }
        };
        kept.drain(..kept.len().saturating_sub(KEPT));
        let file = File { env: env.clone(), path, events: in_file, kept: kept.clone() };
        let (to, events) = sync_channel(WAITING_MOST);
        let thread = std::thread::Builder::new().name("events".into()).spawn(move || file.follow(&events))?;
        Ok(Arc::new(Self { clock: env.clock.clone(), kept: Mutex::new(kept), writer: Mutex::new(Some(Writer { to, thread })) }))
    }

    /// Kept nowhere but here.
    #[cfg(test)]
    pub fn in_memory(env: &Env) -> Arc<Self> {
        Arc::new(Self { clock: env.clock.clone(), kept: Mutex::default(), writer: Mutex::default() })
    }

    pub fn record(&self, h: Happened) {
        let at_micros = self.clock.wall_micros() as i64;
        let event = Event { at_micros, severity: h.severity, kind: h.kind, node: h.node, details: h.details.to_string() };
        let mut kept = self.kept.lock();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(event.clone());
        drop(kept);
        if let Some(w) = &*self.writer.lock()
            && w.to.try_send(event).is_err()
        {
            tracing::warn!(kind = h.kind.name(), "the disk does not keep up with events; one is not written");
        }
    }

    pub fn record_all(&self, all: Vec<Happened>) {
        all.into_iter().for_each(|h| self.record(h));
    }

    /// Oldest first.
    pub fn all(&self) -> Vec<Event> {
        self.kept.lock().iter().cloned().collect()
    }

    /// What was recorded before is written when it returns.
    pub fn close(&self) {
        let Some(w) = self.writer.lock().take() else { return };
        drop(w.to);
        if w.thread.join().is_err() {
            tracing::error!("the thread that writes events panicked");
        }
    }
}

/// An event that has no time yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Happened {
    pub severity: Severity,
    pub kind: EventKind,
    pub node: Option<NodeId>,
    /// An object.
    pub details: serde_json::Value,
}

/// What has happened between two views, the second newer: for the one node that tells of it.
pub(crate) fn between(old: &ClusterView, new: &ClusterView) -> Vec<Happened> {
    let mut all = Vec::new();
    nodes_between(old, new, &mut all);
    let named = |d: &DatabaseDef| serde_json::json!({ "database": d.name, "partitions": d.partitions });
    let mut tell = |kind, d: &DatabaseDef| all.push(Happened { severity: Severity::Notice, kind, node: None, details: named(d) });
    for d in new.catalog.databases.values().filter(|d| old.catalog.database_by_id(d.id).is_none()) {
        tell(EventKind::DatabaseCreated, d);
    }
    for d in old.catalog.databases.values().filter(|d| new.catalog.database_by_id(d.id).is_none()) {
        tell(EventKind::DatabaseDropped, d);
    }
    for (id, place) in &new.topology.places {
        let Some(before) = old.topology.places.get(id).filter(|b| b.primary != place.primary) else { continue };
        let Some(d) = new.catalog.database_by_id(id.database()) else { continue };
        let details = serde_json::json!({
            "partition": format!("{}:{}", d.name, id.ordinal()),
            "from": before.primary.map(|n| n.raw()),
            "to": place.primary.map(|n| n.raw()),
            "term": place.epoch.raw(),
        });
        let severity = if place.primary.is_some() { Severity::Notice } else { Severity::Error };
        all.push(Happened { severity, kind: EventKind::PrimaryChanged, node: place.primary, details });
    }
    all
}

/// Told by the node itself: the others see it, but not all at the same moment.
pub(crate) fn begins_to_lead(me: NodeId, topology: &Topology) -> Happened {
    let node = topology.nodes.get(&me).map(|n| format!("{}:{}", n.host, n.ports.mysql));
    Happened { severity: Severity::Notice, kind: EventKind::MasterChanged, node: Some(me), details: serde_json::json!({ "node": node }) }
}

fn nodes_between(old: &ClusterView, new: &ClusterView, all: &mut Vec<Happened>) {
    let address = |n: &Node| format!("{}:{}", n.host, n.ports.mysql);
    for (id, n) in &new.topology.nodes {
        let mut tell = |severity, kind, details| all.push(Happened { severity, kind, node: Some(*id), details });
        let details = serde_json::json!({ "node": address(n) });
        let Some(before) = old.topology.nodes.get(id) else {
            let kind = if n.is_aggregator() { EventKind::AggregatorAdded } else { EventKind::LeafAdded };
            tell(Severity::Notice, kind, details);
            continue;
        };
        if (&before.host, before.ports.mysql) != (&n.host, n.ports.mysql) {
            tell(Severity::Notice, EventKind::NodeAddressChanged, serde_json::json!({ "node": address(n), "was": address(before) }));
        }
        if before.state != n.state {
            let (severity, kind) = match n.state {
                NodeState::Online => (Severity::Notice, EventKind::NodeOnline),
                NodeState::Offline => (Severity::Error, EventKind::NodeOffline),
                NodeState::Attaching => (Severity::Notice, EventKind::NodeAttaching),
                NodeState::Detached => (Severity::Warning, EventKind::NodeDetached),
            };
            tell(severity, kind, details);
        }
    }
    for (id, n) in old.topology.nodes.iter().filter(|(id, _)| !new.topology.nodes.contains_key(id)) {
        let kind = if n.is_aggregator() { EventKind::AggregatorRemoved } else { EventKind::LeafRemoved };
        all.push(Happened { severity: Severity::Notice, kind, node: Some(*id), details: serde_json::json!({ "node": address(n) }) });
    }
}

// ---------------------------------------------------------------------- the file

struct File {
    env: Env,
    path: PathBuf,
    /// How many lines the file has; None: it has to be written anew.
    events: Option<usize>,
    kept: VecDeque<Event>,
}

impl File {
    /// Until everyone who could record is gone.
    fn follow(mut self, events: &Receiver<Event>) {
        while let Ok(event) = events.recv() {
            if self.kept.len() == KEPT {
                self.kept.pop_front();
            }
            self.kept.push_back(event);
            if let Err(error) = self.write() {
                tracing::warn!(%error, path = %self.path.display(), "events cannot be written");
                // Half of a line may be there.
                self.events = None;
            }
        }
    }

    /// The newest event is not in the file yet.
    fn write(&mut self) -> io::Result<()> {
        match (self.events, self.kept.back()) {
            (Some(n), Some(newest)) if n < 2 * KEPT => {
                let file = self.env.disk.open(&self.path, OpenMode::Write)?;
                file.write_all_at(line(newest).as_bytes(), file.len()?)?;
                self.events = Some(n + 1);
            }
            _ => {
                let all: String = self.kept.iter().map(line).collect();
                self.env.disk.write_atomically(&self.path, format!("{MAGIC}{all}").as_bytes())?;
                self.events = Some(self.kept.len());
            }
        }
        Ok(())
    }
}

/// The events, and how many lines there are, if another can be added as they are.
fn read(env: &Env, path: &Path) -> io::Result<(VecDeque<Event>, Option<usize>)> {
    if !env.disk.exists(path) {
        return Ok((VecDeque::new(), None));
    }
    let bytes = env.disk.read(path)?;
    let Some(lines) = bytes.strip_prefix(MAGIC.as_bytes()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not begin as a file of events does"));
    };
    let mut events = VecDeque::new();
    let mut whole = true;
    for l in lines.split_inclusive(|b| *b == b'\n') {
        match parse(l) {
            Some(e) => events.push_back(e),
            // A crash in the middle of one; or the release that wrote it knows events that this one does not.
            None => whole = false,
        }
    }
    let count = whole.then_some(events.len());
    Ok((events, count))
}

fn line(e: &Event) -> String {
    let details: serde_json::Value = serde_json::from_str(&e.details).unwrap_or_default();
    let json = serde_json::json!({
        "at": e.at_micros,
        "severity": e.severity.name(),
        "type": e.kind.name(),
        "node": e.node.map(|n| n.raw()),
        "details": details,
    })
    .to_string();
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}

fn parse(line: &[u8]) -> Option<Event> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (sum, json) = line.split_once(' ')?;
    if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(json.as_bytes()) {
        return None;
    }
    let v: serde_json::Value = serde_json::from_str(json).ok()?;
    let severity = match v.get("severity")?.as_str()? {
        "NOTICE" => Severity::Notice,
        "WARNING" => Severity::Warning,
        "ERROR" => Severity::Error,
        _ => return None,
    };
    Some(Event {
        at_micros: v.get("at")?.as_i64()?,
        severity,
        kind: EventKind::by_name(v.get("type")?.as_str()?)?,
        node: v.get("node").and_then(|n| n.as_u64()).and_then(|n| u32::try_from(n).ok()).map(NodeId::new),
        details: v.get("details")?.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use weald_types::{ClusterId, NodeIdentity};

    fn happened(n: usize) -> Happened {
        Happened {
            severity: Severity::Notice,
            kind: EventKind::DatabaseCreated,
            node: None,
            details: serde_json::json!({ "database": format!("d'\"\n{n}") }),
        }
    }

    fn names(all: &[Event]) -> Vec<String> {
        all.iter().map(|e| e.details.clone()).collect()
    }

    #[test]
    fn events_are_there_after_a_restart_and_the_file_stays_small() {
        let env = Env::simulated(1);
        let dir = Path::new("/data");
        env.disk.create_dir_all(dir).unwrap();
        let log = EventLog::open(&env, dir).unwrap();
        (0..3).for_each(|n| log.record(happened(n)));
        let before = log.all();
        log.close();
        let log = EventLog::open(&env, dir).unwrap();
        assert_eq!(log.all(), before);
        // More than the file ever holds.
        (3..3 * KEPT).for_each(|n| log.record(happened(n)));
        let kept = log.all();
        assert_eq!((kept.len(), &*kept[KEPT - 1].details), (KEPT, &*happened(3 * KEPT - 1).details.to_string()));
        log.close();
        let bytes = env.disk.read(&dir.join("events.log")).unwrap();
        assert!(bytes.iter().filter(|b| **b == b'\n').count() <= 1 + 2 * KEPT);
    }

    #[test]
    fn a_torn_line_costs_itself_only() {
        let env = Env::simulated(1);
        let dir = Path::new("/data");
        env.disk.create_dir_all(dir).unwrap();
        let log = EventLog::open(&env, dir).unwrap();
        (0..3).for_each(|n| log.record(happened(n)));
        let all = log.all();
        log.close();
        let path = dir.join("events.log");
        let bytes = env.disk.read(&path).unwrap();
        env.disk.write_atomically(&path, &bytes[..bytes.len() - 5]).unwrap();
        let log = EventLog::open(&env, dir).unwrap();
        assert_eq!(names(&log.all()), names(&all[..2]));
        log.record(happened(9));
        log.close();
        assert_eq!(EventLog::open(&env, dir).unwrap().all().len(), 3);
        env.disk.write_atomically(&path, b"something else").unwrap();
        assert!(EventLog::open(&env, dir).unwrap().all().is_empty());
    }

    #[test]
    fn the_bytes_of_version_1_are_understood() {
        let text = include_bytes!("../fixtures/events.1.log");
        let env = Env::simulated(1);
        env.disk.create_dir_all(Path::new("/data")).unwrap();
        env.disk.write_atomically(Path::new("/data/events.log"), text).unwrap();
        let (events, whole) = read(&env, Path::new("/data/events.log")).unwrap();
        assert_eq!(whole, Some(2));
        assert_eq!(events[0].kind, EventKind::LeafAdded);
        assert_eq!((events[1].node, events[1].severity), (Some(NodeId::new(2)), Severity::Error));
        let again: String = events.iter().map(line).collect();
        assert_eq!(format!("{MAGIC}{again}").as_bytes(), text);
    }

    #[test]
    fn what_has_happened_is_read_off_two_views() {
        let mut state = weald_meta::State::bootstrap(NodeId::new(1), "a", 3306);
        let old = state.view();
        let node = |host: &str, n| weald_catalog::NewNode {
            identity: NodeIdentity::new(n),
            host: host.into(),
            ports: weald_catalog::Ports { mysql: 3306, cluster: 1, http: 2 },
        };
        let authority = weald_catalog::Authority { certificate: vec![], key: vec![] };
        let mut apply = |c| state.apply(weald_catalog::Command::Topology(c)).map(drop);
        apply(weald_catalog::TopologyCommand::Bootstrap {
            cluster: ClusterId::new(7),
            authority,
            node: node("b", 1),
            role: weald_catalog::Role::Both,
        })
        .unwrap();
        apply(weald_catalog::TopologyCommand::AddLeaf { node: node("c", 2), group: None }).unwrap();
        let middle = state.view();
        let kinds = |a: &ClusterView, b: &ClusterView| between(a, b).iter().map(|h| h.kind).collect::<Vec<_>>();
        assert_eq!(kinds(&old, &middle), [EventKind::NodeAddressChanged, EventKind::LeafAdded]);
        let mut apply = |c| state.apply(weald_catalog::Command::Topology(c)).map(drop);
        apply(weald_catalog::TopologyCommand::DetachLeaf { node: NodeId::new(2) }).unwrap();
        let detached = state.view();
        assert_eq!(kinds(&middle, &detached), [EventKind::NodeDetached]);
        assert_eq!(kinds(&detached, &old), [EventKind::NodeAddressChanged, EventKind::LeafRemoved]);
    }
}
