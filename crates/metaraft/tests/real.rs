//! The same group on the machine it runs on: real disk, real threads, real time. That it works at all; how it behaves under faults is for `group`.

#![allow(clippy::unwrap_used)]

use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use weald_catalog::{Authority, Command, NewNode, Ports, Role, TopologyCommand};
use weald_env::Env;
use weald_meta::State;
use weald_metaraft::{Group, Network, Settings, Unreachable, World};
use weald_types::{ClusterId, Generation, NodeId, NodeIdentity};

#[derive(Clone, Default)]
struct Wire(Arc<Mutex<BTreeMap<NodeId, Arc<Group>>>>);

impl Network for Wire {
    fn call(&self, to: NodeId, message: Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, Unreachable>> {
        let group = self.0.lock().unwrap().get(&to).cloned();
        Box::pin(async move {
            let unreachable = |reason: String| Unreachable { to, reason };
            let group = group.ok_or_else(|| unreachable("connection refused".into()))?;
            group.handle(&message).await.map_err(|e| unreachable(e.to_string()))
        })
    }
}

impl Wire {
    fn plug(&self, node: u32, group: Group) -> Arc<Group> {
        let group = Arc::new(group);
        self.0.lock().unwrap().insert(NodeId::new(node), group.clone());
        group
    }
}

fn set(name: &str, value: &str) -> Command {
    Command::SetVariable { name: name.into(), value: Some(value.into()) }
}

fn new_node(n: u32) -> NewNode {
    let ports = Ports { mysql: 3306, cluster: 3406, http: 3506 };
    NewNode { identity: NodeIdentity::new(n.into()), host: format!("h{n}").into(), ports }
}

/// Retries until this node leads. A real election takes a real moment.
async fn propose(group: &Group, command: Command) -> u64 {
    loop {
        if let Ok(done) = group.propose(command.clone()).await {
            return done.version;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_on_real_disks_agree_and_find_it_again() {
    let home = tempfile::tempdir().unwrap();
    let wire = Wire::default();
    let cluster = ClusterId::new(5);
    let world = |node: u32| {
        let dir = home.path().join(format!("node{node}")).join("meta");
        World { env: Env::real(), dir, network: Arc::new(wire.clone()), settings: Settings::default() }
    };
    for node in 1..=3 {
        Env::real().disk.create_dir_all(&world(node).dir).unwrap();
    }
    let mut state = State::fresh();
    let authority = Authority { certificate: vec![1], key: vec![2] };
    state.apply(Command::Topology(TopologyCommand::Bootstrap { cluster, authority, node: new_node(1), role: Role::Aggregator })).unwrap();
    let first = wire.plug(1, Group::found(world(1), cluster, NodeId::new(1), &state).await.unwrap());
    propose(&first, Command::Topology(TopologyCommand::AddAggregator { node: new_node(2) })).await;
    propose(&first, Command::Topology(TopologyCommand::AddLeaf { node: new_node(3), group: None })).await;
    for node in 2..=3 {
        wire.plug(node, Group::join(world(node), cluster, Generation::FIRST, NodeId::new(node)).await.unwrap());
    }
    let mut version = 0;
    for n in 0..50 {
        version = propose(&first, set("v", &n.to_string())).await;
    }
    let groups: Vec<_> = wire.0.lock().unwrap().values().cloned().collect();
    for group in &groups {
        assert_eq!(group.at_least(version).await.catalog.variables.get("v").map(|v| &**v), Some("49"));
    }
    let before = first.state();
    for group in groups {
        group.close().await;
    }
    wire.0.lock().unwrap().clear();
    for node in 1..=3 {
        let group = wire.plug(node, Group::open(world(node)).await.unwrap().unwrap());
        // Before anyone leads.
        assert_eq!(group.state(), before, "node {node}");
    }
}
