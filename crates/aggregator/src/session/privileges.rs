//! What the session's user may do.
//!
//! Owns:     nothing; asks the account that the session runs as.
//! Promises: the error is the one MySQL gives, and names what is missing.
//! Never:    grants anything: `users` proposes that.

use super::Session;
use std::sync::Arc;
use weald_catalog::{Access, Privilege, UserDef};
use weald_plan::Need;
use weald_types::Fault;

impl Session {
    /// A global privilege, or one on `database`.
    pub(crate) fn require(&self, p: Privilege, database: Option<&str>) -> Result<(), Fault> {
        match database {
            None if self.user.may_globally(p) || self.user.may_globally(Privilege::Super) && is_admin(p) => Ok(()),
            None => Err(Fault::mysql(
                1227,
                "42000",
                format!("Access denied; you need (at least one of) the {} privilege(s) for this operation", p.name()),
            )),
            Some(d) if self.user.on_database(d).has(p) => Ok(()),
            Some(d) => Err(database_denied(&self.user, d)),
        }
    }

    pub(crate) fn require_on_table(&self, p: Privilege, database: &str, table: &str) -> Result<(), Fault> {
        if self.user.on_table(database, table).has(p) { Ok(()) } else { Err(table_denied(p, &self.user, table)) }
    }

    /// What a bound statement needs. A view is read with its definer's privileges, or with those of whoever reads it, as it was defined.
    pub(crate) fn check(&self, needs: &[Need]) -> Result<(), Fault> {
        for n in needs {
            let definer;
            let user = match &n.definer {
                None => &*self.user,
                Some(account) => {
                    definer = Access::new(self.definer(account).ok_or_else(|| no_definer(account))?);
                    &definer
                }
            };
            if let Err(refused) = self.held(n, user, needs) {
                // What a view reads is not told to those who may only read the view.
                return Err(n.view.as_ref().map_or(refused, broken_view));
            }
        }
        Ok(())
    }

    /// The account that a view's definer is. A dump of another server says 'root'@'localhost' where ours is 'root'@'%': what counts is by which account that
    /// user would come in.
    pub(crate) fn definer(&self, (user, host): &(Box<str>, Box<str>)) -> Option<Arc<UserDef>> {
        crate::auth::find_account(&self.catalog(), user, host).filter(|found| found.user == *user)
    }

    fn held(&self, n: &Need, user: &Access, all: &[Need]) -> Result<(), Fault> {
        let temporary = self.temporary.find(&n.database, &n.table).is_some();
        if temporary {
            return Ok(());
        }
        if n.locks {
            let one_of = [Privilege::Update, Privilege::Delete, Privilege::LockTables];
            let held = user.on_table(&n.database, &n.table);
            if !one_of.iter().any(|p| held.has(*p) || user.on_some_column(&n.database, &n.table, *p)) {
                return Err(Fault::mysql(
                    1142,
                    "42000",
                    format!("SELECT with locking clause command denied to user '{}'@'{}' for table '{}'", user.user, user.host, n.table),
                ));
            }
        }
        if user.on_table(&n.database, &n.table).has(n.privilege) {
            return Ok(());
        }
        let some = user.on_some_column(&n.database, &n.table, n.privilege);
        if n.columns.is_empty() {
            // To know that there are rows, SELECT on any column is enough.
            return if some && n.privilege == Privilege::Select { Ok(()) } else { Err(table_denied(n.privilege, user, &n.table)) };
        }
        // Whoever holds it on no column at all is refused the table; but not where the table was entered by another privilege, to change it.
        let entered = n.privilege == Privilege::Select
            && all.iter().any(|o| o.privilege != Privilege::Select && (&o.database, &o.table, &o.view) == (&n.database, &n.table, &n.view));
        if !some && !entered {
            return Err(table_denied(n.privilege, user, &n.table));
        }
        match n.columns.iter().find(|c| !user.on_column(&n.database, &n.table, c).has(n.privilege)) {
            None => Ok(()),
            Some(c) => {
                let (privilege, table) = (n.privilege.name(), &n.table);
                let message = format!("{privilege} command denied to user '{}'@'{}' for column '{c}' in table '{table}'", user.user, user.host);
                Err(Fault::mysql(1143, "42000", message))
            }
        }
    }

    /// EXPLAIN tells how a view is made: that is for those who may see its text and read the tables under it.
    pub(crate) fn check_explained(&self, needs: &[Need]) -> Result<(), Fault> {
        self.check(needs)?;
        let may_see = |n: &Need, (database, view): &(Box<str>, Box<str>)| {
            let reads = self.user.on_table(&n.database, &n.table).has(Privilege::Select)
                || self.user.on_some_column(&n.database, &n.table, Privilege::Select);
            reads && self.user.on_table(database, view).has(Privilege::ShowView)
        };
        match needs.iter().any(|n| n.view.as_ref().is_some_and(|v| !may_see(n, v))) {
            true => Err(Fault::mysql(1345, "HY000", "EXPLAIN/SHOW can not be issued; lacking privileges for underlying table")),
            false => Ok(()),
        }
    }
}

/// 1449
pub(super) fn no_definer((user, host): &(Box<str>, Box<str>)) -> Fault {
    Fault::mysql(1449, "HY000", format!("The user specified as a definer ('{user}'@'{host}') does not exist"))
}

/// 1356
fn broken_view((database, view): &(Box<str>, Box<str>)) -> Fault {
    let what = "references invalid table(s) or column(s) or function(s) or definer/invoker of view lack rights to use them";
    Fault::mysql(1356, "HY000", format!("View '{database}.{view}' {what}"))
}

fn is_admin(p: Privilege) -> bool {
    matches!(p, Privilege::Cluster | Privilege::Backup | Privilege::ShowMetadata | Privilege::Reload | Privilege::Process)
}

pub(super) fn table_denied(p: Privilege, user: &UserDef, table: &str) -> Fault {
    Fault::mysql(1142, "42000", format!("{} command denied to user '{}'@'{}' for table '{table}'", p.name(), user.user, user.host))
}

pub(super) fn database_denied(user: &UserDef, database: &str) -> Fault {
    Fault::mysql(1044, "42000", format!("Access denied for user '{}'@'{}' to database '{database}'", user.user, user.host))
}
