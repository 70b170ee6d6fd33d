//! SHOW.
//!
//! Owns:     nothing.
//! Promises: what is a query over information_schema runs as one; the rest (SHOW CREATE, GRANTS, WARNINGS, COUNT) is answered from what the session holds.
//! Never:    shows what the user may not see.

use super::{Outcome, Session};
use crate::{mysql_error, show};
use std::sync::Arc;
use weald_catalog::show_create;
use weald_catalog::{Privilege, PrivilegeSet};
use weald_exec::rows::{self, Row};
use weald_plan::query::Column;
use weald_sql::ParseOptions;
use weald_sql::ast::{self, ObjectName, Show, ShowFilter, ShowKind};
use weald_types::{Collation, ColumnId, Fault, SqlMode, SqlType, Value, WarningLevel};

impl Session {
    pub(crate) async fn show(&mut self, s: &Show) -> Result<Outcome, Fault> {
        if let Some(sql) = self.show_as_select(s)? {
            return self.run_internal(&sql).await;
        }
        match &s.kind {
            ShowKind::CreateTable(name) => self.show_create_table(name),
            ShowKind::CreateView(name) => self.show_create_view(name),
            ShowKind::CreateDatabase { name, if_not_exists } => {
                self.must_see_database(name)?;
                let catalog = self.catalog();
                let d = catalog.database(name).ok_or_else(|| Fault::NoSuchDatabase { name: name.clone() })?;
                Ok(table(&["Database", "Create Database"], vec![vec![Value::str(name), Value::str(show_create::database(d, *if_not_exists))]]))
            }
            ShowKind::CreateUser(user) => {
                let account = self.named_account(user)?;
                let catalog = self.catalog();
                let u = catalog
                    .users
                    .get(&account)
                    .ok_or_else(|| Fault::mysql(3162, "HY000", format!("Authorization ID '{}'@'{}' does not exist.", account.0, account.1)))?;
                let hash = String::from_utf8_lossy(&u.auth).into_owned();
                let text = format!(
                    "CREATE USER {}@{} IDENTIFIED WITH {}{} REQUIRE {}{} PASSWORD EXPIRE DEFAULT ACCOUNT {}",
                    show_create::quote(&u.user),
                    show_create::quote(&u.host),
                    show_create::quote_text(&u.plugin),
                    if hash.is_empty() { String::new() } else { format!(" AS {}", show_create::quote_text(&hash)) },
                    if u.require_ssl { "SSL" } else { "NONE" },
                    if u.max_user_connections > 0 { format!(" WITH MAX_USER_CONNECTIONS {}", u.max_user_connections) } else { String::new() },
                    if u.locked { "LOCK" } else { "UNLOCK" }
                );
                Ok(table(&[&format!("CREATE USER for {}@{}", u.user, u.host)], vec![vec![Value::str(text)]]))
            }
            ShowKind::CreateOther { what, name } => Err(Fault::mysql(1305, "42000", format!("{what} {} does not exist", name.name))),
            ShowKind::Grants(user) => {
                let account = match user {
                    Some(u) => self.named_account(u)?,
                    None => (self.user.user.clone(), self.user.host.clone()),
                };
                let catalog = self.catalog();
                let u = catalog.users.get(&account).cloned().ok_or_else(|| {
                    Fault::mysql(1141, "42000", format!("There is no such grant defined for user '{}' on host '{}'", account.0, account.1))
                })?;
                Ok(table(&[&format!("Grants for {}@{}", u.user, u.host)], u.grants().into_iter().map(|g| vec![Value::str(g)]).collect()))
            }
            ShowKind::Warnings { limit } => self.show_warnings(limit.as_ref(), false),
            ShowKind::Errors { limit } => self.show_warnings(limit.as_ref(), true),
            ShowKind::CountWarnings => self.count("@@session.warning_count", false),
            ShowKind::CountErrors => self.count("@@session.error_count", true),
            ShowKind::Privileges => Ok(table(
                &["Privilege", "Context", "Comment"],
                PrivilegeSet::ALL_GLOBAL
                    .iter()
                    .map(|p| {
                        let (context, comment) = p.describe();
                        vec![Value::str(capitals(p.name())), Value::str(context), Value::str(comment)]
                    })
                    .collect(),
            )),
            // There is no binary log: what is shown of it is empty, as in a MySQL server that runs without one.
            ShowKind::MasterStatus | ShowKind::BinaryLogs | ShowKind::SlaveStatus if !self.sees_replication() => Err(Fault::mysql(
                1227,
                "42000",
                "Access denied; you need (at least one of) the SUPER, REPLICATION CLIENT privilege(s) for this operation",
            )),
            ShowKind::MasterStatus => Ok(table(&["File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB", "Executed_Gtid_Set"], Vec::new())),
            ShowKind::BinaryLogs => Err(Fault::mysql(1381, "HY000", "You are not using binary logging")),
            ShowKind::SlaveStatus | ShowKind::Replicas => Ok(table(&["Slave_IO_State"], Vec::new())),
            ShowKind::Profile | ShowKind::ProfileJson => {
                let text = self.last_profile.clone().ok_or_else(|| Fault::mysql(1235, "42000", "Nothing to show: run PROFILE <statement> first"))?;
                Ok(table(&["PROFILE"], text.lines().map(|l| vec![Value::str(l)]).collect()))
            }
            ShowKind::DatabaseStatus(_) => Err(Fault::not_supported("SHOW DATABASE STATUS (SHOW DATABASES EXTENDED tells of all of them)")),
            ShowKind::EngineStatus(engine) => Err(Fault::not_supported(format!("SHOW ENGINE {} STATUS", engine.to_uppercase()))),
            ShowKind::Profiles => Err(Fault::not_supported("SHOW PROFILES (PROFILE <statement> measures one)")),
            ShowKind::GrantsUsing { .. } => Err(Fault::not_supported("SHOW GRANTS … USING: roles")),
            // Those that are a SELECT have been run as one.
            ShowKind::Databases { .. }
            | ShowKind::Aggregators { .. }
            | ShowKind::Leaves { .. }
            | ShowKind::Partitions { .. }
            | ShowKind::Tables { .. }
            | ShowKind::TableStatus { .. }
            | ShowKind::OpenTables { .. }
            | ShowKind::Columns { .. }
            | ShowKind::Index { .. }
            | ShowKind::Variables { .. }
            | ShowKind::Status { .. }
            | ShowKind::ProcessList { .. }
            | ShowKind::Engines
            | ShowKind::Plugins
            | ShowKind::Charset
            | ShowKind::Collation
            | ShowKind::Triggers { .. }
            | ShowKind::Events { .. }
            | ShowKind::ProcedureStatus
            | ShowKind::FunctionStatus
            | ShowKind::PlanCache
            | ShowKind::ClusterStatus => Err(Fault::Internal { incident: "a SHOW that is a query was not run as one".into() }),
        }
    }

    /// The SELECT over information_schema that a SHOW stands for, if it does, once the user is known to see what it speaks of.
    fn show_as_select(&self, s: &Show) -> Result<Option<String>, Fault> {
        match &s.kind {
            ShowKind::Tables { database, .. }
            | ShowKind::TableStatus { database }
            | ShowKind::OpenTables { database }
            | ShowKind::Triggers { database }
            | ShowKind::Events { database } => {
                let name = self.database_of(database.as_deref())?.to_string();
                self.must_see_database(&name)?;
            }
            ShowKind::Columns { table, .. } | ShowKind::Index { table } => self.must_see_table(table)?,
            ShowKind::Partitions { database, .. } if !self.user.sees_cluster() => {
                let name = self.database_of(database.as_deref())?.to_string();
                self.must_see_database(&name)?;
            }
            ShowKind::Aggregators { .. } | ShowKind::Leaves { .. } | ShowKind::ClusterStatus if !self.user.sees_cluster() => {
                self.require(Privilege::ShowMetadata, None)?;
            }
            // Statements of others.
            ShowKind::PlanCache => self.require(Privilege::Process, None)?,
            _ => (),
        }
        let Some(mut q) = show::query(s, self.database.as_deref().unwrap_or("")) else { return Ok(None) };
        if let ShowKind::Columns { table, .. } | ShowKind::Index { table } = &s.kind
            && self.temporary_table(table).is_some()
        {
            q.of_temporary();
        }
        let condition = match &s.filter {
            Some(ShowFilter::Where(e)) => Some(weald_sql::print::expr(e)),
            _ => None,
        };
        // The columns keep MySQL's names; nothing of it depends on the user's sql_mode.
        let filter = if q.like_on.is_empty() && matches!(s.filter, Some(ShowFilter::Like(_))) { None } else { s.filter.as_ref() };
        Ok(Some(q.text(filter, condition.as_deref())))
    }

    /// The columns a SHOW or DESCRIBE will have, for those that prepare it; empty where only running it can tell.
    pub(crate) fn show_columns(&self, statement: &ast::Statement) -> Result<Vec<Column>, Fault> {
        let sql = match statement {
            ast::Statement::Show(s) => self.show_as_select(s)?,
            ast::Statement::Describe { table, column } => Some(self.describe_as_select(table, column.as_deref())?),
            _ => None,
        };
        let Some(sql) = sql else { return Ok(Vec::new()) };
        let query = weald_sql::parse_query(&sql, &weald_sql::ParseOptions { sql_mode: self.internal_mode() })?;
        Ok(self.bind(&sql, &[], |env| weald_plan::bind::bind_query(env, &query))?.columns)
    }

    fn sees_replication(&self) -> bool {
        self.user.may_globally(Privilege::ReplicationClient) || self.user.may_globally(Privilege::Super)
    }

    fn internal_mode(&self) -> weald_types::SqlMode {
        weald_types::SqlMode(self.settings.sql_mode.0 & !(weald_types::SqlMode::ANSI_QUOTES | weald_types::SqlMode::NO_BACKSLASH_ESCAPES))
    }

    /// Runs a SELECT of our own as the user.
    pub(crate) async fn run_internal(&mut self, sql: &str) -> Result<Outcome, Fault> {
        let statement = weald_sql::parse(sql, &weald_sql::ParseOptions { sql_mode: self.internal_mode() })?;
        let ast::Statement::Select(q) = &statement else { return Err(Fault::Internal { incident: format!("SHOW is no query: {sql}") }) };
        self.select(q, sql, &[]).await
    }

    fn named_account(&self, u: &ast::UserName) -> Result<(Box<str>, Box<str>), Fault> {
        let account = if u.user.is_empty() && u.host.is_empty() {
            (self.user.user.clone(), self.user.host.clone())
        } else {
            (u.user.as_str().into(), u.host.as_str().into())
        };
        // MySQL asks for SELECT on its system database; here whoever makes accounts may look at them too.
        let own = account.0 == self.user.user && account.1 == self.user.host;
        if !own && !self.user.may_globally(Privilege::CreateUser) && !self.user.on_database("mysql").has(Privilege::Select) {
            return Err(super::database_denied(&self.user, "mysql"));
        }
        Ok(account)
    }

    fn must_see_database(&self, name: &str) -> Result<(), Fault> {
        if weald_catalog::user::is_information_schema(name) {
            return Ok(());
        }
        if !self.user.sees_database(name) {
            return Err(super::database_denied(&self.user, name));
        }
        if self.catalog().database(name).is_none() {
            return Err(Fault::NoSuchDatabase { name: name.into() });
        }
        Ok(())
    }

    fn must_see_table(&self, t: &ObjectName) -> Result<(), Fault> {
        let d = self.database_of(t.database.as_deref())?;
        if weald_catalog::user::is_information_schema(d) {
            return Ok(());
        }
        let catalog = self.catalog();
        if catalog.database(d).is_none() {
            return Err(Fault::NoSuchDatabase { name: d.into() });
        }
        if self.temporary.find(d, &t.name).is_some() {
            return Ok(());
        }
        if !self.user.sees_table(d, &t.name) {
            return Err(super::table_denied(Privilege::Select, &self.user, &t.name));
        }
        if catalog.table(d, &t.name).is_none() && catalog.view(d, &t.name).is_none() {
            return Err(Fault::NoSuchTable { database: d.into(), table: t.name.clone() });
        }
        Ok(())
    }

    fn show_create_table(&mut self, name: &ObjectName) -> Result<Outcome, Fault> {
        self.must_see_table(name)?;
        let d = self.database_of(name.database.as_deref())?.to_string();
        let catalog = self.catalog();
        let temporary = self.temporary.find(&d, &name.name);
        // Privileges on some of its columns show those columns, not the whole.
        if temporary.is_none() && !weald_catalog::user::is_information_schema(&d) && self.user.on_table(&d, &name.name).is_empty() {
            return Err(super::table_denied(Privilege::Select, &self.user, &name.name));
        }
        let found = temporary.or_else(|| catalog.table(&d, &name.name)).cloned();
        match found {
            Some(t) => {
                let text = show_create::table(&t, self.server.engine.next_auto_increment(&t));
                Ok(table(&["Table", "Create Table"], vec![vec![Value::str(&name.name), Value::str(text)]]))
            }
            None => self.show_create_view(name),
        }
    }

    fn show_create_view(&mut self, name: &ObjectName) -> Result<Outcome, Fault> {
        self.must_see_table(name)?;
        let d = self.database_of(name.database.as_deref())?;
        let catalog = self.catalog();
        let v = catalog.view(d, &name.name).ok_or_else(|| Fault::mysql(1347, "HY000", format!("'{d}.{}' is not VIEW", name.name)))?;
        for needed in [Privilege::Select, Privilege::ShowView] {
            self.require_on_table(needed, d, &name.name)?;
        }
        // Who uses the view's database sees its tables without it.
        let within = self.database.as_deref() == Some(d);
        let query = match weald_sql::parse(v.query.as_bytes(), &ParseOptions { sql_mode: SqlMode::DEFAULT }) {
            Ok(ast::Statement::Select(q)) if within => weald_sql::print::query_within(&q, d).into(),
            Ok(_) | Err(_) => v.query.clone(),
        };
        let row = vec![Value::str(&name.name), Value::str(show_create::view(v, &query)), Value::str("utf8mb4"), Value::str("utf8mb4_general_ci")];
        Ok(table(&["View", "Create View", "character_set_client", "collation_connection"], vec![row]))
    }

    fn show_warnings(&mut self, limit: Option<&ast::Limit>, errors_only: bool) -> Result<Outcome, Fault> {
        self.diagnostic = true;
        let number = |e: &ast::Expr| match e {
            ast::Expr::Literal(ast::Literal::Integer(n)) => *n as usize,
            _ => 0,
        };
        let (skip, take) = limit.map_or((0, usize::MAX), |l| (l.offset.as_ref().map_or(0, number), number(&l.count)));
        let rows = self
            .warnings
            .iter()
            .filter(|w| !errors_only || w.level == WarningLevel::Error)
            .skip(skip)
            .take(take)
            .map(|w| {
                let level = match w.level {
                    WarningLevel::Note => "Note",
                    WarningLevel::Warning => "Warning",
                    WarningLevel::Error => "Error",
                };
                vec![Value::str(level), Value::UInt(mysql_error::code(&w.fault).0 as u64), Value::str(mysql_error::message(&w.fault))]
            })
            .collect();
        Ok(typed_table(&[("Level", text_type()), ("Code", SqlType::bigint_unsigned(false)), ("Message", text_type())], rows))
    }

    fn count(&mut self, name: &str, errors_only: bool) -> Result<Outcome, Fault> {
        self.diagnostic = true;
        Ok(typed_table(&[(name, SqlType::bigint_unsigned(false))], vec![vec![Value::UInt(self.count_warnings(errors_only))]]))
    }

    pub(crate) async fn describe(&mut self, name: &ObjectName, column: Option<&str>) -> Result<Outcome, Fault> {
        let sql = self.describe_as_select(name, column)?;
        self.run_internal(&sql).await
    }

    fn describe_as_select(&self, name: &ObjectName, column: Option<&str>) -> Result<String, Fault> {
        self.must_see_table(name)?;
        let d = self.database_of(name.database.as_deref())?;
        let mut q = show::columns(false, &(show_create::quote_text(d), show_create::quote_text(&name.name)));
        if self.temporary_table(name).is_some() {
            q.of_temporary();
        }
        let filter = column.map(|c| ShowFilter::Like(c.to_string()));
        Ok(q.text(filter.as_ref(), None))
    }
}

fn capitals(name: &str) -> String {
    let mut out = String::new();
    for word in name.split(' ') {
        if !out.is_empty() {
            out.push(' ');
        }
        let mut chars = word.chars();
        out.extend(chars.next());
        out.push_str(&chars.as_str().to_ascii_lowercase());
    }
    out
}

pub(crate) fn text_type() -> SqlType {
    SqlType::varchar(4096, true, Collation::UTF8MB4_GENERAL_CI)
}

/// Rows of text.
pub(crate) fn table(names: &[&str], rows: Vec<Row>) -> Outcome {
    typed_table(&names.iter().map(|n| (*n, text_type())).collect::<Vec<_>>(), rows)
}

pub(crate) fn typed_table(columns: &[(&str, SqlType)], rows: Vec<Row>) -> Outcome {
    let columns: Arc<[Column]> = columns
        .iter()
        .enumerate()
        .map(|(i, (name, ty))| Column { id: ColumnId::new(i as u32), ty: ty.clone(), name: Arc::from(*name), origin: None })
        .collect();
    Outcome::Rows { columns, rows: rows::ready(rows) }
}
