//! A table's definition.
//!
//! Owns:     nothing.
//! Promises: columns keep their ordinal for the life of one [`SchemaVersion`]; `storage` maps them to stored fields over versions.
//! Never:    holds rows.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use weald_types::{Collation, DatabaseId, IndexId, SchemaVersion, SqlType, TableId};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableDef {
    pub id: TableId,
    pub database: DatabaseId,
    pub database_name: Box<str>,
    pub name: Box<str>,
    pub version: SchemaVersion,
    pub columns: Vec<ColumnDef>,
    /// Position 0 is the primary key where `primary_key` is true; otherwise rows are keyed by a hidden row id and every entry is secondary.
    pub indexes: Vec<IndexDef>,
    /// Whether `indexes[0]` is a declared PRIMARY KEY.
    pub primary_key: bool,
    pub sharding: Sharding,
    pub collation: Collation,
    pub comment: Box<str>,
    pub checks: Vec<CheckConstraint>,
    /// Written in CREATE TABLE as AUTO_INCREMENT=n; the living counter is the leaf's.
    pub auto_increment_start: u64,
    pub options: TableOptions,
    /// Microseconds since 1970.
    pub created: u64,
    /// Field layouts of older versions, oldest first, that rows may still be stored in: see [`Layout`].
    pub layouts: Vec<Layout>,
}

/// Where rows live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sharding {
    /// By the hash of these columns' key bytes. `declared`: written as SHARD KEY; otherwise it is the primary key.
    Hash { columns: Vec<u16>, declared: bool },
    /// Whole in one partition, because its unique keys share no column, or it has no key at all and cannot be spread (see the warning at CREATE).
    Single { ordinal: u32 },
    /// Rows without a key: spread by their hidden row id.
    RowId,
    /// A whole copy on every node.
    Reference,
}

#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableOptions {
    pub temporary: bool,
    pub engine: Box<str>,
}

/// How a stored row of some schema version is laid out: its field types in stored order, and for each column of the CURRENT definition which field it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layout {
    pub version: SchemaVersion,
    pub fields: Vec<SqlType>,
    /// For each current column: the field it reads, or the value it has in rows older than itself.
    pub columns: Vec<FieldSource>,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FieldSource {
    Field(u16),
    /** row bytes of one field, in the row format */
    Constant(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnDef {
    pub name: Box<str>,
    pub ty: SqlType,
    pub default: DefaultValue,
    /// ON UPDATE CURRENT_TIMESTAMP(fsp)
    pub on_update_now: bool,
    pub auto_increment: bool,
    pub invisible: bool,
    pub comment: Box<str>,
    pub generated: Option<GeneratedColumn>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum DefaultValue {
    /// No DEFAULT clause and NOT NULL: an insert without a value is 1364 in strict mode.
    None,
    Null,
    /// As MySQL shows it: the literal's text, unquoted.
    Literal(Box<str>),
    /// CURRENT_TIMESTAMP(fsp)
    Now {
        fsp: u8,
    },
    /// DEFAULT (expr): its text, parsed and bound when a plan is made.
    Expression(Box<str>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneratedColumn {
    pub expression: Box<str>,
    pub stored: bool,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckConstraint {
    pub name: Box<str>,
    pub expression: Box<str>,
    pub enforced: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexDef {
    pub id: IndexId,
    pub name: Box<str>,
    pub unique: bool,
    pub parts: Vec<IndexPart>,
    /// Declared USING HASH: equality only.
    pub hash: bool,
    pub comment: Box<str>,
    pub invisible: bool,
    /// False while it is being filled: writers maintain it, readers do not use it.
    pub ready: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexPart {
    pub column: u16,
    /// Characters (bytes for binary types) of the value that count; None for all.
    pub prefix: Option<u32>,
    pub descending: bool,
}

/// A view: its text is bound anew at each use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewDef {
    pub id: TableId,
    pub database_name: Box<str>,
    pub name: Box<str>,
    pub columns: Vec<Box<str>>,
    pub query: Box<str>,
    pub definer: (Box<str>, Box<str>),
    pub security_invoker: bool,
    pub algorithm: Box<str>,
    pub check_option: Box<str>,
    /// Its columns as they were when it was made: for information_schema.
    pub described: Vec<ColumnDef>,
}

impl TableDef {
    pub fn column(&self, name: &str) -> Option<u16> {
        self.columns.iter().position(|c| c.name.eq_ignore_ascii_case(name)).map(|i| i as u16)
    }
    pub fn primary(&self) -> Option<&IndexDef> {
        if self.primary_key { self.indexes.first() } else { None }
    }
}

/// A definition as everyone holds it.
pub type TableRef = Arc<TableDef>;
