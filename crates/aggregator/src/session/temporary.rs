//! TEMPORARY tables: a session's own, in a partition of its own that no log and no restart knows.
//!
//! Owns:     the definitions and rows of the session's temporary tables.
//! Promises: they stand before the database's tables of the same name, for this session only; their rows take part in its transactions as others do.
//! Never:    tells the catalogue of them; outlives the session.

use super::{Outcome, Session};
use std::collections::HashMap;
use std::sync::Arc;
use weald_catalog::table::{Sharding, TableRef};
use weald_catalog::{Privilege, TableDef};
use weald_exec::{Engine, Partition};
use weald_plan::{ddl, dml};
use weald_sql::ast;
use weald_types::{DatabaseId, Fault, SqlMode};

/// (database, name)
type Name = (Box<str>, Box<str>);

pub(crate) struct Temporary {
    engine: Arc<Engine>,
    tables: HashMap<Name, TableRef>,
    /// Where their rows are: made with the first of them.
    space: Option<(DatabaseId, Arc<Partition>)>,
}

impl Temporary {
    pub fn new(engine: &Arc<Engine>) -> Self {
        Self { engine: engine.clone(), tables: HashMap::new(), space: None }
    }
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }
    pub fn find(&self, database: &str, name: &str) -> Option<&TableRef> {
        if self.tables.is_empty() { None } else { self.tables.get(&(database.into(), name.into())) }
    }
    pub fn all(&self) -> Vec<TableRef> {
        self.tables.values().cloned().collect()
    }
    /// Lets a name lead to a table of the catalogue that has no name there yet. [`Temporary::unveil`] takes it back.
    pub fn veil(&mut self, table: &TableRef) {
        self.tables.insert((table.database_name.clone(), table.name.clone()), table.clone());
    }
    pub fn unveil(&mut self, table: &TableRef) {
        self.tables.remove(&(table.database_name.clone(), table.name.clone()));
    }

    /// A new table without rows; no name leads to it yet.
    fn make(&mut self, mut def: TableDef) -> TableRef {
        let (database, partition) = self.space.get_or_insert_with(|| self.engine.open_private_partition());
        def.id = self.engine.new_private_table();
        def.database = *database;
        def.sharding = Sharding::Single { ordinal: 0 };
        def.options.temporary = true;
        def.layouts.clear();
        let def = Arc::new(def);
        partition.create_table(def.clone());
        def
    }
    fn put(&mut self, def: TableRef) {
        self.tables.insert((def.database_name.clone(), def.name.clone()), def);
    }
    fn remove(&mut self, def: &TableRef) {
        self.unveil(def);
        self.forget(def);
    }
    fn forget(&self, def: &TableRef) {
        if let Some((_, partition)) = &self.space {
            partition.drop_table(def.id);
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some((id, _)) = self.space {
            self.engine.remove_database(id);
        }
    }
}

impl Session {
    pub(super) fn temporary_table(&self, n: &ast::ObjectName) -> Option<TableRef> {
        let d = n.database.as_deref().or(self.database.as_deref())?;
        self.temporary.find(d, &n.name).cloned()
    }

    pub(super) async fn create_temporary(&mut self, c: &ast::CreateTable, name: &ast::ObjectName, text: &str) -> Result<Outcome, Fault> {
        let database = self.database_of(name.database.as_deref())?.to_string();
        self.require(Privilege::CreateTemporaryTables, Some(&database))?;
        let d = self.database_def(&database)?;
        if self.temporary.find(&database, &name.name).is_some() {
            let fault = Fault::TableExists { name: name.name.clone() };
            if c.if_not_exists {
                self.note(fault);
                return Outcome::ok();
            }
            return Err(fault);
        }
        if let Some(like) = &c.like {
            let from = self.table_def(like)?;
            self.require_on_table(Privilege::Select, &from.database_name, &from.name)?;
            let mut def = TableDef::clone(&from);
            def.name = name.name.as_str().into();
            def.database_name = database.as_str().into();
            def.auto_increment_start = 1;
            let made = self.temporary.make(def);
            self.temporary.put(made);
            return Outcome::ok();
        }
        let from = self.columns_of_select(c, text)?;
        let mut ctx = self.ddl_context(&d);
        // It is whole in one place in any case.
        ctx.partitions = 1;
        let def = ddl::create_table(c, &name.name, &from, &mut ctx)?;
        for w in std::mem::take(&mut ctx.warnings) {
            self.warn(w);
        }
        self.check_definition(&def)?;
        let made = self.temporary.make(def);
        self.temporary.put(made.clone());
        let Some(q) = &c.select else { return Outcome::ok() };
        let done = self.insert(&super::define::insert_of_select(c, name, &database, &from, q), text, &[]).await;
        if done.is_err() {
            self.temporary.remove(&made);
        }
        done
    }

    pub(super) fn drop_temporary(&mut self, def: &TableRef) {
        self.temporary.remove(def);
    }

    pub(super) fn truncate_temporary(&mut self, old: &TableRef) -> Result<Outcome, Fault> {
        let mut empty = TableDef::clone(old);
        empty.auto_increment_start = 1;
        let new = self.temporary.make(empty);
        self.temporary.forget(old);
        self.temporary.put(new);
        Outcome::ok()
    }

    pub(super) fn rename_temporary(&mut self, old: &TableRef, database: &str, name: &str) -> Result<(), Fault> {
        if self.temporary.find(database, name).is_some() {
            return Err(Fault::TableExists { name: name.into() });
        }
        self.temporary.unveil(old);
        let mut def = TableDef::clone(old);
        def.name = name.into();
        def.database_name = database.into();
        def.version = old.version.next();
        let def = Arc::new(def);
        if let Some((_, partition)) = &self.temporary.space {
            partition.change_table(def.clone());
        }
        self.temporary.put(def);
        Ok(())
    }

    /// Nobody else uses the table, so every change of it is a copy.
    pub(super) async fn alter_temporary(&mut self, old: &TableRef, actions: &[ast::AlterAction]) -> Result<Outcome, Fault> {
        let d = self.database_def(&old.database_name)?;
        let mut ctx = self.ddl_context(&d);
        ctx.partitions = 1;
        let mut altered = ddl::alter_table(old, actions, &mut ctx)?;
        let warnings = std::mem::take(&mut ctx.warnings);
        if let Some((database, name)) = altered.rename.take() {
            let database = database.unwrap_or_else(|| old.database_name.to_string());
            if (database.as_str(), name.as_str()) != (&*old.database_name, &*old.name) && self.temporary.find(&database, &name).is_some() {
                return Err(Fault::TableExists { name });
            }
            altered.def.name = name.into();
            altered.def.database_name = database.into();
        }
        self.check_definition(&altered.def)?;
        warnings.into_iter().for_each(|w| self.warn(w));
        let altered = altered.by_copy();
        let engine = self.server.engine.clone();
        let statement = self.changing_under(SqlMode(self.settings.sql_mode.0 | SqlMode::NO_AUTO_VALUE_ON_ZERO));
        let new = self.temporary.make(altered.def);
        let copied = match self.bind("", &[], |env| dml::bind_copy(env, old, &new, &altered.from)) {
            Ok(copy) => engine.copy_rows(&copy, &engine.node.snapshot(), &statement).await,
            Err(f) => Err(f),
        };
        match copied {
            Ok(n) => {
                self.temporary.remove(old);
                self.temporary.put(new);
                super::alter::altered(n, &statement)
            }
            Err(f) => {
                self.temporary.forget(&new);
                Err(super::alter::in_alter(f))
            }
        }
    }
}
