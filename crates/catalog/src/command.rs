//! Orders to the metadata: each is one change, applied whole or not at all by `meta`.
//!
//! Owns:     nothing.
//! Promises: carries everything `apply` needs; the proposer has done the thinking, `apply` only re-checks.
//! Never:    holds SQL text to be parsed by `apply`.

use crate::{TableDef, TopologyCommand, UserDef, ViewDef};
use serde::{Deserialize, Serialize};
use weald_types::{Collation, DatabaseId, Epoch, NodeId, PartitionId, SchemaVersion, TableId};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    CreateDatabase {
        name: Box<str>,
        partitions: u32,
        collation: Collation,
        sync_durability: bool,
        sync_replication: bool,
    },
    AlterDatabase {
        name: Box<str>,
        collation: Option<Collation>,
        sync_durability: Option<bool>,
        sync_replication: Option<bool>,
    },
    DropDatabase {
        name: Box<str>,
    },
    /// `def.id`, `def.database` and `def.version` are given by `apply`.
    CreateTable {
        def: Box<TableDef>,
    },
    /// As `CreateTable`, but no name leads to the table until `SwapTable` or `PublishTable`.
    BuildTable {
        def: Box<TableDef>,
    },
    /// The table has its rows (CREATE TABLE … SELECT): it gets its name.
    PublishTable {
        table: TableId,
    },
    /// ALTER: `def` replaces the table of that id, if it still has version `expected`. The name may change, the database may not.
    ReplaceTable {
        expected: SchemaVersion,
        def: Box<TableDef>,
    },
    /// The rows of `old` have been copied into the table `with`, which was being built (ALTER by copy), or are to go (TRUNCATE): `with` gets its own name, which
    /// most often is that of `old`, and `old` is dropped. This is the moment at which such a statement has happened.
    SwapTable {
        old: TableId,
        expected: SchemaVersion,
        with: TableId,
    },
    /// All or none.
    DropTables {
        tables: Vec<TableId>,
    },
    /// All or none, in order: `RENAME TABLE a TO tmp, b TO a`.
    RenameTables {
        moves: Vec<Rename>,
    },
    PutView {
        database: Box<str>,
        view: Box<ViewDef>,
        replace: bool,
    },
    DropViews {
        views: Vec<(Box<str>, Box<str>)>,
    },
    CreateUsers {
        users: Vec<UserDef>,
    },
    /// Replaces accounts that exist (ALTER USER, GRANT, REVOKE, SET PASSWORD). `expected` is the catalogue version they were computed from.
    PutUsers {
        expected: u64,
        users: Vec<UserDef>,
    },
    DropUsers {
        users: Vec<(Box<str>, Box<str>)>,
    },
    RenameUsers {
        moves: Vec<((Box<str>, Box<str>), (Box<str>, Box<str>))>,
    },
    /// `value` None: back to the default.
    SetVariable {
        name: Box<str>,
        value: Option<Box<str>>,
    },
    /// A node that restarted is promoted anew: epoch plus one.
    Promote {
        partition: PartitionId,
        node: NodeId,
        expected: Epoch,
    },
    SetNodeAddress {
        node: NodeId,
        host: Box<str>,
        port: u16,
    },
    /// The statement that was building the table does not want it any more. Refused once it has a name: the statement's last command may have been carried
    /// out although nobody waited for it any more, and then the table is what is left of the rows.
    AbandonTable {
        table: TableId,
    },
    Topology(TopologyCommand),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    pub from: (Box<str>, Box<str>),
    pub to: (Box<str>, Box<str>),
}

/// What a command made.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Done,
    Database(DatabaseId),
    Table(TableId),
    Node(NodeId),
}
