//! The one function that changes the metadata.
//!
//! Owns:     nothing.
//! Promises: refuses with the fault a client may be told; a refused command leaves the state as it was.
//! Never:    partly applies a command: changes are made on a copy of the state that replaces the old one at the end.

use crate::{State, placement, topology};
use std::collections::BTreeMap;
use std::sync::Arc;
use weald_catalog::user::is_information_schema;
use weald_catalog::{CatalogView, Command, DatabaseDef, NodeState, Outcome, Place, TableDef};
use weald_types::{DatabaseId, Fault, PartitionId, SchemaVersion, TableId};

/// Of one database.
const PARTITIONS_MOST: u32 = 4096;

impl State {
    /// One step.
    pub fn apply(&mut self, command: Command) -> Result<Outcome, Fault> {
        let mut next = self.clone();
        let of_catalog = !matches!(command, Command::Topology(_) | Command::Promote { .. } | Command::SetNodeAddress { .. });
        let mut catalog = if of_catalog { CatalogView::clone(&self.catalog) } else { CatalogView::default() };
        let outcome = next.change(&mut catalog, command)?;
        if of_catalog {
            catalog.version += 1;
            next.catalog = Arc::new(catalog);
        }
        next.version += 1;
        *self = next;
        debug_assert_eq!(crate::invariant::broken(self), None);
        Ok(outcome)
    }

    /// `catalog` is this state's own, to be changed; of commands that do not change it, any.
    fn change(&mut self, catalog: &mut CatalogView, command: Command) -> Result<Outcome, Fault> {
        match command {
            Command::CreateDatabase { name, partitions, collation, sync_durability, sync_replication } => {
                if catalog.databases.contains_key(&name) || is_information_schema(&name) {
                    return Err(Fault::DatabaseExists { name: name.into() });
                }
                if !(1..=PARTITIONS_MOST).contains(&partitions) {
                    return Err(Fault::mysql(1690, "22003", format!("PARTITIONS must be from 1 to {PARTITIONS_MOST}, not {partitions}")));
                }
                let id = DatabaseId::new(self.next_database);
                if self.topology.leaves().next().is_none() {
                    return Err(Fault::mysql(1748, "HY000", "There are no leaves; run ADD LEAF first"));
                }
                let load = topology::load(&self.topology);
                if load.is_empty() {
                    return Err(Fault::mysql(1804, "HY000", "No leaf is online"));
                }
                self.next_database += 1;
                let places = &mut Arc::make_mut(&mut self.topology).places;
                for (ordinal, leaf) in (0..).zip(placement::spread(&load, partitions)) {
                    places.insert(PartitionId::of(id, ordinal), Place::on(leaf));
                }
                let def = DatabaseDef {
                    id,
                    name: name.clone(),
                    partitions,
                    collation,
                    sync_durability,
                    sync_replication,
                    tables: BTreeMap::new(),
                    views: BTreeMap::new(),
                    building: BTreeMap::new(),
                };
                catalog.databases.insert(name, Arc::new(def));
                Ok(Outcome::Database(id))
            }
            Command::AlterDatabase { name, collation, sync_durability, sync_replication } => {
                let d = database(catalog, &name)?;
                d.collation = collation.unwrap_or(d.collation);
                d.sync_durability = sync_durability.unwrap_or(d.sync_durability);
                d.sync_replication = sync_replication.unwrap_or(d.sync_replication);
                Ok(Outcome::Done)
            }
            Command::DropDatabase { name } => {
                let d = catalog.databases.remove(&name).ok_or(Fault::NoSuchDatabase { name: name.into() })?;
                Arc::make_mut(&mut self.topology).places.retain(|p, _| p.database() != d.id);
                Ok(Outcome::Done)
            }
            Command::CreateTable { def } => {
                free_name(database(catalog, &def.database_name)?, &def.name)?;
                let def = self.numbered(catalog, *def)?;
                let id = def.id;
                database(catalog, &def.database_name)?.tables.insert(def.name.clone(), Arc::new(def));
                Ok(Outcome::Table(id))
            }
            Command::BuildTable { def } => {
                let def = self.numbered(catalog, *def)?;
                let id = def.id;
                database(catalog, &def.database_name)?.building.insert(id, Arc::new(def));
                Ok(Outcome::Table(id))
            }
            Command::PublishTable { table } => {
                let t = take_building(catalog, table)?;
                let d = database(catalog, &t.database_name)?;
                free_name(d, &t.name)?;
                d.tables.insert(t.name.clone(), t);
                Ok(Outcome::Table(table))
            }
            Command::ReplaceTable { expected, def } => {
                let old = current(catalog, def.id, expected)?;
                let mut def = *def;
                def.version = old.version.next();
                def.database = database(catalog, &def.database_name)?.id;
                // Rows live in the partitions of their database; a table cannot leave it by definition alone.
                if def.database != old.database {
                    return Err(Fault::not_supported("moving a table to another database"));
                }
                remove_table(catalog, &old)?;
                let d = database(catalog, &def.database_name)?;
                free_name(d, &def.name)?;
                let id = def.id;
                d.tables.insert(def.name.clone(), Arc::new(def));
                Ok(Outcome::Table(id))
            }
            Command::SwapTable { old, expected, with } => {
                let old = current(catalog, old, expected)?;
                let new = take_building(catalog, with)?;
                remove_table(catalog, &old)?;
                let d = database(catalog, &new.database_name)?;
                free_name(d, &new.name)?;
                d.tables.insert(new.name.clone(), new);
                Ok(Outcome::Table(with))
            }
            Command::DropTables { tables } => {
                for id in tables {
                    let t = catalog.table_by_id(id).cloned().ok_or(Fault::SchemaChanged)?;
                    remove_table(catalog, &t)?;
                }
                Ok(Outcome::Done)
            }
            Command::RenameTables { moves } => {
                for m in moves {
                    rename(catalog, &m.from, &m.to)?;
                }
                Ok(Outcome::Done)
            }
            Command::PutView { database: name, mut view, replace } => {
                let d = database(catalog, &name)?;
                match d.views.get(&view.name) {
                    Some(old) if replace => view.id = old.id,
                    Some(_) => return Err(Fault::TableExists { name: view.name.into() }),
                    None => {
                        free_name(d, &view.name)?;
                        view.id = TableId::new(self.next_table);
                        self.next_table += 1;
                    }
                }
                let id = view.id;
                d.views.insert(view.name.clone(), Arc::new(*view));
                Ok(Outcome::Table(id))
            }
            Command::DropViews { views } => {
                for (db, name) in views {
                    let removed = database(catalog, &db)?.views.remove(&name);
                    removed.ok_or(Fault::NoSuchTable { database: db.into(), table: name.into() })?;
                }
                Ok(Outcome::Done)
            }
            Command::CreateUsers { users } => {
                for u in users {
                    let key = (u.user.clone(), u.host.clone());
                    if catalog.users.contains_key(&key) {
                        return Err(user_fault("CREATE USER", &key));
                    }
                    catalog.users.insert(key, Arc::new(u));
                }
                Ok(Outcome::Done)
            }
            Command::PutUsers { expected, users } => {
                if expected != catalog.version {
                    return Err(Fault::SchemaChanged);
                }
                for u in users {
                    let key = (u.user.clone(), u.host.clone());
                    let slot = catalog.users.get_mut(&key).ok_or_else(|| user_fault("ALTER USER", &key))?;
                    *slot = Arc::new(u);
                }
                Ok(Outcome::Done)
            }
            Command::DropUsers { users } => {
                for key in users {
                    catalog.users.remove(&key).ok_or_else(|| user_fault("DROP USER", &key))?;
                }
                Ok(Outcome::Done)
            }
            Command::RenameUsers { moves } => {
                for (from, to) in moves {
                    if catalog.users.contains_key(&to) {
                        return Err(user_fault("RENAME USER", &from));
                    }
                    let old = catalog.users.remove(&from).ok_or_else(|| user_fault("RENAME USER", &from))?;
                    let mut u = weald_catalog::UserDef::clone(&old);
                    (u.user, u.host) = to.clone();
                    catalog.users.insert(to, Arc::new(u));
                }
                Ok(Outcome::Done)
            }
            Command::SetVariable { name, value } => {
                match value {
                    Some(v) => drop(catalog.variables.insert(name, v)),
                    None => drop(catalog.variables.remove(&name)),
                }
                Ok(Outcome::Done)
            }
            Command::Promote { partition, node, expected } => {
                let t = Arc::make_mut(&mut self.topology);
                let serves = |n: &weald_catalog::Node| n.is_leaf() && matches!(n.state, NodeState::Online | NodeState::Attaching);
                let place = t.places.get_mut(&partition).ok_or(Fault::SchemaChanged)?;
                if place.epoch != expected || !place.in_sync.contains(&node) || !t.nodes.get(&node).is_some_and(serves) {
                    return Err(Fault::SchemaChanged);
                }
                if place.primary != Some(node) {
                    place.replicas.remove(&node);
                    place.replicas.extend(place.primary.replace(node));
                }
                place.epoch = expected.next();
                Ok(Outcome::Done)
            }
            Command::AbandonTable { table } => {
                take_building(catalog, table)?;
                Ok(Outcome::Done)
            }
            Command::SetNodeAddress { node, host, port } => {
                let t = Arc::make_mut(&mut self.topology);
                if t.at(&host, port).is_some_and(|(other, _)| other != node) {
                    return Err(Fault::SchemaChanged);
                }
                let info = t.nodes.get_mut(&node).ok_or(Fault::SchemaChanged)?;
                (info.host, info.ports.mysql) = (host, port);
                Ok(Outcome::Done)
            }
            Command::Topology(command) => self.change_topology(command),
        }
    }
}

impl State {
    /// A definition with its ids.
    fn numbered(&mut self, catalog: &mut CatalogView, mut def: TableDef) -> Result<TableDef, Fault> {
        def.database = database(catalog, &def.database_name)?.id;
        def.id = TableId::new(self.next_table);
        def.version = SchemaVersion::FIRST;
        self.next_table += 1;
        Ok(def)
    }
}

fn database<'a>(catalog: &'a mut CatalogView, name: &str) -> Result<&'a mut DatabaseDef, Fault> {
    catalog.databases.get_mut(name).map(Arc::make_mut).ok_or_else(|| Fault::NoSuchDatabase { name: name.into() })
}

/// Tables and views share one name space.
fn free_name(d: &DatabaseDef, name: &str) -> Result<(), Fault> {
    if d.tables.contains_key(name) || d.views.contains_key(name) {
        return Err(Fault::TableExists { name: name.into() });
    }
    Ok(())
}

fn current(catalog: &CatalogView, id: TableId, expected: SchemaVersion) -> Result<Arc<TableDef>, Fault> {
    catalog.table_by_id(id).filter(|t| t.version == expected).cloned().ok_or(Fault::SchemaChanged)
}

fn remove_table(catalog: &mut CatalogView, t: &TableDef) -> Result<(), Fault> {
    let d = database(catalog, &t.database_name)?;
    if d.building.remove(&t.id).is_some() {
        return Ok(());
    }
    d.tables.remove(&t.name).map(drop).ok_or(Fault::SchemaChanged)
}

fn take_building(catalog: &mut CatalogView, id: TableId) -> Result<Arc<TableDef>, Fault> {
    let t = catalog.table_by_id(id).cloned().ok_or(Fault::SchemaChanged)?;
    database(catalog, &t.database_name)?.building.remove(&id).ok_or(Fault::SchemaChanged)
}

fn rename(catalog: &mut CatalogView, from: &(Box<str>, Box<str>), to: &(Box<str>, Box<str>)) -> Result<(), Fault> {
    let missing = || Fault::NoSuchTable { database: from.0.to_string(), table: from.1.to_string() };
    free_name(database(catalog, &to.0)?, &to.1)?;
    let source = database(catalog, &from.0)?;
    if let Some(v) = source.views.remove(&from.1) {
        if from.0 != to.0 {
            return Err(Fault::mysql(1450, "HY000", format!("Changing schema from '{}' to '{}' is not allowed.", from.0, to.0)));
        }
        let mut v = weald_catalog::ViewDef::clone(&v);
        v.name = to.1.clone();
        database(catalog, &to.0)?.views.insert(to.1.clone(), Arc::new(v));
        return Ok(());
    }
    let t = source.tables.remove(&from.1).ok_or_else(missing)?;
    // Rows live in the partitions of their database; a table cannot leave it by name alone.
    if from.0 != to.0 {
        return Err(Fault::not_supported("RENAME TABLE to another database (use CREATE TABLE … AS SELECT)"));
    }
    let mut t = TableDef::clone(&t);
    t.name = to.1.clone();
    t.version = t.version.next();
    database(catalog, &to.0)?.tables.insert(to.1.clone(), Arc::new(t));
    Ok(())
}

fn user_fault(operation: &str, (user, host): &(Box<str>, Box<str>)) -> Fault {
    Fault::mysql(1396, "HY000", format!("Operation {operation} failed for '{user}'@'{host}'"))
}
