//! Everything that is defined, at one moment.
//!
//! Owns:     nothing: definitions are shared.
//! Promises: immutable; a higher `version` is newer.
//! Never:    holds what changes without a command (row counts, counters).

use crate::{TableDef, Topology, UserDef, ViewDef, user::is_information_schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use weald_types::{Collation, DatabaseId, PartitionId, TableId};

/// Everything that the cluster agrees on and everyone may see, at one moment. Replaced whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterView {
    /// Grows by one with every command that changed anything.
    pub version: u64,
    pub catalog: Arc<CatalogView>,
    pub topology: Arc<Topology>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CatalogView {
    /// Grows by one with every command that changed a definition; a change of who is who leaves it, so that no plan is made anew for it.
    pub version: u64,
    pub databases: BTreeMap<Box<str>, Arc<DatabaseDef>>,
    /// By (user, host).
    pub users: BTreeMap<(Box<str>, Box<str>), Arc<UserDef>>,
    /// SET PERSIST and SET GLOBAL of variables that the whole cluster shares.
    pub variables: BTreeMap<Box<str>, Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatabaseDef {
    pub id: DatabaseId,
    pub name: Box<str>,
    pub partitions: u32,
    pub collation: Collation,
    pub sync_durability: bool,
    pub sync_replication: bool,
    pub tables: BTreeMap<Box<str>, Arc<TableDef>>,
    pub views: BTreeMap<Box<str>, Arc<ViewDef>>,
    /// Tables that a statement is still making: their rows are being copied in, and no name leads to them. One that is found at a start belongs to a
    /// statement that a crash ended; it is dropped.
    pub building: BTreeMap<TableId, Arc<TableDef>>,
}

impl DatabaseDef {
    pub fn partition_ids(&self) -> impl Iterator<Item = PartitionId> + '_ {
        (0..self.partitions).map(|n| PartitionId::of(self.id, n))
    }
    /// Everything that has rows, whether a name leads to it or not.
    pub fn stored_tables(&self) -> impl Iterator<Item = &Arc<TableDef>> {
        self.tables.values().chain(self.building.values())
    }
}

impl CatalogView {
    /// Database and table names are case-sensitive, except `information_schema`.
    pub fn database(&self, name: &str) -> Option<&Arc<DatabaseDef>> {
        self.databases.get(name).or_else(|| if is_information_schema(name) { self.databases.get("information_schema") } else { None })
    }
    pub fn table(&self, database: &str, table: &str) -> Option<&Arc<TableDef>> {
        self.database(database)?.tables.get(table)
    }
    pub fn view(&self, database: &str, name: &str) -> Option<&Arc<ViewDef>> {
        self.database(database)?.views.get(name)
    }
    pub fn database_by_id(&self, id: DatabaseId) -> Option<&Arc<DatabaseDef>> {
        self.databases.values().find(|d| d.id == id)
    }
    pub fn table_by_id(&self, id: TableId) -> Option<&Arc<TableDef>> {
        self.databases.values().find_map(|d| d.stored_tables().find(|t| t.id == id))
    }
}
