//! Accounts and what they may do.
//!
//! Owns:     nothing.
//! Promises: one rule for every statement: a privilege held globally, on the database, on the table or on the column suffices, in that order.
//! Never:    checks a password (`aggregator::auth`).

use crate::{Privilege, PrivilegeSet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserDef {
    pub user: Box<str>,
    /// '%' and '_' are patterns; also an address or `address/netmask`.
    pub host: Box<str>,
    /// `caching_sha2_password` or `mysql_native_password`.
    pub plugin: Box<str>,
    /// As mysql.user keeps it; empty for no password.
    pub auth: Vec<u8>,
    pub locked: bool,
    pub require_ssl: bool,
    pub max_user_connections: u64,
    pub global: PrivilegeSet,
    /// By database name; `%` and `_` in it are patterns, as MySQL has it.
    pub databases: BTreeMap<Box<str>, PrivilegeSet>,
    pub tables: BTreeMap<(Box<str>, Box<str>), TableGrant>,
    /// Microseconds since 1970.
    pub password_changed: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableGrant {
    pub table: PrivilegeSet,
    pub columns: BTreeMap<Box<str>, PrivilegeSet>,
}

impl UserDef {
    pub fn new(user: &str, host: &str) -> Self {
        Self {
            user: user.into(),
            host: host.into(),
            plugin: "caching_sha2_password".into(),
            auth: Vec::new(),
            locked: false,
            require_ssl: false,
            max_user_connections: 0,
            global: PrivilegeSet::NONE,
            databases: BTreeMap::new(),
            tables: BTreeMap::new(),
            password_changed: 0,
        }
    }

    pub fn may_globally(&self, p: Privilege) -> bool {
        self.global.has(p)
    }

    /// What is held on the whole of `database`.
    pub fn on_database(&self, database: &str) -> PrivilegeSet {
        if is_information_schema(database) {
            return self.global.union(PrivilegeSet::of(&[Privilege::Select]));
        }
        self.global.union(self.granted_on_database(database))
    }

    /// Without what is held globally.
    fn granted_on_database(&self, database: &str) -> PrivilegeSet {
        let matching = self.databases.iter().filter(|(pattern, _)| matches_pattern(database, pattern));
        matching.fold(PrivilegeSet::NONE, |all, (_, set)| all.union(*set))
    }

    /// What is held on the whole of `table`.
    pub fn on_table(&self, database: &str, table: &str) -> PrivilegeSet {
        self.on_database(database).union(self.granted_on_table(database, table))
    }

    fn granted_on_table(&self, database: &str, table: &str) -> PrivilegeSet {
        if self.tables.is_empty() {
            return PrivilegeSet::NONE;
        }
        self.tables.get(&(database.into(), table.into())).map_or(PrivilegeSet::NONE, |g| g.table)
    }

    fn granted_on_column(&self, database: &str, table: &str, column: &str) -> PrivilegeSet {
        let granted = self
            .tables
            .get(&(database.into(), table.into()))
            .and_then(|g| g.columns.iter().find(|(name, _)| name.eq_ignore_ascii_case(column)).map(|(_, set)| *set));
        granted.unwrap_or_default()
    }

    pub fn on_column(&self, database: &str, table: &str, column: &str) -> PrivilegeSet {
        self.on_table(database, table).union(self.granted_on_column(database, table, column))
    }

    /// SHOW GRANTS, a line each.
    pub fn grants(&self) -> Vec<String> {
        let account = format!("`{}`@`{}`", self.user.replace('`', "``"), self.host.replace('`', "``"));
        let line = |set: PrivilegeSet, all: PrivilegeSet, on: String| {
            let option = if set.has(Privilege::GrantOption) { " WITH GRANT OPTION" } else { "" };
            let rest = set.minus(PrivilegeSet::of(&[Privilege::GrantOption]));
            let what = if rest.is_empty() {
                "USAGE".to_string()
            } else if all.is_subset_of(rest) {
                "ALL PRIVILEGES".to_string()
            } else {
                rest.iter().map(Privilege::name).collect::<Vec<_>>().join(", ")
            };
            format!("GRANT {what} ON {on} TO {account}{option}")
        };
        let mut lines = vec![line(self.global, PrivilegeSet::ALL_GLOBAL, "*.*".into())];
        lines.extend(self.databases.iter().map(|(db, set)| line(*set, PrivilegeSet::ALL_DATABASE, format!("`{db}`.*"))));
        for ((db, table), grant) in &self.tables {
            let mut parts: Vec<String> =
                grant.table.minus(PrivilegeSet::of(&[Privilege::GrantOption])).iter().map(|p| p.name().to_string()).collect();
            for p in PrivilegeSet::COLUMN.iter() {
                let columns: Vec<String> = grant.columns.iter().filter(|(_, set)| set.has(p)).map(|(c, _)| format!("`{c}`")).collect();
                if !columns.is_empty() {
                    parts.push(format!("{} ({})", p.name(), columns.join(", ")));
                }
            }
            if PrivilegeSet::ALL_TABLE.is_subset_of(grant.table) {
                parts = vec!["ALL PRIVILEGES".into()];
            }
            if parts.is_empty() {
                parts.push("USAGE".into());
            }
            let option = if grant.table.has(Privilege::GrantOption) { " WITH GRANT OPTION" } else { "" };
            lines.push(format!("GRANT {} ON `{db}`.`{table}` TO {account}{option}", parts.join(", ")));
        }
        lines
    }
}

/// An account as one session has it. As in MySQL (manual, "When Privilege Changes Take Effect") what is held globally is settled at the login, what is held
/// on the current database when it became that, and everything else is looked up for each statement.
#[derive(Clone, Debug)]
pub struct Access {
    account: Arc<UserDef>,
    global: PrivilegeSet,
    current: Option<(Box<str>, PrivilegeSet)>,
}

impl std::ops::Deref for Access {
    type Target = UserDef;
    fn deref(&self) -> &UserDef {
        &self.account
    }
}

impl Access {
    pub fn new(account: Arc<UserDef>) -> Self {
        Self { global: account.global, account, current: None }
    }
    pub fn account(&self) -> &Arc<UserDef> {
        &self.account
    }
    /// The account as it is defined now.
    pub fn set_account(&mut self, account: Arc<UserDef>) {
        self.account = account;
    }
    pub fn use_database(&mut self, database: &str) {
        self.current = Some((database.into(), self.account.granted_on_database(database)));
    }

    pub fn may_globally(&self, p: Privilege) -> bool {
        self.global.has(p)
    }
    /// Whether the cluster may be looked at: its nodes, and the partitions of every database.
    pub fn sees_cluster(&self) -> bool {
        [Privilege::ShowMetadata, Privilege::Cluster, Privilege::Super].iter().any(|p| self.global.has(*p))
    }
    pub fn on_database(&self, database: &str) -> PrivilegeSet {
        if is_information_schema(database) {
            return self.global.union(PrivilegeSet::of(&[Privilege::Select]));
        }
        match &self.current {
            Some((name, set)) if **name == *database => self.global.union(*set),
            Some(_) | None => self.global.union(self.account.granted_on_database(database)),
        }
    }
    pub fn on_table(&self, database: &str, table: &str) -> PrivilegeSet {
        self.on_database(database).union(self.account.granted_on_table(database, table))
    }
    pub fn on_column(&self, database: &str, table: &str, column: &str) -> PrivilegeSet {
        self.on_table(database, table).union(self.account.granted_on_column(database, table, column))
    }
    /// Whether it is held on any column of the table, if not on the whole.
    pub fn on_some_column(&self, database: &str, table: &str, p: Privilege) -> bool {
        let grant = self.account.tables.get(&(database.into(), table.into()));
        grant.is_some_and(|g| g.columns.values().any(|set| set.has(p)))
    }
    /// Whether SHOW DATABASES lists it: with any privilege on it, all global ones among them.
    pub fn sees_database(&self, database: &str) -> bool {
        !self.global.is_empty() || self.enters_database(database)
    }
    /// Whether USE accepts it: with a privilege that can be held on a database.
    pub fn enters_database(&self, database: &str) -> bool {
        is_information_schema(database)
            || !self.on_database(database).intersection(PrivilegeSet::ALL_DATABASE).is_empty()
            || !self.account.granted_on_database(database).is_empty()
            || self.account.tables.keys().any(|(db, _)| **db == *database)
    }
    /// Whether SHOW TABLES lists it: with a privilege that can be held on a table.
    pub fn sees_table(&self, database: &str, table: &str) -> bool {
        !self.on_table(database, table).intersection(PrivilegeSet::ALL_TABLE).is_empty()
            || self.account.tables.contains_key(&(database.into(), table.into()))
    }
}

pub fn is_information_schema(database: &str) -> bool {
    database.eq_ignore_ascii_case("information_schema")
}

/// MySQL's database patterns: `%` any run, `_` any one character, `\` escapes. Case-sensitive, as database names are.
pub fn matches_pattern(name: &str, pattern: &str) -> bool {
    let (name, pattern): (Vec<char>, Vec<char>) = (name.chars().collect(), pattern.chars().collect());
    // The classic two-pointer match: linear but for the runs of `%`, which it retries from one place only.
    let (mut n, mut p, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('%') => {
                star = Some((p, n));
                p += 1;
            }
            Some('\\') if pattern.get(p + 1) == Some(&name[n]) => {
                p += 2;
                n += 1;
            }
            Some('_') => {
                p += 1;
                n += 1;
            }
            Some(c) if *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_grant() {
        for (name, pattern, expected) in [
            ("shop", "shop", true),
            ("shop", "sh%", true),
            ("shop", "s_op", true),
            ("shop", "%p", true),
            ("shop", "%x%", false),
            ("a_b", "a\\_b", true),
            ("axb", "a\\_b", false),
            ("", "%", true),
            ("abcabc", "%abc", true),
        ] {
            assert_eq!(matches_pattern(name, pattern), expected, "{name} against {pattern}");
        }
    }

    #[test]
    fn a_column_grant_suffices_for_its_column_only() {
        let mut u = UserDef::new("a", "%");
        let grant = TableGrant { table: PrivilegeSet::NONE, columns: [("x".into(), PrivilegeSet::of(&[Privilege::Select]))].into() };
        u.tables.insert(("d".into(), "t".into()), grant);
        assert!(u.on_column("d", "t", "X").has(Privilege::Select));
        assert!(!u.on_column("d", "t", "y").has(Privilege::Select));
        assert_eq!(u.grants()[1], "GRANT SELECT (`x`) ON `d`.`t` TO `a`@`%`");
    }
}
