//! The syntax tree: what was written, before names mean anything.
//!
//! Owns:     its text.
//! Promises: every form the parser accepts is here in full; nothing is dropped on the way.
//! Never:    resolves a name or a type.

mod change;
mod cluster;
mod define;
mod expr;
mod query;
mod session;
mod show;

pub use change::*;
pub use cluster::*;
pub use define::*;
pub use expr::*;
pub use query::*;
pub use session::*;
pub use show::*;

/// A half-open range of bytes of the statement's text. MySQL names an unaliased select column by its text, and errors quote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

/// An identifier as written, without its quotes.
pub type Ident = String;

/// `[database.]name`
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectName {
    pub database: Option<Ident>,
    pub name: Ident,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    // --- queries and data
    Select(Box<Query>),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
    LoadData(Box<LoadData>),
    /// `TABLE t`, `VALUES ROW(...)` arrive as [`Statement::Select`].
    Do(Vec<Expr>),
    Call {
        name: ObjectName,
        args: Vec<Expr>,
    },
    // --- definitions
    CreateDatabase {
        name: Ident,
        if_not_exists: bool,
        options: DatabaseOptions,
    },
    AlterDatabase {
        name: Option<Ident>,
        options: DatabaseOptions,
    },
    DropDatabase {
        name: Ident,
        if_exists: bool,
    },
    CreateTable(Box<CreateTable>),
    AlterTable {
        name: ObjectName,
        actions: Vec<AlterAction>,
    },
    DropTable {
        names: Vec<ObjectName>,
        if_exists: bool,
        temporary: bool,
        cascade: bool,
    },
    RenameTable(Vec<(ObjectName, ObjectName)>),
    Truncate(ObjectName),
    CreateIndex {
        table: ObjectName,
        index: IndexDef,
        if_not_exists: bool,
        /** as written */
        algorithm: Option<String>,
        /** as written */
        lock: Option<String>,
    },
    DropIndex {
        table: ObjectName,
        name: Ident,
        if_exists: bool,
        /** as written */
        algorithm: Option<String>,
        /** as written */
        lock: Option<String>,
    },
    CreateView(Box<CreateView>),
    DropView {
        names: Vec<ObjectName>,
        if_exists: bool,
    },
    /// CREATE PROCEDURE / FUNCTION / TRIGGER / EVENT …: recognised so that the refusal names the feature.
    Unsupported {
        feature: String,
    },
    // --- transactions
    Begin {
        read_only: Option<bool>,
        consistent_snapshot: bool,
    },
    /// `None`: the statement does not say; completion_type does.
    Commit {
        chain: Option<bool>,
        release: Option<bool>,
    },
    Rollback {
        chain: Option<bool>,
        release: Option<bool>,
    },
    Savepoint(Ident),
    RollbackTo(Ident),
    ReleaseSavepoint(Ident),
    SetTransaction {
        scope: VarScope,
        isolation: Option<Isolation>,
        read_only: Option<bool>,
    },
    LockTables(Vec<(ObjectName, Option<Ident>, TableLock)>),
    UnlockTables,
    // --- session
    Use(Ident),
    Set(Vec<SetItem>),
    Prepare {
        name: Ident,
        source: PrepareSource,
    },
    Execute {
        name: Ident,
        using: Vec<Ident>,
    },
    Deallocate(Ident),
    Kill {
        query_only: bool,
        id: Expr,
    },
    // --- users
    CreateUser {
        if_not_exists: bool,
        users: Vec<UserSpec>,
        options: UserOptions,
    },
    AlterUser {
        if_exists: bool,
        users: Vec<UserSpec>,
        options: UserOptions,
    },
    DropUser {
        if_exists: bool,
        users: Vec<UserName>,
    },
    RenameUser(Vec<(UserName, UserName)>),
    SetPassword {
        user: Option<UserName>,
        password: String,
    },
    Grant {
        privileges: Vec<Privilege>,
        on: GrantLevel,
        to: Vec<UserSpec>,
        with_grant_option: bool,
    },
    Revoke {
        privileges: Vec<Privilege>,
        on: GrantLevel,
        from: Vec<UserName>,
    },
    RevokeAll {
        from: Vec<UserName>,
    },
    CreateRole {
        if_not_exists: bool,
        roles: Vec<UserName>,
    },
    DropRole {
        if_exists: bool,
        roles: Vec<UserName>,
    },
    GrantRole {
        roles: Vec<UserName>,
        to: Vec<UserName>,
        with_admin_option: bool,
    },
    RevokeRole {
        roles: Vec<UserName>,
        from: Vec<UserName>,
    },
    SetRole(RoleSet),
    /// SET DEFAULT ROLE, ALTER USER … DEFAULT ROLE
    SetDefaultRole {
        roles: RoleSet,
        to: Vec<UserName>,
    },
    /// Each option in upper case: PRIVILEGES, TABLES, STATUS, LOGS, BINARY LOGS …
    Flush(Vec<String>),
    /// All of them, without a name.
    ResetPersist {
        name: Option<String>,
        if_exists: bool,
    },
    /// FLUSH TABLES [names] WITH READ LOCK | FOR EXPORT, and FLUSH TABLES with names; plain FLUSH TABLES is [`Statement::Flush`].
    FlushTables {
        tables: Vec<ObjectName>,
        read_lock: bool,
        for_export: bool,
    },
    // --- looking
    Show(Box<Show>),
    /// DESCRIBE t [col | 'pattern']
    Describe {
        table: ObjectName,
        column: Option<String>,
    },
    Explain {
        analyze: bool,
        format: Option<String>,
        statement: Box<Statement>,
    },
    /// PROFILE <statement>, as MemSQL has it: run it and keep what it did.
    Profile(Box<Statement>),
    /// CHECK / ANALYZE / OPTIMIZE / REPAIR / CHECKSUM TABLE
    TableMaintenance {
        verb: MaintenanceVerb,
        tables: Vec<ObjectName>,
    },
    // --- the cluster
    Cluster(Box<ClusterVerb>),
    SnapshotDatabase(Ident),
    Shutdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaintenanceVerb {
    Analyze,
    Check,
    Optimize,
    Repair,
    Checksum { quick: bool },
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DatabaseOptions {
    pub charset: Option<String>,
    pub collation: Option<String>,
    pub partitions: Option<u32>,
    pub sync_durability: Option<bool>,
    pub sync_replication: Option<bool>,
}
