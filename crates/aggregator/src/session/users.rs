//! CREATE USER, GRANT and their kin.
//!
//! Owns:     nothing; computes new definitions of accounts and proposes them.
//! Promises: several accounts in one statement change together or not at all; a change computed from an old catalogue is computed again.
//! Never:    stores a password: only what the authentication plugin makes of it.

use super::{Outcome, Session};
use crate::auth;
use std::sync::Arc;
use weald_catalog::user::TableGrant;
use weald_catalog::{Command, Privilege, PrivilegeSet, UserDef};
use weald_sql::ast::{self, GrantLevel, Statement, UserName, UserOptions, UserSpec};
use weald_types::{Fault, WarningLevel};

type Account = (Box<str>, Box<str>);

impl Session {
    pub(crate) async fn change_users(&mut self, statement: &Statement) -> Result<Outcome, Fault> {
        // A concurrent change of the catalogue makes PutUsers refuse; a few rounds settle any reasonable crowd.
        for _ in 0..16 {
            let command = match self.user_command(statement)? {
                Some(c) => c,
                None => return Outcome::ok(),
            };
            match self.server.propose(command).await {
                Err(Fault::SchemaChanged) => continue,
                Err(f) => return Err(f),
                Ok(_) => {
                    self.refresh_user();
                    return Outcome::ok();
                }
            }
        }
        Err(Fault::SchemaChanged)
    }

    /// The account may have changed since the last statement.
    pub(crate) fn refresh_user(&mut self) {
        let catalog = self.catalog();
        if std::mem::replace(&mut self.user_as_of, catalog.version) == catalog.version {
            return;
        }
        // One that was dropped keeps what it had until the connection ends, as in MySQL.
        let known = catalog.users.get(&(self.user.user.clone(), self.user.host.clone()));
        if let Some(u) = known.filter(|u| !Arc::ptr_eq(u, self.user.account())) {
            Arc::make_mut(&mut self.user).set_account(u.clone());
        }
    }

    fn user_command(&mut self, statement: &Statement) -> Result<Option<Command>, Fault> {
        let catalog = self.catalog();
        let find = |a: &Account| catalog.users.get(a).map(|u| UserDef::clone(u));
        match statement {
            Statement::CreateUser { if_not_exists, users, options } => {
                self.require(Privilege::CreateUser, None)?;
                let mut made = Vec::new();
                for spec in users {
                    let account = self.account(&spec.user);
                    if find(&account).is_some() {
                        let fault = operation("CREATE USER", &account);
                        if *if_not_exists {
                            self.note(Fault::mysql(3163, "HY000", format!("Authorization ID '{}'@'{}' already exists.", account.0, account.1)));
                            continue;
                        }
                        return Err(fault);
                    }
                    let mut u = UserDef::new(&account.0, &account.1);
                    self.authenticate_by(&mut u, spec)?;
                    self.apply_options(&mut u, options)?;
                    made.push(u);
                }
                Ok((!made.is_empty()).then_some(Command::CreateUsers { users: made }))
            }
            Statement::AlterUser { if_exists, users, options } => {
                let mut changed = Vec::new();
                for spec in users {
                    let account = self.account(&spec.user);
                    if !self.is_self(&account) {
                        self.require(Privilege::CreateUser, None)?;
                    }
                    let Some(mut u) = find(&account) else {
                        if *if_exists {
                            self.note(Fault::mysql(3162, "HY000", format!("Authorization ID '{}'@'{}' does not exist.", account.0, account.1)));
                            continue;
                        }
                        return Err(operation("ALTER USER", &account));
                    };
                    self.authenticate_by(&mut u, spec)?;
                    self.apply_options(&mut u, options)?;
                    changed.push(u);
                }
                Ok((!changed.is_empty()).then_some(Command::PutUsers { expected: catalog.version, users: changed }))
            }
            Statement::DropUser { if_exists, users } => {
                self.require(Privilege::CreateUser, None)?;
                let mut gone = Vec::new();
                for name in users {
                    let account = self.account(name);
                    if find(&account).is_none() {
                        if *if_exists {
                            self.note(Fault::mysql(3162, "HY000", format!("Authorization ID '{}'@'{}' does not exist.", account.0, account.1)));
                            continue;
                        }
                        return Err(operation("DROP USER", &account));
                    }
                    gone.push(account);
                }
                Ok((!gone.is_empty()).then_some(Command::DropUsers { users: gone }))
            }
            Statement::RenameUser(moves) => {
                self.require(Privilege::CreateUser, None)?;
                Ok(Some(Command::RenameUsers { moves: moves.iter().map(|(a, b)| (self.account(a), self.account(b))).collect() }))
            }
            Statement::SetPassword { user, password } => {
                let account = match user {
                    Some(u) => self.account(u),
                    None => (self.user.user.clone(), self.user.host.clone()),
                };
                if !self.is_self(&account) {
                    self.require(Privilege::CreateUser, None)?;
                }
                let mut u = find(&account).ok_or_else(|| Fault::mysql(1133, "42000", "Can't find any matching row in the user table"))?;
                u.auth = auth::store_password(&u.plugin, password, self.server.random())?;
                u.password_changed = self.server.now_micros() as u64;
                Ok(Some(Command::PutUsers { expected: catalog.version, users: vec![u] }))
            }
            Statement::Grant { privileges, on, to, with_grant_option } => {
                let mut changed = Vec::new();
                for spec in to {
                    let account = self.account(&spec.user);
                    if spec.auth.is_some() {
                        return Err(Fault::not_supported("GRANT … IDENTIFIED BY (use CREATE USER)"));
                    }
                    let mut u = find(&account).ok_or_else(|| Fault::mysql(1410, "42000", "You are not allowed to create a user with GRANT"))?;
                    self.change_grants(&mut u, privileges, on, *with_grant_option, true)?;
                    changed.push(u);
                }
                Ok(Some(Command::PutUsers { expected: catalog.version, users: changed }))
            }
            Statement::Revoke { privileges, on, from } => {
                let mut changed = Vec::new();
                for name in from {
                    let account = self.account(name);
                    let mut u = find(&account).ok_or_else(|| no_such_grant(&account))?;
                    self.change_grants(&mut u, privileges, on, false, false)?;
                    changed.push(u);
                }
                Ok(Some(Command::PutUsers { expected: catalog.version, users: changed }))
            }
            Statement::RevokeAll { from } => {
                self.require(Privilege::CreateUser, None)?;
                let mut changed = Vec::new();
                for name in from {
                    let account = self.account(name);
                    let mut u = find(&account).ok_or_else(|| operation("REVOKE", &account))?;
                    u.global = PrivilegeSet::NONE;
                    u.databases.clear();
                    u.tables.clear();
                    changed.push(u);
                }
                Ok(Some(Command::PutUsers { expected: catalog.version, users: changed }))
            }
            _ => Err(Fault::not_supported("this statement about users")),
        }
    }

    /// CURRENT_USER stands as an empty name and host.
    fn account(&self, n: &UserName) -> Account {
        if n.user.is_empty() && n.host.is_empty() {
            (self.user.user.clone(), self.user.host.clone())
        } else {
            (n.user.as_str().into(), n.host.to_ascii_lowercase().into())
        }
    }

    fn is_self(&self, a: &Account) -> bool {
        a.0 == self.user.user && a.1 == self.user.host
    }

    fn authenticate_by(&self, u: &mut UserDef, spec: &UserSpec) -> Result<(), Fault> {
        let Some(a) = &spec.auth else { return Ok(()) };
        if let Some(plugin) = &a.plugin {
            if !auth::PLUGINS.contains(&plugin.as_str()) {
                return Err(Fault::mysql(1524, "HY000", format!("Plugin '{plugin}' is not loaded")));
            }
            u.plugin = plugin.as_str().into();
        }
        match (&a.password, &a.hash) {
            (Some(p), _) => u.auth = auth::store_password(&u.plugin, p, self.server.random())?,
            (None, Some(hash)) => {
                if !auth::is_stored_password(&u.plugin, hash) {
                    return Err(Fault::mysql(1827, "HY000", "The password hash doesn't have the expected format."));
                }
                u.auth = hash.clone();
            }
            (None, None) => u.auth = Vec::new(),
        }
        u.password_changed = self.server.now_micros() as u64;
        Ok(())
    }

    fn apply_options(&self, u: &mut UserDef, o: &UserOptions) -> Result<(), Fault> {
        if o.password_expire {
            return Err(Fault::not_supported("PASSWORD EXPIRE"));
        }
        u.require_ssl = o.require_ssl.unwrap_or(u.require_ssl);
        u.locked = o.account_locked.unwrap_or(u.locked);
        u.max_user_connections = o.max_user_connections.unwrap_or(u.max_user_connections);
        for ignored in &o.ignored {
            self.statement().warn(WarningLevel::Warning, Fault::mysql(1235, "42000", format!("'{ignored}' has no effect here")));
        }
        Ok(())
    }

    /// Adds or takes `privileges` at `level`; whoever grants must hold them with GRANT OPTION.
    fn change_grants(&self, u: &mut UserDef, privileges: &[ast::Privilege], level: &GrantLevel, with_option: bool, add: bool) -> Result<(), Fault> {
        let (database, table) = match level {
            GrantLevel::Global => (None, None),
            GrantLevel::Database(d) => (Some(d.clone()), None),
            GrantLevel::CurrentDatabase => (Some(self.database_of(None)?.to_string()), None),
            GrantLevel::Table(t) => (Some(self.database_of(t.database.as_deref())?.to_string()), Some(t.name.clone())),
        };
        let all = match (&database, &table) {
            (None, _) => PrivilegeSet::ALL_GLOBAL,
            (_, None) => PrivilegeSet::ALL_DATABASE,
            _ => PrivilegeSet::ALL_TABLE,
        };
        if let (Some(d), Some(t)) = (&database, &table) {
            let catalog = self.catalog();
            // With CREATE among them the table may come later.
            let may_create = privileges.iter().any(|p| matches!(p.name.as_str(), "ALL" | "CREATE"));
            if add && !may_create && catalog.table(d, t).is_none() && catalog.view(d, t).is_none() {
                return Err(Fault::NoSuchTable { database: d.clone(), table: t.clone() });
            }
        }
        let held = match (&database, &table) {
            (None, _) => self.user.global,
            (Some(d), None) => self.user.on_database(d),
            (Some(d), Some(t)) => self.user.on_table(d, t),
        };
        let mut whole = PrivilegeSet::NONE;
        for p in privileges {
            let set = match p.name.as_str() {
                "ALL" => all,
                "USAGE" => PrivilegeSet::NONE,
                name => PrivilegeSet::of(&[PrivilegeSet::by_name(name)
                    .ok_or_else(|| Fault::mysql(3619, "HY000", format!("Illegal privilege level specified for {name}")))?]),
            };
            let option = PrivilegeSet::of(&[Privilege::GrantOption]);
            if !set.minus(option).is_subset_of(all) {
                return Err(Fault::mysql(1221, "HY000", "Incorrect usage of DB GRANT and GLOBAL PRIVILEGES"));
            }
            let may_pass_on = held.has(Privilege::GrantOption) && set.is_subset_of(held);
            if !self.user.may_globally(Privilege::Super) && !may_pass_on {
                let on = match (&database, &table) {
                    (Some(d), Some(t)) => return Err(super::table_denied(Privilege::GrantOption, &self.user, &format!("{d}.{t}"))),
                    (Some(d), None) => d.clone(),
                    _ => String::new(),
                };
                return Err(if on.is_empty() {
                    Fault::mysql(1045, "28000", format!("Access denied for user '{}'@'{}' (using password: YES)", self.user.user, self.user.host))
                } else {
                    super::database_denied(&self.user, &on)
                });
            }
            if p.columns.is_empty() {
                whole = whole.union(set);
                continue;
            }
            let (Some(d), Some(t)) = (&database, &table) else {
                return Err(Fault::mysql(
                    1144,
                    "42000",
                    "Illegal GRANT/REVOKE command; please consult the manual to see which privileges can be used",
                ));
            };
            if !set.is_subset_of(PrivilegeSet::COLUMN) {
                return Err(Fault::mysql(1221, "HY000", "Incorrect usage of COLUMN GRANT and NON-COLUMN PRIVILEGES"));
            }
            let grant = u.tables.entry((d.as_str().into(), t.as_str().into())).or_default();
            for c in &p.columns {
                if add && self.catalog().table(d, t).is_some_and(|def| def.column(c).is_none()) {
                    return Err(Fault::NoSuchColumn { column: c.clone(), clause: "field list".into() });
                }
                let slot = grant.columns.entry(c.to_lowercase().into()).or_default();
                *slot = if add { slot.union(set) } else { slot.minus(set) };
            }
            grant.columns.retain(|_, set| !set.is_empty());
        }
        if with_option {
            whole = whole.union(PrivilegeSet::of(&[Privilege::GrantOption]));
        }
        let change = |slot: &mut PrivilegeSet| *slot = if add { slot.union(whole) } else { slot.minus(whole) };
        match (database, table) {
            (None, _) => change(&mut u.global),
            (Some(d), None) => {
                if !add && !u.databases.contains_key(d.as_str()) {
                    return Err(no_such_grant(&(u.user.clone(), u.host.clone())));
                }
                change(u.databases.entry(d.as_str().into()).or_default());
                u.databases.retain(|_, set| !set.is_empty());
            }
            (Some(d), Some(t)) => {
                if !add && !u.tables.contains_key(&(d.as_str().into(), t.as_str().into())) {
                    let text = format!("There is no such grant defined for user '{}' on host '{}' on table '{t}'", u.user, u.host);
                    return Err(Fault::mysql(1147, "42000", text));
                }
                change(&mut u.tables.entry((d.as_str().into(), t.as_str().into())).or_default().table);
                u.tables.retain(|_, g: &mut TableGrant| !g.table.is_empty() || !g.columns.is_empty());
            }
        }
        Ok(())
    }
}

fn operation(what: &str, a: &Account) -> Fault {
    Fault::mysql(1396, "HY000", format!("Operation {what} failed for '{}'@'{}'", a.0, a.1))
}
fn no_such_grant(a: &Account) -> Fault {
    Fault::mysql(1141, "42000", format!("There is no such grant defined for user '{}' on host '{}'", a.0, a.1))
}
