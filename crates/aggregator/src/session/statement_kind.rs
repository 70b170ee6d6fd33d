//! What a statement is, before anything is known of its names.
//!
//! Owns:     nothing.
//! Promises: as MySQL's manual lists them.
//! Never:    looks at the session.

use crate::metrics::Kind;
use weald_sql::ast::{MaintenanceVerb, Statement};

/// What `session_track_state_change` tells of: statements that leave something behind in the session.
pub(super) fn touches_session(s: &Statement) -> bool {
    match s {
        Statement::Use(_) | Statement::Set(_) | Statement::Prepare { .. } | Statement::Deallocate(_) => true,
        Statement::CreateTable(c) => c.temporary,
        Statement::DropTable { temporary, .. } => *temporary,
        _ => false,
    }
}

/// What the server counts it as.
pub(super) fn kind(s: &Statement) -> Kind {
    match s {
        Statement::Select(_) => Kind::Select,
        Statement::Insert(_) => Kind::Insert,
        Statement::Update(_) => Kind::Update,
        Statement::Delete(_) => Kind::Delete,
        Statement::LoadData(_) => Kind::Load,
        Statement::Begin { .. } => Kind::Begin,
        Statement::Commit { .. } => Kind::Commit,
        Statement::Rollback { .. } => Kind::Rollback,
        Statement::CreateDatabase { .. }
        | Statement::AlterDatabase { .. }
        | Statement::DropDatabase { .. }
        | Statement::CreateTable(_)
        | Statement::AlterTable { .. }
        | Statement::DropTable { .. }
        | Statement::RenameTable(_)
        | Statement::Truncate(_)
        | Statement::CreateIndex { .. }
        | Statement::DropIndex { .. }
        | Statement::CreateView(_)
        | Statement::DropView { .. } => Kind::Define,
        Statement::Set(_) => Kind::Set,
        Statement::Show(_) | Statement::Describe { .. } => Kind::Show,
        _ => Kind::Other,
    }
}

/// What no read-only transaction may do, whatever it is done to.
pub(super) fn defines(s: &Statement) -> bool {
    let users = matches!(
        s,
        Statement::CreateUser { .. }
            | Statement::AlterUser { .. }
            | Statement::DropUser { .. }
            | Statement::RenameUser(_)
            | Statement::SetPassword { .. }
            | Statement::Grant { .. }
            | Statement::Revoke { .. }
            | Statement::RevokeAll { .. }
    );
    users || kind(s) == Kind::Define
}

/// MySQL's list (13.3.3): these end the open transaction before they run.
pub(super) fn commits_implicitly(s: &Statement) -> bool {
    match s {
        Statement::CreateTable(c) => !c.temporary,
        Statement::DropTable { temporary, .. } => !temporary,
        Statement::CreateDatabase { .. }
        | Statement::AlterDatabase { .. }
        | Statement::DropDatabase { .. }
        | Statement::AlterTable { .. }
        | Statement::RenameTable(_)
        | Statement::Truncate(_)
        | Statement::CreateIndex { .. }
        | Statement::DropIndex { .. }
        | Statement::CreateView(_)
        | Statement::DropView { .. }
        | Statement::Begin { .. }
        | Statement::LockTables(_)
        | Statement::UnlockTables
        | Statement::CreateUser { .. }
        | Statement::AlterUser { .. }
        | Statement::DropUser { .. }
        | Statement::RenameUser(_)
        | Statement::SetPassword { .. }
        | Statement::Grant { .. }
        | Statement::Revoke { .. }
        | Statement::RevokeAll { .. }
        | Statement::CreateRole { .. }
        | Statement::DropRole { .. }
        | Statement::GrantRole { .. }
        | Statement::RevokeRole { .. }
        | Statement::Flush(_)
        | Statement::FlushTables { .. }
        | Statement::Cluster(_)
        | Statement::SnapshotDatabase(_) => true,
        Statement::TableMaintenance { verb, .. } => !matches!(verb, MaintenanceVerb::Checksum { .. }),
        _ => false,
    }
}
