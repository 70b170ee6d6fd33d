//! CREATE, ALTER, DROP, RENAME, TRUNCATE.
//!
//! Owns:     the order of steps of a definition's change; the catalogue's own change is one command.
//! Promises: a statement changes the catalogue whole or not at all; rows that must be copied are copied into a table beside, which then takes the name.
//! Never:    changes the catalogue but through [`crate::server::Metadata`].

use super::{Outcome, Session};
use std::sync::Arc;
use weald_catalog::table::TableRef;
use weald_catalog::{ColumnDef, Command, DatabaseDef, DefaultValue, Privilege, TableDef, ViewDef};
use weald_expr::{Expr, Operator};
use weald_plan::ddl::{self, DdlContext};
use weald_plan::query::{Column, Query, Rel};
use weald_plan::{bind, dml};
use weald_sql::ast::{self, Statement};
use weald_types::sql_type::IntWidth;
use weald_types::{Collation, ColumnId, Fault, SqlType, TableId, TypeKind, Value};

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
                let tables: Vec<_> = d.tables.values().cloned().collect();
                let names = tables.iter().map(|t| ast::ObjectName { database: Some(name.clone()), name: t.name.to_string() }).collect::<Vec<_>>();
                let _names = self.lock_definitions(&names).await?;
                let _gate = self.empty_of_writers(&tables).await?;
                self.server.propose(Command::DropDatabase { name: d.name.clone() }).await?;
                if self.database.as_deref() == Some(name.as_str()) {
                    self.database = None;
                }
                Outcome::affected(d.tables.len() as u64)
            }
            Statement::CreateTable(c) => self.create_table(c, text).await,
            Statement::AlterTable { name, actions, .. } => self.alter(name, actions, Privilege::Alter).await,
            Statement::DropTable { names, if_exists, temporary, .. } => self.drop_tables(names, *if_exists, *temporary).await,
            Statement::RenameTable(moves) => self.rename_tables(moves).await,
            Statement::Truncate(name) => self.truncate(name).await,
            Statement::CreateIndex { table, index, if_not_exists, algorithm, lock } => {
                if *if_not_exists
                    && index
                        .name
                        .as_ref()
                        .is_some_and(|n| self.table_def(table).is_ok_and(|t| t.indexes.iter().any(|i| i.name.eq_ignore_ascii_case(n))))
                {
                    return Outcome::ok();
                }
                self.alter(table, &with_options(ast::AlterAction::AddIndex(index.clone()), algorithm, lock), Privilege::Index).await
            }
            Statement::DropIndex { table, name, if_exists, algorithm, lock } => {
                if *if_exists && self.table_def(table).is_ok_and(|t| !t.indexes.iter().any(|i| i.name.eq_ignore_ascii_case(name))) {
                    return Outcome::ok();
                }
                self.alter(table, &with_options(ast::AlterAction::DropIndex(name.clone()), algorithm, lock), Privilege::Index).await
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
                        None if catalog.table(&d, &n.name).is_some() => {
                            return Err(Fault::mysql(1347, "HY000", format!("'{d}.{}' is not VIEW", n.name)));
                        }
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

    pub(super) fn database_def(&self, name: &str) -> Result<Arc<DatabaseDef>, Fault> {
        self.catalog().database(name).cloned().ok_or_else(|| Fault::NoSuchDatabase { name: name.into() })
    }

    pub(super) fn table_def(&self, n: &ast::ObjectName) -> Result<TableRef, Fault> {
        let d = self.database_of(n.database.as_deref())?;
        if let Some(t) = self.temporary.find(d, &n.name) {
            return Ok(t.clone());
        }
        if self.catalog().view(d, &n.name).is_some() {
            return Err(Fault::mysql(1347, "HY000", format!("'{d}.{}' is not BASE TABLE", n.name)));
        }
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
        let default = Collation::by_name(self.variables.text("collation_server")).unwrap_or(Collation::UTF8MB4_GENERAL_CI);
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

    pub(super) fn ddl_context<'a>(&self, d: &'a DatabaseDef) -> DdlContext<'a> {
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
            return self.create_temporary(c, name, text).await;
        }
        let database = self.database_of(name.database.as_deref())?.to_string();
        self.require_on_table(Privilege::Create, &database, &name.name)?;
        if c.select.is_some() {
            self.require_on_table(Privilege::Insert, &database, &name.name)?;
        }
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
        let from = self.columns_of_select(c, text)?;
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
        let Some(q) = &c.select else { return self.make_table(def).await.map(|_| Outcome::Ok(Default::default())) };
        let building = self.build_table(def).await?;
        let insert = insert_of_select(c, name, &database, &from, q);
        // Until it has its rows, the name leads to the table in this session only, and only now.
        self.temporary.veil(&building.def);
        let filled = self.insert(&insert, text, &[]).await;
        self.temporary.unveil(&building.def);
        let filled = match filled {
            Ok(filled) => filled,
            Err(f) => {
                self.rollback_open();
                return Err(f);
            }
        };
        self.server.propose(Command::PublishTable { table: building.def.id }).await?;
        building.done();
        Ok(match filled {
            Outcome::Ok(done) => Outcome::Ok(done),
            Outcome::Rows { .. } | Outcome::SendFile { .. } => Outcome::Ok(Default::default()),
        })
    }

    /// What the query of CREATE TABLE … SELECT brings: columns of tables with what is said of them there, others with their types.
    pub(super) fn columns_of_select(&mut self, c: &ast::CreateTable, text: &str) -> Result<Vec<ddl::SelectedColumn>, Fault> {
        let Some(q) = &c.select else { return Ok(Vec::new()) };
        let bound = self.bind(text, &[], |env| bind::bind_query(env, q))?;
        self.check(&bound.needs)?;
        let column = |c: &Column| {
            let int = TypeKind::Int { width: IntWidth::Int, unsigned: false, zerofill: None };
            let ty = if short_number(&bound, c) { SqlType::new(int, c.ty.nullable) } else { c.ty.clone() };
            ddl::SelectedColumn { name: c.name.to_string(), ty, origin: origin_of(&bound, c) }
        };
        Ok(bound.columns.iter().map(column).collect())
    }

    /// Expressions of the definition must bind: defaults, generated columns, checks.
    pub(super) fn check_definition(&self, def: &TableDef) -> Result<(), Fault> {
        let table = Arc::new(def.clone());
        self.bind("", &[], |env| {
            dml::rules::check_expressions(env, &table)?;
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

    async fn drop_tables(&mut self, names: &[ast::ObjectName], if_exists: bool, temporary: bool) -> Result<Outcome, Fault> {
        let (own, names): (Vec<_>, Vec<_>) = names.iter().cloned().map(|n| (self.temporary_table(&n), n)).partition(|(t, _)| t.is_some());
        let names: Vec<ast::ObjectName> = names.into_iter().map(|(_, n)| n).collect();
        let mut seen = std::collections::HashSet::new();
        for n in &names {
            let d = self.database_of(n.database.as_deref())?;
            if !seen.insert((d.to_string(), n.name.clone())) {
                return Err(Fault::mysql(1066, "42000", format!("Not unique table/alias: '{}'", n.name)));
            }
            if !temporary {
                self.require_on_table(Privilege::Drop, d, &n.name)?;
            }
        }
        if temporary || names.is_empty() {
            let unknown = |n: &ast::ObjectName| Ok(format!("{}.{}", self.database_of(n.database.as_deref())?, n.name));
            self.missing(names.iter().map(unknown).collect::<Result<_, Fault>>()?, if_exists)?;
            own.iter().filter_map(|(t, _)| t.as_ref()).for_each(|t| self.drop_temporary(t));
            return Outcome::ok();
        }
        let names = &names[..];
        let _names = self.lock_definitions(names).await?;
        let catalog = self.catalog();
        let (mut tables, mut missing) = (Vec::new(), Vec::new());
        for n in names {
            let d = self.database_of(n.database.as_deref())?.to_string();
            match catalog.table(&d, &n.name) {
                Some(t) => tables.push(t.clone()),
                None => missing.push(format!("{d}.{}", n.name)),
            }
        }
        self.missing(missing, if_exists)?;
        if !tables.is_empty() {
            let _gate = self.empty_of_writers(&tables).await?;
            self.server.propose(Command::DropTables { tables: tables.iter().map(|t| t.id).collect() }).await?;
        }
        own.iter().filter_map(|(t, _)| t.as_ref()).for_each(|t| self.drop_temporary(t));
        Outcome::ok()
    }

    async fn create_view(&mut self, v: &ast::CreateView, text: &str) -> Result<Outcome, Fault> {
        let database = self.database_of(v.name.database.as_deref())?.to_string();
        self.require_on_table(Privilege::CreateView, &database, &v.name.name)?;
        if v.or_replace || v.alter {
            self.require_on_table(Privilege::Drop, &database, &v.name.name)?;
        }
        self.database_def(&database)?;
        if v.check_option.is_some() {
            return Err(Fault::not_supported("WITH CHECK OPTION (views are read-only)"));
        }
        if v.query.into.is_some() {
            return Err(Fault::mysql(1350, "HY000", "View's SELECT contains a 'INTO' clause"));
        }
        let mut query = v.query.clone();
        let (bound, stars) = self.bind(text, &[], |env| bind::bind_view_text(env, &query))?;
        self.check(&bound.needs)?;
        if let Some(t) = bound.tables.iter().find(|t| t.options.temporary) {
            return Err(Fault::mysql(1352, "HY000", format!("View's SELECT refers to a temporary table '{}'", t.name)));
        }
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
        let own: (Box<str>, Box<str>) = (self.user.user.clone(), self.user.host.clone());
        let definer = match &v.definer {
            Some(u) if !u.user.is_empty() => (u.user.as_str().into(), u.host.to_ascii_lowercase().into()),
            _ => own.clone(),
        };
        // A view reads with its definer's privileges: nobody may borrow another's, nor change what is read with them.
        let changed = self.catalog().view(&database, &v.name.name).filter(|_| v.alter).map(|old| old.definer.clone());
        if (definer != own || changed.is_some_and(|d| d != own)) && !self.user.may_globally(Privilege::Super) {
            let text = "Access denied; you need (at least one of) the SUPER or SET_USER_ID privilege(s) for this operation";
            return Err(Fault::mysql(1227, "42000", text));
        }
        if self.definer(&definer).is_none() {
            self.note(super::privileges::no_definer(&definer));
        }
        // Names are kept whole, so that the view means the same from every database; stars as what they stand for now, so that it keeps its columns.
        let query = settled(&mut query, &database, &stars);
        // What is kept must be understood again at every use: printed, it nests deeper, by parentheses that the statement could do without.
        weald_sql::parse_query(&query, &weald_sql::ParseOptions { sql_mode: self.settings.sql_mode })?;
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
            described: described(&bound, &v.columns),
        };
        if v.alter && self.catalog().view(&database, &v.name.name).is_none() {
            return Err(Fault::NoSuchTable { database, table: v.name.name.clone() });
        }
        self.server.propose(Command::PutView { database: database.into(), view: Box::new(view), replace: v.or_replace || v.alter }).await?;
        Outcome::ok()
    }
}

/// The rows of CREATE TABLE … SELECT go in as those of INSERT … SELECT do.
pub(super) fn insert_of_select(
    c: &ast::CreateTable,
    name: &ast::ObjectName,
    database: &str,
    from: &[ddl::SelectedColumn],
    query: &ast::Query,
) -> ast::Insert {
    ast::Insert {
        replace: c.select_duplicates == Some(ast::LoadDuplicates::Replace),
        delayed: false,
        ignore: c.select_duplicates == Some(ast::LoadDuplicates::Ignore),
        table: ast::ObjectName { database: Some(database.into()), name: name.name.clone() },
        columns: from.iter().map(|f| f.name.clone()).collect(),
        source: ast::InsertSource::Query(Box::new(query.clone())),
        row_alias: None,
        on_duplicate: Vec::new(),
    }
}

fn no_database_to_drop(name: &str) -> Fault {
    Fault::mysql(1008, "HY000", format!("Can't drop database '{name}'; database doesn't exist"))
}

/// CREATE INDEX and DROP INDEX as the ALTER TABLE they stand for.
fn with_options(action: ast::AlterAction, algorithm: &Option<String>, lock: &Option<String>) -> Vec<ast::AlterAction> {
    let options = [algorithm.clone().map(ast::AlterAction::Algorithm), lock.clone().map(ast::AlterAction::Lock)];
    [action].into_iter().chain(options.into_iter().flatten()).collect()
}

/// A number that takes few digits is an INT for CREATE TABLE … SELECT, whatever it is computed as; a truth value too.
fn short_number(query: &Query, c: &Column) -> bool {
    fn made(rel: &Rel, id: ColumnId) -> Option<&Expr> {
        match rel {
            Rel::Project { exprs, columns, .. } => columns.iter().position(|c| c.id == id).map(|i| &exprs[i]),
            Rel::Sort { input, .. } | Rel::Limit { input, .. } | Rel::Distinct { input } => made(input, id),
            _ => None,
        }
    }
    c.ty.kind.is_truth()
        || match made(&query.root, c.id) {
            Some(Expr::Literal { value: Value::Int(n), .. }) => n.unsigned_abs() < 1_000_000_000,
            Some(Expr::Operator { op: Operator::Negate, args, .. }) => {
                matches!(args.as_slice(), [Expr::Literal { value: Value::Int(n), .. }] if n.unsigned_abs() < 1_000_000_000)
            }
            _ => false,
        }
}

/// The table's column that a query gives unchanged.
fn origin_of(query: &Query, c: &Column) -> Option<ColumnDef> {
    let o = c.origin.as_ref()?;
    let table = query.tables.iter().find(|t| t.database_name == o.database && t.name == o.table)?;
    table.columns.iter().find(|x| x.name == o.column).cloned()
}

fn described(query: &Query, names: &[String]) -> Vec<ColumnDef> {
    let column = |(i, c): (usize, &Column)| ColumnDef {
        name: names.get(i).map_or(&*c.name, String::as_str).into(),
        ty: c.ty.clone(),
        default: match origin_of(query, c) {
            // A counter's column is an ordinary one in a view, with 0 for its default.
            Some(o) if o.auto_increment => DefaultValue::Literal("0".into()),
            Some(o) => o.default,
            None if c.ty.nullable => DefaultValue::Null,
            None => DefaultValue::None,
        },
        on_update_now: false,
        auto_increment: false,
        invisible: false,
        comment: "".into(),
        generated: None,
    };
    query.columns.iter().enumerate().map(column).collect()
}

type Stars = std::collections::HashMap<usize, Vec<ast::SelectItem>>;

/// The query's text with every table's database and every star's columns written out.
fn settled(q: &mut ast::Query, database: &str, stars: &Stars) -> String {
    fn table(t: &mut ast::TableRef, stars: &Stars) {
        match t {
            ast::TableRef::Derived { query: q, .. } => query(q, stars),
            ast::TableRef::Join { left, right, .. } => {
                table(left, stars);
                table(right, stars)
            }
            ast::TableRef::Table { .. } | ast::TableRef::JsonTable { .. } => (),
        }
    }
    fn body(b: &mut ast::SetExpr, stars: &Stars) {
        match b {
            ast::SetExpr::Select(s) => {
                let at = std::ptr::from_ref(&**s) as usize;
                if let (Some(items), true) = (stars.get(&at), s.items.iter().any(|i| !matches!(i, ast::SelectItem::Expr { .. }))) {
                    s.items.clone_from(items);
                }
                s.from.iter_mut().for_each(|t| table(t, stars))
            }
            ast::SetExpr::Query(q) => query(q, stars),
            ast::SetExpr::SetOp { left, right, .. } => {
                body(left, stars);
                body(right, stars)
            }
            ast::SetExpr::Table(_) | ast::SetExpr::Values(_) => (),
        }
    }
    fn query(q: &mut ast::Query, stars: &Stars) {
        if let Some(w) = &mut q.with {
            w.ctes.iter_mut().for_each(|c| query(&mut c.query, stars));
        }
        body(&mut q.body, stars);
    }
    query(q, stars);
    weald_sql::print::query_of(q, database)
}
