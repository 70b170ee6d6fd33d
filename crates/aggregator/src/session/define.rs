//! CREATE, ALTER, DROP, RENAME, TRUNCATE.
//!
//! Owns:     the order of steps of a definition's change; the catalogue's own change is one command.
//! Promises: a statement changes the catalogue whole or not at all; rows that must be copied are copied into a table beside, which then takes the name.
//! Never:    changes the catalogue but through [`crate::server::Metadata`].

use super::{Outcome, Session};
use std::sync::Arc;
use weald_catalog::table::{FieldSource, TableRef};
use weald_catalog::{Command, DatabaseDef, Privilege, Rename, TableDef, ViewDef};
use weald_plan::ddl::{self, DdlContext};
use weald_plan::{bind, dml};
use weald_sql::ast::{self, Statement};
use weald_types::row::RowLayout;
use weald_types::{Collation, Fault, IndexId, SqlType, TableId};

const RETRIES: usize = 8;

impl Session {
    pub(crate) async fn define(&mut self, s: &Statement, text: &str) -> Result<Outcome, Fault> {
        match s {
            Statement::CreateDatabase { name, if_not_exists, options } => self.create_database(name, *if_not_exists, options).await,
            Statement::AlterDatabase { name, options } => {
                let name = self.database_of(name.as_deref())?.to_string();
                self.require(Privilege::Alter, Some(&name))?;
                let now = self.database_def(&name)?.collation;
                let collation = ddl::charset_and_collation(options.charset.as_deref(), options.collation.as_deref(), now)?;
                if options.partitions.is_some() {
                    return Err(Fault::not_supported("changing the number of partitions of a database"));
                }
                let command = Command::AlterDatabase {
                    name: name.into(),
                    collation: Some(collation),
                    sync_durability: options.sync_durability,
                    sync_replication: options.sync_replication,
                };
                self.server.propose(command).await?;
                Outcome::affected(1)
            }
            Statement::DropDatabase { name, if_exists } => {
                self.require(Privilege::Drop, Some(name))?;
                let Some(d) = self.catalog().database(name).cloned() else {
                    if *if_exists {
                        self.note(no_database_to_drop(name));
                        return Outcome::ok();
                    }
                    return Err(no_database_to_drop(name));
                };
                self.server.propose(Command::DropDatabase { name: d.name.clone() }).await?;
                if self.database.as_deref() == Some(name.as_str()) {
                    self.database = None;
                }
                Outcome::affected(d.tables.len() as u64)
            }
            Statement::CreateTable(c) => self.create_table(c, text).await,
            Statement::AlterTable { name, actions, .. } => self.alter_table(name, actions).await,
            Statement::DropTable { names, if_exists, .. } => self.drop_tables(names, *if_exists).await,
            Statement::RenameTable(moves) => {
                let mut list = Vec::new();
                for (from, to) in moves {
                    let a = (self.database_of(from.database.as_deref())?.to_string(), from.name.clone());
                    let b = (self.database_of(to.database.as_deref())?.to_string(), to.name.clone());
                    self.require_on_table(Privilege::Alter, &a.0, &a.1)?;
                    self.require_on_table(Privilege::Drop, &a.0, &a.1)?;
                    self.require_on_table(Privilege::Create, &b.0, &b.1)?;
                    list.push(Rename { from: (a.0.into(), a.1.into()), to: (b.0.into(), b.1.into()) });
                }
                self.server.propose(Command::RenameTables { moves: list }).await?;
                Outcome::ok()
            }
            Statement::Truncate(name) => self.truncate(name).await,
            Statement::CreateIndex { table, index, if_not_exists, .. } => {
                if *if_not_exists
                    && index
                        .name
                        .as_ref()
                        .is_some_and(|n| self.table_def(table).is_ok_and(|t| t.indexes.iter().any(|i| i.name.eq_ignore_ascii_case(n))))
                {
                    return Outcome::ok();
                }
                self.alter(table, &[ast::AlterAction::AddIndex(index.clone())], Privilege::Index).await
            }
            Statement::DropIndex { table, name, if_exists, .. } => {
                if *if_exists && self.table_def(table).is_ok_and(|t| !t.indexes.iter().any(|i| i.name.eq_ignore_ascii_case(name))) {
                    return Outcome::ok();
                }
                self.alter(table, &[ast::AlterAction::DropIndex(name.clone())], Privilege::Index).await
            }
            Statement::CreateView(v) => self.create_view(v, text).await,
            Statement::DropView { names, if_exists } => {
                let catalog = self.catalog();
                let (mut views, mut missing) = (Vec::new(), Vec::new());
                for n in names {
                    let d = self.database_of(n.database.as_deref())?.to_string();
                    self.require_on_table(Privilege::Drop, &d, &n.name)?;
                    match catalog.view(&d, &n.name) {
                        Some(_) => views.push((d.into(), n.name.as_str().into())),
                        None => missing.push(format!("{d}.{}", n.name)),
                    }
                }
                self.missing(missing, *if_exists)?;
                if !views.is_empty() {
                    self.server.propose(Command::DropViews { views }).await?;
                }
                Outcome::ok()
            }
            _ => Err(Fault::not_supported("this definition")),
        }
    }

    fn missing(&self, missing: Vec<String>, if_exists: bool) -> Result<(), Fault> {
        if missing.is_empty() {
            return Ok(());
        }
        if !if_exists {
            return Err(Fault::UnknownTable { name: missing.join(",") });
        }
        for m in missing {
            self.note(Fault::UnknownTable { name: m });
        }
        Ok(())
    }

    fn database_def(&self, name: &str) -> Result<Arc<DatabaseDef>, Fault> {
        self.catalog().database(name).cloned().ok_or_else(|| Fault::NoSuchDatabase { name: name.into() })
    }

    fn table_def(&self, n: &ast::ObjectName) -> Result<TableRef, Fault> {
        let d = self.database_of(n.database.as_deref())?;
        self.catalog().table(d, &n.name).cloned().ok_or_else(|| Fault::NoSuchTable { database: d.into(), table: n.name.clone() })
    }

    async fn create_database(&mut self, name: &str, if_not_exists: bool, o: &ast::DatabaseOptions) -> Result<Outcome, Fault> {
        self.require(Privilege::Create, Some(name))?;
        if name.chars().count() > 60 {
            return Err(Fault::mysql(1059, "42000", format!("Identifier name '{name}' is too long")));
        }
        if name.is_empty() || name.contains(['/', '\\', '\0']) {
            return Err(Fault::mysql(1102, "42000", format!("Incorrect database name '{name}'")));
        }
        if self.catalog().database(name).is_some() {
            let fault = Fault::DatabaseExists { name: name.into() };
            if if_not_exists {
                self.note(fault);
                return Outcome::affected(1);
            }
            return Err(fault);
        }
        let default = Collation::by_name(self.server.variables.values().text("collation_server")).unwrap_or(Collation::UTF8MB4_GENERAL_CI);
        let collation = ddl::charset_and_collation(o.charset.as_deref(), o.collation.as_deref(), default)?;
        let partitions = o.partitions.unwrap_or_else(|| self.server.variables.values().int("default_partitions_per_leaf") as u32);
        if !(1..=4096).contains(&partitions) {
            return Err(Fault::mysql(1690, "22003", format!("PARTITIONS must be from 1 to 4096, not {partitions}")));
        }
        let command = Command::CreateDatabase {
            name: name.into(),
            partitions,
            collation,
            sync_durability: o.sync_durability.unwrap_or(true),
            sync_replication: o.sync_replication.unwrap_or(true),
        };
        self.server.propose(command).await?;
        Outcome::affected(1)
    }

    fn ddl_context<'a>(&self, d: &'a DatabaseDef) -> DdlContext<'a> {
        DdlContext {
            database: &d.name,
            database_id: d.id,
            collation: d.collation,
            partitions: d.partitions,
            ignore_foreign_keys: self.variables.on("ignore_foreign_keys"),
            warnings: Vec::new(),
        }
    }

    async fn create_table(&mut self, c: &ast::CreateTable, text: &str) -> Result<Outcome, Fault> {
        let Some(name) = &c.name else { return Err(Fault::Internal { incident: "CREATE TABLE without a name".into() }) };
        if c.temporary {
            return Err(Fault::not_supported("CREATE TEMPORARY TABLE"));
        }
        let database = self.database_of(name.database.as_deref())?.to_string();
        self.require_on_table(Privilege::Create, &database, &name.name)?;
        let d = self.database_def(&database)?;
        if d.tables.contains_key(name.name.as_str()) || d.views.contains_key(name.name.as_str()) {
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
            def.layouts.clear();
            def.name = name.name.as_str().into();
            def.database_name = database.as_str().into();
            def.auto_increment_start = 1;
            return self.make_table(def).await.map(|_| Outcome::Ok(Default::default()));
        }
        let query = match &c.select {
            Some(q) => {
                let bound = self.bind(text, &[], |env| bind::bind_query(env, q))?;
                self.check(&bound.needs)?;
                Some(bound)
            }
            None => None,
        };
        let from: Vec<(String, SqlType)> = query.iter().flat_map(|q| q.columns.iter().map(|c| (c.name.to_string(), c.ty.clone()))).collect();
        let mut ctx = self.ddl_context(&d);
        let def = ddl::create_table(c, &name.name, &from, &mut ctx)?;
        for w in std::mem::take(&mut ctx.warnings) {
            self.warn(w);
        }
        if self.variables.on("sql_require_primary_key") && !def.primary_key {
            return Err(Fault::mysql(
                3750,
                "HY000",
                "Unable to create or change a table without a primary key, when the system variable 'sql_require_primary_key' is set.",
            ));
        }
        self.check_definition(&def)?;
        let id = self.make_table(def).await?;
        let Some(q) = &c.select else { return Outcome::ok() };
        // The rows of CREATE … SELECT: as INSERT … SELECT into the new table.
        let insert = ast::Insert {
            replace: c.select_duplicates == Some(ast::LoadDuplicates::Replace),
            ignore: c.select_duplicates == Some(ast::LoadDuplicates::Ignore),
            table: ast::ObjectName { database: Some(database), name: name.name.clone() },
            columns: from.iter().map(|f| f.0.clone()).collect(),
            source: ast::InsertSource::Query(q.clone()),
            row_alias: None,
            on_duplicate: Vec::new(),
        };
        match self.insert(&insert, text, &[]).await {
            Ok(Outcome::Ok(done)) => Ok(Outcome::Ok(done)),
            Ok(_) => Outcome::ok(),
            Err(f) => {
                self.rollback_open();
                self.server.propose(Command::DropTables { tables: vec![id] }).await?;
                Err(f)
            }
        }
    }

    /// Expressions of the definition must bind: defaults, generated columns, checks.
    fn check_definition(&self, def: &TableDef) -> Result<(), Fault> {
        let table = Arc::new(def.clone());
        self.bind("", &[], |env| {
            dml::rules::row_rules(env, &table, None)?;
            let mut b = bind::Binder::new(env);
            dml::rules::fills(&mut b, &table).map(|_| ())
        })
    }

    async fn make_table(&mut self, mut def: TableDef) -> Result<TableId, Fault> {
        def.created = self.server.now_micros() as u64;
        match self.server.propose(Command::CreateTable { def: Box::new(def) }).await? {
            weald_catalog::Outcome::Table(id) => Ok(id),
            other => Err(Fault::Internal { incident: format!("CREATE TABLE gave {other:?}") }),
        }
    }

    async fn drop_tables(&mut self, names: &[ast::ObjectName], if_exists: bool) -> Result<Outcome, Fault> {
        let catalog = self.catalog();
        let (mut tables, mut missing) = (Vec::new(), Vec::new());
        for n in names {
            let d = self.database_of(n.database.as_deref())?.to_string();
            match catalog.table(&d, &n.name) {
                Some(t) => {
                    self.require_on_table(Privilege::Drop, &d, &n.name)?;
                    tables.push(t.id)
                }
                None => missing.push(format!("{d}.{}", n.name)),
            }
        }
        self.missing(missing, if_exists)?;
        if !tables.is_empty() {
            self.server.propose(Command::DropTables { tables }).await?;
        }
        Outcome::ok()
    }

    async fn truncate(&mut self, name: &ast::ObjectName) -> Result<Outcome, Fault> {
        let t = self.table_def(name)?;
        self.require_on_table(Privilege::Drop, &t.database_name, &t.name)?;
        let mut empty = TableDef::clone(&t);
        empty.name = format!("#truncate-{}-{}", t.id, self.shared.id).into();
        empty.layouts.clear();
        empty.auto_increment_start = 1;
        let with = self.make_table(empty).await?;
        self.swap(&t, with).await?;
        Outcome::ok()
    }

    async fn swap(&mut self, t: &TableDef, with: TableId) -> Result<(), Fault> {
        if let Err(f) = self.server.propose(Command::SwapTable { old: t.id, expected: t.version, with }).await {
            self.server.propose(Command::DropTables { tables: vec![with] }).await?;
            return Err(f);
        }
        Ok(())
    }

    pub(crate) async fn alter_table(&mut self, name: &ast::ObjectName, actions: &[ast::AlterAction]) -> Result<Outcome, Fault> {
        self.alter(name, actions, Privilege::Alter).await
    }

    async fn alter(&mut self, name: &ast::ObjectName, actions: &[ast::AlterAction], needs: Privilege) -> Result<Outcome, Fault> {
        for _ in 0..RETRIES {
            let old = self.table_def(name)?;
            self.require_on_table(needs, &old.database_name, &old.name)?;
            match self.alter_once(&old, actions).await {
                // Somebody else altered it meanwhile: from the start.
                Err(Fault::SchemaChanged) => continue,
                done => return done,
            }
        }
        Err(Fault::SchemaChanged)
    }

    async fn alter_once(&mut self, old: &TableRef, actions: &[ast::AlterAction]) -> Result<Outcome, Fault> {
        let d = self.database_def(&old.database_name)?;
        let mut ctx = self.ddl_context(&d);
        let mut altered = ddl::alter_table(old, actions, &mut ctx)?;
        for w in std::mem::take(&mut ctx.warnings) {
            self.warn(w);
        }
        if let Some((db, name)) = &altered.rename {
            if db.as_ref().is_some_and(|db| **db != *old.database_name) {
                return Err(Fault::not_supported("ALTER TABLE … RENAME to another database"));
            }
            altered.def.name = name.as_str().into();
        }
        self.check_definition(&altered.def)?;
        if altered.copy {
            return self.alter_by_copy(old, altered).await;
        }
        // Old rows read an added column's default, as it is now.
        for i in &altered.added {
            let bytes = self.constant_field(&altered.def, *i)?;
            for l in &mut altered.def.layouts {
                if matches!(&l.columns[*i as usize], FieldSource::Constant(b) if b.is_empty()) {
                    l.columns[*i as usize] = FieldSource::Constant(bytes.clone());
                }
            }
        }
        let id = old.id;
        self.server.propose(Command::ReplaceTable { expected: old.version, def: Box::new(altered.def) }).await?;
        self.server.engine.reset_auto_increment(old);
        if !altered.fill.is_empty() {
            self.fill_indexes(id, &altered.fill).await?;
        }
        Outcome::ok()
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
            _ => weald_expr::store::zero(&c.ty),
        };
        let mut bytes = Vec::new();
        RowLayout::new(std::slice::from_ref(&c.ty)).encode(&[value], &mut bytes).map_err(|e| Fault::Internal { incident: e.to_string() })?;
        Ok(bytes)
    }

    /// New indexes take in what is there while writers go on, then become ready; or go again if a unique one finds duplicates.
    async fn fill_indexes(&mut self, id: TableId, indexes: &[IndexId]) -> Result<(), Fault> {
        let current = || self.catalog().table_by_id(id).cloned().ok_or(Fault::SchemaChanged);
        let table = current()?;
        let mut failed = None;
        'fill: for p in self.server.engine.partitions_of(&table)? {
            for i in indexes {
                self.statement().check_interrupted()?;
                if let Err(f) = p.fill_index(id, *i).await {
                    failed = Some(f);
                    break 'fill;
                }
            }
        }
        for _ in 0..RETRIES {
            let table = current()?;
            let mut def = TableDef::clone(&table);
            if failed.is_some() {
                def.indexes.retain(|i| !indexes.contains(&i.id));
            } else {
                def.indexes.iter_mut().filter(|i| indexes.contains(&i.id)).for_each(|i| i.ready = true);
            }
            match self.server.propose(Command::ReplaceTable { expected: table.version, def: Box::new(def) }).await {
                Err(Fault::SchemaChanged) => continue,
                Err(f) => return Err(f),
                Ok(_) => {
                    return match failed {
                        Some(f) => Err(f),
                        None => Ok(()),
                    };
                }
            }
        }
        Err(Fault::SchemaChanged)
    }

    /// The rows go through INSERT … SELECT into a table of the new definition, which then takes the name.
    async fn alter_by_copy(&mut self, old: &TableRef, altered: ddl::Altered) -> Result<Outcome, Fault> {
        let final_name = altered.def.name.clone();
        let mut def = altered.def.clone();
        def.name = format!("#alter-{}-{}", old.id, self.shared.id).into();
        def.auto_increment_start = def.auto_increment_start.max(self.server.engine.next_auto_increment(old));
        let copy_name = def.name.to_string();
        let with = self.make_table(def.clone()).await?;
        let quote = weald_catalog::show_create::quote;
        let pairs: Vec<(String, String)> = def
            .columns
            .iter()
            .zip(&altered.from)
            .filter(|(c, _)| c.generated.is_none())
            .filter_map(|(c, f)| f.map(|f| (quote(&c.name), quote(&old.columns[f as usize].name))))
            .collect();
        let (to, from): (Vec<String>, Vec<String>) = pairs.into_iter().unzip();
        let sql = format!(
            "INSERT INTO {}.{} ({}) SELECT {} FROM {}.{}",
            quote(&old.database_name),
            quote(&copy_name),
            to.join(","),
            from.join(","),
            quote(&old.database_name),
            quote(&old.name)
        );
        let mode = self.settings.sql_mode;
        // 0 in an AUTO_INCREMENT column is a value like others here.
        self.settings.sql_mode = weald_types::SqlMode(mode.0 | weald_types::SqlMode::NO_AUTO_VALUE_ON_ZERO & !weald_types::SqlMode::ANSI_QUOTES);
        let copied = self.copy_rows(&sql).await;
        self.settings.sql_mode = mode;
        let done = match copied {
            Ok(n) => self.swap(old, with).await.map(|()| n),
            Err(f) => {
                self.rollback_open();
                let _ = self.server.propose(Command::DropTables { tables: vec![with] }).await;
                Err(f)
            }
        };
        let n = done?;
        if final_name != old.name {
            let database = old.database_name.clone();
            self.server
                .propose(Command::RenameTables { moves: vec![Rename { from: (database.clone(), old.name.clone()), to: (database, final_name) }] })
                .await?;
        }
        Ok(Outcome::Ok(super::Done { affected: n, last_insert_id: 0, info: format!("Records: {n}  Duplicates: 0  Warnings: 0") }))
    }

    async fn copy_rows(&mut self, sql: &str) -> Result<u64, Fault> {
        let statement = weald_sql::parse(sql, &weald_sql::ParseOptions { sql_mode: weald_types::SqlMode::DEFAULT })?;
        let Statement::Insert(i) = &statement else { return Err(Fault::Internal { incident: sql.into() }) };
        match self.insert(i, sql, &[]).await? {
            Outcome::Ok(d) => Ok(d.affected),
            _ => Ok(0),
        }
    }

    async fn create_view(&mut self, v: &ast::CreateView, text: &str) -> Result<Outcome, Fault> {
        let database = self.database_of(v.name.database.as_deref())?.to_string();
        self.require_on_table(Privilege::CreateView, &database, &v.name.name)?;
        self.database_def(&database)?;
        if v.check_option.is_some() {
            return Err(Fault::not_supported("WITH CHECK OPTION (views are read-only)"));
        }
        let bound = self.bind(text, &[], |env| bind::bind_query(env, &v.query))?;
        self.check(&bound.needs)?;
        if !v.columns.is_empty() && v.columns.len() != bound.columns.len() {
            return Err(Fault::mysql(
                1353,
                "HY000",
                "In definition of view, derived table or common table expression, SELECT list and column names list have different column counts",
            ));
        }
        let mut seen = std::collections::HashSet::new();
        for c in bound.columns.iter().map(|c| c.name.to_lowercase()) {
            if v.columns.is_empty() && !seen.insert(c.clone()) {
                return Err(Fault::mysql(1060, "42S21", format!("Duplicate column name '{c}'")));
            }
        }
        let definer = match &v.definer {
            Some(u) if !u.user.is_empty() => (u.user.as_str().into(), u.host.as_str().into()),
            _ => (self.user.user.clone(), self.user.host.clone()),
        };
        // Names are kept whole, so that the view means the same from every database.
        let query = qualified(&v.query, &database);
        let view = ViewDef {
            id: TableId::new(0),
            database_name: database.as_str().into(),
            name: v.name.name.as_str().into(),
            columns: v.columns.iter().map(|c| c.as_str().into()).collect(),
            query: query.into(),
            definer,
            security_invoker: v.security_invoker,
            algorithm: v.algorithm.clone().unwrap_or_default().into(),
            check_option: "".into(),
        };
        if v.alter && self.catalog().view(&database, &v.name.name).is_none() {
            return Err(Fault::NoSuchTable { database, table: v.name.name.clone() });
        }
        self.server.propose(Command::PutView { database: database.into(), view: Box::new(view), replace: v.or_replace || v.alter }).await?;
        Outcome::ok()
    }
}

fn no_database_to_drop(name: &str) -> Fault {
    Fault::mysql(1008, "HY000", format!("Can't drop database '{name}'; database doesn't exist"))
}

/// The query's text with every table's database written out.
fn qualified(q: &ast::Query, database: &str) -> String {
    fn table(t: &mut ast::TableRef, database: &str, ctes: &[String]) {
        match t {
            ast::TableRef::Table { name, .. } => {
                if name.database.is_none() && !ctes.contains(&name.name) {
                    name.database = Some(database.into())
                }
            }
            ast::TableRef::Derived { query: q, .. } => query(q, database, ctes),
            ast::TableRef::Join { left, right, .. } => {
                table(left, database, ctes);
                table(right, database, ctes)
            }
            ast::TableRef::JsonTable { .. } => (),
        }
    }
    fn body(b: &mut ast::SetExpr, database: &str, ctes: &[String]) {
        match b {
            ast::SetExpr::Select(s) => s.from.iter_mut().for_each(|t| table(t, database, ctes)),
            ast::SetExpr::Query(q) => query(q, database, ctes),
            ast::SetExpr::SetOp { left, right, .. } => {
                body(left, database, ctes);
                body(right, database, ctes)
            }
            ast::SetExpr::Table(name) => {
                if name.database.is_none() {
                    name.database = Some(database.into())
                }
            }
            ast::SetExpr::Values(_) => (),
        }
    }
    fn query(q: &mut ast::Query, database: &str, ctes: &[String]) {
        let mut known = ctes.to_vec();
        if let Some(w) = &mut q.with {
            for c in &mut w.ctes {
                known.push(c.name.clone());
                query(&mut c.query, database, &known);
            }
        }
        body(&mut q.body, database, &known);
    }
    let mut q = q.clone();
    query(&mut q, database, &[]);
    weald_sql::print::query(&q)
}
