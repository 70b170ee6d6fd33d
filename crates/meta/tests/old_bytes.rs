//! Commands and states of every version that was ever written are still read, and mean the same.
//!
//! Owns:     `tests/fixtures/v1` and `v2`: one file for each kind of command, and one for a state.
//! Promises: a change of the catalogue's types that is not a new version of the format fails here.
//! Never:    writes them anew by itself: `WEALD_FIXTURES=write cargo test -p weald-meta --test old_bytes` does. Before the first release that is how
//!           to change a type; after it, a changed type is a new version, with a reader for this one.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use weald_catalog::privilege::{Privilege, PrivilegeSet};
use weald_catalog::table::{
    CheckConstraint, ColumnDef, DefaultValue, FieldSource, GeneratedColumn, IndexDef, IndexPart, Layout, Sharding, TableOptions,
};
use weald_catalog::{Authority, Command, NewNode, NodeState, Ports, Rename, Role, TableDef, TopologyCommand, UserDef, ViewDef};
use weald_meta::{State, decode_command, decode_state, encode_command, encode_state};
use weald_types::{ClusterId, Collation, DatabaseId, Epoch, IndexId, NodeId, NodeIdentity, PartitionId, SchemaVersion, SqlType, TableId, TypeKind};

fn table(name: &str) -> TableDef {
    let column = |name: &str, ty: SqlType, default: DefaultValue| ColumnDef {
        name: name.into(),
        ty,
        default,
        on_update_now: false,
        auto_increment: name == "id",
        invisible: false,
        comment: "".into(),
        generated: None,
    };
    let mut columns = vec![
        column("id", SqlType::bigint_unsigned(false), DefaultValue::None),
        column("s", SqlType::varchar(20, true, Collation::UTF8MB4_GENERAL_CI), DefaultValue::Literal("x".into())),
        column("at", SqlType::new(TypeKind::DateTime { fsp: 6 }, false), DefaultValue::Now { fsp: 6 }),
        column("e", SqlType::string(TypeKind::Enum(vec!["a".into(), "b".into()].into()), true, Collation::UTF8MB4_GENERAL_CI), DefaultValue::Null),
        column("g", SqlType::bigint(true), DefaultValue::Expression("1 + 1".into())),
    ];
    columns[2].on_update_now = true;
    columns[4].generated = Some(GeneratedColumn { expression: "id + 1".into(), stored: true });
    let index = |id: u16, unique: bool, parts: Vec<IndexPart>| IndexDef {
        id: IndexId::new(id),
        name: if id == 0 { "PRIMARY".into() } else { format!("k{id}").into() },
        unique,
        parts,
        hash: id == 2,
        comment: "c".into(),
        invisible: false,
        ready: true,
    };
    let part = |column, prefix, descending| IndexPart { column, prefix, descending };
    TableDef {
        id: TableId::new(1),
        database: DatabaseId::new(1),
        database_name: "d".into(),
        name: name.into(),
        version: SchemaVersion::FIRST,
        columns,
        indexes: vec![
            index(0, true, vec![part(0, None, false)]),
            index(1, false, vec![part(1, Some(5), false), part(2, None, true)]),
            index(2, false, vec![part(1, None, false)]),
        ],
        primary_key: true,
        sharding: Sharding::Hash { columns: vec![0], declared: true },
        collation: Collation::UTF8MB4_GENERAL_CI,
        comment: "a table".into(),
        checks: vec![CheckConstraint { name: "c1".into(), expression: "id > 0".into(), enforced: true }],
        auto_increment_start: 10,
        options: TableOptions { temporary: false, engine: "".into() },
        created: 1_700_000_000_000_000,
        layouts: Vec::new(),
    }
}

fn user() -> UserDef {
    let mut u = UserDef::new("u", "%");
    u.auth = vec![1, 2, 3];
    u.global = PrivilegeSet::of(&[Privilege::Select, Privilege::GrantOption]);
    u.databases.insert("d".into(), PrivilegeSet::of(&[Privilege::Insert]));
    u
}

/// Of version 1, in an order in which `apply` takes them all, so that they make a state, too.
fn commands() -> Vec<(&'static str, Command)> {
    let mut wider = table("t");
    wider.layouts.push(Layout {
        version: SchemaVersion::FIRST,
        fields: wider.columns.iter().map(|c| c.ty.clone()).collect(),
        columns: (0..5).map(FieldSource::Field).chain([FieldSource::Constant(vec![0, 5, 0, 0, 0])]).collect(),
    });
    let mut added = wider.columns[4].clone();
    (added.name, added.generated) = ("n".into(), None);
    wider.columns.push(added);
    let mut alone = table("alone");
    (alone.sharding, alone.primary_key) = (Sharding::Single { ordinal: 1 }, true);
    // It takes the place of `alone`, whose name it has.
    let mut spread = table("alone");
    (spread.sharding, spread.primary_key) = (Sharding::RowId, false);
    spread.indexes.remove(0);
    let mut everywhere = table("everywhere");
    everywhere.sharding = Sharding::Reference;
    let view = ViewDef {
        id: TableId::new(0),
        database_name: "d".into(),
        name: "v".into(),
        columns: vec!["a".into()],
        query: "select 1 from d.t".into(),
        definer: ("root".into(), "%".into()),
        security_invoker: true,
        algorithm: "MERGE".into(),
        check_option: "".into(),
        described: vec![table("t").columns[1].clone()],
    };
    let database = |name: &str| Command::CreateDatabase {
        name: name.into(),
        partitions: 2,
        collation: Collation::UTF8MB4_GENERAL_CI,
        sync_durability: true,
        sync_replication: false,
    };
    vec![
        ("create_database", database("d")),
        ("create_database_2", database("gone")),
        ("alter_database", Command::AlterDatabase { name: "d".into(), collation: None, sync_durability: Some(false), sync_replication: None }),
        ("drop_database", Command::DropDatabase { name: "gone".into() }),
        ("create_table", Command::CreateTable { def: Box::new(table("t")) }),
        ("replace_table", Command::ReplaceTable { expected: SchemaVersion::FIRST, def: Box::new(wider) }),
        ("create_table_alone", Command::CreateTable { def: Box::new(alone) }),
        ("build_table", Command::BuildTable { def: Box::new(spread.clone()) }),
        ("create_table_everywhere", Command::CreateTable { def: Box::new(everywhere) }),
        ("swap_table", Command::SwapTable { old: TableId::new(2), expected: SchemaVersion::FIRST, with: TableId::new(3) }),
        ("rename_tables", Command::RenameTables { moves: vec![Rename { from: ("d".into(), "alone".into()), to: ("d".into(), "other".into()) }] }),
        ("put_view", Command::PutView { database: "d".into(), view: Box::new(view.clone()), replace: false }),
        ("put_view_2", Command::PutView { database: "d".into(), view: Box::new(ViewDef { name: "w".into(), ..view }), replace: false }),
        ("drop_views", Command::DropViews { views: vec![("d".into(), "w".into())] }),
        ("drop_tables", Command::DropTables { tables: vec![TableId::new(4)] }),
        ("create_users", Command::CreateUsers { users: vec![user(), UserDef::new("v", "localhost"), UserDef::new("w", "h")] }),
        ("put_users", Command::PutUsers { expected: 16, users: vec![user()] }),
        ("drop_users", Command::DropUsers { users: vec![("v".into(), "localhost".into())] }),
        ("rename_users", Command::RenameUsers { moves: vec![(("w".into(), "h".into()), ("x".into(), "h".into()))] }),
        ("set_variable", Command::SetVariable { name: "sql_mode".into(), value: Some("".into()) }),
        ("set_variable_2", Command::SetVariable { name: "nothing".into(), value: None }),
        ("promote", Command::Promote { partition: PartitionId::of(DatabaseId::new(1), 0), node: NodeId::new(1), expected: Epoch::FIRST }),
        ("build_table_2", Command::BuildTable { def: Box::new(TableDef { name: "made".into(), ..spread }) }),
        ("publish_table", Command::PublishTable { table: TableId::new(7) }),
        ("set_node_address", Command::SetNodeAddress { node: NodeId::new(1), host: "h".into(), port: 3307 }),
        ("build_table_3", Command::BuildTable { def: Box::new(TableDef { name: "unmade".into(), ..table("t") }) }),
        ("abandon_table", Command::AbandonTable { table: TableId::new(8) }),
    ]
}

fn new_node(n: u16) -> NewNode {
    NewNode {
        identity: NodeIdentity::new(u128::from(n) << 100),
        host: format!("h{n}").into(),
        ports: Ports { mysql: 3306, cluster: 3406, http: 3506 },
    }
}

/// What version 2 added, after those of version 1.
fn commands_2() -> Vec<(&'static str, Command)> {
    let bootstrap = TopologyCommand::Bootstrap {
        cluster: ClusterId::new(7 << 90),
        authority: Authority { certificate: vec![1, 2], key: vec![3] },
        node: new_node(1),
        role: Role::Both,
    };
    let state = |from, to| TopologyCommand::SetNodeState { node: NodeId::new(3), from, to };
    let orders = vec![
        ("bootstrap", bootstrap),
        ("add_aggregator", TopologyCommand::AddAggregator { node: new_node(2) }),
        ("add_leaf", TopologyCommand::AddLeaf { node: new_node(3), group: None }),
        ("add_leaf_2", TopologyCommand::AddLeaf { node: new_node(4), group: Some(2) }),
        ("detach_leaf", TopologyCommand::DetachLeaf { node: NodeId::new(3) }),
        ("attach_leaf", TopologyCommand::AttachLeaf { node: NodeId::new(3) }),
        ("set_node_state", state(NodeState::Attaching, NodeState::Online)),
        ("set_node_state_2", state(NodeState::Online, NodeState::Offline)),
        (
            "move_node",
            TopologyCommand::MoveNode { node: NodeId::new(3), identity: new_node(3).identity, host: "there".into(), ports: Ports::default() },
        ),
        ("add_aggregator_2", TopologyCommand::AddAggregator { node: new_node(5) }),
        ("remove_aggregator", TopologyCommand::RemoveAggregator { node: NodeId::new(5), master: NodeId::new(1) }),
        ("add_leaf_3", TopologyCommand::AddLeaf { node: new_node(6), group: Some(1) }),
        ("remove_leaf", TopologyCommand::RemoveLeaf { node: NodeId::new(6), force: true }),
    ];
    orders.into_iter().map(|(name, order)| (name, Command::Topology(order))).collect()
}

fn fixtures(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version)
}

fn made_by(commands: impl IntoIterator<Item = (&'static str, Command)>) -> State {
    let mut state = State::bootstrap(NodeId::new(1), "127.0.0.1", 3306);
    for (name, command) in commands {
        state.apply(command).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
    }
    state
}

fn state() -> State {
    made_by(commands())
}

#[test]
fn bytes_of_version_1_are_read() {
    for (name, command) in commands() {
        let bytes = std::fs::read(fixtures("v1").join(name)).unwrap();
        assert_eq!(bytes[0], 1);
        let found = decode_command(&bytes).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert_eq!(found, command, "{name}");
    }
    let found = decode_state(&std::fs::read(fixtures("v1").join("state")).unwrap()).unwrap();
    // Version 1 counted every command as one of the catalogue, these two included: promote, set_node_address.
    let mut expected = state();
    Arc::make_mut(&mut expected.catalog).version += 2;
    assert_eq!(found, expected);
    assert_eq!(weald_meta::invariant::broken(&found), None);
}

#[test]
fn bytes_of_version_2_are_read() {
    let write = std::env::var("WEALD_FIXTURES").is_ok_and(|v| v == "write");
    let hint = "if the types changed on purpose before the first release: WEALD_FIXTURES=write; after it: a new version";
    let all = || commands().into_iter().chain(commands_2());
    if write {
        std::fs::create_dir_all(fixtures("v2")).unwrap();
    }
    for (name, command) in all() {
        let file = fixtures("v2").join(name);
        if write {
            std::fs::write(&file, encode_command(&command)).unwrap();
        }
        let bytes = std::fs::read(&file).unwrap();
        let found = decode_command(&bytes).unwrap_or_else(|e| panic!("{name}: {e:?}; {hint}"));
        assert_eq!(found, command, "{name}; {hint}");
        assert_eq!(encode_command(&command), bytes, "{name}; {hint}");
    }
    let file = fixtures("v2").join("state");
    let state = made_by(all());
    if write {
        std::fs::write(&file, encode_state(&state)).unwrap();
    }
    let bytes = std::fs::read(&file).unwrap();
    let found = decode_state(&bytes).unwrap_or_else(|e| panic!("state: {e:?}; {hint}"));
    assert_eq!(found, state, "{hint}");
    assert_eq!(encode_state(&found), bytes, "{hint}");
}

#[test]
fn table_that_has_its_name_is_not_abandoned() {
    let mut state = state();
    let before = state.clone();
    // Table 3 was built, and swapped in for table 2.
    assert!(state.apply(Command::AbandonTable { table: TableId::new(3) }).is_err());
    assert_eq!(state, before);
}

#[test]
fn damaged_bytes_are_an_error_and_never_a_panic() {
    for (name, command) in commands().into_iter().chain(commands_2()) {
        let bytes = encode_command(&command);
        for n in 0..bytes.len() {
            assert!(decode_command(&bytes[..n]).is_err(), "{name} cut to {n}");
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[n] ^= 1 << bit;
                // The log's checksum is what finds these; here it is enough that they are something or nothing.
                let _ = decode_command(&flipped);
            }
        }
    }
    let mut newer = encode_state(&state());
    newer[0] = 3;
    assert!(decode_state(&newer).unwrap_err().to_string().contains("newer"));
}
