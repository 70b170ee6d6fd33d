//! ALTER TABLE, CREATE and DROP INDEX, TRUNCATE, RENAME, while readers and writers go on.
//!
//! Owns:     the order of steps of a change that touches rows.
//! Promises: the table changes whole or not at all, also if the statement is killed or the server is (what is half made is dropped at the next start); no
//!           committed row is lost, no row of an open transaction is, and no reader sees half of it.
//! Never:    changes the catalogue but through [`crate::server::Metadata`]; keeps readers waiting.
//!
//! Statements that change the definition of one name run one after the other ([`crate::definition_locks`]). Then there are three ways.
//!
//! **In place**: the definition alone changes, by one command. Rows stay as they are; older layouts say how to read them. Statements planned for the older
//! definition are refused by the partitions and planned anew; a statement that is running reads on with the definition it began with.
//!
//! **Indexes**: a new index is entered empty and not ready, by one command; from then on writers keep it. Then the rows that were there are entered, while
//! writers go on, and one more command makes it ready. A unique index finds duplicates on the way, those of open transactions after these have ended. To drop
//! an index is the reverse: first it is no longer ready, so that no new plan uses it; once the statements that may still use it have ended, it goes.
//!
//! **By copy**, where rows must be stored otherwise: a second table is built beside the first, which no name leads to.
//!
//! 1. All rows of a snapshot S0 are copied, while writers go on.
//! 2. What changed from S0 to a later snapshot S1 is carried over, then from S1 to S2, until little changes from one to the next.
//! 3. The gate of the old table is closed ([`weald_exec::Gate`]): new writers wait, those inside are waited for. From the moment when the last has left, the
//!    old table does not change any more.
//! 4. What changed from the last snapshot to one taken now is carried over. *Invariant: now the new table holds exactly the committed rows of the old one.*
//! 5. One command drops the old table and gives the name to the new one. The gate opens: who waited finds the old table gone, plans anew, and writes to the
//!    new one. A transaction whose snapshot is older than the copy cannot read the new table at it: it reads at a newer one if it has seen nothing yet, else it
//!    is told to begin again (1213).
//!
//! Steps 2 and 4 need to find a copied row again by the old one ([`weald_plan::dml::BoundCopy::can_be_followed`]). Where that cannot be (no primary key after the change, a
//! new AUTO_INCREMENT key), step 3 comes first and writers wait for the whole copy, as they do in MySQL for these changes. Readers never wait.
//!
//! A crash before step 5 leaves the old table and a half-made one without a name, which the next start drops; after it, the new table.

use super::{Done, Outcome, Session};
use crate::definition_locks::Locked;
use crate::server::Server;
use std::sync::Arc;
use std::time::Duration;
use weald_catalog::table::{FieldSource, TableRef};
use weald_catalog::{Command, IndexDef, Privilege, Rename, TableDef};
use weald_exec::Gate;
use weald_expr::StatementContext;
use weald_plan::dml::{self, BoundCopy};
use weald_plan::{bind, ddl};
use weald_sql::ast;
use weald_types::row::RowLayout;
use weald_types::{Fault, SqlMode, TypeKind};

/// Rounds of step 2 at most, and the number of changed rows at which the rest is left to step 4.
const ROUNDS: usize = 10;
const FEW_ROWS: u64 = 500;

/// How long an index that is to be dropped stays for statements that may be using it. One that is still running then may be told that its table has changed.
const INDEX_GRACE: Duration = Duration::from_secs(5);
const LOOK_UP: Duration = Duration::from_millis(10);

/// A table without a name yet. Dropped unfinished, it is taken out of the catalogue again.
pub(super) struct Building {
    server: Arc<Server>,
    pub def: TableRef,
    finished: bool,
}

impl Building {
    /// It has its name.
    pub fn done(mut self) {
        self.finished = true;
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let (server, id) = (self.server.clone(), self.def.id);
        self.server.query_runtime.spawn(async move {
            match server.propose(Command::AbandonTable { table: id }).await {
                // It has its name after all: what gave it that was under way when it was no longer waited for.
                Ok(_) | Err(Fault::SchemaChanged) => (),
                Err(fault) => tracing::warn!(%fault, table = %id, "a table that was being built could not be dropped; the next start drops it"),
            }
        });
    }
}

impl Session {
    fn definition_wait(&self) -> Duration {
        Duration::from_secs(self.variables.int("lock_wait_timeout"))
    }

    /// The names, to this statement alone.
    pub(super) async fn lock_definitions(&self, names: &[ast::ObjectName]) -> Result<Locked, Fault> {
        let mut list = Vec::with_capacity(names.len());
        for n in names {
            list.push((self.database_of(n.database.as_deref())?.into(), n.name.as_str().into()));
        }
        let statement = self.statement();
        self.server.definitions.lock(list, self.definition_wait(), || statement.check_interrupted()).await
    }

    /// Closes the tables to new writers and waits for those inside. They stay closed until the gate is dropped.
    pub(super) async fn empty_of_writers(&self, tables: &[TableRef]) -> Result<Gate, Fault> {
        self.server.engine.close_gate(tables, self.definition_wait(), &self.statement()).await
    }

    pub(super) async fn build_table(&self, mut def: TableDef) -> Result<Building, Fault> {
        def.created = self.server.now_micros() as u64;
        def.layouts.clear();
        let id = match self.server.propose(Command::BuildTable { def: Box::new(def) }).await? {
            weald_catalog::Outcome::Table(id) => id,
            other => return Err(Fault::Internal { incident: format!("building a table gave {other:?}") }),
        };
        let def = self.catalog().table_by_id(id).cloned().ok_or(Fault::SchemaChanged)?;
        Ok(Building { server: self.server.clone(), def, finished: false })
    }

    /// Step 5.
    async fn swap(&self, old: &TableDef, new: Building, gate: Gate) -> Result<(), Fault> {
        let engine = &self.server.engine;
        let now = engine.node.clock.now(engine.node.wall());
        for t in engine.partitions_here(&new.def)?.iter().filter_map(|p| p.current_table(new.def.id)) {
            t.set_readable_from(now);
        }
        self.server.propose(Command::SwapTable { old: old.id, expected: old.version, with: new.def.id }).await?;
        new.done();
        drop(gate);
        Ok(())
    }

    pub(super) async fn truncate(&mut self, name: &ast::ObjectName) -> Result<Outcome, Fault> {
        if let Some(t) = self.temporary_table(name) {
            return self.truncate_temporary(&t);
        }
        let _name = self.lock_definitions(std::slice::from_ref(name)).await?;
        let t = self.table_def(name)?;
        self.require_on_table(Privilege::Drop, &t.database_name, &t.name)?;
        let gate = self.empty_of_writers(std::slice::from_ref(&t)).await?;
        let mut empty = TableDef::clone(&t);
        empty.auto_increment_start = 1;
        let empty = self.build_table(empty).await?;
        self.swap(&t, empty, gate).await?;
        Outcome::ok()
    }

    pub(super) async fn rename_tables(&mut self, moves: &[(ast::ObjectName, ast::ObjectName)]) -> Result<Outcome, Fault> {
        let names: Vec<ast::ObjectName> = moves.iter().flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
        let _names = self.lock_definitions(&names).await?;
        let mut list = Vec::new();
        for (from, to) in moves {
            let a = (self.database_of(from.database.as_deref())?.to_string(), from.name.clone());
            let b = (self.database_of(to.database.as_deref())?.to_string(), to.name.clone());
            if let Some(t) = self.temporary_table(from) {
                self.rename_temporary(&t, &b.0, &b.1)?;
                continue;
            }
            self.require_on_table(Privilege::Alter, &a.0, &a.1)?;
            self.require_on_table(Privilege::Drop, &a.0, &a.1)?;
            self.require_on_table(Privilege::Create, &b.0, &b.1)?;
            self.require_on_table(Privilege::Insert, &b.0, &b.1)?;
            self.database_def(&b.0)?;
            ddl::check_table_name(&b.1)?;
            if a.0 != b.0 && self.catalog().table(&a.0, &a.1).is_some() {
                if moves.len() > 1 {
                    return Err(Fault::not_supported("RENAME TABLE of several tables, one of them to another database (rename that one by itself)"));
                }
                let old = self.table_def(from)?;
                return self.move_to_database(&old, &b.0, &b.1).await;
            }
            list.push(Rename { from: (a.0.into(), a.1.into()), to: (b.0.into(), b.1.into()) });
        }
        if !list.is_empty() {
            self.server.propose(Command::RenameTables { moves: list }).await?;
        }
        Outcome::ok()
    }

    /// Rows live in the partitions of their database: they move with the table.
    async fn move_to_database(&mut self, old: &TableRef, database: &str, name: &str) -> Result<Outcome, Fault> {
        let d = self.database_def(database)?;
        if d.tables.contains_key(name) || d.views.contains_key(name) {
            return Err(Fault::TableExists { name: name.into() });
        }
        let mut def = TableDef::clone(old);
        def.database = d.id;
        def.database_name = database.into();
        def.name = name.into();
        let from = (0..old.columns.len() as u16).map(Some).collect();
        self.alter_by_copy(old, ddl::Altered::unchanged(def, from)).await?;
        Outcome::ok()
    }

    pub(super) async fn alter(&mut self, name: &ast::ObjectName, actions: &[ast::AlterAction], needs: Privilege) -> Result<Outcome, Fault> {
        if let Some(t) = self.temporary_table(name) {
            return self.alter_temporary(&t, actions).await;
        }
        let mut names = vec![name.clone()];
        names.extend(actions.iter().filter_map(|a| match a {
            ast::AlterAction::Rename(to) => Some(to.clone()),
            _ => None,
        }));
        let _names = self.lock_definitions(&names).await?;
        let old = self.table_def(name)?;
        self.require_on_table(needs, &old.database_name, &old.name)?;
        let d = self.database_def(&old.database_name)?;
        let mut ctx = self.ddl_context(&d);
        let mut altered: ddl::Altered = ddl::alter_table(&old, actions, &mut ctx)?;
        let warnings = std::mem::take(&mut ctx.warnings);
        if let Some((database, new_name)) = altered.rename.take() {
            self.rename_in_alter(&old, &mut altered, database, &new_name)?;
        }
        self.check_definition(&altered.def)?;
        for w in warnings {
            self.warn(w);
        }
        self.server.engine.ask_figures().await;
        if let Some(c) =
            altered.added_zero_date().filter(|_| self.settings.sql_mode.has(SqlMode::NO_ZERO_DATE) && self.server.engine.size(&old).0 > 0)
        {
            let (kind, zero) = if c.ty.kind == TypeKind::Date { ("date", "0000-00-00") } else { ("datetime", "0000-00-00 00:00:00") };
            let fault = Fault::IncorrectValue { kind: kind.into(), value: zero.into(), column: c.name.to_string(), row: 1 };
            if self.settings.sql_mode.is_strict() {
                return Err(fault);
            }
            self.warn(fault);
        }
        if altered.copy || (!altered.fill.is_empty() && !altered.only_indexes(&old)) {
            // Also where an index is to be filled and something else changes: the whole of it happens, or nothing.
            return self.alter_by_copy(&old, altered.by_copy()).await;
        }
        if altered.fill.is_empty() { self.alter_in_place(&old, altered.def, &altered.added).await } else { self.add_indexes(&old, altered).await }
    }

    fn rename_in_alter(&self, old: &TableRef, altered: &mut ddl::Altered, database: Option<String>, name: &str) -> Result<(), Fault> {
        let database = database.unwrap_or_else(|| old.database_name.to_string());
        ddl::check_table_name(name)?;
        self.require_on_table(Privilege::Drop, &old.database_name, &old.name)?;
        self.require_on_table(Privilege::Create, &database, name)?;
        self.require_on_table(Privilege::Insert, &database, name)?;
        let d = self.database_def(&database)?;
        let itself = *database == *old.database_name && *name == *old.name;
        if !itself && (d.tables.contains_key(name) || d.views.contains_key(name)) {
            return Err(Fault::TableExists { name: name.into() });
        }
        altered.copy |= d.id != old.database;
        altered.def.database = d.id;
        altered.def.database_name = database.into();
        altered.def.name = name.into();
        Ok(())
    }

    // ------------------------------------------------------------------ in place, and indexes

    async fn alter_in_place(&mut self, old: &TableRef, mut def: TableDef, added: &[u16]) -> Result<Outcome, Fault> {
        // Old rows read an added column's default, as it is now.
        for i in added {
            let bytes = self.constant_field(&def, *i)?;
            for l in &mut def.layouts {
                if matches!(&l.columns[*i as usize], FieldSource::Constant(b) if b.is_empty()) {
                    l.columns[*i as usize] = FieldSource::Constant(bytes.clone());
                }
            }
        }
        let moved = def.auto_increment_start != old.auto_increment_start;
        let only_renamed = def.name != old.name && def.columns == old.columns && def.indexes == old.indexes;
        let mut trial = Trial::new(&self.server, old);
        match self.in_place_steps(&mut trial, def).await {
            Ok(()) => trial.finished = true,
            Err(fault) => {
                trial.take_back().await?;
                return Err(fault);
            }
        }
        if moved {
            self.server.engine.reset_auto_increment(old);
        }
        // A new name alone has nothing to tell.
        if only_renamed { Outcome::ok() } else { altered(0, &self.statement()) }
    }

    async fn in_place_steps(&self, trial: &mut Trial, mut def: TableDef) -> Result<(), Fault> {
        self.retire_indexes(trial, &def).await?;
        // Rows may have been written under the versions that this went through: they are laid out as the last of them.
        if let Some(last) = def.layouts.last_mut().filter(|l| l.version == trial.before.version) {
            last.version = trial.now.version;
        }
        trial.replace(def).await
    }

    /// Makes the indexes that `after` has not unusable for new plans, and waits, within reason, for the statements that may be using them.
    async fn retire_indexes(&self, trial: &mut Trial, after: &TableDef) -> Result<(), Fault> {
        let stays = |i: &IndexDef| after.indexes.iter().any(|kept| kept.id == i.id);
        if trial.now.indexes.iter().all(stays) {
            return Ok(());
        }
        let mut def = TableDef::clone(&trial.now);
        def.indexes.iter_mut().filter(|i| !stays(i)).for_each(|i| i.ready = false);
        trial.replace(def).await?;
        let node = &self.server.engine.node;
        let now = node.clock.now(node.wall());
        let statement = self.statement();
        let until = tokio::time::Instant::now() + INDEX_GRACE;
        while node.snapshots.advance(node.clock.now(node.wall())) < now && tokio::time::Instant::now() < until {
            statement.check_interrupted()?;
            tokio::time::sleep(LOOK_UP).await;
        }
        Ok(())
    }

    /// Nothing changes but indexes, some of which are new.
    async fn add_indexes(&mut self, old: &TableRef, altered: ddl::Altered) -> Result<Outcome, Fault> {
        let mut trial = Trial::new(&self.server, old);
        match self.index_steps(&mut trial, altered).await {
            Ok(()) => trial.finished = true,
            Err(fault) => {
                trial.take_back().await?;
                return Err(fault);
            }
        }
        self::altered(0, &self.statement())
    }

    async fn index_steps(&self, trial: &mut Trial, altered: ddl::Altered) -> Result<(), Fault> {
        let mut with_new = TableDef::clone(&trial.now);
        with_new.indexes.extend(altered.def.indexes.iter().filter(|i| altered.fill.contains(&i.id)).cloned());
        trial.replace(with_new).await?;
        self.server.engine.fill_indexes(&trial.now, &altered.fill, self.definition_wait(), &self.statement()).await?;
        let mut whole = altered.def;
        whole.indexes.iter_mut().for_each(|i| i.ready = true);
        self.retire_indexes(trial, &whole).await?;
        trial.replace(whole).await
    }

    fn constant_field(&self, def: &TableDef, i: u16) -> Result<Vec<u8>, Fault> {
        let table = Arc::new(def.clone());
        let c = &table.columns[i as usize];
        let fill = self.bind("", &[], |env| {
            let mut b = bind::Binder::new(env);
            dml::rules::fill(&mut b, &table, i as usize)
        })?;
        let statement = self.statement();
        let eval = weald_expr::EvalContext { statement: &statement, params: &[], subqueries: &[] };
        let value = match &fill {
            dml::Fill::Default(e) => {
                let v = weald_expr::eval(e, &weald_expr::NoRow, &eval)?;
                weald_expr::store::store(v, e.ty(), weald_expr::store::Target { column: &c.name, ty: &c.ty, row: 1 }, &eval)?
            }
            dml::Fill::AutoIncrement | dml::Fill::Generated | dml::Fill::Missing => weald_expr::store::zero(&c.ty),
        };
        let mut bytes = Vec::new();
        RowLayout::new(std::slice::from_ref(&c.ty)).encode(&[value], &mut bytes).map_err(|e| Fault::Internal { incident: e.to_string() })?;
        Ok(bytes)
    }

    // ------------------------------------------------------------------ by copy

    pub(super) async fn alter_by_copy(&mut self, old: &TableRef, to: ddl::Altered) -> Result<Outcome, Fault> {
        let n = self.copy_and_swap(old, to).await.map_err(in_alter)?;
        altered(n, &self.statement())
    }

    async fn copy_and_swap(&mut self, old: &TableRef, altered: ddl::Altered) -> Result<u64, Fault> {
        let engine = self.server.engine.clone();
        // 0 in an AUTO_INCREMENT column is a value like others here.
        let statement = self.changing_under(SqlMode(self.settings.sql_mode.0 | SqlMode::NO_AUTO_VALUE_ON_ZERO));
        let mut def = altered.def;
        if def.columns.iter().any(|c| c.auto_increment) && old.columns.iter().any(|c| c.auto_increment) {
            def.auto_increment_start = def.auto_increment_start.max(engine.next_auto_increment(old));
        }
        let new = self.build_table(def).await?;
        let copy: BoundCopy = self.bind("", &[], |env| dml::bind_copy(env, old, &new.def, &altered.from))?;
        // What writers do meanwhile is not followed on other nodes.
        if !copy.can_be_followed() || engine.is_spread(old) {
            let gate = self.empty_of_writers(std::slice::from_ref(old)).await?;
            let n = engine.copy_rows(&copy, &engine.node.snapshot(), &statement).await?;
            self.swap(old, new, gate).await?;
            return Ok(n);
        }
        let mut reached = engine.node.snapshot();
        let n = engine.copy_rows(&copy, &reached, &statement).await?;
        for _ in 0..ROUNDS {
            let now = engine.node.snapshot();
            let changed = engine.carry_over(&copy, &reached, &now, &statement).await?;
            reached = now;
            if changed < FEW_ROWS {
                break;
            }
        }
        let gate = self.empty_of_writers(std::slice::from_ref(old)).await?;
        engine.carry_over(&copy, &reached, &engine.node.snapshot(), &statement).await?;
        self.swap(old, new, gate).await?;
        Ok(n)
    }
}

/// What ALTER TABLE answers after a copy.
pub(super) fn altered(rows: u64, statement: &StatementContext) -> Result<Outcome, Fault> {
    let warnings = statement.warnings.lock().total;
    Ok(Outcome::Ok(Done { affected: rows, last_insert_id: 0, info: format!("Records: {rows}  Duplicates: 0  Warnings: {warnings}").into() }))
}

/// What goes wrong with a row, as ALTER TABLE says it.
pub(super) fn in_alter(fault: Fault) -> Fault {
    match fault {
        Fault::NullNotAllowed { .. } => Fault::mysql(1138, "22004", "Invalid use of NULL value"),
        Fault::DataTooLong { column, row } => Fault::DataTruncated { column, row },
        other => other,
    }
}

/// A definition that goes through more than one step. Dropped unfinished, the table gets its first definition back.
struct Trial {
    server: Arc<Server>,
    before: TableRef,
    now: TableRef,
    finished: bool,
}

impl Trial {
    fn new(server: &Arc<Server>, table: &TableRef) -> Self {
        Self { server: server.clone(), before: table.clone(), now: table.clone(), finished: false }
    }
    async fn replace(&mut self, def: TableDef) -> Result<(), Fault> {
        self.server.propose(Command::ReplaceTable { expected: self.now.version, def: Box::new(def) }).await?;
        self.now = self.server.catalog().table_by_id(self.now.id).cloned().ok_or(Fault::SchemaChanged)?;
        Ok(())
    }
    async fn take_back(mut self) -> Result<(), Fault> {
        self.finished = true;
        if self.now.version == self.before.version {
            return Ok(());
        }
        let before = TableDef::clone(&self.before);
        self.replace(before).await
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if self.finished || self.now.version == self.before.version {
            return;
        }
        let server = self.server.clone();
        let command = Command::ReplaceTable { expected: self.now.version, def: Box::new(TableDef::clone(&self.before)) };
        self.server.query_runtime.spawn(async move {
            if let Err(fault) = server.propose(command).await {
                tracing::warn!(%fault, "a definition could not be taken back; what is not ready of it goes at the next start");
            }
        });
    }
}
