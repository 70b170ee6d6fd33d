//! What the session's user may do.
//!
//! Owns:     nothing; asks the account that the session runs as.
//! Promises: the error is the one MySQL gives, and names what is missing.
//! Never:    grants anything: `users` proposes that.

use super::Session;
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

    /// What a bound statement needs. A view is read with its definer's privileges.
    pub(crate) fn check(&self, needs: &[Need]) -> Result<(), Fault> {
        for n in needs {
            let definer = n.definer.as_ref().and_then(|d| self.catalog().users.get(d).cloned()).map(Access::new);
            let user = definer.as_ref().unwrap_or(&self.user);
            let temporary = self.temporary.find(&n.database, &n.table).is_some();
            if n.locks && !temporary {
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
            if temporary || user.on_table(&n.database, &n.table).has(n.privilege) {
                continue;
            }
            if n.columns.is_empty() {
                return Err(table_denied(n.privilege, user, &n.table));
            }
            for c in &n.columns {
                if !user.on_column(&n.database, &n.table, c).has(n.privilege) {
                    // Who holds it on no column at all is refused the table.
                    if !user.on_some_column(&n.database, &n.table, n.privilege) {
                        return Err(table_denied(n.privilege, user, &n.table));
                    }
                    let message = format!(
                        "{} command denied to user '{}'@'{}' for column '{c}' in table '{}'",
                        n.privilege.name(),
                        user.user,
                        user.host,
                        n.table
                    );
                    return Err(Fault::mysql(1143, "42000", message));
                }
            }
        }
        Ok(())
    }
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
