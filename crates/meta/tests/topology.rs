//! Orders that change who is in the cluster: the documented refusals, and what holds after any of them.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use weald_catalog::{Authority, Command, NewNode, NodeState, Outcome, Ports, Role, TopologyCommand};
use weald_meta::{State, decode_state, encode_state, invariant};
use weald_types::{ClusterId, Collation, DatabaseId, Epoch, Fault, NodeId, NodeIdentity, PartitionId};

fn id(n: u32) -> NodeId {
    NodeId::new(n)
}

fn new_node(n: u32) -> NewNode {
    NewNode { identity: NodeIdentity::new(n.into()), host: format!("h{n}").into(), ports: Ports { mysql: 3306, cluster: 3406, http: 3506 } }
}

fn bootstrap(role: Role) -> TopologyCommand {
    let authority = Authority { certificate: vec![1], key: vec![2] };
    TopologyCommand::Bootstrap { cluster: ClusterId::new(9), authority, node: new_node(1), role }
}

fn create(name: &str, partitions: u32) -> Command {
    Command::CreateDatabase { name: name.into(), partitions, collation: Collation::UTF8MB4_GENERAL_CI, sync_durability: true, sync_replication: true }
}

/// Node 1 is the master, 2 another aggregator, 3 and 4 are leaves; a database with three partitions lies on 3, 4, 3.
fn cluster() -> State {
    let mut s = State::fresh();
    for order in [
        bootstrap(Role::Aggregator),
        TopologyCommand::AddAggregator { node: new_node(2) },
        TopologyCommand::AddLeaf { node: new_node(3), group: None },
        TopologyCommand::AddLeaf { node: new_node(4), group: None },
    ] {
        s.apply(Command::Topology(order)).unwrap();
    }
    s.apply(create("d", 3)).unwrap();
    s
}

fn partition(ordinal: u32) -> PartitionId {
    PartitionId::of(DatabaseId::new(1), ordinal)
}

fn refused(s: &State, order: TopologyCommand) -> u16 {
    let mut after = s.clone();
    match after.apply(Command::Topology(order.clone())) {
        Err(Fault::MySql { number, .. }) => {
            assert_eq!(after, *s);
            number
        }
        Err(Fault::SchemaChanged) => 0,
        other => panic!("{order:?}: {other:?}"),
    }
}

fn ordered(s: &mut State, order: TopologyCommand) -> Outcome {
    s.apply(Command::Topology(order)).unwrap()
}

fn primaries(s: &State) -> Vec<Option<u32>> {
    s.topology.places.values().map(|p| p.primary.map(NodeId::raw)).collect()
}

#[test]
fn every_documented_refusal_has_its_number() {
    use TopologyCommand::*;
    let s = cluster();
    let fresh = State::fresh();
    assert_eq!(refused(&s, bootstrap(Role::Aggregator)), 1753);
    assert_eq!(refused(&fresh, bootstrap(Role::Leaf)), 1736);
    assert_eq!(refused(&fresh, AddLeaf { node: new_node(2), group: None }), 1752);
    assert_eq!(refused(&s, AddLeaf { node: new_node(3), group: None }), 1737);
    assert_eq!(refused(&s, AddLeaf { node: NewNode { host: "elsewhere".into(), ..new_node(3) }, group: None }), 1737);
    assert_eq!(refused(&s, AddLeaf { node: new_node(2), group: None }), 1798);
    assert_eq!(refused(&s, AddLeaf { node: new_node(5), group: Some(0) }), 1779);
    assert_eq!(refused(&s, AddLeaf { node: new_node(5), group: Some(4) }), 1779);
    assert_eq!(refused(&s, AddAggregator { node: new_node(2) }), 1798);
    assert_eq!(refused(&s, RemoveAggregator { node: id(1), master: id(1) }), 1753);
    assert_eq!(refused(&s, RemoveAggregator { node: id(3), master: id(1) }), 1738);
    assert_eq!(refused(&s, RemoveAggregator { node: id(1), master: id(7) }), 0);
    assert_eq!(refused(&s, RemoveLeaf { node: id(2), force: true }), 1738);
    assert_eq!(refused(&s, RemoveLeaf { node: id(3), force: false }), 1772);
    assert_eq!(refused(&s, AttachLeaf { node: id(3) }), 1803);
    assert_eq!(refused(&s, AttachLeaf { node: id(77) }), 1738);
    assert_eq!(refused(&s, MoveNode { node: id(3), identity: new_node(4).identity, host: "x".into(), ports: Ports::default() }), 1738);
    assert_eq!(refused(&s, MoveNode { node: id(3), identity: new_node(3).identity, host: "h4".into(), ports: new_node(4).ports }), 1737);
    assert_eq!(refused(&s, SetNodeState { node: id(3), from: NodeState::Offline, to: NodeState::Online }), 0);
    assert_eq!(refused(&s, SetNodeState { node: id(3), from: NodeState::Online, to: NodeState::Detached }), 0);

    let mut offline = s.clone();
    ordered(&mut offline, SetNodeState { node: id(3), from: NodeState::Online, to: NodeState::Offline });
    assert_eq!(refused(&offline, DetachLeaf { node: id(3) }), 1804);
    assert_eq!(refused(&offline, AttachLeaf { node: id(3) }), 1802);

    let mut alone = s.clone();
    ordered(&mut alone, RemoveLeaf { node: id(4), force: true });
    assert_eq!(refused(&alone, RemoveLeaf { node: id(3), force: true }), 1758);

    // A process that is a whole cluster.
    let mut dev = State::fresh();
    ordered(&mut dev, bootstrap(Role::Both));
    assert_eq!(refused(&dev, AddLeaf { node: new_node(1), group: None }), 1799);
    assert_eq!(refused(&dev, RemoveLeaf { node: id(1), force: true }), 1799);
    assert_eq!(refused(&dev, RemoveAggregator { node: id(1), master: id(1) }), 1753);
}

#[test]
fn databases_want_a_leaf_that_is_online() {
    let mut s = State::fresh();
    ordered(&mut s, bootstrap(Role::Aggregator));
    let number = |s: &State| match s.clone().apply(create("e", 2)) {
        Err(Fault::MySql { number, .. }) => number,
        other => panic!("{other:?}"),
    };
    assert_eq!(number(&s), 1748);
    ordered(&mut s, TopologyCommand::AddLeaf { node: new_node(2), group: None });
    ordered(&mut s, TopologyCommand::DetachLeaf { node: id(2) });
    assert_eq!(number(&s), 1804);
    ordered(&mut s, TopologyCommand::AttachLeaf { node: id(2) });
    ordered(&mut s, TopologyCommand::SetNodeState { node: id(2), from: NodeState::Attaching, to: NodeState::Online });
    s.apply(create("e", 2)).unwrap();
    assert_eq!(primaries(&s), [Some(2), Some(2)]);
}

#[test]
fn partitions_are_spread_over_the_leaves_that_are_online() {
    let mut s = cluster();
    assert_eq!(primaries(&s), [Some(3), Some(4), Some(3)]);
    ordered(&mut s, TopologyCommand::AddLeaf { node: new_node(5), group: Some(2) });
    s.apply(create("e", 4)).unwrap();
    assert_eq!(primaries(&s)[3..], [Some(5), Some(4), Some(3), Some(5)]);
    ordered(&mut s, TopologyCommand::SetNodeState { node: id(4), from: NodeState::Online, to: NodeState::Offline });
    s.apply(create("f", 2)).unwrap();
    assert!(!primaries(&s)[7..].contains(&Some(4)));
    s.apply(Command::DropDatabase { name: "e".into() }).unwrap();
    assert_eq!(s.topology.places.len(), 5);
}

#[test]
fn changes_of_who_is_who_make_no_plan_old() {
    let mut s = cluster();
    let (version, catalog) = (s.version, s.catalog.version);
    ordered(&mut s, TopologyCommand::AddLeaf { node: new_node(5), group: None });
    s.apply(Command::Promote { partition: partition(0), node: id(3), expected: Epoch::FIRST }).unwrap();
    assert_eq!((s.version, s.catalog.version), (version + 2, catalog));
    let view = s.view();
    assert_eq!((view.version, view.topology.places[&partition(0)].epoch), (s.version, Epoch::FIRST.next()));
}

#[test]
fn promotion_needs_the_epoch_a_copy_in_sync_and_a_leaf_that_is_there() {
    let mut s = cluster();
    let promote = |node, expected| Command::Promote { partition: partition(1), node, expected };
    for (node, epoch) in [(3, Epoch::FIRST), (4, Epoch::FIRST.next()), (1, Epoch::FIRST)] {
        assert_eq!(s.clone().apply(promote(id(node), epoch)), Err(Fault::SchemaChanged));
    }
    s.apply(promote(id(4), Epoch::FIRST)).unwrap();
    // The same order once more is of the past.
    assert_eq!(s.clone().apply(promote(id(4), Epoch::FIRST)), Err(Fault::SchemaChanged));
    ordered(&mut s, TopologyCommand::SetNodeState { node: id(4), from: NodeState::Online, to: NodeState::Offline });
    assert_eq!(s.clone().apply(promote(id(4), Epoch::FIRST.next())), Err(Fault::SchemaChanged));
}

#[test]
fn a_leaf_removed_by_force_leaves_partitions_without_a_copy() {
    let mut s = cluster();
    ordered(&mut s, TopologyCommand::RemoveLeaf { node: id(3), force: true });
    assert_eq!(primaries(&s), [None, Some(4), None]);
    assert_eq!(s.topology.places[&partition(0)].epoch, Epoch::FIRST.next());
    // Its number is not given again, even if the same node comes back.
    assert_eq!(ordered(&mut s, TopologyCommand::AddLeaf { node: new_node(3), group: None }), Outcome::Node(id(5)));
}

#[test]
fn a_cluster_of_one_gets_an_identity_and_keeps_what_it_has() {
    let mut s = State::bootstrap(id(1), "127.0.0.1", 3306);
    s.apply(create("d", 2)).unwrap();
    let places = s.topology.places.clone();
    assert_eq!(ordered(&mut s, bootstrap(Role::Aggregator)), Outcome::Node(id(1)));
    let node = &s.topology.nodes[&id(1)];
    assert_eq!((node.role, node.identity, &*node.host), (Role::Both, NodeIdentity::new(1), "h1"));
    assert_eq!((s.topology.cluster, s.topology.places.clone()), (Some(ClusterId::new(9)), places));
    ordered(&mut s, TopologyCommand::AddLeaf { node: new_node(2), group: None });
    // A history that is begun anew has numbers of its own, whoever begins it.
    let [one, two] = [id(1), id(2)].map(|by| s.clone().in_generation(s.topology.generation.after(by)));
    assert!(one.version > s.version && two.version > one.version);
    assert!(one.catalog.version > s.catalog.version && two.catalog.version > one.catalog.version);
    let again = two.clone().in_generation(two.topology.generation.after(id(1)));
    assert!(again.version > two.version && again.topology.generation > two.topology.generation);
    assert_eq!(again.topology.generation.to_string(), "2.1");
}

fn order() -> impl Strategy<Value = Command> {
    let node = || (0u32..9).prop_map(id);
    let state = || prop_oneof![Just(NodeState::Online), Just(NodeState::Offline), Just(NodeState::Attaching), Just(NodeState::Detached)];
    let topology = prop_oneof![
        1 => prop_oneof![Just(Role::Aggregator), Just(Role::Leaf), Just(Role::Both)].prop_map(bootstrap),
        3 => (1u32..9).prop_map(|n| TopologyCommand::AddAggregator { node: new_node(n) }),
        6 => (1u32..9, prop::option::of(0u8..5)).prop_map(|(n, group)| TopologyCommand::AddLeaf { node: new_node(n), group }),
        2 => (node(), node()).prop_map(|(node, master)| TopologyCommand::RemoveAggregator { node, master }),
        2 => (node(), any::<bool>()).prop_map(|(node, force)| TopologyCommand::RemoveLeaf { node, force }),
        2 => node().prop_map(|node| TopologyCommand::DetachLeaf { node }),
        2 => node().prop_map(|node| TopologyCommand::AttachLeaf { node }),
        2 => (node(), 1u32..9, 1u32..9).prop_map(|(node, n, at)| {
            TopologyCommand::MoveNode { node, identity: new_node(n).identity, host: new_node(at).host, ports: new_node(at).ports }
        }),
        4 => (node(), state(), state()).prop_map(|(node, from, to)| TopologyCommand::SetNodeState { node, from, to }),
    ];
    let promote = (1u32..4, 0u32..4, node(), 1u64..4).prop_map(|(d, ordinal, node, epoch)| Command::Promote {
        partition: PartitionId::of(DatabaseId::new(d), ordinal),
        node,
        expected: Epoch::new(epoch),
    });
    prop_oneof![
        12 => topology.prop_map(Command::Topology),
        3 => (0u32..3, 1u32..6).prop_map(|(n, partitions)| create(&format!("d{n}"), partitions)),
        1 => (0u32..3).prop_map(|n| Command::DropDatabase { name: format!("d{n}").into() }),
        4 => promote,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_orders_breaks_an_invariant(orders in prop::collection::vec(order(), 0..60)) {
        let mut s = State::fresh();
        let _ = s.apply(Command::Topology(bootstrap(Role::Aggregator)));
        for order in orders {
            let before = s.clone();
            let mut again = s.clone();
            let answer = s.apply(order.clone());
            // The same state and the same order give the same answer, on every member.
            prop_assert_eq!(again.apply(order.clone()), answer.clone());
            prop_assert_eq!(&again, &s);
            if answer.is_err() {
                prop_assert_eq!(&s, &before, "refused {:?}", order);
                continue;
            }
            prop_assert_eq!(s.version, before.version + 1);
            prop_assert_eq!(invariant::broken(&s), None, "after {:?}", order);
            for (p, place) in &s.topology.places {
                if let Some(old) = before.topology.places.get(p) {
                    prop_assert!(place.epoch >= old.epoch);
                    prop_assert!(place.primary == old.primary || place.epoch > old.epoch, "a new primary without a new epoch");
                }
            }
            for (node, n) in &s.topology.nodes {
                if let Some(old) = before.topology.nodes.get(node) {
                    prop_assert_eq!((n.role, n.auto_increment), (old.role, old.auto_increment));
                }
            }
        }
        let bytes = encode_state(&s);
        prop_assert_eq!(decode_state(&bytes).unwrap(), s);
    }
}
